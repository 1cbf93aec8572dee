"""The emulated hub without its sockets: a request in, an answer out."""

from __future__ import annotations

from typing import Any

from .access import Access, RateLimiter
from .api import Api
from .digests import Digests
from .faults import Faults, Rule
from .messages import HubError, Request, Response, text_response
from .repository import Library
from .resolve import Files
from .settings import Settings
from .targets import NOTHING, Target, moved, parse


class App:
    """Ties the protocol together; thread-safe."""

    def __init__(self, root: str, settings: Settings, digests: Digests) -> None:
        self.settings, self.digests = settings, digests
        self.library = Library(root, digests, settings.lfs_bytes)
        self.faults = Faults()
        self.limiter = RateLimiter(settings)
        access = Access(self.library, settings)
        self._api = Api(access, settings)
        self._files = Files(access, self.library, settings)

    def target(self, request: Request) -> Target:
        """What the request is about; takes the prefix off its address."""
        prefix = self.settings.prefix
        if prefix:
            if not request.path.startswith(f"{prefix}/") and not request.path.startswith("/xet-bridge/"):
                return NOTHING
            request.target = request.target.removeprefix(prefix)
            request.path = request.path.removeprefix(prefix)
        return parse(request, self.library)

    def answer(self, request: Request, target: Target) -> Response:
        """The hub's answer, spoiled by the rules that hit."""
        rules = self.faults.match(request, target, self.library)
        response = None
        for rule in rules:
            if rule.spec["kind"] == "move_branch":
                self._move(rule, target)
            if rule.kind.before and response is None:
                response = rule.kind.before(request, rule.parameter)
        if response is None:
            response = self._route(request, target)
        for rule in rules:
            if rule.kind.after:
                rule.kind.after(request, response, rule.parameter)
            if rule.spec["kind"] == "hold":
                rule.removed.wait()
        response.faults = [rule.spec["kind"] for rule in rules]
        return response

    def file_key(self, target: Target) -> str:
        """kind/owner/name@branch/path for the counters, "" if the request is for no file."""
        if not target.path or target.route not in ("resolve", "cdn"):
            return ""
        repository = self.library.find(target.kind, target.repo_id)
        commit = repository.find(target.revision) if repository else None
        return f"{target.kind}/{target.repo_id}@{commit.name if commit else target.revision}/{target.path}"

    def _move(self, rule: Rule, target: Target) -> None:
        repository = self.library.find(target.kind, target.repo_id)
        if repository:
            repository.move_branch(rule.parameter("branch"), rule.parameter("target"))

    def _route(self, request: Request, target: Target) -> Response:
        if target.route == "cdn":
            return self._files.answer(request, target)
        extra: dict[str, Any] = {}
        if target.route in ("api", "resolve"):
            within, extra = self.limiter.count("api" if target.route == "api" else "resolvers")
            if not within:
                response = HubError(429, None, "You have reached a rate limit.").response()
                return _with(response, extra)
        try:
            response = self._answer_target(request, target)
        except HubError as error:
            response = error.response()
        return _with(response, extra)

    def _answer_target(self, request: Request, target: Target) -> Response:
        if target.route == "other":
            return text_response(404, "Sorry, we can't find the page you are looking for.")
        if request.method not in ("GET", "HEAD") and target.action != "paths-info":
            return text_response(405, "Method Not Allowed")
        new_id = self.library.renamed(target.kind, target.repo_id) if target.repo_id else None
        if new_id:
            location = self.settings.prefix + moved(request, target, new_id)
            return text_response(307, f"Temporary Redirect. Redirecting to {location}", {"Location": location})
        if target.route == "api":
            return self._api.answer(request, target, f"{request.origin}{self.settings.prefix}")
        return self._files.answer(request, target)


def _with(response: Response, headers: dict[str, Any]) -> Response:
    for name, value in headers.items():
        response.headers[name] = value
    return response
