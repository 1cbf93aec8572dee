"""The hub client as a program (tests/tools/hub_probe.c), for tests: what it answers, and a repository with a large file."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
from running import find_program
from tests.hub import Emulator


BIG = "big.safetensors"
BIG_BYTES = 24_000_000
FAST = ("backoff_ms=10", "backoff_max_ms=100")


class Probe:
    """hub_probe with an environment of its own; the process must end in order, also when it reports an error."""

    def __init__(self, place: Path, url: str) -> None:
        self.program = find_program("tests/hub_probe")
        self.cache = place / "cache"
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        self.env.update(HF_ENDPOINT=url, HF_HOME=str(place / "home"), HF_HUB_CACHE=str(self.cache))

    def start(self, *words: str, options: tuple[str, ...] = FAST, env: dict[str, str] | None = None):
        command = [str(self.program)]
        for option in options:
            command += ["--set", option]
        command += words
        return subprocess.Popen(
            command, env=self.env | (env or {}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __call__(self, *words: object, **kwargs: Any) -> dict[str, Any]:
        return self.finish(self.start(*map(str, words), **kwargs))

    @staticmethod
    def finish(process: Any) -> dict[str, Any]:
        out, trace = process.communicate(timeout=240)
        assert process.returncode in (0, 1), trace
        assert not trace, trace
        answer = json.loads(out)
        assert (process.returncode == 1) == ("error" in answer)
        return answer


@pytest.fixture
def probe(tmp_path: Path, hub: Emulator) -> Probe:
    return Probe(tmp_path, hub.url)


@pytest.fixture(scope="session")
def big_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """org/big: one file that is worth several connections, one that fits into a block, and a text."""
    root = tmp_path_factory.mktemp("big")
    folder = root / "models" / "org" / "big" / "main"
    folder.mkdir(parents=True)
    (folder / BIG).write_bytes(random.Random(1).randbytes(BIG_BYTES))
    (folder / "middle.safetensors").write_bytes(random.Random(2).randbytes(400_000))
    (folder / "config.json").write_text(json.dumps({"text": "x" * 5000}))
    return root


@pytest.fixture
def big(big_root: Path, make_hub: Callable[..., Emulator], tmp_path: Path) -> tuple[Emulator, Probe, bytes]:
    hub = make_hub(big_root)
    return hub, Probe(tmp_path, hub.url), (big_root / "models/org/big/main" / BIG).read_bytes()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def served(small_root: Path, revision: str, path: str) -> bytes:
    return (small_root / "models/org/small" / revision / path).read_bytes()
