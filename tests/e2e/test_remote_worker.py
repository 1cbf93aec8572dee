"""Remote workers against a daemon that has none of its own.

The numbers are those of a local sweep, bit by bit; workers that are killed, suspended or cut off change nothing of that; what
a worker hands in is not trusted.
"""

from __future__ import annotations

import json
import random
import signal
import socket
import sqlite3
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from recorded import check_sound, essence, everything, read, without_perplexity
from running import Daemon, model_path, wait_until
from spoilt import join, split, spoilt
from workers import Proxy, Worker, offer_to

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
# Both formats, sharded, equal content (step0 and step1; step5000 and step14000 serve one file).
NAMES = ["step0", "step1", "step2", "step128", "step3000", "step5000", "step14000"]
REQUEST = {"revisions": {"names": NAMES}}
BOTH = {**REQUEST, "metrics": ["statistics", "perplexity"], "dataset": "garden/lambada_garden", "limit": 20}
HERE = f"/v1/models/{model_path(MODEL)}"
REMOTE = ("--fetchers", "0")  # the daemon itself measures nothing


@pytest.fixture(scope="module")
def undisturbed(
    programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """What the daemon's own workers measure."""
    with Emulator(garden) as hub:
        local = Daemon(programs, tmp_path_factory.mktemp("local"), hub.url, [], {})
        local.start()
        assert local.wait(local.sweep(MODEL, **BOTH))["state"] == "done"
        yield {
            "rows": local.series(MODEL),
            "everything": everything(local),
            "answers": {path: local.get(HERE + path).body for path in ("/distribution", "/displacement", "/trajectories")},
        }
        local.check_end()


def test_numbers_are_those_of_a_local_sweep(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, worker: Callable[..., Worker],
    undisturbed: dict[str, Any],
) -> None:  # fmt: skip
    """Three workers, statistics and perplexity: every table, and what the API makes of it."""
    hub = make_hub(garden)
    remote = daemon(hub, *REMOTE)
    workers = [worker(remote, "--name", f"w{i}") for i in range(3)]
    sweep = remote.sweep(MODEL, **BOTH)
    end = remote.wait(sweep)
    assert end["state"] == "done", (end, [one.log() for one in workers])
    assert essence(remote.series(MODEL)) == essence(undisturbed["rows"])
    assert everything(remote) == undisturbed["everything"]
    for path, body in undisturbed["answers"].items():
        assert remote.get(HERE + path).body == body, path
    check_sound(remote)

    listed = remote.get("/v1/workers").json()["workers"]
    assert [one["name"].rsplit("-", 1)[0] for one in listed] == ["w0", "w1", "w2"]
    assert sum(one["recorded"] for one in listed) == len(NAMES)
    assert all(one["device"] == "cpu" and one["version"] and not one["tasks"] for one in listed)
    table = remote.client("workers")
    assert table.returncode == 0 and "RECORDED" in table.stdout and listed[0]["name"] in table.stdout
    assert "bifurcated_remote_workers 3" in remote.get("/metrics").text
    wait_until(lambda: sum(one.log().count("task done") for one in workers) == len(NAMES))  # said after it was acknowledged

    # What is known is not measured again, and its weights are not fetched.
    hub.reset()
    again = remote.wait(remote.sweep(MODEL, revisions={"names": NAMES[:3]}))
    assert again["state"] == "done", again
    assert [name for name in hub.stats()["files"] if name.endswith((".safetensors", ".bin"))] == []
    assert essence(remote.series(MODEL)) == essence(undisturbed["rows"])
    check_sound(remote)


def is_busy(daemon: Daemon, name: str) -> bool:
    workers = daemon.get("/v1/workers").json()["workers"]
    return any(one["name"].startswith(f"{name}-") and one["running"] for one in workers)


def test_workers_killed_at_any_moment(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, worker: Callable[..., Worker],
    undisturbed: dict[str, Any], port: int,
) -> None:  # fmt: skip
    """Worker after worker is killed at its work, and the daemon, too, which comes back at its address; then one goes on. The hub
    answers each so many requests and no more, so that none has done all before it is seen at work."""
    hub = make_hub(garden, latency_ms=200)
    remote = daemon(hub, *REMOTE, "--lease-s", "2", "--attempts", "50", "--listen", f"127.0.0.1:{port}")
    sweep = remote.sweep(MODEL, **REQUEST)
    remote.wait(sweep, lambda now: now["state"] == "running")
    moments = random.Random(7)
    for victim in range(3):
        hold = hub.fault("hold", after=moments.randint(1, 8))  # enough for two revisions at most
        one = worker(remote, "--name", f"victim{victim}")
        now = remote.wait(sweep, lambda now, victim=victim: is_busy(remote, f"victim{victim}"))
        assert now["state"] == "running", (now, one.log())
        time.sleep(0.4 * moments.random())
        one.kill()
        hub.clear_faults(hold)
        assert read(remote, "PRAGMA integrity_check") == [("ok",)]
        if victim == 1:
            remote.kill()
            remote.start()
    hub.set(latency_ms=0)
    steady = worker(remote)
    end = remote.wait(sweep)
    assert end["state"] == "done", (end, steady.log())
    assert end["progress"]["done"] == len(NAMES)
    assert without_perplexity(remote.series(MODEL)) == without_perplexity(undisturbed["rows"])
    check_sound(remote)
    # The next worker of a place removes what killed ones left behind.
    killed = Worker(remote, Path(steady.command[0]), steady.place.parent / "again").start()
    killed.told("worker")
    wait_until(lambda: killed.left_behind() != [])
    killed.kill()
    assert killed.left_behind() != []
    killed.command += ["--idle-exit-s", "1"]
    killed.start()
    assert killed.wait() == 0
    assert killed.left_behind() == []


def test_suspended_worker_wakes_after_its_lease(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, worker: Callable[..., Worker],
    undisturbed: dict[str, Any],
) -> None:  # fmt: skip
    hub = make_hub(garden)
    remote = daemon(hub, *REMOTE, "--lease-s", "2")
    sweep = remote.sweep(MODEL, revisions={"names": ["step0"]})
    remote.wait(sweep, lambda now: now["state"] == "running")
    hub.fault("hold", route="cdn")
    sleeper = worker(remote, "--name", "sleeper")
    remote.wait(sweep, lambda now: now["progress"]["running"] == 1)
    sleeper.suspend()
    hub.clear_faults()
    other = worker(remote, "--name", "other")
    assert remote.wait(sweep)["state"] == "done", other.log()
    before = everything(remote), read(remote, "SELECT measured_ms FROM revision_tensors")
    sleeper.resume()
    sleeper.told("task dropped")
    assert (everything(remote), read(remote, "SELECT measured_ms FROM revision_tensors")) == before
    check_sound(remote)
    task = remote.get(f"/v1/sweeps/{sweep}/tasks").json()["tasks"][0]
    assert task["worker"].startswith("other-") and task["attempts"] >= 2
    # It is as good as new.
    assert other.stop() == 0
    assert remote.wait(remote.sweep(MODEL, revisions={"names": NAMES[:3]}))["state"] == "done", sleeper.log()
    assert without_perplexity(remote.series(MODEL))[:3] == without_perplexity(undisturbed["rows"])[:3]


def test_daemon_that_is_down_for_longer_than_a_lease(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, worker: Callable[..., Worker], port: int,
) -> None:  # fmt: skip
    """It is stopped while a worker measures, and back when the lease is long over. Who claims first then does not get that
    worker's task, whose result counts."""
    hub = make_hub(garden)
    remote = daemon(hub, *REMOTE, "--lease-s", "30", "--listen", f"127.0.0.1:{port}")
    sweep = remote.sweep(MODEL, revisions={"names": ["step0"]})
    remote.wait(sweep, lambda now: now["state"] == "running")
    hub.fault("hold", route="cdn")
    one = worker(remote, "--name", "steady")
    remote.wait(sweep, lambda now: now["progress"]["running"] == 1)
    remote.stop()
    with sqlite3.connect(remote.db) as db:
        db.execute("UPDATE tasks SET lease_until_ms = lease_until_ms - 3600000 WHERE state = 'claimed'")
    db.close()
    remote.start()
    assert remote.post("/v1/claims", {**offer_to(remote), "worker": "hasty/00"}).status == 204
    hub.clear_faults()
    assert remote.wait(sweep)["state"] == "done", one.log()
    task = remote.get(f"/v1/sweeps/{sweep}/tasks").json()["tasks"][0]
    assert task["worker"].startswith("steady-") and task["attempts"] == 1
    check_sound(remote)


def test_clocks_jump(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, worker: Callable[..., Worker],
    undisturbed: dict[str, Any],
) -> None:  # fmt: skip
    """The daemon's clock an hour ahead: leases are over at once and tasks are taken over from workers that live. An
    hour back: leases are too long until the next heartbeat. Both as the store sees it."""
    hub = make_hub(garden, latency_ms=30, connection_bps=8e6)
    hub.fault("hold", route="cdn", revision=NAMES[3])  # there is work for all three jumps
    remote = daemon(hub, *REMOTE, "--attempts", "50")
    sweep = remote.sweep(MODEL, **REQUEST)
    workers = [worker(remote), worker(remote)]
    for jump_ms in (-3600_000, 3600_000, -3600_000):
        now = remote.wait(sweep, lambda now: now["progress"]["running"] > 0)
        assert now["state"] == "running", now
        db = sqlite3.connect(remote.db, timeout=30)
        with db:
            db.execute("UPDATE tasks SET lease_until_ms = lease_until_ms + ? WHERE state = 'claimed'", (jump_ms,))
        db.close()
        time.sleep(0.3)
    hub.clear_faults()
    end = remote.wait(sweep)
    assert end["state"] == "done", (end, [one.log() for one in workers])
    assert without_perplexity(remote.series(MODEL)) == without_perplexity(undisturbed["rows"])
    check_sound(remote)


def test_stopped_worker_gives_back(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, worker: Callable[..., Worker]
) -> None:
    """TERM: what cannot end soon is given back, with nothing counted against it."""
    hub = make_hub(garden, latency_ms=60_000)
    remote = daemon(make_hub(garden), *REMOTE)
    sweep = remote.sweep(MODEL, revisions={"names": ["step0"]})
    one = worker(remote, "--endpoint", hub.url)
    wait_until(lambda: hub.stats()["requests"]["total"] > 0)  # it knows of its task; the daemon knows earlier
    assert remote.get(f"/v1/sweeps/{sweep}").json()["progress"]["running"] == 1
    assert one.stop() == 0
    assert one.told("task given back")
    task = remote.get(f"/v1/sweeps/{sweep}/tasks").json()["tasks"][0]
    assert task["state"] == "queued" and task["not_before"] is None
    assert read(remote, "SELECT failures, interruptions FROM tasks") == [(0, 1)]


def test_stopped_before_it_hears_of_its_task(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, worker: Callable[..., Worker]
) -> None:
    """The daemon has a task for a worker that is told to stop before the answer is there: it does not wait for the lease."""
    remote = daemon(make_hub(garden), *REMOTE)
    sweep = remote.sweep(MODEL, revisions={"names": ["step0"]})
    with Proxy(remote.url) as proxy:
        proxy.may_answer.clear()
        one = worker(proxy.url, env=remote.env)
        remote.wait(sweep, lambda now: now["progress"]["running"] == 1)
        assert one.stop() == 0
        proxy.may_answer.set()
        assert proxy.offers[-1]["leaving"] and proxy.offers[-1]["again"]
        task = remote.get(f"/v1/sweeps/{sweep}/tasks").json()["tasks"][0]
        assert task["state"] == "queued" and task["not_before"] is None, one.log()
        assert read(remote, "SELECT failures, interruptions FROM tasks") == [(0, 1)]
        proxy.drop_answers = 1000  # the next one never hears of its task, and is told to stop while it waits to ask again
        other = worker(proxy.url, env=remote.env)
        other.told("the daemon does not answer")
        assert other.stop() == 0
        assert proxy.offers[-1]["leaving"] and read(remote, "SELECT state FROM tasks") == [("queued",)], other.log()


def test_sweeps_share_workers_and_one_can_be_chosen(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, worker: Callable[..., Worker]
) -> None:
    remote = daemon(make_hub(garden), *REMOTE)
    first = remote.sweep(MODEL, revisions={"names": NAMES[:3]})
    second = remote.sweep(MODEL, revisions={"names": NAMES[3:]})
    for sweep in (first, second):
        remote.wait(sweep, lambda now: now["state"] == "running")
    only = worker(remote, "--sweep", str(second), "--idle-exit-s", "1")
    assert remote.wait(second)["state"] == "done"
    assert only.wait() == 0
    assert remote.get(f"/v1/sweeps/{first}").json()["progress"]["queued"] == 3
    third = remote.sweep(MODEL, revisions={"names": NAMES[:5]})
    remote.wait(third, lambda now: now["state"] == "running")
    workers = [worker(remote, "--idle-exit-s", "1") for _ in range(2)]
    for sweep in (first, third):
        assert remote.wait(sweep)["state"] == "done"
    assert [one.wait() for one in workers] == [0, 0]
    check_sound(remote)


def test_folder_that_is_not_on_this_machine(
    daemon: Callable[..., Daemon], worker: Callable[..., Worker], garden: Path, tmp_path: Path
) -> None:
    """It is left to workers that have it, and nothing is counted against the task."""
    run = tmp_path / "run"
    run.mkdir()
    for name in ("step1", "step2"):
        (run / name).symlink_to(garden / "models/garden/neox-tiny" / name)
    remote = daemon(None, *REMOTE)
    sweep = remote.sweep(f"file:{run}")
    remote.wait(sweep, lambda now: now["state"] == "running")
    away = run.rename(tmp_path / "elsewhere")
    stranger = worker(remote, "--idle-exit-s", "1")
    assert stranger.wait() == 0
    assert f"model file:{run} is not on this machine" in stranger.log()
    assert read(remote, "SELECT DISTINCT state, failures, interruptions FROM tasks") == [("queued", 0, 0)]
    away.rename(run)
    worker(remote)
    assert remote.wait(sweep)["state"] == "done"
    assert [row["state"] for row in remote.series(f"file:{run}")] == ["measured"] * 2


def test_what_fails_for_good_is_not_held_against_a_worker(daemon: Callable[..., Daemon], worker: Callable[..., Worker], garden: Path) -> None:
    """A worker pauses for longer and longer while attempts fail in a row, but not for revisions that nobody can measure."""
    remote = daemon(None, *REMOTE)
    names = [f"step{1 + number}" for number in range(25)]  # with pauses, minutes
    run = remote.state / "run"
    for name in names:
        (run / name).mkdir(parents=True)
        (run / name / "config.json").write_text("{}")
    (run / "step0").symlink_to(garden / "models" / MODEL / "step0")  # where one is measured, no failure of others ends the sweep
    worker(remote, "--fetchers", "1")
    end = remote.wait(remote.sweep(f"file:{run}"))
    assert end["state"] == "failed" and end["progress"]["failed"] == len(names)
    assert read(remote, "SELECT DISTINCT failures FROM tasks WHERE state = 'failed'") == [(1,)]


def test_more_sweeps_than_can_be_left_at_once(
    daemon: Callable[..., Daemon], worker: Callable[..., Worker], garden: Path, tmp_path: Path
) -> None:
    """A claim names 64 sweeps that the worker cannot work on. Where there are more, it takes its time to give them back: each
    time is two rows of a history that stays."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "step1").symlink_to(garden / "models/garden/neox-tiny/step1")
    remote = daemon(None, *REMOTE)
    sweeps = [remote.sweep(f"file:{run}") for _ in range(66)]
    remote.wait(sweeps[-1], lambda now: now["state"] == "running")
    run.rename(tmp_path / "elsewhere")
    stranger = worker(remote)
    wait_until(lambda: stranger.log().count("sweep left to others") >= 64)
    time.sleep(2)
    assert stranger.log().count("sweep left to others") < 80


def test_token_is_changed(daemon: Callable[..., Daemon], worker: Callable[..., Worker], garden: Path, tmp_path: Path) -> None:
    """Under a worker that runs: it reads its file again when it is refused, be it with a result in hand."""
    token = tmp_path / "token"
    token.write_text("a-token-of-the-daemon\n")
    remote = daemon(None, *REMOTE, "--token-file", str(token))
    one = worker(remote, "--token-file", str(token))
    wait_until(lambda: remote.get("/v1/workers").json()["workers"] != [])
    token.write_text("another-token-than-that\n")
    remote.process.send_signal(signal.SIGHUP)
    assert remote.told("the old one is not valid any more")
    headers = {"Authorization": "Bearer another-token-than-that"}
    asked = {"model": f"file:{garden}/models/garden/neox-tiny", "revisions": {"names": ["step0"]}}
    assert remote.wait(remote.post("/v1/sweeps", asked, headers).json()["id"])["state"] == "done"
    assert one.stop() == 0 and "does not accept" not in one.log()


def test_refused_workers(
    daemon: Callable[..., Daemon], worker: Callable[..., Worker], tmp_path: Path
) -> None:
    """A wrong token, another version: a sentence and status 1."""
    token = tmp_path / "token"
    token.write_text("a-token-of-the-daemon\n")
    wrong = tmp_path / "wrong"
    wrong.write_text("another-token-than-that\n")
    remote = daemon(None, *REMOTE, "--token-file", str(token))
    for file in (wrong, None):
        one = worker(remote, *(["--token-file", str(file)] if file else []))
        assert one.wait() == 1
        assert "does not accept this worker" in one.log() and "unauthorized" in one.log()
    headers = {"Authorization": f"Bearer {token.read_text().strip()}"}
    with Proxy(remote.url) as proxy:

        def pretend(body: dict[str, Any]) -> dict[str, Any]:
            return {**body, "definition": body["definition"] + 1}

        proxy.change_offer = pretend
        one = worker(proxy.url, "--token-file", str(token), env=remote.env)
        assert one.wait() == 1
        assert "upgrade the daemon" in one.log() and "unsupported" in one.log()
    offer = {"protocol": 3, "version": "9.9"}
    answer = remote.post("/v1/claims", offer, headers)
    assert answer.status == 409 and "upgrade the daemon" in answer.json()["detail"], answer
    for change, status, words in (
        ({"worker": "no slot"}, 400, "worker"),
        ({"worker": "no/number"}, 400, "worker"),
        ({"worker": "two lines\n/0"}, 400, "worker"),
        ({"key": "A" * 32}, 400, "key"),
        ({"key": "0" * 31}, 400, "key"),
        ({"worker": "local/0"}, 400, "local"),
        ({"wait_s": 1000}, 400, "wait_s"),
        ({"sweep": 999}, 400, "there is no sweep 999"),
        ({"colour": 1}, 400, "colour"),
        ({"definition": 1}, 409, "upgrade the worker"),
    ):
        sound = {**proxy.offers[-1], "definition": proxy.offers[-1]["definition"] - 1}
        answer = remote.post("/v1/claims", {**sound, **change}, headers)
        assert answer.status == status and words in answer.json()["detail"], (change, answer)
    for path, word in (("heartbeat", {"bytes_fetched": 0}), ("failure", {"code": "io", "message": "x"}), ("release", {})):
        assert remote.request("PUT", f"/v1/claims/1.1.0/{path}", word, headers).status == 404
        assert remote.request("PUT", f"/v1/claims/1.1.0/{path}", {}).status == 401
    for options, words in (
        (["--connect", "ftp://here"], "http"),
        (["--connect", "http://127.0.0.1:1", "--idle-exit-s", "x"], "idle-exit-s"),
        (["--connect", "http://127.0.0.1:1", "--name", "a b"], "name"),
        (["--connect", "http://127.0.0.1:1", "--colour", "red"], "colour"),
        (["--connect", "http://127.0.0.1:1", "--fetchers", "65"], "fetchers"),
    ):
        one = worker(remote, *options)
        assert one.wait() in (1, 2) and words in one.log(), (options, one.log())


def test_https(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, worker: Callable[..., Worker],
    certificate: tuple[str, str],
) -> None:  # fmt: skip
    """Through a proxy that ends TLS: with its certificate it works, without it nothing is sent."""
    remote = daemon(make_hub(garden), *REMOTE)
    sweep = remote.sweep(MODEL, revisions={"names": NAMES[:2]})
    with Proxy(remote.url, tls=certificate) as proxy:
        stranger = worker(proxy.url, "--idle-exit-s", "1", env=remote.env)
        assert stranger.wait() == 1
        assert "certificate is not trusted" in stranger.log() and "never answered" in stranger.log() and not proxy.offers
        assert "cannot be told" not in stranger.log(), "it knows of no worker"
        worker(proxy.url, "--connect-ca-file", certificate[0], env=remote.env)
        assert remote.wait(sweep)["state"] == "done"
        assert proxy.offers


def tuple_of(netloc: str) -> tuple[str, int]:
    host, port = netloc.split(":")
    return host, int(port)


def test_what_is_handed_in_is_not_trusted(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, worker: Callable[..., Worker],
    undisturbed: dict[str, Any],
) -> None:  # fmt: skip
    """Before the true result of step2 come all kinds of false ones: each is refused, and nothing of it is recorded. The true
    one comes twice, and an answer to a claim is lost on its way."""
    remote = daemon(make_hub(garden), *REMOTE)
    faults: list[str] = []
    tried: list[str] = []

    def state() -> tuple[Any, ...]:
        return (
            everything(remote),
            read(remote, "SELECT count(*) FROM contents"),
            read(remote, "SELECT id, state, attempts, failures, worker FROM tasks ORDER BY id"),
            read(remote, "SELECT id, event FROM task_events WHERE event NOT IN ('claim') ORDER BY id"),
        )

    with Proxy(remote.url) as proxy:

        def attack(path: str, headers: dict[str, str], body: bytes) -> None:
            tensor = split(body)[0]["tensors"][0]
            references = {one["reference"]["digest"] for one in tensor["displacements"]}
            if tried or len(tensor["displacements"]) < 2 or tensor["content"]["digest"] in references:
                return  # step0 has one reference, and step1 has its content, which is known
            before = state()
            for what, target, extra, bad, status in spoilt(path, body):
                tried.append(what)
                given = {**headers, **extra, "Content-Length": str(len(bad))}
                got, answer = proxy.ask("PUT", target, given, bad)
                if got != status or (got >= 400 and not json.loads(answer)["detail"]):
                    faults.append(f"{what}: {got} instead of {status}: {answer[:300]!r}")
            # Announced, but too large: refused before it is sent.
            with socket.create_connection(tuple_of(proxy.target)) as raw:
                raw.sendall(
                    f"PUT {path} HTTP/1.1\r\nHost: {proxy.target}\r\nExpect: 100-continue\r\n"
                    f"Content-Type: application/vnd.bifurcated.result\r\nContent-Length: {300 << 20}\r\n\r\n".encode()
                )
                line = raw.makefile("rb").readline()
                if b" 413 " not in line:
                    faults.append(f"too large: {line!r}")
            if state() != before:
                faults.append("something was recorded")
            true = proxy.ask("PUT", path, headers, body)
            if true[0] != 200 or json.loads(true[1]) != {"state": "done"}:
                faults.append(f"the true result: {true}")

        proxy.before_result = attack
        proxy.drop_answers = 1
        one = worker(proxy.url, "--fetchers", "1", env=remote.env)
        end = remote.wait(remote.sweep(MODEL, revisions={"names": NAMES[:3]}))
        assert end["state"] == "done", (end, one.log())
        assert not faults, "\n".join(faults)
        assert len(tried) > 30
    assert without_perplexity(remote.series(MODEL))[:3] == without_perplexity(undisturbed["rows"])[:3]
    check_sound(remote)
    assert read(remote, "SELECT max(attempts), sum(failures), sum(interruptions) FROM tasks") == [(2, 0, 1)]
    assert one.told("the daemon answers again")


def test_a_refused_result_is_an_attempt(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, worker: Callable[..., Worker],
    undisturbed: dict[str, Any],
) -> None:  # fmt: skip
    """What a worker with a damaged cache hands in contradicts the store: another worker measures the revision. A contradiction
    that every worker comes to fails it, once the attempts are used up."""
    remote = daemon(make_hub(garden), *REMOTE, "--attempts", "3", "--retry-delay-s", "1")

    def contradict(path: str, headers: dict[str, str], body: bytes) -> bytes:
        head, values = split(body)
        head["tensors"][0]["file_digest"] = "0" * 64
        return join(head, values)

    with Proxy(remote.url) as bad:
        bad.before_result = contradict
        one = worker(bad.url, "--fetchers", "1", "--name", "damaged", env=remote.env)
        number = remote.sweep(MODEL, revisions={"names": NAMES[:1]})
        wait_until(lambda: read(remote, "SELECT failures FROM tasks") == [(1,)])
        two = worker(remote.url, "--fetchers", "1", "--name", "sound", env=remote.env)
        assert remote.wait(number)["state"] == "done", (one.log(), two.log())
        assert read(remote, "SELECT failures, attempts, substr(worker, 1, 5) FROM tasks") == [(1, 2, "sound")]
        assert one.told("task will be tried again")
        assert without_perplexity(remote.series(MODEL))[:1] == without_perplexity(undisturbed["rows"])[:1]
    check_sound(remote)
