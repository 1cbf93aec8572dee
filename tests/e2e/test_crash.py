"""SIGKILL at any moment: started again, the daemon ends the sweep, measures nothing twice, and the series is the same.

Moments are numbers of requests that the hub has seen, drawn by seed, so that they lie in every part of a sweep: while
it is planned, while headers and tensors are read, and while results are recorded.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from recorded import check_sound, essence, read
from running import Daemon

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
# Both formats, sharded, equal content (step0 and step1; step5000 and step14000 serve one file).
NAMES = ["step0", "step1", "step2", "step128", "step3000", "step5000", "step14000"]
REQUEST = {"revisions": {"names": NAMES}}
WAIT_S = 300.0  # against waiting for ever


def finished(daemon: Daemon) -> dict[str, int]:
    """Revisions whose task is done, with the time of their measurement."""
    return dict(
        read(
            daemon,
            "SELECT revisions.name, revision_tensors.measured_ms FROM tasks JOIN revisions ON revisions.id = tasks.revision_id"
            " JOIN revision_tensors ON revision_tensors.revision_id = revisions.id WHERE tasks.state = 'done'",
        )
    )


def half_recorded(daemon: Daemon) -> list[tuple[Any, ...]]:
    """Tensors of revisions without a finished task, and contents with only some of their four sets of statistics."""
    return read(
        daemon,
        "SELECT 'tensor', revision_id FROM revision_tensors WHERE revision_id NOT IN"
        " (SELECT revision_id FROM tasks WHERE state = 'done')"
        " UNION ALL SELECT 'statistics', content_id FROM statistics GROUP BY content_id HAVING count(*) <> 4",
    )


def needed_by(revisions: set[str]) -> set[str]:
    """These revisions and those that their displacement refers to: the first and the one before."""
    order = ["step0", "step1", "step2", "step64", "step128", "step2000", "step3000", "step4000", "step5000"]
    order += ["step13000", "step14000"]
    return revisions | {"step0"} | {order[order.index(name) - 1] for name in revisions if name != "step0"}


def revision_of(hub: Emulator) -> dict[str, str]:
    """The branch of each commit; of branches with equal commits any."""
    for one in hub.repositories():
        if one["id"] == MODEL and one["kind"] == "models":
            return {commit: branch for branch, commit in one["branches"].items()}
    raise AssertionError(f"no {MODEL}")


def weights_fetched(hub: Emulator) -> set[str]:
    """Revisions of which weights were asked for since the last reset."""
    branches = revision_of(hub)
    found = set()
    for name in hub.stats()["files"]:
        commit, file = name.split("@")[1].split("/", 1)
        if file.endswith((".safetensors", ".bin")):
            found.add(branches.get(commit, commit))
    return found


@pytest.fixture(scope="module")
def undisturbed(
    programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """The series of a sweep that nothing disturbs, and how many requests it takes."""
    with Emulator(garden) as hub:
        daemon = Daemon(programs, tmp_path_factory.mktemp("undisturbed"), hub.url, [], {})
        daemon.start()
        assert daemon.wait(daemon.sweep(MODEL, **REQUEST))["state"] == "done"
        yield {"rows": daemon.series(MODEL), "requests": hub.stats()["requests"]["total"]}
        daemon.check_end()


def wait_for_requests(hub: Emulator, daemon: Daemon, sweep: int, count: int) -> bool:
    """Waits until the hub has seen so many; False if the sweep ended before."""
    limit = time.monotonic() + WAIT_S
    while hub.stats()["requests"]["total"] < count:
        if daemon.get(f"/v1/sweeps/{sweep}").json()["state"] not in ("planning", "running"):
            return False
        assert time.monotonic() < limit, daemon.log()
        time.sleep(0.005)
    return True


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment(
    seed: int, daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, undisturbed: dict[str, Any]
) -> None:
    hub = make_hub(garden, latency_ms=10, connection_bps=8e6)
    running = daemon(hub, "--fetchers", str(seed + 1))
    sweep = running.sweep(MODEL, **REQUEST)
    moments = random.Random(seed)
    kills = 0
    measured: dict[str, int] = {}
    enough = undisturbed["requests"] // 3 + 8  # so that the sweep does not end before the first two kills, however late they are
    hub.fault("hold", after=enough)
    while kills < 4 and wait_for_requests(hub, running, sweep, moments.randint(1, undisturbed["requests"] // 3)):
        time.sleep(moments.random() * 0.2)  # between two requests: computing, recording
        running.kill()
        kills += 1
        check_sound(running)
        assert half_recorded(running) == []
        done = finished(running)
        assert measured.items() <= done.items()  # what was recorded stays, and is not measured again
        measured = done
        hub.clear_faults()
        hub.reset()
        if kills < 2:
            hub.fault("hold", after=enough)
        running.start()
    assert kills >= 2
    assert measured or seed != 0  # one fetcher and these moments: something was done before the last kill
    # What is done needs no more bytes, except as the reference of what is not.
    end = running.wait(sweep)
    assert end["state"] == "done", end
    assert end["progress"]["done"] == len(NAMES)
    unfinished = set(NAMES) - set(measured)
    assert weights_fetched(hub) <= needed_by(unfinished) | ({"step14000"} if not measured else set())
    rows = running.series(MODEL)
    assert essence(rows) == essence(undisturbed["rows"])
    assert running.stop() == 0
    check_sound(running)
    assert measured.items() <= finished(running).items()
    assert half_recorded(running) == []
    contents = len({row["digest"] for row in rows if row["digest"]})
    recorded = read(running, "SELECT count(*), count(DISTINCT content_id) FROM statistics")
    assert recorded == [(4 * contents, contents)]


def test_killed_after_the_end(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, undisturbed: dict[str, Any]
) -> None:
    """What was acknowledged is there, and nothing is fetched again."""
    hub = make_hub(garden)
    running = daemon(hub)
    sweep = running.sweep(MODEL, revisions={"names": NAMES[:3]})
    assert running.wait(sweep)["state"] == "done"
    running.kill()
    hub.reset()
    running.start()
    assert running.get(f"/v1/sweeps/{sweep}").json()["state"] == "done"
    measured = [row for row in running.series(MODEL) if row["state"] == "measured"]
    assert essence(measured) == essence(undisturbed["rows"])[:3]
    assert hub.stats()["requests"]["total"] == 0


def test_an_acknowledged_sweep_is_not_forgotten(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator],
                                                garden: Path) -> None:  # fmt: skip
    """Killed right after 201: the sweep is there, and a second POST with its key is the same sweep."""
    hub = make_hub(garden)
    running = daemon(hub)
    body = {"model": MODEL, "revisions": {"names": ["step0"]}}
    first = running.post("/v1/sweeps", body, {"Idempotency-Key": "nightly-7"})
    running.kill()
    assert first.status == 201, first
    running.start()
    again = running.post("/v1/sweeps", body, {"Idempotency-Key": "nightly-7"})
    assert again.status in (200, 201) and again.json()["id"] == first.json()["id"]
    assert running.wait(first.json()["id"])["state"] == "done"
    assert len(running.get("/v1/sweeps").json()["sweeps"]) == 1
