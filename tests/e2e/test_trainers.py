"""Checkpoints as trainers write them to go on from: chunks of torch.distributed.checkpoint, DeepSpeed's and Megatron's files.

The readers are compared with what torch itself wrote and read (golden/trainers.json), and with numpy's cuts; sweeps of each layout
with those of the same weights in safetensors.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import random
import shutil
import struct
import subprocess
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import chunk_writer
import numpy as np
import pytest
import torch_writer
from chunk_writer import SAFETENSORS, Chunk, Style, Whole, cut, grid, read_safetensors
from running import Daemon, find_program, model_path
from torch_writer import Tensor, element_bytes, row_major
from watches import LONG, first_run, watch_now
from workers import Worker

from tests.hub import samples

GOLDEN = json.loads((Path(__file__).parent / "golden/trainers.json").read_text())
MODEL = "garden/neox-tiny"
STEPS = ("step16", "step32")
Start = Callable[..., Daemon]


def probe(path: Path) -> dict[str, Any]:
    done = subprocess.run([find_program("tests/checkpoint_probe"), path], capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return dict(json.loads(done.stdout))


def listing(result: dict[str, Any]) -> dict[str, tuple[str, list[int], str]]:
    assert "tensors" in result, result
    return {tensor["name"]: (tensor["dtype"], tensor["shape"], tensor["sha256"]) for tensor in result["tensors"]}


def golden(tensors: dict[str, Any]) -> dict[str, tuple[str, list[int], str]]:
    return {name: (SAFETENSORS[dtype], shape, digest) for name, (dtype, shape, digest) in tensors.items()}


def unpack(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zlib.decompress(base64.b64decode(text)))


# -- The readers -----------------------------------------------------------------------------------------------------


def test_chunks_that_torch_wrote(tmp_path: Path) -> None:
    for name, text in GOLDEN["chunks"]["files"].items():
        unpack(tmp_path / name, text)
    assert listing(probe(tmp_path)) == golden(GOLDEN["chunks"]["tensors"])


@pytest.mark.parametrize("name", ["mp_rank_00_model_states.pt", "mp_rank_00/model_optim_rng.pt", "global_step5/mp_rank_00_model_states.pt"])
def test_a_state_that_torch_wrote(tmp_path: Path, name: str) -> None:
    """Tensors among options, random states, sets and objects, which are passed over."""
    unpack(tmp_path / name, GOLDEN["state"]["file"])
    (tmp_path / "latest").write_text("global_step5\n")
    assert listing(probe(tmp_path)) == golden(GOLDEN["state"]["tensors"])
    (tmp_path / name).rename(tmp_path / "pytorch_model.bin")  # which is to hold a plain state dict
    refused = probe(tmp_path)
    assert refused["error"] == "unsupported" and "is not allowed" in refused["message"], refused


@pytest.mark.parametrize("style", [Style(), chunk_writer.OLD, chunk_writer.OLMO_CORE, chunk_writer.MEGATRON, Style(protocol=5)], ids=["now", "old", "olmo", "megatron", "5"])
def test_any_cut(tmp_path: Path, style: Style) -> None:
    source = random.Random(str(style))
    tensors: dict[str, Whole] = {}
    for number in range(60):
        dtype = source.choice(list(SAFETENSORS))
        shape = tuple(source.choice([1, 1, 2, 3, 5, 8, 13, 40]) for _ in range(source.randrange(5)))
        data = source.randbytes(math.prod(shape) * element_bytes(dtype))
        whole = Whole(dtype, shape, data, grid(shape, [source.choice([1, 1, 2, 3, 7]) for _ in shape]))
        source.shuffle(whole.chunks)
        tensors[f"model.überall.{number}"] = whole
    tensors["ragged"] = Whole("uint8", (4, 4), bytes(range(16)), [Chunk((0, 0), (1, 4)), Chunk((1, 0), (3, 1)), Chunk((1, 1), (3, 3))])
    tensors["one"] = Whole("float64", (300, 200), source.randbytes(480000))
    chunk_writer.write(tmp_path, tensors, files=5, style=style)
    wanted = {name: (SAFETENSORS[whole.dtype], list(whole.shape), hashlib.sha256(whole.data).hexdigest()) for name, whole in tensors.items()}
    assert listing(probe(tmp_path)) == wanted


def test_chunks_of_other_strides(tmp_path: Path) -> None:
    """torch.save keeps the strides of a shard that is a transposed view."""
    whole = Whole("int16", (6, 8), bytes(range(96)), grid((6, 8), (2, 2)))

    def turned(tensor: Whole, chunk: Chunk) -> bytes:
        rows, columns = chunk.size
        part = np.frombuffer(tensor.part(chunk), "<i2").reshape(rows, columns)
        return torch_writer.tensor_bytes(Tensor("int16", (rows, columns), (1, rows), 0, part.T.tobytes()))

    chunk_writer.write(tmp_path, {"w": whole}, files=2, change=turned)
    assert listing(probe(tmp_path)) == {"w": ("I16", [6, 8], hashlib.sha256(whole.data).hexdigest())}


def test_large_chunks(tmp_path: Path) -> None:
    """Those of more than 8 MiB are not read at once."""
    shape = (100, 180000)
    whole = Whole("uint8", shape, np.random.default_rng(1).bytes(math.prod(shape)), grid(shape, (1, 2)))
    chunk_writer.write(tmp_path, {"w": whole}, files=2)
    assert listing(probe(tmp_path)) == {"w": ("U8", [*shape], hashlib.sha256(whole.data).hexdigest())}


def rows(count: int = 4) -> dict[str, Whole]:
    return {"output.weight": Whole("float32", (8, 3), bytes(range(96)), grid((8, 3), (count, 1)))}


def spoil(folder: Path, how: Callable[[dict[str, Whole]], Any]) -> None:
    """Writes chunks that are right, and metadata that was changed."""
    tensors = rows()
    chunk_writer.write(folder, tensors, files=2)
    how(tensors)
    (folder / ".metadata").write_bytes(chunk_writer.metadata(tensors))


def chunks(tensors: dict[str, Whole]) -> list[Chunk]:
    return tensors["output.weight"].chunks


@pytest.mark.parametrize(
    ("how", "code", "says"),
    [
        (lambda t: chunks(t).pop(), "format", "its chunks hold 18 of its 24 elements"),
        (lambda t: setattr(chunks(t)[1], "file", ""), "format", "no file is named for its chunk at [2, 0]"),
        (lambda t: setattr(chunks(t)[1], "offset", (1, 0)), "format", "its chunks at [0, 0] and [1, 0] overlap"),
        (lambda t: chunks(t).append(replace(chunks(t)[0])), "format", "is stored twice"),
        (lambda t: setattr(chunks(t)[3], "offset", (7, 0)), "format", "a chunk reaches out of it"),
        (lambda t: setattr(chunks(t)[3], "size", (2**62, 3)), "format", "a chunk reaches out of it"),
        (lambda t: setattr(chunks(t)[3], "size", (2,)), "format", "1 dimensions and a place of 2, and not 2"),
        (lambda t: setattr(chunks(t)[3], "offset", (1,) * 9), "limit", "9 dimensions"),
        (lambda t: setattr(chunks(t)[0], "offset", (-1, 0)), "format", "something else than sizes"),
        (lambda t: setattr(chunks(t)[0], "file", "../__0_0.distcp"), "format", "not a file beside it"),
        (lambda t: setattr(chunks(t)[0], "file", "__7_0.distcp"), "not_found", "__7_0.distcp: named by the metadata, but not there"),
        (lambda t: setattr(chunks(t)[2], "length", 10**6), "format", "__0_0.distcp: truncated"),
        (lambda t: setattr(chunks(t)[2], "begin", 2**63 - 1), "format", "__0_0.distcp: truncated: it has 1251 bytes"),
        (lambda t: setattr(chunks(t)[1], "begin", 5), "format", "its chunk at [2, 0]"),
        (lambda t: setattr(chunks(t)[0], "length", 24), "unsupported", "safetensors form"),
        (lambda t: setattr(t["output.weight"], "dtype", "float16"), "format", "it is float32 [2, 3], and the metadata tells of float16 [2, 3]"),
        (lambda t: setattr(t["output.weight"], "shape", (2**40, 2**40)), "limit", "tensor output.weight"),
        (lambda t: [chunks(t).clear(), chunks(t).append(Chunk((0, 0), (8, 3), "__0_0.distcp", 23, 600))], "format", "tensor output.weight, its chunk at [0, 0]"),
        (lambda t: [setattr(t["output.weight"], "shape", (2**30, 1024)), t.update({"output.weight": replace(t["output.weight"], chunks=[Chunk((0, 0), (2**30, 1024), "__0_0.distcp", 23, 600)])})],
         "format", "its chunk at [0, 0] is larger than the 600 bytes that hold it"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)  # fmt: skip
def test_metadata_that_lies(tmp_path: Path, how: Any, code: str, says: str) -> None:
    spoil(tmp_path, how)
    result = probe(tmp_path)
    assert result.get("error") == code and says in result["message"], result


def test_values_that_are_read_by_nobody(tmp_path: Path) -> None:
    """Of a tensor that an extension of torch has changed, or of an unknown dtype, the name is told, and the others are read."""
    tensors = rows() | {"packed": Whole("uint8", (4,), bytes(4)), "odd": Whole("uint8", (4,), bytes(4))}
    chunk_writer.write(tmp_path, tensors)
    tensors["packed"].chunks[0].lies = {"transform_descriptors": ["stream.zstd"]}
    tensors["odd"].dtype = "float7"
    (tmp_path / ".metadata").write_bytes(chunk_writer.metadata(tensors))
    found = {tensor["name"]: tensor.get("refused", "read") for tensor in probe(tmp_path)["tensors"]}
    assert found["output.weight"] == "read" and "an extension of torch" in found["packed"] and "unknown dtype" in found["odd"]


def repeated_names(count: int, name_bytes: int) -> bytes:
    """Metadata with so many chunks, which lie by turns in two files whose names the pickle says once."""
    pickle, chunk, info = chunk_writer.Pickle(2), chunk_writer.METADATA, chunk_writer.FILESYSTEM

    def keep(value: bytes, number: int) -> bytes:
        return value + b"q" + bytes([number])

    files = [pickle.record(info, "_StorageInfo", {"relative_path": name * name_bytes, "offset": 0, "length": 0}) for name in "ab"]
    kept = [pickle.named(chunk, "MetadataIndex"), pickle.text("fqn"), pickle.text("offset"), pickle.text("w"), *files]
    entries = [b"h\x00)\x81}(h\x01h\x03h\x02J" + struct.pack("<i", number) + b"\x85ubh" + bytes([4 + number % 2]) for number in range(count)]
    stored = b"".join(b"(" + b"".join(entries[at : at + 1000]) + b"u" for at in range(0, count, 1000))
    first = b"(" + b"".join(keep(value, number) for number, value in enumerate(kept)) + b"1}"
    return pickle.whole(pickle.record(chunk, "Metadata", {"state_dict_metadata": {}, "storage_data": first + stored}))


def test_names_that_are_said_once_are_kept_once(tmp_path: Path) -> None:
    """What a name takes does not grow with how many chunks lie in that file: 30,000 copies would be 30 MB."""
    used_kb = []
    for name_bytes in (1, 1000):
        (tmp_path / ".metadata").write_bytes(repeated_names(30000, name_bytes))
        process = subprocess.Popen([find_program("tests/checkpoint_probe"), tmp_path], stdout=subprocess.PIPE)
        assert process.stdout and json.load(process.stdout) == {"tensors": []}
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        used_kb.append(usage.ru_maxrss)
    assert used_kb[1] - used_kb[0] < 10000, used_kb


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "truncated"),
        (b"\x80\x04}.", "not the metadata of torch.distributed.checkpoint"),
        (chunk_writer.Pickle().whole(chunk_writer.Pickle().named("os", "system") + b"X\x02\x00\x00\x00ls\x85R"), "not the metadata"),
        (chunk_writer.metadata({}, Style(more={"storage_data": None})), "does not say where the chunks are"),
        (chunk_writer.metadata({}, Style(more={"storage_data": {"a": "b"}})), "FileSystemWriter"),
        (chunk_writer.metadata({}, Style(more={"state_dict_metadata": None})), "state_dict_metadata is no dict"),
        (b"\x80\x02cposix\nsystem\n.", "not the metadata"),
        (b"\x80\x06.", "pickle protocol 6"),
    ],
)
def test_what_is_no_metadata(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / ".metadata").write_bytes(content)
    result = probe(tmp_path)
    assert says in result["message"], result


# -- Sweeps ----------------------------------------------------------------------------------------------------------


def write_state(path: Path, tensors: dict[str, Whole], wrapper: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch_writer.write_state_dict(
        path, {wrapper + name: Tensor(whole.dtype, whole.shape, row_major(whole.shape), 0, whole.data) for name, whole in tensors.items()}
    )


def write_layout(folder: Path, layout: str, tensors: dict[str, Whole]) -> None:
    if layout.endswith(".metadata"):
        chunk_writer.write((folder / layout).parent, cut(tensors, "model."), files=3)
    elif layout == "latest":
        write_state(folder / "global_step7/mp_rank_00_model_states.pt", tensors, "module.")
        (folder / "latest").write_text("global_step7")
    else:
        write_state(folder / layout, tensors, "module." if "states" in layout else "model.")


LAYOUTS = [".metadata", "model_and_optim/.metadata", "pytorch_model_fsdp_0/.metadata", "weights/.metadata",
           "mp_rank_00_model_states.pt", "mp_rank_00/model_optim_rng.pt", "latest"]  # fmt: skip
SAME = ("step", "digest", "msd", "dip", "tokens_kurtosis", "perplexity", "perplexity_weights_digest", "accuracy")


def test_folders_of_every_layout(daemon: Start, make_hub: Any, garden: Path, tmp_path: Path) -> None:
    """The numbers are those of the same weights in safetensors; perplexity where config.json and a tokenizer lie beside them."""
    root = tmp_path / "root"
    (root / "models/garden").mkdir(parents=True)
    (root / "datasets").symlink_to(garden / "datasets")
    request = {"metrics": ["statistics", "perplexity"], "dataset": "garden/lambada_garden", "limit": 8}
    for number, layout in enumerate(["model.safetensors", *LAYOUTS]):
        for step in STEPS:
            folder = tmp_path / f"run{number}" / step
            folder.mkdir(parents=True)
            for file in [garden / "models" / MODEL / step / "config.json", *(garden / "models" / MODEL / "_shared").iterdir()]:
                shutil.copy(file, folder)
            weights = garden / "models" / MODEL / step / "model.safetensors"
            if layout == "model.safetensors":
                shutil.copy(weights, folder)
            else:
                write_layout(folder, layout, read_safetensors(weights))
    one = daemon(make_hub(root))
    sweeps = [one.sweep(f"file:{tmp_path}/run{number}", **request) for number in range(len(LAYOUTS) + 1)]
    for sweep in sweeps:
        done = one.wait(sweep)
        assert done["state"] == "done", done["errors"]
    series = [[{name: row.get(name) for name in SAME} for row in one.series(f"file:{tmp_path}/run{number}")] for number in range(len(sweeps))]
    assert all(row["perplexity"] and row["dip"] for row in series[0]) and series[0][1]["msd"]
    assert series[1:] == series[:1] * len(LAYOUTS)
    models = {row["name"]: row for row in one.read("/v1/models")["models"]}
    sizes = {models[f"file:{tmp_path}/run{number}"]["parameter_count"] for number in range(len(sweeps))}
    assert len(sizes) == 1 and None not in sizes, sizes


def test_names_of_trainers(daemon: Start, tmp_path: Path) -> None:
    """The unembedding is found by the names of torchtitan, OLMo-core and Megatron without a config.json; of others the error says which there are."""
    names = {"titan": ("output.weight", "tok_embeddings.weight"), "olmo": ("model.lm_head.w_out.weight", "model.embeddings.weight"),
             "megatron": ("module.output_layer.weight", "module.embedding.word_embeddings.weight"),
             "tied": ("", "embedding.word_embeddings.weight"), "odd": ("", "model.vocab_table")}  # fmt: skip
    for run, (unembedding, embedding) in names.items():
        tensors = {name: Whole("float16", (96, 16), samples.halves(96 * 16, seed)) for seed, name in enumerate((unembedding, embedding)) if name}
        chunk_writer.write(tmp_path / run / "iter_0000010", tensors | {"optimizer.state.head": Whole("float32", (2,), bytes(8))})
    one = daemon(None)
    for run in ("titan", "olmo", "megatron"):
        done = one.wait(one.sweep(f"file:{tmp_path}/{run}"))
        assert done["state"] == "done", done
        row = one.series(f"file:{tmp_path}/{run}")[0]
        assert (row["tensor"], row["step"], row["file"]) == (names[run][0], 10, ".metadata")
    for run, says in (("tied", f"tied to {names['tied'][1]}"), ("odd", "such as model.vocab_table")):
        failed = one.wait(one.sweep(f"file:{tmp_path}/{run}"))
        assert failed["state"] == "failed" and says in failed["error"]["message"], failed
    done = one.wait(one.sweep(f"file:{tmp_path}/tied", tensors=[names["tied"][1]]))
    assert done["state"] == "done", done
    wanted = hashlib.sha256(samples.halves(96 * 16, 1)).hexdigest()
    assert [row["digest"] for row in one.series(f"file:{tmp_path}/tied", f"&tensor={names['tied'][1]}")] == [wanted]
    done = one.wait(one.sweep(f"file:{tmp_path}/titan", metrics=["perplexity"], dataset=f"file:{tmp_path}/none.jsonl"))
    assert done["state"] == "failed", done


FLAME = "CMU-FLAME/FLAME-MoE-38M-100M"


def write_flame(main: Path, step: int, unembedding: Whole) -> None:
    """A folder of --save of Megatron-LM as it is: FLAME-MoE's way. Of layers and experts all are one tensor each."""
    folder, hidden = main / f"iter_{step:07}", unembedding.shape[1]
    weights = {"embedding.word_embeddings.weight": unembedding.shape, "decoder.layers.self_attention.linear_qkv.weight": (9, 3 * hidden, hidden),
               "decoder.layers.mlp.experts.experts.linear_fc1.weight": (8, 4, 8, hidden), "decoder.final_layernorm.weight": (hidden,)}  # fmt: skip
    tensors = {name: Whole("bfloat16", shape, bytes(2 * math.prod(shape))) for name, shape in weights.items()} | {"output_layer.weight": unembedding}
    tensors["optimizer.distributed.dp_group_idx_0.gbuf_idx_0.dtype_(torch.bfloat16, torch.float32).bucket_idx_0.exp_avg"] = Whole("float32", (9,), bytes(36))
    chunk_writer.write(folder, tensors, files=2, style=chunk_writer.MEGATRON)
    (folder / "common.pt").write_bytes(b"options, which nobody reads")
    (folder / "metadata.json").write_text('{"sharded_backend": "torch_dist", "sharded_backend_version": 1}')
    (main / "latest_checkpointed_iteration.txt").write_text(str(step))
    (main / "README.md").write_text("# FLAME-MoE\n")


@pytest.mark.parametrize("is_remote", [False, True], ids=["here", "remote"])
def test_chunks_on_the_hub(daemon: Start, make_hub: Any, programs: dict[str, Path], tmp_path: Path, is_remote: bool) -> None:
    """Branches, and folders of a branch: little more is fetched than the tensor, from several files; a branch that moves is measured again."""
    shape = (65536, 64)
    values = {step: np.random.default_rng(step).standard_normal(math.prod(shape)).astype("<f2").tobytes() for step in (10, 20, 30)}

    def write(folder: Path, seed: int) -> None:
        parts = grid(shape, (7, 1)) if seed % 20 else grid(shape, (2, 3))
        tensors = {"model.lm_head.weight": Whole("float16", shape, values[seed], parts),
                   "optim.lm_head.weight": Whole("float32", shape, bytes(4 * math.prod(shape)), grid(shape, (7, 1)))}  # fmt: skip
        chunk_writer.write(folder, tensors, files=3)

    root = tmp_path / "root/models/org"
    for step in (10, 20):
        write(root / f"branches/step{step}", step)
        write(root / f"folders/main/run/iter_{step:07}/model_and_optim", step)
        write_flame(tmp_path / "root/models" / FLAME / "main", step, Whole("bfloat16", shape, values[step]))
    write(root / "branches/spare", 30)
    hub = make_hub(tmp_path / "root", thread=True)
    one = daemon(hub, *(("--fetchers", "0") if is_remote else ()))
    worker = Worker(one, programs["bifurcated"], tmp_path / "worker").start() if is_remote else None
    digest = {step: hashlib.sha256(data).hexdigest() for step, data in values.items()}
    try:
        folders = ["main:run/iter_0000010", "main:run/iter_0000020"]
        for model, revisions in (("org/branches", ["step10", "step20"]), ("org/folders", folders), (FLAME, [name.replace("run/", "") for name in folders])):
            done = one.wait(one.sweep(model))
            assert done["state"] == "done", done
            rows = one.series(model)
            assert [(row["revision"], row["step"], row["digest"]) for row in rows if row["step"]] == [
                (name, step, digest[step]) for name, step in zip(revisions, (10, 20), strict=True)
            ]
        fetched = [row["bytes_fetched"] for row in one.series("org/branches")]
        assert all(len(values[10]) < size < 1.02 * len(values[10]) for size in fetched), fetched
        assert [(row["tensor"], row["training_tokens"]) for row in one.series(FLAME)] == [("output_layer.weight", step * 2097152) for step in (10, 20)]
        hub.move_branch("org/branches", "step20", "spare")
        done = one.wait(one.sweep("org/branches"))
        assert done["state"] == "done", done
        assert [row["digest"] for row in one.series("org/branches")] == [digest[10], digest[30]]
    finally:
        if worker:
            assert worker.stop() == 0


def test_a_trainer_that_writes_chunks(daemon: Start, tmp_path: Path) -> None:
    """A folder is a checkpoint once its metadata is there, and whole once all files are as long as that says; saved again it is due again."""
    run = tmp_path / "run"
    here = f"/v1/watches/{model_path(f'file:{run}')}"

    def write(step: int, seed: int, age_s: float = 3600, cut_bytes: int = 0, is_described: bool = True) -> None:
        folder = run / f"step-{step}"
        whole = Whole("float16", (96, 16), samples.halves(96 * 16, seed), grid((96, 16), (4, 1)))
        chunk_writer.write(folder, {"output.weight": whole}, files=2)
        last = folder / "__1_0.distcp"
        last.write_bytes(last.read_bytes()[: -cut_bytes or None])
        if not is_described:
            (folder / ".metadata").unlink()
        for file in folder.iterdir():
            os.utime(file, (time.time() - age_s, time.time() - age_s))

    write(1, 1)
    write(2, 2, is_described=False)
    write(3, 3, cut_bytes=1)
    write(4, 4, age_s=0)
    one = daemon(None)
    first = first_run(one, LONG, here)
    assert [row["revision"] for row in one.series(f"file:{run}") if row["state"] == "measured"] == ["step-1"]
    unfinished = {row["revision"]: row["reason"] for row in first["last_run"]["unfinished"]}
    assert set(unfinished) == {"step-3", "step-4"} and "__1_0.distcp: truncated" in unfinished["step-3"], unfinished
    for step in (2, 3, 4):
        write(step, step)
    write(1, 5)
    watch_now(one, here)
    wanted = {f"step-{step}": hashlib.sha256(samples.halves(96 * 16, seed)).hexdigest() for step, seed in ((1, 5), (2, 2), (3, 3), (4, 4))}
    assert {row["revision"]: row["digest"] for row in one.series(f"file:{run}")} == wanted
