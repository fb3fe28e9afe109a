"""What the files in tools/ share: where the configuration is, one database for one verb, exit codes, and what is printed.

A verb builds the states it declares and hands them to `Run`; what they come to is decided in `authd.provisioning`.
Nothing here is imported by the daemon.
"""

import asyncio
import getpass
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from authd import config
from authd.config import Settings, appconfig
from authd.errors import AuthdError, ConfigError, Conflict, DataError, InvalidInput, NotFound, Unavailable

if TYPE_CHECKING:
    from authd.provisioning.plan import Change
    from authd.provisioning.provisioner import Provisioner, Result
    from authd.sql.database import Database

OK, NOT_FOUND, USAGE, CONFLICT, DATABASE, DIFFERENT = 0, 1, 2, 3, 4, 5
LONGEST_VALUE = 60
DRY_RUN = " (dry run, nothing was done)"
AFTERLIFE_MARGIN = timedelta(minutes=5)

T = TypeVar("T")
Work = Callable[["Database"], Awaitable[T]]
Verb = Callable[..., Any]


def _remember_config(context: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.obj = value


config_option = click.option(
    "-c", "--config", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", expose_value=False,
    callback=_remember_config, help="Default: $AUTHD_CONFIG, ./authd.conf, /etc/authd/authd.conf.")
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


class Noun(click.Group):
    """The verbs of a noun, some of which have other names too."""

    synonyms: Mapping[str, str] = {}

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return super().get_command(context, self.synonyms.get(name, name))


def noun(**synonyms: str) -> Callable[[Verb], Noun]:
    """Makes a function the group of a noun's verbs. A keyword is another name of a verb: `search="list"`."""
    def decorate(function: Verb) -> Noun:
        group: Noun = click.group(cls=Noun, context_settings=CONTEXT)(config_option(function))
        group.synonyms = synonyms
        return group
    return decorate


def changes(function: Verb) -> Verb:
    """For a verb that changes something: it takes --json and --dry-run, and gets a `run`."""
    options = (click.option("--dry-run", is_flag=True, help="Say what would happen, and do nothing."), _json_option())
    return _verb(function, options)


def shows(function: Verb) -> Verb:
    """For a verb that only tells something: it takes --json (or --format), and gets a `run`."""
    form = click.option("-f", "--format", "form", type=click.Choice(["table", "list", "json"]), default="table",
                        help="How to print what was found.")
    return _verb(function, (form, _json_option()))


def _json_option() -> Callable[[Verb], Verb]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _verb(function: Verb, options: Iterable[Callable[[Verb], Verb]]) -> Verb:
    @wraps(function)
    def wrapped(as_json: bool, dry_run: bool = False, form: str = "table", **values: Any) -> None:
        run = Run(click.get_current_context().obj, "json" if as_json else form, dry_run)
        with run.reporting_errors():
            function(run=run, **values)

    called: Verb = wrapped
    for option in options:
        called = option(called)
    return called


def confirmed(run: "Run", yes: bool, question: str, *, required: bool) -> None:
    """Asks, unless -y was given. Where nobody can be asked, `required` says whether that is a usage error."""
    if yes or run.dry_run:
        return
    if sys.stdin.isatty():
        click.confirm(question, abort=True, err=True)
    elif required:
        raise InvalidInput("", "this cannot be undone and nobody can be asked: say -y")


yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


def password_options(name: str = "password") -> Callable[[Verb], Verb]:
    """--password P and --password-stdin, which the verb reads with `password_from`."""
    def decorate(function: Verb) -> Verb:
        text = click.option(f"--{name}", "password", help="The password; it shows in process lists while this runs.")
        stdin = click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
        return text(stdin(function))
    return decorate


def password_from(password: str | None, from_stdin: bool) -> str | None:
    """The password that the options of `password_options` give."""
    if not from_stdin:
        return password
    if password is not None:
        raise InvalidInput("password", "was given twice, as an option and on standard input")
    return sys.stdin.readline().rstrip("\r\n")


@dataclass(frozen=True)
class Run:
    """One verb: with which configuration, in which form, and whether for real."""

    config_file: Path | None
    form: str
    dry_run: bool = False

    @contextmanager
    def reporting_errors(self) -> Iterator[None]:
        """Ends the program with the exit code of an error, its text on standard error and, if asked for, as JSON."""
        try:
            yield
        except (AuthdError, OSError) as error:
            click.echo(f"{click.get_current_context().command_path}: {error}", err=True)
            if self.form == "json":
                code = error.code if isinstance(error, AuthdError) else "unreadable"
                click.echo(json.dumps({"error": code, "message": str(error)}, ensure_ascii=False))
            raise click.exceptions.Exit(exit_code(error)) from None

    def apply(self, *wanted: "Change", several: bool = False) -> "list[Result]":
        """Brings the changes about and prints what became of them; as an array where `several` could have been named."""
        results = self.changed(wanted)
        self.print_results(results, several=several)
        return results

    def changed(self, wanted: "Sequence[Change]") -> "list[Result]":
        """Brings the changes about without printing anything."""
        return self.with_provisioner(lambda provisioner: provisioner.apply(wanted, dry_run=self.dry_run))

    def with_provisioner(self, work: "Callable[[Provisioner], Awaitable[T]]") -> T:
        """Runs `work` with a provisioner on the configured database."""
        settings = self.settings()

        async def provision(db: "Database") -> T:
            return await work(_provisioner(db, settings))

        return self.query(provision, settings)

    def query(self, work: Work[T], settings: Settings | None = None) -> T:
        """Runs `work` on the configured database."""
        from authd.credentials import running_database
        from authd.sql.database import Database, SessionOptions

        settings = settings or self.settings()

        async def connected() -> T:
            database = Database(credentials, pool_size=2, options=SessionOptions(
                role=settings.database.parent_role, statement_timeout=settings.database.statement_timeout))
            try:
                await _prepare_schema(database, settings)
                return await work(database)
            finally:
                database.close()

        with running_database(settings) as credentials:
            return asyncio.run(connected())

    def settings(self) -> Settings:
        """The configuration that counts here. Raises ConfigError."""
        return config.load(self.config_file or config.find(os.environ), appconfig.environment(os.environ)[0])

    def json_text(self, value: Any) -> str:
        """A JSON document as it is printed."""
        return json.dumps(value, indent=2, ensure_ascii=False)

    def print_json(self, value: Any) -> None:
        """One JSON document."""
        click.echo(self.json_text(value))

    def print_list(self, objects: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
        """All objects: as JSON with everything, as a table with the named columns, as a list with the first of them."""
        if self.form == "json":
            self.print_json(list(objects))
        elif self.form == "list":
            for item in objects:
                click.echo(item[columns[0]])
        else:
            rows = [[_cell(item[column]) for column in columns] for item in objects]
            headings = [column.replace("_", " ") for column in columns]
            widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
            for row in [headings, *rows]:
                click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def print_object(self, item: dict[str, Any]) -> None:
        """One object, everything that is known of it."""
        if self.form == "json":
            self.print_json(item)
        else:
            width = max(map(len, item))
            for name, value in item.items():
                click.echo(f"{name.replace('_', ' ').ljust(width)}  {_shown(value)}".rstrip())

    def print_objects(self, items: Sequence[dict[str, Any]]) -> None:
        """Several objects, everything that is known of each."""
        if self.form == "json":
            self.print_json(list(items))
        else:
            for number, item in enumerate(items):
                if number:
                    click.echo()
                self.print_object(item)

    def print_ended(self, count: int, shown: dict[str, Any]) -> None:
        """How many things of an account were ended, `shown` for programs."""
        if self.form == "json":
            self.print_json({"outcome": "changed" if count else "unchanged", "dry_run": self.dry_run, **shown})
        else:
            click.echo((f"{count} ended" if count else "unchanged") + (DRY_RUN if self.dry_run else ""))

    def print_results(self, results: "Sequence[Result]", *, several: bool = False) -> None:
        """What became of changes."""
        if self.form == "json":
            objects = [_result_as_json(result, self.dry_run) for result in results]
            self.print_json(objects if several else objects[0])
        else:
            for result in results:
                self.print_result(result)

    def print_result(self, result: "Result") -> None:
        """What became of a change, and the secrets that it made, for people."""
        self.print_difference(result)
        if result.secrets and not self.dry_run:
            known = {"client_id": getattr(result.state, "client_id", None), **result.secrets}
            for name, value in known.items():
                if value is not None:
                    click.echo(f"  {name}: {value}")

    def print_difference(self, result: "Result") -> None:
        """What became of a change, or what would become of it, for people."""
        verb = result.plan.outcome.value
        click.echo(f"{verb} {result.kind} {result.name}" + (DRY_RUN if self.dry_run else ""))
        if verb == "changed":
            for item in result.plan.differences:
                click.echo(f"  {item.field}: {_shown(item.old) or '-'} -> {_shown(item.new) or '-'}")


def now() -> datetime:
    """The clock of the command line."""
    return datetime.now(UTC)


def exit_code(error: Exception) -> int:
    """What a program that called us learns from its exit code."""
    if isinstance(error, NotFound):
        return NOT_FOUND
    if isinstance(error, (InvalidInput, ConfigError, OSError)):
        return USAGE
    return CONFLICT if isinstance(error, (Conflict, DataError)) else DATABASE


async def _prepare_schema(db: "Database", settings: Settings) -> None:
    from authd.sql import migrate

    pending = migrate.pending(migrate.known(), await migrate.applied(db))
    if not pending:
        return
    wanted = settings.database.migrate_on_start
    if not (wanted or (wanted is None and settings.embedded_database)):
        raise Unavailable(f"the database lacks {len(pending)} migrations; run: authd migrate")
    await migrate.migrate(db, spapi_roles=settings.spapi.roles)


def _provisioner(db: "Database", settings: Settings) -> "Provisioner":
    from authd.keys.cipher import load_cipher
    from authd.keys.store import KeyStore
    from authd.provisioning.provisioner import Provisioner, scheme_of

    longest = max(settings.oauth.access_token_seconds, settings.oauth.id_token_seconds, 3600.0)
    return Provisioner(
        db, KeyStore(db, load_cipher(settings.secrets.key_file), now), now, actor=_actor(), scheme=scheme_of(settings.password),
        key_afterlife=timedelta(seconds=longest) + AFTERLIFE_MARGIN)


def _actor() -> str:
    """Who runs this, as the audit names it: the person behind sudo, where it tells."""
    try:
        return f"cli:{os.environ.get('SUDO_USER') or getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"


def _result_as_json(result: "Result", dry_run: bool) -> dict[str, Any]:
    state = result.state or result.plan.before
    differences = {item.field: {"old": item.old, "new": item.new} for item in result.plan.differences}
    return {"outcome": result.plan.outcome.value, "dry_run": dry_run, "kind": result.kind, "name": result.name,
            **(state.as_json() if state is not None else {}), **({} if dry_run else result.secrets), "changes": differences}


def _cell(value: Any) -> str:
    text = _shown(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE - 1] + "…"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_shown(member) for member in value)
    if isinstance(value, dict):
        return " ".join(_shown(member) for member in value.values() if member is not None)
    return "" if value is None else str(value)
