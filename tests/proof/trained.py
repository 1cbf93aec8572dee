"""The committed training run as trainers write it to go on from, published as folders of main.

garden/chunks   torch.distributed.checkpoint: all weights, and an optimizer's, in chunks in three files
garden/ranks    GPT-NeoX: the embedding and the output layer by rows, in the files of two ranks
"""

from __future__ import annotations

import shutil
from pathlib import Path

import chunk_writer  # tests/e2e
import rank_writer  # tests/e2e

CHUNKS, RANKS = "garden/chunks", "garden/ranks"
STEPS = (0, 16, 512)  # whole in safetensors
EMBEDDING, OUTPUT = "gpt_neox.embed_in.weight", "embed_out.weight"


def write_root(root: Path, garden: Path) -> Path:
    """Beside what tests/hub/places.py writes there."""
    run = garden / "models/garden/neox-tiny"
    for step in STEPS:
        tensors = chunk_writer.read_safetensors(run / f"step{step}/model.safetensors")
        chunks = root / "models" / CHUNKS / f"main/iter_{step:07}"
        chunk_writer.write(chunks, chunk_writer.cut(tensors, "model."), files=3)
        ranks = root / "models" / RANKS / f"main/global_step{step}"
        rank_writer.neox(ranks, tensors[EMBEDDING], tensors[OUTPUT], ranks=2)
        for folder in (chunks, ranks):
            for file in (run / f"step{step}/config.json", *(run / "_shared").iterdir()):
                shutil.copy(file, folder)
    return root
