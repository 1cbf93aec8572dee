"""The JSON API: model info, refs, tree, paths-info, commits, whoami."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from typing import Any, Callable
from urllib.parse import parse_qsl, urlencode

from .access import Access
from .messages import HubError, Request, Response, json_response
from .repository import Commit, File, Repository
from .settings import Settings
from .targets import Target

SAFETENSORS_HEADER_MAX = 25_000_000


class Api:
    """Answers the routes of targets.API_ACTIONS; `base_url` is the endpoint that absolute links start with."""

    def __init__(self, access: Access, settings: Settings) -> None:
        self.access, self.settings = access, settings

    def answer(self, request: Request, target: Target, base_url: str) -> Response:
        if target.action == "whoami":
            return self.whoami(request)
        if target.action == "list":
            return self.listing(request, target, base_url)
        repository = self.access.repository(request, target.kind, target.repo_id)
        if target.action == "refs":
            return self.refs(request, repository, base_url)
        commit = self.access.commit(repository, target.revision or "main")
        if target.action == "info":
            return self.info(request, repository, commit)
        if target.action == "tree":
            return self.tree(request, target, commit, base_url)
        if target.action == "paths-info":
            return self.paths_info(request, commit)
        if target.action == "commits":
            return self.commits(request, commit, base_url)
        raise HubError(404, None, "Xet is not offered here; files are served by plain HTTP")

    def whoami(self, request: Request) -> Response:
        user = self.access.user(request)
        if user is None:
            raise HubError(401, None, "Invalid username or password.")
        token = {"displayName": "emulator", "role": "read", "createdAt": "2023-02-13T12:00:00.000Z"}
        return json_response(
            {
                "type": "user",
                "id": _object_id(user),
                "name": "emulator",
                "fullname": "Hub Emulator",
                "email": "emulator@localhost",
                "emailVerified": True,
                "canPay": False,
                "periodEnd": None,
                "isPro": False,
                "avatarUrl": "/avatars/emulator.svg",
                "orgs": [],
                "auth": {"type": "access_token", "accessToken": token},
            }
        )

    def listing(self, request: Request, target: Target, base_url: str) -> Response:
        """A search: substrings of names, owners included; an owner that does not exist has an empty list."""
        author = request.query.get("author", [None])[0]
        search = request.query.get("search", [""])[0].lower()
        user = self.access.user(request)
        found = [
            repository
            for repository in self.access.library.repositories(target.kind)
            if (user or not repository.private)
            and search in repository.id.lower()
            and author in (None, repository.id.split("/")[0])
        ]
        page, headers = self._page(request, found, self.settings.page_size_models, base_url)
        return json_response([_listed(one, _expand(request)) for one in page], headers=headers)

    def refs(self, request: Request, repository: Repository, base_url: str) -> Response:
        def entry(name: str, ref: str, sha: str) -> dict[str, str]:
            return {"name": name, "ref": ref, "targetCommit": sha}

        extra = repository.extra_refs()
        converts = {ref: commit for ref, commit in extra.items() if ref.startswith("refs/convert/")}
        out: dict[str, Any] = {
            "tags": [entry(tag, f"refs/tags/{tag}", repository.find(tag).sha) for tag in repository.tags],
            "branches": [
                entry(name, f"refs/heads/{name}", commit.sha) for name, commit in repository.branches().items()
            ],
            "converts": [entry(ref.removeprefix("refs/convert/"), ref, commit.sha) for ref, commit in converts.items()],
        }
        if request.flag("include_prs") or request.flag("include_pull_requests"):
            pulls = {ref: commit for ref, commit in extra.items() if ref.startswith("refs/pr/")}
            out["pullRequests"] = [entry(ref.removeprefix("refs/"), ref, commit.sha) for ref, commit in pulls.items()]
        rows = [(section, one) for section, entries in out.items() for one in entries]
        rows, headers = self._page(request, rows, self.settings.page_size_refs or max(len(rows), 1), base_url)
        return json_response({section: [one for of, one in rows if of == section] for section in out}, headers=headers)

    def info(self, request: Request, repository: Repository, commit: Commit) -> Response:
        value = _info(repository, commit, blobs=request.flag("blobs"))
        if request.flag("securityStatus"):
            value["securityRepoStatus"] = {"scansDone": True, "filesWithIssues": []}
        expand = _expand(request)
        if expand:
            value = {name: value[name] for name in ["_id", "id", *expand] if name in value}
        return json_response(value, headers={"X-Repo-Commit": commit.sha})

    def tree(self, request: Request, target: Target, commit: Commit, base_url: str) -> Response:
        top = target.path.strip("/")
        folders = commit.folders()
        if top and top not in folders:
            message = f'{top} does not exist on "{target.revision}"'
            raise HubError(404, "EntryNotFound", message, {"X-Repo-Commit": commit.sha})
        recursive, expand = request.flag("recursive"), request.flag("expand")
        prefix = f"{top}/" if top else ""
        names = [name for name in [*folders, *commit.files] if name.startswith(prefix)]
        if not recursive:
            names = [name for name in names if "/" not in name[len(prefix) :]]
        page = self.settings.page_size_expand if expand else self.settings.page_size
        names, headers = self._page(request, sorted(names), page, base_url)
        entries = [_entry(commit, name, expand) for name in names]
        return json_response(entries, headers={"X-Repo-Commit": commit.sha, **headers})

    def paths_info(self, request: Request, commit: Commit) -> Response:
        if request.method != "POST":
            raise HubError(404, None, "Sorry, we can't find the page you are looking for.")
        paths, expand = _paths_of(request)
        folders = commit.folders()
        entries = [_entry(commit, path, expand) for path in paths if path in commit.files or path in folders]
        return json_response(entries, headers={"X-Repo-Commit": commit.sha})

    def commits(self, request: Request, commit: Commit, base_url: str) -> Response:
        """Newest first; pages have numbers, from 0."""
        history = list(commit.history())
        asked, number = _number(request, "limit", 50), _number(request, "p", 0)
        size = max(1, min(asked, self.settings.page_size_commits))
        page, headers = history[number * size : (number + 1) * size], {}
        if (number + 1) * size < len(history):
            query = _query_with(request, p=str(number + 1), limit=str(size))
            headers["Link"] = f'<{base_url}{request.path}?{query}>; rel="next"'
        entries = [
            {
                "id": one.sha,
                "title": one.title,
                "message": "",
                "authors": [{"user": "emulator", "avatar": "/avatars/emulator.svg"}],
                "date": one.date_text,
            }
            for one in page
        ]
        return json_response(entries, headers={"X-Total-Count": len(history), **headers})

    def _page(self, request: Request, items: list, size: int, base_url: str) -> tuple[list, dict[str, str]]:
        """One page of items and the Link to the next; the cursor is opaque to the client."""
        asked = request.query.get("limit", [""])[0]
        size = max(1, min(size, int(asked)) if asked.isdigit() and int(asked) else size)
        start = _read_cursor(request.query.get("cursor", [""])[0])
        headers = {}
        if start + size < len(items):
            query = _query_with(request, cursor=_write_cursor(start + size))
            headers["Link"] = f'<{base_url}{request.path}?{query}>; rel="next"'
        return items[start : start + size], headers


def _query(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.target.partition("?")[2], keep_blank_values=True)


def _query_with(request: Request, **values: str) -> str:
    """The request's query with some values set."""
    return urlencode([pair for pair in _query(request) if pair[0] not in values] + list(values.items()))


def _number(request: Request, name: str, default: int) -> int:
    text = request.query.get(name, [""])[0]
    return int(text) if text.isdigit() else default


def _expand(request: Request) -> list[str]:
    return request.query.get("expand", []) + request.query.get("expand[]", [])


def _listed(repository: Repository, expand: list[str]) -> dict[str, Any]:
    """An entry of a search: with what is asked for beside its id, or else with a dozen things, the commit not among them."""
    out: dict[str, Any] = {"_id": _object_id(repository.id), "id": repository.id}
    if not expand:
        return out | {"modelId": repository.id, "private": repository.private, "tags": [], "downloads": 0, "likes": 0}
    head = repository.find("main")
    if head is None:
        return out
    info = {"sha": head.sha} if expand == ["sha"] else _info(repository, head, blobs=False)  # which reads all files
    return out | {name: info[name] for name in expand if name in info}


def _write_cursor(offset: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"offset": offset}).encode()).decode()


def _read_cursor(text: str) -> int:
    if not text:
        return 0
    try:
        return max(0, int(json.loads(base64.urlsafe_b64decode(text))["offset"]))
    except (ValueError, KeyError, TypeError):
        raise HubError(400, None, "Invalid cursor") from None


def _object_id(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()[:24]


def _entry(commit: Commit, path: str, expand: bool) -> dict[str, Any]:
    file = commit.files.get(path)
    if file is None:
        names = [f"{name}:{one.oid}" for name, one in commit.files.items() if name.startswith(f"{path}/")]
        entry = {"type": "directory", "oid": hashlib.sha1("\n".join(names).encode()).hexdigest(), "size": 0}
    else:
        entry = {"type": "file", "oid": file.oid, "size": file.size}
        if file.lfs:
            entry["lfs"] = _lfs(file)
    entry["path"] = path
    if expand:
        entry["lastCommit"] = {"id": commit.sha, "title": commit.title, "date": commit.date_text}
        if file:
            scan = {"status": "safe", "message": "No issue found"}
            entry["securityFileStatus"] = {"status": "safe", "avScan": scan, "pickleImportScan": None}
    return entry


def _lfs(file: File) -> dict[str, Any]:
    return {"oid": file.etag, "size": file.size, "pointerSize": len(file.pointer)}


def _paths_of(request: Request) -> tuple[list[str], bool]:
    """The body of paths-info: a form (Python client) or JSON (JavaScript client)."""
    if "json" in (request.headers.get("Content-Type") or ""):
        try:
            value = json.loads(request.body)
            paths, expand = value["paths"], bool(value.get("expand"))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise HubError(400, None, "Invalid JSON body") from None
        return [str(path) for path in ([paths] if isinstance(paths, str) else paths)], expand
    form = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
    expand = any(name == "expand" and value.lower() in ("true", "1") for name, value in form)
    return [value for name, value in form if name == "paths"], expand


def _info(repository: Repository, commit: Commit, blobs: bool) -> dict[str, Any]:
    siblings: list[dict[str, Any]] = []
    for path, file in commit.files.items():
        sibling: dict[str, Any] = {"rfilename": path}
        if blobs:
            sibling.update(size=file.size, blobId=file.oid)
            if file.lfs:
                sibling["lfs"] = {"sha256": file.etag, **{k: v for k, v in _lfs(file).items() if k != "oid"}}
        siblings.append(sibling)
    value = {
        "_id": _object_id(repository.id),
        "id": repository.id,
        "author": repository.id.split("/")[0],
        "sha": commit.sha,
        "lastModified": commit.date_text,
        "createdAt": "2023-02-13T12:00:00.000Z",
        "private": repository.private,
        "gated": repository.gated,
        "disabled": repository.disabled,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": siblings,
        "usedStorage": sum(file.size for file in commit.files.values()),
    }
    if repository.kind == "models":
        value.update(modelId=repository.id, library_name="transformers", pipeline_tag="text-generation")
        config = commit.files.get("config.json")
        value.update(_optional("config", lambda: _config(config)))
        weights = commit.files.get("model.safetensors")
        value.update(_optional("safetensors", lambda: _parameters(weights)))
    return value


def _optional(name: str, read: Callable[[], Any]) -> dict[str, Any]:
    """A field that is left out where the file is missing or damaged."""
    try:
        return {name: read()}
    except (AttributeError, OSError, ValueError, KeyError, TypeError, struct.error):
        return {}


def _config(file: File | None) -> dict[str, Any]:
    with open(file.source, encoding="utf-8") as stream:
        config = json.load(stream)
    return {name: config[name] for name in ("architectures", "model_type") if name in config}


def _parameters(file: File | None) -> dict[str, Any]:
    with open(file.source, "rb") as stream:
        (size,) = struct.unpack("<Q", stream.read(8))
        if size > min(SAFETENSORS_HEADER_MAX, os.fstat(stream.fileno()).st_size):
            raise ValueError("header too large")
        header = json.loads(stream.read(size))
    counts: dict[str, int] = {}
    for name, tensor in header.items():
        if name != "__metadata__":
            count = 1
            for length in tensor["shape"]:
                count *= length
            counts[tensor["dtype"]] = counts.get(tensor["dtype"], 0) + count
    return {"parameters": counts, "total": sum(counts.values())}
