"""The `checkpassword` program as an administrator installs it for a real daemon with TLS."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from authd.keys.cipher import Cipher
from authd.keys.generate import new_key
from authd.sql import keys as key_rows
from tests.daemon import free_port, running_daemon, wait_until_ready
from tests.descriptors import with_descriptor_3
from tests.http.support import add_account
from tests.support import ROOT, open_database
from tests.tls import Authority, make_authority

PROGRAM = ROOT / "tools" / "checkpassword.py"
NAME = "alice@example.com"


@dataclass(frozen=True)
class Installation:
    """How the program is called: the daemon's URL, the authority behind its certificate, and the key file."""

    url: str
    authority: Authority
    key_file: Path

    def command(self, mode: str, *options: str) -> list[str]:
        """The command line; a program to start comes last in `options`."""
        return [sys.executable, str(PROGRAM), "-m", mode, "-u", self.url, "--jwtkey", str(self.key_file),
                "--ca-file", str(self.authority.ca_file), *options]

    def run(self, mode: str, *options: str, stdin: str = "", fd3: str | None = None) -> subprocess.CompletedProcess[bytes]:
        """Runs it with these inputs."""
        command = with_descriptor_3(self.command(mode, *options), None if fd3 is None else fd3.encode())
        return subprocess.run(command, input=stdin.encode(), capture_output=True, timeout=20, check=False)

    def code(self, mode: str, *options: str, stdin: str = "", fd3: str | None = None) -> int:
        """Its exit code."""
        return self.run(mode, *options, stdin=stdin, fd3=fd3).returncode


@contextmanager
def installation(folder: Path, database_url: str) -> Iterator[Installation]:
    """A daemon on a fresh database whose auth domain is localhost and whose account alice holds imap and staff."""
    asyncio.run(_prepare(database_url))
    authority = make_authority(folder)
    port = free_port()
    text = f'[http]\ntls_certificate = "{authority.certificate}"\ntls_key = "{authority.key}"\n'
    with running_daemon(folder, database_url, text, port=port, ready=False) as process:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(authority.ca_file))
            wait_until_ready(process, f"https://localhost:{port}/health/ready/")
        yield Installation(f"https://localhost:{port}", authority, folder / "jwt.pem")


async def _prepare(url: str) -> None:
    async with open_database(url) as database:
        await add_account(database, "alice", address=NAME, permissions=["imap", "staff"])
        row = await database.fetch_one("INSERT INTO domain (name) VALUES ('localhost') RETURNING id")
        assert row is not None
        before = datetime.now(UTC) - timedelta(minutes=1)
        await key_rows.insert(database, new_key("jwt", "RSA-2048", None, Cipher()), domain_id=row[0], now=before)
