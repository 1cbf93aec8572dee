"""`bifurcated COMMAND ...`, run to its end, and what `check` finds."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Callable

from running import passed_on

Command = Callable[..., subprocess.CompletedProcess[str]]


def command_runner(programs: dict[str, Path], home: Path) -> Command:
    """Runs it with these words, and these variables alone."""

    def run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        clean = {"PATH": os.environ["PATH"], "HOME": str(home), **env, **passed_on()}
        words = [str(programs["bifurcated"]), *map(str, arguments)]
        return subprocess.run(words, env=clean, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)

    return run


def findings(answer: subprocess.CompletedProcess[str]) -> dict[str, list[tuple[str, str]]]:
    """subject -> [(level, text)] of `check --json`."""
    report = json.loads(answer.stdout)
    assert answer.returncode == (1 if report["status"] == "error" else 0), report
    found: dict[str, list[tuple[str, str]]] = {}
    for row in report["findings"]:
        found.setdefault(row["subject"], []).append((row["level"], row["text"]))
    return found
