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

SITE = struct.Struct("<Qqq")
HEAD_BYTES = SITE.size  # asked, leaked
SAMPLES_MIN = 24  # so that chance does not put all of the last third above all of the first
BLOCKS_PER_SWEEP, BYTES_PER_SWEEP = 0.2, 128  # what a place may gain: less than one block in five sweeps

# Places of what is kept on purpose, by function, and the places whose blocks they may have as many of: each kept answer has an
# ETag, a key and perhaps a link, and its body; each kept set of passages has its arrays. These caches are bounded (the soak
# looks at their bytes), and once they are full, nothing is excepted any more.
ANSWERS, PASSAGES = "api_cache_put", "passages_cache_keep"
KEPT = {
    ANSWERS: {ANSWERS: 1}, "answer_of": {ANSWERS: 1}, "buf_reserve": {ANSWERS: 1}, "api_answer_to_file": {ANSWERS: 1},
    "strdup": {ANSWERS: 3, PASSAGES: 1}, "__GI___strdup": {ANSWERS: 3, PASSAGES: 1}, "__strdup": {ANSWERS: 3, PASSAGES: 1},
    PASSAGES: {PASSAGES: 1}, "grow_array": {PASSAGES: 1}, "token_ids_reserve": {PASSAGES: 1},
}  # fmt: skip
SQLITE = "libsqlite3"  # its pages: bounded by the caller


@dataclass(frozen=True)
class Held:
    blocks: int
    bytes: int


class Heap:
    """The counts of a process that was started with `env`."""

    def __init__(self, shim: Path, place: Path, leak_bytes: int = 0) -> None:
        self.path, self.asked = place / "heap", 0
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
        raw = self.path.read_bytes()[HEAD_BYTES:]
        return {address: Held(blocks, size) for address, blocks, size in SITE.iter_unpack(raw) if address}


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


def describe(address: int, pid: int) -> str:
    """Module, function and line of a place."""
    name, offset = module_of(address, pid)
    done = subprocess.run(["addr2line", "-f", "-s", "-e", name or "/dev/null", hex(offset - 1)], capture_output=True, text=True)
    function, line, *_ = [*done.stdout.splitlines(), "??", "??"]
    return f"{Path(name).name}+{offset:#x} {function} {line}"


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


def check_places(samples: list[dict[int, Held]], sweeps: list[int], name_of: Callable[[int], str], pages_bytes: int) -> str:
    """No place holds more and more, but for what is kept on purpose; `pages_bytes` is what SQLite may have more. `name_of` gives
    "MODULE+OFFSET FUNCTION LINE". Raises Wrong with the places that do."""
    need(len(samples) >= SAMPLES_MIN, f"only {len(samples)} sweeps to compare, {SAMPLES_MIN} are needed: soak for longer")
    third = len(samples) // 3
    between = sweeps[-third] - sweeps[third - 1]
    grown = growth_of(samples)
    names = {address: name_of(address) for address, one in grown.items() if one.blocks_most > 0 or one.bytes > 0}
    function = {address: name.split()[1] for address, name in names.items()}
    kept = {what: sum(grown[address].blocks_most for address in names if function[address] == what) for what in (ANSWERS, PASSAGES)}
    wrong = []
    for address, name in names.items():
        one, blocks, size = grown[address], BLOCKS_PER_SWEEP * between, BYTES_PER_SWEEP * between
        if name.startswith(SQLITE):
            blocks, size = float("inf"), size + pages_bytes
        elif function[address] in KEPT:
            more = sum(share * kept[what] for what, share in KEPT[function[address]].items())
            blocks, size = blocks + more, size if more == 0 else float("inf")
        if one.blocks > blocks or one.bytes > size:
            wrong.append(f"{name}: {one.blocks:+} blocks, {one.bytes:+} bytes in {between} sweeps")
    need(not wrong, f"{len(wrong)} places hold more and more:", "; ".join(sorted(wrong)[:10]))
    return f"{len(grown)} places that allocate, none holds more and more over {between} sweeps ({kept[ANSWERS]} answers and {kept[PASSAGES]} passages more are kept)"
