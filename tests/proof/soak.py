"""A bounded soak: sweeps again and again, with moved branches, polls, event streams, hub faults and SIGHUP beside them.

Memory, descriptors, threads and the state folder are sampled after each sweep; how many connections are open then is the doing of the
clients, and of how busy the machine is, so these are not counted, but must all be gone when the clients are. The caches fill first: after a warm-up of two thirds
of the time a line is fitted to each; growth beyond the bounds fails. What may grow on the disk is what each sweep leaves on purpose:
its own rows of the queue (a sweep, its tasks and their history).

Memory is judged in three parts, as caches fill for hours, and hide a list that grows by a kilobyte per sweep. The blocks that live are
counted by the place that allocated them (heap.py): none may gain a block in five sweeps, after a warm-up of one third, and the caches
have bounds. What the allocator keeps in pieces between them is in proportion to them at any time, and flat. All other memory (stacks,
files) hardly moves. With `leak` bytes, so many are leaked per sweep on purpose: the soak must fail then.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import busy
import heap
import stage
from stage import Daemon, Emulator, need


@dataclass
class Sample:
    seconds: float
    sweeps: int
    memory_kib: int
    live_kib: int  # of that, the blocks that live
    free_kib: int  # what the arenas had free before anything of it was given back
    pieces_kib: int  # what the allocator keeps beside the blocks
    others_kib: int  # files that are mapped, stacks
    descriptors: int
    threads: int
    files: int  # in state folder and cache, without links
    disk_kib: int
    statements: int
    held: dict[int, heap.Held] = field(repr=False)  # by place


# Growth from the end of the warm-up to the end, by the fitted line, that is allowed: a share of the mean, and as a number.
BOUNDS = {"pieces_kib": (0.08, 6000), "others_kib": (0.03, 1024), "descriptors": (0.1, 6), "threads": (0.0, 1.5), "files": (0.02, 8)}
PIECES_MOST = (0.25, 8192)  # beside blocks that live: a share of these, and KiB of what each thread keeps and a minute frees
ANSWERS_MAX = 256 + 16  # 64 MiB of kept answers, files from 256 KiB on (api/http/answer.c), and some that are just being sent
ANSWERS_BYTES_MAX = 64 << 20
LISTENING = "0A"  # state of a socket in /proc/net/tcp
DISK_KIB_PER_SWEEP = 40  # 25 tasks of 4 events and 25 perplexities


def other_sockets(process: Path, port: int) -> set[str]:
    """Those that are no connections to a port, as links of /proc name them. What the other side has reset is in no table."""
    rows = [line.split() for line in (process / "net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if int(row[1].split(":")[1], 16) != port or row[3] == LISTENING}
    for table, column in (("tcp6", 9), ("udp", 9), ("udp6", 9), ("unix", 6), ("netlink", 9)):
        path = process / "net" / table
        inodes |= {line.split()[column] for line in path.read_text().splitlines()[1:]} if path.exists() else set()
    return {f"socket:[{inode}]" for inode in inodes}


def count_descriptors(process: Path, port: int) -> tuple[int, int, int]:
    """The connections of clients, the large answers that the API keeps as files in memory, and all others that are open."""
    others, targets = other_sockets(process, port), []
    for entry in os.listdir(process / "fd"):
        try:
            targets.append(os.readlink(process / "fd" / entry))
        except FileNotFoundError:
            pass  # it has just gone
    others |= other_sockets(process, port)  # and those that have just come
    connections = sum(one.startswith("socket:") and one not in others for one in targets)
    answers = sum(one.startswith("/memfd:answer") for one in targets)
    return connections, answers, len(targets) - connections - answers


def await_no_connection(daemon: Daemon) -> None:
    """Once its clients are gone, the daemon holds none of their connections."""
    process, port = Path(f"/proc/{daemon.process.pid}"), port_of(daemon)
    limit = time.monotonic() + stage.WAIT_S  # against waiting for ever
    while (left := count_descriptors(process, port)[0]) > 0:
        need(time.monotonic() < limit, f"{left} connections are left, whose clients are gone")
        time.sleep(0.2)


def port_of(daemon: Daemon) -> int:
    return int(daemon.url.rsplit(":", 1)[1])


def request(number: int) -> dict[str, Any]:
    """Of the number-th sweep: no other scores the same, so that everything is fetched and scored again."""
    if number % 5 == 0:
        return stage.request(documents=1 + number // 5 % 199)
    window = 64 + number % 65
    return stage.request(documents=2 + number // 1300 % 100, mode="tokens", window=window, stride=window // 2 - number // 65 % 20)


def sample(daemon: Daemon, counts: heap.Heap, begin: float, sweeps: int) -> Sample:
    place = Path(f"/proc/{daemon.process.pid}")
    status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
    _, answers, descriptors = count_descriptors(place, port_of(daemon))
    assert answers <= ANSWERS_MAX, f"{answers} kept answers are files in memory"
    kept = re.search(r"^bifurcated_http_cache_bytes (\S+)$", daemon.get("/metrics").text, re.MULTILINE)
    assert kept and float(kept[1]) <= ANSWERS_BYTES_MAX, f"answers are kept beyond their bound: {kept}"
    sizes = []
    for folder, _, names in [*os.walk(daemon.state), *os.walk(daemon.cache)]:
        for name in names:
            try:
                path = Path(folder) / name
                # As in Python's cache, each commit that was read keeps its links; what they lead to is what must not grow.
                if not name.endswith(("-wal", "-shm")) and not path.is_symlink():
                    sizes.append(path.lstat().st_blocks // 2)
            except FileNotFoundError:
                pass  # it has just gone
    held = counts.held()
    statements, again = counts.statements()
    need(not again, f"{again} statements were prepared again by a connection that had them")
    # Blocks come and go while it is looked at: the middle one of three.
    looks = [counts.memory(daemon.process.pid, counts.held(), lambda: daemon.get("/healthz")) for _ in range(3)]
    memory = sorted(looks, key=lambda one: one.pieces)[1]
    return Sample(time.monotonic() - begin, sweeps, memory.all, memory.live, memory.free, memory.pieces, memory.others, descriptors,
                  int(status["Threads"]), len(sizes), sum(sizes), statements, held)  # fmt: skip


def slope(samples: list[Sample], name: str, over: str = "seconds") -> float:
    """Of the least-squares line."""
    xs, ys = [float(getattr(one, over)) for one in samples], [float(getattr(one, name)) for one in samples]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    square = sum((x - x_mean) ** 2 for x in xs)
    return sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / square if square else 0.0


def check_flat(samples: list[Sample]) -> str:
    steady = [one for one in samples if one.seconds >= samples[-1].seconds * 2 / 3]
    need(len(steady) >= 8, f"only {len(steady)} sweeps after the warm-up: soak for longer")
    seconds = steady[-1].seconds - steady[0].seconds
    told = [check_pieces(samples)]
    for name, (share, number) in BOUNDS.items():
        mean = sum(getattr(one, name) for one in steady) / len(steady)
        growth, allowed = slope(steady, name) * seconds, max(share * mean, number)
        told.append(f"{name} {mean:.0f} {growth:+.1f} of {allowed:.0f}")
        need(growth <= allowed, f"{name} grows by {growth:.1f} in {seconds:.0f} s, allowed are {allowed:.1f}:",
             [getattr(one, name) for one in steady])  # fmt: skip
    per_sweep = slope(steady, "disk_kib", "sweeps")
    told.append(f"disk {steady[-1].disk_kib} KiB {per_sweep:+.1f} per sweep")
    need(per_sweep <= DISK_KIB_PER_SWEEP, f"the disk grows by {per_sweep:.1f} KiB per sweep:", [one.disk_kib for one in steady])
    return f"{len(samples)} sweeps, after the warm-up (mean, growth of what is allowed): " + ", ".join(told)


def check_pieces(samples: list[Sample]) -> str:
    """Blocks of all sizes that come and go leave pieces between them, but never more than in proportion."""
    share, number = PIECES_MOST
    worst = max(samples, key=lambda one: one.pieces_kib - share * one.live_kib)
    need(worst.pieces_kib <= share * worst.live_kib + number, f"the allocator keeps {worst.pieces_kib} KiB beside {worst.live_kib} KiB that live")
    last = samples[-1]
    return (f"memory {last.memory_kib} KiB at the end: blocks that live {last.live_kib}, pieces {last.pieces_kib} "
            f"(at most {worst.pieces_kib} beside {worst.live_kib}; free in the arenas, with what was given back, {last.free_kib}), others {last.others_kib}")  # fmt: skip


def check_heap(samples: list[Sample], pid: int) -> str:
    steady = [one for one in samples if one.seconds >= samples[-1].seconds / 3]
    return heap.check_places([one.held for one in steady], [one.sweeps for one in steady], [one.statements for one in steady], lambda address: heap.describe(address, pid))


def run(minutes: float, seed: int = 1, preset: str = "release", folder: Path | None = None, leak_bytes: int = 0) -> str:
    folder = folder or stage.build(preset, "bifurcated", "bifurcate")
    need({one.name for one in fields(Sample)} >= BOUNDS.keys(), "bounds of what is not sampled")
    samples: list[Sample] = []
    with stage.workplace("soak") as place, Emulator(stage.GARDEN) as hub:
        options = ["--keep", "files", "--cache-budget-mb", "20", "--retry-delay-s", "0", "--attempts", "20",
                   "--request-budget", "0"]  # fmt: skip
        counts = heap.Heap(stage.compile_shim("heap", place), place, leak_bytes)
        daemon = Daemon(stage.programs(folder), place, hub.url, options, stage.environment() | counts.env)
        daemon.start()
        begin, sweeps = time.monotonic(), 0
        with busy.Busy(daemon, hub, seed) as beside:
            beside.start(beside.poll, beside.poll, beside.listen, beside.hang_up, pause_s=0.05)
            beside.start(beside.spoil, beside.move, beside.hang_up_signal, pause_s=1.0)
            while time.monotonic() - begin < minutes * 60:
                counts.leak()
                sweeps += busy.sweep_until_done(daemon, request(len(samples)))
                samples.append(sample(daemon, counts, begin, sweeps))
        places = check_heap(samples, daemon.process.pid)
        await_no_connection(daemon)
        need(daemon.stop() == 0, "exit status", daemon.process.returncode)
        report = stage.reports(daemon.log())
        need(not report, report)
        stage.check_sound(daemon.db)
        stage.check_history(daemon.db)
        told = f"{check_flat(samples)}; {places}"
    return f"{minutes:g} minutes beside {', '.join(f'{count} {name}' for name, count in sorted(beside.counts.items()))}: {told}"
