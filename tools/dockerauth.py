#!/usr/bin/env python3
"""authctl dockerauth: Docker registries, their repositories, and who may pull, push and delete."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from authd.commandline import Noun, Run, changes, confirmed, noun, now, shows, yes_option
from authd.errors import InvalidInput, NotFound
from authd.provisioning.plan import Change, Mode
from authd.provisioning.registries import (
    Registry,
    Repository,
    allowed,
    denied,
    registry_options,
    repository_options,
    right_options,
    split_target,
)

if TYPE_CHECKING:
    from authd.config import Settings
    from authd.sql.database import Database

REGISTRY_COLUMNS = ("service", "name", "domain", "anonymous_pull", "anonymous_push")
REPOSITORY_COLUMNS = ("name", "rights")
BUNDLE = "/etc/docker/registry/authd.pem"


class RegistryVerbs(Noun):
    """The verbs of registries."""

    synonyms: Mapping[str, str] = MappingProxyType({"add": "create"})


@noun()
def dockerauth() -> None:
    """Docker registries: registry, repo, allow, deny, sign-out."""


@dockerauth.group(cls=RegistryVerbs)
def registry() -> None:
    """Registries that believe tokens of authd: create, list, show, edit, remove."""


@dockerauth.group(cls=Noun)
def repo() -> None:
    """Repositories that are registered by name: create, list, show, remove. Rights need no such entry."""


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What create and edit have in common."""
    for option in reversed((
        click.option("--domain", metavar="DOMAIN", help="The domain whose key signs the tokens."),
        click.option("--domain-exact-match", is_flag=True, hidden=True, expose_value=False),
        click.option("--token-header", metavar="H", help="x5c (default), rfc7638-kid or libtrust-kid."),
        click.option("--allow-unauthenticated-pull/--no-allow-unauthenticated-pull", default=None,
                     help="Whether anybody may pull everything."),
        click.option("--allow-unauthenticated-push/--no-allow-unauthenticated-push", default=None,
                     help="Whether anybody may push everything."),
    )):
        function = option(function)
    return function


def _selection(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which registry is meant."""
    return click.option("--client-id", metavar="SERVICE")(click.option("--name", metavar="NAME")(function))


def _selected(client_id: str | None, name: str | None) -> str:
    if client_id is not None and name is None:
        return client_id
    if name is not None and client_id is None:
        return name
    raise InvalidInput("", "say --client-id SERVICE or --name NAME")


@registry.command("create")
@click.option("--client-id", metavar="SERVICE", required=True, help="What the registry calls itself (auth.token.service).")
@click.option("--name", metavar="NAME", required=True)
@_options
@changes
def create_registry(run: Run, **options: Any) -> None:
    """Make a registry. Its configuration: authctl dockerauth registry show."""
    run.apply(Change(registry_options(**options), Mode.CREATE))


@registry.command("list")
@click.argument("text", required=False, default="")
@shows
def list_registries(run: Run, text: str) -> None:
    """List the registries."""
    from authd.sql import provisioning as sql

    found = [item for item in run.query(sql.registries) if text.lower() in f"{item.name}\n{item.service}".lower()]
    run.print_list([item.as_json() for item in found], REGISTRY_COLUMNS)


def _refuse_private_key(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        raise click.UsageError("private keys stay in authd; a registry needs the certificate, which show prints")


@registry.command("show")
@_selection
@click.option("--allow-partial", is_flag=True, help="A part of the NAME or SERVICE is enough.")
@click.option("--case-insensitive", is_flag=True, help="Take capital and small letters for the same.")
@click.option("--allow-multiple", is_flag=True, help="Show all that fit; as JSON an array.")
@click.option("--output-private-key", is_flag=True, hidden=True, expose_value=False, callback=_refuse_private_key)
@shows
def show_registry(run: Run, client_id: str | None, name: str | None, allow_partial: bool, case_insensitive: bool,
                  allow_multiple: bool) -> None:
    """Tell everything about a registry, with its configuration and the certificate for its rootcertbundle."""
    from authd.provisioning.lookup import get
    from authd.sql import provisioning as sql

    settings = run.settings()
    wanted = _selected(client_id, name)
    if not (allow_partial or case_insensitive or allow_multiple):
        _show(run, settings, run.query(lambda db: get(db, Registry, wanted, now()), settings))
        return
    fold = str.lower if case_insensitive else str
    found = [item for item in run.query(sql.registries, settings)
             if _fits(fold(wanted), fold(item.service if name is None else item.name), allow_partial)]
    if not found:
        raise NotFound(f"there is no registry {wanted}")
    if allow_multiple and run.form == "json":
        run.print_objects([_description(run, settings, item) for item in found])
        return
    if len(found) > 1 and not allow_multiple:
        raise InvalidInput("", f"{', '.join(item.service for item in found)} fit; say --allow-multiple")
    for item in found:
        _show(run, settings, item)


def _fits(wanted: str, text: str, allow_partial: bool) -> bool:
    return wanted in text if allow_partial else wanted == text


def _show(run: Run, settings: "Settings", found: Registry) -> None:
    described = _description(run, settings, found)
    if run.form == "json":
        run.print_object(described)
        return
    certificate, configuration = described.pop("certificate"), described.pop("configuration")
    run.print_object(described)
    click.echo(f"\n# For the registry's config.yml:\n{configuration}\n# {BUNDLE}:")
    click.echo(certificate if certificate is not None else
               f"# (none: {found.domain} has no key; say: authctl domain edit {found.domain} --create-key jwt)")


def _description(run: Run, settings: "Settings", found: Registry) -> dict[str, Any]:
    from authd.docker.tokens import issuer_of, realm_of

    certificate = run.query(lambda db: _certificate(db, settings, found.service), settings)
    issuer, realm = issuer_of(settings.http.public_url), realm_of(settings.http.public_url)
    configuration = (f"auth:\n  token:\n    realm: {realm}\n    service: {found.service}\n    issuer: {issuer}\n"
                     f"    rootcertbundle: {BUNDLE}\n")
    return {**found.as_json(), "issuer": issuer, "realm": realm, "configuration": configuration, "certificate": certificate}


async def _certificate(db: "Database", settings: "Settings", service: str) -> str | None:
    """As PEM; made now where it was not yet. None where the domain has no key."""
    from authd.docker.registry_keys import RegistryKeys
    from authd.keys.certificate import pem_lines
    from authd.keys.cipher import load_cipher
    from authd.keys.store import KeyStore
    from authd.sql import docker as sql

    found = await sql.registry(db, service)
    if found is None:
        raise NotFound(f"there is no registry {service}")
    keys = RegistryKeys(db, KeyStore(db, load_cipher(settings.secrets.key_file), now), now)
    try:
        signer = await keys.signer(found)
    except NotFound:
        return None
    return "\n".join(pem_lines(signer.certificate, "CERTIFICATE")) + "\n"


@registry.command("edit")
@_selection
@_options
@click.option("--set-name", metavar="NAME")
@click.option("--set-client-id", metavar="SERVICE")
@changes
def edit_registry(run: Run, client_id: str | None, name: str | None, set_name: str | None, set_client_id: str | None,
                  **options: Any) -> None:
    """Change a registry."""
    declared = registry_options(client_id=set_client_id, name=set_name, **options)
    run.apply(Change(declared, Mode.EDIT, _selected(client_id, name)))


@registry.command("remove")
@_selection
@yes_option
@changes
def remove_registry(run: Run, client_id: str | None, name: str | None, yes: bool) -> None:
    """Remove a registry with all rights on it; its images stay."""
    wanted = _selected(client_id, name)
    confirmed(run, yes, f"Remove {wanted}?", required=False)
    run.apply(Change(Registry(), Mode.REMOVE, wanted))


@repo.command("create")
@click.argument("repository", metavar="SERVICE:REPO")
@changes
def create_repository(run: Run, repository: str) -> None:
    """Register a repository, so that nobody owns it by pushing first."""
    service, name = _target(run, repository)
    run.apply(Change(repository_options(service=service, repository=name), Mode.CREATE))


@repo.command("list")
@click.argument("text", required=False, default="")
@shows
def list_repositories(run: Run, text: str) -> None:
    """List the repositories that are registered by name."""
    from authd.sql import provisioning as sql

    found = [item.as_json() for item in run.query(sql.repositories) if text in item.name]
    run.print_list(found, REPOSITORY_COLUMNS)


@repo.command("show")
@click.argument("repository", metavar="SERVICE:REPO")
@shows
def show_repository(run: Run, repository: str) -> None:
    """Tell everything about a repository."""
    from authd.provisioning.lookup import get

    run.print_object(run.query(lambda db: get(db, Repository, repository, now())).as_json())


@repo.command("remove")
@click.argument("repository", metavar="SERVICE:REPO")
@yes_option
@changes
def remove_repository(run: Run, repository: str, yes: bool) -> None:
    """Forget a repository and the rights on it alone; its images stay."""
    confirmed(run, yes, f"Remove {repository}?", required=False)
    run.apply(Change(Repository(), Mode.REMOVE, repository))


def _right_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What allow and deny have in common."""
    for option in reversed((
        click.argument("target", metavar="SERVICE[:REPO-PATTERN]"),
        click.option("--user", metavar="USER", help="An account: alias, identifier or uuid."),
        click.option("--group", metavar="GROUP"),
        click.option("--anonymous", is_flag=True, help="Anybody."),
        click.option("--pull", is_flag=True), click.option("--push", is_flag=True), click.option("--delete", is_flag=True),
    )):
        function = option(function)
    return function


@dockerauth.command()
@_right_options
@changes
def allow(run: Run, target: str, **options: Any) -> None:
    """Give rights on a registry, or on the repositories of a name or pattern (* is anything, team/* all below team/)."""
    service, pattern = _target(run, target)
    run.apply(Change(allowed(right_options(pattern=pattern, **options)), Mode.EDIT, service))


@dockerauth.command()
@_right_options
@changes
def deny(run: Run, target: str, pull: bool, push: bool, delete: bool, **options: Any) -> None:
    """Take rights away that were given with the same holder and pattern; without --pull, --push, --delete all of them."""
    service, pattern = _target(run, target)
    everything = not (pull or push or delete)
    right = right_options(
        pattern=pattern, pull=pull or everything, push=push or everything, delete=delete or everything, **options)
    run.apply(Change(denied(right), Mode.EDIT, service))


@dockerauth.command("sign-out")
@click.option("--user", metavar="USER", required=True)
@changes
def sign_out(run: Run, user: str) -> None:
    """End what `docker login` stored for an account and its service users, everywhere."""
    ended = run.with_provisioner(lambda provisioner: provisioner.sign_out_of_registries(user, dry_run=run.dry_run))
    run.print_ended(ended, {"tokens": ended})


def _target(run: Run, text: str) -> tuple[str, str | None]:
    from authd.sql import provisioning as sql

    return split_target(text, [item.service for item in run.query(sql.registries)])


if __name__ == "__main__":
    dockerauth()
