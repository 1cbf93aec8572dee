"""What systemd hears: ready, status, signs of life; and that they stop when a part of the daemon stands still."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import threading
from pathlib import Path
from typing import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from running import Daemon, wait_until

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
WATCHDOG_USEC = "4000000"  # parts may stand still for half of it; the daemon looks every second


class Manager:
    """Listens where systemd would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.lines: list[str] = []
        self.held: list[int] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                text, held, _, _ = socket.recv_fds(self.socket, 65536, 8)
                self.held += held
                self.lines += text.decode().splitlines()
            except OSError:
                return

    def count(self, line: str) -> int:
        return self.lines.count(line)

    @property
    def status(self) -> str:
        return next((line[7:] for line in reversed(self.lines) if line.startswith("STATUS=")), "")

    def env(self, watchdog_usec: str = WATCHDOG_USEC) -> dict[str, str]:
        return {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": watchdog_usec}


@pytest.fixture
def manager(tmp_path: Path, daemon: Callable[..., Daemon]) -> Iterator[Manager]:
    """Outlived by no daemon: it is asked for after them."""
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.socket.close()
    for held in manager.held:
        os.close(held)


def test_life_of_a_service(
    daemon: Callable[..., Daemon], manager: Manager, make_hub: Callable[..., Emulator], garden: Path
) -> None:
    hub = make_hub(garden)
    hub.fault("hold", route="cdn", revision="step13000")  # until it is told how far the sweep is
    one = daemon(hub, env=manager.env())
    wait_until(lambda: manager.count("WATCHDOG=1") >= 3)  # while it has nothing to do
    assert [line for line in manager.lines if not line.startswith("FD")][0] == "READY=1"
    wait_until(lambda: manager.status == "waiting for sweeps")
    sweep = one.sweep(MODEL)
    wait_until(lambda: re.fullmatch(rf"sweep {sweep} of {MODEL}: \d+ of \d+ revisions", manager.status) is not None)
    fed = manager.count("WATCHDOG=1")
    hub.clear_faults()
    assert one.wait(sweep)["state"] == "done"
    wait_until(lambda: manager.count("WATCHDOG=1") > fed and manager.status == "waiting for sweeps")
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: manager.count("READY=1") == 2)
    at = manager.lines.index("RELOADING=1")
    assert re.fullmatch(r"MONOTONIC_USEC=[1-9]\d*", manager.lines[at + 1])
    assert one.stop() == 0
    wait_until(lambda: manager.count("STOPPING=1") == 1)


def test_the_listening_socket_is_held(daemon: Callable[..., Daemon], programs: dict[str, Path], manager: Manager, hub: Emulator) -> None:
    """Who asks while the daemon is started anew waits for it; one that is to listen elsewhere lets go what was held."""
    one = daemon(hub, env=manager.env())
    place, first = urlsplit(one.url), one.url
    wait_until(lambda: manager.count("FDSTORE=1") == 1)
    (held,) = manager.held
    assert manager.lines[:4] == ["FDSTOREREMOVE=1", "FDNAME=listening", "FDSTORE=1", "FDNAME=listening"]

    def start(address: str) -> None:
        command = ["bash", "-c", 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&"$FD"', "sh", programs["bifurcated"], "--listen", address, "--state", one.state]
        if (one.state / "address").is_file():
            (one.state / "address").unlink()
        with open(one.log_path, "ab") as log:
            one.process = subprocess.Popen(command, env=one.env | {"FD": str(held)}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(held,))

    assert one.stop() == 0
    with socket.create_connection((place.hostname, place.port), timeout=60) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        start(place.netloc)
        one.await_address()
        assert one.url == first and client.recv(15) == b"HTTP/1.1 200 OK"
    one.kill()  # nor does a crash end it
    socket.create_connection((place.hostname, place.port), timeout=60).close()
    # A start that fails leaves it as it is, at whatever part, and wherever it was to listen.
    assert one.process.wait() != 0
    (one.state / "address").unlink()
    for address, reason in ((place.netloc, "address: "), ("127.0.0.2:0", "address: "), ("203.0.113.7:0", "token create")):
        (one.state / "address").mkdir(exist_ok=True)  # cannot be written, the last part of a start
        start(address)
        assert one.process.wait(timeout=60) == 1 and one.told("cannot start", reason)
        socket.create_connection((place.hostname, place.port), timeout=60).close()
    (one.state / "address").rmdir()
    start("127.0.0.2:0")
    assert one.told("listening on http://127.0.0.2:")

    def is_refused() -> bool:
        with socket.socket() as client:
            return client.connect_ex((place.hostname, place.port)) != 0

    wait_until(is_refused)


def test_a_part_that_stands_still_is_not_fed_for(
    daemon: Callable[..., Daemon], manager: Manager, make_hub: Callable[..., Emulator], garden: Path, programs: dict[str, Path]
) -> None:
    """Another program locks the database: leases cannot be kept, so the signs of life stop until it is open again."""
    one = daemon(make_hub(garden, bandwidth_bps=500_000), env=manager.env())
    one.wait(one.sweep(MODEL), until=lambda now: now["progress"]["running"] >= 1)
    wait_until(lambda: manager.count("WATCHDOG=1") >= 1)
    blocker = sqlite3.connect(one.db, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    wait_until(lambda: manager.status == "stuck: lease keeper")
    at = len(manager.lines) - 1 - manager.lines[::-1].index("STATUS=stuck: lease keeper")
    assert "WATCHDOG=1" not in manager.lines[at:]
    fed = manager.count("WATCHDOG=1")
    wait_until(lambda: one.get("/readyz").status == 503)
    assert "another program keeps the database" in one.get("/readyz").text and "\nbifurcated_database_locked 1\n" in one.get("/metrics").text
    checked = subprocess.run([programs["bifurcated"], "check", "--state", one.state], env=one.env, capture_output=True, text=True, check=False)
    assert checked.returncode == 1 and re.search("^error +database .*fuser -v", checked.stdout, re.M), checked.stdout
    blocker.execute("ROLLBACK")
    wait_until(lambda: manager.count("WATCHDOG=1") > fed and one.get("/readyz").status == 200)
    assert "\nbifurcated_database_locked 0\n" in one.get("/metrics").text
    assert one.told('part="lease keeper"') and one.told("every part of the daemon makes progress again")
    one.kill()  # a stop would wait for the slow downloads


def test_a_planner_that_stands_still_is_not_fed_for(
    daemon: Callable[..., Daemon], manager: Manager, make_hub: Callable[..., Emulator], garden: Path
) -> None:
    """The plan is made, but cannot be written."""
    hub = make_hub(garden)
    held = hub.fault("hold", path="/refs")
    one = daemon(hub, env=manager.env())
    one.sweep(MODEL)
    blocker = sqlite3.connect(one.db, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    hub.clear_faults(held)
    wait_until(lambda: manager.status == "stuck: planner")
    fed = manager.count("WATCHDOG=1")
    blocker.execute("ROLLBACK")
    wait_until(lambda: manager.count("WATCHDOG=1") > fed)
    assert one.told("part=planner")


def test_a_hub_that_hangs_is_no_standing_still(
    daemon: Callable[..., Daemon], manager: Manager, make_hub: Callable[..., Emulator], garden: Path
) -> None:
    """The planner waits for the hub for longer than a part may stand still; it beats while the network thread does."""
    hub = make_hub(garden)
    hub.fault("hold", path="/refs")
    one = daemon(hub, env=manager.env())
    one.sweep(MODEL)
    wait_until(lambda: manager.status == "planning 1 sweeps")
    fed = manager.count("WATCHDOG=1")
    wait_until(lambda: manager.count("WATCHDOG=1") >= fed + 4)
    hub.clear_faults()
    assert not any("stuck: planner" in line for line in manager.lines)


def test_without_a_manager_nothing_is_told(daemon: Callable[..., Daemon], hub: Emulator) -> None:
    one = daemon(hub, env={"WATCHDOG_USEC": WATCHDOG_USEC})
    assert one.get("/healthz").status == 200
