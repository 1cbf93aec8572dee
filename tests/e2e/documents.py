"""The blocks of commands in the documents, and which of them a test cannot run.

A block is fenced (``` with its language) or indented by four spaces. Without a language it is one of commands, unless TEXTS has it:
what begins with a program that is not installed is a command, too, and is skipped with that reason.
"""

from __future__ import annotations

import re
import shlex
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path

from administration import STAND_INS

LANGUAGES = {"sh": "sh", "bash": "sh", "shell": "sh", "console": "sh", "python": "python", "r": "r"}
TEXT = {"", "text", "json", "ini", "c", "sql", "cmake", "yaml", "toml", "diff", "promql", "nginx", "mermaid", "html"}  # fences that hold no commands
OURS = re.compile(r"(build/\w+/)?(bifurcated?|deploy/\w+|tests/\S+)$")

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
            is_text = word in TEXT and word != "" or find(TEXTS, document, body)
            blocks.append(Block(document, at + 1, "" if is_text else LANGUAGES.get(word, "sh"), body))
            at = end + 1
        elif lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip()):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            body = textwrap.dedent("\n".join(lines[at:end])).rstrip()
            blocks.append(Block(document, at + 1, "" if find(TEXTS, document, body) else "sh", body))
            at = end
        else:
            at += 1
    return blocks


@dataclass(frozen=True)
class Listed:
    """Blocks of a document that match, and why they are not run: the reason is printed, and says what proves them instead. A
    block more or less than `blocks` makes a test fail, so that nothing new goes unseen."""

    document: str
    pattern: str
    reason: str
    blocks: int = 1

    def matches(self, document: str, text: str) -> bool:
        return document == self.document and bool(re.search(self.pattern, text, re.MULTILINE))


def find(listed: list[Listed], document: str, text: str) -> Listed | None:
    return next((one for one in listed if one.matches(document, text)), None)


# Blocks without a language that hold no commands.
TEXTS = [
    Listed("ARCHITECTURE.md", r"──>", "a diagram"),
    Listed("daemon/analysis/SCIENCE.md", r"^MSD0?\(t\) +=", "formulas", 2),
    Listed("tests/fixtures/garden/README.md", r"^ *revision +msd", "a table"),
    Listed("tests/hub/README.md", r"^from tests.hub import", "an excerpt of a test"),
    Listed("tests/hub/README.md", r"^ROOT/models", "a layout of files"),
    Listed("tests/proof/README.md", r"^write:", "the name of a fault"),
]

# Blocks of commands that the test of the documents cannot run.
OMISSIONS = [
    Listed("README.md", r"^deploy/quickstart", "installs packages and builds; tests/e2e runs the sweep that it runs"),
    Listed("README.md", r"^bifurcated .*--slurm-", "needs a cluster; tests/e2e/test_slurm.py starts daemons so, beside a real Slurm"),
    Listed("README.md", r"--tls-certificate", "needs a certificate and an open address; tests/e2e/test_front.py does the same"),
    Listed("deploy/README.md", r"^(dpkg-architecture|cmake) .*build/arm64", "needs another processor's compiler; tests/proof/arm64 runs these"),
    Listed("deploy/README.md", r"^cmake --preset package", "makes and installs packages; tests/proof/packages does, in a Debian of its own"),
    Listed("deploy/README.md", r"^sudo systemctl enable --now bifurcated-worker", "needs GPUs; tests/proof/packages and tests/proof/boot run that unit on the CPU"),
    Listed("deploy/README.md", r"^sudo tests/proof/packages", "takes minutes and makes a Debian; a command of its own"),
    Listed("deploy/README.md", r"^kubectl", "needs a cluster; tests/e2e/test_deploy.py holds its pod against the manifest, and backup and restore are run above", 2),
    Listed("deploy/slurm/README.md", r"", "needs a cluster; tests/e2e/test_slurm.py runs this worker.sh as jobs of a real Slurm"),
    Listed("tests/slurm/README.md", r"", "a cluster that stays; tests/e2e/test_slurm.py drives the same"),
    Listed("CONTRIBUTING.md", r"^deploy/test", "this test is part of it"),
    Listed("tests/e2e/README.md", r"-m pytest", "this test is part of it"),
    Listed("tests/fuzz/README.md", r"^cmake --preset fuzz", "builds with clang; tests/proof/run fuzz does the same"),
    Listed("tests/proof/README.md", r"", "proofs run for minutes to hours, and are commands of their own", 3),
    Listed("tests/gpu/README.md", r"", "needs nvcc, and a GPU; tests/e2e/test_cuda_module.py drives the daemon on an emulated one", 4),
    Listed("tests/fixtures/garden/README.md", r"regenerate", "trains the fixture anew, with packages of its own"),
    Listed("tests/hub/README.md", r"python3 -m tests.hub|hf download", "a server that stays; tests/e2e/test_hub_emulator.py drives the same"),
]

CHANGING = {"sudo", "apt", "apt-get", "dpkg", "systemctl", "install", "useradd", "docker", "podman", "kubectl", "chown", "mount", "rm"}


def why_not(block: Block) -> str | None:
    """Why a block of commands is not run, or None. Asserts that nothing is run that would change the machine."""
    listed = find(OMISSIONS, block.document, block.text)
    if listed:
        return listed.reason
    words = first_words(block)
    lines = [line.split() for line in block.text.splitlines() if line.strip()]
    if block.document == "deploy/README.md":  # that has a machine of its own
        first = [line[1] if line[0] == "sudo" else line[0] for line in lines]
        changing = [word for word in first if word not in STAND_INS and not OURS.match(word)]
    else:
        changing = [line[0] for line in lines if line[0] in CHANGING]
    assert not changing, f"{block.name}: {changing[0]} changes the machine: name in OMISSIONS what proves it instead"
    if block.language == "sh" and words and not re.match(r"\w+=|\w+\(\)|(export|for|if|while)$", words[0]):
        if not OURS.match(words[0]) and words[0] not in ("sudo", "systemctl") and not shutil.which(words[0]):
            return f"{words[0]} is not installed, or not the name of a program"
    return None


def first_words(block: Block) -> list[str]:
    """Those of its first command, without what is set before it."""
    line = next((line for line in block.text.splitlines() if line.strip() and not line.startswith("#")), "")
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    return words
