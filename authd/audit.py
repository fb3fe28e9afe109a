"""What an audit entry says. Writing and reading entries is in `authd.sql.audit`.

Secrets never get in: values name what changed, not a password or a token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    `actor` is who did it: an account's identifier, a login name, `cli`, `system`. `account_uuid` is the account whose
    history shows it. `action` is the object and a verb, `account.create`, `login.success`. `old` and `new` are JSON.
    Entries with the same `aggregate_key` share one row that counts them. `remote_address` is an IP address.
    """

    action: str
    actor: str
    account_uuid: UUID | None = None
    remote_address: str | None = None
    object_kind: str = ""
    object_name: str = ""
    old: Mapping[str, object] | None = None
    new: Mapping[str, object] | None = None
    aggregate_key: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """An entry as it was written; `repeats` is how often it happened."""

    id: int
    at: datetime
    actor: str
    account_uuid: UUID | None
    remote_address: str | None
    action: str
    object_kind: str
    object_name: str
    old: dict[str, Any] | None
    new: dict[str, Any] | None
    repeats: int
