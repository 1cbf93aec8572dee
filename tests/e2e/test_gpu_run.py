"""tests/gpu/run, the one command for a machine with a GPU, without one: its plan, and what is left of it when programs hang, fail or
the whole is cut. The programs are stand-ins; what the real ones do is tests/gpu's own. And tests/gpu/resources.py, which looks at
what nvcc made of the kernels, on what nvcc might say."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import wait_until

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/gpu"))

import resources  # noqa: E402

RUN = ROOT / "tests/gpu/run"
PROGRAMS = ("gpu_cases", "gpu_together", "gpu_bench", "gpu_flush", "gpu_lost", "gpu_streamed")


started: list[subprocess.Popen[str]] = []


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Path]:
    """Programs that pass at once, on a machine with a GPU and none of the tools beside it. What a test leaves running is ended."""
    folder = tmp_path / "built programs"
    folder.mkdir()
    for name in PROGRAMS:
        stand_in(folder / name, "echo begins one; echo passed one" if name == "gpu_cases" else "echo 3 passed, 0 failed")
    stand_in(tmp_path / "tools/nvidia-smi", 'case $* in *compute_cap*) echo 9.0 ;; *) echo "a GPU, 580.1, 81559 MiB" ;; esac')
    yield folder
    while started:
        with started.pop() as process:
            process.terminate()


def stand_in(path: Path, script: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def start(built: Path, *steps: str, total_s: int = 530) -> subprocess.Popen[str]:
    environment = os.environ | {"BUILT": str(built), "TOTAL_S": str(total_s), "PATH": f"{built.parent}/tools:/usr/bin:/bin"}
    started.append(subprocess.Popen([RUN, built.parent / "out", *steps], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    return started[-1]


def results(built: Path) -> str:
    path = built.parent / "out/results.txt"
    return path.read_text() if path.exists() else ""


def test_plan() -> None:
    """Each step has a time of its own; together they leave room for one more; every program is one that is built."""
    done = subprocess.run([RUN, "--plan"], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout
    rows = re.findall(r"^(\w+) +(\d+) s, over by +(\d+) s  (.*)$", done.stdout, re.MULTILINE)
    assert [row[0] for row in rows][:3] == ["configure", "build", "families"]
    assert sum(int(row[1]) for row in rows) == int(rows[-1][2]) <= 500
    assert all(int(seconds) >= 15 for name, seconds, _, _ in rows if name not in ("transformers", "llama"))
    targets = (ROOT / "tests/gpu/CMakeLists.txt").read_text()
    assert {program for row in rows for program in re.findall(r"build/(gpu_\w+)", row[3])} == set(PROGRAMS) - {"gpu_cases"}
    assert {row[3].split()[0] for row in rows if row[0] in ("families", "memory", "cases", "memcheck", "initcheck")} == {"cases"}
    assert all(f"add_executable({program} " in targets for program in PROGRAMS)
    short = subprocess.run([RUN, "--plan"], text=True, capture_output=True, env=os.environ | {"TOTAL_S": "100"})
    assert short.returncode == 1
    built = subprocess.run([RUN, "--plan"], text=True, capture_output=True, env=os.environ | {"BUILT": "build/gpu90"})
    assert built.stdout == re.sub(r"over by +\d+ s", lambda over: f"over by {int(over[0].split()[2]) - 75:4} s", done.stdout.split("\n", 2)[2]).replace(
        f"{rows[-1][2]} s of", f"{int(rows[-1][2]) - 75} s of"
    )
    chosen = subprocess.run([RUN, "--plan", "lost", "build"], text=True, capture_output=True)
    assert re.findall(r"^(\w+) +\d+ s, ", chosen.stdout, re.MULTILINE) == ["build", "lost"]
    odd = subprocess.run([RUN, "--plan", "lost", "found"], text=True, capture_output=True)
    assert (odd.returncode, odd.stdout) == (2, "there is no step found; tests/gpu/run --plan lists them\n")


def test_results_of_all_steps(built: Path) -> None:
    stand_in(built / "gpu_bench", 'echo "name,value,unit,ceiling,share"; echo "# a GPU"; echo "copy bandwidth $1,3000,GB/s,,"')
    stand_in(built / "gpu_together", "echo there is one GPU; exit 77")
    stand_in(built / "gpu_lost", "echo case 4 failed; exit 1")
    stand_in(built.parent / "tools/compute-sanitizer", 'case $* in *racecheck*) echo begins; echo passed; echo 1 passed, 0 failed ;; *) exit 9 ;; esac')
    run = start(built)
    text = run.communicate(timeout=60)[0]
    assert run.returncode == 1
    assert re.search(r"^a GPU, 580.1, 81559 MiB$", text, re.MULTILINE)
    assert re.search(r"^skipped build: the programs of .* are used$", text, re.MULTILINE)
    assert re.search(r"^passed  cases \(\d+ s\): 2 passed, 0 failed$", text, re.MULTILINE)
    assert "skipped together: there is one GPU\n" in text
    assert len(re.findall(r"^FAILED  mem(?:ory|check), status 1 ", text, re.MULTILINE)) == 2
    assert re.search(r"^passed  racecheck \(\d+ s\): 4 passed, 0 failed$", text, re.MULTILINE)
    assert re.search(r"^FAILED  lost, status 1 \(\d+ s\)\ncase 4 failed$", text, re.MULTILINE)
    assert re.search(r"^passed  streamed", text, re.MULTILINE)
    for line in results(built).splitlines():
        assert line in text
    assert "==== together\nthere is one GPU\n==== " in (built.parent / "out/logs.txt").read_text()
    table = (built.parent / "out/bench.csv").read_text()
    assert "copy bandwidth sizes=,3000" in table and "copy bandwidth statistics=0,3000" in table


def test_programs_of_another_machine_find_the_libraries_of_this_one(built: Path) -> None:
    """Beside nvcc, or where PyTorch has its own; else that is said at once, and no step is taken for skipped."""
    stand_in(built.parent / "tools/nvcc", "exit 1")
    stand_in(built.parent / "tools/ldd", f"case $LD_LIBRARY_PATH in *:{built.parent}/lib64) ;; *) echo '  libcublasLt.so.13 => not found' ;; esac")
    run = start(built, "lost")
    text = run.communicate(timeout=60)[0]
    assert run.returncode == 1
    assert text.endswith(f"FAILED  loading the programs of {built}: libcublasLt.so.13 => not found\n"), text
    assert results(built) == text
    (built.parent / "lib64").mkdir()
    run = start(built, "lost")
    assert "passed  lost" in run.communicate(timeout=60)[0]
    assert run.returncode == 0


def test_a_program_that_hangs(built: Path) -> None:
    """It has the time that is left, and what it said until then is kept; what no time is left for is named."""
    stand_in(built / "gpu_cases", "echo begins one; echo passed one; echo begins $4; sleep 600")
    run = start(built, total_s=7)
    text = run.communicate(timeout=60)[0]
    assert run.returncode == 1
    assert re.search(r"^FAILED  families, not done after [567] s: 3 passed, 0 failed, cut before part=1/3; part=2/3; part=3/3$", text, re.MULTILINE), text
    assert "skipped cases: the 7 s are over\n" in text and "skipped streamed: the 7 s are over\n" in text


def test_cases_in_several_processes(built: Path) -> None:
    """Each with its part, and a failure of one is the step's. Where a tool does not run several times at once, those that it refused run
    one by one."""
    stand_in(
        built.parent / "tools/compute-sanitizer",
        f"""cd {built.parent}; mkdir lock 2>/dev/null && has_lock=yes; echo "$@" >>calls
[ "$has_lock" ] || exit 1; until [ $(wc -l <calls) -ge 4 ]; do sleep 0.01; done; rmdir lock; shift 4; exec "$@" """,
    )
    stand_in(built / "gpu_cases", "for word; do part=$word; done; echo begins one; [ $part = part=3/3 ] && echo FAILED one && echo 0 passed, 1 failed && exit 1; echo passed one")
    run = start(built, "families", "memory")
    text = run.communicate(timeout=60)[0]
    assert run.returncode == 1
    assert re.search(r"^FAILED  families, status 1 \(\d+ s\): 2 passed, 1 failed$", text, re.MULTILINE), text
    assert re.search(r"^passed  memory \(\d+ s\): 4 passed, 0 failed$", text, re.MULTILINE), text
    calls = (built.parent / "calls").read_text().splitlines()
    assert len(calls) == 7 and {call.split()[-1] for call in calls} == {f"part={part}/4" for part in "1234"}


def test_a_part_that_does_not_run_is_a_failure(built: Path) -> None:
    """A device that some parts do not find hides no failure of another one; of races, too, every part has to come to its end."""
    stand_in(
        built / "gpu_cases",
        'case $* in *3/3) echo 0 passed, 0 failed without a device; exit 77 ;; *families\\ after=0*1/3) echo begins one; exit 1 ;; *families*1/3) echo 0 passed, 0 failed; exit ;; *"others after=0 part=1/2") exit 77 ;; esac\n'
        "echo begins one; echo passed one; echo 1 passed, 0 failed",
    )
    stand_in(built.parent / "tools/compute-sanitizer", 'case $* in *2/4) exit 1 ;; esac; shift 4; exec "$@"')
    run = start(built, "families", "cases", "racecheck")
    text = run.communicate(timeout=60)[0]
    assert run.returncode == 1
    assert re.search(r"^FAILED  families, status 1 ", text, re.MULTILINE), text
    assert re.search(r"^FAILED  cases, status 1 ", text, re.MULTILINE), text
    assert re.search(r"^FAILED  racecheck, status 1 ", text, re.MULTILINE), text
    stand_in(built / "gpu_cases", "echo there is no device; exit 77")
    run = start(built, "families")
    text = run.communicate(timeout=60)[0]
    assert run.returncode == 1 and re.search(r"^FAILED  families, status 1 .*\n(.*\n)?there is no device$", text, re.MULTILINE), text  # nvidia-smi names one
    (built.parent / "tools/nvidia-smi").unlink()
    run = start(built, "families")
    text = run.communicate(timeout=60)[0]
    assert run.returncode == 0 and "skipped families: " in text, text


@pytest.mark.parametrize(
    ("kernel", "is_ours"),
    [
        ("void attention_kernel<__half, (int)64, (int)32, (int)5, (bool)0, (bool)0, (bool)0>(const T1 *, score_heads)", True),
        ("nvjet_hsh_64x8_64x16_1x1_v_bz_TNT", False),
        ("void cublasLt::splitKreduce_kernel<(int)32, (int)16, int, float>(cublasLt::cublasSplitKParams<T6>)", False),
    ],
)
def test_hazards_count_in_kernels_of_ours(built: Path, kernel: str, is_ours: bool) -> None:
    """cuBLAS synchronises in ways that racecheck does not know."""
    hazard = f"========= Error: Race reported between Write access at {kernel}+0x1230\n=========     and Read access at {kernel}+0x1000 [4 hazards]"
    (built.parent / "hazard").write_text(hazard)
    stand_in(built.parent / "tools/compute-sanitizer", f"echo begins one; echo passed one; cat '{built.parent}/hazard'; echo; echo 1 passed, 0 failed; exit 9")
    run = start(built, "racecheck")
    text = run.communicate(timeout=60)[0]
    assert run.returncode == is_ours
    assert re.search(rf"^{'FAILED ' if is_ours else 'passed '} racecheck", text, re.MULTILINE), text


def test_a_build_has_all_the_time_there_is(tmp_path: Path) -> None:
    """It is no use to have time left for what was not built; and where it fails, nothing else is tried."""
    stand_in(tmp_path / "tools/timeout", "echo $3 seconds; exit 3")
    environment = os.environ | {"TOTAL_S": "100", "PATH": f"{tmp_path}/tools:/usr/bin:/bin"}
    done = subprocess.run([RUN, tmp_path / "out"], env=environment, text=True, capture_output=True, timeout=60)
    assert done.returncode == 1
    told = re.search(r"^FAILED  configure, status 3 \(\d+ s\)\n(\d+) seconds\n(\d+) s in all$", done.stdout, re.MULTILINE)
    assert told and 100 - int(told[2]) <= int(told[1]) <= 100, done.stdout


def test_the_whole_is_cut(built: Path) -> None:
    """What was done, and what the step that was cut had said, is kept."""
    stand_in(built / "gpu_together", "echo begun; sleep 600")
    run = start(built, "cases", "together", "lost")
    log = built / "logs/together.log"
    wait_until(lambda: log.exists() and "begun" in log.read_text())
    run.send_signal(signal.SIGTERM)
    text = run.communicate(timeout=60)[0]
    assert run.returncode == 1
    assert re.fullmatch(r"a GPU, .*\npassed  cases .*\nCUT after \d+ s\n", results(built)), results(built)
    assert text.endswith(results(built).splitlines()[-1] + "\n")
    assert (built.parent / "out/logs.txt").read_text() == "==== cases\nbegins one\npassed one\nbegins one\npassed one\n==== together\nbegun\n"


def said(name: str, processor: str = "sm_90", registers: int = 4, spilled: int = 0) -> str:
    """What ptxas -v says of a kernel."""
    return (
        f"ptxas info    : Compiling entry function '_Z24{name}' for '{processor}'\n"
        f"ptxas info    : Function properties for _Z24{name}\n"
        f"    {spilled} bytes stack frame, {spilled} bytes spill stores, {spilled} bytes spill loads\n"
        f"ptxas info    : Used {registers} registers, used 1 barriers, 11200 bytes smem\n"
    )


@pytest.mark.parametrize(
    "text, fault",
    [
        (said("embed_kernelIf", registers=32), None),
        (said("embed_kernelIf", registers=33), "sm_90 embed_kernelIf: 33 registers, at most 32"),
        (said("rotate_kernelIf", "sm_100", registers=44), None),
        (said("rotate_kernelIf", "sm_80", registers=44), "sm_80 rotate_kernelIf: 44 registers, at most 40"),
        (said("statistics_second_kernelILi0ELb1E", registers=96, spilled=4), "sm_90 statistics_second_kernelILi0ELb1E: 4 bytes spilled, at most 0"),
        (said("statistics_second_kernelILi1ELb1E", registers=96, spilled=4), None),
        (said("new_kernel"), "sm_90 new_kernel: tests/gpu/resources.py has no limit for it"),
    ],
)
def test_registers(text: str, fault: str | None) -> None:
    assert resources.find_faults(resources.read("ptxas info    : 0 bytes gmem\n" + text + text)) == ([fault] * 2 if fault else [])


def test_words_of_a_compiler_that_are_not_understood() -> None:
    with pytest.raises(ValueError, match="^2 kernels, 1 of them understood$"):
        resources.read(said("embed_kernelIf") + said("embed_kernelIf").replace("Used", "Took"))


def test_what_the_compiler_said_is_kept(tmp_path: Path) -> None:
    """Beside the object; what is neither of registers nor of their kind is shown, and the status is the compiler's."""
    stand_in(tmp_path / "nvcc", f"cat >&2 <<'END'\n{said('embed_kernelIf', registers=40)}a.cu(3): warning: odd\nEND\nexit 3")
    done = subprocess.run([ROOT / "tests/gpu/keep_resources", tmp_path / "nvcc", "-c", "a.cu", "-o", tmp_path / "a.cu.o"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (3, "a.cu(3): warning: odd\n")
    found = subprocess.run([sys.executable, ROOT / "tests/gpu/resources.py", tmp_path], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (1, "sm_90 embed_kernelIf: 40 registers, at most 32\n")
    (tmp_path / "a.cu.o.resources").unlink()
    assert "build the preset cuda-check" in subprocess.run([sys.executable, ROOT / "tests/gpu/resources.py", tmp_path], capture_output=True, text=True).stdout
