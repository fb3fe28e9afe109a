"""What the forwarder asks the database, and what it remembers there. Raises DatabaseUnavailable.

What follows from the answers is decided in routing.py and deliveries.py.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from functools import partial

from authd.smtp.deliveries import Row
from authd.smtp.grammar import Path
from authd.smtp.routing import Expansion, Route, Rules
from authd.smtp.srs import Srs
from authd.sql import deliveries, routing
from authd.sql.batches import Batches
from authd.sql.database import Executor
from authd.sql.routing import Question


class MailStore:
    """One for all forwarders of the process."""

    def __init__(self, db: Executor, rules: Rules, srs: Srs, now: Callable[[], datetime]) -> None:
        self._db = db
        self._rules = rules
        self._srs = srs
        self._now = now
        self._facts = Batches(partial(routing.resolve, db))
        self._delivered = Batches(partial(deliveries.find, db))

    async def route(self, recipient: Path, sender: Path) -> Route:
        """Where a recipient's mail goes. Senders that have to be remembered for it are."""
        facts = await self._facts.get(Question(recipient, sender))
        known = facts.resolved
        expansion = Expansion(recipient, facts.sender, self._rules, self._srs, self._now())
        while expansion.wanted or expansion.wanted_tokens:
            wanted = {address.key: address for address in expansion.wanted}
            if missing := [Question(address, sender) for key, address in wanted.items() if key not in known]:
                more = await routing.resolve(self._db, missing)
                known = {**known, **more[missing[0]].resolved}
            expansion.feed([known[key] for key in wanted])
            if expansion.wanted_tokens:
                expansion.feed_tokens(await routing.senders_of_tokens(self._db, expansion.wanted_tokens))
        route = expansion.route
        if route.tokens:
            await routing.keep_tokens(self._db, route.tokens, self._now())
        return route

    async def delivered(self, message_digest: bytes) -> frozenset[Row]:
        """The copies of a message that were delivered before."""
        return await self._delivered.get(message_digest)

    async def remember(self, message_digest: bytes, rows: Collection[Row]) -> None:
        """Remembers that copies were delivered, in one statement."""
        await deliveries.add(self._db, message_digest, rows, self._now())

    async def forget(self, message_digest: bytes, recipients: Iterable[str]) -> None:
        """Forgets the copies for recipients (lower case) whose mail will not come again."""
        await deliveries.remove(self._db, message_digest, recipients)

    async def take_report(self, mailing_list_id: int, address: str) -> bool:
        """Whether a refused member (lower case) is still to be reported today. If so, it now counts as reported."""
        return await deliveries.take_report(self._db, mailing_list_id, address, self._now().date())
