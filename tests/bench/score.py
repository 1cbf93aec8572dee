"""Scoring on the CPU beside transformers: the same random models, documents and threads, turn by turn.

    python tests/bench/score.py BUILD [--sizes 14m,70m,160m,smollm2-135m] [--documents N] [--repeats N] [--threads N]
                                      [--llama-perplexity PROGRAM [--chunks N]]

needs torch and transformers. BIFURCATED_GEMM=blas|avx2|avx512|amx names the best engine for products that ours may use. Two peers: `plain` computes logits at every position, as lm-evaluation-harness does;
`lean` multiplies only the targets' hidden states with the unembedding. Both take float32 weights, documents sorted by
length, in padded batches of about 2,048 tokens. Peak memory is the process's highest resident set. On a busy machine the ratio
by processor time is the steadier one; with more than one thread it also counts threads that wait by spinning.

With --llama-perplexity, llama.cpp's tool is run on chunks of 512 tokens, in turns (tests/bench/llama.py); its time is what it
states for evaluating, without loading. Its GELU is the tanh approximation from a table of float16, so its value differs a little.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

BATCH_TOKENS = 2048
CONTEXT = 512  # of a chunk for llama.cpp


def batches(documents: list) -> list[list]:
    made: list[list] = [[]]
    for document in sorted(documents, key=lambda d: -len(d.ids)):
        longest = len((made[-1] or [document])[0].ids)
        if (len(made[-1]) + 1) * longest > BATCH_TOKENS and made[-1]:
            made.append([])
        made[-1].append(document)
    return made


def peer(kind: str, size: str, count: int, threads: int) -> None:
    """Scores whenever a line comes in, and prints the seconds."""
    import random_model
    import torch

    torch.set_num_threads(threads)
    model = random_model.torch_model(size)
    unembed = model.get_output_embeddings()
    work = batches(random_model.documents(count, tokens=random_model.tokens_of(size)))

    def score(batch: list) -> list[float]:
        width = max(len(d.ids) for d in batch) - 1
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        mask = torch.zeros(len(batch), width, dtype=torch.long)
        rows, columns, targets = [], [], []
        for i, document in enumerate(batch):
            inputs = len(document.ids) - 1
            ids[i, :inputs] = torch.tensor(document.ids[:-1])
            mask[i, :inputs] = 1
            for j in range(document.target_count):
                rows.append(i)
                columns.append(inputs - document.target_count + j)
                targets.append(document.ids[inputs - document.target_count + j + 1])
        if kind == "plain":
            logits = model(ids, attention_mask=mask, use_cache=False).logits
            logprobs = torch.log_softmax(logits, -1)[rows, columns]
        else:
            hidden = model.base_model(ids, attention_mask=mask, use_cache=False).last_hidden_state
            logprobs = torch.log_softmax(unembed(hidden[rows, columns]), -1)
        return logprobs.gather(1, torch.tensor(targets)[:, None])[:, 0].tolist()

    for _ in sys.stdin:
        begin, begin_cpu = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            for batch in work:
                score(batch)
        print(time.perf_counter() - begin, time.process_time() - begin_cpu, flush=True)


class Runner:
    def __init__(self, command: list[str]):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, word: str = "go") -> str:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.process.args} ended")
        return answer

    def peak_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def compare(size: str, arguments: argparse.Namespace) -> None:
    count, threads = str(arguments.documents), str(arguments.threads)
    names = ["ours", "plain", "lean"]
    runners = {"ours": Runner([str(arguments.build / "tests/bench_score"), size, count, threads])}
    for kind in names[1:]:
        runners[kind] = Runner([sys.executable, __file__, "--peer", kind, size, count, threads])
    times: dict[str, list[list[float]]] = {name: [] for name in names}
    peak = 0.0
    try:
        for runner in runners.values():
            runner.ask()
        for _ in range(arguments.repeats):
            peak = max(peak, float(runners["ours"].ask("blas")))
            for name, runner in runners.items():
                times[name].append([float(word) for word in runner.ask().split()])
        info = json.loads(runners["ours"].ask("info"))
        best = {name: min(wall for wall, _ in values) for name, values in times.items()}
        cpu = {name: min(seconds for _, seconds in values) for name, values in times.items()}
        rate = info["gflop"] / best["ours"]
        print(
            f"{size}: {count} documents, {info['inputs']} inputs, {info['gflop']:.1f} GFLOP, {threads} threads, "
            f"products by {info['engine']}"
        )
        for name in names:
            ratio = (
                ""
                if name == "ours"
                else f"  ours is {best[name] / best['ours']:.2f} x, by processor time {cpu[name] / cpu['ours']:.2f} x"
            )
            print(
                f"  {name:6} {best[name]:8.3f} s {cpu[name]:8.3f} s of processors {arguments.documents / best[name]:9.1f} texts/s"
                f"  peak {runners[name].peak_mib():7.0f} MiB{ratio}"
            )
        print(f"  {rate:.0f} GFLOP/s of useful products, {100 * rate / peak:.0f} % of sgemm's {peak:.0f}", flush=True)
    finally:
        for runner in runners.values():
            runner.close()


def compare_llama(size: str, arguments: argparse.Namespace) -> None:
    import llama
    import numpy

    chunks, threads = arguments.chunks, arguments.threads
    ours = Runner([str(arguments.build / "tests/bench_score"), size, str(chunks), str(threads), str(CONTEXT)])
    try:
        ours.ask()
        with tempfile.TemporaryDirectory() as name:
            text, ids = Path(name) / "text", llama.text_ids(chunks, CONTEXT)
            llama.write_text(text, ids)
            for kind in (numpy.float32, numpy.float16):
                model = Path(name) / "model.gguf"
                llama.write_model(size, model, kind, ids)
                pairs = [
                    (
                        float(ours.ask().split()[0]),
                        llama.run(arguments.llama_perplexity, model, text, chunks, CONTEXT, threads),
                    )
                    for _ in range(arguments.repeats)
                ]
                value = json.loads(ours.ask("info"))["perplexity"]
                one, other = min(own for own, _ in pairs), min(peer.seconds for _, peer in pairs)
                print(
                    f"{size}: {chunks} chunks of {CONTEXT} tokens, {threads} threads: ours {one:.3f} s, llama.cpp with "
                    f"{kind.__name__} weights {other:.3f} s, ours is {other / one:.2f} x; perplexity {value:.6g} and "
                    f"{pairs[0][1].perplexity:.6g}",
                    flush=True,
                )
    finally:
        ours.close()


def main() -> None:
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--sizes", default="14m,70m,160m")
    parser.add_argument("--documents", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--llama-perplexity", type=Path, metavar="PROGRAM")
    parser.add_argument("--chunks", type=int, default=4)
    arguments = parser.parse_args()
    for size in arguments.sizes.split(","):
        compare(size, arguments)
        if size.startswith("smollm2"):
            continue  # tests/bench/llama.py writes GPT-NeoX only
        if arguments.llama_perplexity and arguments.llama_perplexity.exists():
            compare_llama(size, arguments)
        else:
            print(f"{size}: not compared with llama.cpp: --llama-perplexity names no program")


if __name__ == "__main__":
    main()
