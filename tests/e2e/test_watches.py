"""Watches: what is new, moved or gone is found by one request, and swept with the least work."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Callable

import pytest
from running import Daemon, model_path, wait_until

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
HERE = f"/v1/watches/{model_path(MODEL)}"
LONG = {"every_minutes": 1440}  # no run of its own accord within a test, but for the first


def watch_now(daemon: Daemon, path: str = HERE) -> dict[str, Any]:
    """Asks for a run and returns the watch after it; the sweep that it started, if any, has ended."""
    before = daemon.get(path).json()["last_run_at"]
    assert daemon.post(f"{path}/runs").status == 202
    return after_run(daemon, before, path)


def after_run(daemon: Daemon, before: str | None, path: str = HERE) -> dict[str, Any]:
    wait_until(lambda: daemon.get(path).json()["last_run_at"] != before)
    watch = daemon.get(path).json()
    if watch["last_sweep"]:
        daemon.wait(watch["last_sweep"])
    return watch


def put(daemon: Daemon, value: dict[str, Any], path: str = HERE, status: int = 201) -> dict[str, Any]:
    answer = daemon.request("PUT", path, value)
    assert answer.status == status, answer
    return answer.json()


def first_run(daemon: Daemon, value: dict[str, Any], path: str = HERE) -> dict[str, Any]:
    """Makes a watch; the watch after its first run, which may be over before the answer is read."""
    put(daemon, value, path)
    return after_run(daemon, None, path)


def api_requests(hub: Emulator) -> list[str]:
    return [line["target"].split("?")[0] for line in hub.log()]


def swept_names(daemon: Daemon, sweep: int) -> list[str]:
    tasks = daemon.get(f"/v1/sweeps/{sweep}/tasks?limit=1000").json()["tasks"]
    return [task["revision"] for task in tasks]


def tensor_bytes(hub: Emulator) -> int:
    return hub.stats()["bytes"].get("cdn", 0)


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
            "UPDATE watches SET since_ms = since_ms - ?1, run_ms = run_ms - ?1, created_ms = created_ms - ?1",
            (days * 86400 * 1000,),
        )
    connection.close()


def test_missed_runs_are_made_up_for_once(daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    hub = make_hub(garden)
    one = daemon(hub, env={"TZ": "Asia/Kathmandu"})
    watch = put(one, {"at": "02:30", "revisions": {"names": ["step0"]}})
    assert watch["last_run_at"] is None and watch["next_run_at"].endswith("T20:45:00.000Z")  # 02:30 less 05:45
    assert watch_now(one)["last_run"]["swept"] == 1
    one.stop()
    set_back(one.db, 4)
    hub.reset()
    one.start()
    wait_until(lambda: len(api_requests(hub)) > 0)
    wait_until(lambda: one.get(HERE).json()["last_run"]["outcome"] == "unchanged")
    ran = one.get(HERE).json()
    assert ran["next_run_at"].endswith("T20:45:00.000Z") and ran["next_run_at"] > ran["last_run_at"]
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


# ---- a folder that a trainer writes into ---------------------------------------------------------


def test_a_trainer_that_still_writes(daemon: Callable[..., Daemon], garden: Path, tmp_path: Path) -> None:
    source = garden / "models" / MODEL
    run = tmp_path / "run"
    here = f"/v1/watches/{model_path(f'file:{run}')}"

    def write(name: str, files: list[str], age_s: float = 3600, cut: int = 0) -> None:
        """Copies files of the source's folder of this name; all but the last `cut` bytes of the last file."""
        (run / name).mkdir(parents=True, exist_ok=True)
        for file in files:
            data = (source / name / file).read_bytes()
            target = run / name / file
            target.write_bytes(data[: len(data) - cut] if file == files[-1] and cut else data)
        for file in (run / name).iterdir():
            os.utime(file, (time.time() - age_s, time.time() - age_s))

    def whole(name: str) -> list[str]:
        return sorted(file.name for file in (source / name).iterdir() if file.is_file())

    assert len([file for file in whole("step128") if file.endswith(".safetensors")]) == 4
    write("step0", whole("step0"))
    write("step16", whole("step16"))
    write("step32", ["config.json"], age_s=0)  # its weights are to come
    write("step128", [file for file in whole("step128") if "00003" not in file])
    one = daemon(None)
    first = first_run(one, LONG, here)
    assert swept_names(one, first["last_sweep"]) == ["step0", "step16"]
    unfinished = {row["revision"]: row["reason"] for row in first["last_run"]["unfinished"]}
    assert set(unfinished) == {"step32", "step128"}
    assert "changed less than" in unfinished["step32"] and "00003" in unfinished["step128"]
    # What is being written is looked at again soon, not only the next night.
    soon = datetime.fromisoformat(first["next_run_at"]) - datetime.fromisoformat(first["last_run_at"])
    assert 0 < soon.total_seconds() < 120

    write("step32", ["config.json", "model.safetensors"], cut=7)  # quiet, but not whole
    write("step128", whole("step128"), age_s=0)  # whole, but a moment ago
    second = watch_now(one, here)
    assert second["last_run"]["outcome"] == "unchanged" and second["last_sweep"] is None
    assert second["last_run"]["swept"] == 0
    shown = one.client("watch", f"file:{run}").stdout
    assert "nothing to sweep yet\n" in shown and "unfinished step128" in shown and "every 1440 minutes" in shown
    unfinished = {row["revision"]: row["reason"] for row in second["last_run"]["unfinished"]}
    assert "model.safetensors" in unfinished["step32"] and "changed less than" in unfinished["step128"]

    write("step32", whole("step32"))
    write("step128", whole("step128"))
    third = watch_now(one, here)
    assert third["last_run"]["unfinished"] == []
    assert swept_names(one, third["last_sweep"]) == ["step32", "step128"]
    assert one.get(f"/v1/sweeps/{third['last_sweep']}").json()["state"] == "done"
    rows = one.series(f"file:{run}")
    assert [(row["revision"], row["state"]) for row in rows] == [
        (name, "measured") for name in ("step0", "step16", "step32", "step128")
    ]
    assert [row["lag1_reference"] for row in rows] == [None, "step0", "step16", "step32"]


def test_a_trainer_that_deletes_old_checkpoints(
    daemon: Callable[..., Daemon], garden: Path, tmp_path: Path, tensors: dict[str, Any]
) -> None:
    """What was measured stays in the series as it was, for as long as the folder holds the same run."""
    import reference

    run = tmp_path / "run"
    model, here = f"file:{run}", f"/v1/watches/{model_path(f'file:{run}')}"

    def write(step: int, source: str) -> None:
        shutil.copytree(garden / "models" / MODEL / source, run / f"checkpoint-{step}", dirs_exist_ok=True)
        for file in (run / f"checkpoint-{step}").iterdir():
            os.utime(file, (time.time() - 3600, time.time() - 3600))

    def rows(*fields: str) -> list[tuple[Any, ...]]:
        return [tuple(row[field] for field in fields) for row in one.series(model)]

    for step, source in ((500, "step0"), (1000, "step64"), (1500, "step128")):
        write(step, source)
    one = daemon(None)
    first_run(one, LONG, here)
    before = rows("revision", "msd", "lag1_msd", "measured_at")
    assert len(before) == 3

    for step in (500, 1000):
        shutil.rmtree(run / f"checkpoint-{step}")
    assert watch_now(one, here)["last_run"]["outcome"] == "unchanged"
    write(2000, "step256")
    assert watch_now(one, here)["last_run"]["gone"]["count"] == 0
    now = rows("revision", "msd", "lag1_msd", "measured_at")
    assert now[:3] == before and now[3][0] == "checkpoint-2000" and now[3][2] > 0
    assert [row["lag1_reference"] for row in one.series(model)] == [None, "checkpoint-500", "checkpoint-1000", "checkpoint-1500"]
    assert watch_now(one, here)["last_run"]["outcome"] == "unchanged"  # nor is there anything to be measured again
    for name in ("checkpoint-500", "checkpoint-1000"):
        refused = one.wait(one.sweep(model, revisions={"names": [name]}))
        assert refused["state"] == "failed" and f"{name} was deleted" in refused["error"]["message"], refused
    assert one.wait(one.sweep(model, reference="checkpoint-1000"))["state"] == "done"
    assert rows("revision", "measured_at") == [(row[0], row[3]) for row in now]

    def restart_and_measure(step: int, source: str) -> dict[str, Any]:
        one.stop()  # with its memory goes the tensor that displacements start from
        one.start()
        write(step, source)
        assert watch_now(one, here)["last_run"]["swept"] == 1
        last = one.series(model)[-1]
        assert last["state"] == "measured" and last["lag1_msd"] > 0 and last["dip"] > 0
        assert watch_now(one, here)["last_run"]["outcome"] == "unchanged"
        return last

    def kept() -> list[Path]:
        return [file for file in (one.state / "references").rglob("*") if file.is_file()]

    last = restart_and_measure(2500, "step512")
    known = reference.displacement(tensors["step512"], tensors["step0"], "all")
    assert last["msd"] == pytest.approx(known["msd"], rel=1e-9) and last["reference"] == "checkpoint-500"
    assert len(kept()) == 2  # step0, and step64, which a sweep has named; nothing of what is only passed by
    assert one.get("/v1/status").json()["daemon"]["reference_bytes_on_disk"] == sum(file.stat().st_size for file in kept())
    for file in kept():  # what is damaged is not taken, and does not stay
        file.write_bytes(bytes(file.stat().st_size))
    assert restart_and_measure(3000, "step1000")["msd"] is None
    assert one.told("a displacement is left out") and len(kept()) == 1

    shutil.rmtree(run)  # another run begins in the same folder
    for step, source in ((400, "step1"), (800, "step2")):
        write(step, source)
    last = watch_now(one, here)["last_run"]
    assert last["gone"]["count"] == 6 and rows("revision") == [("checkpoint-400",), ("checkpoint-800",)]
    one.stop()
    for file in kept():  # nobody has used them for long
        os.utime(file, (time.time() - 7200, time.time() - 7200))
    one.start()
    wait_until(lambda: len(kept()) == 1)
    write(1200, "step4")  # is measured against what is kept of that run
    assert watch_now(one, here)["last_run"]["swept"] == 1 and one.series(model)[-1]["msd"] > 0 and len(kept()) == 1


def test_a_second_run_that_reuses_names(daemon: Callable[..., Daemon], garden: Path, tmp_path: Path) -> None:
    """What a run before has left leaves the series, as soon as weights tell; one that went on from it keeps what it came from."""
    run = tmp_path / "run"
    model, here = f"file:{run}", f"/v1/watches/{model_path(f'file:{run}')}"
    written = 0

    def write(step: int, source: str, is_other_run: bool = False) -> None:
        nonlocal written
        written += 1
        place = run / f"checkpoint-{step}"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(garden / "models" / MODEL / source, place, symlinks=False)
        if is_other_run:  # as of other random numbers: the same values in another order
            weights = (place / "model.safetensors").read_bytes()
            start = 8 + int.from_bytes(weights[:8], "little")
            values = [weights[i : i + 2] for i in range(start, len(weights), 2)]
            (place / "model.safetensors").write_bytes(weights[:start] + b"".join(reversed(values)))
        for file in place.iterdir():
            os.utime(file, (time.time() - 3600, time.time() - 7200 + written))

    def delete(*steps: int) -> None:
        for step in steps:
            shutil.rmtree(run / f"checkpoint-{step}")

    def steps() -> list[int]:
        return [row["step"] for row in one.series(model)]

    def rewritten() -> list[tuple[str, bool]]:
        found = [one for one in one_audit()["findings"] if one["kind"] == "rewritten"]
        return [(finding["revision"], finding["evidence"] > 0.5) for finding in found]

    def one_audit() -> dict[str, Any]:
        return one.get(f"/v1/models/{model_path(model)}/audit").json()

    for step, source in ((500, "step0"), (1000, "step512"), (2000, "step10000"), (3000, "step11000")):
        write(step, source)
    one = daemon(None)
    first_run(one, LONG, here)
    assert steps() == [500, 1000, 2000, 3000] and rewritten() == []

    delete(500, 1000, 3000)  # training went on from 1000, and what is seen of it is rewritten and farther on
    write(2000, "step11000")
    write(4000, "step10000")
    watch_now(one, here)
    assert rewritten() == [("checkpoint-2000", True)]
    watch_now(one, here)  # step 3000 is of the way that was left
    assert steps() == [500, 1000, 2000, 4000]
    assert {row["reference"] for row in one.series(model)} == {"checkpoint-500"}
    assert one.series(model)[-1]["lag1_reference"] == "checkpoint-2000"

    shutil.copytree(run, tmp_path / "copy")  # a copy is no other run, though each commit is another
    shutil.rmtree(run)
    (tmp_path / "copy").rename(run)
    watch_now(one, here)
    watch_now(one, here)
    assert steps() == [500, 1000, 2000, 4000]

    for step, source in ((2000, "step10000"), (4000, "step11000")):
        write(step, source, is_other_run=True)
    watch_now(one, here)
    assert rewritten() == [("checkpoint-2000", False), ("checkpoint-4000", False)]
    assert "another run took this folder" in one_audit()["findings"][0]["text"]
    watch_now(one, here)
    assert steps() == [2000, 4000]
    assert [row["reference"] for row in one.series(model)] == ["checkpoint-2000"] * 2
    delete(2000)
    write(5000, "step11000", is_other_run=True)
    watch_now(one, here)
    assert steps() == [2000, 4000, 5000]  # of this run


# ---- the client ----------------------------------------------------------------------------------


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


def test_client(daemon: Callable[..., Daemon], make_hub: Any, garden: Path, tmp_path: Path) -> None:
    one = daemon(make_hub(garden))
    none = one.client("watch", MODEL)
    assert none.returncode == 4 and "this model is not watched" in none.stderr, none
    for wrong in (["--at", "2:30"], ["--at", "02:30", "--every-minutes", "5"], ["--from", "5"], ["--secret-file", "x"]):
        refused = one.client("watch", MODEL, *wrong)
        assert refused.returncode == 2 and not refused.stdout, refused
    (tmp_path / "secret").write_text("a secret of some length\n")
    hook = ["--webhook", "http://127.0.0.1:9/hook", "--secret-file", str(tmp_path / "secret")]
    made = one.client("watch", MODEL, "--at", "02:30", "--revision", "step0", "--priority", "-3", *hook, "--now")
    assert made.returncode == 0 and f"{MODEL} is watched every day at 02:30" in made.stdout, made
    assert one.get(HERE).json()["request"]["revisions"] == {"names": ["step0"]}
    wait_until(lambda: one.get(HERE).json()["last_sweep"] is not None)
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

    gone = one.client("unwatch", MODEL)
    assert gone.returncode == 0 and "not watched any more" in gone.stdout, gone
    assert one.client("unwatch", MODEL).returncode == 4
    who = f"model={MODEL} by=loopback by_token=0"
    assert re.findall(r"(watch (?:made|changed|deleted).*)", one.log()) == [f"watch {done} {who}" for done in ("made", "changed", "deleted")]
    assert "a secret" not in one.log()
