"""A worker's result, taken apart, and what a hostile or broken worker may send instead."""

from __future__ import annotations

import json
from typing import Any, Callable, Iterator


def split(body: bytes) -> tuple[dict[str, Any], bytes]:
    head, values = body.split(b"\n", 1)
    return json.loads(head), values


def join(head: dict[str, Any], values: bytes) -> bytes:
    return json.dumps(head).encode() + b"\n" + values


def spoilt(path: str, body: bytes) -> Iterator[tuple[str, str, dict[str, str], bytes, int]]:
    """What a hostile or broken worker may send instead: what it is, path, headers, body, status."""

    def change(where: Callable[[dict[str, Any]], None], without_values: bool = False) -> bytes:
        head, values = split(body)
        where(head)
        return join(head, b"" if without_values else values)

    def bare(tensor: dict[str, Any], *lists: str) -> None:
        for name in ("distributions", "columns", "samples", *lists):
            tensor[name] = []

    def set_in(tensor: str | int, *keys: Any, to: Any) -> Callable[[dict[str, Any]], None]:
        def apply(head: dict[str, Any]) -> None:
            place = head["tensors"][tensor]
            for key in keys[:-1]:
                place = place[key]
            place[keys[-1]] = to

        return apply

    number, attempt, secret = path.split("/")[3].split(".")
    yield "another task's id", f"/v1/claims/{int(number) + 1}.{attempt}.{secret}/result", {}, body, 404
    yield "another attempt's id", f"/v1/claims/{number}.{int(attempt) + 1}.{secret}/result", {}, body, 404
    yield "a guessed id", f"/v1/claims/{number}.{attempt}.{'0' * len(secret)}/result", {}, body, 404
    yield "no id", "/v1/claims/x/result", {}, body, 404
    yield "another type", path, {"Content-Type": "application/json"}, body, 415
    yield "nothing", path, {}, b"", 400
    yield "cut short", path, {}, body[: len(body) // 2], 400
    yield "cut within the line", path, {}, body[:100], 400
    yield "one byte too few", path, {}, body[:-1], 400
    yield "more bytes", path, {}, body + b"x", 400
    yield "no JSON", path, {}, b"\x00\xff\n" + body, 400
    flipped = bytearray(body)
    flipped[-20] ^= 0xFF
    yield "a flipped byte", path, {}, bytes(flipped), 400
    yield "a count that is null", path, {}, change(set_in(0, "statistics", 0, "nan_count", to=None)), 400
    yield "a mean that is text", path, {}, change(set_in(0, "statistics", 0, "mean", to="nan")), 400
    yield "no minimum", path, {}, change(set_in(0, "statistics", 0, "minimum", to=None)), 400
    yield "other elements", path, {}, change(set_in(0, "statistics", 0, "elements", to=1)), 400
    yield "a digest in capitals", path, {}, change(set_in(0, "content", "digest", to="A" * 64)), 400
    yield "another tensor", path, {}, change(set_in(0, "tensor", to="lm_head.weight")), 400
    yield "another file", path, {}, change(set_in(0, "file", to="other.safetensors")), 400
    yield "a file elsewhere", path, {}, change(set_in(0, "file", to="../config.json")), 400
    yield "another file's digest", path, {}, change(set_in(0, "file_digest", to="0" * 64)), 422
    yield "another reference", path, {}, change(set_in(0, "displacements", 0, "reference", "digest", to="0" * 64)), 422
    yield "another definition", path, {}, change(set_in(0, "statistics", 0, "definition", to=1)), 422
    yield "another backend", path, {}, change(set_in(0, "statistics", 0, "backend", to="gpu")), 400
    yield "a variant twice", path, {}, change(set_in(0, "statistics", 0, "is_centred", to=True)), 400
    yield "one row set of two", path, {}, change(lambda head: head["tensors"][0]["displacements"][0]["rows"].pop()), 400
    yield "a link twice", path, {}, change(set_in(0, "displacements", 1, "link", to="first")), 400
    yield "no large values", path, {}, change(lambda head: bare(head["tensors"][0]), True), 400
    yield "no statistics", path, {}, change(lambda head: bare(head["tensors"][0], "statistics"), True), 400
    yield "no tensors", path, {}, change(lambda head: head.update(tensors=[]), True), 400
    yield "a perplexity too many", path, {}, change(lambda head: head.update(weights_digest="0" * 64)), 400
    yield "an unknown member", path, {}, change(lambda head: head.update(colour="red")), 400
    yield "another protocol", path, {}, change(lambda head: head.update(protocol=3)), 422
