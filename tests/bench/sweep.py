"""A whole sweep of the daemon, from request to end, over an emulated link.

    BIFURCATED_BUILD=build/release python3 -m tests.bench.sweep [--revisions 24] [--hidden 512] [--mbps 200]

The run is 70m-shaped (tests/bench/hub_fetch.py). Planning, fetching, statistics against the first and the previous
revision, and recording are inside. Printed: bytes served by the hub over bytes of the tensors, and wall time over the
larger of link time (bytes served / bandwidth) and device time. A second sweep of the same shows what a night costs on
which nothing has changed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.hub_fetch import write_run
from tests.bench.serving import daemon, metric, sweep
from tests.hub import Emulator


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revisions", type=int, default=24)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--mbps", type=float, default=200.0)
    parser.add_argument("--latency-ms", type=float, default=30.0)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench_sweep_") as folder:
        place = Path(folder)
        _, size, digests = write_run(place / "root", arguments.revisions, arguments.hidden, arguments.layers)
        tensors = size * (len(digests) - 1)  # all but main, which is no step
        knobs = {"bandwidth_bps": arguments.mbps * 1e6, "latency_ms": arguments.latency_ms}
        with Emulator(place / "root", **knobs) as hub, daemon(place, [], hub.url) as (url, _):
            figures = {}
            for name in ("first", "again"):
                hub.reset()
                busy = metric(url, "bifurcated_device_busy_seconds_total")
                begin = time.monotonic()
                sweep(url, "bench/run")
                wall = time.monotonic() - begin
                served = hub.stats()["bytes"]["total"]
                link = served * 8 / (arguments.mbps * 1e6)
                device = metric(url, "bifurcated_device_busy_seconds_total") - busy
                figures[name] = {
                    "wall_s": wall, "link_s": link, "device_s": device, "served_bytes": served, "tensor_bytes": tensors,
                    "bytes_ratio": served / tensors, "wall_ratio": wall / max(link, device), "requests": len(hub.log()),
                }  # fmt: skip
    if arguments.json:
        print(json.dumps(figures))
        return 0
    first, again = figures["first"], figures["again"]
    print(f"{len(digests) - 1} revisions, {tensors / 1e6:.0f} MB of tensors, {arguments.mbps:g} Mbit/s, {arguments.latency_ms:g} ms")
    print(f"bytes served / tensor bytes: {first['bytes_ratio']:.4f} ({first['requests']} requests)")
    print(f"wall {first['wall_s']:.1f} s, link {first['link_s']:.1f} s, device {first['device_s']:.1f} s: "
          f"wall / max(link, device) = {first['wall_ratio']:.3f}")  # fmt: skip
    print(f"the same again: {again['wall_s']:.2f} s, {again['requests']} requests, {again['served_bytes'] / 1e3:.1f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
