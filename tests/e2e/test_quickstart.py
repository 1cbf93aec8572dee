"""deploy/quickstart as somebody runs it at home: a folder with a blank in its name, a proxy, no hub."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
INSTALLED = "echo install ok installed"


def test_without_a_hub(programs: dict[str, Path], tmp_path: Path) -> None:
    place, tools = tmp_path / "my work", tmp_path / "tools"
    (place / "build/release").mkdir(parents=True)
    tools.mkdir()
    for name in ("deploy", "tests"):
        (place / name).symlink_to(REPOSITORY / name)
    (place / "build/release/bifurcated").symlink_to(programs["bifurcated"])
    of_little = f'[ "$1" != sweep ] || set -- "$@" --limit 1 --to 4; exec {shlex.quote(str(programs["bifurcate"]))} "$@"'
    for path, does in ((tools / "cmake", "exit 0"), (tools / "dpkg-query", INSTALLED), (place / "build/release/bifurcate", of_little)):
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)
    nowhere = "http://127.0.0.1:9"  # discards: nothing listens there
    env = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "HF_ENDPOINT": nowhere, "NO_PROXY": "intra.example"}
    env |= {name: nowhere for name in ("http_proxy", "https_proxy", "all_proxy")} | {"LC_ALL": "C", "TERM": "dumb"}
    quickstart = str(place / "deploy/quickstart")
    try:
        shown = subprocess.run([quickstart], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert shown.returncode == 0, shown
        assert "does not answer from here (curl: (7)" in shown.stdout, "and why not"
        assert "4 of 4 revisions measured" in shown.stderr and "\x1b" not in shown.stdout + shown.stderr
        (line,) = [line.strip() for line in shown.stdout.splitlines() if line.strip().startswith("export PATH=")]
        say = subprocess.run(["sh", "-c", f"{line}; command -v bifurcate; bifurcate models"], capture_output=True, text=True, timeout=60)
        assert say.stdout.splitlines()[0] == str(place / "build/release/bifurcate") and "garden/neox-tiny" in say.stdout, (line, say)
    finally:
        subprocess.run([quickstart, "--stop"], env=env, check=True, timeout=60)
