#!/usr/bin/env python3
"""authctl mailinglist: lists of addresses that mail is forwarded to."""

import sys
from typing import Any

import click

from authd.commandline import Run, changes, confirmed, noun, now, shows, yes_option
from authd.errors import InvalidInput
from authd.provisioning.mailing_lists import MailingList, mailing_list_options
from authd.provisioning.plan import Change, Mode

COLUMNS = ("name", "owner", "new_mailfrom", "aliases", "members")


@noun()
def mailinglist() -> None:
    """Mailing lists: create, list, show, edit, remove, add-address, remove-address, set-addresses."""


list_option = click.option("-m", "--mailing-list", "name", metavar="LIST", required=True, help="The mailing list.")
addresses_argument = click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...|-")


def _all(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """The addresses, where `-` stands for the words on standard input."""
    if "-" not in addresses:
        return addresses
    if len(addresses) > 1:
        raise InvalidInput("address", "- stands alone")
    return tuple(sys.stdin.read().split())


@mailinglist.command()
@click.argument("name", metavar="LIST")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...|-")
@click.option("--new-mailfrom", metavar="ADDRESS", help="What mail to the list is sent from.")
@click.option("--owner", metavar="USER", help="Who may look after it.")
@click.option("--list-headers/--no-list-headers", default=False, help="Whether List- headers are added.")
@changes
def create(run: Run, name: str, addresses: tuple[str, ...], **options: Any) -> None:
    """Make a mailing list."""
    run.apply(Change(mailing_list_options(name=name, addresses=_all(addresses), **options), Mode.CREATE))


@mailinglist.command("list")
@click.argument("text", required=False, default="")
@shows
def list_(run: Run, text: str) -> None:
    """List the mailing lists."""
    from authd.sql import provisioning as sql

    found = run.query(sql.mailing_lists)
    run.print_list([item.as_json() for item in found if text.lower() in item.name.lower()], COLUMNS)


@mailinglist.command()
@click.argument("name", metavar="LIST")
@shows
def show(run: Run, name: str) -> None:
    """Tell everything about a mailing list."""
    from authd.provisioning.lookup import get

    run.print_object(run.query(lambda db: get(db, MailingList, name, now())).as_json())


@mailinglist.command()
@click.argument("name", metavar="LIST")
@click.option("--set-name", metavar="NAME")
@click.option("--set-new-mailfrom", metavar="ADDRESS", help="An empty text takes it away.")
@click.option("--set-owner", metavar="USER", help="An empty text takes it away.")
@click.option("--list-headers/--no-list-headers", default=None, help="Whether List- headers are added.")
@changes
def edit(run: Run, name: str, set_name: str | None, set_new_mailfrom: str | None, set_owner: str | None,
         list_headers: bool | None) -> None:
    """Change a mailing list."""
    declared = mailing_list_options(
        name=set_name, new_mailfrom=set_new_mailfrom, owner=set_owner, list_headers=list_headers)
    run.apply(Change(declared, Mode.EDIT, name))


@mailinglist.command()
@click.argument("name", metavar="LIST")
@yes_option
@changes
def remove(run: Run, name: str, yes: bool) -> None:
    """Remove a mailing list and its aliases."""
    confirmed(run, yes, f"Remove {name} and its aliases?", required=False)
    run.apply(Change(MailingList(), Mode.REMOVE, name))


@mailinglist.command("add-address")
@list_option
@addresses_argument
@changes
def add_address(run: Run, name: str, addresses: tuple[str, ...]) -> None:
    """Add members."""
    run.apply(Change(mailing_list_options(add=_all(addresses)), Mode.EDIT, name))


@mailinglist.command("remove-address")
@list_option
@addresses_argument
@changes
def remove_address(run: Run, name: str, addresses: tuple[str, ...]) -> None:
    """Remove members."""
    run.apply(Change(mailing_list_options(remove=_all(addresses)), Mode.EDIT, name))


@mailinglist.command("set-addresses")
@list_option
@addresses_argument
@changes
def set_addresses(run: Run, name: str, addresses: tuple[str, ...]) -> None:
    """Let the list have exactly these members."""
    run.apply(Change(mailing_list_options(addresses=_all(addresses)), Mode.EDIT, name))


if __name__ == "__main__":
    mailinglist()
