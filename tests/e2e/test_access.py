"""Who may do what: tokens with scopes, made and revoked beside a running daemon; what is open, and what is not."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
from described import validate
from running import Answer, Daemon, wait_until

MODEL = "garden/neox-tiny"
SWEEP = {"model": MODEL}
FILE_TOKEN = "a-file-of-its-own-token"


class Keys:
    """`bifurcated token` on a daemon's state folder."""

    def __init__(self, program: Path, one: Daemon) -> None:
        self._program, self._one = program, one

    def run(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        command = [str(self._program), "token", *words, "--state", str(self._one.state)]
        done = subprocess.run(command, env=self._one.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done
        assert "Sanitizer" not in done.stderr
        return done

    def make(self, name: str, scopes: str, *more: str) -> str:
        return self.run("create", "--name", name, "--scopes", scopes, *more).stdout.strip()


@pytest.fixture
def keys(programs: dict[str, Path]) -> Callable[[Daemon], Keys]:
    return lambda one: Keys(programs["bifurcated"], one)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def problem(answer: Answer, status: int, fault: str | None) -> Any:
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="bifurcated"')
    assert (f'error="{fault}"' in challenge) if fault else ("error=" not in challenge)
    return answer.json()


@pytest.fixture
def closed(daemon: Callable[..., Daemon], hub: Any, tmp_path: Path) -> Daemon:
    """A daemon that wants a token for everything, which loopback alone would not ask for."""
    (tmp_path / "token").write_text(FILE_TOKEN + "\n")
    return daemon(hub, "--token-file", str(tmp_path / "token"), "--read-access", "token")


def test_scopes_allow_what_they_say(closed: Daemon, keys: Callable[[Daemon], Keys]) -> None:
    token = {scope: keys(closed).make(f"for-{scope}", scope) for scope in ("read", "sweep", "worker", "admin")}
    tried: dict[str, Callable[[dict[str, str]], Answer]] = {
        "read": lambda headers: closed.get("/v1/models", headers),
        "sweep": lambda headers: closed.post("/v1/sweeps", SWEEP, headers),
        "admin": lambda headers: closed.get("/v1/tokens", headers),
    }
    for needed, ask in tried.items():
        detail = problem(ask({}), 401, None)["detail"]
        assert needed in detail and "Authorization: Bearer" in detail
        for scope, text in token.items():
            answer = ask(bearer(text))
            if scope in (needed, "admin"):
                assert answer.status in (200, 201), (scope, needed, answer)
            else:
                said = problem(answer, 403, "insufficient_scope")
                assert f"for-{scope}" in said["detail"] and needed in said["detail"], said
                assert f'scope="{needed}"' in answer.headers["WWW-Authenticate"]
        assert ask(bearer(FILE_TOKEN)).status in (200, 201)
    claims = {scope: closed.post("/v1/claims", {}, bearer(text)).status for scope, text in token.items()}
    assert claims == {"read": 403, "sweep": 403, "worker": 400, "admin": 400}
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert closed.get(path).status == 200, path
    for path in ("/metrics", "/v1/status", f"/v1/models/{MODEL}/revisions", "/v1/sweeps/1/events", "/v1/devices"):
        assert closed.get(path).status == 401, path
        assert closed.get(path, bearer(token["read"])).status in (200, 404), path
    token_file, other = closed.state.parents[1] / "token", "another-token-of-the-file"
    for text, said in ((other, "was replaced; the old one is not valid any more"), ("short", "the old token stays valid")):
        token_file.write_text(text)
        closed.process.send_signal(signal.SIGHUP)
        wait_until(lambda said=said: said in closed.log())
        assert (closed.get("/v1/tokens", bearer(FILE_TOKEN)).status, closed.get("/v1/tokens", bearer(other)).status) == (401, 200)
    assert other not in closed.log() and closed.get("/v1/models", bearer(token["read"])).status == 200


def test_a_token_is_kept_as_a_digest_and_shown_once(closed: Daemon, keys: Callable[[Daemon], Keys]) -> None:
    made = keys(closed).run("create", "--name", "ci", "--scopes", "read,sweep", "--expires-days", "30")
    text = made.stdout.strip()
    assert re.fullmatch("bif_[0-9a-f]{72}", text) and text not in made.stderr
    assert hashlib.sha256(text[:68].encode()).hexdigest()[:8] == text[68:]
    with sqlite3.connect(closed.db) as db:
        row = db.execute("SELECT name, digest, scopes FROM tokens").fetchone()
    assert row == ("ci", hashlib.sha256(text.encode()).hexdigest(), "read,sweep")
    assert closed.get("/v1/models", bearer(text)).status == 200
    shown = json.loads(keys(closed).run("list", "--json").stdout)
    assert [(one["name"], one["scopes"], one["state"]) for one in shown] == [("ci", "read,sweep", "active")]
    assert closed.stop() == 0
    assert json.loads(keys(closed).run("list", "--json").stdout)[0]["last_used_at"] is not None
    for file in (*closed.state.glob("*"), closed.log_path):
        assert not file.is_file() or text.encode() not in file.read_bytes(), file


def test_whose_sweep_it_is_and_who_ended_it(closed: Daemon, hub: Any, keys: Callable[[Daemon], Keys]) -> None:
    """Sweeps name the token that asked for them, also once it is revoked; the log tells who cancelled one."""
    alice, boss = keys(closed).make("alice", "read,sweep"), keys(closed).make("boss", "admin")
    hub.fault("hold", path="/refs")
    number = closed.post("/v1/sweeps", SWEEP, bearer(alice)).json()["id"]
    keys(closed).run("revoke", "alice")
    assert closed.get(f"/v1/sweeps/{number}", bearer(boss)).json()["requested_by"] == "alice"
    env = {"BIFURCATE_TOKEN": boss}
    assert closed.client("show", str(number), env=env).stdout.splitlines()[1].startswith("  asked for by alice")
    listed = closed.client("sweeps", "--csv", "--fields", "id,requested_by", env=env)
    assert listed.stdout.splitlines() == ["id,requested_by", f"{number},alice"]
    for _ in range(2):  # the second one ends nothing
        assert closed.client("cancel", str(number), env=env).returncode == 0
    lines = re.findall(r"info +(sweep (?:asked|cancelled).*)", closed.log())
    here = f"sweep={number} model={SWEEP['model']}"
    assert lines == [f"sweep asked for {here} by=alice by_token=1", f"sweep cancelled {here} by=boss by_token=2"]
    hub.restore()


def test_made_and_revoked_while_the_daemon_runs(closed: Daemon, keys: Callable[[Daemon], Keys]) -> None:
    text = keys(closed).make("night", "sweep")
    assert closed.post("/v1/sweeps", SWEEP, bearer(text)).status == 201  # from its first use
    assert "in use" in keys(closed).run("create", "--name", "night", status=1).stderr
    keys(closed).run("revoke", "night")
    wait_until(lambda: closed.post("/v1/sweeps", SWEEP, bearer(text)).status == 401)
    assert "not known" in problem(closed.post("/v1/sweeps", SWEEP, bearer(text)), 401, "invalid_token")["detail"]
    assert "revoked before" in keys(closed).run("revoke", "1", status=1).stderr
    again = keys(closed).make("night", "sweep")
    closed.restart()
    assert closed.post("/v1/sweeps", SWEEP, bearer(again)).status == 201
    assert closed.post("/v1/sweeps", SWEEP, bearer(text)).status == 401


def test_what_is_wrong_with_a_token_is_said(closed: Daemon, keys: Callable[[Daemon], Keys]) -> None:
    text = keys(closed).make("one", "read")
    for wrong, words in (
        (text[:-1], "mistyped or cut off"),
        (text[:20] + ("0" if text[20] != "0" else "1") + text[21:], "mistyped or cut off"),
        ("bif_" + "0" * 64 + hashlib.sha256(b"bif_" + b"0" * 64).hexdigest()[:8], "not known"),
        ("x" * 5000, "not known"),
        ("", "not known"),
    ):
        assert words in problem(closed.get("/v1/models", bearer(wrong)), 401, "invalid_token")["detail"], wrong
    assert "not known" in problem(closed.get("/v1/models", {"Authorization": "Bearer"}), 401, "invalid_token")["detail"]
    for other in (f"Basic {text}", f"Bearer{text}"):
        problem(closed.get("/v1/models", {"Authorization": other}), 401, None)
    assert closed.get("/v1/models", {"Authorization": f"bearer   {text}"}).status == 200
    with sqlite3.connect(closed.db) as db:
        db.execute("UPDATE tokens SET expires_ms = 1000")
        db.execute("UPDATE token_changes SET version = version + 1")
    wait_until(lambda: closed.get("/v1/models", bearer(text)).status == 401)
    assert "expired" in closed.get("/v1/models", bearer(text)).json()["detail"]


def test_the_client_says_that_a_token_is_missing(closed: Daemon) -> None:
    for command in (["follow", "1"], ["show", "1"]):
        done = closed.client(*command)
        assert done.returncode == 5 and "--token-file" in done.stderr, done
        assert "no daemon answers" not in done.stderr, done


def test_tokens_over_the_api(closed: Daemon, keys: Callable[[Daemon], Keys]) -> None:
    admin = bearer(keys(closed).make("boss", "admin"))
    made = closed.post("/v1/tokens", {"name": "ci", "scopes": ["read"], "expires_days": 7}, admin)
    assert made.status == 201 and made.headers["Cache-Control"] == "no-store", made
    text, number = made.json()["token"], made.json()["id"]
    validate("post", "/v1/tokens", made)
    for body, field in (({"name": "x"}, "/scopes"), ({"scopes": ["read"]}, "/name"), ([], ""),
                        ({"name": "7", "scopes": ["read"]}, "/name"), ({"name": "x", "scopes": ["read,sweep"]}, "/scopes"),
                        ({"name": "x", "scopes": ["read", "read"]}, "/scopes"), ({"name": "x", "scopes": ["root"]}, "/scopes"),
                        ({"name": "x", "scopes": ["read"], "expires_days": 0}, "/expires_days"),
                        ({"name": "x", "scopes": ["read"], "secret": "y"}, "/secret")):  # fmt: skip
        refused = closed.post("/v1/tokens", body, admin)
        assert refused.status == 400 and refused.json()["field"] == field, (body, refused)
        validate("post", "/v1/tokens", refused)
    taken = closed.post("/v1/tokens", {"name": "ci", "scopes": ["read"]}, admin)
    assert taken.status == 409
    validate("post", "/v1/tokens", taken)
    assert made.headers["Location"] == f"/v1/tokens/{number}"
    shown = closed.get(made.headers["Location"], admin)
    assert shown.status == 200 and shown.headers["Cache-Control"] == "no-store", shown
    assert shown.json() == {key: value for key, value in made.json().items() if key != "token"}
    validate("get", "/v1/tokens/{id}", shown)
    for absent in ("/v1/tokens/99", "/v1/tokens/ci"):
        assert closed.get(absent, admin).status == 404, absent
    assert closed.get(made.headers["Location"], bearer(text)).status == 403  # it may only read measurements
    assert closed.get("/v1/models", bearer(text)).status == 200
    listed = closed.get("/v1/tokens", admin)
    validate("get", "/v1/tokens", listed)
    assert [one["name"] for one in listed.json()["tokens"]] == ["boss", "ci"] and text not in listed.text
    page = closed.get("/v1/tokens?limit=1", admin).json()
    assert closed.get(f"/v1/tokens?cursor={page['next_cursor']}", admin).json()["tokens"][0]["name"] == "ci"
    revoked = closed.request("DELETE", f"/v1/tokens/{number}", None, admin)
    assert revoked.status == 200 and revoked.json()["revoked_at"]
    validate("delete", "/v1/tokens/{id}", revoked)
    assert closed.get("/v1/models", bearer(text)).status == 401  # at once
    assert closed.request("DELETE", f"/v1/tokens/{number}", None, admin).status == 409
    assert closed.request("DELETE", "/v1/tokens/99", None, admin).status == 404
    assert closed.told("token revoked")
    lines = re.findall(r"info +(token \w+.*)", closed.log())
    who = f"token={number} name=ci by=boss by_token=1"
    assert lines == [f"token created {who}", f"token revoked {who}"], "and none of what was refused"
    assert text not in closed.log()


def test_loopback_is_open_but_not_to_admin_and_foreign_pages(daemon: Callable[..., Daemon], hub: Any) -> None:
    one = daemon(hub, "--cors-origin", "*")
    assert one.get("/v1/models").status == 200 and one.post("/v1/sweeps", SWEEP).status == 201
    assert one.get("/v1/tokens").status == 401
    assert one.post("/v1/tokens", {"name": "thief", "scopes": ["admin"]}).status == 401
    assert one.post("/v1/sweeps", SWEEP, {"Origin": one.url}).status == 201
    assert one.post("/v1/sweeps", SWEEP, {"Origin": "https://evil.example"}).status == 403
    assert one.post("/v1/sweeps", SWEEP, {"Origin": "null"}).status == 403
    for host in ("localhost", "localhost.", "[::1]:1"):
        assert one.post("/v1/sweeps", SWEEP, {"Host": host}).status == 201, host
    for host in ("127.evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example"):  # names that lead here
        rebound = one.post("/v1/sweeps", SWEEP, {"Host": host, "Origin": f"http://{host}"})
        assert rebound.status == 403 and "loopback" in rebound.json()["detail"], host
        for path in ("/v1/models", "/v1/models?format=csv", "/metrics", "/v1/sweeps/1/events"):
            rebound = one.get(path, {"Host": host})
            assert rebound.status == 403 and rebound.json()["field"] == "Host", (host, path)
            assert one.get(path, {"Host": host, **bearer("mistaken")}).status == 403, (host, path)
        assert one.get("/healthz", {"Host": host}).status == one.get("/", {"Host": host}).status == 200
    for host in ("localhost:1", "127.0.0.2", "[::1]", "192.0.2.7:7143", "[2001:db8::7]"):  # no site can be called so, and lead here
        assert one.get("/v1/models", {"Host": host}).status == 200, host
    assert one.post("/v1/sweeps", SWEEP, bearer("mistaken")).status == 401  # somebody believes in this token
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Host", "Via"):
        value = {"Forwarded": "for=203.0.113.7", "Via": "1.1 x"}.get(name, "203.0.113.7")
        passed_on = one.post("/v1/sweeps", SWEEP, {name: value})
        assert passed_on.status == 403 and passed_on.json()["field"] == name and "token-file" in passed_on.json()["detail"]
        assert one.get("/v1/models", {name: value}).status == 200


def test_under_another_name_a_token_is_needed(daemon: Callable[..., Daemon], hub: Any, keys: Callable[[Daemon], Keys], tmp_path: Path) -> None:
    """A page of a foreign site that lets its name lead here has none, whether or not writes want one, too."""
    named = {"Host": "bifurcated.example.org"}
    (tmp_path / "token").write_text("a-token-of-sixteen-and-more")
    for options in ((), ("--token-file", str(tmp_path / "token"))):
        one = daemon(hub, *options)
        key = keys(one).make("reader", "read")
        assert one.get("/v1/models", {**named, **bearer(key)}).status == 200
        refused = one.get("/v1/models", named)
        assert refused.status == 403 and refused.json()["field"] == "Host" and "proxy" in refused.json()["detail"]


def test_beyond_loopback_there_must_be_a_token(
    programs: dict[str, Path], keys: Callable[[Daemon], Keys], tmp_path: Path
) -> None:
    """The address is nobody's, so nothing listens here: without a token the daemon does not even try."""
    one = Daemon(programs, tmp_path / "beyond", None, [], {})
    command = [programs["bifurcated"], "--state", one.state, "--listen", "192.0.2.1:0"]  # an address of nobody

    def start() -> str:
        done = subprocess.run(command, env=one.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1, done
        return done.stderr

    assert "there must be a token" in start() and "bifurcated token create" in start()
    keys(one).make("ci", "sweep")
    assert "there must be a token" not in start() and "192.0.2.1" in start()


def test_a_token_that_cannot_be_shown_is_told(programs: dict[str, Path], tmp_path: Path) -> None:
    """It is shown only once, so success without it would be a token that nobody has."""
    command = [programs["bifurcated"], "token", "create", "--name", "lost", "--state", str(tmp_path / "state")]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "is lost: revoke token 1" in done.stderr, done


def test_wrong_commands_are_told(closed: Daemon, keys: Callable[[Daemon], Keys]) -> None:
    run = keys(closed).run
    assert run("--help").stdout.startswith("Usage: bifurcated token create")
    for words, status, said in (
        (["make"], 2, "Usage:"),
        (["creat"], 2, 'there is no action "creat"; did you mean "create"?'),
        (["create", "--nmae", "a"], 2, '--nmae: there is no such option; did you mean "--name"?'),
        (["create"], 2, "--name is missing"),
        (["create", "--name", "a b"], 2, "letters, digits"),
        (["create", "--name", "a", "--scopes", "reed"], 2, '"reed" is not a list'),
        (["create", "--name", "a", "--expires-days", "0"], 2, "from 1 to"),
        (["list", "--name", "a"], 2, "--name: there is no such option; see"),
        (["revoke"], 2, "which token?"),
        (["revoke", "nobody"], 1, "no valid token has this name"),
        (["revoke", "77"], 1, "there is no such token"),
    ):
        assert said in run(*words, status=status).stderr, words
