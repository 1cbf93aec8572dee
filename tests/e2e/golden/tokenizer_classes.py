"""Makes tokenizer_classes.json: whether AutoTokenizer cuts texts as tokenizer.json says, by class and type of the model.

    python tests/e2e/golden/tokenizer_classes.py     (transformers; seconds; once for each version, whose results are added)

Per version and case: "same" or "other" with the token before a text and the texts that are cut otherwise, or an error's name. No special
tokens are added to a text.
"""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

from tokenizer_config import TOKENIZER as BYTES

GOLDEN = Path(__file__).resolve().parent / "tokenizer_classes.json"
MARK = "\u2581"
PLAIN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
WORDS = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
TEKKEN = (  # Mistral's, which Apertus has, too
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BLOOM = " ?[^(\\s|[.,!?…。，、।۔،])]+"
TEXTS = [
    *("Hello world", "the wor a", "12 1234 1", "<s>x</s> a", "a<s>b", "a<|endoftext|> b", " lead", "  two", MARK + "x", "the cafe\u0301 the "),
    *("a   b", "the", "\t\n x", "\u00e9\u1e9b", "I'LL don't", "x\n\n y", "a\nb", "", " ", "\u65e5\u672c", "<s> the", "the <s>"),
]


def template(begin: str, id: int) -> dict[str, Any]:
    single = [{"SpecialToken": {"id": begin, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    tokens = {begin: {"id": begin, "ids": [id], "tokens": [begin]}}
    return {"type": "TemplateProcessing", "single": single, "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": tokens}


def of_marks(normalizer: dict[str, Any] | None, pre_tokenizer: dict[str, Any] | None, normalized: bool = False) -> dict[str, Any]:
    """As Llama's: bytes for what the vocabulary lacks."""
    merges = [[MARK, "t"], ["h", "e"], [MARK + "t", "he"], [MARK, MARK], [MARK, "a"], ["w", "o"], ["wo", "r"], [MARK, "wor"]]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), MARK, *map(chr, range(33, 127)), *map("".join, merges)]
    model = {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None}
    model |= {"fuse_unk": True, "byte_fallback": True, "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges}
    added = [{"id": i, "content": token, **PLAIN, "normalized": normalized} for i, token in enumerate(tokens[:3])]
    steps = [{"type": "Replace", "pattern": {"String": MARK}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    parts = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer, "pre_tokenizer": pre_tokenizer}
    return {**parts, "post_processor": template("<s>", 1), "decoder": {"type": "Sequence", "decoders": steps}, "model": model}


def of_bytes(*cuts: dict[str, Any], normalizer: str | None = None, ignore_merges: bool = False) -> dict[str, Any]:
    tokenizer = copy.deepcopy(BYTES)
    tokenizer["added_tokens"] = tokenizer["added_tokens"][:2]
    model = tokenizer["model"]
    for left, right in (("1", "2"), ("3", "4"), ("\u0120", "1")):
        model["vocab"].setdefault(left + right, len(model["vocab"]))
        model["merges"].append([left, right])
    model["ignore_merges"] = ignore_merges
    tokenizer["normalizer"] = normalizer and {"type": normalizer}
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": list(cuts)} if len(cuts) > 1 else cuts[0]
    return tokenizer


def split(digits: str, removed: bool = False) -> dict[str, Any]:
    behavior = {"behavior": "Removed", "invert": True} if removed else {"behavior": "Isolated", "invert": False}
    return {"type": "Split", "pattern": {"Regex": CL100K % digits}, **behavior}


def metaspace(scheme: str) -> dict[str, Any]:
    return {"type": "Metaspace", "replacement": MARK, "prepend_scheme": scheme, "split": False}


SPELL = WORDS | {"use_regex": False}
PREFIX = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": MARK}, {"type": "Replace", "pattern": {"String": " "}, "content": MARK}]}
TOKENIZERS: dict[str, dict[str, Any]] = {
    "llama": of_marks(PREFIX, None),
    "old llama": of_marks(PREFIX, None, normalized=True),
    "first": of_marks(None, metaspace("first")),
    "always": of_marks(None, metaspace("always")),
    "gemma": of_marks(
        {"type": "Replace", "pattern": {"String": " "}, "content": MARK},
        {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
    ),
    "gpt2": of_bytes(WORDS),
    "smollm2": of_bytes({"type": "Digits", "individual_digits": True}, WORDS),
    "llama3": of_bytes(split("{1,3}"), SPELL, ignore_merges=True),
    "dolma2": of_bytes(split("{1,3}", removed=True), SPELL),
    "qwen2": of_bytes(split(""), SPELL, normalizer="NFC"),
    "tekken": of_bytes({"type": "Split", "pattern": {"Regex": TEKKEN}, "behavior": "Isolated", "invert": False}, SPELL, ignore_merges=True),
    "bloom": of_bytes({"type": "Split", "pattern": {"Regex": BLOOM}, "behavior": "Isolated", "invert": False}, SPELL),
}
END = {name: "<|endoftext|>" for name in ("bos_token", "eos_token", "unk_token")}
NAMED = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
TYPES = ("llama", "gemma", "mistral", "qwen2", "qwen3", "smollm3", "olmo2", "olmo3", "olmo", "olmoe", "qwen3_moe", "apertus", "gpt_neox", "gpt2", "modernbert-decoder")

# name: (tokenizer, model_type, tokenizer_config.json, words of our refusal or "")
CASES: dict[str, tuple[str, str, dict[str, Any] | None, str]] = {}


def add(tokenizer: str, model_type: str, class_name: str | None, refusal: str = "", **config: Any) -> None:
    added = {str(token["id"]): {k: v for k, v in token.items() if k != "id"} for token in TOKENIZERS[tokenizer]["added_tokens"]}
    extra = "".join(f", {key} {json.dumps(value)}" for key, value in config.items() if key not in (*END, "added_tokens_decoder"))
    names = "" if "bos_token" in config else ", unnamed"
    name = f"{tokenizer} as {class_name} of {model_type}{names}{extra}"
    CASES[name] = (tokenizer, model_type, class_name and {"tokenizer_class": class_name, "added_tokens_decoder": added, **config}, refusal)


for kind in TYPES:
    add("gpt2", kind, "GPT2Tokenizer", **END)
    add("smollm2", kind, "GPT2Tokenizer", **END)
    add("dolma2", kind, "GPT2Tokenizer", **END)
    for tokenizer in ("smollm2", "llama3", "qwen2"):
        add(tokenizer, kind, "PreTrainedTokenizerFast", **END)
    add("qwen2", kind, "Qwen2Tokenizer", **(END | {"bos_token": None}))
    named = "passes over pre_tokenizer" if kind == "gemma" else ""
    add("qwen2", kind, None, "tokenizer_class: not named" if kind in ("llama", "mistral", "olmo2", "olmo3", "apertus", "modernbert-decoder") else named)
for kind in ("llama", "mistral", "smollm3", "apertus"):
    refusal = "bos_token: not named, and transformers" if kind == "mistral" else ""
    for tokenizer in ("llama", "old llama", "first", "always"):
        add(tokenizer, kind, "PreTrainedTokenizerFast", **NAMED)
        for legacy in ({}, {"legacy": True}, {"legacy": False}):
            add(tokenizer, kind, "LlamaTokenizer", **NAMED, **legacy)
        add(tokenizer, kind, "LlamaTokenizerFast", refusal)
    add("llama", kind, None, "" if kind == "smollm3" else "tokenizer_class: not named")
    add("llama3", kind, "LlamaTokenizer", "passes over pre_tokenizer", **END)
for key, value, refusal in (
    *(("add_prefix_space", value, "add_prefix_space: of LlamaTokenizer") for value in (True, False)),
    *(("add_prefix_space", None, ""), ("from_slow", True, "from_slow: true"), ("add_bos_token", True, ""), ("add_bos_token", False, "")),
    *(("clean_up_tokenization_spaces", True, ""), ("sp_model_kwargs", {}, ""), ("use_default_system_prompt", True, ""), ("padding_side", "right", "")),
    *(("spaces_between_special_tokens", True, ""), ("model_max_length", 1, ""), ("pad_token", None, ""), ("pad_token", "</s>", "")),
):
    add("first", "llama", "LlamaTokenizer", refusal, **NAMED, **{key: value})
    if value is not None and key == "add_prefix_space":
        add("first", "llama", "PreTrainedTokenizerFast", **NAMED, **{key: value})
for kind in ("apertus", "mistral"):
    add("tekken", kind, "PreTrainedTokenizerFast", **END)
for class_name in ("BloomTokenizerFast", "PreTrainedTokenizerFast"):
    add("bloom", "bloom", class_name, **END, pad_token="<|padding|>")
add("bloom", "bloom", "BloomTokenizerFast", "bos_token: not named, and")
add("bloom", "bloom", None, "tokenizer_class: not named")
add("bloom", "bloom", "BloomTokenizerFast", "add_prefix_space: true here", **END, add_prefix_space=True)
add("llama", "qwen2", "PreTrainedTokenizerFast", "passes over pre_tokenizer", **NAMED)
add("gpt2", "olmo2", "GPT2Tokenizer", "bos_token: not named, and transformers")
for class_name in ("GPT2Tokenizer", "GPTNeoXTokenizer", "PreTrainedTokenizerFast"):
    add("llama3", "stablelm", class_name, **END)
add("llama3", "granite", "GPT2Tokenizer", **END)
add("gpt2", "stablelm", None, "tokenizer_class: not named")
for class_name in ("LlamaTokenizerFast", "PreTrainedTokenizerFast"):
    add("first", "nemotron", class_name, **NAMED)
for tokenizer in ("gpt2", "llama3"):
    add(tokenizer, "nemotron", None)
for kind in ("llama", "gemma"):  # HPLT's models are of the first with the tokenizer of the other
    for class_name in ("GemmaTokenizer", "GemmaTokenizerFast", "PreTrainedTokenizerFast"):
        add("gemma", kind, class_name, **NAMED, pad_token="</s>")
        add("first", kind, class_name, **NAMED, pad_token="</s>")
    add("gemma", kind, "GemmaTokenizer", "bos_token: not named, and")
    add("gpt2", kind, "GemmaTokenizer", "passes over pre_tokenizer", **END, pad_token="<|padding|>")
    add("gpt2", kind, "GPTNeoXTokenizerFast", **END)
add("gemma", "gemma", "LlamaTokenizer", **NAMED)


def write_files(name: str, folder: Path) -> None:
    tokenizer, model_type, config, _ = CASES[name]
    sizes = {"vocab_size": 600, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 64, "num_hidden_layers": 1}
    (folder / "config.json").write_text(json.dumps({"model_type": model_type, **sizes}))
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZERS[tokenizer]))
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))


def measure(folder: Path) -> list[Any]:
    import tokenizers
    from transformers import AutoTokenizer

    oracle = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    try:
        found = AutoTokenizer.from_pretrained(str(folder))
        prefix = found.eos_token_id if found.bos_token_id is None else found.bos_token_id
        ids = {text: found(text, add_special_tokens=False)["input_ids"] for text in TEXTS}
    except Exception as error:  # whatever it is: nobody gets tokens
        return [type(error).__name__]
    others = [text for text in TEXTS if ids[text] != oracle.encode(text, add_special_tokens=False).ids]
    return ["other", prefix, others] if others else ["same", prefix]


def main() -> None:
    import transformers

    golden: dict[str, Any] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    golden[transformers.__version__] = results = {}
    for name in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            write_files(name, Path(scratch))
            results[name] = measure(Path(scratch))
    lines = (f" {json.dumps(version)}: {{\n" + ",\n".join(f"  {json.dumps(n)}: {json.dumps(r)}" for n, r in rows.items()) + "\n }" for version, rows in golden.items())
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
