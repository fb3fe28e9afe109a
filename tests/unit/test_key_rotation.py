"""What a rotation makes of a domain's keys, without a database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from authd.errors import AuthdError, Conflict, InvalidInput, NotFound
from authd.provisioning.domains import Domain, GenerateKey, Key, ScheduleKey, UpdateDomain, domain_options
from authd.provisioning.key_rotation import GRACE, free_selector, parse_moment, rotation
from authd.provisioning.plan import Mode, Outcome, plan
from authd.provisioning.state import merged

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OLD = NOW - 100 * DAY
RSA = Key("dkim", "RSA-2048", "s1", 1, None, OLD)
ED = Key("dkim", "Ed25519", "e1", 2, None, OLD)
JWT = Key("jwt", "ES256", None, 3, "kid", OLD)
WAITING = Key("dkim", "RSA-3072", "s2", 4, None, NOW + DAY)


def holding(*keys: Key) -> Domain:
    return replace(merged(domain_options(name="d.example"), None), keys=frozenset(keys))


def effects(current: Domain, *, purpose: Any = "dkim", now: datetime = NOW, **options: Any) -> list[Any]:
    found = plan(rotation("d.example", purpose, now, **options), current, Mode.EDIT).effects
    return [effect for effect in found if not isinstance(effect, UpdateDomain)]


def test_the_next_key_waits_and_the_one_that_signs_retires_when_it_begins() -> None:
    begin = NOW + GRACE["dkim"]
    assert effects(holding(RSA, JWT)) == [
        ScheduleKey(1, "dkim", OLD, begin), GenerateKey("d.example", "dkim", "RSA-2048", "r20261124", begin)]
    assert effects(holding(RSA, JWT), purpose="jwt") == [
        ScheduleKey(3, "jwt", OLD, NOW + GRACE["jwt"]), GenerateKey("d.example", "jwt", "ES256", None, NOW + GRACE["jwt"])]


def test_a_key_of_another_kind_signs_on() -> None:
    begin = NOW + DAY
    assert effects(holding(RSA, ED), algorithm="RSA-4096", selector="s2", active_from="1d") == [
        ScheduleKey(1, "dkim", OLD, begin), GenerateKey("d.example", "dkim", "RSA-4096", "s2", begin)]
    assert effects(holding(RSA), algorithm="Ed25519", active_from="1d") == [
        GenerateKey("d.example", "dkim", "Ed25519", "e20261124", begin)]


def test_a_first_key_waits_for_its_record_too() -> None:
    assert effects(holding(JWT), algorithm="RSA-2048", selector="s1") == [
        GenerateKey("d.example", "dkim", "RSA-2048", "s1", NOW + GRACE["dkim"])]


def test_a_key_that_waits_is_not_made_twice() -> None:
    rotating = holding(replace(RSA, retired_at=NOW + DAY), WAITING, ED)
    same: list[dict[str, Any]] = [
        {}, {"algorithm": "RSA-3072"}, {"algorithm": "RSA-3072", "selector": "s2"}, {"active_from": "2026-11-25T13:00+01:00"}]
    for options in same:
        assert plan(rotation("d.example", "dkim", NOW, **options), rotating, Mode.EDIT).outcome is Outcome.UNCHANGED
    other: list[dict[str, Any]] = [{"algorithm": "RSA-4096"}, {"selector": "s3"}]
    for options in other:
        with pytest.raises(Conflict, match="another next key waits, RSA-3072 with the selector s2"):
            effects(rotating, **options)


def test_a_key_that_waits_is_moved_and_activated() -> None:
    rotating = holding(replace(RSA, retired_at=NOW + DAY), WAITING)
    assert set(effects(rotating, active_from="3h")) == {
        ScheduleKey(1, "dkim", OLD, NOW + DAY / 8), ScheduleKey(4, "dkim", NOW + DAY / 8, None)}
    assert set(effects(rotating, activate=True)) == {ScheduleKey(1, "dkim", OLD, NOW), ScheduleKey(4, "dkim", NOW, None)}
    assert effects(holding(replace(WAITING, active_from=NOW)), activate=True) == []


@pytest.mark.parametrize(("held", "options", "error"), [
    ((JWT,), {}, NotFound),
    ((), {"activate": True}, NotFound),
    ((RSA, ED), {}, InvalidInput),
    ((RSA,), {"selector": "s1"}, Conflict),
    ((RSA,), {"selector": "gone", "taken": ["gone"]}, Conflict),
    ((RSA,), {"selector": "a b"}, InvalidInput),
    ((RSA,), {"algorithm": "ES256"}, InvalidInput),
    ((RSA,), {"activate": True, "active_from": "1d"}, InvalidInput),
    ((RSA,), {"activate": True, "selector": "s2"}, InvalidInput),
    ((JWT,), {"purpose": "jwt", "selector": "s2"}, InvalidInput),
    ((RSA,), {"active_from": "2026-11-24T11:59"}, InvalidInput),
    ((RSA,), {"active_from": "tomorrow"}, InvalidInput),
    ((RSA,), {"active_from": "36526d"}, InvalidInput),
    ((RSA,), {"active_from": "999999d"}, InvalidInput),
    ((RSA,), {"active_from": "9999-12-31T23:59:59-10:00"}, InvalidInput),
])
def test_what_cannot_be(held: tuple[Key, ...], options: dict[str, Any], error: type[AuthdError]) -> None:
    with pytest.raises(error):
        effects(holding(*held), **options)


def test_moments_and_selectors() -> None:
    assert parse_moment("90m", NOW) == NOW + timedelta(minutes=90)
    assert parse_moment("2026-12-01", NOW) == datetime(2026, 12, 1, tzinfo=UTC)
    assert free_selector("RSA-2048", NOW, ["r20261124", "r20261124-2", "e20261124-3"]) == "r20261124-3"
