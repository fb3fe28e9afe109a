"""authctl spapi: exit codes and words."""

import asyncio
from pathlib import Path

import pytest

from authd.sql.migrate import migrate
from tests.sql.authctl import Authctl
from tests.sql.test_spapi import PREDECESSOR
from tests.support import open_database


@pytest.fixture
def authctl(database_url: str, tmp_path: Path) -> Authctl:
    return Authctl(database_url, tmp_path)


def test_check_grant_and_revoke(authctl: Authctl) -> None:
    assert authctl.said("spapi", "check") == authctl.said("spapi", "check", "--installed") == "installed\n"
    assert authctl.code("spapi", "check", "--grant", "pg_monitor") == 1
    assert authctl.json("spapi", "grant", "pg_monitor", "pg_signal_backend", "--dry-run")[0]["outcome"] == "changed"
    assert authctl.code("spapi", "check", "--grant", "pg_monitor") == 1
    assert authctl.twice("spapi", "grant", "pg_monitor", "pg_signal_backend") == ("changed", "unchanged")
    assert authctl.code("spapi", "check", "--grant", "pg_monitor") == 0
    assert authctl.twice("spapi", "revoke", "pg_monitor") == ("changed", "unchanged")
    assert authctl.code("spapi", "check", "--grant", "pg_monitor") == 1
    assert authctl.json("spapi", "check", "--grant", "pg_signal_backend") == {"role": "pg_signal_backend", "holds": True}


@pytest.mark.parametrize("role", ["nobody-here", "public", 'a"; DROP SCHEMA authd', "%s"])
def test_an_unknown_role_is_a_clear_error(authctl: Authctl, role: str) -> None:
    for arguments in (["grant", role], ["revoke", role], ["check", "--grant", role]):
        result = authctl.run("spapi", *arguments)
        assert result.exit_code == 1
        assert "PostgreSQL has no role" in result.stderr


def test_install_grants_to_the_configured_roles(authctl: Authctl) -> None:
    with authctl.config.open("a") as file:
        file.write('[spapi]\nroles = ["pg_monitor"]\n')
    for _ in range(2):
        assert authctl.said("spapi", "install") == "installed\n"
        assert authctl.code("spapi", "check", "--grant", "pg_monitor") == 0


def test_the_cut_over_from_the_predecessor(empty_database_url: str, tmp_path: Path) -> None:
    async def prepare() -> None:
        async with open_database(empty_database_url) as db:
            await db.execute(PREDECESSOR)
            await migrate(db)

    asyncio.run(prepare())
    authctl = Authctl(empty_database_url, tmp_path)
    assert authctl.code("spapi", "check") == 1
    assert "not installed" in authctl.run("spapi", "grant", "pg_monitor").stderr
    assert "would install" in authctl.said("spapi", "install", "--dry-run")
    assert authctl.code("spapi", "check") == 1
    assert "in place of public.authserver_check_domain" in authctl.said("spapi", "install")
    assert authctl.code("spapi", "check") == 0
