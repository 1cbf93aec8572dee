"""What goes on beside the sweeps in `tsan` and `soak`: polls, event streams, moved branches, hub faults, signals."""

from __future__ import annotations

import http.client
import random
import signal
import threading
import time
import urllib.parse
from typing import Any, Callable

from receiver import Receiver  # tests/e2e
from stage import MODEL, Daemon, Emulator, need

PATHS = (
    "/healthz", "/readyz", "/metrics", "/v1/status", "/v1/devices", "/v1/models", f"/v1/models/{MODEL}",
    f"/v1/models/{MODEL}/revisions?limit=5", f"/v1/models/{MODEL}/revisions?format=csv",
    f"/v1/models/{MODEL}/revisions/step1", f"/v1/models/{MODEL}/revisions/step1/distribution",
    f"/v1/models/{MODEL}/analysis", f"/v1/models/{MODEL}/audit", f"/v1/models/{MODEL}/trajectories",
    "/v1/scaling", "/v1/watches", f"/v1/watches/{MODEL}", "/v1/workers", "/v1/tokens", "/v1/sweeps", "/v1/sweeps/1", "/", "/openapi.json", "/v1/nothing", "/v1/models/a/b/c/d?x=%zz",
)  # fmt: skip


class Busy:
    """Threads that use a daemon until they are told to end; what went wrong in one of them is raised at the
    end: `with Busy(...) as beside: beside.start(...)`."""

    def __init__(self, daemon: Daemon, hub: Emulator, seed: int) -> None:
        self.daemon, self.hub, self.seed = daemon, hub, seed
        self.is_ending = threading.Event()
        self.threads: list[threading.Thread] = []
        self.wrong: list[str] = []
        self.counts: dict[str, int] = {}
        self.receiver: Receiver | None = None  # of the webhooks of `watch`

    def start(self, *activities: Callable[[random.Random], None], pause_s: float = 0.02) -> None:
        for number, activity in enumerate(activities):
            thread = threading.Thread(target=self._repeat, args=(activity, random.Random(self.seed + number), pause_s),
                                      daemon=True)  # fmt: skip
            thread.start()
            self.threads.append(thread)

    def _repeat(self, activity: Callable[[random.Random], None], dice: random.Random, pause_s: float) -> None:
        name = activity.__name__
        while not self.is_ending.is_set():
            try:
                activity(dice)
                self.counts[name] = self.counts.get(name, 0) + 1
            except Exception as error:  # told at the end
                self.wrong.append(f"{name}: {error!r}")
                return
            self.is_ending.wait(dice.random() * 2 * pause_s)

    def __enter__(self) -> "Busy":
        return self

    def __exit__(self, kind: Any, *exception: Any) -> None:
        self.is_ending.set()
        for thread in self.threads:
            thread.join(60)
        if kind is None:
            self._tell()

    def _tell(self) -> None:
        need(not self.wrong, "beside the sweeps:", self.wrong[:3])

    # ---- activities ----------------------------------------------------------------------------

    def poll(self, dice: random.Random) -> None:
        path = dice.choice(PATHS)
        headers = {"Accept-Encoding": dice.choice(["identity", "gzip", "zstd"])}
        answer = self.daemon.get(path, headers)
        need(answer.status < 500, path, answer)
        if etag := answer.headers.get("ETag"):
            again = self.daemon.get(path, headers | {"If-None-Match": etag})
            is_gone = again.status == 404 and "/watches/" in path  # `watch` deletes what it has put
            need(again.status in (200, 304) or is_gone, path, again)

    def listen(self, dice: random.Random) -> None:
        """Opens an event stream, reads some of it and leaves without a word."""
        address = urllib.parse.urlsplit(self.daemon.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
        number = self.daemon.get("/v1/sweeps?limit=1").json()["sweeps"]
        if number:
            connection.request("GET", f"/v1/sweeps/{number[0]['id']}/events")
            answer = connection.getresponse()
            need(answer.status == 200, "events:", answer.status)
            answer.read(dice.randint(1, 600))
        connection.close()

    def hang_up(self, dice: random.Random) -> None:
        """Half of a request, or nothing at all, and the end of the connection."""
        address = urllib.parse.urlsplit(self.daemon.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
        connection.connect()
        connection.sock.sendall(dice.choice([b"", b"GET /v1/mod", b"POST /v1/sweeps HTTP/1.1\r\nContent-Length: 50\r\n\r\n{", b"\0" * 9]))
        connection.close()

    def move(self, dice: random.Random) -> None:
        """A branch gets another one's files, and sometimes its own again."""
        names = ["step2", "step4", "step8", "step16"]
        self.hub.move_branch(MODEL, dice.choice(names), dice.choice(names))

    def spoil(self, dice: random.Random) -> None:
        """Errors, broken connections and cut bodies for a moment."""
        fault = dice.choice([{"kind": "status", "status": 500}, {"kind": "reset"}, {"kind": "cut", "fraction": 0.5}])
        number = self.hub.fault(probability=0.2, seed=dice.randint(1, 1000), **fault)
        time.sleep(dice.random())
        self.hub.clear_faults(number)

    def hang_up_signal(self, dice: random.Random) -> None:
        self.daemon.process.send_signal(signal.SIGHUP)

    def cancel(self, dice: random.Random) -> None:
        """A sweep that is cancelled soon after it was asked for."""
        answer = self.daemon.post("/v1/sweeps", {"model": MODEL, "revisions": {"to": 64}})
        need(answer.status == 201, answer)
        time.sleep(dice.random())
        answer = self.daemon.request("DELETE", f"/v1/sweeps/{answer.json()['id']}")
        need(answer.status in (200, 202, 204, 409), answer)

    def watch(self, dice: random.Random) -> None:
        """The model is watched at another time, asked now for what is new, or no longer watched."""
        path = f"/v1/watches/{MODEL}"
        is_known = self.daemon.get(path).status == 200
        what = dice.choices(("put", "run", "delete"), (0.4, 0.5, 0.1))[0] if is_known else "put"
        if what == "put":
            time_of_day = dice.choice([{"every_minutes": dice.randint(60, 1440)}, {"at": f"{dice.randint(0, 23):02}:30"}])
            hook = {"webhook": {"url": f"{self.receiver.url}/hook", "secret": "a secret of the proof"}} if self.receiver else {}
            answer = self.daemon.request("PUT", path, time_of_day | hook)
            need(answer.status in (200, 201), answer)
        elif what == "run":
            answer = self.daemon.post(f"{path}/runs")
            need(answer.status == 202, answer)
        else:
            answer = self.daemon.request("DELETE", path)
            need(answer.status == 204, answer)


def sweep_until_done(daemon: Daemon, body: dict[str, Any], attempts: int = 5) -> int:
    """Asks until the sweep is done (faults may make one fail); how often it was asked."""
    for number in range(1, attempts + 1):
        answer = daemon.post("/v1/sweeps", body)
        need(answer.status == 201, answer)
        end = daemon.wait(answer.json()["id"])
        if end["state"] == "done":
            return number
        told = [end["error"], *end["errors"]]
        need(all(one and one["code"] and one["message"] for one in told), "failed without a reason:", end)
    need(False, "not done in", attempts, "attempts:", end)
    return 0
