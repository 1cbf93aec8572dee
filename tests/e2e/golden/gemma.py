"""What families.py tries of Gemma, whose classes read some keys each in their own way."""

from __future__ import annotations

from typing import Any

from tiny import Absent, Variant

CONFIG: dict[str, Any] = {"attention_bias": False, "hidden_act": "gelu_pytorch_tanh", "hidden_activation": None, "rope_scaling": None}
VARIANTS: dict[str, Variant] = {
    "activation gelu": ({"hidden_act": "gelu"}, None, '"hidden_act" is "gelu"'),
    "activation silu": ({"hidden_act": "silu"}, None, ""),
    "another name of the activation": ({"hidden_activation": "gelu"}, None, ""),
    "head_dim not said": ({"head_dim": Absent}, None, "q_proj.weight has the shape"),
    "attention to what comes later": ({"use_bidirectional_attention": True}, None, '"use_bidirectional_attention" is true'),
    "attention to what comes before": ({"use_bidirectional_attention": False}, None, ""),
    "mlp bias": ({"mlp_bias": True}, None, ""),
}
# What the variants of every family say otherwise of this one
REFUSALS = {
    "gemma: head_dim null": '"head_dim" is null',
    **{f"gemma: {name}": '"num_key_value_heads" is null' for name in ("heads null", "all heads of their own, null")},
    **{f"gemma: {name}": "do not fit each other" for name in ("heads not said", "all heads of their own, not said")},
    "gemma: tie not said": "another matrix than model.embed_tokens.weight",
}
