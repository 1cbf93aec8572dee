"""The emulator's knobs: one table for the command line, /_emulator/settings and Emulator(...)."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass, field
from typing import Any


def _knob(default: Any, text: str) -> Any:
    if isinstance(default, list):
        return field(default_factory=list, metadata={"help": text})
    return field(default=default, metadata={"help": text})


@dataclass
class Settings:
    """Every knob with its default; all but `lfs_bytes` may change while the emulator runs."""

    bandwidth_bps: float = _knob(0.0, "body bits per second over all connections together, 0 = no limit")
    connection_bps: float = _knob(0.0, "body bits per second of one connection, 0 = no limit")
    latency_ms: float = _knob(0.0, "wait before every answer")
    connect_ms: float = _knob(0.0, "additional wait before the first answer of a connection")
    page_size: int = _knob(1000, "entries on one page of a tree")
    page_size_expand: int = _knob(50, "entries on one page of an expanded tree")
    page_size_commits: int = _knob(1000, "commits on one page, for who asks for so many; else at most 50, as the hub does")
    page_size_models: int = _knob(1000, "entries on one page of a search for models")
    page_size_refs: int = _knob(0, "refs on one page, 0 = all, as the hub does")
    lfs_bytes: int = _knob(10 << 20, "files of at least this size are LFS files, whatever their name")
    url_ttl_s: float = _knob(3600.0, "life of a signed CDN address")
    cdn_host: str = _knob(
        "", "origin of the CDN, http://HOST[:PORT]; default: the other name of this machine, 127.0.0.1 or localhost"
    )
    prefix: str = _knob("", "path before everything, as behind a mirror: /hf")
    gzip: bool = _knob(True, "compress JSON and text for clients that accept it")
    tokens: list = _knob([], "an accepted bearer token; with none named any token is accepted")
    granted_tokens: list = _knob([], "an accepted bearer token that was also granted all gated repositories")
    api_quota: int = _knob(0, "API requests per window before 429, 0 = no limit")
    resolve_quota: int = _knob(0, "resolve requests per window before 429, 0 = no limit")
    quota_window_s: float = _knob(300.0, "length of the rate limit's window")

    def update(self, values: dict[str, Any]) -> None:
        """Sets some knobs; ValueError names the one that is unknown or of a wrong type."""
        known = {item.name: item for item in dataclasses.fields(self)}
        checked = {}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"unknown setting {name!r}; known: {', '.join(known)}")
            checked[name] = self._convert(name, value)
        for name, value in checked.items():
            setattr(self, name, value)

    def _convert(self, name: str, value: Any) -> Any:
        kind = type(getattr(self, name))
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind):
            raise ValueError(f"setting {name!r}: expected {kind.__name__}, got {value!r}")
        if kind in (int, float) and value < 0:
            raise ValueError(f"setting {name!r}: must not be negative")
        return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One option per knob: --bandwidth-bps N, --tokens T (repeatable), --no-gzip."""
    for item in dataclasses.fields(Settings):
        option, default = item.name.replace("_", "-"), getattr(Settings(), item.name)
        if isinstance(default, bool):
            parser.add_argument(
                f"--{option}", action=argparse.BooleanOptionalAction, default=default, help=item.metadata["help"]
            )
        elif isinstance(default, list):
            parser.add_argument(f"--{option}", action="append", default=[], metavar="T", help=item.metadata["help"])
        else:
            parser.add_argument(f"--{option}", type=type(default), default=default, help=item.metadata["help"])


def from_arguments(arguments: argparse.Namespace) -> Settings:
    settings = Settings()
    settings.update({item.name: getattr(arguments, item.name) for item in dataclasses.fields(Settings)})
    return settings


def to_arguments(values: dict[str, Any]) -> list[str]:
    """The command line for these knobs (the inverse of from_arguments)."""
    Settings().update(values)
    out: list[str] = []
    for name, value in values.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            out.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, (list, tuple)):
            out.extend(f"--{option}={one}" for one in value)
        else:
            out.append(f"--{option}={value}")
    return out
