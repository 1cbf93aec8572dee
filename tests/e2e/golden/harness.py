"""Makes harness.json: what lm-evaluation-harness itself (PyPI `lm_eval`) says of the committed run, by its own lambada_openai.

    python tests/e2e/golden/harness.py     (lm_eval, torch, transformers, accelerate; about a minute, no network)
    python tests/e2e/golden/harness.py MODEL_FOLDER TEXTS.jsonl
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parents[1] / "fixtures/garden/hub"
DATA = FIXTURES / "datasets/garden/lambada_garden/main/data"
REVISIONS, TEXTS = ("step512", "step14000"), ("test", "awkward")
NAME = "lambada_local"


def task_folder(folder: Path, texts: Path) -> Path:
    """The task as lm_eval ships it, with the texts of a local file."""
    import lm_eval
    import yaml

    task = yaml.safe_load((Path(lm_eval.__file__).parent / "tasks/lambada/lambada_openai.yaml").read_text())
    task.update(task=NAME, dataset_path="json", dataset_kwargs={"data_files": {"test": str(texts)}})
    for name in ("dataset_name", "tag"):
        task.pop(name, None)
    (folder / f"{NAME}.yaml").write_text(yaml.safe_dump(task))
    return folder


def measure(model: Path, texts: Path) -> dict[str, Any]:
    """Perplexity and accuracy in float32, one text at a time."""
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as name:
        os.environ["HF_DATASETS_CACHE"] = name + "/cache"
        tasks = TaskManager(include_path=str(task_folder(Path(name), texts.resolve())), include_defaults=False)
        found = simple_evaluate(
            HFLM(pretrained=str(model), dtype="float32", device="cpu", batch_size=1),
            tasks=[NAME],
            task_manager=tasks,
            bootstrap_iters=0,
            log_samples=False,
        )
    scores = found["results"][NAME]
    return {
        "documents": found["n-samples"][NAME]["effective"],
        "perplexity": scores["perplexity,none"],
        "accuracy": scores["acc,none"],
    }


def lay_out(folder: Path, revision: str) -> Path:
    """A revision of the committed run as a folder that transformers reads; safetensors only."""
    model = FIXTURES / "models/garden/neox-tiny"
    shutil.copytree(model / revision, folder, ignore=shutil.ignore_patterns("*.bin"))
    shutil.copytree(model / "_shared", folder, dirs_exist_ok=True)
    return folder


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]))))
        return
    golden: dict[str, Any] = {name: version(name) for name in ("lm_eval", "torch", "transformers")}
    golden["scores"] = {}
    for revision in REVISIONS:
        for texts in TEXTS:
            with tempfile.TemporaryDirectory() as name:
                found = measure(lay_out(Path(name) / revision, revision), DATA / f"{texts}.jsonl")
            golden["scores"][f"{revision}/{texts}"] = found
    (HERE / "harness.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
