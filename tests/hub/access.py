"""Who may read what, and the hub's exact words when somebody may not."""

from __future__ import annotations

import math
import re
import threading
import time
from typing import Any

from .messages import HubError, Request
from .repository import Commit, File, Library, Repository
from .settings import Settings

_LOG_IN = {"WWW-Authenticate": 'Bearer realm="Authentication required", charset="UTF-8"'}


def check_repo_id(repo_id: str) -> None:
    parts = repo_id.split("/")
    good = (
        len(repo_id) <= 96
        and len(parts) <= 2
        and all(
            re.fullmatch(r"[A-Za-z0-9._-]+", part) and part[0] not in "-." and part[-1] not in "-." for part in parts
        )
        and "--" not in repo_id
        and ".." not in repo_id
        and not repo_id.endswith(".git")
    )
    if not good:
        raise HubError(400, None, f"Repo id must be in the form 'repo_name' or 'namespace/repo_name': '{repo_id}'.")


class Access:
    """Opens repositories, commits and files in the name of a request's user."""

    def __init__(self, library: Library, settings: Settings) -> None:
        self.library, self.settings = library, settings

    def user(self, request: Request) -> str | None:
        """The bearer token, or None for anonymous."""
        header = request.headers.get("Authorization")
        if not header:
            return None
        scheme, _, token = header.partition(" ")
        known = self.settings.tokens + self.settings.granted_tokens
        if scheme.lower() != "bearer" or not token or (known and token not in known):
            raise HubError(401, None, "Invalid credentials in Authorization header", _LOG_IN)
        return token

    def repository(self, request: Request, kind: str, repo_id: str) -> Repository:
        check_repo_id(repo_id)
        user = self.user(request)
        repository = self.library.find(kind, repo_id)
        if repository is None or (repository.private and user is None):
            if user is None:
                raise HubError(401, None, "Invalid username or password.", _LOG_IN)
            raise HubError(404, "RepoNotFound", "Repository not found")
        if repository.disabled:
            raise HubError(403, None, "Access to this resource is disabled.")
        return repository

    def check_gate(self, request: Request, repository: Repository) -> None:
        """Gated repositories show their pages to everyone but their files only to those on the list."""
        if not repository.gated:
            return
        what = f"{repository.kind.rstrip('s')} {repository.id}"
        user = self.user(request)
        if user is None:
            raise HubError(
                401,
                "GatedRepo",
                f"Access to {what} is restricted. You must have access to it and be authenticated to access it. "
                "Please log in.",
                _LOG_IN,
            )
        if user not in self.settings.granted_tokens + repository.config.get("granted", []):
            raise HubError(
                403,
                "GatedRepo",
                f"Access to {what} is restricted and you are not in the authorized list. "
                f"Visit {request.origin}/{repository.id} to ask for access.",
            )

    def commit(self, repository: Repository, revision: str) -> Commit:
        commit = repository.find(revision)
        if commit is None:
            raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def file(self, commit: Commit, path: str) -> File:
        file = commit.files.get(path)
        if file is None:
            raise HubError(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit.sha})
        return file


class RateLimiter:
    """Fixed windows, as on the hub: a bucket for the API, one for resolve, one for all users together."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._spent: dict[str, int] = {}
        self._began = time.monotonic()

    def reset(self) -> None:
        with self._lock:
            self._spent.clear()
            self._began = time.monotonic()

    def count(self, bucket: str) -> tuple[bool, dict[str, Any]]:
        """Counts one request; whether it is within the quota, and the headers that say so."""
        window = self.settings.quota_window_s
        quota = self.settings.api_quota if bucket == "api" else self.settings.resolve_quota
        with self._lock:
            now = time.monotonic()
            if now - self._began >= window:
                self._spent.clear()
                self._began = now
            spent = self._spent[bucket] = self._spent.get(bucket, 0) + 1
            left_s = max(1, math.ceil(self._began + window - now))  # never too early
        shown = quota or 100_000
        headers = {
            "RateLimit": f'"{bucket}";r={max(0, shown - spent)};t={left_s}',
            "RateLimit-Policy": f'"fixed window";"{bucket}";q={shown};w={round(window)}',
        }
        return not quota or spent <= quota, headers
