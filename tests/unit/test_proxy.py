"""Who asks, seen through proxies: a header counts only where a trusted proxy set it."""

from ipaddress import ip_network

import pytest

from authd.handlers.proxy import Client, client, parse_address, public_names, split_host

TRUSTED = (ip_network("127.0.0.0/8"), ip_network("::1"), ip_network("10.1.0.0/16"), ip_network("fd00::/8"))


def seen(peer: str, **headers: str) -> Client:
    return client(peer, "http", "id.example.com", {name.replace("_", "-"): value for name, value in headers.items()}, TRUSTED)


def test_a_stranger_cannot_say_who_he_is() -> None:
    asked = seen("203.0.113.9", X_Forwarded_For="198.51.100.1", X_Forwarded_Proto="https", X_Forwarded_Host="other.example")
    assert asked == Client("203.0.113.9", False, "id.example.com", through_proxy=False)


def test_a_trusted_proxy_says_who_asks_how_and_where() -> None:
    asked = seen("127.0.0.1", X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https", X_Forwarded_Host="login.example.com")
    assert asked == Client("203.0.113.9", True, "login.example.com", through_proxy=True)


def test_without_headers_the_proxy_itself_asks() -> None:
    assert seen("127.0.0.1") == Client("127.0.0.1", False, "id.example.com", through_proxy=True)


@pytest.mark.parametrize(("forwarded", "address"), [
    ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
    ("198.51.100.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
    ("10.1.9.9, 10.1.2.3", "10.1.9.9"),
    ("198.51.100.1, nonsense, 10.1.2.3", "10.1.2.3"),
    ("198.51.100.1, ", "198.51.100.1"),
    ("2001:db8::7", "2001:db8::7"),
    ("[2001:DB8::7]:443", "2001:db8::7"),
    ("203.0.113.9:5123", "203.0.113.9"),
    ("::ffff:203.0.113.9", "203.0.113.9"),
    ("unknown", "127.0.0.1"),
])
def test_the_rightmost_hop_that_is_no_proxy_of_ours_asks(forwarded: str, address: str) -> None:
    assert seen("127.0.0.1", X_Forwarded_For=forwarded).address == address


def test_a_mapped_address_is_the_proxy_it_maps_to() -> None:
    assert seen("::ffff:127.0.0.1", X_Forwarded_For="203.0.113.9").address == "203.0.113.9"
    assert seen("::ffff:203.0.113.9").address == "203.0.113.9"


def test_tls_of_our_own_is_https_with_and_without_a_proxy() -> None:
    assert client("203.0.113.9", "https", "h", {}, TRUSTED).is_https
    assert client("127.0.0.1", "https", "h", {}, TRUSTED).is_https


def test_the_nearest_proxy_has_the_last_word() -> None:
    asked = seen("127.0.0.1", X_Forwarded_Proto="http, https", X_Forwarded_Host="evil.example, id.example.com")
    assert (asked.is_https, asked.host) == (True, "id.example.com")


def test_a_unix_socket_is_nobody() -> None:
    assert seen("", X_Forwarded_For="203.0.113.9").address == ""


@pytest.mark.parametrize(("host", "parts"), [
    ("id.example.com", ("id.example.com", "")),
    ("ID.Example.COM.:8443", ("id.example.com", "8443")),
    ("id.example.com.", ("id.example.com", "")),
    ("[::1]:8080", ("::1", "8080")),
    ("[2001:DB8::1]", ("2001:db8::1", "")),
    ("", ("", "")),
])
def test_hosts_lose_port_case_and_final_dot(host: str, parts: tuple[str, str]) -> None:
    assert split_host(host) == parts


def test_a_loopback_host_has_all_loopback_names_and_no_other() -> None:
    assert set(public_names("localhost")) == {"localhost", "127.0.0.1", "::1"}
    assert set(public_names("id.example.com")) == {"id.example.com"}


@pytest.mark.parametrize("nonsense", ["", "  ", "example.com", "1.2.3", "[", "1.2.3.4, 5.6.7.8", "::1::"])
def test_nonsense_is_no_address(nonsense: str) -> None:
    assert parse_address(nonsense) is None
