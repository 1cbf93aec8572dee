"""The blocks of commands in the documents, and which of them a test cannot run.

A block is fenced (``` with its language) or indented by four spaces. It is one of commands if its language says so, or
if its first word is a program of this project or one that is installed; a word that is neither makes it text.
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

LANGUAGES = {"sh": "sh", "bash": "sh", "shell": "sh", "console": "sh", "python": "python", "r": "r"}
TEXT = {"", "text", "json", "ini", "c", "sql", "cmake", "yaml", "toml", "diff", "promql", "nginx", "mermaid", "html"}  # fences that hold no commands
OURS = re.compile(r"(build/\w+/)?(bifurcated?|deploy/\w+|tests/\S+)$")

# Words of text that are also names of programs somewhere; a block that begins with one of them is text.
PROSE = {"api", "hub", "ROOT/models/OWNER/NAME/REVISION/FILES", "from", "with", "import"}


@dataclass(frozen=True)
class Block:
    document: str
    line: int
    language: str  # "sh", "python", "r"; "" for text
    text: str

    @property
    def name(self) -> str:
        return f"{self.document}:{self.line}"


def read_blocks(path: Path, document: str) -> list[Block]:
    """All blocks of a document, those of text included."""
    blocks: list[Block] = []
    lines = path.read_text().splitlines()
    at = 0
    while at < len(lines):
        fence = re.match(r"(`{3,})(\S*)", lines[at])
        if fence:
            end = next((i for i in range(at + 1, len(lines)) if lines[i].startswith(fence.group(1))), len(lines))
            body = "\n".join(lines[at + 1 : end])
            word = fence.group(2).lower()
            assert word in LANGUAGES or word in TEXT, f"{document}:{at + 1}: a block in an unknown language: {word}"
            blocks.append(Block(document, at + 1, LANGUAGES.get(word) or guess(body), body))
            at = end + 1
        elif lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip()):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            body = "\n".join(line[4:] for line in lines[at:end]).rstrip()
            blocks.append(Block(document, at + 1, guess(body), body))
            at = end
        else:
            at += 1
    return blocks


def guess(body: str) -> str:
    """Whether a block without a language is one of commands."""
    line = next((line for line in body.splitlines() if line.strip() and not line.startswith("#")), "")
    try:
        words = [word for word in shlex.split(line, comments=True) if "=" not in word or word.startswith("-")]
    except ValueError:
        return ""
    words = words[1:] if words[:1] == ["sudo"] else words
    word = words[0] if words else ""
    if word in PROSE or line.startswith(" "):
        return ""
    return "sh" if word == "export" or OURS.match(word) or shutil.which(word) else ""


# Programs that change the machine, or that need a cluster: a block that begins with one of them is not run.
ADMINISTRATION = {
    "apt", "apt-get", "dpkg", "systemctl", "journalctl", "loginctl", "useradd", "adduser", "install", "docker", "podman", "kubectl",
    "helm", "sbatch", "srun", "squeue", "sinfo", "scancel", "scontrol", "ssh", "scp", "nginx", "certbot", "ufw", "chown", "mount",
}  # fmt: skip


# Programs that build and test: deploy/test does nothing else.
BUILDING = {"cmake", "cpack", "ctest", "ninja", "make", "clang-tidy", "cppcheck"}


@dataclass(frozen=True)
class Omission:
    """Blocks of a document (a pattern of names) that match are not run; the reason is printed, and says what proves them instead."""

    document: str
    pattern: str
    reason: str

    def matches(self, block: Block) -> bool:
        return fnmatch(block.document, self.document) and bool(re.search(self.pattern, block.text, re.MULTILINE))


OMISSIONS = [
    Omission("README.md", r"^deploy/quickstart", "installs packages and builds; tests/e2e runs the sweep that it runs"),
    Omission("README.md", r"^export PATH=\$PWD/build/release", "starts a daemon on the standard port; the one of this test stands for it"),
    Omission("README.md", r"^bifurcated .*--slurm-", "needs a cluster; tests/e2e/test_slurm.py starts daemons so, beside a real Slurm"),
    Omission("deploy/slurm/README.md", r"", "needs a cluster; tests/e2e/test_slurm.py runs this worker.sh as jobs of a real Slurm"),
    Omission("tests/slurm/README.md", r"", "a cluster that stays; tests/e2e/test_slurm.py drives the same"),
    Omission("CONTRIBUTING.md", r"^deploy/test", "this test is part of it"),
    Omission("tests/e2e/README.md", r"-m pytest", "this test is part of it"),
    Omission("README.md", r"--tls-certificate", "needs a certificate and an open address; tests/e2e/test_front.py does the same"),
    Omission("tests/proof/README.md", r"", "proofs run for minutes to hours, and are commands of their own"),
    Omission("tests/bench/*", r"", "benchmarks are commands of their own, on a machine that does nothing else"),
    Omission("tests/fixtures/garden/README.md", r"regenerate", "trains the fixture anew, with packages of its own"),
    Omission("tests/hub/README.md", r"python3 -m tests.hub|hf download", "a server that stays; tests/e2e/test_hub_emulator.py drives the same"),
]


def why_not(block: Block) -> str | None:
    """Why a block of commands is not run, or None."""
    for one in OMISSIONS:
        if one.matches(block):
            return one.reason
    first = next((line for line in block.text.splitlines() if line.strip() and not line.startswith("#")), "")
    words = [word for word in first.split() if "=" not in word]
    words = words[1:] if words[:1] == ["sudo"] else words
    if first.startswith("sudo") or (words and words[0] in ADMINISTRATION):
        return f"{words[0] if words else 'sudo'} changes the machine, or needs one of its own"
    if words and words[0] in BUILDING:
        return f"{words[0]}: building and testing is what deploy/test does"
    return None
