"""`bifurcate` as people and scripts use it: output, exit statuses, interruption."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from running import Daemon, model_path, wait_until

from tests.hub import Emulator

MODEL = "garden/neox-tiny"


@pytest.fixture(scope="module")
def measured(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Emulator(garden) as hub, Daemon(programs, tmp_path_factory.mktemp("measured"), hub.url, [], {}) as one:
        done = one.client("sweep", MODEL, "--revision", "step0", "--revision", "step512", "--follow")
        assert done.returncode == 0, done
        assert "done" in done.stderr and "\r" not in done.stderr, done
        yield one


def run(programs: dict[str, Path], *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The client without a daemon."""
    return subprocess.run(
        [str(programs["bifurcate"]), *arguments],
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_says_what_to_start_when_no_daemon_answers(programs: dict[str, Path]) -> None:
    for command in (["models"], ["status"], ["sweep", MODEL], ["follow", "1"], ["series", MODEL]):
        done = run(programs, *command, BIFURCATE_SERVER="http://127.0.0.1:1")
        assert done.returncode == 3, done
        assert "no daemon answers at http://127.0.0.1:1" in done.stderr and "Start the daemon with `bifurcated`" in done.stderr, done


def test_https_where_http_is_spoken(measured: Daemon) -> None:
    secure = measured.client("models", "--server", measured.url.replace("http", "https"))
    assert secure.returncode == 3 and f"write {measured.url}" in secure.stderr and "Start the daemon" not in secure.stderr, secure


def test_a_proxy_of_the_environment_is_not_for_this_machine(measured: Daemon) -> None:
    """It would reach another machine's loopback, or be refused here as one that passes on the writes of others."""
    proxies = dict.fromkeys(("http_proxy", "all_proxy"), "http://127.0.0.1:1")
    assert measured.client("models", env=proxies).returncode == 0
    port = measured.url.rpartition(":")[2]
    dotted = measured.client("models", env=proxies | {"BIFURCATE_SERVER": f"http://localhost.:{port}"})
    assert dotted.returncode == 0 or "resolve" in dotted.stderr, dotted  # not every resolver knows it, but none is the proxy
    for here in ("LocalHost", "127.1"):
        assert measured.client("models", env=proxies | {"BIFURCATE_SERVER": f"http://{here}:{port}"}).returncode == 0, here
    for name in ("daemon.invalid", "localhost.invalid", "127.invalid", "127.0.0.1.invalid", "127.0.0.1@daemon.invalid"):
        away = measured.client("models", env=proxies | {"BIFURCATE_SERVER": f"http://{name}:7143"})
        assert away.returncode == 3 and "connect to server" in away.stderr, away


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["sweep"],
        ["sweep", MODEL, MODEL, "--key", "a"],
        ["sweep", MODEL, "--limit", "500"],
        ["sweep", MODEL, "--metric", "statistics", "--mode", "tokens"],
        ["series"],
        ["series", MODEL, MODEL],
        ["cancel"],
        ["cancel", "1", "all"],
        ["models", "--follow"],
        ["sweep", MODEL, "--from"],
        ["sweep", MODEL, "--from", "x"],
        ["series", MODEL, "--json", "--csv"],
        ["follow", "one"],
        ["models", "--server", "ftp://x"],
        ["models", "--nothing"],
    ],
)
def test_wrong_usage_is_2(programs: dict[str, Path], arguments: list[str]) -> None:
    done = run(programs, *arguments)
    assert done.returncode == 2, done
    assert done.stderr.startswith("bifurcate: ") and not done.stdout, done


@pytest.mark.parametrize(
    "words",
    [
        ["sweep", b"garden/\xff"],
        ["sweep", MODEL, "--revision", b"\xff"],
        ["sweep", MODEL, "--metric=perplexity", b"--dataset=\xff"],
        ["perplexity", MODEL, "--file", b"\xff.jsonl"],
        ["watch", MODEL, "--at", b"\xff"],
        ["issue", b"\xff", "--scopes", "read"],
    ],
)
def test_what_is_not_utf8_is_told(programs: dict[str, Path], words: list[str | bytes]) -> None:
    """Left out of the request, it would be another one: of all revisions, of other texts."""
    done = run(programs, *words)
    assert done.returncode == 2 and done.stderr.splitlines()[0].endswith("not UTF-8"), done


def test_a_path_that_is_not_utf8_is_told(programs: dict[str, Path], tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(folder)
    (Path(os.fsdecode(folder)) / "a.jsonl").write_text('{"text": "a"}')
    for words in (["perplexity", MODEL, "--revision", "step1", "--file", "a.jsonl"], ["series", "."]):
        done = subprocess.run([programs["bifurcate"], *words], cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and "not UTF-8" in done.stderr, done


def test_help_of_each_command(programs: dict[str, Path]) -> None:
    whole = run(programs, "--help")
    assert whole.returncode == 0 and "exit status" in whole.stdout
    names = re.findall(r"^  ([a-z]+) ", whole.stdout.split("options of every command:")[0], re.M)
    assert {"sweep", "perplexity", "series", "models", "status"} <= set(names)
    assert re.findall(r"^([A-Z].*):$", whole.stdout, re.M) == [
        "Measure", "Read results", "Follow the work", "Watch a model that is still being trained", "The daemon"
    ]
    for name in names:
        done = run(programs, name, "--help")
        assert done.returncode == 0 and f"usage: bifurcate {name}" in done.stdout, done
        own, common = done.stdout.split("options of every command:\n")
        assert "--server URL" in common and "--server URL" not in own, done
    assert "--limit N                so many revisions" in run(programs, "displacement", "--help").stdout
    assert "may be repeated" not in run(programs, "perplexity", "--help").stdout


def test_errors_name_the_option(measured: Daemon, tmp_path: Path) -> None:
    """Not the member of the request that the option became."""
    for words, said in (
        (["sweep", MODEL, "--from", "-1"], "--from: not an integer from 0 to "),
        (["sweep", MODEL, "--from", "9", "--to", "5"], '--to: less than "from"'),
        (["sweep", MODEL, "--every", "0"], "--every: not an integer"),
        (["sweep", MODEL, "--metric", "speed"], "--metric: not one of: statistics, perplexity"),
        (["sweep", MODEL, "--revision", ""], "--revision: "),
        (["sweep", MODEL, "--priority", "1000"], "--priority: not an integer from -100 to 100"),
        (["watch", MODEL, "--every-minutes", "0"], "--every-minutes: not an integer"),
        (["analyze", MODEL, "--schedule", "cosine"], "--peak: a schedule needs"),
        (["distribution", MODEL, "--bins", "0"], "--bins: not an integer"),
        (["sweeps", "--state", "asleep"], "--state: not one of "),
        (["perplexity", MODEL, "--revision", "step0", "--revision", "step512"], "`bifurcate sweep garden/neox-tiny --metric perplexity`"),
        (["plot", MODEL, "-o", str(tmp_path / "forking.PNG")], "name a file .svg"),
        (["sweep", "pythia-14m"], "model pythia-14m: write owner/name, as in EleutherAI/pythia-14m"),
        (["sweep", "gpt2"], "model gpt2: write owner/name, openai-community/gpt2, or file:/path"),
        (["series", f"https://huggingface.co/{MODEL}"], ": write owner/name, as in "),
    ):
        done = measured.client(*words)
        assert done.returncode == 2 and said in done.stderr and done.stdout == "", (words, done)
    assert list(tmp_path.iterdir()) == []
    for words, advice in (
        (["show", "99"], "`bifurcate sweeps`"),
        (["history", "1", "99999"], "`bifurcate tasks ID`"),
        (["revision", MODEL, "step9"], "`bifurcate series MODEL --stepless`"),
        (["series", "nobody/nothing"], "`bifurcate sweep MODEL`"),
        (["sweeps", "--model", "nobody/nothing"], "`bifurcate sweep MODEL`"),
        (["watch", MODEL], "`bifurcate watch MODEL --at 02:30`"),
    ):
        done = measured.client(*words)
        assert done.returncode == 4 and advice in done.stderr.splitlines()[1], (words, done)


def test_a_folder_named_like_a_model_is_told(measured: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`runs/llama` is a name on the hub, also where a folder of checkpoints of that name lies in the working folder."""
    note = "runs/llama is taken as a model on the hub; the folder of that name is ./runs/llama\n"
    ways = [["sweep", "runs/llama", "--priority", "1000"], ["watch", "runs/llama", "--every-minutes", "0"], ["perplexity", "runs/llama", "--limit", "-1"]]
    monkeypatch.chdir(tmp_path)
    assert not any("is taken as" in measured.client(*words).stderr for words in ways)
    (tmp_path / "runs/llama").mkdir(parents=True)
    for words in ways:
        done = measured.client(*words)
        assert done.returncode == 2 and note in done.stderr, done
    done = measured.client("series", "runs/llama")
    assert done.returncode == 4 and note in done.stderr, done


def test_series_in_three_forms(measured: Daemon) -> None:
    rows = [row for row in measured.series(MODEL) if row["state"] == "measured"]
    found = json.loads(measured.client("series", MODEL, "--json").stdout)["revisions"]
    assert [row for row in found if row["state"] == "measured"] == rows
    text = measured.client("series", MODEL, "--csv").stdout
    lines = [line for line in csv.DictReader(io.StringIO(text, newline="")) if line["state"] == "measured"]
    assert [float(line["msd"]) for line in lines] == [row["msd"] for row in rows]
    table = measured.client("series", MODEL)
    assert table.returncode == 0 and "tokens_centred_ashman_d" in table.stdout and "perplexity" not in table.stdout and "step512" in table.stdout, table
    few = measured.client("series", MODEL, "--fields", "step,mean", "--from", "512", "--to", "512", "--csv")
    assert few.stdout.splitlines()[0] == "step,mean" and few.stdout.splitlines()[1].startswith("512,"), few


def test_lists_and_single_things(measured: Daemon) -> None:
    assert MODEL in measured.client("models").stdout
    assert json.loads(measured.client("models", "--json").stdout)["models"][0]["name"] == MODEL
    assert "done" in measured.client("sweeps", "--model", MODEL).stdout
    shown = measured.client("show", "1").stdout.splitlines()
    assert shown[0].startswith(f"sweep 1 of {MODEL}: done; 2/2 revisions, "), shown
    assert shown[1:] == ['  asked for: {"revisions": {"names": ["step0", "step512"]}}'], shown
    assert "bimodality" in measured.client("revision", MODEL, "step512").stdout
    assert "cpu" in measured.client("devices").stdout
    assert measured.url in measured.client("status").stdout


def test_weights_that_stand_still_are_told_in_one_line(measured: Daemon, garden: Path, tmp_path: Path) -> None:
    for step in range(5):
        (tmp_path / f"step{step}").symlink_to(garden / "models" / MODEL / "step0")
    (tmp_path / "step512").symlink_to(garden / "models" / MODEL / "step512")
    model = f"file:{tmp_path}"
    assert measured.wait(measured.sweep(model))["state"] == "done"
    assert [one["kind"] for one in measured.get(f"/v1/models/{model_path(model)}/audit").json()["findings"]] == ["unchanged"] * 4
    told = measured.client("audit", model).stdout
    assert told.count("unchanged") == 1 and "the same holds of the next 3, up to step4" in " ".join(told.split()), told


def test_a_mistyped_revision_gets_a_guess(measured: Daemon) -> None:
    for command in ("revision", "values"):
        done = measured.client(command, MODEL, "stpe512")
        assert done.returncode == 4 and 'revision stpe512 is not known; did you mean "step512"?\n' in done.stderr, done
    assert "did you mean" not in measured.client("revision", MODEL, "anything").stderr
    done = measured.client("sweep", MODEL, "--revision", "step512", "--revision", "step51Z")
    assert done.returncode == 0 and done.stderr.startswith(f"step51Z of {MODEL} is not known so far, and is asked for; did you mean ") and done.stderr.count("\n") == 1, done
    assert not measured.client("sweep", "garden/unheard-of", "--revision", "step1").stderr, "of a model that is not known, nothing is"


def test_not_found_is_4(measured: Daemon) -> None:
    for command in (["series", "garden/absent"], ["show", "99"], ["follow", "99"], ["revision", MODEL, "step9"]):
        done = measured.client(*command)
        assert done.returncode == 4 and done.stderr.startswith("bifurcate: ") and "status 404" not in done.stderr, done


def test_each_status_means_one_thing(programs: dict[str, Path], measured: Daemon) -> None:
    """As the table says, in --help and the manual, whatever the command is."""
    table = dict(re.findall(r"^  (\d+) +(.+)$", run(programs, "--help").stdout.split("exit status:\n")[1], re.M))
    manual = (Path(__file__).resolve().parents[2] / "api/client/bifurcate.1").read_text()
    assert table == dict(re.findall(r"^\.B (\d+)\n(.+)$", manual, re.M)) and list(table) == ["0", "1", "2", "3", "4", "5", "130"]
    model, number = "nobody/nothing", "987654"
    known = {"MODEL": model, "MODEL...": model, "[MODEL...]": model, "ID": number, "ID...": number, "[ID...]": number,
             "TASK": number, "REVISION": "step0", "TOKEN": number, "NAME": "somebody"}  # fmt: skip
    usages = dict(re.findall(r"^  ([a-z]+)((?: \S+)*?)  +\S", run(programs, "--help").stdout.split("options of every command:")[0], re.M))
    assert len(usages) > 25
    for name, usage in usages.items():
        words = [name, *(known[word] for word in usage.split() if word in known)]
        assert run(programs, *words, "--nonsense").returncode == 2, name
        needed = {"watch": ["--at", "02:30"], "issue": ["--scopes", "read"], "plot": ["-o", "-"], "remove": ["--yes"]}.get(name, [])
        silent = run(programs, *words, *needed, BIFURCATE_SERVER="http://127.0.0.1:1")
        assert silent.returncode == 3, (words, silent)
        if not usage or name in ("sweep", "watch", "perplexity", "issue"):
            continue  # they name nothing, or make what they name
        absent = measured.client(*words, *needed)
        # that of a token is told to nobody without one
        assert absent.returncode == (4 if name != "revoke" else 5) and absent.stderr.startswith("bifurcate: "), (words, absent)
        numbers = [at for at, word in enumerate(words) if word == number]
        for at in numbers:
            wrong = measured.client(*words[:at], "x", *words[at + 1 :])
            assert wrong.returncode == 2 and "x: not the number of a " in wrong.stderr, (words, wrong)


def test_a_sweep_with_failures_is_1(measured: Daemon) -> None:
    done = measured.client("sweep", MODEL, "--revision", "absent", "--follow")
    assert done.returncode == 1 and "absent" in done.stderr, done
    done = measured.client("sweep", "garden/nowhere", "--follow")
    assert done.returncode == 1 and "garden/nowhere" in done.stderr, done


def test_other_tensors_are_found_and_listed(measured: Daemon) -> None:
    """A part of a name tells the names, a pattern takes them all, and what reads results is told which there are."""
    names = [f"gpt_neox.layers.{layer}.attention.query_key_value.weight" for layer in (0, 1)]
    two = ["--revision", "step0", "--revision", "step512", "--follow"]
    failed = measured.client("sweep", MODEL, "--tensor", "query_key_value", *two)
    assert failed.returncode == 1 and "names with that in them include gpt_neox.layers.0.attention.query_key_value.bias, " + names[0] in failed.stderr
    done = measured.client("sweep", MODEL, "--tensor", "gpt_neox.layers.*.query_key_value.weight", *two)
    assert done.returncode == 0 and f"See `bifurcate tensors {MODEL}`, and `bifurcate series {MODEL} --tensor NAME` of each.\n" in done.stderr
    done = measured.client("sweep", MODEL, "--tensor", names[0], *two)
    assert done.returncode == 0 and f"See `bifurcate series {MODEL} --tensor {names[0]}`.\n" in done.stderr
    listed = list(csv.DictReader(io.StringIO(measured.client("tensors", MODEL, "--csv").stdout)))
    assert listed == [{"tensor": name, "measured_count": "2"} for name in ("embed_out.weight", *names)]
    assert [line.split() for line in measured.client("tensors", MODEL).stdout.splitlines()[1:]] == [list(row.values()) for row in listed]
    assert [one["tensor"] for one in measured.read(f"/v1/models/{MODEL}")["tensors"]] == ["embed_out.weight", *names]
    assert "`bifurcate tensors MODEL` lists what is measured" in measured.client("analyze", MODEL, "--tensor", "query_key_value").stderr
    scaling = json.loads(measured.client("scaling", "--tensor", names[1], "--json").stdout)
    assert scaling["tensor"] == names[1] and [one["model"] for one in scaling["models"]] == [MODEL]
    assert json.loads(measured.client("scaling", "--tensor", "none", "--json").stdout)["models"] == []
    assert f"Onset of forking of {names[1]}, token rows" in measured.client("scaling", "--tensor", names[1]).stdout


def test_a_reference_that_is_not_there_measures_nothing(measured: Daemon) -> None:
    done = measured.client("sweep", MODEL, "--reference", "step513", "--follow")
    assert done.returncode == 1 and "failed; 0 of 0 revisions" in done.stderr, done
    assert f'not_found: {MODEL} has no revision step513 for displacements to start from; did you mean "step512"?' in done.stderr, done
    done = measured.client("sweep", MODEL, "--revision", "step512", "--reference", "main", "--follow")
    assert done.returncode == 0, done
    assert measured.client("sweep", MODEL, "--revision", "step512", "--reference", "step0", "--follow").returncode == 0


def test_a_name_whose_sweep_failed_is_not_found(measured: Daemon, tmp_path: Path) -> None:
    """The daemon keeps the name for the sweep's sake; whoever asks for it learns what failed."""
    assert measured.client("sweep", "garden/neox-tinny", "--follow").returncode == 1
    commands = ["series", "analyze", "audit", "distribution", "columns", "trajectories", "displacement", "plot", "revision"]
    for command in commands:
        words = ["step0"] if command == "revision" else ["-o", str(tmp_path / "x.svg")] if command == "plot" else []
        done = measured.client(command, "garden/neox-tinny", *words)
        assert done.returncode == 4 and not done.stdout, done
        error, advice = done.stderr.splitlines()
        assert re.match(r"bifurcate: model garden/neox-tinny is not known: sweep \d+ of it failed: no public model", error), done
        assert error.endswith('; did you mean "garden/neox-tiny"?') and "`bifurcate models`" in advice, done
    assert not (tmp_path / "x.svg").exists()
    assert measured.client("series", "garden/neox-tinny", "--json").returncode == 4
    watched = measured.client("watch", "garden/neox-tinny", "--at", "02:30")
    assert watched.returncode == 0 and watched.stderr.endswith('the next run looks for them; did you mean "garden/neox-tiny"?\n'), watched
    assert measured.client("unwatch", "garden/neox-tinny").returncode == 0
    assert measured.client("watch", MODEL, "--at", "02:30").stderr == "" and measured.client("unwatch", MODEL).returncode == 0
    none = measured.client("series", MODEL, "--from", "1000000")
    assert none.returncode == 0 and none.stderr == "no revision lies between these steps\n", none


def write_checkpoints(folder: Path, names: list[str]) -> None:
    """A folder of checkpoints of a small unembedding each, all different."""
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        values = [(number + i) / 1000 for i in range(64)]
        head = json.dumps({"lm_head.weight": {"dtype": "F32", "shape": [16, 4], "data_offsets": [0, 256]}}).encode()
        (folder / name / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + struct.pack("<64f", *values))


def test_nothing_measured_is_no_page_of_not_enough_data(daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Path) -> None:
    one = daemon(make_hub(garden), "--fetchers", "0")
    one.wait(one.sweep(MODEL), lambda now: now["state"] == "running")
    done = one.client("analyze", MODEL)
    assert done.returncode == 0 and done.stdout == f"{MODEL}, embed_out.weight: 0 of 25 revisions measured\n" and "nothing to analyze yet" in done.stderr, done


def test_a_series_says_why_rows_failed(daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Path, tmp_path: Path) -> None:
    """A line below the table for each reason, however many rows it ended; programs have the column `error`."""
    hub = make_hub(garden)
    one = daemon(hub)
    for name in ("step8", "step32"):
        hub.fault("status", status=403, revision=hub.sha(MODEL, name), file="bin" if name == "step8" else "safetensors")
    assert one.client("sweep", MODEL, "--to", "32", "--tensor", "embed_uot.weight").returncode == 0
    wait_until(lambda: one.get("/v1/sweeps/1").json()["state"] == "failed")
    shown = one.client("series", MODEL, "--to", "32")
    rows, reasons = shown.stdout.splitlines(), shown.stderr.splitlines()
    assert len(rows) == 8 and "error" not in rows[0], shown
    alike = [line for line in reasons if "no tensor is named embed_uot.weight" in line]
    assert len(alike) == 1 and re.match(r"  step0 and 4 more: ", alike[0]) and len(reasons) <= 3, shown
    assert not one.client("series", MODEL, "--csv").stderr
    write_checkpoints(tmp_path / "run", ["step1"])
    assert one.wait(one.sweep(f"file:{tmp_path / 'run'}", tensors=["lm_head.weight"]))["state"] == "done"
    both = one.client("series", f"file:{tmp_path / 'run'}", MODEL, "--to", "32")
    assert len(both.stdout.splitlines()) == 9 and both.stderr.splitlines() == [f"{MODEL}:", *reasons], both
    write_checkpoints(tmp_path / "run", ["step4"])
    (tmp_path / "run/step4/model.safetensors").write_bytes(b"cut")
    done = one.client("sweep", f"file:{tmp_path / 'run'}", "--tensor", "lm_head.weight", "--follow")
    assert done.returncode == 1 and "  The same `bifurcate sweep` again measures what is missing, and no more.\n" in done.stderr, done
    assert "nothing found so far; `bifurcate series` says what is not measured" in one.client("audit", f"file:{tmp_path / 'run'}").stdout


def test_main_alone_is_no_series(daemon: Callable[..., Daemon], make_hub: Callable[..., Any], tmp_path: Path) -> None:
    """Of a branch whose commits and folders give no steps, the error says where was looked, and how a rule says where they are."""
    write_checkpoints(tmp_path / "models/me/run", ["main"])
    write_checkpoints(tmp_path / "run", ["step-9", "step-10", "step-500"])
    write_checkpoints(tmp_path / "other", ["step-1"])
    one = daemon(make_hub(tmp_path))
    done = one.client("sweep", "me/run", "--follow")
    looked = 'its only revision is main, and no checkpoint is named by its step there (looked at 0 folders of main that hold checkpoints, 1 commit of main'
    assert done.returncode == 1 and looked in done.stderr, done
    assert all(rule in done.stderr for rule in ('"main:checkpoint-{step}"', '"main^Step {step}"', '"hf://OWNER/NAME-step{step}"')), done
    # Nor is a folder of checkpoints a checkpoint: which there are is said to whoever names none.
    none = one.client("perplexity", str(tmp_path / "run"))
    assert none.returncode == 1 and "it is no checkpoint itself but holds 3 (step-9 ... step-500); name one as the revision" in none.stderr, none
    itself = one.client("sweep", str(tmp_path / "run/step-9"), "--follow")
    assert itself.returncode == 1 and "if this folder is a checkpoint itself, sweep the one that holds it" in itself.stderr, itself
    both = one.client("sweep", str(tmp_path / "run"), str(tmp_path / "other"), "--follow")
    assert both.stderr.endswith("See `bifurcate series MODEL` for each, `bifurcate scaling` for all.\n") and both.stderr.count("See `") == 1, both


def test_names_without_a_step_are_told(measured: Daemon, tmp_path: Path) -> None:
    """A sweep takes the others, and says with the audit which it passed over and what to do."""
    write_checkpoints(tmp_path / "run", ["step8", "step16", "step512", "main", "best", "epoch-7"])
    model = f"file:{tmp_path}/run"
    done = measured.client("sweep", model, "--tensor", "lm_head.weight", "--follow")
    assert done.returncode == 0 and "passed over: 2 revisions have names that give no step: best, epoch-7. They" in done.stderr, done
    number = re.search(r"sweep (\d+)", done.stderr).group(1)
    told = measured.read(f"/v1/sweeps/{number}")
    assert told["progress"]["done"] == 3 and told["passed_over"]["count"] == 2
    assert told["passed_over"]["names"] == ["best", "epoch-7"] and "--revision" in told["passed_over"]["text"]
    assert "give no step: best, epoch-7" in measured.client("show", number).stderr
    audit = measured.client("audit", model)
    assert "2 revisions have names that give no step: best, epoch-7" in " ".join(audit.stdout.split()), audit
    named = measured.client("sweep", model, "--revision", "best", "--tensor", "lm_head.weight", "--follow")
    assert named.returncode == 0 and "passed over" not in named.stderr, named
    number = re.search(r"sweep (\d+)", named.stderr).group(1)
    assert measured.read(f"/v1/sweeps/{number}")["passed_over"] is None


def test_seeds_of_one_repository_are_runs_of_their_own(measured: Daemon, tmp_path: Path) -> None:
    """As DataDecide's: a series is of one seed, and what is passed over says how another one is taken instead."""
    steps, others = (8, 16), ("small-aux-2", "small-aux-3")
    write_checkpoints(tmp_path / "run", [f"step{step}-seed-{seed}" for step in steps for seed in ("default", *others)])
    model = f"file:{tmp_path}/run"
    for rule, seed in ((), "default"), (("--rule", "step{step}-seed-small-aux-2"), "small-aux-2"), ((), "small-aux-2"):
        done = measured.client("sweep", model, *rule, "--tensor", "lm_head.weight", "--follow")
        assert done.returncode == 0 and "4 revisions have names that give no step" in done.stderr, done
        rows = list(csv.DictReader(io.StringIO(measured.client("series", model, "--csv").stdout)))
        shown = [(row["revision"], row["step"]) for row in rows if row["step"]]
        assert shown == [(f"step{step}-seed-{seed}", str(step)) for step in steps], rows
        told = " or ".join(f"'step{{step}}-seed-{other}'" for other in ("default", *others) if other != seed)
        assert f"takes the place of this one by the rule {told}" in done.stderr, done


def test_unusual_names_need_a_rule_once(measured: Daemon, tmp_path: Path) -> None:
    """The error says which option; later sweeps and a watch take the rule over, and other revisions keep their steps."""
    write_checkpoints(tmp_path / "run", [f"epoch={epoch}-step={step}" for epoch, step in ((0, 8), (1, 16), (2, 512))])
    model = f"file:{tmp_path}/run"
    refused = measured.client("sweep", model, "--follow")
    assert refused.returncode == 1 and "(--rule) such as \"epoch={epoch}-step={step}\"" in refused.stderr and "epoch=0-step=8" in refused.stderr, refused
    for words in (("--rule", "epoch={epoch}-step={step}"), ("--revision", "epoch=1-step=16", "--tensor", "lm_head.weight"), ()):
        done = measured.client("sweep", model, *words, "--follow")
        assert done.returncode == 0, done
        rows = list(csv.DictReader(io.StringIO(measured.client("series", model, "--csv").stdout)))
        assert [(row["step"], row["state"]) for row in rows] == [("8", "measured"), ("16", "measured"), ("512", "measured")], words
    looked = measured.client("watch", model, "--at", "02:30", "--now", "--json")
    assert looked.returncode == 0 and json.loads(looked.stdout)["last_run"] is not None
    assert [row["step"] for row in csv.DictReader(io.StringIO(measured.client("series", model, "--csv").stdout))] == ["8", "16", "512"]
    assert measured.client("unwatch", model).returncode == 0


def test_interrupted_the_sweep_goes_on(
    programs: dict[str, Path], daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Any
) -> None:
    one = daemon(make_hub(garden, bandwidth_bps=200_000))
    process = subprocess.Popen(
        [str(programs["bifurcate"]), "sweep", MODEL, "--follow", "--server", one.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline()  # of the sweep that it has begun and follows
    one.wait(1, lambda row: row["state"] == "running" and row["progress"]["running"] > 0)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "bifurcate follow 1" in errors and "bifurcate cancel 1" in errors, errors
    assert one.get("/v1/sweeps/1").json()["state"] == "running"
    ended = one.client("cancel", "1")
    assert ended.returncode == 0 and "cancelled" in ended.stdout, ended
    assert one.client("follow", "1").returncode == 1


def test_several_models_and_sweeps_at_once(
    programs: dict[str, Path], daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Any
) -> None:
    one = daemon(make_hub(garden))
    few = ["--revision", "step0", "--revision", "step512"]
    done = one.client("sweep", MODEL, "garden/nowhere", MODEL, *few, "--follow")
    assert done.returncode == 1 and done.stdout == "", done
    assert "sweep 1 of garden/neox-tiny: done; 2 of 2 revisions measured" in done.stderr, done
    assert "sweep 2 of garden/nowhere: failed" in done.stderr and "no public model garden/nowhere" in done.stderr, done
    *_, sums, where = done.stderr.splitlines()
    assert sums.startswith("3 of 3 sweeps ended; 4/4 revisions") and where == f"See `bifurcate series {MODEL}`.", done
    assert done.stderr.count("See `") == 1, "once for all"
    assert "no public model garden/nowhere" in one.client("sweeps").stdout
    again = one.client("sweep", MODEL, MODEL, *few, "--follow", "--json")
    sweeps = json.loads(again.stdout)["sweeps"]
    assert again.returncode == 0 and [(row["id"], row["state"]) for row in sweeps] == [(4, "done"), (5, "done")], again
    mistyped = one.client("sweep", MODEL, "nowhere", MODEL, *few)
    assert mistyped.returncode == 2 and mistyped.stdout == "" and "model nowhere: write owner/name" in mistyped.stderr, mistyped
    wrong = one.client("sweep", MODEL, "file:no/where", MODEL, *few)
    assert wrong.returncode == 2 and re.match("sweep 6 of garden/neox-tiny: (planning|running)", wrong.stdout), wrong
    assert "file:no/where: model: neither owner/name" in wrong.stderr and "1 of 3 sweeps were started; that of file:no/where was not" in wrong.stderr, wrong
    assert one.client("follow", "6", "5", "4").returncode == 0
    assert one.client("follow", "6", "99").returncode == 4


def test_a_log_gets_few_lines_and_the_end_says_where_to_look(
    programs: dict[str, Path], daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Any
) -> None:
    """A file keeps every line of progress: of hours it shall not be thousands."""
    one = daemon(make_hub(garden, bandwidth_bps=1_000_000))
    begun = time.monotonic()
    done = one.client("sweep", MODEL, "--follow")
    lines = [line for line in done.stderr.splitlines() if re.match(r"\d+/\d+ revisions|planning:", line)]
    assert len(lines) <= 3 + (time.monotonic() - begun) / 10 and lines[-1].startswith("25/25 revisions"), done
    assert done.stderr.splitlines()[-1] == f"See `bifurcate series {MODEL}`.", done
    main = one.client("sweep", MODEL, "--revision", "main", "--follow")
    assert main.stderr.splitlines()[-1] == f"See `bifurcate revision {MODEL} main`.", "which is no part of the series"
    folder = one.client("sweep", f"file:{garden}/models/{MODEL}", "--to", "0", "--follow")
    assert re.search(r": done; 1 of 1 revisions measured\n", folder.stderr) and " B" not in folder.stderr, folder
    missing = one.client("watch", MODEL)
    assert missing.returncode == 4 and "`bifurcate watch MODEL --at 02:30` makes one" in missing.stderr, missing


def test_all_sweeps_at_work(
    programs: dict[str, Path], daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Any
) -> None:
    one = daemon(make_hub(garden, bandwidth_bps=100_000))
    idle = one.client("follow")
    assert idle.returncode == 0 and idle.stderr.startswith("no sweep is active"), idle
    assert one.client("cancel", "all").stderr == "no sweep is active\n"
    begun = one.client("sweep", MODEL, MODEL, MODEL, "--json")
    assert [row["id"] for row in json.loads(begun.stdout)["sweeps"]] == [1, 2, 3], begun
    for number in (1, 2, 3):
        one.wait(number, lambda row: row["state"] == "running")
    process = subprocess.Popen(
        [str(programs["bifurcate"]), "follow", "--server", one.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("0 of 3 sweeps ended; 0/75 revisions")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "`bifurcate cancel 1 2 3` ends these" in errors, errors
    two = one.client("cancel", "3", "99", "1")
    assert two.returncode == 4 and "there is no sweep 99" in two.stderr, two
    assert [line.split(":")[0] for line in two.stdout.splitlines()] == [f"sweep {number} of {MODEL}" for number in (3, 1)], two
    command = [str(programs["bifurcate"]), "follow", "--json", "--server", one.url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None and process.stderr.readline()
    rest = one.client("cancel", "all")
    assert rest.returncode == 0 and rest.stdout.startswith(f"sweep 2 of {MODEL}: cancelled"), rest
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    assert [row["id"] for row in json.loads(output)["sweeps"]] == [2], "a list, however many were at work"
    assert one.client("follow", "1", "2", "3").returncode == 1


def test_a_folder_that_was_moved_is_still_named(measured: Daemon, garden: Path, tmp_path: Path) -> None:
    """Its results have the name of the old place, where a link lets the series go on."""
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(garden / "models" / MODEL / "step8", old / "step8")
    assert measured.client("sweep", str(old), "--follow").returncode == 0
    old.rename(new)
    shutil.copytree(garden / "models" / MODEL / "step64", new / "step64")
    done = measured.client("series", str(old))
    assert done.returncode == 4 and f"what was measured of one that was there is of the model file:{old}\n" in done.stderr, done
    old.symlink_to(new)
    assert measured.client("sweep", f"file:{old}", "--follow").returncode == 0
    rows = {row["revision"]: row["reference"] for row in measured.series(f"file:{old}")}
    assert rows == {"step8": "step8", "step64": "step8"}
    assert measured.client("series", str(old)).returncode == 4, "the path itself is that of the new place"
