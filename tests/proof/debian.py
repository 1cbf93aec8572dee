"""What the proofs on Debian share: statements, a pristine Debian 12, and the golden numbers of the training run."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

GARDEN = REPOSITORY / "tests/fixtures/garden"
MODEL, DATASET = "garden/neox-tiny", "garden/lambada_garden:data/test.jsonl"
PLACE = REPOSITORY / "build/proof"
passed: list[str] = []


def say(text: str) -> None:
    print(f"== {text}", flush=True)


def require(holds: object, what: str) -> None:
    """One proven statement."""
    if not holds:
        raise SystemExit(f"FAILED: {what}")
    passed.append(what)
    print(f"   {what}", flush=True)


def run(*words: object, **options: object) -> str:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | options
    done = subprocess.run([str(word) for word in words], text=True, **options)
    if done.returncode:
        raise SystemExit(f"FAILED: {' '.join(map(str, words))}: status {done.returncode}\n{(done.stdout + (done.stderr or ''))[-4000:]}")
    return done.stdout


def mirror() -> str:
    """The mirror that this machine's apt uses for Debian's main archive."""
    lines = run("apt-get", "indextargets", "--format", "$(SITE) $(COMPONENT) $(ORIGIN) $(LABEL)", "Created-By: Packages")
    for line in lines.splitlines():
        site, component, *origin = line.split()
        if component == "main" and origin[-1:] == ["Debian"]:
            return site
    raise SystemExit("FAILED: this machine's apt has no mirror of Debian")


def pristine() -> Path:
    """A root of Debian 12 as debootstrap makes it, kept in build/proof; only a whole one has this name."""
    path, unfinished = PLACE / "bookworm", PLACE / "bookworm.unfinished"
    if not path.exists():
        say("Debian 12 by debootstrap")
        PLACE.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)
        run("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", unfinished, mirror())
        unfinished.rename(path)
    return path


class Network:
    """A network with nothing but loopback, and an emulated hub in it."""

    def __init__(self, name: str) -> None:
        self.name, self.hub = name, None
        run("ip", "netns", "add", name)
        try:
            run("ip", "-n", name, "link", "set", "lo", "up")
            words = ["ip", "netns", "exec", name, sys.executable, "-m", "tests.hub", "--root", str(GARDEN / "hub")]
            self.hub = subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
            hello = self.hub.stdout.readline()
            if not hello:
                raise SystemExit("FAILED: the emulated hub does not start")
            self.url = json.loads(hello)["url"]
        except BaseException:  # nobody has it yet who could remove it
            self.remove()
            raise

    def get(self, path: str, port: int = 7143) -> int:
        """The status of an answer; 0 without one."""
        words = ["ip", "netns", "exec", self.name, "curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}",
                 f"http://127.0.0.1:{port}{path}"]  # fmt: skip
        return int(subprocess.run(words, capture_output=True, text=True).stdout or 0)

    def remove(self) -> None:
        if self.hub:
            self.hub.terminate()
            self.hub.wait()
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)


def build_packages(cuda: bool) -> list[Path]:
    say("Packages")
    preset = "package-cuda" if cuda else "package"
    folder = REPOSITORY / "build" / preset
    for old in folder.glob("*.deb"):
        old.unlink()
    run("cmake", "--preset", preset, cwd=REPOSITORY)
    run("cmake", "--build", "--preset", preset, cwd=REPOSITORY)
    packages = sorted(folder.glob("*.deb"), key=lambda path: path.name.split("_")[0])
    require([path.name.split("_")[0] for path in packages] == ["bifurcated", "bifurcated-cuda"][: 1 + cuda],
            f"built {', '.join(path.name for path in packages)}")  # fmt: skip
    # initial-upload-closes-no-bugs is about Debian's own archive; cuBLAS lies where NVIDIA's packages put it.
    run("lintian", "--fail-on", "error,warning", "--suppress-tags", "initial-upload-closes-no-bugs,custom-library-search-path", *packages)
    require(True, "lintian finds neither errors nor warnings")
    run("lintian", "--fail-on", "info", "--tags", "hardening-no-bindnow,hardening-no-relro,hardening-no-pie,hardening-no-fortify-functions", packages[0])
    require(True, "nor a program without a protection that Debian's own have")
    return packages


def check_series(text: str) -> None:
    """The numbers of a series, as CSV, are the committed ones, which numpy, scipy and torch made."""
    rows = list(csv.DictReader(text.splitlines()))
    with open(GARDEN / "golden/unembedding.csv") as file:
        golden = {row["revision"]: row for row in csv.DictReader(file) if row["rows"] == "all"}
    scores = json.loads((GARDEN / "golden/last_word_test.json").read_text())["scores"]
    for row in rows:
        expected = golden[row["revision"]]
        for name, other in (("msd", "msd"), ("variance", "variance"), ("bimodality", "bc")):
            wanted, got = float(expected[other]), float(row[name])
            if not abs(got - wanted) <= 1e-9 * max(abs(wanted), 1e-12) + 1e-15:  # so that NaN is wrong, too
                raise SystemExit(f"FAILED: {row['revision']}: {name} is {got}, not {wanted}")
        wanted, got = scores[f"{row['revision']}/fp32"]["perplexity"], float(row["perplexity"])
        if not abs(got - wanted) <= 1e-4 * wanted:
            raise SystemExit(f"FAILED: {row['revision']}: perplexity is {got}, not {wanted}")
    require(len(rows) == len(golden) and len(rows) > 20, f"{len(rows)} revisions have the golden msd, variance, bimodality and perplexity")
