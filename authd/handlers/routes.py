"""The only URL table. A missing trailing slash is accepted everywhere."""

from typing import Any

from tornado.httputil import ParseBodyConfig, ParseMultipartConfig, set_parse_body_config
from tornado.web import Application

from authd.handlers import access, admin, checkpassword, docker, getkey, health, home, login, metrics, oauth, static
from authd.handlers.base import NotFoundHandler, Services

Route = tuple[str, type[Any]]

METRICS: Route = (r"/metrics/?", metrics.MetricsHandler)
ROUTES: list[Route] = [
    (r"/", home.HomeHandler),
    (r"/action/login/?", login.SignInHandler),
    (r"/action/logout/?", login.SignOutHandler),
    (r"/checkpassword/?", checkpassword.CheckpasswordHandler),
    (r"/docker/token/?", docker.TokenHandler),
    (r"/getkey/?", getkey.GetkeyHandler),
    (r"/health/?", health.HealthHandler),
    (r"/health/ready/?", health.ReadyHandler),
    METRICS,
    (r"/robots\.txt", static.RobotsHandler),
    (r"/static/([a-z_-]+-[0-9a-f]{16}\.[a-z]+)", static.StaticHandler),
    (r"/v2/?", docker.VersionHandler),
    *admin.ROUTES,
    *oauth.ROUTES,
]


def make_application(services: Services) -> Application:
    """The Tornado application over the whole table."""
    set_parse_body_config(ParseBodyConfig(multipart=ParseMultipartConfig(enabled=False)))
    return _application(ROUTES, services)


def make_metrics_application(services: Services) -> Application:
    """The Tornado application of a listener for metrics and nothing else."""
    return _application([METRICS], services)


def _application(routes: list[Route], services: Services) -> Application:
    return Application(routes, default_handler_class=NotFoundHandler, log_function=access.log_request, services=services)
