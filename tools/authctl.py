#!/usr/bin/env python3
"""authctl: joins the files of this folder, one noun each. A noun is imported when it is used."""

from importlib import import_module
from types import MappingProxyType

import click

from authd import __version__
from authd.commandline import CONTEXT, config_option

NOUNS = MappingProxyType({
    "apply": "bring everything to a declared state", "domain": "domains and their keys", "user": "accounts",
    "alias": "addresses of accounts and mailing lists", "mailinglist": "lists of addresses",
    "serviceuser": "passwords for software without OAuth2", "group": "groups of accounts",
    "permissions": "who holds and who requires what", "oauth2": "OAuth2 clients and CAS services",
    "dockerauth": "Docker registries and who may use them", "key": "signing keys",
    "spapi": "the functions that mail servers read accounts through", "srs": "senders that the forwarder rewrites",
    "session": "where accounts are signed in", "hygiene": "remove what has expired"})
SYNONYMS = MappingProxyType({"emailalias": "alias", "permission": "permissions"})


class Authctl(click.Group):
    """The nouns, each in a module of its own."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(NOUNS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        name = SYNONYMS.get(name, name)
        if name not in NOUNS:
            return None
        command: click.Command = getattr(import_module(f"authd_tools.{name}"), name)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Nouns"):
            formatter.write_dl(list(NOUNS.items()))


@click.group(cls=Authctl, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="authctl")
@config_option
def main() -> None:
    """Provision authd: authctl NOUN VERB …

    Every verb may be repeated: what is there already is "unchanged". Exit codes: 0 done, 1 not found, 2 usage,
    3 conflict with what exists, 4 no database (or no DNS); `apply --check` and `domain dns --check` 5 different.
    """


if __name__ == "__main__":
    main()
