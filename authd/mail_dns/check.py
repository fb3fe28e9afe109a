"""Compares the records of a domain with DNS, and has dkimpy verify a signature of each key by what is published there.

It opens the private keys and signs as the daemon does. What a record has to say is decided in verdicts.py.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime

import dkim as dkimpy
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from authd.keys import dkim_record, generate
from authd.keys.cipher import Cipher
from authd.keys.facts import DkimAlgorithm, DkimKey, DkimKeys
from authd.keys.rules import names_of_interest
from authd.mail_dns import verdicts
from authd.mail_dns.records import Record, State
from authd.mail_dns.resolver import Resolver, Unanswered, look_up
from authd.mail_dns.verdicts import Finding, Verdict
from authd.smtp import dkim
from authd.smtp.message import fields

_log = logging.getLogger(__name__)
_BODY = b"This message is never sent.\r\n"


async def check(records: Sequence[Record], resolver: Resolver, cipher: Cipher, now: datetime) -> list[Finding]:
    """A finding for each record, in their order. Raises KeyUnreadable for a private key that authd could not open either."""
    parents = {record.name: _parents(record) for record in records if record.subject == "dmarc"}
    names = dict.fromkeys([record.name for record in records] + [name for above in parents.values() for name in above])
    answers = await look_up(resolver, list(names))
    found = []
    for record in records:
        answer = answers[record.name]
        if isinstance(answer, Unanswered):
            found.append(verdicts.unanswered(record, str(answer)))
        elif record.subject == "dkim":
            found.append(await asyncio.to_thread(_dkim, record, answer, cipher, now))
        elif record.subject == "spf":
            found.append(verdicts.spf(record, _texts(answer)))
        else:
            found.append(_dmarc(record, answer, [(name, answers[name]) for name in parents[record.name]]))
    return found


def _parents(record: Record) -> list[str]:
    """Where a DMARC record may stand instead, nearest first; not at the top of DNS, where no domain of ours has a say."""
    domain = record.name.removeprefix("_dmarc.")
    return [f"_dmarc.{name}" for name in names_of_interest(domain)[1:] if "." in name]


def _dmarc(record: Record, answer: Sequence[bytes], parents: Sequence[tuple[str, Sequence[bytes] | Unanswered]]) -> Finding:
    known: list[tuple[str, Sequence[str]]] = []
    for name, there in parents:
        if isinstance(there, Unanswered):
            nearer = verdicts.dmarc(record, _texts(answer), known)
            return verdicts.unanswered(record, f"{name}: {there}") if nearer.verdict is Verdict.MISSING else nearer
        known.append((name, _texts(there)))
    return verdicts.dmarc(record, _texts(answer), known)


def _dkim(record: Record, answer: Sequence[bytes], cipher: Cipher, now: datetime) -> Finding:
    assert record.key is not None and record.key.selector is not None
    if record.state is State.WITHDRAWN:
        return verdicts.dkim(record, _texts(answer))
    private_key = generate.opened(record.key, cipher)
    assert not isinstance(private_key, EllipticCurvePrivateKey)
    if dkim_record.record(private_key.public_key()) != record.value:
        return Finding(record, Verdict.DIFFERENT, "the private and the public key in the database do not belong together",
                       tuple(_texts(answer)))
    finding = verdicts.dkim(record, _texts(answer))
    if not finding.verdict.is_fine:
        return finding
    algorithm: DkimAlgorithm = "rsa-sha256" if isinstance(private_key, RSAPrivateKey) else "ed25519-sha256"
    domain = record.name.removeprefix(f"{record.key.selector}._domainkey.")
    if not _verifies(DkimKeys(domain, (DkimKey(record.key.selector, algorithm, private_key),)), answer[0], now):
        return Finding(record, Verdict.DIFFERENT, "it is our key, but dkimpy verifies no signature by it", finding.published)
    return Finding(record, finding.verdict, finding.text + ", and dkimpy verifies a signature by it", finding.published)


def _verifies(keys: DkimKeys, published: bytes, now: datetime) -> bool:
    header = b"From: postmaster@%b\r\nTo: postmaster@%b\r\nSubject: test\r\n" % ((keys.domain.encode("ascii"),) * 2)
    signature = dkim.signatures(fields(header), dkim.body_hash([_BODY]), keys, now=int(now.timestamp()))
    try:
        return bool(dkimpy.verify(signature + header + b"\r\n" + _BODY, logger=_log, dnsfunc=lambda name, timeout=5: published))
    except Exception as error:  # dkimpy raises what a strange record makes it stumble over, of any type
        _log.debug("dkimpy: %s", error)
        return False


def _texts(answer: Sequence[bytes]) -> list[str]:
    return [text.decode("utf-8", "backslashreplace") for text in answer]
