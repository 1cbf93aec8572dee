#!/usr/bin/env python3
"""Cached reads of the API beside nginx, which serves the same bytes from files; one run, turn by turn, with wrk.

    BIFURCATED_BUILD=build/release python3 -m tests.bench.api [--seconds 5] [--rounds 3] [--connections 64]

The run has 154 revisions of a small tensor, swept by the daemon itself. Requests: one page of a few columns, the page
with If-None-Match (304), the series of those columns over the whole run coded with gzip (what a chart asks for), and
every column of the series as it is and coded. nginx has sendfile, gzip_static, no access log and the same bodies; the
daemon's other options are its defaults. Each server has one thread on one processor, and wrk another processor: wrk,
which needs about as much for a request as they do, would be what is measured otherwise. Its share of its processor is
printed; near 100 % it holds the ratio down. Besides requests per second there is each server's processor time for one.

Also: N event streams at once (memory with none, with all, and after), and the tail of the latencies.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import resource
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from tests.bench.serving import children, daemon, get, processor_s, resident_kib, running, sweep

STEPS = [0, *(1 << i for i in range(10)), *range(1000, 144000, 1000)]  # as Pythia's 154 revisions
ROWS, COLUMNS = 512, 16
FIELDS = "step,revision,msd,lag1_msd,bimodality"


def write_run(folder: Path) -> None:
    """A random walk of embed_out, one folder per revision."""
    source = np.random.default_rng(7)
    w = source.normal(0, 0.02, (ROWS, COLUMNS))
    for step in STEPS:
        place = folder / f"step{step}"
        place.mkdir(parents=True)
        data = w.astype(np.float16).tobytes()
        header = {"embed_out.weight": {"dtype": "F16", "shape": [ROWS, COLUMNS], "data_offsets": [0, len(data)]}}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        (place / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
        (place / "config.json").write_text(
            json.dumps({"model_type": "gpt_neox", "hidden_size": COLUMNS, "vocab_size": ROWS, "num_hidden_layers": 1})
        )
        w += source.normal(0, 0.002, w.shape)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def client_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def share_processors() -> list[str]:
    """Servers started from here run on the first processor; what to put before the client's command."""
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2 or not shutil.which("taskset"):
        return []
    os.sched_setaffinity(0, {processors[0]})
    return ["taskset", "-c", str(processors[1])]


CLIENT: list[str] = []
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def load(url: str, headers: dict[str, str], connections: int, seconds: int, pid: int) -> dict[str, float]:
    """One run of wrk: requests per second, the 99th percentile in ms, processor microseconds per request."""
    command = [*CLIENT, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    pids = [pid, *children(pid)]
    before, client_before = processor_s(pids), client_s()
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    used = processor_s(pids) - before
    total = int(re.search(r"(\d+) requests in", text).group(1))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    tail = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: .*", text)
    if bad:
        sys.exit(f"{url}: {bad.group(0)}")
    return {"rate": rate, "p99_ms": float(tail.group(1)) * UNITS[tail.group(2)], "cpu_us": used / total * 1e6,
            "wrk_percent": (client_s() - client_before) / seconds * 100}  # fmt: skip


NGINX = """
worker_processes 1; pid {place}/pid; daemon off; error_log {place}/error.log;
events {{ worker_connections 4096; multi_accept on; }}
http {{
  types {{ application/json json; }} default_type application/json;
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; gzip_static on; etag on;
  client_body_temp_path {place}/t1; proxy_temp_path {place}/t2; fastcgi_temp_path {place}/t3;
  uwsgi_temp_path {place}/t4; scgi_temp_path {place}/t5;
  {cache}
  server {{ listen 127.0.0.1:{port}; root {place}/www; }}
}}
"""


def start_nginx(stack: ExitStack, place: Path, bodies: dict[str, bytes], cache: str) -> tuple[str, int]:
    nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not nginx:
        sys.exit("nginx is not installed: apt-get install nginx-light")
    (place / "www").mkdir(parents=True)
    for name, body in bodies.items():
        (place / "www" / name).write_bytes(body)
    place.chmod(0o755)
    port = free_port()
    (place / "nginx.conf").write_text(NGINX.format(place=place, port=port, cache=cache))
    process = stack.enter_context(running([nginx, "-c", place / "nginx.conf", "-e", place / "error.log"], place / "log"))
    url = f"http://127.0.0.1:{port}"
    for _ in range(100):
        try:
            get(f"{url}/page.json")
            break
        except OSError:
            time.sleep(0.05)
    return url, process.pid


def follow(url: str, pid: int, streams: int, sweep_id: int) -> str:
    """Memory of the daemon without, with and after so many event streams of a sweep."""
    address = url.removeprefix("http://").split(":")
    before = resident_kib(pid)
    sockets, told = [], 0
    for _ in range(streams):
        one = socket.create_connection((address[0], int(address[1])))
        one.sendall(f"GET /v1/sweeps/{sweep_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        sockets.append(one)
    for one in sockets:
        one.settimeout(20)
        told += b"200 OK" in one.recv(4096)
    during, threads = resident_kib(pid), len(list(Path(f"/proc/{pid}/task").iterdir()))
    for one in sockets:
        one.close()
    time.sleep(1)
    return (f"{told} of {streams} event streams open at once: {before} KiB before, {during} KiB with them "
            f"({(during - before) / max(told, 1):.1f} KiB each), {resident_kib(pid)} KiB after; {threads} threads")  # fmt: skip


SQL = """SELECT r.step, r.name AS revision, f.msd, p.msd AS lag1_msd, s.bimodality FROM revisions r
JOIN revision_tensors t ON t.revision_id = r.id
JOIN statistics s ON s.content_id = t.content_id AND s.row_set = 'all' AND s.is_centred = 0
LEFT JOIN series_links lf ON lf.revision_id = r.id AND lf.tensor = t.tensor AND lf.kind = 'first'
LEFT JOIN displacements f ON f.content_id = t.content_id AND f.reference_id = lf.reference_id AND f.row_set = 'all'
LEFT JOIN series_links lp ON lp.revision_id = r.id AND lp.tensor = t.tensor AND lp.kind = 'previous'
LEFT JOIN displacements p ON p.content_id = t.content_id AND p.reference_id = lp.reference_id AND p.row_set = 'all'
WHERE r.is_current = 1 ORDER BY r.is_stepless, r.stage, r.ingredient, r.step_key LIMIT 20"""


def beside_datasette(stack: ExitStack, program: Path, place: Path, page_url: str, own_pid: int, seconds: int) -> str:
    """The page from the same SQLite file by datasette, at 8 connections each."""
    port = free_port()
    command = [program, "serve", place / "state" / "bifurcated.db", "-h", "127.0.0.1", "-p", str(port)]
    peer = stack.enter_context(running(command, place / "datasette.log"))
    url = f"http://127.0.0.1:{port}/bifurcated.json?" + urllib.parse.urlencode({"sql": SQL, "_shape": "objects"})
    for _ in range(200):
        try:
            rows = json.loads(get(url)[0])["rows"]
            break
        except OSError:
            time.sleep(0.1)
    else:
        sys.exit((place / "datasette.log").read_text())
    ours = json.loads(get(page_url)[0])["revisions"]
    assert [row["msd"] for row in rows] == [row["msd"] for row in ours], "the two do not answer the same"
    its, own = load(url, {}, 8, seconds, peer.pid), load(page_url, {}, 8, seconds, own_pid)
    return (f"datasette, the same rows of the same file: {its['rate']:.0f} requests/s, p99 {its['p99_ms']:.1f} ms; "
            f"ours is {own['rate'] / its['rate']:.0f} x")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--case", default="", help="only cases whose name holds this text")
    parser.add_argument("--datasette", type=Path, help="this program, beside the daemon on the same database")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: apt-get install wrk")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load_before = os.getloadavg()[0]
    CLIENT[:] = share_processors()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench_api_")))
        place.chmod(0o755)
        write_run(place / "run")
        ours, own_pid = stack.enter_context(daemon(place, ["--http-threads", "1"]))
        sweep(ours, f"file:{place}/run")
        series = f"{ours}/v1/models/file/{str(place / 'run').replace('/', '%2F')}/revisions"
        page_url, whole_url = f"{series}?fields={FIELDS}&limit=20", f"{series}?limit=1000"
        page, headers = get(page_url)
        etag = headers["ETag"]
        chart_url = f"{series}?fields={FIELDS}&limit=1000"
        whole, _ = get(whole_url)
        chart, _ = get(chart_url)
        chart_coded, _ = get(chart_url, {"Accept-Encoding": "gzip"})
        coded, _ = get(whole_url, {"Accept-Encoding": "gzip"})
        bodies = {"page.json": page, "whole.json": whole, "whole.json.gz": coded,
                  "chart.json": chart, "chart.json.gz": chart_coded}  # fmt: skip
        assert gzip.decompress(coded) == whole
        peers = {
            name: start_nginx(stack, place / name, bodies, cache)
            for name, cache in (
                ("nginx", ""),
                ("nginx+cache", "open_file_cache max=100 inactive=1h; open_file_cache_valid 1h;"),
            )
        }
        nginx_etag = {name: get(f"{url}/page.json")[1]["ETag"] for name, (url, _) in peers.items()}
        cases = {
            f"page, {len(page)} B": ("page.json", page_url, {}),
            "page, 304": ("page.json", page_url, {"If-None-Match": None}),
            f"series, gzip, {len(chart_coded)} B": ("chart.json", chart_url, {"Accept-Encoding": "gzip"}),
            f"all columns, gzip, {len(coded)} B": ("whole.json", whole_url, {"Accept-Encoding": "gzip"}),
            f"all columns, {len(whole)} B": ("whole.json", whole_url, {}),
        }
        results: dict[str, dict[str, dict[str, float]]] = {}
        for case, (file, url, extra) in cases.items():
            if arguments.case not in case:
                continue
            runs: dict[str, list[dict[str, float]]] = {"bifurcated": [], **{name: [] for name in peers}}
            for _ in range(arguments.rounds):
                for name, taken in runs.items():
                    if name == "bifurcated":
                        head = {key: value or etag for key, value in extra.items()}
                        target, pid = url, own_pid
                    else:
                        head = {key: value or nginx_etag[name] for key, value in extra.items()}
                        target, pid = f"{peers[name][0]}/{file}", peers[name][1]
                    taken.append(load(target, head, arguments.connections, arguments.seconds, pid))
            results[case] = {
                name: {key: statistics.median(one[key] for one in taken) for key in taken[0]}
                for name, taken in runs.items()
            }
        notes = [follow(ours, own_pid, arguments.streams, 1)]
        if arguments.datasette:
            notes.append(beside_datasette(stack, arguments.datasette, place, page_url, own_pid, arguments.seconds))
    if arguments.json:
        print(json.dumps({"cases": results, "notes": notes}))
        return 0
    print(f"{arguments.connections} connections, median of {arguments.rounds} runs of {arguments.seconds} s; load before: {load_before:.2f}\n")
    print("| case | server | requests/s | p99 ms | processor us/request | requests/s, ours / it | processor, it / ours | wrk % |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for case, servers in results.items():
        own = servers["bifurcated"]
        for name, one in servers.items():
            print(f"| {case} | {name} | {one['rate']:.0f} | {one['p99_ms']:.2f} | {one['cpu_us']:.1f} | "
                  f"{own['rate'] / one['rate']:.2f} | {one['cpu_us'] / own['cpu_us']:.2f} | {one['wrk_percent']:.0f} |")  # fmt: skip
    print("\n" + "\n".join(notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
