"""The Sender Rewriting Scheme: there and back, what is refused, secrets, long senders."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.smtp.grammar import NULL_SENDER, Path
from authd.smtp.srs import NeedsToken, Srs, SrsError, is_shaped

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SRS = Srs([b"a secret"])
JOE = Path("joe", "elsewhere.example")

LOCAL_PARTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=0, max_size=250)
DOMAINS = st.from_regex(r"[a-z0-9]{1,20}(\.[a-z0-9]{1,20}){0,4}", fullmatch=True)


@given(LOCAL_PARTS, DOMAINS, st.sampled_from(["=", "+", "-"]), st.integers(0, 21))
def test_there_and_back(local_part: str, domain: str, separator: str, days: int) -> None:
    srs = Srs([b"a secret"], separator=separator)  # type: ignore[arg-type]
    sender = Path(local_part, domain)
    rewritten = srs.forward(sender, "here.example", NOW)
    assert is_shaped(rewritten.sender.local_part)
    assert len(str(rewritten.sender).rpartition("@")[0]) <= 64
    back = srs.reverse(rewritten.sender, NOW + timedelta(days=days))
    if rewritten.token is None:
        assert back == sender or is_shaped(local_part)
    else:
        assert rewritten.token.sender == sender
        assert back == NeedsToken(rewritten.token.token)


@given(LOCAL_PARTS, st.booleans())
def test_whatever_arrives_is_reversed_or_refused(local_part: str, shaped: bool) -> None:
    with pytest.raises(SrsError):
        SRS.reverse(Path("SRS0=" + local_part if shaped else local_part, "here.example"), NOW)


def test_the_second_hop_leads_back_to_the_first() -> None:
    first = Srs([b"of the first"]).forward(JOE, "first.example", NOW).sender
    second = SRS.forward(first, "here.example", NOW).sender
    third = Srs([b"of the third"]).forward(second, "third.example", NOW).sender
    assert [hop.local_part[:5] for hop in (first, second, third)] == ["SRS0=", "SRS1=", "SRS1="]
    assert SRS.reverse(second, NOW) == first
    assert Srs([b"of the third"]).reverse(third, NOW) == first
    assert Srs([b"of the first"]).reverse(first, NOW) == JOE


@pytest.mark.parametrize("local_part", ["SRS0+abcd=AA=b.example=joe", "srs0-abcd=AA=b.example=joe", "SRS0=what ever"])
def test_the_separator_of_the_first_hop_is_kept(local_part: str) -> None:
    rewritten = SRS.forward(Path(local_part, "first.example"), "here.example", NOW).sender
    assert SRS.reverse(rewritten, NOW) == Path("SRS0" + local_part[4:], "first.example")


def test_case_is_of_no_account() -> None:
    rewritten = SRS.forward(JOE, "here.example", NOW).sender
    for local_part in (rewritten.local_part.upper(), rewritten.local_part.lower()):
        back = SRS.reverse(Path(local_part, "here.example"), NOW)
        assert str(back).lower() == str(JOE)


def test_every_secret_verifies_and_the_first_signs() -> None:
    old = Srs([b"old"]).forward(JOE, "here.example", NOW).sender
    both = Srs([b"new", b"old"])
    assert both.reverse(old, NOW) == JOE
    assert both.forward(JOE, "here.example", NOW) == Srs([b"new"]).forward(JOE, "here.example", NOW)
    with pytest.raises(SrsError, match="wrong hash"):
        Srs([b"new"]).reverse(old, NOW)


def test_hashes_of_earlier_installations() -> None:
    """Shorter, and in standard base64; the hash of this sender has both of the letters that differ."""
    secrets = (Srs([f"secret {number}".encode()]) for number in range(10000))
    srs, local_part = next((srs, text) for srs in secrets
                           if {"-", "_"} <= {*(text := srs.forward(JOE, "here.example", NOW).sender.local_part)[5:13]})
    digest, rest = local_part[5:13], local_part[13:]
    for length in range(4, 9):
        for form in (digest, digest.replace("-", "+").replace("_", "/"), digest.upper()):
            assert srs.reverse(Path(f"SRS0={form[:length]}{rest}", "here.example"), NOW) == JOE
    for wrong in (digest[:3], digest[:1], digest + "x", digest * 4, "x" * 8, "x" * 100, "ä" * 8):
        with pytest.raises(SrsError, match="wrong hash"):
            srs.reverse(Path(f"SRS0={wrong}{rest}", "here.example"), NOW)


@pytest.mark.parametrize(("days", "valid"), [(-2, False), (-1, True), (0, True), (21, True), (22, False), (1022, False),
                                             (1024, True)])
def test_age(days: int, valid: bool) -> None:
    rewritten = SRS.forward(JOE, "here.example", NOW).sender
    if valid:
        assert SRS.reverse(rewritten, NOW + timedelta(days=days)) == JOE
    else:
        with pytest.raises(SrsError, match="expired"):
            SRS.reverse(rewritten, NOW + timedelta(days=days))


@pytest.mark.parametrize("part", [5, 13, 14, 15, 17, 25, -1])
def test_a_changed_letter_is_found(part: int) -> None:
    letters = [*SRS.forward(JOE, "here.example", NOW).sender.local_part]
    letters[part] = "x" if letters[part] != "x" else "y"
    with pytest.raises(SrsError):
        SRS.reverse(Path("".join(letters), "here.example"), NOW)


def test_a_long_sender_has_a_token_that_stays_the_same() -> None:
    sender = Path("bounces+" + "x" * 60, "elsewhere.example")
    first, later = (SRS.forward(sender, "here.example", NOW + timedelta(days=days)) for days in (0, 5))
    assert first.token is not None and first.token == later.token
    assert SRS.forward(Path(sender.local_part + "y", sender.domain), "here.example", NOW).token != first.token
    shouted = Path(first.sender.local_part.upper(), "here.example")
    assert SRS.reverse(shouted, NOW) == NeedsToken(first.token.token)
    further = Srs([b"of somebody else"]).forward(first.sender, "next.example", NOW).sender
    back = Srs([b"of somebody else"]).reverse(further, NOW)
    assert isinstance(back, Path) and SRS.reverse(back, NOW) == NeedsToken(first.token.token)


def test_a_token_that_nobody_made_is_refused() -> None:
    rewritten = SRS.forward(Path("x" * 64, "elsewhere.example"), "here.example", NOW).sender
    with pytest.raises(SrsError, match="wrong hash"):
        SRS.reverse(Path(rewritten.local_part[:-1] + "2", "here.example"), NOW)


def test_the_null_sender_is_never_rewritten() -> None:
    with pytest.raises(ValueError, match="null sender"):
        SRS.forward(NULL_SENDER, "here.example", NOW)


def test_without_a_secret_there_is_no_srs() -> None:
    for secrets in ([], [b""], [b"x", b""]):
        with pytest.raises(ValueError, match="secret"):
            Srs(secrets)


@pytest.mark.parametrize(("local_part", "answer"), [
    ("SRS0=x", True), ("srs1+x", True), ("SrS0-x", True), ("SRS0", False), ("SRS2=x", False), ("xSRS0=x", False)])
def test_shape(local_part: str, answer: bool) -> None:
    assert is_shaped(local_part) is answer


def test_secrets_are_not_printed() -> None:
    assert "secret" not in repr(SRS).replace("secrets", "")
