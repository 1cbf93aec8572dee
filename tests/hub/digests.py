"""Digests of the files that are served, remembered from one start to the next.

Files that git would hold have git's blob id (SHA-1), LFS files their SHA-256.
The memory is a JSON file outside the served folder, keyed by path, size and
modification time; it is only a short cut and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading

CHUNK_BYTES = 1 << 20


def default_cache_path() -> str:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(home, "bifurcated-hub-emulator", "digests.json")


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


class Digests:
    """Computes digests on demand; safe to use from many threads."""

    def __init__(self, cache_path: str = "") -> None:
        """With no path nothing is remembered."""
        self._path = cache_path
        self._lock = threading.Lock()
        self._known = self._read()
        self._fresh: dict[str, str] = {}

    def of_file(self, path: str, size: int, mtime_ns: int, lfs: bool) -> str:
        """SHA-256 of an LFS file, git's blob id of any other."""
        key = f"{'sha256' if lfs else 'git'}:{size}:{mtime_ns}:{os.path.abspath(path)}"
        with self._lock:
            known = self._known.get(key)
        if known:
            return known
        digest = hashlib.sha256() if lfs else hashlib.sha1(b"blob %d\0" % size)
        with open(path, "rb") as file:
            while data := file.read(CHUNK_BYTES):
                digest.update(data)
        value = digest.hexdigest()
        with self._lock:
            self._known[key] = self._fresh[key] = value
        return value

    def save(self) -> None:
        """Adds what was computed since to the cache file; failure to write only costs time."""
        with self._lock:
            fresh, self._fresh = self._fresh, {}
        if not self._path or not fresh:
            return
        known = {**self._read(), **fresh}
        known = {key: value for key, value in known.items() if os.path.exists(key.split(":", 3)[3])}
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=os.path.dirname(self._path))
            with os.fdopen(handle, "w") as file:
                json.dump(known, file)
            os.replace(temporary, self._path)
        except OSError:
            pass

    def _read(self) -> dict[str, str]:
        if not self._path:
            return {}
        try:
            with open(self._path) as file:
                known = json.load(file)
            return known if isinstance(known, dict) else {}
        except (OSError, ValueError):
            return {}
