"""Which key signs for a name, and when that changes: pure functions over the rows of one moment."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from authd.errors import NotFound
from authd.keys.facts import JWS_ALGORITHM, JwsAlgorithm, PublishedRow, StoredDomain, StoredKey

NOT_AUTH_DOMAIN = "not_auth_domain"
NOT_JWT_ENABLED = "not_jwt_enabled"
LONGEST_NAME = 253  # RFC 1035 section 2.3.4, without the final dot
_LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def names_of_interest(domain: str) -> list[str]:
    """The domain and its ancestors, nearest first; none for what cannot be a domain's name."""
    if len(domain) > LONGEST_NAME or not _NAME.fullmatch(domain):
        return []
    labels = domain.split(".")
    return [".".join(labels[i:]) for i in range(len(labels))]


def host_name(host: str) -> str:
    """The name in a Host header: lower case, without a port and a final dot. An address in brackets loses them."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


def is_active(key: StoredKey, now: datetime) -> bool:
    """Whether it signs: the next key of a rotation waits, a retired one has stopped."""
    return key.active_from <= now and (key.retired_at is None or now < key.retired_at)


def signing_jwt_key(keys: Iterable[StoredKey], jws_algorithm: JwsAlgorithm | None, now: datetime) -> StoredKey | None:
    """Of several active keys (of that algorithm; None: of any) the newest signs."""
    active = [key for key in keys if jws_algorithm in (None, JWS_ALGORITHM[key.algorithm]) and is_active(key, now)]
    return max(active, key=lambda key: (key.active_from, key.id), default=None)


def jwt_signer(
    domain: str, rows: Mapping[str, StoredDomain], jws_algorithm: JwsAlgorithm | None, now: datetime,
) -> tuple[str, StoredKey]:
    """The auth domain of a name and its key: the exact domain, else the nearest ancestor that lends its key (accounts.md).

    NotFound: code not_jwt_enabled where the exact domain exists but nobody has a key for it, not_auth_domain otherwise.
    """
    for name in names_of_interest(domain):
        row = rows.get(name)
        if row is not None and (name == domain or row.for_subdomains):
            key = signing_jwt_key(row.keys, jws_algorithm, now)
            if key is not None:
                return name, key
    if domain in rows:
        raise NotFound(f"{domain} has no JWT key", code=NOT_JWT_ENABLED)
    raise NotFound(f"{domain[:LONGEST_NAME]!r} is no auth domain", code=NOT_AUTH_DOMAIN)


def dkim_signers(domain: str, rows: Mapping[str, StoredDomain], now: datetime) -> tuple[str, Sequence[StoredKey]] | None:
    """The d= domain of a sender's domain and its active keys, RSA first, Ed25519 second (RFC 8463 section 5)."""
    for name in names_of_interest(domain):
        row = rows.get(name)
        if row is not None and (name == domain or row.for_subdomains):
            active = [key for key in row.keys if is_active(key, now)]
            if active:
                return name, sorted(active, key=lambda key: (key.algorithm == "Ed25519", key.id))
    return None


def next_change(keys: Iterable[StoredKey | PublishedRow], now: datetime) -> datetime | None:
    """When the answers of this module change by themselves, because a key becomes active or retires."""
    moments = (moment for key in keys for moment in (key.active_from, key.retired_at, key.published_until))
    return min((moment for moment in moments if moment is not None and moment > now), default=None)
