"""Repositories that hold weights twice: only those that the checkpoint is read from count, whatever was seen before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest
import torch_writer
from huggingface_hub import HfApi
from running import Daemon
from workers import Worker

from tests.hub import samples

MODEL = "org/stale"
SHAPE = (samples.ROWS, samples.COLUMNS)


def write(root: Path) -> Path:
    """A run that began to write safetensors after its first checkpoint, and left that one's torch file where it was."""
    config = {"model_type": "gpt_neox", "vocab_size": samples.ROWS, "hidden_size": samples.COLUMNS}
    old = samples.halves(samples.ROWS * samples.COLUMNS, 1)
    for name, seed in (("step0", 0), ("step1", 2), ("step2", 3)):
        folder = root / "models" / MODEL / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        torch_writer.write_state_dict(
            folder / "pytorch_model.bin",
            {"embed_out.weight": torch_writer.Tensor("float16", SHAPE, torch_writer.row_major(SHAPE), 0, old)},
        )
        if seed:
            new = samples.halves(samples.ROWS * samples.COLUMNS, seed)
            tensors = {"embed_out.weight": ("F16", list(SHAPE), new)}
            (folder / "model.safetensors").write_bytes(samples.safetensors(tensors))
    return root


@pytest.mark.parametrize("is_remote", [False, True])
def test_stale_weights_beside_new_ones(
    daemon: Callable[..., Daemon], make_hub: Any, programs: dict[str, Path], tmp_path: Path, is_remote: bool
) -> None:
    one = daemon(make_hub(write(tmp_path / "root"), thread=True), *(("--fetchers", "0") if is_remote else ()))
    worker = Worker(one, programs["bifurcated"], tmp_path / "worker").start() if is_remote else None
    try:
        one.wait(one.sweep(MODEL, revisions={"names": ["step0"]}))  # so that the torch file is known
        assert one.wait(one.sweep(MODEL))["state"] == "done"
    finally:
        if worker:
            assert worker.stop() == 0
    rows = one.series(MODEL)
    assert len({row["digest"] for row in rows}) == 3
    assert [row["same_as"] for row in rows] == [None] * 3 and all(row["msd"] for row in rows[1:])


def write_parts(root: Path, second: str) -> Path:
    """A run that was saved in three parts, then in two, whose names `second` makes, with the first parts left where they were."""
    config = {"model_type": "gpt_neox", "vocab_size": samples.ROWS, "hidden_size": samples.COLUMNS}
    for name, parts in (("step0", (3,)), ("step1", (3, 2)), ("step2", (3, 2))):
        folder = root / "models" / MODEL / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        for count in parts:
            seed = 1 if count == 3 else int(name[-1]) + 1
            form = "model-{:05}-of-00003.safetensors" if count == 3 else second
            files = [form.format(number) for number in range(1, count + 1)]
            for number, file in enumerate(files):
                tensor = "embed_out.weight" if number == 0 else f"layer{number}.weight"
                values = samples.halves(samples.ROWS * samples.COLUMNS, seed + number)
                (folder / file).write_bytes(samples.safetensors({tensor: ("F16", list(SHAPE), values)}))
            weight_map = {"embed_out.weight": files[0]} | {f"layer{i}.weight": files[i] for i in range(1, count)}
            (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return root


@pytest.mark.parametrize("second", ["model-{:05}-of-00002.safetensors", "part{}.safetensors"])
@pytest.mark.parametrize("is_remote", [False, True])
def test_stale_shards_beside_new_ones(
    daemon: Callable[..., Daemon], make_hub: Any, programs: dict[str, Path], tmp_path: Path, is_remote: bool, second: str
) -> None:
    one = daemon(make_hub(write_parts(tmp_path / "root", second), thread=True), *(("--fetchers", "0") if is_remote else ()))
    worker = Worker(one, programs["bifurcated"], tmp_path / "worker").start() if is_remote else None
    try:
        one.wait(one.sweep(MODEL, revisions={"names": ["step0"]}))  # so that its part is known
        assert one.wait(one.sweep(MODEL))["state"] == "done"
    finally:
        if worker:
            assert worker.stop() == 0
    assert len({row["digest"] for row in one.series(MODEL)}) == 3


# ---- how many parameters a model has, by the shapes in its files ----------------------------------

BLOCK = "model.transformer.blocks.0."
OLMO = {
    "model.transformer.wte.weight": (64, 32),
    "model.transformer.ff_out.weight": (64, 32),
    BLOCK + "att_proj.weight": (96, 32),
    BLOCK + "attn_out.weight": (32, 32),
    BLOCK + "ff_proj.weight": (128, 32),
    BLOCK + "ff_out.weight": (32, 64),
}


def write_olmo(root: Path) -> None:
    """One model whose parameters are counted by the shapes of its tensors, in each layout: org/whole, org/sharded, org/torch, org/torch-sharded."""
    halves = {name: samples.halves(rows * columns, seed) for seed, (name, (rows, columns)) in enumerate(OLMO.items())}
    parts = [list(OLMO)[:2], list(OLMO)[2:]]
    for model in ("whole", "sharded", "torch", "torch-sharded"):
        folder = root / "models" / "org" / model / "step1000-tokens4B"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"model_type": "hf_olmo", "weight_tying": False}))
        is_torch, files = model.startswith("torch"), parts if model.endswith("sharded") else [list(OLMO)]
        stem, end = ("pytorch_model", "bin") if is_torch else ("model", "safetensors")
        weight_map = {}
        for number, names in enumerate(files, 1):
            file = f"{stem}-{number:05}-of-{len(files):05}.{end}" if len(files) > 1 else f"{stem}.{end}"
            weight_map |= {name: file for name in names}
            if is_torch:
                tensors = {name: torch_writer.Tensor("float16", OLMO[name], torch_writer.row_major(OLMO[name]), 0, halves[name]) for name in names}
                torch_writer.write_state_dict(folder / file, tensors)
            else:
                (folder / file).write_bytes(samples.safetensors({name: ("F16", list(OLMO[name]), halves[name]) for name in names}))
        if len(files) > 1:
            (folder / f"{stem}.{end}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def test_parameters_of_other_families(daemon: Callable[..., Daemon], make_hub: Any, tmp_path: Path) -> None:
    """The number that huggingface_hub reads from the same safetensors headers, in every layout; headers alone are fetched for it."""
    write_olmo(tmp_path / "root")
    hub = make_hub(tmp_path / "root")
    api = HfApi(endpoint=hub.url)
    expected = [sum(api.get_safetensors_metadata(f"org/{model}", revision="step1000-tokens4B").parameter_count.values()) for model in ("whole", "sharded")]
    assert expected == [2 * 64 * 32 + (96 + 32 + 128) * 32 + 32 * 64] * 2
    one = daemon(hub)
    for model in ("whole", "sharded", "torch", "torch-sharded"):
        assert one.wait(one.sweep(f"org/{model}"))["state"] == "done"
        described = one.get(f"/v1/models/org/{model}").json()
        assert (described["model_type"], described["parameter_count"]) == ("hf_olmo", expected[0]), described
    assert [row["left_out"] for row in one.get("/v1/scaling").json()["models"]] == ["insufficient"] * 4  # and not size_unknown
