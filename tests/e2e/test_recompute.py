"""`bifurcated recompute`: it changes nothing that is right, mends what was changed, and says what it cannot do."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path
from typing import Any

from running import Daemon

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
LAST = "step14000"


def series(daemon: Daemon) -> Any:
    return daemon.read(f"/v1/models/{MODEL}/revisions")


def dump(path: Path) -> list[Any]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        keys = "content_id, definition, backend, row_set, token_rows, is_centred"
        return database.execute(f"SELECT * FROM statistics ORDER BY {keys}").fetchall()


def test_recompute_changes_nothing_and_mends_what_was_changed(
    programs: dict[str, Path], garden: Path, tmp_path: Path
) -> None:
    with Emulator(garden) as hub:
        daemon = Daemon(programs, tmp_path, hub.url, [], {})
        daemon.start()
        daemon.wait(daemon.sweep(MODEL, revisions={"names": ["step0", "step512", LAST]}))
        command = [str(programs["bifurcated"]), "recompute", "--state", str(daemon.state)]

        refused = subprocess.run(command, env=daemon.env, capture_output=True, text=True, timeout=60)
        assert refused.returncode == 1 and "in use by another daemon" in refused.stderr, refused
        before = series(daemon)
        daemon.check_end()

        rows = dump(daemon.db)
        assert len(rows) == 12
        done = subprocess.run(command, env=daemon.env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and "12 distributions of 3 tensors" in done.stdout, done
        assert "; 0 numbers of 0 tensors changed" in done.stdout, done
        assert dump(daemon.db) == rows

        with sqlite3.connect(daemon.db) as database:
            database.execute("UPDATE statistics SET dip = 0.5, q50 = NULL, ashman_d = 9")
            database.execute("UPDATE statistics SET mean = 7 WHERE is_centred = 0")
        other = subprocess.run([*command[:2], "garden/absent", *command[2:]], capture_output=True, text=True, timeout=60)
        assert other.returncode == 1 and "garden/absent" in other.stderr, other
        done = subprocess.run([*command[:2], MODEL, *command[2:]], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and "; 42 numbers of 3 tensors changed" in done.stdout, done
        assert dump(daemon.db) == rows

        with sqlite3.connect(daemon.db) as database:  # measured before modes were counted
            for table in ("statistics", "distributions", "columns_statistics", "revision_tensors"):
                database.execute(f"UPDATE {table} SET definition = definition - 1")
            database.execute("UPDATE statistics SET modes = NULL")
        done = subprocess.run([*command[:2], MODEL, *command[2:]], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and "; 24 numbers of 3 tensors changed" in done.stdout, done
        assert [row for row in dump(daemon.db) if row[1] == rows[0][1]] == rows

        daemon.start()
        assert series(daemon) == before
        last = before["revisions"][-1]
        assert last["modes"] >= 1 and last["tokens_centred_modes"] >= 2
        daemon.check_end()


def test_recompute_reads_the_newest_of_many_definitions(programs: dict[str, Path], garden: Path, tmp_path: Path) -> None:
    with Emulator(garden) as hub:
        daemon = Daemon(programs, tmp_path, hub.url, [], {})
        daemon.start()
        daemon.wait(daemon.sweep(MODEL, revisions={"names": ["step0"]}))
        daemon.check_end()
    command = [str(programs["bifurcated"]), "recompute", "--state", str(daemon.state)]
    rows = dump(daemon.db)

    def add_copies(column: str, differences: range) -> None:
        with sqlite3.connect(daemon.db) as database:
            names = [row[1] for row in database.execute("PRAGMA table_info(statistics)")]
            values = ", ".join(f"{name} + ?" if name == column else name for name in names)
            database.execute("CREATE TEMPORARY TABLE original AS SELECT * FROM statistics")
            insert = f"INSERT INTO statistics SELECT {values} FROM original"
            database.executemany(insert, [(difference,) for difference in differences])

    add_copies("definition", range(-24, 0))
    with sqlite3.connect(daemon.db) as database:
        database.execute("UPDATE statistics SET dip = 0.5")
    done = subprocess.run(command, env=daemon.env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "; 4 numbers of 1 tensors changed" in done.stdout, done
    assert dump(daemon.db)[-4:] == rows

    with sqlite3.connect(daemon.db) as database:
        database.execute("DELETE FROM statistics WHERE row_set = 'all' OR dip = 0.5")
    add_copies("token_rows", range(1, 501))
    done = subprocess.run(command, env=daemon.env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "has 1000 statistics or more of one definition" in done.stderr, done


def test_recompute_without_a_store(programs: dict[str, Path], tmp_path: Path) -> None:
    done = subprocess.run(
        [str(programs["bifurcated"]), "recompute", "--state", str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "there is no store" in done.stderr and not list(tmp_path.iterdir()), done
