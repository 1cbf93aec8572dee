"""Makes published.json: Baichuan 2 (7B), Crystal, Pico, open-sci-ref and KORMo, of which transformers has no class, on tiny models of made-up weights (tiny.py).

    python tests/e2e/golden/published.py [FOLDER]     (torch; with FOLDER transformers 4, for open-sci-ref 4.48 to 4.52, for KORMo 4.57; seconds)

The column "torch" is the forward pass below, in float64 but for the angles, which both classes have in float32. "class" is what other
code finds, or the name of its error: of Crystal, Pico, open-sci-ref and KORMo the class that is published beside it (modeling_crystalcoder.py,
configuration_crystalcoder.py, pico_decoder.py, and modeling and configuration of opensci and _kormo, if they are in FOLDER), of Baichuan 2 Llama's class with the same weights, queries, keys and values apart and the rows of
the unembedding divided before. Of MiniCPM, whose variants are those of families.py, Granite's class is the other code (families.json).
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import families  # noqa: E402
import kormo  # noqa: E402
import opensci  # noqa: E402
from tiny import TEXTS, TOKENIZER, Absent, Edit, Variant, Weights, bare, made_up, transformer, without, write_variant, written  # noqa: E402

ROWS, WIDTH, LAYERS, HEADS, INNER, POSITIONS = 512, 32, 3, 4, 42, 128
BAICHUAN: dict[str, Any] = {
    "architectures": ["BaichuanForCausalLM"],
    "model_type": "baichuan",
    "vocab_size": ROWS,
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "hidden_act": "silu",
    "max_position_embeddings": POSITIONS,
    "model_max_length": POSITIONS,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "z_loss_weight": 0,
}
CRYSTAL: dict[str, Any] = {  # the multipliers and the rotated quarter as published
    "architectures": ["CrystalCoderLMHeadModel"],
    "model_type": "crystalcoder",
    "vocab_size": ROWS,
    "n_embd": WIDTH,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "n_inner": INNER,
    "n_positions": POSITIONS,
    "activation_function": "swiglu",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "position_embedding_type": "rotary",
    "rotary_dim": 4,
    "mup_embeddings_scale": 14.6,
    "mup_output_alpha": 2.22,
    "mup_width_scale": 0.0625,
    "mup_scale_qk_dot_by_d": True,
    "tie_word_embeddings": True,
    "attn_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "resid_pdrop": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
PICO: dict[str, Any] = {
    "architectures": ["PicoDecoderHF"],
    "model_type": "pico_decoder",
    "vocab_size": ROWS,
    "d_model": WIDTH,
    "n_layers": LAYERS,
    "attention_n_heads": HEADS,
    "attention_n_kv_heads": 2,
    "activation_hidden_dim": INNER,
    "max_seq_len": POSITIONS,
    "batch_size": 8,
    "norm_eps": 1e-6,
    "position_emb_theta": 10000.0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def baichuan_weights() -> Weights:
    made = {"model.embed_tokens.weight": made_up(ROWS, WIDTH), "model.norm.weight": made_up(WIDTH, around=3.0)}
    made["lm_head.weight"] = made_up(ROWS, WIDTH)[::-1] * np.linspace(0.25, 4, ROWS, dtype=np.float32)[:, None]
    matrices = {"self_attn.W_pack": (3 * WIDTH, WIDTH), "self_attn.o_proj": (WIDTH, WIDTH), "mlp.down_proj": (WIDTH, INNER)}
    matrices |= {f"mlp.{name}": (INNER, WIDTH) for name in ("gate_proj", "up_proj")}
    for i in range(LAYERS):
        for name, size in matrices.items():
            made[f"model.layers.{i}.{name}.weight"] = np.roll(made_up(*size), i + len(name)) * (1 - i / 6)
        for name in ("input_layernorm", "post_attention_layernorm"):
            made[f"model.layers.{i}.{name}.weight"] = np.roll(made_up(WIDTH, around=1.0), i + len(name))
    return made


def crystal_weights(inner: int = INNER) -> Weights:
    norms = [*(f"h.{i}.{name}" for i in range(LAYERS) for name in ("ln_1", "ln_2")), "ln_f"]
    matrices = {"attn.c_attn": (WIDTH, 3 * WIDTH), "attn.c_proj": (WIDTH, WIDTH), "mlp.c_proj": (inner, WIDTH)}
    matrices |= {f"mlp.{name}": (WIDTH, inner) for name in ("c_fc", "c_fc2")}
    return {"transformer.wte.weight": made_up(ROWS, WIDTH)} | transformer(norms, WIDTH, matrices, LAYERS, outputs=1)


def pico_weights(keys: int = 2, heads: int = HEADS) -> Weights:
    made = {"embedding_proj.weight": made_up(ROWS, WIDTH), "de_embedding_proj.weight": made_up(ROWS, WIDTH)[::-1].copy()}
    made["output_norm.weight"] = made_up(WIDTH, around=1.0)
    shared = keys * (WIDTH // heads)
    matrices = {"attention.q_proj": (WIDTH, WIDTH), "attention.k_proj": (shared, WIDTH), "attention.v_proj": (shared, WIDTH)}
    matrices |= {"attention.o_proj": (WIDTH, WIDTH), "swiglu.w_0": (INNER, WIDTH), "swiglu.w_1": (INNER, WIDTH), "swiglu.w_2": (WIDTH, INNER)}
    for i in range(LAYERS):
        for j, (name, size) in enumerate(matrices.items()):
            made[f"layers.{i}.{name}.weight"] = np.roll(made_up(*size), i + j) * (1 - i / 6)
        for name in ("attention_norm", "swiglu_norm"):
            made[f"layers.{i}.{name}.weight"] = np.roll(made_up(WIDTH, around=1.0), i + len(name))
    return {f"pico_decoder.{name}": values for name, values in made.items()}


def short_rows(made: Weights) -> None:
    """The norm of a row of zeros is 0, and torch takes 1e-12 for any that is less."""
    made["lm_head.weight"][:40] = 0
    made["lm_head.weight"][40:80] *= np.float32(1e-14)


def tied_baichuan(made: Weights) -> None:
    del made["lm_head.weight"]


def head(made: Weights) -> None:
    made["lm_head.weight"] = made_up(ROWS, WIDTH)[::-1].copy()


def equal_head(made: Weights) -> None:
    made["lm_head.weight"] = made["transformer.wte.weight"].copy()


def masks(made: Weights) -> None:
    """Which the published files have."""
    for i in range(LAYERS):
        made[f"transformer.h.{i}.attn.bias"] = np.tril(np.ones((1, 1, POSITIONS, POSITIONS), dtype=np.bool_))
        made[f"transformer.h.{i}.attn.masked_bias"] = np.array(-1e4, dtype=np.float32)


def inner(width: int) -> Edit:
    return lambda made: made.update(crystal_weights(width))


OF_BAICHUAN: dict[str, Variant] = {
    "plain": ({}, None, ""),
    "rows of zeros, and short ones": ({}, short_rows, ""),
    "activation gelu": ({"hidden_act": "gelu"}, None, ""),
    "epsilon": ({"rms_norm_eps": 1e-2}, None, ""),
    "not said": (dict.fromkeys(("hidden_act", "rms_norm_eps", "tie_word_embeddings", "model_max_length"), Absent), None, ""),
    "biases of other families": ({"attention_bias": True, "mlp_bias": True}, None, ""),
    "tied": ({"tie_word_embeddings": True}, tied_baichuan, '"tie_word_embeddings" is true'),
    "13B": ({"max_position_embeddings": Absent}, None, '"max_position_embeddings" is not there, as in 13B'),
    "the first Baichuan": ({"architectures": ["BaiChuanForCausalLM"]}, None, '"architectures" is not BaichuanForCausalLM'),
    "class not said": ({"architectures": Absent}, None, '"architectures" is not BaichuanForCausalLM'),
    "base": ({"rope_theta": 100.0}, None, '"rope_theta" is there'),
    "rope_scaling": ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, None, '"rope_scaling" is there'),
    "keys of each head, said": ({"num_key_value_heads": HEADS}, None, ""),
    "shared keys": ({"num_key_value_heads": 2}, None, '"num_key_value_heads" is not num_attention_heads'),
    "heads that do not divide": ({"num_attention_heads": 5}, None, "do not fit each other"),
    "quantised": ({"quantization_config": {"load_in_4bit": True}}, None, '"quantization_config"'),
    "no unembedding": ({}, tied_baichuan, "lm_head.weight"),
}
OF_CRYSTAL: dict[str, Variant] = {
    "plain": ({}, None, ""),
    "masks, and both are equal": ({}, lambda made: (masks(made), equal_head(made)), ""),
    "names without transformer": ({}, bare("transformer."), ""),
    "head": ({"tie_word_embeddings": False}, head, ""),
    "tied, and both differ": ({}, head, "another matrix than transformer.wte.weight"),
    "tie not said": ({"tie_word_embeddings": Absent}, None, ""),
    "all dimensions": ({"rotary_dim": None}, None, ""),
    "all dimensions, 0": ({"rotary_dim": 0}, None, ""),
    "all dimensions, not said": ({"rotary_dim": Absent}, None, ""),
    "an odd number of dimensions": ({"rotary_dim": 3}, None, '"rotary_dim" is no even number'),
    "more dimensions than a head has": ({"rotary_dim": 16}, None, "must be even and at most"),
    "less than no dimensions": ({"rotary_dim": -2}, None, '"rotary_dim" is no even number'),
    "learned positions": ({"position_embedding_type": "learned"}, None, '"position_embedding_type" is not rotary'),
    "slopes": ({"position_embedding_type": "alibi"}, None, '"position_embedding_type" is not rotary'),
    "divided by the root": ({"mup_scale_qk_dot_by_d": False}, None, ""),
    "not divided": ({"scale_attn_weights": False}, None, ""),
    "divided by layer": ({"scale_attn_by_inverse_layer_idx": True}, None, ""),
    "multipliers not said": (dict.fromkeys([key for key in CRYSTAL if key.startswith("mup_")], Absent), None, ""),
    "multiplier 0": ({"mup_width_scale": 0}, None, '"mup_width_scale" is no positive number'),
    "multiplier as text": ({"mup_embeddings_scale": "14.6"}, None, '"mup_embeddings_scale" is no positive number'),
    "no gate": ({"activation_function": "gelu"}, without("c_fc2.weight", "c_fc2.bias"), '"activation_function" is not swiglu'),
    "activation not said": ({"activation_function": Absent}, None, ""),
    "inner not said": ({"n_inner": Absent}, inner(4 * WIDTH), ""),
    "epsilon": ({"layer_norm_epsilon": 1e-2}, None, ""),
    "names of other families": ({"hidden_size": WIDTH, "n_embd": Absent, "num_attention_heads": HEADS, "n_head": Absent}, None, ""),
    "rotary embeddings of other families": ({"rope_theta": 100.0, "rope_scaling": {"rope_type": "linear", "factor": 2.0}}, None, ""),
    "a second text": ({"add_cross_attention": True}, None, '"add_cross_attention"'),
    "one bias that is not there": ({}, without("1.mlp.c_fc2.bias"), "1.mlp.c_fc2.bias"),
    "heads that do not divide": ({"n_head": 5}, None, "do not fit each other"),
}
OF_PICO: dict[str, Variant] = {
    "plain": ({}, None, ""),
    "keys of each head": ({"attention_n_kv_heads": HEADS}, lambda made: made.update(pico_weights(HEADS)), ""),
    "one key for all": ({"attention_n_kv_heads": 1}, lambda made: made.update(pico_weights(1)), ""),
    "wider heads": ({"attention_n_heads": 2, "attention_n_kv_heads": 1}, lambda made: made.update(pico_weights(1, 2)), ""),
    "epsilon": ({"norm_eps": 1e-2}, None, ""),
    "base": ({"position_emb_theta": 100}, None, ""),
    "tied, it says": ({"tie_word_embeddings": True}, None, ""),
    "keys of other families": (
        {"hidden_size": 48, "num_hidden_layers": 9, "rms_norm_eps": 1e-2, "rope_theta": 100.0, "hidden_act": "gelu", "attention_bias": True}
        | {"rope_scaling": {"rope_type": "linear", "factor": 2.0}, "head_dim": 6, "n_layer": 1, "max_position_embeddings": 8},
        None,
        "",
    ),
    "epsilon not said": ({"norm_eps": Absent}, None, '"norm_eps" is not there'),
    "base not said": ({"position_emb_theta": Absent}, None, '"position_emb_theta" is not there'),
    "base null": ({"position_emb_theta": None}, None, '"position_emb_theta" is not there'),
    "shared keys not said": ({"attention_n_kv_heads": Absent}, None, '"attention_n_kv_heads" is not there'),
    "names of Llama alone": (
        {"hidden_size": WIDTH, "d_model": Absent, "num_hidden_layers": LAYERS, "n_layers": Absent},
        None,
        '"n_layers" is not there',
    ),
    "another class": ({"architectures": ["PicoDecoderForTokenClassification"]}, None, '"architectures" is not PicoDecoderHF'),
    "class not said": ({"architectures": Absent}, None, ""),
    "quantised": ({"quantization_config": {"load_in_4bit": True}}, None, '"quantization_config"'),
    "heads that do not divide": ({"attention_n_heads": 5, "attention_n_kv_heads": 1}, None, "do not fit each other"),
    "heads of an odd size": ({"d_model": 36, "attention_n_heads": 4}, None, "is not an even number"),
    "names without pico_decoder": ({}, bare("pico_decoder."), "pico_decoder.embedding_proj.weight"),
    "no unembedding": ({}, without("de_embedding_proj.weight"), "pico_decoder.de_embedding_proj.weight"),
}
FAMILIES = {
    "baichuan": (BAICHUAN, baichuan_weights, OF_BAICHUAN),
    "crystalcoder": (CRYSTAL, crystal_weights, OF_CRYSTAL),
    "pico_decoder": (PICO, pico_weights, OF_PICO),
    "opensci": (opensci.CONFIG, opensci.weights, opensci.VARIANTS),
    "kormo": (kormo.CONFIG, kormo.weights, kormo.VARIANTS),
}
CLASSES = {"crystalcoder": "modeling_crystalcoder.py", "pico_decoder": "pico_decoder.py", "opensci": "modeling_opensci.py", "kormo": "_modeling_kormo.py"}
VARIANTS: dict[str, Variant] = {f"{family}: {name}": variant for family, (_, _, own) in FAMILIES.items() for name, variant in own.items()}


def write_model(name: str, folder: Path) -> None:
    config, weights, own = FAMILIES[name.partition(": ")[0]]
    write_variant(folder, config, weights(), own[name.partition(": ")[2]])


# The forward passes, written down from the published classes


def rotated(x: Any, dimensions: int, are_neighbours: bool, base: float = 10000) -> Any:
    """x [inputs, heads, size]: of its first dimensions, pair j turns by position * base^(-2 j / dimensions)."""
    import torch

    return turned(x, 1.0 / base ** (torch.arange(0, dimensions, 2, dtype=torch.float32) / dimensions), are_neighbours)


def turned(x: Any, frequencies: Any, are_neighbours: bool = False) -> Any:
    import torch

    dimensions = 2 * len(frequencies)
    angles = torch.outer(torch.arange(x.shape[0], dtype=torch.float32), frequencies)[:, None]
    cosine, sine = angles.cos().double(), angles.sin().double()
    part, out = x[..., :dimensions], x.clone()
    halves = slice(0, dimensions // 2), slice(dimensions // 2, dimensions)
    first, second = (slice(0, dimensions, 2), slice(1, dimensions, 2)) if are_neighbours else halves
    out[..., first] = part[..., first] * cosine - part[..., second] * sine
    out[..., second] = part[..., second] * cosine + part[..., first] * sine
    return out


def attended(q: Any, k: Any, v: Any, divisor: float) -> Any:
    """Each [inputs, heads, size]."""
    import torch

    scores = torch.einsum("ihd,jhd->hij", q, k) / divisor
    hidden = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
    return torch.einsum("hij,jhd->ihd", scores.masked_fill(hidden, -math.inf).softmax(-1), v).flatten(1)


def baichuan(config: dict[str, Any], w: dict[str, Any], ids: Any) -> Any:
    from torch.nn import functional as F

    epsilon = config.get("rms_norm_eps", 1e-6)
    heads, gate = config["num_attention_heads"], {"silu": F.silu, "gelu": F.gelu}[config.get("hidden_act", "silu")]

    def norm(x: Any, name: str) -> Any:
        return w[name] * x / (x.square().mean(-1, keepdim=True) + epsilon).sqrt()

    x = w["model.embed_tokens.weight"][ids]
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}."
        packed = norm(x, at + "input_layernorm.weight") @ w[at + "self_attn.W_pack.weight"].T
        q, k, v = (part.unflatten(-1, (heads, -1)) for part in packed.chunk(3, -1))
        q, k = (rotated(part, part.shape[-1], are_neighbours=False) for part in (q, k))
        x = x + attended(q, k, v, math.sqrt(q.shape[-1])) @ w[at + "self_attn.o_proj.weight"].T
        y = norm(x, at + "post_attention_layernorm.weight")
        x = x + (gate(y @ w[at + "mlp.gate_proj.weight"].T) * (y @ w[at + "mlp.up_proj.weight"].T)) @ w[at + "mlp.down_proj.weight"].T
    lengths = w["lm_head.weight"].square().sum(-1).sqrt().clamp_min(1e-12)
    return (norm(x, "model.norm.weight") @ w["lm_head.weight"].T) / lengths


def minicpm(config: dict[str, Any], w: dict[str, Any], ids: Any) -> Any:
    import torch
    from torch.nn import functional as F

    heads, width, layers = config["num_attention_heads"], config["hidden_size"], config["num_hidden_layers"]
    size, depth = width // heads, config.get("scale_depth", 1) / math.sqrt(layers)

    def norm(x: Any, name: str) -> Any:
        return w[name] * x / (x.square().mean(-1, keepdim=True) + config.get("rms_norm_eps", 1e-6)).sqrt()

    def matrix(x: Any, name: str) -> Any:
        return x @ w[name + ".weight"].T + w.get(name + ".bias", torch.tensor(0.0))

    x = w["model.embed_tokens.weight"][ids] * config.get("scale_emb", 1)
    for i in range(layers):
        at = f"model.layers.{i}."
        y = norm(x, at + "input_layernorm.weight")
        q, k, v = (matrix(y, f"{at}self_attn.{part}_proj").unflatten(-1, (-1, size)) for part in "qkv")
        q, k = (rotated(part, size, are_neighbours=False) for part in (q, k))
        k, v = (part.repeat_interleave(heads // part.shape[1], 1) for part in (k, v))
        x = x + depth * matrix(attended(q, k, v, math.sqrt(size)), at + "self_attn.o_proj")
        y = norm(x, at + "post_attention_layernorm.weight")
        x = x + depth * matrix(F.silu(matrix(y, at + "mlp.gate_proj")) * matrix(y, at + "mlp.up_proj"), at + "mlp.down_proj")
    unembedding = w["model.embed_tokens.weight" if config.get("tie_word_embeddings", True) else "lm_head.weight"]
    return norm(x, "model.norm.weight") / (width / config.get("dim_model_base", 1)) @ unembedding.T


def crystal(config: dict[str, Any], w: dict[str, Any], ids: Any) -> Any:
    from torch.nn import functional as F

    w = {name.removeprefix("transformer."): tensor for name, tensor in w.items()}
    heads, width = config.get("n_head", HEADS), config.get("n_embd", WIDTH)
    size = width // heads
    divisor = 1.0 if not config["scale_attn_weights"] else float(size) if config.get("mup_scale_qk_dot_by_d") else math.sqrt(size)

    def norm(x: Any, name: str) -> Any:
        return F.layer_norm(x, (width,), w[name + ".weight"], w[name + ".bias"], config["layer_norm_epsilon"])

    def matrix(x: Any, name: str) -> Any:
        return x @ w[name + ".weight"] + w[name + ".bias"]

    x = w["wte.weight"][ids] * config.get("mup_embeddings_scale", 1.0)
    for i in range(config["n_layer"]):
        at = f"h.{i}."
        q, k, v = (part.unflatten(-1, (heads, size)) for part in matrix(norm(x, at + "ln_1"), at + "attn.c_attn").chunk(3, -1))
        q, k = (rotated(part, config.get("rotary_dim") or size, are_neighbours=True) for part in (q, k))
        of_layer = i + 1 if config.get("scale_attn_by_inverse_layer_idx") else 1
        x = x + matrix(attended(q, k, v, divisor * of_layer), at + "attn.c_proj")
        y = norm(x, at + "ln_2")
        x = x + matrix(matrix(y, at + "mlp.c_fc") * F.silu(matrix(y, at + "mlp.c_fc2")), at + "mlp.c_proj")
    unembedding = w["wte.weight" if config.get("tie_word_embeddings", True) else "lm_head.weight"]
    return norm(x, "ln_f") @ unembedding.T * config.get("mup_output_alpha", 1.0) * config.get("mup_width_scale", 1.0)


def pico(config: dict[str, Any], w: dict[str, Any], ids: Any) -> Any:
    from torch.nn import functional as F

    w = {name.removeprefix("pico_decoder."): tensor for name, tensor in w.items()}
    heads = config["attention_n_heads"]
    size = config["d_model"] // heads

    def norm(x: Any, name: str) -> Any:
        return w[name + ".weight"] * x / (x.square().mean(-1, keepdim=True) + config["norm_eps"]).sqrt()

    x = w["embedding_proj.weight"][ids]
    for i in range(config["n_layers"]):
        at = f"layers.{i}."
        y = norm(x, at + "attention_norm")
        q, k, v = ((y @ w[f"{at}attention.{part}_proj.weight"].T).unflatten(-1, (-1, size)) for part in "qkv")
        q, k = (rotated(part, size, are_neighbours=True, base=config["position_emb_theta"]) for part in (q, k))
        k, v = (part.repeat_interleave(heads // part.shape[1], 1) for part in (k, v))
        x = x + attended(q, k, v, math.sqrt(size)) @ w[at + "attention.o_proj.weight"].T
        y = norm(x, at + "swiglu_norm")
        x = x + (F.silu(y @ w[at + "swiglu.w_0.weight"].T) * (y @ w[at + "swiglu.w_1.weight"].T)) @ w[at + "swiglu.w_2.weight"].T
    return norm(x, "output_norm") @ w["de_embedding_proj.weight"].T


def open_sci(config: dict[str, Any], w: dict[str, Any], ids: Any) -> Any:
    return opensci.logits(config, w, ids, turned, attended)


def of_kormo(config: dict[str, Any], w: dict[str, Any], ids: Any) -> Any:
    return kormo.logits(config, w, ids, turned, attended)


FORWARD = {"baichuan": baichuan, "crystalcoder": crystal, "minicpm": minicpm, "pico_decoder": pico, "opensci": open_sci, "kormo": of_kormo}


def sums_of(logits_of: Any) -> list[float]:
    import tokenizers
    import torch

    encode, sums = tokenizers.Tokenizer.from_file(str(TOKENIZER)).encode, []
    for text in TEXTS:
        ids = torch.tensor([0, *encode(text, add_special_tokens=False).ids])
        with torch.inference_mode():
            logprobs = logits_of(ids)[:-1].log_softmax(-1)
        sums.append(round(logprobs.gather(1, ids[1:, None]).sum().item(), 10))
    return sums


def measure(folder: Path) -> list[float]:
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    w = {name: tensor.double() for name, tensor in load_file(folder / "model.safetensors").items()}
    return sums_of(lambda ids: FORWARD[config["model_type"]](config, w, ids))


def as_llama(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Changes the weights in the folder, too."""
    import torch
    from safetensors.torch import load_file, save_file

    made = {name: tensor.double() for name, tensor in load_file(folder / "model.safetensors").items()}
    for name in [name for name in made if name.endswith("W_pack.weight")]:
        for part, matrix in zip("qkv", made.pop(name).chunk(3), strict=True):
            made[name.replace("W_pack", f"{part}_proj")] = matrix.clone()
    made["lm_head.weight"] = torch.nn.functional.normalize(made["lm_head.weight"])
    save_file(made, folder / "model.safetensors", {"format": "pt"})
    return config | {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "attention_bias": False, "mlp_bias": False}


def measure_class(folder: Path, published: Path) -> list[float] | str:
    """Tensors that a class makes up itself are an error, too."""
    import torch
    from transformers import AutoModelForCausalLM

    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] == "baichuan":
        config = as_llama(folder, config)
    else:
        config["auto_map"] = {
            "crystalcoder": {
                "AutoConfig": "configuration_crystalcoder.CrystalCoderConfig",
                "AutoModelForCausalLM": "modeling_crystalcoder.CrystalCoderLMHeadModel",
            },
            "pico_decoder": {"AutoConfig": "pico_decoder.PicoDecoderHFConfig", "AutoModelForCausalLM": "pico_decoder.PicoDecoderHF"},
            "opensci": opensci.CONFIG["auto_map"],
            "kormo": kormo.CONFIG["auto_map"],
        }[config["model_type"]]
        for file in [*published.glob("*_crystalcoder.py"), *published.glob("pico_decoder.py"), *published.glob("*_opensci.py"), *published.glob("*_kormo.py")]:
            shutil.copy(file, folder)
    (folder / "config.json").write_text(json.dumps(config))
    try:
        model, told = AutoModelForCausalLM.from_pretrained(str(folder), torch_dtype=torch.float64, trust_remote_code=True, output_loading_info=True)
        if told["missing_keys"]:
            return "missing " + sorted(told["missing_keys"])[0]
        model.eval()
        return sums_of(lambda ids: model(ids[None], use_cache=False).logits[0])
    except Exception as error:  # whatever it is: nobody gets a number
        return type(error).__name__


def main(published: Path | None) -> None:
    import tempfile

    out = HERE / "published.json"
    golden: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        for i, name in enumerate(VARIANTS):
            folder = Path(scratch) / str(i)
            write_model(name, folder)
            golden.setdefault("torch", {})[name] = None if VARIANTS[name][-1] else measure(folder)
            family = name.partition(": ")[0]
            if published and ((published / CLASSES[family]).exists() if family in CLASSES else not VARIANTS[name][-1]):
                golden.setdefault("class", {})[name] = measure_class(folder, published)
        for name in (name for name in families.VARIANTS if name.startswith("minicpm") and not families.VARIANTS[name][-1]):
            folder = Path(scratch) / name
            families.write_model(name, folder)
            golden["torch"][name] = measure(folder)
    out.write_text(written(golden))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
