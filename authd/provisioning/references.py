"""What a declared state refers to: other objects, which must exist and are then called by their own names, and secrets,
which are made where they are needed and compared where they are given.
"""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from authd.errors import Conflict, NotFound
from authd.identity import crypt
from authd.keys.rules import names_of_interest
from authd.provisioning.accounts import Account
from authd.provisioning.aliases import Alias
from authd.provisioning.clients import Client, NewSecret
from authd.provisioning.domains import Domain
from authd.provisioning.groups import Group
from authd.provisioning.lookup import find, get
from authd.provisioning.mailing_lists import MailingList
from authd.provisioning.plan import Outcome, Plan
from authd.provisioning.registries import Registry, RegistryRight, Repository, RightsAdjustment, united
from authd.provisioning.service_users import ServiceUser
from authd.provisioning.state import UNSET, S, Secret, SetAdjustment, State, merged
from authd.sql import provisioning as sql
from authd.sql.database import Executor

AUDIT_KINDS = {"user": "account", "oauth2": "client", "mailinglist": "mailing_list", "serviceuser": "service_user"}


async def resolved(db: Executor, declared: S, current: S | None, now: datetime, scheme: crypt.Scheme) -> S:
    """`declared` with every reference in its canonical form and every secret that has to be made; a secret that is already
    the current one is left out. NotFound names what does not exist.
    """
    return cast(S, await _Resolver(db, now, scheme).resolved(declared, current))


class _Resolver:
    def __init__(self, db: Executor, now: datetime, scheme: crypt.Scheme) -> None:
        self._db = db
        self._now = now
        self._scheme = scheme

    async def resolved(self, declared: State, current: Any) -> State:
        if isinstance(declared, Account):
            return await self._account(declared, current)
        if isinstance(declared, Alias):
            return await self._alias(declared, current)
        if isinstance(declared, MailingList):
            return replace(declared, owner=await self._identifier(declared.owner))
        if isinstance(declared, ServiceUser):
            return await self._service_user(declared, current)
        if isinstance(declared, Client):
            return await self._client(declared, current)
        if isinstance(declared, Registry):
            return await self._registry(declared)
        if isinstance(declared, Repository):
            await get(self._db, Registry, declared.name.rsplit(":", 1)[0], self._now)
        if isinstance(declared, Group):
            await self._check_permissions(declared.permissions)
        return declared

    async def _account(self, declared: Account, current: Account | None) -> Account:
        await self._check_permissions(declared.permissions)
        if names := await sql.missing_groups(self._db, _named(declared.groups)):
            raise NotFound(f"there is no group {', '.join(names)}")
        primary: Any = declared.primary_address
        if isinstance(primary, str):
            alias = await get(self._db, Alias, primary, self._now)
            if alias.user is None or alias.user != (current.identifier if current is not None else None):
                raise Conflict(f"{alias.address} is not an alias of {current.identifier if current else declared.identifier}")
            primary = alias.address
        password: Any = declared.password
        if current is not None and isinstance(password, Secret) and await self._matches(
                password, await sql.account_hashes(self._db, current.identifier)):
            password = UNSET
        return replace(declared, primary_address=primary, password=password)

    async def _alias(self, declared: Alias, current: Alias | None) -> Alias:
        if declared.address is not UNSET:
            await get(self._db, Domain, declared.address.rsplit("@", 1)[1], self._now)
        mailing_list: Any = declared.mailing_list
        if isinstance(mailing_list, str):
            mailing_list = (await get(self._db, MailingList, mailing_list, self._now)).name
        return replace(declared, user=await self._identifier(declared.user), mailing_list=mailing_list)

    async def _service_user(self, declared: ServiceUser, current: ServiceUser | None) -> ServiceUser:
        await self._check_permissions(declared.permissions)
        password: Any = declared.password
        if current is None and password is UNSET:
            password = new_password()
        elif current is not None and isinstance(password, Secret) and await self._matches(
                password, await sql.service_user_hashes(self._db, current.username)):
            password = UNSET
        username = secrets.token_hex(8) if declared.username is UNSET and current is None else declared.username
        return replace(declared, user=await self._identifier(declared.user), password=password, username=username)

    async def _client(self, declared: Client, current: Client | None) -> Client:
        await self._check_permissions(declared.required_permissions)
        if isinstance(declared.domain, str):
            await get(self._db, Domain, declared.domain, self._now)
        secret: Any = declared.secret
        if secret is UNSET:
            if merged(declared, current).uses_secret and (current is None or not current.secrets):
                secret = new_client_secret()
        elif current is not None and isinstance(secret, NewSecret) and not secret.generated and await self._matches(
                secret, await sql.client_hashes(self._db, current.client_id, self._now)):
            secret = UNSET
        client_id = secrets.token_hex(16) if declared.client_id is UNSET and current is None else declared.client_id
        return replace(declared, client_id=client_id, secret=secret)

    async def _registry(self, declared: Registry) -> Registry:
        """The domain may be a host's: then the nearest parent is meant that signs for it."""
        domain, rights = declared.domain, cast(Any, declared.rights)
        if isinstance(domain, str):
            candidates = [await find(self._db, Domain, name, self._now) for name in names_of_interest(domain)]
            found = [one for one in candidates if one is not None and (one.name == domain or one.jwt_subdomains)]
            if not found:
                raise NotFound(f"there is no domain {domain}, and none above it whose key signs for it")
            domain = found[0].name
        if isinstance(rights, RightsAdjustment):
            rights = replace(rights, right=await self._right(rights.right))
        elif rights is not UNSET:
            rights = united([await self._right(right) for right in rights])
        return replace(declared, domain=domain, rights=rights)

    async def _right(self, right: RegistryRight) -> RegistryRight:
        if right.holder_kind == "user":
            return replace(right, holder=await self._identifier(right.holder))
        if right.holder_kind == "group":
            return replace(right, holder=(await get(self._db, Group, right.holder, self._now)).name)
        return right

    async def _identifier(self, user: Any) -> Any:
        return (await get(self._db, Account, user, self._now)).identifier if isinstance(user, str) else user

    async def _check_permissions(self, declared: Any) -> None:
        if names := await sql.missing_permissions(self._db, _named(declared)):
            raise NotFound(f"there is no permission {', '.join(names)}")

    async def _matches(self, secret: Secret, hashes: Sequence[str]) -> bool:
        for stored in hashes:
            if await asyncio.to_thread(crypt.verify_password, secret.value, stored, self._scheme):
                return True
        return False


async def check_removal(db: Executor, current: State | None) -> None:
    """Raises Conflict where other objects need the one that shall go."""
    if isinstance(current, Domain) and (addresses := await sql.addresses_in_domain(db, current.name)):
        shown = ", ".join(addresses[:10]) + (f" and {len(addresses) - 10} more" if len(addresses) > 10 else "")
        raise Conflict(f"{current.name} has aliases: {shown}")


async def check_names(db: Executor, planned: Plan[State]) -> None:
    """Raises Conflict where an admin and a service user would sign in with the same name."""
    after = planned.after
    if planned.outcome is Outcome.UNCHANGED or not isinstance(after, (Account, ServiceUser)):
        return
    taken = [name for kind, name in await sql.names_of_login(db, after.label) if kind != after.kind]
    if taken and not (isinstance(after, Account) and not after.is_admin):
        other = "service user" if isinstance(after, Account) else "admin"
        raise Conflict(f"there is a {other} {taken[0]}, who signs in with the same name")


async def account_of(db: Executor, planned: Plan[State]) -> UUID | None:
    """The account in whose history a change stands."""
    state = planned.after or planned.before
    if isinstance(state, Account):
        return cast(UUID, state.uuid) if state.uuid is not None else await sql.account_by_identifier(db, state.identifier)
    user = state.user if isinstance(state, (Alias, ServiceUser)) else None
    return None if user is None else await sql.account_by_identifier(db, user)


def _named(declared: Any) -> list[str]:
    """The members that a declared set adds or has."""
    names: Iterable[str] = () if declared is UNSET else declared
    if isinstance(declared, SetAdjustment):
        names = declared.add | declared.remove
    return sorted(names)


def new_password() -> Secret:
    """A random password for a service user."""
    return Secret(*_generated())


def new_client_secret(overlap: timedelta = timedelta(0)) -> NewSecret:
    """A random client secret; those that the client has now work for `overlap` longer."""
    return NewSecret(*_generated(), overlap=overlap)


def _generated() -> tuple[str, bool, str]:
    """A random secret that no command line takes for an option: its value, that it is generated, its hash."""
    while True:
        value, stored = crypt.generated_secret()
        if value[0].isalnum():
            return value, True, stored
