"""Apache asks authd through the `checkpassword` program: mod_authnz_external's AuthExternal and GroupExternal."""

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from authd.identity import crypt
from tests.daemon import free_port
from tests.http.support import PASSWORD
from tests.installation import NAME, Installation, installation
from tests.support import ROOT, missing, open_database, require_program

pytestmark = pytest.mark.peer("Apache")

MODULES = Path("/usr/lib/apache2/modules")
MANUAL = (ROOT / "docs" / "how-to" / "apache.md").read_text(encoding="utf-8")
ASSETS = 50

# What stands around the manual's example. Its MPM is the one that the manual asks for.
CONFIGURATION = """
ServerRoot {folder}
PidFile {folder}/pid
Listen 127.0.0.1:{port}
ServerName localhost
DocumentRoot {folder}/site
ErrorLog {folder}/error.log
LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_user_module {modules}/mod_authz_user.so
LoadModule auth_basic_module {modules}/mod_auth_basic.so
LoadModule authnz_external_module {modules}/mod_authnz_external.so
{example}
<Location "/admins/">
  AuthExternal authd
  GroupExternal authd
  Require external-group admins
</Location>
"""


def example(authd: Installation) -> str:
    """The manual's configuration, with our program in place of the installed one."""
    found: list[str] = re.findall(r"^```\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)
    [text] = found
    for mode in ("authext", "authextgroup"):
        theirs = f"/usr/bin/checkpassword -m {mode} -u https://auth.example.com --jwtkey /etc/authd/jwt.pem"
        assert text.count(f'"{theirs}"') == 1, mode
        text = text.replace(theirs, " ".join(authd.command(mode)))
    return text


class Apache:
    """A running Apache. `get` returns the status of an answer."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, username: str = NAME, password: str = PASSWORD) -> int:
        credentials = b64encode(f"{username}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code


@pytest.fixture(scope="module")
def authd(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("daemon"), module_database_url) as installed:
        assert installed.code("init") == 0
        yield installed


@pytest.fixture(scope="module")
def apache(authd: Installation) -> Iterator[Apache]:
    program = require_program("apache2")
    if not (MODULES / "mod_authnz_external.so").exists():
        missing("mod_authnz_external is not installed")
    folder = Path(tempfile.mkdtemp(prefix="authd-apache-", dir="/tmp"))
    folder.chmod(0o777)
    for name in ("", "staff", "admins"):
        (folder / "site" / name).mkdir()
        (folder / "site" / name / "page.html").write_text("<p>page</p>", encoding="utf-8")
    for number in range(ASSETS):
        (folder / "site" / f"{number}.css").write_text("p {}", encoding="utf-8")
    port = free_port()
    configuration = folder / "apache.conf"
    configuration.write_text(CONFIGURATION.format(
        folder=folder, port=port, modules=MODULES, example=example(authd)), encoding="utf-8")
    process = subprocess.Popen([*_unprivileged(), program, "-f", configuration, "-D", "FOREGROUND"], stderr=subprocess.DEVNULL)
    server = Apache(port)
    try:
        _wait(server, process, folder / "error.log")
        print(subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stdout.splitlines()[0])
        yield server
        print((folder / "error.log").read_text().splitlines()[-1])
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder)


def _unprivileged() -> list[str]:
    """Apache serves nobody as root. Another user may still read what root's Python consists of."""
    if os.geteuid() != 0:
        return []
    return [require_program("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+dac_override",
            "--ambient-caps=+dac_override"]


def _wait(server: Apache, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text() if log.exists() else "Apache did not start"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=2)
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("Apache does not answer")


def test_the_right_and_the_wrong_password(apache: Apache) -> None:
    assert apache.get("/page.html") == 200
    assert apache.get("/page.html", password="wrong") == 401
    assert apache.get("/page.html", password="") == 401
    assert apache.get("/page.html", username="nobody@example.com") == 401


def test_groups(apache: Apache) -> None:
    assert apache.get("/staff/page.html") == 200
    assert apache.get("/admins/page.html") == 401
    assert apache.get("/staff/page.html", password="wrong") == 401


def test_a_page_with_its_assets_costs_one_hash(apache: Apache, authd: Installation, module_database_url: str) -> None:
    """What is answered from the memory of the last minute is no login that the audit has."""
    asyncio.run(_with_another_password(module_database_url))
    assert apache.get("/page.html") == 200
    with ThreadPoolExecutor(6) as browser:
        assert set(browser.map(lambda number: apache.get(f"/{number}.css"), range(ASSETS))) == {200}
    assert asyncio.run(_logins(module_database_url)) == 1


async def _with_another_password(url: str) -> None:
    """The same one, but with a hash that nobody has verified yet."""
    async with open_database(url) as database:
        await database.execute("DELETE FROM audit")
        await database.execute(
            "UPDATE account SET password_hash = %(hash)s", {"hash": crypt.hash_password(PASSWORD, "yescrypt")})


async def _logins(url: str) -> int:
    async with open_database(url) as database:
        rows = await database.fetch_all("SELECT repeats FROM audit WHERE action = 'login.success'")
        return sum(row[0] for row in rows)
