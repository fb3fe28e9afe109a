"""dkimsigner: a live proxy that signs (smtp.md section 4). The pipeline of a transaction, and the listener of a mapping.

The rules are in signing_policy.py, the signatures in dkim.py, sockets in server.py and relay.py.
"""

import logging
import secrets
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Protocol

from authd.config.settings import SmtpSettings
from authd.config.values import Downstream, Mapping
from authd.keys.facts import DkimKeys
from authd.log import request_id
from authd.smtp import dkim, message, replies, signing_policy
from authd.smtp.grammar import NULL_SENDER, Path
from authd.smtp.inspection import Inspected, inspect
from authd.smtp.leg import Leg
from authd.smtp.message import Client
from authd.smtp.relay import Relay, Timeouts
from authd.smtp.replies import Reply
from authd.smtp.server import Listener
from authd.smtp.session import Mail, Recipient
from authd.smtp.signing_policy import Candidate
from authd.smtp.spool import Spool, Spools
from authd.smtp.starttls import NO_TLS, MailTls
from authd.smtp.workers import Workers

_log = logging.getLogger(__name__)


class DkimKeySource(Protocol):
    """Where keys come from. Raises an AuthdError where it cannot be told whether there are any."""

    async def dkim_keys(self, domain: str) -> DkimKeys | None:
        """The active keys that sign for `domain` (lower case); None: it is not ours, or has none."""


class ListSenders(Protocol):
    """Which addresses are senders of mailing lists."""

    async def is_list_sender(self, address: str) -> bool:
        """Whether it is the new_mailfrom of a list."""


@dataclass(slots=True)
class Counts:
    """What became of messages: for metrics. `unsigned` counts by reason."""

    accepted: int = 0
    deferred: int = 0
    refused: int = 0
    signed: int = 0
    unsigned: Counter[str] = field(default_factory=Counter)


class SignerListener:
    """dkimsigner on one mapping."""

    def __init__(self, mapping: Mapping, settings: SmtpSettings, keys: DkimKeySource, lists: ListSenders, *,
                 spools: Spools, now: Callable[[], datetime], signature_lifetime: float | None = None,
                 new_id: Callable[[], str] = lambda: secrets.token_hex(8),
                 tls: Callable[[], MailTls] = lambda: NO_TLS) -> None:
        self.mapping = mapping
        self.settings = settings
        self.keys = keys
        self.lists = lists
        self.now = now
        self.lifetime = None if signature_lifetime is None else int(signature_lifetime)
        self.new_id = new_id
        self.counts = Counts()
        self.hostname = settings.hostname or socket.gethostname()
        self.relay = Relay(Downstream.smtp(mapping.target, mapping.tls), self.hostname,
                           Timeouts(settings.connect_timeout, settings.reply_timeout, settings.data_timeout), tls)
        self.workers = Workers("dkim")
        self._listener = Listener(mapping.listen, settings, self.hostname, lambda: SignerPipeline(self),
                                  spools=spools, offers_dsn=lambda: self.relay.offers_dsn, tls=tls)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self._listener.address

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return self._listener.connections

    async def start(self) -> None:
        """Begins to listen. OSError where the address cannot be had."""
        await self._listener.start()

    async def stop(self, grace_seconds: float) -> None:
        """Finishes running transactions within the grace period; everybody else is told 421."""
        await self._listener.stop(grace_seconds)
        await self.relay.close()
        self.workers.close()


class SignerPipeline:
    """The transactions of one client, one after another (pipeline.Pipeline)."""

    def __init__(self, signer: SignerListener) -> None:
        self._signer = signer
        self._leg: Leg | None = None
        self._client = Client("", "", "")
        self._sender = NULL_SENDER
        self._id = ""
        self._verdict = ""
        self.is_committing = False

    async def mail(self, mail: Mail, client: Client) -> Reply:
        """Takes the sender downstream."""
        self._id, self._verdict = self._signer.new_id(), "not examined"
        request_id.set(self._id)
        self._client, self._sender = client, mail.sender
        self._leg = Leg(self._signer.relay, mail.sender, mail.parameters)
        reply = await self._leg.mail()
        if not reply.is_positive:
            self.give_up()
        return reply

    async def recipient(self, recipient: Recipient) -> Reply:
        """Takes the recipient downstream."""
        if self._leg is None:
            return replies.DOWNSTREAM_LOST
        [reply] = await self._leg.recipients([(recipient.path, recipient.parameters)])
        return reply

    async def data(self) -> Reply:
        """The downstream is asked once the message is here, so that it never waits for our client."""
        return replies.DOWNSTREAM_LOST if self._leg is None else replies.START_INPUT

    async def end_of_data(self, spool: Spool) -> Reply:
        """Signs the message, passes it on, and answers what the downstream does."""
        if self._leg is None:
            return replies.DOWNSTREAM_LOST
        counts = self._signer.counts
        try:
            reply = await self._pass_on(self._leg, spool)
        except Exception:
            counts.deferred += 1
            raise
        if reply.is_positive:
            counts.accepted += 1
        elif reply.code < 500:
            counts.deferred += 1
        else:
            counts.refused += 1
        _log.info("from=<%s> size=%d %s answer=%s", self._sender, spool.size, self._verdict, reply)
        self.give_up()
        return reply

    def client_left(self) -> None:
        """Its message goes on to the end all the same."""

    async def answered(self, heard: bool) -> None:
        """There is nothing to remember: what was answered is what the downstream said."""

    def give_up(self) -> None:
        """Forgets the transaction."""
        leg, self._leg = self._leg, None
        if leg is not None:
            leg.give_up()

    async def _pass_on(self, leg: Leg, spool: Spool) -> Reply:
        added = await self._added_header(leg, spool)
        if isinstance(added, Reply):
            return added
        refusal = await leg.data()
        if refusal is not None:
            return refusal
        await leg.content(chain([added], spool.pieces()))
        self.is_committing = True
        try:
            return (await leg.end_of_data())[0]
        finally:
            self.is_committing = False

    async def _added_header(self, leg: Leg, spool: Spool) -> bytes | Reply:
        """What goes before the message, or why it is refused."""
        signer = self._signer
        strict = signer.settings.strict_8bit and "8BITMIME" not in leg.extensions
        inspected, candidate = await signer.workers.run(spool.size, self._inspect, spool, strict)
        if inspected.refusal is not None:
            return inspected.refusal
        now = signer.now()
        received = message.received(self._client, signer.hostname, self._id, now)
        keys = await self._signing_keys(candidate)
        if keys is None:
            return received
        signatures = await signer.workers.run(
            spool.size, _signatures, spool, inspected, keys, int(now.timestamp()), signer.lifetime)
        return signatures + received  # ours on top: a message that starts with white space can only fold Received

    def _inspect(self, spool: Spool, needs_7bit: bool) -> tuple[Inspected, Candidate]:
        inspected = inspect(spool, self._signer.settings, needs_7bit=needs_7bit)
        originated = self._signer.mapping.originated
        return inspected, signing_policy.candidate(self._sender, inspected.header, originated=originated)

    async def _signing_keys(self, candidate: Candidate) -> DkimKeys | None:
        signer = self._signer
        reason = candidate.reason
        if candidate.domain:
            keys = await signer.keys.dkim_keys(candidate.domain)
            if keys is None:
                reason = "no_key"
            elif await self._is_list(self._sender):
                reason = "list_sender"
            else:
                signer.counts.signed += 1
                self._verdict = f"signed={keys.domain}"
                return keys
        signer.counts.unsigned[reason] += 1
        self._verdict = f"unsigned={reason}"
        return None

    async def _is_list(self, sender: Path) -> bool:
        return not sender.is_null and await self._signer.lists.is_list_sender(str(sender))


def _signatures(spool: Spool, inspected: Inspected, keys: DkimKeys, now: int, lifetime: int | None) -> bytes:
    digest = dkim.body_hash(spool.pieces(inspected.body_start))
    return dkim.signatures(inspected.header, digest, keys, now=now, lifetime=lifetime)
