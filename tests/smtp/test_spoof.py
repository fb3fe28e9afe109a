"""Mail from outside that claims to be ours gets no signature of ours, whatever way it takes through us (smtp.md section 4).

Real listeners on a real database, in the order that an administrator might wrongly build (the forwarder's mail leaves
through the signer) and in the documented one (our users' mail is signed at submission, before the forwarder).
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from authd.config.values import Downstream, Endpoint, Mapping
from authd.keys.cipher import Cipher
from authd.keys.generate import new_key
from authd.keys.store import KeyStore
from authd.smtp.grammar import Path
from authd.smtp.list_senders import ListSenders
from authd.smtp.signer import SignerListener
from authd.smtp.spool import Spools
from authd.sql import keys as key_rows
from authd.sql.database import Database
from tests.fixtures import mail
from tests.fixtures.dkim import verified
from tests.smtp.forwarding import SETTINGS, SRS, populate, running_forwarder, text
from tests.smtp.support import NOW, Sink, Source, connected, running_sink
from tests.sql.people import add_domain
from tests.support import open_database

EVE = "eve@evil.example"
ANN = "ann@example.com"
RETURN_PATH = str(SRS.forward(Path("joe", "elsewhere.example"), "example.com", NOW).sender)
SENDERS = [EVE, ANN, "Ann@EXAMPLE.com", "", RETURN_PATH, "srs1+abcd=evil.example==xy=zz=a.example=eve@example.com",
           "bounces@example.com", "BOUNCES@Example.com"]
FROMS = [
    b"From: ann@example.com", b"FROM: ANN@EXAMPLE.COM", b"from:<ann@example.com>", b"From: Ann <ann@mail.example.com>",
    b"From: ann@example.com\r\nFrom: ann@example.com", b"From: ann@example.com\r\nFrom: eve@evil.example",
    b"From: eve@evil.example, ann@example.com", b"From: Us: ann@example.com;",
    b"From: (eve@evil.example) ann@example.com (x (y))",
    b"From: =?utf-8?q?ann=40example=2Ecom?= <ann@example.com>", b"From: =?utf-8?q?ann=40example=2Ecom?= <eve@evil.example>",
    b'From: "eve@evil.example" <ann@example.com>', b'From: "ann@example.com" <eve@evil.example>',
    b'From: "<eve@evil.example>,"@example.com', b'From: "a\\"b" <ann@example.com>', b"From:\r\n ann\r\n @example.com",
    b"From: <@evil.example:ann@example.com>", b"From: <>", b"From:", b"Sender: ann@example.com", b"From : ann@example.com",
    b"From: ann@example.com\r\nSender: ann@example.com\r\nAuthd-Forwarded: 1",
    b"From: ann@example.com\r\nDKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=rsa; h=from; bh=x; b=y",
]
OUTWARDS = {
    "a list": "far@example.com", "a list that has new_mailfrom": "all@example.com", "a list's extension": "far+x@example.com",
    "upper case": "FAR@EXAMPLE.COM", "a redirect": "anybody@gone.example", "catch-all": "anybody@rest.example",
    "a list behind a redirect": "far@old.example", "the way back of SRS": RETURN_PATH}


@dataclass
class Pipeline:
    """`forwarder` and `submission`: clients of the two; `sink`: what has left for other hosts; `keys`: what signs."""

    db: Database
    forwarder: Source
    submission: Source
    sink: Sink
    local: Sink
    keys: KeyStore

    async def verdicts(self, content: bytes) -> list[bool]:
        """dkimpy's on our signatures of a message."""
        ours = await self.keys.dkim_keys("example.com")
        assert ours is not None
        return verified(content, *ours.keys)


@asynccontextmanager
async def signer_before(db: Database, keys: KeyStore, port: int) -> AsyncIterator[SignerListener]:
    signer = SignerListener(Mapping(Endpoint("127.0.0.1", 0), Endpoint("127.0.0.1", port)), SETTINGS, keys,
                            ListSenders(db, lambda: NOW), spools=Spools(SETTINGS), now=lambda: NOW)
    await signer.start()
    try:
        yield signer
    finally:
        await signer.stop(1)


@asynccontextmanager
async def pipeline(database_url: str, *, signs_last: bool) -> AsyncIterator[Pipeline]:
    """The documented pipeline; with `signs_last` what the forwarder sends elsewhere goes through a signer too."""
    async with open_database(database_url) as db, running_sink(Sink()) as sink, running_sink(Sink()) as local:
        await populate(db)
        await mail.add_domain(db, "rest.example", redirect_to="keeper@far.example", mode="rest")
        domain = await add_domain(db, "example.com")
        await db.execute("UPDATE domain SET dkim_subdomains = true WHERE id = %(id)s", {"id": domain})
        for algorithm, selector in (("RSA-2048", "rsa"), ("Ed25519", "ed")):
            await key_rows.insert(db, new_key("dkim", algorithm, selector, Cipher()), domain_id=domain, now=NOW)
        keys = KeyStore(db, Cipher(), lambda: NOW)
        async with signer_before(db, keys, sink.port) as last:
            relay = Downstream("127.0.0.1", last.address[1] if signs_last else sink.port)
            async with (running_forwarder(db, Downstream("127.0.0.1", local.port), relay) as forwarder,
                        signer_before(db, keys, forwarder.address[1]) as first, connected(forwarder.address) as client,
                        connected(first.address) as user):
                yield Pipeline(db, client, user, sink, local, keys)


def ours(content: bytes) -> int:
    """How many signatures stand before the first Received, where we put them."""
    return content.partition(b"Received:")[0].count(b"DKIM-Signature:")


async def sent(client: Source, content: bytes, sender: str, *recipients: str) -> str:
    await client.command("RSET")
    return await client.send(content, sender, recipients)


@pytest.mark.parametrize("way", OUTWARDS)
async def test_forwarded_mail_is_never_signed(database_url: str, way: str) -> None:
    async with pipeline(database_url, signs_last=True) as site:
        for number, (sender, field) in enumerate(itertools.product(SENDERS, FROMS), 1):
            content = field + b"\r\nSubject: %d\r\n\r\nPay me.\r\n" % number
            assert (await sent(site.forwarder, content, sender, OUTWARDS[way])).startswith("250"), (sender, field)
            assert site.sink.delivered[-1].content.endswith(content)
        assert len(site.sink.delivered) >= len(SENDERS) * len(FROMS)
        assert [one.content for one in site.sink.delivered if ours(one.content)] == []
        senders = {text(one.mail) for one in site.sink.delivered}
        assert not any("evil.example" in sender and "=" not in sender for sender in senders), senders

        # The same signer signs what is not forwarded: the silence above is no accident.
        assert await sent(site.forwarder, b"From: ann@example.com\r\n\r\n", ANN, "bob@example.net") == "250 2.0.0 delivered"
        assert ours(site.sink.delivered[-1].content) == 2
        assert await site.verdicts(site.sink.delivered[-1].content) == [True, True]


async def test_senders_of_lists_and_of_srs_are_not_signed_even_without_our_mark(database_url: str) -> None:
    """Whoever stands between forwarder and signer may have removed the field."""
    async with pipeline(database_url, signs_last=True) as site:
        for sender in SENDERS[3:]:
            reply = await sent(site.submission, b"From: ann@example.com\r\n\r\n", sender, "bob@example.net")
            assert reply == "250 2.0.0 delivered"
        assert [ours(one.content) for one in site.sink.delivered] == [0] * len(SENDERS[3:])


@pytest.mark.parametrize("blocked", [
    "blocked@example.com", "Blocked+x@EXAMPLE.com", "asleep@example.com", "nobody@example.com"])
async def test_what_is_blocked_does_not_leave(database_url: str, blocked: str) -> None:
    async with pipeline(database_url, signs_last=True) as site:
        for sender in SENDERS:
            assert (await sent(site.forwarder, b"From: ann@example.com\r\n\r\n", sender, blocked)).startswith("550 5.")
        assert site.sink.delivered == site.local.delivered == []


@pytest.mark.parametrize("signs_last", [False, True])
@pytest.mark.parametrize("recipient", ["far@example.com", "all@example.com", "anybody@gone.example", "anybody@rest.example"])
async def test_our_users_own_list_mail_is_signed_at_submission_and_stays_valid(database_url: str, recipient: str,
                                                                               signs_last: bool) -> None:
    content = b"From: Ann <ann@example.com>\r\nTo: list@example.com\r\nSubject: hello\r\n\r\nHello,  all.\r\n.\r\n"
    async with pipeline(database_url, signs_last=signs_last) as site:
        assert (await sent(site.submission, content, ANN, recipient)).startswith("250")
        assert site.sink.delivered
        for one in [*site.sink.delivered, *site.local.delivered]:
            assert one.content.count(b"DKIM-Signature:") == 2 and one.content.endswith(content)
            assert await site.verdicts(one.content) == [True, True]
        has_list_id = any(b"List-Id: <all.example.com>" in one.content for one in site.local.delivered)
        assert has_list_id is (recipient == "all@example.com")


async def test_a_forged_mark_costs_only_the_signature(database_url: str) -> None:
    async with pipeline(database_url, signs_last=False) as site:
        content = b"From: ann@example.com\r\nAuthd-Forwarded: 0123\r\n\r\nHello.\r\n"
        assert await sent(site.submission, content, ANN, "far@example.com") == "250 2.0.0 Ok"
        assert [ours(one.content) for one in site.sink.delivered] == [0]
        assert site.sink.delivered[0].content.endswith(content)
