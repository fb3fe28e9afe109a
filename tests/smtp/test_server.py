"""Limits, time limits, the end of a listener, and that nothing holds up the loop."""

import asyncio
import dataclasses
import gc
import ipaddress
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import pytest

from authd.config.settings import SmtpSettings
from authd.config.values import Endpoint
from authd.smtp import replies
from authd.smtp.message import Client
from authd.smtp.replies import Reply
from authd.smtp.server import Listener, _Connection
from authd.smtp.session import Mail, Recipient
from authd.smtp.spool import Spool, Spools
from tests.smtp.support import (
    HOLD,
    MESSAGE,
    Keys,
    Sink,
    connected,
    example_keys,
    relaying,
    running_signer,
    running_sink,
    until,
)

SETTINGS = SmtpSettings(hostname="mx.example.com")
DELIVERED = "250 2.0.0 delivered"


class Accepting:
    """A pipeline that accepts everything; `fails` names the step that raises."""

    is_committing = False
    fails = ""

    def _step(self, name: str, reply: Reply = replies.OK) -> Reply:
        if self.fails == name:
            raise ZeroDivisionError("secret detail")
        return reply

    async def mail(self, mail: Mail, client: Client) -> Reply:
        return self._step("mail")

    async def recipient(self, recipient: Recipient) -> Reply:
        return self._step("recipient")

    async def data(self) -> Reply:
        return self._step("data", replies.START_INPUT)

    async def end_of_data(self, spool: Spool) -> Reply:
        return self._step("end")

    def client_left(self) -> None:
        pass

    async def answered(self, heard: bool) -> None:
        self._step("answered")

    def give_up(self) -> None:
        pass


@asynccontextmanager
async def listening(settings: SmtpSettings = SETTINGS, pipeline: type[Accepting] = Accepting) -> AsyncIterator[Listener]:
    listener = Listener(Endpoint("127.0.0.1", 0), settings, "mx.example.com", pipeline, spools=Spools(settings),
                        offers_dsn=lambda: False)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop(0.1)


@pytest.mark.parametrize("step", ["mail", "recipient", "data", "end"])
async def test_an_unexpected_exception_is_451_without_its_text(step: str) -> None:
    class Failing(Accepting):
        fails = step

    async with listening(pipeline=Failing) as listener, connected(listener.address) as client:
        assert await client.send() == "451 4.3.0 Internal error, try again later"
        assert await client.command("NOOP") == "250 2.0.0 Ok"


async def test_an_exception_outside_an_answer_ends_the_session_with_421() -> None:
    class Failing(Accepting):
        fails = "answered"

    async with listening(pipeline=Failing) as listener, connected(listener.address) as client:
        assert await client.send() == "250 2.0.0 Ok"
        assert await client.reply() == "421 4.3.0 Internal error, try again later"
        assert await client.reply() == ""


async def test_beyond_the_limit_of_connections_a_client_reads_421() -> None:
    async with listening(dataclasses.replace(SETTINGS, max_connections=2)) as listener:
        async with connected(listener.address), connected(listener.address):
            async with connected(listener.address, greet=None) as third:
                assert await third.reply() == "421 4.7.0 Too many connections"
                assert await third.reply() == ""
            assert listener.connections == 2
        await until(lambda: listener.connections == 0)
        async with connected(listener.address) as client:
            assert await client.send() == "250 2.0.0 Ok"


def test_an_address_has_a_limit_of_its_own_unless_it_is_loopback_or_allowed() -> None:
    allowed = (ipaddress.ip_network("192.0.2.0/24"),)
    settings = dataclasses.replace(SETTINGS, max_connections_per_address=2, max_connections=100, allow_clients=allowed)
    listener = Listener(Endpoint("127.0.0.1", 0), settings, "mx", Accepting, spools=Spools(settings),
                        offers_dsn=lambda: False)
    loop = asyncio.new_event_loop()
    clients = [_Connection(listener, loop) for _ in range(6)]
    loop.close()
    assert [listener.admit(client, "198.51.100.1") for client in clients[:3]] == [True, True, False]
    assert listener.admit(clients[2], "198.51.100.2")
    listener.leave(clients[3], "198.51.100.1")  # was never admitted: nothing changes
    assert not listener.admit(clients[3], "198.51.100.1")
    listener.leave(clients[0], "198.51.100.1")
    assert listener.admit(clients[3], "198.51.100.1")
    for address in ("127.0.0.1", "::1", "192.0.2.77"):
        assert all(listener.admit(_Connection(listener, loop), address) for _ in range(5))


def test_who_may_send() -> None:
    allowed = (ipaddress.ip_network("192.0.2.0/24"),)
    for settings, served in ((SETTINGS, False), (dataclasses.replace(SETTINGS, allow_clients=allowed), True)):
        listener = Listener(Endpoint("127.0.0.1", 0), settings, "mx", Accepting, spools=Spools(settings),
                            offers_dsn=lambda: False)
        assert listener.serves("192.0.2.1") == served
        assert listener.serves("127.8.9.1") and listener.serves("::1") and listener.serves("::ffff:127.0.0.1")
        assert not listener.serves("198.51.100.1") and not listener.serves("fe80::1%eth0")


async def test_a_stranger_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the signer as by the forwarder: the one would sign for them, the other bring their mail to everybody."""
    monkeypatch.setattr(Listener, "serves", lambda self, address: False)
    async with listening() as listener, connected(listener.address) as client:
        assert await client.send() == "550 5.7.1 This server is not for you"
        assert (await client.command("NOOP")).startswith("250")


async def test_an_idle_client_reads_421() -> None:
    settings = dataclasses.replace(SETTINGS, idle_timeout=0.05)
    async with listening(settings) as listener, connected(listener.address) as client:
        assert await client.reply() == "421 4.4.2 Idle for too long"
        assert await client.reply() == ""


async def test_a_transaction_has_a_deadline_however_busy_it_is() -> None:
    settings = dataclasses.replace(SETTINGS, transaction_timeout=0.2)
    async with listening(settings) as listener, connected(listener.address) as client:
        for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.net>", "DATA"):
            await client.command(line)

        async def drip() -> None:
            while True:
                client.writer.write(b"x\r\n")
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        assert await client.reply() == "421 4.4.2 The transaction takes too long"
        dripping.cancel()


async def test_a_client_that_does_not_close_is_closed() -> None:
    with patch("authd.smtp.server._LINGER", 0.05):
        async with listening() as listener, connected(listener.address) as client:
            assert await client.command("QUIT") == "221 2.0.0 Bye"
            await until(lambda: listener.connections == 0)


async def test_a_client_that_sends_and_never_reads_takes_no_memory() -> None:
    async with listening() as listener, connected(listener.address) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        written = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                while True:
                    client.writer.write(b"HELP\r\n" * 10_000)
                    written += 60_000
                    await client.writer.drain()
        assert written < 30_000_000
        client.writer.transport.abort()


async def test_stop_tells_idle_clients_and_lets_running_transactions_finish() -> None:
    async with relaying(Sink({"end": [HOLD]}), example_keys()) as (sink, signer, client), connected(signer.address) as idle:
        sending = asyncio.create_task(client.send())
        await sink.holds(1)
        stopping = asyncio.create_task(signer.stop(10))
        assert await idle.reply() == "421 4.3.2 Stopping"
        assert await idle.reply() == ""
        idle.writer.close()
        with pytest.raises(OSError):
            await asyncio.open_connection(*signer.address)
        assert not stopping.done()
        sink.let_go()
        assert await sending == DELIVERED
        assert await client.reply() == "421 4.3.2 Stopping"
        client.writer.close()
        await asyncio.wait_for(stopping, 10)
        assert len(sink.delivered) == 1
        await until(lambda: not sink.open)


async def test_what_runs_after_the_grace_period_is_told_421() -> None:
    async with relaying(Sink({"MAIL": [HOLD]}), Keys()) as (sink, signer, client):
        await client.write(b"MAIL FROM:<ann@example.com>\r\n")
        await sink.holds(1)
        await signer.stop(0.05)
        assert await client.reply() == "421 4.3.2 Stopping"
        assert await client.reply() == ""
        await until(lambda: not sink.open)


async def test_no_callback_takes_long_whatever_the_message() -> None:
    """Processor time of each callback, so that a busy machine does not matter. What the tests before have left in memory is not
    looked through meanwhile, as the daemon does it with what stays for good.
    """
    content = MESSAGE + (b"A line  with\twhite space, and  more of it. \r\n" + b"base64" * 12 + b"\r\n") * 160_000
    longest = 0.0
    run = asyncio.Handle._run

    def watched(handle: Any) -> None:
        nonlocal longest
        start = time.thread_time()
        run(handle)
        longest = max(longest, time.thread_time() - start)

    pieces = [content[at:at + 60_000] for at in range(0, len(content), 60_000)]
    async with relaying(Sink(keep=False), example_keys()) as (_, _, client):
        for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.net>", "DATA"):
            await client.command(line)
        gc.collect()
        gc.freeze()
        with patch.object(asyncio.Handle, "_run", watched):
            for piece in pieces:
                client.writer.write(piece)
                await client.writer.drain()
            client.writer.write(b".\r\n")
            assert await client.reply() == DELIVERED
    gc.unfreeze()
    assert longest < 0.01


async def test_many_commands_at_once_give_others_their_turn() -> None:
    async with listening() as listener, connected(listener.address) as busy, connected(listener.address) as other:
        busy.writer.write(b"NOOP\r\n" * 20_000)
        replies_before = 0
        waiting = asyncio.create_task(other.command("NOOP"))
        while not waiting.done():
            await busy.reply()
            replies_before += 1
        assert replies_before < 20_000


async def test_replies_to_pipelined_commands_travel_together() -> None:
    async with running_sink(Sink()) as sink, running_signer(sink, Keys()) as signer, connected(signer.address) as client:
        await client.write(b"MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n")
        assert (await client.reply()).startswith("250")
        assert (await client.reply()).startswith("250")
        assert (await client.reply()).startswith("354")
        await client.write(MESSAGE + b".\r\n")
        assert await client.reply() == DELIVERED
