"""What can go wrong with one answer: the kinds of faults and their parameters.

`before` may answer in place of the hub (or change the request and return None);
`after` changes the hub's answer. A parameter's value here is its default.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any, Callable

from .messages import BytesPart, HubError, Request, Response, body_flip, body_size, body_slice, json_response
from .resolve import expired

Parameters = Callable[[str], Any]


@dataclass(frozen=True)
class Kind:
    help: str
    parameters: dict[str, Any] = field(default_factory=dict)
    before: Callable[[Request, Parameters], Response | None] | None = None
    after: Callable[[Request, Response, Parameters], None] | None = None


def _position(response: Response, get: Parameters) -> int:
    """A place in the body, by `bytes` or else by `fraction`."""
    size = body_size(response.body)
    return min(size, get("bytes")) if get("bytes") is not None else int(size * get("fraction"))


def _is_json(response: Response) -> bool:
    return "json" in (response.headers.get("Content-Type") or "")


def _status(request: Request, get: Parameters) -> Response:
    headers: dict[str, Any] = {}
    if get("retry_after") is not None:
        headers["Retry-After"] = get("retry_after")
    if get("ratelimit_t") is not None:
        headers["RateLimit"] = f'"api";r=0;t={get("ratelimit_t")}'
        headers["RateLimit-Policy"] = '"fixed window";"api";q=500;w=300'
    words = {429: "You have reached a rate limit.", 503: "Service Unavailable"}
    message = get("message") or words.get(
        get("status"), "Internal Error - We're working hard to fix this as soon as possible!"
    )
    return HubError(get("status"), get("code"), message, headers).response()


def _reset(request: Request, get: Parameters) -> Response:
    return Response(0, reset=get("rst"), silent=True)


def _redirect_loop(request: Request, get: Parameters) -> Response:
    location = request.target if get("relative") else f"{request.origin}{request.target}"
    response = Response(302)
    response.headers["Location"] = location
    return response


def _ignore_range(request: Request, get: Parameters) -> None:
    request.ignore_range = True


def _cut(request: Request, response: Response, get: Parameters) -> None:
    response.cut_after = _position(response, get)
    response.reset = get("rst")


def _stall(request: Request, response: Response, get: Parameters) -> None:
    at = None if get("bytes") is None and get("fraction") is None else _position(response, get)
    response.stalls.append((at, get("seconds")))


def _trickle(request: Request, response: Response, get: Parameters) -> None:
    response.trickle_bps = get("bps")


def _wrong_length(request: Request, response: Response, get: Parameters) -> None:
    response.declared_length = max(0, body_size(response.body) + get("delta"))
    if response.declared_length < body_size(response.body):
        response.body = body_slice(response.body, 0, response.declared_length)


def _wrong_range(request: Request, response: Response, get: Parameters) -> None:
    header = response.headers.get("Content-Range")
    if response.status != 206 or not header:
        return
    span, _, size = header.removeprefix("bytes ").partition("/")
    first, last = (int(one) + get("delta") for one in span.split("-"))
    response.headers["Content-Range"] = f"bytes {max(0, first)}-{last}/{int(size) + get('size_delta')}"


def _flip(request: Request, response: Response, get: Parameters) -> None:
    """In the body at fraction/bytes, or at a byte of the file if this answer has it."""
    size = body_size(response.body)
    index = _position(response, get)
    if get("file_offset") is not None:
        index = get("file_offset") - response.file_offset
    if response.status in (200, 206) and 0 <= index and size:
        if get("file_offset") is None or index < size:
            response.body = body_flip(response.body, min(index, size - 1), get("bit"))


def _etag(request: Request, response: Response, get: Parameters) -> None:
    value = get("value") or secrets.token_hex(32)
    for name in ("ETag", "X-Linked-ETag"):
        if name in response.headers:
            response.headers[name] = f'"{value}"'


def _headers(request: Request, response: Response, get: Parameters) -> None:
    for name in get("drop"):
        response.headers.pop(name)
    for name, value in get("set").items():
        response.headers[name] = value


def _no_commit(request: Request, response: Response, get: Parameters) -> None:
    response.headers.pop("X-Repo-Commit")


def _oversize_json(request: Request, response: Response, get: Parameters) -> None:
    """Valid JSON, made long by blanks at its end."""
    if _is_json(response):
        missing = max(0, get("bytes") - body_size(response.body))
        block = BytesPart(b" " * (1 << 20))
        response.body = response.body + [block] * (missing >> 20) + [BytesPart(b" " * (missing & 0xFFFFF))]
        response.compressible = False


def _malformed_json(request: Request, response: Response, get: Parameters) -> None:
    if _is_json(response):
        response.body = body_slice(response.body, 0, _position(response, get))


def _body(request: Request, get: Parameters) -> Response:
    if get("json") is not None:
        return json_response(get("json"), get("status"))
    response = Response(get("status"), body=[BytesPart(get("text").encode())])
    response.headers["Content-Type"] = get("content_type")
    return response


def _replace(request: Request, response: Response, get: Parameters) -> None:
    """Only in what the hub made up itself; files are spoiled by flip and body."""
    if all(isinstance(part, BytesPart) for part in response.body):
        text = b"".join(part.data for part in response.body).decode()
        response.body = [BytesPart(re.sub(get("pattern"), get("by"), text).encode())]


def _link_loop(request: Request, response: Response, get: Parameters) -> None:
    response.headers["Link"] = f'<{request.origin}{request.target}>; rel="next"'


def _link_away(request: Request, response: Response, get: Parameters) -> None:
    response.headers["Link"] = f'<{get("url")}>; rel="next"'


def _tree_path(request: Request, response: Response, get: Parameters) -> None:
    """Adds an entry with a dangerous path to a tree, or to the siblings of model info."""
    if not _is_json(response) or response.status != 200:
        return
    value = json.loads(b"".join(part.data for part in response.body if isinstance(part, BytesPart)))
    if isinstance(value, list):
        value.append({"type": "file", "oid": "0" * 40, "size": 5, "path": get("entry")})
    elif isinstance(value.get("siblings"), list):
        value["siblings"].append({"rfilename": get("entry")})
    response.body = json_response(value).body


def _expired(request: Request, get: Parameters) -> Response:
    return expired()


def _at(fraction: float | None) -> dict[str, Any]:
    return {"fraction": fraction, "bytes": None}


KINDS: dict[str, Kind] = {
    "status": Kind(
        "an error status; 429 with retry_after or ratelimit_t (seconds)",
        {"status": 503, "retry_after": None, "ratelimit_t": None, "code": None, "message": None},
        before=_status,
    ),
    "reset": Kind("close without an answer, by RST or (rst false) by FIN", {"rst": True}, before=_reset),
    "redirect_loop": Kind("302 to the same address", {"relative": False}, before=_redirect_loop),
    "body": Kind(
        "another body: `json`, or `text`",
        {"status": 200, "json": None, "text": "", "content_type": "text/html; charset=utf-8"},
        before=_body,
    ),
    "expired": Kind("403 as for a signature that expired", before=_expired),
    "ignore_range": Kind("200 and the whole file to a Range request", before=_ignore_range),
    "cut": Kind("close in the body after a fraction, or after `bytes`", {**_at(0.5), "rst": False}, after=_cut),
    "stall": Kind(
        "wait before the headers, or in the body at fraction/bytes", {"seconds": 5.0, **_at(None)}, after=_stall
    ),
    "hold": Kind("wait before the headers until the rule is removed: no moment can be missed meanwhile"),
    "trickle": Kind("a body at so many bits per second", {"bps": 8000.0}, after=_trickle),
    "wrong_length": Kind("Content-Length off by delta", {"delta": 100}, after=_wrong_length),
    "wrong_range": Kind("Content-Range off by delta", {"delta": 1, "size_delta": 0}, after=_wrong_range),
    "flip": Kind("one bit inverted", {**_at(0.5), "file_offset": None, "bit": 0}, after=_flip),
    "etag": Kind("another ETag, a new one each time or `value`", {"value": None}, after=_etag),
    "headers": Kind("headers set and dropped", {"set": {}, "drop": []}, after=_headers),
    "no_commit": Kind("no X-Repo-Commit", after=_no_commit),
    "oversize_json": Kind("JSON blown up to `bytes`", {"bytes": 64 << 20}, after=_oversize_json),
    "malformed_json": Kind("JSON cut short with a true length", _at(0.5), after=_malformed_json),
    "replace": Kind("what `pattern` finds in JSON replaced `by`", {"pattern": "$^", "by": ""}, after=_replace),
    "move_branch": Kind("`branch` points at `target` before the answer is made", {"branch": "main", "target": None}),
    "link_loop": Kind("a next page that is this page", after=_link_loop),
    "link_away": Kind("a next page at another address", {"url": "http://127.0.0.1:9/"}, after=_link_away),
    "tree_path": Kind("a dangerous path in the tree", {"entry": "../../outside.txt"}, after=_tree_path),
}
