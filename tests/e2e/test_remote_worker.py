"""Remote workers against a daemon that has none of its own: the numbers are those of a local sweep, bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from running import Daemon, model_path
from workers import Worker

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
NAMES = ["step0", "step1", "step2", "step128", "step3000", "step5000", "step14000"]
REQUEST = {"revisions": {"names": NAMES}}
VOLATILE = ("bytes_fetched", "measured_at", "first_seen_at")


@pytest.fixture
def worker(programs: dict[str, Path], tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers: worker(daemon, "--option", "value"); at the end each must stop cleanly."""
    started: list[Worker] = []

    def start(daemon: Daemon, *options: str, env: dict[str, str] | None = None) -> Worker:
        place = tmp_path / f"worker{len(started)}"
        started.append(Worker(daemon, programs["bifurcated"], place, *options, env=env).start())
        return started[-1]

    yield start
    for one in started:
        one.check_end()


def essence(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in VOLATILE} for row in rows]


def test_smoke(daemon, make_hub, garden, worker):
    hub = make_hub(garden)
    local = daemon(hub)
    assert local.wait(local.sweep(MODEL, **REQUEST))["state"] == "done"
    remote = daemon(hub, "--fetchers", "0")
    sweep = remote.sweep(MODEL, **REQUEST)
    one = worker(remote, "--idle-exit-s", "2")
    end = remote.wait(sweep)
    assert end["state"] == "done", one.log()
    print(one.log())
    assert essence(remote.series(MODEL)) == essence(local.series(MODEL))
    assert one.wait() == 0
