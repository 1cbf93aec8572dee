"""Makes families.json: what transformers makes of the keys of config.json in the families after Llama (tiny.py).

    python tests/e2e/golden/families.py     (torch, transformers; seconds)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import gemma  # noqa: E402
import known_config  # noqa: E402
import nemotron  # noqa: E402
import stablelm  # noqa: E402
from tiny import Absent, Edit, Variant, Weights, bare, made_up, measure_all, without, write  # noqa: E402

ROWS, WIDTH, LAYERS, HEADS, SHARED, INNER = 512, 32, 4, 4, 2, 48
BASE = {
    "vocab_size": ROWS,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": SHARED,
    "intermediate_size": INNER,
    "max_position_embeddings": 128,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
KINDS = [*["sliding_attention"] * 3, "full_attention"]
# of each family: its class, and what its config.json says beside that
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", {"attention_bias": False, "mlp_bias": False, "rope_scaling": None, "pretraining_tp": 1}),
    "mistral": ("MistralForCausalLM", {"sliding_window": None}),
    "qwen2": ("Qwen2ForCausalLM", {"sliding_window": 64, "use_sliding_window": False, "max_window_layers": 2}),
    "qwen3": (
        "Qwen3ForCausalLM",
        {
            "head_dim": WIDTH // HEADS,
            "attention_bias": False,
            "rope_scaling": None,
            "sliding_window": None,
            "use_sliding_window": False,
            "max_window_layers": 2,
        },
    ),
    "smollm3": (
        "SmolLM3ForCausalLM",
        {"no_rope_layers": [1, 1, 1, 0], "no_rope_layer_interval": 4, "use_sliding_window": False, "sliding_window": None},
    ),
    "granite": (
        "GraniteForCausalLM",
        {
            "attention_bias": False,
            "mlp_bias": False,
            "rope_scaling": None,
            "embedding_multiplier": 12.0,
            "attention_multiplier": 0.0625,
            "residual_multiplier": 0.22,
            "logits_scaling": 8.0,
        },
    ),
    "stablelm": ("StableLmForCausalLM", stablelm.CONFIG),
    "nemotron": ("NemotronForCausalLM", nemotron.CONFIG),
    "minicpm": ("MiniCPMForCausalLM", {"rope_scaling": None, "scale_emb": 12, "scale_depth": 1.4, "dim_model_base": 8}),
    "gemma": ("GemmaForCausalLM", {"head_dim": WIDTH // HEADS} | gemma.CONFIG),
    "olmo": ("OlmoForCausalLM", {"attention_bias": False, "clip_qkv": None, "rope_scaling": None}),
    "olmo2": ("Olmo2ForCausalLM", {"attention_bias": False, "rope_scaling": None}),
    "olmo3": (
        "Olmo3ForCausalLM",
        {"attention_bias": False, "rope_scaling": None, "rope_theta": 500000.0, "sliding_window": 128, "layer_types": KINDS},
    ),
    "apertus": (
        "ApertusForCausalLM",
        {
            "hidden_act": "xielu",
            "attention_bias": False,
            "mlp_bias": False,
            "post_norm": False,
            "qk_norm": True,
            "rope_theta": 500000.0,
            "rope_scaling": LLAMA3 | {"type": "llama3"},
        },
    ),
}


class Shape:
    """Sizes that a variant may change in weights and config.json together."""

    def __init__(self, shared: int = SHARED, head: int = WIDTH // HEADS, heads: int = HEADS) -> None:
        self.shared, self.head, self.heads = shared, head, heads


def biased(made: Weights, *parts: str) -> None:
    for name in [name for name in made if name.endswith(tuple(f"{part}.weight" for part in parts))]:
        made[name.removesuffix("weight") + "bias"] = made_up(made[name].shape[0]) * 0.5


def weights(family: str, shape: Shape) -> Weights:
    made = {"model.embed_tokens.weight": made_up(ROWS, WIDTH), "lm_head.weight": made_up(ROWS, WIDTH)[::-1].copy()}
    queries, keys = shape.heads * shape.head, shape.shared * shape.head
    shapes = {
        "self_attn.q_proj": (queries, WIDTH),
        "self_attn.k_proj": (keys, WIDTH),
        "self_attn.v_proj": (keys, WIDTH),
        "self_attn.o_proj": (WIDTH, queries),
        "mlp.gate_proj": (INNER, WIDTH),
        "mlp.up_proj": (INNER, WIDTH),
        "mlp.down_proj": (WIDTH, INNER),
    }
    norms = {"post_attention_layernorm": WIDTH, "input_layernorm": WIDTH}
    if family == "olmo":  # without parameters
        norms = {}
    else:
        made["model.norm.weight"] = made_up(WIDTH, around=1.0)
    if family in ("olmo2", "olmo3"):
        norms = {"post_attention_layernorm": WIDTH, "post_feedforward_layernorm": WIDTH}
        norms |= {"self_attn.q_norm": queries, "self_attn.k_norm": keys}
    if family == "apertus":
        norms = {"attention_layernorm": WIDTH, "feedforward_layernorm": WIDTH}
    if family in ("apertus", "nemotron"):
        del shapes["mlp.gate_proj"]
    if family in ("qwen3", "apertus"):
        norms |= {"self_attn.q_norm": shape.head, "self_attn.k_norm": shape.head}
    for i in range(LAYERS):
        for name, size in shapes.items():
            made[f"model.layers.{i}.{name}.weight"] = np.roll(made_up(*size), i + len(name)) * (1 - i / 8)
        for name, width in norms.items():
            made[f"model.layers.{i}.{name}.weight"] = np.roll(made_up(width, around=1.0), i + len(name))
    if family == "qwen2":
        qkv_biases(made)
    if family in ("stablelm", "nemotron"):  # whose norms have them, and whose heads are rotated in part
        biased(made, "norm")
    for i in range(LAYERS if family == "apertus" else 0):
        numbers = {"alpha_p": [0.25 + i], "alpha_n": [-1.0 - i / 2], "beta": 0.5, "eps": -(2.0**-20)}  # which bfloat16 holds
        made |= {f"model.layers.{i}.mlp.act_fn.{name}": np.array(number, dtype=np.float32) for name, number in numbers.items()}
    return made


def other_numbers(made: Weights) -> None:
    """Of xIELU: what no published model has."""
    for i in range(LAYERS):
        made[f"model.layers.{i}.mlp.act_fn.beta"] = np.array(0.25 + i / 8, dtype=np.float32)
        made[f"model.layers.{i}.mlp.act_fn.eps"] = np.array(-0.5, dtype=np.float32)


def large_numbers(made: Weights) -> None:
    """Beyond 20 a softplus is the number itself."""
    made["model.layers.0.mlp.act_fn.alpha_p"] = np.array([21.0], dtype=np.float32)
    made["model.layers.1.mlp.act_fn.alpha_n"] = np.array([-40.0], dtype=np.float32)


def tied(made: Weights) -> None:
    del made["lm_head.weight"]


def equal_embeddings(made: Weights) -> None:
    made["lm_head.weight"] = made["model.embed_tokens.weight"].copy()


def qkv_biases(made: Weights) -> None:
    biased(made, "q_proj", "k_proj", "v_proj")


def attention_biases(made: Weights) -> None:
    biased(made, "q_proj", "k_proj", "v_proj", "o_proj")


def mlp_biases(made: Weights) -> None:
    biased(made, "gate_proj", "up_proj", "down_proj")


def all_biases(made: Weights) -> None:
    attention_biases(made)
    mlp_biases(made)


def norms(made: Weights) -> None:
    for i in range(LAYERS):
        made[f"model.layers.{i}.input_layernorm.weight"] = made_up(WIDTH, around=2.0)


def wide_norms(made: Weights) -> None:
    """As OLMo 2's."""
    for i in range(LAYERS):
        made[f"model.layers.{i}.self_attn.q_norm.weight"] = made_up(WIDTH, around=1.0)


def unused(made: Weights) -> None:
    """What old versions saved."""
    for i in range(LAYERS):
        made[f"model.layers.{i}.self_attn.rotary_emb.inv_freq"] = np.array([0.5, 0.25], dtype=np.float32)


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
YARN8 = {  # as OLMo 3's, of a shorter context
    "rope_type": "yarn",
    "factor": 8.0,
    "attention_factor": 1.2079441541679836,
    "beta_fast": 32,
    "beta_slow": 1,
    "original_max_position_embeddings": 32,
}
LONGROPE = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [2.0] * 4, "original_max_position_embeddings": 32}
LINEAR = {"rope_type": "linear", "factor": 2.0}
DEFAULT = {"rope_type": "default", "rope_theta": 500000.0}
V5 = {"rope_theta": Absent, "rope_scaling": Absent}


def without_keys(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}


EVERY: dict[str, Variant] = {
    "plain": ({}, None, ""),
    "unused tensors": ({}, unused, ""),
    "names without model": ({}, bare("model."), "no tensor is named model.embed_tokens.weight"),
    "tied": ({"tie_word_embeddings": True}, tied, ""),
    "tied, and both are equal": ({"tie_word_embeddings": True}, equal_embeddings, ""),
    "tied, and both differ": ({"tie_word_embeddings": True}, None, "another matrix than model.embed_tokens.weight"),
    "not tied, and not there": ({}, tied, "lm_head.weight"),
    "tie null": ({"tie_word_embeddings": None}, None, '"tie_word_embeddings" is null'),
    "tie not said": ({"tie_word_embeddings": Absent}, None, ""),
    "one norm that is not there": ({}, without("1.post_attention_layernorm.weight"), "1.post_attention_layernorm.weight"),
    **{f"activation {name}": ({"hidden_act": name}, None, "") for name in ("gelu", "gelu_pytorch_tanh", "relu", "swish")},
    **{f"activation {name}": ({"hidden_act": name}, None, f'activation "{name}"') for name in ("quick_gelu", "mish")},
    "activation not said": ({"hidden_act": Absent}, None, ""),
    "activation null": ({"hidden_act": None}, None, '"hidden_act" is null'),
    "epsilon": ({"rms_norm_eps": 1e-2}, None, ""),
    "epsilon not said": ({"rms_norm_eps": Absent}, None, ""),
    "epsilon null": ({"rms_norm_eps": None}, None, '"rms_norm_eps" is null'),
    "epsilon of other families": ({"layer_norm_eps": 1e-2, "layer_norm_epsilon": 1e-2}, None, ""),
    "base": ({"rope_theta": 100.0}, None, ""),
    "base as an integer": ({"rope_theta": 100}, None, ""),
    "base not said": ({"rope_theta": Absent}, None, ""),
    "base null": ({"rope_theta": None}, None, '"rope_theta" is null'),
    "base of other families": ({"rotary_emb_base": 100, "rotary_pct": 0.5}, None, ""),
    "head_dim": ({"head_dim": WIDTH // HEADS}, None, ""),
    "head_dim null": ({"head_dim": None}, None, ""),
    "heads null": ({"num_key_value_heads": None}, None, "k_proj.weight has the shape"),
    "heads not said": ({"num_key_value_heads": Absent}, None, "k_proj.weight has the shape"),
    "heads that do not divide": ({"num_key_value_heads": 3}, None, "do not fit each other"),
    "width not said": ({"hidden_size": Absent}, None, "lacks a size"),
    "inner width not said": ({"intermediate_size": Absent}, None, "lacks a size"),
    "positions not said": ({"max_position_embeddings": Absent}, None, "lacks a size"),
    "rope_parameters": ({"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}, **V5}, None, ""),
    "rope_parameters empty": ({"rope_parameters": {}}, None, ""),
    "rope_parameters without base": ({"rope_parameters": {"rope_type": "default"}}, None, ""),
    "rope_parameters with another base": (
        {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}},
        None,
        '"rope_theta" stands twice',
    ),
    "rope_parameters linear": ({"rope_parameters": LINEAR | {"rope_theta": 100.0}, **V5}, None, ""),
    "rope_parameters llama3": ({"rope_parameters": LLAMA3 | {"rope_theta": 100.0}, **V5}, None, ""),
    "rope_parameters partial": (
        {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5}, **V5},
        None,
        '"partial_rotary_factor"',
    ),
    "partial": ({"partial_rotary_factor": 0.5}, None, '"partial_rotary_factor"'),
    "rope_scaling of two types": ({"rope_scaling": LINEAR | {"type": "dynamic"}}, None, '"type" and "rope_type"'),
    "rope_scaling beside rope_parameters": (
        {"rope_scaling": LINEAR, "rope_parameters": {"rope_type": "default", "rope_theta": 100.0}},
        None,
        "",
    ),
    "rope_scaling without factor": ({"rope_scaling": {"rope_type": "linear"}}, None, '"factor"'),
    "rope_scaling of no type": ({"rope_scaling": {"factor": 2.0}}, None, '"rope_type"'),
    "rope_scaling unknown": ({"rope_scaling": {"rope_type": "su", "factor": 2.0}}, None, 'type "su"'),
    "rope_scaling dynamic": ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, None, 'type "dynamic"'),
    "rope_scaling yarn": ({"rope_scaling": YARN}, None, 'type "yarn"'),
    "rope_scaling longrope": ({"rope_scaling": LONGROPE}, None, 'type "longrope"'),
    "quantised": ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, None, '"quantization_config"'),
    "pruned heads": ({"pruned_heads": {"0": [0]}}, None, '"pruned_heads" names'),
    "dropout": ({"attention_dropout": 0.5}, None, ""),
    "dtype": ({"torch_dtype": "float16"}, None, ""),
    "sizes of other families": ({"n_embd": 64, "n_layer": 1, "n_head": 2, "n_inner": 64}, None, ""),
    "other scales": ({"logit_scale": 2.0, "embedding_multiplier": 2.0, "final_logit_softcapping": 1.0}, None, ""),
    "positions of other families": ({"n_positions": 16}, None, '"n_positions" is not'),
    "parallel residual": ({"use_parallel_residual": True}, None, ""),
    "rope_scaling empty": ({"rope_scaling": {}}, None, '"rope_scaling"'),
    "rope_parameters of each kind of layer": (
        {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 100.0}}, **V5},
        None,
        '"rope_parameters" differs',
    ),
    "layers unlike each other": ({"per_layer_config": {"1": {"intermediate_size": 24}}}, None, '"per_layer_config"'),
    "remote code": ({"auto_map": {"AutoConfig": "configuration_other.OtherConfig"}}, None, ""),
}
SCALED: dict[str, Variant] = {
    "rope_scaling linear": ({"rope_scaling": LINEAR}, None, ""),
    "rope_scaling linear, type": ({"rope_scaling": {"type": "linear", "factor": 2.0}}, None, ""),
    "rope_scaling linear, below one": ({"rope_scaling": LINEAR | {"factor": 0.5}}, None, ""),
    "rope_scaling linear, integer": ({"rope_scaling": LINEAR | {"factor": 2}}, None, ""),
    "rope_scaling llama3": ({"rope_scaling": LLAMA3}, None, ""),
    "rope_scaling llama3, type": ({"rope_scaling": LLAMA3 | {"type": "llama3"}}, None, ""),
    "rope_scaling llama3 without low": ({"rope_scaling": without_keys(LLAMA3, "low_freq_factor")}, None, '"low_freq_factor"'),
    "rope_scaling llama3 without positions": (
        {"rope_scaling": without_keys(LLAMA3, "original_max_position_embeddings")},
        None,
        '"original_max_position_embeddings"',
    ),
    "rope_scaling llama3, positions elsewhere": (
        {"rope_scaling": LLAMA3, "original_max_position_embeddings": 16},
        None,
        '"original_max_position_embeddings" stands beside',
    ),
    "rope_scaling llama3, low above high": (
        {"rope_scaling": LLAMA3 | {"low_freq_factor": 8.0}},
        None,
        "low and the high frequency factor",
    ),
    "rope_scaling default": ({"rope_scaling": {"rope_type": "default"}}, None, ""),
    "rope_scaling with a base": ({"rope_scaling": LINEAR | {"rope_theta": 100.0}}, None, '"rope_theta" stands twice'),
}
BIASED: dict[str, Variant] = {
    "attention biases": ({"attention_bias": True}, attention_biases, ""),
    "attention biases that are not there": ({"attention_bias": True}, None, "q_proj.bias"),
    "attention bias null": ({"attention_bias": None}, None, '"attention_bias" is null'),
    "no attention bias, and there are some": ({}, attention_biases, ""),
}
MLP_BIASED: dict[str, Variant] = {
    "mlp biases": ({"mlp_bias": True}, mlp_biases, ""),
    "mlp biases that are not there": ({"mlp_bias": True}, None, "gate_proj.bias"),
    "mlp bias null": ({"mlp_bias": None}, None, '"mlp_bias" is null'),
}
WINDOWS: dict[str, Variant] = {
    "sliding window": ({"use_sliding_window": True, "sliding_window": 4}, None, ""),
    "sliding window of no layer": (
        {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 4},
        None,
        "",
    ),
    "sliding window of the context": ({"use_sliding_window": True, "sliding_window": 128}, None, ""),
    "layer types": (
        {"use_sliding_window": True, "sliding_window": 4, "layer_types": ["full_attention"] * 4},
        None,
        "",
    ),
    "layer types, sliding": (
        {"use_sliding_window": True, "sliding_window": 4, "layer_types": ["sliding_attention"] * 4},
        None,
        "",
    ),
    "layer types, too few": ({"layer_types": ["full_attention"] * 3}, None, '"layer_types"'),
}
MULTIPLIERS = ("embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling")
OWN: dict[str, dict[str, Variant]] = {
    "granite": {
        **SCALED,
        **BIASED,
        **MLP_BIASED,
        "multipliers and biases": ({"attention_bias": True, "mlp_bias": True}, all_biases, ""),
        "no multipliers": (dict.fromkeys(MULTIPLIERS, Absent), None, ""),
        "multipliers as integers": (dict.fromkeys(MULTIPLIERS, 2), None, ""),
        **{f"{name} not said": ({name: Absent}, None, "") for name in MULTIPLIERS},
        **{f"{name} at 0": ({name: 0.0}, None, f'"{name}" is no positive number') for name in MULTIPLIERS},
        **{f"{name} below 0": ({name: -1.0}, None, f'"{name}" is no positive number') for name in MULTIPLIERS},
        **{f"{name} null": ({name: None}, None, f'"{name}" is no positive number') for name in MULTIPLIERS},
    },
    "minicpm": {
        "attention biases": ({"attention_bias": True}, attention_biases, ""),
        "multipliers not said": (dict.fromkeys(("scale_emb", "scale_depth", "dim_model_base"), Absent), None, ""),
        "multipliers": ({"scale_emb": 0.5, "scale_depth": 3, "dim_model_base": 32.0}, None, ""),
        **{f"{name} at 0": ({name: 0}, None, f'"{name}" is no positive number') for name in ("scale_emb", "scale_depth", "dim_model_base")},
        "experts": ({"num_experts": 4, "num_experts_per_tok": 2}, None, '"num_experts" is not 0'),
        "sparse attention": ({"sparse_config": {"kernel_size": 32}}, None, '"sparse_config" is there'),
        "parts of the unembedding": ({"pretraining_tp": 2}, None, '"pretraining_tp" is more than 1'),
        "rope_scaling linear": ({"rope_scaling": LINEAR}, None, '"rope_scaling" is there'),
    },
    "gemma": {**SCALED, **BIASED, **gemma.VARIANTS},
    "stablelm": stablelm.variants(qkv_biases, LINEAR, V5),
    "nemotron": nemotron.variants(attention_biases, mlp_biases, LINEAR, V5),
    "llama": {
        **SCALED,
        **BIASED,
        **MLP_BIASED,
        "pretraining_tp": ({"pretraining_tp": 2}, None, ""),
        "sliding window": ({"sliding_window": 4}, None, ""),
        "layer types": ({"layer_types": ["sliding_attention"] * 4, "sliding_window": 4}, None, ""),
        "no_rope_layers of other families": ({"no_rope_layers": [0, 0, 0, 0]}, None, ""),
    },
    "mistral": {
        "sliding window": ({"sliding_window": 4}, None, ""),
        "sliding window of the context": ({"sliding_window": 128}, None, ""),
        "sliding window not said": ({"sliding_window": Absent}, None, ""),
        "sliding window not said, and a longer context": (
            {"sliding_window": Absent, "max_position_embeddings": 8192},
            None,
            "",
        ),
        **SCALED,
        "attention biases": ({"attention_bias": True}, attention_biases, ""),
        "layer types": ({"layer_types": ["sliding_attention"] * 4}, None, '"layer_types"'),
    },
    "qwen2": {
        **SCALED,
        **WINDOWS,
        "no attention bias": ({"attention_bias": False}, None, ""),
    },
    "qwen3": {
        **SCALED,
        **BIASED,
        **WINDOWS,
        "window not on": ({"sliding_window": 4}, None, ""),
        "head_dim not said": ({"head_dim": Absent}, None, "q_proj.weight has the shape"),
        "mlp bias": ({"mlp_bias": True}, None, ""),
        "clip": ({"clip_qkv": 1.0}, None, ""),
        "rope_scaling yarn, as published": ({"rope_scaling": YARN}, None, 'type "yarn"'),
        "one norm of heads that is not there": ({}, without("1.self_attn.k_norm.weight"), "1.self_attn.k_norm.weight"),
        "norms of heads over all": ({}, wide_norms, "q_norm.weight has the shape"),
    },
    "smollm3": {
        **SCALED,
        **BIASED,
        **MLP_BIASED,
        "layers not said": ({"no_rope_layers": Absent}, None, ""),
        "layers null": ({"no_rope_layers": None}, None, ""),
        "layers, each second": ({"no_rope_layers": Absent, "no_rope_layer_interval": 2}, None, ""),
        "layers, each first": ({"no_rope_layers": [0, 1, 0, 1]}, None, ""),
        "layers and another interval": ({"no_rope_layer_interval": 2}, None, ""),
        "layers, too few": ({"no_rope_layers": [1, 1, 1]}, None, '"no_rope_layers"'),
        "layers, more": ({"no_rope_layers": [1, 1, 0, 1, 1, 0]}, None, ""),
        "layers, interval not said": ({"no_rope_layers": Absent, "no_rope_layer_interval": Absent}, None, ""),
        "layers, interval null": ({"no_rope_layers": Absent, "no_rope_layer_interval": None}, None, '"no_rope_layer_interval"'),
        "layers, interval 0": ({"no_rope_layers": Absent, "no_rope_layer_interval": 0}, None, '"no_rope_layer_interval"'),
        "layers as flags": ({"no_rope_layers": [True, True, False, True]}, None, '"no_rope_layers"'),
        "sliding window": ({"use_sliding_window": True, "sliding_window": 4}, None, ""),
        "sliding window unused": ({"use_sliding_window": False, "sliding_window": 4}, None, ""),
        "sliding window of rotated layers": ({"use_sliding_window": True, "sliding_window": 4, "no_rope_layers": [1, 1, 1, 1]}, None, ""),
        "layer types": ({"layer_types": ["full_attention"] * 4}, None, ""),
    },
    "olmo": {
        **BIASED,
        "rope_scaling linear": ({"rope_scaling": {"type": "linear", "factor": 2.0}}, None, ""),
        "rope_scaling linear, rope_type": ({"rope_scaling": LINEAR}, None, '"rope_scaling"'),
        "rope_scaling llama3": ({"rope_scaling": LLAMA3}, None, '"rope_scaling"'),
        "epsilon": ({"rms_norm_eps": 1e-2}, None, ""),
        "epsilon null": ({"rms_norm_eps": None}, None, ""),
        "clip": ({"clip_qkv": 0.5}, None, ""),
        "clip as an integer": ({"clip_qkv": 1}, None, '"clip_qkv"'),
        "clip, and biases": ({"clip_qkv": 0.5, "attention_bias": True}, attention_biases, ""),
        "clip not said": ({"clip_qkv": Absent}, None, ""),
        "clip at 0": ({"clip_qkv": 0.0}, None, '"clip_qkv"'),
        "clip below 0": ({"clip_qkv": -1.0}, None, '"clip_qkv"'),
        "clip false": ({"clip_qkv": False}, None, '"clip_qkv"'),
        "mlp bias": ({"mlp_bias": True}, None, ""),
        "norms that it does not have": ({}, norms, ""),
    },
    "olmo2": {
        **BIASED,
        "rope_scaling linear": ({"rope_scaling": {"type": "linear", "factor": 2.0}}, None, ""),
        "rope_scaling linear, rope_type": ({"rope_scaling": LINEAR}, None, '"rope_scaling"'),
        "rope_scaling llama3": ({"rope_scaling": LLAMA3}, None, '"rope_scaling"'),
        "clip": ({"clip_qkv": 1.0}, None, ""),
    },
    "olmo3": {
        **BIASED,
        "base as an integer": ({"rope_theta": 500000}, None, ""),
        "base": ({"rope_theta": 100.0}, None, '"rope_theta" is not 500000'),
        "rope_scaling linear": ({"rope_scaling": LINEAR}, None, ""),
        "rope_scaling llama3": ({"rope_scaling": LLAMA3}, None, ""),
        "rope_scaling default": ({"rope_scaling": {"rope_type": "default"}}, None, ""),
        "rope_scaling yarn, as published": ({"rope_scaling": YARN8, "max_position_embeddings": 256}, None, ""),
        "rope_scaling yarn, all said": ({"rope_scaling": YARN | {"attention_factor": 1.5, "beta_fast": 4.0, "beta_slow": 0.5}}, None, ""),
        "rope_scaling yarn, all null": ({"rope_scaling": YARN | {"attention_factor": None, "beta_fast": None, "beta_slow": None}}, None, ""),
        "rope_scaling yarn below one": ({"rope_scaling": YARN | {"factor": 0.5}}, None, ""),
        "rope_scaling yarn, all layers": ({"rope_scaling": YARN, "layer_types": ["full_attention"] * 4}, None, ""),
        "rope_scaling yarn, layer types not said": ({"rope_scaling": YARN, "layer_types": Absent}, None, ""),
        "rope_scaling yarn without positions": (
            {"rope_scaling": without_keys(YARN, "original_max_position_embeddings")},
            None,
            '"original_max_position_embeddings"',
        ),
        "rope_scaling yarn without factor": ({"rope_scaling": without_keys(YARN, "factor")}, None, '"factor"'),
        "rope_scaling yarn, not truncated": ({"rope_scaling": YARN | {"truncate": False}}, None, '"truncate"'),
        "rope_scaling yarn, scaled": ({"rope_scaling": YARN | {"mscale": 0.7, "mscale_all_dim": 1.0}}, None, '"mscale'),
        **{
            f"rope_parameters of version 5{name}": ({"rope_parameters": {"full_attention": full, "sliding_attention": sliding}, **V5}, None, refusal)
            for name, full, sliding, refusal in (
                ("", DEFAULT, DEFAULT, ""),
                (", yarn as published", YARN8 | DEFAULT | {"rope_type": "yarn"}, DEFAULT, ""),
                (", llama3", DEFAULT | LLAMA3, DEFAULT, ""),
                (", another base", DEFAULT | {"rope_theta": 100.0}, DEFAULT | {"rope_theta": 100}, ""),
                (", base not said", {"rope_type": "default"}, {"rope_type": "default"}, ""),
                (", nothing of sliding layers", DEFAULT | LINEAR, None, ""),
                (", bases that differ", DEFAULT | {"rope_theta": 100.0}, DEFAULT, '"rope_theta" differs from layer to layer'),
                (", sliding layers scaled", DEFAULT, DEFAULT | LINEAR, '"sliding_attention" of the rotary embeddings'),
                (", part of sliding layers", DEFAULT, DEFAULT | {"partial_rotary_factor": 0.5}, '"partial_rotary_factor" is not 1'),
                (", no object", DEFAULT, "default", '"rope_parameters"'),
            )
        },
        "rope_parameters of version 5, base beside them": (
            {"rope_parameters": {"full_attention": {"rope_type": "default"}, "sliding_attention": DEFAULT}, **V5, "rope_theta": 100.0},
            None,
            '"rope_theta" differs from layer to layer',
        ),
        "rope_parameters of version 5 and scaling": (
            {"rope_parameters": {"full_attention": DEFAULT, "sliding_attention": DEFAULT}, "rope_scaling": YARN},
            None,
            '"rope_parameters" is there',
        ),
        "sliding window": ({"sliding_window": 4}, None, ""),
        "sliding window of no layer": ({"sliding_window": 4, "layer_types": ["full_attention"] * 4}, None, ""),
        "sliding window not said": ({"sliding_window": Absent}, None, ""),
        "sliding window null": ({"sliding_window": None}, None, '"sliding_window" is null'),
        "sliding window null, of no layer": ({"sliding_window": None, "layer_types": ["full_attention"] * 4}, None, '"sliding_window" is null'),
        "sliding window null, layer types not said": ({"sliding_window": None, "layer_types": Absent}, None, '"sliding_window" is null'),
        "sliding window at 0": ({"sliding_window": 0}, None, '"sliding_window"'),
        "layer types not said": ({"layer_types": Absent}, None, ""),
        "layer types not said, and a window": ({"layer_types": Absent, "sliding_window": 4}, None, ""),
        "layer types null": ({"layer_types": None}, None, ""),
        "layer types, all sliding": ({"layer_types": ["sliding_attention"] * 4}, None, ""),
        "layer types, too few": ({"layer_types": KINDS[1:]}, None, '"layer_types"'),
        "layer types, unknown": ({"layer_types": ["chunked_attention"] * 4}, None, '"layer_types"'),
        "clip": ({"clip_qkv": 1.0}, None, ""),
    },
    "apertus": {
        **BIASED,
        "numbers of xIELU": ({}, other_numbers, ""),
        "large numbers of xIELU": ({}, large_numbers, ""),
        "no numbers of xIELU": ({}, without("1.mlp.act_fn.beta"), "1.mlp.act_fn.beta"),
        **{f"activation {name}": ({"hidden_act": name}, without("alpha_p", "alpha_n", "beta", "eps"), f'activation "{name}"') for name in ("silu", "relu")},
        "mlp bias": ({"mlp_bias": True}, None, ""),
        "norms after": ({"post_norm": True, "qk_norm": False}, None, ""),
        "window": ({"sliding_window": 4}, None, ""),
        "clip": ({"clip_qkv": 1.0}, None, ""),
        "rope_scaling not said": ({"rope_scaling": Absent}, None, '"rope_scaling" is not there'),
        "rope_scaling null": ({"rope_scaling": None}, None, '"rope_scaling" is not there'),
        "rope_scaling null, base not said": ({"rope_scaling": None, "rope_theta": Absent}, None, '"rope_scaling" is not there'),
        "rope_scaling default": ({"rope_scaling": {"rope_type": "default"}}, None, ""),
        "rope_scaling linear": ({"rope_scaling": LINEAR}, None, ""),
        "rope_scaling llama3": ({"rope_scaling": LLAMA3}, None, ""),
        "rope_scaling llama3 of one key": ({"rope_scaling": {"rope_type": "llama3"}}, None, '"original_max_position_embeddings"'),
        "one norm that is not there": ({}, without("1.feedforward_layernorm.weight"), "1.feedforward_layernorm.weight"),
        "rope_scaling with a base": ({"rope_scaling": LLAMA3 | {"rope_theta": 100.0}}, None, '"rope_theta" stands twice'),
    },
}
# of a family, sizes that the weights have, too
SHAPES: dict[str, dict[str, tuple[dict[str, Any], Shape, str]]] = {
    family: {
        "all heads of their own": ({"num_key_value_heads": HEADS}, Shape(shared=HEADS), ""),
        "all heads of their own, null": ({"num_key_value_heads": None}, Shape(shared=HEADS), ""),
        "all heads of their own, not said": ({"num_key_value_heads": Absent}, Shape(shared=HEADS), ""),
        "one shared head": ({"num_key_value_heads": 1}, Shape(shared=1), ""),
        "wide heads": ({"head_dim": 16}, Shape(head=16), ""),
        "narrow heads": ({"head_dim": 4}, Shape(head=4), ""),
    }
    for family in FAMILIES
}
SHAPES["qwen3"] |= {
    "wide heads, not said": ({"head_dim": Absent}, Shape(head=128), ""),
    "heads that do not divide the width": ({"num_attention_heads": 6, "num_key_value_heads": 3}, Shape(shared=3, heads=6), ""),
}

# Of EVERY what is tried of each family; the rest is read in one place for all of them
OFTEN = ("plain", "tie", "activation not", "epsilon not", "base not", "head_dim", "heads", "rope_", "layers", "one norm")
OFTEN_REMOTE = ("plain", "tie", "activation not", "epsilon not", "base not", "heads", "one norm")
OLMOS = ("olmo", "olmo2")
REMOTES = ("minicpm",)
# What EVERY and SHAPES say otherwise of a family
REFUSALS = {
    **(gemma.REFUSALS | stablelm.REFUSALS | nemotron.REFUSALS),
    "mistral: heads null": '"num_key_value_heads" is null',
    "mistral: all heads of their own, null": '"num_key_value_heads" is null',
    "mistral: heads not said": "do not fit each other",
    "mistral: all heads of their own, not said": "do not fit each other",
    "qwen2: heads not said": "do not fit each other",
    "qwen2: all heads of their own, not said": "do not fit each other",
    "qwen3: heads not said": "do not fit each other",
    "qwen3: all heads of their own, not said": "do not fit each other",
    **{f"{family}: head_dim null": '"head_dim" is null' for family in ("qwen2", "qwen3", "smollm3", "granite", "olmo", "olmo2", "olmo3", "apertus")},
    **{f"{family}: {name} heads": '"head_dim" is there' for family in REMOTES for name in ("wide", "narrow")},
    "granite: rope_scaling linear, type": '"rope_scaling" has no',
    "minicpm: tie not said": "another matrix than model.embed_tokens.weight",
    "smollm3: tie not said": "another matrix than model.embed_tokens.weight",
    **{f"{family}: rope_scaling {name}": '"rope_scaling"' for family in OLMOS for name in ("beside rope_parameters", "of no type")},
    **{f"{family}: rope_scaling without factor": '"factor"' for family in OLMOS},
    **{f"olmo3: rope_scaling {name}": '"rope_scaling"' for name in ("of no type", "empty")},
    "olmo3: rope_scaling beside rope_parameters": '"rope_parameters"',
    "olmo3: rope_scaling of two types": '"type" and "rope_type"',
    "olmo3: rope_scaling without factor": '"factor"',
    "olmo3: rope_scaling yarn": "",
    **{
        f"olmo3: rope_parameters{name}": '"rope_parameters"'
        for name in ("", " without base", " with another base", " linear", " llama3", " partial")
    },
    "olmo3: rope_parameters of each kind of layer": '"rope_theta" differs from layer to layer',
    "olmo3: base not said": '"rope_theta" is not 500000',
    "apertus: rope_parameters with another base": "",
}


def variants() -> dict[str, tuple[str, dict[str, Any], Edit | None, Shape, str]]:
    """"family: name" to what it is made of."""
    made = {}
    for family in FAMILIES:
        often = OFTEN_REMOTE if family in REMOTES else OFTEN[:-1] if family == "olmo" else OFTEN
        every = {name: EVERY[name] for name in EVERY if family == "llama" or name.startswith(often)}
        for name, (changes, edit, refusal) in (every | OWN[family]).items():
            made[f"{family}: {name}"] = (family, changes, edit, Shape(), refusal)
        for name, (changes, shape, refusal) in SHAPES[family].items():
            made[f"{family}: {name}"] = (family, changes, None, shape, refusal)
    return {name: (*made[name][:4], REFUSALS.get(name, made[name][4])) for name in made}


VARIANTS = variants()


def config(family: str) -> dict[str, Any]:
    architecture, own = FAMILIES[family]
    return {"architectures": [architecture], "model_type": family} | BASE | own


def write_known(name: str, folder: Path) -> None:
    write_model(name, folder, lambda values: known_config.known(values, WIDTH, HEADS, LAYERS))


def write_model(name: str, folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> None:
    family, changes, edit, shape, _ = VARIANTS[name]
    made = weights(family, shape)
    if edit:
        edit(made)
    write(folder, change(config(family) | changes), made)


if __name__ == "__main__":
    measure_all(HERE / "families.json", list(VARIANTS), write_known)
