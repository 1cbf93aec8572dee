"""An HTTP/2 server over TLS that breaks off as it is told: no server at hand resets streams or says GOAWAY at a wish."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from typing import Any

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INTERNAL_ERROR = struct.pack(">I", 2)
RANGE_FIELD = b"\x72"  # HPACK: a value for the field of index 50, to be remembered

# Of HPACK's Huffman code (RFC 7541, appendix B) what a Range field is made of.
HUFFMAN = {f"{digit:05b}": str(digit) for digit in range(3)}
HUFFMAN |= {f"{0b011001 + digit - 3:06b}": str(digit) for digit in range(3, 10)}
HUFFMAN |= {"00101": "e", "01000": "s", "01001": "t", "010110": "-", "100000": "=", "100011": "b", "1111010": "y"}


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def fields(**values: str) -> bytes:
    """Literal fields without an index, names and values below 127 bytes; _ for -."""
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in values.items()]
    return b"".join(bytes([0, len(name)]) + name + bytes([len(value)]) + value for name, value in pairs)


def wanted_range(block: bytes) -> tuple[int, int] | None:
    """(begin, end) of the Range field in a request's fields, the end exclusive; None: as in the request before."""
    for at in (one.end() for one in re.finditer(RANGE_FIELD, block[:-1])):
        size = block[at] & 127
        text, bits = "", ""
        for bit in "".join(f"{byte:08b}" for byte in block[at + 1 : at + 1 + size]):
            bits += bit
            if bits in HUFFMAN:
                text, bits = text + HUFFMAN[bits], ""
        if match := re.fullmatch(r"bytes=(\d+)-(\d+)", text):
            return int(match[1]), int(match[2]) + 1
    return None


class Http2Server:
    """Serves ranges of `data` at every address. The nth answer ends as the nth of `ends` says, with the share of its bytes that are
    sent: ("reset", 0.5), or ("away", 0.0) by GOAWAY. All later ones are whole."""

    def __init__(self, certificate: tuple[str, str], data: bytes, ends: list[tuple[str, float]]) -> None:
        self.data, self.ends, self.count = data, ends, 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._context.set_alpn_protocols(["h2"])
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def __enter__(self) -> Http2Server:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        span = (0, 0)
        try:
            with self._context.wrap_socket(raw, server_side=True) as connection, connection.makefile("rb") as incoming:
                incoming.read(len(PREFACE))
                connection.sendall(frame(SETTINGS, 0, 0, b""))
                while head := incoming.read(9):
                    size, kind, flags, stream = int.from_bytes(head[:3]), head[3], head[4], int.from_bytes(head[5:])
                    payload = incoming.read(size)
                    if kind == SETTINGS and not flags & ACK:
                        connection.sendall(frame(SETTINGS, ACK, 0, b""))
                    if kind == HEADERS:
                        span = wanted_range(payload) or span
                        connection.sendall(self._answer(stream, *span))
        except OSError:
            pass

    def _answer(self, stream: int, begin: int, end: int) -> bytes:
        how, share = self.ends[self.count] if self.count < len(self.ends) else ("whole", 1.0)
        self.count += 1
        body = self.data[begin:end]
        told = fields(**{":status": "206"}, content_range=f"bytes {begin}-{end - 1}/{len(self.data)}")
        out = frame(HEADERS, END_HEADERS, stream, told) if share else b""
        sent = body[: int(len(body) * share)]
        for at in range(0, len(sent), 16000):
            out += frame(DATA, 0, stream, sent[at : at + 16000])
        if how == "reset":
            return out + frame(RST_STREAM, 0, stream, INTERNAL_ERROR)
        if how == "away":
            return out + frame(GOAWAY, 0, 0, bytes(4) + INTERNAL_ERROR)
        return out + frame(DATA, END_STREAM, stream, b"")
