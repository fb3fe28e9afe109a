#!/usr/bin/env python3
"""authctl permissions: permissions, who holds them, and which clients require them."""

from typing import Any

import click

from authd.commandline import Run, changes, confirmed, noun, now, shows, yes_option
from authd.errors import InvalidInput
from authd.provisioning.accounts import Account
from authd.provisioning.clients import Client
from authd.provisioning.groups import Group, Permission, permission_options
from authd.provisioning.plan import Change, Mode
from authd.provisioning.state import adjusted

COLUMNS = ("identifier", "title", "required_by")

names_argument = click.argument("names", nargs=-1, metavar="PERM...")
groups_argument = click.argument("names", nargs=-1, metavar="GROUP...")
all_option = click.option("--all", "everything", is_flag=True, help="All that there are.")


@noun()
def permissions() -> None:
    """Permissions: create, list, remove, grant, revoke, require, drop, show."""


@permissions.command()
@click.argument("permission", metavar="PERM")
@click.option("--name", metavar="TITLE", default="", help="What people read.")
@changes
def create(run: Run, permission: str, name: str) -> None:
    """Make a permission."""
    run.apply(Change(permission_options(permission=permission, name=name), Mode.CREATE))


@permissions.command("list")
@click.option("--filter-permission", metavar="TEXT", default="", help="Those with TEXT in the identifier.")
@click.option("--filter-name", metavar="TEXT", default="", help="Those with TEXT in the title.")
@shows
def list_(run: Run, filter_permission: str, filter_name: str) -> None:
    """List the permissions."""
    from authd.sql import provisioning as sql

    found = [item for item in run.query(sql.permissions)
             if filter_permission.lower() in item.identifier.lower() and filter_name.lower() in item.title.lower()]
    run.print_list([item.as_json() for item in found], COLUMNS)


@permissions.command()
@click.argument("permission", metavar="PERM")
@yes_option
@changes
def remove(run: Run, permission: str, yes: bool) -> None:
    """Remove a permission that no client requires."""
    confirmed(run, yes, f"Remove {permission}?", required=False)
    run.apply(Change(Permission(), Mode.REMOVE, permission))


@permissions.group()
def grant() -> None:
    """Give permissions to a user or a group, or put a user into groups."""


@grant.command("user")
@click.argument("selector", metavar="USER")
@names_argument
@changes
def grant_user(run: Run, selector: str, names: tuple[str, ...]) -> None:
    """Give permissions to a user."""
    run.apply(Change(Account(permissions=adjusted(add=_some(names))), Mode.EDIT, selector))


@grant.command("group")
@click.argument("group", metavar="GROUP")
@names_argument
@changes
def grant_group(run: Run, group: str, names: tuple[str, ...]) -> None:
    """Give permissions to a group."""
    run.apply(Change(Group(permissions=adjusted(add=_some(names))), Mode.EDIT, group))


@grant.command("membership")
@click.argument("selector", metavar="USER")
@groups_argument
@changes
def grant_membership(run: Run, selector: str, names: tuple[str, ...]) -> None:
    """Put a user into groups."""
    run.apply(Change(Account(groups=adjusted(add=_some(names))), Mode.EDIT, selector))


@permissions.group()
def revoke() -> None:
    """Take permissions from a user or a group, or take a user out of groups."""


@revoke.command("user")
@click.argument("selector", metavar="USER")
@names_argument
@all_option
@changes
def revoke_user(run: Run, selector: str, names: tuple[str, ...], everything: bool) -> None:
    """Take permissions from a user."""
    run.apply(Change(Account(permissions=_less(names, everything)), Mode.EDIT, selector))


@revoke.command("group")
@click.argument("group", metavar="GROUP")
@names_argument
@all_option
@changes
def revoke_group(run: Run, group: str, names: tuple[str, ...], everything: bool) -> None:
    """Take permissions from a group."""
    run.apply(Change(Group(permissions=_less(names, everything)), Mode.EDIT, group))


@revoke.command("membership")
@click.argument("selector", metavar="USER")
@groups_argument
@all_option
@changes
def revoke_membership(run: Run, selector: str, names: tuple[str, ...], everything: bool) -> None:
    """Take a user out of groups."""
    run.apply(Change(Account(groups=_less(names, everything)), Mode.EDIT, selector))


@permissions.command()
@click.argument("client", metavar="CLIENT")
@names_argument
@changes
def require(run: Run, client: str, names: tuple[str, ...]) -> None:
    """Let a client (id or name) in only with permissions."""
    run.apply(Change(Client(required_permissions=adjusted(add=_some(names))), Mode.EDIT, client))


@permissions.command()
@click.argument("client", metavar="CLIENT")
@names_argument
@all_option
@changes
def drop(run: Run, client: str, names: tuple[str, ...], everything: bool) -> None:
    """Let a client (id or name) in without permissions."""
    run.apply(Change(Client(required_permissions=_less(names, everything)), Mode.EDIT, client))


@permissions.group()
def show() -> None:
    """Tell what a user or group holds, what an application requires, or who is in which groups."""


@show.command("user")
@click.argument("selector", metavar="USER")
@shows
def show_user(run: Run, selector: str) -> None:
    """Tell what a user holds, and through what."""
    from authd.provisioning.lookup import get
    from authd.sql import provisioning as sql

    async def read(db: Any) -> dict[str, Any]:
        account = await get(db, Account, selector, now())
        return {"user": account.identifier, "permissions": await sql.held_permissions(db, account.uuid),
                "direct": sorted(account.permissions), "groups": sorted(account.groups)}

    run.print_object(run.query(read))


@show.command("group")
@click.argument("group", metavar="GROUP")
@shows
def show_group(run: Run, group: str) -> None:
    """Tell what a group holds."""
    from authd.provisioning.lookup import get

    found = run.query(lambda db: get(db, Group, group, now()))
    run.print_object({"group": found.name, "permissions": sorted(found.permissions)})


@show.command("application")
@click.argument("client", metavar="CLIENT")
@shows
def show_application(run: Run, client: str) -> None:
    """Tell what a client (id or name) requires."""
    from authd.provisioning.lookup import get

    found = run.query(lambda db: get(db, Client, client, now()))
    run.print_object({"application": found.name, "client_id": found.client_id,
                      "permissions": sorted(found.required_permissions)})


@show.command("membership")
@click.argument("selector", metavar="USER")
@shows
def show_membership(run: Run, selector: str) -> None:
    """Tell which groups a user is in."""
    from authd.provisioning.lookup import get

    found = run.query(lambda db: get(db, Account, selector, now()))
    run.print_object({"user": found.identifier, "groups": sorted(found.groups)})


def _some(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise InvalidInput("", "name at least one")
    return names


def _less(names: tuple[str, ...], everything: bool) -> Any:
    if bool(names) == everything:
        raise InvalidInput("", "name some, or say --all")
    return frozenset() if everything else adjusted(remove=names)


if __name__ == "__main__":
    permissions()
