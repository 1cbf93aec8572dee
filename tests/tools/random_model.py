"""The models and documents of tests/tools/random_model.h, number by number, for the peers that are compared with."""

from __future__ import annotations

import math
from typing import Iterator, NamedTuple

import numpy as np

SIZES = {  # layers, hidden size, heads
    "14m": (6, 128, 4),
    "31m": (6, 256, 8),
    "70m": (6, 512, 8),
    "160m": (12, 768, 12),
    "410m": (24, 1024, 16),
    "1b": (16, 2048, 8),
}
LLAMAS = {  # of Llama's family: LlamaConfig's own names
    "smollm2-135m": {"vocab_size": 49152, "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9,
                     "num_key_value_heads": 3, "intermediate_size": 1536, "rope_theta": 100000.0},
    "llama-1b": {"vocab_size": 128256, "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32,
                 "num_key_value_heads": 8, "intermediate_size": 8192, "rope_theta": 500000.0},
}  # fmt: skip
OTHERS = {  # the class in transformers, and what its config has beside the defaults
    "gpt2": ("GPT2", {"vocab_size": 50257}),
    "bloom-560m": ("Bloom", {"vocab_size": 250880, "hidden_size": 1024, "n_layer": 24, "n_head": 16}),
}
VOCABULARY = 50304
TOKENS = 50277  # of documents: ids below
# All but Pythia's are tied.
UNEMBEDDINGS = ("embed_out.weight", "model.embed_tokens.weight", "transformer.wte.weight", "transformer.word_embeddings.weight")


class Document(NamedTuple):
    ids: list[int]
    target_count: int  # at the end


def seed_of(name: str) -> int:
    """FNV-1a."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def hashes(name: str, count: int) -> np.ndarray:
    """The finaliser of splitmix64 over a seed and the places 0 ... count - 1."""
    with np.errstate(over="ignore"):
        x = np.uint64(seed_of(name)) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        return x ^ x >> np.uint64(31)


def scale_of(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    if len(shape) == 2:
        is_unembedding = name in UNEMBEDDINGS
        return 1.0 if name == "gpt_neox.embed_in.weight" else (4.0 if is_unembedding else 1.4) / math.sqrt(shape[1]), 0.0
    is_norm = "norm.weight" in name or ".ln_" in name and name.endswith(".weight")
    return 0.1, 1.0 if is_norm else 0.0


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float16."""
    draws = (hashes(name, math.prod(shape)) >> np.uint64(48)).astype(np.int32) - 32768
    u = draws.astype(np.float32) / np.float32(32768)
    scale, offset = scale_of(name, shape)
    return (np.float32(offset) + np.float32(scale) * u).astype(np.float16).reshape(shape)


def signed(value: int) -> int:
    """64 bits as Python's int of two's complement, for torch."""
    return value - 2**64 if value >= 2**63 else value


def torch_tensor(name: str, shape: tuple[int, ...], device: str):
    """tensor() as torch computes it, in a moment on a GPU."""
    import torch

    def shifted(x, by: int):  # int64 has no logical shift
        return x >> by & (1 << 64 - by) - 1

    x = torch.arange(1, math.prod(shape) + 1, dtype=torch.int64, device=device)
    x = x * signed(0x9E3779B97F4A7C15) + signed(seed_of(name))
    x = (x ^ shifted(x, 30)) * signed(0xBF58476D1CE4E5B9)
    x = (x ^ shifted(x, 27)) * signed(0x94D049BB133111EB)
    u = (shifted(x ^ shifted(x, 31), 48) - 32768).to(torch.float32) / 32768
    scale, offset = scale_of(name, shape)
    return (offset + torch.tensor(scale, dtype=torch.float32, device=device) * u).to(torch.float16).reshape(shape)


def shapes(size: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    layers, d, _ = SIZES[size]
    yield "gpt_neox.embed_in.weight", (VOCABULARY, d)
    yield "embed_out.weight", (VOCABULARY, d)
    yield "gpt_neox.final_layer_norm.weight", (d,)
    yield "gpt_neox.final_layer_norm.bias", (d,)
    for layer in range(layers):
        prefix = f"gpt_neox.layers.{layer}."
        for name, shape in (
            ("input_layernorm", (d,)),
            ("attention.query_key_value", (3 * d, d)),
            ("attention.dense", (d, d)),
            ("post_attention_layernorm", (d,)),
            ("mlp.dense_h_to_4h", (4 * d, d)),
            ("mlp.dense_4h_to_h", (d, 4 * d)),
        ):
            yield prefix + name + ".weight", shape
            yield prefix + name + ".bias", shape[:1]


def tokens_of(size: str) -> int:
    """The ids of a model's documents are below."""
    config = LLAMAS.get(size) or OTHERS.get(size, ("", {"vocab_size": TOKENS}))[1]
    return min(TOKENS, config["vocab_size"])


def documents(count: int, longest: int = 0, tokens: int = TOKENS) -> list[Document]:
    draws = hashes("documents", 2 * count)
    lengths = [40 + int(draws[2 * i] % np.uint64(95)) for i in range(count)]
    if longest:
        lengths[:2] = [2, longest][:count]
    ids = (hashes("tokens", sum(lengths)) % np.uint64(tokens)).astype(int).tolist()
    made, begin = [], 0
    for i, length in enumerate(lengths):
        target_count = min(1 + int(draws[2 * i + 1] % np.uint64(3)), length - 1)
        made.append(Document(ids[begin : begin + length], target_count))
        begin += length
    return made


def fill(parameter, name: str, device: str) -> None:
    import torch

    shape = tuple(parameter.shape)
    parameter.copy_(torch_tensor(name, shape, device) if device != "cpu" else torch.from_numpy(tensor(name, shape)))


def filled(model, dtype: str, device: str):
    """A model whose tensors have the same names in transformers."""
    import torch

    model = model.to(getattr(torch, dtype)).to(device).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            fill(parameter, name, device)
    return model


def llama_model(size: str, dtype: str, device: str):
    """A model of Llama's family in transformers."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**LLAMAS[size], max_position_embeddings=8192, rms_norm_eps=1e-5, tie_word_embeddings=True)
    return filled(LlamaForCausalLM(config), dtype, device)


def other_model(size: str, dtype: str, device: str):
    import transformers

    family, words = OTHERS[size]
    config = getattr(transformers, f"{family}Config")(**words, tie_word_embeddings=True)
    model = getattr(transformers, "GPT2LMHeadModel" if family == "GPT2" else "BloomForCausalLM")(config)
    return filled(model, dtype, device)


def torch_model(size: str, dtype: str = "float32", device: str = "cpu"):
    """The model in transformers."""
    if size in LLAMAS:
        return llama_model(size, dtype, device)
    if size in OTHERS:
        return other_model(size, dtype, device)
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    layers, d, heads = SIZES[size]
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=d,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * d,
        max_position_embeddings=2048,
        rotary_pct=0.25,
        rotary_emb_base=10000,
        hidden_act="gelu",
        layer_norm_eps=1e-5,
        use_parallel_residual=True,
        tie_word_embeddings=False,
    )
    model = GPTNeoXForCausalLM(config).to(getattr(torch, dtype)).to(device).eval()
    unembedding = model.get_output_embeddings().weight  # embed_out.weight, or lm_head.weight by newer versions
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, _ in shapes(size):
            fill(unembedding if name == "embed_out.weight" else parameters[name], name, device)
    return model
