"""The `checkpassword` program against a real daemon over TLS: the exit codes that Apache and Dovecot decide by."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.daemon import free_port
from tests.http.support import PASSWORD
from tests.installation import NAME, Installation, installation


@pytest.fixture(scope="module")
def daemon(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("daemon"), module_database_url) as installed:
        yield installed


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
