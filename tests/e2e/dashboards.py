"""What the browser tests of the dashboard share: one browser, a page that is left clean, and a daemon whose writes need a token."""

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


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


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
