"""Every command in the documents is run: against a daemon whose hub is the emulator, which serves the committed training
run as EleutherAI/pythia-14m. What is not run says why (`-rs`); tests/e2e/documents.py lists it.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from administration import Machine
from documents import OMISSIONS, TEXTS, Block, find, read_blocks, why_not
from running import Daemon, wait_until

from tests.hub import Emulator

REPOSITORY = Path(__file__).resolve().parents[2]
STANDARD = re.compile(r"http://(127\.0\.0\.1|localhost|daemon\.example):7143")
LASTING = re.compile(r"^bifurcated worker\b[^|&\n]*$")  # goes on until it is told to end
TIMEOUT_S = 240


def find_documents() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        return sorted(listed.stdout.split())
    skipped = {"build", ".git"}
    return sorted(str(path.relative_to(REPOSITORY)) for path in REPOSITORY.rglob("*.md") if not skipped & set(path.parts))


BLOCKS = [block for name in find_documents() for block in read_blocks(REPOSITORY / name, name)]
COMMANDS = [block for block in BLOCKS if block.language]
begun: set[str] = set()  # names of the blocks that this process has run; several may share the file


@pytest.fixture(scope="module")
def hub(garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The committed run under the names that the documents use."""
    root = tmp_path_factory.mktemp("hub")
    for kind, known, name in (
        ("models", "garden/neox-tiny", "EleutherAI/pythia-14m"),
        ("models", "garden/neox-tiny", "EleutherAI/pythia-31m"),
        ("models", "garden/neox-tiny", "EleutherAI/pythia-70m"),
        ("models", "garden/neox-tiny", "garden/neox-tiny"),
        ("datasets", "garden/lambada_garden", "garden/lambada_garden"),
    ):
        (root / kind / name).parent.mkdir(parents=True, exist_ok=True)
        (root / kind / name).symlink_to(garden / kind / known)
    lambada = root / "datasets/EleutherAI/lambada_openai/main/data"
    lambada.mkdir(parents=True)
    shutil.copy(garden / "datasets/garden/lambada_garden/main/data/test.jsonl", lambada / "lambada_test.jsonl")
    other = root / "datasets/owner/name/main/data"
    other.mkdir(parents=True)
    passages = b"".join(json.dumps({"passage": f"The {word} is in the garden."}).encode() + b"\n" for word in ("path", "fork", "tree"))
    packed = subprocess.run(["zstd", "-q", "-c"], input=passages, capture_output=True) if shutil.which("zstd") else None
    if packed and packed.returncode == 0:
        (other / "part.jsonl.zst").write_bytes(packed.stdout)
    else:  # the reader goes by the bytes, not by the name
        (other / "part.jsonl.zst").write_bytes(gzip.compress(passages))
    with Emulator(root) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def served(hub: Emulator, programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(programs, tmp_path_factory.mktemp("documents"), hub.url, [], {})
    daemon.start()
    yield daemon
    daemon.check_end()


@pytest.fixture(scope="module")
def place(served: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader stands: in the repository, whose folders are there to be read; what commands write stays here."""
    folder = tmp_path_factory.mktemp("reader")
    for path in REPOSITORY.iterdir():
        if path.name not in (".git", "build"):
            (folder / path.name).symlink_to(path)
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": f"A garden of forking paths, number {i}."}) + "\n" for i in range(5)))
    command = [served._programs["bifurcated"], "token", "create", "--name", "reader", "--scopes", "worker", "--state", str(served.state)]
    made = subprocess.run(command, env=served.env, capture_output=True, text=True)
    found = re.search(r"bif_[0-9a-f]{72}", made.stdout)
    assert found, made
    (folder / "token").write_text(found.group(0))
    (folder / "token").chmod(0o600)
    (folder / "secret").write_text("the key of a webhook's signatures")
    return folder


@pytest.fixture(scope="module")
def machine(hub: Emulator, served: Daemon, programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """For the commands of whoever runs the daemon for others."""
    one = Machine(tmp_path_factory.mktemp("machine"), environment(served, programs))
    yield one
    one.end()


def environment(served: Daemon, programs: dict[str, Path]) -> dict[str, str]:
    folders = [str(programs["bifurcate"].parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    return served.env | {"PATH": ":".join(folders), "BIFURCATE_SERVER": served.url}


def program_of(block: Block) -> list[str]:
    if block.language == "r":
        if not shutil.which("Rscript"):
            pytest.skip("Rscript (r-base-core) is not installed")
        return ["Rscript", "--vanilla", "-"]
    if block.language == "python":
        pytest.importorskip("pandas", reason="pandas (tests/requirements.txt) is not installed")
        return [sys.executable, "-"]
    if "pandas" in block.text:
        pytest.importorskip("pandas", reason="pandas (tests/requirements.txt) is not installed")
    return ["bash", "-euo", "pipefail", "-s"]


def run_worker(text: str, served: Daemon, place: Path, programs: dict[str, Path]) -> None:
    """A worker joins the daemon, and leaves when it is asked to."""
    env = environment(served, programs) | {"HF_HUB_CACHE": str(place / "worker-cache")}
    worker = subprocess.Popen(shlex.split(text), cwd=place, env=env, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: worker.poll() is not None or served.get("/v1/workers").json()["workers"] != [])
    finally:
        worker.terminate()
        said = worker.communicate(timeout=TIMEOUT_S)[1]
    assert worker.returncode == 0, said


def run(block: Block, served: Daemon, place: Path, machine: Machine, programs: dict[str, Path]) -> None:
    begun.add(block.name)
    text, env = STANDARD.sub(served.url, block.text), environment(served, programs)
    if block.document == "deploy/README.md":
        text, env = machine.rewrite(text), machine.env
    if LASTING.match(text):
        run_worker(text, served, place, programs)
        return
    done = subprocess.run(
        program_of(block), input=text, cwd=place, env=env, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, f"{block.name} ends with {done.returncode}\n{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    for program in ("bifurcate", "curl", "print"):  # what shows something shows it
        if re.search(rf"^(?!.*(>|-o )){program}\b", block.text, re.MULTILINE):
            assert done.stdout or done.stderr, f"{block.name} prints nothing"
    assert '"status":4' not in done.stdout and '"status":5' not in done.stdout, f"{block.name}: refused\n{done.stdout[-1000:]}"


@pytest.fixture
def run_all(served: Daemon, place: Path, machine: Machine, programs: dict[str, Path]) -> Callable[..., None]:
    """run_all(document, before=block): what has not run of a document's commands, or of those before one."""

    def run_them(document: str, before: Block | None = None) -> None:
        for one in [block for block in COMMANDS if block.document == document]:
            if one == before:
                return
            if one.name not in begun and not why_not(one):
                with contextlib.suppress(pytest.skip.Exception):  # for want of a program
                    run(one, served, place, machine, programs)

    return run_them


@pytest.mark.parametrize("block", COMMANDS, ids=lambda block: block.name)
def test_command(
    block: Block, served: Daemon, place: Path, machine: Machine, programs: dict[str, Path], run_all: Callable[..., None]
) -> None:
    reason = why_not(block)
    if reason:
        pytest.skip(f"{block.name}: {reason}")
    run_all(block.document, before=block)  # each goes on from those before it
    run(block, served, place, machine, programs)


def test_what_the_readme_writes_is_there(place: Path, run_all: Callable[..., None]) -> None:
    """After the commands above: the files that they made hold what they should."""
    run_all("README.md")
    assert (place / "forking.svg").read_text().startswith("<?xml") and (place / "dark.svg").read_text().rstrip().endswith("</svg>")
    head, *rows = (place / "series.csv").read_text().splitlines()
    assert head.startswith("revision,step") and len(rows) == 25


def reads_alike(told: str, shown: str) -> bool:
    """The same words, and numbers equal to the last digit shown: how perplexities are rounded differs between processors."""

    def is_same(one: str, other: str) -> bool:
        number = r"-?\d+(\.\d+)?(e-?\d+)?"
        is_number = re.fullmatch(number, one) and re.fullmatch(number, other)
        return one == other or bool(is_number and math.isclose(float(one), float(other), rel_tol=1e-5))

    words, wanted = told.split(), shown.split()
    return len(words) == len(wanted) and all(is_same(one, other) for one, other in zip(words, wanted, strict=True))


def test_session_of_the_readme(daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Path) -> None:
    """What README.md shows of the quickstart's run is what comes out."""
    (session,) = [block.text for block in BLOCKS if block.document == "README.md" and block.text.startswith("$ bifurcate")]
    one = daemon(make_hub(garden))
    both = ["--metric", "statistics", "--metric", "perplexity", "--dataset", "garden/lambada_garden:data/test.jsonl"]
    assert one.client("sweep", "garden/neox-tiny", *both, "--follow").returncode == 0
    _, *parts = re.split(r"^\$ bifurcate ", session, flags=re.MULTILINE)
    assert len(parts) == 2
    for part in parts:
        command, shown = part.split("\n", 1)
        told = one.client(*shlex.split(command)).stdout
        assert reads_alike(told, shown), f"{command}\n{told}"


def test_every_column_is_explained(served: Daemon) -> None:
    """EXAMPLES.md has a line for each column of the series, and for nothing else."""
    text = (REPOSITORY / "api/EXAMPLES.md").read_text().split("## The columns of the series")[1].split("\n## ")[0]
    told = [name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert served.client("sweep", "garden/neox-tiny", "--revision", "step0", "--follow").returncode == 0
    with urllib.request.urlopen(f"{served.url}/v1/models/garden/neox-tiny/revisions?format=csv") as answer:
        columns = answer.readline().decode().strip().split(",")
    four = told[told.index("elements") : told.index("perplexity")]
    both = ["msd", "lag1_msd", "cosine", "lag1_cosine", "norm"]
    modes = told[told.index("perplexity_weights_digest") :]
    several = [f"{prefix}{name}" for prefix in ("tokens_", "centred_", "tokens_centred_") for name in four]
    several += [f"tokens_{name}" for name in both] + [f"{prefix}_{name}" for prefix in ("pooled", "text_mean") for name in modes]
    assert sorted(told + several) == sorted(columns)


def test_what_the_administrator_did(machine: Machine, run_all: Callable[..., None]) -> None:
    """After the commands above: backups are there, both were restored, and the service runs again."""
    run_all("deploy/README.md")
    assert (machine.place / "etc/bifurcated/environment").stat().st_mode & 0o777 == 0o600
    assert (machine.state / "before-upgrade.db").exists() and len(list(machine.backups.glob("*.db"))) == 1
    assert len(list(machine.state.glob("bifurcated.db.before-*"))) == 2  # what was there before a backup came back
    asked = [line for line in machine.asked() if line.startswith("systemctl")]
    assert asked.count("systemctl stop bifurcated") == 4 and asked[-1] == "systemctl start bifurcated"
    with urllib.request.urlopen(f"{machine.url}/readyz", timeout=60) as answer:
        assert answer.status == 200


def test_sweeps_of_one_token_are_ended(daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Path, programs: dict[str, Path]) -> None:
    """By the commands of deploy/README.md: its own that are not planned yet, and nobody else's."""
    (lines,) = [block.text for block in COMMANDS if block.document == "deploy/README.md" and "xargs -r bifurcate cancel" in block.text]
    hub = make_hub(garden)
    hub.fault("hold", path="/refs")
    one = daemon(hub)
    sweeps = {}
    for name in ("ci", "ci2"):
        made = subprocess.run([programs["bifurcated"], "token", "create", "--state", one.state, "--name", name], capture_output=True, text=True)
        asked = {"model": "garden/neox-tiny", "priority": len(sweeps)}
        answers = [one.post("/v1/sweeps", asked, {"Authorization": f"Bearer {made.stdout.strip()}"}).json() for _ in range(2)]
        sweeps |= {answer["id"]: name for answer in answers}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", lines], env=environment(one, programs), capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0 and len(sweeps) == 4, done
    states = {number: one.get(f"/v1/sweeps/{number}").json()["state"] for number in sweeps}
    assert states == {number: "cancelled" if name == "ci" else "planning" for number, name in sweeps.items()}, done
    hub.clear_faults()


def test_only_what_is_listed_is_left_out() -> None:
    """Every exception matches as many blocks as it says: a new block is run, or somebody says why not."""
    for listed, blocks in ((OMISSIONS, COMMANDS), (TEXTS, [block for block in BLOCKS if not block.language])):
        for one in listed:
            found = [block.name for block in blocks if find(listed, block.document, block.text) == one]
            assert len(found) == one.blocks, f"{one.document}, {one.pattern!r}: {one.blocks} expected, there are {found}"
    assert sum(one.document == "README.md" for one in OMISSIONS) == 3
    users = [block for block in COMMANDS if block.document in ("README.md", "api/EXAMPLES.md", "deploy/README.md")]
    assert len(users) >= 30


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sudo rm -rf /var/lib/bifurcated", "sudo changes the machine"),
        ("export A=1\napt-get install curl", "apt-get changes the machine"),
        ("no-such-program --help", "no-such-program is not installed"),
        ("A diagram ──> of words", "A is not installed, or not the name of a program"),
        ("bifurcate sweep EleutherAI/pythia-14m", None),
    ],
)
def test_new_blocks_do_not_go_unseen(text: str, expected: str | None, tmp_path: Path) -> None:
    """A block of a program that is missing is not taken for text, and one that changes the machine is not run."""
    (tmp_path / "NEW.md").write_text("Words:\n\n" + "".join(f"    {line}\n" for line in text.splitlines()))
    (block,) = read_blocks(tmp_path / "NEW.md", "NEW.md")
    assert block.language == "sh" and block.text == text
    try:
        told = why_not(block)
    except AssertionError as error:
        told = str(error)
    assert (told is None) == (expected is None) and (expected or "") in (told or "")


def test_commands_within_sentences_exist(programs: dict[str, Path]) -> None:
    """`bifurcate analyze MODEL --schedule cosine` in a sentence: the command and its options are there."""
    known: dict[str, str] = {}

    def help_of(*command: str) -> str:
        if " ".join(command) not in known:
            env = {"PATH": os.environ["PATH"]}
            done = subprocess.run([str(programs[command[0]]), *command[1:], "--help"], capture_output=True, text=True, env=env)
            known[" ".join(command)] = done.stdout if done.returncode == 0 else ""
        return known[" ".join(command)]

    wrong, count = [], 0
    for name in find_documents():
        text = re.sub(r"^```.*?^```", "", (REPOSITORY / name).read_text(), flags=re.MULTILINE | re.DOTALL)
        for span in re.findall(r"`((?:build/\w+/)?bifurcated? [^`\n]+)`", text):
            words = shlex.split(span.split(" > ")[0].replace("…", ""))
            program = Path(words[0]).name
            commands = [program, words[1]] if len(words) > 1 and re.fullmatch(r"[a-z]+", words[1]) else [program]
            options = [word.split("=")[0] for word in words[1:] if word.startswith("--")]
            count += 1
            shown = help_of(*commands) or (help_of(program) if program == "bifurcated" else "")
            if not shown or any(not re.search(rf"{option}\b", shown + help_of(program)) for option in options):
                wrong.append(f"{name}: {span}")
    assert not wrong, wrong
    assert count >= 5


def test_links_lead_somewhere() -> None:
    wrong = []
    for name in find_documents():
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", (REPOSITORY / name).read_text()):
            if not re.match(r"[a-z]+:", target) and not (REPOSITORY / Path(name).parent / target).exists():
                wrong.append(f"{name}: {target}")
    assert not wrong, wrong
