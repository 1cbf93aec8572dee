"""Writes checkpoints of torch.distributed.checkpoint without torch: tensors in chunks in files, and metadata that may lie."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np
import torch_writer
from torch_writer import Tensor, element_bytes, row_major

METADATA = "torch.distributed.checkpoint.metadata"
FILESYSTEM = "torch.distributed.checkpoint.filesystem"
SAFETENSORS = {"bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64", "uint16": "U16", "uint32": "U32",
               "uint64": "U64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "complex64": "C64",
               "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}  # fmt: skip


@dataclass
class Chunk:
    offset: tuple[int, ...]
    size: tuple[int, ...]
    file: str = ""
    begin: int = 0
    length: int = 0
    lies: dict[str, Any] = field(default_factory=dict)  # more fields of its _StorageInfo


@dataclass
class Whole:
    """A tensor that is to be cut; `data` is contiguous."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes
    chunks: list[Chunk] = field(default_factory=list)

    def part(self, chunk: Chunk) -> bytes:
        values = np.frombuffer(self.data, f"V{element_bytes(self.dtype)}").reshape(self.shape)
        cut = tuple(slice(at, at + size) for at, size in zip(chunk.offset, chunk.size, strict=True))
        return values[cut].tobytes()


def grid(shape: Sequence[int], parts: Sequence[int]) -> list[Chunk]:
    """Chunks as torch cuts: as equal as ceil division makes them, the last ones smaller or absent."""
    chunks = [Chunk((), ())]
    for length, count in zip(shape, parts, strict=True):
        step = max(1, math.ceil(length / count))
        pieces = [(at, min(step, length - at)) for at in range(0, length, step)]
        chunks = [Chunk((*chunk.offset, at), (*chunk.size, size)) for chunk in chunks for at, size in pieces]
    return chunks


class Pickle:
    """Bytes of pickle, of protocol 2 or 4; values are Python's, and what has a name is (module, name, state)."""

    def __init__(self, protocol: int = 4) -> None:
        self.protocol = protocol

    def text(self, text: str) -> bytes:
        data = text.encode()
        if self.protocol >= 4 and len(data) < 256:
            return b"\x8c" + bytes([len(data)]) + data + b"\x94"
        return b"X" + struct.pack("<I", len(data)) + data

    def named(self, module: str, name: str) -> bytes:
        if self.protocol >= 4:
            return self.text(module) + self.text(name) + b"\x93\x94"
        return f"c{module}\n{name}\n".encode()

    def value(self, value: Any) -> bytes:
        if isinstance(value, bytes):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return b"\x8a\x08" + struct.pack("<q", value)
        if isinstance(value, tuple):
            return b"(" + b"".join(map(self.value, value)) + b"t"
        if isinstance(value, list):
            return b"](" + b"".join(map(self.value, value)) + b"e"
        if isinstance(value, dict):
            items = [self.value(key) + self.value(item) for key, item in value.items()]
            return b"}" + b"".join(b"(" + b"".join(items[at : at + 1000]) + b"u" for at in range(0, len(items), 1000))  # as Python cuts them
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]

    def record(self, module: str, name: str, state: Any) -> bytes:
        return self.named(module, name) + b")\x81" + self.value(state) + b"b"

    def size(self, numbers: Sequence[int]) -> bytes:
        return self.named("torch", "Size") + self.value((tuple(numbers),)) + b"R"

    def whole(self, value: Any) -> bytes:
        return b"\x80" + bytes([self.protocol]) + self.value(value) + b"."


@dataclass
class Style:
    """What versions of torch, and programs beside it, write differently."""

    protocol: int = 4
    properties: str = METADATA  # in older torch it was torch.distributed._shard.sharded_tensor.metadata
    storage: str = FILESYSTEM  # OLMo-core has its own
    whole: tuple[str, str] = (METADATA, "Metadata")  # a class of Megatron Core's own
    has_strides: bool = True
    more: dict[str, Any] = field(default_factory=dict)  # fields of Metadata


OLD = Style(2, "torch.distributed._shard.sharded_tensor.metadata", has_strides=False)
MEGATRON = Style(whole=("megatron.core.dist_checkpointing.strategies.torch", "MCoreMetadata"), more={"mcore_data": {}})
OLMO_CORE = replace(OLD, protocol=4, storage="olmo_core.distributed.checkpoint.filesystem")


def metadata(tensors: dict[str, Whole], style: Style | None = None) -> bytes:
    style = style or Style()
    pickle = Pickle(style.protocol)
    described: dict[str, Any] = {"step": pickle.record(METADATA, "BytesStorageMetadata", {})}
    stored: dict[bytes, Any] = {pickle.record(METADATA, "MetadataIndex", {"fqn": "step", "index": None}): pickle.record(
        style.storage, "_StorageInfo", {"relative_path": "__0_0.distcp", "offset": 0, "length": 0})}  # fmt: skip
    for name, tensor in tensors.items():
        state = (pickle.named("torch", tensor.dtype), pickle.named("torch.serialization", "_get_layout") + pickle.value(("torch.strided",)) + b"R",
                 False, pickle.named(style.properties, "_MEM_FORMAT_ENCODING") + pickle.value((0,)) + b"R", False)  # fmt: skip
        chunks = [pickle.record(METADATA, "ChunkStorageMetadata", {"offsets": pickle.size(chunk.offset), "sizes": pickle.size(chunk.size)})
                  for chunk in tensor.chunks]  # fmt: skip
        described[name] = pickle.record(METADATA, "TensorStorageMetadata", {
            "properties": pickle.record(style.properties, "TensorProperties", (*state, row_major(tensor.shape)) if style.has_strides else state),
            "size": pickle.size(tensor.shape), "chunks": chunks})  # fmt: skip
        for number, chunk in enumerate(tensor.chunks):
            key = pickle.record(METADATA, "MetadataIndex", {"fqn": name, "offset": pickle.size(chunk.offset), "index": number})
            if chunk.file:
                stored[key] = pickle.record(style.storage, "_StorageInfo", {
                    "relative_path": chunk.file, "offset": chunk.begin, "length": chunk.length, **chunk.lies})  # fmt: skip
    plan = pickle.record("a.library", "Plan", {"of": [1, 2]})  # Megatron keeps its plans here
    fields = {"state_dict_metadata": described, "planner_data": {"plan": plan}, "storage_data": stored}
    return pickle.whole(pickle.record(*style.whole, fields | style.more))


def write(folder: Path, tensors: dict[str, Whole], files: int = 1, style: Style | None = None,
          change: Callable[[Whole, Chunk], bytes] | None = None) -> None:  # fmt: skip
    """Puts the chunks into the files in turn, each as torch.save writes it (or as `change` does), and the metadata last."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {f"__{number}_0.distcp": bytearray(b"bytes of something else") for number in range(files)}
    number = 0
    for tensor in tensors.values():
        tensor.chunks = tensor.chunks or grid(tensor.shape, [1] * len(tensor.shape))
        for chunk in tensor.chunks:
            data = tensor.part(chunk)
            one = Tensor(tensor.dtype, chunk.size, row_major(chunk.size), 0, data)
            item = change(tensor, chunk) if change else torch_writer.tensor_bytes(one)
            chunk.file = f"__{number % files}_0.distcp"
            chunk.begin, chunk.length = len(contents[chunk.file]), len(item)
            contents[chunk.file] += item
            number += 1
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / ".metadata").write_bytes(metadata(tensors, style))


def read_safetensors(path: Path) -> dict[str, Whole]:
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    names = {code: name for name, code in SAFETENSORS.items()}
    found = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = (8 + size + at for at in entry["data_offsets"])
            found[name] = Whole(names[entry["dtype"]], tuple(entry["shape"]), data[begin:end])
    return found


def cut(tensors: dict[str, Whole], wrapper: str, ranks: int = 3) -> dict[str, Whole]:
    """As a trainer keeps the weights: below a name, by rows, and with the optimizer's copies of them."""
    made = {}
    for name, whole in tensors.items():
        parts = grid(whole.shape, [ranks] + [1] * (len(whole.shape) - 1)) if whole.shape else grid((), ())
        made[wrapper + name] = replace(whole, chunks=parts)
        made[f"optim.exp_avg.{wrapper}{name}"] = Whole(whole.dtype, whole.shape, bytes(len(whole.data)))
    return made
