"""The tokenizer against the `tokenizers` package: equal ids, text for text.

The 20B tokenizer and the LAMBADA file are not part of the repository; they are looked for in ../shared/data beside it, or
in the folder that $BIFURCATED_DATA names. BIFURCATED_TOKENIZER_STRINGS sets how many strings are generated per
tokenizer (20,000; a full check takes 1,000,000).
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import random
import struct
import subprocess
import unicodedata
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator

import pytest
from running import find_program

tokenizers = pytest.importorskip("tokenizers", reason="the package `tokenizers` is the oracle of these tests")

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("BIFURCATED_DATA", REPOSITORY.parent / "shared/data"))
GARDEN = REPOSITORY / "tests/fixtures/garden/hub/models/garden/neox-tiny/_shared/tokenizer.json"
STRINGS = int(os.environ.get("BIFURCATED_TOKENIZER_STRINGS", "20000"))
BATCH = 5000

# Ids of the 20B tokenizer that two independent implementations agreed on.
VECTORS = {
    "Hello, I am": [12092, 13, 309, 717],
    "a  b": [66, 50276, 67],
    "a   b": [66, 50275, 67],
    " a": [247],
    "\n\n  x": [535, 50276, 89],
    "def f():\n    return 1\n": [1545, 269, 14850, 187, 50274, 2309, 337, 187],
    " " * 25 + "b": [50254, 270],
    " " * 26 + "b": [50254, 50276, 67],
    "\t\tx": [186, 186, 89],
    "cafe\u0301 caf\u00e9": [68, 2320, 860, 36241],
    "<|endoftext|>hi<|endoftext|>": [0, 5801, 0],
    "I'm you'LL we've": [42, 1353, 368, 8, 2293, 359, 1849],
    "x\u00a0y": [89, 575, 90],
    "x\u0085y": [89, 16643, 90],
    "x\ufeffy": [89, 41497, 90],
    "\u65e5\u672c\u8a9e \u30c6\u30b9\u30c8": [49868, 19119, 241, 209, 28656, 38206],
    "\U0001f600 \u00e9": [14931, 235, 211, 3974],
    "1234567 \u00bd \u00b2": [42594, 2251, 24142, 1191, 112],
    "a\r\nb": [66, 190, 187, 67],
    "  \n  ": [50276, 187, 50276],
    " \u2003x": [209, 3930, 89],
    "hello   \n\n": [25521, 50275, 535],
    "\u212b": [18221],
    "  a": [50276, 66],
    " \ufeff y": [35762, 340],
    "a \u0085 b": [66, 1191, 216, 270],
    "\u0085\u0085x": [16643, 16643, 89],
    "  \u0085x": [50276, 16643, 89],
    "a \n\n b": [66, 15267, 270],
    "\r\n\r\n": [15971],
    "a\u3000\u3000b": [66, 19409, 19409, 67],
    "e\u0301": [860],
    "\u1100\u1161": [35061],
    "don't": [9903, 626],
    "DON'T": [39153, 8, 53],
    "   's": [50275, 434],
    "'sx": [434, 89],
    "x\u200by": [89, 12882, 90],
    "<|padding|>": [1],
    " <|endoftext|> ": [209, 0, 209],
    "   <|endoftext|>   x": [50275, 0, 50275, 89],
    "\0": [177],
    "\x7f": [210],
    "": [],
}


def encode(path: Path, texts: Iterable[bytes]) -> list[list[int]]:
    """The ids of our tokenizer."""
    stdin = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    ran = subprocess.run([find_program("tests/tokenizer_probe"), path], input=stdin, capture_output=True)
    assert ran.returncode == 0, ran.stderr.decode()
    return [[int(word) for word in line.split()] for line in ran.stdout.decode().split("\n")[:-1]]


def assert_equal_ids(path: Path, texts: list[bytes], oracle: Any = None) -> None:
    oracle = oracle or tokenizers.Tokenizer.from_file(str(path))
    ours = encode(path, texts)
    assert len(ours) == len(texts)
    for text, ids in zip(texts, ours, strict=True):
        expected = oracle.encode(text.decode(errors="replace"), add_special_tokens=False).ids
        assert ids == expected, f"{text!r}: {ids}, not {expected}"


@pytest.fixture(scope="module")
def neox() -> Path:
    path = DATA / "20B_tokenizer.json"
    if not path.exists():
        pytest.skip(f"{path} is not there: the 20B tokenizer is not part of the repository")
    return path


@pytest.fixture(scope="module")
def garden_tokenizer() -> Path:
    if not GARDEN.exists():
        pytest.skip(f"{GARDEN} is not there")
    return GARDEN


# -- Generated strings ---------------------------------------------------------------------------------

PLANES = [
    (0x20, 0x7E),
    (0x20, 0x7E),
    (0x00, 0x2FF),
    (0x370, 0x5FF),
    (0x600, 0xFFF),
    (0x1000, 0x2FFF),
    (0x3000, 0xD7FF),
    (0xE000, 0xFFFF),
    (0x10000, 0x1FFFF),
    (0x20000, 0x3FFFF),
    (0xE0000, 0x10FFFF),
]
MARKS = [
    *range(0x300, 0x370),
    *range(0x591, 0x5C0),
    *range(0x1AB0, 0x1AD0),
    0x93C,
    0x9BE,
    0xCD5,
    0x3099,
    0x1D165,
]
SPACES = " \u2581\t\n\r\x0b\x0c\x85\xa0\u1680\u180e\u2000\u2003\u2028\u202f\u205f\u3000\ufeff\u200b"
WORDS = "the \u2581of <0x41> of and I'm you've they'll DON'T it's we'd na\u00efve Stra\u00dfe 12 1984 \u00bd def return \u201cquote\u201d \u00e9a \u65e5\u672c \ud55c\uad6d".split()


def characters(rng: random.Random, count: int) -> str:
    low, high = rng.choice(PLANES)
    codepoints = (rng.randint(low, high) for _ in range(count))
    return "".join(chr(c) for c in codepoints if not 0xD800 <= c <= 0xDFFF)


def part(rng: random.Random, added: list[str]) -> bytes:
    kind = rng.randrange(9)
    if kind == 0:
        return characters(rng, rng.randint(1, 8)).encode()
    if kind == 1:
        return (" " * rng.randint(1, 60)).encode()
    if kind == 2:
        return "".join(rng.choice(SPACES) for _ in range(rng.randint(1, 6))).encode()
    if kind == 3:
        base = chr(rng.choice([*range(0x41, 0x5B), 0x1100, 0x1161, 0xAC00, 0x9C7, 0x212B, 0x344, 0x11935]))
        return (base + "".join(chr(rng.choice(MARKS)) for _ in range(rng.randint(1, 20)))).encode()
    if kind == 4:
        return rng.randbytes(rng.randint(1, 6))
    if kind == 5:  # a character cut short, a surrogate, an overlong form
        return rng.choice(
            [b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xff"]
        )
    if kind == 6:
        token = rng.choice(added)
        return (rng.choice(["", "a", " "]) + token + rng.choice(["", "b", " "])).encode()
    if kind == 7 and rng.randrange(2):  # added tokens and white space
        parts = [rng.choice([rng.choice(added), " ", "\t\n", "\n", "a", "\u2003"]) for _ in range(6)]
        return "".join(parts).encode()
    if kind == 7:  # pieces of an added token
        token = rng.choice(added).encode()
        return token[: rng.randint(0, len(token))]
    return (" " * rng.randrange(2) + rng.choice(WORDS)).encode()


def generate(seed: int, count: int, added: list[str]) -> Iterator[bytes]:
    rng = random.Random(seed)
    for _ in range(count):
        yield b"".join(part(rng, added) for _ in range(rng.randint(1, 8)))


def check_generated(path: Path, count: int, seed: int = 1) -> None:
    oracle = tokenizers.Tokenizer.from_file(str(path))
    added = [token.content for token in oracle.get_added_tokens_decoder().values()] or ["<none>"]
    batch: list[bytes] = []
    for text in generate(seed, count, added):
        batch.append(text)
        if len(batch) == BATCH:
            assert_equal_ids(path, batch, oracle)
            batch.clear()
    assert_equal_ids(path, batch, oracle)


# -- The 20B tokenizer ---------------------------------------------------------------------------------


def test_vectors(neox: Path) -> None:
    assert encode(neox, [text.encode() for text in VECTORS]) == list(VECTORS.values())
    assert_equal_ids(neox, [text.encode() for text in VECTORS])


def test_lambada(neox: Path) -> None:
    path = DATA / "lambada_test.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not there: LAMBADA is not part of the repository")
    texts = [json.loads(line)["text"].encode() for line in path.read_bytes().splitlines()]
    assert len(texts) == 5153
    assert_equal_ids(neox, texts)


def test_generated_strings(neox: Path) -> None:
    check_generated(neox, STRINGS)


@functools.cache
def points() -> list[int]:
    """Every character. Of the planes in which Unicode assigns none, or all for private use, tables cannot tell any apart: of those only
    the ends and several of each 128, which is how libraries cut their tables."""
    plain = [c for c in range(0x40000) if not 0xD800 <= c <= 0xDFFF]
    ends = [c for plane in range(4, 17) for c in (*range(plane << 16, (plane << 16) + 64), *range((plane << 16) + 0xFFC0, (plane + 1) << 16))]
    return plain + sorted({*ends, *range(0x40000, 0x110000, 61), *range(0xE0000, 0xE1000)})


@functools.cache
def kinds() -> list[int]:
    """Of characters that follow each other and of which Python's Unicode says the same, only the ends and some between. Each table has
    every character in a test of its own; what else depends on it needs all that can stand there, not all that stands for the same."""

    def kind(c: int) -> tuple[object, ...]:
        name = chr(c)
        is_syllable_of_two = 0xAC00 <= c < 0xD7A4 and (c - 0xAC00) % 28 == 0
        decomposition = unicodedata.decomposition(name)
        return unicodedata.category(name), unicodedata.combining(name), decomposition[:1], is_syllable_of_two, name.isspace()

    runs = [list(run) for _, run in itertools.groupby(points(), kind)]
    return [c for run in runs for c in (run if len(run) <= 128 else run[:64] + run[64:-64:61] + run[-64:])]


def check_characters(path: Path, context: str, every: list[int]) -> None:
    texts = ["".join(context % chr(c) for c in every[i : i + 32]).encode() for i in range(0, len(every), 32)]
    assert_equal_ids(path, texts)


@pytest.mark.parametrize("context", ["a%s1", "a\u0315%s\u0316"])  # white space, letters and numbers; what NFC decomposes and orders
def test_every_character(garden_tokenizer: Path, context: str) -> None:
    """Cutting into words and NFC depend on what Unicode says of each character: none is left out."""
    check_characters(garden_tokenizer, context, points())


@pytest.mark.parametrize("context", [" %s ", "%s\u0301", "%s\u0334\u0323"])
def test_every_kind_of_character(garden_tokenizer: Path, context: str) -> None:
    check_characters(garden_tokenizer, context, kinds())


@pytest.mark.parametrize(("context", "characters"), [("%szq\t", points), ("a%szl", kinds)])
def test_added_tokens_beside_every_character(
    garden_tokenizer: Path, tmp_path: Path, context: str, characters: Callable[[], list[int]]
) -> None:
    """Whether a token is a word of its own, and what white space it takes, depends on the character beside it."""
    tokenizer = json.loads(garden_tokenizer.read_text())
    tokenizer["added_tokens"] += [
        {"id": 1000, **added_token("zq", single_word=True)},
        {"id": 1001, **added_token("zl", lstrip=True)},
    ]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    check_characters(path, context, characters())


def test_long_words(neox: Path) -> None:
    texts = [
        b"a" * 300_000,
        b"ab" * 100_000,
        " ".encode() * 100_001,
        "\u0301\u0323".encode() * 50_000,
        b"\n " * 50_000,
    ]
    assert_equal_ids(neox, texts)


# -- The fixture's tokenizer and others made from it ---------------------------------------------------


def test_garden(garden_tokenizer: Path) -> None:
    check_generated(garden_tokenizer, STRINGS)


def added_token(content: str, **flags: bool) -> dict[str, Any]:
    token = {"content": content, "single_word": False, "lstrip": False, "rstrip": False}
    return {**token, "normalized": False, "special": False, **flags}


def legacy_merges(tokenizer: dict[str, Any]) -> None:
    merges = tokenizer["model"]["merges"]
    tokenizer["model"]["merges"] = [" ".join(merge) if isinstance(merge, list) else merge for merge in merges]


def ignore_merges(tokenizer: dict[str, Any]) -> None:
    model = tokenizer["model"]
    model["ignore_merges"] = True
    for word in ("\u0120the", "\u0120of", "na\u00efve".encode().decode("latin1"), "1984"):
        model["vocab"].setdefault(word, len(model["vocab"]) + 100)


def prefix_space(tokenizer: dict[str, Any]) -> None:
    tokenizer["pre_tokenizer"]["add_prefix_space"] = True


def no_regex(tokenizer: dict[str, Any]) -> None:
    tokenizer["pre_tokenizer"]["use_regex"] = False


def no_normalizer(tokenizer: dict[str, Any]) -> None:
    tokenizer["normalizer"] = None


def normalizer_sequence(tokenizer: dict[str, Any]) -> None:
    tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}]}


def flags(tokenizer: dict[str, Any]) -> None:
    tokenizer["added_tokens"] += [
        {"id": 1000, **added_token("<left>", lstrip=True)},
        {"id": 1001, **added_token("<right>", rstrip=True)},
        {"id": 1002, **added_token("<both>", lstrip=True, rstrip=True, normalized=True)},
        {"id": 1003, **added_token("word", single_word=True)},
        {"id": 1004, **added_token("wor")},
        {"id": 1005, **added_token("e\u0301t", normalized=True)},
        {"id": 1006, **added_token("\u212bx", normalized=False, special=True)},
        {"id": 1007, **added_token("the", single_word=True, lstrip=True, normalized=True)},
        {"id": 1008, **added_token("\t\n")},  # white space that <right> may have taken already
        {"id": 1009, **added_token(" \n", single_word=True)},
        {"id": 1010, **added_token("\x0b", lstrip=True, rstrip=True)},  # of a run of these, one is left
    ]


def unknown_bytes(tokenizer: dict[str, Any]) -> None:
    """Without some byte symbols, and an unk_token in their place."""
    model = tokenizer["model"]
    used = {
        half for merge in model["merges"] for half in (merge if isinstance(merge, list) else merge.split(" "))
    }
    for symbol in [s for s in model["vocab"] if len(s) == 1 and s not in used][:60]:
        del model["vocab"][symbol]
    model["unk_token"] = next(iter(model["vocab"]))
    # the ids must stay those of the vocabulary, and the added tokens follow its size
    model["vocab"] = {token: i for i, token in enumerate(model["vocab"])}


def fused_unknown_bytes(tokenizer: dict[str, Any]) -> None:
    unknown_bytes(tokenizer)
    tokenizer["model"]["fuse_unk"] = True


def dropped_bytes(tokenizer: dict[str, Any]) -> None:
    unknown_bytes(tokenizer)
    tokenizer["model"]["unk_token"] = None


CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def split(tokenizer: dict[str, Any], expression: str) -> None:
    cut = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
    spell = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [cut, spell]}


def llama3_split(tokenizer: dict[str, Any]) -> None:
    split(tokenizer, CL100K % "{1,3}")


def qwen2_split(tokenizer: dict[str, Any]) -> None:
    split(tokenizer, CL100K % "")


def tekken_split(tokenizer: dict[str, Any]) -> None:
    """Apertus's, and Mistral's from Nemo on."""
    split(tokenizer, TEKKEN)


def dolma2_split(tokenizer: dict[str, Any]) -> None:
    """What lies between matches is dropped; nothing does."""
    llama3_split(tokenizer)
    tokenizer["pre_tokenizer"]["pretokenizers"][0] |= {"behavior": "Removed", "invert": True}


def digits(tokenizer: dict[str, Any], each: bool = True) -> None:
    """SmolLM2's, before the expression of ByteLevel."""
    steps = [{"type": "Digits", "individual_digits": each}, tokenizer["pre_tokenizer"]]
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}


def runs_of_digits(tokenizer: dict[str, Any]) -> None:
    digits(tokenizer, each=False)


def split_then_digits(tokenizer: dict[str, Any]) -> None:
    llama3_split(tokenizer)
    tokenizer["pre_tokenizer"]["pretokenizers"].insert(1, {"type": "Digits", "individual_digits": True})


def split_then_words(tokenizer: dict[str, Any]) -> None:
    qwen2_split(tokenizer)
    tokenizer["pre_tokenizer"]["pretokenizers"][1]["use_regex"] = True


def template(tokenizer: dict[str, Any]) -> None:
    """Tokens around a text, which nobody asks for."""
    names = [token["content"] for token in tokenizer["added_tokens"][:2]]
    around = [{"SpecialToken": {"id": name, "type_id": 0}} for name in names]
    tokens = {name: {"id": name, "ids": [i], "tokens": [name]} for i, name in enumerate(names)}
    single = [around[0], {"Sequence": {"id": "A", "type_id": 0}}, around[1]]
    tokenizer["post_processor"] = {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": tokens}


VARIANTS = [
    legacy_merges,
    ignore_merges,
    prefix_space,
    no_regex,
    no_normalizer,
    normalizer_sequence,
    flags,
    unknown_bytes,
    fused_unknown_bytes,
    dropped_bytes,
    llama3_split,
    qwen2_split,
    tekken_split,
    dolma2_split,
    digits,
    runs_of_digits,
    split_then_digits,
    split_then_words,
    template,
]


@pytest.mark.parametrize("change", VARIANTS, ids=lambda change: change.__name__)
def test_variant(garden_tokenizer: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    tokenizer = json.loads(garden_tokenizer.read_text())
    change(tokenizer)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    check_generated(path, STRINGS // 4, seed=2)


@pytest.mark.parametrize(
    ("change", "characters"),  # tekken's tells more of them apart than the others do
    [(tekken_split, points), (llama3_split, kinds), (qwen2_split, kinds), (digits, kinds), (runs_of_digits, kinds)],
    ids=lambda value: value.__name__,
)
def test_every_character_of_other_splits(
    garden_tokenizer: Path, tmp_path: Path, change: Callable[[Any], None], characters: Callable[[], list[int]]
) -> None:
    tokenizer = json.loads(garden_tokenizer.read_text())
    change(tokenizer)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    check_characters(path, "'%s1 ", characters())
