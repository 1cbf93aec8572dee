"""The daemon and its workers under the thread sanitizer: sweeps, polls, event streams, broken connections, cancelled sweeps,
moved branches, hub faults, watches and their webhooks, remote workers that come and go, jobs of a real Slurm, signals and a
stop in mid-work, all at once. A report is a failure, and so is a part that did not take part.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import busy
import stage
from receiver import Receiver  # tests/e2e
from stage import Daemon, Emulator, need
from workers import Worker  # tests/e2e

from tests.slurm.cluster import Cluster, Unavailable, free_ports

# What is not ours and not built for the sanitizer, so that it does not see how it is synchronised: OpenBLAS, beside what the unit tests
# pass over.
SUPPRESSIONS = (Path(__file__).parents[1] / "tsan.txt").read_text() + """\
called_from_lib:libopenblas
race:libopenblas
"""
REMOTE = 2  # workers
LEASE_S = 5  # that of a killed worker ends soon
WORKER_UP = " worker version="


class Crew:
    """Remote workers beside a daemon. `come_and_go` ends one of them, kindly or not, and starts it again."""

    def __init__(self, daemon: Daemon, program: Path, place: Path) -> None:
        self.workers = [Worker(daemon, program, place / f"worker{number}", "--threads", "2") for number in range(REMOTE)]
        for worker in self.workers:
            worker.start()

    def come_and_go(self, dice: random.Random) -> None:
        worker, other = dice.sample(self.workers, 2)
        if dice.random() < 0.3:
            worker.kill()
            worker.start()
        else:
            ups = worker.log().count(WORKER_UP)
            self._end(worker)
            worker.start()
            stage.running.wait_until(lambda: worker.log().count(WORKER_UP) > ups)
        time.sleep(dice.random() * 2)
        need(other.process.poll() is None, "a worker ended by itself:", other.log()[-800:])

    @staticmethod
    def _end(worker: Worker) -> None:
        """One that is just coming up does not take signals yet."""
        status = worker.stop()
        need(status in (0, -15), "a worker ended with status", status, worker.log()[-800:])

    def check_end(self) -> None:
        for worker in self.workers:
            self._end(worker)
            need(not stage.reports(worker.log()), "in the log of a worker:", stage.reports(worker.log()), worker.log_path)

    def end(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()


class Round:
    """One daemon, and what works for it and with it."""

    def __init__(self, folder: Path, place: Path, hub: Emulator, number: int, env: dict[str, str], cluster: Cluster | None) -> None:
        self.place, self.hub, self.cluster = place, hub, cluster
        self.jobs = place / "jobs"
        self.jobs.mkdir(parents=True)
        keep = ("nothing", "ranges", "files")[number % 3]
        options = {
            "--listen": f"127.0.0.1:{free_ports(1)[0]}", "--fetchers": 2, "--keep": keep, "--retry-delay-s": 0, "--attempts": 50,
            "--threads": 3, "--request-budget": 0, "--lease-s": LEASE_S,
        }  # fmt: skip
        if cluster:
            options |= {"--slurm-workers-max": 2, "--slurm-poll-s": 1, "--slurm-idle-s": 10, "--slurm-output": self.jobs / "%A_%a.log"}
            env = env | cluster.env
        self.programs = stage.programs(folder)
        self.daemon = Daemon(self.programs, place, hub.url, [str(one) for pair in options.items() for one in pair], env)

    def run(self, seed: int) -> Counter:
        with ExitStack() as stack:
            receiver = Receiver()
            stack.callback(receiver.stop)
            self.daemon.start()
            crew = Crew(self.daemon, self.programs["bifurcated"], self.place)
            stack.callback(crew.end)
            if self.cluster:
                stack.callback(self.cluster.run, "scancel", "--me", check=False)
            with busy.Busy(self.daemon, self.hub, seed) as beside:
                beside.receiver = receiver
                beside.start(beside.poll, beside.poll, beside.listen, beside.hang_up)
                beside.start(beside.spoil, beside.move, beside.hang_up_signal, beside.cancel, beside.watch, crew.come_and_go, pause_s=0.5)
                for _ in range(2):
                    busy.sweep_until_done(self.daemon, stage.request(documents=10))
            counts = Counter(beside.counts) + self.took_part(receiver)
            self.daemon.post("/v1/sweeps", stage.request(documents=20))  # and a stop in the middle of it
            status = self.daemon.stop()
            report = stage.reports(self.daemon.log())
            need(not report and status == 0, f"status {status}, {report}; see {self.daemon.log_path}")
            crew.check_end()
            counts["workers of jobs"] += self.check_jobs()
            return counts

    def took_part(self, receiver: Receiver) -> Counter:
        """What the watches and the workers did; each of them did something."""
        connection = stage.opened(self.daemon.db)
        try:
            by = Counter({"remote": 0, "local": 0})
            for (worker,) in connection.execute("SELECT worker FROM task_events WHERE event = 'record'"):
                by["slurm" if worker.startswith("slurm-") else "local" if worker.startswith("local/") else "remote"] += 1
        finally:
            connection.close()
        metrics = self.daemon.get("/metrics").text
        need(receiver.messages, "no webhook was sent; watches:", self.daemon.get("/v1/watches").text)
        need(by["remote"] and by["local"], "not everybody worked:", by, metrics[-2000:])
        return Counter({f"tasks of {name} workers": count for name, count in by.items()}) + Counter(webhooks=len(receiver.messages))

    def check_jobs(self) -> int:
        """No report of a worker that Slurm ran; how many there were."""
        if not self.cluster:
            return 0
        self.cluster.run("scancel", "--me")
        stage.running.wait_until(lambda: not self.cluster.elements())
        logs = [path.read_text(errors="replace") for path in self.jobs.glob("*.log")]
        for text in logs:
            report = stage.reports("\n".join(line for line in text.splitlines() if not line.startswith("slurmstepd")))
            need(not report, "in the log of a job:", report, text[-3000:])
        ups = sum(text.count(WORKER_UP) for text in logs)
        need(ups, "no job came up:", self.daemon.log()[-2000:])
        return ups


def run(rounds: int, seed: int = 1, preset: str = "tsan", folder: Path | None = None) -> str:
    folder = folder or stage.build(preset, "bifurcated", "bifurcate")
    stage.running.SWEEP_S = 600.0
    counts: Counter = Counter()
    with ExitStack() as stack:
        without = ""
        cluster = None
        try:
            cluster = stack.enter_context(Cluster())
        except Unavailable as reason:
            without = f"; without Slurm's workers: {reason}"
        place = stack.enter_context(stage.workplace("tsan"))
        hub = stack.enter_context(Emulator(stage.GARDEN))
        (place / "suppressions").write_text(SUPPRESSIONS)
        env = stage.environment()
        env["TSAN_OPTIONS"] = f"suppressions={place}/suppressions:halt_on_error=0:exitcode=99:second_deadlock_stack=1"
        for number in range(rounds):
            hub.restore()
            try:
                counts += Round(folder, place / f"round{number}", hub, number, env, cluster).run(seed + 100 * number)
            except (stage.Wrong, AssertionError) as error:
                raise stage.Wrong(f"round {number}, seed {seed}: {error}") from error
    detail = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return f"{rounds} rounds of 2 sweeps beside {detail}: no report (seed {seed}){without}"
