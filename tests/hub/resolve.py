"""Files: /{repo}/resolve/… and where it redirects to.

A git file goes to /api/resolve-cache/… by a relative 307, an LFS file to a CDN
under another host name by an absolute, signed 302 that expires. The CDN's ETag
is deliberately not the file's SHA-256, as on the real one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from urllib.parse import quote, urlencode

from .access import Access
from .messages import BytesPart, Headers, Request, Response, text_response
from .ranges import file_response, not_modified
from .repository import Commit, File, Library
from .settings import Settings
from .targets import CDN_PATH, Target

TEXT_SUFFIXES = (".json", ".jsonl", ".md", ".txt", ".py", ".yaml", ".yml", ".csv", ".gitattributes")


class Files:
    """Answers resolve, raw, resolve-cache and the CDN."""

    def __init__(self, access: Access, library: Library, settings: Settings) -> None:
        self.access, self.library, self.settings = access, library, settings
        self._secret = secrets.token_bytes(16)

    def answer(self, request: Request, target: Target) -> Response:
        if target.route == "cdn":
            return self.cdn(request)
        repository = self.access.repository(request, target.kind, target.repo_id)
        self.access.check_gate(request, repository)
        commit = self.access.commit(repository, target.revision)
        file = self.access.file(commit, target.path)
        if target.action == "raw":
            return self.raw(request, commit, file)
        if target.action == "resolve-cache":
            headers = self._headers(commit, file)
            response = file_response(request, file, file.etag, headers)
            response.compressible = file.path.endswith(TEXT_SUFFIXES)
            return response
        return self.resolve(request, target, commit, file)

    def resolve(self, request: Request, target: Target, commit: Commit, file: File) -> Response:
        if file.lfs:
            headers = {
                "X-Repo-Commit": commit.sha,
                "X-Linked-Size": file.size,
                "X-Linked-ETag": f'"{file.etag}"',
                "Accept-Ranges": "bytes",
            }
            if not_modified(request, file.etag):
                return Response(304, Headers({"ETag": f'"{file.etag}"', **headers}))
            location = self._signed(request, target, commit, file)
            return _redirect(302, "Found", location, headers)
        headers = {"X-Repo-Commit": commit.sha, "Accept-Ranges": "bytes"}
        if not_modified(request, file.etag):
            return Response(304, Headers({"ETag": f'"{file.etag}"', **headers}))
        path = (
            f"{self.settings.prefix}/api/resolve-cache/{target.kind}/{target.repo_id}/{commit.sha}/{quote(file.path)}"
        )
        query = quote(request.path, safe="") + "=&etag=" + quote(f'"{file.etag}"', safe="")
        return _redirect(307, "Temporary Redirect", f"{path}?{query}", headers)

    def raw(self, request: Request, commit: Commit, file: File) -> Response:
        """The file as git holds it: for LFS the pointer."""
        headers = self._headers(commit, file)
        if not file.lfs:
            return file_response(request, file, file.oid, headers)
        headers["Content-Type"] = "text/plain; charset=utf-8"
        headers["ETag"] = f'"{file.oid}"'
        return Response(200, headers, [BytesPart(file.pointer)])

    def cdn(self, request: Request) -> Response:
        """Object storage: knows no tokens, only signatures."""
        if request.headers.get("Authorization"):
            return _storage_error(400, "InvalidArgument", "Only one auth mechanism allowed")
        query = {name: values[0] for name, values in request.query.items()}
        expires = query.get("Expires", "")
        good = hmac.compare_digest(query.get("Signature", ""), self._sign(request.path, expires))
        if not good:
            return _storage_error(403, "SignatureDoesNotMatch", "The request signature does not match")
        if time.time() >= float(expires):
            return expired()
        file = self.library.blobs.get(request.path.rpartition("/")[2])
        if file is None:
            return _storage_error(404, "NoSuchKey", "The specified key does not exist.")
        headers = Headers(
            {
                "Content-Type": "application/octet-stream",
                "Content-Disposition": _disposition(query.get("path", "file")),
                "Cache-Control": "public, max-age=31536000",
                "X-Cache": "Hit from emulator",
            }
        )
        return file_response(request, file, file.xet_hash, headers)

    def _headers(self, commit: Commit, file: File) -> Headers:
        text = file.path.endswith(TEXT_SUFFIXES)
        return Headers(
            {
                "Content-Type": "text/plain; charset=utf-8" if text else "application/octet-stream",
                "Content-Disposition": _disposition(file.path),
                "X-Repo-Commit": commit.sha,
            }
        )

    def _signed(self, request: Request, target: Target, commit: Commit, file: File) -> str:
        """An address at the CDN; its query also says which file it is, for logs and fault rules."""
        self.library.blobs[file.xet_hash] = file
        path = f"{CDN_PATH}{hashlib.sha1(target.repo_id.encode()).hexdigest()[:24]}/{file.xet_hash}"
        expires = str(round(time.time() + self.settings.url_ttl_s, 3))
        query = {
            "response-content-disposition": _disposition(file.path),
            "kind": target.kind,
            "repo": target.repo_id,
            "revision": commit.sha,
            "path": file.path,
            "Expires": expires,
            "Signature": self._sign(path, expires),
            "Key-Pair-Id": "EMULATOR",
        }
        return f"{self._cdn_origin(request)}{path}?{urlencode(query)}"

    def _cdn_origin(self, request: Request) -> str:
        """Another host name for the same server: localhost for 127.0.0.1 and the other way round."""
        if self.settings.cdn_host:
            return self.settings.cdn_host
        name, colon, port = request.host.partition(":")
        if request.proxied and name not in ("localhost", "127.0.0.1"):
            name = f"cdn.{name}"
        else:
            name = "127.0.0.1" if name == "localhost" else "localhost"
        return f"{request.scheme}://{name}{colon}{port}"

    def _sign(self, path: str, expires: str) -> str:
        return hmac.new(self._secret, f"{path}?{expires}".encode(), "sha256").hexdigest()


def expired() -> Response:
    return _storage_error(403, "AccessDenied", "Request has expired")


def _redirect(status: int, reason: str, location: str, headers: dict) -> Response:
    return text_response(status, f"{reason}. Redirecting to {location}", {"Location": location, **headers})


def _storage_error(status: int, code: str, message: str) -> Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    response = text_response(status, text)
    response.headers["Content-Type"] = "application/xml"
    return response


def _disposition(path: str) -> str:
    name = path.rpartition("/")[2]
    plain = name.encode("ascii", "replace").decode().replace('"', "")
    return f"inline; filename*=UTF-8''{quote(name)}; filename=\"{plain}\";"
