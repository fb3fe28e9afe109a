"""One transaction with a downstream. It is begun anew once where its connection breaks before the content is asked for.

Which messages go where, and what is put before them, is the pipelines' business (signer.py).
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from authd.smtp.grammar import MailParameters, Path, RecipientParameters
from authd.smtp.relay import Connection, Relay
from authd.smtp.relay_session import DownstreamError
from authd.smtp.replies import DOWNSTREAM_LOST, Reply, passed_on


class Leg:
    """Sender, recipients, content and end, in this order. Replies are what a client may read.

    Every coroutine raises DownstreamError; once one did, the leg is of no use.
    """

    def __init__(self, relay: Relay, sender: Path, parameters: MailParameters) -> None:
        self._relay = relay
        self._sender = sender
        self._parameters = parameters
        self._recipients: list[tuple[Path, RecipientParameters]] = []
        self._connection: Connection | None = None
        self._is_begun = False
        self._may_begin_anew = True

    @property
    def extensions(self) -> frozenset[str]:
        """What the downstream offers."""
        return frozenset() if self._connection is None else self._connection.extensions

    @property
    def is_begun(self) -> bool:
        """Whether the downstream has taken the sender."""
        return self._is_begun

    async def mail(self) -> Reply:
        """Names the sender, on a connection that others may have used."""
        reply, _ = await self._begin([])
        return reply

    async def recipients(self, recipients: Sequence[tuple[Path, RecipientParameters]]) -> list[Reply]:
        """Adds recipients; names the sender first, where that was not done. If it is refused, all recipients are."""
        if not self._is_begun:
            reply, taken = await self._begin(recipients)
            return taken if self._is_begun else [reply] * len(recipients)
        return self._taken(recipients, await self._ask(lambda connection: connection.envelope(None, recipients)))

    async def data(self) -> Reply | None:
        """Asks for the go-ahead. None: it was given; otherwise why it was not."""
        [reply] = await self._ask(Connection.data)
        return None if reply.code == 354 else passed_on(reply)

    async def content(self, content: Iterable[bytes]) -> None:
        """Sends the message, but not its end: nothing is delivered yet."""
        await self._open_connection().content(content)

    async def end_of_data(self) -> list[Reply]:
        """Ends the message. Its verdicts, one for each recipient that was taken: 250 means that the downstream has it."""
        return [passed_on(reply) for reply in await self._open_connection().end_of_data(len(self._recipients))]

    def give_up(self) -> None:
        """Ends the transaction, wherever it is, and lets go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise DownstreamError("the transaction was given up")
        return self._connection

    async def _begin(self, recipients: Sequence[tuple[Path, RecipientParameters]]) -> tuple[Reply, list[Reply]]:
        sender = self._sender, self._parameters
        self._connection = await self._relay.acquire()
        mail, *replies = await self._ask(lambda connection: connection.envelope(sender, recipients))
        self._is_begun = mail.is_positive
        return passed_on(mail), self._taken(recipients, replies)

    def _taken(self, recipients: Sequence[tuple[Path, RecipientParameters]], replies: Sequence[Reply]) -> list[Reply]:
        """A reply for each recipient, also for those before whom the downstream left."""
        self._recipients += [recipient for recipient, reply in zip(recipients, replies, strict=False) if reply.is_positive]
        return [*map(passed_on, replies), *[DOWNSTREAM_LOST] * (len(recipients) - len(replies))]

    async def _ask(self, question: Callable[[Connection], Awaitable[list[Reply]]]) -> list[Reply]:
        connection = self._open_connection()
        try:
            replies = await question(connection)
            if not (self._may_begin_anew and any(map(connection.has_had_enough, replies))):
                return replies
        except DownstreamError as error:
            if not (self._may_begin_anew and error.was_lost):
                self.give_up()
                raise
        return await question(await self._begin_anew())

    async def _begin_anew(self) -> Connection:
        """Comes on a fresh connection to where the lost one was."""
        self._may_begin_anew = False
        self.give_up()
        self._connection = connection = await self._relay.acquire(fresh=True)
        if self._is_begun:
            again = await connection.envelope((self._sender, self._parameters), self._recipients)
            if not all(reply.is_positive for reply in again):
                self.give_up()
                raise DownstreamError("the next server refuses now what it accepted on a connection that broke")
        return connection
