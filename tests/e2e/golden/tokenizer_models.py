"""Makes tokenizer_models.json: small tokenizer.model files of SentencePiece's, the ids that it gives, and what transformers' classes make of them.

    python tests/e2e/golden/tokenizer_models.py train     (sentencepiece; seconds: the models and their ids)
    python tests/e2e/golden/tokenizer_models.py ask       (transformers, sentencepiece, protobuf; once for each version, whose results are added)

The models are kept as lists of pieces and settings, of which write_model makes the file again. They were trained on the garden's LAMBADA passages
and on EXTRA, by one thread, without shuffling; "ties" and "first" are made by hand.
"""

from __future__ import annotations

import base64
import io
import json
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parent / "tokenizer_models.json"
TEXT = Path(__file__).resolve().parents[2] / "fixtures/garden/hub/datasets/garden/lambada_garden/main/data/test.jsonl"
EXTRA = ["def f(x):\n    return  x\t+ 1", "\u4eba\u5de5\u667a\u80fd \u65e5\u672c\u8a9e \u043f\u0440\u0438\u0432\u0435\u0442 \u00e9t\u00e9 \ufb01ne \u2163 12345 9999"] * 20
MARK = "\u2581"
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)
TEXTS = [
    *("", " ", "  ", "Hello world", " lead", "  two leads", "trail ", "in  the   middle", "the garden of forking paths", "a\tb\nc\n\n  d", MARK, MARK * 3 + "x"),
    *("x" + MARK + "y", " " + MARK + " ", "12345 9 00", "def f(x):\n    return  x\t+ 1", "caf\u00e9 cafe\u0301 \u1e9b\u0323", "\ufb01ne \u2163 \u00bd \uff21\uff22 \u3000x", "\u4eba\u5de5\u667a\u80fd \u65e5\u672c\u8a9e"),
    *("\U0001f600\U0001f600 ok \U0001f469\u200d\U0001f680", "\u0000\u0001\x7f", "\ufdfa\ufdfa", "aaaaaaaaaaaaaaaa", "abababab ba", "a" * 300 + " " * 40 + "b", "\u200b\u00ad\u00a0x", "\ufffd"),
    *("<s>", "a<s>b", "</s> the", "x<unk>y", "<0x0A>", "the<pad>the", "0<reserved_1>1", "x[PAD]y", "the garden the  garden", "01 10 0 0", "<s", "I'll don't \"q\""),
]


# -- the file ------------------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, value: Any) -> bytes:
    """A number, a float or bytes in protobuf's wire format."""
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def write_model(model: dict[str, Any]) -> bytes:
    """pieces: [text, score, type]; the rest by the names of sentencepiece_model.proto."""
    pieces = [field(1, field(1, text.encode()) + field(2, float(score)) + (field(3, kind) if kind != NORMAL else b"")) for text, score, kind in model["pieces"]]
    numbers = {"model_type": 3, "treat_whitespace_as_suffix": 24, "byte_fallback": 35, "unk_id": 40, "bos_id": 41, "eos_id": 42, "pad_id": 43, "unk_piece": 45}
    trainer = [field(number, value.encode() if isinstance(value, str) else int(value)) for name, number in numbers.items() if (value := model.get(name)) is not None]
    flags = {"add_dummy_prefix": 3, "remove_extra_whitespaces": 4, "escape_whitespaces": 5}
    normalizer = [field(number, int(model[name])) for name, number in flags.items() if name in model]
    charsmap = base64.b64decode(model.get("precompiled_charsmap", ""))
    return b"".join(pieces) + field(2, b"".join(trainer)) + field(3, (field(2, charsmap) if charsmap else b"") + b"".join(normalizer))


# -- training ------------------------------------------------------------------------------------------------


def bytes_of(first: list[list[Any]], rest: list[tuple[str, float]], **settings: Any) -> dict[str, Any]:
    pieces = [*first, *([f"<0x{byte:02X}>", 0.0, BYTE] for byte in range(256)), *([text, score, NORMAL] for text, score in rest)]
    return {"pieces": pieces, "model_type": 2, "byte_fallback": True, "remove_extra_whitespaces": False, **settings}


def by_hand() -> dict[str, Any]:
    """Pieces of equal scores, of which the leftmost counts, several ways to join one, ids that do not go by scores."""
    named = [["<unk>", 0.0, UNKNOWN], ["<s>", 0.0, CONTROL], ["</s>", 0.0, CONTROL]]
    joined = [("aa", -1.0), ("aaa", -1.0), ("ba", -0.5), ("ab", -0.5), ("aba", -0.25), (MARK + "a", -3.0), ("aaaa", -2.0), ("bab", -0.125), ("he", -4.0), ("the", -3.5), ("th", -4.0), (MARK + "the", -9.0), ("e" + MARK, -4.0)]
    return bytes_of(named, [*joined, *((c, -10.0) for c in (MARK, "a", "b", "t", "h", "e"))])


def without_named() -> dict[str, Any]:
    """Pieces of text where 4's conversion looks for those of control, whose scores it takes for 0."""
    first = [["<unk>", 0.0, UNKNOWN], ["ab", 0.0, NORMAL], ["aba", -1.0, NORMAL]]
    return bytes_of(first, [(c, -5.0) for c in ("a", "b", MARK)], unk_id=0, bos_id=-1, eos_id=-1)


def train() -> dict[str, Any]:
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    lines = [json.loads(line)["text"] for line in TEXT.read_text().splitlines()] + EXTRA
    settings: dict[str, Any] = {"model_type": "bpe", "num_threads": 1, "shuffle_input_sentence": False, "minloglevel": 2, "normalization_rule_name": "identity"}
    settings |= {"remove_extra_whitespaces": False, "byte_fallback": True, "split_digits": True, "allow_whitespace_only_pieces": True}
    # a few rules: a ligature, a number, a digraph before its first letter, what goes, what becomes a space
    rules = [("FB01", "66 69"), ("2163", "49 56"), ("65 301", "E9"), ("AD", ""), ("200B", "20"), ("3000", "20"), ("9", "20"), ("A", "20"), ("FF21", "41"), ("FDFA", "635 20 644")]
    wanted = {
        "llama": {},
        "rules": {"remove_extra_whitespaces": True},
        "user": {"user_defined_symbols": ["<pad>", "0", "1", MARK * 2, "the garden", "\n"], "control_symbols": ["<reserved_1>"]},
        "plain": {"byte_fallback": False, "character_coverage": 0.98, "split_digits": False, "vocab_size": 220},
        "squeezed": {"add_dummy_prefix": False, "remove_extra_whitespaces": True, "vocab_size": 360},
        "suffix": {"treat_whitespace_as_suffix": True, "vocab_size": 400},
        "named": {"unk_id": 3, "bos_id": 0, "eos_id": 1, "pad_id": 2, "unk_piece": "[U]", "bos_piece": "<|b|>", "eos_piece": "<|e|>", "vocab_size": 360},
    }
    found = {"ties": by_hand(), "first": without_named()}
    for name, own in wanted.items():
        writer = io.BytesIO()
        with tempfile.NamedTemporaryFile("w", suffix=".tsv") as table:
            table.write("".join(f"{a}\t{b}\n" for a, b in rules))
            table.flush()
            how = {"normalization_rule_name": "", "normalization_rule_tsv": table.name} if name == "rules" else {}
            all_settings = {"vocab_size": 520, "character_coverage": 0.995} | settings | own | how
            if name == "rules":
                del all_settings["normalization_rule_name"]
            sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=writer, **all_settings)
        proto = sentencepiece_model_pb2.ModelProto.FromString(writer.getvalue())
        trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
        model: dict[str, Any] = {"pieces": [[p.piece, p.score, p.type] for p in proto.pieces]}
        model |= {key: getattr(trainer, key) for key in ("model_type", "treat_whitespace_as_suffix", "byte_fallback", "unk_id", "bos_id", "eos_id", "pad_id", "unk_piece")}
        model |= {key: getattr(normalizer, key) for key in ("add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces")}
        if normalizer.precompiled_charsmap:
            model["precompiled_charsmap"] = base64.b64encode(normalizer.precompiled_charsmap).decode()
        found[name] = model
    return {name: model | {"ids": encode(model)} for name, model in found.items()}


def encode(model: dict[str, Any]) -> list[list[int]]:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=write_model(model))
    return [processor.encode(text) for text in TEXTS]


# -- classes -------------------------------------------------------------------------------------------------

# A class as Baichuan and others publish it: SentencePiece for what lies between its tokens.
OWN = '''
import sentencepiece
from transformers import PreTrainedTokenizer

class BaichuanTokenizer(PreTrainedTokenizer):
    vocab_files_names = {"vocab_file": "tokenizer.model"}

    def __init__(self, vocab_file, unk_token="<unk>", bos_token="<s>", eos_token="</s>", add_bos_token=True, **kwargs):
        self.sp_model = sentencepiece.SentencePieceProcessor(model_file=vocab_file)
        self.add_bos_token = add_bos_token
        super().__init__(unk_token=unk_token, bos_token=bos_token, eos_token=eos_token, add_bos_token=add_bos_token, **kwargs)

    @property
    def vocab_size(self):
        return self.sp_model.get_piece_size()

    def get_vocab(self):
        return {self.sp_model.id_to_piece(i): i for i in range(self.vocab_size)} | self.added_tokens_encoder

    def _tokenize(self, text, **kwargs):
        return self.sp_model.encode(text, out_type=str)

    def _convert_token_to_id(self, token):
        return self.sp_model.piece_to_id(token)

    def _convert_id_to_token(self, index):
        return self.sp_model.id_to_piece(index)

    def build_inputs_with_special_tokens(self, ids, other=None):
        return ([self.bos_token_id] if self.add_bos_token else []) + ids
'''
NAMED = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
BY_OWN = {"tokenizer_class": "BaichuanTokenizer", "auto_map": {"AutoTokenizer": ["own.BaichuanTokenizer", None]}}
LLAMA = {"tokenizer_class": "LlamaTokenizer"}
ADDED = {"520": {"content": "[PAD]", "lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}}

# name: (model, model_type, tokenizer_config.json, words of our refusal or "")
CASES: dict[str, tuple[str, str, dict[str, Any], str]] = {
    **{f"{model} by Llama's class": (model, "llama", {**LLAMA, "add_bos_token": True}, "") for model in ("llama", "ties", "rules", "user", "plain", "squeezed", "suffix")},
    **{f"{model} by one of its own": (model, "baichuan", {**BY_OWN, **NAMED}, "") for model in ("llama", "rules", "user")},
    "legacy": ("llama", "llama", {**LLAMA, **NAMED, "add_bos_token": False, "legacy": True}, ""),
    "not legacy": ("llama", "llama", {**LLAMA, **NAMED, "add_bos_token": True, "legacy": False}, ""),
    "ties, not legacy": ("ties", "llama", {**LLAMA, **NAMED, "add_bos_token": True, "legacy": False}, ""),
    "whether it begins with a token is not said": ("llama", "minicpm", {**LLAMA, "add_prefix_space": True}, ""),
    "of Baichuan's type": ("llama", "baichuan", {"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": True, "pad_token": "<unk>"}, ""),
    "more tokens": ("llama", "llama", {**LLAMA, **NAMED, "add_bos_token": True, "pad_token": "[PAD]", "added_tokens_decoder": ADDED}, ""),
    "own, and more tokens": ("llama", "baichuan", {**BY_OWN, **NAMED, "add_bos_token": False, "additional_special_tokens": ["[PAD]", "the garden"]}, ""),
    "no class": ("llama", "llama", NAMED, "tokenizer_class: not named"),
    "no such class": ("llama", "llama", {"tokenizer_class": "T5Tokenizer"}, "it is not known what it makes"),
    "a type with another class": ("llama", "granite", LLAMA, "transformers 5 does not take LlamaTokenizer"),
    "an end": ("llama", "llama", {**LLAMA, "add_eos_token": True}, "add_eos_token: true"),
    "no space before": ("llama", "llama", {**LLAMA, "add_prefix_space": False}, "add_prefix_space: false"),
    "a beginning that is no piece": ("llama", "llama", {**LLAMA, "bos_token": "[B]"}, "it is no piece"),
    "other names": ("named", "llama", {**LLAMA, "add_bos_token": True, "bos_token": "<|b|>", "eos_token": "<|e|>", "unk_token": "[U]"}, ""),
    "the first pieces": ("first", "llama", {**LLAMA, "add_bos_token": False, **dict.fromkeys(NAMED)}, ""),
    "another id": ("llama", "llama", {**LLAMA, "added_tokens_decoder": {"7": {"content": "<s>"}}}, "another id in tokenizer.model, 1"),
}


def write_files(models: dict[str, Any], name: str, folder: Path) -> None:
    model, model_type, config, _ = CASES[name]
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    (folder / "tokenizer.model").write_bytes(write_model(models[model]))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(OWN)


def ask(models: dict[str, Any], name: str, folder: Path) -> list[Any]:
    """The token before each text or None, and the places of the texts that are cut otherwise than SentencePiece does."""
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=True)
        first = found.encode("the")[0]
        start = None if first == found.encode("the", add_special_tokens=False)[0] else first
        ids = [found.encode(text, add_special_tokens=False) for text in TEXTS]
    except Exception as error:  # whatever it is: nobody gets tokens
        return [type(error).__name__]
    return [start, [i for i, own in enumerate(models[CASES[name][0]]["ids"]) if ids[i] != own]]


def main() -> None:
    golden: dict[str, Any] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {"models": {}, "answers": {}}
    if sys.argv[1:] == ["train"]:
        golden["models"] = train()
    else:
        import transformers

        golden["answers"][transformers.__version__] = results = {}
        for name in CASES:
            with tempfile.TemporaryDirectory() as scratch:
                write_files(golden["models"], name, Path(scratch))
                results[name] = ask(golden["models"], name, Path(scratch))
    rows = [f" {json.dumps(part)}: {{\n" + ",\n".join(f"  {json.dumps(n)}: {json.dumps(r, ensure_ascii=True)}" for n, r in found.items()) + "\n }" for part, found in golden.items()]
    GOLDEN.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
