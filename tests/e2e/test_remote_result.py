"""A result that the daemon has, while its answer is on the way back to the worker."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any, Callable

from running import STOP_S, Daemon
from workers import Proxy, Worker

from tests.hub import Emulator


def test_a_recorded_task_is_no_lost_one(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, programs: dict[str, Path], tmp_path: Path
) -> None:
    """Its lease is over with the record, which a heartbeat hears before the answer comes: the worker says what the answer says."""
    remote = daemon(make_hub(garden), "--fetchers", "0")
    refused = threading.Event()
    with Proxy(remote.url) as proxy:
        ask = proxy.ask

        def notice(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
            status, answer = ask(method, path, headers, body)
            if path.endswith("/heartbeat") and status == 409:
                refused.set()
            return status, answer

        def hold(path: str, headers: dict[str, str], body: bytes) -> Any:
            assert ask("PUT", path, headers, body)[0] == 200
            assert refused.wait(STOP_S)
            time.sleep(0.5)  # for the worker to hear of that first

        proxy.ask, proxy.before_result = notice, hold
        one = Worker(proxy.url, programs["bifurcated"], tmp_path / "worker", "--idle-exit-s", "1", env=remote.env)
        sweep = remote.sweep("garden/neox-tiny", revisions={"names": ["step0"]})
        remote.wait(sweep, lambda now: now["state"] == "running")
        one.start()
        assert one.wait() == 0
        one.check_end()
    assert refused.is_set() and remote.wait(sweep)["state"] == "done"
    assert "task done" in one.log() and "task dropped" not in one.log()


def test_leases_do_not_wait_for_each_other(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, worker: Callable[..., Worker]
) -> None:
    """While a slow daemon keeps one slot waiting for its heartbeat's answer, the other slots' heartbeats reach it."""
    hub = make_hub(garden)
    remote = daemon(hub, "--fetchers", "0")
    waiting: dict[str, socket.socket] = {}
    all_wait = threading.Event()

    def is_waiting(client: socket.socket) -> bool:
        """It has neither got its answer nor given up."""
        try:
            return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:  # it gave up, and its connection was closed
            return False

    with Proxy(remote.url) as proxy:
        hand_on = proxy.hand_on

        def hold(handler: Any, headers: dict[str, str], body: bytes) -> None:
            if handler.path.endswith("/heartbeat"):
                waiting[handler.path] = handler.connection
                if sum(is_waiting(client) for client in waiting.values()) == 3:
                    all_wait.set()
                all_wait.wait(STOP_S)
            hand_on(handler, headers, body)

        proxy.hand_on = hold
        sweep = remote.sweep("garden/neox-tiny", revisions={"names": ["step0", "step2", "step128"]})
        remote.wait(sweep, lambda now: now["state"] == "running")
        hub.fault("stall", route="cdn", seconds=STOP_S)
        worker(proxy.url, "--fetchers", "3", env=remote.env)
        assert all_wait.wait(STOP_S)
        assert remote.request("DELETE", f"/v1/sweeps/{sweep}").status == 200


def test_a_proxy_that_has_lost_the_daemon(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, programs: dict[str, Path], tmp_path: Path
) -> None:
    """It says 404 for it, as some do, to a result and to an offer: neither is the daemon's word, so nothing is dropped, and the
    worker stays. One that has never been answered by a daemon at that address ends."""
    remote = daemon(make_hub(garden), "--fetchers", "0")
    lost: list[str] = []
    with Proxy(remote.url) as proxy:
        ask = proxy.ask

        def lose(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
            if path.endswith("/result") and len(lost) < 2:
                lost.append(path)
                return 404, b"404 page not found"
            if path == "/v1/claims" and len(lost) == 2:
                lost.append(path)
                return 404, b"404 page not found"
            return ask(method, path, headers, body)

        proxy.ask = lose
        one = Worker(proxy.url, programs["bifurcated"], tmp_path / "worker", "--fetchers", "1", env=remote.env)
        sweep = remote.sweep("garden/neox-tiny", revisions={"names": ["step0", "step1"]})
        remote.wait(sweep, lambda now: now["state"] == "running")
        one.start()
        assert remote.wait(sweep)["state"] == "done", one.log()
        assert len(lost) == 3, lost
        assert [task["attempts"] for task in remote.get(f"/v1/sweeps/{sweep}/tasks").json()["tasks"]] == [1, 1]
        one.terminate()
        one.check_end()
        assert "task dropped" not in one.log() and "the daemon answers again" in one.log()
        lost.clear()
        lost += ["x", "x"]
        stranger = Worker(proxy.url, programs["bifurcated"], tmp_path / "stranger", env=remote.env).start()
        assert stranger.wait() == 1
        assert "has no /v1/claims" in stranger.log()
