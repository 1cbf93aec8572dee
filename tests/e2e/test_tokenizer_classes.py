"""What a tokenizer_class makes of a tokenizer.json for a model of some type, against AutoTokenizer of several versions: texts that one of them
cuts otherwise are refused, and no others; files are refused by name (golden/tokenizer_classes.py; with BIFURCATED_ORACLES=1 and transformers
at hand, its answers are computed anew)."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from running import find_program

sys.path.insert(0, str(Path(__file__).resolve().parent / "golden"))
import tokenizer_classes as golden  # noqa: E402

ANSWERS = json.loads(golden.GOLDEN.read_text())


@pytest.mark.parametrize("name", golden.CASES)
def test_class(tmp_path: Path, name: str) -> None:
    _, model_type, config, words = golden.CASES[name]
    answers = [answer[name] for answer in ANSWERS.values()]
    golden.write_files(name, tmp_path)
    if os.environ.get("BIFURCATED_ORACLES") == "1":
        transformers = pytest.importorskip("transformers")
        assert golden.measure(tmp_path) == ANSWERS[transformers.__version__][name]
    path = tmp_path / "tokenizer_config.json" if config is not None else "-"
    stdin = b"".join(struct.pack("<I", len(text)) + text for text in map(str.encode, golden.TEXTS))
    command = [find_program("tests/tokenizer_probe"), tmp_path / "tokenizer.json", path, model_type]
    ran = subprocess.run(command, input=stdin, capture_output=True)
    if words:
        assert ran.returncode == 1 and words in ran.stderr.decode()
        return
    assert ran.returncode == 0, ran.stderr.decode()
    prefix, *lines = ran.stdout.decode().split("\n")[:-1]
    others = {text for answer in answers for text in answer[2:3] and answer[2]}
    assert {text for text, line in zip(golden.TEXTS, lines, strict=True) if line == "refused"} == others
    assert {answer[1] for answer in answers} == {None if prefix == "-1" else int(prefix)}
