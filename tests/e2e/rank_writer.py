"""Writes what DeepSpeed, GPT-NeoX and Megatron write for each rank, without torch: weights among options, and which ranks there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import chunk_writer
import torch_writer
from chunk_writer import Whole
from torch_writer import Tensor, row_major

PICKLE = chunk_writer.Pickle(2)


def value_of(value: Any, tensors: list[Tensor]) -> Any:
    """A dict with tensors in it, as bytes of pickle; the tensors get their keys."""
    if isinstance(value, Whole):
        tensor = Tensor(value.dtype, value.shape, row_major(value.shape), 0, value.data, str(len(tensors)))
        tensors.append(tensor)
        return torch_writer.tensor_pickle(tensor)
    if isinstance(value, dict):
        return {key: value_of(item, tensors) for key, item in value.items()}
    return value


def namespace(**options: Any) -> bytes:
    """argparse's, which Megatron keeps its options in."""
    return PICKLE.record("argparse", "Namespace", options)


def write(path: Path, state: dict[str, Any]) -> None:
    tensors: list[Tensor] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    data = PICKLE.whole(value_of(state, tensors))
    records = {"data.pkl": data, "byteorder": b"little"} | {f"data/{tensor.key}": tensor.storage for tensor in tensors}
    torch_writer.write_records(path, records | {"version": b"3\n"})


def rows(whole: Whole, rank: int, ranks: int) -> Whole:
    """The part of a rank of tensor parallelism."""
    size = len(whole.data) // ranks
    return Whole(whole.dtype, (whole.shape[0] // ranks, *whole.shape[1:]), whole.data[rank * size : (rank + 1) * size])


def megatron(folder: Path, embedding: Whole, output: Whole | None, ranks: int, stages: int, options: dict[str, Any] | None = None) -> None:
    """model_optim_rng.pt of each rank and stage; without an output layer the embedding is tied, and the last of several stages has a copy."""
    told = {"tensor_model_parallel_size": ranks, "pipeline_model_parallel_size": stages, "padded_vocab_size": embedding.shape[0]}
    for rank in range(ranks):
        for stage in range(stages):
            model: dict[str, Any] = {"decoder.layers.0.mlp.linear_fc1.weight": Whole("float16", (4, 2), bytes(16 * [rank])), "decoder.extra": None}
            if stage == 0:
                model["embedding.word_embeddings.weight"] = rows(embedding, rank, ranks)
            if stage == stages - 1 and (output or stages > 1):
                model["output_layer.weight"] = rows(output or embedding, rank, ranks)
            optimizer = {"state": {0: {"exp_avg": Whole("float32", (2,), bytes(8))}}, "shard": {"word_embeddings.weight": Whole("float32", (2,), bytes(8))}}
            name = f"mp_rank_{rank:02}" if stages == 1 else f"mp_rank_{rank:02}_{stage:03}"
            args = namespace(**(told if options is None else options), dtype=PICKLE.named("torch", "float16"), log=PICKLE.named("a.library", "log"))
            write(folder / name / "model_optim_rng.pt", {"args": args, "iteration": 10, "model": model, "optimizer": optimizer})


def neox(folder: Path, embedding: Whole, output: Whole | None, ranks: int, layers: int = 3, stages: int = 1, options: dict[str, Any] | None = None,
         told: int | None = None) -> None:  # fmt: skip
    """GPT-NeoX's and Megatron-DeepSpeed's: a file for each layer and rank; the layers 1 and layers + 2 have none."""
    args = {"hidden_size": embedding.shape[1], "padded_vocab_size": embedding.shape[0], "model_parallel_size": ranks}
    for rank in range(ranks):
        write(folder / f"layer_00-model_{rank:02}-model_states.pt", {"word_embeddings.weight": rows(embedding, rank, ranks)})
        for layer in range(2, layers + 2):
            write(folder / f"layer_{layer:02}-model_{rank:02}-model_states.pt", {"attention.dense.weight": Whole("float16", (4, 2), bytes(16))})
        write(folder / f"layer_{layers + 3:02}-model_{rank:02}-model_states.pt", {"norm.weight": Whole("float16", (2,), bytes(4))})
        if output:
            write(folder / f"layer_{layers + 4:02}-model_{rank:02}-model_states.pt", {"final_linear.weight": rows(output, rank, ranks)})
    for rank in range(ranks * stages):
        write(folder / f"mp_rank_{rank:02}_model_states.pt",
              {"module": None, "mp_world_size": told or ranks * stages, "dp_world_size": 4, "iteration": 10, "args": args if options is None else options})  # fmt: skip


def deepspeed(folder: Path, embedding: Whole, output: Whole, ranks: int) -> None:
    """Megatron-DeepSpeed's without a pipeline."""
    for rank in range(ranks):
        model = {"embedding": {"word_embeddings": {"weight": rows(embedding, rank, ranks)}}, "output_layer": {"weight": rows(output, rank, ranks)}}
        write(folder / f"mp_rank_{rank:02}_model_states.pt", {"module": {"language_model": model}, "mp_world_size": ranks,
              "args": namespace(tensor_model_parallel_size=ranks, padded_vocab_size=embedding.shape[0])})  # fmt: skip
