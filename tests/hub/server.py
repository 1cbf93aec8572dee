"""The sockets: HTTP/1.1 with keep-alive, one thread per connection."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler
from typing import Any, TextIO

from .app import App
from .bandwidth import Link
from .control import PREFIX, Control
from .digests import Digests, default_cache_path
from .messages import Request, Response, json_response
from .sending import Cut, Sender
from .settings import Settings
from .stats import Stats
from .targets import Target

REQUEST_BODY_MAX = 16 << 20


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens on 127.0.0.1; `url` is the endpoint to give to clients (HF_ENDPOINT)."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(
        self,
        root: str,
        settings: Settings | None = None,
        port: int = 0,
        log: TextIO | None = None,
        digest_cache: str | None = None,
        tls: tuple[str, str] | None = None,
    ) -> None:
        """`digest_cache` is a file, "" for none; `tls` names a certificate and its key: then the hub speaks HTTPS."""
        self.settings = settings or Settings()
        self.app = App(root, self.settings, Digests(default_cache_path() if digest_cache is None else digest_cache))
        self.stats = Stats(log)
        self.control = Control(self.app, self.stats)
        self.link = Link()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if self.tls:
            self.tls.load_cert_chain(*tls)
        self._dropped = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._sockets_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), Connection)

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{self.settings.prefix}"

    @property
    def scheme(self) -> str:
        return "https" if self.tls else "http"

    def serve(self) -> None:
        """Until stop. An idle hub sleeps: beside the tests stand dozens."""
        self.serve_forever(poll_interval=3600)

    def stop(self) -> None:
        """Ends serve (which runs in another thread) and drops every connection."""
        ending = threading.Thread(target=self.shutdown)
        ending.start()
        while ending.is_alive():  # serve looks once somebody comes
            with contextlib.suppress(OSError):
                socket.create_connection(self.server_address, timeout=1).close()
            ending.join(0.05)
        self.drop()
        self.server_close()
        self.app.digests.save()

    def drop(self, but: socket.socket | None = None) -> None:
        """Ends every connection but one, also those that wait."""
        waiting, self._dropped, self.link = self._dropped, threading.Event(), Link()
        with self._sockets_lock:
            for one in self._sockets - {but}:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        waiting.set()  # not before: they would answer

    def pause(self, seconds: float) -> None:
        self._dropped.wait(seconds)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Programming errors go to stderr; a client that left is no error."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError, Cut, OSError)):
            super().handle_error(request, client_address)

    def track(self, one: socket.socket, opened: bool) -> None:
        with self._sockets_lock:
            (self._sockets.add if opened else self._sockets.discard)(one)
        self.stats.connected(1 if opened else -1)


class Connection(BaseHTTPRequestHandler):
    """One client connection; requests on it are answered one after the other."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "hub-emulator"

    def setup(self) -> None:
        if self.server.tls:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._aborted = False
        self._link = Link()
        self._is_first = True
        self.server.track(self.connection, opened=True)

    def finish(self) -> None:
        try:
            super().finish()
            if self.server.tls or self._aborted:  # else the server closes: first FIN, then the socket
                self.connection.close()
        finally:
            self.server.track(self.connection, opened=False)

    def _serve(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdigit() or int(length) > REQUEST_BODY_MAX:
            self.close_connection = True
            self.send_error(413)
            return
        body = self.rfile.read(int(length))
        is_old = self.request_version == "HTTP/1.0"
        request = Request(self.command, self.path, self.headers, body, is_old, self.server.scheme)
        if request.path.startswith(PREFIX):
            self._send_control(request)
        else:
            self._exchange(request)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _send_control(self, request: Request) -> None:
        if (request.method, request.path) == ("POST", f"{PREFIX}drop"):
            self.server.drop(but=self.connection)
        response = self.server.control.answer(request)
        data = b"".join(part.data for part in response.body)
        head = f"HTTP/1.1 {response.status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        self.connection.sendall(head.encode() + data)

    def _exchange(self, request: Request) -> None:
        server, settings = self.server, self.server.settings
        server.link.bps, self._link.bps = settings.bandwidth_bps, settings.connection_bps
        target = server.app.target(request)
        entry = self._entry(request, target)
        server.stats.begin(entry)
        try:
            wait_ms = settings.latency_ms + (settings.connect_ms if self._is_first else 0)
            self._is_first = False
            if wait_ms:
                server.pause(wait_ms / 1000)
            response = self._answer(request, target)
            links = [server.link, self._link]
            sender = Sender(self.connection, links, server.stats, entry, server.pause)
            keep = sender.send(request, response, settings.gzip)
            self._aborted = sender.aborted
            self.close_connection |= not keep
        except (OSError, Cut):  # the client left, or the file shrank
            self.close_connection = True
        finally:
            server.stats.end(entry)

    def _answer(self, request: Request, target: Target) -> Response:
        try:
            response = self.server.app.answer(request, target)
        except Exception as error:  # noqa: BLE001 - a bug here must look like one, not like a hub that hangs
            self.log_error("%s %s: %r", request.method, request.target, error)
            return json_response({"error": f"emulator: {error!r}"}, 500)
        response.headers["Server"] = self.server_version
        if "Date" not in response.headers:  # a fault may set the clock
            response.headers["Date"] = self.date_time_string()
        response.headers["X-Request-Id"] = f"Root=1-{uuid.uuid4()}"
        if target.route != "cdn" and not self.headers.get("Authorization"):
            response.headers["X-HF-Warning"] = (
                "unauthenticated; You are sending unauthenticated requests to the HF Hub."
            )
        return response

    def _entry(self, request: Request, target: Target) -> dict[str, Any]:
        authorized = bool(self.headers.get("Authorization"))
        if authorized and target.route == "cdn":
            self.server.stats.leaked_token()
        return {
            "connection": self.client_address[1],
            "method": request.method,
            "target": request.target,
            "route": target.route,
            "action": target.action,
            "file": self.server.app.file_key(target),
            "range": self.headers.get("Range"),
            "authorized": authorized,
            "proxied": request.proxied,
            "user_agent": self.headers.get("User-Agent"),
        }

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Requests are logged by Stats."""
