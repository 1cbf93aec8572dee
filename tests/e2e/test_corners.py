"""Every parameter and every member of every body of api/openapi.json, at its corners: what the description refuses the program
refuses, as a problem that names the parameter or the member; what the description allows is never a fault of the server.

The values are made from the description, so that a new parameter is tried without a line here. Plain sockets: no client library
mends or refuses what is sent.
"""

from __future__ import annotations

import copy
import json
import re
import socket
from collections import Counter
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import quote, urlsplit

import pytest
import described
from described import DESCRIPTION, jsonschema, operations, resolve
from running import Answer, Daemon, model_path

MODEL = "garden/neox-tiny"
WORDS = {"owner": MODEL.split("/")[0], "name": MODEL.split("/")[1], "revision": "step1", "id": "1", "task": "1", "file": "app.js"}
# Bytes of a target that are none: never decoded to anything, whatever the schema.
BROKEN = ["%", "%f", "%fg", "%00", "a%00b", "%0a", "%7f", "%ff", "%c0%ae", "%e0%80%ae", "%f8%88%80%80%ae", "%ed%a0%80", "%f4%90%80%80", "a%0d%0ab"]
# Text that tempts a parser; what of it is right the schema says.
TEXTS = ["", " ", "+1", "-1", "-0", "0", "00", "01", "1", "2", "1 ", " 1", "1.0", "1.5", "1e0", "1e2", "0x10", "1_000", "١", "nan", "NaN", "inf",
         "Infinity", "1e308", "1e309", "-1e309", "1e-400", "4096", "10000", "2147483648", "4294967297", "9007199254740993", "9223372036854775807",
         "9223372036854775808", "18446744073709551617", "1" * 400, "null", "None", "true", "True", "false", "json", "csv", "JSON", "all", "raw",
         "..", "../..", "a/b", "a//b", "é", "\U0001f600", "\u202e", "%25", "a,b", ",", "a,", ",a", "*", "'", '"', ";", "x" * 513, "x" * 4000, "31", "313", "3a",
         "7f", "G1", "30" * 200, "done", "failed", "mean", "mean,mean", "constant", "id", "id,id"]  # fmt: skip


@pytest.fixture(scope="module")
def one(programs: Any, garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """It has measured two revisions, watches the model, and has a token; no worker takes what else is asked for."""
    from tests.hub import Emulator

    with Emulator(garden) as hub:
        place = tmp_path_factory.mktemp("corners")
        (place / "token").write_text(TOKEN)
        options = ["--token-file", str(place / "token"), "--log-level", "warning", "--rate-limit", "0"]
        daemon = Daemon(programs, place, hub.url, options, {})
        daemon.start()
        body = {"model": MODEL, "revisions": {"names": ["step0", "step1"]}}
        daemon.wait(daemon.post("/v1/sweeps", body, BEARER).json()["id"])
        assert daemon.request("PUT", f"/v1/watches/{model_path(MODEL)}", {"at": "02:30"}, BEARER).status == 201
        assert daemon.post("/v1/tokens", {"name": "reader", "scopes": ["read"]}, BEARER).status == 201
        options += ["--fetchers", "0"]
        daemon.restart()
        yield daemon
        daemon.check_end()


TOKEN = "a-token-of-the-corners"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Wire:
    """One connection, kept as long as the daemon keeps it."""

    def __init__(self, daemon: Daemon) -> None:
        where = urlsplit(daemon.url)
        self.address = (where.hostname, where.port)
        self.socket: socket.socket | None = None

    def ask(self, method: str, target: bytes, body: bytes | None = None, headers: dict[bytes, bytes] | None = None) -> tuple[int, dict[str, str], bytes]:
        head = {b"Host": b"localhost", b"Authorization": b"Bearer " + TOKEN.encode(), **(headers or {})}
        if body is not None:
            head = {b"Content-Type": b"application/json", b"Content-Length": b"%d" % len(body), **head}
        data = method.upper().encode() + b" " + target + b" HTTP/1.1\r\n" + b"".join(b"%s: %s\r\n" % one for one in head.items())
        if self.socket is None:
            self.socket = socket.create_connection(self.address, timeout=60)
            self.file = self.socket.makefile("rb")
        self.socket.sendall(data + b"\r\n" + (body or b""))
        status = int(self.file.readline().split()[1])
        found: dict[str, str] = {}
        while line := self.file.readline().strip():
            name, value = line.split(b":", 1)
            found[name.decode().lower()] = value.strip().decode()
        stream = found.get("content-type", "").startswith("text/event-stream")
        answer = self.file.read(int(found.get("content-length", "0"))) if not stream else b""
        if stream or found.get("connection", "").lower() == "close":
            self.socket.close()
            self.socket = None
        described.check(method, target.decode(), Answer(status, {"Content-Type": found.get("content-type", "")}, answer))
        return status, found, answer


def as_schema_sees(schema: dict[str, Any], text: str) -> Any:
    """A parameter's text as the value that its schema speaks of."""
    kind = schema.get("type")
    if kind == "integer":
        return int(text) if re.fullmatch("-?[0-9]+", text) else text
    if kind == "number":
        return float(text) if re.fullmatch(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?", text) and abs(float(text)) != float("inf") else text
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind == "array":
        return text.split(",")
    return text


def is_right(schema: dict[str, Any], value: Any) -> bool:
    return bool(jsonschema.Draft202012Validator({**schema, "components": DESCRIPTION["components"]}).is_valid(value))


def target_of(path: str, **words: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], quote(WORDS[found[1]], safe="")), path)


def check(asked: str, operation: dict[str, Any], answer: tuple[int, dict[str, str], bytes], place: tuple[str, str] | None, is_allowed: bool) -> str:
    """What is wrong with the answer; "": nothing. `place`: where the value stands that was tried."""
    status, headers, body = answer
    if status >= 500:
        return f"{asked}: {status} {body[:200]!r}"
    if status >= 400:
        if headers.get("content-type") != "application/problem+json":
            return f"{asked}: {status} of type {headers.get('content-type')}"
        problem = json.loads(body)
        if problem["status"] != status or not problem["detail"]:
            return f"{asked}: {problem}"
    if str(status) not in operation["responses"]:
        return f"{asked}: {status} is not in the description: {body[:200]!r}"
    if is_allowed:
        return ""
    if status < 400:
        return f"{asked}: {status}, and the description refuses it"
    if place and (problem.get("in"), problem.get("field")) != place:
        return f"{asked}: {status} says {problem.get('in')} {problem.get('field')!r} instead of {place}: {problem['detail']}"
    return ""


def parameters(key: tuple[str, str]) -> list[dict[str, Any]]:
    return [resolve(one) for one in operations()[key].get("parameters", [])]


def test_parameters_of_the_query(one: Daemon) -> None:
    wire, wrong, tried = Wire(one), [], Counter()
    for key, operation in operations().items():
        if key[0] != "get":
            continue
        for parameter in parameters(key):
            if parameter["in"] != "query":
                continue
            schema, name = resolve(parameter["schema"]), parameter["name"]
            where = target_of(key[1]) + f"?{name}="
            for text in TEXTS + [str(each) for each in schema.get("enum", [])]:
                right = is_right(schema, as_schema_sees(schema, text))
                answer = wire.ask("get", (where + quote(text, safe="")).encode())
                wrong.append(check(where + text, operation, answer, ("query", name), right))
                tried[right] += 1
            for text in BROKEN:
                answer = wire.ask("get", (where + text).encode())
                wrong.append(check(where + text, operation, answer, ("query", name), False))
            wrong.append(check(where + "twice", operation, wire.ask("get", f"{where}1&{name}=1".encode()), ("query", name), False))
        where = target_of(key[1])
        wrong.append(check(where + "?colour", operation, wire.ask("get", f"{where}?colour=1".encode()), ("query", "colour"), False))
    wrong = [text for text in wrong if text]
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)
    assert tried[True] > 200 and tried[False] > 2000


def test_parameters_of_the_path(one: Daemon) -> None:
    wire, wrong = Wire(one), []
    for key, operation in operations().items():
        for parameter in parameters(key):
            if parameter["in"] != "path" or key[0] != "get":
                continue
            schema, name = resolve(parameter["schema"]), parameter["name"]
            for text in TEXTS:
                where = target_of(key[1], **{name: quote(text, safe="")})
                right = is_right(schema, as_schema_sees(schema, text))
                wrong.append(check(where, operation, wire.ask("get", where.encode()), None, right))
            for text in BROKEN:
                where = target_of(key[1], **{name: text})
                wrong.append(check(where, operation, wire.ask("get", where.encode()), None, False))
    wrong = [text for text in wrong if text]
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)


def test_what_every_operation_refuses(one: Daemon) -> None:
    """A body without end, one of another type, a write without a token; each as its description has it."""
    for (method, path), operation in operations().items():
        wire, target = Wire(one), target_of(path).encode()
        status, _, _ = wire.ask(method, target, b"", {b"Content-Length": b"99999999999"})
        assert status == 413 and "413" in operation["responses"], (method, path, status)
        if "requestBody" in operation:
            status, _, body = Wire(one).ask(method, target, b"x", {b"Content-Type": b"text/plain"})
            assert status == 415, (method, path, status)
            assert json.loads(body)["field"] == "Content-Type"
        if method != "get":
            status, headers, _ = Wire(one).ask(method, target, b"{}", {b"Authorization": b"Bearer wrong"})
            assert status == 401 and headers["www-authenticate"], (method, path, status)


def test_head_has_no_body(one: Daemon) -> None:
    """Not even the end of a stream, which would be taken for the beginning of the next answer."""
    where = urlsplit(one.url)
    for method, path in operations():
        if method != "get":
            continue
        with socket.create_connection((where.hostname, where.port), timeout=60) as connection:
            bearer = f"Authorization: {BEARER['Authorization']}"
            connection.sendall(f"HEAD {target_of(path)} HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n") and answer.count(b"\r\n\r\n") == 1, (path, answer)


def test_questions_with_a_body(one: Daemon) -> None:
    for more, status in (b"5\r\nExpect: 100-continue", 100), (b"70000\r\nExpect: 100-continue", 100), (b"99999999999", 413):
        for target in (b"*", b"/v1/sweeps"):
            where = urlsplit(one.url)
            with socket.create_connection((where.hostname, where.port), timeout=60) as connection:
                connection.sendall(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + more + b"\r\n\r\n")
                assert int(connection.recv(65536).split()[1]) == status, (target, more)


def type_of(operation: dict[str, Any]) -> bytes:
    return next(iter(operation.get("requestBody", {"content": {"application/json": {}}})["content"])).encode()


def test_of_several_faults_the_first_is_told(one: Daemon) -> None:
    """The order of api/http/admit.h at every write: all faults at once, and one after the other mended. What waits to be told whether it
    may send its body, and what would be too large, hears the same before it is sent."""
    reader = one.post("/v1/tokens", {"name": "looks", "scopes": ["read"]}, BEARER).json()["token"]
    for (method, path), operation in operations().items():
        if method == "get":
            continue
        has_body, target = "requestBody" in operation, target_of(path)
        type = type_of(operation)
        headers: dict[bytes, bytes | None] = {b"Authorization": b"Bearer none", b"Content-Type": b"text/plain", b"If-Match": b'"x"'}
        stages: list[tuple[int, str, dict[bytes, bytes | None]]] = [  # what is told, and what is other than at the stage before
            (404, "no_route", {}),
            (405, "unsupported", {}),
            (401, "unauthorized", {}),
            (403, "unauthorized", {b"Authorization": b"Bearer " + reader.encode()}),
            (400, "invalid", {b"Authorization": BEARER["Authorization"].encode()}),
            (413, "limit", {}),
            (415, "unsupported", {}),
            (412, "conflict", {b"Content-Type": type}),
            (404 if path.startswith("/v1/claims/") else 400, "", {b"If-Match": None}),
        ]
        for number, (status, code, mended) in enumerate(stages if has_body else stages[:6] + stages[7:8]):
            headers |= mended
            asked = "brew" if status == 405 or code == "no_route" else method
            place = target + ("/no/such" if code == "no_route" else "") + ("?colour=1" if number < 5 else "")
            sent: list[tuple[bytes, dict[bytes, bytes | None]]] = [(b"x" * 70000, {})] if status != 413 else []
            if number < 6:
                sent.append((b"", {b"Content-Length": b"99999999999"}))
            if number != 5 and number < 7 and status != 412:
                sent.append((b"", {b"Content-Length": b"70000", b"Expect": b"100-continue"}))
            for body, more in sent:
                given = {name: value for name, value in (headers | more).items() if value is not None}
                got, _, text = Wire(one).ask(asked, place.encode(), body, given)
                problem = json.loads(text)
                assert got == status and code in (problem["code"], ""), (method, path, number, more, got, text)
                assert code or got == 404 or (problem["in"], problem["field"]) == ("body", ""), (method, path, text)


def test_what_depends_on_something_else_is_refused(one: Daemon) -> None:
    """If-Match of what nobody ever served, at every operation: 412 wherever something is, and nothing is done. What was read holds."""
    other = {b"If-Match": b'"0123456789abcdef0123456789abcdef", W/"x"'}
    for (method, path), operation in operations().items():
        if operation["operationId"] == "followSweep":
            continue  # a stream has no ETag
        body = b'{"at":"02:30"}' if method != "get" else None
        status, _, text = Wire(one).ask(method, target_of(path).encode(), body, other | {b"Content-Type": type_of(operation)})
        problem = json.loads(text)
        assert status == 412 and (problem["in"], problem["field"]) == ("header", "If-Match"), (method, path, status, text)
        odd = {b"If-Match": b"0123", b"Content-Type": type_of(operation)}
        assert Wire(one).ask(method, target_of(path).encode(), body, odd)[0] in (400, 412), (method, path)
        if method == "get":
            status, headers, _ = Wire(one).ask(method, target_of(path).encode(), None, {b"If-Match": b"*"})
            assert status == 200, (path, status)
            held = {b"If-Match": b'"x", ' + headers["etag"].encode()}
            assert path in PASSING or Wire(one).ask(method, target_of(path).encode(), None, held)[0] == 200, path
    assert one.get("/v1/sweeps/1", BEARER).json()["state"] == "done" and one.get(f"/v1/models/{model_path(MODEL)}", BEARER).status == 200


PASSING = ("/v1/status", "/metrics", "/readyz", "/v1/sweeps", "/v1/watches", "/v1/workers")  # they tell the time


def test_what_was_read_is_changed_once(one: Daemon) -> None:
    def ask(method: str, path: str, tag: str) -> int:
        return one.request(method, path, None, BEARER | {"If-Match": tag}).status

    def tag(path: str) -> str:
        return one.get(path, BEARER).headers["ETag"]

    token = "/v1/tokens/" + str(one.post("/v1/tokens", {"name": "passing", "scopes": ["read"]}, BEARER).json()["id"])
    read = tag(token)
    assert ask("DELETE", token, f"W/{read}") == 412
    assert sorted(ask("DELETE", token, read) for _ in range(2)) == [200, 412]
    sweep = "/v1/sweeps/" + str(one.post("/v1/sweeps", {"model": "garden/absent"}, BEARER).json()["id"])
    one.wait(int(sweep.rpartition("/")[2]), lambda row: row["state"] == "failed")
    assert ask("DELETE", sweep, '"0123"') == 412 and ask("DELETE", sweep, tag(sweep)) == 409
    model, read = f"/v1/models/{model_path(MODEL)}", tag(f"/v1/models/{model_path(MODEL)}")
    assert one.post("/v1/tokens", {"name": "third", "scopes": ["read"]}, BEARER).status == 201  # a change elsewhere
    assert ask("DELETE", f"{model}?dry_run=true", read) == 200 and ask("DELETE", "/v1/models/no/such", read) == 404


def test_every_column_may_be_named(one: Daemon) -> None:
    """What a CSV of all columns has, `fields` takes, by the description as well."""
    for key in (key for key in operations() if key[0] == "get"):
        known = {parameter["name"]: resolve(parameter["schema"]) for parameter in parameters(key) if parameter["in"] == "query"}
        if "fields" in known and "format" in known:
            header = one.get(target_of(key[1]) + "?format=csv&limit=1" if "limit" in known else target_of(key[1]) + "?format=csv", BEARER).text
            assert is_right(known["fields"], header.splitlines()[0].split(",")), key


def test_csv_is_whole(one: Daemon) -> None:
    """A line of R or pandas reads one page: it has all that is there, as long as one page may have it."""
    names = [f"absent-{number}" for number in range(120)]
    sweep = one.post("/v1/sweeps", {"model": MODEL, "revisions": {"names": names}}, BEARER).json()["id"]
    for _ in range(101):
        assert one.post("/v1/sweeps", {"model": "garden/absent"}, BEARER).status == 201
    one.wait(sweep, lambda row: row["state"] != "planning")
    for path, count in ((f"/v1/sweeps/{sweep}/tasks", 120), ("/v1/sweeps?model=garden%2Fabsent", 101)):
        join = "&" if "?" in path else "?"
        page = one.get(path + join + "limit=1000", BEARER).json()
        rows = len(page.get("tasks", page.get("sweeps")))
        answer = one.get(path + join + "format=csv", BEARER)
        assert len(answer.text.splitlines()) == 1 + rows and rows >= count and not answer.headers["Link"], path
        assert len(one.get(path + join + "format=csv&limit=7", BEARER).text.splitlines()) == 8


def test_the_next_page_however_its_cursor_is_written(one: Daemon) -> None:
    target, names = f"/v1/models/{model_path(MODEL)}/revisions?fields=revision&limit=2", []
    while target:
        answer = one.get(target, BEARER)
        assert answer.status == 200, answer
        names += [row["revision"] for row in answer.json()["revisions"]]
        link = answer.headers["Link"]
        target = re.fullmatch('<(.*)>; rel="next"', link)[1].replace("cursor", "%63urs%6Fr") if link else ""
    assert len(names) == len(set(names)) == answer.json()["total"]


class Raw:
    """A value as it stands in the JSON text, which is none that json would write."""

    def __init__(self, text: str) -> None:
        self.text = text


def written(value: Any) -> bytes:
    raws: list[str] = []

    def mark(odd: Any) -> str:
        raws.append(odd.text)
        return f"@@{len(raws) - 1}@@"

    text = json.dumps(value, default=mark)
    return re.sub(r'"@@(\d+)@@"', lambda found: raws[int(found[1])], text).encode()


RAWS = [Raw(text) for text in (str(2**63), str(-(2**63) - 1), "1e999", "-1e999", "1" * 400, "NaN", "Infinity", "01", "+1", ".5", "'x'", '"\\ud800"', '"\\u0000"', '"\x01"', "nul",
                               "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000, '{"a":1,"a":1}', "[1,]", "1/**/")]  # fmt: skip
ANY = [None, True, False, 0, 1, -1, 1.5, 2**31, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 1e-300, "", " ", "a", "é", "\U0001f600", "a\nb", "a\x7fb",
       "x" * 5000, "null", "1", [], [None], [1], [""], ["x" * 600], [[]], {}, {"a": 1}, {"": None}, ["a"] * 20000]  # fmt: skip


def values_for(schema: dict[str, Any]) -> Iterator[Any]:
    yield from ANY
    yield from RAWS
    for each in schema.get("enum", []):
        yield each
        yield str(each).upper()
    for bound, step in (("minimum", -1), ("maximum", 1)):
        if bound in schema:
            yield schema[bound]
            yield schema[bound] + step
            yield float(schema[bound])
    for bound, step in (("minLength", -1), ("maxLength", 1)):
        if bound in schema:
            yield "x" * schema[bound]
            yield "x" * (schema[bound] + step)
    items = resolve(schema.get("items", {}))
    for each in list(ANY[:20]) + items.get("enum", []):
        yield [each]
        yield [each, each]
    if "maxLength" in items:
        yield ["x" * items["maxLength"]]
        yield ["x" * (items["maxLength"] + 1)]
    if "maxItems" in schema:
        yield ["a"] * schema["maxItems"]
        yield ["a"] * (schema["maxItems"] + 1)


def places(schema: dict[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Each member of an object, and of the objects in it."""
    schema = resolve(schema)
    for one in [schema, *(resolve(each) for each in schema.get("oneOf", []))]:
        for name, inner in one.get("properties", {}).items() if one.get("additionalProperties") is False else ():
            yield (*at, name), resolve(inner)
            yield from places(inner, (*at, name))


def with_member(body: Any, at: tuple[str, ...], value: Any) -> Any:
    whole = copy.deepcopy(body)
    inner = whole
    for name in at[:-1]:
        inner = inner.setdefault(name, {}) if isinstance(inner.get(name), dict) or name not in inner else inner
    inner[at[-1]] = value
    return whole


def has_raw(value: Any) -> bool:
    return isinstance(value, Raw) or (isinstance(value, dict) and any(has_raw(each) for each in value.values()))


def try_bodies(wire: Wire, key: tuple[str, str], target: str, base: dict[str, Any]) -> list[str]:
    """All that is wrong with the answers to the base's changes; what is refused comes first, since a right one may end what it is about."""
    operation = operations()[key]
    schema = resolve(operation["requestBody"]["content"]["application/json"]["schema"])
    assert is_right(schema, base), base
    cases: list[tuple[bool, Any, tuple[str, str] | None]] = []
    for at, inner in places(schema):
        for value in values_for(inner):
            if at == ("wait_s",) and value is not True and isinstance(value, (int, float)) and 0 < value <= 60:
                continue  # right, and would be waited for
            body = with_member(base, at, value)
            odd = isinstance(value, Raw)
            where = None if odd else ("body", "/" + "/".join(at))
            cases.append((not odd and is_right(schema, body), body, where))
        cases.append((False, with_member(base, (*at[:-1], "colour"), 1), ("body", "/" + "/".join((*at[:-1], "colour")))))
    for name in schema.get("required", []):
        cases.append((False, {one: value for one, value in base.items() if one != name}, ("body", f"/{name}")))
    for value in ANY + RAWS:
        cases.append((not isinstance(value, Raw) and is_right(schema, value), value, None))
    texts = [(right, written(body), where) for right, body, where in cases]
    plain = written(base)
    texts += [(False, plain[:cut], None) for cut in range(0, len(plain), 7)]
    texts += [(False, plain + more, None) for more in (b"x", b"{}", b"\0", b",")] + [(False, b"\xef\xbb\xbf" + plain, None)]
    found = []
    for right, text, where in sorted(texts, key=lambda one: one[0]):
        answer = wire.ask(key[0], target.encode(), text)
        shown = f"{key[0]} {target} {where and where[1]} {text[-120:]!r}"
        wrong = check(shown, operation, answer, None, right)
        if not wrong and where and not right and answer[0] == 400:
            problem = json.loads(answer[2])
            if problem.get("in") != "body" or not (problem["field"] + "/").startswith(where[1] + "/"):
                wrong = f"{shown}: says {problem.get('in')} {problem.get('field')!r} instead of {where[1]}: {problem['detail']}"
        found.append(wrong)
    return [text for text in found if text]


def test_bodies(one: Daemon) -> None:
    wire = Wire(one)
    wrong = try_bodies(wire, ("post", "/v1/sweeps"), "/v1/sweeps", {"model": "garden/absent"})
    wrong += try_bodies(wire, ("put", "/v1/watches/{owner}/{name}"), "/v1/watches/garden/other",
                        {"at": "02:30", "webhook": {"url": "http://127.0.0.1:9/", "secret": "x" * 20}, "revisions": {}})  # fmt: skip
    wrong += try_bodies(wire, ("post", "/v1/tokens"), "/v1/tokens", {"name": "other", "scopes": ["read"]})
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)


def test_bodies_of_claims(one: Daemon) -> None:
    wire = Wire(one)
    sweep = one.post("/v1/sweeps", {"model": MODEL, "revisions": {"names": ["step128", "step256", "step512"]}}, BEARER).json()["id"]
    offer = {"protocol": 2, "definition": 1, "scoring": 1, "version": "test", "device": "cpu", "backend": "cpu", "wait_s": 0,
             "key": 32 * "0", "worker": "w/0"}  # fmt: skip
    detail = one.post("/v1/claims", offer, BEARER).json()["detail"]
    found = re.search(r"and the daemon .* by (\d+)\.(\d+),", detail)
    offer |= {"definition": int(found[1]), "scoring": int(found[2])}
    wrong: list[str] = []
    for last, base in (("heartbeat", {"bytes_fetched": 1}), ("release", {"declined": "no room"}), ("failure", {"code": "io", "message": "x"})):
        answer = one.post("/v1/claims", offer | {"worker": f"{last}/0", "wait_s": 60}, BEARER)
        assert answer.status == 201, answer
        claim = answer.json()["id"]
        wrong += try_bodies(wire, ("put", f"/v1/claims/{{id}}/{last}"), f"/v1/claims/{quote(claim, safe='')}/{last}", base)
    wrong += try_bodies(wire, ("post", "/v1/claims"), "/v1/claims", offer | {"sweep": sweep})
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)
