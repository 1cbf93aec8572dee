"""Short forms of tests/proof: a few kills and a sample of fault points. The whole runs with tests/proof/run.

(What the proofs of installed programs share: test_proof_installed.py. What the soak sees: test_proof_soak.py.)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/proof"))

import faults  # noqa: E402
import fuzz  # noqa: E402
import kill  # noqa: E402
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
