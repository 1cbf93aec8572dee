"""Fetching one tensor of every revision: our ranges beside huggingface_hub, over one emulated link.

    BIFURCATED_BUILD=build/release python -m tests.bench.hub_fetch [--revisions 24] [--hidden 512] [--mbps 200]

A 70m-shaped run: safetensors files in which embed_out.weight (vocabulary × hidden, fp16) is about a third. Measured are
bytes that the emulated hub served and wall time, for the tensor by ranges (hub_probe sweep), for hf_hub_download of the
file that holds it, and for snapshot_download of the revision. What each got is compared with the file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

os.environ.update(HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1")

from huggingface_hub import hf_hub_download, snapshot_download  # noqa: E402

from tests.hub import Emulator  # noqa: E402

VOCABULARY = 50304
FILE = "model.safetensors"


def write_run(root: Path, revisions: int, hidden: int, layers: int) -> tuple[int, int, dict[str, str]]:
    """The folders; returns where the tensor lies in each file and its SHA-256 by branch."""
    folder = root / "models" / "bench" / "run"
    sizes = {"embed_out.weight": VOCABULARY * hidden * 2, "gpt_neox.embed_in.weight": VOCABULARY * hidden * 2}
    sizes |= {f"gpt_neox.layers.{layer}.weights": 12 * hidden * hidden * 2 for layer in range(layers)}
    header, at = {}, 0
    for name, size in sizes.items():
        header[name] = {"dtype": "F16", "shape": [size // (2 * hidden), hidden], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    digests = {}
    for number in range(revisions):
        name = "main" if number == 0 else f"step{number}"
        (folder / name).mkdir(parents=True)
        source = random.Random(number)
        with open(folder / name / FILE, "wb") as stream:
            stream.write(struct.pack("<Q", len(text)) + text)
            for tensor, size in sizes.items():
                digest = hashlib.sha256()
                for begin in range(0, size, 1 << 20):
                    part = source.randbytes(min(1 << 20, size - begin))
                    stream.write(part)
                    digest.update(part)
                if tensor == "embed_out.weight":
                    digests[name] = digest.hexdigest()
        (folder / name / "config.json").write_text(json.dumps({"model_type": "gpt_neox", "hidden_size": hidden}))
    return 8 + len(text), sizes["embed_out.weight"], digests


def by_ranges(hub: Emulator, cache: Path, begin: int, size: int, digests: dict[str, str]) -> None:
    program = Path(os.environ["BIFURCATED_BUILD"]) / "tests" / "hub_probe"
    env = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(cache), "HF_HUB_CACHE": str(cache)}
    command = [program, "bench/run", "sweep", "4", FILE, str(begin), str(size)]
    out = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    assert json.loads(out)["branches"] == digests, "the bytes differ"


def by_file(hub: Emulator, cache: Path, begin: int, size: int, digests: dict[str, str]) -> None:
    for branch, digest in digests.items():
        path = hf_hub_download("bench/run", FILE, revision=branch, endpoint=hub.url, cache_dir=cache, token=False)
        check(Path(path), begin, size, digest)


def by_snapshot(hub: Emulator, cache: Path, begin: int, size: int, digests: dict[str, str]) -> None:
    for branch, digest in digests.items():
        path = snapshot_download("bench/run", revision=branch, endpoint=hub.url, cache_dir=cache, token=False)
        check(Path(path) / FILE, begin, size, digest)


def check(path: Path, begin: int, size: int, digest: str) -> None:
    with open(path, "rb") as stream:
        stream.seek(begin)
        assert hashlib.sha256(stream.read(size)).hexdigest() == digest, "the bytes differ"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revisions", type=int, default=24)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--mbps", type=float, default=200.0)
    parser.add_argument("--latency-ms", type=float, default=30.0)
    arguments = parser.parse_args()
    ways: dict[str, Callable[..., None]] = {
        "ranges (bifurcated)": by_ranges,
        "hf_hub_download": by_file,
        "snapshot_download": by_snapshot,
    }
    with tempfile.TemporaryDirectory() as place:
        begin, size, digests = write_run(Path(place) / "root", arguments.revisions, arguments.hidden, arguments.layers)
        needed = size * len(digests)
        ideal = needed * 8 / (arguments.mbps * 1e6)
        print(f"{len(digests)} revisions, {needed / 1e6:.0f} MB of tensors, {ideal:.1f} s at {arguments.mbps:g} Mbit/s")
        print(f"{'':22}{'MB served':>10}{'/ tensors':>10}{'requests':>9}{'s':>8}{'/ ideal':>9}{'/ own bytes':>12}")
        knobs = {"bandwidth_bps": arguments.mbps * 1e6, "latency_ms": arguments.latency_ms}
        with Emulator(Path(place) / "root", **knobs) as hub:
            by_file_warm_up(hub, Path(place), digests)
            for number, (name, way) in enumerate(ways.items()):
                hub.reset()
                began = time.monotonic()
                way(hub, Path(place) / f"cache{number}", begin, size, digests)
                wall = time.monotonic() - began
                stats = hub.stats()
                total = stats["bytes"]["total"]
                own = total * 8 / (arguments.mbps * 1e6)
                requests = len(hub.log())
                print(
                    f"{name:22}{total / 1e6:10.1f}{total / needed:10.4f}{requests:9}{wall:8.1f}"
                    f"{wall / ideal:9.3f}{wall / own:12.3f}"
                )
    return 0


def by_file_warm_up(hub: Emulator, place: Path, digests: dict[str, str]) -> None:
    """Lets the emulator digest its files before anything is timed."""
    for branch in digests:
        hf_hub_download("bench/run", "config.json", revision=branch, endpoint=hub.url, cache_dir=place / "warm", token=False)


if __name__ == "__main__":
    sys.exit(main())
