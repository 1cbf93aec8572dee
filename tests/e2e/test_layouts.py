"""Repositories that hold weights twice: only those that the checkpoint is read from count, whatever was seen before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest
import torch_writer
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
