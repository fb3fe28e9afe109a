"""The asyncio side of session.py: a listening socket, its clients, their limits and their end.

What becomes of a message is a Pipeline's business (pipeline.py); which command may come when is session.py's.
"""

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Sequence

from authd.config import values
from authd.config.settings import SmtpSettings
from authd.config.values import Endpoint
from authd.deadline import Deadline
from authd.identity.addresses import is_within
from authd.smtp import replies, starttls
from authd.smtp.message import Client
from authd.smtp.pipeline import Pipeline, reply_to_error
from authd.smtp.replies import Reply
from authd.smtp.session import (
    Answered,
    Closed,
    Content,
    DataStart,
    EndOfData,
    Limits,
    Mail,
    NeedData,
    Question,
    Recipient,
    Reset,
    Session,
    StartTls,
)
from authd.smtp.spool import Spool, Spools
from authd.smtp.starttls import NO_TLS, HandshakeFailed, MailTls

_log = logging.getLogger(__name__)
_LOOPBACK = values.networks(["127.0.0.0/8", "::1"])
_READ_AHEAD = 262144       # bytes of pipelined commands that may wait before reading pauses
_EVENTS_AT_A_TIME = 50     # before other connections get their turn
_HELD_BACK = 1.0           # seconds for which replies to pipelined commands wait for each other
_HANDSHAKE = 30.0          # seconds that a client gets for a TLS handshake
_LINGER = 5.0              # seconds that a client gets to read our last words and to close


class Listener:
    """One listening socket and its clients."""

    def __init__(self, endpoint: Endpoint, settings: SmtpSettings, hostname: str, new_pipeline: Callable[[], Pipeline], *,
                 spools: Spools, offers_dsn: Callable[[], bool], tls: Callable[[], MailTls] = lambda: NO_TLS) -> None:
        self.settings = settings
        self.spools = spools
        self.hostname = hostname
        self.limits = Limits(settings.max_message_size, settings.max_recipients, settings.max_command_line,
                             settings.max_bad_commands)
        self.new_pipeline = new_pipeline
        self.offers_dsn = offers_dsn
        self.tls = tls
        self.is_stopping = False
        self.address = (endpoint.host, endpoint.port)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._addresses: Counter[str] = Counter()
        self._has_left = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def start(self) -> None:
        """Begins to listen; from then on `address` has the real port. OSError where the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self, loop), *self.address, backlog=512)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = (host, port)

    async def stop(self, grace_seconds: float) -> None:
        """Takes no more clients, tells idle ones to leave, and gives running transactions time to finish."""
        self.is_stopping = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.stop_if_idle()
        try:
            async with asyncio.timeout(grace_seconds):
                while self._connections:
                    self._has_left.clear()
                    await self._has_left.wait()
        except TimeoutError:
            _log.warning("%d clients were still in a transaction", len(self._connections))
            await asyncio.gather(*(connection.end() for connection in list(self._connections)))

    def admit(self, connection: "_Connection", address: str) -> bool:
        """Whether there is room for another client of that address; if so it counts until `leave`."""
        if len(self._connections) >= self.settings.max_connections:
            return False
        if self._addresses[address] >= self.settings.max_connections_per_address and not self.serves(address):
            return False
        self._connections.add(connection)
        self._addresses[address] += 1
        return True

    def leave(self, connection: "_Connection", address: str) -> None:
        """Undoes `admit`."""
        if connection in self._connections:
            self._connections.remove(connection)
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
        self._has_left.set()

    def serves(self, address: str) -> bool:
        """Whether a client of that address may send through us. One that may has no limit of connections for its address."""
        return is_within(address, (*_LOOPBACK, *self.settings.allow_clients))


class _Connection(asyncio.Protocol):
    """One client: drives its session machine and asks its pipeline."""

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._loop = loop
        self._session = Session(listener.hostname, listener.limits, offers_dsn=listener.offers_dsn,
                                normalise_bare_lf=listener.settings.normalise_bare_lf,
                                has_tls=listener.tls().server is not None)
        self._pipeline = listener.new_pipeline()
        self._spool: Spool | None = None
        self._declared_size: int | None = None
        self._deadline = Deadline(loop, self._timed_out)
        self._transaction_ends = 0.0
        self._sent_at = 0.0
        self._address = ""
        self._is_served = False
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._has_new_input = False
        self._is_reading = True
        self._is_full = False      # the client does not read
        self._is_at_end = False    # the client does not write any more

    def stop_if_idle(self) -> None:
        """Ends a session that is in no transaction."""
        if not self._session.in_transaction:
            self._session.close(replies.STOPPING)
            self._wake()
            if self._transport is None and self._task is not None:  # in a handshake, where nothing can be said
                self._task.cancel()

    async def end(self) -> None:
        """Ends the session wherever it is."""
        self._session.close(replies.STOPPING)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._transport is not None:
            self._transport.abort() if self._transport.is_closing() else self._transport.close()

    async def _run(self) -> None:
        try:
            await self._converse()
        except Exception:
            _log.exception("a session failed by an error of ours")
            self._session.close(replies.SESSION_FAILED)
        finally:
            self._give_up()
            self._send()
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        """Closes our end. Closing both while the client still writes would make its system throw our last reply away."""
        transport = self._transport
        if transport is None:
            return
        if self._is_at_end:
            transport.close()
            return
        transport.resume_reading()
        if transport.can_write_eof():
            transport.write_eof()
        else:  # TLS: says that nothing follows, and waits for the client to say the same
            transport.close()
        self._deadline.set(_LINGER)

    async def _converse(self) -> None:
        for number in itertools.count(1):
            event = self._session.next_event()
            match event:
                case NeedData():
                    if not await self._more_input():
                        return
                case Content():
                    assert self._spool is not None
                    await self._spool.append(event.data)
                case Answered():
                    pass
                case Reset():
                    self._give_up()
                case StartTls():
                    if not await self._start_tls():
                        return
                case Closed():
                    return
                case _:
                    await self._answer(event)
            if number % _EVENTS_AT_A_TIME == 0:
                await asyncio.sleep(0)

    async def _answer(self, question: Question) -> None:
        try:
            answer = await self._decide(question)
        except Exception as error:
            self._give_up()
            answer = reply_to_error(error)
        if isinstance(question, EndOfData):
            self._session.answer(*([answer] * self._session.answers_expected if isinstance(answer, Reply) else answer))
            heard = self._transport is not None and not self._has_left()
            self._send()
            await self._pipeline.answered(heard)
            self._close_spool()
        else:
            self._session.answer(*([answer] if isinstance(answer, Reply) else answer))
            if self._loop.time() - self._sent_at > _HELD_BACK:
                self._send()

    async def _start_tls(self) -> bool:
        """Goes on in TLS. False: the handshake failed, and the connection with it."""
        self._send()
        transport, context = self._transport, self._listener.tls().server
        if transport is None or context is None or transport.get_write_buffer_size():
            self._session.answer(replies.TLS_UNAVAILABLE)
            return True
        self._session.answer(replies.READY_FOR_TLS)
        self._send()
        self._transport = None
        try:
            self._transport = await starttls.begin(transport, self, context, _HANDSHAKE)
        except HandshakeFailed as error:
            _log.info("no TLS with %s: %s", self._address, error)
        finally:
            if self._transport is None:  # which asyncio may keep for itself
                self._listener.leave(self, self._address)
                self._deadline.stop()
        self._is_reading = True
        return self._transport is not None

    async def _decide(self, question: Question) -> Reply | Sequence[Reply]:
        match question:
            case Mail():
                if not self._is_served:
                    return replies.CLIENT_REFUSED
                self._transaction_ends = self._loop.time() + self._listener.settings.transaction_timeout
                self._declared_size = question.parameters.size
                client = Client(self._session.client_name, self._address, self._session.protocol)
                return await self._pipeline.mail(question, client)
            case Recipient():
                return await self._pipeline.recipient(question)
            case DataStart():
                answer = await self._pipeline.data()
                if answer.code == 354:
                    try:
                        self._spool = await self._listener.spools.open(self._declared_size, self._transaction_ends)
                    except TimeoutError:
                        self._give_up()
                        return replies.SPOOL_FULL
                return answer
            case EndOfData():
                return await self._end_of_data(question.refusal)

    async def _end_of_data(self, refusal: Reply | None) -> Reply | Sequence[Reply]:
        spool = self._spool
        assert spool is not None
        spool.complete()
        if self._has_left():
            refusal = replies.CLIENT_LEFT
        elif spool.is_incomplete and refusal is None:
            refusal = replies.SPOOL_FULL
        if refusal is None:
            return await self._pipeline.end_of_data(spool)
        self._give_up()
        return refusal

    def _give_up(self) -> None:
        self._pipeline.give_up()
        self._close_spool()

    def _close_spool(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _has_left(self) -> bool:
        """Whether the client closed its end and nothing that it said is unread: one that quits properly is still there.

        In TLS, where a connection is never half closed, nobody is.
        """
        return self._is_at_end and (self._session.is_secure or self._session.waiting_input == 0)

    def _leave(self) -> None:
        """Ends what goes on for a client that has left."""
        if self._pipeline.is_committing:
            self._pipeline.client_left()
        elif self._task is not None:
            self._task.cancel()

    async def _more_input(self) -> bool:
        """Sends what is due and waits for bytes. False: none will come. Everything that arrived so far is dealt with."""
        self._has_new_input = False
        if self._listener.is_stopping and not self._session.in_transaction:
            self._session.close(replies.STOPPING)
            return True
        self._send()
        if not self._is_reading and self._transport is not None:
            self._is_reading = True
            self._transport.resume_reading()
        patience = self._listener.settings.idle_timeout
        if self._session.in_transaction:
            patience = min(patience, self._transaction_ends - self._loop.time())
        self._deadline.set(patience)
        while not self._session.is_closed and (self._is_full or not self._has_new_input):
            if self._is_at_end:
                return False
            self._waiter = self._loop.create_future()
            await self._waiter
        self._deadline.clear()
        return True

    def _send(self) -> None:
        output = self._session.take_output()
        if output and self._transport is not None and not self._transport.is_closing():
            self._transport.write(output)
        self._sent_at = self._loop.time()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _timed_out(self) -> None:
        if self._task is None or self._task.done():
            if self._transport is not None:
                self._transport.abort()
            return
        too_long = self._session.in_transaction and self._loop.time() >= self._transaction_ends
        self._session.close(replies.TRANSACTION_TOO_LONG if too_long else replies.IDLE_TOO_LONG)
        self._wake()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        peer = transport.get_extra_info("peername")
        if peer is None:  # it has gone already
            transport.abort()
            return
        self._transport, self._address = transport, str(peer[0])
        self._is_served = self._listener.serves(self._address)
        if self._listener.is_stopping or not self._listener.admit(self, self._address):
            refusal = replies.STOPPING if self._listener.is_stopping else replies.TOO_MANY_CONNECTIONS
            transport.write(bytes(refusal))
            transport.close()
        else:
            self._task = self._loop.create_task(self._run())

    def data_received(self, data: bytes) -> None:
        if self._session.is_closed:
            return
        self._session.receive(data)
        self._has_new_input = True
        if self._session.waiting_input > _READ_AHEAD and self._is_reading and self._transport is not None:
            self._is_reading = False
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._is_at_end = True
        if self._has_left():
            self._leave()
        return self._task is not None and not self._task.done() and not self._session.is_secure  # else asyncio closes

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_at_end = True
        self._listener.leave(self, self._address)
        self._leave()
        self._transport = None
        self._deadline.stop()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._wake()
