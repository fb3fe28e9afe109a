"""Log lines: text for people, JSON for collectors, each with the id of the request or message it belongs to.

Secrets are kept out by those who log; what comes from outside is escaped here, so that no line can be forged.
"""

import json
import logging
import sys
import time
from contextvars import ContextVar
from typing import Any

from authd.config.settings import LogSettings

request_id: ContextVar[str] = ContextVar("request_id", default="-")
_LONGEST = 4000
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
_ESCAPES = {code: f"\\x{code:02x}" for code in _CONTROLS} | {0x2028: "\\u2028", 0x2029: "\\u2029"}


def configure(settings: LogSettings) -> None:
    """Sends every logger's lines to standard error in the configured form. May be called again (SIGHUP)."""
    handler = logging.StreamHandler(sys.stderr)
    formatters: dict[str, logging.Formatter] = {
        "text": TextFormatter(), "json": JsonFormatter(""), "cee": JsonFormatter("@cee: ")}
    handler.setFormatter(formatters[settings.format])
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # nothing shows what they would look up
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for quiet in ("tornado.access", "hvac", "urllib3"):
        logging.getLogger(quiet).setLevel(logging.ERROR)


class TextFormatter(logging.Formatter):
    """`2026-11-24T12:00:00.123Z INFO authd.app [id] text`, always one line without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        text = _one_line(record, self)
        return f"{_timestamp(record)} {record.levelname} {record.name} [{request_id.get()}] {text}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, id, message. `cookie` goes before it (`@cee: ` for rsyslog)."""

    def __init__(self, cookie: str) -> None:
        super().__init__()
        self._cookie = cookie

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"time": _timestamp(record), "level": record.levelname.lower(), "logger": record.name,
                                "id": request_id.get(), "message": _one_line(record, self)}
        return self._cookie + json.dumps(line, ensure_ascii=False)


def _timestamp(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{record.msecs:03.0f}Z"


def _one_line(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    text = record.getMessage()
    if record.exc_info:
        text = f"{text}\n{formatter.formatException(record.exc_info)}"
    if not text.isprintable():
        text = text.replace("\n", " | ").translate(_ESCAPES)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
