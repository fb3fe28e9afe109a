"""Runs plans: reads the current state, resolves what a declared state refers to, and applies the effects with their audit
in one transaction. What a plan is, is decided in `plan`; what names stand for, in `lookup` and `references`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from authd.audit import Entry
from authd.config.settings import PasswordSettings
from authd.errors import AuthdError, CheckViolation, Conflict, DataError, InvalidInput, NotFound
from authd.identity import crypt
from authd.keys.facts import NewKey, Purpose
from authd.provisioning import references
from authd.provisioning.accounts import Account
from authd.provisioning.clients import AddClientSecret
from authd.provisioning.domains import GenerateKey, RemoveKey, RetireKey, ScheduleKey
from authd.provisioning.effects import Effect, Statement
from authd.provisioning.lookup import find, get
from authd.provisioning.plan import Change, Mode, Outcome, Plan, plan
from authd.provisioning.service_users import InsertServiceUser, SetServiceUserPassword
from authd.provisioning.state import Secret, State
from authd.sql import audit
from authd.sql import docker as sql_docker
from authd.sql import keys as sql_keys
from authd.sql import provisioning as sql
from authd.sql import sessions as sql_sessions
from authd.sql.database import Database, Transaction

# Queues keep mail for 4 to 5 days (RFC 5321 section 4.5.4.1); it is verified when it arrives.
DKIM_AFTERLIFE = timedelta(days=7)
_VERBS = {Outcome.CREATED: "create", Outcome.CHANGED: "change", Outcome.REMOVED: "remove"}


class KeyMaker(Protocol):
    """Makes and seals keys; authd.keys.store.KeyStore does."""

    async def new_key(self, purpose: Purpose, algorithm: str, selector: str | None = None) -> NewKey:
        """A key that is ready to be inserted."""


@dataclass(frozen=True)
class Result:
    """What became of a change. `state` is what there is now (None: nothing any more); `secrets` were made or set just now
    and can be read nowhere else.
    """

    kind: str
    name: str
    plan: Plan[State]
    state: State | None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


class Provisioner:
    """Brings objects to a declared state. `actor` is who the audit names; a retired JWT key stays published for
    `key_afterlife`, so that what it signed can still be verified.
    """

    def __init__(self, db: Database, keys: KeyMaker, now: Callable[[], datetime], *, actor: str, scheme: crypt.Scheme,
                 key_afterlife: timedelta = timedelta(hours=2)) -> None:
        self._db = db
        self._keys = keys
        self._now = now
        self._actor = actor
        self._scheme = scheme
        self._key_afterlife = key_afterlife

    async def apply(self, changes: Iterable[Change], *, dry_run: bool = False) -> list[Result]:
        """Makes all of the changes, or none of them where one cannot be; with `dry_run` none either, but says what would
        have happened. Each change sees what those before it did. Raises NotFound, InvalidInput, Conflict, Unavailable.
        """
        results: list[Result] = []
        try:
            async with self._db.transaction() as tx:
                await sql.lock(tx)
                for change in changes:
                    results.append(await self._apply(tx, change))
                await sql.check_constraints(tx)
                if dry_run:
                    raise _RollBack
        except _RollBack:
            pass
        except CheckViolation as error:
            raise InvalidInput("", str(error)) from error
        except DataError as error:
            raise Conflict(_explained(error)) from error
        return results

    async def sign_out(self, user: str, *, dry_run: bool = False) -> int:
        """Ends every session of an account (alias, identifier or uuid); how many there are, also where `dry_run` keeps them.
        Raises NotFound.
        """
        async def end(tx: Transaction, account: UUID) -> int:
            return len(await sql_sessions.end_all(tx, account, None))

        return await self._end(user, end, "account.sign_out", "sessions", dry_run)

    async def sign_out_of_registries(self, user: str, *, dry_run: bool = False) -> int:
        """The same of every refresh token that an account, or a service user of it, has for registries."""
        return await self._end(user, sql_docker.end_refresh_tokens, "docker_token.end", "tokens", dry_run)

    async def _end(self, user: str, end: Callable[[Transaction, UUID], Awaitable[int]], action: str, what: str,
                   dry_run: bool) -> int:
        ended = 0
        with contextlib.suppress(_RollBack):
            async with self._db.transaction() as tx:
                account = await get(tx, Account, user, self._now())
                ended = await end(tx, account.uuid)
                if ended:
                    await audit.write(tx, Entry(
                        action=action, actor=self._actor, account_uuid=account.uuid, object_kind="account",
                        object_name=account.identifier, new={what: ended}))
                if dry_run:
                    raise _RollBack
        return ended

    async def _apply(self, tx: Transaction, change: Change) -> Result:
        now, declared, name = self._now(), change.declared, change.name
        kind, declarative = type(declared), change.mode in (Mode.CREATE, Mode.ENSURE)
        current = None if name is None else await find(tx, kind, name, now, by_name_only=declarative)
        if current is None and change.mode is Mode.EDIT:
            raise NotFound(f"there is no {kind.kind} {name}")
        if current is not None and declarative:  # case does not distinguish names: the one that exists keeps its spelling
            declared = replace(declared, **{kind.name_field: current.label})
        if change.mode is Mode.REMOVE:
            await references.check_removal(tx, current)
        else:
            declared = await references.resolved(tx, declared, current, now, self._scheme)
        planned = plan(declared, current, change.mode)
        await references.check_names(tx, planned)
        secrets: dict[str, str] = {}
        for effect in planned.effects:
            secrets.update(_revealed(effect))
            await self._perform(tx, effect, now)
        state = planned.after
        if planned.after is not None and planned.outcome is not Outcome.UNCHANGED:
            state = await find(tx, kind, planned.after.label, now, by_name_only=True)
        await self._record(tx, planned)
        label = state.label if state is not None else current.label if current is not None else name
        return Result(kind.kind, label or "", planned, state, secrets)

    async def _perform(self, tx: Transaction, effect: Effect, now: datetime) -> None:
        if isinstance(effect, Statement):
            await sql.run(tx, await self._hashed(effect), now)
        elif isinstance(effect, GenerateKey):
            key = await self._keys.new_key(effect.purpose, effect.algorithm, effect.selector)
            await sql_keys.insert(
                tx, key, domain_id=await sql.domain_id(tx, effect.domain), now=now, active_from=effect.active_from)
        elif isinstance(effect, RetireKey):
            await sql_keys.retire(tx, effect.key, retired_at=now, published_until=self._published_until(effect.purpose, now))
        elif isinstance(effect, ScheduleKey):
            end = effect.retired_at
            await sql_keys.schedule(tx, effect.key, active_from=effect.active_from, retired_at=end,
                                    published_until=end and self._published_until(effect.purpose, end))
        elif isinstance(effect, RemoveKey):
            await sql_keys.remove(tx, effect.key)
        else:
            raise AuthdError(f"nobody performs {type(effect).__name__}")

    def _published_until(self, purpose: Purpose, retired_at: datetime) -> datetime:
        return retired_at + (DKIM_AFTERLIFE if purpose == "dkim" else self._key_afterlife)

    async def _hashed(self, statement: Statement) -> Statement:
        secrets: dict[str, Any] = {}
        for item in fields(statement):
            value = getattr(statement, item.name)
            if isinstance(value, Secret):
                secrets[item.name] = value.hash or await asyncio.to_thread(crypt.hash_password, value.value, self._scheme)
        return replace(statement, **secrets)

    async def _record(self, tx: Transaction, planned: Plan[State]) -> None:
        state = planned.after or planned.before
        if state is None or planned.outcome is Outcome.UNCHANGED:
            return
        kind = references.AUDIT_KINDS.get(state.kind, state.kind)
        await audit.write(tx, Entry(
            action=f"{kind}.{_VERBS[planned.outcome]}", actor=self._actor,
            account_uuid=await references.account_of(tx, planned), object_kind=kind, object_name=state.label,
            old=planned.old_values, new=planned.new_values))


def scheme_of(settings: PasswordSettings) -> crypt.Scheme:
    """The scheme for new password hashes: the configured one, where this machine has it."""
    return crypt.scheme_here("yescrypt" if settings.scheme == "yescrypt" else "sha512crypt")


class _RollBack(Exception):
    """Ends a transaction that was only tried."""


def _revealed(effect: Effect) -> dict[str, str]:
    if isinstance(effect, AddClientSecret):
        return {"client_secret": effect.secret.value}
    if isinstance(effect, (InsertServiceUser, SetServiceUserPassword)) and effect.password.generated:
        return {"password": effect.password.value}
    return {}


def _explained(error: DataError) -> str:
    """What stands in the way, in words, where the constraint's name tells it."""
    return {
        "account_identifier": "another user has this identifier",
        "alias_address": "another alias has this address",
        "mailing_list_name": "another mailing list has this name",
        "service_user_username": "another service user has this name",
        "client_client_id_key": "another client has this client_id",
        "client_name_key": "another client has this name",
        "docker_registry_service_key": "another registry has this client_id",
        "docker_registry_name_key": "another registry has this name",
        "docker_registry_domain_id_fkey": "its key signs the tokens of a docker registry; give that another domain first",
        "signing_key_selector": "another key of the domain has this selector",
        "account_primary_alias": "it is somebody's delivery mailbox; give the user another one first",
    }.get(error.constraint, str(error))
