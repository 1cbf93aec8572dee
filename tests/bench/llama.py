"""llama.cpp's perplexity tool on a random model of tests/tools/random_model.py. It is named by path and never built here.

The model is written as GGUF (PyPI `gguf`), with a vocabulary of made-up words, so that a text gives exactly the ids that the
other side scores: chunks of `context` tokens, of which the second half is scored, as the tool does it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

PARTS = {
    "input_layernorm": "attn_norm",
    "attention.query_key_value": "attn_qkv",
    "attention.dense": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
}
WHOLE = {
    "gpt_neox.embed_in.weight": "token_embd.weight",
    "embed_out.weight": "output.weight",
    "gpt_neox.final_layer_norm.weight": "output_norm.weight",
    "gpt_neox.final_layer_norm.bias": "output_norm.bias",
}


class Outcome(NamedTuple):
    seconds: float
    perplexity: float


def gguf_name(name: str) -> str:
    if name in WHOLE:
        return WHOLE[name]
    layer, part = re.fullmatch(r"gpt_neox\.layers\.(\d+)\.(.*)\.(?:weight|bias)", name).groups()
    return f"blk.{layer}.{PARTS[part]}.{name.rsplit('.', 1)[1]}"


def text_ids(chunks: int, context: int) -> list[int]:
    import random_model

    return (random_model.hashes("tokens", chunks * context) % np.uint64(random_model.TOKENS)).tolist()


def write_model(size: str, path: Path, dtype: type, ids: list[int]) -> None:
    """Matrices in float16 or float32, vectors in float32. The tool searches its text for every word of its own that the vocabulary
    has, so only those that occur are of that kind."""
    import gguf
    import random_model

    layers, d, heads = random_model.SIZES[size]
    writer = gguf.GGUFWriter(path, "gptneox")
    writer.add_context_length(2048)
    writer.add_embedding_length(d)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(4 * d)
    writer.add_rope_dimension_count(d // heads // 4)
    writer.add_head_count(heads)
    writer.add_parallel_residual(True)
    writer.add_layer_norm_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"<{i}>" for i in range(random_model.VOCABULARY)])
    kinds = [gguf.TokenType.NORMAL] * random_model.VOCABULARY
    for i in ids:
        kinds[i] = gguf.TokenType.USER_DEFINED
    writer.add_token_types(kinds)
    writer.add_token_merges(["< 0"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)
    for name, shape in random_model.shapes(size):
        tensor = random_model.tensor(name, shape)
        if "query_key_value" in name:  # per head q, k, v -> all q, all k, all v
            tensor = tensor.reshape(heads, 3, d // heads, *shape[1:]).swapaxes(0, 1).reshape(shape)
        kind = dtype if len(shape) == 2 else np.float32
        writer.add_tensor(gguf_name(name), np.ascontiguousarray(tensor.astype(kind)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_text(path: Path, ids: list[int]) -> None:
    path.write_text("".join(f"<{i}>" for i in ids))


def run(program: Path, model: Path, text: Path, chunks: int, context: int, threads: int) -> Outcome:
    command = [program, "-m", model, "-f", text, "-c", context, "-t", threads, "--chunks", chunks, "-b", 2048, "-ub", 2048]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    spent = re.search(r"prompt eval time =\s*([\d.]+) ms /\s*(\d+) tokens", output)
    value = re.search(r"Final estimate: PPL = ([\d.e+]+)", output)
    if done.returncode or not spent or not value or int(spent[2]) < chunks * context - 1:
        raise SystemExit(f"{program} ended with status {done.returncode}:\n{output[-2000:]}")
    return Outcome(float(spent[1]) / 1e3, float(value[1]))
