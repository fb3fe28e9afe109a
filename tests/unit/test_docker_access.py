"""What is granted: never more than was asked for, never more than is held."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.docker import scope
from authd.docker.access import Decision, decide, refreshes
from authd.docker.facts import Asker, Granted, RefreshToken, Registry, Right, Rights
from authd.docker.scope import Scope, parse

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ALICE = Asker(UUID(int=1), "alice", is_admin=False)
ROOT = Asker(UUID(int=2), "root", is_admin=True)
REGISTRY = Registry(1, "registry.example.com", "Registry", "example.com", "x5c")

NAMES = st.sampled_from(["a", "b", "team/a", "team/b", "host:5000/a"])
ACTIONS = st.frozensets(st.sampled_from(["pull", "push", "delete", "*", "fly"]))
SCOPES = st.lists(st.builds(
    Scope, st.sampled_from(["repository", "registry", "x"]), st.sampled_from(["", "plugin"]),
    NAMES | st.just("catalog"), ACTIONS), unique_by=lambda one: (one.type, one.class_, one.name))
RIGHTS = st.lists(st.builds(
    Right, st.none() | st.sampled_from(["a", "team/*", "*", "team/a"]),
    st.frozensets(st.sampled_from(scope.ACTIONS), min_size=1))).map(tuple)


def granted(asked: str, *held: Right, asker: Asker | None = ALICE, unconfigured: bool = False) -> Decision:
    rights = Rights(held, frozenset(right.pattern for right in held))
    return decide(parse([asked]), rights, asker, allow_unconfigured=unconfigured)


def right(pattern: str | None, *actions: str) -> Right:
    return Right(pattern, frozenset(actions))


@given(SCOPES, RIGHTS, st.sampled_from([None, ALICE, ROOT]), st.booleans())
def test_granted_is_within_requested_and_allowed(
    requested: list[Scope], held: tuple[Right, ...], asker: Asker | None, unconfigured: bool,
) -> None:
    rights = Rights(held, frozenset(one.pattern for one in held))
    decision = decide(requested, rights, asker, allow_unconfigured=unconfigured)
    assert [(one.type, one.class_, one.name) for one in decision.access] == [
        (one.type, one.class_, one.name) for one in requested]
    for wanted, answer in zip(requested, decision.access, strict=True):
        assert set(answer.actions) <= wanted.actions or "*" in wanted.actions
        for action in answer.actions:
            if wanted.type == "repository":
                assert (asker is ROOT or answer.name in decision.created or any(
                    action in one.actions for one in held
                    if one.pattern is None or scope.matches(one.pattern, wanted.name)))
            else:
                assert (wanted.type, wanted.class_, wanted.name, action) == ("registry", "", "catalog", "*")
                assert asker is ROOT or any(one.pattern is None and "pull" in one.actions for one in held)
    if asker is None or not unconfigured:
        assert not decision.created


@pytest.mark.parametrize(("asked", "held", "expected"), [
    ("repository:a:pull,push", right(None, "pull"), ["pull"]),
    ("repository:a:pull,push,delete", right("a", "push"), ["push"]),
    ("repository:a:*", right("a", "pull", "delete"), ["pull", "delete"]),
    ("repository:b:pull", right("a", "pull"), []),
    ("repository:team/x/y:push", right("team/*", "push"), ["push"]),
    ("repository(plugin):a:pull", right("a", "pull"), ["pull"]),
    ("repository:host:5000/a:pull", right("a", "pull"), []),
    ("registry:catalog:*", right(None, "pull"), ["*"]),
    ("registry:catalog:*", right(None, "push"), []),
    ("registry:catalog:*", right("*", "pull"), []),
    ("registry:other:*", right(None, "pull"), []),
])
def test_rights(asked: str, held: Right, expected: list[str]) -> None:
    [one] = granted(asked, held).access
    assert list(one.actions) == expected


def test_an_admin_holds_everything_and_a_stranger_nothing() -> None:
    assert granted("repository:a:*", asker=ROOT).access == (Granted("repository", "", "a", ("pull", "push", "delete")),)
    assert granted("registry:catalog:*", asker=ROOT).scope == "registry:catalog:*"
    assert not granted("repository:a:* registry:catalog:*", asker=None).grants_anything


def test_the_scope_that_was_granted() -> None:
    decision = granted("repository:a:push,pull repository:b:pull repository(plugin):a:pull", right("a", "pull", "push"))
    assert decision.scope == "repository:a:pull,push repository(plugin):a:pull"


def test_an_unconfigured_repository_belongs_to_the_first_who_pushes() -> None:
    decision = granted("repository:new:pull,push", unconfigured=True)
    assert (decision.created, decision.scope) == (("new",), "repository:new:pull,push")
    assert granted("repository:new:pull", unconfigured=True).created == ()
    assert granted("repository:new:*", unconfigured=True).created == ()
    assert granted("repository:new:push", unconfigured=False).created == ()
    assert granted("repository:new:push", asker=None, unconfigured=True).created == ()
    assert granted("repository:host:5000/new:push", unconfigured=True).created == ()
    assert granted("repository:new:push", right("n*", "pull"), unconfigured=True).scope == ""
    rights = Rights(repositories=frozenset({"new"}))
    assert decide(parse(["repository:new:push"]), rights, ALICE, allow_unconfigured=True).created == ()


TOKEN = RefreshToken(
    1, REGISTRY.id, ALICE, account_is_active=True, service_users_only=False, has_mailbox=True, may_docker=True,
    password_is_the_same=True, last_used_at=NOW - timedelta(days=1))


def good(token: RefreshToken | None) -> bool:
    return refreshes(token, REGISTRY, NOW, timedelta(days=90))


def test_a_refresh_token_dies_with_what_it_depends_on() -> None:
    assert good(TOKEN)
    assert not good(None)
    assert not good(replace(TOKEN, registry=2))
    assert not good(replace(TOKEN, account_is_active=False))
    assert not good(replace(TOKEN, password_is_the_same=False))
    assert not good(replace(TOKEN, service_users_only=True))
    assert not good(replace(TOKEN, last_used_at=NOW - timedelta(days=91)))


def test_a_refresh_token_of_a_service_user() -> None:
    token = replace(TOKEN, asker=replace(ALICE, service_user=7), password_is_the_same=False, service_users_only=True)
    assert good(token)
    assert not good(replace(token, may_docker=False))
    assert not good(replace(token, has_mailbox=False))
    assert not good(replace(token, account_is_active=False))
