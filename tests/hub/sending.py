"""Sends an answer over a socket: paced, counted, and spoiled as it says."""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import struct
import threading
from collections import OrderedDict
from http.client import responses as REASONS
from typing import Any, Callable
from urllib.parse import quote

from .bandwidth import Link
from .messages import BytesPart, FilePart, Part, Request, Response, body_size, body_slice
from .stats import Stats

GZIP_BYTES_MIN, GZIP_BYTES_MAX = 1000, 10_000_000  # what the real CDN compresses
GZIP_CACHE_ENTRIES = 64
BODILESS = (204, 304)

_gzip_cache: "OrderedDict[Any, bytes]" = OrderedDict()
_gzip_lock = threading.Lock()


class Cut(Exception):
    """The connection is to be closed now."""


class Sender:
    """One answer on its way out."""

    def __init__(
        self, sock: socket.socket, links: list[Link], stats: Stats, entry: dict[str, Any], pause: Callable[[float], None]
    ) -> None:
        self._socket, self._links, self._stats, self._entry, self._pause = sock, links, stats, entry, pause
        self.aborted = False  # the connection is to end with RST

    def send(self, request: Request, response: Response, allow_gzip: bool) -> bool:
        """True if the connection may serve another request. OSError if the client left."""
        if response.silent:
            self._stats.answering(self._entry, None, response.faults)
            return self._close(response)
        chunked = allow_gzip and compress(request, response)
        if response.trickle_bps:
            self._links = [*self._links, Link(response.trickle_bps)]
        for at, seconds in response.stalls:
            if at is None:
                self._pause(seconds)
        self._stats.answering(self._entry, response.status, response.faults)
        head = self._head(request, response, chunked)
        if request.method == "HEAD" or response.status in BODILESS:
            self._socket.sendall(head)
            return True
        size = body_size(response.body)
        parts = response.body
        if response.cut_after is not None:
            parts = body_slice(parts, 0, response.cut_after)
        stalls = sorted((at, seconds) for at, seconds in response.stalls if at is not None)
        self._body(head, parts, stalls, chunked)
        if response.cut_after is not None:
            return self._close(response)
        if chunked:
            self._socket.sendall(b"0\r\n\r\n")
        return response.declared_length in (None, size)

    def _close(self, response: Response) -> bool:
        """FIN, or RST where the socket may not linger; the connection closes the socket."""
        if response.reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.aborted = True
        return False

    def _head(self, request: Request, response: Response, chunked: bool) -> bytes:
        lines = [f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Unknown')}"]
        lines += [f"{name}: {_header_value(value)}" for name, value in response.headers.items()]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        elif response.status not in BODILESS and "Content-Length" not in response.headers:
            length = response.declared_length
            lines.append(f"Content-Length: {body_size(response.body) if length is None else length}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _body(self, head: bytes, parts: list[Part], stalls: list[tuple[int, float]], chunked: bool) -> None:
        """The head goes out with the first small part in one packet, or alone."""
        at = 0
        for stop, seconds in [*stalls, (body_size(parts), 0.0)]:
            piece = body_slice(parts, at, stop)
            at = max(at, stop)
            if head and not (len(piece) == 1 and isinstance(piece[0], BytesPart) and not chunked):
                self._socket.sendall(head)
                head = b""
            for part in piece:
                self._part(part, head, chunked)
                head = b""
            if seconds:
                self._pause(seconds)

    def _part(self, part: Part, head: bytes, chunked: bool) -> None:
        file = os.open(part.path, os.O_RDONLY) if isinstance(part, FilePart) else None
        try:
            done = 0
            while done < part.size:
                size = min(part.size - done, *(link.piece_bytes() for link in self._links))
                for link in self._links:
                    link.send(size)
                self._stats.count(self._entry, size)
                sent = 0
                try:
                    if file is not None:
                        sent = self._file(file, part.offset + done, size)
                    else:
                        sent = self._bytes(part.data[done : done + size], head, chunked)
                        head = b""
                finally:
                    if sent != size:
                        self._stats.count(self._entry, sent - size)
                if not sent:
                    raise Cut("file became shorter while it was served")
                done += sent
        finally:
            if file is not None:
                os.close(file)

    def _file(self, file: int, offset: int, size: int) -> int:
        if not isinstance(self._socket, ssl.SSLSocket):
            return os.sendfile(self._socket.fileno(), file, offset, size)
        data = os.pread(file, size, offset)
        self._socket.sendall(data)
        return len(data)

    def _bytes(self, data: bytes, head: bytes, chunked: bool) -> int:
        framed = b"%x\r\n%b\r\n" % (len(data), data) if chunked else data
        self._socket.sendall(head + framed)
        return len(data)


def compress(request: Request, response: Response) -> bool:
    """Gzips a compressible answer in place, as the real hub does; the ETag becomes weak, the length unknown."""
    size = body_size(response.body)
    wanted = (
        response.compressible
        and response.status == 200
        and request.method == "GET"
        and request.accepts_gzip()
        and not request.http10
        and not request.headers.get("Range")
        and response.declared_length is None
        and GZIP_BYTES_MIN <= size <= GZIP_BYTES_MAX
    )
    if not wanted:
        return False
    before = response.cut_after
    response.body = [BytesPart(_gzipped(response.body))]
    if before is not None:  # the cut was placed in the plain body
        response.cut_after = before * body_size(response.body) // max(size, 1)
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    etag = response.headers.get("ETag")
    if etag and not etag.startswith("W/"):
        response.headers["ETag"] = f"W/{etag}"
    return True


def _gzipped(parts: list[Part]) -> bytes:
    key = tuple(part if isinstance(part, BytesPart) else (part, os.stat(part.path).st_mtime_ns) for part in parts)
    with _gzip_lock:
        found = _gzip_cache.get(key)
    if found is None:
        found = gzip.compress(b"".join(_read(part) for part in parts), 6, mtime=0)
        with _gzip_lock:
            _gzip_cache[key] = found
            while len(_gzip_cache) > GZIP_CACHE_ENTRIES:
                _gzip_cache.popitem(last=False)
    return found


def _read(part: Part) -> bytes:
    if isinstance(part, BytesPart):
        return part.data
    with open(part.path, "rb") as file:
        file.seek(part.offset)
        return file.read(part.size)


def _header_value(value: str) -> str:
    """Header values are ASCII without line breaks; anything else is quoted."""
    clean = value.replace("\r", " ").replace("\n", " ")
    return clean if clean.isascii() else quote(clean, safe=" !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
