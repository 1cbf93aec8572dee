"""Makes gpt2.json: what transformers makes of the keys of config.json in the family of GPT-2 (tiny.py).

    python tests/e2e/golden/gpt2.py     (torch, transformers; seconds)

Attention is "eager": "sdpa" of transformers 4.57 passes over the three flags of how it is scaled, so that another model is
computed than the one that was trained; 5 follows them in both.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from tiny import Absent, Edit, Variant, Weights, bare, made_up, measure_all, transformer, without, write_variant  # noqa: E402

ROWS, WIDTH, LAYERS, HEADS, POSITIONS = 512, 32, 3, 4, 128
CONFIG = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "vocab_size": ROWS,
    "n_embd": WIDTH,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "n_positions": POSITIONS,
    "n_ctx": POSITIONS,
    "n_inner": None,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "attn_pdrop": 0.1,
    "embd_pdrop": 0.1,
    "resid_pdrop": 0.1,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def weights(inner: int = 4 * WIDTH) -> Weights:
    norms = [*(f"h.{i}.{name}" for i in range(LAYERS) for name in ("ln_1", "ln_2")), "ln_f"]
    matrices = {
        "attn.c_attn": (WIDTH, 3 * WIDTH),
        "attn.c_proj": (WIDTH, WIDTH),
        "mlp.c_fc": (WIDTH, inner),
        "mlp.c_proj": (inner, WIDTH),
    }
    embeddings = {"transformer.wte.weight": made_up(ROWS, WIDTH), "transformer.wpe.weight": made_up(POSITIONS, WIDTH) * 0.5}
    return embeddings | transformer(norms, WIDTH, matrices, LAYERS, outputs=1)


def masks(made: Weights) -> None:
    """What old versions saved."""
    for i in range(LAYERS):
        prefix = "transformer." if "transformer.wte.weight" in made else ""
        made[f"{prefix}h.{i}.attn.bias"] = np.tril(np.ones((1, 1, POSITIONS, POSITIONS), dtype=np.float32))
        made[f"{prefix}h.{i}.attn.masked_bias"] = np.array(-1e4, dtype=np.float32)


def head(made: Weights) -> None:
    made["lm_head.weight"] = made_up(ROWS, WIDTH)[::-1].copy()


def equal_head(made: Weights) -> None:
    made["lm_head.weight"] = made["transformer.wte.weight"].copy()


def all_of(*edits: Edit) -> Edit:
    def change(made: Weights) -> None:
        for edit in edits:
            edit(made)

    return change


def inner(width: int) -> Edit:
    def change(made: Weights) -> None:
        made |= weights(width)

    return change


# of transformers' Conv1D and Linear: the latter's have as many rows as there are outputs
def turned(made: Weights) -> None:
    for name in [name for name in made if ".c_" in name and name.endswith(".weight")]:
        made[name] = made[name].T.copy()


BARE = bare("transformer.")  # as the first GPT-2 is published
STANFORD = {"scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True}
VARIANTS: dict[str, Variant] = {
    "plain": ({}, None, ""),
    "masks": ({}, masks, ""),
    "names without transformer": ({}, BARE, ""),
    "names without transformer, and masks": ({}, all_of(BARE, masks), ""),
    "names without transformer, and a head": ({"tie_word_embeddings": False}, all_of(head, BARE), ""),
    "names without transformer, and both are equal": ({}, all_of(equal_head, BARE), ""),
    "names without transformer, and both differ": ({}, all_of(head, BARE), "another matrix than wte.weight"),
    "head": ({"tie_word_embeddings": False}, head, ""),
    "head that is not there": ({"tie_word_embeddings": False}, None, "lm_head.weight"),
    "tied": ({"tie_word_embeddings": True}, None, ""),
    "tied, and both are equal": ({}, equal_head, ""),
    "tied, and both differ": ({}, head, "another matrix than transformer.wte.weight"),
    "tie null": ({"tie_word_embeddings": None}, None, '"tie_word_embeddings" is null'),
    "positions that are not there": ({}, without("wpe.weight"), "wpe.weight"),
    "one bias that is not there": ({}, without("1.mlp.c_proj.bias"), "1.mlp.c_proj.bias"),
    "matrices turned": ({}, turned, "c_attn.weight has the shape"),
    "scaled by layer": ({"scale_attn_by_inverse_layer_idx": True}, None, ""),
    "scaled by layer, upcast": (STANFORD, None, ""),
    "upcast": ({"reorder_and_upcast_attn": True}, None, ""),
    "not scaled": ({"scale_attn_weights": False}, None, ""),
    "not scaled but by layer": ({"scale_attn_weights": False, **STANFORD}, None, ""),
    "scales not said": (dict.fromkeys(("scale_attn_weights", *STANFORD), Absent), None, ""),
    "scale null": ({"scale_attn_weights": None}, None, '"scale_attn_weights" is null'),
    "scale by layer null": ({"scale_attn_by_inverse_layer_idx": None}, None, '"scale_attn_by_inverse_layer_idx" is null'),
    "upcast null": ({"reorder_and_upcast_attn": None}, None, '"reorder_and_upcast_attn" is null'),
    "inner": ({"n_inner": 48}, inner(48), ""),
    "inner not said": ({"n_inner": Absent}, None, ""),
    "inner of other families": ({"intermediate_size": 48, "ffn_dim": 48}, None, ""),
    "inner of other families alone": ({"intermediate_size": 48, "n_inner": Absent}, None, ""),
    **{f"activation {name}": ({"activation_function": name}, None, "") for name in ("gelu", "gelu_fast", "gelu_pytorch_tanh", "relu", "silu")},
    **{f"activation {name}": ({"activation_function": name}, None, f'activation "{name}"') for name in ("quick_gelu", "mish")},
    "activation not said": ({"activation_function": Absent}, None, ""),
    "activation null": ({"activation_function": None}, None, '"activation_function" is null'),
    "activation of other families": ({"hidden_act": "relu"}, None, ""),
    "activation of other families alone": ({"hidden_act": "relu", "activation_function": Absent}, None, ""),
    "epsilon": ({"layer_norm_epsilon": 1e-2}, None, ""),
    "epsilon not said": ({"layer_norm_epsilon": Absent}, None, ""),
    "epsilon null": ({"layer_norm_epsilon": None}, None, '"layer_norm_epsilon" is null'),
    "epsilon of other families": ({"layer_norm_eps": 1e-2, "rms_norm_eps": 1e-2}, None, ""),
    "epsilon of other families alone": ({"layer_norm_eps": 1e-2, "layer_norm_epsilon": Absent}, None, ""),
    "cross attention": ({"add_cross_attention": True}, None, '"add_cross_attention"'),
    "cross attention null": ({"add_cross_attention": None}, None, '"add_cross_attention" is null'),
    "width by its other name": ({"hidden_size": WIDTH, "n_embd": Absent}, None, ""),
    "heads by their other name": ({"num_attention_heads": HEADS, "n_head": Absent}, None, ""),
    "layers by their other name": ({"num_hidden_layers": LAYERS, "n_layer": Absent}, None, ""),
    "positions by their other name": ({"max_position_embeddings": POSITIONS, "n_positions": Absent, "n_ctx": Absent}, None, ""),
    "heads twice": ({"num_attention_heads": 2}, None, '"num_attention_heads" is not n_head'),
    "heads twice, equal": ({"num_attention_heads": HEADS}, None, ""),
    "layers twice": ({"num_hidden_layers": 2}, None, '"num_hidden_layers" is not n_layer'),
    "heads of their own": ({"num_key_value_heads": 2, "head_dim": 16}, None, ""),
    "heads that do not divide": ({"n_head": 5}, None, "do not fit each other"),
    "context": ({"n_ctx": 16}, None, ""),
    "positions of another model": ({"n_positions": 64}, None, "wpe.weight has the shape"),
    "positions not said": ({"n_positions": Absent, "n_ctx": Absent}, None, "lacks a size"),
    "heads not said": ({"n_head": Absent}, None, "lacks a size"),
    "width not said": ({"n_embd": Absent}, None, "lacks a size"),
    "rotary embeddings": ({"rope_theta": 100.0, "rotary_pct": 1.0, "partial_rotary_factor": 1.0}, None, ""),
    "rope_scaling": ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, None, ""),
    "rope_parameters": ({"rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 1.0}}, None, ""),
    "biases of other families": ({"attention_bias": False, "mlp_bias": False}, None, ""),
    "parallel residual": ({"use_parallel_residual": True}, None, ""),
    "other scales": ({"logit_scale": 2.0, "embedding_multiplier": 2.0, "final_logit_softcapping": 1.0}, None, ""),
    "sliding window": ({"sliding_window": 4, "layer_types": ["sliding_attention"] * LAYERS}, None, ""),
    "weight tying of other families": ({"weight_tying": False}, None, ""),
    "pruned heads": ({"pruned_heads": {"0": [0]}}, None, '"pruned_heads" names'),
    "quantised": ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, None, '"quantization_config"'),
    "dtype": ({"torch_dtype": "float16"}, None, ""),
    "layers unlike each other": ({"per_layer_config": {"1": {"n_inner": 24}}}, None, '"per_layer_config"'),
}


def write_model(name: str, folder: Path) -> None:
    write_variant(folder, CONFIG, weights(), VARIANTS[name])


if __name__ == "__main__":
    measure_all(HERE / "gpt2.json", list(VARIANTS), write_model, attention="eager")
