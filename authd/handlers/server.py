"""The HTTP server with its limits, and how it stops: requests that have begun are answered first.

A body longer than `http.max_body` is read to its end and thrown away, up to a bound: who still sends reads no answer. The
handler gets one byte too many of it, by which it knows.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.web import Application

from authd.config.settings import HttpSettings

_HEADERS_AT_MOST = 32 * 1024  # bytes; a client certificate in a header has about 6,000
_BODY_READ_AT_MOST = 16 * 1024 * 1024  # bytes; whoever sends more is cut off
_IDLE_SECONDS = 75
_BODY_SECONDS = 30
_ON_THE_WAY_SECONDS = 0.1  # for what a client had sent when we were told to stop


def make_server(application: Application, settings: HttpSettings, tls: ssl.SSLContext | None = None) -> "Server":
    """The server of an application; sockets are the caller's."""
    return Server(
        application, longest_body=settings.max_body, ssl_options=tls,
        max_body_size=max(settings.max_body, _BODY_READ_AT_MOST), max_header_size=_HEADERS_AT_MOST,
        max_buffer_size=settings.max_body + _HEADERS_AT_MOST, idle_connection_timeout=_IDLE_SECONDS, body_timeout=_BODY_SECONDS)


class Server(HTTPServer):
    """Knows which of its connections are in the middle of a request."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        self._longest_body = kwargs.pop("longest_body")
        super().initialize(*args, **kwargs)
        self._working: set[object] = set()
        self._idle = asyncio.Event()

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        self._rests(server_conn)
        delegate = super().start_request(server_conn, request_conn)
        return _Bounded(delegate, self._longest_body, lambda: self._works(server_conn))

    def on_close(self, server_conn: object) -> None:
        self._rests(server_conn)
        super().on_close(server_conn)

    async def drain(self, seconds: float) -> None:
        """Stops accepting, waits at most that long for running requests to be answered, and closes every connection."""
        await asyncio.sleep(_ON_THE_WAY_SECONDS)
        self.stop()
        if self._working:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)
        await self.close_all_connections()

    def _works(self, server_conn: object) -> None:
        self._working.add(server_conn)

    def _rests(self, server_conn: object) -> None:
        self._working.discard(server_conn)
        if not self._working:
            self._idle.set()


class _Bounded(HTTPMessageDelegate):
    """Passes a request on, of its body one byte more than is allowed at most, and says when its header has arrived."""

    def __init__(self, delegate: HTTPMessageDelegate, longest_body: int, begun: Callable[[], None]) -> None:
        self._delegate = delegate
        self._room = longest_body + 1
        self._begun = begun

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders,
    ) -> Awaitable[None] | None:
        self._begun()
        return self._delegate.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        passed = chunk[:self._room]
        self._room -= len(passed)
        return self._delegate.data_received(passed) if passed else None

    def finish(self) -> None:
        self._delegate.finish()

    def on_connection_close(self) -> None:
        self._delegate.on_connection_close()
