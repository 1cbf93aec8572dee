"""Speed of the tokenizer beside the `tokenizers` package: one thread, the same texts, one run.

    python tests/bench/tokenizer.py --build BUILD --tokenizer 20B_tokenizer.json --texts lambada_test.jsonl

Passes alternate between the two; the best of each counts. The first pass is with empty caches, later ones with warm
caches. `encode_batch_fast` (no offsets) on one thread is the package's quickest call; what it does beyond ids (token
strings) it cannot be told to leave out. Exit status 1 if the ids differ in number.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import time
from pathlib import Path

os.environ.update(RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
import tokenizers  # noqa: E402  (reads the environment when it is imported)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True, help="build folder (preset release)")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json")
    parser.add_argument("--texts", type=Path, required=True, help="JSON lines with a field text")
    parser.add_argument("--passes", type=int, default=5)
    options = parser.parse_args()

    texts = [json.loads(line)["text"] for line in options.texts.read_bytes().splitlines()]
    encoded = [text.encode() for text in texts]
    stdin = b"".join(struct.pack("<I", len(text)) + text for text in encoded)
    size_mb = sum(map(len, encoded)) / 1e6
    peer = tokenizers.Tokenizer.from_file(str(options.tokenizer))
    command = [options.build / "tests/bench_tokenizer", options.tokenizer, "2"]

    ours: dict[str, list[float]] = {"cold": [], "warm": []}
    theirs: dict[str, list[float]] = {"cold": [], "warm": []}
    counts = set()
    for _ in range(options.passes):
        ran = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True).stdout.decode()
        rows = [line.split() for line in ran.splitlines() if line.startswith("pass")]
        ours["cold"].append(float(rows[0][1]))
        ours["warm"].append(float(rows[1][1]))
        counts.add(int(rows[0][3]))
        peer = tokenizers.Tokenizer.from_file(str(options.tokenizer))
        for kind in theirs:
            start = time.perf_counter()
            result = peer.encode_batch_fast(texts, add_special_tokens=False)
            theirs[kind].append(time.perf_counter() - start)
        counts.add(sum(len(encoding) for encoding in result))
    print(f"{len(texts)} texts, {size_mb:.2f} MB, {max(counts)} tokens, tokenizers {tokenizers.__version__}")
    print(f"{'':12}{'cold s':>10}{'MB/s':>8}{'warm s':>10}{'MB/s':>8}")
    for name, times in (("bifurcated", ours), ("tokenizers", theirs)):
        cold, warm = min(times["cold"]), min(times["warm"])
        print(f"{name:12}{cold:10.4f}{size_mb / cold:8.1f}{warm:10.4f}{size_mb / warm:8.1f}")
    for kind in ours:
        print(f"ratio {kind}: {min(theirs[kind]) / min(ours[kind]):.2f}")
    if len(counts) != 1:
        print(f"token counts differ: {sorted(counts)}")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
