"""The verdicts over a run, from the words of SCIENCE.md alone.

Schedules are summed update by update, each median is sorted for and each rule walked plainly, so that nothing is shared with
daemon/analysis but the words.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="numpy is the oracle")
optimize = pytest.importorskip("scipy.optimize", reason="scipy is the oracle")

PYTHIA = {"kind": "neox", "peak": 1e-3, "floor": 1e-4, "warmup": 1430, "total": 143000, "decay": 0.1, "stable": 0}
FRACTION_BITS, EXPONENT_MIN = {"float16": 10, "bfloat16": 7, "float32": 23}, {"float16": -14, "bfloat16": -126, "float32": -126}
UNKNOWN = {"kind": "unknown", "peak": 0, "floor": 0, "warmup": 0, "total": 0, "decay": 0, "stable": 0}


def rates_of(schedule: dict[str, Any], count: int) -> Any:
    """The rate of each of the first updates."""
    step = np.arange(count, dtype=float)
    peak, floor, warmup, total = (schedule[key] for key in ("peak", "floor", "warmup", "total"))
    if schedule["kind"] == "unknown":
        return np.full(count, np.nan)
    if schedule["kind"] == "neox":  # gpt-neox v1.0, megatron/learning_rates.py
        rates = np.maximum(peak / 2 * (1 + np.cos(np.pi * (np.minimum(step, total - warmup) - warmup) / total)), floor)
    elif schedule["kind"] == "constant":
        rates = np.full(count, peak)
    else:
        begin = schedule["stable"] if schedule["kind"].startswith("wsd") else warmup
        done = np.clip((step - begin) / (total - begin), 0, 1)
        cosine = (1 + np.cos(np.pi * done)) / 2
        shape = {"cosine": cosine, "wsd_cosine": cosine, "wsd_sqrt": 1 - np.sqrt(done)}.get(schedule["kind"], 1 - done)
        rates = floor + (peak - floor) * shape
        if schedule["kind"] == "wsd_exponential":
            rates = peak * (floor / peak) ** done
    return np.where(step <= warmup, peak * step / warmup, rates) if warmup else rates


def sums_of(schedule: dict[str, Any], steps: list[int]) -> tuple[Any, Any, Any, Any]:
    """Since the first step: the sum of rates, of their squares, what decay leaves, the variance of the walk under decay."""
    return sums_at(tuple(schedule.items()), tuple(steps))


@functools.cache  # who makes a run up needs them as well
def sums_at(items: tuple[tuple[str, Any], ...], steps: tuple[int, ...]) -> tuple[Any, Any, Any, Any]:
    schedule, first, at = dict(items), steps[0], np.array(steps)
    if schedule["kind"] == "unknown":
        return (np.full(at.size, np.nan),) * 4
    rates = rates_of(schedule, steps[-1] + 1)
    sums, squares = (np.concatenate([[0], np.cumsum(x, dtype=np.longdouble)]) for x in (rates, rates**2))
    kept = np.concatenate([[0], np.cumsum(np.log1p(-rates * schedule["decay"]))])
    kept -= kept[first]
    walk = np.zeros(rates.size + 1)
    walk[1:] = np.cumsum(np.where(np.arange(rates.size) >= first, rates**2 * np.exp(-2 * kept[1:]), 0))
    return sums[at] - sums[first], squares[at] - squares[first], np.exp(kept[at]), (walk * np.exp(2 * kept))[at]


def rms(point: dict[str, Any]) -> float:
    shape = point["shapes"][2]
    return math.sqrt(shape["mean"] ** 2 + shape["variance"])


def find_distinct(points: list[dict[str, Any]]) -> list[bool]:
    """Which measured points repeat no other one's weights, or are the one of equals that counts."""
    counted = [bool(point["measured"]) for point in points]
    measured = [i for i, is_counted in enumerate(counted) if is_counted]
    contents: dict[int, list[int]] = {}
    for i in measured:
        contents.setdefault(points[i]["content"], []).append(i)
    for content, equal in contents.items():
        follow_each_other = equal[-1] - equal[0] == len(equal) - 1
        kept = equal[-1] if equal[-1] == len(points) - 1 and not follow_each_other else equal[0]
        for i in equal if content else []:
            counted[i] = i == kept
    return counted


def find_counted(points: list[dict[str, Any]]) -> tuple[list[bool], float | None]:
    """Which points count, and the step from which training has diverged."""
    counted, diverged = find_distinct(points), None
    measured = [i for i, point in enumerate(points) if point["measured"]]
    sizes = sorted(size for size in (rms(points[i]) for i in measured) if math.isfinite(size))
    for i in reversed(measured):
        if not (points[i]["not_finite"] > 0 or rms(points[i]) > max(1, 100 * sizes[math.ceil(len(sizes) / 4) - 1])):
            break
        diverged, counted[i] = points[i]["step"], False
    return counted, diverged


def ulp_of(size: float, precision: str) -> float:
    """The distance of the numbers of a type, at that size."""
    exponent = math.floor(math.log2(size)) if size > 0 else -1074
    return 2.0 ** (max(exponent, EXPONENT_MIN[precision]) - FRACTION_BITS[precision])


def spacing_of(point: dict[str, Any], variant: int) -> float:
    """Of the stored numbers at the larger end of the body, in deviations of a normal of its width."""
    stored, shape = point["shapes"][variant // 2 * 2], point["shapes"][variant]
    width, precision = (shape["high"] - shape["low"]) / 3.29, point["precision"]
    if precision == "float32" and variant % 2 == 0:
        precision = "bfloat16"  # as which it is counted
    return ulp_of(max(abs(stored["low"]), abs(stored["high"])), precision) / width if width > 0 else math.inf


def find_onset(points: list[dict[str, Any]], variant: int) -> dict[str, Any]:
    none: dict[str, Any] = {"step": None, "step_lost": None, "step_lasting": None, "is_lasting": 0, "forked": 0}
    if len(points) < 4:
        return {"verdict": "insufficient", "step_before": None, **none}
    shapes = [point["shapes"][variant] for point in points]
    gaps = [s["dip"] >= 0.005 and s["root"] >= 0.83 and s["valley"] <= 0.9 for s in shapes]
    parted = [(s["ashman"] >= 2 and 0.05 <= s["weight"] <= 0.95) or s["modes"] >= 2 for s in shapes]
    fine = [spacing_of(point, variant) < 0.08 for point in points]
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
    bound = max(math.log(1.05), 3 * math.sqrt(2) * (find_fluctuation(points) or 0))  # two single perplexities differ so much by chance
    found = [number for number, fall in enumerate(falls) if fall > bound]
    if not found:
        pairs = [(known[0], known[-1])]
        falls = [math.log(known[0]["perplexity"] / known[-1]["perplexity"])]
        slopes = [falls[0] / (math.log1p(known[-1]["step"]) - math.log1p(known[0]["step"]))]
        found = [0] if falls[0] > bound else []
    if not found:
        return {"verdict": "no", "slope": None}
    best = max(found, key=lambda number: slopes[number])
    ends = {"step_from": pairs[best][0]["step"], "step_to": pairs[best][1]["step"], "slope": slopes[best]}
    return {"verdict": "yes", **ends}


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


def rounding_of(before: dict[str, Any], point: dict[str, Any]) -> float:
    """What storing both ends leaves of a displacement between them."""
    return sum(ulp_of(rms(end), end["precision"]) ** 2 / 12 for end in (before, point))


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
        rounding = rounding_of(points[before], point)
        updates = rates[points[before]["step"] : point["step"]]
        kept = np.cumprod((1 - updates * schedule["decay"])[::-1])
        walked = (updates[::-1] ** 2 * np.concatenate([[1], kept[:-1] ** 2])).sum()
        if point["lag1"] >= rounding:
            errors.append(math.log(point["lag1"] / (rms(points[before]) ** 2 * (1 - kept[-1]) ** 2 + walk * walked + rounding)))
    return math.sqrt(np.mean(np.square(errors))) if errors else None


def fit_decay(points: list[dict[str, Any]], counted: list[bool], warmup: float, sums: Any) -> dict[str, Any]:
    """The walk that is best: from zero on, by a fine grid and a search beside its best place."""
    fitted = [i for i, point in enumerate(points) if counted[i] and point["step"] > warmup and point["msd"] > 0]
    if len(fitted) < 4:
        return {"verdict": "insufficient", "log_error": None}
    measured = np.log([points[i]["msd"] for i in fitted])
    decayed, walked = rms(points[0]) ** 2 * (1 - sums[2][fitted]) ** 2, sums[3][fitted]

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


def beside(known: list[dict[str, Any]], fall: dict[str, Any], onset: float) -> int:
    """Whether the onset lies within the fall, or one revision beside it."""
    steps = [point["step"] for point in known]
    first, last = steps.index(fall["step_from"]), steps.index(fall["step_to"])
    return int(steps[max(first - 1, 0)] <= onset <= steps[min(last + 1, len(steps) - 1)])


def find_stop(onset: dict[str, Any], rests: list[dict[str, Any]], known: list[dict[str, Any]], last: float) -> dict[str, Any]:
    """`rests` are those that are asked: by all three measures where the schedule is known, otherwise per step."""
    priced = [point for point in known if not math.isnan(point["perplexity"])]
    stop: dict[str, Any] = {"verdict": "no", "step": None, "saved": None, "given_up": None, "perplexity": None, "perplexity_step": None}
    stop |= {"fluctuation": find_fluctuation(known), "perplexity_best": None, "perplexity_best_step": None, "perplexity_end": None}
    if priced:
        best = min(priced, key=lambda point: point["perplexity"])
        stop |= {"perplexity_best": best["perplexity"], "perplexity_best_step": best["step"], "perplexity_end": priced[-1]["perplexity"]}
    if "insufficient" in (onset["verdict"], next((rest["verdict"] for rest in rests if rest["verdict"] != "yes"), "yes")):
        return stop | {"verdict": "insufficient"}
    if not onset["is_lasting"] or any(rest["verdict"] != "yes" for rest in rests):
        return stop
    step = max(onset["step_lasting"], *(rest["step"] for rest in rests))
    there = next((point for point in priced[:-1] if point["step"] >= step), None)
    if there:
        given_up = math.log(there["perplexity"] / priced[-1]["perplexity"])
        stop |= {"perplexity": there["perplexity"], "perplexity_step": there["step"], "given_up": given_up}
        if given_up > max(math.log(1.05), 3 * math.sqrt(2) * (stop["fluctuation"] or 0)):
            return stop | {"step": step}
    return stop | {"verdict": "yes", "step": step, "saved": 1 - step / last}


def find_moves(points: list[dict[str, Any]], counted: list[bool], clocks: Any, first: float) -> list[dict[str, Any]]:
    """Per point what its displacements are divided by, and whether rounding hides them; `clocks`: steps, sums of rates and of squares."""
    derived: list[dict[str, Any]] = []
    for i, point in enumerate(points):
        names = ("is_counted", "is_unresolved", "lag1_steps", "rate_per_step", "rate_per_lr", "rate_per_lr_squared", "msd_per_lr")
        one: dict[str, Any] = dict.fromkeys(names) | {"is_counted": int(counted[i]), "is_unresolved": 0}
        derived.append(one)
        since = clocks[1][i] - clocks[1][0]
        if point["step"] > first and since > 0:
            one["msd_per_lr"] = point["msd"] / since
        before = next((k for k in range(i - 1, -1, -1) if points[k]["measured"]), None)
        if before is None or not counted[i]:
            continue
        own = next((k for k in range(before, -1, -1) if counted[k]), None)
        if own is None or points[own]["content"] != points[before]["content"]:
            continue
        one["lag1_steps"], one["resolution"] = point["step"] - points[before]["step"], rounding_of(points[before], point)
        one["is_unresolved"] = int(point["lag1"] < one["resolution"])
        for name, clock in zip(names[3:6], clocks, strict=True):
            one[name] = point["lag1"] / (clock[i] - clock[before]) if clock[i] > clock[before] else None
    return derived


def read_run(points: list[dict[str, Any]], schedule: dict[str, Any]) -> dict[str, Any]:
    """All that is said of a run, under the names of tests/series_probe."""
    steps, is_known = [point["step"] for point in points], schedule["kind"] != "unknown"
    counted, diverged = find_counted(points)
    good = [point for point, is_counted in zip(points, counted, strict=True) if is_counted]
    onsets = [find_onset(good, variant) for variant in range(4)]
    sums = sums_of(schedule, steps)
    rests = [find_rest(points, counted, clock, schedule["warmup"]) for clock in (steps, *sums[:2])]
    known = [p for p, is_counted in zip(points, counted, strict=True) if is_counted or not p["measured"]]
    known = [p for p in known if diverged is None or p["step"] < diverged]
    raw, centred = onsets[2:]
    view = int(not (raw["verdict"] == "yes" and centred["verdict"] != "yes"))
    onset, fall = onsets[2 + view], find_fall(known)
    if onset["verdict"] == "yes" and fall["verdict"] == "yes":
        middle = math.sqrt((1 + fall["step_from"]) * (1 + fall["step_to"]))
        fall |= {"ln_ratio_to_onset": math.log(middle / (1 + onset["step"])), "is_beside_onset": beside(known, fall, onset["step"])}
    derived = find_moves(points, counted, (steps, *sums[:2]), steps[0])
    for one, slope in zip([one for one in derived if one["is_counted"]], slopes_of(good, steps[0]), strict=True):
        one["alpha"] = slope
    decay: dict[str, Any] = {"verdict": "insufficient", "log_error": None}
    if is_known:
        decay = fit_decay(points, counted, schedule["warmup"], sums)
        if "walk" in decay:
            decay = add_lag1(decay, find_lag1_error(points, counted, decay["walk"], schedule))
    measured = [point for point in points if point["measured"]]
    asked = rests if is_known else rests[:1]
    stop = find_stop(onset, asked, known, measured[-1]["step"] if measured else 0)
    frozen = is_known and rests[0]["verdict"] == "yes" and any(rest["verdict"] == "no" for rest in rests[1:])
    repeats = sum(not is_counted and point["measured"] for point, is_counted in zip(points, find_distinct(points), strict=True))
    controls = {
        "mean_row": raw["verdict"] == "yes" and centred["verdict"] != "yes",
        "padding": any(onsets[view]["verdict"] == "yes" and onsets[2 + view]["verdict"] == "no" for view in range(2)),
        "schedule": frozen,
        "decay": decay["verdict"] == "yes",
        "resolution": any(one["is_unresolved"] for one in derived),
        "duplicates": repeats > 0,
        "codes": any(onset.get("coarse") for onset in onsets[2:]),
    }
    cautions = {
        "late_harm": is_harmed(known),
        "no_onset": onset["verdict"] == "no",
        "no_perplexity": stop["perplexity_end"] is None or (stop["verdict"] == "yes" and stop["given_up"] is None),
        "schedule": frozen or not is_known,
        "only_raw": controls["mean_row"],
        "first_is_suspect": bool(measured) and not find_distinct(points)[points.index(measured[0])],
        "open_end": bool(points) and not points[-1]["measured"],
        "diverged": diverged is not None,
        "still_falling": stop["verdict"] == "no" and stop["step"] is not None,
    }
    stop["cautions"] = sorted(name for name, holds in cautions.items() if holds)
    answer = {"counted": len(good), "diverged": diverged, "onsets": onsets, "rest": rests, "fall": fall, "decay": decay, "stop": stop}
    return answer | {"controls": sorted(name for name, holds in controls.items() if holds), "onset_view": view, "derived": derived}
