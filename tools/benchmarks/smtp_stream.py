"""A non-blocking socket on a selector, for the SMTP source and sink."""

import selectors
import socket
from collections.abc import Callable

_CHUNK = 1 << 18


class Stream:
    """Calls `received` with what arrives, b"" at the end; what cannot be sent at once is sent when it can.

    The selector's data is `ready`, to be called with the events.
    """

    def __init__(self, selector: selectors.BaseSelector, connected: socket.socket, received: Callable[[bytes], None]) -> None:
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected
        self._selector = selector
        self._received = received
        self._unsent = memoryview(b"")
        selector.register(connected, selectors.EVENT_READ, self.ready)

    def send(self, data: bytes) -> None:
        """Sends a whole command, reply or message. The one before must have been answered."""
        self._unsent = memoryview(data)
        self._write()
        if self._unsent:
            self._selector.modify(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self.ready)

    def ready(self, events: int) -> None:
        """Does what the socket is ready for."""
        if events & selectors.EVENT_WRITE:
            self._write()
            if not self._unsent:
                self._selector.modify(self._socket, selectors.EVENT_READ, self.ready)
        if events & selectors.EVENT_READ:
            try:
                data = self._socket.recv(_CHUNK)
            except ConnectionError:
                data = b""
            self._received(data)

    def close(self) -> None:
        """Closes the socket."""
        self._selector.unregister(self._socket)
        self._socket.close()

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent):]
        except BlockingIOError:
            return
        except ConnectionError:  # of which the next read tells
            self._unsent = memoryview(b"")
