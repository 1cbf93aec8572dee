"""The description api/openapi.json, and whether an answer is as it says.

Every answer that a test gets from a daemon (running.py) passes `check`: the first few of each operation and status, so that this
costs no time that anybody would notice. BIFURCATED_SEEN=FILE gathers which operation answered with which status.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema (tests/requirements.txt) is not installed")

ROOT = Path(__file__).resolve().parents[2]
EACH, BYTES_MAX = 6, 100_000  # answers of an operation and status that are checked in a process, and of what size


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object with each key once: of two, readers take either."""
    twice = [key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1]
    assert not twice, twice
    return dict(pairs)


DESCRIPTION = json.loads((ROOT / "api/openapi.json").read_text(), object_pairs_hook=once)


def resolve(value: Any) -> Any:
    """Follows a $ref within the description."""
    while isinstance(value, dict) and "$ref" in value:
        target: Any = DESCRIPTION
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        value = target
    return value


@functools.cache
def operations() -> dict[tuple[str, str], dict[str, Any]]:
    return {(method, path): one for path, item in DESCRIPTION["paths"].items() for method, one in item.items()}


@functools.cache
def _validator(method: str, path: str, status: str, kind: str) -> Any:
    response = resolve(operations()[(method, path)]["responses"][status])
    return jsonschema.Draft202012Validator({**response["content"][kind]["schema"], "components": DESCRIPTION["components"]})


def validate(method: str, path: str, answer: Any) -> None:
    """The answer's status, type and body are as described for this operation."""
    responses = operations()[(method, path)]["responses"]
    status = str(answer.status) if str(answer.status) in responses else "default"
    assert status != "default" or answer.status >= 500, f"{method} {path}: {answer.status} is not described: {answer}"
    if answer.status in (204, 304):
        assert not answer.body
        return
    kind = answer.headers["Content-Type"].split(";")[0]
    assert kind in resolve(responses[status])["content"], (method, path, answer)
    if not kind.endswith("json"):
        return
    error = jsonschema.exceptions.best_match(_validator(method, path, status, kind).iter_errors(answer.json()))
    assert error is None, f"{method} {path}: {error.json_path}: {error.message[:500]}"


@functools.cache
def _patterns() -> list[tuple[Any, str]]:
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", re.sub(r"([.])", r"\\\1", path))), path) for path in DESCRIPTION["paths"]]


_checked: Counter[tuple[str, str, int]] = Counter()


def check(method: str, target: str, answer: Any) -> None:
    """Of a request to the daemon itself; what is no described operation is not looked at."""
    bare = urlsplit(target).path
    path = next((path for pattern, path in _patterns() if pattern.fullmatch(bare)), None)
    key = (method.lower(), path or "", answer.status)
    if key[:2] not in operations():
        return
    _checked[key] += 1
    if _checked[key] == 1 and os.environ.get("BIFURCATED_SEEN"):
        with open(os.environ["BIFURCATED_SEEN"], "a") as file:
            file.write(f"{key[0]} {key[1]} {key[2]}\n")
    is_coded = answer.headers.get("Content-Encoding") is not None
    if _checked[key] <= EACH and len(answer.body) <= BYTES_MAX and not is_coded:
        validate(key[0], key[1], answer)
