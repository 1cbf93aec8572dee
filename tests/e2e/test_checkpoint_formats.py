"""The checkpoint readers against the Python packages `safetensors` and `torch`: equal bytes, or both refuse.

Every comparison goes through checkpoint_probe, which reads each tensor whole, by ranges and in place. Torch files come
from torch where it is installed, and in any case from torch_writer.py. BIFURCATED_CHECKPOINT_MODELS sets how many
random models are compared (200).
"""

from __future__ import annotations

import builtins
import collections
import functools
import hashlib
import json
import math
import os
import pickle
import random
import struct
import subprocess
import zipfile
from pathlib import Path
from typing import Any, Callable

import pytest
import torch_writer
from running import find_program
from torch_writer import Tensor, row_major

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

try:
    import safetensors
except ImportError:
    safetensors = None  # type: ignore[assignment]

MODELS = int(os.environ.get("BIFURCATED_CHECKPOINT_MODELS", "200"))
BATCH = 50

needs_safetensors = pytest.mark.skipif(safetensors is None, reason="the oracle, the package safetensors, is missing")
needs_torch = pytest.mark.skipif(torch is None, reason="torch is not installed; torch_writer.py makes the other files")

# Bits of the dtypes that a safetensors header may name; the sub-byte ones only in even numbers.
DTYPES = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64, "F4": 4,
}  # fmt: skip

Listing = dict[str, tuple[str, list[int], str]]  # name: (dtype, shape, sha256)
Contents = dict[str, tuple[str, list[int], bytes]]  # name: (dtype, shape, bytes)


@pytest.fixture(scope="session")
def probe() -> Callable[..., list[dict[str, Any]]]:
    program = find_program("tests/checkpoint_probe")

    def run(*paths: Path) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        for start in range(0, len(paths), BATCH):
            command = [str(program), *map(str, paths[start : start + BATCH])]
            done = subprocess.run(command, capture_output=True, timeout=600)
            assert done.returncode == 0, done.stderr.decode()[-2000:]
            results += map(json.loads, done.stdout.splitlines())
        assert len(results) == len(paths)
        return results

    return run


def listing(result: dict[str, Any]) -> Listing:
    assert "tensors" in result, result
    return {tensor["name"]: (tensor["dtype"], tensor["shape"], tensor["sha256"]) for tensor in result["tensors"]}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# -- safetensors -----------------------------------------------------------------------------------------------------


def build(header: Any, data: bytes, size: int | None = None) -> bytes:
    """A file of a header (bytes, or something for json.dumps) and data; `size` is a lie about the header's size."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def random_tensors(rng: random.Random, count: int) -> Contents:
    tensors: Contents = {}
    for number in range(count):
        dtype = rng.choice(list(DTYPES))
        shape = [rng.choice([0, 1, 1, 2, 3, 4, 7, 16]) for _ in range(rng.randrange(5))]
        if dtype == "F4" and math.prod(shape) % 2:
            shape.append(2)
        name = rng.choice(["a.weight", "überraschung", "層", "x y", 'quo"te', "back\\slash", "é"]) + str(number)
        tensors[name] = (dtype, shape, rng.randbytes(math.prod(shape) * DTYPES[dtype] // 8))
    return tensors


def safetensors_bytes(tensors: Contents, metadata: dict[str, str] | None = None) -> bytes:
    header: dict[str, Any] = {"__metadata__": metadata} if metadata is not None else {}
    data = b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    return build(header, data)


def reference_listing(data: bytes) -> Listing | None:
    """What the package reads, or None where it refuses."""
    try:
        tensors = safetensors.deserialize(data)
    except safetensors.SafetensorError:
        return None
    return {name: (info["dtype"], list(info["shape"]), sha256(bytes(info["data"]))) for name, info in tensors}


@needs_safetensors
def test_safetensors_of_every_dtype_and_shape(probe: Any, tmp_path: Path) -> None:
    rng = random.Random(1)
    shapes: list[list[int]] = [[], [2], [0], [1], [3, 4], [0, 4], [4, 0], [2, 3, 4], [2, 2, 2, 2], [1, 0, 1, 2]]
    paths, expected = [], []
    for dtype, bits in DTYPES.items():
        usable = [shape for shape in shapes if math.prod(shape) * bits % 8 == 0]
        tensors = {
            f"{dtype}.{number}": (dtype, shape, rng.randbytes(math.prod(shape) * bits // 8))
            for number, shape in enumerate(usable)
        }
        paths.append(tmp_path / f"{dtype}.safetensors")
        paths[-1].write_bytes(safetensors_bytes(tensors))
        expected.append(reference_listing(paths[-1].read_bytes()))
        assert expected[-1] is not None, f"the oracle refuses {dtype}"
    assert list(map(listing, probe(*paths))) == expected


@needs_safetensors
def test_random_safetensors(probe: Any, tmp_path: Path) -> None:
    rng = random.Random(2)
    paths, expected = [], []
    for number in range(MODELS):
        metadata = rng.choice([None, {}, {"format": "pt", "note": "x" * rng.randrange(3000)}])
        paths.append(tmp_path / f"{number}.safetensors")
        paths[-1].write_bytes(safetensors_bytes(random_tensors(rng, rng.randrange(40)), metadata))
        expected.append(reference_listing(paths[-1].read_bytes()))
    assert None not in expected
    assert list(map(listing, probe(*paths))) == expected


@needs_safetensors
def test_large_headers(probe: Any, tmp_path: Path) -> None:
    many = {f"model.layers.{i}.weight": ("U8", [1], bytes([i % 256])) for i in range(20000)}
    files = [
        safetensors_bytes(many),
        safetensors_bytes(random_tensors(random.Random(3), 5), {"note": "y, " * 200_000}),
        safetensors_bytes(random_tensors(random.Random(3), 5), {str(i): "z" for i in range(5000)}),
    ]
    paths = [tmp_path / f"{number}.safetensors" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    assert list(map(listing, probe(*paths))) == list(map(reference_listing, files))


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Spoils a file in one place: in its prefix, in its header, or in its length."""
    size = struct.unpack("<Q", data[:8])[0]
    header, rest = bytearray(data[8 : 8 + size]), data[8 + size :]
    kind = rng.randrange(6)
    if kind == 0:
        return data[: rng.randrange(len(data))]
    if kind == 1:
        return data + bytes(rng.randrange(1, 9))
    if kind == 2:
        return build(bytes(header), rest, max(0, size + rng.choice([-9, -1, 1, 7, 2**20, 2**40])))
    digits = [i for i, byte in enumerate(header) if byte in b"0123456789"]
    if kind == 3 and digits:
        header[rng.choice(digits)] = rng.choice(b"0123456789-.e\"")
    elif kind == 4:
        header[rng.randrange(len(header))] = rng.randrange(32, 127)
    else:
        header = bytearray(header.replace(rng.choice([b"[", b"]", b"{", b":", b",", b'"dtype"']), b"", 1))
    return build(bytes(header), rest)


def is_stricter_here(data: bytes) -> bool:
    """What is refused by design although the package reads it: a name twice, empty or with control characters."""

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names) or any(not name or not name.isprintable() for name in names):
            raise ValueError
        return dict(pairs)

    size = struct.unpack("<Q", data[:8])[0]
    try:
        json.loads(data[8 : 8 + size], object_pairs_hook=check)
    except ValueError:
        return True
    return False


@needs_safetensors
def test_spoiled_safetensors(probe: Any, tmp_path: Path) -> None:
    """Both readers refuse the same files, and read the same bytes from those that are still well-formed."""
    rng = random.Random(4)
    files = []
    for _ in range(5 * MODELS):
        files.append(mutate(rng, safetensors_bytes(random_tensors(rng, rng.randrange(1, 6)), {"format": "pt"})))
    paths = [tmp_path / f"{number}.safetensors" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    accepted = refused = 0
    # A folder's name says the format; a lone file is recognised by its first bytes, which may be spoiled.
    folders = []
    for path in paths:
        folder = path.with_suffix(".d")
        folder.mkdir()
        path.rename(folder / "model.safetensors")
        folders.append(folder)
    for data, result in zip(files, probe(*folders), strict=True):
        reference = reference_listing(data)
        is_refused = "error" in result or any("refused" in tensor for tensor in result["tensors"])
        if reference is None:
            assert is_refused, (data[:200], result)
            refused += 1
        elif is_refused:
            assert is_stricter_here(data), (data[:200], result)
        else:
            assert listing(result) == reference
            accepted += 1
    assert accepted > 0.05 * len(files) and refused > 0.5 * len(files), (accepted, refused)


def test_sharded_safetensors(probe: Any, tmp_path: Path) -> None:
    rng = random.Random(5)
    tensors = random_tensors(rng, 30)
    weight_map = {name: f"model-{rng.randrange(1, 4):05}-of-00003.safetensors" for name in tensors}
    for file in set(weight_map.values()):
        inside = {name: tensor for name, tensor in tensors.items() if weight_map[name] == file}
        (tmp_path / file).write_bytes(safetensors_bytes(inside))
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (result,) = probe(tmp_path)
    assert listing(result) == {name: (dtype, shape, sha256(data)) for name, (dtype, shape, data) in tensors.items()}
    assert {tensor["name"]: tensor["file"] for tensor in result["tensors"]} == weight_map


# -- torch files written here ----------------------------------------------------------------------------------------

TORCH_NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64", "float16": "F16",
    "bfloat16": "BF16", "float32": "F32", "float64": "F64", "complex64": "C64", "uint16": "U16", "uint32": "U32",
    "uint64": "U64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip


def random_view(rng: random.Random) -> Tensor:
    """A view as slicing, transposing and shifting make them: sometimes contiguous, never past its storage."""
    dtype = rng.choice(torch_writer.DTYPES)
    shape = tuple(rng.choice([0, 1, 2, 3, 5]) for _ in range(rng.randrange(5)))
    whole = tuple(length * rng.choice([1, 1, 2]) for length in shape)
    axes = list(range(len(shape)))
    rng.shuffle(axes)
    strides = row_major(whole)
    step = [length // max(part, 1) if part else 1 for length, part in zip(whole, shape, strict=True)]
    offset = rng.randrange(4)
    elements = math.prod(whole) + offset
    data = rng.randbytes(elements * torch_writer.element_bytes(dtype))
    if dtype == "bool":
        data = bytes(byte % 2 for byte in data)  # torch makes others 1 when it copies
    return Tensor(
        dtype,
        tuple(shape[axis] for axis in axes),
        tuple(strides[axis] * rng.choice([1, step[axis]]) for axis in axes),
        offset,
        data,
    )


def expected_listing(tensors: dict[str, Tensor]) -> Listing:
    return {
        name: (TORCH_NAMES[tensor.dtype], list(tensor.shape), sha256(tensor.contiguous()))
        for name, tensor in tensors.items()
    }


def test_random_torch_files(probe: Any, tmp_path: Path) -> None:
    rng = random.Random(6)
    paths, expected = [], []
    for number in range(MODELS):
        tensors = {f"layer.{i}": random_view(rng) for i in range(rng.randrange(20))}
        if tensors and rng.random() < 0.5:  # two names for one storage
            first = next(iter(tensors.values()))
            first.key = "77"
            tensors["tied"] = Tensor(first.dtype, first.shape, first.stride, first.offset, first.storage, "77")
        paths.append(tmp_path / f"{number}.bin")
        torch_writer.write_state_dict(paths[-1], tensors)
        expected.append(expected_listing(tensors))
    assert list(map(listing, probe(*paths))) == expected


@needs_torch
def test_torch_reads_the_files_written_here(tmp_path: Path) -> None:
    """The writer is no oracle of its own: torch agrees with it."""
    rng = random.Random(7)
    for number in range(50):
        tensors = {f"layer.{i}": random_view(rng) for i in range(10)}
        torch_writer.write_state_dict(tmp_path / f"{number}.bin", tensors)
        assert torch_listing(torch.load(tmp_path / f"{number}.bin", weights_only=True)) == expected_listing(tensors)


def test_sharded_torch(probe: Any, tmp_path: Path) -> None:
    rng = random.Random(8)
    tensors = {f"layer.{i}": random_view(rng) for i in range(12)}
    weight_map = {name: f"pytorch_model-{1 + i % 2:05}-of-00002.bin" for i, name in enumerate(tensors)}
    for file in set(weight_map.values()):
        torch_writer.write_state_dict(tmp_path / file, {n: t for n, t in tensors.items() if weight_map[n] == file})
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (result,) = probe(tmp_path)
    assert listing(result) == expected_listing(tensors)


class Call:
    """Pickles into a call of any function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Call(os.system, "touch attacked"), "system"),
        (Call(builtins.eval, "open('attacked', 'w')"), "eval"),
        (Call(builtins.exec, "open('attacked', 'w')"), "exec"),
        ({"w": Call(os.system, "touch attacked")}, "system"),
        ({"w": Call(functools.partial, Call(os.system, "touch attacked"))}, "functools.partial"),
        ({"w": Call(getattr, Call(__import__, "os"), "system")}, "getattr"),
        ({"w": Call(subprocess.Popen, ["touch", "attacked"])}, "Popen"),
        ({"w": Path("x")}, f"{type(Path()).__module__}.PosixPath"),  # pathlib, or pathlib._local
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pickles_with_calls_are_refused_by_name(
    probe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    torch_writer.write_pickle(tmp_path / "x.bin", pickle.dumps(value, protocol=2))
    (result,) = probe(tmp_path / "x.bin")
    assert result["error"] == "unsupported" and f"{name} is not allowed" in result["message"], result
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize("protocol", [0, 4, 5])
def test_other_pickle_protocols_are_refused(probe: Any, tmp_path: Path, protocol: int) -> None:
    torch_writer.write_pickle(tmp_path / "x.bin", pickle.dumps({"w": [1, "x"]}, protocol=protocol))
    (result,) = probe(tmp_path / "x.bin")
    assert result["error"] == "unsupported", result


def test_compressed_archives_are_refused(probe: Any, tmp_path: Path) -> None:
    records = {"data.pkl": torch_writer.pickle_state_dict({}), "data/0": bytes(10_000_000), "version": b"3\n"}
    torch_writer.write_records(tmp_path / "x.bin", records, zipfile.ZIP_DEFLATED)
    (result,) = probe(tmp_path / "x.bin")
    assert result["error"] == "unsupported" and "compressed" in result["message"], result


# -- torch files written by torch ------------------------------------------------------------------------------------


def torch_listing(state_dict: Any, prefix: str = "") -> Listing:
    names: Listing = {}
    for name, value in state_dict.items():
        if isinstance(value, dict):
            names |= torch_listing(value, f"{prefix}{name}.")
        elif isinstance(value, torch.Tensor):
            flat = value.detach().clone(memory_format=torch.contiguous_format).reshape(-1)
            data = flat.view(torch.uint8).numpy().tobytes()
            dtype = TORCH_NAMES[str(value.dtype).removeprefix("torch.")]
            names[f"{prefix}{name}"] = dtype, list(value.shape), sha256(data)
    return names


def torch_tensor(rng: random.Random, dtype: str, shape: list[int]) -> Any:
    data = torch.frombuffer(bytearray(rng.randbytes(max(1, 8 * math.prod(shape)))), dtype=torch.uint8)
    kind = getattr(torch, dtype)
    if dtype == "bool":
        return (data[: math.prod(shape)] % 2).to(torch.bool).reshape(shape)
    size = torch.empty(0, dtype=kind).element_size()
    return data[: math.prod(shape) * size].clone().view(kind).reshape(shape)


@needs_torch
def test_torch_files_of_every_dtype_and_shape(probe: Any, tmp_path: Path) -> None:
    rng = random.Random(9)
    shapes = [[], [3], [0], [2, 3], [4, 0], [2, 3, 4], [1, 2, 1, 2]]
    state = {f"{d}.{i}": torch_tensor(rng, d, shape) for d in TORCH_NAMES for i, shape in enumerate(shapes)}
    torch.save(state, tmp_path / "x.bin")
    (result,) = probe(tmp_path / "x.bin")
    assert listing(result) == torch_listing(torch.load(tmp_path / "x.bin", weights_only=True))


@needs_torch
def test_random_torch_models(probe: Any, tmp_path: Path) -> None:
    """Views, tied weights, parameters, nested dictionaries; modules with buffers; tensors beside other values."""
    rng = random.Random(10)
    paths, expected = [], []
    for number in range(MODELS):
        state: dict[str, Any] = {"step": number, "name": "x", "rate": 0.5, "none": None, "list": [1, 2.0, "a"]}
        for i in range(rng.randrange(12)):
            tensor = torch_tensor(rng, rng.choice(list(TORCH_NAMES)), [rng.randrange(1, 5) for _ in range(3)])
            views = [tensor, tensor.transpose(0, 2), tensor[1:], tensor[:, :1], tensor[..., ::2], tensor.reshape(-1)]
            state[f"layer.{i}"] = rng.choice(views)
            if rng.random() < 0.3:
                state[f"tied.{i}"] = tensor
        if rng.random() < 0.3:
            state["model"] = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).state_dict()
            state["parameter"] = torch.nn.Parameter(torch.ones(2, 3))
        paths.append(tmp_path / f"{number}.bin")
        torch.save(state, paths[-1])
        expected.append(torch_listing(torch.load(paths[-1], weights_only=True)))
    assert list(map(listing, probe(*paths))) == expected


@needs_torch
def test_only_the_wanted_tensor_matters(probe: Any, tmp_path: Path) -> None:
    """Beside values and tensors that are not read here, all others come as torch has them; those are told by name."""
    good = {"w": torch.arange(6.0).reshape(2, 3).half(), "v": torch.ones(2, dtype=torch.bfloat16)}
    values = {
        "a set": {1, 2},
        "a frozen set": frozenset({1}),
        "bytes": b"x",
        "bytearray": bytearray(b"x"),
        "complex": 1j,
        "counter": collections.Counter("ab"),
        "device": torch.device("cuda", 0),
        "dtype": torch.complex128,
        "layout": torch.sparse_coo,
        "under a tuple": {(1, 2): torch.ones(2)},
    }
    foreign = {
        "complex128": torch.ones(3, dtype=torch.complex128),
        "complex32": torch.ones(3, dtype=torch.complex32),
        "float4_e2m1fn_x2": torch.zeros(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
        "bits8": torch.zeros(4, dtype=torch.uint8).view(torch.bits8),
        "sparse": torch.eye(3).to_sparse(),
        "quantized": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        "conjugated": torch.ones(3, dtype=torch.complex64).conj(),
        "meta": torch.empty(3, device="meta"),
        "complex128 parameter": torch.nn.Parameter(torch.ones(3, dtype=torch.complex128)),
    }
    torch.save({**good, **values, **foreign}, tmp_path / "x.bin")
    (result,) = probe(tmp_path / "x.bin")
    refused = {tensor["name"]: tensor["refused"] for tensor in result["tensors"] if "refused" in tensor}
    assert set(refused) == set(foreign) and all("not read here" in message for message in refused.values()), refused
    result["tensors"] = [tensor for tensor in result["tensors"] if "refused" not in tensor]
    assert listing(result) == torch_listing(good)


@needs_torch
@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("legacy", "before 1.6"),
        ("script", "TorchScript"),
        ("protocol 4", "protocol 4"),
        ("module", "Linear is not allowed"),
        ("tensor", "else than a state dict"),
    ],
)
def test_other_torch_files_are_refused(probe: Any, tmp_path: Path, kind: str, says: str) -> None:
    path, state = tmp_path / "x.bin", {"w": torch.ones(3)}
    if kind == "legacy":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif kind == "script":
        torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(path))
    elif kind == "protocol 4":
        torch.save(state, path, pickle_protocol=4)
    else:
        values = {
            "module": lambda: torch.nn.Linear(2, 2),
            "tensor": lambda: torch.ones(3),
        }
        torch.save(values[kind](), path)
    (result,) = probe(path)
    assert result["error"] == "unsupported" and says in result["message"], result
