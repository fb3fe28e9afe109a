"""Whose signature a message gets (smtp.md section 4)."""

import pytest

from authd.smtp import message
from authd.smtp.grammar import NULL_SENDER, Path
from authd.smtp.signing_policy import Candidate, aligned, author_domain, candidate

ANN = Path("ann", "example.com")


def decided(header: bytes, sender: Path = ANN, *, originated: bool = False) -> Candidate:
    return candidate(sender, message.fields(header), originated=originated)


@pytest.mark.parametrize(("value", "domain"), [
    (b" ann@example.com", "example.com"),
    (b"<ann@example.com>", "example.com"),
    (b' Ann <ann@example.com>\r\n', "example.com"),
    (b' "Ann, \\"b\\" <eve@example.org>" <ann@EXAMPLE.com>', "example.com"),
    (b" =?utf-8?q?Ann?= <ann@example.com>", "example.com"),
    (b" J. R. Ann <ann@example.com>", "example.com"),
    (b" \xc3\x84nn <ann@example.com>", "example.com"),
    (b"\r\n\tAnn\r\n <ann@\r\n example.com>", "example.com"),
    (b" ann (a (nested, <b@c>) comment\\)) @ example (x) . com", "example.com"),
    (b' "an n"@example.com', "example.com"),
])
def test_a_single_author(value: bytes, domain: str) -> None:
    assert author_domain(value) == domain


@pytest.mark.parametrize("value", [
    b"", b" ", b" Ann", b" ann@example.com, eve@example.org", b" ann@example.com,", b" <ann@example.com>, <eve@example.org>",
    b" ann@example.com <eve@example.org>", b" Friends: ann@example.com;", b" <ann@example.com> <eve@example.org>",
    b" <ann@example.com> x", b" ann@example.com x", b" ann@eve@example.com", b" <@a.example:ann@example.com>",
    b" <ann@example.com",
    b" ann@", b" @example.com", b" ann@example..com", b" ann@[192.0.2.1]", b' "ann@example.com', b" (ann@example.com",
    b" ann@example.com)", b" ann@ex\xc3\xa4mple.com", b" a<b<ann@example.com>>", b" ann\\@example.com", b" <>", b" ;",
])
def test_what_is_not_one_author(value: bytes) -> None:
    assert author_domain(value) is None


def test_comments_and_words_take_linear_time() -> None:
    for value in (b"(" * 200_000, b"(\\" * 100_000, b'"\\' * 100_000, b"a." * 100_000, b"<" * 200_000, b"(" + b"x" * 200_000):
        assert author_domain(value) is None


@pytest.mark.parametrize(("one", "other", "expected"), [
    ("example.com", "example.com", True), ("mail.example.com", "example.com", True), ("example.com", "a.b.example.com", True),
    ("badexample.com", "example.com", False), ("example.com", "example.org", False), ("", "example.com", False),
    ("", "", False), ("a.example.com", "b.example.com", False),
])
def test_alignment(one: str, other: str, expected: bool) -> None:
    assert aligned(one, other) is expected


def test_our_users_mail_is_signed_by_its_author_s_domain() -> None:
    assert decided(b"From: ann@Sub.Example.COM\r\n") == Candidate("sub.example.com")
    assert decided(b"FROM: ann@example.com\r\n", Path("x", "EXAMPLE.com")) == Candidate("example.com")


@pytest.mark.parametrize(("header", "sender", "reason"), [
    (b"From: ann@example.com\r\nFrom: ann@example.com\r\n", ANN, "not_one_author"),
    (b"From: ann@example.com, bob@example.com\r\n", ANN, "not_one_author"),
    (b"Subject: x\r\n", ANN, "not_one_author"),
    (b"From : ann@example.com\r\nFrom: ann@example.com\r\n", ANN, "not_one_author"),
    (b"From: ann@example.com\r\n", Path("eve", "example.org"), "sender_not_aligned"),
    (b"From: ann@example.com\r\n", Path("postmaster", ""), "sender_not_aligned"),
    (b"From: ann@example.com\r\n", Path("ann", "[192.0.2.1]"), "sender_not_aligned"),
    (b"From: ann@example.com\r\n", NULL_SENDER, "null_sender"),
    (b"From: ann@example.com\r\nAuthd-Forwarded: 1\r\n", ANN, "forwarded"),
    (b"aUTHD-fORWARDED:\r\nFrom: ann@example.com\r\n", ANN, "forwarded"),
    (b"From: ann@example.com\r\n", Path("SRS0=abcd=ef=example.org=eve", "example.com"), "srs_sender"),
    (b"From: ann@example.com\r\n", Path("srs1+abcd=x==y", "example.com"), "srs_sender"),
    (b"From: ann@example.com\r\n", Path("SRS0-abcd", "example.com"), "srs_sender"),
])
def test_what_is_relayed_unsigned(header: bytes, sender: Path, reason: str) -> None:
    assert decided(header, sender) == Candidate("", reason)


def test_the_null_sender_is_signed_only_where_our_own_mail_originates() -> None:
    header = b"From: mailer-daemon@example.com\r\n"
    assert decided(header, NULL_SENDER, originated=True) == Candidate("example.com")
    assert decided(header + b"Authd-Forwarded: 1\r\n", NULL_SENDER, originated=True).reason == "forwarded"
    assert decided(header, Path("eve", "example.org"), originated=True).reason == "sender_not_aligned"
