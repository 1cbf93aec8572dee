"""Log-probabilities and speed of the CUDA backend beside transformers, on the same GPU, models and documents.

    python tests/gpu/compare_transformers.py BUILD [--sizes 14m,70m:5153,410m,1b] [--documents 512] [--csv FILE]

Truth is transformers in float32 with TF32 off. Two peers for speed, both in float16 with SDPA and documents sorted by
length in padded batches: the *plain* loop asks the model for its logits and takes log_softmax of them, as evaluation
harnesses do; the *lean* one asks for hidden states and multiplies those of the targets alone with the unembedding.
A size may have its own number of documents, after a colon. Needs torch and transformers.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import random_model  # noqa: E402

BATCH_TOKENS = 32768
PLAIN_BATCH_TOKENS = 8192  # logits of a batch, float16 and float32: 2.5 GB


def ours(build: Path, size: str, count: int, precision: str) -> dict:
    command = [build / "gpu_score", build.resolve() / "bifurcated_cuda.so", size, str(count), precision]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"gpu_score {size} {precision}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def batches(documents: list, tokens: int) -> list[list[int]]:
    """Indices of documents, longest first, so many that the padded batch has about so many tokens."""
    made: list[list[int]] = [[]]
    for index in sorted(range(len(documents)), key=lambda i: -len(documents[i].ids)):
        longest = len(documents[(made[-1] or [index])[0]].ids)
        if made[-1] and (len(made[-1]) + 1) * longest > tokens:
            made.append([])
        made[-1].append(index)
    return made


def padded(documents: list, tokens: int) -> list:
    """Batches: ids, mask, row and column of each target's prediction, the targets, and where each belongs."""
    import torch

    work = []
    for indices in batches(documents, tokens):
        width = max(len(documents[i].ids) for i in indices) - 1
        ids = torch.zeros(len(indices), width, dtype=torch.long)
        mask = torch.zeros(len(indices), width, dtype=torch.long)
        rows, columns, targets, places = [], [], [], []
        for row, index in enumerate(indices):
            document = documents[index]
            inputs = len(document.ids) - 1
            ids[row, :inputs] = torch.tensor(document.ids[:-1])
            mask[row, :inputs] = 1
            for j in range(document.target_count):
                rows.append(row)
                columns.append(inputs - document.target_count + j)
                targets.append(document.ids[inputs - document.target_count + j + 1])
                places.append((index, j))
        work.append((ids.cuda(), mask.cuda(), rows, columns, torch.tensor(targets).cuda(), places))
    return work


def lean_batch(model, ids, mask, rows, columns, targets):
    import torch

    hidden = model.base_model(ids, attention_mask=mask, use_cache=False).last_hidden_state
    logits = model.get_output_embeddings()(hidden[rows, columns]).float()
    return torch.log_softmax(logits, -1).gather(1, targets[:, None])[:, 0]


def plain_batch(model, ids, mask, rows, columns, targets):
    import torch

    logits = model(ids, attention_mask=mask, use_cache=False).logits
    logprobs = torch.log_softmax(logits.float(), -1)
    return logprobs[rows, columns].gather(1, targets[:, None])[:, 0]


def peer(model, documents: list, batch, tokens: int, rounds: int) -> tuple[list[float], float]:
    """Log-probabilities in the order of the documents, and the median seconds of the rounds after the first."""
    import torch

    work = padded(documents, tokens)
    found: dict[tuple[int, int], float] = {}
    seconds = []
    with torch.inference_mode():
        for _ in range(rounds):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            outputs = [batch(model, *arguments) for *arguments, _places in work]
            values = [output.tolist() for output in outputs]
            seconds.append(time.perf_counter() - begin)
    for (*_, places), row_values in zip(work, values, strict=True):
        found.update(zip(places, row_values, strict=True))
    return [found[key] for key in sorted(found)], statistics.median(seconds[1:] or seconds)


def perplexity(logprobs: list[float]) -> float:
    return math.exp(-sum(logprobs) / len(logprobs))


def worst(a: list[float], b: list[float]) -> float:
    assert len(a) == len(b)
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def mean(a: list[float], b: list[float]) -> float:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) / len(a)


def compare(build: Path, size: str, count: int) -> dict:
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    documents = random_model.documents(count, tokens=random_model.tokens_of(size))
    model = random_model.torch_model(size, "float32", "cuda")
    truth, _ = peer(model, documents, lean_batch, BATCH_TOKENS, 1)
    model = model.half()
    half, lean_s = peer(model, documents, lean_batch, BATCH_TOKENS, 4)
    _, plain_s = peer(model, documents, plain_batch, PLAIN_BATCH_TOKENS, 4)
    del model
    torch.cuda.empty_cache()
    exact = ours(build, size, count, "f32")
    quick = ours(build, size, count, "half")
    true_perplexity = perplexity(truth)
    row = {
        "size": size,
        "documents": count,
        "f32_worst": worst(truth, exact["logprobs"]),
        "half_worst": worst(truth, quick["logprobs"]),
        "half_mean": mean(truth, quick["logprobs"]),
        "peer_half_worst": worst(truth, half),
        "peer_half_mean": mean(truth, half),
        "half_perplexity": abs(perplexity(quick["logprobs"]) / true_perplexity - 1),
        "peer_half_perplexity": abs(perplexity(half) / true_perplexity - 1),
        "half_s": quick["score_s"],
        "f32_s": exact["score_s"],
        "lean_s": lean_s,
        "plain_s": plain_s,
        "times_lean": lean_s / quick["score_s"],
        "times_plain": plain_s / quick["score_s"],
    }
    row["is_good"] = (
        row["f32_worst"] <= 1e-3 and row["half_perplexity"] <= 2e-3 and row["half_mean"] <= row["peer_half_mean"]
    )
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--sizes", metavar="SIZE[:DOCUMENTS],...", default="14m,70m,410m,1b")
    parser.add_argument("--documents", type=int, default=512)
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    table, has_failed = [], False
    for words in arguments.sizes.split(","):
        size, _, own_count = words.partition(":")
        try:
            row = compare(arguments.build, size, int(own_count or arguments.documents))
        except (SystemExit, RuntimeError) as error:  # a size that fails hides no other one
            has_failed = True
            print(f"{size}: {error}", file=sys.stderr, flush=True)
            continue
        table.append(row)
        print("  ".join(f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()), flush=True)
        if arguments.csv:  # after each size: a run that is cut off keeps what it has
            with arguments.csv.open("w", newline="") as file:
                writer = csv.DictWriter(file, row.keys())
                writer.writeheader()
                writer.writerows(table)
    raise SystemExit(has_failed or not all(row["is_good"] for row in table))


if __name__ == "__main__":
    main()
