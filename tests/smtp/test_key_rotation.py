"""The signer while its keys change in the database: by the clock, by other processes, and to what it cannot use."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from authd.config.settings import SmtpSettings
from authd.config.values import Endpoint, Mapping
from authd.keys.cipher import Cipher
from authd.keys.dkim_record import record, record_name
from authd.keys.facts import NewKey
from authd.keys.generate import new_key
from authd.keys.store import KeyStore
from authd.smtp.list_senders import ListSenders
from authd.smtp.signer import SignerListener
from authd.smtp.spool import Spools
from authd.sql import keys as sql
from authd.sql.changes import Changes
from authd.sql.database import Database
from tests.fixtures.dkim import verdicts
from tests.smtp.support import MESSAGE, Sink, Source, connected, running_sink
from tests.sql.authctl import Authctl
from tests.sql.people import Clock, add_domain
from tests.support import open_database

SETTINGS = SmtpSettings(hostname="mx.example.com")
SEALING = Cipher([b"k" * 32])
DELIVERED = "250 2.0.0 delivered"
UNAVAILABLE = "451 4.3.0 Temporarily unavailable, try again later"
HOUR = timedelta(hours=1)


class Host:
    """A signer before a sink, with a client that has greeted, on a database that has the domain example.com."""

    def __init__(self, db: Database, sink: Sink, client: Source, store: KeyStore, domain: int,
                 now: Callable[[], datetime]) -> None:
        self.db, self.sink, self.client, self.store, self.domain, self.now = db, sink, client, store, domain, now

    async def add(self, selector: str, algorithm: str = "Ed25519", *, cipher: Cipher = SEALING, **moments: Any) -> NewKey:
        """A key of the domain, made and stored as authctl does."""
        key = new_key("dkim", algorithm, selector, cipher)
        await sql.insert(self.db, key, domain_id=self.domain, now=self.now(), **moments)
        return key

    async def selectors(self) -> list[str]:
        """Sends a message; the selectors of the signatures that it got, from the top."""
        assert await self.client.send() == DELIVERED
        header = self.sink.delivered[-1].content.partition(b"\r\n\r\n")[0]
        fields = header.replace(b"\r\n\t", b" ").split(b"\r\n")
        return [dict(tag.strip().split("=", 1) for tag in field.decode().partition(":")[2].split(";"))["s"]
                for field in fields if field.startswith(b"DKIM-Signature:")]


@asynccontextmanager
async def signing(url: str, now: Callable[[], datetime], *, cipher: Cipher = SEALING) -> AsyncIterator[Host]:
    async with open_database(url) as db, running_sink(Sink()) as sink:
        domain = await add_domain(db, "example.com")
        store = KeyStore(db, cipher, now)
        mapping = Mapping(Endpoint("127.0.0.1", 0), Endpoint("127.0.0.1", sink.port))
        signer = SignerListener(mapping, SETTINGS, store, ListSenders(db, now), spools=Spools(SETTINGS), now=now)
        await signer.start()
        try:
            async with connected(signer.address) as client:
                yield Host(db, sink, client, store, domain, now)
        finally:
            await signer.stop(1)


def verified(message: bytes, keys: Sequence[NewKey]) -> list[bool]:
    """What dkimpy thinks of each signature, from the top, if the keys are published."""
    published = {}
    for key in keys:
        public_key: Any = load_der_public_key(key.public_key)
        published[f"{record_name(str(key.selector), 'example.com')}.".encode()] = record(public_key).encode()
    return verdicts(message, published)


async def test_keys_of_every_kind_sign_one_message(database_url: str) -> None:
    async with signing(database_url, Clock()) as host:
        keys = [await host.add(*pair) for pair in (
            ("ed1", "Ed25519"), ("r4096", "RSA-4096"), ("r2048", "RSA-2048"), ("ed2", "Ed25519"), ("r3072", "RSA-3072"))]
        assert await host.selectors() == ["r4096", "r2048", "r3072", "ed1", "ed2"]
        message = host.sink.delivered[-1].content
        assert message.endswith(MESSAGE)
        assert verified(message, keys) == [True] * 5
        tampered = message.replace(b"Hello Bob", b"Hello Rob")
        assert verified(tampered, keys) == [False] * 5


async def test_next_active_retired_by_the_clock_alone(database_url: str) -> None:
    """Nothing is told and nothing restarted: the moments are in the rows."""
    clock = Clock()
    async with signing(database_url, clock) as host:
        await host.add("one")
        await host.add("two", active_from=clock() + HOUR)
        number = int((await sql.keys_of_domain(host.db, host.domain))[0].id)
        await sql.schedule(host.db, number, active_from=clock(), retired_at=clock() + HOUR, published_until=clock() + 2 * HOUR)
        assert await host.selectors() == ["one"]
        clock.advance(seconds=3599)
        assert await host.selectors() == ["one"]
        clock.advance(seconds=1)
        assert await host.selectors() == ["two"]
        await sql.retire(host.db, number + 1, retired_at=clock() + timedelta(seconds=30), published_until=None)
        clock.advance(seconds=60)
        assert await host.selectors() == []


@pytest.mark.parametrize("change", ["added", "replaced", "removed"])
async def test_another_processs_change_counts_after_60_seconds_at_most(database_url: str, change: str) -> None:
    """As if the notice had been lost."""
    clock = Clock()
    async with signing(database_url, clock) as host, open_database(database_url) as other:
        await host.add("one")
        assert await host.selectors() == ["one"]
        async with other.transaction() as tx:
            if change != "added":
                await tx.execute("DELETE FROM signing_key")
            if change != "removed":
                await sql.insert(tx, new_key("dkim", "Ed25519", "two", SEALING), domain_id=host.domain, now=clock())
        clock.advance(seconds=59)
        assert await host.selectors() == ["one"]
        clock.advance(seconds=1)
        assert await host.selectors() == {"added": ["one", "two"], "replaced": ["two"], "removed": []}[change]


async def test_another_processs_change_is_told(database_url: str, tmp_path: Path) -> None:
    """authctl, in a process of its own: the signer that runs signs by the new key within a second of its end."""
    authctl = Authctl(database_url, tmp_path)
    told = asyncio.Event()

    async def ran(*arguments: str) -> None:
        told.clear()
        program = Path(sys.executable).with_name("authctl")
        process = await asyncio.create_subprocess_exec(
            program, "-c", authctl.config, *arguments, stdout=asyncio.subprocess.PIPE)
        output = (await process.communicate())[0]
        assert process.returncode == 0, output
        await asyncio.wait_for(told.wait(), 1)

    async with signing(database_url, lambda: datetime.now(UTC)) as host:
        changes = Changes(host.db)
        changes.subscribe("keys", host.store.forget)
        changes.subscribe("keys", told.set)
        changes.start()
        await asyncio.wait_for(changes.listening.wait(), 10)
        try:
            assert await host.selectors() == []
            await ran("domain", "edit", "example.com", "--create-key", "dkim", "--dkim-selector", "one")
            assert await host.selectors() == ["one"]
            await ran("domain", "rotate-key", "example.com", "--selector", "two", "--algorithm", "RSA-3072")
            assert await host.selectors() == ["one"]
            await ran("domain", "rotate-key", "example.com", "--activate")
            assert await host.selectors() == ["two"]
            await ran("domain", "rotate-key", "example.com", "--selector", "ed", "--algorithm", "Ed25519")
            await ran("domain", "rotate-key", "example.com", "--activate", "--algorithm", "Ed25519")
            assert await host.selectors() == ["two", "ed"]
            await ran("domain", "edit", "example.com", "--remove-key", "dkim")
            assert await host.selectors() == []
        finally:
            await changes.stop()


@pytest.mark.parametrize("fault", [
    "UPDATE signing_key SET cipher_key = '0000000000000000' WHERE selector = 'ed'",
    "UPDATE signing_key SET private_key = set_byte(private_key, 40, get_byte(private_key, 40) # 1) WHERE selector = 'ed'",
    "UPDATE signing_key SET cipher_key = NULL WHERE selector = 'ed'",
    "UPDATE signing_key SET private_key = 'nonsense' WHERE selector = 'ed'",
    "ALTER TABLE signing_key RENAME TO gone",
], ids=["key file lacks it", "altered", "not sealed", "nonsense", "database error"])
async def test_a_key_that_cannot_be_used_defers_mail(database_url: str, fault: str) -> None:
    """Also where another key of the domain could sign. Nothing goes out unsigned, or signed in part."""
    async with signing(database_url, Clock()) as host:
        await host.add("rsa", "RSA-2048")
        await host.add("ed")
        assert await host.selectors() == ["rsa", "ed"]
        await host.db.execute(fault)
        host.store.forget()
        for _ in range(2):
            assert await host.client.send() == UNAVAILABLE
        assert len(host.sink.delivered) == 1
        assert await host.client.send(MESSAGE.replace(b"ann@example.com", b"ann@example.net"), "ann@example.net") == (
            UNAVAILABLE if "RENAME" in fault else DELIVERED)
