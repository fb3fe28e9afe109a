"""Signatures: the canonical forms are dkimpy's, and dkimpy verifies the whole."""

import base64
import hashlib
import time
from collections.abc import Sequence

import pytest
from dkim.canonicalization import Relaxed
from hypothesis import given, seed
from hypothesis import strategies as st

from authd.keys.facts import DkimKey, DkimKeys
from authd.smtp import dkim, message
from tests.fixtures.dkim import verified
from tests.smtp.support import ed25519_key, rsa_key
from tests.unit.test_smtp_transparency import cut

NOW = 1_795_500_000
BODIES = st.lists(st.sampled_from([b" ", b"\t", b"  ", b"\r\n", b"a", b".", b"\xe4", b"word", b"\v", b"\f"])).map(
    lambda parts: b"".join([*parts, b"\r\n"]) if parts else b"")
NAMES = ["From", "To", "Cc", "Subject", "Reply-To", "Date", "Message-ID", "MIME-Version", "Content-Type", "Received", "Sender",
         "References", "List-Id", "List-Unsubscribe", "X-Other", "fROM", "TO", "Bcc", "DKIM-Signature-Not"]
VALUES = st.lists(st.sampled_from([" ", "\t", "\r\n ", "\r\n\t", "a", "b:c", ";", "=", "\xe4", "  x  "])).map("".join)
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=12)


def sign(content: bytes, *keys: DkimKey, lifetime: int | None = None) -> bytes:
    start = message.body_start(content)
    header = message.fields(content[:start])
    digest = dkim.body_hash([content[len(content) if start is None else start:]])
    return dkim.signatures(header, digest, DkimKeys("example.com", keys), now=NOW, lifetime=lifetime) + content


@seed(3)
@given(BODIES, st.lists(st.integers(0, 100)))
def test_the_canonical_body_is_dkimpy_s(body: bytes, places: list[int]) -> None:
    assert b"".join(dkim.canonical_body(cut(body, places))) == Relaxed.canonicalize_body(body)


@seed(4)
@given(st.sampled_from(NAMES), VALUES)
def test_canonical_fields_are_dkimpy_s(name: str, value: str) -> None:
    [(their_name, their_value)] = Relaxed.canonicalize_headers([(name.encode(), value.encode("latin-1") + b"\r\n")])
    assert dkim.canonical_field(f"{name}:{value}".encode("latin-1")) + b"\r\n" == their_name + b":" + their_value


@seed(5)
@given(HEADERS, BODIES)
def test_dkimpy_verifies_what_we_sign(header: list[tuple[str, str]], body: bytes) -> None:
    lines = [f"{name}:{value}x".encode("latin-1") for name, value in [*header, ("From", " ann@example.com")]]
    signed = sign(b"\r\n".join(lines) + b"\r\n\r\n" + body, ed25519_key())
    assert verified(signed, ed25519_key()) == [True]


def test_both_algorithms_sign_rsa_first() -> None:
    signed = sign(b"From: ann@example.com\r\nSubject: x\r\n\r\nHello\r\n", rsa_key(), ed25519_key())
    assert signed.index(b"a=rsa-sha256") < signed.index(b"a=ed25519-sha256") < signed.index(b"From:")
    assert verified(signed, rsa_key(), ed25519_key()) == [True, True]


def test_a_message_without_a_body_and_one_without_an_empty_line() -> None:
    for content in (b"From: ann@example.com\r\n\r\n", b"From: ann@example.com\r\n"):
        assert verified(sign(content, ed25519_key()), ed25519_key()) == [True]


def test_the_signature_s_tags() -> None:
    field = sign(b"From: ann@example.com\r\n\r\n", ed25519_key(), lifetime=600).split(b"\r\nFrom")[0]
    assert dkim.canonical_field(field).startswith(
        b"dkim-signature:v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.com; s=ed; t=1795500000; x=1795500600; h=from:")
    assert b"l=" not in field.replace(b"b=", b"").split(b"bh")[0]
    assert b"x=" not in sign(b"From: ann@example.com\r\n\r\n", ed25519_key()).split(b"h=")[0]
    assert all(len(line) <= 78 for line in field.split(b"\r\n"))


@pytest.mark.parametrize(("header", "names"), [
    (b"", "from to cc subject reply-to"),
    (b"From: a\r\nFROM: b\r\n", "from from from to cc subject reply-to"),
    (b"From: a\r\nTo: b\r\nDate: d\r\nReceived: r\r\nReturn-Path: p\r\nBcc: c\r\nAuthentication-Results: x\r\n"
     b"List-Post: p\r\nList-Id: i\r\nX-Listed: x\r\n",
     "from from to to cc subject reply-to date date list-id list-id list-post list-post"),
    (b"Message-ID: m\r\nMIME-Version: 1\r\nContent-Type: t\r\nContent-Transfer-Encoding: e\r\nIn-Reply-To: i\r\n"
     b"References: r\r\nSender: s\r\n",
     "from to cc subject reply-to message-id message-id mime-version mime-version content-type content-type "
     "content-transfer-encoding content-transfer-encoding in-reply-to in-reply-to references references sender sender"),
])
def test_which_fields_are_signed_and_oversigned(header: bytes, names: str) -> None:
    assert b" ".join(dkim.signed_names(message.fields(header))).decode() == names


@pytest.mark.parametrize("name", [b"From", b"To", b"Cc", b"Subject", b"Reply-To", b"Date"])
@pytest.mark.parametrize("at_the_top", [True, False])
def test_nobody_can_add_another_signed_field(name: bytes, at_the_top: bool) -> None:
    content = b"From: ann@example.com\r\nDate: today\r\n\r\nHello\r\n"
    signed, added = sign(content, ed25519_key()), name + b": eve\r\n"
    changed = added + signed if at_the_top else signed.replace(b"\r\n\r\n", b"\r\n" + added + b"\r\n", 1)
    assert verified(changed, ed25519_key()) == [False]


def test_a_signature_survives_what_an_injecting_server_does() -> None:
    """OpenSMTPD removes Bcc, folds To, Cc and From anew, and puts trace fields on top."""
    content = b"From: Ann <ann@example.com>\r\nBcc: c@x.net\r\nTo: b@x.net,\tc@x.net\r\nSubject: s\r\n\r\nHello  you \r\n\r\n"
    changed = sign(content, rsa_key()).replace(b"Bcc: c@x.net\r\n", b"").replace(b",\tc@", b",\r\n\tc@")
    changed = b"Received: from a by b;\r\n\tnow\r\n" + changed.replace(b"  you \r\n\r\n", b" you\r\n")
    assert verified(changed, rsa_key()) == [True]
    assert verified(changed.replace(b"you", b"You"), rsa_key()) == [False]


def pieces(content: bytes) -> Sequence[bytes]:
    return [content[at:at + 262144] for at in range(0, len(content), 262144)]


@pytest.mark.parametrize("body", [b" " * 2_000_000 + b"x", b"\r\n" * 1_000_000 + b"x", b" \r\n" * 700_000 + b"x",
                                  (b" " * 50_000 + b"x") * 40, b" \t" * 1_000_000, b"a " * 1_000_000])
def test_time_is_linear_in_the_body(body: bytes) -> None:
    """dkimpy takes 3 s for 50,000 spaces in a row; here a megabyte of the worst takes milliseconds."""
    def seconds(content: bytes) -> float:
        start = time.thread_time()
        dkim.body_hash(pieces(content))
        return time.thread_time() - start

    assert min(seconds(body) for _ in range(3)) < 0.5


def test_many_empty_lines_take_no_memory() -> None:
    hashed = dkim.body_hash([b"a"] + [b"\r\n" * 10_000] * 100 + [b"b\r\n"])
    assert hashed == hashlib.sha256(b"a" + b"\r\n" * 1_000_000 + b"b\r\n").digest()
    assert max(len(piece) for piece in dkim.canonical_body([b"a", b"\r\n" * 100_000, b"b"])) < 10_000


def test_the_seam_for_a_second_kind_of_signature() -> None:
    """docs/decisions/0011-no-arc.md: a function of the shape of `signatures`, over the same digest; both stand on top."""
    def others(header: Sequence[message.Field], digest: bytes, keys: DkimKeys, *, now: int) -> bytes:
        signed = dkim.canonical_header(header, [b"from", b"subject"]) + digest
        return b"Other-Signature: d=%b; t=%d; b=%b\r\n" % (
            keys.domain.encode(), now, base64.b64encode(hashlib.sha256(signed).digest()))

    content = b"From: a@example.com\r\nSubject: x\r\n\r\nHello\r\n"
    header, digest = message.fields(content[:message.body_start(content)]), dkim.body_hash([b"Hello\r\n"])
    keys = DkimKeys("example.com", (rsa_key(), ed25519_key()))
    first = dkim.signatures(header, digest, keys, now=NOW)
    second = others(header, digest, keys, now=NOW)
    for signed in (first + second + content, second + first + content):
        assert verified(signed, *keys.keys) == [True, True]
