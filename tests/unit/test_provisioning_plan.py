"""Plans: what a declared state means for the current one, for every noun and for any values."""

from dataclasses import fields, replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given as property_of
from hypothesis import settings
from hypothesis import strategies as st

from authd.errors import AuthdError, Conflict, InvalidInput, NotFound
from authd.provisioning.accounts import Account, EndSessions, EndTokensOfAccount, SetPassword, account_options
from authd.provisioning.aliases import Alias
from authd.provisioning.clients import Client
from authd.provisioning.domains import (
    Domain,
    GenerateKey,
    InsertDomain,
    Key,
    KeyOrder,
    KeyOrders,
    RemoveKey,
    RetireKey,
    UpdateDomain,
    domain_options,
)
from authd.provisioning.groups import Group, Permission
from authd.provisioning.mailing_lists import MailingList, MemberChange
from authd.provisioning.plan import Mode, Outcome, plan
from authd.provisioning.service_users import ServiceUser
from authd.provisioning.state import UNSET, Secret, State, adjusted, completed, merged

NAMES = st.sampled_from(["one", "two", "three"])
ADDRESSES = st.sampled_from(["a@one.example", "A@One.example", "b@two.example", "c@two.example"])
SETS = st.one_of(st.frozensets(NAMES), st.builds(lambda add, remove: adjusted(add=add, remove=remove),
                                                 st.frozensets(NAMES), st.frozensets(NAMES)))
PURPOSES = st.sampled_from(["jwt", "dkim"])
ORDERS = st.builds(
    lambda purpose, rsa, selector: KeyOrder(
        purpose, {True: "RSA-2048", False: "EdDSA" if purpose == "jwt" else "Ed25519", None: None}[rsa],
        selector if purpose == "dkim" else None),
    PURPOSES, st.sampled_from([True, False, None]), st.sampled_from([None, "s1", "s2"]))
KEYS = st.builds(KeyOrders, st.lists(ORDERS, max_size=3).map(tuple), st.just(frozenset()))
MEMBERS = st.one_of(
    st.builds(MemberChange, st.lists(ADDRESSES).map(tuple), st.just(())),
    st.builds(MemberChange, st.just(()), st.lists(ADDRESSES).map(tuple)),
    st.builds(lambda only: MemberChange(only=only), st.lists(ADDRESSES).map(tuple)))
VALUES: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("domain", "redirect_to"): st.sampled_from([None, "other.example"]),
    ("domain", "redirect_mode"): st.sampled_from([None, "all", "rest"]),
    ("domain", "keys"): KEYS,
    ("mailinglist", "members"): MEMBERS,
    ("oauth2", "client_type"): st.just("confidential"),
    ("oauth2", "auth_method"): st.sampled_from(["client_secret", "client_secret_basic"]),
    ("oauth2", "grant_types"): st.just(frozenset({"client_credentials"})),
    ("oauth2", "redirect_uris"): st.just(frozenset({"https://app.example/cb"})),
    ("oauth2", "jwks"): st.sampled_from([None, {"keys": [{"kty": "OKP"}]}]),
    ("serviceuser", "user"): NAMES,
}


def _values(kind: str, name: str, initial: Any) -> st.SearchStrategy[Any]:
    if (kind, name) in VALUES:
        return VALUES[kind, name]
    if name in ("password", "secret"):
        return st.nothing()
    if isinstance(initial, bool):
        return st.booleans()
    if isinstance(initial, frozenset):
        return SETS
    return NAMES if isinstance(initial, str) else st.one_of(st.none(), NAMES)


def _declared(kind: type[State]) -> st.SearchStrategy[State]:
    """Any declared state of a kind: each field unset or of some value."""
    managed = [item for item in fields(kind) if "initial" in item.metadata and item.name not in ("password", "secret")]
    return st.builds(kind, **{kind.name_field: st.just("one")}, **{
        item.name: st.one_of(st.just(UNSET), _values(kind.kind, item.name, item.metadata["initial"])) for item in managed})


_numbers = count(1)


def _stored(state: State) -> State:
    """A state as the database gives it back: keys have got their ids, secrets are gone."""
    if isinstance(state, Domain):
        return replace(state, keys=frozenset(replace(key, id=key.id or next(_numbers)) for key in state.keys))
    if isinstance(state, (Account, ServiceUser)):
        return replace(state, password=None)
    return state


KINDS: list[type[State]] = [Domain, Account, MailingList, ServiceUser, Group, Permission, Client]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=80)
@property_of(data=st.data())
def test_what_was_applied_is_unchanged_the_second_time(kind: type[State], data: st.DataObject) -> None:
    current = None
    for declared in data.draw(st.lists(_declared(kind), min_size=1, max_size=3)):
        if kind is ServiceUser and current is None:
            declared = replace(declared, user="one", password=Secret("s"))  # type: ignore[call-arg]
        try:
            first = plan(declared, current, Mode.ENSURE)
        except (Conflict, InvalidInput):
            continue
        assert first.after is not None
        assert (first.outcome is Outcome.UNCHANGED) == (not first.effects)
        current = _stored(first.after)
        if isinstance(declared, ServiceUser):
            declared = replace(declared, password=UNSET)
        again = plan(declared, current, Mode.ENSURE)
        assert (again.outcome, again.effects, again.differences) == (Outcome.UNCHANGED, (), ())


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@property_of(data=st.data())
def test_create_accepts_exactly_what_it_would_have_made(kind: type[State], data: st.DataObject) -> None:
    declared = data.draw(_declared(kind))
    if kind is ServiceUser:
        declared = replace(declared, user="one")  # type: ignore[call-arg]
    try:
        made = _stored(merged(completed(declared), None))
        made.check()
        other = merged(data.draw(_declared(kind)), made)
        other.check()
        same = merged(completed(declared), other) == other
    except AuthdError:
        return
    assert plan(declared, made, Mode.CREATE).outcome is Outcome.UNCHANGED
    if same:
        assert plan(declared, other, Mode.CREATE).outcome is Outcome.UNCHANGED
    else:
        with pytest.raises(Conflict):
            plan(declared, other, Mode.CREATE)


def test_create_compares_with_what_is_left_out() -> None:
    admin = merged(account_options(identifier="a", fullname="A", admin=True), None)
    with pytest.raises(Conflict, match="is_admin"):
        plan(account_options(identifier="a", fullname="A"), admin, Mode.CREATE)
    assert plan(account_options(identifier="a", fullname="A"), admin, Mode.ENSURE).outcome is Outcome.UNCHANGED


def test_create_leaves_to_other_verbs_what_they_do() -> None:
    there = replace(merged(account_options(identifier="a", fullname="A"), None), is_active=False, groups=frozenset({"g"}))
    assert plan(account_options(identifier="a", fullname="A"), there, Mode.CREATE).outcome is Outcome.UNCHANGED


def test_edit_needs_something_to_edit_and_remove_does_not() -> None:
    with pytest.raises(NotFound):
        plan(Group(name="g"), None, Mode.EDIT)
    assert plan(Group(name="g"), None, Mode.REMOVE).outcome is Outcome.UNCHANGED
    assert plan(Group(name="g"), merged(Group(name="g"), None), Mode.REMOVE).outcome is Outcome.REMOVED


def test_a_password_shows_nowhere() -> None:
    planned = plan(account_options(identifier="a", password="plain secret"), None, Mode.CREATE)
    assert any(isinstance(effect, SetPassword) for effect in planned.effects)
    assert "plain secret" not in f"{planned} {planned.new_values} {planned.after and planned.after.as_json()}"
    assert planned.new_values == {"identifier": "a", "password": "(secret)"}


def test_deactivation_ends_sessions_and_tokens() -> None:
    there = merged(account_options(identifier="a", fullname="A"), None)
    effects = plan(Account(is_active=False), there, Mode.EDIT).effects
    assert EndSessions("a") in effects
    assert EndTokensOfAccount("a") in effects


def _domain(*keys: Key) -> Domain:
    return replace(merged(domain_options(name="d.example"), None), keys=frozenset(keys))


def _key_effects(declared: Domain, current: Domain | None) -> list[Any]:
    return [effect for effect in plan(declared, current, Mode.EDIT if current else Mode.CREATE).effects
            if not isinstance(effect, (InsertDomain, UpdateDomain))]


def test_keys_are_made_where_there_are_none() -> None:
    declared = domain_options(name="d.example", create_key=["jwt", "dkim"])
    assert _key_effects(declared, None) == [
        GenerateKey("d.example", "dkim", "RSA-2048", "default"), GenerateKey("d.example", "jwt", "RSA-2048", None)]
    held = _domain(Key("jwt", "RSA-3072", None, 1), Key("dkim", "RSA-2048", "other", 2))
    assert _key_effects(declared, held) == []


def test_an_overwritten_jwt_key_stays_published_and_a_removed_one_does_not() -> None:
    held = _domain(Key("jwt", "RSA-2048", None, 1), Key("jwt", "EdDSA", None, 2))
    overwrite = domain_options(name="d.example", create_key=["jwt"], overwrite=True)
    assert _key_effects(overwrite, held) == [RetireKey(1, "jwt"), GenerateKey("d.example", "jwt", "RSA-2048", None)]
    assert _key_effects(domain_options(name="d.example", remove_key=["jwt"]), held) == [RemoveKey(2), RemoveKey(1)]


def test_a_dkim_key_whose_selector_is_needed_goes_at_once() -> None:
    held = _domain(Key("dkim", "RSA-2048", "default", 1))
    same = domain_options(name="d.example", create_key=["dkim"], overwrite=True)
    assert _key_effects(same, held) == [RemoveKey(1), GenerateKey("d.example", "dkim", "RSA-2048", "default")]
    other = domain_options(name="d.example", create_key=["dkim"], overwrite=True, dkim_selector="s2")
    assert _key_effects(other, held) == [RetireKey(1, "dkim"), GenerateKey("d.example", "dkim", "RSA-2048", "s2")]
    with pytest.raises(Conflict):
        _key_effects(domain_options(name="d.example", create_key=["dkim"], dkim_selector="s2"), held)
    second = domain_options(name="d.example", create_key=["dkim"], dkim_selector="e1", dkim_algorithm="Ed25519")
    assert _key_effects(second, held) == [GenerateKey("d.example", "dkim", "Ed25519", "e1")]


@pytest.mark.parametrize("options", [
    {"name": "no domain"}, {"name": "d.example", "create_key": ["ssh"]}, {"name": "d.example", "dkim_selector": "s"},
    {"name": "d.example", "create_key": ["dkim"], "dkim_selector": "not a selector"},
    {"name": "d.example", "create_key": ["jwt"], "jwt_algorithm": "HS256"},
    {"name": "d.example", "redirect_all_email_to": "a.example", "catch_all": "b@c.example"},
    {"name": "d.example", "catch_all": "not a target"}, {"name": "d.example", "srs_domain": "-"},
])
def test_domain_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        domain_options(**options)


def test_a_domain_is_stored_in_a_labels() -> None:
    assert domain_options(name="B\u00dcCHER.example.", catch_all="Info@B\u00fccher.example").redirect_to == (
        "Info@xn--bcher-kva.example")
    assert domain_options(name="B\u00dcCHER.example.").name == "xn--bcher-kva.example"


def test_an_alias_has_exactly_one_owner() -> None:
    for alias in (Alias(address="a@d.example"), Alias(address="a@d.example", user="u", mailing_list="l")):
        with pytest.raises(InvalidInput):
            plan(alias, None, Mode.CREATE)
    held = Alias(address="a@d.example", user="u", mailing_list=None, blocked=False, primary_of="u")
    for declared, mode in ((Alias(user="v", mailing_list=None), Mode.EDIT), (held, Mode.REMOVE)):
        with pytest.raises(Conflict, match="delivery mailbox of u"):
            plan(declared, held, mode)


def test_members_of_a_list_are_told_apart_without_case() -> None:
    current = frozenset({"Bob@Example.com", "eve@example.com"})
    cases: list[tuple[MemberChange, set[str]]] = [
        (MemberChange(add=("bob@example.com", "new@example.com")), {"Bob@Example.com", "eve@example.com", "new@example.com"}),
        (MemberChange(remove=("BOB@example.com",)), {"eve@example.com"}),
        (MemberChange(only=("bob@example.com",)), {"Bob@Example.com"})]
    for change, expected in cases:
        assert change.applied_to(current) == expected


def test_a_required_permission_is_not_removed() -> None:
    held = Permission(identifier="p", title="", required_by=("wiki",))
    with pytest.raises(Conflict, match="wiki"):
        plan(held, held, Mode.REMOVE)
