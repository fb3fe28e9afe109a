"""authctl domain dns: the records it prints, and what it finds in a DNS server on loopback."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.rcode
import psycopg2
import pytest

from authd.keys.cipher import load_cipher
from authd.keys.generate import new_key
from tests.dns_server import GARBAGE, SILENT, DnsServer, running_dns
from tests.sql.authctl import Authctl

ALGORITHMS = {"r2048": "RSA-2048", "r3072": "RSA-3072", "r4096": "RSA-4096", "ed": "Ed25519"}


@pytest.fixture(scope="module")
def authctl(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Authctl:
    """example.com with a key of each kind, sealed; srs.example receives what is rewritten."""
    folder = tmp_path_factory.mktemp("dns")
    (folder / "keys").write_bytes(secrets.token_bytes(32))
    authctl = Authctl(module_database_url, folder)
    with authctl.config.open("a") as file:
        file.write(f'[secrets]\nkey_file = "{folder / "keys"}"\n')
    authctl.said("domain", "create", "srs.example")
    authctl.said("domain", "create", "example.com", "--srs-domain", "srs.example", "--create-key", "dkim",
                 "--dkim-selector", "r2048")
    cipher = load_cipher(folder / "keys")
    with psycopg2.connect(module_database_url) as connection, connection.cursor() as cursor:
        for selector, algorithm in list(ALGORITHMS.items())[1:]:
            key = new_key("dkim", algorithm, selector, cipher)
            cursor.execute(
                "INSERT INTO authd.signing_key (domain_id, purpose, algorithm, selector, private_key, cipher_key, public_key) "
                "SELECT id, 'dkim', %s, %s, %s, %s, %s FROM authd.domain WHERE name = 'example.com'",
                (algorithm, selector, key.private_key, key.cipher_key, key.public_key))
    connection.close()
    return authctl


@pytest.fixture
def server(authctl: Authctl) -> Iterator[DnsServer]:
    """DNS as it should be."""
    wanted = authctl.json("domain", "dns", "example.com")
    with running_dns(DnsServer({item["name"]: [item["value"]] for item in wanted})) as server:
        yield server


def checked(authctl: Authctl, server: DnsServer, *more: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and the findings by name."""
    result = authctl.run("domain", "dns", "example.com", "--check", "--resolver", server.address, "--json", *more)
    return result.exit_code, {item["name"]: item for item in json.loads(result.stdout)}


def test_the_records(authctl: Authctl) -> None:
    records = authctl.json("domain", "dns", "example.com", "--spf-ip", "192.0.2.1", "--no-spf-mx", "--spf-all", "-all",
                           "--dmarc-policy", "quarantine", "--dmarc-rua", "dmarc@example.com")
    assert [(item["name"], item["subject"]) for item in records] == [
        *((f"{selector}._domainkey.example.com", "dkim") for selector in ALGORITHMS), ("example.com", "spf"),
        ("srs.example", "spf"), ("_dmarc.example.com", "dmarc")]
    assert {item["type"] for item in records} == {"TXT"}
    assert [item["value"] for item in records[-3:]] == [
        "v=spf1 ip4:192.0.2.1 -all", "v=spf1 ip4:192.0.2.1 -all", "v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com"]
    lines = authctl.said("domain", "dns", "example.com").splitlines()
    assert len(lines) == 7
    assert lines[-3] == 'example.com. IN TXT ( "v=spf1 mx ~all" )'
    assert lines[2].count('" "') == 2
    assert authctl.code("domain", "dns", "example.com", "--spf-ip", "nonsense") == 2
    assert authctl.code("domain", "dns", "example.com", "--resolver", "127.0.0.1") == 2
    assert authctl.code("domain", "dns", "example.com", "--check", "--resolver", "a:b:c:1]") == 2
    assert authctl.code("domain", "dns", "none.example") == 1


def test_everything_as_it_should_be(authctl: Authctl, server: DnsServer) -> None:
    code, found = checked(authctl, server)
    assert code == 0
    assert {item["verdict"] for item in found.values()} == {"found"}
    for selector in ALGORITHMS:
        assert found[f"{selector}._domainkey.example.com"]["text"].endswith("dkimpy verifies a signature by it")
    assert ("r4096._domainkey.example.com", "tcp") in server.asked
    result = authctl.run("domain", "dns", "example.com", "--check", "--resolver", server.address)
    assert "found       example.com: it is the record above\n" in result.stdout


def test_an_alias_and_records_in_many_strings(authctl: Authctl, server: DnsServer) -> None:
    name = "r2048._domainkey.example.com"
    whole = str(server.txt.pop(name)[0]).encode()
    server.txt["keys.provider.example"] = [[whole[:7], b"", whole[7:20], whole[20:200], whole[200:]]]
    server.cname[name] = "keys.provider.example"
    assert checked(authctl, server)[0] == 0


@pytest.mark.parametrize(("name", "published", "verdict"), [
    ("r2048._domainkey.example.com", None, "missing"),
    ("r2048._domainkey.example.com", [], "missing"),
    ("ed._domainkey.example.com", ["v=DKIM1; p="], "different"),
    ("ed._domainkey.example.com", [b"\xff\x00 garbage \x80"], "different"),
    ("ed._domainkey.example.com", ["v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="], "different"),
    ("ed._domainkey.example.com", ["a", "b"], "several"),
    ("example.com", ["v=spf1 -all", "v=spf1 mx ~all"], "several"),
    ("srs.example", None, "missing"),
    ("_dmarc.example.com", None, "missing"),
])
def test_something_is_to_be_done(
        authctl: Authctl, server: DnsServer, name: str, published: list[str | bytes] | None, verdict: str) -> None:
    server.txt.pop(name)
    if published is not None:
        server.txt[name] = published
    code, found = checked(authctl, server)
    assert code == 5
    assert {key: item["verdict"] for key, item in found.items() if item["verdict"] != "found"} == {name: verdict}


def test_what_is_only_remarked_on(authctl: Authctl, server: DnsServer) -> None:
    name = "ed._domainkey.example.com"
    server.txt[name] = [f"{server.txt[name][0]!s}; t=y"]
    server.txt["example.com"] = ["v=spf1 include:relay.example -all"]
    server.txt["_dmarc.example.com"] = ["v=DMARC1; p=reject"]
    code, found = checked(authctl, server)
    assert code == 0
    assert {key for key, item in found.items() if item["verdict"] == "noted"} == {name, "example.com", "_dmarc.example.com"}
    assert checked(authctl, server, "--dmarc-policy", "reject")[0] == 0
    server.txt["_dmarc.example.com"] = ["v=DMARC1; p=none"]
    assert checked(authctl, server, "--dmarc-policy", "reject")[0] == 5


def test_a_policy_at_the_parent_counts(authctl: Authctl, server: DnsServer) -> None:
    authctl.said("domain", "create", "mail.example.com")
    server.txt["mail.example.com"] = ["v=spf1 mx ~all"]
    words = ("domain", "dns", "mail.example.com", "--check", "--resolver", server.address)
    found = authctl.json(*words)
    assert [(item["name"], item["verdict"]) for item in found] == [("mail.example.com", "found"),
                                                                   ("_dmarc.mail.example.com", "noted")]
    server.fault["_dmarc.example.com"] = dns.rcode.SERVFAIL
    assert authctl.code(*words) == 4


@pytest.mark.parametrize("fault", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, SILENT, GARBAGE])
def test_dns_does_not_answer(authctl: Authctl, server: DnsServer, fault: bytes | dns.rcode.Rcode) -> None:
    server.fault["example.com"] = fault
    server.txt.pop("srs.example")
    code, found = checked(authctl, server, "--timeout", "1")
    assert code == 4
    assert found["example.com"]["verdict"] == "unanswered" and found["example.com"]["text"].startswith("no ")
    assert found["srs.example"]["verdict"] == "missing"


def test_a_private_key_that_cannot_be_opened_is_an_error(authctl: Authctl, server: DnsServer, tmp_path: Path) -> None:
    config = authctl.config.read_text()
    (tmp_path / "keys").write_bytes(secrets.token_bytes(32))
    lacking = Authctl("", tmp_path)
    lacking.config.write_text(config.replace(config.partition('key_file = "')[2].partition('"')[0], str(tmp_path / "keys")))
    result = lacking.run("domain", "dns", "example.com", "--check", "--resolver", server.address)
    assert result.exit_code == 4
    assert "is not in secrets.key_file" in result.stderr
