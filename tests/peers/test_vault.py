"""Credentials for PostgreSQL from a real Vault (OpenBao): every way in, renewals, and what goes wrong with them."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest

from authd.config import Settings
from authd.config.settings import DatabaseSettings, VaultSettings
from authd.credentials import running_database
from authd.embedded import EmbeddedPostgres
from authd.errors import DatabaseUnavailable, Unavailable
from authd.sql.database import Credentials, Database, SessionOptions
from authd.vault.client import VaultClient, VaultDenied, VaultUnavailable
from authd.vault.keeper import Keeper
from tests.daemon import running_daemon
from tests.openbao import PARENT, OpenBao, running_openbao
from tests.smtp.support import until
from tests.support import open_database
from tests.tls import make_authority

pytestmark = pytest.mark.peer("OpenBao")


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    with running_openbao(tmp_path_factory.mktemp("openbao")) as server:
        yield server


@pytest.fixture
def database(bao: OpenBao, postgres: EmbeddedPostgres, database_url: str) -> str:
    """A database whose credentials live 2 s, 5 s with renewals; its URL, without anybody's name."""
    name = database_url.split("?")[0].rpartition("/")[2]
    bao.unseal()
    bao.hand_out_roles(postgres, name, seconds=2, longest=5)
    return database_url.replace("authd@", "")


def in_three_ways(bao: OpenBao, folder: Path) -> dict[str, VaultSettings]:
    """Settings for each way in."""
    token = bao.root.auth.token.create(policies=[bao.policy()], ttl="1h", no_parent=True)["auth"]["client_token"]
    authority = make_authority(folder)
    if "cert/" not in bao.root.sys.list_auth_methods()["data"]:
        bao.root.sys.enable_auth_method("cert")
    bao.root.write_data("auth/cert/certs/authd", data={
        "certificate": authority.certificate.read_text(), "token_policies": bao.policy(), "token_ttl": "1h"})
    return {"token": bao.settings(token=token), "approle": bao.settings(**bao.approle()),
            "certificate": bao.settings(certificate=authority.certificate, key=authority.key)}


@pytest.mark.parametrize("way", ["token", "approle", "certificate"])
def test_each_way_in_hands_out_credentials_that_work_and_end(way: str, bao: OpenBao, database: str, tmp_path: Path) -> None:
    settings = replace(Settings(), vault=in_three_ways(bao, tmp_path)[way], database=DatabaseSettings(url=database))
    with running_database(settings) as credentials:
        connection = psycopg2.connect(credentials.url, user=credentials.user, password=credentials.password)
        connection.close()
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(credentials.url, user=credentials.user, password=credentials.password)


def test_the_servers_authority_is_pinned_whatever_the_environment_says(
    bao: OpenBao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bao.ca))
    monkeypatch.setenv("VAULT_TOKEN", "root")
    other = make_authority(tmp_path)
    for settings in (replace(bao.settings(token="root"), ca=other.ca_file), replace(bao.settings(token="root"), ca=None)):
        with pytest.raises(VaultUnavailable, match="SSLError"):
            VaultClient(settings).log_in()
    with pytest.raises(VaultDenied):
        VaultClient(bao.settings(role_id="unknown")).log_in()
    with pytest.raises(VaultUnavailable, match="OSError"):
        VaultClient(replace(bao.settings(token="root"), ca=tmp_path / "missing.pem")).log_in()


def test_a_certificate_that_is_not_registered_is_denied(bao: OpenBao, tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    in_three_ways(bao, tmp_path / "good")
    stranger = make_authority(tmp_path / "bad")
    with pytest.raises(Unavailable):
        VaultClient(bao.settings(certificate=stranger.certificate, key=stranger.key)).log_in()


@asynccontextmanager
async def kept(url: str, settings: VaultSettings, pool_size: int = 8) -> AsyncIterator[tuple[Database, Keeper]]:
    """A database whose credentials a keeper keeps."""
    database = Database(Credentials(url), pool_size=pool_size, options=SessionOptions(role=PARENT))
    keeper = Keeper(database, lambda: VaultClient(settings))
    await keeper.start()
    try:
        yield database, keeper
    finally:
        database.close()
        await keeper.stop()


async def work(database: Database, seconds: float, users: set[str], *, meanwhile: Callable[[], object] = lambda: None) -> int:
    """Many statements and transactions at once for so long; none may fail. Returns how many were done."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    done = 0

    async def one() -> None:
        nonlocal done
        while loop.time() < until:
            async with database.transaction() as tx:
                row = await tx.fetch_one("SELECT current_user::text, pg_sleep(0.005)")
                assert row is not None and row[0] == PARENT
                users.add(database.credentials.user)
                assert await tx.execute("INSERT INTO domain (name) VALUES (gen_random_uuid()::text || '.example')") == 1
            done += 1

    workers = [asyncio.ensure_future(one()) for _ in range(16)]
    await asyncio.to_thread(meanwhile)
    await asyncio.gather(*workers)
    return done


async def test_leases_that_end_again_and_again_fail_no_statement(bao: OpenBao, database: str) -> None:
    users: set[str] = set()
    async with kept(database, bao.settings(**bao.approle())) as (db, keeper):
        done = await work(db, 8, users)
        assert await db.fetch_one("SELECT count(*) FROM domain") == (done,)
        assert keeper.status().done["renew the lease"] >= 2
        assert keeper.status().trouble == ""
    assert len(users) >= 2


async def test_a_token_with_a_short_maximum_life_is_replaced_in_time(bao: OpenBao, database: str) -> None:
    async with kept(database, bao.settings(**bao.approle(seconds=2, longest=4))) as (db, keeper):
        await work(db, 6, set())
        assert keeper.status().done["log in"] >= 2


async def test_a_vault_sealed_beyond_the_end_of_every_lease_fails_no_statement(bao: OpenBao, database: str) -> None:
    seen: list[str] = []

    async with kept(database, bao.settings(**bao.approle())) as (db, keeper):
        def seal() -> None:
            bao.seal()
            try:
                time.sleep(6)
                seen.append(keeper.status().trouble)
            finally:
                bao.unseal()

        await work(db, 10, set(), meanwhile=seal)
        assert "Vault is sealed" in seen[0]
        while keeper.status().trouble:
            await asyncio.sleep(0.05)


async def role_is_gone(database_url: str, role: str) -> None:
    """OpenBao answers a revocation before it has dropped the role."""
    async with asyncio.timeout(20), open_database(database_url, pool_size=2) as admin:
        while await admin.fetch_one("SELECT 1 FROM pg_roles WHERE rolname = %(role)s", {"role": role}):
            await asyncio.sleep(0)


async def test_a_revoked_token_fails_no_statement_even_where_more_connections_are_needed(
    bao: OpenBao, database: str, database_url: str,
) -> None:
    async with kept(database, bao.settings(**bao.approle())) as (db, keeper):
        before = db.credentials
        assert bao.revoke_tokens() >= 1
        await role_is_gone(database_url, before.user)
        await asyncio.gather(*(db.fetch_one("SELECT pg_sleep(0.05)") for _ in range(8)))
        await until(lambda: db.credentials != before)  # meanwhile the connection that is open serves all
        assert keeper.status().done["log in"] == 2


async def test_without_vault_and_connections_it_is_unavailable_in_bounded_time(bao: OpenBao, database: str) -> None:
    async with kept(database, bao.settings(**bao.approle()), pool_size=2) as (db, _):
        db.options = replace(db.options, statement_timeout=0.5)
        db.replace_credentials(replace(db.credentials, password="wrong"))
        bao.seal()
        try:
            with pytest.raises(DatabaseUnavailable):
                await db.fetch_one("SELECT 1")
        finally:
            bao.unseal()
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await db.fetch_one("SELECT 1") == (1,)
                    break
                except DatabaseUnavailable:
                    continue


def test_a_daemon_whose_vault_is_not_there_waits_says_so_and_can_be_stopped(tmp_path: Path, database: str) -> None:
    environ = {"VAULT_ADDR": "http://127.0.0.1:9", "VAULT_TOKEN": "secret-token", "VAULT_DATABASE_PATH": "database/creds/x"}
    with running_daemon(tmp_path, database, environ=environ, ready=False) as daemon:
        while "vault: cannot log in" not in daemon.log:
            assert daemon.process.poll() is None, daemon.log
        assert daemon.stop() == 0
        assert "secret-token" not in daemon.log
        assert "Traceback" not in daemon.log


def test_nothing_of_vault_is_loaded_where_it_is_not_in_use() -> None:
    code = "import sys, authd.app; sys.exit(any(name in sys.modules for name in ('hvac', 'requests')))"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0
