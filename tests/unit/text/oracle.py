"""The oracle of the passages: what other programs make of texts, in Python, with the `tokenizers` package.

    python tests/unit/text/oracle.py            rewrites golden/tokenizer.json and golden/passages.json
    python tests/unit/text/oracle.py --check    fails if they would change

last_word   lm-evaluation-harness: its own `loglikelihood` and `_encode_pair` where lm_eval can be imported (PyPI lm_eval;
            no torch is needed), checked against the few lines of pair() below, which stand in where it cannot.
tokens      the sliding window of huggingface/transformers, docs/source/en/perplexity.md.
text_mean   huggingface/evaluate, metrics/perplexity/perplexity.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Callable

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

GOLDEN = Path(__file__).parent / "golden"
Encode = Callable[[str], list[int]]

PROSE = """In the beginning the gardener walked along the forking paths, and at every fork she stopped to think.
Where one path led down to the river, the other climbed the hill; she couldn't take both, and she didn't want to.
"Which path," she asked the old man at the gate, "is the one that doesn't bend?" He said: they all bend, in 1985 as in 1641.
The river runs under 12 bridges; the hill has 3 towers, and the wind there is colder than you'd think it is.
She walked on. The path bent to the left, then to the right, then to the left again, and at last she saw the river.
"""

TEXTS = [
    "She walked along the path and at last she saw the river",
    "She couldn't take both paths, and she didn't",
    "The wind there is colder than you'd think it is.  ",
    "Two spaces  before",
    "A line break before the\nlast word",
    "The last word holds a line break: of\n\nPower",
    "White space moves: \t\u00a0\u2003 river",
    "and this too: \x1c\x1f\u0085 hill",
    "word",
    " word",
    "   word",
    "",
    " ",
    "\u00a0 word",
    "<|end|> word",
    "<|end|>",
    "ends in <|end|>",
    "na\u00efve caf\u00e9 cafe\u0301",
    "the path " * 30 + "ends",
    "\u65e5\u672c\u8a9e \u30c6\u30b9\u30c8",
    "run of spaces               end",
    "a b",
]


def make_tokenizer() -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(PROSE.splitlines(), trainer)
    tokenizer.add_tokens([tokenizers.AddedToken(" " * count, normalized=True) for count in range(6, 1, -1)])
    return tokenizer


# -- The three definitions -------------------------------------------------------------------------------

Pair = tuple[list[int], list[int]]


def pair(encode: Encode, text: str, prefix: int) -> Pair:
    """lambada_openai's context and target as lm-evaluation-harness tokenises them."""
    words = text.split(" ")
    context, target = " ".join(words[:-1]), " " + words[-1]
    if context == "":
        tokens = encode(target)
        return ([prefix], tokens) if tokens[0] != prefix else (tokens[:1], tokens[1:])
    stripped = context.rstrip()
    target = context[len(stripped) :] + target
    whole = encode(stripped + target)
    count = len(encode(stripped))
    return whole[:count], whole[count:]


def lm_eval_pair(encode: Encode, text: str, prefix: int) -> Pair:
    """The same by lm_eval's own code and its task file's templates."""
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import TemplateLM
    from lm_eval.utils import apply_template

    class Model(TemplateLM):
        backend = "causal"
        eot_token_id = prefix
        prefix_token_id = prefix

        def tok_encode(self, string: str, *_: Any, **__: Any) -> list[int]:
            return encode(string)

        def _loglikelihood_tokens(self, requests: list[Any], **_: Any) -> list[Any]:
            return requests

        def loglikelihood_rolling(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        def generate_until(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    document = {"text": text}
    context = apply_template("{{text.split(' ')[:-1]|join(' ')}}", document)
    target = apply_template("{{' '+text.split(' ')[-1]}}", document)
    request = Instance("loglikelihood", document, (context, target), 0)
    ((_, context_tokens, target_tokens),) = Model().loglikelihood([request], disable_tqdm=True)
    return context_tokens, target_tokens


def have_lm_eval() -> bool:
    try:
        import lm_eval.api.model  # noqa: F401
    except ImportError:
        return False
    return True


def last_word(encode: Encode, texts: list[str], context: int, prefix: int, check: bool) -> dict[str, Any]:
    passages, skipped, truncated = [], 0, 0
    for number, text in enumerate(texts):
        context_tokens, target_tokens = pair(encode, text, prefix)
        if check:
            assert (context_tokens, target_tokens) == lm_eval_pair(encode, text, prefix), text
        if not context_tokens:
            context_tokens = [prefix]  # lm_eval stops with an assertion here
        if not target_tokens:
            skipped += 1  # and here
            continue
        tokens = (context_tokens + target_tokens)[-(context + 1) :]
        truncated += len(tokens) < len(context_tokens) + len(target_tokens)
        passages.append(passage(number, tokens, len(target_tokens)))
    return result(passages, skipped, truncated)


def tokens(encode: Encode, texts: list[str], window: int, stride: int, separator: str) -> dict[str, Any]:
    ids = encode(separator.join(texts))
    passages, previous_end = [], 0
    for begin in range(0, len(ids), stride):
        end = min(begin + window, len(ids))
        labels = [i >= previous_end for i in range(begin, end)][1:]  # shifted by one in the model
        if any(labels):
            passages.append(passage(0, ids[begin:end], sum(labels)))
        previous_end = end
        if end == len(ids):
            break
    assert sum(p["target_count"] for p in passages) == max(len(ids) - 1, 0)
    return result(passages, len(texts) if len(ids) < 2 else 0, 0)


def text_mean(encode: Encode, texts: list[str], context: int, prefix: int | None) -> dict[str, Any]:
    passages, skipped, truncated = [], 0, 0
    for number, text in enumerate(texts):
        ids = ([] if prefix is None else [prefix]) + encode(text)
        if len(ids) < 2:
            skipped += 1
            continue
        truncated += len(ids) > context
        ids = ids[:context]
        passages.append(passage(number, ids, len(ids) - 1))
    return result(passages, skipped, truncated)


def passage(text: int, ids: list[int], target_count: int) -> dict[str, Any]:
    return {
        "text": text,
        "tokens": ids,
        "target_first": len(ids) - target_count,
        "target_count": target_count,
    }


def result(passages: list[dict[str, Any]], skipped: int, truncated: int) -> dict[str, Any]:
    return {"passages": passages, "skipped": skipped, "truncated": truncated}


# -- The goldens -------------------------------------------------------------------------------------------


def cases(tokenizer: tokenizers.Tokenizer) -> list[dict[str, Any]]:
    check = have_lm_eval()
    prefix = tokenizer.token_to_id("<|end|>")

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False).ids

    def case(name: str, mode: str, made: dict[str, Any], **options: Any) -> dict[str, Any]:
        return {"name": name, "mode": mode, "options": options, **made}

    made = []
    # beside the model's own token: prefixes that a target itself begins with
    for context, start in (
        (2048, prefix),
        (12, prefix),
        (2048, encode(" word")[0]),
        (2048, encode("   word")[0]),
    ):
        made.append(
            case(
                f"last_word, context {context}, prefix {start}",
                "last_word",
                last_word(encode, TEXTS, context, start, check),
                context_tokens=context,
                prefix_id=start,
            )
        )
    for window, stride in ((16, 8), (16, 15), (5, 2), (2, 1), (4096, 512)):
        made.append(
            case(
                f"tokens, window {window}, stride {stride}",
                "tokens",
                tokens(encode, TEXTS, window, stride, "\n\n"),
                context_tokens=window,
                window_tokens=window,
                stride_tokens=stride,
            )
        )
    for context, start in ((2048, prefix), (2048, None), (9, prefix), (9, None)):
        made.append(
            case(
                f"text_mean, context {context}, prefix {start}",
                "text_mean",
                text_mean(encode, TEXTS, context, start),
                context_tokens=context,
                prefix_id=-1 if start is None else start,
            )
        )
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args()

    if options.check:
        tokenizer = tokenizers.Tokenizer.from_file(str(GOLDEN / "tokenizer.json"))
    else:
        tokenizer = make_tokenizer()
        tokenizer.save(str(GOLDEN / "tokenizer.json"), pretty=False)
    versions = {"tokenizers": tokenizers.__version__, "lm_eval": None}
    if have_lm_eval():
        from importlib.metadata import version

        versions["lm_eval"] = version("lm_eval")
    golden = {
        "made_by": "tests/unit/text/oracle.py",
        "versions": versions,
        "texts": TEXTS,
        "cases": cases(tokenizer),
    }
    path = GOLDEN / "passages.json"
    if not options.check:
        path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
        return 0
    committed = json.loads(path.read_text())
    for key in ("texts", "cases"):
        if committed[key] != golden[key]:
            print(f"{path}: {key} differ from what {versions} makes", file=sys.stderr)
            return 1
    print(f"as committed, by {versions}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
