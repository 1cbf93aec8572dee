#!/usr/bin/env python3
"""Instructions in user space of one cached answer and of one 304, counted by callgrind; system calls, by strace.

    BIFURCATED_BUILD=build/release python3 -m tests.bench.instructions [--requests 2000] [--functions]

Unlike times, counts are the same on a busy machine. The run is that of tests.bench.api, one thread, one connection that
is kept. Callgrind counts each byte that `rep stosb` zeroes as an instruction: what libmicrohttpd zeroes of a connection's
memory after each request is shown apart.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.api import FIELDS, write_run
from tests.bench.serving import daemon, running, sweep


class Client:
    """One connection that asks for one target."""

    def __init__(self, url: str, target: str):
        host, port = url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)))
        self.head = f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\n"

    def ask(self, extra: str, times: int = 1) -> str:
        """The head of the last answer."""
        answer = b""
        for _ in range(times):
            self.socket.sendall(f"{self.head}{extra}\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += self.socket.recv(65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            left = int(re.search(rb"Content-Length: (\d+)", head).group(1)) - len(body)
            while left:
                left -= len(self.socket.recv(left))
        return answer.partition(b"\r\n\r\n")[0].decode()


def started(state: Path, process: Any, log: Path) -> str:
    while not (state / "address").exists():
        if process.poll() is not None:
            sys.exit(log.read_text())
        time.sleep(0.1)
    return (state / "address").read_text().strip()


def count_instructions(command: list[Any], place: Path, target: str, requests: int, functions: bool) -> None:
    out = place / "callgrind"
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", f"--callgrind-out-file={out}"]
    (place / "state" / "address").unlink(missing_ok=True)
    with running([*valgrind, *command], place / "log", os.environ | {"HOME": str(place)}) as process:
        client = Client(started(place / "state", process, place / "log"), target)
        etag = re.search("ETag: (.*)", client.ask("")).group(1).strip()
        for what, extra in (("cached answer", ""), ("304", f"If-None-Match: {etag}\r\n")):
            control = lambda *words: subprocess.run(["callgrind_control", *words, str(process.pid)], capture_output=True)
            client.ask(extra, 100)
            control("-i", "on")
            client.ask(extra, requests)
            control("-i", "off")
            control("-d")
            time.sleep(1)
            show(what, place, requests, functions)
            for file in place.glob("callgrind.*"):
                file.unlink()


def show(what: str, place: Path, requests: int, functions: bool) -> None:
    """The thread that answered, by what the code belongs to."""
    texts = [subprocess.run(["callgrind_annotate", "--auto=no", "--threshold=100", file], capture_output=True, text=True).stdout
             for file in place.glob("callgrind.*-*")]  # fmt: skip
    text = max((text for text in texts if "api_dispatch" in text), key=len)
    parts = {"zeroing": 0.0, "libmicrohttpd": 0.0, "libc": 0.0, "bifurcated": 0.0}
    rows = re.findall(r"^\s*([\d,]+) \(\s*[\d.]+%\)\s+(\S.*)$", text, re.MULTILINE)
    for number, name in rows:
        if "PROGRAM TOTALS" in name:
            continue
        part = "zeroing" if "memset" in name else "libmicrohttpd" if "libmicrohttpd" in name else \
            "libc" if re.search(r"libc\.so|/nptl/|/malloc/", name) else "bifurcated"  # fmt: skip
        parts[part] += int(number.replace(",", "")) / requests
        if functions and int(number.replace(",", "")) >= 20 * requests:
            print(f"{int(number.replace(',', '')) / requests:9.0f}  {name[:110]}")
    total = sum(parts.values()) - parts["zeroing"]
    print(f"{what}: {total:.0f} instructions, " + ", ".join(f"{name} {value:.0f}" for name, value in parts.items() if name != "zeroing")
          + f"; and {parts['zeroing']:.0f} bytes zeroed")  # fmt: skip


def count_calls(command: list[Any], place: Path, target: str, requests: int) -> None:
    (place / "state" / "address").unlink(missing_ok=True)
    with running(command, place / "log", os.environ | {"HOME": str(place)}) as process:
        client = Client(started(place / "state", process, place / "log"), target)
        client.ask("", 10)
        tracer = subprocess.Popen(["strace", "-f", "-c", "-o", place / "calls", "-p", str(process.pid)], stderr=subprocess.DEVNULL)
        time.sleep(2)
        client.ask("", requests)
        tracer.terminate()
        tracer.wait()
        calls = re.findall(r"\s(\d+)\s+(?:\d+ )?(recvfrom|sendto|sendmsg|sendfile|epoll_wait|epoll_ctl|setsockopt)$",
                           (place / "calls").read_text(), re.MULTILINE)  # fmt: skip
        print("system calls of a cached answer: " + ", ".join(f"{name} {int(n) / requests:.2f}" for n, name in calls))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--functions", action="store_true", help="and each function of at least 20")
    arguments = parser.parse_args()
    for tool in ("valgrind", "strace"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is not installed: apt-get install {tool}")
    with tempfile.TemporaryDirectory(prefix="bench_instructions_") as folder:
        place = Path(folder)
        write_run(place / "run")
        with daemon(place, ["--http-threads", "1"]) as (url, _):
            sweep(url, f"file:{place}/run")
        program = Path(os.environ.get("BIFURCATED_BUILD", "build/release")).resolve() / "bifurcated"
        command = [program, "--listen", "127.0.0.1:0", "--state", place / "state", "--http-threads", "1"]
        target = f"/v1/models/file/{str(place / 'run').replace('/', '%2F')}/revisions?fields={FIELDS}&limit=20"
        count_instructions(command, place, target, arguments.requests, arguments.functions)
        count_calls(command, place, target, arguments.requests)
    return 0


if __name__ == "__main__":
    sys.exit(main())
