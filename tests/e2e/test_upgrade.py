"""From every released schema: what an older program left is all there in the present one, and work goes on."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
from running import Daemon

from tests.hub import Emulator

REPOSITORY = Path(__file__).resolve().parents[2]
SCHEMAS = REPOSITORY / "tests/fixtures/schemas"
FIXTURES = sorted(SCHEMAS.glob("*.sql"))
NEWEST = len(list((REPOSITORY / "migrations").glob("*.sql")))
MODEL = "garden/neox-tiny"


def make_database(fixture: Path, state: Path) -> Path:
    path = state / "bifurcated.db"
    state.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(fixture.read_text())
    assert database.execute("PRAGMA user_version").fetchone() == (int(fixture.stem),)
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    database.close()
    return path


def schema_of(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Tables with their columns, and indexes, in whichever way they came to be."""
    with sqlite3.connect(path) as database:
        names = database.execute("SELECT name, type, tbl_name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
        return {
            f"{kind} {name} on {table}": [row[1:] for row in database.execute(f"PRAGMA {kind}_xinfo({name})")]
            for name, kind, table in names.fetchall()
        }


def same(old: Any, new: Any, where: str = "") -> None:
    """Everything that was said is still said; there may be more."""
    if isinstance(old, dict):
        for name, value in old.items():
            assert name in new, f"{where}/{name} is gone"
            same(value, new[name], f"{where}/{name}")
    elif isinstance(old, list):
        assert len(old) == len(new), where
        for i, value in enumerate(old):
            same(value, new[i], f"{where}/{i}")
    elif where.endswith("norm"):  # of the moments now; it was of a displacement's own sums
        assert new == pytest.approx(old, rel=1e-14), where
    else:
        assert old == new, where


@pytest.fixture
def upgraded(
    daemon: Callable[..., Daemon], programs: dict[str, Path], tmp_path: Path, make_hub: Callable[..., Emulator], garden: Path,
) -> Callable[[Path], tuple[Daemon, Path]]:  # fmt: skip
    def upgrade(fixture: Path) -> tuple[Daemon, Path]:
        path = make_database(fixture, tmp_path / "daemon0" / "state")  # where the fixture `daemon` puts its first one
        return daemon(make_hub(garden)), path

    return upgrade


def test_a_port_that_is_taken_is_said_before_an_upgrade(programs: dict[str, Path], tmp_path: Path) -> None:
    """The daemon that listens there may be the older one, on another state folder; this database stays as it was."""
    path = make_database(FIXTURES[-1], tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [programs["bifurcated"], "--state", tmp_path, "--listen", f"127.0.0.1:{taken.getsockname()[1]}"]
        done = subprocess.run(command, env={"HOME": str(tmp_path)}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "another program listens there" in done.stderr and "upgraded" not in done.stderr, done
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (int(FIXTURES[-1].stem),)


def test_there_is_a_fixture_of_each_released_schema() -> None:
    """A schema is released with a version; deploy/debian/changelog counts those."""
    assert [int(path.stem) for path in FIXTURES] == list(range(1, len(FIXTURES) + 1)) and FIXTURES
    assert all(path.with_suffix(".json").exists() for path in FIXTURES)


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_everything_is_there(fixture: Path, upgraded: Callable[[Path], tuple[Daemon, Path]]) -> None:
    one, path = upgraded(fixture)
    assert one.log().count(f"the database is upgraded to the schema of this version, which takes minutes if it is large from={int(fixture.stem)} to={NEWEST}\n") == 1
    said = json.loads(fixture.with_suffix(".json").read_text())
    rows = {row["revision"]: row for row in one.series(MODEL)}
    assert len(said["series"]) == 3
    for row in said["series"]:
        assert row["perplexity"] and row["variance"], "the fixture shows nothing"
        said_of_name = {name: row[name] or None for name in ("stage", "ingredient", "training_tokens")}  # until schema 8, 0 for null
        same(row | said_of_name, rows[row["revision"]], row["revision"])
    same(said["sweeps"], one.get("/v1/sweeps").json()["sweeps"], "sweeps")
    ignored = {"last_verdict", "verdict", "updated_at"}
    same({k: v for k, v in said["model"].items() if k not in ignored}, one.get(f"/v1/models/{MODEL}").json(), "model")
    pictures = one.get(f"/v1/models/{MODEL}/distribution")
    assert pictures.status == 200 and len(pictures.json()["revisions"]) == 1  # the large values of one are in the fixture
    assert one.get(f"/v1/models/{MODEL}/analysis").status == 200
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (NEWEST,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_work_goes_on(
    fixture: Path, upgraded: Callable[[Path], tuple[Daemon, Path]], daemon: Callable[..., Daemon], programs: dict[str, Path]
) -> None:
    """A sweep in the upgraded database measures the rest and agrees with what was measured before; and its schema is
    that of a new database. Recomputing from the kept distributions changes nothing that is shown."""
    one, path = upgraded(fixture)
    before = {row["revision"]: row for row in one.series(MODEL)}
    names = ["step0", "step512", "step1000", "step14000"]
    assert one.wait(one.sweep(MODEL, revisions={"names": names}))["state"] == "done", one.log()
    after = {row["revision"]: row for row in one.series(MODEL)}
    assert after["step512"]["msd"] > 0
    for name in ("step0", "step1000", "step14000"):
        for field in ("msd", "variance", "bimodality", "cosine", "perplexity"):
            assert after[name][field] == pytest.approx(before[name][field], rel=1e-12), (name, field)
    one.stop()
    fresh = daemon(None)
    assert schema_of(path) == schema_of(fresh.db) and "is upgraded" not in fresh.log()
    done = subprocess.run([programs["bifurcated"], "recompute", "--state", one.state], env=one.env, capture_output=True, text=True)
    assert done.returncode == 0 and re.search(r"\b0 numbers of 0 tensors changed", done.stdout), done.stdout + done.stderr


def test_a_newer_database_is_left_alone(programs: dict[str, Path], tmp_path: Path) -> None:
    """An older program, after a downgrade: each of its ways to the database says what to do and changes nothing in it."""
    path = tmp_path / "bifurcated.db"
    with sqlite3.connect(path) as database:
        database.executescript("PRAGMA application_id = 1114203762; PRAGMA user_version = 9999; CREATE TABLE x (y); INSERT INTO x VALUES (7)")
    for words in ((), ("token", "list"), ("prune",), ("recompute",), ("backup", str(tmp_path / "copy")), ("check",)):
        answer = subprocess.run(
            [programs["bifurcated"], *words, "--state", tmp_path, "--listen", "127.0.0.1:0"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert answer.returncode == 1, (words, answer)
        assert f"written by a newer version (schema 9999, this program knows {NEWEST}): upgrade the program, or restore an earlier backup" in answer.stdout + answer.stderr
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (9999,)
        assert database.execute("SELECT name FROM sqlite_schema").fetchall() == [("x",)]
        assert database.execute("SELECT y FROM x").fetchall() == [(7,)]
    assert not (tmp_path / "copy").exists()
