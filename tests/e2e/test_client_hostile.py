"""`bifurcate` against a daemon that lies: every text of it is made of control characters, and none reaches the terminal."""

from __future__ import annotations

import csv
import gzip
import http.server
import json
import os
import pty
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest
from described import DESCRIPTION, resolve

EVIL = "\x1b[2J\x1b]0;mine\x07\r\nfake: line\x9b31m\x7f\u202egnol"
FORBIDDEN = [*map(chr, range(0x20)), "\x7f", *map(chr, range(0x80, 0xA0)), "\u202e"]
COMMANDS = [
    ["models"], ["sweeps"], ["show", "1"], ["follow", "1"], ["tasks", "1"], ["history", "1", "1"], ["cancel", "1"], ["watch", "a/b"],
    ["watch", "a/b", "--now"], ["watches"], ["deliveries", "a/b"], ["workers"], ["jobs"], ["devices"], ["tokens"], ["revoke", "1"], ["remove", "a/b", "--yes"], ["remove", "a/b", "--dry-run"], ["issue", "x", "--scopes", "read"],
    ["status"], ["series", "a/b"], ["revision", "a/b", "c"], ["analyze", "a/b"], ["audit", "a/b"], ["scaling"],
    ["distribution", "a/b"], ["values", "a/b", "c"], ["columns", "a/b"], ["trajectories", "a/b"], ["displacement", "a/b"], ["sweep", "a/b"], ["sweep", "a/b", "--follow"],
    ["perplexity", "a/b", "--revision", "c"], ["models", "--fields", "name"], ["plot", "a/b", "-o", "-"],
    ["plot", "scaling", "-o", "-"], ["plot", "a/b", "c/d", "-o", "-"], ["series", "a/b", "c/d"],
]  # fmt: skip


def made_up(schema: Any, name: str = "", depth: int = 0) -> Any:
    """Something of the described shape, whose texts are all evil, but for a sweep's state that lets the client go on."""
    schema = resolve(schema)
    kind = schema.get("type")
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return made_up(schema[key][-1], name, depth)
    members = dict(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        members = {**resolve(part).get("properties", {}), **members}
    if members or kind == "object":
        found = {key: made_up(one, key, depth + 1) for key, one in members.items()} if depth < 8 else {}
        return found | {EVIL: EVIL}
    kind = next(one for one in kind if one != "null") if isinstance(kind, list) else kind
    if kind == "array":
        return [made_up(schema.get("items", {}), name, depth + 1)] * 2
    if name in ("next_cursor",):
        return None
    if name == "state" and depth < 3:
        return "failed"
    return {"integer": 1, "number": 1.5, "boolean": True}.get(kind, EVIL)


class Liar(http.server.BaseHTTPRequestHandler):
    is_problem = False

    def log_message(self, *arguments: Any) -> None:
        pass

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        path = self.path.split("?")[0]
        parts = path.split("/")
        kind, status, body = "application/json", 200, b""
        found = None
        for pattern, item in DESCRIPTION["paths"].items():
            want = pattern.split("/")
            if len(want) == len(parts) and all(a == b or a.startswith("{") for a, b in zip(want, parts, strict=True)) and self.command.lower() in item:
                found = item[self.command.lower()]
        if self.is_problem or found is None:
            status, kind = 400, "application/problem+json"
            body = json.dumps({"detail": EVIL, "code": EVIL, "title": EVIL}).encode()
        elif path.endswith("/events") and "tasks" not in path:
            kind = "text/event-stream"
            sweep = json.dumps(made_up({"$ref": "#/components/schemas/Sweep"}))
            body = f"event: sweep\ndata: {sweep}\n\n".encode()
        else:
            responses = found["responses"]
            status = int(min(code for code in responses if code.startswith("2")))
            content = resolve(responses[str(status)]).get("content", {})
            body = json.dumps(made_up(content["application/json"]["schema"])).encode() if content else b""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = answer


@pytest.fixture(params=["answers", "problems"])
def liar(request: Any) -> Iterator[str]:
    handler = type("Handler", (Liar,), {"is_problem": request.param == "problems"})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def check(text: str, words: list[str], allowed: str) -> None:
    for number, line in enumerate(text.split("\n")):
        bad = [c for c in FORBIDDEN if c in line and c not in allowed]
        assert not bad, (words, number, bad, line)
        assert not line.startswith("fake"), (words, line)  # a line of its own


def test_nothing_steers_the_terminal(programs: dict[str, Path], liar: str, tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "BIFURCATE_SERVER": liar}
    told = []
    for words in COMMANDS:
        for more in ([], ["--json"]):
            if words[0] == "plot" and more:
                continue
            done = subprocess.run([programs["bifurcate"], *words, *more], env=env, capture_output=True, timeout=60)
            assert b"Sanitizer" not in done.stderr and b"runtime error" not in done.stderr, done
            assert done.returncode in range(6), (words, done)
            check(done.stdout.decode(), words, "")
            check(done.stderr.decode(), words, "")
            shown = done.stdout.decode() + done.stderr.decode()
            assert "(null)" not in shown, words
            if "31m" in shown:
                told.append(words)
    assert len(told) > 50, told  # the texts did arrive


def test_on_a_terminal(programs: dict[str, Path], liar: str, tmp_path: Path) -> None:
    """CSV is for programs, which get it as it is; on a terminal it is plain, and so is the line of progress."""
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "BIFURCATE_SERVER": liar}
    for words in (["models", "--csv"], ["distribution", "a/b", "--csv"], ["follow", "1"], ["sweep", "a/b", "--follow"]):
        mine, its = pty.openpty()
        process = subprocess.Popen([programs["bifurcate"], *words], env=env, stdin=its, stdout=its, stderr=its)
        os.close(its)
        shown = b""
        try:
            while chunk := os.read(mine, 65536):
                shown += chunk
        except OSError:
            pass  # it has ended
        process.wait(60)
        os.close(mine)
        assert shown
        text = shown.decode().replace("\r\n", "\n").replace("\r", "\n").replace("\033[K", "")  # which the client writes itself
        check(text, words, "")


# -- What is whole, and what is not ----------------------------------------------------------------------------


@pytest.fixture
def says(programs: dict[str, Path], tmp_path: Path) -> Iterator[Any]:
    """Runs `bifurcate` against whoever answers as a function of method and target says; a pair has the status, too."""
    servers = []

    def run(answer: Any, *words: str) -> subprocess.CompletedProcess[str]:
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *arguments: Any) -> None:
                pass

            def say(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                said = answer(self.command, self.path)
                status, value = said if isinstance(said, tuple) else (200, said)
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if status == 200 else "application/problem+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = say

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "BIFURCATE_SERVER": f"http://127.0.0.1:{server.server_address[1]}"}
        return subprocess.run([programs["bifurcate"], *words], env=env, capture_output=True, text=True, timeout=60)

    yield run
    for server in servers:
        server.shutdown()
        server.server_close()


def test_csv_has_long_lists_whole(says: Any) -> None:
    """What lies in a list is not cut to the width of a table's cell, and an empty one is an empty cell, as in the daemon's CSV."""
    names = [f"scope-{i}" for i in range(200)]
    rows = [{"id": 1, "scopes": names}, {"id": 2, "scopes": []}, {"id": 3, "scopes": {"a": 1}}]
    done = says(lambda *_: {"tokens": rows, "next_cursor": None}, "tokens", "--fields", "id,scopes", "--csv")
    assert done.returncode == 0, done
    lines = list(csv.reader(done.stdout.splitlines(keepends=True)))
    assert lines == [["id", "scopes"], ["1", " ".join(names)], ["2", ""], ["3", '{"a":1}']]


def test_weights_that_stand_still_for_other_reasons_are_told_apart(says: Any) -> None:
    """Where other weights of the model moved meanwhile, that is not what holds of its neighbours."""
    told = (None, None, False, False, True)
    findings = [
        {"kind": "unchanged", "step": step, "revision": f"step{step}", "basis": "tensor", "digest": "d", "is_model_equal": equal, "text": f"step{step} stands still"}
        for step, equal in enumerate(told)
    ]
    done = says(lambda *_: {"model": "a/b", "tensor": "w", "step_unit": "steps", "findings": findings}, "audit", "a/b")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines() if "unchanged" in line]
    assert done.returncode == 0 and [line[: line.index(" stands")] for line in lines] == ["0 unchanged step0", "2 unchanged step2", "4 unchanged step4"], done
    assert "the same holds of the next 1, up to step3" in " ".join(done.stdout.split()), done


@pytest.mark.parametrize("words, key", [(["models"], "models"), (["series", "a/b"], "revisions")])
def test_lists_end(says: Any, words: list[str], key: str) -> None:
    """A daemon whose pages lead nowhere is told, not followed for ever; one that forgets the cursor has said its last page."""
    row = {"name": "a/b", "revision": "step0"}
    done = says(lambda _, target: {key: [] if "cursor" in target else [row], "next_cursor": "00"}, *words)
    assert done.returncode == 5 and "a page without rows" in done.stderr and not done.stdout, done
    done = says(lambda _, target: {key: [row]} if "cursor" in target else {key: [row], "next_cursor": "00"}, *words, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)[key] == [row, row], done


def test_what_ended_before_it_was_cancelled(says: Any) -> None:
    """Of all sweeps at work some end before their turn, which is no failure; one that was named and has ended is."""
    problem = (409, {"code": "conflict", "detail": "sweep 1 has ended"})
    answer = lambda method, target: problem if method == "DELETE" else {"sweeps": [{"id": 1}] if "running" in target else [], "next_cursor": None}  # noqa: E731
    done = says(answer, "cancel", "all")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
    done = says(answer, "cancel", "1")
    assert done.returncode == 5 and "has ended" in done.stderr, done


def test_all_pages_together_have_a_bound(programs: dict[str, Path], tmp_path: Path) -> None:
    """Each page may be large, but a daemon cannot go on with such pages until the client's memory is gone."""
    asked = []
    page = json.dumps({"models": [{"name": "a/b"}], "next_cursor": "00"}).encode()
    body = gzip.compress(page + b" " * (86 << 20), 1)  # within the bound of one answer, and small on the wire

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "BIFURCATE_SERVER": f"http://127.0.0.1:{server.server_address[1]}"}
    try:
        done = subprocess.run([programs["bifurcate"], "models"], env=env, capture_output=True, text=True, timeout=120)
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 5 and "does not end after 3 pages and 258 MiB" in done.stderr and not done.stdout, done
    assert len(asked) == 3


@pytest.mark.parametrize("token", ["bif_x\nX-Other: header", "two words", "x" * 5000, "caf\u00e9"])
def test_a_token_is_no_header(programs: dict[str, Path], tmp_path: Path, token: str) -> None:
    """What cannot be a token is told, not sent: neither as further headers nor left out."""
    (tmp_path / "token").write_text(token)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "BIFURCATE_SERVER": "http://127.0.0.1:9"}
    for words, more in (([], {"BIFURCATE_TOKEN": token}), (["--token-file", str(tmp_path / "token")], {})):
        done = subprocess.run([programs["bifurcate"], "models", *words], env=env | more, capture_output=True, text=True, timeout=60)
        assert done.returncode in (2, 5) and "token" in done.stderr and "no daemon answers" not in done.stderr, done


def test_errors_without_end(says: Any) -> None:
    """A daemon says twenty of a sweep's errors; of a list as long as an answer may be, the beginning is shown."""
    errors = [{"revision": f"step{i}", "message": f"fault {i}"} for i in range(100_000)]
    sweep = {"id": 1, "model": "a/b", "state": "failed", "progress": {"failed": 100_000, "revisions_total": 100_000}, "errors": errors}
    lines = says(lambda *_: sweep, "show", "1").stderr.splitlines()
    assert [line for line in lines if "fault" in line] == [f"  step{i}: fault {i}" for i in range(100)]
    assert lines[-1] == "  and 99900 more: `bifurcate tasks 1 --state failed` lists all"


def test_no_token_is_no_success(says: Any) -> None:
    """A script that takes the token from the output must not go on with an empty one."""
    done = says(lambda *_: {"id": 1, "name": "x"}, "issue", "x", "--scopes", "read")
    assert done.returncode == 5 and not done.stdout and "no token" in done.stderr, done


def test_what_a_daemon_counts_is_not_printed_for_ever(says: Any) -> None:
    """The heads of a distribution are as many as a daemon may have bins, whatever number it names."""
    row = {"revision": "step0", "step": 0, "elements": 3, "not_finite": 0, "counts": [1, 2]}
    for bins in (10**18, -5, 2):
        answer = {"bins": bins, "low": 0.0, "high": 1.0, "revisions": [row], "next_cursor": None}
        for more in ([], ["--csv"]):
            done = says(lambda *_, answer=answer: answer, "distribution", "a/b", *more)
            assert done.returncode == 0 and len(done.stdout) < 2000, done
        assert done.stdout.splitlines()[1] == "step0,0,3,0,1,2"
    assert done.stdout.splitlines()[0] == "revision,step,elements,not_finite,0.25,0.75"


@pytest.fixture
def proxy(programs: dict[str, Path]) -> Iterator[Any]:
    """Runs `bifurcate` against who answers everything in the same way: status, headers, page."""
    servers = []

    def run(status: int, headers: dict[str, str], page: str, *words: str) -> tuple[str, subprocess.CompletedProcess[str]]:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value.replace("PATH", self.path))
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page.encode())

            do_POST = do_DELETE = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        place = f"127.0.0.1:{servers[-1].server_address[1]}"
        env = {"PATH": os.environ["PATH"], "BIFURCATE_SERVER": f"http://{place}"}
        return place, subprocess.run([str(programs["bifurcate"]), *words], env=env, capture_output=True, text=True, timeout=60)

    yield run
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "page",
    [
        "<center>The plain HTTP request was sent to HTTPS port</center>",  # nginx
        "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",  # Apache
        "Client sent an HTTP request to an HTTPS server.\n",  # Go
        "Bad Request",
    ],
)
def test_http_to_the_port_of_a_tls_proxy(proxy: Any, page: str) -> None:
    place, done = proxy(400, {}, page, "models")
    assert done.returncode == 2 and (f"write https://{place}" in done.stderr) == (page != "Bad Request"), done


@pytest.mark.parametrize("words", [["status"], ["sweep", "a/b"], ["follow", "1"]])
def test_a_proxy_without_the_daemon_and_one_that_redirects(proxy: Any, words: list[str]) -> None:
    """As nginx says that what is behind it is down, and as it sends everybody to https."""
    place, done = proxy(502, {}, "<h1>Bad Gateway</h1>", *words)
    assert done.returncode == 3 and f"http://{place}: a proxy answers, but no daemon behind it (status 502)" in done.stderr, done
    place, done = proxy(301, {"Location": "https://bifurcated.example/gardenPATH"}, "", *words)
    assert done.returncode == 2 and done.stderr.endswith("it redirects to https://bifurcated.example/garden: if the daemon is there, name that as the server\n"), done


def test_a_daemon_before_this_command(proxy: Any) -> None:
    """It knows the path, and not yet what is to be done there."""
    problem = json.dumps({"status": 405, "code": "unsupported", "detail": "DELETE is not for this resource; it takes GET, HEAD, OPTIONS"})
    place, done = proxy(405, {"Content-Type": "application/problem+json"}, problem, "remove", "a/b", "--dry-run")
    assert done.returncode == 5 and f"http://{place} has no DELETE of /v1/models/a/b: it is a bifurcated of another version" in done.stderr, done


def test_a_proxy_that_lets_only_reads_through(proxy: Any) -> None:
    """As nginx refuses a method, which says nothing of the daemon behind it."""
    place, done = proxy(405, {"Allow": "GET, HEAD"}, "<h1>405 Not Allowed</h1>", "remove", "a/b", "--dry-run")
    assert done.returncode == 5 and "another version" not in done.stderr, done
    assert f"http://{place} refuses DELETE (status 405), and in words that are not bifurcated's: a proxy may let only reads through" in done.stderr, done


@pytest.mark.parametrize("words", [["models"], ["series", "a/b"], ["distribution", "a/b"], ["show", "1"], ["cancel", "1"], ["status"], ["analyze", "a/b"], ["audit", "a/b"], ["follow", "1"]])
def test_something_else_at_the_address(says: Any, words: list[str]) -> None:
    """JSON of another program is no empty list and no sweep 0."""
    for answer in ({}, [], {"status": "ok"}):
        for more in ([], ["--json"]):
            done = says(lambda *_, answer=answer: answer, *words, *more)
            assert done.returncode == 5 and not done.stdout and "bifurcate: " in done.stderr, done


def test_what_an_interruption_leaves_open_is_said(programs: dict[str, Path]) -> None:
    """Whoever was sent a request that changes something, and does not answer, may have done it; a question changes nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        env = {"PATH": os.environ["PATH"], "BIFURCATE_SERVER": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        for words, said in ((["sweep", "a/b"], True), (["remove", "a/b", "--yes"], True), (["models"], False)):
            process = subprocess.Popen([programs["bifurcate"], *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            taken, _ = silent.accept()
            with taken:
                assert taken.recv(100)
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=60)
            assert process.returncode == 130, errors
            assert errors == ("bifurcate: interrupted before the daemon answered: what was asked for may be done all the same\n" if said else ""), errors


def test_a_stream_that_breaks_off_is_told_and_opened_again(programs: dict[str, Path]) -> None:
    sweep = {"id": 1, "model": "a/b", "state": "running", "progress": {"revisions_total": 2, "done": 1}}
    states = iter(["running", "done"])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(f"event: sweep\ndata: {json.dumps(sweep | {'state': next(states)})}\n\n".encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {"PATH": os.environ["PATH"], "BIFURCATE_SERVER": f"http://127.0.0.1:{server.server_address[1]}"}
    done = subprocess.run([programs["bifurcate"], "follow", "1"], env=env, capture_output=True, text=True, timeout=60)
    server.shutdown()
    server.server_close()
    lines = done.stderr.splitlines()
    assert done.returncode == 0 and lines[:2] == ["1/2 revisions", f"trying again: {env['BIFURCATE_SERVER']}: the stream of events broke off"], done


def test_texts_that_are_none(programs: dict[str, Path]) -> None:
    point = {"revision": "step0", "perplexity": 1.5, "other_texts": [1, None, "last_word"]}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"model": "a/b", "revisions": [point]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {"PATH": os.environ["PATH"], "BIFURCATE_SERVER": f"http://127.0.0.1:{server.server_address[1]}"}
    for words, said in ((["series", "a/b"], "in no verdict: step0\n"), (["analyze", "a/b", "--csv"], '"[1,null,""last_word""]"\r\n')):
        done = subprocess.run([programs["bifurcate"], *words], env=env, capture_output=True, timeout=60)
        assert done.returncode == 0 and said in (done.stdout + done.stderr).decode(), done
    server.shutdown()
    server.server_close()
