"""Verdicts in the dashboard, in Debian's Chromium: onset, fall and stop in the charts, the law over sizes, the null model, and what to do
where nothing was measured yet.
"""

from __future__ import annotations

import csv
import json
import urllib.parse
from pathlib import Path

import pytest
from browser import Browser
from dashboards import MODEL, hash_of, load, page, pixels, reading  # noqa: F401
from running import Daemon, model_path

from tests.hub import Emulator

END = "\ue010"


def test_verdicts_stand_in_the_charts(page: Browser, made_up: Daemon) -> None:
    """Onset, fall and stop of a run that has all three, and the model whose pictures are shown."""
    model = made_up.runs[64]
    load(page, made_up, f"#model={urllib.parse.quote(model)}")
    analysis = made_up.get(f"/v1/models/{model_path(model)}/analysis").json()
    onset = next(one for one in analysis["onsets"] if (one["rows"], one["view"]) == ("all", "raw"))
    fall, stop = analysis["perplexity_fall"], analysis["stop"]
    for panel in ("heat", "msd", "perplexity", "bc"):
        marks = page.value(f"document.getElementById('panel-{panel}').panel.marks.map(one => [one.label, one.step, one.to ?? null])")
        assert marks == [
            ["steepest fall", fall["step_from"], fall["step_to"]],
            ["onset", onset["step"], None],
            ["could have stopped", stop["step"], None],
        ], panel
    text = page.value("document.getElementById('findings').textContent").replace("\u202f", "")
    assert f"at step {stop['step']:.0f}, saving {100 * stop['saved']:.2g} %" in text
    assert f"steps {fall['step_from']:.0f} to {fall['step_to']:.0f}" in text
    page.screenshot("verdicts", is_whole=True)
    others = "".join(f"&model={urllib.parse.quote(made_up.runs[size])}" for size in (128, 256))
    load(page, made_up, f"#model={urllib.parse.quote(model)}{others}")
    page.run(
        "const choice = document.querySelector('#panel-heat select'); choice.value = arguments[0];"
        "choice.dispatchEvent(new Event('change'))", made_up.runs[128]
    )  # fmt: skip
    page.wait(f"document.getElementById('panel-heat').panel.map?.model === {json.dumps(made_up.runs[128])}")
    assert hash_of(page)["picture"] == made_up.runs[128], "the link keeps it"
    assert len(page.value("document.getElementById('panel-msd').panel.marks")) == 3, "an onset for each model"
    assert page.value("document.getElementById('panel-heat').panel.marks.length") == 1
    page.screenshot("three", is_whole=True)


def test_scaling_with_its_law(page: Browser, made_up: Daemon) -> None:
    load(page, made_up, "#" + "&".join(f"model={urllib.parse.quote(name)}" for name in made_up.runs.values()))
    card = "document.getElementById('panel-scaling')"
    assert page.value(f"{card}.querySelector('.plot').hidden"), "of these models no onset is known in tokens, the unit of the law until another is chosen"
    assert page.value(f"{card}.querySelector('.choice').textContent") == "The law is over tokens. Over steps (4 models)"
    page.click("#panel-scaling .choice button")
    page.wait(f"!{card}.querySelector('.plot').hidden && location.hash.endsWith('&law=steps')")
    scaling = made_up.get("/v1/scaling?unit=steps").json()
    words = page.value("document.getElementById('panel-scaling-help').textContent")
    exponent = f"{scaling['fit']['exponent']:.3g}"
    assert f"parameters^{exponent}" in words and "4 models" in words
    page.run("document.querySelector('#panel-scaling canvas').focus()")
    page.press(END)
    largest = max(scaling["models"], key=lambda one: one["parameter_count"])
    spoken = page.value("document.getElementById('spoken').textContent").replace("\u202f", "")
    assert spoken == (
        f"{largest['model']}: {largest['parameter_count']} parameters, onset at step {largest['onset_step']:.0f}, "
        f"after step {largest['onset_step_before']:.0f}"
    )
    place = page.run(
        "const one = document.getElementById('scaling').firstChild; one.scrollIntoView({block: 'center'});"
        "const chart = Chart.getChart(one.querySelector('canvas')), point = chart.getDatasetMeta(0).data[1];"
        "return [point.x / chart.width, point.y / chart.height]"
    )
    page.move("#panel-scaling canvas", *place)
    shown = dict(page.wait(
        "(tip => !tip.hidden && [...tip.querySelectorAll('tr')].map(row => [...row.cells].map(cell => cell.textContent)))"
        "(document.querySelector('#panel-scaling .tip'))"
    ))  # fmt: skip
    second = sorted(scaling["models"], key=lambda one: one["parameter_count"])[1]
    assert int(shown["parameters"].replace("\u202f", "")) == second["parameter_count"]
    assert int(shown["onset step"].replace("\u202f", "")) == second["onset_step"]
    page.click("#panel-scaling button[aria-label^='Download as CSV']")
    with open(page.downloaded("scaling.csv"), newline="") as file:
        found = {one["model"]: float(one["onset_step"]) for one in csv.DictReader(file)}
    assert found == {one["model"]: one["onset_step"] for one in scaling["models"]}
    page.click("#panel-scaling button[aria-label^='Download as PNG']")
    assert pixels(page.downloaded("scaling.png").read_bytes())[0] > 600
    # If the largest has not forked so far, it has an open bar, from its last revision to the top, as in `bifurcate plot scaling`.
    open_one = {"onset_step": None, "onset_step_before": 700.0, "verdict": "no", "left_out": None}
    long_one = {"onset_step": None, "onset_step_before": None, "verdict": "insufficient", "left_out": "too_long"}
    page.run(
        "const real = window.fetch; window.fetch = async (...words) => { const answer = await real(...words);"
        "if (!String(words[0].url ?? words[0]).includes('/v1/scaling')) return answer; const body = await answer.json();"
        "for (const [model, to] of arguments[0]) Object.assign(body.models.find(one => one.model === model), to); body.fit.unforked = 1; body.is_cut = true; body.units.tokens = 2;"
        "return new Response(JSON.stringify(body), {status: 200, headers: answer.headers}); };",
        [(largest["model"], open_one), (second["model"], long_one)],
    )
    page.run("document.querySelector('#rows input[value=all]').click()")
    page.wait("document.getElementById('panel-scaling-help').textContent.includes('not forked so far: 1')")
    told = page.value("document.getElementById('panel-scaling-help').textContent")
    assert "to the top: none so far" in told and f"only of the first {len(scaling['models'])} models by name, of more" in told, told
    assert page.value(f"{card}.querySelector('.choice').textContent") == "The law is over steps. Over tokens (2 models)"
    table = page.value("document.querySelector('#panel-scaling details table').textContent")
    assert "too many revisions" in table and "not enough data" not in table
    bar = page.value(
        "(() => { const chart = Chart.getChart(document.querySelector('#panel-scaling canvas')), bar = chart.data.datasets"
        ".find(one => one.data[0].y === 700 && one.data.length === 2); return [bar.data[1].y, chart.scales.y.max,"
        " chart.data.datasets[0].pointRadius.at(-1)]; })()"
    )
    assert bar[0] == bar[1] and bar[2] == 0, bar
    page.run("document.querySelector('#panel-scaling canvas').focus()")
    page.press(END)
    page.wait("document.getElementById('spoken').textContent.includes('no onset so far, after step 700')")


def test_null_model_where_the_schedule_is_known(page: Browser, programs: dict[str, Path], garden: Path, tmp_path: Path) -> None:
    """Under Pythia's name the run has Pythia's schedule: weight decay and a random walk alone are drawn beside it."""
    name = "EleutherAI/pythia-14m"
    (tmp_path / "hub/models/EleutherAI").mkdir(parents=True)
    (tmp_path / "hub/models" / name).symlink_to(garden / "models" / MODEL)
    with Emulator(tmp_path / "hub") as hub:
        known = Daemon(programs, tmp_path / "known", hub.url, [], {})
        known.start()
        try:
            assert known.wait(known.sweep(name))["state"] == "done"
            points = known.get(f"/v1/models/{name}/analysis").json()["revisions"]
            nulls = {one["step"]: one["msd_null"] for one in points if one["msd_null"]}
            assert 14000 in nulls
            load(page, known)
            page.run("document.querySelector('#panel-msd canvas').focus()")
            page.press(END)
            assert reading(page, "msd")["null model, token rows"] == pytest.approx(nulls[14000], rel=1e-6)
            assert "null model" in page.value("document.querySelector('#panel-msd .legend').textContent")
            page.screenshot("null")
            assert ">decay and walk<" in known.client("plot", name).stdout
        finally:
            page.open("about:blank")
            known.check_end()


def test_what_is_not_measured_says_what_to_do(page: Browser, made_up: Daemon) -> None:
    model = made_up.runs[256]
    load(page, made_up, f"#model={urllib.parse.quote(model)}")
    assert "Perplexity is not measured" in page.value("document.querySelector('.hint:not([hidden])').textContent")
    page.click(".hint button")
    assert page.value("document.querySelector('#sweep-form [name=model]').value") == model
    assert page.value("document.querySelector('#sweep-form [name=perplexity]').checked")
    page.click("#sweep-cancel")
