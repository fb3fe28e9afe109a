"""An SMTP source: a fixed number of messages over sessions that each send one after the other, one command at a time.

`measure` runs it in a process of its own.
"""

import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from .smtp_stream import Stream
from .workers import ROOT, module

_SILENCE = 60.0


class MailError(Exception):
    """A message was not taken, or a connection was lost."""


@dataclass(frozen=True)
class Mail:
    """`count` messages of `size` bytes, each to all of `recipients`, over `sessions` connections to 127.0.0.1:`port`."""

    port: int
    sender: str
    size: int
    count: int
    sessions: int = 20
    recipients: Sequence[str] = ("somebody@example.net",)


def measure(mail: Mail) -> float:
    """Sends the mail from a process of its own; messages a second. Raises MailError."""
    done = subprocess.run([sys.executable, "-m", module("smtp_load")], input=json.dumps(asdict(mail)), text=True, check=False,
                          capture_output=True, cwd=ROOT)
    if done.returncode != 0:
        raise MailError(done.stderr.strip())
    return float(done.stdout)


def head(sender: str, number: int) -> bytes:
    """The header of a message, which differs from all others in its Message-ID."""
    return (f"From: Benchmark <{sender}>\r\nTo: Somebody <somebody@example.net>\r\nSubject: Benchmark\r\n"
            f"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\nMessage-ID: <{number:08}.benchmark@example.net>\r\n\r\n").encode()


def body(size: int) -> bytes:
    """So many bytes of text at least, with the end of the message. Nothing in it needs dot-stuffing."""
    line = b"The quick brown fox jumps over the lazy dog, again and again.\r\n"
    return line * -(-size // len(line)) + b".\r\n"


class Source:
    """Sends all messages of a `Mail`."""

    def __init__(self, mail: Mail) -> None:
        self._mail = mail
        self._selector = selectors.DefaultSelector()
        self._begun = self._taken = 0
        self._commands = [(f"MAIL FROM:<{mail.sender}>\r\n".encode(), b"2"),
                          *((f"RCPT TO:<{recipient}>\r\n".encode(), b"2") for recipient in mail.recipients),
                          (b"DATA\r\n", b"3")]
        self._body = body(mail.size - len(head(mail.sender, 0)))

    def run(self) -> float:
        """Messages a second, from the first MAIL to the last reply. Raises MailError."""
        greeted: list[_Session] = []
        wanted = min(self._mail.sessions, self._mail.count)
        for _ in range(wanted):
            connection = socket.create_connection(("127.0.0.1", self._mail.port), timeout=_SILENCE)
            _Session(self._selector, connection, greeted=greeted.append, taken=self._took)
        while len(greeted) < wanted:
            self._turn()
        begin = time.perf_counter()
        for session in greeted:
            self._begin(session)
        while self._taken < self._mail.count:
            self._turn()
        return self._mail.count / (time.perf_counter() - begin)

    def _turn(self) -> None:
        ready = self._selector.select(_SILENCE)
        if not ready:
            raise MailError(f"no reply within {_SILENCE:.0f} s")
        for key, events in ready:
            key.data(events)

    def _took(self, session: "_Session") -> None:
        self._taken += 1
        self._begin(session)

    def _begin(self, session: "_Session") -> None:
        if self._begun < self._mail.count:
            self._begun += 1
            session.begin([*self._commands, (head(self._mail.sender, self._begun) + self._body, b"2")])


class _Session:
    """One connection: greeting, EHLO, then a transaction whenever `begin` is called."""

    def __init__(self, selector: selectors.BaseSelector, connection: socket.socket, *,
                 greeted: Callable[["_Session"], None], taken: Callable[["_Session"], None]) -> None:
        self._taken = taken
        self._todo = iter([(b"EHLO source.example\r\n", b"2")])
        self._done = greeted
        self._expected = b"2"
        self._reply = bytearray()
        self._stream = Stream(selector, connection, self._received)

    def begin(self, steps: Sequence[tuple[bytes, bytes]]) -> None:
        """Each step is what to send, and how the reply to it must begin."""
        self._todo = iter(steps)
        self._done = self._taken
        self._advance()

    def _advance(self) -> None:
        step = next(self._todo, None)
        if step is None:
            self._done(self)
        else:
            command, self._expected = step
            self._stream.send(command)

    def _received(self, data: bytes) -> None:
        if not data:
            raise MailError("the server closed a connection")
        self._reply += data
        last = self._reply[self._reply.rfind(b"\n", 0, -1) + 1:]
        if not last.endswith(b"\r\n") or last[3:4] == b"-":
            return
        if not last.startswith(self._expected):
            raise MailError(self._reply.decode("ascii", "replace"))
        self._reply.clear()
        self._advance()


if __name__ == "__main__":
    try:
        print(Source(Mail(**json.load(sys.stdin))).run())
    except (MailError, OSError) as error:
        sys.exit(str(error))
