"""Short forms of tests/proof: a few kills and a sample of fault points. The whole runs with tests/proof/run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/proof"))

import faults  # noqa: E402
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
