"""Perplexity through the daemon: where texts come from, what the numbers are, what goes wrong with either."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest
from running import Daemon

MODEL = "garden/neox-tiny"
STANDARD = "EleutherAI/lambada_openai"
HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures/garden"
GOLDEN = json.loads((FIXTURES / "golden/last_word_test.json").read_text())["scores"]
TEXTS = FIXTURES / "hub/datasets/garden/lambada_garden/main/data/test.jsonl"
# the files of EleutherAI/lambada_openai: the default configuration, which "en" repeats, and translations
LAMBADA = ["lambada_test.jsonl"] + [f"lambada_test_{language}.jsonl" for language in ("de", "en", "es", "fr", "it")]


@pytest.fixture
def root(tmp_path: Path, garden: Path) -> Path:
    """The committed run, and a data set that looks like LAMBADA's."""
    folder = tmp_path / "root"
    (folder / "models").mkdir(parents=True)
    (folder / "models/garden").symlink_to(garden / "models/garden")
    data = folder / f"datasets/{STANDARD}/main/data"
    data.mkdir(parents=True)
    for name in LAMBADA:
        lines = TEXTS.read_text().splitlines(keepends=True)
        (data / name).write_text("".join(lines if name in LAMBADA[:1] + LAMBADA[2:3] else lines[::-1][:9]))
    (data.parent / "README.md").write_text("# LAMBADA\n")
    (data.parent / "lambada_openai.py").write_text("pass\n")
    return folder


def perplexity(one: Daemon, *arguments: str) -> dict[str, Any]:
    done = one.client("perplexity", MODEL, "--json", *arguments)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def refusal(one: Daemon, *arguments: str) -> str:
    done = one.client("perplexity", *arguments)
    assert done.returncode == 1, done
    return done.stderr


def assert_golden(row: dict[str, Any]) -> None:
    golden = GOLDEN[f"{row['revision']}/fp64"]
    assert row["perplexity"] == pytest.approx(golden["perplexity"], rel=1e-5)
    assert row["accuracy"] == pytest.approx(golden["accuracy"], abs=1e-12)
    assert row["perplexity_documents"] == len(golden["logprobs"])


def test_sweep_over_the_standard_data_set(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Any], root: Path
) -> None:
    """Without a word on texts: of LAMBADA's six files the one that lm-evaluation-harness takes, fetched once."""
    hub = make_hub(root)
    one = daemon(hub)
    done = one.client("sweep", MODEL, "--metric", "perplexity", "--follow")
    assert done.returncode == 0, done
    rows = [row for row in one.series(MODEL) if row["perplexity"] is not None]
    assert len(rows) == len({name.split("/")[0] for name in GOLDEN if name.startswith("step")})
    assert one.client("series", MODEL).stdout.splitlines()[0].endswith("ashman_d  perplexity")
    for row in rows:
        assert_golden(row)
    vague = max(rows, key=lambda row: row["perplexity_stderr"])
    shown = one.client("perplexity", MODEL, "--revision", vague["revision"]).stdout
    assert vague["perplexity_stderr"] > 100 and f" +- {vague['perplexity_stderr']:.0f}\n" in shown, shown
    fetched = {path for path in (root / f"datasets/{STANDARD}").rglob("*.jsonl") if _is_cached(one, path)}
    assert {path.name for path in fetched} <= {"lambada_test.jsonl", "lambada_test_en.jsonl"} and fetched


def _is_cached(one: Daemon, path: Path) -> bool:
    """By content: the cache's files are named by digest."""
    return any(
        blob.is_file() and blob.read_bytes() == path.read_bytes() for blob in one.cache.rglob("datasets--*/blobs/*")
    )


def assert_as_harness(one: Daemon, expected: dict[str, Any], revision: str, texts: str) -> None:
    """The tolerance is that of float32 on both sides; perplexities of the awkward texts are exponentials of 80 and more."""
    row = perplexity(one, "--revision", revision, "--dataset", f"garden/lambada_garden:data/{texts}.jsonl")
    assert row["perplexity_documents"] == expected["documents"]
    assert row["perplexity"] == pytest.approx(expected["perplexity"], rel=1e-5 if texts == "test" else 1e-4)
    assert row["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-12)


def test_as_the_harness(daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Path) -> None:
    """lm-evaluation-harness's own numbers on the same model and texts, as committed (golden/harness.py)."""
    one = daemon(make_hub(garden))
    scores = json.loads((HERE / "golden/harness.json").read_text())["scores"]
    assert len(scores) == 4
    for name, expected in scores.items():
        assert_as_harness(one, expected, *name.split("/"))


def test_as_the_harness_live(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Path, tmp_path: Path
) -> None:
    if os.environ.get("BIFURCATED_ORACLES") != "1":
        pytest.skip("BIFURCATED_ORACLES is not 1")
    pytest.importorskip("lm_eval")
    sys.path.insert(0, str(HERE / "golden"))
    import harness

    one = daemon(make_hub(garden))
    folder = harness.lay_out(tmp_path / "model", "step14000")
    for texts in harness.TEXTS:
        command = [sys.executable, harness.__file__, folder, harness.DATA / f"{texts}.jsonl"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
        assert_as_harness(one, json.loads(done.stdout.splitlines()[-1]), "step14000", texts)


def test_named_files_and_fields(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Any], root: Path, tmp_path: Path
) -> None:
    one = daemon(make_hub(root))
    last = ("--revision", "step14000")
    assert_golden(perplexity(one, *last, "--dataset", f"{STANDARD}:data/lambada_test_en.jsonl"))
    assert perplexity(one, *last, "--dataset", f"{STANDARD}:data/lambada_test_de.jsonl")["perplexity_documents"] == 9
    text = refusal(one, MODEL, *last, "--dataset", f"{STANDARD}:lambada_test.jsonl")
    assert "it has no file lambada_test.jsonl; it has data/lambada_test.jsonl, data/lambada_test_de.jsonl" in text
    renamed = tmp_path / "renamed.jsonl.gz"
    renamed.write_bytes(gzip.compress(TEXTS.read_text().replace('{"text":', '{"passage":').encode()))
    assert_golden(perplexity(one, *last, "--file", str(renamed), "--field", "passage"))
    text = refusal(one, MODEL, *last, "--file", str(renamed))
    assert 'renamed.jsonl.gz: line 1: no field "text"' in text
    for window, stride in ((64, 32), (32, 16)):
        arguments = ("--mode", "tokens", "--window", str(window), "--stride", str(stride))
        row = perplexity(one, *last, "--dataset", STANDARD, *arguments)
        assert 5 < row["pooled_perplexity"] < 20


def test_texts_that_move(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Any], root: Path, tmp_path: Path
) -> None:
    """A new commit of the data set, or a rewritten file, is another data set, and another result."""
    hub = make_hub(root)
    one = daemon(hub)
    last = ("--revision", "step14000")
    assert perplexity(one, *last)["perplexity_documents"] == len(TEXTS.read_text().splitlines())
    data = root / f"datasets/{STANDARD}/main/data/lambada_test.jsonl"
    data.write_text("".join(TEXTS.read_text().splitlines(keepends=True)[:11]))
    hub.restore()
    assert perplexity(one, *last)["perplexity_documents"] == 11
    own = tmp_path / "own.jsonl"
    for count in (3, 5):
        own.write_text("".join(TEXTS.read_text().splitlines(keepends=True)[:count]))
        assert perplexity(one, *last, "--file", str(own))["perplexity_documents"] == count


def folder_model(tmp_path: Path, name: str) -> Path:
    """A local run with one checkpoint, step5, to be spoilt."""
    folder = tmp_path / name / "step5"
    shutil.copytree(FIXTURES / "hub/models/garden/neox-tiny/step14000", folder)
    shutil.copy(FIXTURES / "hub/models/garden/neox-tiny/_shared/tokenizer.json", folder)
    for other in folder.glob("*.bin"):
        other.unlink()
    return folder


def test_models_that_cannot_be_scored(daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    safetensors = pytest.importorskip("safetensors.numpy")
    one = daemon("http://127.0.0.1:1")
    texts = ("--revision", "step5", "--file", str(TEXTS))

    def spoilt(name: str, change: Callable[[Path, dict[str, Any], dict[str, Any]], None]) -> str:
        folder = folder_model(tmp_path, name)
        tensors = safetensors.load_file(folder / "model.safetensors")
        config = json.loads((folder / "config.json").read_text())
        change(folder, tensors, config)
        safetensors.save_file(tensors, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(config))
        return str(folder.parent)

    def lose(_: Path, tensors: dict[str, Any], __: dict[str, Any]) -> None:
        del tensors["gpt_neox.layers.1.mlp.dense_h_to_4h.weight"]

    def shrink(_: Path, tensors: dict[str, Any], config: dict[str, Any]) -> None:
        for tensor in ("gpt_neox.embed_in.weight", "embed_out.weight"):
            tensors[tensor] = numpy.ascontiguousarray(tensors[tensor][:100])
        config["vocab_size"] = 100

    def halve(_: Path, __: dict[str, Any], config: dict[str, Any]) -> None:
        config["num_hidden_layers"] = 1

    def shorten(_: Path, __: dict[str, Any], config: dict[str, Any]) -> None:
        config["max_position_embeddings"] = 12

    def poison(_: Path, tensors: dict[str, Any], __: dict[str, Any]) -> None:
        tensors["gpt_neox.layers.0.attention.dense.weight"][0, 0] = numpy.nan

    text = refusal(one, spoilt("lost", lose), *texts)
    assert "gpt_neox.layers.1.mlp.dense_h_to_4h.weight" in text
    text = refusal(one, spoilt("small", shrink), *texts)
    assert "vocabulary" in text and "100" in text
    text = refusal(one, spoilt("halved", halve), *texts)
    assert "there are 1 layers" in text and "the weights have 2" in text
    # texts longer than the context lose their beginning, and that is a number like any other
    row = json.loads(one.client("perplexity", spoilt("short", shorten), *texts, "--json").stdout)
    assert row["perplexity"] > GOLDEN["step14000/fp64"]["perplexity"]
    assert row["perplexity_documents"] == len(GOLDEN["step14000/fp64"]["logprobs"])
    # NaN weights: measured, and not a number
    row = json.loads(one.client("perplexity", spoilt("poisoned", poison), *texts, "--json").stdout)
    assert row["perplexity"] is None and row["accuracy"] == 0
    assert row["perplexity_documents"] == len(GOLDEN["step14000/fp64"]["logprobs"])


def test_texts_that_cannot_be_scored(daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    one = daemon("http://127.0.0.1:1")
    model = str(folder_model(tmp_path, "run").parent)
    own = tmp_path / "own.jsonl"
    arguments = (model, "--revision", "step5", "--file", str(own))
    good = TEXTS.read_text().splitlines(keepends=True)[:4]

    own.write_text(good[0] + good[1] + '{"text": "cut of')
    assert "own.jsonl: line 3" in refusal(one, *arguments)
    own.write_text(good[0] + '{"text": ""}\n' + good[1])
    row = json.loads(one.client("perplexity", *arguments, "--json").stdout)
    assert row["perplexity_documents"] == 3  # as lm-evaluation-harness: its last word is the space before nothing
    row = json.loads(one.client("perplexity", *arguments, "--mode", "text_mean", "--json").stdout)
    assert row["text_mean_perplexity_documents"] == 2  # nothing to score
    own.write_text("")
    row = json.loads(one.client("perplexity", *arguments, "--json").stdout)
    assert row["perplexity"] is None and row["perplexity_documents"] == 0
    own.write_bytes(b"\x1f\x8b\x08\x00" + b"broken" * 9)
    assert "own.jsonl" in refusal(one, *arguments)


def test_perplexities_of_other_texts_are_not_compared(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Path
) -> None:
    """A look at one revision with other texts replaces its number in the series, and must not move the verdict."""
    one = daemon(make_hub(garden))
    texts = "garden/lambada_garden:data/test.jsonl"
    names = ["step0", "step512", "step1000", "step2000", "step4000"]
    request = {"metrics": ["perplexity"], "dataset": texts, "revisions": {"names": names}}
    assert one.wait(one.sweep(MODEL, limit=4, **request))["state"] == "done"

    def fall() -> Any:
        return one.get(f"/v1/models/{MODEL}/analysis").json()["perplexity_fall"]

    before = fall()
    assert before["verdict"] == "yes" and before["revisions"] == 5 and before["revisions_of_other_texts"] == 0, before
    assert "left out" not in before["reason"]
    perplexity(one, "--revision", "step2000", "--dataset", texts, "--limit", "3")
    after = fall()
    assert after["revisions"] == 4 and after["revisions_of_other_texts"] == 1 and "left out: 1 of other texts" in after["reason"], after
    assert "left out: 1 of other texts" in one.client("analyze", MODEL).stdout.replace("\n" + 36 * " ", " ")
    points = {row["revision"]: row for row in one.get(f"/v1/models/{MODEL}/analysis").json()["revisions"]}
    assert points["step2000"]["perplexity"] is None and points["step1000"]["perplexity"] is not None
    assert {name: row["other_texts"] for name, row in points.items() if row["other_texts"]} == {"step2000": ["last_word"]}
    figure = one.client("plot", MODEL, "--panels", "perplexity").stdout
    assert figure.count("<circle") == 4 and ">1 of other texts<" in figure, "no line joins what is not compared"
    rows = {row["revision"]: row for row in one.series(MODEL)}
    digest = hashlib.sha256(TEXTS.read_bytes()).hexdigest()
    for name, limit in (("step1000", 4), ("step2000", 3)):
        assert rows[name]["perplexity_dataset_digest"] == digest and json.loads(rows[name]["perplexity_parameters"])["limit"] == limit
        assert rows[name]["perplexity_precision"] == "float32" and rows[name]["perplexity_definition"] >= 1
        assert len(rows[name]["perplexity_weights_digest"]) == len(rows[name]["perplexity_tokenizer_digest"]) == 64
        assert rows[name]["pooled_perplexity_dataset_digest"] is None
    assert rows["step1000"]["perplexity_weights_digest"] != rows["step2000"]["perplexity_weights_digest"]
    assert one.wait(one.sweep(MODEL, limit=3, **request))["state"] == "done"
    assert fall()["revisions"] == 5 and fall()["revisions_of_other_texts"] == 0
    figure = one.client("plot", MODEL, "--panels", "perplexity").stdout
    assert figure.count("<circle") == 5 and "of other texts" not in figure
