"""Every statement in authd/sql/queries is prepared against the migrated schema, and the schema is the one on record."""

import re
import subprocess
from pathlib import Path

import pytest

from authd.embedded import EmbeddedPostgres
from authd.sql.queries import FOLDER, load
from tests.support import open_database

SUBJECTS = sorted(str(file.relative_to(FOLDER).with_suffix("")) for file in FOLDER.rglob("*.sql"))
RECORD = Path(__file__).with_name("schema.sql")
PARAMETER = re.compile(r"%\((\w+)\)s")
NOT_PREPARED = re.compile(r"^\s*(CREATE|LISTEN|SET|LOCK)\b", re.IGNORECASE)


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_statements_can_be_prepared(subject: str, module_database_url: str) -> None:
    async with open_database(module_database_url, pool_size=2) as db:
        for name, statement in load(subject).items():
            if NOT_PREPARED.match(statement):
                continue
            parameters = list(dict.fromkeys(PARAMETER.findall(statement)))
            sql = PARAMETER.sub(lambda match, all=parameters: f"${all.index(match[1]) + 1}", statement)  # type: ignore[misc]
            await db.execute(f"PREPARE probe AS {sql}; DEALLOCATE probe")
            assert name


def test_the_schema_is_the_one_on_record(postgres: EmbeddedPostgres, module_database_url: str) -> None:
    dump = subprocess.run([postgres.binaries / "pg_dump", "--schema-only", "--schema=authd", "--no-owner", "--no-comments",
                           "-d", module_database_url], capture_output=True, text=True, check=True).stdout
    lines = [line for line in dump.splitlines() if line and not line.startswith(("--", "\\", "SET ", "SELECT pg_catalog"))]
    schema = "\n".join(lines) + "\n"
    if not RECORD.exists():
        RECORD.write_text(schema, encoding="utf-8")
    assert schema == RECORD.read_text(encoding="utf-8"), f"if the change is meant, remove {RECORD.name} and run this test again"
