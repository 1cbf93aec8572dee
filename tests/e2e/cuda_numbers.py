"""Whether the CUDA module's numbers are the processor's, for test_cuda_module.py and for real GPUs (tests/gpu/daemon.py)."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from running import Daemon

np = pytest.importorskip("numpy", reason="numpy makes a model up")
safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors writes it")

MODEL = "garden/neox-tiny"
NAMES = ["step0", "step512", "step1000", "step14000"]
TEXTS = "garden/lambada_garden:data/test.jsonl"
REQUEST = {"metrics": ["statistics", "perplexity"], "revisions": {"names": NAMES}, "dataset": TEXTS, "limit": 4}
STATISTICS = {"metrics": ["statistics"], "revisions": {"names": [*NAMES, "step2000", "step8000"]}}
VOLATILE = ("bytes_fetched", "measured_at", "first_seen_at", "backend")

SUM_TOLERANCE = 1e-12  # float64 in another order, relative
LOGPROB_TOLERANCE = 0.01  # of a text, half precision against float32; tests/gpu allows 0.03 of each


def query(one: Daemon, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{one.db}?mode=ro", uri=True) as db:
        return db.execute(sql).fetchall()


def distributions(one: Daemon) -> set[tuple[Any, ...]]:
    """Every count of every code, as the database has them."""
    return set(
        query(
            one,
            "SELECT c.digest, d.row_set, d.is_centred, d.code, d.size_raw, d.data FROM distributions d"
            " JOIN contents c ON c.id = d.content_id",
        )
    )


def assert_same_numbers(one: Daemon, cpu: Daemon, names: list[str], model: str = MODEL) -> None:
    """Counts are equal, sums but for their order, texts but for half precision."""
    expected = {row["revision"]: row for row in cpu.series(model)}
    rows = [row for row in one.series(model) if row["state"] == "measured"]
    assert [row["revision"] for row in rows] == names
    for row in rows:
        assert row["backend"] == "cuda"
        for name, value in row.items():
            wanted = expected[row["revision"]][name]
            if name in VOLATILE or name.startswith(("perplexity", "accuracy")) or "lag1" in name:
                continue  # lag1: other neighbours may be measured here; msd and cosine are of the same code
            if isinstance(value, float):
                assert value == pytest.approx(wanted, rel=SUM_TOLERANCE, abs=SUM_TOLERANCE), (row["revision"], name)
            else:
                assert value == wanted, (row["revision"], name)
        if row["perplexity"] is not None:
            assert_same_texts(row, expected[row["revision"]])
    measured = distributions(one)
    assert len(measured) >= 4 * len(names) and measured <= distributions(cpu)


def assert_same_texts(row: dict[str, Any], wanted: dict[str, Any]) -> None:
    count = row["perplexity_documents"]
    assert count == wanted["perplexity_documents"] and row["perplexity_tokens"] == wanted["perplexity_tokens"]
    assert row["accuracy"] == wanted["accuracy"]
    assert row["perplexity_nll_sum"] == pytest.approx(wanted["perplexity_nll_sum"], abs=count * LOGPROB_TOLERANCE)
    assert row["perplexity_nll_sum"] != wanted["perplexity_nll_sum"]  # the CPU's float32 was not what ran


def tasks(one: Daemon) -> dict[str, tuple[str, int, str | None]]:
    """Of each revision: state, failures, code of the error."""
    rows = query(
        one, "SELECT r.name, t.state, t.failures, t.error_code FROM tasks t JOIN revisions r ON r.id = t.revision_id"
    )
    return {name: (state, failures, code or None) for name, state, failures, code in rows}


def write_large(
    folder: Path, garden: Path, layers: int = 24, width: int = 512, *,
    revision: str = "step1", heads: int = 8, vocabulary: int = 512, positions: int = 128, tokenizer: Path | None = None,
) -> int:  # fmt: skip
    """A model of many layers in float16, with the garden's tokenizer; the bytes of its weights. Another revision, other weights."""
    random = np.random.default_rng(int(revision[4:]) + 6)
    place = folder / revision
    place.mkdir(parents=True)
    source = garden / "models" / MODEL
    config = json.loads((source / "step0/config.json").read_text())
    config |= {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": heads}
    config |= {"vocab_size": vocabulary, "max_position_embeddings": positions}
    (place / "config.json").write_text(json.dumps(config))
    shutil.copy(tokenizer or source / "_shared/tokenizer.json", place / "tokenizer.json")
    noise = (random.standard_normal(1 << 20) / math.sqrt(width)).astype(np.float16)

    def matrix(rows: int, columns: int) -> Any:
        return np.roll(np.resize(noise, rows * columns), int(random.integers(1 << 20))).reshape(rows, columns)

    def vector(size: int, offset: float = 0) -> Any:
        return (offset + 0.1 * random.standard_normal(size)).astype(np.float16)

    tensors = {"gpt_neox.embed_in.weight": matrix(vocabulary, width), "embed_out.weight": matrix(vocabulary, width)}
    norms = ["gpt_neox.final_layer_norm"]
    for layer in range(layers):
        name = f"gpt_neox.layers.{layer}"
        norms += [f"{name}.input_layernorm", f"{name}.post_attention_layernorm"]
        for part, rows, columns in (("attention.query_key_value", 3, 1), ("attention.dense", 1, 1),
                                    ("mlp.dense_h_to_4h", 4, 1), ("mlp.dense_4h_to_h", 1, 4)):  # fmt: skip
            tensors[f"{name}.{part}.weight"] = matrix(rows * width, columns * width)
            tensors[f"{name}.{part}.bias"] = vector(rows * width)
    for name in norms:
        tensors |= {f"{name}.weight": vector(width, 1), f"{name}.bias": vector(width)}
    safetensors.save_file(tensors, place / "model.safetensors")
    return sum(tensor.nbytes for tensor in tensors.values())
