"""Peers that cannot be installed beside the others: `.ci/run` unpacks their packages into a folder of its own.

The folder is `/opt/authd-peers`, or what AUTHD_PEERS names. Debian's postfix and opensmtpd exclude each other, and the tests
of CPython and of dkimpy come apart from what they test.
"""

import os
from pathlib import Path

from tests.support import missing

FOLDER = Path(os.environ.get("AUTHD_PEERS", "/opt/authd-peers"))


def unpacked(pattern: str) -> Path:
    """The first path in the folder that the pattern matches. Where there is none the test is skipped, or fails with --all."""
    found = sorted(FOLDER.glob(pattern))
    if not found:
        missing(f"{FOLDER}/{pattern} is not unpacked")
    return found[0]


def unpacked_program(name: str) -> str:
    """The path of an unpacked program."""
    return str(unpacked(f"usr/sbin/{name}"))


def command_environment() -> dict[str, str]:
    """The environment in which unpacked programs find their libraries."""
    path = os.pathsep.join([f"{FOLDER}/usr/sbin", os.environ.get("PATH", "")])
    return {"PATH": path, "LD_LIBRARY_PATH": f"{FOLDER}/usr/lib/postfix", "LANG": "C"}
