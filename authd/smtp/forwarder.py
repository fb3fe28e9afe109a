"""mailforwarder: resolves recipients and hands each copy to who takes it further (smtp.md section 5). The pipeline of a
transaction, and the listener.

Where mail goes is decided in routing.py, what the answers come to in deliveries.py; how a whole message leaves stands in
handover.py, sockets in server.py and relay.py.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

from authd.config.settings import ForwarderSettings, SmtpSettings
from authd.log import request_id
from authd.smtp import forwarded, inspection, message, replies
from authd.smtp.apart import TOGETHER, Apart
from authd.smtp.deliveries import Deliveries, delivered_to
from authd.smtp.fanout import FanOut
from authd.smtp.grammar import Path
from authd.smtp.handover import Dialect, Handover
from authd.smtp.in_flight import InFlight
from authd.smtp.inspection import Inspected
from authd.smtp.list_reports import ListReports
from authd.smtp.mail_store import MailStore
from authd.smtp.message import Client
from authd.smtp.relay import Relay, Timeouts
from authd.smtp.replies import Reply
from authd.smtp.routing import LegKey, Rules, Target
from authd.smtp.server import Listener
from authd.smtp.session import Mail, Recipient
from authd.smtp.spool import Spool, Spools
from authd.smtp.starttls import NO_TLS, MailTls
from authd.smtp.workers import Workers

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """What became of messages, and of members that were left out: for metrics."""

    accepted: int = 0
    deferred: int = 0
    refused: int = 0
    left_out: int = 0


def rules_of(settings: ForwarderSettings) -> Rules:
    """What the configuration says of routing."""
    local_part, _, domain = settings.postmaster.rpartition("@")
    return Rules(
        postmaster=Path(local_part, domain) if settings.postmaster else None,
        passes_unknown=settings.unknown_local == "pass", discards_blocked=settings.blocked == "discard",
        rewrites_to_primary=settings.rewrite_to_primary, relays_foreign=settings.relay_foreign,
        has_transactional_relay=settings.transactional_relay is not None)


class ForwarderListener:
    """mailforwarder on its port. `memory_key`: 32 bytes that every process on the database shares."""

    def __init__(self, forwarder: ForwarderSettings, settings: SmtpSettings, store: MailStore, memory_key: bytes, *,
                 spools: Spools, now: Callable[[], datetime], new_id: Callable[[], str] = lambda: secrets.token_hex(8),
                 tls: Callable[[], MailTls] = lambda: NO_TLS) -> None:
        self.settings = settings
        self.store = store
        self.memory_key = memory_key
        self.now = now
        self.new_id = new_id
        self.counts = Counts()
        self.in_flight = InFlight()
        self.apart = Apart()
        self.hostname = settings.hostname or socket.gethostname()
        self.workers = Workers("forwarder")
        timeouts = Timeouts(settings.connect_timeout, settings.reply_timeout, settings.data_timeout)
        targets = {Target.LOCAL: replace(forwarder.local_delivery, tls=forwarder.local_delivery_tls),
                   Target.REMOTE: replace(forwarder.remote_relay, tls=forwarder.remote_relay_tls)}
        if forwarder.transactional_relay is not None:
            targets[Target.TRANSACTIONAL] = replace(forwarder.transactional_relay, tls=forwarder.transactional_relay_tls)
        relays = {downstream: Relay(downstream, self.hostname, timeouts, tls) for downstream in targets.values()}
        self.relays = {target: relays[downstream] for target, downstream in targets.items()}
        self.reports = ListReports(self.relays[Target.LOCAL], store, self.hostname, now=now, new_id=new_id)
        self._listener = Listener(forwarder.listen, settings, self.hostname, lambda: ForwarderPipeline(self),
                                  spools=spools, tls=tls,
                                  offers_dsn=lambda: all(relay.offers_dsn for relay in self.relays.values()))

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
        loop = asyncio.get_running_loop()
        ends = loop.time() + grace_seconds
        await self._listener.stop(grace_seconds)
        await self.reports.finish(max(0, ends - loop.time()))
        await asyncio.gather(*(relay.close() for relay in set(self.relays.values())))
        self.workers.close()


@dataclass
class _Transaction:
    """One message while it passes through."""

    id: str
    client: Client
    sender: Path
    fan_out: FanOut
    deliveries: Deliveries
    group: int = TOGETHER  # of its recipients (apart.py)
    handover: Handover | None = None
    is_accepted: bool = False

    @property
    def dialect(self) -> Dialect:
        """How the client wants its answers."""
        return Dialect.LMTP if self.client.protocol.startswith("LMTP") else Dialect.SMTP


class ForwarderPipeline:
    """The transactions of one client, one after another (pipeline.Pipeline). One that is given up, because something
    failed, is deferred to its end.
    """

    def __init__(self, forwarder: ForwarderListener) -> None:
        self._forwarder = forwarder
        self._transaction: _Transaction | None = None

    @property
    def is_committing(self) -> bool:
        """Whether a downstream may be delivering, or what it has delivered is still to be remembered."""
        handover = self._transaction.handover if self._transaction is not None else None
        return handover is not None and handover.is_committing

    async def mail(self, mail: Mail, client: Client) -> Reply:
        """Begins a transaction. Downstreams hear of it with the first recipient, as only that says which they are."""
        forwarder = self._forwarder
        message_id = forwarder.new_id()
        request_id.set(message_id)
        self._transaction = _Transaction(
            message_id, client, mail.sender, FanOut(forwarder.relays, mail.parameters), Deliveries())
        return replies.SENDER_OK

    async def recipient(self, recipient: Recipient) -> Reply:
        """Resolves the recipient and asks the downstreams about every copy that it needs."""
        transaction, apart = self._transaction, self._forwarder.apart
        if transaction is None:
            return replies.UNAVAILABLE
        sender, name = str(transaction.sender), str(recipient.path)
        group = apart.group(sender, name) if transaction.dialect is Dialect.SMTP else TOGETHER
        if group != transaction.group and transaction.deliveries.recipients:
            return replies.TOO_MANY_RECIPIENTS
        transaction.group = group
        answer = await self._offer(transaction, recipient)
        if answer.code >= 500:
            apart.discard(sender, [name])
        if not answer.is_positive:
            _log.info("from=<%s> to=<%s> refused: %s", sender, name, answer)
        return answer

    async def data(self) -> Reply:
        """The downstreams are asked once the message is here, so that they never wait for our client."""
        return replies.UNAVAILABLE if self._transaction is None else replies.START_INPUT

    async def end_of_data(self, spool: Spool) -> Reply | Sequence[Reply]:
        """Hands every copy over, and answers what the downstreams did."""
        transaction, counts = self._transaction, self._forwarder.counts
        if transaction is None:
            return replies.UNAVAILABLE
        try:
            answer = await self._hand_over(transaction, spool)
        except Exception:
            counts.deferred += 1
            raise
        self._set_apart(transaction, answer)
        answers = [answer] if isinstance(answer, Reply) else answer
        transaction.is_accepted = any(reply.is_positive for reply in answers)
        worst = max(answers, key=_severity)
        if worst.is_positive:
            counts.accepted += 1
        elif worst.code < 500:
            counts.deferred += 1
        else:
            counts.refused += 1
        _log.info("from=<%s> to=<%s> size=%d answer=%s", transaction.sender,
                  ">,<".join(transaction.deliveries.recipients), spool.size, worst)
        return answer

    async def answered(self, heard: bool) -> None:
        """Remembers what the client does not know of, or forgets what it knows."""
        transaction = self._transaction
        if transaction is not None and transaction.handover is not None:
            await transaction.handover.answered(heard)
            if transaction.is_accepted and (left_out := transaction.deliveries.left_out()):
                self._forwarder.counts.left_out += len(left_out)
                for member in left_out:
                    if member.mailing_list is not None:
                        _log.info("list=%s to=<%s> left out: %s", member.mailing_list.name, member.address, member.reply)
                self._forwarder.reports.report(left_out)
        self.give_up()

    def client_left(self) -> None:
        """The client will not hear the answer that is on its way."""
        if self._transaction is not None and self._transaction.handover is not None:
            self._transaction.handover.client_left()

    def give_up(self) -> None:
        """Forgets the transaction."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.fan_out.give_up()
            if transaction.handover is not None:
                transaction.handover.close()

    async def _offer(self, transaction: _Transaction, recipient: Recipient) -> Reply:
        route = await self._forwarder.store.route(recipient.path, transaction.sender)
        if route.refusal is not None:
            return route.refusal
        deliveries = transaction.deliveries
        for copy, reply in await transaction.fan_out.offer(deliveries.unasked(route), recipient.parameters):
            deliveries.asked(copy, reply)
        return deliveries.admit(route)

    async def _hand_over(self, transaction: _Transaction, spool: Spool) -> Reply | list[Reply]:
        forwarder = self._forwarder
        strict = forwarder.settings.strict_8bit and not all(
            "8BITMIME" in transit.leg.extensions for transit in transaction.fan_out)
        inspected, digest = await forwarder.workers.run(
            spool.size, self._inspect, spool, str(transaction.sender), strict)
        if inspected.refusal is not None:
            return inspected.refusal
        transaction.deliveries.drop_loops(delivered_to(inspected.header))
        transaction.handover = Handover(
            transaction.deliveries, transaction.fan_out, forwarder.store, forwarder.in_flight, digest,
            transaction.dialect)
        received = message.received(transaction.client, forwarder.hostname, transaction.id, forwarder.now())
        has_list_id = message.count(inspected.header, b"list-id") > 0

        def content(leg: LegKey) -> Iterable[bytes]:
            return chain([forwarded.header(leg, transaction.id, has_list_id=has_list_id), received], spool.pieces())

        return await transaction.handover.run(content)

    def _set_apart(self, transaction: _Transaction, answer: Reply | Sequence[Reply]) -> None:
        """Learns from the answer which recipients may not come together next time, and which have had theirs."""
        if isinstance(answer, Reply) and transaction.dialect is Dialect.SMTP:
            sender, deliveries, apart = str(transaction.sender), transaction.deliveries, self._forwarder.apart
            apart.set_apart(sender, deliveries.contested())
            if transaction.group != TOGETHER and not 400 <= answer.code < 500:
                apart.discard(sender, deliveries.recipients)

    def _inspect(self, spool: Spool, sender: str, needs_7bit: bool) -> tuple[Inspected, bytes]:
        inspected = inspection.inspect(spool, self._forwarder.settings, needs_7bit=needs_7bit)
        return inspected, inspection.digest(self._forwarder.memory_key, sender, spool, inspected)


def _severity(reply: Reply) -> int:
    """A passing failure is worse than a lasting one: it will come again."""
    return {4: 2, 5: 1}.get(reply.code // 100, 0)
