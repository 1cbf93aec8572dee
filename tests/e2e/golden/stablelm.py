"""What families.py tries of StableLM, whose keys of config.json have names of their own."""

from __future__ import annotations

from typing import Any

from tiny import Absent, Edit, Variant, without

CONFIG: dict[str, Any] = {
    "rms_norm_eps": Absent,
    "layer_norm_eps": 1e-5,
    "partial_rotary_factor": 0.5,
    "rope_scaling": None,
    "use_qkv_bias": False,
    "use_parallel_residual": False,
    "qk_layernorm": False,
}


def variants(qkv_biases: Edit, linear: dict[str, Any], v5: dict[str, Any]) -> dict[str, Variant]:
    return {
        "biases": ({"use_qkv_bias": True}, qkv_biases, ""),
        "biases that are not there": ({"use_qkv_bias": True}, None, "q_proj.bias"),
        "bias null": ({"use_qkv_bias": None}, None, '"use_qkv_bias" is null'),
        "biases of other families": ({"attention_bias": True, "mlp_bias": True, "rms_norm_eps": 1e-2}, None, ""),
        "keys not said": (dict.fromkeys(("use_qkv_bias", "use_parallel_residual", "qk_layernorm", "partial_rotary_factor"), Absent), None, ""),
        "epsilon of its norms": ({"layer_norm_eps": 1e-2}, None, ""),
        "epsilon of its norms, not said": ({"layer_norm_eps": Absent}, None, ""),
        "epsilon of its norms, null": ({"layer_norm_eps": None}, None, '"layer_norm_eps" is null'),
        **{f"rotated part of {part}": ({"partial_rotary_factor": part}, None, "") for part in (0.25, 0.8, 1, 1.0)},
        "rotated part, odd": ({"partial_rotary_factor": 0.4}, None, "is not an even number"),
        "rotated part, null": ({"partial_rotary_factor": None}, None, '"partial_rotary_factor" is null'),
        "rotated part, as text": ({"partial_rotary_factor": "0.5"}, None, '"partial_rotary_factor" is not a number'),
        "rope_parameters, as version 5 saves it": (
            {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 1.0}, **v5, "partial_rotary_factor": Absent},
            None,
            "",
        ),
        "rope_parameters, and the part beside it": ({"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}, **v5}, None, ""),
        "rope_parameters with another part": (
            {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 1.0}, **v5},
            None,
            '"partial_rotary_factor" stands twice',
        ),
        "rope_scaling linear": ({"rope_scaling": linear}, None, '"rope_scaling" is there'),
        "parallel residual, as in 12B": ({"use_parallel_residual": True}, without("post_attention_layernorm.weight"), '"use_parallel_residual" is true'),
        "norms of heads, as in 12B": ({"qk_layernorm": True}, None, '"qk_layernorm" is true'),
        "one bias of a norm that is not there": ({}, without("1.input_layernorm.bias"), "1.input_layernorm.bias"),
        "attention dropout": ({"attention_dropout": 0.5, "hidden_dropout": 0.5}, None, ""),
    }


# What the variants of every family say otherwise of this one
REFUSALS = {
    **{f"stablelm: {name} heads": '"head_dim" is not hidden_size' for name in ("wide", "narrow")},
    **{f"stablelm: {name}": '"num_key_value_heads" is null' for name in ("heads null", "all heads of their own, null")},
    **{f"stablelm: {name}": "do not fit each other" for name in ("heads not said", "all heads of their own, not said")},
    "stablelm: rope_parameters partial": "",
    "stablelm: rope_scaling beside rope_parameters": '"rope_scaling" is there',
}
