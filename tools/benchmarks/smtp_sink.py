"""An SMTP sink: takes every message and counts. It speaks as OpenSMTPD does, one command at a time, or offers PIPELINING as
Postfix does; sessions may have any length.

`python -m … smtp_sink PORT SECONDS KEYWORD…` serves until it is stopped, takes so long over the end of each message, and offers
those extensions. Whoever asks `NOOP` is told how many messages came, how many of them were signed, and how many recipients
they had; `arrived` asks.
"""

import heapq
import selectors
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .smtp_stream import Stream

_SILENCE = 10.0
_END = b"\r\n.\r\n"
_HEAD = 4096  # bytes of a message in which a signature would stand
_REPLIES = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}


@dataclass(frozen=True)
class Arrived:
    """What a sink has taken since it was started."""

    messages: int
    signed: int
    recipients: int


def arrived(port: int) -> Arrived:
    """Asks the sink on `port`."""
    with socket.create_connection(("127.0.0.1", port), timeout=_SILENCE) as connection, connection.makefile("rwb") as lines:
        lines.readline()
        lines.write(b"NOOP\r\n")
        lines.flush()
        _, *numbers = lines.readline().split()
        return Arrived(*map(int, numbers))


class Sink:
    """Listens and counts. A message is answered `delay` seconds after its end; `keywords` are what EHLO offers."""

    def __init__(self, port: int, delay: float, keywords: Sequence[str]) -> None:
        self.replies = {**_REPLIES, b"EHLO": b"250-sink\r\n%b250 HELP\r\n" % b"".join(
            b"250-%b\r\n" % keyword.encode() for keyword in keywords)}
        self._selector = selectors.DefaultSelector()
        self._delay = delay
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._messages = self._signed = self._recipients = 0
        self._listening = socket.create_server(("127.0.0.1", port), backlog=256)
        self._selector.register(self._listening, selectors.EVENT_READ, lambda _: self._accept())

    def run(self) -> None:
        """Serves until the process ends."""
        while True:
            for key, events in self._selector.select(self._due[0][0] - time.monotonic() if self._due else None):
                key.data(events)
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()

    def took(self, head: bytes, recipients: int, answer: Callable[[], None]) -> None:
        """Counts a message that begins with `head`, and answers it when it is time."""
        self._messages += 1
        self._signed += b"dkim-signature:" in head.lower()
        self._recipients += recipients
        if self._delay:
            heapq.heappush(self._due, (time.monotonic() + self._delay, self._messages, answer))
        else:
            answer()

    def report(self) -> bytes:
        """The answer to NOOP."""
        return b"250 %d %d %d\r\n" % (self._messages, self._signed, self._recipients)

    def _accept(self) -> None:
        connection, _ = self._listening.accept()
        _Session(self, self._selector, connection)


class _Session:
    """One client."""

    def __init__(self, sink: Sink, selector: selectors.BaseSelector, connection: socket.socket) -> None:
        self._sink = sink
        self._buffer = bytearray()
        self._in_data = False
        self._head = b""
        self._recipients = 0
        self._stream = Stream(selector, connection, self._received)
        self._stream.send(b"220 sink ESMTP\r\n")

    def _received(self, data: bytes) -> None:
        if not data:
            self._stream.close()
            return
        self._buffer += data
        if self._in_data:
            self._take_message(data)
        elif self._buffer.endswith(b"\r\n"):
            self._obey()

    def _take_message(self, data: bytes) -> None:
        self._head += data[:_HEAD - len(self._head)]
        if not self._buffer.endswith(_END):
            del self._buffer[:-len(_END)]
            return
        self._in_data = False
        self._sink.took(self._head, self._recipients, lambda: self._answer(b"250 2.0.0 taken\r\n"))

    def _obey(self) -> None:
        """Answers every command that arrived at once."""
        self._answer(b"".join(self._reply(line[:4].upper()) for line in bytes(self._buffer).splitlines()))

    def _reply(self, verb: bytes) -> bytes:
        self._in_data = verb == b"DATA"
        self._head = b""
        self._recipients = {b"MAIL": 0, b"RCPT": self._recipients + 1}.get(verb, self._recipients)
        return self._sink.report() if verb == b"NOOP" else self._sink.replies.get(verb, b"250 ok\r\n")

    def _answer(self, reply: bytes) -> None:
        self._buffer.clear()
        self._stream.send(reply)


if __name__ == "__main__":
    Sink(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]).run()
