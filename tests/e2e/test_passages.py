"""Passages of whole data sets against the oracle of tests/unit/text/oracle.py (and lm-evaluation-harness, where it can be
imported). LAMBADA and the 20B tokenizer are looked for as in test_tokenizer.py."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running import find_program
from test_tokenizer import DATA, GARDEN, REPOSITORY, neox  # noqa: F401  (neox is a fixture)

tokenizers = pytest.importorskip("tokenizers", reason="the package `tokenizers` is the oracle of these tests")

ORACLE = REPOSITORY / "tests/unit/text/oracle.py"
_spec = importlib.util.spec_from_file_location("oracle", ORACLE)
assert _spec and _spec.loader
oracle = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oracle)

# EleutherAI/lambada_openai, default/test, as its card and old lm-evaluation-harness give it
LAMBADA_SHA256 = "4aa8d02cd17c719165fc8a7887fddd641f43fcafa4b1c806ca8abc31fabdb226"


def run_probe(*arguments: Any) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Our passages, in the oracle's form, and the last line's words."""
    ran = subprocess.run(
        [find_program("tests/passages_probe"), *map(str, arguments)], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    *lines, last = ran.stdout.splitlines()
    words = last.split()
    passages = []
    for line in lines:
        text, first, count, *ids = (int(word) for word in line.split())
        passages.append({"text": text, "tokens": ids, "target_first": first, "target_count": count})
    return passages, dict(zip(words[::2], words[1::2], strict=True))


def check(made: tuple[list[dict[str, Any]], dict[str, str]], expected: dict[str, Any]) -> None:
    passages, summary = made
    assert len(passages) == len(expected["passages"])
    for ours, theirs in zip(passages, expected["passages"], strict=True):
        assert ours == theirs
    assert int(summary["skipped"]) == expected["skipped"]
    assert int(summary["truncated"]) == expected["truncated"]


def test_goldens_are_current() -> None:
    subprocess.run([sys.executable, ORACLE, "--check"], check=True)


@pytest.fixture(scope="module")
def lambada() -> Path:
    path = DATA / "lambada_test.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not there: LAMBADA is not part of the repository")
    return path


@pytest.fixture(scope="module")
def texts(lambada: Path) -> list[str]:
    return [json.loads(line)["text"] for line in lambada.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def encode(neox: Path) -> Any:  # noqa: F811
    tokenizer = tokenizers.Tokenizer.from_file(str(neox))
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("context", [2048, 64])
def test_lambada_last_word(
    neox: Path, lambada: Path, texts: list[str], encode: Any, context: int
) -> None:  # noqa: F811
    made = run_probe(neox, lambada, "last_word", context, 0, 0, 0)
    check(made, oracle.last_word(encode, texts, context, 0, check=oracle.have_lm_eval()))
    assert made[1]["texts"] == "5153"
    assert made[1]["sha256"] == LAMBADA_SHA256
    assert (made[1]["truncated"] != "0") == (context == 64)


def test_lambada_tokens(neox: Path, lambada: Path, texts: list[str], encode: Any) -> None:  # noqa: F811
    made = run_probe(neox, lambada, "tokens", 2048, 1024, 512, -1)
    check(made, oracle.tokens(encode, texts, 1024, 512, "\n\n"))


def test_lambada_text_mean(neox: Path, lambada: Path, texts: list[str], encode: Any) -> None:  # noqa: F811
    made = run_probe(neox, lambada, "text_mean", 100, 0, 0, 0)
    check(made, oracle.text_mean(encode, texts, 100, 0))


def test_packed_data_set(tmp_path: Path) -> None:
    """The digest is of the packed file; the passages are the same."""
    if not GARDEN.exists():
        pytest.skip(f"{GARDEN} is not there")
    content = "".join(json.dumps({"text": text}) + "\n" for text in oracle.TEXTS).encode()
    plain, packed = tmp_path / "x.jsonl", tmp_path / "x.jsonl.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    made = [run_probe(GARDEN, path, "last_word", 128, 0, 0, 0) for path in (plain, packed)]
    assert made[0][0] == made[1][0]
    for (_, summary), path in zip(made, (plain, packed), strict=True):
        assert summary["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    encode = tokenizers.Tokenizer.from_file(str(GARDEN)).encode
    expected = oracle.last_word(
        lambda text: encode(text, add_special_tokens=False).ids, oracle.TEXTS, 128, 0, check=False
    )
    check(made[0], expected)
