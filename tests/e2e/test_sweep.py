"""The whole way: a sweep over the committed training run, from the emulated hub to JSON, CSV and the client.

The numbers must be numpy's and scipy's; the bytes on the wire must be little more than the tensors.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import torch_writer
from recorded import essence
from running import Daemon

np = pytest.importorskip("numpy", reason="numpy is the reference")
import reference  # noqa: E402  (needs numpy)

from tests.hub import Emulator  # noqa: E402

MODEL = "garden/neox-tiny"
HEADER_ROOM = 64 * 1024  # bytes per file for headers, indices and descriptions


@dataclass
class Swept:
    hub: Emulator
    daemon: Daemon
    sweep: dict[str, Any]
    rows: list[dict[str, Any]]
    stats: dict[str, Any]  # of the emulator after the sweep


@pytest.fixture(scope="module")
def swept(programs: dict[str, Path], garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    """A daemon that has swept all of the run; the tests of this file look at it from all sides."""
    with Emulator(garden) as hub:
        daemon = Daemon(programs, tmp_path_factory.mktemp("swept"), hub.url, [], {})
        daemon.start()
        sweep = daemon.wait(daemon.sweep(MODEL))
        yield Swept(hub, daemon, sweep, daemon.series(MODEL), hub.stats())
        daemon.check_end()


def file_of(name: str) -> str:
    """The file's name, from the emulator's KIND/REPOSITORY@COMMIT/FILE."""
    return name.split("@")[1].split("/", 1)[1]


def is_weights(name: str) -> bool:
    return name.endswith((".safetensors", ".bin"))


# ---- numbers -------------------------------------------------------------------------------------


def test_sweep_is_done(swept: Swept, tensors: dict[str, Any]) -> None:
    assert swept.sweep["state"] == "done", swept.sweep
    assert swept.sweep["error"] is None and swept.sweep["errors"] == []
    progress = swept.sweep["progress"]
    assert progress["revisions_total"] == progress["done"] == len(tensors) == 25
    assert progress["failed"] == progress["queued"] == progress["running"] == 0
    assert {row["state"] for row in swept.rows} == {"measured"}


def test_numbers_are_those_of_numpy_and_scipy(swept: Swept, tensors: dict[str, Any]) -> None:
    reference.check_rows(swept.rows, tensors)


def test_numbers_are_the_golden_ones(swept: Swept, garden: Path) -> None:
    """The committed table was made through PyTorch's readers, by another program."""
    columns = {
        "count": "elements",
        "msd": "msd",
        "lag1": "lag1_msd",
        "cosine": "cosine",
        "mean": "mean",
        "variance": "variance",
        "skewness_unbiased": "skewness",
        "kurtosis_unbiased": "kurtosis",
        "bc": "bimodality",
        "min": "minimum",
        "max": "maximum",
        "zeros": "zero_count",
        "centred_variance": "centred_variance",
        "centred_bc": "centred_bimodality",
    }
    rows = {row["revision"]: row for row in swept.rows}
    with open(garden.parent / "golden/unembedding.csv", newline="") as file:
        golden = list(csv.DictReader(file))
    assert len(golden) == 2 * len(rows)
    for line in golden:
        for theirs, ours in columns.items():
            prefix = "tokens_" if line["rows"] == "tokens" else ""
            value = rows[line["revision"]][prefix + ours]
            where = f"{line['revision']} {line['rows']}: {ours}"
            if line[theirs] == "":
                assert value is None, where
            else:
                assert value == pytest.approx(float(line[theirs]), rel=1e-9, abs=0), where


def test_what_each_number_refers_to(swept: Swept, tensors: dict[str, Any]) -> None:
    names = list(tensors)
    for index, row in enumerate(swept.rows):
        assert row["reference"] == "step0"
        assert row["lag1_reference"] == (names[index - 1] if index else None)
        assert (row["tensor"], row["dtype"]) == (reference.TENSOR, "float16")
        assert (row["rows"], row["columns"], row["token_rows"]) == (512, 64, reference.TOKEN_ROWS)
        assert row["nan_count"] == row["positive_inf_count"] == row["negative_inf_count"] == 0


def test_digests_are_those_of_the_bytes(swept: Swept, tensors: dict[str, Any], garden: Path) -> None:
    import hashlib

    for row in swept.rows:
        data = np.ascontiguousarray(tensors[row["revision"]]).tobytes()
        assert row["digest"] == hashlib.sha256(data).hexdigest()
        folder = reference.garden_folders(garden)[row["revision"]]
        file = reference.weight_file(folder)
        assert row["file"] == file.name
        assert row["file_digest"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_duplicates_are_visible(swept: Swept) -> None:
    same = {row["revision"]: row["same_as"] for row in swept.rows if row["same_as"]}
    assert same == {"step1": "step0", "step14000": "step5000"}


# ---- bytes on the wire ---------------------------------------------------------------------------


def test_bytes_are_little_more_than_the_tensors(swept: Swept, garden: Path) -> None:
    """Of each weight file, and in all: at most 1.02 times the tensor and 64 KiB per file."""
    files = {name: one["bytes"] for name, one in swept.stats["files"].items() if is_weights(name)}
    tensor_bytes = 512 * 64 * 2
    for name, count in files.items():
        assert count <= 1.02 * tensor_bytes + HEADER_ROOM, name
    assert any(file_of(name).endswith(".bin") for name in files)
    assert any(file_of(name).endswith(".safetensors") for name in files)
    contents = len({row["digest"] for row in swept.rows})
    assert swept.stats["bytes"]["total"] <= 1.02 * 25 * tensor_bytes + HEADER_ROOM * len(files)
    # The tensors of step5000 and step14000 come from one file; it is fetched once.
    whole = [name for name, count in files.items() if count >= tensor_bytes]
    assert contents <= len(whole) <= 24


def test_what_the_sweep_says_it_fetched(swept: Swept) -> None:
    served = swept.stats["bytes"]["total"]
    assert 0 < swept.sweep["progress"]["bytes_fetched"] <= served
    assert swept.sweep["progress"]["bytes_fetched"] == sum(row["bytes_fetched"] for row in swept.rows)


def write_model(folder: Path, rows: int, columns: int, seed: int, kind: str) -> Any:
    """A revision with an unembedding and twice as many bytes of other tensors."""
    random = np.random.default_rng(seed)
    tensors = {
        name: random.normal(0, 0.02, (rows, columns)).astype(np.float16)
        for name in ("gpt_neox.embed_in.weight", reference.TENSOR, "gpt_neox.layers.0.mlp.dense.weight")
    }
    folder.mkdir(parents=True)
    if kind == "bin":
        shape = (rows, columns)
        written = {
            name: torch_writer.Tensor("float16", shape, torch_writer.row_major(shape), 0, one.tobytes())
            for name, one in tensors.items()
        }
        torch_writer.write_state_dict(folder / "pytorch_model.bin", written)
    else:
        reference.safetensors.save_file(tensors, folder / "model.safetensors")
    config = {"model_type": "gpt_neox", "vocab_size": rows, "hidden_size": columns, "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    return tensors[reference.TENSOR]


def test_bytes_of_a_large_tensor(
    daemon: Callable[..., Daemon], make_hub: Callable[..., Emulator], tmp_path: Path
) -> None:
    """4 MiB in a file of 12 MiB, where the room for headers is of no weight."""
    rows, columns = 4096, 512
    root = tmp_path / "root"
    made = {
        name: write_model(root / "models/org/large" / name, rows, columns, seed, kind)
        for seed, (name, kind) in enumerate({"step1": "safetensors", "step2": "bin"}.items())
    }
    hub = make_hub(root)
    running = daemon(hub)
    assert running.wait(running.sweep("org/large"))["state"] == "done"
    stats = hub.stats()
    counts = {file_of(name): one["bytes"] for name, one in stats["files"].items() if is_weights(name)}
    assert set(counts) == {"model.safetensors", "pytorch_model.bin"}
    for name, count in counts.items():
        assert made["step1"].nbytes <= count <= 1.02 * made["step1"].nbytes + HEADER_ROOM, name
    rows_of = running.series("org/large")
    for row in rows_of:
        expected = reference.describe(made[row["revision"]], "")
        for name in ("mean", "variance", "skewness", "kurtosis", "bimodality"):
            assert row[name] == pytest.approx(expected[name], rel=1e-9, abs=0), name
    expected = reference.displacement(made["step2"], made["step1"], "")
    assert rows_of[1]["msd"] == rows_of[1]["lag1_msd"] == pytest.approx(expected["msd"], rel=1e-9)


def test_tensors_of_another_form_have_no_displacement(daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    """A run that goes on in another precision, and one whose matrix was turned: as many entries, and nothing to compare."""
    random = np.random.default_rng(5)
    forms = {"step0": ("float32", (16, 8)), "step1": ("float16", (16, 8)), "step2": ("float16", (8, 16)), "step3": ("float16", (8, 16))}
    made = {name: random.normal(0, 0.02, shape).astype(dtype) for name, (dtype, shape) in forms.items()}
    for name, values in made.items():
        (tmp_path / "run" / name).mkdir(parents=True)
        reference.safetensors.save_file({"w": values}, tmp_path / "run" / name / "model.safetensors")
    running = daemon(None)
    sweep = running.wait(running.sweep(f"file:{tmp_path / 'run'}", tensors=["w"]))
    assert sweep["state"] == "done", sweep
    rows = running.series(f"file:{tmp_path / 'run'}", "&tensor=w")
    assert [(row["msd"], row["reference"]) for row in rows] == [(0, "step0"), *[(None, None)] * 3]
    assert [row["lag1_reference"] for row in rows] == [None, None, None, "step2"]
    assert rows[3]["lag1_msd"] == pytest.approx(reference.displacement(made["step3"], made["step2"], "")["msd"], rel=1e-9)
    tasks = running.read(f"/v1/sweeps/{sweep['id']}/tasks")["tasks"]
    for task, name in zip(tasks[1:3], ("step0", "step0"), strict=True):
        told = [event["detail"] for event in running.read(f"/v1/sweeps/{sweep['id']}/tasks/{task['id']}/events")["events"] if event["detail"]]
        assert any(f"revision {name}: w has another shape or dtype" in text for text in told), told


# ---- JSON, CSV, the database ---------------------------------------------------------------------


def test_csv_and_json_agree(swept: Swept) -> None:
    answer = swept.daemon.get(f"/v1/models/{MODEL}/revisions?format=csv&limit=1000")
    assert answer.headers["Content-Type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert len(lines) == len(swept.rows)
    for line, row in zip(lines, swept.rows, strict=True):
        assert list(line) == list(row)
        for name, value in row.items():
            if value is None:
                assert line[name] == "", name
            elif isinstance(value, float):
                assert float(line[name]) == value, name  # to the last bit
            else:
                assert line[name] == str(value), name


def test_one_revision_is_its_row(swept: Swept) -> None:
    for row in (swept.rows[0], swept.rows[7], swept.rows[-1]):
        one = swept.daemon.read(f"/v1/models/{MODEL}/revisions/{row['revision']}")
        assert {name: one[name] for name in row} == row


def test_model_is_described(swept: Swept) -> None:
    model = swept.daemon.get(f"/v1/models/{MODEL}").json()
    assert model["name"] == MODEL
    assert (model["model_type"], model["tensor"]) == ("gpt_neox", reference.TENSOR)
    assert (model["vocabulary_size"], model["token_rows"], model["hidden_size"]) == (512, reference.TOKEN_ROWS, 64)
    assert model["parameter_count"] == 165632
    listed = swept.daemon.get("/v1/models").json()["models"]
    assert [one["name"] for one in listed if one["name"] == MODEL] == [MODEL]


def test_equal_content_is_measured_once(swept: Swept) -> None:
    with sqlite3.connect(f"file:{swept.daemon.db}?mode=ro", uri=True) as db:
        contents = db.execute("SELECT count(*) FROM contents").fetchone()[0]
        digests = len({row["digest"] for row in swept.rows})
        assert contents == digests == 23
        per_content = db.execute("SELECT content_id, count(*) FROM statistics GROUP BY content_id").fetchall()
        assert len(per_content) == digests and {count for _, count in per_content} == {4}
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


# ---- again, and from elsewhere -------------------------------------------------------------------


def test_second_sweep_fetches_no_weights(swept: Swept) -> None:
    swept.hub.reset()
    again = swept.daemon.wait(swept.daemon.sweep(MODEL))
    assert again["state"] == "done" and again["progress"]["done"] == 25
    fetched = {name: one for name, one in swept.hub.stats()["files"].items() if is_weights(name)}
    assert fetched == {}
    assert swept.hub.stats()["bytes"].get("cdn", 0) == 0
    assert essence(swept.daemon.series(MODEL)) == essence(swept.rows)


def test_main_is_known_without_fetching(swept: Swept) -> None:
    """main serves step14000's files: their digests were seen, so nothing is read."""
    swept.hub.reset()
    one = swept.daemon.wait(swept.daemon.sweep(MODEL, revisions={"names": ["main"]}))
    assert one["state"] == "done"
    assert [name for name in swept.hub.stats()["files"] if is_weights(name)] == []
    row = swept.daemon.get(f"/v1/models/{MODEL}/revisions/main").json()
    assert row["digest"] == swept.rows[-1]["digest"] and row["same_as"] == "step5000"
    assert row["msd"] == swept.rows[-1]["msd"] and row["lag1_msd"] is None
    assert "main" not in [row["revision"] for row in swept.daemon.series(MODEL)]
    assert "main" in [row["revision"] for row in swept.daemon.series(MODEL, "&stepless=true")]


def test_folder_gives_the_same_numbers(swept: Swept, garden: Path, tmp_path: Path) -> None:
    """The same files as a trainer's folder: file:/path."""
    names = ("step0", "step1", "step2", "step128", "step3000")  # both formats, whole and sharded
    folders = reference.garden_folders(garden)
    shared = garden / "models/garden/neox-tiny/_shared"
    for name in names:
        shutil.copytree(folders[name], tmp_path / "run" / name)
        shutil.copy(shared / "tokenizer.json", tmp_path / "run" / name)
    model = f"file:{tmp_path}/run"
    swept.hub.reset()
    one = swept.daemon.wait(swept.daemon.sweep(model))
    assert one["state"] == "done", one
    assert swept.hub.stats()["requests"]["total"] == 0
    rows = swept.daemon.series(model)
    reference.check_rows(rows, reference.read_tensors({name: folders[name] for name in names}))
    by_name = {row["revision"]: row for row in swept.rows}
    for row in rows:
        for name in ("digest", "bimodality", "tokens_centred_kurtosis", "dip", "q999", "msd"):
            assert row[name] == by_name[row["revision"]][name], name


# ---- the client ----------------------------------------------------------------------------------


def test_client_sweeps_and_follows(swept: Swept) -> None:
    done = swept.daemon.client("sweep", MODEL, "--follow")
    assert done.returncode == 0, done
    assert "25" in done.stdout + done.stderr


def test_client_prints_the_series(swept: Swept) -> None:
    as_json = swept.daemon.client("series", MODEL, "--json")
    assert as_json.returncode == 0, as_json
    value = json.loads(as_json.stdout)
    rows = value["revisions"] if isinstance(value, dict) else value
    assert [row["bimodality"] for row in rows] == [row["bimodality"] for row in swept.rows]
    as_csv = swept.daemon.client("series", MODEL, "--csv")
    assert as_csv.returncode == 0, as_csv
    lines = list(csv.DictReader(io.StringIO(as_csv.stdout, newline="")))
    assert [float(line["msd"]) for line in lines] == [row["msd"] for row in swept.rows]
    table = swept.daemon.client("series", MODEL)
    assert table.returncode == 0, table
    printed = [line.split() for line in table.stdout.splitlines()]
    assert [words[0] for words in printed if words and words[0].startswith("step")] == [
        row["revision"] for row in swept.rows
    ]


def test_client_lists_models_and_status(swept: Swept) -> None:
    models = swept.daemon.client("models")
    assert models.returncode == 0 and MODEL in models.stdout, models
    status = swept.daemon.client("status")
    assert status.returncode == 0, status
    assert re.search(rf"^listens at +{re.escape(swept.daemon.url)}$", status.stdout, re.M), status
    assert re.search(r"^tasks +queued \d+ running \d+$", status.stdout, re.M), status
