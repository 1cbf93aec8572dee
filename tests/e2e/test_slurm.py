"""Sweeps through workers that a real Slurm runs: its controller and two nodes on this machine (tests/slurm).

The daemon measures nothing itself (fetchers 0). Whatever happens to the jobs, every sweep ends, and each result is there once.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from browser import Browser
from recorded import essence
from running import Daemon, wait_until

from tests.hub import Emulator
from tests.slurm.cluster import Cluster, Unavailable, free_ports, worker_pids

MODEL = "garden/neox-tiny"
NAMES = ["step0", "step1", "step2", "step128", "step3000", "step5000", "step14000"]
REQUEST = {"revisions": {"names": NAMES}}
SLOW = {"latency_ms": 40, "connection_bps": 2e6}  # so that something happens while tasks run


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    try:
        with Cluster() as one:
            yield one
    except Unavailable as reason:
        pytest.skip(f"no Slurm: {reason}")


@pytest.fixture
def clean(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster without jobs, before and after."""
    yield cluster
    cluster.run("scancel", "--me", tries=5)
    wait_until(lambda: not cluster.elements())


@pytest.fixture
def head(daemon: Callable[..., Daemon], programs: dict[str, Path], tmp_path: Path, clean: Cluster) -> Callable[..., Daemon]:
    """A daemon that leaves the work to at most two jobs at once. It keeps its port over restarts, as in real life."""

    def start(hub: Emulator, *options: str) -> Daemon:
        (tmp_path / "jobs").mkdir(exist_ok=True)
        standard = {
            "--listen": f"127.0.0.1:{free_ports(1)[0]}", "--fetchers": "0", "--lease-s": "5", "--retry-delay-s": "1",
            "--slurm-workers-max": "2", "--slurm-poll-s": "1", "--slurm-idle-s": "120",
            "--slurm-output": str(tmp_path / "jobs" / "%A_%a.log"),
        }  # fmt: skip
        return daemon(hub, *(word for pair in standard.items() for word in pair), *options, env=clean.env | {"BIFURCATED": str(programs["bifurcated"])})

    return start


@pytest.fixture(scope="module")
def undisturbed(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The series as a daemon measures it itself."""
    with Emulator(garden) as hub:
        local = Daemon(programs, tmp_path_factory.mktemp("local"), hub.url, [], {})
        local.start()
        assert local.wait(local.sweep(MODEL, **REQUEST))["state"] == "done"
        rows = local.series(MODEL)
        local.check_end()
    return essence(rows)


def jobs_of(running: Daemon, sweep: int) -> list[dict[str, Any]]:
    return running.get(f"/v1/sweeps/{sweep}").json()["jobs"]


def outputs(tmp_path: Path) -> str:
    return "\n".join(path.read_text(errors="replace") for path in sorted((tmp_path / "jobs").glob("*.log")))


def check_results(running: Daemon, sweep: int, undisturbed: list[dict[str, Any]]) -> None:
    """The sweep is done, the series is the undisturbed one, and everything was recorded once."""
    end = running.wait(sweep)
    assert end["state"] == "done", end
    assert end["progress"]["done"] == len(NAMES)
    rows = running.series(MODEL)
    assert essence(rows) == undisturbed
    contents = len({row["digest"] for row in rows if row["digest"]})
    db = sqlite3.connect(f"file:{running.db}?mode=ro", uri=True)
    try:
        assert db.execute("SELECT count(*), count(DISTINCT content_id) FROM statistics").fetchall() == [(4 * contents, contents)]
        recorded = "SELECT count(*), count(DISTINCT task_id) FROM task_events WHERE event = 'record'"
        assert db.execute(recorded).fetchall() == [(len(NAMES), len(NAMES))]
    finally:
        db.close()


def test_a_sweep_through_jobs(
    head: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, cluster: Cluster,
    undisturbed: list[dict[str, Any]], tmp_path: Path,
) -> None:  # fmt: skip
    example = Path(__file__).resolve().parents[2] / "deploy/slurm/worker.sh"  # it runs the program that PATH or BIFURCATED names
    running = head(make_hub(garden), "--slurm-program", str(example))
    sweep = running.sweep(MODEL, **REQUEST)
    check_results(running, sweep, undisturbed)
    jobs = jobs_of(running, sweep)
    assert len(jobs) == 1, (jobs, outputs(tmp_path), running.log())
    job = jobs[0]
    assert job["workers"] == 2 and job["id"] > 0 and job["attempts"] == 1  # seven tasks, two at once
    workers = {task["worker"] for task in running.get(f"/v1/sweeps/{sweep}/tasks").json()["tasks"]}
    assert workers and all(worker.startswith(f"slurm-{job['id']}_") for worker in workers), outputs(tmp_path)
    assert f"job {job['id']}: " in running.client("show", str(sweep)).stdout
    assert [(one["id"], one["sweep"]) for one in running.get("/v1/jobs").json()["jobs"]] == [(job["id"], sweep)]
    assert re.search(rf"^ *{job['id']} +{sweep} ", running.client("jobs").stdout, re.MULTILINE)
    status = running.get("/v1/status").json()["daemon"]["slurm"]
    assert status["jobs_submitted"] == 1 and status["error"] is None
    assert re.search(r"^bifurcated_slurm_jobs_submitted_total 1$", running.get("/metrics").text, re.MULTILINE)
    # A second sweep finds the workers that wait: nothing is submitted.
    before = cluster.submissions()
    again = running.sweep(MODEL, revisions={"names": ["step64"]})
    assert running.wait(again)["state"] == "done"
    assert cluster.submissions() == before and jobs_of(running, again) == []


def test_jobs_are_killed(
    head: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, cluster: Cluster,
    undisturbed: list[dict[str, Any]], tmp_path: Path,
) -> None:  # fmt: skip
    """Requeued, cancelled, killed, preempted: others take the tasks over."""
    hub = make_hub(garden)
    running = head(hub)
    sweep = running.sweep(MODEL, **REQUEST)
    running.wait(sweep, lambda now: now["state"] == "running")
    hub.set(connection_bps=1e5)  # no task ends within the moment that a worker has to end

    def working() -> list[str]:
        """Elements that run and hold a task; the sweep must not have ended."""
        now = running.get(f"/v1/sweeps/{sweep}").json()
        assert now["state"] in ("planning", "running"), f"{now}\n{outputs(tmp_path)}"
        tasks = running.get(f"/v1/sweeps/{sweep}/tasks?state=claimed").json()["tasks"]
        return [one for one in cluster.running() if any(task["worker"].startswith(f"slurm-{one}@") for task in tasks)]

    def runs() -> set[tuple[str, str]]:
        """What runs, and since when: one that is requeued may soon run again."""
        return {(one["id"], one["start"]) for one in cluster.elements() if one["state"] == "RUNNING"}

    def disturb(how: Callable[[str], object]) -> None:
        found: list[str] = []
        wait_until(lambda: bool(found.extend(working()) or found))
        victims = {one for one in runs() if one[0] == found[0]}
        how(found[0])
        wait_until(lambda: not victims & runs())

    def preempt(_: str) -> None:
        arguments = "--parsable --partition=urgent --nodes=2 --output=/dev/null --wrap=true"
        cluster.run("sbatch", *arguments.split())

    def kill(victim: str) -> None:
        for pid in worker_pids(running.url, f"slurm-{victim}@"):
            os.kill(pid, signal.SIGKILL)

    disturb(preempt)
    disturb(lambda victim: cluster.run("scontrol", "requeue", victim))
    disturb(lambda victim: cluster.run("scancel", victim))
    disturb(kill)
    hub.set(connection_bps=0)
    check_results(running, sweep, undisturbed)
    assert "has been requeued to reclaim resources" in cluster.log()
    db = sqlite3.connect(f"file:{running.db}?mode=ro", uri=True)
    lost = dict(db.execute("SELECT event, count(*) FROM task_events WHERE event IN ('interrupt', 'expire') GROUP BY event"))
    db.close()
    assert lost.get("expire", 0) >= 1  # killed: its lease ran out
    assert lost.get("interrupt", 0) >= 1  # the others had a moment to give their tasks back


def test_a_cancelled_sweep_cancels_its_jobs(
    head: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, cluster: Cluster, tmp_path: Path
) -> None:
    """What a real Slurm says of its jobs, in Chromium: beside the sweep, in the table, and after the sweep was cancelled there."""
    running = head(make_hub(garden, latency_ms=200, connection_bps=1e5))  # too slow to end before it is looked at
    if running.get("/").status == 404:
        pytest.skip("the program was built without the dashboard (libjs-chart.js)")
    with Browser(tmp_path / "browser") as page:
        page.load(running.url)
        sweep = running.sweep(MODEL, **REQUEST)
        wait_until(lambda: len(cluster.running()) == 2)
        card = f"document.querySelector('.sweep[data-id=\"{sweep}\"]')?.textContent"
        (job,) = jobs_of(running, sweep)
        page.wait(f"({card} ?? '').includes('Job {job['id']}: 2 running')")
        page.click("#to-operations")
        page.wait("!document.getElementById('jobs').hidden && document.querySelectorAll('#workers tbody tr').length >= 2")
        cells = "[...document.querySelectorAll('#jobs tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
        page.wait(f"({cells})[0]?.[1] === 'running'")  # the list may be of a moment ago
        ((number, state, workers, of, model, *_),) = page.value(cells)
        assert (number, state, workers, of, model) == (str(job["id"]), "running", "2 running", str(sweep), MODEL)
        facts = page.wait("(text => text.includes('2 running') && text)(document.getElementById('daemon-facts').textContent)")
        assert "Slurm2 running, 0 waiting, at most 2" in facts, facts
        names = page.value("[...document.querySelectorAll('#workers tbody th')].map(one => one.textContent)")
        assert any(name.startswith(f"slurm-{job['id']}_") for name in names), names
        page.screenshot("jobs")
        page.click(f"button[aria-label='Cancel sweep {sweep}']")
        wait_until(lambda: not cluster.elements())
        page.wait("document.querySelector('#jobs tbody .chip')?.textContent === 'ended'")
        assert "2 cancelled" in page.value(cells)[0][2] and not page.messages()
        page.open("about:blank")
    (job,) = jobs_of(running, sweep)
    assert job["state"] == "ended" and job["cancelled"] == 2 and job["ended_at"]
    wait_until(lambda: not worker_pids(running.url))


def test_a_wrong_partition(head: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path) -> None:
    running = head(make_hub(garden), "--slurm-partition", "nowhere")
    sweep = running.sweep(MODEL, **REQUEST)
    end = running.wait(sweep)
    assert end["state"] == "failed"
    assert end["error"]["message"].startswith("slurm: sbatch: invalid partition specified: nowhere"), end
    assert end["jobs"][0]["state"] == "refused" and end["jobs"][0]["id"] is None
    shown = running.client("show", str(sweep))
    assert "invalid partition specified: nowhere" in shown.stdout + shown.stderr


def test_workers_that_cannot_start(
    head: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, cluster: Cluster
) -> None:
    """Arrays that are of no use are not submitted for ever, and the sweep says what Slurm says."""
    running = head(make_hub(garden), "--slurm-program", "/no/such/bifurcated", "--retry-delay-s", "0")
    before = cluster.submissions()
    end = running.wait(running.sweep(MODEL, **REQUEST))
    assert end["state"] == "failed"
    counted = re.search(r"given up after (\d+) failures in a row.*NonZeroExitCode", end["error"]["message"])
    # One more where sbatch fails, too, in the round that finds the fifth.
    assert counted and int(counted[1]) in (5, 6), end
    assert cluster.submissions() - before in (5, 6)


def test_killed_daemons_submit_nothing_twice(
    head: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, cluster: Cluster,
    undisturbed: list[dict[str, Any]],
) -> None:  # fmt: skip
    running = head(make_hub(garden, **SLOW))
    before = cluster.submissions()
    sweep = running.sweep(MODEL, **REQUEST)
    for seconds in (0.0, 0.5):  # in the middle of the submission, and of the work
        wait_until(lambda: cluster.submissions() > before)
        time.sleep(seconds)
        running.kill()
        running.start()
    check_results(running, sweep, undisturbed)
    assert cluster.submissions() == before + 1
    assert len(jobs_of(running, sweep)) == 1
