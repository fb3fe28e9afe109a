"""What tools/quickstart starts with: a domain with keys, an administrator, a user, and an OAuth2 client.

The domain is the host of the public URL, `localhost` there, so that it is also the auth domain of whatever is asked under
that URL: /getkey/ needs no parameter, and the tokens of /checkpassword/ are issued by the domain that the demo names.
"""

import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from authd.config import Settings
from authd.keys.cipher import load_cipher
from authd.keys.store import KeyStore
from authd.provisioning import references
from authd.provisioning.accounts import account_options
from authd.provisioning.aliases import alias_options
from authd.provisioning.clients import NewSecret, client_options
from authd.provisioning.domains import domain_options
from authd.provisioning.provisioner import Provisioner, scheme_of
from authd.provisioning.site import ordered
from authd.provisioning.state import State
from authd.sql.database import Database

REDIRECT_URI = "http://127.0.0.1:9999/callback"
GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")


@dataclass(frozen=True)
class DemoState:
    """What the demo consists of, with the passwords that were made for it. Keep it, in a file that only its owner reads:
    given to the next `ensure_demo` it comes back unchanged.
    """

    domain: str
    admin_login: str
    admin_password: str
    user_login: str
    user_password: str
    user_alias: str
    client_id: str
    client_secret: str
    redirect_uri: str = REDIRECT_URI


async def ensure_demo(db: Database, settings: Settings, state: DemoState | None) -> DemoState:
    """Makes the demo, or brings it back to `state`: passwords that were changed since are changed back."""
    demo, secret = (state, NewSecret(state.client_secret)) if state is not None else _new(settings)
    provisioner = Provisioner(db, KeyStore(db, load_cipher(settings.secrets.key_file), _now), _now, actor="quickstart",
                              scheme=scheme_of(settings.password))
    await provisioner.apply(ordered([*_states(demo, secret)]))
    return demo


def _new(settings: Settings) -> tuple[DemoState, NewSecret]:
    domain, secret = urlsplit(settings.http.public_url).hostname or "localhost", references.new_client_secret()
    return DemoState(
        domain=domain, admin_login=f"admin@{domain}", admin_password=_password(), user_login=f"user@{domain}",
        user_password=_password(), user_alias=f"uma@{domain}", client_id=f"demo-{secrets.token_hex(8)}",
        client_secret=secret.value), secret


def _states(demo: DemoState, secret: NewSecret) -> Sequence[State]:
    return (
        domain_options(name=demo.domain, create_key=["jwt", "dkim"]),
        account_options(identifier="admin", fullname="Ada Admin", admin=True, active=True, password=demo.admin_password,
                        delivery_mailbox=demo.admin_login),
        account_options(identifier="user", fullname="Uma User", admin=False, active=True, password=demo.user_password,
                        delivery_mailbox=demo.user_login),
        alias_options(address=demo.admin_login, user="admin"),
        alias_options(address=demo.user_login, user="user"),
        alias_options(address=demo.user_alias, user="user"),
        replace(client_options(name="Demo", client_id=demo.client_id, grant_type=GRANT_TYPES,
                               redirect_uri=[demo.redirect_uri], active=True), secret=secret))


def _password() -> str:
    """95 random bits that survive being copied, typed and quoted."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(16))


def _now() -> datetime:
    return datetime.now(UTC)
