"""Which key signs for a name (accounts.md, smtp.md), without a database."""

from datetime import UTC, datetime, timedelta

import pytest

from authd.errors import NotFound
from authd.keys.facts import JwsAlgorithm, StoredDomain, StoredKey
from authd.keys.rules import dkim_signers, host_name, jwt_signer, names_of_interest, next_change

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def key(number: int, algorithm: str = "RSA-2048", *, start: datetime = NOW - HOUR, end: datetime | None = None) -> StoredKey:
    return StoredKey(number, "jwt", algorithm, None, f"kid{number}", b"", None, b"", None, start, end, None)


def domains(*rows: tuple[str, bool, list[StoredKey]]) -> dict[str, StoredDomain]:
    return {name: StoredDomain(name, lends, tuple(keys)) for name, lends, keys in rows}


def signer(domain: str, rows: dict[str, StoredDomain], alg: JwsAlgorithm | None = "RS256") -> tuple[str, int]:
    name, found = jwt_signer(domain, rows, alg, NOW)
    return name, found.id


def test_the_exact_domain_signs_for_itself() -> None:
    assert signer("example.com", domains(("example.com", False, [key(1)]))) == ("example.com", 1)


def test_an_ancestor_signs_where_it_lends_its_key() -> None:
    rows = domains(("example.com", True, [key(1)]))
    assert signer("a.b.example.com", rows) == ("example.com", 1)


def test_the_nearest_ancestor_that_lends_a_key_signs() -> None:
    rows = domains(("example.com", True, [key(1)]), ("b.example.com", False, [key(2)]), ("a.b.example.com", True, []))
    assert signer("a.b.example.com", rows) == ("example.com", 1)
    rows["b.example.com"] = StoredDomain("b.example.com", True, (key(2),))
    assert signer("a.b.example.com", rows) == ("b.example.com", 2)


def test_an_exact_domain_with_a_key_needs_no_ancestor() -> None:
    rows = domains(("example.com", True, [key(1)]), ("sub.example.com", False, [key(2)]))
    assert signer("sub.example.com", rows) == ("sub.example.com", 2)


@pytest.mark.parametrize("rows", [
    {}, domains(("example.com", False, [key(1)])), domains(("example.com", True, [])),
    domains(("example.com", True, [key(1, end=NOW)])), domains(("other.org", True, [key(1)]))])
def test_not_a_valid_authorization_domain(rows: dict[str, StoredDomain]) -> None:
    with pytest.raises(NotFound) as caught:
        signer("sub.example.com", rows)
    assert caught.value.code == "not_auth_domain"


@pytest.mark.parametrize("rows", [
    domains(("sub.example.com", True, [])), domains(("sub.example.com", False, []), ("example.com", False, [key(1)])),
    domains(("sub.example.com", True, [key(1, start=NOW + HOUR)])), domains(("sub.example.com", True, [key(1, "ES256")]))])
def test_domain_is_not_jwt_enabled(rows: dict[str, StoredDomain]) -> None:
    with pytest.raises(NotFound) as caught:
        signer("sub.example.com", rows)
    assert caught.value.code == "not_jwt_enabled"


def test_of_several_active_keys_the_newest_signs() -> None:
    keys = [key(1, start=NOW - 3 * HOUR), key(2, start=NOW - HOUR), key(3, start=NOW + HOUR), key(4, start=NOW - HOUR, end=NOW)]
    assert signer("example.com", domains(("example.com", False, keys))) == ("example.com", 2)


@pytest.mark.parametrize(("alg", "expected"), [("RS256", 1), ("ES256", 2), ("EdDSA", 3), (None, 3)])
def test_each_algorithm_has_its_own_key(alg: JwsAlgorithm | None, expected: int) -> None:
    rows = domains(("example.com", False, [key(1, "RSA-3072"), key(2, "ES256"), key(3, "EdDSA")]))
    assert signer("example.com", rows, alg) == ("example.com", expected)


def test_every_active_dkim_key_signs_rsa_first() -> None:
    rows = domains(("example.com", True, [key(1, "Ed25519"), key(2, "RSA-2048"), key(3, "RSA-1024"), key(4, end=NOW)]))
    found = dkim_signers("news.example.com", rows, NOW)
    assert found is not None
    assert (found[0], [k.id for k in found[1]]) == ("example.com", [2, 3, 1])


def test_no_dkim_key() -> None:
    assert dkim_signers("example.com", {}, NOW) is None
    assert dkim_signers("sub.example.com", domains(("example.com", False, [key(1)])), NOW) is None
    assert dkim_signers("example.com", domains(("example.com", False, [key(1, start=NOW + HOUR)])), NOW) is None


@pytest.mark.parametrize(("domain", "expected"), [
    ("a.b.c", ["a.b.c", "b.c", "c"]), ("localhost", ["localhost"]), ("_x.example", ["_x.example", "example"]),
    ("", []), (".example.com", []), ("a..b", []), ("example.com.", []), ("ex\0ample.com", []), ("bücher.example", []),
    ("EXAMPLE.com", []), ("a." * 127 + "com", []), ("-a.com", []), ("1.2.3.4", ["1.2.3.4", "2.3.4", "3.4", "4"])])
def test_names_of_interest(domain: str, expected: list[str]) -> None:
    assert names_of_interest(domain) == expected


@pytest.mark.parametrize(("host", "expected"), [
    ("Example.COM", "example.com"), ("example.com:8443", "example.com"), ("example.com.", "example.com"),
    ("example.com.:443", "example.com"), ("[::1]:80", "::1"), ("", ""), (":80", "")])
def test_host_name(host: str, expected: str) -> None:
    assert host_name(host) == expected


def test_next_change() -> None:
    assert next_change([], NOW) is None
    assert next_change([key(1)], NOW) is None
    assert next_change([key(1, end=NOW + 2 * HOUR), key(2, start=NOW + HOUR), key(3, end=NOW)], NOW) == NOW + HOUR
