"""`bifurcate plot`: a figure that other programs read, and whose marks are those of the analysis."""

from __future__ import annotations

import csv
import fcntl
import json
import math
import os
import re
import shutil
import stat
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from running import Daemon, model_path

from tests.hub import Emulator

SVG = "{http://www.w3.org/2000/svg}"
FIGURE = "{urn:bifurcated:figure}figure"


def plot(daemon: Daemon, *arguments: str) -> ElementTree.Element:
    done = daemon.client("plot", *arguments)
    assert done.returncode == 0 and not done.stderr, done
    return ElementTree.fromstring(done.stdout)


def texts(figure: ElementTree.Element) -> list[str]:
    return ["".join(one.itertext()) for one in figure.iter(f"{SVG}text")]


def lines(figure: ElementTree.Element, name: str) -> set[float]:
    return {float(one.get("x1")) for one in figure.iter(f"{SVG}line") if one.get("class") == name}


def test_the_figure_says_what_the_analysis_says(made_up: Daemon) -> None:
    model = made_up.runs[64]
    figure = plot(made_up, model)
    analysis = made_up.get(f"/v1/models/{model_path(model)}/analysis").json()
    onset = next(one for one in analysis["onsets"] if (one["rows"], one["view"]) == ("tokens", analysis["onset_view"]))
    assert onset["verdict"] == analysis["stop"]["verdict"] == "yes"
    words = texts(figure)
    assert any(one == model or one[:1] == "\u2026" and model.endswith(one[1:]) for one in words), "cut where folders for tests lie deep"
    assert f"onset: step {onset['step']:.0f}" in words
    assert f"could have stopped: step {analysis['stop']['step']:.0f}" in words
    assert "steepest fall of perplexity" in words
    assert {"MSD", "dip", "Ashman\u2019s D", "perplexity", "weight less its column\u2019s mean", "training step (logarithmic)"} <= set(words)
    assert len(lines(figure, "onset")) == len(lines(figure, "stop")) == 1, "one place in all panels"
    about = next(figure.iter(FIGURE)).attrib
    assert (about["model"], about["tensor"], about["rows"], about["view"]) == (model, "embed_out.weight", "tokens", "centred"), "what the verdict is of"
    assert re.fullmatch(r"[0-9a-f]{64}", about["contents"])
    assert about["contents"][:16] in words[-1] or any(about["contents"][:16] in one for one in words)
    # every path is drawn with colours that are there, and no number went wrong
    data = ElementTree.tostring(figure, encoding="unicode")
    assert not re.search(r'"[^"]*\b(nan|inf)\b[^"]*"', data.replace(model, ""))


def test_several_models_in_one_figure(made_up: Daemon) -> None:
    """A line for each in each panel, the ring where the analysis has its onset, over steps and over tokens."""
    models = [made_up.runs[size] for size in (32, 64, 256)]
    figure = plot(made_up, *models)
    drawn = [one.get("class") for one in figure.iter(f"{SVG}path") if re.fullmatch(r"m\d", one.get("class"))]
    assert sorted(drawn) == ["m0"] * 4 + ["m1"] * 4 + ["m2"] * 3, "perplexity is measured of two"
    words = texts(figure)
    assert {"3 models over training", "run-32", "run-64", "run-256", "MSD", "dip", "perplexity", "training step (logarithmic)"} <= set(words)
    about = next(figure.iter(FIGURE))
    assert about.get("kind") == "comparison" and [run.get("model") for run in about] == models
    for number, model in enumerate(models):
        onset = next(one for one in made_up.get(f"/v1/models/{model_path(model)}/analysis").json()["onsets"] if (one["rows"], one["view"]) == ("tokens", "centred"))
        rings = {one.get("cx") for one in figure.iter(f"{SVG}circle") if one.get("class") == f"r{number}"}
        alone = plot(made_up, model, "--width", "760")
        assert len(rings) == 1 and f"onset: step {onset['step']:.0f}" in texts(alone)
    assert figure.findtext(f"{SVG}desc").count("onset of bifurcation at step") == 3
    prefix = models[0].removesuffix("32")
    assert texts(plot(made_up, "--prefix", prefix, "--panels", "coefficient", "--view", "centred", "--dark"))[0] == "4 models over training"
    for words, status, told in (
        (["--unit", "tokens"], 2, "its revisions count steps, and where they lie in tokens is not known"),
        (["--unit", "token"], 2, "is none of tokens, steps"),
        (["--panels", "heat"], 2, "is of one model"),
        (["--panels", "valley", "--from", "999999"], 4, "nothing of this run is measured yet, or not between"),
    ):  # fmt: skip
        done = made_up.client("plot", *models, *words)
        assert done.returncode == status and told in done.stderr and not done.stdout, done
    for words, told in (([], "needs MODEL"), ([models[0], models[0]], "is named twice"), ([models[0], "--prefix", "a"], "not both"), ([models[0], "--unit", "steps"], "--unit is for")):
        done = made_up.client("plot", *words)
        assert done.returncode == 2 and told in done.stderr, done
    assert made_up.client("plot", "--prefix", "nobody").returncode == made_up.client("plot", models[0], "no/body").returncode == 4


def test_the_series_of_several_models_in_one_table(made_up: Daemon) -> None:
    models = [made_up.runs[size] for size in (64, 32)]
    rows = list(csv.DictReader(made_up.client("series", *models, "--csv").stdout.splitlines()))
    assert next(iter(rows[0])) == "model" and [row["model"] for row in rows] == [models[0]] * (len(rows) // 2) + [models[1]] * (len(rows) // 2)
    for model in models:
        alone = list(csv.DictReader(made_up.client("series", model, "--csv").stdout.splitlines()))
        assert alone == [{name: value for name, value in row.items() if name != "model"} for row in rows if row["model"] == model]
    documents = json.loads(made_up.client("series", *models, "--json", "--to", "8").stdout)["series"]
    assert [document["model"] for document in documents] == models and [document["count"] for document in documents] == [5, 5]
    few = made_up.client("series", "--prefix", models[1].removesuffix("32"), "--fields", "step,dip", "--from", "512", "--to", "512", "--csv").stdout.splitlines()
    assert few[0] == "model,step,dip" and len(few) == 1 + len(made_up.runs), "a model of which nothing is measured is none of them"
    table = made_up.client("series", *models, "--to", "2").stdout.splitlines()
    assert table[0].split()[:3] == ["model", "revision", "step"] and len(table) == 7 and "perplexity" in table[0]
    for words in ([], ["--csv"]):
        none = made_up.client("series", *models, "--from", "10M", *words)
        assert none.returncode == 0 and none.stderr == "no revision lies between these steps\n", none
    for command in ("series", "plot"):
        twice = made_up.client(command, models[0], models[0].removeprefix("file:") + "/.")
        assert twice.returncode == 2 and f"{models[0]} is named twice" in twice.stderr, twice
    assert made_up.client("series", "--prefix", "nobody").returncode == made_up.client("series", models[0], "no/body", "--csv").returncode == 4


def test_options_change_what_is_drawn(made_up: Daemon) -> None:
    model = made_up.runs[128]
    linear = plot(made_up, model, "--axis", "linear", "--panels", "displacement,valley,coefficient", "--width", "500")
    words = texts(linear)
    assert linear.get("width") == "500"
    assert {"MSD", "valley / peak", "bimodality coefficient", "training step"} <= set(words) and "weight less its column\u2019s mean" not in words
    part = plot(made_up, model, "--from", "1000", "--to", "9000", "--view", "centred", "--rows", "tokens")
    assert any("7 revisions" in one and "token rows, around column means" in one for one in texts(part))
    light, dark = plot(made_up, model), plot(made_up, model, "--dark")
    style = [next(one.iter(f"{SVG}style")).text for one in (light, dark)]
    assert ".page{fill:#fff}" in style[0] and ".page{fill:#161b22}" in style[1]
    without = texts(plot(made_up, made_up.runs[256]))
    assert "perplexity" not in without and "dip" in without


def test_equal_data_give_equal_bytes_in_a_file(made_up: Daemon, tmp_path: Path) -> None:
    out = tmp_path / "forking.svg"
    for arguments in (["-o", str(out)], [f"-o{out}"], ["--output", str(out)]):
        done = made_up.client("plot", made_up.runs[64], *arguments)
        assert done.returncode == 0 and not done.stdout and not done.stderr, done
        assert out.read_text() == made_up.client("plot", made_up.runs[64], "-o", "-").stdout
        assert [path.name for path in tmp_path.iterdir()] == ["forking.svg"]
        out.unlink()


def test_other_programs_draw_it(made_up: Daemon, tmp_path: Path) -> None:
    if not shutil.which("rsvg-convert"):
        pytest.skip("rsvg-convert (librsvg2-bin) is not installed")
    for arguments in ([], ["--dark", "--axis", "linear", "--view", "centred"]):
        svg, png = tmp_path / "figure.svg", tmp_path / "figure.png"
        assert made_up.client("plot", made_up.runs[64], "-o", str(svg), *arguments).returncode == 0
        subprocess.run(["rsvg-convert", svg, "-o", png], check=True, capture_output=True)
        width, height = (int.from_bytes(png.read_bytes()[at : at + 4], "big") for at in (16, 20))
        size = ElementTree.parse(svg).getroot()
        assert (str(width), str(height)) == (size.get("width"), size.get("height"))
        assert png.stat().st_size > 20_000, "a picture with something on it"


def test_the_numbers_behind_the_pictures(programs: dict[str, Path], made_up: Daemon) -> None:
    """Tables for people, CSV and JSON with every digit, equal to the API's."""
    model = made_up.runs[64]
    here = f"/v1/models/{model_path(model)}"
    for command, query, options in (
        ("distribution", "rows=tokens&view=centred&bins=30", ["--rows", "tokens", "--view", "centred", "--bins", "30"]),
        ("columns", "rows=tokens", ["--rows", "tokens"]),
        ("trajectories", "entries=5", ["--entries", "5"]),
        ("displacement", "limit=6&from=1", ["--limit", "6", "--from", "1"]),
    ):
        done = made_up.client(command, model, "--json", *options)
        assert done.returncode == 0 and json.loads(done.stdout) == made_up.get(f"{here}/{command}?{query}").json()
        ours = list(csv.DictReader(made_up.client(command, model, "--csv", *options).stdout.splitlines()))
        theirs = list(csv.DictReader(made_up.get(f"{here}/{command}?{query}&format=csv").text.splitlines()))
        assert len(ours) == len(theirs) > 10
        for one, other in zip(ours, theirs, strict=True):
            assert list(other) == list(one)
            for name, value in one.items():
                same = value == other[name] if name in ("revision", "reference") else float(value) == float(other[name])
                assert same, (command, name)
        raw = subprocess.run([programs["bifurcate"], command, model, "--csv", *options, "--server", made_up.url], env=made_up.env, capture_output=True, check=True).stdout
        assert raw.count(b"\n") == raw.count(b"\r\n") == len(ours) + 1, "lines end as the API's"
        table = made_up.client(command, model, *options).stdout
        assert "REVISION" in table and "step16" in table and not made_up.client(command, "nobody/nothing").returncode == 0
    columns = made_up.get(f"{here}/columns").json()["revisions"]
    for line, row in zip(made_up.client("columns", model).stdout.splitlines()[1:], columns, strict=True):
        means, bimodalities = sorted(row["mean"]), sorted(row["bimodality"])
        wanted = [means[0], means[(len(means) - 1) // 2], means[-1], bimodalities[0], bimodalities[(len(means) - 1) // 2], bimodalities[-1]]
        found = line.split()
        assert found[0] == row["revision"] and [float(cell) for cell in found[2:8]] == pytest.approx(wanted, rel=1e-3)
        assert int(found[8]) == sum(one > 5 / 9 for one in bimodalities)
    rows = made_up.client("distribution", model).stdout.splitlines()
    first, last = (next(row for row in rows if row.startswith(f"{name} "))[25:] for name in ("step0", "step20000"))
    full = "\u2588"
    assert full in first[20:28] and full not in first[:16] + first[32:], "one mode in the middle"
    assert full in last[:22] and full in last[26:] and full not in last[22:26], "two modes, one on each side"


def test_what_stopping_costs_is_a_share_of_perplexity(made_up: Daemon) -> None:
    """In per cent of the perplexity at the end, not in hundredths of a logarithm."""
    told = 0  # also where that is why stopping is not recommended
    for model in made_up.runs.values():
        stop = made_up.get(f"/v1/models/{model_path(model)}/analysis").json()["stop"]
        if stop["step"] and stop["perplexity"]:
            change = 100 * (stop["perplexity"] / stop["perplexity_end"] - 1)
            words = " ".join(made_up.client("analyze", model).stdout.split())
            fluctuation = 100 * math.expm1(math.sqrt(2) * stop["perplexity_fluctuation"])
            wanted = f"(stopping leaves it {abs(change):.1f} % {'lower' if change < 0 else 'higher'}; neighbours differ by {fluctuation:.1f} %)"
            assert wanted in words, (stop, words)
            told += abs(change) > 20
    assert told, "a change at which the two differ"


def test_scaling_lists_the_smallest_first(made_up: Daemon) -> None:
    """Both views, each with its name and its law; around column means first, and alone where a program reads."""
    halves = made_up.client("scaling", "--unit", "steps").stdout.split("\n\n")
    assert [half.splitlines()[0].split(", ")[2].rstrip(":") for half in halves] == ["around column means", "as stored"]
    for half, view in zip(halves, ("centred", "raw"), strict=True):
        rows = [line.split() for line in half.splitlines() if line.startswith("file:")]
        assert [row[0] for row in rows] == [made_up.runs[size] for size in sorted(made_up.runs)]
        fit = made_up.get(f"/v1/scaling?unit=steps&view={view}").json()["fit"]
        assert f"parameters^{fit['exponent']:.3f}; " in half.splitlines()[-2]
        assert fit["exponent_low"] < fit["exponent"] - 0.2 and fit["exponent_high"] > fit["exponent"] + 0.2, "onsets are known up to a factor of two"
        assert half.splitlines()[-1].startswith("of 4 models of 4 sizes, 0 of them not forked so far; standard deviation")
        assert half.splitlines() == made_up.client("scaling", "--unit", "steps", "--view", view).stdout.splitlines()
    alone = json.loads(made_up.client("scaling", "--json").stdout)
    assert alone == made_up.get("/v1/scaling").json() and (alone["view"], alone["unit"]) == ("centred", "tokens")


@pytest.mark.parametrize("rows", ["tokens", "all"])
def test_onset_against_size_is_what_scaling_says(made_up: Daemon, rows: str) -> None:
    """A point for each model and view at its place on both logarithmic axes, the law between the first and the last."""
    figure = plot(made_up, "scaling", "--unit", "steps", *([] if rows == "tokens" else ["--rows", rows]))
    words, said = texts(figure), next(figure.iter(f"{SVG}desc")).text.splitlines()
    for view, name, dot, line in (("raw", "as stored", "dot0", "line0"), ("centred", "around column means", "ring1", "line1")):
        answer = made_up.get(f"/v1/scaling?unit=steps&rows={rows}&view={view}").json()
        models = [one for one in answer["models"] if one["verdict"] == "yes"]
        assert len(models) == 4 and answer["fit"]["is_fitted"]
        assert "95 %: {exponent_low:.3f} to {exponent_high:.3f}".format(**answer["fit"]) in words
        if rows == "tokens":
            shown = list(csv.DictReader(made_up.client("scaling", "--csv", "--view", view).stdout.splitlines()))
            assert {one["model"]: float(one["onset_step"]) for one in shown} == {one["model"]: one["onset_step"] for one in models}
        for one in models:
            told = f"{one['model']}, {one['parameter_count']} parameters, {name}: onset at step {one['onset_step']:.0f}"
            assert any(text.startswith(told) and text.endswith(f"after step {one['onset_step_before']:.0f}.") for text in said), told
            assert one["model"].rpartition("/")[2] in words
        drawn = [(float(one.get("cx")), float(one.get("cy"))) for one in figure.iter(f"{SVG}circle") if one.get("class") == dot]
        drawn = [place for place in drawn if place[0] < 760 - 132]  # the other one is the key's
        assert len(drawn) == 4
        sizes, steps = (np.log([one[key] for one in models]) for key in ("parameter_count", "onset_step"))
        for values, places in zip((sizes, steps), np.array(drawn).T, strict=True):
            assert np.abs(np.polyval(np.polyfit(values, places, 1), values) - places).max() < 0.02
            scale = np.polyfit(values, places, 1)
            ends = [path.get("d") for path in figure.iter(f"{SVG}path") if path.get("class") == line]
            corners = np.array([[float(part) for part in end.split()] for end in re.split("[ML]", ends[0]) if end])
            law = answer["fit"]["prefactor"] * np.exp(sizes) ** answer["fit"]["exponent"]
            wanted = np.polyval(scale, sizes if values is sizes else np.log(law))
            found = corners[:, 0 if values is sizes else 1]
            assert np.abs(found - [wanted[sizes.argmin()], wanted[sizes.argmax()]]).max() < 0.05
        assert {f"exponent {answer['fit']['exponent']:.3f}", "4 models, 4 sizes"} <= set(words)
    assert next(figure.iter(FIGURE)).get("kind") == "scaling" and next(figure.iter(FIGURE)).get("rows") == rows


def test_onset_against_size_of_another_tensor(made_up: Daemon) -> None:
    """Here of that which is the models' own, so that the numbers are known."""
    figure, own = plot(made_up, "scaling", "--unit", "steps", "--tensor", "embed_out.weight"), plot(made_up, "scaling", "--unit", "steps")
    assert "embed_out.weight, token rows; 4 of 4 models" in texts(figure) and "token rows; 4 of 4 models" in texts(own)
    assert next(figure.iter(FIGURE)).get("tensor") == "embed_out.weight" and next(own.iter(FIGURE)).get("tensor") is None
    assert [one.attrib for one in figure.iter(f"{SVG}circle")] == [one.attrib for one in own.iter(f"{SVG}circle")]


def test_onset_against_size_of_some_models(made_up: Daemon) -> None:
    one = plot(made_up, "scaling", "--unit", "steps", "--view", "centred", "--dark", "--width", "400", "--prefix", made_up.runs[64])
    words = texts(one)
    assert "1 of 1 models" in " ".join(words) and "no law" in words and "as stored" not in words
    assert ".page{fill:#161b22}" in next(one.iter(f"{SVG}style")).text
    for arguments, status, told in (
        (["--prefix", "nobody/"], 4, "bifurcate scaling"),
        (["--panels", "heat"], 2, "plot MODEL"),
        (["--json"], 2, "bifurcate scaling --csv"),
    ):
        done = made_up.client("plot", "scaling", *arguments)
        assert done.returncode == status and told in done.stderr and not done.stdout, done


def test_a_pipe_is_written_to_and_stays_one(made_up: Daemon, tmp_path: Path) -> None:
    """As /dev/null must stay one for whoever may replace it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 1 << 20)
    done = made_up.client("plot", made_up.runs[64], "-o", str(pipe))
    assert done.returncode == 0 and stat.S_ISFIFO(pipe.stat().st_mode) and os.listdir(tmp_path) == ["pipe"], done
    assert os.read(reader, 1 << 20).decode() == made_up.client("plot", made_up.runs[64], "-o", "-").stdout
    os.close(reader)


def test_files_beside_the_figure_stay(made_up: Daemon, tmp_path: Path) -> None:
    """Whatever they are called, also when the figure cannot take its place; it is as readable as any new file."""
    out, beside, folder = tmp_path / "a.svg", tmp_path / "a.svg.part", tmp_path / "b.svg"
    beside.write_text("of somebody else")
    assert made_up.client("plot", made_up.runs[64], "-o", str(out)).returncode == 0
    folder.mkdir()
    assert made_up.client("plot", made_up.runs[64], "-o", str(folder)).returncode == 5
    assert beside.read_text() == "of somebody else" and sorted(os.listdir(tmp_path)) == ["a.svg", "a.svg.part", "b.svg"]
    assert out.stat().st_mode == beside.stat().st_mode, "what the umask says"


def test_what_cannot_be_drawn_says_why(made_up: Daemon, tmp_path: Path) -> None:
    model = made_up.runs[256]
    for arguments, status, words in (
        ([model, "--panels", "perplexity"], 4, "--metric perplexity"),
        ([model, "--panels", "pie"], 2, "there is no panel \"pie\""),
        ([model, "--view", "both"], 2, "neither raw nor centred"),
        ([model, "--width", "wide"], 2, "360 to 4000"),
        (["nobody/nothing"], 4, "nobody/nothing"),
        ([model, "-o", str(tmp_path / "no" / "folder.svg")], 5, "cannot be written"),
        ([model, "-o", str(tmp_path)], 5, "Is a directory"),
        ([made_up.runs[32], "--tensor", "absent"], 4, f"bifurcate sweep {made_up.runs[32]} --tensor absent"),
        ([model, "-x"], 2, "there is no option -x"),
        ([model, "-o"], 2, "needs a value"),
        ([model, "--csv"], 2, "--csv"),
    ):
        done = made_up.client("plot", *arguments)
        assert done.returncode == status and words in done.stderr and not done.stdout, (arguments, done)
    told = made_up.client("plot", "--help").stdout
    assert "-o, --output FILE" in told and "token rows around column means" in told
    assert not re.search(r"--(view|rows) .*(raw|all) \(the default\)", told), "of a figure they are not"
    assert "law (default: tokens)" in told and "law (default: tokens)" in made_up.client("scaling", "--help").stdout


def test_the_picture_in_the_readme_is_of_the_committed_run(programs: dict[str, Path], garden: Path, tmp_path: Path) -> None:
    """Made by the program of today from the run of today, as the README says it was: the same contents, words, onset."""
    with Emulator(garden) as hub:
        daemon = Daemon(programs, tmp_path, hub.url, [], {})
        daemon.start()
        assert daemon.wait(daemon.sweep("garden/neox-tiny"))["state"] == "done"
        now = plot(daemon, "garden/neox-tiny")
        daemon.check_end()
    committed = ElementTree.parse(Path(__file__).resolve().parents[2] / "api/client/forking.svg").getroot()
    assert next(committed.iter(FIGURE)).attrib == next(now.iter(FIGURE)).attrib
    # perplexity is not measured here: its words, ticks and band are the committed picture's alone
    # and without it, nothing speaks against stopping where the weights rest
    assert set(texts(now)) - set(texts(committed)) == {"could have stopped: step 2000"}
    assert lines(now, "onset") == lines(committed, "onset") and len(lines(now, "onset")) == 1
    cells = [[path.get("d") for path in figure.iter(f"{SVG}path") if path.get("fill")] for figure in (committed, now)]
    assert len(cells[0]) > 20 and cells[0] == cells[1], "the map is exact"
