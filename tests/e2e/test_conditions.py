"""The machine misbehaves: clocks jump, the daemon is suspended, the database cannot be written, files have a size limit.

(Full disks: test_full_disk.py. A second daemon and signals: test_faults.py. Kills: test_crash.py, test_proof.py.)
"""

from __future__ import annotations

import datetime
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from running import SANITIZER, Daemon, model_path, wait_until
from workers import Worker, offer_to

from tests.hub import Emulator

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/proof"))

import stage  # noqa: E402  (tests/proof)

MODEL = "garden/neox-tiny"
DAY_S = 86400


def check_sound(db: Path) -> None:
    stage.check_sound(db)
    stage.check_history(db)


def expected_rows(names: set[str], garden: Path) -> dict[str, float]:
    np = pytest.importorskip("numpy", reason="numpy is the reference")
    import reference

    folders = reference.garden_folders(garden)
    return {name: float(np.var(array.astype(np.float64)))
            for name, array in reference.read_tensors({name: folders[name] for name in names}).items()}  # fmt: skip


def check_series(daemon: Daemon, garden: Path, count: int) -> None:
    rows = {row["revision"]: row for row in daemon.series(MODEL) if row["state"] == "measured"}
    assert len(rows) == count
    for name, variance in expected_rows(set(rows), garden).items():
        assert rows[name]["variance"] == pytest.approx(variance, rel=1e-9)


# ---- clocks --------------------------------------------------------------------------------------


def preload(name: str, folder: Path) -> dict[str, str]:
    """The environment of a program into which tests/proof/shim_NAME.c is loaded."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    shim = stage.compile_shim(name, folder)
    # sanitizers want to be first, but this object takes nothing of theirs
    return {"LD_PRELOAD": str(shim), "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}


@pytest.fixture
def clock(tmp_path: Path) -> tuple[Callable[[int], None], dict[str, str]]:
    """Sets the wall clock so many seconds ahead; the environment of a daemon that follows it."""
    place = tmp_path / "ahead"
    env = preload("clock", tmp_path)

    def set_ahead(seconds: int) -> None:
        place.with_suffix(".new").write_text(f"{seconds}\n")
        place.with_suffix(".new").rename(place)

    set_ahead(0)
    return set_ahead, env | {"PROOF_CLOCK": str(place)}


def seconds_of(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@pytest.mark.parametrize("jumps", [[-10 * DAY_S], [3600, -3600, 40 * DAY_S, 0]], ids=["back", "both"])
def test_clock_jumps(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, clock: Any,
                     jumps: list[int]) -> None:  # fmt: skip
    """In mid-sweep: leases that seem over, or to last for days, cost nothing but attempts."""
    set_ahead, env = clock
    hub = make_hub(garden)
    held = hub.fault("hold", route="cdn", revision="step32")
    running = daemon(hub, "--retry-delay-s", "1", env=env)
    number = running.sweep(MODEL, revisions={"to": 64})
    for done, ahead in enumerate(jumps):
        running.wait(number, lambda sweep: sweep["progress"]["done"] > done)  # noqa: B023
        set_ahead(ahead)
        progress = running.get(f"/v1/sweeps/{number}").json()["progress"]
        assert progress["seconds"] >= 0 and (progress["seconds_left"] or 0) >= 0, progress
    hub.clear_faults(held)
    end = running.wait(number)
    assert end["state"] == "done" and end["progress"]["seconds"] >= 0, end
    # the jumps reach the daemon: something was measured at the new time
    measured = [row["measured_at"] for row in running.series(MODEL) if row["state"] == "measured"]
    assert any(abs(seconds_of(text) - time.time() - jumps[-1]) < 600 for text in measured), measured
    check_series(running, garden, 8)
    assert running.stop() == 0
    check_sound(running.db)


def test_clock_is_set_back_during_a_pause(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path,
                                          clock: Any) -> None:  # fmt: skip
    """A task that waits for its next attempt does not wait for the clock to catch up."""
    set_ahead, env = clock
    hub = make_hub(garden)
    hub.fault("status", status=500, retry_after=0, revision="step1", file=r"pytorch_model\.bin")  # the hub client has soon tried enough
    running = daemon(hub, "--retry-delay-s", "1", "--attempts", "20", env=env)
    number = running.sweep(MODEL, revisions={"names": ["step0", "step1"]})
    wait_until(lambda: "task will be tried again" in running.log())
    set_ahead(-7200)
    hub.clear_faults()
    assert running.wait(number)["state"] == "done"  # running.SWEEP_S is far less than two hours
    check_sound(running.db)


def test_clock_jump_silences_no_worker(daemon: Callable[..., Daemon], clock: Any) -> None:
    """Who has just spoken is there, whatever the time is now: a sweep that others may not read is left to it."""
    set_ahead, env = clock
    running = daemon(None, "--fetchers", "0", env=env)
    assert running.post("/v1/claims", offer_to(running) | {"worker": "w/0"}).status == 204
    before = running.get("/v1/workers").json()["workers"][0]
    set_ahead(3600)
    assert running.get("/v1/workers").json()["workers"] == [before]
    assert "\nbifurcated_remote_workers 1\n" in running.get("/metrics").text


def test_a_clock_that_is_not_set(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path,
                                 programs: dict[str, Path], certificate: tuple[str, str], clock: Any) -> None:  # fmt: skip
    """As a machine boots without a battery: told, work goes on, and a watch looks once in each of its periods, in 1970, too."""
    set_ahead, env = clock
    front = ["--tls-certificate", certificate[0], "--tls-key", certificate[1]]
    running = daemon(make_hub(garden), *front, env=env)
    watch = {"every_minutes": 60, "metrics": ["statistics"], "revisions": {"names": ["step0"]}}
    assert running.request("PUT", f"/v1/watches/{model_path(MODEL)}", watch).status == 201
    wait_until(lambda: running.told("watched model checked"))
    assert "the clock of this machine is not set" not in running.log() and "clients refuse the certificate" not in running.log()
    set_ahead(-int(time.time()) + DAY_S)
    wait_until(lambda: running.log().count("watched model checked") == 2)
    running.restart()
    assert running.told("the clock of this machine is not set") and running.told("clients refuse the certificate", certificate[0])
    number = running.sweep(MODEL, revisions={"names": ["step1"]})
    assert running.wait(number)["state"] == "done"
    assert running.log().count("watched model checked") == 2
    words = ["check", "--json", "--state", running.state, "--listen", "127.0.0.1:0", *front]
    shown = subprocess.run([programs["bifurcated"], *words], env=running.env, capture_output=True, text=True, timeout=60)
    told = [row["text"] for row in json.loads(shown.stdout)["findings"] if row["subject"] in ("clock", "certificate")]
    assert ["says 1970-" in told[0], " behind that of http://" in told[1], f"{certificate[0]}: clients refuse it" in told[2]] == [True] * 3, told


def test_retention_under_a_clock_far_ahead(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path,
                                           programs: dict[str, Path], clock: Any) -> None:  # fmt: skip
    """As after a wrong entry, or a battery that died: what is old by that clock alone stays, and the log says why."""
    set_ahead, env = clock
    running = daemon(make_hub(garden), "--retention-days", "30", env=env)
    for name in ("step0", "step0"):
        running.wait(running.sweep(MODEL, revisions={"names": [name]}))
    set_ahead(3650 * DAY_S)
    running.restart()
    assert running.told("retention follows it slowly")
    assert len(running.get("/v1/sweeps").json()["sweeps"]) == 2 and "sweeps_deleted" not in running.log()
    running.stop()
    pruned = subprocess.run([programs["bifurcated"], "prune", "--state", running.state, "--retention-days", "30"],
                            env=running.env, capture_output=True, text=True, timeout=60)  # fmt: skip
    assert pruned.stdout.startswith("0 sweeps deleted, ") and "the clock is days ahead" in pruned.stdout, pruned


# ---- little address space ------------------------------------------------------------------------


def test_ends_where_a_library_waits_for_memory(programs: dict[str, Path], tmp_path: Path) -> None:
    """Under `ulimit -v` a thread of OpenBLAS may never end, for which its library waits in its destructor. That is put in its place."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    (tmp_path / "wait.c").write_text("#include <unistd.h>\n__attribute__((destructor)) static void wait(void) { for (;;) pause(); }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "wait.so", tmp_path / "wait.c"], check=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LD_PRELOAD": str(tmp_path / "wait.so"), "ASAN_OPTIONS": "verify_asan_link_order=0"}
    for words, status in ((["--state", "/dev/null/none"], 1), (["check", "--state", str(tmp_path)], 1), (["--version"], 0), (["nonsense"], 2)):
        done = subprocess.run([programs["bifurcated"], "--listen", "127.0.0.1:0", *words] if words[0] == "--state" else [programs["bifurcated"], *words],
                              env=env, capture_output=True, text=True, timeout=60,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 50, resource.RLIM_INFINITY)))  # fmt: skip
        assert done.returncode == status, (words, done)


# ---- time that passes ----------------------------------------------------------------------------


def test_heap_is_tended_in_every_turn(daemon: Callable[..., Daemon], worker: Callable[..., Worker], tmp_path: Path) -> None:
    """Both processes that stay give free memory back again and again, not only as they start."""
    env = preload("turns", tmp_path)
    counts = [tmp_path / "of-daemon", tmp_path / "of-worker"]
    running = daemon(None, "--fetchers", "0", env=env | {"PROOF_TURNS": str(counts[0])})
    worker(running, env=env | {"PROOF_TURNS": str(counts[1])})
    for count in counts:
        wait_until(lambda: count.exists() and count.stat().st_size > 3)  # noqa: B023


# ---- a suspended daemon --------------------------------------------------------------------------


def test_suspended_for_longer_than_its_leases(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path,
                                              clock: Any) -> None:  # fmt: skip
    """As on a laptop: the process stands still, and when it wakes the clock says that all leases are over."""
    set_ahead, env = clock
    hub = make_hub(garden)
    held = hub.fault("hold", route="cdn", revision="step32")
    running = daemon(hub, "--retry-delay-s", "1", env=env)
    number = running.sweep(MODEL, revisions={"to": 64})
    running.wait(number, lambda sweep: sweep["progress"]["running"] > 0 and sweep["progress"]["done"] > 0)
    running.process.send_signal(signal.SIGSTOP)
    set_ahead(8 * 3600)
    hub.clear_faults(held)
    running.process.send_signal(signal.SIGCONT)
    end = running.wait(number)
    assert end["state"] == "done", end
    check_series(running, garden, 8)
    assert running.stop() == 0
    check_sound(running.db)


# ---- a database that cannot be written -------------------------------------------------------------


def test_network_file_system(daemon: Callable[..., Daemon], hub: Emulator, programs: dict[str, Path], tmp_path: Path) -> None:
    """The daemon starts and `check` is no failure, but both say what may come of it; of a local disk neither does."""
    env = preload("nfs", tmp_path)
    one = daemon(hub, env=env)
    (told,) = [line for line in one.log().splitlines() if "network file system" in line]
    assert " warning " in told and "file_system=NFS" in told and f"state={one.state}" in told
    command = [programs["bifurcated"], "check", "--state", one.state, "--endpoint", hub.url, "--listen", one.url.removeprefix("http://")]
    for extra, expected in ((env, 1), ({}, 0)):
        shown = subprocess.run(command, env=os.environ | extra, capture_output=True, text=True, timeout=120)
        found = [line for line in shown.stdout.splitlines() if "network file system (NFS)" in line]
        assert shown.returncode == 0 and len(found) == expected, shown.stdout
        assert all(line.startswith("warning ") for line in found)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who alone may give files away")
def test_root_on_the_state_of_another_user(daemon: Callable[..., Daemon], hub: Emulator) -> None:
    """`sudo bifurcated` on the service's folder makes files that the service cannot open; said at once, with the way out."""
    one = daemon(hub)
    assert one.stop() == 0 and "another user's state" not in one.log()
    os.chown(one.state, 65534, 65534)
    one.start()
    (told,) = [line for line in one.log().splitlines() if "root runs this daemon on another user's state" in line]
    assert " warning " in told and f"{one.state} belongs to user nobody" in told and "runuser -u nobody -- bifurcated" in told


def test_read_only_database(daemon: Callable[..., Daemon], hub: Emulator, programs: dict[str, Path]) -> None:
    """Refused at the start, by name, with what to do; writable again, it starts."""
    running = daemon(hub)
    assert running.stop() == 0
    command = [programs["bifurcated"], "--listen", "127.0.0.1:0", "--state", running.state]
    as_other = {}
    if os.geteuid() == 0:  # root may write what is read-only
        for path in (running.state, *running.state.rglob("*")):
            os.chown(path, 65534, 65534)
        for path in (running.state, *running.state.parents):
            if path == Path("/tmp"):
                break
            path.chmod(path.stat().st_mode | 0o055)
        as_other = {"user": 65534, "group": 65534}
    running.db.chmod(0o444)
    refused = subprocess.run(command, env=running.env, capture_output=True, text=True, timeout=60, **as_other)
    assert refused.returncode == 1, refused.stderr
    last = refused.stderr.strip().splitlines()[-1]
    assert "cannot start" in last and str(running.db) in last and "writable" in last
    running.db.chmod(0o644)
    for path in (running.state, *running.state.rglob("*")):
        os.chown(path, os.geteuid(), os.getegid())
    running.start()
    assert running.get("/readyz").status == 200


def test_file_size_limit(programs: dict[str, Path], garden: Path, make_hub: Callable[..., Emulator], tmp_path: Path) -> None:
    """A limit on file sizes (ulimit -f) is told as lack of space, and is no signal that ends the daemon."""
    hub = make_hub(garden)
    running = Daemon(programs, tmp_path / "daemon", hub.url, ["--attempts", "1", "--retry-delay-s", "0"], {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        running.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    running.sweep(MODEL)  # the tables are made, and leave room for this
    wait_until(lambda: "free disk space" in running.log())  # what cannot be recorded is in the log
    assert running.get("/healthz").status == 200
    running.restart()
    assert running.wait(running.sweep(MODEL))["state"] == "done"
    running.check_end()
    assert not SANITIZER.search(running.log())
    check_sound(running.db)


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_without_standard_files(programs: dict[str, Path], tmp_path: Path, closed: str) -> None:
    """Started with them closed, no other file gets their numbers: the log goes nowhere, least of all into the state folder."""
    running = Daemon(programs, tmp_path / "daemon", None, [], {})
    running.log_path.touch()
    command = [programs["bifurcated"], "--listen", "127.0.0.1:0", "--state", running.state]
    running.process = subprocess.Popen(["sh", "-c", f'exec "$@" {closed}', "sh", *command], env=running.env)
    try:
        running.await_address()
        assert running.get("/readyz").status == 200
        assert os.readlink(f"/proc/{running.process.pid}/fd/2") == "/dev/null"
        assert (running.state / "lock").read_text().strip() == str(running.process.pid)
        client = [programs["bifurcate"], "--server", running.url, "sweeps"]
        shown = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *client], env=running.env, stderr=subprocess.PIPE, timeout=60)
        assert shown.returncode == 5 and b"writing the output" in shown.stderr, shown
    finally:
        status = running.stop()
    assert status == 0


def test_a_hub_cache_that_is_for_reading_alone(programs: dict[str, Path], hub: Emulator, tmp_path: Path) -> None:
    """As that of another user is; told before a perplexity fails of it."""
    place = tmp_path / "cache"
    place.mkdir(mode=0o555)
    as_other = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
    for path in (tmp_path, *tmp_path.parents):
        if path == Path("/tmp"):
            break
        path.chmod(path.stat().st_mode | 0o055)
    command = [programs["bifurcated"], "check", "--json", "--endpoint", hub.url, "--listen", "127.0.0.1:0", "--state", tmp_path / "state"]
    for cache, told in (place, "written"), (place / "hub", "made"):
        shown = subprocess.run([*command, "--hub-cache", cache], capture_output=True, text=True, timeout=60, **as_other)
        (found,) = [row for row in json.loads(shown.stdout)["findings"] if row["subject"] == "hub cache"]
        assert found["level"] == "warning" and f"{cache} cannot be {told}, but perplexity" in found["text"], found
