"""Every bar of the design in one command: runs the benchmarks one after the other and ends with a table.

    tests/bench/run [--only api,store] [--quick] [--peers PYTHON] [--data FOLDER] [--store FILE]

Needs the release build (`cmake --workflow --preset release`), wrk and nginx for the API, torch and transformers (of the
interpreter named by --peers) for perplexity, and a folder with 20B_tokenizer.json and lambada_test.jsonl for the tokenizer.
What is missing is said and not counted. Ratios are of one run on one machine; no exit status depends on a time: it is 1
only where a benchmark itself failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Bar:
    """One number of a benchmark's output against what the design asks for."""

    what: str
    pattern: str  # its first group is the number; the worst of all matches counts
    bar: float
    is_least: bool = True  # the bar is a lower bound
    unit: str = "x"

    def judge(self, text: str) -> tuple[str, str]:
        numbers = [float(one) for one in re.findall(self.pattern, text, re.MULTILINE)]
        if not numbers:
            return "-", "NO FIGURE"
        worst = min(numbers) if self.is_least else max(numbers)
        met = worst >= self.bar if self.is_least else worst <= self.bar
        return f"{worst:.4g} {self.unit}", "met" if met else "MISSED"


@dataclass
class Part:
    name: str
    command: Callable[[argparse.Namespace, Path], list[str]]
    bars: list[Bar]
    needs: Callable[[argparse.Namespace], str] = field(default=lambda arguments: "")  # why it cannot run, or ""


def module(name: str, *options: str) -> list[str]:
    return [sys.executable, "-m", f"tests.bench.{name}", *options]


def program(arguments: argparse.Namespace, name: str) -> str:
    return str(arguments.build / "tests" / name)


def missing_tools(*names: str) -> str:
    path = os.environ["PATH"] + ":/usr/sbin"
    missing = [name for name in names if not shutil.which(name, path=path)]
    return f"{', '.join(missing)} not installed" if missing else ""


def missing_peers(arguments: argparse.Namespace) -> str:
    found = subprocess.run([arguments.peers, "-c", "import torch, transformers"], capture_output=True)
    return "" if found.returncode == 0 else "torch and transformers are not installed; name an interpreter with --peers"


def missing_data(arguments: argparse.Namespace) -> str:
    names = ("20B_tokenizer.json", "lambada_test.jsonl")
    return "" if all((arguments.data / name).exists() for name in names) else f"{arguments.data} lacks {' or '.join(names)}"


OURS = r"^\| {case}[^|]*\| {server} \| [\d.]+ \| [\d.]+ \| [\d.]+ \| ([\d.]+) \| [\d.]+ \| \d+ \|$"

PARTS = [
    Part(
        "sweep",
        lambda a, place: module("sweep", *(["--hidden", "128", "--revisions", "13"] if a.quick else [])),
        [
            Bar("bytes fetched / tensor bytes", r"^bytes served / tensor bytes: ([\d.]+)", 1.02, False),
            Bar("sweep: wall / max(link, device)", r"wall / max\(link, device\) = ([\d.]+)", 1.1, False),
        ],
    ),
    Part(
        "statistics",
        lambda a, place: [sys.executable, "tests/bench/statistics.py"],
        [Bar("CPU tensor statistics / numpy", r"^ratio +([\d.]+)", 5)],
    ),
    Part(
        "tokenizer",
        lambda a, place: [sys.executable, "tests/bench/tokenizer.py", "--build", str(a.build), "--tokenizer",
                          str(a.data / "20B_tokenizer.json"), "--texts", str(a.data / "lambada_test.jsonl")],
        [Bar("tokenizer / tokenizers", r"^ratio \w+: ([\d.]+)", 1)],
        missing_data,
    ),
    Part(
        "score",
        lambda a, place: [a.peers, "tests/bench/score.py", str(a.build), *(["--documents", "128"] if a.quick else [])],
        [
            Bar("CPU perplexity / transformers, plain", r"^  plain .*ours is ([\d.]+) x", 1.5),
            Bar("CPU perplexity / transformers, lean loop", r"^  lean .*ours is ([\d.]+) x", 1.5),
        ],
        missing_peers,
    ),
    Part(
        "api",
        lambda a, place: module("api", *(["--seconds", "2", "--rounds", "1"] if a.quick else []),
                                *(["--datasette", str(a.datasette)] if a.datasette else [])),
        [
            Bar("cached page / nginx", OURS.format(case="page, \\d+ B", server="nginx"), 1.3),
            Bar("304 / nginx", OURS.format(case="page, 304", server="nginx"), 1.3),
            Bar("cached series of 5 columns, gzip / nginx", OURS.format(case="series, gzip", server="nginx"), 1.3),
            Bar("cached series of all columns, gzip / nginx", OURS.format(case="all columns, gzip", server="nginx"), 1.3),
            Bar("cached series of all columns / nginx", OURS.format(case="all columns, \\d+ B", server="nginx"), 1.3),
            Bar("page: p99 at 64 connections", r"^\| page[^|]*\| bifurcated \| [\d.]+ \| ([\d.]+) \|", 2, False, "ms"),
            Bar("event streams open at once", r"^(\d+) of \d+ event streams", 1000, True, ""),
        ],
        lambda a: missing_tools("wrk", "nginx"),
    ),
    Part(
        "store",
        lambda a, place: [program(a, "bench_store"), str(a.store or place / "bench.db"), *(["940"] if a.quick else [])],
        [
            Bar("store: slowest read, p99", r"^(?!tasks_claim)[a-z_]+ ?.*? +\d+ +[\d.]+ +([\d.]+) +[\d.]+ +[\d.]+ +[\d.]+$", 10000, False, "us"),
            Bar("a claim of 100,000 tasks, p99", r"^tasks_claim of .*? +\d+ +[\d.]+ +([\d.]+) +[\d.]+ +[\d.]+ +[\d.]+$", 1000, False, "us"),
        ],
    ),
    Part(
        "workers",
        lambda a, place: module("workers", "--counts", "1,2"),
        [
            Bar("2 remote workers / 1, links dominate", r"^link: 2 workers: .*, ([\d.]+) x of 1", 1.7),
            Bar("2 remote workers / 1, compute, 2 cores", r"^compute: 2 workers: .*, ([\d.]+) x of 1", 1.7),
        ],
    ),
    Part(
        "onset",
        lambda a, place: [program(a, "bench_onset_truth"), "10" if a.quick else "50"],
        [],
    ),
]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=Path(os.environ.get("BIFURCATED_BUILD", "build/release")))
    parser.add_argument("--only", default="", help=f"of {', '.join(part.name for part in PARTS)}")
    parser.add_argument("--quick", action="store_true", help="smaller runs: a look, no record")
    parser.add_argument("--peers", default=sys.executable, help="interpreter with torch and transformers")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--datasette", type=Path, help="the program of that name: one more peer of the API")
    parser.add_argument("--store", type=Path, help="keep the database of 1.5 million revisions here")
    arguments = parser.parse_args()
    os.environ["BIFURCATED_BUILD"] = str(arguments.build)
    wanted = arguments.only.split(",") if arguments.only else [part.name for part in PARTS]
    rows, failed = [], 0
    with tempfile.TemporaryDirectory(prefix="bench_") as place:
        for part in PARTS:
            if part.name not in wanted:
                continue
            print(f"\n== {part.name} (load {os.getloadavg()[0]:.2f})", flush=True)
            why = part.needs(arguments)
            if why:
                print(f"skipped: {why}")
                rows += [(bar.what, "-", f"skipped: {why}") for bar in part.bars]
                continue
            done = subprocess.run(part.command(arguments, Path(place)), cwd=ROOT, text=True, stdout=subprocess.PIPE)
            print(done.stdout, flush=True)
            failed += done.returncode != 0
            for bar in part.bars:
                figure, verdict = bar.judge(done.stdout) if done.returncode == 0 else ("-", "FAILED")
                limit = f"{'>=' if bar.is_least else '<='} {bar.bar:g} {bar.unit}".rstrip()
                rows.append((bar.what, figure, f"{verdict} ({limit})"))
    print("\n== Bars\n")
    for what, figure, verdict in rows:
        print(f"{what:44} {figure:>14}   {verdict}")
    print(f"{'everything of the GPU':44} {'-':>14}   skipped: tests/gpu/run, on a machine that has one")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
