"""What goes between the routes and the transport: requests, answers, bodies.

A body is a list of parts, each a piece of a file or a few bytes, so that a
range, a cut or a flipped bit never needs the whole file in memory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote


@dataclass(frozen=True)
class FilePart:
    """`size` bytes of a file from `offset`."""

    path: str
    offset: int
    size: int

    def slice(self, start: int, end: int) -> "FilePart":
        return FilePart(self.path, self.offset + start, end - start)

    def byte(self, index: int) -> int:
        with open(self.path, "rb") as file:
            file.seek(self.offset + index)
            return file.read(1)[0]


@dataclass(frozen=True)
class BytesPart:
    """A few bytes in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def slice(self, start: int, end: int) -> "BytesPart":
        return BytesPart(self.data[start:end])

    def byte(self, index: int) -> int:
        return self.data[index]


Part = FilePart | BytesPart


def body_size(parts: list[Part]) -> int:
    return sum(part.size for part in parts)


def body_slice(parts: list[Part], start: int, end: int) -> list[Part]:
    """Bytes start <= i < end of a body."""
    out: list[Part] = []
    at = 0
    for part in parts:
        low, high = max(start - at, 0), min(end - at, part.size)
        if low < high:
            out.append(part.slice(low, high))
        at += part.size
    return out


def body_flip(parts: list[Part], index: int, bit: int) -> list[Part]:
    """The same body with one bit of byte `index` inverted."""
    size = body_size(parts)
    old = body_slice(parts, index, index + 1)[0].byte(0)
    new = BytesPart(bytes([old ^ (1 << bit)]))
    return body_slice(parts, 0, index) + [new] + body_slice(parts, index + 1, size)


class Headers:
    """Response headers: ordered, unique, names compared without case."""

    def __init__(self, items: dict[str, Any] | None = None) -> None:
        self._items: dict[str, tuple[str, str]] = {}
        for name, value in (items or {}).items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        self._items[name.lower()] = (name, str(value))

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._items

    def get(self, name: str, default: str | None = None) -> str | None:
        return self._items.get(name.lower(), (name, default))[1]

    def pop(self, name: str) -> None:
        self._items.pop(name.lower(), None)

    def items(self) -> list[tuple[str, str]]:
        return list(self._items.values())


@dataclass
class Request:
    """One request as read from the socket."""

    method: str
    target: str  # as sent: path and query, still quoted
    headers: Any  # a mapping that ignores case
    body: bytes = b""
    http10: bool = False
    scheme: str = "http"

    def __post_init__(self) -> None:
        self.proxied = self.target.startswith("http://")  # the client takes this server for its proxy
        if self.proxied:
            self.target = "/" + self.target.split("/", 3)[3] if self.target.count("/") >= 3 else "/"
        self.path, _, query = self.target.partition("?")
        self.query = parse_qs(query, keep_blank_values=True)
        self.ignore_range = False  # set by a fault rule

    @property
    def host(self) -> str:
        return self.headers.get("Host") or "127.0.0.1"

    @property
    def origin(self) -> str:
        """What absolute links to this host start with."""
        return f"{self.scheme}://{self.host}"

    @property
    def readable(self) -> str:
        """The target unquoted: what fault rules and people match on."""
        return unquote(self.target)

    def flag(self, name: str) -> bool:
        return self.query.get(name, ["false"])[-1].lower() in ("1", "true", "yes")

    def accepts_gzip(self) -> bool:
        return "gzip" in (self.headers.get("Accept-Encoding") or "").lower()


@dataclass
class Response:
    """One answer, and how the transport shall spoil it."""

    status: int
    headers: Headers = field(default_factory=Headers)
    body: list[Part] = field(default_factory=list)
    file_offset: int = 0  # of the body's first byte, for faults that name a byte of a file
    compressible: bool = False
    cut_after: int | None = None  # send so many body bytes, then close
    reset: bool = False  # close with RST instead of FIN
    silent: bool = False  # close without any answer
    declared_length: int | None = None  # a false Content-Length
    stalls: list[tuple[int | None, float]] = field(default_factory=list)  # (at, seconds); at None: before the headers
    trickle_bps: float = 0  # a limit for this answer alone
    faults: list[str] = field(default_factory=list)


def json_response(value: Any, status: int = 200, headers: dict[str, Any] | None = None) -> Response:
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    out = Headers({"Content-Type": "application/json; charset=utf-8", **(headers or {})})
    return Response(status, out, [BytesPart(data)], compressible=True)


def text_response(status: int, text: str, headers: dict[str, Any] | None = None) -> Response:
    out = Headers({"Content-Type": "text/plain; charset=utf-8", **(headers or {})})
    return Response(status, out, [BytesPart(text.encode())])


class HubError(Exception):
    """An answer of the hub that is an error; the client reads X-Error-Code."""

    def __init__(self, status: int, code: str | None, message: str, headers: dict[str, Any] | None = None):
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}

    def response(self) -> Response:
        headers = {"X-Error-Message": self.message, **self.headers}
        if self.code:
            headers["X-Error-Code"] = self.code
        return json_response({"error": self.message}, self.status, headers)
