"""HTTP Basic credentials (RFC 7617). Whether they are right is `identity.accounts`' decision. Pure."""

import binascii
from base64 import b64decode

from authd.errors import InvalidInput


def is_basic(authorization: str) -> bool:
    """Whether a header Authorization is of this scheme."""
    return authorization.partition(" ")[0].lower() == "basic"


def credentials(authorization: str) -> tuple[str, str]:
    """Name and password of a header Authorization of this scheme, in UTF-8. Raises InvalidInput("Authorization")."""
    encoded = authorization.partition(" ")[2].strip()
    try:
        username, colon, password = b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        raise InvalidInput("Authorization", "malformed Basic credentials") from None
    if not colon:
        raise InvalidInput("Authorization", "malformed Basic credentials")
    return username, password
