"""A clean Debian with the packages in it, and their service as its unit says, for tests/proof/packages."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

from debian import ENVIRONMENT, PLACE, clone, require, run

UNIT = "usr/lib/systemd/system/bifurcated.service"
# What dpkg, apt and the tools of passwd write of themselves, whatever is installed and removed.
OWN_BOOKS = re.compile(
    r"var/lib/(dpkg|apt|systemd/deb-systemd-helper-enabled$|systemd/deb-systemd-helper-masked$)|"
    r"var/(log|cache/(apt|ldconfig|man))(/|$)|etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|etc/\.pwd\.lock$|"
    r"etc/ld\.so\.cache$|(proc|sys|dev|run|tmp)(/|$)"
)


class Root:
    """The clean Debian."""

    def __init__(self, path: Path, suite: str) -> None:
        self.path, self.suite = path, suite

    def make(self) -> None:
        clone(self.path, self.suite)
        # Its devices are debootstrap's: were this machine's /dev mounted here, whoever removes the root would empty that.
        run("mount", "-t", "proc", "proc", self.path / "proc")

    def run(self, *words: object, user: str = "root", env: dict[str, str] | None = None) -> str:
        return run("chroot", f"--userspec={user}:", self.path, *words, env=ENVIRONMENT | (env or {}))

    def stock(self) -> dict[str, tuple[object, ...]]:
        """Every file: kind, mode, owner, content."""
        found: dict[str, tuple[object, ...]] = {}
        for folder, folders, files in os.walk(self.path):
            inside = Path(folder).relative_to(self.path)
            folders[:] = [name for name in folders if not OWN_BOOKS.match(str(inside / name))]
            for name in files + folders:
                path, key = Path(folder) / name, str(inside / name)
                if OWN_BOOKS.match(key):
                    continue
                info = path.lstat()
                content = ""
                if stat.S_ISREG(info.st_mode):
                    content = hashlib.sha256(path.read_bytes()).hexdigest()
                elif stat.S_ISLNK(info.st_mode):
                    content = os.readlink(path)
                found[key] = (stat.S_IFMT(info.st_mode), stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, content)
        return found


class Notified(threading.Thread):
    """Listens where systemd would."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        path.chmod(0o777)
        self.messages: list[str] = []
        self.start()

    def run(self) -> None:
        while said := self.socket.recv(4096):
            self.messages += said.decode().splitlines()

    def end(self) -> None:
        self.socket.shutdown(socket.SHUT_RD)  # else a close leaves the thread behind, which reads what takes its place
        self.join()
        self.socket.close()

    def hears(self, word: str, limit_s: float = 60) -> bool:
        end = time.monotonic() + limit_s
        while time.monotonic() < end and not any(message.startswith(word) for message in self.messages):
            time.sleep(0.05)
        return any(message.startswith(word) for message in self.messages)


def read_unit(root: Root, path: str) -> dict[str, str]:
    lines = (root.path / path).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


class Service:
    """What systemd makes of the installed unit, as far as it can be done without systemd."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.unit = read_unit(root, UNIT)
        self.notified = Notified(root.path / "run/notify")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Runs ExecStart; the address."""
        user, state = self.unit["User"], self.root.path / "var/lib" / self.unit["StateDirectory"]
        (state / "address").unlink(missing_ok=True)
        self.notified.messages.clear()
        environment = self.root.path / self.unit["EnvironmentFile"].lstrip("-/")
        env = dict(line.split("=", 1) for line in environment.read_text().splitlines())
        env |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/var/lib/bifurcated", "STATE_DIRECTORY": f"/var/lib/{self.unit['StateDirectory']}",
                "NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "4000000"}  # fmt: skip
        self.log = open(PLACE / "daemon.log", "ab")
        words = ["chroot", f"--userspec={user}:{self.unit['Group']}", str(self.root.path), *self.unit["ExecStart"].split()]
        self.process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        is_ready, status = self.notified.hears("READY=1"), self.process.poll()
        if not is_ready and status is None:
            self.process.kill()
            self.process.wait()
        end = "" if is_ready else f" (it does not; status {status}, {self.log.name})"
        require(is_ready, f"ExecStart={self.unit['ExecStart']} as {user} says READY=1{end}")
        return (state / "address").read_text().strip()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        require(self.process.wait(60) == 0, "SIGTERM ends it with status 0")
        require(self.notified.hears("STOPPING=1"), "it says STOPPING=1")
