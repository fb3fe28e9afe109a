#!/usr/bin/env python3
"""authctl apply: brings everything to the state that a site file declares."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from authd.commandline import CONTEXT, DIFFERENT, Run, changes, config_option
from authd.errors import InvalidInput
from authd.provisioning.plan import Outcome
from authd.provisioning.site import parse_site

if TYPE_CHECKING:
    from authd.provisioning.provisioner import Result


@click.command(context_settings=CONTEXT)
@config_option
@click.option("-f", "--file", required=True, metavar="FILE", help="TOML with [[noun]] tables; - is standard input.")
@click.option("--check", is_flag=True, help="Change nothing; exit 0 where everything is as declared, 5 where it is not.")
@changes
def apply(run: Run, file: str, check: bool) -> None:
    """Bring everything to the state that FILE declares: all of it, or nothing. What FILE does not name stays as it is."""
    folder = Path() if file == "-" else Path(file).parent
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        wanted = parse_site(text, lambda name: (folder / name).read_text(encoding="utf-8"))
    except InvalidInput as error:
        raise InvalidInput(file, str(error)) from None
    except UnicodeDecodeError:
        raise InvalidInput(file, "is not UTF-8") from None
    trial = Run(run.config_file, run.form, dry_run=True)
    if run.form == "json":
        results = (trial if check else run).apply(*wanted, several=True)
    else:
        results = trial.changed(wanted)
        _print_differences(trial if check else run, results)
        if _differ(results) and not (check or run.dry_run):
            _print_secrets(run.changed(wanted))
    if check and _differ(results):
        raise click.exceptions.Exit(DIFFERENT)


def _differ(results: "list[Result]") -> bool:
    return any(result.plan.outcome is not Outcome.UNCHANGED for result in results)


def _print_differences(run: Run, results: "list[Result]") -> None:
    for result in results:
        if result.plan.outcome is not Outcome.UNCHANGED:
            run.print_difference(result)
    same = sum(result.plan.outcome is Outcome.UNCHANGED for result in results)
    click.echo(f"unchanged: {same} of {len(results)}")


def _print_secrets(results: "list[Result]") -> None:
    click.echo("applied")
    for result in results:
        for name, value in result.secrets.items():
            click.echo(f"{result.kind} {result.name} {name}: {value}")


if __name__ == "__main__":
    apply()
