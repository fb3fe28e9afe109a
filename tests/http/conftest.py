"""Fixtures of HTTP tests. Tests are marked `gen_test`; a module that needs other settings overrides `settings`."""

import asyncio
from collections.abc import Iterator
from socket import socket

import pytest
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import Application

from authd.config import Settings
from authd.handlers.routes import make_application
from authd.handlers.server import make_server
from authd.sql.database import Credentials, Database
from tests.http.support import Browser, Site, make_site, site_settings


@pytest.fixture
def io_loop() -> Iterator[IOLoop]:
    """As pytest-tornado's, without the calls that Tornado has deprecated."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    loop = IOLoop.current()
    yield loop
    loop.close(all_fds=True)
    asyncio.set_event_loop(None)


@pytest.fixture
def base_url(http_port: int) -> str:
    """Where the test's server listens."""
    return f"http://127.0.0.1:{http_port}"


@pytest.fixture
def settings(base_url: str) -> Settings:
    """The settings of the site."""
    return site_settings(base_url)


@pytest.fixture
def site(io_loop: IOLoop, database_url: str, settings: Settings) -> Iterator[Site]:
    """All services on a fresh database."""
    database = Database(Credentials(database_url), pool_size=5)
    site = io_loop.run_sync(lambda: make_site(database, settings))
    yield site
    io_loop.run_sync(site.close)


@pytest.fixture
def app(site: Site) -> Application:
    """The real application."""
    return make_application(site.services)


@pytest.fixture
def http_server(
    io_loop: IOLoop, app: Application, settings: Settings, _unused_port: tuple[socket, int],
) -> Iterator[HTTPServer]:
    """The server with its real limits."""
    server = make_server(app, settings.http)
    server.add_socket(_unused_port[0])
    yield server
    server.stop()
    io_loop.run_sync(server.close_all_connections)


@pytest.fixture
def browser(http_client: AsyncHTTPClient, base_url: str) -> Browser:
    """A browser that has never been here."""
    return Browser(http_client, base_url)
