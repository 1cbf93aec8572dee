"""Would the soak see it? What its counts of memory and descriptors tell, of processes that do one thing on purpose."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/proof"))

import heap  # noqa: E402
import soak  # noqa: E402
import stage  # noqa: E402


def test_connections_are_told_from_other_descriptors(programs: dict[str, Path], tmp_path: Path) -> None:
    daemon = stage.Daemon(programs, tmp_path, None, [], stage.environment())
    daemon.start()
    try:
        process, port = Path(f"/proc/{daemon.process.pid}"), soak.port_of(daemon)
        before = soak.count_descriptors(process, port)
        assert before[0] == 0 and before[2] > 3
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(7)]
        for client in clients:  # answered, so accepted
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert client.recv(100)
        assert soak.count_descriptors(process, port) == (7, *before[1:])
        for client in clients:
            client.close()
        soak.await_no_connection(daemon)
        assert soak.count_descriptors(process, port)[0] == 0
    finally:
        daemon.check_end()


def test_heap_counts_every_block(tmp_path: Path) -> None:
    """What the shim says of a process is what that allocates, frees, and leaks on purpose."""
    counts = heap.Heap(stage.compile_shim("heap", tmp_path), tmp_path, leak_bytes=1000)
    code = """
import ctypes, sys
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.realloc.restype = libc.calloc.restype = ctypes.c_void_p
kept = []
print("ready", flush=True)
for line in sys.stdin:
    for size in (1, 100, 100_000):
        first = libc.malloc(ctypes.c_size_t(size))
        libc.free(ctypes.c_void_p(libc.realloc(ctypes.c_void_p(first), ctypes.c_size_t(3 * size))))
    kept.append(libc.calloc(ctypes.c_size_t(5000), ctypes.c_size_t(2)))
    print(len(kept), flush=True)
"""
    command, env = [sys.executable, "-c", code], os.environ | counts.env | {"PYTHONMALLOC": "malloc"}
    samples = []
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"  # the file of counts is there now
        for number in range(1, 31):
            counts.leak()
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{number}\n"
            samples.append(counts.held())
        places = {address: heap.describe(address, process.pid) for address in samples[-1]}
        grown = heap.growth_of(samples)
        process.stdin.close()
    exactly = {address: one for address, one in grown.items() if one.blocks == 11}  # the last ten over the first ten
    (leak,) = [address for address in exactly if places[address].function == "leak"]
    assert exactly[leak].bytes == 11 * (samples[-1][leak].bytes // samples[-1][leak].blocks) >= 11 * 1000
    large = [address for address, one in exactly.items() if one.bytes >= 11 * 10_000]
    assert large and all(places[address].is_large for address in large), "the block that is kept by every round is not seen"
    assert not places[leak].is_large
    with pytest.raises(stage.Wrong, match=r"hold more and more: .*\+11 blocks") as told:
        heap.check_places(samples, list(range(1, 31)), [0] * 30, places.__getitem__)
    assert "leak shim_heap.c" in str(told.value)


def test_heap_knows_who_copies_a_text(tmp_path: Path) -> None:
    source = tmp_path / "copies.c"
    source.write_text("""
#include <stdio.h>
#include <string.h>
static char *volatile kept[2];
__attribute__((noinline)) static void keep_text(void) { kept[0] = strdup("a text"); }
__attribute__((noinline)) static void keep_part(void) { kept[1] = strndup("a text", 3); }
int main(void)
{
    keep_text();
    keep_part();
    if (puts(strcmp(kept[1], "a t") == 0 ? kept[0] : "wrong") < 0 || fflush(stdout))
        return 1;
    return getchar() == 'x';
}
""")
    program = tmp_path / "copies"
    subprocess.run(["cc", "-g", "-O1", "-fno-builtin", "-o", str(program), str(source)], check=True)
    counts = heap.Heap(stage.compile_shim("heap", tmp_path), tmp_path)
    with subprocess.Popen([str(program)], env=os.environ | counts.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "a text\n"
        places = [heap.describe(address, process.pid) for address in counts.held()]
        process.stdin.close()
    assert {"keep_text", "keep_part"} <= {place.function for place in places if place.library == "copies"}


def test_heap_knows_who_prepares_a_statement(tmp_path: Path) -> None:
    source = tmp_path / "prepares.c"
    source.write_text("""
#include <sqlite3.h>
#include <stdio.h>
static sqlite3 *db;
static sqlite3_stmt *kept[3];
__attribute__((noinline)) static void prepare(int number, const char *sql)
{
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &kept[number], NULL) != SQLITE_OK)
        puts("wrong");
}
int main(void)
{
    static const char one[] = "SELECT 1", two[] = "SELECT 2";
    if (sqlite3_open(":memory:", &db) != SQLITE_OK)
        return 1;
    prepare(0, one);
    prepare(1, two);
    prepare(2, one);
    if (puts("done") < 0 || fflush(stdout))
        return 1;
    return getchar() == 'x';
}
""")
    program = tmp_path / "prepares"
    subprocess.run(["cc", "-g", "-O1", "-o", str(program), str(source), "-lsqlite3"], check=True)
    counts = heap.Heap(stage.compile_shim("heap", tmp_path), tmp_path)
    with subprocess.Popen([str(program)], env=os.environ | counts.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "done\n"
        places = {heap.describe(address, process.pid): held for address, held in counts.held().items()}
        process.stdin.close()
    assert counts.statements() == (2, 1)
    assert sum(held.blocks for place, held in places.items() if place.function == "prepare") >= 3
    assert any(place.library == "libsqlite3" for place in places), "what a connection has is not the statements'"


def test_heap_gives_back_what_nobody_uses(tmp_path: Path) -> None:
    """Pages between blocks that live go back to the system, and the shim's counts of pieces and other memory say so."""
    source = tmp_path / "churn.c"
    source.write_text("""
#include "daemon/base/heap.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#define COUNT 2000
static char *volatile large[COUNT], *volatile small[COUNT];
static int tell(const char *what)
{
    int key = 0;
    if (puts(what) < 0 || fflush(stdout))
        exit(1);
    while ((key = getchar()) == 'm') { /* allocates, as it is asked to */
        char *volatile block = malloc(10);
        free(block);
        if (puts("done") < 0 || fflush(stdout))
            exit(1);
    }
    return key;
}
int main(void)
{
    heap_tame();
    for (int i = 0; i < COUNT; i++) {
        large[i] = malloc(32768);
        small[i] = malloc(40);
        memset(large[i], 1, 32768);
        memset(small[i], 2, 40);
    }
    tell("all");
    for (int i = 0; i < COUNT; i++)
        free(large[i]);
    tell("pieces");
    heap_tend();
    tell("tended");
    void *place = (void *)(1L << 42); /* where an arena could begin, too */
    char *other = mmap(place, 10 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (other != place)
        return 1;
    memset(other, 1, 10 << 20);
    return tell("other") == 'x';
}
""")
    program, base = tmp_path / "churn", ROOT / "daemon/base"
    files = [str(source), str(base / "heap.c"), str(base / "clock.c")]
    subprocess.run(["cc", "-g", "-O1", "-D_GNU_SOURCE", "-I", str(ROOT), "-o", str(program), *files], check=True)
    counts = heap.Heap(stage.compile_shim("heap", tmp_path), tmp_path)
    told: dict[str, heap.Memory] = {}
    with subprocess.Popen([str(program)], env=os.environ | counts.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def send(key: str) -> str:
            process.stdin.write(key)
            process.stdin.flush()
            return process.stdout.readline().strip()

        name = process.stdout.readline().strip()
        while name:
            told[name] = counts.memory(process.pid, counts.held(), lambda: send("m"))
            name = send("n")
    block_kib = 2000 * 32
    assert told["all"].live >= block_kib > told["all"].pieces * 10
    assert told["pieces"].live < 1000 and told["pieces"].pieces >= 0.9 * block_kib
    assert told["tended"].pieces <= 0.2 * block_kib, "what lies between blocks that live is kept"
    assert told["tended"].free >= 0.9 * block_kib  # it is free all the same
    assert 10_000 <= told["other"].others - told["tended"].others <= 10_500
    assert abs(told["other"].pieces - told["tended"].pieces) <= 200


def test_pieces_are_in_proportion() -> None:
    def check(*pieces: int) -> str:
        return soak.check_pieces([soak.Sample(n, n, 0, 40_000, 0, one, 0, 0, 0, 0, 0, 0, {}) for n, one in enumerate(pieces)])

    assert "pieces 9000" in check(10_000, 18_192, 9000)
    with pytest.raises(stage.Wrong, match="keeps 18193 KiB beside 40000"):
        check(10_000, 18_193, 9000)


def test_what_grows_and_what_may() -> None:
    """A block in every third sweep is told; what goes up and down, and what is kept within bounds, is not."""
    sweeps = list(range(60))
    dice = random.Random(5)
    answers = heap.CACHES[0]

    def check(blocks: dict[str, Callable[[int], int]], size: int = 100, prepared: int = 0) -> str:
        words = [[*name.split("@"), "bifurcated"] for name in blocks]
        places = {number: heap.Place(library, function, "file.c:1") for number, (function, library, *_) in enumerate(words, 1)}
        samples = [{number: heap.Held(count(sweep), size * count(sweep)) for number, count in enumerate(blocks.values(), 1)} for sweep in sweeps]
        statements = [300 + prepared * (sweep >= 30) for sweep in sweeps]
        return heap.check_places(samples, sweeps, statements, places.__getitem__)

    calm = {"constant": lambda _: 500, "noise": lambda _: dice.randint(0, 100), "warm": lambda sweep: min(sweep, 5)}
    assert "none holds more and more" in check(calm)
    with pytest.raises(stage.Wrong, match="1 places hold more and more: .*slow_leak"):
        check(calm | {"slow_leak": lambda sweep: 500 + sweep // 3})
    with pytest.raises(stage.Wrong, match="answer_of"):
        check(calm | {"answer_of": lambda sweep: sweep})  # nothing is kept that it could belong to
    kept = {answers.entry: lambda sweep: 10 * sweep, "answer_of": lambda sweep: 10 * sweep, "??@libmicrohttpd": lambda sweep: 100 * sweep}
    assert "590 answers" in check(calm | kept)
    with pytest.raises(stage.Wrong, match="1 places hold more and more: .*answer_of"):
        check(calm | kept | {"answer_of": lambda sweep: 30 * sweep})
    with pytest.raises(stage.Wrong, match="answers that are kept hold"):
        check(calm | kept, answers.bytes_max // 4000)
    with pytest.raises(stage.Wrong, match="libsqlite3"):
        check(calm | {"sqlite3MemMalloc@libsqlite3": lambda sweep: 30 * sweep})  # no pages: they are small
    opened = {"open_file": lambda sweep: 2 + sweep // 30, "sqlite3MemMalloc@libsqlite3": lambda sweep: (2 + sweep // 30) * 1900}
    assert "1 connections" in check(calm | opened, 80)
    with pytest.raises(stage.Wrong, match="libsqlite3"):
        check(calm | opened | {"sqlite3MemMalloc@libsqlite3": lambda sweep: (2 + sweep // 30) * 1900 + 200 * sweep}, 80)
    late = {"connection_prepare": lambda sweep: 34198 + 146 * (sweep >= 30)}
    assert "1 statements" in check(calm | late, prepared=1)
    with pytest.raises(stage.Wrong, match="connection_prepare"):
        check(calm | late)  # of no statement that was prepared
    sweeps = sweeps[:20]
    with pytest.raises(stage.Wrong, match="soak for longer"):
        check(calm)


def test_pages_of_sqlite_have_a_bound() -> None:
    pages = heap.CACHES[-1]

    def check(block_bytes: int) -> str:
        samples = [{1: heap.Held(sweep, sweep * block_bytes)} for sweep in range(60)]
        return heap.check_places(samples, list(range(60)), [0] * 60, lambda _: heap.Place("libsqlite3", "??", "", True))

    assert "pages" in check(pages.bytes_max // 59)
    with pytest.raises(stage.Wrong, match="pages that are kept hold"):
        check(pages.bytes_max // 59 + 1)


def test_every_sweep_of_the_soak_scores_something_new() -> None:
    asked = [json.dumps(soak.request(number), sort_keys=True) for number in range(900)]
    assert len(set(asked)) == len(asked)
