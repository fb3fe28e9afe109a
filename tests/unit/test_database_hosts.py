"""Which single attempts a URL with several hosts comes to."""

from typing import Any

import pytest

from authd.sql.hosts import candidates


async def attempts(**parameters: Any) -> list[tuple[Any, ...]]:
    """Each attempt as (host, hostaddr, port, sslmode, target_session_attrs), those for one address in one tuple."""
    found = []
    async for candidate in candidates(parameters):
        assert not isinstance(candidate, OSError)
        found.append(tuple(tuple(one.get(name) for name in ("host", "hostaddr", "port", "sslmode", "target_session_attrs"))
                           for one in candidate))
    return found


async def test_a_socket_is_tried_once_as_it_is() -> None:
    assert await attempts(host="/run/postgresql") == [(("/run/postgresql", None, None, None, None),)]
    assert await attempts(dbname="x") == [((None, None, None, None, None),)]


async def test_each_way_of_encryption_is_an_attempt() -> None:
    for mode, tried in (
        ("prefer", ["require", "disable"]), ("allow", ["disable", "require"]), ("verify-full", ["verify-full"]),
    ):
        assert await attempts(host="127.0.0.1", sslmode=mode) == [
            tuple(("127.0.0.1", None, None, one, None) for one in tried)]


async def test_hosts_have_ports_of_their_own_or_share_one() -> None:
    for port, ports in (("1,2", ["1", "2"]), ("1", ["1", "1"])):
        assert await attempts(host="127.0.0.1,::1", port=port, sslmode="require") == [
            (("127.0.0.1", None, ports[0], "require", None),), (("::1", None, ports[1], "require", None),)]
    with pytest.raises(OSError, match="2 hosts, but 3 values of port"):
        await attempts(host="a,b", port="1,2,3")


async def test_a_preference_for_standbys_means_two_rounds() -> None:
    rounds = await attempts(host="127.0.0.1,::1", sslmode="require", target_session_attrs="prefer-standby")
    assert [(one[0][0], one[0][4]) for one in rounds] == [
        ("127.0.0.1", "standby"), ("::1", "standby"), ("127.0.0.1", "any"), ("::1", "any")]


async def test_a_name_is_resolved_and_kept_for_the_certificate() -> None:
    assert ("localhost", "127.0.0.1", "5433", "verify-full", None) in [
        one[0] for one in await attempts(host="localhost", port="5433", sslmode="verify-full")]


async def test_a_name_that_does_not_resolve_is_told_and_passed_over() -> None:
    found = [candidate async for candidate in candidates({"host": "nowhere.invalid,127.0.0.1", "sslmode": "require"})]
    assert isinstance(found[0], OSError)
    assert "nowhere.invalid" in str(found[0])
    assert not isinstance(found[1], OSError)
