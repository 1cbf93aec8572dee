"""Remote workers as processes, for tests: start, suspend, kill, and see that they end well; and a proxy before a daemon."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import re
import signal
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlsplit

from running import SANITIZER, STOP_S, Daemon, Logged


class Worker(Logged):
    """`bifurcated worker` for a daemon (or a URL), with its own cache, home and temporary folder."""

    def __init__(
        self, daemon: Daemon | str, program: Path, place: Path, *options: str, env: dict[str, str] | None = None
    ):
        self.place, self.log_path = place, place / "log"
        self.folder = place / "tmp"
        for folder in (place / "home", place / "cache", self.folder):
            folder.mkdir(parents=True, exist_ok=True)
        url, base = (daemon, {}) if isinstance(daemon, str) else (daemon.url, daemon.env)
        self.env = {
            **base,
            **(env or {}),
            "HOME": str(place / "home"),
            "HF_HUB_CACHE": str(place / "cache"),
            "TMPDIR": str(self.folder),
        }
        connect = [] if "--connect" in options else ["--connect", url]
        self.command = [str(program), "worker", *connect, "--fetchers", "2", *options]
        self.process: subprocess.Popen[bytes] | None = None
        self.killed = self.must_end_well = False

    def start(self) -> "Worker":
        self.begin(self.command, self.env)
        self.killed = False
        return self

    def wait(self, timeout_s: float = STOP_S) -> int:
        return self.await_end(timeout_s)

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

    def left_behind(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def terminate(self) -> None:
        """SIGTERM, if it runs; does not wait."""
        if self.process.poll() is None:
            self.resume()
            self.process.send_signal(signal.SIGTERM)
            self.must_end_well = True

    def check_end(self) -> None:
        """After terminate(): asserts that it went well and cleaned up."""
        assert self.wait() == 0 or not self.must_end_well, self.log()
        report = SANITIZER.search(self.log())
        assert not report, f"sanitizer: {report.group(0)}\n{self.log()}"
        if not self.killed:
            assert self.left_behind() == [], self.log()


class Proxy:
    """Stands before a daemon, on loopback: hands everything on, and lets a test look, change, or speak first.

    change_offer(body)           what is handed on of POST /v1/claims
    before_result(path, headers, body)   called before a result is handed on; what it returns, if anything, goes on instead
    drop_answers                 how many answers to claims are not handed back: the connection is closed instead
    may_answer                   an event that tasks wait for on their way back
    """

    def __init__(self, url: str, tls: tuple[str, str] | None = None) -> None:
        self.target = urlsplit(url).netloc
        self.offers: list[dict[str, Any]] = []
        self.change_offer: Callable[[dict[str, Any]], dict[str, Any]] = lambda body: body
        self.before_result: Callable[[str, dict[str, str], bytes], bytes | None] = lambda path, headers, body: None
        self.drop_answers = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None:
                pass

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name: value for name, value in self.headers.items() if name != "Host"}
                proxy.hand_on(self, headers, body)

            do_GET = do_POST = do_PUT = handle_any

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def hand_on(self, handler: Any, headers: dict[str, str], body: bytes) -> None:
        if handler.path == "/v1/claims":
            offer = self.change_offer(json.loads(body))
            self.offers.append(offer)
            body = json.dumps(offer).encode()
            headers = {**headers, "Content-Length": str(len(body))}
        if handler.path.endswith("/result"):
            changed = self.before_result(handler.path, headers, body)
            if changed is not None:
                body = changed
                headers = {**headers, "Content-Length": str(len(body))}
        status, answer = self.ask(handler.command, handler.path, headers, body)
        if handler.path == "/v1/claims" and status == 201 and self.drop_answers:
            self.drop_answers -= 1
            handler.close_connection = True
            return
        if handler.path == "/v1/claims" and status == 201:
            self.may_answer.wait(STOP_S)
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        if status != 204:
            handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Asks the daemon itself."""
        headers = {name: value for name, value in headers.items() if name.lower() != "accept-encoding"}
        connection = http.client.HTTPConnection(self.target, timeout=60)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def offer_to(daemon: Daemon) -> dict[str, Any]:
    """What a worker that the daemon accepts says of itself, but for its name."""
    offer = {"protocol": 2, "definition": 1, "scoring": 1, "version": "test", "device": "cpu", "backend": "cpu", "wait_s": 0,
             "key": 32 * "0"}  # fmt: skip
    detail = daemon.post("/v1/claims", {**offer, "worker": "w/0"}).json()["detail"]
    wanted = re.search(r"and the daemon .* by (\d+)\.(\d+),", detail)
    return offer | {"definition": int(wanted.group(1)), "scoring": int(wanted.group(2))}
