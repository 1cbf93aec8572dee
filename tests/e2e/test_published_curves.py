"""Verdicts on EleutherAI's published LAMBADA curves of Pythia (evals/pythia-v1, zero-shot).

The curves are not part of this repository: $BIFURCATED_LAMBADA_CURVES names the file (columns model, step, ppl), or it
lies in ../shared/data.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from training_runs import NAN, SHAPE, ask, write_run
from verdicts import UNKNOWN

NAME = "pythia_lambada_v1_zeroshot.csv"
BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data" / NAME


def read_curves() -> dict[str, list[tuple[int, float]]]:
    path = Path(os.environ.get("BIFURCATED_LAMBADA_CURVES", BESIDE))
    if not path.is_file():
        pytest.skip(f"the published curves are not here: {path.name} (BIFURCATED_LAMBADA_CURVES names them)")
    curves: dict[str, list[tuple[int, float]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            curves.setdefault(row["model"], []).append((int(row["step"]), float(row["ppl"])))
    return {model: sorted(curve) for model, curve in sorted(curves.items())}


def test_verdicts_on_published_curves() -> None:
    """Real perplexities: the fall at the end of the warm-up, also of pythia-12b-deduped, whose step 8 is a spike of 6.7e8; and
    late harm of the small models alone. The end of pythia-410m-deduped is 5.3 % above its best, which is how far it fluctuates."""
    curves = read_curves()
    blank = {"content": 0, "measured": False, "not_finite": 0.0, "precision": "float16", "msd": NAN, "lag1": NAN, "shapes": [dict.fromkeys(SHAPE, NAN)] * 4}
    runs = [[{"step": step, "perplexity": ppl, **blank} for step, ppl in curve] for curve in curves.values()]
    answers = dict(zip(curves, ask([write_run(run, UNKNOWN) for run in runs]), strict=True))
    for model, answer in answers.items():
        print(f"{model:24} fluctuation {answer['stop']['fluctuation']:.3f} harm {'late_harm' in answer['stop']['cautions']}")
        assert (answer["fall"]["step_from"], answer["fall"]["step_to"]) == (512, 1000), model
        assert 0.01 < answer["stop"]["fluctuation"] < 0.2, model
    harmed = {model for model, answer in answers.items() if "late_harm" in answer["stop"]["cautions"]}
    assert harmed == {"pythia-70m", "pythia-70m-deduped", "pythia-160m"}
