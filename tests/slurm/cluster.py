"""A Slurm cluster on this machine: munged, slurmctld and one slurmd for each node. Loopback only, no root needed.

Partitions: `sweep` (the default), and `urgent`, whose jobs preempt those of `sweep`, which are requeued then. A requeued job may start
again after CREDENTIAL_S seconds (two minutes on a real cluster). There is no accounting, so `sacct` does not work.
"""

from __future__ import annotations

import getpass
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
START_S = 120.0  # against waiting for ever
CREDENTIAL_S = 5
NODES = ("n1", "n2")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost=localhost({address})
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire={credential_s}
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=10000,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=30
MinJobAge=60
{nodes}
PartitionName=sweep Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


class Unavailable(Exception):
    """Slurm is not installed here."""


def own_address() -> str:
    """Where Slurm listens if not everywhere: at what the machine's name means, which is 127.0.1.1 where Debian's installer wrote /etc/hosts."""
    try:
        address = socket.gethostbyname(socket.gethostname())
    except OSError:
        address = ""
    return address if address.startswith("127.") else "127.0.0.1"


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    """Ports below those that the kernel hands out itself, so that nobody takes one before the daemon does."""
    while True:
        first = random.randrange(12000, 31000)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind((address, port))
            return list(range(first, first + count))
        except OSError:
            continue


def worker_pids(url: str, name: str = "slurm-") -> list[int]:
    """Processes of the workers of the daemon at `url` whose names begin so."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            is_ours = b"worker" in words and url.encode() in words
            if is_ours and any(word.startswith(name.encode()) for word in words):
                found.append(int(entry.name))
    return found


class Cluster:
    """with Cluster() as cluster: cluster.run("sinfo")"""

    def __init__(self) -> None:
        missing = [name for name in PROGRAMS if not self._find(name)]
        if missing:
            raise Unavailable(f"{', '.join(missing)} not installed (Debian: slurm-wlm, munge)")
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.configuration = self.folder / "slurm.conf"
        self.env = {"SLURM_CONF": str(self.configuration)}
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []

    @staticmethod
    def _find(name: str) -> str | None:
        return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when every node is idle."""
        address = own_address()
        port, *node_ports = free_ports(1 + len(NODES), address)
        (self.folder / "state").mkdir()
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        nodes = "\n".join(
            f"NodeName={name} NodeHostname=localhost NodeAddr={address} Port={at} CPUs=1 RealMemory=500 State=UNKNOWN"
            for name, at in zip(NODES, node_ports, strict=True)
        )
        self.configuration.write_text(
            CONFIGURATION.format(
                folder=self.folder, address=address, port=port, nodes=nodes, user=getpass.getuser(), credential_s=CREDENTIAL_S
            )
        )
        version = self._version()
        if version >= (23, 2):  # nodes need no rights over cgroups; older ones do not ask for any
            plugin = "disabled" if version >= (24, 11) else "cgroup/v1"  # 23.11 has none that is less, and starts with it anywhere
            (self.folder / "cgroup.conf").write_text(f"CgroupPlugin={plugin}\n")
        munge = ["--foreground", "--force", f"--socket={self.folder}/munge.socket", f"--key-file={key}"]
        munge += [f"--{kind}-file={self.folder}/munged.{kind}" for kind in ("pid", "seed", "log")]
        self._spawn("munged", "munged", *munge)
        self._wait("munged", lambda: (self.folder / "munge.socket").exists())
        self._spawn("slurmctld", "slurmctld", "-D", "-f", str(self.configuration))
        for name in NODES:
            self._spawn(name, "slurmd", "-D", "-N", name, "-f", str(self.configuration))
        self._wait("the nodes", lambda: self._count_idle() == len(NODES))

    def stop(self) -> None:
        if self._started:
            self.run("scancel", "--user", getpass.getuser(), check=False)
        for _, process in reversed(self._started):
            process.send_signal(signal.SIGTERM)
        for _, process in reversed(self._started):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._started.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, program: str, *arguments: str, check: bool = True, tries: int = 1) -> str:
        """What one of Slurm's programs prints. A question may be asked several times: a busy controller does not answer each."""
        command = [self._find(program) or program, *arguments]
        for left in range(tries - 1, -1, -1):
            done = subprocess.run(command, env=os.environ | self.env, capture_output=True, text=True, timeout=60)
            if done.returncode == 0 or not left:
                break
            time.sleep(0.5)
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}"
        return done.stdout

    def elements(self) -> list[dict[str, str]]:
        """Elements of arrays that have not ended: id "12_0", job "12", state, name, node, start (a time)."""
        keys = ("id", "job", "state", "name", "node", "start")
        lines = self.run("squeue", "--noheader", "--array", "--format=%i|%F|%T|%j|%N|%S", tries=5).splitlines()
        return [dict(zip(keys, line.split("|"), strict=True)) for line in lines]

    def running(self) -> list[str]:
        return [one["id"] for one in self.elements() if one["state"] == "RUNNING"]

    def log(self, name: str = "slurmctld") -> str:
        return (self.folder / f"{name}.out").read_text(errors="replace")

    def submissions(self) -> int:
        """How often a job was accepted since the start."""
        return self.log().count("_slurm_rpc_submit_batch_job: JobId=")

    def _spawn(self, name: str, program: str, *arguments: str) -> None:
        with open(self.folder / f"{name}.out", "wb") as out:
            command = [self._find(program) or program, *arguments]
            self._started.append(
                (name, subprocess.Popen(command, env=os.environ | self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out))
            )

    def _wait(self, what: str, holds) -> None:
        limit = time.monotonic() + START_S
        while not holds():
            for name, process in self._started:
                assert process.poll() is None, f"{name} ended with status {process.returncode}: {self.log(name)[-2000:]}"
            assert time.monotonic() < limit, f"{what}: not ready after {START_S} s: {self.log()[-2000:]}"
            time.sleep(0.05)

    def _version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.run("slurmd", "-V").split()[-1].split(".")[:2])

    def _count_idle(self) -> int:
        return self.run("sinfo", "--noheader", "--Node", "--partition=sweep", "--format=%T", check=False).split().count("idle")


if __name__ == "__main__":
    with Cluster() as cluster:
        print(f"SLURM_CONF={cluster.configuration}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            sys.exit(0)
