"""Remote workers as processes, for tests: start, suspend, kill, and see that they end well."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from running import SANITIZER, STOP_S, Daemon


class Worker:
    """`bifurcated worker` for a daemon, with its own cache, home and temporary folder."""

    def __init__(self, daemon: Daemon, program: Path, place: Path, *options: str, env: dict[str, str] | None = None):
        self.place, self.log_path = place, place / "log"
        self.folder = place / "tmp"
        for folder in (place / "home", place / "cache", self.folder):
            folder.mkdir(parents=True, exist_ok=True)
        self.env = {
            **daemon.env,
            "HOME": str(place / "home"),
            "HF_HUB_CACHE": str(place / "cache"),
            "TMPDIR": str(self.folder),
            **(env or {}),
        }
        self.command = [str(program), "worker", "--connect", daemon.url, "--fetchers", "2", *options]
        self.process: subprocess.Popen[bytes] | None = None
        self.killed = False

    def start(self) -> "Worker":
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.killed = False
        return self

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait(self, timeout_s: float = STOP_S) -> int:
        return self.process.wait(timeout_s)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL, also of a suspended one."""
        self.killed = True
        self.process.kill()
        self.process.wait()

    def suspend(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def wait_for(self, text: str, count: int = 1) -> None:
        """Waits until the log has it so often."""
        limit = time.monotonic() + STOP_S  # against waiting for ever
        while self.log().count(text) < count:
            assert self.process.poll() is None, f"the worker ended with {self.process.returncode}:\n{self.log()}"
            assert time.monotonic() < limit, f"no {text!r}:\n{self.log()}"
            time.sleep(0.02)

    def left_behind(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def check_end(self) -> None:
        """Stops it if it runs; asserts that it went well and cleaned up."""
        if self.process.poll() is None:
            self.resume()
            assert self.stop() == 0, self.log()
        report = SANITIZER.search(self.log())
        assert not report, f"sanitizer: {report.group(0)}\n{self.log()}"
        if not self.killed:
            assert self.left_behind() == [], self.log()
