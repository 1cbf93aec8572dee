"""The shape of a distribution (dip, valley, modes, mixture) beside scipy, and forks of known truth.

Two more oracles are optional, because they are not everywhere and one is copyleft: `diptest` (the dip) and
scikit-learn (the mixture) are used where they can be imported.
"""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dtypes import to_dtype
from running import find_program

np = pytest.importorskip("numpy", reason="numpy is the oracle")
optimize = pytest.importorskip("scipy.optimize", reason="scipy is the oracle")
signal = pytest.importorskip("scipy.signal", reason="scipy is the oracle")
stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle")

SEED = 20240313


@pytest.fixture(scope="module")
def probe() -> Path:
    return find_program("tests/statistics_probe")


def shape_cases() -> list[Any]:
    """Samples for dip and mixture: one mode, two modes, ties."""
    random = np.random.default_rng(SEED)
    cases = []
    for i in range(120):
        n = int(random.integers(50, 5000))
        normal = random.normal(size=n)
        shift = np.where(random.uniform(size=n) < random.uniform(0.2, 0.8), random.uniform(0, 6), 0)
        cases.append(
            [
                normal,
                normal + shift,
                random.exponential(size=n),
                random.uniform(size=n),
                random.laplace(size=n),
                np.round(normal * 3),
                np.round((normal + shift) * 8) / 8,
                np.concatenate([np.zeros(2 * n), np.round(normal, 1)]),
                (normal + shift).astype(np.float16).astype(np.float64),
                random.integers(0, 5, size=n).astype(np.float64),
            ][i % 10]
        )
    return cases + [np.full(50, 3.5), np.array([0.0] * 90 + [1.0] * 10), np.array([-1.0] * 5 + [0.0] * 100 + [1.0] * 5)]


def run_shapes(probe: Path, cases: list[Any]) -> list[dict[str, Any]]:
    lines = []
    for case in cases:
        values, counts = np.unique(case, return_counts=True)
        lines.append(str(len(values)))
        lines += [f"{value!r} {count}" for value, count in zip(values.tolist(), counts.tolist(), strict=True)]
    done = subprocess.run([str(probe), "dip"], input="\n".join(lines), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_dip_equals_diptest(probe: Path) -> None:
    diptest = pytest.importorskip("diptest", reason="diptest (copyleft) is an optional oracle")
    cases = shape_cases()
    for i, (case, measured) in enumerate(zip(cases, run_shapes(probe, cases), strict=True)):
        assert abs(measured["dip"] - diptest.dipstat(np.sort(case))) <= 1e-12, i


def nearest_unimodal(case: Any) -> float:
    """The dip by its definition: for each place of the mode a linear programme finds the nearest distribution function that is
    convex before it, concave behind it and may leap there."""
    values, counts = np.unique(case, return_counts=True)
    above = np.cumsum(counts) / case.size
    below, size, best = above - counts / case.size, values.size, 1.0
    for mode in range(size):  # unknown: the function at each value (at the mode: before the leap), after the leap, the distance
        rows, bounds = [], []
        sides = [list(range(mode + 1)), [size, *range(mode + 1, size)]]
        for i, steps in [(i, (above[i], below[i])) for i in range(size) if i != mode] + [(mode, (below[mode],)), (size, (above[mode],))]:
            for sign in (1, -1):
                for step in steps:
                    rows.append({i: sign, size + 1: -1})
                    bounds.append(sign * step)
        for i, k in [*zip(sides[0], sides[0][1:], strict=False), (mode, size), *zip(sides[1], sides[1][1:], strict=False)]:
            rows.append({i: 1, k: -1})
            bounds.append(0)
        for side, sign in ((sides[0], 1), (sides[1], -1)):
            for i, k, m in zip(side, side[1:], side[2:], strict=False):
                at = [values[mode if one == size else one] for one in (i, k, m)]
                first, second = sign / (at[1] - at[0]), sign / (at[2] - at[1])
                rows.append({i: -first, k: first + second, m: -second})
                bounds.append(0)
        matrix = np.zeros((len(rows), size + 2))
        for line, row in enumerate(rows):
            matrix[line, list(row)] = list(row.values())
        found = optimize.linprog([0] * (size + 1) + [1], A_ub=matrix, b_ub=bounds, bounds=(0, 1))
        best = min(best, found.fun if found.success else 1)
    return max(best, 1 / (2 * case.size))


def test_dip_is_the_distance_from_the_nearest_unimodal(probe: Path) -> None:
    random, cases = np.random.default_rng(SEED), []
    for i in range(60):
        normal = random.normal(size=int(random.integers(4, 16)))
        other = random.integers(0, 5, normal.size).astype(float)
        cases.append([normal, np.round(normal * 2), normal + 4 * (other > 2), np.exp(normal), other][i % 5])
    for i, (case, measured) in enumerate(zip(cases, run_shapes(probe, cases), strict=True)):
        assert measured["dip"] == pytest.approx(nearest_unimodal(case), abs=1e-8), i


def smoothed(case: Any) -> tuple[Any, Any]:
    """512 bins over five deviations to each side, each value shared between two; and with a Gaussian of 0.08 deviations or Silverman's."""
    mean, deviation = case.mean(), case.std()
    places = (case - mean + 5 * deviation) / deviation * 51.2 - 0.5
    inside = places[(places >= 0) & (places < 511)]
    at = inside.astype(int)
    bins = np.bincount(at, 1 - (inside - at), 512) + np.bincount(at + 1, inside - at, 512)
    width = max(0.08, 0.9 * case.size**-0.2) * 51.2
    return bins, np.convolve(bins, np.exp(-0.5 * (np.arange(-511, 512) / width) ** 2))[511:1023]


def smoothed_valley(case: Any) -> float:
    """Of peaks from a twentieth of the highest on."""
    density = smoothed(case)[1]
    padded = np.concatenate([[-1], density, [-1]])
    is_peak = (density > padded[:-2]) & (density >= padded[2:]) & (density >= density.max() / 20)
    peaks = np.flatnonzero(is_peak).tolist()
    pairs = [(a, b) for a in peaks for b in peaks if a < b]
    return min([1.0, *(density[a : b + 1].min() / min(density[a], density[b]) for a, b in pairs)])


def count_modes(case: Any) -> int:
    """scipy's prominence, of a tenth of each peak's height, and at least a twentieth of the values between the valleys."""
    bins, density = smoothed(case)
    padded = np.concatenate([[0], density, [0]])
    peaks, found = signal.find_peaks(padded, height=padded.max() / 20, prominence=0)
    peaks = peaks[found["prominences"] >= 0.1 * padded[peaks]] - 1
    valleys = [a + int(np.argmin(density[a : b + 1])) for a, b in zip(peaks, peaks[1:], strict=False)]
    shares = [part.sum() / bins.sum() for part in np.split(bins, valleys)]
    return sum(share >= 0.05 for share in shares)


def test_valley_is_that_of_the_smoothed_density(probe: Path) -> None:
    cases = [case for case in shape_cases() if case.size > 300 and np.unique(case).size > 100]
    assert len(cases) > 50
    for i, (case, measured) in enumerate(zip(cases, run_shapes(probe, cases), strict=True)):
        assert measured["valley_to_peak"] == pytest.approx(smoothed_valley(body_of(case)), abs=2e-4), i  # the kernel ends at four widths


def test_modes_are_scipys_prominent_peaks(probe: Path) -> None:
    random, cases = np.random.default_rng(SEED), [case for case in shape_cases() if np.ptp(case) > 0]
    for i in range(80):
        places, shares = random.uniform(-8, 8, size=1 + i % 5), random.dirichlet(np.full(1 + i % 5, 2.0))
        picked = random.choice(places.size, 20_000, p=shares)
        cases.append(places[picked] + random.normal(size=20_000) * random.uniform(0.3, 1.5, places.size)[picked])
    wanted = [count_modes(body_of(case)) for case in cases]
    assert [measured["modes"] for measured in run_shapes(probe, cases)] == wanted
    assert set(wanted) >= {1, 2, 3, 4}


def is_fork(measured: dict[str, Any]) -> bool:
    """An onset's criterion, but for the spacing of codes."""
    return measured["dip"] >= 0.005 and measured["valley_to_peak"] <= 0.9 and (measured["ashman_d"] >= 2 or measured["modes"] >= 2)


def test_no_shape_of_one_mode_is_a_fork(probe: Path) -> None:
    """As bfloat16 and float16, at all distances from zero at which codes lie closer than 0.08 deviations."""
    random, size, cases = np.random.default_rng(SEED), 200_000, []
    flat, zeros = random.uniform(-1.7, 1.7, size), np.where(random.uniform(size=size) < 0.3, 0, random.normal(size=size))
    tails = [np.clip(random.standard_t(freedom, size), -1e4, 1e4) for freedom in (1, 2, 3)]
    skewed = [random.exponential(size=size), random.lognormal(size=size), random.gamma(3, size=size)]
    wide = random.normal(size=size) * np.where(random.uniform(size=size) < 0.5, 0.2, 1)
    shapes = [random.normal(size=size), flat, zeros, *tails, *skewed, wide, random.laplace(size=size), flat + 0.2 * random.normal(size=size)]
    for shape in shapes:
        for distance in (0, 1, 3, 8, 12, 16, 40, 100):
            for dtype in ("bfloat16", "float16"):
                case = to_dtype(((shape + distance) * random.uniform(0.005, 0.05))[None], dtype)[1].ravel()
                low, high = np.quantile(case, [0.05, 0.95])
                spacing = 2.0 ** (math.floor(math.log2(max(abs(low), abs(high)))) - (7 if dtype == "bfloat16" else 10))
                if spacing < 0.08 * (high - low) / 3.29:
                    cases.append(case)
    assert len(cases) > 100
    assert [i for i, measured in enumerate(run_shapes(probe, cases)) if is_fork(measured)] == []


def test_three_modes_are_a_fork(probe: Path) -> None:
    """Of two normals over a heavy middle and its sides, both lie in the middle: Ashman's D is near 0, however far the sides are."""
    random, size, shares = np.random.default_rng(SEED), 200_000, [0.15, 0.7, 0.15]
    cases = [random.choice([-distance, 0, distance], size, p=shares) + random.normal(size=size) for distance in (2, 4, 6, 10)]
    closed, *forks = run_shapes(probe, cases)
    assert not is_fork(closed) and closed["modes"] == 1
    assert all(is_fork(fork) and fork["modes"] == 3 and fork["ashman_d"] < 0.1 for fork in forks)


def body_of(case: Any) -> Any:
    """What mixture and valley are of: from the 5 % to the 95 % quantile, and three quarters of that range beyond each."""
    low, high = np.quantile(case, [0.05, 0.95], method="inverted_cdf")
    reach = 0.75 * (high - low)
    return case[(case >= low - reach) & (case <= high + reach)] if high > low else case


def test_far_entries_take_no_component(probe: Path) -> None:
    """Few far entries leave dip, mixture and valley as they are, so that a fork is found beside them."""
    random, cases = np.random.default_rng(SEED), []
    core = (random.normal(size=100_000) + np.where(random.uniform(size=100_000) < 0.5, -2, 2)) * 0.02
    for count, size in ((0, 0.0), (1, 65504.0), (10, 2.0), (100, 0.6), (500, 0.6), (3000, 0.6)):
        case = core.copy()
        case[:count] = size * np.sign(random.normal(size=count))
        cases.append(case.astype(np.float16).astype(np.float64))
    clean, *others = run_shapes(probe, cases)
    assert clean["dip"] > 0.04 and 3.9 < clean["ashman_d"] < 4.1 and 0.45 < clean["weight1"] < 0.55
    for i, measured in enumerate(others):
        for name in ("dip", "ashman_d", "weight1", "valley_to_peak"):
            assert measured[name] == pytest.approx(clean[name], rel=0.06), (i, name)


@pytest.mark.parametrize("freedom", [2.5, 3, 4, 6])
def test_modes_with_heavy_tails_are_a_fork(probe: Path, freedom: float) -> None:
    """Two modes of Student's distribution: of all entries, the mixture spent a component on the tails, and D was 1.5."""
    random = np.random.default_rng(SEED)
    deviation, size = math.sqrt(freedom / (freedom - 2)), 300_000
    tails, side = random.standard_t(freedom, size) / deviation, np.where(random.uniform(size=size) < 0.5, -1, 1)
    cases = [(0.02 * (tails + side * d / 2)).astype(np.float16).astype(np.float64) for d in (0, 2.5, 3, 4)]
    one, *forks = run_shapes(probe, cases)
    assert one["dip"] < 0.003 and one["ashman_d"] < 1 and one["valley_to_peak"] > 0.95
    for i, fork in enumerate(forks):
        assert fork["dip"] >= 0.005 and fork["ashman_d"] >= 2 and fork["valley_to_peak"] <= 0.9, (i, fork)
        assert 0.4 < fork["weight1"] < 0.6, (i, fork)


def log_likelihood(case: Any, weights: Any, means: Any, deviations: Any) -> float:
    density = sum(w * stats.norm.pdf(case, m, s) for w, m, s in zip(weights, means, deviations, strict=True))
    return float(np.log(density).mean())


def test_mixture_likelihood_is_what_it_says(probe: Path) -> None:
    cases = [case for case in shape_cases() if np.ptp(case) > 0]
    bodies = [body_of(case) for case in cases]
    for i, (case, measured) in enumerate(zip(bodies, run_shapes(probe, cases), strict=True)):
        weights = (measured["weight1"], 1 - measured["weight1"])
        means = (measured["mean1"], measured["mean2"])
        deviations = (measured["sd1"], measured["sd2"])
        likelihood = log_likelihood(case, weights, means, deviations)
        assert measured["log_likelihood"] == pytest.approx(likelihood, rel=1e-6, abs=1e-6), i
        n, single = case.size, float(stats.norm.logpdf(case, case.mean(), case.std()).sum())
        assert measured["delta_bic"] == pytest.approx(2 * (n * likelihood - single) - 3 * math.log(n), rel=1e-5, abs=1e-3)


def test_no_component_is_narrower_than_a_thousandth(probe: Path) -> None:
    """Of two values, each has a component, which would be infinitely narrow."""
    case = np.array([0.0] * 90 + [1.0] * 60)
    measured = run_shapes(probe, [case])[0]
    assert [measured["sd1"], measured["sd2"]] == pytest.approx([1e-3 * case.std()] * 2, rel=1e-9)


def test_mixture_equals_scikit_learn(probe: Path) -> None:
    """Where two components are there, the parameters agree to 1e-3; everywhere, ours is as likely (within 1/5 in all)."""
    mixture = pytest.importorskip("sklearn.mixture", reason="scikit-learn is an optional oracle")
    random = np.random.default_rng(SEED)
    cases = []
    for i in range(20):
        n, distance, weight = 4000, 0.4 * i, random.uniform(0.3, 0.7)
        side = random.uniform(size=n) < weight
        cases.append(np.where(side, random.normal(0, 1, n), random.normal(distance, random.uniform(0.6, 1.4), n)))
    bodies = [body_of(case) for case in cases]
    for i, (case, measured) in enumerate(zip(bodies, run_shapes(probe, cases), strict=True)):
        fit = mixture.GaussianMixture(2, tol=1e-10, max_iter=3000, random_state=0, reg_covar=0)
        fit.fit(case[:, None])
        assert measured["log_likelihood"] >= fit.score(case[:, None]) - 5e-5, i
        if 0.4 * i < 3.2:
            continue
        order = np.argsort(fit.means_.ravel())
        weights, means = fit.weights_[order], fit.means_.ravel()[order]
        deviations = np.sqrt(fit.covariances_.ravel()[order])
        for ours, theirs in zip(("weight1", "mean1", "sd1", "mean2", "sd2"),
                                (weights[0], means[0], deviations[0], means[1], deviations[1]), strict=True):
            assert measured[ours] == pytest.approx(theirs, abs=1e-3), (i, ours)
