"""One transaction with a downstream. It is begun anew once where its connection breaks before the content is asked for.

Which messages go where, and what is put before them, is the pipelines' business (signer.py).
"""

from collections.abc import Awaitable, Callable, Iterable

from authd.smtp.grammar import MailParameters, Path, RecipientParameters
from authd.smtp.relay import Connection, Relay
from authd.smtp.relay_session import DownstreamError
from authd.smtp.replies import Reply, passed_on


class Leg:
    """Sender, recipients, content and end, in this order. Replies are what a client may read.

    Every coroutine raises DownstreamError; once one did, all do.
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

    async def mail(self) -> Reply:
        """Names the sender, on a connection that others may have used."""
        self._connection = await self._relay.acquire()
        reply = passed_on(await self._ask(self._send_mail))
        self._is_begun = reply.is_positive
        return reply

    async def recipient(self, path: Path, parameters: RecipientParameters) -> Reply:
        """Adds a recipient."""
        reply = passed_on(await self._ask(lambda connection: connection.recipient(path, parameters)))
        if reply.is_positive:
            self._recipients.append((path, parameters))
        return reply

    async def data(self) -> Reply | None:
        """Asks for the go-ahead. None: it was given; otherwise why it was not."""
        reply = await self._ask(Connection.data)
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

    async def _ask(self, question: Callable[[Connection], Awaitable[Reply]]) -> Reply:
        connection = self._open_connection()
        try:
            reply = await question(connection)
            if not (self._may_begin_anew and connection.has_had_enough(reply)):
                return reply
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
            again = [await self._send_mail(connection)]
            again += [await connection.recipient(path, parameters) for path, parameters in self._recipients]
            if not all(reply.is_positive for reply in again):
                self.give_up()
                raise DownstreamError("the next server refuses now what it accepted on a connection that broke")
        return connection

    async def _send_mail(self, connection: Connection) -> Reply:
        return await connection.mail(self._sender, self._parameters)
