"""The audit beside a second implementation, from the words of SCIENCE.md alone (audits.py), on runs that are spoilt in every way."""

from __future__ import annotations

import math
from typing import Any

import pytest

from audits import audit
from training_runs import NAN, ask, choose_odd_steps, write_audit

np = pytest.importorskip("numpy", reason="numpy makes the runs")


def make_points(number: int) -> list[dict[str, Any]]:
    """A walk of which revisions are missing, not measured, copies, not finite, or lie elsewhere."""
    random = np.random.default_rng([20240315, number])
    steps = choose_odd_steps(random)
    for _ in range(int(random.integers(0, 3)) if len(steps) > 8 else 0):
        del steps[int(random.integers(1, len(steps) - 1))]
    copied, apart = random.choice([0, 0.05, 0.3]), random.choice([0, 0.1])
    points = [{"step": step, "content": i + 1, "measured": random.uniform() < 0.9, "not_finite": 0.0, "lag1": NAN} for i, step in enumerate(steps)]
    for point in points:
        point |= {"msd": 1e-6 * (point["step"] + 1) * math.exp(0.05 * random.normal()), "skip": NAN}
        if not point["measured"]:
            point["content"] *= int(random.uniform() < 0.5)
        elif random.uniform() < copied:
            point["content"] = random.choice([points[0], points[-1], random.choice(points)])["content"]
        if random.uniform() < 0.03:
            point["not_finite"] = random.uniform()
    measured = [point for point in points if point["measured"]]
    for before, after in zip(measured, measured[1:], strict=False):
        after["lag1"] = 1e-6 * (after["step"] - before["step"]) * math.exp(0.3 * random.normal())
    for here, after in zip(measured[1:], measured[2:], strict=False):
        here["skip"] = here["lag1"] + after["lag1"]
        if random.uniform() < apart:
            here["msd"] *= math.exp(random.uniform(-3, 3))
            here["lag1"] = 1e-6 * here["step"] * random.uniform(0.1, 3)
            after["lag1"] = here["lag1"] * random.uniform(0.5, 2)
    return points


def make_still(steps: list[int], contents: list[int]) -> list[dict[str, Any]]:
    """Nothing is known but what equals what."""
    unknown = dict.fromkeys(("msd", "lag1", "skip"), NAN) | {"measured": True, "not_finite": 0.0}
    return [unknown | {"step": step, "content": content} for step, content in zip(steps, contents, strict=True)]


def keys_of(findings: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((one["step"], one["kind"], one["index"], one["other"], round(one["evidence"], 9)) for one in findings)


def test_findings_are_those_of_the_words() -> None:
    steps = [0, 1, 2, 3, 5, 7, 9]  # whose distances of 1 and 2 are as many
    runs = [make_points(number) for number in range(300)] + [make_still(steps, list(range(1, 8)))]
    answers, seen = ask([write_audit(points) for points in runs]), set()
    for number, (points, answer) in enumerate(zip(runs, answers, strict=True)):
        wanted = audit(points)
        assert (answer["grid"], answer["distinct"]) == (wanted["grid"], wanted["distinct"]), number
        assert keys_of(answer["findings"]) == keys_of(wanted["findings"]), number
        seen |= {one["kind"] for one in wanted["findings"]}
    assert seen == {"duplicate", "unchanged", "out_of_line", "missing", "not_finite"}


def test_a_first_update_at_rate_0_stays_one_beside_a_copy() -> None:
    """Step 1 of a Pythia equals step 0; where a later name serves these weights, too, that one is the duplicate, unless it is the last."""
    steps = [0, 1, 2, 4, 8]
    kinds = []
    for contents in ([1, 1, 2, 1, 3], [1, 1, 2, 3, 1], [1, 2, 3, 3, 3], [1, 2, 1, 1, 3]):
        answer = ask([write_audit(make_still(steps, contents))])[0]
        kinds.append([(one["step"], one["kind"]) for one in answer["findings"]])
    assert kinds == [
        [(1, "unchanged"), (4, "duplicate")],
        [(1, "duplicate"), (8, "duplicate")],
        [(4, "unchanged"), (8, "unchanged")],
        [(2, "duplicate"), (4, "duplicate")],
    ]
