#!/usr/bin/env python3
"""authctl hygiene: removes what has expired, as the server does every hour."""

import click

from authd.commandline import CONTEXT, Run, config_option, now, shows


@click.command(context_settings=CONTEXT)
@config_option
@shows
def hygiene(run: Run) -> None:
    """Remove sessions, codes, tokens and failed logins that have expired."""
    from authd.hygiene import remove_expired

    settings = run.settings()
    run.print_object({"removed": run.query(lambda db: remove_expired(db, settings, now()), settings)})


if __name__ == "__main__":
    hygiene()
