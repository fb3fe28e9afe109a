"""How a client says who it is, and whether it may say it that way. Comparing secrets with hashes is done elsewhere.

RFC 6749 section 2.3.1: HTTP Basic or two parameters, never both. Public clients only name themselves.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from authd.oauth.facts import AuthMethod, Client
from authd.oauth.parameters import Parameters
from authd.oauth.replies import Refused

LONGEST_SECRET = 1024
_BASIC = re.compile(r"basic +([A-Za-z0-9+/]+={0,2}) *", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Who a request says it comes from. `secrets` are the readings of one secret: the standard one first, and for clients
    that do not encode what they put into a Basic header the literal one.
    """

    client_id: str
    method: AuthMethod
    secrets: tuple[str, ...] = field(default=(), repr=False)


def read(authorization: str | None, parameters: Parameters) -> ClientCredentials:
    """The credentials in a request. Refused: invalid_client without any or with malformed ones, invalid_request with two."""
    named, posted = parameters.get("client_id"), parameters.get("client_secret")
    if authorization is None:
        if named is None:
            raise Refused("invalid_client", "No client authentication.")
        if posted is None:
            return ClientCredentials(named, "none")
        return ClientCredentials(named, "client_secret_post", _bounded(posted))
    client_id, secrets = _basic(authorization)
    if posted is not None:
        raise Refused("invalid_request", "More than one client authentication.")
    if named not in (None, client_id):
        raise Refused("invalid_request", "The parameter client_id is not the client that authenticates.")
    return ClientCredentials(client_id, "client_secret_basic" if secrets else "none", secrets)


def may_use(client: Client, method: AuthMethod) -> bool:
    """Whether this client authenticates that way."""
    if client.auth_method == "client_secret":
        return method in ("client_secret_basic", "client_secret_post")
    return client.auth_method == method


def _basic(authorization: str) -> tuple[str, tuple[str, ...]]:
    match = _BASIC.fullmatch(authorization)
    try:
        user, colon, secret = base64.b64decode(match[1], validate=True).decode().partition(":") if match else ("", "", "")
        client_id, decoded = unquote_plus(user, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, UnicodeError):
        colon = ""
    if not colon or "\0" in client_id + decoded + secret:
        raise Refused("invalid_client", "The Authorization header is malformed.")
    return client_id, _bounded(*dict.fromkeys(text for text in (decoded, secret) if text))


def _bounded(*secrets: str) -> tuple[str, ...]:
    if any(len(secret.encode()) > LONGEST_SECRET for secret in secrets):
        raise Refused("invalid_client", "The secret is too long.")
    return secrets
