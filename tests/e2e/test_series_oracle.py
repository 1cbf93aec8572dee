"""Verdicts over a run and the law over sizes, beside a second implementation from the words of SCIENCE.md alone.

The reference sums schedules update by update, sorts for each median and walks each rule plainly, so that it shares no idea
with daemon/analysis. Runs have Pythia's revisions, parts of them or other grids; forks, duplicates, holes, divergences.
"""

from __future__ import annotations

import json
import math
import subprocess
from typing import Any

import pytest
from running import find_program

np = pytest.importorskip("numpy", reason="numpy is the oracle")
optimize = pytest.importorskip("scipy.optimize", reason="scipy is the oracle")
stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle")

NAN = math.nan
KINDS = {"unknown": 0, "constant": 1, "cosine": 2, "linear": 3, "neox": 4, "wsd": 5, "wsd_sqrt": 7}
PYTHIA = {"kind": "neox", "peak": 1e-3, "floor": 1e-4, "warmup": 1430, "total": 143000, "decay": 0.1, "stable": 0}
UNKNOWN = {"kind": "unknown", "peak": 0, "floor": 0, "warmup": 0, "total": 0, "decay": 0, "stable": 0}
GRID = np.array([0, *(2**i for i in range(10)), *range(1000, 143001, 1000)])  # Pythia's
CODES = 1 << 6
SHAPE = ("mean", "variance", "low", "high", "dip", "root", "weight", "ashman", "valley", "modes")


# ---- the reference -------------------------------------------------------------------------------


def rates_of(schedule: dict[str, Any], count: int) -> Any:
    """The rate of each of the first updates."""
    step = np.arange(count, dtype=float)
    peak, floor, warmup, total = (schedule[key] for key in ("peak", "floor", "warmup", "total"))
    if schedule["kind"] == "neox":  # gpt-neox v1.0, megatron/learning_rates.py
        rates = np.maximum(peak / 2 * (1 + np.cos(np.pi * (np.minimum(step, total - warmup) - warmup) / total)), floor)
    elif schedule["kind"] == "constant":
        rates = np.full(count, peak)
    else:
        begin = schedule.get("stable", warmup)
        done = np.clip((step - begin) / (total - begin), 0, 1)
        shape = {"cosine": (1 + np.cos(np.pi * done)) / 2, "wsd_sqrt": 1 - np.sqrt(done)}.get(schedule["kind"], 1 - done)
        rates = floor + (peak - floor) * shape
    return np.where(step <= warmup, peak * step / warmup, rates) if warmup else rates


def sums_of(schedule: dict[str, Any], steps: list[int]) -> tuple[Any, Any, Any, Any]:
    """Since the first step: the sum of rates, of their squares, what decay leaves, the variance of the walk under decay."""
    first, at = steps[0], np.array(steps)
    rates = rates_of(schedule, steps[-1] + 1)
    sums, squares = (np.concatenate([[0], np.cumsum(x)]) for x in (rates, rates**2))
    kept = np.concatenate([[0], np.cumsum(np.log1p(-rates * schedule["decay"]))])
    kept -= kept[first]
    walk = np.zeros(rates.size + 1)
    walk[1:] = np.cumsum(np.where(np.arange(rates.size) >= first, rates**2 * np.exp(-2 * kept[1:]), 0))
    return sums[at] - sums[first], squares[at] - squares[first], np.exp(kept[at]), (walk * np.exp(2 * kept))[at]


def rms(point: dict[str, Any]) -> float:
    shape = point["shapes"][2]
    return math.sqrt(shape["mean"] ** 2 + shape["variance"])


def find_counted(points: list[dict[str, Any]]) -> tuple[list[bool], float | None]:
    """Which points count, and the step from which training has diverged."""
    counted = [bool(point["measured"]) for point in points]
    measured = [i for i, is_counted in enumerate(counted) if is_counted]
    contents: dict[int, list[int]] = {}
    for i in measured:
        contents.setdefault(points[i]["content"], []).append(i)
    for equal in contents.values():
        follow_each_other = equal[-1] - equal[0] == len(equal) - 1
        kept = measured[-1] if measured[-1] in equal and not follow_each_other else equal[0]
        for i in equal:
            counted[i] = i == kept
    sizes = sorted(size for size in (rms(points[i]) for i in measured) if math.isfinite(size))
    diverged = None
    for i in reversed(measured):
        if not (points[i]["not_finite"] > 0 or rms(points[i]) > max(1, 100 * sizes[math.ceil(len(sizes) / 4) - 1])):
            break
        diverged, counted[i] = points[i]["step"], False
    return counted, diverged


def spacing_of(shapes: list[dict[str, float]], variant: int) -> float:
    """Of float16 numbers at the larger end of the stored body, in deviations of a normal of its width."""
    stored, shape = shapes[variant // 2 * 2], shapes[variant]
    end = np.float16(max(abs(stored["low"]), abs(stored["high"])))
    return float(np.spacing(end)) / ((shape["high"] - shape["low"]) / 3.29)


def find_onset(points: list[dict[str, Any]], variant: int) -> dict[str, Any]:
    none: dict[str, Any] = {"step": None, "step_lost": None, "step_lasting": None, "is_lasting": 0, "forked": 0}
    if len(points) < 4:
        return {"verdict": "insufficient", "step_before": None, **none}
    shapes = [point["shapes"][variant] for point in points]
    gaps = [s["dip"] >= 0.005 and s["root"] >= 0.83 and s["valley"] <= 0.9 for s in shapes]
    parted = [(s["ashman"] >= 2 and 0.05 <= s["weight"] <= 0.95) or s["modes"] >= 2 for s in shapes]
    fine = [spacing_of(point["shapes"], variant) < 0.08 for point in points]
    clear = [all(three) for three in zip(gaps, parted, fine, strict=True)]
    hidden = [is_gap and not is_parted for is_gap, is_parted in zip(gaps, parted, strict=True)]
    weak = [s["dip"] < 0.003 or s["valley"] > 0.95 for s in shapes]
    forked: list[bool] = []
    for i in range(len(points)):
        is_forked, turn = (forked[-1], weak) if forked and forked[-1] else (False, clear)
        forked.append(is_forked ^ all(turn[i : i + 2]) if i + 2 <= len(points) else is_forked)
    none["hidden"] = sum(hidden)
    none["coarse"] = sum(gap and part and not (is_fine or fork) for gap, part, is_fine, fork in zip(gaps, parted, fine, forked, strict=True))
    first = forked.index(True) if True in forked else len(points)
    before = next((points[i]["step"] for i in reversed(range(first)) if not (gaps[i] and parted[i])), None)
    if True not in forked:
        return {"verdict": "no", "step_before": before, **none}
    lost = [points[i]["step"] for i in range(first, len(points)) if not forked[i]]
    return {
        "verdict": "yes",
        "step": points[first]["step"],
"step_before": before,
        "step_lost": lost[0] if lost else None,
        "step_lasting": points[max((i + 1 for i, is_forked in enumerate(forked) if not is_forked), default=0)]["step"] if forked[-1] else None,
        "is_lasting": int(forked[-1]),
        "forked": sum(forked),
        "hidden": none["hidden"],
        "coarse": none["coarse"],
    }


def find_rest(points: list[dict[str, Any]], counted: list[bool], clock: Any, warmup: float) -> dict[str, Any]:
    """`clock` is what displacement is divided by: steps, the sum of rates, or of their squares."""
    moves = []  # step, rate, steps that it took
    for i, point in enumerate(points):
        before = next((k for k in range(i - 1, -1, -1) if points[k]["measured"]), None)
        if before is None or not counted[i] or point["step"] <= warmup:
            continue
        own = next((k for k in range(before, -1, -1) if counted[k]), None)  # a copy of other weights is no place to come from
        if own is None or points[own]["content"] != points[before]["content"] or not clock[i] > clock[before]:
            continue
        moves.append((point["step"], point["lag1"] / (clock[i] - clock[before]), point["step"] - points[before]["step"]))
    rates = [(rate, steps) for _, rate, steps in moves]
    paces = [(rate / steps, steps) for rate, steps in rates]  # what a drift keeps, whatever the distance of checkpoints
    if len(moves) < 7:
        return {"verdict": "insufficient", "step": None}
    whole = sum(steps for _, _, steps in moves)
    for i in range(4, len(moves) - 2):
        so_far = sum(steps for _, _, steps in moves[:i])
        if so_far < whole / 20:
            continue
        halves = []
        for kind in (rates, paces):
            slower = sorted(kind[:i])
            halves.append(slower[np.searchsorted(np.cumsum([steps for _, steps in slower]), so_far / 2)][0])
        if all(max(one[0] for one in kind[i:]) <= half / 4 for kind, half in zip((rates, paces), halves, strict=True)):
            return {"verdict": "yes", "step": moves[i][0], "reference": halves[0]}
    return {"verdict": "no", "step": None}


def find_fall(points: list[dict[str, Any]]) -> dict[str, Any]:
    known = [point for point in points if not math.isnan(point["perplexity"])]
    if len(known) < 3:
        return {"verdict": "insufficient"}
    pairs = [(a, next((b for b in known if 1 + b["step"] >= 1.2 * (1 + a["step"])), None)) for a in known]
    pairs = [pair for pair in pairs if pair[1]] or [(known[0], known[-1])]
    least = [min(one["perplexity"] for one in known if one["step"] <= a["step"]) for a, _ in pairs]  # the way back from a spike is no fall
    falls = [math.log(low / b["perplexity"]) for low, (_, b) in zip(least, pairs, strict=True)]
    slopes = [fall / (math.log1p(b["step"]) - math.log1p(a["step"])) for fall, (a, b) in zip(falls, pairs, strict=True)]
    best = int(np.argmax(slopes))
    ends = {"step_from": pairs[best][0]["step"], "step_to": pairs[best][1]["step"], "slope": slopes[best]}
    return {"verdict": "yes" if slopes[best] > 0 else "no", **ends}


def find_fluctuation(points: list[dict[str, Any]]) -> float | None:
    """Of each perplexity of the later half, the distance from the line between its neighbours, as a share of what it would be."""
    known = [point for point in points if not math.isnan(point["perplexity"])]
    late, distances = known[len(known) // 2 :], []
    for before, at, after in zip(late, late[1:], late[2:], strict=False):
        x0, x1, x2 = (math.log1p(one["step"]) for one in (before, at, after))
        share = (x1 - x0) / (x2 - x0)
        line = (1 - share) * math.log(before["perplexity"]) + share * math.log(after["perplexity"])
        distances.append((math.log(at["perplexity"]) - line) ** 2 / (1 + share**2 + (1 - share) ** 2))
    return math.sqrt(sum(distances) / len(distances)) if len(distances) >= 3 else None


def is_harmed(points: list[dict[str, Any]]) -> bool:
    known = np.log([point["perplexity"] for point in points if not math.isnan(point["perplexity"])])
    run = min(max(known.size // 9, 1), 5)
    means = [known[i : i + run].mean() for i in range(known.size - run + 1)]
    errors = 3 * (find_fluctuation(points) or 0) * math.sqrt(2 / run)
    return bool(means) and means[-1] > min(means) + max(math.log(1.05), errors)


def find_lag1_error(points: list[dict[str, Any]], counted: list[bool], walk: float, schedule: dict[str, Any]) -> float | None:
    """The same null model, from each revision to the next, update by update."""
    rates, errors = rates_of(schedule, points[-1]["step"] + 1), []
    for i, point in enumerate(points):
        before = next((k for k in range(i - 1, -1, -1) if points[k]["measured"]), None)
        if before is None or not counted[i] or points[before]["step"] < schedule["warmup"]:
            continue
        own = next((k for k in range(before, -1, -1) if counted[k]), None)
        if own is None or points[own]["content"] != points[before]["content"]:
            continue
        rounding = sum(2.0 ** (2 * (max(math.floor(math.log2(rms(end))), -14) - 10)) / 12 for end in (points[before], point))  # of float16
        updates = rates[points[before]["step"] : point["step"]]
        kept = np.cumprod((1 - updates * schedule["decay"])[::-1])
        walked = (updates[::-1] ** 2 * np.concatenate([[1], kept[:-1] ** 2])).sum()
        if point["lag1"] >= rounding:
            errors.append(math.log(point["lag1"] / (rms(points[before]) ** 2 * (1 - kept[-1]) ** 2 + walk * walked + rounding)))
    return math.sqrt(np.mean(np.square(errors))) if errors else None


def fit_decay(points: list[dict[str, Any]], start: float, warmup: float) -> dict[str, Any]:
    """The walk that is best: from zero on, by a fine grid and a search beside its best place."""
    fitted = [point for point in points if point["step"] > warmup and point["msd"] > 0]
    if len(fitted) < 4:
        return {"verdict": "insufficient", "log_error": None}
    measured = np.log([point["msd"] for point in fitted])
    decayed, walked = (np.array([point[key] for point in fitted]) for key in ("kept", "walked"))
    decayed = start * (1 - decayed) ** 2

    def error(log_walk: float) -> float:
        return float(((measured - np.log(decayed + math.exp(log_walk) * walked)) ** 2).mean())

    grid = np.linspace(-80, 40, 1500)
    near = grid[np.argmin([error(x) for x in grid])]
    found = optimize.minimize_scalar(error, bounds=(near - 0.1, near + 0.1), method="bounded", options={"xatol": 1e-9})
    rooted = math.sqrt(found.fun)
    return {"verdict": "yes" if rooted <= 0.2 else "no", "log_error": rooted, "walk": math.exp(found.x)}


def add_lag1(decay: dict[str, Any], error: float | None) -> dict[str, Any]:
    is_off = error is not None and error > 0.5
    return decay | {"lag1_log_error": error, "verdict": "no" if is_off and decay["verdict"] == "yes" else decay["verdict"]}


def slopes_of(points: list[dict[str, Any]], first: int) -> list[float | None]:
    """d ln MSD / d ln (step - first) of counted points."""
    slopes: list[float | None] = []
    for i in range(len(points)):
        near = [p for p in points[max(0, i - 2) : i + 3] if p["step"] > first and p["msd"] > 0]
        if len(near) < 3:
            slopes.append(None)
            continue
        x, y = np.log([p["step"] - first for p in near]), np.log([p["msd"] for p in near])
        slopes.append(float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()))
    return slopes


# ---- runs ----------------------------------------------------------------------------------------


def choose_steps(kind: int, random: Any) -> tuple[list[int], dict[str, Any]]:
    pythia = [0, *(2**i for i in range(10)), *range(1000, 143001, 1000)]
    cosine = {"kind": "cosine", "peak": 6e-4, "floor": 6e-5, "warmup": 2000, "total": 71500, "decay": 0.1}
    linear = {"kind": "linear", "peak": 3e-4, "floor": 0, "warmup": 500, "total": 100000, "decay": 0.05}
    stable = {"kind": "wsd_sqrt", "peak": 3e-4, "floor": 0, "warmup": 500, "stable": 50000, "total": 71500, "decay": 0.1}
    return [
        (pythia, PYTHIA),
        (list(range(0, 71500, 500)), cosine if random.uniform() < 0.5 else stable),
        (list(range(50000, 143001, 1000)), PYTHIA),
        (sorted(random.choice(pythia, 60, replace=False).tolist()), UNKNOWN),
        (np.unique(np.geomspace(1, 1e5, 40).astype(int)).tolist(), linear),
        (pythia[: int(random.choice([3, 9, 20, 40]))], PYTHIA),
        (pythia, UNKNOWN),
    ][kind]


def make_shapes(amount: float, size: float, random: Any) -> list[dict[str, float]]:
    """Of one mode, for 0, to two or more, for 1, with noise around the thresholds in between; centred a little later."""
    shapes, far = [], 0.25 * random.choice([0, 0, 0, 0, 1, 2, 4])
    for variant in range(4):
        forked, noise = amount ** (1 + variant % 2), np.exp(0.3 * random.normal(size=3))
        middle, reach = far * (1 - variant % 2), 1.645 * math.sqrt(size) * random.uniform(0.2, 1)
        dip = 1.5e-4 + 0.012 * forked * noise[0]
        shapes.append(
            {
                "mean": 1e-3 * random.normal(),
                "variance": size,
                "low": middle - reach,
                "high": middle + reach,
                "dip": dip,
                "root": dip * math.sqrt(random.choice([2e4, 2e6])),
                "weight": 0.5 + 0.47 * forked * random.uniform(-1, 1),
                "ashman": 0.3 + 2.6 * forked * math.sqrt(noise[1]),
                "valley": min(1.0, 1 - 0.3 * forked * noise[2]),
                "modes": float(random.choice([1, 1, 1, 2, 3])) if forked > 0.5 else 1.0,
            }
        )
    return shapes


def make_run(number: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    random = np.random.default_rng([20240313, number])
    steps, schedule = choose_steps(number % 7, random)
    _, squares, kept, walked = sums_of(schedule if schedule is not UNKNOWN else PYTHIA, steps)
    fork, calm = random.choice(2 * len(steps)), len(steps) * random.uniform(0.2, 2)
    walk, points, before = 10 ** random.uniform(-3, 0), [], None
    for i, step in enumerate(steps):
        point = {"step": step, "content": i + 1, "measured": i == 0 or random.uniform() < 0.97, "not_finite": 0.0}
        point["measured"] &= number % 5 != 3 or i + 1 < len(steps)
        point |= {"kept": kept[i], "walked": walked[i], "lag1": NAN, "perplexity": NAN}
        point["msd"] = 8e-4 * (1 - kept[i]) ** 2 * random.uniform(0.95, 1.05) + walk * walked[i] * math.exp(0.1 * random.normal())
        point["shapes"] = make_shapes(1 / (1 + math.exp(min(fork - i, 500) / 1.5)), 8e-4 * (0.3 + kept[i] ** 2), random)
        if random.uniform() < 0.8:
            point["perplexity"] = math.exp(3 + 12 / (1 + step / 1000) + 0.1 * random.normal())
        if not point["measured"]:
            point |= {"content": 0, "msd": NAN, "shapes": [dict.fromkeys(SHAPE, NAN)] * 4}
        elif before is not None:
            point["lag1"] = walk * (squares[i] - squares[before]) * math.exp(0.1 * random.normal()) * (0.05 if i > calm else 1)
        before = i if point["measured"] else before
        points.append(point)
    spoil(points, [i for i, point in enumerate(points) if point["measured"]], number % 5)
    return points, schedule


def spoil(points: list[dict[str, Any]], measured: list[int], how: int) -> None:
    if len(measured) < 13:
        return
    for i in {1: measured[1:3], 2: measured[2:6]}.get(how, []):
        points[i]["content"] = points[measured[0 if how == 1 else -1]]["content"]
    if how == 3:
        points[measured[5]]["not_finite"] = 0.3  # one alone, with good ones behind it
        points[measured[-1]]["not_finite"] = 1.0
        points[-1]["perplexity"] = 0.01  # of a revision that is not measured, after training has diverged
    for i in measured[-4:] if how == 4 else []:
        points[i]["shapes"][2]["variance"] *= 1e6


# ---- both, side by side --------------------------------------------------------------------------


def ask(lines: list[list[Any]]) -> list[dict[str, Any]]:
    text = "\n".join(" ".join(repr(float(x)) if isinstance(x, float) else str(int(x) if isinstance(x, bool) else x) for x in line) for line in lines)
    done = subprocess.run([str(find_program("tests/series_probe"))], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def write_run(points: list[dict[str, Any]], schedule: dict[str, Any]) -> list[Any]:
    line = ["series", len(points), KINDS[schedule["kind"]]]
    line += [float(schedule.get(key, 0)) for key in ("peak", "floor", "warmup", "total", "decay", "stable")]
    for point in points:
        line += [point["step"], point["content"], point["measured"], point["not_finite"]]
        line += [float(shape[key]) for shape in point["shapes"] for key in SHAPE]
        line += [float(point["msd"]), float(point["lag1"]), point["perplexity"]]
    return line


def check(measured: dict[str, Any], expected: dict[str, Any], context: str, relative: float = 1e-9) -> None:
    for key, value in expected.items():
        is_number = isinstance(value, float)
        assert measured[key] == (pytest.approx(value, rel=relative) if is_number else value), (context, key, measured, expected)


def check_run(answer: dict[str, Any], points: list[dict[str, Any]], schedule: dict[str, Any], context: str) -> None:
    counted, diverged = find_counted(points)
    good = [point for point, is_counted in zip(points, counted, strict=True) if is_counted]
    assert (answer["counted"], answer["diverged"]) == (len(good), diverged), context
    onsets = [find_onset(good, variant) for variant in range(4)]
    for variant in range(4):
        check(answer["onsets"][variant], onsets[variant], f"{context} onset {variant}")
    assert bool(answer["controls"] & CODES) == any(onset.get("coarse") for onset in onsets[2:]), (context, "codes")
    known = [p for p, is_counted in zip(points, counted, strict=True) if is_counted or not p["measured"]]
    known = [p for p in known if diverged is None or p["step"] < diverged]
    check(answer["fall"], find_fall(known), context + " fall")
    check(answer["stop"], {"fluctuation": find_fluctuation(known)}, context + " fluctuation", 1e-6)
    assert answer["stop"]["cautions"] & 1 == is_harmed(known), (context, "late harm")
    steps, is_known = [point["step"] for point in points], schedule is not UNKNOWN
    clocks = [steps, *(sums_of(schedule, steps)[:2] if is_known else ([0] * len(steps),) * 2)]
    for clock, rest in zip(clocks, answer["rest"], strict=True):
        check(rest, find_rest(points, counted, clock, schedule["warmup"]), context + " rest")
    slopes = iter(slopes_of(good, steps[0]))
    wanted = [next(slopes) if is_counted else None for is_counted in counted]
    for alpha, slope in zip(answer["alpha"], wanted, strict=True):
        assert alpha == (slope if slope is None else pytest.approx(slope, rel=1e-8, abs=1e-12)), (context, "alpha")
    if is_known:
        decay = fit_decay(good, rms(points[0]) ** 2, schedule["warmup"])
        if "walk" in decay:
            decay = add_lag1(decay, find_lag1_error(points, counted, answer["decay"]["walk"], schedule))
        check(answer["decay"], decay, context + " decay", 1e-4)


def test_verdicts_are_those_of_the_words() -> None:
    runs = [make_run(number) for number in range(84)]
    answers = ask([write_run(*run) for run in runs])
    for number, (run, answer) in enumerate(zip(runs, answers, strict=True)):
        check_run(answer, *run, f"run {number}")
    verdicts = {(key, one["verdict"]) for answer in answers for key in ("onsets", "rest") for one in answer[key]}
    assert len(verdicts) == 6, "runs of every kind"
    assert {bool(answer["controls"] & CODES) for answer in answers} == {True, False}
    decays = [answer["decay"] for answer in answers if answer["decay"]["log_error"] is not None and answer["decay"]["log_error"] <= 0.2]
    assert {decay["verdict"] for decay in decays} == {"yes", "no"}, "some by displacements between neighbours alone"
    assert {answer["decay"]["walk"] == 0 for answer in answers if answer["decay"]["walk"] is not None} == {True, False}


def test_slopes_of_late_and_close_steps() -> None:
    """Logarithms of 5e7 and 5e7 + 1 differ in their eighth digit, and so do those of the displacement."""
    points, _ = make_run(0)
    for i, point in enumerate(points):
        point |= {"step": 0 if i == 0 else 49_000_000 + i, "measured": True, "content": i + 1, "not_finite": 0.0}
        point["msd"] = float(i and (point["step"] / 1e9) ** 1.5)
        point["shapes"] = make_shapes(0, 1e-3, np.random.default_rng(1))
    alphas = ask([write_run(points, UNKNOWN)])[0]["alpha"]
    assert alphas[3:] == pytest.approx([1.5] * (len(points) - 3), rel=1e-6)


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
