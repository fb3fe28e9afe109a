"""What mail servers get to read: each row of the table of resolution, logins, installation and grants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg2
import pytest

from authd.embedded import EmbeddedPostgres
from authd.errors import NotFound
from authd.sql import spapi
from authd.sql.database import Database, SessionOptions
from authd.sql.migrate import migrate
from tests.fixtures.mail import (
    SECRET_HASH,
    add_account,
    add_alias,
    add_domain,
    add_list,
    add_service_user,
    grant,
)
from tests.support import open_database

VERBATIM = (
    "SELECT * FROM authserver_resolve_alias($1, TRUE);",
    "SELECT * FROM authserver_check_domain($1);",
    "SELECT * FROM authserver_resolve_alias($1, FALSE);",
    "SELECT creds.primary_alias AS username, creds.password AS password "
    "FROM authserver_resolve_alias($1, FALSE) AS res, authserver_get_credentials(res.alias) AS creds;",
    "SELECT creds.primary_alias AS user, creds.password AS password FROM authserver_resolve_alias('%{user}', FALSE) AS res, "
    "authserver_get_credentials(res.alias, 'imap') AS creds;",
)


async def populate(db: Database) -> None:
    """A small host with one of everything."""
    await add_domain(db, "example.com", srs_domain="srs.example.com")
    await add_domain(db, "bare.example")
    await add_domain(db, "all.example", redirect_to="example.com", mode="all")
    await add_domain(db, "box.example", redirect_to="keeper@elsewhere.example", mode="all")
    await add_domain(db, "rest.example", redirect_to="alice@example.com", mode="rest")
    admin = await add_account(db, "Root@example.com", admin=True)
    alice = await add_account(db, "alice@example.com", "a.smith@example.com", "two-part@example.com", "!old@example.com",
                              "alice@rest.example", "!gone@rest.example", "!blocked@all.example", "known@all.example")
    await add_account(db, "two@example.com")
    await add_account(db, "asleep@example.com", "asleep@rest.example", active=False)
    await add_account(db, "nohash@example.com", password_hash=None)
    await add_account(db, "careful@example.com", service_users_only=True)
    await add_account(db, None, "homeless@example.com")
    await add_list(db, "team@example.com", "alice@example.com", "bob@elsewhere.example")
    await add_list(db, "quiet@example.com", "alice@example.com", blocked=True)
    await grant(db, alice, "imap")
    await grant(db, admin, "imap", through_group="staff")
    await grant(db, alice, "smtp")
    await add_service_user(db, "printer", alice)
    await add_service_user(db, "phone", alice, limited_to=("imap", "docker"))
    homeless = await add_account(db, None, identifier="nobody")
    await add_service_user(db, "lost", homeless)
    sleeper = await add_account(db, "sleeper@example.com", active=False)
    await add_service_user(db, "dozing", sleeper)


@pytest.fixture(scope="module")
def host_url(module_database_url: str) -> str:
    """A database with the small host in it."""
    async def fill() -> None:
        async with open_database(module_database_url) as db:
            await populate(db)

    asyncio.run(fill())
    return module_database_url


@asynccontextmanager
async def host(url: str) -> AsyncIterator[Database]:
    """The database as a mail server's connection sees it: without authd's search_path."""
    async with open_database(url, pool_size=2, options=SessionOptions(search_path="public")) as db:
        yield db


async def resolve(db: Database, address: str, to_virtmail: bool) -> list[str]:
    rows = await db.fetch_all("SELECT * FROM public.authserver_resolve_alias(%(address)s, %(to_virtmail)s)",
                              {"address": address, "to_virtmail": to_virtmail})
    return [row[0] for row in rows]


@pytest.mark.parametrize(("address", "plain", "virtual"), [
    ("alice@example.com", "alice@example.com", "virtmail"),
    ("ALICE@Example.COM", "alice@example.com", "virtmail"),
    ("root@example.com", "Root@example.com", "virtmail"),
    ("a.smith@example.com", "alice@example.com", "alice@example.com"),
    ("A.Smith@example.com", "alice@example.com", "alice@example.com"),
    ("alice-list@example.com", "alice@example.com", "alice@example.com"),
    ("alice+shop-2@example.com", "alice@example.com", "alice@example.com"),
    ("two-part@example.com", "alice@example.com", "alice@example.com"),
    ("two-parts@example.com", "two@example.com", "two@example.com"),
    ("two-part+x@example.com", "two@example.com", "two@example.com"),
    ("alice@rest.example", "alice@example.com", "alice@example.com"),
    ("team@example.com", "team@example.com", "virtmail"),
    ("Team+x@example.com", "Team+x@example.com", "virtmail"),
    ("anybody@all.example", "@all.example", "virtmail"),
    ("known@all.example", "@all.example", "virtmail"),
    ("blocked-x@ALL.example", "@all.example", "virtmail"),
    ("blocked@all.example", None, None),
    ("anybody@box.example", "keeper@elsewhere.example", "virtmail"),
    ("anybody@rest.example", "alice@example.com", "virtmail"),
    ("gone@rest.example", None, None),
    ("gone+x@rest.example", None, None),
    ("asleep@rest.example", None, None),
    ("SRS0=abcd=AA=elsewhere.example=joe@example.com", "SRS0=abcd=AA=elsewhere.example=joe@example.com", "virtmail"),
    ("srs1+abcd=a.example==xyz=AA=b.example=joe@all.example", "srs1+abcd=a.example==xyz=AA=b.example=joe@all.example",
     "virtmail"),
    ("srs0-abcd=AA=e.example=joe@srs.example.com", "srs0-abcd=AA=e.example=joe@srs.example.com", "virtmail"),
    ("postmaster@example.com", "Root@example.com", "Root@example.com"),
    ("PostMaster@bare.example", "Root@example.com", "Root@example.com"),
    ("postmaster@rest.example", "alice@example.com", "virtmail"),
    ("postmaster@elsewhere.example", None, None),
    ("old@example.com", None, None),
    ("old-x@example.com", None, None),
    ("quiet@example.com", None, None),
    ("asleep@example.com", None, None),
    ("homeless@example.com", None, None),
    ("nobody@example.com", None, None),
    ("someone@srs.example.com", None, None),
    ("someone@elsewhere.example", None, None),
    ("SRS0=abcd=AA=elsewhere.example=joe@elsewhere.example", None, None),
    ("+x@example.com", None, None),
])
async def test_resolution(host_url: str, address: str, plain: str | None, virtual: str | None) -> None:
    async with host(host_url) as db:
        assert await resolve(db, address, False) == ([] if plain is None else [plain])
        assert await resolve(db, address, True) == ([] if virtual is None else [virtual])


@pytest.mark.parametrize("address", [
    "", "@", "alice", "alice@", "@example.com", "alice@@example.com", "a@alice@example.com", "x" * 300,
    "x" * 300 + "@all.example", "alice@example.com\n", "alice @example.com", " alice@example.com", "äöü@example.com",
    "alice@exämple.com", "alice@example.com.", "alice@.example.com", "%", "'", "\\", "alice@example.com@"])
async def test_what_is_no_address_gives_no_row_and_no_error(host_url: str, address: str) -> None:
    async with host(host_url) as db:
        for to_virtmail in (False, True):
            assert await resolve(db, address, to_virtmail) == []
        assert await db.fetch_all("SELECT * FROM authserver_check_domain(%(text)s)", {"text": address}) == []
        assert await db.fetch_all("SELECT * FROM authserver_get_credentials(%(text)s)", {"text": address}) == []
        assert await db.fetch_all("SELECT * FROM authserver_get_credentials(%(text)s, 'imap')", {"text": address}) == []


@pytest.mark.parametrize("call", [
    "authserver_resolve_alias(NULL)", "authserver_resolve_alias('alice@example.com', NULL)", "authserver_check_domain(NULL)",
    "authserver_get_credentials(NULL)", "authserver_get_credentials('alice@example.com', NULL)",
    "authserver_get_credentials(NULL, 'imap')"])
async def test_null_gives_no_row(host_url: str, call: str) -> None:
    async with host(host_url) as db:
        assert await db.fetch_all(f"SELECT * FROM {call}") == []


async def credentials(db: Database, *arguments: str) -> list[tuple[Any, ...]]:
    names = {f"a{number}": argument for number, argument in enumerate(arguments)}
    call = ", ".join(f"%({name})s" for name in names)
    return await db.fetch_all(f"SELECT * FROM authserver_get_credentials({call})", names)


@pytest.mark.parametrize(("login", "primary"), [
    ("alice@example.com", "alice@example.com"), ("ALICE@example.com", "alice@example.com"),
    ("a.smith@Example.com", "alice@example.com"), ("old@example.com", "alice@example.com"),
    ("blocked@all.example", "alice@example.com"), ("homeless@example.com", None),
    ("printer", "alice@example.com"), ("Printer", "alice@example.com")])
async def test_who_can_log_in(host_url: str, login: str, primary: str | None) -> None:
    async with host(host_url) as db:
        assert await credentials(db, login) == [(login, SECRET_HASH, primary)]


@pytest.mark.parametrize("login", [
    "asleep@example.com", "nohash@example.com", "careful@example.com", "team@example.com", "nobody@example.com",
    "alice+x@example.com", "phone", "lost", "dozing", "nobody", "Root", "alice"])
async def test_who_cannot_log_in(host_url: str, login: str) -> None:
    async with host(host_url) as db:
        assert await credentials(db, login) == []


@pytest.mark.parametrize(("login", "permission", "passes"), [
    ("alice@example.com", "imap", True), ("alice@example.com", "smtp", True), ("alice@example.com", "docker", False),
    ("root@example.com", "imap", True), ("root@example.com", "smtp", False), ("two@example.com", "imap", False),
    ("alice@example.com", "IMAP", False), ("alice@example.com", "", False), ("alice@example.com", "nothing", False),
    ("printer", "imap", True), ("printer", "docker", False), ("phone", "imap", True), ("phone", "smtp", False),
    ("phone", "docker", False), ("dozing", "imap", False)])
async def test_permissions(host_url: str, login: str, permission: str, passes: bool) -> None:
    async with host(host_url) as db:
        assert bool(await credentials(db, login, permission)) is passes


async def test_domains(host_url: str) -> None:
    async with host(host_url) as db:
        for asked, answer in (("example.com", [("example.com",)]), ("Example.COM", [("example.com",)]),
                              ("all.example", [("all.example",)]), ("elsewhere.example", []), ("srs.example.com", [])):
            assert await db.fetch_all("SELECT * FROM authserver_check_domain(%(name)s)", {"name": asked}) == answer


async def test_every_mailbox_then_every_redirected_domain(host_url: str) -> None:
    async with host(host_url) as db:
        rows = [row[0] for row in await db.fetch_all("SELECT userid FROM authserver_iterate_users()")]
    assert sorted(rows[:-3]) == ["Root@example.com", "alice@example.com", "careful@example.com", "nohash@example.com",
                                 "two@example.com"]
    assert rows[-3:] == ["@all.example", "@box.example", "@rest.example"]


async def test_the_order_of_columns(host_url: str) -> None:
    columns = {"authserver_get_credentials('x')": "username password primary_alias",
               "authserver_get_credentials('x', 'y')": "username password primary_alias",
               "authserver_resolve_alias('x')": "alias", "authserver_iterate_users()": "userid"}
    connection: Any = psycopg2.connect(host_url)
    try:
        with connection.cursor() as cursor:
            for call, names in columns.items():
                cursor.execute(f"SELECT * FROM {call} LIMIT 0")
                assert [column.name for column in cursor.description] == names.split()
                assert {column.type_code for column in cursor.description} == {1043}  # varchar
    finally:
        connection.close()


def test_a_mail_servers_role_sees_the_functions_and_nothing_else(postgres: EmbeddedPostgres, host_url: str) -> None:
    name = host_url.split("/")[3].split("?")[0]
    role = f"mail-{name} \"server\""
    administer(postgres, name, f"CREATE ROLE {quoted(role)}")
    try:
        async def prepare() -> None:
            async with open_database(host_url) as db:
                assert not await spapi.may_execute(db, role)
                await spapi.grant(db, [role])
                await spapi.grant(db, [role])
                assert await spapi.may_execute(db, role)

        asyncio.run(prepare())
        connection: Any = psycopg2.connect(postgres.url(name, "postgres"))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"SET ROLE {quoted(role)}")
                for number, query in enumerate(VERBATIM):
                    cursor.execute(f"PREPARE q{number} AS {query}" if "$1" in query else query)
                for number, answer in enumerate(["virtmail", None, "alice@example.com", "alice@example.com"]):
                    cursor.execute(f"EXECUTE q{number} ('alice@example.com')")
                    assert [row[0] for row in cursor.fetchall()] == ([] if answer is None else [answer])
                for denied in ("SELECT * FROM authd.account", "SELECT authd.resolve_recipient('a', 'b')",
                               "SELECT * FROM authd.spapi_credentials('alice@example.com', NULL)"):
                    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                        cursor.execute(denied)
        finally:
            connection.close()

        async def take_away() -> None:
            async with open_database(host_url) as db:
                await spapi.revoke(db, [role])
                assert not await spapi.may_execute(db, role)

        asyncio.run(take_away())
    finally:
        administer(postgres, name, f"DROP ROLE {quoted(role)}")


async def test_unknown_roles_are_named(host_url: str) -> None:
    async with open_database(host_url) as db:
        for role in ("nobody-here", "public", "PUBLIC", "authd; DROP TABLE account", ""):
            for action in (spapi.grant(db, ["authd", role]), spapi.revoke(db, [role]), spapi.may_execute(db, role)):
                with pytest.raises(NotFound, match="no role"):
                    await action


async def test_nothing_is_granted_to_public_and_the_search_path_is_pinned(host_url: str) -> None:
    async with open_database(host_url) as db:
        rows = await db.fetch_all(
            "SELECT p.proname, p.prosecdef, p.proconfig, n.nspname, "
            "EXISTS (SELECT FROM aclexplode(p.proacl) WHERE grantee = 0), p.proacl IS NULL "
            "FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
            "WHERE n.nspname = 'public' AND p.proname LIKE 'authserver%%' "
            "OR n.nspname = 'authd' AND p.proname IN ('resolve_recipient', 'spapi_credentials', 'spapi_list_result')")
    assert len(rows) == 8
    for name, definer, configuration, schema, public, default in rows:
        assert definer is (schema == "public"), name
        assert configuration == ["search_path=authd, pg_temp"], name
        assert not public and not default, name


async def test_installation_is_idempotent_and_keeps_the_choice_for_lists(database_url: str) -> None:
    async with open_database(database_url) as db:
        await populate(db)
        assert (await spapi.installation(db)).is_complete
        await asyncio.gather(*(spapi.install(db) for _ in range(4)))
        assert await resolve(db, "team@example.com", False) == ["team@example.com"]
        await spapi.install(db, list_result="members")
        assert await resolve(db, "team@example.com", False) == ["alice@example.com", "bob@elsewhere.example"]
        assert await resolve(db, "team@example.com", True) == ["virtmail"]
        rows = await db.fetch_all(VERBATIM[3].replace("$1", "'team@example.com'"))
        assert rows == [("alice@example.com", SECRET_HASH)]
        await spapi.install(db)
        await migrate(db)
        assert len(await resolve(db, "team@example.com", False)) == 2
        await spapi.install(db, list_result="address")
        assert await resolve(db, "team@example.com", False) == ["team@example.com"]


PREDECESSOR = """
CREATE FUNCTION public.authserver_resolve_alias(a text, b boolean DEFAULT false) RETURNS SETOF text LANGUAGE sql AS 'SELECT a';
CREATE FUNCTION public.authserver_check_domain(varchar) RETURNS varchar LANGUAGE sql AS 'SELECT NULL::varchar';
REVOKE ALL ON FUNCTION public.authserver_check_domain(varchar) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.authserver_check_domain(varchar) TO pg_monitor;
"""


async def test_the_predecessors_functions_are_replaced_only_on_purpose(empty_database_url: str) -> None:
    async with open_database(empty_database_url) as db:
        await db.execute(PREDECESSOR)
        await migrate(db)
        await migrate(db)
        now = await spapi.installation(db)
        assert not now.is_complete and len(now.foreign) == len(now.functions) == 2
        assert await resolve(db, "alice@example.com", False) == ["alice@example.com"]
        with pytest.raises(NotFound, match="not installed"):
            await spapi.grant(db, ["authd"])
        assert not await spapi.may_execute(db, "pg_monitor")
        assert len((await spapi.install(db)).foreign) == 2
        assert (await spapi.installation(db)).is_complete and not (await spapi.installation(db)).foreign
        assert await spapi.may_execute(db, "pg_monitor")
        await populate(db)
        assert await resolve(db, "a.smith@example.com", False) == ["alice@example.com"]


async def test_a_migration_grants_to_the_configured_roles_that_exist(
        empty_database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_database(empty_database_url) as db:
        for _ in range(2):
            caplog.clear()
            await migrate(db, spapi_roles=["pg_monitor", "not-yet", "pg_signal_backend"])
            [warning] = [record for record in caplog.records if record.name.startswith("authd")]
            assert warning.levelname == "WARNING"
            assert warning.getMessage().startswith("spapi.roles: PostgreSQL has no role 'not-yet'; ")
            assert await spapi.may_execute(db, "pg_monitor") and await spapi.may_execute(db, "pg_signal_backend")
        await spapi.revoke(db, ["pg_monitor"])
        await migrate(db)
        assert not await spapi.may_execute(db, "pg_monitor")


async def test_a_migration_grants_nothing_on_the_predecessors_functions(empty_database_url: str) -> None:
    async with open_database(empty_database_url) as db:
        await db.execute(PREDECESSOR)
        await migrate(db, spapi_roles=["pg_signal_backend"])
        assert "pg_signal_backend" not in {role for item in (await spapi.installation(db)).functions for role in item.roles}


async def test_functions_of_a_newer_authd_stay(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_database(database_url) as db:
        monkeypatch.setattr(spapi, "__version__", "99.0.0")
        assert await spapi.install_after_migration(db) is None
        monkeypatch.undo()
        await migrate(db)
        mark = await db.fetch_one("SELECT obj_description('authd.resolve_recipient(text, text)'::regprocedure, 'pg_proc')")
        assert mark is not None and mark[0].startswith("authd 99.0.0 ")


async def test_blocked_list_and_unset_primary_address(database_url: str) -> None:
    async with open_database(database_url) as db:
        await add_domain(db, "example.com")
        account = await add_account(db, "x@example.com")
        await add_alias(db, "y@example.com", account=account)
        await db.execute("UPDATE account SET primary_alias_id = NULL")
        assert await resolve(db, "y@example.com", False) == []
        assert await resolve(db, "postmaster@example.com", True) == []


def administer(server: EmbeddedPostgres, database: str, statement: str) -> None:
    connection: Any = psycopg2.connect(server.url(database, "postgres"))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def quoted(role: str) -> str:
    return '"' + role.replace('"', '""') + '"'
