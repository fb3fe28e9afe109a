"""What the handlers work with. `app.py` builds it once; tests build it with what they need."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from authd.config import Settings
from authd.docker.tokens import DockerTokens
from authd.handlers.assets import Assets
from authd.identity.accounts import Accounts
from authd.identity.sessions import Sessions
from authd.keys.store import KeyStore
from authd.metrics import Metrics
from authd.oauth.service import OAuth
from authd.templating import Templates


@dataclass(frozen=True)
class ComponentState:
    """How a part of the daemon is: `degraded` still works (and is ready), `failed` does not."""

    state: Literal["ok", "degraded", "failed"]
    text: str = ""


@dataclass(frozen=True)
class RequestingApplication:
    """The application that sent somebody here to sign in, and the (checked) origin where the browser goes afterwards."""

    name: str
    redirect_origin: str


async def no_application(next_path: str) -> RequestingApplication | None:
    """For an authd where no application can send anybody."""
    return None


@dataclass(frozen=True)
class Services:
    """`Services(config=…, keys=…, accounts=…, sessions=…, oauth=…, docker=…, templates=…, assets=…, form_secret=…,
    readiness=…, metrics=…, now=…)`.

    `form_secret` is the server secret "csrf" (32 bytes, the same in every process). `readiness` answers for each
    component (database, keys, listeners, …). `application_behind` tells for a checked `next` path which
    application's request waits there.
    """

    config: Settings
    keys: KeyStore
    accounts: Accounts
    sessions: Sessions
    oauth: OAuth
    docker: DockerTokens
    templates: Templates
    assets: Assets
    form_secret: bytes
    readiness: Callable[[], Awaitable[Mapping[str, ComponentState]]]
    metrics: Metrics
    now: Callable[[], datetime]
    application_behind: Callable[[str], Awaitable[RequestingApplication | None]] = no_application
