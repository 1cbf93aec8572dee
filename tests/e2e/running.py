"""A running daemon, for tests: start, ask, stop, kill. Standard library only."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Callable

import pytest

START_S, STOP_S = 120.0, 120.0  # generous: sanitizers on a busy machine
NOON = f"NOON{time.gmtime().tm_hour - 12:+}"  # a zone in which it is about noon: no watch "at 02:30" runs of itself while a test runs
SWEEP_S = 400.0  # against tests that would wait for ever; says nothing about speed
SANITIZER = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:).*")

_trusting = ssl.create_default_context()
_trusting.check_hostname, _trusting.verify_mode = False, ssl.CERT_NONE  # who it is that answers, other tests ask
_open = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=_trusting)).open


def find_program(name: str) -> Path:
    """The built program, or the test is skipped."""
    build = os.environ.get("BIFURCATED_BUILD")
    if not build:
        pytest.skip("BIFURCATED_BUILD does not name a build folder")
    path = Path(build) / name
    if not os.access(path, os.X_OK):
        pytest.skip(f"{path} has not been built")
    return path.resolve()


def passed_on() -> dict[str, str]:
    """What programs are given of the variables that tests run with: the sanitizers' options, and deploy/test's for OpenBLAS."""
    return {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS") or name == "OPENBLAS_THREAD_TIMEOUT"}


def model_path(model: str) -> str:
    """The part of an address that names a model: owner/name, or file/%2Ffolder."""
    owner, rest = model.split(":" if model.startswith("file:") else "/", 1)
    return f"{owner}/{urllib.parse.quote(rest, safe='')}"


def wait_until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + START_S  # against waiting for ever
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.02)


def stacks(process: subprocess.Popen[bytes] | None, url: str = "") -> str:
    """Where the threads of a process that hangs stand, and those of the workers of the daemon at `url`: before it is killed."""
    pids = [process.pid] if process and process.poll() is None else []
    for entry in Path("/proc").iterdir() if url else ():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue  # it has ended
        if url.encode() in words and int(entry.name) not in (*pids, os.getpid()):
            pids.append(int(entry.name))
    gdb = shutil.which("gdb")
    told = []
    for pid in pids if gdb else ():
        command = [gdb, "--batch", "-nx", "-iex", "set debuginfod enabled off", "-p", str(pid), "-ex", "thread apply all backtrace 16"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            continue
        lines = [line for line in done.stdout.splitlines() if re.match(r"Thread |#\d", line)] or [done.stderr[-300:]]
        told.append("\n".join([f"process {pid}:", *lines]))
    return "\n".join(told) if gdb else "where it stands, gdb would tell"


class Answer:
    """An HTTP answer of any status."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:500]!r}>"


class Logged:
    """A program that writes a log."""

    begun: list[Logged] = []  # of this process; conftest.py ends those that a failure leaves behind
    log_path: Path
    process: subprocess.Popen[bytes] | None

    def begin(self, command: list[Any], env: dict[str, str]) -> None:
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if self not in self.begun:
            self.begun.append(self)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def await_end(self, timeout_s: float = STOP_S) -> int:
        """The exit status; one that does not end is killed."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            error.add_note(stacks(self.process))
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL, also of a suspended one."""
        raise NotImplementedError

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def told(self, *words: str) -> list[str]:
        """The lines of the log that hold all these words, once there are any: a line may come after what it tells of can be seen."""
        limit = time.monotonic() + START_S
        while True:
            is_over = self.process.poll() is not None or time.monotonic() > limit
            lines = [line for line in self.log().splitlines() if all(word in line for word in words)]
            if lines:
                return lines
            assert not is_over, f"the log does not say {words}:\n{self.log()}"
            time.sleep(0.02)


class Daemon(Logged):
    """One daemon with its own state folder, hub cache and home; `start` again after `stop` or `kill` keeps them.

    `with Daemon(...) as one` starts it and asserts that it ends well.
    """

    def __init__(
        self, programs: dict[str, Path], place: Path, hub_url: str | None, options: list[str], env: dict[str, str]
    ):
        self._programs, self._options = programs, options
        self.state, self.cache, self.home = place / "state", place / "cache", place / "home"
        for folder in (self.state, self.cache, self.home):
            folder.mkdir(parents=True, exist_ok=True)
        self.log_path = place / "log"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TZ": NOON,
            "HF_HUB_CACHE": str(self.cache),
            **({"HF_ENDPOINT": hub_url} if hub_url else {}),
            **passed_on(),
            **env,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self._killed = False

    @staticmethod
    def check_answer(method: str, path: str, answer: Answer) -> None:
        """Looks at every answer; the tests put described.check here."""

    def __enter__(self) -> Daemon:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.check_end()
        else:
            self.kill()

    @property
    def db(self) -> Path:
        return self.state / "bifurcated.db"

    def start(self) -> None:
        """Returns when the daemon has written STATE/address."""
        self.spawn()
        self.await_address()

    def spawn(self) -> None:
        """Only starts the process."""
        (self.state / "address").unlink(missing_ok=True)
        command = [self._programs["bifurcated"], "--listen", "127.0.0.1:0", "--state", self.state, *self._options]
        self.begin(command, self.env)
        self._killed = False

    def await_address(self) -> None:
        limit = time.monotonic() + START_S
        while not (url := self._address(self.state / "address")):
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended with status {self.process.returncode}:\n{self.log()}")
            if time.monotonic() > limit:
                raise AssertionError(f"the daemon did not listen within {START_S} s:\n{self.log()}")
            time.sleep(0.02)
        self.url = url

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.await_end()

    def kill(self) -> None:
        """SIGKILL: nothing is saved, nothing is cleaned up."""
        self._killed = True
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        if self.process.poll() is None:
            self.stop()
        self.start()

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return self.request("GET", path, None, headers)

    def read(self, path: str) -> Any:
        """The JSON of what is there."""
        answer = self.get(path)
        assert answer.status == 200, answer
        return answer.json()

    def post(self, path: str, value: Any = None, headers: dict[str, str] | None = None) -> Answer:
        return self.request("POST", path, value, headers)

    def request(self, method: str, path: str, value: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """The answer, whatever its status."""
        data = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
        request = urllib.request.Request(self.url + path, data, headers or {}, method=method)
        if data is not None and not request.has_header("Content-type"):
            request.add_header("Content-Type", "application/json")
        try:
            with _open(request, timeout=60) as answer:
                found = Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                found = Answer(error.code, error.headers, error.read())
        self.check_answer(method, path, found)
        return found

    def sweep(self, model: str, **request: Any) -> int:
        """Starts a sweep; its id."""
        answer = self.post("/v1/sweeps", {"model": model, **request})
        assert answer.status == 201, answer
        return answer.json()["id"]

    def wait(self, sweep: int, until: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
        """The sweep as it is once it has ended, or once `until` holds of it."""
        limit = time.monotonic() + SWEEP_S
        while True:
            now = self.get(f"/v1/sweeps/{sweep}").json()
            if now["state"] not in ("planning", "running") or (until and until(now)):
                return now
            assert time.monotonic() < limit, f"sweep {sweep} does not end: {now}\n{self.log()}\n{stacks(self.process, self.url)}"
            time.sleep(0.05)

    def series(self, model: str, query: str = "") -> list[dict[str, Any]]:
        """All rows of a model's series."""
        rows: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.read(f"/v1/models/{model_path(model)}/revisions?limit=1000{cursor}{query}")
            rows += page["revisions"]
            if not page.get("next_cursor"):
                return rows
            cursor = "&cursor=" + urllib.parse.quote(page["next_cursor"], safe="")

    def client(
        self, *arguments: str, timeout_s: float = 300, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs `bifurcate` against this daemon."""
        env = self.env | {"BIFURCATE_SERVER": self.url} | (env or {})
        command = [str(self._programs["bifurcate"]), *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout_s)

    def check_end(self) -> None:
        """Stops the daemon if it runs; asserts that it went well."""
        if self.process and self.process.poll() is None:
            self.stop()
        report = SANITIZER.search(self.log())
        assert not report, f"sanitizer: {report.group(0)}\n{self.log()}"
        if self.process and not self._killed:
            assert self.process.returncode == 0, f"exit status {self.process.returncode}:\n{self.log()}"

    @staticmethod
    def _address(file: Path) -> str | None:
        """The daemon's address once it has written it: http://127.0.0.1:PORT."""
        text = file.read_text().strip() if file.exists() else ""
        found = re.fullmatch(r"(?:(https?)://)?(127\.0\.0\.1:\d+)/?", text)
        return f"{found.group(1) or 'http'}://{found.group(2)}" if found else None


def check_words(text: str, *words: str) -> None:
    """One line that holds these words."""
    assert "\n" not in text and len(text) < 600
    for one in words:
        assert re.search(one, text), f"{text!r} lacks {one!r}"


def new_certificate(folder: Path, kind: str, days: int = 2) -> tuple[str, str]:
    """A certificate for 127.0.0.1 and localhost, and its key, in a new folder."""
    folder.mkdir()
    names = str(folder / "certificate.pem"), str(folder / "key.pem")
    command = f"openssl req -x509 -newkey {kind} -nodes -days {days} -subj /CN=localhost -addext".split()
    command += ["subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", names[0], "-keyout", names[1]]
    subprocess.run(command, check=True, capture_output=True)
    return names
