"""Reads the states that provisioning compares, and runs the statements that its plans consist of."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from authd.errors import Conflict
from authd.keys.facts import Purpose
from authd.provisioning.accounts import Account
from authd.provisioning.aliases import Alias
from authd.provisioning.clients import Client
from authd.provisioning.domains import Domain, Key
from authd.provisioning.effects import Statement
from authd.provisioning.groups import Group, Permission
from authd.provisioning.mailing_lists import MailingList
from authd.provisioning.registries import Registry, RegistryRight, Repository
from authd.provisioning.service_users import ServiceUser
from authd.sql.database import Executor
from authd.sql.queries import load

_QUERIES = load("provisioning")


async def lock(tx: Executor) -> None:
    """Makes whoever else wants to provision wait until this transaction ends."""
    await tx.fetch_all(_QUERIES["lock"])


async def run(tx: Executor, statement: Statement, now: datetime) -> None:
    """Runs a statement whose secrets are hashed already. Conflict where it found something else than was planned for,
    UniqueViolation and the other DataErrors where a constraint stands in the way.
    """
    values = {item.name: getattr(statement, item.name) for item in fields(statement)}
    parameters = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    changed = await tx.execute(_QUERIES[statement.statement], {**parameters, "now": now})
    if statement.changes_one and changed != 1:
        raise Conflict(f"{statement.statement} changed {changed} rows instead of one; something else was changed meanwhile")


async def check_constraints(tx: Executor) -> None:
    """Raises now what COMMIT would raise."""
    await tx.execute(_QUERIES["check_constraints"])


async def domains(db: Executor, now: datetime, name: str | None = None) -> list[Domain]:
    """Every domain, or the named one (lower case, A-labels), each with the keys that sign now or later."""
    rows = await db.fetch_all(_QUERIES["domains"], {"domain": name, "now": now})
    return [Domain(
        name=row[0], redirect_to=row[1], redirect_mode=row[2], jwt_subdomains=row[3], dkim_subdomains=row[4],
        can_use_transactional_email=row[5], srs_domain=row[6], keys=frozenset(_key(*key) for key in row[7]),
        created_at=row[8]) for row in rows]


def _key(purpose: Purpose, algorithm: str, selector: str | None, number: int, kid: str | None,
         active_from: str, retired_at: str | None) -> Key:
    return Key(purpose, algorithm, selector, number, kid, datetime.fromisoformat(active_from),
               None if retired_at is None else datetime.fromisoformat(retired_at))


async def domain_id(db: Executor, name: str) -> int | None:
    """The row of a domain."""
    row = await db.fetch_one(_QUERIES["domain_id"], {"domain": name})
    return None if row is None else int(row[0])


async def public_keys(db: Executor, domain: str, now: datetime) -> list[tuple[Key, bytes]]:
    """The keys that sign for a domain now, the newest first, each with its public half (SPKI DER)."""
    rows = await db.fetch_all(_QUERIES["public_keys"], {"domain": domain, "now": now})
    return [(Key(*row[:3]), bytes(row[3])) for row in rows]


async def addresses_in_domain(db: Executor, domain: str) -> list[str]:
    """The aliases that end in a domain."""
    return [row[0] for row in await db.fetch_all(_QUERIES["addresses_in_domain"], {"domain": domain})]


async def accounts(db: Executor, uuid: UUID | None = None) -> list[Account]:
    """Every account, or that one."""
    rows = await db.fetch_all(_QUERIES["accounts"], {"uuid": uuid})
    return [Account(
        identifier=row[0], full_name=row[1], is_admin=row[2], is_active=row[3], service_users_only=row[4], time_zone=row[5],
        language=row[6], primary_address=row[7], permissions=frozenset(row[8]), groups=frozenset(row[9]), password=None,
        uuid=row[10], aliases=tuple(row[11]), has_password=row[12], created_at=row[13], last_login_at=row[14])
        for row in rows]


async def account_by_identifier(db: Executor, identifier: str) -> UUID | None:
    """Whose identifier that is, whatever its case."""
    return await _uuid(db, "account_by_identifier", {"identifier": identifier})


async def account_by_uuid(db: Executor, uuid: UUID) -> UUID | None:
    """The same uuid, if there is such an account."""
    return await _uuid(db, "account_by_uuid", {"uuid": uuid})


async def account_by_address(db: Executor, local_part: str, domain: str) -> UUID | None:
    """Whose alias that is, whatever its case."""
    return await _uuid(db, "account_by_address", {"local_part": local_part, "domain": domain})


async def _uuid(db: Executor, query: str, parameters: dict[str, Any]) -> UUID | None:
    row = await db.fetch_one(_QUERIES[query], parameters)
    return None if row is None else row[0]


async def account_hashes(db: Executor, identifier: str) -> list[str]:
    """The account's password hash, if it has one."""
    return await _names(db, "account_password", {"user": identifier})


async def aliases(db: Executor, address: str | None = None) -> list[Alias]:
    """Every alias, or that one, whatever its case."""
    local_part, domain = (None, None) if address is None else address.rsplit("@", 1)
    rows = await db.fetch_all(_QUERIES["aliases"], {"local_part": local_part, "domain": domain})
    return [Alias(address=row[0], user=row[1], mailing_list=row[2], blocked=row[3], primary_of=row[4], created_at=row[5])
            for row in rows]


async def mailing_lists(db: Executor, name: str | None = None) -> list[MailingList]:
    """Every mailing list, or the named one, whatever its case."""
    rows = await db.fetch_all(_QUERIES["mailing_lists"], {"mailing_list": name})
    return [MailingList(
        name=row[0], owner=row[1], new_mailfrom=row[2], list_headers=row[3], members=frozenset(row[4]), aliases=tuple(row[5]),
        created_at=row[6]) for row in rows]


async def service_users(db: Executor, username: str | None = None) -> list[ServiceUser]:
    """Every service user, or the named one, whatever its case."""
    rows = await db.fetch_all(_QUERIES["service_users"], {"username": username})
    return [ServiceUser(
        username=row[0], user=row[1], description=row[2], limited=row[3], permissions=frozenset(row[4]), password=None,
        created_at=row[5], last_used_at=row[6]) for row in rows]


async def service_user_hashes(db: Executor, username: str) -> list[str]:
    """The service user's password hash, if there is such a service user."""
    return await _names(db, "service_user_password", {"username": username})


async def groups(db: Executor, name: str | None = None) -> list[Group]:
    """Every group, or the named one."""
    rows = await db.fetch_all(_QUERIES["groups"], {"group": name})
    return [Group(name=row[0], permissions=frozenset(row[1]), members=tuple(row[2])) for row in rows]


async def permissions(db: Executor, identifier: str | None = None) -> list[Permission]:
    """Every permission, or that one."""
    rows = await db.fetch_all(_QUERIES["permissions"], {"permission": identifier})
    return [Permission(identifier=row[0], title=row[1], required_by=tuple(row[2])) for row in rows]


async def missing_permissions(db: Executor, identifiers: Sequence[str]) -> list[str]:
    """Those of the identifiers that no permission has."""
    return await _names(db, "missing_permissions", {"permissions": list(identifiers)})


async def missing_groups(db: Executor, names: Sequence[str]) -> list[str]:
    """Those of the names that no group has."""
    return await _names(db, "missing_groups", {"groups": list(names)})


async def held_permissions(db: Executor, uuid: UUID) -> list[str]:
    """What an account holds, directly or through groups."""
    return await _names(db, "held_permissions", {"uuid": uuid})


async def clients(db: Executor, now: datetime, client_id: str | None = None) -> list[Client]:
    """Every client, or that one."""
    rows = await db.fetch_all(_QUERIES["clients"], {"client": client_id, "now": now})
    return [Client(
        name=row[0], client_id=row[1], client_type=row[2], auth_method=row[3], domain=row[4], is_active=row[5],
        skip_authorization=row[6], pkce_required=row[7], always_refresh=row[8], access_token_format=row[9],
        id_token_alg=row[10], subject_type=row[11], grant_types=frozenset(row[12]), redirect_uris=frozenset(row[13]),
        post_logout_redirect_uris=frozenset(row[14]), allowed_origins=frozenset(row[15]), cas_services=frozenset(row[16]),
        backchannel_logout_uri=row[17], jwks=row[18], jwks_uri=row[19], logo_uri=row[20],
        required_permissions=frozenset(row[21]), secret=None, secrets=row[22], created_at=row[23]) for row in rows]


async def client_by_name(db: Executor, name: str) -> str | None:
    """The client_id of the client with that name."""
    return next(iter(await _names(db, "client_by_name", {"name": name})), None)


async def client_by_id(db: Executor, client_id: str) -> str | None:
    """The same client_id, if there is such a client."""
    return next(iter(await _names(db, "client_by_id", {"client": client_id})), None)


async def client_hashes(db: Executor, client_id: str, now: datetime) -> list[str]:
    """The hashes of the client's secrets that have not expired."""
    return await _names(db, "client_secrets", {"client": client_id, "now": now})


async def registries(db: Executor, service: str | None = None, *, by_service_only: bool = True) -> list[Registry]:
    """Every registry, or the one of that service (or else, unless `by_service_only`, of that name)."""
    rows = await db.fetch_all(_QUERIES["registries"], {"registry": service, "by_service_only": by_service_only})
    return [Registry(
        service=row[0], name=row[1], domain=row[2], token_header=row[3], anonymous_pull=row[4], anonymous_push=row[5],
        rights=frozenset(_registry_rights(row[6])), repositories=tuple(row[7]), created_at=row[8]) for row in rows]


async def repositories(db: Executor, name: str | None = None) -> list[Repository]:
    """Every repository that has a row, or that one (SERVICE:REPOSITORY)."""
    rows = await db.fetch_all(_QUERIES["repositories"], {"repository": name})
    return [Repository(
        name=f"{row[0]}:{row[1]}", created_at=row[2], rights=[right.as_json() for right in _registry_rights(row[3])])
        for row in rows]


def _registry_rights(rows: Sequence[Any]) -> list[RegistryRight]:
    return [RegistryRight("user" if user else "group" if group else "anonymous", user or group or "", pattern,
                          frozenset(actions)) for user, group, pattern, actions in rows]


async def names_of_login(db: Executor, name: str) -> list[tuple[str, str]]:
    """Who signs in with this name, written without @: `user` for an admin's identifier, `serviceuser`, or both."""
    return [(row[0], row[1]) for row in await db.fetch_all(_QUERIES["names_of_login"], {"name": name})]


async def _names(db: Executor, query: str, parameters: dict[str, Any]) -> list[str]:
    return [row[0] for row in await db.fetch_all(_QUERIES[query], parameters)]
