"""Whatever fails, no daemon and no worker outlives its test or fixture: tests that fail on purpose, in a pytest of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import made_once, shared_place

FAILING = '''
import os

import pytest
from running import Daemon
from workers import Worker


def begun(one):
    with open(os.environ["BEGUN"], "a") as file:
        print(one.process.pid, file=file)
    return one


def begin(programs, place):
    one = Daemon(programs, place, None, ["--fetchers", "0"], {})
    one.start()
    return begun(one)


@pytest.fixture(scope="module")
def fails(programs, tmp_path_factory):
    one = begin(programs, tmp_path_factory.mktemp("fails"))
    begun(Worker(one, programs["bifurcated"], tmp_path_factory.mktemp("worker")).start()).suspend()
    assert False, "in setup"
    yield one


@pytest.fixture
def skips(programs, tmp_path):
    begin(programs, tmp_path)
    pytest.skip("in setup")


@pytest.fixture(scope="module")
def stays(programs, tmp_path_factory):
    with Daemon(programs, tmp_path_factory.mktemp("stays"), None, ["--fetchers", "0"], {}) as one:
        yield begun(one)


def test_of_a_fixture_that_fails(fails):
    pass


def test_of_a_fixture_that_skips(skips):
    pass


def test_that_fails(programs, tmp_path, stays):
    begin(programs, tmp_path)
    assert False


def test_that_leaves_one(programs, tmp_path, stays):
    begin(programs, tmp_path)


@pytest.fixture
def two(daemon):
    return begun(daemon()), begun(daemon())


def test_of_which_one_does_not_end_well(two):
    two[0].process.kill()


def test_others_go_on(stays):
    assert stays.get("/v1/status").status == 200
'''


def test_nothing_outlives_what_fails(tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text(FAILING)
    here = Path(__file__).parent
    env = os.environ | {"BEGUN": str(tmp_path / "begun"), "PYTHONPATH": str(here)}
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-p", "no:xdist", "-rA", "--tb=line", "--noconftest"]
    done = subprocess.run([*command, "--basetemp", tmp_path / "of-them", tmp_path / "test_failing.py"], env=env, cwd=tmp_path, capture_output=True, text=True)
    told = re.findall(r"^(PASSED|FAILED|ERROR) test_failing.py::(\w*)", done.stdout, re.MULTILINE)
    assert sorted(told) == [
        ("ERROR", "test_of_a_fixture_that_fails"), ("ERROR", "test_of_which_one_does_not_end_well"), ("ERROR", "test_that_leaves_one"),
        ("FAILED", "test_that_fails"), ("PASSED", "test_of_which_one_does_not_end_well"), ("PASSED", "test_others_go_on"),
        ("PASSED", "test_that_leaves_one"),
    ], done.stdout  # fmt: skip
    assert "1 skipped" in done.stdout and "the test has left running" in done.stdout, done.stdout
    pids = [int(line) for line in (tmp_path / "begun").read_text().split()]
    assert len(pids) == 8 and not [pid for pid in pids if Path(f"/proc/{pid}").exists()], (pids, done.stdout)


def test_what_processes_share_is_made_once(tmp_path: Path) -> None:
    """Of what failed midway nothing is left to the next one that makes it."""
    factory: Any = SimpleNamespace(getbasetemp=lambda: tmp_path / "gw0")
    worker: Any = SimpleNamespace(workerinput={})
    alone: Any = SimpleNamespace()
    assert shared_place(worker, factory) == tmp_path and shared_place(alone, factory) == tmp_path / "gw0"
    folder = tmp_path / "made"

    def fail(place: Path) -> None:
        (place / "half").touch()
        raise OSError

    for _ in range(2):
        with pytest.raises(OSError):
            made_once(folder, fail)
    assert made_once(folder, lambda place: (place / "whole").touch()) == folder
    assert made_once(folder, fail) == folder and [path.name for path in folder.iterdir()] == ["whole"]
