"""A folder that a trainer writes into is watched: half-written, deleted and reused checkpoints."""

from __future__ import annotations

import os
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Callable

import pytest
from running import Daemon, model_path, wait_until
from watches import LONG, MODEL, first_run, swept_names, watch_now


def test_a_trainer_that_still_writes(daemon: Callable[..., Daemon], garden: Path, tmp_path: Path) -> None:
    source = garden / "models" / MODEL
    run = tmp_path / "run"
    here = f"/v1/watches/{model_path(f'file:{run}')}"

    def write(name: str, files: list[str], age_s: float = 3600, cut: int = 0) -> None:
        """Copies files of the source's folder of this name; all but the last `cut` bytes of the last file."""
        (run / name).mkdir(parents=True, exist_ok=True)
        for file in files:
            data = (source / name / file).read_bytes()
            target = run / name / file
            target.write_bytes(data[: len(data) - cut] if file == files[-1] and cut else data)
        for file in (run / name).iterdir():
            os.utime(file, (time.time() - age_s, time.time() - age_s))

    def whole(name: str) -> list[str]:
        return sorted(file.name for file in (source / name).iterdir() if file.is_file())

    assert len([file for file in whole("step128") if file.endswith(".safetensors")]) == 4
    write("step0", whole("step0"))
    write("step16", whole("step16"))
    write("step32", ["config.json"], age_s=0)  # its weights are to come
    write("step128", [file for file in whole("step128") if "00003" not in file])
    one = daemon(None)
    first = first_run(one, LONG, here)
    assert swept_names(one, first["last_sweep"]) == ["step0", "step16"]
    unfinished = {row["revision"]: row["reason"] for row in first["last_run"]["unfinished"]}
    assert set(unfinished) == {"step32", "step128"}
    assert "changed less than" in unfinished["step32"] and "00003" in unfinished["step128"]
    # What is being written is looked at again soon, not only the next night.
    soon = datetime.fromisoformat(first["next_run_at"]) - datetime.fromisoformat(first["last_run_at"])
    assert 0 < soon.total_seconds() < 120

    write("step32", ["config.json", "model.safetensors"], cut=7)  # quiet, but not whole
    write("step128", whole("step128"), age_s=0)  # whole, but a moment ago
    second = watch_now(one, here)
    assert second["last_run"]["outcome"] == "unchanged" and second["last_sweep"] is None
    assert second["last_run"]["swept"] == 0
    shown = one.client("watch", f"file:{run}").stdout
    assert "nothing to sweep yet\n" in shown and "unfinished step128" in shown and "every 1440 minutes" in shown
    unfinished = {row["revision"]: row["reason"] for row in second["last_run"]["unfinished"]}
    assert "model.safetensors" in unfinished["step32"] and "changed less than" in unfinished["step128"]

    write("step32", whole("step32"))
    write("step128", whole("step128"))
    third = watch_now(one, here)
    assert third["last_run"]["unfinished"] == []
    assert swept_names(one, third["last_sweep"]) == ["step32", "step128"]
    assert one.get(f"/v1/sweeps/{third['last_sweep']}").json()["state"] == "done"
    rows = one.series(f"file:{run}")
    assert [(row["revision"], row["state"]) for row in rows] == [
        (name, "measured") for name in ("step0", "step16", "step32", "step128")
    ]
    assert [row["lag1_reference"] for row in rows] == [None, "step0", "step16", "step32"]


def test_a_trainer_that_deletes_old_checkpoints(
    daemon: Callable[..., Daemon], garden: Path, tmp_path: Path, tensors: dict[str, Any]
) -> None:
    """What was measured stays in the series as it was, for as long as the folder holds the same run."""
    import reference

    run = tmp_path / "run"
    model, here = f"file:{run}", f"/v1/watches/{model_path(f'file:{run}')}"

    def write(step: int, source: str) -> None:
        shutil.copytree(garden / "models" / MODEL / source, run / f"checkpoint-{step}", dirs_exist_ok=True)
        for file in (run / f"checkpoint-{step}").iterdir():
            os.utime(file, (time.time() - 3600, time.time() - 3600))

    def rows(*fields: str) -> list[tuple[Any, ...]]:
        return [tuple(row[field] for field in fields) for row in one.series(model)]

    for step, source in ((500, "step0"), (1000, "step64"), (1500, "step128")):
        write(step, source)
    one = daemon(None)
    first_run(one, LONG, here)
    before = rows("revision", "msd", "lag1_msd", "measured_at")
    assert len(before) == 3

    for step in (500, 1000):
        shutil.rmtree(run / f"checkpoint-{step}")
    assert watch_now(one, here)["last_run"]["outcome"] == "unchanged"
    write(2000, "step256")
    assert watch_now(one, here)["last_run"]["gone"]["count"] == 0
    now = rows("revision", "msd", "lag1_msd", "measured_at")
    assert now[:3] == before and now[3][0] == "checkpoint-2000" and now[3][2] > 0
    assert [row["lag1_reference"] for row in one.series(model)] == [None, "checkpoint-500", "checkpoint-1000", "checkpoint-1500"]
    assert watch_now(one, here)["last_run"]["outcome"] == "unchanged"  # nor is there anything to be measured again
    for name in ("checkpoint-500", "checkpoint-1000"):
        refused = one.wait(one.sweep(model, revisions={"names": [name]}))
        assert refused["state"] == "failed" and f"{name} was deleted" in refused["error"]["message"], refused
    assert one.wait(one.sweep(model, reference="checkpoint-1000"))["state"] == "done"
    assert rows("revision", "measured_at") == [(row[0], row[3]) for row in now]

    def restart_and_measure(step: int, source: str) -> dict[str, Any]:
        one.stop()  # with its memory goes the tensor that displacements start from
        one.start()
        write(step, source)
        assert watch_now(one, here)["last_run"]["swept"] == 1
        last = one.series(model)[-1]
        assert last["state"] == "measured" and last["lag1_msd"] > 0 and last["dip"] > 0
        assert watch_now(one, here)["last_run"]["outcome"] == "unchanged"
        return last

    def kept() -> list[Path]:
        return [file for file in (one.state / "references").rglob("*") if file.is_file() and file.name != ".lock"]

    last = restart_and_measure(2500, "step512")
    known = reference.displacement(tensors["step512"], tensors["step0"], "all")
    assert last["msd"] == pytest.approx(known["msd"], rel=1e-9) and last["reference"] == "checkpoint-500"
    assert len(kept()) == 2  # step0, and step64, which a sweep has named; nothing of what is only passed by
    assert one.get("/v1/status").json()["daemon"]["reference_bytes_on_disk"] == sum(file.stat().st_size for file in kept())
    for file in kept():  # what is damaged is not taken, and does not stay
        file.write_bytes(bytes(file.stat().st_size))
    assert restart_and_measure(3000, "step1000")["msd"] is None
    assert one.told("a displacement is left out") and len(kept()) == 1

    shutil.rmtree(run)  # another run begins in the same folder
    for step, source in ((400, "step1"), (800, "step2")):
        write(step, source)
    last = watch_now(one, here)["last_run"]
    assert last["gone"]["count"] == 6 and rows("revision") == [("checkpoint-400",), ("checkpoint-800",)]
    one.stop()
    for file in kept():  # nobody has used them for long
        os.utime(file, (time.time() - 7200, time.time() - 7200))
    one.start()
    wait_until(lambda: len(kept()) == 1)
    write(1200, "step4")  # is measured against what is kept of that run
    assert watch_now(one, here)["last_run"]["swept"] == 1 and one.series(model)[-1]["msd"] > 0 and len(kept()) == 1


def test_a_second_run_that_reuses_names(daemon: Callable[..., Daemon], garden: Path, tmp_path: Path) -> None:
    """What a run before has left leaves the series, as soon as weights tell; one that went on from it keeps what it came from."""
    run = tmp_path / "run"
    model, here = f"file:{run}", f"/v1/watches/{model_path(f'file:{run}')}"
    written = 0

    def write(step: int, source: str, is_other_run: bool = False) -> None:
        nonlocal written
        written += 1
        place = run / f"checkpoint-{step}"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(garden / "models" / MODEL / source, place, symlinks=False)
        if is_other_run:  # as of other random numbers: the same values in another order
            weights = (place / "model.safetensors").read_bytes()
            start = 8 + int.from_bytes(weights[:8], "little")
            values = [weights[i : i + 2] for i in range(start, len(weights), 2)]
            (place / "model.safetensors").write_bytes(weights[:start] + b"".join(reversed(values)))
        for file in place.iterdir():
            os.utime(file, (time.time() - 3600, time.time() - 7200 + written))

    def delete(*steps: int) -> None:
        for step in steps:
            shutil.rmtree(run / f"checkpoint-{step}")

    def steps() -> list[int]:
        return [row["step"] for row in one.series(model)]

    def rewritten() -> list[tuple[str, bool]]:
        found = [one for one in one_audit()["findings"] if one["kind"] == "rewritten"]
        return [(finding["revision"], finding["evidence"] > 0.5) for finding in found]

    def one_audit() -> dict[str, Any]:
        return one.get(f"/v1/models/{model_path(model)}/audit").json()

    for step, source in ((500, "step0"), (1000, "step512"), (2000, "step10000"), (3000, "step11000")):
        write(step, source)
    one = daemon(None)
    first_run(one, LONG, here)
    assert steps() == [500, 1000, 2000, 3000] and rewritten() == []

    delete(500, 1000, 3000)  # training went on from 1000, and what is seen of it is rewritten and farther on
    write(2000, "step11000")
    write(4000, "step10000")
    watch_now(one, here)
    assert rewritten() == [("checkpoint-2000", True)]
    watch_now(one, here)  # step 3000 is of the way that was left
    assert steps() == [500, 1000, 2000, 4000]
    assert {row["reference"] for row in one.series(model)} == {"checkpoint-500"}
    assert one.series(model)[-1]["lag1_reference"] == "checkpoint-2000"

    shutil.copytree(run, tmp_path / "copy")  # a copy is no other run, though each commit is another
    shutil.rmtree(run)
    (tmp_path / "copy").rename(run)
    watch_now(one, here)
    watch_now(one, here)
    assert steps() == [500, 1000, 2000, 4000]

    for step, source in ((2000, "step10000"), (4000, "step11000")):
        write(step, source, is_other_run=True)
    watch_now(one, here)
    assert rewritten() == [("checkpoint-2000", False), ("checkpoint-4000", False)]
    assert "another run took this folder" in one_audit()["findings"][0]["text"]
    watch_now(one, here)
    assert steps() == [2000, 4000]
    assert [row["reference"] for row in one.series(model)] == ["checkpoint-2000"] * 2
    delete(2000)
    write(5000, "step11000", is_other_run=True)
    watch_now(one, here)
    assert steps() == [2000, 4000, 5000]  # of this run
