"""Values as the bytes of a tensor, rounded without any code of the project."""

from __future__ import annotations

from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="numpy is the oracle")


def to_dtype(values: Any, dtype: str) -> tuple[bytes, Any]:
    """The bytes of a tensor, and its elements as float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype == "float16":
            array = values.astype("<f2")
            return array.tobytes(), array.astype(np.float64)
        single = values.astype("<f4")
        if dtype == "float32":
            return single.tobytes(), single.astype(np.float64)
        if dtype == "float64":
            return values.astype("<f8").tobytes(), single.astype(np.float64)
        bits = single.view(np.uint32)
        rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint32)
        rounded = np.where(np.isnan(single), (bits >> 16) | 0x40, rounded).astype("<u2")
        return rounded.tobytes(), (rounded.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
