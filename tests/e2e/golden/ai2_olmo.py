"""Makes ai2_olmo.json: what AllenAI's own class makes of the keys of config.json, on tiny models of made-up weights; and
what transformers makes of the same weights where it has a class for them (Llama with RMS norms, OLMo without parameters).

    python tests/e2e/golden/ai2_olmo.py     (torch, transformers 4, ai2-olmo 0.6.0; seconds)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from tiny import Absent, Edit, Variant, Weights, bare, made_up, measure_all, without, write, write_variant  # noqa: E402

ROWS, WIDTH, LAYERS, HEADS, INNER = 512, 32, 3, 4, 64
# The keys of a DataDecide model
CONFIG: dict[str, Any] = {
    "architectures": ["OLMoForCausalLM"],
    "model_type": "hf_olmo",
    "d_model": WIDTH,
    "n_heads": HEADS,
    "n_kv_heads": None,
    "n_layers": LAYERS,
    "mlp_ratio": 2 * INNER // WIDTH,
    "mlp_hidden_size": None,
    "activation_type": "swiglu",
    "block_type": "sequential",
    "block_group_size": 1,
    "alibi": False,
    "alibi_bias_max": 8.0,
    "rope": True,
    "rope_full_precision": True,
    "rope_theta": 10000,
    "flash_attention": True,
    "attention_dropout": 0.0,
    "multi_query_attention": None,
    "attention_layer_norm": False,
    "residual_dropout": 0.0,
    "embedding_dropout": 0.0,
    "embedding_layer_norm": False,
    "layer_norm_type": "rms",
    "layer_norm_with_affine": True,
    "layer_norm_eps": 1e-6,
    "attention_layer_norm_with_affine": False,
    "max_sequence_length": 128,
    "include_bias": False,
    "bias_for_layer_norm": False,
    "scale_logits": False,
    "vocab_size": ROWS - 24,
    "embedding_size": ROWS,
    "weight_tying": False,
    "eos_token_id": 0,
    "pad_token_id": 1,
    "clip_qkv": None,
    "init_device": "cuda",
    "init_fn": "normal",
    "init_std": 0.02,
    "init_cutoff_factor": 3,
    "norm_after": False,
    "precision": "amp_bf16",
    "use_cache": False,
}
# What OLMo-1B and OLMo-7B say otherwise
OLMO = {"layer_norm_type": "default", "layer_norm_with_affine": False, "layer_norm_eps": 1e-5}
BIASES = {"include_bias": True, "weight_tying": True}


def weights(inner: int = INNER, keys: int = WIDTH) -> Weights:
    """All that some variant has: the class passes over the others."""
    made = {"model.transformer.wte.weight": made_up(ROWS, WIDTH), "model.transformer.ff_out.weight": made_up(ROWS, WIDTH)[::-1].copy()}
    shapes = {"att_proj": (WIDTH + 2 * keys, WIDTH), "attn_out": (WIDTH, WIDTH), "ff_proj": (2 * inner, WIDTH), "ff_out": (WIDTH, inner)}
    norms = [f"blocks.{i}.{name}" for i in range(LAYERS) for name in ("attn_norm", "ff_norm")]
    for i, name in enumerate([*norms, "ln_f"]):
        made[f"model.transformer.{name}.weight"] = np.roll(made_up(WIDTH, around=1.0), i)
        made[f"model.transformer.{name}.bias"] = np.roll(made_up(WIDTH), i)
    for i in range(LAYERS):
        for name, size in shapes.items():
            made[f"model.transformer.blocks.{i}.{name}.weight"] = np.roll(made_up(*size), i + len(name)) * (1 - i / 6)
            made[f"model.transformer.blocks.{i}.{name}.bias"] = np.roll(made_up(size[0]), i + len(name))
    return made


def shaped(inner: int = INNER, keys: int = WIDTH) -> Edit:
    return lambda made: made.update(weights(inner, keys))


def tied(made: Weights) -> None:
    del made["model.transformer.ff_out.weight"]


VARIANTS: dict[str, Variant] = {
    "DataDecide": ({}, None, ""),
    "OLMo": (OLMO, None, ""),
    "OLMo, without norms in the file": (OLMO, without("norm.weight", "norm.bias", "ln_f.weight", "ln_f.bias"), ""),
    "OLMo, tied": (OLMO | {"weight_tying": True}, tied, ""),
    "OLMo, low precision": (OLMO | {"layer_norm_type": "low_precision"}, None, ""),
    "names without model": ({}, bare("model."), ""),
    "layer norm with weights": (OLMO | {"layer_norm_with_affine": True}, None, ""),
    "layer norm with biases": (OLMO | {"layer_norm_with_affine": True, "bias_for_layer_norm": True}, None, ""),
    "layer norm with biases as all": (OLMO | BIASES | {"layer_norm_with_affine": True, "bias_for_layer_norm": None}, tied, ""),
    "layer norm without biases beside others": (OLMO | BIASES | {"layer_norm_with_affine": True}, tied, ""),
    "norm without biases said by the other flag": (OLMO | {"layer_norm_with_affine": True, "bias_for_layer_norm": None}, None, ""),
    "rms without weights": ({"layer_norm_with_affine": False}, None, ""),
    "rms with biases": ({"bias_for_layer_norm": True}, None, "the norms have a bias"),
    "rms without weights, with biases said": ({"layer_norm_with_affine": False, "bias_for_layer_norm": True}, None, ""),
    "norm of another type": ({"layer_norm_type": "amd_compatible"}, None, '"layer_norm_type" is none of'),
    "norm null": ({"layer_norm_type": None}, None, '"layer_norm_type" is none of'),
    "norms that are not there": ({}, without("ln_f.weight"), "ln_f.weight"),
    "biases": (BIASES, tied, ""),
    "biases, not tied": ({"include_bias": True}, None, "gives the unembedding a bias"),
    "biases not said": ({"include_bias": Absent, "weight_tying": True}, tied, ""),
    "biases that are not there": (BIASES, without("1.ff_proj.bias", "r.ff_out.weight"), "1.ff_proj.bias"),
    "not tied, and not there": ({}, tied, "ff_out.weight"),
    "tied by another name": ({"tie_word_embeddings": True}, None, ""),
    "tie not said": ({"weight_tying": Absent}, tied, ""),
    "tie null": ({"weight_tying": None}, None, '"weight_tying" is null'),
    "rows not padded": ({"vocab_size": ROWS}, None, ""),
    "rows as vocab_size": ({"vocab_size": ROWS, "embedding_size": None}, None, ""),
    "fewer rows": ({"vocab_size": ROWS + 1}, None, '"embedding_size" is less than'),
    "rows not said": ({"embedding_size": Absent}, None, "wte.weight has the shape"),
    "clipped": ({"clip_qkv": 0.5}, None, ""),
    "clipped by an integer": ({"clip_qkv": 1}, None, ""),
    "clipped to nothing": ({"clip_qkv": 0.0}, None, '"clip_qkv" is no positive number'),
    "two keys": ({"n_kv_heads": 2}, shaped(keys=WIDTH // 2), ""),
    "one key": ({"n_kv_heads": 1}, shaped(keys=WIDTH // HEADS), ""),
    "one key by the older flag": ({"multi_query_attention": True}, shaped(keys=WIDTH // HEADS), ""),
    "as many keys by the older flag": ({"multi_query_attention": False}, None, ""),
    "keys by both": ({"multi_query_attention": False, "n_kv_heads": HEADS}, None, ""),
    "keys that differ": ({"multi_query_attention": True, "n_kv_heads": 2}, shaped(keys=WIDTH // 2), "says otherwise than n_kv_heads"),
    "two keys and a limit": (OLMO | {"n_kv_heads": 2, "clip_qkv": 1.0}, shaped(keys=WIDTH // 2), ""),
    "mlp_hidden_size": ({"mlp_hidden_size": 96, "mlp_ratio": 0}, shaped(inner=48), ""),
    "mlp_hidden_size odd": ({"mlp_hidden_size": 97}, shaped(inner=48), "that has no half"),
    "mlp_ratio not said": ({"mlp_ratio": Absent}, shaped(inner=2 * WIDTH), ""),
    "epsilon": ({"layer_norm_eps": 1e-2}, None, ""),
    "epsilon not said": ({"layer_norm_eps": Absent}, None, ""),
    "base": ({"rope_theta": 100}, None, ""),
    "base not said": ({"rope_theta": Absent}, None, ""),
    "no rotary embeddings": ({"rope": False}, None, '"rope" is not true'),
    "rotary embeddings not said": ({"rope": Absent}, None, '"rope" is not true'),
    "alibi": ({"alibi": True, "rope": False}, None, '"alibi" is true'),
    "gelu": ({"activation_type": "gelu"}, shaped(inner=2 * INNER), '"activation_type" is not swiglu'),
    "activation not said": ({"activation_type": Absent}, None, ""),
    "activation of other families": ({"hidden_act": "relu"}, None, ""),
    "queries and keys normed": ({"attention_layer_norm": True}, None, '"attention_layer_norm" is true'),
    "embeddings normed": ({"embedding_layer_norm": True}, None, '"embedding_layer_norm" is true'),
    "norms after": ({"norm_after": True}, None, '"norm_after" is true'),
    "logits scaled": ({"scale_logits": True}, None, '"scale_logits" is true'),
    "blocks of Llama": ({"block_type": "llama"}, None, '"block_type" is not sequential'),
    "groups of layers": ({"block_group_size": 3}, None, '"block_group_size" is not 1'),
    "layers of another model": ({"n_layers": 2}, None, "the weights have 3"),
    "heads that do not divide": ({"n_heads": 5}, None, "do not fit each other"),
}


def write_model(name: str, folder: Path) -> None:
    write_variant(folder, CONFIG, weights(), VARIANTS[name])


def converted(name: str, folder: Path) -> None:
    """The same weights as transformers has them."""
    config = CONFIG | VARIANTS[name][0]
    made, keys = weights(), config["n_kv_heads"] or HEADS
    if edit := VARIANTS[name][1]:
        edit(made)
    is_rms = config["layer_norm_type"] == "rms"
    out = {"model.embed_tokens.weight": made["model.transformer.wte.weight"]}
    if not config["weight_tying"]:
        out["lm_head.weight"] = made["model.transformer.ff_out.weight"]
    if is_rms:
        out["model.norm.weight"] = made["model.transformer.ln_f.weight"]
    for i in range(LAYERS):
        old, new = f"model.transformer.blocks.{i}.", f"model.layers.{i}."
        width = keys * WIDTH // HEADS
        q, k, v = np.split(made[old + "att_proj.weight"], [WIDTH, WIDTH + width])
        up, gate = np.split(made[old + "ff_proj.weight"], 2)
        out |= {f"{new}self_attn.{part}_proj.weight": value.copy() for part, value in zip("qkv", (q, k, v), strict=True)}
        out |= {f"{new}self_attn.o_proj.weight": made[old + "attn_out.weight"], f"{new}mlp.down_proj.weight": made[old + "ff_out.weight"]}
        out |= {f"{new}mlp.up_proj.weight": up.copy(), f"{new}mlp.gate_proj.weight": gate.copy()}
        if is_rms:
            out |= {f"{new}input_layernorm.weight": made[old + "attn_norm.weight"], f"{new}post_attention_layernorm.weight": made[old + "ff_norm.weight"]}
    write(
        folder,
        {
            "model_type": "llama" if is_rms else "olmo",
            "vocab_size": ROWS,
            "hidden_size": WIDTH,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": keys,
            "intermediate_size": out["model.layers.0.mlp.up_proj.weight"].shape[0],
            "max_position_embeddings": 128,
            "rms_norm_eps": config["layer_norm_eps"],
            "rope_theta": config["rope_theta"],
            "tie_word_embeddings": config["weight_tying"],
            "clip_qkv": config["clip_qkv"],
            "bos_token_id": 0,
            "eos_token_id": 0,
        },
        out,
    )


CONVERTED = ["DataDecide", "OLMo", "OLMo, tied", "two keys", "one key", "two keys and a limit", "mlp_hidden_size", "epsilon", "base"]


if __name__ == "__main__":
    import hf_olmo  # noqa: F401  registers the class

    measure_all(HERE / "ai2_olmo.json", list(VARIANTS), write_model, title="ai2-olmo")
    measure_all(HERE / "ai2_olmo.json", CONVERTED, converted, title="transformers")
