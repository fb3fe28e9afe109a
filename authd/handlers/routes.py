"""The only URL table. A missing trailing slash is accepted everywhere."""

import ssl
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import ParseBodyConfig, ParseMultipartConfig, set_parse_body_config
from tornado.web import Application

from authd.config.settings import HttpSettings
from authd.handlers import access, checkpassword, getkey, health, home, login, oauth, static
from authd.handlers.base import NotFoundHandler, Services

Route = tuple[str, type[Any]]

ROUTES: list[Route] = [
    (r"/", home.HomeHandler),
    (r"/action/login/?", login.SignInHandler),
    (r"/action/logout/?", login.SignOutHandler),
    (r"/checkpassword/?", checkpassword.CheckpasswordHandler),
    (r"/getkey/?", getkey.GetkeyHandler),
    (r"/health/?", health.HealthHandler),
    (r"/health/ready/?", health.ReadyHandler),
    (r"/robots\.txt", static.RobotsHandler),
    (r"/static/([a-z_-]+-[0-9a-f]{16}\.[a-z]+)", static.StaticHandler),
    *oauth.ROUTES,
]

_HEADERS_AT_MOST = 32 * 1024  # bytes; a client certificate in a header has about 6,000
_IDLE_SECONDS = 75
_BODY_SECONDS = 30


def make_application(services: Services) -> Application:
    """The Tornado application over the whole table."""
    set_parse_body_config(ParseBodyConfig(multipart=ParseMultipartConfig(enabled=False)))
    return Application(ROUTES, default_handler_class=NotFoundHandler, log_function=access.log_request, services=services)


def make_server(application: Application, settings: HttpSettings, tls: ssl.SSLContext | None = None) -> HTTPServer:
    """The HTTP server with its limits; sockets are the caller's."""
    return HTTPServer(
        application, ssl_options=tls, max_body_size=settings.max_body, max_header_size=_HEADERS_AT_MOST,
        max_buffer_size=settings.max_body + _HEADERS_AT_MOST, idle_connection_timeout=_IDLE_SECONDS, body_timeout=_BODY_SECONDS)
