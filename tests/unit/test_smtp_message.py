"""Header fields as bytes, and the Received field."""

from datetime import UTC, datetime

from authd.smtp import message
from authd.smtp.message import Client, Field

NOW = datetime(2026, 11, 24, 9, 5, 7, tzinfo=UTC)


def test_the_body_starts_after_the_first_empty_line() -> None:
    assert message.body_start(b"A: b\r\n\r\nbody\r\n\r\n") == 8
    assert message.body_start(b"\r\nbody") == 2
    assert message.body_start(b"A: b\r\n") is None
    assert message.body_start(b"") is None


def test_fields_keep_their_bytes() -> None:
    header = b"Received: a\r\n\tb\r\nX:foo\r\nSubject : x\r\n y\r\nno colon\r\n: nameless\r\nFROM: a\xff\r\n\r\n"
    assert message.fields(header) == [
        Field(b"received", b"Received: a\r\n\tb"), Field(b"x", b"X:foo"), Field(b"subject", b"Subject : x\r\n y"),
        Field(b"", b"no colon"), Field(b"", b": nameless"), Field(b"from", b"FROM: a\xff")]
    assert message.fields(header)[2].value == b" x\r\n y"
    assert message.count(message.fields(header * 3), b"received") == 3


def test_received_names_the_client_as_it_greeted() -> None:
    field = message.received(Client("client.example.com", "192.0.2.1", "ESMTP"), "mx.example.com", "0123abcd", NOW)
    assert field == (b"Received: from client.example.com ([192.0.2.1])\r\n\tby mx.example.com with ESMTP id 0123abcd;\r\n"
                     b"\tTue, 24 Nov 2026 09:05:07 +0000\r\n")


def test_received_is_made_harmless() -> None:
    field = message.received(Client("a(b;\\c)", "2001:db8::1", "LMTP"), "mx", "1", NOW)
    assert field.startswith(b"Received: from [IPv6:2001:db8::1] (HELO a?b??c?)\r\n\tby mx with LMTP id 1;")
