"""How deploy/test installs Debian packages: services that come with them do not start, and what was there before comes back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
# An apt-get whose package brings services, and asks, as Debian's maintainer scripts do, whether it may start them.
APT = """\
#!/usr/bin/env bash
case " $* " in *" update "* | *" --download-only "*)
  echo "$*" >>"$PLACE/asked"
  [ "$(grep -c -- "${REFUSED:-nothing}" "$PLACE/asked")" -le 2 ] || exit 0
  case "$*" in *"${REFUSED:-nothing}"*) echo "E: Could not connect" >&2; exit 100 ;; *) exit 0 ;; esac ;;
esac
for name in nginx slurmd; do
  option=; [ $name = nginx ] || option=--quiet
  [ -e "$UNITS/$name.service" ] || touch "$UNITS/$name.service"
  if [ ! -x "$POLICY" ] || "$POLICY" $option $name.service start; then echo "$name" >>"$STARTED"; fi
done
if [ ! -x "$POLICY" ] || "$POLICY" cron restart; then echo cron >>"$STARTED"; fi
exit "${APT_STATUS:-0}"
"""


class Machine:
    def __init__(self, place: Path) -> None:
        self.place, self.policy, self.units = place, place / "policy-rc.d", place / "units"
        self.units.mkdir()
        (place / "bin").mkdir()
        for name, text in {
            "apt-get": APT,
            "dpkg-query": "#!/bin/sh\nexit 1\n",  # nothing is installed
            "systemctl": '#!/bin/sh\necho "$@" >>"$PLACE/systemctl"\n',
            "sudo": '#!/bin/sh\nexec "$@"\n',
        }.items():
            (place / "bin" / name).write_text(text)
            (place / "bin" / name).chmod(0o755)

    def install(self, commands: str = "install_packages nginx-light", **env: str) -> subprocess.CompletedProcess[str]:
        script = f"set -euo pipefail; cd {DEPLOY.parent}; . deploy/packages.sh; . deploy/common.sh; pauses_s='0 0'; {commands}; echo went on"
        mine = {"PLACE": self.place, "UNITS": self.units, "POLICY": self.policy, "STARTED": self.place / "started",
                "BIFURCATED_POLICY_RC_D": self.policy, "BIFURCATED_UNITS": self.units, "PATH": f"{self.place / 'bin'}:{os.environ['PATH']}"}  # fmt: skip
        words = {name: str(value) for name, value in mine.items()}
        return subprocess.run(["bash", "-c", script], env=os.environ | words | env, capture_output=True, text=True, timeout=60)

    def read(self, name: str) -> list[str]:
        return (self.place / name).read_text().split("\n")[:-1] if (self.place / name).exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_new_services_do_not_start(machine: Machine) -> None:
    done = machine.install()
    assert done.returncode == 0 and "went on" in done.stdout, done
    assert machine.read("started") == ["cron"]  # what is not ours starts as ever
    assert machine.read("systemctl") == ["--quiet disable nginx", "--quiet disable slurmd"]
    for name in ("nginx", "slurmd"):
        assert f"{name} is not started" in done.stdout and f"systemctl enable --now {name}" in done.stdout
    assert "munge" not in done.stdout and not machine.policy.exists()


def test_a_service_of_the_user_goes_on(machine: Machine) -> None:
    """One that was there before is neither kept from starting nor disabled."""
    (machine.units / "nginx.service").touch()
    done = machine.install()
    assert done.returncode == 0 and "nginx is not started" not in done.stdout, done
    assert machine.read("started") == ["nginx", "cron"] and machine.read("systemctl") == ["--quiet disable slurmd"]


@pytest.mark.parametrize("status", ["0", "100"])
def test_the_policy_of_before_comes_back(machine: Machine, status: str) -> None:
    """It is asked about all other services meanwhile, and comes back also if apt-get fails, which ends the script."""
    text = '#!/bin/sh\n[ "$1" != cron ] || exit 101\n'
    machine.policy.write_text(text)
    machine.policy.chmod(0o755)
    done = machine.install(APT_STATUS=status)
    assert (done.returncode == 0) == ("went on" in done.stdout) == (status == "0"), done
    assert machine.read("started") == []
    assert machine.policy.read_text() == text and os.access(machine.policy, os.X_OK)
    assert not list(machine.place.glob("*.before-bifurcated"))


@pytest.mark.parametrize("refused", ["update", "--download-only"])
def test_a_mirror_that_does_not_answer_at_once(machine: Machine, refused: str) -> None:
    """It is asked again, a few times, and nothing is installed before all is there."""
    done = machine.install(REFUSED=refused)
    assert done.returncode == 0 and machine.read("started") == ["cron"], done
    assert sum(refused in line for line in machine.read("asked")) == 3
    assert len(re.findall(rf"^   failed, and tried again in 0 s: .*{refused}", done.stderr, re.MULTILINE)) == 2, done.stderr


def test_a_mirror_that_does_not_answer(machine: Machine) -> None:
    """Where one of several has no lists, those of before may do, and it is asked no more; where a package cannot be had, that is the end."""
    (machine.place / "bin/apt-get").write_text('#!/bin/sh\necho "$*" >>"$PLACE/asked"\ncase "$*" in *Error-Mode*|*$REFUSED*) exit 100 ;; esac\n')
    done = machine.install("install_packages nginx-light; (install_packages cron)", REFUSED="nothing")
    assert done.returncode == 0 and ["Error-Mode" in line for line in machine.read("asked")] == [True] * 3 + [False] * 5, done
    done = machine.install(REFUSED="--download-only")
    assert done.returncode == 100 and "went on" not in done.stdout and "--download-only" in machine.read("asked")[-1], done


def test_after_a_run_that_was_killed(machine: Machine) -> None:
    """Its policy is still there, the user's own beside it: both as before at the end."""
    machine.policy.write_text("#!/bin/sh\n# deploy/common.sh of bifurcated, while packages are installed\nexit 101\n")
    before = machine.place / "policy-rc.d.before-bifurcated"
    before.write_text("#!/bin/sh\nexit 0\n")
    before.chmod(0o755)
    machine.policy.chmod(0o755)
    assert machine.install().returncode == 0
    assert machine.read("started") == ["cron"]
    assert machine.policy.read_text() == "#!/bin/sh\nexit 0\n" and not before.exists()


def test_after_a_run_that_was_killed_late(machine: Machine) -> None:
    """Its services had come with it already: what it left would keep them, and those of the user, from ever starting."""
    for name in ("munge", "nginx", "slurmctld", "slurmd"):
        (machine.units / f"{name}.service").touch()
    machine.policy.write_text("#!/bin/sh\n# deploy/common.sh of bifurcated, while packages are installed\nexit 101\n")
    machine.policy.chmod(0o755)
    assert machine.install().returncode == 0
    assert machine.read("started") == ["nginx", "slurmd", "cron"] and not machine.policy.exists()


def test_every_unwanted_service_has_its_package() -> None:
    """The services that are named come with packages for tests, and Debian's helpers ask the policy as this does."""
    text = (DEPLOY / "packages.sh").read_text()
    services = set(re.search(r'^services_unwanted="([^"]*)"', text, re.M).group(1).split())
    packages = set(re.search(r'^packages_test="([^"]*)"', text, re.M).group(1).split())
    owners = {"munge": "munge", "nginx": "nginx-light", "slurmctld": "slurm-wlm", "slurmd": "slurm-wlm"}
    assert services == owners.keys() and set(owners.values()) <= packages
    helper = shutil.which("deb-systemd-invoke")
    if not helper:
        pytest.skip("this is no Debian with init-system-helpers")
    assert "/usr/sbin/policy-rc.d" in Path(helper).read_text()


def test_packages_that_a_release_has_not(machine: Machine) -> None:
    """Ubuntu has Chromium as a snap alone: what has no candidate is not asked for, and the rest is."""
    text = "#!/bin/sh\ncase $2 in chromium) echo 'chromium:'; echo '  Installed: (none)'; echo '  Candidate: (none)' ;; curl) echo '  Candidate: 8.5.0' ;; esac\n"
    (machine.place / "bin/apt-cache").write_text(text)
    (machine.place / "bin/apt-cache").chmod(0o755)
    script = f'. {DEPLOY}/common.sh; for names in curl chromium "curl chromium" unheard-of; do are_offered $names && echo "$names"; done'
    done = subprocess.run(["bash", "-c", script], env=os.environ | {"PATH": f"{machine.place / 'bin'}:{os.environ['PATH']}"}, capture_output=True, text=True, timeout=60)
    assert done.stdout == "curl\n", done
