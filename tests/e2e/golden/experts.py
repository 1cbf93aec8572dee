"""Makes experts.json: what transformers makes of the keys of config.json in the families with experts, OLMoE, Qwen 3 MoE and dots.llm1 (tiny.py).

python tests/e2e/golden/experts.py     (torch, transformers; seconds)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from families import BASE, HEADS, INNER, LAYERS, SHARED, WIDTH, Shape, attention_biases, tied  # noqa: E402
from families import weights as dense_weights  # noqa: E402
from tiny import Absent, Variant, Weights, made_up, measure_all, without, write_variant  # noqa: E402

EXPERTS, DENSE = 6, 96
# of each family: its class, and what its config.json says beside what all say
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "olmoe": ("OlmoeForCausalLM", {"num_experts": EXPERTS, "num_experts_per_tok": 2, "clip_qkv": None, "norm_topk_prob": False}),
    "qwen3_moe": (
        "Qwen3MoeForCausalLM",
        {
            "num_experts": EXPERTS,
            "num_experts_per_tok": 2,
            "norm_topk_prob": True,
            "intermediate_size": 96,
            "moe_intermediate_size": INNER,
            "head_dim": WIDTH // HEADS,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
            "use_sliding_window": False,
            "sliding_window": None,
        },
    ),
    "dots1": (
        "Dots1ForCausalLM",
        {
            "n_routed_experts": EXPERTS,
            "num_experts_per_tok": 2,
            "n_shared_experts": 2,
            "first_k_dense_replace": 1,
            "intermediate_size": DENSE,
            "moe_intermediate_size": INNER,
            "norm_topk_prob": True,
            "routed_scaling_factor": 2.5,
            "n_group": 1,
            "topk_group": 1,
            "head_dim": WIDTH // HEADS,
            "sliding_window": None,
            "max_window_layers": 62,
        },
    ),
}
OWN_CLASS = {"attention_bias": False, "rope_scaling": None, "output_router_logits": False, "router_aux_loss_coef": 0.01}


def mlp(made: Weights, at: str, inner: int, around: float = 0.0) -> None:
    for k, (name, size) in enumerate((("gate", (inner, WIDTH)), ("up", (inner, WIDTH)), ("down", (WIDTH, inner)))):
        made[f"{at}{name}_proj.weight"] = made_up(*size, around=around - k / 99)


def config(family: str) -> dict[str, Any]:
    architecture, own = FAMILIES[family]
    return {"architectures": [architecture], "model_type": family} | BASE | OWN_CLASS | own


def weights(family: str) -> Weights:
    made = dense_weights("qwen3", Shape())
    for name in [name for name in made if ".mlp." in name]:
        del made[name]
    for i in range(LAYERS):
        made[f"model.layers.{i}.mlp.gate.weight"] = made_up(EXPERTS, WIDTH, around=i / 9)
        if family == "olmoe":
            for name, width in (("q_norm", WIDTH), ("k_norm", WIDTH // HEADS * SHARED)):
                made[f"model.layers.{i}.self_attn.{name}.weight"] = made_up(width, around=1.0)
        for j in range(EXPERTS):
            for k, (name, size) in enumerate((("gate", (INNER, WIDTH)), ("up", (INNER, WIDTH)), ("down", (WIDTH, INNER)))):
                values = made_up(*size, around=(i + j - k) / 99) * (1 + j / 5)
                made[f"model.layers.{i}.mlp.experts.{j}.{name}_proj.weight"] = values
    if family == "dots1":
        beside(made)
    return made


def beside(made: Weights, dense: int = 1, shared: int = 2) -> None:
    """The first layers without experts, and in the others those that all inputs go to, and a bias that changes who is chosen."""
    for i in range(LAYERS):
        at = f"model.layers.{i}.mlp."
        if i < dense:
            for name in [name for name in made if name.startswith(at)]:
                del made[name]
            mlp(made, at, DENSE, around=i / 99)
        else:
            mlp(made, at + "shared_experts.", shared * INNER, around=-i / 99)
            made[at + "gate.e_score_correction_bias"] = np.roll(made_up(EXPERTS), i) * 2


def beside_as(dense: int, shared: int) -> Any:
    def edit(made: Weights) -> None:
        made |= {name: values for name, values in weights("qwen3_moe").items() if ".mlp." in name}
        beside(made, dense, shared)

    return edit


def equal_logits(made: Weights) -> None:
    """Of all experts, which are the same, too: whichever are chosen, the sum is one."""
    for name in made:
        if name.endswith("mlp.gate.weight"):
            made[name][:] = made[name][0]
        if ".experts." in name:
            made[name] = made[name.replace(f".experts.{name.split('.')[5]}.", ".experts.0.")]


def dense_layer(made: Weights) -> None:
    for name in [name for name in made if name.startswith("model.layers.1.mlp.")]:
        del made[name]
    made |= {f"model.layers.1.mlp.{name}_proj.weight": made_up(*size) for name, size in (("gate", (96, WIDTH)), ("up", (96, WIDTH)), ("down", (WIDTH, 96)))}


def fused(made: Weights) -> None:
    """As transformers 5 has them in memory."""
    for i in range(LAYERS):
        layer = f"model.layers.{i}.mlp.experts."
        if f"{layer}0.up_proj.weight" not in made:
            continue
        parts = {name: [made.pop(f"{layer}{j}.{name}_proj.weight") for j in range(EXPERTS)] for name in ("gate", "up", "down")}
        made[layer + "gate_up_proj"] = np.stack([np.concatenate(pair) for pair in zip(parts["gate"], parts["up"], strict=True)])
        made[layer + "down_proj"] = np.stack(parts["down"])


EVERY: dict[str, Variant] = {
    "plain": ({}, None, ""),
    "tied": ({"tie_word_embeddings": True}, tied, ""),
    "tie not said": ({"tie_word_embeddings": Absent}, None, ""),
    "attention biases": ({"attention_bias": True}, attention_biases, ""),
    "activation gelu": ({"hidden_act": "gelu"}, None, ""),
    "activation not said": ({"hidden_act": Absent}, None, ""),
    "epsilon": ({"rms_norm_eps": 1e-2}, None, ""),
    "epsilon not said": ({"rms_norm_eps": Absent}, None, ""),
    "base": ({"rope_theta": 100.0}, None, ""),
    "base not said": ({"rope_theta": Absent}, None, ""),
    "rope_scaling linear": ({"rope_scaling": {"type": "linear", "factor": 2.0}}, None, ""),
    "rope_scaling yarn": ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}}, None, 'type "yarn"'),
    "rope_parameters": ({"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}, "rope_theta": Absent, "rope_scaling": Absent}, None, ""),
    "one of one": ({"num_experts_per_tok": 1}, None, ""),
    "all of them": ({"num_experts_per_tok": EXPERTS}, None, ""),
    "equal ones": ({}, equal_logits, ""),
    "normalised": ({"norm_topk_prob": True}, None, ""),
    "not normalised": ({"norm_topk_prob": False}, None, ""),
    "normalised not said": ({"norm_topk_prob": Absent}, None, ""),
    "normalised null": ({"norm_topk_prob": None}, None, '"norm_topk_prob" is neither'),
    "more chosen than there are": ({"num_experts_per_tok": EXPERTS + 1}, None, '"num_experts_per_tok" is more than'),
    "none chosen": ({"num_experts_per_tok": 0}, None, '"num_experts_per_tok" is no number'),
    "no experts": ({"num_experts": 0}, None, '"num_experts" is no number'),
    "experts null": ({"num_experts": None}, None, '"num_experts" is no number'),
    "fewer experts": ({"num_experts": EXPERTS - 1}, None, "mlp.gate.weight has the shape"),
    "more experts": ({"num_experts": EXPERTS + 1}, None, "mlp.experts.6.gate_proj.weight"),
    "experts by their other name": ({"num_local_experts": EXPERTS}, None, ""),
    "experts twice": ({"num_local_experts": EXPERTS - 2}, None, '"num_local_experts" is not'),
    "one expert that is not there": ({}, without("1.mlp.experts.4.up_proj.weight"), "1.mlp.experts.4.up_proj.weight"),
    "fused": ({}, fused, "mlp.experts.0.gate_proj.weight"),
    "losses": ({"output_router_logits": True, "router_aux_loss_coef": 1.0}, None, ""),
}
OWN: dict[str, dict[str, Variant]] = {
    "olmoe": {
        "clip": ({"clip_qkv": 0.5}, None, ""),
        "clip, and biases": ({"clip_qkv": 0.5, "attention_bias": True}, attention_biases, ""),
        "clip as an integer": ({"clip_qkv": 1}, None, '"clip_qkv"'),
        "heads null": ({"num_key_value_heads": None}, None, "k_proj.weight has the shape"),
        "head_dim": ({"head_dim": WIDTH // HEADS}, None, ""),
        "head_dim, wide": ({"head_dim": 16}, None, '"head_dim" is not hidden_size'),
        "sliding window": ({"sliding_window": 4}, None, '"sliding_window" is there'),
        "sliding window null": ({"sliding_window": None}, None, ""),
    },
    "qwen3_moe": {
        "width not said": ({"moe_intermediate_size": Absent}, None, "lacks a size"),
        "head_dim not said": ({"head_dim": Absent}, None, ""),
        "head_dim null": ({"head_dim": None}, None, '"head_dim" is null'),
        "sliding window": ({"use_sliding_window": True, "sliding_window": 4}, None, ""),
        "sliding window of the context": ({"use_sliding_window": True, "sliding_window": 128}, None, ""),
        "one layer without experts": ({"mlp_only_layers": [1]}, dense_layer, '"mlp_only_layers" names'),
        "no layer without experts, null": ({"mlp_only_layers": None}, None, ""),
        "each second layer": ({"decoder_sparse_step": 2}, None, '"decoder_sparse_step" is not 1'),
    },
}
OWN["dots1"] = {
    "no layer without experts": ({"first_k_dense_replace": 0}, beside_as(0, 2), ""),
    "three layers without experts": ({"first_k_dense_replace": 3}, beside_as(3, 2), ""),
    "no layer with experts": ({"first_k_dense_replace": LAYERS}, beside_as(LAYERS, 2), "layers without experts of"),
    "layers without experts not said": ({"first_k_dense_replace": Absent}, beside_as(0, 2), ""),
    "one shared expert": ({"n_shared_experts": 1}, beside_as(1, 1), ""),
    "no shared experts": ({"n_shared_experts": None}, None, '"n_shared_experts" is no number'),
    "shared experts not said": ({"n_shared_experts": Absent}, None, '"n_shared_experts" is no number'),
    "other shared experts": ({"n_shared_experts": 3}, None, "shared_experts.gate_proj.weight has the shape"),
    "scale": ({"routed_scaling_factor": 0.5}, None, ""),
    "scale not said": ({"routed_scaling_factor": Absent}, None, ""),
    "scale 0": ({"routed_scaling_factor": 0}, None, '"routed_scaling_factor" is no positive number'),
    "groups that are all chosen": ({"n_group": 3, "topk_group": 3}, None, ""),
    "groups that are left out": ({"n_group": 3, "topk_group": 1}, None, '"topk_group" is not n_group'),
    "groups of one": ({"n_group": EXPERTS, "topk_group": EXPERTS}, None, '"n_group" is no number of groups'),
    "experts by their old name": ({"n_routed_experts": Absent, "num_experts": EXPERTS}, None, '"n_routed_experts" is no number'),
    "number chosen not said": ({"num_experts_per_tok": Absent}, None, '"num_experts_per_tok" is no number'),
    "width not said": ({"moe_intermediate_size": Absent}, None, "has the shape"),
    "width of layers without experts not said": ({"intermediate_size": Absent}, None, "has the shape"),
    "head_dim not said": ({"head_dim": Absent}, None, ""),
    "heads null": ({"num_key_value_heads": None}, None, "k_proj.weight has the shape"),
    "windows in later layers": ({"sliding_window": 4, "max_window_layers": 2}, None, '"max_window_layers" leaves'),
    "windows beyond the layers": ({"sliding_window": 4, "max_window_layers": LAYERS}, None, ""),
    "window not said": ({"sliding_window": Absent, "max_window_layers": Absent}, None, ""),
    "full layers": ({"layer_types": ["full_attention"] * LAYERS, "sliding_window": 4}, None, ""),
    "a sliding layer": ({"layer_types": [*["full_attention"] * 3, "sliding_attention"], "sliding_window": 4}, None, '"layer_types" is not'),
    "no bias of the router": ({}, without("2.mlp.gate.e_score_correction_bias"), "2.mlp.gate.e_score_correction_bias"),
}
# what is called otherwise there
for name in ("no experts", "experts null", "fewer experts", "more experts"):
    edits, edit, says = EVERY[name]
    OWN["dots1"][name] = ({"n_routed_experts": edits["num_experts"]}, edit, says.replace("num_experts", "n_routed_experts"))
VARIANTS: dict[str, Variant] = {f"{family}: {name}": variant for family in FAMILIES for name, variant in (EVERY | OWN[family]).items()}


def write_model(name: str, folder: Path) -> None:
    family = name.partition(":")[0]
    write_variant(folder, config(family), weights(family), VARIANTS[name])


if __name__ == "__main__":
    measure_all(HERE / "experts.json", list(VARIANTS), write_model)
