"""What was served: counters and a log of requests.

Bytes are body bytes handed to the kernel. They are added before they are sent
and corrected if fewer went out, so a client that has its answer never sees a
counter that lags behind it.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from typing import Any, TextIO

LOG_ENTRIES_MAX = 200_000


class Stats:
    def __init__(self, log: TextIO | None = None) -> None:
        self._lock = threading.Lock()
        self._file = log
        self._connections = 0
        self._in_flight: dict[str, int] = {}
        self._generation = 0  # of counters; a request begun before a reset is in none
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._generation += 1
            self._began = time.monotonic()
            self._requests: dict[str, int] = {}
            self._bytes: dict[str, int] = {}
            self._files: dict[str, dict[str, int]] = {}
            self._statuses: dict[str, int] = {}
            self._faults: dict[str, int] = {}
            self._leaked_tokens = 0
            self._connections_total = self._connections_peak = self._connections
            self._in_flight_peak = dict(self._in_flight)
            self._log: deque[dict[str, Any]] = deque(maxlen=LOG_ENTRIES_MAX)

    def connected(self, change: int) -> None:
        with self._lock:
            self._connections += change
            self._connections_total += max(change, 0)
            self._connections_peak = max(self._connections_peak, self._connections)

    def begin(self, entry: dict[str, Any]) -> None:
        """Opens the record of a request; `route` is api, resolve, cdn or other."""
        with self._lock:
            route = entry["route"]
            entry.update(t=round(time.monotonic() - self._began, 6), status=None, bytes=0)
            entry["generation"] = self._generation
            self._requests[route] = self._requests.get(route, 0) + 1
            if entry["file"]:
                self._of_file(entry)["requests"] += 1
            now = self._in_flight[route] = self._in_flight.get(route, 0) + 1
            self._in_flight_peak[route] = max(self._in_flight_peak.get(route, 0), now)
            self._log.append(entry)

    def answering(self, entry: dict[str, Any], status: int | None, faults: list[str]) -> None:
        """Notes the status just before it is sent; None for a connection closed without an answer."""
        with self._lock:
            entry.update(status=status, faults=faults)
            if entry["generation"] != self._generation:
                return
            self._statuses[str(status)] = self._statuses.get(str(status), 0) + 1
            for fault in faults:
                self._faults[fault] = self._faults.get(fault, 0) + 1

    def count(self, entry: dict[str, Any], size: int) -> None:
        """Adds (or, negative, takes back) body bytes."""
        with self._lock:
            entry["bytes"] += size
            if entry["generation"] != self._generation:
                return
            self._bytes[entry["route"]] = self._bytes.get(entry["route"], 0) + size
            if entry["file"]:
                self._of_file(entry)["bytes"] += size

    def end(self, entry: dict[str, Any]) -> None:
        with self._lock:
            self._in_flight[entry["route"]] -= 1
            if entry["generation"] == self._generation:
                entry["seconds"] = round(time.monotonic() - self._began - entry["t"], 6)
            if self._file:
                print(json.dumps(entry), file=self._file, flush=True)

    def leaked_token(self) -> None:
        """An Authorization header arrived at the CDN."""
        with self._lock:
            self._leaked_tokens += 1

    def snapshot(self) -> dict[str, Any]:
        with self._lock:
            return {
                "seconds": round(time.monotonic() - self._began, 6),
                "requests": {"total": sum(self._requests.values()), **self._requests},
                "bytes": {"total": sum(self._bytes.values()), **self._bytes},
                "statuses": dict(self._statuses),
                "files": {name: dict(values) for name, values in self._files.items()},
                "faults": dict(self._faults),
                "leaked_tokens": self._leaked_tokens,
                "connections": {
                    "current": self._connections,
                    "peak": self._connections_peak,
                    "total": self._connections_total,
                },
                "in_flight": dict(self._in_flight),
                "in_flight_peak": dict(self._in_flight_peak),
            }

    def log(self) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(entry) for entry in self._log]

    def _of_file(self, entry: dict[str, Any]) -> dict[str, int]:
        return self._files.setdefault(entry["file"], {"requests": 0, "bytes": 0})
