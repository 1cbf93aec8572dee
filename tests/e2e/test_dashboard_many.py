"""The dashboard with as many models as it shows at once: told apart by everyone in every chart, picked in one legend that the address
remembers.
"""

from __future__ import annotations

import itertools
import math
import urllib.parse
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from browser import Browser
from dashboards import ENTER, ESCAPE, MODEL, page, small, visit  # noqa: F401
from running import Daemon

SIZES = ("70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b")
SUITE = [f"pythia-{size}{kind}" for size in SIZES for kind in ("", "-deduped")]
RIGHT, HOME, TAB, UP, DOWN = "\ue014", "\ue011", "\ue004", "\ue013", "\ue015"
LINES = "document.getElementById('panel-norm').panel.shown().map(line => line.model.name.split('/').pop())"
# How people see who cannot tell some colours apart (Machado et al. 2009), on linear red, green and blue.
SEEN = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


@pytest.fixture(scope="module")
def suite(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that has measured four revisions of sixteen models; `names` has them as the daemon knows them."""
    root = tmp_path_factory.mktemp("suite")
    with Daemon(programs, root / "daemon", None, [], {}) as one:
        one.names = [f"file:{root / name}" for name in SUITE]
        for name in SUITE:
            (root / name).mkdir()
            for step in ("step0", "step16", "step512", "step4000"):
                (root / name / step).symlink_to(garden / "models" / MODEL / step)
        for sweep in [one.sweep(name) for name in one.names]:
            assert one.wait(sweep)["state"] == "done"
        yield one


def link(names: list[str]) -> str:
    return "#" + "&".join(f"model={urllib.parse.quote(name)}" for name in names)


def linear(text: str) -> list[float]:
    parts = [int(text[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def luminance(text: str) -> float:
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear(text), strict=True))


def lab(text: str, seen: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    r, g, b = (max(0.0, sum(weight * part for weight, part in zip(row, linear(text), strict=True))) for row in seen)
    white = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505, 0.2126 * r + 0.7152 * g + 0.0722 * b, (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089
    x, y, z = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in white)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def looks(page: Browser, names: list[str]) -> list[dict[str, Any]]:
    return page.run("return import('/assets/looks.js').then(looks => [...looks.looksOf(arguments[0]).values()])", names)


def test_sixteen_models_can_be_told_apart(visit: Callable[..., Browser], small: Daemon) -> None:
    """At least 3 : 1 on the card; where points have the same shape, colours are far apart for everyone."""
    seeds = [f"o/pythia-160m-seed{seed}" for seed in range(1, 17)]
    families = {
        "two families": [f"o/{name}" for name in SUITE],
        "three": [f"o/pythia-{size}-seed{seed}" for seed in (1, 2, 3) for size in SIZES[:5]],
        "four": [f"{owner}/m-{size}" for owner in "abcd" for size in SIZES[:4]],
        "one": [f"o/m-{size}m" for size in range(1, 17)],
        "seeds of two sizes": [f"o/pythia-{size}-seed{seed}" for size in SIZES[:2] for seed in range(1, 9)],
        "seeds": seeds, "no sizes": [f"o/{letter}" for letter in "abcdefghijklmnop"],
    }  # fmt: skip
    page = visit(small)
    for card in ("#ffffff", "#161b22"):
        page.dark(card != "#ffffff")
        for kind, names in families.items():
            found = looks(page, names)
            for one in found:
                low, high = sorted((luminance(one["colour"]), luminance(card)))
                assert (high + 0.05) / (low + 0.05) >= 3, (kind, card, one)
            for one, other in itertools.combinations(found, 2):
                if one["marker"] != other["marker"]:
                    continue
                for who, seen in SEEN.items():
                    assert math.dist(lab(one["colour"], seen), lab(other["colour"], seen)) > 20, (kind, card, who, one, other)
        first = [one["colour"] for one in looks(page, seeds[:4])]
        assert min(math.dist(lab(a, SEEN["deuteranopia"]), lab(b, SEEN["deuteranopia"])) for a, b in itertools.combinations(first, 2)) > 20
    page.dark(False)


def test_sizes_of_a_family_are_in_order(visit: Callable[..., Browser], small: Daemon) -> None:
    """The larger, the darker on a light page; a size has the same shape in both families."""
    found = dict(zip(SUITE, looks(visit(small), SUITE), strict=True))
    for kind in ("", "-deduped"):
        light = [luminance(found[f"pythia-{size}{kind}"]["colour"]) for size in SIZES]
        assert light == sorted(light, reverse=True) and len(set(light)) == 8
        places = [found[f"pythia-{size}{kind}"]["place"] for size in SIZES]
        assert places == sorted(places)
    assert all(found[f"pythia-{size}"]["marker"] == found[f"pythia-{size}-deduped"]["marker"] for size in SIZES)


def test_signs_are_in_every_chart_and_legend(visit: Callable[..., Browser], suite: Daemon) -> None:
    """Narrow charts, too; the list of models, the findings and what is written beside the pointer have the same."""
    page = visit(suite, link(suite.names))
    wanted = page.run("return import('/assets/looks.js').then(({looksOf, keyOf}) => [...looksOf(arguments[0])].map(([name, look]) => [name, keyOf(look).outerHTML]))", suite.names)
    assert len({key for _, key in wanted}) == 16
    legend = page.value("[...document.querySelectorAll('#legend .entry')].map(one => [one.dataset.model, one.querySelector('svg').outerHTML])")
    assert sorted(legend) == sorted(wanted)
    assert [name.rsplit("/", 1)[1] for name, _ in legend] == [f"pythia-{size}{kind}" for kind in ("", "-deduped") for size in SIZES]
    listed = page.value("[...document.querySelectorAll('#models .model')].map(one => [one.dataset.key, one.querySelector('svg').outerHTML])")
    assert listed == legend, "in the same order, too"
    assert page.value("document.querySelectorAll('.verdicts tbody svg').length") == 16
    for panel in ("norm", "msd"):
        page.run(f"document.getElementById('panel-{panel}').scrollIntoView({{block: 'center'}})")
        page.wait(f"Boolean(document.getElementById('panel-{panel}').panel.chart)")
        drawn = page.value(
            f"document.getElementById('panel-{panel}').panel.datasets().filter(set => set.borderWidth).map(set => [set.borderColor, set.pointStyle, set.pointRotation, set.pointBackgroundColor, set.pointRadius])"
        )
        assert len({tuple(one[:4]) for one in drawn}) == 16 and all(one[4] for one in drawn), drawn
    page.move("#panel-norm .plot", 0.5, 0.5)
    page.wait("document.querySelectorAll('#panel-norm .tip svg').length === 16")
    values = page.value("[...document.querySelectorAll('#panel-norm .tip tbody tr')].map(row => Number(row.cells[1].textContent))")
    assert values == sorted(values, reverse=True)
    page.move("#panel-norm h3", 0.5, 0.5)


def test_long_names_that_are_not_alike(visit: Callable[..., Browser], daemon: Callable[..., Daemon], hub: Any, garden: Path, tmp_path: Path) -> None:
    """The legend has their ends, as the rest of the page; the whole name is its title. And what a run passes over stands with its verdicts."""
    kinds = ("warmup-constant-lr3e-4-wd0.1-clean-corpus", "the_last_one_with_dropout_and_label_smoothing", "ablation-without-layernorm-bias-and-tied-embeddings")
    folders = [tmp_path / f"{who}-{kind}-of-march-2026" for who, kind in zip("abc", kinds, strict=True)]
    one = daemon(hub)
    for folder in folders:
        folder.mkdir()
        for step in ("step0", "step16"):
            (folder / step).symlink_to(garden / "models" / MODEL / step)
    (folders[0] / "best").symlink_to(garden / "models" / MODEL / "step16")
    for folder in folders:
        assert one.wait(one.sweep(f"file:{folder}"))["state"] == "done"
    page = visit(one, link([f"file:{folder}" for folder in folders]))
    shown = page.value("[...document.querySelectorAll('#legend .entry button:first-child')].map(one => [one.textContent, one.title])")
    assert len({text for text, _ in shown}) == 3 and all(len(text) < 60 and text.endswith("march-2026") for text, _ in shown), shown
    assert {title for _, title in shown} == {f"file:{folder}" for folder in folders}
    texts = page.value("[...document.querySelectorAll('#findings details section.card')].map(one => one.textContent)")
    assert ["Passed over: 1 revision has a name that tells no step: best." in text for text in texts] == [True, False, False], texts


def test_what_sixteen_whole_runs_cost(visit: Callable[..., Browser], suite: Daemon) -> None:
    """154 revisions each: no look is kept point by point, and still a few points of each line show its model's shape, and the audit's words."""
    page = visit(suite, link(suite.names))
    made = page.run(
        "return import('/assets/axis.js').then(({axis}) => { const {panel} = document.getElementById('panel-norm'), steps = Array.from({length: 154}, (_, k) => k);"
        " axis.use(steps); const models = panel.models.map(model => ({...model, flags: new Map([['step3', 'same weights']]), rows: steps.map(step => ({revision: `step${step}`, step, tokens_norm: 1 + step}))}));"
        " panel.update(models, [], {}); return panel.datasets().map(set => ({...set, data: set.data.length, arrays: Object.values(set).filter(Array.isArray).filter(one => one.length > 2).length})); })"
    )
    assert max(one["arrays"] for one in made) == 1, "the points alone"
    lines, signs = [one for one in made if one["borderWidth"]], [one for one in made if not one["borderWidth"] and one["pointStyle"] != "rectRot"]
    assert len(lines) == len(signs) == 16 and all(one["data"] == 154 and not one["pointRadius"] for one in lines)
    assert all(one["data"] >= 5 and one["pointRadius"] > 3 and one["showLine"] is False for one in signs)
    assert len({(one["pointStyle"], one["pointRotation"], one["pointBackgroundColor"], one["pointBorderColor"]) for one in signs}) == 16
    assert [one["data"] for one in made if one["pointStyle"] == "rectRot"] == [1] * 16


def test_the_legend_hides_and_lights_and_the_link_remembers(visit: Callable[..., Browser], suite: Daemon) -> None:
    page = visit(suite, link(suite.names))
    stop = page.value("document.querySelectorAll('#legend [tabindex=\"0\"]').length")
    assert stop == 1, "one stop of the Tab key"
    page.run("document.querySelector('#legend button').focus()")
    page.press(RIGHT, RIGHT, ENTER)
    assert page.value("document.activeElement.getAttribute('aria-pressed')") == "false"
    assert len(page.value(LINES)) == 15 and "pythia-160m" not in page.value(LINES)
    page.press(HOME, RIGHT, ENTER)
    page.wait("document.getElementById('panel-norm').panel.datasets().filter(set => set.borderWidth === 3).length === 1")
    drawn = page.value("document.getElementById('panel-norm').panel.datasets().map(set => [set.borderColor.length, set.borderWidth])")
    assert drawn == [[7, 3], *[[9, 1.8]] * 14], "the others are faint, and below it"
    address = urllib.parse.unquote(page.value("location.hash"))
    assert f"&hidden={suite.names[2]}" in address and f"&highlight={suite.names[0]}" in address
    page.load(f"{suite.url}/{page.value('location.hash')}")
    assert len(page.value(LINES)) == 15
    assert page.value("document.querySelector('#legend .star[aria-pressed=true]').parentElement.dataset.model") == suite.names[0]
    page.click("#show-all")
    assert page.value(LINES) == SUITE and "hidden" not in page.value("location.hash") and "highlight" not in page.value("location.hash")
    assert page.value("document.getElementById('show-all').hidden")


def test_who_is_pointed_at_stands_out_meanwhile(visit: Callable[..., Browser], suite: Daemon) -> None:
    page = visit(suite, link(suite.names[:4]))
    lit = "document.getElementById('panel-norm').panel.datasets().filter(set => set.borderWidth === 3).length"
    page.move("#legend .entry:nth-of-type(3)", 0.3, 0.5)
    page.wait(f"{lit} === 1")
    assert "highlight" not in page.value("location.hash")
    page.move("#panel-norm h3", 0.5, 0.5)
    page.wait(f"{lit} === 0")


def test_hidden_models_are_those_of_the_link(visit: Callable[..., Browser], suite: Daemon) -> None:
    """What a link hides and does not show is forgotten; one model alone is never hidden."""
    one = urllib.parse.quote(suite.names[0])
    page = visit(suite, f"{link(suite.names[:1])}&hidden={one}&highlight={one}&hidden=nobody/knows")
    assert page.value(LINES) == [SUITE[0]] and page.value("document.getElementById('legend').hidden")
    assert "nobody" not in page.value("location.hash")


def test_at_every_width_nothing_sticks_out_or_lies_on_another(visit: Callable[..., Browser], suite: Daemon) -> None:
    """From a phone to the screen of a meeting: charts grow with the window, cards lie beside or below each other, no row of small charts has a hole."""
    page = visit(suite, link(suite.names))
    laid = (
        "const boxes = [...document.querySelectorAll('.toolbar, #legend, .verdict, .panel')].filter(one => one.checkVisibility()).map(one => [one.id || one.className, one.getBoundingClientRect()]);"
        "const lies = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;"
        "const grid = document.querySelector('#panel-norm').parentElement;"
        "return { width: document.documentElement.scrollWidth, on: boxes.flatMap(([a, one], i) => boxes.slice(i + 1).filter(([, other]) => lies(one, other)).map(([b]) => [a, b])),"
        " wide: document.querySelector('#panel-msd .plot').offsetHeight, small: document.querySelector('#panel-norm .plot').offsetHeight,"
        " hole: grid.getBoundingClientRect().right - Math.max(...[...grid.querySelectorAll('.panel:not(.wide)')].map(one => one.getBoundingClientRect().right)) }"
    )
    heights = {}
    try:
        for width, height in ((360, 740), (700, 450), (768, 1024), (1400, 900), (1920, 1080), (2560, 1440), (3840, 2160)):
            page.resize(width, height)
            page.run("window.scrollTo(0, 0)")
            page.wait(f"document.documentElement.scrollWidth === {width}")  # once what draws late has the new size, too
            found = page.run(laid)
            assert found["width"] == width and not found["on"], (width, found)
            assert width < 1400 or abs(found["hole"]) < 2, (width, found)
            heights[width] = (found["wide"], found["small"])
        assert heights[1400][0] >= 330 and heights[2560][0] > 1.6 * heights[1400][0] and heights[2560][1] > 1.4 * heights[1400][1], heights
        for width in (360, 1400):
            page.resize(width, 740)
            page.wait("Boolean(document.getElementById('panel-norm').panel.chart)")
            for key in (HOME, RIGHT):
                page.run("document.querySelector('#panel-norm canvas').focus()")
                page.press(key)
                box = page.wait("(tip => !tip.hidden && tip.querySelectorAll('tbody tr').length === 16 && tip.getBoundingClientRect().toJSON())(document.querySelector('#panel-norm .tip'))")
                assert box["left"] >= 0 and box["right"] <= width and box["top"] >= 0 and box["bottom"] <= 740, (width, box)
            assert page.value("document.documentElement.scrollWidth") == width
    finally:
        page.resize(1440, 1000)


def test_colours_that_the_system_forces(visit: Callable[..., Browser], suite: Daemon) -> None:
    """On black, models have the colours that stand out there, whatever is said of the scheme."""
    page = visit(suite, link(suite.names))
    line = "getComputedStyle(document.querySelector('#legend svg path')).stroke"
    page.devtools("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}, {"name": "prefers-color-scheme", "value": "dark"}])
    try:
        page.load(f"{suite.url}/{link(suite.names)}")
        assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(0, 0, 0)"
        assert page.value(line) == "rgb(47, 116, 200)", "of the dark page"
    finally:
        page.devtools("Emulation.setEmulatedMedia", features=[])
    page.load(f"{suite.url}/{link(suite.names)}")
    assert page.value(line) == "rgb(61, 143, 209)"


def test_on_paper_each_chart_has_its_legend_and_letters_of_the_screen(visit: Callable[..., Browser], suite: Daemon) -> None:
    """From the largest screen, too: drawn for the width of a page, with where and when it is from; afterwards all is as before."""
    page = visit(suite, f"{link(suite.names)}&law=steps&hidden={urllib.parse.quote(suite.names[1])}")
    page.resize(2560, 1440)
    try:
        page.run("document.getElementById('panel-norm').scrollIntoView()")
        page.wait("document.getElementById('panel-norm').panel.chart?.width > 400")
        before = page.value("[...document.querySelectorAll('.panel:not([hidden]) .plot')].map(one => [one.clientWidth, one.clientHeight])")
        page.run("window.dispatchEvent(new Event('beforeprint')); window.dispatchEvent(new Event('beforeprint'))")
        widths = page.value("[...document.querySelectorAll('.panel:not([hidden])')].filter(one => one.checkVisibility()).map(one => Chart.getChart(one.querySelector('canvas')).width)")
        assert len(widths) > 12 and max(widths) <= 704, widths
        head = page.value("document.querySelector('#main > .paper-head').textContent")
        assert head.startswith(f"{suite.url}/ · ") and str(page.value("new Date().getFullYear()")) in head, head
        legends = page.value("[...document.querySelectorAll('.paper-legend')].map(one => [one.nextElementSibling.className || one.nextElementSibling.id, one.querySelectorAll('svg').length])")
        assert sorted(place for place, _ in legends) == ["grid", "grid", "grid", "scaling"] and {count for _, count in legends} == {15}, legends
        sections = page.value("[...document.querySelectorAll('#panels > section:not([hidden])')].filter(one => one.querySelector('.compared:not([hidden])')).map(one => one.querySelectorAll('.paper-legend').length)")
        assert sections and set(sections) == {1}
        page.devtools("Emulation.setEmulatedMedia", media="print")
        seen = page.value("['aside', '.toolbar', '#legend', '.panel header button', '.panel details', '#operations', '#start'].filter(one => document.querySelector(one)?.checkVisibility())")
        assert seen == []
        page.devtools("Emulation.setEmulatedMedia", media="")
        page.run("window.dispatchEvent(new Event('afterprint'))")
        assert page.value("document.querySelectorAll('.paper, .paper-head, .paper-legend').length") == 0
        assert page.value("[...document.querySelectorAll('.panel:not([hidden]) .plot')].map(one => [one.clientWidth, one.clientHeight])") == before
        page.wait("document.getElementById('panel-norm').panel.chart.width > 400")
    finally:
        page.devtools("Emulation.setEmulatedMedia", media="")
        page.resize(1440, 1000)


def test_a_table_too_long_for_paper_says_so(visit: Callable[..., Browser], small: Daemon) -> None:
    page = visit(small)
    shown = "['#table .scroll', '#table .too-long'].map(one => document.querySelector(one).checkVisibility())"
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    assert page.value(shown) == [True, False]
    page.run("document.getElementById('table').classList.add('long')")
    assert page.value(shown) == [False, True]
    page.run("document.getElementById('table').classList.remove('long'); window.dispatchEvent(new Event('afterprint'))")
    cuts = page.run(
        "return import('/assets/revisions.js').then(async ({fillRevisions}) => { const seen = [];"
        " for (const many of [400, 401]) { fillRevisions([{name: 'a/b', flags: new Map(), all: Array.from({length: many}, (_, step) => ({revision: `step${step}`, step, state: 'measured'}))}]);"
        "  await new Promise(done => setTimeout(done, 50)); seen.push(document.getElementById('table').classList.contains('long')); } return seen; })"
    )
    assert cuts == [False, True]


def test_the_keyboard_passes_thousands_of_rows_in_one_stop(visit: Callable[..., Browser], suite: Daemon) -> None:
    """Every other control is a stop of its own; Escape takes away what the mouse has brought up."""
    page = visit(suite, link(suite.names))
    page.wait("document.querySelectorAll('#revisions tbody a').length >= 64")
    assert page.value("[...document.querySelectorAll('#revisions tbody a')].filter(one => one.tabIndex === 0).length") == 1
    page.run("document.activeElement.blur(); document.getElementById('filter').focus()")
    page.press(TAB, DOWN)
    assert page.value("document.activeElement.value") == page.value("document.querySelectorAll('#models input')[1].value")
    page.press(TAB)
    assert not page.value("document.getElementById('models').contains(document.activeElement)"), "sixteen models are one stop, too"
    page.run("document.querySelector('#table .scroll').focus()")
    page.press(TAB, DOWN, DOWN, UP)
    assert page.value("document.activeElement.textContent") == "step16"
    page.press(TAB)
    assert page.value("document.getElementById('operations').contains(document.activeElement)")
    page.move("#panel-norm .plot", 0.5, 0.5)
    page.wait("!document.querySelector('#panel-norm .tip').hidden")
    page.press(ESCAPE)
    assert page.value("document.querySelector('#panel-norm .tip').hidden")
    page.move("#panel-norm h3", 0.5, 0.5)
