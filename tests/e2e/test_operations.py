"""What whoever runs the daemon does: check, backup and restore, retention."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Callable

import pytest
from running import Daemon, model_path, new_certificate, wait_until
from workers import Worker

from tests.hub import Emulator

MODEL = "garden/neox-tiny"


@pytest.fixture
def command(programs: dict[str, Path], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `bifurcated COMMAND ...` to its end."""

    def run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **env}
        clean |= {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
        words = [str(programs["bifurcated"]), *map(str, arguments)]
        return subprocess.run(words, env=clean, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)

    return run


def measured(daemon: Daemon) -> dict[str, dict[str, Any]]:
    """The measured rows of the series by revision."""
    return {row["revision"]: row for row in daemon.series(MODEL) if row["msd"] is not None}


def test_backup_of_a_running_sweep_and_its_restore(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, tmp_path: Path,
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:  # fmt: skip
    """The copy is made beside the writers, is whole, and a daemon on it goes on to the same series."""
    hub = make_hub(garden, bandwidth_bps=2_000_000)
    first = daemon(hub)
    sweep = first.sweep(MODEL)
    first.wait(sweep, until=lambda now: now["progress"]["done"] >= 3)
    early = measured(first)
    copy = tmp_path / "copy.db"
    made = command("backup", copy, "--state", first.state)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(f"wrote {copy}: ") and "1 models" in made.stdout
    assert first.get(f"/v1/sweeps/{sweep}").json()["state"] == "running", "too late to show anything"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with sqlite3.connect(f"file:{copy}?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        kept = {row[0] for row in database.execute("SELECT r.name FROM revision_tensors t JOIN revisions r ON r.id = revision_id")}
    assert set(early) <= kept
    again = command("backup", "--state", first.state, copy)  # options may come first
    assert again.returncode == 1 and "exists already" in again.stderr

    hub.set(bandwidth_bps=0)
    assert first.wait(sweep)["state"] == "done"
    whole = first.series(MODEL)
    refused = command("restore", copy, "--state", first.state)
    assert refused.returncode == 1 and f"in use by another daemon (process {first.process.pid})" in refused.stderr
    assert first.stop() == 0

    restored = command("restore", copy, "--state", first.state)
    assert restored.returncode == 0, restored.stderr
    aside = [path for path in first.state.iterdir() if ".db.before-" in path.name]
    assert len(aside) == 1 and str(aside[0]) in restored.stdout
    first.start()
    assert first.wait(sweep)["state"] == "done"  # the rest of it is measured again
    then = {row["revision"]: row for row in first.series(MODEL)}
    for row in whole:
        for name in ("msd", "lag1_msd", "variance", "bimodality", "kurtosis"):
            assert row[name] == then[row["revision"]][name], (row["revision"], name)
    first.stop()
    assert command("restore", aside[0], "--state", first.state).returncode == 0  # and back
    first.start()
    assert first.series(MODEL) == whole


def test_what_restore_refuses(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    text, state = tmp_path / "text", tmp_path / "state"
    text.write_text("this is no database, whatever its length may be\n" * 100)
    for arguments, status, words in (
        ((), 2, "restore: needs a FILE"),
        ((tmp_path / "none",), 1, "none: No such file"),
        ((text,), 1, "file is not a database"),
    ):
        answer = command("restore", *arguments, "--state", state)
        assert answer.returncode == status and words in answer.stderr, answer
    assert not (state / "bifurcated.db").exists()
    answer = command("backup", tmp_path / "copy", "--state", state)
    assert answer.returncode == 1 and "there is no store; name its folder with --state" in answer.stderr
    (state / "bifurcated.db.restored").touch()  # as a restore leaves it that was killed
    for arguments in (("backup", tmp_path / "copy"), ("prune",)):
        answer = command(*arguments, "--state", state)
        assert answer.returncode == 1 and "its restore was cut off" in answer.stderr, answer


# -- check ---------------------------------------------------------------------------------------------------


def findings(answer: subprocess.CompletedProcess[str]) -> dict[str, list[tuple[str, str]]]:
    """subject -> [(level, text)] of `check --json`."""
    report = json.loads(answer.stdout)
    assert answer.returncode == (1 if report["status"] == "error" else 0), report
    found: dict[str, list[tuple[str, str]]] = {}
    for row in report["findings"]:
        found.setdefault(row["subject"], []).append((row["level"], row["text"]))
    return found


def test_check_of_a_sound_place(
    command: Callable[..., subprocess.CompletedProcess[str]], daemon: Callable[..., Daemon], hub: Emulator, tmp_path: Path
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
    command: Callable[..., subprocess.CompletedProcess[str]], hub: Emulator, tmp_path: Path
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
    found = findings(command(*base, BIFURCATED_FETCHER="1", BIFURCATED_PORT_7143_TCP="tcp://10.0.0.1:7143"))
    assert found["configuration"][1:] == [("warning", "BIFURCATED_FETCHER is set, but no option is called so; did you mean BIFURCATED_FETCHERS?")]
    found = findings(command("check", "--json", "--nonsense"))
    assert found["configuration"][0] == ("error", "--nonsense: there is no such option; see bifurcated --help")
    (tmp_path / "file").write_text("")
    found = findings(command(*base[:2], "--state", tmp_path / "file" / "state", *base[4:]))
    assert found["state"] == [("error", f"{tmp_path}/file is not a folder: name another with state")]


def test_check_of_what_stands_before_the_api(
    command: Callable[..., subprocess.CompletedProcess[str]], hub: Emulator, tmp_path: Path
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


def test_check_of_the_cluster(command: Callable[..., subprocess.CompletedProcess[str]], hub: Emulator, tmp_path: Path) -> None:
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


def test_check_of_odd_names(command: Callable[..., subprocess.CompletedProcess[str]], hub: Emulator, tmp_path: Path) -> None:
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
    command: Callable[..., subprocess.CompletedProcess[str]], make_hub: Callable[..., Emulator], small_root: Path, tmp_path: Path
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


# -- Retention -----------------------------------------------------------------------------------------------


def age_sweeps(database: Path, days: int) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE sweeps SET finished_ms = finished_ms - ?", (days * 86_400_000,))


def test_retention(
    daemon: Callable[..., Daemon], hub: Emulator, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Old sweeps go, results stay: by the command without a daemon, and by the daemon itself."""
    one = daemon(hub)
    model = one.get("/v1/models").json()
    assert model["models"] == []
    sweeps = [one.sweep("org/small") for _ in range(2)]
    for sweep in sweeps:
        one.wait(sweep)
    series = one.series("org/small")
    busy = command("prune", "--state", one.state)
    assert busy.returncode == 1 and "in use by another daemon" in busy.stderr
    one.stop()
    age_sweeps(one.db, 40)
    kept = command("prune", "--state", one.state)
    assert kept.returncode == 0 and kept.stdout.startswith("0 sweeps deleted (--retention-days is 0)"), kept
    kept = command("prune", "--state", one.state, "--retention-days", "41")
    assert kept.stdout.startswith("0 sweeps deleted, "), kept
    gone = command("prune", "--state", one.state, "--retention-days", "30")
    assert gone.stdout.startswith("1 sweeps deleted, "), gone  # the newer one has the newest task of each revision
    one.start()
    assert one.series("org/small") == series
    assert [row["id"] for row in one.get("/v1/sweeps").json()["sweeps"]] == [sweeps[1]]
    newer = one.sweep("org/small")
    one.wait(newer)
    one.stop()
    age_sweeps(one.db, 40)
    one._options += ["--retention-days", "30"]
    one.start()
    wait_until(lambda: [row["id"] for row in one.get("/v1/sweeps").json()["sweeps"]] == [newer])
    assert one.told("sweeps_deleted=1")
    assert one.series("org/small") == series


def test_damaged_values_are_told_and_measured_again(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, command: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:  # fmt: skip
    """A flipped bit within a large value: a list leaves it out and names it, no read shows other numbers, `check` and `backup` count
    it, `prune` deletes it."""
    hub = make_hub(garden)
    one = daemon(hub)
    one.wait(one.sweep(MODEL))
    paths = [f"/v1/models/{MODEL}/{rest}" for rest in ("distribution?rows=tokens&view=centred", "trajectories", "displacement", "columns?rows=tokens")]
    before = [one.get(path).json() for path in paths]
    one.stop()
    with sqlite3.connect(one.db) as db:
        ((content, name),) = db.execute("SELECT t.content_id, r.name FROM revision_tensors t JOIN revisions r ON r.id = t.revision_id WHERE r.name = 'step512'")
        for table, where in (("distributions", "AND row_set = 'tokens' AND is_centred = 1"), ("samples", ""), ("columns_statistics", "AND token_rows > 0")):
            ((row, data),) = db.execute(f"SELECT rowid, data FROM {table} WHERE content_id = ? {where}", (content,))
            middle = len(data) // 2
            db.execute(f"UPDATE {table} SET data = ? WHERE rowid = ?", (data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :], row))
    db.close()
    one.start()
    for path, whole in zip(paths, before, strict=True):
        page, csv = one.read(path), one.get(path + ("&" if "?" in path else "?") + "format=csv").text.splitlines()
        assert page["damaged"] == [name] and page["count"] == whole["count"] - 1 and whole["damaged"] == []
        if "displacement" in path:
            assert page["revisions"] == [one for one in whole["revisions"] if one != name] and not any(name in line for line in csv)
            continue
        assert page["revisions"] == [row for row in whole["revisions"] if row["revision"] != name], path
        assert [line for line in csv if line.startswith(name + ",")] == ["step512,512" + "," * (csv[0].count(",") - 1)], path
        first = one.read(path + ("&" if "?" in path else "?") + "limit=3")
        assert first["damaged"] == [] and first["count"] == 3
    chosen = ["--rows", "tokens", "--view", "centred"]
    for words in (["distribution", *chosen], ["trajectories"], ["displacement"], ["columns", *chosen[:2]], ["plot", *chosen]):
        told = one.client(words[0], MODEL, *words[1:])
        assert told.returncode == 0 and f"is damaged: {name}; while the daemon is stopped, `bifurcated prune`" in told.stderr, told
    one_value = f"/v1/models/{MODEL}/revisions/{name}/values?rows=tokens&view=centred"
    told = one.get(one_value)
    assert told.status == 500 and "stored value is damaged" in told.text and "bifurcated check says what to do" in told.text
    assert one.get(one_value).status == 500
    (line,) = one.told("a request failed")
    assert told.json()["request_id"] in line and one_value in line and "stored value is damaged" in line and line.endswith("others=0")
    one.stop()
    found = findings(command("check", "--state", one.state, "--endpoint", hub.url, "--listen", "127.0.0.1:0", "--json"))["database"]
    assert [level for level, _ in found] == ["ok", "error"] and "3 large values" in found[1][1] and "bifurcated prune" in found[1][1]
    saved = command("backup", tmp_path / "copy", "--state", one.state)
    assert saved.returncode == 0 and "3 large values in it are damaged" in saved.stdout, saved
    pruned = command("prune", "--state", one.state)
    assert pruned.returncode == 0 and "3 large values were damaged and are deleted" in pruned.stdout, pruned
    one.start()
    one.wait(one.sweep(MODEL))
    assert [one.get(path).json() for path in paths] == before


@pytest.mark.parametrize("who", ["local", "remote"])
def test_what_retention_deleted_is_measured_again(
    who: str, daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path,
    command: Callable[..., subprocess.CompletedProcess[str]], programs: dict[str, Path], tmp_path: Path,
) -> None:  # fmt: skip
    """A branch goes elsewhere, its distributions go with retention, it comes back: the next sweep has them again, also if
    meanwhile a copy with another number of token rows has brought back some of them."""
    paths = [f"/v1/models/{model_path(MODEL)}/{rest}" for rest in ("distribution?bins=32&low=-0.5&high=0.5",
             "distribution?bins=32&low=-0.5&high=0.5&rows=tokens", "trajectories")]  # fmt: skip
    hub = make_hub(garden)
    one = daemon(hub)
    one.wait(one.sweep(MODEL))
    series, before = one.series(MODEL), [one.get(path).json() for path in paths]
    assert [value["count"] for value in before] == [25] * 3
    columns = one.get(f"/v1/models/{model_path(MODEL)}/columns").json()["revisions"]
    hub.move_branch(MODEL, "step2", "step1")
    one.wait(one.sweep(MODEL))
    one.stop()
    gone = command("prune", "--state", one.state)
    assert "distributions of 1 contents deleted" in gone.stdout, gone
    hub.move_branch(MODEL, "step2", "step2")
    with sqlite3.connect(one.db) as db:  # as an upgrade leaves entries of which nobody knows the rows
        db.execute("DELETE FROM samples WHERE content_id = (SELECT t.content_id FROM revisions r JOIN revision_tensors t"
                   " ON t.revision_id = r.id WHERE r.name = 'step16')")  # fmt: skip
    db.close()
    one._options += ["--fetchers", "0" if who == "remote" else "2"]
    one.start()
    worker = Worker(one, programs["bifurcated"], tmp_path / "worker") if who == "remote" else None
    try:
        if worker:
            worker.start()
        shutil.copytree(garden / "models" / MODEL / "step2", tmp_path / "run" / "step2")  # without its tokenizer
        assert one.wait(one.sweep(f"file:{tmp_path}/run"))["state"] == "done"
        one.wait(one.sweep(MODEL))
    finally:
        if worker:
            worker.stop()
    assert [one.get(path).json() for path in paths] == before
    # sums over all rows are formed of those of token rows and others, so they end in other digits
    for now, then in zip(one.get(f"/v1/models/{model_path(MODEL)}/columns").json()["revisions"], columns, strict=True):
        assert now["revision"] == then["revision"]
        for name in ("mean", "bimodality"):
            assert now[name] == pytest.approx(then[name], rel=1e-12, abs=1e-15)
    wanted = ("revision", "msd", "bimodality", "dip")
    assert [[row[name] for name in wanted] for row in one.series(MODEL)] == [[row[name] for name in wanted] for row in series]


def test_access_log(
    daemon: Callable[..., Daemon], hub: Any, command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """A line for each answered request, with who asked, never with the token; moved away and opened again at SIGHUP."""
    path, config, token = tmp_path / "access.log", tmp_path / "b.conf", "a-token-of-sixteen-and-more"
    (tmp_path / "token").write_text(token)
    config.write_text(f"[log]\naccess-log = {path}\nlog-format = json\n")
    one = daemon(hub, "--config", str(config), "--token-file", str(tmp_path / "token"))
    may = {"Authorization": f"Bearer {token}", "User-Agent": "me/1 \x9b31m \"x\"", "X-Request-Id": "mine-1"}

    def lines(file: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in file.read_text().splitlines() if '"event":"request"' in line]

    def find(file: Path, target: str) -> dict[str, Any]:
        wait_until(lambda: any(line["target"] == target for line in lines(file)))  # it comes after the answer
        return next(line for line in lines(file) if line["target"] == target)

    answer = one.get("/v1/tokens?limit=5", may)
    line = find(path, "/v1/tokens?limit=5")
    assert line["id"] == "mine-1" == answer.headers["X-Request-Id"] and line["address"] == "127.0.0.1"
    assert line["token"] == "token-file" and line["method"] == "GET" and line["status"] == 200
    assert line["bytes"] == len(answer.body) and 0 < line["seconds"] < 60
    assert line["operation"] == "listTokens" and line["agent"].startswith("me/1 ") and "\x9b" not in path.read_text()
    assert one.get("/v1/sweeps?model=%0aforged", {"Authorization": "Bearer guessed-secret"}).status == 400
    assert find(path, "/v1/sweeps?model=%0aforged")["status"] == 400
    one.post("/v1/sweeps", b"{", {"Authorization": "Bearer guessed-secret"})
    assert find(path, "/v1/sweeps")["status"] == 401
    # Moved away, as logrotate does.
    path.rename(tmp_path / "access.log.1")
    one.process.send_signal(signal.SIGHUP)
    wait_until(path.exists)
    assert one.get("/v1/models?limit=7").status == 200
    assert find(path, "/v1/models?limit=7")["token"] == ""
    # Into the log, and off.
    config.write_text("[log]\naccess-log = on\nlog-level = warning\n")
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: one.get("/healthz?on=1").status == 400 and "target=/healthz?on=1" in one.log().replace('"', ""))
    config.write_text("[log]\naccess-log = /nonexistent/access.log\n")
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "the access log was not reopened" in one.log() and "/nonexistent/access.log" in one.log())
    config.write_text("[log]\naccess-log = off\n")
    before = one.log().count("options reloaded")
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: one.log().count("options reloaded") > before)
    one.get("/v1/models?limit=9")
    texts = one.log() + path.read_text() + (tmp_path / "access.log.1").read_text()
    assert "limit=9" not in texts and token not in texts and "guessed-secret" not in texts
    for setting, words in (("/nonexistent/x", "/nonexistent/x: No such file"), ("x.log", "neither off, on nor the whole path")):
        ended = command("--state", tmp_path / "other", "--listen", "127.0.0.1:0", "--access-log", setting)
        assert ended.returncode == 1 and words in ended.stderr, ended


def test_access_log_on_a_full_disk(daemon: Callable[..., Daemon], hub: Any) -> None:
    """Lines are lost, which is said once; requests are answered."""
    one = daemon(hub, "--access-log", "/dev/full")
    for _ in range(20):
        assert one.get("/v1/models").status == 200
    wait_until(lambda: "the access log cannot be written" in one.log())
    assert one.log().count("the access log cannot be written") == 1 and "No space left" in one.log()
