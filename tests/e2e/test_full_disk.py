"""A full disk is told wherever somebody looks; what is recorded stays, and work goes on once there is room."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest
from recorded import check_sound
from running import Daemon, check_words, wait_until

from tests.hub import Emulator

GARDEN = "garden/neox-tiny"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", place], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_full_disk(
    programs: dict[str, Path], garden: Path, make_hub: Callable[..., Emulator], small_disk: Path, tmp_path: Path
) -> None:
    """A plan waits for room, and goes on by itself; the tasks that could not be recorded say so, and the same request succeeds."""
    options = ["--attempts", "2", "--retry-delay-s", "0"]
    running = Daemon(programs, tmp_path / "daemon", make_hub(garden).url, options, {})
    running.state = small_disk
    running.start()
    try:
        check_full_disk(running, small_disk)
    finally:
        running.check_end()
    check_sound(running)


def test_start_on_a_full_disk(programs: dict[str, Path], hub: Emulator, small_disk: Path, tmp_path: Path) -> None:
    """Not a single block is free: the reserve of the run before lets it come up, read, and say what is wrong."""
    running = Daemon(programs, tmp_path / "daemon", hub.url, [], {})
    running.state = small_disk
    running.start()
    assert running.stop() == 0
    with pytest.raises(OSError, match="No space left"), open(small_disk / "ballast", "wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))
    running.start()
    assert running.read("/v1/sweeps")["sweeps"] == []
    ready = running.get("/readyz")
    assert ready.status == 503 and "make room" in ready.text, ready
    running.check_end()


def test_check_of_a_small_disk(programs: dict[str, Path], hub: Emulator, small_disk: Path, tmp_path: Path) -> None:
    """Of the hub cache, where whole files are to be kept."""
    words = [programs["bifurcated"], "check", "--state", tmp_path / "state", "--endpoint", hub.url, "--hub-cache", small_disk / "hub"]
    for keep, is_told in ("nothing", False), ("files", True):
        shown = subprocess.run([*words, "--keep", keep], capture_output=True, text=True)
        assert (f"warning  hub cache      {small_disk}/hub: 0.0 GB are free" in shown.stdout) is is_told, shown


def test_read_only_disk(programs: dict[str, Path], hub: Emulator, small_disk: Path) -> None:
    """Neither the daemon nor its check advises to change an owner where that does not help."""
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for words in (["--listen", "127.0.0.1:0"], ["check"]):
        ended = subprocess.run([programs["bifurcated"], *words, "--state", small_disk, "--endpoint", hub.url], capture_output=True, text=True)
        assert ended.returncode == 1 and f"{small_disk} is on a file system that is mounted read-only: " in ended.stdout + ended.stderr, ended
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)


def test_a_sweep_says_that_it_waits_for_room(
    programs: dict[str, Path], garden: Path, make_hub: Callable[..., Emulator], small_disk: Path, tmp_path: Path
) -> None:
    """While the disk is full no task can be claimed: a running sweep stands still, which whoever follows it is told, of folders too."""
    hub = make_hub(garden, bandwidth_bps=1_000_000)
    running = Daemon(programs, tmp_path / "daemon", hub.url, ["--fetchers", "1", "--attempts", "100", "--retry-delay-s", "0"], {})
    running.state = small_disk
    running.start()
    numbers = [running.sweep(GARDEN), running.sweep(f"file:{garden / 'models' / GARDEN}", reference="step0")]
    for number in numbers:
        running.wait(number, lambda now: now["progress"]["done"] > 0)
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space left"), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    for number in numbers:
        waiting = running.wait(number, lambda now: (now["hub_wait"] or {}).get("reason") == "no_space")
        assert waiting["state"] == "running", waiting
        check_words(waiting["hub_wait"]["detail"], "state folder is full", "make room")
    ballast.unlink()
    for number in numbers:
        ended = running.wait(number)
        assert ended["state"] == "done" and ended["hub_wait"] is None, ended
    running.check_end()


def check_told(running: Daemon, is_full: bool) -> None:
    """A full disk is seen where platforms look, and so is its end."""
    ready = running.get("/readyz")
    assert ready.status == (503 if is_full else 200), ready
    if is_full:
        check_words(ready.json()["detail"], "not ready: the disk of the state folder is full", "make room")
    disk = running.get("/v1/status").json()["daemon"]["disk"]
    assert disk["is_full"] is is_full and disk["size_bytes"] == 16 << 20
    assert (disk["free_bytes"] < 2 << 20) is is_full
    shown = running.client("status").stdout
    assert "16.8 MB are free" in shown and ("FULL" in shown) is is_full, shown
    metrics = dict(re.findall(r"^(bifurcated_disk_\w+) (\S+)$", running.get("/metrics").text, re.MULTILINE))
    assert float(metrics["bifurcated_disk_full"]) == is_full
    assert (float(metrics["bifurcated_disk_free_bytes"]) < 2 << 20) is is_full
    assert float(metrics["bifurcated_disk_size_bytes"]) == 16 << 20
    wait_until(lambda: "the disk is full; nothing more can be recorded" in running.log())
    if not is_full:
        wait_until(lambda: "the disk has free space again" in running.log())


def check_full_disk(running: Daemon, small_disk: Path) -> None:
    assert running.wait(running.sweep(GARDEN, revisions={"names": ["step0"]}))["state"] == "done"
    assert running.get("/readyz").status == 200 and "the disk is full" not in running.log()
    ballast = small_disk / "ballast"
    free = shutil.disk_usage(small_disk).free
    ballast.write_bytes(bytes(free - 64 * 1024))
    answer = running.post("/v1/sweeps", {"model": GARDEN, "revisions": {"to": 8}})
    waiting = None
    if answer.status == 201:
        sweep = running.wait(answer.json()["id"], lambda now: "a plan waits for free disk space" in running.log())
        waiting = sweep["id"] if sweep["state"] == "planning" else None
        assert waiting or sweep["state"] == "failed", sweep
        for one in sweep["errors"]:
            assert one["code"] == "no_space", one
            check_words(one["message"], "full|space", str(small_disk))
    else:
        assert answer.status == 507, answer
        check_words(answer.json()["detail"], "full|space")
    assert running.get("/healthz").status == 200
    assert [row["revision"] for row in running.series(GARDEN) if row["state"] == "measured"] == ["step0"]
    check_told(running, is_full=True)
    ballast.unlink()
    wait_until(lambda: running.get("/readyz").status == 200)
    check_told(running, is_full=False)
    if waiting:
        assert running.wait(waiting)["state"] == "done"
        assert running.log().count("a plan waits for free disk space") == 1
    sweep = running.wait(running.sweep(GARDEN, revisions={"to": 8}))
    assert sweep["state"] == "done", sweep
