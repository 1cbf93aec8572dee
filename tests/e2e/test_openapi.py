"""The description api/openapi.json against the program: the routes are the same both ways, every answer validates."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Iterator

import pytest
from described import DESCRIPTION, ROOT, jsonschema, operations, resolve, validate
from running import Daemon, model_path

MODEL = "garden/neox-tiny"
HERE = f"/v1/models/{model_path(MODEL)}"
WATCH = f"/v1/watches/{model_path(MODEL)}"

ROUTE = re.compile(
    r'\{"([A-Z]+)",\s*"([^"]+)",\s*"(\w+)",\s*\w+,\s*"([^"]*)",\s*API_SCOPE_\w+,\s*(\d),\s*API_RIGHT_\w+,\s*(\w+)\}'
)
TYPES = {"NULL": [], "JSON": ["application/json"], "WIRE_RESULT_TYPE": ["application/vnd.bifurcated.result"]}


def routes() -> dict[tuple[str, str], dict[str, Any]]:
    """The table of api/routes.c."""
    text = (ROOT / "api/routes.c").read_text()
    found = {
        (method.lower(), path): {"operation": operation, "query": set(query.split()), "csv": csv == "1", "takes": TYPES[type]}
        for method, path, operation, query, csv, type in ROUTE.findall(text)
    }
    assert len(found) == text.count('{"GET"') + text.count('{"POST"') + text.count('{"DELETE"') + text.count('{"PUT"')
    return found


def test_routes_and_description_are_the_same() -> None:
    assert set(routes()) == set(operations())
    for key, route in routes().items():
        described = operations()[key]
        assert described["operationId"] == route["operation"], key
        parameters = [resolve(one) for one in described.get("parameters", [])]
        assert {one["name"] for one in parameters if one["in"] == "query"} == route["query"], key
        in_path = {one["name"] for one in parameters if one["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", key[1])), key
        assert list(described.get("requestBody", {}).get("content", {})) == route["takes"], key
        content = resolve(described["responses"].get("200", {})).get("content", {})
        assert ("text/csv" in content) == route["csv"], key


def test_every_column_of_the_series_is_explained() -> None:
    """Also where only a pattern has its name: then the text of the pattern names it."""
    revision = DESCRIPTION["components"]["schemas"]["Revision"]
    assert not [name for name, column in revision["properties"].items() if not column.get("description")]
    for pattern, columns in revision["patternProperties"].items():
        names = re.search(r"\(([^()]*)\)\$$", pattern)[1].split("|")
        unsaid = [name for name in names if name not in columns["description"] and not re.fullmatch(r"q\d+|\w+_count", name)]
        assert len(names) >= 5 and not unsaid, unsaid


def test_the_codes_of_problems_are_those_of_the_program() -> None:
    names = re.findall(r'X\(ERR_\w+, -\d+, "(\w+)"', (ROOT / "daemon/base/err.h").read_text())
    codes = DESCRIPTION["components"]["schemas"]["ErrorCode"]
    assert len(names) > 20 and codes["enum"] == names
    assert set(re.findall(r"`(\w+)`", codes["description"])) <= set(names)


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if "$ref" in value:
                yield value["$ref"]
            for inner in value.values():
                yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)

    used = set(walk(DESCRIPTION))
    for reference in used:
        resolve({"$ref": reference})
    for kind in ("schemas", "parameters", "responses"):
        for name in DESCRIPTION["components"][kind]:
            assert f"#/components/{kind}/{name}" in used, f"{name} is described but not used"
    for schema in DESCRIPTION["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.fixture(scope="module")
def swept(programs: Any, garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    from tests.hub import Emulator

    with Emulator(garden) as hub:
        daemon = Daemon(programs, tmp_path_factory.mktemp("openapi"), hub.url, [], {})
        daemon.start()
        sweep = daemon.sweep(MODEL, revisions={"names": ["step0", "step1", "step512", "absent"]})
        daemon.wait(sweep, lambda row: row["state"] in ("done", "failed"))
        daemon.request("PUT", WATCH, {"at": "02:30"})
        yield daemon
        daemon.check_end()


ASKED = [
    ("get", "/", "/"),
    ("get", "/assets/{file}", "/assets/app.js"),
    ("get", "/assets/{file}", "/assets/absent.js"),
    ("get", "/healthz", "/healthz"),
    ("get", "/readyz", "/readyz"),
    ("get", "/metrics", "/metrics"),
    ("get", "/openapi.json", "/openapi.json"),
    ("get", "/v1/status", "/v1/status"),
    ("get", "/v1/devices", "/v1/devices"),
    ("get", "/v1/models", "/v1/models"),
    ("get", "/v1/models", "/v1/models?format=csv"),
    ("get", "/v1/models", "/v1/models?limit=-1"),
    ("get", "/v1/models/{owner}/{name}", HERE),
    ("get", "/v1/models/{owner}/{name}", "/v1/models/garden/absent"),
    ("get", "/v1/models/{owner}/{name}/revisions", f"{HERE}/revisions"),
    ("get", "/v1/models/{owner}/{name}/revisions", f"{HERE}/revisions?stepless=true&fields=revision,mean"),
    ("get", "/v1/models/{owner}/{name}/revisions", f"{HERE}/revisions?format=csv"),
    ("get", "/v1/models/{owner}/{name}/revisions", f"{HERE}/revisions?fields=nothing"),
    ("get", "/v1/models/{owner}/{name}/revisions/{revision}", f"{HERE}/revisions/step512"),
    ("get", "/v1/models/{owner}/{name}/revisions/{revision}", f"{HERE}/revisions/step3"),
    ("get", "/v1/models/{owner}/{name}/revisions/{revision}/values", f"{HERE}/revisions/step512/values?rows=tokens&view=centred"),
    ("get", "/v1/models/{owner}/{name}/revisions/{revision}/values", f"{HERE}/revisions/step512/values?format=csv"),
    ("get", "/v1/models/{owner}/{name}/revisions/{revision}/values", f"{HERE}/revisions/step512/values?tensor=absent"),
    ("get", "/v1/models/{owner}/{name}/distribution", f"{HERE}/distribution"),
    ("get", "/v1/models/{owner}/{name}/distribution", f"{HERE}/distribution?rows=tokens&view=centred&bins=5&limit=1"),
    ("get", "/v1/models/{owner}/{name}/distribution", f"{HERE}/distribution?format=csv"),
    ("get", "/v1/models/{owner}/{name}/distribution", f"{HERE}/distribution?low=1&high=0"),
    ("get", "/v1/models/{owner}/{name}/columns", f"{HERE}/columns?rows=tokens&limit=2"),
    ("get", "/v1/models/{owner}/{name}/columns", f"{HERE}/columns?tensor=absent"),
    ("get", "/v1/models/{owner}/{name}/trajectories", f"{HERE}/trajectories?entries=5"),
    ("get", "/v1/models/{owner}/{name}/trajectories", f"{HERE}/trajectories?tensor=absent"),
    ("get", "/v1/models/{owner}/{name}/displacement", f"{HERE}/displacement"),
    ("get", "/v1/models/{owner}/{name}/displacement", f"{HERE}/displacement?limit=1"),
    ("get", "/v1/models/{owner}/{name}/analysis", f"{HERE}/analysis"),
    ("get", "/v1/models/{owner}/{name}/analysis", f"{HERE}/analysis?schedule=linear&peak=0.001&total=9000&decay=0.1"),
    ("get", "/v1/models/{owner}/{name}/analysis", f"{HERE}/analysis?peak=0.001"),
    ("get", "/v1/models/{owner}/{name}/analysis", "/v1/models/garden/absent/analysis"),
    ("get", "/v1/models/{owner}/{name}/audit", f"{HERE}/audit"),
    ("get", "/v1/scaling", "/v1/scaling"),
    ("get", "/v1/scaling", "/v1/scaling?view=sideways"),
    ("get", "/v1/sweeps", "/v1/sweeps"),
    ("get", "/v1/sweeps", f"/v1/sweeps?model={MODEL}&state=failed&limit=1"),
    ("get", "/v1/sweeps", "/v1/sweeps?state=lost"),
    ("get", "/v1/sweeps/{id}", "/v1/sweeps/1"),
    ("get", "/v1/sweeps/{id}", "/v1/sweeps/99"),
    ("get", "/v1/sweeps/{id}/tasks", "/v1/sweeps/1/tasks"),
    ("get", "/v1/sweeps/{id}/tasks", "/v1/sweeps/1/tasks?state=failed&limit=1"),
    ("get", "/v1/sweeps/{id}/tasks/{task}/events", "/v1/sweeps/1/tasks/1/events"),
    ("get", "/v1/sweeps/{id}/tasks/{task}/events", "/v1/sweeps/1/tasks/1/events?limit=1"),
    ("get", "/v1/sweeps/{id}/tasks/{task}/events", "/v1/sweeps/1/tasks/99/events"),
    ("get", "/v1/sweeps/{id}/events", "/v1/sweeps/1/events"),
    ("get", "/v1/watches", "/v1/watches"),
    ("get", "/v1/watches", "/v1/watches?format=csv"),
    ("get", "/v1/watches/{owner}/{name}", WATCH),
    ("get", "/v1/watches/{owner}/{name}", "/v1/watches/garden/absent"),
    ("get", "/v1/watches/{owner}/{name}/deliveries", WATCH + "/deliveries"),
    ("get", "/v1/watches/{owner}/{name}/deliveries", "/v1/watches/garden/absent/deliveries"),
    ("get", "/v1/workers", "/v1/workers"),
    ("get", "/v1/jobs", "/v1/jobs"),
    ("get", "/v1/jobs", "/v1/jobs?state=running"),
    ("get", "/v1/jobs", "/v1/jobs?state=queued"),
    ("get", "/v1/tokens", "/v1/tokens"),  # refused here; test_access.py has a token
    ("get", "/v1/tokens/{id}", "/v1/tokens/1"),
]


CHANGING = {"/metrics", "/v1/status", "/v1/sweeps/1/events"}  # with each question, or without end


def test_every_read_is_tried_and_validates(swept: Daemon) -> None:
    assert {(method, path) for method, path, _ in ASKED} == {key for key in operations() if key[0] == "get"}
    for method, path, target in ASKED:
        answer = swept.get(target)
        validate(method, path, answer)
        if answer.status != 200 or target in CHANGING:
            continue
        etag = answer.headers["ETag"]
        assert re.fullmatch(r'"[^"]+"', etag), f"{target} has a strong ETag"
        for _ in range(3):  # something may happen in between
            again = swept.get(target, {"If-None-Match": etag})
            validate(method, path, again)
            before, etag = etag, again.headers["ETag"]
            if again.status == 304:
                break
        assert (again.status, etag) == (304, before), target


def test_writes_validate(swept: Daemon) -> None:
    bodies: list[tuple[Any, int]] = [
        ({"model": MODEL, "revisions": {"names": ["step0"]}, "reference": None}, 201),
        ({"model": MODEL, "metrics": []}, 400),
        ({"model": MODEL, "metrics": ["fame"]}, 400),
        ({"model": MODEL, "revisions": {"from": 9, "to": 3}}, 400),
        ({"model": "nobody"}, 400),
        ([], 400),
    ]
    for body, status in bodies:
        answer = swept.post("/v1/sweeps", body)
        assert answer.status == status, (body, answer)
        validate("post", "/v1/sweeps", answer)
    for sweep, statuses in (("1", {409}), ("999", {404}), ("2", {200, 409})):
        answer = swept.request("DELETE", f"/v1/sweeps/{sweep}")
        assert answer.status in statuses, answer
        validate("delete", "/v1/sweeps/{id}", answer)


def test_request_schema_and_program_agree(swept: Daemon) -> None:
    """What the schema refuses the program refuses, with the member named."""
    schema = {"$ref": "#/components/schemas/SweepRequest", "components": DESCRIPTION["components"]}
    wrong = [
        {},
        {"model": 5},
        {"model": MODEL, "colour": "red"},
        {"model": MODEL, "priority": 101},
        {"model": MODEL, "priority": 1.5},
        {"model": MODEL, "tensors": [""]},
        {"model": MODEL, "tensors": "embed_out.weight"},
        {"model": MODEL, "metrics": ["statistics", "statistics"]},
        {"model": MODEL, "revisions": {"every": 0}},
        {"model": MODEL, "revisions": {"form": 0}},
        {"model": MODEL, "mode": "loud"},
        {"model": MODEL, "limit": -1},
        {"model": MODEL, "reference": "x" * 257},
        {"model": MODEL, "reference": "a\x1fb"},
        {"model": MODEL, "tensors": ["a\nb"]},
        {"model": MODEL, "revisions": {"names": ["a\x7fb"]}},
        {"model": MODEL, "revisions": {"rule": "step{step}\t"}},
        {"model": MODEL, "revisions": {"rule": "run7-{steps}"}},
        {"model": MODEL, "revisions": {"rule": "{step"}},
        {"model": MODEL, "dataset": "a/b\x01"},
        {"model": MODEL, "field": "te\x1fxt"},
    ]
    validator = jsonschema.Draft202012Validator(schema)
    for body in wrong:
        assert not validator.is_valid(body), body
        answer = swept.post("/v1/sweeps", body)
        assert answer.status == 400, (body, answer)
        assert answer.json()["in"] == "body" and answer.json()["field"].startswith("/"), answer


def test_requests_for_watches_agree_and_validate(swept: Daemon) -> None:
    """As above for watches; and what is accepted comes back as described."""
    hook = {"url": "http://127.0.0.1:9/hook", "secret": "a secret of some length"}
    right: list[dict[str, Any]] = [
        {"at": "02:30", "every_minutes": None},
        {"at": "23:59", "metrics": ["statistics", "perplexity"], "priority": -5, "webhook": hook},
        {"at": "23:59", "webhook": {"url": hook["url"]}},  # the secret is known
        {"every_minutes": 525600, "revisions": {"from": 512, "names": ["main"], "every": None}, "webhook": None},
    ]
    wrong: list[dict[str, Any]] = [
        {"at": "2:30"},
        {"at": "24:00"},
        {"at": 230},
        {"every_minutes": 0},
        {"every_minutes": 1.5},
        {"at": "02:30", "every": 5},
        {"at": "02:30", "model": MODEL},
        {"at": "02:30", "metrics": ["fame"]},
        {"at": "02:30", "revisions": {"every": 2}},
        {"at": "02:30", "revisions": {"rule": "epoch{epoch}"}},
        {"at": "02:30", "webhook": "http://127.0.0.1:9/"},
        {"at": "02:30", "webhook": {"secret": hook["secret"]}},
        {"at": "02:30", "webhook": {**hook, "secret": "short"}},
        {"at": "02:30", "webhook": {**hook, "colour": "red"}},
        {},
        {"at": "02:30", "every_minutes": 5},
        {"at": "02:30", "webhook": {**hook, "url": "ftp://127.0.0.1/"}},
        {"at": "02:30", "webhook": {**hook, "url": "http://user:password@127.0.0.1/"}},
        {"at": "02:30", "webhook": {**hook, "url": "file:///etc/passwd"}},
    ]
    beyond: list[dict[str, Any]] = [  # what a schema does not say
        {"at": "02:30", "webhook": {"url": "http://127.0.0.1:9/new-without-secret"}},
        {"at": "02:30", "revisions": {"rule": "{step}-{step}"}},
    ]
    schema = {"$ref": "#/components/schemas/WatchRequest", "components": DESCRIPTION["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    path = "/v1/watches/{owner}/{name}"
    for body in right:
        assert validator.is_valid(body), body
        answer = swept.request("PUT", WATCH, body)
        assert answer.status == 200, (body, answer)
        validate("put", path, answer)
        assert b"a secret" not in answer.body
    for body in wrong + beyond:
        assert (body in beyond) == validator.is_valid(body), body
        answer = swept.request("PUT", WATCH, body)
        assert answer.status == 400, (body, answer)
        assert answer.json()["in"] == "body" and answer.json()["field"].startswith("/"), answer
        validate("put", path, answer)
    answer = swept.request("PUT", "/v1/watches/garden/other", {"at": "00:00"})
    assert answer.status == 201, answer
    validate("put", path, answer)
    assert [row["model"] for row in swept.get("/v1/watches").json()["watches"]] == [MODEL, "garden/other"]
    first = swept.get("/v1/watches?limit=1").json()
    assert [row["model"] for row in first["watches"]] == [MODEL]
    second = swept.get(f"/v1/watches?limit=1&cursor={first['next_cursor']}").json()
    assert [row["model"] for row in second["watches"]] == ["garden/other"] and second["next_cursor"] is None
    validate("post", path + "/runs", swept.post("/v1/watches/garden/other/runs"))
    for status in (204, 404):
        answer = swept.request("DELETE", "/v1/watches/garden/other")
        assert answer.status == status, answer
        if status != 204:
            validate("delete", path, answer)
    validate("post", path + "/runs", swept.post("/v1/watches/garden/other/runs"))
