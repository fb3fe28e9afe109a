"""Random tokens that a cookie holds, and the digest that the tables hold in their place. Pure but for the randomness."""

import hashlib
import secrets

_BYTES = 32


def new_token() -> str:
    """256 random bits, in letters that a cookie may hold."""
    return secrets.token_urlsafe(_BYTES)


def token_digest(token: str) -> bytes:
    """SHA-256 of a token, 32 bytes; what is random needs no slow hash."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
