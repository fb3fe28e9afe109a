"""What the answers are when some copies of a message are taken, some refused, some lost."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.smtp import replies
from authd.smtp.deliveries import Deliveries, Row, delivered_to
from authd.smtp.grammar import Path
from authd.smtp.message import Field
from authd.smtp.replies import Reply
from authd.smtp.routing import Copy, LegKey, MailingList, Refused, Route, Target

JOE = Path("joe", "elsewhere.example")
TEAM = MailingList(1, "team", ())
TAKEN = Reply(250, (b"2.1.5 taken",))
QUEUED = Reply(250, (b"2.0.0 queued as 1",))
FULL = Reply(452, (b"4.2.2 full",))
UNKNOWN = Reply(550, (b"5.1.1 unknown",))
SPAM = Reply(554, (b"5.7.1 spam",))


def path(name: str) -> Path:
    return Path(name, "example.com")


def direct(name: str) -> Route:
    return Route(path(name), (Copy(LegKey(Target.LOCAL, JOE), path(name)),), (), False, frozenset())


def mailing_list(name: str, *members: str, refused: tuple[Refused, ...] = ()) -> Route:
    leg = LegKey(Target.REMOTE, path("bounces"), (path(name),), (TEAM,))
    return Route(path(name), tuple(Copy(leg, path(member)) for member in members), refused, False, frozenset())


def offer(deliveries: Deliveries, route: Route, **said: Reply) -> Reply:
    """Asks about every copy that was not asked about; the answer to the recipient."""
    for copy in deliveries.unasked(route):
        deliveries.asked(copy, said.get(copy.recipient.local_part, TAKEN))
    return deliveries.admit(route)


def send(deliveries: Deliveries, **said: Reply) -> None:
    for copies in deliveries.open().values():
        for copy in copies:
            deliveries.sent(copy, said.get(copy.recipient.local_part, QUEUED))


def test_a_single_recipient_gets_the_downstreams_own_replies() -> None:
    for said, verdict in ((TAKEN, QUEUED), (TAKEN, FULL), (TAKEN, SPAM)):
        deliveries = Deliveries()
        assert offer(deliveries, direct("ann"), ann=said) == said
        send(deliveries, ann=verdict)
        assert deliveries.answer() == verdict
    for refusal in (FULL, UNKNOWN):
        deliveries = Deliveries()
        assert offer(deliveries, direct("ann"), ann=refusal) == refusal
        assert deliveries.open() == {} and deliveries.recipients == []


def test_members_that_are_refused_for_good_are_left_out() -> None:
    deliveries = Deliveries()
    gone = Refused(path("gone"), UNKNOWN, TEAM)
    assert offer(deliveries, mailing_list("team", "ann", "bob", "eve", refused=(gone,)), bob=UNKNOWN) == replies.RECIPIENT_OK
    send(deliveries, eve=SPAM)
    assert deliveries.answer() == replies.OK
    assert deliveries.left_out() == [gone, Refused(path("bob"), UNKNOWN, TEAM), Refused(path("eve"), SPAM, TEAM)]


def test_a_member_that_is_refused_in_passing_holds_the_list_up() -> None:
    deliveries = Deliveries()
    assert offer(deliveries, mailing_list("team", "ann", "bob"), bob=FULL) == replies.COPY_FAILED
    assert deliveries.open() == {}


def test_a_list_whose_members_are_all_refused_is_refused() -> None:
    assert offer(Deliveries(), mailing_list("team", "ann", "bob"), ann=UNKNOWN, bob=SPAM) == UNKNOWN


def test_a_copy_that_two_recipients_need_is_sent_once() -> None:
    deliveries = Deliveries()
    offer(deliveries, direct("ann"))
    offer(deliveries, mailing_list("team", "Ann", "bob"))
    assert [[str(copy.recipient) for copy in copies] for copies in deliveries.open().values()] == [
        ["ann@example.com"], ["bob@example.com"]]
    send(deliveries, bob=FULL)
    assert deliveries.answers() == [QUEUED, replies.COPY_FAILED]
    assert deliveries.answer() == replies.COPY_FAILED
    copies = [*direct("ann").copies, *mailing_list("team", "ann", "bob").copies]
    assert deliveries.rows(copies) == [
        Row("ann@example.com", "local", "ann@example.com"), Row("team@example.com", "remote", "ann@example.com")]


def test_what_was_not_admitted_leaves_no_trace() -> None:
    for reply in (FULL, UNKNOWN):
        deliveries = Deliveries()
        assert offer(deliveries, mailing_list("team", "ann"), ann=reply) == reply
        assert offer(deliveries, direct("ann")) == TAKEN
        assert [*deliveries.open()] == [LegKey(Target.LOCAL, JOE)]


def test_a_recipient_that_is_not_admitted_takes_nothing_from_others() -> None:
    deliveries = Deliveries()
    offer(deliveries, direct("ann"))
    assert offer(deliveries, mailing_list("team", "ann", "bob"), bob=FULL) == replies.COPY_FAILED
    assert [*deliveries.open()] == [LegKey(Target.LOCAL, JOE)]


def test_what_was_delivered_before_is_not_sent_again() -> None:
    deliveries = Deliveries()
    offer(deliveries, mailing_list("team", "ann", "bob"))
    deliveries.recall({Row("team@example.com", "remote", "ann@example.com"),
                       Row("other@example.com", "remote", "bob@example.com")})
    assert [str(copy.recipient) for copies in deliveries.open().values() for copy in copies] == ["bob@example.com"]
    send(deliveries)
    assert deliveries.answer() == replies.OK


def test_a_discarded_recipient_is_taken() -> None:
    deliveries = Deliveries()
    assert deliveries.admit(Route(path("old"), (), (), True, frozenset())) == replies.RECIPIENT_OK
    assert (deliveries.open(), deliveries.answer()) == ({}, replies.OK)


def test_loops_end_only_what_has_nothing_else() -> None:
    deliveries = Deliveries()
    offer(deliveries, mailing_list("team", "bob"))
    deliveries.drop_loops({"team@example.com"})
    assert deliveries.answer() == replies.FORWARDING_LOOP
    deliveries = Deliveries()
    offer(deliveries, mailing_list("team", "bob"))
    offer(deliveries, direct("ann"))
    deliveries.drop_loops({"team@example.com"})
    send(deliveries)
    assert deliveries.answers() == [replies.FORWARDING_LOOP, QUEUED]
    assert deliveries.answer() == QUEUED
    assert deliveries.left_out() == []


def test_a_failure_comes_before_a_refusal() -> None:
    deliveries = Deliveries()
    for name in ("ann", "bob", "eve"):
        offer(deliveries, direct(name))
    send(deliveries, ann=SPAM, eve=FULL)
    assert deliveries.answer() == FULL
    assert deliveries.answers() == [SPAM, QUEUED, FULL]


def sent_to(*names: str, **said: Reply) -> Deliveries:
    deliveries = Deliveries()
    for name in names:
        offer(deliveries, direct(name))
    send(deliveries, **said)
    return deliveries


def test_a_lasting_refusal_is_no_answer_for_who_has_the_message() -> None:
    deliveries = sent_to("ann", "bob", "eve", bob=SPAM)
    assert (deliveries.answer(), deliveries.contested()) == (replies.COPY_FAILED, {"bob@example.com": SPAM})
    deliveries = sent_to("ann", "bob", ann=FULL, bob=SPAM)
    assert (deliveries.answer(), deliveries.contested()) == (FULL, {"bob@example.com": SPAM})


def test_a_lasting_refusal_of_everybody_is_an_answer() -> None:
    for deliveries in (sent_to("ann", "bob", ann=UNKNOWN, bob=SPAM), sent_to("ann", ann=UNKNOWN)):
        assert (deliveries.answer(), deliveries.contested()) == (UNKNOWN, {})


def test_a_loop_beside_a_refusal_is_no_answer() -> None:
    deliveries = Deliveries()
    offer(deliveries, mailing_list("team", "bob"))
    offer(deliveries, direct("ann"))
    deliveries.drop_loops({"team@example.com"})
    send(deliveries, ann=SPAM)
    assert (deliveries.answer(), deliveries.contested()) == (SPAM, {})


def test_the_downstream_s_own_words_come_before_ours() -> None:
    deliveries = sent_to("ann", "bob", ann=replies.NOTHING_SENT, bob=FULL)
    assert deliveries.answer() == FULL


NAMES = ["ann", "bob", "eve", "kim"]
ROUTES = st.one_of(st.sampled_from(NAMES).map(direct),
                   st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True).map(
                       lambda members: mailing_list("team" + "".join(members), *members)))
SAID = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([FULL, UNKNOWN, SPAM]))


@given(st.lists(ROUTES, min_size=1, max_size=5), SAID, SAID)
def test_nothing_is_answered_250_that_was_not_delivered(routes: list[Route], first: dict[str, Reply],
                                                        second: dict[str, Reply]) -> None:
    deliveries = Deliveries()
    admitted = [route for route in routes if offer(deliveries, route, **first).is_positive]
    assert deliveries.recipients == [str(route.recipient) for route in admitted]
    sent = [copy for copies in deliveries.open().values() for copy in copies]
    assert len({copy.key for copy in sent}) == len(sent)
    send(deliveries, **second)
    delivered = {copy.key for copy in sent if second.get(copy.recipient.local_part, QUEUED).is_positive}
    for route, answer in zip(admitted, deliveries.answers(), strict=True):
        of_route = [copy.key for copy in route.copies]
        assert not answer.is_positive or delivered & {*of_route}
        verdicts = [second.get(copy.recipient.local_part, QUEUED) for copy in sent if copy.key in of_route]
        assert any(400 <= verdict.code < 500 for verdict in verdicts) == (400 <= answer.code < 500)
        rows = {row.recipient for row in deliveries.rows(sent) if row.original_recipient == str(route.recipient).lower()}
        assert rows == delivered & {*of_route}
    again = Deliveries()
    for route in admitted:
        offer(again, route, **first)
    again.recall({*deliveries.rows(sent)})
    assert not delivered & {copy.key for copies in again.open().values() for copy in copies}


@pytest.mark.parametrize(("names", "expected"), [
    (["delivered-to", "received", "delivered-to"], {"a0@x", "a2@x"}), (["return-path", "delivered-to"], {"a1@x"}),
    (["return-path", "delivered-to", "received", "delivered-to", "delivered-to"], {"a3@x", "a4@x"}), ([], set())])
def test_for_whom_a_message_was_forwarded(names: list[str], expected: set[str]) -> None:
    header = [Field(name.encode(), b"%b: <A%d@x>\r\n " % (name.encode(), number)) for number, name in enumerate(names)]
    assert delivered_to(header) == expected


def test_legs_that_agree_are_one_whatever_the_list_says() -> None:
    one = LegKey(Target.REMOTE, JOE, (path("team"),), (TEAM,))
    assert one == replace(one, mailing_lists=()) and hash(one) == hash(replace(one, mailing_lists=()))
