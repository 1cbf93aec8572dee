"""The hub client against an emulated hub that fails or lies: the right bytes or a clear error, and no more requests than are fair."""

from __future__ import annotations

import http.server
import random
import threading
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from hub_probe import BIG, BIG_BYTES, FAST, Probe, big, big_root, probe, served, sha256  # noqa: F401  (fixtures among them)
from running import wait_until
from tests.hub import Emulator


@pytest.mark.parametrize("tenth", range(10))
@pytest.mark.parametrize("rst", [False, True])
def test_cut_at_every_tenth(big: tuple[Emulator, Probe, bytes], tenth: int, rst: bool) -> None:
    hub, probe, data = big
    hub.fault("cut", route="cdn", fraction=tenth / 10, rst=rst, times=3)
    answer = probe("org/big", "read", "main", BIG, 0, BIG_BYTES)
    assert answer["ranges"] == [sha256(data)] and answer["retries"] >= 3


def test_always_cut(big: tuple[Emulator, Probe, bytes]) -> None:
    """As long as bytes come, it goes on from where it was."""
    hub, probe, data = big
    hub.fault("cut", route="cdn", bytes=100_000)
    answer = probe("org/big", "read", "main", BIG, 0, 2_000_000, options=("backoff_ms=1", "backoff_max_ms=2"))
    assert answer["ranges"] == [sha256(data[:2_000_000])]
    hub.clear_faults()
    hub.fault("cut", route="cdn", fraction=0.0)
    answer = probe("org/big", "read", "main", BIG, 0, 2_000_000)
    assert answer["error"] == "network" and BIG in answer["message"] and "attempts" in answer["message"]


@pytest.mark.parametrize("where", [{}, {"fraction": 0.3}])
def test_stall(big: tuple[Emulator, Probe, bytes], where: dict[str, float]) -> None:
    hub, probe, data = big
    hub.fault("stall", route="cdn", seconds=300, times=1, **where)  # longer than a probe may take
    answer = probe("org/big", "read", "main", BIG, 0, 3_000_000, options=(*FAST, "stall_timeout_ms=1000"))
    assert answer["ranges"] == [sha256(data[:3_000_000])]


def test_stalled_for_ever(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, _ = big
    hub.fault("stall", route="cdn", seconds=60)
    options = (*FAST, "stall_timeout_ms=1000", "attempts_max=2")
    assert probe("org/big", "read", "main", BIG, 0, 100_000, options=options)["error"] == "timeout"


def test_replies_that_drip(big: tuple[Emulator, Probe, bytes]) -> None:
    """Bytes keep coming, too few ever to end: ten stall timeouts bound the whole, and another try may be better."""
    hub, probe, data = big
    options = (*FAST, "stall_timeout_ms=100", "attempts_max=20")
    hub.fault("trickle", path="/api/models/", bps=2000, times=1)
    hub.fault("oversize_json", path="/api/models/", bytes=1 << 20, times=1)
    answer = probe("org/big", "resolve", options=options)
    assert answer.get("commit") == hub.sha("org/big") and answer["retries"] >= 1 and answer["received"] < 1 << 20
    hub.clear_faults()
    hub.fault("trickle", path="/api/models/", bps=2000)
    hub.fault("oversize_json", path="/api/models/", bytes=1 << 20)
    answer = probe("org/big", "resolve", options=(*options, "attempts_max=1"))
    assert answer["error"] == "timeout" and "larger stall timeout" in answer["message"], answer
    hub.clear_faults()
    hub.fault("trickle", route="cdn", bps=4_000_000)  # a range goes on from what came
    answer = probe("org/big", "read", "main", BIG, 0, 900_000, options=options)
    assert answer["ranges"] == [sha256(data[:900_000])] and answer["retries"] >= 1


@pytest.mark.parametrize("delta", [-100, 100, -1_000_000, 1_000_000])
def test_wrong_length(big: tuple[Emulator, Probe, bytes], delta: int) -> None:
    hub, probe, data = big
    hub.fault("wrong_length", route="cdn", delta=delta, times=2)
    answer = probe("org/big", "read", "main", BIG, 0, 2_500_000, options=(*FAST, "stall_timeout_ms=1000"))
    assert answer.get("ranges") == [sha256(data[:2_500_000])], answer


@pytest.mark.parametrize("delta", [-1, 1])
def test_wrong_range(big: tuple[Emulator, Probe, bytes], delta: int) -> None:
    hub, probe, data = big
    hub.fault("wrong_range", route="cdn", delta=delta, times=2)
    answer = probe("org/big", "read", "main", BIG, 1_000_000, 2_500_000)
    assert answer.get("ranges") == [sha256(data[1_000_000:3_500_000])], answer
    hub.fault("wrong_range", route="cdn", delta=delta)
    assert probe("org/big", "read", "main", BIG, 1_000_000, 2_500_000)["error"] == "http"


def test_other_size(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, _ = big
    hub.fault("wrong_range", route="cdn", delta=0, size_delta=5)
    assert probe("org/big", "read", "main", BIG, 0, 200_000)["error"] == "mismatch"


def test_range_ignored(big: tuple[Emulator, Probe, bytes]) -> None:
    """A whole file in answer to a range is taken where it is cheap, and refused where it is not."""
    hub, probe, data = big
    hub.fault("ignore_range")
    answer = probe("org/big", "read", "main", "middle.safetensors", 300_000, 50_000)
    middle = random.Random(2).randbytes(400_000)
    assert answer["ranges"] == [sha256(middle[300_000:350_000])]
    answer = probe("org/big", "read", "main", BIG, 10_000_000, 1000)
    assert answer["error"] == "http" and "Range" in answer["message"]
    assert answer["received"] < 4_000_000


def test_etag_changes_between_ranges(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, _ = big
    hub.fault("etag", route="cdn", after=1)
    answer = probe("org/big", "read", "main", BIG, 0, 100, 5_000_000, 100_000)
    assert answer["error"] == "mismatch" and "ETag" in answer["message"]
    hub.clear_faults()
    hub.fault("etag", route="cdn")
    answer = probe("org/big", "read", "main", BIG, 0, BIG_BYTES)
    assert answer["error"] == "mismatch"


def test_hub_lists_one_thing_and_serves_another(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, _ = big
    hub.fault("etag", route="resolve", value="f" * 64)
    answer = probe("org/big", "read", "main", BIG, 0, 1000)
    assert answer["error"] == "mismatch" and "other content" in answer["message"]
    hub.clear_faults()
    hub.fault("headers", route="resolve", set={"X-Repo-Commit": "1" * 40})
    answer = probe("org/big", "read", "main", BIG, 0, 1000)
    assert answer["error"] == "mismatch" and "commit" in answer["message"]
    hub.clear_faults()
    hub.fault("no_commit")
    assert "error" not in probe("org/big", "read", "main", BIG, 0, 1000)


def test_expired_address(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, data = big
    hub.fault("expired", route="cdn", nth=[2, 5])
    answer = probe("org/big", "read", "main", BIG, 0, 100, 0, BIG_BYTES)
    assert answer["ranges"] == [sha256(data[:100]), sha256(data)]
    hub.clear_faults()
    hub.fault("expired", route="cdn", nth=[2, 3, 4, 5, 6, 7])  # all that were sent to it at once
    options = (*FAST, "connections_per_file_max=6")
    answer = probe("org/big", "read", "main", BIG, 0, 100, 0, BIG_BYTES, options=options)
    assert answer.get("ranges") == [sha256(data[:100]), sha256(data)], answer
    hub.fault("expired", route="cdn")
    assert probe("org/big", "read", "main", BIG, 0, 100)["error"] == "http"


def test_short_lived_addresses(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, data = big
    hub.set(url_ttl_s=0.3, connection_bps=30e6)
    answer = probe("org/big", "read", "main", BIG, 0, BIG_BYTES, options=(*FAST, "connections_per_file_max=2"))
    assert answer["ranges"] == [sha256(data)]


@pytest.mark.parametrize("route", ["api", "resolve", "cdn"])
def test_storm_of_500(big: tuple[Emulator, Probe, bytes], route: str) -> None:
    hub, probe, data = big
    hub.fault("status", status=500, route=route, probability=0.4, seed=3)
    options = (*FAST, "attempts_max=20")
    answer = probe("org/big", "read", "main", BIG, 0, BIG_BYTES, options=options)
    assert answer["ranges"] == [sha256(data)]
    hub.clear_faults()
    hub.fault("status", status=503, route=route)
    answer = probe("org/big", "read", "main", BIG, 0, BIG_BYTES)
    assert answer["error"] == "http" and "503" in answer["message"]


def test_rate_limit(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, data = big
    hub.fault("status", status=429, retry_after=1, route="resolve", times=1)
    hub.fault("status", status=429, ratelimit_t=1, route="api", times=1)
    answer = probe("org/big", "read", "main", BIG, 0, 1000)
    assert answer["ranges"] == [sha256(data[:1000])] and answer["seconds"] > 2
    hub.fault("status", status=429, retry_after=100_000, route="api")
    answer = probe("org/big", "resolve")
    assert answer["error"] == "rate_limited" and "asks to wait" in answer["message"]


def test_quota_of_the_hub_is_kept(make_hub: Callable[..., Emulator], small_root: Path, tmp_path: Path) -> None:
    """RateLimit says when nothing is left; asking on would only earn 429."""
    hub = make_hub(small_root, api_quota=4, quota_window_s=2.0)
    answer = Probe(tmp_path, hub.url)("org/small", "sweep", 4, "model.safetensors", 0, 0)
    assert all(isinstance(one, str) for one in answer["branches"].values()), answer
    assert answer["seconds"] > 1


def test_request_budget(probe: Probe) -> None:
    process = probe.start("--cancel", "org/small", "read", "main", "model.safetensors", "0", "100", options=("request_budget=1",))
    answer = probe.finish(process)
    assert answer["error"] == "cancelled" and answer["requests"] == 1


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("route", ["api", "resolve", "cdn"])
def test_redirect_loop(big: tuple[Emulator, Probe, bytes], route: str, relative: bool) -> None:
    hub, probe, _ = big
    hub.fault("redirect_loop", route=route, relative=relative)
    answer = probe("org/big", "read", "main", BIG, 0, 1000)
    assert answer["error"] == "http" and "redirects" in answer["message"]


@pytest.mark.parametrize(
    "fault, code",
    [
        ({"kind": "link_loop", "path": "/tree/"}, "format"),
        ({"kind": "tree_path", "path": "/tree/"}, "format"),
        ({"kind": "tree_path", "path": "/tree/", "entry": "/etc/passwd"}, "format"),
        ({"kind": "malformed_json", "path": "/tree/"}, "format"),
        ({"kind": "oversize_json", "path": "/tree/", "bytes": 65 << 20}, "limit"),
        ({"kind": "body", "path": "/tree/", "text": "<html>not a hub"}, "format"),
        ({"kind": "body", "path": "/tree/", "json": {"a": 1}}, "format"),
        ({"kind": "replace", "path": "/tree/", "pattern": '"size": ?[0-9]+', "by": '"size": -5'}, "format"),
    ],
)
def test_hostile_listing(probe: Probe, hub: Emulator, fault: dict[str, Any], code: str) -> None:
    hub.fault(fault.pop("kind"), **fault)
    answer = probe("org/small", "tree", "main")
    assert answer["error"] == code and answer["message"], answer


def test_branch_that_moves(probe: Probe, hub: Emulator, small_root: Path) -> None:
    """What was resolved stays: the commit is in every address."""
    hub.fault("move_branch", branch="main", target="step0", route="resolve", nth=1)
    expected = sha256(served(small_root, "step2000", "model.safetensors"))
    size = len(served(small_root, "step2000", "model.safetensors"))
    assert probe("org/small", "read", "main", "model.safetensors", 0, size)["ranges"] == [expected]


def test_flipped_bits_never_pass_a_digest(big: tuple[Emulator, Probe, bytes], small_root: Path) -> None:
    hub, probe, data = big
    hub.fault("flip", file="config.json", times=1)
    answer = probe("org/big", "fetch", "main", "config.json")
    assert "error" not in answer
    hub.fault("flip", file="config.json")
    assert probe("org/big", "fetch", "main", "config.json")["error"] == "mismatch"
    hub.fault("flip", file=BIG)
    assert probe("org/big", "read", "main", BIG, 0, BIG_BYTES)["error"] == "mismatch"
    answer = probe("org/big", "download", "main", BIG)
    assert answer["error"] == "mismatch" and "damaged" in answer["message"]
    assert not [path for path in probe.cache.rglob("blobs/*") if not path.name.endswith(".incomplete")]
    hub.clear_faults()
    assert Path(probe("org/big", "download", "main", BIG)["path"]).read_bytes() == data


def test_whole_reads_are_verified_whatever_was_at_hand(big: tuple[Emulator, Probe, bytes]) -> None:
    """Without a listing the head comes first, and its beginning is kept: the rest is not checked the less for it."""
    hub, probe, _ = big
    hub.fault("flip", file="middle.safetensors", file_offset=200_000, times=1)
    answer = probe("--no-tree", "org/big", "fetch", "main", "middle.safetensors")
    assert answer.get("sha256") == sha256(random.Random(2).randbytes(400_000)), "the second try is right"
    hub.fault("flip", file="middle.safetensors", file_offset=200_000)
    answer = probe("--no-tree", "org/big", "fetch", "main", "middle.safetensors")
    assert answer.get("error") == "mismatch", answer


def test_cancel(big: tuple[Emulator, Probe, bytes]) -> None:
    hub, probe, _ = big
    hub.set(connection_bps=1e6)
    answer = probe("--cancel", "org/big", "read", "main", BIG, 0, BIG_BYTES)
    assert answer["error"] == "cancelled" and answer["seconds"] < 100  # the whole would take 192


def test_hub_down_and_up_again(make_hub: Callable[..., Emulator], big_root: Path, tmp_path: Path) -> None:
    hub = make_hub(big_root, bandwidth_bps=40e6)
    probe = Probe(tmp_path, hub.url)
    process = probe.start("org/big", "read", "main", BIG, "0", str(BIG_BYTES), options=("attempts_max=500",))
    time.sleep(1.5)
    hub.stop()
    time.sleep(1)
    hub.start()
    answer = probe.finish(process)
    assert answer.get("ranges") == [sha256((big_root / "models/org/big/main" / BIG).read_bytes())], answer


@pytest.mark.parametrize("fault", [{"kind": "malformed_json"}, {"kind": "body", "text": "<html>log in to this network</html>"}, {"kind": "body"}])
def test_no_json_for_once(probe: Probe, hub: Emulator, fault: dict[str, Any]) -> None:
    """Cut short on its way, or a page of a proxy: one more request, and the listing is whole."""
    whole = probe("org/small", "refs")["refs"]
    hub.fault(**fault, path="/refs", times=1)
    again = probe("org/small", "refs")
    assert again["refs"] == whole and again["requests"] == 2 and again["retries"] == 1


class EndlessPages(http.server.BaseHTTPRequestHandler):
    """Each page names another one as the next, and holds nothing."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for each answer
    body = b'{"branches": []}'

    def do_GET(self) -> None:
        self.server.count += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.send_header("Link", f'</api/models/org/small/refs?cursor={self.server.count}>; rel="next"')
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


def test_pages_that_lead_on_and_on(tmp_path: Path) -> None:
    """They hold up whoever lists for a hundred small ones, not for as many as large listings may have."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), EndlessPages) as server:
        server.count = 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answer = Probe(tmp_path, f"http://127.0.0.1:{server.server_port}")("org/small", "refs")
        assert answer["error"] == "limit" and "org/small: refs: more than 100 pages that hold next to nothing" in answer["message"]
        assert server.count == 101
        server.shutdown()


def test_pages_that_take_their_time(make_hub: Callable[..., Emulator], small_root: Path, tmp_path: Path) -> None:
    """All pages together have as long as one transfer: here a second, of which each takes two fifths."""
    hub = make_hub(small_root, latency_ms=400)
    hub.set(page_size_refs=1)

    def is_told() -> bool:
        """On a busy machine one of them may take it all."""
        answer = Probe(tmp_path, hub.url)("org/small", "refs", options=(*FAST, "stall_timeout_ms=100"))
        assert answer["error"] == "timeout" and answer["requests"] < 9, answer
        return "pages took 1 s and there are more" in answer["message"]

    wait_until(is_told)
