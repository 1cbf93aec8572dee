"""A sweep that waits for a limit of requests says so: in the log, the status, the sweep, the metrics, the client."""

from __future__ import annotations

import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable

import pytest
from hub_probe import Probe, probe  # noqa: F401
from running import Daemon, wait_until
from tests.hub import Emulator

MODEL = "garden/neox-tiny"
TOKEN = "hf_of_the_test"
WAIT = "requests wait for the hub"
OVER = "requests to the hub continue"

Start = Callable[..., Daemon]


@pytest.fixture
def garden_hub(garden: Path, make_hub: Callable[..., Emulator]) -> Emulator:
    return make_hub(garden)


def hub_of(one: Daemon) -> dict[str, Any]:
    return one.get("/v1/status").json()["daemon"]["hub"]


def metric(one: Daemon, name: str) -> float:
    (value,) = re.findall(rf"^{re.escape(name)} (\S+)$", one.get("/metrics").text, re.MULTILINE)
    return float(value)


def seconds_until(text: str) -> float:
    return (datetime.fromisoformat(text) - datetime.now(timezone.utc)).total_seconds()


def follow(one: Daemon, programs: dict[str, Path], sweep: int) -> subprocess.Popen[str]:
    command = [str(programs["bifurcate"]), "follow", str(sweep), "--server", one.url]
    return subprocess.Popen(command, env=one.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def line_with(process: subprocess.Popen[str], word: str) -> str:
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(f"the client did not say {word!r}")


def test_own_budget(daemon: Start, garden_hub: Emulator, programs: dict[str, Path]) -> None:
    """The budget of requests is used up: everywhere it is said that, how long, and what to change."""
    one = daemon(garden_hub, "--request-budget", "3")
    assert hub_of(one) == {
        "waiting_until": None,
        "reason": None,
        "detail": None,
        "waiting_requests": 0,
        "waited_seconds": 0.0,
        "request_budget": 3,
    }
    sweep = one.sweep(MODEL)
    wait_until(lambda: hub_of(one)["reason"] is not None)
    now = hub_of(one)
    assert now["reason"] == "request_budget" and now["waiting_requests"] >= 1
    assert 0 < seconds_until(now["waiting_until"]) <= 300
    shown = one.get(f"/v1/sweeps/{sweep}").json()
    assert shown["state"] in ("planning", "running")
    assert shown["hub_wait"]["reason"] == "request_budget"
    assert shown["hub_wait"]["waiting_until"] == now["waiting_until"]
    assert 0 < shown["hub_wait"]["seconds_left"] <= 300
    (line,) = one.told(WAIT)
    assert "limit=request_budget" in line and "request_budget=3" in line
    assert "HF_TOKEN" in line and "raise request-budget" in line and re.search(r"seconds=(2\d\d|300)\b", line)
    assert metric(one, 'bifurcated_hub_waiting{reason="request_budget"}') == 1
    assert metric(one, 'bifurcated_hub_waiting{reason="rate_limit"}') == 0
    assert metric(one, "bifurcated_hub_waiting_requests") >= 1
    assert 0 < metric(one, "bifurcated_hub_wait_left_seconds") <= 300
    before = metric(one, "bifurcated_hub_waited_seconds_total")
    wait_until(lambda: metric(one, "bifurcated_hub_waited_seconds_total") > before)
    assert f"requests wait until {now['waiting_until']} (request_budget)\n" in one.client("status").stdout
    process = follow(one, programs, sweep)
    assert re.search(r"waits for the hub: [45]:\d\d min, request budget", line_with(process, "waits"))
    assert one.request("DELETE", f"/v1/sweeps/{sweep}").status == 200
    process.communicate(timeout=60)
    wait_until(lambda: hub_of(one)["reason"] is None and OVER in one.log())
    assert one.get(f"/v1/sweeps/{sweep}").json()["hub_wait"] is None
    assert metric(one, "bifurcated_hub_wait_left_seconds") == 0
    assert one.log().count(WAIT) == 1 and one.log().count(OVER) == 1


@pytest.mark.parametrize("token", [None, TOKEN])
def test_limit_of_the_hub(daemon: Start, garden_hub: Emulator, programs: dict[str, Path], token: str | None) -> None:
    """429 with RateLimit: who follows the sweep sees the wait begin and end, and the sweep goes on to its end.

    A log gets a line of progress now and then, but the wait at once, even just after such a line."""
    held = garden_hub.fault("hold", path="/refs")
    garden_hub.fault("status", status=429, ratelimit_t=4, route="api", times=1)
    one = daemon(garden_hub, env={"HF_TOKEN": token} if token else {})
    sweep = one.sweep(MODEL, revisions={"names": ["step0"]})
    process = follow(one, programs, sweep)
    assert "waits" not in line_with(process, "planning")
    garden_hub.clear_faults(held)
    assert re.search(r"waits for the hub: [1-5] s, rate limit", line_with(process, "waits"))
    rest = process.communicate(timeout=120)[1]
    assert process.returncode == 0 and "1 of 1 revisions measured" in rest and "waits" not in rest
    assert one.told(OVER)
    (line,) = one.told(WAIT)
    assert "limit=rate_limit" in line and ("set HF_TOKEN" in line) == (token is None)
    assert TOKEN not in one.log()
    assert one.log().count(OVER) == 1 and one.get(f"/v1/sweeps/{sweep}").json()["hub_wait"] is None
    assert 3 <= metric(one, "bifurcated_hub_waited_seconds_total") <= hub_of(one)["waited_seconds"] + 0.001


def test_quota_runs_out(daemon: Start, garden_hub: Emulator) -> None:
    """The hub's answers say that the window is used up before it refuses anything: no 429 comes, and it is told."""
    garden_hub.set(api_quota=1, quota_window_s=6.0)
    one = daemon(garden_hub)
    sweep = one.sweep(MODEL, revisions={"names": ["step0", "step8", "step16"]})
    assert one.wait(sweep)["progress"]["done"] == 3
    assert one.told("limit=rate_limit") and metric(one, "bifurcated_hub_retries_total") == 0


def test_pause_after_503(daemon: Start, garden_hub: Emulator) -> None:
    """503 with Retry-After is a wait of its own kind."""
    garden_hub.fault("status", status=503, retry_after=60, route="api")
    one = daemon(garden_hub)
    sweep = one.sweep(MODEL)
    wait_until(lambda: hub_of(one)["reason"] == "retry_after")
    assert one.get(f"/v1/sweeps/{sweep}").json()["hub_wait"]["reason"] == "retry_after"
    assert one.request("DELETE", f"/v1/sweeps/{sweep}").status == 200


def test_budget_of_the_cache(daemon: Start, garden_hub: Emulator, programs: dict[str, Path]) -> None:
    """Two downloads have the budget of the cache: that the third one waits is said in the same places."""
    one = daemon(garden_hub, "--keep", "files", "--cache-budget-mb", "1", "--fetchers", "3")
    assert one.wait(one.sweep(MODEL, revisions={"names": ["step0"]}))["state"] == "done", "the plan reads a file, too"
    held = garden_hub.fault("hold", route="cdn")
    sweep = one.sweep(MODEL, revisions={"names": ["step8", "step64", "step512"]})
    wait = one.wait(sweep, lambda now: now["hub_wait"] is not None)["hub_wait"]
    assert wait["reason"] == "cache_budget" and "cache budget of 1 MB: raise cache-budget-mb" in wait["detail"]
    now = hub_of(one)
    assert now["reason"] == "cache_budget" and now["waiting_requests"] == 1 and now["detail"] == wait["detail"]
    assert metric(one, 'bifurcated_hub_waiting{reason="cache_budget"}') == 1
    assert metric(one, "bifurcated_hub_waiting_requests") == 1 and metric(one, "bifurcated_hub_waited_seconds_total") > 0
    (line,) = one.told("downloads wait for the cache budget")
    assert "downloads=1 cache_budget_mb=1" in line and "lower fetchers" in line
    assert f"1 downloads wait: {wait['detail']}\n" in one.client("status").stdout
    process = follow(one, programs, sweep)
    assert f"waits: {wait['detail']}" in line_with(process, "waits")
    garden_hub.clear_faults(held)
    rest = process.communicate(timeout=120)[1]
    assert process.returncode == 0 and "3 of 3 revisions measured" in rest, rest
    assert hub_of(one)["reason"] is None and one.get(f"/v1/sweeps/{sweep}").json()["hub_wait"] is None


def test_window_ends(probe: Probe) -> None:
    """After its window the budget is whole again."""
    options = ("request_budget=1", "request_window_ms=700")
    answer = probe("org/small", "read", "main", "model.safetensors", "0", "100", options=options)
    assert "error" not in answer and answer["seconds"] > 0.6 and answer["retries"] == 0
