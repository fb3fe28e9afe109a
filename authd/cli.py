"""The `authd` command: serve, migrate, check-config, version. What each does stands in the modules it calls."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from authd import __version__, config, log
from authd.config import Settings, appconfig
from authd.errors import AuthdError, ConfigError, Unavailable

_log = logging.getLogger(__name__)
EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_DATABASE = 0, 1, 2, 4


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits: 0 done, 1 failed, 2 the command line or the configuration is wrong, 4 no database."""
    options = _parser().parse_args(arguments)
    try:
        code = _run(options)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        code = EXIT_USAGE
    except Unavailable as error:
        print(f"authd: {error}", file=sys.stderr)
        code = EXIT_DATABASE
    except (AuthdError, OSError) as error:
        print(f"authd: {error}", file=sys.stderr)
        code = EXIT_FAILED
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="authd", description="One daemon that gives a small host its identity.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help in (("serve", "run until SIGTERM; SIGHUP reloads certificates, keys and the log level"),
                       ("migrate", "bring the database schema up to date"),
                       ("check-config", "say what is configured, or everything that is wrong with it")):
        command = commands.add_parser(name, help=help)
        command.add_argument("--appconfig", type=Path, metavar="FOLDER",
                             help="also read the variables in its folders authserver, dkimsigner and mailforwarder "
                                  "(default: $AUTHD_APPCONFIG)")
        command.add_argument("-c", "--config", type=Path, metavar="FILE",
                             help="default: $AUTHD_CONFIG, ./authd.conf, /etc/authd/authd.conf")
        command.add_argument("--set", action="append", default=[], metavar="SECTION.NAME=VALUE", dest="chosen",
                             help="a setting that counts instead of the file's and the environment's; may be repeated")
    commands.add_parser("version", help="print the version")
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.command == "version":
        print(f"authd {__version__}")
        return EXIT_OK
    configuration = Configuration(options.config or config.find(os.environ), options.appconfig, tuple(options.chosen))
    settings, notices = configuration.read()
    if options.command == "check-config":
        print(_summary(configuration.file, settings))
        for notice in notices:
            print(f"note: {notice}")
        return EXIT_OK
    log.configure(settings.log)
    for notice in notices:
        _log.warning("%s", notice)
    if options.command == "migrate":
        return _migrate(settings)
    return _serve(configuration, settings)


@dataclass(frozen=True)
class Configuration:
    """Where the settings come from."""

    file: Path | None
    appconfig: Path | None
    chosen: tuple[str, ...] = ()

    def read(self) -> tuple[Settings, list[str]]:
        """The settings as they are now, and what should be told of them. Raises ConfigError."""
        environ, notices = appconfig.environment(os.environ, self.appconfig)
        return config.load(self.file, environ, self.chosen), notices + config.notices(environ)

    def settings(self) -> Settings:
        """The settings as they are now."""
        return self.read()[0]


def _serve(configuration: Configuration, settings: Settings) -> int:
    from authd import app
    from authd.credentials import running_server

    with running_server(settings) as credentials:
        asyncio.run(app.serve(settings, credentials, configuration.settings))
    return EXIT_OK


def _migrate(settings: Settings) -> int:
    from authd.credentials import running_database
    from authd.sql.database import Database, SessionOptions
    from authd.sql.migrate import migrate

    async def run() -> None:
        database = Database(credentials, options=SessionOptions(role=settings.database.parent_role))
        try:
            steps = await migrate(database, spapi_roles=settings.spapi.roles)
        finally:
            database.close()
        for step in steps:
            print(f"applied {step.number:04d}_{step.name}")
        if not steps:
            print("the schema is up to date")

    with running_database(settings) as credentials:
        asyncio.run(run())
    return EXIT_OK


def _summary(file: Path | None, settings: Settings) -> str:
    http, database, vault = settings.http, settings.database, settings.vault
    scheme = "https" if http.tls_certificate else "http"
    where = f"the embedded PostgreSQL in {database.embedded}"
    if not settings.embedded_database:
        where = f"PostgreSQL at {'database.url' if database.url else database.default_address}"
    lines = [f"configuration: {file or 'none, defaults'}",
             f"web: {scheme}://{http.listen}, known to people as {http.public_url}",
             f"database: {where}"]
    if http.metrics_listen is not None:
        lines.append(f"metrics: also on http://{http.metrics_listen}")
    if vault.database_path:
        lines.append(f"credentials: {vault.database_path} of the Vault at {vault.address}")
    if database.parent_role:
        lines.append(f"role: every connection acts as {database.parent_role}")
    if settings.signer.enabled:
        lines += [f"signer: {mapping.listen} delivers to {mapping.target}, TLS {mapping.tls}"
                  for mapping in settings.signer.mappings]
    else:
        lines.append("signer: off")
    forwarder = settings.forwarder
    if not (forwarder.enabled and forwarder.srs_secrets):
        lines.append("forwarder: off" + (", as it has no srs_secrets" if forwarder.enabled else ""))
    else:
        lines.append(f"forwarder: {forwarder.listen}, local delivery by {forwarder.local_delivery}, TLS "
                     f"{forwarder.local_delivery_tls}, the rest by {forwarder.remote_relay}, TLS {forwarder.remote_relay_tls}")
        if forwarder.transactional_relay is not None:
            lines.append(f"forwarder: transactional mail by {forwarder.transactional_relay}, "
                         f"TLS {forwarder.transactional_relay_tls}")
    lines.append(f"mail: STARTTLS is {'offered' if settings.smtp.tls_certificate else 'not offered'}")
    return "\n".join(lines)
