"""A repository that is gated: the hub is asked once, the error says what to do, and who may read it measures it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable

import pytest
from running import Daemon, wait_until
from workers import Worker

from tests.hub import Emulator

MODEL = "garden/neox-tiny"
OWNER, STRANGER = "hf_of_the_owner", "hf_of_a_stranger"
NAMES = ["step0", "step1", "step2", "step4", "step8", "step16"]

Start = Callable[..., Daemon]


@pytest.fixture
def gated(garden: Path, tmp_path: Path, make_hub: Callable[..., Emulator]) -> Emulator:
    """The committed run, whose files only OWNER gets."""
    run = tmp_path / "root" / "models" / MODEL
    run.mkdir(parents=True)
    for one in (garden / "models" / MODEL).iterdir():
        (run / one.name).symlink_to(one)
    config = json.loads((run / "branches.json").read_text())
    (run / "branches.json").unlink()
    (run / "branches.json").write_text(json.dumps(config | {"gated": "manual"}))
    return make_hub(tmp_path / "root", granted_tokens=[OWNER], tokens=[STRANGER])


def files_asked_for(hub: Emulator) -> list[int]:
    """The statuses of the requests for files since the last reset."""
    return [one["status"] for one in hub.log() if one["route"] == "resolve"]


def sweep(one: Daemon, **request: Any) -> dict[str, Any]:
    return one.wait(one.sweep(MODEL, **{"revisions": {"names": NAMES}, **request}))


def test_asked_once(daemon: Start, gated: Emulator, programs: dict[str, Path]) -> None:
    """One request, one clear error for each revision, one line of the log; with a token it works at once."""
    one = daemon(gated)
    failed = sweep(one)
    assert failed["state"] == "failed" and failed["progress"]["failed"] == len(NAMES)
    assert {error["code"] for error in failed["errors"]} == {"gated"} == {failed["error"]["code"]}
    assert {error["attempts"] for error in failed["errors"]} == {1}
    said = f"accept its terms at {gated.url}/{MODEL}, then put a token of that account into {token_file(one)}, or set HF_TOKEN and restart bifurcated"
    assert all(said in error["message"] for error in [failed["error"], *failed["errors"]]), failed
    assert files_asked_for(gated) == [401]
    assert one.told("sweep ended", said)
    assert len(one.told("task failed", said)) == 1
    command = [str(programs["bifurcate"]), "show", str(failed["id"]), "--server", one.url]
    shown = subprocess.run(command, env=one.env, capture_output=True, text=True)
    assert said in shown.stdout + shown.stderr

    one.env["HF_TOKEN"] = OWNER
    one.restart()
    assert sweep(one, revisions={"names": NAMES[:2]})["progress"]["done"] == 2
    del one.env["HF_TOKEN"]  # what was measured with access needs none
    one.restart()
    gated.reset()
    partly = sweep(one)
    assert partly["progress"]["done"] == 2 and {error["revision"] for error in partly["errors"]} == set(NAMES[2:])
    assert {error["code"] for error in partly["errors"]} == {"gated"} and set(files_asked_for(gated)) == {401}


def token_file(one: Daemon | Worker) -> Path:
    return Path(one.env["HOME"]) / ".cache" / "huggingface" / "token"


def log_in(one: Daemon | Worker, token: str) -> None:
    """As `hf auth login` does it: not at one stroke."""
    token_file(one).parent.mkdir(parents=True, exist_ok=True)
    token_file(one).write_text(token)


def test_log_in(daemon: Start, gated: Emulator) -> None:
    """Whoever logs in, or out, while the daemon runs is who it asks for; tokens are in no log."""
    one = daemon(gated, "--fetchers", "1")
    assert sweep(one)["error"]["code"] == "gated"
    log_in(one, STRANGER)
    assert "access is granted to the owner of this token, or put another one into" in sweep(one)["error"]["message"]
    log_in(one, OWNER)
    assert sweep(one, revisions={"names": NAMES[:3]})["progress"]["done"] == 3
    log_in(one, "")  # no token: the one before counts
    assert sweep(one, revisions={"names": NAMES[:4]})["progress"]["done"] == 4
    assert len(one.told("the token file cannot be used", "token=yes", "the file is empty")) == 1
    token_file(one).unlink()
    gated.reset()
    left = sweep(one)
    assert left["progress"]["done"] == 4 and left["error"]["code"] == "gated" and set(files_asked_for(gated)) == {401}
    assert len(one.told("the hub is asked with another token")) == 2
    assert len(one.told("the hub is asked without a token", str(token_file(one)))) == 1
    assert OWNER not in one.log() and STRANGER not in one.log()


def test_login_that_expired(daemon: Start, gated: Emulator) -> None:
    """A browser's login is renewed by Python's client alone: whoever looks at the log or the error learns how."""
    one = daemon(gated, "--fetchers", "1")
    log_in(one, "hf_oauth_past")
    keep = "from huggingface_hub.utils._auth import _save_token as s; s('hf_oauth_past', 'oauth-me', refresh_token='r', expires_at=1000000000)"
    subprocess.run([sys.executable, "-c", keep], env=one.env, check=True)
    error = sweep(one)["error"]
    assert error["message"].endswith(
        f"the login in {token_file(one)} expired at 2001-09-09T01:46:40.000Z: "
        "`hf auth whoami` renews it, in its last day or later; a token made in the hub's settings need not expire"
    )
    one.restart()
    assert one.told("the hub's token is of a login that expires", "at=2001-09-09T01:46:40.000Z", "hf auth whoami")
    log_in(one, OWNER)
    assert sweep(one)["state"] == "done"
    one.restart()
    assert len(one.told("the hub's token is of a login that expires")) == 1


def test_log_in_while_asked(daemon: Start, gated: Emulator) -> None:
    """What is refused to the token of before is asked once more with the new one, and none of its tasks fails."""
    one = daemon(gated, "--fetchers", "3")
    log_in(one, OWNER)
    assert sweep(one, revisions={"names": NAMES[:1]})["state"] == "done"  # the plan of the next asks for no file
    log_in(one, STRANGER)
    gated.reset()
    gated.fault("hold", route="resolve")
    begun = one.sweep(MODEL, revisions={"names": NAMES[1:]})
    wait_until(lambda: len(files_asked_for(gated)) == 3)
    log_in(one, OWNER)
    gated.clear_faults()
    assert one.wait(begun)["progress"]["done"] == len(NAMES) - 1
    assert files_asked_for(gated).count(403) == 3


def test_one_file_is_kept(daemon: Start, make_hub: Callable[..., Emulator], garden: Path) -> None:
    """A firewall, or a mirror's own rights: not in the hub's words, so the others are asked for."""
    hub = make_hub(garden)
    hub.fault("status", status=403, route="resolve", revision=hub.sha(MODEL, "step4"), file="safetensors")
    partly = sweep(daemon(hub, "--fetchers", "1"))
    assert [(error["revision"], error["code"]) for error in partly["errors"]] == [("step4", "gated")], partly
    assert partly["progress"]["done"] == len(NAMES) - 1


@pytest.mark.parametrize("error", [{"status": 404, "code": "RepoNotFound"}, {"status": 401}])
def test_a_hub_that_errs(daemon: Start, make_hub: Callable[..., Emulator], garden: Path, error: dict[str, Any]) -> None:
    """At first, and in the midst of a sweep, it knows nothing of the model, or of us, for a moment."""
    hub = make_hub(garden)
    hub.fault("status", route="resolve", times=1, **error)
    hub.fault("status", route="resolve", revision=hub.sha(MODEL, "step4"), file="safetensors", times=2, **error)
    one = daemon(hub, "--fetchers", "1")
    assert sweep(one)["progress"]["done"] == len(NAMES)
    assert [rule["hits"] for rule in hub.faults()] == [1, 2]
    hub.clear_faults()
    hub.fault("status", route="resolve", **error)
    hub.reset()
    one.restart()
    gone = sweep(one, revisions={"names": ["step32", "step64", "step128"]})  # it insists, and is asked no more
    assert {task["code"] for task in gone["errors"]} == {"gated"} and gone["progress"]["failed"] == 3
    assert 3 <= len(files_asked_for(hub)) <= 5


@pytest.mark.parametrize("error", [{"status": 404}, {"status": 404, "code": "RepoNotFound"}, {"status": 401}, {"status": 403}])
def test_a_hub_that_errs_of_a_known_model(daemon: Start, make_hub: Callable[..., Emulator], garden: Path, error: dict[str, Any]) -> None:
    """A sweep of a model that is known does not end for one bad answer; a name that is not known fails at the first."""
    hub = make_hub(garden)
    one = daemon(hub, "--fetchers", "1")
    assert sweep(one, revisions={"names": NAMES[:2]})["state"] == "done"
    hub.fault("status", path="/refs", times=1, **error)
    hub.fault("status", path=f"/tree/{hub.sha(MODEL, NAMES[4])}", times=2, **error)
    assert sweep(one)["state"] == "done"
    assert [rule["hits"] for rule in hub.faults()] == [1, 2]
    hub.clear_faults()
    hub.reset()
    slip = one.wait(one.sweep("garden/neox-tinny"))
    assert slip["state"] == "failed" and slip["error"]["code"] == "not_found"
    assert [asked["status"] for asked in hub.log()] == [401]


def test_a_hub_that_errs_of_a_known_data_set(daemon: Start, make_hub: Callable[..., Emulator], garden: Path, tmp_path: Path) -> None:
    """So with the texts of an earlier sweep; where they are gone for longer, the second revision is not held up again."""
    root = tmp_path / "root"
    (root / "models").mkdir(parents=True)
    (root / "models/garden").symlink_to(garden / "models/garden")
    texts = root / "datasets/garden/texts/main"
    texts.mkdir(parents=True)
    (texts / "a.jsonl").write_text('{"text": "a cat sat"}\n' * 3)
    hub = make_hub(root)
    one = daemon(hub, "--fetchers", "1")
    wanted = {"metrics": ["perplexity"], "dataset": "garden/texts:a.jsonl"}
    assert sweep(one, **wanted, revisions={"names": NAMES[:1]})["state"] == "done"
    hub.fault("status", path="/datasets/garden/texts/revision/", times=1, status=401)
    assert sweep(one, **wanted, revisions={"names": NAMES[:3]})["state"] == "done"
    assert [rule["hits"] for rule in hub.faults()] == [1]
    hub.clear_faults()
    hub.fault("status", path="/datasets/garden/texts/revision/", status=401)
    gone = sweep(one, **wanted, revisions={"names": NAMES[3:]})
    assert gone["progress"]["failed"] == 3 and {error["code"] for error in gone["errors"]} == {"not_found"}
    assert [rule["hits"] for rule in hub.faults()] == [6 + 2]


# ---- watches ---------------------------------------------------------------------------------------


def look(one: Daemon) -> dict[str, Any]:
    """A run of the watch now; after the sweep that it started, if any."""
    here = f"/v1/watches/{MODEL}"
    before = one.get(here).json()["last_run_at"]
    assert one.post(f"{here}/runs").status == 202
    wait_until(lambda: one.get(here).json()["last_run_at"] != before)
    watch = one.get(here).json()
    if watch["last_sweep"]:
        one.wait(watch["last_sweep"])
    return watch


@pytest.mark.parametrize("way", ["granted", "logged in"])
def test_a_watch_goes_on_once_it_may(daemon: Start, gated: Emulator, way: str) -> None:
    """Each run asks once, and starts nothing that would fail; the first that is let in sweeps all."""
    one = daemon(gated)
    log_in(one, STRANGER)
    assert one.request("PUT", f"/v1/watches/{MODEL}", {"every_minutes": 1440, "revisions": {"names": NAMES}}).status == 201
    wait_until(lambda: [row["state"] for row in one.get("/v1/sweeps").json()["sweeps"]] == ["failed"])
    for _ in range(2):
        gated.reset()
        failed = look(one)
        run = failed["last_run"]
        assert run["outcome"] == "unchanged" and failed["last_sweep"] is None and run["gated"]["count"] == len(NAMES)
        assert f"accept its terms at {gated.url}/{MODEL}" in run["gated"]["reason"] and run["hub_requests"] == 2
        assert [(line["action"], line["status"]) for line in gated.log()] == [("refs", 200), ("resolve", 403)]
    shown = one.client("watch", MODEL)
    assert f"6 wait for access: model {MODEL} is gated" in shown.stdout, shown
    assert len(one.get("/v1/sweeps").json()["sweeps"]) == 1

    if way == "granted":
        gated.set(granted_tokens=[OWNER, STRANGER])
    else:
        log_in(one, OWNER)
    found = look(one)
    assert found["last_run"]["swept"] == len(NAMES) and "gated" not in found["last_run"]
    assert one.get(f"/v1/sweeps/{found['last_sweep']}").json()["progress"]["done"] == len(NAMES)
    gated.reset()
    assert look(one)["last_run"]["outcome"] == "unchanged" and len(gated.log()) == 1


def test_what_is_new_waits_for_access_with_the_rest(daemon: Start, gated: Emulator) -> None:
    """A checkpoint that is published meanwhile starts no sweep that nobody may read either; one file that is kept by itself does not keep it."""
    gated.delete_branch(MODEL, "step32")
    one = daemon(gated)
    log_in(one, STRANGER)
    assert one.request("PUT", f"/v1/watches/{MODEL}", {"every_minutes": 1440, "revisions": {"names": [*NAMES, "step32"]}}).status == 201
    wait_until(lambda: [row["state"] for row in one.get("/v1/sweeps").json()["sweeps"]] == ["failed"])
    gated.restore()
    gated.set(granted_tokens=[OWNER])
    found = look(one)["last_run"]
    assert found["outcome"] == "unchanged" and found["gated"]["count"] == len(NAMES) + 1 and found["new"]["names"] == ["step32"], found
    assert len(one.get("/v1/sweeps").json()["sweeps"]) == 1
    gated.set(granted_tokens=[OWNER, STRANGER])
    gated.fault("status", status=403, route="resolve", revision=gated.sha(MODEL, NAMES[-1]), file="safetensors")
    assert look(one)["last_run"]["swept"] == 1  # the newest that was refused is, still; the new one is not
    gated.clear_faults()
    assert look(one)["last_run"]["swept"] == len(NAMES)


def test_a_watch_of_a_gated_data_set(daemon: Start, make_hub: Callable[..., Emulator], garden: Path, tmp_path: Path) -> None:
    """The model may be read, its texts may not."""
    root = tmp_path / "root"
    (root / "models").mkdir(parents=True)
    (root / "models/garden").symlink_to(garden / "models/garden")
    texts = root / "datasets/garden/texts"
    (texts / "main").mkdir(parents=True)
    (texts / "main/a.jsonl").write_text('{"text": "a cat sat"}\n' * 3)
    (texts / "branches.json").write_text(json.dumps({"gated": "auto"}))
    hub = make_hub(root, granted_tokens=[OWNER], tokens=[STRANGER])
    one = daemon(hub)
    log_in(one, STRANGER)
    wanted = {"metrics": ["perplexity"], "dataset": "garden/texts:a.jsonl", "revisions": {"names": NAMES[:2]}}
    assert one.request("PUT", f"/v1/watches/{MODEL}", {"every_minutes": 1440, **wanted}).status == 201
    wait_until(lambda: [row["state"] for row in one.get("/v1/sweeps").json()["sweeps"]] == ["failed"])
    refused = look(one)
    assert refused["last_sweep"] is None and refused["last_run"]["gated"]["count"] == 2, refused
    assert f"accept its terms at {hub.url}/datasets/garden/texts" in refused["last_run"]["gated"]["reason"]
    assert refused["last_run"]["hub_requests"] == 5  # refs, a file of the model; of the data set commit, list and file
    log_in(one, OWNER)
    found = look(one)
    assert one.get(f"/v1/sweeps/{found['last_sweep']}").json()["progress"]["done"] == 2


def test_access_is_granted(daemon: Start, gated: Emulator) -> None:
    """With the same token in the same process: the next sweep asks anew, and not the one that failed."""
    one = daemon(gated, env={"HF_TOKEN": STRANGER})
    failed = sweep(one)
    assert failed["error"]["code"] == "gated" and "access is granted to the owner of this token" in failed["error"]["message"]
    assert files_asked_for(gated) == [403]
    assert sweep(one)["state"] == "failed" and files_asked_for(gated) == [403, 403]
    gated.set(granted_tokens=[OWNER, STRANGER])
    assert sweep(one)["progress"]["done"] == len(NAMES)
    assert STRANGER not in one.log()


# ---- more than one worker, with tokens of their own ----------------------------------------------


@pytest.fixture
def worker_with(worker: Callable[..., Worker]) -> Callable[..., Worker]:
    """worker_with(daemon, name, token): starts one and waits until the daemon has heard of it."""

    def start(one: Daemon, name: str, token: str | None = None) -> Worker:
        started = worker(one, "--name", name, env={"HF_TOKEN": token} if token else {})
        wait_until(lambda: any(row["name"].startswith(name) for row in one.get("/v1/workers").json()["workers"]))
        return started

    return start


def speak(one: Daemon, name: str, **more: Any) -> None:
    """A worker looks for work, finds none, and says nothing more."""
    offer = {"protocol": 2, "definition": 1, "scoring": 1, "version": "test", "worker": name, "key": 32 * "0", "device": "cpu",
             "backend": "cpu", "wait_s": 0, **more}  # fmt: skip
    wanted = re.search(r"and the daemon \(.*\) by (\d+)\.(\d+)", one.post("/v1/claims", offer).json()["detail"])
    assert one.post("/v1/claims", offer | {"definition": int(wanted[1]), "scoring": int(wanted[2])}).status == 204


def test_left_to_another_worker(daemon: Start, gated: Emulator, worker_with: Callable[..., Worker]) -> None:
    """The daemon has no access, nor has one worker; while another may have it nothing fails, and the one that has measures all."""
    one = daemon(gated)
    speak(one, "another/0")
    waiting = one.wait(one.sweep(MODEL, revisions={"names": NAMES}), lambda now: now["hub_wait"] is not None)
    assert waiting["state"] == "running" and waiting["hub_wait"]["reason"] == "gated", waiting
    assert re.match("left to workers with another token: .*accept its terms at", waiting["hub_wait"]["detail"])
    assert waiting["progress"]["failed"] == 0 and files_asked_for(gated) == [401]
    assert len(one.told("sweep left to workers with another token")) == 1
    worker_with(one, "stranger", STRANGER)
    wait_until(lambda: 403 in files_asked_for(gated))
    worker_with(one, "owner", OWNER)
    done = one.wait(waiting["id"])
    assert done["progress"]["done"] == len(NAMES) and done["hub_wait"] is None, done
    statuses = files_asked_for(gated)
    assert statuses.count(401) == 1 and statuses.count(403) <= 2, statuses  # the plan; the stranger's two slots
    rows = one.get(f"/v1/sweeps/{done['id']}/tasks").json()["tasks"]
    assert {row["worker"].split("-")[0] for row in rows} == {"owner"}


@pytest.mark.parametrize("who", ["daemon", "worker"])
def test_log_in_where_it_was_left(daemon: Start, gated: Emulator, worker_with: Callable[..., Worker], who: str) -> None:
    """What was left to others for lack of access is its own again as soon as somebody has logged in there."""
    one = daemon(gated, "--fetchers", "2" if who == "daemon" else "0")
    helper = None if who == "daemon" else worker_with(one, "helper")
    speak(one, "another/0")
    waiting = one.wait(one.sweep(MODEL, revisions={"names": NAMES}), lambda now: now["hub_wait"] is not None)
    assert waiting["hub_wait"]["reason"] == "gated" and waiting["progress"]["failed"] == 0
    log_in(helper or one, OWNER)
    one.request("PUT", f"/v1/watches/{MODEL}", {"at": "03:00"})  # a change, for which the daemon looks for work
    for _ in range(240):
        speak(one, "another/0", **{"except": [waiting["id"]]})  # who is silent for a minute is waited for no more
        if one.get(f"/v1/sweeps/{waiting['id']}").json()["state"] == "done":
            return
        time.sleep(0.5)
    raise AssertionError(one.log())


def test_a_watch_leaves_it_to_a_worker(daemon: Start, gated: Emulator, worker_with: Callable[..., Worker]) -> None:
    """What was refused at night is swept by the next run while a worker is there, whose token may be another."""
    one = daemon(gated)
    assert one.request("PUT", f"/v1/watches/{MODEL}", {"every_minutes": 1440, "revisions": {"names": NAMES}}).status == 201
    wait_until(lambda: [row["state"] for row in one.get("/v1/sweeps").json()["sweeps"]] == ["failed"])
    assert look(one)["last_run"]["gated"]["count"] == len(NAMES)
    worker_with(one, "owner", OWNER)
    found = look(one)
    assert found["last_run"]["outcome"] == "sweeping" and "gated" not in found["last_run"]
    assert one.get(f"/v1/sweeps/{found['last_sweep']}").json()["progress"]["done"] == len(NAMES)


def test_a_watch_waits_for_workers_with_access(daemon: Start, gated: Emulator, worker_with: Callable[..., Worker]) -> None:
    """The daemon may read it and measures nothing; its only worker was refused once, and is not asked in vain again."""
    one = daemon(gated, "--fetchers", "0", env={"HF_TOKEN": OWNER})
    worker_with(one, "stranger", STRANGER)
    assert one.request("PUT", f"/v1/watches/{MODEL}", {"every_minutes": 1440, "revisions": {"names": NAMES}}).status == 201
    wait_until(lambda: [row["state"] for row in one.get("/v1/sweeps").json()["sweeps"]] == ["failed"])
    waiting = look(one)
    assert waiting["last_sweep"] is None and waiting["last_run"]["gated"]["count"] == len(NAMES), waiting
    assert "the workers that are there were refused it" in waiting["last_run"]["gated"]["reason"]
    worker_with(one, "owner", OWNER)
    found = look(one)
    assert one.get(f"/v1/sweeps/{found['last_sweep']}").json()["progress"]["done"] == len(NAMES)


def test_no_worker_has_access(daemon: Start, gated: Emulator, worker_with: Callable[..., Worker]) -> None:
    """All that are there were refused: the sweep fails and names a worker; access that comes later counts at once."""
    one = daemon(gated, "--fetchers", "0")
    worker_with(one, "first", STRANGER)
    worker_with(one, "second", STRANGER)
    failed = sweep(one)
    assert failed["progress"]["failed"] == len(NAMES) and {error["code"] for error in failed["errors"]} == {"gated"}
    assert all(re.search(r"access is granted.* \(worker (first|second)-\w+\)$", error["message"]) for error in failed["errors"])
    assert {401} <= set(files_asked_for(gated)) <= {401, 403} and files_asked_for(gated).count(403) <= 4  # of 2 * 2 slots
    gated.set(granted_tokens=[OWNER, STRANGER])
    assert sweep(one)["progress"]["done"] == len(NAMES)


def test_a_mirror_that_sends_to_the_hub(daemon: Start, gated: Emulator) -> None:
    """The token is the endpoint's alone: what another hub refuses without it is final, told with what to do, and nothing leaks."""
    target = gated.url.replace("127.0.0.1", "localhost")

    class Mirror(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(308)
            self.send_header("Location", target + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        one = daemon(url, env={"HF_TOKEN": OWNER})
        refused = sweep(one, revisions={"names": NAMES[:1]})["errors"][0]
        asked = files_asked_for(gated)
        slip = one.wait(one.sweep("garden/neox-tinny"))["error"]
        server.shutdown()
    said = f"and no token is given to it, since {url} has sent us there: "
    assert refused["code"] == "gated" and refused["attempts"] == 1 and asked == [401] * 2  # of the plan, and of the task
    assert f"(401: GatedRepo), {said}if that is" in refused["message"] and "set HF_ENDPOINT" in refused["message"], refused
    assert slip["code"] == "gated" and f"(401: Invalid username or password.), {said}check the name; if that is" in slip["message"], slip
    assert gated.stats()["leaked_tokens"] == 0
