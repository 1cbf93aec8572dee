"""The dashboard as its readers have it: what it says before all is there and of what went wrong, numbers and names
on ticks, in tables and legends, on paper, in a narrow window."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Callable

import pytest
from browser import Browser
from dashboards import ENTER, ESCAPE, FAKE, FREE, HOLD, IDLE, MODEL, QUICK, page, small, visit  # noqa: F401
from running import Daemon

from tests.hub.places import COMMITS, RUN, title, write_root

OVERVIEW = "document.getElementById('overview').textContent"
IDLE_MAIN = "document.getElementById('main').getAttribute('aria-busy') === 'false'"
AWAITED = "document.querySelector('#panel-pairs .plot').classList.contains('awaited')"
ORDER = """
const blocks = [...document.querySelectorAll('.top, #models, .sweep, #watches, #to-operations, .toolbar, .verdict, figure, #table, #operations')].filter(one => one.checkVisibility());
const isBeside = one => matchMedia('(min-width: 861px)').matches && one.closest('aside') !== null;
return blocks.slice(1).map((one, i) => [blocks[i], one])
  .filter(([before, one]) => isBeside(before) === isBeside(one) && one.getBoundingClientRect().bottom <= before.getBoundingClientRect().top)
  .map(pair => pair.map(one => one.id || one.className));
"""


@pytest.fixture
def scored(daemon: Callable[..., Daemon], make_hub: Any, garden: Path, tmp_path: Path) -> Daemon:
    """Three revisions with a perplexity of the same texts, one of fewer."""
    (tmp_path / "texts.jsonl").write_text('{"text": "a garden of forking paths"}\n' * 3)
    head, texts = daemon(make_hub(garden)), {"metrics": ["perplexity"], "dataset": f"file:{tmp_path / 'texts.jsonl'}"}
    names = ["step0", "step256", "step512", "step4000"]
    sweeps = [head.sweep(MODEL, revisions={"names": names}), head.sweep(MODEL, revisions={"names": names[:3]}, **texts)]
    sweeps.append(head.sweep(MODEL, revisions={"names": names[3:]}, limit=1, **texts))
    assert [head.wait(sweep)["state"] for sweep in sweeps] == ["done"] * 3
    return head


def test_a_series_on_its_way_is_not_called_unmeasured(visit: Callable[..., Browser], small: Daemon) -> None:
    page = visit(small)
    script = f"(function () {{ {HOLD} }})('GET /v1/models/[^?]*/revisions[?]'); (function () {{ {QUICK} }})(2000, 100)"
    name = page.devtools("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"]
    try:
        page.open("about:blank")
        page.open(f"{small.url}/")
        page.wait("document.body.dataset.ready")  # what is there does not wait for the rest for long
        assert page.value("window.held.length") == 1
        assert page.value(OVERVIEW) == ""
        page.run(FREE)
        page.wait("!document.getElementById('panel-msd').hidden")
    finally:
        page.devtools("Page.removeScriptToEvaluateOnNewDocument", identifier=name)
    page.run(FAKE, "/revisions[?]", 503, json.dumps({"status": 503, "detail": "too many answers"}))
    page.click("#values input[value=raw]")
    page.wait("document.getElementById('notice').textContent === 'too many answers'")
    assert page.value("document.getElementById('panel-msd').hidden") and page.value(OVERVIEW) == ""


def test_perplexities_wait_for_what_may_be_compared(visit: Callable[..., Browser], scored: Daemon) -> None:
    """None is drawn to be taken away again, and nothing is called unmeasured meanwhile."""
    page = visit(scored)
    there = "(panel => [panel.root.hidden, panel.lines.map(line => line.points.length), panel.leftOut])(document.getElementById('panel-perplexity').panel)"
    hint = "document.querySelector('section[aria-labelledby=group-language] > .hint').hidden"
    assert page.value(there) == [False, [3], 1]
    page.run("return import('/assets/findings.js').then(findings => findings.forgetFindings([]))")
    page.click("#theme")  # draws all anew
    assert page.value(there) == [True, [], 0] and page.value(hint)
    assert not page.value("document.getElementById('panel-msd').hidden")
    page.run("return import('/assets/findings.js').then(findings => findings.fetchFindings(arguments[0]))", MODEL)
    page.click("#theme")
    assert page.value(there) == [False, [3], 1]
    page.run("return import('/assets/findings.js').then(findings => findings.forgetFindings([]))")
    page.run(FAKE, "/analysis", 503, "{}")
    page.run("return import('/assets/findings.js').then(findings => findings.fetchFindings(arguments[0])).catch(() => {})", MODEL)
    page.click("#theme")
    assert page.value(there) == [False, [4], 0], "without verdicts all are drawn"
    page.run("localStorage.clear()")


def test_a_later_stage_is_no_part_of_the_lines(visit: Callable[..., Browser], daemon: Callable[..., Daemon], garden: Path, tmp_path: Path) -> None:
    """Its steps begin anew: charts are of one run of ascending steps, as the verdicts and `bifurcate plot`; the table has all."""
    for name, step in (("stage1-step0", 0), ("stage1-step500", 256), ("stage1-step1000", 512), ("stage2-step0", 1000), ("stage2-step600", 2000)):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / name).symlink_to(garden / "models" / MODEL / f"step{step}")
    head = daemon()
    model = f"file:{tmp_path / 'run'}"
    assert head.wait(head.sweep(model, revisions={"rule": "stage{stage}-step{step}"}))["state"] == "done"
    page = visit(head)
    page.wait("!document.getElementById('panel-trajectories').hidden")
    drawn = page.value("['norm', 'trajectories', 'heat'].map(id => document.getElementById(`panel-${id}`).panel.lines[0].points.map(point => point.row.revision))")
    assert drawn == [["stage1-step0", "stage1-step500", "stage1-step1000"]] * 3
    assert page.value("document.querySelectorAll('#revisions .chip.measured').length") == 5
    assert "2 more revisions are not part of this run" in page.value("document.getElementById('findings').textContent")


def test_revisions_that_are_no_branches(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path, tmp_path: Path) -> None:
    """Their names hold colons, slashes and blanks: each row's link leads to its revision."""
    head = daemon(make_hub(write_root(tmp_path / "root", garden, (0, 16)), thread=True))
    for model, rule in ((COMMITS, None), ("garden/run", f"hf://{RUN}{{step}}")):
        assert head.wait(head.sweep(model, **({"revisions": {"rule": rule}} if rule else {})))["state"] == "done"
    page = visit(head)
    for model, name in ((COMMITS, f"main^{title(16)}"), ("garden/run", f"hf://{RUN}16")):
        page.run("location.hash = `#model=${arguments[0]}`", model)
        page.wait(f"[...document.querySelectorAll('#revisions th a')].some(link => link.textContent === {json.dumps(name)})")
        answers = page.value(
            "[...document.querySelectorAll('#revisions th a')].map(link => { const ask = new XMLHttpRequest(); ask.open('GET', link.href, false);"
            " ask.send(); return [link.textContent, JSON.parse(ask.responseText).revision]; })"
        )
        assert len(answers) >= 2 and all(text == revision for text, revision in answers), answers


def test_an_error_of_many_revisions_is_said_once(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    head = daemon(make_hub(garden))
    names = [f"step{step}" for step in (0, 1, 2, 4, 8, 16, 32)]
    assert head.wait(head.sweep(MODEL, metrics=["perplexity"], dataset="garden/none:a.jsonl", revisions={"names": names}))["state"] == "failed"
    page = visit(head)
    page.click("#sweeps summary")
    page.wait("document.querySelectorAll('#sweeps li').length === 2")
    said = page.value("document.querySelectorAll('#sweeps li')[1].textContent")
    assert said.startswith("step0, step1, step2, step4, step8 and 2 others: perplexity: data set garden/none"), said


def test_what_is_there_once_is_said_so(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/step16").symlink_to(garden / "models" / MODEL / "step16")
    head = daemon(make_hub(garden))
    assert head.wait(head.sweep(f"file:{tmp_path / 'run'}"))["state"] == "done"
    page = visit(head)
    assert page.value("document.querySelector('#models .facts').textContent").endswith("1\u00a0step")
    assert "1\u00a0of\u00a01\u00a0revision ·" in page.value("document.querySelector('.sweep').textContent")
    assert ": 1 revision, 160 bins" in page.value("document.querySelector('#panel-heat canvas').getAttribute('aria-label')")


def test_without_a_chart_it_says_why(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    """A sweep that could not be planned has no revisions to count, and its reason stands where the charts would."""
    head = daemon(make_hub(garden))
    page = visit(head)
    assert page.value("[document.getElementById('from'), document.getElementById('to')].map(one => one.placeholder)") == ["", ""]
    assert head.wait(head.sweep("garden/nothing-here"))["state"] == "failed"
    page = visit(head, "#model=garden/nothing-here")
    assert "Its last sweep failed: no public model garden/nothing-here" in page.value(OVERVIEW)
    said = page.value("document.querySelector('.sweep').textContent")
    assert "ended before its revisions were known" in said and "0 of 0" not in said
    page.click("button[aria-label='Again: sweep 1 of garden/nothing-here']")  # who has failed may be asked for again
    page.wait("document.querySelectorAll('.sweep[data-state=failed]').length === 2")
    assert head.read("/v1/sweeps/2")["request"] == head.read("/v1/sweeps/1")["request"] == {"model": "garden/nothing-here"}


def test_numbers_names_ticks_and_colours_as_people_read_them(visit: Callable[..., Browser], small: Daemon) -> None:
    page = visit(small)
    said = page.run(
        "return import('/assets/format.js').then(f => ["
        " f.number(-5), f.number(-1234567), f.number(-1.5e-7), f.number(12000000000.5), f.number(null), f.number(NaN), f.number(0.1 + 0.2, 3),"
        " f.tick(2.6e9), f.tick(-25000), f.tick(0), f.duration(-3), f.duration(3600), f.bytes(1e12), f.powerTick(0.001),"
        " f.counted(1, 'step'), f.counted(2, 'step'), f.counted(0, 'entry', 'entries'), f.counted(0, 'step', 'steps', 1), f.counted(1, 'step', 'steps', 154), f.bytes(999700), f.count(999.7e6),"
        " f.element('b', {}, 'a\\u202eb\\u0007\\u200b').textContent, f.csvLine(['a,b', '\"', null, 1.5])])"
    )
    assert said == [
        "\u22125", "\u22121\u202f234\u202f567", "\u22121.5e\u22127", "1.2e10", "–", "–", "0.3",
        "2.6e9", "\u221225k", "0", "0 s", "60 min", "1.0 TB", "10⁻³",
        "1 step", "2 steps", "0 entries", "0 of 1 step", "1 of 154 steps", "1.0 MB", "1 B", "a\ufffdb\ufffd\ufffd", '"a,b","""",,1.5\r\n',
    ]  # fmt: skip
    # Of long names that would look alike the part is shown in which they differ.
    runs = [f"file:/data/suite/a-training-run-of-a-very-long-name-with-seed-{seed}-and-learning-rate-3e-4" for seed in (1, 12, 2)]
    names = page.run(
        "return import('/assets/format.js').then(f => { f.tellApart([]); const alone = f.shortName(arguments[0][0]); f.tellApart([...arguments[0], 'garden/neox']);"
        " return [alone, ...[...arguments[0], 'garden/neox'].map(name => f.listName(name)), f.shortName('garden/neox')]; })", runs,
    )  # fmt: skip
    assert names[0] == "file:…/suite/a-training-run-of…learning-rate-3e-4" and names[4:] == ["garden/neox"] * 2
    assert [re.search(r"seed-(\d+)-and", name).group(1) for name in names[1:4]] == ["1", "12", "2"] and max(map(len, names[1:4])) == 28, names
    # Beside step 0 of a run that begins late there is no tick of a step that is not on the axis.
    labels = page.run(
        "return Promise.all([import('/assets/axis.js'), import('/assets/view.js')]).then(([{axis}]) => {"
        " axis.use([0, 1000, 2000, 4000, 100000]); const [low, high] = axis.range(); return axis.ticks(low, high).map(one => one.label); })"
    )
    assert labels == ["0", "1000", "2000", "5000", "10k", "20k", "50k", "100k"]
    # A part of a decade has numbers, too, and no two are the same.
    parts = page.run(
        "return Promise.all([import('/assets/axis.js'), import('/assets/format.js')]).then(([{axis}, f]) => ["
        " ...[[110000, 143000], [142900, 143000], [0, 143000], [143000], [3, 4]].map(steps => {"
        "  axis.use(steps); const [low, high] = axis.range(); return axis.ticks(low, high).map(one => one.label); }),"
        " ...[[31, 33.5], [1.31e-5, 1.39e-5], [1e-6, 1e-3]].map(([low, high]) => f.powerTicks(low, high).map(one => one.label ?? f.powerTick(one.value)))])"
    )
    assert parts[:3] == [["110k", "120k", "130k", "140k"], ["142.9k", "142.925k", "142.95k", "142.975k", "143k"], ["0", "143k"]]
    assert parts[5:] == [["31", "31.5", "32", "32.5", "33", "33.5"], ["1.32e−5", "1.34e−5", "1.36e−5", "1.38e−5"], ["10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³"]]
    assert all(len(part) == len(set(part)) > 1 for part in parts), parts
    # All revisions alike, or one that is not known: no colour is made of what is no number.
    pairs = {"model": MODEL, "revisions": ["a", "b", "c"], "steps": [0, 1, 2], "msd": [[0, 0.5, None], [0.5, 0, 0.5], [None, 0.5, 0]], "cosine": []}
    scales = page.run(
        "const [pairs, names] = [arguments[0], '[name]']; const panel = document.getElementById('panel-pairs').panel, models = panel.models ?? panel.candidates, seen = [];"
        "for (const msd of [pairs.msd, [[0, 0, 0], [0, 0, 0], [0, 0, 0]]]) {"
        " panel.update(models, [], {pairs: {...pairs, msd}, trajectories: {}}); seen.push(panel.scale().marks); }"
        "return seen", pairs,
    )  # fmt: skip
    assert scales == [[[1, "0.5"]], [[1, "0"]]]


def test_headings_tell_where_one_is(visit: Callable[..., Browser], small: Daemon) -> None:
    """Who goes from heading to heading finds the findings in a section of their own, not below what stands beside the charts."""
    page = visit(small)
    found = page.value("[...document.querySelectorAll('h1, aside h2, main h2, main h3')].filter(one => one.checkVisibility()).map(one => [one.localName, one.textContent])")
    at = found.index(["h3", MODEL])
    assert found[at - 1] == ["h2", "Findings"], found
    levels = [int(name[1]) for name, _ in found]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False)), found


def test_a_form_opened_again_complains_of_nothing(visit: Callable[..., Browser], small: Daemon) -> None:
    page = visit(small)
    page.click("#start")
    page.press(ENTER)
    page.wait("document.querySelector('#sweep-form [name=model]').getAttribute('aria-invalid') === 'true'")
    page.press(ESCAPE)
    page.click("#start")
    assert page.value("document.getElementById('sweep-error').hidden") and page.value("document.querySelectorAll('#sweep-form [aria-invalid]').length") == 0


def test_two_time_displacement_stays_until_the_new_one_is_there(visit: Callable[..., Browser], small: Daemon) -> None:
    """A sweep at work asks for it every ten seconds: who stands in the chart stays there. Its table may be opened before it is there."""
    page = visit(small)
    page.run(HOLD, "/displacement[?]")
    page.run("document.querySelector('#panel-pairs').scrollIntoView()")
    page.wait("window.held.length === 1")
    page.click("#panel-pairs summary")
    assert page.value(AWAITED)
    page.run(FREE)
    page.wait(f"!{AWAITED} && document.querySelectorAll('#panel-pairs tbody tr').length === 4")
    page.run("document.querySelector('#panel-pairs canvas').focus()")
    page.run(HOLD, "/displacement[?]")
    page.run("window.dispatchEvent(new Event('hashchange'))")
    page.wait("window.held.length === 1")
    page.wait(IDLE_MAIN)
    assert not page.value(AWAITED) and page.value("document.activeElement === document.querySelector('#panel-pairs canvas')")
    page.run(FREE)


def test_what_thousands_of_revisions_cost(visit: Callable[..., Browser], small: Daemon) -> None:
    """The map takes one operation for each revision, not for each bin, and shows the same; points that look alike are not looked up one by one."""
    page = visit(small)
    page.run("window.scrollTo(0, 0)")
    page.wait("Boolean(document.getElementById('panel-heat').panel.chart && document.getElementById('panel-msd').panel.chart)")
    counted = page.run(
        "const { panel } = document.getElementById('panel-heat'); const of = CanvasRenderingContext2D.prototype, real = of.fillRect; let count = 0;"
        "of.fillRect = function (...box) { count++; return real.apply(this, box); };"
        "try { panel.draw(); } finally { of.fillRect = real; } return count;"
    )
    assert counted < 10
    wrong = page.run(
        "return import('/assets/heat.js').then(({ ramp }) => {"
        " const { panel } = document.getElementById('panel-heat'), { map, chart } = panel, { scales } = chart, ratio = chart.currentDevicePixelRatio;"
        " const copy = Object.assign(document.createElement('canvas'), { width: panel.canvas.width, height: panel.canvas.height }), wrong = [];"
        " const ctx = copy.getContext('2d', { willReadFrequently: true }); ctx.drawImage(panel.canvas, 0, 0);"
        " for (const [k, row] of map.rows.entries()) for (const bin of [20, 60, 79, 80, 100, 145]) {"
        "  const x = scales.x.getPixelForValue(k ? Math.log10(row.step) : scales.x.min + 0.1), y = scales.y.getPixelForValue(panel.middle(bin));"
        "  const seen = [...ctx.getImageData(Math.round(x * ratio) + 4, Math.round(y * ratio), 1, 1).data];"
        "  const wanted = row.counts[bin] ? [...ramp()[Math.round(Math.sqrt(row.counts[bin] / Math.max(...row.counts)) * 95)].match(/\\d+/g).map(Number), 255] : [0, 0, 0, 0];"
        "  if (seen.join() !== wanted.join()) wrong.push([row.revision, bin, seen, wanted]);"
        " } return wrong; })"
    )
    assert not wrong, wrong
    looks = page.value("['pointRadius', 'pointStyle', 'pointBackgroundColor'].map(name => Array.isArray(document.getElementById('panel-msd').panel.chart.data.datasets[0][name]))")
    assert looks == [False] * 3
    trajectories = page.value("document.getElementById('panel-trajectories').panel.datasets().map(set => Object.values(set).filter(Array.isArray).length)")
    assert set(trajectories) == {1}, "the points alone"


def test_on_paper_charts_keep_within_their_cards_and_are_dark_on_light(visit: Callable[..., Browser], small: Daemon) -> None:
    page = visit(small)
    page.dark(True)
    try:
        assert page.value("document.querySelectorAll('.panel:not([hidden]) canvas[style]').length") < 12, "most are not drawn yet"
        page.run("window.dispatchEvent(new Event('beforeprint'))")
        page.run("document.getElementById('reset').disabled = false; document.getElementById('reset').click()")  # draws all anew, as news of a sweep do
        assert page.value("getComputedStyle(document.documentElement).colorScheme") == "light"
        assert page.value("[...document.querySelectorAll('.panel:not([hidden])')].filter(root => root.panel?.isStale).map(root => root.id)") == []
        page.devtools("Emulation.setEmulatedMedia", media="print")
        # as a browser lays out a page of paper: without drawing the charts anew
        found = page.run(
            "document.querySelector('main').style.width = '600px';"
            "const boxes = [...document.querySelectorAll('.panel:not([hidden])')].map(root => [root, root.querySelector('canvas')]).filter(([root]) => root.offsetHeight)"
            ".map(([root, canvas]) => [root.id, root.getBoundingClientRect(), canvas.getBoundingClientRect()]);"
            "const scroll = document.querySelector('#table .scroll');"
            "const made = [boxes.length, boxes.filter(([, card, chart]) => chart.right > card.right || chart.bottom > card.bottom).map(([id]) => id), scroll.scrollHeight <= scroll.clientHeight,"
            " getComputedStyle(document.getElementById('operations')).display];"
            "document.querySelector('main').style.width = ''; return made;"
        )
        assert found[0] > 12 and found[1:] == [[], True, "none"], found
    finally:
        page.devtools("Emulation.setEmulatedMedia", media="")
        page.run("window.dispatchEvent(new Event('afterprint'))")
        page.dark(True)
        assert page.value("getComputedStyle(document.documentElement).colorScheme") == "dark"
        page.dark(False)


def test_the_narrowest_window_has_nothing_beside_it(visit: Callable[..., Browser], small: Daemon) -> None:
    """320 pixels: a small phone, or a page enlarged four times. Charts that are not drawn yet count, too."""
    page = visit(small)
    page.resize(320, 700, is_phone=True)
    try:
        page.load(f"{small.url}/")
        assert page.value("document.documentElement.scrollWidth") == 320
        names = page.run(
            "const { panel } = document.getElementById('panel-msd'), of = CanvasRenderingContext2D.prototype, real = of.fillText, seen = [];"
            "of.fillText = function (text, x, y) { seen.push([text, y]); return real.call(this, text, x, y); };"
            "panel.marks = [[256, 'steepest fall', 'fall'], [512, 'onset (centred)']].map(([step, label, short]) => ({ step, label, short, colour: '#000000' }));"
            "try { panel.draw(true); } finally { of.fillText = real; } return seen.filter(([text]) => ['fall', 'onset (centred)'].includes(text));"
        )
        assert len(names) == 2 and min(y for _, y in names) >= 9, names  # none is cut off at the top
    finally:
        page.resize(1440, 1000)


def test_the_keyboard_goes_the_way_of_the_eye(visit: Callable[..., Browser], small: Daemon) -> None:
    """At every width nothing stands above what Tab and a screen reader reach before it (WCAG 1.3.2, 2.4.3)."""
    page = visit(small)
    try:
        for width in (1440, 860, 390):
            page.resize(width, 900)
            page.wait(f"Boolean(document.querySelector('#below .sweep')) === {json.dumps(width <= 860)}")
            assert page.run(ORDER) == [], width
    finally:
        page.resize(1440, 1000)


def test_work_stands_above_the_charts_of_a_phone_until_it_is_over(
    visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path
) -> None:
    """Whoever stands there stays there when it moves."""
    head = daemon(make_hub(garden), *IDLE)
    assert head.request("DELETE", f"/v1/sweeps/{head.sweep(MODEL, revisions={'names': ['step1']})}").status == 200
    sweep = head.sweep(MODEL, revisions={"names": ["step0"]})
    head.wait(sweep, lambda now: now["state"] == "running")
    assert head.request("PUT", f"/v1/watches/{MODEL}", {"at": "02:30"}).status == 201
    page = visit(head)
    page.resize(390, 900, is_phone=True)
    try:
        page.load(f"{head.url}/")
        assert page.value("Boolean(document.querySelector('#beside .sweep')) && Boolean(document.querySelector('#below #watches article'))")
        assert page.run(ORDER) == []
        assert page.value("[...document.querySelectorAll('#beside #sweeps > *')].map(one => one.dataset.state ?? one.textContent)") == ["running", "1 more"]
        page.run("const title = document.getElementById('sweeps-title'); title.tabIndex = -1; title.focus()")
        assert head.request("DELETE", f"/v1/sweeps/{sweep}").status == 200
        page.wait("document.querySelectorAll('#below .sweep[data-state=cancelled]').length === 2")
        assert page.run(ORDER) == [] and page.value("document.activeElement.id") == "sweeps-title"
    finally:
        page.resize(1440, 1000)


def test_charts_do_not_wait_for_pictures_and_nothing_jumps_when_these_come(visit: Callable[..., Browser], small: Daemon) -> None:
    page = visit(small)
    name = page.devtools("Page.addScriptToEvaluateOnNewDocument", source=f"(function () {{ {HOLD} }})('/(distribution|trajectories)[?]')")["identifier"]
    places = "['heat', 'fan', 'msd', 'pairs', 'trajectories', 'bc'].map(id => document.getElementById(`panel-${id}`).getBoundingClientRect().top + scrollY)"
    try:
        page.open("about:blank")
        page.open(f"{small.url}/")
        page.wait("document.body.dataset.ready")
        before = page.value(places)
        assert page.value("window.held.length") == 2 and before == sorted(before) and len(set(before)) > 4
        page.run("document.querySelector('#panel-fan canvas').focus()")
        page.press(ENTER, "\ue010")
        assert page.wait("document.querySelector('#panel-fan .tip b')?.textContent") == "step 4\u202f000", "what is there can be read"
        page.run(FREE)
        page.wait(f"{IDLE_MAIN} && document.getElementById('panel-heat').panel.map !== null")
        assert page.value("document.querySelectorAll('#panel-heat .awaited, #panel-trajectories .awaited').length") == 0
        after = page.value(places)
        assert max(abs(one - other) for one, other in zip(before, after, strict=True)) < 1, (before, after)
    finally:
        page.devtools("Page.removeScriptToEvaluateOnNewDocument", identifier=name)
    page.run(FAKE, "/distribution[?]", 503, json.dumps({"status": 503, "detail": "too many answers"}))
    page.click("#values input[value=raw]")
    page.wait("document.getElementById('notice').textContent === 'too many answers'")


def test_main_alone_has_its_numbers(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    """A revision without a step is in no chart: its numbers stand in place of the charts, and first in the table."""
    head = daemon(make_hub(garden))
    assert head.wait(head.sweep(MODEL, revisions={"names": ["main"]}))["state"] == "done"
    row = head.get(f"/v1/models/{MODEL}/revisions/main").json()
    page = visit(head)
    assert page.value("document.querySelector('#overview h3').textContent") == f"main of {MODEL}"
    facts = dict(page.value("[...document.querySelectorAll('#overview dl > div')].map(one => [...one.children].map(part => part.textContent))"))
    assert float(facts[f"MSD from {row['reference']}"]) == pytest.approx(row["tokens_msd"], rel=1e-4) and float(facts["BC"]) == pytest.approx(row["tokens_centred_bimodality"], rel=1e-3)
    assert "No training step of this model is measured yet" in page.value(OVERVIEW)
    assert "0 of 25 steps measured" in page.value("document.querySelector('#models .facts').textContent").replace("\xa0", " ")
    first = "document.querySelector('#revisions tbody tr').textContent"
    assert page.wait(first).startswith("mainmeasured")
    page.click("#values input[value=raw]")
    page.wait(f"document.querySelector('#overview dl').textContent.includes({json.dumps(str(round(row['tokens_bimodality'], 4)))})")
    assert head.wait(head.sweep(MODEL, revisions={"names": ["step0", "step512"]}))["state"] == "done"
    page.wait("!document.getElementById('panel-msd').hidden")
    assert page.value(OVERVIEW) == "" and page.wait(first).startswith("mainmeasured")
    page.click("#table-links a")
    assert page.downloaded("garden-neox-tiny.csv").read_text().count("\nmain,") == 1
