"""What the proofs of installed programs share (`debian.py`): roots, mounts, archives, and whether wrong numbers would be seen."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/proof"))

import debian  # noqa: E402

HAS_MOUNTS = subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not HAS_MOUNTS, reason="only root may mount")
def test_what_is_mounted_in_a_root_is_not_removed_with_it(tmp_path: Path) -> None:
    """The machine's /dev, say: where it cannot be unmounted, all stays. And what a proof mounts goes with its process."""
    root, precious = tmp_path / "a root", tmp_path / "devices/null"
    precious.parent.mkdir()
    precious.touch()
    (root / "dev").mkdir(parents=True)
    code = """
import os, sys
from pathlib import Path
import debian
root, precious = Path(sys.argv[1]), Path(sys.argv[2])
debian.own_mounts()
debian.run("mount", "--bind", precious.parent, root / "dev")
assert debian.mounts_below(root) == [root / "dev"], debian.mounts_below(root)
os.chdir(root / "dev")
try:
    debian.remove(root)
except SystemExit as refusal:
    assert str(refusal).endswith(f"{root / 'dev'} is mounted, and in use"), refusal
else:
    raise SystemExit("it was removed")
assert (root / "dev/null").exists() and precious.exists()
os.chdir("/")
if sys.argv[3] == "removes":
    debian.remove(root)
    debian.remove(root)
"""
    for end in ("leaves it", "removes"):
        words = [sys.executable, "-c", code, str(root), str(precious), end]
        done = subprocess.run(words, cwd=ROOT / "tests/proof", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert str(root) not in Path("/proc/self/mountinfo").read_text().replace("\\040", " ")
        assert precious.exists() and root.exists() == (end != "removes")


def test_archives_of_each_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """apt's own mirror of that distribution, whatever others it knows; else the public one; what the environment says first."""
    lines = "http://other.example/x main Other Other\nhttp://mirror.example/debian main Debian Debian\nhttp://third.example non-free Ubuntu Ubuntu\n"
    monkeypatch.setattr(debian, "run", lambda *_: lines)
    monkeypatch.delenv("DEBIAN_MIRROR", raising=False)
    monkeypatch.delenv("UBUNTU_MIRROR", raising=False)
    assert debian.mirror("Debian") == "http://mirror.example/debian"
    assert debian.mirror("Ubuntu") == debian.DISTRIBUTIONS["Ubuntu"].archive
    monkeypatch.setenv("UBUNTU_MIRROR", "http://near.example/ubuntu")
    assert debian.mirror("Ubuntu") == "http://near.example/ubuntu"
    assert {name.split()[0] for name in debian.SUITES.values()} == debian.DISTRIBUTIONS.keys()


def test_changed_files_are_built_anew_in_another_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that was changed here before that root's object of it was made: of the version of before."""
    here, builder = tmp_path / "here", object.__new__(debian.Builder)
    builder.path = tmp_path / "root"
    builder.path.mkdir()
    monkeypatch.setattr(debian, "REPOSITORY", here)
    for name in ("changed.c", "folder/same.c", "folder/gone.c", ".gitignore"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("build\n")
    (here / "link").symlink_to("changed.c")
    subprocess.run(["git", "init", "--quiet", here], check=True)
    builder.take_source()
    source, made = builder.path / "source", builder.path / "source/build/made.o"
    made.parent.mkdir()
    made.touch()
    before = (source / "folder/same.c").stat().st_mtime_ns
    (here / "changed.c").write_text("other\n")
    (here / "folder/gone.c").unlink()
    os.utime(here / "changed.c", ns=(0, made.stat().st_mtime_ns - 10**9))
    builder.take_source()
    assert (source / "changed.c").read_text() == "other\n" and (source / "changed.c").stat().st_mtime_ns >= made.stat().st_mtime_ns
    assert (source / "folder/same.c").stat().st_mtime_ns == before and made.exists()
    assert not (source / "folder/gone.c").exists() and os.readlink(source / "link") == "changed.c"


def test_wrong_numbers_of_an_installed_daemon_are_seen() -> None:
    """Of each kind, the smallest that is told from rounding, and what is no number."""
    scores = json.loads((debian.GARDEN / "golden/last_word_test.json").read_text())["scores"]
    with open(debian.GARDEN / "golden/unembedding.csv") as file:
        golden = [row for row in csv.DictReader(file) if row["rows"] == "all"]
    names = ["revision", "msd", "variance", "bimodality", "perplexity"]
    rows = [[one["revision"], float(one["msd"]), float(one["variance"]), float(one["bc"]), scores[f"{one['revision']}/fp32"]["perplexity"]]
            for one in golden]  # fmt: skip

    def check(row: int, column: int, value: object) -> None:
        changed = [list(one) for one in rows]
        changed[row][column] = value
        debian.check_series("\n".join(",".join(map(str, line)) for line in [names, *changed]))

    check(5, 1, rows[5][1])
    for column, share in ((1, 1e-8), (2, 1e-8), (3, 1e-8), (4, 1e-3)):
        for value in (rows[5][column] * (1 + share), "nan", "inf"):
            with pytest.raises(SystemExit, match=names[column]):
                check(5, column, value)
