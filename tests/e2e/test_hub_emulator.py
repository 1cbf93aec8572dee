"""The emulated hub is good enough if the real client cannot tell: lists, downloads, errors, branches that change."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable

import pytest
from hub_reply import REPO, REPOSITORY, WEIGHTS, WEIGHTS_BYTES, api, ask, download, source  # noqa: F401  (fixtures among them)
from running import wait_until

from tests.hub import Emulator, EmulatorError
from tests.hub.places import COMMITS, FOLDERS, RUN, STEPS, TWICE, title
from tests.hub.settings import Settings

huggingface_hub = pytest.importorskip("huggingface_hub")

from huggingface_hub import HfApi, snapshot_download  # noqa: E402
from huggingface_hub.errors import (  # noqa: E402
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)


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
    moved = [hub.move_branch(REPO, "main", name, title=title) for name, title in (("step0", "a"), ("step0", "a"), ("step512", None))]
    hub.set(page_size_commits=1)
    hub.reset()
    commits = api.list_repo_commits(REPO)
    assert [one.commit_id for one in commits] == [*moved[::-1], first] and len(set(moved)) == 3
    assert [one.title for one in commits] == ["Point main at step512", "a", "a", "Point main at step2000"]
    assert sorted({one.created_at for one in commits}, reverse=True) == [one.created_at for one in commits]
    assert hub.stats()["requests"]["api"] == 4
    assert api.list_repo_commits(REPO, revision=moved[0])[0].commit_id == moved[0], "as of that commit"
    assert "Link" not in ask(hub, f"/api/models/{REPO}/commits/main?p=3&limit=1").headers
    with pytest.raises(RevisionNotFoundError):
        api.list_repo_commits(REPO, revision="step3")
    with pytest.raises(RepositoryNotFoundError):
        api.list_repo_commits("org/nothing", token="hf_any")
    assert api.list_repo_commits("org/gated"), "the history of a gated repository is no secret"


def test_commits_after_other_ways(api: HfApi, hub: Emulator) -> None:
    """A commit without a title is not taken for an earlier one of the same files whose history was another."""
    first, short = hub.sha(REPO), hub.move_branch(REPO, "main", "step0")
    hub.restore()
    longer = [hub.move_branch(REPO, "main", name) for name in ("step512", "step0")]
    assert longer[1] != short and [one.commit_id for one in api.list_repo_commits(REPO)] == [*longer[::-1], first]


def test_commits_are_made_anew(api: HfApi, hub: Emulator) -> None:
    """One that an earlier test made beside other branches is dated by its place; here it has another, and is not known before it is made."""
    hub.move_branch(REPO, "other", "step0")
    made = hub.move_branch(REPO, "side", "step512")
    dates = [list(api.list_repo_commits(REPO, revision="side"))[0].created_at]
    hub.restore()
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision=made)
    assert hub.move_branch(REPO, "side", "step512") == made
    dates.append(list(api.list_repo_commits(REPO, revision="side"))[0].created_at)
    assert dates[0] - dates[1] == timedelta(hours=1)


def test_a_file_that_changes_is_compressed_anew(tmp_path: Path) -> None:
    file = tmp_path / "models/org/changing/main/text.json"
    file.parent.mkdir(parents=True)
    with Emulator(tmp_path, thread=True) as hub:
        for at, text in enumerate((b"a" * 2000, b"b" * 2000)):
            file.write_bytes(text)
            os.utime(file, (at, at))  # however soon after the other
            hub.restore()
            reply = ask(hub, "/api/resolve-cache/models/org/changing/main/text.json", Accept_Encoding="gzip")
            assert zlib.decompress(reply.body, 31) == text


def test_search_for_models(api: HfApi, hub: Emulator) -> None:
    def found(**query: Any) -> list[str]:
        return [one.id for one in api.list_models(**query)]

    everything = ["org/disabled", "org/gated", "org/small"]
    assert found() == found(author="org") == found(search="ORG/") == everything
    assert found(author="org", search="small") == ["org/small"] and found(author="or") == found(author="org", search="big") == []
    assert found(author="org", token="hf_any") == [*everything[:2], "org/secret", "org/small"]
    hub.set(page_size_models=2)
    hub.reset()
    assert found(author="org", token="hf_any") == [*everything[:2], "org/secret", "org/small"]
    assert hub.stats()["requests"]["api"] == 2
    assert {one.id: one.sha for one in api.list_models(author="org", expand=["sha"])} == {one: hub.sha(one) for one in everything}
    assert [one.sha for one in api.list_models(search="small")] == [None], "not told unless it is asked for"
    (small,) = api.list_models(search="small", expand=["siblings", "gated"])
    assert "config.json" in [one.rfilename for one in small.siblings] and small.gated is False


def test_a_run_that_is_no_branches(make_hub: Callable[..., Emulator], places: Path) -> None:
    hub = make_hub(places)
    api = HfApi(endpoint=hub.url)
    top = {entry.path: type(entry).__name__ for entry in api.list_repo_tree(FOLDERS)}
    folders = [f"checkpoint-{step}" for step in STEPS]
    assert {path for path, kind in top.items() if kind == "RepoFolder"} == {*folders, "runs"}
    whole = {entry.path: entry for entry in api.list_repo_tree(FOLDERS, recursive=True)}
    branches = {ref.name for ref in api.list_repo_refs(FOLDERS).branches}
    assert branches == {ref.name for ref in api.list_repo_refs(COMMITS).branches} == {"main"}
    weights = {}  # of each step, as the committed run has them
    for step in STEPS:
        files = {entry.path: entry for entry in api.list_repo_tree("garden/neox-tiny", revision=f"step{step}", recursive=True)}
        weights[step] = {path: entry.lfs.sha256 for path, entry in files.items() if entry.lfs}
        assert weights[step] and {path: whole[f"checkpoint-{step}/{path}"].lfs.sha256 for path in weights[step]} == weights[step]
        assert f"checkpoint-{step}/tokenizer.json" in whole
    commits = api.list_repo_commits(COMMITS)
    titles = [one.title for one in commits]
    assert titles[0] == "End of training" and titles[-2:] == [title(STEPS[0]), "initial commit"]
    assert [titles.count(title(step)) for step in STEPS] == [1 + (step == TWICE) for step in STEPS]
    for step in STEPS:
        files = api.list_repo_tree(COMMITS, revision=commits[titles.index(title(step))].commit_id)
        assert {entry.path: entry.lfs.sha256 for entry in files if getattr(entry, "lfs", None)} == weights[step], "the newest of that title"
    found = {one.id: one.sha for one in api.list_models(author="garden", search=RUN, expand=["sha"])}
    assert set(found) == {f"{RUN}{step}" for step in STEPS} | {"garden/run-step_16-chat"}
    for step in STEPS:
        files = api.list_repo_tree(f"{RUN}{step}", revision=found[f"{RUN}{step}"])
        assert {entry.path: entry.lfs.sha256 for entry in files if entry.lfs} == weights[step]
    # a push to main: all folders but the new one are what they were
    now = hub.sha(FOLDERS)
    before = hub.move_branch(FOLDERS, "main", "_before")
    files = [{entry.path: entry.blob_id for entry in api.list_repo_tree(FOLDERS, revision=sha, recursive=True) if hasattr(entry, "blob_id")} for sha in (before, now)]
    assert {path: files[1][path] for path in files[0] if "/" in path} == {path: oid for path, oid in files[0].items() if "/" in path}
    assert {path.split("/")[0] for path in set(files[1]) - set(files[0])} >= {folders[-1]}


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
    out, err = process.communicate(timeout=60)
    idle.close(), connection.close()
    assert process.returncode == 0 and out == "" and err == ""


def test_program_refuses(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.hub", *arguments]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)

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
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", hub.port))
    hub.start()
    assert hub.sha(REPO) == sha


def test_thread_mode(small_root: Path) -> None:
    before = threading.active_count()
    with Emulator(small_root, thread=True, latency_ms=1) as hub:
        assert ask(hub, f"/api/models/{REPO}").status == 200 and hub.stats()["requests"]["api"] == 1
    time.sleep(0.2)
    assert threading.active_count() <= before + 1


def test_one_begins_anew(small_root: Path) -> None:
    """As if it were started with these knobs, and nobody were there; not as what it would have to be started for."""
    with Emulator(small_root, latency_ms=1) as hub:
        before = hub.repositories()
        hub.delete_branch(REPO, "step512")
        hub.fault("status", status=500)
        hub.set(page_size=3)
        assert hub.begin_anew(api_quota=5)
        assert hub.repositories() == before and hub.faults() == [] and hub.stats()["requests"]["total"] == 0
        assert hub.set() == asdict(Settings(api_quota=5))
        hub.set(api_quota=7)
        hub.restore()
        assert hub.set()["api_quota"] == 5
        hub.fault("hold", nth=1)
        hub.fault("stall", seconds=600, nth=2)
        hub.set(latency_ms=1)
        with ThreadPoolExecutor(3) as pool, socket.create_connection(("127.0.0.1", hub.port)) as idle:
            asked = [pool.submit(ask, hub, f"/api/models/{REPO}") for _ in range(2)]
            wait_until(lambda: [rule["hits"] for rule in hub.faults()] == [1, 1])
            hub.set(latency_ms=600_000)
            asked.append(pool.submit(ask, hub, f"/api/models/{REPO}"))
            wait_until(lambda: hub.stats()["requests"]["total"] == 3)
            assert hub.begin_anew() and idle.recv(1) == b""
            now = hub.stats()
            assert all(isinstance(one.exception(), OSError | http.client.HTTPException) for one in asked)
        assert now["connections"]["current"] == 1 and now["in_flight"]["api"] == 0
        assert hub.stats()["requests"]["total"] == 0
        assert not hub.begin_anew(prefix="/mirror")
    assert not hub.begin_anew()
