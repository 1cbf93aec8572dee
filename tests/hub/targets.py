"""What a request's address means, before anything is looked up.

Fault rules match on the result, so it names the file also for the CDN, whose
addresses carry the file's name in their query.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

from .messages import Request
from .repository import KINDS, Library

CDN_PATH = "/xet-bridge/"
API_ACTIONS = {"revision", "refs", "tree", "paths-info", "commits", "xet-read-token"}
FILE_ACTIONS = {"resolve", "raw"}


@dataclass(frozen=True)
class Target:
    """route: api, resolve, cdn or other. action: what of it. kind: models, datasets or spaces."""

    route: str
    action: str
    kind: str = ""
    repo_id: str = ""
    revision: str = ""  # name or sha, "" if the address has none
    path: str = ""  # of a file or folder within the repository


NOTHING = Target("other", "unknown")


def parse(request: Request, library: Library) -> Target:
    path = request.path
    if path.startswith(CDN_PATH):
        return _cdn(request)
    segments = path.strip("/").split("/")
    if segments[0] == "api":
        return _api(segments[1:], library)
    kind = "models"
    if segments[0] in KINDS:
        kind, segments = segments[0], segments[1:]
    for id_size in (2, 1):
        if len(segments) > id_size + 2 and segments[id_size] in FILE_ACTIONS:
            repo_id = _repo_id(segments[:id_size])
            revision, rest = _revision(segments[id_size + 1 :])
            return Target("resolve", segments[id_size], kind, repo_id, revision, _path(rest))
    return NOTHING


def _api(segments: list[str], library: Library) -> Target:
    if segments == ["whoami-v2"]:
        return Target("api", "whoami")
    if segments[0] == "resolve-cache" and len(segments) > 5 and segments[1] in KINDS:
        repo_id = _repo_id(segments[2:4])
        return Target("resolve", "resolve-cache", segments[1], repo_id, unquote(segments[4]), _path(segments[5:]))
    if segments[0] not in KINDS:
        return NOTHING
    kind, segments = segments[0], [segment for segment in segments[1:] if segment]
    if not segments:
        return Target("api", "list", kind)
    # one segment only for repositories of old, without an owner
    short = library.renamed(kind, unquote(segments[0])) and (len(segments) == 1 or segments[1] in API_ACTIONS)
    id_size = 1 if short or len(segments) == 1 else 2
    repo_id, segments = _repo_id(segments[:id_size]), segments[id_size:]
    if not segments:
        return Target("api", "info", kind, repo_id)
    action, segments = segments[0], segments[1:]
    if action not in API_ACTIONS:
        return NOTHING
    if action == "refs" or not segments:
        return Target("api", action, kind, repo_id)
    revision, rest = _revision(segments)
    return Target("api", "info" if action == "revision" else action, kind, repo_id, revision, _path(rest))


def _revision(segments: list[str]) -> tuple[str, list[str]]:
    """A revision's slashes are quoted, but the hub also takes refs/pr/1 and refs/convert/x plain."""
    if segments[0] == "refs" and len(segments) >= 3:
        return "/".join(unquote(segment) for segment in segments[:3]), segments[3:]
    return unquote(segments[0]), segments[1:]


def _repo_id(segments: list[str]) -> str:
    return "/".join(unquote(segment) for segment in segments)


def _path(segments: list[str]) -> str:
    return unquote("/".join(segments))


def _cdn(request: Request) -> Target:
    def first(name: str) -> str:
        return request.query.get(name, [""])[0]

    return Target("cdn", "blob", first("kind"), first("repo"), first("revision"), first("path"))


def moved(request: Request, target: Target, new_id: str) -> str:
    """The same address under the repository's new name."""
    old = quote(target.repo_id, safe="/")
    return request.target.replace(f"/{old}", f"/{quote(new_id, safe='/')}", 1)
