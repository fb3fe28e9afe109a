"""What others have signed still verifies behind the signer and the forwarder: they prepend, and change no octet of the rest.

The messages are those of the RFCs, of dkimpy's tests and of CPython's e-mail tests, and generated ones, each with two more
signatures that dkimpy makes for somebody else, and each sent through the whole listener. Over SMTP every line ends in CRLF, so
there is no message without the last one.
"""

import asyncio
import re
from collections.abc import Iterable
from functools import cache

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from authd.keys.facts import DkimKeys
from tests.fixtures.dkim import records, verdicts
from tests.fixtures.signed import RFC_EXAMPLES, RFC_RECORDS
from tests.peers.unpacked import unpacked
from tests.smtp.forwarding import forwarding, text
from tests.smtp.support import Delivered, Keys, Sink, ed25519_key, relaying, rsa_key

pytestmark = pytest.mark.peer("dkimpy")

OURS = ("football.example.com", "example.com")
BOTH = rsa_key(), ed25519_key()
SENT_AS = "joe@football.example.com"
EVERYWHERE = ("bob@example.com", "x@gone.example", "all@example.com")
COPIES = 7  # Bob's own, keeper's, and of the list: alice, bob, kim, lee, mia

ZONE = {name.replace(b"example.com", domain.encode()): text for domain in OURS for name, text in records(*BOTH).items()} | {
    b"other._domainkey.elsewhere.example.": records(rsa_key())[b"rsa._domainkey.example.com."],
    # what Google published in 2013 for a message that is among dkimpy's
    b"20120113._domainkey.gmail.com.":
        b"k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1Kd87/UeJjenpabgbFwh+eBCsSTrqmwIYYvywlbhbqoo2Dy"
        b"mndFkbjOVIPIldNs/m40KF+yzMn1skyoxcTUGCQs8g3FgD2Ap3ZB5DekAo5wMmk4wimDO+U8QzI3SD07y2+07wlNWwIt8svnxgdx"
        b"GkVbbhzY8i+RQ9DpSVpPbF7ykQxtKXkv/ahW3KjViiAH+ghvvIhkx4xYSIc9oSwVmAl5OctMEeWUwg8Istjqz8BZeTWbf41fbNht"
        b"e7Y+YqZOwq1Sd0DbvYAD9NOZK9vlfuac0598HY+vtSBczUiKERHv1yRbcaQtZFh5wtiRrN04BLUTD21MycBX5jYchHjPY/wIDAQA"
        b"B",
} | RFC_RECORDS


@cache
def others_key() -> bytes:
    key = rsa_key().private_key
    assert isinstance(key, RSAPrivateKey)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def signed_by_another(message: bytes) -> bytes:
    """The message with two signatures of elsewhere.example, or as it is where dkimpy cannot sign it."""
    try:
        found = [dkim.sign(message, b"other", b"elsewhere.example", others_key(), canonicalize=(way, way))
                 for way in (b"simple", b"relaxed")]
    except dkim.DKIMException:
        return message
    return b"".join(found) + message


def sendable(files: Iterable[bytes]) -> list[bytes]:
    """The messages whose form allows sending, with the line ends of SMTP."""
    with_line_ends = [re.sub(rb"\r?\n", b"\r\n", file) for file in files]
    complete = [message if message.endswith(b"\r\n") else message + b"\r\n" for message in with_line_ends]
    return [message for message in complete if not re.search(rb"\r(?!\n)|\0", message)]


def corpus(name: str) -> list[bytes]:
    """The messages of that origin."""
    if name == "RFC":
        return list(RFC_EXAMPLES.values())
    if name == "CPython":
        return sendable(file.read_bytes() for file in sorted(unpacked("usr/lib/python3.*/test/test_email/data").glob("*.txt")))
    folder = unpacked("usr/lib/python3/dist-packages/dkim/tests/data")
    ZONE[b"sed._domainkey.test.ex."] = (folder / "eximtest.dns").read_bytes().strip()
    return sendable(file.read_bytes() for file in sorted([*folder.glob("*.msg"), *folder.glob("*.message*")]))


def check(sent: bytes, arrived: Delivered, prepended: set[bytes]) -> list[bool]:
    """That what was sent is there whole below the fields of these names, and that its signatures are as good as before."""
    assert arrived.content.endswith(sent)
    head = arrived.content.removesuffix(sent)
    assert {line.partition(b":")[0] for line in head.split(b"\r\n")[:-1] if line[:1] not in b" \t"} == prepended
    before, after = verdicts(sent, ZONE), verdicts(arrived.content, ZONE)
    assert after[len(after) - len(before):] == before
    assert all(after[:len(after) - len(before)])
    return before


async def through_the_signer(messages: list[bytes]) -> list[bool]:
    """Sends all; the verdicts on the signatures that were there before."""
    found = []
    async with relaying(Sink(), Keys({domain: DkimKeys(domain, BOTH) for domain in OURS})) as (sink, signer, client):
        for message in messages:
            accepted, signed = signer.counts.accepted, signer.counts.signed
            assert (await client.send(message, SENT_AS)).startswith("250"), message
            assert signer.counts.accepted == accepted + 1
            ours = {b"DKIM-Signature"} if signer.counts.signed > signed else set()
            found += check(message, sink.delivered.pop(), {b"Received"} | ours)
    return found


async def through_the_forwarder(messages: list[bytes], database_url: str, remote: Sink) -> list[bool]:
    """Sends all to a mailbox, a redirected domain and a list of lists; the verdicts as above, for each copy."""
    found = []
    forwarded = {b"Received", b"Delivered-To", b"Authd-Forwarded"}
    async with forwarding(database_url, remote=remote) as site:
        for message in messages:
            assert (await site.client.send(message, SENT_AS, EVERYWHERE)).startswith("250"), message
            arrived = site.local.delivered + site.remote.delivered
            assert sum(len(one.recipients) for one in arrived) >= COPIES - 1
            for one in arrived:
                names = {line.partition(b":")[0] for line in one.content.removesuffix(message).split(b"\r\n")}
                of_a_list = {b"List-Id", b"Precedence", b"List-Unsubscribe"} if b"List-Id" in names else set()
                plain = b"Delivered-To" not in names
                assert not plain or [text(recipient) for recipient in one.recipients] == ["bob@example.com"]
                found += check(message, one, {b"Received"} if plain else forwarded | of_a_list)
            site.local.delivered.clear()
            site.remote.delivered.clear()
    return found


@pytest.mark.parametrize("listener", ["signer", "forwarder"])
@pytest.mark.parametrize(("name", "least", "valid"), [("RFC", 2, 3), ("dkimpy", 8, 5), ("CPython", 40, 0)])
async def test_what_others_signed_still_verifies(module_database_url: str, listener: str, name: str, least: int,
                                                 valid: int) -> None:
    messages = corpus(name)
    assert len(messages) >= least and sum(sum(verdicts(message, ZONE)) for message in messages) >= valid
    messages += [signed_by_another(message) for message in messages]
    if listener == "signer":
        found = await through_the_signer(messages)
    else:
        found = await through_the_forwarder(messages, module_database_url, Sink())
    print(f"{len(messages)} messages, {sum(found)} of {len(found)} signatures verify, as before")
    assert sum(found) >= valid


FOLD = st.sampled_from([b" ", b"  ", b"\t", b"\r\n ", b"\r\n\t", b"\r\n  \t "])
TEXT = st.binary(min_size=1, max_size=12).map(lambda data: re.sub(rb"[\0\r\n]", b".", data))
LONG = st.integers(990, 65_500).map(lambda size: b"w" * size) | st.integers(200, 8_000).map(lambda times: b"word \xe4 " * times)
VALUE = st.lists(st.tuples(FOLD, TEXT | st.just(b"")), max_size=4).map(lambda parts: b"".join(b"".join(part) for part in parts))
NAME = st.sampled_from([b"From", b"To", b"Subject", b"X-Odd", b"x-ODD", b"Received", b"Date", b"Content-Type", b"A"])
FIELD = st.tuples(NAME, st.sampled_from([b":", b" :", b": "]), VALUE | LONG).map(b"".join)
LINE = TEXT | LONG | st.sampled_from([b"", b".", b"..", b".x", b" ", b"\t \t", b"a  b \t", b"From x", b"\xff\xfe"])
BODY = st.none() | st.lists(LINE, max_size=6)


def assembled(parts: tuple[list[bytes], list[bytes] | None]) -> bytes:
    header, body = parts
    return b"\r\n".join([b"From: eve@elsewhere.example", *header, *([] if body is None else [b"", *body]), b""])


MESSAGES = st.lists(st.tuples(st.lists(FIELD, max_size=6), BODY).map(assembled), min_size=5, max_size=25)
FEW = settings(max_examples=8, suppress_health_check=list(HealthCheck))


@seed(11)
@FEW
@given(MESSAGES)
def test_generated_messages_behind_the_signer(messages: list[bytes]) -> None:
    assert any(asyncio.run(through_the_signer([signed_by_another(message) for message in messages])))


@seed(12)
@FEW
@given(MESSAGES)
def test_generated_messages_behind_the_forwarder(module_database_url: str, messages: list[bytes]) -> None:
    signed = [signed_by_another(message) for message in messages]
    assert any(asyncio.run(through_the_forwarder(signed, module_database_url, Sink())))
