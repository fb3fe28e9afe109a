"""What tests of every layer share: finding peers, a database for a block, running coroutines."""

import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from authd.sql.database import Credentials, Database, SessionOptions

ROOT = Path(__file__).parent.parent


def require_program(name: str) -> str:
    """The path of a peer's program. Where it is not installed the test is skipped, or fails under `tools/test --all`."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/bin"]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found:
        return found
    missing(f"{name} is not installed")


def missing(why: str) -> NoReturn:
    """Says that a peer is not there: a skip, or a failure under `tools/test --all`."""
    if os.environ.get("AUTHD_TEST_ALL"):
        pytest.fail(f"{why}, and --all needs it")
    pytest.skip(why)


@asynccontextmanager
async def open_database(url: str, *, pool_size: int = 10,
                        options: SessionOptions = SessionOptions()) -> AsyncIterator[Database]:
    """A Database on `url`, closed after the block."""
    database = Database(Credentials(url), pool_size=pool_size, options=options)
    try:
        yield database
    finally:
        database.close()
