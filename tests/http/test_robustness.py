"""Whatever arrives, the answer is not a 500 and nothing unexpected is logged."""

import asyncio
import logging
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from authd.handlers import csrf
from tests.http.support import Site

PATHS = ["/", "/action/login/", "/action/logout/", "/health/", "/health/ready/", "/robots.txt",
         "/static/style-0123456789abcdef.css", "/static/%c3%28", "/nowhere/", "//evil.example/", "/%00", "/%ff"]
HEADERS = ["Origin", "Sec-Fetch-Site", "Cookie", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Accept",
           "User-Agent", "Content-Type", "If-None-Match", "Range", "Accept-Language", "Authorization"]
COOKIES = ["authd_session=", "authd_form=", "authd_device=", "authd_session=\xff; authd_form=", "=;;;authd_session"]
FIELDS = ["username", "password", "next", "csrf_token", "remember"]

NO_LINE_END = st.binary(max_size=40).map(lambda value: bytes(byte for byte in value if byte not in b"\r\n\0"))
VALUES = NO_LINE_END | st.sampled_from([cookie.encode("latin-1") for cookie in COOKIES])
PAIRS = st.tuples(st.sampled_from(FIELDS), st.binary(max_size=30))
BODIES = st.binary(max_size=60) | st.lists(PAIRS, max_size=6).map(
    lambda pairs: "&".join(f"{name}={quote_from_bytes(value)}" for name, value in pairs).encode())


async def ask(port: int, method: str, path: str, headers: list[tuple[str, bytes]], body: bytes) -> int:
    """Sends the bytes as they are; the status, or 0 where the server just hung up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\nConnection: close\r\n".encode()
    writer.write(head + b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers) + b"\r\n" + body)
    status_line = (await reader.read()).split(b"\r\n", 1)[0]
    writer.close()
    await writer.wait_closed()
    return int(status_line.split()[1]) if status_line else 0


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "BREW"]), path=st.sampled_from(PATHS),
       query=st.binary(max_size=20).map(quote_from_bytes) | st.sampled_from(["next=%ff", "next=%00", "next=/a&next=/b"]),
       headers=st.lists(st.tuples(st.sampled_from(HEADERS), VALUES), max_size=4), body=BODIES,
       form=st.booleans())
def test_no_request_is_answered_with_500(
    io_loop: IOLoop, http_server: HTTPServer, http_port: int, site: Site, caplog: pytest.LogCaptureFixture,
    method: str, path: str, query: str, headers: list[tuple[str, bytes]], body: bytes, form: bool,
) -> None:
    caplog.clear()
    if form:
        headers = [*headers, ("Content-Type", b"application/x-www-form-urlencoded")]
    status = io_loop.run_sync(lambda: ask(http_port, method, f"{path}?{query}", headers, body))
    assert status < 500
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(PAIRS, max_size=6), session=NO_LINE_END)
def test_no_form_with_a_valid_token_is_answered_with_500(
    io_loop: IOLoop, http_server: HTTPServer, http_port: int, site: Site, pairs: list[tuple[str, bytes]], session: bytes,
) -> None:
    token = csrf.issue(site.services.form_secret, "cookie", "salt")
    body = "&".join([f"csrf_token={token}", *(f"{name}={quote_from_bytes(value)}" for name, value in pairs)]).encode()
    headers = [("Cookie", b"authd_form=cookie; authd_session=" + session),
               ("Content-Type", b"application/x-www-form-urlencoded")]
    for path in ("/action/login/", "/action/logout/"):
        assert io_loop.run_sync(lambda path=path: ask(http_port, "POST", path, headers, body)) < 500
