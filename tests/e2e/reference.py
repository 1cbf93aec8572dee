"""The reference for the series: tensors read without any code of the project, and numpy and scipy's numbers in float64."""

from __future__ import annotations

import collections
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

stats = pytest.importorskip("scipy.stats", reason="scipy is the reference")
safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors reads the reference's tensors")

TENSOR = "embed_out.weight"
TOKEN_ROWS = 485
VARIANTS = ("", "tokens_", "centred_", "tokens_centred_")


class _Unpickler(pickle.Unpickler):
    """Reads the state dict of a torch zip into numpy arrays."""

    def __init__(self, archive: zipfile.ZipFile, top: str) -> None:
        super().__init__(archive.open(f"{top}/data.pkl"))
        self._archive, self._top = archive, top

    def find_class(self, module: str, name: str) -> Any:
        if name == "_rebuild_tensor_v2":
            return self._rebuild
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        return {"HalfStorage": np.float16, "FloatStorage": np.float32, "ByteStorage": np.uint8}[name]

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, _, _ = pid
        return np.frombuffer(self._archive.read(f"{self._top}/data/{key}"), dtype)

    @staticmethod
    def _rebuild(storage: Any, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Any:
        strides = [one * storage.itemsize for one in stride]
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides)


def read_file(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a .safetensors or .bin file."""
    if path.suffix == ".safetensors":
        return safetensors.load_file(path)
    with zipfile.ZipFile(path) as archive:
        return _Unpickler(archive, archive.namelist()[0].split("/")[0]).load()


def weight_file(folder: Path) -> Path:
    """The file that holds the unembedding; where there are both formats, safetensors."""
    for index in sorted(folder.glob("*.index.json")):
        return folder / json.loads(index.read_text())["weight_map"][TENSOR]
    return next(path for suffix in ("*.safetensors", "*.bin") for path in sorted(folder.glob(suffix)))


def garden_folders(garden: Path) -> dict[str, Path]:
    """Branch name to folder of garden/neox-tiny, in step order, without main."""
    root = garden / "models/garden/neox-tiny"
    folders = {path.name: path for path in root.iterdir() if path.name.startswith("step")}
    branches = json.loads((root / "branches.json").read_text())["branches"]
    folders |= {name: root / target for name, target in branches.items() if name.startswith("step")}
    return dict(sorted(folders.items(), key=lambda item: int(item[0][4:])))


def read_tensors(folders: dict[str, Path]) -> dict[str, np.ndarray]:
    return {name: read_file(weight_file(folder))[TENSOR] for name, folder in folders.items()}


def view(tensor: np.ndarray, variant: str) -> np.ndarray:
    """The float64 matrix that a variant of the statistics is about."""
    matrix = tensor.astype(np.float64)
    if variant.startswith("tokens_"):
        matrix = matrix[:TOKEN_ROWS]
    return matrix - matrix.mean(axis=0) if variant.endswith("centred_") else matrix


def describe(tensor: np.ndarray, variant: str) -> dict[str, float]:
    """Mean, population variance, G1, G2 and Sarle's coefficient with sample correction, and what is counted."""
    values = view(tensor, variant).ravel()
    n = values.size
    skewness, kurtosis = stats.skew(values, bias=False), stats.kurtosis(values, bias=False)
    return {
        "elements": n,
        "mean": values.mean(),
        "variance": values.var(),
        "skewness": skewness,
        "kurtosis": kurtosis,
        "bimodality": (skewness**2 + 1) / (kurtosis + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))),
        "minimum": values.min(),
        "maximum": values.max(),
    }


def displacement(tensor: np.ndarray, reference: np.ndarray, variant: str) -> dict[str, float]:
    now, then = view(tensor, variant), view(reference, variant)
    return {
        "msd": np.mean((now - then) ** 2),
        "cosine": np.sum(now * then) / np.sqrt(np.sum(now**2) * np.sum(then**2)),
    }


def check_rows(rows: list[dict[str, Any]], tensors: dict[str, np.ndarray], tolerance: float = 1e-9) -> None:
    """Every number of the series against the tensors, which are in step order; the first one is the reference."""
    assert [row["revision"] for row in rows] == list(tensors)
    first = previous = None
    for row in rows:
        tensor = tensors[row["revision"]]
        first = tensor if first is None else first
        expected: dict[str, float | None] = {}
        for variant in VARIANTS:
            expected |= {variant + name: value for name, value in describe(tensor, variant).items()}
        for variant in ("", "tokens_"):
            expected |= {variant + name: value for name, value in displacement(tensor, first, variant).items()}
            for name, value in displacement(tensor, tensor if previous is None else previous, variant).items():
                expected[f"{variant}lag1_{name}"] = None if previous is None else value
        for name, value in expected.items():
            where = f"{row['revision']}: {name}"
            if value is None:
                assert row[name] is None, where
            elif name.endswith("centred_mean"):
                assert abs(row[name]) <= 1e-12, where  # zero but for rounding
            elif name.endswith("centred_minimum") or name.endswith("centred_maximum"):
                assert row[name] == pytest.approx(value, rel=1e-3), where  # the distribution's resolution
            else:
                assert row[name] == pytest.approx(value, rel=tolerance, abs=0), where
        previous = tensor
