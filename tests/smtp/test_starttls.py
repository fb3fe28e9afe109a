"""STARTTLS over real sockets: clients that come to us, and downstreams that we go to."""

import asyncio
import dataclasses
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path as File
from unittest.mock import patch

import pytest

from authd.config.settings import SmtpSettings
from authd.config.values import Downstream, TlsPolicy
from authd.smtp import server
from authd.smtp.grammar import MailParameters, Path, RecipientParameters
from authd.smtp.leg import Leg
from authd.smtp.relay import Relay, Timeouts
from authd.smtp.signer import SignerListener
from authd.smtp.starttls import MailTls
from tests.smtp.conversations import CONVERSATIONS, Conversation
from tests.smtp.support import (
    CLOSE,
    MESSAGE,
    SILENT,
    Keys,
    Sink,
    Source,
    connected,
    running_signer,
    running_sink,
    until,
)
from tests.tls import Authority, make_authority

SETTINGS = SmtpSettings(hostname="mx.example.com", max_message_size=65536, connect_timeout=2, reply_timeout=2)
EXTENSIONS = "250-mx.example.com\n250-PIPELINING\n250-8BITMIME\n250-SIZE 65536\n250-ENHANCEDSTATUSCODES\n"
DELIVERED = "250 2.0.0 delivered"
READY = "220 2.0.0 Ready for TLS"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def no_exception_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [record for record in caplog.records
                if record.levelno >= (logging.WARNING if record.name == "asyncio" else logging.ERROR)]


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.ca_file)


def ours(authority: Authority, *policies: TlsPolicy) -> MailTls:
    return MailTls.load(dataclasses.replace(
        SETTINGS, tls_certificate=authority.certificate, tls_key=authority.key, downstream_ca=authority.ca_file), policies)


@asynccontextmanager
async def offering(authority: Authority, sink: Sink | None = None, settings: SmtpSettings = SETTINGS, *,
                   greet: str | None = "EHLO client.example.com") -> AsyncIterator[tuple[Sink, SignerListener, Source]]:
    """The sink, a signer before it that has a certificate, and a client in plain text."""
    tls = ours(authority)
    async with (running_sink(sink or Sink(extensions=("8BITMIME",))) as downstream,
                running_signer(downstream, Keys(), settings, tls=lambda: tls) as signer,
                connected(signer.address, greet=greet) as client):
        yield downstream, signer, client


# Clients that come to us.


async def test_mail_comes_in_through_tls(authority: Authority) -> None:
    async with offering(authority, greet=None) as (sink, _, client):
        assert await client.reply() == "220 mx.example.com ESMTP authd"
        assert await client.command("EHLO client") == EXTENSIONS + "250 STARTTLS"
        assert await client.command("STARTTLS") == READY
        await client.start_tls(trusting(authority))
        cipher = client.writer.get_extra_info("cipher")
        assert cipher[1] in ("TLSv1.2", "TLSv1.3")
        assert await client.command("MAIL FROM:<ann@example.com>") == "503 5.5.1 Bad sequence of commands"
        assert await client.command("EHLO client") == EXTENSIONS.replace("250-ENH", "250 ENH").rstrip("\n")
        assert await client.command("STARTTLS") == "503 5.5.1 Bad sequence of commands"
        assert await client.send() == DELIVERED
        assert await client.send() == DELIVERED
        assert await client.command("QUIT") == "221 2.0.0 Bye"
        assert await client.reader.read() == b""
    for message in sink.delivered:
        assert b" with ESMTPS id " in message.content and message.content.endswith(MESSAGE)
    assert len(sink.delivered) == 2


@pytest.mark.parametrize(("greeting", "protocol"), [("LHLO client", b"LMTPS"), ("HELO client", b"SMTP")])
async def test_received_names_the_protocol(authority: Authority, greeting: str, protocol: bytes) -> None:
    async with offering(authority) as (sink, _, client):
        assert await client.command("STARTTLS") == READY
        await client.start_tls(trusting(authority))
        await client.command(greeting)
        assert await client.send(recipients=["bob@example.net", "ben@example.net"]) == DELIVERED
        assert (await client.reply() == DELIVERED) if protocol == b"LMTPS" else True
    assert b" with " + protocol + b" id " in sink.delivered[0].content


@pytest.mark.parametrize("size", [1, 5, 1_000_000])
@pytest.mark.parametrize("script", [script for script in CONVERSATIONS if b"STARTTLS" not in script.client], ids=str)
async def test_a_conversation_is_the_same_in_tls(authority: Authority, script: Conversation, size: int) -> None:
    settings = dataclasses.replace(SETTINGS, max_recipients=5)
    size = max(size, len(script.client) // 3000)
    async with offering(authority, Sink(extensions=("8BITMIME", "SIZE 100000000")), settings) as (sink, _, client):
        assert await client.command("STARTTLS") == READY
        await client.start_tls(trusting(authority))
        for at in range(0, len(script.client), size):
            client.writer.write(script.client[at:at + size])
            await asyncio.sleep(0)
        said = await asyncio.wait_for(client.reader.read(), 10)
    assert said.decode("latin-1").split("\r\n") == [*script.server[1:], ""]
    assert [message.content.split(b" +0000\r\n", 1)[1] for message in sink.delivered] == script.delivered


async def test_help_names_starttls_where_it_can_be_used(authority: Authority) -> None:
    async with offering(authority) as (_, _, client):
        assert "STARTTLS" in await client.command("HELP")
        assert (await client.command("STARTTLS")).startswith("220")
        await client.start_tls(trusting(authority))
        assert (await client.command("EHLO client.example.com")).startswith("250")
        assert "STARTTLS" not in await client.command("HELP")


async def test_mail_comes_in_plain_text_all_the_same(authority: Authority) -> None:
    async with offering(authority) as (sink, _, client):
        assert await client.send() == DELIVERED
    assert b" with ESMTP id " in sink.delivered[0].content


INJECTED = b"EHLO eve\r\nMAIL FROM:<eve@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\nSubject: x\r\n\r\n.\r\nNOOP"


async def test_what_came_behind_starttls_in_plain_text_is_discarded(authority: Authority) -> None:
    async with offering(authority) as (sink, _, client):
        await client.write(b"STARTTLS\r\n" + INJECTED)
        assert await client.reply() == READY
        await client.start_tls(trusting(authority))
        assert await client.command("RCPT TO:<bob@example.net>") == "503 5.5.1 Bad sequence of commands"
        assert (await client.command("EHLO client")).startswith("250-")
        assert await client.send() == DELIVERED
        assert not [command for command in sink.commands if b"eve" in command]
    assert len(sink.delivered) == 1


@pytest.mark.parametrize("size", [1, 7])
async def test_plain_text_where_the_handshake_should_be_ends_the_connection(authority: Authority, size: int) -> None:
    async with offering(authority) as (sink, signer, client):
        script = b"STARTTLS\r\n" + INJECTED
        for at in range(0, len(script), size):
            if not client.writer.transport.is_closing():
                client.writer.write(script[at:at + size])
            await asyncio.sleep(0)
        with suppress(ConnectionResetError):
            said = await asyncio.wait_for(client.reader.read(), 10)
            assert said.startswith(READY.encode() + b"\r\n")
            assert b"250" not in said and b"354" not in said
        await until(lambda: signer.connections == 0)
    assert not sink.delivered and not [command for command in sink.commands if b"eve" in command]


async def test_pipelined_replies_come_before_the_handshake(authority: Authority) -> None:
    async with offering(authority) as (_, _, client):
        await client.write(b"NOOP\r\nRSET\r\nSTARTTLS\r\n")
        assert [await client.reply() for _ in range(3)] == ["250 2.0.0 Ok", "250 2.0.0 Ok", READY]
        await client.start_tls(trusting(authority))
        assert await client.command("NOOP") == "250 2.0.0 Ok"


async def test_who_reads_no_replies_gets_no_tls(authority: Authority) -> None:
    async with offering(authority) as (_, signer, client):
        [connection] = signer._listener._connections
        assert connection._transport is not None
        connection._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        reading = client.writer.transport
        assert isinstance(reading, asyncio.Transport)
        reading.pause_reading()
        await client.write(b"EHLO client\r\n" * 3000 + b"STARTTLS\r\nNOOP\r\n")
        await until(lambda: connection._is_full)
        reading.resume_reading()
        replies = [await client.reply() for _ in range(3002)]
        assert replies[-2:] == ["454 4.7.0 TLS is not available now", "250 2.0.0 Ok"]


async def test_a_silent_client_is_not_waited_for(authority: Authority) -> None:
    with patch.object(server, "_HANDSHAKE", 0.05):
        async with offering(authority) as (_, signer, client):
            assert await client.command("STARTTLS") == READY
            assert await asyncio.wait_for(client.reader.read(), 10) == b""
            await until(lambda: signer.connections == 0)


async def test_who_leaves_within_the_handshake_is_forgotten(authority: Authority) -> None:
    async with offering(authority) as (_, signer, client):
        assert await client.command("STARTTLS") == READY
        client.writer.transport.abort()
        await until(lambda: signer.connections == 0)
        async with connected(signer.address) as other:
            assert await other.command("STARTTLS") == READY
            other.writer.write_eof()
            assert await asyncio.wait_for(other.reader.read(), 10) == b""
            await until(lambda: signer.connections == 0)


async def test_a_client_that_does_not_trust_us_is_forgotten(authority: Authority) -> None:
    async with offering(authority) as (_, signer, client):
        assert await client.command("STARTTLS") == READY
        with pytest.raises(ssl.SSLCertVerificationError):
            await client.start_tls(ssl.create_default_context())
        await until(lambda: signer.connections == 0)


async def test_tls_1_1_is_refused(authority: Authority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with offering(authority) as (_, signer, client):
        assert await client.command("STARTTLS") == READY
        with pytest.raises(OSError):
            await client.start_tls(context)
        await until(lambda: signer.connections == 0)


async def test_a_client_that_leaves_tls_without_a_word_is_forgotten_and_its_transaction_too(authority: Authority) -> None:
    async with offering(authority) as (sink, signer, client):
        await client.command("STARTTLS")
        await client.start_tls(trusting(authority))
        await client.command("EHLO client")
        assert await client.command("MAIL FROM:<ann@example.com>") == "250 2.1.0 sender taken"
        assert await client.command("RCPT TO:<bob@example.net>") == "250 2.1.5 recipient taken"
        assert (await client.command("DATA")).startswith("354")
        await client.write(MESSAGE)
        client.writer.transport.abort()
        await until(lambda: signer.connections == 0)
    assert not sink.delivered


async def test_a_client_that_closes_with_its_end_of_data_unread_is_not_answered_and_nothing_is_sent(
    authority: Authority,
) -> None:
    async with offering(authority) as (sink, signer, client):
        await client.command("STARTTLS")
        await client.start_tls(trusting(authority))
        await client.command("EHLO client")
        client.writer.write(b"MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n" + MESSAGE
                            + b".\r\nQUIT\r\n")
        client.writer.close()
        await until(lambda: signer.connections == 0)
    assert not sink.delivered


async def test_an_idle_client_reads_421_through_tls_and_who_does_not_close_is_closed(authority: Authority) -> None:
    with patch.object(server, "_LINGER", 0.05):
        async with offering(authority, settings=dataclasses.replace(SETTINGS, idle_timeout=0.1)) as (_, signer, client):
            await client.command("STARTTLS")
            await client.start_tls(trusting(authority))
            assert await client.reply() == "421 4.4.2 Idle for too long"
            reading = client.writer.transport
            assert isinstance(reading, asyncio.ReadTransport)
            reading.pause_reading()
            await until(lambda: signer.connections == 0)


async def test_stopping_waits_for_nobody_in_a_handshake_and_says_421_through_tls(authority: Authority) -> None:
    async with offering(authority) as (_, signer, client), connected(signer.address) as silent:
        await client.command("STARTTLS")
        await client.start_tls(trusting(authority))
        assert await silent.command("STARTTLS") == READY
        async with asyncio.timeout(5):
            await signer.stop(10)
        assert await client.reply() == "421 4.3.2 Stopping"
        assert await silent.reader.read() == b""


async def test_stopping_ends_a_transaction_in_tls_after_the_grace(authority: Authority) -> None:
    async with offering(authority) as (_, signer, client):
        await client.command("STARTTLS")
        await client.start_tls(trusting(authority))
        await client.command("EHLO client")
        assert await client.command("MAIL FROM:<ann@example.com>") == "250 2.1.0 sender taken"
        await signer.stop(0.05)
        assert await client.reply() == "421 4.3.2 Stopping"


async def test_a_large_message_pauses_and_goes_on_in_tls(authority: Authority) -> None:
    settings = dataclasses.replace(SETTINGS, max_message_size=2**24)
    content = b"Subject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * 50_000
    async with offering(authority, settings=settings) as (sink, _, client):
        await client.command("STARTTLS")
        await client.start_tls(trusting(authority))
        await client.command("EHLO client")
        assert await client.send(content) == DELIVERED
    assert sink.delivered[0].content.endswith(content)


async def test_a_new_certificate_is_shown_to_who_comes_next(authority: Authority, tmp_path: File) -> None:
    other = make_authority(tmp_path)
    current = [ours(authority)]
    async with (running_sink(Sink()) as sink, running_signer(sink, Keys(), SETTINGS, tls=lambda: current[0]) as signer,
                connected(signer.address) as client, connected(signer.address) as later):
        await client.command("STARTTLS")
        await client.start_tls(trusting(authority))
        current[0] = ours(other)
        assert await client.command("NOOP") == "250 2.0.0 Ok"
        await later.command("STARTTLS")
        await later.start_tls(trusting(other))
        current[0] = MailTls()
        async with connected(signer.address) as last:
            assert await last.command("STARTTLS") == "500 5.5.2 Unknown command"


# Downstreams that we go to.


INSECURE = "451 4.7.5 No TLS with the next server, try again later"
UNUSABLE = "451 4.3.0 The next server refuses its service, try again later"
LOST = "451 4.4.2 Lost the next server, try again later"
TALK = [b"MAIL FROM:<ann@example.com>", b"RCPT TO:<bob@example.net>", b"DATA"]
PATIENCE = dataclasses.replace(SETTINGS, connect_timeout=0.3)


@asynccontextmanager
async def sending(authority: Authority, policy: TlsPolicy, sink: Sink, *, host: str = "localhost",
                  settings: SmtpSettings = SETTINGS) -> AsyncIterator[Source]:
    """A client of a signer that trusts `authority` and delivers to the sink."""
    tls = MailTls.load(dataclasses.replace(SETTINGS, downstream_ca=authority.ca_file), {policy})
    async with (running_sink(sink), running_signer(sink, Keys(), settings, tls=lambda: tls, policy=policy, host=host) as signer,
                connected(signer.address) as client):
        yield client


def secured(commands: list[bytes]) -> list[bytes]:
    """As the sink writes down what came through TLS."""
    return [b"*" + command for command in commands]


def mails(sink: Sink) -> list[bytes]:
    """What was said of mail."""
    return [command for command in sink.commands if command.lstrip(b"*")[:4] in (b"MAIL", b"RCPT", b"DATA")]


def no_handshake(kind: str) -> ssl.SSLContext | bytes:
    """What a server does that agrees to TLS and cannot do it."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if kind == "no certificate" else {
        "silent": b"", "garbage": b"250 what?\r\n"}[kind]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("policy", ["opportunistic", "required"])
async def test_mail_goes_through_tls(authority: Authority, policy: TlsPolicy, host: str) -> None:
    sink = Sink(tls=authority.server_context())
    async with sending(authority, policy, sink, host=host) as client:
        assert await client.send() == DELIVERED
        assert await client.send() == DELIVERED
        assert sink.connections == 1
        assert sink.commands == [b"EHLO mx.example.com", b"STARTTLS", *secured([b"EHLO mx.example.com", *TALK, *TALK])]


async def test_without_a_policy_nobody_asks_for_tls(authority: Authority) -> None:
    sink = Sink(tls=authority.server_context())
    async with sending(authority, "off", sink) as client:
        assert await client.send() == DELIVERED
    assert b"STARTTLS" not in sink.commands


async def test_opportunistic_tls_believes_any_certificate(authority: Authority, tmp_path: File) -> None:
    sink = Sink(tls=make_authority(tmp_path).server_context())
    async with sending(authority, "opportunistic", sink) as client:
        assert await client.send() == DELIVERED
    assert sink.connections == 1 and mails(sink) == secured(TALK)


@pytest.mark.parametrize("refusal", ["454 4.7.0 not now", "502 5.5.1 no", None])
async def test_opportunistic_tls_takes_no_for_an_answer(authority: Authority, refusal: str | None) -> None:
    sink = Sink(tls=authority.server_context() if refusal else None, faults={"STARTTLS": [refusal]})
    async with sending(authority, "opportunistic", sink) as client:
        assert await client.send() == DELIVERED
    assert sink.connections == 1 and mails(sink) == TALK


@pytest.mark.parametrize("kind", ["no certificate", "silent", "garbage"])
async def test_opportunistic_tls_that_fails_is_plain_text_on_another_connection(
    authority: Authority, kind: str, caplog: pytest.LogCaptureFixture,
) -> None:
    sink = Sink(tls=no_handshake(kind))
    async with sending(authority, "opportunistic", sink, settings=PATIENCE) as client:
        assert await client.send() == DELIVERED
        assert await client.send() == DELIVERED
    assert sink.connections == 2 and sink.commands.count(b"STARTTLS") == 1
    assert mails(sink) == [*TALK, *TALK]
    assert "so mail goes there in plain text" in caplog.text


@pytest.mark.parametrize("kind", ["no certificate", "silent", "garbage"])
async def test_required_tls_that_fails_sends_nothing(authority: Authority, kind: str) -> None:
    sink = Sink(tls=no_handshake(kind))
    async with sending(authority, "required", sink, settings=PATIENCE) as client:
        assert await client.send() == INSECURE
    assert sink.connections == 1 and not mails(sink)


@pytest.mark.parametrize("refusal", ["454 4.7.0 not now", "502 5.5.1 no", None])
async def test_required_tls_that_is_not_there_sends_nothing(authority: Authority, refusal: str | None) -> None:
    sink = Sink(tls=authority.server_context() if refusal else None, faults={"STARTTLS": [refusal]})
    async with sending(authority, "required", sink) as client:
        assert await client.send() == INSECURE
    assert not mails(sink)


async def test_required_tls_verifies_authority_and_name(authority: Authority, tmp_path: File) -> None:
    other_name = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    other_name.load_cert_chain(*authority.client_files("elsewhere.example.com"))
    for context in (make_authority(tmp_path).server_context(), other_name):
        sink = Sink(tls=context)
        async with sending(authority, "required", sink) as client:
            assert await client.send() == INSECURE
        assert not mails(sink)


@pytest.mark.parametrize(("policy", "answer"), [("required", INSECURE), ("opportunistic", DELIVERED)])
async def test_a_server_that_only_knows_helo_has_no_tls(authority: Authority, policy: TlsPolicy, answer: str) -> None:
    sink = Sink(tls=authority.server_context(), faults={"EHLO": ["502 5.5.1 what?"]})
    async with sending(authority, policy, sink) as client:
        assert await client.send() == answer


@pytest.mark.parametrize("policy", ["opportunistic", "required"])
@pytest.mark.parametrize(("answer", "reply"), [
    ("220 go\r\n250-sink\r\n250 DSN", UNUSABLE), ("220 go\r\n250-x", UNUSABLE), ("220 go\r\n\x16\x03", UNUSABLE),
    ("250 fine", UNUSABLE), ("354 go", UNUSABLE), ("421 bye", UNUSABLE), (CLOSE, LOST), (SILENT, LOST)])
async def test_injected_and_wrong_answers_to_starttls_end_the_connection(
    authority: Authority, policy: TlsPolicy, answer: str, reply: str,
) -> None:
    sink = Sink(tls=authority.server_context(), faults={"STARTTLS": [answer]})
    settings = dataclasses.replace(SETTINGS, reply_timeout=0.3)
    async with sending(authority, policy, sink, settings=settings) as client:
        assert await client.send() == reply
        assert sink.connections == 1 and not mails(sink)


@pytest.mark.parametrize(("answer", "reply"), [("550 5.0.0 no", UNUSABLE), (CLOSE, LOST)])
async def test_a_server_that_takes_no_greeting_after_the_handshake(authority: Authority, answer: str, reply: str) -> None:
    sink = Sink(tls=authority.server_context(), faults={"EHLO": [None, answer]})
    async with sending(authority, "opportunistic", sink) as client:
        assert await client.send() == reply
    assert not mails(sink)


async def test_a_connection_that_breaks_in_tls_is_replaced_by_one_in_tls(authority: Authority) -> None:
    sink = Sink(tls=authority.server_context(), faults={"RCPT": [CLOSE]})
    async with sending(authority, "required", sink) as client:
        assert await client.send() == DELIVERED
    assert sink.connections == 2 and mails(sink) == secured([*TALK[:2], *TALK])


async def test_a_large_message_goes_through_tls_byte_for_byte(authority: Authority) -> None:
    content = b"Subject: large\r\n\r\n" + b"".join(b"%d %b\r\n" % (n, b"x" * 70) for n in range(50_000))
    sink = Sink(tls=authority.server_context())
    settings = dataclasses.replace(SETTINGS, max_message_size=2**24)
    async with sending(authority, "required", sink, settings=settings) as client:
        assert await client.send(content) == DELIVERED
    assert sink.delivered[0].content.endswith(content)


async def test_lmtp_through_tls(authority: Authority) -> None:
    sink = Sink(tls=authority.server_context(), lmtp=True)
    tls = MailTls.load(dataclasses.replace(SETTINGS, downstream_ca=authority.ca_file), {"required"})
    async with running_sink(sink):
        relay = Relay(Downstream("localhost", sink.port, lmtp=True, tls="required"), "mx.example.com", Timeouts(2, 2, 2),
                      lambda: tls)
        leg = Leg(relay, Path("ann", "example.com"), MailParameters())
        assert (await leg.mail()).code == 250
        recipients = [(Path(name, "example.net"), RecipientParameters()) for name in ("bob", "ben")]
        assert [reply.code for reply in await leg.recipients(recipients)] == [250, 250]
        assert await leg.data() is None
        await leg.content([MESSAGE])
        assert [reply.code for reply in await leg.end_of_data()] == [250, 250]
        leg.give_up()
        await relay.close()
        assert b"*QUIT" in sink.commands
    assert sink.commands[:3] == [b"LHLO mx.example.com", b"STARTTLS", b"*LHLO mx.example.com"]
