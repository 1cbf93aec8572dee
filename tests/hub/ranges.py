"""Conditional and range requests on a file (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re

from .messages import FilePart, Headers, Part, Request, Response, body_slice, text_response
from .repository import File

_SINGLE = re.compile(r"^bytes=\s*(\d*)-(\d*)\s*$")


class Unsatisfiable(Exception):
    """Nothing of the wanted range lies in the file."""


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """(start, end) with end exclusive; None to serve everything.

    Several ranges in one header, other units and nonsense count as no range, which a server may do.
    """
    match = _SINGLE.match(header or "")
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        count = min(int(last), size)
        if not count:
            raise Unsatisfiable
        return size - count, size
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return start, min(int(last) + 1, size) if last else size


def _tags(header: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]


def not_modified(request: Request, etag: str) -> bool:
    header = request.headers.get("If-None-Match")
    return bool(header) and ("*" == header.strip() or f'"{etag}"' in _tags(header))


def file_response(request: Request, file: File, etag: str, headers: Headers) -> Response:
    """The file, a piece of it, 304, 412 or 416; `headers` are those of a whole answer."""
    headers["ETag"] = f'"{etag}"'
    headers["Accept-Ranges"] = "bytes"
    if not_modified(request, etag):
        headers.pop("Content-Type")
        return Response(304, headers)
    if_match = request.headers.get("If-Match")
    if if_match and if_match.strip() != "*" and f'"{etag}"' not in _tags(if_match):
        return text_response(412, "Precondition Failed")
    whole: list[Part] = [FilePart(file.source, 0, file.size)]
    wanted = None if request.ignore_range else request.headers.get("Range")
    if_range = request.headers.get("If-Range")
    if if_range is not None and if_range.strip() != f'"{etag}"':
        wanted = None
    try:
        found = parse_range(wanted, file.size)
    except Unsatisfiable:
        return text_response(416, "The requested range is not satisfiable", {"Content-Range": f"bytes */{file.size}"})
    if found is None:
        return Response(200, headers, whole)
    start, end = found
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    return Response(206, headers, body_slice(whole, start, end), file_offset=start)
