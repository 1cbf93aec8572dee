"""A hub that is down pauses sweeps and uses nothing up: told in the log, the status, the sweep, the metrics and the client; who
needs no hub goes on; what waits can be cancelled and stopped, and goes on by itself. Likewise of remote workers.

Noticing an outage takes the attempts of a request, seconds; so five hubs go down at once and come back at once, each with a daemon:
`scene` while they are down, `after` once all is over. Each test can run alone."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

import pytest
from running import Daemon, wait_until
from test_hub_wait import OVER, follow, hub_of, line_with, metric
from tests.hub import Emulator
from workers import Worker

MODEL = "garden/neox-tiny"
WATCHED = "garden/nothing"
DOWN = "the hub is down; what needs it waits"


@dataclass
class Case:
    """One hub, its daemon, and a sweep that the outage found."""

    hub: Emulator
    daemon: Daemon
    sweep: int = 0
    doomed: int = 0  # another one, to be cancelled
    workers: list[Worker] = field(default_factory=list)


def is_down(one: Daemon) -> bool:
    return hub_of(one)["reason"] == "unreachable"


def counts(one: Daemon) -> tuple[int, int]:
    """Failures and interruptions of all tasks."""
    with sqlite3.connect(f"file:{one.db}?mode=ro", uri=True) as db:
        return db.execute("SELECT sum(failures), sum(interruptions) FROM tasks").fetchone()


def seen(one: Daemon, name: str) -> dict[str, Any]:
    """The worker whose name begins so."""
    workers = one.get("/v1/workers").json()["workers"]
    return next((row for row in workers if row["name"].startswith(name)), {"hub_problem": None})


@pytest.fixture(scope="module")
def scene(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Case]]:
    """failing: answers 503, for an hour as it says, from the midst of a sweep on. gone: refuses connections, and its daemon was
    started again since it knew it. hung: takes requests and says nothing. remote: refuses connections from the midst of a sweep on; two
    workers, one of which never reached it. files: the host that serves its files answers 503, the hub itself answers. alone: has the
    same hub, and one worker, which has none."""
    options = {"failing": ["--fetchers", "2"], "gone": [], "hung": ["--stall-timeout-s", "1"], "remote": ["--fetchers", "0"],
               "files": [], "alone": ["--fetchers", "0"]}  # fmt: skip
    cases: dict[str, Case] = {}
    try:
        for name, words in options.items():
            if name == "alone":
                hub = cases["files"].hub
            else:
                hub = Emulator(garden, latency_ms=100 if name in ("failing", "remote") else 0)
                hub.start()
            cases[name] = Case(hub, Daemon(programs, tmp_path_factory.mktemp(name), hub.url, words, {}))
            cases[name].daemon.start()
        failing, gone, hung, remote, files, alone = cases.values()
        place, program = tmp_path_factory.mktemp("workers"), programs["bifurcated"]
        nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9"}
        remote.sweep = remote.daemon.sweep(MODEL, revisions={"to": 256})
        remote.workers = [Worker(remote.daemon, program, place / "cut", "--name", "cut-off", env=nowhere),
                          Worker(remote.daemon, program, place / "sound", "--name", "sound", "--idle-exit-s", "1")]  # fmt: skip
        alone.sweep = alone.daemon.sweep(MODEL, revisions={"names": ["step0"]})
        alone.workers = [Worker(alone.daemon, program, place / "lonely", "--name", "lonely", env=nowhere).start()]
        for case in (failing, remote):
            case.hub.fault("hold", route="cdn", revision="step128")  # no sweep ends before its hub is down
        for case in (gone, hung, files):
            case.sweep = case.daemon.sweep(MODEL, revisions={"names": ["step0"]})
        for case in (gone, hung, files):
            assert case.daemon.wait(case.sweep)["state"] == "done"
        assert gone.daemon.stop() == 0
        failing.sweep = failing.daemon.sweep(MODEL, revisions={"to": 256})
        remote.daemon.wait(remote.sweep, lambda now: now["state"] == "running")
        for worker in remote.workers:
            worker.start()
        failing.doomed = failing.daemon.sweep(MODEL, revisions={"to": 512}, priority=-1)
        failing.daemon.wait(failing.doomed, lambda now: now["state"] == "running")
        for case in (failing, remote):
            case.daemon.wait(case.sweep, lambda now: now["progress"]["done"] >= 2)
        failing.hub.fault("status", status=503, retry_after=3600)
        failing.hub.clear_faults(1)
        hung.hub.fault("stall", seconds=60)
        alone.daemon.wait(alone.sweep, lambda now: now["state"] == "running")
        files.hub.fault("status", status=503, route="cdn")
        gone.hub.stop()
        remote.hub.stop()
        gone.daemon.start()
        for case in (gone, hung):
            case.sweep = case.daemon.sweep(MODEL, revisions={"to": 2})
            assert case.daemon.request("PUT", f"/v1/watches/{MODEL}", {"every_minutes": 1440}).status == 201
        files.sweep = files.daemon.sweep(MODEL, revisions={"to": 2})
        wait_until(lambda: all(is_down(case.daemon) for case in (failing, gone, hung, files)))
        assert failing.daemon.request("PUT", f"/v1/watches/{WATCHED}", {"every_minutes": 1440}).status == 201
        wait_until(lambda: seen(remote.daemon, "sound")["hub_problem"] and seen(remote.daemon, "cut-off")["hub_problem"])
        yield cases
    finally:
        for case in cases.values():
            for worker in case.workers:
                worker.terminate()
            for worker in case.workers:
                worker.check_end()
            case.daemon.check_end()
            case.hub.stop()


def test_it_is_told(scene: dict[str, Case], programs: dict[str, Path]) -> None:
    case = scene["failing"]
    one, now = case.daemon, hub_of(case.daemon)
    assert now["detail"].endswith("answers 503") and now["waiting_until"]
    held = one.wait(case.sweep, lambda now: now["progress"]["running"] == 0)  # each fetcher gives its task back
    assert held["state"] == "running" and held["progress"]["failed"] == 0
    assert held["hub_wait"]["reason"] == "unreachable" and held["hub_wait"]["seconds_left"] >= 0
    assert held["hub_wait"]["detail"] == now["detail"]
    assert metric(one, 'bifurcated_hub_waiting{reason="unreachable"}') == 1
    shown = one.client("status").stdout
    assert "DOES NOT ANSWER, asked again at" in shown and "answers 503" in shown
    process = follow(one, programs, case.sweep)
    assert "waits for the hub, asked again in" in line_with(process, "503")
    process.kill()
    process.communicate()
    (line,) = one.told(DOWN)
    assert "answers 503" in line


def test_plans_and_watches_wait_and_folders_do_not(scene: dict[str, Case], garden: Path) -> None:
    """What needs the hub waits for its plan, and can be cancelled, as what is planned; a sweep of a folder is done meanwhile."""
    one = scene["failing"].daemon
    unwanted = one.sweep(MODEL, revisions={"names": ["step8"]})
    folder = one.sweep(f"file:{garden / 'models' / MODEL}", revisions={"names": ["step0", "step8"]})
    assert one.wait(folder)["state"] == "done" and is_down(one)
    now = one.get(f"/v1/sweeps/{unwanted}").json()
    assert now["state"] == "planning" and now["hub_wait"]["reason"] == "unreachable"
    for number in (unwanted, scene["failing"].doomed):
        assert one.request("DELETE", f"/v1/sweeps/{number}").json()["state"] == "cancelled"
    assert is_down(one) and one.get(f"/v1/watches/{WATCHED}").json()["last_run"] is None


@pytest.mark.parametrize(("name", "word"), [("gone", "no connection"), ("hung", "too slow")])
def test_a_plan_and_a_look_are_interrupted(scene: dict[str, Case], name: str, word: str) -> None:
    case = scene[name]
    now = case.daemon.get(f"/v1/sweeps/{case.sweep}").json()
    assert now["state"] == "planning" and now["error"] is None
    assert word in now["hub_wait"]["detail"]
    # So is a look at a watched model, which found out while it was under way.
    assert case.daemon.get(f"/v1/watches/{MODEL}").json()["last_run"] is None
    assert "a watched model could not be checked" not in case.daemon.log()


def test_a_host_of_files_alone(scene: dict[str, Case]) -> None:
    """What does not need it goes on: plans, watches, and revisions whose weights are known. It is told which host it is."""
    one, sweep = scene["files"].daemon, scene["files"].sweep
    assert one.request("PUT", f"/v1/watches/{WATCHED}", {"every_minutes": 1440}).status == 201
    assert one.wait(one.sweep(MODEL, revisions={"names": ["step0"]}))["state"] == "done"
    wait_until(lambda: one.get(f"/v1/watches/{WATCHED}").json()["last_run"] is not None)
    held = one.wait(sweep, lambda now: now["state"] == "running" and now["progress"]["running"] == 0)
    assert held["state"] == "running" and held["progress"]["failed"] == 0 and held["progress"]["queued"] >= 1
    detail, host = held["hub_wait"]["detail"], f"localhost:{scene['files'].hub.port}"
    assert held["hub_wait"]["reason"] == "unreachable" and detail == f"{host} answers 503; the hub's API answers"
    assert one.told(f"a host of the hub's files is down; what needs it waits and counts no attempt host=http://{host}")
    assert DOWN not in one.log() and is_down(one)


def test_a_worker_alone_without_a_hub(scene: dict[str, Case]) -> None:
    """The daemon measures nothing itself and reaches its hub: only the worker knows why the sweep stands still."""
    one = scene["alone"].daemon
    held = one.wait(scene["alone"].sweep, lambda now: now["hub_wait"] is not None)
    assert held["state"] == "running" and held["hub_wait"]["reason"] == "unreachable" and not is_down(one)
    assert held["hub_wait"]["detail"].startswith("no worker reaches it: 127.0.0.1:9: no connection")
    assert len(one.told("no worker reaches the hub; what needs it waits for one that does")) == 1
    assert counts(one) == (0, 0)


def test_workers_give_back(scene: dict[str, Case]) -> None:
    """Both have nothing to do with it; each is seen as one that has no hub, with nothing counted against the tasks."""
    case = scene["remote"]
    sweep = case.daemon.wait(case.sweep, lambda now: now["progress"]["running"] == 0)
    assert sweep["progress"]["failed"] == 0 and sweep["progress"]["done"] >= 2
    for name in ("cut-off", "sound"):
        worker = seen(case.daemon, name)
        assert "no connection" in worker["hub_problem"] and worker["failed"] == 0
    assert "no connection" in case.daemon.client("workers").stdout
    assert case.workers[1].process.poll() is None  # idle, but not for want of work
    # The daemon asks for nothing itself; what the workers say made it look.
    wait_until(lambda: is_down(case.daemon))
    assert case.daemon.get(f"/v1/sweeps/{case.sweep}").json()["hub_wait"]["reason"] == "unreachable"


def test_a_worker_without_a_hub_gets_folders_alone(scene: dict[str, Case], garden: Path) -> None:
    """However long that lasts, it has nothing that it could fail; the daemon itself has not given up waiting either."""
    one = scene["remote"].daemon
    offer = {"protocol": 2, "definition": 1, "scoring": 1, "version": "x", "worker": "pretender/0", "key": 32 * "0", "device": "cpu",
             "backend": "cpu", "wait_s": 0, "hub_problem": "no such host"}  # fmt: skip
    said = one.post("/v1/claims", offer).json()["detail"]  # the daemon says what it measures by
    offer["definition"], offer["scoring"] = map(int, re.search(r"by (\d+)\.(\d+), so", said).groups())
    assert one.get(f"/v1/sweeps/{scene['remote'].sweep}").json()["progress"]["queued"] > 0
    assert one.post("/v1/claims", offer).status == 204
    folder = one.wait(one.sweep(f"file:{garden / 'models' / MODEL}", revisions={"names": ["step0"]}))
    assert folder["state"] == "done" and seen(one, "cut-off")["hub_problem"]


@pytest.fixture(scope="module")
def after(scene: dict[str, Case]) -> dict[str, Case]:
    """The daemon of the hub that is gone is stopped before, and started after; then all hubs are back and all sweeps are over."""
    assert scene["gone"].daemon.stop() == 0
    for name in ("failing", "hung", "files"):
        scene[name].hub.clear_faults()
    for name in ("gone", "remote"):
        scene[name].hub.start()
    assert scene["alone"].daemon.request("DELETE", f"/v1/sweeps/{scene['alone'].sweep}").status == 200
    scene["gone"].daemon.start()
    for case in scene.values():
        case.daemon.wait(case.sweep)
    return scene


@pytest.mark.parametrize("name", ["failing", "gone", "hung", "remote", "files"])
def test_all_is_measured_and_no_attempt_was_used_up(after: dict[str, Case], name: str) -> None:
    case = after[name]
    sweep = case.daemon.get(f"/v1/sweeps/{case.sweep}").json()
    assert sweep["state"] == "done" and sweep["progress"]["done"] == sweep["progress"]["revisions_total"]
    assert sweep["hub_wait"] is None and counts(case.daemon) == (0, 0)
    assert "will be tried again" not in case.daemon.log()


def test_the_watch_looks(after: dict[str, Case]) -> None:
    one = after["failing"].daemon
    wait_until(lambda: one.get(f"/v1/watches/{WATCHED}").json()["last_run"] is not None)
    assert one.get(f"/v1/watches/{WATCHED}").json()["last_run"]["outcome"] == "missing"  # there is no such model, says the hub
    assert "unreachable" not in str(one.get(f"/v1/watches/{WATCHED}").json()["last_run"])


def test_the_end_is_told_once(after: dict[str, Case]) -> None:
    one = after["failing"].daemon
    assert one.told(OVER)
    assert one.log().count(DOWN) == one.log().count(OVER) == 1
    assert hub_of(one)["reason"] is None and hub_of(one)["detail"] is None
    assert metric(one, "bifurcated_hub_waited_seconds_total") > 0


def test_the_worker_without_a_hub_stays_alone(after: dict[str, Case]) -> None:
    case = after["remote"]
    cut_off, sound = case.workers
    assert sound.wait() == 0 and "idle for long enough" in sound.log()
    worker = seen(case.daemon, "cut-off")
    assert worker["hub_problem"] and worker["failed"] == 0
    tasks = case.daemon.get(f"/v1/sweeps/{case.sweep}/tasks").json()["tasks"]
    assert all(task["worker"].startswith("sound-") for task in tasks)
    assert cut_off.log().count(DOWN) == sound.log().count(DOWN) == 1
