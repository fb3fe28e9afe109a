"""Asking a DNS server on loopback, also one that misbehaves."""

import asyncio

import dns.rcode
import pytest

from authd.errors import InvalidInput
from authd.mail_dns.resolver import DnsResolver, Server, Unanswered, look_up, parse_server
from tests.dns_server import GARBAGE, SILENT, DnsServer, running_dns


def resolver(server: DnsServer, timeout: float = 10) -> DnsResolver:
    return DnsResolver([Server("127.0.0.1", server.port)], timeout)


async def test_strings_are_joined_and_records_kept_apart() -> None:
    with running_dns(DnsServer({"a.example": [[b"v=DKIM1; ", b"p=", b"abc"], "other"], "empty.example": []})) as server:
        assert sorted(await resolver(server).txt("A.example")) == [b"other", b"v=DKIM1; p=abc"]
        assert list(await resolver(server).txt("empty.example")) == []
        assert list(await resolver(server).txt("none.example")) == []


async def test_what_does_not_fit_is_asked_for_by_tcp() -> None:
    with running_dns(DnsServer({"a.example": ["x" * 3000]})) as server:
        assert list(await resolver(server).txt("a.example")) == [b"x" * 3000]
        assert server.asked == [("a.example", "udp"), ("a.example", "tcp")]


@pytest.mark.parametrize("follows", [True, False])
async def test_aliases_are_followed(follows: bool) -> None:
    names = {"s1._domainkey.a.example": "b.example", "b.example": "c.example", "gone.example": "nowhere.example"}
    with running_dns(DnsServer({"c.example": ["here"]}, names, follows=follows)) as server:
        assert list(await resolver(server).txt("s1._domainkey.a.example")) == [b"here"]
        assert list(await resolver(server).txt("gone.example")) == []


async def test_aliases_without_end_are_given_up() -> None:
    names = {f"a{i}.example": f"a{(i + 1) % 12}.example" for i in range(12)}
    with running_dns(DnsServer({}, names, follows=False)) as server, pytest.raises(Unanswered, match="aliases"):
        await resolver(server).txt("a0.example")


async def test_the_time_is_for_all_that_a_name_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*arguments: object, **options: object) -> None:
        await asyncio.Event().wait()

    asked = DnsResolver([Server("127.0.0.1")], 0.05)
    monkeypatch.setattr(asked._resolver, "resolve", never)
    with pytest.raises(Unanswered, match="no answer in time"):
        await asked.txt("a.example")


@pytest.mark.parametrize("fault", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, SILENT, GARBAGE])
async def test_no_answer_is_no_missing_record(fault: bytes | dns.rcode.Rcode) -> None:
    with running_dns(DnsServer({"a.example": ["x"]}, fault={"b.example": fault})) as server:
        found = await look_up(resolver(server, 1), ["a.example", "b.example"])
        assert found["a.example"] == [b"x"]
        assert isinstance(found["b.example"], Unanswered)
        assert str(found["b.example"]).startswith("no ")


async def test_a_second_server_answers_for_one_that_is_gone() -> None:
    with running_dns(DnsServer()) as server:
        gone = server.port
    with pytest.raises(Unanswered):
        await DnsResolver([Server("127.0.0.1", gone)], 1).txt("a.example")
    with running_dns(DnsServer({"a.example": ["x"]})) as server:
        both = [Server("127.0.0.1", gone), Server("127.0.0.1", server.port)]
        assert list(await DnsResolver(both, 10).txt("a.example")) == [b"x"]


def test_servers() -> None:
    assert [parse_server(text) for text in ("192.0.2.1", "ns.example:5353", "2001:db8::1", "[2001:db8::1]:5353", "[::1]")] == [
        Server("192.0.2.1"), Server("ns.example", 5353), Server("2001:db8::1"), Server("2001:db8::1", 5353), Server("::1")]
    for broken in ("", ":53", "a:b", "a:0", "a:65536", "[::1", "[::1]53", "x:y:z"):
        with pytest.raises(InvalidInput, match="resolver"):
            parse_server(broken)
    with pytest.raises(Unanswered, match="no address"):
        DnsResolver([Server("no.such.name.invalid")])
