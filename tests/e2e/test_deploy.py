"""What is shipped beside the programs: units, manuals, completion, alerts, dashboard, manifests, container files."""

from __future__ import annotations

import ctypes
import json
import math
import os
import platform
import pty
import re
import select
import shlex
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import yaml
from running import Daemon

from tests.hub import Emulator

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
UNITS = ("bifurcated.service", "bifurcated-worker@.service")
MODEL, DATASET = "garden/neox-tiny", "garden/lambada_garden:data/test.jsonl"


def need(tool: str) -> str:
    found = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")
    if not found:
        pytest.skip(f"{tool} is not installed")
    return found


def run(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120, **options)


# -- systemd -------------------------------------------------------------------------------------------------


@pytest.fixture(params=UNITS)
def unit(request: pytest.FixtureRequest, programs: dict[str, Path], tmp_path: Path) -> Path:
    """A unit with the built program in the place of the installed one."""
    text = (DEPLOY / "systemd" / request.param).read_text()
    assert text.count("/usr/bin/bifurcated ") == 1
    path = tmp_path / request.param
    path.write_text(text.replace("/usr/bin/bifurcated ", f"{programs['bifurcated']} "))
    return path


@pytest.mark.parametrize(("drop_in", "exposure"), [(False, 15), (True, 15)])
def test_unit_is_sound_and_tight(unit: Path, drop_in: bool, exposure: int) -> None:
    """Nothing to complain of, and an exposure of at most 1.5, also with what GPUs need."""
    analyze = need("systemd-analyze")
    if drop_in:
        folder = unit.parent / f"{unit.name}.d"
        folder.mkdir()
        shutil.copy(DEPLOY / "systemd/gpu.conf", folder)
    verified = run(analyze, "verify", "--man=no", unit)
    assert verified.returncode == 0 and verified.stderr == "", verified.stderr
    judged = run(analyze, "security", "--offline=true", f"--threshold={exposure}", unit)
    assert judged.returncode == 0, judged.stdout[-300:]
    level = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", judged.stdout).group(1))
    assert 0 < level <= exposure / 10


def test_threshold_of_security_means_something(unit: Path) -> None:
    judged = run(need("systemd-analyze"), "security", "--offline=true", "--threshold=2", unit)
    assert judged.returncode != 0


def test_a_worker_is_locked_in_as_the_daemon_is() -> None:
    """Every line of the daemon's unit that locks it in stands in the worker's, too; it may write less."""
    lines = [(DEPLOY / "systemd" / name).read_text().split("[Install]")[0].splitlines() for name in UNITS]
    locks = [line for line in lines[0] if re.match(r"(Protect|Private|Restrict|SystemCall|Memory|Lock|NoNew|Capab|Ambient|Remove|Keyring|UMask|User|Group|Cache)", line)]
    assert len(locks) > 30 and [line for line in locks if line not in lines[1]] == []
    writable = [line for line in lines[1] if re.match(r"(StateDirectory|CacheDirectory|ReadWrite|Bind|LogsDirectory|ConfigurationDirectory)=", line)]
    assert writable == ["StateDirectory=bifurcated/workers", "CacheDirectory=bifurcated"]


def test_daemon_works_without_writable_code(
    programs: dict[str, Path], make_hub: Callable[..., Emulator], garden: Path, tmp_path: Path
) -> None:
    """As under MemoryDenyWriteExecute: the JIT of the tokenizer's expressions is refused, the scores are the same."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(66, 0, 0, 0, 0) < 0:  # PR_GET_MDWE
        pytest.skip("this kernel has no PR_SET_MDWE")
    wrapper = tmp_path / "bifurcated"
    wrapper.write_text(
        "#!/usr/bin/env python3\nimport ctypes, os, sys\n"
        "assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0\n"  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
        f"os.execv({str(programs['bifurcated'])!r}, ['bifurcated', *sys.argv[1:]])\n"
    )
    wrapper.chmod(0o755)
    one = Daemon({**programs, "bifurcated": wrapper}, tmp_path / "place", make_hub(garden).url, [], {})
    one.start()
    try:
        sweep = one.sweep(MODEL, metrics=["perplexity"], dataset=DATASET, limit=20,
                          revisions={"names": ["step14000"]})  # fmt: skip
        assert one.wait(sweep)["state"] == "done", one.log()
        scores = json.loads((REPOSITORY / "tests/fixtures/garden/golden/last_word_test.json").read_text())["scores"]
        expected = scores["step14000/fp32"]["logprobs"][:20]
        row = next(row for row in one.series(MODEL) if row["revision"] == "step14000")
        assert row["perplexity"] == pytest.approx(math.exp(-sum(expected) / 20), rel=1e-4)
    finally:
        one.check_end()


# -- Manuals and completion ----------------------------------------------------------------------------------


def test_manual_holds_every_option_and_command(programs: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "bifurcated.8"
    page.write_text(run(programs["bifurcated"], "--print-man").stdout)
    help_text = run(programs["bifurcated"], "--help").stdout
    text = page.read_text().replace("\\-", "-")
    options = set(re.findall(r"^ {2,6}(?:-\w, )?(--[a-z][a-z-]+)", help_text, re.M))
    commands = re.findall(r"^  ([a-z]+) ", help_text.split("Commands:")[1].split("\n\n")[0], re.M)
    assert len(options) > 25 and {"check", "backup", "restore"} <= set(commands)
    assert [name for name in options if f"\\fB{name}\\fR" not in text] == []
    assert [name for name in commands if f"\\fB{name}\\fR" not in text] == []
    for name in ("worker", "token"):
        lines = run(programs["bifurcated"], name, "--help").stdout.splitlines()
        assert len(lines) > 15 and [line for line in lines if line not in text.splitlines()] == []
    man = need("man")
    for source in (page, DEPLOY / "man/bifurcated.conf.5", REPOSITORY / "api/client/bifurcate.1"):
        shown = run(man, "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", source)
        assert shown.returncode == 0 and shown.stderr == "", (source.name, shown.stderr)


def test_manuals_name_documents_that_are_installed(programs: dict[str, Path], tmp_path: Path) -> None:
    installed = run("cmake", "--install", str(programs["bifurcated"].parent), "--component", "bifurcated", "--prefix", "/usr", env=os.environ | {"DESTDIR": str(tmp_path)})
    assert installed.returncode == 0, installed.stderr
    pages = run(programs["bifurcated"], "--print-man").stdout + (REPOSITORY / "api/client/bifurcate.1").read_text()
    named = set(re.findall(r"/usr/share/doc/bifurcated/[A-Z]+\.md", pages))
    assert len(named) == 3 and [name for name in named if not (tmp_path / name[1:]).is_file()] == []


def test_manual_of_the_client_holds_every_command(programs: dict[str, Path]) -> None:
    """With the arguments it takes, and every option of each, with what its value is called."""
    help_text = run(programs["bifurcate"], "--help").stdout
    text = (REPOSITORY / "api/client/bifurcate.1").read_text().replace("\\-", "-")
    commands = re.findall(r"^  ([a-z]+)((?: [A-Z]+)*)  ", help_text.split("options of every command:")[0], re.M)
    assert len(commands) > 25
    assert [name for name, words in commands if f'\n.BI {name} "{words}"\n' not in text and f"\n.B {name}\n" not in text] == []
    options = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", help_text, re.M))
    for name, _ in commands:
        options |= set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", run(programs["bifurcate"], name, "--help").stdout, re.M))
    headings = "\n".join(re.findall(r"^\.TP\n(.*)$", text, re.M))
    assert len(options) > 45 and [name for name in options if not re.search(f"{name}(?![a-z-])", headings)] == []


def test_completion(programs: dict[str, Path]) -> None:
    def complete(*words: str) -> list[str]:
        script = (
            f"source {DEPLOY}/completion/bifurcated; COMP_WORDS=(bifurcated \"$@\"); COMP_CWORD=$#; _bifurcated; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        shown = run("bash", "-c", script, "bash", *words, env={"PATH": f"{programs['bifurcated'].parent}:/usr/bin:/bin"})
        assert shown.returncode == 0 and shown.stderr == "", shown.stderr
        return shown.stdout.split()

    assert {"backup", "check", "prune", "recompute", "restore"} <= set(complete(""))
    assert complete("ba") == ["backup"]
    assert complete("--fet") == ["--fetchers"]
    assert complete("--keep", "") == ["nothing", "ranges", "files"]
    assert complete("--log-level", "w") == ["warning"]


# Real zsh and fish run the functions; of zsh, what would list the choices prints them.
ZSH = """
compadd() { [[ $1 == -a ]] && set -- ${(P)2}; print -rl -- $@ }
_describe() { print -rl -- ${${(P)2}//\\\\:/:} }
_files() { print -r -- FILES $PREFIX }
compset() { PREFIX=${PREFIX#${~2}} } # of -P
program=$1 file=$2; shift 2
words=($program "$@") CURRENT=$(($# + 1)) PREFIX=${words[-1]}
source $file
"""


@pytest.fixture(scope="module")
def asked(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that knows a model of the hub and two folders, one of a malicious name, for completions of their names."""
    root = tmp_path_factory.mktemp("asked")
    weights = next((garden / "models/garden/neox-tiny").rglob("step0"))
    with Emulator(garden) as hub:
        one = Daemon(programs, root, hub.url, [], {})
        one.start()
        one.folder, one.evil = root / "runs/one", root / "runs/$(touch pwned)"
        one.wait(one.sweep(MODEL, revisions={"names": ["step0"]}))
        for folder in (one.folder, one.evil):
            shutil.copytree(weights, folder / "step0")
            one.wait(one.sweep(f"file:{folder}"))
        assert {row["name"] for row in one.get("/v1/models").json()["models"]} == {MODEL, f"file:{one.folder}", f"file:{one.evil}"}
        yield one
        one.check_end()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_in_every_shell(programs: dict[str, Path], asked: Daemon, tmp_path: Path, shell: str) -> None:
    """The same choices in each: commands, options of a command, values, models that the daemon knows, files."""
    need(shell)

    def complete(program: str, *words: str) -> set[str]:
        folder = DEPLOY / "completion"
        line = " ".join([program, *words])
        script = {
            "bash": f'source {folder}/{program}; COMP_WORDS=({program} "$@"); COMP_CWORD=$#; COMP_LINE={shlex.quote(line)};'
            f' COMP_POINT=${{#COMP_LINE}}; _{program}; printf "%s\\n" "${{COMPREPLY[@]}}"',
            "zsh": ZSH,
            "fish": f"source {folder}/{program}.fish; complete -C {json.dumps(line)}",
        }[shell]
        more = {"bash": ["bash", *words], "zsh": ["zsh", program, folder / f"_{program}", *words], "fish": []}[shell]
        first = {"zsh": ["-f"], "fish": ["--no-config"]}.get(shell, [])
        env = {"PATH": f"{programs['bifurcated'].parent}:/usr/bin:/bin", "BIFURCATE_SERVER": asked.url, "HOME": str(tmp_path)}
        done = run(shell, *first, "-c", script, *more, env=env, cwd=DEPLOY)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        lines = {re.split(r"\t|(?<!file):", line)[0].rstrip("/") for line in done.stdout.splitlines()}
        assert not any("pwned" in line for line in lines)
        begun = re.sub("^(file:|--[a-z-]+=)", "", words[-1]) if shell == "bash" else words[-1]
        return {line for line in lines if line.startswith((begun, "FILES"))}  # zsh itself leaves the others out

    assert {"sweep", "series", "scaling", "status", "show", "sweeps"} == complete("bifurcate", "s")
    assert complete("bifurcate", "sweep", "--met") == {"--metric"} and complete("bifurcate", "series", "--met") == set()
    assert {"--json", "--csv", "--fields", "--server", "--help"} <= complete("bifurcate", "series", "--")
    assert complete("bifurcate", "sweep", "--metric", "p") == {"perplexity"}
    assert complete("bifurcate", "sweeps", "--state", "p") == {"planning"}
    assert complete("bifurcate", "jobs", "--state", "") == {"submitting", "pending", "running", "ended", "refused"}
    assert complete("bifurcate", "tasks", "--state", "") == {"queued", "claimed", "done", "failed", "cancelled"}
    assert complete("bifurcate", "issue", "--scopes", "w") == {"worker"}
    assert complete("bifurcate", "series", "gar") == {MODEL}
    assert complete("bifurcate", "models", "gar") == set() and complete("bifurcate", "revision", MODEL, "gar") == set()
    assert complete("bifurcate", "sweeps", "--model", "gar") == {MODEL}
    assert complete("bifurcate", "--server", asked.url, "ser") == {"series"}, "a value before the command is no command"
    assert complete("bifurcate", "--json", f"--server={asked.url}", "watch", "gar") == {MODEL}
    assert complete("bifurcate", "plot", "--panels", "heat,v") == {"heat,valley"}
    assert complete("bifurcate", "plot", "s") == {"scaling"}
    # readline begins a word behind a colon; names that a shell would run or take apart are not offered
    assert complete("bifurcate", "series", "file:/") in ({f"file:{asked.folder}"}, {str(asked.folder)})
    assert not list(DEPLOY.rglob("pwned"))
    assert complete("bifurcate", "models", "--token-file", "READ") in ({"README.md"}, {"FILES READ"})
    found = {"bash": {"README.md"}, "zsh": {"FILES READ"}, "fish": {"--token-file=README.md"}}[shell]
    assert complete("bifurcate", "models", "--token-file=READ") == found == complete("bifurcated", "--token-file=READ")
    assert complete("bifurcated", "ba") == {"backup"} and complete("bifurcated", "--fet") == {"--fetchers"}
    assert complete("bifurcated", "--keep", "f") == {"files"}
    assert complete("bifurcated", "worker", "--connect") == {"--connect", "--connect-ca-file", "--connections"} == complete("bifurcated", "--connect") | {"--connect", "--connect-ca-file"}
    for option in ("--tls-key", "--access-log", "--config"):
        assert complete("bifurcated", option, "READ") in ({"README.md"}, {"FILES READ"}), option
    assert complete("bifurcated", "worker", "--connect-ca-file", "READ") in ({"README.md"}, {"FILES READ"})
    assert complete("bifurcated", "backup", "READ") in ({"README.md"}, {"FILES READ"})
    assert complete("bifurcated", "--slurm-folder", "gra") in ({"grafana"}, {"FILES gra"})
    assert complete("bifurcated", "token", "r") == {"revoke"} and "--scopes" in complete("bifurcated", "token", "create", "--")


def test_completion_of_what_cannot_be_asked(programs: dict[str, Path]) -> None:
    """Models are completed before there is a command, too; what the daemon is refused with is nobody's option then."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        words = ["--server", f"https://127.0.0.1:{silent.getsockname()[1]}", "--ca-file", "/nowhere", "--model", ""]
        shown = run(programs["bifurcate"], "--complete", *words, env={"PATH": "/usr/bin:/bin"})
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "", "")


def test_completion_at_the_key_itself(programs: dict[str, Path], tmp_path: Path) -> None:
    """In bash as people use it: a program and files whose words the shell would still change."""
    (tmp_path / "my dir").mkdir()
    (tmp_path / "my dir/file.txt").touch()
    (tmp_path / "secret.txt").touch()
    (tmp_path / "bin").symlink_to(programs["bifurcate"].parent)
    ours, theirs = pty.openpty()
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "dumb", "INPUTRC": "/dev/null", "PS1": "$ ", "BIFURCATE_SERVER": "http://127.0.0.1:9"}
    words = ["bash", "--norc", "--noprofile", "-i"]
    shell = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=env, start_new_session=True)
    os.close(theirs)

    def type_until(text: str, shown: str) -> None:
        os.write(ours, text.encode())
        seen = ""
        while shown not in seen:
            assert select.select([ours], [], [], 60)[0], seen
            seen += os.read(ours, 4096).decode()

    try:
        type_until(f"source {DEPLOY}/completion/bifurcate; echo sou''rced\n", "sourced")
        type_until("~/bin/bifurcate seri\t", "series ")
        type_until("\x15~/bin/bifurcate models --token-file my\\ dir/f\t", "my\\ dir/file.txt ")
        type_until("\x15~/bin/bifurcate models --token-file=sec\t", "--token-file=secret.txt ")
        type_until(f"\x15source {DEPLOY}/completion/bifurcated; PATH=~/bin:$PATH; echo again sou''rced\n", "again sourced")
        type_until("bifurcated --token-file=sec\t", "--token-file=secret.txt ")
        type_until("\x15~/bin/bifurcate models --token-file 'my dir/f\t", "'my dir/file.txt' ")
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def test_completion_waits_for_no_silent_daemon(programs: dict[str, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = run(programs["bifurcate"], "--complete", "--server", silent_url, "series", "")  # within less than an answer may take
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_completion_knows_the_words_of_the_api(programs: dict[str, Path]) -> None:
    api = json.loads((REPOSITORY / "api/openapi.json").read_text())["components"]
    parameter, schema = api["parameters"], api["schemas"]
    words = {
        ("sweeps", "--state"): schema["SweepState"], ("tasks", "--state"): parameter["taskState"]["schema"],
        ("jobs", "--state"): parameter["jobState"]["schema"], ("sweep", "--metric"): schema["SweepRequest"]["properties"]["metrics"]["items"],
        ("sweep", "--mode"): schema["SweepRequest"]["properties"]["mode"], ("analyze", "--schedule"): parameter["schedule"]["schema"],
        ("scaling", "--view"): parameter["view"]["schema"], ("distribution", "--rows"): parameter["rows"]["schema"],
        ("issue", "--scopes"): schema["TokenRequest"]["properties"]["scopes"]["items"],
    }  # fmt: skip
    for (command, option), known in words.items():
        offered = run(programs["bifurcate"], "--complete", command, option, "").stdout.split()
        assert set(offered) == set(known["enum"]) - {None, "unknown"} and len(offered) == len(set(offered)), (command, option)
    for words, offered in ((["plot", "sc"], "scaling\tOnset against model size over all models\n"), (["plot", "a/b", "sc"], "")):
        assert run(programs["bifurcate"], "--complete", "--server", "http://127.0.0.1:9", *words).stdout == offered, words
    for panel in run(programs["bifurcate"], "--complete", "plot", "--panels", "").stdout.split():
        assert run(programs["bifurcate"], "plot", "x/y", "--panels", panel, "--server", "http://127.0.0.1:9").returncode == 3, panel


# -- Prometheus and Grafana ----------------------------------------------------------------------------------


@pytest.fixture
def metrics(daemon: Callable[..., Daemon], hub: Emulator, certificate: tuple[str, str]) -> Iterator[str]:
    tls = "--tls-certificate", certificate[0], "--tls-key", certificate[1]
    one = daemon(hub, *tls, "--slurm-workers-max", "1")  # which no cluster answers here; its metrics are there
    one.wait(one.sweep("org/small"))
    one.get("/v1/models")
    yield one.get("/metrics").text


def expressions() -> dict[str, str]:
    """Every query of alerts and dashboard by its title."""
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
    found = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    board = json.loads((DEPLOY / "grafana/bifurcated.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", []):  # rows have none
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            found[variable["name"]] = variable["query"]
    return found


def test_alerts_and_dashboard_name_what_there_is(metrics: str) -> None:
    names = set()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", metrics, re.M):
        names |= {name} if kind != "histogram" else {f"{name}{end}" for end in ("_bucket", "_sum", "_count")}
    operations = {
        operation["operationId"]
        for methods in json.loads((REPOSITORY / "api/openapi.json").read_text())["paths"].values()
        for operation in methods.values() if isinstance(operation, dict) and "operationId" in operation
    }  # fmt: skip
    queries = expressions()
    assert len(queries) > 25
    for title, query in queries.items():
        used = set(re.findall(r"\bbifurcated_\w+", query))
        assert used <= names, (title, used - names)
        assert used or "up{" in query, title
        for name, label, value in re.findall(r'(bifurcated_\w+)\{[^}]*?(state|outcome)="(\w+)"', query):
            assert f'{name}{{{label}="{value}"}}' in metrics, (title, label, value)
        for operation in re.findall(r'operation!?="(\w+)"', query):
            assert operation in operations, title


def test_every_metric_is_shown(metrics: str) -> None:
    """A metric without a panel is one that nobody looks at."""
    board = json.loads((DEPLOY / "grafana/bifurcated.json").read_text())
    shown = " ".join(target["expr"] for panel in board["panels"] for target in panel.get("targets", []))
    names = re.findall(r"^# TYPE (\w+)", metrics, re.M)
    assert len(names) > 35 and "bifurcated_slurm_failures_total" in names
    assert [name for name in names if not re.search(rf"\b{name}(_bucket)?\b", shown)] == []
    assert all(panel["description"] != panel["title"] for panel in board["panels"] if panel["type"] != "row")


def test_alerts_fire_when_they_should() -> None:
    promtool = need("promtool")
    for words in (("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")):
        done = run(promtool, *words, cwd=DEPLOY / "prometheus")
        assert done.returncode == 0, done.stdout + done.stderr


def test_panels_ask_what_prometheus_understands(tmp_path: Path) -> None:
    """Grafana puts its own variables in; with these, each query is one that Prometheus could keep as a rule."""
    promtool = need("promtool")
    variables = {"$__rate_interval": "5m", "$__range": "1h", "$__interval": "1m"}
    rules = []
    for number, (title, query) in enumerate(expressions().items()):
        if query.startswith("label_values("):
            continue  # Grafana's own
        for name, value in variables.items():
            query = query.replace(name, value)
        rules.append({"record": f"panel:{number}", "expr": re.sub(r"\$\{?\w+\}?", "any", query), "labels": {"title": title}})
    assert len(rules) > 40
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = run(promtool, "check", "rules", tmp_path / "panels.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
    tests = yaml.safe_load((DEPLOY / "prometheus/alerts_test.yml").read_text())
    names = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    quiet = {row["alertname"] for row in tests["tests"][0]["alert_rule_test"]}
    loud = {sample["labels"].split('"')[1] for test in tests["tests"][1:] for case in test.get("promql_expr_test", ()) for sample in case["exp_samples"]}
    assert quiet == names and loud == names
    assert all(rule["annotations"]["summary"] and rule["annotations"]["action"] for group in rules["groups"] for rule in group["rules"])


def test_panels_do_not_lie_on_each_other() -> None:
    panels = json.loads((DEPLOY / "grafana/bifurcated.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [(panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y) for panel in panels
             for x in range(panel["gridPos"]["w"]) for y in range(panel["gridPos"]["h"])]  # fmt: skip
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) == 23


# -- Kubernetes and containers -------------------------------------------------------------------------------


def manifests(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / f"kubernetes/{name}.yaml").read_text()))


def test_manifests_are_valid(programs: dict[str, Path], tmp_path: Path) -> None:
    """By Kubernetes' own schema; and what they say to the programs is what those understand."""
    validate = pytest.importorskip("kubernetes_validate").validate
    kinds = {}
    for document in manifests("daemon") + manifests("worker"):
        validate(document, "1.31", strict=True)
        kinds[document["kind"]] = document
    assert set(kinds) == {"ConfigMap", "Service", "StatefulSet", "Job"}
    daemon = kinds["StatefulSet"]["spec"]
    assert daemon["replicas"] == 1
    config = tmp_path / "bifurcated.conf"
    config.write_text(kinds["ConfigMap"]["data"]["bifurcated.conf"])
    report = json.loads(run(programs["bifurcated"], "check", "--json", "--config", config, "--offline", "yes").stdout)
    read = [row for row in report["findings"] if row["subject"] == "configuration"]
    assert read[0] == {"level": "ok", "subject": "configuration", "text": f"{config} was read"}
    mounted = {mount["mountPath"] for mount in daemon["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert {"/var/lib/bifurcated", "/etc/bifurcated", "/run/secrets/bifurcated"} <= mounted
    for workload in (kinds["StatefulSet"], kinds["Job"]):
        pod = workload["spec"]["template"]["spec"]
        names = {volume["name"] for volume in pod["volumes"]} | {"state"}
        assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} <= names
        assert pod["securityContext"]["runAsUser"] == 7143  # the number of the image's user


def test_pods_keep_files_where_they_may_write() -> None:
    """The root of their file system is read-only, and so is what the image's own configuration names."""
    kinds = {document["kind"]: document for document in manifests("daemon") + manifests("worker")}
    daemon, worker = (kinds[kind]["spec"]["template"]["spec"]["containers"][0] for kind in ("StatefulSet", "Job"))
    config = kinds["ConfigMap"]["data"]["bifurcated.conf"]
    folders = {"daemon": re.findall(r"^ *(?:state|hub-cache) = (\S+)$", config, re.M),
               "worker": [worker["args"][worker["args"].index("--hub-cache") + 1], worker["env"][0]["value"]]}  # fmt: skip
    assert len(folders["daemon"]) == len(folders["worker"]) == 2
    for pod in (daemon, worker):
        assert pod["securityContext"]["readOnlyRootFilesystem"]
        writable = [mount["mountPath"] for mount in pod["volumeMounts"] if not mount.get("readOnly")]
        for folder in folders[pod["name"]]:
            assert any(folder == path or folder.startswith(path + "/") for path in writable), (pod["name"], folder)


def test_the_pod_that_restores_is_as_the_daemons() -> None:
    """deploy/README.md's: its user, its image, and the volume that the manifest makes."""
    text = (DEPLOY / "README.md").read_text()
    pod = json.loads(re.search(r"kubectl run restore .*?--overrides='(.*?)'", text, re.DOTALL).group(1))["spec"]
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "restore"}, "spec": pod}, "1.31", strict=True)
    daemon = next(one for one in manifests("daemon") if one["kind"] == "StatefulSet")
    template, (claim,) = daemon["spec"]["template"]["spec"], daemon["spec"]["volumeClaimTemplates"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == f"{claim['metadata']['name']}-{daemon['metadata']['name']}-0"
    assert pod["securityContext"].items() <= template["securityContext"].items()
    restore, serving = pod["containers"][0], template["containers"][0]
    assert restore["image"] == serving["image"] and restore["volumeMounts"][0] in serving["volumeMounts"]


def test_worker_manifest_names_options_that_there_are(programs: dict[str, Path]) -> None:
    general = run(programs["bifurcated"], "--help").stdout
    (job,) = manifests("worker")
    words = job["spec"]["template"]["spec"]["containers"][0]["args"]
    known = general + run(programs["bifurcated"], "worker", "--help").stdout
    assert words[0] == "worker"
    assert [word for word in words if word.startswith("--") and f"  {word} " not in known] == []


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_container_files_name_what_there_is(name: str) -> None:
    text = (DEPLOY / "container" / name).read_text().replace("\\\n", " ")
    steps = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    for source in (words.split()[0] for step, words in steps if step == "COPY" and not words.startswith("--")):
        assert (REPOSITORY / source).exists(), source
    packages = (DEPLOY / "packages.sh").read_text()
    used = set(re.findall(r"\$(packages_\w+)", text))
    assert "packages_build" in used and all(f'\n{name}="' in packages for name in used)
    presets = json.loads((REPOSITORY / "CMakePresets.json").read_text())
    for preset in re.findall(r"cmake --preset (\S+)", text):
        assert any(row["name"] == preset for row in presets["configurePresets"])
        assert f"build/{preset}/*.deb" in text
    unit_program = re.search(r"^ExecStart=(\S+)", (DEPLOY / "systemd/bifurcated.service").read_text(), re.M).group(1)
    assert ["ENTRYPOINT", json.dumps([unit_program])] in steps
    assert ["USER", "7143:7143"] in steps and text.count("--uid 7143") == 1


def test_packages_exist() -> None:
    """Every Debian package that is named anywhere is one; and one of Ubuntu, unless deploy/test goes on without."""
    policy = need("apt-cache")
    names, debians = {"systemd-standalone-sysusers"}, {"packages_browser", "packages_quicker"}
    is_ubuntu = platform.freedesktop_os_release()["ID"] == "ubuntu"
    for block, words in re.findall(r'^(packages_\w+)="([^"]*)"', (DEPLOY / "packages.sh").read_text(), re.M):
        names |= set() if is_ubuntu and block in debians else set(words.split())
    shown = run(policy, "policy", *sorted(names)).stdout
    found = set(re.findall(r"^([\w.+-]+):\n  Installed: .*\n  Candidate: (?!\(none\))", shown, re.M))
    if not found:
        pytest.skip("apt has no lists of packages here")
    assert names - found == set()
