"""Log-probabilities against transformers: the committed training run, and random models of Pythia's true shapes.

The reference is float64; the committed goldens hold it (fixtures/garden/golden, e2e/golden/scoring.json). With
BIFURCATED_ORACLES=1 and torch and transformers at hand, the second is computed anew.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "golden"))
import ai2_olmo  # noqa: E402
import bloom  # noqa: E402
import experts  # noqa: E402
import families  # noqa: E402
import gpt2  # noqa: E402
import modernbert  # noqa: E402
import neox  # noqa: E402
import published  # noqa: E402
import tiny  # noqa: E402

FIXTURES = HERE.parent / "fixtures/garden"
REVISIONS = sorted(p.name for p in (FIXTURES / "hub/models/garden/neox-tiny").glob("step*") if p.is_dir())
GOLDEN = json.loads((HERE / "golden/scoring.json").read_text())

LOGPROB_TOLERANCE = 1e-4
PERPLEXITY_TOLERANCE = 1e-5  # relative


@pytest.fixture(scope="session")
def probe() -> Path:
    path = Path(os.environ.get("BIFURCATED_BUILD", "build/release")).resolve() / "tests/score_probe"
    if not path.exists():
        pytest.skip(f"{path} is not built")
    return path


def run(probe: Path, *words: str | Path) -> dict[str, Any]:
    done = subprocess.run([probe, *map(str, words)], capture_output=True, text=True, timeout=600)
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def ask(probe: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., dict[str, Any]]]:
    """One probe for many requests: starting it, and looking for leaks, takes longer than most of them."""
    trace = tmp_path_factory.mktemp("probe") / "trace"
    with open(trace, "w") as out, subprocess.Popen([probe, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, text=True) as process:

        def ask(*words: str | Path) -> dict[str, Any]:
            process.stdin.write("\t".join(map(str, words)) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            assert line and not trace.stat().st_size, trace.read_text()
            return json.loads(line)

        yield ask
        process.stdin.close()
        assert process.wait(60) == 0 and not trace.stat().st_size, trace.read_text()


def revision_folder(tmp_path: Path, revision: str) -> Path:
    """The files of a branch as the hub serves them."""
    folder = tmp_path / revision
    shutil.copytree(FIXTURES / "hub/models/garden/neox-tiny" / revision, folder)
    shutil.copy(FIXTURES / "hub/models/garden/neox-tiny/_shared/tokenizer.json", folder)
    tiny.settle(folder)
    return folder


def dataset(name: str) -> Path:
    return FIXTURES / f"hub/datasets/garden/lambada_garden/main/data/{name}.jsonl"


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    sums = [math.fsum(document["logprobs"]) for document in found["documents"]]
    assert len(sums) == len(expected["logprobs"])
    worst = max(abs(a - b) for a, b in zip(sums, expected["logprobs"], strict=True))
    assert worst <= LOGPROB_TOLERANCE
    assert found["summary"]["perplexity"] == pytest.approx(expected["perplexity"], rel=PERPLEXITY_TOLERANCE)
    assert "".join(str(int(document["greedy"])) for document in found["documents"]) == expected["greedy"]


@pytest.mark.parametrize("name", ["test", "awkward"])
@pytest.mark.parametrize("revision", REVISIONS)
def test_training_run(ask: Callable[..., dict[str, Any]], tmp_path: Path, revision: str, name: str) -> None:
    golden = json.loads((FIXTURES / f"golden/last_word_{name}.json").read_text())["scores"]
    found = ask(revision_folder(tmp_path, revision), dataset(name), "threads=2")
    expected = golden[f"{revision}/fp64"]
    assert_same(found, expected)
    assert found["summary"]["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-15)
    assert found["summary"]["nan_count"] == 0


@pytest.mark.parametrize(("size", "count"), [("14m", GOLDEN["documents"]), ("70m", GOLDEN["documents"]), ("160m", 3)])
def test_true_shapes(probe: Path, size: str, count: int) -> None:
    """The shortest text, the longest and others; of the largest model, where each takes seconds, one other."""
    found = run(probe, f"random:{size}", str(count), f"longest={GOLDEN['longest']}", "threads=2")
    expected = {key: GOLDEN[size]["float64"][key][:count] for key in ("logprobs", "greedy")}
    assert_same(found, expected | {"perplexity": math.exp(-math.fsum(expected["logprobs"]) / count)})


@pytest.mark.parametrize("size", ["14m", "70m", "160m"])
def test_true_shapes_live(probe: Path, size: str) -> None:
    if os.environ.get("BIFURCATED_ORACLES") != "1":
        pytest.skip("BIFURCATED_ORACLES is not 1")
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    import scoring

    found = run(probe, f"random:{size}", str(scoring.COUNT), f"longest={scoring.LONGEST}", "threads=2")
    live = scoring.measure(size, "float64")
    assert_same(found, live)
    assert live["logprobs"] == pytest.approx(GOLDEN[size]["float64"]["logprobs"], abs=LOGPROB_TOLERANCE)


# Of each: its variants, and a column of numbers for each version of transformers, or for the package of its own and transformers
MODULES = {"neox": neox, "families": families, "experts": experts, "gpt2": gpt2, "bloom": bloom, "modernbert": modernbert, "ai2_olmo": ai2_olmo, "published": published}
COLUMNS = {module: json.loads((HERE / f"golden/{module}.json").read_text()) for module in MODULES}
VARIANTS = [(module, name, made.VARIANTS[name][-1]) for module, made in MODULES.items() for name in made.VARIANTS]


@pytest.mark.parametrize(("module", "name", "refusal"), VARIANTS)
def test_keys_of_config_json(ask: Callable[..., dict[str, Any]], tmp_path: Path, module: str, name: str, refusal: str) -> None:
    """What config.json says means what it means to transformers, or is refused in words."""
    golden = COLUMNS[module]["ai2-olmo" if module == "ai2_olmo" else max(COLUMNS[module])][name]
    folder, texts = tmp_path / "model", tmp_path / "texts.jsonl"
    MODULES[module].write_model(name, folder)
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in tiny.TEXTS))
    found = ask(folder, texts, "mode=text_mean")
    if refusal:
        assert refusal in found["message"]
    else:
        sums = [math.fsum(document["logprobs"]) for document in found["documents"]]
        assert sums == pytest.approx(golden, abs=LOGPROB_TOLERANCE)


def test_keys_of_config_json_live(tmp_path: Path) -> None:
    if os.environ.get("BIFURCATED_ORACLES") != "1":
        pytest.skip("BIFURCATED_ORACLES is not 1")
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    columns = COLUMNS["neox"]
    for name, golden in columns.get(transformers.__version__, columns[max(columns)]).items():
        if name in neox.VARIANTS:
            neox.write_model(name, tmp_path / name)
            found = tiny.measure(tmp_path / name)
            assert found == (golden if isinstance(golden, str) else pytest.approx(golden, abs=1e-9)), name


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, name, refusal in VARIANTS if not refusal and module != "ai2_olmo"])
def test_what_is_scored_is_the_same_model_in_each_version(module: str, name: str) -> None:
    """But for files of version 5, of which 4 passes over the key that 5 writes, and names that only 5 completes beside a head."""
    older, newer = (COLUMNS[module][version][name] for version in sorted(COLUMNS[module]))
    assert isinstance(newer, list)
    if "names without" in name and isinstance(older, str):
        assert older == "ValueError"
    elif "rope_parameters" not in name:
        # version 5 rotates ModernBERT's queries and keys in float32, and angles of what has no class in transformers are float32's;
        # Pico's class has norms, queries, keys and logits in it, too
        is_float = module in ("modernbert", "published")
        assert older == pytest.approx(newer, abs=LOGPROB_TOLERANCE if name.startswith("pico") else 1e-5 if is_float else 1e-9)


def test_minicpm_is_what_granites_class_makes_of_its_numbers() -> None:
    """Against a forward pass written down from MiniCPM's own class."""
    own = {name: sums for name, sums in COLUMNS["published"]["torch"].items() if name.startswith("minicpm")}
    assert len(own) > 10
    for name, sums in own.items():
        assert COLUMNS["families"][max(COLUMNS["families"])][name] == pytest.approx(sums, abs=1e-5), name


def test_what_ai2_olmo_scores_transformers_scores() -> None:
    """The same weights, split and renamed: the order of queries, keys and values, of gate and up, and of the rotated halves."""
    own, converted = COLUMNS["ai2_olmo"]["ai2-olmo"], COLUMNS["ai2_olmo"]["transformers"]
    for name in ai2_olmo.CONVERTED:
        assert converted[name] == pytest.approx(own[name], abs=1e-5)  # its rotary embeddings are float32


def test_kinds_of_norms_are_part_of_the_identity(probe: Path, tmp_path: Path) -> None:
    """The same files, of which config.json says which count. An older name of the type is none of them."""
    found = set()
    ai2_olmo.write_model("DataDecide", tmp_path / "older")
    config = json.loads((tmp_path / "older/config.json").read_text())
    (tmp_path / "older/config.json").write_text(json.dumps(config | {"model_type": "olmo"}))
    (tmp_path / "texts.jsonl").write_text(json.dumps({"text": tiny.TEXTS[0]}))
    found.add(run(probe, tmp_path / "older", tmp_path / "texts.jsonl", "mode=text_mean")["identity"]["weights"])
    for name in ("DataDecide", "OLMo", "rms without weights", "layer norm with weights", "layer norm with biases"):
        ai2_olmo.write_model(name, tmp_path / name)
        found.add(run(probe, tmp_path / name, tmp_path / "texts.jsonl", "mode=text_mean")["identity"]["weights"])
    assert len(found) == 5


def test_how_attention_is_scaled_is_part_of_the_identity(probe: Path, tmp_path: Path) -> None:
    found = {}
    for name in ("plain", "scales not said", "upcast", "not scaled", "scaled by layer"):
        gpt2.write_model(name, tmp_path / name)
        (tmp_path / "texts.jsonl").write_text(json.dumps({"text": tiny.TEXTS[0]}))
        found[name] = run(probe, tmp_path / name, tmp_path / "texts.jsonl", "mode=text_mean")["identity"]["weights"]
    assert found["plain"] == found["scales not said"] == found["upcast"]
    assert len({found[name] for name in ("plain", "not scaled", "scaled by layer")}) == 3


def test_streaming_changes_nothing(probe: Path) -> None:
    whole = run(probe, "random:14m", "20", "threads=2")
    parts = run(probe, "random:14m", "20", "threads=2", "budget_mib=30")
    assert parts["memory_bytes"] <= 30 * 2**20 < whole["memory_bytes"]
    for one, other in zip(whole["documents"], parts["documents"], strict=True):
        assert one["logprobs"] == pytest.approx(other["logprobs"], abs=1e-5)


def test_refusal_names_the_need(probe: Path) -> None:
    found = run(probe, "random:14m", "4", "budget_mib=10")
    assert found["error"] == "no_memory"
    assert "MiB" in found["message"] and "more than the budget of 10.0 MiB" in found["message"]


def test_modes(probe: Path, tmp_path: Path) -> None:
    folder = revision_folder(tmp_path, "step14000")
    words = run(probe, folder, dataset("test"))
    tokens = run(probe, folder, dataset("test"), "mode=tokens", "window=64", "stride=32")
    means = run(probe, folder, dataset("test"), "mode=text_mean")
    assert words["identity"]["parameters"] == '{"context":128}'
    assert tokens["identity"]["parameters"] == '{"stride":32,"window":64}'
    assert len({found["identity"]["weights"] for found in (words, tokens, means)}) == 1
    for found in (tokens, means):
        nlls = [-math.fsum(document["logprobs"]) for document in found["documents"]]
        counts = [len(document["logprobs"]) for document in found["documents"]]
        assert found["summary"]["nll_sum"] == pytest.approx(math.fsum(nlls), rel=1e-12)
        assert found["summary"]["tokens"] == sum(counts)
        if found is tokens:
            assert found["summary"]["perplexity"] == pytest.approx(math.exp(sum(nlls) / sum(counts)), rel=1e-12)
        else:
            mean = sum(math.exp(a / b) for a, b in zip(nlls, counts, strict=True)) / len(nlls)
            assert found["summary"]["perplexity"] == pytest.approx(mean, rel=1e-12)
    # held-out loss per token is 2.36; the passages are other text of the same kind
    assert 5 < tokens["summary"]["perplexity"] < 20


def test_a_window_is_no_longer_than_asked_for(probe: Path, tmp_path: Path) -> None:
    """Of a context of a hundred thousand tokens: and memory is kept for the texts that there are, not for it."""
    folder = revision_folder(tmp_path, "step14000")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").unlink()
    found = []
    for positions in (128, 131072):
        (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": positions}))
        short = run(probe, folder, dataset("test"), "limit=5")
        tokens = run(probe, folder, dataset("test"), "mode=tokens", "limit=20")
        found.append((short, tokens["identity"]["parameters"]))
    assert [parameters for _, parameters in found] == [
        '{"limit":20,"stride":64,"window":128}',
        '{"limit":20,"stride":2048,"window":4096}',
    ]
    assert found[0][0]["documents"] == found[1][0]["documents"]
    assert found[0][0]["memory_bytes"] == found[1][0]["memory_bytes"]


def test_how_config_cuts_texts_is_part_of_the_identity(probe: Path, tmp_path: Path) -> None:
    """Equal weights, tokenizer and texts, and yet another perplexity: it must not pass for the same."""
    folder, found = revision_folder(tmp_path, "step14000"), []
    config = json.loads((folder / "config.json").read_text())
    for change, named in (({}, {}), ({"max_position_embeddings": 32}, {}), ({}, {"bos_token": "<|padding|>"})):
        (folder / "config.json").unlink()
        (folder / "config.json").write_text(json.dumps(config | change))
        (folder / "tokenizer_config.json").write_text(json.dumps(named))
        found.append(run(probe, folder, dataset("test"), "mode=text_mean", "limit=5"))
    assert len({one["summary"]["perplexity"] for one in found}) == 3
    assert len({json.dumps(one["identity"]) for one in found}) == 3
    assert len({one["identity"]["weights"] for one in found}) == 1


def test_limit_and_bad_data(probe: Path, tmp_path: Path) -> None:
    folder = revision_folder(tmp_path, "step1000")
    assert run(probe, folder, dataset("test"), "limit=7")["summary"]["documents"] == 7
    assert run(probe, folder, dataset("test"), "limit=7")["identity"]["parameters"] == '{"context":128,"limit":7}'
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "In the beginning God"}\n{"text": 3}\n')
    found = run(probe, folder, broken)
    assert found["error"] == "format" and "line 2" in found["message"]
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    found = run(probe, folder, empty)
    assert found["summary"]["documents"] == 0 and found["summary"]["perplexity"] is None


def test_bad_models(probe: Path, tmp_path: Path) -> None:
    folder = revision_folder(tmp_path, "step0")
    config = json.loads((folder / "config.json").read_text())

    def error_with(**changes: Any) -> dict[str, Any]:
        (folder / "config.json").write_text(json.dumps({**config, **changes}))
        return run(probe, folder, dataset("test"), "limit=3")

    assert "embed_in.weight has the shape [512, 64]" in error_with(vocab_size=500)["message"]
    assert error_with(num_hidden_layers=3)["error"] == "not_found"
    assert "layers.2." in error_with(num_hidden_layers=3)["message"]
    fewer = error_with(num_hidden_layers=1)
    assert fewer["error"] == "format"
    assert "config.json says that there are 1 layers, but the weights have 2: one of them" in fewer["message"]
    assert error_with(hidden_act="xielu")["error"] == "unsupported"
    assert error_with(model_type="opt")["error"] == "unsupported"
    assert "error" not in error_with()
    (folder / "tokenizer.json").unlink()
    assert "tokenizer.json" in run(probe, folder, dataset("test"))["message"]


def test_not_a_number(probe: Path, tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    safetensors = pytest.importorskip("safetensors.numpy")
    folder = revision_folder(tmp_path, "step0")
    tensors = safetensors.load_file(folder / "model.safetensors")
    tensors["gpt_neox.layers.1.mlp.dense_h_to_4h.weight"][3, 5] = numpy.nan
    safetensors.save_file(tensors, folder / "model.safetensors")
    found = run(probe, folder, dataset("test"))
    assert found["summary"]["perplexity"] is None
    assert found["summary"]["nan_count"] == found["summary"]["tokens"] > 0
    assert found["summary"]["accuracy"] == 0


def test_identity_is_of_the_content(probe: Path, tmp_path: Path) -> None:
    both = revision_folder(tmp_path, "step14000")
    assert (both / "model.safetensors").exists() and (both / "pytorch_model.bin").exists()
    (both / "model.safetensors").rename(tmp_path / "kept.safetensors")
    torch_zip = run(probe, both, dataset("test"), "limit=5")
    (both / "pytorch_model.bin").unlink()
    (tmp_path / "kept.safetensors").rename(both / "model.safetensors")
    safetensors = run(probe, both, dataset("test"), "limit=5")
    assert torch_zip["identity"] == safetensors["identity"]
    assert torch_zip["documents"] == safetensors["documents"]
    other = run(probe, revision_folder(tmp_path, "step13000"), dataset("test"), "limit=5")
    assert other["identity"]["weights"] != safetensors["identity"]["weights"]
    config = json.loads((both / "config.json").read_text())
    (both / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-6}))
    changed = run(probe, both, dataset("test"), "limit=5")
    assert changed["identity"]["weights"] != safetensors["identity"]["weights"]
