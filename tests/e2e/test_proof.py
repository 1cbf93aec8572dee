"""Short forms of tests/proof: a few kills and a sample of fault points. The whole runs with tests/proof/run."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Callable

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/proof"))

import debian  # noqa: E402
import faults  # noqa: E402
import fuzz  # noqa: E402
import heap  # noqa: E402
import kill  # noqa: E402
import soak  # noqa: E402
import stage  # noqa: E402

from tests.slurm import cluster  # noqa: E402


@pytest.fixture(scope="module")
def build(programs: dict[str, Path]) -> Path:
    return Path(os.environ["BIFURCATED_BUILD"]).resolve()


def test_some_kills(build: Path) -> None:
    print(kill.run(6, seed=11, folder=build))


def test_some_faults(build: Path) -> None:
    print(faults.run(files=6, memory=3, seed=12, folder=build))


def test_without_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kills of jobs are skipped, not passed, and what is missing is said."""
    monkeypatch.setattr(cluster, "PROGRAMS", ("no-such-slurmctld",))
    with pytest.raises(stage.Skipped, match="no kills with Slurm workers: no-such-slurmctld not installed"):
        kill.run(1, seed=1, workers="slurm", folder=Path("/nonexistent"))


def test_nothing_outlives_a_failure(build: Path) -> None:
    """What a part starts ends with it, also where it goes wrong in between; what is left is named."""
    with pytest.raises(stage.Wrong, match="^on purpose$"):
        with stage.workplace("test") as place:
            daemon = stage.Daemon(stage.programs(build), place, None, [], stage.environment())
            daemon.start()
            stage.need(False, "on purpose")
    assert place.exists() and daemon.process.poll() is not None
    shutil.rmtree(place)


def test_where_a_process_hangs_is_told() -> None:
    """Of it and of who works for it; without gdb that is said."""
    command = ["sh", "-c", "echo; read line", "http://here:1"]
    with ExitStack() as stack:
        hangs, works = (stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)) for _ in range(2))
        for one in (hangs, works):
            assert one.stdout.read(1) == b"\n"  # only then it is surely that program
        told = stage.running.stacks(hangs, "http://here:1")
        for one in (hangs, works):
            one.stdin.close()
    if shutil.which("gdb"):
        for one in (hangs, works):
            of_one = told.split(f"process {one.pid}:\n")[1]
            assert "\n#0 " in of_one or "ptrace: Operation not permitted" in of_one
    else:
        assert "gdb" in told


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


def test_programs_are_copies(tmp_path: Path) -> None:
    """A later build does not change what a proof runs."""
    (tmp_path / "build/tests").mkdir(parents=True)
    (tmp_path / "build/bifurcated").write_text("first")
    (tmp_path / "build/tests/fuzz_x").write_text("fuzzer")
    copy = stage.copy_built(tmp_path / "build", ("bifurcated", "fuzz_x"))
    (tmp_path / "build/bifurcated").write_text("second")
    assert (copy / "bifurcated").read_text() == "first" and (copy / "tests/fuzz_x").read_text() == "fuzzer"
    with pytest.raises(stage.Wrong, match="missing: built, but not in"):
        stage.copy_built(tmp_path / "build", ("missing",))


def test_shards_are_the_whole() -> None:
    """Every point is in exactly one shard, also if a counting run sees a place more."""
    places = [faults.Place("write", f"{number:016x}", number, "main", ()) for number in range(1, 30)]
    whole = faults.points_of(places, 3, ("write",), None)
    assert len(whole) == 29 * 7 + 28 and len(set(whole)) == len(whole)
    shards = [set(faults.points_of(places, 3, ("write",), None, (part, 3))) for part in (1, 2, 3)]
    assert sum(map(len, shards)) == len(whole) and set.union(*shards) == set(whole)
    assert all(len(one) > len(whole) // 4 for one in shards)
    assert set(faults.points_of(places[1:], 3, ("write",), None, (1, 3))) == {one for one in shards[0] if one.place != places[0]}


def test_a_journal_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was right is not run again by the same program; what was wrong, and what another program did, is."""
    (tmp_path / "bifurcated").write_text("program")
    place = faults.Place("write", "00000000000000ff", 1, "main", ("main+1f",))
    points, ran = [faults.Point(place, nth, 5) for nth in range(1, 8)], []

    def one_point(_scene: object, point: faults.Point, _number: int) -> str:
        ran.append(point.nth)
        if point.nth == 3:
            raise stage.Wrong("on purpose")
        return "clear error"

    monkeypatch.setattr(faults, "one_point", one_point)
    for program, expected, wrong in (("program", [1, 2, 3, 4, 5, 6, 7], 1), ("program", [3], 1), ("another", [1, 2, 3, 4, 5, 6, 7], 1)):
        (tmp_path / "bifurcated").write_text(program)
        ran.clear()
        journal = faults.Journal(tmp_path / "journal", tmp_path / "bifurcated")
        counts, told = faults.sweep_points(None, points, journal, jobs=3)
        assert sorted(ran) == expected and told == ["on purpose"] * wrong
        assert counts["write"] == {"points": 7, "clear error": 6, "WRONG": 1}
    with open(tmp_path / "journal", "a") as file:
        file.write(f"{journal.digest}\twrite:00")  # cut off
    assert len(faults.Journal(tmp_path / "journal", tmp_path / "bifurcated").outcomes) == 6


def test_a_closed_connection_is_asked_once_more() -> None:
    """Only where there may have been no memory for the answer, and only once."""

    class Closing:
        def __init__(self, closings: int) -> None:
            self.closings = closings
            self.process = subprocess.Popen(["sleep", "60"])

        def request(self, *_: object) -> str:
            self.closings -= 1
            if self.closings >= 0:
                raise ConnectionResetError
            return "answer"

    for closings, may_close, answered in ((0, False, True), (1, True, True), (2, True, False), (1, False, False)):
        daemon = Closing(closings)
        client = faults.Client(daemon, may_close)
        try:
            if answered:
                assert client.get("/") == "answer" and client.was_closed == (closings > 0)
            else:
                with pytest.raises(ConnectionResetError):
                    client.get("/")
        finally:
            daemon.process.kill()
            daemon.process.wait()


def test_every_parser_is_fuzzed(monkeypatch: pytest.MonkeyPatch) -> None:
    fuzz.check_parsers()
    for name in fuzz.names():
        corpus = ROOT / "tests/fuzz/corpus" / name
        assert corpus.is_dir() and any(corpus.iterdir()), f"{name} has no corpus"
    monkeypatch.setitem(fuzz.PARSERS, "what nobody wrote", "nothing")
    with pytest.raises(stage.Wrong, match="parsers without a fuzzer: .'nothing'"):
        fuzz.check_parsers()


def test_the_command_tells_what_went_wrong() -> None:
    """A part that fails is in the summary, and the status is 1."""
    command = [sys.executable, ROOT / "tests/proof/run", "--fuzzers", "nothing", "fuzz"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout.endswith("0 passed, 1 failed\n"), done
    assert "FAILED   fuzz" in done.stdout and "nothing: not all of them are fuzzers" in done.stdout
    assert subprocess.run([*command[:2], "nothing"], capture_output=True).returncode == 2


# ---- would the soak see it? ----------------------------------------------------------------------


def test_connections_are_told_from_other_descriptors(build: Path, tmp_path: Path) -> None:
    daemon = stage.Daemon(stage.programs(build), tmp_path, None, [], stage.environment())
    daemon.start()
    try:
        process, port = Path(f"/proc/{daemon.process.pid}"), soak.port_of(daemon)
        before = soak.count_descriptors(process, port)
        assert before[0] == 0 and before[2] > 3
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(7)]
        for client in clients:  # answered, so accepted
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert client.recv(100)
        assert soak.count_descriptors(process, port) == (7, *before[1:])
        for client in clients:
            client.close()
        soak.await_no_connection(daemon)
        assert soak.count_descriptors(process, port)[0] == 0
    finally:
        daemon.check_end()


def test_heap_counts_every_block(tmp_path: Path) -> None:
    """What the shim says of a process is what that allocates, frees, and leaks on purpose."""
    counts = heap.Heap(stage.compile_shim("heap", tmp_path), tmp_path, leak_bytes=1000)
    code = """
import ctypes, sys
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.realloc.restype = libc.calloc.restype = ctypes.c_void_p
kept = []
print("ready", flush=True)
for line in sys.stdin:
    for size in (1, 100, 100_000):
        first = libc.malloc(ctypes.c_size_t(size))
        libc.free(ctypes.c_void_p(libc.realloc(ctypes.c_void_p(first), ctypes.c_size_t(3 * size))))
    kept.append(libc.calloc(ctypes.c_size_t(5000), ctypes.c_size_t(2)))
    print(len(kept), flush=True)
"""
    command, env = [sys.executable, "-c", code], os.environ | counts.env | {"PYTHONMALLOC": "malloc"}
    samples = []
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"  # the file of counts is there now
        for number in range(1, 31):
            counts.leak()
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{number}\n"
            samples.append(counts.held())
        places = {address: heap.describe(address, process.pid) for address in samples[-1]}
        grown = heap.growth_of(samples)
        process.stdin.close()
    exactly = {address: one for address, one in grown.items() if one.blocks == 11}  # the last ten over the first ten
    (leak,) = [address for address in exactly if places[address].function == "leak"]
    assert exactly[leak].bytes == 11 * (samples[-1][leak].bytes // samples[-1][leak].blocks) >= 11 * 1000
    large = [address for address, one in exactly.items() if one.bytes >= 11 * 10_000]
    assert large and all(places[address].is_large for address in large), "the block that is kept by every round is not seen"
    assert not places[leak].is_large
    with pytest.raises(stage.Wrong, match=r"hold more and more: .*\+11 blocks") as told:
        heap.check_places(samples, list(range(1, 31)), [0] * 30, places.__getitem__)
    assert "leak shim_heap.c" in str(told.value)


def test_heap_knows_who_copies_a_text(tmp_path: Path) -> None:
    source = tmp_path / "copies.c"
    source.write_text("""
#include <stdio.h>
#include <string.h>
static char *volatile kept[2];
__attribute__((noinline)) static void keep_text(void) { kept[0] = strdup("a text"); }
__attribute__((noinline)) static void keep_part(void) { kept[1] = strndup("a text", 3); }
int main(void)
{
    keep_text();
    keep_part();
    if (puts(strcmp(kept[1], "a t") == 0 ? kept[0] : "wrong") < 0 || fflush(stdout))
        return 1;
    return getchar() == 'x';
}
""")
    program = tmp_path / "copies"
    subprocess.run(["cc", "-g", "-O1", "-fno-builtin", "-o", str(program), str(source)], check=True)
    counts = heap.Heap(stage.compile_shim("heap", tmp_path), tmp_path)
    with subprocess.Popen([str(program)], env=os.environ | counts.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "a text\n"
        places = [heap.describe(address, process.pid) for address in counts.held()]
        process.stdin.close()
    assert {"keep_text", "keep_part"} <= {place.function for place in places if place.library == "copies"}


def test_heap_knows_who_prepares_a_statement(tmp_path: Path) -> None:
    source = tmp_path / "prepares.c"
    source.write_text("""
#include <sqlite3.h>
#include <stdio.h>
static sqlite3 *db;
static sqlite3_stmt *kept[3];
__attribute__((noinline)) static void prepare(int number, const char *sql)
{
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &kept[number], NULL) != SQLITE_OK)
        puts("wrong");
}
int main(void)
{
    static const char one[] = "SELECT 1", two[] = "SELECT 2";
    if (sqlite3_open(":memory:", &db) != SQLITE_OK)
        return 1;
    prepare(0, one);
    prepare(1, two);
    prepare(2, one);
    if (puts("done") < 0 || fflush(stdout))
        return 1;
    return getchar() == 'x';
}
""")
    program = tmp_path / "prepares"
    subprocess.run(["cc", "-g", "-O1", "-o", str(program), str(source), "-lsqlite3"], check=True)
    counts = heap.Heap(stage.compile_shim("heap", tmp_path), tmp_path)
    with subprocess.Popen([str(program)], env=os.environ | counts.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "done\n"
        places = {heap.describe(address, process.pid): held for address, held in counts.held().items()}
        process.stdin.close()
    assert counts.statements() == (2, 1)
    assert sum(held.blocks for place, held in places.items() if place.function == "prepare") >= 3
    assert any(place.library == "libsqlite3" for place in places), "what a connection has is not the statements'"


def test_heap_gives_back_what_nobody_uses(tmp_path: Path) -> None:
    """Pages between blocks that live go back to the system, and the shim's counts of pieces and other memory say so."""
    source = tmp_path / "churn.c"
    source.write_text("""
#include "daemon/base/heap.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#define COUNT 2000
static char *volatile large[COUNT], *volatile small[COUNT];
static int tell(const char *what)
{
    int key = 0;
    if (puts(what) < 0 || fflush(stdout))
        exit(1);
    while ((key = getchar()) == 'm') { /* allocates, as it is asked to */
        char *volatile block = malloc(10);
        free(block);
        if (puts("done") < 0 || fflush(stdout))
            exit(1);
    }
    return key;
}
int main(void)
{
    heap_tame();
    for (int i = 0; i < COUNT; i++) {
        large[i] = malloc(32768);
        small[i] = malloc(40);
        memset(large[i], 1, 32768);
        memset(small[i], 2, 40);
    }
    tell("all");
    for (int i = 0; i < COUNT; i++)
        free(large[i]);
    tell("pieces");
    heap_tend();
    tell("tended");
    void *place = (void *)(1L << 42); /* where an arena could begin, too */
    char *other = mmap(place, 10 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (other != place)
        return 1;
    memset(other, 1, 10 << 20);
    return tell("other") == 'x';
}
""")
    program, base = tmp_path / "churn", ROOT / "daemon/base"
    files = [str(source), str(base / "heap.c"), str(base / "clock.c")]
    subprocess.run(["cc", "-g", "-O1", "-D_GNU_SOURCE", "-I", str(ROOT), "-o", str(program), *files], check=True)
    counts = heap.Heap(stage.compile_shim("heap", tmp_path), tmp_path)
    told: dict[str, heap.Memory] = {}
    with subprocess.Popen([str(program)], env=os.environ | counts.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def send(key: str) -> str:
            process.stdin.write(key)
            process.stdin.flush()
            return process.stdout.readline().strip()

        name = process.stdout.readline().strip()
        while name:
            told[name] = counts.memory(process.pid, counts.held(), lambda: send("m"))
            name = send("n")
    block_kib = 2000 * 32
    assert told["all"].live >= block_kib > told["all"].pieces * 10
    assert told["pieces"].live < 1000 and told["pieces"].pieces >= 0.9 * block_kib
    assert told["tended"].pieces <= 0.2 * block_kib, "what lies between blocks that live is kept"
    assert told["tended"].free >= 0.9 * block_kib  # it is free all the same
    assert 10_000 <= told["other"].others - told["tended"].others <= 10_500
    assert abs(told["other"].pieces - told["tended"].pieces) <= 200


def test_pieces_are_in_proportion() -> None:
    def check(*pieces: int) -> str:
        return soak.check_pieces([soak.Sample(n, n, 0, 40_000, 0, one, 0, 0, 0, 0, 0, 0, {}) for n, one in enumerate(pieces)])

    assert "pieces 9000" in check(10_000, 18_192, 9000)
    with pytest.raises(stage.Wrong, match="keeps 18193 KiB beside 40000"):
        check(10_000, 18_193, 9000)


def test_what_grows_and_what_may() -> None:
    """A block in every third sweep is told; what goes up and down, and what is kept within bounds, is not."""
    sweeps = list(range(60))
    dice = random.Random(5)
    answers = heap.CACHES[0]

    def check(blocks: dict[str, Callable[[int], int]], size: int = 100, prepared: int = 0) -> str:
        words = [[*name.split("@"), "bifurcated"] for name in blocks]
        places = {number: heap.Place(library, function, "file.c:1") for number, (function, library, *_) in enumerate(words, 1)}
        samples = [{number: heap.Held(count(sweep), size * count(sweep)) for number, count in enumerate(blocks.values(), 1)} for sweep in sweeps]
        statements = [300 + prepared * (sweep >= 30) for sweep in sweeps]
        return heap.check_places(samples, sweeps, statements, places.__getitem__)

    calm = {"constant": lambda _: 500, "noise": lambda _: dice.randint(0, 100), "warm": lambda sweep: min(sweep, 5)}
    assert "none holds more and more" in check(calm)
    with pytest.raises(stage.Wrong, match="1 places hold more and more: .*slow_leak"):
        check(calm | {"slow_leak": lambda sweep: 500 + sweep // 3})
    with pytest.raises(stage.Wrong, match="answer_of"):
        check(calm | {"answer_of": lambda sweep: sweep})  # nothing is kept that it could belong to
    kept = {answers.entry: lambda sweep: 10 * sweep, "answer_of": lambda sweep: 10 * sweep, "??@libmicrohttpd": lambda sweep: 100 * sweep}
    assert "590 answers" in check(calm | kept)
    with pytest.raises(stage.Wrong, match="1 places hold more and more: .*answer_of"):
        check(calm | kept | {"answer_of": lambda sweep: 30 * sweep})
    with pytest.raises(stage.Wrong, match="answers that are kept hold"):
        check(calm | kept, answers.bytes_max // 4000)
    with pytest.raises(stage.Wrong, match="libsqlite3"):
        check(calm | {"sqlite3MemMalloc@libsqlite3": lambda sweep: 30 * sweep})  # no pages: they are small
    opened = {"open_file": lambda sweep: 2 + sweep // 30, "sqlite3MemMalloc@libsqlite3": lambda sweep: (2 + sweep // 30) * 1900}
    assert "1 connections" in check(calm | opened, 80)
    with pytest.raises(stage.Wrong, match="libsqlite3"):
        check(calm | opened | {"sqlite3MemMalloc@libsqlite3": lambda sweep: (2 + sweep // 30) * 1900 + 200 * sweep}, 80)
    late = {"connection_prepare": lambda sweep: 34198 + 146 * (sweep >= 30)}
    assert "1 statements" in check(calm | late, prepared=1)
    with pytest.raises(stage.Wrong, match="connection_prepare"):
        check(calm | late)  # of no statement that was prepared
    sweeps = sweeps[:20]
    with pytest.raises(stage.Wrong, match="soak for longer"):
        check(calm)


def test_pages_of_sqlite_have_a_bound() -> None:
    pages = heap.CACHES[-1]

    def check(block_bytes: int) -> str:
        samples = [{1: heap.Held(sweep, sweep * block_bytes)} for sweep in range(60)]
        return heap.check_places(samples, list(range(60)), [0] * 60, lambda _: heap.Place("libsqlite3", "??", "", True))

    assert "pages" in check(pages.bytes_max // 59)
    with pytest.raises(stage.Wrong, match="pages that are kept hold"):
        check(pages.bytes_max // 59 + 1)


def test_every_sweep_of_the_soak_scores_something_new() -> None:
    asked = [json.dumps(soak.request(number), sort_keys=True) for number in range(900)]
    assert len(set(asked)) == len(asked)
