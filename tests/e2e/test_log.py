"""The log of a sweep in which every revision fares alike, as whoever runs the service reads it: what happened, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest
from running import Daemon
from workers import Worker

from tests.hub import Emulator

MODEL = "garden/neox-tiny"


@pytest.fixture(params=["local", "remote"])
def sweep_it(request: pytest.FixtureRequest, daemon: Callable[..., Daemon], worker: Callable[..., Worker]) -> Callable[..., tuple[dict[str, Any], list[str]]]:
    """sweep_it(hub, tensors=...) -> how the sweep ended, and the warnings of whoever measured."""

    def run(hub: Emulator, **sweep: object) -> tuple[dict[str, Any], list[str]]:
        is_remote = request.param == "remote"
        one = daemon(hub, "--retry-delay-s", "0", "--attempts", "2", *(("--fetchers", "0") if is_remote else ()))
        who = worker(one) if is_remote else one
        end = one.wait(one.sweep(MODEL, **sweep))
        assert who.stop() == 0  # then all has been said
        return end, who.log().splitlines()

    return run


def words_of(lines: list[str], what: str) -> list[str]:
    return [line for line in lines if f" warning {what} " in line]


def test_a_tensor_that_no_revision_has(sweep_it: Callable[..., tuple[dict[str, Any], list[str]]], make_hub: Callable[..., Emulator], garden: Path) -> None:
    end, lines = sweep_it(make_hub(garden), tensors=["lm_head.wieght"], revisions={"names": ["step0", "step2", "step512", "step14000"]})
    assert end["state"] == "failed" and end["progress"]["failed"] == 4
    (told,) = words_of(lines, "task failed")
    assert "lm_head.wieght" in told and not words_of(lines, "task will be tried again")


def test_a_reference_that_cannot_be_had(sweep_it: Callable[..., tuple[dict[str, Any], list[str]]], make_hub: Callable[..., Emulator], garden: Path) -> None:
    """step0, which all others are measured against."""
    hub = make_hub(garden)
    hub.fault("status", route="cdn", revision="step0", status=404)
    end, lines = sweep_it(hub, revisions={"names": ["step0", "step2", "step128", "step512", "step3000"]})
    assert end["state"] == "failed" and end["progress"]["done"] == 4 and end["progress"]["failed"] == 1
    assert len(words_of(lines, "task failed")) == 1
    (told,) = words_of(lines, "task recorded in part") + words_of(lines, "task measured in part")
    assert "a displacement is left out: revision step0: " in told
