"""Which passwords people may choose."""

import pytest

from authd.identity.password_policy import problem

PERSONAL = ("alice", "Alice Liddell", "alice.liddell@example.org")


@pytest.mark.parametrize("password", [
    "correct horse battery staple", "kT9#mvLq2w", "zwölf Boxkämpfer jagen", "a very long sentence " * 20,
    "alice plays croquet with flamingos",
])
def test_good_passwords(password: str) -> None:
    assert problem(password, PERSONAL) is None


@pytest.mark.parametrize(("password", "code"), [
    ("", "too_short"),
    ("kT9#mvLq2", "too_short"),
    ("ä" * 256, "too_long"),
    ("ä" * 513, "too_long"),
    ("with\x00in the middle", "not_text"),
    ("lone \udc80 surrogate", "not_text"),
    ("password123", "common"),
    ("PASSWORD123", "common"),
    ("aaaaaaaaaaaaaaa", "guessable"),
    ("passwordpassword", "guessable"),
    ("alice.liddell@example.org", "personal"),
    ("AliceLiddell", "personal"),
    ("liddell-alice1", "personal"),
])
def test_bad_passwords_say_why(password: str, code: str) -> None:
    assert problem(password, PERSONAL) == code


def test_length_counts_characters_and_the_limit_bytes() -> None:
    assert problem("ünïcödéß→x") is None
    long = "flamingo croquet hedgehog teapot " * 15
    assert problem(long + "x" * (511 - len(long))) is None
    assert problem(long + "x" * (512 - len(long))) == "too_long"


def test_an_empty_name_is_not_in_every_password() -> None:
    assert problem("kT9#mvLq2w", ("", "x")) is None
