"""What transformers has no class for, by the names of one that computes the same: the oracle of MiniCPM."""

from __future__ import annotations

from typing import Any

from tiny import Absent


def known(values: dict[str, Any], width: int, heads: int, layers: int) -> dict[str, Any]:
    if values["model_type"] != "minicpm":
        return values
    embedding, depth, base = (1 if values[name] is Absent else values[name] for name in ("scale_emb", "scale_depth", "dim_model_base"))
    return values | {
        "architectures": ["GraniteForCausalLM"],
        "model_type": "granite",
        "tie_word_embeddings": values["tie_word_embeddings"] is Absent or values["tie_word_embeddings"],
        "embedding_multiplier": embedding,
        "attention_multiplier": (width // heads) ** -0.5,
        "residual_multiplier": depth / layers**0.5,
        "logits_scaling": width / base if base else 1.0,
    }
