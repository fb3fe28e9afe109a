"""The answers of the endpoints that programs call, as data, and how oauthlib's answers and errors become them.

oauthlib raises some errors and returns others, answers a failed client authentication with a Bearer challenge, and echoes
`state`: here they all take one form (RFC 6749 section 5.2, RFC 6750 section 3).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oauthlib.oauth2.rfc6749.errors import OAuth2Error

from authd.oauth.effects import Effect

REALM = "authd"
_NOT_IN_A_DESCRIPTION = re.compile(r'[^\x20-\x21\x23-\x5b\x5d-\x7e]')  # RFC 6749 section 5.2


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and a JSON body (None: an empty one)."""

    status: int
    body: Mapping[str, Any] | None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """A reply, and what has to be written before it may be sent."""

    reply: Reply
    effects: tuple[Effect, ...] = ()


class Refused(Exception):
    """A request that ends in an error reply before oauthlib sees it."""

    def __init__(self, error: str, description: str = "") -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description


def error(name: str, description: str = "") -> Reply:
    """An error of the token, revocation and introspection endpoints."""
    body = {"error": name}
    if description:
        body["error_description"] = _NOT_IN_A_DESCRIPTION.sub("?", description)
    if name == "invalid_client":
        return Reply(401, body, {"WWW-Authenticate": f'Basic realm="{REALM}"'})
    return Reply(400, body)


def bearer_error(status: int, name: str = "", description: str = "", scope: str = "") -> Reply:
    """An error of a resource that takes bearer tokens; without a name, where no token came at all (RFC 6750 section 3.1)."""
    details = {"error": name, "error_description": _NOT_IN_A_DESCRIPTION.sub("?", description), "scope": scope}
    challenge = "".join(f', {key}="{value}"' for key, value in details.items() if value)
    body = {key: value for key, value in details.items() if value and key != "scope"}
    return Reply(status, body or {"error": "invalid_request"}, {"WWW-Authenticate": f'Bearer realm="{REALM}"{challenge}'})


def from_error(raised: OAuth2Error) -> Reply:
    """The same for an error that oauthlib raised."""
    return error(raised.error, raised.description or "")


def from_oauthlib(status: int, body: str) -> Reply:
    """What oauthlib returned, errors in our own form."""
    parsed: dict[str, Any] = json.loads(body) if body else {}
    if status >= 400:
        return error(parsed["error"], parsed.get("error_description", ""))
    return Reply(status, parsed if body else None)
