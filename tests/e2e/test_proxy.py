"""The daemon behind nginx, as deploy/README.md configures it: at the root of a host with TLS, and beneath a path."""

from __future__ import annotations

import re
import shutil
import signal
import ssl
import subprocess
import textwrap
import urllib.request
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from browser import Browser
from dashboards import FREE, HOLD, IDLE, MODEL, page  # noqa: F401
from running import Daemon, model_path, wait_until
from synthetic import write_run

from tests.hub.client import take_port

README = Path(__file__).resolve().parents[2] / "deploy/README.md"


def configuration(daemon: Daemon, certificate: tuple[str, str], secure: int, plain: int) -> str:
    """The two blocks of the document as one server, which also listens without TLS, for the browser."""
    whole, beneath = re.findall(r"^```nginx\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for line in whole.splitlines() if re.match(r"\s+(proxy_(?!pass)|client_)", line)]
    assert len(lines) == 4, whole
    beneath = beneath.replace("proxy_pass", "\n".join([*lines, "proxy_pass"]))
    server = whole.rstrip().removesuffix("}") + beneath + "}\n"
    for old, new in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{secure} ssl; listen 127.0.0.1:{plain};"), ("127.0.0.1:7143", daemon.url.split("//")[1]),
        ("/etc/ssl/chain.pem", certificate[0]), ("/etc/ssl/key.pem", certificate[1]), ("bifurcated.example.org", "localhost 127.0.0.1"),
    ):  # fmt: skip
        assert old in server, old
        server = server.replace(old, new)
    return server


@pytest.fixture
def proxied(request: pytest.FixtureRequest, daemon: Callable[..., Daemon], make_hub: Any, garden: Path, certificate: tuple[str, str], tmp_path: Path) -> Iterator[tuple[Daemon, str, str]]:
    """A daemon, with options where a test gives some, and where nginx stands before it: with TLS, without."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not nginx:
        pytest.skip("nginx is not installed")
    service = daemon(make_hub(garden), *getattr(request, "param", ()))
    taken = [take_port() for _ in range(2)]
    secure, plain = (one.getsockname()[1] for one in taken)
    temporary = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    http = f"access_log off;\n{temporary}{configuration(service, certificate, secure, plain)}"
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/errors;\nevents {{}}\nhttp {{\n{textwrap.indent(http, '  ')}}}\n"
    )
    process = subprocess.Popen([nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "errors")])
    try:
        wait_until(lambda: process.poll() is not None or (tmp_path / "pid").exists())
        assert process.poll() is None, (tmp_path / "errors").read_text()
        yield service, f"https://127.0.0.1:{secure}", f"http://127.0.0.1:{plain}"
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(60)
        for one in taken:
            one.close()


def test_clients_behind_nginx(proxied: tuple[Daemon, str, str], certificate: tuple[str, str], tmp_path: Path) -> None:
    """At the root and beneath a path; a sweep is followed while it goes on, and a folder is named as it is."""
    service, secure, _ = proxied
    write_run(tmp_path / "a run", 32, 80.0)
    for at in (secure, f"{secure}/bifurcated", f"{secure}/bifurcated/"):
        words = ("--server", at, "--ca-file", certificate[0])
        swept = service.client("sweep", f"file:{tmp_path}/a run", "--follow", *words)
        assert swept.returncode == 0 and "revisions measured" in swept.stderr, (at, swept)
        series = service.client("series", f"file:{tmp_path}/a run", "--csv", *words)
        assert series.returncode == 0 and series.stdout.count("measured") > 10, (at, series)
    assert service.client("models", "--server", f"{secure}/other", "--ca-file", certificate[0]).returncode != 0


@pytest.mark.parametrize("proxied", [IDLE], indirect=True)
def test_a_worker_behind_nginx(proxied: tuple[Daemon, str, str], certificate: tuple[str, str], programs: dict[str, Path]) -> None:
    """Its questions for work wait at the daemon, longer than for an answer that is there; and it hands in what it measured."""
    service, secure, _ = proxied
    sweep = service.sweep(MODEL, revisions={"names": ["step0", "step16"]})
    service.wait(sweep, lambda now: now["state"] == "running")  # else the worker may be idle for long enough before it has a task
    words = ["--connect", f"{secure}/bifurcated", "--connect-ca-file", certificate[0], "--idle-exit-s", "3", "--name", "beyond"]
    worker = subprocess.run([programs["bifurcated"], "worker", *words], env=service.env, capture_output=True, text=True, timeout=120)
    assert worker.returncode == 0 and "idle for long enough" in worker.stderr, worker
    assert service.get(f"/v1/sweeps/{sweep}").json()["state"] == "done"
    (told,) = service.get("/v1/workers").json()["workers"]
    assert told["name"].startswith("beyond") and (told["recorded"], told["failed"]) == (2, 0), told


def test_events_come_one_by_one(proxied: tuple[Daemon, str, str], certificate: tuple[str, str]) -> None:
    """nginx does not keep them until there are many: the first is there while the sweep waits for a worker."""
    service, secure, _ = proxied
    idle = service.post("/v1/sweeps", {"model": "garden/absent"}).json()
    context = ssl.create_default_context(cafile=certificate[0])
    context.check_hostname = False
    with urllib.request.urlopen(f"{secure}/bifurcated/v1/sweeps/{idle['id']}/events", context=context, timeout=60) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream") and stream.readline().startswith((b"event:", b"id:", b"retry:", b":", b"data:"))


def test_the_dashboard_beneath_a_path(proxied: tuple[Daemon, str, str], page: Browser) -> None:  # noqa: F811
    """Its files, numbers, events, downloads and links: none leaves the path."""
    service, _, plain = proxied
    if service.get("/").status == 404:
        pytest.skip("the program was built without the dashboard (libjs-chart.js)")
    assert service.wait(service.sweep(MODEL, revisions={"to": 16}))["state"] == "done"
    page.listen()
    page.load(f"{plain}/bifurcated/")
    page.wait("document.querySelectorAll('#revisions tbody tr').length > 5")
    hrefs = page.value("[...document.querySelectorAll('#table a')].map(link => link.href)")
    assert hrefs and all(href.startswith(f"{plain}/bifurcated/v1/models/{model_path(MODEL).split('/v1/models/')[-1]}") for href in hrefs), hrefs
    sweep = service.sweep(MODEL)
    page.wait("[...document.querySelectorAll('#revisions tbody tr')].length > 20")  # told by events
    assert service.wait(sweep)["state"] == "done"
    rows = page.run("return import('/bifurcated/assets/api.js').then(api => api.fetchBlob(arguments[0])).then(blob => blob.text())",
                    f"/v1/models/{MODEL}/revisions?format=csv&limit=10")  # fmt: skip
    assert len(rows.splitlines()) == 26  # several pages, each of which names the next
    told = "api.stream(arguments[0], (event) => heard(event), () => heard('ended'))"
    heard = page.run(f"return import('/bifurcated/assets/api.js').then(api => new Promise(heard => {told}))", f"/v1/sweeps/{sweep}/events")
    assert heard != "ended"
    asked = [address for address in page.requests() if address.startswith("http")]
    assert any("/events" in address for address in asked) and all(address.startswith(f"{plain}/bifurcated/") for address in asked), asked
    assert not page.messages()
    page.open("about:blank")
