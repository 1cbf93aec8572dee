"""Makes scoring.json: what transformers says of random models of Pythia's true shapes (tests/tools/random_model.py).

    python tests/e2e/golden/scoring.py     (torch, transformers; about a minute, 4 GB)

For each size and document: the summed log-probability of its targets in float32 and float64, and whether all of them
are the most probable token. One document at a time, unpadded. The rotary angles are float32 in both, as transformers
computes them; attention is PyTorch's, because transformers' own takes its softmax in float32.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tools"))
COUNT, LONGEST = 12, 700


def measure(size: str, dtype: str) -> dict[str, Any]:
    import random_model
    import torch

    model = random_model.torch_model(size, dtype)
    logprobs, greedy = [], ""
    for document in random_model.documents(COUNT, LONGEST):
        with torch.inference_mode():
            targets = torch.tensor(document.ids[-document.target_count :])
            ids = torch.tensor([document.ids[:-1]])
            logits = model(ids, use_cache=False, logits_to_keep=document.target_count).logits[0]
            chosen = logits.log_softmax(-1).gather(1, targets[:, None])
        logprobs.append(chosen.sum(dtype=torch.float64).item())
        greedy += str(int((logits.argmax(-1) == targets).all()))
    perplexity = math.exp(-math.fsum(logprobs) / len(logprobs))
    return {"perplexity": perplexity, "greedy": greedy, "logprobs": logprobs}


def main() -> None:
    import torch
    import transformers

    torch.set_num_threads(1)
    golden: dict[str, Any] = {
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "documents": COUNT,
        "longest": LONGEST,
    }
    for size in ("14m", "70m", "160m"):
        golden[size] = {dtype: measure(size, dtype) for dtype in ("float32", "float64")}
        print(size, golden[size]["float64"]["perplexity"], flush=True)
    (HERE / "scoring.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
