"""Who asks, how and under which name, seen through the proxies in front of us (http.md). Pure.

A header that a proxy sets is believed only if the connection itself comes from a trusted proxy.
"""

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Client:
    """The other end. `address` is an IP address in its normal form, `host` what it called us, as it was sent."""

    address: str
    is_https: bool
    host: str
    through_proxy: bool


def client(
    peer: str, scheme: str, host: str, headers: Mapping[str, str], trusted: Sequence[Network],
) -> Client:
    """The client behind a connection from `peer`. A peer that is no address (a Unix socket) is never trusted."""
    address = parse_address(peer)
    if address is None or not _is_trusted(address, trusted):
        return Client(str(address or peer), scheme == "https", host, through_proxy=False)
    forwarded_for = _items(headers.get("X-Forwarded-For", ""))
    forwarded_proto = _items(headers.get("X-Forwarded-Proto", scheme))
    forwarded_host = _items(headers.get("X-Forwarded-Host", ""))
    return Client(
        str(_nearest_untrusted(address, forwarded_for, trusted)),
        forwarded_proto[-1].lower() == "https" if forwarded_proto else scheme == "https",
        forwarded_host[-1] if forwarded_host else host,
        through_proxy=True,
    )


def parse_address(text: str) -> Address | None:
    """An IP address, also with a port or in brackets; an IPv4-mapped IPv6 address is the IPv4 address."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def split_host(host: str) -> tuple[str, str]:
    """Name and port ("" where there is none) of a Host header: lower case, no final dot, no brackets."""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return name.lower(), rest.removeprefix(":")
    name, _, port = host.partition(":")
    return name.lower().removesuffix("."), port


def public_names(public_host: str) -> Collection[str]:
    """The names under which the public URL's host may be called: a loopback host by any loopback name."""
    return LOOPBACK_NAMES if public_host in LOOPBACK_NAMES else frozenset({public_host})


def _nearest_untrusted(peer: Address, hops: Sequence[str], trusted: Sequence[Network]) -> Address:
    """The rightmost hop that is no trusted proxy; what stands left of it is only somebody's word."""
    nearest = peer
    for hop in reversed(hops):
        address = parse_address(hop)
        if address is None:
            break
        nearest = address
        if not _is_trusted(address, trusted):
            break
    return nearest


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in trusted)


def _items(header: str) -> list[str]:
    return [item for part in header.split(",") if (item := part.strip())]
