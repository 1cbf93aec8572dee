"""python3 -m tests.hub --root DIR [--port N] [--log FILE] [knobs]"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

if not __package__:  # run by path: python3 tests/hub
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.hub.digests import default_cache_path
from tests.hub.repository import RepositoryError
from tests.hub.server import Server
from tests.hub.settings import add_arguments, from_arguments


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.hub", description="Serves DIR as a Hugging Face hub on 127.0.0.1.")
    parser.add_argument("--root", required=True, metavar="DIR", help="holds models/, datasets/, spaces/")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--log", metavar="FILE", help="append one JSON line per request")
    parser.add_argument(
        "--digest-cache",
        metavar="FILE",
        default=default_cache_path(),
        help="remembers digests; empty: not (default %(default)s)",
    )
    parser.add_argument(
        "--tls", nargs=2, metavar=("CERT", "KEY"), help="speak HTTPS with this certificate and key (PEM)"
    )
    add_arguments(parser)
    arguments = parser.parse_args()
    try:
        settings = from_arguments(arguments)
    except ValueError as error:
        parser.error(str(error))
    with ExitStack() as stack:
        log = stack.enter_context(open(arguments.log, "a", encoding="utf-8")) if arguments.log else None
        try:
            server = Server(arguments.root, settings, arguments.port, log, arguments.digest_cache, arguments.tls)
        except (RepositoryError, OSError) as error:
            print(f"tests.hub: {error}", file=sys.stderr)
            return 1
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.stop).start())
        print(json.dumps({"url": server.url, "port": server.port}), flush=True)
        server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
