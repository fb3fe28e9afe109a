"""Random values that every process on one database shares, made when they are first asked for."""

import secrets

from authd.sql.database import Executor
from authd.sql.queries import load

_QUERIES = load("server_secrets")
_BYTES = 32


async def server_secret(db: Executor, name: str) -> bytes:
    """The 32 bytes called `name`."""
    row = await db.fetch_one(_QUERIES["find"], {"name": name})
    if row is None:
        await db.execute(_QUERIES["make"], {"name": name, "value": secrets.token_bytes(_BYTES)})
        row = await db.fetch_one(_QUERIES["find"], {"name": name})
    assert row is not None
    return bytes(row[0])
