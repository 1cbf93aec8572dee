"""What the browser tests of the dashboard share: one browser, a page that is left clean, a daemon with a few revisions, and one
whose writes need a token.

`HOLD` keeps the answers of some requests back until the test lets them go (`FREE`), each as it was when it was given; `FAKE`
answers some by itself; `QUICK` makes one waiting time another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from browser import Browser
from running import Daemon

MODEL = "garden/neox-tiny"
SECRET = "a-token-of-this-test-0123456789"
BY = {"Authorization": f"Bearer {SECRET}"}
ENTER, ESCAPE = "\ue007", "\ue00c"
IDLE = ("--fetchers", "0")

HOLD = """
const pattern = new RegExp(arguments[0]), real = window.realFetch ?? window.fetch;
window.realFetch = real;
window.held = [];
window.fetch = async (url, options = {}) => {
  if (!pattern.test(`${options.method ?? "GET"} ${url}`)) return real(url, options);
  const answer = await real(url, { ...options, signal: undefined });
  const kept = new Response(await answer.text(), { status: answer.status, headers: answer.headers });
  return new Promise((resolve) => window.held.push(() => resolve(kept)));
};
"""
FAKE = """
const [pattern, status, body] = [new RegExp(arguments[0]), arguments[1], arguments[2]], real = window.realFetch ?? window.fetch;
window.realFetch = real;
window.fetch = (url, options) => !pattern.test(url) ? real(url, options)
  : status ? Promise.resolve(new Response(body, { status, headers: { "Content-Type": "application/json" } }))
  : Promise.reject(new TypeError("Failed to fetch"));
"""
QUICK = """
const [from, to, wait] = [...arguments, window.setTimeout];
window.setTimeout = (act, ms, ...rest) => wait(act, ms === from ? to : ms, ...rest);
"""
FREE = "window.fetch = window.realFetch; for (const go of window.held ?? []) go(); window.held = [];"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def small(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a few measured revisions, for tests that change nothing."""
    from tests.hub import Emulator

    with Emulator(garden) as hub:
        one = Daemon(programs, tmp_path_factory.mktemp("small"), hub.url, [], {})
        one.start()
        assert one.wait(one.sweep(MODEL, revisions={"names": ["step0", "step16", "step512", "step4000"]}))["state"] == "done"
        yield one
        one.check_end()


@pytest.fixture
def visit(page: Browser, daemon: Callable[..., Daemon]) -> Iterator[Callable[..., Browser]]:
    """Opens a daemon's page; afterwards, before the daemon stops, the tab forgets its token and leaves it. The console must be empty
    but for what was refused: a promise that nobody listened to would stand there."""
    page.messages()

    def load(service: Daemon, view: str = "") -> Browser:
        if service.get("/").status == 404:
            pytest.skip("the program was built without the dashboard (libjs-chart.js)")
        page.load(f"{service.url}/{view}")
        return page

    yield load
    said = [line for line in page.messages() if "the server responded with a status of 4" not in line]
    page.run("sessionStorage.clear()")
    page.open("about:blank")
    assert not said, said


@pytest.fixture
def guarded(daemon: Callable[..., Daemon], make_hub: Any, garden: Path, tmp_path: Path) -> Daemon:
    """A daemon whose writes need a token."""
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "token").chmod(0o600)
    return daemon(make_hub(garden), *IDLE, "--token-file", str(tmp_path / "token"))
