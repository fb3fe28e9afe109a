"""The envelope in one write, where the downstream offers PIPELINING: what is said of it, and what the client reads then.

The downstream here answers nothing before everything that it waits for has come, so that a relay that sends one command at a
time would wait for ever.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from authd.config.values import Downstream
from authd.smtp.grammar import NO_MAIL_PARAMETERS, NO_RECIPIENT_PARAMETERS, Path
from authd.smtp.leg import Leg
from authd.smtp.relay import Relay, Timeouts
from authd.smtp.relay_session import DownstreamError
from tests.smtp.forwarding import forwarding, send
from tests.smtp.support import MESSAGE, Sink, until

SENDER = Path("ann", "example.com")
NAMES = ("a", "b", "c")
RECIPIENTS = [(Path(name, "x.net"), NO_RECIPIENT_PARAMETERS) for name in NAMES]
ENVELOPE = [b"MAIL FROM:<ann@example.com>", *(b"RCPT TO:<%b@x.net>" % name.encode() for name in NAMES)]
TAKEN = ["250 sender", "250 a", "250 b", "250 c"]
LOST = "451 4.4.2 Lost the next server, try again later"
UNUSABLE = "451 4.3.0 The next server refuses its service, try again later"


@dataclass
class Script:
    """A downstream. Each entry of `answers` is for one connection: what it answers to the envelope (and then to each command),
    and whether it closes after that. `by_byte`: each byte of an answer travels alone.
    """

    answers: list[tuple[list[str], bool]]
    by_byte: bool = False
    keywords: Sequence[str] = ("PIPELINING",)
    heard: list[list[bytes]] = field(default_factory=list)
    left: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        answers, closes = self.answers.pop(0) if self.answers else (TAKEN, False)
        heard: list[bytes] = []
        self.heard.append(heard)
        try:
            await self._say(writer, "220 script")
            await reader.readline()
            await self._say(writer, "250-script", *(f"250-{keyword}" for keyword in self.keywords), "250 HELP")
            if "PIPELINING" in self.keywords:
                heard += [(await reader.readline()).rstrip(b"\r\n") for _ in ENVELOPE]
                await self._say(writer, *answers)
                answers = []
            while not (closes and not answers) and (line := await reader.readline()):
                heard.append(line.rstrip(b"\r\n"))
                await self._say(writer, answers.pop(0) if answers else "250 fine")
        except ConnectionResetError:
            pass
        finally:
            self.left += 1
            writer.close()

    async def _say(self, writer: asyncio.StreamWriter, *lines: str) -> None:
        said = "".join(f"{line}\r\n" for line in lines).encode()
        for piece in [said[at:at + 1] for at in range(len(said))] if self.by_byte else [said]:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)


@asynccontextmanager
async def leg_to(script: Script) -> AsyncIterator[Leg]:
    """A transaction with the scripted downstream."""
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    relay = Relay(Downstream(*server.sockets[0].getsockname()), "mx.example.com", Timeouts(5, 5, 5))
    leg = Leg(relay, SENDER, NO_MAIL_PARAMETERS)
    try:
        yield leg
    finally:
        leg.give_up()
        await relay.close()
        server.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize("by_byte", [False, True])
@pytest.mark.parametrize(("answers", "closes", "expected"), [
    (TAKEN, False, ["250 a", "250 b", "250 c"]),
    (["250-sender\r\n250 taken", "250-a\r\n250 a", "550-b\r\n550 never", "250 c"], False, ["250 a a", "550 b never", "250 c"]),
    (["250 sender", "250 a", "450 b", "550 c"], False, ["250 a", "450 b", "550 c"]),
    (["250 sender", "550 a", "550 b", "550 c"], False, ["550 a", "550 b", "550 c"]),
    (["250 sender", "250 a", "452 full", "250 c"], False, ["250 a", "452 full", "250 c"]),
    (["250 sender", "250 a", "503 what", "250 c"], False, ["250 a", UNUSABLE, "250 c"]),
    (["550 nobody", "503 first MAIL", "503 first MAIL", "503 first MAIL"], False, ["550 nobody"] * 3),
    (["450 later", "250 a", "250 b", "250 c"], False, ["450 later"] * 3),
    (["550 nobody"], True, ["550 nobody"] * 3),
    (["550 nobody", "503 first MAIL"], True, ["550 nobody"] * 3),
    (["550 nobody", "421 bye"], True, ["550 nobody"] * 3),
])
async def test_replies_count_in_their_order(answers: list[str], closes: bool, expected: list[str], by_byte: bool) -> None:
    """What is said to recipients after a refused sender says nothing about them."""
    script = Script([(answers, closes)], by_byte)
    async with leg_to(script) as leg:
        assert [str(reply) for reply in await leg.recipients(RECIPIENTS)] == expected
        assert leg.is_begun is answers[0].startswith("250")
    assert script.heard[0][:4] == ENVELOPE


@pytest.mark.parametrize("by_byte", [False, True])
@pytest.mark.parametrize(("answers", "closes"), [
    ([], True), (TAKEN[:1], True), (TAKEN[:2], True), (TAKEN[:3], True), (["250 sender", "250-a"], True),
    (["421 going"], True), (["421 going"], False), ([*TAKEN[:2], "421 going"], True), ([*TAKEN[:2], "421 going"], False),
    ([*TAKEN[:3], "421 going"], False),
])
async def test_all_of_it_is_said_again_on_a_fresh_connection_once(answers: list[str], closes: bool, by_byte: bool) -> None:
    script = Script([(answers, closes)], by_byte)
    async with leg_to(script) as leg:
        assert [str(reply) for reply in await leg.recipients(RECIPIENTS)] == TAKEN[1:]
    assert [heard[:4] for heard in script.heard] == [ENVELOPE, ENVELOPE]
    assert b"RSET" not in script.heard[0]


@pytest.mark.parametrize("by_byte", [False, True])
async def test_a_server_that_leaves_twice_has_answered_some(by_byte: bool) -> None:
    leaving = ["250 sender", "550 a", "421 going"]
    async with leg_to(Script([(leaving, True), (leaving, True)], by_byte)) as leg:
        assert [str(reply) for reply in await leg.recipients(RECIPIENTS)] == ["550 a", LOST, LOST]
    async with leg_to(Script([(["421 going"], True), (["421 going"], True)], by_byte)) as leg:
        assert [str(reply) for reply in await leg.recipients(RECIPIENTS)] == [LOST] * 3


@pytest.mark.parametrize("by_byte", [False, True])
@pytest.mark.parametrize(("answers", "again", "expected"), [
    (["250 sender", "250 a"], ["250 sender", "550 a"], LOST),
    (["250 sender", "nonsense"], TAKEN, UNUSABLE),
    (["250 sender", "250-a\r\n550 a"], TAKEN, UNUSABLE),
    ([*TAKEN, "250 and more"], TAKEN, UNUSABLE),
])
async def test_a_connection_that_is_lost_again_or_talks_nonsense_is_given_up(
        answers: list[str], again: list[str], expected: str, by_byte: bool) -> None:
    async with leg_to(Script([(answers, True), (again, True)], by_byte)) as leg:
        with pytest.raises(DownstreamError) as caught:
            await leg.recipients(RECIPIENTS)
            await leg.data()
        assert str(caught.value.reply) == expected


async def test_a_fresh_connection_without_pipelining_is_asked_one_by_one() -> None:
    script = Script([([*TAKEN[:2]], True)])
    async with leg_to(script) as leg:
        asked = asyncio.ensure_future(leg.recipients(RECIPIENTS))
        while not script.heard:
            await asyncio.sleep(0)
        script.keywords, script.answers = ("8BITMIME",), [([*TAKEN], False)]
        assert [str(reply) for reply in await asked] == TAKEN[1:]
    assert script.heard[1][:4] == ENVELOPE


async def test_later_recipients_join_and_are_named_again_too() -> None:
    """The connection is lost with the second group; the first is named again with the sender, the second after it."""
    script = Script([(TAKEN, True)])
    async with leg_to(script) as leg:
        await leg.recipients(RECIPIENTS)
        [reply] = await leg.recipients([(Path("d", "x.net"), NO_RECIPIENT_PARAMETERS)])
        assert str(reply) == "250 fine"
    assert script.heard[1][:5] == [*ENVELOPE, b"RCPT TO:<d@x.net>"]


async def test_a_transaction_given_up_between_two_replies_closes_its_connection() -> None:
    script = Script([(TAKEN[:2], False)])
    async with leg_to(script) as leg:
        asked = asyncio.ensure_future(leg.recipients(RECIPIENTS))
        while not script.heard or len(script.heard[0]) < 4:
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        leg.give_up()
        await until(lambda: script.left == 1)
        assert script.heard == [ENVELOPE]


async def test_a_list_in_one_write_and_the_go_ahead_only_for_the_whole_message(database_url: str) -> None:
    remote = Sink(extensions=("PIPELINING",))
    async with forwarding(database_url, remote=remote) as site:
        assert (await site.client.command("MAIL FROM:<joe@elsewhere.example>")).startswith("250")
        assert (await site.client.command("RCPT TO:<far@example.com>")).startswith("250")
        assert [command[:4] for command in remote.commands] == [b"EHLO", b"MAIL", b"RCPT", b"RCPT", b"RCPT"]
        assert (await site.client.command("DATA")).startswith("354")
        assert b"DATA" not in remote.commands
        await site.client.write(MESSAGE + b".\r\n")
        assert await site.client.reply() == "250 2.0.0 Ok"
        assert site.recipients() == ["kim@far.example", "lee@far.example", "mia@far.example"]


@pytest.mark.parametrize(("refused", "answer", "arrived"), [
    ([None, "550 5.1.1 no", None], "250 2.0.0 Ok", ["kim@far.example", "mia@far.example"]),
    ([None, "450 4.2.1 busy", None], "451 4.4.0 Not every copy could be delivered, try again later", []),
    (["550 5.1.1 no"] * 3, "550 5.1.1 no", []),
])
async def test_a_list_some_of_whose_members_are_refused(
        database_url: str, refused: list[str | None], answer: str, arrived: list[str]) -> None:
    async with forwarding(database_url, remote=Sink({"RCPT": refused}, ("PIPELINING",))) as site:
        assert await send(site, "far@example.com", content=MESSAGE) == answer
        assert site.recipients()[:2] == arrived
