"""What is sent in forms becomes text, or is refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.errors import InvalidInput
from authd.handlers.forms import SignInForm, fields


def test_fields_are_text() -> None:
    assert fields({"username": ["jürgen".encode()], "empty": [b""]}) == {"username": "jürgen", "empty": ""}


@pytest.mark.parametrize("arguments", [{"a": [b"1", b"2"]}, {"a": [b"\xff"]}, {"a": [b"\xed\xa0\x80"]}])
def test_repeated_fields_and_bad_utf8_are_refused(arguments: dict[str, list[bytes]]) -> None:
    with pytest.raises(InvalidInput) as refused:
        fields(arguments)
    assert "1" not in str(refused.value)


@given(st.dictionaries(st.text(), st.lists(st.binary())))
def test_nothing_else_happens(arguments: dict[str, list[bytes]]) -> None:
    with contextlib.suppress(InvalidInput):
        assert set(fields(arguments)) == set(arguments)


def test_the_sign_in_form() -> None:
    form = SignInForm.read({"username": " a@example.com ", "password": " secret ", "remember": "yes", "next": "/account/"})
    assert form == SignInForm("a@example.com", " secret ", True, "/account/")
    assert form.missing == ()


def test_an_empty_sign_in_form_lacks_both_fields_and_leads_nowhere() -> None:
    form = SignInForm.read({"next": "//evil.example"})
    assert form == SignInForm("", "", False, "")
    assert form.missing == ("username", "password")


def test_the_password_is_not_shown_and_the_name_is_bounded() -> None:
    form = SignInForm.read({"username": "a" * 5000, "password": "secret"})
    assert "secret" not in repr(form)
    assert len(form.username_shown) == 320
