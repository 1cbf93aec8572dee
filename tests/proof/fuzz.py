"""Every fuzzer for some time, with address and undefined sanitizers; what gives new coverage is kept in its corpus.

A crash, a leak, an input that takes longer than 25 s or more than 2 GiB is a failure; the input is kept and named.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import stage
from stage import ROOT, need

SMALL_BYTES = 2048  # of an input that is kept
KEPT_MAX = 30  # new inputs of one run and corpus
LIMITS = ["-timeout=25", "-rss_limit_mb=2048", "-verbosity=1", "-print_final_stats=1"]

# What reads bytes from outside, and the fuzzer for it: a parser without one fails, and so does a fuzzer that is not named here.
PARSERS = {
    "replies of the hub": "hub_json",
    "names of revisions, rules for them": "revision_name",
    "safetensors": "safetensors",
    "zip": "zip",
    "pickle": "pickle",
    "shard index": "shard_index",
    "metadata of distributed checkpoints": "chunk_index",
    "tensors in chunks": "spread",
    "folders of ranks' files": "ranks",
    "config.json, vocabulary": "config",
    "tokenizer.json": "tokenizer_json",
    "tokenizer.model": "tokenizer_model",
    "what stands beside tokenizer.model": "tokenizer_model_config",
    "what stands beside tokenizer.json": "tokenizer_config",
    "which token a tokenizer puts before a text": "tokenizer_start",
    "JSONL and text data sets": "jsonl",
    "INI options": "options",
    "HTTP requests, through the server and its handlers": "request",
    "sweep requests": "sweep_request",
    "watch requests": "watch_request",
    "token requests": "token_request",
    "addresses of the API": "uri",
    "stored large values": "blob",
    "results of remote workers": "wire",
    "answers that are drawn": "plot",
    "what Slurm's programs print": "slurm_output",
}


def names() -> list[str]:
    return sorted(path.stem.removeprefix("fuzz_") for path in (ROOT / "tests/fuzz").glob("fuzz_*.c"))


def fuzz_one(folder: Path, name: str, seconds: int, place: Path) -> tuple[str, int, str]:
    """Runs one fuzzer on a copy of its corpus: its name, executed inputs, and what went wrong."""
    work, corpus = place / name, ROOT / "tests/fuzz/corpus" / name
    work.mkdir()
    command = ["nice", str(folder / f"tests/fuzz_{name}"), f"-max_total_time={seconds}", f"-artifact_prefix={work}/artifact-",
               *LIMITS, str(work), str(corpus)]  # fmt: skip
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, errors="replace")
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    wrong = ""
    if done.returncode:
        crashes = sorted(str(one) for one in work.glob("artifact-*"))
        wrong = f"{name}: status {done.returncode}, inputs {crashes}:\n{done.stderr[-3000:]}"
    return name, int(runs.group(1)) if runs else 0, wrong


def grow(folder: Path, name: str, place: Path) -> int:
    """Adds to the corpus the small inputs that reach what it did not reach; how many."""
    corpus, merged = ROOT / "tests/fuzz/corpus" / name, place / f"{name}-merged"
    shutil.copytree(corpus, merged)
    before = {path.name for path in merged.iterdir()}
    command = ["nice", str(folder / f"tests/fuzz_{name}"), "-set_cover_merge=1", "-timeout=25", "-rss_limit_mb=2048",
               str(merged), str(place / name)]  # fmt: skip
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, errors="replace")
    need(done.returncode == 0, f"{name}: merging failed:\n{done.stderr[-2000:]}")
    new = [path for path in merged.iterdir() if path.name not in before and path.stat().st_size <= SMALL_BYTES]
    new = sorted(new, key=lambda path: (path.stat().st_size, path.name))[:KEPT_MAX]
    for path in new:
        shutil.copy(path, corpus / path.name[:16])
    return len(new)


def check_parsers() -> None:
    """Every parser has its fuzzer, and every fuzzer its parser."""
    missing, unknown = set(PARSERS.values()) - set(names()), set(names()) - set(PARSERS.values())
    need(not missing, "parsers without a fuzzer:", sorted(missing))
    need(not unknown, "fuzzers that PARSERS does not name:", sorted(unknown))


def run(seconds: int, is_growing: bool = False, chosen: list[str] | None = None) -> str:
    check_parsers()
    need(set(chosen or []) <= set(names()), f"{', '.join(chosen or [])}: not all of them are fuzzers; there are {', '.join(names())}")
    if not shutil.which("clang"):
        raise stage.Skipped("clang is not installed: apt-get install clang")
    which = chosen or names()
    folder = stage.build("fuzz", *[f"fuzz_{name}" for name in which])
    with stage.workplace("fuzz") as place:
        with ThreadPoolExecutor(int(os.environ.get("JOBS", str(os.cpu_count() or 1)))) as pool:
            results = list(pool.map(lambda name: fuzz_one(folder, name, seconds, place), which))
        wrong = [text for _, _, text in results if text]
        need(not wrong, f"{len(wrong)} fuzzers found something\n" + "\n".join(wrong))
        kept = {name: grow(folder, name, place) for name in which} if is_growing else {}
        need(all(count for _, count, _ in results), "fuzzers that ran nothing:", results)
    inputs = ", ".join(f"{name} {count:,}" for name, count, _ in results)
    more = f"; added to the corpora: {kept}" if is_growing else ""
    return f"{len(results)} fuzzers for {seconds} s each, no finding ({inputs}){more}"
