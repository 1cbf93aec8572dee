"""What families.py tries of Nemotron: an MLP without a gate, squares of what is positive, and weights of norms that are stored less 1."""

from __future__ import annotations

from typing import Any

from tiny import Absent, Edit, Variant, without

CONFIG: dict[str, Any] = {  # as Luciole's 1B, whose heads are rotated by half
    "rms_norm_eps": Absent,
    "norm_eps": 1e-5,
    "hidden_act": "relu2",
    "partial_rotary_factor": 0.5,
    "rope_scaling": None,
    "attention_bias": False,
    "mlp_bias": False,
}


def variants(attention_biases: Edit, mlp_biases: Edit, linear: dict[str, Any], v5: dict[str, Any]) -> dict[str, Variant]:
    half = {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5}
    return {
        "attention biases": ({"attention_bias": True}, attention_biases, ""),
        "MLP biases": ({"mlp_bias": True}, mlp_biases, ""),
        "attention biases that are not there": ({"attention_bias": True}, None, "q_proj.bias"),
        "MLP biases that are not there": ({"mlp_bias": True}, None, "up_proj.bias"),
        "biases null": ({"attention_bias": None}, None, '"attention_bias" is null'),
        "keys not said": (dict.fromkeys(("attention_bias", "mlp_bias", "partial_rotary_factor", "rope_scaling"), Absent), None, ""),
        "activation said otherwise": ({"hidden_act": "relu"}, None, ""),
        "activation gelu": ({"hidden_act": "gelu"}, None, ""),
        "epsilon of its norms": ({"norm_eps": 1e-2}, None, ""),
        "epsilon of its norms, not said": ({"norm_eps": Absent}, None, ""),
        "epsilon of its norms, null": ({"norm_eps": None}, None, '"norm_eps" is null'),
        "epsilon of other families": ({"rms_norm_eps": 1e-2, "layer_norm_eps": 1e-2}, None, ""),
        **{f"rotated part of {part}": ({"partial_rotary_factor": part}, None, "") for part in (0.25, 0.8, 1, 1.0)},
        "rotated part, odd": ({"partial_rotary_factor": 0.4}, None, "is not an even number"),
        "rotated part, null": ({"partial_rotary_factor": None}, None, '"partial_rotary_factor" is null'),
        "rotated part of other families": ({"partial_rotary_factor": Absent, "rotary_pct": 1.0, "rope_percent": 1.0}, None, ""),
        "rope_parameters, as version 5 saves it": ({"rope_parameters": half, **v5, "partial_rotary_factor": Absent}, None, ""),
        "rope_parameters with another part": ({"rope_parameters": half | {"partial_rotary_factor": 1.0}, **v5}, None, '"partial_rotary_factor" stands twice'),
        "rope_scaling linear": ({"rope_scaling": linear}, None, '"rope_scaling" is there'),
        "gate of other families": ({"mlp_gate": True}, None, ""),
        "sliding window": ({"sliding_window": 4}, None, ""),
        "one bias of a norm that is not there": ({}, without("1.input_layernorm.bias"), "1.input_layernorm.bias"),
        "norms of Llama": ({}, without("norm.bias"), "norm.bias"),
    }


# What the variants of every family say otherwise of this one
REFUSALS = {
    **{f"nemotron: {name}": '"num_key_value_heads" is null' for name in ("heads null", "all heads of their own, null")},
    **{f"nemotron: {name}": '"num_key_value_heads" is not there' for name in ("heads not said", "all heads of their own, not said")},
    "nemotron: rope_parameters partial": "",
    "nemotron: rope_scaling beside rope_parameters": '"rope_scaling" is there',
}
