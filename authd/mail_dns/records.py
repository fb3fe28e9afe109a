"""The DNS records that a domain needs for its mail: DKIM, SPF and DMARC, and their form in a zone file. Pure.

What stands in DNS already is judged in verdicts.py. MX records are not our business.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from ipaddress import IPv6Network, ip_network
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from authd.config.values import Network
from authd.errors import InvalidInput
from authd.identity.addresses import parse_address, parse_domain
from authd.keys import dkim_record, rules
from authd.keys.facts import StoredDomain, StoredKey

LONGEST_STRING = 255  # octets of one character-string in a TXT record (RFC 1035 section 3.3)
MOST_LOOKUPS = 10     # that an SPF record may cause (RFC 7208 section 4.6.4)

Subject = Literal["dkim", "spf", "dmarc"]
SpfAll = Literal["~all", "-all", "?all"]
SPF_ALL: tuple[SpfAll, ...] = ("~all", "-all", "?all")
DmarcPolicy = Literal["none", "quarantine", "reject"]
DMARC_POLICIES: tuple[DmarcPolicy, ...] = ("none", "quarantine", "reject")


class State(Enum):
    """Where a record is in its life. All but WITHDRAWN are to be published."""

    NEXT = "next"
    ACTIVE = "active"
    RETIRED = "retired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Record:
    """A TXT record: its name without a final dot, and its text in one piece. `since` is when a NEXT key begins to sign,
    `until` when the record of a RETIRED one may go. `key` is what a DKIM record publishes the public half of.
    """

    subject: Subject
    name: str
    value: str
    state: State = State.ACTIVE
    since: datetime | None = None
    until: datetime | None = None
    key: StoredKey | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        moments = {name: moment.isoformat() for name, moment in (("since", self.since), ("until", self.until)) if moment}
        return {"name": self.name, "type": "TXT", "value": self.value, "subject": self.subject,
                "state": self.state.value, **moments}


@dataclass(frozen=True, slots=True)
class SpfPolicy:
    """Who may send for a domain: its mail exchangers (`mx`), networks, what other domains say, and what of the rest."""

    mx: bool = True
    networks: tuple[Network, ...] = ()
    includes: tuple[str, ...] = ()
    all: SpfAll = "~all"

    def text(self) -> str:
        """The record (RFC 7208 section 4.5). InvalidInput where it would cause too many lookups."""
        if len(self.includes) + self.mx > MOST_LOOKUPS:
            raise InvalidInput("spf_include", f"an SPF record may cause {MOST_LOOKUPS} lookups at most")
        hosts = [f"ip{'6' if isinstance(network, IPv6Network) else '4'}:{_short(network)}" for network in self.networks]
        return " ".join(["v=spf1", *(["mx"] if self.mx else []), *hosts,
                         *(f"include:{parse_domain(name)}" for name in self.includes), self.all])


@dataclass(frozen=True, slots=True)
class DmarcWish:
    """What receivers shall do with mail that fails, and who gets their reports (mail addresses)."""

    policy: DmarcPolicy = "none"
    reports_to: tuple[str, ...] = ()

    def text(self) -> str:
        """The record (RFC 9989)."""
        reports = ",".join(f"mailto:{_uri_address(address)}" for address in self.reports_to)
        return f"v=DMARC1; p={self.policy}" + (f"; rua={reports}" if reports else "")


def dkim_records(domain: str, rows: Mapping[str, StoredDomain], now: datetime) -> list[Record]:
    """A record for every DKIM key of the domain, and of the parent whose keys sign for it; RSA first, then by age."""
    signers = rules.dkim_signers(domain, rows, now)
    owners = dict.fromkeys([domain] if signers is None else [domain, signers[0]])
    return [_dkim_record(owner, key, now) for owner in owners if owner in rows
            for key in sorted(rows[owner].keys, key=lambda key: (key.algorithm == "Ed25519", key.id))]


def spf_records(domains: Iterable[str], policy: SpfPolicy) -> list[Record]:
    """A record for the domain, and one for each other domain that its mail is sent from."""
    return [Record("spf", name, policy.text()) for name in dict.fromkeys(domains)]


def dmarc_record(domain: str, wish: DmarcWish) -> Record:
    """The record of a domain (RFC 9989)."""
    return Record("dmarc", f"_dmarc.{domain}", wish.text())


def zone_line(name: str, text: str) -> str:
    """A TXT record as a line of a zone file, in as many strings as DNS needs (RFC 1035 section 5.1)."""
    strings = " ".join(f'"{_escaped(part)}"' for part in strings_of(text))
    return f"{name}. IN TXT ( {strings} )"


def strings_of(text: str) -> Sequence[str]:
    """The character-strings that carry a text of ASCII."""
    return [text[at:at + LONGEST_STRING] for at in range(0, len(text), LONGEST_STRING)]


def in_words(moment: datetime | None) -> str:
    """A moment for people."""
    return "some day" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks as an option gives them. InvalidInput("spf_ip")."""
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise InvalidInput("spf_ip", f"{error}; say ADDRESS or NETWORK/BITS") from None


def _dkim_record(owner: str, key: StoredKey, now: datetime) -> Record:
    public_key = load_der_public_key(key.public_key)
    assert key.selector is not None and isinstance(public_key, RSAPublicKey | Ed25519PublicKey)
    state, since, until = State.ACTIVE, None, None
    if key.retired_at is not None and key.retired_at <= now:
        until = key.published_until
        state = State.RETIRED if until is not None and now < until else State.WITHDRAWN
    elif key.active_from > now:
        state, since = State.NEXT, key.active_from
    name, text = dkim_record.record_name(key.selector, owner), dkim_record.record(public_key)
    return Record("dkim", name, text, state, since, until, key)


def _short(network: Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _uri_address(text: str) -> str:
    """An address as a mailto URI has it (RFC 6068); a comma, an exclamation mark and a semicolon end things in DMARC."""
    address = parse_address(text)
    kept = "".join(letter if letter.isalnum() or letter in "-._+~" else f"%{ord(letter):02X}" for letter in address.local_part)
    return f"{kept}@{address.domain}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
