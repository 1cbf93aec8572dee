"""What a daemon has recorded: its database, read beside it, and what of its answers does not depend on when it was measured."""

from __future__ import annotations

import sqlite3
from typing import Any

from running import Daemon

VOLATILE = ("bytes_fetched", "measured_at", "first_seen_at")


def essence(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without what may differ between runs that measured the same."""
    return [{name: value for name, value in row.items() if name not in VOLATILE} for row in rows]


def without_perplexity(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if "perplexity" not in k and "accuracy" not in k} for row in essence(rows)]


def read(daemon: Daemon, query: str) -> list[tuple[Any, ...]]:
    """Asks the database, also of a daemon that was killed, without changing it."""
    db = sqlite3.connect(f"file:{daemon.db}?mode=ro", uri=True)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def everything(daemon: Daemon) -> dict[str, list[tuple[Any, ...]]]:
    """All that was measured, with contents by their digest: bit by bit, compressed values too."""
    db = sqlite3.connect(f"file:{daemon.db}?mode=ro", uri=True)
    tables = {}
    try:
        for table in ("statistics", "distributions", "columns_statistics", "samples"):
            names = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] != "content_id"]
            columns = ", ".join(f"t.{name}" for name in names)
            tables[table] = db.execute(
                f"SELECT c.digest, {columns} FROM {table} t JOIN contents c ON c.id = t.content_id"
            ).fetchall()
        names = [row[1] for row in db.execute("PRAGMA table_info(displacements)") if not row[1].endswith("_id")]
        columns = ", ".join(f"t.{name}" for name in names)
        tables["displacements"] = db.execute(
            f"SELECT c.digest, o.digest, {columns} FROM displacements t JOIN contents c ON c.id = t.content_id"
            " JOIN contents o ON o.id = t.reference_id"
        ).fetchall()
        names = [row[1] for row in db.execute("PRAGMA table_info(perplexities)")]
        columns = ", ".join(name for name in names if name not in ("id", "seconds", "measured_ms"))
        tables["perplexities"] = db.execute(f"SELECT {columns} FROM perplexities").fetchall()
        tables["tensors"] = db.execute(
            "SELECT r.name, t.tensor, c.digest, t.token_rows, t.definition, t.backend, s.name, t.file_path, t.file_digest"
            " FROM revision_tensors t JOIN revisions r ON r.id = t.revision_id JOIN contents c ON c.id = t.content_id"
            " LEFT JOIN revisions s ON s.id = t.same_as"
        ).fetchall()
    finally:
        db.close()
    return {name: sorted(rows, key=repr) for name, rows in tables.items()}


def check_sound(daemon: Daemon) -> None:
    """Nothing is damaged, half-recorded, or recorded twice."""
    assert read(daemon, "PRAGMA integrity_check") == [("ok",)]
    assert read(daemon, "PRAGMA foreign_key_check") == []
    assert read(daemon, "SELECT content_id FROM statistics GROUP BY content_id HAVING count(*) <> 4") == []
    twice = "SELECT task_id FROM task_events WHERE event = 'record' GROUP BY task_id HAVING count(*) <> 1"
    assert read(daemon, twice) == []
    recorded = read(daemon, "SELECT count(DISTINCT task_id) FROM task_events WHERE event = 'record'")
    assert recorded == read(daemon, "SELECT count(*) FROM tasks WHERE state = 'done'")
