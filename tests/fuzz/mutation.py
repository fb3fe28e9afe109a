"""Inputs made of seeds by chance alone, for where atheris is not installed; and the words that both ways of mutating use."""

import random
from collections.abc import Callable, Iterator, Sequence

LONGEST = 1500
ENVELOPE = b"MAIL FROM:<a@x.net>\r\nRCPT TO:<b@x.net>\r\n"
WORDS = (
    b"EHLO c\r\n", b"HELO c\r\n", b"LHLO c\r\n", b"MAIL FROM:<>\r\n", b"RCPT TO:<b@x.net>\r\n", b"RCPT TO:<postmaster>\r\n",
    ENVELOPE, ENVELOPE + b"DATA\r\n", b"DATA\r\n", b"RSET\r\n", b"NOOP\r\n", b"VRFY x\r\n", b"HELP\r\n", b"QUIT\r\n",
    b"STARTTLS\r\n", b"BDAT 3\r\n", b" SIZE=10", b" SIZE=999999", b" BODY=8BITMIME", b" RET=HDRS", b" ENVID=a+2Bb",
    b" NOTIFY=NEVER", b" NOTIFY=SUCCESS,DELAY", b" ORCPT=rfc822;b@x.net",
    b"\r\n.\r\n", b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r.\n", b"\r\n..\r\n", b"\0",
    b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r", b"\n", b"\r\n", b".", b"..", b"x" * 220, b"\xff\xfe",
    b"250 ", b"250-", b"354 x\r\n", b"421 x\r\n", b"550-5.1.1 x\r\n550 5.1.1 y\r\n", b"451 4.3.0 x\r\n",
    b'"a\\"b"@x.net', b"@y,@z:a@x.net", b"[IPv6:::1]", b"[127.0.0.1]", b"<", b">", b"@", b'"', b"\\", b"(", b")", b",", b";",
    b":", b"From: A <a@x.net>\r\n", b"\r\n ", b"Authd-Forwarded: x\r\n", b"SRS0=", b"SRS1=", b"=", b"+",
    b"repository:a/b:pull,push", b"registry:catalog:*", b"repository(plugin):h:5000/a:*", b" ",
)
Mutation = Callable[[bytes, random.Random], bytes]


def _insert(data: bytes, chooser: random.Random) -> bytes:
    at = chooser.randrange(len(data) + 1)
    return data[:at] + chooser.choice(WORDS) + data[at:]


def _append(data: bytes, chooser: random.Random) -> bytes:
    return data + chooser.choice(WORDS)


def _remove(data: bytes, chooser: random.Random) -> bytes:
    at = chooser.randrange(len(data) + 1)
    return data[:at] + data[at + chooser.choice((1, 1, 2, 5, 20)):]


def _repeat(data: bytes, chooser: random.Random) -> bytes:
    at = chooser.randrange(len(data) + 1)
    return data[:at] + data[at:at + 30] * chooser.randrange(1, 4) + data[at:]


def _alter(data: bytes, chooser: random.Random) -> bytes:
    at = chooser.randrange(len(data) + 1)
    return data[:at] + bytes((chooser.randrange(256),)) + data[at + 1:]


_MUTATIONS: Sequence[Mutation] = (_insert, _insert, _append, _append, _append, _remove, _repeat, _alter)


def mutated(seeds: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Inputs without end, always the same for the same seeds and number."""
    chooser = random.Random(seed)
    while True:
        data = chooser.choice(seeds)
        for _ in range(chooser.randrange(1, 12)):
            data = chooser.choice(_MUTATIONS)(data, chooser)
        yield data[:LONGEST]
