"""Which hosts a connection is tried with, and in which order (libpq's manual, "Specifying Multiple Hosts").

libpq could go through them by itself, but not on our event loop: it resolves names while everybody waits, takes another
socket for the next address where aiopg goes on watching the first, and knows no time limit for an address that is silent.
So each candidate has one address and one way of encryption, and libpq checks only what it finds there
(`target_session_attrs`, certificates).
"""

import asyncio
import ipaddress
import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

Parameters = dict[str, Any]
_MODES = {"prefer": ("require", "disable"), "allow": ("disable", "require")}  # sslmode: what is tried one after the other


async def candidates(parameters: Mapping[str, Any]) -> AsyncIterator[tuple[Parameters, ...] | OSError]:
    """libpq's parameters for one address after the other; an OSError for each host whose name does not resolve.

    More than one for an address are ways of encryption: the next is for where the server wants it otherwise.
    Raises OSError where the lists of hosts and ports do not match.
    """
    hosts = _hosts(parameters)
    if parameters.get("load_balance_hosts") == "random":
        secrets.SystemRandom().shuffle(hosts)
    wanted = parameters.get("target_session_attrs")
    for attributes in ("standby", "any") if wanted == "prefer-standby" and len(hosts) > 1 else (wanted,):
        for host in hosts:
            chosen = {**parameters, **host} | ({"target_session_attrs": attributes} if attributes else {})
            try:
                addresses = await _addresses(host.get("host", ""), host.get("port") or "5432") if _must_resolve(host) else ()
            except OSError as error:
                yield OSError(f"{host['host']}: {error.strerror}")
                continue
            for address in addresses:
                yield _encrypted({**chosen, "hostaddr": address})
            if not addresses:
                yield _encrypted(chosen)


def _encrypted(parameters: Parameters) -> tuple[Parameters, ...]:
    host = parameters.get("hostaddr") or parameters.get("host") or "/"
    mode = parameters.get("sslmode") or os.environ.get("PGSSLMODE") or "prefer"
    if mode not in _MODES or host.startswith(("/", "@")):
        return (parameters,)
    return tuple({**parameters, "sslmode": strict} for strict in _MODES[mode])


def _hosts(parameters: Mapping[str, Any]) -> list[dict[str, str]]:
    lists = {name: str(parameters[name]).split(",") for name in ("host", "hostaddr", "port") if parameters.get(name)}
    count = max((len(lists[name]) for name in ("host", "hostaddr") if name in lists), default=1)
    for name, values in lists.items():
        if name == "port" and len(values) == 1:
            lists[name] = values * count
        elif len(values) != count:
            raise OSError(f"there are {count} hosts, but {len(values)} values of {name}")
    return [{name: values[number] for name, values in lists.items()} for number in range(count)]


def _must_resolve(host: Mapping[str, str]) -> bool:
    name = host.get("host", "")
    if not name or name.startswith(("/", "@")) or host.get("hostaddr"):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return True
    return False


async def _addresses(name: str, port: str) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for _, _, _, _, address in found))
