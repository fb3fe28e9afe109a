"""From what the database says to copies: lists, redirects, senders, loops, and which neighbour gets what."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.smtp import replies
from authd.smtp.grammar import NULL_SENDER, Path
from authd.smtp.routing import Copy, Expansion, Kind, LegKey, MailingList, Resolved, Route, Rules, Sender, Target, is_loop
from authd.smtp.srs import NeedsToken, Srs

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SRS = Srs([b"a secret"])
OURS = "here.example"


def path(text: str) -> Path:
    local_part, _, domain = text.rpartition("@")
    return Path(local_part, domain)


JOE = Sender(path("joe@elsewhere.example"))
ALICE = Sender(path("alice@here.example"), is_ours=True)
NOBODY = Sender(NULL_SENDER)
REWRITTEN = SRS.forward(JOE.path, OURS, NOW).sender


class World:
    """A database of a few addresses; everything else at here.example is unknown, and at other domains foreign."""

    def __init__(self) -> None:
        self.addresses: dict[str, Resolved] = {}
        self.tokens: dict[str, Path] = {}
        self.rounds = 0

    def account(self, *addresses: str, primary: str | None = None) -> "World":
        return self._add(Kind.ACCOUNT, *addresses, primary_address=path(primary) if primary else None)

    def kind(self, kind: Kind, *addresses: str) -> "World":
        return self._add(kind, *addresses)

    def redirect(self, address: str, target: str) -> "World":
        return self._add(Kind.REDIRECT, address, redirect_to=path(target))

    def list(self, address: str, *members: str, new_mailfrom: str | None = None) -> "World":
        return self._add(Kind.LIST, address, mailing_list=MailingList(
            len(self.addresses), address, tuple(map(path, members)), path(new_mailfrom) if new_mailfrom else None))

    def _add(self, kind: Kind, *addresses: str, primary_address: Path | None = None, redirect_to: Path | None = None,
             mailing_list: MailingList | None = None) -> "World":
        for address in addresses:
            found = path(address)
            self.addresses[address.lower()] = Resolved(found, kind, found.domain, primary_address, redirect_to, mailing_list)
        return self

    def resolve(self, address: Path) -> Resolved:
        known = self.addresses.get(str(address).lower())
        if known is not None:
            return known
        ours = address.domain.lower().endswith(OURS)
        return Resolved(address, Kind.UNKNOWN if ours else Kind.FOREIGN, address.domain if ours else None)

    def route(self, recipient: str, sender: Sender = JOE, rules: Rules = Rules()) -> Route:
        expansion = Expansion(path(recipient), sender, rules, SRS, NOW)
        while expansion.wanted or expansion.wanted_tokens:
            self.rounds += 1
            expansion.feed([self.resolve(address) for address in expansion.wanted])
            expansion.feed_tokens({token: self.tokens[token] for token in expansion.wanted_tokens if token in self.tokens})
        return expansion.route


def copies(route: Route) -> list[tuple[Target, str, str]]:
    return [(copy.leg.target, str(copy.leg.sender), str(copy.recipient)) for copy in route.copies]


def recipients(route: Route) -> list[str]:
    return [str(copy.recipient) for copy in route.copies]


@pytest.mark.parametrize(("rules", "delivered_as"), [
    (Rules(), "A.Smith+x@here.example"), (Rules(rewrites_to_primary=True), "alice@here.example")])
def test_an_account_gets_its_mail_by_local_delivery(rules: Rules, delivered_as: str) -> None:
    route = World().account("a.smith+x@here.example", primary="alice@here.example").route("A.Smith+x@here.example", JOE, rules)
    assert route.copies == (Copy(LegKey(Target.LOCAL, JOE.path), path(delivered_as)),)
    assert route.refusal is None


def test_an_account_without_a_mailbox_is_left_to_local_delivery() -> None:
    route = World().account("x@here.example").route("x@here.example", JOE, Rules(rewrites_to_primary=True))
    assert copies(route) == [(Target.LOCAL, str(JOE.path), "x@here.example")]


@pytest.mark.parametrize(("sender", "rules", "target"), [
    (JOE, Rules(), Target.REMOTE), (ALICE, Rules(), Target.REMOTE), (ALICE, Rules(has_transactional_relay=True), Target.REMOTE),
    (Sender(ALICE.path, True, True), Rules(), Target.REMOTE),
    (Sender(ALICE.path, True, True), Rules(has_transactional_relay=True), Target.TRANSACTIONAL)])
def test_other_domains(sender: Sender, rules: Rules, target: Target) -> None:
    route = World().route("bob@far.example", sender, rules)
    assert route.copies == (Copy(LegKey(target, sender.path), path("bob@far.example")),)


def test_forwarded_mail_never_takes_the_transactional_relay() -> None:
    route = World().list("team@here.example", "bob@far.example").route(
        "team@here.example", Sender(ALICE.path, True, True), Rules(has_transactional_relay=True))
    assert copies(route) == [(Target.REMOTE, "alice@here.example", "bob@far.example")]


def test_relaying_can_be_forbidden_but_not_for_what_is_forwarded() -> None:
    world = World().list("team@here.example", "bob@far.example")
    rules = Rules(relays_foreign=False)
    assert world.route("bob@far.example", JOE, rules).refusal == replies.RELAYING_DENIED
    assert recipients(world.route("team@here.example", JOE, rules)) == ["bob@far.example"]


def test_a_list_goes_to_its_members_from_a_rewritten_sender() -> None:
    world = World().account("alice@here.example").list("team@here.example", "alice@here.example", "bob@far.example")
    route = world.route("Team@here.example")
    assert copies(route) == [(Target.LOCAL, str(REWRITTEN), "alice@here.example"),
                             (Target.REMOTE, str(REWRITTEN), "bob@far.example")]
    assert {copy.leg.forwarded_for for copy in route.copies} == {(path("Team@here.example"),)}
    assert SRS.reverse(REWRITTEN, NOW) == JOE.path


@pytest.mark.parametrize(("sender", "new_mailfrom", "expected"), [
    (JOE, None, str(REWRITTEN)), (JOE, "bounces@here.example", "bounces@here.example"), (ALICE, None, "alice@here.example"),
    (ALICE, "bounces@here.example", "bounces@here.example"), (NOBODY, None, ""), (NOBODY, "bounces@here.example", "")])
def test_the_sender_of_list_mail(sender: Sender, new_mailfrom: str | None, expected: str) -> None:
    world = World().list("team@here.example", "bob@far.example", new_mailfrom=new_mailfrom)
    assert copies(world.route("team@here.example", sender)) == [(Target.REMOTE, expected, "bob@far.example")]


def test_the_sender_is_rewritten_under_the_aliases_domain_or_its_srs_domain() -> None:
    world = World().redirect("x@here.example", "bob@far.example")
    found = world.addresses["x@here.example"]
    world.addresses["x@here.example"] = Resolved(found.address, found.kind, "srs.here.example", None, found.redirect_to)
    assert world.route("x@here.example").copies[0].leg.sender.domain == "srs.here.example"


def test_a_long_sender_leaves_a_token() -> None:
    sender = Sender(path("x" * 64 + "@elsewhere.example"))
    route = World().list("team@here.example", "bob@far.example", "carl@far.example").route("team@here.example", sender)
    (token,) = route.tokens
    assert token.sender == sender.path
    assert SRS.reverse(route.copies[0].leg.sender, NOW) == NeedsToken(token.token)


def test_lists_in_lists_send_to_everybody_once() -> None:
    world = (World().account("alice@here.example")
             .list("all@here.example", "team@here.example", "Team@here.example", "alice@here.example", "bob@far.example")
             .list("team@here.example", "ALICE@here.example", "BOB@far.example", "carl@far.example", "all@here.example"))
    route = world.route("all@here.example")
    assert recipients(route) == ["alice@here.example", "bob@far.example", "carl@far.example"]
    assert route.copies[2].leg.forwarded_for == (path("all@here.example"), path("team@here.example"))
    assert {copy.leg.sender for copy in route.copies} == {REWRITTEN}
    assert world.rounds == 3


def test_an_inner_list_sends_with_its_own_sender() -> None:
    world = (World().list("all@here.example", "team@here.example", new_mailfrom="outer@here.example")
             .list("team@here.example", "bob@far.example", new_mailfrom="inner@here.example")
             .list("more@here.example", "plain@here.example", new_mailfrom="outer@here.example")
             .list("plain@here.example", "bob@far.example"))
    assert copies(world.route("all@here.example"))[0][1] == "inner@here.example"
    assert copies(world.route("more@here.example"))[0][1] == "outer@here.example"


@pytest.mark.parametrize("depth", [9, 10, 11])
def test_lists_are_followed_to_a_limit(depth: int) -> None:
    world = World().account("alice@here.example")
    for level in range(depth):
        world.list(f"l{level}@here.example", f"l{level + 1}@here.example" if level < depth - 1 else "alice@here.example")
    route = world.route("l0@here.example")
    assert route.refusal == (None if depth <= 10 else replies.FORWARDING_LOOP)


def test_a_redirect_keeps_the_local_part_at_another_domain() -> None:
    world = World().redirect("Joe+x@old.here.example", "far.example").redirect("any@box.here.example", "keeper@far.example")
    assert copies(world.route("Joe+x@old.here.example"))[0][2] == "Joe+x@far.example"
    assert copies(world.route("any@box.here.example"))[0][2] == "keeper@far.example"


def test_a_redirect_to_one_of_ours_is_resolved_again() -> None:
    world = World().redirect("alice@old.here.example", "here.example").account("alice@here.example")
    route = world.route("alice@old.here.example")
    assert copies(route)[0][::2] == (Target.LOCAL, "alice@here.example")
    assert route.copies[0].leg.forwarded_for == (path("alice@old.here.example"),)


def test_redirects_in_a_circle_are_a_loop() -> None:
    world = World().redirect("x@a.here.example", "b.here.example").redirect("x@b.here.example", "a.here.example")
    assert world.route("x@a.here.example").refusal == replies.FORWARDING_LOOP
    assert World().redirect("x@a.here.example", "a.here.example").route("x@a.here.example").refusal == replies.FORWARDING_LOOP
    assert World().list("l@here.example", "l@here.example").route("l@here.example").refusal == replies.FORWARDING_LOOP


def test_unknown_and_inactive_ones() -> None:
    world = World().kind(Kind.INACTIVE, "asleep@here.example")
    for address in ("nobody@here.example", "asleep@here.example"):
        assert world.route(address).refusal == replies.MAILBOX_UNKNOWN
        assert copies(world.route(address, JOE, Rules(passes_unknown=True))) == [(Target.LOCAL, str(JOE.path), address)]


def test_blocked_ones() -> None:
    world = World().kind(Kind.BLOCKED, "old@here.example")
    assert world.route("old@here.example").refusal == replies.MAILBOX_BLOCKED
    route = world.route("old@here.example", JOE, Rules(discards_blocked=True, passes_unknown=True))
    assert (route.copies, route.refusal, route.is_discarded) == ((), None, True)


def test_members_that_cannot_get_it_are_named() -> None:
    world = (World().kind(Kind.BLOCKED, "old@here.example").list("void@here.example")
             .list("team@here.example", "old@here.example", "nobody@here.example", "bob@far.example", "void@here.example"))
    route = world.route("team@here.example")
    assert recipients(route) == ["bob@far.example"]
    assert [(str(one.address), one.reply, one.mailing_list and one.mailing_list.name) for one in route.refused] == [
        ("old@here.example", replies.MAILBOX_BLOCKED, "team@here.example"),
        ("nobody@here.example", replies.MAILBOX_UNKNOWN, "team@here.example"),
        ("void@here.example", replies.LIST_UNUSABLE, "team@here.example")]


def test_a_list_of_nobody_is_refused() -> None:
    world = World().list("void@here.example").list("gone@here.example", "nobody@here.example")
    assert world.route("void@here.example").refusal == replies.LIST_UNUSABLE
    assert world.route("gone@here.example").refusal == replies.MAILBOX_UNKNOWN


def test_postmaster() -> None:
    world = World()
    for address in ("postmaster@here.example", "Postmaster@"):
        found = path(address)
        world.addresses[str(found).lower()] = Resolved(found, Kind.POSTMASTER, OURS, path("root@here.example"))
        route = world.route(address)
        assert route.copies == (Copy(LegKey(Target.LOCAL, JOE.path), path("root@here.example")),)
        route = world.route(address, JOE, Rules(postmaster=path("ops@far.example")))
        assert copies(route) == [(Target.REMOTE, str(REWRITTEN), "ops@far.example")]
        assert route.copies[0].leg.forwarded_for == (found,)
    assert World().kind(Kind.POSTMASTER, "postmaster@here.example").route(
        "postmaster@here.example").refusal == replies.MAILBOX_UNKNOWN
    lost = World()
    lost.addresses["postmaster"] = Resolved(path("postmaster@"), Kind.POSTMASTER)
    route = lost.route("postmaster@", JOE, Rules(postmaster=path("ops@far.example")))
    assert copies(route) == [(Target.REMOTE, str(JOE.path), "ops@far.example")]


def test_a_rewritten_sender_gets_its_mail_back() -> None:
    world = World().kind(Kind.SRS, str(REWRITTEN))
    assert copies(world.route(str(REWRITTEN), NOBODY)) == [(Target.REMOTE, "", "joe@elsewhere.example")]
    route = world.route(str(REWRITTEN), Sender(path("kim@third.example")))
    assert SRS.reverse(route.copies[0].leg.sender, NOW) == path("kim@third.example")
    assert route.copies[0].leg.forwarded_for == (REWRITTEN,)
    forged = "SRS0=abcdefgh=AA=elsewhere.example=joe@here.example"
    assert world.kind(Kind.SRS, forged).route(forged, NOBODY).refusal == replies.SRS_INVALID


def test_a_token_leads_back_while_it_is_known() -> None:
    rewritten = SRS.forward(path("x" * 64 + "@elsewhere.example"), OURS, NOW)
    assert rewritten.token is not None
    world = World().kind(Kind.SRS, str(rewritten.sender))
    assert world.route(str(rewritten.sender), NOBODY).refusal == replies.SRS_INVALID
    world.tokens[rewritten.token.token] = rewritten.token.sender
    assert recipients(world.route(str(rewritten.sender), NOBODY)) == ["x" * 64 + "@elsewhere.example"]


def test_loops_show_in_the_header() -> None:
    leg = LegKey(Target.REMOTE, REWRITTEN, (path("Team@here.example"), path("inner@here.example")))
    assert is_loop(leg, {"inner@here.example"}) and is_loop(leg, {"team@here.example", "x@y"})
    assert not is_loop(leg, {"bob@far.example"}) and not is_loop(LegKey(Target.LOCAL, JOE.path), {"joe@elsewhere.example"})


NAMES = [f"{letter}@here.example" for letter in "abcdefgh"]
ADDRESSES = st.sampled_from([*NAMES, *(name.upper() for name in NAMES), "x@far.example", "y@far.example"])
THINGS = st.one_of(
    st.just("account"), st.just("unknown"), st.just("blocked"), st.tuples(st.just("redirect"), ADDRESSES),
    st.tuples(st.just("list"), st.lists(ADDRESSES, max_size=5), st.sampled_from([None, "bounces@here.example"])))


def build(things: Mapping[str, object]) -> World:
    world = World()
    for name, thing in things.items():
        match thing:
            case "account":
                world.account(name)
            case "blocked":
                world.kind(Kind.BLOCKED, name)
            case ("redirect", str(target)):
                world.redirect(name, target)
            case ("list", list(members), new_mailfrom):
                world.list(name, *members, new_mailfrom=new_mailfrom)  # type: ignore[arg-type]
    return world


def reachable(world: World, start: str) -> set[str]:
    """Every address that a walk through lists and redirects comes to, in lower case."""
    seen: set[str] = set()
    waiting = [start.lower()]
    while waiting:
        address = waiting.pop()
        if address not in seen:
            seen.add(address)
            found = world.resolve(path(address))
            targets = found.mailing_list.members if found.mailing_list else [found.redirect_to] if found.redirect_to else []
            waiting += [str(target).lower() for target in targets]
    return seen


@given(st.dictionaries(st.sampled_from(NAMES), THINGS), st.sampled_from(NAMES), st.sampled_from([JOE, ALICE, NOBODY]))
def test_everybody_who_can_be_reached_gets_one_copy(things: Mapping[str, object], start: str, sender: Sender) -> None:
    world = build(things)
    route = world.route(start, sender)
    expected = {address for address in reachable(world, start)
                if world.resolve(path(address)).kind in (Kind.ACCOUNT, Kind.FOREIGN)}
    assert sorted(copy.key for copy in route.copies) == sorted(expected)
    assert (route.refusal is None) == bool(expected)
    for copy in route.copies:
        assert copy.leg.target is (Target.REMOTE if copy.recipient.domain.lower() == "far.example" else Target.LOCAL)
        assert copy.leg.sender.is_null == sender.path.is_null
        assert copy.leg.sender in (sender.path, path("bounces@here.example"), REWRITTEN)
        if not copy.leg.forwarded_for:
            assert copy == Copy(LegKey(Target.LOCAL, sender.path), path(start))
        else:
            assert copy.leg.sender != JOE.path
            assert copy.leg.forwarded_for[0] == path(start)
            assert len(set(copy.leg.forwarded_for)) == len(copy.leg.forwarded_for)
    for refused in route.refused:
        assert world.resolve(refused.address).kind in (Kind.UNKNOWN, Kind.BLOCKED, Kind.LIST)
