"""A plain client of the emulated hub, for tests: it shows what the official one hides. And the official one, as fixtures."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlsplit

import pytest

from tests.hub import Emulator

huggingface_hub = pytest.importorskip("huggingface_hub")

from huggingface_hub import HfApi, hf_hub_download  # noqa: E402


REPOSITORY = Path(__file__).resolve().parents[2]
REPO = "org/small"
WEIGHTS = "pytorch_model.bin"
WEIGHTS_BYTES = 300_000

needs_patient_client = pytest.mark.skipif(
    int(huggingface_hub.__version__.partition(".")[0]) < 2,
    reason="huggingface_hub before 2 gives up at 429 and when a body is cut",
)


# ---- a plain client, to see what the official one hides -----------------------------------------


class Reply:
    def __init__(self, answer: http.client.HTTPResponse, body: bytes) -> None:
        self.status, self.headers, self.body = answer.status, answer.headers, body

    def json(self) -> Any:
        return json.loads(self.body)


def ask(hub: Emulator, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Reply:
    """One request, no redirects followed; header names with _ for -."""
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=30)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Reply(answer, answer.read())
    finally:
        connection.close()


def cdn_path(hub: Emulator, file: str = WEIGHTS, revision: str = "main") -> str:
    """A signed address at the CDN, without its host."""
    location = ask(hub, f"/{REPO}/resolve/{revision}/{file}", "HEAD").headers["Location"]
    parts = urlsplit(location)
    assert parts.netloc == f"localhost:{hub.port}"
    return f"{parts.path}?{parts.query}"


def source(root: Path, revision: str, file: str = WEIGHTS, repo: str = REPO) -> bytes:
    return (root / "models" / repo / revision / file).read_bytes()


@pytest.fixture
def api(hub: Emulator) -> HfApi:
    return HfApi(endpoint=hub.url)


@pytest.fixture
def download(hub: Emulator, tmp_path: Path) -> Callable[..., Path]:
    """hf_hub_download into a fresh cache."""

    def run(file: str = WEIGHTS, repo: str = REPO, **options: Any) -> Path:
        options = {"endpoint": hub.url, "cache_dir": tmp_path / "cache", **options}
        return Path(hf_hub_download(repo, file, **options))

    return run
