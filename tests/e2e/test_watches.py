"""Watches: what is new, moved or gone is found by one request, and swept with the least work."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from running import SWEEP_S, Daemon, model_path, wait_until

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
HERE = f"/v1/watches/{model_path(MODEL)}"
LONG = {"every_minutes": 1440}  # no run of its own accord within a test, but for the first


def runs_of(daemon: Daemon, path: str) -> tuple[str | None, dict[str, Any] | None]:
    watch = daemon.get(path).json()
    return watch["last_run_at"], watch["last_run"]


def watch_now(daemon: Daemon, path: str = HERE) -> dict[str, Any]:
    """Asks for a run and returns the watch after it; the sweep that it started, if any, has ended."""
    before = daemon.get(path).json()["last_run_at"]
    assert daemon.post(f"{path}/runs").status == 202
    return after_run(daemon, before, path)


def after_run(daemon: Daemon, before: str | None, path: str = HERE) -> dict[str, Any]:
    wait_until(lambda: daemon.get(path).json()["last_run_at"] != before)
    watch = daemon.get(path).json()
    if watch["last_sweep"]:
        daemon.wait(watch["last_sweep"])
    return watch


def put(daemon: Daemon, value: dict[str, Any], path: str = HERE, status: int = 201) -> dict[str, Any]:
    answer = daemon.request("PUT", path, value)
    assert answer.status == status, answer
    return answer.json()


def api_requests(hub: Emulator) -> list[str]:
    return [line["target"].split("?")[0] for line in hub.log()]


def swept_names(daemon: Daemon, sweep: int) -> list[str]:
    tasks = daemon.get(f"/v1/sweeps/{sweep}/tasks?limit=1000").json()["tasks"]
    return [task["revision"] for task in tasks]


def tensor_bytes(hub: Emulator) -> int:
    return hub.stats()["bytes"].get("cdn", 0)


def test_new_moved_and_deleted_branches(daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    hub = make_hub(garden)
    hub.move_branch(MODEL, "step15000", "step64")
    hub.delete_branch(MODEL, "step15000")
    one = daemon(hub)
    first = after_run(one, put(one, LONG)["last_run_at"])
    assert first["last_run"]["outcome"] == "sweeping" and first["last_run"]["new"]["count"] == 26  # with main
    assert first["last_run"]["swept"] == 25 and first["request"] == {"model": MODEL}
    sweep = one.get(f"/v1/sweeps/{first['last_sweep']}").json()
    assert sweep["state"] == "done" and sweep["watch_id"] == first["id"]
    whole = one.series(MODEL)
    assert [row["state"] for row in whole] == ["measured"] * 25

    # Nothing is new: one request, no sweep, and readers' ETags stay good.
    etag = one.get(f"/v1/models/{model_path(MODEL)}/revisions").headers["ETag"]
    hub.reset()
    same = watch_now(one)
    assert same["last_run"]["outcome"] == "unchanged" and same["last_sweep"] is None
    assert same["last_run"]["hub_requests"] == 1
    assert api_requests(hub) == [f"/api/models/{MODEL}/refs"]
    assert one.get(f"/v1/models/{model_path(MODEL)}/revisions").headers["ETag"] == etag

    # A new branch with a file that is known, a moved one with content of its own, and one that is gone.
    hub.move_branch(MODEL, "step15000", "step64")
    hub.move_branch(MODEL, "step13000", "step8000")
    hub.delete_branch(MODEL, "step12000")
    hub.reset()
    found = watch_now(one)
    report = found["last_run"]
    assert report["new"] == {"count": 1, "names": ["step15000"]}
    assert report["moved"] == {"count": 1, "names": ["step13000"]}
    assert report["gone"] == {"count": 1, "names": ["step12000"]}
    # step14000 is not new, but its displacement was against what step13000 held before.
    assert swept_names(one, found["last_sweep"]) == ["step13000", "step14000", "step15000"]
    rows = {row["revision"]: row for row in one.series(MODEL)}
    assert "step12000" not in rows and len(rows) == 25
    assert rows["step13000"]["lag1_reference"] == "step11000"
    assert rows["step14000"]["lag1_reference"] == "step13000"
    assert rows["step14000"]["lag1_msd"] == pytest.approx(rows["step14000"]["lag1_msd"])
    # Known digests are not fetched; displacements between known contents need both tensors, whose pairs are new.
    tensor = 512 * 64 * 2
    pairs = 3  # 13000 against 11000, 14000 against 13000, 15000 against 14000
    assert tensor_bytes(hub) <= (2 * pairs) * (tensor + 64 * 1024)
    listings = [path for path in api_requests(hub) if "/tree/" in path]
    assert len(listings) == 2, listings  # of the two commits that were not known
    refs = [path for path in api_requests(hub) if "/refs" in path]
    assert len(refs) == 2  # the look, and the plan of its sweep

    # The same series as a daemon has that sweeps all at once, now.
    other = daemon(hub)
    other.wait(other.sweep(MODEL))
    volatile = ("bytes_fetched", "measured_at", "first_seen_at")
    essence = lambda series: [{k: v for k, v in row.items() if k not in volatile} for row in series]  # noqa: E731
    assert essence(one.series(MODEL)) == essence(other.series(MODEL))

    hub.reset()
    assert watch_now(one)["last_run"]["outcome"] == "unchanged"
    assert len(api_requests(hub)) == 1
