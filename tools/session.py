#!/usr/bin/env python3
"""authctl session: where an account is signed in."""

from dataclasses import asdict
from typing import Any

import click

from authd.commandline import Run, changes, confirmed, noun, now, shows, yes_option
from authd.provisioning.accounts import Account

COLUMNS = ("id", "created_at", "last_seen_at", "remote_address", "service_user", "user_agent")


@noun()
def session() -> None:
    """Sessions of browsers: list, end."""


@session.command("list")
@click.argument("selector", metavar="USER")
@shows
def list_(run: Run, selector: str) -> None:
    """List where a user is signed in."""
    from authd.identity.sessions import Sessions
    from authd.provisioning.lookup import get

    settings = run.settings()

    async def read(db: Any) -> list[dict[str, Any]]:
        account = await get(db, Account, selector, now())
        return [asdict(found) for found in await Sessions(db, settings.session, now).listing(account.uuid)]

    found = run.query(read, settings)
    run.print_list([{name: str(value) if name in ("sid", "created_at", "last_seen_at") else value
                     for name, value in item.items()} for item in found], COLUMNS)


@session.command()
@click.argument("selector", metavar="USER")
@yes_option
@changes
def end(run: Run, selector: str, yes: bool) -> None:
    """Sign a user out everywhere."""
    confirmed(run, yes, f"Sign {selector} out everywhere?", required=False)
    ended = run.with_provisioner(lambda provisioner: provisioner.sign_out(selector, dry_run=run.dry_run))
    run.print_ended(ended, {"user": selector, "ended": ended})


if __name__ == "__main__":
    session()
