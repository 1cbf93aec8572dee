"""A repository that is gated: the hub is asked once, the error says what to do, and who may read it measures it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
from running import Daemon, wait_until
from tests.hub import Emulator

MODEL = "garden/neox-tiny"
OWNER, STRANGER = "hf_of_the_owner", "hf_of_a_stranger"
NAMES = ["step0", "step1", "step2", "step4", "step8", "step16"]

Start = Callable[..., Daemon]


@pytest.fixture
def gated(garden: Path, tmp_path: Path, make_hub: Callable[..., Emulator]) -> Emulator:
    """The committed run, whose files only OWNER gets."""
    run = tmp_path / "root" / "models" / MODEL
    run.mkdir(parents=True)
    for one in (garden / "models" / MODEL).iterdir():
        (run / one.name).symlink_to(one)
    config = json.loads((run / "branches.json").read_text())
    (run / "branches.json").unlink()
    (run / "branches.json").write_text(json.dumps(config | {"gated": "manual"}))
    return make_hub(tmp_path / "root", granted_tokens=[OWNER], tokens=[STRANGER])


def files_asked_for(hub: Emulator) -> list[int]:
    """The statuses of the requests for files since the last reset."""
    return [one["status"] for one in hub.log() if one["route"] == "resolve"]


def sweep(one: Daemon, **request: Any) -> dict[str, Any]:
    return one.wait(one.sweep(MODEL, **{"revisions": {"names": NAMES}, **request}))


def log_lines(one: Daemon, *words: str) -> list[str]:
    return [line for line in one.log().splitlines() if all(word in line for word in words)]


def test_asked_once(daemon: Start, gated: Emulator, programs: dict[str, Path]) -> None:
    """One request, one clear error for each revision, one line of the log; with a token it works at once."""
    one = daemon(gated)
    failed = sweep(one)
    assert failed["state"] == "failed" and failed["progress"]["failed"] == len(NAMES)
    assert {error["code"] for error in failed["errors"]} == {"gated"} == {failed["error"]["code"]}
    assert {error["attempts"] for error in failed["errors"]} == {1}
    said = f"accept its terms at {gated.url}/{MODEL}, then start this program again with HF_TOKEN set to a token"
    assert all(said in error["message"] for error in [failed["error"], *failed["errors"]]), failed
    assert files_asked_for(gated) == [401]
    wait_until(lambda: log_lines(one, "sweep ended", said))
    assert len(log_lines(one, "task failed", said)) == 1
    command = [str(programs["bifurcate"]), "show", str(failed["id"]), "--server", one.url]
    shown = subprocess.run(command, env=one.env, capture_output=True, text=True)
    assert said in shown.stdout + shown.stderr

    one.stop()
    one.env["HF_TOKEN"] = OWNER
    one.start()
    assert sweep(one)["progress"]["done"] == len(NAMES)


def test_access_is_granted(daemon: Start, gated: Emulator) -> None:
    """With the same token in the same process: the next sweep asks anew, and not the one that failed."""
    one = daemon(gated, env={"HF_TOKEN": STRANGER})
    failed = sweep(one)
    assert failed["error"]["code"] == "gated" and "access is granted to the owner of this token" in failed["error"]["message"]
    assert files_asked_for(gated) == [403]
    assert sweep(one)["state"] == "failed" and files_asked_for(gated) == [403, 403]
    gated.set(granted_tokens=[OWNER, STRANGER])
    assert sweep(one)["progress"]["done"] == len(NAMES)
    assert STRANGER not in one.log()


def test_what_is_known(daemon: Start, gated: Emulator) -> None:
    """What was measured before access was taken away needs none; the rest fails, after one request."""
    one = daemon(gated, env={"HF_TOKEN": OWNER})
    assert sweep(one, revisions={"names": NAMES[:2]})["progress"]["done"] == 2
    del one.env["HF_TOKEN"]
    one.restart()
    gated.reset()
    partly = sweep(one)
    assert partly["progress"]["done"] == 2 and {error["revision"] for error in partly["errors"]} == set(NAMES[2:])
    assert {error["code"] for error in partly["errors"]} == {"gated"} and set(files_asked_for(gated)) == {401}
