"""End of data and dots, in every cut."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, seed
from hypothesis import strategies as st

from authd.smtp.transparency import END_OF_DATA, DotDecoder, dot_encoded

ODD = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"a", b"\0", b" "])).map(b"".join)
CLEAN = st.lists(st.sampled_from([b"a", b".", b"..", b"\r\n", b" ", b"\xff"])).map(lambda parts: b"".join(parts) + b"\r\n")


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def decode(pieces: list[bytes], *, normalise: bool = False) -> tuple[bytes, bytes | None, bool]:
    decoder = DotDecoder(normalise=normalise)
    content = b""
    for number, piece in enumerate(pieces):
        more, rest = decoder.feed(piece)
        content += more
        if rest is not None:
            return content, rest + b"".join(pieces[number + 1:]), decoder.is_malformed
    return content, None, decoder.is_malformed


def model(data: bytes) -> tuple[bytes, bytes | None, bool]:
    """The same in the most obvious way, on the whole."""
    before, end, rest = (b"\r\n" + data).partition(b"\r\n.\r\n")
    content = before[2:] + (b"\r\n" if end and len(before) >= 2 else b"") if end else data
    if end and not before:
        content = b""
    malformed = bool(re.search(rb"\r(?!\n)|(?<!\r)\n|\0", content))
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n")[2:], rest if end else None, malformed


@seed(1)
@given(ODD, ODD, st.lists(st.integers(0, 100)))
def test_decoding_is_what_it_is_on_the_whole(first: bytes, second: bytes, places: list[int]) -> None:
    data = first + b"\r\n.\r\n" + second
    assert decode(cut(data, places)) == model(data)


@seed(2)
@given(CLEAN, st.lists(st.integers(0, 100)), st.lists(st.integers(0, 100)))
def test_what_is_encoded_decodes_to_the_same(content: bytes, cuts_out: list[int], cuts_in: list[int]) -> None:
    encoded = b"".join(dot_encoded(cut(content, cuts_out))) + END_OF_DATA
    assert encoded.endswith(b"\r\n.\r\n") and b"\r\n.\r\n" not in encoded[:-1]
    assert decode(cut(encoded + b"QUIT\r\n", cuts_in)) == (content, b"QUIT\r\n", False)


def test_the_empty_message() -> None:
    assert decode([b".\r\nNOOP"]) == (b"", b"NOOP", False)
    assert decode([b".", b"\r", b"\n"]) == (b"", b"", False)
    assert b"".join(dot_encoded([])) + END_OF_DATA == b".\r\n"


@pytest.mark.parametrize("form", [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r",
                                  b"\r\n.\r\r\n", b"\r\n\0.\r\n"])
def test_nothing_else_ends_a_message(form: bytes) -> None:
    data = b"a" + form + b"b"
    for size in range(1, 5):
        _, rest, malformed = decode([data[at:at + size] for at in range(0, len(data), size)])
        assert rest is None and malformed


def test_normalising_turns_bare_line_feeds_into_line_ends_and_nothing_else() -> None:
    assert decode([b"a\nb\r\n", b"\n", b".\n", b"\r\n.\r\n"], normalise=True) == (b"a\r\nb\r\n\r\n.\r\n\r\n", b"", False)
    assert decode([b"a\rb\r\n.\r\n"], normalise=True)[2]
    assert decode([b"a\0b\r\n.\r\n"], normalise=True)[2]
