"""From a message that is whole to the answers for it: the downstreams get it, and what they took is remembered until the
client knows (smtp.md section 3).

Nothing is committed before every downstream has given the go-ahead and has the content. Then the final dots go leg by leg.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from enum import Enum, auto

from authd.errors import DatabaseUnavailable
from authd.smtp import replies
from authd.smtp.deliveries import Deliveries, Row
from authd.smtp.fanout import FanOut, at_once
from authd.smtp.in_flight import InFlight, Passage, written
from authd.smtp.mail_store import MailStore
from authd.smtp.replies import Reply
from authd.smtp.routing import Copy, LegKey

_log = logging.getLogger(__name__)
_LONGEST_PAUSE = 2.0
PATIENCE = 30.0  # seconds that a client waits for the database to remember what was delivered


class Dialect(Enum):
    """How many answers the client gets: one in all, or one for each recipient."""

    SMTP = auto()
    LMTP = auto()


class Handover:
    """One message, once. `digest` stands for the message and its sender."""

    def __init__(self, deliveries: Deliveries, fan_out: FanOut, store: MailStore, in_flight: InFlight, digest: bytes,
                 dialect: Dialect) -> None:
        self.is_committing = False
        self._deliveries = deliveries
        self._fan_out = fan_out
        self._store = store
        self._in_flight = in_flight
        self._passage: Passage | None = None
        self._digest = digest
        self._dialect = dialect
        self._unwritten: list[Copy] = []
        self._has_rows = False

    async def run(self, content: Callable[[LegKey], Iterable[bytes]]) -> Reply | list[Reply]:
        """Sends every copy that is still needed; `content` gives the bytes for a leg. The answer, or in LMTP the answers."""
        known = await self._known()
        self._has_rows = bool(known)
        self._deliveries.recall(known)
        for copy, reply in await self._fan_out.prepare(self._deliveries.open()):
            self._deliveries.asked(copy, reply)
        if not self._is_over():
            await self._ask_for_data()
        if not self._is_over():
            await self._send(content)
        if not self._is_over():
            try:
                await self._end()
            except Exception:
                await self._write_for_sure()
                raise
        self._fan_out.give_up()
        self.is_committing |= self._has_rows  # a client that leaves with its answer does not keep us from forgetting them
        return self._answer()

    async def answered(self, heard: bool) -> None:
        """The client has the answer, and what it was answered 250 for need not be known any more; or it left before."""
        self.is_committing = True  # a client that leaves now does not stop this
        try:
            if not heard:
                await self._write_for_sure()
            elif self._has_rows:
                await self._forget()
        except DatabaseUnavailable as error:
            _log.warning("delivered copies are remembered longer than needed: %s", error)
        finally:
            self.is_committing = False
            self.close()

    def client_left(self) -> None:
        """The client is gone while downstreams may be delivering. If it comes again, this is to be over first."""
        if self._passage is not None:
            self._passage.is_orphaned = True

    def close(self) -> None:
        """Nothing more comes of this message."""
        if self._passage is not None:
            self._in_flight.leave(self._passage)

    async def _known(self) -> frozenset[Row]:
        """What an earlier try has delivered. What others deliver now who send the same bytes is not meant."""
        passage = self._passage = await self._in_flight.enter(self._digest)
        before = self._in_flight.others(passage)
        rows = await self._store.delivered(self._digest)
        return rows - written([*before, *self._in_flight.others(passage)]) if rows else rows

    async def _forget(self) -> None:
        others = written(self._in_flight.others(self._passage)) if self._passage is not None else frozenset()
        needed = {row.original_recipient for row in others}
        if done := [recipient for recipient in self._done() if recipient not in needed]:
            await self._store.forget(self._digest, done)

    def _is_over(self) -> bool:
        """Whether nothing is left to send, or (while nothing is committed) nothing shall be."""
        if not self._deliveries.has_open:
            return True
        return self._dialect is Dialect.SMTP and not self._deliveries.answer().is_positive

    def _answer(self) -> Reply | list[Reply]:
        return self._deliveries.answer() if self._dialect is Dialect.SMTP else self._deliveries.answers()

    def _done(self) -> list[str]:
        """The recipients, in lower case, that were answered 250."""
        answer = self._answer()
        answers = [answer] * len(self._deliveries.recipients) if isinstance(answer, Reply) else answer
        return [name.lower() for name, reply in zip(self._deliveries.recipients, answers, strict=True) if reply.is_positive]

    async def _ask_for_data(self) -> None:
        """One refusal ends everything, and nothing has been committed; unless all that it costs is members of lists that go on
        without them.
        """
        transits = list(self._fan_out)
        refusals = await at_once([transit.data() for transit in transits])
        if not any(refusals):
            return
        expected = self._deliveries.answers()
        for transit, reply in zip(transits, refusals, strict=True):
            if reply is not None:
                self._deliveries.failed(transit.copies, reply)
                self._fan_out.drop(transit)
        if self._deliveries.answers() != expected:
            for transit in self._fan_out:
                self._deliveries.failed(transit.copies, replies.NOTHING_SENT)

    async def _send(self, content: Callable[[LegKey], Iterable[bytes]]) -> None:
        transits = list(self._fan_out)
        losses = await at_once([transit.content(content(transit.key)) for transit in transits])
        for transit, loss in zip(transits, losses, strict=True):
            if loss is not None:
                self._deliveries.failed(transit.copies, loss)
                self._fan_out.drop(transit)

    async def _end(self) -> None:
        """The final dots. What one leg has taken is written down before the next; of the last it need not be known, as long
        as the client hears our answer.
        """
        self.is_committing = True
        waiting = list(self._fan_out)
        while waiting:
            transit = waiting.pop(0)
            for copy, reply in await transit.end_of_data():
                self._deliveries.sent(copy, reply)
            self._unwritten += transit.copies
            if waiting:
                await self._write()
        if not all(reply.is_positive for reply in self._deliveries.answers()):
            await self._write_for_sure()

    async def _write(self) -> bool:
        """Writes down what was delivered, in one statement. False: the database cannot just now."""
        rows = self._deliveries.rows(self._unwritten)
        if not rows:
            return True
        if self._passage is not None:
            self._passage.written.update(rows)
        try:
            await self._store.remember(self._digest, rows)
        except DatabaseUnavailable as error:
            _log.warning("delivered copies are not remembered yet: %s", error)
            return False
        self._unwritten, self._has_rows = [], True
        return True

    async def _write_for_sure(self) -> None:
        """As _write, again and again for a while: what is not known then will be delivered twice."""
        loop = asyncio.get_running_loop()
        ends, pause = loop.time() + PATIENCE, 0.1
        while not await self._write():
            if loop.time() + pause > ends:
                _log.error("%d delivered copies could not be remembered and may come twice", len(self._unwritten))
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
