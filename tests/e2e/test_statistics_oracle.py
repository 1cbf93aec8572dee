"""Tensor statistics against numpy and scipy in extended precision, on random tensors of every kind.

Every case is measured with several numbers of threads and every instruction set of this processor; the
results must be equal to the last bit. What is made of the counts: test_shapes_oracle.py.
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
stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle")

SEED = 20240313
CASES = 120
MOMENT_TOLERANCE = 1e-10
KINDS = (
    "gaussian",
    "mixture",
    "exponential",
    "uniform",
    "laplace",
    "constant",
    "two values",
    "ties",
    "offset",
    "cancelling",
    "column means",
    "tiny",
    "sparse",
    "huge",
    "largest",
    "not finite",
)


def make_values(kind: str, rows: int, columns: int, random: Any) -> Any:
    """float64 values of a kind, before they are rounded to a dtype."""
    shape = (rows, columns)
    normal = random.normal(size=shape)
    if kind == "mixture":
        return 0.02 * (normal + random.uniform(0, 6) * (random.uniform(size=shape) < random.uniform(0.1, 0.9)))
    if kind == "exponential":
        return random.exponential(0.05, size=shape)
    if kind == "uniform":
        return random.uniform(-1, 1, size=shape)
    if kind == "laplace":
        return random.laplace(0, 0.1, size=shape)
    if kind == "constant":
        return np.full(shape, random.choice([0.0, 0.1, -3.5]))
    if kind == "two values":
        return np.where(random.uniform(size=shape) < 0.3, -0.25, 0.75)
    if kind == "ties":
        return np.round(normal * 2) / 8
    if kind == "offset":
        return 40 + 0.3 * normal
    if kind == "cancelling":
        flat = normal.ravel()
        half = flat.size // 2
        flat[half : 2 * half] = -flat[:half]
        random.shuffle(flat)
        return flat.reshape(shape)
    if kind == "column means":
        return 0.01 * normal + np.where(random.uniform(size=columns) < 0.5, 0.1, -0.1)
    if kind == "tiny":
        return 3e-6 * normal
    if kind == "sparse":
        return np.where(random.uniform(size=shape) < 0.9, 0.0, 1.0) * normal  # pruned: zeros of either sign
    if kind == "huge":
        return 9000 * normal
    if kind == "largest":
        return np.where(normal < 0.5, -1, 1) * random.choice([65504.0, 3.38e38])  # whose fourth powers are 1e154; infinite as float16
    return 0.02 * normal


def order_codes(bits: Any) -> Any:
    """Sixteen bits in ascending order of value."""
    bits = bits.astype(np.uint32)
    return np.where(bits & 0x8000, bits ^ 0xFFFF, bits ^ 0x8000)


def counts_of(codes: Any) -> list[list[int]]:
    found, counts = np.unique(codes, return_counts=True)
    return [[int(code), int(count)] for code, count in zip(found, counts, strict=True)]


def raw_codes(values: Any, dtype: str) -> Any:
    if dtype == "float16":
        return order_codes(values.astype(np.float16).view(np.uint16))
    single = values.astype(np.float32)
    upper = single.view(np.uint32) >> 16
    if dtype != "bfloat16":
        upper = np.where(np.isnan(single), (upper & 0x8000) | 0x7FC0, upper)
    return order_codes(upper)


def close(measured: float | None, expected: float, relative: float, absolute: float = 0.0) -> bool:
    if measured is None:
        return not math.isfinite(expected)
    return abs(measured - expected) <= max(relative * abs(expected), absolute)


def exact_moments(finite: Any) -> dict[str, float]:
    """Mean by exact summation, the rest in extended precision around it, with scipy's corrections for bias."""
    n = finite.size
    if n == 0:
        return dict.fromkeys(("mean", "variance", "skewness", "kurtosis", "bimodality"), math.nan)
    mean = math.fsum(finite) / n
    if finite.min() == finite.max():
        return {"mean": mean, "variance": 0.0, "skewness": math.nan, "kurtosis": math.nan, "bimodality": math.nan}
    wide = finite.astype(np.longdouble)
    difference = wide - wide.mean()
    m2, m3, m4 = (float((difference**power).mean()) for power in (2, 3, 4))
    moments = {"mean": mean, "variance": m2, "skewness": math.nan, "kurtosis": math.nan, "bimodality": math.nan}
    if n >= 3:
        moments["skewness"] = m3 / m2**1.5 * math.sqrt(n * (n - 1)) / (n - 2)
    if n >= 4:
        moments["kurtosis"] = ((n + 1) * (m4 / m2**2 - 3) + 6) * (n - 1) / ((n - 2) * (n - 3))
        denominator = moments["kurtosis"] + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))
        moments["bimodality"] = (moments["skewness"] ** 2 + 1) / denominator
    return moments


def check_moments(measured: dict[str, Any], finite: Any, context: str) -> None:
    expected = exact_moments(finite)
    for name, value in expected.items():
        # skewness and excess kurtosis are differences that may vanish: there the scale is 1
        absolute = MOMENT_TOLERANCE if name in ("skewness", "kurtosis") else 0.0
        assert close(measured[name], value, MOMENT_TOLERANCE, absolute), (context, name, measured[name], value)


def check_scipy(measured: dict[str, Any], finite: Any, context: str) -> None:
    """The same against scipy itself, where its float64 is good enough."""
    if finite.size < 4 or finite.min() == finite.max():
        return
    assert close(measured["variance"], finite.var(), 1e-9), context
    assert close(measured["skewness"], stats.skew(finite, bias=False), 1e-9, 1e-9), context
    assert close(measured["kurtosis"], stats.kurtosis(finite, bias=False), 1e-9, 1e-9), context


def check_rows(measured: dict[str, Any], values: Any, dtype: str, context: str) -> None:
    """One row set: counts, raw moments, quantiles, columns, centred moments and codes."""
    raw, centred = measured["raw"], measured["centred"]
    finite = values[np.isfinite(values)]
    assert raw["elements"] == values.size, context
    assert raw["nan_count"] == np.isnan(values).sum(), context
    assert raw["positive_inf_count"] == np.isposinf(values).sum(), context
    assert raw["negative_inf_count"] == np.isneginf(values).sum(), context
    assert raw["zero_count"] == (values == 0).sum(), context
    assert measured["counts"] == counts_of(raw_codes(values, dtype)), context
    check_moments(raw, finite, context + " raw")
    if finite.size:
        assert raw["minimum"] == finite.min() and raw["maximum"] == finite.max(), context
        exact = dtype in ("float16", "bfloat16")
        for name, p in (("q001", 0.001), ("q05", 0.05), ("q50", 0.5), ("q99", 0.99), ("q999", 0.999)):
            expected = np.quantile(finite, p, method="inverted_cdf")
            assert close(raw[name], expected, 0 if exact else 2**-8, 0 if exact else 1e-38), (context, name)
            assert expected != 0 or raw[name] == 0, (context, name)
        if exact and raw["variance"] > 0:
            bound = 0.1 * math.sqrt(raw["variance"])
            assert raw["sparsity"] == pytest.approx((np.abs(finite) < bound).mean(), abs=1e-12), context
    check_columns(measured, values, context)
    check_centred(measured, values, centred, context)


def check_columns(measured: dict[str, Any], values: Any, context: str) -> None:
    for c, (count, mean, m2, m3, m4) in enumerate(measured["columns"]):
        column = values[:, c]
        column = column[np.isfinite(column)]
        assert count == column.size, (context, c)
        if not column.size:
            continue
        assert close(mean, math.fsum(column) / column.size, 1e-15), (context, c)
        difference = column.astype(np.longdouble) - np.longdouble(mean)
        scale = float(np.abs(difference).max())
        assert close(m2, float((difference**2).sum()), 1e-11, 0), (context, c)
        assert close(m3, float((difference**3).sum()), 1e-11, 1e-13 * count * scale**3), (context, c)
        assert close(m4, float((difference**4).sum()), 1e-11, 0), (context, c)


def check_centred(measured: dict[str, Any], values: Any, centred: dict[str, Any], context: str) -> None:
    means = np.array([column[1] for column in measured["columns"]])
    exponent = measured["centred_exponent"]
    scale = np.float32(2.0**-exponent)
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = values.astype(np.float32) * scale - means.astype(np.float32) * scale
        bits = scaled.astype(np.float16).view(np.uint16)
    bits = np.where(np.isnan(values), 0x7E00, bits)
    assert measured["centred_counts"] == counts_of(order_codes(bits)), context
    exact = (values - means)[np.isfinite(values)]
    if exact.size < 4 or centred["variance"] is None or centred["variance"] == 0:
        return
    wide = exact.astype(np.longdouble)
    n = exact.size
    m2, m3, m4 = (float((wide**power).mean()) for power in (2, 3, 4))
    assert close(centred["variance"], m2, 1e-10), context
    kurtosis = ((n + 1) * (m4 / m2**2 - 3) + 6) * (n - 1) / ((n - 2) * (n - 3))
    skewness = m3 / m2**1.5 * math.sqrt(n * (n - 1)) / (n - 2)
    bimodality = (skewness**2 + 1) / (kurtosis + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))
    assert close(centred["skewness"], skewness, 1e-9, 1e-9), context
    assert close(centred["kurtosis"], kurtosis, 1e-9, 1e-9), context
    assert close(centred["bimodality"], bimodality, 1e-9), context


def check_displacement(measured: dict[str, Any], values: Any, reference: Any, context: str) -> None:
    valid = np.isfinite(values) & np.isfinite(reference)
    w, r = values[valid].astype(np.longdouble), reference[valid].astype(np.longdouble)
    assert measured["elements"] == valid.sum(), context
    if not w.size:
        assert measured["msd"] is None, context
        return
    assert close(measured["msd"], float(((w - r) ** 2).mean()), 1e-11), context
    norms = float(np.sqrt((w**2).sum()) * np.sqrt((r**2).sum()))
    if norms > 0:
        assert close(measured["cosine"], float((w * r).sum()) / norms, 1e-11, 1e-12), context
    else:
        assert measured["cosine"] is None, context


def mix(counter: int) -> int:
    """SplitMix64, as the definition of the sample says."""
    mask = 2**64 - 1
    z = counter * 0x9E3779B97F4A7C15 & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31


def check_sample(kept: list[str], tokens: Any, context: str) -> None:
    seed, count = 240308739, min(tokens.size, 4096)
    assert len(kept) == count, context
    for i, text in enumerate(kept):
        begin, end = i * tokens.size // count, (i + 1) * tokens.size // count
        index = begin + mix(mix(seed) + i + 1) % (end - begin)
        value, expected = float.fromhex(text), np.float32(tokens.flat[index])
        assert value == expected or (math.isnan(value) and math.isnan(expected)), (context, i)


def run_probe(probe: Path, *arguments: object) -> str:
    command = [str(probe), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def probe() -> Path:
    return find_program("tests/statistics_probe")


@pytest.fixture(scope="module")
def variants(probe: Path) -> str:
    """Threads and instruction sets whose results must be the same, which the probe checks bit by bit."""
    best = run_probe(probe, "isa").strip()
    names = ["portable", "neon"] if best == "neon" else ["portable", "avx2", "avx512"]
    available = names[: names.index(best) + 1]
    return ",".join(f"{threads}:{available[i % len(available)]}" for i, threads in enumerate((1, 2, 3, 7)))


def plan_case(number: int) -> tuple[str, str, int, int, int, Any]:
    random = np.random.default_rng([SEED, number])
    kind = KINDS[number % len(KINDS)]
    dtype = ("float16", "bfloat16", "float32", "float64")[number // len(KINDS) % 4]
    rows, columns = int(random.integers(1, 600)), int(random.integers(1, 130))
    if number % 10 == 3:
        rows, columns = int(random.integers(600, 3000)), int(random.integers(1, 40))
    if number % 10 == 7:
        rows, columns = int(random.integers(1, 20)), int(random.integers(500, 1300))
    token_rows = rows if number % 3 == 0 else int(random.integers(1, rows + 1))
    return kind, dtype, rows, columns, token_rows, random


@pytest.mark.parametrize("number", range(CASES))
def test_equals_numpy(number: int, probe: Path, variants: str, tmp_path: Path) -> None:
    kind, dtype, rows, columns, token_rows, random = plan_case(number)
    context = f"case {number}: {kind} {dtype} {rows}x{columns} tokens {token_rows}"
    tensors, files = [], []
    for i in range(1 + number % 3):
        values = make_values(kind, rows, columns, random)
        if kind == "not finite":
            spots = random.uniform(size=values.shape)
            values[spots < 0.02] = np.nan
            values[(spots > 0.03) & (spots < 0.04)] = np.inf
            values[(spots > 0.05) & (spots < 0.06)] = -np.inf
        data, elements = to_dtype(values, dtype)
        files.append(tmp_path / f"tensor{i}")
        files[-1].write_bytes(data)
        tensors.append(elements)
    measured = json.loads(run_probe(probe, dtype, rows, columns, token_rows, variants, *files))
    for name, end in (("all", rows), ("tokens", token_rows)):
        values = tensors[0][:end]
        check_rows(measured[name], values, dtype, f"{context} {name}")
        check_scipy(measured[name]["raw"], values[np.isfinite(values)], context) if kind != "offset" else None
        for i, reference in enumerate(tensors[1:]):
            check_displacement(measured[name]["displacements"][i], values, reference[:end], f"{context} {name} {i}")
    check_sample(measured["sample"], tensors[0][:token_rows], context)
