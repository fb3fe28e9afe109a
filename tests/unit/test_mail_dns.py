"""Which records a domain needs, and what is thought of those in DNS."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import dns.rdata
import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.errors import InvalidInput
from authd.keys.cipher import Cipher
from authd.keys.facts import StoredDomain, StoredKey
from authd.keys.generate import new_key
from authd.mail_dns import verdicts
from authd.mail_dns.check import check
from authd.mail_dns.records import (
    DmarcWish,
    Record,
    SpfPolicy,
    State,
    dkim_records,
    dmarc_record,
    parse_networks,
    spf_records,
    zone_line,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def stored(number: int, algorithm: str, selector: str, **moments: datetime | None) -> StoredKey:
    key = new_key("dkim", algorithm, selector, Cipher())
    row = StoredKey(number, "dkim", algorithm, selector, None, key.private_key, None, key.public_key, None,
                    NOW - DAY, None, None)
    return replace(row, **moments)  # type: ignore[arg-type]


KEYS = (
    stored(1, "Ed25519", "ed"), stored(2, "RSA-2048", "now"), stored(3, "RSA-2048", "next", active_from=NOW + DAY),
    stored(4, "RSA-2048", "old", retired_at=NOW, published_until=NOW + DAY),
    stored(5, "RSA-2048", "older", retired_at=NOW - DAY, published_until=NOW),
    stored(6, "RSA-2048", "leaving", retired_at=NOW + DAY, published_until=NOW + 8 * DAY))


def test_a_record_for_every_key_in_its_state() -> None:
    records = dkim_records("example.com", {"example.com": StoredDomain("example.com", False, KEYS)}, NOW)
    assert [(item.name.partition(".")[0], item.state, item.since, item.until) for item in records] == [
        ("now", State.ACTIVE, None, None), ("next", State.NEXT, NOW + DAY, None), ("old", State.RETIRED, None, NOW + DAY),
        ("older", State.WITHDRAWN, None, NOW), ("leaving", State.ACTIVE, None, None), ("ed", State.ACTIVE, None, None)]
    assert {item.name.partition(".")[2] for item in records} == {"_domainkey.example.com"}
    assert "private" not in repr(records) and "private" not in str(records[0].as_json())


def test_a_parent_that_lends_its_keys_publishes_them() -> None:
    rows = {"example.com": StoredDomain("example.com", True, KEYS[:2]),
            "a.example.com": StoredDomain("a.example.com", False, ())}
    assert [item.name for item in dkim_records("a.example.com", rows, NOW)] == [
        "now._domainkey.example.com", "ed._domainkey.example.com"]
    assert dkim_records("example.org", {}, NOW) == []


def test_spf_and_dmarc_records() -> None:
    assert SpfPolicy().text() == "v=spf1 mx ~all"
    policy = SpfPolicy(False, (ip_network("192.0.2.1"), ip_network("2001:db8::/32")), ("Relay.Example",), "-all")
    assert policy.text() == "v=spf1 ip4:192.0.2.1 ip6:2001:db8::/32 include:relay.example -all"
    names = ["a.example", "srs.example"]
    assert [item.name for item in spf_records([*names, "a.example"], policy)] == names
    assert dmarc_record("a.example", DmarcWish()).value == "v=DMARC1; p=none"
    wish = DmarcWish("reject", ("dmarc@a.example", "a,b!c@b.example"))
    assert dmarc_record("a.example", wish) == Record(
        "dmarc", "_dmarc.a.example", "v=DMARC1; p=reject; rua=mailto:dmarc@a.example,mailto:a%2Cb%21c@b.example")


def test_what_cannot_be_published_is_refused() -> None:
    for broken in (["192.0.2.1/24"], ["mail.example"], [""]):
        with pytest.raises(InvalidInput, match="spf_ip"):
            parse_networks(broken)
    for policy in (SpfPolicy(includes=("a b",)), SpfPolicy(includes=tuple(f"{i}.example" for i in range(10)))):
        with pytest.raises(InvalidInput):
            policy.text()
    with pytest.raises(InvalidInput):
        DmarcWish(reports_to=("nobody",)).text()


@pytest.mark.parametrize("algorithm", ["RSA-2048", "RSA-3072", "RSA-4096", "Ed25519"])
def test_a_zone_takes_the_line(algorithm: str) -> None:
    key = stored(1, algorithm, "s1")
    [record] = dkim_records("example.com", {"example.com": StoredDomain("example.com", False, (key,))}, NOW)
    zone = dns.zone.from_text(f"$TTL 60\n{zone_line(record.name, record.value)}\n", origin="example.com.", check_origin=False)
    [data] = zone.find_rdataset("s1._domainkey", "TXT")
    assert b"".join(data.strings).decode() == record.value
    assert all(len(string) <= 255 for string in data.strings)
    assert len(data.strings) == 1 + (len(record.value) > 255) + (len(record.value) > 510)


def test_quotes_and_backslashes_survive_the_zone() -> None:
    text = r'v=x \ "y"'
    zone = dns.zone.from_text(f"$TTL 60\n{zone_line('a.example', text)}\n", origin="example.", check_origin=False)
    [data] = zone.find_rdataset("a", "TXT")
    assert b"".join(data.strings).decode() == text


KEY = dkim_records("example.com", {"example.com": StoredDomain("example.com", False, KEYS[1:2])}, NOW)[0]
ED = dkim_records("example.com", {"example.com": StoredDomain("example.com", False, KEYS[:1])}, NOW)[0]
P = KEY.value.partition("p=")[2]


@pytest.mark.parametrize(("published", "verdict", "text"), [
    ([KEY.value], "found", "our key"),
    ([f"p={P}"], "found", "our key"),
    ([f" v = DKIM1 ; k = rsa ; h=sha1:sha256; s=email; n=a note; x=new; p={P[:80]} {P[80:]} ; "], "found", "our key"),
    ([f"v=DKIM1; t=s:y; p={P}"], "noted", "t=y"),
    ([], "missing", "nobody can verify"),
    ([KEY.value, KEY.value.lower()], "several", "one"),
    (["v=DKIM1; p="], "different", "revoked"),
    ([ED.value.replace("ed25519", "rsa")], "different", "another key"),
    ([ED.value], "different", "k=ed25519"),
    ([f"v=DKIM1; k=ed448; p={P}"], "different", "k=ed448"),
    ([f"v=DKIM1; h=sha1; p={P}"], "different", "hashes sha1"),
    ([f"v=DKIM1; s=tlsrpt; p={P}"], "different", "not for mail"),
    ([f"v=DKIM2; p={P}"], "different", "v=DKIM1"),
    ([f"k=rsa; v=DKIM1; p={P}"], "different", "v=DKIM1"),
    ([f"v=DKIM1; p={P[:-8]}"], "different", "another key"),
    ([f"v=DKIM1; p={P[:-7]}"], "different", "another key"),
    (["v=DKIM1; p=é"], "different", "another key"),
    (["v=DKIM1; k=rsa"], "different", "no DKIM key"),
    ([f"p={P}; p={P}"], "different", "no DKIM key"),
    ([""], "different", "no DKIM key"),
    ([";;==;"], "different", "no DKIM key"),
    (["v=spf1 -all"], "different", "no DKIM key"),
])
def test_a_published_key(published: list[str], verdict: str, text: str) -> None:
    finding = verdicts.dkim(KEY, published)
    assert (finding.verdict.value, text in finding.text) == (verdict, True), finding.text


def test_a_key_before_and_after_it_signs() -> None:
    following = replace(KEY, state=State.NEXT, since=NOW)
    assert "2026-11-24" in verdicts.dkim(following, []).text
    retired, gone = replace(KEY, state=State.RETIRED, until=NOW), replace(KEY, state=State.WITHDRAWN)
    assert [verdicts.dkim(retired, there).verdict.value for there in ([], [KEY.value])] == ["missing", "found"]
    assert [verdicts.dkim(gone, there).verdict.value for there in ([], ["v=DKIM1; p="], [KEY.value], ["x"])] == [
        "absent", "absent", "noted", "noted"]


@pytest.mark.parametrize(("published", "verdict"), [
    (["v=spf1 mx ~all"], "found"), (["google-site=1", "V=SPF1  MX ~ALL"], "found"), (["v=spf1 ip4:192.0.2.1 -all"], "noted"),
    (["v=spf1 mx ~all", "v=spf1 -all"], "several"), ([], "missing"), (["v=spf10 mx"], "missing"), (["spf2.0/pra"], "missing"),
    (["v=spf1 mx +all"], "different"), (["v=spf1 all"], "different"), (["v=spf1"], "noted"),
])
def test_a_published_spf_record(published: list[str], verdict: str) -> None:
    assert verdicts.spf(spf_records(["a.example"], SpfPolicy())[0], published).verdict.value == verdict


@pytest.mark.parametrize(("wanted", "published", "parent", "verdict"), [
    ("none", ["v=DMARC1; p=none"], [], "found"),
    ("none", ["v=DMARC1;p=None;"], [], "found"),
    ("none", ["v=DMARC1; p=reject; rua=mailto:a@b.example"], [], "noted"),
    ("quarantine", ["v=DMARC1; p=none"], [], "different"),
    ("none", ["v=DMARC1; rua=mailto:a@b.example"], [], "noted"),
    ("quarantine", ["v=DMARC1; rua=mailto:a@b.example"], [], "different"),
    ("none", ["v=DMARC1; p=refuse"], [], "different"),
    ("none", ["v=DMARC1; p=none; t=y"], [], "noted"),
    ("quarantine", ["v=DMARC1; p=reject; t=y"], [], "noted"),
    ("quarantine", ["v=DMARC1; p=quarantine; t=y"], [], "different"),
    ("none", ["v=DMARC1; what is this"], [], "different"),
    ("none", ["v=DMARC1; p=none", "v=DMARC1; p=reject"], [], "several"),
    ("none", ["v=DMARC1; p=none", "something else"], [], "found"),
    ("none", [], [], "missing"),
    ("none", ["v=dmarc1; p=none"], [], "missing"),
    ("none", ["v=DMARC10; p=none"], ["v=DMARC1; p=reject"], "noted"),
    ("quarantine", [], ["v=DMARC1; p=reject; sp=none"], "different"),
    ("none", [], ["v=DMARC1; p=none", "v=DMARC1; p=none"], "several"),
])
def test_a_published_dmarc_record(wanted: str, published: list[str], parent: list[str], verdict: str) -> None:
    record = dmarc_record("mail.a.example", DmarcWish(wanted))  # type: ignore[arg-type]
    finding = verdicts.dmarc(record, published, [("_dmarc.a.example", parent)])
    assert finding.verdict.value == verdict, finding.text


class Everywhere:
    """A resolver that has the same records at every name."""

    def __init__(self, records: list[bytes]) -> None:
        self.records = records

    async def txt(self, name: str) -> list[bytes]:
        return self.records


PIECES = st.sampled_from([
    b"v=DKIM1", b"v=spf1", b"v=DMARC1", b";", b"=", b" ", b"p=", b"k=ed25519", b"k=rsa", b"h=sha256", b"s=*", b"t=y", b"mx",
    b"all", b"\xff", b"\0", b"%s", b"\r\n", KEY.value.encode(), ED.value.encode(), P.encode()])


@given(records=st.lists(st.lists(PIECES, max_size=8).map(b"".join), max_size=3))
def test_whatever_stands_there_is_a_finding(records: list[bytes]) -> None:
    wanted = [KEY, ED, spf_records(["a.example"], SpfPolicy())[0], dmarc_record("a.b.example", DmarcWish("reject"))]
    findings = asyncio.run(check(wanted, Everywhere(records), Cipher(), NOW))
    assert [finding.record for finding in findings] == wanted
    assert P.encode() in b"".join(records) or not findings[0].verdict.is_fine
    json.dumps([finding.as_json() for finding in findings])
