#!/usr/bin/env python3
"""authctl user: accounts. USER is an alias, an identifier or a uuid."""

from collections.abc import Callable
from typing import Any

import click

from authd.commandline import Run, changes, confirmed, noun, now, password_from, password_options, shows, yes_option
from authd.errors import InvalidInput
from authd.provisioning.accounts import Account, account_options
from authd.provisioning.plan import Change, Mode

COLUMNS = ("identifier", "full_name", "primary_address", "is_admin", "is_active")


@noun()
def user() -> None:
    """Accounts: create, list, show, edit, activate, deactivate, set-delivery-mailbox, remove."""


@user.command()
@click.argument("identifier")
@click.argument("fullname")
@password_options()
@click.option("--admin", "--staff", is_flag=True, help="Make an administrator.")
@changes
def create(run: Run, identifier: str, fullname: str, password: str | None, password_stdin: bool, admin: bool) -> None:
    """Make an account. Without a password nobody can sign in to it."""
    password = password_from(password, password_stdin)
    run.apply(Change(account_options(identifier=identifier, fullname=fullname, admin=admin, password=password), Mode.CREATE))


def _choice(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which accounts are meant."""
    function = click.option("--active/--inactive", default=None, help="Only those that are, or are not, active.")(function)
    function = click.option("-c", "--contains", metavar="TEXT", help="Those with TEXT in identifier, name or alias.")(function)
    return click.argument("selectors", nargs=-1, metavar="[USER]...")(function)


@user.command("list")
@_choice
@click.option("--admins", is_flag=True, help="Administrators only.")
@shows
def list_(run: Run, selectors: tuple[str, ...], contains: str | None, active: bool | None, admins: bool) -> None:
    """List the accounts."""
    found = [account for account in _chosen(run, selectors, contains, active) if account.is_admin or not admins]
    run.print_list([account.as_json() for account in found], COLUMNS)


def _chosen(run: Run, selectors: tuple[str, ...], contains: str | None, active: bool | None) -> list[Account]:
    from authd.provisioning.lookup import get
    from authd.sql import provisioning as sql

    async def read(db: Any) -> list[Account]:
        return [await get(db, Account, selector, now()) for selector in selectors] or await sql.accounts(db)

    return [account for account in run.query(read)
            if active in (None, account.is_active) and _contains(account, (contains or "").lower())]


def _contains(account: Account, text: str) -> bool:
    return any(text in value.lower() for value in (account.identifier, account.full_name, *account.aliases))


@user.command()
@_choice
@shows
def show(run: Run, selectors: tuple[str, ...], contains: str | None, active: bool | None) -> None:
    """Tell everything about an account, or about several: then JSON is an array."""
    if not selectors and contains is None and active is None:
        raise click.UsageError("say which: USER, or -c TEXT")
    found = [account.as_json() for account in _chosen(run, selectors, contains, active)]
    if len(selectors) == len(found) == 1 and contains is None and active is None:
        run.print_object(found[0])
    else:
        run.print_objects(found)


@user.command()
@click.argument("selector", metavar="USER")
@click.option("--set-identifier", metavar="IDENTIFIER")
@click.option("--set-fullname", metavar="NAME")
@password_options("set-password")
@click.option("--set-admin/--unset-admin", "--set-staff/--unset-staff", "admin", default=None, help="Administrator or not.")
@click.option("--set-service-users-only/--unset-service-users-only", "service_users_only", default=None,
              help="Whether the password is good for the web sign-in only.")
@click.option("--set-time-zone", metavar="ZONE")
@click.option("--set-language", metavar="LANGUAGE")
@yes_option
@changes
def edit(run: Run, selector: str, set_identifier: str | None, set_fullname: str | None, password: str | None,
         password_stdin: bool, admin: bool | None, service_users_only: bool | None, set_time_zone: str | None,
         set_language: str | None, yes: bool) -> None:
    """Change an account. A new password signs it out everywhere."""
    declared = account_options(
        identifier=set_identifier, fullname=set_fullname, password=password_from(password, password_stdin), admin=admin,
        service_users_only=service_users_only, time_zone=set_time_zone, language=set_language)
    run.apply(Change(declared, Mode.EDIT, selector))


@user.command()
@click.argument("selector", metavar="USER")
@yes_option
@changes
def activate(run: Run, selector: str, yes: bool) -> None:
    """Let an account sign in again."""
    run.apply(Change(account_options(active=True), Mode.EDIT, selector))


@user.command()
@click.argument("selector", metavar="USER")
@yes_option
@changes
def deactivate(run: Run, selector: str, yes: bool) -> None:
    """Lock an account out everywhere, and end its sessions and tokens."""
    run.apply(Change(account_options(active=False), Mode.EDIT, selector))


@user.command("set-delivery-mailbox")
@click.argument("selector", metavar="USER")
@click.argument("address")
@yes_option
@changes
def set_delivery_mailbox(run: Run, selector: str, address: str, yes: bool) -> None:
    """Make one of an account's aliases its mailbox and primary address."""
    if not address:
        raise InvalidInput("address", "is empty")
    run.apply(Change(account_options(delivery_mailbox=address), Mode.EDIT, selector))


@user.command()
@click.argument("selector", metavar="USER")
@yes_option
@changes
def remove(run: Run, selector: str, yes: bool) -> None:
    """Remove an account with its aliases, service users, sessions and tokens."""
    confirmed(run, yes, f"Remove {selector} with all aliases, service users and tokens?", required=True)
    run.apply(Change(Account(), Mode.REMOVE, selector))


if __name__ == "__main__":
    user()
