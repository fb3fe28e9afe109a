"""What a failed login leaves behind cannot be forged, is bounded, and holds no secret."""

import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.identity.facts import LoginAttempt
from authd.identity.login_record import failure_entry, failure_line, printable

NOW = datetime(2026, 11, 24, 12, 34, 56, tzinfo=UTC)
ACCOUNT = UUID("00000000-0000-4000-8000-000000000001")
LINE = re.compile(r'login failed client=(?P<host>\S+) name="(?:[^"\\]|\\.)*" reason=[a-z_]+ purpose=[a-z_]+')


def attempt(username: str = "a@x.example", address: str = "203.0.113.5") -> LoginAttempt:
    return LoginAttempt(username, "topsecret", address, "checkpassword")


def test_the_documented_line() -> None:
    assert failure_line(attempt(), "password") == (
        'login failed client=203.0.113.5 name="a@x.example" reason=password purpose=checkpassword')


@pytest.mark.parametrize("username", [
    'x" reason=password purpose=web\nlogin failed client=198.51.100.1 name="y', "a\r\nb", "\x1b[2J", "\u2028", "\udc80", "\x00",
    "\\", '\\"', "a" * 100_000, "\u202eevil",
])
def test_a_name_forges_nothing(username: str) -> None:
    line = failure_line(attempt(username), "unknown")
    match = LINE.fullmatch(line)
    assert match is not None and match["host"] == "203.0.113.5"
    assert line.isprintable()
    assert len(line) < 1200


@given(st.text())
def test_no_name_breaks_the_line(username: str) -> None:
    line = failure_line(attempt(username), "unknown")
    assert LINE.fullmatch(line) and line.isprintable()


def test_people_can_read_names_in_their_language() -> None:
    assert printable("jörg@bücher.example") == "jörg@bücher.example"


def test_a_client_without_an_address_is_unknown() -> None:
    assert "client=unknown " in failure_line(attempt(address="unix: x\n"), "password")


def test_failures_of_an_account_share_a_row_for_a_network_and_minute() -> None:
    first = failure_entry(attempt("A@x.example", "2001:db8::1"), "password", ACCOUNT, NOW)
    again = failure_entry(attempt("b@x.example", "2001:db8::2"), "password", ACCOUNT, NOW.replace(second=1))
    later = failure_entry(attempt("A@x.example", "2001:db8::1"), "password", ACCOUNT, NOW.replace(minute=35))
    elsewhere = failure_entry(attempt("A@x.example", "2001:db8:0:1::1"), "password", ACCOUNT, NOW)
    assert first.aggregate_key == again.aggregate_key
    assert len({first.aggregate_key, later.aggregate_key, elsewhere.aggregate_key}) == 3


def test_a_stranger_with_many_names_fills_one_row() -> None:
    keys = {failure_entry(attempt(f"{number}@x.example"), "unknown", None, NOW).aggregate_key for number in range(100)}
    assert len(keys) == 1


def test_no_secret_is_in_what_is_kept() -> None:
    secret = attempt()
    assert "topsecret" not in failure_line(secret, "password") + repr(failure_entry(secret, "password", ACCOUNT, NOW))
    assert "topsecret" not in repr(secret)
