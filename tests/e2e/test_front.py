"""The front of the server: TLS, pages of other origins, limits of requests, metrics, and the short form of the contract's proof."""

from __future__ import annotations

import datetime
import http.client
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlsplit

import pytest
from running import Daemon, new_certificate, wait_until

ROOT = Path(__file__).resolve().parents[2]
MODEL = "garden/neox-tiny"
SERIES = f"/v1/models/{MODEL}/revisions"


def certificate_of(one: Daemon) -> bytes:
    """What the daemon shows at a handshake."""
    where = urlsplit(one.url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((where.hostname, where.port), timeout=60) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            return secure.getpeercert(binary_form=True)


def test_tls_and_a_new_certificate(
    daemon: Callable[..., Daemon], hub: Any, certificate: tuple[str, str], tmp_path: Path
) -> None:
    pair = tmp_path / "certificate.pem", tmp_path / "key.pem"
    for source, target in zip(certificate, pair, strict=True):
        shutil.copy(source, target)
    one = daemon(hub, "--tls-certificate", str(pair[0]), "--tls-key", str(pair[1]))
    assert one.url.startswith("https://127.0.0.1:")
    trusted = {"BIFURCATE_CA_FILE": str(pair[0])}
    assert one.get("/healthz").status == 200
    assert one.client("models", env=trusted).returncode == 0
    assert one.client("models", "--ca-file", str(pair[0])).returncode == 0
    unknown = one.client("watch", "garden/absent", "--ca-file", str(pair[0]))  # asks, and sets nothing
    assert unknown.returncode == 4, unknown
    untrusted = one.client("models")
    assert untrusted.returncode == 3 and "--ca-file" in untrusted.stderr and "Start the daemon" not in untrusted.stderr, untrusted
    old = certificate_of(one)
    ends = datetime.datetime.fromisoformat(one.get("/v1/status").json()["certificate_ends_at"].replace("Z", "+00:00")).timestamp()
    assert abs(ends - time.time() - 2 * 86400) < 3600
    told = dict(re.findall(r"^bifurcated_tls_certificate_(start|end)_timestamp_seconds (\S+)$", one.get("/metrics").text, re.M))
    assert float(told["end"]) == ends and float(told["end"]) - float(told["start"]) == 2 * 86400, told
    where = urlsplit(one.url)
    context = ssl.create_default_context(cafile=str(pair[0]))
    plain = one.client("models", "--server", one.url.replace("https", "http"))
    assert plain.returncode == 3 and f"write {one.url}" in plain.stderr and "Start the daemon" not in plain.stderr, plain
    held = http.client.HTTPSConnection(where.hostname, where.port, context=context, timeout=60)
    held.request("GET", "/healthz")
    held.getresponse().read()
    for source, target in zip(new_certificate(tmp_path / "new", "ec -pkeyopt ec_paramgen_curve:P-256", 3), pair, strict=True):
        shutil.copy(source, target)
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: certificate_of(one) != old)
    wait_until(lambda: one.log().count("the certificate was reloaded") == 1)
    before = one.log().count("options reloaded")
    one.process.send_signal(signal.SIGHUP)  # the same again is not kept a second time
    wait_until(lambda: one.log().count("options reloaded") > before)
    held.request("GET", "/healthz")  # a connection from before goes on
    assert held.getresponse().status == 200
    held.close()
    new = certificate_of(one)
    told = re.search(r"^bifurcated_tls_certificate_end_timestamp_seconds (\S+)$", one.get("/metrics").text, re.M)
    assert told and 86400 <= float(told.group(1)) - ends < 86400 + 600, told  # of the one that is served now
    assert one.log().count("the certificate was reloaded") == 1
    pair[1].write_text("rubbish")  # a pair that is none: the old one stays
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "the certificate cannot be read again" in one.log())
    assert certificate_of(one) == new and "tls-key" in one.log()


def test_a_key_of_another_certificate_is_refused(programs: dict[str, Path], tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    mine, other = new_certificate(tmp_path / "a", "rsa:2048"), new_certificate(tmp_path / "b", "rsa:2048")
    one = Daemon(programs, tmp_path / "x", None, [], {})
    for options, said in (
        (("--tls-certificate", mine[0], "--tls-key", other[1]), "is not the key of the first certificate"),
        (("--tls-certificate", mine[0]), "both tls-certificate and tls-key"),
        (("--tls-certificate", mine[1], "--tls-key", mine[1]), "tls-certificate"),
        (("--tls-certificate", str(tmp_path / "absent"), "--tls-key", mine[1]), "absent"),
    ):
        command = [programs["bifurcated"], "--listen", "127.0.0.1:0", "--state", one.state, *options]
        done = subprocess.run(command, env=one.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and said in done.stderr, done


def test_pages_of_other_origins(daemon: Callable[..., Daemon], hub: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-of-sixteen-and-more")
    page, other = "https://board.example", "https://other.example:8443"
    one = daemon(hub, "--cors-origin", f"{page} {other}", "--token-file", str(tmp_path / "token"))
    for origin in (page, other):
        answer = one.get("/v1/models", {"Origin": origin})
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Origin" in ", ".join(answer.headers.get_all("Vary"))
        assert {"ETag", "Link", "RateLimit", "X-Request-Id"} <= set(
            answer.headers["Access-Control-Expose-Headers"].split(", ")
        )
    for origin in ("https://evil.example", "null", "https://board.example.evil"):
        assert "Access-Control-Allow-Origin" not in one.get("/v1/models", {"Origin": origin}).headers
    asked = {"Origin": page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    preflight = one.request("OPTIONS", "/v1/sweeps", None, asked)
    assert preflight.status == 204 and preflight.headers["Access-Control-Allow-Origin"] == page
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert {"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"} <= set(
        preflight.headers["Access-Control-Allow-Headers"].split(", ")
    )
    assert int(preflight.headers["Access-Control-Max-Age"]) > 0
    asked["Origin"] = "https://evil.example"
    assert "Access-Control-Allow-Methods" not in one.request("OPTIONS", "/v1/sweeps", None, asked).headers
    assert "Access-Control-Allow-Origin" in one.get("/v1/absent", {"Origin": page}).headers  # a page may read why


def test_without_a_token_pages_only_read(daemon: Callable[..., Daemon], hub: Any) -> None:
    one = daemon(hub, "--cors-origin", "*")
    answer = one.get("/v1/models", {"Origin": "https://any.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    asked = {"Origin": "https://any.example", "Access-Control-Request-Method": "POST"}
    preflight = one.request("OPTIONS", "/v1/sweeps", None, asked)
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    assert "Access-Control-Allow-Origin" not in daemon(hub).get("/v1/models", {"Origin": "https://any.example"}).headers


def test_requests_are_limited(daemon: Callable[..., Daemon], hub: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-of-sixteen-and-more")
    may = {"Authorization": "Bearer a-token-of-sixteen-and-more"}
    one = daemon(hub, "--rate-limit", "1", "--rate-limit-loopback", "3", "--token-file", str(tmp_path / "token"))
    answers = [one.get("/v1/models") for _ in range(200)]
    assert {answer.status for answer in answers} == {200, 429}
    first, refused = answers[0], next(answer for answer in answers if answer.status == 429)
    assert first.headers["RateLimit-Policy"] == '"address";q=30;w=10' and 'r=2' in first.headers["RateLimit"]
    assert refused.headers["Content-Type"] == "application/problem+json" and refused.json()["code"] == "rate_limited"
    assert 1 <= int(refused.headers["Retry-After"]) <= 10 and '"address";r=0' in refused.headers["RateLimit"]
    other = daemon(hub, "--rate-limit", "1", "--token-file", str(tmp_path / "token"))
    assert all(other.get("/v1/models").status == 200 for _ in range(200))  # this machine's addresses are not limited
    statuses = [other.post("/v1/sweeps", {}, may).status for _ in range(60)]
    assert set(statuses) == {400, 429} and statuses.index(429) in range(10, 30)  # but this token is
    assert other.get("/v1/models").status == 200


def test_failed_tokens_are_limited(daemon: Callable[..., Daemon], hub: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-of-sixteen-and-more")
    one = daemon(hub, "--rate-limit-loopback", "100000", "--token-file", str(tmp_path / "token"))
    statuses = [one.post("/v1/sweeps", {}, {"Authorization": f"Bearer guess{i}"}).status for i in range(100)]
    assert set(statuses) == {401, 429} and statuses.index(429) in range(20, 60)
    right = {"Authorization": "Bearer a-token-of-sixteen-and-more"}
    assert one.post("/v1/sweeps", {"model": MODEL}, right).status == 201  # never for the failures of others
    # Where the token is looked at before the body and again after it, a failure counts once.
    other = daemon(hub, "--rate-limit-loopback", "100000", "--token-file", str(tmp_path / "token"))
    kind = {"Content-Type": "application/vnd.bifurcated.result"}
    statuses = []
    while 429 not in statuses and len(statuses) < 1000:  # a slow machine gives time for more of them
        headers = {**kind, "Authorization": f"Bearer guess{len(statuses)}"}
        statuses.append(other.request("PUT", "/v1/claims/1.1.0/result", b"x", headers).status)
    assert set(statuses) == {401, 429} and len(statuses) > 20, statuses


NAMED = [  # what the contract asks of /metrics, and what it is called
    "bifurcated_build_info", "bifurcated_sweeps", "bifurcated_tasks_queued", "bifurcated_tasks_running",
    "bifurcated_hub_received_bytes_total", "bifurcated_hub_fetch_seconds_total", "bifurcated_device_busy_seconds_total",
    "bifurcated_http_request_seconds", "bifurcated_http_requests_total", "bifurcated_http_cache_hits_total",
    "bifurcated_http_displaced_total",
]  # fmt: skip


def test_metrics_are_what_prometheus_reads(daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Any) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="prometheus_client (tests/requirements.txt) is missing")
    one = daemon(make_hub(garden))
    one.wait(one.sweep(MODEL, revisions={"names": ["step0", "step1"]}))
    for _ in range(3):
        assert one.get(SERIES).status == 200
    # An answer is counted once it is sent, which its reader may be ahead of.
    counted = 'bifurcated_http_request_seconds_count{operation="listRevisions"} 3'
    wait_until(lambda: counted in one.get("/metrics").text)
    answer = one.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in parser.text_string_to_metric_families(answer.text)}
    for name in NAMED:
        family = families[name.removesuffix("_total")]
        assert family.documentation and family.type in ("counter", "gauge", "histogram"), name
    for name in families:
        assert f"# HELP {name}" in answer.text or f"# HELP {name}_total" in answer.text, name
    samples = families["bifurcated_http_request_seconds"].samples
    counts = {s.labels["operation"]: s.value for s in samples if s.name.endswith("_count")}
    assert counts["listRevisions"] == 3
    buckets = [s for s in samples if s.name.endswith("_bucket") and s.labels["operation"] == "listRevisions"]
    values = [s.value for s in sorted(buckets, key=lambda s: float(s.labels["le"]))]
    assert values == sorted(values) and values[-1] == 3 and buckets[-1].labels["le"] == "+Inf"
    assert families["bifurcated_hub_received_bytes"].samples[0].value > 65536
    assert families["bifurcated_hub_fetch_seconds"].samples[0].value > 0
    assert families["bifurcated_device_busy_seconds"].samples[0].value > 0
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=answer.text, capture_output=True, text=True)
        assert done.returncode == 0, done


def test_versions_of_the_api(daemon: Callable[..., Daemon], hub: Any) -> None:
    """Everything that programs use has its version in the path; what has none is fixed by others."""
    paths = daemon(hub).get("/openapi.json").json()["paths"]
    unversioned = {path for path in paths if not path.startswith("/v1/")}
    assert unversioned == {"/", "/assets/{file}", "/healthz", "/readyz", "/metrics", "/openapi.json"}


def test_contract_in_short() -> None:
    """The short form of tests/proof/contract.py: all its checks, with requests that are the same in every run."""
    pytest.importorskip("schemathesis", reason="schemathesis (tests/requirements.txt) is not installed")
    import os

    build = os.environ.get("BIFURCATED_BUILD")
    if not build:
        pytest.skip("BIFURCATED_BUILD does not name a build folder")
    sys.path.insert(0, str(ROOT / "tests/proof"))
    import contract

    good, words, text = contract.run(Path(build).resolve(), 0, 7)
    assert good, f"{words}\n{text}"


def test_kept_answers(daemon: Callable[..., Daemon], hub: Any) -> None:
    """The second answer comes out of memory: the same but for an id, which only who can look it up gets."""
    one = daemon(hub)
    for path in ("/openapi.json", "/v1/models"):
        for coding in ("identity", "gzip", "zstd"):
            wanted = {"Accept-Encoding": coding}
            first, second = one.get(path, wanted), one.get(path, wanted)
            assert first.status == second.status == 200 and first.body == second.body
            said = [{k: v for k, v in a.headers.items() if k not in ("Date", "X-Request-Id")} for a in (first, second)]
            assert said[0] == said[1] and "nosniff" in said[0]["X-Content-Type-Options"]
            assert "X-Request-Id" in first.headers and "X-Request-Id" not in second.headers
            known = wanted | {"If-None-Match": first.headers["ETag"]}
            third, fourth = one.get(path, known), one.get(path, known | {"X-Request-Id": "mine-1"})
            assert third.status == fourth.status == 304 and third.body == fourth.body == b""
            assert third.headers["ETag"] == fourth.headers["ETag"] == first.headers["ETag"]
            assert "X-Request-Id" not in third.headers and fourth.headers["X-Request-Id"] == "mine-1"
            fifth = one.get(path, wanted | {"X-Request-Id": "mine-2"})
            assert fifth.headers["X-Request-Id"] == "mine-2" and fifth.body == first.body
            head = one.request("HEAD", path, None, wanted)
            assert head.status == 200 and head.headers["Content-Length"] == first.headers["Content-Length"]


def test_kept_answers_to_many_at_once(daemon: Callable[..., Daemon], hub: Any) -> None:
    one = daemon(hub)
    bodies = {one.get("/openapi.json").body}
    with ThreadPoolExecutor(8) as pool:
        for answer in pool.map(lambda _: one.get("/openapi.json"), range(200)):
            assert answer.status == 200
            bodies.add(answer.body)
    assert len(bodies) == 1


def test_logged_answers_have_ids(daemon: Callable[..., Daemon], hub: Any) -> None:
    one = daemon(hub, "--log-level", "debug")
    for _ in range(2):
        assert "X-Request-Id" in one.get("/v1/models").headers
