"""Mail addresses, domain names, login names and client networks: parsing and one form for each. Pure.

The grammar of SMTP paths is in `authd.smtp.grammar`; here are the addresses that this host itself owns.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from authd.config.values import Network
from authd.errors import InvalidInput
from authd.identity.facts import LoginName

IPAddress = IPv4Address | IPv6Address

LONGEST_DOMAIN = 253
LONGEST_LOGIN_NAME = 320  # 64 for the local part, 255 for the domain, one @

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LOCAL_PART = re.compile(r"[!-?A-~]{1,64}")
_IPV6_PREFIX = 64  # what one customer usually has


@dataclass(frozen=True, slots=True)
class Address:
    """A mail address whose domain is in its stored form. The local part keeps its case, which never distinguishes."""

    local_part: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}"


def parse_domain(text: str) -> str:
    """The stored form of a domain name: lower case, A-labels (IDNA 2008 with UTS 46 mapping), no dot at the end.

    Raises InvalidInput("domain").
    """
    name = text.lower().removesuffix(".")
    if not name.isascii() and len(name) <= LONGEST_DOMAIN:
        import idna  # its tables cost memory that few hosts need

        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError:
            raise InvalidInput("domain", "is not a domain name") from None
    if len(name) > LONGEST_DOMAIN or not _DOMAIN.fullmatch(name):
        raise InvalidInput("domain", "is not a domain name")
    return name


def parse_address(text: str) -> Address:
    """An address that may be an alias here: one @, a local part of 1 to 64 visible ASCII characters, a domain.

    Raises InvalidInput("address").
    """
    local_part, _, domain = text.partition("@")
    if "@" in domain or not _LOCAL_PART.fullmatch(local_part) or len(domain) > LONGEST_DOMAIN:
        raise InvalidInput("address", "is not an address that can exist here")
    try:
        return Address(local_part, parse_domain(domain))
    except InvalidInput:
        raise InvalidInput("address", "does not end in a domain name") from None


def parse_login_name(text: str) -> LoginName | None:
    """What a login name may stand for, in the form it is looked up in; None where it can be nobody's.

    With one @ it is an address, without any a service user's or an admin's name; lower case, since case never matters.
    """
    if not 0 < len(text) <= LONGEST_LOGIN_NAME or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        return None
    if "@" not in text:
        return LoginName(text.lower(), None)
    try:
        address = parse_address(text)
    except InvalidInput:
        return None
    return LoginName(address.local_part.lower(), address.domain)


def client_ip(text: str | None) -> IPAddress | None:
    """A client's address; an IPv4-mapped IPv6 address is the IPv4 address. None for what is no address."""
    try:
        parsed = ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed


def client_address(text: str | None) -> str | None:
    """The one form of a client's address. None for what is no address."""
    parsed = client_ip(text)
    return None if parsed is None else str(parsed)


def network_of(address: str | None) -> Network | None:
    """What counts as one client: an IPv4 address, the /64 of an IPv6 address. None for what is no address."""
    parsed = client_ip(address)
    if parsed is None:
        return None
    return ip_network((parsed, _IPV6_PREFIX if parsed.version == 6 else 32), strict=False)


def is_within(address: str | None, networks: Iterable[Network]) -> bool:
    """Whether `address` is in one of the networks, an IPv4-mapped one as the IPv4 address it is."""
    parsed = client_ip(address)
    return parsed is not None and any(parsed in network for network in networks)
