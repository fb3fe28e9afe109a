"""The two ends of a relay under test: a sink that keeps messages and misbehaves to order, and a source that sends them.

Neither shares code with authd/smtp, so that a mistake there is not repeated here. Used by the benchmarks too.
"""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from authd.config.settings import SmtpSettings
from authd.config.values import Endpoint, Mapping, TlsPolicy
from authd.errors import AuthdError
from authd.keys.facts import DkimKey, DkimKeys
from authd.smtp.signer import SignerListener
from authd.smtp.spool import Spools
from authd.smtp.starttls import NO_TLS, MailTls

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
CLOSE = "close"        # a fault: the sink closes the connection instead of answering
SILENT = "silent"      # a fault: the sink never answers
HOLD = "hold"          # a fault: the sink answers when `let_go` is called
MESSAGE = b"From: Ann <ann@example.com>\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\nHello Bob.\r\n"


@dataclass
class Delivered:
    """A message that the sink has answered 250, with dots decoded."""

    mail: bytes
    recipients: list[bytes]
    content: bytes


@dataclass
class Sink:
    """A server that takes every message, and keeps them unless `keep` is false. With `lmtp` it answers each recipient; with
    `tls` it knows STARTTLS, and puts a `*` before each command that came through TLS; bytes there answer the handshake.

    `faults` maps a step (banner, EHLO, HELO, MAIL, RCPT, DATA, content, end, RSET) to replies given instead of its own, one for
    each time the step comes: a reply line, CLOSE, SILENT, HOLD, or None for its own.
    """

    faults: dict[str, list[str | None]] = field(default_factory=dict)
    extensions: tuple[str, ...] = ("8BITMIME", "SIZE 100000000", "ENHANCEDSTATUSCODES", "DSN")
    keep: bool = True
    lmtp: bool = False
    tls: ssl.SSLContext | bytes | None = None
    delivered: list[Delivered] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    connections: int = 0
    content_size: int = 0
    port: int = 0
    arrived: defaultdict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    open: set[asyncio.Transport] = field(default_factory=set)
    held: list[Callable[[], None]] = field(default_factory=list)

    async def holds(self, number: int) -> None:
        """Waits until so many replies are held back."""
        while len(self.held) < number:
            self.arrived["hold"].clear()
            await asyncio.wait_for(self.arrived["hold"].wait(), 10)

    def let_go(self) -> None:
        """Gives the replies that are held back."""
        for reply in self.held:
            reply()
        self.held.clear()

    def fault(self, step: str) -> str | None:
        """What was ordered for this time of the step."""
        self.arrived[step].set()
        ordered = self.faults.get(step)
        return ordered.pop(0) if ordered else None


class _SinkConnection(asyncio.Protocol):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._input = bytearray()
        self._in_content = self._is_first = False
        self._is_deaf = False
        self._is_secure = False
        self._instead_of_tls: bytes | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._mail = b""
        self._recipients: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._sink.connections += 1
        self._sink.open.add(transport)
        self._say("banner", "220 sink ESMTP")

    def connection_lost(self, exc: Exception | None) -> None:
        self._sink.open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._instead_of_tls is not None:
            self._transport.write(self._instead_of_tls)
            return
        self._sink.content_size += len(data) if self._in_content else 0
        searched = max(0, len(self._input) - 5)
        self._input += data
        if self._handshake is not None and not self._handshake.done():
            return
        while not self._transport.is_closing() and not self._is_deaf:
            if self._in_content:
                fault = self._sink.fault("content")
                if fault is not None:
                    self._is_deaf = True
                    if fault == SILENT:
                        self._transport.pause_reading()
                    self._say_or_close(fault)
                    return
                end = self._input.find(b"\r\n.\r\n", searched)
                if self._is_first and self._input.startswith(b".\r\n"):
                    end = -2
                elif end < 0:
                    if not self._sink.keep and len(self._input) > 4:
                        self._is_first = False
                        del self._input[:-4]
                    return
                content = bytes(self._input[:end + 2])
                del self._input[:end + 5]
                self._in_content = False
                self._end(content)
            else:
                end = self._input.find(b"\r\n")
                if end < 0:
                    return
                line = bytes(self._input[:end])
                del self._input[:end + 2]
                self._command(line)
            searched = 0

    def _command(self, line: bytes) -> None:
        sink, verb = self._sink, line[:4].upper().decode("latin-1")
        if sink.keep:
            sink.commands.append(b"*" * self._is_secure + line)
        match verb:
            case "EHLO" if sink.lmtp:
                self._say(verb, "500 5.5.1 this is LMTP")
            case "EHLO" | "LHLO":
                offered = [*sink.extensions, *["STARTTLS"] * (sink.tls is not None and not self._is_secure)]
                self._say(verb, "\r\n".join([*(f"250-{x}" for x in ("sink", *offered)), "250 HELP"]))
            case "STAR" if sink.tls is not None:
                if self._say("STARTTLS", "220 2.0.0 go ahead"):
                    self._start_tls(sink.tls)
            case "MAIL":
                self._mail, self._recipients = line[10:], []
                self._say(verb, "250 2.1.0 sender taken")
            case "RCPT":
                if self._say(verb, "250 2.1.5 recipient taken"):
                    self._recipients.append(line[8:])
            case "DATA":
                if not self._recipients:
                    self._transport.write(b"503 5.5.1 no recipient\r\n")
                elif self._say(verb, "354 go ahead"):
                    self._in_content = self._is_first = True
            case "QUIT":
                self._say(verb, "221 2.0.0 bye")
                self._transport.close()
            case _:
                self._say(verb, "250 2.0.0 fine")

    def _start_tls(self, by: ssl.SSLContext | bytes) -> None:
        if isinstance(by, ssl.SSLContext):
            self._handshake = asyncio.create_task(self._shake_hands(by))
        else:
            self._instead_of_tls = by

    async def _shake_hands(self, context: ssl.SSLContext) -> None:
        plain = self._transport
        with suppress(OSError):
            secured = await asyncio.get_running_loop().start_tls(plain, self, context, server_side=True)
            assert secured is not None
            self._transport, self._is_secure = secured, True
            self._sink.open.add(secured)
            asyncio.get_running_loop().call_soon(self.data_received, b"")
        self._sink.open.discard(plain)

    def _end(self, content: bytes) -> None:
        content = (b"\r\n" + content).replace(b"\r\n.", b"\r\n")[2:] if self._sink.keep else b""
        for recipients in [[one] for one in self._recipients] if self._sink.lmtp else [self._recipients]:
            if self._say("end", "250 2.0.0 delivered") and self._sink.keep:
                self._sink.delivered.append(Delivered(self._mail, recipients, content))

    def _say(self, step: str, reply: str) -> bool:
        """Whether it is the sink's own reply that is said."""
        fault = self._sink.fault(step)
        if fault == HOLD:
            self._sink.held.append(lambda: self._transport.write(reply.encode("latin-1") + b"\r\n"))
            self._sink.arrived["hold"].set()
        else:
            self._say_or_close(reply if fault is None else fault)
        return fault in (None, HOLD)

    def _say_or_close(self, reply: str) -> None:
        if reply == CLOSE:
            self._transport.abort()
        elif reply != SILENT:
            self._transport.write(reply.encode("latin-1") + b"\r\n")


@asynccontextmanager
async def running_sink(sink: Sink) -> AsyncIterator[Sink]:
    """The sink on a port of its own, or on the one that it has."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _SinkConnection(sink), "127.0.0.1", sink.port)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
        for transport in list(sink.open):
            transport.abort()
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Lets the loop run until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


class Source:
    """A client on a raw connection, for scripted conversations."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def reply(self) -> str:
        """The next reply, its lines joined by LF; empty where the connection was closed."""
        lines = []
        while line := (await asyncio.wait_for(self.reader.readline(), 10)).decode("latin-1"):
            lines.append(line.removesuffix("\r\n"))
            if line[3:4] != "-":
                break
        return "\n".join(lines)

    async def command(self, line: str | bytes) -> str:
        """Sends a line and returns its reply."""
        await self.write((line.encode("latin-1") if isinstance(line, str) else line) + b"\r\n")
        return await self.reply()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Makes the handshake, after a 220 to STARTTLS."""
        await asyncio.wait_for(self.writer.start_tls(context, server_hostname="localhost"), 10)

    async def write(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def send(self, content: bytes = MESSAGE, sender: str = "ann@example.com",
                   recipients: Sequence[str] = ("bob@example.net",)) -> str:
        """A whole transaction; the reply that ended it. `content` is encoded here."""
        reply = await self.command(f"MAIL FROM:<{sender}>")
        for recipient in recipients:
            if reply.startswith("250"):
                reply = await self.command(f"RCPT TO:<{recipient}>")
        if not reply.startswith("250"):
            return reply
        reply = await self.command("DATA")
        if not reply.startswith("354"):
            return reply
        await self.write((b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")
        return await self.reply()


@asynccontextmanager
async def connected(address: tuple[str, int], *, greet: str | None = "EHLO client.example.com") -> AsyncIterator[Source]:
    """A client that has read the banner and, unless `greet` is None, has greeted."""
    reader, writer = await asyncio.open_connection(*address, limit=2**20)
    source = Source(reader, writer)
    try:
        if greet is not None:
            assert (await source.reply()).startswith("220")
            assert (await source.command(greet)).startswith("250")
        yield source
    finally:
        writer.close()


@cache
def rsa_key() -> DkimKey:
    """An RSA-2048 key, made once."""
    return DkimKey("rsa", "rsa-sha256", generate_private_key(65537, 2048))


@cache
def ed25519_key() -> DkimKey:
    """An Ed25519 key, made once."""
    return DkimKey("ed", "ed25519-sha256", Ed25519PrivateKey.generate())


@dataclass
class Keys:
    """Keys by domain, and addresses of lists; `error` is raised instead."""

    domains: dict[str, DkimKeys] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)
    error: AuthdError | Exception | None = None

    async def dkim_keys(self, domain: str) -> DkimKeys | None:
        if self.error is not None:
            raise self.error
        return self.domains.get(domain)

    async def is_list_sender(self, address: str) -> bool:
        return address.lower() in self.lists


def example_keys(*keys: DkimKey) -> Keys:
    """Keys for example.com (by default one RSA key)."""
    return Keys({"example.com": DkimKeys("example.com", keys or (rsa_key(),))})


@asynccontextmanager
async def running_signer(sink: Sink, keys: Keys, settings: SmtpSettings = SmtpSettings(hostname="mx.example.com"), *,
                         originated: bool = False, lifetime: float | None = None,
                         now: Callable[[], datetime] = lambda: NOW, spools: Spools | None = None,
                         tls: Callable[[], MailTls] = lambda: NO_TLS, policy: TlsPolicy = "off",
                         host: str = "127.0.0.1") -> AsyncIterator[SignerListener]:
    """A signer on a port of its own that delivers to the sink, which is at `host`."""
    mapping = Mapping(Endpoint("127.0.0.1", 0), Endpoint(host, sink.port), originated, policy)
    signer = SignerListener(mapping, settings, keys, keys, spools=spools or Spools(settings), now=now,
                            signature_lifetime=lifetime, tls=tls)
    await signer.start()
    try:
        yield signer
    finally:
        await signer.stop(1)


@asynccontextmanager
async def relaying(sink: Sink, keys: Keys, settings: SmtpSettings = SmtpSettings(hostname="mx.example.com"), *,
                   originated: bool = False,
                   lifetime: float | None = None,
                   spools: Spools | None = None) -> AsyncIterator[tuple[Sink, SignerListener, Source]]:
    """The sink, a signer before it, and a client that has greeted."""
    async with (running_sink(sink),
                running_signer(sink, keys, settings, originated=originated, lifetime=lifetime, spools=spools) as signer,
                connected(signer.address) as client):
        yield sink, signer, client
