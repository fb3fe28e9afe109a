"""One log line for each request that was answered, at level debug unless it failed: no query, no body, no cookie."""

import logging

from tornado.web import RequestHandler

from authd.handlers.base import Handler

logger = logging.getLogger("authd.http.access")


def log_request(handler: RequestHandler) -> None:
    """Tornado's `log_function`."""
    status = handler.get_status()
    level = logging.INFO if status >= 400 else logging.DEBUG
    if isinstance(handler, Handler) and logger.isEnabledFor(level):
        logger.log(level, "%s %s %s %d %.1f ms", handler.client_address, handler.request.method, handler.log_path,
                   status, 1000 * handler.request.request_time())
