"""What takes webhooks, for tests: a server on loopback that remembers what it got. Standard library only."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """Takes messages on a loopback port; sweep.finished is answered with the statuses of `plan`, all else with 200."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.plan: list[int] = []
        self.location = ""
        self.length = 0  # of each answer's body
        self.gate = threading.Event()  # while it is cleared, nobody is answered
        self.gate.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.messages.append({"path": self.path, "headers": dict(self.headers), "body": body, "at": time.time()})
                receiver.gate.wait(60)
                is_planned = receiver.plan and self.headers["X-Bifurcated-Event"] == "sweep.finished"
                status = receiver.plan.pop(0) if is_planned else 200
                try:
                    self.send_response(status)
                    if receiver.location:
                        self.send_header("Location", receiver.location)
                    self.end_headers()
                    self.wfile.write(b"x" * receiver.length)
                except OSError:
                    pass  # the daemon is gone

            def do_GET(self) -> None:
                receiver.messages.append({"path": self.path, "headers": {}, "body": b"", "at": time.time()})

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def of(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.messages if one["headers"].get("X-Bifurcated-Event") == event]
