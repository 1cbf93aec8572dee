"""Runs whose names count tokens, words, epochs or checkpoints: the number keeps its unit wherever it is read, and units are never mixed.

The committed run forks at its step 512, after 256; the same checkpoints under other names fork there in other units.
"""

from __future__ import annotations

import csv
import json
import re
import sqlite3
import urllib.parse
from pathlib import Path
from typing import Any, Iterator

import pytest
from browser import Browser
from dashboards import load, page  # noqa: F401
from running import Daemon

STEPS = [0, 64, 256, 512, 1000, 2000, 4000]
NAMES = {"tokens": "{0}b_tokens", "pairs": "step{0}-tokens{1}M", "words": "chck_{0}M", "epochs": "epoch_{0}", "checkpoints": "save{0}"}
UNITS = {"tokens": "tokens", "pairs": "steps", "words": "words", "epochs": "epochs", "checkpoints": "checkpoints"}
SIZES = {"tokens": 1e9, "pairs": 1, "words": 1e6, "epochs": 1, "checkpoints": 1}  # of a step, in the run's unit


@pytest.fixture(scope="module")
def runs(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    root = tmp_path_factory.mktemp("units")
    for run, form in NAMES.items():
        (root / run).mkdir()
        for step in STEPS:
            (root / run / form.format(step, 2 * step)).symlink_to(garden / "models/garden/neox-tiny" / f"step{step}")
    daemon = Daemon(programs, root / "state", None, [], {})
    daemon.start()
    daemon.names = {run: f"file:{root / run}" for run in NAMES}  # type: ignore[attr-defined]
    daemon.paths = {run: "/v1/models/file/" + str(root / run).replace("/", "%2F") for run in NAMES}  # type: ignore[attr-defined]
    rules = {"epochs": {"revisions": {"rule": "epoch_{step}"}}, "checkpoints": {"revisions": {"rule": "save{checkpoint}"}}}
    sweeps = [daemon.sweep(name, **rules.get(run, {})) for run, name in daemon.names.items()]  # type: ignore[attr-defined]
    assert {daemon.wait(sweep)["state"] for sweep in sweeps} == {"done"}
    yield daemon
    daemon.check_end()


def words_of(daemon: Daemon, *arguments: str) -> str:
    done = daemon.client(*arguments)
    assert done.returncode == 0, done
    return " ".join(done.stdout.split())


def onset_of(runs: Any, run: str) -> dict[str, Any]:
    found = runs.read(f"{runs.paths[run]}/analysis")
    assert found["step_unit"] == UNITS[run]
    return next(one for one in found["onsets"] if (one["rows"], one["view"]) == ("tokens", "centred"))


def test_every_answer_says_its_unit(runs: Any) -> None:
    for run, path in runs.paths.items():
        parts = ["revisions?fields=revision,step", "audit", "analysis", "displacement", "distribution", "trajectories", "columns"]
        last = NAMES[run].format(4000, 8000)
        parts += [f"revisions/{last}", f"revisions/{last}/values"]
        answers = [runs.read(path), *(runs.read(f"{path}/{part}") for part in parts)]
        assert [answer["step_unit"] for answer in answers] == [UNITS[run]] * len(answers)
        rows = list(csv.DictReader(runs.get(f"{path}/revisions?format=csv").text.splitlines()))
        assert [(int(row["step"]), row["step_unit"]) for row in rows] == [(step * SIZES[run], UNITS[run]) for step in STEPS]
        assert words_of(runs, "revision", runs.names[run], last).split()[2:6] == ["step", f"{4000 * SIZES[run]:.0f}", "step_unit", UNITS[run]]
    models = csv.DictReader(runs.get("/v1/models?format=csv").text.splitlines())
    assert {row["name"]: row["step_unit"] for row in models} == {name: UNITS[run] for run, name in runs.names.items()}
    rows = runs.read(f"{runs.paths['tokens']}/revisions?fields=step,training_tokens")["revisions"]
    assert [row["step"] for row in rows] == [row["training_tokens"] for row in rows] == [step * 10**9 for step in STEPS], "exact, as ever"
    assert runs.read("/v1/models?fields=name,step_unit")["models"][0].keys() == {"name", "step_unit"}
    for table in ("distribution", "columns", "trajectories"):
        said = words_of(runs, table, runs.names["words"])
        assert said.split()[:2] == ["REVISION", "WORDS"] and " chck_4000M 4B " in said, "over the numbers stands what they count"
    near = list(csv.DictReader(runs.client("series", runs.names["tokens"], "--csv", "--from", "0.25T", "--to", "512B").stdout.splitlines()))
    assert [row["revision"] for row in near] == ["256b_tokens", "512b_tokens"]
    assert runs.client("series", runs.names["words"], "--from", "5M", "--to", "6m").stderr == "no revision lies between these words\n"
    matrix = words_of(runs, "displacement", runs.names["tokens"])
    assert "REVISION TOKENS 0 64B 256B 512B 1T 2T 4T " in matrix and " 4000b_tokens 4T " in matrix, matrix


@pytest.mark.parametrize(
    "run,step,before,tokens,place,after",
    [
        ("tokens", 512e9, 256e9, 512e9, "from 512B tokens on", "after 256B tokens:"),
        ("pairs", 512, 256, 1024e6, "from step 512 (1.024B tokens) on", "after step 256:"),
        ("words", 512e6, 256e6, None, "from 512M words on", "after 256M words:"),
        ("epochs", 512, 256, None, "from epoch 512 on", "after epoch 256:"),
        ("checkpoints", 512, 256, None, "from checkpoint 512 on", "after checkpoint 256:"),
    ],
)
def test_an_onset_in_words(runs: Any, run: str, step: float, before: float, tokens: float | None, place: str, after: str) -> None:
    onset = onset_of(runs, run)
    assert (onset["step"], onset["step_before"], onset["tokens"]) == (step, before, tokens), onset
    assert onset["tokens_before"] == (tokens / 2 if tokens else None) and onset["reason"].startswith(place), onset
    said = words_of(runs, "analyze", runs.names[run])
    assert f"yes, {after} {place}" in said and f"for each {UNITS[run][:-1]} " in said
    assert run == "pairs" or not re.search(r"\bstep \d", said), said
    figure = runs.client("plot", runs.names[run], "-o", "-", "--rows", "tokens", "--view", "centred").stdout
    title = {"tokens": "training tokens", "pairs": "training step", "words": "training words", "epochs": "epoch", "checkpoints": "checkpoint"}[run]
    assert f">{title} (logarithmic)</text>" in figure and "onset: " + place.removeprefix("from ").split(" (")[0].removesuffix(" on") in figure
    assert {"tokens": ">1T</text>", "words": ">1B</text>"}.get(run, ">1000</text>") in figure, "ticks that people read"


def test_bounds_of_a_sweep_are_in_the_units_of_a_run(runs: Any) -> None:
    """Who asks for steps 5 to 20 of a run of tokens learns why there are none; 256B is what he means."""
    refused = runs.client("sweep", runs.names["tokens"], "--from", "5", "--to", "20", "--follow")
    assert refused.returncode == 1 and "lies within the bounds of the sweep, which are in tokens, as its names count" in refused.stderr, refused
    done = runs.client("sweep", runs.names["tokens"], "--from", "256B", "--to", "0.6T", "--follow")
    assert done.returncode == 0 and "2/2 revisions" in done.stdout + done.stderr, done


def test_a_schedule_in_the_units_of_a_run(runs: Any) -> None:
    """Its places are in the run's unit, its sums over optimiser steps: the same run has the same rates and null model under every name."""
    places = {"warmup": 100, "stable": 1000, "total": 4000}

    def analysis(run: str, **more: float) -> dict[str, Any]:
        given = {name: place * SIZES[run] for name, place in places.items()} | more
        query = "&".join(f"{name}={value!r}" for name, value in given.items())
        return runs.read(f"{runs.paths[run]}/analysis?schedule=wsd&peak=0.001&floor=0.0001&decay=0.1&{query}")

    wanted = analysis("pairs")
    assert wanted["schedule"]["steps"] == 4000 and wanted["schedule"]["note"] is None
    for run, path in runs.paths.items():
        if run == "pairs":
            assert runs.get(f"{path}/analysis?schedule=constant&peak=0.001&steps=9").json()["field"] == "steps"
            continue
        found = analysis(run, steps=4000)
        assert {name: found["schedule"][name] for name in places} == {name: place * SIZES[run] for name, place in places.items()}
        assert found["schedule"]["steps"] == 4000 and found["schedule"]["note"] == f"warmup, stable and total are in {run}"
        for one, other in zip(found["revisions"], wanted["revisions"], strict=True):
            for name in ("lr", "lr_sum", "msd_null", "rate_per_lr", "rate_per_lr_squared"):
                assert one[name] == (None if other[name] is None else pytest.approx(other[name], rel=1e-9)), (run, name)
        assert found["decay"]["log_error"] == pytest.approx(wanted["decay"]["log_error"], rel=1e-6) and found["decay"]["reason"] == wanted["decay"]["reason"]
        assert found["rest"]["per_lr"]["verdict"] == wanted["rest"]["per_lr"]["verdict"]
        for lacking, query in (("steps", f"total={4000 * SIZES[run]!r}"), ("total", "steps=4000")):
            problem = runs.get(f"{path}/analysis?schedule=constant&peak=0.001&{query}")
            assert problem.status == 400 and problem.json()["field"] == lacking and run in problem.json()["detail"], problem
        plain = runs.read(f"{path}/analysis")
        assert plain["schedule"]["kind"] == "unknown" and f"these three in {run}, and steps" in plain["schedule"]["note"]
        meaning = next(one["meaning"] for one in plain["controls"] if one["name"] == "schedule")
        assert f"at rest for each {run[:-1]}, not for each unit of learning rate" in meaning
        assert "warm-up" not in json.dumps(plain["rest"]) + json.dumps(plain["decay"])
        assert f"these three in {run}, and --steps" in words_of(runs, "analyze", runs.names[run])
    options = ["--schedule", "wsd", "--peak", "1e-3", "--warmup", "100B", "--stable", "1e12", "--total", "4T", "--steps", "4000"]
    said = words_of(runs, "analyze", runs.names["tokens"], *options)
    assert "wsd (as given), peak 0.001, floor 0, warm-up to 100B tokens, steady to 1T tokens, to 4T tokens in 4000 steps, weight decay 0" in said, said


def test_the_audit_counts_in_the_same_unit(runs: Any, garden: Path, tmp_path: Path) -> None:
    for millions, step in zip((0, 10, 20, 40, 50, 60, 70), STEPS, strict=True):  # none of 30
        (tmp_path / f"chck_{millions}M").symlink_to(garden / "models/garden/neox-tiny" / f"step{step}")
    (tmp_path / "chck_80M").symlink_to(garden / "models/garden/neox-tiny/step4000")
    (tmp_path / "best").symlink_to(garden / "models/garden/neox-tiny/step64")
    model = f"file:{tmp_path}"
    assert runs.wait(runs.sweep(model))["state"] == "done"
    said = words_of(runs, "audit", model)
    assert "1 revision has a name that counts no words: best. They" in said, said
    assert "a revision every 10M words" in said and "30M missing 30M words has no revision; elsewhere there is one every 10M words" in said, said
    assert "80M unchanged chck_80M has the same measured tensor as chck_70M before it: training stood still, or one" in said, said
    assert runs.client("remove", model, "--yes").returncode == 0


def test_laws_are_of_one_unit(runs: Any) -> None:
    answer = runs.read("/v1/scaling")
    left_out = {one["model"]: one["left_out"] for one in answer["models"]}
    assert answer["unit"] == "tokens" and {run: left_out[name] for run, name in runs.names.items()} == {
        "tokens": None, "pairs": None, "words": "unit", "epochs": "unit", "checkpoints": "unit",
    }  # fmt: skip
    assert answer["fit"]["count"] == 2 and answer["units"] == {"steps": 1, "tokens": 2, "words": 1, "epochs": 1, "checkpoints": 1}
    by_step = runs.read("/v1/scaling?unit=steps")
    assert by_step["unit"] == "steps" and by_step["fit"]["count"] == 1
    assert {one["model"] for one in by_step["models"] if one["left_out"] is None} == {runs.names["pairs"]}
    words = f"prefix={runs.names['words']}"
    assert runs.read(f"/v1/scaling?{words}")["unit"] == "tokens", "whatever is known of the models, the unit stays"
    assert runs.read(f"/v1/scaling?{words}&unit=words")["fit"]["count"] == 1
    assert runs.get("/v1/scaling?unit=parsecs").status == 400
    said = words_of(runs, "scaling", "--view", "centred")
    assert f"not in the law: {runs.names['words']}, its onset is known in words, not in tokens" in said
    assert f"{runs.names['pairs']} " in said and " yes 1.024B 512M " in said and " yes 512B 256B " in said, said
    assert "around column means, the law to report, over tokens: " in said and "--unit" not in said, said
    assert "known in tokens of 2 models: --unit tokens has the law of these" in words_of(runs, "scaling", "--view", "centred", "--unit", "steps")
    said = words_of(runs, "scaling", "--view", "centred", "--prefix", runs.names["words"])
    assert "over tokens: " in said and "known in words of 1 model: --unit words has the law of these" in said, said
    assert "bound of its onset in tokens is measured yet" in runs.client("plot", "scaling", "--prefix", runs.names["words"], "-o", "-").stderr
    rows = {one["model"]: one for one in csv.DictReader(runs.client("scaling", "--csv").stdout.splitlines())}
    pairs = rows[runs.names["pairs"]]
    assert (pairs["step_unit"], float(pairs["onset_step"]), float(pairs["onset_tokens"])) == ("steps", 512, 1024e6)
    figure = runs.client("plot", "scaling", "-o", "-").stdout
    assert "onset, training tokens (logarithmic)" in figure and "2 of 5 models" in figure
    assert "onset at 1.024B tokens, after 512M tokens." in figure and "onset at step" not in figure
    assert json.loads(runs.client("scaling", "--json", "--unit", "epochs").stdout)["unit"] == "epochs"


def test_a_law_over_tokens(runs: Any, garden: Path, tmp_path: Path) -> None:
    """Seven sizes that all fork at step 512, with batches in proportion to the root of the size: over steps the exponent is 0, over tokens 0.5."""
    sizes = {4**i: 2**i for i in range(5, 12)}
    for size, batch in sizes.items():
        (tmp_path / str(size)).mkdir()
        for step in STEPS[1:6]:
            (tmp_path / str(size) / f"step{step}-tokens{step * batch}M").symlink_to(garden / "models/garden/neox-tiny" / f"step{step}")
    sweeps = [runs.sweep(f"file:{tmp_path / str(size)}") for size in sizes]
    assert {runs.wait(sweep)["state"] for sweep in sweeps} == {"done"}
    with sqlite3.connect(runs.db) as database:
        database.executemany("UPDATE models SET parameter_count = ? WHERE name = ?", [(size, f"file:{tmp_path / str(size)}") for size in sizes])
    by_tokens, by_steps = (runs.read(f"/v1/scaling?prefix=file:{tmp_path}{unit}") for unit in ("", "&unit=steps"))
    assert (by_tokens["unit"], by_steps["unit"]) == ("tokens", "steps")
    assert {(one["onset_tokens"], one["onset_tokens_before"]) for one in by_tokens["models"]} == {(512e6 * batch, 256e6 * batch) for batch in sizes.values()}
    for answer, exponent in ((by_tokens, 0.5), (by_steps, 0)):
        fit = answer["fit"]
        assert fit["is_fitted"] and fit["count"] == 7 and abs(fit["exponent"] - exponent) < 0.01 and fit["exponent_high"] - fit["exponent_low"] < 0.5, fit
    said = words_of(runs, "scaling", "--view", "centred", "--prefix", f"file:{tmp_path}")
    assert f"onset tokens = {by_tokens['fit']['prefactor']:.4g} * parameters^{by_tokens['fit']['exponent']:.3f}; " in said, said
    for size in sizes:
        assert runs.client("remove", f"file:{tmp_path / str(size)}", "--yes").returncode == 0


def test_the_dashboard_says_units(page: Browser, runs: Any) -> None:  # noqa: F811
    """Axis, ticks, verdicts, table and pointer; of models that count otherwise both units; the law in its own."""

    def axis() -> tuple[str, list[str]]:
        scale = "document.getElementById('panel-msd').panel.chart.scales.x"
        return page.value(f"{scale}.options.title.text"), page.value(f"{scale}.ticks.map((one) => one.label)")

    def hash_for(*names: str) -> str:
        return "#" + "&".join(f"model={urllib.parse.quote(runs.names[name])}" for name in names) + "&rows=tokens&values=centred"

    load(page, runs, hash_for("tokens"))
    title, ticks = axis()
    assert title == "training tokens" and "100B" in ticks and "1T" in ticks, ticks
    facts = page.value("document.querySelector('#findings .facts-list').textContent")
    assert "centred512B tokens" in facts and "At rest, per token" in facts and "step" not in facts, facts
    assert "tokens" in page.value("[...document.querySelectorAll('#revisions th')].map((one) => one.textContent)")
    page.run("document.querySelector('#panel-msd canvas').focus()")
    page.press("\ue010")  # End
    assert page.value("document.getElementById('spoken').textContent").startswith("4T tokens: ")
    assert page.value("document.querySelector('#panel-msd .tip b').textContent") == "4T tokens"
    load(page, runs, hash_for("words", "pairs"))
    lines = "document.getElementById('panel-msd').panel.lines"
    note = "document.getElementById('notice').textContent"
    assert axis()[0] == "training words" and page.value(f"new Set({lines}.map((one) => one.model.unit)).size") == 1
    said = page.value(note)
    assert "Not in the charts, whose axis is in words: " in said and said.endswith("pairs (steps)."), said
    assert "512M words" in page.value("document.querySelector('#findings table').textContent")
    assert "at rest, each in its own unit" in page.value("document.querySelector('#findings table').textContent")
    words = page.value("document.getElementById('panel-scaling-help').textContent")
    assert "not in the law, known in other units than tokens: " in words and "(words)" in words, words
    assert page.value("document.querySelector('#panel-scaling .choice').textContent").startswith("The law is over tokens. Over "), "an offer of the others"
    said = page.value("document.querySelector('#panel-scaling canvas').getAttribute('aria-label')")
    assert "onset at 1.024B tokens, after 512M tokens" in said and "step" not in said, said


def test_the_dashboard_compares_over_tokens(page: Browser, runs: Any) -> None:  # noqa: F811
    """Models of two units lie on one axis where tokens are known of both; of one model that counts steps the reader chooses."""
    panel = "document.getElementById('panel-msd').panel"

    def onsets() -> dict[str, float]:
        return page.value(f"Object.fromEntries({panel}.marks.filter((one) => !one.to).map((one) => [one.model.split('/').at(-1), one.step]))")

    def shown(*names: str) -> str:
        return "#" + "&".join(f"model={urllib.parse.quote(runs.names[name])}" for name in names) + "&rows=tokens&values=centred"

    load(page, runs, shown("pairs", "tokens"))
    assert page.value(f"{panel}.chart.scales.x.options.title.text") == "training tokens"
    assert onsets() == {"pairs": 1024e6, "tokens": 512e9}
    assert page.value("document.getElementById('count').hidden") and "Not in the charts" not in page.value("document.getElementById('notice').textContent")
    pairs = page.value(f"{panel}.csv().find((one) => one.includes('step4000-tokens8000M'))")
    assert ",step4000-tokens8000M,4000,steps," in pairs, pairs
    load(page, runs, shown("pairs"))
    assert page.value(f"{panel}.chart.scales.x.options.title.text") == "training step" and not page.value("document.getElementById('count').hidden")
    assert page.value("document.getElementById('count').textContent.trim().split(/\\s+/)") == ["Axis", "steps", "tokens"]
    page.run("document.querySelector('input[name=count][value=tokens]').click()")
    assert page.value(f"{panel}.chart.scales.x.options.title.text") == "training tokens"
    facts = page.value("document.querySelector('#findings .facts-list').textContent")
    assert "centred1.024B tokens" in facts and "step 512" not in facts, facts
    page.run("document.getElementById('to').value = '2.048B'; document.getElementById('to').dispatchEvent(new Event('change', { bubbles: true }))")
    assert page.value("location.hash").endswith("&count=tokens&to=2048000000")
    assert page.value(f"{panel}.lines[0].points.map((one) => one.step)")[:3] == [128e6, 512e6, 1024e6], "MSD of step 0 is 0"
    heat, pairs = ("document.getElementById('panel-heat').panel.map.rows.map((one) => one.step)", "document.getElementById('panel-pairs').panel.map?.steps")
    assert page.value(heat) == [step * 2e6 for step in STEPS]
    assert page.value(pairs) in (None, [step * 2e6 for step in STEPS])


def test_numbered_checkpoints_of_a_family_are_known_in_steps(daemon: Any, make_hub: Any, garden: Path, tmp_path: Path) -> None:
    """Amber's names number what was saved: tokens and its built-in schedule follow from the chunks of its data, the first at ckpt_000."""
    (tmp_path / "models/LLM360/Amber").mkdir(parents=True)
    for number, step in enumerate(STEPS):
        (tmp_path / "models/LLM360/Amber" / f"ckpt_{number:03d}").symlink_to(garden / "models/garden/neox-tiny" / f"step{step}")
    one = daemon(make_hub(tmp_path))
    assert one.wait(one.sweep("LLM360/Amber"))["state"] == "done"
    found = one.read("/v1/models/LLM360/Amber/analysis")
    assert (found["step_unit"], found["schedule"]["kind"], found["schedule"]["source"]) == ("checkpoints", "cosine", "built_in")
    assert (found["schedule"]["total"], found["schedule"]["steps"]) == (359, 274320) and found["schedule"]["warmup"] == pytest.approx(2000 / 762 - 1)
    assert [row["tokens"] for row in found["revisions"]] == [3497593824 * (number + 1) for number in range(len(STEPS))]
    rates = [3e-4 * min(762 * (number + 1), 2000) / 2000 for number in range(2)]
    assert [row["lr"] for row in found["revisions"][:2]] == pytest.approx(rates, rel=1e-12)
    said = words_of(one, "analyze", "LLM360/Amber")
    assert "cosine (built in), peak 0.0003, floor 3e-05, warm-up to checkpoint 1.625, to checkpoint 359 in 274320 steps, weight decay 0.1" in said, said
    assert "from checkpoint 3 (13.99B tokens) on" in said, said
