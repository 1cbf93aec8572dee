#!/usr/bin/env python3
"""The API against its own description, as schemathesis reads it: python tests/proof/contract.py [--minutes 10] [--seed 1]

A daemon (the build that --build names, sanitizers as a rule) measures part of the committed training run and then asks for a
token for everything. schemathesis fetches /openapi.json from it and tries every operation with generated requests, right and
wrong ones, and chains of them, with all of its checks: no server error, no status, header, type or body that the description
does not have, nothing wrong accepted, nothing right refused, no operation open without its token. At the end the daemon must
be alive, stop cleanly and have no sanitizer's report. Ends with a summary line; what failed is printed before it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/e2e")]

from running import Daemon  # noqa: E402  (tests/e2e)

from tests.hub import Emulator  # noqa: E402

MODEL = "garden/neox-tiny"
NAMES = ["step0", "step1", "step128", "step512", "step3000"]
TOKEN = "the-token-of-the-contract-proof"


def start(build: Path, place: Path, hub: Emulator) -> Daemon:
    """A daemon with everything in it that the operations are about."""
    (place / "token").write_text(TOKEN)
    programs = {name: build / name for name in ("bifurcated", "bifurcate")}
    options = ["--token-file", str(place / "token"), "--read-access", "token", "--log-level", "warning"]
    daemon = Daemon(programs, place, hub.url, options, {})
    daemon.start()
    may = {"Authorization": f"Bearer {TOKEN}"}
    sweep = daemon.post("/v1/sweeps", {"model": MODEL, "revisions": {"names": NAMES}}, may).json()["id"]
    limit = time.monotonic() + 200  # against waiting for ever
    while daemon.get(f"/v1/sweeps/{sweep}", may).json()["state"] in ("planning", "running"):
        assert time.monotonic() < limit
        time.sleep(0.1)
    return daemon


# Without a time: the same checks, with requests that are the same in every run (none of chance, none made of earlier
# answers): some for every operation, and all corners of the parameters and bodies of a few operations. All corners of all
# operations, and chains of them, are for the long run.
SHORT = ["--phases", "coverage,fuzzing", "--max-examples", "6", "--generation-deterministic"]
SHORT_SETTINGS = """
[[operations]]
exclude-operation-id = ["listRevisions", "getDistribution", "listWorkers", "createToken"]
phases.coverage.enabled = false

[phases.coverage]
extra-data-sources.responses = false

[phases.fuzzing]
extra-data-sources.responses = false
error-feedback.enabled = false
"""


def check(url: str, seconds: int, seed: int, place: Path) -> subprocess.CompletedProcess[str]:
    """Runs schemathesis for so many seconds, or the short form for 0."""
    here = Path(__file__).resolve().parent
    settings = place / "contract.toml"
    settings.write_text((here / "contract.toml").read_text() + ("" if seconds else SHORT_SETTINGS))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "--no-color"]
    command += ["run", f"{url}/openapi.json", "--seed", str(seed), "--continue-on-failure", "--request-timeout", "60"]
    command += ["--checks", "all", "--exclude-checks", "use_after_free"]
    long = ["--phases", "examples,coverage,fuzzing,stateful", "--max-time", str(seconds),
            "--generation-database", "none"]  # fmt: skip
    command += long if seconds else SHORT
    command += ["--output-sanitize", "false", "--warnings", "off"]
    command += ["--suppress-health-check", "all", "--header", f"Authorization: Bearer {TOKEN}"]
    env = {"SCHEMATHESIS_HOOKS": "contract_hooks", "PYTHONPATH": str(here), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"], "HOME": str(place), "NO_PROXY": "*", "PYTHONHASHSEED": "0"}
    return subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=seconds + 900)


def run(build: Path, seconds: int, seed: int) -> tuple[bool, str, str]:
    """Whether all went well, the summary in words, and what schemathesis printed."""
    garden = ROOT / "tests/fixtures/garden/hub"
    with tempfile.TemporaryDirectory() as folder, Emulator(garden) as hub:
        place = Path(folder)
        daemon = start(build, place, hub)
        begin = time.monotonic()
        try:
            done = check(daemon.url, seconds, seed, place)
            alive = daemon.process.poll() is None and daemon.get("/healthz").status == 200
        finally:
            daemon.check_end()
        text = done.stdout + done.stderr
    cases = re.search(r"Test cases:\s*\n((?:\s+.*\n)+)", text)
    operations = re.search(r"(\d+) selected / (\d+) total", text)
    counts = " ".join(cases.group(1).split()) if cases else "no test cases"
    words = f"{operations.group(0) if operations else 'no'} operations, {counts}, seed {seed}, {time.monotonic() - begin:.0f} s"
    # A run that the machine gave no time to is no proof: each operation must have been tried.
    tried = re.search(r"(\d+) generated", counts)
    enough = tried is not None and operations is not None and int(tried.group(1)) >= int(operations.group(1))
    good = done.returncode == 0 and alive and enough
    return good, words, text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", type=Path, default=ROOT / "build/dev")
    choice = parser.parse_args()
    good, words, text = run(choice.build.resolve(), max(1, int(choice.minutes * 60)), choice.seed)
    if not good:
        print(text)
    print(f"contract: {'passed' if good else 'FAILED'}: {words}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
