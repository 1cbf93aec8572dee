"""The distribution of a tensor's values over the API and the client: in bins over training, and exact for one revision."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest
from running import Daemon, find_program

np = pytest.importorskip("numpy", reason="numpy is the reference")
import reference  # noqa: E402  (needs numpy)

from tests.hub import Emulator  # noqa: E402

MODEL = "garden/neox-tiny"
HERE = f"/v1/models/{MODEL}"
VARIANTS = [("all", "raw"), ("tokens", "raw"), ("all", "centred"), ("tokens", "centred")]


@pytest.fixture(scope="module")
def swept(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Emulator(garden) as hub, Daemon(programs, tmp_path_factory.mktemp("distribution"), hub.url, [], {}) as daemon:
        assert daemon.wait(daemon.sweep(MODEL))["state"] == "done"
        yield daemon


@pytest.mark.parametrize("rows,view", VARIANTS)
def test_rows_of_the_distribution_add_up(swept: Daemon, rows: str, view: str) -> None:
    picture = swept.read(f"{HERE}/distribution?rows={rows}&view={view}&bins=37")
    series = swept.series(MODEL)
    prefix = {"all": "", "tokens": "tokens_"}[rows] + {"raw": "", "centred": "centred_"}[view]
    assert [row["revision"] for row in picture["revisions"]] == [row["revision"] for row in series]
    for row, numbers in zip(picture["revisions"], series, strict=True):
        assert len(row["counts"]) == 37
        assert sum(row["counts"]) + row["not_finite"] == row["elements"] == numbers[prefix + "elements"]
    assert picture["low"] == min(row[prefix + "q001"] for row in series)
    assert picture["high"] == max(row[prefix + "q999"] for row in series)


def test_distribution_is_numpys_histogram(swept: Daemon, tensors: dict[str, Any]) -> None:
    picture = swept.read(f"{HERE}/distribution?bins=64&low=-0.5&high=0.5")
    for row in picture["revisions"]:
        values = np.clip(tensors[row["revision"]].astype(np.float64), -0.5, 0.5)
        assert row["counts"] == np.histogram(values, bins=64, range=(-0.5, 0.5))[0].tolist(), row["revision"]


def test_distribution_pages_and_has_the_same_bins_on_each(swept: Daemon) -> None:
    whole = swept.read(f"{HERE}/distribution?bins=11")
    rows, cursor = [], ""
    while True:
        page = swept.read(f"{HERE}/distribution?bins=11&limit=10{cursor}")
        assert (page["low"], page["high"]) == (whole["low"], whole["high"])
        rows += page["revisions"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert rows == whole["revisions"] and len(rows) == 25


def test_distribution_as_csv(swept: Daemon) -> None:
    answer = swept.get(HERE + "/distribution?bins=7&format=csv")
    lines = list(csv.reader(io.StringIO(answer.text)))
    whole = swept.read(f"{HERE}/distribution?bins=7")
    rows, width = whole["revisions"], (whole["high"] - whole["low"]) / 7
    assert lines[0][:4] == ["revision", "step", "elements", "not_finite"] and len(lines[0]) == 4 + 7
    middles = [float(cell) for cell in lines[0][4:]]
    assert middles == pytest.approx([whole["low"] + width * (i + 0.5) for i in range(7)], rel=1e-7, abs=1e-9)
    assert [[int(cell) for cell in line[2:4]] for line in lines[1:]] == [[row["elements"], row["not_finite"]] for row in rows]
    assert [line[0] for line in lines[1:]] == [row["revision"] for row in rows]
    assert [[int(cell) for cell in line[4:]] for line in lines[1:]] == [row["counts"] for row in rows]


@pytest.mark.parametrize("rows,view", VARIANTS)
def test_values_are_those_of_numpy(swept: Daemon, tensors: dict[str, Any], rows: str, view: str) -> None:
    """As stored they are numpy's, exactly. Around column means, whose last digits depend on the order of a sum, an
    entry that lies between two codes may go to either."""
    prefix = {"all": "", "tokens": "tokens_"}[rows] + {"raw": "", "centred": "centred_"}[view]
    for row in swept.series(MODEL)[:9:4]:
        exact = swept.read(f"{HERE}/revisions/{row['revision']}/values?rows={rows}&view={view}")
        assert exact["code"] == {"raw": "float16", "centred": "float16*2^0"}[view]
        entries = reference.view(tensors[row["revision"]], prefix).astype(np.float16).astype(np.float64) + 0.0
        known, counts = np.unique(entries, return_counts=True)
        ours = np.repeat(exact["values"], exact["counts"])
        assert ours.size == exact["elements"] == row[prefix + "elements"]
        assert [exact[name] for name in ("digest", "commit", "definition")] == [row[name] for name in ("digest", "commit", "definition")]
        if view == "raw":
            assert (exact["values"], exact["counts"]) == (known.tolist(), counts.tolist())
        else:
            apart = np.abs(ours - np.sort(entries, axis=None))
            assert np.count_nonzero(apart) <= 1e-3 * ours.size and apart.max() <= 2.0**-10 * np.abs(ours).max()


P_VALUES = {0.3785: 0.5, 0.5026: 0.1, 0.5452: 0.05, 0.6327: 0.01, 0.6664: 0.005, 0.7386: 0.001, 0.8301: 0.0001}  # of sqrt(n) dip; R's diptest


def p_value(sqrt_n_dip: float) -> float:
    if sqrt_n_dip < 0.3785:
        return 1 - 0.5 * sqrt_n_dip / 0.3785
    return float(np.exp(np.interp(sqrt_n_dip, list(P_VALUES), np.log(list(P_VALUES.values())))))


@pytest.mark.parametrize("rows,view", VARIANTS)
def test_each_statistic_of_the_series_is_that_of_its_values(swept: Daemon, rows: str, view: str) -> None:
    """In its own column: counts and quantiles by numpy, shapes by the functions that test_shapes_oracle.py holds against others."""
    prefix = {"all": "", "tokens": "tokens_"}[rows] + {"raw": "", "centred": "centred_"}[view]
    series = [row for row in swept.series(MODEL) if row["revision"] in ("step16", "step512", "step14000")]
    spread, lines = [], []
    for row in series:
        exact = swept.read(f"{HERE}/revisions/{row['revision']}/values?rows={rows}&view={view}")
        lines += [str(len(exact["values"])), *(f"{value!r} {count}" for value, count in zip(exact["values"], exact["counts"], strict=True))]
        spread.append(np.repeat(exact["values"], exact["counts"]))
    done = subprocess.run([find_program("tests/statistics_probe"), "dip"], input="\n".join(lines), capture_output=True, text=True, check=True)
    names = {"dip_low": "low", "dip_high": "high"} | {f"mixture_{name}": name for name in ("weight1", "mean1", "sd1", "mean2", "sd2")}
    names |= {name: name for name in ("dip", "ashman_d", "delta_bic", "valley_to_peak", "modes")}
    for row, values, shape in zip(series, spread, map(json.loads, done.stdout.splitlines()), strict=True):
        expected = {name: shape[of_probe] for name, of_probe in names.items()}
        for digits in ("001", "01", "05", "25", "50", "75", "95", "99", "999"):
            expected[f"q{digits}"] = np.quantile(values, float(f"0.{digits}"), method="inverted_cdf")
        expected |= {"zero_count": (values == 0).sum(), "minimum": values[0], "maximum": values[-1], "elements": values.size}
        expected["sparsity"] = (np.abs(values) < 0.1 * np.sqrt(row[prefix + "variance"])).mean()
        expected["dip_sqrt_n"] = np.sqrt(values.size) * shape["dip"]
        expected["dip_p"] = p_value(expected["dip_sqrt_n"])
        for name, value in expected.items():
            assert row[prefix + name] == pytest.approx(value, rel=1e-12, abs=0), (row["revision"], name)
        others = {"mean", "variance", "skewness", "kurtosis", "bimodality", "nan_count", "positive_inf_count", "negative_inf_count"}
        assert {name.removeprefix("centred_") for name in row if name.startswith("centred_")} <= others | set(expected), "test_sweep.py has the others"


def test_norms_are_numpys(swept: Daemon, tensors: dict[str, Any]) -> None:
    for row in swept.series(MODEL):
        for prefix in ("", "tokens_"):
            wanted = np.linalg.norm(reference.view(tensors[row["revision"]], prefix))
            assert row[prefix + "norm"] == pytest.approx(wanted, rel=1e-12), row["revision"]


def test_values_as_csv(swept: Daemon) -> None:
    path = "/revisions/step512/values"
    exact = swept.read(HERE + path + "?view=centred")
    lines = list(csv.reader(io.StringIO(swept.get(f"{HERE}{path}?view=centred&format=csv").text)))
    assert lines[0] == ["value", "count"]
    assert [(float(value), int(count)) for value, count in lines[1:]] == list(zip(exact["values"], exact["counts"], strict=True))
    printed = swept.client("values", MODEL, "step512", "--view", "centred", "--csv").stdout
    assert [[float(cell) for cell in line.split(",")] for line in printed.splitlines()[1:]] == [[float(cell) for cell in line] for line in lines[1:]]
    assert json.loads(swept.client("values", MODEL, "step512", "--view", "centred", "--json").stdout) == exact
    absent = swept.get(f"{HERE}{path}?tensor=absent")
    assert absent.status == 404 and "step512: absent is not measured; a sweep measures it" in absent.json()["detail"]
    assert (absent.json()["in"], absent.json()["field"]) == ("query", "tensor")
    assert swept.get(f"{HERE}/revisions/none/values").status == 404
