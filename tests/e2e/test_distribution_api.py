"""The distribution of a tensor's values over the API and the client: in bins over training, and exact for one revision."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, Iterator

import pytest
from running import Daemon

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
    rows = swept.read(f"{HERE}/distribution?bins=7")["revisions"]
    assert lines[0][:4] == ["revision", "step", "elements", "not_finite"] and len(lines[0]) == 4 + 7
    middles = [float(cell) for cell in lines[0][4:]]
    assert middles == sorted(middles)
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
