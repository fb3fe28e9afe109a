"""What to think of the TXT records that stand in DNS, given the one that should. Pure: looks nothing up, verifies nothing.

The rules are RFC 6376 section 3.6.1 and RFC 8463 (DKIM), RFC 7208 section 4.5 (SPF), RFC 9989 (DMARC).
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from authd.mail_dns.records import DMARC_POLICIES, Record, State, in_words

_TAG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SPF = re.compile(r"v=spf1( |$)", re.IGNORECASE)
_STRICTNESS: dict[str, int] = {policy: rank for rank, policy in enumerate(DMARC_POLICIES)}
_DMARC = re.compile(r"\s*v\s*=\s*DMARC1\s*(;|$)")


class Verdict(Enum):
    """What was found. FOUND, NOTED and ABSENT are fine: as it should be; good, with a remark; gone, as it may be."""

    FOUND = "found"
    NOTED = "noted"
    ABSENT = "absent"
    MISSING = "missing"
    DIFFERENT = "different"
    SEVERAL = "several"
    UNANSWERED = "unanswered"

    @property
    def is_fine(self) -> bool:
        """Whether nothing has to be done."""
        return self in (Verdict.FOUND, Verdict.NOTED, Verdict.ABSENT)


@dataclass(frozen=True, slots=True)
class Finding:
    """A record, what was thought of it and why, and what stands in DNS."""

    record: Record
    verdict: Verdict
    text: str
    published: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**self.record.as_json(), "verdict": self.verdict.value, "text": self.text, "published": list(self.published)}


def tags(text: str) -> dict[str, str] | None:
    """The tags of a DKIM or DMARC record (RFC 6376 section 3.2), in their order; None where it is no list of tags."""
    found: dict[str, str] = {}
    for part in text.strip().removesuffix(";").split(";"):
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not _TAG_NAME.fullmatch(name) or name in found:
            return None
        found[name] = value.strip()
    return found


def dkim(record: Record, published: Sequence[str]) -> Finding:
    """Whether the record of a key stands there. That a signature verifies by it is for the caller to try."""
    def finding(verdict: Verdict, text: str) -> Finding:
        return Finding(record, verdict, text, tuple(published))

    if record.state is State.WITHDRAWN:
        if not published or (len(published) == 1 and (tags(published[0]) or {}).get("p") == ""):
            return finding(Verdict.ABSENT, "withdrawn, as it may be")
        return finding(Verdict.NOTED, "nothing needs it any more: it may be withdrawn")
    if not published:
        return finding(Verdict.MISSING, _due(record))
    if len(published) > 1:
        return finding(Verdict.SEVERAL, "there must be one: verifiers may take any of them, or none")
    problem, remarks = _key_problem(record, published[0])
    if problem:
        return finding(Verdict.DIFFERENT, problem)
    return finding(Verdict.NOTED if remarks else Verdict.FOUND, "; ".join(["it is our key", *remarks]))


def _due(record: Record) -> str:
    if record.state is State.NEXT:
        return f"publish it before the key signs, from {in_words(record.since)} on"
    if record.state is State.RETIRED:
        return f"keep it until {in_words(record.until)}: mail that the key signed may still be on its way"
    return "the key signs, and nobody can verify it"


def _key_problem(record: Record, text: str) -> tuple[str, list[str]]:
    """Why verifiers would not take the key, or else remarks about it."""
    found, wanted = tags(text), tags(record.value)
    assert wanted is not None
    if found is None or "p" not in found:
        return "it is no DKIM key", []
    if found.get("v", "DKIM1") != "DKIM1" or ("v" in found and next(iter(found)) != "v"):
        return "it must begin with v=DKIM1", []
    if not found["p"]:
        return "the key is revoked (p= is empty)", []
    if found.get("k", "rsa") != wanted["k"]:
        return f"it says k={found.get('k', 'rsa')}, the key is {wanted['k']}", []
    if "h" in found and "sha256" not in _listed(found["h"]):
        return f"it allows only the hashes {found['h']}, signatures use sha256", []
    if "s" in found and not {"*", "email"} & _listed(found["s"]):
        return f"it is for {found['s']}, not for mail", []
    if _key_bytes(found["p"]) != _key_bytes(wanted["p"]):
        return "it is another key than the one that signs", []
    remarks = ["t=y says that the domain is only testing"] if "y" in _listed(found.get("t", "")) else []
    return "", remarks


def _listed(value: str) -> set[str]:
    return {item.strip() for item in value.split(":")}


def _key_bytes(value: str) -> bytes | None:
    try:
        return b64decode("".join(value.split()), validate=True)
    except (Base64Error, ValueError):
        return None


def spf(record: Record, published: Sequence[str]) -> Finding:
    """Whether there is one SPF record. Who else may send is the domain's own affair: another record is only remarked on."""
    found = tuple(text for text in published if _SPF.match(text))

    def finding(verdict: Verdict, text: str) -> Finding:
        return Finding(record, verdict, text, found)

    if not found:
        return finding(Verdict.MISSING, "nobody is told who may send for the domain")
    if len(found) > 1:
        return finding(Verdict.SEVERAL, "there must be one: verifiers take several for a permanent error")
    terms = found[0].lower().split()
    if {"all", "+all"} & {*terms}:
        return finding(Verdict.DIFFERENT, "it lets everybody send for the domain (all)")
    if terms == record.value.lower().split():
        return finding(Verdict.FOUND, "it is the record above")
    return finding(Verdict.NOTED, "there is another one, which may be as good: " + found[0])


def dmarc(record: Record, published: Sequence[str], parents: Sequence[tuple[str, Sequence[str]]] = ()) -> Finding:
    """Whether there is one DMARC record whose policy is the wanted one or stricter, at the domain or the nearest of `parents`
    (names with what stands there, nearest first), where sub-domains have a policy of their own (sp=).
    """
    places = [(record.name, published), *parents]
    name, found = next(((name, records) for name, texts in places if (records := _dmarc_records(texts))), (record.name, ()))

    def finding(verdict: Verdict, text: str) -> Finding:
        return Finding(record, verdict, text, found)

    if not found:
        return finding(Verdict.MISSING, "there is none, nor at a parent")
    if len(found) > 1:
        return finding(Verdict.SEVERAL, f"there must be one at {name}: verifiers ignore several")
    held, wanted = tags(found[0]), tags(record.value)
    assert wanted is not None
    if held is None:
        return finding(Verdict.DIFFERENT, f"it cannot be read: {found[0]}")
    policy = held.get("p", "none").lower()
    if name != record.name:
        policy = held.get("sp", policy).lower()
    if policy not in _STRICTNESS:
        return finding(Verdict.DIFFERENT, f"{policy} is no policy: verifiers take it for none at best")
    is_testing = held.get("t", "").lower() == "y"  # then verifiers apply the next weaker policy
    if max(_STRICTNESS[policy] - is_testing, 0) < _STRICTNESS[wanted["p"]]:
        return finding(Verdict.DIFFERENT, f"its policy is {policy}{' (testing, t=y)' if is_testing else ''}, "
                       f"weaker than {wanted['p']}")
    if name != record.name:
        return finding(Verdict.NOTED, f"the one at {name} holds, with the policy {policy}")
    if {key: value.lower() for key, value in held.items()} == {key: value.lower() for key, value in wanted.items()}:
        return finding(Verdict.FOUND, "it is the record above")
    return finding(Verdict.NOTED, "there is another one, which may be as good: " + found[0])


def _dmarc_records(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(text for text in texts if _DMARC.match(text))


def unanswered(record: Record, text: str) -> Finding:
    """Nothing is known of the record."""
    return Finding(record, Verdict.UNANSWERED, text)
