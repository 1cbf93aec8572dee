"""Fixtures of the end-to-end tests: the emulated hub and the daemon.

hub        an emulated hub of small generated repositories, fresh for every test
make_hub   another one: make_hub(root, bandwidth_bps=…)
port       for a server that a test stops and starts again
certificate  files for make_hub(root, tls=certificate)
garden     the folder of the committed training run, to be served by make_hub
places     a folder in which that run is published as folders, as commits and as repositories (tests/hub/places.py)
tensors    the unembedding of each of its revisions, read by numpy
daemon     start the daemon: daemon(hub, "--option", "value", env={…})
worker     start a remote worker: worker(daemon, "--option", "value", env={…})
made_up    a daemon that has swept four made-up runs of different sizes (synthetic.py), three with perplexities

The programs are taken from the CMake build folder that $BIFURCATED_BUILD names.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import importlib.util
import os
import shutil
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any, Callable, Generator, Iterator

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))
sys.path.insert(0, str(Path(__file__).resolve().parent))

gc.disable()  # until all is imported and collected: a quarter of the time that takes, and almost nothing is found

sqlite3.connect = functools.partial(sqlite3.connect, timeout=60)  # a daemon may be writing: on a busy machine for longer than the usual 5 s

os.umask(0o022)  # of what some tests make, other users read something

# huggingface_hub reads these when it is imported
for _name in [name for name in os.environ if name.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))]:
    del os.environ[_name]
for _name in ("http_proxy", "https_proxy", "all_proxy"):
    os.environ.pop(_name, None), os.environ.pop(_name.upper(), None)
os.environ.update(HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1")

from running import Daemon, Logged, find_program, new_certificate  # noqa: E402
from workers import Worker  # noqa: E402

from tests.hub import Emulator  # noqa: E402
from tests.hub.client import take_port  # noqa: E402
from tests.hub.places import write_root as write_places  # noqa: E402
from tests.hub.samples import write_root  # noqa: E402

# Files that take longest. deploy/test hands files out to its processes in this order, so that none of these is left for the end.
LONGEST = """
    test_slurm test_dashboard test_gated test_tokenizer test_dashboard_faults test_hang test_remote_worker test_scoring_oracle
    test_dashboard_operations test_cuda_module test_faults test_proof test_lister test_statistics_oracle test_hub_faults
    test_client_hostile test_front test_shapes_oracle test_corners test_hub_outage test_hub_cache test_deploy test_watches test_watched_folders test_hub_wait
    test_client test_api test_conditions test_crash
""".split()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {f"{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def pytest_collection_finish() -> None:
    """What there is by now stays to the end: no collection of cycles looks through it any more."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Once the time of deploy/test --within is over, what is left is told as skipped."""
    until_s = os.environ.get("BIFURCATED_UNTIL")
    if until_s and time.time() > float(until_s):
        pytest.skip("the time of deploy/test --within was over")


def end_all(left: list[Logged]) -> list[str]:
    """Kills those that run still; which they were."""
    running = [one for one in left if one.is_running()]
    for one in running:
        one.kill()
    return [str(one.log_path) for one in running]


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Generator[None, object, object]:
    """A fixture that fails before it yields has no part that ends what it has begun."""
    before = len(Logged.begun)
    try:
        return (yield)
    except BaseException:  # a skip, too
        end_all(Logged.begun[before:])
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    before = len(Logged.begun)
    item.has_passed = False
    try:
        result = yield
        item.has_passed = True
        return result
    finally:
        item.begun = Logged.begun[before:]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """What a test has begun ends with it: by the fixtures, by the test itself, else here."""
    try:
        result = yield
    except BaseException:
        end_all(getattr(item, "begun", []))
        raise
    left = end_all(getattr(item, "begun", []))
    assert not left or not item.has_passed, f"the test has left running: {left}"
    return result


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's own token, cache or settings."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _answers_are_as_described() -> None:
    if importlib.util.find_spec("jsonschema"):
        import described

        Daemon.check_answer = staticmethod(described.check)


@pytest.fixture(scope="session")
def small_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repositories of tests/hub/samples.py."""
    return write_root(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="session")
def _idle_hubs() -> Iterator[list[Emulator]]:
    """Hubs that earlier tests have done with: to begin anew takes next to nothing, to start one a third of a second."""
    hubs: list[Emulator] = []
    yield hubs
    for hub in hubs:
        hub.stop()


@pytest.fixture
def make_hub(_idle_hubs: list[Emulator], tmp_path: Path) -> Iterator[Callable[..., Emulator]]:
    """Starts hubs, or has idle ones of the same folder begin anew; those of the test's own folders are stopped when it ends."""
    used: list[Emulator] = []

    def make(root: str | Path, **knobs: Any) -> Emulator:
        hub = next((one for one in _idle_hubs if one.root == str(root) and one.begin_anew(**knobs)), None)
        if hub:
            _idle_hubs.remove(hub)
        else:
            hub = Emulator(root, **knobs)
            hub.start()
        used.append(hub)
        return hub

    yield make
    for hub in used:
        if hub.may_begin_anew() and not Path(hub.root).is_relative_to(tmp_path):
            _idle_hubs.append(hub)
        else:
            hub.stop()


@pytest.fixture
def hub(make_hub: Callable[..., Emulator], small_root: Path) -> Emulator:
    """The emulated hub with everything as at its start."""
    return make_hub(small_root)


@pytest.fixture
def port() -> Iterator[int]:
    """A port on 127.0.0.1 for a server, its own also while it is down."""
    with take_port() as taken:
        yield taken.getsockname()[1]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for 127.0.0.1 and localhost, and its key: for make_hub(root, tls=certificate)."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    return new_certificate(tmp_path_factory.mktemp("tls") / "one", "rsa:2048")


@pytest.fixture(scope="session")
def garden() -> Path:
    """The root that holds the committed training run."""
    for root in (REPOSITORY / "tests/fixtures/garden/hub", REPOSITORY / "tests/fixtures/garden"):
        if (root / "models").is_dir():
            return root
    pytest.skip("the committed training run (tests/fixtures/garden) is not there")


@pytest.fixture(scope="session")
def places(garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_places(tmp_path_factory.mktemp("places"), garden)


@pytest.fixture(scope="session")
def tensors(garden: Path) -> dict[str, Any]:
    pytest.importorskip("numpy", reason="numpy is the reference")
    import reference

    return reference.read_tensors(reference.garden_folders(garden))


@pytest.fixture(scope="session")
def programs() -> dict[str, Path]:
    """Paths of the built programs; tests that need them are skipped without."""
    return {name: find_program(name) for name in ("bifurcated", "bifurcate")}


def shared_place(config: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all of pytest's processes. Of a pytest that a test starts it is that one's own, though xdist's variables are there, too."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(config, "workerinput") else own


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """This folder, which that of pytest's processes makes that asks for it first; the others wait for it, and only read it."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        whole = folder.with_suffix(".whole")
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder


@pytest.fixture(scope="session")
def made_up(programs: dict[str, Path], pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    pytest.importorskip("numpy", reason="numpy makes the runs up")
    import synthetic

    def runs_in(folder: Path) -> dict[int, str]:
        return {size: f"file:{folder}/run-{size}" for size in synthetic.ONSETS}

    def sweep(folder: Path) -> None:
        for size, onset in synthetic.ONSETS.items():
            synthetic.write_run(folder / f"run-{size}", size, onset)
        with Daemon(programs, folder / "daemon", None, [], {}) as daemon:
            for number in [daemon.sweep(model) for model in runs_in(folder).values()]:
                assert daemon.wait(number)["state"] == "done"
        for size, onset in list(synthetic.ONSETS.items())[:3]:
            synthetic.score_run(daemon, runs_in(folder)[size], onset)

    folder = made_once(shared_place(pytestconfig, tmp_path_factory) / "made-up", sweep)
    place = tmp_path_factory.mktemp("made-up") / "daemon"
    shutil.copytree(folder / "daemon", place)
    daemon = Daemon(programs, place, None, [], {})
    daemon.start()
    daemon.runs = runs_in(folder)
    yield daemon
    daemon.check_end()


@pytest.fixture(scope="session")
def _empty_database(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a daemon leaves of which nothing was asked."""
    with Daemon(programs, tmp_path_factory.mktemp("empty"), None, [], {}) as one:
        pass
    return one.db


@pytest.fixture
def daemon(programs: dict[str, Path], tmp_path: Path, _empty_database: Path) -> Iterator[Callable[..., Daemon]]:
    """Starts daemons, each on an empty database of its own or what lies there; at the end each must stop, without a sanitizer's report.

    All migrations are half of what a start costs. Daemons that tests make otherwise begin without a database.
    """
    started: list[Daemon] = []

    def start(hub: Emulator | str | None = None, *options: str, env: dict[str, str] | None = None) -> Daemon:
        place = tmp_path / f"daemon{len(started)}"
        url = hub.url if isinstance(hub, Emulator) else hub
        started.append(Daemon(programs, place, url, list(options), env or {}))
        if not started[-1].db.exists():  # a test may have put one there
            copy_empty(_empty_database, started[-1].db)
        started[-1].start()
        return started[-1]

    with contextlib.ExitStack() as ends:
        yield start
        for one in reversed(started):
            ends.callback(one.check_end)


def copy_empty(database: Path, to: Path) -> None:
    """One with a name of its own, and no time at which retention saw it."""
    shutil.copy(database, to)
    with contextlib.closing(sqlite3.connect(to)) as connection:
        connection.execute("UPDATE store SET instance = lower(hex(randomblob(16)))")
        connection.execute("UPDATE totals SET retention_ms = 0, retention_noted_ms = 0")
        connection.commit()


@pytest.fixture
def worker(programs: dict[str, Path], tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers: worker(daemon, "--option", "value"); at the end each must stop cleanly."""
    started: list[Worker] = []

    def start(daemon: Daemon | str, *options: str, env: dict[str, str] | None = None) -> Worker:
        place = tmp_path / f"worker{len(started)}"
        started.append(Worker(daemon, programs["bifurcated"], place, *options, env=env).start())
        return started[-1]

    with contextlib.ExitStack() as ends:
        yield start
        for one in started:
            one.terminate()  # all at once: each takes a moment
        for one in reversed(started):
            ends.callback(one.check_end)
