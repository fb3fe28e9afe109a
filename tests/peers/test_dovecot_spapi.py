"""Dovecot reads accounts through SPAPI: with the query of installed systems, and with the one that the manual gives."""

import getpass
import grp
import imaplib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from authd.embedded import EmbeddedPostgres
from authd.identity.crypt import generated_secret, hash_password
from authd.sql.database import Database
from tests.daemon import free_port
from tests.fixtures.mail import SECRET_HASH, add_account, add_domain, add_list, add_service_user, grant
from tests.peers.mail_role import MailRole, mail_role
from tests.peers.programs import listens
from tests.support import ROOT, require_program

pytestmark = pytest.mark.peer("Dovecot")

NOBODY = 65534
MANUAL = ROOT / "docs" / "how-to" / "dovecot.md"
INSTALLED = ("password_query = SELECT creds.primary_alias AS user, creds.password AS password "
             "FROM authserver_resolve_alias('%{user}', FALSE) AS res, "
             "authserver_get_credentials(res.alias, 'imap') AS creds;")

# anvil would make failed logins wait for longer and longer.
CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
auth_failure_delay = 0
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail/%Lu
first_valid_uid = 0
passdb {{
  driver = sql
  args = {folder}/sql.conf
}}
userdb {{
  driver = sql
  args = {folder}/sql.conf
  override_fields = uid={mail_uid} gid={mail_gid} home={folder}/mail/%Lu
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""

# What Dovecot needs where it is not started by root: one user for everything, and no chroot.
WITHOUT_ROOT = """
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
service imap-login {{
  chroot =
}}
service anvil {{
  chroot =
}}
"""


class Dovecot:
    """A running Dovecot that speaks IMAP on `port`."""

    def __init__(self, folder: Path, port: int, query: str) -> None:
        self.folder = folder
        self.port = port
        self.query = query

    def doveadm(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [require_program("doveadm"), "-c", str(self.folder / "dovecot.conf"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    def user_of(self, login: str, password: str) -> str | None:
        """Whose mailbox the login opens; None if it is refused. Anything else than these two fails."""
        done = self.doveadm("auth", "test", login, password)
        assert "temp_fail" not in done.stdout, done.stdout
        if done.returncode != 0:
            assert done.returncode == 77, done.stdout
            return None
        match = re.search(r"user=(\S+)", done.stdout)
        assert match is not None
        return match[1]


def from_manual(name: str) -> str:
    """A setting of the manual's example, with its continuation lines."""
    match = re.search(rf"^{name} = (?:.*\\\n)*.*$", MANUAL.read_text(encoding="utf-8"), re.MULTILINE)
    assert match is not None, name
    return match[0]


async def populate(db: Database) -> None:
    await add_domain(db, "example.com")
    async def may_read_mail(account: UUID) -> UUID:
        await grant(db, account, "imap", through_group=str(account))
        return account

    alice = await may_read_mail(await add_account(db, "alice@example.com", "a.smith@example.com", "!old@example.com"))
    await may_read_mail(await add_account(db, "asleep@example.com", active=False))
    await may_read_mail(await add_account(db, "careful@example.com", service_users_only=True))
    await add_account(db, "without@example.com")
    await add_list(db, "team@example.com", "alice@example.com")
    await add_service_user(db, "printer", alice)
    await add_service_user(db, "phone", alice, limited_to=("imap",))
    await add_service_user(db, "registry", alice, limited_to=("docker",))
    for name, stored in HASHES.items():
        await may_read_mail(await add_account(db, f"{name}@example.com", password_hash=stored))


GENERATED, GENERATED_HASH = generated_secret()
HASHES = {
    "sha256": SECRET_HASH,
    "sha512": hash_password("secret", "sha512crypt"),
    "yescrypt": hash_password("secret", "yescrypt"),
    "bcrypt": "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
    "generated": GENERATED_HASH,
}


@pytest.fixture(scope="module")
def role(postgres: EmbeddedPostgres, module_database_url: str) -> Iterator[MailRole]:
    with mail_role(postgres, module_database_url, populate) as made:
        yield made


@pytest.fixture(scope="module", params=["installed", "manual"])
def dovecot(request: pytest.FixtureRequest, role: MailRole) -> Iterator[Dovecot]:
    program = require_program("dovecot")
    folder = Path(tempfile.mkdtemp(prefix="authd-dovecot-", dir="/tmp"))
    folder.chmod(0o755)
    server = Dovecot(folder, free_port(), request.param)
    uid, gid = (NOBODY, NOBODY) if os.getuid() == 0 else (os.getuid(), os.getgid())
    (folder / "mail").mkdir()
    os.chown(folder / "mail", uid, gid)
    text = CONFIGURATION.format(folder=folder, port=server.port, mail_uid=uid, mail_gid=gid)
    if os.getuid() != 0:
        text += WITHOUT_ROOT.format(user=getpass.getuser(), group=grp.getgrgid(gid).gr_name)
    (folder / "dovecot.conf").write_text(text)
    password_query = INSTALLED if request.param == "installed" else from_manual("password_query")
    (folder / "sql.conf").write_text("\n".join([
        f"driver = pgsql\nconnect = {role.conninfo}\ndefault_pass_scheme = CRYPT", password_query,
        from_manual("user_query"), from_manual("iterate_query"), ""]))
    subprocess.run([program, "-c", folder / "dovecot.conf"], check=True, timeout=20)
    try:
        deadline = time.monotonic() + 10
        while not (folder / "run" / "auth-client").exists() or not listens(server.port):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield server
    finally:
        server.doveadm("stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("login", ["alice@example.com", "ALICE@Example.com", "a.smith@example.com"])
def test_who_gets_in(dovecot: Dovecot, login: str) -> None:
    assert dovecot.user_of(login, "secret") == "alice@example.com"
    assert dovecot.user_of(login, "wrong") is None


@pytest.mark.parametrize(("login", "query"), [
    ("printer", "manual"), ("phone", "manual"), ("old@example.com", "manual"), ("alice-x@example.com", "installed")])
def test_who_gets_in_with_one_of_the_queries(dovecot: Dovecot, login: str, query: str) -> None:
    assert dovecot.user_of(login, "secret") == ("alice@example.com" if dovecot.query == query else None)


@pytest.mark.parametrize("login", ["asleep@example.com", "careful@example.com", "without@example.com", "registry",
                                   "team@example.com", "nobody@example.com", "nobody", "x'; DROP TABLE account --@example.com"])
def test_who_does_not(dovecot: Dovecot, login: str) -> None:
    assert dovecot.user_of(login, "secret") is None


@pytest.mark.parametrize("scheme", HASHES)
def test_every_scheme_of_hashes(dovecot: Dovecot, scheme: str) -> None:
    password = GENERATED if scheme == "generated" else "secret"
    assert dovecot.user_of(f"{scheme}@example.com", password) == f"{scheme}@example.com"
    assert dovecot.user_of(f"{scheme}@example.com", password + "x") is None


def test_a_session_over_imap(dovecot: Dovecot) -> None:
    """An alias, and a service user where it is known, come to the account's mailbox."""
    logins = ["a.smith@example.com", "alice@example.com", *(["phone"] if dovecot.query == "manual" else [])]
    for expected, login in enumerate(logins):
        with imaplib.IMAP4("127.0.0.1", dovecot.port) as imap:
            imap.login(login, "secret")
            assert imap.select("INBOX") == ("OK", [b"%d" % expected])
            imap.append("INBOX", "", "", b"Subject: hello\r\n\r\nhello\r\n")
    with imaplib.IMAP4("127.0.0.1", dovecot.port) as imap, pytest.raises(imaplib.IMAP4.error):
        imap.login("asleep@example.com", "secret")


def test_mailboxes_are_looked_up_and_listed(dovecot: Dovecot) -> None:
    for address in ("alice@example.com", "a.smith@example.com", "alice-x@example.com"):
        done = dovecot.doveadm("user", "-f", "home", address)
        assert (done.returncode, Path(done.stdout.strip()).name) == (0, "alice@example.com"), done.stderr
    assert dovecot.doveadm("user", "nobody@example.com").returncode == 67
    listed = dovecot.doveadm("user", "*").stdout.split()
    assert {"alice@example.com", "without@example.com", "sha512@example.com"} <= set(listed)
    assert "asleep@example.com" not in listed
