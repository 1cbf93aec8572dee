"""An emulated link: many senders share a fixed number of bits per second."""

from __future__ import annotations

import threading
import time

CREDIT_S = 0.01  # of idle time that may be made up for: enough to hide late wake-ups
PIECE_S = 0.002  # how long one piece occupies the link, so that connections take turns finely
PIECE_BYTES_MIN, PIECE_BYTES_MAX = 1400, 1 << 20


class Link:
    """A token bucket that hands out departure times; 0 bit/s means no limit."""

    def __init__(self, bps: float = 0.0) -> None:
        self.bps = bps
        self._lock = threading.Lock()
        self._free_at = 0.0  # when the last piece that was promised has left

    def piece_bytes(self) -> int:
        if not self.bps:
            return PIECE_BYTES_MAX
        return min(PIECE_BYTES_MAX, max(PIECE_BYTES_MIN, int(self.bps / 8 * PIECE_S)))

    def send(self, size: int) -> None:
        """Returns when `size` bytes have crossed the link."""
        with self._lock:
            if not self.bps:
                return
            now = time.monotonic()
            start = max(self._free_at, now - CREDIT_S) if self._free_at else now
            self._free_at = start + size * 8 / self.bps
            wait_s = self._free_at - now
        if wait_s > 0:
            time.sleep(wait_s)
