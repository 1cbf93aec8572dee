"""What whoever runs the daemon does: backup and restore, retention, the access log."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import stat
from pathlib import Path
from typing import Any, Callable

import pytest
from commands import Command, command_runner, findings
from running import Daemon, model_path, wait_until
from workers import Worker

from tests.hub import Emulator

MODEL = "garden/neox-tiny"


@pytest.fixture
def command(programs: dict[str, Path], tmp_path: Path) -> Command:
    return command_runner(programs, tmp_path)


def measured(daemon: Daemon) -> dict[str, dict[str, Any]]:
    """The measured rows of the series by revision."""
    return {row["revision"]: row for row in daemon.series(MODEL) if row["msd"] is not None}


def test_backup_of_a_running_sweep_and_its_restore(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, tmp_path: Path,
    command: Command,
) -> None:  # fmt: skip
    """The copy is made beside the writers, is whole, and a daemon on it goes on to the same series."""
    hub = make_hub(garden, bandwidth_bps=2_000_000)
    hub.fault("hold", route="cdn", revision="step13000")  # until the copy is made, however long that takes
    first = daemon(hub)
    sweep = first.sweep(MODEL)
    first.wait(sweep, until=lambda now: now["progress"]["done"] >= 3)
    early = measured(first)
    copy = tmp_path / "copy.db"
    made = command("backup", copy, "--state", first.state)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(f"wrote {copy}: ") and "1 models" in made.stdout
    assert first.get(f"/v1/sweeps/{sweep}").json()["state"] == "running", "too late to show anything"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with sqlite3.connect(f"file:{copy}?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        kept = {row[0] for row in database.execute("SELECT r.name FROM revision_tensors t JOIN revisions r ON r.id = revision_id")}
    assert set(early) <= kept
    again = command("backup", "--state", first.state, copy)  # options may come first
    assert again.returncode == 1 and "exists already" in again.stderr

    hub.set(bandwidth_bps=0)
    hub.clear_faults()
    assert first.wait(sweep)["state"] == "done"
    whole = first.series(MODEL)
    refused = command("restore", copy, "--state", first.state)
    assert refused.returncode == 1 and f"in use by another daemon (process {first.process.pid})" in refused.stderr
    assert first.stop() == 0

    restored = command("restore", copy, "--state", first.state)
    assert restored.returncode == 0, restored.stderr
    aside = [path for path in first.state.iterdir() if ".db.before-" in path.name]
    assert len(aside) == 1 and str(aside[0]) in restored.stdout
    first.start()
    assert first.wait(sweep)["state"] == "done"  # the rest of it is measured again
    then = {row["revision"]: row for row in first.series(MODEL)}
    for row in whole:
        for name in ("msd", "lag1_msd", "variance", "bimodality", "kurtosis"):
            assert row[name] == then[row["revision"]][name], (row["revision"], name)
    first.stop()
    assert command("restore", aside[0], "--state", first.state).returncode == 0  # and back
    first.start()
    assert first.series(MODEL) == whole


def test_what_restore_refuses(
    command: Command, tmp_path: Path
) -> None:
    text, state = tmp_path / "text", tmp_path / "state"
    text.write_text("this is no database, whatever its length may be\n" * 100)
    for arguments, status, words in (
        ((), 2, "restore: needs a FILE"),
        ((tmp_path / "none",), 1, "none: No such file"),
        ((text,), 1, "file is not a database"),
    ):
        answer = command("restore", *arguments, "--state", state)
        assert answer.returncode == status and words in answer.stderr, answer
    assert not (state / "bifurcated.db").exists()
    answer = command("backup", tmp_path / "copy", "--state", state)
    assert answer.returncode == 1 and "there is no store; name its folder with --state" in answer.stderr
    (state / "bifurcated.db.restored").touch()  # as a restore leaves it that was killed
    for arguments in (("backup", tmp_path / "copy"), ("prune",)):
        answer = command(*arguments, "--state", state)
        assert answer.returncode == 1 and "its restore was cut off" in answer.stderr, answer


# -- Retention -----------------------------------------------------------------------------------------------


def age_sweeps(database: Path, days: int) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE sweeps SET finished_ms = finished_ms - ?", (days * 86_400_000,))


def test_retention(
    daemon: Callable[..., Daemon], hub: Emulator, command: Command
) -> None:
    """Old sweeps go, results stay: by the command without a daemon, and by the daemon itself."""
    one = daemon(hub)
    model = one.get("/v1/models").json()
    assert model["models"] == []
    sweeps = [one.sweep("org/small") for _ in range(2)]
    for sweep in sweeps:
        one.wait(sweep)
    series = one.series("org/small")
    busy = command("prune", "--state", one.state)
    assert busy.returncode == 1 and "in use by another daemon" in busy.stderr
    one.stop()
    age_sweeps(one.db, 40)
    kept = command("prune", "--state", one.state)
    assert kept.returncode == 0 and kept.stdout.startswith("0 sweeps deleted (--retention-days is 0)"), kept
    kept = command("prune", "--state", one.state, "--retention-days", "41")
    assert kept.stdout.startswith("0 sweeps deleted, "), kept
    gone = command("prune", "--state", one.state, "--retention-days", "30")
    assert gone.stdout.startswith("1 sweeps deleted, "), gone  # the newer one has the newest task of each revision
    one.start()
    assert one.series("org/small") == series
    assert [row["id"] for row in one.get("/v1/sweeps").json()["sweeps"]] == [sweeps[1]]
    newer = one.sweep("org/small")
    one.wait(newer)
    one.stop()
    age_sweeps(one.db, 40)
    one._options += ["--retention-days", "30"]
    one.start()
    wait_until(lambda: [row["id"] for row in one.get("/v1/sweeps").json()["sweeps"]] == [newer])
    assert one.told("sweeps_deleted=1")
    assert one.series("org/small") == series


def test_damaged_values_are_told_and_measured_again(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, command: Command,
    tmp_path: Path,
) -> None:  # fmt: skip
    """A flipped bit within a large value: a list leaves it out and names it, no read shows other numbers, `check` and `backup` count
    it, `prune` deletes it."""
    hub = make_hub(garden)
    one = daemon(hub)
    one.wait(one.sweep(MODEL))
    paths = [f"/v1/models/{MODEL}/{rest}" for rest in ("distribution?rows=tokens&view=centred", "trajectories", "displacement", "columns?rows=tokens")]
    before = [one.get(path).json() for path in paths]
    one.stop()
    with sqlite3.connect(one.db) as db:
        ((content, name),) = db.execute("SELECT t.content_id, r.name FROM revision_tensors t JOIN revisions r ON r.id = t.revision_id WHERE r.name = 'step512'")
        for table, where in (("distributions", "AND row_set = 'tokens' AND is_centred = 1"), ("samples", ""), ("columns_statistics", "AND token_rows > 0")):
            ((row, data),) = db.execute(f"SELECT rowid, data FROM {table} WHERE content_id = ? {where}", (content,))
            middle = len(data) // 2
            db.execute(f"UPDATE {table} SET data = ? WHERE rowid = ?", (data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :], row))
    db.close()
    one.start()
    for path, whole in zip(paths, before, strict=True):
        page, csv = one.read(path), one.get(path + ("&" if "?" in path else "?") + "format=csv").text.splitlines()
        assert page["damaged"] == [name] and page["count"] == whole["count"] - 1 and whole["damaged"] == []
        if "displacement" in path:
            assert page["revisions"] == [one for one in whole["revisions"] if one != name] and not any(name in line for line in csv)
            continue
        assert page["revisions"] == [row for row in whole["revisions"] if row["revision"] != name], path
        assert [line for line in csv if line.startswith(name + ",")] == ["step512,512" + "," * (csv[0].count(",") - 1)], path
        first = one.read(path + ("&" if "?" in path else "?") + "limit=3")
        assert first["damaged"] == [] and first["count"] == 3
    chosen = ["--rows", "tokens", "--view", "centred"]
    for words in (["distribution", *chosen], ["trajectories"], ["displacement"], ["columns", *chosen[:2]], ["plot", *chosen]):
        told = one.client(words[0], MODEL, *words[1:])
        assert told.returncode == 0 and f"is damaged: {name}; while the daemon is stopped, `bifurcated prune`" in told.stderr, told
    one_value = f"/v1/models/{MODEL}/revisions/{name}/values?rows=tokens&view=centred"
    told = one.get(one_value)
    assert told.status == 500 and "stored value is damaged" in told.text and "bifurcated check says what to do" in told.text
    assert one.get(one_value).status == 500
    (line,) = one.told("a request failed")
    assert told.json()["request_id"] in line and one_value in line and "stored value is damaged" in line and line.endswith("others=0")
    one.stop()
    found = findings(command("check", "--state", one.state, "--endpoint", hub.url, "--listen", "127.0.0.1:0", "--json"))["database"]
    assert [level for level, _ in found] == ["ok", "error"] and "3 large values" in found[1][1] and "bifurcated prune" in found[1][1]
    saved = command("backup", tmp_path / "copy", "--state", one.state)
    assert saved.returncode == 0 and "3 large values in it are damaged" in saved.stdout, saved
    pruned = command("prune", "--state", one.state)
    assert pruned.returncode == 0 and "3 large values were damaged and are deleted" in pruned.stdout, pruned
    one.start()
    one.wait(one.sweep(MODEL))
    assert [one.get(path).json() for path in paths] == before


@pytest.mark.parametrize("who", ["local", "remote"])
def test_what_retention_deleted_is_measured_again(
    who: str, daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path,
    command: Command, programs: dict[str, Path], tmp_path: Path,
) -> None:  # fmt: skip
    """A branch goes elsewhere, its distributions go with retention, it comes back: the next sweep has them again, also if
    meanwhile a copy with another number of token rows has brought back some of them."""
    paths = [f"/v1/models/{model_path(MODEL)}/{rest}" for rest in ("distribution?bins=32&low=-0.5&high=0.5",
             "distribution?bins=32&low=-0.5&high=0.5&rows=tokens", "trajectories")]  # fmt: skip
    hub = make_hub(garden)
    one = daemon(hub)
    one.wait(one.sweep(MODEL))
    series, before = one.series(MODEL), [one.get(path).json() for path in paths]
    assert [value["count"] for value in before] == [25] * 3
    columns = one.get(f"/v1/models/{model_path(MODEL)}/columns").json()["revisions"]
    hub.move_branch(MODEL, "step2", "step1")
    one.wait(one.sweep(MODEL))
    one.stop()
    gone = command("prune", "--state", one.state)
    assert "distributions of 1 contents deleted" in gone.stdout, gone
    hub.move_branch(MODEL, "step2", "step2")
    with sqlite3.connect(one.db) as db:  # as an upgrade leaves entries of which nobody knows the rows
        db.execute("DELETE FROM samples WHERE content_id = (SELECT t.content_id FROM revisions r JOIN revision_tensors t"
                   " ON t.revision_id = r.id WHERE r.name = 'step16')")  # fmt: skip
    db.close()
    one._options += ["--fetchers", "0" if who == "remote" else "2"]
    one.start()
    worker = Worker(one, programs["bifurcated"], tmp_path / "worker") if who == "remote" else None
    try:
        if worker:
            worker.start()
        shutil.copytree(garden / "models" / MODEL / "step2", tmp_path / "run" / "step2")  # without its tokenizer
        assert one.wait(one.sweep(f"file:{tmp_path}/run"))["state"] == "done"
        one.wait(one.sweep(MODEL))
    finally:
        if worker:
            worker.stop()
    assert [one.get(path).json() for path in paths] == before
    # sums over all rows are formed of those of token rows and others, so they end in other digits
    for now, then in zip(one.get(f"/v1/models/{model_path(MODEL)}/columns").json()["revisions"], columns, strict=True):
        assert now["revision"] == then["revision"]
        for name in ("mean", "bimodality"):
            assert now[name] == pytest.approx(then[name], rel=1e-12, abs=1e-15)
    wanted = ("revision", "msd", "bimodality", "dip")
    assert [[row[name] for name in wanted] for row in one.series(MODEL)] == [[row[name] for name in wanted] for row in series]


def test_access_log(
    daemon: Callable[..., Daemon], hub: Any, command: Command, tmp_path: Path
) -> None:
    """A line for each answered request, with who asked, never with the token; moved away and opened again at SIGHUP."""
    path, config, token = tmp_path / "access.log", tmp_path / "b.conf", "a-token-of-sixteen-and-more"
    (tmp_path / "token").write_text(token)
    config.write_text(f"[log]\naccess-log = {path}\nlog-format = json\n")
    one = daemon(hub, "--config", str(config), "--token-file", str(tmp_path / "token"))
    may = {"Authorization": f"Bearer {token}", "User-Agent": "me/1 \x9b31m \"x\"", "X-Request-Id": "mine-1"}

    def lines(file: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in file.read_text().splitlines() if '"event":"request"' in line]

    def find(file: Path, target: str) -> dict[str, Any]:
        wait_until(lambda: any(line["target"] == target for line in lines(file)))  # it comes after the answer
        return next(line for line in lines(file) if line["target"] == target)

    answer = one.get("/v1/tokens?limit=5", may)
    line = find(path, "/v1/tokens?limit=5")
    assert line["id"] == "mine-1" == answer.headers["X-Request-Id"] and line["address"] == "127.0.0.1"
    assert line["token"] == "token-file" and line["method"] == "GET" and line["status"] == 200
    assert line["bytes"] == len(answer.body) and 0 < line["seconds"] < 60
    assert line["operation"] == "listTokens" and line["agent"].startswith("me/1 ") and "\x9b" not in path.read_text()
    assert one.get("/v1/sweeps?model=%0aforged", {"Authorization": "Bearer guessed-secret"}).status == 400
    assert find(path, "/v1/sweeps?model=%0aforged")["status"] == 400
    one.post("/v1/sweeps", b"{", {"Authorization": "Bearer guessed-secret"})
    assert find(path, "/v1/sweeps")["status"] == 401
    # Moved away, as logrotate does.
    path.rename(tmp_path / "access.log.1")
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "options reloaded" in one.log())  # the file exists a moment before lines go to it
    assert path.exists() and one.get("/v1/models?limit=7").status == 200
    assert find(path, "/v1/models?limit=7")["token"] == ""
    # Into the log, and off.
    config.write_text("[log]\naccess-log = on\nlog-level = warning\n")
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: one.get("/healthz?on=1").status == 400 and "target=/healthz?on=1" in one.log().replace('"', ""))
    config.write_text("[log]\naccess-log = /nonexistent/access.log\n")
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "the access log was not reopened" in one.log() and "/nonexistent/access.log" in one.log())
    config.write_text("[log]\naccess-log = off\n")
    before = one.log().count("options reloaded")
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: one.log().count("options reloaded") > before)
    one.get("/v1/models?limit=9")
    texts = one.log() + path.read_text() + (tmp_path / "access.log.1").read_text()
    assert "limit=9" not in texts and token not in texts and "guessed-secret" not in texts
    for setting, words in (("/nonexistent/x", "/nonexistent/x: No such file"), ("x.log", "neither off, on nor the whole path")):
        ended = command("--state", tmp_path / "other", "--listen", "127.0.0.1:0", "--access-log", setting)
        assert ended.returncode == 1 and words in ended.stderr, ended


def test_access_log_on_a_full_disk(daemon: Callable[..., Daemon], hub: Any) -> None:
    """Lines are lost, which is said once; requests are answered."""
    one = daemon(hub, "--access-log", "/dev/full")
    for _ in range(20):
        assert one.get("/v1/models").status == 200
    wait_until(lambda: "the access log cannot be written" in one.log())
    assert one.log().count("the access log cannot be written") == 1 and "No space left" in one.log()
