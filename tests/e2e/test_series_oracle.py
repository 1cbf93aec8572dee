"""Verdicts over a run beside a second implementation, from the words of SCIENCE.md alone (verdicts.py).

Runs have Pythia's revisions, parts of them or other grids; forks, duplicates, holes, divergences (training_runs.py).
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from training_runs import ask, make_odd_run, make_run, make_shapes, write_run
from verdicts import UNKNOWN, read_run

np = pytest.importorskip("numpy", reason="numpy is the oracle")

# relative; what is fitted, and what is a difference of sums whose last parts may be a millionth of them
TOLERANCES = {"walk": 1e-4, "log_error": 1e-4, "lag1_log_error": 1e-3, "alpha": 1e-6, "fluctuation": 1e-6} | dict.fromkeys(("rate_per_lr", "rate_per_lr_squared"), 2e-6)


def differences(measured: Any, expected: Any, path: str = "") -> list[str]:
    """Where an answer is not as expected; what is not expected is not looked at."""
    if isinstance(expected, dict):
        return [one for key, value in expected.items() for one in differences(measured.get(key, "absent"), value, f"{path}.{key}")]
    if isinstance(expected, list) and expected and isinstance(expected[0], dict):
        return [one for i, (a, b) in enumerate(zip(measured, expected, strict=True)) for one in differences(a, b, f"{path}[{i}]")]
    if expected is not None and not isinstance(expected, (str, list)) and np.isnan(expected):
        expected = None
    if isinstance(expected, (float, np.floating)) and isinstance(measured, (int, float)):
        relative = TOLERANCES.get(re.sub(r".*\.", "", path), 1e-9)
        return [] if measured == pytest.approx(float(expected), rel=relative, abs=1e-14) else [f"{path}: {measured}, not {expected}"]
    return [] if measured == expected else [f"{path}: {measured}, not {expected}"]


def check_runs(runs: list[Any]) -> list[dict[str, Any]]:
    answers = ask([write_run(*run) for run in runs])
    for number, (run, answer) in enumerate(zip(runs, answers, strict=True)):
        assert differences(answer, read_run(*run)) == [], f"run {number}"
    return answers


def test_verdicts_are_those_of_the_words() -> None:
    answers = check_runs([make_run(number) for number in range(35)])
    verdicts = {(key, one["verdict"]) for answer in answers for key in ("onsets", "rest") for one in answer[key]}
    assert len(verdicts) == 6, "runs of every kind"
    assert {answer["fall"].get("is_beside_onset") for answer in answers} == {0, 1}
    decays = [answer["decay"] for answer in answers if answer["decay"]["log_error"] is not None and answer["decay"]["log_error"] <= 0.2]
    assert {decay["verdict"] for decay in decays} == {"yes", "no"}, "some by displacements between neighbours alone"
    assert {answer["decay"]["walk"] == 0 for answer in answers if answer["decay"]["walk"] is not None} == {True, False}


def test_verdicts_on_odd_runs_are_those_of_the_words() -> None:
    """One revision or many, at any scale, in precisions that change, with constant tensors, NaN, copies, holes, few perplexities."""
    answers = check_runs([make_odd_run(number) for number in range(64)])
    assert {answer["stop"]["verdict"] for answer in answers} == {"insufficient", "no", "yes"}
    said = [{name for answer in answers for name in found(answer)} for found in (lambda one: one["controls"], lambda one: one["stop"]["cautions"])]
    assert [len(names) for names in said] == [7, 9], said
    assert {answer["fall"]["verdict"] for answer in answers} == {"insufficient", "no", "yes"}


def test_a_price_is_that_of_two_revisions() -> None:
    """Where the first perplexity from the stop on is the last of all, stopping seemed to cost nothing, and nothing was known of it."""
    prices = []
    for every in (10, 79, 1000):  # 80 revisions, of which the weights of the second half rest
        points, schedule = make_odd_run(0, is_calm=True)
        for i, point in enumerate(points):
            point["perplexity"] = 20 + 0.01 * i if i and i % every == 0 else np.nan
        stop = check_runs([(points, schedule)])[0]["stop"]
        assert stop["verdict"] == "yes" and stop["step"] == 20500
        prices.append((stop["perplexity_step"], stop["perplexity_end"], "no_perplexity" in stop["cautions"]))
    assert prices == [(25000, pytest.approx(20.7), False), (None, pytest.approx(20.79), True), (None, None, True)]


def test_slopes_of_late_and_close_steps() -> None:
    """Logarithms of 5e7 and 5e7 + 1 differ in their eighth digit, and so do those of the displacement."""
    points, _ = make_run(0)
    for i, point in enumerate(points):
        point |= {"step": 0 if i == 0 else 49_000_000 + i, "measured": True, "content": i + 1, "not_finite": 0.0}
        point["msd"] = float(i and (point["step"] / 1e9) ** 1.5)
        point["shapes"] = make_shapes(0, 1e-3, np.random.default_rng(1))
    alphas = [one["alpha"] for one in ask([write_run(points, UNKNOWN)])[0]["derived"]]
    assert alphas[3:] == pytest.approx([1.5] * (len(points) - 3), rel=1e-6)
