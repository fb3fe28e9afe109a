"""An SMTP sink: takes every message and counts. It speaks as OpenSMTPD does: one command at a time, sessions of any length.

`python -m … smtp_sink PORT` serves until it is stopped. Whoever asks `NOOP` is told how many messages came and how many of
them were signed; `arrived` asks.
"""

import selectors
import socket
import sys
from dataclasses import dataclass

from .smtp_stream import Stream

_SILENCE = 10.0
_END = b"\r\n.\r\n"
_HEAD = 4096  # bytes of a message in which a signature would stand
_REPLIES = {
    b"EHLO": b"250-sink\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 bye\r\n",
}


@dataclass(frozen=True)
class Arrived:
    """What a sink has taken since it was started."""

    messages: int
    signed: int


def arrived(port: int) -> Arrived:
    """Asks the sink on `port`."""
    with socket.create_connection(("127.0.0.1", port), timeout=_SILENCE) as connection, connection.makefile("rwb") as lines:
        lines.readline()
        lines.write(b"NOOP\r\n")
        lines.flush()
        _, messages, signed = lines.readline().split()
        return Arrived(int(messages), int(signed))


class Sink:
    """Listens and counts."""

    def __init__(self, port: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._messages = self._signed = 0
        self._listening = socket.create_server(("127.0.0.1", port), backlog=256)
        self._selector.register(self._listening, selectors.EVENT_READ, lambda _: self._accept())

    def run(self) -> None:
        """Serves until the process ends."""
        while True:
            for key, events in self._selector.select():
                key.data(events)

    def took(self, head: bytes) -> None:
        """Counts a message that begins with `head`."""
        self._messages += 1
        self._signed += b"dkim-signature:" in head.lower()

    def report(self) -> bytes:
        """The answer to NOOP."""
        return b"250 %d %d\r\n" % (self._messages, self._signed)

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
        self._sink.took(self._head)
        self._answer(b"250 2.0.0 taken\r\n")

    def _obey(self) -> None:
        verb = bytes(self._buffer[:4]).upper()
        self._in_data = verb == b"DATA"
        self._head = b""
        self._answer(self._sink.report() if verb == b"NOOP" else _REPLIES.get(verb, b"250 ok\r\n"))

    def _answer(self, reply: bytes) -> None:
        self._buffer.clear()
        self._stream.send(reply)


if __name__ == "__main__":
    Sink(int(sys.argv[1])).run()
