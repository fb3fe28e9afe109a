"""The transactions with downstreams that one message goes through, all open at once until the message is whole.

Which copies travel together says their LegKey; what their answers come to, deliveries.py.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from authd.smtp.grammar import NO_RECIPIENT_PARAMETERS, MailParameters, RecipientParameters
from authd.smtp.leg import Leg
from authd.smtp.relay import Relay
from authd.smtp.relay_session import DownstreamError
from authd.smtp.replies import Reply
from authd.smtp.routing import Copy, LegKey, Target

MOST_RECIPIENTS = 100  # of one transaction: what every server takes (RFC 5321 section 4.5.3.1.8)

T = TypeVar("T")
Answers = list[tuple[Copy, Reply]]


async def at_once(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Does all of it at the same time, and to the end before an exception is raised: who gives a transaction up then finds
    every connection that it has. What is alone needs no task of its own, and most mail has one leg.
    """
    if len(work) == 1:
        return [await work[0]]
    done = [asyncio.ensure_future(one) for one in work]
    await asyncio.gather(*done, return_exceptions=True)
    return [one.result() for one in done]


@dataclass
class Transit:
    """One transaction, and the copies whose recipients the downstream has taken. A loss is told as the reply that it is."""

    key: LegKey
    leg: Leg
    copies: list[Copy] = field(default_factory=list)

    async def data(self) -> Reply | None:
        """Asks for the go-ahead. None: it was given; otherwise why it was not."""
        try:
            return await self.leg.data()
        except DownstreamError as error:
            return error.reply

    async def content(self, content: Iterable[bytes]) -> Reply | None:
        """Sends the message, but not its end. None: it has gone; otherwise what went wrong."""
        try:
            await self.leg.content(content)
        except DownstreamError as error:
            return error.reply
        return None

    async def end_of_data(self) -> Answers:
        """Ends the message: the verdict on each copy."""
        try:
            return list(zip(self.copies, await self.leg.end_of_data(), strict=True))
        except DownstreamError as error:
            return [(copy, error.reply) for copy in self.copies]


class FanOut:
    """All transactions of one message. `relays` has every target that a copy may go to."""

    def __init__(self, relays: Mapping[Target, Relay], parameters: MailParameters) -> None:
        self._relays = relays
        self._parameters = parameters
        self._transits: list[Transit] = []
        self._asked: dict[str, RecipientParameters] = {}

    def __iter__(self) -> Iterator[Transit]:
        return iter(list(self._transits))

    async def offer(self, copies: Sequence[Copy], parameters: RecipientParameters) -> Answers:
        """Asks the downstreams about the recipients of copies, all legs at the same time; opens those that are needed."""
        self._asked |= {copy.key: parameters for copy in copies}
        return await self._ask(copies)

    async def prepare(self, wanted: Mapping[LegKey, Sequence[Copy]]) -> Answers:
        """Leaves exactly the wanted copies: a leg with anything else is closed, and what is missing is asked for anew."""
        missing = {copy.key: copy for copies in wanted.values() for copy in copies}
        for transit in self:
            keys = {copy.key for copy in transit.copies}
            if keys and keys <= missing.keys():
                missing = {key: copy for key, copy in missing.items() if key not in keys}
            else:
                self.drop(transit)
        return await self._ask([*missing.values()]) if missing else []

    def drop(self, transit: Transit) -> None:
        """Ends a transaction."""
        if transit in self._transits:
            self._transits.remove(transit)
        transit.leg.give_up()

    def give_up(self) -> None:
        """Ends all transactions."""
        for transit in self:
            self.drop(transit)

    async def _ask(self, copies: Sequence[Copy]) -> Answers:
        legs: dict[LegKey, list[Copy]] = {}
        for copy in copies:
            legs.setdefault(copy.leg, []).append(copy)
        answers = await at_once([self._offer_on_leg(key, group) for key, group in legs.items()])
        return [answer for group in answers for answer in group]

    async def _offer_on_leg(self, key: LegKey, copies: Sequence[Copy]) -> Answers:
        answers: Answers = []
        while len(answers) < len(copies):
            transit = self._with_room(key)
            group = copies[len(answers):len(answers) + MOST_RECIPIENTS - len(transit.copies)]
            try:
                replies = await transit.leg.recipients(
                    [(copy.recipient, self._recipient_parameters(copy)) for copy in group])
            except DownstreamError as error:
                self.drop(transit)
                return [*answers, *((copy, error.reply) for copy in copies[len(answers):])]
            if not transit.leg.is_begun:
                self.drop(transit)
                return [*answers, *((copy, replies[0]) for copy in copies[len(answers):])]
            given = list(zip(group, replies, strict=True))
            transit.copies += [copy for copy, reply in given if reply.is_positive]
            answers += given
        return answers

    def _with_room(self, key: LegKey) -> Transit:
        """A transaction that takes another recipient, which may still have to begin."""
        for transit in self._transits:
            if transit.key == key and len(transit.copies) < MOST_RECIPIENTS:
                return transit
        transit = Transit(key, Leg(self._relays[key.target], key.sender, self._mail_parameters(key)))
        self._transits.append(transit)
        return transit

    def _mail_parameters(self, key: LegKey) -> MailParameters:
        """A list sends a message of its own (RFC 3461 section 5.2.7.3)."""
        given = self._parameters
        return given if key.mailing_list is None else MailParameters(given.size, given.body)

    def _recipient_parameters(self, copy: Copy) -> RecipientParameters:
        return self._asked[copy.key] if copy.leg.mailing_list is None else NO_RECIPIENT_PARAMETERS
