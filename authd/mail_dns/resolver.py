"""Asking DNS for TXT records, by dnspython: over UDP, over TCP where an answer was cut. What the answers mean is elsewhere."""

import asyncio
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from authd.errors import InvalidInput, Unavailable

DNS_PORT = 53
_SERVER = re.compile(r"(?P<ipv6>[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)|"
                     r"(?:\[(?P<bracketed>[^\]]+)\]|(?P<host>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?")
MOST_ALIASES = 8  # CNAME records followed by ourselves, where a server does not


class Unanswered(Unavailable):
    """No server gave an answer that says whether there are such records."""

    code = "dns_unanswered"


class Resolver(Protocol):
    """Where TXT records come from."""

    async def txt(self, name: str) -> Sequence[bytes]:
        """Every TXT record of a name, its strings joined; none where there are none. Raises Unanswered."""


@dataclass(frozen=True, slots=True)
class Server:
    """A resolver: host name or address, and port."""

    host: str
    port: int = DNS_PORT


def parse_server(text: str) -> Server:
    """HOST, HOST:PORT, an IPv6 address, or one in brackets with a port. InvalidInput("resolver")."""
    found = _SERVER.fullmatch(text)
    if found is None or not 0 < int(found["port"] or DNS_PORT) < 65536:
        raise InvalidInput("resolver", f"{text} is not HOST or HOST:PORT")
    return Server(found["bracketed"] or found["ipv6"] or found["host"], int(found["port"] or DNS_PORT))


class DnsResolver:
    """The named servers, or the system's. `timeout` is in seconds, for all that one name takes."""

    def __init__(self, servers: Sequence[Server] = (), timeout: float = 5.0) -> None:
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not servers)
        except dns.resolver.NoResolverConfiguration:
            raise Unanswered("this system names no DNS server: say --resolver HOST") from None
        if servers:
            self._resolver.nameservers = [
                dns.nameserver.Do53Nameserver(address, server.port) for server in servers for address in _addresses(server)]
        self._resolver.lifetime = timeout
        self._resolver.timeout = min(timeout, max(timeout / 3, 1.0))

    async def txt(self, name: str) -> Sequence[bytes]:
        """See Resolver."""
        wanted = dns.name.from_text(name)
        try:
            async with asyncio.timeout(self._resolver.lifetime):
                for _ in range(MOST_ALIASES):
                    answer = await self._resolver.resolve(wanted, dns.rdatatype.TXT, search=False, raise_on_no_answer=False)
                    if answer.rrset is not None:
                        return [b"".join(data.strings) for data in answer.rrset]
                    if answer.canonical_name == wanted:
                        return []
                    wanted = answer.canonical_name
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise Unanswered(_in_words(error)) from error
        raise Unanswered(f"more than {MOST_ALIASES} aliases (CNAME)")


async def unanswered_or(resolver: Resolver, name: str) -> Sequence[bytes] | Unanswered:
    """What `txt` answers or raises."""
    try:
        return await resolver.txt(name)
    except Unanswered as error:
        return error


async def look_up(resolver: Resolver, names: Sequence[str]) -> dict[str, Sequence[bytes] | Unanswered]:
    """Every name at once, each with its records or why there is no answer."""
    answers = await asyncio.gather(*(unanswered_or(resolver, name) for name in names))
    return dict(zip(names, answers, strict=True))


def _addresses(server: Server) -> list[str]:
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        raise Unanswered(f"the resolver {server.host} has no address") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _in_words(error: Exception) -> str:
    if isinstance(error, dns.resolver.LifetimeTimeout | TimeoutError):
        return "no answer in time"
    if isinstance(error, dns.resolver.NoNameservers):
        causes = [str(entry[3]) for entry in error.kwargs.get("errors", ())]
        return "no usable answer" + (f" ({', '.join(dict.fromkeys(causes))})" if any(causes) else "")
    return str(error)
