"""The queue as a user sees it through the API: priorities, turns, work that is shared, the history of a task."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any, Callable

import pytest
from running import Daemon, wait_until

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
MANY = ["step0", "step16", "step32", "step512", "step9000", "step14000"]


def tasks_of(daemon: Daemon, *sweeps: int) -> list[dict[str, Any]]:
    """The tasks of the sweeps, in the order in which they were claimed last."""
    rows = [
        {**task, "sweep": sweep} for sweep in sweeps for task in daemon.get(f"/v1/sweeps/{sweep}/tasks").json()["tasks"]
    ]
    return sorted(rows, key=lambda task: task["claimed_at"])


def history_of(daemon: Daemon, task: dict[str, Any]) -> list[dict[str, Any]]:
    return daemon.read(f"/v1/sweeps/{task['sweep']}/tasks/{task['id']}/events")["events"]


@pytest.fixture
def slow(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, tmp_path: Path) -> tuple[Any, ...]:
    """One worker, a hub far away, and a second model beside the first."""
    root = tmp_path / "root"
    for name in ("neox-tiny", "other"):
        shutil.copytree(garden / "models" / MODEL, root / "models/garden" / name)
    hub = make_hub(root, latency_ms=60)
    return hub, daemon(hub, "--fetchers", "1")


def test_priorities_and_turns(slow: tuple[Any, ...]) -> None:
    _, one = slow
    first = one.sweep(MODEL, revisions={"names": MANY})
    wait_until(lambda: one.get(f"/v1/sweeps/{first}").json()["state"] == "running")
    second = one.sweep("garden/other", revisions={"names": MANY})
    wait_until(lambda: one.get(f"/v1/sweeps/{second}").json()["state"] != "planning")
    urgent = one.sweep("garden/other", revisions={"names": ["step1", "step2"]}, priority=50)
    for sweep in (first, second, urgent):
        assert one.wait(sweep)["state"] == "done"
    order = [task["sweep"] for task in tasks_of(one, first, second, urgent)]
    # What is urgent waits for no more than the task that runs when its plan is ready.
    last_urgent = len(order) - 1 - order[::-1].index(urgent)
    between = order[order.index(urgent) : last_urgent + 1]
    assert between == [urgent, urgent], order
    # The others take turns once both are there.
    rest = [sweep for sweep in order if sweep != urgent]
    both = rest[rest.index(second) :]
    turns = both[: 2 * min(both.count(first), both.count(second))]
    assert all(a != b for a, b in itertools.pairwise(turns)), order


def test_work_is_shared(slow: tuple[Any, ...]) -> None:
    """The same revisions in two sweeps at once are fetched once; each sweep's tasks tell what happened."""
    hub, one = slow
    first, second = (one.sweep(MODEL, revisions={"names": MANY}) for _ in range(2))
    for sweep in (first, second):
        assert one.wait(sweep)["state"] == "done"
    tensor = 512 * 64 * 2
    assert hub.stats()["bytes"]["cdn"] < 2 * len(MANY) * (tensor + 32 * 1024)
    tasks = tasks_of(one, first, second)
    by_sweep = {sweep: sum(task["bytes_fetched"] for task in tasks if task["sweep"] == sweep) for sweep in (first, second)}
    assert by_sweep[first] > 0 and by_sweep[second] < 0.5 * by_sweep[first], by_sweep
    for task in tasks:
        events = history_of(one, task)
        assert [event["event"] for event in events] == ["plan", "claim", "record"], events
        assert events[1]["worker"] and events[0]["at"] <= events[1]["at"] <= events[2]["at"]
    other = {**tasks[0], "sweep": first + second - tasks[0]["sweep"]}
    assert one.get(f"/v1/sweeps/{other['sweep']}/tasks/{other['id']}/events").status == 404


def test_progress_has_bytes_rate_and_an_estimate(slow: tuple[Any, ...]) -> None:
    hub, one = slow
    hub.fault("hold", route="cdn", revision=MANY[-2])  # it does not end unseen
    sweep = one.sweep(MODEL, revisions={"names": MANY})
    half = one.wait(sweep, lambda row: row["progress"]["done"] >= 2)
    progress = half["progress"]
    assert half["state"] == "running" and 0 < progress["bytes_fetched"]
    assert progress["rate_bytes_per_s"] == pytest.approx(progress["bytes_fetched"] / progress["seconds"], rel=0.01)
    assert progress["seconds_left"] > 0 and progress["bytes_expected"] > 0
    hub.set(latency_ms=0)
    hub.clear_faults()
    progress = one.wait(sweep)["progress"]
    assert progress["seconds_left"] == 0 and progress["done"] == progress["revisions_total"] == len(MANY)


def test_the_history_tells_of_failures(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path) -> None:
    hub = make_hub(garden)
    one = daemon(hub, "--attempts", "2", "--retry-delay-s", "0")
    assert one.wait(one.sweep(MODEL, revisions={"names": ["step0"]}))["state"] == "done"
    hub.fault("status", status=418, revision=hub.sha(MODEL, "step512"), file="safetensors", times=1)
    sweep = one.sweep(MODEL, revisions={"names": ["step512"]})
    assert one.wait(sweep)["state"] == "done"
    (task,) = tasks_of(one, sweep)
    events = history_of(one, task)
    assert [event["event"] for event in events] == ["plan", "claim", "retry", "claim", "record"]
    assert "418" in events[2]["detail"]
    page = one.get(f"/v1/sweeps/{sweep}/tasks/{task['id']}/events?limit=2").json()
    assert [event["event"] for event in page["events"]] == ["plan", "claim"]
    rest = one.get(f"/v1/sweeps/{sweep}/tasks/{task['id']}/events?limit=9&cursor={page['next_cursor']}").json()
    assert [event["event"] for event in rest["events"]] == ["retry", "claim", "record"] and rest["next_cursor"] is None
