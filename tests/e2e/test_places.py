"""Checkpoints that are no branches: folders of main, commits of main, one repository each. They are the same series, wherever they lie."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import watches
from running import Daemon, model_path
from workers import Worker

from tests.hub import Emulator
from tests.hub.places import COMMITS, FOLDERS, RUN, STEPS, title, write_root

BRANCHES = "garden/neox-tiny"
SERIES = "garden/run"  # a name for the series; there is no such repository
FEW = (0, 16, 128)
BOTH = {"metrics": ["statistics", "perplexity"], "dataset": "garden/lambada_garden:data/test.jsonl", "limit": 20}
OF_THE_NAME = ("revision", "reference", "lag1_reference", "same_as", "commit", "first_seen_at", "measured_at", "bytes_fetched")

# model, its rule, and how the revision of a step is called
LAYOUTS: dict[str, tuple[str, str | None, str]] = {
    "folders": (FOLDERS, None, "main:checkpoint-{}"),
    "commits": (COMMITS, None, f"main^{title(0)[:-1]}{{}}"),
    "repositories": (SERIES, f"hf://{RUN}{{step}}", f"hf://{RUN}{{}}"),
}

Start = Callable[..., Daemon]
MakeHub = Callable[..., Emulator]


def rule_of(layout: str) -> dict[str, Any]:
    rule = LAYOUTS[layout][1]
    return {"revisions": {"rule": rule}} if rule else {}


def numbers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a row says of its weights. Displacements from the step before are of another step than among all branches."""
    return [{name: value for name, value in row.items() if name not in OF_THE_NAME and "lag1" not in name and not name.endswith("seconds")} for row in rows]


def steps_of(one: Daemon, model: str) -> dict[str, Any]:
    """Revisions that are steps, by name: their displacement."""
    return {row["revision"]: row["msd"] for row in one.series(model) if row["step"] is not None}


@pytest.fixture(scope="module")
def branches(places: Path, programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The same steps as branches: their rows, and the bytes that tensors cost."""
    wanted = {"revisions": {"names": [f"step{step}" for step in STEPS]}, "reference": "step0"}
    with Emulator(places) as hub, Daemon(programs, tmp_path_factory.mktemp("branches"), hub.url, [], {}) as one:
        assert one.wait(one.sweep(BRANCHES, **wanted))["state"] == "done"
        cost = watches.tensor_bytes(hub)
        assert one.wait(one.sweep(BRANCHES, **BOTH, **wanted))["state"] == "done"
        yield {"rows": [row for row in one.series(BRANCHES) if row["revision"] in wanted["revisions"]["names"]], "bytes": cost}


@pytest.mark.parametrize("is_remote", [False, True], ids=["here", "remote"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_numbers_as_branches(
    daemon: Start, make_hub: MakeHub, places: Path, worker: Callable[..., Worker], branches: dict[str, Any], layout: str, is_remote: bool
) -> None:
    """Equal to the last digit; tensors cost at most 2 % more bytes, which are headers that another order of tasks reads twice."""
    model, _, name = LAYOUTS[layout]
    hub = make_hub(places, thread=True)
    one = daemon(hub, *(("--fetchers", "0") if is_remote else ()))
    if is_remote:
        worker(one)
    assert one.wait(one.sweep(model, **rule_of(layout)))["state"] == "done"
    assert watches.tensor_bytes(hub) <= 1.02 * branches["bytes"]
    assert one.wait(one.sweep(model, **BOTH))["state"] == "done"  # the rule is remembered
    rows = [row for row in one.series(model) if row["step"] is not None]
    assert [row["revision"] for row in rows] == [name.format(step) for step in STEPS]
    for row, branch in zip(numbers(rows), numbers(branches["rows"]), strict=True):
        assert row == branch
    if layout == "folders" and not is_remote:  # the plan has listed them
        assert len([line for line in hub.log() if f"/{model}/tree/" in line["target"]]) == 2


@pytest.fixture
def own_root(tmp_path: Path, garden: Path) -> Path:
    """The three layouts with few steps, in a folder of the test's own."""
    return write_root(tmp_path / "root", garden, FEW)


def test_a_folder_that_changes_is_refused(daemon: Start, make_hub: MakeHub, own_root: Path, worker: Callable[..., Worker]) -> None:
    """Between plan and reading: nothing is recorded of the folder that is another by then; the others are what they were."""
    folders = own_root / "models" / FOLDERS
    shutil.copytree(folders / "main", folders / "_other", symlinks=True)
    weights = folders / "_other/checkpoint-16/model.safetensors"
    weights.unlink()
    weights.symlink_to(folders / "main/checkpoint-0/model.safetensors")
    hub = make_hub(own_root, thread=True)
    one = daemon(hub, "--fetchers", "0")
    sweep = one.sweep(FOLDERS)
    one.wait(sweep, until=lambda now: now["state"] == "running")
    hub.move_branch(FOLDERS, "main", "_other")
    worker(one)
    done = one.wait(sweep)
    assert done["state"] == "failed" and [error["revision"] for error in done["errors"]] == ["main:checkpoint-16"]
    assert "main:checkpoint-16 has changed since it was listed; sweep again" in done["errors"][0]["message"]
    first = steps_of(one, FOLDERS)
    assert first["main:checkpoint-16"] is None and first["main:checkpoint-128"] > 0
    assert one.wait(one.sweep(FOLDERS))["state"] == "done"
    assert steps_of(one, FOLDERS) == first | {"main:checkpoint-16": 0.0}


# A push that adds no checkpoint, one that does, and the revision that is new then.
def push_folders(hub: Emulator, root: Path) -> None:
    main = root / "models" / FOLDERS / "_before"
    shutil.copytree(main, main.parent / "_read", symlinks=True)
    (main.parent / "_read/README.md").write_text("other words")
    hub.move_branch(FOLDERS, "main", "_read")


def add_folder(hub: Emulator, root: Path) -> None:
    folders = root / "models" / FOLDERS
    shutil.copytree(folders / "main", folders / "_more", symlinks=True)
    hub.move_branch(FOLDERS, "main", "_more")


def push_commits(hub: Emulator, root: Path) -> None:
    hub.move_branch(COMMITS, "main", "_0", title="Update README.md")


def add_commit(hub: Emulator, root: Path) -> None:
    hub.move_branch(COMMITS, "main", "_128", title=title(128))


def add_repository(hub: Emulator, root: Path) -> None:
    shutil.move(root / "held", root / f"models/{RUN}128")
    hub.restore()


# layout: a push without a new checkpoint, and one with it
LOOKS = {"folders": 2, "commits": 3, "repositories": 1}  # requests: refs, the tree of main, its commits; a search
PUSHES = {"folders": (push_folders, add_folder), "commits": (push_commits, add_commit), "repositories": (None, add_repository)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_watch_finds_what_is_new(daemon: Start, make_hub: MakeHub, own_root: Path, layout: str) -> None:
    """A push that touches no checkpoint makes nothing due, and of a new one nothing else is read again."""
    model, _, name = LAYOUTS[layout]
    here = f"/v1/watches/{model_path(model)}"
    shutil.move(own_root / f"models/{RUN}128", own_root / "held")
    commits = own_root / "models" / COMMITS / "branches.json"
    history = json.loads(commits.read_text())["histories"]["main"]
    commits.write_text(json.dumps({"histories": {"main": [entry for entry in history if entry[1] != "_128"]}}))
    hub = make_hub(own_root, thread=True)
    push, add = PUSHES[layout]
    if layout == "folders":
        hub.move_branch(FOLDERS, "main", "_before")
    one = daemon(hub)
    first = watches.first_run(one, watches.LONG | rule_of(layout), here)
    assert watches.swept_names(one, first["last_sweep"])[0] == name.format(0), first
    before = steps_of(one, model)
    if push:
        push(hub, own_root)
    hub.reset()
    same = watches.watch_now(one, here)["last_run"]
    assert same["outcome"] == "unchanged" and same["hub_requests"] == LOOKS[layout], same
    assert len(watches.api_requests(hub)) == LOOKS[layout]
    add(hub, own_root)
    found = watches.watch_now(one, here)
    new = name.format(128)
    assert found["last_run"]["new"] == {"count": 1, "names": [new]}, found
    assert watches.swept_names(one, found["last_sweep"]) == [new]
    after = steps_of(one, model)
    assert after[new] > 0 and {other: after[other] for other in before} == before
