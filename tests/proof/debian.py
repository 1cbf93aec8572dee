"""What the proofs on Debian and Ubuntu share: statements, pristine roots, packages, and the golden numbers of the training run."""

from __future__ import annotations

import csv
import ctypes
import dataclasses
import filecmp
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

GARDEN = REPOSITORY / "tests/fixtures/garden"
MODEL, DATASET = "garden/neox-tiny", "garden/lambada_garden:data/test.jsonl"
PLACE = REPOSITORY / "build/proof"
OURS = platform.freedesktop_os_release().get("VERSION_CODENAME", "")  # this machine's own release
SUITES = {"bookworm": "Debian 12", "trixie": "Debian 13", "noble": "Ubuntu 24.04", "resolute": "Ubuntu 26.04"}
DEFAULT_SUITE = OURS if OURS in SUITES else "bookworm"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
passed: list[str] = []


@dataclasses.dataclass(frozen=True)
class Distribution:
    """What its archives are, for apt and debootstrap."""

    archive: str  # for machines whose apt has none of its mirrors
    components: tuple[str, ...]
    pockets: tuple[str, ...] = ("",)  # what has no point releases has its fixes apart
    script: str = ""  # debootstrap's, for releases that are newer than debootstrap


DISTRIBUTIONS = {
    "Debian": Distribution("http://deb.debian.org/debian", ("main",)),
    "Ubuntu": Distribution("http://archive.ubuntu.com/ubuntu", ("main", "universe"), ("", "-updates"), "gutsy"),
}


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


def own_mounts() -> None:
    """What is mounted from here on this process and its children see alone, and it goes with them, however they end."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x00020000):  # CLONE_NEWNS; Python has it from 3.12 on
        raise SystemExit(f"FAILED: no mounts of one's own: {os.strerror(ctypes.get_errno())}")
    run("mount", "--make-rprivate", "/")


def mounts_below(path: Path) -> list[Path]:
    """The last one first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    places = [Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split()[4])) for line in lines]
    return [place for place in reversed(places) if place.is_relative_to(path.resolve())]


def remove(path: Path) -> None:
    """A root that was made here, if it is there; never what is mounted in it: where that stays, all stays."""
    for place in mounts_below(path):
        subprocess.run(["umount", place], capture_output=True)
    if left := mounts_below(path):
        raise SystemExit(f"FAILED: {path} is not removed: {left[0]} is mounted, and in use")
    if path.exists():
        shutil.rmtree(path)


def mirror(name: str) -> str:
    """Of a distribution: what DEBIAN_MIRROR or UBUNTU_MIRROR says, else the mirror that this machine's apt uses, else the public one."""
    if given := os.environ.get(f"{name.upper()}_MIRROR"):
        return given
    lines = run("apt-get", "indextargets", "--format", "$(SITE) $(COMPONENT) $(ORIGIN) $(LABEL)", "Created-By: Packages")
    for line in lines.splitlines():
        site, component, *origin = line.split()
        if component == "main" and origin[-1:] == [name]:
            return site
    return DISTRIBUTIONS[name].archive


def pristine(suite: str = "bookworm") -> Path:
    """A root of this release as debootstrap makes it, kept in build/proof; only a whole one has this name."""
    path, unfinished = PLACE / suite, PLACE / f"{suite}.unfinished"
    if not path.exists():
        say(f"{SUITES[suite]} by debootstrap")
        PLACE.mkdir(parents=True, exist_ok=True)
        remove(unfinished)
        name = SUITES[suite].split()[0]
        ours, site = DISTRIBUTIONS[name], mirror(name)
        scripts = Path("/usr/share/debootstrap/scripts")
        script = [] if (scripts / suite).exists() or not ours.script else [scripts / ours.script]
        components = ",".join(ours.components)
        run("debootstrap", "--variant=minbase", "--include=ca-certificates", f"--components={components}", suite, unfinished, site, *script)
        lines = [f"deb {site} {suite}{pocket} {' '.join(ours.components)}\n" for pocket in ours.pockets]
        (unfinished / "etc/apt/sources.list").write_text("".join(lines))
        unfinished.rename(path)
    return path


def clone(path: Path, suite: str) -> None:
    """A copy of the pristine root that reaches the mirror; no service starts in it, and its packages need not outlive a loss of power."""
    path.mkdir(parents=True)
    run("cp", "-a", "--reflink=auto", f"{pristine(suite)}/.", path)
    policy = path / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    (path / "etc/dpkg/dpkg.cfg.d/proof").write_text("force-unsafe-io\n")
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", path / "etc" / name)
    for proxy in Path("/etc/apt/apt.conf.d").glob("*proxy*"):
        shutil.copy(proxy, path / "etc/apt/apt.conf.d")


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


class Builder:
    """A root of another release with what the build needs, kept in build/proof; only a whole one has this name."""

    def __init__(self, suite: str) -> None:
        self.path = PLACE / f"{suite}-builder"
        if self.path.exists():
            return
        say(f"{SUITES[suite]}, to build in")
        unfinished = PLACE / f"{suite}-builder.unfinished"
        remove(unfinished)
        clone(unfinished, suite)
        shutil.copy(REPOSITORY / "deploy/packages.sh", unfinished / "tmp")
        install = ". /tmp/packages.sh; apt-get -qq update; apt-get -qq -y --no-install-recommends install $packages_run $packages_build $packages_package lintian"
        self.inside(unfinished, "sh", "-ec", install)
        unfinished.rename(self.path)

    @staticmethod
    def inside(root: Path, *words: object) -> str:
        """With its own /proc, which is gone afterwards."""
        return run("unshare", "--mount", "--pid", "--fork", "--kill-child", f"--root={root}", "--mount-proc", *words, env=ENVIRONMENT)

    def run(self, *words: object) -> str:
        return self.inside(self.path, *words)

    def take_source(self) -> None:
        """The working tree without what git ignores. What an earlier build made stays, and a file that differs is as new as now: by its
        time here it may be older than what was made, of another version, since then."""
        source = self.path / "source"
        source.mkdir(exist_ok=True)
        listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=REPOSITORY).split("\0")
        wanted = {name for name in listed if name and os.path.lexists(REPOSITORY / name)}
        for folder, folders, files in os.walk(source):
            inside = Path(folder).relative_to(source)
            folders[:] = [name for name in folders if inside / name != Path("build")]
            for name in files + [name for name in folders if (Path(folder) / name).is_symlink()]:
                if str(inside / name) not in wanted:
                    (Path(folder) / name).unlink()
        for name in wanted:
            ours, theirs = REPOSITORY / name, source / name
            if not is_same(ours, theirs):
                theirs.parent.mkdir(parents=True, exist_ok=True)
                theirs.unlink(missing_ok=True)
                shutil.copy(ours, theirs, follow_symlinks=False)


def is_same(one: Path, other: Path) -> bool:
    if not os.path.lexists(other) or one.lstat().st_mode != other.lstat().st_mode:
        return False
    return os.readlink(one) == os.readlink(other) if one.is_symlink() else filecmp.cmp(one, other, shallow=False)


def build_packages(cuda: bool, suite: str) -> list[Path]:
    """Built on this machine, or for another release than its own in a root of that one."""
    if cuda and suite != OURS:
        raise SystemExit("FAILED: the package with the CUDA module is built for this machine's own release alone")
    builder = None if suite == OURS else Builder(suite)
    if builder:
        builder.take_source()
    top = builder.path / "source" if builder else REPOSITORY

    def inside(*words: object) -> None:
        builder.run("sh", "-ec", f"cd /source && {shlex.join(map(str, words))}") if builder else run(*words, cwd=top)

    say(f"Packages for {SUITES[suite]}")
    preset = "package-cuda" if cuda else "package"
    for old in (top / "build" / preset).glob("*.deb"):
        old.unlink()
    inside("cmake", "--preset", preset)
    inside("cmake", "--build", "--preset", preset)
    packages = sorted((top / "build" / preset).glob("*.deb"), key=lambda path: path.name.split("_")[0])
    require([path.name.split("_")[0] for path in packages] == ["bifurcated", "bifurcated-cuda"][: 1 + cuda],
            f"built {', '.join(path.name for path in packages)}")  # fmt: skip
    names = [path.relative_to(top) for path in packages]
    # initial-upload-closes-no-bugs is about Debian's own archive; cuBLAS lies where NVIDIA's packages put it.
    inside("lintian", "--fail-on", "error,warning", "--suppress-tags", "initial-upload-closes-no-bugs,custom-library-search-path", *names)
    require(True, "lintian finds neither errors nor warnings")
    inside("lintian", "--fail-on", "info", "--tags", "hardening-no-bindnow,hardening-no-relro,hardening-no-pie,hardening-no-fortify-functions", names[0])
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
