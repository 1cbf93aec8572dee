"""/_emulator/…: the emulator's own interface, in JSON. It is neither counted nor slowed nor spoiled.

GET    /_emulator/stats               counters (?log=1 adds the log)
GET    /_emulator/log                 every request since the last reset
POST   /_emulator/reset               zeroes counters and log; {"all": true} also removes fault rules, puts
                                      settings and branches back as they were at the start
POST   /_emulator/drop                ends all other connections and all stalls, as when their clients were gone
GET    /_emulator/settings            the knobs;  POST {"bandwidth_bps": 2e8, …} sets some
GET    /_emulator/faults              the rules;  POST {"kind": "cut", …} adds one;  DELETE removes all, ?id=N one
GET    /_emulator/repositories        what is served: branches, tags and their commits
POST   /_emulator/branches            {"repo": "o/n", "branch": "main", "target": "step8"[, "kind": "datasets"][, "title"]}
                                      moves or adds a branch, by a commit of that title;  "target": null deletes it
POST   /_emulator/squash              {"repo": "o/n", "branch": "main"[, "kind": "datasets"]}
                                      one commit without history; those that no ref leads to are gone
"""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

from .app import App
from .messages import Request, Response, json_response
from .repository import KINDS, Repository, RepositoryError
from .settings import Settings
from .stats import Stats

PREFIX = "/_emulator/"


class ControlError(Exception):
    """A request to the control interface that cannot be met."""


class Control:
    def __init__(self, app: App, stats: Stats) -> None:
        self.app, self.stats = app, stats
        self._first_settings: Settings = copy.deepcopy(app.settings)

    def answer(self, request: Request) -> Response:
        handler = getattr(self, f"_{request.method.lower()}_{request.path.removeprefix(PREFIX)}", None)
        if handler is None:
            return json_response({"error": f"no {request.method} {request.path}"}, 404)
        try:
            return json_response(handler(request))
        except (ControlError, RepositoryError, ValueError, KeyError, TypeError) as error:
            return json_response({"error": str(error)}, 400)

    def _get_stats(self, request: Request) -> Any:
        snapshot = self.stats.snapshot()
        if request.flag("log"):
            snapshot["log"] = self.stats.log()
        return snapshot

    def _get_log(self, request: Request) -> Any:
        return self.stats.log()

    def _post_reset(self, request: Request) -> Any:
        if _object(request).get("all"):
            self.app.faults.remove()
            self.app.settings.update(dataclasses.asdict(self._first_settings))
            self.app.limiter.reset()
            self.app.library.scan()
        self.stats.reset()
        return {}

    def _post_drop(self, request: Request) -> Any:
        return {}  # the server does it, whose the connections are

    def _get_settings(self, request: Request) -> Any:
        return dataclasses.asdict(self.app.settings)

    def _post_settings(self, request: Request) -> Any:
        self.app.settings.update(_object(request))
        self.app.limiter.reset()
        return dataclasses.asdict(self.app.settings)

    def _get_faults(self, request: Request) -> Any:
        return self.app.faults.report()

    def _post_faults(self, request: Request) -> Any:
        return self.app.faults.add(_object(request)).report()

    def _delete_faults(self, request: Request) -> Any:
        number = request.query.get("id", [None])[0]
        return {"removed": self.app.faults.remove(None if number is None else int(number))}

    def _get_repositories(self, request: Request) -> Any:
        return [
            {
                "kind": kind,
                "id": repository.id,
                "branches": {name: commit.sha for name, commit in repository.branches().items()},
                "tags": {tag: repository.find(tag).sha for tag in repository.tags},
            }
            for kind in KINDS
            for repository in self.app.library.repositories(kind)
        ]

    def _repository(self, value: dict[str, Any]) -> Repository:
        repository = self.app.library.find(value.get("kind", "models"), value["repo"])
        if repository is None:
            raise ControlError(f"no repository {value['repo']!r}")
        return repository

    def _post_squash(self, request: Request) -> Any:
        value = _object(request)
        return {"sha": self._repository(value).squash_branch(value["branch"]).sha}

    def _post_branches(self, request: Request) -> Any:
        value = _object(request)
        repository = self._repository(value)
        if value["target"] is None:
            repository.delete_branch(value["branch"])
            return {"sha": None}
        return {"sha": repository.move_branch(value["branch"], value["target"], value.get("title")).sha}


def _object(request: Request) -> dict[str, Any]:
    value = json.loads(request.body or b"{}")
    if not isinstance(value, dict):
        raise ControlError("expected a JSON object")
    return value
