"""The API over the wire, with a real daemon: errors, conditional reads, paging, hostile clients."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import socket
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator
from urllib.parse import urlsplit

import pytest
from running import Daemon

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
SERIES = f"/v1/models/{MODEL}/revisions"


def measure(one: Daemon) -> None:
    """Four revisions."""
    sweep = one.sweep(MODEL, revisions={"names": ["step0", "step1", "step128", "step512"]})
    assert one.wait(sweep)["state"] == "done"


@pytest.fixture(scope="module")
def measured(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that has measured at least four revisions, for all tests that do not count."""
    with Emulator(garden) as hub, Daemon(programs, tmp_path_factory.mktemp("measured"), hub.url, [], {}) as one:
        measure(one)
        yield one


def connect(one: Daemon) -> socket.socket:
    where = urlsplit(one.url)
    connection = socket.create_connection((where.hostname, where.port), timeout=60)
    return connection


def raw(one: Daemon, data: bytes) -> bytes:
    """Sends bytes and returns all that comes until the daemon closes or is silent."""
    with connect(one) as connection:
        connection.settimeout(2)
        answer = b""
        try:
            connection.sendall(data)
            while chunk := connection.recv(65536):
                answer += chunk
        except OSError:
            pass
        return answer


def test_json_and_csv_hold_the_same_numbers(measured: Daemon) -> None:
    fields = "revision,step,msd,mean,variance,kurtosis"
    rows = measured.get(f"{SERIES}?fields={fields}").json()["revisions"]
    lines = measured.get(f"{SERIES}?fields={fields}&format=csv").text.splitlines()
    assert lines[0] == fields and len(lines) == len(rows) + 1
    for row, line in zip(rows, lines[1:], strict=True):
        cells = line.split(",")
        for name, cell in zip(fields.split(",")[2:], cells[2:], strict=True):
            assert (float(cell) if cell else None) == row[name]


def test_pages_join_to_the_whole(measured: Daemon) -> None:
    whole = measured.get(f"{SERIES}?fields=revision").json()["revisions"]
    names, cursor = [], ""
    while True:
        page = measured.get(f"{SERIES}?fields=revision&limit=3{cursor}").json()
        names += page["revisions"]
        assert len(page["revisions"]) <= 3
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert names == whole and len(whole) > 3


def test_etag_changes_only_with_the_model(measured: Daemon) -> None:
    first = measured.get(SERIES)
    etag = first.headers["ETag"]
    assert not etag.startswith("W/")
    assert measured.get(SERIES, {"If-None-Match": etag}).status == 304
    coded = measured.get(SERIES, {"Accept-Encoding": "gzip"})
    assert coded.headers["Content-Encoding"] == "gzip" and coded.headers["ETag"] != etag
    assert gzip.decompress(coded.body) == first.body
    lists = {path: measured.get(path).headers["ETag"] for path in ("/v1/models", "/v1/sweeps", "/v1/scaling")}
    sweep = measured.sweep(MODEL, revisions={"names": ["step256"]})
    measured.wait(sweep)
    again = measured.get(SERIES, {"If-None-Match": etag})
    assert again.status == 200 and again.headers["ETag"] != etag
    for path, before in lists.items():  # which hold what all models have
        assert measured.get(path, {"If-None-Match": before}).status == 200, path


def test_large_answers_are_the_same_from_the_cache(daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Any) -> None:
    one = daemon(make_hub(garden))
    assert one.wait(one.sweep(MODEL))["state"] == "done"
    target = f"/v1/models/{MODEL}/trajectories?entries=4096"
    first = one.get(target, {"Accept-Encoding": "identity"})
    assert first.status == 200 and len(first.body) > 256 * 1024  # sent from a file in memory
    for _ in range(3):
        again = one.get(target, {"Accept-Encoding": "identity"})
        assert again.body == first.body and again.headers["ETag"] == first.headers["ETag"]
    length = one.request("HEAD", target).headers["Content-Length"]
    assert int(length) in (len(first.body), len(one.get(target).body))
    assert gzip.decompress(one.get(target, {"Accept-Encoding": "gzip"}).body) == first.body
    hits = re.search(r"^bifurcated_http_cache_hits_total (\d+)", one.get("/metrics").text, re.MULTILINE)
    assert int(hits.group(1)) >= 3


def test_trajectories_that_are_too_long_for_one_page(daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Any) -> None:
    """A page ends earlier than `limit` says; with the next one it is all."""
    one = daemon(make_hub(garden))
    assert one.wait(one.sweep(MODEL, revisions={"names": ["step512"]}))["state"] == "done"
    assert one.stop() == 0
    with contextlib.closing(sqlite3.connect(one.db)) as database, database:
        database.executescript("""
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250)
                INSERT INTO revisions (model_id, name, commit_sha, step, first_seen_ms)
                SELECT model_id, 'step' || (1000 + i), commit_sha, 1000 + i, first_seen_ms FROM revisions, n WHERE revisions.name = 'step512';
            INSERT INTO revision_tensors SELECT revisions.id, tensor, content_id, token_rows, definition, backend, NULL, file_path, file_digest, 0, measured_ms
                FROM revisions, revision_tensors WHERE revisions.step BETWEEN 1001 AND 1250;
            """)
    one.start()
    target, names = f"/v1/models/{MODEL}/trajectories?entries=4096&limit=10000", []
    while target:
        page = one.get(target, {"Accept": "text/csv"})
        assert page.status == 200, page
        names.append([line.partition(",")[0] for line in page.text.splitlines()[1:]])
        target = (re.findall("<(.*)>", page.headers.get("Link") or "") or [""])[0]
    assert [len(page) for page in names] == [244, 7]
    assert sum(names, []) == ["step512", *(f"step{step}" for step in range(1001, 1251))]


def test_idempotency_key_starts_one_sweep(measured: Daemon) -> None:
    body = {"model": MODEL, "revisions": {"names": ["step0"]}}
    answers = [measured.post("/v1/sweeps", body, {"Idempotency-Key": "night-1"}) for _ in range(3)]
    assert [one.status for one in answers] == [201, 200, 200]
    assert len({one.json()["id"] for one in answers}) == 1
    other = measured.post("/v1/sweeps", {"model": MODEL}, {"Idempotency-Key": "night-1"})
    assert other.status == 409 and other.headers["Content-Type"] == "application/problem+json"


def test_foreign_pages_cannot_write(measured: Daemon) -> None:
    body = json.dumps({"model": MODEL}).encode()
    head = f"POST /v1/sweeps HTTP/1.1\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    rebound = raw(measured, f"{head}Host: evil.example\r\nContent-Type: application/json\r\n\r\n".encode() + body)
    assert b" 403 " in rebound.split(b"\r\n")[0]
    form = raw(measured, f"{head}Host: localhost\r\nContent-Type: text/plain\r\n\r\n".encode() + body)
    assert b" 415 " in form.split(b"\r\n")[0]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff\xfe",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 60000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
        b"POST /v1/sweeps HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /v1/sweeps HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/models/..%2f..%2fetc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/models/a/%c0%ae HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_rubbish_is_refused_and_others_are_served(measured: Daemon, data: bytes) -> None:
    answer = raw(measured, data)
    assert not answer or answer.split(b" ")[1][:1] in (b"4", b"5"), answer[:200]
    assert measured.get("/healthz").status == 200


def test_idle_and_half_sent_requests_block_nobody(measured: Daemon) -> None:
    held = [connect(measured) for _ in range(200)]
    try:
        for number, connection in enumerate(held):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nX: " if number % 2 else b"")
        assert all(measured.get("/healthz").status == 200 for _ in range(20))
    finally:
        for connection in held:
            connection.close()


def test_many_follow_a_sweep_and_polls_are_served(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Any
) -> None:
    """For seconds; and the polls do get answers while the sweep runs."""
    one = daemon(make_hub(garden, bandwidth_bps=2_000_000))
    sweep = one.sweep(MODEL)
    ends: list[bool] = []
    polls = 0

    def follow() -> None:
        text = b""
        with connect(one) as connection:
            connection.settimeout(120)
            connection.sendall(f"GET /v1/sweeps/{sweep}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            while b"event: end" not in text and (chunk := connection.recv(65536)):
                text += chunk
        ends.append(b"event: end" in text)

    threads = [threading.Thread(target=follow) for _ in range(50)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert one.get(SERIES).status in (200, 404)
        polls += not ends
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert len(ends) == 50 and all(ends)
    assert polls > 1  # however busy the machine is
    assert one.get(f"/v1/sweeps/{sweep}").json()["state"] == "done"


def test_metrics_count(daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Any) -> None:
    one = daemon(make_hub(garden))
    measure(one)

    def values() -> dict[str, float]:
        text = one.get("/metrics").text
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    for _ in range(3):
        one.get(SERIES)
    name = 'bifurcated_http_requests_total{operation="listRevisions",status="2xx"}'
    limit = time.monotonic() + 60
    while values().get(name, 0) < 3 and time.monotonic() < limit:
        time.sleep(0.05)  # an answer is counted once it is sent, which its reader may be ahead of
    assert values()[name] == 3
    assert values()["bifurcated_http_cache_hits_total"] >= 2
    assert values()['bifurcated_sweeps{state="done"}'] == 1
