"""The conversations of conversations.py over a real socket, through the signer to a sink."""

import asyncio

import pytest

from authd.config.settings import SmtpSettings
from tests.smtp.conversations import CONVERSATIONS, Conversation
from tests.smtp.support import Keys, Sink, connected, running_signer, running_sink

SETTINGS = SmtpSettings(hostname="mx.example.com", max_message_size=65536, max_recipients=5)
PLAIN = ("8BITMIME", "SIZE 100000000", "ENHANCEDSTATUSCODES")


@pytest.mark.parametrize("size", [1, 5, 1_000_000])
@pytest.mark.parametrize("script", CONVERSATIONS, ids=str)
async def test_a_conversation_over_a_socket(script: Conversation, size: int) -> None:
    size = max(size, len(script.client) // 3000)
    async with (running_sink(Sink(extensions=PLAIN)) as sink, running_signer(sink, Keys(), SETTINGS) as signer,
                connected(signer.address, greet=None) as client):
        for at in range(0, len(script.client), size):
            client.writer.write(script.client[at:at + size])
            await asyncio.sleep(0)
        said = await asyncio.wait_for(client.reader.read(), 10)
    assert said.decode("latin-1").split("\r\n") == [*script.server, ""]
    assert [message.content.split(b" +0000\r\n", 1)[1] for message in sink.delivered] == script.delivered
