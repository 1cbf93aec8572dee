"""A daemon for benchmarks: the release build, started on a free port with a state of its own. Standard library only."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

TICKS_PER_S = os.sysconf("SC_CLK_TCK")

_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def program(name: str) -> Path:
    return Path(os.environ.get("BIFURCATED_BUILD", "build/release")).resolve() / name


@contextmanager
def running(command: list[Any], log: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is ended when the block is left."""
    with open(log, "ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def daemon(place: Path, options: list[str], hub_url: str | None = None) -> Iterator[tuple[str, int]]:
    """The daemon over the state folder place/state; yields its address and process id."""
    state = place / "state"
    (state / "address").unlink(missing_ok=True)
    env = os.environ | {"HOME": str(place), "HF_HUB_CACHE": str(place / "hub")}
    env |= {"HF_ENDPOINT": hub_url} if hub_url else {}
    command = [program("bifurcated"), "--listen", "127.0.0.1:0", "--state", state, *options]
    with running(command, place / "log", env) as process:
        while not (state / "address").exists():
            if process.poll() is not None:
                sys.exit(f"the daemon ended:\n{(place / 'log').read_text()}")
            time.sleep(0.02)
        yield (state / "address").read_text().strip(), process.pid


def get(url: str, headers: dict[str, str] | None = None) -> tuple[bytes, Any]:
    with _open(urllib.request.Request(url, headers=headers or {}), timeout=60) as answer:
        return answer.read(), answer.headers


def sweep(url: str, model: str, **request: Any) -> dict[str, Any]:
    """Starts a sweep and waits for its end; the sweep."""
    body = json.dumps({"model": model, **request}).encode()
    asked = urllib.request.Request(f"{url}/v1/sweeps", body, {"Content-Type": "application/json"})
    with _open(asked, timeout=60) as answer:
        number = json.load(answer)["id"]
    while (now := json.loads(get(f"{url}/v1/sweeps/{number}")[0]))["state"] in ("planning", "running"):
        time.sleep(0.02)
    if now["state"] != "done":
        sys.exit(f"the sweep ended as {now['state']}: {now}")
    return now


def metric(url: str, name: str) -> float:
    """One number of /metrics."""
    found = re.search(rf"^{name}(?:{{[^}}]*}})? ([\d.e+-]+)$", get(f"{url}/metrics")[0].decode(), re.MULTILINE)
    if not found:
        sys.exit(f"there is no metric {name}")
    return float(found.group(1))


def processor_s(pids: list[int]) -> float:
    """User and system time of these processes so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_S


def resident_kib(pid: int) -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
