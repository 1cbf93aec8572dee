"""The hub client and answers that are allowed, or nearly, and that few servers give: other ranges, chunks, HTTP/2 that breaks off, Xet."""

from __future__ import annotations

import email.utils
import http.server
import os
import random
import re
import threading
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest
from http2 import Http2Server
from hub_probe import BIG, BIG_BYTES, Probe, big, big_root, sha256  # noqa: F401  (fixtures among them)
from tests.hub import Emulator

AT, SIZE = 5_000_000, 100_000


# ---- what a range may be answered with --------------------------------------------------------------


@pytest.mark.parametrize(
    "told, say",
    [
        ({"Content-Range": "bytes 4999900-5099899/24000000"}, "answers with bytes 4999900-5099900 where 5000000-5100000"),
        ({"Content-Range": "bytes 5000000-5199999/24000000"}, "answers with bytes 5000000-5200000 where"),
        ({"Content-Range": "bytes */24000000"}, "answers with bytes 0-0 where 5000000-5100000"),
        ({"Content-Range": "items 5000000-5099999/24000000"}, "does not say which bytes"),
        ({"Content-Range": ""}, "does not say which bytes"),
        ({"Content-Range": "", "Content-Type": "multipart/byteranges; boundary=x"}, "several ranges where one was asked for"),
        ({"Content-Encoding": "gzip"}, "compresses a range"),
        ({"Content-Encoding": "aws-chunked"}, "compresses a range"),
    ],
)
def test_other_than_asked(big: tuple[Emulator, Probe, bytes], told: dict[str, str], say: str) -> None:
    """Refused before a byte is taken. Another try may be right; what never is names the reason."""
    hub, probe, data = big
    hub.fault("headers", route="cdn", set=told, times=2)
    answer = probe("org/big", "read", "main", BIG, AT, SIZE)
    assert answer.get("ranges") == [sha256(data[AT : AT + SIZE])] and answer["retries"] == 2, answer
    hub.fault("headers", route="cdn", set=told)
    answer = probe("org/big", "read", "main", BIG, AT, SIZE)
    assert answer["error"] == "http" and say in answer["message"], answer


@pytest.mark.parametrize(
    "told",
    [{"Content-Range": f"bytes {AT}-{AT + SIZE - 1}/*"}, {"Content-Encoding": "identity"}, {"Content-Encoding": ""}],
    ids=["no-total", "identity", "no-encoding"],
)
def test_as_good_as_asked(big: tuple[Emulator, Probe, bytes], told: dict[str, str]) -> None:
    hub, probe, data = big
    hub.fault("headers", route="cdn", set=told)
    answer = probe("org/big", "read", "main", BIG, AT, SIZE)
    assert answer.get("ranges") == [sha256(data[AT : AT + SIZE])] and answer["retries"] == 0, answer


class Chunks(http.server.BaseHTTPRequestHandler):
    """Ranges in chunks, as servers that make them up send them: no length, each answer a share of what was asked for."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        if self.server.whole:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(self.server.whole), self.server.whole))
            return
        begin, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups())
        self.server.count += 1
        if self.server.count % 2:
            last = begin + (last - begin) // 2
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{last}/{BIG_BYTES}")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(begin, last + 1, 7000):
            piece = self.server.data[at : min(at + 7000, last + 1)]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if self.server.count == 2 and at > begin:  # ends in the middle, without a word
                self.close_connection = True
                return
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def chunks(big: tuple[Emulator, Probe, bytes]) -> Iterator[http.server.ThreadingHTTPServer]:
    hub, _, data = big
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Chunks) as server:
        server.count, server.data, server.whole = 0, data, b""
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub.set(cdn_host=f"http://localhost:{server.server_port}")
        yield server
        server.shutdown()


def test_ranges_in_chunks(big: tuple[Emulator, Probe, bytes], chunks: http.server.ThreadingHTTPServer) -> None:
    """Whatever part of a range comes counts, and the rest is asked for."""
    _, probe, data = big
    answer = probe("org/big", "read", "main", BIG, AT, SIZE)
    assert answer.get("ranges") == [sha256(data[AT : AT + SIZE])] and chunks.count > 2, answer


def test_whole_files_of_no_told_length(big: tuple[Emulator, Probe, bytes], chunks: http.server.ThreadingHTTPServer) -> None:
    """Where a server ignores Range and says neither length nor ETag, the end of a file that grew shows that it did."""
    _, probe, _ = big
    chunks.whole = random.Random(2).randbytes(400_000)
    answer = probe("org/big", "read", "main", "middle.safetensors", 300_000, 100_000)
    assert answer.get("ranges") == [sha256(chunks.whole[300_000:])], answer
    chunks.whole = chunks.whole[:10] + b"x" + chunks.whole[10:]
    answer = probe("org/big", "read", "main", "middle.safetensors", 300_000, 100_000)
    assert answer["error"] == "mismatch" and "more bytes than the 400000 that were promised" in answer["message"], answer


# ---- HTTP/2 -----------------------------------------------------------------------------------------


def test_http2_that_breaks_off(big_root: Path, make_hub: Callable[..., Emulator], tmp_path: Path, certificate: tuple[str, str]) -> None:
    """Streams that are reset and connections that are sent away, with and without a part of the answer."""
    data = (big_root / "models/org/big/main" / BIG).read_bytes()
    ends = [("reset", 0.5), ("reset", 0.0), ("away", 0.5), ("away", 0.0), ("reset", 1.0)]
    env = {"REQUESTS_CA_BUNDLE": certificate[0]}
    with Http2Server(certificate, data, ends) as server:
        hub = make_hub(big_root, tls=certificate, cdn_host=f"https://localhost:{server.port}")
        answer = Probe(tmp_path, hub.url)("org/big", "read", "main", BIG, AT, SIZE, env=env)
        assert answer.get("ranges") == [sha256(data[AT : AT + SIZE])], answer
        # libcurl 8.14 itself repeats what GOAWAY says was not begun.
        assert answer["retries"] >= 3 and server.count >= 5, "each of them was met"
    with Http2Server(certificate, data, [("reset", 0.0)] * 99) as server:
        hub.set(cdn_host=f"https://localhost:{server.port}")
        answer = Probe(tmp_path, hub.url)("org/big", "read", "main", BIG, AT, SIZE, env=env)
        assert answer["error"] == "network" and "the connection broke off" in answer["message"], answer


# ---- pauses -----------------------------------------------------------------------------------------


def test_a_pause_until_a_moment(big: tuple[Emulator, Probe, bytes]) -> None:
    """A date in Retry-After is one of the server's clock, which may differ from ours by hours."""
    hub, probe, data = big
    now = time.time() + 7200
    told = {"Date": email.utils.formatdate(now, usegmt=True), "Retry-After": email.utils.formatdate(now + 2, usegmt=True)}
    hub.fault("status", status=429, route="resolve", times=1)
    hub.fault("headers", route="resolve", set=told, times=1)
    answer = probe("org/big", "read", "main", BIG, AT, SIZE, options=("wait_max_ms=10000",))
    assert answer.get("ranges") == [sha256(data[AT : AT + SIZE])] and answer["seconds"] > 2, answer


@pytest.mark.parametrize("value", ["soon", "-5", "1.5", "PT60S"])
def test_a_pause_that_is_nonsense(big: tuple[Emulator, Probe, bytes], value: str) -> None:
    """Then it waits as where none is named."""
    hub, probe, data = big
    hub.fault("status", status=429, route="resolve", retry_after=value, times=2)
    assert probe("org/big", "read", "main", BIG, AT, SIZE).get("ranges") == [sha256(data[AT : AT + SIZE])]


# ---- Xet --------------------------------------------------------------------------------------------


def test_files_in_xet_storage(big: tuple[Emulator, Probe, bytes]) -> None:
    """The hub offers Xet's own protocol beside the redirect and names its hash in lists; SHA-256, ranges and redirect are as ever."""
    hub, probe, data = big
    xet_hash = "e" * 64
    route = "/api/models/org/big/xet-read-token/" + "0" * 40
    links = f'<{hub.url}{route}>; rel="xet-auth", <{hub.url}/reconstructions/{xet_hash}>; rel="xet-reconstruction-info"'
    told = {"X-Xet-Hash": xet_hash, "X-Xet-Refresh-Route": route, "Link": links}
    hub.fault("headers", route="resolve", file=r"\.safetensors$", set=told)
    hub.fault("replace", path="/tree/", pattern=r'("pointerSize": ?\d+\})', by=rf'\1, "xetHash": "{xet_hash}"')
    listed = {row["path"]: row for row in probe("org/big", "tree", "main")["files"]}
    assert listed[BIG]["sha256"] == sha256(data)
    answer = probe("org/big", "read", "main", BIG, AT, SIZE)
    assert answer.get("ranges") == [sha256(data[AT : AT + SIZE])], answer
    assert not [row for row in hub.log() if "xet-read-token" in row["target"] or "reconstructions" in row["target"]]


def test_blobs_that_python_shares(big: tuple[Emulator, Probe, bytes]) -> None:
    """Python keeps Xet files once for all repositories of a cache, and a symbolic link to them in each; one that leads nowhere is fetched anew."""
    hub, probe, data = big
    snapshot = Path(probe("org/big", "download", "main", BIG)["path"])
    blob, store = snapshot.resolve(), probe.cache / "blobs" / "ee" / ("e" * 64)
    store.parent.mkdir(parents=True)
    (probe.cache / "blobs" / ".huggingface-shared-blobs").write_text("1\n")
    blob.rename(store)
    blob.symlink_to(os.path.relpath(store, blob.parent))
    hub.reset()
    for env in ({}, {"HF_HUB_OFFLINE": "1"}):
        answer = probe("org/big", "read", "main", BIG, AT, SIZE, env=env)
        assert answer.get("ranges") == [sha256(data[AT : AT + SIZE])] and answer["mapped"], answer
        assert Path(probe("org/big", "download", "main", BIG, env=env)["path"]) == snapshot
    assert hub.stats()["bytes"].get("cdn", 0) == 0
    store.unlink()
    assert Path(probe("org/big", "download", "main", BIG)["path"]).read_bytes() == data
    assert not blob.is_symlink() and not store.exists()
