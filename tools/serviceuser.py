#!/usr/bin/env python3
"""authctl serviceuser: names and passwords that act for an account, for software without OAuth2."""

from dataclasses import replace
from typing import Any

import click

from authd.commandline import Run, changes, confirmed, noun, now, password_from, password_options, shows, yes_option
from authd.errors import InvalidInput
from authd.provisioning.plan import Change, Mode
from authd.provisioning.service_users import ServiceUser, service_user_options

COLUMNS = ("username", "user", "permissions", "description", "last_used_at")


@noun()
def serviceuser() -> None:
    """Service users: create, list, show, edit, remove."""


@serviceuser.command()
@click.option("-u", "--user", metavar="USER", required=True, help="The user that it acts for, who needs a delivery mailbox.")
@click.option("--username", metavar="NAME", help="Random where it is left out.")
@password_options()
@click.option("--description", metavar="TEXT", default="")
@click.option("--permission", metavar="PERM", multiple=True, help="Limit it to this; repeatable.")
@changes
def create(run: Run, password: str | None, password_stdin: bool, **options: Any) -> None:
    """Make a service user. Without a password it gets a random one, which is printed."""
    run.apply(Change(service_user_options(password=password_from(password, password_stdin), **options), Mode.CREATE))


@serviceuser.command("list")
@click.option("-u", "--user", metavar="USER", help="Those of a user.")
@shows
def list_(run: Run, user: str | None) -> None:
    """List the service users."""
    from authd.provisioning.accounts import Account
    from authd.provisioning.lookup import get
    from authd.sql import provisioning as sql

    async def read(db: Any) -> list[ServiceUser]:
        owner = None if user is None else (await get(db, Account, user, now())).identifier
        return [item for item in await sql.service_users(db) if owner in (None, item.user)]

    run.print_list([item.as_json() for item in run.query(read)], COLUMNS)


@serviceuser.command()
@click.argument("username", metavar="NAME")
@shows
def show(run: Run, username: str) -> None:
    """Tell everything about a service user."""
    from authd.provisioning.lookup import get

    run.print_object(run.query(lambda db: get(db, ServiceUser, username, now())).as_json())


@serviceuser.command()
@click.argument("name", metavar="NAME")
@click.option("--set-username", metavar="NAME")
@password_options("set-password")
@click.option("--new-password", is_flag=True, help="Give it another random password, which is printed.")
@click.option("--set-description", metavar="TEXT")
@click.option("--set-user", metavar="USER")
@click.option("--permission", metavar="PERM", multiple=True, help="Limit it to this; repeatable.")
@click.option("--unlimited", is_flag=True, help="Let it do everything that its user may.")
@changes
def edit(run: Run, name: str, set_username: str | None, password: str | None, password_stdin: bool, new_password: bool,
         set_description: str | None, set_user: str | None, permission: tuple[str, ...], unlimited: bool) -> None:
    """Change a service user. A new password ends its sessions."""
    if permission and unlimited:
        raise InvalidInput("unlimited", "contradicts --permission")
    password = password_from(password, password_stdin)
    if password is not None and new_password:
        raise InvalidInput("new_password", "contradicts the other options")
    declared = service_user_options(username=set_username, user=set_user, description=set_description, password=password,
                                    permission=permission if permission or unlimited else None)
    if new_password:
        from authd.provisioning.references import new_password as random_password

        declared = replace(declared, password=random_password())
    run.apply(Change(declared, Mode.EDIT, name))


@serviceuser.command()
@click.argument("name", metavar="NAME")
@yes_option
@changes
def remove(run: Run, name: str, yes: bool) -> None:
    """Remove a service user."""
    confirmed(run, yes, f"Remove {name}?", required=False)
    run.apply(Change(ServiceUser(), Mode.REMOVE, name))


if __name__ == "__main__":
    serviceuser()
