"""The dashboard's section on operations, in Debian's Chromium: workers, jobs, watches with their webhooks, tokens; and every
action that the daemon refuses is done again with a token.

The daemons measure nothing themselves (fetchers 0), so that nothing ends before it was looked at.
"""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from browser import Browser
from dashboards import BY, ENTER, ESCAPE, IDLE, MODEL, SECRET, guarded, page, visit  # noqa: F401
from running import Daemon, model_path, wait_until
from workers import Worker


def operations(page: Browser) -> None:
    """Goes to the section, as a reader would, and waits until it is drawn."""
    page.click("#to-operations")
    page.wait("document.getElementById('daemon-facts').textContent")


def cells(page: Browser, section: str) -> list[list[str]]:
    return page.value(f"[...document.querySelectorAll('#{section} tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))")


def poll(page: Browser) -> None:
    """The page's next look at the daemon, now."""
    page.run("window.dispatchEvent(new Event('online'))")


def give_token(page: Browser, token: str) -> None:
    page.wait("document.getElementById('token-dialog').open && document.activeElement.name === 'token'")
    page.run("document.querySelector('#token-form [name=token]').value = ''")
    page.type("#token-form [name=token]", token)
    page.press(ENTER)


def refused_on_purpose(page: Browser) -> None:
    """The browser itself reports on the console what was refused; nothing else may stand there."""
    said = [line for line in page.messages() if not re.search(r"the server responded with a status of 40[013]", line)]
    assert not said, said


def test_it_is_quiet_where_there_is_nothing(page: Browser, visit: Callable[..., Browser], daemon: Callable[..., Daemon]) -> None:  # noqa: F811
    page.listen()
    visit(daemon(None))
    operations(page)
    page.wait("document.getElementById('operations-summary').textContent === 'No remote worker, no job and no watch.'")
    assert page.value("['workers', 'jobs', 'watched', 'tokens'].every(id => document.getElementById(id).hidden)")
    facts = page.value("document.getElementById('daemon-facts').textContent")
    assert "Queueempty" in facts and "Workers here0 of 3 busy" in facts and "DeviceCPU" in facts
    assert not [url for url in page.requests() if "/v1/tokens" in url], "tokens are asked for by somebody who wants to see them"
    assert not page.messages()


def test_workers_are_shown_with_what_they_do(
    visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path, tmp_path: Path, programs: dict[str, Path]
) -> None:
    head = daemon(make_hub(garden, latency_ms=200), *IDLE, "--lease-s", "3600")
    sweep = head.sweep(MODEL)
    worker = Worker(head, programs["bifurcated"], tmp_path / "worker").start()
    try:
        wait_until(lambda: any(one["running"] for one in head.get("/v1/workers").json()["workers"]))
        worker.suspend()  # so that it stays at what it has
        (there,) = head.get("/v1/workers").json()["workers"]
        page = visit(head)
        operations(page)
        page.wait("!document.getElementById('workers').hidden")
        ((name, state, works_at, device, version, *_),) = cells(page, "workers")
        assert (name, state, device, version) == (there["name"], "working", "cpu", there["version"])
        assert there["tasks"] and all(f"{task['revision']} of sweep {sweep}" in works_at for task in there["tasks"])
        assert page.value("document.getElementById('operations-summary').textContent") == "1 remote worker, 1 working"
        page.screenshot("workers")
        page.run("const now = Date.now; Date.now = () => now() + 600000")  # a reader whose clock is ten minutes ahead
        poll(page)
        page.run("return import('/assets/api.js').then(api => api.get('/v1/status'))")
        poll(page)
        time.sleep(0.5)
        assert cells(page, "workers")[0][1] == "working", "moments are the daemon's"
        page.run(
            "const real = fetch; window.fetch = async (url, options) => { const answer = await real(url, options);"
            " if (!String(url).includes('/v1/workers')) return answer; const list = await answer.json();"
            " for (const one of list.workers) one.last_seen_at = new Date(Date.parse(one.last_seen_at) - 600000).toISOString();"
            " return new Response(JSON.stringify(list), { status: 200, headers: answer.headers }); }"
        )  # ten minutes without a word of it
        poll(page)
        page.wait("document.getElementById('operations-summary').textContent.endsWith('1 silent')")
        assert cells(page, "workers")[0][1] == "silent"
        page.run(
            "const other = fetch; window.fetch = async (url, options) => { const answer = await other(url, options);"
            " if (!/v1.(workers|status)/.test(String(url))) return answer; const body = await answer.json();"
            " for (const one of body.workers ?? []) { one.last_seen_at = body.workers[0].since; one.hub_problem = 'no such host'; }"
            " if (body.daemon) Object.assign(body.daemon.hub, { reason: 'unreachable', detail: 'hub answers 503',"
            " waiting_until: new Date(Date.now() - 540000).toISOString() });"
            " return new Response(JSON.stringify(body), { status: 200, headers: answer.headers }); }"
        )  # a worker without a hub, and a daemon whose hub is down
        poll(page)
        page.wait("document.getElementById('daemon-facts').textContent.includes('down, asked again')")
        assert page.value("document.querySelector('#daemon-facts [title=\"hub answers 503\"]') !== null")
        poll(page)
        page.wait("document.querySelector('#workers [title=\"no such host\"]')?.textContent === 'no hub'")
    finally:
        worker.resume()
        worker.kill()
    assert not page.messages()


def test_jobs_are_shown_with_their_sweeps(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    head = daemon(make_hub(garden), *IDLE)
    first, second = head.sweep(MODEL, revisions={"names": ["step0"]}), head.sweep(MODEL, revisions={"names": ["step1"]})
    head.wait(second, lambda now: now["state"] == "running")
    head.stop()
    db = sqlite3.connect(head.db)
    insert = (
        "INSERT INTO jobs (sweep_id, job_id, state, size, pending, running, completed, failed, reason, attempts, submitted_ms, ended_ms)"
        " VALUES (?, ?, ?, 8, ?, ?, ?, ?, ?, 1, 1700000000000, ?)"
    )
    db.execute(insert, (first, 4711, "running", 5, 3, 0, 0, "Resources", None))
    db.execute(insert, (first, 4700, "ended", 0, 0, 6, 2, "NodeFail", 1700000001000))
    db.execute(insert, (second, None, "refused", 0, 0, 0, 0, "invalid partition specified: gpu", 1700000002000))
    db.commit()
    db.close()
    head.start()
    page = visit(head)
    card = page.wait(f"(text => text?.includes('4711') && text)(document.querySelector('.sweep[data-id=\"{first}\"]')?.textContent)")
    assert "Job 4711: 3 running, 5 waiting (Resources)" in card
    operations(page)
    page.wait("document.querySelectorAll('#jobs tbody tr').length === 3")
    rows = {row[0]: row[1:] for row in cells(page, "jobs")}
    assert page.value("document.getElementById('operations-summary').textContent").startswith("1 job"), "somebody works at it"
    assert rows["4711"][:4] == ["running", "3 running, 5 waiting", str(first), MODEL] and rows["4711"][-1] == "Resources"
    assert rows["4700"][:2] == ["ended", "6 done, 2 failed"] and rows["4700"][-1] == "NodeFail"
    assert rows["refused"][2] == str(second) and rows["refused"][-1] == "invalid partition specified: gpu"
    assert cells(page, "jobs")[0][0] == "4711", "what may hold a node comes first"
    assert "1 job in the cluster" in page.value("document.getElementById('operations-summary').textContent")
    page.screenshot("jobs")
    assert not page.messages()


def test_a_watch_is_made_changed_and_stopped(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    head = daemon(make_hub(garden), *IDLE)
    here = f"/v1/watches/{model_path(MODEL)}"
    page = visit(head)
    operations(page)
    page.click("#watch-new")
    page.type("#watch-form [name=model]", "nobody")
    page.press(ENTER)
    assert "owner/name" in page.wait("!document.getElementById('watch-error').hidden && document.getElementById('watch-error').textContent")
    assert page.value("document.activeElement.name") == "model"
    page.run("document.querySelector('#watch-form [name=model]').value = ''")
    page.type("#watch-form [name=model]", MODEL)
    page.click("#watch-form summary")
    page.type("#watch-form [name=url]", "http://127.0.0.1:9/secret-path")
    page.type("#watch-form [name=secret]", "short")
    page.press(ENTER)
    assert "16 to" in page.wait("(one => !one.hidden && one.textContent)(document.getElementById('watch-error'))")
    assert page.value("document.activeElement.name") == "secret", "the field that is wrong"
    page.press(*"-but-longer-now", ENTER)
    page.wait("!document.getElementById('watch-dialog').open && document.querySelectorAll('#watched tbody tr').length === 1")
    made = head.get(here).json()
    assert (made["at"], made["webhook"]["url"]) == ("02:30", "http://127.0.0.1:9/…")
    row = cells(page, "watched")[0]
    assert row[0] == MODEL and row[1] == "every day at 02:30" and "http://127.0.0.1:9/…" in row[4]
    page.screenshot("watch")

    page.click("#watched button[aria-label^='Look now']")
    wait_until(lambda: head.get(here).json()["last_run"] is not None)
    sweep = head.get(here).json()["last_sweep"]
    poll(page)
    page.wait(f"document.getElementById('watched').textContent.includes('in sweep {sweep}')")

    page.click("#watched button[aria-label^='Change']")
    assert "enter the address again" in page.value("document.getElementById('watch-kept').textContent")
    page.run("const form = document.getElementById('watch-form'); form.elements.when.value = 'every'; form.elements.when.dispatchEvent(new Event('change'))")
    page.run("document.querySelector('#watch-form [name=every_minutes]').value = ''")
    page.type("#watch-form [name=every_minutes]", "45")
    page.press(ENTER)
    page.wait("!document.getElementById('watch-dialog').open && document.getElementById('watched').textContent.includes('every 45 min')")
    changed = head.get(here).json()
    assert changed["every_minutes"] == 45 and changed["webhook"] is None and changed["request"] == made["request"]

    page.click("#watched button[aria-label^='Stop']")
    page.wait("document.getElementById('confirm-dialog').open")
    page.press(ENTER)  # the focus is on what changes nothing
    page.wait("!document.getElementById('confirm-dialog').open")
    assert head.get(here).status == 200
    page.click("#watched button[aria-label^='Stop']")
    page.click("#confirm-yes")
    page.wait("document.getElementById('watched').hidden")
    assert head.get(here).status == 404
    refused_on_purpose(page)


def test_what_a_webhook_was_told(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    head = daemon(make_hub(garden))
    hook = {"url": "http://127.0.0.1:9/nobody", "secret": SECRET}
    request = {"at": "02:30", "webhook": hook, "revisions": {"names": ["step0", "step512"]}}
    here = f"/v1/watches/{model_path(MODEL)}"
    assert head.request("PUT", here, request).status == 201
    assert head.post(f"{here}/runs").status == 202
    wait_until(lambda: any(one["error"] for one in head.get(here).json()["webhook"]["deliveries"]))
    page = visit(head)
    operations(page)
    page.wait("document.querySelector('#watched details')")
    page.click("#watched details summary")
    lines = page.value("[...document.querySelectorAll('#watched details li')].map(one => one.textContent)")
    told = head.get(here).json()["webhook"]["deliveries"]
    assert len(lines) == len(told) and any("sweep ended" in line and told[-1]["error"][:20] in line for line in lines), (lines, told)
    page.run("window.old = document.querySelector('#watched details')")
    page.listen()
    poll(page)
    wait_until(lambda: any("/v1/watches" in url for url in page.requests()))
    page.wait("document.querySelector('#watched summary').textContent")
    assert page.value("window.old.isConnected && window.old.open"), "what was opened stays"
    assert not page.messages()


def test_tokens_are_listed_made_and_revoked(visit: Callable[..., Browser], guarded: Daemon) -> None:
    old = guarded.post("/v1/tokens", {"name": "an-old-cluster", "scopes": ["worker"], "expires_days": 9}, BY).json()
    page = visit(guarded)
    operations(page)
    page.click("#tokens-show")
    give_token(page, "not the one")
    page.wait("!document.getElementById('token-error').hidden && document.getElementById('token-dialog').open")
    give_token(page, SECRET)
    page.wait("!document.getElementById('token-dialog').open && document.querySelectorAll('#tokens tbody tr').length === 1")
    name, may, state, _, used, _ = cells(page, "tokens")[0]
    assert (name, may, used) == ("an-old-cluster", "worker", "never") and state.startswith("expires in ")

    page.click("#tokens button[data-key=make]")
    page.press(ENTER)
    assert "name" in page.wait("!document.getElementById('key-error').hidden && document.getElementById('key-error').textContent")
    page.type("#key-form [name=name]", "ci")
    page.click("#key-form [name=sweep]")
    page.press(ENTER)
    text = page.wait("document.getElementById('key-text').value")
    page.screenshot("token made")
    assert guarded.post("/v1/sweeps", {"model": MODEL}, {"Authorization": f"Bearer {text}"}).status == 201
    page.click("#key-close")
    page.wait("!document.getElementById('key-text').value")  # shown once
    assert [row[:2] for row in cells(page, "tokens")] == [["ci", "read, sweep"], ["an-old-cluster", "worker"]]

    page.click("#tokens button[aria-label='Revoke the token of an-old-cluster']")
    assert "an-old-cluster" in page.wait("document.getElementById('confirm-dialog').open && document.getElementById('confirm-title').textContent")
    page.screenshot("revoke")
    page.press(ESCAPE)
    assert guarded.get(f"/v1/tokens/{old['id']}", BY).json()["revoked_at"] is None
    page.click("#tokens button[aria-label='Revoke the token of an-old-cluster']")
    page.click("#confirm-yes")
    page.wait("document.querySelectorAll('#tokens tbody button').length === 1")
    assert guarded.get(f"/v1/tokens/{old['id']}", BY).json()["revoked_at"]
    assert cells(page, "tokens")[-1][2].startswith("revoked")
    page.click("#tokens-show")
    assert page.value("document.getElementById('tokens').hidden && document.getElementById('tokens-show').ariaExpanded") == "false"
    refused_on_purpose(page)


def test_a_refused_action_is_done_again_with_a_token(visit: Callable[..., Browser], guarded: Daemon) -> None:
    reader = guarded.post("/v1/tokens", {"name": "reader", "scopes": ["read"]}, BY).json()["token"]
    sweep = guarded.post("/v1/sweeps", {"model": MODEL}, BY).json()["id"]
    page = visit(guarded)
    cancel = f"button[aria-label='Cancel sweep {sweep}']"
    page.wait(f"document.querySelector(\"{cancel}\")")
    page.click(cancel)
    assert "cancel sweep" in page.wait("document.getElementById('token-dialog').open && document.getElementById('token-dialog-title').textContent")
    assert "--scopes read,sweep" in page.value("document.getElementById('token-command').textContent")
    page.press(ESCAPE)
    page.wait("!document.getElementById('token-dialog').open && document.getElementById('notice').textContent.includes('token')")
    assert guarded.get(f"/v1/sweeps/{sweep}").json()["state"] in ("planning", "running"), "who declines has changed nothing"

    page.click(cancel)
    give_token(page, reader)  # one that may not
    assert "sweep" in page.wait("!document.getElementById('token-error').hidden && document.getElementById('token-error').textContent")
    assert not page.value("sessionStorage.getItem('bifurcated-token')"), "only what was accepted is kept"
    give_token(page, SECRET)
    page.wait(f"document.querySelector('.sweep[data-id=\"{sweep}\"]').dataset.state === 'cancelled'")
    assert guarded.get(f"/v1/sweeps/{sweep}").json()["state"] == "cancelled"
    assert page.value("sessionStorage.getItem('bifurcated-token')") == SECRET
    assert not page.value("document.getElementById('token-dialog').open")

    operations(page)  # and from now on nobody is asked
    page.click("#watch-new")
    page.type("#watch-form [name=model]", MODEL)
    page.press(ENTER)
    page.wait("!document.getElementById('watch-dialog').open && document.querySelectorAll('#watched tbody tr').length === 1")
    refused_on_purpose(page)


def test_a_sweep_is_started_with_a_token(visit: Callable[..., Browser], guarded: Daemon) -> None:
    page = visit(guarded)
    page.click("#start")
    page.type("#sweep-form [name=model]", MODEL)
    page.type("#sweep-form [name=to]", "2")
    page.press(ENTER)
    page.wait("document.getElementById('token-dialog').open && document.activeElement.name === 'token'")
    assert "start a sweep" in page.value("document.getElementById('token-dialog-title').textContent")
    page.press(*SECRET, ENTER)
    page.wait("!document.getElementById('token-dialog').open && !document.getElementById('sweep-dialog').open")
    (sweep,) = guarded.get("/v1/sweeps").json()["sweeps"]
    page.wait(f"document.querySelector('.sweep[data-id=\"{sweep['id']}\"]')")
    assert guarded.get(f"/v1/sweeps/{sweep['id']}").json()["request"]["revisions"]["to"] == 2
    refused_on_purpose(page)


def test_a_token_that_may_only_read_can_be_replaced(visit: Callable[..., Browser], guarded: Daemon) -> None:
    reader = guarded.post("/v1/tokens", {"name": "reader", "scopes": ["read"]}, BY).json()["token"]
    page = visit(guarded)
    page.run(f"sessionStorage.setItem('bifurcated-token', '{reader}')")
    page = visit(guarded)
    page.click("#start")
    page.type("#sweep-form [name=model]", MODEL)
    page.press(ENTER)
    page.wait("document.activeElement.name === 'token' && document.getElementById('token-dialog').open")
    assert "lacks the scope sweep" in page.value("document.getElementById('token-error').textContent")
    page.press(ESCAPE)
    page.wait("!document.getElementById('token-dialog').open && !document.getElementById('sweep-error').hidden")
    assert page.value("document.getElementById('sweep-dialog').open"), "what was written in the form is still there"
    assert page.value("sessionStorage.getItem('bifurcated-token')") == reader
    refused_on_purpose(page)


def test_reading_may_need_a_token(
    visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "token").chmod(0o600)
    closed = daemon(make_hub(garden), "--token-file", str(tmp_path / "token"), "--read-access", "token")
    assert closed.get("/v1/models").status == 401 and closed.get("/").status == 200
    for _ in range(5):
        assert closed.post("/v1/sweeps", {"model": MODEL, "revisions": {"to": 8}}, BY).status == 201
    wait_until(lambda: len(closed.get("/v1/sweeps?state=done", BY).json()["sweeps"]) == 5)
    page = visit(closed)
    give_token(page, "not the one")
    page.wait("document.getElementById('token-dialog').open && !document.getElementById('token-error').hidden")
    page.press(ESCAPE)
    page.listen()
    page.click("#notice button")  # who closed the dialog is asked again only when he wants to be
    give_token(page, SECRET)
    page.wait("!document.getElementById('token-dialog').open && document.querySelector('.sweep[data-state=done]')", limit_s=120)
    page.wait("document.querySelectorAll('#revisions tbody tr .chip.measured').length === 5")
    assert page.value("document.getElementById('notice').textContent") == ""
    time.sleep(1)
    assert len([url for url in page.requests() if "/v1/models?limit=1000" in url]) <= 2, "sweeps of before are no news"
    page = visit(closed)
    page.wait("!document.getElementById('panel-msd').hidden")
    assert not page.value("document.getElementById('token-dialog').open"), "the tab remembers it"
    page.click("#table-links a")
    assert page.downloaded("garden-neox-tiny.csv").read_text().startswith("revision,step")
    refused_on_purpose(page)


def test_sweeps_that_work_come_before_those_that_wait(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    """The queue serves the oldest of equal priority first; the list would not hold it among sixty newer ones."""
    head = daemon(make_hub(garden), *IDLE)
    waiting = [head.sweep(MODEL, revisions={"names": ["step0"]}) for _ in range(9)]
    urgent = head.sweep(MODEL, revisions={"names": ["step1"]}, priority=5)
    for one in (*waiting, urgent):
        head.wait(one, lambda now: now["state"] == "running")
    over = head.sweep(MODEL)
    assert head.request("DELETE", f"/v1/sweeps/{over}").status == 200
    page = visit(head)
    operations(page)
    assert f"bifurcated worker --connect {head.url}" in page.value("document.getElementById('operations-summary').textContent")
    ids = "[...document.querySelectorAll('#sweeps .sweep')].map(one => Number(one.dataset.id))"
    page.wait(f"({ids}).length")
    assert page.value(ids) == [urgent, *waiting[:5]]
    assert page.value("document.getElementById('sweeps-more').textContent") == "5 more"
    page.click("#sweeps-more")
    page.wait(f"({ids}).length === 11")
    assert page.value(ids) == [urgent, *waiting, over]
    assert not page.messages()


HIDE = (
    "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true});"
    "document.dispatchEvent(new Event('visibilitychange'))"
)


def test_a_sweep_that_nobody_saw_is_caught_up_with(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    """The first of a daemon, begun and over while the page was hidden: its model and its charts appear all the same."""
    head = daemon(make_hub(garden))
    page = visit(head)
    page.run(HIDE, True)
    assert head.wait(head.sweep(MODEL, revisions={"to": 8}))["state"] == "done"
    page.run(HIDE, False)
    page.wait("document.querySelectorAll('#revisions tbody tr .chip.measured').length === 5 && !document.getElementById('panel-msd').hidden")
    assert not page.messages()


def test_a_hidden_page_asks_for_nothing(visit: Callable[..., Browser], daemon: Callable[..., Daemon], make_hub: Any, garden: Path) -> None:
    head = daemon(make_hub(garden), *IDLE)
    sweep = head.sweep(MODEL)
    page = visit(head)
    wait_until(lambda: head.get("/v1/status").json()["event_streams"] == 1)
    page.listen()
    page.run(HIDE, True)
    ended: list[dict[str, Any]] = []

    def ends() -> int:
        ended.extend(one for one in page.events() if one["method"] == "Network.loadingFailed" and one["params"].get("canceled"))
        return len(ended)

    wait_until(lambda: ends() == 1)  # the stream
    time.sleep(6)  # longer than between two polls
    assert not page.requests()
    page.run(HIDE, False)
    wait_until(lambda: any(f"/v1/sweeps/{sweep}/events" in url for url in page.requests()))
    assert not page.messages()


def test_no_serious_fault_of_access(visit: Callable[..., Browser], guarded: Daemon) -> None:
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python (tests/requirements.txt) is not installed")
    source = (Path(axe.__file__).parent / "axe.min.js").read_text()
    watch = {"at": "02:30", "webhook": {"url": "http://127.0.0.1:9/x", "secret": SECRET}}
    assert guarded.request("PUT", f"/v1/watches/{model_path(MODEL)}", watch, BY).status == 201
    guarded.post("/v1/tokens", {"name": "ci", "scopes": ["read"]}, BY)
    page = visit(guarded)
    page.devtools("Page.setBypassCSP", enabled=True)
    page = visit(guarded)
    operations(page)
    page.click("#tokens-show")
    give_token(page, SECRET)
    page.wait("document.querySelectorAll('#tokens tbody tr').length === 1")
    openers = {"": None, "watch": "#watch-new", "key": "#tokens button[data-key=make]", "confirm": "#tokens tbody button"}
    for colours in (False, True):
        page.dark(colours)
        for dialog, opener in openers.items():
            if opener and colours:
                continue
            if opener:
                page.click(opener)
                page.wait(f"document.getElementById('{dialog}-dialog').open")
            page.run(source + ";window.axe = axe;")
            found: list[dict[str, Any]] = page.run("return axe.run(document).then(result => result.violations)")
            faults = [(one["id"], one["impact"], [node["html"][:120] for node in one["nodes"]][:4]) for one in found]
            assert not [one for one in faults if one[1] in ("serious", "critical")], (colours, dialog, faults)
            page.screenshot(f"operations {'dark' if colours else 'light'} {dialog}")
            if opener:
                page.press(ESCAPE)
    page.dark(False)
    page.resize(360, 740, is_phone=True)
    assert page.value("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), "nothing sticks out"
    page.screenshot("operations phone")
    page.resize(1440, 1000)
    page.devtools("Page.setBypassCSP", enabled=False)
