"""SIGKILL at seeded random moments: started again, the daemon completes the sweep, and nothing shows what happened.

A round is one sweep on a fresh state folder. Its daemon is killed several times: while it starts (migrations, recovery of
the log), while it plans, works and records, and while it stops (checkpoint of the log). After every kill the database must
be sound and nothing half recorded. After the round every task was recorded once, the exported series and all tables of
results equal those of the undisturbed run, and no file lies around that the undisturbed run does not leave. What is swept is
by lot published as branches, as folders of one, as its commits or as repositories, so that plans look in all these places, or as
trainers write it to go on from (trained.py).

With remote workers the daemon has none of its own; two processes work for it, and by lot one of them or the daemon is killed.
What a killed worker held is taken up when its lease is over: leases are short, so that this is soon. The daemon's clock is put
forward after each kill (shim_clock.c), which must cost no living worker its task for long.

With Slurm workers the daemon submits jobs to a real controller and two nodes (tests/slurm), and the daemon or the process of a job
is killed, also while a job is submitted. Leases are short, too. Besides, no array may be submitted that the daemon does not know.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import stage
from stage import PUBLISHED, Daemon, Emulator, Truth, Wrong, need
from trained import CHUNKS, RANKS

from workers import Worker  # tests/e2e

from tests.hub.places import FOLDERS
from tests.slurm.cluster import Cluster, Unavailable, free_ports, worker_pids

KEEPS = ("nothing", "ranges", "files")  # what stays on disk of what is fetched
PLACES = ("start", "work", "stop")
CONNECTION_BPS = {"local": 4e6, "remote": 4e6, "slurm": 4e5}  # a job takes a second to come up; the work must outlast that
AHEAD_S = 3600  # longer than any lease
WAIT_S = 900.0  # against waiting for ever: a submission whose end nobody saw is waited for, too
LATE_MAX = 0.5  # share of kills that may come after the end of the sweep
FRUITLESS_MAX = 4  # jobs killed in a row without a result; after five the daemon gives up, as it should
WORKER_UP = " worker version="
# Where a plan was not the same process's, a task asks which commit the folder's branch has, and keeps that with what it downloads.
BRANCHES = {f"cache/models--{model.replace('/', '--')}/refs/main" for model in (FOLDERS, CHUNKS, RANKS)}


class Victim(Daemon):
    """A daemon that is to be killed."""

    def kill_after(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self.kill)
        timer.start()
        return timer


def ask(victim: Victim, body: dict[str, Any], key: str) -> int | None:
    """Posts the sweep; its number if that was acknowledged."""
    try:
        answer = victim.post("/v1/sweeps", body, {"Idempotency-Key": key})
    except (OSError, ValueError, stage.running.urllib.error.URLError, EOFError) as error:
        need(victim.process.poll() is not None or victim._killed, "no answer from a living daemon:", error)
        return None
    except Exception as error:  # http.client's: the connection broke off
        need(type(error).__module__ == "http.client", repr(error))
        return None
    need(answer.status in (200, 201), answer)
    return answer.json()["id"]


def one_kill(victim: Victim, dice: random.Random, truth: Truth, key: str) -> tuple[str, int | None]:
    """Starts the daemon and kills it; where that was meant to be, and the number of the sweep if it was acknowledged."""
    place = dice.choices(PLACES, (0.2, 0.65, 0.15))[0]
    number = None
    victim.spawn()
    if place == "start":
        time.sleep(dice.random() * truth.extra["start_s"] * 1.5)
        victim.kill()
        return place, number
    victim.await_address()
    timer = victim.kill_after(dice.random() ** 2 * truth.seconds) if place == "work" else None
    number = ask(victim, truth.body, key)
    if timer:
        timer.join()
    else:
        time.sleep(dice.random() * truth.seconds * 0.3)
        victim.process.terminate()
        time.sleep(dice.random() * truth.extra["stop_s"])
        victim.kill()
    return place, number


def stage_of(db: Path) -> str:
    """What the daemon was at when it was killed, by what its database says."""
    try:
        connection = stage.opened(db)
        rows = connection.execute("SELECT state, tasks_claimed, tasks_done FROM sweeps").fetchall()
        connection.close()
    except stage.sqlite3.OperationalError:
        return "before the schema"
    if not rows:
        return "before the sweep"
    state, claimed, done = rows[0]
    return "planning" if state == "planning" else "after the end" if state == "done" else \
        "first tasks" if done == 0 else "later tasks" if claimed else "between tasks"  # fmt: skip


def round_of_kills(programs: dict[str, Path], hub: Emulator, place: Path, truth: Truth, seed: int, kills: int,
                   counts: Counter) -> None:  # fmt: skip
    dice = random.Random(seed)
    options = ["--fetchers", str(dice.randint(1, 4)), "--keep", truth.extra["keep"], "--retry-delay-s", "0"]
    victim = Victim(programs, place, hub.url, options, stage.environment())
    body, key, acknowledged = truth.body, f"round-{seed}", None
    while kills > 0:
        where, number = one_kill(victim, dice, truth, key)
        need(not (acknowledged and number) or number == acknowledged, "an acknowledged sweep was forgotten")
        acknowledged = acknowledged or number
        counts[f"at {where}"] += 1
        counts["kills"] += 1
        at = stage_of(victim.db)
        counts[at] += 1
        kills -= 1
        if at != "before the schema":
            stage.check_sound(victim.db)
            found = stage.half_recorded(victim.db)
            need(not found, "half recorded:", found)
        if at == "after the end":
            break  # there is nothing left to disturb
    victim.start()
    number = ask(victim, body, key)
    need(number and number == (acknowledged or number), "an acknowledged sweep was forgotten")
    check_whole(victim, truth, number)
    need(len(victim.get("/v1/sweeps").json()["sweeps"]) == 1, "the sweep is there twice")
    need(victim.stop() == 0, "exit status", victim.process.returncode)
    check_after(victim, truth)


# ---- remote workers ------------------------------------------------------------------------------


class Crew:
    """A daemon on a fixed port without workers of its own, two remote workers, and the daemon's clock."""

    def __init__(self, programs: dict[str, Path], hub: Emulator, place: Path, shim: Path) -> None:
        self.clock, self.ahead_s = place / "ahead", 0
        place.mkdir()
        self.set_ahead(0)
        env = stage.environment() | {"LD_PRELOAD": str(shim), "PROOF_CLOCK": str(self.clock)}
        options = ["--fetchers", "0", "--retry-delay-s", "0", "--attempts", "100", "--lease-s", "2",
                   "--listen", f"127.0.0.1:{free_ports(1)[0]}"]  # fmt: skip
        self.victim = Victim(programs, place, hub.url, options, env)
        self.victim.start()
        self.workers = [Worker(self.victim, programs["bifurcated"], place / f"worker{number}", env={"LD_PRELOAD": ""})
                        for number in range(2)]  # fmt: skip
        for worker in self.workers:
            worker.start()

    def set_ahead(self, seconds: int) -> None:
        self.ahead_s = seconds
        new = self.clock.with_suffix(".new")
        new.write_text(f"{seconds}\n")
        new.rename(self.clock)

    def end(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()
        if self.victim.process.poll() is None:
            self.victim.kill()


def remote_round(crew: Crew, truth: Truth, seed: int, kills: int, counts: Counter) -> None:
    dice = random.Random(seed)
    victim, body, key = crew.victim, truth.body, f"round-{seed}"
    number = ask(victim, body, key)
    need(number, "the sweep was not acknowledged")
    lines = dict.fromkeys(crew.workers, 1)  # of a worker's log once its newest process takes signals
    for _ in range(kills):
        time.sleep(dice.random() ** 2 * truth.seconds)
        worker = dice.choice(crew.workers)
        is_daemon = dice.random() < 0.4
        at = stage_of(victim.db)
        if is_daemon:
            victim.kill()
            stage.check_sound(victim.db)
            victim.start()
            need(ask(victim, body, key) == number, "an acknowledged sweep was forgotten")
        else:
            worker.kill()
        found = stage.half_recorded(victim.db)
        need(not found, "half recorded:", found)
        if not is_daemon:
            lines[worker] = worker.log().count(WORKER_UP) + 1
            worker.start()
        crew.set_ahead(crew.ahead_s + AHEAD_S)
        counts.update({"kills": 1, "of the daemon" if is_daemon else "of a worker": 1, at: 1})
        if at == "after the end":
            break
    check_whole(victim, truth, number)
    for worker in crew.workers:
        stage.running.wait_until(lambda: worker.log().count(WORKER_UP) >= lines[worker])  # noqa: B023
        status = worker.stop() if worker.process.poll() is None else f"{worker.process.poll()} by itself"
        need(status == 0, "a worker ended with status", status, worker.log()[-800:])
        need(not stage.reports(worker.log()), stage.reports(worker.log()))
    need(victim.stop() == 0, "exit status", victim.process.returncode)
    check_after(victim, truth)


def run_remote_round(programs: dict[str, Path], hub: Emulator, place: Path, truth: Truth, seed: int, kills: int,
                     counts: Counter) -> None:  # fmt: skip
    crew = Crew(programs, hub, place, stage.compile_shim("clock", place.parent))
    try:
        remote_round(crew, truth, seed, kills, counts)
    finally:
        crew.end()


# ---- Slurm's workers -----------------------------------------------------------------------------


def wait_until(holds: Any, *what: Any) -> None:
    limit = time.monotonic() + WAIT_S
    while not holds():
        need(time.monotonic() < limit, *what)
        time.sleep(0.05)


def rows_of(victim: Victim, query: str) -> list[Any]:
    connection = stage.opened(victim.db)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


class Head:
    """A daemon on a fixed port that lets two jobs of the cluster do the work."""

    def __init__(self, programs: dict[str, Path], hub: Emulator, place: Path, cluster: Cluster) -> None:
        self.cluster, self.jobs, self.before = cluster, place / "jobs", cluster.submissions()
        for folder in (self.jobs, place / "tmp"):
            folder.mkdir(parents=True)
        options = {
            "--listen": f"127.0.0.1:{free_ports(1)[0]}", "--fetchers": 0, "--retry-delay-s": 0, "--attempts": 100,
            "--lease-s": 5, "--slurm-workers-max": 2, "--slurm-poll-s": 1, "--slurm-idle-s": 20,
            "--slurm-output": self.jobs / "%A_%a.log",
        }  # fmt: skip
        env = stage.environment() | cluster.env | {"TMPDIR": str(place / "tmp")}
        self.victim = Victim(programs, place, hub.url, [str(one) for pair in options.items() for one in pair], env)
        self.victim.start()

    def wait_for_worker(self) -> bool:
        """Until the process of a job is there; false once the sweep has ended."""
        wait_until(lambda: worker_pids(self.victim.url) or stage_of(self.victim.db) == "after the end",
                   "no worker of a job comes up:", self.victim.log()[-3000:])  # fmt: skip
        return stage_of(self.victim.db) != "after the end"

    def kill_worker(self, dice: random.Random) -> bool:
        pids = worker_pids(self.victim.url)
        if not pids:
            return False
        try:
            os.kill(dice.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def check_jobs(self) -> None:
        """Ends the workers that wait for more: they end well, and no array was submitted behind the daemon's back."""
        self.cluster.run("scancel", "--me")
        wait_until(lambda: not self.cluster.elements() and not worker_pids(self.victim.url), "jobs do not end")
        live = "SELECT id FROM jobs WHERE state NOT IN ('ended', 'refused')"
        wait_until(lambda: not rows_of(self.victim, live), "the daemon does not see the end of its jobs:", self.victim.log()[-3000:])
        known = rows_of(self.victim, "SELECT count(DISTINCT job_id) FROM jobs WHERE job_id > 0")[0][0]
        submitted = self.cluster.submissions() - self.before
        need(known == submitted, submitted, "arrays were submitted, the daemon knows", known)
        for path in self.jobs.glob("*.log"):
            lines = path.read_text(errors="replace").splitlines()  # Slurm itself writes "*** JOB 2 CANCELLED ... ***"
            report = stage.reports("\n".join(line for line in lines if not line.startswith("slurmstepd")))
            need(not report, path.name, report)

    def end(self) -> None:
        if self.victim.process.poll() is None:
            self.victim.kill()
        self.cluster.run("scancel", "--me")
        wait_until(lambda: not self.cluster.elements(), "jobs do not end")


def slurm_kills(head: Head, truth: Truth, dice: random.Random, ask_again: Any, kills: int, counts: Counter) -> None:
    victim, fruitless, done_before = head.victim, 0, 0
    while kills > 0:
        is_daemon = dice.random() < 0.5 or fruitless == FRUITLESS_MAX
        if not is_daemon and not head.wait_for_worker():
            return
        time.sleep(dice.random() ** 2 * truth.seconds)
        at, done = stage_of(victim.db), rows_of(victim, "SELECT tasks_done FROM sweeps")[0][0]
        if is_daemon:
            at += ", a submission open" * bool(rows_of(victim, "SELECT 1 FROM jobs WHERE state = 'submitting'"))
            victim.kill()
            stage.check_sound(victim.db)
            victim.start()
            ask_again()
        elif not head.kill_worker(dice):
            continue
        found = stage.half_recorded(victim.db)
        need(not found, "half recorded:", found)
        fruitless = 0 if is_daemon or done > done_before else fruitless + 1
        done_before = done
        counts.update({"kills": 1, "of the daemon" if is_daemon else "of a worker": 1, at: 1})
        kills -= 1
        if at.startswith("after the end"):
            return


def run_slurm_round(programs: dict[str, Path], hub: Emulator, place: Path, truth: Truth, seed: int, kills: int,
                    counts: Counter, cluster: Cluster) -> None:  # fmt: skip
    head = Head(programs, hub, place, cluster)
    victim, body, key = head.victim, truth.body, f"round-{seed}"
    try:
        number = ask(victim, body, key)
        need(number, "the sweep was not acknowledged")
        ask_again = lambda: need(ask(victim, body, key) == number, "an acknowledged sweep was forgotten")  # noqa: E731
        slurm_kills(head, truth, random.Random(seed), ask_again, kills, counts)
        check_whole(victim, truth, number)
        head.check_jobs()
        need(victim.stop() == 0, "exit status", victim.process.returncode)
        check_after(victim, truth)
    finally:
        head.end()


ROUNDS = {"local": round_of_kills, "remote": run_remote_round, "slurm": run_slurm_round}


# ---- all -----------------------------------------------------------------------------------------


def check_whole(victim: Victim, truth: Truth, number: int) -> None:
    end = victim.wait(number)
    need(end["state"] == "done" and end["progress"]["done"] == truth.tasks, "the sweep ended as", end)
    stage.check_equal(truth, victim)


def check_after(victim: Victim, truth: Truth) -> None:
    stage.check_sound(victim.db)
    need(stage.check_history(victim.db) == truth.tasks, "not every task was recorded once")
    need(not stage.half_recorded(victim.db), "half recorded at the end")
    report = stage.reports(victim.log())
    need(not report, "in the log:", report)
    more = stage.leftovers(victim) - truth.files - BRANCHES
    need(not more, "files that the undisturbed run does not leave:", sorted(more))


def prepare(programs: dict[str, Path], hub: Emulator, place: Path, published: str, keep: str) -> Truth:
    body, name = stage.published_request(published), f"{published}-{keep}"
    truth = stage.undisturbed(programs, hub, place / f"undisturbed-{name}", body, "--keep", keep)
    daemon = Daemon(programs, place / f"timed-{name}", hub.url, [], stage.environment())
    begin = time.monotonic()
    daemon.start()
    truth.extra |= {"keep": keep, "start_s": time.monotonic() - begin}
    begin = time.monotonic()
    daemon.stop()
    truth.extra["stop_s"] = max(0.1, time.monotonic() - begin)
    return truth


def run(moments: int, seed: int, workers: str = "local", preset: str = "release", folder: Path | None = None,
        published: str = "") -> str:  # fmt: skip
    """Kills so often; the summary. Raises Wrong at the first thing that must not be, Skipped where there is no Slurm."""
    stage.running.SWEEP_S = WAIT_S
    with ExitStack() as stack:
        more = []
        if workers == "slurm":
            try:
                more = [stack.enter_context(Cluster())]
            except Unavailable as reason:
                raise stage.Skipped(f"no kills with Slurm workers: {reason}") from reason
        programs = stage.programs(folder or stage.build(preset, "bifurcated", "bifurcate"))
        place = stack.enter_context(stage.workplace("kill"))
        hub = stack.enter_context(Emulator(stage.published_hub(place), latency_ms=2, connection_bps=CONNECTION_BPS[workers]))
        return rounds(programs, hub, place, moments, seed, workers, [published] if published else list(PUBLISHED), more)


def rounds(programs: dict[str, Path], hub: Emulator, place: Path, moments: int, seed: int, workers: str, ways: list[str],
           more: list[Any]) -> str:  # fmt: skip
    counts, asked, truths = Counter(), Counter(), {}
    while counts["kills"] < moments:
        number = asked.total()
        dice = random.Random(seed + number)
        kills, way = min(dice.randint(3, 9), moments - counts["kills"]), dice.choice(ways)
        keep = dice.choice(KEEPS if workers == "local" else KEEPS[:1])
        try:
            if (way, keep) not in truths:
                truths[way, keep] = prepare(programs, hub, place, way, keep)
                same = [(one.rows, one.tables) for (other, _), one in truths.items() if other == way]
                need(same[0] == same[-1], "undisturbed runs differ")
            ROUNDS[workers](programs, hub, place / f"round{number}", truths[way, keep], seed + number, kills, counts, *more)
        except (Wrong, AssertionError) as error:
            raise Wrong(f"seed {seed + number}, {kills} kills, {way}, {workers} workers, after {counts['kills']} kills: {error}") from error
        stage.shutil.rmtree(place / f"round{number}")
        asked[way] += 1
        print(f"   {counts['kills']} kills, {number + 1} sweeps", flush=True)
    detail, of = (", ".join(f"{count} {name}" for name, count in one.most_common() if name != "kills") for one in (counts, asked))
    need(counts["after the end"] <= max(3, counts["kills"] * LATE_MAX), "most kills came when there was nothing left to disturb:", detail)
    return (f"{counts['kills']} kills with {workers} workers in {asked.total()} sweeps ({of}; seeds {seed} to {seed + number}), "
            f"all completed and equal: {detail}")  # fmt: skip
