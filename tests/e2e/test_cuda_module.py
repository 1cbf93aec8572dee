"""The daemon with the CUDA module, where there is no GPU: the module runs on the processor (tests/emulation).

Numbers are the CPU's, from the hub to the series; GPUs that are too small, refused, taken, old or lost are told, and cost no more than
they must. What an emulation cannot say about a real GPU stands in tests/emulation/README.md.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest
from cuda_numbers import MODEL, NAMES, REQUEST, STATISTICS, assert_same_numbers, assert_same_texts, query, tasks, write_large
from running import Daemon, wait_until
from workers import Worker

safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors writes it")

from tests.hub import Emulator  # noqa: E402

LOST = 70  # the exit status


@pytest.fixture(scope="session")
def module() -> Path:
    """The emulated module of this build."""
    path = Path(os.environ.get("BIFURCATED_BUILD", "build/release")).resolve() / "tests/emulation/bifurcated_cuda.so"
    if not path.exists():
        pytest.skip(f"{path} is not built: it needs CUDA's headers, a C++ compiler and x86-64")
    return path


@pytest.fixture
def gpu(daemon: Callable[..., Daemon], module: Path) -> Callable[..., Daemon]:
    """gpu(hub, "words of tests/emulation/module.cpp", "--option", ...)"""

    def start(hub: Emulator | None, words: str, *options: str) -> Daemon:
        return daemon(hub, "--cuda-module", str(module), *options, env={"BIFURCATED_EMULATION": words})

    return start


@pytest.fixture(scope="module")
def cpu(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that has measured all of this file's revisions on the processor."""
    with Emulator(garden) as hub:
        with Daemon(programs, tmp_path_factory.mktemp("cpu"), hub.url, ["--device", "cpu"], {}) as one:
            for request in (REQUEST, STATISTICS):
                assert one.wait(one.sweep(MODEL, **request))["state"] == "done"
            yield one


# ---- numbers -------------------------------------------------------------------------------------


def test_a_sweep_gives_the_cpu_s_numbers(gpu: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, cpu: Daemon) -> None:
    one = gpu(make_hub(garden), "gpu=h100 seed=1")
    devices = {device["name"]: device for device in one.get("/v1/devices").json()["devices"]}
    assert devices["cuda:0"]["is_used"] and not devices["cpu"]["is_used"]
    assert devices["cuda:0"]["memory_bytes"] == 80 << 30 and devices["cuda:0"]["reason"] is None
    assert devices["cuda:0"]["description"] == "NVIDIA H100 80GB HBM3, 2 multiprocessors, sm_90"
    sweep = one.wait(one.sweep(MODEL, **REQUEST))
    assert sweep["state"] == "done", sweep
    assert_same_numbers(one, cpu, NAMES)
    assert set(query(one, "SELECT precision, backend FROM perplexities")) == {("half", "cuda")}


def test_two_gpus_have_a_worker_each(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, module: Path, programs: dict[str, Path],
    cpu: Daemon, tmp_path: Path,
) -> None:  # fmt: skip
    """Each GPU is one process's alone, as clusters set them. One loses its device and ends; the other does the rest."""
    (tmp_path / "locks").mkdir()
    words = f"gpu=l4 devices=2 exclusive={tmp_path}/locks"
    options = ["--cuda-module", str(module)]
    one = daemon(make_hub(garden), "--fetchers", "0", "--device", "cpu", *options, env={"BIFURCATED_EMULATION": words})
    found = [device for device in one.get("/v1/devices").json()["devices"] if device["backend"] == "cuda"]
    assert [(device["name"], device["memory_bytes"], device["is_used"]) for device in found] == [
        ("cuda:0", 24 << 30, False), ("cuda:1", 24 << 30, False)
    ]  # fmt: skip
    workers = [
        Worker(one, programs["bifurcated"], tmp_path / f"w{i}", "--name", f"w{i}", "--device", f"cuda:{i}", "--fetchers", "1",
               *options, env={"BIFURCATED_EMULATION": words + " lose=launch:7" * i}).start()
        for i in (0, 1)
    ]  # fmt: skip
    try:
        wait_until(lambda: len(one.get("/v1/workers").json()["workers"]) == 2)
        workers[0].suspend()  # it leaves enough for the other to lose its device at
        number = one.sweep(MODEL, **STATISTICS)
        assert workers[1].wait() == LOST
        workers[0].resume()
        sweep = one.wait(number)
        assert sweep["state"] == "done", (sweep, [worker.log() for worker in workers])
        listed = {worker["name"].split("-")[0]: worker for worker in one.get("/v1/workers").json()["workers"]}
        assert [listed[name]["device"] for name in ("w0", "w1")] == ["cuda:0", "cuda:1"]
        assert listed["w0"]["recorded"] >= 3 and listed["w1"]["recorded"] == 1
        assert "error=device_lost" in workers[1].log()
    finally:
        for worker in workers:
            worker.terminate()
    for worker in workers[:1]:
        worker.check_end()
    assert sorted(failures for _, failures, _ in tasks(one).values()) == [0, 0, 0, 0, 0, 1]
    assert_same_numbers(one, cpu, sorted(STATISTICS["revisions"]["names"], key=lambda name: int(name[4:])))


def test_each_gpu_s_process_takes_its_share_of_the_machine(programs: dict[str, Path], module: Path, tmp_path: Path) -> None:
    """A quarter of the memory where there are two, as with none; half of it for all where there are eight; what memory-mb says."""

    def look(devices: int, *options: str) -> float:
        command = [programs["bifurcated"], "check", "--json", "--state", tmp_path, "--cuda-module", module, "--device", "cpu", *options]
        env = os.environ | {"BIFURCATED_EMULATION": f"devices={devices}", "HF_HUB_OFFLINE": "1"}
        findings = json.loads(subprocess.run(command, env=env, capture_output=True, text=True, timeout=60).stdout)["findings"]
        (text,) = (one["text"] for one in findings if one["subject"] == "memory")
        tensors, machine = (float(number) for number in re.fullmatch(r"([\d.]+) GB for tensors, of ([\d.]+) GB", text).groups())
        return machine / tensors

    assert look(2) == pytest.approx(4, rel=0.1) and look(8) == pytest.approx(16, rel=0.1)
    assert look(8, "--memory-mb", "1000") == pytest.approx(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, rel=0.1)


# ---- memory --------------------------------------------------------------------------------------


@pytest.fixture
def texts(tmp_path: Path, garden: Path) -> Path:
    """A hub's root with the garden, and one short text."""
    root = tmp_path / "root"
    data = root / "datasets/garden/short/main/data"
    data.mkdir(parents=True)
    (root / "models").symlink_to(garden / "models")
    (data / "test.jsonl").write_text(json.dumps({"text": "I am he"}) + "\n")
    return root


def test_a_model_larger_than_the_gpu_is_streamed(
    gpu: Callable[..., Daemon], daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], texts: Path, garden: Path, tmp_path: Path
) -> None:
    """On a GPU of 124 MiB, or one of which 200 MB may be taken, two layers at a time; on one of 106 MiB not even these: that task fails, and
    others go on. One of them has a cuBLASLt without biases, which the log says."""
    weights = write_large(tmp_path / "large", garden)
    assert weights > 140 << 20
    hub = make_hub(texts)
    request = {"metrics": ["perplexity"], "dataset": "garden/short:data/test.jsonl"}
    large = f"file:{tmp_path}/large"
    rows = []
    limited = gpu(hub, "seed=3 lacks=1", "--device-memory-mb", "200")
    limits = {one["name"]: one["memory_limit_bytes"] for one in limited.get("/v1/devices").json()["devices"]}
    assert limits == {"cpu": None, "cuda:0": 200_000_000} and "memory_limit_mb=200" in limited.log()
    for one in (daemon(hub, "--device", "cpu"), gpu(hub, "memory_mb=124 seed=3"), limited):
        sweep = one.wait(one.sweep(large, **request))
        assert sweep["state"] == "done", (sweep, one.log())
        rows += one.series(large)
    for row in rows[1:]:
        assert_same_texts(row, rows[0])
    told = [line for line in limited.log().splitlines() if "cuBLASLt does not do some of the model's products" in line]
    assert len(told) == 1 and "inputs, " in told[0] and "bias and activation" in told[0], limited.log()
    small = gpu(hub, "memory_mb=106", "--attempts", "2", "--retry-delay-s", "0")
    numbers = [small.sweep(large, **request), small.sweep(MODEL, **STATISTICS)]
    refused, measured = map(small.wait, numbers)
    assert refused["state"] == "failed" and refused["errors"][0]["code"] == "no_memory", refused
    assert "there is room for" in refused["errors"][0]["message"]
    assert measured["state"] == "done", measured


def test_memory_that_is_refused_is_asked_for_again(
    gpu: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, cpu: Daemon
) -> None:
    """Twice for the model, which is loaded again when no other is there, and once for what scoring needs. (In smaller batches:
    tests/emulation/test_faults.c, which has room to choose.)"""
    fault = "starve=cudaMallocFromPoolAsync"  # 1 and 2 are the workspaces of the two contexts
    one = gpu(make_hub(garden), f"{fault}:3 {fault}:3 {fault}:4", "--fetchers", "1")
    names = NAMES[-2:]
    sweep = one.wait(one.sweep(MODEL, **{**REQUEST, "metrics": ["perplexity"], "revisions": {"names": names}}))
    assert sweep["state"] == "done", sweep["errors"]
    expected = {row["revision"]: row for row in cpu.series(MODEL)}
    for name in names:
        (row,) = (row for row in one.series(MODEL) if row["revision"] == name)
        assert_same_texts(row, expected[name])
    assert one.stop() == 0 and "did not happen" not in one.log()


def test_what_a_limit_of_the_device_s_memory_refuses(
    gpu: Callable[..., Daemon], daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], texts: Path
) -> None:
    """On a GPU of 80 GiB as on the CPU: fails with what to change. (134 MB are the two contexts' of the GPU.)"""
    hub, scoring = make_hub(texts), {"metrics": ["perplexity"], "dataset": "garden/short:data/test.jsonl", "revisions": {"names": ["step512"]}}
    limited = gpu(hub, "", "--device-memory-mb", "135")
    processor = daemon(hub, "--device", "cpu", "--device-memory-mb", "1")
    for one, request in ((limited, scoring), (limited, {**STATISTICS, "revisions": {"names": ["step512"]}}), (processor, scoring)):
        end = one.wait(one.sweep(MODEL, **request))
        assert end["state"] == "failed" and [error["code"] for error in end["errors"]] == ["no_memory"], end
        assert "raise device-memory-mb" in end["errors"][0]["message"], end


# ---- a lost device -------------------------------------------------------------------------------


def await_loss(one: Daemon, *words: str) -> None:
    """The daemon ends by itself, with the status that its supervisor starts it again for."""
    assert one.process.wait(60) == LOST, one.log()
    assert "the compute device is lost; the daemon ends so that its supervisor starts it again" in one.log()
    for word in words:
        assert word in one.log()


def start_again(one: Daemon, words: str) -> None:
    one.env["BIFURCATED_EMULATION"] = words
    one.start()


def test_a_lost_device_ends_the_daemon_and_costs_one_attempt(
    gpu: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, cpu: Daemon, tmp_path: Path
) -> None:
    """Three fetchers work when it is lost. Readiness is looked at while the main thread waits for a configuration file to be
    written, so that it cannot begin to stop."""
    config = tmp_path / "bifurcated.conf"
    config.write_text("")
    one = gpu(make_hub(garden), "lose=launch:12", "--config", str(config), "--retry-delay-s", "0", "--fetchers", "3")
    config.unlink()
    os.mkfifo(config)
    one.process.send_signal(signal.SIGHUP)
    sweep = one.sweep(MODEL, **STATISTICS)
    wait_until(lambda: "the compute device is lost" in one.log())
    ready = one.get("/readyz")
    assert ready.status == 503 and "is lost until the process restarts" in ready.text
    assert one.get("/healthz").status == 200
    config.write_text("")
    await_loss(one, "error=device_lost")
    config.unlink()
    config.write_text("")
    counted = tasks(one)
    assert sorted(failures for _, failures, _ in counted.values()) == [0, 0, 0, 0, 0, 1]  # no neighbour's
    assert {code for _, failures, code in counted.values() if failures} == {"device_lost"}
    start_again(one, "")
    assert one.get("/readyz").status == 200
    end = one.wait(sweep)
    assert end["state"] == "done" and end["progress"]["done"] == 6, end
    assert_same_numbers(one, cpu, sorted(STATISTICS["revisions"]["names"], key=lambda name: int(name[4:])))


@pytest.mark.parametrize(("fetchers", "attempts"), [(1, 2), (3, 3)])
def test_a_task_that_loses_the_device_each_time_fails(
    gpu: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path, fetchers: int, attempts: int
) -> None:
    """One revision's weights are poison to the GPU: after its attempts it has failed, and all others are measured. Where another was scored while
    they were loaded, that one has failed, too, but once: after that both are alone on the GPU."""
    weights = safetensors.load_file(next((garden / "models" / MODEL / "step512").glob("*.safetensors")))
    poison = weights["gpt_neox.embed_in.weight"].tobytes()[:24].hex()
    options = ["--attempts", str(attempts), "--retry-delay-s", "0", "--fetchers", str(fetchers)]
    one = gpu(make_hub(garden), f"poison={poison}", *options)
    sweep = one.sweep(MODEL, **{**REQUEST, "metrics": ["perplexity"], "limit": 1})
    for _ in range(attempts):
        await_loss(one)
        one.start()
    end = one.wait(sweep)
    assert end["state"] == "failed" and end["progress"]["done"] == len(NAMES) - 1, end
    assert [error["code"] for error in end["errors"]] == ["device_lost"]
    ends = tasks(one)
    assert ends.pop("step512") == ("failed", attempts, "device_lost")
    assert all(state == "done" and failures <= (fetchers > 1) for state, failures, _ in ends.values()), ends


def test_a_loss_while_the_daemon_stops_leaves_its_status(gpu: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path) -> None:
    """The stop was asked for; the task that is let finish meanwhile loses the device."""
    hub = make_hub(garden)
    hub.fault("stall", route="cdn", seconds=1, revision="step512")
    one = gpu(hub, "lose=launch:3", "--fetchers", "1")  # 1 and 2 are the first kernels of the two contexts
    number = one.sweep(MODEL, **{**STATISTICS, "revisions": {"names": ["step512"]}})
    one.wait(number, lambda sweep: sweep["progress"]["running"] > 0)
    status = one.stop()
    if status == LOST or "error=device_lost" not in one.log():
        pytest.skip("the machine is too slow: the device was lost before the stop, or not within its grace")
    assert status == 0, one.log()


# ---- devices that are not used -------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, reason",
    [
        ("driver=0", "no NVIDIA driver is installed"),
        ("driver=12040", "the NVIDIA driver supports CUDA 12.4, the module needs 13.0 or later: update the driver"),
        ("devices=0", "the NVIDIA driver offers no GPU: "),
        ("gpu=t4", "the Tesla T4 is too old: compute capability 7.5, and 8.0 is needed"),
    ],
)
def test_why_there_is_no_gpu(gpu: Callable[..., Daemon], words: str, reason: str) -> None:
    one = gpu(None, words)
    *_, absent = one.get("/v1/devices").json()["devices"]
    assert absent["name"] == "cuda" and not absent["is_available"] and absent["reason"].startswith(reason)
    assert "device=cpu" in one.log() and reason in one.log()


def test_a_gpu_that_cannot_be_opened(gpu: Callable[..., Daemon], module: Path, programs: dict[str, Path], tmp_path: Path) -> None:
    """Without a word on the device, the next one; named, the daemon does not start."""
    second = gpu(None, "devices=2 starve=cudaMallocFromPoolAsync:1 starve=cudaMallocFromPoolAsync:1")
    assert [one["name"] for one in second.get("/v1/devices").json()["devices"] if one["is_used"]] == ["cuda:1"]
    assert "a GPU is present but not used" in second.log() and "MiB more" in second.log()
    processor = gpu(None, "memory_mb=32")
    assert [one["name"] for one in processor.get("/v1/devices").json()["devices"] if one["is_used"]] == ["cpu"]
    check = [programs["bifurcated"], "check", "--json", "--state", str(processor.state), "--cuda-module", str(module)]
    findings = json.loads(subprocess.run(check, env=processor.env, capture_output=True, text=True, timeout=60).stdout)["findings"]
    (cuda,) = (one for one in findings if one["subject"] == "cuda")
    assert cuda["level"] == "warning" and "MiB more" in cuda["text"]
    named = Daemon(programs, tmp_path / "named", None, ["--cuda-module", str(module), "--device", "cuda:0"],
                   {"BIFURCATED_EMULATION": "memory_mb=32"})  # fmt: skip
    named.spawn()
    assert named.process.wait(60) == 1
    assert "device cuda:0: device 0 has no 64.0 MiB more" in named.log()
