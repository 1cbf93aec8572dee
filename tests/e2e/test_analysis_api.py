"""What the run shows, over the API and the client: hidden columns, samples, displacements, verdicts, the audit.

The committed run is known: step1 equals step0 (a warm-up begins at rate 0), step5000 serves the final weights.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import math
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import urlsplit

import pytest
from running import Daemon, model_path, wait_until

np = pytest.importorskip("numpy", reason="numpy is the reference")
import reference  # noqa: E402  (needs numpy)
from synthetic import safetensors  # noqa: E402  (needs numpy)

from tests.hub import Emulator  # noqa: E402

MODEL = "garden/neox-tiny"
HERE = f"/v1/models/{MODEL}"
LAST = "step14000"


@pytest.fixture(scope="module")
def swept(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Emulator(garden) as hub:
        daemon = Daemon(programs, tmp_path_factory.mktemp("analysis"), hub.url, [], {})
        daemon.start()
        sweep = daemon.wait(daemon.sweep(MODEL))
        assert sweep["state"] == "done", sweep
        yield daemon
        daemon.check_end()


# ---- hidden columns ------------------------------------------------------------------------------


@pytest.mark.parametrize("rows,variant", [("all", ""), ("tokens", "tokens_")])
def test_columns_are_those_of_numpy(swept: Daemon, tensors: dict[str, Any], rows: str, variant: str) -> None:
    answer = swept.read(f"{HERE}/columns?rows={rows}")
    assert answer["rows"] == rows and answer["count"] == len(answer["revisions"]) == 25
    for row in answer["revisions"]:
        values = reference.view(tensors[row["revision"]], variant).astype(np.float64)
        assert answer["columns"] == values.shape[1] == len(row["mean"]) == len(row["bimodality"])
        np.testing.assert_allclose(row["mean"], values.mean(axis=0), rtol=1e-12, atol=1e-15)
        wanted = [reference.describe(values[:, [i]], "")["bimodality"] for i in range(values.shape[1])]
        np.testing.assert_allclose(row["bimodality"], wanted, rtol=1e-9)


def test_columns_come_in_pages_and_as_csv(swept: Daemon) -> None:
    whole = swept.read(f"{HERE}/columns?rows=tokens")
    first = swept.read(f"{HERE}/columns?rows=tokens&limit=20")
    rest = swept.read(f"{HERE}/columns?rows=tokens&cursor={first['next_cursor']}")
    assert (first["count"], rest["count"], rest["next_cursor"]) == (20, 5, None)
    assert first["revisions"] + rest["revisions"] == whole["revisions"]
    lines = list(csv.DictReader(io.StringIO(swept.get(HERE + "/columns?rows=tokens&format=csv").text)))
    wanted = [
        (row["revision"], row["step"], i, mean, bimodality)
        for row in whole["revisions"]
        for i, (mean, bimodality) in enumerate(zip(row["mean"], row["bimodality"], strict=True))
    ]
    assert [
        (line["revision"], int(line["step"]), int(line["column"]), float(line["mean"]), float(line["bimodality"])) for line in lines
    ] == wanted
    problem = swept.get(HERE + "/columns?view=raw")
    assert problem.status == 400 and problem.json()["field"] == "view"


def test_a_page_of_columns_ends_after_half_a_million(swept: Daemon, tmp_path: Path) -> None:
    """Of a very wide tensor, whatever the limit: two revisions of 180,001 columns fit, three do not. A cursor goes on behind them."""
    width = 180_001
    config = {"model_type": "gpt_neox", "vocab_size": 2, "hidden_size": width, "num_hidden_layers": 1}
    for step in range(3):
        values = np.zeros((2, width), np.float16)
        values[0, step] = 1  # nearly all zero: an answer of a few bytes a column
        (tmp_path / f"step{step}").mkdir()
        (tmp_path / f"step{step}/config.json").write_text(json.dumps(config))
        (tmp_path / f"step{step}/model.safetensors").write_bytes(safetensors("embed_out.weight", values))
    model = f"file:{tmp_path}"
    assert swept.wait(swept.sweep(model))["state"] == "done"
    path = f"/v1/models/{model_path(model)}/columns?limit=1000"
    first = swept.get(path).json()
    assert [row["revision"] for row in first["revisions"]] == ["step0", "step1"] and first["columns"] == width
    rest = swept.get(f"{path}&cursor={first['next_cursor']}").json()
    assert [row["revision"] for row in rest["revisions"]] == ["step2"] and rest["next_cursor"] is None
    assert [np.flatnonzero(row["mean"]).tolist() for row in first["revisions"] + rest["revisions"]] == [[0], [1], [2]]
    table = swept.get(path.replace("limit=1000", "format=csv"))
    assert "link" not in {name.lower() for name in table.headers} and table.text.count("\r\n") == 1 + 3 * width, "CSV is whole"
    lines = swept.client("columns", model, "--csv").stdout.splitlines()
    assert len(lines) == 1 + 3 * width and lines[-1].startswith(f"step2,2,{width - 1},0,"), "the client reads all pages"
    # Made longer by copies of its revisions, the table is too long for one body, and is sent in parts.
    with sqlite3.connect(swept.db) as db:
        of_model = "model_id = (SELECT id FROM models WHERE name = ?)"
        for copy in range(3, 6):
            names = [name for (_, name, *_) in db.execute("PRAGMA table_info(revisions)")]
            taken = ", ".join({"id": "1 + (SELECT max(id) FROM revisions)", "name": f"'step{copy}'", "step": str(copy),
                               "commit_sha": f"'{copy}'"}.get(name, name) for name in names)  # fmt: skip
            db.execute(f"INSERT INTO revisions ({', '.join(names)}) SELECT {taken} FROM revisions WHERE name = 'step2' AND {of_model}", (model,))
            rows = [name for (_, name, *_) in db.execute("PRAGMA table_info(revision_tensors)")]
            taken = ", ".join({"revision_id": "(SELECT max(id) FROM revisions)"}.get(name, name) for name in rows)
            db.execute(f"INSERT INTO revision_tensors ({', '.join(rows)}) SELECT {taken} FROM revision_tensors WHERE revision_id = "
                       f"(SELECT id FROM revisions WHERE name = 'step2' AND {of_model})", (model,))  # fmt: skip
        db.execute("UPDATE models SET version = version + 1, revision_count = 6, measured_count = 6 WHERE name = ?", (model,))
    swept.restart()
    path = path.replace("limit=1000", "format=csv")
    longer = swept.get(path)
    assert longer.headers["Transfer-Encoding"] == "chunked" and longer.headers["Content-Type"] == table.headers["Content-Type"], longer.headers
    again = longer.text.replace("step3,3,", "step2,2,").replace("step4,4,", "step2,2,").replace("step5,5,", "step2,2,")
    last = table.text[table.text.index("step2,2,0,") :]
    assert again == table.text + 3 * last
    etag = longer.headers["ETag"]
    assert swept.get(path, headers={"If-None-Match": etag}).status == 304 and swept.get(path, headers={"If-Match": '"other"'}).status == 412
    assert swept.request("HEAD", path).headers["ETag"] == etag
    paged = swept.get(path + "&limit=5")
    assert paged.text.count("\r\n") == 1 + 5 * width and 'rel="next"' in paged.headers["Link"]

    def bytes_of_answers() -> float:
        return float(swept.get("/metrics").text.split("\nbifurcated_http_answer_bytes ")[1].split("\n")[0])

    before = bytes_of_answers()
    # What is deleted while it is sent cuts the connection: nobody takes the rest for the whole.
    where = urlsplit(swept.url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read(100)
    assert bytes_of_answers() - before > 30 * width, "a part is counted while its client reads"
    with sqlite3.connect(swept.db) as db:
        db.execute("DELETE FROM columns_statistics WHERE columns = ?", (width,))
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()
    assert swept.told("a request failed", "deleted meanwhile")
    wait_until(lambda: bytes_of_answers() - before < 30 * width)


# ---- samples -------------------------------------------------------------------------------------


def test_trajectories_are_the_tensors_entries(swept: Daemon, tensors: dict[str, Any]) -> None:
    answer = swept.read(f"{HERE}/trajectories?entries=50")
    assert len(answer["entries"]) == 50 and answer["sampled"] == 4096
    for row in answer["revisions"]:
        tensor = tensors[row["revision"]]
        wanted = [float(tensor[entry["row"], entry["column"]]) for entry in answer["entries"]]
        assert row["values"] == wanted, row["revision"]


def test_displacement_of_the_sample_estimates_that_of_the_tensor(swept: Daemon, tensors: dict[str, Any]) -> None:
    answer = swept.read(f"{HERE}/displacement")
    names = answer["revisions"]
    assert names == [row["revision"] for row in swept.series(MODEL)] and answer["available"] == len(names)
    tokens = {name: reference.view(tensors[name], "tokens_").astype(np.float64) for name in names}
    far = 0
    pairs = 0
    for i, later in enumerate(names):
        for k, earlier in enumerate(names):
            msd, error = answer["msd"][i][k], answer["msd_stderr"][i][k]
            assert msd == answer["msd"][k][i] and answer["pairs"][i][k] == answer["sampled"]
            if i == k:
                assert msd == 0 and answer["cosine"][i][k] == pytest.approx(1, abs=1e-12)
            exact = float(np.mean((tokens[later] - tokens[earlier]) ** 2))
            assert abs(msd - exact) <= 6 * error + 1e-15, (later, earlier)
            spread = float(np.std((tokens[later] - tokens[earlier]) ** 2)) / answer["sampled"] ** 0.5
            assert error == pytest.approx(spread, rel=0.5, abs=1e-15), (later, earlier)
            pairs += i > k
            far += i > k and abs(msd - exact) > 2 * error
    assert far <= 0.35 * pairs  # the entries are the same for all pairs, so the errors go together


def test_displacement_thins_out_evenly(swept: Daemon) -> None:
    answer = swept.read(f"{HERE}/displacement?limit=4")
    assert answer["count"] == 4 and answer["available"] == 25
    assert answer["revisions"][0] == "step0" and answer["revisions"][-1] == LAST
    lines = list(csv.DictReader(io.StringIO(swept.get(HERE + "/displacement?limit=4&format=csv").text)))
    assert len(lines) == 6
    assert float(lines[0]["msd"]) == answer["msd"][1][0]
    assert float(lines[0]["msd_stderr"]) == answer["msd_stderr"][1][0]
    inner = answer["steps"][1:3]
    assert swept.read(f"{HERE}/displacement?from={inner[0]}&to={inner[1]}&limit=2")["steps"] == inner


def test_distance_of_the_distributions_is_scipys(swept: Daemon, tensors: dict[str, Any]) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is the reference")
    rows = swept.series(MODEL)
    for row in rows[2:]:
        for column, name in (("wasserstein1", row["reference"]), ("lag1_wasserstein1", row["lag1_reference"])):
            here, there = (tensors[key].astype(np.float64).ravel() for key in (row["revision"], name))
            wanted = stats.wasserstein_distance(here, there)
            assert row[column] == pytest.approx(wanted, rel=1e-9, abs=1e-15), (row["revision"], column)


# ---- verdicts ------------------------------------------------------------------------------------


def test_analysis_has_a_reason_for_every_verdict(swept: Daemon) -> None:
    answer = swept.read(f"{HERE}/analysis")
    assert answer["revisions_measured"] == 25 and answer["revisions_counted"] == 23
    assert len(answer["onsets"]) == 4 and len(answer["revisions"]) == 25
    steps = {row["revision"]: row["step"] for row in answer["revisions"]}
    for onset in answer["onsets"]:
        assert onset["reason"]
        prefix = {"all": "", "tokens": "tokens_"}[onset["rows"]]
        prefix += {"raw": "", "centred": "centred_"}[onset["view"]]
        forked = [row["step"] for row in answer["revisions"] if row[prefix + "is_forked"]]
        assert len(forked) == onset["revisions_forked"]
        if onset["verdict"] == "yes":
            assert onset["step"] == steps[onset["revision"]] == forked[0] > onset["step_before"]
            row = next(row for row in swept.series(MODEL) if row["revision"] == onset["revision"])
            assert row[prefix + "dip"] == onset["dip"] >= answer["thresholds"]["dip_on"]
            assert (row[prefix + "ashman_d"], row[prefix + "modes"]) == (onset["ashman_d"], onset["modes"])
            assert onset["ashman_d"] >= answer["thresholds"]["ashman_on"] or onset["modes"] >= answer["thresholds"]["modes_on"]
        else:
            assert onset["verdict"] == "no" and onset["step"] is None and not forked
    assert any(onset["ashman_d"] and onset["ashman_d"] < 2 for onset in answer["onsets"]), "one by its modes alone"
    forks = {onset["view"]: onset["verdict"] == "yes" for onset in answer["onsets"] if onset["rows"] == "tokens"}
    assert answer["onset_view"] == ("raw" if forks["raw"] and not forks["centred"] else "centred")
    assert answer["perplexity_fall"]["verdict"] == "insufficient" and answer["perplexity_fall"]["reason"]
    assert answer["stop"]["verdict"] in ("yes", "no") and answer["stop"]["reason"]
    assert "no_perplexity" in [caution["name"] for caution in answer["stop"]["cautions"]]
    controls = {control["name"]: control["holds"] for control in answer["controls"]}
    assert controls["duplicates"] is True
    assert controls["schedule"] is None and controls["decay"] is None  # need the schedule
    assert answer["schedule"]["kind"] == "unknown" and "unknown schedule" in answer["schedule"]["note"]


def test_repeated_revisions_do_not_count(swept: Daemon) -> None:
    rows = {row["revision"]: row for row in swept.read(f"{HERE}/analysis")["revisions"]}
    assert rows[LAST]["is_counted"] and not rows["step5000"]["is_counted"]
    assert rows["step0"]["is_counted"] and not rows["step1"]["is_counted"]


def test_alpha_is_the_slope_of_the_series(swept: Daemon) -> None:
    rows = [row for row in swept.read(f"{HERE}/analysis")["revisions"] if row["is_counted"] and row["step"] > 0]
    for i in range(2, len(rows) - 2):
        near = [row for row in rows[i - 2 : i + 3] if row["msd"] > 0]
        x, y = [[math.log(row[key]) for row in near] for key in ("step", "msd")]
        assert rows[i]["alpha"] == pytest.approx(np.polyfit(x, y, 1)[0], rel=1e-6, abs=1e-9), rows[i]["revision"]


def test_a_schedule_of_the_query_opens_what_needs_one(swept: Daemon) -> None:
    query = "/analysis?schedule=cosine_neox&peak=0.003&floor=0.0003&warmup=140&total=14000&decay=0.1"
    answer = swept.read(HERE + query)
    assert answer["schedule"]["source"] == "query" and answer["schedule"]["peak"] == 0.003
    assert answer["decay"]["verdict"] in ("yes", "no")
    assert answer["rest"]["per_lr"]["verdict"] in ("yes", "no")
    sums = [row["lr_sum"] for row in answer["revisions"]]
    assert sums == sorted(sums) and sums[0] == 0
    assert "revisions" not in swept.read(HERE + query + "&points=false")
    for query, field in (
        ("peak=1", "peak"),
        ("schedule=steep", "schedule"),
        ("schedule=linear&total=5", "peak"),
        ("schedule=linear&peak=1&warmup=9&total=5", "total"),
        ("schedule=constant&peak=1&decay=0.6", "decay"),
        ("schedule=constant&peak=0x1", "peak"),
        ("schedule=constant&peak=nan", "peak"),
    ):
        problem = swept.get(f"{HERE}/analysis?{query}")
        assert problem.status == 400 and problem.json()["field"] == field, (query, problem)


def test_answers_are_conditional_and_have_a_head(swept: Daemon) -> None:
    for path in ("/distribution?bins=3", "/columns", "/trajectories", "/displacement", "/analysis", "/audit"):
        first = swept.get(HERE + path)
        assert first.headers["ETag"]
        assert swept.get(HERE + path, {"If-None-Match": first.headers["ETag"]}).status == 304
        assert swept.request("HEAD", HERE + path).status == 200
        assert swept.get("/v1/models/garden/absent" + path).status == 404


def test_a_tensor_that_was_not_measured_has_no_verdict(swept: Daemon) -> None:
    answer = swept.read(f"{HERE}/analysis?tensor=absent")
    assert {onset["verdict"] for onset in answer["onsets"]} == {"insufficient"}
    assert swept.read(f"{HERE}/distribution?tensor=absent")["revisions"] == []
    assert swept.read(f"{HERE}/columns?tensor=absent")["revisions"] == []
    assert swept.read(f"{HERE}/trajectories?tensor=absent")["revisions"] == []
    assert swept.read(f"{HERE}/displacement?tensor=absent")["msd"] == []


# ---- audit and scaling ---------------------------------------------------------------------------


def test_audit_finds_what_was_planted_and_nothing_else(swept: Daemon) -> None:
    answer = swept.read(f"{HERE}/audit")
    found = {(one["kind"], one["revision"], one["other"]) for one in answer["findings"]}
    assert found == {("unchanged", "step1", "step0"), ("duplicate", "step5000", LAST)}
    assert answer["counts"] == {"duplicate": 1, "unchanged": 1, "out_of_line": 0, "missing": 0, "not_finite": 0, "rewritten": 0, "no_weights": 0}
    assert answer["distinct_tensors"] == 23 and answer["revisions_known"] == 25
    for one in answer["findings"]:
        assert one["is_tensor_equal"] is True and one["revision"] in one["text"] and one["other"] in one["text"]


def test_audit_needs_no_measurement(programs: dict[str, Path], garden: Path, tmp_path: Path) -> None:
    """A sweep lists files: by these alone a duplicate is seen, and a revision that came without its weights."""
    run = tmp_path / "root" / "models" / MODEL
    (run / "step4500").mkdir(parents=True)
    (run / "step4500" / "README.md").write_text("The weights follow.")
    for one in (garden / "models" / MODEL).iterdir():
        (run / one.name).symlink_to(one)
    with Emulator(tmp_path / "root") as hub:
        daemon = Daemon(programs, tmp_path, hub.url, [], {})
        daemon.start()
        daemon.wait(daemon.sweep(MODEL, revisions={"names": ["step0", "step4500", "step5000", LAST]}, metrics=["statistics"]))
        answer = daemon.read(f"{HERE}/audit")
        found = [one for one in answer["findings"] if one["kind"] in ("duplicate", "no_weights")]
        assert [(one["kind"], one["revision"], one["other"], one["basis"]) for one in found] == [
            ("no_weights", "step4500", None, "files"),
            ("duplicate", "step5000", LAST, "files"),
        ]
        assert "step4500 serves no weights" in found[0]["text"] and f"({found[0]['evidence']:.0f})" in found[0]["text"] and answer["counts"]["no_weights"] == 1
        daemon.check_end()


def test_few_revisions_of_a_good_run_are_in_line(
    programs: dict[str, Path], garden: Path, tmp_path: Path
) -> None:
    """ln MSD over four distant revisions bends; a step that lies on the way from its neighbour to the next is no fault."""
    run = tmp_path / "run"
    run.mkdir()
    for step in ("step0", "step16", "step512", LAST):
        (run / step).symlink_to(garden / "models" / MODEL / step)
    daemon = Daemon(programs, tmp_path, None, [], {})
    daemon.start()
    good, bad = f"file:{run}", f"file:{tmp_path / 'bad'}"
    assert daemon.wait(daemon.sweep(good))["state"] == "done"
    audit = daemon.get(f"/v1/models/file/{str(run).replace('/', '%2F')}/audit").json()
    assert audit["findings"] == [], audit
    # against a revision that has no step there is no time since, and the answer says so
    (run / "final").symlink_to(garden / "models" / MODEL / LAST)
    assert daemon.wait(daemon.sweep(good, reference="final"))["state"] == "done"
    answer = daemon.get(f"/v1/models/file/{str(run).replace('/', '%2F')}/analysis?schedule=constant&peak=0.001").json()
    assert answer["decay"]["reason"] == "displacements are against a revision without a step", answer["decay"]
    moved = [row for row in answer["revisions"] if row["msd"]]
    assert len(moved) == 3 and all(row["alpha"] is None and row["msd_per_lr"] is None for row in moved), moved
    # the same way with a revision in it that lies elsewhere, and the way back; a thinned sweep leaves out every other one
    sources = {f"step{step}": "step64" for step in (3, 6, 12, 24)} | {f"step{step}": f"step{step}" for step in (2, 4, 16, 32)}
    for name, source in (sources | {"step8": "step512"}).items():
        (tmp_path / "bad" / name).mkdir(parents=True)
        for file in (garden / "models" / MODEL / source).iterdir():
            (tmp_path / "bad" / name / file.name).symlink_to(file)
    assert daemon.wait(daemon.sweep(bad, revisions={"every": 2}))["state"] == "done"
    here = f"/v1/models/file/{bad[5:].replace('/', '%2F')}"
    audit = daemon.get(here + "/audit").json()
    assert [(one["kind"], one["revision"]) for one in audit["findings"]] == [("out_of_line", "step8")], audit
    assert "nearer to each other" in audit["findings"][0]["text"]
    # the run begins at step 2, and so does its time
    rows = [row for row in daemon.get(here + "/analysis").json()["revisions"] if row["msd"] is not None]
    assert [row["step"] for row in rows] == [2, 4, 8, 16, 32] and rows[0]["msd"] == 0
    x, y = [math.log(row["step"] - 2) for row in rows[1:]], [math.log(row["msd"]) for row in rows[1:]]
    assert rows[2]["alpha"] == pytest.approx(np.polyfit(x, y, 1)[0], rel=1e-6), rows
    daemon.check_end()


def test_rates_survive_a_denser_sweep(programs: dict[str, Path], garden: Path, tmp_path: Path) -> None:
    """After a sparse sweep, what a denser one measures in between does not cost the older rows their rates."""
    with Emulator(garden) as hub:
        daemon = Daemon(programs, tmp_path, hub.url, [], {})
        daemon.start()
        daemon.wait(daemon.sweep(MODEL, revisions={"from": 2000, "every": 4}))
        daemon.wait(daemon.sweep(MODEL, revisions={"from": 2000, "to": 4000, "every": 1}))
        rows = {row["revision"]: row for row in daemon.series(MODEL) if row["state"] == "measured"}
        points = {one["revision"]: one for one in daemon.read(f"{HERE}/analysis")["revisions"]}
        older = [row for row in rows.values() if row["lag1_reference"] == "step2000" and row["step"] > 4000]
        assert older, rows.keys()
        for row in older:
            rate = row["tokens_lag1_msd"] / (row["step"] - 2000)
            assert points[row["revision"]]["rate_per_step"] == pytest.approx(rate, rel=1e-12)
        daemon.check_end()


def test_displacements_from_another_reference_are_told(programs: dict[str, Path], garden: Path, tmp_path: Path) -> None:
    """A sweep of some revisions that names another reference: no verdict and no line of a figure mixes the two."""
    names = ["step0", "step64", "step128", "step256", "step512"]
    with Emulator(garden) as hub:
        daemon = Daemon(programs, tmp_path, hub.url, [], {})
        daemon.start()
        daemon.wait(daemon.sweep(MODEL, revisions={"names": names}))
        assert daemon.read(f"{HERE}/analysis")["revisions_of_other_references"] == 0
        assert "--reference" not in daemon.client("analyze", MODEL).stdout
        daemon.wait(daemon.sweep(MODEL, revisions={"names": ["step64"]}, reference="step256"))
        said = " ".join(daemon.client("analyze", MODEL).stdout.split())
        assert "1 displacement is from another revision than step0, since a sweep named another --reference, and is left out" in said
        daemon.wait(daemon.sweep(MODEL, revisions={"names": ["step64", "step128"]}, reference="step256"))
        analysis = daemon.read(f"{HERE}/analysis")
        assert (analysis["reference"], analysis["revisions_of_other_references"]) == ("step0", 2)
        assert [one["revision"] for one in analysis["revisions"] if one["msd"] is None and one["revision"] in names] == names[1:3]
        said = " ".join(daemon.client("analyze", MODEL).stdout.split())
        assert "2 displacements are from another revision than step0, since a sweep named another --reference, and are left out" in said
        figure = daemon.client("plot", MODEL, "-o", "-").stdout
        assert ">2 from elsewhere<" in figure and ">from the start<" in figure
        daemon.wait(daemon.sweep(MODEL, revisions={"names": names}, reference="step256"))
        assert daemon.read(f"{HERE}/analysis")["revisions_of_other_references"] == 0
        figure = daemon.client("plot", MODEL, "-o", "-").stdout
        assert ">from step256<" in figure and "elsewhere" not in figure
        daemon.check_end()


def test_scaling_is_refused_under_three_models(swept: Daemon) -> None:
    answer = swept.get("/v1/scaling?view=centred&prefix=garden/").json()
    assert [model["model"] for model in answer["models"]] == [MODEL]
    assert answer["models"][0]["parameter_count"] > 0
    assert answer["fit"]["is_fitted"] is False and "at least 3 sizes" in answer["fit"]["reason"]
    assert swept.get("/v1/scaling?prefix=nobody/").json()["models"] == []


def test_what_is_no_point_of_the_law_and_what_is_not_finite(programs: dict[str, Path], garden: Path, tmp_path: Path) -> None:
    """Forked at its first revision of its own: it forked earlier, and no law may take that step for the onset, but for its bound."""
    steps = [0, 64, 256, 512, 1000, 2000, 3000, 4000]
    for name, first in (("whole", 0), ("late", 512)):
        (tmp_path / name).mkdir()
        for step in steps[steps.index(first) :]:
            (tmp_path / name / f"step{step}").symlink_to(garden / "models" / MODEL / f"step{step}")
    random = np.random.default_rng(3)
    norms = {}
    for step in (0, 1000, 2000, 3000):
        values = random.normal(size=(256, 16)).astype(np.float16)
        if step == 0:
            values[200:210] = np.inf
        if step == 2000:
            values[:64] = np.nan
        norms[step] = float(np.sqrt((values[np.isfinite(values)].astype(np.float64) ** 2).sum()))
        place = tmp_path / "odd" / f"step{step}"
        place.mkdir(parents=True)
        (place / "config.json").write_text('{"model_type": "olmo2", "vocab_size": 256, "hidden_size": 16}')
        (place / "model.safetensors").write_bytes(safetensors("lm_head.weight", values))
    config = json.loads((garden / "models" / MODEL / "step0" / "config.json").read_text())
    shape = (config["vocab_size"], config["hidden_size"])
    (tmp_path / "blown").mkdir()  # forks as the whole one does, then explodes
    for step in steps:
        (tmp_path / "blown" / f"step{step}").symlink_to(garden / "models" / MODEL / f"step{step}")
    for step, values in ((5000, 1e4 * random.normal(size=shape)), (6000, np.full(shape, np.nan))):
        (tmp_path / "blown" / f"step{step}").mkdir()
        (tmp_path / "blown" / f"step{step}" / "model.safetensors").write_bytes(safetensors("embed_out.weight", values.astype(np.float16)))
    (tmp_path / "closed").mkdir()  # has one mode again, of early weights
    for step, source in [(step, step) for step in steps] + [(5000, 8), (6000, 16), (7000, 32)]:
        (tmp_path / "closed" / f"step{step}").symlink_to(garden / "models" / MODEL / f"step{source}")
    daemon = Daemon(programs, tmp_path, None, [], {})
    daemon.start()
    sweeps = [daemon.sweep(f"file:{tmp_path / name}") for name in ("whole", "late", "odd", "blown", "closed")]
    assert {daemon.wait(sweep)["state"] for sweep in sweeps} == {"done"}
    answer = daemon.get("/v1/scaling?view=centred&unit=steps").json()
    whole, late, odd, blown, closed = (next(one for one in answer["models"] if one["model"].endswith(name)) for name in ("/whole", "/late", "/odd", "/blown", "/closed"))
    assert (whole["onset_step"], whole["onset_step_before"], whole["left_out"]) == (512, 256, None), whole
    assert (late["onset_step"], late["onset_step_before"], late["left_out"]) == (512, None, None), late
    assert (odd["verdict"], odd["onset_step"], odd["onset_step_before"]) == ("no", None, 3000), odd
    assert (odd["parameter_count"], odd["left_out"]) == (None, "size_unknown"), odd
    series = daemon.get(f"/v1/models/file/{odd['model'][5:].replace('/', '%2F')}/revisions?fields=step,norm,tokens_norm").json()["revisions"]
    for row in series:  # of what is finite there, whatever the reference is
        assert row["norm"] == row["tokens_norm"] == pytest.approx(norms[row["step"]], rel=1e-12), row
    assert (blown["verdict"], blown["onset_step"], blown["left_out"]) == ("yes", 512, "diverged"), blown
    assert (closed["onset_step"], closed["left_out"]) == (512, None), closed
    assert [one["is_lasting"] for one in (whole, late, odd, closed)] == [True, True, None, False]
    assert "there are 1" in answer["fit"]["reason"], answer["fit"]
    assert (answer["fit"]["count"], answer["fit"]["sizes"], answer["fit"]["unforked"]) == (3, 1, 0), answer["fit"]
    said = daemon.client("scaling", "--view", "centred", "--unit", "steps").stdout
    assert f"not in the law: {odd['model']}, its number of parameters" in said and whole["model"] + "," not in said, said
    assert f"not in the law: {blown['model']}, its training diverged" in said, said
    assert f"not to the end: {closed['model']}, whose fork has closed again" in said and said.count("not to the end") == 1, said
    analysis = daemon.get(f"/v1/models/file/{blown['model'][5:].replace('/', '%2F')}/analysis").json()
    assert (analysis["divergence"]["verdict"], analysis["divergence"]["revision"]) == ("yes", "step5000"), analysis["divergence"]
    said = " ".join(daemon.client("analyze", blown["model"]).stdout.split())
    assert "2 of them left out as repetitions or after training diverged" in said and analysis["divergence"]["reason"] in said, said
    assert analysis["revisions_counted"] == len(steps) and "diverged" in [one["name"] for one in analysis["stop"]["cautions"]]
    assert next(one for one in daemon.get("/v1/models").json()["models"] if one["name"] == odd["model"])["parameter_count"] is None
    with sqlite3.connect(daemon.db) as database:  # more models than a page has come before these
        database.executescript("""
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001)
                INSERT INTO models (id, name, kind, created_ms, updated_ms) SELECT 1000 + i, 'a/' || i, 'hub', 0, 0 FROM n;
            INSERT INTO revisions (model_id, name, commit_sha, step, first_seen_ms) SELECT id, 'step0', 'x', 0, 0 FROM models WHERE id > 1000;
            INSERT INTO models (id, name, kind, revision_count, measured_count, created_ms, updated_ms) VALUES (20000, 'file:/long', 'folder', 20001, 9, 0, 0);
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                INSERT INTO revisions (model_id, name, commit_sha, step, first_seen_ms) SELECT 20000, 'step' || i, 'x', i, 0 FROM n;
            """)
    refused = daemon.get("/v1/models/file/%2Flong/analysis")
    assert refused.status == 413 and "20001 revisions with a step" in refused.json()["detail"], refused.json()
    assert "/revisions with from and to" in refused.json()["detail"]
    assert daemon.get("/v1/scaling?view=centred&prefix=file:&tensor=transformer.wte.weight").json()["models"] == []
    with_long = daemon.get("/v1/scaling?view=centred&unit=steps&prefix=file:").json()
    longest = next(one for one in with_long["models"] if one["model"] == "file:/long")
    assert (longest["left_out"], longest["verdict"], longest["onset_step"]) == ("too_long", "insufficient", None)
    assert [one for one in with_long["models"] if one is not longest] == answer["models"] and with_long["fit"] == answer["fit"]
    assert "not in the law: file:/long, it has too many revisions to be analysed" in daemon.client("scaling", "--view", "centred", "--prefix", "file:").stdout
    with sqlite3.connect(daemon.db) as database:
        database.execute("UPDATE models SET measured_count = 1 WHERE id BETWEEN 1001 AND 2001")
    assert "only of the first 1000 models by name; there are more, of which --prefix takes" in daemon.client("scaling", "--view", "centred", "--prefix", "a/").stdout
    audit = daemon.get(f"/v1/models/file/{odd['model'][5:].replace('/', '%2F')}/audit").json()
    found = [(one["kind"], one["basis"], one["revision"], one["evidence"]) for one in audit["findings"]]
    assert found == [("not_finite", "values", "step0", 10 / 256), ("not_finite", "values", "step2000", 0.25)]
    assert "25 % of its values are NaN or Inf" in audit["findings"][1]["text"] and audit["counts"]["not_finite"] == 2
    assert "step2000: 25 % of its values" in daemon.client("audit", odd["model"]).stdout
    daemon.check_end()


# ---- client --------------------------------------------------------------------------------------


def test_client_says_it_in_words(swept: Daemon) -> None:
    analysis = swept.client("analyze", MODEL)
    assert "name it with --schedule, --peak," in " ".join(analysis.stdout.split())  # as the client calls them
    assert analysis.returncode == 0, analysis
    assert "2 of them left out as repetitions\n" in analysis.stdout and "diverge" not in analysis.stdout
    for text in ("Did the weights fork?", "Could training have stopped earlier?", "What else could explain this?"):
        assert text in analysis.stdout
    assert max(len(line) for line in analysis.stdout.splitlines()) <= 100
    assert json.loads(swept.client("analyze", MODEL, "--json").stdout) == swept.read(f"{HERE}/analysis")
    audit = swept.client("audit", MODEL)
    assert audit.returncode == 0 and re.search(rf"step5000 serves the same .* as\s+{LAST}", audit.stdout), audit
    found = list(csv.DictReader(io.StringIO(swept.client("audit", MODEL, "--csv").stdout, newline="")))
    findings = swept.read(f"{HERE}/audit")["findings"]
    assert [(one["kind"], one["revision"], one["text"]) for one in found] == [(one["kind"], one["revision"], one["text"]) for one in findings]
    assert set(found[0]) == {name for one in findings for name in one}, "every member has a column"
    points = swept.read(f"{HERE}/analysis")["revisions"]
    found = list(csv.DictReader(io.StringIO(swept.client("analyze", MODEL, "--csv").stdout, newline="")))
    assert set(found[0]) == set(points[0]) and [one["revision"] for one in found] == [one["revision"] for one in points]
    assert [float(one["lag1_msd"] or "nan") for one in found] == pytest.approx([math.nan if one["lag1_msd"] is None else one["lag1_msd"] for one in points], rel=0, nan_ok=True), "every digit"
    scaling = swept.client("scaling")
    assert scaling.returncode == 0 and "no law" in scaling.stdout
    assert swept.client("analyze", "garden/absent").returncode == 4
    assert swept.client("analyze", MODEL, "--peak", "1").returncode == 2


def test_client_scores_one_revision(swept: Daemon, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The garden of forking paths is an enormous riddle. " * 40)
    done = swept.client("perplexity", MODEL, "--revision", "step512", "--file", str(text))
    assert done.returncode == 0, done
    numbers = dict(line.split(None, 1) for line in done.stdout.splitlines())
    assert numbers["revision"] == "step512" and numbers["mode"] == "tokens"
    assert 1 < float(numbers["perplexity"].split()[0]) < 1e4 and int(numbers["tokens"]) > 100
    row = json.loads(swept.client("perplexity", MODEL, "--revision", "step512", "--file", str(text), "--json").stdout)
    assert f"{row['pooled_perplexity']:.6g}" == numbers["perplexity"].split()[0]
    missing = swept.client("perplexity", MODEL, "--revision", "step512", "--file", str(tmp_path / "absent"))
    assert missing.returncode == 2 and "absent" in missing.stderr


# ---- a second model, after all that counts models ------------------------------------------------


def test_entries_of_a_copy_without_its_tokenizer(swept: Daemon, tensors: dict[str, Any], garden: Path, tmp_path: Path) -> None:
    """Of it all rows count as tokens, so other entries of the same contents are sampled, and both are kept."""
    folders = reference.garden_folders(garden)
    for name in ("step0", "step512"):
        shutil.copytree(folders[name], tmp_path / "run" / name)
    model = f"file:{tmp_path}/run"
    assert swept.wait(swept.sweep(model))["state"] == "done"
    before = swept.read(f"{HERE}/trajectories")
    answer = swept.get(f"/v1/models/{model_path(model)}/trajectories?entries=50").json()
    assert [row["revision"] for row in answer["revisions"]] == ["step0", "step512"]
    for row in answer["revisions"]:
        tensor = tensors[row["revision"]]
        assert row["values"] == [float(tensor[entry["row"], entry["column"]]) for entry in answer["entries"]]
    assert swept.read(f"{HERE}/trajectories") == before
