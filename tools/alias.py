#!/usr/bin/env python3
"""authctl alias: addresses of accounts and mailing lists."""

from collections.abc import Callable
from typing import Any

import click

from authd.commandline import Run, changes, confirmed, noun, now, shows, yes_option
from authd.errors import InvalidInput
from authd.identity.addresses import parse_address, parse_domain
from authd.provisioning.aliases import Alias, alias_options
from authd.provisioning.plan import Change, Mode

COLUMNS = ("address", "user", "mailing_list", "blocked", "primary_of")


@noun(blacklist="block", unblacklist="unblock")
def alias() -> None:
    """Aliases: create, list, show, edit, remove, block, unblock."""


def _address(function: Callable[..., Any]) -> Callable[..., Any]:
    """ADDRESS, which may also be given as --mailprefix and --domain."""
    function = click.option("-d", "--domain", metavar="DOMAIN", help="The part of the address after the @.")(function)
    function = click.option("--mailprefix", metavar="TEXT", help="The part of the address before the @.")(function)
    return click.argument("address", required=False)(function)


def _owner(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option("-m", "--mailing-list", metavar="LIST", help="The mailing list that it belongs to.")(function)
    return click.option("-u", "--user", metavar="USER", help="The user that it belongs to.")(function)


def _joined(address: str | None, mailprefix: str | None, domain: str | None) -> str:
    if address is not None and mailprefix is None and domain in (None, address.rpartition("@")[2]):
        return address
    if address is not None and domain is not None and mailprefix is None and "@" not in address:
        return f"{address}@{domain}"
    if address is None and mailprefix is not None and domain is not None:
        return f"{mailprefix}@{domain}"
    raise InvalidInput("address", "give ADDRESS, or --mailprefix and --domain")


@alias.command()
@_address
@_owner
@click.option("--blocked/--not-blocked", "--blacklisted/--not-blacklisted", "blocked", default=False,
              help="Whether mail to it is refused.")
@changes
def create(run: Run, address: str | None, mailprefix: str | None, domain: str | None, user: str | None,
           mailing_list: str | None, blocked: bool) -> None:
    """Make an alias of a user or a mailing list."""
    declared = alias_options(
        address=_joined(address, mailprefix, domain), user=user, mailing_list=mailing_list, blocked=blocked)
    run.apply(Change(declared, Mode.CREATE))


@alias.command("list")
@click.argument("text", required=False, default="")
@click.option("-c", "--contains", metavar="TEXT", default="", help="Those with TEXT in the address.")
@click.option("--mailprefix", metavar="TEXT", help="Those with this before the @.")
@click.option("-d", "--domain", metavar="DOMAIN", help="Those of a domain.")
@_owner
@click.option("--blocked/--not-blocked", "--blacklisted/--not-blacklisted", "blocked", default=None,
              help="Only those that are, or are not, blocked.")
@shows
def list_(run: Run, text: str, contains: str, mailprefix: str | None, domain: str | None, user: str | None,
          mailing_list: str | None, blocked: bool | None) -> None:
    """List the aliases."""
    from authd.provisioning.accounts import Account
    from authd.provisioning.lookup import get
    from authd.provisioning.mailing_lists import MailingList
    from authd.sql import provisioning as sql

    async def read(db: Any) -> list[Alias]:
        owner = None if user is None else (await get(db, Account, user, now())).identifier
        name = None if mailing_list is None else (await get(db, MailingList, mailing_list, now())).name
        return [item for item in await sql.aliases(db)
                if owner in (None, item.user) and name in (None, item.mailing_list)]

    ending = "" if domain is None else f"@{parse_domain(domain)}"
    found = [item for item in run.query(read)
             if text.lower() in item.address.lower() and contains.lower() in item.address.lower()
             and item.address.endswith(ending) and blocked in (None, item.blocked)
             and (mailprefix is None or item.address.rpartition("@")[0].lower() == mailprefix.lower())]
    run.print_list([item.as_json() for item in found], COLUMNS)


@alias.command()
@_address
@shows
def show(run: Run, **address: str | None) -> None:
    """Tell everything about an alias."""
    from authd.provisioning.lookup import get

    run.print_object(run.query(lambda db: get(db, Alias, _joined(**address), now())).as_json())


@alias.command()
@_address
@click.option("--set-user", metavar="USER", help="Give it to a user.")
@click.option("--set-mailing-list", metavar="LIST", help="Give it to a mailing list.")
@click.option("--set-mailprefix", metavar="TEXT", help="Change the part before the @.")
@click.option("--set-domain", metavar="DOMAIN", help="Change the part after the @.")
@click.option("--blocked/--not-blocked", "--blacklisted/--not-blacklisted", "blocked", default=None,
              help="Whether mail to it is refused.")
@click.option("--create-if-missing", is_flag=True, help="Make it where it does not exist.")
@changes
def edit(run: Run, set_user: str | None, set_mailing_list: str | None, set_mailprefix: str | None, set_domain: str | None,
         blocked: bool | None, create_if_missing: bool, **address: str | None) -> None:
    """Change an alias."""
    current = parse_address(_joined(**address))
    wanted = f"{set_mailprefix or current.local_part}@{set_domain or current.domain}"
    renamed = set_mailprefix is not None or set_domain is not None
    if renamed and create_if_missing:
        raise InvalidInput("create_if_missing", "does not go with another address")
    declared = alias_options(address=wanted if renamed or create_if_missing else None, user=set_user,
                             mailing_list=set_mailing_list, blocked=blocked)
    run.apply(Change(declared, Mode.ENSURE if create_if_missing else Mode.EDIT, str(current)))


@alias.command()
@_address
@yes_option
@changes
def remove(run: Run, yes: bool, **address: str | None) -> None:
    """Remove an alias."""
    name = _joined(**address)
    confirmed(run, yes, f"Remove {name}?", required=False)
    run.apply(Change(Alias(), Mode.REMOVE, name))


def _addresses(function: Callable[..., Any]) -> Callable[..., Any]:
    """ADDRESS..., each of which may also be given as in `_address`."""
    function = click.option("-d", "--domain", metavar="DOMAIN", help="The part of the addresses after the @.")(function)
    function = click.option("--mailprefix", metavar="TEXT", help="The part of the address before the @.")(function)
    return click.argument("addresses", nargs=-1, metavar="ADDRESS...")(function)


@alias.command()
@_addresses
@changes
def block(run: Run, **addresses: Any) -> None:
    """Refuse mail to addresses."""
    _set_blocked(run, True, **addresses)


@alias.command()
@_addresses
@changes
def unblock(run: Run, **addresses: Any) -> None:
    """Take mail to addresses again."""
    _set_blocked(run, False, **addresses)


def _set_blocked(run: Run, blocked: bool, addresses: tuple[str, ...], mailprefix: str | None, domain: str | None) -> None:
    names = [_joined(address, mailprefix, domain) for address in addresses or (None,)]
    run.apply(*(Change(alias_options(blocked=blocked), Mode.EDIT, name) for name in names), several=True)


if __name__ == "__main__":
    alias()
