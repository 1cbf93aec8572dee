"""Tokenizers converted from SentencePiece (Llama, TinyLlama, Amber, Mistral) against the `tokenizers` package: spaces as marks, bytes for
characters that the vocabulary lacks, whole texts as words. Small ones are trained here, and their pipelines are those of published files."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Callable

import pytest
from test_tokenizer import STRINGS, WORDS, added_token, assert_equal_ids, check_generated, points

REPOSITORY = Path(__file__).resolve().parents[2]
TEXTS = REPOSITORY / "tests/fixtures/garden/hub/datasets/garden/lambada_garden/main/data/test.jsonl"
MARK = "\u2581"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
Change = Callable[[dict[str, Any]], None]


def train(texts: list[str], across_words: bool) -> dict[str, Any]:
    """Tokens, bytes and then merges, as Llama's: <unk> <s> </s> are added tokens, the bytes are not."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=not across_words)
    trainer = trainers.BpeTrainer(vocab_size=800, special_tokens=["<unk>", "<s>", "</s>", *BYTES], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    trained = json.loads(tokenizer.to_str())
    trained["added_tokens"] = [{"id": i, **added_token(token, special=True)} for i, token in enumerate(("<unk>", "<s>", "</s>"))]
    steps = [{"type": "Prepend", "prepend": MARK}, {"type": "Replace", "pattern": {"String": " "}, "content": MARK}]
    trained["normalizer"] = {"type": "Sequence", "normalizers": steps}
    trained["pre_tokenizer"] = None
    strip = [{"type": "Replace", "pattern": {"String": MARK}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    trained["decoder"] = {"type": "Sequence", "decoders": [*strip, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    return trained


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [json.loads(line)["text"] for line in TEXTS.read_text().splitlines()] + [" ".join(WORDS) + "   x\n  y"] * 20


@pytest.fixture(scope="module")
def llama(texts: list[str]) -> dict[str, Any]:
    return train(texts, across_words=False)


@pytest.fixture(scope="module")
def joined(texts: list[str]) -> dict[str, Any]:
    """Its tokens reach across words."""
    trained = train(texts, across_words=True)
    assert sum(MARK in token[1:] for token in trained["model"]["vocab"]) > 100
    return trained


def as_trained(tokenizer: dict[str, Any]) -> None:
    pass


def pairs_of_text(tokenizer: dict[str, Any]) -> None:
    tokenizer["model"]["merges"] = [" ".join(merge) for merge in tokenizer["model"]["merges"]]


def metaspace(scheme: str, split: bool) -> Change:
    def change(tokenizer: dict[str, Any]) -> None:
        tokenizer["normalizer"] = None
        tokenizer["pre_tokenizer"] = {"type": "Metaspace", "replacement": MARK, "prepend_scheme": scheme, "split": split}

    change.__name__ = f"metaspace_{scheme}_{'split' if split else 'whole'}"
    return change


def old_metaspace(tokenizer: dict[str, Any]) -> None:
    tokenizer["normalizer"] = {"type": "NFC"}
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "Metaspace", "replacement": "_", "add_prefix_space": True}]}


def mark_before_mark(tokenizer: dict[str, Any]) -> None:
    """A prefix by the normalizer, and one more where a piece lacks it."""
    tokenizer["pre_tokenizer"] = {"type": "Metaspace", "replacement": MARK, "prepend_scheme": "always", "split": False}


def normalized_tokens(tokenizer: dict[str, Any]) -> None:
    """As in Llama's first files: looked for in normalised text, and so behind a mark."""
    for token in tokenizer["added_tokens"]:
        token["normalized"] = True
    tokenizer["added_tokens"] += [
        {"id": 1000, **added_token("garden", normalized=True, lstrip=True)},
        {"id": 1001, **added_token("a b", normalized=True)},
        {"id": 1002, **added_token(MARK * 2, normalized=False, rstrip=True)},
    ]


def lacks(tokenizer: dict[str, Any], **model: Any) -> None:
    """Without half of the bytes, whose ids others take."""
    tokenizer["model"] |= model
    vocabulary = tokenizer["model"]["vocab"]
    for token in BYTES[1:200:2] + BYTES[0xC0:0xF0:3]:
        vocabulary.pop(token, None)
    tokenizer["model"]["vocab"] = {token: i for i, token in enumerate(vocabulary)}


def some_bytes(tokenizer: dict[str, Any]) -> None:
    lacks(tokenizer)


def some_bytes_and_each_unknown(tokenizer: dict[str, Any]) -> None:
    lacks(tokenizer, fuse_unk=False)


def some_bytes_and_no_unknown(tokenizer: dict[str, Any]) -> None:
    lacks(tokenizer, unk_token=None)


def no_bytes(tokenizer: dict[str, Any]) -> None:
    tokenizer["model"]["byte_fallback"] = False


def no_mark(tokenizer: dict[str, Any]) -> None:
    """The mark itself is three bytes."""
    model = tokenizer["model"]
    model["merges"] = [merge for merge in model["merges"] if MARK not in "".join(merge)]
    model["vocab"] = {token: i for i, token in enumerate(token for token in model["vocab"] if MARK not in token)}


def joined_ends(tokenizer: dict[str, Any]) -> None:
    """Merges that join a letter, a byte and the unknown token to a mark behind them."""
    model = tokenizer["model"]
    lacks(tokenizer)
    for left in ("e", "<0x0A>", "<unk>", "<0xA8>"):
        model["vocab"][left + MARK] = len(model["vocab"])
        model["merges"].insert(0, [left, MARK])


def joined_unknown(tokenizer: dict[str, Any]) -> None:
    model = tokenizer["model"]
    lacks(tokenizer)
    model["vocab"]["<unk>" + MARK] = len(model["vocab"])
    model["merges"].insert(0, ["<unk>", MARK])


def whole_words(tokenizer: dict[str, Any]) -> None:
    tokenizer["model"]["ignore_merges"] = True
    for word in (MARK + "the" + MARK + "of", MARK + "1984", "\u2581\u00e9a"):
        tokenizer["model"]["vocab"].setdefault(word, len(tokenizer["model"]["vocab"]))


def replaced(tokenizer: dict[str, Any]) -> None:
    """Expansions, deletions, and a text that they empty."""
    pairs = (("a", "b" * 8), ("of", ""), ("\u00e9", "e\u0301"), (MARK, " "))
    steps = [{"type": "Replace", "pattern": {"String": old}, "content": new} for old, new in pairs]
    tokenizer["normalizer"]["normalizers"] = [{"type": "Prepend", "prepend": "of"}, *steps, {"type": "NFC"}]


CHANGES = [
    as_trained,
    pairs_of_text,
    *(metaspace(scheme, split) for scheme in ("first", "always", "never") for split in (True, False)),
    old_metaspace,
    mark_before_mark,
    normalized_tokens,
    some_bytes,
    some_bytes_and_each_unknown,
    some_bytes_and_no_unknown,
    no_bytes,
    no_mark,
    joined_ends,
    joined_unknown,
    whole_words,
    replaced,
]


def write(folder: Path, tokenizer: dict[str, Any], change: Change) -> Path:
    changed = copy.deepcopy(tokenizer)
    change(changed)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(changed))
    return path


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_generated(llama: dict[str, Any], tmp_path: Path, change: Change) -> None:
    check_generated(write(tmp_path, llama, change), STRINGS // 4, seed=3)


@pytest.mark.parametrize("change", [as_trained, metaspace("always", True), some_bytes], ids=lambda change: change.__name__)
def test_tokens_across_words(joined: dict[str, Any], tmp_path: Path, change: Change) -> None:
    check_generated(write(tmp_path, joined, change), STRINGS // 4, seed=4)


def test_texts(llama: dict[str, Any], texts: list[str], tmp_path: Path) -> None:
    path = write(tmp_path, llama, as_trained)
    assert_equal_ids(path, [text.encode() for text in texts])
    assert_equal_ids(path, ["\n\n".join(texts).encode()])


def test_every_character(llama: dict[str, Any], tmp_path: Path) -> None:
    every = points()
    lines = ["".join(f"a{chr(c)} " for c in every[i : i + 32]).encode() for i in range(0, len(every), 32)]
    assert_equal_ids(write(tmp_path, llama, as_trained), lines)


def test_awkward(llama: dict[str, Any], joined: dict[str, Any], tmp_path: Path) -> None:
    awkward = ["", " ", MARK, "<s>", "<s> ", " <s>x", "x<s>", "<s></s>", "<unk>\u0378", "\u0378<unk>", "<0x41>", MARK + " ", "\0", "a\0 "]
    long = [" " * 100_001, MARK * 50_000, "a" * 100_000, "a " * 50_000, "\u65e5\u672c" * 40_000, "\n " * 30_000, "the of" * 20_000]
    for tokenizer in (llama, joined):
        assert_equal_ids(write(tmp_path, tokenizer, as_trained), [text.encode() for text in awkward + long])
