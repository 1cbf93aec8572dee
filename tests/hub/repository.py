"""The repositories that are served: folders of revisions seen as a git hub.

ROOT/models/<owner>/<name>/<revision>/<files> is one branch per folder; folders
that begin with `_` or `.` are not. ROOT/models/<owner>/<name>/branches.json may
add names and shared files (see README.md). ROOT/datasets and ROOT/spaces alike.

A commit is immutable, as on the hub: a branch that moves gets a new commit, and
the old commit's files stay reachable by its sha, until its history is squashed.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Iterator

from .digests import Digests, git_oid, lfs_pointer

KINDS = ("models", "datasets", "spaces")
LFS_SUFFIXES = (
    ".safetensors .bin .pt .pth .ckpt .h5 .msgpack .onnx .npy .npz .parquet .arrow .gguf "
    ".zip .gz .bz2 .xz .zst .tar .tgz"
).split()
CONFIG_KEYS = {
    "branches", "histories", "tags", "pulls", "converts", "shared", "gated", "private", "disabled", "granted",
    "renamed_from",
}  # fmt: skip
FIRST_DATE = datetime(2023, 2, 13, 12, 0, 0, tzinfo=timezone.utc)


class RepositoryError(Exception):
    """The served folder or a request to change it is not in order."""


@dataclass(frozen=True)
class File:
    """One file of one commit; digests are computed when first asked for."""

    path: str  # within the repository
    source: str  # on disk
    size: int
    mtime_ns: int
    lfs: bool
    digests: Digests = field(repr=False, compare=False)

    @property
    def etag(self) -> str:
        """What the hub calls the file: SHA-256 (LFS) or git's blob id."""
        return self.digests.of_file(self.source, self.size, self.mtime_ns, self.lfs)

    @property
    def oid(self) -> str:
        """The id of git's blob: of the file itself, or of its LFS pointer."""
        return git_oid(self.pointer) if self.lfs else self.etag

    @property
    def pointer(self) -> bytes:
        return lfs_pointer(self.etag, self.size)

    @property
    def xet_hash(self) -> str:
        """The CDN's own name and ETag: 64 hex digits that are not the SHA-256."""
        return hashlib.sha256(b"xet:" + self.etag.encode()).hexdigest()


@dataclass(frozen=True)
class Commit:
    sha: str
    name: str  # of the branch that it was made for
    files: dict[str, File]
    parent: "Commit | None"
    date: datetime
    title: str

    def history(self) -> Iterator["Commit"]:
        commit: Commit | None = self
        while commit:
            yield commit
            commit = commit.parent

    @property
    def date_text(self) -> str:
        return self.date.strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def folders(self) -> set[str]:
        """Every folder of the tree, without the root."""
        out: set[str] = set()
        for path in self.files:
            while "/" in path:
                path = path.rpartition("/")[0]
                out.add(path)
        return out


class Repository:
    """One repository: its refs and every commit that was made and not squashed."""

    def __init__(self, folder: str, kind: str, repo_id: str, digests: Digests, lfs_bytes: int) -> None:
        self.folder, self.kind, self.id = folder, kind, repo_id
        self._digests, self._lfs_bytes = digests, lfs_bytes
        self._lock = threading.RLock()
        self.config = self._read_config()
        self.load()

    def load(self) -> None:
        """(Re)reads the folder: branches as they were at the start, and no commit that was made since."""
        with self._lock:
            self.config = self._read_config()
            self._commits: dict[str, Commit] = {}  # their dates depend on what else there was
            self._sources: dict[str, str] = {}  # branch -> folder, until its commit is needed
            self._heads: dict[str, Commit] = {}
            self._order: list[str] = []
            for name in sorted(os.listdir(self.folder)):
                if name[0] not in "._" and os.path.isdir(os.path.join(self.folder, name)):
                    self._set_source(name, name)
            for name, target in self.config.get("branches", {}).items():
                self._set_source(name, target)
            for name, entries in self.config.get("histories", {}).items():
                self._set_source(name, entries[-1][1])
            for section in ("converts", "pulls"):
                for target in self.config.get(section, {}).values():
                    self._folder(target)
            self.tags = dict(self.config.get("tags", {}))

    # ---- what is asked -------------------------------------------------------------------------

    @property
    def private(self) -> bool:
        return bool(self.config.get("private", False))

    @property
    def gated(self) -> Any:
        """False, "auto" or "manual"."""
        gated = self.config.get("gated", False)
        return "auto" if gated is True else gated

    @property
    def disabled(self) -> bool:
        return bool(self.config.get("disabled", False))

    def branches(self) -> dict[str, Commit]:
        with self._lock:
            return {name: self.head(name) for name in list(self._order)}

    def extra_refs(self) -> dict[str, Commit]:
        """Pull requests and converted branches, by full ref name."""
        out = {}
        for section, prefix in (("converts", "refs/convert/"), ("pulls", "refs/pr/")):
            for name, target in self.config.get(section, {}).items():
                out[prefix + name] = self._commit(prefix + name, self._folder(target), None)
        return out

    def head(self, branch: str) -> Commit:
        """The branch's commit, made on first use; KeyError if there is no such branch."""
        with self._lock:
            if branch not in self._heads:
                self._heads[branch] = self._history(branch) or self._commit(branch, self._sources[branch], None)
            return self._heads[branch]

    def find(self, revision: str) -> Commit | None:
        """A commit by branch, tag, full ref name, HEAD or sha; None if unknown."""
        with self._lock:
            if revision == "HEAD":
                revision = "main"
            name = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
            if name in self._sources:
                return self.head(name)
            if name in self.tags:
                target = self.tags[name]
                return self.head(target) if target in self._sources else self._commit(name, self._folder(target), None)
            if revision.startswith("refs/"):
                return self.extra_refs().get(revision)
            if len(revision) == 40:
                if revision not in self._commits:
                    self.branches(), self.extra_refs()  # digests are lazy: now all are needed
                return self._commits.get(revision)
            return None

    # ---- what is changed -----------------------------------------------------------------------

    def move_branch(self, branch: str, target: str, title: str | None = None) -> Commit:
        """Points a (new or old) branch at a folder's or another branch's files: a new commit."""
        with self._lock:
            parent = self.head(branch) if branch in self._sources else None
            folder = self._folder(target)
            self._set_source(branch, folder)
            self._heads[branch] = self._commit(branch, folder, parent, title)
            return self._heads[branch]

    def squash_branch(self, branch: str) -> Commit:
        """One commit without a parent has the branch's files; whatever no ref leads to is gone."""
        with self._lock:
            self.head(branch)
            self._heads[branch] = self._commit(branch, self._sources[branch], None, f"Super-squash branch '{branch}'")
            heads = [*self.branches().values(), *self.extra_refs().values(), *map(self.find, self.tags)]
            kept = {commit.sha for head in heads for commit in head.history()}
            self._commits = {sha: commit for sha, commit in self._commits.items() if sha in kept}
            return self._heads[branch]

    def delete_branch(self, branch: str) -> None:
        with self._lock:
            if branch not in self._sources:
                raise RepositoryError(f"{self.id}: no branch {branch!r}")
            self.head(branch)  # its commit stays reachable
            del self._sources[branch], self._heads[branch]
            self._order.remove(branch)

    # ---- inside --------------------------------------------------------------------------------

    def _read_config(self) -> dict[str, Any]:
        path = os.path.join(self.folder, "branches.json")
        try:
            with open(path, encoding="utf-8") as file:
                config = json.load(file)
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise RepositoryError(f"{path}: {error}") from error
        unknown = set(config) - CONFIG_KEYS
        if unknown:
            raise RepositoryError(
                f"{path}: unknown key {sorted(unknown)[0]!r}; known: {', '.join(sorted(CONFIG_KEYS))}"
            )
        return config

    def _set_source(self, branch: str, target: str) -> None:
        folder = self._folder(target)
        if branch not in self._sources:
            self._order.append(branch)
        self._sources[branch] = folder
        self._heads.pop(branch, None)

    def _folder(self, target: str) -> str:
        """The folder that a folder's or branch's name stands for."""
        if os.path.isdir(os.path.join(self.folder, target)):
            return target
        if target in self._sources:
            return self._sources[target]
        raise RepositoryError(f"{self.folder}: no revision folder or branch {target!r}")

    def _history(self, branch: str) -> Commit | None:
        """The newest of the commits that the configuration says a branch has, oldest first: [title, folder]."""
        commit = None
        for title, target in self.config.get("histories", {}).get(branch, []):
            commit = self._commit(branch, self._folder(target), commit, title)
        return commit

    def _commit(self, name: str, folder: str, parent: Commit | None, title: str | None = None) -> Commit:
        files = self._scan(folder)
        content = [(path, file.oid, file.size) for path, file in sorted(files.items())]
        made_of = [self.kind, self.id, name, content]
        if title is not None or parent:  # of several commits with the same files each has its own history
            made_of += [title, parent.sha if parent else None]
        sha = hashlib.sha1(json.dumps(made_of).encode()).hexdigest()
        if sha not in self._commits:
            age = len(list(parent.history())) if parent else 0
            place = self._order.index(name) if name in self._order else 0
            date = FIRST_DATE + timedelta(hours=place, days=age)
            if title is None:
                title = f"Upload {folder}" if name == folder else f"Point {name} at {folder}"
            self._commits[sha] = Commit(sha, name, files, parent, date, title)
        return self._commits[sha]

    def _scan(self, folder: str) -> dict[str, File]:
        files: dict[str, File] = {}
        for path, source in self.config.get("shared", {}).items():
            files[path] = self._file(path, os.path.join(self.folder, source))
        top = os.path.join(self.folder, folder)
        for base, folders, names in os.walk(top, followlinks=True):
            folders.sort()
            for name in sorted(names):
                source = os.path.join(base, name)
                path = os.path.relpath(source, top).replace(os.sep, "/")
                files[path] = self._file(path, source)
        return dict(sorted(files.items()))

    def _file(self, path: str, source: str) -> File:
        try:
            found = os.stat(source)
        except OSError as error:
            raise RepositoryError(f"{source}: {error.strerror}") from error
        lfs = path.endswith(tuple(LFS_SUFFIXES)) or found.st_size >= self._lfs_bytes
        return File(path, source, found.st_size, found.st_mtime_ns, lfs, self._digests)


class Library:
    """All repositories under one root."""

    def __init__(self, root: str, digests: Digests, lfs_bytes: int) -> None:
        self.root, self._digests, self._lfs_bytes = root, digests, lfs_bytes
        self.blobs: dict[str, File] = {}  # CDN name -> file, filled as links are given out
        self._repositories: dict[tuple[str, str], Repository] = {}
        self._renamed: dict[tuple[str, str], str] = {}
        self.scan()

    def scan(self) -> None:
        """Reads the folders again; moved branches return to what the folders say."""
        if not os.path.isdir(self.root):
            raise RepositoryError(f"{self.root}: no such folder")
        for kind in KINDS:
            for owner in _folders(os.path.join(self.root, kind)):
                for name in _folders(os.path.join(self.root, kind, owner)):
                    self._add(kind, f"{owner}/{name}")

    def _add(self, kind: str, repo_id: str) -> None:
        known = self._repositories.get((kind, repo_id))
        if known:
            known.load()
            return
        folder = os.path.join(self.root, kind, *repo_id.split("/"))
        repository = Repository(folder, kind, repo_id, self._digests, self._lfs_bytes)
        self._repositories[kind, repo_id] = repository
        for old in repository.config.get("renamed_from", []):
            self._renamed[kind, old] = repo_id

    def find(self, kind: str, repo_id: str) -> Repository | None:
        return self._repositories.get((kind, repo_id))

    def renamed(self, kind: str, repo_id: str) -> str | None:
        """The present name of a repository that was once called so."""
        return self._renamed.get((kind, repo_id))

    def repositories(self, kind: str) -> list[Repository]:
        return [repository for (its_kind, _), repository in self._repositories.items() if its_kind == kind]


def _folders(path: str) -> list[str]:
    if not os.path.isdir(path):
        return []
    return sorted(name for name in os.listdir(path) if name[0] not in "._" and os.path.isdir(os.path.join(path, name)))
