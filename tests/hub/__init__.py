"""A hub emulator: serves folders of revisions over the Hugging Face hub's protocol, for tests.

README.md shows how it is used. Standard library only.
"""

from .client import Emulator, EmulatorError
from .server import Server
from .settings import Settings

__all__ = ["Emulator", "EmulatorError", "Server", "Settings"]
