"""Made-up training runs whose unembeddings fork at a step that is known, in folders that `file:` models read.

    write_run(folder, hidden_size=64, onset=300)           one checkpoint per step, a few hundred kB each
    score_run(daemon, "file:/…", onset=300)                perplexities that fall around it, into the daemon's store

Each entry walks at random while its two camps, of fixed random signs, move apart in ln step around the onset; from
`rest` on it stands nearly still. Perplexities cannot be made up through weights, so they are written as rows.
"""

from __future__ import annotations

import json
import math
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY = 2048
ONSETS = {32: 80.0, 64: 250.0, 128: 700.0, 256: 2000.0}  # hidden size: step at which two modes appear, about
STEPS = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, *range(1000, 5001, 1000), *range(6000, 20001, 2000)]


def safetensors(name: str, values: np.ndarray) -> bytes:
    head = json.dumps({name: {"dtype": "F16", "shape": list(values.shape), "data_offsets": [0, values.nbytes]}}).encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + values.tobytes()


def separation(step: int, onset: float) -> float:
    """Half the distance of the camps in widths: 0 early, 3 late, 1.3 (two modes) just before the onset."""
    return 0.0 if step == 0 else 3.0 / (1.0 + math.exp(-3.0 * (math.log(step / onset) + 0.1)))


def write_run(folder: Path, hidden_size: int, onset: float, rest: int = 14000, seed: int = 1) -> Path:
    """One folder per step with config.json and model.safetensors; entries are near 0.02 in size."""
    random = np.random.default_rng([seed, hidden_size])
    shape = (VOCABULARY, hidden_size)
    camps = random.choice([-1.0, 1.0], shape)
    noise = random.normal(size=shape)
    config = {
        "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "vocab_size": VOCABULARY, "hidden_size": hidden_size,
        "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 4 * hidden_size, "max_position_embeddings": 128,
        "hidden_act": "gelu", "layer_norm_eps": 1e-5, "rotary_pct": 0.25, "rotary_emb_base": 10000, "tie_word_embeddings": False,
        "use_parallel_residual": True, "torch_dtype": "float16",
    }  # fmt: skip
    before = 0
    for step in STEPS:
        moving = min(step, rest) - min(before, rest)
        kept = math.exp(-moving / 4000)  # of the noise, as weight decay forgets it
        noise = kept * noise + math.sqrt(1 - kept * kept) * random.normal(size=shape)
        before = step
        values = 0.02 * (noise + separation(min(step, rest), onset) * camps)
        if step > rest:
            values += 0.0004 * random.normal(size=shape)
        place = folder / f"step{step}"
        place.mkdir(parents=True)
        (place / "config.json").write_text(json.dumps(config))
        (place / "model.safetensors").write_bytes(safetensors("embed_out.weight", values.astype(np.float16)))
    return folder


def perplexity_at(step: int, onset: float, floor: float = 12.0) -> float:
    """A smooth fall by a factor of 60 around the onset; late training makes it a little worse."""
    fall = 1.0 / (1.0 + math.exp(2.5 * math.log((step + 1) / onset)))
    return floor * math.exp(math.log(60.0) * fall) * (1.0 + 0.02 * max(0.0, math.log((step + 1) / (20 * onset))))


def score_run(daemon: Any, model: str, onset: float) -> None:
    """Gives every measured revision of a model a last-word perplexity. The daemon must not be running."""
    db = sqlite3.connect(daemon.db)
    rows = db.execute(
        "SELECT r.id, r.step FROM revisions r JOIN models m ON m.id = r.model_id WHERE m.name = ? AND r.is_current", (model,)
    ).fetchall()
    for revision, step in rows:
        perplexity = perplexity_at(step, onset)
        cursor = db.execute(
            "INSERT INTO perplexities (weights_digest, dataset_digest, tokenizer_digest, mode, parameters, precision, backend,"
            " definition, documents, tokens, nll_sum, perplexity, perplexity_stderr, accuracy, accuracy_stderr, seconds, measured_ms)"
            " VALUES (?, 'made-up', 'made-up', 'last_word', '{}', 'float32', 'cpu', 1, 500, 700, ?, ?, ?, ?, 0.01, 1, 1)",
            (f"{model} {step}", 500 * math.log(perplexity), perplexity, 0.03 * perplexity, 0.5 / math.log(perplexity)),
        )
        db.execute("INSERT INTO revision_perplexities VALUES (?, 'last_word', ?)", (revision, cursor.lastrowid))
    db.execute("UPDATE models SET version = version + 1 WHERE name = ?", (model,))
    db.commit()
    db.close()
