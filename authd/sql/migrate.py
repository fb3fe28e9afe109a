"""Brings the schema `authd` to the newest version: plain SQL files, forward only, one transaction each."""

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from authd import __version__
from authd.errors import Conflict
from authd.sql import spapi
from authd.sql.connection import Connection
from authd.sql.database import Database
from authd.sql.queries import load

_log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent / "migrations"
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_OLDEST = re.compile(r"^-- oldest-authd: (\d+\.\d+\.\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Migration:
    """One step of the schema. `oldest_authd` is the oldest version of authd that may run once it is applied."""

    number: int
    name: str
    sql: str
    oldest_authd: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True)
class Applied:
    """A migration that the database has had."""

    number: int
    name: str
    checksum: str
    oldest_authd: str


def known() -> tuple[Migration, ...]:
    """The migrations of this version of authd, in order."""
    found = []
    for file in sorted(FOLDER.glob("*.sql")):
        match, sql = _FILE.fullmatch(file.name), file.read_text(encoding="utf-8")
        oldest = _OLDEST.search(sql)
        if match is None or oldest is None:
            raise ValueError(f"{file.name}: a migration is NNNN_verb_noun.sql and says -- oldest-authd: X.Y.Z")
        found.append(Migration(int(match[1]), match[2], sql, oldest[1]))
    return tuple(found)


def pending(migrations: Sequence[Migration], applied: Sequence[Applied]) -> tuple[Migration, ...]:
    """What is still to be applied. Raises Conflict where the database was migrated by other files than ours."""
    by_number = {step.number: step for step in migrations}
    for done in applied:
        ours = by_number.get(done.number)
        if ours is not None and ours.checksum != done.checksum:
            raise Conflict(f"migration {done.number:04d}_{done.name} differs from the one that was applied")
    done_numbers = {done.number for done in applied}
    return tuple(step for step in migrations if step.number not in done_numbers)


def too_old(version: str, applied: Sequence[Applied]) -> str | None:
    """The version of authd that the schema needs at least, where `version` is older than that; else None."""
    needed = max((done.oldest_authd for done in applied), key=_as_numbers, default=version)
    return needed if _as_numbers(version) < _as_numbers(needed) else None


def check_version(applied: Sequence[Applied]) -> None:
    """Raises Conflict where the schema is for newer versions of authd than this one."""
    if needed := too_old(__version__, applied):
        raise Conflict(f"the database needs authd {needed} or newer; this is {__version__}")


def _as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


async def applied(connection: Connection | Database) -> tuple[Applied, ...]:
    """The migrations that the database has had; empty for a new one."""
    statements = load("migrate")
    if isinstance(connection, Database):
        exists = await connection.fetch_all(statements["bookkeeping_exists"])
        rows = await connection.fetch_all(statements["applied"]) if exists else []
    else:
        exists = (await connection.run(statements["bookkeeping_exists"], {}))[0]
        rows = (await connection.run(statements["applied"], {}))[0] if exists else []
    return tuple(Applied(*row) for row in rows)


async def migrate(database: Database, *, spapi_roles: Sequence[str] = ()) -> tuple[Migration, ...]:
    """Applies what is pending and returns it. Several processes may call it at once: one migrates, the others wait.

    `spapi_roles` may execute SPAPI afterwards; a role that does not exist is warned of. Raises Conflict for a schema that
    this version may not touch.
    """
    statements = load("migrate")
    connection = await database.connect()
    try:
        await connection.run("SET statement_timeout = 0", {})
        await connection.run(statements["lock"], {})
        await connection.run(statements["create_bookkeeping"], {})
        before = await applied(connection)
        check_version(before)
        steps = pending(known(), before)
        for step in steps:
            await connection.run("BEGIN", {})
            await connection.run(step.sql.replace("%", "%%"), {})
            await connection.run(statements["record"], {"number": step.number, "name": step.name, "checksum": step.checksum,
                                                        "oldest_authd": step.oldest_authd})
            await connection.run("COMMIT", {})
        notice = await spapi.install_after_migration(database, spapi_roles)
        if notice is not None:
            _log.warning("%s", notice)
        return steps
    finally:
        connection.close()
