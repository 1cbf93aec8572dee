"""A machine of its own for the commands of deploy/README.md: stand-ins for sudo, runuser, systemctl, editor and apt-get, and folders
in the place of /etc/bifurcated, /var/lib/bifurcated and /var/backups. The programs of this project are the real ones.
"""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from running import SANITIZER, STOP_S

STAND_INS = {
    "sudo": 'exec "$@"',
    "runuser": '[ "$1 $2 $3" = "-u bifurcated --" ] || exit 9\nshift 3\nexec "$@"',
    "install": 'words=()\nwhile [ $# -gt 0 ]; do if [ "$1" = -o ]; then shift; else words+=("$1"); fi; shift; done\nexec /usr/bin/install "${words[@]}"',
    "editor": '[ -w "$1" ]',
    "apt-get": '[ "$1" = install ] || exit 9',
    "systemctl": """\
cd "$place"
pid=$(cat pid 2>/dev/null || true)
runs() { [ -n "$pid" ] && read -r _ _ state _ 2>/dev/null <"/proc/$pid/stat" && [ "$state" != Z ]; }
stop() { if runs; then kill "$pid"; while runs; do sleep 0.05; done; fi; }
start() {
  runs && return
  rm -f "$STATE_DIRECTORY/address"
  bifurcated </dev/null >>log 2>&1 &
  pid=$!
  echo "$pid" >pid
  until [ -s "$STATE_DIRECTORY/address" ]; do runs || exit 1; sleep 0.05; done
}
[ "$2" = bifurcated ] || exit 9
case $1 in
  start | stop) "$1" ;;
  restart) stop; start ;;
  status) runs ;;
  reset-failed) ;;
  *) exit 9 ;;
esac
""",
}  # fmt: skip


class Machine:
    """Where the service `bifurcated` is installed, as far as the documents can tell."""

    def __init__(self, place: Path, env: dict[str, str]) -> None:
        self.place, self.state, self.backups = place, place / "var/lib/bifurcated", place / "var/backups/bifurcated"
        (place / "bin").mkdir(parents=True)
        (place / "etc/bifurcated").mkdir(parents=True)
        for name, text in STAND_INS.items():
            path = place / "bin" / name
            path.write_text(f"#!/usr/bin/env bash\nset -euo pipefail\nplace='{place}'\necho {name} \"$@\" >>\"$place/asked\"\n{text}\n")
            path.chmod(0o755)
        self.state.mkdir(parents=True)
        self.env = env | {
            "PATH": f"{place / 'bin'}:{env['PATH']}",
            "STATE_DIRECTORY": str(self.state),
            "BIFURCATED_LISTEN": "127.0.0.1:0",
        }

    def rewrite(self, text: str) -> str:
        """A command of the document with this machine's folders, and the day of a backup that is there."""
        for name in ("/var/lib/bifurcated", "/var/backups/bifurcated", "/etc/bifurcated"):
            text = text.replace(name, f"{self.place}{name}")
        outside = re.findall(r"(?<![\w./])/(?:etc|var|usr|srv|home)/\S*", text)
        assert not outside, f"outside of the machine that stands for the user's: {outside}"
        newest = max(self.backups.glob("*.db"), default=None)
        return text.replace("2026-11-25", newest.stem) if newest else text

    @property
    def url(self) -> str:
        return (self.state / "address").read_text().strip()

    def asked(self) -> list[str]:
        """What was asked of the stand-ins, in order."""
        path = self.place / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def end(self) -> None:
        """Stops the service; it has nothing to complain of."""
        if (self.place / "pid").exists():
            pid = int((self.place / "pid").read_text())
            limit = time.monotonic() + STOP_S
            try:
                os.kill(pid, signal.SIGTERM)
                while (Path("/proc") / str(pid) / "stat").read_text().split()[2] != "Z":
                    assert time.monotonic() < limit, "the service does not stop"
                    time.sleep(0.05)
            except (ProcessLookupError, FileNotFoundError):
                pass
            log = (self.place / "log").read_text(errors="replace")
            assert not SANITIZER.search(log), log
