"""What the signer's client reads, and what the downstream gets, when something fails (smtp.md sections 3 and 7)."""

import asyncio
import dataclasses

import pytest

from authd.config.settings import SmtpSettings
from authd.smtp import relay
from tests.smtp.support import (
    CLOSE,
    HOLD,
    MESSAGE,
    SILENT,
    Keys,
    Sink,
    Source,
    connected,
    example_keys,
    relaying,
    running_signer,
    running_sink,
    until,
)

SETTINGS = SmtpSettings(hostname="mx.example.com")
IMPATIENT = dataclasses.replace(SETTINGS, connect_timeout=0.3, reply_timeout=0.3, data_timeout=0.3)
DELIVERED = "250 2.0.0 delivered"
LOST = "451 4.4.2 Lost the next server, try again later"
UNUSABLE = "451 4.3.0 The next server refuses its service, try again later"
STEPS = ["MAIL", "RCPT", "DATA", "end"]

Faults = dict[str, list[str | None]]


async def outcome(faults: Faults, settings: SmtpSettings = SETTINGS) -> tuple[str, Sink]:
    """The reply that ended the transaction; afterwards, without faults, the next message must pass."""
    async with relaying(Sink(faults), example_keys(), settings) as (sink, _, client):
        reply = await client.send(b"Subject: first\r\n\r\n")
        faults.clear()
        await client.command("RSET")
        assert await client.send(b"Subject: second\r\n\r\n") == DELIVERED
        assert sum(message.content.endswith(b"second\r\n\r\n") for message in sink.delivered) == 1
        return reply, sink


def first(sink: Sink) -> int:
    """How often the first message was delivered."""
    return sum(message.content.endswith(b"first\r\n\r\n") for message in sink.delivered)


async def test_connections_are_refused_and_later_not() -> None:
    async with running_sink(Sink()) as other:
        port = other.port
    sink = Sink()
    sink.port = port
    async with running_signer(sink, Keys()) as signer, connected(signer.address) as client:
        assert await client.send() == "451 4.4.1 Cannot reach the next server, try again later"
        assert await client.command("RCPT TO:<bob@example.net>") == "503 5.5.1 Bad sequence of commands"
        assert signer.relay.offers_dsn is False


@pytest.mark.parametrize("reply", ["450 4.7.1 later", "550 5.7.1 never", "554-5.7.1 never\r\n554 5.7.1 ever", "452 4.2.2 full",
                                   "501 5.1.7 bad"])
@pytest.mark.parametrize("step", STEPS)
async def test_refusals_are_passed_on(step: str, reply: str) -> None:
    said, sink = await outcome({step: [reply]})
    assert said == reply.replace("\r\n", "\n") and first(sink) == 0


@pytest.mark.parametrize("reply", ["500 what", "502 5.5.1 what", "503 5.5.1 first MAIL", "530 5.7.0 STARTTLS first",
                                   "521 no mail", "354 go on", "299-a\r\n250 b", "nonsense", ""])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "end"])
async def test_what_is_not_about_the_message_never_bounces(step: str, reply: str) -> None:
    said, sink = await outcome({step: [reply]})
    assert said == UNUSABLE and first(sink) == 0


@pytest.mark.parametrize("reply", ["250 2.0.0 delivered, without reading it", "220 x", "500 what"])
async def test_a_strange_answer_to_data_is_no_delivery(reply: str) -> None:
    said, sink = await outcome({"DATA": [reply]})
    assert said == UNUSABLE and first(sink) == 0


@pytest.mark.parametrize("fault", [CLOSE, "421 4.3.2 going down"])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
async def test_a_connection_lost_before_the_content_is_made_good_once(step: str, fault: str) -> None:
    said, sink = await outcome({step: [fault]})
    assert said == DELIVERED and first(sink) == 1 and sink.connections == 2
    said, sink = await outcome({step: [fault, fault]})
    assert said == LOST and first(sink) == 0


@pytest.mark.parametrize("step", ["content", "end"])
async def test_a_connection_lost_with_the_content_is_451_and_not_repeated(step: str) -> None:
    said, sink = await outcome({step: [CLOSE]})
    assert said == LOST and first(sink) == 0
    assert sink.commands.count(b"DATA") == 2


async def test_all_recipients_are_named_again_on_the_fresh_connection() -> None:
    faults: Faults = {"RCPT": [None, "550 5.1.1 unknown", None, CLOSE]}
    async with relaying(Sink(faults), Keys()) as (sink, _, client):
        replies = [await client.command(line) for line in (
            "MAIL FROM:<ann@example.com>", "RCPT TO:<a@x.net>", "RCPT TO:<b@x.net>", "RCPT TO:<c@x.net>", "RCPT TO:<d@x.net>")]
        assert [reply[:3] for reply in replies] == ["250", "250", "550", "250", "250"]
        await client.command("DATA")
        await client.write(MESSAGE + b".\r\n")
        assert await client.reply() == DELIVERED
    [message] = sink.delivered
    assert message.recipients == [b"<a@x.net>", b"<c@x.net>", b"<d@x.net>"]


async def test_a_downstream_that_changes_its_mind_is_451() -> None:
    faults: Faults = {"RCPT": [None, CLOSE, "550 5.1.1 not any more"]}
    async with relaying(Sink(faults), Keys()) as (_, _, client):
        assert await client.command("MAIL FROM:<ann@example.com>") == "250 2.1.0 sender taken"
        assert await client.command("RCPT TO:<a@x.net>") == "250 2.1.5 recipient taken"
        assert await client.command("RCPT TO:<b@x.net>") == LOST
        assert await client.command("RCPT TO:<c@x.net>") == LOST
        assert await client.command("DATA") == LOST
        assert await client.send() == DELIVERED


@pytest.mark.parametrize("step", ["banner", "EHLO", *STEPS])
async def test_a_silent_downstream_is_451(step: str) -> None:
    said, sink = await outcome({step: [SILENT, SILENT]}, IMPATIENT)
    assert said == LOST and first(sink) == 0


@pytest.mark.parametrize("faults", [{"banner": ["554 5.3.2 no service"]}, {"banner": ["421 4.3.2 busy"]}, {"banner": ["hello"]},
                                    {"EHLO": ["421 4.3.2 busy"]}, {"EHLO": ["500 what"], "HELO": ["550 no"]}])
async def test_a_downstream_that_refuses_its_service_is_451(faults: Faults) -> None:
    said, sink = await outcome(faults)
    assert said == UNUSABLE and first(sink) == 0


async def test_a_downstream_without_ehlo_is_greeted_with_helo() -> None:
    said, sink = await outcome({"EHLO": ["500 5.5.1 what"]})
    assert said == DELIVERED
    assert sink.commands[:3] == [b"EHLO mx.example.com", b"HELO mx.example.com", b"MAIL FROM:<ann@example.com>"]


async def test_a_refusal_in_the_middle_of_the_content_is_passed_on() -> None:
    async with relaying(Sink({"content": ["552 5.3.4 enough"]}), Keys()) as (sink, _, client):
        assert await client.send(MESSAGE + b"x" * 30_000_000 + b"\r\n") == "552 5.3.4 enough"
        assert await client.send() == DELIVERED
        assert len(sink.delivered) == 1


async def test_outcomes_are_counted() -> None:
    async with relaying(Sink({"end": [None, "450 later", "550 never", CLOSE]}), example_keys()) as (_, signer, client):
        for _ in range(4):
            await client.send()
        assert (signer.counts.accepted, signer.counts.deferred, signer.counts.refused, signer.counts.signed) == (1, 2, 1, 4)


async def test_connections_are_kept_for_the_next_message() -> None:
    async with relaying(Sink(), Keys()) as (sink, signer, client):
        for _ in range(100):
            assert await client.send() == DELIVERED
        async with connected(signer.address) as another:
            assert await another.send() == DELIVERED
        assert sink.connections == 2  # one has carried 90


async def test_a_kept_connection_that_was_closed_meanwhile_does_not_matter() -> None:
    async with relaying(Sink(), Keys()) as (sink, _, client):
        assert await client.send() == DELIVERED
        for transport in sink.open:
            transport.abort()
        assert await client.send() == DELIVERED
        assert sink.connections == 2


async def test_a_connection_that_has_had_enough_is_replaced() -> None:
    faults: Faults = {"MAIL": [None, "452 4.5.3 too many mails"]}
    async with relaying(Sink(faults), Keys()) as (sink, _, client):
        assert await client.send() == DELIVERED
        assert await client.send() == DELIVERED
        assert sink.connections == 2


@pytest.mark.parametrize(("faults", "seconds"), [({}, 0), ({"RSET": [SILENT]}, 2)])
async def test_stopping_leaves_no_connection_behind(
        faults: Faults, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its goodbye is waited for, and one that never comes not long."""
    monkeypatch.setattr(relay, "_LAST_GOODBYE", 0.1)
    async with running_sink(Sink(faults)) as sink, running_signer(sink, Keys()) as signer:
        async with connected(signer.address) as client:
            assert await client.send() == DELIVERED
            await begin(client)
        await until(lambda: signer.connections == 0)
        assert sink.open
        await signer.stop(1)
        await until(lambda: not sink.open, seconds)


async def begin(client: Source) -> None:
    for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.net>"):
        assert (await client.command(line)).startswith("250")


async def test_a_transaction_that_was_given_up_is_reset() -> None:
    async with relaying(Sink(), Keys()) as (sink, _, client):
        await begin(client)
        assert await client.command("RSET") == "250 2.0.0 Ok"
        sink.arrived["RSET"].clear()
        await begin(client)
        assert await client.command("EHLO again") != ""
        await asyncio.wait_for(sink.arrived["RSET"].wait(), 10)
        assert sink.commands.count(b"RSET") == 2 and not sink.delivered


async def test_a_client_that_leaves_in_the_middle_delivers_nothing() -> None:
    async with relaying(Sink(), Keys()) as (sink, signer, client):
        await begin(client)
        await client.command("DATA")
        await client.write(MESSAGE + b".\r")
        client.writer.transport.abort()
        await asyncio.wait_for(sink.arrived["RSET"].wait(), 10)
        assert not sink.delivered and signer.counts.accepted == 0


async def test_a_client_that_leaves_while_the_downstream_thinks_about_a_recipient() -> None:
    async with relaying(Sink({"RCPT": [HOLD]}), Keys()) as (sink, signer, client):
        await client.command("MAIL FROM:<ann@example.com>")
        await client.write(b"RCPT TO:<bob@example.net>\r\n")
        await sink.holds(1)
        client.writer.transport.abort()
        await until(lambda: signer.connections == 0 and not sink.open)
        assert not sink.delivered


async def test_a_client_that_leaves_before_the_end_went_downstream_delivers_nothing() -> None:
    async with relaying(Sink({"DATA": [HOLD]}), Keys()) as (sink, signer, client):
        await begin(client)
        await client.command("DATA")
        await client.write(MESSAGE + b".\r\n")
        await sink.holds(1)
        client.writer.transport.abort()
        await until(lambda: signer.connections == 0 and not sink.open)
        assert not sink.delivered


async def test_a_client_that_leaves_with_its_last_byte_delivers_nothing() -> None:
    async with relaying(Sink(), Keys()) as (sink, signer, client):
        await begin(client)
        await client.command("DATA")
        await client.write(MESSAGE + b".\r\n")
        client.writer.transport.abort()
        await until(lambda: signer.connections == 0)
        assert not sink.delivered and signer.counts.accepted == 0


async def test_a_client_that_leaves_after_the_end_went_downstream_changes_nothing() -> None:
    async with relaying(Sink({"end": [HOLD]}), Keys()) as (sink, signer, client):
        await begin(client)
        await client.command("DATA")
        await client.write(MESSAGE + b".\r\n")
        await sink.holds(1)
        client.writer.transport.abort()
        await until(client.writer.is_closing)
        sink.let_go()
        await until(lambda: signer.counts.accepted == 1 and signer.connections == 0)
        assert len(sink.delivered) == 1


async def test_a_client_that_says_everything_and_closes_its_end_is_served() -> None:
    async with relaying(Sink(), Keys()) as (sink, _, client):
        await client.write(b"MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n" + MESSAGE + b".\r\nQUIT\r\n")
        client.writer.write_eof()
        replies = [await client.reply() for _ in range(6)]
        assert [reply[:3] for reply in replies] == ["250", "250", "354", "250", "221", ""]
        assert len(sink.delivered) == 1


async def test_a_slow_downstream_delays_only_its_own_messages() -> None:
    async with running_sink(Sink({"end": [HOLD] * 50})) as sink, running_signer(sink, example_keys()) as signer:
        async def one() -> str:
            async with connected(signer.address) as client:
                return await client.send()

        running = [asyncio.create_task(one()) for _ in range(50)]
        await sink.holds(50)
        assert await one() == DELIVERED
        sink.let_go()
        assert await asyncio.gather(*running) == [DELIVERED] * 50
