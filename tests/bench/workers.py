"""A sweep with 1, 2 and 4 remote workers: how much faster more of them are.

    BIFURCATED_BUILD=build/release python3 -m tests.bench.workers [--revisions 32] [--hidden 128] [--mbps 100] [--counts 1,2,4]

Two runs for each number of workers, each over a fresh daemon without workers of its own (`--fetchers 0`):

    link     each worker fetches over one connection of so many Mbit/s, as hosts with a link of their own do: fetching dominates
    compute  each worker scores perplexity on one thread: measuring dominates, and the processors of this machine are the bound

Printed: wall time from the start of the sweep to its end, and the speed-up over one worker.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench.hub_fetch import write_run
from tests.bench.serving import daemon, get, running, sweep
from tests.hub import Emulator

GARDEN = Path(__file__).resolve().parents[1] / "fixtures/garden/hub"


def wait_for_workers(url: str, count: int) -> None:
    while sum(not one["is_local"] for one in json.loads(get(f"{url}/v1/workers")[0])["workers"]) < count:
        time.sleep(0.02)


def measure(place: Path, root: Path, count: int, knobs: dict[str, float], options: list[str], model: str, **request: Any) -> float:
    """Seconds of one sweep by so many workers."""
    program = Path(os.environ.get("BIFURCATED_BUILD", "build/release")).resolve() / "bifurcated"
    place.mkdir(parents=True)
    with ExitStack() as stack:
        hub = stack.enter_context(Emulator(root, **knobs))
        url, _ = stack.enter_context(daemon(place, ["--fetchers", "0"], hub.url))
        for i in range(count):
            home = place / f"worker{i}"
            home.mkdir()
            env = os.environ | {"HOME": str(home), "TMPDIR": str(home), "HF_HUB_CACHE": str(home / "hub"), "HF_ENDPOINT": hub.url}
            command = [program, "worker", "--connect", url, *options]
            stack.enter_context(running(command, home / "log", env))
        wait_for_workers(url, count)
        begin = time.monotonic()
        sweep(url, model, **request)
        return time.monotonic() - begin


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revisions", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--mbps", type=float, default=100.0, help="of the link of each worker")
    parser.add_argument("--stride", type=int, default=64, help="of the scored windows: less is more work")
    parser.add_argument("--only", choices=("link", "compute"), help="one of the two runs")
    parser.add_argument("--counts", default="1,2,4")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    counts = [int(text) for text in arguments.counts.split(",")]
    figures: dict[str, dict[int, float]] = {"link": {}, "compute": {}}
    with tempfile.TemporaryDirectory(prefix="bench_workers_") as folder:
        place = Path(folder)
        write_run(place / "root", arguments.revisions, arguments.hidden, 2)
        for count in counts if arguments.only != "compute" else []:
            figures["link"][count] = measure(
                place / f"link{count}", place / "root", count, {"connection_bps": arguments.mbps * 1e6},
                ["--connections", "1", "--fetchers", "1", "--threads", "1"], "bench/run",
            )  # fmt: skip
        for count in counts if arguments.only != "link" else []:
            figures["compute"][count] = measure(
                place / f"compute{count}", GARDEN, count, {}, ["--fetchers", "1", "--threads", "1"], "garden/neox-tiny",
                metrics=["perplexity"], dataset="garden/lambada_garden", mode="tokens", stride=arguments.stride,
            )  # fmt: skip
    if arguments.json:
        print(json.dumps(figures))
        return 0
    print(f"{os.cpu_count()} processors; link: {arguments.revisions} revisions, {arguments.mbps:g} Mbit/s for each worker")
    for kind, walls in figures.items():
        for count, wall in walls.items():
            print(f"{kind}: {count} workers: {wall:.2f} s, {walls[counts[0]] / wall:.2f} x of {counts[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
