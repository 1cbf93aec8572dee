"""The emulated hub is good enough if the real client cannot tell, and if every knob does what it says."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlsplit

import pytest

from tests.hub import Emulator, EmulatorError

huggingface_hub = pytest.importorskip("huggingface_hub")

from huggingface_hub import HfApi, hf_hub_download, snapshot_download  # noqa: E402
from huggingface_hub.errors import (  # noqa: E402
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    FileMetadataError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

REPOSITORY = Path(__file__).resolve().parents[2]
REPO = "org/small"
WEIGHTS = "pytorch_model.bin"
WEIGHTS_BYTES = 300_000

needs_patient_client = pytest.mark.skipif(
    int(huggingface_hub.__version__.partition(".")[0]) < 2,
    reason="huggingface_hub before 2 gives up at 429 and when a body is cut",
)


# ---- a plain client, to see what the official one hides -----------------------------------------


class Reply:
    def __init__(self, answer: http.client.HTTPResponse, body: bytes) -> None:
        self.status, self.headers, self.body = answer.status, answer.headers, body

    def json(self) -> Any:
        return json.loads(self.body)


def ask(hub: Emulator, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Reply:
    """One request, no redirects followed; header names with _ for -."""
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=30)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Reply(answer, answer.read())
    finally:
        connection.close()


def cdn_path(hub: Emulator, file: str = WEIGHTS, revision: str = "main") -> str:
    """A signed address at the CDN, without its host."""
    location = ask(hub, f"/{REPO}/resolve/{revision}/{file}", "HEAD").headers["Location"]
    parts = urlsplit(location)
    assert parts.netloc == f"localhost:{hub.port}"
    return f"{parts.path}?{parts.query}"


def source(root: Path, revision: str, file: str = WEIGHTS, repo: str = REPO) -> bytes:
    return (root / "models" / repo / revision / file).read_bytes()


@pytest.fixture
def api(hub: Emulator) -> HfApi:
    return HfApi(endpoint=hub.url)


@pytest.fixture
def download(hub: Emulator, tmp_path: Path) -> Callable[..., Path]:
    """hf_hub_download into a fresh cache."""

    def run(file: str = WEIGHTS, repo: str = REPO, **options: Any) -> Path:
        options = {"endpoint": hub.url, "cache_dir": tmp_path / "cache", **options}
        return Path(hf_hub_download(repo, file, **options))

    return run


# ---- the official client ------------------------------------------------------------------------


def test_refs(api: HfApi, hub: Emulator) -> None:
    refs = api.list_repo_refs(REPO, include_pull_requests=True)
    branches = {ref.name: ref.target_commit for ref in refs.branches}
    assert list(branches) == ["step0", "step1000", "step2000", "step512", "main", "step1"]
    assert len(set(branches.values())) == 6, "aliases are commits of their own"
    assert all(len(sha) == 40 and int(sha, 16) for sha in branches.values())
    assert {ref.name: ref.target_commit for ref in refs.tags} == {"v1": branches["step1000"], "v2": branches["main"]}
    assert [ref.ref for ref in refs.pull_requests] == ["refs/pr/1"]
    assert api.list_repo_refs(REPO).pull_requests is None
    assert branches["main"] == hub.sha(REPO)


def test_shas_are_the_same_at_every_start(hub: Emulator, small_root: Path, make_hub: Callable[..., Emulator]) -> None:
    assert make_hub(small_root).repositories() == hub.repositories()


def test_model_info(api: HfApi, hub: Emulator, small_root: Path) -> None:
    info = api.model_info(REPO, revision="step512", files_metadata=True, securityStatus=True)
    assert info.sha == hub.sha(REPO, "step512") and info.id == REPO and info.gated is False and info.private is False
    files = {sibling.rfilename: sibling for sibling in info.siblings}
    assert sorted(files) == sorted(
        ["LICENSE", "config.json", "empty.txt", "extra/notes é.txt", "model.safetensors", WEIGHTS, "tokenizer.json"]
    )
    weights = source(small_root, "step512")
    assert files[WEIGHTS].lfs.sha256 == hashlib.sha256(weights).hexdigest() and files[WEIGHTS].size == len(weights)
    config = source(small_root, "step512", "config.json")
    assert files["config.json"].blob_id == hashlib.sha1(b"blob %d\0" % len(config) + config).hexdigest()
    assert files["config.json"].lfs is None
    assert info.config["model_type"] == "gpt_neox" and info.safetensors.total == 2 * 96 * 16
    assert api.model_info(REPO, expand=["sha"]).sha == hub.sha(REPO)
    assert ask(hub, f"/api/models/{REPO}/revision/HEAD").json()["sha"] == hub.sha(REPO)
    assert api.model_info("old/small").id == REPO, "a renamed repository redirects"
    assert api.model_info("small", revision="step0").sha == hub.sha(REPO, "step0")


def test_revisions_of_every_sort(api: HfApi, hub: Emulator) -> None:
    for revision, branch in [
        ("v1", "step1000"),
        ("refs/heads/step0", "step0"),
        (hub.sha(REPO), "main"),
        ("v2", "main"),
    ]:
        assert api.model_info(REPO, revision=revision).sha == hub.sha(REPO, branch)
    request = api.list_repo_refs(REPO, include_pull_requests=True).pull_requests[0]
    assert api.model_info(REPO, revision="refs/pr/1").sha == request.target_commit
    assert ask(hub, f"/api/models/{REPO}/revision/refs/pr/1").json()["sha"] == request.target_commit


@pytest.mark.parametrize("expand", [False, True])
def test_tree_in_pages(api: HfApi, hub: Emulator, expand: bool) -> None:
    whole = list(api.list_repo_tree(REPO, recursive=True, expand=expand))
    assert len(whole) == 8
    hub.set(page_size=3, page_size_expand=2)
    hub.reset()
    assert list(api.list_repo_tree(REPO, recursive=True, expand=expand)) == whole
    assert hub.stats()["requests"]["api"] == (4 if expand else 3)
    assert (whole[0].last_commit is not None) == expand
    flat = [entry.path for entry in api.list_repo_tree(REPO)]
    assert "extra" in flat and "extra/notes é.txt" not in flat and len(flat) == 7
    assert [entry.path for entry in api.list_repo_tree(REPO, path_in_repo="extra")] == ["extra/notes é.txt"]
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(REPO, path_in_repo="nothing"))


def test_paths_info(api: HfApi, hub: Emulator) -> None:
    found = api.get_paths_info(REPO, ["config.json", "extra", "nothing"], expand=True)
    assert [one.path for one in found] == ["config.json", "extra"]
    body = json.dumps({"paths": [WEIGHTS], "expand": True}).encode()
    answer = ask(hub, f"/api/models/{REPO}/paths-info/main", "POST", body, Content_Type="application/json")
    (entry,) = answer.json()
    assert entry["lfs"]["size"] == WEIGHTS_BYTES and entry["lastCommit"]["id"] == hub.sha(REPO)


def test_commits(api: HfApi, hub: Emulator) -> None:
    first = hub.sha(REPO)
    moved = [hub.move_branch(REPO, "main", name) for name in ("step0", "step512")]
    hub.set(page_size_expand=1)
    assert [one.commit_id for one in api.list_repo_commits(REPO)] == [moved[1], moved[0], first]


def test_safetensors_metadata(api: HfApi) -> None:
    found = api.get_safetensors_metadata(REPO, revision="step512")
    tensor = found.files_metadata["model.safetensors"].tensors["embed_out.weight"]
    assert (tensor.dtype, tensor.shape, tensor.data_offsets) == ("F16", [96, 16], (0, 96 * 16 * 2))


def test_file_exists_and_whoami(api: HfApi, hub: Emulator) -> None:
    assert api.file_exists(REPO, "extra/notes é.txt") and not api.file_exists(REPO, "nothing")
    assert api.repo_exists(REPO) and not api.repo_exists("org/nothing", token="hf_any")
    assert api.revision_exists(REPO, "step1") and not api.revision_exists(REPO, "step3")
    assert api.whoami(token="hf_any")["name"] == "emulator"
    assert ask(hub, "/api/whoami-v2").status == 401
    hub.set(tokens=["hf_good"])
    with pytest.raises(OSError, match="(?i)invalid"):
        api.whoami(token="hf_bad")


def test_downloads(download: Callable[..., Path], hub: Emulator, small_root: Path, tmp_path: Path) -> None:
    for file in (WEIGHTS, "config.json", "tokenizer.json", "extra/notes é.txt", "empty.txt"):
        assert download(file, revision="step512").read_bytes() == source(small_root, "step512", file)
    assert download("LICENSE").read_text() == "served in every revision\n"
    assert (download(WEIGHTS, revision="step1").resolve()).name == hashlib.sha256(
        source(small_root, "step0")
    ).hexdigest()
    assert download(revision="refs/pr/1").read_bytes() == source(small_root, "step512")
    assert download("config.json", "old/small").exists()
    assert (tmp_path / "cache/models--org--small/refs/step512").read_text() == hub.sha(REPO, "step512")


def test_snapshot_in_an_untouched_process(hub: Emulator, small_root: Path, tmp_path: Path) -> None:
    """As a user would: nothing but HF_ENDPOINT set."""
    code = f"from huggingface_hub import snapshot_download; print(snapshot_download('{REPO}', revision='step1000'))"
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_CACHE": str(tmp_path / "c"),
    }
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    folder = Path(run.stdout.strip())
    assert folder.name == hub.sha(REPO, "step1000")
    for file in (WEIGHTS, "config.json", "tokenizer.json", "model.safetensors", "extra/notes é.txt", "empty.txt"):
        assert (folder / file).read_bytes() == source(small_root, "step1000", file)
    report = huggingface_hub.scan_cache_dir(tmp_path / "c")
    assert not report.warnings and [repo.repo_id for repo in report.repos] == [REPO]
    assert {entry["status"] for entry in hub.log() if entry["route"] != "other"} == {200, 302, 307}


def test_datasets(hub: Emulator, small_root: Path, tmp_path: Path) -> None:
    folder = Path(snapshot_download("org/texts", repo_type="dataset", endpoint=hub.url, cache_dir=tmp_path))
    for file in ("test.jsonl", "train.parquet"):
        assert (folder / file).read_bytes() == (small_root / "datasets/org/texts/main" / file).read_bytes()
    assert HfApi(endpoint=hub.url).dataset_info("org/texts").sha == hub.sha("org/texts", kind="datasets")


def test_the_committed_training_run(garden: Path, make_hub: Callable[..., Emulator], tmp_path: Path) -> None:
    hub = make_hub(garden)
    for repo in hub.repositories():
        revision = next(iter(repo["branches"]))
        options = {"repo_type": repo["kind"].rstrip("s"), "revision": revision, "endpoint": hub.url}
        folder = Path(snapshot_download(repo["id"], cache_dir=tmp_path, **options))
        assert folder.name == repo["branches"][revision] and any(folder.iterdir())


# ---- errors -------------------------------------------------------------------------------------


def test_missing_things(api: HfApi, download: Callable[..., Path], hub: Emulator, tmp_path: Path) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("org/nothing", token="hf_any")
    with pytest.raises(RepositoryNotFoundError):
        download(repo="org/nothing", token="hf_any")
    with pytest.raises(HfHubHTTPError, match="401"):
        download(repo="org/nothing")  # the client calls this 401 "not found" on https only, see test_https
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision="step3")
    with pytest.raises(RevisionNotFoundError):
        download(revision="0" * 40)
    with pytest.raises(EntryNotFoundError):
        download("nothing.json")
    assert (tmp_path / f"cache/models--org--small/.no_exist/{hub.sha(REPO)}/nothing.json").exists()


@pytest.mark.parametrize(
    "path, authorization, status, code, message",
    [
        ("/api/models/org/nothing", None, 401, None, "Invalid username or password."),
        ("/api/models/org/secret", None, 401, None, "Invalid username or password."),
        ("/org/secret/resolve/main/config.json", None, 401, None, "Invalid username or password."),
        ("/api/models/org/nothing", "Bearer hf_good", 404, "RepoNotFound", "Repository not found"),
        ("/api/models/org/secret", "Bearer hf_bad", 401, None, "Invalid credentials in Authorization header"),
        ("/api/models/org/secret", "Bearer hf_good", 200, None, None),
        ("/api/models/org/small/revision/x", None, 404, "RevisionNotFound", "Invalid rev id: x"),
        ("/org/small/resolve/main/x", None, 404, "EntryNotFound", "Entry not found"),
        ("/api/models/org/gated", None, 200, None, None),
        ("/org/gated/resolve/main/config.json", None, 401, "GatedRepo", "Access to model org/gated is restricted"),
        ("/org/gated/resolve/main/config.json", "Bearer hf_good", 403, "GatedRepo", "not in the authorized list"),
        ("/org/gated/resolve/main/config.json", "Bearer hf_granted", 307, None, None),
        ("/api/models/org/disabled", None, 403, None, "Access to this resource is disabled."),
        ("/api/models/org/a--b", None, 400, None, "Repo id must be"),
        ("/api/models/org/a%2Fb", None, 400, None, "Repo id must be"),
        ("/nothing/at/all", None, 404, None, None),
    ],
)
def test_error_answers(
    hub: Emulator, path: str, authorization: str | None, status: int, code: str | None, message: str | None
) -> None:
    hub.set(tokens=["hf_good"], granted_tokens=["hf_granted"])
    answer = ask(hub, path, **({"Authorization": authorization} if authorization else {}))
    assert answer.status == status and answer.headers["X-Error-Code"] == code
    assert (message or "") in (answer.headers["X-Error-Message"] or "")
    if message:
        assert answer.json() == {"error": answer.headers["X-Error-Message"]}
    if code == "EntryNotFound":
        assert answer.headers["X-Repo-Commit"] == hub.sha(REPO)


def test_errors_seen_by_the_client(hub: Emulator, download: Callable[..., Path], small_root: Path) -> None:
    hub.set(tokens=["hf_good"], granted_tokens=["hf_granted"])
    with pytest.raises(GatedRepoError):
        download(repo="org/gated", token=False)
    with pytest.raises(GatedRepoError):
        download(repo="org/gated", token="hf_good")
    with pytest.raises(DisabledRepoError):
        HfApi(endpoint=hub.url).model_info("org/disabled")
    expected = source(small_root, "main", repo="org/gated")
    assert download(repo="org/gated", token="hf_granted").read_bytes() == expected
    assert download(repo="org/secret", token="hf_good").read_bytes() == source(small_root, "main", repo="org/secret")


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
    path = cdn_path(hub)
    assert ask(hub, path).status == 200
    time.sleep(1.05)
    answer = ask(hub, path)
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
    hub.set(latency_ms=200)
    hub.reset()
    with ThreadPoolExecutor(64) as pool:
        bodies = list(pool.map(lambda _: ask(hub, path).body, range(64)))
    assert all(body == expected for body in bodies)
    stats = hub.stats()
    assert stats["in_flight_peak"]["cdn"] > 32 and stats["bytes"]["cdn"] == 64 * WEIGHTS_BYTES
    assert stats["connections"]["peak"] >= stats["in_flight_peak"]["cdn"]


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
        time.sleep(0.5)
    deadline = time.monotonic() + 10
    while hub.stats()["in_flight"]["cdn"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert 10_000 < hub.stats()["bytes"]["cdn"] < WEIGHTS_BYTES
    hub.set(bandwidth_bps=0)
    assert hub.log()[0]["bytes"] == hub.stats()["bytes"]["cdn"]


def test_log_file(small_root: Path, tmp_path: Path, make_hub: Callable[..., Emulator]) -> None:
    hub = make_hub(small_root, log=tmp_path / "log")
    ask(hub, f"/api/models/{REPO}")
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
    assert ideal * 0.97 < time.monotonic() - began < ideal * 5

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
    hub.set(connection_bps=8 * 600_000)

    def seconds(parallel: int) -> float:
        began = time.monotonic()
        with ThreadPoolExecutor(parallel) as pool:
            list(pool.map(lambda _: ask(hub, path), range(parallel)))
        return time.monotonic() - began

    assert seconds(1) > 0.45 and 0.45 < seconds(4) < 1.9


def test_latency(hub: Emulator) -> None:
    hub.set(latency_ms=60, connect_ms=100)
    connection = http.client.HTTPConnection("127.0.0.1", hub.port)
    times = []
    for _ in range(4):
        began = time.monotonic()
        connection.request("HEAD", f"/api/models/{REPO}")
        connection.getresponse().read()
        times.append(time.monotonic() - began)
    connection.close()
    assert times[0] >= 0.16 and min(times) >= 0.06 and min(times[1:]) < 0.16


@needs_patient_client
def test_rate_limits(hub: Emulator, api: HfApi) -> None:
    hub.set(api_quota=2, quota_window_s=3)
    first, second, third = (ask(hub, f"/api/models/{REPO}") for _ in range(3))
    assert [first.status, second.status, third.status] == [200, 200, 429]
    assert first.headers["RateLimit"].startswith('"api";r=1;t=') and third.headers["RateLimit"].startswith(
        '"api";r=0;t='
    )
    assert third.headers["RateLimit-Policy"] == '"fixed window";"api";q=2;w=3'
    assert ask(hub, f"/{REPO}/resolve/main/config.json").status == 307, "another bucket"
    assert list(api.list_repo_tree(REPO)), "the client waits as it is told, and succeeds"


# ---- faults -------------------------------------------------------------------------------------


@needs_patient_client
def test_status_fault_and_retry(hub: Emulator, api: HfApi) -> None:
    hub.fault("status", status=429, retry_after=7, route="api", nth=1)
    answer = ask(hub, f"/api/models/{REPO}")
    assert answer.status == 429 and answer.headers["Retry-After"] == "7"
    assert ask(hub, f"/api/models/{REPO}").status == 200
    hub.clear_faults()
    hub.reset()
    hub.fault("status", status=429, ratelimit_t=1, path="/tree/", times=1)
    hub.fault("status", status=500, path="/tree/", nth=[2])
    began = time.monotonic()
    assert list(api.list_repo_tree(REPO))
    assert time.monotonic() - began > 1 and [rule["hits"] for rule in hub.faults()] == [1, 1]
    assert hub.stats()["faults"] == {"status": 2}


def test_conditions_of_rules(hub: Emulator) -> None:
    def statuses(count: int, path: str = f"/api/models/{REPO}", method: str = "GET") -> list[int]:
        return [ask(hub, path, method).status for _ in range(count)]

    hub.fault("status", every=3, method="GET", path=r"models/org/small$")
    assert statuses(6) == [200, 200, 503, 200, 200, 503] and statuses(3, method="HEAD") == [200] * 3
    assert statuses(3, f"/api/models/{REPO}/refs") == [200] * 3
    hub.clear_faults()
    hub.fault("status", after=2, times=1, status=500)
    assert statuses(5) == [200, 200, 500, 200, 200]
    hub.clear_faults()
    draws = []
    for _ in range(2):
        number = hub.fault("status", probability=0.5, seed=4)
        draws.append(statuses(20))
        hub.clear_faults(number)
    assert draws[0] == draws[1] and 3 < draws[0].count(503) < 17
    hub.fault("status", status=500, revision="step512")
    by_sha = f"/api/models/{REPO}/revision/{hub.sha(REPO, 'step512')}"
    assert statuses(1, by_sha) == [500] and statuses(1, f"/api/models/{REPO}/revision/step512") == [500]
    assert statuses(1) == [200]
    hub.clear_faults()
    hub.fault("status", status=500, file=r"\.bin$", route="cdn", range=True)
    assert statuses(1, cdn_path(hub)) == [200]
    assert ask(hub, cdn_path(hub), Range="bytes=0-1").status == 500
    assert ask(hub, cdn_path(hub, "model.safetensors"), Range="bytes=0-1").status == 206
    with pytest.raises(EmulatorError, match="unknown field 'pathh'"):
        hub.fault("status", pathh="x")
    with pytest.raises(EmulatorError, match="needs a kind out of"):
        hub.fault("nonsense")
    with pytest.raises(EmulatorError, match="unknown setting 'speed'"):
        hub.set(speed=1)


@pytest.mark.parametrize("tenth", range(10))
def test_cut_at_every_tenth(hub: Emulator, small_root: Path, tenth: int) -> None:
    path, size = cdn_path(hub), WEIGHTS_BYTES * tenth // 10
    hub.reset()
    hub.fault("cut", route="cdn", fraction=tenth / 10, nth=1)
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(hub, path)
    rest = ask(hub, path, Range=f"bytes={size}-").body
    assert caught.value.partial + rest == source(small_root, "step2000") and len(caught.value.partial) == size
    assert hub.stats()["bytes"]["cdn"] == WEIGHTS_BYTES


@needs_patient_client
def test_resume_after_a_cut(tmp_path: Path, make_hub: Callable[..., Emulator]) -> None:
    """The client writes pieces of 10 MiB and comes back for the rest with a Range."""
    repo = tmp_path / "models" / "a" / "big" / "main"
    repo.mkdir(parents=True)
    content = random.Random(1).randbytes(25 << 20)
    (repo / WEIGHTS).write_bytes(content)
    hub = make_hub(tmp_path)
    hub.fault("cut", route="cdn", fraction=0.9, nth=1)
    file = hf_hub_download("a/big", WEIGHTS, endpoint=hub.url, cache_dir=tmp_path / "cache")
    assert Path(file).read_bytes() == content
    requests = [entry for entry in hub.log() if entry["route"] == "cdn"]
    assert [(entry["range"], entry["status"]) for entry in requests] == [(None, 200), (f"bytes={20 << 20}-", 206)]
    assert [entry["bytes"] for entry in requests] == [int(len(content) * 0.9), 5 << 20]


def test_cut_without_the_rest(hub: Emulator) -> None:
    hub.fault("cut", route="cdn", bytes=1000)
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(hub, cdn_path(hub))
    assert len(caught.value.partial) == 1000
    hub.clear_faults()
    hub.fault("cut", file="tokenizer.json", fraction=0.5)
    location = ask(hub, f"/{REPO}/resolve/main/config.json").headers["Location"].replace("config", "tokenizer")
    with pytest.raises(http.client.IncompleteRead):
        ask(hub, location, Accept_Encoding="gzip")


@pytest.mark.parametrize("place", [{}, {"fraction": 0.5}, {"bytes": 0}])
def test_stall(hub: Emulator, small_root: Path, place: dict[str, Any]) -> None:
    path = cdn_path(hub)
    hub.fault("stall", seconds=0.8, route="cdn", **place)
    connection = http.client.HTTPConnection("127.0.0.1", hub.port)
    began = time.monotonic()
    connection.request("GET", path)
    answer = connection.getresponse()
    headers_s = time.monotonic() - began
    first = answer.read(WEIGHTS_BYTES // 4)
    first_s = time.monotonic() - began
    body = first + answer.read()
    whole_s = time.monotonic() - began
    connection.close()
    assert body == source(small_root, "step2000") and whole_s >= 0.8
    assert (headers_s >= 0.8) == (place == {}) and (first_s < 0.8) == (place == {"fraction": 0.5})


def test_trickle(hub: Emulator) -> None:
    hub.fault("trickle", bps=8 * 20_000, route="cdn")
    began = time.monotonic()
    ask(hub, cdn_path(hub), Range="bytes=0-9999")
    assert time.monotonic() - began > 0.45


def test_wrong_length(hub: Emulator, small_root: Path) -> None:
    hub.fault("wrong_length", delta=10, route="cdn", nth=1)
    with pytest.raises(http.client.IncompleteRead):
        ask(hub, cdn_path(hub))
    hub.clear_faults()
    hub.fault("wrong_length", delta=-10, route="cdn", nth=1)
    answer = ask(hub, cdn_path(hub))
    assert answer.status == 200 and answer.body == source(small_root, "step2000")[:-10]
    assert answer.headers["Content-Length"] == str(WEIGHTS_BYTES - 10)


def test_flipped_bits(hub: Emulator, small_root: Path) -> None:
    whole = source(small_root, "step2000")
    hub.fault("flip", route="cdn", file_offset=1000, bit=7)
    body = ask(hub, cdn_path(hub)).body
    assert [i for i in range(len(whole)) if body[i] != whole[i]] == [1000] and body[1000] ^ whole[1000] == 0x80
    piece = ask(hub, cdn_path(hub), Range="bytes=900-1099").body
    assert [i for i in range(200) if piece[i] != whole[900 + i]] == [100]
    assert ask(hub, cdn_path(hub), Range="bytes=0-999").body == whole[:1000]
    hub.clear_faults()
    hub.fault("flip", route="cdn", fraction=0.25)
    piece = ask(hub, cdn_path(hub), Range="bytes=100-199").body
    assert [i for i in range(100) if piece[i] != whole[100 + i]] == [25]


def test_range_faults(hub: Emulator, small_root: Path) -> None:
    hub.fault("ignore_range", route="cdn", nth=1)
    answer = ask(hub, cdn_path(hub), Range="bytes=1-2")
    assert answer.status == 200 and answer.body == source(small_root, "step2000")
    hub.clear_faults()
    hub.fault("wrong_range", delta=3, size_delta=1)
    assert ask(hub, cdn_path(hub), Range="bytes=1-2").headers["Content-Range"] == "bytes 4-5/300001"


def test_header_faults(hub: Emulator, download: Callable[..., Path]) -> None:
    path = cdn_path(hub)
    hub.fault("etag", route="cdn")
    tags = {ask(hub, path, Range=f"bytes={i}-{i}").headers["ETag"] for i in range(3)}
    assert len(tags) == 3
    hub.clear_faults()
    hub.fault("etag", value="f" * 64)
    answer = ask(hub, f"/{REPO}/resolve/main/{WEIGHTS}")
    assert answer.headers["X-Linked-ETag"] == '"' + "f" * 64 + '"'
    hub.clear_faults()
    hub.fault("no_commit")
    with pytest.raises((FileMetadataError, LocalEntryNotFoundError)):
        download()
    hub.clear_faults()
    hub.fault("headers", set={"X-New": "1"}, drop=["X-Linked-Size"])
    answer = ask(hub, f"/{REPO}/resolve/main/{WEIGHTS}")
    assert answer.headers["X-New"] == "1" and answer.headers["X-Linked-Size"] is None


def test_redirect_loops(hub: Emulator, api: HfApi) -> None:
    hub.fault("redirect_loop", route="api")
    assert ask(hub, f"/api/models/{REPO}").headers["Location"] == f"{hub.url}/api/models/{REPO}"
    with pytest.raises(Exception, match="(?i)redirect"):
        api.model_info(REPO)
    hub.clear_faults()
    hub.fault("redirect_loop", route="resolve", relative=True)
    assert ask(hub, f"/{REPO}/resolve/main/config.json").headers["Location"] == f"/{REPO}/resolve/main/config.json"


def test_json_faults(hub: Emulator, api: HfApi, tmp_path: Path) -> None:
    hub.fault("oversize_json", bytes=3_000_000, route="api")
    answer = ask(hub, f"/api/models/{REPO}/refs", Accept_Encoding="gzip")
    assert len(answer.body) == 3_000_000 and answer.json()["branches"]
    hub.clear_faults()
    hub.fault("malformed_json", route="api")
    with pytest.raises(json.JSONDecodeError):
        ask(hub, f"/api/models/{REPO}/refs").json()
    hub.clear_faults()
    hub.fault("body", json={"branches": 5}, path="/refs")
    assert ask(hub, f"/api/models/{REPO}/refs").json() == {"branches": 5}
    hub.clear_faults()
    hub.fault("body", text="<html>not a hub</html>", path="/refs")
    assert ask(hub, f"/api/models/{REPO}/refs").body == b"<html>not a hub</html>"
    hub.clear_faults()
    hub.fault("link_loop", path="/tree/")
    path = f"/api/models/{REPO}/tree/main?recursive=true"
    assert ask(hub, path).headers["Link"] == f'<{hub.url}{path}>; rel="next"'
    hub.clear_faults()
    hub.fault("link_away", url="http://127.0.0.1:9/x", path="/tree/")
    assert ask(hub, path).headers["Link"] == '<http://127.0.0.1:9/x>; rel="next"'
    hub.clear_faults()
    hub.fault("tree_path", entry="../../outside.txt")
    assert ask(hub, path).json()[-1]["path"] == "../../outside.txt"
    assert ask(hub, f"/api/models/{REPO}").json()["siblings"][-1]["rfilename"] == "../../outside.txt"
    with pytest.raises(Exception):
        snapshot_download(REPO, endpoint=hub.url, cache_dir=tmp_path / "a" / "b" / "cache")
    assert not list(tmp_path.rglob("outside.txt"))


def test_replaced_text(hub: Emulator, api: HfApi) -> None:
    hub.fault("replace", pattern='"sha":"[0-9a-f]{40}"', by='"sha":"not a commit"')
    assert api.model_info(REPO).sha == "not a commit"


def test_a_branch_that_moves_at_a_chosen_request(hub: Emulator, api: HfApi, small_root: Path, tmp_path: Path) -> None:
    before = hub.sha(REPO)
    hub.fault("move_branch", branch="main", target="step0", path="/resolve/", nth=1)
    folder = Path(snapshot_download(REPO, endpoint=hub.url, cache_dir=tmp_path))
    assert folder.name == before and (folder / WEIGHTS).read_bytes() == source(small_root, "step2000")
    assert api.model_info(REPO).sha == hub.sha(REPO) != before


def test_expired_fault_makes_the_client_resolve_again(hub: Emulator) -> None:
    hub.fault("expired", route="cdn", nth=1)
    path = cdn_path(hub)
    assert ask(hub, path).status == 403 and ask(hub, path).status == 200


@pytest.mark.parametrize("rst", [True, False])
def test_connection_reset(hub: Emulator, rst: bool) -> None:
    hub.fault("reset", rst=rst, route="api", times=1)
    with pytest.raises(ConnectionResetError if rst else http.client.RemoteDisconnected):
        ask(hub, f"/api/models/{REPO}")
    assert hub.log()[0]["status"] is None and hub.stats()["statuses"] == {"None": 1}
    hub.clear_faults()
    hub.fault("cut", rst=rst, route="cdn", times=1)
    with pytest.raises(ConnectionResetError if rst else http.client.IncompleteRead):
        ask(hub, cdn_path(hub))


def test_faults_apply_together_and_are_logged(hub: Emulator) -> None:
    hub.fault("flip", route="cdn")
    hub.fault("headers", set={"X-Both": "yes"}, route="cdn")
    assert ask(hub, cdn_path(hub)).headers["X-Both"] == "yes"
    assert hub.log()[-1]["faults"] == ["flip", "headers"] and hub.log()[0]["faults"] == []


# ---- branches that change -----------------------------------------------------------------------


def test_moving_branches(hub: Emulator, api: HfApi, small_root: Path, download: Callable[..., Path]) -> None:
    before = hub.sha(REPO)
    after = hub.move_branch(REPO, "main", "step512")
    assert after != before and api.model_info(REPO).sha == after
    assert download(revision="main").read_bytes() == source(small_root, "step512")
    assert download(revision=before).read_bytes() == source(small_root, "step2000"), "the old commit stays reachable"
    added = hub.move_branch(REPO, "step9", "step1")
    assert added in {ref.target_commit for ref in api.list_repo_refs(REPO).branches}
    assert download(revision="step9").read_bytes() == source(small_root, "step0")
    hub.delete_branch(REPO, "step9")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision="step9")
    assert api.model_info(REPO, revision=added).sha == added
    with pytest.raises(EmulatorError, match="no revision folder or branch 'x'"):
        hub.move_branch(REPO, "main", "x")
    with pytest.raises(EmulatorError, match="no branch 'step9'"):
        hub.delete_branch(REPO, "step9")
    hub.restore()
    assert hub.sha(REPO) == before


def test_a_branch_that_appears_while_serving(tmp_path: Path, make_hub: Callable[..., Emulator]) -> None:
    """A training run publishes its next checkpoint."""
    repo = tmp_path / "models" / "a" / "run"
    (repo / "step0").mkdir(parents=True)
    (repo / "step0" / "config.json").write_text("{}")
    hub = make_hub(tmp_path)
    (repo / "step1").mkdir()
    (repo / "step1" / "config.json").write_text('{"new": 1}')
    sha = hub.move_branch("a/run", "step1", "step1")
    assert ask(hub, f"/a/run/raw/{sha}/config.json").json() == {"new": 1}


# ---- the program --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [["-m", "tests.hub"], ["tests/hub"]])
def test_program(small_root: Path, how: list[str]) -> None:
    command = [
        sys.executable,
        *how,
        "--root",
        str(small_root),
        "--bandwidth-bps",
        "8e6",
        "--tokens",
        "a",
        "--tokens=b",
        "--no-gzip",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
    hello = json.loads(process.stdout.readline())
    assert hello["url"] == f"http://127.0.0.1:{hello['port']}"
    idle = socket.create_connection(("127.0.0.1", hello["port"]))
    connection = http.client.HTTPConnection("127.0.0.1", hello["port"])
    connection.request("GET", "/_emulator/settings")
    settings = json.load(connection.getresponse())
    assert settings["tokens"] == ["a", "b"] and settings["bandwidth_bps"] == 8e6 and settings["gzip"] is False
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    idle.close(), connection.close()
    assert process.returncode == 0 and out == "" and err == ""


def test_program_refuses(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.hub", *arguments]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=20)

    missing = run("--root", str(tmp_path / "nothing"))
    assert missing.returncode == 1 and "no such folder" in missing.stderr
    (tmp_path / "models/a/b/main").mkdir(parents=True)
    (tmp_path / "models/a/b/branches.json").write_text('{"branches": {"x": "nothing"}}')
    wrong = run("--root", str(tmp_path))
    assert wrong.returncode == 1 and "no revision folder or branch 'nothing'" in wrong.stderr
    assert run("--root", str(tmp_path), "--latency-ms", "-1").returncode == 2


def test_stopped_hub_refuses_connections(small_root: Path, tmp_path: Path, make_hub: Callable[..., Emulator]) -> None:
    hub = make_hub(small_root)
    sha = hub.sha(REPO)
    hub.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(hub, f"/api/models/{REPO}")
    hub.start()
    assert hub.sha(REPO) == sha


def test_thread_mode(small_root: Path) -> None:
    before = threading.active_count()
    with Emulator(small_root, thread=True, latency_ms=1) as hub:
        assert ask(hub, f"/api/models/{REPO}").status == 200 and hub.stats()["requests"]["api"] == 1
    time.sleep(0.2)
    assert threading.active_count() <= before + 1
