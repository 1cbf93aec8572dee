"""Where a daemon's memory is, by the place that allocated it (shim_heap.c), and which places keep more with every sweep.

The memory of a process goes up and down by megabytes with what it caches; a list that grows by a kilobyte per sweep does not show
in it. Counted by place it does: the blocks of most places are constant, so that one more per sweep is seen at once.
"""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from stage import need

HEAD = struct.Struct("<8q")  # asked, leaked, measure, measured, mapped_bytes, free_bytes, statements, again
MEASURE_AT = 16  # of its byte
SITE = struct.Struct("<Qqq")
SAMPLES_MIN = 24  # so that chance does not put all of the last third above all of the first
BLOCKS_PER_SWEEP, BYTES_PER_SWEEP = 0.2, 128  # what a place may gain: less than one block in five sweeps

LARGE = 1 << 63  # in an address: of the place only the blocks of a page and more; without it only the smaller ones
BLOCK_BYTES = 8  # that the allocator needs for each
MIB = 1 << 20
ARENA_BYTES = 64 * MIB


@dataclass(frozen=True)
class Place:
    """That allocates."""

    library: str  # or the program: "libsqlite3"
    function: str
    line: str
    is_large: bool = False

    def __str__(self) -> str:
        return f"{self.library} {self.function} {self.line}" + (" (large blocks)" if self.is_large else "")


@dataclass(frozen=True)
class Cache:
    """What is kept on purpose. Until it is full, each of its places gains as many blocks as it gains entries, times `blocks`; all of
    them together never hold more than `bytes_max`."""

    name: str
    bytes_max: int
    entry: str  # the function that allocates a block for each entry; "": as many as there are
    blocks: dict[str, int]  # for each entry, by function or library

    def blocks_of(self, place: Place) -> int:
        """0 if the place is none of its places."""
        keys = (place.function, place.library + " large" if place.is_large else place.library)
        return max(self.blocks.get(key, 0) for key in keys)


CACHES = (
    # Of an answer: itself, its entry, body, ETag and link, and of libmicrohttpd two responses with about ten headers each. The
    # connections of that library, 32 KiB each, count here, too.
    Cache("answers", 80 * MIB, "api_cache_put", {"api_cache_put": 1, "api_answer_new": 1, "answer_of": 1, "fit_of": 1, "libmicrohttpd": 12}),
    Cache("passages", 66 * MIB, "passages_cache_keep", {"passages_cache_keep": 1, "resize_array": 1, "token_ids_reserve": 1}),
    Cache("small files", 65 * MIB, "small_files_keep", {"small_files_keep": 1}),
    # Each connection, of which there are more when more is read at once, knows the schema: about 1,900 small blocks of 165 KB.
    Cache("connections", 10 * MIB, "open_file", {"open_file": 1, "libsqlite3": 2500}),
    # Each of the nine connections keeps what it has prepared, 255 statements at most (store/connection.c), of 17 KB in the mean; the
    # largest has 146 small blocks. A reader that is needed only when many read at once prepares its last ones after hours, and one of
    # them is more blocks than a place may gain. How many there are the shim counts, and that no connection prepares one twice.
    Cache("statements", 9 * 255 * 20480, "", {"connection_prepare": 200}),
    # Nine connections cache 16 MiB each (store/connection.c), and SQLite needs some more for that. Pages are large blocks.
    Cache("pages", 9 * 18 * MIB, "", {"libsqlite3 large": 1}),
)  # fmt: skip


@dataclass(frozen=True)
class Held:
    blocks: int
    bytes: int


@dataclass(frozen=True)
class Memory:
    """That is resident, in KiB: all but the files and stacks is the allocator's, in blocks that live, or in pieces that are free
    or were never used."""

    all: int
    arenas: int
    mapped: int  # blocks that have memory of their own
    free: int  # in the arenas, as the allocator sees it; what of that was given back is resident no more
    live: int  # the blocks

    @property
    def pieces(self) -> int:
        return self.arenas + self.mapped - self.live

    @property
    def others(self) -> int:
        return self.all - self.arenas - self.mapped


class Heap:
    """The counts of a process that was started with `env`."""

    def __init__(self, shim: Path, place: Path, leak_bytes: int = 0) -> None:
        self.path, self.asked, self.measures = place / "heap", 0, 0
        self.env = {"LD_PRELOAD": str(shim), "PROOF_HEAP": str(self.path)}
        if leak_bytes:
            self.env["PROOF_LEAK"] = str(leak_bytes)
        self.is_leaking = leak_bytes > 0

    def leak(self) -> None:
        """Lets the process leak one block, if it was started so."""
        if self.is_leaking:
            self.asked += 1
            with open(self.path, "r+b") as file:
                file.write(struct.pack("<q", self.asked))

    def held(self) -> dict[int, Held]:
        """What each place holds, by its address."""
        raw = self.path.read_bytes()[HEAD.size:]
        return {address: Held(blocks, size) for address, blocks, size in SITE.iter_unpack(raw) if address}

    def head(self) -> tuple[int, ...]:
        return HEAD.unpack(self.path.read_bytes()[: HEAD.size])

    def statements(self) -> tuple[int, int]:
        """How many SQLite has prepared, each once on its connection, and how many again."""
        *_, statements, again = self.head()
        return statements, again

    def memory(self, pid: int, held: dict[int, Held], allocate: Callable[[], object]) -> Memory:
        """`allocate` makes the process do so, once or oftener."""
        self.measures += 1
        with open(self.path, "r+b") as file:
            file.seek(MEASURE_AT)
            file.write(struct.pack("<q", self.measures))
        for _ in range(100):
            allocate()
            _, _, _, measured, mapped, free, _, _ = self.head()
            if measured == self.measures:
                live = sum(one.bytes + BLOCK_BYTES * one.blocks for one in held.values())
                return Memory(*resident_kib(pid), mapped // 1024, free // 1024, live // 1024)
        need(False, "the process does not allocate")
        raise AssertionError


@dataclass
class Mapping:
    begin: int
    end: int
    permissions: str
    name: str
    resident_kib: int = 0


def mappings(pid: int) -> list[Mapping]:
    found: list[Mapping] = []
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if words[0] == "Rss:":
            found[-1].resident_kib = int(words[1])
        elif not words[0].endswith(":"):
            begin, end = (int(one, 16) for one in words[0].split("-"))
            found.append(Mapping(begin, end, words[1], words[5] if len(words) > 5 else ""))
    return found


def is_arena(one: Mapping, after: Mapping | None) -> bool:
    """The heap; or a mapping at a multiple of an arena's size that is as large as one, together with the part that the allocator
    has reserved behind it. Any large mapping may begin there: the kernel puts it where huge pages can be used."""
    if one.name == "[heap]":
        return True
    is_reserved = after is not None and after.begin == one.end and after.permissions == "---p"
    end = after.end if is_reserved else one.end
    return not one.name and one.permissions == "rw-p" and one.begin % ARENA_BYTES == 0 and end - one.begin >= ARENA_BYTES


def resident_kib(pid: int) -> tuple[int, int]:
    """All, and of that the arenas of the allocator."""
    all_of_it = mappings(pid)
    arenas = [one for one, after in zip(all_of_it, [*all_of_it[1:], None], strict=True) if is_arena(one, after)]
    return sum(one.resident_kib for one in all_of_it), sum(one.resident_kib for one in arenas)


def module_of(address: int, pid: int) -> tuple[str, int]:
    """The file that is mapped at an address, and where in it; "" if there is none."""
    first: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        words = line.split()
        begin, end = (int(one, 16) for one in words[0].split("-"))
        name = words[5] if len(words) > 5 else ""
        first.setdefault(name, begin)
        if begin <= address < end:
            return name, address - first[name]
    return "", address


def describe(address: int, pid: int) -> Place:
    name, offset = module_of(address & ~LARGE, pid)
    done = subprocess.run(["addr2line", "-f", "-s", "-e", name or "/dev/null", hex(offset - 1)], capture_output=True, text=True)
    function, line, *_ = [*done.stdout.splitlines(), "??", "??"]
    return Place(Path(name).name.split(".so")[0], function, f"{line} +{offset:#x}", bool(address & LARGE))


# ---- what grows ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Growth:
    """Of a place: the least of the last third over the most of the first, and the most of the last over the least of the first."""

    blocks: int
    bytes: int
    blocks_most: int


def growth_of(samples: list[dict[int, Held]]) -> dict[int, Growth]:
    third = len(samples) // 3
    first, last = samples[:third], samples[-third:]
    grown = {}
    for address in set().union(*samples):
        before, after = ([one.get(address, Held(0, 0)) for one in part] for part in (first, last))
        grown[address] = Growth(
            min(one.blocks for one in after) - max(one.blocks for one in before),
            min(one.bytes for one in after) - max(one.bytes for one in before),
            max(one.blocks for one in after) - min(one.blocks for one in before),
        )
    return grown


def check_bounds(samples: list[dict[int, Held]], places: dict[int, Place]) -> str:
    """No cache holds more than it may."""
    told = []
    for cache in CACHES:
        own = [address for address, place in places.items() if cache.blocks_of(place)]
        most = max(sum(one[address].bytes for address in own if address in one) for one in samples)
        need(most <= cache.bytes_max, f"{cache.name} that are kept hold {most} bytes, allowed are {cache.bytes_max}")
        told.append(f"{cache.name} {most / MIB:.0f} of {cache.bytes_max / MIB:.0f}")
    return ", ".join(told)


def check_places(samples: list[dict[int, Held]], sweeps: list[int], statements: list[int], place_of: Callable[[int], Place]) -> str:
    """No place holds more and more, but for what is kept on purpose, which stays within its bounds. `statements`: how many SQLite has
    prepared. Raises Wrong."""
    need(len(samples) >= SAMPLES_MIN, f"only {len(samples)} sweeps to compare, {SAMPLES_MIN} are needed: soak for longer")
    third = len(samples) // 3
    between = sweeps[-third] - sweeps[third - 1]
    grown = growth_of(samples)
    places = {address: place_of(address) for address in grown}
    gained: dict[str, float] = {
        cache.name: max((max(0, grown[address].blocks_most) for address, place in places.items() if place.function == cache.entry), default=0)
        if cache.entry else float("inf") for cache in CACHES
    }  # fmt: skip
    gained["statements"] = statements[-1] - statements[0]
    wrong = []
    for address, one in grown.items():
        blocks, size = BLOCKS_PER_SWEEP * between, float(BYTES_PER_SWEEP * between)
        for cache in CACHES:
            if (share := cache.blocks_of(places[address])) and gained[cache.name]:
                blocks, size = blocks + share * gained[cache.name], float("inf")
        if one.blocks > blocks or one.bytes > size:
            wrong.append(f"{places[address]}: {one.blocks:+} blocks, {one.bytes:+} bytes in {between} sweeps")
    need(not wrong, f"{len(wrong)} places hold more and more:", "; ".join(sorted(wrong)[:10]))
    more = ", ".join(f"{count:.0f} {name}" for name, count in gained.items() if count < float("inf"))
    return f"{len(grown)} places that allocate, none holds more and more over {between} sweeps ({more} more are kept); at most (MiB): {check_bounds(samples, places)}"
