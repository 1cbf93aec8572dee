"""The audit of a run's revisions, from the words of SCIENCE.md alone."""

from __future__ import annotations

import collections
import math
from typing import Any


def find_grid(steps: list[float]) -> float | None:
    """The most frequent distance of steps, the first of those, if the run is one of that grid."""
    gaps = [b - a for a, b in zip(steps, steps[1:], strict=False) if b > a]
    counts = collections.Counter(gaps)
    if not counts:
        return None
    often = max(counts.values())
    grid = next(gap for gap in gaps if counts[gap] == often)
    above = [b - a for a, b in zip(steps, steps[1:], strict=False) if b > grid]
    places = [grid * k for k in range(math.floor(steps[0] / grid) + 1, math.floor(steps[-1] / grid) + 1)]
    is_grid = often >= 3 and 2 * sum(gap % grid == 0 for gap in above) >= len(above)
    return grid if is_grid and 2 * len(set(places) & set(steps)) >= len(places) else None


def is_out_of_line(points: list[dict[str, Any]], measured: list[int], at: int) -> float | None:
    """How far ln MSD is off the line between the measured neighbours, if it is out of line."""
    if at < 1 or at + 1 >= len(measured):
        return None
    before, here, after = (points[measured[at + k]] for k in (-1, 0, 1))
    x = [math.log1p(one["step"]) for one in (before, here, after)]
    if not all(one["msd"] > 0 for one in (before, here, after)):
        return None
    y = [math.log(one["msd"]) for one in (before, here, after)]
    share = (x[1] - x[0]) / (x[2] - x[0])
    off = y[1] - (1 - share) * y[0] - share * y[2]
    ways = [points[measured[k]]["lag1"] / (points[measured[k]]["step"] - points[measured[k - 1]]["step"]) for k in range(at - 1, at + 3) if 0 < k < len(measured)]
    others = ([ways[0]] if at > 1 else []) + ([ways[-1]] if at + 2 < len(measured) else [])
    own = ways[1:3] if at > 1 else ways[:2]
    is_long = bool(others) and min(own) > 4 * max(others)
    is_near = here["skip"] < 0.5 * min(here["lag1"], after["lag1"])
    return off if abs(off) > 0.7 and is_long and is_near else None


def audit(points: list[dict[str, Any]]) -> dict[str, Any]:
    findings: list[dict[str, Any]] = []
    contents: dict[int, list[int]] = {}
    for i, point in enumerate(points):
        if point["content"]:
            contents.setdefault(point["content"], []).append(i)
    for equal in contents.values():
        follow_each_other = equal[-1] - equal[0] == len(equal) - 1
        for k, i in enumerate(equal[1:], 1):
            stands = i - equal[0] == k and (follow_each_other or equal[-1] != len(points) - 1)
            kind = "unchanged" if stands else "duplicate"
            findings.append({"kind": kind, "index": i, "other": equal[0], "step": points[i]["step"], "evidence": float(len(equal))})
    steps = [point["step"] for point in points]
    grid = find_grid(steps)
    if grid:
        for k in range(math.ceil(steps[0] / grid), math.floor(steps[-1] / grid)):
            if grid * k not in steps:
                i = next(i for i, step in enumerate(steps) if step > grid * k)
                findings.append({"kind": "missing", "index": i, "other": i, "step": grid * k, "evidence": grid})
    measured = [i for i, point in enumerate(points) if point["measured"]]
    for at, i in enumerate(measured):
        point = points[i]
        if point["not_finite"] > 0:
            findings.append({"kind": "not_finite", "index": i, "other": i, "step": point["step"], "evidence": point["not_finite"]})
        off = is_out_of_line(points, measured, at)
        if off is not None:
            findings.append({"kind": "out_of_line", "index": i, "other": i, "step": point["step"], "evidence": off})
    return {"grid": grid, "distinct": len(contents), "findings": sorted(findings, key=lambda one: (one["step"], one["kind"]))}
