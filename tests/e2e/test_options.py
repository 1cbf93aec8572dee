"""Options, exit statuses and what the program says of itself, from outside."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Callable

import pytest
from running import Daemon, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(programs: dict[str, Path], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the daemon's program to its end; it must not start to serve."""

    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = [str(programs["bifurcated"]), *arguments]
        clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **env}
        return subprocess.run(command, env=clean, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    return run


def test_help_and_version(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    for option in ("--help", "-h"):
        shown = run(option)
        assert shown.returncode == 0 and shown.stderr == ""
        assert shown.stdout.startswith("bifurcated: ") and "--listen ADDRESS:PORT  (127.0.0.1:7143)" in shown.stdout
        assert max(map(len, shown.stdout.splitlines())) <= 100
    for option in ("--version", "-V"):
        assert re.fullmatch(r"bifurcated \d+\.\d+\.\d+\n", run(option).stdout)


def test_each_command_explains_itself(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """`bifurcated backup --help` is about backup, and short; it does nothing, whatever else is there."""
    commands = re.findall(r"^  ([a-z]+) ", run("--help").stdout.split("Commands:")[1].split("\n\n")[0], re.M)
    assert len(commands) > 5
    for name in commands:
        for arguments in ([name, "--help"], [name, "--state", "/nonexistent", "-h"]):
            shown = run(*arguments)
            assert shown.returncode == 0 and shown.stderr == "", arguments
            assert shown.stdout.lower().startswith(f"usage: bifurcated {name} "), arguments
            assert 3 < shown.stdout.count("\n") < 40 and "[server]" not in shown.stdout, arguments
            assert max(map(len, shown.stdout.splitlines())) <= 108


def test_printed_configuration_is_the_shipped_one(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    printed = run("--print-config")
    assert printed.returncode == 0
    assert printed.stdout == (REPOSITORY / "deploy/bifurcated.conf").read_text()


def test_wrong_options_end_with_2(run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    config = tmp_path / "bad.conf"
    config.write_text("# ours\n[queue]\nfetchers = many\n")
    for arguments, env, words in (
        (["--nonsense"], {}, "--nonsense: there is no such option"),
        (["--attempts", "0"], {}, '--attempts: "0" is not a number from 1 to 100'),
        ([], {"BIFURCATED_KEEP": "all"}, 'BIFURCATED_KEEP: "all" is not one of'),
        (["--config", str(config)], {}, f'{config}:3: [queue] fetchers: "many" is not a number'),
        (["--config", str(tmp_path / "absent")], {}, "cannot open: No such file"),
    ):
        ended = run(*arguments, **env)
        assert ended.returncode == 2 and ended.stdout == ""
        assert ended.stderr.startswith("bifurcated: ") and words in ended.stderr
        assert ended.stderr.count("\n") == 1


def test_what_cannot_start_ends_with_1(run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "token").write_text("short\n")
    (tmp_path / "good").write_text("a-token-of-many-letters\n")
    (tmp_path / "words").write_text("several words of a sentence\n")
    state = ["--state", str(tmp_path / "state")]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        for arguments, words in (
            (["--state", str(tmp_path / "file")], f"{tmp_path}/file: exists and is not a folder"),
            ([*state, "--listen", address], address.split(":")[1]),
            ([*state, "--listen", "7143"], "is not ADDRESS:PORT"),
            ([*state, "--listen", "0.0.0.0:0"], "token"),
            ([*state, "--listen", "127.0.0.1:0", "--token-file", str(tmp_path / "token")], "at least 16 characters"),
            ([*state, "--listen", "127.0.0.1:0", "--token-file", str(tmp_path / "words")], "a token is one word"),
            ([*state, "--listen", "127.0.0.1:0", "--token-file", str(tmp_path / "none")], "token-file"),
            ([*state, "--device", "cuda:99"], "cuda"),
            ([*state, "--listen", "127.0.0.1:0", "--tls-certificate", __file__, "--tls-key", str(tmp_path)], "the daemon's user must be able to"),
            ([*state, "--listen", "192.0.2.1:7143", "--token-file", str(tmp_path / "good")], "this machine has no such address: choose another"),
        ):
            ended = run(*arguments)
            assert ended.returncode == 1, ended
            last = ended.stderr.splitlines()[-1]
            assert "cannot start" in last and words in last, ended.stderr


def test_state_that_is_no_database(run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """Someone else's file is left alone."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "bifurcated.db").write_bytes(b"not a database, but somebody's only copy of something\n" * 100)
    before = (state / "bifurcated.db").read_bytes()
    ended = run("--state", str(state), "--listen", "127.0.0.1:0")
    assert ended.returncode == 1
    assert "bifurcated.db" in ended.stderr.splitlines()[-1]
    assert (state / "bifurcated.db").read_bytes() == before


def test_order_of_precedence(daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    """The file's hub is overridden by the environment's, that by the command line's."""
    config = tmp_path / "b.conf"
    config.write_text("[hub]\nendpoint = http://127.0.0.1:1\n[log]\nlog-format = json\n")

    def endpoint(*options: str, **env: str) -> str:
        running = daemon(None, *options, env=env)
        return re.search(r'(?:endpoint="?|"endpoint":")(http[^"\s]+)', running.log()).group(1)

    named = ["--config", str(config)]
    assert endpoint() == "https://huggingface.co"
    assert endpoint(HF_ENDPOINT="http://127.0.0.1:9") == "http://127.0.0.1:9"
    assert endpoint(*named, HF_ENDPOINT="http://127.0.0.1:9") == "http://127.0.0.1:1"
    assert endpoint(*named, BIFURCATED_ENDPOINT="http://127.0.0.1:2") == "http://127.0.0.1:2"
    both = {"BIFURCATED_ENDPOINT": "http://127.0.0.1:2"}
    assert endpoint(*named, "--endpoint", "http://127.0.0.1:3", **both) == "http://127.0.0.1:3"


def test_state_folder_says_where(daemon: Callable[..., Daemon], hub: object) -> None:
    running = daemon(hub)
    assert (running.state / "address").read_text() == running.url + "\n"
    wait_until(lambda: f"listening on {running.url}" in running.log())


def test_a_token_guards_writes(daemon: Callable[..., Daemon], hub: object, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123\n")
    running = daemon(hub, "--token-file", str(token))
    body = {"model": "org/small"}
    assert running.get("/v1/models").status == 200
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer 0123456789abcdef012"}):
        answer = running.post("/v1/sweeps", body, headers)
        assert answer.status == 401, answer
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert running.post("/v1/sweeps", body, {"Authorization": "Bearer 0123456789abcdef0123"}).status == 201
    assert "0123456789abcdef0123" not in running.log()
