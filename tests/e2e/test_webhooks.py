"""Webhooks: what a receiver gets, checked as a receiver would check it; faults of the receiver and of the daemon."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from receiver import Receiver
from running import Daemon, model_path, wait_until

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema (tests/requirements.txt) is not installed")

MODEL = "garden/neox-tiny"
HERE = f"/v1/watches/{model_path(MODEL)}"
SECRET = "hush, this is a secret"
DESCRIPTION = json.loads((Path(__file__).resolve().parents[2] / "api/openapi.json").read_text())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.stop()


def check(message: dict[str, Any], secret: str = SECRET, model: str = MODEL) -> dict[str, Any]:
    """What a careful receiver does; the message's JSON."""
    headers, body = message["headers"], message["body"]
    stamp = headers["X-Bifurcated-Timestamp"]
    expected = "sha256=" + hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(headers["X-Bifurcated-Signature-256"], expected)
    assert abs(int(stamp) - message["at"]) < 60
    assert headers["Content-Type"] == "application/json" and headers["User-Agent"].startswith("bifurcated/")
    assert len(headers["X-Bifurcated-Delivery"]) == 32
    value = json.loads(body)
    assert value["event"] == headers["X-Bifurcated-Event"] and value["model"] == model
    described = DESCRIPTION["webhooks"][value["event"]]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = {**described, "components": DESCRIPTION["components"]}
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value))
    assert error is None, f"{error.json_path}: {error.message[:500]}"
    return value


def watch(daemon: Daemon, receiver: Receiver, **request: Any) -> None:
    hook = {"url": receiver.url + "/hook?team=a", "secret": SECRET}
    answer = daemon.request("PUT", HERE, {"at": "02:30", "webhook": hook, **request})
    assert answer.status in (200, 201), answer
    assert SECRET not in answer.text


def deliveries(daemon: Daemon) -> list[dict[str, Any]]:
    return daemon.get(HERE).json()["webhook"]["deliveries"]


def settled(daemon: Daemon) -> bool:
    return bool(deliveries(daemon)) and all(one["state"] != "pending" for one in deliveries(daemon))


def test_all_events_of_a_run(daemon: Callable[..., Daemon], make_hub: Any, garden: Path, receiver: Receiver) -> None:
    receiver.plan = [500, 503]
    one = daemon(make_hub(garden))
    watch(one, receiver)
    sweep = one.wait(one.sweep(MODEL))  # not the watch's own: anybody's counts
    wait_until(lambda: len(receiver.messages) == 6 and settled(one))  # its findings may be told after the sweep

    # Twice refused, then taken: three times the same message, each signed for its own moment.
    ids = {message["headers"]["X-Bifurcated-Delivery"] for message in receiver.messages}
    events = sorted(one["event"] for one in deliveries(one))
    assert events == ["audit.finding", "onset.found", "stopping.recommended", "sweep.finished"]
    assert ids == {row["id"] for row in deliveries(one)}
    assert {row["state"] for row in deliveries(one)} == {"delivered"} and {row["status"] for row in deliveries(one)} == {200}
    assert sum(row["attempts"] for row in deliveries(one)) == len(receiver.messages) == 6
    values = [check(message) for message in receiver.messages]
    finished = receiver.of("sweep.finished")
    assert {message["path"] for message in receiver.messages} == {"/hook?team=a"}
    assert len({message["body"] for message in finished}) == 1
    told = json.loads(finished[0]["body"])["sweep"]
    assert told["id"] == sweep["id"] and told["state"] == "done" and told["progress"]["done"] == 25

    # The findings are those of the API.
    model = f"/v1/models/{model_path(MODEL)}"
    by_event = {value["event"]: value for value in values}
    assert by_event["stopping.recommended"]["analysis"]["stop"]["step"] == 2000, "no perplexity is known that goes on to fall"
    assert by_event["onset.found"]["analysis"] == one.get(f"{model}/analysis?points=false").json()
    assert by_event["audit.finding"]["findings"] == one.get(f"{model}/audit").json()["findings"]
    assert by_event["audit.finding"]["step_unit"] == "steps"
    assert by_event["audit.finding"]["count"] == len(by_event["audit.finding"]["findings"])
    with pytest.raises(AssertionError):
        check(receiver.messages[0], "another secret")
    shown = one.get(HERE).text + one.get("/v1/watches").text + one.log()
    assert SECRET not in shown and "team=a" not in shown
    assert one.get(HERE).json()["webhook"]["url"] == receiver.url + "/…"

    # The same again is a finished sweep and no news; and nothing more after a restart.
    receiver.messages.clear()
    one.wait(one.sweep(MODEL, revisions={"names": ["step0"]}))
    wait_until(lambda: len(receiver.messages) >= 1 and settled(one))
    one.restart()
    time.sleep(1)
    assert [check(message)["event"] for message in receiver.messages] == ["sweep.finished"]
    assert 'bifurcated_webhook_deliveries{state="delivered"} 5' in one.get("/metrics").text


def write_run(folder: Path) -> None:
    """A small training run in a folder: normal weights that fork by step 5000 and hardly move from step 7000 on."""
    np = pytest.importorskip("numpy", reason="numpy makes the weights")
    random = np.random.default_rng(7)
    start, sign = random.normal(size=(256, 32)), random.choice([-3.0, 3.0], size=(256, 32))
    for index, share in enumerate([0, 0.1, 0.3, 0.5, 0.7, 0.85, 0.95, *[1] * 8]):
        noise = random.normal(size=start.shape) * (0.3 if index < 7 else 0.01)
        weights = ((1 - share) * start + share * (sign + 0.3 * start) + noise).astype("<f2")
        place = folder / f"step{index * 1000}"
        place.mkdir(parents=True)
        config = {"model_type": "gpt_neox", "hidden_size": 32, "vocab_size": 256, "num_hidden_layers": 1}
        config |= {"num_attention_heads": 1, "intermediate_size": 32, "tie_word_embeddings": False}
        (place / "config.json").write_text(json.dumps(config))
        table = {"embed_out.weight": {"dtype": "F16", "shape": [256, 32], "data_offsets": [0, weights.nbytes]}}
        head = json.dumps(table).encode()
        (place / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + weights.tobytes())


def test_when_training_could_have_stopped(daemon: Callable[..., Daemon], tmp_path: Path, receiver: Receiver) -> None:
    """The watch of a folder, by interval, is told what its own sweep shows."""
    write_run(tmp_path / "run")
    model = f"file:{tmp_path / 'run'}"
    for file in (tmp_path / "run").rglob("*"):
        os.utime(file, (time.time() - 3600,) * 2)
    one = daemon(None)
    hook = {"url": receiver.url, "secret": SECRET}
    path = f"/v1/watches/{model_path(model)}"
    assert one.request("PUT", path, {"every_minutes": 60, "webhook": hook}).status == 201
    wait_until(lambda: len(receiver.of("stopping.recommended")) == 1)
    wait_until(lambda: {row["state"] for row in one.get(path).json()["webhook"]["deliveries"]} == {"delivered"})
    stop = check(receiver.of("stopping.recommended")[0], model=model)["analysis"]["stop"]
    assert stop == one.get(f"/v1/models/{model_path(model)}/analysis").json()["stop"]
    assert stop["verdict"] == "yes" and 6000 <= stop["step"] <= 9000
    onsets = check(receiver.of("onset.found")[0], model=model)["analysis"]["onsets"]
    assert {onset["verdict"] for onset in onsets} == {"yes"}
    assert receiver.of("audit.finding") == []
    assert check(receiver.of("sweep.finished")[0], model=model)["sweep"]["watch_id"] == one.get(path).json()["id"]


def test_only_what_changed_is_told_again(
    daemon: Callable[..., Daemon], make_hub: Any, garden: Path, receiver: Receiver
) -> None:
    hub = make_hub(garden)
    one = daemon(hub)
    watch(one, receiver)
    one.wait(one.sweep(MODEL))
    wait_until(lambda: len(receiver.of("audit.finding")) == 1 and settled(one))
    receiver.messages.clear()
    hub.move_branch(MODEL, "step3000", "step8000")  # a branch that serves another one's weights
    assert one.post(f"{HERE}/runs").status == 202
    wait_until(lambda: len(receiver.of("audit.finding")) == 1 and settled(one))
    fresh = check(receiver.of("audit.finding")[0])["findings"]
    assert any({row["revision"], row["other"]} == {"step3000", "step8000"} for row in fresh), fresh
    known = [row for row in one.get(f"/v1/models/{model_path(MODEL)}/audit").json()["findings"] if row not in fresh]
    assert known  # those of before were not told again


def test_killed_between_event_and_delivery(
    daemon: Callable[..., Daemon], make_hub: Any, garden: Path, receiver: Receiver
) -> None:
    one = daemon(make_hub(garden))
    watch(one, receiver)
    receiver.gate.clear()
    one.wait(one.sweep(MODEL, revisions={"names": ["step0"]}))
    wait_until(lambda: len(receiver.messages) == 1)  # taken, not answered
    one.kill()
    receiver.gate.set()
    one.start()
    wait_until(lambda: settled(one))
    assert len(receiver.messages) == 2
    first, second = receiver.messages
    assert check(first) == check(second) and first["body"] == second["body"]
    assert first["headers"]["X-Bifurcated-Delivery"] == second["headers"]["X-Bifurcated-Delivery"]
    assert [(row["state"], row["attempts"]) for row in deliveries(one)] == [("delivered", 1)]
    one.restart()
    time.sleep(1)
    assert len(receiver.messages) == 2
    assert one.stop() == 0


def test_receivers_that_are_wrong(
    daemon: Callable[..., Daemon], make_hub: Any, garden: Path, receiver: Receiver
) -> None:
    """Down, redirecting, talkative: each is told where the watch is shown, and none holds anything up."""
    one = daemon(make_hub(garden))
    other = Receiver()
    try:
        receiver.plan, receiver.location = [302] * 50, other.url + "/elsewhere"
        watch(one, receiver)
        one.wait(one.sweep(MODEL, revisions={"names": ["step0"]}))
        wait_until(lambda: len(receiver.messages) >= 2)
        row = deliveries(one)[0]
        assert row["state"] == "pending" and row["status"] == 302 and "redirects are not followed" in row["error"]
        assert row["next_attempt_at"] > row["created_at"]
        assert other.messages == []

        # Another address: what was owed goes there, with more of an answer than is read.
        other.length = 10_000_000
        watch(one, other)
        wait_until(lambda: settled(one))
        assert [check(message)["event"] for message in other.messages] == ["sweep.finished"]

        other.stop()
        one.wait(one.sweep(MODEL, revisions={"names": ["step0"]}))
        wait_until(lambda: len(deliveries(one)) == 2 and deliveries(one)[0]["attempts"] >= 1)
        row = deliveries(one)[0]
        assert row["state"] == "pending" and row["status"] is None and "cannot be reached" in row["error"]
        assert one.request("DELETE", HERE).status == 204  # and nothing is owed any more
        assert 'bifurcated_webhook_deliveries{state="pending"} 0' in one.get("/metrics").text
    finally:
        other.stop()
