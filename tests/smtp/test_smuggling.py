"""What looks to some like the end of a message starts no second one at the downstream (smtp.md section 7).

Both listeners, in both dialects, through real sockets. How the bytes arrive does not matter: conversations.py.
"""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.smtp.fault_trials import DIALECTS
from tests.smtp.forwarding import JOE, SETTINGS, forwarding
from tests.smtp.support import MESSAGE, Sink, Source, connected, example_keys, running_signer, running_sink

FORMS = [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r.\n", b"\n.\r", b"\r\r\n.\r\r\n", b"\n\n.\n\n",
         b"\r\n\0.\r\n", b"\r\n.\0\r\n"]
SMUGGLED = b"MAIL FROM:<eve@evil.example>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\n"
REFUSED = "550 5.6.0 The message holds a bare CR, a bare LF or a NUL"


@asynccontextmanager
async def listening(database_url: str, listener: str, *, normalise: bool) -> AsyncIterator[tuple[tuple[str, int], list[Sink]]]:
    settings = dataclasses.replace(SETTINGS, normalise_bare_lf=normalise)
    if listener == "signer":
        async with running_sink(Sink()) as sink, running_signer(sink, example_keys(), settings) as signer:
            yield signer.address, [sink]
    else:
        async with forwarding(database_url, settings=settings) as site:
            yield site.forwarder.address, [site.local, site.remote]


async def tried(client: Source, dialect: str, form: bytes) -> list[str]:
    """Everything that is said after the end of data, until the client is told that it may go."""
    assert (await client.command(f"{'LHLO' if dialect == 'LMTP' else 'EHLO'} client.example.com")).startswith("250")
    for line in (f"MAIL FROM:<{JOE}>", "RCPT TO:<alice@example.com>", "RCPT TO:<team@example.com>"):
        assert (await client.command(line)).startswith("250")
    assert (await client.command("DATA")).startswith("354")
    await client.write(MESSAGE + b"x" + form + SMUGGLED + b".\r\nQUIT\r\n")
    replies = []
    while not (reply := await client.reply()).startswith("221"):
        replies.append(reply)
    return replies


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("listener", ["signer", "forwarder"])
async def test_nothing_is_smuggled(database_url: str, listener: str, normalise: bool) -> None:
    async with listening(database_url, listener, normalise=normalise) as (address, sinks):
        for dialect in DIALECTS:
            for form in FORMS:
                async with connected(address, greet=None) as client:
                    await client.reply()
                    replies = await tried(client, dialect, form)
                delivered = [one for sink in sinks for one in sink.delivered]
                is_harmless = normalise and form.replace(b"\r\n", b"").replace(b"\n", b"") == b"."
                assert len(replies) == (2 if dialect == "LMTP" else 1), (form, replies)
                if is_harmless:
                    assert all(reply.startswith("250") for reply in replies), (form, replies)
                    assert len(delivered) == len(sinks), form
                    without_dot = form.replace(b"\r\n.", b"\r\n")  # one that begins a line was added by the client
                    end = b"x" + without_dot.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + SMUGGLED
                    assert all(one.content.endswith(end) for one in delivered), form
                else:
                    assert set(replies) == {REFUSED} and delivered == [], form
                for sink in sinks:
                    sink.delivered.clear()
        commands = b"\n".join(command for sink in sinks for command in sink.commands)
        assert b"evil" not in commands and b"victim" not in commands
