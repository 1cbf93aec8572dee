"""Watches: what is new, moved or gone is found by one request, and swept with the least work."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

from running import Daemon, model_path, wait_until
from watches import HERE, LONG, MODEL, api_requests, first_run, put, swept_names, tensor_bytes, watch_now


def test_new_moved_and_deleted_branches(daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    hub = make_hub(garden)
    hub.move_branch(MODEL, "step15000", "step64")
    hub.delete_branch(MODEL, "step15000")
    one = daemon(hub)
    first = first_run(one, LONG)
    assert first["last_run"]["outcome"] == "sweeping" and first["last_run"]["new"]["count"] == 26  # with main
    assert first["last_run"]["swept"] == 25 and first["request"] == {"model": MODEL}
    sweep = one.get(f"/v1/sweeps/{first['last_sweep']}").json()
    assert sweep["state"] == "done" and sweep["watch_id"] == first["id"]
    whole = one.series(MODEL)
    assert [row["state"] for row in whole] == ["measured"] * 25

    # Nothing is new: one request, no sweep, and readers' ETags stay good.
    etag = one.get(f"/v1/models/{model_path(MODEL)}/revisions").headers["ETag"]
    hub.reset()
    same = watch_now(one)
    assert same["last_run"]["outcome"] == "unchanged" and same["last_sweep"] is None
    assert same["last_run"]["hub_requests"] == 1
    assert api_requests(hub) == [f"/api/models/{MODEL}/refs"]
    assert one.get(f"/v1/models/{model_path(MODEL)}/revisions").headers["ETag"] == etag

    # A new branch with a file that is known, a moved one with content of its own, and one that is gone.
    hub.move_branch(MODEL, "step15000", "step64")
    hub.move_branch(MODEL, "step13000", "step8000")
    hub.delete_branch(MODEL, "step12000")
    hub.reset()
    found = watch_now(one)
    report = found["last_run"]
    assert report["new"] == {"count": 1, "names": ["step15000"]}
    assert report["moved"] == {"count": 1, "names": ["step13000"]}
    assert report["gone"] == {"count": 1, "names": ["step12000"]}
    # step14000 is not new, but its displacement was against what step13000 held before.
    assert swept_names(one, found["last_sweep"]) == ["step13000", "step14000", "step15000"]
    rows = {row["revision"]: row for row in one.series(MODEL)}
    assert "step12000" not in rows and len(rows) == 25
    assert rows["step13000"]["lag1_reference"] == "step11000"
    assert rows["step14000"]["lag1_reference"] == "step13000"
    # Known digests are not fetched; displacements between known contents need both tensors, whose pairs are new.
    tensor = 512 * 64 * 2
    pairs = 3  # 13000 against 11000, 14000 against 13000, 15000 against 14000
    assert tensor_bytes(hub) <= (2 * pairs) * (tensor + 64 * 1024)
    listings = [path for path in api_requests(hub) if "/tree/" in path]
    assert len(listings) == 2, listings  # of the two commits that were not known
    refs = [path for path in api_requests(hub) if "/refs" in path]
    assert len(refs) == 2  # the look, and the plan of its sweep

    # The same series as a daemon has that sweeps all at once, now.
    other = daemon(hub)
    other.wait(other.sweep(MODEL))
    volatile = ("bytes_fetched", "measured_at", "first_seen_at")
    essence = lambda series: [{k: v for k, v in row.items() if k not in volatile} for row in series]  # noqa: E731
    assert essence(one.series(MODEL)) == essence(other.series(MODEL))

    hub.reset()
    assert watch_now(one)["last_run"]["outcome"] == "unchanged"
    assert len(api_requests(hub)) == 1


def test_more_names_than_a_request_holds(daemon: Callable[..., Daemon], make_hub: Any, tmp_path: Path) -> None:
    """A model with thousands of long names must not hold up the watches of others: what does not fit waits."""
    run = tmp_path / "root/models/org/many"
    (run / "_one").mkdir(parents=True)
    (run / "_one/config.json").write_text("{}")
    names = [f"{'0' * 236}-step{number}" for number in range(5000)]
    (run / "branches.json").write_text(json.dumps({"branches": dict.fromkeys(names, "_one")}))
    hub = make_hub(tmp_path / "root")
    one = daemon(hub, "--fetchers", "0")
    here = "/v1/watches/org/many"
    put(one, {**LONG, "revisions": {"rule": f"{'0' * 236}-step{{step}}"}}, here)
    wait_until(lambda: one.get(here).json()["last_run"] is not None)
    watch = one.get(here).json()
    assert one.request("DELETE", f"/v1/sweeps/{watch['last_sweep']}").status in (200, 202, 204)
    assert watch["last_run"]["outcome"] == "sweeping" and 0 < watch["last_run"]["swept"] < len(names)
    assert "watches cannot be kept" not in one.log()


# ---- when ----------------------------------------------------------------------------------------


def set_back(db: Path, days: int) -> None:
    """As if the watch had been made, and had run last, so many days ago."""
    with sqlite3.connect(db) as connection:
        connection.execute(
            "UPDATE watches SET since_ms = since_ms - :ms, run_ms = run_ms - :ms, created_ms = created_ms - :ms",
            {"ms": days * 86400 * 1000},
        )
    connection.close()


def test_missed_runs_are_made_up_for_once(daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    hub = make_hub(garden)
    one = daemon(hub, env={"TZ": "Asia/Kathmandu"})
    later = datetime.now(timezone.utc) + timedelta(hours=12)
    local, moment = later + timedelta(hours=5, minutes=45), f"{later:T%H:%M}:00.000Z"
    watch = put(one, {"at": f"{local:%H:%M}", "revisions": {"names": ["step0"]}})
    assert watch["last_run_at"] is None and watch["next_run_at"].endswith(moment)
    assert watch_now(one)["last_run"]["swept"] == 1
    one.stop()
    set_back(one.db, 4)
    hub.reset()
    one.start()
    wait_until(lambda: len(api_requests(hub)) > 0)
    wait_until(lambda: one.get(HERE).json()["last_run"]["outcome"] == "unchanged")
    ran = one.get(HERE).json()
    assert ran["next_run_at"].endswith(moment) and ran["next_run_at"] > ran["last_run_at"]
    one.restart()
    wait_until(lambda: one.get("/readyz").status == 200)
    time.sleep(1)  # a second run would begin at once
    assert api_requests(hub) == [f"/api/models/{MODEL}/refs"]  # four nights, one look
    assert one.get(HERE).json()["last_run_at"] == ran["last_run_at"]


def test_a_sweep_that_still_runs_is_not_doubled(daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    hub = make_hub(garden)
    hub.fault("hold", route="cdn", revision="step32")
    one = daemon(hub, "--fetchers", "1")
    first = put(one, {**LONG, "revisions": {"to": 64}})
    wait_until(lambda: one.get(HERE).json()["last_sweep"] is not None)
    sweep = one.get(HERE).json()["last_sweep"]
    before = one.get(HERE).json()["last_run_at"]
    assert one.post(f"{HERE}/runs").status == 202
    wait_until(lambda: one.get(HERE).json()["last_run_at"] != before)
    again = one.get(HERE).json()
    assert again["id"] == first["id"] and again["last_run"]["outcome"] == "skipped"
    assert f"skipped, since sweep {sweep} of an earlier run had not ended" in one.client("watch", MODEL).stdout
    assert again["last_run"]["unfinished_sweep"] == sweep and again["last_run"]["hub_requests"] == 0
    hub.clear_faults()
    assert one.wait(sweep)["state"] == "done"
    assert [row["id"] for row in one.get("/v1/sweeps").json()["sweeps"]] == [sweep]
    assert watch_now(one)["last_run"]["outcome"] == "unchanged"


def test_a_hub_that_is_down(daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    """The run says why, is tried again by itself, and what failed for a passing reason is swept by the next run."""
    hub = make_hub(garden)
    one = daemon(hub, "--attempts", "1", "--retry-delay-s", "0")
    hub.fault("status", status=404, path="/refs", times=1)
    failed = first_run(one, {**LONG, "revisions": {"names": ["step0", "step512"]}})
    assert failed["last_run"]["outcome"] == "missing" and failed["last_run"]["error"]["code"] == "not_found"  # nobody has seen the model yet
    assert "there is no such model; is its name right, or does its trainer make it later?" in one.client("watch", MODEL).stdout
    soon = datetime.fromisoformat(failed["next_run_at"]) - datetime.fromisoformat(failed["last_run_at"])
    assert 0 < soon.total_seconds() < 120  # a hub in trouble calls models unknown, too
    hub.fault("status", status=418, revision=hub.sha(MODEL, "step512"), file="safetensors")
    found = watch_now(one)
    assert found["last_run"]["swept"] == 2
    assert one.get(f"/v1/sweeps/{found['last_sweep']}").json()["progress"]["failed"] == 1
    hub.clear_faults()
    found = watch_now(one)
    assert swept_names(one, found["last_sweep"]) == ["step512"]
    metrics = one.get("/metrics").text
    assert 'bifurcated_watch_runs_total{outcome="missing"} 1' in metrics
    assert 'bifurcated_watch_runs_total{outcome="sweeping"} 2' in metrics


def test_a_sweep_without_hope_is_not_made_again(daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    """What it left untried is not due until the request is another, and the watch says so."""
    hub = make_hub(garden)
    one = daemon(hub)
    failed = first_run(one, {**LONG, "tensors": ["embed_uot.weight"]})
    assert failed["last_sweep_state"] == "failed" or one.wait(failed["last_sweep"])["state"] == "failed"
    reason = one.get(HERE).json()["last_sweep_error"]
    untried = re.match(r"\d+ of 25 revisions failed, and (\d+) were not tried, ", reason)
    assert untried and 15 <= int(untried[1]) <= 17, reason
    assert reason in one.client("watch", MODEL).stdout
    again = watch_now(one)
    count = int(untried[1])
    assert again["last_run"]["outcome"] == "unchanged" and again["last_sweep"] is None
    assert again["last_run"]["untried"] == {"count": count, "sweep": failed["last_sweep"], "reason": reason}
    shown = one.client("watch", MODEL).stdout
    assert f"{count} are not tried again by the watch as it is: sweep {failed['last_sweep']}: {reason}" in shown, shown
    put(one, {**LONG, "tensors": ["embed_out.weight"]}, status=200)
    mended = watch_now(one)
    assert mended["last_run"]["swept"] == 25 and "untried" not in mended["last_run"]
    assert one.get(f"/v1/sweeps/{mended['last_sweep']}").json()["state"] == "done"


def test_a_database_that_cannot_be_written(daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    """The hub is not asked again and again for what cannot be noted; later it is."""
    hub = make_hub(garden)
    one = daemon(hub)
    first_run(one, {**LONG, "revisions": {"names": ["step0"]}})
    one.stop()
    set_back(one.db, 4)
    hub.reset()
    with sqlite3.connect(one.db) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE UPDATE OF run_report ON watches BEGIN SELECT raise(ABORT, 'disk is full'); END"
        )
    connection.close()
    one.start()
    wait_until(lambda: one.log().count("watches cannot be kept") >= 2)  # after pauses of 2 s and 4 s
    assert len(api_requests(hub)) <= 3
    assert one.get("/healthz").status == 200
    assert one.told("watches cannot be kept", "disk is full")
    one.stop()
    with sqlite3.connect(one.db) as connection:
        connection.execute("DROP TRIGGER full")
    connection.close()
    one.start()
    wait_until(lambda: one.get(HERE).json()["last_run"]["outcome"] == "unchanged")


def test_two_people_change_a_watch(daemon: Callable[..., Daemon]) -> None:
    """Who names what was read (If-Match) does not overwrite what somebody else has changed meanwhile."""
    one = daemon(None)

    def change(method: str, value: dict[str, Any] | None, name: str, sent: str) -> int:
        answer = one.request(method, HERE, value, {name: sent})
        if answer.status == 412:
            assert answer.json()["field"] == name and answer.json()["code"] == "conflict"
        return answer.status

    def tag(headers: dict[str, str] | None = None) -> str:
        return one.get(HERE, headers).headers["ETag"]

    assert change("PUT", {"at": "03:00"}, "If-Match", "*") == 412 and one.get(HERE).status == 404
    assert change("DELETE", None, "If-Match", "*") == 404
    assert change("PUT", {"at": "03:00"}, "If-None-Match", "*") == 201
    assert change("PUT", {"at": "04:00"}, "If-None-Match", "*") == 412
    read = tag()
    assert change("PUT", {"at": "04:00"}, "If-Match", f'"0123", {read}') == 200
    assert change("PUT", {"at": "05:00"}, "If-Match", read) == change("DELETE", None, "If-Match", read) == 412
    assert change("PUT", {"at": "05:00"}, "If-None-Match", tag()) == 412
    assert one.get(HERE).json()["at"] == "04:00"
    large = {"at": "04:00", "revisions": {"names": [f"step{i}" for i in range(500)]}}
    assert change("PUT", large, "If-Match", "*") == 200
    coded = tag({"Accept-Encoding": "gzip"})
    assert change("PUT", {"at": "06:00"}, "If-Match", f"W/{coded}") == 412  # says only that it was much like this
    assert coded.endswith('-gzip"') and change("PUT", {"at": "06:00"}, "If-Match", coded) == 200
    read = tag()
    assert one.post(f"{HERE}/runs").status == 202 and tag() != read  # is due now: it shows, and is no change
    assert change("PUT", {"at": "07:00"}, "If-Match", read) == 200
    read = tag()
    with ThreadPoolExecutor(8) as people:  # all have read the same
        got = list(people.map(lambda hour: change("PUT", {"at": f"{hour:02}:30"}, "If-Match", read), range(8)))
    assert sorted(got) == [200] + [412] * 7
    assert change("DELETE", None, "If-Match", tag()) == 204 and one.get(HERE).status == 404


def test_client(daemon: Callable[..., Daemon], make_hub: Any, garden: Path, tmp_path: Path, programs: dict[str, Path]) -> None:
    hub = make_hub(garden)
    one = daemon(hub)
    none = one.client("watch", MODEL)
    assert none.returncode == 4 and "this model is not watched" in none.stderr, none
    for wrong in (["--at", "2:30"], ["--at", "02:30", "--every-minutes", "5"], ["--from", "5"], ["--secret-file", "x"]):
        refused = one.client("watch", MODEL, *wrong)
        assert refused.returncode == 2 and not refused.stdout, refused
    (tmp_path / "secret").write_text("a secret of some length\n")
    hook = ["--webhook", "http://127.0.0.1:9/hook", "--secret-file", str(tmp_path / "secret")]
    made = one.client("watch", MODEL, "--at", "02:30", "--revision", "step0", "--priority", "-3", *hook, "--now")
    assert made.returncode == 0 and f"{MODEL} is watched every day at 02:30" in made.stdout, made
    assert re.search(r"^last run .*: sweep \d+ of 1 revisions", made.stdout, re.M) and "  new 26:" in made.stdout, "what it found, not what was before"
    assert one.get(HERE).json()["request"]["revisions"] == {"names": ["step0"]}
    sweep = one.get(HERE).json()["last_sweep"]
    one.wait(sweep)
    wait_until(lambda: one.get(HERE).json()["webhook"]["deliveries"][:1] != [])
    shown = one.client("watch", MODEL)
    assert f"sweep {sweep} of 1 revisions: done\n" in shown.stdout and "  new 26:" in shown.stdout, shown
    assert "webhook http://127.0.0.1:9/…" in shown.stdout and "sweep.finished: pending" in shown.stdout, shown
    assert "a secret" not in shown.stdout
    table = one.client("watches")
    assert table.returncode == 0 and MODEL in table.stdout and "  done " in table.stdout and "sweeping" not in table.stdout, table
    assert one.get(HERE).json()["last_sweep_state"] == "done"
    rows = one.client("watches", "--csv").stdout.splitlines()
    assert rows[0].startswith("model,at,every_minutes") and rows[1].startswith(f"{MODEL},02:30,,"), rows
    listed = one.client("watches", "--json")
    assert '"every_minutes": null' in listed.stdout, listed

    # What happened to the sweep's only task.
    tasks = one.client("tasks", str(sweep), "--csv").stdout.splitlines()
    number, revision, state = tasks[1].split(",")[:3]
    assert (revision, state) == ("step0", "done")
    history = one.client("history", str(sweep), number, "--csv").stdout.splitlines()
    assert [line.split(",")[1] for line in history] == ["event", "plan", "claim", "record"]
    assert one.client("history", str(sweep), "999").returncode == 4

    once = one.client("watch", MODEL, "--at", "02:45", "--revision", "step0", "--now", "--json")
    assert json.loads(once.stdout)["at"] == "02:45", "one document, though there were two requests"

    hub.reset()
    held = hub.fault("hold", path="/refs")
    command = [str(programs["bifurcate"]), "watch", MODEL, "--now", "--server", one.url]
    looking = subprocess.Popen(command, env=one.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: any("/refs" in row["target"] for row in hub.log()))
    looking.send_signal(signal.SIGINT)
    assert looking.communicate() == ("", "bifurcate: interrupted; the look that was asked for goes on\n") and looking.returncode == 130
    hub.clear_faults(held)

    gone = one.client("unwatch", MODEL)
    assert gone.returncode == 0 and "not watched any more" in gone.stdout, gone
    assert one.client("unwatch", MODEL).returncode == 4
    who = f"model={MODEL} by=loopback by_token=0"
    assert re.findall(r"(watch (?:made|changed|deleted).*)", one.log()) == [f"watch {done} {who}" for done in ("made", "changed", "deleted")]
    assert "a secret" not in one.log()
