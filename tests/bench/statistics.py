#!/usr/bin/env python3
"""Tensor statistics beside a good numpy script, in one run, with the same threads, on the same bytes.

    BIFURCATED_BUILD=build/release python3 tests/bench/statistics.py [--rows 50304] [--columns 512] [--threads 2]

The script computes what the two passes compute: counts of the 65,536 codes, displacement and cosine against two
references, central sums of each column, and counts of the column-centred values; for all rows and for the rows of
tokens. It works on blocks of rows that fit the cache, one thread per share of the rows; numpy lets go of its lock.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # one thread per share of the rows, none inside of numpy

import numpy as np  # noqa: E402

BLOCK_ROWS = 256
PADDING = 27


def blocks(begin: int, end: int) -> list[tuple[int, int]]:
    return [(row, min(row + BLOCK_ROWS, end)) for row in range(begin, end, BLOCK_ROWS)]


def first_pass(tensors: list[Any], begin: int, end: int) -> tuple[Any, Any, Any]:
    counts = np.zeros(65536, np.int64)
    columns = np.zeros(tensors[0].shape[1])
    sums = np.zeros((2, 4))
    for low, high in blocks(begin, end):
        counts += np.bincount(tensors[0][low:high].view(np.uint16).ravel(), minlength=65536)
        w = tensors[0][low:high].astype(np.float64)
        columns += w.sum(axis=0)
        for i, reference in enumerate(tensors[1:]):
            r = reference[low:high].astype(np.float64)
            difference = (w - r).ravel()
            flat, other = w.ravel(), r.ravel()
            sums[i] += difference @ difference, flat @ other, flat @ flat, other @ other
    return counts, columns, sums


def second_pass(tensor: Any, begin: int, end: int, means: list[Any]) -> tuple[list[Any], Any]:
    counts = [np.zeros(65536, np.int64) for _ in means]
    powers = np.zeros((3, tensor.shape[1]))
    for low, high in blocks(begin, end):
        single = tensor[low:high].astype(np.float32)
        difference = single.astype(np.float64) - means[0]
        square = difference * difference
        powers[0] += square.sum(axis=0)
        powers[1] += (square * difference).sum(axis=0)
        powers[2] += (square * square).sum(axis=0)
        for count, mean in zip(counts, means, strict=True):
            codes = (single - mean.astype(np.float32)).astype(np.float16).view(np.uint16)
            count += np.bincount(codes.ravel(), minlength=65536)
    return counts, powers


def shares(end: int, threads: int) -> list[tuple[int, int]]:
    return [(end * i // threads, end * (i + 1) // threads) for i in range(threads)]


def numpy_statistics(tensors: list[Any], token_rows: int, pool: ThreadPoolExecutor, threads: int) -> dict[str, Any]:
    rows = tensors[0].shape[0]
    parts = list(pool.map(lambda share: first_pass(tensors, *share), shares(token_rows, threads)))
    padding = first_pass(tensors, token_rows, rows)
    counts = sum(part[0] for part in parts)
    columns = sum(part[1] for part in parts)
    sums = sum(part[2] for part in parts)
    mean_tokens, mean_all = columns / token_rows, (columns + padding[1]) / rows
    means = [mean_tokens, mean_all]
    seconds = list(pool.map(lambda share: second_pass(tensors[0], *share, means), shares(token_rows, threads)))
    second_pass(tensors[0], token_rows, rows, [mean_all])
    return {"counts": counts, "msd": sums[0][0] / (token_rows * tensors[0].shape[1]), "powers": sum(s[1] for s in seconds)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=50304)
    parser.add_argument("--columns", type=int, default=512)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    build = os.environ.get("BIFURCATED_BUILD")
    if not build:
        sys.exit("BIFURCATED_BUILD does not name a build folder")
    token_rows = max(1, arguments.rows - PADDING)
    random = np.random.default_rng(1)
    shape = (arguments.rows, arguments.columns)
    first = random.standard_normal(shape, np.float32) * np.float32(0.028)
    tensors = [(first + np.float32(0.01) * random.standard_normal(shape, np.float32)).astype(np.float16)]
    tensors += [first.astype(np.float16), (first * np.float32(1.01)).astype(np.float16)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.threads) as pool:
        files = [Path(folder) / f"tensor{i}" for i in range(3)]
        for file, tensor in zip(files, tensors, strict=True):
            tensor.tofile(file)
        numpy_s = min(timed(lambda: numpy_statistics(tensors, token_rows, pool, arguments.threads)) for _ in range(2))
        command = [Path(build) / "tests" / "bench_statistics", "float16", *shape, token_rows, arguments.threads]
        command += [arguments.repeats, *files]
        ours = json.loads(subprocess.run([str(word) for word in command], check=True, capture_output=True).stdout)
    tensor_bytes = tensors[0].nbytes
    print(f"tensor              {arguments.rows} x {arguments.columns} float16, {tensor_bytes / 1e6:.1f} MB, two references")
    print(f"threads             {arguments.threads}, {ours['isa']}")
    print(f"numpy               {numpy_s:.3f} s")
    print(f"ours, both passes   {ours['pass_s']:.3f} s = {ours['ns_per_element']:.2f} ns an element")
    print(f"ratio               {numpy_s / ours['pass_s']:.1f} (bar: 5)")
    print(f"plain read          {ours['read_s']:.4f} s = {ours['read_gb_per_s']:.1f} GB/s")
    print(f"share of bandwidth  {100 * ours['share_of_read']:.1f} % of a plain read of the same bytes")
    print(f"summary             {ours['summary_s']:.3f} s for four distributions (one thread)")
    print(f"memory              {ours['own_memory_bytes'] / 1e6:.1f} MB beside the tensors = "
          f"{ours['own_memory_bytes'] / tensor_bytes:.2f} times one")
    return 0 if numpy_s / ours["pass_s"] >= 5 else 1


def timed(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
