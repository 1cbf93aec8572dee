"""The hub client's cache, which Python shares: who comes first, kills, full disks, eviction."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest
from hub_probe import BIG, FAST, Probe, big, big_root, probe, served, sha256  # noqa: F401  (fixtures among them)
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download
from running import Daemon, model_path, wait_until
from tests.hub import Emulator

PART = "part.safetensors"


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


@pytest.mark.parametrize("kind", ["no links", "copied"])
def test_snapshots_without_links(probe: Probe, hub: Emulator, small_root: Path, kind: str) -> None:
    """A cache on a file system without symbolic links, or copied from one through them, serves as any other."""
    code = f"import huggingface_hub as h; h.snapshot_download('org/small', revision='step512', endpoint={hub.url!r}, cache_dir={str(probe.cache)!r})"
    env = os.environ | ({"HF_HUB_DISABLE_SYMLINKS": "1"} if kind == "no links" else {})
    subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    if kind == "copied":
        for path in list(probe.cache.glob("*/snapshots/*/*")):
            if path.is_symlink():
                data = path.read_bytes()
                path.unlink()
                path.write_bytes(data)
        for blobs in probe.cache.glob("*/blobs"):
            shutil.rmtree(blobs)
    data = served(small_root, "step512", "model.safetensors")
    for env in ({}, {"HF_HUB_OFFLINE": "1"}):
        hub.reset()
        answer = probe("org/small", "read", "step512", "model.safetensors", 0, len(data), env=env)
        assert answer["ranges"] == [sha256(data)] and answer["mapped"] and answer["cache_hits"] == 1
        assert "error" not in probe("org/small", "fetch", "step512", "config.json", env=env)
        assert not [row for row in hub.log() if row["route"] != "api"]


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
    with ThreadPoolExecutor(1) as pool:  # its locks are files', whatever process it is of
        for number in range(20):
            probe = Probe(tmp_path / str(number), hub.url)
            python = pool.submit(python_snapshot, hub, probe.cache, "org/small", "step1000")
            time.sleep(random.Random(number).random() * 0.15)
            ours = [probe.start("org/small", "download", "step1000", path) for path in paths]
            for path, process in zip(paths, ours, strict=True):
                answer = probe.finish(process)
                assert "error" not in answer, answer
                assert Path(answer["path"]).read_bytes() == served(small_root, "step1000", path)
            python.result(60)
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
    hub = make_hub(root)
    hub.fault("hold", route="cdn", after=5)  # of ranges of 8 MiB
    probe = Probe(tmp_path, hub.url)
    process = probe.start("org/huge", "download", "main", BIG)
    blobs = probe.cache / "models--org--huge" / "blobs"
    wait_until(lambda: any(path.stat().st_size >= 32 << 20 for path in blobs.glob("*.incomplete")))
    process.kill()
    process.communicate()
    assert [path.suffix for path in blobs.iterdir()] == [".incomplete"]
    hub.clear_faults()
    wait_until(lambda: not hub.stats()["in_flight"]["cdn"])
    hub.reset()
    assert Path(probe("org/huge", "download", "main", BIG)["path"]).read_bytes() == data
    assert hub.stats()["bytes"]["cdn"] <= len(data) - (32 << 20) + 65536
    assert_sound(probe.cache)


def test_pruned_meanwhile(big_root: Path, make_hub: Callable[..., Emulator], tmp_path: Path) -> None:
    """`hf cache prune` takes what is being written for left behind: the download is made once more."""
    hub = make_hub(big_root, bandwidth_bps=50e6)
    probe = Probe(tmp_path, hub.url)
    process = probe.start("org/big", "download", "main", BIG)
    blobs = probe.cache / "models--org--big" / "blobs"
    wait_until(lambda: any(path.stat().st_size for path in blobs.glob("*.incomplete")))
    for path in scan_cache_dir(probe.cache).incomplete_files:
        path.file_path.unlink()
    answer = probe.finish(process)
    assert Path(answer["path"]).read_bytes() == (big_root / "models/org/big/main" / BIG).read_bytes()
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


def test_a_file_of_another_size_is_replaced(probe: Probe, hub: Emulator, small_root: Path) -> None:
    """What a snapshot holds without links may be damaged; its size tells, and then the blob takes its place."""
    expected = served(small_root, "step512", "model.safetensors")
    folder = probe.cache / "models--org--small/snapshots" / hub.sha("org/small", "step512")
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(expected[:1000])
    assert Path(probe("org/small", "download", "step512", "model.safetensors")["path"]).read_bytes() == expected
    assert_sound(probe.cache)


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
    blob = kept.parent
    (blob / ".0-9.5f.new").write_bytes(b"killed while it was kept")
    (blob.parent / "another").mkdir()
    (blob.parent / "another" / ".0-8.5f.new").write_bytes(b"the same")
    probe("org/big", "read", "main", BIG, 12_000_000, 100, options=options)
    assert [path.name for path in state.rglob(".*")] == [".lock"] and [path for path in blob.iterdir()]
    assert not (blob.parent / "another").exists(), "nothing was kept of it"


def test_what_came_damaged_is_not_kept(big: tuple[Emulator, Probe, bytes], big_root: Path, tmp_path: Path) -> None:
    """What is read whole is verified; else the next attempt, and each one after it, would read the same bytes again."""
    hub, probe, _ = big
    options = (*FAST, "keep=1", f"state={tmp_path / 'state'}")
    for name in ("config.json", "middle.safetensors"):
        data = (big_root / "models/org/big/main" / name).read_bytes()
        hub.fault("flip", file=name)
        assert probe("org/big", "read", "main", name, 0, len(data), options=options)["error"] == "mismatch"
        hub.clear_faults()
        assert probe("org/big", "read", "main", name, 0, len(data), options=options)["ranges"] == [sha256(data)]


def test_ranges_leave_no_trace(big: tuple[Emulator, Probe, bytes]) -> None:
    _, probe, _ = big
    probe("org/big", "read", "main", BIG, 5, 1000)
    assert not probe.cache.exists()


def test_cache_that_cannot_be_written(probe: Probe, hub: Emulator) -> None:
    """Root may write everywhere, so files stand where folders should be."""
    (probe.cache / "models--org--small").mkdir(parents=True)
    (probe.cache / ".locks").write_text("")
    answer = probe("org/small", "download", "step512", "config.json")
    assert answer["error"] == "io" and "config.json: no place" in answer["message"] and "set HF_HUB_CACHE" in answer["message"]
    assert "error" not in probe("org/small", "fetch", "step512", "config.json")


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
    """org/many: branches b0 … b5 with a file of 1 MiB each, org/other with one, and a budget of 3.5 MiB for what we fetch."""
    for number in range(6):
        folder = tmp_path / "root/models/org/many" / f"b{number}"
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / BIG).write_bytes(random.Random(number).randbytes(1 << 20))
        (folder / "config.json").write_text(str(number))
    shutil.copytree(folder, tmp_path / "root/models/org/other/main")
    (tmp_path / "root/models/org/many/b0/sub" / PART).write_bytes(random.Random(9).randbytes(1 << 18))
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


def test_what_python_finished_is_not_evicted(
    many: tuple[Emulator, Probe, Callable[..., dict[str, Any]]], tmp_path: Path
) -> None:
    """Ours broke off, or was deleted: the blob that Python then brings is Python's, whatever the ledger says."""
    hub, probe, download = many
    blobs, entries = probe.cache / "models--org--many/blobs", tmp_path / "state/fetched"
    options = (*FAST, f"state={tmp_path / 'state'}", "cache_budget_bytes=1200000")
    hub.fault("hold", route="cdn")
    for count, branch in enumerate(("b0", "b1"), 1):
        process = probe.start("org/many", "download", branch, f"sub/{BIG}", options=options[:-1])
        wait_until(lambda count=count: len(list(blobs.glob("*.incomplete"))) == count)
        process.kill()
        process.communicate()
    assert len(list(entries.glob("models*"))) == 2
    hub.clear_faults()
    python_snapshot(hub, probe.cache, "org/many", "b0")
    python_snapshot(hub, probe.cache, "org/many", "b1")
    assert "error" not in download("b1"), "a use of it makes it no more ours"
    download("b2")
    Path(download("b2")["path"]).resolve().unlink()
    python_snapshot(hub, probe.cache, "org/many", "b2")
    for branch in ("b3", "b4", "b5"):
        assert "error" not in download(branch)
    for branch in ("b0", "b1", "b2"):
        found = hf_hub_download("org/many", f"sub/{BIG}", revision=branch, cache_dir=probe.cache, local_files_only=True)
        assert Path(found).is_file()
    assert len(list(entries.glob("models*"))) == 3
    assert_sound(probe.cache)
    shutil.rmtree(probe.cache / "models--org--many")
    assert "error" not in probe("org/other", "download", "main", f"sub/{BIG}", options=options)
    assert not (probe.cache / "models--org--many").exists(), "what somebody removed whole is not made anew"


def test_another_root_is_left_alone(
    many: tuple[Emulator, Probe, Callable[..., dict[str, Any]]], tmp_path: Path
) -> None:
    """Of two caches with the same files, even the same inodes, only the one that a blob was fetched into loses it."""
    _, probe, download = many
    first, second = probe.cache, tmp_path / "second"
    for branch in ("b0", "b1", "b2"):
        assert "error" not in download(branch)
    shutil.copytree(first, second, symlinks=True, copy_function=os.link)

    def blobs(root: Path) -> int:
        return len([path for path in root.glob("models--org--many/blobs/*") if len(path.name) == 64])

    probe.env["HF_HUB_CACHE"] = str(second)
    for branch, count in (("b3", 4), ("b4", 5), ("b5", 6)):
        assert "error" not in download(branch)
        assert (blobs(first), blobs(second)) == (3, count)
    probe.env["HF_HUB_CACHE"] = f"{first}/../{first.name}/"
    assert "error" not in download("b3")
    assert (blobs(first), blobs(second)) == (3, 6), "b0 made room in the first one"
    assert_sound(first)
    assert_sound(second)


def test_refs_that_have_no_place(tmp_path: Path, make_hub: Callable[..., Emulator]) -> None:
    """A tag `a` beside a branch `a/b`: the file is there, by commit also offline; the name says why it is not."""
    folder = tmp_path / "root/models/org/refs"
    (folder / "main").mkdir(parents=True)
    (folder / "main/config.json").write_text("{}")
    (folder / "branches.json").write_text(json.dumps({"branches": {"a/b": "main"}, "tags": {"a": "main"}}))
    hub = make_hub(tmp_path / "root")
    for first, second in (("a", "a/b"), ("a/b", "a")):
        probe = Probe(tmp_path / first.replace("/", "-"), hub.url)
        assert "error" not in probe("org/refs", "download", first, "config.json")
        answer = probe("org/refs", "download", second, "config.json")
        assert Path(answer["path"]).read_text() == "{}", answer
        offline = {"HF_HUB_OFFLINE": "1"}
        told = probe("org/refs", "resolve", second, env=offline)
        assert told["error"] == "io" and f"revision {second}:" in told["message"] and "refs/a" in told["message"]
        assert "error" not in probe("org/refs", "fetch", Path(answer["path"]).parent.name, "config.json", env=offline)
        assert_sound(probe.cache)
    shutil.rmtree(probe.cache / "models--org--refs/refs/a")
    (probe.cache / "models--org--refs/refs/a").mkdir()  # as eviction leaves it
    assert "error" not in probe("org/refs", "download", "a", "config.json")
    assert (probe.cache / "models--org--refs/refs/a").is_file()


def test_offline_shows_a_part(daemon: Callable[..., Daemon], hub: Emulator) -> None:
    """What the cache lacks is neither gone nor missing: asked again later, the hub tells the rest."""
    one = daemon(hub)
    assert one.wait(one.sweep("org/small"))["state"] == "done"
    names = {row["revision"] for row in one.series("org/small")}
    assert len(names) > 4
    one.stop()
    with sqlite3.connect(one.db) as database:  # a revision that was never looked into
        database.execute("DELETE FROM files WHERE revision_id IN (SELECT id FROM revisions WHERE name = 'step512')")
    database.close()
    hf_hub_download("org/small", "config.json", revision="step512", endpoint=hub.url, cache_dir=one.cache, token=False)
    shutil.rmtree(one.cache / "models--org--small/trees", ignore_errors=True)
    one.env["HF_HUB_OFFLINE"] = "1"
    one.start()
    request = {"revisions": {"names": ["step512"]}, "tensors": ["gpt_neox.embed_in.weight"]}
    assert one.wait(one.sweep("org/small", **request))["state"] == "failed"
    assert {row["revision"] for row in one.series("org/small")} == names
    failed = one.wait(one.sweep("org/small", revisions={"names": ["step1000"]}))
    assert failed["state"] == "failed" and "step1000 of org/small is not in the cache" in failed["error"]["message"]
    blocked = one.wait(one.sweep("org/small", revisions={"names": ["step512/more"]}))  # its plan was made anew without end
    assert blocked["state"] == "failed" and "no place for its commit beside" in blocked["error"]["message"], blocked
    assert {row["state"] for row in one.series("org/small")} == {"measured"}, "step1000 is what it was"
    watch = f"/v1/watches/{model_path('org/small')}"
    assert one.request("PUT", watch, {"every_minutes": 1440}).status == 201
    wait_until(lambda: one.get(watch).json()["last_run_at"])
    report = one.get(watch).json()["last_run"]
    assert report["outcome"] == "unchanged" and report["gone"]["count"] == 0, "step512 keeps the neighbour that is not seen"
    one.stop()
    with sqlite3.connect(one.db) as database:
        stored = database.execute("SELECT count(*) FROM files f JOIN revisions r ON r.id = f.revision_id WHERE r.name = 'step512'")
        assert stored.fetchone() == (0,), "a part of the list is not kept as the list"
    database.close()
    one.start()


def test_offline_the_first_revision_stays_the_reference(daemon: Callable[..., Daemon], hub: Emulator) -> None:
    """A sweep of the part that the cache holds measures from where the series does, or not at all."""
    tensor = "gpt_neox.embed_in.weight"

    def links(*names: str) -> dict[str, tuple[str | None, str | None]]:
        rows = {row["revision"]: row for row in one.series("org/small", f"&tensor={tensor}")}
        return {name: (rows[name]["reference"], rows[name]["lag1_reference"]) for name in names}

    one = daemon(hub)
    assert one.wait(one.sweep("org/small"))["state"] == "done"
    one.stop()
    for revision in ("step512", "step1000"):
        python_snapshot(hub, one.cache, "org/small", revision)
    one.env["HF_HUB_OFFLINE"] = "1"
    one.start()
    swept = one.wait(one.sweep("org/small", tensors=[tensor]))
    assert swept["state"] == "done" and swept["progress"]["revisions_total"] == 2, "those of the cache, no others"
    assert links("step512", "step1000") == {"step512": (None, None), "step1000": (None, "step512")}
    told = [one.get(f"/v1/sweeps/{swept['id']}/tasks/{row['id']}/events").text for row in one.get(f"/v1/sweeps/{swept['id']}/tasks").json()["tasks"]]
    assert all("step0" in text and "not in the cache" in text for text in told), told
    one.stop()
    del one.env["HF_HUB_OFFLINE"]
    one.start()
    assert one.wait(one.sweep("org/small", tensors=[tensor]))["state"] == "done"
    assert links("step512", "step1000") == {"step512": ("step0", "step1"), "step1000": ("step0", "step512")}


def test_budget_too_small(many: tuple[Emulator, Probe, Callable[..., dict[str, Any]]], tmp_path: Path) -> None:
    _, probe, _ = many
    options = (*FAST, f"state={tmp_path / 'state'}", "cache_budget_bytes=1000000")
    small = Path(probe("org/many", "download", "b0", "config.json", options=options)["path"])
    answer = probe("org/many", "download", "b0", f"sub/{BIG}", options=options)
    assert answer["error"] == "limit" and "budget" in answer["message"]
    assert small.is_file(), "nothing goes for what cannot fit"
    assert list(probe.cache.glob("models--org--many/blobs/*")) == [small.resolve()]


def test_downloads_wait_for_a_budget_that_others_have(many: tuple[Emulator, Probe, Callable[..., dict[str, Any]]], tmp_path: Path) -> None:
    """Also those that left something behind, each of which would have to go for the other. What is small is read without being kept."""
    hub, probe, _ = many
    options = (*FAST, f"state={tmp_path / 'state'}", "keep=2", "cache_budget_bytes=1048576")
    blobs = probe.cache / "models--org--many/blobs"
    hub.fault("hold", route="cdn")
    for count, branch in enumerate(("b0", "b1"), 1):
        process = probe.start("org/many", "download", branch, f"sub/{BIG}", options=options[:-1])
        wait_until(lambda count=count: len(list(blobs.glob("*.incomplete"))) == count)
        process.kill()
        process.communicate()
    both = [probe.start("org/many", "download", branch, f"sub/{BIG}", options=options) for branch in ("b0", "b1")]
    wait_until(lambda: len(list(blobs.glob("*.incomplete"))) == 1)
    assert probe("org/many", "fetch", "b2", "config.json", options=options)["sha256"] == sha256(b"2")
    hub.clear_faults()
    for process in both:
        assert "error" not in probe.finish(process)
    assert len(list(blobs.iterdir())) == 1, "the other one went for it"
    assert_sound(probe.cache)


def test_who_waits_for_the_budget_is_not_passed(many: tuple[Emulator, Probe, Callable[..., dict[str, Any]]], tmp_path: Path) -> None:
    """A small download of another process would have room at once, but came after one that has none."""
    hub, probe, _ = many
    options = (*FAST, f"state={tmp_path / 'state'}", "cache_budget_bytes=1572864")
    blobs = probe.cache / "models--org--many/blobs"

    def start(branch: str, name: str) -> subprocess.Popen[str]:
        return probe.start("org/many", "download", branch, f"sub/{name}", options=options)

    def is_turn_taken() -> bool:
        with (tmp_path / "state/fetched/.turn").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    held = hub.fault("hold", route="cdn")
    processes = [start("b0", BIG)]
    wait_until(lambda: len(list(blobs.glob("*.incomplete"))) == 1)
    processes.append(start("b1", BIG))
    wait_until(is_turn_taken)
    seen = len(hub.log())
    processes.append(start("b0", PART))
    wait_until(lambda: any("b0" in row["target"] for row in hub.log()[seen:]))
    hub.clear_faults(held)
    paths = [Path(probe.finish(process)["path"]) for process in processes]
    fetched = [row["file"] for row in hub.log() if row["route"] == "cdn"]
    assert list(dict.fromkeys(fetched)) == [f"models/org/many@{name}" for name in (f"b0/sub/{BIG}", f"b1/sub/{BIG}", f"b0/sub/{PART}")]
    assert [path.is_file() for path in paths] == [False, True, True]


def test_what_goes_after_it_was_found_is_fetched_anew(many: tuple[Emulator, Probe, Callable[..., dict[str, Any]]]) -> None:
    """It is no file that the revision lacks. The hub is asked in between, what the branch is."""
    hub, probe, _ = many
    options = (*FAST, "keep=2")
    folder = probe.cache / "models--org--many"
    assert "error" not in probe("org/many", "fetch", "b0", "config.json", options=options)
    for words in (("fetch", "b0", "config.json"), ("read", "b0", "config.json", "0", "1")):
        (folder / "refs/b0").write_text("0" * 40)
        hub.reset()
        held = hub.fault("hold", path="/revision/", nth=2)
        process = probe.start("org/many", *words, options=options)
        wait_until(lambda: sum("/revision/" in row["target"] for row in hub.log()) == 2)
        shutil.rmtree(folder / "blobs")
        hub.clear_faults(held)
        answer = probe.finish(process)
        assert sha256(b"0") in (answer.get("sha256"), *answer.get("ranges", ())), answer


def test_eviction_by_many_at_once(many: tuple[Emulator, Probe, Callable[..., dict[str, Any]]]) -> None:
    """Whatever the order, nothing is damaged and the budget holds at the end."""
    _, probe, download = many
    branches = [f"b{number}" for number in (0, 1, 2, 3, 4, 5)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(download, branches * 3))
    for answer in answers:
        assert answer.get("error") in (None, "io"), answer
    assert "error" not in download("b0")
    assert sum(path.stat().st_size for path in probe.cache.glob("models--org--many/blobs/*")) <= 3670016
    assert_sound(probe.cache)
