"""Whether the compiler still makes of the kernels what gpu/README.md says: registers that leave room for as many blocks on a
multiprocessor, and nothing spilled where nothing was.

    python3 tests/gpu/resources.py BUILD [--table]

BUILD was compiled by nvcc -Xptxas -v through keep_resources (preset cuda-check). A compiler's output, not a measurement: a limit
that a new compiler breaks is a question for a GPU.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

# By processor and mangled name, the first that fits: registers of a thread, at most.
REGISTERS = (
    (r"\w+ activate_", 32),
    (r"\w+ answer", 40),
    (r"\w+ attention_kernel", 168),  # fewer for smaller heads, by __launch_bounds__: what those refuse is spilled
    (r"\w+ attention_plain", 64),
    (r"\w+ begin", 32),
    (r"\w+ bias", 32),
    (r"\w+ choose", 40),
    (r"\w+ convert", 48),
    (r"\w+ count", 32),
    (r"\w+ cut", 32),
    (r"\w+ embed", 32),
    (r"\w+ gate_", 32),
    (r"\w+ gather", 32),
    (r"\w+ head_add", 80),
    (r"\w+ head_", 32),
    (r"sm_100 norm_any", 40),
    (r"\w+ norm_any", 32),
    (r"\w+ norm_kernelI\w+Li32ELi16E", 128),
    (r"sm_100 norm", 72),
    (r"\w+ norm", 64),
    (r"\w+ place", 32),
    (r"\w+ product", 72),
    (r"\w+ rms_any", 32),
    (r"\w+ rms_kernelI\w+Li32ELi16E", 96),
    (r"\w+ rms_kernel", 64),
    (r"sm_100 rotate", 48),
    (r"\w+ rotate", 40),
    (r"\w+ scale", 32),
    (r"\w+ statistics_first", 64),
    (r"\w+ statistics_join_first", 80),
    (r"\w+ statistics_join_second", 56),
    (r"\w+ statistics_pairs", 40),
    (r"\w+ statistics_second", 96),
    (r"\w+ xielu", 32),
)

# Bytes that code stores for want of registers, at most; elsewhere none. Li0E, Li1E and Li2E are float16, bfloat16 and float32.
SPILLED = (
    (r"sm_80 attention_kernelI6__halfLi(80|64|32)E", 4),  # before the loop over keys, until after it
    (r"sm_80 attention_kernelI13__nv_bfloat16Li32ELi32ELi7ELb0ELb1E", 4),  # with slopes (BLOOM): one register
    (r"sm_90 attention_kernelI6__halfLi80ELi32ELi4ELb0ELb1E", 4),
    (r"sm_100 attention_kernelI13__nv_bfloat16Li256ELi16ELi3ELb1ELb0ELb1E", 8),  # with windows
    (r"sm_100 attention_kernelI6__halfLi128ELi32ELi3ELb1ELb0ELb1E", 4),  # with windows
    (r"sm_100 attention_kernelI6__halfLi256E", 16),  # 4 of the 700 instructions of the loop over keys
    (r"sm_80 statistics_second_kernelILi1ELb0E", 48),
    (r"sm_90 statistics_second_kernelILi1ELb1E", 4),  # not in a loop over rows
    (r"sm_100 statistics_second_kernelILi[01]E", 1200),  # 29 of the 1,275 instructions of the loop over rows for two references
    (r"sm_100 statistics_second_kernelILi2E", 780),
    (r"sm_100 statistics_first_kernelILi2ELb1E", 4),
)

ENTRY = re.compile(
    r"Compiling entry function '_Z\d+(?P<name>\w+)' for '(?P<processor>sm_\d+)'\n"
    r"(?:ptxas info .*: Function properties for \w+\n)\s*\d+ bytes stack frame, (?P<spilled>\d+) bytes spill stores, \d+ bytes spill loads\n"
    r"ptxas info .*: Used (?P<registers>\d+) registers"
)


class Kernel(NamedTuple):
    processor: str
    name: str
    registers: int
    spilled: int


def read(text: str) -> list[Kernel]:
    """What ptxas -v said of each kernel. Raises where it is not understood."""
    found = [Kernel(one["processor"], one["name"], int(one["registers"]), int(one["spilled"])) for one in ENTRY.finditer(text)]
    if not found or len(found) != text.count("Compiling entry function"):
        raise ValueError(f"{text.count('Compiling entry function')} kernels, {len(found)} of them understood")
    return found


def limit_of(limits: tuple[tuple[str, int], ...], kernel: str) -> int | None:
    return next((limit for pattern, limit in limits if re.match(pattern, kernel)), None)


def find_faults(kernels: list[Kernel]) -> list[str]:
    faults = []
    for one in kernels:
        kernel = f"{one.processor} {one.name}"
        registers, spilled = limit_of(REGISTERS, kernel), limit_of(SPILLED, kernel) or 0
        if registers is None:
            faults.append(f"{kernel}: tests/gpu/resources.py has no limit for it")
        elif one.registers > registers:
            faults.append(f"{kernel}: {one.registers} registers, at most {registers}")
        if one.spilled > spilled:
            faults.append(f"{kernel}: {one.spilled} bytes spilled, at most {spilled}")
    return faults


def main(words: list[str]) -> int:
    files = sorted(Path(words[0]).rglob("*.cu.o.resources"))
    kernels = [one for file in files for one in read(file.read_text())]
    if not kernels:
        print(f"{words[0]} has no files of resources: build the preset cuda-check")
        return 1
    if "--table" in words:
        for one in sorted(kernels):
            print(f"{one.processor:7} {one.registers:4} registers {one.spilled:5} bytes spilled  {one.name}")
    faults = find_faults(kernels)
    print("\n".join(faults) if faults else f"{len(kernels)} kernels, each within its registers")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
