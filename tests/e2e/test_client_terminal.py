"""`bifurcate` on terminals: narrow ones, ones that show no UTF-8, dumb ones; and where its output goes elsewhere.

A pseudoterminal stands for the terminal; programs get every byte and every column.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest
from running import Daemon

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
UTF8 = {"LC_ALL": "C.UTF-8", "TERM": "xterm"}


@pytest.fixture(scope="module")
def measured(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Emulator(garden) as hub:
        one = Daemon(programs, tmp_path_factory.mktemp("measured"), hub.url, ["--rate-limit-loopback", "0"], {})
        one.start()
        assert one.wait(one.sweep(MODEL, revisions={"names": ["step0", "step16", "step512", "step4000"]}))["state"] == "done"
        yield one
        one.check_end()


class Terminal:
    """Runs the client with standard output and error on one pseudoterminal."""

    def __init__(self, programs: dict[str, Path], daemon: Daemon):
        self._program, self._url = str(programs["bifurcate"]), daemon.url

    def __call__(self, *arguments: str, width: int = 80, env: dict[str, str] = UTF8) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        parts: list[bytes] = []

        def read() -> None:
            while True:
                try:
                    part = os.read(ours, 65536)
                except OSError:  # what Linux says when the other end is closed
                    return
                if not part:
                    return
                parts.append(part)

        reader = threading.Thread(target=read)
        reader.start()
        command = [self._program, *arguments]
        env = {"PATH": os.environ["PATH"], "BIFURCATE_SERVER": self._url, **env}
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, timeout=120)
        os.close(theirs)
        reader.join(30)
        os.close(ours)
        return done.returncode, b"".join(parts).decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def terminal(programs: dict[str, Path], measured: Daemon) -> Terminal:
    return Terminal(programs, measured)


def test_a_narrow_terminal_gets_the_columns_that_fit(terminal: Terminal, measured: Daemon) -> None:
    whole = measured.client("series", MODEL).stdout.splitlines()
    titles = whole[0].split()
    assert len(titles) == 7 and terminal("series", MODEL, width=200)[1].splitlines() == whole
    for width in (40, 50, 80):
        status, text = terminal("series", MODEL, width=width)
        *lines, note = text.splitlines()
        assert status == 0 and len(lines) == 26 and max(map(len, lines)) <= width
        shown = lines[0].split()
        assert shown == titles[: len(shown)] and 2 <= len(shown) < 7
        assert note == f"too narrow for {', '.join(titles[len(shown):])}; --fields, --csv or --json show all"
    lines = terminal("series", MODEL, "--fields", "revision,msd,cosine,variance,kurtosis,dip", width=30)[1].splitlines()
    assert lines[0].split() == ["revision", "msd", "cosine", "variance", "kurtosis", "dip"], "whoever chose columns gets them"
    assert "REVISION" in terminal("tasks", "1", width=20)[1], "at least one"


def test_words_are_broken_where_the_terminal_ends(terminal: Terminal, measured: Daemon) -> None:
    for command in ("analyze", "audit"):
        whole = measured.client(command, MODEL).stdout
        assert max(map(len, whole.splitlines())) <= 92 and terminal(command, MODEL, width=120)[1] == whole
        for width in (40, 50, 75):
            text = terminal(command, MODEL, width=width)[1]
            assert max(map(len, text.splitlines())) <= width and text.split() == whole.split(), text



def test_a_long_name_leaves_room_for_the_rest(terminal: Terminal, measured: Daemon, garden: Path, tmp_path: Path) -> None:
    """It loses its middle where it stands beside other columns; where it names the row, and for programs, it is whole."""
    run = tmp_path / "a-long-name-seed3"
    run.mkdir()
    (run / "step0").symlink_to(garden / "models" / MODEL / "step0")
    number = measured.sweep(f"file:{run}")
    assert measured.wait(number)["state"] == "done"
    for env, mark in ((UTF8, "…"), ({"LC_ALL": "C", "TERM": "xterm"}, "...")):
        head, *rows = terminal("sweeps", width=80, env=env)[1].splitlines()
        assert head.split()[:6] == ["SWEEP", "MODEL", "STATE", "METRICS", "DONE", "FAILED"] and max(len(row) for row in rows[:-1]) <= 80
        row = next(row.split() for row in rows if row.split()[0] == str(number))
        assert re.fullmatch(r"file:/.{4,}" + re.escape(mark) + r".*-seed3", row[1]) and len(row[1]) >= 24 and row[2] == "done", row
    assert f"file:{run}" in terminal("models", width=80)[1].split()
    assert f"file:{run} " in measured.client("sweeps").stdout


def test_a_last_column_of_words_may_break(terminal: Terminal, measured: Daemon) -> None:
    done = measured.client("sweep", MODEL, "--revision", "step0", "--metric", "perplexity", "--dataset", "no/such", "--follow")
    failed = re.match(r"sweep (\d+)", done.stderr)[1]
    whole = measured.client("tasks", failed).stdout.splitlines()
    start = whole[0].index("ERROR")
    assert whole[1][start:].startswith("perplexity: data set no/such") and len(whole[1]) > start + 60
    for room in (20, 59):  # of the last column; the terminal breaks its lines
        assert terminal("tasks", failed, width=start + room) == (0, "\n".join([*whole, ""]))
    status, text = terminal("tasks", failed, width=start + 19)
    *lines, note = text.splitlines()
    assert status == 0 and lines == [line[:start].rstrip() for line in whole] and note.startswith("too narrow for ERROR;")


def test_a_terminal_of_another_encoding_gets_ascii(terminal: Terminal, measured: Daemon) -> None:
    plain = {"LC_ALL": "C", "TERM": "xterm"}
    status, text = terminal("distribution", MODEL, env=plain)
    assert status == 0 and text.isascii() and re.search(r"step0 .*[.,:;+*#@]{5}", text)
    assert "█" in terminal("distribution", MODEL)[1]
    here = "/v1/watches/garden/neox-tiny"
    hook = {"url": "http://127.0.0.1:9/geheim", "secret": "sixteen letters!"}
    assert measured.request("PUT", here, {"at": "02:30", "webhook": hook}).status in (200, 201)
    assert "http://127.0.0.1:9/…" in terminal("watch", MODEL)[1]
    assert "http://127.0.0.1:9/?" in terminal("watch", MODEL, env=plain)[1]
    text = terminal("watch", MODEL, "--json", env=plain)[1]
    assert text.isascii() and json.loads(text)["webhook"]["url"] == "http://127.0.0.1:9/…", "JSON escapes them"
    assert "127.0.0.1:9/…" in measured.client("watch", MODEL, env={"LC_ALL": "C"}).stdout, "a pipe gets the bytes"


@pytest.mark.parametrize("kind", ["xterm", "dumb", ""])
def test_no_colour_and_on_a_dumb_terminal_no_escape(terminal: Terminal, kind: str) -> None:
    """There is no colour that NO_COLOR would have to switch off; the one sequence clears the rest of the line of progress."""
    status, text = terminal("sweep", MODEL, "--revision", "step0", "--follow", env=UTF8 | {"TERM": kind})
    assert status == 0 and f"of {MODEL}: done; 1 of 1 revisions measured" in text
    assert set(re.findall(r"\x1b\[[0-9;]*[A-Za-z]", text)) == ({"\x1b[K"} if kind == "xterm" else set())
    assert ("\x1b" in text) == ("\r" in text) == (kind == "xterm")


def test_a_reader_that_leaves_early(programs: dict[str, Path], measured: Daemon) -> None:
    """`bifurcate … | head -1`: no message; whoever ignores SIGPIPE hears that the output was not written."""
    env = {"PATH": os.environ["PATH"], "BIFURCATE_SERVER": measured.url}
    for ignored in (False, True):
        reader, writer = os.pipe()
        before = (lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN)) if ignored else (lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL))
        client = subprocess.Popen([programs["bifurcate"], "series", MODEL, "--csv"], env=env, stdout=writer, stderr=subprocess.PIPE, preexec_fn=before)
        os.close(writer)
        os.close(reader)
        said = client.communicate(timeout=60)[1].decode()
        if ignored:
            assert client.returncode == 5 and said == "bifurcate: writing the output failed\n"
        else:
            assert client.returncode == -signal.SIGPIPE and said == ""


@pytest.mark.parametrize("words", (["bifurcate", "plot", MODEL, "-o", "-"], ["bifurcate", "series", MODEL, "--json"], ["bifurcate", "--help"], ["bifurcated", "--print-config"]), ids=" ".join)
def test_output_that_gets_lost_is_told(programs: dict[str, Path], measured: Daemon, words: list[str]) -> None:
    """However much of it there is: what is larger than a buffer is lost before the end."""
    env = {"PATH": os.environ["PATH"], "BIFURCATE_SERVER": measured.url}
    with open("/dev/full", "wb") as full:
        done = subprocess.run([programs[words[0]], *words[1:]], env=env, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == (5 if words[0] == "bifurcate" else 1), done
    assert done.stderr.decode() == f"{words[0]}: writing the output failed\n"


def test_json_of_every_command(programs: dict[str, Path], measured: Daemon, tmp_path: Path) -> None:
    """Each command takes --json; what it prints is one document. A figure says where its numbers are."""
    names = re.findall(r"^  ([a-z]+)", measured.client("--help").stdout.split("options of every command:")[0], re.M)
    task = measured.get("/v1/sweeps/1/tasks").json()["tasks"][0]["id"]
    (tmp_path / "text.txt").write_text("the cat sat on the mat")
    words = {
        "sweep": [MODEL, "--revision", "step0"], "series": [MODEL], "revision": [MODEL, "step0"], "analyze": [MODEL], "audit": [MODEL],
        "distribution": [MODEL], "values": [MODEL, "step512"], "tensors": [MODEL], "columns": [MODEL], "trajectories": [MODEL], "displacement": [MODEL], "show": ["1"], "follow": ["1"], "tasks": ["1"],
        "history": ["1", str(task)], "watch": [MODEL, "--at", "02:30"], "deliveries": [MODEL], "unwatch": [MODEL],
        "perplexity": [MODEL, "--revision", "step0", "--file", str(tmp_path / "text.txt")],
        "plot": [MODEL, "-o", str(tmp_path / "figure.svg")], "remove": [MODEL, "--dry-run"],
    }  # fmt: skip
    tokens = {"tokens", "issue", "revoke"}  # of a daemon that wants them: test_access.py
    order = sorted(set(names) - tokens - {"cancel"}, key=lambda name: (name == "remove", name == "unwatch", name == "deliveries", names.index(name)))
    for name in order:
        done = measured.client(name, *words.get(name, []), "--json")
        if name == "plot":
            assert done.returncode == 2 and "--json" in done.stderr
            continue
        assert done.returncode == 0, (name, done.stderr)
        if done.stdout or name != "unwatch":
            assert isinstance(json.loads(done.stdout), dict), name
    done = measured.client("cancel", "1", "--json")
    assert done.returncode == 5 and done.stderr == "bifurcate: sweep 1 is done already: nothing to cancel\n"


def test_what_is_said_says_what_to_do(programs: dict[str, Path], terminal: Terminal, measured: Daemon, tmp_path: Path) -> None:
    done = measured.client("seris", MODEL)
    assert done.returncode == 2 and done.stderr == 'bifurcate: there is no command "seris"; did you mean "series"?\nTry `bifurcate --help`.\n'
    assert "did you mean" not in measured.client("dance").stderr
    done = measured.client()
    assert done.returncode == 2 and done.stderr == "bifurcate: a command is missing\nTry `bifurcate --help`.\n"
    done = measured.client("series", "garden/neox-tinny")
    assert done.returncode == 4 and done.stderr.startswith(
        'bifurcate: model garden/neox-tinny is not known; did you mean "garden/neox-tiny"?\n`bifurcate models` lists'
    )
    done = measured.client("series", MODEL, "--fields", "step,msdd")
    assert done.returncode == 2 and '"msdd"; did you mean "msd"?' in done.stderr
    done = measured.client("series", MODEL, "--fields", "colour")
    assert done.returncode == 2 and '--fields: no column is called "colour"; the first line of the CSV without fields' in done.stderr
    for words, meant in ((["series", "--form", "3"], "--from"), (["--jsn", "models"], "--json"), (["models", "--token", "x"], "--token-file")):
        done = measured.client(*words)
        assert done.returncode == 2 and f'; did you mean "{meant}"?\n' in done.stderr, done
    assert "did you mean" not in measured.client("models", "--dark-ness").stderr, "an option of another command is no help"
    done = subprocess.run([programs["bifurcated"], "bakup"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr == 'bifurcated: bakup: there is no such option or command; did you mean "backup"?\n'
    done = subprocess.run([programs["bifurcated"], "worker", "--conect", "x"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr == 'bifurcated: --conect: there is no such option; did you mean "--connect"?\n'
    answer = measured.post("/v1/sweeps", {"model": MODEL, "metrcs": ["statistics"]})
    assert answer.status == 400 and 'metrcs: no such member; did you mean "metrics"?' in answer.json()["detail"]
    done = measured.client("tokens")
    assert done.returncode == 5 and "`bifurcated token create`" in done.stderr
    done = measured.client("models", "--token-file", str(tmp_path / "none"))
    assert done.returncode == 2 and "No such file" in done.stderr, "4 would mean that a model is missing"
    (tmp_path / "empty").write_text("\n")  # a secret that a job was not given
    done = measured.client("tokens", "--token-file", str(tmp_path / "empty"))
    assert done.returncode == 2 and done.stderr == f"bifurcate: token-file: {tmp_path}/empty: holds no token\n", done
    for server in (measured.url + "/nowhere", measured.env["HF_ENDPOINT"]):
        for words, asked in ((["series", MODEL], f"/v1/models/{MODEL}/revisions"), (["follow", "1"], "/v1/sweeps/1/events")):
            done = measured.client(*words, "--server", server)
            assert done.returncode == 5 and f"{server} has no {asked}: it is another program" in done.stderr, done
    webhook = ["watch", MODEL, "--at", "02:30", "--webhook", "http://127.0.0.1:9/x", "--secret-file"]
    done = measured.client(*webhook, str(tmp_path / "none"))
    assert done.returncode == 2 and "--secret-file" in done.stderr
    for number, secret in enumerate((b"sixteen letters of text\0 and more", b"\xff" * 24)):
        (tmp_path / f"secret{number}").write_bytes(secret)
        done = measured.client(*webhook, str(tmp_path / f"secret{number}"))
        assert done.returncode == 2 and "is not text: base64" in done.stderr, done
    status, text = terminal("plot", MODEL)
    assert status == 2 and "-o forking.svg" in text and "<svg" not in text
    status, text = terminal("plot", MODEL, "-o", str(tmp_path / "forking.svg"))
    assert status == 0 and re.fullmatch(r"\S+/forking\.svg is written \(\d+ kB\)\n", text)


LISTS = {
    "models": [], "sweeps": [], "workers": [], "jobs": [], "watches": [], "tokens": ["--token-file", "{token}"],
    "deliveries": [MODEL], "tasks": ["1", "--state", "failed"],
    "distribution": [MODEL, "--tensor", "none"], "columns": [MODEL, "--tensor", "none"], "trajectories": [MODEL, "--tensor", "none"], "displacement": [MODEL, "--tensor", "none"],
}  # fmt: skip


def test_an_empty_list_says_what_would_fill_it(programs: dict[str, Path], measured: Daemon, tmp_path: Path) -> None:
    """On a terminal, in one line; scripts get what they always got."""
    (tmp_path / "token").write_text("an-empty-daemons-token")
    with Daemon(programs, tmp_path / "empty", None, ["--token-file", str(tmp_path / "token"), "--fetchers", "0"], {}) as empty:
        asked = measured.client("watch", MODEL, "--at", "02:30")
        assert asked.returncode == 0, asked
        for command, words in LISTS.items():
            one = measured if words[:1] in ([MODEL], ["1"]) else empty
            words = [word.format(token=tmp_path / "token") for word in words]
            status, text = Terminal(programs, one)(command, *words, width=200)
            plain = one.client(command, *words)
            assert status == plain.returncode == 0, (command, text, plain)
            assert plain.stderr == "" and plain.stdout, command
            *head, hint = text.splitlines()
            assert head == plain.stdout.splitlines() and re.search("`|without --", hint), (command, text)
            assert one.client(command, *words, "--csv").stderr == "", command
        assert measured.client("unwatch", MODEL).returncode == 0
    status, text = Terminal(programs, measured)("series", MODEL, "--tensor", "none", width=200)
    assert status == 0 and text.splitlines()[-1].startswith("nothing of this tensor is measured; `bifurcate sweep garden/neox-tiny --tensor none` measures it, `bifurcate tensors garden/neox-tiny`")
    for other in (["--fields", "step"], ["--tensor", "embed_out.weight"]):
        assert "nothing of" not in Terminal(programs, measured)("series", MODEL, *other, width=200)[1]


@pytest.mark.parametrize(
    ("request_words", "reason"),
    [
        (["--metric", "perplexity", "--dataset", "no/such"], "perplexity: data set no/such: "),
        (["--metric", "perplexity", "--dataset", "garden/lambada_garden:data/tset.jsonl"], "perplexity: data set garden/lambada_garden:data/tset.jsonl: "),
        (["--metric", "perplexity", "--field", "txet"], "perplexity: "),
        (["--metric", "perplexity", "--dataset", "file:/no/such.jsonl"], "perplexity: data set file:/no/such.jsonl: "),
        (["--tensor", "embed_uot.weight"], 'no tensor is named embed_uot.weight; did you mean "embed_out.weight"?'),
        (["--tensor", "no.*"], 'no tensor of floats matches "no.*"'),
    ],
)
def test_what_no_revision_can_have_is_found_out_by_a_few(measured: Daemon, request_words: list[str], reason: str) -> None:
    """Those at work when that is known go on: so two more than eight may fail."""
    failed = measured.client("sweep", MODEL, *request_words, "--follow")
    assert failed.returncode == 1
    *_, end, first, alike = failed.stderr.splitlines()
    sums = re.fullmatch(r"  \w+: (\d+) of 25 revisions failed, and (\d+) were not tried, since the first 8 had failed alike \(to try others, name them with --from or --revision\)", first)
    assert "0 of 25 revisions measured" in end and sums, failed.stderr
    count, untried = map(int, sums.groups())
    assert 8 <= count <= 10 and untried == 25 - count
    assert re.match(rf"  step0 and {count - 1} more: {re.escape(reason)}", alike), failed.stderr


def test_status_is_for_people(measured: Daemon) -> None:
    lines = dict(re.match(r"(\S[\w ]*?)  +(.*)", line).groups() for line in measured.client("status").stdout.splitlines())
    status: dict[str, Any] = measured.get("/v1/status").json()
    assert list(lines) == ["version", "listens at", "since", "database", "sweeps", "tasks", "workers", "device", "memory", "hub", "disk"]
    assert lines["listens at"] == measured.url and lines["version"] == status["version"] and lines["workers"].endswith("of 3 are busy")
    assert re.fullmatch(r"\d+ requests, [\d.]+ [kM]?B received", lines["hub"]) and re.fullmatch(r"[\d.]+ .B of [\d.]+ .B are free", lines["disk"])
