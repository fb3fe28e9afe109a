"""A forwarder under test: on a real database, between a client and two sinks, one for local delivery and one for the rest."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from authd.config.settings import ForwarderSettings, SmtpSettings
from authd.config.values import Downstream, Endpoint
from authd.smtp.forwarder import ForwarderListener, rules_of
from authd.smtp.mail_store import MailStore
from authd.smtp.spool import Spools
from authd.smtp.srs import Srs
from authd.sql.database import Database
from tests.fixtures.mail import add_account, add_domain, add_list
from tests.smtp.support import NOW, Delivered, Sink, Source, connected, running_sink
from tests.support import open_database

SRS = Srs([b"a secret"])
SETTINGS = SmtpSettings(hostname="mx.example.com")
JOE = "joe@elsewhere.example"


async def populate(db: Database) -> None:
    """Some accounts, lists and redirects at example.com and its friends."""
    await add_domain(db, "example.com")
    await add_domain(db, "old.example", redirect_to="example.com", mode="all")
    await add_domain(db, "gone.example", redirect_to="keeper@far.example", mode="all")
    await add_domain(db, "bulk.example", transactional=True)
    await add_account(db, "root@example.com", admin=True)
    owner = await add_account(db, "owner@example.com")
    await add_account(db, "alice@example.com", "a.smith@example.com", "!blocked@example.com")
    await add_account(db, "bob@example.com")
    await add_account(db, "asleep@example.com", active=False)
    await add_list(db, "team@example.com", "alice@example.com", "kim@far.example", owner=owner)
    await add_list(db, "far@example.com", "kim@far.example", "lee@far.example", "mia@far.example", owner=owner)
    await add_list(db, "all@example.com", "team@example.com", "bob@example.com", "far@example.com", headers=True,
                   new_mailfrom="bounces@example.com", owner=owner)
    await add_list(db, "dead@example.com", "asleep@example.com", "nobody@example.com")


@dataclass
class Site:
    """What a test of the forwarder works with. Both sinks may be the same."""

    db: Database
    forwarder: ForwarderListener
    local: Sink
    remote: Sink
    client: Source

    def arrived(self) -> list[tuple[str, str, str]]:
        """Every copy that was delivered, sorted: local or remote, sender, recipient."""
        sinks = (("local", self.local), ("remote", self.remote)) if self.local is not self.remote else (("both", self.local),)
        return sorted((name, text(one.mail), text(recipient)) for name, sink in sinks for one in sink.delivered
                      for recipient in one.recipients)

    def recipients(self) -> list[str]:
        """Every recipient that got a copy, sorted."""
        return sorted(recipient for _, _, recipient in self.arrived())

    async def rows(self) -> list[tuple[str, str, str]]:
        """What is remembered of delivered copies."""
        return sorted(await self.db.fetch_all("SELECT original_recipient, target, recipient FROM delivered_copy"))

    async def lmtp(self, content: bytes, *recipients: str, sender: str = JOE) -> list[str]:
        """Sends a message after LHLO: the replies to the recipients that were refused, then those to the end of data."""
        replies = []
        assert (await self.client.command("LHLO client.example.com")).startswith("250")
        assert (await self.client.command(f"MAIL FROM:<{sender}>")).startswith("250")
        taken = 0
        for recipient in recipients:
            reply = await self.client.command(f"RCPT TO:<{recipient}>")
            if reply.startswith("250"):
                taken += 1
            else:
                replies.append(reply)
        if taken and (await self.client.command("DATA")).startswith("354"):
            await self.client.write(content + b".\r\n")
            replies += [await self.client.reply() for _ in range(taken)]
        return replies


def text(path: bytes) -> str:
    """An address of the envelope as the sink heard it, without what follows it."""
    return path.decode("latin-1").partition(">")[0].removeprefix("<")


def header_of(delivered: Delivered) -> list[bytes]:
    """The header's lines."""
    return delivered.content.partition(b"\r\n\r\n")[0].split(b"\r\n")


@asynccontextmanager
async def running_forwarder(db: Database, local: Downstream, remote: Downstream, settings: SmtpSettings = SETTINGS,
                            now: Callable[[], datetime] = lambda: NOW,
                            options: dict[str, Any] | None = None) -> AsyncIterator[ForwarderListener]:
    """A forwarder on a port of its own. `options` are settings of its section."""
    forwarder = replace(ForwarderSettings(), listen=Endpoint("127.0.0.1", 0), local_delivery=local, remote_relay=remote,
                        **(options or {}))
    store = MailStore(db, rules_of(forwarder), SRS, now)
    listener = ForwarderListener(forwarder, settings, store, b"k" * 32, spools=Spools(settings), now=now)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop(1)


@asynccontextmanager
async def forwarding(database_url: str, *, local: Sink | None = None, remote: Sink | None = None,
                     settings: SmtpSettings = SETTINGS, greet: str = "EHLO client.example.com",
                     **options: Any) -> AsyncIterator[Site]:
    """A populated site with two sinks, or one if both are the same; `lmtp` of the local one says how it is spoken to."""
    local, remote = local or Sink(), remote or Sink()
    async with open_database(database_url) as db, running_sink(local):
        if not await db.fetch_all("SELECT 1 FROM domain"):
            await populate(db)
        if remote is local:
            async with _site(db, local, remote, settings, greet, options) as site:
                yield site
        else:
            async with running_sink(remote), _site(db, local, remote, settings, greet, options) as site:
                yield site


@asynccontextmanager
async def _site(db: Database, local: Sink, remote: Sink, settings: SmtpSettings, greet: str,
                options: dict[str, Any]) -> AsyncIterator[Site]:
    local_delivery = Downstream("127.0.0.1", local.port, lmtp=local.lmtp)
    remote_relay = Downstream("127.0.0.1", remote.port)
    async with (running_forwarder(db, local_delivery, remote_relay, settings, options=options) as forwarder,
                connected(forwarder.address, greet=greet) as client):
        yield Site(db, forwarder, local, remote, client)


async def send(site: Site, *recipients: str, content: bytes, sender: str = JOE) -> str:
    """A whole transaction after whatever was before; the reply that ended it."""
    assert (await site.client.command("RSET")).startswith("250")
    return await site.client.send(content, sender, recipients)


def senders(site: Site) -> Sequence[str]:
    """The envelope senders of all copies, sorted, each once."""
    return sorted({sender for _, sender, _ in site.arrived()})
