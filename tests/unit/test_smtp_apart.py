"""Recipients that come alone."""

from authd.smtp.apart import Apart


def test_a_pair_is_known_in_any_case_until_it_is_discarded() -> None:
    apart = Apart()
    assert ("joe@a.example", "ann@b.example") not in apart
    apart.add("Joe@a.example", "ann@B.example")
    assert ("joe@A.example", "Ann@b.example") in apart and ("joe@a.example", "bob@b.example") not in apart
    apart.discard("joe@a.example", "ann@b.example")
    apart.discard("joe@a.example", "ann@b.example")
    assert ("joe@a.example", "ann@b.example") not in apart


def test_the_oldest_pairs_go_first() -> None:
    apart = Apart(most=2)
    for name in ("a", "b", "a", "c"):
        apart.add("", name)
    assert [name for name in "abc" if ("", name) in apart] == ["a", "c"]
