"""What published.py tries of KORMo, whose class stands beside the models: a Llama with norms of other names, and none of its biases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import opensci
from tiny import Absent, Edit, Variant, Weights, made_up, without

ROWS, WIDTH, LAYERS, HEADS, SHARED, INNER, POSITIONS = 512, 32, 3, 4, 2, 42, 128
SIZE = WIDTH // HEADS
CONFIG: dict[str, Any] = {  # as the class writes it, but for the sizes
    "architectures": ["KORMoForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "auto_map": {
        "AutoConfig": "_configuration_kormo.KORMoConfig",
        "AutoModel": "_modeling_kormo.KORMoModel",
        "AutoModelForCausalLM": "_modeling_kormo.KORMoForCausalLM",
    },
    "bos_token_id": 0,
    "dtype": "bfloat16",
    "eos_token_id": 0,
    "head_dim": SIZE,
    "hidden_act": "silu",
    "hidden_size": WIDTH,
    "initializer_range": 0.02,
    "intermediate_size": INNER,
    "mask_type": None,
    "max_position_embeddings": POSITIONS,
    "mlp_bias": False,
    "model_type": "kormo",
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "num_key_value_heads": SHARED,
    "pad_token_id": None,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "transformers_version": "4.57.1",
    "use_cache": True,
    "vocab_size": ROWS,
}


def weights(keys: int = SHARED, size: int = SIZE) -> Weights:
    made = {"model.embed_tokens.weight": made_up(ROWS, WIDTH), "model.norm.weight": made_up(WIDTH, around=1.0)}
    made["lm_head.weight"] = made_up(ROWS, WIDTH)[::-1].copy()
    matrices = {"self_attn.q_proj": (HEADS * size, WIDTH), "self_attn.o_proj": (WIDTH, HEADS * size), "mlp.down_proj": (WIDTH, INNER)}
    matrices |= {f"self_attn.{name}_proj": (keys * size, WIDTH) for name in "kv"}
    matrices |= {f"mlp.{name}_proj": (INNER, WIDTH) for name in ("gate", "up")}
    for i in range(LAYERS):
        for j, (name, shape) in enumerate(matrices.items()):
            made[f"model.layers.{i}.{name}.weight"] = np.roll(made_up(*shape), i + j) * (1 - i / 6)
        for j, name in enumerate(("pre_attention_layernorm", "pre_mlp_layernorm")):
            made[f"model.layers.{i}.{name}.weight"] = np.roll(made_up(WIDTH, around=1.0), i + 3 * j)
    return made


def shaped(keys: int = SHARED, size: int = SIZE) -> Edit:
    return lambda made: made.update(weights(keys, size))


def names_of_llama(made: Weights) -> None:
    for name in [name for name in made if "pre_attention_layernorm" in name]:
        made[name.replace("pre_attention_layernorm", "input_layernorm")] = made.pop(name)


VARIANTS: dict[str, Variant] = {
    "plain": ({}, None, ""),
    "keys of each head": ({"num_key_value_heads": HEADS}, shaped(keys=HEADS), ""),
    "heads null": ({"num_key_value_heads": None}, shaped(keys=HEADS), ""),
    "heads not said": ({"num_key_value_heads": Absent}, None, "do not fit each other"),  # the class takes 8
    "wide heads": ({"head_dim": 16}, shaped(size=16), ""),
    "head_dim not said": ({"head_dim": Absent}, shaped(size=128), ""),
    "head_dim null": ({"head_dim": None}, None, '"head_dim" is null'),
    "tied": ({"tie_word_embeddings": True}, without("lm_head.weight"), ""),
    "tied, and both differ": ({"tie_word_embeddings": True}, None, "another matrix than model.embed_tokens.weight"),
    "tie not said": ({"tie_word_embeddings": Absent}, None, ""),
    "biases, which the class passes over": ({"attention_bias": True, "mlp_bias": True}, None, ""),
    "activation gelu": ({"hidden_act": "gelu"}, None, ""),
    "activation not said": ({"hidden_act": Absent}, None, ""),
    "epsilon": ({"rms_norm_eps": 1e-2}, None, ""),
    "epsilon not said": ({"rms_norm_eps": Absent}, None, ""),
    "base": ({"rope_theta": 10000.0}, None, ""),
    "base not said": ({"rope_theta": Absent}, None, ""),
    "rope_scaling linear": ({"rope_scaling": opensci.LINEAR}, None, ""),
    "rope_scaling llama3": ({"rope_scaling": opensci.LLAMA3}, None, ""),
    "rope_scaling yarn": ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, None, 'type "yarn"'),
    "rope_parameters": ({"rope_parameters": opensci.LINEAR}, None, '"rope_parameters" is there'),
    "rotated in part": ({"partial_rotary_factor": 0.5}, None, '"partial_rotary_factor" is not 1'),
    "sliding window of other families": ({"sliding_window": 4, "use_sliding_window": True}, None, ""),
    "quantised": ({"quantization_config": {"load_in_4bit": True}}, None, '"quantization_config"'),
    "names of Llama": ({}, names_of_llama, "0.pre_attention_layernorm.weight"),
    "no unembedding": ({}, without("lm_head.weight"), "lm_head.weight"),
}


def logits(config: dict[str, Any], w: dict[str, Any], ids: Any, turned: Any, attended: Any) -> Any:
    from torch.nn import functional as F

    heads, size = config["num_attention_heads"], config.get("head_dim", 128)
    gate = {"silu": F.silu, "gelu": F.gelu}[config.get("hidden_act", "silu")]
    frequencies = opensci.frequencies({"rope_theta": 500000.0} | config, size)

    def norm(x: Any, name: str) -> Any:
        return w[name + ".weight"] * x / (x.square().mean(-1, keepdim=True) + config.get("rms_norm_eps", 1e-5)).sqrt()

    x = w["model.embed_tokens.weight"][ids]
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}."
        y = norm(x, at + "pre_attention_layernorm")
        q, k, v = ((y @ w[f"{at}self_attn.{part}_proj.weight"].T).unflatten(-1, (-1, size)) for part in "qkv")
        q, k = (turned(part, frequencies) for part in (q, k))
        k, v = (part.repeat_interleave(heads // part.shape[1], 1) for part in (k, v))
        x = x + attended(q, k, v, math.sqrt(size)) @ w[at + "self_attn.o_proj.weight"].T
        y = norm(x, at + "pre_mlp_layernorm")
        x = x + (gate(y @ w[at + "mlp.gate_proj.weight"].T) * (y @ w[at + "mlp.up_proj.weight"].T)) @ w[at + "mlp.down_proj.weight"].T
    unembedding = w["model.embed_tokens.weight" if config.get("tie_word_embeddings", False) else "lm_head.weight"]
    return norm(x, "model.norm") @ unembedding.T
