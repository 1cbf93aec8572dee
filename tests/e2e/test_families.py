"""Perplexity of GPT-2, BLOOM and of the families after Llama, from the hub to the series: the numbers of lm-evaluation-harness, whatever the files are.

What config.json means key by key is test_scoring_oracle.py's.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from running import Daemon

pytest.importorskip("numpy", reason="numpy makes the models up")

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "golden"))
import families_run  # noqa: E402

from tests.hub import Emulator  # noqa: E402

GOLDEN = json.loads((HERE / "golden/families_run.json").read_text())
REQUEST = {"metrics": ["statistics", "perplexity"], "dataset": "made-up/words:data/test.jsonl"}
LOGPROB_TOLERANCE = 1e-4
FEW = 6  # texts for an emulated GPU, which takes a second of processor time for five
HALF_TOLERANCE = 0.02  # of a perplexity, half precision against float32


@pytest.fixture(scope="module")
def families_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(families_run.write_root(tmp_path_factory.mktemp("families"))) as hub:
        yield hub


def assert_golden(row: dict[str, Any], family: str) -> None:
    golden = GOLDEN[f"{family}/{row['revision']}"]
    assert row["perplexity_documents"] == golden["documents"] and row["accuracy"] == golden["accuracy"]
    assert row["perplexity"] == pytest.approx(golden["perplexity"], rel=LOGPROB_TOLERANCE)


@pytest.mark.parametrize("family", families_run.RUNS)
def test_a_sweep_gives_the_harness_s_numbers(daemon: Callable[..., Daemon], families_hub: Emulator, family: str) -> None:
    one = daemon(families_hub, "--device", "cpu")
    sweep = one.wait(one.sweep(f"made-up/{family}", **REQUEST))
    assert sweep["state"] == "done", sweep
    rows = one.series(f"made-up/{family}")
    assert [row["revision"] for row in rows] == list(families_run.REVISIONS)
    for row in rows:
        assert_golden(row, family)
        assert row["mean"] is not None


@pytest.fixture
def beside_a_gpu(daemon: Callable[..., Daemon]) -> Callable[[Emulator], Daemon]:
    module = Path(os.environ.get("BIFURCATED_BUILD", "build/release")).resolve() / "tests/emulation/bifurcated_cuda.so"
    if not module.exists():
        pytest.skip(f"{module} is not built: it needs CUDA's headers, a C++ compiler and x86-64")
    return lambda hub: daemon(hub, "--cuda-module", str(module), env={"BIFURCATED_EMULATION": "gpu=h100"})


@pytest.mark.parametrize(("family", "revision"), (("llama", "step2"), ("olmo2", "step3")))
def test_a_gpu_gives_them_too(
    beside_a_gpu: Callable[..., Daemon], daemon: Callable[..., Daemon], families_hub: Emulator, family: str, revision: str
) -> None:
    """Of a few texts what the processor gives, whose numbers of all are the harness's."""
    rows = []
    for one in (beside_a_gpu(families_hub), daemon(families_hub, "--device", "cpu")):
        sweep = one.wait(one.sweep(f"made-up/{family}", revisions={"names": [revision]}, limit=FEW, **REQUEST))
        assert sweep["state"] == "done", sweep
        rows += [row for row in one.series(f"made-up/{family}") if row["revision"] == revision]
    gpu, cpu = rows
    assert gpu["backend"] == "cuda" and gpu["perplexity_backend"] == "cuda" and cpu["perplexity_backend"] == "cpu"
    assert gpu["perplexity_documents"] == cpu["perplexity_documents"] == FEW
    assert gpu["perplexity"] == pytest.approx(cpu["perplexity"], rel=HALF_TOLERANCE)


def test_what_a_gpu_does_not_score_the_processor_does(
    beside_a_gpu: Callable[..., Daemon], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The GPU counts; the result says what scored it; the log says so once for a sweep."""
    wide = ({"head_dim": 2050}, families_run.families.Shape(head=2050), [])
    monkeypatch.setattr(families_run, "RUNS", {"llama": wide})
    with Emulator(families_run.write_root(tmp_path)) as hub:
        one = beside_a_gpu(hub)
        sweep = one.wait(one.sweep("made-up/llama", limit=4, **REQUEST))
        assert sweep["state"] == "done", sweep
        for row in one.series("made-up/llama"):
            assert row["backend"] == "cuda" and row["perplexity_backend"] == "cpu" and row["perplexity"] > 1
        told = one.told("scored on the processor")
        assert len(told) == 1 and "heads of 2050 dimensions: beyond 2048, on the CPU only" in told[0], told


def test_what_half_precision_does_not_hold_is_scored_in_float32(
    beside_a_gpu: Callable[..., Daemon], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Powers of two that the MLP multiplies by and divides by again change nothing but the range: of its products in step1, of its weights,
    too, in step2. Where a weight itself is no number (step3), the precision is not to blame."""
    own, powers = families_run.weights, {1: 16, 2: 24}

    def weights(family: str, step: int) -> families_run.families.Weights:
        made = own(family, 1)
        for name, values in made.items():
            values *= 2.0 ** (powers.get(step, 0) * (("up_proj" in name) - ("down_proj.weight" in name)))
        if step == 3:
            made["model.norm.weight"][0] = float("nan")
        return made

    monkeypatch.setattr(families_run, "weights", weights)
    monkeypatch.setattr(families_run, "RUNS", {"llama": families_run.RUNS["llama"]})
    monkeypatch.setattr(families_run, "REVISIONS", dict.fromkeys(("step0", "step1", "step2", "step3"), "float32"))
    monkeypatch.setattr(families_run, "texts", lambda: json.dumps({"text": "I am he"}) + "\n")
    with Emulator(families_run.write_root(tmp_path)) as hub:
        one = beside_a_gpu(hub)
        for _ in range(2):  # the second finds what the first has found out
            sweep = one.wait(one.sweep("made-up/llama", **REQUEST | {"metrics": ["perplexity"]}))
            assert sweep["state"] == "done", sweep
        rows = one.series("made-up/llama")
        assert {row["perplexity_backend"] for row in rows} == {"cuda"}
        assert [row["perplexity_precision"] for row in rows] == ["half", "float32", "float32", "half"]
        values = [row["perplexity"] for row in rows]
        assert values[1] == pytest.approx(values[2], rel=1e-6) and values[0] == pytest.approx(values[1], rel=HALF_TOLERANCE)
        assert values[3] is None
        told = [line for line in one.log().splitlines() if "scored again in float32" in line]
        assert len(told) == 1 and "sweep=1" in told[0], told
