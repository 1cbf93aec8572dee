"""The daemon with the CUDA module on a real GPU: numbers beside the processor's, speed, memory, other processes, a lost device, a stop.

    python3 tests/gpu/daemon.py BUNDLE [--only NAME,...] [--tokenizer FILE --texts FILE]

BUNDLE is what tests/gpu/bundle made; --help lists the rest. Needs Python 3.11 with numpy, safetensors and pytest. Models are random numbers of pythia-410m's shape;
their texts are LAMBADA's and their tokenizer Pythia's where these files are named, else both are the garden's. With --emulation WORDS the module is
the emulated one, models are small, and what needs a real GPU is skipped. The table comes last; the exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/e2e")]
MISSING = [name for name in ("numpy", "safetensors", "pytest") if not importlib.util.find_spec(name)]
if MISSING:
    print(f"skipped: Python has no {', '.join(MISSING)}")
    raise SystemExit(77)

from cuda_numbers import MODEL, NAMES, REQUEST, STATISTICS, assert_same_numbers, assert_same_texts, tasks, write_large  # noqa: E402
from running import Daemon, wait_until  # noqa: E402
from workers import Worker  # noqa: E402

from tests.hub import Emulator  # noqa: E402

GARDEN = ROOT / "tests/fixtures/garden/hub"
TEXTS = "proof/texts:data/test.jsonl"
LOST = 70  # the exit status
SHAPE = {"layers": 24, "width": 1024, "heads": 16, "vocabulary": 50304, "positions": 2048}  # pythia-410m
SMALL = {"layers": 3, "width": 64, "heads": 4, "vocabulary": 512, "positions": 2048}
WIDE = {"layers": 24, "width": 2048, "heads": 16, "positions": 2048}  # 2.3 GiB with the garden's vocabulary


class Skipped(Exception):
    """Why."""


def made_up_texts(count: int) -> list[str]:
    """As long as LAMBADA's, of the garden's words."""
    lines = (GARDEN / "datasets/garden/lambada_garden/main/data/test.jsonl").read_text().splitlines()
    words = [word for line in lines for word in json.loads(line)["text"].split()]
    chance = random.Random(5)
    return [" ".join(chance.choices(words, k=chance.randint(30, 60))) for _ in range(count)]


def make_revision(arguments: tuple[Path, int, dict[str, Any]]) -> int:
    folder, step, shape = arguments
    return write_large(folder, GARDEN, revision=f"step{step}", **shape)


class Sampler:
    """What nvidia-smi says of the GPU meanwhile: mean utilisation, largest memory."""

    def __enter__(self) -> Sampler:
        self.utilisation: list[float] = []
        self.memory_mib = 0.0
        command = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "-i", "0", "-lms", "100"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True) if shutil.which(command[0]) else None
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        return self

    def _read(self) -> None:
        for line in self._process.stdout if self._process else ():
            numbers = re.findall(r"[\d.]+", line)
            if len(numbers) == 2:
                self.utilisation.append(float(numbers[0]))
                self.memory_mib = max(self.memory_mib, float(numbers[1]))

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.terminate()
        self._thread.join()

    def __str__(self) -> str:
        if not self.utilisation:
            return "no nvidia-smi"
        return f"nvidia-smi: {sum(self.utilisation) / len(self.utilisation):.0f} % of the time busy, {self.memory_mib:.0f} MiB"


class Proof:
    def __init__(self, arguments: argparse.Namespace, scratch: Path) -> None:
        self.scratch, self.emulation = scratch, arguments.emulation
        self.bundle = arguments.bundle.resolve()
        self.programs = {name: self.bundle / name for name in ("bifurcated", "bifurcate")}
        self.module = (arguments.module or self.bundle / "bifurcated_cuda.so").resolve()
        self.shape = SMALL if self.emulation else {**SHAPE, "tokenizer": arguments.tokenizer}
        self.names = [f"step{step}" for step in range(1, arguments.revisions + 1)]
        self.large = f"file:{scratch}/large"
        self.request = {"metrics": ["statistics", "perplexity"], "dataset": TEXTS}
        self.count = 0
        data = scratch / "hub/datasets/proof/texts/main/data"
        data.mkdir(parents=True)
        shutil.copytree(GARDEN / "datasets/garden", scratch / "hub/datasets/garden")
        (scratch / "hub/models").symlink_to(GARDEN / "models")
        if arguments.texts:
            shutil.copy(arguments.texts, data / "test.jsonl")
        else:
            lines = made_up_texts(20 if self.emulation else 5000)
            (data / "test.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
        self.hub = Emulator(scratch / "hub")
        self.hub.start()
        self._full: dict[str, dict[str, Any]] = {}

    def make_models(self) -> str:
        work = [(self.scratch / "large", int(name[4:]), self.shape) for name in self.names]
        with multiprocessing.get_context("fork").Pool(min(len(work), os.cpu_count() or 1)) as pool:
            sizes = pool.map(make_revision, work)
        self.weights_bytes = sum(sizes)
        return f"{len(sizes)} revisions of {sizes[0] / 1e6:.0f} MB"

    def daemon(self, *options: str, device: str = "cuda", env: dict[str, str] | None = None) -> Daemon:
        """On a fresh database."""
        self.count += 1
        extra = {"BIFURCATED_EMULATION": self.emulation} if self.emulation else {}
        options = ("--cuda-module", str(self.module), "--device", device, *options)
        return Daemon(self.programs, self.scratch / f"daemon{self.count}", self.hub.url, list(options), {**extra, **(env or {})})

    def sweep(self, one: Daemon, model: str, **request: Any) -> None:
        end = one.wait(one.sweep(model, **request))
        assert end["state"] == "done", (end, one.log())

    def full(self) -> dict[str, dict[str, Any]]:
        """The rows of the large models with all texts, by one undisturbed daemon."""
        if not self._full:
            self.throughput()
        return self._full

    def check_rows(self, one: Daemon) -> str:
        """All rows against those of the undisturbed daemon: the same GPU computes the same sums; says how many are the same bit by bit."""
        rows, wanted, equal = one.series(self.large), self.full(), 0
        assert [row["revision"] for row in rows] == self.names
        for row in rows:
            good = wanted[row["revision"]]
            for name in ("mean", "variance", "kurtosis", "tokens_centred_bimodality", "msd", "accuracy", "perplexity_tokens"):
                assert row[name] == good[name], (row["revision"], name, row[name], good[name])
            difference = abs(row["perplexity_nll_sum"] / good["perplexity_nll_sum"] - 1)
            assert difference < 1e-5, (row["revision"], difference)  # with less room batches are other ones
            equal += difference == 0
        return f"{len(rows)} rows as undisturbed, {equal} perplexities bit by bit"

    # ---- what is shown ------------------------------------------------------------------------------

    def numbers(self) -> str:
        """The committed training run, whole, beside the processor's numbers in a fresh database."""
        with self.daemon(device="cpu") as cpu, self.daemon() as gpu:
            devices = {device["name"]: device for device in gpu.get("/v1/devices").json()["devices"]}
            assert devices["cuda:0"]["is_used"] and not devices["cpu"]["is_used"], devices
            name = devices["cuda:0"]["description"]
            assert name.split(",")[0] in gpu.log(), gpu.log()
            for one in (cpu, gpu):
                self.sweep(one, MODEL, **REQUEST)
                self.sweep(one, MODEL, **STATISTICS)
            names = sorted({*NAMES, *STATISTICS["revisions"]["names"]}, key=lambda name: int(name[4:]))
            assert_same_numbers(gpu, cpu, names)
        return f"{name}, {devices['cuda:0']['memory_bytes'] >> 20} MiB; {len(names)} revisions equal the processor's"

    def large_numbers(self) -> str:
        """Three of the large revisions beside the processor's."""
        names = self.names[:3]
        with self.daemon(device="cpu") as cpu, self.daemon() as gpu:
            for one in (cpu, gpu):
                self.sweep(one, self.large, **self.request, limit=16, revisions={"names": names})
            assert_same_numbers(gpu, cpu, names, self.large)
        return f"{len(names)} revisions, 16 texts each, equal the processor's"

    def throughput(self) -> str:
        """All texts on all revisions, by a fresh daemon; then fewer texts, when the tokenizer's work is done and kernels are loaded."""
        with self.daemon() as one:
            fresh_s, fresh_busy, sampler = self.timed(one, **self.request)
            rows = one.series(self.large)
            texts = rows[0]["perplexity_documents"]
            warm = texts * 4 // 5
            warm_s, warm_busy, _ = self.timed(one, **{**self.request, "metrics": ["perplexity"], "limit": warm})
        self._full = {row["revision"]: row for row in rows}
        count = len(rows)
        return (
            f"{count} revisions with {texts} texts in {fresh_s:.2f} s ({count * texts / fresh_s:.0f} texts/s,"
            f" {self.weights_bytes / fresh_s / 1e9:.2f} GB/s of weights), the device taken {fresh_busy / fresh_s:.0%} of it; {sampler}."
            f" Warm, perplexity alone with {warm} texts: {warm_s:.2f} s ({count * warm / warm_s:.0f} texts/s), the device taken {warm_busy / warm_s:.0%}"
        )

    def timed(self, one: Daemon, **request: Any) -> tuple[float, float, Sampler]:
        """Seconds of the whole sweep, and those of the device."""

        def busy() -> float:
            return float(re.search(r"^bifurcated_device_busy_seconds_total ([\d.e+-]+)", one.get("/metrics").text, re.M)[1])

        before = busy()
        with Sampler() as sampler:
            begin = time.monotonic()
            self.sweep(one, self.large, **request)
            seconds = time.monotonic() - begin
        return seconds, busy() - before, sampler

    def stop(self) -> str:
        """SIGTERM while it measures: it ends well, and goes on where it was."""
        with self.daemon() as one:
            number = one.sweep(self.large, **self.request)
            one.wait(number, lambda sweep: sweep["progress"]["done"] > 0)
            begin = time.monotonic()
            assert one.stop() == 0, one.log()
            took = time.monotonic() - begin
            one.start()
            left = one.get(f"/v1/sweeps/{number}").json()["progress"]
            assert one.wait(number)["state"] == "done", one.log()
            assert {failures for _, failures, _ in tasks(one).values()} == {0}
            text = self.check_rows(one)
        return f"status 0 after {took:.2f} s with {left['done']} of {len(self.names)} done; then {text}"

    def lost(self) -> str:
        """A kernel of another library breaks the daemon's context: it ends with its status, and starts again with what is left."""
        self.needs_gpu()
        preload = self.bundle / "trap_later.so"
        if not preload.exists():
            raise Skipped(f"{preload} is not there")
        file = self.scratch / "trap"
        env = {"LD_PRELOAD": str(preload), "BIFURCATED_TRAP_FILE": str(file)}
        one = self.daemon("--retry-delay-s", "0", env=env)
        one.start()
        try:
            number = one.sweep(self.large, **self.request)
            one.wait(number, lambda sweep: sweep["progress"]["done"] > 0)
            file.touch()
            assert one.process.wait(60) == LOST, one.log()
            log = one.log()
            assert "the compute device is lost; the daemon ends so that its supervisor starts it again" in log, log
            assert "error=device_lost" in log and "nothing broke" not in log, log
            words = (re.search(r"trap_later: (\w+)", log) or ["", "it ended first"])[1]
            del one.env["LD_PRELOAD"]
            one.start()
            assert one.wait(number)["state"] == "done", one.log()
            failures = sorted(count for _, count, _ in tasks(one).values() if count)
            assert failures in ([1], [1, 1]), failures  # whoever computed, and whoever loaded
            text = self.check_rows(one)
            assert one.stop() == 0
        finally:
            if one.process.poll() is None:
                one.kill()
        return f"{words}: status {LOST}, {len(failures)} attempts lost; started again: {text}"

    def together(self) -> str:
        """Three processes use the GPU at once; one of them is killed in the middle."""
        with self.daemon("--fetchers", "1", "--lease-s", "3") as one:
            options = ["--cuda-module", str(self.module), "--device", "cuda:0", "--fetchers", "1"]
            workers = [
                Worker(one, self.programs["bifurcated"], self.scratch / f"w{i}", "--name", f"w{i}", *options).start() for i in (0, 1)
            ]
            try:
                wait_until(lambda: len(one.get("/v1/workers").json()["workers"]) == 2)
                number = one.sweep(self.large, **self.request)
                one.wait(number, lambda sweep: sweep["progress"]["done"] > 1)
                workers[0].kill()
                assert one.wait(number)["state"] == "done", (one.log(), *(worker.log() for worker in workers))
                recorded = sorted((worker["name"].split("-")[0], worker["recorded"]) for worker in one.get("/v1/workers").json()["workers"])
            finally:
                for worker in workers:
                    worker.terminate()
            workers[1].check_end()
            text = self.check_rows(one)
        return f"recorded by the workers: {recorded}, w0 killed; {text}"

    def full_gpu(self) -> str:
        """Another process leaves less than the model takes: it is streamed. It leaves nothing: refused. It goes: measured."""
        self.needs_gpu()
        weights = write_large(self.scratch / "wide", GARDEN, **WIDE)
        model, request = f"file:{self.scratch}/wide", {**self.request, "metrics": ["perplexity"], "limit": 8}
        said = []
        with self.daemon(device="cpu") as cpu, self.daemon("--attempts", "2", "--retry-delay-s", "0") as one:
            self.sweep(cpu, model, **request)
            self.sweep(one, MODEL, **REQUEST)  # what the driver loads at first use is there now
            refused = {"state": ""}
            for left_mib, limit in ((100, 7), (1200, 8)):
                with subprocess.Popen([sys.executable, ROOT / "tests/gpu/hold.py", str(left_mib)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True) as holder:  # fmt: skip
                    said.append(holder.stdout.readline().strip())
                    assert said[-1].startswith("held"), said
                    end = one.wait(one.sweep(model, **{**request, "limit": limit}))
                    holder.stdin.close()
                if left_mib == 100:
                    refused = end
                    assert end["state"] == "failed" and end["errors"][0]["code"] == "no_memory", (end, one.log())
                    assert "MiB" in end["errors"][0]["message"], end
                else:
                    assert end["state"] == "done", (end, one.log())
            assert_same_texts(one.series(model)[0], cpu.series(model)[0])
            assert weights > 1300 << 20
            self.sweep(one, model, **{**request, "limit": 7})
        return f"{weights >> 20} MiB of weights; {said[1]}: streamed, as the processor; {said[0]}: {refused['errors'][0]['message']}; then measured"

    def needs_gpu(self) -> None:
        if self.emulation:
            raise Skipped("needs a real GPU")


SHOWN = ("make_models", "numbers", "large_numbers", "throughput", "stop", "together", "full_gpu", "lost")


def run(proof: Proof, name: str) -> str:
    begin = time.monotonic()
    try:
        result = f"passed  {name}: {getattr(proof, name)()}"
    except Skipped as reason:
        result = f"skipped {name}: {reason}"
    except Exception as error:  # of whatever kind: the others go on
        traceback.print_exc()
        result = f"FAILED  {name}: {type(error).__name__}: {str(error)[:300]}"
    return f"{result} ({time.monotonic() - begin:.1f} s)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--module", type=Path, help="another one than the bundle's")
    parser.add_argument("--only", metavar="NAMES", default=",".join(SHOWN))
    parser.add_argument("--revisions", type=int, default=8)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--scratch", type=Path, help="a folder with room for the models; default: memory, else /tmp")
    parser.add_argument("--log", type=Path, help="a file for what all daemons and workers said")
    parser.add_argument("--emulation", default="")
    arguments = parser.parse_args()
    if unknown := set(arguments.only.split(",")) - set(SHOWN):
        parser.error(f"--only: {', '.join(sorted(unknown))}: not one of {', '.join(SHOWN)}")
    roomy = [Path(one) for one in ("/dev/shm", "/tmp") if Path(one).is_dir() and shutil.disk_usage(one).free > 12e9]
    place = arguments.scratch or (roomy or [Path("/tmp")])[0]
    results = []
    with tempfile.TemporaryDirectory(prefix="bifurcated-gpu-", dir=place) as folder:
        os.environ.update(HOME=folder, XDG_CACHE_HOME=folder)
        proof = Proof(arguments, Path(folder))
        try:
            for name in SHOWN:
                if name == "make_models" or name in arguments.only.split(","):
                    results.append(run(proof, name))
                    print(results[-1], flush=True)
        finally:
            proof.hub.stop()
            if arguments.log:
                logs = sorted(Path(folder).glob("*/log"), key=lambda log: log.stat().st_mtime)
                arguments.log.write_text("".join(f"==== {log.parent.name}\n{log.read_text(errors='replace')}" for log in logs))
    print("", *results, sep="\n")
    raise SystemExit(any(result.startswith("FAILED") for result in results))


if __name__ == "__main__":
    main()
