"""Dovecot asks authd through the `checkpassword` program, as its passdb and as its userdb."""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.http.support import PASSWORD
from tests.installation import NAME, Installation, installation
from tests.support import ROOT, require_program

pytestmark = pytest.mark.peer("Dovecot")

MANUAL = (ROOT / "docs" / "how-to" / "dovecot.md").read_text(encoding="utf-8")
PROGRAM = "/usr/bin/checkpassword -m checkpassword -u https://auth.example.com --jwtkey /etc/authd/jwt.pem"

# What stands around the manual's example. anvil would make failed logins wait for longer and longer.
CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols =
auth_failure_delay = 0
ssl = no
{example}
service auth {{
  user = {user}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


def example(authd: Installation) -> str:
    """The manual's passdb and userdb, with our program and user in place of the installed ones."""
    blocks: list[str] = re.findall(r"^```\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)
    [text] = [block for block in blocks if "driver = checkpassword" in block]
    assert text.count(PROGRAM) == 2
    text = text.replace(PROGRAM, " ".join(authd.command("checkpassword")))
    return text.replace("uid=vmail gid=vmail", "uid=65534 gid=65534")


class Dovecot:
    """A running Dovecot without any protocol: only its authentication."""

    def __init__(self, configuration: Path) -> None:
        self._configuration = configuration

    def doveadm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [require_program("doveadm"), "-c", str(self._configuration), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


@pytest.fixture(scope="module")
def authd(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("daemon"), module_database_url) as installed:
        assert installed.code("init") == 0
        yield installed


@pytest.fixture(scope="module")
def dovecot(authd: Installation) -> Iterator[Dovecot]:
    program = require_program("dovecot")
    folder = Path(tempfile.mkdtemp(prefix="authd-dovecot-", dir="/tmp"))
    folder.chmod(0o755)
    configuration = folder / "dovecot.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, example=example(authd), user=Path.home().owner()))
    print("dovecot", subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip())
    subprocess.run([program, "-c", configuration], check=True, timeout=20)
    server = Dovecot(configuration)
    try:
        deadline = time.monotonic() + 10
        while not (folder / "run" / "auth-client").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield server
        print((folder / "dovecot.log").read_text().splitlines()[-1])
    finally:
        server.doveadm("stop")
        shutil.rmtree(folder, ignore_errors=True)


def test_the_right_password_and_the_primary_address(dovecot: Dovecot) -> None:
    done = dovecot.doveadm("auth", "test", "Alice@EXAMPLE.com", PASSWORD)
    assert done.returncode == 0, done.stdout
    assert "auth succeeded" in done.stdout
    assert f"user={NAME}" in done.stdout


@pytest.mark.parametrize(("name", "password"), [(NAME, "wrong"), (NAME, ""), ("nobody@example.com", PASSWORD)])
def test_what_is_not_right(dovecot: Dovecot, name: str, password: str) -> None:
    done = dovecot.doveadm("auth", "test", name, password)
    assert done.returncode == 77
    assert "temp_fail" not in done.stdout


def test_names_are_looked_up_without_a_password(dovecot: Dovecot) -> None:
    assert dovecot.doveadm("user", NAME).returncode == 0
    assert dovecot.doveadm("user", "nobody@example.com").returncode == 67


def test_a_problem_is_no_wrong_password(authd: Installation) -> None:
    """What Dovecot takes for temporary is the exit code 111."""
    gone = replace(authd, url="https://localhost:9")
    assert gone.code("checkpassword", "--djb-exit-codes", "true", fd3=f"{NAME}\0{PASSWORD}\0") == 111
    assert authd.code("checkpassword", "--djb-exit-codes", "true", fd3=f"{NAME}\0wrong\0") == 1
    assert authd.code("checkpassword", "--djb-exit-codes", "true", fd3=f"{NAME}\0{PASSWORD}\0") == 0
