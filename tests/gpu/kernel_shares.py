"""Prints how the time of a run falls to the kernels: kernel_shares.py FILE, FILE as ncu --csv writes it."""

from __future__ import annotations

import collections
import csv
import sys

with open(sys.argv[1], encoding="utf-8", errors="replace") as file:
    lines = [line for line in file if line.startswith('"')]
totals: dict[str, float] = collections.defaultdict(float)
for row in csv.DictReader(lines):
    if row.get("Metric Name") == "gpu__time_duration.sum":
        scale = {"ns": 1e-3, "nsecond": 1e-3, "us": 1, "usecond": 1, "ms": 1e3, "msecond": 1e3}[row["Metric Unit"]]
        totals[row["Kernel Name"]] += float(row["Metric Value"].replace(",", "")) * scale
for name, value in sorted(totals.items(), key=lambda item: -item[1]):
    print(f"{value / sum(totals.values()):6.1%} {value:10.1f} us  {name}")
