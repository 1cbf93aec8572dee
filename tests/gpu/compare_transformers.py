"""Log-probabilities and speed of the CUDA backend beside transformers, on the same GPU, models and documents.

    python tests/gpu/compare_transformers.py BUILD [--sizes 14m,70m,410m,1b] [--documents 512] [--csv FILE]

Truth is transformers in float32 with TF32 off. The peer for speed is a good loop: SDPA, float16, documents sorted by
length, padded batches, the unembedding for the targets' hidden states alone. Needs torch and transformers.
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


def ours(build: Path, size: str, count: int, precision: str) -> dict:
    command = [build / "gpu_score", build / "bifurcated_cuda.so", size, str(count), precision]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"gpu_score {size} {precision}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def batches(documents: list) -> list[list[int]]:
    """Indices of documents, longest first, so many that the padded batch has about BATCH_TOKENS."""
    made: list[list[int]] = [[]]
    for index in sorted(range(len(documents)), key=lambda i: -len(documents[i].ids)):
        longest = len(documents[(made[-1] or [index])[0]].ids)
        if made[-1] and (len(made[-1]) + 1) * longest > BATCH_TOKENS:
            made.append([])
        made[-1].append(index)
    return made


def peer(size: str, documents: list, dtype: str) -> tuple[list[float], float]:
    """Log-probabilities in the order of the documents, and the median seconds of three rounds."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    model = random_model.torch_model(size, dtype).to("cuda")
    unembed = model.get_output_embeddings()
    work = []
    for indices in batches(documents):
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

    found: dict[tuple[int, int], float] = {}
    seconds = []
    with torch.inference_mode():
        for _ in range(4):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            outputs = []
            for ids, mask, rows, columns, targets, _places in work:
                hidden = model.base_model(ids, attention_mask=mask, use_cache=False).last_hidden_state
                logits = unembed(hidden[rows, columns]).float()
                outputs.append(torch.log_softmax(logits, -1).gather(1, targets[:, None])[:, 0])
            values = [output.tolist() for output in outputs]
            seconds.append(time.perf_counter() - begin)
    for (*_, places), row_values in zip(work, values):
        found.update(zip(places, row_values))
    del model
    torch.cuda.empty_cache()
    return [found[key] for key in sorted(found)], statistics.median(seconds[1:])


def perplexity(logprobs: list[float]) -> float:
    return math.exp(-sum(logprobs) / len(logprobs))


def worst(a: list[float], b: list[float]) -> float:
    assert len(a) == len(b)
    return max(abs(x - y) for x, y in zip(a, b))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--sizes", default="14m,70m,410m,1b")
    parser.add_argument("--documents", type=int, default=512)
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    table, failures = [], 0
    for size in arguments.sizes.split(","):
        documents = random_model.documents(arguments.documents)
        truth, _ = peer(size, documents, "float32")
        half, peer_s = peer(size, documents, "float16")
        exact = ours(arguments.build, size, arguments.documents, "f32")
        quick = ours(arguments.build, size, arguments.documents, "half")
        true_perplexity = perplexity(truth)
        row = {
            "size": size,
            "f32_worst": worst(truth, exact["logprobs"]),
            "half_worst": worst(truth, quick["logprobs"]),
            "peer_half_worst": worst(truth, half),
            "half_perplexity": abs(perplexity(quick["logprobs"]) / true_perplexity - 1),
            "peer_half_perplexity": abs(perplexity(half) / true_perplexity - 1),
            "half_s": quick["score_s"],
            "peer_half_s": peer_s,
            "times_faster": peer_s / quick["score_s"],
        }
        row["is_good"] = (
            row["f32_worst"] <= 1e-3
            and row["half_perplexity"] <= 2e-3
            and row["half_worst"] <= row["peer_half_worst"]
        )
        failures += not row["is_good"]
        table.append(row)
        print("  ".join(f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, table[0].keys())
            writer.writeheader()
            writer.writerows(table)
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
