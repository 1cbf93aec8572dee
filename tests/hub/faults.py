"""Fault rules: which requests go wrong, and when.

A rule is a JSON object. `kind` says what happens (see KINDS in spoil.py); the
others say to which requests, and all that are given must hold:

  path         regular expression searched in the unquoted path and query
  file         regular expression searched in the file's path in the repository
  repo         owner/name
  revision     branch, tag or commit sha that the request is for
  method       GET, HEAD or POST
  route        api, resolve or cdn
  range        true: only requests with a Range header, false: only those without
  nth          only the n-th request that fits all of the above, from 1; or a list of such
  after        only requests after the first n that fit
  every        only each n-th request that fits
  times        at most so often
  probability  with this chance, drawn from a generator seeded with `seed` (default 0)
"""

from __future__ import annotations

import random
import re
import threading
from typing import Any

from .messages import Request
from .repository import Library
from .spoil import KINDS
from .targets import Target

CONDITIONS = {"path", "file", "repo", "revision", "method", "route", "range", "nth", "after", "every", "times",
              "probability", "seed"}  # fmt: skip


class Rule:
    """One rule with its own counts; ValueError says what is wrong with its JSON."""

    def __init__(self, number: int, spec: dict[str, Any]) -> None:
        if not isinstance(spec, dict) or spec.get("kind") not in KINDS:
            raise ValueError(f"a fault needs a kind out of: {', '.join(sorted(KINDS))}")
        allowed = CONDITIONS | set(KINDS[spec["kind"]].parameters) | {"kind"}
        for name in spec:
            if name not in allowed:
                raise ValueError(f"fault {spec['kind']!r}: unknown field {name!r}; known: {', '.join(sorted(allowed))}")
        self.number, self.spec, self.kind = number, spec, KINDS[spec["kind"]]
        try:
            self._path = re.compile(spec.get("path", ""))
            self._file = re.compile(spec["file"]) if "file" in spec else None
        except (re.error, TypeError) as error:
            raise ValueError(f"fault {spec['kind']!r}: bad regular expression: {error}") from error
        nth = spec.get("nth", [])
        self._nth = set(nth if isinstance(nth, list) else [nth])
        self._random = random.Random(spec.get("seed", 0))
        self.removed = threading.Event()
        self.seen = self.hits = 0

    def parameter(self, name: str) -> Any:
        return self.spec.get(name, self.kind.parameters[name])

    def fits(self, request: Request, target: Target, library: Library) -> bool:
        """Counts the request if it fits; True if this one is to go wrong."""
        if not self._fits_address(request, target, library):
            return False
        spec = self.spec
        self.seen += 1
        chosen = (
            (not self._nth or self.seen in self._nth)
            and self.seen > spec.get("after", 0)
            and self.seen % spec.get("every", 1) == 0
            and self.hits < spec.get("times", float("inf"))
            and ("probability" not in spec or self._random.random() < spec["probability"])
        )
        self.hits += chosen
        return chosen

    def _fits_address(self, request: Request, target: Target, library: Library) -> bool:
        spec = self.spec
        return (
            spec.get("method", request.method) == request.method
            and spec.get("route", target.route) == target.route
            and spec.get("repo", target.repo_id) == target.repo_id
            and spec.get("range", bool(request.headers.get("Range"))) == bool(request.headers.get("Range"))
            and bool(self._path.search(request.readable))
            and (self._file is None or bool(target.path and self._file.search(target.path)))
            and ("revision" not in spec or _same_revision(spec["revision"], target, library))
        )

    def report(self) -> dict[str, Any]:
        return {"id": self.number, "seen": self.seen, "hits": self.hits, **self.spec}


def _same_revision(wanted: str, target: Target, library: Library) -> bool:
    """Clients resolve a branch to its sha first, so a rule for a branch means its commits, old and new."""
    if wanted == target.revision:
        return True
    repository = library.find(target.kind, target.repo_id)
    commit = repository.find(wanted) if repository else None
    asked = repository.find(target.revision or "main") if commit else None
    return bool(asked) and asked.sha in {one.sha for one in commit.history()}


class Faults:
    """The list of rules; several may hit one request and are applied in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._next = 1

    def add(self, spec: dict[str, Any]) -> Rule:
        with self._lock:
            rule = Rule(self._next, spec)
            self._rules.append(rule)
            self._next += 1
            return rule

    def remove(self, number: int | None = None) -> int:
        """Removes one rule, or all; how many were removed."""
        with self._lock:
            kept = [rule for rule in self._rules if number is not None and rule.number != number]
            gone = [rule for rule in self._rules if rule not in kept]
            self._rules = kept
        for rule in gone:
            rule.removed.set()
        return len(gone)

    def match(self, request: Request, target: Target, library: Library) -> list[Rule]:
        with self._lock:
            return [rule for rule in self._rules if rule.fits(request, target, library)]

    def report(self) -> list[dict[str, Any]]:
        with self._lock:
            return [rule.report() for rule in self._rules]
