"""The targets on inputs of a certain shape, by chance or by hypothesis. Seeds are fixed, so that a run can be repeated."""

import random

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from tests.fuzz import targets

LINES = [
    b"EHLO c", b"HELO c", b"LHLO c", b"MAIL FROM:<>", b"MAIL FROM:<a@x.net>", b"mail from:<a@x.net> size=10",
    b"RCPT TO:<b@x.net>", b"RCPT TO:<postmaster>", b"RCPT TO:<c", b"DATA", b"DATA", b"RSET", b"NOOP", b"VRFY x", b"HELP",
    b".", b"..", b".x", b"", b"From: a@x.net", b"\xff\xfe", b"a\0b", b"a\rb", b"x" * 300, b"y" * 700, b"QUIT", b"STARTTLS",
    b"BDAT 3",
]
ENDS = [b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n.\r\n", b"\n.\n", b"\n.\r\n", b"\r.\r\n", b""]


def conversation(chooser: random.Random) -> bytes:
    start = b"EHLO c\r\n" if chooser.random() < 0.7 else b""
    return start + b"".join(chooser.choice(LINES) + chooser.choice(ENDS) for _ in range(chooser.randrange(60)))


@pytest.mark.parametrize("number", range(300))
def test_conversations(number: int) -> None:
    chooser = random.Random(number)
    targets.session(chooser.randbytes(4) + conversation(chooser))


@seed(11)
@settings(max_examples=300)
@given(st.binary(max_size=3000))
def test_random_bytes_to_the_session(data: bytes) -> None:
    targets.session(data)


@seed(12)
@settings(max_examples=500)
@given(st.text(alphabet="<>@:;,.\"\\[]() =aZ0-_+IPv6", max_size=60))
def test_paths(argument: str) -> None:
    targets.commands(argument.encode())


@seed(13)
@settings(max_examples=500)
@given(st.lists(st.sampled_from([b"<", b">", b"@", b",", b"(", b")", b'"', b"\\", b".", b"a", b"example.com", b" ", b"\r\n ",
                                 b"\xe4", b":", b";"]), max_size=25).map(b"".join))
def test_authors(value: bytes) -> None:
    targets.header(b"From:" + value)


@seed(14)
@settings(max_examples=300)
@given(st.binary(max_size=500))
def test_random_headers(header: bytes) -> None:
    targets.header(header)


@seed(15)
@settings(max_examples=300)
@given(st.lists(st.sampled_from([b"250", b"354", b"421", b"550", b" ", b"-", b"x", b"\r\n", b"\n", b"\0", b"\xff"]),
                max_size=40).map(b"".join), st.integers(0, 255), st.integers(0, 255))
def test_a_downstream_can_say_anything(data: bytes, cut: int, kind: int) -> None:
    targets.downstream(bytes((cut, kind)) + data)
