"""deploy/quickstart as somebody runs it at home: a folder with a blank in its name, a proxy, no hub."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
INSTALLED = "echo install ok installed"


def make_place(place: Path, tools: Path) -> None:
    """A checkout whose packages are installed."""
    place.mkdir()
    tools.mkdir()
    for name in ("deploy", "tests"):
        (place / name).symlink_to(REPOSITORY / name)
    for name, does in (("cmake", "exit 0"), ("dpkg-query", INSTALLED)):
        (tools / name).write_text(f"#!/bin/sh\n{does}\n")
        (tools / name).chmod(0o755)


def test_without_a_hub(programs: dict[str, Path], tmp_path: Path) -> None:
    place, tools = tmp_path / "my work", tmp_path / "tools"
    make_place(place, tools)
    (place / "build/release").mkdir(parents=True)
    (place / "build/release/bifurcated").symlink_to(programs["bifurcated"])
    of_little = f'[ "$1" != sweep ] || set -- "$@" --limit 1 --to 4; exec {shlex.quote(str(programs["bifurcate"]))} "$@"'
    (place / "build/release/bifurcate").write_text(f"#!/bin/sh\n{of_little}\n")
    (place / "build/release/bifurcate").chmod(0o755)
    nowhere = "http://127.0.0.1:9"  # discards: nothing listens there
    env = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "HF_ENDPOINT": nowhere, "NO_PROXY": "intra.example"}
    env |= {name: nowhere for name in ("http_proxy", "https_proxy", "all_proxy")} | {"LC_ALL": "C", "TERM": "dumb"}
    quickstart = str(place / "deploy/quickstart")
    try:
        shown = subprocess.run([quickstart], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=400)
        assert shown.returncode == 0, shown
        assert "does not answer from here (curl: (7)" in shown.stdout, "and why not"
        assert "4 of 4 revisions measured" in shown.stderr and "\x1b" not in shown.stdout + shown.stderr
        (line,) = [line.strip() for line in shown.stdout.splitlines() if line.strip().startswith("export PATH=")]
        say = subprocess.run(["sh", "-c", f"{line}; command -v bifurcate; bifurcate models"], capture_output=True, text=True, timeout=60)
        assert say.stdout.splitlines()[0] == str(place / "build/release/bifurcate") and "garden/neox-tiny" in say.stdout, (line, say)
    finally:
        subprocess.run([quickstart, "--stop"], env=env, check=True, timeout=60)


def test_what_another_user_left(tmp_path: Path) -> None:
    """A build folder of root, say; and nothing that could be stopped."""
    place, tools = tmp_path / "place", tmp_path / "tools"
    make_place(place, tools)
    (place / "build/configure-release.log").mkdir(parents=True)  # which nobody writes, not even root
    env = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    shown = subprocess.run([place / "deploy/quickstart"], env=env, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 1 and f"error: {place}/build cannot be written by " in shown.stderr and "rm -r build" in shown.stderr, shown
    shown = subprocess.run([place / "deploy/quickstart", "--stop"], env=env, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0 and "nothing to stop" in shown.stdout, shown
