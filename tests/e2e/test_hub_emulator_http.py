"""The emulated hub's HTTP: redirects, ranges, headers, counters, bandwidth, latency."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import pytest
from hub_reply import REPO, WEIGHTS, WEIGHTS_BYTES, api, ask, cdn_path, download, needs_patient_client, source  # noqa: F401  (fixtures among them)
from running import wait_until

from tests.hub import Emulator

huggingface_hub = pytest.importorskip("huggingface_hub")

from huggingface_hub import HfApi, snapshot_download  # noqa: E402


# ---- redirects, ranges, headers -----------------------------------------------------------------


def test_authorization_stays_at_the_hub(hub: Emulator, download: Callable[..., Path]) -> None:
    download(token="hf_any")
    download("config.json", token="hf_any")
    assert {entry["authorized"] for entry in hub.log() if entry["route"] == "cdn"} == {False}
    assert {entry["authorized"] for entry in hub.log() if entry["route"] == "resolve"} == {True}
    assert hub.stats()["leaked_tokens"] == 0
    assert ask(hub, cdn_path(hub), Authorization="Bearer hf_any").status == 400
    assert hub.stats()["leaked_tokens"] == 1


def test_redirect_of_a_large_file(hub: Emulator, small_root: Path) -> None:
    digest = hashlib.sha256(source(small_root, "step2000")).hexdigest()
    for method in ("HEAD", "GET"):
        answer = ask(hub, f"/{REPO}/resolve/main/{WEIGHTS}", method)
        assert answer.status == 302 and answer.headers["X-Linked-ETag"] == f'"{digest}"'
        assert answer.headers["X-Linked-Size"] == str(WEIGHTS_BYTES)
        assert answer.headers["X-Repo-Commit"] == hub.sha(REPO) and answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["RateLimit"].startswith('"resolvers";r=')
    blob = ask(hub, cdn_path(hub))
    assert blob.status == 200 and blob.body == source(small_root, "step2000")
    assert len(blob.headers["ETag"]) == 66 and digest not in blob.headers["ETag"]
    assert "X-Repo-Commit" not in blob.headers


def test_redirect_of_a_small_file(hub: Emulator, small_root: Path) -> None:
    answer = ask(hub, f"/{REPO}/resolve/main/config.json", "HEAD")
    location = answer.headers["Location"]
    assert answer.status == 307 and location.startswith(
        f"/api/resolve-cache/models/{REPO}/{hub.sha(REPO)}/config.json?"
    )
    body = source(small_root, "step2000", "config.json")
    for method in ("HEAD", "GET"):
        final = ask(hub, location, method)
        assert final.status == 200 and final.headers["Content-Length"] == str(len(body))
        assert final.headers["X-Repo-Commit"] == hub.sha(REPO)
        assert final.headers["ETag"] == f'"{hashlib.sha1(b"blob %d" % len(body) + bytes(1) + body).hexdigest()}"'
    assert final.body == body
    pointer = ask(hub, f"/{REPO}/raw/main/{WEIGHTS}").body.decode()
    assert pointer.startswith("version https://git-lfs.github.com/spec/v1\noid sha256:")
    assert ask(hub, f"/{REPO}/raw/main/config.json").body == body


@pytest.mark.parametrize(
    "header, status, start, end",
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=100-199", 206, 100, 200),
        ("bytes=299990-", 206, 299_990, 300_000),
        ("bytes=299990-999999", 206, 299_990, 300_000),
        ("bytes=-10", 206, 299_990, 300_000),
        ("bytes=-999999", 206, 0, 300_000),
        ("bytes=300000-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=5-4", 200, 0, 300_000),
        ("bytes=0-1,5-6", 200, 0, 300_000),
        ("lines=1-2", 200, 0, 300_000),
        ("bytes=-", 200, 0, 300_000),
    ],
)
def test_ranges(hub: Emulator, small_root: Path, header: str, status: int, start: int, end: int) -> None:
    answer = ask(hub, cdn_path(hub), Range=header)
    assert answer.status == status
    if status == 416:
        assert answer.headers["Content-Range"] == "bytes */300000"
        return
    assert answer.body == source(small_root, "step2000")[start:end]
    assert answer.headers["Content-Length"] == str(end - start)
    assert answer.headers["Content-Range"] == (f"bytes {start}-{end - 1}/300000" if status == 206 else None)


def test_conditions(hub: Emulator, small_root: Path) -> None:
    for path in (cdn_path(hub), ask(hub, f"/{REPO}/resolve/main/config.json").headers["Location"]):
        etag = ask(hub, path, "HEAD").headers["ETag"]
        assert ask(hub, path, If_None_Match=etag).status == 304
        assert ask(hub, path, If_None_Match=f'"x", W/{etag}').status == 304
        assert ask(hub, path, If_None_Match='"x"').status == 200
        assert ask(hub, path, If_Match='"x"').status == 412
        assert ask(hub, path, If_Match=etag, Range="bytes=1-2").status == 206
        assert ask(hub, path, If_Range=etag, Range="bytes=1-2").status == 206
        assert ask(hub, path, If_Range='"x"', Range="bytes=1-2").status == 200
    linked = ask(hub, f"/{REPO}/resolve/main/{WEIGHTS}", "HEAD").headers["X-Linked-ETag"]
    answer = ask(hub, f"/{REPO}/resolve/main/{WEIGHTS}", If_None_Match=linked)
    assert answer.status == 304 and answer.headers["X-Repo-Commit"] == hub.sha(REPO)


def test_compression_as_on_the_real_hub(hub: Emulator, download: Callable[..., Path], small_root: Path) -> None:
    location = ask(hub, f"/{REPO}/resolve/main/tokenizer.json").headers["Location"]
    packed = ask(hub, location, Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip" and packed.headers["Content-Length"] is None
    assert packed.headers["ETag"].startswith('W/"') and len(packed.body) < 30_000
    assert hub.stats()["bytes"]["resolve"] > len(packed.body), "the redirect's text counts as well"
    assert ask(hub, location, Accept_Encoding="gzip", Range="bytes=0-9").body == packed_plain(small_root)[:10]
    assert ask(hub, location).body == packed_plain(small_root)
    assert download("tokenizer.json").read_bytes() == packed_plain(small_root)
    hub.set(gzip=False)
    assert ask(hub, location, Accept_Encoding="gzip").headers["Content-Encoding"] is None
    assert ask(hub, cdn_path(hub), Accept_Encoding="gzip").headers["Content-Encoding"] is None


def packed_plain(root: Path) -> bytes:
    return source(root, "step2000", "tokenizer.json")


def test_signed_addresses_expire(hub: Emulator) -> None:
    hub.set(url_ttl_s=1)
    paths: list[str] = []
    wait_until(lambda: ask(hub, paths.append(cdn_path(hub)) or paths[-1]).status == 200)  # a busy machine may come too late
    time.sleep(1.05)
    answer = ask(hub, paths[-1])
    assert answer.status == 403 and b"Request has expired" in answer.body
    hub.set(url_ttl_s=60)
    forged = cdn_path(hub).replace("Signature=", "Signature=0")
    assert ask(hub, forged).status == 403


def test_keep_alive_and_parallel_connections(hub: Emulator, small_root: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=30)
    for _ in range(5):
        connection.request("GET", f"/api/models/{REPO}/refs")
        assert connection.getresponse().read()
    connection.close()
    stats = hub.stats()
    assert len({entry["connection"] for entry in hub.log()}) == 1 and stats["requests"]["total"] == 5

    path, expected = cdn_path(hub), source(small_root, "step2000")
    hub.reset()
    hub.fault("hold", route="cdn")
    with ThreadPoolExecutor(64) as pool:
        asked = [pool.submit(ask, hub, path) for _ in range(64)]
        wait_until(lambda: hub.stats()["in_flight"]["cdn"] == 64)
        hub.clear_faults()
        bodies = [one.result().body for one in asked]
    assert all(body == expected for body in bodies)
    stats = hub.stats()
    assert stats["in_flight_peak"]["cdn"] == 64 and stats["bytes"]["cdn"] == 64 * WEIGHTS_BYTES
    assert stats["connections"]["peak"] >= 64


def test_https(
    small_root: Path, make_hub: Callable[..., Emulator], certificate: tuple[str, str], tmp_path: Path
) -> None:
    """In a process of its own, because the client reads SSL_CERT_FILE once."""
    hub = make_hub(small_root, tls=certificate, page_size=3)
    code = f"""
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError
print(snapshot_download("{REPO}"))
try:
    HfApi().model_info("org/nothing")
except RepositoryNotFoundError as error:
    assert error.response.status_code == 401
else:
    raise SystemExit("found what is not there")
"""
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_ENDPOINT": hub.url, "SSL_CERT_FILE": certificate[0]}
    env["REQUESTS_CA_BUNDLE"] = certificate[0]  # older clients
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert hub.url.startswith("https://127.0.0.1:")
    assert (Path(run.stdout.strip()) / WEIGHTS).read_bytes() == source(small_root, "step2000")
    assert (
        hub.stats()["bytes"]["cdn"]
        == WEIGHTS_BYTES + (small_root / f"models/{REPO}/step2000/model.safetensors").stat().st_size
    )


def test_as_a_proxy(hub: Emulator, small_root: Path, tmp_path: Path) -> None:
    """A client that is told of a proxy sends whole addresses; no such host need exist."""
    code = f"from huggingface_hub import hf_hub_download; print(hf_hub_download('{REPO}', '{WEIGHTS}'))"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_ENDPOINT": "http://hub.test", "HTTP_PROXY": hub.url}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).read_bytes() == source(small_root, "step2000")
    assert all(entry["proxied"] for entry in hub.log()) and hub.stats()["requests"]["cdn"] == 1


def test_endpoint_with_a_path(small_root: Path, make_hub: Callable[..., Emulator], tmp_path: Path) -> None:
    hub = make_hub(small_root, prefix="/mirror/hf", page_size=2)
    assert hub.url.endswith("/mirror/hf")
    assert ask(hub, f"/api/models/{REPO}").status == 404
    folder = Path(snapshot_download(REPO, endpoint=hub.url, cache_dir=tmp_path))
    assert (folder / WEIGHTS).read_bytes() == source(small_root, "step2000")


# ---- counters -----------------------------------------------------------------------------------


def test_counters_are_exact(hub: Emulator, download: Callable[..., Path], small_root: Path) -> None:
    download(revision="step512")
    config = source(small_root, "step512", "config.json")
    download("config.json", revision="step512")
    stats = hub.stats()
    assert stats["bytes"] == {"total": WEIGHTS_BYTES + len(config), "cdn": WEIGHTS_BYTES, "resolve": len(config)}
    assert stats["files"][f"models/{REPO}@step512/{WEIGHTS}"] == {"requests": 2, "bytes": WEIGHTS_BYTES}
    assert stats["files"][f"models/{REPO}@step512/config.json"]["bytes"] == len(config)
    log = hub.log()
    assert len(log) == stats["requests"]["total"] == sum(stats["statuses"].values())
    assert sum(entry["bytes"] for entry in log) == stats["bytes"]["total"]
    path = cdn_path(hub, revision="step512")
    hub.reset()
    assert hub.stats()["bytes"] == {"total": 0} and hub.log() == []
    ask(hub, path, Range="bytes=10-19")
    ask(hub, path, Range="bytes=10-19", method="HEAD")
    log = hub.log()
    assert [(entry["method"], entry["range"], entry["status"], entry["bytes"]) for entry in log] == [
        ("GET", "bytes=10-19", 206, 10),
        ("HEAD", "bytes=10-19", 206, 0),
    ]
    assert hub.stats()["files"] == {f"models/{REPO}@step512/{WEIGHTS}": {"requests": 2, "bytes": 10}}
    assert hub.stats()["bytes"] == {"total": 10, "cdn": 10}


def test_counters_of_a_client_that_leaves(hub: Emulator) -> None:
    """What is counted is what was handed over, not what was asked for."""
    hub.set(bandwidth_bps=8 * 100_000)  # the whole file would take 3 s
    path = cdn_path(hub)
    hub.reset()
    with socket.create_connection(("127.0.0.1", hub.port)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        wait_until(lambda: hub.stats()["bytes"].get("cdn", 0) > 10_000)
    wait_until(lambda: not hub.stats()["in_flight"]["cdn"])
    assert 10_000 < hub.stats()["bytes"]["cdn"] < WEIGHTS_BYTES
    hub.set(bandwidth_bps=0)
    assert hub.log()[0]["bytes"] == hub.stats()["bytes"]["cdn"]


def test_log_file(small_root: Path, tmp_path: Path, make_hub: Callable[..., Emulator]) -> None:
    hub = make_hub(small_root, log=tmp_path / "log")
    ask(hub, f"/api/models/{REPO}")
    limit = time.monotonic() + 60  # the line is written after the answer
    while not (tmp_path / "log").read_text().endswith("\n") and time.monotonic() < limit:
        time.sleep(0.02)
    hub.stop()
    (entry,) = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert entry["route"] == "api" and entry["status"] == 200 and entry["seconds"] >= 0


# ---- bandwidth and latency ----------------------------------------------------------------------


def test_bandwidth_is_shared_and_smooth(hub: Emulator) -> None:
    """Never more than the limit, at any moment; how near the limit it comes depends on the machine."""
    path, rate = cdn_path(hub), 1_200_000
    hub.set(bandwidth_bps=8 * rate)
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        assert all(reply.status == 200 for reply in pool.map(lambda _: ask(hub, path), range(8)))
    ideal = 8 * WEIGHTS_BYTES / rate
    assert ideal * 0.97 < time.monotonic() - began

    connection = http.client.HTTPConnection("127.0.0.1", hub.port)
    began, received = time.monotonic(), 0
    connection.request("GET", path)
    answer = connection.getresponse()
    while data := answer.read(12_000):
        received += len(data)
        assert time.monotonic() - began > received / rate - 0.05
    connection.close()


def test_bandwidth_of_one_connection(hub: Emulator) -> None:
    path = cdn_path(hub)
    hub.set(connection_bps=8 * 300_000)

    def seconds(parallel: int) -> float:
        began = time.monotonic()
        with ThreadPoolExecutor(parallel) as pool:
            list(pool.map(lambda _: ask(hub, path), range(parallel)))
        return time.monotonic() - began

    assert seconds(1) > 0.9 and seconds(4) > 0.9
    wait_until(lambda: seconds(4) < 3.8)  # what one after the other takes, on no machine less; a busy one may take as long


def test_latency(hub: Emulator) -> None:
    hub.set(latency_ms=60, connect_ms=100)
    connection = http.client.HTTPConnection("127.0.0.1", hub.port)
    times: list[float] = []
    limit = time.monotonic() + 60
    while len(times) < 4 or (min(times[1:]) >= 0.16 and time.monotonic() < limit):  # a busy machine is slow for a while
        began = time.monotonic()
        connection.request("HEAD", f"/api/models/{REPO}")
        connection.getresponse().read()
        times.append(time.monotonic() - began)
    connection.close()
    assert times[0] >= 0.16 and min(times) >= 0.06 and min(times[1:]) < 0.16


@needs_patient_client
def test_rate_limits(hub: Emulator, api: HfApi) -> None:
    hub.set(api_quota=2, quota_window_s=300)
    first, second, third = (ask(hub, f"/api/models/{REPO}") for _ in range(3))
    assert [first.status, second.status, third.status] == [200, 200, 429]
    assert first.headers["RateLimit"].startswith('"api";r=1;t=') and third.headers["RateLimit"].startswith(
        '"api";r=0;t='
    )
    assert third.headers["RateLimit-Policy"] == '"fixed window";"api";q=2;w=300'
    assert ask(hub, f"/{REPO}/resolve/main/config.json").status == 307, "another bucket"
    hub.set(quota_window_s=3)
    for _ in range(2):
        ask(hub, f"/api/models/{REPO}")
    assert list(api.list_repo_tree(REPO)), "the client waits as it is told, and succeeds"
