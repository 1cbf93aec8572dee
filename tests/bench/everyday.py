"""The everyday size: many models of many revisions at once, over a link with latency, while people look on.

    BIFURCATED_BUILD=build/release python -m tests.bench.everyday [--models 16] [--revisions 154] [--latency-ms 100]
                                                                  [--perplexity 3] [--option request-budget=0]...

Tensors are small (512 x 16), so that what is measured is round trips and not bandwidth. `bifurcate sweep M1 M2 ... --follow`
asks for all of them; with --perplexity, a second command then asks for that of some models. Meanwhile a poller reads what
a dashboard, a script and a scraper read. Printed: requests by kind for each revision, when the plans and the first results
were there, how long polls took, memory, and the sizes of the database and its log.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

import numpy as np

from tests.bench.serving import daemon, get, processor_s, program, resident_kib
from tests.hub import Emulator

ROWS, COLUMNS = 512, 16
GARDEN = Path(__file__).resolve().parents[1] / "fixtures/garden/hub"
TEXTS = "garden/lambada_garden"
SHAPES = {"gpt_neox.embed_in.weight": (ROWS, COLUMNS), "embed_out.weight": (ROWS, COLUMNS)}
SHAPES |= {f"gpt_neox.{name}.{part}": (COLUMNS,) for name in (
    "final_layer_norm", "layers.0.input_layernorm", "layers.0.post_attention_layernorm") for part in ("weight", "bias")}  # fmt: skip
SHAPES |= {f"gpt_neox.layers.0.{name}.weight": shape for name, shape in {
    "attention.query_key_value": (3 * COLUMNS, COLUMNS), "attention.dense": (COLUMNS, COLUMNS),
    "mlp.dense_h_to_4h": (4 * COLUMNS, COLUMNS), "mlp.dense_4h_to_h": (COLUMNS, 4 * COLUMNS)}.items()}  # fmt: skip
SHAPES |= {name.replace(".weight", ".bias"): shape[:1] for name, shape in SHAPES.items() if len(shape) == 2 and "layers" in name}
KINDS = {"refs": r"/refs\b", "tree": r"/tree/", "small": r"/resolve/.*\.json$", "weights": r"/resolve/.*\.(safetensors|bin)$"}


def write_models(root: Path, models: int, revisions: int) -> list[str]:
    """NeoX models of one layer with the garden's tokenizer, alike in every revision, and its texts."""
    garden = GARDEN / "models/garden/neox-tiny"
    config = json.loads((garden / "step14000/config.json").read_text())
    config |= {"hidden_size": COLUMNS, "intermediate_size": 4 * COLUMNS, "num_attention_heads": 2, "num_hidden_layers": 1}
    header, at = {}, 0
    for name, shape in SHAPES.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    names = [f"bench/model-{number:02}" for number in range(models)]
    source = np.random.default_rng(1)
    for name in names:
        folder = root / "models" / name
        (folder / "_shared").mkdir(parents=True)
        for file in (garden / "_shared").iterdir():
            (folder / "_shared" / file.name).write_bytes(file.read_bytes())
        (folder / "_shared/config.json").write_text(json.dumps(config))
        shared = {file.name: f"_shared/{file.name}" for file in (folder / "_shared").iterdir()}
        (folder / "branches.json").write_text(json.dumps({"shared": shared}))
        for step in range(revisions):
            (folder / f"step{step * 1000}").mkdir()
            numbers = source.normal(0, 0.1, at // 2).astype(np.float16).tobytes()
            (folder / f"step{step * 1000}/model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + numbers)
    (root / "datasets/garden").mkdir(parents=True)
    (root / "datasets" / TEXTS).symlink_to(GARDEN / "datasets" / TEXTS)
    return names


class Onlooker(threading.Thread):
    """Asks what a dashboard, a script and a scraper ask for, one after the other, and notes how long each took."""

    def __init__(self, url: str, model: str, pid: int, state: Path) -> None:
        super().__init__(daemon=True)
        self.url, self.pid, self.state = url, pid, state
        series = f"/v1/models/{model}/revisions?limit=1000"
        self.paths = ["/v1/status", "/v1/sweeps", "/v1/models", series, f"/v1/models/{model}/analysis",
                      f"/v1/models/{model}/audit", "/v1/scaling", "/metrics", "/v1/devices"]  # fmt: skip
        self.took: dict[str, list[float]] = defaultdict(list)
        self.peak_kib = self.log_bytes = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            for path in self.paths:
                began = time.monotonic()
                try:
                    get(self.url + path)
                except OSError:  # not known yet
                    continue
                self.took[path.split("?")[0]].append(time.monotonic() - began)
            self.peak_kib = max(self.peak_kib, resident_kib(self.pid))
            log = self.state / "bifurcated.db-wal"
            self.log_bytes = max(self.log_bytes, log.stat().st_size if log.exists() else 0)

    def print(self) -> None:
        self.over.set()
        self.join()
        for path, took in self.took.items():
            took.sort()
            middle, late = took[len(took) // 2], took[int(len(took) * 0.99)]
            print(f"  {path:44} {len(took):5} polls, median {1e3 * middle:6.1f} ms, 99 % {1e3 * late:6.1f}, worst {1e3 * took[-1]:6.1f}")
        database = (self.state / "bifurcated.db").stat().st_size
        print(f"  memory at most {self.peak_kib / 1024:.0f} MiB; database {database / 1e6:.1f} MB, its log at most {self.log_bytes / 1e6:.1f} MB")


def since(text: str | None, began: float) -> float:
    return datetime.fromisoformat(text).timestamp() - began if text else float("nan")


def first_result(url: str, sweep: int, began: float) -> float:
    """When the first task of a sweep had ended."""
    tasks = json.loads(get(f"{url}/v1/sweeps/{sweep}/tasks?limit=1000&state=done")[0])["tasks"]
    return min((since(task["finished_at"], began) for task in tasks), default=float("nan"))


def run(url: str, pid: int, hub: Emulator, names: list[str], revisions: int, *options: str) -> None:
    """One command of the client, and what it took."""
    hub.reset()
    began, busy = time.time(), processor_s([pid])
    command = [program("bifurcate"), "sweep", *names, "--follow", "--server", url, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    wall = time.time() - began
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:])
    sweeps = json.loads(get(f"{url}/v1/sweeps?limit={len(names)}")[0])["sweeps"]
    plans = sorted(since(sweep["started_at"], began) for sweep in sweeps)
    firsts = sorted(first_result(url, sweep["id"], began) for sweep in sweeps)
    counts: Counter[str] = Counter()
    for entry in hub.log():
        kind = next((name for name, pattern in KINDS.items() if re.search(pattern, entry["target"])), entry["route"])
        counts[kind] += 1
    total = len(names) * revisions
    print(f"{len(names)} x {revisions} revisions, {' '.join(options) or 'statistics'}: {wall:.1f} s, "
          f"{processor_s([pid]) - busy:.1f} s of the daemon's processor time")  # fmt: skip
    print(f"  plans complete after {plans[0]:.1f} to {plans[-1]:.1f} s; first result of a sweep after {firsts[0]:.1f} to {firsts[-1]:.1f} s")
    print("  requests for each revision: " + ", ".join(f"{kind} {count / total:.3f}" for kind, count in counts.most_common())
          + f"; {sum(counts.values())} in all, {hub.stats()['bytes']['total'] / total / 1e3:.1f} kB each")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=16)
    parser.add_argument("--revisions", type=int, default=154)
    parser.add_argument("--latency-ms", type=float, default=100.0)
    parser.add_argument("--perplexity", type=int, default=3, help="of so many models, too")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the daemon")
    parser.add_argument("--keep", type=Path, help="a folder that keeps the models for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench_everyday_") as folder:
        place = Path(folder)
        root = arguments.keep or place / "root"
        names = [f"bench/model-{number:02}" for number in range(arguments.models)]
        if not root.exists():
            write_models(root, arguments.models, arguments.revisions)
        options = [f"--{option}" for option in arguments.option]
        with Emulator(root) as hub, daemon(place, options, hub.url) as (url, pid):
            hub.repositories()  # so that no digest is computed meanwhile
            hub.set(latency_ms=arguments.latency_ms)
            onlooker = Onlooker(url, names[0], pid, place / "state")
            onlooker.start()
            run(url, pid, hub, names, arguments.revisions)
            if arguments.perplexity:
                scored = names[: arguments.perplexity]
                run(url, pid, hub, scored, arguments.revisions, "--metric", "perplexity", "--dataset", TEXTS, "--limit", "5")
            onlooker.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
