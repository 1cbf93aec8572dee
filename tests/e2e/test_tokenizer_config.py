"""What stands beside a tokenizer.json, against AutoTokenizer: taken where all versions cut texts as tokenizer.json says (where they
do so but for some texts, those are refused), else refused by its name (golden/tokenizer_config.py; with BIFURCATED_ORACLES=1 and transformers at hand, its answers are computed anew)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Callable

import pytest
from running import Daemon
from test_perplexity import TEXTS, folder_model, refusal
from test_scoring_oracle import HERE, probe, revision_folder, run  # noqa: F401  (probe is a fixture)

sys.path.insert(0, str(HERE / "golden"))
import tokenizer_config as golden  # noqa: E402

ANSWERS = json.loads(golden.GOLDEN.read_text())


@pytest.mark.parametrize("name", golden.CASES)
def test_beside_tokenizer_json(probe: Path, tmp_path: Path, name: str) -> None:
    folder, answers, words = revision_folder(tmp_path, "step14000"), [answer[name] for answer in ANSWERS.values()], golden.CASES[name][3]
    golden.write_files(name, folder)
    if os.environ.get("BIFURCATED_ORACLES") == "1":
        transformers = pytest.importorskip("transformers")
        assert golden.measure(folder) == ANSWERS[transformers.__version__][name]
    others = {text for answer in answers for text in answer[2:3] and answer[2]}
    found = score(probe, folder, [text for text in golden.TEXTS if text not in others])
    if words:
        assert found["error"] == "unsupported" and words in found["message"]
        assert "leave the metric perplexity out of the sweep" in found["message"]
        assert any(answer != ["same", answers[0][1:] and answers[0][1]] for answer in answers)
        return
    prefix = json.loads(found["identity"]["parameters"]).get("prefix", 0)
    assert all(answer[1] in (prefix, None) for answer in answers)
    for text in others:  # what is cut otherwise is never scored
        found = score(probe, folder, ["Hello world", text])
        assert found["error"] == "unsupported" and "texts.jsonl: text 2: " in found["message"], text
        as_file = score(probe, folder, ["Hello world", text], "tokenizer=file")
        if text in ANSWERS["4.57.6"][name][2:3]:  # not as the file says in any version
            assert as_file == found
        elif "--tokenizer file" in found["message"]:
            assert "error" not in as_file, text


def write_texts(folder: Path, texts: list[str]) -> Path:
    path = folder.parent / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def score(probe: Path, folder: Path, texts: list[str], *more: str) -> dict[str, Any]:
    return run(probe, folder, write_texts(folder, texts), "mode=text_mean", "stop=1", *more)


def test_tokenizer_of_the_file(daemon: Callable[..., Daemon], probe: Path, tmp_path: Path) -> None:
    """Asked for, texts are cut as tokenizer.json says where 5 builds another tokenizer: the numbers of a class that takes it as it is."""
    one = daemon("http://127.0.0.1:1")
    built, taken = folder_model(tmp_path, "built"), folder_model(tmp_path, "taken")
    path = write_texts(built, ["the path", "the cafe\u0301 the"])
    texts = ("--revision", "step5", "--file", str(path))
    for folder, class_name in ((built, "GPT2Tokenizer"), (taken, "PreTrainedTokenizerFast")):
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": class_name, "bos_token": "<|endoftext|>"}))
    wrong = refusal(one, str(built.parent), *texts)
    assert "texts.jsonl: text 2: transformers 4 and 5 cut it into other tokens" in wrong and "--tokenizer file" in wrong
    done = one.client("perplexity", str(built.parent), *texts, "--tokenizer", "file")
    assert done.returncode == 0, done
    (row,) = [row for row in one.series(f"file:{built.parent}") if row["perplexity"] is not None]
    assert row["perplexity"] == pytest.approx(run(probe, taken, path)["summary"]["perplexity"], rel=1e-9)
    assert "--tokenizer: not one of: agreed, file" in one.client("perplexity", str(built.parent), *texts, "--tokenizer", "other").stderr


def test_refused_before_a_result_is_looked_up(daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    """Of two folders that differ in this file alone one is measured, and its perplexity does not become the other's."""
    one = daemon("http://127.0.0.1:1")
    texts = ("--revision", "step5", "--file", str(TEXTS), "--limit", "5")
    folder = folder_model(tmp_path, "plain")
    (folder / "tokenizer_config.json").write_text('{"add_prefix_space": false, "bos_token": "<|endoftext|>"}')
    assert one.client("perplexity", str(folder.parent), *texts).returncode == 0
    folder = folder_model(tmp_path, "contradicted")
    (folder / "tokenizer_config.json").write_text('{"add_prefix_space": true}')
    assert "tokenizer_config.json: add_prefix_space: true here" in refusal(one, str(folder.parent), *texts)


def test_no_tokenizer(probe: Path, tmp_path: Path) -> None:
    """Where there is none, what transformers would make one of is named."""
    folder = revision_folder(tmp_path, "step14000")
    (folder / "tokenizer.json").unlink()
    said = score(probe, folder, ["Hello world"])
    assert said == {"error": "not_found", "message": "the revision has neither tokenizer.json nor tokenizer.model, one of which scoring needs"}
    (folder / "vocab.json").write_text("{}")
    said = score(probe, folder, ["Hello world"])
    assert said["error"] == "not_found" and "but vocab.json, of which transformers writes one" in said["message"]
    (folder / "tokenizer.model").write_text("{}")
    assert "tokenizer.model: it is not SentencePiece's" in score(probe, folder, ["Hello world"])["message"]
