"""Makes modernbert.json: what transformers makes of the keys of config.json in the decoders of ModernBERT (Ettin; tiny.py).

    python tests/e2e/golden/modernbert.py     (torch, transformers; seconds)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from tiny import Absent, Edit, Variant, Weights, bare, made_up, measure_all, without, write_variant  # noqa: E402

ROWS, WIDTH, LAYERS, HEADS, INNER = 512, 32, 4, 4, 48
CONFIG = {
    "architectures": ["ModernBertDecoderForCausalLM"],
    "model_type": "modernbert-decoder",
    "vocab_size": ROWS,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "max_position_embeddings": 128,
    "hidden_activation": "gelu",
    "classifier_activation": "gelu",
    "norm_eps": 1e-5,
    "norm_bias": False,
    "attention_bias": False,
    "mlp_bias": False,
    "classifier_bias": False,
    "decoder_bias": True,
    "local_attention": 8,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 10000.0,
    "local_rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 1,
    "cls_token_id": 0,
    "sep_token_id": 0,
}
KINDS = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
NORMS = ["model.embeddings.norm", "model.final_norm", "lm_head.norm", *(f"model.layers.{i}.mlp_norm" for i in range(LAYERS))]
NORMS += [f"model.layers.{i}.attn_norm" for i in range(1, LAYERS)]


def weights() -> Weights:
    made = {"model.embeddings.tok_embeddings.weight": made_up(ROWS, WIDTH), "decoder.bias": made_up(ROWS)}
    made["lm_head.dense.weight"] = np.roll(made_up(WIDTH, WIDTH), 5)
    for i, name in enumerate(NORMS):
        made[f"{name}.weight"] = np.roll(made_up(WIDTH, around=1.0), i)
    matrices = {f"attn.{name}": (WIDTH, WIDTH) for name in ("q_proj", "k_proj", "v_proj", "Wo")}
    matrices |= {"mlp.Wi": (2 * INNER, WIDTH), "mlp.Wo": (WIDTH, INNER)}
    for i in range(LAYERS):
        for name, size in matrices.items():
            made[f"model.layers.{i}.{name}.weight"] = np.roll(made_up(*size), 7 * i + sum(map(ord, name))) * (1 - i / 8)
    return made


def biased(*ends: str) -> Edit:
    """Those of the matrices or norms whose names end so."""

    def change(made: Weights) -> None:
        for name in [name for name in made if name.endswith(tuple(f"{end}.weight" for end in ends))]:
            made[name.removesuffix("weight") + "bias"] = np.roll(made_up(made[name].shape[0]), len(name)) * 0.5

    return change


def head(made: Weights) -> None:
    made["decoder.weight"] = made_up(ROWS, WIDTH)[::-1].copy()


def equal_head(made: Weights) -> None:
    made["decoder.weight"] = made["model.embeddings.tok_embeddings.weight"].copy()


def first_norm(made: Weights) -> None:
    made["model.layers.0.attn_norm.weight"] = made_up(WIDTH, around=2.0)


def kinds(full: float, sliding: float, **scaling: Any) -> dict[str, Any]:
    """As version 5 saves it."""
    own = {"full_attention": {"rope_type": "default", "rope_theta": full} | scaling, "sliding_attention": {"rope_type": "default", "rope_theta": sliding}}
    return {"global_rope_theta": Absent, "local_rope_theta": Absent, "rope_parameters": own}


VARIANTS: dict[str, Variant] = {
    "plain": ({}, None, ""),
    "names without model": ({}, bare("model."), "no tensor is named model.embeddings.tok_embeddings.weight"),
    "tied, and both are equal": ({}, equal_head, ""),
    "tied, and both differ": ({}, head, "another matrix than model.embeddings.tok_embeddings.weight"),
    "head": ({"tie_word_embeddings": False}, head, ""),
    "head that is not there": ({"tie_word_embeddings": False}, None, "decoder.weight"),
    "tie null": ({"tie_word_embeddings": None}, None, '"tie_word_embeddings" is null'),
    "tie not said": ({"tie_word_embeddings": Absent}, None, ""),
    "one norm that is not there": ({}, without("1.attn_norm.weight"), "1.attn_norm.weight"),
    "a norm that no layer has": ({}, first_norm, ""),
    "activation relu": ({"hidden_activation": "relu"}, None, ""),
    "activation silu": ({"hidden_activation": "silu"}, None, ""),
    "activation gelu_pytorch_tanh": ({"hidden_activation": "gelu_pytorch_tanh"}, None, ""),
    "activation mish": ({"hidden_activation": "mish"}, None, 'activation "mish"'),
    "activation not said": ({"hidden_activation": Absent}, None, ""),
    "activation null": ({"hidden_activation": None}, None, '"hidden_activation" is null'),
    "activation of other families": ({"hidden_act": "relu", "activation_function": "relu"}, None, ""),
    "activation of the head": ({"classifier_activation": "silu"}, None, ""),
    "activation of the head, mish": ({"classifier_activation": "mish"}, None, 'this "classifier_activation"'),
    "activation of the head not said": ({"classifier_activation": Absent}, None, ""),
    "epsilon": ({"norm_eps": 1e-2}, None, ""),
    "epsilon not said": ({"norm_eps": Absent}, None, ""),
    "epsilon null": ({"norm_eps": None}, None, '"norm_eps" is null'),
    "epsilon of other families": ({"layer_norm_eps": 1e-2, "rms_norm_eps": 1e-2}, None, ""),
    "biases of norms": ({"norm_bias": True}, biased("norm"), ""),
    "biases of norms that are not there": ({"norm_bias": True}, None, "norm.bias"),
    "biases of attention": ({"attention_bias": True}, biased("q_proj", "k_proj", "v_proj", "attn.Wo"), ""),
    "biases of the MLP": ({"mlp_bias": True}, biased("Wi", "mlp.Wo"), ""),
    "biases of the head": ({"classifier_bias": True}, biased("dense"), ""),
    "no bias of the unembedding": ({"decoder_bias": False}, without("decoder.bias"), ""),
    "no bias of the unembedding, and there is one": ({"decoder_bias": False}, None, ""),
    "bias of the unembedding that is not there": ({}, without("decoder.bias"), "decoder.bias"),
    "biases not said": ({key: Absent for key in ("norm_bias", "attention_bias", "mlp_bias", "classifier_bias", "decoder_bias")}, None, ""),
    "bias null": ({"norm_bias": None}, None, '"norm_bias" is null'),
    "window of two": ({"local_attention": 2}, None, ""),
    "window of an odd number": ({"local_attention": 9}, None, ""),
    "window of the context": ({"local_attention": 256}, None, ""),
    "window not said": ({"local_attention": Absent}, None, ""),
    "window null": ({"local_attention": None}, None, '"local_attention"'),
    "window of one": ({"local_attention": 1}, None, '"local_attention"'),
    "window by its other name, too": ({"sliding_window": 4}, None, ""),
    "window by its other name, and another": ({"sliding_window": 3}, None, '"sliding_window" is not half'),
    "every second layer": ({"global_attn_every_n_layers": 2}, None, ""),
    "every layer": ({"global_attn_every_n_layers": 1}, None, ""),
    "every 0 layers": ({"global_attn_every_n_layers": 0}, None, '"global_attn_every_n_layers"'),
    "every not said": ({"global_attn_every_n_layers": Absent}, None, ""),
    "layer types": ({"layer_types": KINDS[::-1]}, None, ""),
    "layer types, all sliding": ({"layer_types": ["sliding_attention"] * LAYERS}, None, ""),
    "layer types null": ({"layer_types": None}, None, ""),
    "layer types, too few": ({"layer_types": KINDS[:3]}, None, '"layer_types"'),
    "layer types, unknown": ({"layer_types": ["chunked_attention"] * LAYERS}, None, '"layer_types"'),
    "base": ({"global_rope_theta": 100.0, "local_rope_theta": 100.0}, None, ""),
    "base as an integer": ({"global_rope_theta": 100, "local_rope_theta": 100}, None, ""),
    "bases that differ": ({"global_rope_theta": 100.0}, None, '"local_rope_theta" is not'),
    "base of windows not said": ({"local_rope_theta": Absent}, None, ""),
    "base of windows not said, and another": ({"local_rope_theta": Absent, "global_rope_theta": 100.0}, None, '"local_rope_theta" is not'),
    "base not said": ({"global_rope_theta": Absent, "local_rope_theta": 160000.0}, None, ""),
    "base of other families": ({"rope_theta": 100.0}, None, ""),
    "rope_parameters": (kinds(100.0, 1000.0), None, ""),
    "rope_parameters, and the same base": (kinds(100.0, 100.0) | {"global_rope_theta": 100.0}, None, ""),
    "rope_parameters, and another base": (kinds(100.0, 100.0) | {"global_rope_theta": 50.0}, None, '"global_rope_theta" is not what'),
    "rope_parameters without bases": (
        {**kinds(0, 0), "rope_parameters": {"full_attention": {"rope_type": "default"}, "sliding_attention": {"rope_type": "default"}}},
        None,
        '"rope_parameters"',
    ),
    "rope_parameters linear": (kinds(100.0, 1000.0, rope_type="linear", factor=2.0), None, '"rope_parameters"'),
    "rope_parameters of one kind": ({"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}}, None, '"rope_parameters"'),
    "rope_scaling": ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, None, '"rope_scaling"'),
    "rope_scaling null": ({"rope_scaling": None}, None, ""),
    "head_dim": ({"head_dim": 4}, None, '"head_dim"'),
    "shared keys": ({"num_key_value_heads": 2}, None, ""),
    "heads that do not divide": ({"num_attention_heads": 5}, None, "do not fit each other"),
    "heads not said": ({"num_attention_heads": Absent}, None, "lacks a size"),
    "width not said": ({"hidden_size": Absent}, None, "lacks a size"),
    "inner width not said": ({"intermediate_size": Absent}, None, "lacks a size"),
    "positions not said": ({"max_position_embeddings": Absent}, None, "lacks a size"),
    "sizes of other families": ({"n_embd": 64, "n_layer": 1, "n_head": 2, "n_inner": 64}, None, ""),
    "partial": ({"partial_rotary_factor": 0.5, "rotary_pct": 0.5}, None, '"partial_rotary_factor"'),
    "parallel residual": ({"use_parallel_residual": True}, None, ""),
    "pruned heads": ({"pruned_heads": {"0": [0]}}, None, '"pruned_heads" names'),
    "quantised": ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, None, '"quantization_config"'),
    "dtype": ({"torch_dtype": "float16"}, None, ""),
    "dropout": ({"attention_dropout": 0.5, "mlp_dropout": 0.5, "embedding_dropout": 0.5}, None, ""),
}


def write_model(name: str, folder: Path) -> None:
    write_variant(folder, CONFIG, weights(), VARIANTS[name])


if __name__ == "__main__":
    measure_all(HERE / "modernbert.json", list(VARIANTS), write_model)
