"""Finds the current state of what a verb names. Nothing is changed or decided here."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from authd.errors import InvalidInput, NotFound
from authd.identity.addresses import parse_address, parse_domain
from authd.provisioning.accounts import Account
from authd.provisioning.aliases import Alias
from authd.provisioning.clients import Client
from authd.provisioning.domains import Domain
from authd.provisioning.groups import Group, Permission
from authd.provisioning.mailing_lists import MailingList
from authd.provisioning.registries import Registry, Repository
from authd.provisioning.service_users import ServiceUser
from authd.provisioning.state import S, State
from authd.sql import provisioning as sql
from authd.sql.database import Executor

_READERS: Mapping[type[State], Callable[[Executor, str], Awaitable[Sequence[State]]]] = {
    MailingList: sql.mailing_lists, ServiceUser: sql.service_users, Group: sql.groups, Permission: sql.permissions,
    Repository: sql.repositories}


async def find(db: Executor, kind: type[S], name: str, now: datetime, *, by_name_only: bool = False) -> S | None:
    """The object of that kind that `name` stands for. An account is found by uuid, alias or identifier and a client or
    registry by id or name, unless `by_name_only` says that only the identifier, name and service count.
    """
    found: Sequence[State] = ()
    if kind is Domain:
        found = await sql.domains(db, now, parse_domain(name))
    elif kind is Account:
        uuid = await (sql.account_by_identifier(db, name) if by_name_only else _uuid_of(db, name))
        found = () if uuid is None else await sql.accounts(db, uuid)
    elif kind is Client:
        client_id = None if by_name_only else await sql.client_by_id(db, name)
        client_id = client_id or await sql.client_by_name(db, name)
        found = () if client_id is None else await sql.clients(db, now, client_id)
    elif kind is Alias:
        found = await sql.aliases(db, str(parse_address(name)))
    elif kind is Registry:
        found = await sql.registries(db, name, by_service_only=by_name_only)
    else:
        found = await _READERS[kind](db, name)
    return next(iter(cast(Sequence[S], found)), None)


async def get(db: Executor, kind: type[S], name: str, now: datetime) -> S:
    """The same, raising NotFound where there is none."""
    found = await find(db, kind, name, now)
    if found is None:
        raise NotFound(f"there is no {kind.kind} {name}")
    return found


async def _uuid_of(db: Executor, selector: str) -> UUID | None:
    """A uuid is taken for one; what looks like an address is an alias first, an identifier second."""
    try:
        uuid = await sql.account_by_uuid(db, UUID(selector)) if len(selector) in (32, 36) else None
    except ValueError:
        uuid = None
    if uuid is None and "@" in selector:
        try:
            address = parse_address(selector)
            uuid = await sql.account_by_address(db, address.local_part, address.domain)
        except InvalidInput:
            pass
    return uuid or await sql.account_by_identifier(db, selector)
