"""Makes tokenizer_config.json: whether AutoTokenizer cuts texts as tokenizer.json says, with what may stand beside it.

    python tests/e2e/golden/tokenizer_config.py     (transformers; seconds; once for each version, whose results are added)

Per version and case: "same" with the token before a text (lm-evaluation-harness' prefix_token_id), "other" with that and the texts that are
cut otherwise, or an error's name.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Callable

HERE = Path(__file__).resolve().parent
GARDEN = HERE.parents[1] / "fixtures/garden/hub/models/garden/neox-tiny"
GOLDEN = HERE / "tokenizer_config.json"
TEXTS = ["Hello world", "<s>x</s> a", "a<|endoftext|> b", "  <|padding|>c", " lead", "the cafe\u0301 the ", "a   b", "the", "\t\n x", "\u00e9\u1e9b"]
NEOX, FILE, GPT2 = ({"tokenizer_class": name} for name in ("GPTNeoXTokenizer", "PreTrainedTokenizerFast", "GPT2Tokenizer"))
TOKENIZER = json.loads((GARDEN / "_shared/tokenizer.json").read_text())
PLAIN = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}
END = {"content": "<|endoftext|>", **PLAIN}
DECODER = {str(token["id"]): {k: v for k, v in token.items() if k != "id"} for token in TOKENIZER["added_tokens"]}
NAMED = {name: "<s>" for name in ("bos_token", "eos_token", "unk_token")}
NO_END_DECODER = DECODER | {"0": END | {"content": "<s>"}, "1": END | {"content": "<pad>"}}
Change = Callable[[dict[str, Any]], None]


def prefix_space(tokenizer: dict[str, Any]) -> None:
    tokenizer["pre_tokenizer"]["add_prefix_space"] = True


def no_normalizer(tokenizer: dict[str, Any]) -> None:
    tokenizer["normalizer"] = None


def composed_token(tokenizer: dict[str, Any]) -> None:
    no_normalizer(tokenizer)
    tokenizer["added_tokens"][2] |= {"content": "e\u0301", "normalized": True}


def words_of_class(tokenizer: dict[str, Any]) -> None:
    """What the classes call the end and padding are words, and not added."""
    del tokenizer["added_tokens"][:2]


def no_end(tokenizer: dict[str, Any]) -> None:
    """Other tokens stand in their place."""
    vocabulary = tokenizer["model"]["vocab"]
    for token, other in zip(tokenizer["added_tokens"][:2], ("<s>", "<pad>"), strict=True):
        vocabulary[other] = vocabulary.pop(token["content"])
        token["content"] = other


def whole_words(tokenizer: dict[str, Any]) -> None:
    tokenizer["model"]["ignore_merges"] = True
    tokenizer["model"]["vocab"]["\u0120lead"] = tokenizer["model"]["vocab"].pop("~")  # no merges lead there


# name: (tokenizer_config.json, change of tokenizer.json, other files, words of our refusal or "")
CASES: dict[str, tuple[dict[str, Any] | None, Change | None, dict[str, Any], str]] = {
    "nothing beside": (None, None, {}, ""),
    "empty": ({}, None, {}, ""),
    "no NFC": (None, no_normalizer, {}, ""),
    "no NFC, and a token that it composes": (None, composed_token, {}, ""),
    "words of the class": (NEOX, words_of_class, {}, ""),
    "words of GPT-2's class": (GPT2, words_of_class, {}, ""),
    "words of no class": (FILE, words_of_class, {}, ""),
    "no end": (None, no_end, {}, "bos_token is not named"),
    "no end, some named": (NEOX | {"bos_token": "<s>", "eos_token": "<s>"}, no_end, {}, ""),
    "no end, no padding named": (NAMED, no_end, {}, ""),
    "no end, all named": (NAMED | {"pad_token": "<pad>"}, no_end, {}, ""),
    "no end, named as none": ({"bos_token": "<s>", "eos_token": None, "unk_token": None, "pad_token": None}, no_end, {}, ""),
    "no end, named in the map": ({}, no_end, {"special_tokens_map.json": {**NAMED, "pad_token": "<pad>"}}, ""),
    "no end, a decoder": (NAMED | {"added_tokens_decoder": NO_END_DECODER}, no_end, {}, ""),
    "no end of GPT-2": (GPT2 | {"bos_token": "<s>"}, no_end, {}, ""),
    "words taken whole": (NEOX, whole_words, {}, ""),
    "prefix space in tokenizer.json alone": (None, prefix_space, {}, "add_prefix_space: false here"),
    "prefix space here alone": ({"add_prefix_space": True}, None, {}, "add_prefix_space: true here"),
    "prefix space in both": ({"add_prefix_space": True}, prefix_space, {}, ""),
    "class of GPT-2": (GPT2, None, {}, ""),
    "class of GPT-2, no NFC": (GPT2, no_normalizer, {}, ""),
    "class of Llama": ({"tokenizer_class": "LlamaTokenizer"}, None, {}, "passes over pre_tokenizer"),
    "class that is none": ({"tokenizer_class": "FooTokenizer"}, None, {}, '"FooTokenizer" is not supported'),
    "class in config.json": (None, no_normalizer, {"config.json": FILE}, ""),
    "several files": (FILE | {"fast_tokenizer_files": ["tokenizer.json", "tokenizer.4.0.0.json"]}, None, {}, "fast_tokenizer_files"),
}
for label, kind in (("built", NEOX), ("file", FILE)):
    for name, config, others, refusal, only_built in (
        ("plain", {}, {}, "", False),
        ("no effect", {"model_max_length": int(1e30), "clean_up_tokenization_spaces": True, "errors": "strict", "trim_offsets": False}, {}, "", False),
        ("beginning", {"bos_token": "<|padding|>"}, {}, "", False),
        ("end alone", {"bos_token": None, "eos_token": "<|padding|>"}, {}, "", False),
        ("beginning that is added", {"bos_token": "<s>"}, {}, '"<s>" is not an added token', False),
        ("padding that is a word", {"pad_token": "the"}, {}, '"the" is not an added token', False),
        ("beginning before texts", {"add_bos_token": True, "bos_token": "<|endoftext|>"}, {}, "add_bos_token: true", True),
        ("end behind texts", {"add_eos_token": True, "eos_token": "<|endoftext|>"}, {}, "add_eos_token: true", True),
        ("special tokens cut", {"split_special_tokens": True}, {}, "split_special_tokens: true", False),
        ("flags of a name", {"bos_token": {"__type": "AddedToken", **END, "lstrip": True}}, {}, "", False),
        ("decoder", {"added_tokens_decoder": DECODER}, {"special_tokens_map.json": {"bos_token": "<s>"}}, "", False),
        ("decoder with other flags", {"added_tokens_decoder": DECODER | {"0": END | {"lstrip": True, "rstrip": True}}}, {}, "0: lstrip differs", False),
        ("decoder that lacks some", {"added_tokens_decoder": {"0": END}}, {}, "lacks an added token", True),
        ("decoder with another", {"added_tokens_decoder": DECODER | {"600": END | {"content": "<s>"}}}, {}, '"<s>" is not an added token', False),
        ("additional", {"additional_special_tokens": ["<s>"]}, {}, "additional_special_tokens: ", False),
        ("additional that is there", {"additional_special_tokens": ["<|padding|>"]}, {}, "", False),
        ("name of another kind", {"image_token": "<s>"}, {}, "image_token: ", False),
        ("map", {"bos_token": "<|endoftext|>"}, {"special_tokens_map.json": {"bos_token": "<|padding|>"}}, "", False),
        ("map that adds", {}, {"special_tokens_map.json": {"bos_token": "<s>"}}, "special_tokens_map.json: bos_token", False),
        ("map with flags", {}, {"special_tokens_map.json": {"bos_token": {"content": "<|endoftext|>", "lstrip": True}}}, "", False),
        ("old added tokens", {}, {"added_tokens.json": {"<s>": 512}}, "added_tokens.json: ", False),
    ):
        CASES[f"{name} ({label})"] = (kind | config, None, others, "" if only_built and label == "file" else refusal)


def write_files(name: str, folder: Path) -> None:
    """Beside the config.json that is there, whose members may be changed."""
    config, change, others, _ = CASES[name]
    tokenizer = copy.deepcopy(TOKENIZER)
    if change:
        change(tokenizer)
    files = {"tokenizer.json": tokenizer, **others}
    files["config.json"] = json.loads((folder / "config.json").read_text()) | others.get("config.json", {})
    if config is not None:
        files["tokenizer_config.json"] = config
    for file, content in files.items():
        (folder / file).unlink(missing_ok=True)
        (folder / file).write_text(json.dumps(content))


def measure(folder: Path) -> list[Any]:
    import tokenizers
    from transformers import AutoTokenizer

    oracle = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    try:
        found = AutoTokenizer.from_pretrained(str(folder))
        prefix = found.eos_token_id if found.bos_token_id is None else found.bos_token_id
        others = [text for text in TEXTS if found(text)["input_ids"] != oracle.encode(text, add_special_tokens=False).ids]
        return ["other", prefix, others] if others else ["same", prefix]
    except Exception as error:  # whatever it is: nobody gets tokens
        return [type(error).__name__]


def main() -> None:
    import shutil
    import tempfile

    import transformers

    golden: dict[str, Any] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    golden[transformers.__version__] = results = {}
    for name in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copy(GARDEN / "step14000/config.json", scratch)
            write_files(name, Path(scratch))
            results[name] = measure(Path(scratch))
    lines = (f" {json.dumps(version)}: {{\n" + ",\n".join(f"  {json.dumps(n)}: {json.dumps(r)}" for n, r in rows.items()) + "\n }" for version, rows in golden.items())
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
