"""The grammar of scopes and patterns."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.docker import scope
from authd.docker.scope import Scope, parse
from authd.errors import InvalidInput

TEXT = st.text(alphabet="aA0:/.,-_*() \té\0", max_size=40)
NEARLY = st.from_regex(r"(repository|registry|x)(\(y\))?:[a-c:/]{1,8}:[a-z*,]{0,12}", fullmatch=True)


@pytest.mark.parametrize(("text", "expected"), [
    ("repository:foo:pull", [("repository", "", "foo", {"pull"})]),
    ("repository:team/app:push,pull", [("repository", "", "team/app", {"pull", "push"})]),
    ("repository:host:5000/team/app:pull", [("repository", "", "host:5000/team/app", {"pull"})]),
    ("repository:Registry.example.com/app:pull", [("repository", "", "Registry.example.com/app", {"pull"})]),
    ("repository(plugin):foo:*", [("repository", "plugin", "foo", {"*"})]),
    ("registry:catalog:*", [("registry", "", "catalog", {"*"})]),
    ("repository:foo:", [("repository", "", "foo", set())]),
    ("repository:foo:fly", [("repository", "", "foo", {"fly"})]),
    ("other:Some:Thing:read", [("other", "", "Some:Thing", {"read"})]),
    ("repository:a:pull  repository:b:push", [("repository", "", "a", {"pull"}), ("repository", "", "b", {"push"})]),
    ("repository:a:pull repository:a:push", [("repository", "", "a", {"pull", "push"})]),
    ("", []),
])
def test_scopes(text: str, expected: list[tuple[str, str, str, set[str]]]) -> None:
    assert parse([text]) == tuple(Scope(type_, kind, name, frozenset(actions)) for type_, kind, name, actions in expected)


@pytest.mark.parametrize("text", [
    "repository:foo", "repository", ":", "::", "repository::pull", ":foo:pull", "Repository:foo:pull", "repository():foo:pull",
    "repository(plugin:foo:pull", "repository:Foo:pull", "repository:foo/:pull", "repository:/foo:pull", "repository:a//b:pull",
    "repository:foo:pull;push", "repository:foo:PULL", "repository:foo:pull\n", "repository:foo\0:pull", "repository:é:pull",
    "repository:a-:pull", "repository:a___b:pull", f"repository:{'a' * 256}:pull", f"other:{'a' * 256}:pull",
    "repository:host:port/foo:pull", "repository:foo:pull\trepository:bar:pull",
])
def test_malformed_scopes(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse([text])


def test_more_resources_than_anybody_needs() -> None:
    assert len(parse([" ".join(f"repository:r{i}:pull" for i in range(scope.MOST_SCOPES))])) == scope.MOST_SCOPES
    with pytest.raises(InvalidInput):
        parse(["repository:a:pull"] * (scope.MOST_SCOPES + 1))


@given(st.lists(TEXT | NEARLY, max_size=4))
def test_anything_else_is_refused_in_one_way(texts: list[str]) -> None:
    try:
        found = parse(texts)
    except InvalidInput:
        return
    written = [scope.text(one.type, one.class_, one.name, sorted(one.actions)) for one in found]
    assert parse(written) == found


@pytest.mark.parametrize(("pattern", "name", "expected"), [
    ("team/*", "team/app", True), ("team/*", "team/app/cache", True), ("team/*", "team", False), ("team/*", "teams/app", False),
    ("team/*", "team/", True), ("*", "anything/at/all", True), ("*/app", "team/app", True), ("*/app", "app", False),
    ("a*a", "a", False), ("a*a", "aa", True), ("a*b*c", "axbxc", True), ("a*b*c", "acb", False), ("app", "app", True),
    ("app", "apps", False), ("a*b*b", "ab", False), ("a*b*b", "abb", True),
])
def test_patterns(pattern: str, name: str, expected: bool) -> None:
    assert scope.matches(pattern, name) is expected


@given(st.text("ab/*", max_size=6), st.text("ab/", max_size=8))
def test_patterns_are_what_a_regular_expression_says(pattern: str, name: str) -> None:
    expression = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    assert scope.matches(pattern, name) == (re.fullmatch(expression, name) is not None)


@pytest.mark.parametrize(("text", "expected"), [
    ("team/app", True), ("team/*", True), ("*", True), ("", False), ("Team/*", False), ("team app", False), ("team/", False),
    ("%_*", False), ("a" * 256, False), ("a" * 255 + "*", False),
    ("host.example:5000/team/app", True), ("host.example:5000/team/*", True), ("5000:team/app", False),
    ("host:port/*", False), ("host:5000/", False),
])
def test_what_may_be_a_pattern(text: str, expected: bool) -> None:
    assert scope.is_pattern(text) is expected
