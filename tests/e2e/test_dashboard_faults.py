"""The dashboard when things go wrong or go on for long, in Debian's Chromium: answers that overtake each other, requests that
fail, dialogs closed too early, several windows, streams that have died, and what a reader would lose when a poll draws anew.
"""

from __future__ import annotations

import json
import time
import urllib.parse
from pathlib import Path
from typing import Any, Callable

import pytest
from browser import Browser
from dashboards import BY, ENTER, ESCAPE, FAKE, FREE, HOLD, IDLE, MODEL, QUICK, SECRET, guarded, page, small, visit  # noqa: F401
from running import Daemon, model_path, wait_until

DONE = "document.body.dataset.ready"


def poll(page: Browser) -> None:
    """The page's next look at the daemon, now."""
    page.run("window.dispatchEvent(new Event('online'))")


def notice(page: Browser) -> str:
    return page.value("document.getElementById('notice').textContent")


def held(page: Browser, count: int = 1) -> None:
    page.wait(f"window.held.length >= {count}")


def give_token(page: Browser, token: str) -> None:
    page.wait("document.getElementById('token-dialog').open && document.activeElement.name === 'token'")
    page.run("document.querySelector('#token-form [name=token]').value = ''")
    page.type("#token-form [name=token]", token)
    page.press(ENTER)


# -- Answers that come late ----------------------------------------------------------------------


def test_an_older_list_of_sweeps_is_not_drawn_last(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    head = daemon(make_hub(garden), *IDLE)
    sweep = head.sweep(MODEL, revisions={"names": ["step0"]})
    head.wait(sweep, lambda now: now["state"] == "running")
    page = visit(head)
    page.run(HOLD, "GET /v1/sweeps[?]")
    poll(page)
    held(page)  # an answer in which the sweep runs
    page.run("window.fetch = window.realFetch")
    assert head.request("DELETE", f"/v1/sweeps/{sweep}").status == 200
    poll(page)
    state = f"document.querySelector('.sweep[data-id=\"{sweep}\"]').dataset.state"
    page.wait(f"{state} === 'cancelled'")
    page.run("window.seen = []; new MutationObserver(() => window.seen.push(document.querySelector('.sweep').dataset.state))"
             ".observe(document.getElementById('sweeps'), {childList: true, subtree: true, attributes: true})")  # fmt: skip
    page.run(FREE)
    time.sleep(0.5)
    assert page.value(state) == "cancelled" and "running" not in page.value("window.seen"), "not even for a moment"


def test_an_older_series_is_not_drawn_last(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    """Of the table, and of the map for rows and values that were looked at before."""
    head = daemon(make_hub(garden))
    head.wait(head.sweep(MODEL, revisions={"to": 2}))
    page = visit(head, f"#model={MODEL}")
    measured = "document.querySelectorAll('#revisions tbody tr .chip.measured').length"
    columns = "document.getElementById('panel-heat').panel.map.rows.length"
    assert page.value(measured) == page.value(columns) == 3
    page.click("#values input[value=raw]")
    page.wait("document.getElementById('main').getAttribute('aria-busy') === 'false'")
    page.run(HOLD, "GET /v1/models/[^?]*/revisions[?]")
    page.run("window.dispatchEvent(new Event('hashchange'))")
    held(page)
    page.run("window.fetch = window.realFetch")
    head.wait(head.sweep(MODEL, revisions={"to": 8}))
    page.wait(f"{measured} === 5 && {columns} === 5")
    page.run(FREE)
    time.sleep(0.3)
    assert page.value(measured) == 5
    page.click("#values input[value=raw]")
    page.wait("document.getElementById('main').getAttribute('aria-busy') === 'false'")
    assert page.value(columns) == 5, "raw values were looked at before the second sweep"


def test_an_older_map_is_not_kept(visit: Callable[..., Browser], small: Daemon) -> None:
    page = visit(small)
    found = page.run(
        "return import('/assets/heat.js').then(async ({fetchDistribution}) => {"
        " const real = window.fetch, held = []; window.fetch = () => new Promise(answer => held.push(name => answer(Response.json({revisions: [name]}))));"
        " try { const older = fetchDistribution('a/b', true), newer = fetchDistribution('a/b', true);"
        " held[1]('new'); await newer; held[0]('old'); await older;"
        " const now = fetchDistribution('a/b', false); held[2]?.('asked again'); return (await now).revisions; } finally { window.fetch = real; } })"
    )
    assert found == ["new"]


def test_a_choice_during_a_load_loses_no_picture(visit: Callable[..., Browser], small: Daemon) -> None:
    """The map of other values is asked for while the page's first single entries are on their way, and comes before them."""
    page = visit(small)
    page.open("about:blank")
    script = f"(function () {{ {HOLD} }})('GET /v1/models/[^?]*/trajectories[?]')"
    name = page.devtools("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"]
    try:
        page.open(f"{small.url}/")
        page.wait(DONE)  # what is there does not wait for the rest for long
        held(page)
        page.click("#values input[value=raw]")
        page.wait("document.getElementById('panel-heat').panel.map?.view === 'raw'")
        page.run(FREE)
        page.wait("document.getElementById('main').getAttribute('aria-busy') === 'false'")
        page.wait("!document.getElementById('panel-trajectories').hidden")
        assert page.value("document.getElementById('panel-heat').panel.map.view") == "raw"
    finally:
        page.devtools("Page.removeScriptToEvaluateOnNewDocument", identifier=name)


def test_a_slow_daemon_is_not_asked_ever_more(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    """While a live series is on its way, events of its sweep ask for no second one; afterwards the last state is fetched."""
    hub = make_hub(garden, latency_ms=20)
    head = daemon(hub)
    page = visit(head, f"#model={MODEL}")
    page.run(QUICK, 1500, 100)
    page.run(HOLD, "GET /v1/models/[^?]*/revisions[?]")
    sweep = head.sweep(MODEL, revisions={"to": 64})
    held(page)
    head.wait(sweep)
    page.wait("document.querySelector('.sweep').dataset.state === 'done'")
    time.sleep(0.6)
    assert page.value("window.held.length") == 1
    page.run(FREE)
    page.wait("document.querySelectorAll('#revisions tbody tr .chip.measured').length === 8")


# -- Dialogs and forms ---------------------------------------------------------------------------


def test_who_closes_the_dialog_during_a_try_is_not_asked_again(visit: Callable[..., Browser], guarded: Daemon) -> None:
    sweep = guarded.post("/v1/sweeps", {"model": MODEL}, BY).json()["id"]
    page = visit(guarded)
    cancel = f"button[aria-label='Cancel sweep {sweep}']"
    page.wait(f"document.querySelector(\"{cancel}\")")
    page.click(cancel)
    page.wait("document.getElementById('token-dialog').open")
    page.run(HOLD, "DELETE /v1/sweeps")
    give_token(page, "not the one")
    held(page)
    page.press(ESCAPE)
    page.wait("!document.getElementById('token-dialog').open")
    page.run(FREE)
    page.wait("document.getElementById('notice').textContent.includes('token')")
    time.sleep(0.5)
    assert not page.value("document.getElementById('token-dialog').open")
    assert guarded.get(f"/v1/sweeps/{sweep}").json()["state"] in ("planning", "running")
    page.run("window.dispatchEvent(new Event('hashchange'))")  # the charts are fetched anew: what was said of the sweep still stands
    page.wait("document.getElementById('main').getAttribute('aria-busy') === 'false'")
    assert "token" in notice(page)


def test_a_form_is_sent_once(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    head = daemon(make_hub(garden), *IDLE)
    page = visit(head)
    page.click("#start")
    page.type("#sweep-form [name=model]", MODEL)
    page.run(HOLD, "POST /v1/sweeps")
    page.press(ENTER, ENTER)
    held(page)
    time.sleep(0.3)
    page.run(FREE)
    page.wait("!document.getElementById('sweep-dialog').open")
    assert len(head.get("/v1/sweeps").json()["sweeps"]) == 1
    page.click("#start")
    page.press(ENTER)  # and then it can be sent again
    page.wait("!document.getElementById('sweep-dialog').open")
    wait_until(lambda: len(head.get("/v1/sweeps").json()["sweeps"]) == 2)


def test_a_token_is_copied_where_there_is_no_clipboard(visit: Callable[..., Browser], guarded: Daemon) -> None:
    """As on a host without TLS, where a browser gives a page no clipboard."""
    page = visit(guarded)
    page.run("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.click("#tokens-show")
    give_token(page, SECRET)
    page.wait("document.querySelector('#tokens button[data-key=make]')")
    page.click("#tokens button[data-key=make]")
    page.type("#key-form [name=name]", "ci")
    page.press(ENTER)
    page.wait("document.getElementById('key-text').value")
    page.click("#key-copy")
    page.wait("['Copied', 'Press Ctrl+C'].includes(document.getElementById('key-copy').textContent)")
    page.click("#key-close")
    page.click("#link")
    page.wait("document.getElementById('link').textContent === 'See the address bar'")


# -- What fails, and what is said of it ----------------------------------------------------------


def test_a_failed_download_is_said(visit: Callable[..., Browser], small: Daemon) -> None:
    page = visit(small)
    page.run(FAKE, "format=csv", 0, "")
    page.click("#table-links a")
    page.wait("document.getElementById('notice').textContent.includes('could not be fetched: The daemon does not answer')")
    page.run(FAKE, "format=csv", 503, json.dumps({"status": 503, "detail": "too many requests at once"}))
    page.click("#table-links a")
    page.wait("document.getElementById('notice').textContent.includes('too many requests at once')")
    page.run("window.fetch = window.realFetch")
    page.click("#table-links a")
    text = page.downloaded("garden-neox-tiny.csv").read_text()
    assert len(text.splitlines()) == 1 + len(small.series(MODEL)) and notice(page) == ""


def test_a_file_of_many_pages_comes_whole(visit: Callable[..., Browser], small: Daemon) -> None:
    page = visit(small)
    path = f"/v1/models/{MODEL}/revisions?format=csv"
    text = page.run(f"return import('/assets/api.js').then(api => api.fetchBlob('{path}&limit=3')).then(blob => blob.text())")
    assert text == small.get(path).text and len(text.splitlines()) > 20


def test_a_passing_fault_is_forgotten_and_others_are_not(visit: Callable[..., Browser], small: Daemon) -> None:
    page = visit(small)
    page.run(FAKE, "/v1/sweeps[?]", 503, json.dumps({"status": 503, "detail": "the daemon is stopping"}))
    poll(page)
    page.wait("document.getElementById('notice').textContent === 'the daemon is stopping'")
    page.run("window.fetch = window.realFetch")
    poll(page)
    page.wait("document.getElementById('notice').textContent === ''")
    status = small.get("/v1/status").json()
    status["daemon"]["disk"]["is_full"] = True
    page.run(FAKE, "/v1/status", 200, json.dumps(status | {"version": "77.0"}))
    page.run("return import('/assets/service.js').then(service => service.showService())")
    assert "version 77.0 now" in notice(page) and "disk is full" in notice(page) and page.value("document.querySelector('#notice button').textContent") == "Load it again"
    page.run("window.dispatchEvent(new Event('hashchange'))")
    page.wait("document.getElementById('main').getAttribute('aria-busy') === 'false'")
    assert "disk is full" in notice(page), "what the charts have to say does not wipe it away"
    page.run("window.fetch = window.realFetch; return import('/assets/service.js').then(service => service.showService())")
    assert notice(page) == ""


def test_what_a_busy_daemon_refused_is_asked_for_again(visit: Callable[..., Browser], small: Daemon) -> None:
    """A page that nobody sits at does not stay empty because its first look came at a bad moment."""
    page = visit(small)
    fake = f"(function () {{ {FAKE} }})('/revisions[?]', 503, {json.dumps(json.dumps({'status': 503, 'detail': 'too many answers'}))})"
    name = page.devtools("Page.addScriptToEvaluateOnNewDocument", source=f"(function () {{ {QUICK} }})(30000, 500); {fake}")["identifier"]
    try:
        page.load(f"{small.url}/")
    finally:
        page.devtools("Page.removeScriptToEvaluateOnNewDocument", identifier=name)
    assert notice(page) == "too many answers" and page.value("document.getElementById('panel-msd').hidden")
    page.run("window.fetch = window.realFetch")
    page.wait("document.getElementById('notice').textContent === '' && !document.getElementById('panel-msd').hidden")


def test_what_is_damaged_is_said_with_what_to_do(visit: Callable[..., Browser], small: Daemon) -> None:
    """Above the charts, and in the legend of the picture that lacks it; names of all pages."""
    page = visit(small)
    whole = small.get(f"/v1/models/{MODEL}/distribution?bins=160").json()
    kept = [row for row in whole["revisions"] if row["revision"] != "step512"]
    page.run(FAKE, "/distribution", 200, json.dumps(whole | {"revisions": kept, "damaged": ["step512"]}))
    page.run("window.dispatchEvent(new Event('hashchange'))")
    page.wait("document.getElementById('notice').textContent.includes('step512 is damaged')")
    assert "“bifurcated prune” deletes it; the next sweep measures it again" in notice(page)
    legends = page.value("['heat', 'trajectories'].map(id => document.querySelector(`#panel-${id} .legend`).textContent)")
    assert "1 revision left out: damaged" in legends[0] and "damaged" not in legends[1]
    assert page.value("document.getElementById('panel-heat').panel.map.rows.length") == len(kept)
    page.run("window.fetch = window.realFetch; window.dispatchEvent(new Event('hashchange'))")
    page.wait("document.getElementById('notice').textContent === ''")
    pages = "path => ({ rows: [1], damaged: [path], next_cursor: path === '/a' ? 'b' : null })"
    assert page.run(f"return import('/assets/api.js').then(api => api.whole('/a', 'rows', async {pages}))")["damaged"] == ["/a", "/a?cursor=b"]


def test_a_model_that_nobody_knows_can_be_left_out(visit: Callable[..., Browser], small: Daemon) -> None:
    page = visit(small, f"#model=no/such&model={MODEL}&model=no/such")
    assert notice(page) == "model no/such is not known"
    box = "#models input[value='no/such']"
    assert page.value(f"document.querySelectorAll(\"{box}\").length") == 1
    page.click(box)
    page.wait("document.getElementById('notice').textContent === ''")
    assert page.value("location.hash") == f"#model={MODEL}"
    assert not page.value(f"document.querySelector(\"{box}\")")


# -- A page that stays open ----------------------------------------------------------------------


def test_two_windows_share_the_connections(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    """A browser opens six connections to a host, for all windows together: streams of events must leave some."""
    head = daemon(make_hub(garden), *IDLE)
    for step in (0, 1, 2):
        head.wait(head.sweep(MODEL, revisions={"names": [f"step{step}"]}), lambda now: now["state"] == "running")
    page = visit(head)
    wait_until(lambda: head.get("/v1/status").json()["event_streams"] >= 1)
    with page.another_window():
        page.open(head.url)
        page.wait(DONE)
        wait_until(lambda: head.get("/v1/status").json()["event_streams"] >= 2)
        page.run("window.answers = 0; const real = fetch; window.fetch = async (...all) => { const one = await real(...all); window.answers++; return one; }")
        poll(page)
        page.wait("window.answers > 0")


def test_a_stream_that_has_died_is_opened_again(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    """After a machine slept, nobody says that the other end is gone; the daemon would have spoken every 15 s."""
    head = daemon(make_hub(garden), *IDLE)
    page = visit(head)
    page.run(QUICK, 50000, 300)
    sweep = head.sweep(MODEL, revisions={"names": ["step0"]})
    page.listen()
    seen: list[str] = []

    def opened() -> int:
        poll(page)
        time.sleep(0.2)
        seen.extend(url for url in page.requests() if f"/v1/sweeps/{sweep}/events" in url)
        return len(seen)

    wait_until(lambda: opened() >= 3)


def test_a_chart_that_fails_ends_no_updates(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    head = daemon(make_hub(garden))
    head.wait(head.sweep(MODEL, revisions={"to": 1}))
    page = visit(head, f"#model={MODEL}")
    page.run("window.realUpdate = Chart.prototype.update; Chart.prototype.update = () => { throw new Error('spoilt'); }")
    head.wait(head.sweep(MODEL, revisions={"to": 2}))
    page.wait("document.getElementById('notice').textContent.includes('spoilt')")
    page.run("Chart.prototype.update = window.realUpdate")
    head.wait(head.sweep(MODEL, revisions={"to": 4}))
    page.wait("document.querySelectorAll('#revisions tbody tr .chip.measured').length === 4")
    assert "spoilt" not in notice(page)


def test_what_a_reader_does_is_not_disturbed(visit: Callable[..., Browser], small: Daemon) -> None:
    """A poll or a live sweep draws anew: focus, places in tables and what was opened stay, and the tab is told of progress."""
    page = visit(small)
    page.run("document.querySelector('#panel-msd .legend button').focus()")
    page.press(ENTER)
    assert page.value("document.activeElement.getAttribute('aria-pressed')") == "false", "the key that was pressed keeps the focus"
    page.press(ENTER)
    page.click("#findings details[data-key=evidence] summary")
    page.click("#panel-kurtosis details summary")
    page.wait("document.querySelector('#panel-kurtosis .scroll')")
    page.run("const table = document.querySelector('#panel-kurtosis .scroll'); table.style.height = '40px'; table.scrollTop = 30; table.style.removeProperty('height'); table.style.maxHeight = '40px'; table.scrollTop = 30")
    page.run("window.old = [document.querySelector('#revisions tbody a'), document.querySelector('#panel-kurtosis .scroll'), document.querySelector('#models input')]")
    page.run("window.old[0].focus(); window.dispatchEvent(new Event('hashchange'))")
    page.wait("document.getElementById('main').getAttribute('aria-busy') === 'false'")
    assert page.value("window.old.every(one => one.isConnected) && document.activeElement === window.old[0]")
    assert page.value("document.querySelector('#findings details[data-key=evidence]').open")
    assert page.value("document.title") == f"{MODEL} – bifurcated"


def test_a_sweep_at_work_is_told_in_the_tab_and_where_nothing_is_measured(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    head = daemon(make_hub(garden), *IDLE)
    sweep = head.sweep(MODEL, revisions={"names": ["step0", "step1"]})
    head.wait(sweep, lambda now: now["state"] == "running")
    page = visit(head)
    page.wait(f"document.title === '0 % – {MODEL} – bifurcated'")
    hide = "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
    page.run(hide, True)
    assert page.value("document.title") == f"{MODEL} – bifurcated", "a hidden tab asks for nothing and does not know"
    page.run(hide, False)
    page.wait(f"document.title === '0 % – {MODEL} – bifurcated'")
    assert "A sweep is running" in page.value("document.getElementById('overview').textContent")
    assert page.value("document.getElementById('findings').hidden"), "of what is not measured nothing is concluded"
    page.resize(360, 740, is_phone=True)
    first = page.value("document.querySelector('.sweep').getBoundingClientRect().top < document.getElementById('main').getBoundingClientRect().top")
    page.resize(1440, 1000)
    assert first, "on a phone, what is at work comes before the charts"


def test_a_tap_shows_exact_numbers(visit: Callable[..., Browser], small: Daemon) -> None:
    page = visit(small)
    page.resize(360, 740, is_phone=True)
    page.devtools("Emulation.setTouchEmulationEnabled", enabled=True)
    try:
        page.run("document.getElementById('panel-msd').scrollIntoView({block: 'center'})")
        page.wait("Boolean(Chart.getChart(document.querySelector('#panel-msd canvas')))")
        time.sleep(0.3)
        x, y = page.run("const box = document.querySelector('#panel-msd .plot').getBoundingClientRect(); return [box.x + 0.6 * box.width, box.y + box.height / 2]")
        page.devtools("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        page.devtools("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        page.wait("(tip => !tip.hidden && tip.querySelectorAll('tbody tr').length)(document.querySelector('#panel-msd .tip'))")
        page.screenshot("tap")
    finally:
        page.devtools("Emulation.setTouchEmulationEnabled", enabled=False)
        page.resize(1440, 1000)


# -- Numbers and names ---------------------------------------------------------------------------


def test_exponents_and_guides_are_those_of_the_analysis(visit: Callable[..., Browser], small: Daemon) -> None:
    """Time counts from the reference: a random walk that is published from step 50,000 on has exponent 1, not 10."""
    page = visit(small)
    find = "(id) => panels.groups.flatMap((one) => one.panels).find((one) => one.id === id)"
    walk = page.run(
        "return import('/assets/panels.js').then((panels) => {"
        " const rows = [0, 1000, 2000, 4000, 8000].map((t) => ({revision: `r${t}`, step: 50000 + t, reference: 'r0', tokens_msd: 1e-9 * t}));"
        f" const of = ({find})('exponent').quantities[0].derive(rows, {{all: rows, reference: 'r0', at: (step) => step}}); return rows.map(of); }})"
    )
    assert walk[:2] == [None, None] and walk[2:] == pytest.approx([1, 1, 1])
    thresholds = small.get(f"/v1/models/{MODEL}/analysis").json()["thresholds"]
    guides = page.run(f"return import('/assets/panels.js').then((panels) => ['effect', 'ashman', 'valley'].map((id) => ({find})(id).guides[0].y))")
    assert guides == [thresholds["dip_on"], thresholds["ashman_on"], thresholds["valley_on"]]


def test_the_table_is_made_anew_only_for_new_numbers(visit: Callable[..., Browser], small: Daemon) -> None:
    page = visit(small)
    page.run("window.changes = 0; new MutationObserver((all) => { changes += all.length; }).observe(document.getElementById('revisions'), {childList: true, subtree: true, characterData: true})")
    bimodality = "[...document.querySelectorAll('#revisions tbody tr')].find((row) => row.cells[0].textContent === 'step512').cells[6].textContent"
    before = page.value(bimodality)
    page.click("#axis input[value=linear]")
    typed = ["16", "10k", "1.001K", "2.5T", "0.5", "1.0005k", "k"]
    assert page.run("return import('/assets/units.js').then(({readNumber}) => arguments[0].map((text) => readNumber(text, 'steps')))", typed) == [16, 10000, 1001, 2.5e12, None, None, None]
    page.type("#from", "16" + ENTER)
    page.wait("location.hash.includes('axis=linear') && location.hash.includes('from=16')")
    assert page.value("changes") == 0
    page.click("#values input[value=raw]")
    page.wait(f"{bimodality} !== {json.dumps(before)}")


def test_many_models_do_not_hide_what_is_at_work(visit: Callable[..., Browser], small: Daemon) -> None:
    page = visit(small)
    bottom = page.run(
        "const list = document.getElementById('models'), line = list.querySelector('.model');"
        "for (let i = 0; i < 60; i++) list.append(line.cloneNode(true));"
        "return document.getElementById('sweeps-title').getBoundingClientRect().bottom / innerHeight"
    )
    assert bottom < 0.8


def test_links_are_bounded(visit: Callable[..., Browser], small: Daemon) -> None:
    """A link with many models asks for sixteen; one that ends before it begins shows the whole run."""
    many = "&".join(f"model={urllib.parse.quote(name)}" for name in [MODEL] * 9 + [f"no/such{i}" for i in range(40)])
    page = visit(small)
    page.run(FAKE, "no/such", 404, json.dumps({"status": 404, "detail": "not known"}))
    page.run("location.hash = arguments[0]", f"{many}&from=900&to=100")
    page.wait("location.hash.split('model=').length === 17")
    assert page.value("document.querySelectorAll('#models :checked').length") == 16
    assert page.value("document.getElementById('from').value") == "" and "from" not in page.value("location.hash")
    page.run("window.fetch = window.realFetch")


def test_files_are_named_by_what_they_depend_on(visit: Callable[..., Browser], small: Daemon) -> None:
    """Displacement is of rows alone; single entries are of token rows as stored; perplexity is of the whole model."""
    page = visit(small, f"#model={MODEL}&rows=tokens&values=centred")
    page.run("document.getElementById('panel-pairs').scrollIntoView()")
    page.wait("Boolean(document.getElementById('panel-pairs').panel.map)")
    names = page.run("return Object.fromEntries([...document.querySelectorAll('.panel')].filter(one => one.panel).map(one => [one.panel.spec.id, one.panel.fileName('png')]))")
    names = {panel: name.removeprefix(f"garden-neox-tiny_{panel}").removesuffix(".png") for panel, name in names.items() if name.startswith("garden")}
    assert names["bc"] == names["heat"] == names["kurtosis"] == "_tokens_centred"
    assert names["msd"] == names["norm"] == names["cosine"] == "_tokens" and names["pairs"] == names["trajectories"] == ""
    words = page.run("return import('/assets/view.js').then(view => ['rows and values', 'rows', 'entries', 'nothing'].map(by => view.chosen(by).words))")
    assert words == ["token rows, around column means", "token rows", "token rows", ""]


def test_a_page_that_stays_open_does_not_grow(visit: Callable[..., Browser], small: Daemon) -> None:
    """As after hours of polls and live series: no more nodes and listeners, and hardly more memory."""
    page = visit(small)
    page.click("#to-operations")
    page.wait("document.getElementById('daemon-facts').textContent")
    page.devtools("Performance.enable")

    def use(times: int) -> dict[str, float]:
        page.run(
            "return (async () => { for (let i = 0; i < arguments[0]; i++) {"
            " window.dispatchEvent(new Event('online')); window.dispatchEvent(new Event('hashchange'));"
            " await new Promise(done => setTimeout(done, 60)); } })()", times,
        )  # fmt: skip
        page.wait("document.getElementById('main').getAttribute('aria-busy') === 'false'")
        time.sleep(0.5)
        page.devtools("HeapProfiler.collectGarbage")
        page.devtools("HeapProfiler.collectGarbage")
        found = page.devtools("Performance.getMetrics")["metrics"]
        return {one["name"]: one["value"] for one in found if one["name"] in ("Nodes", "JSEventListeners", "JSHeapUsedSize")}

    before, after = use(6), use(16)
    assert after["Nodes"] <= 1.1 * before["Nodes"] and after["JSEventListeners"] <= 1.1 * before["JSEventListeners"], (before, after)
    assert after["JSHeapUsedSize"] <= 1.25 * before["JSHeapUsedSize"] + 1e6, (before, after)


def test_names_are_text_wherever_they_stand(visit: Callable[..., Browser], daemon: Callable[..., Daemon], garden: Path, tmp_path: Path) -> None:
    """Models, revisions and errors come from strangers: they make no elements, and cannot turn the direction of writing."""
    runs = [tmp_path / "<img src=x onerror=alert(1)>\"'&\u202egnp", tmp_path / "<i>other"]
    for run in runs:
        run.mkdir()
        for step in ("step0", "step16"):
            (run / step).symlink_to(garden / "models" / MODEL / step)
    head = daemon()
    models = [f"file:{run}" for run in runs]
    assert [head.wait(head.sweep(model))["state"] for model in models] == ["done"] * 2
    assert head.wait(head.sweep(models[0], revisions={"names": ["step0", "<i>none</i>"]}))["progress"]["failed"] == 1
    assert head.request("PUT", f"/v1/watches/{model_path(models[0])}", {"at": "02:30"}).status == 201
    page = visit(head, "#" + "&".join(f"model={urllib.parse.quote(model)}" for model in models))
    page.run("document.getElementById('operations').scrollIntoView()")
    page.wait("document.querySelector('#watched tbody tr')")
    page.run("for (const one of document.querySelectorAll('details')) one.open = true")
    page.wait("[...document.querySelectorAll('#sweeps li')].some(one => one.textContent.includes('<i>none</i>'))")
    page.run("document.querySelector('#panel-norm canvas').scrollIntoView({block: 'center'})")
    page.wait("Boolean(document.getElementById('panel-norm').panel.chart)")
    page.run("document.querySelector('#panel-norm canvas').focus()")
    page.press("\ue010")
    assert page.wait("document.querySelectorAll('#panel-norm .tip tbody tr').length") == 2
    places = ["#models", "#sweeps", "#watches", "#watched", "#findings", "#legend", "#panel-heat select", "#panel-norm .tip", "#panel-norm details", "#revisions"]
    texts = page.value(f"{json.dumps(places)}.map(place => document.querySelector(place).textContent)")
    assert [place for place, text in zip(places, texts, strict=True) if "<img src=x" not in text] == []
    assert "\u202e" not in page.value("document.body.innerText + document.title")
    told = "[...document.querySelectorAll('[title], [aria-label]')].map(one => one.title + one.getAttribute('aria-label')).filter(text => text.includes('\\u202e'))"
    assert page.value(told) == []
    assert page.value("document.querySelectorAll('main img, aside img, i, [onerror]').length") == 0
