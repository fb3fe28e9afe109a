"""Installs the functions in `functions/`: those that mail servers call (SPAPI, in the schema `public`), and those in
`authd` that they and the forwarder share. What the functions answer stands in their files.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from authd import __version__
from authd.errors import AuthdError, Conflict, NotFound
from authd.sql.database import Database, Executor
from authd.sql.queries import load

FOLDER = Path(__file__).parent / "functions"
ListResult = Literal["address", "members"]

SIGNATURES = (
    "public.authserver_check_domain(character varying)",
    "public.authserver_get_credentials(character varying)",
    "public.authserver_get_credentials(character varying, character varying)",
    "public.authserver_iterate_users()",
    "public.authserver_resolve_alias(character varying, boolean)",
)

_QUERIES = load("spapi")
_SHARED = ("resolve_recipient", "resolve_recipients", "spapi_credentials")
_PUBLIC = ("authserver_check_domain", "authserver_get_credentials", "authserver_iterate_users", "authserver_resolve_alias")
_LIST_RESULTS: dict[ListResult, str] = {"address": "list_result_address", "members": "list_result_members"}


@dataclass(frozen=True, slots=True)
class Function:
    """A function in `public` with a name of SPAPI. `roles` may execute it."""

    signature: str
    is_ours: bool
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Installation:
    """What stands in the database under the names of SPAPI."""

    functions: tuple[Function, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every function is there, and ours."""
        return {*SIGNATURES} <= {function.signature for function in self.functions if function.is_ours}

    @property
    def foreign(self) -> tuple[Function, ...]:
        """Functions of somebody else, most likely the predecessor's."""
        return tuple(function for function in self.functions if not function.is_ours)


async def installation(db: Executor) -> Installation:
    """What is installed."""
    rows = await db.fetch_all(_QUERIES["present"])
    return Installation(tuple(Function(signature, ours, tuple(roles)) for signature, ours, roles in rows))


async def install(database: Database, *, list_result: ListResult | None = None) -> Installation:
    """Installs every function, in place of whatever has its name, and returns what stood there before.

    Roles keep what was granted to them by name; nothing stays granted to PUBLIC. `list_result` None leaves as it is what
    a list resolves to (at first: its address). Raises Conflict where the schema `public` cannot be written to.
    """
    async with database.transaction() as tx:
        await tx.fetch_all(_QUERIES["lock"])
        before = await installation(tx)
        if not await _may_create(tx):
            raise Conflict("the functions belong into the schema public, where this role may create nothing: "
                           "GRANT CREATE ON SCHEMA public TO it, as the owner of the database")
        await _install_shared(tx, list_result)
        await _install_public(tx, before)
        return before


async def install_after_migration(database: Database, roles: Sequence[str] = ()) -> str | None:
    """What `authd migrate` does: the shared functions always, SPAPI unless that is the cut-over from the predecessor.

    Functions that a newer authd has installed stay. `roles` may execute SPAPI afterwards. Returns a sentence where SPAPI
    was not installed, or a role does not exist.
    """
    async with database.transaction() as tx:
        await tx.fetch_all(_QUERIES["lock"])
        return await _install_after_migration(tx) or await _grant_to_existing(tx, roles)


async def list_result(db: Executor) -> ListResult:
    """What a mailing list resolves to."""
    body = (await _bodies(db))[0] or ""
    return "members" if "mailing_list_member" in body else "address"


async def grant(database: Database, roles: Sequence[str]) -> None:
    """Lets the roles execute every function. NotFound for a role that does not exist, or if nothing is installed."""
    await _change_grants(database, "grant_statements", roles)


async def revoke(database: Database, roles: Sequence[str]) -> None:
    """Takes that away again. NotFound as in `grant`."""
    await _change_grants(database, "revoke_statements", roles)


async def executable(db: Executor, role: str) -> frozenset[str]:
    """Those of SIGNATURES that the role may execute. NotFound for a role that does not exist."""
    await _check_roles(db, [role])
    rows = await db.fetch_all(_QUERIES["executable"], {"role": role, "signatures": list(SIGNATURES)})
    return frozenset(row[0] for row in rows)


async def may_execute(db: Executor, role: str) -> bool:
    """Whether the role may execute every function, of ours. NotFound for a role that does not exist."""
    return await executable(db, role) == {*SIGNATURES} and (await installation(db)).is_complete


async def _install_after_migration(tx: Executor) -> str | None:
    before = await installation(tx)
    known, current = (await _bodies(tx))[1], _mark()
    if known is not None and (known == current or _version(known) > _version(current)) and before.is_complete:
        return None
    await _install_shared(tx, None)
    if before.foreign:
        return "the predecessor's functions for mail servers stand; `authctl spapi install` replaces them"
    if not await _may_create(tx):
        return "no function for mail servers was installed: this role may create nothing in the schema public"
    await _install_public(tx, before)
    return None


async def _grant_to_existing(tx: Executor, roles: Sequence[str]) -> str | None:
    """Grants what is missing, so that a role that owns nothing here can repeat it. A sentence for roles that are missing."""
    unknown = await _unknown_roles(tx, roles)
    lacking = [role for role in roles if role not in unknown and await executable(tx, role) != {*SIGNATURES}]
    await _run_generated(tx, "grant_statements", lacking)
    if not unknown:
        return None
    return (f"spapi.roles: PostgreSQL has no role {', '.join(map(repr, unknown))}; once it is there: "
            f"authctl spapi grant {' '.join(unknown)}")


async def _install_shared(tx: Executor, wanted: ListResult | None) -> None:
    for name in (*_SHARED, _LIST_RESULTS[wanted or await list_result(tx)]):
        await tx.execute(_source(name).replace("%", "%%"))
    await tx.execute(f"COMMENT ON FUNCTION authd.resolve_recipient(text, text) IS '{_mark()}'")


async def _install_public(tx: Executor, before: Installation) -> None:
    for function in before.foreign:
        await tx.execute(f"DROP FUNCTION {function.signature}".replace("%", "%%"))
    for name in _PUBLIC:
        await tx.execute(_source(name).replace("%", "%%"))
    roles = sorted({role for function in before.foreign for role in function.roles})
    await _run_generated(tx, "grant_statements", roles)


async def _change_grants(database: Database, statements: str, roles: Sequence[str]) -> None:
    async with database.transaction() as tx:
        await tx.fetch_all(_QUERIES["lock"])
        await _check_roles(tx, roles)
        if not (await installation(tx)).is_complete:
            raise NotFound("the functions are not installed: authctl spapi install")
        await _run_generated(tx, statements, roles)


async def _run_generated(tx: Executor, statements: str, roles: Sequence[str]) -> None:
    for (statement,) in await tx.fetch_all(_QUERIES[statements], {"signatures": list(SIGNATURES), "roles": list(roles)}):
        await tx.execute(statement.replace("%", "%%"))


async def _check_roles(db: Executor, roles: Sequence[str]) -> None:
    unknown = await _unknown_roles(db, roles)
    if unknown:
        raise NotFound(f"PostgreSQL has no role {', '.join(map(repr, unknown))}", code="unknown_role")


async def _unknown_roles(db: Executor, roles: Sequence[str]) -> list[str]:
    return [row[0] for row in await db.fetch_all(_QUERIES["unknown_roles"], {"roles": list(roles)})]


async def _may_create(db: Executor) -> bool:
    row = await db.fetch_one(_QUERIES["may_create"])
    return row is not None and bool(row[0])


async def _bodies(db: Executor) -> tuple[str | None, str | None]:
    row = await db.fetch_one(_QUERIES["bodies"])
    if row is None:
        raise AuthdError("PostgreSQL gave no row where there is always one")
    return row[0], row[1]


def _source(name: str) -> str:
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def _mark() -> str:
    """Which version of the functions this is: authd's own version, and a digest of the files."""
    digest = hashlib.sha256("".join(_source(name) for name in (*_SHARED, *_LIST_RESULTS.values(), *_PUBLIC)).encode())
    return f"authd {__version__} {digest.hexdigest()[:16]}"


def _version(mark: str) -> tuple[int, ...]:
    return tuple(int(part) for part in mark.split(" ")[1].split("."))
