"""Checkpoints as other trainers and people publish them: what is read is measured, and of the rest the error says what it is and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest
from running import Daemon

from tests.hub import samples

CONFIG = {"model_type": "gpt_neox", "vocab_size": samples.ROWS, "hidden_size": samples.COLUMNS}
Start = Callable[..., Daemon]


def write_checkpoint(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    values = samples.halves(samples.ROWS * samples.COLUMNS, seed)
    (folder / "model.safetensors").write_bytes(samples.safetensors({"embed_out.weight": ("F16", [samples.ROWS, samples.COLUMNS], values)}))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["__0_0.distcp"], "without its .metadata"),
        (["parts/__0_0.distcp", "parts/.metadata"], "its checkpoints are in subfolders (parts)"),
        (["__0_0.distcp", ".metadata"], ".metadata: "),
        (["zero_pp_rank_0_mp_rank_00_model_states.pt", "zero_to_fp32.py"], "zero_to_fp32.py"),
        (["mp_rank_00_model_states.pt", "mp_rank_02_model_states.pt"], "mp_rank_01_model_states.pt is not there, and mp_rank_02_model_states.pt is"),
        (["run/mp_rank_00_000_000/model_optim_rng.pt"], "Megatron"),
        (["layer_01-model_00-model_states.pt"], "DeepSpeed"),
        (["latest"], "latest is there, but"),
        (["consolidated.00.pth", "params.json"], "convert_llama_weights_to_hf.py"),
        (["consolidated.safetensors", "params.json"], "Mistral"),
        (["adapter_model.safetensors", "adapter_config.json"], "merge_and_unload"),
        (["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"], "without their index"),
        (["pytorch_model-00001-of-00002.bin"], "without their index"),
        (["tf_model.h5"], "not read"),
        (["model.fp16.safetensors"], "call the file model.safetensors"),
        (["lit_model.pth"], "pytorch_model.bin"),
        (["checkpoint-500/model.safetensors", "checkpoint-1000/model.safetensors", "checkpoint-1000/tokenizer.json"], "(checkpoint-1000 and 1 more)"),
        (["notes.txt"], "none of model.safetensors"),
    ],
    ids=lambda value: value[0].replace("/", "_") if isinstance(value, list) else "",
)
def test_what_is_not_read_is_explained(daemon: Start, make_hub: Any, tmp_path: Path, files: list[str], says: str) -> None:
    folder = tmp_path / "root/models/org/other/step1"
    for name in [*files, "config.json"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    one = daemon(make_hub(tmp_path / "root"))
    sweep = one.wait(one.sweep("org/other"))
    assert sweep["state"] == "failed" and says in sweep["errors"][0]["message"], sweep["errors"]
    assert one.series("org/other")[0]["state"] == "failed"


def test_subfolders_of_one_branch(daemon: Start, make_hub: Any, tmp_path: Path) -> None:
    """Folders of main are swept as revisions; where their names give no step, what the error says to do gives the series."""
    for step in (500, 1000, 1500):
        for model, name in (("run", f"checkpoint-{step}"), ("odd", f"after/{step}it")):
            write_checkpoint(tmp_path / f"root/models/org/{model}/main/{name}", step)
    write_checkpoint(tmp_path / "root/models/org/run/main", 1500)
    one = daemon(make_hub(tmp_path / "root"))
    assert one.wait(one.sweep("org/run"))["state"] == "done"
    steps = [(row["revision"], row["step"]) for row in one.series("org/run") if row["step"] is not None]
    assert steps == [(f"main:checkpoint-{step}", step) for step in (500, 1000, 1500)]
    sweep = one.wait(one.sweep("org/odd"))
    message = sweep["error"]["message"]
    assert sweep["state"] == "failed" and "(after/1000it and 2 more)" in message and message.endswith("--rule 'main:after/{step}it'"), sweep
    assert one.wait(one.sweep("org/odd", revisions={"rule": "main:after/{step}it"}))["state"] == "done"
    assert [row["step"] for row in one.series("org/odd") if row["step"] is not None] == [500, 1000, 1500]


def test_a_repository_for_each_step(daemon: Start, make_hub: Any, tmp_path: Path) -> None:
    """TinyLlama's way: the error says how the series comes together, and so it does."""
    names = {f"TinyLlama-1.1B-intermediate-step-{step}k-{tokens}": step for step, tokens in ((50, "105b"), (240, "503b"), (1431, "3T"))}
    for seed, name in enumerate(names):
        write_checkpoint(tmp_path / "root/models/TinyLlama" / name / "main", seed)
    one = daemon(make_hub(tmp_path / "root"))
    sweep = one.wait(one.sweep(f"TinyLlama/{list(names)[-1]}"))
    message = sweep["error"]["message"]
    rule = "hf://TinyLlama/TinyLlama-1.1B-intermediate-step-{step}-{tokens}"
    assert "series of repositories" in message and message.endswith(f"--rule '{rule}'"), message
    model = "TinyLlama/TinyLlama-1.1B"  # a name for the series; there is no such repository
    assert one.wait(one.sweep(model, revisions={"rule": rule}))["state"] == "done"
    rows = one.series(model)
    assert [(row["revision"], row["step"]) for row in rows] == [(f"hf://TinyLlama/{name}", step * 1000) for name, step in names.items()]
    assert [row["training_tokens"] for row in rows] == [105_000_000_000, 503_000_000_000, 3_000_000_000_000]


def test_tags_are_revisions(daemon: Start, make_hub: Any, tmp_path: Path) -> None:
    """BLOOM's way: the checkpoints are git tags, and branches beside them are none."""
    root = tmp_path / "root/models/org/bloom"
    for step in (5000, 10000, 100000):
        write_checkpoint(root / f"_{step}", step)
    write_checkpoint(root / "main", 7)
    branches = {f"b{step}": f"_{step}" for step in (5000, 10000, 100000)}
    tags = {f"global_step{step}": f"b{step}" for step in (5000, 10000, 100000)}
    (root / "branches.json").write_text(json.dumps({"branches": branches, "tags": tags}))
    one = daemon(make_hub(tmp_path / "root"))
    assert one.wait(one.sweep("org/bloom"))["state"] == "done"
    assert [row["step"] for row in one.series("org/bloom") if row["step"] is not None] == [5000, 10000, 100000]


def test_names_that_count_tokens_alone(daemon: Start, make_hub: Any, tmp_path: Path) -> None:
    """RedPajama's way: a token is a step, for the series, its analysis and the bounds of a sweep."""
    for billions in (20, 100, 240):
        write_checkpoint(tmp_path / f"root/models/org/incite/{billions}b_tokens", billions)
    one = daemon(make_hub(tmp_path / "root"))
    assert one.wait(one.sweep("org/incite", revisions={"from": 50_000_000_000}))["progress"]["done"] == 2
    sweep = one.wait(one.sweep("org/incite"))
    assert sweep["state"] == "done" and sweep["progress"]["done"] == 3, sweep
    rows = [(row["revision"], row["step"], row["training_tokens"]) for row in one.series("org/incite")]
    assert rows == [(f"{billions}b_tokens", billions * 10**9, billions * 10**9) for billions in (20, 100, 240)]
    analysis = one.get("/v1/models/org/incite/analysis").json()
    assert analysis["revisions_counted"] == 3 and not one.get("/v1/models/org/incite/audit").json()["passed_over"]


def test_a_masked_model_of_words(daemon: Start, make_hub: Any, garden: Path, tmp_path: Path) -> None:
    """BabyLM's branches count words, and many of its models fill in masks: their tied unembedding is measured, a perplexity is refused."""
    config = {"model_type": "deberta-v2", "architectures": ["DebertaV2ForMaskedLM"], "vocab_size": samples.ROWS, "hidden_size": samples.COLUMNS}
    for words in ("1M", "10M", "2M"):
        folder = tmp_path / f"root/models/org/baby/chck_{words}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        values = samples.halves(samples.ROWS * samples.COLUMNS, int(words[:-1]))
        tensors = {"deberta.embeddings.word_embeddings.weight": ("F16", [samples.ROWS, samples.COLUMNS], values)}
        (folder / "model.safetensors").write_bytes(samples.safetensors(tensors))
    (tmp_path / "root/datasets").symlink_to(garden / "datasets")
    one = daemon(make_hub(tmp_path / "root"))
    sweep = one.wait(one.sweep("org/baby", metrics=["statistics", "perplexity"], dataset="garden/lambada_garden:data/test.jsonl"))
    assert sweep["state"] == "failed" and "DebertaV2ForMaskedLM" in sweep["error"]["message"] and "masked" in sweep["error"]["message"], sweep
    rows = one.series("org/baby")
    assert [(row["revision"], row["step"], row["training_tokens"]) for row in rows] == [
        ("chck_1M", 1_000_000, None),
        ("chck_2M", 2_000_000, None),
        ("chck_10M", 10_000_000, None),
    ]
    assert all(row["msd"] is not None and row["tensor"] == "deberta.embeddings.word_embeddings.weight" for row in rows)
