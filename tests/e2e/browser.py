"""Debian's Chromium without a window, driven through chromedriver with nothing but the standard library.

Its headless shell where that is installed: the same engine without what is around a page, for less of the processor's time.

    with Browser(folder) as page:
        page.open("http://127.0.0.1:7143/")
        page.wait("document.body.dataset.ready")
        page.move(".plot", 100, 50)
        page.screenshot("page")
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Iterator

import pytest

START_S = 120.0
WAIT_S = 120.0
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the WebDriver standard's name of a reference

_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Browser:
    """One tab with its own profile; `downloads` receives what the page saves."""

    def __init__(self, folder: Path, width: int = 1440, height: int = 1000):
        self._driver = shutil.which("chromedriver")
        self._shell = shutil.which("chromium-headless-shell")
        self._chromium = self._shell or shutil.which("chromium")
        if not self._driver or not self._chromium:
            pytest.skip("chromium and chromium-driver are not installed, of which Ubuntu has no packages")
        self.downloads = folder / "downloads"
        self.downloads.mkdir(parents=True, exist_ok=True)
        self._folder, self._size = folder, (width, height)
        self._process: subprocess.Popen[bytes] | None = None
        self._base = self._session = ""
        self._is_listening = False
        self.asked: list[str] = []  # all addresses that requests() has told of

    def __enter__(self) -> Browser:
        try:
            self._base = f"http://127.0.0.1:{self._start()}"
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._session:
            self._send("DELETE", "")
            self._session = ""
        if self._process:
            self._process.terminate()
            self._process.wait(60)

    def _start(self) -> int:
        """The driver, at a free port. What is free over IPv6, where it asks first, may be taken over IPv4: then it ends, and another one asks."""
        log = self._folder / "chromedriver.log"
        limit = time.monotonic() + START_S
        while time.monotonic() < limit:
            with open(log, "wb") as out:
                self._process = subprocess.Popen([self._driver, "--port=0"], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            port = self._port(log, limit)
            if port:
                return port
            assert "Address already in use" in log.read_text(), f"chromedriver ended:\n{log.read_text()}"
        raise AssertionError(f"chromedriver does not start:\n{log.read_text()}")

    def _port(self, log: Path, limit: float) -> int:
        """That of a driver that has started; 0 if it ended."""
        while time.monotonic() < limit:
            has_ended = self._process.poll() is not None
            for line in log.read_text(errors="replace").splitlines():
                if "started successfully on port" in line:
                    return int(line.rstrip(".").split()[-1])
            if has_ended:
                return 0
            time.sleep(0.05)
        raise AssertionError(f"chromedriver does not start:\n{log.read_text()}")

    def _begin(self) -> None:
        width, height = self._size
        arguments = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
            "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", f"--window-size={width},{height}",
            # one process for all pages: to start one for each takes as long as to show it
            "--renderer-process-limit=1", "--disable-site-isolation-trials",
            "--disable-features=SpareRendererForSitePerProcess,BackForwardCache",
            f"--user-data-dir={self._folder / 'profile'}",
        ]  # fmt: skip
        options = {"binary": self._chromium, "args": arguments}
        wanted = {
            "browserName": "chrome-headless-shell" if self._shell else "chrome",
            "timeouts": {"script": 300_000},  # generous: a busy machine takes longer than the 30 s of the standard
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        answer = self._send("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._session = answer["sessionId"]
        self.devtools("Network.disable")  # see listen()
        self.devtools("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def _send(self, method: str, path: str, value: Any = None) -> Any:
        url = f"{self._base}/session" + (f"/{self._session}{path}" if self._session else "")
        data = json.dumps(value or {}).encode() if method == "POST" else None
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        try:
            with _open(request, timeout=320) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(json.load(error)["value"]["message"]) from None

    # -- The page ------------------------------------------------------------------------------

    def open(self, url: str) -> None:
        self._send("POST", "/url", {"url": url})

    def load(self, url: str) -> None:
        """The dashboard anew, also where only what follows the # differs."""
        self.open("about:blank")
        self.open(url)
        self.wait("document.body.dataset.ready && document.getElementById('main').getAttribute('aria-busy') === 'false'")

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self._send("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def resize(self, width: int, height: int, is_phone: bool = False) -> None:
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if is_phone else 1, mobile=is_phone
        )

    def dark(self, is_on: bool) -> None:
        features = [{"name": "prefers-color-scheme", "value": "dark" if is_on else "light"}]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a script's `return`; a promise is awaited."""
        return self._send("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def value(self, expression: str) -> Any:
        return self.run(f"return ({expression})")

    def wait(self, expression: str, limit_s: float = WAIT_S) -> Any:
        """The expression's value as soon as it is true."""
        limit = time.monotonic() + limit_s
        while not (found := self.value(expression)):
            assert time.monotonic() < limit, f"never true: {expression}\n{self.messages()}"
            time.sleep(0.05)
        return found

    def screenshot(self, name: str, is_whole: bool = False) -> Path:
        if is_whole:
            size = self.run("return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
            clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
            self.resize(size[0], size[1])  # what comes near the window is drawn
            time.sleep(1)
            data = self.devtools("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
            self.resize(*self._size)
        else:
            data = self._send("GET", "/screenshot")
        path = self._folder / f"{name}.png"
        path.write_bytes(base64.b64decode(data))
        return path

    @contextlib.contextmanager
    def another_window(self) -> Iterator[None]:
        """A second window beside the first, both seen; closed at the end."""
        first = self._send("GET", "/window")
        self._send("POST", "/window", {"handle": self._send("POST", "/window/new", {"type": "window"})["handle"]})
        try:
            yield
        finally:
            self._send("DELETE", "/window")
            self._send("POST", "/window", {"handle": first})

    # -- The reader's hands --------------------------------------------------------------------

    def find(self, selector: str) -> dict[str, str]:
        return self._send("POST", "/element", {"using": "css selector", "value": selector})

    def click(self, selector: str) -> None:
        """Clicks where a reader would: with the element in the middle of the window, not below what sticks to its top."""
        self.run("document.querySelector(arguments[0])?.scrollIntoView({block: 'center'})", selector)
        self._send("POST", f"/element/{self.find(selector)[ELEMENT]}/click")

    def type(self, selector: str, text: str) -> None:
        self._send("POST", f"/element/{self.find(selector)[ELEMENT]}/value", {"text": text})

    def _pointer(self, actions: list[dict[str, Any]]) -> None:
        source = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}
        self._send("POST", "/actions", {"actions": [source]})

    def _at(self, selector: str, share_x: float, share_y: float) -> dict[str, Any]:
        box = self.run(
            "const e = document.querySelector(arguments[0]); e.scrollIntoView({block: 'center'});"
            "const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]",
            selector,
        )
        place = {"x": round(box[0] + box[2] * share_x), "y": round(box[1] + box[3] * share_y)}
        return {"type": "pointerMove", "duration": 0, "origin": "viewport", **place}

    def move(self, selector: str, share_x: float, share_y: float) -> None:
        """Moves the pointer to a place within an element, in shares of its width and height."""
        self._pointer([self._at(selector, share_x, share_y)])

    def drag(self, selector: str, share_from: float, share_to: float) -> None:
        down, up = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
        middle = (share_from + share_to) / 2
        moves = [self._at(selector, share, 0.5) for share in (share_from, middle, share_to)]
        self._pointer([moves[0], down, moves[1], moves[2], up])

    def press(self, *keys: str) -> None:
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._send("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def downloaded(self, ending: str) -> Path:
        """What the page saved, as soon as it is whole."""
        limit = time.monotonic() + WAIT_S
        while not (found := [path for path in self.downloads.iterdir() if path.name.endswith(ending) and path.stat().st_size]):
            assert time.monotonic() < limit, f"no {ending} arrives"
            time.sleep(0.05)
        return found[0]

    # -- What the browser noticed --------------------------------------------------------------

    def messages(self) -> list[str]:
        """What the console said since the last call."""
        return [f"{entry['level']}: {entry['message']}" for entry in self._send("POST", "/se/log", {"type": "browser"})]

    def listen(self, is_on: bool = True) -> None:
        """From now on what the network does is noted, or no more: that takes a fifth of the time of a page."""
        self._send("POST", "/se/log", {"type": "performance"})  # what came before is not what follows
        self.devtools("Network.enable" if is_on else "Network.disable")
        self._is_listening = is_on

    def events(self) -> list[dict[str, Any]]:
        """What the network did since the last call, or since listen(): events of the DevTools protocol."""
        assert self._is_listening, "listen() comes first"
        return [json.loads(entry["message"])["message"] for entry in self._send("POST", "/se/log", {"type": "performance"})]

    def requests(self) -> list[str]:
        """The addresses asked for since then."""
        now = [event["params"]["request"]["url"] for event in self.events() if event["method"] == "Network.requestWillBeSent"]
        self.asked += now
        return now
