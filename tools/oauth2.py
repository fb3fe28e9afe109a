#!/usr/bin/env python3
"""authctl oauth2: OAuth2 clients, and the CAS services that are clients too."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from authd.commandline import Run, changes, confirmed, noun, now, shows, yes_option
from authd.errors import InvalidInput, Unavailable
from authd.provisioning.clients import DEFAULT_OVERLAP, Client, NewSecret, client_options
from authd.provisioning.plan import Change, Mode

if TYPE_CHECKING:
    from authd.provisioning.provisioner import Result

COLUMNS = ("name", "client_id", "client_type", "domain", "is_active", "redirect_uris")
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@noun()
def oauth2() -> None:
    """OAuth2 clients: create, list, show, edit, rotate-secret, remove."""


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What create and edit have in common."""
    for option in reversed((
        click.option("--redirect-uri", metavar="URI", multiple=True, help="Repeatable."),
        click.option("--client-type", metavar="T", help="confidential (default) or public."),
        click.option("--auth-method", metavar="M", help="How it proves who it is (default: client_secret, basic or post)."),
        click.option("--grant-type", metavar="G", multiple=True,
                     help="Repeatable (default: authorization_code and refresh_token)."),
        click.option("--domain", metavar="DOMAIN", help="The domain whose key signs its id_tokens."),
        click.option("--skip-authorization/--no-skip-authorization", default=None, help="Whether users are not asked."),
        click.option("--skip-pkce/--no-skip-pkce", default=None, help="Whether it may do without PKCE."),
        click.option("--always-refresh/--no-always-refresh", default=None,
                     help="Whether it gets refresh tokens without asking for offline_access."),
        click.option("--post-logout-redirect-uri", metavar="URI", multiple=True, help="Repeatable."),
        click.option("--allowed-origin", metavar="ORIGIN", multiple=True, help="Whose scripts may use it; repeatable."),
        click.option("--backchannel-logout-uri", metavar="URI", help="Where it learns that a session ended."),
        click.option("--id-token-alg", metavar="ALG", help="RS256 (default), ES256 or EdDSA."),
        click.option("--access-token", metavar="FORM", help="opaque (default) or jwt."),
        click.option("--subject-type", metavar="T", help="public (default) or pairwise."),
        click.option("--cas-service", metavar="URL", multiple=True,
                     help="A CAS service of the client, exact, or a prefix that ends in /; repeatable."),
        click.option("--jwks", "jwks_file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
                     help="Its public keys, a JWK set."),
        click.option("--jwks-uri", metavar="URI", help="Where its public keys are."),
        click.option("--logo-uri", metavar="URI", help="The picture on the consent page."),
    )):
        function = option(function)
    return function


def _declared(jwks_file: Path | None, **options: Any) -> Client:
    jwks = None if jwks_file is None else jwks_file.read_text(encoding="utf-8")
    for name, value in options.items():
        if isinstance(value, tuple):  # left out: as it is; an empty text: nothing
            options[name] = [member for member in value if member] if value else None
    return client_options(jwks=jwks, **options)


def _refuse_consul(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError("authd does not publish to Consul: use --publish-to-vault, or --json and Consul's own client")


publish_to_vault_option = click.option(
    "--publish-to-vault", metavar="PATH", help="Write client_id and client_secret there, in a KV store of [vault].")


@oauth2.command()
@click.argument("name")
@_options
@click.option("--client-id", metavar="ID", help="Random where it is left out.")
@click.option("--client-secret", metavar="S", help="Random where it is left out; printed once.")
@click.option("--publish-to-stdout", is_flag=True, help="Print nothing but the credentials, as JSON.")
@publish_to_vault_option
@click.option("--publish-to-consulkv", hidden=True, expose_value=False, callback=_refuse_consul)
@changes
def create(run: Run, publish_to_stdout: bool, publish_to_vault: str | None, **options: Any) -> None:
    """Make a client. The secret is printed, or published, once and cannot be read again."""
    _apply(run, Change(_declared(**options), Mode.CREATE), publish_to_vault, only_credentials=publish_to_stdout)


def _apply(run: Run, wanted: Change, vault_path: str | None, *, only_credentials: bool = False) -> None:
    """Brings a change about, and prints or publishes the credentials that it made."""
    with _publisher(run, vault_path) as publish:
        [result] = run.changed([wanted])
        if publish is not None and result.secrets and not run.dry_run:
            try:
                publish(_credentials(result))
            except Unavailable as error:
                name = result.state.label if result.state is not None else ""
                raise Unavailable(f"{result.plan.outcome.value}, but not published: {error}; "
                                  f"say: authctl oauth2 rotate-secret --publish-to-vault {vault_path} {name!r}") from None
            result = replace(result, secrets={})
    if only_credentials:
        run.print_json(_credentials(result))
    else:
        run.print_results([result])


@contextmanager
def _publisher(run: Run, path: str | None) -> Iterator[Callable[[dict[str, str]], None] | None]:
    """What writes credentials to a path that was found good, before anything is made that could not be published."""
    if path is None:
        yield None
        return
    from authd.provisioning.publishing import entered_store

    with entered_store(run.settings().vault) as store:
        store.check(path)
        yield lambda credentials: store.write(path, credentials)


def _credentials(result: "Result") -> dict[str, str]:
    return {"client_id": getattr(result.state, "client_id", ""), **result.secrets}


@oauth2.command("list")
@click.argument("text", required=False, default="")
@click.option("--search-client-id", metavar="TEXT", default="", help="Those with TEXT in the client_id.")
@click.option("--search-client-name", metavar="TEXT", default="", help="Those with TEXT in the name.")
@shows
def list_(run: Run, text: str, search_client_id: str, search_client_name: str) -> None:
    """List the clients."""
    from authd.sql import provisioning as sql

    found = [item for item in run.query(lambda db: sql.clients(db, now()))
             if text.lower() in f"{item.name}\n{item.client_id}".lower()
             and search_client_id.lower() in item.client_id.lower() and search_client_name.lower() in item.name.lower()]
    run.print_list([item.as_json() for item in found], COLUMNS)


@oauth2.command()
@click.argument("client", metavar="CLIENT")
@shows
def show(run: Run, client: str) -> None:
    """Tell everything about a client (id or name)."""
    from authd.provisioning.lookup import get

    run.print_object(run.query(lambda db: get(db, Client, client, now())).as_json())


@oauth2.command()
@click.argument("client", metavar="CLIENT")
@_options
@click.option("--set-name", metavar="NAME")
@click.option("--set-client-id", metavar="ID")
@click.option("--set-client-secret", metavar="S", help="Ends the secrets that it has now.")
@click.option("--activate/--deactivate", "active", default=None, help="An inactive client gets nothing, and lost its tokens.")
@changes
def edit(run: Run, client: str, set_name: str | None, set_client_id: str | None, set_client_secret: str | None,
         **options: Any) -> None:
    """Change a client (id or name). A repeatable option replaces the whole list; an empty text takes a value away."""
    declared = _declared(name=set_name, client_id=set_client_id, client_secret=set_client_secret, **options)
    run.apply(Change(declared, Mode.EDIT, client))


@oauth2.command("rotate-secret")
@click.argument("client", metavar="CLIENT")
@click.option("--overlap", metavar="DURATION", default=f"{DEFAULT_OVERLAP.days}d", show_default=True,
              help="How long the old secret goes on working: 0, 90s, 10m, 12h, 7d.")
@click.option("--client-secret", metavar="S", help="The new secret (random where it is left out).")
@publish_to_vault_option
@changes
def rotate_secret(run: Run, client: str, overlap: str, client_secret: str | None, publish_to_vault: str | None) -> None:
    """Give a client another secret, which is printed or published."""
    from authd.provisioning.references import new_client_secret

    given = client_options(client_secret=client_secret).secret
    secret = new_client_secret(_duration(overlap))
    if isinstance(given, NewSecret):
        secret = replace(given, overlap=secret.overlap)
    _apply(run, Change(Client(secret=secret), Mode.EDIT, client), publish_to_vault)


@oauth2.command()
@click.argument("client", metavar="CLIENT")
@yes_option
@changes
def remove(run: Run, client: str, yes: bool) -> None:
    """Remove a client (id or name) with its tokens and consents."""
    confirmed(run, yes, f"Remove {client} with all its tokens?", required=False)
    run.apply(Change(Client(), Mode.REMOVE, client))


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"([0-9]{1,6})([smhd]?)", text)
    if match is None:
        raise InvalidInput("overlap", "is a number with s, m, h or d")
    return timedelta(seconds=int(match[1]) * UNITS[match[2]])


if __name__ == "__main__":
    oauth2()
