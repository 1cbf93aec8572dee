"""The law over sizes, beside the likelihood that SCIENCE.md names, scipy's least squares, and simulated suites."""

from __future__ import annotations

import math
from typing import Any

import pytest

from training_runs import NAN, ask

np = pytest.importorskip("numpy", reason="numpy is the oracle")
optimize = pytest.importorskip("scipy.optimize", reason="scipy is the oracle")
stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle")

GRID = np.array([0, *(2**i for i in range(10)), *range(1000, 143001, 1000)])  # Pythia's


def log_likelihood(slope: float, x: Any, low: Any, high: Any) -> tuple[float, float]:
    """The largest one of a line with that slope, each value anywhere between its bounds; and the deviation that it has there."""
    ends = [bound[np.isfinite(bound)] - slope * x[np.isfinite(bound)] for bound in (low, high)]
    span = min(end.min() for end in ends), max(end.max() for end in ends)

    def bad(intercept: float, deviation: float) -> float:
        near, far = ((bound - slope * x - intercept) / deviation for bound in (low, high))
        mirrored = near + far > 0  # where logarithms of the normal are exact
        near, far = np.where(mirrored, -far, near), np.where(mirrored, -near, far)
        tails = stats.norm.logcdf(near), stats.norm.logcdf(far)
        return -float((tails[1] + np.log(-np.expm1(tails[0] - tails[1]))).sum())

    def least(log_deviation: float) -> float:
        found = optimize.minimize_scalar(bad, bounds=span, args=(math.exp(log_deviation),), method="bounded", options={"xatol": 1e-7})
        return float(found.fun)

    found = optimize.minimize_scalar(least, bounds=(math.log(0.01), 3), method="bounded", options={"xatol": 1e-6})
    return -float(found.fun), math.exp(found.x)


def test_law_is_that_of_the_likelihood() -> None:
    """With its interval; seeds of a size are one, and what has not forked, or had at its first revision, bounds from one side."""
    random, cases = np.random.default_rng(7), []
    for n, seeds in ((4, 1), (5, 1), (6, 1), (8, 1), (8, 10), (9, 3)):
        sizes = np.geomspace(1e7, 10 ** random.uniform(9, 10.5), n) * random.uniform(0.8, 1.2, n)
        sizes = np.repeat(sizes, seeds)
        onsets = 2e-2 * sizes**0.6 * np.exp(0.3 * random.normal(size=sizes.size))
        gaps = np.searchsorted(GRID, onsets)
        cases.append((sizes, GRID[gaps - 1].astype(float), GRID[gaps].astype(float)))
    cases[2][2][-1] = NAN  # not forked
    cases[3][2][[0, -1]] = cases[3][1][0], NAN
    cases[3][1][0] = 0  # forked before the first revision that is known
    cases[4][1][-6:], cases[4][2][-6:] = 143000, NAN  # a size whose middle seeds have not forked
    cases[5][1][1], cases[5][2][1] = 143000, NAN  # one seed of three: the middle is known
    answers = ask([["scaling", len(case[0]), *np.column_stack(case).ravel().tolist()] for case in cases])
    for (sizes, before, onsets), answer in zip(cases, answers, strict=True):
        assert answer["reason"] is None and answer["count"] == len(sizes) and answer["unforked"] == np.isnan(onsets).sum()
        groups = [sizes == size for size in np.unique(sizes)]
        x = np.log(np.unique(sizes))
        with np.errstate(divide="ignore"):
            low = np.array([np.median(np.log(before[group])) for group in groups])
        high = np.array([np.median(np.where(np.isnan(onsets), np.inf, np.log(onsets))[group]) for group in groups])
        known = int((np.isfinite(low) & np.isfinite(high)).sum())
        assert answer["sizes"] == len(groups) > known - 1
        best, deviation = log_likelihood(answer["exponent"], x, low, high)
        assert answer["deviation"] == pytest.approx(deviation, rel=1e-3)
        assert all(log_likelihood(answer["exponent"] + aside, x, low, high)[0] < best + 1e-9 for aside in (-0.02, 0.02))
        bound = known / 2 * math.log1p(stats.t.ppf(0.975, known - 2) ** 2 / (known - 2))
        for end in ("low", "high"):
            assert best - log_likelihood(answer[end], x, low, high)[0] == pytest.approx(bound, rel=1e-4), (end, answer)


def test_law_of_exact_onsets_is_scipys() -> None:
    random, cases = np.random.default_rng(8), []
    for n in (5, 6, 9):
        sizes = 10 ** random.uniform(7, 10.5, n)
        sizes[:2] = 1e7, 1e9
        cases.append((sizes, np.exp(0.4 * np.log(sizes) + 0.3 * random.normal(size=n))))
    answers = ask([["scaling", len(sizes), *np.column_stack((sizes, onsets * (1 - 1e-5), onsets)).ravel().tolist()] for sizes, onsets in cases])
    for (sizes, onsets), answer in zip(cases, answers, strict=True):
        law = stats.linregress(np.log(sizes), np.log(onsets))
        reach = stats.t.ppf(0.975, len(sizes) - 2) * law.stderr
        wanted = {"exponent": law.slope, "low": law.slope - reach, "high": law.slope + reach}
        assert {key: answer[key] for key in wanted} == pytest.approx({key: float(value) for key, value in wanted.items()}, abs=1e-3 * reach)
        assert math.log(answer["prefactor"]) == pytest.approx(law.intercept, abs=1e-3 * reach * np.log(sizes).max())


def test_interval_holds_the_exponent_in_95_of_100() -> None:
    """Onsets that follow a law and are seen on Pythia's grid; a line through the steps at which they were seen held it in 42."""
    random, lines = np.random.default_rng(9), []
    sizes = np.array([14e6, 30e6, 70e6, 162e6, 405e6, 1.01e9, 1.41e9, 2.78e9, 6.86e9, 11.8e9])
    for _ in range(200):
        gaps = np.searchsorted(GRID, 600 * np.exp(0.1 * random.normal(size=sizes.size)))
        lines.append(["scaling", sizes.size, *np.column_stack((sizes, GRID[gaps - 1], GRID[gaps])).astype(float).ravel().tolist()])
    held = sum(answer["low"] <= 0 <= answer["high"] for answer in ask(lines))
    assert held >= 180, held
