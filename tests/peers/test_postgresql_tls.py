"""Debian's PostgreSQL with TLS and client certificates, and a list of hosts of which some do not answer."""

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from authd.config import Settings
from authd.config.settings import DatabaseSettings
from authd.credentials import configured
from authd.errors import DatabaseUnavailable
from authd.sql.database import Credentials, Database, SessionOptions
from authd.sql.migrate import migrate
from tests.daemon import free_port, running_daemon
from tests.support import missing
from tests.tls import Authority, make_authority

pytestmark = pytest.mark.peer("PostgreSQL")

HBA = """\
local all postgres trust
hostssl secured authd all cert
host open all all scram-sha-256
"""
QUICK = SessionOptions(connect_timeout=1.0)


@dataclass(frozen=True)
class Server:
    """A running server: its port on loopback, and the authority that its certificate and its clients' come from."""

    port: int
    authority: Authority


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not versions:
        missing("PostgreSQL is not installed")
    binaries = versions[-1].parent
    user = pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    folder = Path(tempfile.mkdtemp(prefix="authd-tls-", dir="/tmp"))
    identity: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}

    def run(program: str, *arguments: str) -> None:
        subprocess.run([binaries / program, *arguments], check=True, capture_output=True, cwd="/", timeout=60, **identity)

    os.chown(folder, user.pw_uid, user.pw_gid)
    data = folder / "data"
    try:
        run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        authority = make_authority(data)
        for file in data.iterdir():
            os.chown(file, user.pw_uid, user.pw_gid)
        (data / "pg_hba.conf").write_text(HBA)
        port = free_port()
        settings = {"port": str(port), "listen_addresses": "127.0.0.1", "unix_socket_directories": str(folder), "ssl": "on",
                    "ssl_ca_file": str(authority.ca_file), "ssl_cert_file": str(authority.certificate),
                    "ssl_key_file": str(authority.key), "fsync": "off"}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        run("pg_ctl", "start", "-w", "-s", "-D", str(data), "-l", str(folder / "log"), "-o", options)
        try:
            for statement in ("CREATE ROLE authd LOGIN PASSWORD 'right'", "CREATE DATABASE secured OWNER authd",
                              "CREATE DATABASE open OWNER authd"):
                run("psql", "-X", "-q", "-h", str(folder), "-p", str(port), "-U", "postgres", "-c", statement)
            yield Server(port, authority)
        finally:
            run("pg_ctl", "stop", "-w", "-s", "-m", "immediate", "-D", str(data))
    finally:
        shutil.rmtree(folder)


async def answer(credentials: Credentials, options: SessionOptions = QUICK) -> Any:
    """Whether the connection is encrypted."""
    database = Database(credentials, pool_size=2, options=options)
    try:
        row = await database.fetch_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        return row and row[0]
    finally:
        database.close()


def secured(server: Server, host: str = "localhost") -> str:
    return f"postgresql://authd@{host}:{server.port}/secured?sslmode=verify-full&sslrootcert={server.authority.ca_file}"


async def test_a_client_certificate_lets_us_in_by_url_and_by_settings(server: Server) -> None:
    certificate, key = server.authority.client_files("authd")
    assert await answer(Credentials(f"{secured(server)}&sslcert={certificate}&sslkey={key}")) is True
    database = DatabaseSettings(
        url=f"postgresql://localhost:{server.port}", name="secured", user="authd", ca=server.authority.ca_file,
        client_certificate=certificate, client_key=key)
    assert await answer(configured(replace(Settings(), database=database))) is True
    with pytest.raises(DatabaseUnavailable):
        await answer(configured(replace(Settings(), database=replace(database, client_certificate=None, client_key=None))))
    other, other_key = server.authority.client_files("somebody")
    stranger = replace(database, client_certificate=other, client_key=other_key)
    with pytest.raises(DatabaseUnavailable):
        await answer(configured(replace(Settings(), database=stranger)))


async def test_the_schema_can_be_migrated_on_debians_version(server: Server) -> None:
    certificate, key = server.authority.client_files("authd")
    database = Database(Credentials(f"{secured(server)}&sslcert={certificate}&sslkey={key}"))
    try:
        assert await migrate(database)
    finally:
        database.close()


async def test_a_daemon_with_a_client_certificate_and_two_hosts_of_which_the_first_is_down(
    server: Server, tmp_path: Path,
) -> None:
    """By the variables of the earlier system; every connection is encrypted and logs in with the certificate."""
    certificate, key = server.authority.client_files("authd")
    environ = {"DATABASE_USER": "authd", "POSTGRESQL_CA": str(server.authority.ca_file), "DB_SSLCERT": str(certificate),
               "DB_SSLKEY": str(key)}
    url = f"postgresql://localhost:{free_port()},localhost:{server.port}/secured?target_session_attrs=read-write"
    text = "[database]\nmigrate_on_start = true\n"
    with running_daemon(tmp_path, url, text, environ=environ) as daemon:
        database = Database(Credentials(f"{secured(server)}&sslcert={certificate}&sslkey={key}"))
        try:
            rows = await database.fetch_all(
                "SELECT DISTINCT ssl, client_dn FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                "WHERE datname = 'secured' AND pid <> pg_backend_pid()")
            print((await database.fetch_all("SELECT version()"))[0][0])
        finally:
            database.close()
        assert rows == [(True, "/CN=authd")]
        assert await asyncio.to_thread(daemon.stop) == 0
        assert "Traceback" not in daemon.log
    with running_daemon(tmp_path, url, text, environ=environ | {"DB_SSLCERT": str(key)}, ready=False) as daemon:
        while "waiting for the database" not in daemon.log:
            assert daemon.process.poll() is None, daemon.log
        assert await asyncio.to_thread(daemon.stop) == 0


async def test_another_authority_and_another_name_are_refused(server: Server, tmp_path: Path) -> None:
    certificate, key = server.authority.client_files("authd")
    stranger = make_authority(tmp_path)
    ours = f"&sslcert={certificate}&sslkey={key}"
    with pytest.raises(DatabaseUnavailable, match="certificate verify failed"):
        await answer(Credentials(secured(server).replace(str(server.authority.ca_file), str(stranger.ca_file)) + ours))
    with pytest.raises(DatabaseUnavailable, match="does not match host name"):
        await answer(Credentials(secured(server, "db.example.com") + "&hostaddr=127.0.0.1" + ours))


@pytest.mark.parametrize("mode", ["", "disable", "allow", "prefer", "require"])
async def test_a_wrong_password_is_refused_at_once_in_every_mode(mode: str, server: Server) -> None:
    url = f"postgresql://authd:wrong@localhost:{server.port}/open" + (f"?sslmode={mode}" if mode else "")
    begin = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="authentication failed"):
        await answer(Credentials(url), SessionOptions(connect_timeout=5.0))
    assert time.monotonic() - begin < 4


def several(server: Server, *others: int, query: str = "") -> Credentials:
    hosts = ",".join(f"localhost:{port}" for port in (*others, server.port))
    return Credentials(f"postgresql://authd:right@{hosts}/open?{query}")


async def test_of_two_hosts_the_first_is_down(server: Server) -> None:
    assert await answer(several(server, free_port(), query="target_session_attrs=read-write&sslmode=require")) is True
    assert await answer(several(server, free_port())) is True


async def test_of_two_hosts_the_first_is_silent(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert await answer(several(server, silent.getsockname()[1])) is True


async def test_a_name_that_does_not_resolve_holds_nobody_up(server: Server) -> None:
    url = f"postgresql://authd:right@nowhere.invalid:{server.port},localhost:{server.port}/open"
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.ensure_future(tick())
    found = await answer(Credentials(url))
    ticking.cancel()
    assert found is True
    assert ticks > 0


async def test_the_kind_of_host_that_is_wanted(server: Server) -> None:
    down = free_port()
    with pytest.raises(DatabaseUnavailable):
        await answer(several(server, down, query="target_session_attrs=standby"))
    for kind in ("prefer-standby", "primary", "any"):
        assert await answer(several(server, down, query=f"target_session_attrs={kind}&load_balance_hosts=random")) is True


async def test_hosts_and_ports_that_do_not_match_are_named() -> None:
    with pytest.raises(DatabaseUnavailable, match="3 hosts, but 2 values of port"):
        await answer(Credentials("host=a,b,c port=1,2 dbname=x"))
