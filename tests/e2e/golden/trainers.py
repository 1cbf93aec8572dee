"""Makes trainers.json: checkpoints as torch itself writes them for trainers, and what is in them.

    python tests/e2e/golden/trainers.py     (torch, numpy; seconds)

Four processes save one state dict with torch.distributed.checkpoint, cut along rows, columns and both, beside whole tensors and
values that are none; and a file like DeepSpeed's and Megatron's holds the weights among options, random states and objects. The
digests are of what torch's own tensors hold (contiguous). Files are kept as base64 of zlib, since they are small.
"""

from __future__ import annotations

import argparse
import base64
import enum
import hashlib
import io
import json
import os
import random
import socket
import tempfile
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as multiprocessing
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

HERE = Path(__file__).resolve().parent
RANKS = 4


class ModelType(enum.Enum):
    """Stands for an option that is an object of the trainer's own."""

    ENCODER = 1


def listing(value: Any, names: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    """Every tensor by its flattened name: dtype, shape, SHA-256."""
    if isinstance(value, torch.Tensor):
        whole = value.full_tensor() if hasattr(value, "full_tensor") else value
        data = bytes(whole.detach().contiguous().flatten().view(torch.uint8).numpy()) if whole.numel() else b""
        return {".".join(names): [str(whole.dtype).removeprefix("torch."), list(whole.shape), hashlib.sha256(data).hexdigest()]}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    found: dict[str, list[Any]] = {}
    for name, item in items:
        found |= listing(item, (*names, str(name)))
    return found


def save_chunks(rank: int, port: int, folder: str) -> None:
    warnings.filterwarnings("ignore")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=rank, world_size=RANKS)
    torch.manual_seed(1)
    line, grid = init_device_mesh("cpu", (RANKS,)), init_device_mesh("cpu", (2, 2))
    state = {
        "model": {
            "rows": distribute_tensor(torch.randn(11, 6), line, [Shard(0)]),
            "columns": distribute_tensor(torch.randn(5, 8).bfloat16(), line, [Shard(1)]),
            "grid": distribute_tensor(torch.randn(6, 7).half(), grid, [Shard(0), Shard(1)]),
            "cube": distribute_tensor(torch.randn(4, 5, 6), grid, [Shard(2), Shard(1)]),
            "everywhere": distribute_tensor(torch.randn(3, 4), line, [Replicate()]),
            "fewer_rows_than_ranks": distribute_tensor(torch.randn(2, 3), line, [Shard(0)]),
            "transposed": torch.arange(6.0).reshape(2, 3).t(),
            "scalar": torch.tensor(4),
            "empty": torch.zeros(0, 3),
        },
        "optim": [torch.ones(2, dtype=torch.float64)],
        "step": 5,
        "args": argparse.Namespace(kind=ModelType.ENCODER),
    }
    dcp.save(state, checkpoint_id=folder)
    listed = listing(state)
    if rank == 0:
        Path(folder, "listing").write_text(json.dumps(listed))
    dist.destroy_process_group()


def save_state(path: Path) -> dict[str, list[Any]]:
    torch.manual_seed(2)
    extra = io.BytesIO(b"extra state")
    weights = {"language_model": {"output_layer": {"weight": torch.randn(7, 4).bfloat16()}, "_extra_state": extra}}
    state = {
        "model": weights,
        "args": argparse.Namespace(kind=ModelType.ENCODER, dtype=torch.bfloat16, betas=(0.9, 0.95), device=torch.device("cpu")),
        "checkpoint_version": 3.0,
        "rng_state": [{"python": random.Random(1).getstate(), "numpy": np.random.default_rng(1).bit_generator.state,
                       "old": np.random.RandomState(1).get_state(), "torch": torch.get_rng_state()}],
        "names": {"a", "b"},
        "large": 2**100,
        "scheduler": ModelType.ENCODER,
    }  # fmt: skip
    torch.save(state, path)
    return listing({name: state[name] for name in ("model", "rng_state")})


def kept(path: Path) -> str:
    return base64.b64encode(zlib.compress(path.read_bytes(), 9)).decode()


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        chunks = Path(place, "chunks")
        multiprocessing.spawn(save_chunks, (free_port(), str(chunks)), nprocs=RANKS)
        listed = json.loads((chunks / "listing").read_text())
        (chunks / "listing").unlink()
        golden = {
            "torch": torch.__version__.split("+")[0],
            "chunks": {"files": {path.name: kept(path) for path in sorted(chunks.iterdir())}, "tensors": listed},
        }
        state = Path(place, "state.pt")
        tensors = save_state(state)
        golden["state"] = {"file": kept(state), "tensors": tensors}
    (HERE / "trainers.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
