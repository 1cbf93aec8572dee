"""The daemon under the thread sanitizer: sweeps, polls, event streams, broken connections, cancelled sweeps, moved
branches, hub faults, signals and a stop in mid-work, all at once. A report is a failure.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import busy
import stage
from stage import Daemon, Emulator, need

# What is not ours and not built for the sanitizer, so that it does not see how it is synchronised.
SUPPRESSIONS = """\
called_from_lib:libopenblas
race:libopenblas
"""


def run(rounds: int, seed: int = 1, preset: str = "tsan", folder: Path | None = None) -> str:
    folder = folder or stage.build(preset, "bifurcated", "bifurcate")
    stage.running.SWEEP_S = 600.0
    counts: Counter = Counter()
    with stage.workplace("tsan") as place, Emulator(stage.GARDEN) as hub:
        (place / "suppressions").write_text(SUPPRESSIONS)
        env = stage.environment()
        env["TSAN_OPTIONS"] = f"suppressions={place}/suppressions:halt_on_error=0:exitcode=99:second_deadlock_stack=1"
        for number in range(rounds):
            keep = ("nothing", "ranges", "files")[number % 3]
            daemon = Daemon(stage.programs(folder), place / f"round{number}", hub.url,
                            ["--fetchers", "4", "--keep", keep, "--retry-delay-s", "0", "--attempts", "20", "--threads", "3",
                             "--request-budget", "0"], env)  # fmt: skip
            hub.restore()
            daemon.start()
            with busy.Busy(daemon, hub, seed + 100 * number) as beside:
                beside.start(beside.poll, beside.poll, beside.listen, beside.hang_up)
                beside.start(beside.spoil, beside.move, beside.hang_up_signal, beside.cancel, pause_s=0.5)
                busy.sweep_until_done(daemon, stage.request(documents=10))
                busy.sweep_until_done(daemon, stage.request(documents=10))
            daemon.post("/v1/sweeps", stage.request(documents=20))  # and a stop in the middle of it
            status = daemon.stop()
            report = stage.reports(daemon.log())
            need(not report and status == 0, f"round {number}: status {status}, {report}; see {daemon.log_path}")
            counts.update(beside.counts)
    detail = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return f"{rounds} rounds of 2 sweeps beside {detail}: no report (seed {seed})"
