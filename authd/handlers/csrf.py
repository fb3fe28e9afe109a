"""Whether a form that arrives was shown by us to this browser: a token in the form, bound to a cookie. Pure.

The token is `salt.HMAC-SHA-256(secret, salt + binding)`. The binding is the session's cookie, or a random cookie
where nobody is signed in; the salt makes it look different on every page. The second wall is what the browser
itself says about the request's origin.
"""

import hashlib
import hmac
from collections.abc import Collection

FIELD = "csrf_token"


def issue(secret: bytes, binding: str, salt: str) -> str:
    """A token for a form; `salt` is random and URL-safe."""
    return f"{salt}.{_mac(secret, binding, salt)}"


def matches(secret: bytes, binding: str, token: str) -> bool:
    """Whether `token` was issued for `binding`; never for an empty binding."""
    salt, _, mac = token.partition(".")
    expected = _mac(secret, binding, salt)
    return bool(binding) and hmac.compare_digest(expected.encode(), mac.encode())


def comes_from_us(origin: str | None, fetch_site: str | None, own_origins: Collection[str]) -> bool:
    """Whether the headers Origin and Sec-Fetch-Site, where a browser sent them, name one of our own origins."""
    if fetch_site is not None and fetch_site not in ("same-origin", "none"):
        return False
    return origin is None or origin.lower() in own_origins


def _mac(secret: bytes, binding: str, salt: str) -> str:
    return hmac.new(secret, f"form\0{salt}\0{binding}".encode(), hashlib.sha256).hexdigest()
