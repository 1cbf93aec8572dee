"""`bifurcated check`: what keeps a daemon from starting, or from working, is told before."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from typing import Callable

import pytest
from commands import Command, command_runner, findings
from running import Daemon, new_certificate

from tests.hub import Emulator


@pytest.fixture
def command(programs: dict[str, Path], tmp_path: Path) -> Command:
    return command_runner(programs, tmp_path)


def test_check_of_a_sound_place(
    command: Command, daemon: Callable[..., Daemon], hub: Emulator, tmp_path: Path
) -> None:
    """Before the first start, and beside a daemon; nothing is changed by looking."""
    state = tmp_path / "new"
    base = ("--state", state, "--endpoint", hub.url, "--listen", "127.0.0.1:0")
    shown = command("check", *base)
    assert shown.returncode == 0, shown.stdout
    assert shown.stdout.splitlines()[-1].endswith(" 0 errors")
    assert not state.exists()
    log = tmp_path / "access.log"
    for text in (None, "a line\n"):  # one that will be made is not made by looking, and one that is there stays as it is
        if text:
            log.write_text(text)
        found = findings(command("check", "--json", *base, "--access-log", str(log)))
        assert found["access log"] == [("ok", f"{log} can be written")]
        assert (log.read_text() if log.exists() else None) == text
    assert "access log" not in findings(command("check", "--json", *base, "--access-log", "on"))
    one = daemon(hub, env={"HF_TOKEN_PATH": str(tmp_path)})
    told = [line for line in one.log().splitlines() if "the hub is asked without a token" in line]
    assert len(told) == 1 and f"{tmp_path}: cannot read: Is a directory" in told[0] and "HF_TOKEN" in told[0]
    listen = one.url.removeprefix("http://")
    found = findings(command("check", "--json", "--state", one.state, "--endpoint", hub.url, "--listen", listen))
    assert found["state"] == [("ok", f"{one.state} is in use by a running daemon (process {one.process.pid})")]
    assert found["database"][0][0] == "ok" and ": whole; " in found["database"][0][1]
    assert found["address"] == [("ok", f"{listen} is in use; a daemon runs (process {one.process.pid})")]
    assert "answers in" in found["hub"][0][1] and found["device"][0][0] == "ok"
    assert found["hub token"][0][1].startswith("none: public models only")
    assert found["cuda"][0][0] == "ok" and found["cuda"][0][1]
    assert one.get("/readyz").status == 200


def test_check_names_what_is_wrong(
    command: Command, hub: Emulator, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    base = ("check", "--json", "--state", state, "--endpoint", hub.url, "--listen", "127.0.0.1:0")
    (state / "bifurcated.db").write_bytes(b"no database" * 1000)
    found = findings(command(*base))
    assert found["database"][0][0] == "error" and "restore a backup" in found["database"][0][1]
    (state / "bifurcated.db").unlink()

    with sqlite3.connect(state / "bifurcated.db") as database:
        database.executescript("PRAGMA application_id = 1114203762; PRAGMA user_version = 9999; CREATE TABLE x (y)")
    found = findings(command(*base))
    assert found["database"][0][0] == "error" and "upgrade the program" in found["database"][0][1]
    (state / "bifurcated.db").unlink()

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = findings(command(*base, "--endpoint", f"http://127.0.0.1:{port}", "--listen", f"127.0.0.1:{port}",
                                 "--stall-timeout-s", "1"))  # fmt: skip
        assert found["address"][0][0] == "error" and "stop what listens there" in found["address"][0][1]
        assert found["hub"][0][0] == "error"
    found = findings(command(*base, "--device", "cuda:0"))
    assert found["device"][0][0] == "error" and "cuda" in found["device"][0][1]
    found = findings(command(*base, "--listen", "0.0.0.0:0"))
    assert any(level == "error" and "0.0.0.0:0 is beyond loopback, which needs a token: make one" in text
               for level, text in found["address"])  # fmt: skip
    found = findings(command(*base, "--token-file", str(tmp_path / "none")))
    assert found["configuration"][1][0] == "error"
    os.mkfifo(tmp_path / "pipe")
    for setting, reason in ((tmp_path / "pipe", "a pipe without a reader"), (tmp_path, "Is a directory"), (tmp_path / "none" / "log", "No such file"), ("log", "neither off, on nor")):
        found = findings(command(*base, "--access-log", str(setting)))
        assert found["access log"][0][0] == "error" and reason in found["access log"][0][1], found["access log"]
    assert found["configuration"][0][0] == "ok" and not (tmp_path / "none").exists()
    found = findings(command(*base, "--device-memory-mb", "1", BIFURCATED_FETCHER="1", BIFURCATED_PORT_7143_TCP="tcp://10.0.0.1:7143"))
    assert found["configuration"][1:] == [("warning", "BIFURCATED_FETCHER is set, but no option is called so; did you mean BIFURCATED_FETCHERS?")]
    assert re.fullmatch(r"1 MB of its \d+ MB may be taken", found["device"][1][1]), "not 0.0 GB"
    found = findings(command("check", "--json", "--nonsense"))
    assert found["configuration"][0] == ("error", "--nonsense: there is no such option; see bifurcated --help")
    (tmp_path / "file").write_text("")
    found = findings(command(*base[:2], "--state", tmp_path / "file" / "state", *base[4:]))
    assert found["state"] == [("error", f"{tmp_path}/file is not a folder: name another with state")]


def test_check_of_what_stands_before_the_api(
    command: Command, hub: Emulator, tmp_path: Path
) -> None:
    """What keeps a daemon from starting, or pages from reading, is no surprise after the restart."""
    base = ("check", "--json", "--state", tmp_path / "state", "--endpoint", hub.url, "--listen", "127.0.0.1:0")
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    pair, other = new_certificate(tmp_path / "one", "rsa:2048"), new_certificate(tmp_path / "two", "rsa:2048")
    found = findings(command(*base, "--tls-certificate", pair[0], "--tls-key", pair[1]))
    assert found["certificate"] == [("ok", f"{pair[0]} and its key {pair[1]}")]
    for arguments, said in (
        (["--tls-certificate", pair[0]], "needs both tls-certificate and tls-key"),
        (["--tls-certificate", pair[0], "--tls-key", other[1]], "is not the key of the first certificate"),
        (["--tls-certificate", pair[1], "--tls-key", pair[1]], "tls-certificate: "),
        (["--tls-certificate", tmp_path / "none", "--tls-key", pair[1]], "cannot open: No such file"),
    ):
        found = findings(command(*base, *arguments))
        assert found["certificate"][0][0] == "error" and said in found["certificate"][0][1], found
    os.chmod(pair[1], 0o644)
    found = findings(command(*base, "--tls-certificate", pair[0], "--tls-key", pair[1]))
    assert found["certificate"][1] == ("warning", f"tls-key {pair[1]} is open to every user: chmod o= {pair[1]}")
    assert "certificate" not in findings(command(*base, "--cors-origin", "https://a.example http://b.example:8080"))
    found = findings(command(*base, "--cors-origin", "https://a.example, example.org"))
    assert found == {"configuration": [("error", found["configuration"][0][1])]}
    assert found["configuration"][0][1].startswith('--cors-origin: "example.org" is the origin of no page: write https://HOST')


def test_check_by_root_sees_the_service_s_environment(programs: dict[str, Path], hub: Emulator) -> None:
    """Proxies, the hub and its token stand in a file that only the service reads, and its home is not root's."""
    if os.geteuid() != 0:
        pytest.skip("only root can look as another user")
    with tempfile.TemporaryDirectory() as place:  # which others can enter, unlike the folders of tests
        root = Path(place)
        root.chmod(0o755)
        (root / "state").mkdir()
        os.chown(root / "state", 65534, 65534)
        (root / "bifurcated.conf").write_text(f"[server]\nstate = {root}/state\nlisten = 127.0.0.1:0\n")
        (root / "environment").write_text(f"# of the service\n\nHF_ENDPOINT='{hub.url}'\nHF_TOKEN=hf_secret\n")
        words = [str(programs["bifurcated"]), "check", "--json", "--config", str(root / "bifurcated.conf")]
        found = findings(subprocess.run(words, env={"PATH": os.environ["PATH"], "HF_ENDPOINT": "http://127.0.0.1:1"}, capture_output=True, text=True))
        assert ("ok", f"{root}/environment was read, as it is for the service") in found["configuration"]
        assert found["hub"][0][1].startswith(f"{hub.url} answers in ") and "HF_TOKEN, which counts before the file" in found["hub token"][0][1], found
        (root / "environment").unlink()
        found = findings(subprocess.run([*words, "--endpoint", hub.url], env={"PATH": os.environ["PATH"], "HOME": "/root"}, capture_output=True, text=True))
        assert len(found["configuration"]) == 1 and "/root/" not in found["hub token"][0][1] + found["hub cache"][0][1], found


def test_check_of_the_cluster(command: Command, hub: Emulator, tmp_path: Path) -> None:
    base = ("check", "--json", "--state", tmp_path / "state", "--endpoint", hub.url, "--listen", "127.0.0.1:0", "--slurm-folder", tmp_path)
    assert "slurm" not in findings(command(*base))
    asked = (*base, "--slurm-workers-max", "2")
    found = findings(command(*asked))
    assert found["slurm"][0][0] == "error" and "install Slurm's client programs, or name their folder with slurm-folder" in found["slurm"][0][1]
    found = findings(command(*asked, "--slurm-connect", "node1:7143"))
    assert found["slurm"] == [("error", 'slurm-connect: "node1:7143" is not http://HOST:PORT or https://HOST:PORT')]
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\nexit 0\n")
    squeue.chmod(0o755)
    assert findings(command(*asked))["slurm"] == [("ok", "squeue answers")]
    squeue.write_text("#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact slurm controller' >&2\nexit 1\n")
    found = findings(command(*asked))
    assert found["slurm"][0][0] == "error" and "Unable to contact slurm controller" in found["slurm"][0][1]


def test_check_of_odd_names(command: Command, hub: Emulator, tmp_path: Path) -> None:
    """What the daemon starts with is no error, and what is wrong is told whatever bytes a path has."""
    base = ("check", "--json", "--endpoint", hub.url, "--listen", "127.0.0.1:0", "--state")
    found = findings(command(*base, "no-such-folder"))
    assert found["state"] == [("ok", "no-such-folder will be made")] and not Path("no-such-folder").exists()
    (tmp_path / "bifurcated.db").touch()
    found = findings(command(*base, tmp_path))
    assert found["database"][0][0] == "warning" and "the daemon starts anew in it" in found["database"][0][1]
    (tmp_path / "file\udcff").touch()
    found = findings(command(*base, tmp_path / "file\udcff"))
    assert found["state"] == [("error", f"{tmp_path}/file? is not a folder: name another with state")]


def test_check_of_the_token(
    command: Command, make_hub: Callable[..., Emulator], small_root: Path, tmp_path: Path
) -> None:
    hub = make_hub(small_root, tokens=["hf_good"])
    base = ("check", "--json", "--state", tmp_path / "state", "--endpoint", hub.url, "--listen", "127.0.0.1:0")
    found = findings(command(*base, HF_TOKEN="hf_good"))
    assert found["hub token"] == [("ok", "belongs to emulator, of HF_TOKEN, which counts before the file of hf auth login")]
    assert found["hub limit"][0][0] == "ok" and "requests of its API are left" in found["hub limit"][0][1]
    found = findings(command(*base, HF_TOKEN="hf_wrong"))
    assert found["hub"][0][0] == "error" and "does not accept the token of HF_TOKEN" in found["hub"][0][1]
    (tmp_path / "mine").write_text("hf_good")
    found = findings(command(*base, HF_TOKEN_PATH=str(tmp_path / "mine")))
    assert found["hub token"] == [("ok", f"belongs to emulator, of {tmp_path}/mine")]
    os.mkfifo(tmp_path / "pipe")  # nobody writes into it; before, this waited for ever
    found = findings(command(*base, HF_TOKEN_PATH=str(tmp_path / "pipe")))
    assert found["hub token"][0][0] == "warning" and f"{tmp_path}/pipe: is not a regular file" in found["hub token"][0][1]
    found = findings(command(*base, "--token-file", str(tmp_path / "pipe"), HF_TOKEN="hf_good"))
    assert found["configuration"][1][0] == "error" and f"{tmp_path}/pipe is not a regular file" in found["configuration"][1][1]
    hub.fault("status", path="/api/whoami-v2", status=404)
    found = findings(command(*base, HF_TOKEN="hf_good"))
    assert found["hub"][0][0] == "warning" and "404 to /api/whoami-v2, as mirrors do" in found["hub"][0][1]
    assert found["hub token"][0] == ("warning", "there is one, but a mirror does not say whether it counts")
    found = findings(command(*base))
    assert found["hub"][0][0] == "warning" and found["hub token"][0][0] == "ok"
    hub.reset()
    found = findings(command(*base, HF_TOKEN_PATH=str(tmp_path)))  # a folder: what root cannot read either
    assert found["hub token"][0][0] == "warning" and f"{tmp_path}: cannot read: Is a directory" in found["hub token"][0][1]
