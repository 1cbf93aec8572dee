"""How deploy/test runs its steps: each is told and counted, those that run beside others too, and none outlives it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import wait_until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
HEAD = f"set -euo pipefail; . {DEPLOY}/common.sh; . {DEPLOY}/steps.sh\n"


def run(place: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", HEAD + script], cwd=place, capture_output=True, text=True, timeout=60)


def outcomes(text: str) -> list[str]:
    return [re.sub(r" \(\d+ s, \d+ s of processors\)", "", line.strip()) for line in text.splitlines() if re.match(r" +(passed|FAILED|skipped) ", line)]


def test_steps_are_counted(tmp_path: Path) -> None:
    done = run(tmp_path, "step first true; step second sh -c 'echo reason; exit 3'; skipped third 'no tool'; step fourth true; summary")
    assert done.returncode == 1, done
    assert outcomes(done.stdout) == ["passed  first", "FAILED  second", "skipped third: no tool", "passed  fourth"]
    assert "reason" in done.stdout and done.stdout.endswith("2 passed, 1 failed, 1 skipped\n")
    assert run(tmp_path, "step first true; summary").returncode == 0


def test_steps_beside_others(tmp_path: Path) -> None:
    """They do run beside, at low priority; their output comes whole, after the others', and their failures count."""
    script = """
      checks() { step slow sh -c 'until [ -e go ]; do sleep 0.02; done; nice'; step wrong sh -c 'echo why; false'; skipped no 'no tool'; }
      begin_beside checks
      step tests sh -c 'echo tested; touch go'
      await_beside; summary"""
    done = run(tmp_path, script)
    assert done.returncode == 1 and done.stdout.endswith("2 passed, 1 failed, 1 skipped\n"), done
    assert sorted(outcomes(done.stdout)) == ["FAILED  wrong", "passed  slow", "passed  tests", "skipped no: no tool"]
    told = re.search(r"== tests\ntested\n.*== slow\n(\d+)\n.*== wrong\nwhy\n.*== no\n", done.stdout, re.DOTALL)
    assert told and int(told.group(1)) >= 10, done.stdout


def test_steps_beside_of_two_functions(tmp_path: Path) -> None:
    """They run beside each other, what each says stays together, the failure of either counts, and the end comes to both."""
    script = """
      : >endless
      endless() { echo $BASHPID >>endless; exec sleep 600; }
      one() { step first sh -c 'touch met; until [ -e go ]; do sleep 0.02; done; echo 1'; step left endless; }
      two() { step second sh -c 'until [ -e met ]; do sleep 0.02; done; chrt --pid $$; touch go; false'; step lost endless; }
      begin_beside one two
      until [ "$(wc -l <endless)" -eq 2 ]; do sleep 0.05; done
      await_beside 1 first left second lost; summary"""
    done = run(tmp_path, script)
    assert sorted(outcomes(done.stdout))[:2] == ["FAILED  second", "passed  first"], done
    assert "1 passed, 1 failed, 2 skipped\n" in done.stdout and "broke off" not in done.stdout
    assert re.search(r"== first\n1\n\n== left\n\n== second\n[^=]*SCHED_IDLE", done.stdout), done.stdout
    for one in (tmp_path / "endless").read_text().split():
        wait_until(lambda one=int(one): not is_alive(one))


def test_steps_beside_that_take_too_long(tmp_path: Path) -> None:
    """What has ended counts, what has not is ended and told as skipped, by name; what took its time without a limit is waited for."""
    steps = "checks() { step one true; touch ready; step two sleep 600; step three true; }; begin_beside checks; step tests true"
    done = run(tmp_path, f"{steps}; until [ -e ready ]; do sleep 0.05; done; await_beside 1 one two three; summary")
    assert done.returncode == 0, done
    words = "it had not ended after 1 s; run it without --within"
    assert f"skipped two: {words}" in done.stdout and f"skipped three: {words}" in done.stdout and "skipped one" not in done.stdout
    assert "2 passed, 0 failed, 2 skipped" in done.stdout and "broke off" not in done.stdout, done.stdout
    (tmp_path / "other").mkdir()
    done = run(tmp_path / "other", "checks() { step one sleep 2; step two false; }; begin_beside checks; step tests true; await_beside 600 one two; summary")
    assert done.returncode == 1 and "2 passed, 1 failed, 0 skipped" in done.stdout, done


def test_a_group_is_waited_for_alone(tmp_path: Path) -> None:
    """Its status counts, and it is ended no more; the others are."""
    script = "begin_group sh -c 'exit 3'; one=$group; begin_group sleep 600; await_group $one || echo $?; echo -$group; cat $running.beside"
    first, *rest = run(tmp_path, script).stdout.split()
    assert first == "3" and len(rest) == 2 and rest[0] == rest[1], rest
    wait_until(lambda: not is_alive(-int(rest[0])))


def test_steps_beside_that_break_off(tmp_path: Path) -> None:
    done = run(tmp_path, "checks() { step one true; kill -9 $BASHPID; }; begin_beside checks; step tests true; await_beside; summary")
    assert done.returncode == 1 and done.stdout.endswith("2 passed, 1 failed, 0 skipped\n"), done
    assert "FAILED  The steps beside others broke off with status 137" in done.stdout


def test_an_environment_that_could_not_be_made_is_none(tmp_path: Path) -> None:
    """It is said, and the next run makes it anew; an index that does not answer at once is asked again, a few times."""
    script = """
      pauses_s="0 0"; echo one==1 >wanted; touch pip; chmod +x pip
      python3() { mkdir -p venv/bin; cp pip venv/bin; }
      echo 'echo >>tried; exit 1' >pip; python_environment "$PWD/venv" wanted || echo failed
      echo 'echo >>tried; [ $(wc -l <tried) -eq 6 ]' >pip; python_environment "$PWD/venv" wanted && echo made
      python_environment "$PWD/venv" wanted && echo kept; wc -l <tried"""
    told = run(tmp_path, script).stdout
    assert re.findall("failed|made|kept|is there|^[0-9]+$", told, re.MULTILINE) == ["failed", "made", "is there", "kept", "6"], told


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """A second one beside it, whose builds and results would be the same files, is refused and leaves them alone; whoever watches a run
    notices its end a second later, and the next one waits for that. What a step leaves running keeps nobody waiting."""
    (tmp_path / "build").mkdir()
    (tmp_path / "build/times.1").touch()  # of a run that was killed
    script = f"""
      (wait_s=0; . {DEPLOY}/steps.sh) 2>&1 || echo refused
      step first true; step leaves setsid -f sh -c 'echo $$ >left; exec sleep 600 >/dev/null 2>&1'; summary; echo $$"""
    done = run(tmp_path, script)
    first = done.stdout.split()[-1]
    assert f"error: another run works in {tmp_path}/build (process {first}): await its end, or use another checkout\nrefused\n" in done.stdout, done
    assert outcomes(done.stdout) == ["passed  first", "passed  leaves"] and done.returncode == 0, done
    script = f"""
      ! grep -sqa -- "[-]-pid={first}" /proc/[0-9]*/cmdline && echo alone
      checks() {{ step aside true; }}
      begin_beside checks; step ahead true; await_beside; summary"""
    done = run(tmp_path, script)
    os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)
    assert "alone" in done.stdout and sorted(outcomes(done.stdout)) == ["passed  ahead", "passed  aside"] and done.returncode == 0, done
    wait_until(lambda: not [*(tmp_path / "build").glob("running*"), *(tmp_path / "build").glob("times.*")])


def test_steps_have_the_colours_of_the_whole(tmp_path: Path) -> None:
    """Of a terminal, also where a step writes into a pipe or a log; nowhere else."""
    script = """
      shade() { echo "--color=$colour" | cat; }
      checks() { step aside shade; step wrong false; }
      begin_beside checks; step ahead shade; await_beside; summary"""
    plain = run(tmp_path, script)
    assert plain.stdout.count("--color=no") == 2 and "\033" not in plain.stdout
    ours, theirs = pty.openpty()
    done = subprocess.run(["bash", "-c", HEAD + script], cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, timeout=60)
    os.close(theirs)
    seen = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 1 and seen.count("--color=yes") == 2 and "\033[1m== aside\033[0m" in seen, seen
    assert re.search(r"\033\[31m   FAILED  wrong[^\n]*\033\[0m", seen), seen


# As pytest at Ctrl-C: it takes the signal and ends by itself.
POLITE = "import os, pathlib, signal, sys; signal.signal(signal.SIGINT, lambda *_: sys.exit(2)); pathlib.Path('ready').write_text(f'{os.getpid()}\\n'); signal.pause()"


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]
    except OSError:
        return False


PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture
def orphans() -> Iterator[None]:
    """What loses its parent is ours to reap, so that it is gone as under any init; some of containers reap nothing."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
    yield
    assert prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0


def reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


@pytest.mark.parametrize(
    ("sent", "to_all", "status"),
    [(signal.SIGTERM, True, -signal.SIGTERM), (signal.SIGINT, True, 130), (signal.SIGKILL, True, -signal.SIGKILL), (signal.SIGKILL, False, -signal.SIGKILL)],
    ids=["end", "interrupt", "kill", "kill-it-alone"],
)
def test_none_outlives_the_command(tmp_path: Path, orphans: None, sent: signal.Signals, to_all: bool, status: int) -> None:
    """Ended in mid-run, it takes along what it started, and waits for nothing."""
    script = HEAD + f"""
      packages() {{ sh -c 'echo $$ >third; exec sleep 600'; }}
      checks() {{ step slow sh -c 'echo $$ >pid; exec sleep 600'; }}
      tests() {{ {sys.executable} -c "{POLITE}" | cat; }}
      begin_group packages; begin_beside checks; step tests tests; await_beside; summary"""
    words = ["env", "--default-signal=INT", "bash", "-c", script]
    names = ("ready", "pid", "third")
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: all((tmp_path / name).exists() and (tmp_path / name).read_text().endswith("\n") for name in names))
        pids = [int((tmp_path / name).read_text()) for name in names]
        assert [os.getpgid(one) == process.pid for one in pids] == [True, False, False]
        if to_all:
            os.killpg(process.pid, sent)  # as CI and a terminal do it; those beside are a group of their own
        else:
            process.send_signal(sent)
        assert process.wait(60) == status

        def are_gone() -> bool:
            reap()
            return not any(is_alive(one) for one in pids)

        wait_until(are_gone)
    except BaseException:  # else nothing is left
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        for name in names:
            if (tmp_path / name).exists() and is_alive(int((tmp_path / name).read_text())):
                os.kill(int((tmp_path / name).read_text()), signal.SIGKILL)
        raise


def test_a_question_leaves_results_alone(tmp_path: Path) -> None:
    """`--help` beside a run, or after it, empties none of its files."""
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    for word, status in (("--help", 0), ("--wrong", 1)):
        assert subprocess.run([tmp_path / "deploy/test", word], capture_output=True, timeout=60).returncode == status
    assert not (tmp_path / "build").exists()


def test_no_test_begins_once_the_time_is_over(tmp_path: Path) -> None:
    """What deploy/test --within says to the tests here: the time is over after the first of two, and not even a fixture of the second is made."""
    (tmp_path / "test_two.py").write_text(
        "import os, pytest\n"
        "@pytest.fixture(scope='session')\ndef made(): open('made', 'w').close()\n"
        "def test_first(): os.environ['BIFURCATED_UNTIL'] = '1'\n"
        "def test_second(made): assert not 'skipped'\n"
    )
    quiet = ["-p", "no:cacheprovider", "-p", "no:schemathesis", f"--basetemp={tmp_path / 'base'}"]  # without it, it would clear away what earlier runs left
    command = [sys.executable, "-m", "pytest", "-rs", *quiet, "-p", "conftest", "test_two.py"]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "BIFURCATED_UNTIL": "99999999999"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "1 passed, 1 skipped" in done.stdout, done
    assert "the time of deploy/test --within was over" in done.stdout and not (tmp_path / "made").exists(), done
