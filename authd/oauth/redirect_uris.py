"""Which URIs a client may register, and which requested URI is one of them. Pure; nothing is fetched here.

Rules: RFC 6749 section 3.1.2, RFC 8252 sections 7 and 8.4, RFC 9700 section 4.1. Comparison is of exact strings, so
registration refuses whatever a browser would read differently than we compare it.
"""

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import SplitResult, parse_qsl, urlsplit

from authd.errors import InvalidInput

LONGEST = 2000
RESPONSE_PARAMETERS = frozenset({
    "access_token", "code", "error", "error_description", "error_uri", "expires_in", "id_token", "iss", "response",
    "scope", "session_state", "state", "token_type"})

_PRINTABLE = re.compile(r"[!-~]+")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NEVER_IN_A_URI = frozenset('"<>\\^`{|}')
_DOT_SEGMENT = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:;[^/]*)?(?:/|$)", re.IGNORECASE)
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*\.?")
_PRIVATE_USE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+")
_IPV4 = re.compile(r"[0-9.]+")


def check_redirect_uri(uri: str, *, public: bool) -> None:
    """Raises InvalidInput unless `uri` may be registered: https, http on loopback, or for public (native) clients a
    private-use scheme with a dot in it, `com.example.app:/callback`; no fragment, no user info, none of our parameters.
    """
    parts = _split("redirect_uri", uri)
    if public and _PRIVATE_USE_SCHEME.fullmatch(parts.scheme):
        if parts.netloc and not _HOST.fullmatch(parts.netloc):
            raise InvalidInput("redirect_uri", f"{uri}: after a private-use scheme write one slash and a path")
    else:
        _check_web("redirect_uri", uri, parts)
    taken = sorted(RESPONSE_PARAMETERS & {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
    if taken:
        raise InvalidInput("redirect_uri", f"{uri}: the parameter {taken[0]} is ours to add")


def check_web_uri(field: str, uri: str) -> None:
    """Raises InvalidInput unless `uri` is https, or http on loopback, without fragment and user info."""
    _check_web(field, uri, _split(field, uri))


def check_origin(origin: str) -> None:
    """Raises InvalidInput unless `origin` is what a browser sends as Origin (RFC 6454 section 6.2): no path at all."""
    parts = _split("allowed_origin", origin)
    _check_web("allowed_origin", origin, parts)
    if parts.path or parts.query or "?" in origin:
        raise InvalidInput("allowed_origin", f"{origin}: an origin ends after the host and port")
    if parts.port == (443 if parts.scheme == "https" else 80):
        raise InvalidInput("allowed_origin", f"{origin}: leave the default port out, as browsers do")


def find_redirect_uri(registered: Iterable[str], requested: str, *, native: bool) -> str | None:
    """The registered URI that `requested` equals, or None. A native (public) client may use any port of a loopback
    address (RFC 8252 section 7.3).
    """
    uris = tuple(registered)
    if requested in uris:
        return requested
    portless = _loopback_without_port(requested) if native else None
    if portless is None:
        return None
    return next((uri for uri in uris if _loopback_without_port(uri) == portless), None)


def _split(field: str, uri: str) -> SplitResult:
    if not _PRINTABLE.fullmatch(uri) or len(uri) > LONGEST:
        raise InvalidInput(field, f"{uri[:80]!r} must be printable ASCII without spaces, {LONGEST} characters at most")
    if _NEVER_IN_A_URI & set(uri) or _BROKEN_ESCAPE.search(uri):
        raise InvalidInput(field, f"{uri}: a character stands here that a URI cannot have; percent-encode it")
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        raise InvalidInput(field, f"{uri}: host or port is malformed") from None
    if port == 0 or (parts.netloc.endswith(":")):
        raise InvalidInput(field, f"{uri}: host or port is malformed")
    if not parts.scheme or not uri.startswith(parts.scheme):
        raise InvalidInput(field, f"{uri}: must be absolute, with its scheme in lower case")
    if "#" in uri:
        raise InvalidInput(field, f"{uri}: must not have a fragment")
    if "@" in parts.netloc:
        raise InvalidInput(field, f"{uri}: must not have user info")
    if _DOT_SEGMENT.search(parts.path):
        raise InvalidInput(field, f"{uri}: the path must not have . or .. in it")
    return parts


def _check_web(field: str, uri: str, parts: SplitResult) -> None:
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise InvalidInput(field, f"{uri}: http is for loopback only; use https")
    if parts.scheme not in ("http", "https"):
        raise InvalidInput(field, f"{uri}: the scheme {parts.scheme} is not allowed here")
    host = parts.netloc.removesuffix(f":{parts.port}")
    if not (_is_address(host) if host.startswith("[") or _IPV4.fullmatch(host) else _HOST.fullmatch(host)):
        raise InvalidInput(field, f"{uri}: needs a host name in lower case, or an address")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _is_loopback(host: str | None) -> bool:
    if host is None or host == "localhost":
        return host is not None
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _loopback_without_port(uri: str) -> str | None:
    """A URI on a loopback address with its port cut out, None for every other one. `localhost` is a name, not an address."""
    match = re.fullmatch(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?([/?][!-~]*)?", uri)
    return f"{match[1]}{match[2] or ''}" if match else None
