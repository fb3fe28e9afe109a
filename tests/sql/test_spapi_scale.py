"""SPAPI and the forwarder's queries on 100,000 accounts and 300,000 aliases: indexes only, and under a millisecond."""

import json
from typing import Any

import psycopg2
import pytest

from authd.embedded import EmbeddedPostgres
from authd.smtp.grammar import Path
from authd.smtp.routing import Kind
from authd.sql import routing, spapi
from authd.sql.database import Database
from authd.sql.routing import Question
from tests.support import open_database

CALLS = (
    "authserver_get_credentials('user77777@domain777.example')",
    "authserver_get_credentials('service4321')",
    "authserver_get_credentials('user77777@domain777.example', 'permission7')",
    "authserver_get_credentials('limited4321', 'permission7')",
    "authserver_get_credentials('nobody@domain5.example')",
    "authserver_check_domain('domain999.example')",
    "authserver_check_domain('elsewhere.example')",
    "authserver_resolve_alias('user77777@domain777.example', true)",
    "authserver_resolve_alias('user77777-x@domain777.example', false)",
    "authserver_resolve_alias('second.77777+x@domain777.example', false)",
    "authserver_resolve_alias('nobody@domain777.example', true)",
    "authserver_resolve_alias('nobody@elsewhere.example', true)",
    "authserver_resolve_alias('list500@domain500.example', false)",
    "authserver_resolve_alias('postmaster@domain500.example', false)",
    "authserver_resolve_alias('SRS0=abcd=AA=e.example=joe@domain500.example', false)",
    "authserver_resolve_alias('SRS0=abcd=AA=e.example=joe@elsewhere.example', false)",
)

FILL = """
INSERT INTO domain (id, name, srs_domain) OVERRIDING SYSTEM VALUE
    SELECT n, 'domain' || n || '.example', 'srs' || n || '.example' FROM generate_series(0, 999) n;
INSERT INTO permission (id, identifier) OVERRIDING SYSTEM VALUE SELECT n, 'permission' || n FROM generate_series(0, 999) n;
INSERT INTO account_group (id, name) OVERRIDING SYSTEM VALUE SELECT n, 'group' || n FROM generate_series(0, 999) n;
INSERT INTO group_permission SELECT g, p FROM generate_series(0, 999) g, generate_series(g % 100, 999, 100) p;
INSERT INTO alias (id, local_part, domain_id, account_uuid) OVERRIDING SYSTEM VALUE
    SELECT 3 * n + place, part || n, n % 1000, md5(n::text)::uuid
    FROM generate_series(0, 99999) n, (VALUES (0, 'user'), (1, 'second.'), (2, 'x-user')) v (place, part);
INSERT INTO account (uuid, identifier, password_hash, is_admin, primary_alias_id)
    SELECT md5(n::text)::uuid, 'user' || n, '$6$x$x', n = 99999, 3 * n FROM generate_series(0, 99999) n;
INSERT INTO account_permission SELECT md5(n::text)::uuid, n % 10 FROM generate_series(0, 99999) n;
INSERT INTO group_member SELECT n % 1000, md5(n::text)::uuid FROM generate_series(0, 99999) n;
INSERT INTO service_user (id, username, account_uuid, password_hash, generated, limited) OVERRIDING SYSTEM VALUE
    SELECT 2 * n + place, name || n, md5(n::text)::uuid, '$6$x$x', true, place = 1
    FROM generate_series(0, 9999) n, (VALUES (0, 'service'), (1, 'limited')) v (place, name);
INSERT INTO service_user_permission SELECT 2 * n + 1, 7 FROM generate_series(0, 9999) n;
INSERT INTO mailing_list (id, name) OVERRIDING SYSTEM VALUE SELECT n, 'list' || n FROM generate_series(0, 4999) n;
INSERT INTO mailing_list_member SELECT l, 'member' || n || '@elsewhere.example'
    FROM generate_series(0, 4999) l, generate_series(1, 20) n;
INSERT INTO alias (id, local_part, domain_id, mailing_list_id) OVERRIDING SYSTEM VALUE
    SELECT 300000 + n, 'list' || n, n % 1000, n FROM generate_series(0, 4999) n;
ANALYZE;
"""


@pytest.fixture(scope="module")
def large_url(postgres: EmbeddedPostgres, module_database_url: str) -> str:
    """A database with 100,000 accounts in it, written without checking each reference."""
    connection: Any = psycopg2.connect(postgres.url(module_database_url.split("/")[3].split("?")[0], "postgres"))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET search_path = authd; SET session_replication_role = replica")
            cursor.execute(FILL)
    finally:
        connection.close()
    return module_database_url


async def sequential_scans(db: Database, call: str, times: int) -> dict[str, int]:
    """The tables that `times` calls in one transaction have read from end to end, and how often."""
    async with db.transaction() as tx:
        for _ in range(times):
            await tx.fetch_all(f"SELECT * FROM {call}")
        return dict(await tx.fetch_all("SELECT relname::text, seq_scan FROM pg_stat_xact_user_tables WHERE seq_scan > 0"))


@pytest.mark.parametrize("list_result", ["address", "members"])
async def test_no_function_reads_a_table_from_end_to_end(large_url: str, list_result: spapi.ListResult) -> None:
    async with open_database(large_url, pool_size=1) as db:
        await spapi.install(db, list_result=list_result)
        for call in CALLS:
            assert await sequential_scans(db, call, 8) == {}, call
        assert await sequential_scans(db, "authserver_iterate_users()", 1) != {}


async def test_the_forwarder_reads_no_table_from_end_to_end(large_url: str) -> None:
    questions = [Question(Path(f"{part}{number}", f"domain{number}.example"), Path("user100", f"domain{number}.example"))
                 for number in range(100, 200) for part in ("user", "list", "nobody")]
    async with open_database(large_url, pool_size=1) as db, db.transaction() as tx:
        for _ in range(8):
            facts = await routing.resolve(tx, questions)
        assert all(fact.sender.is_ours for fact in facts.values())
        kinds = [resolved.kind for resolved in facts[questions[0]].resolved.values()]
        assert kinds[:3] == [Kind.ACCOUNT, Kind.LIST, Kind.UNKNOWN]
        assert await tx.fetch_all("SELECT relname::text FROM pg_stat_xact_user_tables WHERE seq_scan > 0") == []


async def test_every_function_takes_less_than_a_millisecond(large_url: str) -> None:
    async with open_database(large_url, pool_size=1) as db:
        for call in CALLS:
            times = [await execution_time(db, call) for _ in range(25)]
            assert min(times) < 1.0, f"{call}: {min(times)} ms"


async def execution_time(db: Database, call: str) -> float:
    """Milliseconds, as the server measured them."""
    row = await db.fetch_one(f"EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM {call}")
    assert row is not None
    plan: Any = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return float(plan[0]["Execution Time"])


async def test_every_mailbox_is_found(large_url: str) -> None:
    async with open_database(large_url, pool_size=1) as db:
        assert await db.fetch_one("SELECT count(*) FROM authserver_iterate_users()") == (100_000,)
