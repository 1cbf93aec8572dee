"""Ranges that come damaged: no digest is published of a part of a file, but what it was before is known."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any, Callable

import chunk_writer
import numpy as np
from chunk_writer import Whole, grid
from running import Daemon

from tests.hub import Emulator

MODEL = "garden/neox-tiny"


def place_of(path: Path, tensor: str) -> int:
    """Where in the file the tensor's second half begins."""
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        begin, end = json.loads(file.read(size))[tensor]["data_offsets"]
    return int(8 + size + (begin + end) // 2)


def test_a_tensor_that_is_not_what_it_was(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], garden: Path) -> None:
    """Once measured, its bytes are fetched again for another reference, and as one: neither gives a wrong number, nor is kept."""
    hub = make_hub(garden)
    one = daemon(hub, "--keep", "ranges")

    def sweep(names: list[str], **more: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        done = one.wait(one.sweep(MODEL, revisions={"names": names}, **more))
        return done, one.read(f"/v1/sweeps/{done['id']}/tasks")["tasks"]

    assert sweep(["step16"])[0]["state"] == "done"
    before = {row["revision"]: row for row in one.series(MODEL)}["step16"]
    one.stop()  # nothing of it is in memory any more
    shutil.rmtree(one.state / "ranges")
    one.start()
    hub.fault("flip", revision="step16", file="model.safetensors", route="cdn",
              file_offset=place_of(garden / "models" / MODEL / "step16/model.safetensors", before["tensor"]))  # fmt: skip
    done, (own, later) = sweep(["step16", "step32"], reference="step8")
    assert (done["progress"]["failed"], done["progress"]["done"]) == (1, 1), done
    assert own["state"] == "failed" and "differ from those that the same file held before" in own["error"], own
    rows = {row["revision"]: row for row in one.series(MODEL)}
    for name in ("digest", "msd", "reference", "lag1_msd", "mean"):
        assert rows["step16"][name] == before[name], name
    assert rows["step32"]["reference"] == "step8" and rows["step32"]["msd"] > 0
    assert rows["step32"]["lag1_msd"] is None and rows["step32"]["lag1_reference"] is None
    events = one.read(f"/v1/sweeps/{done['id']}/tasks/{later['id']}/events")["events"]
    assert any("a displacement is left out" in (event["detail"] or "") and "held before" in event["detail"] for event in events), events
    hub.clear_faults()
    assert sweep(["step16", "step32"], reference="step8")[0]["progress"]["failed"] == 0
    rows = {row["revision"]: row for row in one.series(MODEL)}
    assert rows["step16"]["reference"] == "step8" and rows["step32"]["lag1_reference"] == "step16"


def test_chunks_that_are_not_what_they_were(daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], tmp_path: Path) -> None:
    """No one file has the digest of a tensor in several: what is kept of all of them goes."""
    folders = {step: tmp_path / f"root/models/org/chunks/step{step}" for step in (10, 20, 30)}
    shape = (4096, 64)
    for step, folder in folders.items():
        values = np.random.default_rng(step).standard_normal(shape).astype("<f2").tobytes()
        chunk_writer.write(folder, {"lm_head.weight": Whole("float16", shape, values, grid(shape, (2, 1)))}, files=2)
    hub = make_hub(tmp_path / "root", thread=True)
    one = daemon(hub, "--keep", "ranges")
    assert one.wait(one.sweep("org/chunks", revisions={"names": ["step20"]}))["state"] == "done"
    one.stop()  # nothing of it is in memory any more
    shutil.rmtree(one.state / "ranges")
    one.start()
    values = np.random.default_rng(20).standard_normal(shape).astype("<f2").tobytes()
    (place,) = [(path.name, path.read_bytes().find(values[1000:1100])) for path in folders[20].iterdir() if values[1000:1100] in path.read_bytes()]
    hub.fault("flip", revision="step20", file=place[0], file_offset=place[1])
    again = {"revisions": {"names": ["step20"]}, "reference": "step30"}
    done = one.wait(one.sweep("org/chunks", **again))
    assert done["state"] == "failed" and "differ from those that the same file held before" in done["error"]["message"], done
    hub.clear_faults()
    done = one.wait(one.sweep("org/chunks", **again))
    assert done["state"] == "done", done
