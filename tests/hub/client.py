"""Emulator: what tests use to start, steer and question a hub."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from .server import Server
from .settings import Settings, to_arguments

QUIET_S = 30.0  # until those who are dropped are gone
REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
KNOBS = {name: value for name, value in asdict(Settings()).items() if name not in ("lfs_bytes", "prefix")}  # that may change


class EmulatorError(Exception):
    """The emulator did not start, or refused a control request."""


def take_port() -> socket.socket:
    """A free port, which nobody else gets while a server that listens there is not up: bound, but nothing listens."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # for the server, which sets it, too
    taken.bind(("127.0.0.1", 0))
    return taken


class Emulator:
    """A running hub: `with Emulator(root, bandwidth_bps=2e8) as hub: use(hub.url)`.

    Knobs are those of settings.py. It runs as a process of its own, or with
    thread=True in this one (quicker to start, but it shares the interpreter lock).
    """

    def __init__(
        self,
        root: str | Path,
        *,
        port: int = 0,
        thread: bool = False,
        log: str | Path | None = None,
        tls: tuple[str, str] | None = None,
        **knobs: Any,
    ) -> None:
        """`tls` is (certificate, key), two PEM files; `log` a file for one JSON line per request."""
        self.root, self.port = str(root), port
        self._thread, self._log, self._tls, self._knobs = thread, log, tls, knobs
        context = ssl.create_default_context(cafile=tls[0]) if tls else None
        self._open = build_opener(ProxyHandler({}), HTTPSHandler(context=context)).open  # never through a proxy
        self._server: Server | None = None
        self._process: subprocess.Popen[str] | None = None
        self._is_anew = False  # its process was started with other knobs
        self.url = ""

    def __enter__(self) -> "Emulator":
        self.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stop()

    def start(self) -> None:
        """Also starts a stopped emulator again, on the port that it had."""
        self._is_anew = False
        if not self.port:
            taken = take_port()
            self.port = taken.getsockname()[1]
            weakref.finalize(self, taken.close)
        if self._thread:
            settings = Settings()
            settings.update(self._knobs)
            self._server = Server(self.root, settings, self.port, tls=self._tls)
            threading.Thread(target=self._server.serve, daemon=True).start()
            self.url = self._server.url
            return
        command = [sys.executable, "-S", "-m", "tests.hub", "--root", self.root, "--port", str(self.port)]
        command += ["--log", str(self._log)] if self._log else []
        command += ["--tls", *self._tls] if self._tls else []
        command += to_arguments(self._knobs)
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY_ROOT)
        line = self._process.stdout.readline()
        if not line:
            raise EmulatorError(f"the emulator ended with status {self._process.wait()} before it listened")
        self.url = json.loads(line)["url"]

    def stop(self) -> None:
        """Every connection is dropped, as when a hub goes down."""
        if self._server:
            self._server.stop()
            self._server = None
        if self._process:
            self._process.terminate()
            self._process.wait(60)
            self._process.stdout.close()
            self._process = None

    def begin_anew(self, **knobs: Any) -> bool:
        """As if it were started now with these knobs, and without those who are connected; False where it cannot.

        A request of before that was read, matched or counted later would be the next test's.
        """
        if not self.may_begin_anew() or set(knobs) - set(KNOBS):
            return False
        limit = time.monotonic() + QUIET_S
        while not self._is_quiet():
            if time.monotonic() > limit:
                return False
            self._call("POST", "drop", {})
            self.clear_faults()  # whoever is held
            time.sleep(0.005)
        self._knobs, self._is_anew = knobs, True
        self.restore()
        return True

    def may_begin_anew(self) -> bool:
        """It runs, and is nothing that it would have to be started for."""
        is_running = self._process is not None and self._process.poll() is None
        return is_running and not self._tls and not self._log and not set(self._knobs) - set(KNOBS)

    def _is_quiet(self) -> bool:
        now = self.stats()
        return not any(now["in_flight"].values()) and now["connections"]["current"] <= 1  # our own

    # ---- questions -----------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        return self._call("GET", "stats")

    def log(self) -> list[dict[str, Any]]:
        """One entry per request since the last reset, oldest first."""
        return self._call("GET", "log")

    def repositories(self) -> list[dict[str, Any]]:
        return self._call("GET", "repositories")

    def sha(self, repo: str, branch: str = "main", kind: str = "models") -> str:
        """The commit that a branch points at."""
        for one in self.repositories():
            if one["id"] == repo and one["kind"] == kind:
                return one["branches"][branch]
        raise EmulatorError(f"no repository {repo!r}")

    # ---- changes -------------------------------------------------------------------------------

    def reset(self) -> None:
        """Zeroes the counters and the log."""
        self._call("POST", "reset", {})

    def restore(self) -> None:
        """Everything as it was at the start: counters, faults, settings, branches."""
        self._call("POST", "reset", {"all": True})
        if self._is_anew:
            self.set(**(KNOBS | self._knobs))

    def set(self, **knobs: Any) -> dict[str, Any]:
        return self._call("POST", "settings", knobs)

    def fault(self, kind: str, **rule: Any) -> int:
        """Adds a rule (conditions: faults.py, kinds: spoil.py); returns its id."""
        return self._call("POST", "faults", {"kind": kind, **rule})["id"]

    def faults(self) -> list[dict[str, Any]]:
        """The rules with the numbers of requests seen and hit."""
        return self._call("GET", "faults")

    def clear_faults(self, number: int | None = None) -> None:
        self._call("DELETE", "faults" if number is None else f"faults?id={number}")

    def move_branch(self, repo: str, branch: str, target: str, kind: str = "models", title: str | None = None) -> str:
        """Points a branch (a new one too) at a folder's or another branch's files; returns the new commit."""
        value = {"repo": repo, "branch": branch, "target": target, "kind": kind, "title": title}
        return self._call("POST", "branches", value)["sha"]

    def squash_branch(self, repo: str, branch: str, kind: str = "models") -> str:
        """As `super_squash_history`: one commit, which is returned; the old ones can no longer be read."""
        return self._call("POST", "squash", {"repo": repo, "branch": branch, "kind": kind})["sha"]

    def delete_branch(self, repo: str, branch: str, kind: str = "models") -> None:
        self._call("POST", "branches", {"repo": repo, "branch": branch, "target": None, "kind": kind})

    def _call(self, method: str, path: str, value: Any = None) -> Any:
        data = None if value is None else json.dumps(value).encode()
        request = Request(
            f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/_emulator/{path}", data, method=method
        )
        try:
            with self._open(request, timeout=60) as answer:
                return json.load(answer)
        except OSError as error:
            reason = json.load(error)["error"] if hasattr(error, "read") else error
            raise EmulatorError(f"{method} {path}: {reason}") from error
