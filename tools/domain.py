#!/usr/bin/env python3
"""authctl domain: domains and the keys they sign with."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from authd.commandline import DATABASE, DIFFERENT, Run, changes, confirmed, noun, now, shows, yes_option
from authd.errors import InvalidInput, NotFound
from authd.identity.addresses import parse_domain
from authd.keys.facts import DKIM_ALGORITHMS, JWT_ALGORITHMS, Purpose
from authd.mail_dns.records import (
    DMARC_POLICIES,
    SPF_ALL,
    DmarcPolicy,
    DmarcWish,
    Record,
    SpfPolicy,
    State,
    dkim_records,
    dmarc_record,
    in_words,
    parse_networks,
    spf_records,
    zone_line,
)
from authd.mail_dns.verdicts import Finding, Verdict
from authd.provisioning.domains import PURPOSES, Domain, Key, domain_options
from authd.provisioning.plan import Change, Mode, Outcome

COLUMNS = ("name", "redirect_to", "redirect_mode", "jwt_subdomains", "keys")


@noun(search="list")
def domain() -> None:
    """Domains: create, list (search), show, edit, remove, pubkey, dns, rotate-key."""


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What create and edit have in common."""
    for option in reversed((
        click.option("--create-key", multiple=True, type=click.Choice(PURPOSES), help="Make a key; repeatable."),
        click.option("--dkim-selector", metavar="S", help="Of the new DKIM key (default: default)."),
        click.option("--jwt-algorithm", type=click.Choice(JWT_ALGORITHMS), help="Of the new JWT key (default: RSA-2048)."),
        click.option("--dkim-algorithm", type=click.Choice(DKIM_ALGORITHMS), help="Of the new DKIM key (default: RSA-2048)."),
        click.option("--jwt-allow-subdomain-signing/--no-jwt-allow-subdomain-signing", default=None,
                     help="Whether the JWT key may sign for sub-domains."),
        click.option("--dkim-allow-subdomain-signing/--no-dkim-allow-subdomain-signing", default=None,
                     help="Whether the DKIM keys may sign for sub-domains."),
        click.option("--redirect-all-email-to", metavar="TARGET", help="Domain or address that all mail goes to."),
        click.option("--catch-all", metavar="TARGET", help="Domain or address for mail that no alias takes."),
        click.option("--transactional-email/--no-transactional-email", default=None,
                     help="Whether it may be used for transactional mail."),
        click.option("--srs-domain", metavar="DOMAIN", help="Domain that forwarded mail is sent from."),
    )):
        function = option(function)
    return function


@domain.command()
@click.argument("name", metavar="DOMAIN")
@_options
@changes
def create(run: Run, **options: Any) -> None:
    """Make a domain."""
    run.apply(Change(domain_options(**options), Mode.CREATE))


@domain.command()
@click.argument("name", metavar="DOMAIN")
@_options
@click.option("--remove-key", multiple=True, type=click.Choice(PURPOSES), help="Delete the keys; repeatable.")
@click.option("--overwrite", is_flag=True, help="Make the new key also where there is one, which retires.")
@click.option("--no-redirect", is_flag=True, help="Mail goes to the aliases again.")
@yes_option
@changes
def edit(run: Run, no_redirect: bool, yes: bool, **options: Any) -> None:
    """Change a domain."""
    if no_redirect:
        if options["redirect_all_email_to"] or options["catch_all"]:
            raise InvalidInput("no_redirect", "contradicts the other options")
        options["redirect_all_email_to"] = ""
    run.apply(Change(domain_options(**options), Mode.EDIT))


@domain.command("list")
@click.argument("text", required=False, default="")
@click.option("--include-parent-domain", is_flag=True, help="Also those that TEXT is below.")
@click.option("--require-subdomain-signing", is_flag=True, help="Only TEXT itself, and those that sign for sub-domains.")
@shows
def list_(run: Run, text: str, include_parent_domain: bool, require_subdomain_signing: bool) -> None:
    """List the domains, or those that have TEXT in their name."""
    from authd.sql import provisioning as sql

    text = text if text.isascii() else parse_domain(text)
    text = text.lower()
    found = [item for item in run.query(lambda db: sql.domains(db, now()))
             if text in item.name or (include_parent_domain and text.endswith(f".{item.name}"))]
    if require_subdomain_signing:
        found = [item for item in found if item.jwt_subdomains or item.name == text]
    run.print_list([item.as_json() for item in found], COLUMNS)


@domain.command()
@click.argument("name", metavar="DOMAIN")
@shows
def show(run: Run, name: str) -> None:
    """Tell everything about a domain."""
    from authd.provisioning.lookup import get

    run.print_object(run.query(lambda db: get(db, Domain, name, now())).as_json())


@domain.command()
@click.argument("name", metavar="DOMAIN")
@click.option("--remove-multiple", is_flag=True, help="Remove every domain that has DOMAIN in its name.")
@yes_option
@changes
def remove(run: Run, name: str, remove_multiple: bool, yes: bool) -> None:
    """Remove a domain that no alias ends in, and its keys."""
    from authd.sql import provisioning as sql

    names = [name]
    if remove_multiple:
        names = [item.name for item in run.query(lambda db: sql.domains(db, now())) if name.lower() in item.name]
    confirmed(run, yes, f"Remove {', '.join(names)} and every key?", required=True)
    run.apply(*(Change(Domain(), Mode.REMOVE, found) for found in names), several=remove_multiple)


@domain.command()
@click.argument("name", metavar="DOMAIN")
@click.option("--key", "purpose", type=click.Choice(PURPOSES), help="Default: jwt, with dkimdns dkim.")
@click.option("--format", "form_of_key", type=click.Choice(["pem", "dkimdns"]), default="pem", show_default=True)
@click.option("--create-key", is_flag=True, help="Make the key where there is none.")
@click.option("-o", "output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it to a file.")
@changes
def pubkey(run: Run, name: str, purpose: str | None, form_of_key: str, create_key: bool, output: Path | None) -> None:
    """Print the public key of a domain, or the DNS record that publishes it."""
    purpose = purpose or ("dkim" if form_of_key == "dkimdns" else "jwt")
    if form_of_key == "dkimdns" and purpose != "dkim":
        raise InvalidInput("format", "dkimdns is for dkim keys")
    if create_key:
        wanted = Change(domain_options(name=name, create_key=[purpose]), Mode.EDIT)
        if run.dry_run:
            run.apply(wanted)
            return
        run.changed([wanted])
    found = [_described(parse_domain(name), key, der) for key, der in _keys(run, name) if key.purpose == purpose]
    if not found:
        raise NotFound(f"{name} has no {purpose} key")
    if run.form == "json":
        text = run.json_text(found[0])
    else:
        text = found[0]["pem"] if form_of_key == "pem" else "\n".join(item["zone_line"] for item in found)
    if output is None:
        click.echo(text.rstrip("\n"))
    else:
        output.write_text(text.rstrip("\n") + "\n", encoding="ascii")


@domain.command()
@click.argument("name", metavar="DOMAIN")
@click.option("--spf-mx/--no-spf-mx", default=True, show_default=True, help="Whether the hosts in its MX records send for it.")
@click.option("--spf-ip", multiple=True, metavar="NET", help="Address or network that sends for it; repeatable.")
@click.option("--spf-include", multiple=True, metavar="DOMAIN", help="Whose SPF record counts too, a relay's; repeatable.")
@click.option("--spf-all", type=click.Choice(SPF_ALL), default="~all", show_default=True, help="What of everybody else.")
@click.option("--dmarc-policy", type=click.Choice(DMARC_POLICIES), default="none", show_default=True,
              help="What receivers shall do with mail that fails; --check takes a stricter one too.")
@click.option("--dmarc-rua", multiple=True, metavar="ADDRESS", help="Who gets the receivers' reports; repeatable.")
@click.option("--check", "compares", is_flag=True,
              help="Compare with DNS: exit 0 where all is well, 5 where something is to be done, 4 where DNS does not answer.")
@click.option("--resolver", "servers", multiple=True, metavar="HOST[:PORT]",
              help="DNS server to ask; repeatable (default: the system's).")
@click.option("--timeout", type=click.FloatRange(0.05, 60), default=5.0, show_default=True,
              help="Seconds that a name may take.")
@shows
def dns(run: Run, name: str, compares: bool, servers: tuple[str, ...], timeout: float, dmarc_policy: DmarcPolicy,
        dmarc_rua: tuple[str, ...], **spf: Any) -> None:
    """Print the DKIM, SPF and DMARC records that a domain needs in DNS, or compare them with what stands there."""
    policy = SpfPolicy(spf["spf_mx"], parse_networks(spf["spf_ip"]), spf["spf_include"], spf["spf_all"])
    wanted = _records(run, parse_domain(name), policy, DmarcWish(dmarc_policy, dmarc_rua))
    if not compares:
        if servers:
            raise InvalidInput("resolver", "belongs to --check")
        _print_records(run, wanted)
        return
    findings = _compared(run, wanted, servers, timeout)
    if run.form == "json":
        run.print_json([finding.as_json() for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{finding.verdict.value:10}  {finding.record.name}: {finding.text}")
    if any(finding.verdict is Verdict.UNANSWERED for finding in findings):
        raise click.exceptions.Exit(DATABASE)
    if not all(finding.verdict.is_fine for finding in findings):
        raise click.exceptions.Exit(DIFFERENT)


def _records(run: Run, name: str, policy: SpfPolicy, wish: DmarcWish) -> list[Record]:
    """What the domain has to publish: DKIM, SPF (also of the domain that its forwarded mail is sent from), DMARC."""
    from authd.keys.rules import names_of_interest
    from authd.provisioning.lookup import get
    from authd.sql import keys as sql

    async def read(db: Any) -> tuple[Domain, Any]:
        found = await get(db, Domain, name, now())
        return found, await sql.domains_with_keys(db, names_of_interest(name), "dkim")

    found, rows = run.query(read)
    senders = [name] if found.srs_domain is None else [name, found.srs_domain]
    return [*dkim_records(name, rows, now()), *spf_records(senders, policy), dmarc_record(name, wish)]


def _print_records(run: Run, wanted: list[Record]) -> None:
    if run.form == "json":
        run.print_json([record.as_json() for record in wanted])
        return
    for record in wanted:
        line = zone_line(record.name, record.value)
        if record.state is State.NEXT:
            click.echo(f"; the next key: publish it before it signs, from {in_words(record.since)} on")
        elif record.state is State.RETIRED:
            click.echo(f"; a retired key: keep it until {in_words(record.until)}")
        elif record.state is State.WITHDRAWN:
            click.echo("; a retired key that nothing needs any more: withdraw its record")
        click.echo(f"; {line}" if record.state is State.WITHDRAWN else line)


def _compared(run: Run, wanted: list[Record], servers: tuple[str, ...], timeout: float) -> list[Finding]:
    from authd.keys.cipher import load_cipher
    from authd.mail_dns.check import check
    from authd.mail_dns.resolver import DnsResolver, parse_server

    resolver = DnsResolver([parse_server(server) for server in servers], timeout)
    return asyncio.run(check(wanted, resolver, load_cipher(run.settings().secrets.key_file), now()))


@domain.command("rotate-key")
@click.argument("name", metavar="DOMAIN")
@click.option("--key", "purpose", type=click.Choice(PURPOSES), default="dkim", show_default=True, help="What the key is for.")
@click.option("--algorithm", type=click.Choice(list(dict.fromkeys(DKIM_ALGORITHMS + JWT_ALGORITHMS))),
              help="Of the next key (default: of the one that signs).")
@click.option("--selector", metavar="S", help="Of the next DKIM key (default: made of the date).")
@click.option("--active-from", metavar="WHEN", help="When it begins to sign and the others of its kind cease: 36h, 2d, "
              "2026-12-01T04:00 (default: in 2 days, with --key jwt in 1). Moves a key that waits.")
@click.option("--activate", is_flag=True, help="The next key that waits signs from now on.")
@changes
def rotate_key(run: Run, name: str, purpose: Purpose, **options: Any) -> None:
    """Make the next key of a domain, to be published at once, which signs later; the key that it replaces then retires."""
    from authd.provisioning.key_rotation import rotation
    from authd.provisioning.lookup import get
    from authd.sql import keys as sql

    async def selectors(db: Any) -> set[str]:
        found = await get(db, Domain, name, now())
        rows = await sql.domains_with_keys(db, [found.name], "dkim")
        return {key.selector for key in rows[found.name].keys if key.selector is not None}

    declared = rotation(parse_domain(name), purpose, now(), taken=run.query(selectors), **options)
    [result] = run.apply(Change(declared, Mode.EDIT))
    if run.form != "json" and purpose == "dkim" and result.plan.outcome is Outcome.CHANGED and not options["activate"]:
        click.echo(f"publish the record of the next key before it signs: authctl domain dns {result.name}")


def _keys(run: Run, name: str) -> list[tuple[Key, bytes]]:
    """The keys that sign now, RSA first, each with its public half."""
    from authd.provisioning.lookup import get
    from authd.sql import provisioning as sql

    async def read(db: Any) -> list[tuple[Key, bytes]]:
        found = await get(db, Domain, name, now())
        return await sql.public_keys(db, found.name, now())

    return sorted(run.query(read), key=lambda pair: not pair[0].algorithm.startswith("RSA"))


def _described(name: str, key: Key, public_der: bytes) -> dict[str, Any]:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

    from authd.keys import dkim_record
    from authd.keys.facts import PublicKey

    public_key = load_der_public_key(public_der)
    assert isinstance(public_key, PublicKey)
    described: dict[str, Any] = {
        "domain": name, "key": key.purpose, "algorithm": key.algorithm,
        "pem": public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")}
    if key.purpose == "dkim":
        assert key.selector is not None and not isinstance(public_key, EllipticCurvePublicKey)
        record_name, record = dkim_record.record_name(key.selector, name), dkim_record.record(public_key)
        described |= {"selector": key.selector, "record_name": record_name, "record": record,
                      "zone_line": zone_line(record_name, record)}
    return described


if __name__ == "__main__":
    domain()
