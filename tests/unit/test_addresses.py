"""One form for every spelling of an address, a domain, a login name and a client."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.config.values import networks
from authd.errors import InvalidInput
from authd.identity.addresses import (
    client_address,
    is_within,
    network_of,
    parse_address,
    parse_domain,
    parse_login_name,
)
from authd.identity.facts import LoginName


@pytest.mark.parametrize(("text", "stored"), [
    ("example.com", "example.com"),
    ("Example.COM.", "example.com"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("BÜCHER.example", "xn--bcher-kva.example"),
    ("straße.example", "xn--strae-oqa.example"),
    ("_dmarc.example.com", "_dmarc.example.com"),
    ("localhost", "localhost"),
])
def test_domains_have_one_form(text: str, stored: str) -> None:
    assert parse_domain(text) == stored


@pytest.mark.parametrize("text", [
    "", ".", "a..b", ".a", "-a.example", "a-.example", "a b.example", "a\n.example", "a" * 64 + ".example",
    "x." * 127 + "example", "ü" * 300, "a.example..", "\udc80.example", "a\x00.example", "[192.0.2.1]",
])
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_domain(text)
    assert caught.value.field == "domain"


def test_an_address_keeps_the_case_of_its_local_part() -> None:
    assert str(parse_address("John.Doe+x@Example.COM")) == "John.Doe+x@example.com"


@pytest.mark.parametrize("text", [
    "", "@", "a@", "@b.example", "a@b@c.example", "a b@c.example", "ä@c.example", "a" * 65 + "@c.example", "a@c.example\n",
    "a\n@c.example", "a@" + "b" * 400, "nobody",
])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_address(text)
    assert caught.value.field == "address"


@pytest.mark.parametrize(("text", "name"), [
    ("A@X.example", LoginName("a", "x.example")),
    ("user@BÜCHER.example", LoginName("user", "xn--bcher-kva.example")),
    ("Admin", LoginName("admin", None)),
    ("two words", LoginName("two words", None)),
])
def test_login_names_are_looked_up_in_one_form(text: str, name: LoginName) -> None:
    assert parse_login_name(text) == name


@pytest.mark.parametrize("text", [
    "", "a@b@c.example", "a@", "@b", "a\x00", "a\nb", "\udc80", "a" * 321, "\x7f", "a@exa mple.com",
])
def test_what_can_be_nobodys_name_is_none(text: str) -> None:
    assert parse_login_name(text) is None


def test_canonical_names_do_not_mix_addresses_with_names() -> None:
    address, name = parse_login_name("A@x.example"), parse_login_name("A")
    assert address is not None and address.canonical == "a@x.example"
    assert name is not None and name.canonical == "a"


@pytest.mark.parametrize(("text", "network"), [
    ("203.0.113.5", "203.0.113.5/32"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("2001:0db8:0001:0002::1", "2001:db8:1:2::/64"),
    ("::ffff:203.0.113.5", "203.0.113.5/32"),
    ("fe80::1%eth0", "fe80::/64"),
])
def test_a_client_is_its_network(text: str, network: str) -> None:
    assert str(network_of(text)) == network


@pytest.mark.parametrize("text", ["", "unix:", "203.0.113.5:80", "host.example", None])
def test_what_is_no_client_address_is_none(text: str | None) -> None:
    assert network_of(text) is None
    assert client_address(text) is None


def test_a_mapped_address_is_within_the_ipv4_network() -> None:
    trusted = networks(["10.0.0.0/8", "2001:db8::/32"])
    assert is_within("::ffff:10.1.2.3", trusted)
    assert is_within("2001:db8::1", trusted)
    assert not is_within("11.1.2.3", trusted)
    assert not is_within("nonsense", trusted)
    assert not is_within(None, trusted)


@given(st.text())
def test_no_text_upsets_a_parser(text: str) -> None:
    parse_login_name(text)
    client_address(text)
    for parser in (parse_domain, parse_address):
        try:
            parser(text)
        except InvalidInput:
            continue


@given(st.from_regex(r"[a-z0-9]{1,10}(\.[a-z0-9]{1,10}){0,3}", fullmatch=True))
def test_the_stored_form_of_a_domain_is_stable(name: str) -> None:
    assert parse_domain(name.upper()) == parse_domain(parse_domain(name)) == name
