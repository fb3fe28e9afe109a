"""OpenSMTPD before the forwarder, over LMTP and SMTP: tables from SPAPI, local delivery and the signer behind it."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from authd.config.values import Downstream
from authd.embedded import EmbeddedPostgres
from tests.peers.mail_role import MailRole, mail_role
from tests.peers.opensmtpd import OpenSmtpd, opensmtpd
from tests.peers.test_opensmtpd_tables import configuration, table_configuration
from tests.smtp.forwarding import JOE, populate, running_forwarder, text
from tests.smtp.support import Delivered, Sink, example_keys, running_signer, running_sink
from tests.support import open_database

pytestmark = pytest.mark.peer("OpenSMTPD")

BODY = "From: Ann <ann@example.com>\r\nSubject: hello\r\n\r\nHello all.\r\n"
TAKEN = ("alice@example.com", "A.Smith@example.com", "team@example.com", "x@gone.example")
REFUSED = ("nobody@example.com", "blocked@example.com", "asleep@example.com")


@pytest.fixture(scope="module")
def role(postgres: EmbeddedPostgres, module_database_url: str) -> Iterator[MailRole]:
    with mail_role(postgres, module_database_url, populate) as made:
        yield made


def offer(server: OpenSmtpd, taken: Sequence[str] = TAKEN, refused: Sequence[str] = REFUSED) -> None:
    """A transaction for everybody: some recipients are refused by OpenSMTPD itself."""
    with server.client() as client:
        client.ehlo()
        assert client.mail(JOE)[0] == 250
        assert {name: client.rcpt(name)[0] // 100 for name in (*taken, *refused)} == {
            **dict.fromkeys(taken, 2), **dict.fromkeys(refused, 5)}
        assert client.data(BODY)[0] == 250


def recipients(delivered: list[Delivered]) -> set[str]:
    return {text(recipient) for one in delivered for recipient in one.recipients}


@pytest.mark.parametrize("way", ["lmtp relay", "smtp relay", "lmtp delivery"])
async def test_from_opensmtpd_to_everybody(module_database_url: str, role: MailRole, way: str) -> None:
    """What the client claims to be from our domain is forwarded without a signature of ours."""
    local, remote = Sink(), Sink()
    others = {"keeper@far.example", "kim@far.example"}
    async with (open_database(module_database_url) as db, running_sink(local), running_sink(remote),
                running_signer(remote, example_keys()) as signer,
                running_forwarder(db, Downstream("127.0.0.1", local.port), Downstream(*signer.address)) as forwarder):
        smtpd_conf = configuration("deliver" if way == "lmtp delivery" else "forwarder", forwarder.address[1])
        if way == "smtp relay":
            smtpd_conf = smtpd_conf.replace("lmtp://", "smtp://")
        with opensmtpd(smtpd_conf, {"table.conf": table_configuration(role, installed=True)}) as server:
            await asyncio.to_thread(offer, server)
            own = {"alice@example.com"} | ({"A.Smith@example.com"} if way != "lmtp delivery" else set())
            async with asyncio.timeout(30):
                while not (own <= recipients(local.delivered) and others <= recipients(remote.delivered)):
                    await asyncio.sleep(0.02)
        assert (recipients(local.delivered), recipients(remote.delivered)) == (own, others)
        assert sum(len(one.recipients) for one in remote.delivered) == len(others)
        assert all(one.content.endswith(b"Hello all.\r\n") for one in local.delivered + remote.delivered)
        assert not any(b"DKIM-Signature" in one.content for one in local.delivered + remote.delivered)
        assert all(b"Authd-Forwarded: " in one.content for one in remote.delivered)
        assert signer.counts.signed == 0
        async with asyncio.timeout(10):  # rows go once OpenSMTPD has its answer
            while await db.fetch_all("SELECT 1 FROM delivered_copy"):
                await asyncio.sleep(0.02)


async def test_who_alone_is_refused_for_good_fails_alone(module_database_url: str, role: MailRole) -> None:
    """SMTP has one answer for both: 451 at first, then a 452 at RCPT, at which OpenSMTPD brings them apart (decision 0009)."""
    local, remote = Sink(faults={"end": ["554 5.6.0 not this one"] * 9}), Sink()
    async with (open_database(module_database_url) as db, running_sink(local), running_sink(remote),
                running_forwarder(db, Downstream("127.0.0.1", local.port), Downstream("127.0.0.1", remote.port)) as forwarder):
        smtpd_conf = configuration("forwarder", forwarder.address[1]).replace("lmtp://", "smtp://")
        with opensmtpd(smtpd_conf, {"table.conf": table_configuration(role, installed=True)}) as server:
            await asyncio.to_thread(offer, server, ["far@example.com", "alice@example.com"], [])
            async with asyncio.timeout(60):
                while not ends(server, "alice@example.com", "PermFail") or not ends(server, "far@example.com", "Ok"):
                    await asyncio.to_thread(server.try_again)
                    await asyncio.sleep(0.5)
            assert "451 4.4.0" in server.log and "452 4.5.3" in server.log
            assert not ends(server, "far@example.com", "PermFail") and not ends(server, "alice@example.com", "Ok")
    assert recipients(local.delivered) == set()
    assert sorted(text(recipient) for one in remote.delivered if text(one.mail) for recipient in one.recipients) == [
        "kim@far.example", "lee@far.example", "mia@far.example"]


def ends(server: OpenSmtpd, recipient: str, result: str) -> bool:
    """Whether that is what OpenSMTPD has made of a recipient."""
    return any(f"to=<{recipient}>" in line and f"result={result}" in line.replace('"', "") for line in server.log.splitlines())
