"""Connections to a downstream: the asyncio side of relay_session.py. Every await has a time limit.

What is sent when is the pipelines' business (signer.py).
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from authd.config.values import Endpoint
from authd.smtp import replies
from authd.smtp.deadline import Deadline
from authd.smtp.grammar import MailParameters, Path, RecipientParameters
from authd.smtp.relay_session import DownstreamError, RelaySession
from authd.smtp.replies import Reply
from authd.smtp.transparency import dot_encoded

_PIECE = 65536     # bytes written at once; more are in flight only while the server keeps up
_GOODBYE = 5.0     # seconds that a server gets to answer QUIT


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds: to connect, for a reply or for the server to take bytes, and for the reply to the end of data."""

    connect: float
    reply: float
    data: float


class Relay:
    """One downstream. `offers_dsn`: its last EHLO offered DSN."""

    def __init__(self, target: Endpoint, hostname: str, timeouts: Timeouts) -> None:
        self.target = target
        self.offers_dsn = False
        self._hostname = hostname
        self._timeouts = timeouts

    async def acquire(self) -> "Connection":
        """A connection that waits for MAIL. DownstreamError where there is none to be had."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeouts.connect):
                _, connection = await loop.create_connection(
                    lambda: Connection(RelaySession(self._hostname), self._timeouts, loop), self.target.host, self.target.port)
        except (OSError, TimeoutError) as error:
            raise DownstreamError(f"cannot connect to {self.target}: {error!r}", replies.DOWNSTREAM_UNREACHABLE) from error
        try:
            await connection.greet()
        except BaseException:
            connection.abort()
            raise
        self.offers_dsn = "DSN" in connection.extensions
        return connection

    def release(self, connection: "Connection") -> None:
        """Takes a connection back that is in no transaction."""
        connection.quit()


class Connection(asyncio.Protocol):
    """One session with the downstream. Every method raises DownstreamError once the connection is of no use."""

    def __init__(self, session: RelaySession, timeouts: Timeouts, loop: asyncio.AbstractEventLoop) -> None:
        self._session = session
        self._timeouts = timeouts
        self._loop = loop
        self._deadline = Deadline(loop, self._timed_out)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: DownstreamError | None = None
        self._is_full = False
        self._is_leaving = False
        self._last_piece = b""

    @property
    def extensions(self) -> frozenset[str]:
        """The keywords of the server's EHLO."""
        return self._session.extensions

    async def greet(self) -> None:
        """Waits for the greeting and says EHLO, or HELO to who does not know it."""
        reply = await self._reply(self._timeouts.reply)
        if reply.is_positive:
            reply = await self._command(self._session.ehlo())
            if reply.code >= 500:
                reply = await self._command(self._session.helo())
        if not reply.is_positive:
            raise DownstreamError(f"the next server refuses its service: {reply}", replies.DOWNSTREAM_UNUSABLE)

    async def mail(self, sender: Path, parameters: MailParameters) -> Reply:
        """Begins a transaction."""
        return await self._command(self._session.mail(sender, parameters))

    async def recipient(self, path: Path, parameters: RecipientParameters) -> Reply:
        """Adds a recipient."""
        return await self._command(self._session.recipient(path, parameters))

    async def data(self) -> Reply:
        """Asks for the go-ahead: 354, or why not."""
        return await self._command(self._session.data())

    async def content(self, content: Iterable[bytes]) -> None:
        """After 354: sends the message but for its last piece, which travels with its end."""
        pieces: list[bytes] = []
        size = 0
        for piece in dot_encoded(content):
            pieces.append(piece)
            size += len(piece)
            if size >= _PIECE:
                if not await self._write(b"".join(pieces)):
                    return
                pieces.clear()
                size = 0
        self._last_piece = b"".join(pieces)

    async def end_of_data(self) -> Reply:
        """Ends the content: the server may deliver from here on. Its verdict on the message."""
        early = self._session.next_reply()
        if early is not None:
            return early
        last_piece, self._last_piece = self._last_piece, b""
        return await self._command(last_piece + self._session.end_of_data(), self._timeouts.data)

    def quit(self) -> None:
        """Takes leave, without waiting for it. A transaction that was begun is given up."""
        if self._error is not None or self._transport is None or not self._session.is_idle:
            self.abort()
            return
        self._is_leaving = True
        self._deadline.set(_GOODBYE)
        self._transport.write(self._session.quit())

    def abort(self) -> None:
        """Closes at once. A message whose end was not sent yet is not delivered."""
        if self._transport is not None:
            self._transport.abort()

    async def _command(self, command: bytes, seconds: float | None = None) -> Reply:
        if self._error is not None:
            raise self._error
        assert self._transport is not None
        self._transport.write(command)
        return await self._reply(self._timeouts.reply if seconds is None else seconds)

    async def _reply(self, seconds: float) -> Reply:
        self._deadline.set(seconds)
        while (reply := self._session.next_reply()) is None:
            if self._error is not None:
                raise self._error
            await self._something()
        self._deadline.clear()
        return reply

    async def _write(self, data: bytes) -> bool:
        """Sends a piece of content and waits until the server takes more. False: it has refused the message already."""
        if self._error is None and self._transport is not None:
            self._transport.write(data)
            self._deadline.set(self._timeouts.reply)
            await asyncio.sleep(0)
            while self._is_full and self._error is None and not self._session.has_reply:
                await self._something()
            self._deadline.clear()
        if self._session.has_reply:
            return False
        if self._error is not None:
            raise self._error
        return True

    async def _something(self) -> None:
        """Waits until bytes came, or can go, or nothing will."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: DownstreamError) -> None:
        if self._error is None:
            self._error = error
        self.abort()
        self._wake()

    def _timed_out(self) -> None:
        self._fail(DownstreamError("the next server was silent for too long"))

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=4 * _PIECE)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._session.receive(data)
        except DownstreamError as error:
            self._fail(error)
            return
        if self._is_leaving:
            self.abort()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.stop()
        self._fail(DownstreamError(f"the next server closed the connection: {exc!r}"))

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._wake()
