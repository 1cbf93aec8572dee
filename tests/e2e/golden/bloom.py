"""Makes bloom.json: what transformers makes of the keys of config.json in the family of BLOOM (tiny.py).

    python tests/e2e/golden/bloom.py     (torch, transformers; seconds)
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from tiny import Absent, Variant, Weights, bare, made_up, measure_all, transformer, without, write_variant  # noqa: E402

ROWS, WIDTH, LAYERS, HEADS = 512, 48, 3, 6  # heads of no power of two
CONFIG = {
    "architectures": ["BloomForCausalLM"],
    "model_type": "bloom",
    "vocab_size": ROWS,
    "n_embed": WIDTH,
    "n_layer": LAYERS,
    "num_attention_heads": HEADS,
    "n_inner": None,
    "seq_length": 64,
    "offset_alibi": 100,
    "layer_norm_epsilon": 1e-5,
    "apply_residual_connection_post_layernorm": False,
    "attention_softmax_in_fp32": True,
    "hidden_dropout": 0.1,
    "attention_dropout": 0.1,
    "pretraining_tp": 2,
    "slow_but_exact": False,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def weights() -> Weights:
    layers = [f"h.{i}.{name}" for i in range(LAYERS) for name in ("input_layernorm", "post_attention_layernorm")]
    matrices = {
        "self_attention.query_key_value": (3 * WIDTH, WIDTH),
        "self_attention.dense": (WIDTH, WIDTH),
        "mlp.dense_h_to_4h": (4 * WIDTH, WIDTH),
        "mlp.dense_4h_to_h": (WIDTH, 4 * WIDTH),
    }
    embedding = {"transformer.word_embeddings.weight": made_up(ROWS, WIDTH)}
    return embedding | transformer(["word_embeddings_layernorm", *layers, "ln_f"], WIDTH, matrices, LAYERS)


def head(made: Weights) -> None:
    made["lm_head.weight"] = made_up(ROWS, WIDTH)[::-1].copy()


def equal_head(made: Weights) -> None:
    made["lm_head.weight"] = made["transformer.word_embeddings.weight"].copy()


BARE = bare("transformer.")  # as BLOOM is published
OLD = {"n_embed": Absent, "hidden_size": WIDTH, "num_attention_heads": Absent, "n_head": HEADS}
VARIANTS: dict[str, Variant] = {
    "plain": ({}, None, ""),
    "names without transformer": ({}, BARE, ""),
    "head": ({"tie_word_embeddings": False}, head, ""),
    "head that is not there": ({"tie_word_embeddings": False}, None, "lm_head.weight"),
    "tied": ({"tie_word_embeddings": True}, None, ""),
    "tied, and both are equal": ({}, equal_head, ""),
    "tied, and both differ": ({}, head, "another matrix than transformer.word_embeddings.weight"),
    "tie null": ({"tie_word_embeddings": None}, None, '"tie_word_embeddings" is null'),
    "norm of the embedding that is not there": ({}, without("word_embeddings_layernorm.weight"), "word_embeddings_layernorm.weight"),
    "sizes by their other names": (OLD, None, ""),
    "width twice": ({"hidden_size": 24}, None, ""),
    "width by a name of other families": ({"n_embed": Absent, "n_embd": WIDTH}, None, "lacks a size"),
    "heads twice": ({"n_head": 3}, None, '"num_attention_heads" is not n_head'),
    "layers twice": ({"num_hidden_layers": 2}, None, '"num_hidden_layers" is not n_layer'),
    "heads of a power of two": ({"num_attention_heads": 8}, None, ""),
    "one head": ({"num_attention_heads": 1}, None, ""),
    "heads that do not divide": ({"num_attention_heads": 5}, None, "do not fit each other"),
    "heads not said": ({"num_attention_heads": Absent}, None, "lacks a size"),
    "layers not said": ({"n_layer": Absent}, None, "lacks a size"),
    "inner": ({"n_inner": 96, "intermediate_size": 96}, None, ""),
    "activation of other families": ({"activation_function": "relu", "hidden_act": "relu"}, None, ""),
    "epsilon": ({"layer_norm_epsilon": 1e-2}, None, ""),
    "epsilon not said": ({"layer_norm_epsilon": Absent}, None, ""),
    "epsilon null": ({"layer_norm_epsilon": None}, None, '"layer_norm_epsilon" is null'),
    "epsilon of other families": ({"layer_norm_eps": 1e-2, "rms_norm_eps": 1e-2}, None, ""),
    "residual after the norm": (
        {"apply_residual_connection_post_layernorm": True},
        None,
        '"apply_residual_connection_post_layernorm" is true',
    ),
    "residual null": (
        {"apply_residual_connection_post_layernorm": None},
        None,
        '"apply_residual_connection_post_layernorm" is null',
    ),
    "residual not said": ({"apply_residual_connection_post_layernorm": Absent}, None, ""),
    "slow but exact": ({"slow_but_exact": True}, None, '"slow_but_exact" leaves out biases'),
    "slow but exact of one": ({"slow_but_exact": True, "pretraining_tp": 1}, None, ""),
    "slow but exact, and not said of how many": ({"slow_but_exact": True, "pretraining_tp": Absent}, None, ""),
    "exact null": ({"slow_but_exact": None}, None, '"slow_but_exact" is null'),
    "parts null": ({"pretraining_tp": None}, None, '"pretraining_tp" is null'),
    "other offset": ({"offset_alibi": 1}, None, ""),
    "context": ({"seq_length": 8}, None, ""),
    "positions of other families": ({"n_positions": 2048}, None, '"n_positions" is there'),
    "rotary embeddings": ({"rope_theta": 100.0, "rotary_pct": 1.0, "rope_scaling": {"rope_type": "linear", "factor": 2.0}}, None, ""),
    "biases of other families": ({"attention_bias": False, "mlp_bias": False}, None, ""),
    "parallel residual": ({"use_parallel_residual": True, "num_key_value_heads": 2}, None, ""),
    "pruned heads": ({"pruned_heads": {"0": [0]}}, None, '"pruned_heads" names'),
    "quantised": ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, None, '"quantization_config"'),
    "dtype": ({"torch_dtype": "float16"}, None, ""),
}


def write_model(name: str, folder: Path) -> None:
    write_variant(folder, CONFIG, weights(), VARIANTS[name])


if __name__ == "__main__":
    measure_all(HERE / "bloom.json", list(VARIANTS), write_model, attention="eager")
