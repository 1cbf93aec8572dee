"""Writes torch zip files without torch: the bytes of torch.save for a state dict, and of files that it never writes."""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

STORAGES = {  # torch dtype name: (storage class, bytes per element)
    "bool": ("BoolStorage", 1),
    "uint8": ("ByteStorage", 1),
    "int8": ("CharStorage", 1),
    "int16": ("ShortStorage", 2),
    "int32": ("IntStorage", 4),
    "int64": ("LongStorage", 8),
    "float16": ("HalfStorage", 2),
    "bfloat16": ("BFloat16Storage", 2),
    "float32": ("FloatStorage", 4),
    "float64": ("DoubleStorage", 8),
    "complex64": ("ComplexFloatStorage", 8),
}
UNTYPED = {"uint16": 2, "uint32": 4, "uint64": 8, "float8_e4m3fn": 1, "float8_e5m2": 1}
DTYPES = [*STORAGES, *UNTYPED]


def element_bytes(dtype: str) -> int:
    return STORAGES[dtype][1] if dtype in STORAGES else UNTYPED[dtype]


@dataclass
class Tensor:
    """A view of a storage; `stride` and `offset` count elements."""

    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    storage: bytes
    key: str = field(default="")  # records are shared by equal keys

    def contiguous(self) -> bytes:
        """What a reader must hand out, element by element."""
        size = element_bytes(self.dtype)
        places = [self.offset]
        for length, stride in zip(self.shape, self.stride, strict=True):
            places = [place + i * stride for place in places for i in range(length)]
        return b"".join(self.storage[place * size : (place + 1) * size] for place in places)


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for length in reversed(shape):
        strides.append(step)
        step *= max(length, 1)
    return tuple(reversed(strides))


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _integer(number: int) -> bytes:
    if 0 <= number < 256:
        return b"K" + bytes([number])
    if -(2**31) <= number < 2**31:
        return b"J" + struct.pack("<i", number)
    return b"\x8a\x08" + struct.pack("<q", number)


def _tuple(numbers: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(_integer, numbers)) + b"t"


def tensor_pickle(tensor: Tensor) -> bytes:
    count, size = len(tensor.storage), element_bytes(tensor.dtype)
    if tensor.dtype in STORAGES:
        function, storage, count = "_rebuild_tensor_v2", f"torch\n{STORAGES[tensor.dtype][0]}", count // size
    else:
        function, storage = "_rebuild_tensor_v3", "torch.storage\nUntypedStorage"
    return (
        f"ctorch._utils\n{function}\n(".encode()
        + b"("
        + _text("storage")
        + f"c{storage}\n".encode()
        + _text(tensor.key)
        + _text("cpu")
        + _integer(count)
        + b"tQ"
        + _integer(tensor.offset)
        + _tuple(tensor.shape)
        + _tuple(tensor.stride)
        + b"\x89ccollections\nOrderedDict\n)R"
        + (f"ctorch\n{tensor.dtype}\n".encode() if tensor.dtype in UNTYPED else b"")
        + b"tR"
    )


def pickle_state_dict(tensors: dict[str, Tensor]) -> bytes:
    """data.pkl, as Module.state_dict() gives it: an OrderedDict with _metadata."""
    items = b"".join(_text(name) + tensor_pickle(tensor) for name, tensor in tensors.items())
    return (
        b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01("
        + items
        + b"u}"
        + _text("_metadata")
        + b"h\x00)Rsb."
    )


def tensor_bytes(tensor: Tensor) -> bytes:
    """What torch.save writes for a tensor alone."""
    tensor.key = tensor.key or "0"
    file = io.BytesIO()
    records = {"data.pkl": b"\x80\x02" + tensor_pickle(tensor) + b".", "byteorder": b"little"}
    write_records(file, records | {f"data/{tensor.key}": tensor.storage, "version": b"3\n"})
    return file.getvalue()


def write_records(path: Path | BinaryIO, records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(f"archive/{name}", data)


def write_pickle(path: Path, pickle: bytes) -> None:
    """A torch file around any data.pkl."""
    write_records(path, {"data.pkl": pickle, "byteorder": b"little", "version": b"3\n"})


def write_state_dict(path: Path, tensors: dict[str, Tensor]) -> None:
    for number, tensor in enumerate(tensors.values()):
        tensor.key = tensor.key or str(number)
    records = {"data.pkl": pickle_state_dict(tensors), "byteorder": b"little"}
    records |= {f"data/{tensor.key}": tensor.storage for tensor in tensors.values()}
    write_records(path, records | {"version": b"3\n"})
