"""Recipients that may not come together."""

from authd.smtp.apart import TOGETHER, Apart
from authd.smtp.replies import Reply

SPAM, UNKNOWN = Reply(554, (b"spam",)), Reply(550, (b"unknown",))


def test_the_same_refusal_makes_a_group() -> None:
    apart = Apart()
    assert apart.group("joe@a.example", "ann@b.example") == TOGETHER
    apart.set_apart("Joe@a.example", {"ann@B.example": SPAM, "bob@b.example": SPAM, "eve@b.example": UNKNOWN})
    ann, bob, eve = (apart.group("joe@A.example", f"{name}@b.example") for name in ("Ann", "bob", "eve"))
    assert ann == bob != eve and TOGETHER not in (ann, eve)
    assert apart.group("other@a.example", "ann@b.example") == apart.group("joe@a.example", "kim@b.example") == TOGETHER


def test_a_group_whose_members_differ_is_divided() -> None:
    apart = Apart()
    apart.set_apart("", {"ann": SPAM, "bob": SPAM})
    apart.set_apart("", {"ann": SPAM})
    assert apart.group("", "ann") != apart.group("", "bob")


def test_who_had_an_answer_is_like_anybody_else() -> None:
    apart = Apart()
    apart.set_apart("", {"ann": SPAM, "bob": SPAM})
    apart.discard("", ["Ann", "kim"])
    assert apart.group("", "ann") == TOGETHER != apart.group("", "bob")


def test_the_oldest_go_first() -> None:
    apart = Apart(most=2)
    for name in ("a", "b", "a", "c"):
        apart.set_apart("", {name: SPAM})
    assert [name for name in "abc" if apart.group("", name)] == ["a", "c"]
