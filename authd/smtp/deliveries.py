"""What became of each copy of one message, and what follows for the answers (smtp.md section 3). Pure.

A recipient that was given needs one copy or many, and two recipients may need the same one: it is sent once, and counts for
both. How copies travel is the forwarder's business; which copies there are, routing's.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from authd.smtp import replies
from authd.smtp.message import Field
from authd.smtp.replies import Reply
from authd.smtp.routing import Copy, LegKey, Refused, Route, is_loop


@dataclass(frozen=True, slots=True)
class Row:
    """What is remembered of a delivered copy: for which recipient that was given, where it went, to whom. All lower case."""

    original_recipient: str
    target: str
    recipient: str


@dataclass(slots=True)
class _State:
    """A copy and the last that was said of it: to RCPT, or to the end of data."""

    copy: Copy
    reply: Reply
    is_delivered: bool = False
    is_loop: bool = False

    @property
    def is_open(self) -> bool:
        """Whether a downstream has taken the recipient, and not yet the message."""
        return self.reply.is_positive and not self.is_delivered


class _Admitted(NamedTuple):
    """A recipient that counts, and the states of the copies that it needs."""

    route: Route
    states: list[_State]


@dataclass(slots=True)
class Deliveries:
    """The copies of one message. Recipients count once they are admitted, in their order."""

    _states: dict[str, _State] = field(default_factory=dict)
    _admitted: list[_Admitted] = field(default_factory=list)

    def unasked(self, route: Route) -> list[Copy]:
        """Copies of the route that no recipient before it needs."""
        return [copy for copy in route.copies if copy.key not in self._states]

    def asked(self, copy: Copy, reply: Reply) -> None:
        """The downstream's answer to the recipient of a copy."""
        state = self._states.get(copy.key)
        if state is None:
            self._states[copy.key] = _State(copy, reply)
        else:
            state.reply = reply

    def admit(self, route: Route) -> Reply:
        """The answer to the recipient that was given, all of whose copies were asked about. If positive, it counts;
        otherwise its copies are forgotten.
        """
        states = [self._states[copy.key] for copy in route.copies]
        reply = _judge(route, states, replies.RECIPIENT_OK)
        if reply.is_positive:
            self._admitted.append(_Admitted(route, states))
        else:
            needed = {copy.key for other in self._admitted for copy in other.route.copies}
            for copy in route.copies:
                if copy.key not in needed:
                    del self._states[copy.key]
        return reply

    @property
    def recipients(self) -> list[str]:
        """The recipients that count."""
        return [str(route.recipient) for route, _ in self._admitted]

    def recall(self, rows: Collection[Row]) -> None:
        """Copies that an earlier attempt has delivered need not be sent again."""
        for route, states in self._admitted if rows else ():
            for state in states:
                if _row(route, state.copy) in rows:
                    state.is_delivered, state.reply = True, replies.OK

    def drop_loops(self, delivered_to: Collection[str]) -> None:
        """A message is not forwarded twice for the same address; `delivered_to` are those in its header, in lower case."""
        for state in self._states.values() if delivered_to else ():
            if state.is_open and is_loop(state.copy.leg, delivered_to):
                state.is_loop, state.reply = True, replies.FORWARDING_LOOP

    @property
    def has_open(self) -> bool:
        """Whether anything has to be sent."""
        return any(state.is_open for _, states in self._admitted for state in states)

    def open(self) -> dict[LegKey, list[Copy]]:
        """The copies that have to be sent, by leg."""
        found: dict[LegKey, dict[str, Copy]] = {}
        for _, states in self._admitted:
            for state in states:
                if state.is_open:
                    found.setdefault(state.copy.leg, {})[state.copy.key] = state.copy
        return {leg: [*copies.values()] for leg, copies in found.items()}

    def failed(self, copies: Iterable[Copy], reply: Reply) -> None:
        """The copies could not be sent; `reply` is what that is to a client."""
        for copy in copies:
            self._states[copy.key].reply = reply

    def sent(self, copy: Copy, reply: Reply) -> None:
        """The downstream's verdict on a copy."""
        state = self._states[copy.key]
        state.reply, state.is_delivered = reply, reply.is_positive

    def rows(self, copies: Iterable[Copy]) -> list[Row]:
        """What has to be remembered of those of the copies that were delivered."""
        keys = {copy.key for copy in copies if self._states[copy.key].is_delivered}
        return [_row(route, copy) for route, _ in self._admitted for copy in route.copies if copy.key in keys]

    def answers(self) -> list[Reply]:
        """One for each recipient that counts. Copies that are still open count as if they were taken."""
        return [_judge(route, states, replies.OK) for route, states in self._admitted]

    def answer(self) -> Reply:
        """One for all of them (SMTP). Where one answer does not fit all, the message has to come again: a lasting refusal is
        passed on only to a client whose every recipient is refused. A loop harms only who has nothing else.
        """
        answers = self.answers()
        if len(answers) == 1:
            return answers[0]
        answers = [reply for reply in answers if reply != replies.FORWARDING_LOOP]
        passing = [reply for reply in answers if _is_passing(reply)]
        if passing:
            return next((reply for reply in passing if reply != replies.NOTHING_SENT), replies.NOTHING_SENT)
        if len({reply.is_positive for reply in answers}) > 1:
            return replies.COPY_FAILED
        return answers[0] if answers else replies.FORWARDING_LOOP

    def contested(self) -> dict[str, Reply]:
        """The recipients that are refused for good while others are not, so that no answer fits all; and their refusals."""
        answers = [(recipient, reply) for recipient, reply in zip(self.recipients, self.answers(), strict=True)
                   if reply != replies.FORWARDING_LOOP]
        refused = {recipient: reply for recipient, reply in answers if reply.code >= 500}
        return refused if any(reply.code < 500 for _, reply in answers) else {}

    def left_out(self) -> list[Refused]:
        """Members of lists that were refused for good while the list as a whole got the message."""
        found: dict[str, Refused] = {}
        for route, states in self._admitted:
            if not _judge(route, states, replies.OK).is_positive:
                continue
            for refused in route.refused:
                found[refused.address.key] = refused
            for state in states:
                if not (state.reply.is_positive or state.is_loop):
                    found[state.copy.key] = Refused(state.copy.recipient, state.reply, state.copy.leg.mailing_list)
        return [refused for refused in found.values() if refused.mailing_list is not None]


def _judge(route: Route, states: Sequence[_State], good: Reply) -> Reply:
    """The answer to a recipient whose copies stand so; `good` where nothing is wrong with it."""
    if not states:
        return good if route.is_discarded else replies.LIST_UNUSABLE
    if len(states) == 1:
        return states[0].reply
    is_taken, lasting = False, replies.FORWARDING_LOOP
    for state in states:
        code = state.reply.code
        if code < 300:
            is_taken = True
        elif code < 500:
            return replies.COPY_FAILED
        elif not state.is_loop and lasting is replies.FORWARDING_LOOP:
            lasting = state.reply
    return good if is_taken else lasting


def _is_passing(reply: Reply) -> bool:
    return 400 <= reply.code < 500


def _row(route: Route, copy: Copy) -> Row:
    return Row(route.recipient.key, copy.leg.target.name.lower(), copy.key)


def delivered_to(header: Sequence[Field]) -> frozenset[str]:
    """The addresses, in lower case, for which the message was forwarded before, by its header.

    What stands above the newest Received of a message that begins with Return-Path was put there by whoever hands it to us
    now (RFC 5321 section 4.4), and names the recipient of this very delivery.
    """
    names = [one.name for one in header]
    if b"delivered-to" not in names:
        return frozenset()
    start = names.index(b"received") if names[:1] == [b"return-path"] and b"received" in names else 0
    return frozenset(one.value.strip(b" \t\r\n<>").lower().decode("latin-1")
                     for one in header[start:] if one.name == b"delivered-to")
