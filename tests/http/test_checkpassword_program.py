"""The `checkpassword` program against a real daemon over TLS: the exit codes that Apache and Dovecot decide by."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from authd.keys.cipher import Cipher
from authd.keys.generate import new_key
from authd.sql import keys as key_rows
from tests.daemon import free_port, running_daemon, wait_until_ready
from tests.descriptors import with_descriptor_3
from tests.http.support import PASSWORD, add_account
from tests.support import ROOT, open_database
from tests.tls import Authority, make_authority

PROGRAM = ROOT / "tools" / "checkpassword.py"
NAME = "alice@example.com"


@dataclass(frozen=True)
class Installation:
    """The program as an administrator sets it up for a daemon."""

    url: str
    authority: Authority
    key_file: Path

    def run(self, mode: str, *options: str, stdin: str = "", fd3: str | None = None) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, str(PROGRAM), "-m", mode, "-u", self.url, "--jwtkey", str(self.key_file),
                   "--ca-file", str(self.authority.ca_file), *options]
        if fd3 is not None:
            command = with_descriptor_3(command, fd3.encode())
        return subprocess.run(command, input=stdin.encode(), capture_output=True, timeout=20, check=False)

    def code(self, mode: str, *options: str, stdin: str = "", fd3: str | None = None) -> int:
        return self.run(mode, *options, stdin=stdin, fd3=fd3).returncode


async def prepare(url: str) -> None:
    async with open_database(url) as database:
        await add_account(database, "alice", address=NAME, permissions=["imap", "staff"])
        row = await database.fetch_one("INSERT INTO domain (name) VALUES ('localhost') RETURNING id")
        assert row is not None
        before = datetime.now(UTC) - timedelta(minutes=1)
        await key_rows.insert(database, new_key("jwt", "RSA-2048", None, Cipher()), domain_id=row[0], now=before)


@pytest.fixture(scope="module")
def daemon(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    asyncio.run(prepare(module_database_url))
    folder = tmp_path_factory.mktemp("daemon")
    authority = make_authority(folder)
    port = free_port()
    text = f'[http]\ntls_certificate = "{authority.certificate}"\ntls_key = "{authority.key}"\n'
    with running_daemon(folder, module_database_url, text, port=port, ready=False) as process:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(authority.ca_file))
            wait_until_ready(process, f"https://localhost:{port}/health/ready/")
        yield Installation(f"https://localhost:{port}", authority, folder / "jwt.pem")


@pytest.fixture
def installed(daemon: Installation) -> Installation:
    """With the key fetched."""
    assert daemon.code("init") == 0
    return daemon


def test_init_and_check(daemon: Installation, tmp_path: Path) -> None:
    fresh = replace(daemon, key_file=tmp_path / "key.pem")
    assert fresh.code("check") == 0
    assert not fresh.key_file.exists()
    assert fresh.code("init") == 0
    assert fresh.key_file.read_text().startswith("-----BEGIN PUBLIC KEY-----\n")
    assert fresh.code("check") == 0
    certificate = replace(daemon, key_file=tmp_path / "cert.pem")
    assert certificate.code("init", "-f", "cert") == 0
    assert certificate.key_file.read_text().startswith("-----BEGIN CERTIFICATE-----\n")
    assert certificate.code("check") == 0
    assert certificate.code("authext", stdin=f"{NAME}\n{PASSWORD}\n") == 0
    assert fresh.code("check", "--domain", "example.com") == 1
    assert fresh.code("check", "--domain", "example.net") == 1


def test_authext(installed: Installation) -> None:
    assert installed.code("authext", stdin=f"{NAME}\n{PASSWORD}\n") == 0
    assert installed.code("authext", "-s", "imap", "-s", "staff", stdin=f"{NAME}\n{PASSWORD}\n") == 0
    assert installed.code("authext", "-s", "docker", stdin=f"{NAME}\n{PASSWORD}\n") == 1
    assert installed.code("authext", stdin=f"{NAME}\nwrong\n") == 1
    assert installed.code("authext", stdin=f"{NAME}\n\n") == 1
    assert installed.code("authext", stdin=f"nobody@example.com\n{PASSWORD}\n") == 1


def test_checkpassword(installed: Installation) -> None:
    done = installed.run("checkpassword", "sh", "-c", 'echo "$USER"', fd3=f"ALICE@example.com\0{PASSWORD}\0")
    assert (done.returncode, done.stdout) == (0, f"{NAME}\n".encode())
    done = installed.run("checkpassword", "echo", "started", fd3=f"{NAME}\0not that\0")
    assert (done.returncode, done.stdout) == (1, b"")


def test_authextgroup(installed: Installation) -> None:
    assert installed.code("authextgroup", stdin=f"{NAME}\nadmins staff\n") == 0
    assert installed.code("authextgroup", stdin=f"{NAME}\nadmins\n") == 1
    assert installed.code("authextgroup", stdin="nobody@example.com\nstaff\n") == 1


def test_a_closed_port(installed: Installation) -> None:
    closed = replace(installed, url=f"https://localhost:{free_port()}")
    for mode in ("check", "authext", "authextgroup"):
        assert closed.code(mode, stdin=f"{NAME}\n{PASSWORD}\n") == 2
    assert closed.code("checkpassword", "true", fd3=f"{NAME}\0{PASSWORD}\0") == 2
    assert closed.code("checkpassword", "--djb-exit-codes", "true", fd3=f"{NAME}\0{PASSWORD}\0") == 111


def test_a_password_reaches_no_log(daemon: Installation) -> None:
    log = (daemon.key_file.parent / "authd.log").read_text()
    assert PASSWORD not in log
    assert json.dumps(PASSWORD) not in log
    assert "Traceback" not in log
