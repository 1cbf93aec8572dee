"""Small repositories for tests, written without any library."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

ROWS, COLUMNS = 96, 16


def safetensors(tensors: dict[str, tuple[str, list[int], bytes]], metadata: dict[str, str] | None = None) -> bytes:
    """A safetensors file of name -> (dtype, shape, bytes)."""
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values())


def halves(count: int, seed: int) -> bytes:
    """`count` fp16 numbers of a normal distribution."""
    source = random.Random(seed)
    return struct.pack(f"<{count}e", *(source.gauss(0, 0.02) for _ in range(count)))


def write_revision(folder: Path, seed: int) -> None:
    """A folder as a small model publishes it: weights twice, config, tokenizer, a file in a subfolder."""
    folder.mkdir(parents=True)
    tensors = {
        "embed_out.weight": ("F16", [ROWS, COLUMNS], halves(ROWS * COLUMNS, seed)),
        "gpt_neox.embed_in.weight": ("F16", [ROWS, COLUMNS], halves(ROWS * COLUMNS, seed + 1)),
    }
    (folder / "model.safetensors").write_bytes(safetensors(tensors, {"format": "pt"}))
    (folder / "pytorch_model.bin").write_bytes(random.Random(seed).randbytes(300_000))
    config = {
        "architectures": ["GPTNeoXForCausalLM"],
        "model_type": "gpt_neox",
        "vocab_size": ROWS,
        "hidden_size": COLUMNS,
    }
    (folder / "config.json").write_text(json.dumps(config | {"seed": seed}))
    vocabulary = {f"token {number}": number for number in range(2000)}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))
    (folder / "extra").mkdir()
    (folder / "extra" / "notes é.txt").write_text("a path that must be quoted\n")
    (folder / "empty.txt").write_bytes(b"")


def write_root(root: Path) -> Path:
    """org/small (four revisions), org/gated, org/secret, org/disabled, and the data set org/texts."""
    small = root / "models" / "org" / "small"
    for seed, name in enumerate(("step0", "step512", "step1000", "step2000")):
        write_revision(small / name, seed)
    (small / "_shared").mkdir()
    (small / "_shared" / "license.txt").write_text("served in every revision\n")
    _config(
        small,
        branches={"main": "step2000", "step1": "step0"},
        tags={"v1": "step1000", "v2": "main"},
        pulls={"1": "step512"},
        shared={"LICENSE": "_shared/license.txt"},
        renamed_from=["old/small", "small"],
    )
    for name, config in (("gated", {"gated": "auto"}), ("secret", {"private": True}), ("disabled", {"disabled": True})):
        write_revision(root / "models" / "org" / name / "main", 10)
        _config(root / "models" / "org" / name, **config)
    texts = root / "datasets" / "org" / "texts" / "main"
    texts.mkdir(parents=True)
    (texts / "test.jsonl").write_text('{"text": "one two three"}\n')
    (texts / "train.parquet").write_bytes(b"PAR1" + bytes(1000) + b"PAR1")
    return root


def _config(folder: Path, **values: object) -> None:
    (folder / "branches.json").write_text(json.dumps(values))
