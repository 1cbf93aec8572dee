"""Who may include whom: the table of layers in ARCHITECTURE.md, as a test.

A file may include headers of its own folder, of the layers named for it, and the outside libraries named for it.
Every other include with quotes, and every library header that another layer owns, is a fault.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# layer: (layers that it may include, outside headers that it may include beyond libc's)
LAYERS: dict[str, tuple[set[str], set[str]]] = {
    "daemon/base": (set(), {"jansson.h", "openssl/"}),
    "daemon/hub": ({"daemon/base"}, {"curl/", "jansson.h"}),
    "daemon/notify": ({"daemon/base"}, {"curl/"}),
    "daemon/checkpoint": ({"daemon/base", "gpu/tensor.h"}, {"jansson.h", "zip.h"}),
    "daemon/text": ({"daemon/base"}, {"jansson.h", "pcre2.h", "utf8proc.h", "zlib.h", "zstd.h"}),
    "daemon/model": ({"daemon/base", "daemon/checkpoint", "gpu/tensor.h"}, {"jansson.h"}),
    "daemon/analysis": ({"daemon/base"}, {"math.h"}),
    "daemon/slurm": ({"daemon/base"}, set()),
    "gpu": ({"daemon/base"}, {"dlfcn.h"}),
    "gpu/cpu": ({"daemon/base", "gpu"}, {"cblas.h", "immintrin.h", "math.h", "cpuid.h"}),
    "gpu/cuda": ({"gpu", "daemon/base"}, {"cuda", "cublas", "cub/", "mma.h"}),
    "store": ({"daemon/base"}, {"sqlite3.h", "zstd.h"}),
    "api/form": ({"daemon/base"}, {"jansson.h"}),
    "api/wire": ({"daemon/base", "daemon/analysis", "store", "api/form"}, {"jansson.h"}),
    "api/http": ({"daemon/base", "store/store.h", "store/tokens.h", "api/form"}, {"microhttpd.h", "gnutls/", "jansson.h", "zlib.h", "zstd.h"}),
    "api/resource": ({"daemon/base", "store", "api/form", "api/http"}, set()),
    "api/series": ({"daemon/base", "daemon/analysis", "store", "api/form", "api/http", "api/resource"}, {"math.h"}),
    "api/sweeps": ({"daemon/base", "store", "api/form", "api/http", "api/resource"}, {"microhttpd.h", "jansson.h"}),
    "api/workers": (
        {"daemon/base", "daemon/analysis", "store", "api/form", "api/wire", "api/http", "api/resource"},
        {"microhttpd.h", "jansson.h"},
    ),
    "api": (
        {"daemon/base", "store", "api/form", "api/http", "api/resource", "api/series", "api/sweeps", "api/wire", "api/workers"},
        {"jansson.h"},
    ),
    "api/client": ({"daemon/base"}, {"curl/", "jansson.h"}),
    "daemon/options": ({"daemon/base"}, {"ini.h"}),
    "daemon/sweep": (
        {"daemon/base", "daemon/hub", "daemon/checkpoint", "daemon/model", "daemon/analysis/sample.h", "store"},
        {"jansson.h"},
    ),
    "daemon/measure": (
        {
            "daemon/base", "daemon/options", "daemon/hub", "daemon/checkpoint", "daemon/text", "daemon/model", "daemon/analysis",
            "daemon/sweep", "gpu", "gpu/cpu", "store",
        },
        set(),
    ),
    "daemon/watch": (
        {
            "daemon/base", "daemon/hub", "daemon/notify", "daemon/sweep", "store",
            "api/series/analysis.h", "api/series/audit.h", "api/sweeps/sweep_view.h",
        },
        {"jansson.h"},
    ),
    "daemon/remote": (
        {"daemon/base", "daemon/sweep", "daemon/measure", "gpu", "store", "api/form", "api/wire", "api/client/rest.h"},
        {"jansson.h"},
    ),
    "daemon/command": (
        {
            "daemon/base", "daemon/options", "daemon/hub", "daemon/analysis", "daemon/measure", "daemon/remote", "gpu", "gpu/cpu", "store",
            "daemon/slurm", "daemon/sweep", "api/client/rest.h", "api/http/tls.h",
        },
        {"jansson.h"},
    ),
    "daemon/workers": ({"daemon/base", "daemon/measure", "store"}, set()),
    "daemon/executor": (
        {"daemon/base", "daemon/options", "daemon/hub", "daemon/slurm", "store", "api/http/metrics.h"},
        {"jansson.h"},
    ),
    "daemon/serving": ({"daemon/base", "daemon/options", "api", "api/http/tls.h"}, {"systemd/"}),
    "daemon": (
        {
            "daemon/base", "daemon/options", "daemon/hub", "daemon/sweep", "daemon/measure", "daemon/watch", "daemon/workers",
            "daemon/executor", "daemon/serving", "daemon/command", "gpu", "store", "api",
        },
        {"jansson.h", "systemd/"},
    ),
}  # fmt: skip

# Headers of libraries that only some layers may use; any other <...> include is libc and free for all.
OWNED = ("openssl/", "curl/", "jansson.h", "zip.h", "pcre2.h", "utf8proc.h", "zlib.h", "zstd.h", "cblas.h",
         "immintrin.h", "cuda", "cublas", "cub/", "mma.h", "sqlite3.h", "microhttpd.h", "gnutls/", "ini.h", "systemd/", "dlfcn.h")  # fmt: skip

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)


def layer_of(path: str) -> str:
    folder = str(Path(path).parent)
    while folder not in LAYERS:
        folder = str(Path(folder).parent)
        assert folder != ".", f"{path} belongs to no layer of the table"
    return folder


def sources() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.c", "*.h", "*.cu", "*.cuh"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    return [path for path in listed if not path.startswith("tests/") and (ROOT / path).exists()]


def faults_of(path: str, text: str) -> list[str]:
    own = layer_of(path)
    layers, libraries = LAYERS[own]
    faults = []
    for kind, name in INCLUDE.findall(text):
        if kind == '"':
            if not (ROOT / name).exists():
                faults.append(f'{path}: "{name}" is not written from the root')
            elif layer_of(name) != own and layer_of(name) not in layers and name not in layers:
                faults.append(f"{path}: {own} may not include {name}")
        elif name.startswith(OWNED) and not name.startswith(tuple(libraries)):
            faults.append(f"{path}: {own} may not use <{name}>")
    return faults


def test_layers_have_an_order() -> None:
    """No layer includes, by whatever way, one that includes it."""
    below = {layer: {name if name in LAYERS else layer_of(name) for name in names} for layer, (names, _) in LAYERS.items()}
    left = set(below)
    while bottom := {layer for layer in left if not below[layer] & left}:
        left -= bottom
    assert not left, f"a circle of {sorted(left)}"


def test_there_are_sources() -> None:
    assert len(sources()) > 50


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_layer_includes_only_what_it_may(layer: str) -> None:
    faults = [f for path in sources() if layer_of(path) == layer for f in faults_of(path, (ROOT / path).read_text())]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "path, text",
    [
        ("daemon/base/err.c", '#include "store/store.h"\n'),
        ("api/server.c", '#include "daemon/hub/hub.h"\n'),
        ("store/store.c", "#include <curl/curl.h>\n"),
        ("daemon/hub/hub.c", '#include "hub.h"\n'),
        ("daemon/checkpoint/checkpoint.c", '#include "gpu/backend.h"\n'),
    ],
)
def test_a_breach_is_found(path: str, text: str) -> None:
    assert faults_of(path, text)
