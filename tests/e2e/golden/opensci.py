"""What published.py tries of open-sci-ref, whose class stands beside the models: a Llama with norms of each head's queries and keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tiny import Absent, Edit, Variant, Weights, made_up, without

ROWS, WIDTH, LAYERS, HEADS, INNER, POSITIONS = 512, 32, 3, 4, 42, 128
CONFIG: dict[str, Any] = {  # as published, but for the sizes
    "_name_or_path": "",
    "architectures": ["OpensciForCausalLM"],
    "attention_bias": True,
    "attention_dropout": 0.0,
    "auto_map": {
        "AutoConfig": "configuration_opensci.OpensciConfig",
        "AutoModel": "modeling_opensci.OpensciPreTrainedModel",
        "AutoModelForCausalLM": "modeling_opensci.OpensciForCausalLM",
    },
    "bos_token_id": 0,
    "eos_token_id": 0,
    "head_dim": WIDTH // HEADS,
    "hidden_act": "silu",
    "hidden_size": WIDTH,
    "initializer_range": 0.02,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
    "mlp_bias": True,
    "model_type": "opensci",
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "num_key_value_heads": HEADS,
    "pretraining_tp": 1,
    "qk_layernorm": True,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 10000,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.48.3",
    "use_cache": True,
    "vocab_size": ROWS,
}
LINEAR = {"rope_type": "linear", "factor": 2.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}


def weights(keys: int = HEADS, size: int = WIDTH // HEADS) -> Weights:
    made = {"model.embed_tokens.weight": made_up(ROWS, WIDTH), "model.norm.weight": made_up(WIDTH, around=1.0)}
    matrices = {"self_attn.q_proj": (HEADS * size, WIDTH), "self_attn.o_proj": (WIDTH, HEADS * size), "mlp.down_proj": (WIDTH, INNER)}
    matrices |= {f"self_attn.{name}_proj": (keys * size, WIDTH) for name in "kv"}
    matrices |= {f"mlp.{name}_proj": (INNER, WIDTH) for name in ("gate", "up")}
    norms = {"input_layernorm": WIDTH, "post_attention_layernorm": WIDTH, "self_attn.q_layernorm": size, "self_attn.k_layernorm": size}
    for i in range(LAYERS):
        for j, (name, shape) in enumerate(matrices.items()):
            made[f"model.layers.{i}.{name}.weight"] = np.roll(made_up(*shape), i + j) * (1 - i / 6)
            made[f"model.layers.{i}.{name}.bias"] = np.roll(made_up(shape[0]), i + j) * 0.5
        for j, (name, width) in enumerate(norms.items()):
            made[f"model.layers.{i}.{name}.weight"] = np.roll(made_up(width, around=1.0), i + j)
    return made


def head(made: Weights) -> None:
    made["lm_head.weight"] = made_up(ROWS, WIDTH)[::-1].copy()


def equal_head(made: Weights) -> None:
    made["lm_head.weight"] = made["model.embed_tokens.weight"].copy()


def later_names(made: Weights) -> None:
    for name in [name for name in made if "_layernorm.weight" in name and "self_attn" in name]:
        made[name.replace("_layernorm", "_norm")] = made.pop(name)


def shaped(keys: int = HEADS, size: int = WIDTH // HEADS) -> Edit:
    return lambda made: made.update(weights(keys, size))


VARIANTS: dict[str, Variant] = {
    "plain": ({}, None, ""),
    "both are equal": ({}, equal_head, ""),
    "tied, and both differ": ({}, head, "another matrix than model.embed_tokens.weight"),
    "not tied": ({"tie_word_embeddings": False}, head, ""),
    "tie not said": ({"tie_word_embeddings": Absent}, head, ""),
    "shared keys": ({"num_key_value_heads": 2}, shaped(keys=2), ""),
    "heads null": ({"num_key_value_heads": None}, None, ""),
    "heads not said": ({"num_key_value_heads": Absent}, None, ""),
    "wide heads": ({"head_dim": 16}, shaped(size=16), ""),
    "head_dim not said": ({"head_dim": Absent}, None, ""),
    "head_dim null": ({"head_dim": None}, None, ""),
    "no biases": ({"attention_bias": False, "mlp_bias": False}, without(".bias"), ""),
    "biases not said": ({"attention_bias": Absent, "mlp_bias": Absent}, without(".bias"), ""),
    "biases of attention alone": ({"mlp_bias": False}, without("_proj.bias"), "q_proj.bias"),
    "activation gelu": ({"hidden_act": "gelu"}, None, ""),
    "activation not said": ({"hidden_act": Absent}, None, ""),
    "epsilon": ({"rms_norm_eps": 1e-2}, None, ""),
    "epsilon not said": ({"rms_norm_eps": Absent}, None, ""),
    "base of the longer contexts": ({"rope_theta": 1000000}, None, ""),
    "base not said": ({"rope_theta": Absent}, None, ""),
    "rope_scaling linear": ({"rope_scaling": LINEAR}, None, ""),
    "rope_scaling llama3": ({"rope_scaling": LLAMA3}, None, ""),
    "rope_scaling yarn": ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, None, 'type "yarn"'),
    "rope_parameters": ({"rope_parameters": LINEAR}, None, '"rope_parameters" is there'),
    "rotated in part": ({"partial_rotary_factor": 0.5}, None, '"partial_rotary_factor" is not 1'),
    "norms of heads not said": ({"qk_layernorm": Absent}, None, '"qk_layernorm" is not true'),
    "no norms of heads": ({"qk_layernorm": False}, without("q_layernorm.weight", "k_layernorm.weight"), '"qk_layernorm" is not true'),
    "norms of heads, as text": ({"qk_layernorm": "true"}, None, '"qk_layernorm" is not true'),
    "names of the later class": ({"qk_layernorm": Absent}, later_names, '"qk_layernorm" is not true'),
    "sliding window of other families": ({"sliding_window": 4, "use_sliding_window": True, "layer_types": ["sliding_attention"] * LAYERS}, None, ""),
    "quantised": ({"quantization_config": {"load_in_4bit": True}}, None, '"quantization_config"'),
    "heads that do not divide": ({"num_attention_heads": 5, "head_dim": Absent}, None, "do not fit each other"),
    "one norm of heads that is not there": ({}, without("1.self_attn.k_layernorm.weight"), "1.self_attn.k_layernorm.weight"),
    "one bias that is not there": ({}, without("1.mlp.up_proj.bias"), "1.mlp.up_proj.bias"),
}


def frequencies(config: dict[str, Any], size: int) -> Any:
    """As transformers' linear and llama3 have them, in float32."""
    import torch

    found = 1.0 / config.get("rope_theta", 10000.0) ** (torch.arange(0, size, 2, dtype=torch.float32) / size)
    scaling = config.get("rope_scaling")
    if not scaling:
        return found
    if scaling["rope_type"] == "linear":
        return found / scaling["factor"]
    turns = scaling["original_max_position_embeddings"] * found / (2 * math.pi)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    blend = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 - blend) * found / scaling["factor"] + blend * found


def logits(config: dict[str, Any], w: dict[str, Any], ids: Any, rotated: Any, attended: Any) -> Any:
    import torch
    from torch.nn import functional as F

    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    gate = {"silu": F.silu, "gelu": F.gelu}[config.get("hidden_act", "silu")]

    def norm(x: Any, name: str) -> Any:
        return w[name + ".weight"] * x / (x.square().mean(-1, keepdim=True) + config.get("rms_norm_eps", 1e-6)).sqrt()

    def matrix(x: Any, name: str, has_bias: bool) -> Any:
        return x @ w[name + ".weight"].T + (w[name + ".bias"] if has_bias else 0)

    x = w["model.embed_tokens.weight"][ids]
    for i in range(config["num_hidden_layers"]):
        at, has_bias = f"model.layers.{i}.", config.get("attention_bias", False)
        y = norm(x, at + "input_layernorm")
        q, k, v = (matrix(y, f"{at}self_attn.{part}_proj", has_bias).unflatten(-1, (-1, size)) for part in "qkv")
        q, k = (rotated(norm(part, f"{at}self_attn.{name}_layernorm"), frequencies(config, size)) for part, name in ((q, "q"), (k, "k")))
        k, v = (part.repeat_interleave(heads // part.shape[1], 1) for part in (k, v))
        x = x + matrix(attended(q, k, v, math.sqrt(size)), at + "self_attn.o_proj", has_bias)
        y, has_bias = norm(x, at + "post_attention_layernorm"), config.get("mlp_bias", False)
        wide = gate(matrix(y, at + "mlp.gate_proj", has_bias)) * matrix(y, at + "mlp.up_proj", has_bias)
        x = x + matrix(wide, at + "mlp.down_proj", has_bias)
    unembedding = w["model.embed_tokens.weight" if config.get("tie_word_embeddings", False) else "lm_head.weight"]
    return norm(x, "model.norm") @ torch.as_tensor(unembedding).T
