"""An SMTP sink: takes every message and counts. It speaks as OpenSMTPD does, one command at a time, or offers PIPELINING as
Postfix does; sessions may have any length.

`python -m … smtp_sink PORT SECONDS KEYWORD…` serves until it is stopped, takes so long over the end of each message, and offers
those extensions. Whoever asks `NOOP` is told how many messages came; `arrived` asks.
"""

import heapq
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from . import workers
from .smtp_stream import Stream

_SILENCE = 10.0
_END = b"\r\n.\r\n"
_KEYWORDS = ("8BITMIME", "ENHANCEDSTATUSCODES")
_REPLIES = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}


def running(port: int, log: Path, *, pipelining: bool = False, seconds: float = 0.0,
            ) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A sink in a process of its own, for a block. It takes so many seconds over each message."""
    command = [sys.executable, "-m", workers.module("smtp_sink"), str(port), str(seconds), *_KEYWORDS]
    return workers.server([*command, *["PIPELINING"] * pipelining], log, lambda: workers.accepts(port))


def arrived(port: int) -> int:
    """How many messages the sink on `port` has taken since it was started."""
    with socket.create_connection(("127.0.0.1", port), timeout=_SILENCE) as connection, connection.makefile("rwb") as lines:
        lines.readline()
        lines.write(b"NOOP\r\n")
        lines.flush()
        return int(lines.readline().split()[1])


class Sink:
    """Listens and counts. A message is answered `delay` seconds after its end; `keywords` are what EHLO offers."""

    def __init__(self, port: int, delay: float, keywords: Sequence[str]) -> None:
        self.replies = {**_REPLIES, b"EHLO": b"250-sink\r\n%b250 HELP\r\n" % b"".join(
            b"250-%b\r\n" % keyword.encode() for keyword in keywords)}
        self._selector = selectors.DefaultSelector()
        self._delay = delay
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._messages = 0
        self._listening = socket.create_server(("127.0.0.1", port), backlog=256)
        self._selector.register(self._listening, selectors.EVENT_READ, lambda _: self._accept())

    def run(self) -> None:
        """Serves until the process ends."""
        while True:
            for key, events in self._selector.select(self._due[0][0] - time.monotonic() if self._due else None):
                key.data(events)
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()

    def took(self, answer: Callable[[], None]) -> None:
        """Counts a message, and answers it when it is time."""
        self._messages += 1
        if self._delay:
            heapq.heappush(self._due, (time.monotonic() + self._delay, self._messages, answer))
        else:
            answer()

    def report(self) -> bytes:
        """The answer to NOOP."""
        return b"250 %d\r\n" % self._messages

    def _accept(self) -> None:
        connection, _ = self._listening.accept()
        _Session(self, self._selector, connection)


class _Session:
    """One client."""

    def __init__(self, sink: Sink, selector: selectors.BaseSelector, connection: socket.socket) -> None:
        self._sink = sink
        self._buffer = bytearray()
        self._in_data = False
        self._stream = Stream(selector, connection, self._received)
        self._stream.send(b"220 sink ESMTP\r\n")

    def _received(self, data: bytes) -> None:
        if not data:
            self._stream.close()
            return
        self._buffer += data
        if self._in_data:
            self._take_message()
        elif self._buffer.endswith(b"\r\n"):
            self._obey()

    def _take_message(self) -> None:
        if not self._buffer.endswith(_END):
            del self._buffer[:-len(_END)]
            return
        self._in_data = False
        self._sink.took(lambda: self._answer(b"250 2.0.0 taken\r\n"))

    def _obey(self) -> None:
        """Answers every command that arrived at once."""
        self._answer(b"".join(self._reply(line[:4].upper()) for line in bytes(self._buffer).splitlines()))

    def _reply(self, verb: bytes) -> bytes:
        self._in_data = verb == b"DATA"
        return self._sink.report() if verb == b"NOOP" else self._sink.replies.get(verb, b"250 ok\r\n")

    def _answer(self, reply: bytes) -> None:
        self._buffer.clear()
        self._stream.send(reply)


if __name__ == "__main__":
    Sink(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]).run()
