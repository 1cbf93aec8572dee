"""Statistics and perplexity in one sweep: the same numbers as apart, and the tensor that both need comes once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest
from cuda_numbers import write_large
from running import Daemon
from workers import Worker

SHAPE = {"layers": 2, "width": 512, "heads": 8, "vocabulary": 4096}  # several pieces for several threads
UNEMBEDDING_BYTES = 4096 * 512 * 2
NAMES = ["step1", "step2"]
VOLATILE = ("bytes_fetched", "measured_at", "first_seen_at", "perplexity_seconds")
REQUEST = {"dataset": "garden/lambada_garden:data/test.jsonl", "limit": 3}


def bytes_read(one: Daemon) -> int:
    """That the daemon asked the system for, of files."""
    lines = Path(f"/proc/{one.process.pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


@pytest.mark.parametrize("is_folder", [False, True])
def test_both_metrics_share_a_tensor(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Any], garden: Path, tmp_path: Path, is_folder: bool
) -> None:
    root = tmp_path / "root"
    (root / "datasets").mkdir(parents=True)
    (root / "datasets/garden").symlink_to(garden / "datasets/garden")
    weights = sum(write_large(root / "models/org/large", garden, revision=name, **SHAPE) for name in NAMES)
    hub = make_hub(root)
    model = f"file:{root}/models/org/large" if is_folder else "org/large"

    together = daemon(hub)
    before = bytes_read(together)
    end = together.wait(together.sweep(model, metrics=["statistics", "perplexity"], **REQUEST))
    assert end["state"] == "done", (end, together.log())
    came = bytes_read(together) - before if is_folder else end["progress"]["bytes_fetched"]
    assert weights <= came < weights + len(NAMES) * UNEMBEDDING_BYTES / 2, (came, weights)

    apart = daemon(hub, "--memory-mb", "1")  # nothing stays in memory for the other metric
    for metric in ("perplexity", "statistics"):
        assert apart.wait(apart.sweep(model, metrics=[metric], **REQUEST))["state"] == "done", apart.log()
    rows, wanted = (
        [{key: value for key, value in row.items() if key not in VOLATILE} for row in one.series(model)] for one in (together, apart)
    )
    assert [row["revision"] for row in rows] == NAMES and rows == wanted
    assert all(row["perplexity"] and row["kurtosis"] and row["perplexity_documents"] == 3 for row in rows)
    assert len({row["perplexity_weights_digest"] for row in rows}) == len(NAMES)


@pytest.mark.parametrize("is_remote", [False, True])
def test_statistics_stay_where_the_perplexity_fails(
    daemon: Callable[..., Daemon],
    make_hub: Callable[..., Any],
    worker: Callable[..., Worker],
    garden: Path,
    is_remote: bool,
) -> None:
    """Texts that are nowhere fail the revision; its statistics are there, and are not measured again with the right texts."""
    one = daemon(make_hub(garden), *(["--fetchers", "0"] if is_remote else []))
    if is_remote:
        worker(one)
    revisions = {"names": ["step0", "step8"]}
    request = {"metrics": ["statistics", "perplexity"], "revisions": revisions, "limit": 3}
    failed = one.wait(one.sweep("garden/neox-tiny", dataset="garden/none", **request))
    assert failed["state"] == "failed" and failed["progress"]["failed"] == 2
    kept = [row for row in one.series("garden/neox-tiny") if row["revision"] in revisions["names"]]
    assert [row["state"] for row in kept] == ["measured", "measured"] and all("garden/none" in row["error"] for row in kept)
    assert all(row["kurtosis"] and row["perplexity"] is None for row in kept) and kept[1]["msd"] > 0

    assert one.wait(one.sweep("garden/neox-tiny", **{**request, "dataset": REQUEST["dataset"]}))["state"] == "done", one.log()
    rows = [row for row in one.series("garden/neox-tiny") if row["revision"] in revisions["names"]]
    assert [row["measured_at"] for row in rows] == [row["measured_at"] for row in kept] and all(row["perplexity"] for row in rows)
