"""Tells the owners of mailing lists of members that were refused: through local delivery, of each once a day.

What the message says stands in forwarded.py.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from authd.errors import AuthdError
from authd.smtp.forwarded import refusal_report
from authd.smtp.grammar import NO_MAIL_PARAMETERS, NULL_SENDER, Path, RecipientParameters
from authd.smtp.leg import Leg
from authd.smtp.mail_store import MailStore
from authd.smtp.relay import Relay
from authd.smtp.replies import Reply
from authd.smtp.routing import MailingList, Refused

_log = logging.getLogger(__name__)
_NO_NOTICE = RecipientParameters(notify="NEVER")


class ListReports:
    """Works in the background; a report that cannot be delivered is logged and not tried again that day. Where a list has no
    owner, nothing counts as reported: one who is set today hears of it today.
    """

    def __init__(self, relay: Relay, store: MailStore, hostname: str, *, now: Callable[[], datetime],
                 new_id: Callable[[], str]) -> None:
        self.sent = 0
        self._relay = relay
        self._store = store
        self._hostname = hostname
        self._now = now
        self._new_id = new_id
        self._tasks: set[asyncio.Task[None]] = set()

    def report(self, refused: Sequence[Refused]) -> None:
        """Reports those that no owner was told of today."""
        task = asyncio.create_task(self._report(refused))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, seconds: float | None = None) -> None:
        """Returns once nothing is left to report, after so many seconds at the latest."""
        if not self._tasks:
            return
        _, unfinished = await asyncio.wait(self._tasks, timeout=seconds)
        if unfinished:
            _log.warning("%d reports to owners of lists are given up", len(unfinished))
            for task in unfinished:
                task.cancel()
            await asyncio.wait(unfinished)

    async def _report(self, refused: Sequence[Refused]) -> None:
        due: dict[int, tuple[MailingList, Path, list[Refused]]] = {}
        try:
            for one in refused:
                mailing_list = one.mailing_list
                if mailing_list is None or mailing_list.owner is None:
                    continue
                if await self._store.take_report(mailing_list.id, one.address.key):
                    due.setdefault(mailing_list.id, (mailing_list, mailing_list.owner, []))[2].append(one)
            for mailing_list, owner, members in due.values():
                reply = await self._send(mailing_list, owner, members)
                if not reply.is_positive:
                    _log.warning("the owner of the list %s is not told of refused members: %s", mailing_list.name, reply)
        except AuthdError as error:
            _log.warning("the owner of a list is not told of refused members: %s", error)

    async def _send(self, mailing_list: MailingList, owner: Path, members: Sequence[Refused]) -> Reply:
        leg = Leg(self._relay, NULL_SENDER, NO_MAIL_PARAMETERS)
        try:
            [reply] = await leg.recipients([(owner, _NO_NOTICE)])
            if not reply.is_positive or (refusal := await leg.data()) is not None:
                return reply if not reply.is_positive else refusal or reply
            await leg.content([refusal_report(mailing_list, owner, members, hostname=self._hostname,
                                              message_id=self._new_id(), now=self._now())])
            reply = (await leg.end_of_data())[0]
            self.sent += reply.is_positive
            return reply
        finally:
            leg.give_up()
