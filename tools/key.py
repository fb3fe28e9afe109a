#!/usr/bin/env python3
"""authctl key: the signing keys of domains."""

from typing import Any

import click

from authd.commandline import Run, changes, noun, now, shows
from authd.provisioning.domains import PURPOSES, Domain, domain_options
from authd.provisioning.plan import Change, Mode

COLUMNS = ("id", "domain", "purpose", "algorithm", "selector", "kid", "active_from", "retired_at")


@noun()
def key() -> None:
    """Signing keys: list, rotate. Making and deleting them: authctl domain edit. With notice: authctl domain rotate-key."""


@key.command("list")
@click.argument("name", metavar="[DOMAIN]", required=False)
@shows
def list_(run: Run, name: str | None) -> None:
    """List the keys that sign, now or later, of all domains or of one."""
    from authd.provisioning.lookup import get
    from authd.sql import provisioning as sql

    async def read(db: Any) -> list[Domain]:
        return await sql.domains(db, now()) if name is None else [await get(db, Domain, name, now())]

    nothing = dict.fromkeys(COLUMNS)
    run.print_list([{**nothing, "domain": item.name, **found.as_json()} for item in run.query(read)
                    for found in sorted(item.keys, key=lambda held: held.id or 0)], COLUMNS)


@key.command()
@click.argument("name", metavar="DOMAIN")
@click.argument("purpose", type=click.Choice(PURPOSES))
@click.option("--algorithm", metavar="ALG", help="Default: RSA-2048.")
@click.option("--selector", metavar="S", help="Of the new DKIM key; publish its record at once.")
@changes
def rotate(run: Run, name: str, purpose: str, algorithm: str | None, selector: str | None) -> None:
    """Make a new key that signs from now on, as after a leak. The old one stays published as long as it may be needed.

    Nobody knows the new key yet: authctl domain rotate-key publishes it first.
    """
    declared = domain_options(
        name=name, create_key=[purpose], overwrite=True, dkim_selector=selector,
        jwt_algorithm=algorithm if purpose == "jwt" else None, dkim_algorithm=algorithm if purpose == "dkim" else None)
    run.apply(Change(declared, Mode.EDIT))


if __name__ == "__main__":
    key()
