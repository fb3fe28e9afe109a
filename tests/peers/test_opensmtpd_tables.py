"""OpenSMTPD reads recipients through SPAPI with the queries of the manual, among them those of installed systems."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from authd.embedded import EmbeddedPostgres
from tests.fixtures.mail import SECRET_HASH
from tests.peers.mail_role import MailRole, mail_role
from tests.peers.opensmtpd import OpenSmtpd, opensmtpd
from tests.peers.table_process import Service, table_process
from tests.smtp.support import Sink, running_sink
from tests.sql.test_spapi import populate
from tests.support import ROOT, missing

pytestmark = pytest.mark.peer("OpenSMTPD")

MANUAL = (ROOT / "docs" / "how-to" / "opensmtpd.md").read_text(encoding="utf-8")
TABLE_PROGRAM = Path("/usr/libexec/opensmtpd/table-postgres")

SRS_ADDRESS = "SRS0=abcd=AA=elsewhere.example=joe@example.com"
# What is taken, and the recipient that the older way makes of it.
TAKEN = {
    "alice@example.com": "alice@example.com", "ALICE@Example.com": "ALICE@Example.com",
    "a.smith@example.com": "alice@example.com", "alice+x@example.com": "alice@example.com",
    "alice-x@example.com": "alice@example.com", "two-part@example.com": "alice@example.com",
    "team@example.com": "team@example.com", "x@all.example": "x@all.example", "x@box.example": "x@box.example",
    "postmaster@example.com": "Root@example.com", SRS_ADDRESS: SRS_ADDRESS}
REFUSED = ("nobody@example.com", "old@example.com", "asleep@example.com", "quiet@example.com", "blocked@all.example",
           "x@elsewhere.example", "homeless@example.com")


def blocks() -> list[str]:
    """The fenced examples of the manual."""
    return re.findall(r"^```\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)


def table_configuration(role: MailRole, *, installed: bool) -> str:
    """The manual's table with this role, and with the manual's or the installed query for credentials."""
    lines = next(block for block in blocks() if block.startswith("conninfo")).splitlines()
    credentials = next(block for block in blocks() if block.startswith("query_credentials")).strip()
    chosen = [line for line in lines if not line.startswith(("conninfo", "query_credentials" if installed else "-"))]
    return "\n".join([f"conninfo {role.conninfo}", *chosen, *([credentials] if installed else []), ""])


def configuration(action: str, port: int) -> str:
    """The manual's smtpd.conf that has this action, with our ports and files, and an account for virtmail."""
    text = next(block for block in blocks() if f'action "{action}"' in block)
    for ours, theirs in (("@folder@/table.conf", "/etc/smtpd/authd-table.conf"), ("127.0.0.1 port @port@", "0.0.0.0 port 25"),
                         (f"127.0.0.1:{port}", "127.0.0.1:10046"),
                         ("virtual <users> userbase <accounts>", "virtual <users>")):
        text = text.replace(theirs, ours)
    text = 'table accounts { virtmail = "65534:65534:@folder@" }\n' + text
    return text.replace("{", "{{").replace("}", "}}").replace("@folder@", "{folder}").replace("@port@", "{port}")


@pytest.fixture(scope="module")
def role(postgres: EmbeddedPostgres, module_database_url: str) -> Iterator[MailRole]:
    with mail_role(postgres, module_database_url, populate) as made:
        yield made


def offer(server: OpenSmtpd) -> list[str]:
    """Sends a message to each recipient that may be taken; those that were not."""
    refused = []
    with server.client() as client:
        client.ehlo()
        for recipient in (*TAKEN, *REFUSED):
            assert client.mail("joe@elsewhere.example")[0] == 250
            code, text = client.rcpt(recipient)
            if code == 250:
                assert client.data(f"Subject: for {recipient}\r\n\r\nhello\r\n")[0] == 250
            else:
                assert 500 <= code < 600, text
                refused.append(recipient)
                client.rset()
    return refused


@pytest.mark.parametrize("action", ["forwarder", "deliver"])
async def test_recipients(role: MailRole, action: str) -> None:
    async with running_sink(Sink()) as sink:
        with opensmtpd(configuration(action, sink.port), {"table.conf": table_configuration(role, installed=True)}) as server:
            assert await asyncio.to_thread(offer, server) == list(REFUSED)
            async with asyncio.timeout(60):
                while len(sink.delivered) < len(TAKEN):
                    await asyncio.sleep(0.02)
        arrived = {one.content.partition(b"Subject: for ")[2].partition(b"\r\n")[0].decode(): one.recipients[0]
                   for one in sink.delivered}
    expected = {given: given if action == "forwarder" else final for given, final in TAKEN.items()}
    assert {given: final.decode().strip("<>") for given, final in arrived.items()} == expected


@pytest.mark.parametrize("installed", [True, False])
def test_credentials(role: MailRole, tmp_path: Path, installed: bool) -> None:
    if not TABLE_PROGRAM.exists():
        missing("OpenSMTPD's table-postgres is not installed")
    (tmp_path / "table.conf").write_text(table_configuration(role, installed=installed))
    with table_process(TABLE_PROGRAM, tmp_path / "table.conf") as table:
        primary = f"alice@example.com:{SECRET_HASH}"
        assert table.lookup(Service.CREDENTIALS, "alice@example.com") == primary
        assert table.lookup(Service.CREDENTIALS, "a.smith@example.com") == (
            primary if installed else f"a.smith@example.com:{SECRET_HASH}")
        assert table.lookup(Service.CREDENTIALS, "printer") == (None if installed else f"printer:{SECRET_HASH}")
        for login in ("asleep@example.com", "careful@example.com", "nobody", "phone", "team@example.com"):
            assert table.lookup(Service.CREDENTIALS, login) is None
        assert table.lookup(Service.DOMAIN, "example.com") == "example.com"
        assert table.lookup(Service.DOMAIN, "elsewhere.example") is None
        assert table.lookup(Service.ALIAS, "alice@example.com") == "virtmail"
