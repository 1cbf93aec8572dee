"""The hub client against the emulated hub: protocol, errors in words, local folders.

Drives tests/tools/hub_probe.c. Every check of content compares with the files that the emulator serves.
"""

from __future__ import annotations

import getpass
import hashlib
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Callable

import pytest
from hub_probe import BIG, BIG_BYTES, FAST, Probe, big, big_root, probe, served, sha256  # noqa: F401  (fixtures among them)
from running import wait_until
from tests.hub import Emulator


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
    assert probe("org/small", "resolve")["commit"] == hub.sha("org/small")


@pytest.mark.parametrize("page", [1, 4])
def test_refs_over_pages(probe: Probe, hub: Emulator, page: int) -> None:
    """The hub sends all refs at once, as far as anybody knows; should it ever page them, none is lost."""

    def names() -> list[tuple[str, str, str]]:
        return sorted((row["kind"], row["name"], row["commit"]) for row in probe("org/small", "refs")["refs"])

    whole = names()
    hub.set(page_size_refs=page)
    hub.reset()
    assert names() == whole and len(whole) == 9
    assert hub.stats()["requests"]["api"] == -(-9 // page)
    hub.fault("link_loop", path="/refs")
    answer = probe("org/small", "refs")
    assert answer["error"] == "format" and "org/small: refs: the hub's pages lead in a circle" in answer["message"]


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


def test_odd_names_cost_nobody_the_revision(make_hub: Callable[..., Emulator], tmp_path: Path) -> None:
    """Names that git allows and nothing here reads are passed over, on the hub and in a folder; `..` is refused."""
    folder = tmp_path / "root/models/org/odd/main"
    folder.mkdir(parents=True)
    for name in ("config.json", "we\\ird.txt", "new\nline.safetensors"):
        (folder / name).write_text("{}")
    hub = make_hub(tmp_path / "root")
    probe = Probe(tmp_path, hub.url)
    for repository in ("org/odd", f"file:{folder}"):
        assert [row["path"] for row in probe(repository, "tree", "main")["files"]] == ["config.json"]
        assert probe(repository, "fetch", "main", "config.json")["size"] == 2
        refused = probe("--no-tree", repository, "fetch", "main", "we\\ird.txt")
        assert refused["error"] == "invalid" and "we\\ird.txt" in refused["message"]


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
    hub.set(connection_bps=200e6)  # a second for the whole
    peaks, requests = [], []
    for count in (1, 6):
        hub.reset()
        answer = probe("org/big", "read", "main", BIG, 0, BIG_BYTES, options=(f"connections_per_file_max={count}",))
        assert answer["ranges"] == [sha256(data)]
        requests.append(answer["requests"])
        peaks.append(hub.stats()["in_flight_peak"]["cdn"])
    assert peaks[0] == 1 and 2 <= peaks[1] <= 6 and requests[0] < requests[1]


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
    assert probe("org/secret", "resolve")["error"] == "not_found"
    token = tmp_path / "home" / "token"
    token.parent.mkdir(exist_ok=True)
    token.write_text("hf_from_file\n")
    assert probe("org/secret", "resolve").get("commit")
    assert probe("org/secret", "resolve", env={"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"})["error"] == "not_found"
    elsewhere = tmp_path / "token"
    elsewhere.write_text("hf_other")
    assert probe("org/secret", "resolve", env={"HF_TOKEN_PATH": str(elsewhere), "HF_HOME": "/nowhere"}).get("commit")


def test_tls(make_hub: Callable[..., Emulator], small_root: Path, tmp_path: Path, certificate: tuple[str, str]) -> None:
    hub = make_hub(small_root, tls=certificate)
    probe = Probe(tmp_path, hub.url)
    refused = probe("org/small", "resolve")
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
  fastcgi_temp_path {place}/c; uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
  server {{
    listen 127.0.0.1:{port} ssl http2; ssl_certificate {certificate}; ssl_certificate_key {key};
    location ~ ^/xet-bridge/[^/]+/(.*)$ {{ alias {place}/$1; }} }} }}
"""


def accepts(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_nginx_as_cdn_over_http2(
    big_root: Path, make_hub: Callable[..., Emulator], tmp_path: Path, certificate: tuple[str, str], port: int
) -> None:
    """A server that nobody here wrote gives the bytes, over HTTP/2."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not nginx:
        pytest.skip("nginx is not installed")
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
        wait_until(lambda: accepts(port))
        env = {"REQUESTS_CA_BUNDLE": certificate_file, "HF_TOKEN": "hf_secret"}
        answer = probe("org/big", "read", "main", BIG, 0, 100, 0, BIG_BYTES, env=env)
        assert answer.get("ranges") == [sha256(data[:100]), sha256(data)], answer
        wait_until(lambda: "HTTP/2.0" in (place / "access.log").read_text())  # written after the answer
    finally:
        server.terminate()
        server.wait(60)


# ---- errors in words ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, env, code, say",
    [
        (["org/missing", "resolve"], {}, "not_found", "HF_TOKEN"),
        (["org/missing", "resolve"], {"HF_TOKEN": "hf_x"}, "not_found", "check the name"),
        (["org/secret", "resolve"], {}, "not_found", "private"),
        (["org/gated", "fetch", "main", "config.json"], {}, "gated", "accept its terms at"),
        (["org/gated", "fetch", "main", "config.json"], {"HF_TOKEN": "hf_x"}, "gated", "access is granted"),
        (["--no-tree", "org/secret", "fetch", "0" * 40, "config.json"], {}, "gated", "if it is private, put a token into "),  # of a commit
        (["--no-tree", "org/gone", "fetch", "0" * 40, "config.json"], {"HF_TOKEN": "hf_x"}, "gated", "that this token may see"),
        (["org/disabled", "resolve"], {}, "unauthorized", "disabled"),
        (["org/small", "resolve", "step77"], {}, "not_found", "no such revision"),
        (["org/small", "resolve", ".."], {}, "not_found", "revision .."),
        (["--no-tree", "org/small", "fetch", "main", "nothing.json"], {}, "not_found", "no such file"),
        (["org//small", "resolve"], {}, "invalid", "owner/name"),
        (["../small", "resolve"], {}, "invalid", "owner/name"),
        (["--no-tree", "org/small", "fetch", "main", "../x"], {}, "invalid", "inside"),
        (["org/small", "resolve"], {"HF_ENDPOINT": "http://127.0.0.1:9"}, "network", "HF_ENDPOINT"),
        (["org/small", "resolve"], {"HF_ENDPOINT": "http://nowhere.invalid"}, "network", "DNS"),
        (["org/small", "resolve"], {"HF_ENDPOINT": "ftp://x"}, "invalid", "HF_ENDPOINT"),
        (["org/small", "refs"], {"HF_HUB_OFFLINE": "1"}, "not_found", "HF_HUB_OFFLINE"),
    ],
)
def test_errors_say_what_to_do(probe: Probe, words: list[str], env: dict[str, str], code: str, say: str) -> None:
    answer = probe(*words, options=(*FAST, "attempts_max=2"), env=env)
    assert answer["error"] == code and say in answer["message"], answer


def test_refused_token(make_hub: Callable[..., Emulator], small_root: Path, tmp_path: Path) -> None:
    hub = make_hub(small_root, tokens=["hf_right"])
    answer = Probe(tmp_path, hub.url)("org/small", "resolve", env={"HF_TOKEN": "hf_wrong"})
    assert answer["error"] == "unauthorized" and "renew" in answer["message"]


@pytest.mark.parametrize(
    "reply, env, code, say",
    [
        (b"HTTP/1.1 407 No\r\n", {"HF_ENDPOINT": "https://hub.invalid", "HTTPS_PROXY": "HERE"}, "unauthorized", "USER:PASSWORD@"),
        (b"HTTP/1.1 403 No\r\n", {"HF_ENDPOINT": "https://hub.invalid", "HTTPS_PROXY": "HERE"}, "network", "NO_PROXY"),
        (b"HTTP/1.1 407 No\r\n", {"HF_ENDPOINT": "http://hub.invalid", "http_proxy": "HERE"}, "unauthorized", "USER:PASSWORD@"),
        (b"HTTP/1.1 404 No\r\n", {"HF_ENDPOINT": "HERE"}, "not_found", "check the name and HF_ENDPOINT"),
        (b"HTTP/1.1 103 E\r\nX: %b\r\n\r\n" % (b"x" * 900) * 80 + b"HTTP/1.1 200 OK\r\n", {"HF_ENDPOINT": "HERE"}, "limit", "header is larger"),
        (b"SSH-2.0-OpenSSH\r\n", {"HF_ENDPOINT": "HERE"}, "http", "in proper HTTP"),
        (b"SSH-2.0-OpenSSH\r\n", {"HF_ENDPOINT": "https-HERE"}, "network", "check HF_ENDPOINT"),
    ],
    ids=["proxy-407", "proxy-403", "http-proxy-407", "404", "endless-1xx", "ssh", "ssh-https"],
)
def test_what_is_no_hub(probe: Probe, reply: bytes, env: dict[str, str], code: str, say: str) -> None:
    """Proxies and programs of other kinds at the address: which it is, and what to change."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = f"http://127.0.0.1:{server.getsockname()[1]}"

        def answer() -> None:
            for _ in range(2):
                with server.accept()[0] as connection:
                    connection.recv(4096)
                    connection.sendall(reply + b"Content-Length: 0\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        env = {name: value.replace("https-HERE", here.replace("http", "https")).replace("HERE", here) for name, value in env.items()}
        told = probe("org/small", "resolve", options=(*FAST, "attempts_max=2"), env=env)
    assert told["error"] == code and say in told["message"], told


def test_who_accepts_and_says_nothing(probe: Probe) -> None:
    """The stall timeout is no cure for what never came to a request."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = f"127.0.0.1:{server.getsockname()[1]}"
        for scheme, connect_ms, is_cure in (("http", 60000, True), ("https", 300, False)):
            options = (*FAST, "attempts_max=1", f"connect_timeout_ms={connect_ms}", "stall_timeout_ms=1000")
            told = probe("org/small", "resolve", options=options, env={"HF_ENDPOINT": f"{scheme}://{here}"})
            assert told["error"] == "timeout" and "check the network" in told["message"], told
            assert ("stall timeout" in told["message"]) == is_cure, told


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
    assert answer["ranges"] == [sha256(b"checkpoint-10checkpoint-10")]
    assert not answer["mapped"], "a trainer that writes again would end whoever reads from the mapping"
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
    odd = os.fsencode(folder) + b"/\xe9poque"  # a name that no JSON can hold, so no task could ever name it
    os.mkdir(odd)
    (folder / "checkpoint-9" / "config.json").rename(os.fsdecode(odd + b"/config.json"))
    refs = probe(model, "refs")["refs"]
    assert [row["name"] for row in refs] == ["checkpoint-9", "checkpoint-10"], "it is passed over, and keeps no other one from being read"
