"""Watches of the committed training run: made, and looked at once a run of theirs is over."""

from __future__ import annotations

from typing import Any

from running import Daemon, model_path, wait_until

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
HERE = f"/v1/watches/{model_path(MODEL)}"
LONG = {"every_minutes": 1440}  # no run of its own accord within a test, but for the first


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


def first_run(daemon: Daemon, value: dict[str, Any], path: str = HERE) -> dict[str, Any]:
    """Makes a watch; the watch after its first run, which may be over before the answer is read."""
    put(daemon, value, path)
    return after_run(daemon, None, path)


def api_requests(hub: Emulator) -> list[str]:
    return [line["target"].split("?")[0] for line in hub.log()]


def swept_names(daemon: Daemon, sweep: int) -> list[str]:
    tasks = daemon.get(f"/v1/sweeps/{sweep}/tasks?limit=1000").json()["tasks"]
    return [task["revision"] for task in tasks]


def tensor_bytes(hub: Emulator) -> int:
    return hub.stats()["bytes"].get("cdn", 0)
