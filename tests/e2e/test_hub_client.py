"""The hub client against the emulated hub: protocol, errors, faults, and the cache shared with Python.

Drives tests/tools/hub_probe.c. Every check of content compares with the files that the emulator serves.
"""

from __future__ import annotations

import getpass
import hashlib
import http.client
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download
from running import find_program
from tests.hub import Emulator

BIG = "big.safetensors"
BIG_BYTES = 24_000_000
FAST = ("backoff_ms=10", "backoff_max_ms=100")


class Probe:
    """hub_probe with an environment of its own; the process must end in order, also when it reports an error."""

    def __init__(self, place: Path, url: str) -> None:
        self.program = find_program("tests/hub_probe")
        self.cache = place / "cache"
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        self.env.update(HF_ENDPOINT=url, HF_HOME=str(place / "home"), HF_HUB_CACHE=str(self.cache))

    def start(self, *words: str, options: tuple[str, ...] = FAST, env: dict[str, str] | None = None):
        command = [str(self.program)]
        for option in options:
            command += ["--set", option]
        command += words
        return subprocess.Popen(
            command, env=self.env | (env or {}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __call__(self, *words: object, **kwargs: Any) -> dict[str, Any]:
        return self.finish(self.start(*map(str, words), **kwargs))

    @staticmethod
    def finish(process: Any) -> dict[str, Any]:
        out, trace = process.communicate(timeout=240)
        assert process.returncode in (0, 1), trace
        assert not trace, trace
        answer = json.loads(out)
        assert (process.returncode == 1) == ("error" in answer)
        return answer


@pytest.fixture
def probe(tmp_path: Path, hub: Emulator) -> Probe:
    return Probe(tmp_path, hub.url)


@pytest.fixture(scope="session")
def big_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """org/big: one file that is worth several connections, one that fits into a block, and a text."""
    root = tmp_path_factory.mktemp("big")
    folder = root / "models" / "org" / "big" / "main"
    folder.mkdir(parents=True)
    (folder / BIG).write_bytes(random.Random(1).randbytes(BIG_BYTES))
    (folder / "middle.safetensors").write_bytes(random.Random(2).randbytes(400_000))
    (folder / "config.json").write_text(json.dumps({"text": "x" * 5000}))
    return root


@pytest.fixture
def big(big_root: Path, make_hub: Callable[..., Emulator], tmp_path: Path) -> tuple[Emulator, Probe, bytes]:
    hub = make_hub(big_root)
    return hub, Probe(tmp_path, hub.url), (big_root / "models/org/big/main" / BIG).read_bytes()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def served(small_root: Path, revision: str, path: str) -> bytes:
    return (small_root / "models/org/small" / revision / path).read_bytes()


# ---- the protocol ---------------------------------------------------------------------------------


def test_refs_and_commits(probe: Probe, hub: Emulator) -> None:
    rows = probe("org/small", "refs")["refs"]
    kinds = {kind: {row["name"] for row in rows if row["kind"] == kind} for kind in ("branch", "tag", "pull_request")}
    assert kinds == {
        "branch": {"main", "step0", "step1", "step512", "step1000", "step2000"},
        "tag": {"v1", "v2"},
        "pull_request": {"refs/pr/1"},
    }
    for row in rows:
        assert probe("org/small", "resolve", row["name"])["commit"] == row["commit"]
    assert probe("org/small", "info")["commit"] == hub.sha("org/small")
    assert probe("org/small", "resolve", "")["commit"] == hub.sha("org/small")


@pytest.mark.parametrize("page", [1, 3, 1000])
def test_tree_over_pages(probe: Probe, hub: Emulator, small_root: Path, page: int) -> None:
    hub.set(page_size=page)
    files = {row["path"]: row for row in probe("org/small", "tree", "step512")["files"]}
    folder = small_root / "models/org/small/step512"
    expected = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} | {"LICENSE"}
    assert set(files) == expected
    for path in expected - {"LICENSE"}:
        data = (folder / path).read_bytes()
        assert files[path]["size"] == len(data)
        if files[path]["sha256"]:
            assert files[path]["sha256"] == sha256(data)
        else:
            assert files[path]["oid"] == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    assert files["model.safetensors"]["sha256"]


def test_data_set(probe: Probe, small_root: Path) -> None:
    expected = (small_root / "datasets/org/texts/main/test.jsonl").read_bytes()
    assert probe("--dataset", "org/texts", "fetch", "main", "test.jsonl")["sha256"] == sha256(expected)


def test_prefix_and_renamed(make_hub: Callable[..., Emulator], small_root: Path, tmp_path: Path) -> None:
    hub = make_hub(small_root, prefix="/hf/mirror")
    probe = Probe(tmp_path, hub.url)
    assert "/hf/mirror" in hub.url
    expected = sha256(served(small_root, "step0", "config.json"))
    assert probe("org/small", "fetch", "step0", "config.json")["sha256"] == expected
    assert probe("old/small", "fetch", "step0", "config.json")["sha256"] == expected


@pytest.mark.parametrize("path", ["config.json", "extra/notes é.txt", "empty.txt", "model.safetensors", "LICENSE"])
@pytest.mark.parametrize("tree", [[], ["--no-tree"]])
def test_whole_files(probe: Probe, small_root: Path, path: str, tree: list[str]) -> None:
    answer = probe(*tree, "org/small", "fetch", "step1000", path)
    if path == "LICENSE":
        expected = (small_root / "models/org/small/_shared/license.txt").read_bytes()
    else:
        expected = served(small_root, "step1000", path)
    assert answer["sha256"] == sha256(expected) and answer["size"] == len(expected)


def test_ranges(probe: Probe, hub: Emulator, small_root: Path) -> None:
    data = served(small_root, "step512", "pytorch_model.bin")
    size = len(data)
    spans = [(size - 22, 22), (0, 8), (8, 5000), (100_000, 50_000), (size - 30_000, 30_000), (0, size), (5, 0)]
    words = [str(number) for span in spans for number in span]
    answer = probe("org/small", "read", "step512", "pytorch_model.bin", *words)
    assert answer["ranges"] == [sha256(data[a : a + n]) for a, n in spans if n] + [sha256(b"")]
    past = probe("org/small", "read", "step512", "pytorch_model.bin", size - 10, 11)
    assert past["error"] == "format" and "truncated" in past["message"]


def test_few_bytes_and_requests(big: tuple[Emulator, Probe, bytes]) -> None:
    """One tensor of a file: at most 2 % and 64 KiB more than the tensor, in few requests."""
    hub, probe, data = big
    hub.reset()
    begin, size = 10_000_000, 3_000_000
    answer = probe("org/big", "read", "main", BIG, 0, 8, 8, 12_000, "need", begin - 64, size + 64, begin - 64, 30, begin, size)
    assert answer["ranges"][3] == sha256(data[begin : begin + size])
    assert hub.stats()["bytes"]["cdn"] <= 1.02 * size + 65536
    log = [row for row in hub.log() if row["route"] in ("resolve", "cdn")]
    assert sum(row["route"] == "resolve" for row in log) == 1, "one redirect serves all ranges"
    assert len(log) <= 6


def test_parallel_pieces(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, data = big
    hub.set(connection_bps=40e6)
    slow = probe("org/big", "read", "main", BIG, 0, BIG_BYTES, options=("connections_per_file_max=1",))
    fast = probe("org/big", "read", "main", BIG, 0, BIG_BYTES, options=("connections_per_file_max=6",))
    assert slow["ranges"] == fast["ranges"] == [sha256(data)]
    assert fast["requests"] > slow["requests"]
    assert slow["seconds"] > 1.5 * fast["seconds"]


def test_token_stays_at_home(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, data = big
    hub.reset()
    answer = probe("org/big", "read", "main", BIG, 0, 100_000, env={"HF_TOKEN": "hf_secret"})
    assert answer["ranges"] == [sha256(data[:100_000])]
    assert hub.stats()["leaked_tokens"] == 0
    hub.fault("link_away", path="/tree/", url=hub.url.replace("127.0.0.1", "localhost") + "/api/models/org/big/tree/x")
    probe("org/big", "tree", "main", env={"HF_TOKEN": "hf_secret"})
    assert hub.stats()["leaked_tokens"] == 0


def test_token_file(probe: Probe, hub: Emulator, tmp_path: Path) -> None:
    assert probe("org/secret", "info")["error"] == "not_found"
    token = tmp_path / "home" / "token"
    token.parent.mkdir(exist_ok=True)
    token.write_text("hf_from_file\n")
    assert probe("org/secret", "info")["private"]
    assert probe("org/secret", "info", env={"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"})["error"] == "not_found"
    elsewhere = tmp_path / "token"
    elsewhere.write_text("hf_other")
    assert probe("org/secret", "info", env={"HF_TOKEN_PATH": str(elsewhere), "HF_HOME": "/nowhere"})["private"]


def test_tls(make_hub: Callable[..., Emulator], small_root: Path, tmp_path: Path, certificate: tuple[str, str]) -> None:
    hub = make_hub(small_root, tls=certificate)
    probe = Probe(tmp_path, hub.url)
    refused = probe("org/small", "info")
    assert refused["error"] == "network" and "REQUESTS_CA_BUNDLE" in refused["message"]
    env = {"REQUESTS_CA_BUNDLE": certificate[0]}
    expected = served(small_root, "step0", "model.safetensors")
    answer = probe("org/small", "read", "step0", "model.safetensors", 0, len(expected), env=env)
    assert answer["ranges"] == [sha256(expected)]


def test_https_is_never_left(
    make_hub: Callable[..., Emulator], small_root: Path, tmp_path: Path, certificate: tuple[str, str], hub: Emulator
) -> None:
    secure = make_hub(small_root, tls=certificate, cdn_host=hub.url)
    answer = Probe(tmp_path, secure.url)(
        "org/small", "read", "step0", "model.safetensors", 0, 10, env={"REQUESTS_CA_BUNDLE": certificate[0]}
    )
    assert answer["error"] == "http" and "unprotected http" in answer["message"]


def test_proxy(probe: Probe, hub: Emulator, small_root: Path) -> None:
    """The emulator also plays a proxy for host names that exist nowhere."""
    env = {"HF_ENDPOINT": "http://hub.invalid", "http_proxy": hub.url}
    expected = served(small_root, "step0", "model.safetensors")
    answer = probe("org/small", "read", "step0", "model.safetensors", 0, len(expected), env=env)
    assert answer.get("ranges") == [sha256(expected)], answer


NGINX = """
user {user}; worker_processes 1; daemon off; pid {place}/pid; error_log {place}/error.log;
events {{ worker_connections 100; }}
http {{ access_log {place}/access.log; client_body_temp_path {place}/a; proxy_temp_path {place}/b;
  server {{
    listen 127.0.0.1:{port} ssl http2; ssl_certificate {certificate}; ssl_certificate_key {key};
    location ~ ^/xet-bridge/[^/]+/(.*)$ {{ alias {place}/$1; }} }} }}
"""


def test_nginx_as_cdn_over_http2(
    big_root: Path, make_hub: Callable[..., Emulator], tmp_path: Path, certificate: tuple[str, str]
) -> None:
    """A server that nobody here wrote gives the bytes, over HTTP/2."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not nginx:
        pytest.skip("nginx is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = tmp_path / "nginx"
    place.mkdir()
    certificate_file, key = certificate
    text = NGINX.format(user=getpass.getuser(), place=place, port=port, certificate=certificate_file, key=key)
    (place / "nginx.conf").write_text(text)
    hub = make_hub(big_root, tls=certificate, cdn_host=f"https://localhost:{port}")
    probe = Probe(tmp_path, hub.url)
    data = (big_root / "models/org/big/main" / BIG).read_bytes()
    context = ssl.create_default_context(cafile=certificate_file)
    connection = http.client.HTTPSConnection("127.0.0.1", hub.port, context=context)
    connection.request("HEAD", f"/org/big/resolve/main/{BIG}")
    name = connection.getresponse().headers["Location"].partition("?")[0].rpartition("/")[2]
    connection.close()
    (place / name).write_bytes(data)
    server = subprocess.Popen([nginx, "-c", str(place / "nginx.conf"), "-e", str(place / "error.log")])
    try:
        env = {"REQUESTS_CA_BUNDLE": certificate_file, "HF_TOKEN": "hf_secret"}
        answer = probe("org/big", "read", "main", BIG, 0, 100, 0, BIG_BYTES, env=env)
        assert answer.get("ranges") == [sha256(data[:100]), sha256(data)], answer
        assert "HTTP/2.0" in (place / "access.log").read_text()
    finally:
        server.terminate()
        server.wait(10)


# ---- errors in words ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, env, code, say",
    [
        (["org/missing", "info"], {}, "not_found", "HF_TOKEN"),
        (["org/missing", "info"], {"HF_TOKEN": "hf_x"}, "not_found", "check the name"),
        (["org/secret", "info"], {}, "not_found", "private"),
        (["org/gated", "fetch", "main", "config.json"], {}, "unauthorized", "accept its terms at"),
        (["org/gated", "fetch", "main", "config.json"], {"HF_TOKEN": "hf_x"}, "unauthorized", "access is granted"),
        (["org/disabled", "info"], {}, "unauthorized", "disabled"),
        (["org/small", "resolve", "step77"], {}, "not_found", "no such revision"),
        (["--no-tree", "org/small", "fetch", "main", "nothing.json"], {}, "not_found", "no such file"),
        (["org//small", "info"], {}, "invalid", "owner/name"),
        (["../small", "info"], {}, "invalid", "owner/name"),
        (["--no-tree", "org/small", "fetch", "main", "../x"], {}, "invalid", "inside"),
        (["org/small", "info"], {"HF_ENDPOINT": "http://127.0.0.1:9"}, "network", "HF_ENDPOINT"),
        (["org/small", "info"], {"HF_ENDPOINT": "http://nowhere.invalid"}, "network", "DNS"),
        (["org/small", "info"], {"HF_ENDPOINT": "ftp://x"}, "invalid", "HF_ENDPOINT"),
        (["org/small", "refs"], {"HF_HUB_OFFLINE": "1"}, "not_found", "HF_HUB_OFFLINE"),
    ],
)
def test_errors_say_what_to_do(probe: Probe, words: list[str], env: dict[str, str], code: str, say: str) -> None:
    answer = probe(*words, options=(*FAST, "attempts_max=2"), env=env)
    assert answer["error"] == code and say in answer["message"], answer


def test_refused_token(make_hub: Callable[..., Emulator], small_root: Path, tmp_path: Path) -> None:
    hub = make_hub(small_root, tokens=["hf_right"])
    answer = Probe(tmp_path, hub.url)("org/small", "info", env={"HF_TOKEN": "hf_wrong"})
    assert answer["error"] == "unauthorized" and "renew" in answer["message"]


# ---- faults: the right bytes or a clear error --------------------------------------------------------


@pytest.mark.parametrize("tenth", range(10))
@pytest.mark.parametrize("rst", [False, True])
def test_cut_at_every_tenth(big: tuple[Emulator, Probe, bytes], tenth: int, rst: bool) -> None:
    hub, probe, data = big
    hub.fault("cut", route="cdn", fraction=tenth / 10, rst=rst, times=3)
    answer = probe("org/big", "read", "main", BIG, 0, BIG_BYTES)
    assert answer["ranges"] == [sha256(data)] and answer["retries"] >= 3


def test_always_cut(big: tuple[Emulator, Probe, bytes]) -> None:
    """As long as bytes come, it goes on from where it was."""
    hub, probe, data = big
    hub.fault("cut", route="cdn", bytes=100_000)
    answer = probe("org/big", "read", "main", BIG, 0, 2_000_000, options=("backoff_ms=1", "backoff_max_ms=2"))
    assert answer["ranges"] == [sha256(data[:2_000_000])]
    hub.clear_faults()
    hub.fault("cut", route="cdn", fraction=0.0)
    answer = probe("org/big", "read", "main", BIG, 0, 2_000_000)
    assert answer["error"] == "network" and BIG in answer["message"] and "attempts" in answer["message"]


@pytest.mark.parametrize("where", [{}, {"fraction": 0.3}])
def test_stall(big: tuple[Emulator, Probe, bytes], where: dict[str, float]) -> None:
    hub, probe, data = big
    hub.fault("stall", route="cdn", seconds=20, times=1, **where)
    began = time.monotonic()
    answer = probe("org/big", "read", "main", BIG, 0, 3_000_000, options=(*FAST, "stall_timeout_ms=1000"))
    assert answer["ranges"] == [sha256(data[:3_000_000])] and time.monotonic() - began < 15


def test_stalled_for_ever(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, _ = big
    hub.fault("stall", route="cdn", seconds=60)
    options = (*FAST, "stall_timeout_ms=1000", "attempts_max=2")
    assert probe("org/big", "read", "main", BIG, 0, 100_000, options=options)["error"] == "timeout"


@pytest.mark.parametrize("delta", [-100, 100, -1_000_000, 1_000_000])
def test_wrong_length(big: tuple[Emulator, Probe, bytes], delta: int) -> None:
    hub, probe, data = big
    hub.fault("wrong_length", route="cdn", delta=delta, times=2)
    answer = probe("org/big", "read", "main", BIG, 0, 2_500_000, options=(*FAST, "stall_timeout_ms=1000"))
    assert answer.get("ranges") == [sha256(data[:2_500_000])], answer


@pytest.mark.parametrize("delta", [-1, 1])
def test_wrong_range(big: tuple[Emulator, Probe, bytes], delta: int) -> None:
    hub, probe, data = big
    hub.fault("wrong_range", route="cdn", delta=delta, times=2)
    answer = probe("org/big", "read", "main", BIG, 1_000_000, 2_500_000)
    assert answer.get("ranges") == [sha256(data[1_000_000:3_500_000])], answer
    hub.fault("wrong_range", route="cdn", delta=delta)
    assert probe("org/big", "read", "main", BIG, 1_000_000, 2_500_000)["error"] == "http"


def test_other_size(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, _ = big
    hub.fault("wrong_range", route="cdn", delta=0, size_delta=5)
    assert probe("org/big", "read", "main", BIG, 0, 200_000)["error"] == "mismatch"


def test_range_ignored(big: tuple[Emulator, Probe, bytes]) -> None:
    """A whole file in answer to a range is taken where it is cheap, and refused where it is not."""
    hub, probe, data = big
    hub.fault("ignore_range")
    answer = probe("org/big", "read", "main", "middle.safetensors", 300_000, 50_000)
    middle = random.Random(2).randbytes(400_000)
    assert answer["ranges"] == [sha256(middle[300_000:350_000])]
    answer = probe("org/big", "read", "main", BIG, 10_000_000, 1000)
    assert answer["error"] == "http" and "Range" in answer["message"]
    assert answer["received"] < 4_000_000


def test_etag_changes_between_ranges(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, _ = big
    hub.fault("etag", route="cdn", after=1)
    answer = probe("org/big", "read", "main", BIG, 0, 100, 5_000_000, 100_000)
    assert answer["error"] == "mismatch" and "ETag" in answer["message"]
    hub.clear_faults()
    hub.fault("etag", route="cdn")
    answer = probe("org/big", "read", "main", BIG, 0, BIG_BYTES)
    assert answer["error"] == "mismatch"


def test_hub_lists_one_thing_and_serves_another(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, _ = big
    hub.fault("etag", route="resolve", value="f" * 64)
    answer = probe("org/big", "read", "main", BIG, 0, 1000)
    assert answer["error"] == "mismatch" and "other content" in answer["message"]
    hub.clear_faults()
    hub.fault("headers", route="resolve", set={"X-Repo-Commit": "1" * 40})
    answer = probe("org/big", "read", "main", BIG, 0, 1000)
    assert answer["error"] == "mismatch" and "commit" in answer["message"]
    hub.clear_faults()
    hub.fault("no_commit")
    assert "error" not in probe("org/big", "read", "main", BIG, 0, 1000)


def test_expired_address(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, data = big
    hub.fault("expired", route="cdn", nth=[2, 5])
    answer = probe("org/big", "read", "main", BIG, 0, 100, 0, BIG_BYTES)
    assert answer["ranges"] == [sha256(data[:100]), sha256(data)]
    hub.fault("expired", route="cdn")
    assert probe("org/big", "read", "main", BIG, 0, 100)["error"] == "http"


def test_short_lived_addresses(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, data = big
    hub.set(url_ttl_s=0.3, connection_bps=30e6)
    answer = probe("org/big", "read", "main", BIG, 0, BIG_BYTES, options=(*FAST, "connections_per_file_max=2"))
    assert answer["ranges"] == [sha256(data)]


@pytest.mark.parametrize("route", ["api", "resolve", "cdn"])
def test_storm_of_500(big: tuple[Emulator, Probe, bytes], route: str) -> None:
    hub, probe, data = big
    hub.fault("status", status=500, route=route, probability=0.4, seed=3)
    options = (*FAST, "attempts_max=20")
    answer = probe("org/big", "read", "main", BIG, 0, BIG_BYTES, options=options)
    assert answer["ranges"] == [sha256(data)]
    hub.clear_faults()
    hub.fault("status", status=503, route=route)
    answer = probe("org/big", "read", "main", BIG, 0, BIG_BYTES)
    assert answer["error"] == "http" and "503" in answer["message"]


def test_rate_limit(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, data = big
    hub.fault("status", status=429, retry_after=1, route="resolve", times=1)
    hub.fault("status", status=429, ratelimit_t=1, route="api", times=1)
    answer = probe("org/big", "read", "main", BIG, 0, 1000)
    assert answer["ranges"] == [sha256(data[:1000])] and answer["seconds"] > 2
    hub.fault("status", status=429, retry_after=100_000, route="api")
    answer = probe("org/big", "info")
    assert answer["error"] == "rate_limited" and "asks to wait" in answer["message"]


def test_quota_of_the_hub_is_kept(make_hub: Callable[..., Emulator], small_root: Path, tmp_path: Path) -> None:
    """RateLimit says when nothing is left; asking on would only earn 429."""
    hub = make_hub(small_root, api_quota=4, quota_window_s=2.0)
    answer = Probe(tmp_path, hub.url)("org/small", "sweep", 4, "model.safetensors", 0, 0)
    assert all(isinstance(one, str) for one in answer["branches"].values()), answer
    assert answer["seconds"] > 1


def test_request_budget(probe: Probe) -> None:
    process = probe.start("org/small", "cancel", "main", "model.safetensors", "0", "100", options=("request_budget=1",))
    answer = probe.finish(process)
    assert answer["error"] == "cancelled" and answer["requests"] == 1


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("route", ["api", "resolve", "cdn"])
def test_redirect_loop(big: tuple[Emulator, Probe, bytes], route: str, relative: bool) -> None:
    hub, probe, _ = big
    hub.fault("redirect_loop", route=route, relative=relative)
    answer = probe("org/big", "read", "main", BIG, 0, 1000)
    assert answer["error"] == "http" and "redirects" in answer["message"]


@pytest.mark.parametrize(
    "fault, code",
    [
        ({"kind": "link_loop", "path": "/tree/"}, "format"),
        ({"kind": "tree_path", "path": "/tree/"}, "format"),
        ({"kind": "tree_path", "path": "/tree/", "entry": "/etc/passwd"}, "format"),
        ({"kind": "malformed_json", "path": "/tree/"}, "format"),
        ({"kind": "oversize_json", "path": "/tree/", "bytes": 65 << 20}, "limit"),
        ({"kind": "body", "path": "/tree/", "text": "<html>not a hub"}, "format"),
        ({"kind": "body", "path": "/tree/", "json": {"a": 1}}, "format"),
        ({"kind": "replace", "path": "/tree/", "pattern": '"size": ?[0-9]+', "by": '"size": -5'}, "format"),
    ],
)
def test_hostile_listing(probe: Probe, hub: Emulator, fault: dict[str, Any], code: str) -> None:
    hub.fault(fault.pop("kind"), **fault)
    answer = probe("org/small", "tree", "main")
    assert answer["error"] == code and answer["message"], answer


def test_branch_that_moves(probe: Probe, hub: Emulator, small_root: Path) -> None:
    """What was resolved stays: the commit is in every address."""
    hub.fault("move_branch", branch="main", target="step0", route="resolve", nth=1)
    expected = sha256(served(small_root, "step2000", "model.safetensors"))
    size = len(served(small_root, "step2000", "model.safetensors"))
    assert probe("org/small", "read", "main", "model.safetensors", 0, size)["ranges"] == [expected]


def test_flipped_bits_never_pass_a_digest(big: tuple[Emulator, Probe, bytes], small_root: Path) -> None:
    hub, probe, data = big
    hub.fault("flip", file="config.json", times=1)
    answer = probe("org/big", "fetch", "main", "config.json")
    assert "error" not in answer
    hub.fault("flip", file="config.json")
    assert probe("org/big", "fetch", "main", "config.json")["error"] == "mismatch"
    hub.fault("flip", file=BIG)
    assert probe("org/big", "read", "main", BIG, 0, BIG_BYTES)["error"] == "mismatch"
    answer = probe("org/big", "download", "main", BIG)
    assert answer["error"] == "mismatch" and "damaged" in answer["message"]
    assert not [path for path in probe.cache.rglob("blobs/*") if not path.name.endswith(".incomplete")]
    hub.clear_faults()
    assert Path(probe("org/big", "download", "main", BIG)["path"]).read_bytes() == data


def test_cancel(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, _ = big
    hub.set(connection_bps=1e6)
    answer = probe("org/big", "cancel", "main", BIG, 0, BIG_BYTES)
    assert answer["error"] == "cancelled" and answer["seconds"] < 5


def test_hub_down_and_up_again(make_hub: Callable[..., Emulator], big_root: Path, tmp_path: Path) -> None:
    hub = make_hub(big_root, bandwidth_bps=40e6)
    probe = Probe(tmp_path, hub.url)
    process = probe.start("org/big", "read", "main", BIG, "0", str(BIG_BYTES), options=("attempts_max=500",))
    time.sleep(1.5)
    hub.stop()
    time.sleep(1)
    hub.start()
    answer = probe.finish(process)
    assert answer.get("ranges") == [sha256((big_root / "models/org/big/main" / BIG).read_bytes())], answer


# ---- the cache ------------------------------------------------------------------------------------


def python_snapshot(hub: Emulator, cache: Path, repo: str, revision: str = "main") -> str:
    return snapshot_download(repo, revision=revision, endpoint=hub.url, cache_dir=cache, token=False)


def assert_sound(cache: Path) -> None:
    """huggingface_hub finds no fault with the cache."""
    report = scan_cache_dir(cache)
    assert not report.warnings and report.repos
    for blob in cache.glob("*/blobs/*"):
        assert not blob.name.endswith(".incomplete")
        data = blob.read_bytes()
        if len(blob.name) == 64:
            assert sha256(data) == blob.name
        else:
            assert hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() == blob.name


def test_python_first(probe: Probe, hub: Emulator, small_root: Path) -> None:
    """What Python downloaded is mapped, without a request for its content; also offline."""
    python_snapshot(hub, probe.cache, "org/small", "step512")
    hub.reset()
    expected = sha256(served(small_root, "step512", "model.safetensors"))
    size = len(served(small_root, "step512", "model.safetensors"))
    for words in ([], ["--no-tree"]):
        answer = probe(*words, "org/small", "read", "step512", "model.safetensors", 0, size)
        assert answer["ranges"] == [expected] and answer["mapped"] and answer["cache_hits"] == 1
    assert not [row for row in hub.log() if row["route"] != "api"]
    hub.reset()
    offline = {"HF_HUB_OFFLINE": "1"}
    assert [row["name"] for row in probe("org/small", "refs", env=offline)["refs"]] == ["step512"]
    answer = probe("org/small", "read", "step512", "model.safetensors", 0, size, env=offline)
    assert answer["ranges"] == [expected]
    assert "extra/notes é.txt" in {row["path"] for row in probe("org/small", "tree", "step512", env=offline)["files"]}
    missing = probe("org/small", "fetch", "step0", "config.json", env=offline)
    assert missing["error"] == "not_found" and "HF_HUB_OFFLINE" in missing["message"]
    assert not hub.log()


def test_daemon_first(probe: Probe, hub: Emulator, small_root: Path) -> None:
    """What we downloaded is complete for Python: by name, without asking the hub."""
    for path in ("model.safetensors", "config.json", "extra/notes é.txt", "empty.txt"):
        local = Path(probe("org/small", "download", "step512", path)["path"])
        assert local.is_symlink() and not os.readlink(local).startswith("/")
        assert local.read_bytes() == served(small_root, "step512", path)
        found = hf_hub_download("org/small", path, revision="step512", cache_dir=probe.cache, local_files_only=True)
        assert Path(found) == local
    assert_sound(probe.cache)
    hub.reset()
    python_snapshot(hub, probe.cache, "org/small", "step512")
    assert not [row for row in hub.log() if row["method"] == "GET" and "model.safetensors" in row["file"]]
    ref = probe.cache / "models--org--small" / "refs" / "step512"
    assert ref.read_text() == hub.sha("org/small", "step512")
    assert_sound(probe.cache)


def test_killed_before_the_ref(probe: Probe, hub: Emulator) -> None:
    """The file is there and its ref is not, only what was to become it: the next use makes up for it."""
    probe("org/small", "download", "step512", "config.json")
    ref = probe.cache / "models--org--small/refs/step512"
    commit = ref.read_text()
    ref.rename(ref.with_name(".step512.new"))
    assert probe("org/small", "download", "step512", "config.json")["cache_hits"] == 1
    assert ref.read_text() == commit
    assert [path.name for path in ref.parent.iterdir()] == ["step512"]
    found = hf_hub_download("org/small", "config.json", revision="step512", cache_dir=probe.cache, local_files_only=True)
    assert Path(found).exists()
    assert_sound(probe.cache)


def test_both_at_once_twenty_times(make_hub: Callable[..., Emulator], small_root: Path, tmp_path: Path) -> None:
    hub = make_hub(small_root, bandwidth_bps=40e6, latency_ms=5)
    paths = ["model.safetensors", "pytorch_model.bin", "config.json"]
    script = (
        "import sys; from huggingface_hub import snapshot_download as s; "
        "s('org/small', revision='step1000', endpoint=sys.argv[1], cache_dir=sys.argv[2], token=False)"
    )
    for number in range(20):
        probe = Probe(tmp_path / str(number), hub.url)
        env = os.environ | {"HF_HUB_DISABLE_XET": "1"}
        python = subprocess.Popen([sys.executable, "-c", script, hub.url, str(probe.cache)], env=env)
        time.sleep(random.Random(number).random() * 0.9)
        ours = [probe.start("org/small", "download", "step1000", path) for path in paths]
        for path, process in zip(paths, ours):
            answer = probe.finish(process)
            assert "error" not in answer, answer
            assert Path(answer["path"]).read_bytes() == served(small_root, "step1000", path)
        assert python.wait(60) == 0
        assert_sound(probe.cache)


def test_many_downloads_of_one_file(big: tuple[Emulator, Probe, bytes]) -> None:
    """The lock lets one of them work; the others find its blob."""
    hub, probe, data = big
    hub.set(bandwidth_bps=150e6)
    hub.reset()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: probe("org/big", "download", "main", BIG), range(6)))
    assert {Path(one["path"]).read_bytes() == data for one in answers} == {True}
    assert hub.stats()["bytes"]["cdn"] < 1.1 * len(data)
    assert_sound(probe.cache)


def test_resume_after_kill(big_root: Path, make_hub: Callable[..., Emulator], tmp_path: Path) -> None:
    """A killed download leaves nothing visible, and the next one goes on from where it was."""
    root = tmp_path / "root"
    folder = root / "models/org/huge/main"
    folder.mkdir(parents=True)
    data = random.Random(5).randbytes(1 << 20) * 80
    (folder / BIG).write_bytes(data)
    hub = make_hub(root, bandwidth_bps=300e6)
    probe = Probe(tmp_path, hub.url)
    process = probe.start("org/huge", "download", "main", BIG)
    blobs = probe.cache / "models--org--huge" / "blobs"
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size >= 32 << 20 for path in blobs.glob("*.incomplete")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert [path.suffix for path in blobs.iterdir()] == [".incomplete"]
    hub.reset()
    assert Path(probe("org/huge", "download", "main", BIG)["path"]).read_bytes() == data
    assert hub.stats()["bytes"]["cdn"] <= len(data) - (32 << 20) + 65536
    assert_sound(probe.cache)


@pytest.mark.parametrize("kind", ["cut", "status", "wrong_length", "expired", "reset"])
def test_download_under_faults(big: tuple[Emulator, Probe, bytes], kind: str) -> None:
    hub, probe, data = big
    hub.fault(kind, route="cdn", probability=0.4, seed=7)
    options = (*FAST, "attempts_max=20", "stall_timeout_ms=1000", "connections_per_file_max=5")
    answer = probe("org/big", "download", "main", BIG, options=options)
    assert Path(answer["path"]).read_bytes() == data
    assert answer["retries"] or kind in ("expired", "wrong_length")
    assert_sound(probe.cache)


def test_spoiled_remains_are_thrown_away(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, data = big
    name = sha256(data)
    blobs = probe.cache / "models--org--big" / "blobs"
    blobs.mkdir(parents=True)
    for remains in (b"x" * 1000, data[:5000], data + b"more", data[:-1] + b"?"):
        partial = blobs / f"{name}.b1f0ca7e.incomplete"
        partial.write_bytes(remains)
        assert Path(probe("org/big", "download", "main", BIG)["path"]).read_bytes() == data
        assert_sound(probe.cache)
        (blobs / name).unlink()


def test_keep_whole_files(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, data = big
    answer = probe("org/big", "read", "main", BIG, 5, 1000, options=(*FAST, "keep=2"))
    assert answer["ranges"] == [sha256(data[5:1005])] and answer["mapped"]
    assert_sound(probe.cache)


def test_keep_ranges(big: tuple[Emulator, Probe, bytes], tmp_path: Path) -> None:
    """Read once from the hub, then from our own folder; a spoiled copy is fetched again."""
    hub, probe, data = big
    state = tmp_path / "state"
    options = (*FAST, "keep=1", f"state={state}", "cache_budget_bytes=2600000")
    expected = [sha256(data[:8]), sha256(data[5_000_000:6_000_000])]

    def read() -> dict[str, Any]:
        hub.reset()
        answer = probe("org/big", "read", "main", BIG, 0, 8, 5_000_000, 1_000_000, options=options)
        assert answer["ranges"] == expected
        return answer

    assert read()["cache_hits"] == 0
    assert read()["cache_hits"] == 2 and "cdn" not in hub.stats()["bytes"]
    kept = max(state.glob("ranges/*/*"), key=lambda path: path.stat().st_size)
    kept.write_bytes(b"?" + kept.read_bytes()[1:])
    assert read()["cache_hits"] == 1 and hub.stats()["bytes"]["cdn"] >= 1_000_000
    part = probe("org/big", "read", "main", BIG, 5_500_000, 100, options=options)
    assert part["ranges"] == [sha256(data[5_500_000:5_500_100])] and part["cache_hits"] == 1
    for begin in (8_000_000, 10_000_000, 12_000_000):
        probe("org/big", "read", "main", BIG, begin, 1_000_000, options=options)
        assert sum(path.stat().st_size for path in state.glob("ranges/*/*")) <= 2_600_000
    assert not probe.cache.exists(), "ranges are never offered as whole files"


def test_ranges_leave_no_trace(big: tuple[Emulator, Probe, bytes]) -> None:
    _, probe, _ = big
    probe("org/big", "read", "main", BIG, 5, 1000)
    assert not probe.cache.exists()


def test_full_disk(big: tuple[Emulator, Probe, bytes], tmp_path: Path) -> None:
    """A small file system of its own; only root may mount one."""
    hub, probe, data = big
    probe.cache.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(probe.cache)], capture_output=True)
    if mount.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs: {mount.stderr.decode().strip()}")
    try:
        answer = probe("org/big", "download", "main", BIG)
        assert answer["error"] == "no_space" and "full" in answer["message"]
        assert "error" not in probe("org/big", "download", "main", "middle.safetensors")
    finally:
        subprocess.run(["umount", str(probe.cache)], check=True)


@pytest.fixture
def many(tmp_path: Path, make_hub: Callable[..., Emulator]) -> tuple[Emulator, Probe, Callable[..., dict[str, Any]]]:
    """org/many: branches b0 … b5 with a file of 1 MiB each, and a budget of 3.5 MiB for what we fetch."""
    for number in range(6):
        folder = tmp_path / "root/models/org/many" / f"b{number}"
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / BIG).write_bytes(random.Random(number).randbytes(1 << 20))
        (folder / "config.json").write_text(str(number))
    hub = make_hub(tmp_path / "root")
    probe = Probe(tmp_path, hub.url)
    options = (*FAST, f"state={tmp_path / 'state'}", "cache_budget_bytes=3670016")
    return hub, probe, lambda branch: probe("org/many", "download", branch, f"sub/{BIG}", options=options)


def test_eviction_of_the_least_recently_used(many: tuple[Emulator, Probe, Callable[..., dict[str, Any]]]) -> None:
    hub, probe, download = many
    python_snapshot(hub, probe.cache, "org/many", "b5")
    paths = {branch: Path(download(branch)["path"]) for branch in ("b0", "b1", "b2")}
    assert all(path.is_file() for path in paths.values())
    assert download("b0")["cache_hits"] == 1, "now b1 is the oldest"
    paths["b3"] = Path(download("b3")["path"])
    assert {branch for branch, path in paths.items() if path.is_file()} == {"b0", "b2", "b3"}
    assert not paths["b1"].parents[1].exists(), "no empty snapshot stays behind"
    assert not (probe.cache / "models--org--many/refs/b1").exists()
    for branch in ("b4", "b1"):
        assert Path(download(branch)["path"]).is_file()
    found = hf_hub_download("org/many", f"sub/{BIG}", revision="b5", cache_dir=probe.cache, local_files_only=True)
    assert Path(found).is_file(), "what Python fetched is not ours to evict"
    assert len(list(probe.cache.glob("models--org--many/blobs/" + "?" * 64))) == 4
    assert_sound(probe.cache)


def test_budget_too_small(many: tuple[Emulator, Probe, Callable[..., dict[str, Any]]], tmp_path: Path) -> None:
    _, probe, _ = many
    options = (*FAST, f"state={tmp_path / 'state'}", "cache_budget_bytes=1000000")
    answer = probe("org/many", "download", "b0", f"sub/{BIG}", options=options)
    assert answer["error"] == "limit" and "budget" in answer["message"]
    assert not list(probe.cache.glob("models--org--many/blobs/*"))


def test_eviction_by_many_at_once(many: tuple[Emulator, Probe, Callable[..., dict[str, Any]]]) -> None:
    """Whatever the order, nothing is damaged and the budget holds at the end."""
    _, probe, download = many
    branches = [f"b{number}" for number in (0, 1, 2, 3, 4, 5)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(download, branches * 3))
    for answer in answers:
        assert answer.get("error") in (None, "limit", "io"), answer
    assert "error" not in download("b0")
    assert sum(path.stat().st_size for path in probe.cache.glob("models--org--many/blobs/*")) <= 3670016
    assert_sound(probe.cache)


# ---- local folders ----------------------------------------------------------------------------------


def test_local_folder(probe: Probe, small_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for name in ("checkpoint-10", "checkpoint-9", "logs"):
        (folder / name).mkdir(parents=True)
    for name in ("checkpoint-10", "checkpoint-9"):
        (folder / name / "config.json").write_text("{}")
        (folder / name / "model.safetensors").write_bytes(name.encode() * 1000)
    (folder / "logs" / "events.txt").write_text("no checkpoint")
    model = f"file:{folder}"
    refs = probe(model, "refs")["refs"]
    assert [row["name"] for row in refs] == ["checkpoint-9", "checkpoint-10"]
    answer = probe(model, "read", "checkpoint-10", "model.safetensors", 0, 26)
    assert answer["ranges"] == [sha256(b"checkpoint-10checkpoint-10")] and answer["mapped"]
    assert probe(model, "fetch", "checkpoint-9", "config.json")["size"] == 2
    before = probe(model, "resolve", "checkpoint-9")["commit"]
    (folder / "checkpoint-9" / "model.safetensors").write_bytes(b"other")
    assert probe(model, "resolve", "checkpoint-9")["commit"] != before
    stale = probe(model, "tree", before)
    assert stale["error"] == "mismatch" and "changed" in stale["message"]
    assert probe(model, "resolve", "checkpoint-11")["error"] == "not_found"
    assert probe(f"file:{folder}/logs", "refs")["error"] == "not_found"
    assert probe("file:relative", "refs")["error"] == "invalid"
    assert probe(model, "fetch", "checkpoint-10", "../checkpoint-9/config.json")["error"] in ("invalid", "not_found")
