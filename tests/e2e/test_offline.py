"""A machine without the internet, whose cache Python has written elsewhere: what is there is measured, and nothing else is said of the rest."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
from huggingface_hub import snapshot_download
from running import Daemon, model_path, wait_until
from tests.hub import Emulator

MODEL = "garden/neox-tiny"
FOLDER = "models--garden--neox-tiny"
WATCH = f"/v1/watches/{model_path(MODEL)}"
OFFLINE = {"HF_HUB_OFFLINE": "1"}
LAMBADA = Path(__file__).parents[1] / "fixtures/garden/hub/datasets/garden/lambada_garden/main/data/test.jsonl"


@pytest.fixture
def hub(make_hub: Callable[..., Emulator], garden: Path) -> Emulator:
    return make_hub(garden, thread=True)


def download(hub: Emulator, cache: Path, revision: str, **which: Any) -> Path:
    return Path(snapshot_download(MODEL, revision=revision, endpoint=hub.url, cache_dir=cache, token=False, **which))


def measured(one: Daemon) -> dict[str, float]:
    return {row["revision"]: row["msd"] for row in one.series(MODEL) if row["msd"] is not None}


@pytest.mark.parametrize("has_lists", [True, False], ids=["lists", "no lists"])
def test_only_what_has_weights(
    daemon: Callable[..., Daemon], programs: dict[str, Path], hub: Emulator, tmp_path: Path, has_lists: bool
) -> None:
    """Refs of tokenizers, of snapshots that are gone or that nobody can ask for make no task; who asks for one by name is told what to do."""
    cache = tmp_path / "cache"
    for revision in ("step0", "step2"):
        download(hub, cache, revision)
    download(hub, cache, "step16", allow_patterns=["*.json"])
    shards = download(hub, cache, "step128", ignore_patterns=["*.safetensors", "*.bin"])
    refs = cache / FOLDER / "refs"
    (refs / "step256").write_text("f" * 40)
    (refs / "step32").write_text("../../../step0\n")
    (refs / "step64").symlink_to("/etc/passwd")
    (refs / "step\n8").write_text(shards.name)
    (refs / b"st\xe9p8".decode(errors="surrogateescape")).write_text(shards.name)
    if not has_lists:
        shutil.rmtree(cache / FOLDER / "trees", ignore_errors=True)
    one = daemon(hub, "--hub-cache", str(cache), env=OFFLINE)
    hub.reset()
    done = one.wait(one.sweep(MODEL))
    assert done["state"] == "done" and done["progress"]["revisions_total"] == 2, done
    assert one.told("the hub is not asked: a sweep of what the cache holds", "revisions=2", "known_elsewhere=3")
    assert set(measured(one)) == {"step0", "step2"}
    found = one.read(f"/v1/models/{model_path(MODEL)}/audit")["findings"]
    assert not [one for one in found if one["kind"] in ("missing", "no_weights")], found
    for name in ("step16", "step256"):
        done = one.wait(one.sweep(MODEL, revisions={"names": [name]}))
        message = done["errors"][0]["message"]
        assert "HF_HUB_OFFLINE" in message and message.endswith(f"hf download {MODEL} --revision {name}"), message
    failed = one.wait(one.sweep(MODEL, revisions={"from": 16}))
    assert "the 3 revisions" in failed["error"]["message"] and "HF_HUB_OFFLINE" in failed["error"]["message"], failed
    assert not hub.log()
    report = subprocess.run([programs["bifurcated"], "check", "--json", "--state", tmp_path / "state", "--hub-cache", cache, "--offline", "yes"], capture_output=True)
    told = [row["text"] for row in json.loads(report.stdout)["findings"] if row["subject"] == "hub cache"]
    assert told == [str(cache), f"offline: 2 training steps of 1 models: {MODEL} (2)"]


def test_a_ref_does_not_go_back(daemon: Callable[..., Daemon], hub: Emulator, tmp_path: Path) -> None:
    """A branch moves between its listing and its download, and Python downloads the newer commit meanwhile."""
    cache = tmp_path / "cache"
    ref = cache / FOLDER / "refs" / "step2"
    one = daemon(hub, "--hub-cache", str(cache), "--keep", "files")
    held = hub.fault("hold", route="resolve", revision="step2")
    sweep = one.sweep(MODEL, revisions={"names": ["step2"]})
    wait_until(lambda: any(rule["id"] == held and rule["hits"] for rule in hub.faults()))
    older, newer = hub.sha(MODEL, "step2"), hub.move_branch(MODEL, "step2", "step1")
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(newer)
    hub.clear_faults()
    assert one.wait(sweep)["state"] == "done"
    assert ref.read_text() == newer and (cache / FOLDER / "snapshots" / older).is_dir()
    assert one.wait(one.sweep(MODEL, revisions={"names": ["step2"]}))["state"] == "done"
    hub.move_branch(MODEL, "step2", "step4")
    assert one.wait(one.sweep(MODEL, revisions={"names": ["step2"]}))["state"] == "done"
    assert ref.read_text() == hub.sha(MODEL, "step2"), "a ref follows its branch"


@pytest.mark.parametrize("has_lists", [True, False], ids=["lists", "no lists"])
def test_what_is_missing_is_told_and_never_guessed(daemon: Callable[..., Daemon], hub: Emulator, tmp_path: Path, has_lists: bool) -> None:
    """Which rows are tokens, and how texts are cut, depends on files that may not have been downloaded."""

    def sweep(*names: str, missing: str | None, **request: Any) -> None:
        download(hub, cache, "step16", allow_patterns=list(names))
        if not has_lists:
            shutil.rmtree(cache / FOLDER / "trees", ignore_errors=True)
        done = one.wait(one.sweep(MODEL, **request))
        assert done["state"] == ("failed" if missing else "done"), done
        if missing:
            message = done["errors"][0]["message"]
            assert f"{missing} of {MODEL} is not in the cache" in message and message.endswith(f"hf download {MODEL} --revision step16"), message

    cache = tmp_path / "cache"
    one = daemon(hub, "--hub-cache", str(cache), env=OFFLINE)
    scored = {"metrics": ["perplexity"], "dataset": f"file:{LAMBADA}", "limit": 10}
    sweep("*.bin", "*.safetensors", missing="config.json")
    sweep("config.json", missing="tokenizer.json")
    sweep("tokenizer.json", missing=None)
    sweep(missing="tokenizer_config.json", **scored)
    sweep("tokenizer_config.json", "special_tokens_map.json", missing=None, **scored)
    (row,) = one.series(MODEL)
    assert row["rows"] > row["token_rows"] and row["perplexity"] > 1


def test_a_name_is_no_digest(daemon: Callable[..., Daemon], hub: Emulator, tmp_path: Path) -> None:
    """A link out of the cache, to a file that is called like a blob, is measured by what it holds."""
    cache = tmp_path / "cache"
    first, other = download(hub, cache, "step0"), download(hub, cache, "step512")
    shutil.rmtree(cache / FOLDER / "trees", ignore_errors=True)
    blob = (first / "model.safetensors").resolve()
    weights = [path for path in other.iterdir() if path.suffix in (".safetensors", ".bin")]
    assert len(weights) == 1
    (tmp_path / "elsewhere").mkdir()
    planted = tmp_path / "elsewhere" / blob.name
    shutil.copy(weights[0].resolve(), planted)
    weights[0].unlink()
    weights[0].symlink_to(planted)
    one = daemon(hub, "--hub-cache", str(cache), env=OFFLINE)
    assert one.wait(one.sweep(MODEL))["state"] == "done"
    assert measured(one)["step0"] == 0 and measured(one)["step512"] > 0.01


def test_a_watch_is_due_again(daemon: Callable[..., Daemon], hub: Emulator) -> None:
    """It looks at the cache by its timetable; a daemon that may ask the hub looks at once, whenever that would be."""
    one = daemon(hub)
    one.stop()
    one.env.update(OFFLINE)
    one.start()
    assert one.request("PUT", WATCH, {"every_minutes": 1440}).status == 201
    wait_until(lambda: one.get(WATCH).json()["last_run_at"])
    before = one.get(WATCH).json()
    assert before["last_run"]["outcome"] == "failed" and "HF_HUB_OFFLINE" in before["last_run"]["error"]["message"]
    download(hub, one.cache, "step2")
    assert one.post(f"{WATCH}/runs").status in (200, 202)
    wait_until(lambda: one.get(WATCH).json()["last_run"]["outcome"] == "sweeping")
    wait_until(lambda: measured(one) == {"step2": 0})
    one.stop()
    assert one.log().count("a watched model could not be checked") == 1
    del one.env["HF_HUB_OFFLINE"]
    one.start()
    wait_until(lambda: len(one.get(WATCH).json()["last_run"]["new"]["names"]) > 10)
    one.wait(one.get(WATCH).json()["last_sweep"], lambda now: now["progress"]["done"] > 0)
