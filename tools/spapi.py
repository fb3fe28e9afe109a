#!/usr/bin/env python3
"""authctl spapi: the functions in PostgreSQL that OpenSMTPD and Dovecot read accounts through."""

from typing import Any

import click

from authd.commandline import NOT_FOUND, Run, changes, noun, shows


@noun()
def spapi() -> None:
    """Functions for mail servers: install, check, grant, revoke."""


@spapi.command()
@click.option("--list-result", type=click.Choice(["address", "members"]),
              help="What a mailing list resolves to (default: as it is; at first, its own address).")
@changes
def install(run: Run, list_result: Any) -> None:
    """Install the functions, also in place of the predecessor's; the roles of spapi.roles may execute them."""
    from authd.sql import spapi as sql
    from authd.sql.database import Database

    settings = run.settings()

    async def work(db: Database) -> sql.Installation:
        if run.dry_run:
            return await sql.installation(db)
        before = await sql.install(db, list_result=list_result)
        await sql.grant(db, settings.spapi.roles)
        return before

    before = run.query(work, settings)
    replaced = [function.signature for function in before.foreign]
    if run.form == "json":
        run.print_json({"dry_run": run.dry_run, "was_complete": before.is_complete, "replaced": replaced})
        return
    click.echo("would install the functions" if run.dry_run else "installed")
    for signature in replaced:
        click.echo(f"  in place of {signature}, which was not ours")


@spapi.command()
@click.option("--installed", is_flag=True, help="What check does anyway; the predecessor's option.")
@click.option("--grant", "role", metavar="ROLE", help="Ask whether this role may execute all of them.")
@shows
def check(run: Run, installed: bool, role: str | None) -> None:
    """Exit with 0 if the functions are installed, or ROLE may execute them; else with 1."""
    from authd.sql import spapi as sql
    from authd.sql.database import Database

    async def work(db: Database) -> bool:
        return (await sql.installation(db)).is_complete if role is None else await sql.may_execute(db, role)

    holds = run.query(work)
    text = f"{role} may execute them" if role is not None else "installed"
    if run.form == "json":
        run.print_json({"role": role, "holds": holds})
    else:
        click.echo(text if holds else f"not so: {text}", err=not holds)
    if not holds:
        raise click.exceptions.Exit(NOT_FOUND)


@spapi.command()
@click.argument("roles", metavar="ROLE...", nargs=-1, required=True)
@changes
def grant(run: Run, roles: tuple[str, ...]) -> None:
    """Let roles execute the functions."""
    _change(run, roles, "grant")


@spapi.command()
@click.argument("roles", metavar="ROLE...", nargs=-1, required=True)
@changes
def revoke(run: Run, roles: tuple[str, ...]) -> None:
    """Let roles execute the functions no more."""
    _change(run, roles, "revoke")


def _change(run: Run, roles: tuple[str, ...], verb: str) -> None:
    from authd.sql import spapi as sql
    from authd.sql.database import Database

    async def work(db: Database) -> dict[str, bool]:
        wanted = frozenset(sql.SIGNATURES) if verb == "grant" else frozenset()
        already = {role: await sql.executable(db, role) == wanted for role in roles}
        if not run.dry_run:
            await (sql.grant if verb == "grant" else sql.revoke)(db, roles)
        return already

    outcomes = {role: "unchanged" if already else "changed" for role, already in run.query(work).items()}
    if run.form == "json":
        run.print_json([{"role": role, "outcome": outcome, "dry_run": run.dry_run} for role, outcome in outcomes.items()])
        return
    for role, outcome in outcomes.items():
        click.echo(f"{outcome} {role}" + (" (dry run, nothing was done)" if run.dry_run else ""))


if __name__ == "__main__":
    spapi()
