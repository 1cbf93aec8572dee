"""Fault injection: every place from which the daemon writes files, starts threads or allocates memory fails once.

A counting run finds the places (call stacks; shim_faults.c). Then, for each place and error, a daemon on a fresh state
folder sweeps while that one call fails. Allowed outcomes:

    right        the sweep is done and its series is the undisturbed one
    closed       a connection was closed because there was no memory to answer, and the same request was answered then;
                 all the rest was right
    clear error  the daemon refused to start with status 1 and a reason, or the request was answered with a problem that
                 has a reason, or the sweep or its revisions failed with a code and a message; what was measured is right
    killed       only where the fault is SIGKILL

and then a start without faults must heal: the same request is done, series and tables are those of the undisturbed run.
Only where an allocation failed and the tables, the files and the history are those of the undisturbed run already ("whole"),
there is nothing to heal, and that start is left out. Signals, other statuses, reports of sanitizers, hangs and wrong numbers
are failures.

A point takes half a second of one processor and waits for two more, so several run beside each other. With a journal, a run that was
cut off goes on where it was, as long as the program is the same.
"""

from __future__ import annotations

import errno
import hashlib
import random
import subprocess
import time
import zlib
from collections import Counter, defaultdict
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from pathlib import Path
from typing import Any
from urllib.error import URLError

import stage
from stage import Daemon, Emulator, Truth, Wrong, need

NAMES = ["step0", "step1", "step2", "step128"]  # both formats, shards, equal content; short
STEPS = (0, 16, 128)  # of what is no branches
OPTIONS = ["--fetchers", "2", "--keep", "files", "--retry-delay-s", "0", "--attempts", "2", "--threads", "2"]
HANG_S = 120.0  # longer than a lease: a task whose end could not be recorded is taken up when its lease is over
PATIENCE_S = 4.0  # with a disk that stays full: so long until the sweep may go on waiting for room
MISSED = "did not come up"
MISSED_MAX = 0.1  # share of points that need not come up: threads do not do the same together in every run
FILE_ERRORS = {
    "open": [errno.ENOSPC, errno.EIO, errno.EMFILE, "full"],
    "write": [errno.ENOSPC, errno.EIO, "short", "full"],
    "sync": [errno.EIO, errno.ENOSPC],
    "size": [errno.ENOSPC, errno.EIO],
    "name": [errno.EIO, errno.ENOSPC],
    "read": [errno.EIO],
    "thread": [errno.EAGAIN],
    "memory": [errno.ENOMEM],
}
KILLS = {"open": ["kill", "late"], "write": ["kill", "torn", "late"], "sync": ["kill", "late"],
         "size": ["kill", "late"], "name": ["kill", "late"]}  # fmt: skip


@dataclass(frozen=True)
class Place:
    kind: str
    name: str  # hash
    count: int
    caller: str  # module of the call
    frames: tuple[str, ...]

    @property
    def innermost(self) -> str:
        """The frame that calls; empty where that is in no module that was there at the start."""
        return self.frames[0] if self.frames and self.caller != "?" else ""


@dataclass(frozen=True)
class Point:
    place: Place
    nth: int
    error: int | str

    @property
    def spec(self) -> str:
        return f"{self.place.kind}:{self.place.name}:{self.nth}:{self.error}"

    @property
    def is_kill(self) -> bool:
        return self.error in ("kill", "late", "torn")


def read_places(report: Path) -> list[Place]:
    places = []
    for line in report.read_text().splitlines():
        words = line.split()
        if words[0] == "place":
            places.append(Place(words[1], words[2], int(words[3]), words[4], tuple(words[5:])))
    return places


class Stage:
    """The programs with the shim, one hub, and the answer that is right."""

    def __init__(self, folder: Path, place: Path, hub: Emulator, published: str = "branches") -> None:
        self.folder, self.place, self.hub = folder, place, hub
        self.programs = stage.programs(folder)
        self.shim = stage.compile_shim("faults", place)
        self.body = stage.published_request(published, documents=3)
        if published == "branches":
            self.body["revisions"] = {"names": NAMES}
        suppressions = place / "suppressions"
        # The shim stands between the loader, whose functions have no names in Debian 13, and its own list; libcrypto leaves
        # blocks behind when its start has no memory.
        suppressions.write_text("leak:dl_open_worker_begin\nleak:ld-linux\nleak:libcrypto.so\n")
        self.env = stage.environment() | {
            "LSAN_OPTIONS": f"suppressions={suppressions}:print_suppressions=0",
            "MALLOC_PERTURB_": "165",
            "MALLOC_CHECK_": "3",
        }
        self.env["ASAN_OPTIONS"] += ":verify_asan_link_order=0:allocator_may_return_null=1"
        self.truth = stage.undisturbed(self.programs, hub, place / "undisturbed", self.body, *OPTIONS)

    def daemon(self, place: Path, fault: str | None = None, caller: str = "") -> Daemon:
        env = dict(self.env)
        if fault is not None:
            env |= {"LD_PRELOAD": str(self.shim), "PROOF_REPORT": str(place / "report"), "PROOF_FAULT": fault}
        if caller:
            env["PROOF_CALLER"] = caller
            if "libcrypto" in caller:  # which has no frame pointers: the fast way would not see whose blocks they are
                env["ASAN_OPTIONS"] += ":fast_unwind_on_malloc=0"
        return Daemon(self.programs, place, self.hub.url, OPTIONS, env)

    def places(self) -> list[Place]:
        """Of two counting runs: what threads happen to do together differs a little between runs."""
        found: dict[str, Place] = {}
        for number in range(2):
            daemon = self.daemon(self.place / f"counting{number}", "")
            daemon.start()
            end = daemon.wait(stage.post(daemon, self.body))
            need(end["state"] == "done", end)
            use_api(Client(daemon, False), self.body["model"])
            daemon.check_end()
            for one in read_places(daemon.state.parent / "report"):
                found.setdefault(one.name, one)
        return list(found.values())


class Client:
    """Asks, and if there was no memory for an answer, once more."""

    def __init__(self, daemon: Daemon, may_close: bool) -> None:
        self.daemon, self.may_close, self.was_closed = daemon, may_close, False

    def request(self, method: str, path: str, value: Any = None) -> stage.Answer:
        try:
            return self.daemon.request(method, path, value)
        except (ConnectionResetError, RemoteDisconnected, IncompleteRead, URLError):
            if not self.may_close or self.was_closed or self.daemon.process.poll() is not None:
                raise
            self.was_closed = True
            return self.daemon.request(method, path, value)

    def get(self, path: str) -> stage.Answer:
        return self.request("GET", path)


def use_api(client: Client, model: str) -> list[Any]:
    """Reads what people read; every answer is complete or says why not."""
    answers = []
    for path in (f"/v1/models/{model}/revisions?format=csv", "/v1/models", "/metrics", f"/v1/models/{model}/audit"):
        answer = client.get(path)
        if not check_answer(answer):
            answers.append(answer)
    return answers


def check_answer(answer: stage.Answer, right: int = 200) -> bool:
    """Whether it is the right one; otherwise it must say why not."""
    if answer.status == right:
        return True
    need(answer.status in (500, 503, 507) and answer.json().get("detail"), "unclear answer:", answer)
    return False


def follow(client: Client, number: int, point: Point) -> tuple[dict[str, Any], bool]:
    """The sweep once it has ended, or waits for a disk that stays full and says so; whether all answers were right."""
    begin, is_right = time.monotonic(), True
    while True:
        answer = client.get(f"/v1/sweeps/{number}")
        seconds = time.monotonic() - begin
        if check_answer(answer):
            sweep = answer.json()
            is_waiting = point.error == "full" and seconds > PATIENCE_S and "free disk space" in client.daemon.log()
            if sweep["state"] not in ("planning", "running") or is_waiting:
                return sweep, is_right
        else:
            is_right = False
        if seconds >= HANG_S:
            need(False, f"the sweep does not end within {HANG_S} s:", answer, stage.running.stacks(client.daemon.process))
        time.sleep(0.05)


def watch(daemon: Daemon, point: Point, body: dict[str, Any], truth: Truth) -> str:
    """One sweep of a daemon in which something fails: "right" or "clear error". Raises Wrong."""
    client = Client(daemon, point.place.kind == "memory")
    try:
        answer = client.request("POST", "/v1/sweeps", body)
        if not check_answer(answer, 201):
            return "clear error"
        end, is_right = follow(client, answer.json()["id"], point)
        answers = use_api(client, body["model"]) + ([] if is_right else [answer])
        rows = stage.exported(client, body["model"]) if not answers else {}
    except (OSError, ValueError, HTTPException) as error:
        need(False, f"no answer ({error!r}); exit status {daemon.process.poll()}")
    for name, row in rows.items():
        for key, value in row.items():
            right = truth.rows[name][key]
            # what failed leaves a gap, what refers to it, and its reason beside what did not fail; never another number
            is_reason = key in ("error", "error_code") and not row["perplexity"]
            need(value == right or value == "" or is_reason or key in ("same_as", "lag1_reference", "reference"),
                 f"wrong number: {name}.{key} is {value} and not {right}")  # fmt: skip
    if end["state"] in ("planning", "running"):
        return "clear error"  # in the log; the disk is still full
    if end["state"] == "done":
        gaps = "" if answers else stage.differences(truth, rows)
        need(not gaps or stage.cautions(daemon.db), "silently not the undisturbed series:", gaps)
        return "clear error" if gaps or answers else "closed" if client.was_closed else "right"
    told = [end["error"]] + [one for one in end["errors"]]
    need(all(one and one["code"] and one["message"] for one in told), "failed without a reason:", end)
    return "clear error"


def reaction(daemon: Daemon, point: Point, body: dict[str, Any], truth: Truth) -> str:
    """Starts a daemon with a fault in it, sweeps, stops it."""
    daemon.spawn()
    try:
        daemon.await_address()
    except AssertionError:
        status = daemon.process.poll()
        if point.is_kill and status == -9:
            return "killed"
        need(status == 1 and "cannot start" in daemon.log() or status == 2 and daemon.log().strip(),
             f"status {status} at the start")  # fmt: skip
        return "clear error"
    try:
        outcome = watch(daemon, point, body, truth)
    except Exception:
        if point.is_kill and daemon.process.wait(HANG_S) == -9:
            return "killed"
        raise
    daemon.process.terminate()
    try:
        status = daemon.process.wait(HANG_S)
    except subprocess.TimeoutExpired:
        told = stage.running.stacks(daemon.process)
        daemon.kill()
        raise Wrong(f"does not stop\n{told}") from None
    if point.is_kill and status == -9:
        return "killed"
    need(status == 0, f"exit status {status}")
    return outcome


def is_whole(scene: Stage, daemon: Daemon) -> bool:
    """Whether a stopped daemon left exactly what the undisturbed run leaves: tables, files, histories."""
    if not daemon.db.exists() or stage.leftovers(daemon) != scene.truth.files or stage.tables(daemon.db) != scene.truth.tables:
        return False
    stage.check_sound(daemon.db)
    stage.check_history(daemon.db)
    return True


def heal(scene: Stage, healed: Daemon) -> None:
    """The next start, without faults: the same request is done, and everything is as if nothing had been."""
    healed.log_path = healed.log_path.with_name("log.healed")
    healed.start()
    end = healed.wait(stage.post(healed, scene.body))
    need(end["state"] == "done", "does not heal:", end)
    stage.check_equal(scene.truth, healed)
    healed.check_end()
    stage.check_sound(healed.db)
    stage.check_history(healed.db)


def one_point(scene: Stage, point: Point, number: int) -> str:
    """What the daemon did, or that the fault did not come to happen. Heals, and raises Wrong if anything is not right."""
    place = scene.place / f"point{number}"
    daemon = scene.daemon(place, point.spec, point.place.innermost)
    healed = scene.daemon(place)
    try:
        outcome = reaction(daemon, point, scene.body, scene.truth)
        found = stage.reports(daemon.log())
        need(not found, "in the log:", found)
        happened = "\nfault " in "\n" + (place / "report").read_text() if (place / "report").exists() else False
        need(happened or outcome != "closed", "a connection was closed, and not for lack of memory")
        if point.place.kind == "memory" and outcome in ("right", "closed") and is_whole(scene, daemon):
            outcome += " and whole"
        else:
            heal(scene, healed)
    except (Wrong, AssertionError) as error:
        log = daemon.log()[-1500:] if daemon.log_path.exists() else ""
        raise Wrong(f"{point.spec}: {str(error)[:9000]}\n   place: {describe(point.place, scene.folder)}\n   log: {log}") from error
    finally:
        for one in (daemon, healed):
            if one.process and one.process.poll() is None:
                one.kill()
    stage.shutil.rmtree(place)
    return outcome if happened or not outcome.startswith("right") else MISSED


def describe(place: Place, folder: Path) -> str:
    """The functions of our own program on the stack, innermost first."""
    offsets = [one.split("+")[1] for one in place.frames if one.startswith("main+")]
    done = subprocess.run(["addr2line", "-f", "-e", str(folder / "bifurcated"), *offsets], capture_output=True, text=True)
    names = [one for one in done.stdout.splitlines()[::2] if one not in ("main", "_start")]
    return f"{place.kind} in {place.caller}, from {' < '.join(names[:8])}"


def within(places: list[Place], folder: Path, function: str) -> list[Place]:
    """The places on whose stack a function of our own is whose name has this in it."""
    offsets = sorted({frame.split("+")[1] for place in places for frame in place.frames if frame.startswith("main+")})
    done = subprocess.run(["addr2line", "-f", "-e", str(folder / "bifurcated")], input="\n".join(offsets), capture_output=True, text=True)
    matching = {f"main+{offset}" for offset, name in zip(offsets, done.stdout.splitlines()[::2], strict=True) if function in name}
    found = [place for place in places if matching.intersection(place.frames)]
    need(found, f"{function}: no place that may fail is within such a function")
    return found


def points_of(places: list[Place], seed: int, kinds: tuple[str, ...], budget: int | None, shard: tuple[int, int] = (1, 1)) -> list[Point]:
    """All errors at the first call from each place, and one error at a later call; of these the I-th of N parts, which does not
    depend on what else a counting run saw; of that at most `budget` points, by lot. The first calls come first."""
    points = []
    for place in sorted(places, key=lambda one: one.name):
        if place.kind not in kinds:
            continue
        dice = random.Random(f"{seed} {place.name}")
        errors = FILE_ERRORS[place.kind] + KILLS.get(place.kind, [])
        mine = [Point(place, 1, error) for error in errors]
        if place.count > 1:
            mine.append(Point(place, dice.randint(2, place.count), dice.choice(errors)))
        part, parts = shard
        points += [one for number, one in enumerate(mine) if (number + zlib.crc32(place.name.encode())) % parts == part - 1]
    random.Random(seed).shuffle(points)
    return sorted(points[:budget], key=lambda one: one.nth > 1)


class Journal:
    """The points that were right, one line each; kept in a file if there is one, and read again if it is of the same program
    and the same way to publish."""

    def __init__(self, path: Path | None, program: Path, published: str = "branches") -> None:
        self.path, self.outcomes = path, {}
        self.digest = hashlib.sha256(program.read_bytes() + published.encode()).hexdigest()[:16]
        for line in path.read_text().splitlines() if path and path.exists() else []:
            words = line.split("\t")
            if len(words) == 3 and words[0] == self.digest:  # a line may have been cut off
                self.outcomes[words[1]] = words[2]

    def add(self, point: Point, outcome: str) -> None:
        self.outcomes[point.spec] = outcome
        if self.path:
            with open(self.path, "a") as file:
                file.write(f"{self.digest}\t{point.spec}\t{outcome}\n")


def sweep_points(scene: Stage, points: list[Point], journal: Journal, jobs: int) -> tuple[dict[str, Counter], list[str]]:
    """Runs the points, `jobs` at a time; counts per kind, and what went wrong."""
    counts: dict[str, Counter] = defaultdict(Counter)
    wrong: list[str] = []

    def note(point: Point, outcome: str) -> None:
        counts["kill" if point.is_kill else point.place.kind].update(("points", outcome))

    left = []
    for point in points:
        if point.spec in journal.outcomes:
            note(point, journal.outcomes[point.spec])
        else:
            left.append(point)
    if len(left) < len(points):
        print(f"   {len(points) - len(left)} points are in the journal", flush=True)
    waiting, running = iter(enumerate(left)), {}
    with ThreadPoolExecutor(jobs) as pool:
        done = 0
        while True:
            while len(running) < jobs and (entry := next(waiting, None)):
                running[pool.submit(one_point, scene, entry[1], entry[0])] = entry[1]
            if not running:
                return counts, wrong
            for future in wait(running, return_when=FIRST_COMPLETED)[0]:
                point = running.pop(future)
                outcome = result_of(future, wrong)
                note(point, outcome)
                if outcome != "WRONG":
                    journal.add(point, outcome)
                done += 1
                if done % 25 == 0:  # what was found so far, should the run be cut off
                    print(f"   {done} of {len(left)} points: {summary(counts)}", flush=True)


def result_of(future: Future[str], wrong: list[str]) -> str:
    try:
        return future.result()
    except Exception as error:  # of one point; the others are run all the same
        wrong.append(str(error) if isinstance(error, Wrong) else repr(error))
        print(f"   {wrong[-1]}", flush=True)
        return "WRONG"


def summary(counts: dict[str, Counter]) -> str:
    parts = []
    for kind, one in sorted(counts.items()):
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(one.items()) if name not in ("points",))
        parts.append(f"{kind} {one['points']} ({outcomes})")
    return "; ".join(parts)


def run(files: int | None = None, memory: int | None = None, seed: int = 1, preset: str = "release",
        folder: Path | None = None, shard: tuple[int, int] = (1, 1), function: str = "", jobs: int = 2,
        journal: Path | None = None, published: str = "branches") -> str:  # fmt: skip
    """`files`, `memory`: how many points, drawn by lot (files and threads; allocations); None is all of them, of the shard
    and within a function."""
    folder = folder or stage.build(preset, "bifurcated", "bifurcate")
    stage.running.SWEEP_S = stage.running.START_S = HANG_S
    with stage.workplace("faults") as place, Emulator(stage.published_hub(place, STEPS)) as hub:
        scene = Stage(folder, place, hub, published)
        places = within(scene.places(), folder, function) if function else scene.places()
        points = points_of(places, seed, tuple(set(FILE_ERRORS) - {"memory"}), files, shard)
        points += points_of(places, seed, ("memory",), memory, shard)
        found = Counter(one.kind for one in places)
        print("   places: " + ", ".join(f"{count} {kind}" for kind, count in sorted(found.items())) +
              f"; {len(points)} points chosen", flush=True)  # fmt: skip
        counts, wrong = sweep_points(scene, points, Journal(journal, scene.programs["bifurcated"], published), jobs)
        total = sum(one["points"] for one in counts.values())
        part = (f", shard {shard[0]}/{shard[1]}" if shard[1] > 1 else "") + (f", within {function}" if function else "")
        text = f"{total} points of {sum(found.values())} places ({published}, seed {seed}, {folder.name} build{part})"
        missed = sum(one[MISSED] for one in counts.values())
        need(missed <= max(3, total * MISSED_MAX), f"{missed} of {total} faults did not come up, so nothing was shown: {summary(counts)}")
        need(not wrong, f"{len(wrong)} points went wrong, the first: {wrong[:1]}; {text}: {summary(counts)}")
    return f"{text}, each right, or healed by the next start: {summary(counts)}"
