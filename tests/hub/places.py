"""The committed training run, published in the ways that are no branches: nothing but links to its files.

garden/folders          folders of main, as transformers' Trainer pushes with hub_strategy="all_checkpoints"
garden/commits          commits of main with the Trainer's titles, as it pushes with "every_save", its default
garden/run-step_<step>  one repository per step; others of the same owner beside them
garden/neox-tiny        the run itself, to compare with
"""

from __future__ import annotations

import json
from pathlib import Path

FOLDERS, COMMITS, RUN = "garden/folders", "garden/commits", "garden/run-step_"
STEPS = (0, 16, 128, 512, 3000, 14000)  # whole and sharded, safetensors and torch
TWICE = 512  # the step whose title two commits have: a run that was begun anew from a checkpoint


def title(step: int) -> str:
    return f"Training in progress, step {step}"


def write_root(root: Path, garden: Path, steps: tuple[int, ...] = STEPS) -> Path:
    """`garden` is the folder that is served with the committed run: tests/fixtures/garden/hub."""
    models, run = root / "models/garden", garden / "models/garden/neox-tiny"
    models.mkdir(parents=True)
    (models / "neox-tiny").symlink_to(run)
    if (garden / "datasets").is_dir():
        (root / "datasets").symlink_to(garden / "datasets")
    _write_folders(models / "folders", run, steps)
    _write_commits(models / "commits", run, steps)
    for step in steps:
        _link(models / f"run-step_{step}/main", run, step)
    _link(models / "run-step_16-chat/main", run, 16)
    _link(root / "models/gardener/run-step_8/main", run, 8)
    return root


def _link(folder: Path, run: Path, step: int) -> None:
    """A checkpoint as a trainer saves it: weights, configuration and tokenizer together."""
    folder.mkdir(parents=True)
    shared = json.loads((run / "branches.json").read_text())["shared"]
    for path, source in shared.items():
        (folder / path).symlink_to(run / source)
    for source in sorted((run / f"step{step}").iterdir()):
        (folder / source.name).symlink_to(source)


def _write_folders(model: Path, run: Path, steps: tuple[int, ...]) -> None:
    """main as after all steps, and as before the last (`_before`); the newest weights lie in main itself, too."""
    for name, there in (("main", steps), ("_before", steps[:-1])):
        for step in there:
            _link(model / name / f"checkpoint-{step}", run, step)
            state = json.dumps({"global_step": step})
            (model / name / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
        for source in sorted((run / f"step{there[-1]}").iterdir()):
            (model / name / source.name).symlink_to(source)
        (model / name / "README.md").write_text(f"trained for {there[-1]} steps\n")
        (model / name / "runs").mkdir()
        (model / name / "runs" / "events.out").write_text("a log is no checkpoint\n")


def _write_commits(model: Path, run: Path, steps: tuple[int, ...]) -> None:
    """A first commit without weights, then one for each step, and between them what else people commit."""
    empty = model / "_empty"
    empty.mkdir(parents=True)
    (empty / "README.md").write_text("to be trained\n")
    history = [["initial commit", "_empty"]]
    for step in steps:
        _link(model / f"_{step}", run, step)
        if step == TWICE:  # with other weights, which the newer commit replaces
            history.append([title(step), history[-1][1]])
        history.append([title(step), f"_{step}"])
        if step == steps[0]:
            history.append(["Update README.md", f"_{step}"])
    history.append(["End of training", f"_{steps[-1]}"])
    (model / "branches.json").write_text(json.dumps({"histories": {"main": history}}))

