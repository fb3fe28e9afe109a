"""Signs the JWTs of the OAuth side with a parsed key. What they say is in `claims`, which key signs in `service`."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import jwt

from authd.keys.facts import JwsAlgorithm, SigningKey


def sign(claims: Mapping[str, Any], key: SigningKey, *, type_: str = "JWT") -> str:
    """A JWT in compact form; `type_` is its `typ` header."""
    return jwt.encode(dict(claims), key.private_key, algorithm=key.jws_algorithm, headers={"kid": key.kid, "typ": type_})


def at_hash(access_token: str, algorithm: JwsAlgorithm) -> str:
    """OpenID Connect Core section 3.1.3.6: the left half of the hash that the id_token's signature uses."""
    hashed = (hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256)(access_token.encode()).digest()
    return base64.urlsafe_b64encode(hashed[:len(hashed) // 2]).rstrip(b"=").decode()
