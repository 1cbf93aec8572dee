"""Every list in every form: JSON and CSV say the same, `fields` chooses, pages cover all, and the client asks for it."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import sqlite3
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import quote

import pytest
from described import DESCRIPTION, operations, resolve, validate
from running import Daemon, wait_until
from test_access import Keys

ROOT = Path(__file__).resolve().parents[2]
MODEL = "garden/neox-tiny"
LISTING = re.compile(r'struct api_listing \w+ = \{\s*"(\w+)",((?:\s*"[^"]*")+),\s*"([^"]*)"\}')
LISTS = [  # operation, path in the description, target, key, parameter of the description, command of the client
    ("listModels", "/v1/models", "/v1/models", "models", "modelFields", ["models"]),
    ("getScaling", "/v1/scaling", "/v1/scaling", "models", "scalingFields", None),
    ("listSweeps", "/v1/sweeps", "/v1/sweeps", "sweeps", "sweepFields", ["sweeps"]),
    ("listTasks", "/v1/sweeps/{id}/tasks", "/v1/sweeps/1/tasks", "tasks", "taskFields", ["tasks", "1"]),
    ("listTaskEvents", "/v1/sweeps/{id}/tasks/{task}/events", "/v1/sweeps/1/tasks/1/events", "events", "taskEventFields",
     ["history", "1", "1"]),
    ("listWatches", "/v1/watches", "/v1/watches", "watches", "watchFields", ["watches"]),
    ("listDeliveries", "/v1/watches/{owner}/{name}/deliveries", f"/v1/watches/{MODEL}/deliveries", "deliveries", "deliveryFields",
     ["deliveries", MODEL]),
    ("listWorkers", "/v1/workers", "/v1/workers", "workers", "workerFields", ["workers"]),
    ("listJobs", "/v1/jobs", "/v1/jobs", "jobs", "jobFields", ["jobs"]),
    ("listTokens", "/v1/tokens", "/v1/tokens", "tokens", "tokenFields", ["tokens"]),
    ("listDevices", "/v1/devices", "/v1/devices", "devices", "deviceFields", ["devices"]),
]  # fmt: skip
IDS = [one[0] for one in LISTS]


def submit(one: Daemon) -> None:
    """Three job arrays in the database, as the executor leaves them: there is no cluster here (test_slurm.py has one)."""
    with contextlib.closing(sqlite3.connect(one.state / "bifurcated.db", timeout=30)) as db, db:
        for sweep, number, state, reason in ((1, 7001, "ended", ""), (2, None, "refused", 'no, "never"'), (1, 7002, "running", "")):
            db.execute(
                "INSERT INTO jobs (sweep_id, job_id, state, size, running, reason, attempts, submitted_ms, ended_ms) "
                "VALUES (?, ?, ?, 4, ?, ?, 2, 1764115200000, ?)",
                (sweep, number, state, 4 * (state == "running"), reason, 1764115300000 if state == "ended" else None),
            )


@pytest.fixture(scope="module")
def filled(programs: Any, garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, dict[str, str]]]:
    """A daemon with at least two rows in every list but devices, and the headers of somebody who may see all of them."""
    from tests.hub import Emulator

    with Emulator(garden) as hub:
        one = Daemon(programs, tmp_path_factory.mktemp("lists"), hub.url, [], {})
        one.start()
        keys = Keys(programs["bifurcated"], one)
        token = keys.make("first", "admin")
        keys.make("second", "read,sweep", "--expires-days", "3")
        one.env["BIFURCATE_TOKEN"] = token
        may = {"Authorization": f"Bearer {token}"}
        for names in (["step0", "step1", "absent"], ["step512"]):
            one.wait(one.sweep(MODEL, revisions={"names": names}))
        folder = tmp_path_factory.mktemp("folder")
        (folder / "step1").mkdir()
        hook = {"url": "http://127.0.0.1:9/nobody", "secret": "a secret of some length"}
        measured = {"webhook": hook, "every_minutes": 525600, "revisions": {"names": ["step0"]}}  # its run finds nothing to do
        assert one.request("PUT", f"/v1/watches/{MODEL}", measured).status == 201
        wait_until(lambda: one.get(f"/v1/watches/{MODEL}").json()["last_run"] is not None)
        for _ in range(2):  # nothing to measure, and the webhook is told
            one.wait(one.sweep(MODEL, revisions={"names": ["step0"]}))
        assert one.request("PUT", f"/v1/watches/file/{quote(str(folder), safe='')}", {"at": "00:01"}).status == 201
        for name in ("far-b/0", "far-a/0", "far-a/1", 'quo"ted,a/0'):
            offer = {"protocol": 2, "definition": 1, "scoring": 1, "version": "x", "worker": name, "key": 32 * "0", "device": "cpu",
                     "backend": "cpu", "wait_s": 0}  # fmt: skip
            said = one.post("/v1/claims", offer)  # the daemon says what it measures by
            offer["definition"], offer["scoring"] = map(int, re.search(r"by (\d+)\.(\d+), so", said.json()["detail"]).groups())
            answer = one.post("/v1/claims", offer)
            assert answer.status in (200, 204), answer
        submit(one)
        yield one, may
        one.check_end()


@pytest.mark.parametrize("operation, path, target", [one[:3] for one in LISTS], ids=IDS)
def test_limit_is_as_described(filled: tuple[Daemon, dict[str, str]], operation: str, path: str, target: str) -> None:
    """The largest page that the description names is given, and nothing larger; lists without pages take no limit."""
    one, may = filled
    parameters = [resolve(one) for one in operations()[("get", path)]["parameters"]]
    limits = [parameter["schema"] for parameter in parameters if parameter["name"] == "limit"]
    if not limits:
        assert one.get(f"{target}?limit=1", may).status == 400
        return
    (schema,) = limits
    for limit, status in ((schema["minimum"], 200), (schema["minimum"] - 1, 400), (schema["maximum"], 200), (schema["maximum"] + 1, 400)):
        answer = one.get(f"{target}?limit={limit}", may)
        assert answer.status == status, (operation, limit, answer.status)


def at(row: Any, name: str) -> Any:
    for part in name.split("."):
        row = row.get(part) if isinstance(row, dict) else None
    return row


def cell(value: Any) -> str:
    """A value as CSV has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return " ".join(value)
    return str(value)


def described(parameter: str) -> list[str]:
    return DESCRIPTION["components"]["parameters"][parameter]["schema"]["items"]["enum"]


def test_description_has_every_column() -> None:
    """The enumerations of `fields` are those of the tables in the code."""
    found = []
    for source in sorted((ROOT / "api").rglob("*.c")):
        for _, columns, others in LISTING.findall(source.read_text()):
            found.append("".join(re.findall(r'"([^"]*)"', columns)).split() + others.split())
    assert sorted(found) == sorted(described(one[4]) for one in LISTS)
    for operation, path, _, _, parameter, _ in LISTS:
        names = [one["$ref"].split("/")[-1] for one in operations()[("get", path)]["parameters"] if "$ref" in one]
        assert parameter in names and "format" in names and operations()[("get", path)]["operationId"] == operation
    assert {key for key, one in operations().items() if one["operationId"].startswith("list")} - {
        ("get", one[1]) for one in LISTS
    } == {("get", "/v1/models/{owner}/{name}/revisions")}  # which has columns of its own


def still(value: Any) -> Any:
    """Without what the courier changes meanwhile in the deliveries of a watch."""
    if isinstance(value, list):
        return [still(one) for one in value]
    if isinstance(value, dict):
        return {name: still(one) for name, one in value.items() if name not in ("attempts", "next_attempt_at", "error")}
    return value


@pytest.mark.parametrize("_, path, target, key, parameter, command", LISTS, ids=IDS)
def test_forms(filled: Any, _: str, path: str, target: str, key: str, parameter: str, command: list[str] | None) -> None:
    one, may = filled
    whole = one.get(target, may)
    validate("get", path, whole)
    rows = whole.json()[key]
    assert len(rows) >= (1 if key in ("devices", "models", "events") else 2), whole
    # Without `fields` every member that is described is there.
    schema = resolve(operations()[("get", path)]["responses"]["200"]["content"]["application/json"]["schema"])
    row_schema = resolve(schema["properties"][key]["items"])
    assert all(set(row) == set(row_schema["properties"]) for row in rows)
    # CSV: the same values.
    names = described(parameter)
    plain = [name for name in names if "." in name or not any(other.startswith(name + ".") for other in names)]
    for text in (one.get(target + "?format=csv", may), one.get(target, {**may, "Accept": "text/csv"})):
        validate("get", path, text)
        assert text.headers["Content-Type"].startswith("text/csv") and text.body.endswith(b"\r\n")
        table = list(csv.DictReader(text.text.splitlines(keepends=True)))
        columns = list(table[0])
        assert set(columns) <= set(names) and len(columns) >= min(len(plain), 4)
        moving = {"next_run_at", "last_seen_at", "last_used_at"} | ({"attempts", "next_attempt_at", "error"} if key == "deliveries" else set())  # of another moment
        for row, line in zip(rows, table, strict=True):
            for name in set(columns) - moving:
                assert line[name] == cell(at(row, name)) or float(line[name]) == at(row, name), (name, row, line)
    # `fields`: in JSON and CSV, in its order, whatever can be named.
    for name in names:
        few = one.get(f"{target}?fields={name}", may)
        validate("get", path, few)
        if name not in moving:
            assert [still(at(row, name)) for row in few.json()[key]] == [still(at(row, name)) for row in rows]
        assert {tuple(row) for row in few.json()[key]} == {(name.split(".")[0],)}
    turned = ",".join(reversed(names))
    answer = one.get(f"{target}?fields={turned}&format=csv", may)
    assert answer.text.splitlines()[0] == turned
    assert len(list(csv.reader(answer.text.splitlines(keepends=True)))) == len(rows) + 1
    for wrong in ("nothing", names[0] + "," + names[0], "", names[0] + ",", names[0] + " ", "x" * 300, names[0] + ".a"):
        answer = one.get(f"{target}?fields={quote(wrong)}", may)
        assert answer.status == 400 and answer.json()["field"] == "fields" and names[0] in answer.json()["detail"], answer
    if command:
        shown = one.client(*command, "--fields", ",".join(names[:2]), "--csv")
        assert shown.returncode == 0, shown
        lines = list(csv.reader(shown.stdout.splitlines(keepends=True)))
        assert lines[0] == names[:2] and [line[0] for line in lines[1:]] == [cell(at(row, names[0])) for row in rows]
        assert one.client(*command, "--fields", "nothing").returncode == 2
        assert one.client(*command).returncode == 0


@pytest.mark.parametrize("_, path, target, key, parameter, command", LISTS, ids=IDS)
def test_pages(filled: Any, _: str, path: str, target: str, key: str, parameter: str, command: Any) -> None:
    """One row at a time gives the rows of the whole, in JSON by next_cursor and in CSV by the header Link."""
    one, may = filled
    if "limit" not in {resolve(p)["name"] for p in operations()[("get", path)]["parameters"]}:
        assert key in ("devices", "models")
        return
    name = described(parameter)[0]
    want = [row[name] for row in one.get(target, may).json()[key]]
    found, cursor = [], ""
    while True:
        page = one.get(f"{target}?limit=1&fields={name}{cursor}", may)
        found += [row[name] for row in page.json()[key]]
        assert bool(page.json()["next_cursor"]) == ("Link" in page.headers) and len(found) <= len(want)
        if not page.json()["next_cursor"]:
            break
        cursor = "&cursor=" + page.json()["next_cursor"]
    assert found == want
    found, next_target = [], f"{target}?format=csv&limit=1"
    while next_target:
        page = one.get(next_target, may)
        found += [row[name] for row in csv.DictReader(page.text.splitlines(keepends=True))]
        link = re.fullmatch(r'<([^>]+)>; rel="next"', page.headers["Link"] or "")
        next_target = link.group(1) if link else ""
        assert len(found) <= len(want)
    assert found == [cell(value) for value in want]
    for wrong in ("limit=0", "limit=x", "cursor=zz", "cursor=00"):
        assert one.get(f"{target}?{wrong}", may).status == 400


def test_workers_are_by_name(filled: Any) -> None:
    one, _ = filled
    rows = one.get("/v1/workers").json()["workers"]
    assert [row["name"].rsplit("-", 1)[0] for row in rows] == ["far-a", "far-b", 'quo"ted,a']
    assert all(row["tasks"] == [] and row["running"] == 0 and row["version"] == "x" for row in rows)


def test_tokens_by_the_client(filled: Any) -> None:
    one, _ = filled
    made = one.client("issue", "third", "--scopes", "read,worker", "--expires-days", "9")
    assert made.returncode == 0 and re.fullmatch(r"bif_[0-9a-f]{72}\n", made.stdout), made
    rows = json.loads(one.client("tokens", "--json").stdout)["tokens"]
    row = next(row for row in rows if row["name"] == "third")
    assert row["scopes"] == ["read", "worker"] and row["expires_at"] and not row["revoked_at"]
    assert "read worker" in one.client("tokens").stdout
    ended = one.client("revoke", str(row["id"]))
    assert ended.returncode == 0 and "third" in ended.stdout, ended
    rows = json.loads(one.client("tokens", "--json").stdout)["tokens"]
    assert next(one for one in rows if one["id"] == row["id"])["revoked_at"]
    for words, status in (
        (["issue"], 2), (["issue", "x", "--scopes", "fly"], 2), (["issue", "x", "--scopes", "read", "--expires-days", "0"], 2),
        (["revoke", "99"], 4), (["revoke", "x"], 2),
    ):  # fmt: skip
        assert one.client(*words).returncode == status, words
    without = one.client("tokens", env={"BIFURCATE_TOKEN": ""})
    assert without.returncode == 5 and "BIFURCATE_TOKEN" in without.stderr


def test_commands_that_print_no_table_say_so(filled: Any) -> None:
    one, _ = filled
    for words in (["status"], ["show", "1"], ["watch", MODEL], ["revision", MODEL, "step0"]):
        done = one.client(*words, "--csv")
        assert done.returncode == 2 and "--csv" in done.stderr and not done.stdout, done
    assert one.client("scaling", "--csv").stdout.splitlines()[0].startswith("model,parameter_count,")


def test_sweeps_say_what_they_measure(filled: Any) -> None:
    """Of a request that names nothing, too, which measures statistics."""
    one, may = filled
    asked = ({}, {"metrics": None}, {"metrics": ["perplexity"]}, {"metrics": ["perplexity", "statistics"]})
    want = [["statistics"], ["statistics"], ["perplexity"], ["perplexity", "statistics"]]
    ids = [one.sweep(MODEL, revisions={"names": ["absent"]}, **request) for request in asked]
    assert [one.wait(sweep)["metrics"] for sweep in ids] == want
    rows = one.get("/v1/sweeps?fields=id,metrics", may).json()["sweeps"]
    assert [row["metrics"] for row in rows if row["id"] in ids] == want[::-1]
    table = list(csv.DictReader(one.client("sweeps", "--csv").stdout.splitlines()))
    assert [row["metrics"] for row in table if int(row["id"]) in ids] == ["perplexity statistics", "perplexity", "statistics", "statistics"]
    head, *lines = one.client("sweeps").stdout.splitlines()
    assert "METRICS" in head and re.search(r"perplexity.+statistics", lines[0])
