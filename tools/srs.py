#!/usr/bin/env python3
"""authctl srs: looks into senders that the forwarder rewrites."""

from typing import TYPE_CHECKING

import click

from authd.commandline import Run, noun, now, shows
from authd.errors import ConfigError, InvalidInput, NotFound

if TYPE_CHECKING:
    from authd.smtp.grammar import Path
    from authd.smtp.srs import Srs


@noun()
def srs() -> None:
    """Rewritten senders: encode, decode. Uses forwarder.srs_secrets."""


@srs.command()
@click.argument("address", metavar="ADDRESS")
@click.argument("domain", metavar="DOMAIN")
@shows
def encode(run: Run, address: str, domain: str) -> None:
    """What the sender ADDRESS becomes when DOMAIN forwards today. Nothing is stored."""
    rewritten = _rules(run).forward(_path(address), domain, now())
    run.print_object({"address": str(rewritten.sender), "token": None if rewritten.token is None else rewritten.token.token})


@srs.command()
@click.argument("address", metavar="ADDRESS")
@shows
def decode(run: Run, address: str) -> None:
    """Whom mail to a rewritten sender goes to."""
    from authd.smtp.srs import NeedsToken, SrsError
    from authd.sql import routing

    try:
        found = _rules(run).reverse(_path(address), now())
    except SrsError as error:
        raise InvalidInput("address", f"leads back to nobody: {error}") from None
    if isinstance(found, NeedsToken):
        token = found.token
        known = run.query(lambda db: routing.senders_of_tokens(db, [token]))
        if token not in known:
            raise NotFound("the sender behind this address is not remembered (any more)")
        found = known[token]
    run.print_object({"address": str(found)})


def _rules(run: Run) -> "Srs":
    from authd.smtp.srs import Srs

    settings = run.settings().forwarder
    if not settings.srs_secrets:
        raise ConfigError(["forwarder.srs_secrets is empty"])
    return Srs([secret.encode() for secret in settings.srs_secrets], settings.srs_separator)


def _path(address: str) -> "Path":
    from authd.smtp.grammar import GrammarError, parse_recipient

    try:
        return parse_recipient(f"TO:<{address}>")[0]
    except GrammarError:
        raise InvalidInput("address", "is not a mail address") from None


if __name__ == "__main__":
    srs()
