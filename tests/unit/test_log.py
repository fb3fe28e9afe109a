"""Log lines: one line each, whatever is in them."""

import json
import logging

import pytest

from authd import log
from authd.log import JsonFormatter, TextFormatter


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("authd.test", logging.WARNING, __file__, 1, message, arguments, None)


@pytest.mark.parametrize("forged", ["a\r\n2026-11-24 ERROR b", "a\x1b[31m", "a\u2028b", "a\x85b", "a\0b", "a\x7fb"])
def test_what_comes_from_outside_cannot_begin_a_line(forged: str) -> None:
    text = TextFormatter().format(record("name=%s", forged))
    assert len(text.splitlines()) == 1
    assert text.isprintable()


def test_a_line_carries_the_request_it_belongs_to() -> None:
    token = log.request_id.set("abc123")
    try:
        assert " WARNING authd.test [abc123] hello" in TextFormatter().format(record("hello"))
        line = json.loads(JsonFormatter("@cee: ").format(record("hello")).removeprefix("@cee: "))
    finally:
        log.request_id.reset(token)
    assert line["id"] == "abc123"
    assert (line["level"], line["logger"], line["message"]) == ("warning", "authd.test", "hello")


def test_a_line_has_an_end() -> None:
    assert len(TextFormatter().format(record("x" * 100000))) < 5000


def test_an_exception_is_one_line_too() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        entry = record("failed")
        entry.exc_info = (type(error), error, error.__traceback__)
    assert len(TextFormatter().format(entry).splitlines()) == 1
