"""What issuing tokens takes that is the same for every request: the issuer's name, lifetimes, a source of tokens.

Which token is issued to whom is decided in `server` and `authorization`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

from authd.config.settings import OauthSettings
from authd.oauth.tokens import new_token


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long each thing is good. `grace`: for how long a rotated refresh token is answered with the same successor."""

    code: timedelta
    access_token: timedelta
    id_token: timedelta
    refresh_token: timedelta
    grace: timedelta

    @classmethod
    def of(cls, settings: OauthSettings) -> "Lifetimes":
        return cls(
            timedelta(seconds=settings.code_seconds), timedelta(seconds=settings.access_token_seconds),
            timedelta(seconds=settings.id_token_seconds), timedelta(seconds=settings.refresh_token_seconds),
            timedelta(seconds=settings.refresh_grace_seconds))


@dataclass(frozen=True, slots=True)
class Issuer:
    """`name` is the issuer identifier; `pairwise_key` makes subject identifiers that two clients cannot compare."""

    name: str
    lifetimes: Lifetimes
    pairwise_key: bytes = field(repr=False)
    new_token: Callable[[], str] = new_token
    new_id: Callable[[], UUID] = uuid4
