"""Tiny models of made-up weights, and what transformers makes of the keys of their config.json: what the modules of the families share.

Of each family a module names its variants, and the file beside it holds per version of transformers and variant the summed
log-probability of each text in float64, or the name of the error: a run adds the column of its own version. A variant that this
project refuses has the words of the refusal beside it: where transformers' versions differ, or what nobody means, or what no
forward pass is written for.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np

HERE = Path(__file__).resolve().parent
TOKENIZER = HERE.parents[1] / "fixtures/garden/hub/models/garden/neox-tiny/_shared/tokenizer.json"
TEXTS = [
    "In the beginning God created the heaven and the earth.",
    "And the earth was without form, and void; and darkness was upon the face of the deep.",
]
Weights = dict[str, np.ndarray]
Edit = Callable[[Weights], None]
# changes of config.json, of the weights or None, words of our refusal or ""
Variant = tuple[dict[str, Any], Edit | None, str]
Absent: Any = object()  # in config.json: the key is left out


def made_up(*shape: int, around: float = 0.0) -> np.ndarray:
    """Numbers within half of `around`, the same everywhere."""
    index = np.arange(np.prod(shape, dtype=np.uint64), dtype=np.uint64) + np.uint64(sum(shape) * 977)
    mixed = (index * np.uint64(2654435761) ^ (index * np.uint64(40503) >> np.uint64(3))) % np.uint64(65521)
    return (mixed.astype(np.float64) / 65521 - 0.5 + around).astype(np.float32).reshape(shape)


def transformer(norms: list[str], width: int, matrices: dict[str, tuple[int, int]], layers: int, outputs: int = 0) -> Weights:
    """Norms by their names, and in each layer matrices with biases; `outputs` is the dimension of a matrix that has a row for each output."""
    made = {}
    for i, name in enumerate(norms):
        made[f"transformer.{name}.weight"] = np.roll(made_up(width, around=1.0), i)
        made[f"transformer.{name}.bias"] = np.roll(made_up(width), i)
    for i in range(layers):
        for name, size in matrices.items():
            made[f"transformer.h.{i}.{name}.weight"] = np.roll(made_up(*size), i + len(name)) * (1 - i / 6)
            made[f"transformer.h.{i}.{name}.bias"] = np.roll(made_up(size[outputs]), i + len(name))
    return made


def without(*endings: str) -> Edit:
    def change(made: Weights) -> None:
        for name in [name for name in made if name.endswith(endings)]:
            del made[name]

    return change


def bare(prefix: str) -> Edit:
    """The names of the model without its head, as its own class saves them."""

    def change(made: Weights) -> None:
        for name in [name for name in made if name.startswith(prefix)]:
            made[name.removeprefix(prefix)] = made.pop(name)

    return change


def write(folder: Path, config: dict[str, Any], made: Weights) -> None:
    from safetensors.numpy import save_file

    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not Absent}))
    save_file(made, folder / "model.safetensors", {"format": "pt"})
    shutil.copy(TOKENIZER, folder)
    if config["model_type"] not in ("gpt_neox", "gpt2", "hf_olmo"):  # whose tokenizer it is without words
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    settle(folder)


def settle(folder: Path) -> None:
    """Written long ago: of files that are new a folder's reader waits for the next tick of their clock, 60 ms for each model."""
    long_ago = time.time() - 3600
    for path in folder.iterdir():
        os.utime(path, (long_ago, long_ago))


def write_variant(folder: Path, config: dict[str, Any], made: Weights, variant: Variant) -> None:
    changes, edit, _ = variant
    if edit:
        edit(made)
    write(folder, config | changes, made)


def measure(folder: Path, attention: str = "sdpa") -> list[float] | str:
    """What transformers finds, or the name of its error. Tensors that it makes up itself are an error, too."""
    import tokenizers
    import torch
    import transformers
    from transformers import AutoModelForCausalLM

    has_experts = bool({"num_experts", "n_routed_experts"} & json.loads((folder / "config.json").read_text()).keys())
    # Of its products with experts version 5 has fast ones, which refuse float64
    options = {"experts_implementation": "eager"} if has_experts and transformers.__version__ >= "5" else {}
    encode = tokenizers.Tokenizer.from_file(str(TOKENIZER)).encode
    try:
        model, told = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float64, attn_implementation=attention, output_loading_info=True, **options)
        if told["missing_keys"]:
            return "missing " + sorted(told["missing_keys"])[0]
        if attention == "eager" and getattr(model.config, "reorder_and_upcast_attn", False):
            model = model.float()  # which refuses float64
        for module in model.modules():
            if type(module).__name__ == "XIELUActivation":
                module.double()  # whose numbers version 4 keeps in bfloat16, whatever type is asked for
            if type(module).__name__ == "Dots1TopkRouter" and transformers.__version__ < "5":
                # its weights are float32, in which version 4 would add up what experts of another type answer
                module.register_forward_hook(lambda _, __, out: (out[0], out[1].double()))
        sums = []
        for text in TEXTS:
            ids = torch.tensor([[0, *encode(text, add_special_tokens=False).ids]])
            with torch.inference_mode():
                logprobs = model.eval()(ids, use_cache=False).logits[0, :-1].log_softmax(-1)
            sums.append(logprobs.gather(1, ids[0, 1:, None]).sum().item())
        return sums
    except Exception as error:  # whatever it is: nobody gets a number
        return type(error).__name__


def written(golden: dict[str, Any]) -> str:
    """A line per variant."""
    columns = []
    for version in sorted(golden):
        rows = [f"  {json.dumps(name)}: {json.dumps(found)}" for name, found in golden[version].items()]
        columns.append(f' "{version}": {{\n' + ",\n".join(rows) + "\n }")
    return "{\n" + ",\n".join(columns) + "\n}\n"


def measure_all(out: Path, names: list[str], write: Callable[[str, Path], None], attention: str = "sdpa", title: str = "") -> None:
    """Adds the column of this version of transformers, or of that title."""
    import tempfile

    import torch
    import transformers

    golden: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    column = golden[title or transformers.__version__] = {"torch": torch.__version__.split("+")[0]}
    with tempfile.TemporaryDirectory() as scratch:
        for i, name in enumerate(names):
            write(name, Path(scratch) / str(i))
            found = measure(Path(scratch) / str(i), attention)
            column[name] = found if isinstance(found, str) else [round(one, 10) for one in found]
    out.write_text(written(golden))
