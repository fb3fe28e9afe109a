"""Which rights hold at a moment: who may act, which tokens are good, what a client may have. Pure, and without oauthlib."""

from collections.abc import Iterable
from datetime import datetime

from authd.identity.permissions import missing
from authd.oauth import scopes
from authd.oauth.facts import Client, Grant, PresentedToken, Subject


def missing_permissions(client: Client, subject: Subject) -> tuple[str, ...]:
    """The permissions that the client requires and the subject does not hold, sorted."""
    return missing(sorted(client.required_permissions), subject.permissions)


def too_limited(client: Client, subject: Subject) -> bool:
    """A service user that is limited to named permissions passes only where a permission is asked (accounts.md)."""
    return subject.limited and not client.required_permissions


def may_act(client: Client, subject: Subject | None) -> bool:
    """Whether the client may (still) have anything in this person's name."""
    return (subject is not None and subject.is_active and client.is_active
            and not missing_permissions(client, subject) and not too_limited(client, subject))


def current_scopes(client: Client, grant: Grant, subject: Subject) -> tuple[str, ...]:
    """Those of the granted scopes that may be given now: a permission that was lost since is no scope any more."""
    return scopes.grantable(grant.scopes, subject.permissions, refreshable=has_refresh(client))


def has_refresh(client: Client) -> bool:
    return "refresh_token" in client.grant_types


def gets_refresh_token(client: Client, granted: Iterable[str]) -> bool:
    """OpenID Connect clients have to ask for `offline_access`, unless they are known not to (http.md)."""
    given = frozenset(granted)
    return has_refresh(client) and ("openid" not in given or "offline_access" in given or client.always_refresh)


def is_good(presented: PresentedToken, now: datetime) -> bool:
    """Whether a token counts at this moment: it exists, has not expired, and nothing it hangs on has ended."""
    owner, grant, subject = presented.owner, presented.grant, presented.subject
    if owner is None or not owner.is_active:
        return False
    if (grant is not None and grant.revoked) or (subject is not None and not subject.is_active):
        return False
    if (access_token := presented.access_token) is not None:
        return not access_token.revoked and access_token.expires_at > now
    refresh_token = presented.refresh_token
    return refresh_token is not None and refresh_token.rotated_at is None and refresh_token.expires_at > now
