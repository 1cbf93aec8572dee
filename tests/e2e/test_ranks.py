"""Checkpoints of DeepSpeed, GPT-NeoX and Megatron in which each rank holds a part of the model."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import chunk_writer
import pytest
import rank_writer
from chunk_writer import Whole, grid
from rank_writer import deepspeed, megatron, neox, write
from running import Daemon, find_program, model_path
from watches import LONG, first_run, watch_now
from workers import Worker

from tests.hub import samples

ROWS, COLUMNS = 96, 16
EMBEDDING = Whole("float16", (ROWS, COLUMNS), samples.halves(ROWS * COLUMNS, 1))
OUTPUT = Whole("float16", (ROWS, COLUMNS), samples.halves(ROWS * COLUMNS, 2))
Start = Callable[..., Daemon]


def probe(path: Path) -> dict[str, Any]:
    done = subprocess.run([find_program("tests/checkpoint_probe"), path], capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return dict(json.loads(done.stdout))


def digest(whole: Whole) -> str:
    return hashlib.sha256(whole.data).hexdigest()


def told(result: dict[str, Any]) -> dict[str, str]:
    assert "tensors" in result, result
    assert all((tensor["dtype"], tensor["shape"]) == ("F16", [ROWS, COLUMNS]) for tensor in result["tensors"]), result
    return {tensor["name"]: tensor["sha256"] for tensor in result["tensors"]}


FOR_MEGATRON = {"model.embedding.word_embeddings.weight": EMBEDDING, "model.output_layer.weight": OUTPUT}
FOR_NEOX = {"sequential.0.word_embeddings.weight": EMBEDDING, "sequential.7.final_linear.weight": OUTPUT}
FOR_DEEPSPEED = {f"module.language_model.{name.removeprefix('model.')}": whole for name, whole in FOR_MEGATRON.items()}
LAYOUTS: dict[str, tuple[Callable[[Path], None], dict[str, Whole]]] = {
    "megatron": (lambda path: megatron(path, EMBEDDING, OUTPUT, 2, 1), FOR_MEGATRON),
    "pipeline": (lambda path: megatron(path, EMBEDDING, OUTPUT, 4, 3), FOR_MEGATRON),
    "stages": (lambda path: megatron(path, EMBEDDING, OUTPUT, 1, 2), FOR_MEGATRON),
    "tied": (lambda path: megatron(path, EMBEDDING, None, 2, 2), FOR_MEGATRON | {"model.output_layer.weight": EMBEDDING}),
    "untold": (lambda path: megatron(path, EMBEDDING, OUTPUT, 3, 2, {}), FOR_MEGATRON),
    "neox": (lambda path: neox(path, EMBEDDING, OUTPUT, 2), FOR_NEOX),
    "neox-1": (lambda path: neox(path, EMBEDDING, OUTPUT, 1, stages=2), FOR_NEOX),
    "neox-tied": (lambda path: neox(path, EMBEDDING, None, 4), {"sequential.0.word_embeddings.weight": EMBEDDING}),
    "deepspeed": (lambda path: deepspeed(path, EMBEDDING, OUTPUT, 8), FOR_DEEPSPEED),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_parts_are_joined_by_rank(tmp_path: Path, layout: str) -> None:
    make, wanted = LAYOUTS[layout]
    make(tmp_path)
    assert told(probe(tmp_path)) == {name: digest(whole) for name, whole in wanted.items()}


def test_layers_without_tensor_parallelism(tmp_path: Path) -> None:
    """DeepSpeed's PipelineModule alone names no rank of it."""
    neox(tmp_path, EMBEDDING, OUTPUT, 1)
    for file in tmp_path.glob("layer_*"):
        file.rename(tmp_path / file.name.replace("-model_00", ""))
    assert told(probe(tmp_path)) == {name: digest(whole) for name, whole in FOR_NEOX.items()}


def test_ranks_of_experts(tmp_path: Path) -> None:
    """Each holds the whole embedding and output layer."""
    for expert in range(3):
        megatron(tmp_path / "one", EMBEDDING, OUTPUT, 1, 1)
        (tmp_path / "one/mp_rank_00").rename(tmp_path / f"mp_rank_00_{expert:03}")
    assert told(probe(tmp_path)) == {name: digest(whole) for name, whole in FOR_MEGATRON.items()}


def remake(path: Path, rank: int, **model: Whole) -> None:
    write(path / f"mp_rank_{rank:02}/model_optim_rng.pt", {"model": {"output_layer.weight": OUTPUT} | model})


def part(dtype: str = "float16", shape: tuple[int, ...] = (ROWS // 2, COLUMNS)) -> Whole:
    count = {"float16": 2, "float32": 4}[dtype]
    for length in shape:
        count *= length
    return Whole(dtype, shape, bytes(count))


def foreign(path: Path, model: dict[str, Any]) -> None:
    """A model of transformers that DeepSpeed divided, which does not cut these by rows."""
    for rank in range(2):
        write(path / f"mp_rank_{rank:02}_model_states.pt", {"module": {"transformer": model}, "mp_world_size": 2})


SMALL = Whole("float16", (1, 1), bytes(2))
SPOILED: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any], str, str]] = {
    # the checkpoint, how it is spoiled, the code, what is said
    "late": (LAYOUTS["megatron"][0], lambda p: shutil.rmtree(p / "mp_rank_01"), "not_found", "mp_rank_01/model_optim_rng.pt is not there, and mp_rank_00/model_optim_rng.pt tells of 2 ranks"),
    "gap": (LAYOUTS["deepspeed"][0], lambda p: (p / "mp_rank_03_model_states.pt").unlink(), "not_found", "mp_rank_03_model_states.pt is not there, and mp_rank_04_model_states.pt is"),
    "too many": (LAYOUTS["megatron"][0], lambda p: shutil.copytree(p / "mp_rank_01", p / "mp_rank_02"), "mismatch", "mp_rank_02/model_optim_rng.pt is there, and mp_rank_00/model_optim_rng.pt tells of 2 ranks"),
    "too many states": (LAYOUTS["neox"][0], lambda p: shutil.copy(p / "mp_rank_01_model_states.pt", p / "mp_rank_02_model_states.pt"), "mismatch", "mp_rank_02_model_states.pt is there"),
    "late state": (LAYOUTS["neox-1"][0], lambda p: (p / "mp_rank_01_model_states.pt").unlink(), "not_found", "mp_rank_01_model_states.pt is not there"),
    "late stage": (LAYOUTS["stages"][0], lambda p: shutil.rmtree(p / "mp_rank_00_001"), "not_found", "mp_rank_00_001/model_optim_rng.pt is not there"),
    "a stage's rank": (LAYOUTS["pipeline"][0], lambda p: shutil.rmtree(p / "mp_rank_03_001"), "not_found", "mp_rank_03_001/model_optim_rng.pt is not there, and mp_rank_03_000/model_optim_rng.pt is"),
    "no stage between": (LAYOUTS["stages"][0], lambda p: (p / "mp_rank_00_001").rename(p / "mp_rank_00_002"), "not_found", "mp_rank_00_001/model_optim_rng.pt is not there"),
    "a layer's rank": (LAYOUTS["neox"][0], lambda p: (p / "layer_07-model_01-model_states.pt").unlink(), "not_found", "layer_07-model_01-model_states.pt is not there"),
    "a layer's first rank": (LAYOUTS["neox"][0], lambda p: (p / "layer_07-model_00-model_states.pt").unlink(), "not_found", "layer_07-model_00-model_states.pt is not there, and layer_"),
    "the first layer's first rank": (LAYOUTS["neox"][0], lambda p: (p / "layer_00-model_00-model_states.pt").unlink(), "not_found", "layer_00-model_00-model_states.pt is not there, and layer_"),
    "a layer's further rank": (LAYOUTS["neox"][0], lambda p: shutil.copy(p / "layer_07-model_01-model_states.pt", p / "layer_07-model_02-model_states.pt"), "not_found", "layer_00-model_02-model_states.pt is not there, and layer_07-model_02-model_states.pt is"),
    "the last stage's first rank": (LAYOUTS["untold"][0], lambda p: shutil.rmtree(p / "mp_rank_00_001"), "not_found", "mp_rank_00_001/model_optim_rng.pt is not there, and mp_rank_00_000/model_optim_rng.pt is"),
    "layers alone": (LAYOUTS["neox"][0], lambda p: [file.unlink() for file in p.glob("mp_rank_*")], "not_found", "none of"),
    "another shape": (LAYOUTS["megatron"][0], lambda p: remake(p, 1, **{"embedding.word_embeddings.weight": part(shape=(1, COLUMNS))}), "mismatch", "mp_rank_01/model_optim_rng.pt: its model.embedding.word_embeddings.weight is of another shape or dtype"),
    "another dtype": (LAYOUTS["megatron"][0], lambda p: remake(p, 1, **{"embedding.word_embeddings.weight": part("float32")}), "mismatch", "of another shape or dtype"),
    "no such tensor": (LAYOUTS["megatron"][0], lambda p: remake(p, 1), "mismatch", "it has no model.embedding.word_embeddings.weight"),
    "rows": (lambda p: megatron(p, EMBEDDING, OUTPUT, 2, 1, {"padded_vocab_size": 200}), lambda p: None, "mismatch", "has 96 rows in 2 files, and padded_vocab_size is 200"),
    "columns": (lambda p: megatron(p, EMBEDDING, Whole("float16", (2 * ROWS, COLUMNS // 2), OUTPUT.data), 2, 1, {}), lambda p: None, "mismatch", "not both cut by rows"),
    "vectors": (lambda p: megatron(p, Whole("float16", (ROWS,), bytes(2 * ROWS)), None, 2, 1, {}), lambda p: None, "format", "has 1 dimensions"),
    "no embedding": (LAYOUTS["neox"][0], lambda p: [write(p / f"layer_{n:02}-model_{r:02}-model_states.pt", {"norm.weight": part()}) for n in (0, 7) for r in (0, 1)], "not_found", "neither an embedding nor an output layer"),
    "wrong file": (LAYOUTS["deepspeed"][0], lambda p: (p / "mp_rank_05_model_states.pt").write_bytes(b"PK"), "format", "mp_rank_05_model_states.pt"),
    "huge": (LAYOUTS["megatron"][0], lambda p: [write(p / f"mp_rank_{r:02}/model_optim_rng.pt", {"args": rank_writer.namespace(tensor_model_parallel_size=2**62), "model": {}}) for r in (0, 1)], "not_found", "mp_rank_02/model_optim_rng.pt is not there"),
    "negative": (LAYOUTS["megatron"][0], lambda p: [write(p / f"mp_rank_{r:02}/model_optim_rng.pt", {"args": {"model_parallel_size": -3}, "mp_world_size": "x", "model": {}}) for r in (0, 1)], "not_found", "neither an embedding"),
    "transformers' names": (lambda p: foreign(p, {"word_embeddings": {"weight": part()}}), lambda p: None, "not_found", "neither an embedding"),
    "transformers' names of both": (lambda p: foreign(p, {"embedding": {"word_embeddings": {"weight": part()}}, "output_layer": {"weight": part()}}), lambda p: None, "not_found", "neither an embedding"),
    "many embeddings": (lambda p: deepspeed(p, EMBEDDING, OUTPUT, 2), lambda p: [write(p / f"mp_rank_{r:02}_model_states.pt", {"module": {str(i): {"word_embeddings.weight": SMALL} for i in range(1000)}}) for r in (0, 1)], "limit", "more than the limit of"),
    "zero 3": (LAYOUTS["deepspeed"][0], lambda p: (p / "zero_pp_rank_0_mp_rank_00_model_states.pt").write_bytes(b""), "unsupported", "zero_to_fp32.py"),
}  # fmt: skip


@pytest.mark.parametrize("how", SPOILED)
def test_ranks_that_disagree(tmp_path: Path, how: str) -> None:
    make, spoil, code, says = SPOILED[how]
    make(tmp_path)
    spoil(tmp_path)
    result = probe(tmp_path)
    assert result.get("error") == code and says in result["message"], result


# -- Sweeps ----------------------------------------------------------------------------------------------------------

CONFIG = {"model_type": "gpt_neox", "vocab_size": ROWS, "hidden_size": COLUMNS}
RUNS = {"megatron": "iter_{:07}", "neox": "global_step{}"}


def outputs(step: int) -> Whole:
    return Whole("float16", (ROWS, COLUMNS), samples.halves(ROWS * COLUMNS, step))


def write_run(folder: Path, run: str, step: int) -> None:
    if run == "neox":
        neox(folder, EMBEDDING, outputs(step), 2, stages=2)
    else:
        megatron(folder, EMBEDDING, outputs(step), 2, 2)


@pytest.mark.parametrize("is_remote", [False, True], ids=["here", "remote"])
def test_ranks_on_the_hub(daemon: Start, make_hub: Any, programs: dict[str, Path], tmp_path: Path, is_remote: bool) -> None:
    """Branches and folders of a branch: each is measured from its own files, though that of the first rank be equal in two."""
    root = tmp_path / "root/models/org"
    for run, form in RUNS.items():
        for step in (10, 20):
            write_run(root / run / "main" / form.format(step), run, step)
    for step in (10, 20):
        neox(root / f"branches/step{step}", EMBEDDING, outputs(step), 2)
    shutil.copy(root / "branches/step10/layer_07-model_00-model_states.pt", root / "branches/step20")
    one = daemon(make_hub(tmp_path / "root", thread=True), *(("--fetchers", "0") if is_remote else ()))
    worker = Worker(one, programs["bifurcated"], tmp_path / "worker").start() if is_remote else None
    half = ROWS * COLUMNS
    mixed = hashlib.sha256(outputs(10).data[:half] + outputs(20).data[half:]).hexdigest()
    try:
        for model, wanted in (
            ("org/megatron", [digest(outputs(10)), digest(outputs(20))]),
            ("org/neox", [digest(outputs(10)), digest(outputs(20))]),
            ("org/branches", [digest(outputs(10)), mixed]),
        ):
            done = one.wait(one.sweep(model))
            assert done["state"] == "done", done
            assert [(row["step"], row["digest"]) for row in one.series(model) if row["step"]] == list(zip((10, 20), wanted, strict=True))
        audit = one.read("/v1/models/org/branches/audit")
        assert (audit["revisions_with_files"], audit["distinct_files"], audit["findings"]) == (2, 2, [])
        assert {row["name"]: row["parameter_count"] for row in one.read("/v1/models")["models"]}["org/neox"] is None
    finally:
        if worker:
            assert worker.stop() == 0


def test_a_trainer_whose_ranks_are_late(daemon: Start, tmp_path: Path) -> None:
    """A rank that has written nothing yet, or not all of a layer of which nothing is measured, keeps the checkpoint waiting."""
    run = tmp_path / "run"
    here = f"/v1/watches/{model_path(f'file:{run}')}"
    rest = tmp_path / "rest"
    for step, late in ((1, None), (2, "mp_rank_03_model_states.pt"), (3, "layer_03-model_01-model_states.pt"), (4, "layer_07-model_01-model_states.pt")):
        folder = run / f"global_step{step}"
        write_run(folder, "neox", step)
        (folder / "config.json").write_text(json.dumps(CONFIG))
        if late:
            (rest / folder.name).mkdir(parents=True)
            shutil.move(folder / late, rest / folder.name)
        if late and "layer_03" in late:
            (folder / late).write_bytes((rest / folder.name / late).read_bytes()[:-30])
    for file in run.rglob("*"):
        os.utime(file, (time.time() - 3600, time.time() - 3600))
    one = daemon(None)
    first = first_run(one, LONG, here)
    assert [row["revision"] for row in one.series(f"file:{run}") if row["state"] == "measured"] == ["global_step1"]
    unfinished = {row["revision"]: row["reason"] for row in first["last_run"]["unfinished"]}
    assert set(unfinished) == {"global_step2", "global_step3", "global_step4"}, unfinished
    assert "mp_rank_03_model_states.pt is not there" in unfinished["global_step2"] and "layer_07-model_01" in unfinished["global_step4"], unfinished
    for folder in rest.iterdir():
        for file in folder.iterdir():
            shutil.move(file, run / folder.name / file.name)
            os.utime(run / folder.name / file.name, (time.time() - 3600, time.time() - 3600))
    watch_now(one, here)
    wanted = {f"global_step{step}": digest(outputs(step)) for step in (1, 2, 3, 4)}
    assert {row["revision"]: row["digest"] for row in one.series(f"file:{run}")} == wanted
    failed = one.wait(one.sweep(f"file:{run}", tensors=["sequential.3.attention.dense.weight"]))
    assert "the embeddings and the output layer alone are read" in failed["errors"][0]["message"], failed


def test_audit_of_parts(daemon: Start, make_hub: Any, tmp_path: Path) -> None:
    """Chunks of one cut have equal metadata, whatever is in them: all files tell whether two checkpoints are one."""
    for step, seed in ((1, 1), (2, 2), (3, 1)):
        for folder in (tmp_path / f"root/models/org/chunks/step{step}", tmp_path / f"run/step{step}"):
            chunk_writer.write(folder, {"output.weight": replace(outputs(seed), chunks=grid((ROWS, COLUMNS), (4, 1)))}, files=2)
    one = daemon(make_hub(tmp_path / "root", thread=True))
    said = {}
    for model in ("org/chunks", f"file:{tmp_path}/run"):
        assert one.wait(one.sweep(model))["state"] == "done"
        findings = one.read(f"/v1/models/{model_path(model)}/audit")["findings"]
        assert [(row["kind"], row["revision"], row["other"]) for row in findings] == [("duplicate", "step1", "step3")], findings
        said[model[:3]] = one.client("audit", model).stdout
    assert "the files of 3, 3 measured" in said["org"] and "2 different sets of weight files, 2 different tensors" in said["org"]
    assert "3 revisions known, 3 measured\n2 different tensors; files are not compared" in said["fil"], said
