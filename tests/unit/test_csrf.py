"""Form tokens and the browser's word on where a request came from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.handlers import csrf

SECRET = b"s" * 32
OURS = ("https://id.example.com",)


@given(binding=st.text(min_size=1), salt=st.from_regex(r"[A-Za-z0-9_-]{0,16}", fullmatch=True))
def test_a_token_counts_where_it_was_issued(binding: str, salt: str) -> None:
    assert csrf.matches(SECRET, binding, csrf.issue(SECRET, binding, salt))


@given(binding=st.text(), other=st.text(), token=st.text())
def test_nothing_else_counts(binding: str, other: str, token: str) -> None:
    assert not csrf.matches(SECRET, binding, token)
    if binding != other:
        assert not csrf.matches(SECRET, other, csrf.issue(SECRET, binding, "salt"))


def test_a_token_of_another_server_or_with_another_salt_does_not_count() -> None:
    token = csrf.issue(SECRET, "cookie", "salt")
    assert not csrf.matches(b"t" * 32, "cookie", token)
    assert not csrf.matches(SECRET, "cookie", token.replace("salt", "pepper"))


def test_without_a_cookie_there_is_no_valid_token() -> None:
    assert not csrf.matches(SECRET, "", csrf.issue(SECRET, "", "salt"))


def test_two_pages_do_not_show_the_same_token() -> None:
    assert csrf.issue(SECRET, "cookie", "one") != csrf.issue(SECRET, "cookie", "two")


@pytest.mark.parametrize(("origin", "fetch_site", "ours"), [
    (None, None, True),
    ("https://id.example.com", None, True),
    ("HTTPS://ID.example.com", "same-origin", True),
    (None, "none", True),
    ("null", None, False),
    ("https://evil.example", None, False),
    ("http://id.example.com", None, False),
    ("https://id.example.com.evil.example", None, False),
    ("https://id.example.com", "same-site", False),
    (None, "cross-site", False),
])
def test_what_browsers_say_about_the_origin(origin: str | None, fetch_site: str | None, ours: bool) -> None:
    assert csrf.comes_from_us(origin, fetch_site, OURS) is ours
