#!/usr/bin/env python3
"""authctl group: groups of accounts, which hold permissions together."""

import click

from authd.commandline import Run, changes, confirmed, noun, now, shows, yes_option
from authd.provisioning.groups import Group, group_options
from authd.provisioning.plan import Change, Mode

COLUMNS = ("name", "permissions", "members")


@noun()
def group() -> None:
    """Groups: create, list, show, remove. What they hold and who is in them: authctl permissions grant."""


@group.command()
@click.argument("name", metavar="GROUP")
@changes
def create(run: Run, name: str) -> None:
    """Make a group."""
    run.apply(Change(group_options(name=name), Mode.CREATE))


@group.command("list")
@click.argument("text", required=False, default="")
@shows
def list_(run: Run, text: str) -> None:
    """List the groups."""
    from authd.sql import provisioning as sql

    found = run.query(sql.groups)
    run.print_list([item.as_json() for item in found if text.lower() in item.name.lower()], COLUMNS)


@group.command()
@click.argument("name", metavar="GROUP")
@shows
def show(run: Run, name: str) -> None:
    """Tell everything about a group."""
    from authd.provisioning.lookup import get

    run.print_object(run.query(lambda db: get(db, Group, name, now())).as_json())


@group.command()
@click.argument("name", metavar="GROUP")
@yes_option
@changes
def remove(run: Run, name: str, yes: bool) -> None:
    """Remove a group; its members lose what they hold through it."""
    confirmed(run, yes, f"Remove {name}?", required=False)
    run.apply(Change(Group(), Mode.REMOVE, name))


if __name__ == "__main__":
    group()
