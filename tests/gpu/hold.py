"""Takes the memory of the first GPU until standard input ends, so that other processes find it nearly full.

    python3 tests/gpu/hold.py LEFT_MIB

Says "held N MiB, N MiB are free" when it has it. Needs the driver (libcuda.so.1) and nothing else.
"""

from __future__ import annotations

import ctypes
import sys

MIB = 1 << 20


def check(what: str, status: int) -> None:
    if status:
        raise SystemExit(f"{what}: CUDA's error {status}")


def take(left_bytes: int) -> str:
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise SystemExit(f"no driver: {error}") from error
    device, context = ctypes.c_int(), ctypes.c_void_p()
    free, total, memory = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_uint64()
    check("cuInit", cuda.cuInit(0))
    check("cuDeviceGet", cuda.cuDeviceGet(ctypes.byref(device), 0))
    check("cuDevicePrimaryCtxRetain", cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
    check("cuCtxSetCurrent", cuda.cuCtxSetCurrent(context))
    held = 0
    while True:
        check("cuMemGetInfo", cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)))
        piece = (free.value - left_bytes) // (2 * MIB) * (2 * MIB) if free.value > left_bytes else 0
        while piece and cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(piece)):
            piece = piece // 2 // (2 * MIB) * (2 * MIB)
        if not piece:
            return f"held {held // MIB} MiB, {free.value // MIB} MiB are free"
        held += piece


print(take(int(sys.argv[1]) * MIB), flush=True)
sys.stdin.read()
