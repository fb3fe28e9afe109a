"""One log line for each request that was answered: no query, no body, no cookie."""

import logging

from tornado.web import RequestHandler

from authd.handlers.base import Handler

logger = logging.getLogger("authd.http.access")


def log_request(handler: RequestHandler) -> None:
    """Tornado's `log_function`."""
    if isinstance(handler, Handler):
        logger.info("%s %s %s %d %.1f ms", handler.client_address, handler.request.method, handler.log_path,
                    handler.get_status(), 1000 * handler.request.request_time())
