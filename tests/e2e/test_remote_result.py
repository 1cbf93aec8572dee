"""A result that the daemon has, while its answer is on the way back to the worker."""

from __future__ import annotations

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
