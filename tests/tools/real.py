"""Real models and tokenizers, where somebody has their files, beside `tokenizers` and transformers. Nothing of theirs is part of the repository.

    python tests/tools/real.py gguf MODEL.gguf FAMILY OUT.json            the vocabulary as the family publishes it (gguf)
    python tests/tools/real.py ids BUILD TOKENIZER.json...                equal ids, text for text (tokenizers)
    python tests/tools/real.py auto BUILD FOLDER...                       the same with AutoTokenizer of config.json and tokenizer_config.json
    python tests/tools/real.py score BUILD FOLDER TEXTS.jsonl [MODE]      log-probabilities beside float64's (torch, transformers)

FAMILY is one of those below. Texts for ids: what git knows here, the system's translations, random characters and bytes, long runs; with
$BIFURCATED_DATA LAMBADA. Texts that we refuse, since transformers' versions cut them differently, are counted. MODE is text_mean (the default;
texts are cut at the context) or last_word, whose texts must have their last word behind a space. Ids that differ end with status 1, and so do
a model that is not scored and log-probabilities beyond 1e-3: of a trained model, whose activations reach 25,000, float32 is up to 3e-4 off
(tests/bench/RESULTS.md).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any, Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
MARK = "\u2581"
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
DIGITS = [{"type": "Digits", "individual_digits": True}, BYTES]
NFC = {"type": "NFC"}


def cl100k(digits: str) -> list[dict[str, Any]]:
    letters = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + digits
    rest = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    return [{"type": "Split", "pattern": {"Regex": letters + rest}, "behavior": "Isolated", "invert": False}, BYTES | {"use_regex": False}]


# normalizer, pre-tokenizers, ignore_merges; None: a vocabulary of SentencePiece's
FAMILIES: dict[str, tuple[dict[str, Any] | None, list[dict[str, Any]], bool] | None] = {
    "gpt2": (None, [BYTES], False),
    "neox": (NFC, [BYTES], False),
    "smollm": (None, DIGITS, False),  # StarCoder, Refact, too
    "command-r": (NFC, DIGITS, False),
    "llama3": (None, cl100k("{1,3}"), True),
    "qwen2": (NFC, cl100k(""), False),
    "llama": None,
}


# -- gguf ----------------------------------------------------------------------------------------------

NORMAL, UNKNOWN, CONTROL, USER, UNUSED = range(1, 6)  # kinds of tokens there


def merges_of(vocabulary: dict[str, int], scores: dict[str, float]) -> list[list[str]]:
    """As transformers' converter of SentencePiece's models has them: every pair of tokens that makes one, best score first."""
    found = []
    for token, score in scores.items():
        pairs = [(token[:i], token[i:], score) for i in range(1, len(token)) if token[:i] in vocabulary and token[i:] in vocabulary]
        found += sorted(pairs, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
    return [[a, b] for a, b, _ in sorted(found, key=lambda pair: (pair[2], len(pair[0]), len(pair[1])), reverse=True)]


def convert(path: Path, family: str) -> dict[str, Any]:
    import gguf

    fields = gguf.GGUFReader(path).fields
    tokens, kinds = (fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "token_type"))
    parts = FAMILIES[family]
    added = (CONTROL, USER) if parts else (UNKNOWN, CONTROL, USER)
    vocabulary = {token: i for i, token in enumerate(tokens) if kinds[i] != UNUSED}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    model: dict[str, Any] = {"type": "BPE", "vocab": vocabulary}
    whole: dict[str, Any] = {"version": "1.0", "model": model}
    whole["added_tokens"] = [{"id": i, "content": t, **flags, "special": kinds[i] != USER} for i, t in enumerate(tokens) if kinds[i] in added]
    if parts:
        whole["normalizer"], cuts, model["ignore_merges"] = parts
        whole["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": cuts}
        model["merges"] = [merge.split(" ") for merge in fields["tokenizer.ggml.merges"].contents()]
    else:
        scores = fields["tokenizer.ggml.scores"].contents()
        replace = {"type": "Replace", "pattern": {"String": " "}, "content": MARK}
        whole["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": MARK}, replace]}
        model |= {"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}
        normal = {token: score for token, score, kind in zip(tokens, scores, kinds, strict=True) if kind == NORMAL}
        model["merges"] = merges_of({token: vocabulary[token] for token in normal}, normal)
    return whole


# -- ids -----------------------------------------------------------------------------------------------


def generated(rng: random.Random) -> Iterator[bytes]:
    known = [c for c in range(0x20, 0x30000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    for i in range(4000):
        begin = rng.randrange(len(known) - 300) if i % 2 else 0
        near = known[begin : begin + 300] + [0x20] if i % 2 else known
        yield "".join(chr(rng.choice(near)) for _ in range(rng.randint(1, 60))).encode()
        yield rng.randbytes(rng.randint(1, 60))
    for piece in (" ", "\t", "\n", "\r\n", "0", "7", "a", "=", "-", "'", "\u00e9", "\u4e2d", "\U0001f600", "\u3000", " \n", "1 ", "'s", "\u0301", "\0"):
        for count in (1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 33, 100, 1000, 5000):
            yield (piece * count).encode()
            yield ("x" + piece * count + "y").encode()


def texts() -> list[bytes]:
    listed = subprocess.run(["git", "-C", REPOSITORY, "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    files = [REPOSITORY / name for name in listed.split("\0") if name] + sorted(Path("/usr/share/locale").glob("*/LC_MESSAGES/*.mo"))[::7]
    found = [path.read_bytes()[:60000] for path in files if path.is_file()]
    lambada = Path(os.environ.get("BIFURCATED_DATA", ".")) / "lambada_test.jsonl"
    if lambada.exists():
        found += [json.loads(line)["text"].encode() for line in lambada.read_text().splitlines()]
    return found + list(generated(random.Random(7)))


def probe(build: str, words: list[str | Path], wanted: list[bytes]) -> list[str] | str:
    """A line for each text, or why the tokenizer is refused."""
    stdin = b"".join(len(text).to_bytes(4, "little") + text for text in wanted)
    ran = subprocess.run([Path(build) / "tests/tokenizer_probe", *words], input=stdin, capture_output=True)
    return ran.stdout.decode().split("\n")[:-1] if ran.returncode == 0 else ran.stderr.decode().strip()


def tell(name: str, found: list[str] | str, expected: list[list[int]]) -> bool:
    if isinstance(found, str):
        print(f"{name}: refused: {found}", flush=True)
        return True
    others = [i for i, (line, ids) in enumerate(zip(found, expected, strict=True)) if line not in ("refused", " ".join(map(str, ids)))]
    tokens = sum(map(len, expected))
    print(f"{name}: {len(found)} texts, {tokens} tokens, {found.count('refused')} refused, {len(others)} differ {others[:5]}", flush=True)
    return not others


def compare_ids(build: str, paths: list[str]) -> bool:
    import tokenizers

    wanted, fine = texts(), True
    for path in paths:
        oracle = tokenizers.Tokenizer.from_file(path)
        expected = oracle.encode_batch([text.decode(errors="replace") for text in wanted], add_special_tokens=False)
        fine &= tell(path, probe(build, [path], wanted), [one.ids for one in expected])
    return fine


def compare_auto(build: str, folders: list[str]) -> bool:
    from transformers import AutoTokenizer

    wanted, fine = texts(), True
    for folder in map(Path, folders):
        config = folder / "tokenizer_config.json"
        kind = json.loads((folder / "config.json").read_text())["model_type"]
        found = probe(build, [folder / "tokenizer.json", config if config.exists() else "-", kind], wanted)
        oracle = AutoTokenizer.from_pretrained(str(folder))
        expected = oracle([text.decode(errors="replace") for text in wanted], add_special_tokens=False)["input_ids"]
        fine &= tell(str(folder), found if isinstance(found, str) else found[1:], expected)
    return fine


# -- score ---------------------------------------------------------------------------------------------


def reference(folder: str, path: str, mode: str) -> list[list[float]]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).to(torch.float64).eval()
    prefix = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    found = []
    for text in (json.loads(line)["text"] for line in Path(path).read_text().splitlines()):
        ids, targets = tokenizer.encode(text, add_special_tokens=False), 0
        if mode == "last_word":
            targets = len(ids) - len(tokenizer.encode(text[: text.rindex(" ")], add_special_tokens=False))
        else:
            ids = ([prefix] + ids)[: model.config.max_position_embeddings]
            targets = len(ids) - 1
        with torch.inference_mode():
            hidden = model.base_model(torch.tensor([ids[:-1]]), use_cache=False).last_hidden_state[0, -targets:]
            parts = [torch.log_softmax(model.get_output_embeddings()(part), -1) for part in hidden.split(512)]
        found.append(torch.cat(parts).gather(1, torch.tensor(ids[-targets:])[:, None])[:, 0].tolist())
    return found


def compare_scores(build: str, folder: str, path: str, mode: str = "text_mean") -> bool:
    command = [Path(build) / "tests/score_probe", folder, path, f"mode={mode}", "tokenizer=file"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    if "error" in found:
        print(f"{folder}: {found['message']}")
        return False
    expected = reference(folder, path, mode)
    pairs = list(zip((one["logprobs"] for one in found["documents"]), expected, strict=True))
    cut = [i for i, (a, b) in enumerate(pairs) if len(a) != len(b)]
    apart = sorted(abs(x - y) for a, b in pairs if len(a) == len(b) for x, y in zip(a, b, strict=True))
    if not apart:
        print(f"{folder}: none of {len(pairs)} texts is cut alike")
        return False
    print(f"{folder}: {len(pairs)} texts, {len(apart)} log-probabilities, apart by {apart[-1]:.3g} at most, p99.9 {apart[int(len(apart) * 0.999)]:.3g}")
    print(f"  other numbers of tokens: {cut[:20]}; perplexity {found['summary']['perplexity']}, accuracy {found['summary']['accuracy']}")
    return not cut and all(one <= 1e-3 for one in apart)


def main() -> None:
    verb, *words = sys.argv[1:] or ["help"]
    if verb == "gguf" and len(words) == 3 and words[1] in FAMILIES:
        Path(words[2]).write_text(json.dumps(convert(Path(words[0]), words[1]), ensure_ascii=False))
    elif verb in ("ids", "auto") and len(words) > 1:
        sys.exit(not (compare_ids if verb == "ids" else compare_auto)(words[0], words[1:]))
    elif verb == "score" and len(words) in (3, 4):
        sys.exit(not compare_scores(*words))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
