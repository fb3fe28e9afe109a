"""dkimsigner as a whole: what it signs, what it passes on, what it leaves untouched."""

import dataclasses

import pytest

from authd.config.settings import SmtpSettings
from authd.errors import DatabaseUnavailable
from authd.keys.facts import DkimKeys
from tests.fixtures.dkim import verified
from tests.smtp.support import (
    MESSAGE,
    Keys,
    Sink,
    ed25519_key,
    example_keys,
    relaying,
    rsa_key,
)

SETTINGS = SmtpSettings(hostname="mx.example.com")
RECEIVED = b"Received: from client.example.com ([127.0.0.1])\r\n\tby mx.example.com with ESMTP id "


async def relayed(content: bytes = MESSAGE, keys: Keys | None = None, settings: SmtpSettings = SETTINGS, *,
                  sender: str = "ann@example.com", originated: bool = False) -> bytes:
    """What the sink gets for one message."""
    async with relaying(Sink(), keys or example_keys(), settings, originated=originated) as (sink, _, client):
        assert await client.send(content, sender) == "250 2.0.0 delivered"
    [message] = sink.delivered
    return message.content


async def test_a_message_is_signed_and_otherwise_untouched() -> None:
    got = await relayed(keys=example_keys(rsa_key(), ed25519_key()))
    assert got.endswith(b" +0000\r\n" + MESSAGE)
    assert got.count(b"DKIM-Signature:") == 2 and RECEIVED in got
    assert verified(got, rsa_key(), ed25519_key()) == [True, True]


STRANGE = [
    b"From: ann@example.com\r\nX:foo\r\nY :  bar \r\n\tfolded\r\nZ: " + b"z" * 5000 + b"\r\n\r\nbody\r\n",
    b"From: ann@example.com\r\nthis is no header line\r\nSubject: x\r\n\r\nbody\r\n",
    b"no header at all\r\n",
    b"",
    b"\r\n",
    b"\r\n\r\n.\r\n..\r\n",
    b" starts with white space\r\nFrom: ann@example.com\r\n\r\nx\r\n",
    b"From: ann@example.com\r\n\r\n" + bytes(range(1, 10)) + b"\x0b\x0c" + bytes(range(14, 256)) + b"\r\n",
    b"From: ann@example.com\r\n\r\n" + b"x" * 65534 + b"\r\n",
    b"From: ann@example.com\r\n\r\n" + (b"y" * 70 + b"\r\n.") * 20_000 + b"\r\n",
]


@pytest.mark.parametrize("content", STRANGE, ids=range(len(STRANGE)))
async def test_every_octet_is_passed_on(content: bytes) -> None:
    got = await relayed(content)
    assert got.endswith(b" +0000\r\n" + content)
    assert len(got) < len(content) + 1500


async def test_an_earlier_signature_still_verifies() -> None:
    signed = await relayed(keys=example_keys(ed25519_key()))
    again = await relayed(signed, keys=example_keys(rsa_key()))
    assert again.endswith(signed)
    assert verified(signed, ed25519_key()) == [True]
    assert verified(again, rsa_key(), ed25519_key()) == [True, True]


async def test_a_large_message_is_signed_in_a_thread_with_the_same_result() -> None:
    content = MESSAGE + b"A line  with\twhite space \r\n" * 100_000
    got = await relayed(content)
    assert got.endswith(content) and verified(got, rsa_key()) == [True]


async def test_a_parent_s_key_signs_for_a_subdomain() -> None:
    keys = Keys({"mail.example.com": DkimKeys("example.com", (ed25519_key(),))})
    got = await relayed(b"From: ann@Mail.Example.com\r\n\r\nx\r\n", keys, sender="ann@MAIL.example.com")
    assert b"d=example.com;" in got and verified(got, ed25519_key()) == [True]


async def test_a_signature_expires_where_that_is_configured() -> None:
    async with relaying(Sink(), example_keys(), lifetime=3600.0) as (sink, _, client):
        await client.send()
    assert b"t=1795521600; x=1795525200;" in sink.delivered[0].content


@pytest.mark.parametrize(("content", "sender", "reason"), [
    (MESSAGE, "ann@example.org", "sender_not_aligned"),
    (MESSAGE, "", "null_sender"),
    (MESSAGE, "SRS0=aaaa=bb=example.org=eve@example.com", "srs_sender"),
    (MESSAGE, "List@Example.com", "list_sender"),
    (b"Authd-Forwarded: 1\r\n" + MESSAGE, "ann@example.com", "forwarded"),
    (b"From: eve@example.com\r\n" + MESSAGE, "ann@example.com", "not_one_author"),
    (b"Subject: no author\r\n\r\n", "ann@example.com", "not_one_author"),
    (b"From: ann@example.org\r\n\r\n", "ann@example.org", "no_key"),
    (b"From: ann@sub.example.com\r\n\r\n", "ann@sub.example.com", "no_key"),
])
async def test_what_is_relayed_unsigned(content: bytes, sender: str, reason: str) -> None:
    keys = example_keys()
    keys.lists.add("list@example.com")
    async with relaying(Sink(), keys) as (sink, signer, client):
        assert await client.send(content, sender) == "250 2.0.0 delivered"
        assert signer.counts.unsigned == {reason: 1} and signer.counts.signed == 0 and signer.counts.accepted == 1
    assert sink.delivered[0].content.startswith(RECEIVED)
    assert sink.delivered[0].content.endswith(content)


async def test_the_null_sender_is_signed_on_an_originated_mapping() -> None:
    assert verified(await relayed(sender="", originated=True), rsa_key()) == [True]


@pytest.mark.parametrize("error", [DatabaseUnavailable("down"), RuntimeError("a bug")])
async def test_a_key_error_is_451_and_never_unsigned(error: DatabaseUnavailable | RuntimeError) -> None:
    keys = example_keys()
    async with relaying(Sink(), keys) as (sink, _, client):
        keys.error = error
        reply = await client.send()
        assert reply.startswith("451 4.3.0 ") and "down" not in reply and "bug" not in reply
        keys.error = None
        assert await client.send() == "250 2.0.0 delivered"
    assert len(sink.delivered) == 1


async def test_sender_and_recipients_go_downstream_while_the_client_waits() -> None:
    faults: dict[str, list[str | None]] = {"RCPT": [None, "550 5.1.1 nobody here by that name", None]}
    async with relaying(Sink(faults), Keys()) as (sink, _, client):
        assert await client.command("MAIL FROM:<ann@example.com>") == "250 2.1.0 sender taken"
        assert await client.command("RCPT TO:<a@x.net>") == "250 2.1.5 recipient taken"
        assert await client.command("RCPT TO:<b@x.net>") == "550 5.1.1 nobody here by that name"
        assert await client.command("RCPT TO:<c@x.net>") == "250 2.1.5 recipient taken"
        assert sink.commands[1:] == [b"MAIL FROM:<ann@example.com>", b"RCPT TO:<a@x.net>", b"RCPT TO:<b@x.net>",
                                     b"RCPT TO:<c@x.net>"]
        await client.command("DATA")
        await client.write(MESSAGE + b".\r\n")
        assert await client.reply() == "250 2.0.0 delivered"
    assert sink.delivered[0].recipients == [b"<a@x.net>", b"<c@x.net>"]


async def test_parameters_are_passed_on_where_the_downstream_takes_them() -> None:
    async with relaying(Sink(), Keys()) as (sink, _, client):
        assert "DSN" not in await client.command("EHLO client.example.com")
        await client.send()
        assert "DSN" in await client.command("EHLO client.example.com")
        await client.command("MAIL FROM:<ann@example.com> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x")
        await client.command("RCPT TO:<bob@example.net> NOTIFY=NEVER ORCPT=rfc822;bob@example.net")
        assert sink.commands[-2:] == [b"MAIL FROM:<ann@example.com> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x",
                                      b"RCPT TO:<bob@example.net> NOTIFY=NEVER ORCPT=rfc822;bob@example.net"]


@pytest.mark.parametrize(("extensions", "strict", "reply"), [
    ((), False, "250 2.0.0 delivered"), ((), True, "554 5.6.3 8-bit content, and the next server does not take it"),
    (("8BITMIME",), True, "250 2.0.0 delivered"),
])
async def test_8_bit_content_and_a_downstream_without_8bitmime(extensions: tuple[str, ...], strict: bool, reply: str) -> None:
    settings = dataclasses.replace(SETTINGS, strict_8bit=strict)
    async with relaying(Sink(extensions=extensions), Keys(), settings) as (_, _, client):
        assert await client.send(b"Subject: x\r\n\r\n\xe4\r\n") == reply
        assert await client.send() == "250 2.0.0 delivered"


@pytest.mark.parametrize(("number", "reply"), [
    (100, "250 2.0.0 delivered"), (101, "554 5.4.6 Too many Received headers: a mail loop")])
async def test_a_loop_ends_after_a_hundred_servers(number: int, reply: str) -> None:
    async with relaying(Sink(), Keys()) as (_, _, client):
        assert await client.send(b"received: x\r\n" * number + MESSAGE + b"Received: in the body\r\n") == reply


async def test_a_header_without_end_is_refused() -> None:
    settings = dataclasses.replace(SETTINGS, max_header_size=4096)
    async with relaying(Sink(), Keys(), settings) as (_, _, client):
        assert await client.send(b"X: y\r\n" * 1000) == "552 5.3.4 Message header too big"
        assert await client.send(b"X: y\r\n" * 100) == "250 2.0.0 delivered"


async def test_bare_line_feeds_can_be_normalised() -> None:
    settings = dataclasses.replace(SETTINGS, normalise_bare_lf=True)
    async with relaying(Sink(), example_keys(), settings) as (sink, _, client):
        for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.net>", "DATA"):
            await client.command(line)
        await client.write(b"From: ann@example.com\n\nx\n.\nMAIL FROM:<eve@example.com>\n\r\n.\r\n")
        assert await client.reply() == "250 2.0.0 delivered"
    [message] = sink.delivered
    assert message.content.endswith(b"\r\n\r\nx\r\n.\r\nMAIL FROM:<eve@example.com>\r\n\r\n")
    assert verified(message.content, rsa_key()) == [True]
