"""Rules of the code that no compiler checks: banned functions, sizes of files and functions, words that leak."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 500
TEST_LINES_MAX = 600  # a test file is a list of cases
PYTHON_LINES_MAX = 640
FUNCTION_LINES_MAX = 75
BANNED = re.compile(r"\b(sprintf|vsprintf|strcpy|strcat|strncpy|strncat|strtok|atoi|atol|atof|gets|alloca|tmpnam|mktemp)\s*\(")
FAST_MATH = re.compile(r"-ffast-math|-Ofast|use_fast_math|-funsafe-math")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    return [ROOT / path for path in listed if (ROOT / path).exists()]


def without_comments(text: str) -> str:
    blank = lambda match: re.sub(r"[^\n]", " ", match.group())  # noqa: E731
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.DOTALL)


def test_no_banned_function() -> None:
    faults = []
    for path in tracked("*.c", "*.h", "*.cu", "*.cuh"):
        for number, line in enumerate(without_comments(path.read_text()).splitlines(), 1):
            if BANNED.search(line):
                faults.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not faults, "\n".join(faults)


def test_json_is_read_and_written_in_one_place() -> None:
    """Without memory jansson loses bytes silently; only daemon/base/json_text.c notices."""
    users = [str(path.relative_to(ROOT)) for path in tracked("daemon/*.c", "api/*.c", "store/*.c", "gpu/*.c")
             if re.search(r"\bjson_(load\w+|dumps|dumpb)\s*\(", re.sub(r"\bjson_load_bounded\b", "", without_comments(path.read_text())))]  # fmt: skip
    assert users == ["daemon/base/json_text.c"]


def test_no_fast_math() -> None:
    faults = [str(path) for path in tracked("*.cmake", "CMakeLists.txt", "*/CMakeLists.txt", "*.c", "*.cu")
              if FAST_MATH.search(without_comments(path.read_text()))]  # fmt: skip
    assert not faults


def test_each_kind_of_gpu_is_compiled_for() -> None:
    """deploy/test compiles for one processor of each kind that the code tells apart; a condition on another needs that one, too."""
    text = (ROOT / "CMakePresets.json").read_text()
    check = re.search(r'"name": "cuda-check".*?"CMAKE_CUDA_ARCHITECTURES": "([^"]+)"', text, re.DOTALL)
    assert check
    compiled = {10 * int(one.split("-")[0]) for one in check[1].split(";")}
    shipped = {10 * int(one) for one in re.findall(r"(\d+)-real", (ROOT / "gpu/cuda/Toolkit.cmake").read_text())}
    assert min(compiled) == min(shipped) and max(compiled) == max(shipped)
    told_apart = [f"{path.relative_to(ROOT)}: {line.strip()}" for path in tracked("gpu/cuda/*") for line in path.read_text().splitlines()
                  if "__CUDA_ARCH" in line and not set(map(int, re.findall(r"\b\d{3,4}\b", line))) <= compiled]
    assert not told_apart, "\n".join(told_apart)


def test_python_is_sound() -> None:
    """Unused names, lists that are compared as far as the shorter goes, and the like: tests/ruff.toml."""
    done = subprocess.run(["ruff", "check", "--quiet", "--no-cache", "--output-format", "concise", "--config", ROOT / "tests/ruff.toml",
                           *tracked("*.py", "tests/proof/run")], env=os.environ | {"PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_are_short() -> None:
    long = {}
    for path in tracked("*.c", "*.h", "*.cu", "*.cuh"):
        name, lines = str(path.relative_to(ROOT)), len(path.read_text().splitlines())
        if lines > (TEST_LINES_MAX if name.startswith("tests/") else FILE_LINES_MAX):
            long[name] = lines
    for path in tracked("*.py", "tests/*/run", "tests/*/packages"):
        lines = len(path.read_text().splitlines())
        if lines > PYTHON_LINES_MAX:
            long[str(path.relative_to(ROOT))] = lines
    assert not long, f"too long; would two nouns be clearer? {long}"


def functions(text: str):
    """(name, lines) of each function: in this style a body opens with { in column 0 and closes with } there."""
    lines = without_comments(text).splitlines()
    begin, name = None, "?"
    for number, line in enumerate(lines):
        if line == "{":
            head = next((lines[i] for i in range(number - 1, -1, -1) if lines[i] and not lines[i].startswith(" ")), "?")
            found = re.search(r"(\w+)\(", head)
            begin, name = number, found.group(1) if found else head
        elif line.startswith("}") and begin is not None:
            yield name, number - begin + 1
            begin = None


def test_functions_are_short() -> None:
    faults = [f"{path.relative_to(ROOT)}: {name} has {lines} lines" for path in tracked("*.c", "*.cu")
              for name, lines in functions(path.read_text()) if lines > FUNCTION_LINES_MAX]  # fmt: skip
    assert not faults, "\n".join(faults)


def test_every_folder_presents_itself() -> None:
    folders = {path.parent for path in tracked("*.c", "*.h", "*.cu", "*.py", "*.sql")}
    fixture_data = ROOT / "tests/fixtures"
    missing = [str(folder.relative_to(ROOT)) for folder in folders
               if not (folder / "README.md").exists() and not (folder.parent / "README.md").exists()
               and fixture_data not in folder.parents]  # fmt: skip
    assert not missing, f"no README.md in {missing} or above"


def test_each_black_box_test_is_presented() -> None:
    table = (ROOT / "tests/e2e/README.md").read_text()
    missing = [path.name for path in tracked("tests/e2e/test_*.py") if f"`{path.name}`" not in table]
    assert not missing, f"tests/e2e/README.md does not say what {missing} show"


def test_the_citation_names_the_version_that_is_built() -> None:
    built = re.search(r"^project\(bifurcated VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text(), re.M)
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert built and cited and built[1] == cited[1]


def test_no_path_of_one_machine() -> None:
    here = re.compile(rf"(?<![\w.}}-]){re.escape(str(ROOT.parent))}/")  # as a whole path, not in another one's middle
    faults = [str(path.relative_to(ROOT)) for path in tracked("*.c", "*.h", "*.py", "*.md", "*.sh", "*.txt", "*.cmake", "deploy/*")
              if path.is_file() and here.search(path.read_text(errors="replace"))]  # fmt: skip
    assert not faults


def test_nothing_is_left_over_from_a_merge() -> None:
    faults = [str(path.relative_to(ROOT)) for path in tracked("*.orig", "*.rej", "*~")]
    assert not faults


def test_files_have_names() -> None:
    """What a slip of a shell has written has another."""
    names = [str(path.relative_to(ROOT)) for path in tracked("*")]
    assert len(names) > 1000 and not [name for name in names if not re.fullmatch(r"[\w./@+=-]*\w", name)]
