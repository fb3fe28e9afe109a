"""What tools/quickstart runs once authd is installed: a configuration, a database with demo accounts, and the daemon.

The process that was started becomes the daemon itself, so signals and its exit code are authd's; a short-lived helper
waits until it is ready, tells what there is to try, and ends.
"""

import argparse
import asyncio
import json
import os
import re
import secrets
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authd import config, log
from authd.config import Settings
from authd.config.settings import LogSettings
from authd.config.values import Endpoint, endpoint, is_loopback
from authd.credentials import running_database
from authd.embedded import EmbeddedPostgres
from authd.errors import AuthdError, ConfigError

FALLBACK = Path("/var/lib/authd/quickstart")
STATE = "demo.json"
SRS_KEYS = "srs-secrets"
READY_WITHIN = 30.0


@dataclass(frozen=True)
class Pair:
    """Where an SMTP listener takes mail and where it delivers it."""

    listen: Endpoint
    target: Endpoint


@dataclass(frozen=True)
class Options:
    """The command line. `data` None: ./authd-data, or /var/lib/authd/quickstart where PostgreSQL cannot reach that."""

    data: Path | None
    http: Endpoint
    signer: Pair
    forwarder: Pair
    announcement: Path | None


def main(arguments: Sequence[str] | None = None) -> None:
    """Provisions and becomes `authd serve`."""
    options = _options(arguments)
    log.configure(LogSettings(level="warning"))
    if taken := _taken(options):
        sys.exit("\n".join(f"quickstart: {option}: somebody listens there already; choose another port" for option in taken))
    try:
        folder = _data_folder(options.data)
        file = _write_configuration(folder, options)
        settings = config.load(file, {})
        demo = _read_json(folder / STATE)
        if demo is None:
            demo = asyncio.run(_provision(settings))
            _write_json(folder / STATE, demo)
    except ConfigError as error:
        sys.exit("\n".join(f"quickstart: {problem}" for problem in error.problems))
    except (AuthdError, OSError) as error:
        sys.exit(f"quickstart: {error}")
    announcement = _announcement(options, settings, file, demo)
    _in_background(lambda: _announce(announcement, options))
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ")}
    os.execve(sys.executable, [sys.executable, "-m", "authd", "serve", "-c", str(file)], environment)  # noqa: S606


def _options(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="tools/quickstart", description="Starts authd with an embedded PostgreSQL and demo accounts. Ctrl-C ends both.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where everything is kept (default: ./authd-data)")
    parser.add_argument("--http", type=_endpoint, default="127.0.0.1:8080", metavar="HOST:PORT")
    parser.add_argument("--signer", type=_pair, default="127.0.0.1:10036=127.0.0.1:10035", metavar="IN=OUT")
    parser.add_argument("--forwarder", type=_pair, default="127.0.0.1:10046=127.0.0.1:10045", metavar="IN=OUT")
    parser.add_argument("--json", type=Path, metavar="FILE", dest="announcement",
                        help="write addresses and credentials there once authd serves")
    return Options(**vars(parser.parse_args(arguments)))


def _endpoint(text: str) -> Endpoint:
    try:
        found = endpoint(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"use {error}") from None
    if not is_loopback(found.host):
        raise argparse.ArgumentTypeError("quickstart has no certificate, so it serves on loopback only; use 127.0.0.1:PORT")
    return found


def _pair(text: str) -> Pair:
    listen, _, target = text.partition("=")
    try:
        return Pair(endpoint(listen), endpoint(target))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"use IN=OUT, each {error}") from None


def _taken(options: Options) -> list[str]:
    """The options that name an address where somebody else serves, whose answers could be taken for authd's."""
    addresses = {"http": options.http, "signer": options.signer.listen, "forwarder": options.forwarder.listen}
    return [f"--{name} {listen}" for name, listen in addresses.items() if _answers(listen)]


def _answers(listen: Endpoint) -> bool:
    try:
        with socket.create_connection((listen.host, listen.port), timeout=2):
            return True
    except OSError:
        return False


def _data_folder(wanted: Path | None) -> Path:
    folder = (wanted or Path("authd-data")).absolute()
    if wanted is None and not EmbeddedPostgres(folder).reachable():
        print(f"{folder} is out of reach for the user that runs PostgreSQL; using {FALLBACK}")
        folder = FALLBACK
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return folder


def _write_configuration(folder: Path, options: Options) -> Path:
    """Written at every start from the options, so it always says what runs."""
    file = folder / "authd.conf"
    text = f"""\
# Written by tools/quickstart at each start. For a configuration of your own begin with authd.conf.example.
[http]
listen = "{options.http}"
public_url = "http://localhost:{options.http.port}"
trusted_proxies = ["127.0.0.0/8", "::1"]

[database]
embedded = "."

[signer]
mappings = [{{ in = "{options.signer.listen}", out = "{options.signer.target}" }}]

[forwarder]
listen = "{options.forwarder.listen}"
local_delivery = "{options.forwarder.target}"
remote_relay = "{options.forwarder.target}"
srs_secrets_file = "{SRS_KEYS}"
"""
    file.write_text(text, encoding="utf-8")
    _keep_secret(folder / SRS_KEYS)
    return file


def _keep_secret(file: Path) -> None:
    """Makes the secret of rewritten senders, once: what was sent under it must find its way back."""
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(secrets.token_urlsafe(32))


async def _provision(settings: Settings) -> dict[str, Any]:
    """Migrates and makes the demo accounts; returns what was generated for them. Later starts leave the database alone."""
    from authd.provisioning.demo import ensure_demo
    from authd.sql.database import Database
    from authd.sql.migrate import migrate

    with running_database(settings) as credentials:
        database = Database(credentials)
        try:
            await migrate(database)
            return vars(await ensure_demo(database, settings, None))
        finally:
            database.close()


def _read_json(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _write_json(file: Path, value: dict[str, Any]) -> None:
    """Writes a file that only its owner may read; whoever looks sees it whole or not at all."""
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=2)
    unfinished.replace(file)


def _announcement(options: Options, settings: Settings, file: Path, demo: dict[str, Any]) -> dict[str, Any]:
    return {
        "base_url": settings.http.public_url,
        "domain": demo["domain"],
        "admin": {"login": demo["admin_login"], "password": demo["admin_password"]},
        "user": {"login": demo["user_login"], "password": demo["user_password"], "alias": demo["user_alias"]},
        "client": {name: demo[name] for name in ("client_id", "client_secret", "redirect_uri")},
        "signer": str(options.signer.listen),
        "signer_out": str(options.signer.target),
        "forwarder": str(options.forwarder.listen),
        "forwarder_out": str(options.forwarder.target),
        "config": str(file),
        "database_url": EmbeddedPostgres(settings.database.embedded).url(),
    }


def _in_background(work: Callable[[], None]) -> None:
    """Runs `work` in a process that is nobody's child, so that the daemon has none to wait for."""
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            work()
        os._exit(0)
    os.waitpid(child, 0)


def _announce(announcement: dict[str, Any], options: Options) -> None:
    """Waits until authd is ready, then writes the JSON file and says what there is to try."""
    deadline = time.monotonic() + READY_WITHIN
    while not _is_ready(f"http://{options.http}/health/ready/"):
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)
    if options.announcement is not None:
        _write_json(options.announcement, announcement)
    print(_instructions(announcement), flush=True)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _instructions(of: dict[str, Any]) -> str:
    programs = Path(sys.executable).parent
    base, user, client = of["base_url"], of["user"], of["client"]
    text = f"""
authd is running. Ctrl-C stops it and its database; the next start keeps everything.

  Open    {base}/
  Log in  as {user["login"]}  with  {user["password"]}
          as {of["admin"]["login"]}  with  {of["admin"]["password"]}  (administrator)

  Look at the key of {of["domain"]}:
    curl -H 'X-Forwarded-Proto: https' '{base}/getkey/?domain={of["domain"]}'

  Check a password, as Apache or Dovecot would:
    curl -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-Host: {of["domain"]}' \\
         -d username={user["alias"]} -d password={user["password"]} {base}/checkpassword/

  Send a message to be signed (something must listen on {of["signer_out"]} to take it):
    swaks --server {of["signer"]} --from {user["login"]} --to somebody@example.com

  Send one through the forwarder (it delivers to {of["forwarder_out"]}):
    swaks --server {of["forwarder"]} --from somebody@example.com --to {user["alias"]}

  Manage it:
    {programs}/authctl -c {of["config"]} user list

  Its OAuth2 client: {client["client_id"]}  secret {client["client_secret"]}  redirect {client["redirect_uri"]}
"""
    return re.sub(r"^\n", "", text)


if __name__ == "__main__":
    main()
