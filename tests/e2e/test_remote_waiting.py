"""Remote workers that wait for work: what that costs, and who gets what comes."""

from __future__ import annotations

import hashlib
import json
import select
import socket
import sqlite3
from pathlib import Path
from typing import Any, Callable

from running import Daemon, wait_until
from workers import offer_to

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
REMOTE = ("--fetchers", "0")  # the daemon itself measures nothing


def ask(daemon: Daemon, offer: dict[str, Any]) -> socket.socket:
    """Asks for work, and does not wait for the answer."""
    host, port = daemon.url.removeprefix("http://").split(":")
    body = json.dumps(offer)
    raw = socket.create_connection((host, int(port)), timeout=60)
    raw.sendall(
        f"POST /v1/claims HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    return raw


def test_who_waits_for_another_sweep_stands_in_nobodys_way(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path
) -> None:
    """Behind a crowd of workers that are for another sweep alone waits one for any; there is one task. It is had before the
    crowd's first has waited for as long as it likes."""
    remote = daemon(make_hub(garden), *REMOTE)
    offer = offer_to(remote)
    over = remote.sweep(MODEL, revisions={"names": ["step1"]})
    assert remote.request("DELETE", f"/v1/sweeps/{over}").status == 200
    other = {**offer, "sweep": over}
    crowd = [ask(remote, {**other, "worker": f"w/{i:03}", "wait_s": 40 if i == 0 else 50}) for i in range(120)]
    wait_until(lambda: "bifurcated_remote_workers_waiting 120" in remote.get("/metrics").text)
    one = ask(remote, {**offer, "worker": "any/00", "wait_s": 50})
    wait_until(lambda: "bifurcated_remote_workers_waiting 121" in remote.get("/metrics").text)
    remote.sweep(MODEL, revisions={"names": ["step0"]})
    assert select.select([one, crowd[0]], [], [])[0] == [one]
    assert one.makefile("rb").readline().split()[1] == b"201"
    for waiting in (one, *crowd):
        waiting.close()


def test_waiting_costs_no_thread_and_takes_nothing(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path
) -> None:
    """A hundred workers wait; all but one go away; a task comes: the one that is there gets it, at once."""
    remote = daemon(make_hub(garden), *REMOTE)
    offer = offer_to(remote)
    assert ask(remote, {**offer, "worker": "w/1"}).makefile("rb").readline().split()[1] == b"204"
    offer["wait_s"] = 50
    threads = len(list(Path(f"/proc/{remote.process.pid}/task").iterdir()))
    waiting = [ask(remote, {**offer, "worker": f"w/{i:02}"}) for i in range(100)]
    wait_until(lambda: "bifurcated_remote_workers_waiting 100" in remote.get("/metrics").text)
    assert len(list(Path(f"/proc/{remote.process.pid}/task").iterdir())) == threads
    here = waiting.pop(50)
    for gone in waiting:
        gone.close()
    remote.sweep(MODEL, revisions={"names": ["step0"]})
    file = here.makefile("rb")
    assert file.readline().split()[1] == b"201"
    while file.readline().strip():
        pass
    with sqlite3.connect(f"file:{remote.db}?mode=ro", uri=True) as db:
        known = f"w-{hashlib.sha256(offer['key'].encode()).hexdigest()[:16]}"  # nobody else can be called that
        assert db.execute("SELECT worker FROM task_events WHERE event = 'claim'").fetchall() == [(f"{known}/50",)]
    db.close()
    # A stopping daemon answers those who wait.
    last = ask(remote, {**offer, "worker": "w/99"})
    wait_until(lambda: "bifurcated_remote_workers_waiting 1" in remote.get("/metrics").text)
    assert remote.stop() == 0
    assert last.makefile("rb").readline().split()[1] == b"204"
