"""Rest, the decay control and the recommendation to stop on whole simulated runs of which the truth is known.

    python tests/bench/runs.py --build BUILD [--seeds 3]

Weights follow dw = rate (pull (place - w) + drift - decay w) + rate noise, integrated from revision to revision, are stored
as float16 or bfloat16, and are analysed with the schedule that they had. The fork is told by shapes at step 30,000, so that a
recommendation depends on rest alone. Each kind of run is made under five schedules, with and without weight decay, with
Pythia's revisions, every eighth of them, even steps, and steps that lie closer together later on. Exit status 1 if a verdict
is right in less than four fifths of the runs of a kind: what has ended below the resolution of bfloat16 seems to move on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

TOTAL, WARMUP, STABLE, PEAK, FORK = 143000, 1430, 110000, 1e-3, 30000
ENTRIES, PARTS = 1500, 4
KINDS = {"constant": 1, "cosine": 2, "linear": 3, "neox": 4, "wsd": 5}
FLOORS = {"constant": 0.0, "cosine": PEAK / 10, "linear": 0.0, "neox": PEAK / 10, "wsd": 0.0}
EARLY = [0, *(2**i for i in range(10))]
GRIDS = {
    "Pythia": [*EARLY, *range(1000, TOTAL + 1, 1000)],
    "every eighth": [*EARLY, 1000, *range(8000, TOTAL + 1, 8000)],
    "even": [*range(0, TOTAL + 1, 1000)],
    "closer later": [*EARLY, *range(8000, 72001, 8000), *range(73000, TOTAL + 1, 1000)],
}


def ends(at: int, share: float) -> dict[str, Any]:
    return {"amplitude": lambda step: 1 if step < at else share, "drift": 0.003}


# What happens, whether the weights come to rest, and whether decay and a walk alone are all there is. A walk that is slowed to
# half has a quarter of its displacement, which is the bound itself. The drift before an end is small, since what it has
# brought together falls to decay again, which is no rest.
RUNS: dict[str, tuple[dict[str, Any], bool, bool]] = {
    "walk": ({}, False, True),
    "walk, bfloat16": ({"storage": "bfloat16", "noise": np.full(ENTRIES, 0.1)}, False, True),
    "walk of uneven strength": ({"unevenness": 0.2}, False, True),
    "rare tokens: rows of all speeds": ({"noise": np.geomspace(0.02, 2, ENTRIES)}, False, True),
    "tied: half of the rows only decay": ({"noise": np.repeat([0.6, 0.0], ENTRIES // 2)}, False, True),
    "drift": ({"drift": 0.05}, False, False),
    "drift beside as large a walk": ({"drift": 0.01}, False, False),
    "pulled to its place": ({"pull": 1.0, "place": 0.2}, False, False),
    "slows with 1/step": ({"amplitude": lambda step: (1 + step / 5000) ** -0.5}, False, False),
    "slowed to 0.7 at 50k": ({"amplitude": lambda step: 1 if step < 50000 else 0.7, "drift": 0.01}, False, False),
    "ends at 50k": (ends(50000, 0.05), True, False),
    "ends at 50k, bfloat16": ({**ends(50000, 0.05), "storage": "bfloat16"}, True, False),
    "ends at 100k": (ends(100000, 0.05), True, False),
    "ends at 100k, bfloat16": ({**ends(100000, 0.05), "storage": "bfloat16"}, True, False),
}


def rates_of(schedule: str) -> Any:
    step = np.arange(TOTAL + 1, dtype=float)
    done, floor = np.clip((step - WARMUP) / (TOTAL - WARMUP), 0, 1), FLOORS[schedule]
    if schedule == "neox":
        rates = np.maximum(PEAK / 2 * (1 + np.cos(np.pi * (np.minimum(step, TOTAL - WARMUP) - WARMUP) / TOTAL)), floor)
    elif schedule == "wsd":
        rates = PEAK * np.clip((TOTAL - step) / (TOTAL - STABLE), 0, 1)
    else:
        rates = {"constant": np.full(step.size, PEAK), "cosine": floor + (PEAK - floor) * (1 + np.cos(np.pi * done)) / 2, "linear": PEAK * (1 - done)}[schedule]
    return np.where(step <= WARMUP, PEAK * step / WARMUP, rates)


def store(weights: Any, storage: str) -> Any:
    if storage == "float16":
        return weights.astype(np.float16).astype(float)
    bits = weights.astype(np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32).astype(float)


def simulate(what: dict[str, Any], schedule: str, decay: float, steps: list[int], random: Any) -> list[Any]:
    """The weights of each revision."""
    rates = rates_of(schedule)
    sums, squares = (np.concatenate([[0], np.cumsum(x)]) for x in (rates, rates**2))
    weights, noise = 0.02 * random.normal(size=ENTRIES), what.get("noise", np.full(ENTRIES, 0.6))
    drift, place = (what.get(key, 0.0) * random.normal(size=ENTRIES) for key in ("drift", "place"))
    stored = [store(weights, what.get("storage", "float16"))]
    for before, after in itertools.pairwise(steps):
        ends_of_parts = np.unique(np.linspace(before, after, PARTS + 1).astype(int))
        for low, high in itertools.pairwise(ends_of_parts):
            rate, square = sums[high] - sums[low], squares[high] - squares[low]
            amplitude = what.get("amplitude", lambda _: 1)((low + high) / 2)
            back = (what.get("pull", 0.0) + decay) * rate
            kept, mean, spread = math.exp(-back), 1.0, 1.0  # and what is left of a push, and of a walk's variance, in between
            if back > 1e-12:
                mean, spread = -math.expm1(-back) / back, -math.expm1(-2 * back) / (2 * back)
            push = (what.get("pull", 0.0) * place + amplitude * drift) * rate * mean
            walk = amplitude * noise * math.sqrt(square * spread) * math.exp(what.get("unevenness", 0) * random.normal())
            weights = kept * weights + push + walk * random.normal(size=ENTRIES)
        stored.append(store(weights, what.get("storage", "float16")))
    return stored


def write_line(what: dict[str, Any], schedule: str, decay: float, steps: list[int], random: Any) -> str:
    """As tests/tools/series_probe.c reads it."""
    stored = simulate(what, schedule, decay, steps, random)
    line: list[Any] = ["series", len(steps), KINDS[schedule], PEAK, FLOORS[schedule], WARMUP, TOTAL, decay, STABLE]
    for i, (step, weights) in enumerate(zip(steps, stored, strict=True)):
        spread = 1.645 * weights.std()
        shape = [weights.mean(), weights.var(), -spread, spread, *((0.05, 50, 0.5, 4, 0.1, 2) if step >= FORK else (1e-3, 1, 0.5, 0.5, 1, 1))]
        content = next(k for k in range(i + 1) if np.array_equal(stored[k], weights)) + 1
        perplexity = 20 * (1 + 1e4 / (1 + min(step, FORK))) * math.exp(0.02 * random.normal())
        line += [step, content, 1, 0, 7 if what.get("storage") == "bfloat16" else 10, *shape * 4, ((weights - stored[0]) ** 2).mean()]
        line += [((weights - stored[i - 1]) ** 2).mean() if i else math.nan, perplexity]
    return " ".join(repr(float(x)) if isinstance(x, float) else str(x) for x in line)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True, help="build folder (preset release)")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print("| run | runs | rest | rests when | decay | stop |\n| --- | --- | --- | --- | --- | --- |")
    is_bad = False
    for number, (name, (what, is_rest, is_decay)) in enumerate(RUNS.items()):
        cases = list(itertools.product(KINDS, (0.0, 0.1), GRIDS, range(options.seeds)))
        lines = [write_line(what, schedule, decay, GRIDS[grid], np.random.default_rng([number, seed])) for schedule, decay, grid, seed in cases]
        done = subprocess.run([options.build / "tests/series_probe"], input="\n".join(lines), capture_output=True, text=True, check=True)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        rests = [all(rest["verdict"] == "yes" for rest in answer["rest"]) for answer in answers]
        dates = [answer["rest"][2]["step"] for answer, rest in zip(answers, rests, strict=True) if rest]
        decays = [answer["decay"]["verdict"] == "yes" for answer in answers]
        stops = [answer["stop"]["verdict"] == "yes" for answer in answers]
        rights = [sum(one == truth for one in verdicts) for verdicts, truth in ((rests, is_rest), (decays, is_decay), (stops, is_rest))]
        when = f"{min(dates) / 1000:.0f}k to {max(dates) / 1000:.0f}k" if dates else "-"
        print(f"| {name} | {len(cases)} | {rights[0]} | {when} | {rights[1]} | {rights[2]} |", flush=True)
        is_bad |= min(rights) < 0.8 * len(cases)
    return int(is_bad)


if __name__ == "__main__":
    raise SystemExit(main())
