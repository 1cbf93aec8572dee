"""Files of revisions are listed ahead of their tasks: side by side, politely, each once, and nobody waits for all of them.

Small JSON files whose contents are equal are fetched once, not once for each revision.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any, Callable

import pytest
import torch_writer
from running import Daemon, wait_until
from tests.hub import Emulator, samples

MODEL = "garden/neox-tiny"
TEXTS = "garden/lambada_garden"
Start = Callable[..., Daemon]


@pytest.fixture
def garden_hub(garden: Path, make_hub: Callable[..., Emulator]) -> Emulator:
    return make_hub(garden)


@pytest.fixture
def many(tmp_path: Path, make_hub: Callable[..., Emulator]) -> Emulator:
    """org/many: 400 revisions that hold next to nothing; org/few: three of them."""
    for name, count in (("many", 400), ("few", 3)):
        folder = tmp_path / "root/models/org" / name
        (folder / "_one").mkdir(parents=True)
        (folder / "_one/config.json").write_text("{}")
        branches = {f"step{number}": "_one" for number in range(count)}
        (folder / "branches.json").write_text(json.dumps({"branches": branches}))
    return make_hub(tmp_path / "root")


RUNS = 200
SHAPE = [samples.ROWS, samples.COLUMNS]


def write_runs(root: Path, file: str, count: int = RUNS) -> Path:
    """org/run: revisions of one weight file each, two of which serve the last one's; beside it what belongs to a model."""
    folder = root / "models/org/run"
    config = {"model_type": "gpt_neox", "vocab_size": samples.ROWS, "hidden_size": samples.COLUMNS, "num_hidden_layers": 1}
    for number in range(count):
        one = folder / f"step{number}"
        one.mkdir(parents=True)
        values = samples.halves(samples.COLUMNS, number) * samples.ROWS  # few that differ: two modes are sought among them all
        (one / "config.json").write_text(json.dumps(config))
        if file.endswith(".bin"):
            tensors = {"embed_out.weight": torch_writer.Tensor("float16", tuple(SHAPE), torch_writer.row_major(tuple(SHAPE)), 0, values)}
            torch_writer.write_state_dict(one / file, tensors)
        else:
            (one / file).write_bytes(samples.safetensors({"embed_out.weight": ("F16", SHAPE, values)}))
    for number in (7, count // 2):
        shutil.copy(folder / f"step{count - 1}" / file, folder / f"step{number}" / file)
    return root


def duplicates(one: Daemon, model: str) -> list[str]:
    findings = one.get(f"/v1/models/{model}/audit").json()["findings"]
    return sorted(finding["revision"] for finding in findings if finding["kind"] == "duplicate")


def trees(hub: Emulator, model: str = MODEL) -> list[dict[str, Any]]:
    return [entry for entry in hub.log() if f"/{model}/tree/" in entry["target"]]


def listed(one: Daemon) -> dict[str, list[tuple[str, int, str]]]:
    """The files that the store knows, by revision."""
    files: dict[str, list[tuple[str, int, str]]] = {}
    with sqlite3.connect(f"file:{one.db}?mode=ro", uri=True) as connection:
        for name, *file in connection.execute(
            "SELECT r.name, f.path, f.size_bytes, f.digest FROM revisions r JOIN files f ON f.revision_id = r.id ORDER BY 1, 2"
        ):
            files.setdefault(name, []).append(tuple(file))
    return files


def test_each_once_in_any_order(daemon: Start, garden_hub: Emulator) -> None:
    """With one connection or sixteen, the same is stored and measured, each list asked for once, and some at once."""
    results = []
    for connections in ("1", "16"):
        one = daemon(garden_hub, "--connections", connections)
        garden_hub.reset()
        assert one.wait(one.sweep(MODEL))["state"] == "done"
        counts = Counter(entry["target"] for entry in trees(garden_hub))
        assert len(counts) == 25 and set(counts.values()) == {1}, counts
        essence = [{name: row[name] for name in ("revision", "msd", "lag1_msd", "cosine", "state")} for row in one.series(MODEL)]
        results.append((listed(one), essence, one.get(f"/v1/models/{MODEL}/audit").json()))
    assert results[0] == results[1] and len(results[0][0]) == 25


def test_nobody_waits_for_all_lists(daemon: Start, garden_hub: Emulator) -> None:
    """While lists of files hang, what is listed is measured and other sweeps are planned; a cancelled sweep asks no more."""
    one = daemon(garden_hub, "--fetchers", "1", "--connections", "8")
    held = [garden_hub.fault("hold", path=f"/tree/{garden_hub.sha(MODEL, f'step{step}')}") for step in (16, 32, 64, 128)]
    sweep = one.sweep(MODEL)
    one.wait(sweep, lambda now: now["progress"]["done"] >= 5)  # step0 to step8
    other = one.sweep(MODEL, revisions={"names": ["step0"]}, priority=1)
    one.wait(other, lambda now: now["state"] == "running")
    assert one.get(f"/v1/sweeps/{sweep}").json()["state"] == "running"
    assert one.request("DELETE", f"/v1/sweeps/{sweep}").json()["state"] == "cancelled"
    assert one.wait(other)["state"] == "done"  # the only fetcher has left what it waited for
    assert len(trees(garden_hub)) < 25
    for number in held:
        garden_hub.clear_faults(number)
    assert one.wait(one.sweep(MODEL))["state"] == "done"
    assert len(listed(one)) == 25


def test_several_sweeps_in_turn(daemon: Start, many: Emulator) -> None:
    """Three revisions are listed among the first of a model of 400, and none of the two is forgotten."""
    held = many.fault("hold", path="/org/many/tree/", after=20)
    one = daemon(many, "--fetchers", "0", "--request-budget", "0")
    one.sweep("org/many", metrics=["statistics"])
    wait_until(lambda: len(trees(many, "org/many")) > 20)
    few = one.sweep("org/few")
    one.wait(few, lambda now: now["state"] == "running")
    many.clear_faults(held)
    wait_until(lambda: len(listed(one)) == 400)  # both models have step0 to step2
    order = [entry["target"].split("/")[4] for entry in many.log() if "/tree/" in entry["target"]]
    wait_until(lambda: len([e for e in many.log() if "/tree/" in e["target"]]) >= 403)
    last = max(place for place, name in enumerate(order) if name == "few")
    assert last < 390, "the small sweep waited for the large one"


def test_a_restart_goes_on(daemon: Start, many: Emulator) -> None:
    """What was not listed when the daemon was killed is listed by the next one, and nothing twice but what was on its way."""
    hold = many.fault("hold", path="/org/many/tree/", after=50)
    one = daemon(many, "--fetchers", "0", "--request-budget", "0")
    one.sweep("org/many")
    wait_until(lambda: len(trees(many, "org/many")) >= 54)
    one.kill()
    many.clear_faults(hold)
    one.start()
    wait_until(lambda: len(listed(one)) == 400)
    assert len(trees(many, "org/many")) <= 400 + 8


def test_a_hub_that_asks_for_a_pause(daemon: Start, garden_hub: Emulator) -> None:
    """429 while listing: nothing more is asked of the API until it allows it, and then all of it."""
    rule = garden_hub.fault("status", path="/tree/", status=429, retry_after=3, nth=[6])
    one = daemon(garden_hub, "--fetchers", "0")
    one.sweep(MODEL)
    wait_until(lambda: len(listed(one)) == 25)
    asked = sorted(entry["t"] for entry in garden_hub.log() if "/api/" in entry["target"])
    (refused,) = [entry["t"] for entry in trees(garden_hub) if entry["status"] == 429]
    pauses = [next_t - t for t, next_t in itertools.pairwise(asked) if t >= refused]
    assert max(pauses) > 1.5, "after those that were on their way, and before it is read"
    assert [one["hits"] for one in garden_hub.faults() if one["id"] == rule] == [1]


def test_limits_are_left_to_others(daemon: Start, many: Emulator) -> None:
    """Lists take neither the whole of our budget nor of the hub's: another plan does not wait for a window's end."""
    one = daemon(many, "--fetchers", "0", "--request-budget", "100")
    one.sweep("org/many")
    wait_until(lambda: len(trees(many, "org/many")) >= 40)
    few = one.sweep("org/few")
    assert one.wait(few, lambda now: now["state"] == "running")["hub_wait"] is None
    assert len(trees(many, "org/many")) <= 50 + 4
    many.reset()
    many.set(api_quota=120)
    other = daemon(many, "--fetchers", "0", "--request-budget", "0")
    other.sweep("org/many")
    wait_until(lambda: len(trees(many, "org/many")) >= 60)
    few = other.sweep("org/few")
    assert other.wait(few, lambda now: now["state"] == "running")["hub_wait"] is None
    assert "429" not in many.stats()["statuses"]


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_weight_files_tell_where_lists_would_wait(daemon: Start, make_hub: Any, tmp_path: Path, file: str) -> None:
    """The hub takes 100 lists in five minutes, and 600 requests for files: 200 revisions are known at once, and nothing is downloaded."""
    hub = make_hub(write_runs(tmp_path / "root", file), api_quota=100, resolve_quota=700)
    one = daemon(hub, "--fetchers", "0", "--request-budget", "0")
    one.sweep("org/run")
    wait_until(lambda: len(listed(one)) == RUNS)
    lists, stats = len(trees(hub, "org/run")), hub.stats()
    assert lists <= 50 + 4 and "429" not in stats["statuses"]
    assert stats["bytes"].get("cdn", 0) < 5_000, "the plan reads one header, and the lister nothing"
    assert duplicates(one, "org/run") == ["step100", "step7"]
    assert {len(files) for files in listed(one).values()} == {1, 2}


def test_a_sweep_that_waits_for_no_list(daemon: Start, make_hub: Any, tmp_path: Path) -> None:
    """What is measured under the hub's limits is what is measured without, and no request is refused."""
    count = 80
    hub = make_hub(write_runs(tmp_path / "root", "model.safetensors", count), api_quota=80, resolve_quota=1000)
    essences = []
    for _ in range(2):
        one = daemon(hub, "--request-budget", "0")
        hub.reset()
        assert one.wait(one.sweep("org/run"))["state"] == "done"
        essence = [{name: row[name] for name in ("revision", "digest", "msd", "lag1_msd", "same_as", "state")} for row in one.series("org/run")]
        essences.append((essence, duplicates(one, "org/run")))
        assert "429" not in hub.stats()["statuses"]
        assert len(trees(hub, "org/run")) <= (34 if len(essences) == 1 else count)
        one.stop()
        hub.set(api_quota=0)
    assert essences[0] == essences[1] and len(essences[0][0]) == count and essences[0][1] == ["step40", "step7"]


def test_what_is_more_than_weights_is_listed(daemon: Start, garden_hub: Emulator) -> None:
    """After a sweep under the hub's limits has asked for weight files alone, one that scores texts has the whole lists."""
    garden_hub.set(api_quota=55)
    one = daemon(garden_hub, "--request-budget", "0")
    assert one.wait(one.sweep(MODEL))["state"] == "done"
    assert len(trees(garden_hub)) < 15 and {len(files) for files in listed(one).values()} >= {1}
    garden_hub.set(api_quota=0)
    garden_hub.reset()
    wanted = {"metrics": ["perplexity"], "dataset": TEXTS, "limit": 2}
    assert one.wait(one.sweep(MODEL, **wanted))["state"] == "done"
    assert all("config.json" in {file[0] for file in files} for files in listed(one).values())


@pytest.mark.parametrize("kind", ["sharded", "silent"])
def test_where_weight_files_do_not_tell(daemon: Start, make_hub: Any, tmp_path: Path, kind: str) -> None:
    """Of shards, and behind a mirror that names no digest, lists are waited for, after a question or two."""
    root = write_runs(tmp_path / "root", "model-00001-of-00001.safetensors" if kind == "sharded" else "model.safetensors")
    for folder in (root / "models/org/run").iterdir() if kind == "sharded" else ():
        index = {"metadata": {}, "weight_map": {"embed_out.weight": "model-00001-of-00001.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    hub = make_hub(root, api_quota=100)
    if kind == "silent":
        hub.fault("headers", path="/resolve/", drop=["X-Linked-Etag"])
    one = daemon(hub, "--fetchers", "0", "--request-budget", "0")
    one.sweep("org/run")
    wait_until(lambda: len(trees(hub, "org/run")) >= 40)
    looks = lambda: [entry for entry in hub.log() if "/resolve/" in entry["target"]]  # noqa: E731
    wait_until(lambda: len(looks()) >= 2)
    few = one.sweep("org/run", revisions={"names": ["step3"]})
    assert one.wait(few, lambda now: now["state"] == "running")["hub_wait"] is None
    assert len(looks()) <= 16 and len(trees(hub, "org/run")) <= 54 and "429" not in hub.stats()["statuses"]
    hub.set(api_quota=0)


def test_one_revision_that_cannot_be_listed(daemon: Start, garden_hub: Emulator) -> None:
    """It is its task that fails, and with it no other."""
    garden_hub.fault("malformed_json", path=f"/tree/{garden_hub.sha(MODEL, 'step64')}")
    one = daemon(garden_hub)
    sweep = one.wait(one.sweep(MODEL))
    assert sweep["state"] == "failed" and sweep["progress"]["failed"] == 1 and sweep["progress"]["done"] == 24
    assert [error["revision"] for error in sweep["errors"]] == ["step64"]
    assert sorted(listed(one)) == sorted({row["revision"] for row in one.series(MODEL)} - {"step64"})


def test_small_files_are_fetched_once(daemon: Start, garden_hub: Emulator) -> None:
    """Of 25 revisions with the same tokenizer and two kinds of configuration, each content comes once; after a restart, too."""
    one = daemon(garden_hub, "--fetchers", "4")
    wanted = {"metrics": ["statistics", "perplexity"], "dataset": TEXTS, "limit": 2}
    for _ in range(2):
        garden_hub.reset()
        assert one.wait(one.sweep(MODEL, **wanted))["state"] == "done"
        small = [entry for entry in garden_hub.log() if re.search(r"/resolve/[^?]*\.json$", entry["target"])]
        names = Counter(entry["target"].rpartition("/")[2] for entry in small)
        # Two kinds of index: of safetensors and of torch's files.
        assert names["tokenizer.json"] <= 1 and names["tokenizer_config.json"] <= 1 and names["special_tokens_map.json"] <= 1, names
        assert names["config.json"] <= 2, names
        one.restart()


def test_a_damaged_small_file_is_not_kept(daemon: Start, garden_hub: Emulator) -> None:
    """What is not what its list says it is, is fetched again, and the next revision has the good one."""
    garden_hub.fault("flip", file=r"tokenizer_config\.json$", fraction=0.5, times=1)
    one = daemon(garden_hub, "--fetchers", "1")
    wanted = {"metrics": ["perplexity"], "dataset": TEXTS, "limit": 2, "revisions": {"to": 8}}
    assert one.wait(one.sweep(MODEL, **wanted))["state"] == "done"
    small = [entry for entry in garden_hub.log() if entry["target"].endswith("/tokenizer_config.json")]
    assert len({entry["t"] for entry in small}) <= 4  # two fetches of two hops


def test_a_wrong_tensor_is_said_once(daemon: Start, garden_hub: Emulator) -> None:
    """Each task says that its revision has none of that name, the log for the sweep."""
    one = daemon(garden_hub, "--fetchers", "3")
    for _ in range(2):
        sweep = one.wait(one.sweep(MODEL, tensors=["no.such.weight"], revisions={"to": 64}))
        assert sweep["state"] == "failed" and sweep["progress"]["failed"] == 8
        (line,) = one.told("task failed", f"sweep={sweep['id']} ")
        assert "no.such.weight" in line
    assert one.stop() == 0 and one.log().count("task failed") == 2
