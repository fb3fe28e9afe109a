"""Replies on the wire, and what becomes of a downstream's."""

import pytest

from authd.smtp import replies
from authd.smtp.replies import Reply, passed_on


def test_replies_on_the_wire() -> None:
    assert bytes(replies.OK) == b"250 2.0.0 Ok\r\n"
    assert bytes(Reply(250, (b"a", b"", b"c"))) == b"250-a\r\n250-\r\n250 c\r\n"
    assert str(Reply(550, (b"5.1.1 no", b"such user"))) == "550 5.1.1 no such user"
    assert bytes(replies.extensions("mx", ["A", "B"])) == b"250-mx\r\n250-A\r\n250 B\r\n"
    assert bytes(replies.greeting("mx")) == b"220 mx ESMTP authd\r\n"


@pytest.mark.parametrize("name", [name for name in dir(replies) if isinstance(getattr(replies, name), Reply)])
def test_every_reply_carries_an_enhanced_code_of_its_class(name: str) -> None:
    reply: Reply = getattr(replies, name)
    if reply.code != 354:
        assert reply.lines[0].startswith(str(reply.code)[0].encode() + b".")
    assert len(bytes(reply)) < 128


@pytest.mark.parametrize("code", [250, 251, 252, 450, 451, 452, 455, 499, 501, 550, 551, 552, 553, 554, 555, 556, 571])
def test_what_is_about_the_mail_is_passed_on_as_it_is(code: int) -> None:
    reply = Reply(code, (b"1.2.3 whatever", b"more"))
    assert passed_on(reply) is reply


@pytest.mark.parametrize("code", [500, 502, 503, 504, 521, 530, 535, 354, 421])
def test_what_is_about_the_dialogue_never_bounces(code: int) -> None:
    assert passed_on(Reply(code, (b"x",))).code == 451
