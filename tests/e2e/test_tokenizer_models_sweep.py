"""Perplexity of models that have only a tokenizer.model, from the hub to the series, in the daemon and by a remote worker: the numbers of the same
weights with a tokenizer.json of the same tokens."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any, Callable

import pytest
from running import Daemon
from workers import Worker

pytest.importorskip("numpy", reason="numpy makes the models up")
pytest.importorskip("safetensors", reason="safetensors writes them")

sys.path.insert(0, str(Path(__file__).resolve().parent / "golden"))
import families  # noqa: E402
import published  # noqa: E402
import tokenizer_models as golden  # noqa: E402
from tiny import settle, write  # noqa: E402

MODEL = json.loads(golden.GOLDEN.read_text())["models"]["named"]
FILE = golden.write_model(MODEL)
NAMED = {"bos_token": "<|b|>", "eos_token": "<|e|>", "unk_token": "[U]", "add_bos_token": True}
TEXTS = [json.loads(line)["text"] for line in golden.TEXT.read_text().splitlines()[:12]]


def as_json() -> dict[str, Any]:
    """What transformers 4 converts it into."""
    ids = {text: i for i, (text, _, _) in enumerate(MODEL["pieces"])}
    joins = [
        (-score, -cut, i, text[:cut], text[cut:])
        for i, (text, score, _) in enumerate(MODEL["pieces"])
        for cut in range(1, len(text))
        if text[:cut] in ids and text[cut:] in ids
    ]
    prefix = {"type": "Prepend", "prepend": golden.MARK}
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": golden.MARK}
    begin = {"SpecialToken": {"id": "<|b|>", "type_id": 0}}
    template = {"type": "TemplateProcessing", "single": [begin, {"Sequence": {"id": "A", "type_id": 0}}], "pair": []}
    template["special_tokens"] = {"<|b|>": {"id": "<|b|>", "ids": [0], "tokens": ["<|b|>"]}}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "added_tokens": [{"id": i, "content": text, **flags} for text, i in ids.items() if text in ("<|b|>", "<|e|>", "[U]")],
        "normalizer": {"type": "Sequence", "normalizers": [prefix, spaces]},
        "post_processor": template,
        "model": {"type": "BPE", "unk_token": "[U]", "byte_fallback": True, "fuse_unk": True, "vocab": ids, "merges": [[a, b] for *_, a, b in sorted(joins)]},
    }


def write_pair(root: Path, name: str, class_name: str, config: dict[str, Any], weights: dict[str, Any]) -> None:
    """Two repositories of the same weights; the second has a tokenizer.json."""
    for model, file, content, its_class in (
        (name, "tokenizer.model", FILE, class_name),
        (f"{name}-json", "tokenizer.json", json.dumps(as_json()).encode(), "PreTrainedTokenizerFast"),
    ):
        folder = root / f"models/made-up/{model}/step1"
        folder.parent.mkdir(parents=True)
        write(folder, config, weights)
        (folder / "tokenizer.json").unlink()
        (folder / file).write_bytes(content)
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": its_class, **NAMED}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    write_pair(place, "llama", "LlamaTokenizer", families.config("llama"), families.weights("llama", families.Shape()))
    write_pair(place, "baichuan", "BaichuanTokenizer", published.BAICHUAN, published.baichuan_weights())
    data = place / "datasets/made-up/words/main/data"
    data.mkdir(parents=True)
    (data / "test.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return place


def test_sweeps(daemon: Callable[..., Daemon], make_hub: Callable[..., Any], worker: Callable[..., Worker], root: Path) -> None:
    one = daemon(make_hub(root), "--device", "cpu")
    request = {"metrics": ["statistics", "perplexity"], "dataset": "made-up/words:data/test.jsonl"}

    def row(where: Daemon, model: str) -> dict[str, Any]:
        sweep = where.wait(where.sweep(f"made-up/{model}", **request))
        assert sweep["state"] == "done", sweep
        (found,) = where.series(f"made-up/{model}")
        return found

    rows = {model: row(one, model) for model in ("llama", "llama-json", "baichuan", "baichuan-json")}
    for model in ("llama", "baichuan"):
        mine, other = rows[model], rows[f"{model}-json"]
        assert mine["perplexity"] == other["perplexity"] is not None and mine["accuracy"] == other["accuracy"]
        models = [one.get(f"/v1/models/made-up/{name}").json() for name in (model, f"{model}-json")]
        assert models[0]["token_rows"] == models[1]["token_rows"] == len(MODEL["pieces"])
        assert mine["perplexity_documents"] == len(TEXTS)
        assert mine["perplexity_tokenizer_digest"] == hashlib.sha256(FILE).hexdigest() != other["perplexity_tokenizer_digest"]
        assert mine["perplexity_parameters"] == other["perplexity_parameters"]
    remote = daemon(make_hub(root), "--fetchers", "0", "--device", "cpu")
    worker(remote, "--device", "cpu")
    again = row(remote, "baichuan")
    same = ("perplexity", "perplexity_tokenizer_digest", "perplexity_weights_digest")
    assert {name: again[name] for name in same} == {name: rows["baichuan"][name] for name in same}


def test_folders(daemon: Callable[..., Daemon], root: Path, tmp_path: Path) -> None:
    """Texts that conversions cut otherwise, tokens in texts, and files that are no tokenizer of SentencePiece's."""
    one = daemon("http://127.0.0.1:1", "--device", "cpu")
    shutil.copytree(root / "models/made-up/llama/step1", tmp_path / "run/step1")
    settle(tmp_path / "run/step1")

    def score(text: str, *words: str) -> str:
        path = tmp_path / "texts.jsonl"
        path.write_text(json.dumps({"text": text}) + "\n")
        done = one.client("perplexity", str(tmp_path / "run"), "--revision", "step1", "--file", str(path), *words)
        return done.stdout if done.returncode == 0 else done.stderr

    wrong = score(" begins with a space")
    assert "text 1: SentencePiece and transformers 4 and 5, which convert tokenizer.model, do not all cut it" in wrong
    assert "PERPLEXITY" in score(" begins with a space", "--tokenizer", "file").upper()
    assert 'it holds "<|e|>", which SentencePiece cuts like any text' in score("an end <|e|> here")
    model = tmp_path / "run/step1/tokenizer.model"
    for content, words in (
        (b"IQ== 0\nIg== 1\n", "tokenizer.model: it is not SentencePiece's (tiktoken has files of that name, too)"),
        (golden.write_model(MODEL | {"model_type": 1}), "model_type: Unigram is not supported, only BPE is"),
        (FILE[:5000], "tokenizer.model: "),
    ):
        model.write_bytes(content)
        settle(model.parent)
        assert words in score("some text")
    model.unlink()
    assert "the revision has neither tokenizer.json nor tokenizer.model" in score("some text")
