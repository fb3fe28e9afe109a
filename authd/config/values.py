"""What a single setting may look like. A reader takes what TOML or the environment holds and returns the value,
or raises ValueError whose text says what is allowed. Nothing here names a setting, and no text repeats the value
(it may be a secret); the loader does both.
"""

import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

Reader = Callable[[Any], Any]
LARGEST_PORT = 65535
LONGEST_SOCKET = 107  # bytes of a Unix socket's path (unix(7))
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
TlsPolicy = Literal["off", "opportunistic", "required"]


@dataclass(frozen=True)
class Endpoint:
    """An address and port to listen on or to connect to."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Downstream:
    """A mail server to deliver to, by SMTP or LMTP, on a port of `host` or on a Unix socket, which knows no TLS."""

    host: str = ""
    port: int = 0
    socket: str = ""
    lmtp: bool = False
    tls: TlsPolicy = "off"

    @classmethod
    def smtp(cls, endpoint: Endpoint, tls: TlsPolicy = "off") -> "Downstream":
        """SMTP on an address and port."""
        return cls(endpoint.host, endpoint.port, tls=tls)

    def __str__(self) -> str:
        where = self.socket or str(Endpoint(self.host, self.port))
        return f"lmtp://{where}" if self.lmtp and not self.socket else where


@dataclass(frozen=True)
class Mapping:
    """One SMTP listener and where it delivers. `originated`: only our own users' mail arrives here; `tls`: towards `target`."""

    listen: Endpoint
    target: Endpoint
    originated: bool = False
    tls: TlsPolicy = "off"


def boolean(value: Any) -> bool:
    """true or false; from the environment also yes/no, on/off, 1/0."""
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError("true or false")


def optional_boolean(value: Any) -> bool | None:
    """A boolean whose absence means something of its own."""
    return boolean(value)


def integer(least: int, most: int) -> Reader:
    """A whole number between two bounds."""
    def read(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}", value):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise ValueError(f"a whole number from {least} to {most}")
    return read


size = integer(1024, 2**31)


def seconds(value: Any) -> float:
    """A duration in seconds."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", value):
        value = float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1e10:
        return float(value)
    raise ValueError("a number of seconds, 0 or more")


def optional_seconds(value: Any) -> float | None:
    """A duration whose absence means something of its own."""
    return seconds(value)


def optional_milliseconds(value: Any) -> int | None:
    """A whole number of milliseconds whose absence means something of its own."""
    return int(integer(0, 10000)(value))


def choice(*allowed: str) -> Reader:
    """One word of a few."""
    def read(value: Any) -> str:
        if isinstance(value, str) and value in allowed:
            return value
        raise ValueError("one of " + ", ".join(allowed))
    return read


def text(longest: int) -> Reader:
    """A line of text."""
    def read(value: Any) -> str:
        if isinstance(value, str) and 0 < len(value) <= longest and value.isprintable():
            return value
        raise ValueError(f"a line of 1 to {longest} printable characters")
    return read


def line(value: Any) -> str:
    """A line of any characters but line breaks and other controls: a password, a token."""
    if isinstance(value, str) and value and not re.search(r"[\x00-\x1f\x7f]", value):
        return value
    raise ValueError("a line of text")


def path(value: Any) -> Path:
    """A file or folder; the loader makes it absolute from the configuration's own folder."""
    if isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    raise ValueError("the path of a file or folder")


def strings(value: Any) -> tuple[str, ...]:
    """A list of strings; from the environment separated by commas or spaces."""
    if isinstance(value, str):
        value = [part for part in re.split(r"[,\s]+", value) if part]
    if isinstance(value, list) and all(isinstance(item, str) and item.isprintable() for item in value):
        return tuple(value)
    raise ValueError("a list of strings")


def lines(value: Any) -> tuple[str, ...]:
    """A list of lines of text; from a file or the environment one a line."""
    if isinstance(value, str):
        value = [part.strip() for part in value.splitlines() if part.strip()]
    if isinstance(value, list) and all(isinstance(item, str) and item and item.isprintable() for item in value):
        return tuple(value)
    raise ValueError("a list of lines of text")


def mail_address(value: Any) -> str:
    """LOCAL-PART@DOMAIN, or nothing."""
    if value == "" or (isinstance(value, str) and re.fullmatch(r"[!-?A-~]{1,64}@[A-Za-z0-9._-]{1,253}", value)):
        return str(value)
    raise ValueError("an address such as name@example.com")


def role(value: Any) -> str:
    """A PostgreSQL role."""
    if isinstance(value, str) and 0 < len(value.encode()) <= 63 and value.isprintable():
        return value
    raise ValueError("the name of a PostgreSQL role")


def hostname(value: Any) -> str:
    """A fully qualified host name."""
    if isinstance(value, str) and len(value) <= 253 and re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", value):
        return value
    raise ValueError("a host name such as mail.example.com")


def endpoint(value: Any) -> Endpoint:
    """HOST:PORT, with an IPv6 address in brackets."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", value) if isinstance(value, str) else None
    if match and 0 < int(match[3]) <= LARGEST_PORT:
        return Endpoint(match[1] or match[2], int(match[3]))
    raise ValueError("HOST:PORT, an IPv6 address in brackets, a port from 1 to 65535")


def downstream(value: Any) -> Downstream:
    """HOST:PORT (SMTP), lmtp://HOST:PORT, or the path of a Unix socket (LMTP)."""
    if isinstance(value, str) and value.startswith("/") and len(value.encode()) <= LONGEST_SOCKET and value.isprintable():
        return Downstream(socket=value, lmtp=True)
    try:
        found = endpoint(value.removeprefix("lmtp://") if isinstance(value, str) else value)
    except ValueError:
        raise ValueError("HOST:PORT, lmtp://HOST:PORT, or the absolute path of an LMTP socket") from None
    return Downstream(found.host, found.port, lmtp=value.startswith("lmtp://"))


tls_policy = choice("off", "opportunistic", "required")


def networks(value: Any) -> tuple[Network, ...]:
    """A list of addresses and networks."""
    items = strings(value)
    try:
        return tuple(ipaddress.ip_network(item) for item in items)
    except ValueError:
        raise ValueError("a list of addresses and networks such as 10.0.0.0/8 or ::1") from None


def public_url(value: Any) -> str:
    """The base URL that people use: https, or http on loopback; no path, no trailing slash."""
    error = ValueError("https://HOST[:PORT], or http:// for localhost and loopback addresses; no path")
    if not isinstance(value, str) or not re.fullmatch(r"https?://[A-Za-z0-9\[\]:.-]+/?", value):
        raise error
    try:
        parts = urlsplit(value.rstrip("/"))
        host, port = parts.hostname, parts.port
    except ValueError:
        raise error from None
    if not host or (parts.scheme == "http" and not is_loopback(host)):
        raise error
    name = f"[{host}]" if ":" in host else host
    standard = port is None or port == {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{name}" if standard else f"{parts.scheme}://{name}:{port}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


_HOST_LIST = re.compile(r"(?:[A-Za-z0-9._%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_URL_WORDS = {"sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
              "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")}


def database_url(value: Any) -> str:
    """A libpq URL. What libpq would only find at the first connection is found here where it is often wrong."""
    match = re.fullmatch(r"postgres(?:ql)?://(?:[^/@?#]*@)?([^/@?#]*)(?:/[^?#]*)?(?:\?([^#]*))?", value) if isinstance(
        value, str) else None
    if match is None:
        raise ValueError("a URL that begins with postgresql:// (special characters in a password are written %XX)")
    if not all(_HOST_LIST.fullmatch(host) for host in match[1].split(",")):
        raise ValueError("a URL whose hosts are HOST[:PORT], separated by commas")
    for name, given in parse_qsl(match[2] or "", keep_blank_values=True):
        if name in _URL_WORDS and given not in _URL_WORDS[name]:
            raise ValueError(f"a URL with {name}= one of {', '.join(_URL_WORDS[name])}")
    return str(value)


def vault_address(value: Any) -> str:
    """The base URL of Vault: https, or http on loopback."""
    if isinstance(value, str) and re.fullmatch(r"https?://[A-Za-z0-9\[\]:.-]+/?", value):
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if host and (parts.scheme == "https" or is_loopback(host)):
            return value
    raise ValueError("https://HOST[:PORT]/, or http:// for localhost and loopback addresses")


def vault_path(value: Any) -> str:
    """A path in Vault, with its mount."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+", value.strip("/")):
        return value.strip("/")
    raise ValueError("MOUNT/creds/ROLE")


def mappings(value: Any) -> tuple[Mapping, ...]:
    """A list of tables { in, out, originated, tls }; from the environment in_ip:in_port:out_ip:out_port with commas between."""
    allowed = ('a list of { in = "HOST:PORT", out = "HOST:PORT", originated = false, tls = "off" }, '
               "where tls is off, opportunistic or required")
    if isinstance(value, str):
        return tuple(_short_mapping(part.strip()) for part in value.split(","))
    if not isinstance(value, list) or not value:
        raise ValueError(allowed)
    found = []
    for item in value:
        if not isinstance(item, dict) or not {"in", "out"} <= set(item) <= {"in", "out", "originated", "tls"}:
            raise ValueError(allowed)
        found.append(Mapping(endpoint(item["in"]), endpoint(item["out"]), boolean(item.get("originated", False)),
                             tls_policy(item.get("tls", "off"))))
    return tuple(found)


def _short_mapping(value: str) -> Mapping:
    parts = value.rsplit(":", 2)
    if len(parts) == 3 and ":" in parts[0]:
        return Mapping(endpoint(parts[0]), endpoint(f"{parts[1]}:{parts[2]}"))
    raise ValueError("in_ip:in_port:out_ip:out_port, separated by commas")


def colour(value: Any) -> str:
    """#rrggbb with a contrast of at least 4.5 against white (WCAG 2.2, 1.4.3)."""
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value) and contrast_with_white(value) >= 4.5:
        return value.lower()
    raise ValueError("#rrggbb, dark enough for white text on it (contrast 4.5)")


def contrast_with_white(rrggbb: str) -> float:
    """The contrast ratio of a colour and white, from 1 to 21 (WCAG 2.2, relative luminance)."""
    def linear(channel: int) -> float:
        part = channel / 255
        return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)
    red, green, blue = (linear(int(rrggbb[i:i + 2], 16)) for i in (1, 3, 5))
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
