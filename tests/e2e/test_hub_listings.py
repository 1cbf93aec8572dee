"""Histories and searches of the hub, by the hub client (tests/tools/hub_probe.c) against an emulated hub that may fail or lie."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path
from typing import Any, Callable

import pytest
from hub_probe import FAST, Probe, probe  # noqa: F401  (a fixture among them)
from test_hub_faults import EndlessPages

from tests.hub import Emulator
from tests.hub.places import COMMITS, FOLDERS, RUN, STEPS, TWICE, title

HISTORY, SEARCH = ("org/small", "commits"), ("org", "models")  # what is asked of the small hub
BOTH = [pytest.param(HISTORY, "/commits/", id="commits"), pytest.param(SEARCH, "/api/models[?]", id="models")]


@pytest.fixture
def run_hub(make_hub: Callable[..., Emulator], places: Path) -> Emulator:
    return make_hub(places)


@pytest.fixture
def run_probe(run_hub: Emulator, tmp_path: Path) -> Probe:
    return Probe(tmp_path, run_hub.url)


@pytest.mark.parametrize("page", [1, 1000])
def test_a_history(run_probe: Probe, run_hub: Emulator, page: int) -> None:
    """Titles, newest first, with the commits that the real client is told; as many at once as the hub gives."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    expected = huggingface_hub.HfApi(endpoint=run_hub.url).list_repo_commits(COMMITS)
    run_hub.set(page_size_commits=page)
    run_hub.reset()
    answer = run_probe(COMMITS, "commits")
    assert answer["commits"] == [
        {"id": one.commit_id, "title": one.title, "date_ms": int(1000 * one.created_at.timestamp())} for one in expected
    ]
    titles = [row["title"] for row in answer["commits"]]
    assert titles.count(title(TWICE)) == 2 and "Update README.md" in titles
    assert answer["requests"] == run_hub.stats()["requests"]["api"] == -(-len(expected) // page)
    older = run_probe(COMMITS, "commits", expected[3].commit_id)["commits"]
    assert older == answer["commits"][3:], "as of a commit, whatever the branch is by now"


@pytest.mark.parametrize("page", [4, 1000])
def test_a_search(run_probe: Probe, run_hub: Emulator, page: int) -> None:
    run_hub.set(page_size_models=page)
    run_hub.reset()
    answer = run_probe("garden", "models", "run-step_")
    expected = {f"{RUN}{step}" for step in (*STEPS, "16-chat")}
    assert {row["name"]: row["commit"] for row in answer["models"]} == {name: run_hub.sha(name) for name in expected}
    assert answer["requests"] == run_hub.stats()["requests"]["api"] == -(-len(expected) // page)
    everything = {row["name"] for row in run_probe("garden", "models")["models"]}
    assert everything == expected | {"garden/neox-tiny", "garden/folders", "garden/commits"}
    assert run_probe("garden", "models", "no such text & more")["models"] == run_probe("nobody", "models")["models"] == []


def test_what_the_token_may_see(probe: Probe) -> None:
    def names(env: dict[str, str]) -> set[str]:
        return {row["name"] for row in probe("org", "models", env=env)["models"]}

    assert names({}) == {"org/disabled", "org/gated", "org/small"}
    assert names({"HF_TOKEN": "hf_any"}) == {"org/disabled", "org/gated", "org/small", "org/secret"}
    assert probe("org/gated", "commits")["commits"]
    assert probe("org/secret", "commits", env={"HF_TOKEN": "hf_any"})["commits"]


@pytest.mark.parametrize(
    "words, env, code, say",
    [
        (["org/small", "commits", "step77"], {}, "not_found", "revision step77: model org/small has no such revision"),
        (["org/small", "commits", ".."], {}, "not_found", "revision .."),
        (["org/small", "commits", "x" * 256], {}, "invalid", "at most 255 bytes"),
        (["org/missing", "commits"], {}, "not_found", "org/missing"),
        (["org/secret", "commits"], {}, "not_found", "private"),
        (["org/disabled", "commits"], {}, "unauthorized", "disabled"),
        (["org/small", "commits"], {"HF_HUB_OFFLINE": "1"}, "not_found", "HF_HUB_OFFLINE"),
        (["org", "models"], {"HF_HUB_OFFLINE": "1"}, "not_found", "models of org: the list of models of org is not in the cache"),
        (["org/small", "models"], {}, "invalid", "not the name of an owner"),
        (["file:/tmp", "commits"], {}, "unsupported", "a folder has no commits"),
        (["org", "models"], {"HF_ENDPOINT": "http://127.0.0.1:9"}, "network", "models of org: "),
    ],
)
def test_errors_say_what_to_do(probe: Probe, words: list[str], env: dict[str, str], code: str, say: str) -> None:
    answer = probe(*words, options=(*FAST, "attempts_max=2"), env=env)
    assert answer["error"] == code and say in answer["message"], answer


@pytest.mark.parametrize("words, path", BOTH)
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429, "retry_after": 0},
        {"kind": "reset"},
        {"kind": "cut"},
        {"kind": "malformed_json"},
        {"kind": "body", "text": "<html>log in to this network</html>"},
    ],
    ids=lambda fault: str(fault.get("status", fault["kind"])),
)
def test_once_is_tried_again(probe: Probe, hub: Emulator, words: tuple[str, str], path: str, fault: dict[str, Any]) -> None:
    whole = probe(*words)
    hub.fault(**fault, path=path, times=1)
    again = probe(*words)
    assert again[words[1]] == whole[words[1]] and again["requests"] == whole["requests"] + 1 and again["retries"] == 1


@pytest.mark.parametrize("words, path", BOTH)
@pytest.mark.parametrize(
    "fault, code, say",
    [
        ({"kind": "link_loop"}, "format", "lead in a circle"),
        ({"kind": "malformed_json"}, "format", "is not JSON"),
        ({"kind": "body", "json": {"a": 1}}, "format", "is not a list"),
        ({"kind": "replace", "pattern": "[0-9a-f]{40}", "by": "0" * 39 + "Z"}, "format", "40 hexadecimal digits"),
        ({"kind": "status", "status": 403, "code": "GatedRepo"}, "gated", "accept its terms"),
        ({"kind": "status", "status": 429, "retry_after": 100_000}, "rate_limited", ""),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_hostile(probe: Probe, hub: Emulator, words: tuple[str, str], path: str, fault: dict[str, Any], code: str, say: str) -> None:
    hub.fault(**fault, path=path)
    answer = probe(*words, options=(*FAST, "attempts_max=2"))
    assert answer["error"] == code and say in answer["message"] and words[0] in answer["message"], answer


def test_others_are_passed_over(probe: Probe, hub: Emulator) -> None:
    """A mirror that ignores what is searched for, and entries that are no models at all."""
    hub.fault("replace", path="/api/models[?]", pattern="org/(gated|disabled)", by="other/x")
    assert [row["name"] for row in probe("org", "models")["models"]] == ["org/small"]
    hub.clear_faults()
    hub.fault("replace", path="/api/models[?]", pattern="org/(gated|disabled)", by="org/../x")
    assert [row["name"] for row in probe("org", "models")["models"]] == ["org/small"]


def test_a_mirror_that_cannot_be_searched(probe: Probe, hub: Emulator) -> None:
    hub.fault("status", status=404, path="/api/models[?]")
    answer = probe("org", "models")
    assert answer["error"] == "unsupported" and "cannot be searched" in answer["message"], answer


def test_titles_that_nobody_can_ask_for(probe: Probe, hub: Emulator) -> None:
    """Long ones, empty ones and such with control characters are passed over, each alone."""
    for name, said in (("step0", "x" * 256), ("step0", ""), ("step0", "two\nlines"), ("step0", "x" * 255), ("step512", "é \\ \"")):
        hub.move_branch("org/small", "main", name, title=said)
    assert [row["title"] for row in probe("org/small", "commits")["commits"]] == ["é \\ \"", "x" * 255, "Point main at step2000"]


def test_a_push_between_pages(probe: Probe, hub: Emulator) -> None:
    """Pages have numbers, so a branch that moves shows a commit twice; as of a commit nothing moves."""
    head = [hub.move_branch("org/small", "main", name, title=name) for name in ("step0", "step512")][-1]
    hub.set(page_size_commits=1)
    hub.fault("move_branch", branch="main", target="step1000", path="/commits/", nth=2)
    assert [row["title"] for row in probe("org/small", "commits", head)["commits"]] == ["step512", "step0", "Point main at step2000"]
    hub.fault("move_branch", branch="main", target="step0", path="/commits/", nth=2)
    titles = [row["title"] for row in probe("org/small", "commits")["commits"]]
    assert titles[:3] == ["Point main at step1000", "Point main at step1000", "step512"], titles


def test_places_are_resolved(run_probe: Probe, run_hub: Emulator) -> None:
    """A title is its newest commit, a folder a digest that a push beside it leaves alone, a repository its default branch."""
    history = run_probe(COMMITS, "commits")["commits"]
    newest = next(row["id"] for row in history if row["title"] == title(TWICE))
    assert run_probe(COMMITS, "resolve", f"main^{title(TWICE)}")["commit"] == newest
    other = f"hf://{RUN}{TWICE}"
    assert run_probe(COMMITS, "resolve", other)["commit"] == run_hub.sha(f"{RUN}{TWICE}")
    folders = [run_probe(FOLDERS, "resolve", f"main:checkpoint-{step}")["commit"] for step in STEPS[:2]]
    run_hub.move_branch(FOLDERS, "main", "_before")
    assert folders == [run_probe(FOLDERS, "resolve", f"main:checkpoint-{step}")["commit"] for step in STEPS[:2]]
    assert len(set(folders)) == 2 and folders[0] != run_hub.sha(FOLDERS)


@pytest.mark.parametrize(
    "name, code, say",
    [
        ("main:checkpoint-129", "not_found", "garden/folders: branch main has no folder checkpoint-129"),
        ("main:README.md", "not_found", "has no folder README.md"),
        ("dev:checkpoint-0", "not_found", "revision dev: model garden/folders has no such revision"),
        ("main^no such title", "not_found", "branch main has no commit with this title"),
        ("hf://garden/nothing", "not_found", "garden/nothing"),
        ("hf://garden", "invalid", "OWNER/NAME"),
        ("main:../secret", "invalid", "the path of a folder of the branch"),
    ],
)
def test_places_that_are_not_there(run_probe: Probe, name: str, code: str, say: str) -> None:
    answer = run_probe("garden/folders", "resolve", name)
    assert answer["error"] == code and name in answer["message"] and say in answer["message"], answer


@pytest.mark.parametrize("words, path", BOTH)
def test_cancelled(probe: Probe, hub: Emulator, words: tuple[str, str], path: str) -> None:
    hub.fault("hold", path=path)
    answer = probe("--cancel", *words)
    assert answer["error"] == "cancelled", answer
    hub.clear_faults()


@pytest.mark.parametrize("words, path", BOTH)
def test_pages_that_lead_on_and_on(tmp_path: Path, words: tuple[str, str], path: str) -> None:
    class Lists(EndlessPages):
        body = b"[]"

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lists) as server:
        server.count = 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answer = Probe(tmp_path, f"http://127.0.0.1:{server.server_port}")(*words)
        assert answer["error"] == "limit" and "more than 100 pages that hold next to nothing" in answer["message"]
        assert server.count == 101
        server.shutdown()
