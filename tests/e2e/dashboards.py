"""What the browser tests of the dashboard share: one browser, a page that is left clean, a daemon with a few revisions, one
whose writes need a token, and how to read what a page shows.

`HOLD` keeps the answers of some requests back until the test lets them go (`FREE`), each as it was when it was given; `FAKE`
answers some by itself; `QUICK` makes one waiting time another.
"""

from __future__ import annotations

import struct
import time
import urllib.parse
import zlib
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
    """Opens a daemon's page; afterwards, before the daemon stops, the tab forgets its token, leaves it, and no longer listens. The console must be empty
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
    page.listen(False)
    assert not said, said


@pytest.fixture
def guarded(daemon: Callable[..., Daemon], make_hub: Any, garden: Path, tmp_path: Path) -> Daemon:
    """A daemon whose writes need a token."""
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "token").chmod(0o600)
    return daemon(make_hub(garden), *IDLE, "--token-file", str(tmp_path / "token"))


# -- What a page shows ----------------------------------------------------------------------------


def load(page: Browser, service: Daemon, view: str = "") -> None:
    page.load(f"{service.url}/{view}")


def tip_of(panel: str) -> str:
    """The text beside the pointer, for JavaScript; null where there is none."""
    return (
        f"(tip => tip && !tip.hidden && [['step', tip.querySelector('b').textContent.slice(5)],"
        f" ...[...tip.querySelectorAll('tbody tr')].map(row => [...row.cells].slice(0, 2).map(cell => cell.textContent))])"
        f"(document.querySelector('#panel-{panel} .tip'))"
    )


def pointed(page: Browser, panel: str, x: float, y: float) -> dict[str, float]:
    """Points at a place of a chart, again while it is still being drawn, and reads what is written there."""
    limit = time.monotonic() + 60
    while True:
        page.move(f"#panel-{panel} .plot", x, y + 0.05)
        page.move(f"#panel-{panel} .plot", x, y)
        for _ in range(10):
            if page.value(tip_of(panel)):
                return reading(page, panel)
            time.sleep(0.1)
        assert time.monotonic() < limit, f"nothing is shown at {x}, {y} of {panel}\n{page.messages()}"


def reading(page: Browser, panel: str) -> dict[str, float]:
    """What is written beside the pointer: {"step": 256, "MSD": 0.013…}."""
    rows = page.wait(tip_of(panel))
    return {name: float(text.removesuffix(" %").split(" ±")[0].replace("\u2212", "-").replace("\u202f", "")) for name, text in rows}


def hash_of(page: Browser) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(page.value("location.hash").lstrip("#")))


def pixels(png: bytes) -> tuple[int, int, set[bytes]]:
    """Width, height and the bytes of all rows of a PNG."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    at, data = 8, b""
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + size]
        at += size + 12
    raw = zlib.decompress(data)
    line = len(raw) // height
    return width, height, {raw[i * line : (i + 1) * line] for i in range(height)}
