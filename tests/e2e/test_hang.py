"""Tasks at which nothing moves any more: a file system or a GPU that never answers ends the process, not the service.

What is slow, or waits for others, is left alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
from running import STOP_S, Daemon, model_path, wait_until
from test_conditions import preload
from workers import Worker

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
LOST = 70  # the exit status
NAMES = {"revisions": {"names": ["step0", "step512", "step2000"]}}  # of which one reads step512
SOON = ("--hang-after-s", "3", "--retry-delay-s", "0")


def failures_of(one: Daemon) -> dict[str, int]:
    """Of each revision that has failed, how often."""
    with sqlite3.connect(f"file:{one.db}?mode=ro", uri=True) as db:
        query = "SELECT r.name, t.failures FROM tasks t JOIN revisions r ON r.id = t.revision_id WHERE t.failures > 0 AND t.sweep_id = 1"
        return dict(db.execute(query).fetchall())


def attempts_of(one: Daemon, revision: str) -> int:
    with sqlite3.connect(f"file:{one.db}?mode=ro", uri=True) as db:
        query = "SELECT t.attempts FROM tasks t JOIN revisions r ON r.id = t.revision_id WHERE r.name = ? AND t.sweep_id = 1"
        return int(db.execute(query, [revision]).fetchone()[0])


def has_ended(one: Daemon) -> bool:
    """The only sweep: asked of the database, since the daemon may end meanwhile."""
    with sqlite3.connect(f"file:{one.db}?mode=ro", uri=True) as db:
        return db.execute("SELECT finished_ms FROM sweeps").fetchone()[0] is not None


def ends(one: Daemon) -> bool:
    """Whether this run of the daemon ends, since a task hung: the sweep may have ended just before it does."""
    try:
        one.process.wait(STOP_S / 2 if "task makes no progress" in one.log().rsplit("starting version", 1)[1] else 0)
    except subprocess.TimeoutExpired:  # what did not move was only slow
        return False
    return True


# ---- a file system -------------------------------------------------------------------------------


@pytest.fixture
def folder(garden: Path, tmp_path: Path) -> Path:
    """A model of four revisions."""
    for step in ("step0", "step512", "step1000", "step2000"):
        shutil.copytree(garden / "models" / MODEL / step, tmp_path / "run" / step, symlinks=False)
    return tmp_path / "run"


@pytest.fixture
def hanging(tmp_path: Path) -> tuple[Callable[[str], None], dict[str, str]]:
    """Lets reads of files with this end never return, or, with "", none; the environment of who is to see that."""
    place = tmp_path / "hanging"
    env = preload("hang", tmp_path)

    def hang(end: str) -> None:
        place.write_text(end)

    return hang, env | {"PROOF_HANG": str(place)}


def test_a_read_that_never_returns(daemon: Callable[..., Daemon], folder: Path, hanging: Any) -> None:
    """It costs its task the attempts, one for each start of the daemon, and no other task any; a dead mount costs none."""
    hang, env = hanging
    hang("step512/model.safetensors")
    one = daemon(None, *SOON, "--attempts", "2", env=env)
    number = one.sweep(f"file:{folder}", **NAMES)
    for attempt in (1, 2, 3):
        assert one.process.wait(STOP_S) == LOST, one.log()
        assert one.log().count("a task hangs; the daemon ends so that its supervisor") == attempt, one.log()
        # of what is only slow it may be said, too: on a busy machine nothing moves for a quarter of so short a time
        assert one.log().count("warning task makes no progress sweep=1") >= attempt, one.log()
        assert attempts_of(one, "step512") == attempt  # no other slot takes it before the process ends
        assert failures_of(one) == {"step512": 1 if attempt < 3 else 2}
        hang("/run" if attempt == 1 else "step512/model.safetensors")
        one.start()
    end = one.wait(number)
    assert end["state"] == "failed" and end["progress"]["done"] == 2, (end, one.log())
    (error,) = end["errors"]
    assert error["code"] == "timeout" and "nothing has moved for 3 s" in error["message"], error
    assert failures_of(one) == {"step512": 2}
    hang("")
    assert one.wait(one.sweep(f"file:{folder}", **NAMES))["state"] == "done"


def test_what_hangs_takes_no_neighbour_with_it(daemon: Callable[..., Daemon], folder: Path, hanging: Any) -> None:
    """The revision after it does without its lag-1 displacement in the end, since it has no fault itself."""
    hang, env = hanging
    hang("step512/model.safetensors")
    one = daemon(None, *SOON, "--attempts", "2", "--fetchers", "2", env=env)
    number = one.sweep(f"file:{folder}")
    for _ in range(4):  # at most two attempts of each
        wait_until(lambda: one.process.poll() is not None or has_ended(one))
        if not ends(one):
            break
        assert one.process.returncode == LOST, one.log()
        one.start()
    end = one.wait(number)
    assert [error["revision"] for error in end["errors"]] == ["step512"] and end["progress"]["done"] == 3, (end, one.log())
    rows = {row["revision"]: row for row in one.series(f"file:{folder}")}
    assert rows["step1000"]["lag1_msd"] is None and rows["step1000"]["msd"] > 0 and rows["step2000"]["lag1_msd"] > 0
    assert one.stop() == 0


def test_a_read_of_a_remote_worker_that_never_returns(daemon: Callable[..., Daemon], worker: Callable[..., Worker], folder: Path, hanging: Any) -> None:
    """The worker says what became of its task, and ends; the next one does the rest."""
    hang, env = hanging
    hang("step512/model.safetensors")
    one = daemon(None, "--fetchers", "0", *SOON[2:])
    number = one.sweep(f"file:{folder}", **NAMES)
    first = worker(one, *SOON[:2], env=env)
    assert first.wait(STOP_S) == LOST, first.log()
    assert first.log().index("a task hangs; the worker ends") < first.log().index("warning task will be tried again sweep=1")
    assert failures_of(one) == {"step512": 1}
    hang("/run")
    first.start()
    assert first.wait(STOP_S) == LOST, first.log()
    assert "warning task given back sweep=1" in first.log() and failures_of(one) == {"step512": 1}
    hang("")
    first.start()
    end = one.wait(number)
    assert end["state"] == "done", (end, first.log())
    assert failures_of(one) == {"step512": 1}


def silent_threads(one: Daemon) -> int:
    return int(re.search(r"^bifurcated_silent_folder_threads (\d+)", one.get("/metrics").text, re.M)[1])


def test_a_mount_that_is_dead(daemon: Callable[..., Daemon], folder: Path, garden: Path, hanging: Any, tmp_path: Path) -> None:
    """Sweeps and watches of it wait, and fail in the end; the rest of the daemon does not notice."""
    hang, env = hanging
    shutil.copytree(folder, tmp_path / "other")
    dead, other = f"file:{folder}", f"file:{tmp_path / 'other'}"
    hang("/run")
    one = daemon(None, "--hang-after-s", "8", env=env | {"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": "3000000"})
    first = one.sweep(dead, priority=5)
    for model in (dead, other):
        assert one.request("PUT", f"/v1/watches/{model_path(model)}", {"every_minutes": 5}).status == 201
        one.post(f"/v1/watches/{model_path(model)}/runs")
    assert one.wait(one.sweep(other, revisions={"names": ["step0"]}))["state"] == "done"  # long before that one gives up
    waiting = one.wait(first, lambda now: now["error"] is not None)
    assert waiting["state"] == "planning" and waiting["error"]["code"] == "unreachable", waiting
    assert f"{folder}: has not answered since 2" in waiting["error"]["message"], waiting
    assert silent_threads(one) >= 1
    followed = one.client("follow", str(first))
    assert f"planning: waits: {folder}: has not answered since" in followed.stdout + followed.stderr, followed
    wait_until(lambda: one.get(f"/v1/watches/{model_path(other)}").json()["last_run_at"])

    end = one.wait(first)
    assert end["state"] == "failed" and end["error"]["code"] == "timeout", end
    assert "check its mount" in end["error"]["message"], end
    wait_until(lambda: one.get(f"/v1/watches/{model_path(dead)}").json()["last_run"])
    last = one.get(f"/v1/watches/{model_path(dead)}").json()["last_run"]
    assert last["outcome"] == "failed" and last["error"]["code"] == "timeout", last
    threads = silent_threads(one)
    assert one.wait(one.sweep(dead))["error"]["code"] == "timeout" and silent_threads(one) == threads
    assert one.process.poll() is None and "a task hangs" not in one.log(), one.log()
    assert one.stop() == 0  # with threads that still hang

    one.start()
    number = one.sweep(dead)
    wait_until(lambda: one.get(f"/v1/sweeps/{number}").json()["error"])
    hang("")  # it is mounted again
    end = one.wait(number)
    assert end["state"] == "done" and end["error"] is None and silent_threads(one) == 0, (end, one.log())


def test_a_file_that_hangs_while_it_is_planned(daemon: Callable[..., Daemon], folder: Path, hanging: Any) -> None:
    """Beneath a folder that answers: as the file of one dead server of several."""
    hang, env = hanging
    hang("step2000/model.safetensors")
    one = daemon(None, "--hang-after-s", "4", env=env)
    watch = f"/v1/watches/{model_path(f'file:{folder}')}"
    assert one.request("PUT", watch, {"every_minutes": 5}).status == 201
    one.post(f"{watch}/runs")
    wait_until(lambda: one.get(watch).json()["last_run"])
    assert one.get(watch).json()["last_run"]["error"]["code"] == "timeout", one.log()
    assert one.process.poll() is None and one.stop() == 0


# ---- a device ------------------------------------------------------------------------------------


def test_a_gpu_that_never_answers(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path) -> None:
    """As one that is lost: who waits for it is given back."""
    module = Path(os.environ.get("BIFURCATED_BUILD", "build/release")).resolve() / "tests/emulation/bifurcated_cuda.so"
    if not module.exists():
        pytest.skip("the emulated module is not built")
    options = ("--cuda-module", str(module), *SOON, "--fetchers", "3")
    one = daemon(make_hub(garden), *options, env={"BIFURCATED_EMULATION": "hang=launch:12"})
    number = one.sweep(MODEL, revisions={"names": ["step0", "step1", "step2", "step512", "step1000"]})
    assert one.process.wait(STOP_S) == LOST, one.log()
    assert "the compute device is lost; the daemon ends" in one.log() and "has not answered for 3 s" in one.log()
    one.env["BIFURCATED_EMULATION"] = ""
    one.start()
    end = one.wait(number)
    assert end["state"] == "done", (end, one.log())
    assert list(failures_of(one).values()) == [1], failures_of(one)


# ---- what is no hang -----------------------------------------------------------------------------


@pytest.mark.parametrize("is_remote", [False, True], ids=["local", "remote"])
def test_what_is_slow_is_left_alone(
    daemon: Callable[..., Daemon], worker: Callable[..., Worker], make_hub: Callable[..., Emulator], garden: Path, is_remote: bool
) -> None:
    """A hub that says nothing for several times as long, while the other tasks wait for what one of them fetches."""
    hub = make_hub(garden)
    hub.fault("stall", route="cdn", seconds=3, times=4)
    options = ("--hang-after-s", "2", "--stall-timeout-s", "60")
    one = daemon(hub, *options, *(("--fetchers", "0") if is_remote else ()))
    log = worker(one, *options).log if is_remote else one.log
    end = one.wait(one.sweep(MODEL, revisions={"names": ["step0", "step512", "step1000"]}))
    assert end["state"] == "done" and "hangs" not in log(), log()
    assert not failures_of(one)


def test_a_long_begin_of_a_download_on_a_slow_disk(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, hanging: Any) -> None:
    """What an earlier download left behind is hashed for several times as long."""
    hang, env = hanging
    hang("~.incomplete")
    one = daemon(make_hub(garden), "--hang-after-s", "2", "--keep", "files", env=env)
    blobs = one.cache / f"models--{MODEL.replace('/', '--')}" / "blobs"
    blobs.mkdir(parents=True)
    for name in ("step0", "step512"):  # of which the planner opens one
        weights = (garden / "models" / MODEL / name / "model.safetensors").read_bytes()
        (blobs / f"{hashlib.sha256(weights).hexdigest()}.b1f0ca7e.incomplete").write_bytes(weights[: 10 * 16384])
    end = one.wait(one.sweep(MODEL, revisions={"names": ["step0", "step512"]}))
    assert end["state"] == "done" and "hangs" not in one.log(), one.log()
    assert not failures_of(one)
