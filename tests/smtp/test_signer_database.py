"""The signer with its keys and lists in a real database: changes, and the database going away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from authd.config.settings import SmtpSettings
from authd.config.values import Endpoint, Mapping
from authd.keys.cipher import Cipher
from authd.keys.generate import new_key
from authd.keys.store import KeyStore
from authd.smtp.list_senders import LIFE, ListSenders
from authd.smtp.signer import SignerListener
from authd.smtp.spool import Spools
from authd.sql import keys as sql
from authd.sql.database import Credentials, Database
from tests.smtp.support import Sink, connected, running_sink
from tests.sql.people import Clock, add_domain
from tests.support import open_database

PLAIN = Cipher()
SETTINGS = SmtpSettings(hostname="mx.example.com")
DELIVERED = "250 2.0.0 delivered"
UNAVAILABLE = "451 4.3.0 Temporarily unavailable, try again later"


@asynccontextmanager
async def signing(db: Database, sink: Sink, clock: Clock) -> AsyncIterator[tuple[SignerListener, KeyStore]]:
    store = KeyStore(db, PLAIN, clock)
    mapping = Mapping(Endpoint("127.0.0.1", 0), Endpoint("127.0.0.1", sink.port))
    signer = SignerListener(mapping, SETTINGS, store, ListSenders(db, clock), spools=Spools(SETTINGS), now=clock)
    await signer.start()
    try:
        yield signer, store
    finally:
        await signer.stop(1)


async def test_keys_and_lists_in_the_database(database_url: str) -> None:
    clock = Clock()
    async with (open_database(database_url) as db, running_sink(Sink()) as sink, signing(db, sink, clock) as (signer, store),
                connected(signer.address) as client):
        assert await client.send() == DELIVERED
        assert signer.counts.unsigned == {"no_key": 1}

        domain = await add_domain(db, "example.com")
        for algorithm, selector in (("Ed25519", "new"), ("RSA-2048", "old")):
            key = new_key("dkim", algorithm, selector, PLAIN)
            await sql.insert(db, key, domain_id=domain, now=clock())
        store.forget()
        assert await client.send() == DELIVERED
        signed = sink.delivered[-1].content
        assert signed.index(b"s=old;") < signed.index(b"s=new;")

        await db.execute("INSERT INTO mailing_list (name, new_mailfrom) VALUES ('staff', 'Ann@Example.com')")
        clock.advance(seconds=LIFE.total_seconds())
        assert await client.send() == DELIVERED
        assert b"DKIM" not in sink.delivered[-1].content and signer.counts.unsigned["list_sender"] == 1


async def test_without_the_database_nothing_leaves_unsigned(database_url: str) -> None:
    clock = Clock()
    async with (open_database(database_url) as db, running_sink(Sink()) as sink, signing(db, sink, clock) as (signer, store),
                connected(signer.address) as client):
        domain = await add_domain(db, "example.com")
        await sql.insert(db, new_key("dkim", "RSA-2048", "s", PLAIN), domain_id=domain, now=clock())
        assert await client.send() == DELIVERED
        db.replace_credentials(Credentials("postgresql://authd@127.0.0.1:1/authd"))
        assert await client.send() == DELIVERED  # what was read is good for a moment
        store.forget()
        assert await client.send() == UNAVAILABLE
        db.replace_credentials(Credentials(database_url))
        assert await client.send() == DELIVERED
        assert signer.counts.signed == 3 and not signer.counts.unsigned
        assert all(b"DKIM-Signature" in message.content for message in sink.delivered)
