"""A model and all that is known of it go: what counts, what refuses it, what stays, and what a death in the middle leaves."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
from recorded import essence, read
from running import Daemon, model_path, wait_until
from test_access import Keys, bearer
from test_openapi import validate
from workers import Worker

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
PATH = f"/v1/models/{MODEL}"
NAMES = ["step0", "step1", "step128", "step3000"]  # step1 holds step0's weights
FEW = {"revisions": {"names": NAMES}}
TABLES = """models revisions files contents revision_tensors statistics displacements series_links distributions columns_statistics
    samples perplexities revision_perplexities sweeps tasks task_events watches deliveries announcements""".split()


def rows(daemon: Daemon) -> dict[str, int]:
    return {table: read(daemon, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}


def wait_gone(daemon: Daemon) -> None:
    wait_until(lambda: read(daemon, "SELECT count(*) FROM models WHERE removed IS NOT NULL") == [(0,)])


def alter(daemon: Daemon, sql: str) -> None:
    with sqlite3.connect(daemon.db, timeout=30) as database:
        database.execute(sql)


def test_a_watched_model_goes_and_a_copy_of_it_stays(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path
) -> None:
    """What the dry run says is what goes. A folder with the same weights keeps its series; the hub's files stay in the cache; measured
    anew, the same numbers come. Nothing of before is taken for the new model, which has other ETags."""
    one = daemon(make_hub(garden))
    folder = f"file:{garden}/models/{MODEL}"
    assert one.wait(one.sweep(MODEL, **FEW))["state"] == "done"
    assert one.wait(one.sweep(folder, **FEW))["state"] == "done"
    assert one.wait(one.sweep(MODEL, revisions={"names": ["step512"]}))["state"] == "done"
    put = one.request("PUT", f"/v1/watches/{MODEL}", {"at": "02:30", "webhook": {"url": "http://127.0.0.1:9/", "secret": 16 * "s"}})
    assert put.status == 201, put
    was, series, copy = rows(one), one.series(MODEL), one.series(folder)
    cached = sorted(str(path) for path in one.cache.rglob("*"))
    old = one.get(f"{PATH}/revisions")
    dry = one.request("DELETE", f"{PATH}?dry_run=true")
    validate("delete", "/v1/models/{owner}/{name}", dry)
    said = dry.json()
    assert said["is_dry_run"] and rows(one) == was and one.get(PATH).status == 200
    assert said["contents"] >= 1 and said["kept_contents"] >= 3 and said["sweeps"] == 2 and said["is_watched"] and said["size_bytes"] > 0

    gone = one.request("DELETE", PATH)
    validate("delete", "/v1/models/{owner}/{name}", gone)
    assert gone.json() == said | {"is_dry_run": False}
    for path in (PATH, f"{PATH}/revisions", f"{PATH}/audit", f"{PATH}/analysis", f"{PATH}/distribution", f"{PATH}/revisions/step0", f"/v1/watches/{MODEL}", "/v1/sweeps/1", "/v1/sweeps/1/tasks", "/v1/sweeps/1/events", f"/v1/sweeps?model={MODEL}"):
        answer = one.get(path, {"If-None-Match": old.headers["ETag"]})
        assert answer.status == 404 and answer.headers["Content-Type"] == "application/problem+json", (path, answer)
    assert [row["name"] for row in one.read("/v1/models")["models"]] == [folder]
    assert [row["model"] for row in one.read("/v1/scaling")["models"]] == [folder]
    assert [row["model"] for row in one.read("/v1/sweeps")["sweeps"]] == [folder]
    again = one.request("DELETE", PATH)
    assert again.status == 404 and "is not known" in again.json()["detail"], again
    assert one.request("DELETE", f"{PATH}?dry_run=true").status == 404

    wait_gone(one)
    left = {table: was[table] - count for table, count in rows(one).items()}
    assert {name: left[name] for name in ("revisions", "contents", "perplexities", "sweeps", "tasks", "deliveries")} == {
        name: said[name] for name in ("revisions", "contents", "perplexities", "sweeps", "tasks", "deliveries")
    }
    assert left["models"] == left["watches"] == 1
    assert one.series(folder) == copy and one.read(f"/v1/models/{model_path(folder)}/audit")
    assert sorted(str(path) for path in one.cache.rglob("*")) == cached
    assert one.told(f"model removed model={MODEL} by=loopback") and one.told("the data of a removed model was deleted")

    assert one.wait(one.sweep(MODEL, **FEW))["state"] == "done"
    assert one.wait(one.sweep(MODEL, revisions={"names": ["step512"]}))["state"] == "done"
    assert essence(one.series(MODEL)) == essence(series)
    assert one.get(f"{PATH}/revisions", {"If-None-Match": old.headers["ETag"]}).status == 200
    assert one.request("DELETE", f"/v1/models/{model_path(folder)}").status == 200  # and of a folder, as the other routes name it
    wait_gone(one)
    assert essence(one.series(MODEL)) == essence(series)


def test_a_sweep_that_has_not_ended_refuses_it(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path
) -> None:
    """Planning, queued and running ones alike; what to do is said, and once that is done, it goes, also while a worker of the daemon
    is still at a task of it."""
    hub = make_hub(garden, bandwidth_bps=200_000)
    one = daemon(hub)
    sweep = one.sweep(MODEL)
    for query in ("", "?dry_run=true"):
        answer = one.request("DELETE", PATH + query)
        assert answer.status == 409 and f"its sweep {sweep} has not ended: cancel that first (bifurcate cancel {sweep})" in answer.json()["detail"]
    one.wait(sweep, until=lambda now: now["progress"]["running"] > 0)
    assert one.request("DELETE", PATH).status == 409
    refused = one.client("remove", MODEL, "--yes")
    assert refused.returncode == 5 and f"bifurcate cancel {sweep}" in refused.stderr
    assert one.request("DELETE", f"/v1/sweeps/{sweep}").status == 200
    assert one.request("DELETE", PATH).status == 200
    wait_gone(one)
    hub.set(bandwidth_bps=0)
    assert one.wait(one.sweep(MODEL, **FEW))["state"] == "done"
    wait_until(lambda: "bifurcated_workers_busy 0" in one.get("/metrics").text)
    assert "task failed" not in one.log() and "cannot be recorded" not in one.log(), one.log()
    for bad in ("?dry_run=yes", "?dryrun=true"):
        assert one.request("DELETE", PATH + bad).status == 400
    assert one.get(PATH).status == 200


def test_a_name_that_was_mistyped_goes(daemon: Callable[..., Daemon], hub: Emulator) -> None:
    one = daemon(hub)
    sweep = one.sweep("no/such-model")
    assert one.wait(sweep)["state"] == "failed"
    done = one.client("remove", "no/such-model", "--yes")
    assert done.returncode == 0 and done.stdout.endswith("All of it is removed.\n"), done
    assert one.get(f"/v1/sweeps/{sweep}").status == 404 and one.read("/v1/sweeps")["sweeps"] == []
    wait_gone(one)
    assert set(rows(one).values()) == {0}


def test_a_remote_worker_hands_in_what_was_removed(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, worker: Callable[..., Worker]
) -> None:
    """It learns that nobody wants it, and goes on with the next task."""
    hub = make_hub(garden)
    hub.fault("hold", route="cdn", revision="step128")
    one = daemon(hub, "--fetchers", "0")
    far = worker(one)
    sweep = one.sweep(MODEL, **FEW)
    one.wait(sweep, until=lambda now: now["progress"]["running"] > 0)
    far.suspend()
    assert one.request("DELETE", f"/v1/sweeps/{sweep}").status == 200
    assert one.request("DELETE", PATH).status == 200
    wait_gone(one)
    hub.clear_faults()
    far.resume()
    assert one.wait(one.sweep(MODEL, **FEW))["state"] == "done"
    assert len([row for row in one.series(MODEL) if row["state"] == "measured"]) == len(NAMES)
    assert far.stop() == 0
    assert "cannot be" not in far.log(), far.log()


def test_killed_in_the_middle(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path) -> None:
    """Some rows gone and others there: nobody is shown any of them, before and after the next start, which ends it."""
    one = daemon(make_hub(garden))
    assert one.wait(one.sweep(MODEL, **FEW))["state"] == "done"
    alter(one, "CREATE TRIGGER stop BEFORE DELETE ON revisions BEGIN SELECT raise(ABORT, 'not now'); END")
    assert one.request("DELETE", PATH).status == 200
    wait_until(lambda: "a removed model is not deleted yet; tried again" in one.log())
    one.kill()
    left = rows(one)
    assert left["contents"] == left["sweeps"] == 0 and left["revisions"] > 0 and left["models"] == 1
    one.start()
    assert one.get(PATH).status == 404 and one.read("/v1/models")["models"] == []
    assert one.wait(one.sweep(MODEL, **FEW))["state"] == "done"  # its name is free meanwhile
    alter(one, "DROP TRIGGER stop")
    one.sweep(MODEL, revisions={"names": ["step0"]})  # any change, so that it is not ten seconds until the next turn
    wait_gone(one)
    assert rows(one)["models"] == 1 and {row["revision"] for row in one.series(MODEL)} >= set(NAMES)
    assert one.log().count("a removed model is not deleted yet") == 2, "once for each process"
    assert read(one, "PRAGMA integrity_check") == [("ok",)] and read(one, "PRAGMA foreign_key_check") == []


def test_plans_are_made_while_a_large_model_goes(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path) -> None:
    """A sweep that waits for its plan when a removal begins gets it before all rows have gone. What was left then, a trigger notes:
    no clock decides."""
    one = daemon(make_hub(garden))
    alter(one, "CREATE TRIGGER hold BEFORE UPDATE OF state ON sweeps BEGIN SELECT raise(ABORT, 'not now'); END")
    sweep = one.sweep(MODEL, revisions={"names": ["step0"]})
    wait_until(lambda: "planning failed" in one.log())
    one.kill()
    with sqlite3.connect(one.db) as database:
        database.executescript("""
            DROP TRIGGER hold;
            INSERT INTO models (name, kind, removed, created_ms, updated_ms) VALUES ('removed:9', 'hub', 'a/large-one', 0, 0);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
                INSERT INTO revisions (model_id, name, commit_sha, step, first_seen_ms)
                SELECT (SELECT max(id) FROM models), 'step' || i, hex(randomblob(20)), i, 0 FROM n;
            CREATE TABLE noted (remaining INTEGER NOT NULL);
            CREATE TRIGGER note AFTER UPDATE OF state ON sweeps WHEN new.state = 'running'
                BEGIN INSERT INTO noted SELECT count(*) FROM revisions WHERE first_seen_ms = 0; END;
            """)
    one.start()
    assert one.wait(sweep)["state"] == "done"
    assert read(one, "SELECT remaining FROM noted")[0][0] >= 1000
    wait_gone(one)
    assert read(one, "SELECT count(*) FROM revisions WHERE first_seen_ms = 0") == [(0,)]
    assert one.told("the data of a removed model was deleted", "model=a/large-one")


def test_it_needs_a_token_of_scope_admin(programs: dict[str, Path], daemon: Callable[..., Daemon], hub: Emulator, tmp_path: Path) -> None:
    """One that starts sweeps each night must not be able to take from others what they have measured."""
    (tmp_path / "token").write_text("a-file-of-its-own-token\n")
    one = daemon(hub, "--token-file", str(tmp_path / "token"))
    keys = Keys(programs["bifurcated"], one)
    admin = bearer(keys.make("me", "admin"))
    sweep = one.post("/v1/sweeps", {"model": "no/such-model"}, admin).json()["id"]
    assert one.wait(sweep)["state"] == "failed"
    assert one.request("DELETE", "/v1/models/no/such-model").status == 401
    for scope in ("read", "sweep", "worker"):
        answer = one.request("DELETE", "/v1/models/no/such-model", None, bearer(keys.make(scope, scope)))
        assert answer.status == 403 and "lacks the scope admin" in answer.json()["detail"]
    assert one.get(f"/v1/sweeps/{sweep}").status == 200
    assert one.request("DELETE", "/v1/models/no/such-model", None, admin).status == 200
    assert one.told("model removed model=no/such-model by=me by_token=1")


@pytest.fixture
def answering(programs: dict[str, Path]) -> Callable[..., tuple[int, str, str]]:
    """Runs the client with its input and its errors on a terminal, at which somebody types `line`."""

    def run(one: Daemon, line: str, *arguments: str) -> tuple[int, str, str]:
        ours, theirs = pty.openpty()
        command = [str(programs["bifurcate"]), *arguments]
        env = one.env | {"BIFURCATE_SERVER": one.url}
        process = subprocess.Popen(command, env=env, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, text=True)
        os.close(theirs)
        os.write(ours, line.encode())
        stdout = process.communicate(timeout=60)[0]
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        return process.returncode, stdout, shown.decode().replace("\r\n", "\n")

    return run


def test_the_client_asks(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, answering: Callable[..., Any]) -> None:
    one = daemon(make_hub(garden))
    assert one.wait(one.sweep(MODEL, **FEW))["state"] == "done"
    assert one.client("watch", MODEL, "--at", "02:30").returncode == 0
    dry = one.client("remove", MODEL, "--dry-run")
    assert dry.returncode == 0 and dry.stdout.splitlines()[0] == MODEL and "  sweeps        1, with 4 tasks\n" in dry.stdout
    assert "  watch         with 0 deliveries\n" in dry.stdout and "removed" not in dry.stdout
    told = json.loads(one.client("remove", MODEL, "--dry-run", "--json").stdout)
    assert told["is_dry_run"] and told["tasks"] == 4
    mute = one.client("remove", MODEL)
    assert mute.returncode == 2 and mute.stderr.endswith("bifurcate: there is no terminal to ask on: repeat it with --yes, or with --dry-run\n")
    for line in ("n\n", "\n", "\x04", "yesterday\n"):
        status, stdout, shown = answering(one, line, "remove", MODEL)
        assert status == 5 and stdout == "" and "[y/N]" in shown and shown.endswith("bifurcate: nothing was removed\n"), shown
        assert ("[y/N] \nbifurcate" in shown) == (line == "\x04"), "no answer ends no line"
        assert one.get(PATH).status == 200
    status, stdout, shown = answering(one, "y\n", "remove", MODEL)
    assert status == 0 and stdout == "All of it is removed.\n" and dry.stdout in shown, shown
    assert one.get(PATH).status == 404
    unknown = one.client("remove", MODEL, "--yes")
    assert unknown.returncode == 4 and f"model {MODEL} is not known" in unknown.stderr
    assert one.wait(one.sweep(MODEL, **FEW))["state"] == "done"
    done = one.client("remove", MODEL, "--yes", "--json")
    assert done.returncode == 0 and json.loads(done.stdout) == told | {"is_dry_run": False, "is_watched": False}
