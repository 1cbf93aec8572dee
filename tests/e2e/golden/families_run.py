"""Makes families_run.json: what lm-evaluation-harness says of tiny models of GPT-2, BLOOM and of the families after Llama, as a hub would have them.

    python tests/e2e/golden/families_run.py [FAMILY ...]    (lm_eval, torch, transformers, accelerate; a minute, no network)

Of Baichuan 2, Crystal, Pico, open-sci-ref and KORMo, of which transformers has no class, the same is counted by the forward passes of published.py.

Of each family three revisions in three forms: float32 in one safetensors file, bfloat16 in two, float16 in two torch files.
"""

from __future__ import annotations

import json
import shutil
import struct
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import bloom  # noqa: E402
import experts  # noqa: E402
import families  # noqa: E402
import gpt2  # noqa: E402
import modernbert  # noqa: E402
import published  # noqa: E402
from dtypes import to_dtype  # noqa: E402
from torch_writer import Tensor, row_major, write_state_dict  # noqa: E402
from tiny import TOKENIZER, Absent, Weights, made_up  # noqa: E402

TEXTS = HERE.parents[1] / "fixtures/garden/hub/datasets/garden/lambada_garden/main/data/test.jsonl"
COUNT = 40
REVISIONS = {"step1": "float32", "step2": "bfloat16", "step3": "float16"}
SAFETENSORS = {"float32": "F32", "bfloat16": "BF16"}
# what each model has beyond a plain one: changes of config.json, of sizes, and of the weights
RUNS: dict[str, tuple[dict[str, Any], families.Shape, list[Any]]] = {
    "llama": (
        {"rope_scaling": families.LLAMA3, "attention_bias": True, "mlp_bias": True, "head_dim": 16},
        families.Shape(head=16),
        [families.attention_biases, families.mlp_biases],
    ),
    "mistral": ({"sliding_window": 128, "num_key_value_heads": 1}, families.Shape(shared=1), []),
    "qwen2": ({"rope_scaling": families.LINEAR, "tie_word_embeddings": True}, families.Shape(), [families.tied]),
    "qwen3": ({"head_dim": 16, "tie_word_embeddings": True}, families.Shape(head=16), [families.tied]),
    "smollm3": ({"tie_word_embeddings": True}, families.Shape(), [families.tied]),
    "gemma": ({"num_key_value_heads": 1, "head_dim": 16}, families.Shape(shared=1, head=16), []),
    "olmo": ({"clip_qkv": 0.5, "num_key_value_heads": 4}, families.Shape(shared=4), []),
    "olmo2": ({"rope_theta": 500000.0}, families.Shape(), []),
    "apertus": ({"head_dim": 16}, families.Shape(head=16), []),
    "olmoe": ({"clip_qkv": 0.5, "norm_topk_prob": True}, families.Shape(), []),
    "gpt2": (gpt2.STANFORD, families.Shape(), [gpt2.BARE, gpt2.masks]),
    "bloom": ({}, families.Shape(), [bloom.BARE]),
    "modernbert-decoder": ({}, families.Shape(), []),
    "stablelm": ({"use_qkv_bias": True}, families.Shape(), [families.qkv_biases]),
    "nemotron": ({"attention_bias": True, "mlp_bias": True}, families.Shape(), [families.attention_biases, families.mlp_biases]),
    "opensci": ({}, families.Shape(), []),
    "kormo": ({}, families.Shape(), []),
    "baichuan": ({}, families.Shape(), []),
    "crystalcoder": ({}, families.Shape(), [published.masks]),
    "pico_decoder": ({}, families.Shape(), []),
}
OLMOE = SimpleNamespace(CONFIG=experts.config("olmoe"), weights=lambda: experts.weights("olmoe"))
OWN = {"gpt2": gpt2, "bloom": bloom, "olmoe": OLMOE, "modernbert-decoder": modernbert} | {
    family: SimpleNamespace(CONFIG=config, weights=weights) for family, (config, weights, _) in published.FAMILIES.items()
}
STARTED = ("mistral", "olmo2")  # their tokenizer puts a token before each text
TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}},
}


def texts() -> str:
    """One of them begins with that token already."""
    lines = TEXTS.read_text().splitlines(keepends=True)[:COUNT]
    return "".join([*lines[1:], lines[0].replace('"text": "', '"text": "<|endoftext|>')])


def weights(family: str, step: int) -> Weights:
    _, shape, edits = RUNS[family]
    made = OWN[family].weights() if family in OWN else families.weights(family, shape)
    for edit in edits:
        edit(made)
    return {name: values + made_up(*values.shape) * (step / 10) for name, values in made.items()}


def write_safetensors(path: Path, tensors: Weights, dtype: str) -> None:
    header, data = {}, b""
    for name, values in tensors.items():
        content = to_dtype(values, dtype)[0]
        header[name] = {"dtype": SAFETENSORS[dtype], "shape": values.shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_torch(path: Path, tensors: Weights) -> None:
    write_state_dict(
        path,
        {name: Tensor("float16", values.shape, row_major(values.shape), 0, to_dtype(values, "float16")[0]) for name, values in tensors.items()},
    )


def write_revision(family: str, revision: str, folder: Path) -> None:
    dtype, made = REVISIONS[revision], weights(family, int(revision[4:]))
    config = (OWN[family].CONFIG if family in OWN else families.config(family)) | RUNS[family][0]
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not Absent}))
    shutil.copytree(TOKENIZER.parent, folder, dirs_exist_ok=True)
    if family in STARTED:
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer.json").write_text(json.dumps(json.loads(TOKENIZER.read_text()) | {"post_processor": TEMPLATE}))
    if dtype == "float32":
        write_safetensors(folder / "model.safetensors", made, dtype)
        return
    stem, end = ("model", "safetensors") if dtype == "bfloat16" else ("pytorch_model", "bin")
    names, weight_map = sorted(made), {}
    for i, half in enumerate((names[::2], names[1::2])):
        file = f"{stem}-{i + 1:05d}-of-00002.{end}"
        part = {name: made[name] for name in half}
        if end == "bin":
            write_torch(folder / file, part)
        else:
            write_safetensors(folder / file, part, dtype)
        weight_map |= dict.fromkeys(half, file)
    (folder / f"{stem}.{end}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def write_root(root: Path) -> Path:
    """A hub's files: a repository for each family, and the texts."""
    for family in RUNS:
        for revision in REVISIONS:
            write_revision(family, revision, root / "models/made-up" / family / revision)
    data = root / "datasets/made-up/words/main/data"
    data.mkdir(parents=True)
    (data / "test.jsonl").write_text(texts())
    return root


def measure_published(folder: Path, texts: Path) -> dict[str, Any]:
    """The last word of each text, as harness.measure counts it."""
    import math

    import tokenizers
    import torch
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    weights: dict[str, Any] = {}
    for file in folder.glob("*.safetensors"):
        weights |= load_file(file)
    for file in folder.glob("*.bin"):
        weights |= torch.load(file, weights_only=True)
    weights = {name: tensor.double() for name, tensor in weights.items()}
    encode = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).encode
    sums, right = [], 0
    for line in texts.read_text().splitlines():
        text = json.loads(line)["text"]
        ids = torch.tensor(encode(text).ids)
        word = ids[len(encode(text.rsplit(" ", 1)[0]).ids) :]
        inputs = ids[-published.POSITIONS - 1 : -1]  # cut on the left to the context
        logprobs = published.FORWARD[config["model_type"]](config, weights, inputs).log_softmax(-1)[-len(word) :]
        sums.append(logprobs.gather(1, word[:, None]).sum().item())
        right += bool((logprobs.argmax(-1) == word).all())
    return {"documents": len(sums), "accuracy": right / len(sums), "perplexity": math.exp(-math.fsum(sums) / len(sums))}


def main() -> None:
    import tempfile

    import harness

    chosen, out = sys.argv[1:] or RUNS, HERE / "families_run.json"
    golden: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    golden |= {name: version(name) for name in ("lm_eval", "torch", "transformers")}
    with tempfile.TemporaryDirectory() as scratch:
        root = write_root(Path(scratch))
        for family in chosen:
            for revision in REVISIONS:
                folder = root / "models/made-up" / family / revision
                measure = measure_published if family in published.FAMILIES else harness.measure
                golden[f"{family}/{revision}"] = measure(folder, root / "datasets/made-up/words/main/data/test.jsonl")
    out.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
