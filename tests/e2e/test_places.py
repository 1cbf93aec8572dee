"""Checkpoints that are no branches: folders of main, commits of main, one repository each. They are the same series, wherever they lie."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any, Callable, Iterator
from urllib.parse import quote

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
    told = sum(row["bytes_fetched"] for row in one.series(model) if row["step"] is not None)
    assert told >= 0.25 * branches["bytes"]  # what a task reads for another one is not told with its row; other repositories are
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


@pytest.mark.parametrize("layout", ["folders", "commits", "branches"])
def test_a_history_that_is_squashed(daemon: Start, make_hub: MakeHub, own_root: Path, layout: str) -> None:
    """Between plan and reading, in the process that planned. Folders are what they were at the new commit, and are read there; of others
    the error says what became of them, and the next sweep takes what is there then."""
    hub = make_hub(own_root, thread=True)
    one = daemon(hub, "--fetchers", "1")
    hub.fault("hold", repo=BOTH["dataset"].split(":")[0])  # which no plan reads
    held = one.sweep(SERIES, **BOTH, revisions={"rule": LAYOUTS["repositories"][1], "to": 0})  # has the only fetcher
    one.wait(held, until=lambda now: now["progress"]["running"] == 1)
    model, branch = (BRANCHES, "step16") if layout == "branches" else (LAYOUTS[layout][0], "main")
    names = [f"step{step}" for step in FEW] if layout == "branches" else [LAYOUTS[layout][2].format(step) for step in FEW]
    wanted = BOTH | {"revisions": {"names": names}}
    sweep = one.sweep(model, **wanted)
    one.wait(sweep, until=lambda now: now["state"] == "running")
    hub.squash_branch(model, branch)
    hub.clear_faults()
    assert one.wait(held)["state"] == "done"
    done = one.wait(sweep)
    if layout == "folders":
        assert done["state"] == "done", done["errors"]
        assert all(msd is not None for msd in steps_of(one, model).values())
        return
    gone = ["step16"] if layout == "branches" else names
    assert [error["revision"] for error in done["errors"]] == gone and done["state"] == "failed", done
    for error in done["errors"]:
        assert error["code"] == "not_found" and f"model {model} has no such commit: " in error["message"], error
        assert error["message"].endswith("its branch's history was rewritten since it was listed; sweep again"), error
    again = one.wait(one.sweep(model, **wanted))
    assert again["state"] == ("done" if layout == "branches" else "failed"), again
    assert not again["errors"] or all("has no commit with this title" in error["message"] for error in again["errors"]), again


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
    assert not any(same[kind]["count"] for kind in ("new", "moved", "gone")), same  # that main is another is no news
    assert len(watches.api_requests(hub)) == LOOKS[layout]
    add(hub, own_root)
    found = watches.watch_now(one, here)
    new = name.format(128)
    assert found["last_run"]["new"] == {"count": 1, "names": [new]} and not found["last_run"]["moved"]["count"], found
    assert watches.swept_names(one, found["last_sweep"]) == [new]
    after = steps_of(one, model)
    assert after[new] > 0 and {other: after[other] for other in before} == before


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_the_hub_does_not_tell_is_not_gone(daemon: Start, make_hub: MakeHub, own_root: Path, layout: str) -> None:
    """The hub fails to list, or hides each repository at once, as it does from a token that has expired: the series stays as it was. The
    commits that push folders have the Trainer's titles, too, and do not become a second series."""
    model, _, name = LAYOUTS[layout]
    here = f"/v1/watches/{model_path(model)}"
    if layout == "folders":
        history = [["initial commit", "_before"], [title(0), "_before"], [title(16), "main"]]
        (own_root / "models" / FOLDERS / "branches.json").write_text(json.dumps({"histories": {"main": history}}))
    hub = make_hub(own_root, thread=True)
    one = daemon(hub)
    listed = {"folders": "tree", "commits": "commits"}.get(layout)
    if listed:
        hub.fault("status", path=f"/{model}/{listed}/", status=500, retry_after=0)
        done = one.wait(one.sweep(model))
        assert done["state"] == "failed" and "answers 500" in done["error"]["message"], done
        hub.clear_faults()
    watches.first_run(one, watches.LONG | rule_of(layout), here)
    before = steps_of(one, model)
    assert list(before) == [name.format(step) for step in FEW]
    if listed:
        hub.fault("status", path=f"/{model}/{listed}/", status=500, retry_after=0)
    else:
        for step in FEW:
            (own_root / f"models/{RUN}{step}/branches.json").write_text(json.dumps({"private": True}))
        hub.restore()
    failed = watches.watch_now(one, here)["last_run"]
    assert failed["outcome"] == "failed" and not any(failed[kind]["count"] for kind in ("new", "moved", "gone")), failed
    says = "none of its 3 revisions is there now; looked at 1 model of" if layout == "repositories" else f"{layout} of main: "
    assert says in failed["error"]["message"], failed
    assert steps_of(one, model) == before
    if layout == "repositories":
        for step in FEW:
            (own_root / f"models/{RUN}{step}/branches.json").unlink()
        hub.restore()
    hub.clear_faults()
    same = watches.watch_now(one, here)["last_run"]
    assert same["outcome"] == "unchanged" and not any(same[kind]["count"] for kind in ("new", "moved", "gone")), same
    assert steps_of(one, model) == before


def test_a_branch_of_places_that_is_asked_for(daemon: Start, make_hub: MakeHub, own_root: Path) -> None:
    """It is news that main has moved where main itself is swept."""
    hub = make_hub(own_root, thread=True)
    one = daemon(hub)
    here = f"/v1/watches/{model_path(COMMITS)}"
    watches.first_run(one, watches.LONG | {"revisions": {"names": ["main", LAYOUTS["commits"][2].format(16)]}}, here)
    push_commits(hub, own_root)
    assert watches.watch_now(one, here)["last_run"]["moved"] == {"count": 1, "names": ["main"]}


def test_a_mistyped_name_beside_what_is_not_told(daemon: Start, make_hub: MakeHub, own_root: Path) -> None:
    """The hub fails to list commits; that there is no such branch it says, and it costs the others nothing."""
    hub = make_hub(own_root, thread=True)
    one = daemon(hub)
    hub.fault("status", path=f"/{COMMITS}/commits/", status=500, retry_after=0)
    done = one.wait(one.sweep(COMMITS, revisions={"names": ["main", "mian"]}))
    assert done["state"] == "failed" and done["progress"]["done"] == 1, done
    (error,) = done["errors"]
    assert error["revision"] == "mian" and error["code"] == "not_found", error


# ---- what people ask for by name ------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_such_names_everywhere(daemon: Start, make_hub: MakeHub, own_root: Path, layout: str) -> None:
    """Colons, spaces and slashes of a name, in options, in addresses and in CSV."""
    model, rule, form = LAYOUTS[layout]
    names = [form.format(step) for step in FEW]
    one = daemon(make_hub(own_root, thread=True))
    ruled = ["--rule", rule] if rule else []
    done = one.client("sweep", model, *ruled, "--from", "16", "--to", "16", "--reference", names[0], "--follow")
    assert done.returncode == 0 and one.series(model)[0]["state"] != "measured", done
    assert steps_of(one, model)[names[1]] > 0
    only = one.client("sweep", model, "--revision", names[2], "--follow")
    assert only.returncode == 0, only
    shown = one.client("series", model, "--csv", "--from", "16")
    table = list(csv.DictReader(io.StringIO(shown.stdout)))
    assert [(row["revision"], row["reference"]) for row in table if row["step"]] == [(name, names[0]) for name in names[1:]]
    for words in (["values", model, names[2]], ["revision", model, names[2]]):
        answer = one.client(*words)
        assert answer.returncode == 0 and answer.stdout, answer
    there = one.read(f"/v1/models/{model_path(model)}/revisions/{quote(names[2], safe='')}")
    assert there["revision"] == names[2] and re.fullmatch("[0-9a-f]{40}", there["commit"])
    assert one.read(f"/v1/models/{model_path(model)}/revisions/{quote(names[2], safe='')}/values?rows=tokens")
    scored = one.client("perplexity", model, "--revision", names[2], "--dataset", BOTH["dataset"], "--limit", "5")
    assert scored.returncode == 0 and names[2] in scored.stdout, scored
    assert one.client("audit", model).returncode == 0
    assert model in one.client("models").stdout  # without branches of its own, too
    removed = one.client("remove", model, "--yes")
    assert removed.returncode == 0 and model not in one.client("models").stdout, removed


# model, rule, what the error says is there instead
MISTYPED = [
    (FOLDERS, "main:chekpoint-{step}", 'matches nothing; looked at 3 folders of main that hold checkpoints, such as "main:checkpoint-0"'),
    (FOLDERS, "dev:checkpoint-{step}", 'the rule "dev:checkpoint-{step}": '),
    (COMMITS, "main^Training in progess, step {step}", 'matches nothing; looked at 6 commits of main, such as "End of training"'),
    (SERIES, "hf://garden/rum-step_{step}", 'matches nothing; looked at 0 models of garden whose names hold "rum-step_"'),
    (SERIES, "hf://nobody/run-step_{step}", "looked at 0 models of nobody"),
    (BRANCHES, "stop{step}", "is named like a training step; name revisions"),
]
NO_PLACES = ["main:../{step}", "hf://{step}/x", "hf://*/run-{step}", ":{step}", "main^", "{step}:x", "main:a//{step}"]


def test_mistyped_rules(daemon: Start, make_hub: MakeHub, own_root: Path) -> None:
    """Nothing is swept, and the error says what is there instead; a rule that says no place is refused before anything is asked."""
    one = daemon(make_hub(own_root, thread=True))
    for model, rule, says in MISTYPED:
        done = one.wait(one.sweep(model, revisions={"rule": rule}))
        assert done["state"] == "failed" and not one.series(model), done
        assert says in done["error"]["message"], done["error"]
    for rule in NO_PLACES:
        answer = one.post("/v1/sweeps", {"model": "a/b", "revisions": {"rule": rule}})
        assert answer.status == 400 and answer.json()["field"] == "/revisions/rule", answer
    for field, value in (("/reference", {"reference": "main:../a"}), ("/revisions/names/1", {"revisions": {"names": ["main", "hf://a"]}})):
        answer = one.post("/v1/sweeps", {"model": "a/b", **value})
        assert answer.status == 400 and answer.json()["field"] == field, answer


def test_what_vanished_and_what_is_kept(daemon: Start, make_hub: MakeHub, own_root: Path) -> None:
    """Of a series of repositories one is gated and one goes away between plan and reading: the others are measured."""

    def configure(step: int, **config: Any) -> None:
        (own_root / f"models/{RUN}{step}/branches.json").write_text(json.dumps(config))

    configure(16, gated="manual")
    hub = make_hub(own_root, thread=True)
    one = daemon(hub, "--fetchers", "0")
    sweep = one.sweep(SERIES, **rule_of("repositories"))
    one.wait(sweep, until=lambda now: now["state"] == "running")
    configure(128, private=True)
    hub.restore()
    one.stop()
    one._options = []
    one.start()
    done = one.wait(sweep)
    errors = {error["revision"]: error for error in done["errors"]}
    assert done["state"] == "failed" and set(errors) == {f"hf://{RUN}16", f"hf://{RUN}128"}
    gated = errors[f"hf://{RUN}16"]
    assert gated["code"] == "gated" and f"accept its terms at {hub.url}/{RUN}16" in gated["message"], gated
    assert f"{RUN}128" in errors[f"hf://{RUN}128"]["message"], errors
    assert [name for name, msd in steps_of(one, SERIES).items() if msd is not None] == [f"hf://{RUN}0"]
    configure(16)
    hub.restore()
    done = one.wait(one.sweep(SERIES))  # asks anew; what is gone is not among them any more
    assert done["state"] == "done"
    assert {name for name, msd in steps_of(one, SERIES).items() if msd is not None} == {f"hf://{RUN}0", f"hf://{RUN}16"}


@pytest.mark.parametrize("layout", ["branches", *LAYOUTS])
def test_offline(daemon: Start, make_hub: MakeHub, own_root: Path, layout: str) -> None:
    """What was measured with keep = files is measured without the hub: after a restart in other ways, and by who has the cache alone."""

    def seen(one: Daemon) -> tuple[Any, ...]:
        """What the service says; the commit of a folder is a digest of all that lies in it."""
        rows = [row for row in one.series(model) if row["msd"] is not None]
        told = [finding["text"] for finding in one.read(f"/v1/models/{model_path(model)}/audit")["findings"]]
        return numbers(rows), [row["commit"] for row in rows if layout != "folders"], told

    model, rule, _ = LAYOUTS.get(layout, (BRANCHES, None, None))
    which = {"revisions": {"rule": rule} if rule else {}}
    few = {"revisions": {"names": ["step0", "step1", "step2"]}} if layout == "branches" else which
    one = daemon(make_hub(own_root, thread=True), "--keep", "files")
    assert one.wait(one.sweep(model, **BOTH, **few))["state"] == "done"
    before = seen(one)
    one.stop()
    one._options = ["--offline", "yes"]
    one.start()
    done = one.wait(one.sweep(model, **BOTH | which | {"tensors": ["gpt_neox.embed_in.weight"], "limit": 10}))
    assert done["state"] == "done" and done["progress"]["done"] == 3, done
    fresh = daemon(None, "--hub-cache", str(one.cache), env={"HF_HUB_OFFLINE": "1"})
    done = fresh.wait(fresh.sweep(model, **BOTH, **which))
    assert done["state"] == "done" and done["progress"]["done"] == 3, done
    assert seen(fresh) == before
    assert fresh.told("the hub is not asked", "revisions=3")
    other = one.wait(one.sweep("garden/other", revisions={"rule": "hf://garden/other-{step}"}))
    assert other["state"] == "failed" and "offline" in other["error"]["message"], other
