"""The emulated hub's faults: each does what it says, alone and together."""

from __future__ import annotations

import http.client
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest
from hub_reply import REPO, WEIGHTS, WEIGHTS_BYTES, api, ask, cdn_path, download, needs_patient_client, source  # noqa: F401  (fixtures among them)
from running import wait_until

from tests.hub import Emulator, EmulatorError

huggingface_hub = pytest.importorskip("huggingface_hub")

from huggingface_hub import HfApi, hf_hub_download, snapshot_download  # noqa: E402
from huggingface_hub.errors import FileMetadataError, LocalEntryNotFoundError  # noqa: E402


@needs_patient_client
def test_status_fault_and_retry(hub: Emulator, api: HfApi) -> None:
    hub.fault("status", status=429, retry_after=7, route="api", nth=1)
    answer = ask(hub, f"/api/models/{REPO}")
    assert answer.status == 429 and answer.headers["Retry-After"] == "7"
    assert ask(hub, f"/api/models/{REPO}").status == 200
    hub.clear_faults()
    hub.reset()
    hub.fault("status", status=429, ratelimit_t=1, path="/tree/", times=1)
    hub.fault("status", status=500, path="/tree/", nth=[2])
    began = time.monotonic()
    assert list(api.list_repo_tree(REPO))
    assert time.monotonic() - began > 1 and [rule["hits"] for rule in hub.faults()] == [1, 1]
    assert hub.stats()["faults"] == {"status": 2}


def test_a_held_answer_comes_once_its_rule_is_removed(hub: Emulator) -> None:
    hold = hub.fault("hold", path="/refs")
    with ThreadPoolExecutor(1) as other:
        held = other.submit(ask, hub, f"/api/models/{REPO}/refs")
        while not hub.faults()[0]["hits"]:
            time.sleep(0.01)
        assert ask(hub, f"/api/models/{REPO}").status == 200 and not held.done()
        hub.clear_faults(hold)
        assert held.result(60).status == 200


def test_conditions_of_rules(hub: Emulator) -> None:
    def statuses(count: int, path: str = f"/api/models/{REPO}", method: str = "GET") -> list[int]:
        return [ask(hub, path, method).status for _ in range(count)]

    hub.fault("status", every=3, method="GET", path=r"models/org/small$")
    assert statuses(6) == [200, 200, 503, 200, 200, 503] and statuses(3, method="HEAD") == [200] * 3
    assert statuses(3, f"/api/models/{REPO}/refs") == [200] * 3
    hub.clear_faults()
    hub.fault("status", after=2, times=1, status=500)
    assert statuses(5) == [200, 200, 500, 200, 200]
    hub.clear_faults()
    draws = []
    for _ in range(2):
        number = hub.fault("status", probability=0.5, seed=4)
        draws.append(statuses(20))
        hub.clear_faults(number)
    assert draws[0] == draws[1] and 3 < draws[0].count(503) < 17
    hub.fault("status", status=500, revision="step512")
    by_sha = f"/api/models/{REPO}/revision/{hub.sha(REPO, 'step512')}"
    assert statuses(1, by_sha) == [500] and statuses(1, f"/api/models/{REPO}/revision/step512") == [500]
    assert statuses(1) == [200]
    hub.clear_faults()
    hub.fault("status", status=500, file=r"\.bin$", route="cdn", range=True)
    assert statuses(1, cdn_path(hub)) == [200]
    assert ask(hub, cdn_path(hub), Range="bytes=0-1").status == 500
    assert ask(hub, cdn_path(hub, "model.safetensors"), Range="bytes=0-1").status == 206
    with pytest.raises(EmulatorError, match="unknown field 'pathh'"):
        hub.fault("status", pathh="x")
    with pytest.raises(EmulatorError, match="needs a kind out of"):
        hub.fault("nonsense")
    with pytest.raises(EmulatorError, match="unknown setting 'speed'"):
        hub.set(speed=1)


@pytest.mark.parametrize("tenth", range(10))
def test_cut_at_every_tenth(hub: Emulator, small_root: Path, tenth: int) -> None:
    path, size = cdn_path(hub), WEIGHTS_BYTES * tenth // 10
    hub.reset()
    hub.fault("cut", route="cdn", fraction=tenth / 10, nth=1)
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(hub, path)
    rest = ask(hub, path, Range=f"bytes={size}-").body
    assert caught.value.partial + rest == source(small_root, "step2000") and len(caught.value.partial) == size
    assert hub.stats()["bytes"]["cdn"] == WEIGHTS_BYTES


@needs_patient_client
def test_resume_after_a_cut(tmp_path: Path, make_hub: Callable[..., Emulator]) -> None:
    """The client writes pieces of 10 MiB and comes back for the rest with a Range."""
    repo = tmp_path / "models" / "a" / "big" / "main"
    repo.mkdir(parents=True)
    content = random.Random(1).randbytes(25 << 20)
    (repo / WEIGHTS).write_bytes(content)
    hub = make_hub(tmp_path)
    hub.fault("cut", route="cdn", fraction=0.9, nth=1)
    file = hf_hub_download("a/big", WEIGHTS, endpoint=hub.url, cache_dir=tmp_path / "cache")
    assert Path(file).read_bytes() == content
    requests = [entry for entry in hub.log() if entry["route"] == "cdn"]
    assert [(entry["range"], entry["status"]) for entry in requests] == [(None, 200), (f"bytes={20 << 20}-", 206)]
    assert [entry["bytes"] for entry in requests] == [int(len(content) * 0.9), 5 << 20]


def test_cut_without_the_rest(hub: Emulator) -> None:
    hub.fault("cut", route="cdn", bytes=1000)
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(hub, cdn_path(hub))
    assert len(caught.value.partial) == 1000
    hub.clear_faults()
    hub.fault("cut", file="tokenizer.json", fraction=0.5)
    location = ask(hub, f"/{REPO}/resolve/main/config.json").headers["Location"].replace("config", "tokenizer")
    with pytest.raises(http.client.IncompleteRead):
        ask(hub, location, Accept_Encoding="gzip")


@pytest.mark.parametrize("place", [{}, {"fraction": 0.5}, {"bytes": 0}])
def test_stall(hub: Emulator, small_root: Path, place: dict[str, Any]) -> None:
    path = cdn_path(hub)
    hub.fault("stall", seconds=2, route="cdn", **place)

    def times() -> tuple[float, float]:
        """When the headers and the first quarter are there; the whole is later than the stall."""
        connection = http.client.HTTPConnection("127.0.0.1", hub.port)
        began = time.monotonic()
        connection.request("GET", path)
        answer = connection.getresponse()
        headers_s = time.monotonic() - began
        first = answer.read(WEIGHTS_BYTES // 4)
        first_s = time.monotonic() - began
        body = first + answer.read()
        assert time.monotonic() - began >= 2 and body == source(small_root, "step2000")
        connection.close()
        return headers_s, first_s

    if place == {"fraction": 0.5}:
        wait_until(lambda: max(times()) < 2)  # again where the machine is busy
    elif place:
        wait_until(lambda: times()[0] < 2 <= times()[1])
    else:
        assert min(times()) >= 2


def test_trickle(hub: Emulator) -> None:
    hub.fault("trickle", bps=8 * 20_000, route="cdn")
    began = time.monotonic()
    ask(hub, cdn_path(hub), Range="bytes=0-9999")
    assert time.monotonic() - began > 0.45


def test_wrong_length(hub: Emulator, small_root: Path) -> None:
    hub.fault("wrong_length", delta=10, route="cdn", nth=1)
    with pytest.raises(http.client.IncompleteRead):
        ask(hub, cdn_path(hub))
    hub.clear_faults()
    hub.fault("wrong_length", delta=-10, route="cdn", nth=1)
    answer = ask(hub, cdn_path(hub))
    assert answer.status == 200 and answer.body == source(small_root, "step2000")[:-10]
    assert answer.headers["Content-Length"] == str(WEIGHTS_BYTES - 10)


def test_flipped_bits(hub: Emulator, small_root: Path) -> None:
    whole = source(small_root, "step2000")
    hub.fault("flip", route="cdn", file_offset=1000, bit=7)
    body = ask(hub, cdn_path(hub)).body
    assert [i for i in range(len(whole)) if body[i] != whole[i]] == [1000] and body[1000] ^ whole[1000] == 0x80
    piece = ask(hub, cdn_path(hub), Range="bytes=900-1099").body
    assert [i for i in range(200) if piece[i] != whole[900 + i]] == [100]
    assert ask(hub, cdn_path(hub), Range="bytes=0-999").body == whole[:1000]
    hub.clear_faults()
    hub.fault("flip", route="cdn", fraction=0.25)
    piece = ask(hub, cdn_path(hub), Range="bytes=100-199").body
    assert [i for i in range(100) if piece[i] != whole[100 + i]] == [25]


def test_range_faults(hub: Emulator, small_root: Path) -> None:
    hub.fault("ignore_range", route="cdn", nth=1)
    answer = ask(hub, cdn_path(hub), Range="bytes=1-2")
    assert answer.status == 200 and answer.body == source(small_root, "step2000")
    hub.clear_faults()
    hub.fault("wrong_range", delta=3, size_delta=1)
    assert ask(hub, cdn_path(hub), Range="bytes=1-2").headers["Content-Range"] == "bytes 4-5/300001"


def test_header_faults(hub: Emulator, download: Callable[..., Path]) -> None:
    path = cdn_path(hub)
    hub.fault("etag", route="cdn")
    tags = {ask(hub, path, Range=f"bytes={i}-{i}").headers["ETag"] for i in range(3)}
    assert len(tags) == 3
    hub.clear_faults()
    hub.fault("etag", value="f" * 64)
    answer = ask(hub, f"/{REPO}/resolve/main/{WEIGHTS}")
    assert answer.headers["X-Linked-ETag"] == '"' + "f" * 64 + '"'
    hub.clear_faults()
    hub.fault("no_commit")
    with pytest.raises((FileMetadataError, LocalEntryNotFoundError)):
        download()
    hub.clear_faults()
    hub.fault("headers", set={"X-New": "1"}, drop=["X-Linked-Size"])
    answer = ask(hub, f"/{REPO}/resolve/main/{WEIGHTS}")
    assert answer.headers["X-New"] == "1" and answer.headers["X-Linked-Size"] is None


def test_redirect_loops(hub: Emulator, api: HfApi) -> None:
    hub.fault("redirect_loop", route="api")
    assert ask(hub, f"/api/models/{REPO}").headers["Location"] == f"{hub.url}/api/models/{REPO}"
    with pytest.raises(Exception, match="(?i)redirect"):
        api.model_info(REPO)
    hub.clear_faults()
    hub.fault("redirect_loop", route="resolve", relative=True)
    assert ask(hub, f"/{REPO}/resolve/main/config.json").headers["Location"] == f"/{REPO}/resolve/main/config.json"


def test_json_faults(hub: Emulator, api: HfApi, tmp_path: Path) -> None:
    hub.fault("oversize_json", bytes=3_000_000, route="api")
    answer = ask(hub, f"/api/models/{REPO}/refs", Accept_Encoding="gzip")
    assert len(answer.body) == 3_000_000 and answer.json()["branches"]
    hub.clear_faults()
    hub.fault("malformed_json", route="api")
    with pytest.raises(json.JSONDecodeError):
        ask(hub, f"/api/models/{REPO}/refs").json()
    hub.clear_faults()
    hub.fault("body", json={"branches": 5}, path="/refs")
    assert ask(hub, f"/api/models/{REPO}/refs").json() == {"branches": 5}
    hub.clear_faults()
    hub.fault("body", text="<html>not a hub</html>", path="/refs")
    assert ask(hub, f"/api/models/{REPO}/refs").body == b"<html>not a hub</html>"
    hub.clear_faults()
    hub.fault("link_loop", path="/tree/")
    path = f"/api/models/{REPO}/tree/main?recursive=true"
    assert ask(hub, path).headers["Link"] == f'<{hub.url}{path}>; rel="next"'
    hub.clear_faults()
    hub.fault("link_away", url="http://127.0.0.1:9/x", path="/tree/")
    assert ask(hub, path).headers["Link"] == '<http://127.0.0.1:9/x>; rel="next"'
    hub.clear_faults()
    hub.fault("tree_path", entry="../../outside.txt")
    assert ask(hub, path).json()[-1]["path"] == "../../outside.txt"
    assert ask(hub, f"/api/models/{REPO}").json()["siblings"][-1]["rfilename"] == "../../outside.txt"
    with pytest.raises(ValueError, match="outside.txt"):
        snapshot_download(REPO, endpoint=hub.url, cache_dir=tmp_path / "a" / "b" / "cache")
    assert not list(tmp_path.rglob("outside.txt"))


def test_replaced_text(hub: Emulator, api: HfApi) -> None:
    hub.fault("replace", pattern='"sha":"[0-9a-f]{40}"', by='"sha":"not a commit"')
    assert api.model_info(REPO).sha == "not a commit"


def test_a_branch_that_moves_at_a_chosen_request(hub: Emulator, api: HfApi, small_root: Path, tmp_path: Path) -> None:
    before = hub.sha(REPO)
    hub.fault("move_branch", branch="main", target="step0", path="/resolve/", nth=1)
    folder = Path(snapshot_download(REPO, endpoint=hub.url, cache_dir=tmp_path))
    assert folder.name == before and (folder / WEIGHTS).read_bytes() == source(small_root, "step2000")
    assert api.model_info(REPO).sha == hub.sha(REPO) != before


def test_expired_fault_makes_the_client_resolve_again(hub: Emulator) -> None:
    hub.fault("expired", route="cdn", nth=1)
    path = cdn_path(hub)
    assert ask(hub, path).status == 403 and ask(hub, path).status == 200


@pytest.mark.parametrize("rst", [True, False])
def test_connection_reset(hub: Emulator, rst: bool) -> None:
    hub.fault("reset", rst=rst, route="api", times=1)
    with pytest.raises(ConnectionResetError if rst else http.client.RemoteDisconnected):
        ask(hub, f"/api/models/{REPO}")
    assert hub.log()[0]["status"] is None and hub.stats()["statuses"] == {"None": 1}
    hub.clear_faults()
    hub.fault("cut", rst=rst, route="cdn", times=1)
    with pytest.raises(ConnectionResetError if rst else http.client.IncompleteRead):
        ask(hub, cdn_path(hub))


def test_faults_apply_together_and_are_logged(hub: Emulator) -> None:
    hub.fault("flip", route="cdn")
    hub.fault("headers", set={"X-Both": "yes"}, route="cdn")
    assert ask(hub, cdn_path(hub)).headers["X-Both"] == "yes"
    assert hub.log()[-1]["faults"] == ["flip", "headers"] and hub.log()[0]["faults"] == []
