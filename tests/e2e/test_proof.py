"""Short forms of tests/proof: a few kills and a sample of fault points. The whole runs with tests/proof/run."""

from __future__ import annotations

import os
import shutil
import sys
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


def test_every_parser_is_fuzzed(monkeypatch: pytest.MonkeyPatch) -> None:
    fuzz.check_parsers()
    for name in fuzz.names():
        corpus = ROOT / "tests/fuzz/corpus" / name
        assert corpus.is_dir() and any(corpus.iterdir()), f"{name} has no corpus"
    monkeypatch.setitem(fuzz.PARSERS, "what nobody wrote", "nothing")
    with pytest.raises(stage.Wrong, match="parsers without a fuzzer: .'nothing'"):
        fuzz.check_parsers()
