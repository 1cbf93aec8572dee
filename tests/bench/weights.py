"""From a folder's checkpoint to the digest of its weights, before a model is scored: one thread that reads and then hashes, one that
reads while others hash, and threads for both.

    BIFURCATED_BUILD=build/release python -m tests.bench.weights [--size 410m] [--rounds 5]

A random checkpoint of Pythia's shape SIZE in a temporary folder, in one safetensors file. Rounds alternate between the three (score_probe,
read_threads and digest_threads 1 or 0), so that a busy machine is the same for all; the digests must be equal. Bytes are those that the
program asked the system for.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import struct
import subprocess
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
GARDEN = REPOSITORY / "tests/fixtures/garden/hub/models/garden/neox-tiny"
SHAPES = {"14m": (6, 128), "70m": (6, 512), "160m": (12, 768), "410m": (24, 1024), "1b": (16, 2048)}  # layers, width
VOCABULARY = 50304
WAYS = {"one thread": (1, 1), "one reads, others hash": (1, 0), "threads for both": (0, 0)}  # read_threads, digest_threads


def shapes_of(layers: int, width: int) -> dict[str, list[int]]:
    shapes = {"gpt_neox.embed_in.weight": [VOCABULARY, width], "embed_out.weight": [VOCABULARY, width]}
    norms = ["gpt_neox.final_layer_norm"]
    for layer in range(layers):
        name = f"gpt_neox.layers.{layer}"
        norms += [f"{name}.input_layernorm", f"{name}.post_attention_layernorm"]
        for part, rows, columns in (("attention.query_key_value", 3, 1), ("attention.dense", 1, 1), ("mlp.dense_h_to_4h", 4, 1), ("mlp.dense_4h_to_h", 1, 4)):
            shapes[f"{name}.{part}.weight"] = [rows * width, columns * width]
            shapes[f"{name}.{part}.bias"] = [rows * width]
    for name in norms:
        shapes |= {f"{name}.weight": [width], f"{name}.bias": [width]}
    return shapes


def write_checkpoint(folder: Path, layers: int, width: int) -> int:
    """Bytes of its weights."""
    config = json.loads((GARDEN / "step0/config.json").read_text())
    config |= {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers, "num_attention_heads": width // 64, "vocab_size": VOCABULARY}
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copy(GARDEN / "_shared/tokenizer.json", folder)
    header, at = {}, 0
    for name, shape in shapes_of(layers, width).items():
        size = 2 * shape[0] * (shape[1] if len(shape) == 2 else 1)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = os.urandom(16 << 20)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for begin in range(0, at, len(block)):
            file.write(block[: at - begin])
    return at


def open_once(probe: Path, folder: Path, texts: Path, threads: tuple[int, int]) -> tuple[float, str, int]:
    """Seconds, digest, bytes that were read, of a process of its own."""
    script = f'"$0" "$1" "$2" stop=1 read_threads={threads[0]} digest_threads={threads[1]}; cat /proc/$$/io'
    shown = subprocess.run(["sh", "-c", script, probe, folder, texts], capture_output=True, text=True, check=True).stdout
    first, *rest = shown.splitlines()
    found = json.loads(first)
    if "error" in found:
        raise SystemExit(found["message"])
    return found["open_seconds"], found["identity"]["weights"], int(dict(line.split(": ") for line in rest)["rchar"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SHAPES, default="410m")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    probe = (REPOSITORY / os.environ.get("BIFURCATED_BUILD", "build/release") / "tests/score_probe").resolve()
    with tempfile.TemporaryDirectory() as place:
        folder, texts = Path(place), Path(place) / "texts.jsonl"
        texts.write_text('{"text": "I am he"}\n')
        size = write_checkpoint(folder, *SHAPES[arguments.size])
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        digests, read = set(), {}
        for _ in range(arguments.rounds + 1):
            for way, taken in seconds.items():
                one, digest, read[way] = open_once(probe, folder, texts, WAYS[way])
                taken.append(one)
                digests.add(digest)
        assert len(digests) == 1, digests
    for way, taken in seconds.items():
        del taken[0]  # the file was not in memory, or not all of it
        first = seconds["one thread"]  # whose first is gone already
        print(f"{way:<24} median {statistics.median(taken):.3f} s, best {min(taken):.3f} s, {size / min(taken) / 1e9:.2f} GB/s, ratio of the medians"
              f" {statistics.median(first) / statistics.median(taken):.2f}, of the best {min(first) / min(taken):.2f};"
              f" bytes read / bytes of the weights {read[way] / size:.3f}")  # fmt: skip
    print(f"{arguments.size}, {size / 1e6:.0f} MB, {len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
