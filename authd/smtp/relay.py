"""Connections to a downstream and their pool: the asyncio side of relay_session.py. Every await has a time limit.

What is sent when, and what happens to a transaction whose connection breaks, is in leg.py.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from authd.config.values import Downstream
from authd.deadline import Deadline
from authd.smtp import replies, starttls
from authd.smtp.grammar import MailParameters, Path, RecipientParameters
from authd.smtp.relay_session import DownstreamError, RelaySession
from authd.smtp.replies import Reply
from authd.smtp.starttls import NO_TLS, HandshakeFailed, MailTls
from authd.smtp.transparency import dot_encoded

_log = logging.getLogger(__name__)
_PIECE = 65536      # bytes written at once; more are in flight only while the server keeps up
_GOODBYE, _LAST_GOODBYE = 5.0, 1.0  # seconds that a server gets to answer QUIT: before we stop, and then
_IDLE = 9.0         # seconds that an unused connection is kept: servers that are short of them close after 10
_MOST_MAILS, _MANY_RECIPIENTS = 90, 100    # a connection that had so many is not used again: OpenSMTPD allows 100 and 1000


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds: to connect, for a reply or for the server to take bytes, and for the reply to the end of data."""

    connect: float
    reply: float
    data: float


class Relay:
    """One downstream and the connections to it that nobody uses. `offers_dsn`: its last EHLO offered DSN."""

    def __init__(self, target: Downstream, hostname: str, timeouts: Timeouts,
                 tls: Callable[[], MailTls] = lambda: NO_TLS) -> None:
        self.target = target
        self.offers_dsn = False
        self._hostname = hostname
        self._timeouts = timeouts
        self._tls = tls
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._has_closed = asyncio.Event()
        self._is_closed = False

    async def acquire(self, *, fresh: bool = False) -> "Connection":
        """A connection that waits for MAIL, with `fresh` one that served nobody yet. DownstreamError: there is none."""
        if self._idle and not fresh:
            connection = self._idle.pop()
            connection.take()
            return connection
        connection = await self._connect()
        self.offers_dsn = "DSN" in connection.extensions
        return connection

    async def _connect(self) -> "Connection":
        """With TLS as the configuration wants it: what is required stands or there is no connection."""
        target = self.target
        if target.tls == "off":
            return await self._greeted(None)
        try:
            return await self._greeted(self._tls().clients[target.tls])
        except HandshakeFailed as error:
            if target.tls == "required":
                raise DownstreamError(f"no TLS with {target}: {error}", replies.DOWNSTREAM_INSECURE) from error
            _log.warning("no TLS with %s, so mail goes there in plain text: %s", target, error)
        return await self._greeted(None)

    async def _greeted(self, context: ssl.SSLContext | None) -> "Connection":
        """A connection that waits for MAIL. Raises DownstreamError, or HandshakeFailed where `context` leads to no TLS."""
        connection = await self._opened()
        try:
            await connection.greet()
            if context is not None and not await connection.secure(context) and self.target.tls == "required":
                raise HandshakeFailed("it does not offer it")
        except BaseException:
            connection.abort()
            self.closed(connection)  # of which asyncio may not tell, after a handshake
            raise
        return connection

    async def _opened(self) -> "Connection":
        loop, target = asyncio.get_running_loop(), self.target

        def new_connection() -> Connection:
            return Connection(self, RelaySession(self._hostname, lmtp=target.lmtp), self._timeouts, loop)

        try:
            async with asyncio.timeout(self._timeouts.connect):
                if target.socket:
                    _, connection = await loop.create_unix_connection(new_connection, target.socket)
                else:
                    _, connection = await loop.create_connection(new_connection, target.host, target.port)
        except (OSError, TimeoutError) as error:
            raise DownstreamError(f"cannot connect to {self.target}: {error!r}", replies.DOWNSTREAM_UNREACHABLE) from error
        return connection

    def put_back(self, connection: "Connection") -> bool:
        """Keeps a connection for others, unless nobody will come any more."""
        if not self._is_closed:
            self._idle.append(connection)
        return not self._is_closed

    def forget(self, connection: "Connection") -> None:
        """The connection is of no use to others."""
        if connection in self._idle:
            self._idle.remove(connection)

    def opened(self, connection: "Connection") -> None:
        """The connection stands."""
        self._open.add(connection)

    def closed(self, connection: "Connection") -> None:
        """The connection is no more."""
        self._open.discard(connection)
        self._has_closed.set()

    async def close(self) -> None:
        """Takes leave of the downstream, which gets a moment to answer; then all connections are closed."""
        self._is_closed = True
        for connection in list(self._idle):
            connection.quit()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_GOODBYE):
                while self._open:
                    self._has_closed.clear()
                    await self._has_closed.wait()
        for connection in list(self._open):
            connection.abort()
        await asyncio.sleep(0)


class Connection(asyncio.Protocol):
    """One session with the downstream. Every coroutine raises DownstreamError once the connection is of no use."""

    def __init__(self, relay: Relay, session: RelaySession, timeouts: Timeouts, loop: asyncio.AbstractEventLoop) -> None:
        self._relay = relay
        self._session = session
        self._timeouts = timeouts
        self._loop = loop
        self._deadline = Deadline(loop, self._timed_out)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: DownstreamError | None = None
        self._is_full = False
        self._is_released = False
        self._mails = 0
        self._recipients = 0
        self._last_piece = b""

    @property
    def extensions(self) -> frozenset[str]:
        """The keywords of the server's EHLO."""
        return self._session.extensions

    async def greet(self) -> None:
        """Waits for the greeting and says EHLO, or HELO to who does not know it; LHLO has nothing to fall back on."""
        reply = await self._reply(self._timeouts.reply)
        if reply.is_positive:
            reply = await self._command(self._session.ehlo())
            if reply.code >= 500 and not self._relay.target.lmtp:
                reply = await self._command(self._session.helo())
        if not reply.is_positive:
            raise _refusal(reply)

    async def secure(self, context: ssl.SSLContext) -> bool:
        """Goes on in TLS and learns the extensions anew. False: the server does not offer it, or has just refused it.

        Raises HandshakeFailed too; the connection is closed then.
        """
        if "STARTTLS" not in self.extensions:
            return False
        reply = await self._command(self._session.starttls())
        transport = self._transport
        if self._error is not None or transport is None:
            raise self._error or DownstreamError("the next server closed the connection")
        if not reply.is_positive:
            if not self._session.is_usable:
                raise _refusal(reply)
            return False
        self._transport = None
        self.connection_made(await starttls.begin(
            transport, self, context, self._timeouts.connect, server_hostname=self._relay.target.host))
        self._session.secured()
        reply = await self._command(self._session.ehlo())
        if not reply.is_positive:
            raise _refusal(reply)
        return True

    async def envelope(self, sender: tuple[Path, MailParameters] | None,
                       recipients: Sequence[tuple[Path, RecipientParameters]]) -> list[Reply]:
        """Begins a transaction, where there is a sender, and adds recipients: in one write if the server offers PIPELINING.

        The replies in their order. The last one is the reply to a sender who is refused, or the 421 of a server that leaves.
        """
        self._mails += sender is not None
        self._recipients += len(recipients)
        if self._error is not None:
            raise self._error
        self._send(self._session.envelope(sender, recipients))
        replies: list[Reply] = []
        is_refused = False
        while len(replies) < len(recipients) + (sender is not None):
            try:
                reply = await self._reply(self._timeouts.reply)
            except DownstreamError:
                if is_refused:  # that was said, and a server may close after it
                    break
                raise
            replies.append(reply)
            is_refused = sender is not None and not replies[0].is_positive
            if reply.code == 421 or (is_refused and "PIPELINING" not in self.extensions):
                break
        return replies[:1] if is_refused else replies

    async def data(self) -> list[Reply]:
        """Asks for the go-ahead: 354, or why not."""
        return [await self._command(self._session.data())]

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

    async def end_of_data(self, recipients: int) -> list[Reply]:
        """Ends the content: the server may deliver from here on. Its verdict for each of the recipients that it took."""
        early = self._session.next_reply()
        if early is not None:
            return [early] * recipients
        verdicts = recipients if self._relay.target.lmtp else 1
        last_piece, self._last_piece = self._last_piece, b""
        replies = [await self._command(last_piece + self._session.end_of_data(verdicts), self._timeouts.data)]
        try:
            while len(replies) < verdicts:
                replies.append(await self._reply(self._timeouts.data))
        except DownstreamError as error:  # who was answered 250 has the message
            replies += [error.reply] * (verdicts - len(replies))
        return replies if self._relay.target.lmtp else replies * recipients

    def has_had_enough(self, reply: Reply) -> bool:
        """Whether that reply is about this connection, so that a fresh one may get another."""
        return reply.code == 421 or (reply.code == 452 and self._mails > 1)

    def take(self) -> None:
        """Is in use again."""
        self._is_released = False
        self._deadline.clear()

    def release(self) -> None:
        """Gives the connection to whoever comes next. A transaction that was begun is given up first."""
        if not self._is_useful or self._mails >= _MOST_MAILS or self._recipients >= _MANY_RECIPIENTS:
            self.quit()
            return
        self._is_released = True
        self._deadline.set(_IDLE)
        if self._session.in_transaction:
            self._send(self._session.reset())
        elif not self._relay.put_back(self):
            self.quit()

    def quit(self) -> None:
        """Takes leave, without waiting for it."""
        self._relay.forget(self)
        if self._is_useful:
            self._is_released = True
            self._deadline.set(_GOODBYE)
            self._send(self._session.quit())
        else:
            self.abort()

    def abort(self) -> None:
        """Closes at once. A message whose end was not sent yet is not delivered."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def _is_useful(self) -> bool:
        return self._error is None and self._session.is_idle

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    async def _command(self, command: bytes, seconds: float | None = None) -> Reply:
        if self._error is not None:
            raise self._error
        self._send(command)
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
        self._send(data)
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
        self._relay.forget(self)
        if self._error is None:
            self._error = error
        self.abort()
        self._wake()

    def _timed_out(self) -> None:
        if self._is_released:
            self.quit()
        else:
            self._fail(DownstreamError("the next server was silent for too long"))

    def _answered_after_release(self) -> None:
        """The reply to RSET came: the connection is free. Anything else is the end."""
        reply = self._session.next_reply()
        if reply is None:
            return
        if not (reply.is_positive and self._is_useful and self._relay.put_back(self)):
            self.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=4 * _PIECE)
        self._transport = transport
        self._relay.opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._session.receive(data)
        except DownstreamError as error:
            self._fail(error)
            return
        if command := self._session.next_command():
            self._send(command)
            self._deadline.set(self._timeouts.reply)
        elif self._is_released:
            self._answered_after_release()
        else:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(DownstreamError(f"the next server closed the connection: {exc!r}", was_lost=True))
        self._transport = None
        self._deadline.stop()
        self._relay.closed(self)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._wake()


def _refusal(reply: Reply) -> DownstreamError:
    return DownstreamError(f"the next server refuses its service: {reply}", replies.DOWNSTREAM_UNUSABLE)
