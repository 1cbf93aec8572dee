"""tokenizer.model: SentencePiece's own ids, and texts that transformers' classes cut otherwise (golden/tokenizer_models.py; with
BIFURCATED_ORACLES=1 and sentencepiece or transformers at hand, their answers are computed anew)."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running import find_program

sys.path.insert(0, str(Path(__file__).resolve().parent / "golden"))
import tokenizer_models as golden  # noqa: E402

KEPT = json.loads(golden.GOLDEN.read_text())
MODELS, ANSWERS = KEPT["models"], KEPT["answers"]
STDIN = b"".join(struct.pack("<I", len(text)) + text for text in map(str.encode, golden.TEXTS))


def probe(*words: Path | str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([find_program("tests/tokenizer_probe"), *words], input=STDIN, capture_output=True)


@pytest.mark.parametrize("name", MODELS)
def test_ids(tmp_path: Path, name: str) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(golden.write_model(MODELS[name]))
    if os.environ.get("BIFURCATED_ORACLES") == "1":
        pytest.importorskip("sentencepiece")
        assert golden.encode(MODELS[name]) == MODELS[name]["ids"]
    ran = probe(path)
    assert ran.returncode == 0, ran.stderr.decode()
    assert ran.stdout.decode().split("\n")[:-1] == [" ".join(map(str, ids)) for ids in MODELS[name]["ids"]]


@pytest.mark.parametrize("name", golden.CASES)
def test_class(tmp_path: Path, name: str) -> None:
    model, model_type, _, words = golden.CASES[name]
    answers = [answer[name] for answer in ANSWERS.values()]
    golden.write_files(MODELS, name, tmp_path)
    if os.environ.get("BIFURCATED_ORACLES") == "1":
        transformers = pytest.importorskip("transformers")
        assert golden.ask(MODELS, name, tmp_path) == ANSWERS[transformers.__version__][name]
    ran = probe(tmp_path / "tokenizer.model", tmp_path / "tokenizer_config.json", model_type)
    if words:
        assert ran.returncode == 1 and words in ran.stderr.decode()
        return
    assert ran.returncode == 0, ran.stderr.decode()
    first, *lines = ran.stdout.decode().split("\n")[:-1]
    starts = {answer[0] for answer in answers}
    expected = starts.pop() if len(starts) == 1 else -2
    assert int(first.split()[1]) == (-1 if expected is None else expected)
    others = {place for answer in answers for place in answer[1]}
    refused = {place for place, line in enumerate(lines) if line == "refused"}
    assert others <= refused and all(holds_control(MODELS[model], golden.TEXTS[place]) for place in refused - others)
    ids = MODELS[model]["ids"]
    assert all(line == " ".join(map(str, ids[place])) for place, line in enumerate(lines) if place not in refused)


def holds_control(model: dict[str, Any], text: str) -> bool:
    """What SentencePiece never finds in a text is refused whatever a class makes of it: some know these pieces only by their files."""
    return any(piece in text for piece, _, kind in model["pieces"] if kind in (golden.UNKNOWN, golden.CONTROL))
