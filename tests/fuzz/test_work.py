"""The machines' work is linear in what arrives. Bytes that are copied or searched are counted, so that no clock is needed."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, SupportsIndex

import pytest

from authd.smtp.relay_session import RelaySession
from authd.smtp.replies import OK, START_INPUT
from authd.smtp.session import Closed, DataStart, EndOfData, Limits, Mail, NeedData, Recipient, Session
from tests.fuzz.driver import pieces

LIMITS = Limits(message_size=10_000_000, recipients=1000, command_line=2048, bad_commands=10_000_000)
START = b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@x.net>\r\nDATA\r\n"


class Counted(bytes):
    """Bytes that count how many of them are looked at or copied, and so do those made of them."""

    work = 0

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        found = super().__getitem__(key)
        return found if isinstance(found, int) else self._made(found)

    def __add__(self, other: Any) -> "Counted":
        return self._made(bytes(self) + bytes(other))

    def __radd__(self, other: bytes) -> "Counted":
        return self._made(other + bytes(self))

    def find(self, *arguments: Any) -> int:
        at = super().find(*arguments)
        start = arguments[1] if len(arguments) > 1 else 0
        Counted.work += (at if at >= 0 else len(self)) - start
        return at

    def split(self, *arguments: Any) -> "list[bytes]":
        return [self._made(piece) for piece in super().split(*arguments)]

    @staticmethod
    def _made(data: bytes) -> "Counted":
        Counted.work += len(data)
        return Counted(data)


def of_the_server(data: bytes, size: int) -> int:
    session = Session("mx", LIMITS)
    Counted.work = 0
    for piece in pieces(data, itertools.repeat(size)):
        session.receive(Counted(piece))
        while not isinstance(event := session.next_event(), NeedData | Closed):
            if isinstance(event, Mail | Recipient | EndOfData | DataStart):
                session.answer(START_INPUT if isinstance(event, DataStart) else OK)
        session.take_output()
    return Counted.work


def of_the_client(data: bytes, size: int) -> int:
    client = RelaySession("mx")
    client.receive(b"220 x\r\n")
    client.ehlo()
    Counted.work = 0
    for piece in pieces(data, itertools.repeat(size)):
        client.receive(Counted(piece))
    return Counted.work


@pytest.mark.parametrize("size", [1, 7, 512, 65536])
@pytest.mark.parametrize(("start", "repeated"), [
    (b"", b"NOOP\r\n"), (b"", b"\r\n"), (b"", b"x"), (b"", b"\n"), (START, b"a line\r\n"), (START, b".\r"), (START, b"\r\n."),
    (START, b"\n.\n"), (START, b"x"), (START, b"\r")], ids=repr)
def test_four_times_the_input_is_four_times_the_work(start: bytes, repeated: bytes, size: int) -> None:
    assert grows_linearly(of_the_server, start, repeated, size)


@pytest.mark.parametrize("size", [1, 7, 512, 1024])
def test_so_it_is_with_small_messages(size: int) -> None:
    """What was read along with a message is copied once for it, so that the size of a read counts."""
    assert grows_linearly(of_the_server, b"EHLO c\r\n", b"MAIL FROM:<>\r\nRCPT TO:<b@x.net>\r\nDATA\r\n.\r\n", size)


@pytest.mark.parametrize("size", [1, 7, 512, 65536])
def test_so_it_is_with_a_long_reply(size: int) -> None:
    assert grows_linearly(of_the_client, b"", b"250-x\r\n", size)


def grows_linearly(work: Callable[[bytes, int], int], start: bytes, repeated: bytes, size: int) -> bool:
    once, four_times = (work(start + repeated * (length // len(repeated)), size) for length in (8000, 32_000))
    return 0 < four_times < 5 * once


def test_a_reply_in_single_bytes_costs_no_more_than_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines that are held are not measured again whenever a byte arrives."""
    lines = CountedLines()
    client = RelaySession("mx")
    monkeypatch.setattr(client, "_lines", lines)
    for byte in b"220-x\r\n" * 1000:
        client.receive(bytes((byte,)))
    assert len(lines) == 1000 and lines.walks == 0


class CountedLines(list[bytes]):
    """A list that counts how often it is walked through."""

    walks = 0

    def __iter__(self) -> Iterator[bytes]:
        self.walks += 1
        return super().__iter__()
