"""`bifurcated token` beside what changes the database as a whole: a restore, an upgrade, another command."""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Iterator

import pytest

COPY_BYTES = 16 << 20  # a restore can mostly be stopped in its middle, and ends long before who waits for it gives up


def start(programs: dict[str, Path], state: Path, *words: object) -> subprocess.Popen[str]:
    command = [str(programs["bifurcated"]), *map(str, words), "--state", str(state)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, trace = process.communicate(timeout=120)
    return process.returncode, out, trace


def names_in(database: Path) -> set[str]:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM tokens")}


def stop_midway(programs: dict[str, Path], state: Path, copy: Path) -> subprocess.Popen[str] | None:
    """A restore that is stopped while it copies; None where it was too fast for that."""
    part = state / "bifurcated.db.part"
    restore = start(programs, state, "restore", copy)
    while not part.exists() and restore.poll() is None:
        pass
    restore.send_signal(signal.SIGSTOP)
    while restore.poll() is None and Path(f"/proc/{restore.pid}/stat").read_text().rsplit(")")[-1].split()[0] != "T":
        pass
    if part.exists() and not list(state.glob("*.before-*")) and restore.poll() is None:
        return restore
    restore.send_signal(signal.SIGCONT)
    assert finish(restore)[0] == 0
    return None


@pytest.fixture
def stopped_restore(programs: dict[str, Path], tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A state folder with a token "old", and a restore of an empty large database into it that is stopped while it copies."""
    state, copy = tmp_path / "state", tmp_path / "copy.db"
    assert finish(start(programs, state, "token", "create", "--name", "old"))[0] == 0
    assert finish(start(programs, tmp_path / "empty", "token", "list"))[0] == 0
    assert finish(start(programs, tmp_path / "empty", "backup", copy))[0] == 0
    with sqlite3.connect(copy) as connection:  # a free list is copied, too
        connection.execute("CREATE TABLE ballast AS SELECT zeroblob(?) AS data", (COPY_BYTES,))
        connection.execute("DROP TABLE ballast")
    connection.close()
    restore = stop_midway(programs, state, copy)
    while not restore:  # this process did not come to run for that long; anew
        shutil.rmtree(state)
        assert finish(start(programs, state, "token", "create", "--name", "old"))[0] == 0
        restore = stop_midway(programs, state, copy)
    yield state, restore
    if restore.poll() is None:
        restore.send_signal(signal.SIGCONT)
        restore.communicate(timeout=120)


def test_token_waits_for_a_restore(
    programs: dict[str, Path], stopped_restore: tuple[Path, subprocess.Popen[str]]
) -> None:
    """What is made meanwhile is in the database that is restored, not in the one that is set aside."""
    state, restore = stopped_restore
    token = start(programs, state, "token", "create", "--name", "new")
    time.sleep(1)
    assert token.poll() is None and names_in(state / "bifurcated.db") == {"old"}
    token.send_signal(signal.SIGSTOP)  # or its ten seconds may be over before a busy machine has restored all
    restore.send_signal(signal.SIGCONT)
    assert finish(restore)[0] == 0
    token.send_signal(signal.SIGCONT)
    status, out, trace = finish(token)
    assert status == 0 and out.startswith("bif_"), trace
    assert names_in(state / "bifurcated.db") == {"new"}
    (aside,) = [path for path in state.glob("*.before-*") if not path.name.endswith(("-wal", "-shm"))]
    assert names_in(aside) == {"old"}


def test_token_gives_up(programs: dict[str, Path], stopped_restore: tuple[Path, subprocess.Popen[str]]) -> None:
    """After ten seconds it says who keeps it waiting."""
    state, restore = stopped_restore
    status, out, trace = finish(start(programs, state, "token", "create", "--name", "new"))
    assert status == 1 and not out
    assert f"process {restore.pid}" in trace and "made, restored or upgraded" in trace and "try again" in trace
    assert names_in(state / "bifurcated.db") == {"old"}


def test_many_at_once_on_a_fresh_folder(programs: dict[str, Path], tmp_path: Path) -> None:
    """One makes the database and all its tables, the others wait for that. On a busy machine that may take longer than they wait."""
    state = tmp_path / "state"

    def create(number: int) -> subprocess.Popen[str]:
        return start(programs, state, "token", "create", "--name", f"t{number}")

    for number, process in enumerate([create(number) for number in range(8)]):
        status, out, trace = finish(process)
        if "made, restored or upgraded" in trace:
            status, out, trace = finish(create(number))
        assert status == 0 and re.fullmatch(r"bif_[0-9a-f]{72}\n", out), trace
    assert names_in(state / "bifurcated.db") == {f"t{i}" for i in range(8)}
