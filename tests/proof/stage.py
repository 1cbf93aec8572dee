"""What the parts share: the programs, the emulated hub, one request, and what its undisturbed answer is.

A `Truth` is what one sweep leaves behind when nothing disturbs it. Every part disturbs the same sweep in its own way and
compares: the exported series digit for digit, and the tables of results row for row, by what their rows mean (digests and
names instead of row numbers), so that a result that is there twice is a difference, too.
"""

from __future__ import annotations

import atexit
import csv
import fcntl
import io
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Iterator

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/e2e")]

import running  # noqa: E402  (tests/e2e)
import trained  # noqa: E402
from running import SANITIZER  # noqa: E402

from tests.hub import Emulator  # noqa: E402
from tests.hub.places import COMMITS, FOLDERS, RUN, STEPS, write_root  # noqa: E402

MODEL = "garden/neox-tiny"
GARDEN = ROOT / "tests/fixtures/garden/hub"
# Both file formats, shards, equal content under two names, and a branch that serves another one's weights.
NAMES = ["step0", "step1", "step2", "step128", "step3000", "step5000", "step14000"]
# How a run is published: its model, and which of its revisions are asked for; without, the plan looks for them itself; None is left out.
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "branches": (MODEL, {"revisions": {"names": NAMES}}),
    "folders": (FOLDERS, {}),
    "commits": (COMMITS, {}),
    "repositories": ("garden/run", {"revisions": {"rule": f"hf://{RUN}{{step}}"}}),
    "chunks": (trained.CHUNKS, {}),
    "ranks": (trained.RANKS, {"metrics": ["statistics"], "dataset": None, "limit": None}),  # which are not scored
}
VOLATILE = {"first_seen_at", "bytes_fetched", "measured_at"}  # columns that differ between equal runs
WAIT_S = 240.0  # against waiting for ever; nothing fails on a time below


class Wrong(Exception):
    """What must not happen; the text says what and where."""


class Skipped(Exception):
    """What a part needs is not there; the text says what."""


def need(holds: Any, *what: Any) -> None:
    if not holds:
        raise Wrong(" ".join(str(one) for one in what))


def request(names: list[str] | None = None, documents: int = 10, **more: Any) -> dict[str, Any]:
    """The body of a sweep that measures statistics and perplexity."""
    body: dict[str, Any] = {"model": MODEL, "metrics": ["statistics", "perplexity"], "limit": documents}
    body["dataset"] = "garden/lambada_garden:data/test.jsonl"
    if names:
        body["revisions"] = {"names": names}
    return body | more


def published_request(kind: str, documents: int = 10) -> dict[str, Any]:
    model, asked = PUBLISHED[kind]
    body = request(documents=documents, model=model, **asked)
    return {name: value for name, value in body.items() if value is not None}


def published_hub(place: Path, steps: tuple[int, ...] = STEPS) -> Path:
    """What an emulator serves that publishes the run in all these ways; but for branches only some steps."""
    return trained.write_root(write_root(place / "hub", GARDEN, steps), GARDEN)


# ---- programs ------------------------------------------------------------------------------------


_copies: list[Path] = []  # of built programs; removed at the end unless something went wrong


def build(preset: str, *targets: str, nice: int = 10) -> Path:
    """Builds with a preset, and copies what was asked for; the folder of the copies. Two runs do not build one folder at
    once, and a later build does not take the program away from under a proof."""
    folder = ROOT / "build" / preset
    jobs = os.environ.get("JOBS", str(min(4, os.cpu_count() or 1)))
    command = ["cmake", "--build", str(folder), "--parallel", jobs, "--target", *targets]
    folder.parent.mkdir(exist_ok=True)
    with open(folder.parent / f"{preset}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for one in (["cmake", "--preset", preset], command):
            done = subprocess.run(["nice", f"-n{nice}", *one], cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                raise Wrong(f"{' '.join(one)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
        return copy_built(folder, targets)


def copy_built(folder: Path, targets: tuple[str, ...]) -> Path:
    """The programs of a build folder, in a new folder of the same name."""
    if not _copies:
        atexit.register(lambda: [shutil.rmtree(one, ignore_errors=True) for one in _copies])
    _copies.append(Path(tempfile.mkdtemp(prefix="bifurcated-proof-programs-")))
    copy = _copies[-1] / folder.name
    for target in targets:
        source = next((one for one in (folder / target, folder / "tests" / target) if one.is_file()), None)
        need(source, f"{target}: built, but not in {folder}")
        goal = copy / source.relative_to(folder)
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, goal)
    return copy


def programs(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in ("bifurcated", "bifurcate")}


def compile_shim(name: str, folder: Path) -> Path:
    """shim_NAME.c as an object to be preloaded."""
    target = folder / f"shim_{name}.so"
    source = ROOT / f"tests/proof/shim_{name}.c"
    command = f"gcc -I{ROOT} -std=gnu11 -O2 -g -fPIC -shared -fno-optimize-sibling-calls -Wall -Wextra -Werror -o".split()
    done = subprocess.run([*command, target, source, "-ldl"], capture_output=True, text=True)
    if done.returncode:
        raise Wrong(f"{source.name} does not compile:\n{done.stderr}")
    return target


_started: list[subprocess.Popen[bytes]] = []  # daemons; none outlives the workplace


class Daemon(running.Daemon):
    """One that ends with its workplace, whatever goes wrong there."""

    def spawn(self) -> None:
        super().spawn()
        _started.append(self.process)


def end_daemons() -> None:
    """Kills those that still run."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


@contextmanager
def workplace(name: str) -> Iterator[Path]:
    """A folder that is removed unless something went wrong (then its name is printed, and the programs are kept, too).
    Daemons that still run at the end are killed."""
    place = Path(tempfile.mkdtemp(prefix=f"bifurcated-proof-{name}-"))
    try:
        yield place
    except BaseException:
        print(f"   what is left of it: {' '.join(str(one) for one in (place, *_copies))}", flush=True)
        _copies.clear()
        raise
    finally:
        end_daemons()
    shutil.rmtree(place, ignore_errors=True)


def environment() -> dict[str, str]:
    """Sanitizers speak up as statuses that nothing else has."""
    options = "abort_on_error=0:exitcode=99:halt_on_error=1"
    return {"ASAN_OPTIONS": options + ":detect_leaks=1", "UBSAN_OPTIONS": options + ":print_stacktrace=1", "TSAN_OPTIONS": options}


# ---- what a run leaves behind ---------------------------------------------------------------------


@dataclass
class Truth:
    rows: dict[str, dict[str, str]]  # by revision, as CSV has them
    tables: dict[str, Counter]
    files: set[str]
    body: dict[str, Any]  # of the request
    seconds: float = 0.0  # of the sweep
    tasks: int = 0
    requests: int = 0
    extra: dict[str, Any] = field(default_factory=dict)


def exported(daemon: Any, model: str = MODEL) -> dict[str, dict[str, str]]:
    """The measured rows of the series as CSV has them, all digits, without what depends on the time; of what has `get`."""
    answer = daemon.get(f"/v1/models/{model}/revisions?format=csv&limit=1000")
    need(answer.status == 200, "the series cannot be exported:", answer)
    rows = [row for row in csv.DictReader(io.StringIO(answer.text)) if row["state"] == "measured"]
    names = Counter(row["revision"] for row in rows)
    need(not [name for name, count in names.items() if count > 1], "revisions twice in the series:", names)
    return {row["revision"]: {name: value for name, value in row.items() if name not in VOLATILE} for row in rows}


CONTENT = "(SELECT digest FROM contents WHERE id = t.{0})"
REVISION = "(SELECT name || '@' || commit_sha FROM revisions WHERE id = t.{0})"
MEANING = {  # columns of row numbers: what they stand for
    "content_id": CONTENT,
    "reference_id": CONTENT,
    "revision_id": REVISION,
    "reference_revision_id": REVISION,
    "same_as": REVISION,
    "perplexity_id": "(SELECT weights_digest || mode || parameters FROM perplexities WHERE id = t.{0})",
}
RESULTS = {  # tables of results: columns that differ between equal runs
    "contents": {"id"},
    "statistics": set(),
    "displacements": set(),
    "distributions": set(),
    "columns_statistics": set(),
    "samples": set(),
    "perplexities": {"id", "seconds", "measured_ms"},
    "revision_tensors": {"fetched_bytes", "measured_ms"},
    "revision_perplexities": set(),
    "series_links": set(),
    "files": set(),
}


def opened(db: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{db}?mode=ro", uri=True)


def cautions(db: Path) -> list[str]:
    """What tasks have left out although they succeeded, as the API tells it in their histories."""
    connection = opened(db)
    found = [detail for (detail,) in connection.execute("SELECT detail FROM task_events WHERE event = 'record' AND detail <> ''")]
    connection.close()
    return found


def tables(db: Path) -> dict[str, Counter]:
    """Each table of results as a bag of rows whose numbers are replaced by what they stand for."""
    bags = {}
    connection = opened(db)
    for table, volatile in RESULTS.items():
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] not in volatile]
        shown = ", ".join(MEANING.get(name, "t.{0}").format(name) for name in columns)
        bags[table] = Counter(connection.execute(f"SELECT {shown} FROM {table} t").fetchall())
    connection.close()
    return bags


def check_sound(db: Path) -> None:
    """The database is whole, and nothing in it refers to what is not there."""
    connection = opened(db)
    found = connection.execute("PRAGMA integrity_check").fetchall()
    need(found == [("ok",)], "integrity_check:", found[:3])
    found = connection.execute("PRAGMA foreign_key_check").fetchall()
    need(found == [], "foreign_key_check:", found[:3])
    connection.close()


ENDS = {"record", "retry", "fail", "expire", "exhaust", "interrupt", "cancel"}


def check_history(db: Path) -> int:
    """Every task: claims and their ends take turns, with one part between them at most (statistics that stay where the perplexity
    fails), one record at most and nothing after it; how many records."""
    connection = opened(db)
    histories: dict[int, list[str]] = {}
    for task, event in connection.execute("SELECT task_id, event FROM task_events ORDER BY id"):
        histories.setdefault(task, []).append(event)
    records = 0
    for task, state, attempts in connection.execute("SELECT id, state, attempts FROM tasks"):
        whole = [one for one in histories.get(task, []) if one != "plan"]
        events = [one for one in whole if one != "part"]
        about = f"task {task} ({state}, {attempts} attempts): {whole}"
        need(events.count("claim") == attempts, "claims and attempts differ:", about)
        need(events.count("record") == (state == "done"), "done and recorded differ:", about)
        for before, after in pairwise([None, *events]):
            need(after != "claim" or before != "claim", "claimed twice at once:", about)
            need(after not in ENDS - {"cancel"} or before == "claim", "ended without a claim:", about)
            need(before != "record", "something after the record:", about)
        for before, after in pairwise([None, *whole]):
            need(after != "part" or before == "claim", "a part without a claim:", about)
        records += state == "done"
    connection.close()
    return records


def half_recorded(db: Path) -> list[Any]:
    """Tensors of revisions without a finished task, and contents with only some of their sets of statistics."""
    connection = opened(db)
    found = connection.execute(
        "SELECT 'tensor', revision_id FROM revision_tensors WHERE revision_id NOT IN"
        " (SELECT revision_id FROM tasks WHERE state = 'done')"
        " UNION ALL SELECT 'statistics', content_id FROM statistics GROUP BY content_id HAVING count(*) <> 4"
    ).fetchall()
    connection.close()
    return found


def leftovers(daemon: Daemon) -> set[str]:
    """Files of the state folder and the hub cache, but for those that SQLite makes for a reader of the database as well."""
    places = (daemon.state, daemon.cache)
    names = {f"{place.name}/{path.relative_to(place)}" for place in places for path in place.rglob("*") if not path.is_dir()}
    return {name for name in names if not name.endswith((".db-wal", ".db-shm"))}


def differences(truth: Truth, rows: dict[str, dict[str, str]]) -> str:
    """The first difference of two series, for people; empty if there is none."""
    for name in sorted(truth.rows.keys() | rows.keys()):
        if name not in rows or name not in truth.rows:
            return f"{name} is {'missing' if name not in rows else 'too much'}"
        for key, value in truth.rows[name].items():
            if rows[name].get(key) != value:
                return f"{name}.{key} is {rows[name].get(key)} and not {value}"
    return ""


def check_equal(truth: Truth, daemon: Daemon) -> None:
    """Series and tables are those of the undisturbed run."""
    found = differences(truth, exported(daemon, truth.body["model"]))
    need(not found, "the series differs:", found)
    for table, bag in tables(daemon.db).items():
        missing, more = truth.tables[table] - bag, bag - truth.tables[table]
        need(not missing and not more, f"table {table}: {sum(missing.values())} rows missing, {sum(more.values())} too",
             "many; the first:", str(next(iter((missing or more)), ""))[:300])  # fmt: skip


def undisturbed(programs: dict[str, Path], hub: Emulator, place: Path, body: dict[str, Any], *options: str,
                env: dict[str, str] | None = None) -> Truth:  # fmt: skip
    """Runs the sweep once with nothing in its way."""
    daemon = Daemon(programs, place, hub.url, list(options), environment() | (env or {}))
    hub.reset()
    daemon.start()
    begin = time.monotonic()
    end = daemon.wait(post(daemon, body))
    need(end["state"] == "done", "the undisturbed sweep ended as", end, daemon.log())
    seconds, requests = time.monotonic() - begin, hub.stats()["requests"]["total"]
    truth = Truth(exported(daemon, body["model"]), {}, set(), body, seconds, requests=requests)
    daemon.check_end()
    truth.tables, truth.files = tables(daemon.db), leftovers(daemon)
    check_sound(daemon.db)
    truth.tasks = check_history(daemon.db)
    need(truth.tasks == end["progress"]["done"] == len(truth.rows) > 2, "the undisturbed sweep is not whole:", end)
    return truth


def post(daemon: Daemon, body: dict[str, Any]) -> int:
    answer = daemon.post("/v1/sweeps", body)
    need(answer.status == 201, "POST /v1/sweeps:", answer)
    return answer.json()["id"]


def reports(text: str) -> str:
    """A sanitizer's report or a broken assertion in a log; empty if there is none."""
    found = SANITIZER.search(text) or re.search(r"Assertion .* failed|\*\*\* .* \*\*\*|malloc\(\): .*|free\(\): .*|corrupted .*", text)
    return found.group(0) if found else ""
