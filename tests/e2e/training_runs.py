"""Training runs that are made up, as numbers of each revision, and what tests/series_probe says of them."""

from __future__ import annotations

import json
import math
import subprocess
from typing import Any

import pytest

from running import find_program
from verdicts import FRACTION_BITS, PYTHIA, UNKNOWN, sums_of

np = pytest.importorskip("numpy", reason="numpy is the oracle")

NAN = math.nan
KINDS = {"unknown": 0, "constant": 1, "cosine": 2, "linear": 3, "neox": 4, "wsd": 5, "wsd_cosine": 6, "wsd_sqrt": 7, "wsd_exponential": 8}
CONTROLS = ("mean_row", "padding", "schedule", "decay", "resolution", "duplicates", "codes")
CAUTIONS = ("late_harm", "no_onset", "no_perplexity", "schedule", "only_raw", "first_is_suspect", "open_end", "diverged", "still_falling")
SHAPE = ("mean", "variance", "low", "high", "dip", "root", "weight", "ashman", "valley", "modes")


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
        point = {"step": step, "content": i + 1, "measured": i == 0 or random.uniform() < 0.97, "not_finite": 0.0, "precision": "float16"}
        point["measured"] &= number % 5 != 3 or i + 1 < len(steps)
        point |= {"lag1": NAN, "perplexity": NAN}
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


# ---- odd runs ------------------------------------------------------------------------------------


def choose_odd_steps(random: Any) -> list[int]:
    count, first = int(random.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 20, 40, 90])), int(random.integers(0, 100_000))
    pythia = [0, *(2**i for i in range(10)), *range(1000, 143001, 1000)]
    return [
        pythia[:count],
        sorted(random.choice(pythia, count, replace=False).tolist()),
        list(range(0, count * 500, 500)),
        list(range(first, first + count * 100, 100)),
        np.unique(np.geomspace(1, 2e5, count).astype(int)).tolist(),
        sorted(set(random.integers(0, 150_000, count).tolist())),
    ][int(random.integers(6))]


def choose_schedule(last: int, random: Any) -> dict[str, Any]:
    kind = str(random.choice(list(KINDS)))
    if kind == "unknown":
        return UNKNOWN
    total, peak = float(max(int(last * random.choice([0.5, 1, 2])), 10)), 10 ** random.uniform(-5, -2)
    warmup, share = float(random.choice([0, int(total * 0.01), int(total * 0.1)])), random.choice([0.1, 0.01])
    stable = float(int(warmup + (total - warmup) * random.uniform(0, 0.9))) if kind.startswith("wsd") else 0.0
    decay = float(random.choice([0, 0.01, 0.1]))
    return {"kind": kind, "peak": peak, "floor": peak * share, "warmup": warmup, "total": total, "decay": decay, "stable": stable}


def make_odd_shapes(amount: float, size: float, random: Any) -> list[dict[str, float]]:
    """As make_shapes, but for few entries, any noise, grids of any width, and now and then values that are all equal."""
    shapes, far, noise = make_shapes(amount, size, random), random.choice([0, 0, 0, 0, 1, 20]), random.choice([0.05, 0.5])
    for variant, shape in enumerate(shapes):
        shift = 16 * far * math.sqrt(size) * (variant % 2 == 0)
        shape["low"], shape["high"], shape["dip"] = shape["low"] + shift, shape["high"] + shift, shape["dip"] * math.exp(noise * random.normal())
        shape["root"] = shape["dip"] * math.sqrt(random.choice([2e2, 2e4, 2e6]))
        if random.uniform() < 0.01:
            middle = (shape["low"] + shape["high"]) / 2
            shape |= {"variance": 0.0, "low": middle, "high": middle, "dip": 1e-4, **dict.fromkeys(("weight", "ashman", "valley", "modes"), NAN)}
    return shapes


def make_odd_run(number: int, is_calm: bool = False) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """`is_calm`: one that forks for good and comes to rest."""
    random = np.random.default_rng([20240314, number])
    steps = list(range(0, 40000, 500)) if is_calm else choose_odd_steps(random)
    schedule = UNKNOWN if is_calm else choose_schedule(max(steps[-1], 10), random)
    _, squares, kept, walked = (np.asarray(one, float) for one in sums_of(schedule if schedule is not UNKNOWN else PYTHIA, steps))
    count, size = len(steps), 8e-4 if random.uniform() < 0.5 else 10 ** random.uniform(-12, 4)
    fork, calm = (count // 4, count // 2) if is_calm else (random.choice(2 * count + 1), count * random.uniform(0.2, 2))
    types, is_mixed, walk = list(FRACTION_BITS), random.uniform() < 0.1, 10 ** random.uniform(-4, 1)
    dtype, fluctuation, trend = (random.choice(some) for some in (types, [0.005, 0.05, 0.2], ["fall", "flat", "rise", "spike"]))
    there, copied, spoilt = (0, 0, 0) if is_calm else (random.choice(some) for some in ([0, 0, 0.03, 0.3], [0, 0, 0.05, 0.3], [0, 0, 0.03, 0.2]))
    priced, end = random.choice([1, 1, 0.8, 0.3, 0]), "good" if is_calm else random.choice(["good", "good", "nan", "large", "open"])
    points, before = [], None
    for i, step in enumerate(steps):
        is_end = count - i <= max(1, count // 4) and i > 0
        is_measured = i == 0 or (random.uniform() >= there and not (is_end and end == "open"))
        amount = float(i >= fork) if is_calm else 1 / (1 + math.exp(min(fork - i, 500) / 1.5))
        point = {"step": step, "content": i + 1, "measured": is_measured, "not_finite": 0.0, "lag1": NAN, "perplexity": NAN}
        point["precision"] = str(random.choice(types) if is_mixed else dtype)
        point["shapes"] = make_shapes(amount, size, random) if is_calm else make_odd_shapes(amount, size, random)
        point["msd"] = size * ((1 - kept[i]) ** 2 * random.uniform(0.95, 1.05) + walk * walked[i] * math.exp(0.1 * random.normal()))
        level = {"flat": 4.0, "spike": 13.0 if i == count // 3 else 4.0}.get(trend, 3 + 12 / (1 + step / 1000) + step / 3e5 * (trend == "rise"))
        if random.uniform() < priced:
            point["perplexity"] = math.exp(level + fluctuation * random.normal())
        if random.uniform() < spoilt:
            point["not_finite"] = float(random.choice([1e-6, 0.3, 1]))
        if before is not None:
            point["lag1"] = walk * size * (squares[i] - squares[before]) * math.exp(0.1 * random.normal()) * (0.05 if i > calm else 1)
        if is_end and end == "nan":
            point |= {"not_finite": 1.0, "msd": NAN, "lag1": NAN, "shapes": [dict.fromkeys(SHAPE, NAN)] * 4}
        for shape in point["shapes"] if is_end and end == "large" else []:
            shape["variance"] *= 1e6
        if not is_measured:
            point |= {"content": 0, "not_finite": 0.0, "msd": NAN, "lag1": NAN, "shapes": [dict.fromkeys(SHAPE, NAN)] * 4}
        before = i if is_measured else before
        points.append(point)
    measured = [point for point in points if point["measured"]]
    for point in measured:
        if random.uniform() < copied:
            point["content"] = random.choice([measured[-1], random.choice(measured)])["content"]
    return points, schedule


# ---- what the program says -----------------------------------------------------------------------


def name_bits(answer: dict[str, Any]) -> dict[str, Any]:
    """Names instead of bits for controls and cautions."""
    for place, key, names in ((answer, "controls", CONTROLS), (answer.get("stop", {}), "cautions", CAUTIONS)):
        if key in place:
            place[key] = sorted(name for bit, name in enumerate(names) if place[key] >> bit & 1)
    return answer


def ask(lines: list[list[Any]]) -> list[dict[str, Any]]:
    text = "\n".join(" ".join(repr(float(x)) if isinstance(x, float) else str(int(x) if isinstance(x, bool) else x) for x in line) for line in lines)
    done = subprocess.run([str(find_program("tests/series_probe"))], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [name_bits(json.loads(line)) for line in done.stdout.splitlines()]


def write_run(points: list[dict[str, Any]], schedule: dict[str, Any]) -> list[Any]:
    line = ["series", len(points), KINDS[schedule["kind"]]]
    line += [float(schedule.get(key, 0)) for key in ("peak", "floor", "warmup", "total", "decay", "stable")]
    for point in points:
        line += [point["step"], point["content"], point["measured"], point["not_finite"], FRACTION_BITS[point["precision"]]]
        line += [float(shape[key]) for shape in point["shapes"] for key in SHAPE]
        line += [float(point["msd"]), float(point["lag1"]), point["perplexity"]]
    return line


def write_audit(points: list[dict[str, Any]]) -> list[Any]:
    line: list[Any] = ["audit", len(points)]
    for point in points:
        line += [point["step"], point["content"], point["measured"], *(float(point[key]) for key in ("not_finite", "msd", "lag1", "skip"))]
    return line
