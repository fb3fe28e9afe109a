"""The configuration: `load()` turns authd.conf and the environment into frozen `Settings`."""

from authd.config.loader import find, load, notices
from authd.config.settings import Settings

__all__ = ["Settings", "find", "load", "notices"]
