"""The dashboard in Debian's Chromium: a live sweep, exact numbers, zoom, downloads, keyboard, dark, phone, access.

The tests share one daemon and one tab; the first sweep, through the form, serves those after it, each of which can also run
alone. Screenshots stay in pytest's temporary folder (`--basetemp` names it).
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import time
import urllib.parse
from pathlib import Path
from typing import Any, Iterator

import pytest
from browser import Browser
from dashboards import ENTER, MODEL, hash_of, load, page, pixels, pointed, reading, tip_of  # noqa: F401
from running import Daemon, model_path, wait_until

from tests.hub import Emulator

DATASET = "garden/lambada_garden:data/test.jsonl"
END, HOME, RIGHT = "\ue010", "\ue011", "\ue014"
ACTIVE = re.compile(r"^(planning|running)$")


@pytest.fixture(scope="module")
def unswept(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Emulator(garden) as hub:
        daemon = Daemon(programs, tmp_path_factory.mktemp("dashboard"), hub.url, [], {})
        daemon.start()
        if daemon.get("/").status == 404:
            daemon.check_end()
            pytest.skip("the program was built without the dashboard (libjs-chart.js)")
        yield daemon
        daemon.check_end()


@pytest.fixture(scope="module")
def service(unswept: Daemon) -> Daemon:
    """The same, once a model is measured: by the form, or here where a test runs alone."""
    if not unswept.get("/v1/sweeps").json()["sweeps"]:
        unswept.sweep(MODEL, metrics=["statistics", "perplexity"], dataset=DATASET, limit=20)
    assert unswept.wait(1)["state"] == "done"
    return unswept


@pytest.fixture(scope="module", autouse=True)
def _nobody_else_is_asked(page: Browser) -> None:
    """By any of the tests here: test_nothing_was_said_and_nobody_else_was_asked."""
    page.listen()


# -- What is served ------------------------------------------------------------------------------


def test_files_are_served_safely_and_cheaply(unswept: Daemon) -> None:
    index = unswept.get("/")
    assert index.status == 200 and index.headers["Content-Type"].startswith("text/html")
    names = [f"/{name}" for name in re.findall(r'(?:src|href)="(assets/[^"]+)"', index.text)]
    assert len(set(names)) >= 4
    for target in ["/", *names]:
        plain, packed = unswept.get(target), unswept.get(target, {"Accept-Encoding": "zstd, gzip"})
        assert plain.status == packed.status == 200, target
        assert packed.headers["Content-Encoding"] == "gzip" and gzip.decompress(packed.body) == plain.body
        policy = plain.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert plain.headers["Cache-Control"] == "no-cache" and plain.headers["X-Content-Type-Options"] == "nosniff"
        for answer, headers in ((plain, {}), (packed, {"Accept-Encoding": "gzip"})):
            tag = answer.headers["ETag"]
            assert re.fullmatch(r'"[0-9a-f]{32}(-gzip)?"', tag)
            again = unswept.get(target, {"If-None-Match": tag, **headers})
            assert again.status == 304 and again.headers["ETag"] == tag and not again.body
            assert again.headers["Vary"] == answer.headers["Vary"]
        head = unswept.request("HEAD", target)
        assert head.status == 200 and int(head.headers["Content-Length"]) == len(plain.body) and not head.body
    assert unswept.get("/assets/absent.js").status == 404
    assert unswept.get("/assets/..%2Fopenapi.json").status == 404
    assert unswept.get("/assets/app.js.gz").status == 404
    assert unswept.get("/?x=1").status == 400
    assert unswept.post("/").status == 405


def test_modules_are_fetched_at_once() -> None:
    """The page names every module that another one imports, so that a distant browser does not fetch them one after the other."""
    folder = Path(__file__).resolve().parents[2] / "api/dashboard"
    named = set(re.findall(r'rel="modulepreload" href="assets/([a-z]+\.js)"', (folder / "index.html").read_text()))
    imported = {name for file in folder.glob("*.js") for name in re.findall(r'from "\./([a-z]+\.js)"', file.read_text())}
    assert named == imported


# -- In the browser ------------------------------------------------------------------------------


def test_a_sweep_is_started_and_followed_to_its_end(page: Browser, unswept: Daemon) -> None:
    load(page, unswept)
    assert "No model is measured yet" in page.value("document.getElementById('overview').textContent")
    page.click("#start")
    gaps = page.run(
        "const more = document.querySelector('#sweep-form details'); more.open = true;"
        "const boxes = [...more.querySelectorAll('label')].map(one => one.getBoundingClientRect()); more.open = false;"
        "return boxes.slice(1).map((box, i) => box.top - boxes[i].bottom)"
    )
    assert len(gaps) == 3 and min(gaps) >= 8, "fields keep apart"
    page.type("#sweep-form [name=model]", "gpt2")
    page.click("#sweep-form [type=submit]")
    assert "neither owner/name, as on the hub, nor file:/path of a folder: the hub calls it openai-community/gpt2" in page.wait("!document.getElementById('sweep-error').hidden && document.getElementById('sweep-error').textContent")
    assert page.value("document.activeElement.name") == "model"
    page.screenshot("form")
    page.run(
        "window.seen = []; new MutationObserver(() => { for (const card of document.querySelectorAll('.sweep')) {"
        " const bar = card.querySelector('progress');"
        " window.seen.push([card.dataset.state, bar ? bar.value : null]); } })"
        ".observe(document.getElementById('sweeps'), {childList: true, subtree: true, attributes: true, characterData: true})"
    )
    page.run("document.querySelector('#sweep-form [name=model]').value = ''")
    page.type("#sweep-form [name=model]", MODEL)
    page.click("#sweep-form [name=perplexity]")
    page.type("#sweep-form [name=dataset]", DATASET)
    page.type("#sweep-form [name=limit]", "20")
    page.press(ENTER)
    page.wait("document.querySelector('.sweep[data-state=done]')", limit_s=300)
    seen = page.value("window.seen")
    assert any(ACTIVE.match(state) for state, _ in seen), seen
    values = [value for state, value in seen if state == "running"]
    assert values == sorted(values) and len(set(values)) > 2, "progress moves, and only forward"
    page.wait("document.querySelectorAll('#revisions tbody tr .chip.measured').length === 25")
    page.wait("!document.getElementById('panel-perplexity').hidden")
    spoken = page.wait("document.getElementById('spoken').textContent")
    assert spoken == f"Sweep 1 of {MODEL}: done, 25 of 25 revisions", "readers without sight hear of the end"


def test_hover_shows_exact_numbers(page: Browser, service: Daemon) -> None:
    load(page, service)
    rows = {row["step"]: row for row in service.series(MODEL)}
    for share, panel, columns in (
        (0.6, "msd", {"MSD": "tokens_msd", "lag-1 MSD": "tokens_lag1_msd"}),
        (0.8, "bc", {"BC": "tokens_centred_bimodality"}),
        (0.9, "perplexity", {"last word": "perplexity"}),
    ):
        shown = pointed(page, panel, share, 0.5)
        row = rows[int(shown["step"])]
        for name, column in columns.items():
            assert shown[name] == pytest.approx(row[column], rel=1e-6), (panel, name)
    page.screenshot("hover")


def test_choices_change_the_numbers_and_the_address(page: Browser, service: Daemon) -> None:
    load(page, service)
    of = "[...document.querySelectorAll('#panel-bc .drawn, #panel-msd .drawn, #panel-pairs .drawn, #panel-perplexity .drawn')].map(one => one.textContent)"
    assert page.value(of) == ["token rows", "", "token rows", "token rows, around column means"], "what the verdict is of"
    titles = "[...document.querySelectorAll('.panel:not([hidden]) h3')].map(one => [one.textContent, one.offsetHeight / parseFloat(getComputedStyle(one).fontSize)])"
    assert not [title for title, lines in page.value(titles) if lines > 2], "each title has room in its line"
    page.click("#rows input[value=all]")
    page.click("#values input[value=raw]")
    page.click("#axis input[value=linear]")
    assert hash_of(page) == {"model": MODEL, "rows": "all", "values": "raw", "axis": "linear"}
    page.wait(f"{of}.join() === 'all rows,,token rows,all rows, as stored'")
    shown = pointed(page, "bc", 0.5, 0.5)
    rows = {row["step"]: row for row in service.series(MODEL)}
    assert shown["BC"] == pytest.approx(rows[int(shown["step"])]["bimodality"], rel=1e-6)
    page.screenshot("linear")


def test_only_what_is_shown_is_asked_for(page: Browser, service: Daemon) -> None:
    """Columns of the chosen rows and values alone, once; the largest answer when its panel comes near; with the numbers of the API."""
    page.resize(1440, 700)
    page.requests()
    load(page, service, f"#model={MODEL}")
    asked = [url for url in page.requests() if url.startswith(service.url) and "/v1/sweeps" not in url]  # which are polled
    assert len(asked) == len(set(asked)), "nothing twice"
    (series,) = [url for url in asked if "/revisions?" in url]
    columns = set(urllib.parse.parse_qs(series)["fields"][0].split(","))
    assert {"tokens_msd", "tokens_centred_bimodality", "perplexity"} < columns and not {"msd", "bimodality", "tokens_bimodality"} & columns
    assert not [url for url in asked if "/displacement" in url]
    page.run("document.getElementById('panel-pairs').scrollIntoView()")
    page.wait("document.getElementById('panel-pairs').panel.map")
    assert [url for url in page.requests() if "/displacement" in url]
    for _ in range(2):
        page.click("#rows input[value=tokens]")
        page.wait("document.getElementById('main').getAttribute('aria-busy') === 'false'")
        page.click("#rows input[value=all]")
        page.wait("document.getElementById('main').getAttribute('aria-busy') === 'false'")
    assert len([url for url in page.requests() if "/revisions?" in url]) == 1, "token rows, once"
    page.resize(1440, 1000)


def test_values_that_are_no_numbers_are_named(page: Browser, daemon: Any, tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy", reason="numpy makes the runs up")
    import synthetic

    run = tmp_path / "diverged"
    for step, spoil in ((0, None), (1, None), (2, numpy.nan), (4, numpy.inf)):
        values = numpy.random.default_rng(step).normal(0, 0.02, (256, 16)).astype(numpy.float16)
        if spoil is not None:
            values[:3, 5] = spoil
        place = run / f"step{step}"
        place.mkdir(parents=True)
        config = {"model_type": "gpt_neox", "vocab_size": 256, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
        (place / "config.json").write_text(json.dumps(config))
        (place / "model.safetensors").write_bytes(synthetic.safetensors("embed_out.weight", values))
    other = daemon(None)
    assert other.wait(other.sweep(f"file:{run}"))["progress"]["done"] == 4
    load(page, other)
    assert "2 revisions from step2 on hold NaN or Inf" in page.value("document.getElementById('findings').textContent")
    notes = page.value("[...document.querySelectorAll('#revisions tbody .remark')].map(one => one.textContent)")
    assert notes[:2] == ["", ""] and notes[2].endswith("3 NaN") and notes[3].endswith("3 +Inf")
    said = page.value("document.getElementById('findings').textContent")
    assert said.count("NaN or Inf") == 1 and "Audit: every revision serves weights of its own" in said, said
    page.open("about:blank")


def test_what_enters_no_verdict_is_said(page: Browser, daemon: Any, make_hub: Any, garden: Path, tmp_path: Path) -> None:
    """A model that is forked at its first revision has no onset between two revisions; what is of other texts, or from another reference, is not compared."""
    steps = [0, 256, 512, 1000, 2000, 3000, 4000]
    for step in steps[2:]:
        (tmp_path / "late").mkdir(exist_ok=True)
        (tmp_path / f"late/step{step}").symlink_to(garden / "models" / MODEL / f"step{step}")
    late, texts = f"file:{tmp_path / 'late'}", tmp_path / "texts.jsonl"
    texts.write_text('{"text": "a garden of forking paths"}\n' * 3)
    other = daemon(make_hub(garden))
    scored = {"metrics": ["perplexity"], "dataset": f"file:{texts}"}
    sweeps = [
        other.sweep(MODEL, revisions={"names": [f"step{step}" for step in steps]}), other.sweep(late),
        other.sweep(MODEL, revisions={"names": ["step0", "step256", "step512"]}, **scored),
        other.sweep(MODEL, revisions={"names": ["step4000"]}, limit=1, **scored),
    ]  # fmt: skip
    assert [other.wait(sweep)["state"] for sweep in sweeps] == ["done"] * 4
    assert other.wait(other.sweep(MODEL, revisions={"names": ["step512", "step1000"]}, reference="step256"))["state"] == "done"
    load(page, other, f"#model={MODEL}&model={urllib.parse.quote(late)}&values=centred&law=steps")
    law = page.value("document.getElementById('panel-scaling-help').textContent")
    assert "No law: a law needs models of at least 3 sizes whose onset lies between two revisions; of such sizes there are 1." in law, law
    load(page, other, f"#model={MODEL}&values=centred")
    assert "1 of the perplexities is of other texts or another limit" in page.value("document.getElementById('findings').textContent")
    drawn = page.value("(panel => [panel.legend.textContent, panel.lines.map(line => line.points.map(point => point.step))])(document.getElementById('panel-perplexity').panel)")
    assert "1 of other texts left out" in drawn[0] and drawn[1] == [[0, 256, 512]], drawn
    remarks = dict(page.wait("(rows => rows.length && rows.map(row => [row.cells[0].textContent, row.cells[row.cells.length - 1].textContent]))([...document.querySelectorAll('#revisions tbody tr')])"))
    assert remarks["step4000"] == "perplexity of other texts or another limit than most" and remarks["step512"] == "displacement from step256, not from step0" and not remarks["step256"], remarks
    table = other.client("series", MODEL)
    assert table.stderr == "perplexity of other texts or another limit than most, in no verdict: step4000\n" and table.returncode == 0, table
    assert "2 displacements are from another revision than step0" in page.value("document.getElementById('findings').textContent")
    for panel, line in (("msd", "MSD"), ("cosine", "cosine")):
        here = f"document.getElementById('panel-{panel}').panel"
        assert "2 from another reference left out" in page.value(f"{here}.legend.textContent")
        drawn = page.value(f"{here}.lines.find(line => line.key === '{line}').points.map(point => point.step)")
        assert drawn == [step for step in steps if step not in (512, 1000) and (step or panel == "cosine")], drawn
    page.open("about:blank")


def test_another_tensor_is_chosen_above_the_charts(page: Browser, daemon: Any, make_hub: Any, garden: Path) -> None:
    """Where only the unembedding is measured there is no choice; of another tensor all that is shown and saved is of that one."""
    tensor, names = "gpt_neox.layers.0.attention.query_key_value.weight", ["step0", "step64", "step512", "step1000"]
    other = daemon(make_hub(garden))
    assert other.wait(other.sweep(MODEL, revisions={"names": names}))["state"] == "done"
    load(page, other)
    assert page.value("document.getElementById('tensor-choice').hidden")
    assert other.wait(other.sweep(MODEL, revisions={"names": names[:3]}, tensors=[tensor]))["state"] == "done"
    page.wait("!document.getElementById('tensor-choice').hidden")
    assert page.value("[...document.getElementById('tensor').options].map(one => one.value)") == ["", tensor]
    page.requests()
    page.run(f"const choice = document.getElementById('tensor'); choice.value = '{tensor}'; choice.dispatchEvent(new Event('change'))")
    page.wait("document.getElementById('panel-msd').panel.lines[0]?.points.length === 2 && document.getElementById('main').ariaBusy === 'false'")
    asked = [url for url in page.requests() if f"/models/{MODEL}/" in url or "/scaling" in url]
    assert {urllib.parse.urlsplit(url).path.rpartition("/")[2] for url in asked} >= {"revisions", "analysis", "audit", "distribution", "trajectories", "scaling"}
    assert all(f"tensor={tensor}" in url for url in asked), asked
    rows = other.series(MODEL, f"&tensor={tensor}")
    drawn = page.value("document.getElementById('panel-effect').panel.lines[0].points.map(point => point.y)")
    assert drawn == [row["tokens_centred_dip"] for row in rows if row["state"] == "measured" and row["tokens_centred_dip"] is not None]
    assert page.value("document.getElementById('panel-effect').panel.fileName('csv')").endswith("_effect_gpt-neox-layers-0-attention-query-key-value-weight_tokens_centred.csv")
    assert f"tensor={tensor}" in page.value("document.querySelector('#table-links a').href")
    assert f"tensor={tensor}" in page.value("location.hash")
    load(page, other, page.value("location.hash"))
    assert page.value("[document.getElementById('tensor').value, document.getElementById('panel-msd').panel.lines[0].points.length]") == [tensor, 2]
    page.open("about:blank")


def test_pictures_and_verdicts(page: Browser, service: Daemon) -> None:
    here = f"/v1/models/{model_path(MODEL)}"
    analysis, audit = service.get(f"{here}/analysis"), service.get(f"{here}/audit")
    load(page, service, f"#model={MODEL}")
    if analysis.status == 200:
        onset = next(one for one in analysis.json()["onsets"] if (one["rows"], one["view"]) == ("tokens", "centred"))
        text = page.value("document.getElementById('findings').textContent").replace("\u202f", "")
        assert f"step {onset['step']:.0f}" in text
        assert all(one["text"] in text for one in audit.json()["findings"])
    shown = pointed(page, "heat", 0.7, 0.5)
    page.screenshot("map")
    matrix = service.get(f"{here}/distribution?rows=tokens&view=centred&bins=160").json()
    row = next(one for one in matrix["revisions"] if one["step"] == shown["step"])
    width = (matrix["high"] - matrix["low"]) / matrix["bins"]
    fullest = matrix["low"] + (row["counts"].index(max(row["counts"])) + 0.5) * width
    assert shown["fullest bin"] == pytest.approx(fullest, rel=1e-3)
    shown = pointed(page, "trajectories", 0.9, 0.3)
    sample = service.get(f"{here}/trajectories?entries=48").json()
    values = next(one for one in sample["revisions"] if one["step"] == shown["step"])["values"]
    assert shown["lowest"] == pytest.approx(min(values), rel=1e-4)
    assert shown["highest"] == pytest.approx(max(values), rel=1e-4)
    shown = pointed(page, "pairs", 0.9, 0.5)
    pairs = service.get(f"{here}/displacement?limit=120").json()
    i, k = (pairs["steps"].index(shown[name]) for name in ("step", "against step"))
    assert i != k and shown["MSD"] == pytest.approx(pairs["msd"][i][k], rel=1e-4)
    page.screenshot("pairs")


def test_zoom_and_a_link_that_restores_it(page: Browser, service: Daemon) -> None:
    load(page, service)
    page.drag("#panel-msd .plot", 0.5, 0.8)
    zoomed = hash_of(page)
    low, high = int(zoomed["from"]), int(zoomed["to"])
    assert 0 < low < high < 14000
    assert page.value("document.getElementById('from').value") == str(low)
    page.screenshot("zoom")
    page.drag("#panel-bc .plot", 0.3, 0.6)
    deeper = hash_of(page)
    assert low < int(deeper["from"]) < int(deeper["to"]) < high, "all panels share the range"
    address = page.value("location.hash")
    load(page, service, address)
    assert hash_of(page) == deeper and page.value("document.getElementById('to').value") == deeper["to"]
    page.click("#reset")
    assert "from" not in hash_of(page)


def test_keyboard(page: Browser, service: Daemon) -> None:
    load(page, service)
    page.run("document.querySelector('#panel-msd canvas').focus()")
    page.press(END)
    assert page.value("document.getElementById('spoken').textContent").startswith("step 14000: MSD 0.06236")
    assert reading(page, "msd")["step"] == 14000
    page.press(HOME, RIGHT, RIGHT)
    assert reading(page, "msd")["step"] == 2
    page.press("+")
    assert "to" in hash_of(page)
    page.press("0")
    assert "to" not in hash_of(page)


def test_downloads(page: Browser, service: Daemon) -> None:
    load(page, service)
    rows = {row["revision"]: row for row in service.series(MODEL)}
    page.click("#panel-bc button[aria-label^='Download as CSV']")
    with open(page.downloaded("_bc_tokens_centred.csv"), newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == len(rows)
    assert all(float(one["BC"]) == rows[one["revision"]]["tokens_centred_bimodality"] for one in found), "every digit"
    page.click("#panel-bc button[aria-label^='Download as PNG']")
    width, height, lines = pixels(page.downloaded("_bc_tokens_centred.png").read_bytes())
    assert width > 600 and height > 400 and len(lines) > height / 4, "a picture with something on it"
    page.click("#panel-heat button[aria-label^='Download as PNG']")
    width, height, lines = pixels(page.downloaded("_heat_tokens_centred.png").read_bytes())
    assert width > 1600 and height > 700 and len(lines) > height / 4
    told = page.value("[...document.querySelectorAll('.keys a')].map((one) => one.href)")
    assert [url.removeprefix(service.url) for url in told] == ["/v1/models", "/openapi.json"]
    assert all(service.get(url.removeprefix(service.url)).status == 200 for url in told), "whoever has the address alone"


def test_table_for_readers_without_sight(page: Browser, service: Daemon) -> None:
    load(page, service)
    page.click("#panel-kurtosis details summary")
    cells = page.wait("[...document.querySelectorAll('#panel-kurtosis table.data tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))")
    rows = {row["revision"]: row for row in service.series(MODEL)}
    assert len(cells) == len(rows)
    for name, text in cells:
        assert float(text.replace("\u2212", "-")) == pytest.approx(rows[name]["tokens_centred_kurtosis"], rel=1e-6)
    label = page.value("document.querySelector('#panel-kurtosis canvas').getAttribute('aria-label')")
    assert "Excess kurtosis" in label and "step 14000" in label
    page.click("#panel-kurtosis details summary")


def test_models_are_compared(page: Browser, service: Daemon, garden: Path, tmp_path: Path) -> None:
    copy = tmp_path / "second run"
    copy.mkdir()
    for step in ("step0", "step16", "step512", "step14000"):
        (copy / step).symlink_to(garden / "models" / MODEL / step)
    other = f"file:{copy}"
    sweep = service.sweep(other)
    assert service.wait(sweep)["progress"]["done"] == 4
    load(page, service, f"#model={MODEL}&rows=all")  # without a tokenizer all of the copy's rows count as tokens
    page.requests()
    page.click(f"#models input[value='{other}']")
    page.wait("document.querySelectorAll('#panel-msd .legend button').length === 2 && document.querySelectorAll('#legend .entry').length === 2")
    assert [urllib.parse.unquote(url).count(other[5:]) for url in page.requests() if "/revisions?" in url] == [1], "the new one alone"
    assert page.value("document.querySelector('#revisions td[title]').title") in (MODEL, other)
    page.run("document.querySelector('#panel-msd canvas').focus()")
    wait_until(lambda: page.press(END) or page.value(tip_of("msd")))  # again while the chart is still being drawn
    shown = reading(page, "msd")
    short = f"file:…/{'/'.join(copy.parts[-2:])}"
    assert shown[short] == shown[MODEL] == pytest.approx(0.06652789, rel=1e-6)
    page.screenshot("compared")
    page.run("document.activeElement.blur()")


def test_nothing_moves_while_it_loads_and_focus_is_seen(page: Browser, made_up: Daemon) -> None:
    load(page, made_up, f"#model={urllib.parse.quote(made_up.runs[64])}")
    time.sleep(1)
    shift = page.run(
        "return new Promise(done => { let sum = 0; new PerformanceObserver(list => {"
        " for (const one of list.getEntries()) sum += one.value; }).observe({type: 'layout-shift', buffered: true});"
        " setTimeout(() => done(sum), 300); })"
    )
    assert shift < 0.1, "what web.dev calls good"
    page.run("document.body.focus(); document.getElementById('start').focus()")
    seen = []
    for _ in range(30):
        page.press("\ue004")
        seen.append(page.run(
            "const one = document.activeElement, style = getComputedStyle(one);"
            "return [one.tagName, one.getAttribute('aria-label') ?? one.textContent.slice(0, 20), style.outlineStyle, parseFloat(style.outlineWidth)]"
        ))  # fmt: skip
    blind = [one for one in seen if one[0] != "BODY" and (one[2] == "none" or not one[3] >= 1)]
    assert not blind and len({one[1] for one in seen}) > 15, (blind, seen)


def test_watches_are_shown(page: Browser, service: Daemon) -> None:
    watch = f"/v1/watches/{model_path(MODEL)}"
    load(page, service)
    assert page.value("document.querySelector('#watches').hidden") is True
    assert service.request("PUT", watch, {"at": "02:30", "revisions": {"names": ["step0"]}}).status == 201
    assert service.post(f"{watch}/runs").status == 202
    wait_until(lambda: service.get(watch).json()["last_run"] is not None)
    load(page, service)
    page.wait("document.querySelector('#watches article')")
    text = page.value("document.querySelector('#watches article').textContent")
    assert "every day at 02:30 · next in" in text and "unchanged" in text, text


def test_dark(page: Browser, service: Daemon) -> None:
    load(page, service)
    light = page.value("getComputedStyle(document.body).backgroundColor")
    page.dark(True)
    dark = page.wait(f"(now => now !== {json.dumps(light)} && now)(getComputedStyle(document.body).backgroundColor)")
    assert sum(map(int, re.findall(r"\d+", dark)[:3])) < 120 < 600 < sum(map(int, re.findall(r"\d+", light)[:3]))
    page.screenshot("dark", is_whole=True)
    page.dark(False)
    page.screenshot("light", is_whole=True)


def test_phone(page: Browser, service: Daemon) -> None:
    page.resize(360, 740, is_phone=True)
    load(page, service)
    assert page.value("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), "nothing sticks out"
    page.run("document.getElementById('panel-trajectories').scrollIntoView()")
    ends = page.wait(
        "(all => all.length > 4 && all.map(mark => { const [text, bar] = [mark, mark.parentElement].map(one => one.getBoundingClientRect());"
        " return [text.left - bar.left, bar.right - text.right]; }))([...document.querySelectorAll('.colours .mark')])"
    )
    assert min(map(min, ends)) >= -0.5, "the numbers of a colour scale stay within it"
    wide = page.value("[...document.querySelectorAll('.panel:not([hidden])')].map(one => one.getBoundingClientRect().width)")
    assert wide and all(280 < width <= 360 for width in wide)
    titles = page.value("[...document.querySelectorAll('.panel:not([hidden]) h3')].map(one => one.offsetWidth)")
    assert min(titles) > 150, "none is broken within its words"
    page.screenshot("phone")
    page.resize(1440, 1000)


def test_no_serious_fault_of_access(page: Browser, service: Daemon, made_up: Daemon) -> None:
    """axe-core's rules, in both colours, with the form open, and with several models."""
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python (tests/requirements.txt) is not installed")
    source = (Path(axe.__file__).parent / "axe.min.js").read_text()
    load(page, service)
    page.devtools("Page.setBypassCSP", enabled=True)
    for state in ("light", "dark", "form", "compared"):
        if state == "compared":
            names = "&".join(f"model={urllib.parse.quote(name)}" for name in made_up.runs.values())
            load(page, made_up, f"#{names}")
        page.dark(state == "dark")
        if state == "form":
            page.click("#start")
        page.run(source + ";window.axe = axe;")
        found: list[dict[str, Any]] = page.run("return axe.run(document).then(result => result.violations)")
        faults = [(one["id"], one["impact"], [node["html"][:120] for node in one["nodes"]][:4]) for one in found]
        assert not [one for one in faults if one[1] in ("serious", "critical")], (state, faults)
    page.dark(False)


def test_nothing_was_said_and_nobody_else_was_asked(page: Browser, service: Daemon) -> None:
    load(page, service)
    refused = re.compile(r"/v1/sweeps - Failed to load resource: the server responded with a status of 40[01]")  # on purpose, above
    said = [line for line in page.messages() if not refused.search(line)]
    assert not said, said
    page.requests()
    asked = page.asked
    assert len(asked) > 20
    own = re.compile(r"(blob:)?http://127\.0\.0\.1:\d+/|about:|data:|chrome")
    strangers = [url for url in asked if not own.match(url)]
    assert not strangers, strangers


def test_without_an_answer_it_says_so_and_catches_up(page: Browser, service: Daemon) -> None:
    """Last, because the browser itself reports every failed request on the console."""
    load(page, service)
    page.devtools("Network.enable")
    off = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.devtools("Network.emulateNetworkConditions", offline=True, **off)
    page.wait("document.getElementById('notice').textContent.includes('does not answer')")
    page.devtools("Network.emulateNetworkConditions", offline=False, **off)
    page.wait("document.getElementById('notice').textContent === ''")
    assert page.value("!document.getElementById('panel-msd').hidden")
