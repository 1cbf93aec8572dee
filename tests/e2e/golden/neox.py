"""Makes neox.json: what transformers makes of the keys of config.json in the family of GPT-NeoX (tiny.py).

    python tests/e2e/golden/neox.py     (torch, transformers; seconds)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from tiny import Absent, Variant, Weights, made_up, measure_all, without, write_variant  # noqa: E402

ROWS, WIDTH, LAYERS, HEADS, INNER = 512, 32, 2, 4, 96
CONFIG = {
    "architectures": ["GPTNeoXForCausalLM"],
    "model_type": "gpt_neox",
    "vocab_size": ROWS,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "max_position_embeddings": 128,
    "rotary_pct": 0.5,
    "rotary_emb_base": 10000,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "use_parallel_residual": True,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def weights() -> Weights:
    made = {"gpt_neox.embed_in.weight": made_up(ROWS, WIDTH), "embed_out.weight": made_up(ROWS, WIDTH)[::-1].copy()}
    norms = [f"gpt_neox.layers.{i}.{n}" for i in range(LAYERS) for n in ("input_layernorm", "post_attention_layernorm")]
    for norm in [*norms, "gpt_neox.final_layer_norm"]:
        made |= {f"{norm}.weight": made_up(WIDTH, around=1.0), f"{norm}.bias": made_up(WIDTH)}
    shapes = {
        "attention.query_key_value": (3 * WIDTH, WIDTH),
        "attention.dense": (WIDTH, WIDTH),
        "mlp.dense_h_to_4h": (INNER, WIDTH),
        "mlp.dense_4h_to_h": (WIDTH, INNER),
    }
    for i in range(LAYERS):
        for name, shape in shapes.items():
            made[f"gpt_neox.layers.{i}.{name}.weight"] = made_up(*shape) * (1 - i / 2)
            made[f"gpt_neox.layers.{i}.{name}.bias"] = made_up(shape[0])
    return made


def equal_embeddings(made: Weights) -> None:
    made["embed_out.weight"] = made["gpt_neox.embed_in.weight"].copy()


def unused(made: Weights) -> None:
    """What old versions saved, and a bias that no GPT-NeoX has."""
    made["embed_out.bias"] = made_up(ROWS)
    for i in range(LAYERS):
        made[f"gpt_neox.layers.{i}.attention.masked_bias"] = np.array([-1e9], dtype=np.float32)
        made[f"gpt_neox.layers.{i}.attention.rotary_emb.inv_freq"] = np.array([0.5, 0.25], dtype=np.float32)


ATTENTION_BIASES = without("query_key_value.bias", "attention.dense.bias")
ACTIVATIONS = "gelu gelu_python gelu_new gelu_fast gelu_pytorch_tanh relu silu swish".split()
OTHER_ACTIVATIONS = "gelu_10 gelu_accurate quick_gelu relu6 mish linear".split()
ROPE = {"rope_type": "default", "rope_theta": 100, "partial_rotary_factor": 1.0}

VARIANTS: dict[str, Variant] = {
    "plain": ({}, None, ""),
    "no attention bias": ({"attention_bias": False}, ATTENTION_BIASES, ""),
    "no attention bias, and there are some": ({"attention_bias": False}, None, ""),
    "attention biases that are not there": ({}, ATTENTION_BIASES, "query_key_value.bias"),
    "one bias that is not there": ({}, without("1.mlp.dense_4h_to_h.bias"), "1.mlp.dense_4h_to_h.bias"),
    "sequential residual": ({"use_parallel_residual": False}, None, ""),
    "residual not said": ({"use_parallel_residual": Absent}, None, ""),
    "residual null": ({"use_parallel_residual": None}, None, '"use_parallel_residual" is null'),
    **{f"activation {name}": ({"hidden_act": name}, None, "") for name in ACTIVATIONS},
    **{f"activation {name}": ({"hidden_act": name}, None, f'activation "{name}"') for name in OTHER_ACTIVATIONS},
    "activation of other families": ({"activation_function": "relu", "hidden_act": Absent}, None, ""),
    **{f"rotated {share}": ({"rotary_pct": share}, None, "") for share in (0.0, 0.25, 0.3, 0.75, 1.0)},
    "rotated 0.4": ({"rotary_pct": 0.4}, None, "rotated part of a head"),
    "rotated 1.5": ({"rotary_pct": 1.5}, None, "rotated part of a head"),
    "rotated null": ({"rotary_pct": None}, None, '"rotary_pct" is null'),
    "rotated not said": ({"rotary_pct": Absent}, None, ""),
    "rotated of other families": ({"partial_rotary_factor": 1.0}, None, ""),
    "rotated of other families alone": ({"partial_rotary_factor": 1.0, "rotary_pct": Absent}, None, ""),
    "base": ({"rotary_emb_base": 100}, None, ""),
    "base of other families": ({"rope_theta": 100}, None, ""),
    "base of other families alone": ({"rope_theta": 100, "rotary_emb_base": Absent}, None, ""),
    "biases of other families": ({"mlp_bias": False}, None, ""),
    "rope_parameters": ({"rope_parameters": ROPE}, None, ""),
    "rope_parameters alone": (
        {"rope_parameters": ROPE, "rotary_pct": Absent, "rotary_emb_base": Absent},
        None,
        "",
    ),
    "rope_parameters empty": ({"rope_parameters": {}}, None, ""),
    "rope_scaling default": ({"rope_scaling": {"type": "default"}}, None, ""),
    "rope_scaling linear": ({"rope_scaling": {"type": "linear", "factor": 2.0}}, None, 'type "linear"'),
    "rope_scaling of two types": (
        {"rope_scaling": {"rope_type": "default", "type": "linear", "factor": 2.0}},
        None,
        '"type" and "rope_type"',
    ),
    "head_dim": ({"head_dim": WIDTH // HEADS}, None, ""),
    "head_dim of another model": ({"head_dim": 16}, None, '"head_dim" is not'),
    "key-value heads": ({"num_key_value_heads": 2}, None, ""),
    "epsilon": ({"layer_norm_eps": 1e-2}, None, ""),
    "epsilon not said": ({"layer_norm_eps": Absent}, None, ""),
    "epsilon of other families": ({"rms_norm_eps": 1e-2, "layer_norm_eps": Absent}, None, ""),
    "dropout": ({"attention_dropout": 0.5, "hidden_dropout": 0.5}, None, ""),
    "dtype": ({"torch_dtype": "float16"}, None, ""),
    "sizes of other families": ({"n_embd": 64, "n_layer": 1, "n_head": 2, "n_inner": 64}, None, ""),
    "width of other families alone": ({"n_embd": WIDTH, "hidden_size": Absent}, None, "lacks a size"),
    "heads of other families alone": ({"n_head": HEADS, "num_attention_heads": Absent}, None, "lacks a size"),
    "other scales": ({"logit_scale": 2.0, "embedding_multiplier": 2.0, "final_logit_softcapping": 1.0}, None, ""),
    "sliding window": ({"sliding_window": 2, "layer_types": ["sliding_attention", "full_attention"]}, None, ""),
    "positions of other families": ({"n_positions": 16}, None, '"n_positions" is not'),
    "pruned heads": ({"pruned_heads": {"0": [0]}}, None, '"pruned_heads" names'),
    "quantised": ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, None, '"quantization_config"'),
    "unused tensors": ({}, unused, ""),
    "tied": ({"tie_word_embeddings": True}, without("embed_out.weight"), ""),
    "tied, and both are equal": ({"tie_word_embeddings": True}, equal_embeddings, ""),
    "tied, and both differ": ({"tie_word_embeddings": True}, None, "another matrix than gpt_neox.embed_in.weight"),
    "tied to nothing": ({"tie_word_embeddings": True}, without("embed_in.weight"), "embed_in.weight"),
    "not tied, and not there": ({}, without("embed_out.weight"), "embed_out.weight"),
}


def write_model(name: str, folder: Path) -> None:
    write_variant(folder, CONFIG, weights(), VARIANTS[name])


if __name__ == "__main__":
    measure_all(HERE / "neox.json", list(VARIANTS), write_model)
