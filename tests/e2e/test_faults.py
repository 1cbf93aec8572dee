"""What goes wrong is told on the sweep and in the API; the rest of the sweep goes on; the database stays sound."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import torch_writer
from running import Daemon, check_words, wait_until

np = pytest.importorskip("numpy", reason="numpy is the reference")
import reference  # noqa: E402  (needs numpy)

from tests.hub import Emulator  # noqa: E402

GARDEN = "garden/neox-tiny"
BAD = "org/bad"
GOOD = ["step0", "step1", "step512", "step1000", "step2000"]  # among the bad ones, in this order


def check_sound(db: Path) -> None:
    with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


# ---- a model full of faults ----------------------------------------------------------------------


def write_bad_model(garden: Path, root: Path) -> dict[str, tuple[str, str]]:
    """Copies some of the training run and spoils most of it. Revision: (code of the error, words in it)."""
    folders = reference.garden_folders(garden)
    model = root / "models" / BAD

    def copy(name: str) -> Path:
        shutil.copytree(folders[name], model / name)
        shutil.copy(garden / "models" / GARDEN / "_shared/tokenizer.json", model / name)
        return model / name

    for name in GOOD:
        copy(name)
    half = copy("step2") / "pytorch_model.bin"
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    huge = copy("step4") / "model.safetensors"
    huge.write_bytes(struct.pack("<Q", 1 << 60) + huge.read_bytes()[8:])
    evil = copy("step8") / "pytorch_model.bin"
    torch_writer.write_pickle(evil, b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00truetR.")
    broken = copy("step16") / "model.safetensors"
    broken.write_bytes(broken.read_bytes().replace(b'"dtype"', b'"dtype ', 1))
    other = copy("step32") / "model.safetensors"
    other.write_bytes(other.read_bytes().replace(b"embed_out.weight", b"embed_off.weight"))
    for name in ("step64", "step256"):  # spoiled on the wire
        copy(name)
    (copy("step128") / "model-00004-of-00004.safetensors").unlink()
    copy("step3000")  # one of its shards answers 404
    return {
        "step2": ("format|unsupported", r"pytorch_model\.bin"),
        "step4": ("limit|format", r"model\.safetensors.*header"),
        "step8": ("unsupported|format", r"os.system"),
        "step16": ("format", r"model\.safetensors.*header"),
        "step32": ("not_found", r"embed_out\.weight"),
        "step64": ("http", r"pytorch_model\.bin.*500"),
        "step128": ("not_found", r"model-00004-of-00004\.safetensors"),
        "step256": ("network", r"pytorch_model\.bin"),
        "step3000": ("not_found", r"pytorch_model-00004-of-00004\.bin"),
        "step777": ("not_found", r"no such revision"),
    }


@pytest.fixture(scope="module")
def spoiling(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A daemon that sweeps the spoiled model, the number of its sweep, and what is to be expected."""
    root = tmp_path_factory.mktemp("root")
    expected = write_bad_model(garden, root)
    with Emulator(root) as hub:
        hub.fault("status", status=500, revision="step64", file=r"pytorch_model\.bin")
        hub.fault("cut", revision="step256", file=r"pytorch_model\.bin", route="cdn", bytes=0)
        hub.fault("status", status=404, code="EntryNotFound", revision="step3000", file="00004-of-00004")
        options = ["--attempts", "1", "--fetchers", "12"]
        daemon = Daemon(programs, tmp_path_factory.mktemp("spoiled"), hub.url, options, {})
        daemon.start()
        yield daemon, daemon.sweep(BAD, revisions={"names": [*GOOD, *expected]}), expected
        daemon.check_end()
        check_sound(daemon.db)


def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_hub_that_does_not_answer(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, spoiling: Any
) -> None:
    """Connection refused, errors without end, answers that are no JSON: each told on its sweep. (Side by side, and
    beside the sweep of the spoiled model: the daemon waits between its attempts.)"""
    storm, nonsense = make_hub(garden), make_hub(garden)
    storm.fault("status", status=500)
    nonsense.fault("body", text="<html>captive portal</html>", path="/refs")
    port = unused_port()
    cases = [
        (daemon(f"http://127.0.0.1:{port}"), "network", ("127.0.0.1", f"{port}", "onnect", "HF_HUB_OFFLINE=1")),
        (daemon(storm), "http", ("500", re.escape(GARDEN))),
        (daemon(nonsense), "format", (re.escape(GARDEN),)),
    ]
    sweeps = [one.sweep(GARDEN) for one, _, _ in cases]
    for (one, code, words), number in zip(cases, sweeps, strict=True):
        sweep = one.wait(number)
        assert sweep["state"] == "failed", sweep
        assert sweep["error"]["code"] == code, sweep
        check_words(sweep["error"]["message"], *words)
        assert one.get("/healthz").status == 200
        check_sound(one.db)


@pytest.fixture(scope="module")
def spoiled(spoiling: Any) -> Any:
    """The same once the sweep has ended, with the sweep."""
    daemon, number, expected = spoiling
    return daemon, daemon.wait(number), expected


def test_every_bad_revision_says_why(spoiled: Any) -> None:
    daemon, sweep, expected = spoiled
    assert sweep["state"] == "failed"
    errors = {one["revision"]: one for one in sweep["errors"]}
    assert set(errors) == set(expected)
    for name, (code, words) in expected.items():
        assert re.fullmatch(code, errors[name]["code"]), errors[name]
        check_words(errors[name]["message"], words)
        assert not errors[name]["message"].startswith("revision step"), errors[name]  # which stands beside it
        row = daemon.get(f"/v1/models/{BAD}/revisions/{name}").json()
        assert row["state"] == "failed" and row["msd"] is None
        assert (row["error_code"], row["error"]) == (errors[name]["code"], errors[name]["message"])


def test_sweep_counts_what_failed(spoiled: Any) -> None:
    daemon, sweep, expected = spoiled
    assert sweep["progress"]["done"] == len(GOOD)
    assert sweep["progress"]["failed"] == len(expected)
    check_words(sweep["error"]["message"], str(len(expected)))
    for name in expected:
        assert daemon.told("task failed ", f"revision={name} ")
    assert daemon.told("task recorded in part ", 'reason="a displacement is left out: revision ')
    ends = daemon.told(" sweep ended ")
    assert len(ends) == 1 and " warning " in ends[0], ends
    check_words(ends[0], rf"model={BAD} state=failed measured={len(GOOD)} failed={len(expected)} ", "reason=.*the first, ")


def test_the_good_ones_are_measured(spoiled: Any, garden: Path) -> None:
    """Their numbers are right; the displacement against an unreadable neighbour is left out, not made up."""
    daemon, _, _ = spoiled
    folders = reference.garden_folders(garden)
    tensors = reference.read_tensors({name: folders[name] for name in GOOD})
    rows = {row["revision"]: row for row in daemon.series(BAD)}
    for name in GOOD:
        assert rows[name]["state"] == "measured"
        for variant in reference.VARIANTS:
            for key, value in reference.describe(tensors[name], variant).items():
                if key in ("variance", "skewness", "kurtosis", "bimodality"):
                    assert rows[name][variant + key] == pytest.approx(value, rel=1e-9, abs=0)
        expected = reference.displacement(tensors[name], tensors["step0"], "")["msd"]
        assert rows[name]["msd"] == pytest.approx(expected, rel=1e-9, abs=0)
    for name, previous in (("step1", "step0"), ("step1000", "step512"), ("step2000", "step1000")):
        expected = reference.displacement(tensors[name], tensors[previous], "")["msd"]
        assert rows[name]["lag1_msd"] == pytest.approx(expected, rel=1e-9, abs=0)
    assert rows["step512"]["lag1_msd"] is None  # step256 cannot be read, which the task's history says
    [sweep, *_] = daemon.get("/v1/sweeps").json()["sweeps"]
    [task] = [task for task in daemon.get(f"/v1/sweeps/{sweep['id']}/tasks?limit=1000").json()["tasks"] if task["revision"] == "step512"]
    *_, end = daemon.get(f"/v1/sweeps/{sweep['id']}/tasks/{task['id']}/events").json()["events"]
    assert end["event"] == "record" and end["detail"].startswith("a displacement is left out: revision step256: "), end


def test_series_stays_complete(spoiled: Any) -> None:
    daemon, _, expected = spoiled
    states = {row["revision"]: row["state"] for row in daemon.series(BAD)}
    assert {name for name, state in states.items() if state == "failed"} == set(expected)
    assert daemon.get("/readyz").status == 200


# ---- a hub that is not well ----------------------------------------------------------------------


def test_unknown_and_forbidden_models(daemon: Callable[..., Daemon], hub: Emulator) -> None:
    running = daemon(hub)
    for model, code, words in (
        ("org/nothing", "not_found|unauthorized", ("org/nothing", "HF_TOKEN")),
        ("org/disabled", "unauthorized", ("org/disabled",)),
        ("file:/no/such/folder", "not_found", ("/no/such/folder",)),
    ):
        sweep = running.wait(running.sweep(model))
        assert sweep["state"] == "failed" and sweep["progress"]["revisions_total"] == 0
        assert re.fullmatch(code, sweep["error"]["code"]), sweep
        check_words(sweep["error"]["message"], *words)
    gated = running.wait(running.sweep("org/gated", revisions={"names": ["main"]}))
    assert [one["code"] for one in gated["errors"]] == ["gated"]
    check_words(gated["errors"][0]["message"], "gated", "HF_TOKEN|token")
    assert running.get("/v1/models/org/never-asked").status == 404
    assert [one["name"] for one in running.get("/v1/models").json()["models"]] == ["org/gated"], "what does not exist is not listed"
    for body in ({"model": "no slash"}, {"model": "a/b/c"}, {"model": "file:relative"}, {}, {"model": GARDEN, "every": 2}):
        answer = running.post("/v1/sweeps", body)
        assert answer.status == 400, answer
        assert answer.headers["Content-Type"] == "application/problem+json"
    check_sound(running.db)


def test_a_hub_with_hiccups(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path) -> None:
    """Errors, broken connections and cut bodies now and then: the numbers are right nevertheless."""
    hub = make_hub(garden)
    hub.fault("status", status=500, probability=0.1, seed=1)
    hub.fault("status", status=429, retry_after=1, nth=[5, 20])
    hub.fault("reset", probability=0.05, seed=2)
    hub.fault("cut", route="cdn", fraction=0.5, probability=0.2, seed=3)
    hub.fault("cut", route="api", fraction=0.5, probability=0.2, seed=4)
    hub.fault("wrong_length", route="cdn", delta=10, nth=4)
    running = daemon(hub, "--retry-delay-s", "0", "--attempts", "20")
    names = ["step0", "step1", "step2", "step4"]
    sweep = running.wait(running.sweep(GARDEN, revisions={"to": 4}))
    assert sweep["state"] == "done", sweep
    folders = reference.garden_folders(garden)
    rows = [row for row in running.series(GARDEN) if row["state"] == "measured"]
    reference.check_rows(rows, reference.read_tensors({name: folders[name] for name in names}))
    assert sum(hub.stats()["faults"].values()) > 0


def test_a_hub_that_goes_and_comes_back(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator],
                                        garden: Path) -> None:  # fmt: skip
    hub = make_hub(garden, latency_ms=20)
    running = daemon(hub, "--retry-delay-s", "1")
    number = running.sweep(GARDEN, revisions={"to": 4})
    running.wait(number, lambda sweep: sweep["progress"]["running"] > 0)
    hub.stop()
    time.sleep(0.5)
    hub.start()
    sweep = running.wait(number)
    assert sweep["state"] == "done", sweep


def test_cancelled_sweep_ends(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path) -> None:
    """DELETE ends waiting transfers, too."""
    hub = make_hub(garden)
    hub.fault("stall", route="cdn", seconds=120, revision="step0")
    running = daemon(hub)
    number = running.sweep(GARDEN, revisions={"to": 4})
    running.wait(number, lambda sweep: sweep["progress"]["running"] > 0)
    assert running.request("DELETE", f"/v1/sweeps/{number}").status in (200, 202, 204)
    sweep = running.wait(number)
    assert sweep["state"] == "cancelled"
    assert sweep["progress"]["running"] == sweep["progress"]["queued"] == 0
    hub.clear_faults()
    assert running.wait(running.sweep(GARDEN, revisions={"to": 1}))["state"] == "done"


def test_cancelled_plan_ends(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path) -> None:
    """A hub that hangs while a sweep is planned keeps nobody from cancelling it, nor from sweeping something else."""
    hub = make_hub(garden)
    hub.fault("stall", path="/refs", seconds=120, times=1)
    running = daemon(hub)
    number = running.sweep(GARDEN)
    wait_until(lambda: hub.stats()["requests"]["total"] > 0)
    assert running.request("DELETE", f"/v1/sweeps/{number}").status in (200, 202, 204)
    assert running.wait(running.sweep(GARDEN, revisions={"to": 1}))["state"] == "done"
    assert running.get(f"/v1/sweeps/{number}").json()["state"] == "cancelled"
    assert hub.stats()["requests"]["total"] < 30  # and the first plan did not go on


def test_state_moved(programs: dict[str, Path], garden: Path, make_hub: Callable[..., Emulator], tmp_path: Path) -> None:
    """What would be written into a database that nobody finds again is refused, until the folder is back."""
    away = tmp_path / "away"
    with Daemon(programs, tmp_path / ("long" * 20), make_hub(garden).url, [], {}) as running:
        assert running.wait(running.sweep(GARDEN, revisions={"names": ["step0"]}))["state"] == "done"
        moved = time.monotonic()
        os.rename(running.state, away)
        answer = running.post("/v1/sweeps", {"model": GARDEN, "revisions": {"names": ["step1"]}})
        ready = running.get("/readyz")
        assert (answer.status, ready.status) == (500, 503), (answer, ready)
        for told in answer, ready:
            check_words(told.json()["detail"], str(running.state), "moved or deleted", "restore a backup")
        wait_until(lambda: running.log().count("the database file is missing") == 1)
        wait_until(lambda: "no task can be claimed" in running.log())
        os.rename(away, running.state)
        assert running.get("/readyz").status == 200
        assert running.wait(running.sweep(GARDEN, revisions={"names": ["step1"]}))["state"] == "done"
        wait_until(lambda: "the database file is back" in running.log())
        minutes = (time.monotonic() - moved) // 60
        assert running.log().count("no task can be claimed") <= 1 + minutes, "not each worker each second"




def test_signals_at_any_time(daemon: Callable[..., Daemon], hub: Emulator) -> None:
    """Many signals while others are being taken: none is lost to a thread that would let it end the process."""
    running = daemon(hub)
    for _ in range(300):
        running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "options reloaded" in running.log())
    assert running.get("/healthz").status == 200
    assert running.stop() == 0


# ---- starting and stopping ------------------------------------------------------------------------


def test_second_daemon_is_refused(daemon: Callable[..., Daemon], programs: dict[str, Path], hub: Emulator) -> None:
    first = daemon(hub)
    command = [programs["bifurcated"], "--listen", "127.0.0.1:0", "--state", first.state]
    second = subprocess.run(command, env=first.env, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    check_words(second.stderr.splitlines()[-1], "cannot start", "in use by another daemon", str(first.process.pid))
    assert first.get("/healthz").status == 200
    assert first._address(first.state / "address") == first.url


def test_term_drains(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path) -> None:
    """SIGTERM in mid-sweep: status 0, nothing counted against the tasks, and the next start goes on."""
    hub = make_hub(garden, latency_ms=20)
    running = daemon(hub)
    number = running.sweep(GARDEN, revisions={"to": 16})
    running.wait(number, lambda sweep: sweep["progress"]["done"] > 0)
    assert running.stop() == 0
    check_sound(running.db)
    with sqlite3.connect(f"file:{running.db}?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*) FROM tasks WHERE state = 'claimed' OR failures > 0").fetchone() == (0,)
    assert "stopping signal=TERM" in running.log() and running.log().endswith("stopped\n")
    running.start()
    assert running.wait(number)["state"] == "done"


def test_term_does_not_wait_for_the_hub(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator],
                                        garden: Path) -> None:  # fmt: skip
    """Transfers that hang are given up; their tasks are queued again."""
    hub = make_hub(garden)
    hub.fault("stall", route="cdn", seconds=120, revision="step0")
    running = daemon(hub)
    number = running.sweep(GARDEN, revisions={"to": 2})
    running.wait(number, lambda sweep: sweep["progress"]["running"] > 0)
    assert running.stop() == 0  # within running.STOP_S, which is less than the stall
    hub.clear_faults()
    running.start()
    assert running.wait(number)["state"] == "done"


def test_a_sweep_that_ends_as_the_daemon_starts_is_told(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator],
                                                        garden: Path, tmp_path: Path) -> None:  # fmt: skip
    """Its last task was at work when the daemon was killed once too often."""
    config = tmp_path / "b.conf"
    config.write_text("[queue]\nfetchers = 0\n")
    hub = make_hub(garden)
    running = daemon(hub, "--config", str(config))
    number = running.sweep(GARDEN, revisions={"to": 0})
    running.wait(number, lambda sweep: sweep["state"] == "running")
    hub.fault("stall", route="cdn", seconds=120, revision="step0")
    config.write_text("[queue]\nfetchers = 1\n")
    running.restart()
    running.wait(number, lambda sweep: sweep["progress"]["running"] > 0)
    running.kill()
    with closing(sqlite3.connect(running.db)) as db, db:
        assert db.execute("UPDATE tasks SET interruptions = 49").rowcount == 1
    running.start()
    assert running.wait(number)["state"] == "failed"
    line = f"sweep ended sweep={number} "
    wait_until(lambda: line in running.log())
    # killed after the end, before the line: told at the next start, and noted
    running.kill()
    with closing(sqlite3.connect(running.db)) as db, db:
        assert db.execute("UPDATE totals SET sweeps_told = 0").rowcount == 1
    running.start()
    wait_until(lambda: running.log().count(line) == 2)
    assert running.stop() == 0 and running.log().count(line) == 2
    with closing(sqlite3.connect(running.db)) as db, db:
        assert db.execute("SELECT sweeps_told, sweeps_ended FROM totals").fetchone() == (1, 1)


def test_hup_reads_the_log_level_again(daemon: Callable[..., Daemon], hub: Emulator, tmp_path: Path) -> None:
    config = tmp_path / "b.conf"
    config.write_text("[log]\nlog-level = info\n")
    running = daemon(hub, "--config", str(config))

    def hup(expected: str) -> str:
        """Sends the signal and waits for its line."""
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: expected in running.log())
        return [line for line in running.log().splitlines() if expected in line][-1]

    running.get("/healthz")
    assert "target=/healthz" not in running.log()
    config.write_text("[log]\nlog-level = debug\nlog-format = json\n[queue]\nfetchers = 9\n")
    assert json.loads(hup('"event":"options reloaded"'))["needs_restart"] == "fetchers"
    running.get("/v1/models?seen=1")  # its line comes after its answer
    wait_until(lambda: '"target":"/v1/models' in running.log())
    config.write_text("[log]\nlog-level = loud\n")
    assert "is not one of debug|info|warning|error" in hup("the old ones stay")
    assert running.get("/healthz").status == 200
