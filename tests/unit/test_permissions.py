"""Which permissions are missing, and what names one."""

import pytest

from authd.identity.permissions import is_identifier, missing


def test_missing_keeps_the_order_and_names_each_once() -> None:
    assert missing(["smtp", "imap", "docker", "smtp"], {"imap"}) == ("smtp", "docker")


def test_nothing_is_missing_where_nothing_is_required() -> None:
    assert missing([], []) == ()


def test_case_matters() -> None:
    assert missing(["IMAP"], ["imap"]) == ("IMAP",)


@pytest.mark.parametrize("text", ["imap", "a:b.c-d_E9", "x" * 255])
def test_identifiers(text: str) -> None:
    assert is_identifier(text)


@pytest.mark.parametrize("text", ["", "a b", "ä", "a,b", "x" * 256, "a\n"])
def test_what_is_no_identifier(text: str) -> None:
    assert not is_identifier(text)
