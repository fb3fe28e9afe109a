"""What is told of a login: the entry in the audit, and the line that fail2ban reads. Pure.

The line, of the logger `authd.login`, is documented and does not change:

    login failed client=203.0.113.5 name="somebody@example.com" reason=password purpose=web

`client` is an IP address, or `unknown`. In `name` a quotation mark, a backslash and whatever cannot be printed are
escaped, and it ends after 100 characters.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from authd.audit import Entry
from authd.identity.addresses import client_address, network_of
from authd.identity.facts import Login, LoginAttempt

Reason = Literal["unknown", "password", "inactive", "service_users_only", "mailbox", "permission", "malformed", "throttled"]

_LONGEST_NAME = 100


def failure_line(attempt: LoginAttempt, reason: Reason) -> str:
    """The log line of a failure."""
    client = client_address(attempt.remote_address) or "unknown"
    name = printable(attempt.username).replace('"', '\\"')
    return f'login failed client={client} name="{name}" reason={reason} purpose={attempt.purpose}'


def failure_entry(attempt: LoginAttempt, reason: Reason, account_uuid: UUID | None, now: datetime) -> Entry:
    """One row for an account, client network and minute; unknown names of a network share a row."""
    network = network_of(attempt.remote_address)
    key = f"login.failure {account_uuid or 'unknown'} {network} {now:%Y-%m-%dT%H:%M}"
    name = printable(attempt.username)
    return Entry(
        "login.failure", name, account_uuid, client_address(attempt.remote_address), "account", name,
        new={"reason": reason, "purpose": attempt.purpose}, aggregate_key=key)


def success_entry(attempt: LoginAttempt, login: Login) -> Entry:
    """A row of its own."""
    new: dict[str, object] = {"purpose": attempt.purpose}
    if login.service_user is not None:
        new["service_user"] = login.service_user.username
    return Entry(
        "login.success", printable(attempt.username), login.account.uuid, client_address(attempt.remote_address), "account",
        login.account.identifier, new=new)


def printable(name: str) -> str:
    """The name without anything that could end or forge a line, at most 100 of its characters."""
    short = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"
    return "".join(_escaped(letter) for letter in short)


def _escaped(letter: str) -> str:
    if letter == "\\":
        return "\\\\"
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()
