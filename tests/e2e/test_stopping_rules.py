"""The stopping rules on EleutherAI's published LAMBADA curves of Pythia (evals/pythia-v1, zero-shot).

The curves are not part of this repository: $BIFURCATED_LAMBADA_CURVES names the file (columns model, step, ppl), or it
lies in ../shared/data. The table that is printed (pytest -s) says what each rule gives up and saves; nothing is tuned
to look good, and the test only holds what must be true of any rule.
"""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from running import find_program
from test_series_oracle import NAN, SHAPE, UNKNOWN, ask, write_run

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


def apply_rules(curves: dict[str, list[tuple[int, float]]]) -> dict[tuple[str, str], dict[str, Any]]:
    lines = [f"{model} {step} {ppl!r}" for model, curve in curves.items() for step, ppl in curve]
    probe = find_program("tests/stopping_probe")
    done = subprocess.run([probe], input="\n".join(lines), capture_output=True, text=True, check=True)
    scores = [json.loads(line) for line in done.stdout.splitlines()]
    return {(score["model"], score["rule"]): score for score in scores}


def print_table(curves: dict[str, list[tuple[int, float]]], scores: dict[tuple[str, str], dict[str, Any]]) -> None:
    print(f"\n{'model':24} {'rule':16} {'step':>8} {'ppl':>10} {'at end':>10} {'given up':>9} {'saved':>7}")
    for (model, rule), score in scores.items():
        end = curves[model][-1][1]
        if score["verdict"] != "yes":
            print(f"{model:24} {rule:16} {'never':>8}")
            continue
        change = 100 * math.expm1(score["given_up"])
        print(
            f"{model:24} {rule:16} {score['step']:8.0f} {score['perplexity']:10.2f} {end:10.2f} "
            f"{change:+8.1f}% {100 * score['saved']:6.1f}%"
        )


def test_published_curves() -> None:
    curves = read_curves()
    scores = apply_rules(curves)
    print_table(curves, scores)
    for (model, _), score in scores.items():
        steps = [step for step, _ in curves[model]]
        perplexities = dict(curves[model])
        if score["verdict"] != "yes":
            continue
        assert score["step"] in steps
        assert score["perplexity"] == perplexities[int(score["step"])]
        assert score["saved"] == pytest.approx(1 - score["step"] / steps[-1])
        assert score["given_up"] == pytest.approx(math.log(score["perplexity"] / perplexities[steps[-1]]))
    for model in curves:
        best = scores[model, "best"]
        assert best["perplexity"] == min(ppl for _, ppl in curves[model])
        # no rule beats the best, which knows the future
        for (other, rule), score in scores.items():
            assert other != model or score["verdict"] != "yes" or score["given_up"] >= best["given_up"] - 1e-12, rule
    # late training made the small models worse, as published
    small = scores["pythia-70m", "best"]
    assert small["step"] == 53000 and small["given_up"] == pytest.approx(math.log(94.3 / 142.4), abs=0.01)


def test_verdicts_on_published_curves() -> None:
    """Real perplexities: the fall at the end of the warm-up, also of pythia-12b-deduped, whose step 8 is a spike of 6.7e8; and
    late harm of the small models alone. The end of pythia-410m-deduped is 5.3 % above its best, which is how far it fluctuates."""
    curves = read_curves()
    blank = {"content": 0, "measured": False, "not_finite": 0.0, "msd": NAN, "lag1": NAN, "shapes": [dict.fromkeys(SHAPE, NAN)] * 4}
    runs = [[{"step": step, "perplexity": ppl, **blank} for step, ppl in curve] for curve in curves.values()]
    answers = dict(zip(curves, ask([write_run(run, UNKNOWN) for run in runs]), strict=True))
    for model, answer in answers.items():
        print(f"{model:24} fluctuation {answer['stop']['fluctuation']:.3f} harm {answer['stop']['cautions'] & 1}")
        assert (answer["fall"]["step_from"], answer["fall"]["step_to"]) == (512, 1000), model
        assert 0.01 < answer["stop"]["fluctuation"] < 0.2, model
    harmed = {model for model, answer in answers.items() if answer["stop"]["cautions"] & 1}
    assert harmed == {"pythia-70m", "pythia-70m-deduped", "pythia-160m"}
