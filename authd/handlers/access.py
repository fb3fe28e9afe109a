"""What is noted of each request that was answered: a number for the metrics, and a log line (at level debug unless it
failed) without query, body or cookie."""

import logging

from tornado.web import RequestHandler

from authd.handlers.base import Handler

logger = logging.getLogger("authd.http.access")


def log_request(handler: RequestHandler) -> None:
    """Tornado's `log_function`."""
    status = handler.get_status()
    level = logging.INFO if status >= 400 else logging.DEBUG
    if not isinstance(handler, Handler):
        return
    seconds = handler.request.request_time()
    handler.services.metrics.request(type(handler), status, seconds)
    if logger.isEnabledFor(level):
        logger.log(level, "%s %s %s %d %.1f ms", handler.client_address, handler.request.method, handler.log_path,
                   status, 1000 * seconds)
