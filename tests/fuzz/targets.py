"""What is fuzzed: functions of bytes that raise AssertionError, or whatever else goes wrong. No mutation, no corpus here.

The first bytes of an input choose the setting, so that one corpus serves all settings; the rest is what the peer sends.
"""

import itertools
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from authd.docker import scope
from authd.errors import InvalidInput
from authd.smtp import grammar, message, signing_policy
from authd.smtp.grammar import GrammarError, MailParameters, Path, RecipientParameters
from authd.smtp.relay_session import DownstreamError, RelaySession
from authd.smtp.replies import Reply
from authd.smtp.session import EndOfData, Limits
from authd.smtp.srs import NeedsToken, Srs, SrsError, is_shaped
from authd.smtp.transparency import END_OF_DATA, DotDecoder, dot_encoded
from tests.fuzz.driver import Driver, Setting, Transcript, pieces
from tests.fuzz.reference import Reference

LIMITS = Limits(message_size=600, recipients=3, command_line=200, bad_commands=12)
HELD_BACK = 4
NOW = datetime(2026, 11, 24, tzinfo=UTC)
SRS = Srs((b"secret", b"older"))


def cut_sizes(choice: int) -> Iterable[int]:
    """The sizes of the pieces in which bytes arrive: all in one for 0."""
    return itertools.cycle((choice % 8 + 1, choice // 8 + 1)) if choice else ()


def session(data: bytes) -> None:
    """The server's machine does to a stream what the reference says, in pieces as in one."""
    choices, stream = data[:4].ljust(4, b"\0"), data[4:]
    always_yes, dsn, normalise, tls = (bool(choices[1] & bit) for bit in (1, 2, 4, 8))
    setting = Setting(LIMITS, b"" if always_yes else choices[2:4], dsn, normalise, tls)
    driver = Driver(setting)
    for piece in pieces(stream, cut_sizes(choices[0])):
        driver.feed(piece)
        bounded(driver)
    driver.feed(b"")
    agree(driver.transcript(), Reference(setting).read(driver.heard), LIMITS)


def bounded(driver: Driver) -> None:
    """Nothing waits but a command that has not ended."""
    if not driver.session.is_closed:
        assert driver.session.waiting_input <= driver.setting.limits.command_line


def agree(seen: Transcript, right: Transcript, limits: Limits) -> None:
    """Asserts that a session did what the reference did, and that what it accepted goes on unchanged as one message."""
    assert seen.codes == right.codes
    assert seen.noted == right.noted
    assert (seen.is_open, seen.is_closed) == (right.is_open, right.is_closed)
    assert len(seen.messages) == len(right.messages)
    refusals = [event.refusal for event in right.noted if isinstance(event, EndOfData)]
    for content, right_content, refusal in itertools.zip_longest(seen.messages, right.messages, refusals):
        assert len(content) <= limits.message_size
        if refusal is not None:
            assert right_content.startswith(content)
        elif right.is_open and content is seen.messages[-1]:
            assert right_content.startswith(content)
            is_whole = len(right_content) - len(content) <= HELD_BACK
            assert is_whole or len(right_content) > limits.message_size or not is_wellformed(right_content)
        else:
            assert content == right_content and is_wellformed(content)
            passes_unchanged(content)


def is_wellformed(content: bytes) -> bool:
    """Whether line ends are CR LF only, but perhaps at the very end, and no NUL is there."""
    return content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r") and b"\0" not in content


def passes_unchanged(content: bytes) -> None:
    """The next server reads the same content, and it ends where we end it."""
    for size in (len(content) + 1, 3):
        wire = b"".join(dot_encoded(pieces(content, itertools.repeat(size)))) + END_OF_DATA
        decoder = DotDecoder()
        assert decoder.feed(wire + b"RSET\r\n") == (content, b"RSET\r\n")


def downstream(data: bytes) -> None:
    """Whatever the next server says becomes valid replies or a DownstreamError, in pieces as in one."""
    choices, stream = data[:2].ljust(2, b"\0"), data[2:]
    whole, cut = _client(choices[1], [stream]), _client(choices[1], pieces(stream, cut_sizes(choices[0])))
    assert whole == cut
    for reply in whole[0]:
        if reply is not None:
            assert 200 <= reply.code < 600 and bytes(reply).count(b"\n") == len(reply.lines) == bytes(reply).count(b"\r")


def _client(choice: int, arriving: Iterable[bytes]) -> tuple[list[Reply], bool, bool]:
    """The replies that a client takes after EHLO and pipelined commands, whether it is usable, and whether it raised."""
    client = RelaySession("mx", lmtp=bool(choice & 1))
    client.receive(b"220 x\r\n")
    client.next_reply()
    client.ehlo()
    client.receive(b"250-x\r\n250 PIPELINING\r\n")
    client.next_reply()
    if choice & 4:
        client.starttls()
    else:
        client.mail(grammar.NULL_SENDER, MailParameters())
        client.recipient(Path("postmaster", ""), RecipientParameters())
    if choice & 2:
        client.data()
    has_raised = False
    try:
        for piece in arriving:
            client.receive(piece)
    except DownstreamError:
        has_raised = True
        assert not client.is_usable
    return list(iter(client.next_reply, None)), client.is_usable, has_raised


def commands(data: bytes) -> None:
    """What the grammar accepts, it writes so that it accepts it again; it raises nothing but GrammarError."""
    printable = bytes(byte for byte in data if 32 <= byte <= 126)
    if printable != data:
        with pytest.raises(GrammarError):
            grammar.text(data)
    argument = grammar.text(printable)
    for written in (argument, f"FROM:<{argument}>", f"FROM:<a@b> {argument}"):
        try:
            sender, given = grammar.parse_mail(written)
        except GrammarError:
            continue
        _is_bounded(sender)
        again = RelaySession("mx")
        again.extensions = frozenset({"SIZE", "8BITMIME", "DSN", "PIPELINING"})
        assert grammar.parse_mail(_argument(again.mail(sender, given))) == (sender, given)
    for written in (argument, f"TO:<{argument}>", f"TO:<a@b> {argument}"):
        try:
            recipient, wanted = grammar.parse_recipient(written)
        except GrammarError:
            continue
        assert not recipient.is_null
        _is_bounded(recipient)
        again = RelaySession("mx")
        again.extensions = frozenset({"DSN", "PIPELINING"})
        assert grammar.parse_recipient(_argument(again.recipient(recipient, wanted))) == (recipient, wanted)


def _argument(command: bytes) -> str:
    assert command.endswith(b"\r\n")
    return grammar.text(command[:-2]).partition(" ")[2]


def _is_bounded(path: Path) -> None:
    assert len(path.local_part) <= grammar.LONGEST_LOCAL_PART and len(path.domain) <= grammar.LONGEST_DOMAIN
    assert not path.domain or grammar.is_host(path.domain)


def transparency(data: bytes) -> None:
    """Content passes from end to end in any pieces, and only CR LF . CR LF ends it."""
    choices, content = data[:2].ljust(2, b"\0"), data[2:]
    assert b"".join(dot_encoded(pieces(content, cut_sizes(choices[0])))) == b"".join(dot_encoded([content]))
    lines = content + b"\r\n"
    passes_unchanged(lines)
    decoder, rest = DotDecoder(normalise=bool(choices[1] & 1)), None
    for piece in pieces(content, cut_sizes(choices[0])):
        _, rest = decoder.feed(piece)
        if rest is not None:
            break
    assert (rest is not None) == (content.startswith(END_OF_DATA) or b"\r\n" + END_OF_DATA in content)


def header(data: bytes) -> None:
    """Every byte of a header is in a field, and an author is a domain or nobody."""
    found = message.fields(data)
    assert b"\r\n".join(field.raw for field in found) == data.rstrip(b"\r\n")
    for value in (data, *(field.value for field in found)):
        domain = signing_policy.author_domain(value)
        assert domain is None or (grammar.is_domain(domain) and domain == domain.lower() and b"@" in value)
    for sender in (grammar.NULL_SENDER, Path("a", "example.com")):
        candidate = signing_policy.candidate(sender, found, originated=False)
        assert bool(candidate.domain) != bool(candidate.reason)
        assert not candidate.domain or message.count(found, b"from") == 1


def srs(data: bytes) -> None:
    """An address leads back to the sender that it was made of; anything else is an SrsError."""
    local_part = data.decode("latin-1")
    with suppress(SrsError):
        assert SRS.reverse(Path(local_part, "example.com"), NOW) is not None
    try:
        sender = grammar.parse_mail(f"FROM:<{local_part}>")[0]
    except GrammarError:
        return
    if sender.is_null or is_shaped(sender.local_part):
        return
    rewritten = SRS.forward(sender, "example.com", NOW)
    back = SRS.reverse(rewritten.sender, NOW)
    if rewritten.token is None:
        assert back == sender
    else:
        assert back == NeedsToken(rewritten.token.token) and rewritten.token.sender == sender


def scopes(data: bytes) -> None:
    """A scope is read or refused, and what is read is written so that it is read again."""
    try:
        found = scope.parse([data.decode("latin-1")])
    except InvalidInput:
        return
    for one in found:
        kind = f"{one.type}({one.class_})" if one.class_ else one.type
        assert scope.parse([f"{kind}:{one.name}:{','.join(sorted(one.actions))}"]) == (one,)


TARGETS: dict[str, Callable[[bytes], None]] = {target.__name__: target for target in (
    session, downstream, commands, transparency, header, srs, scopes)}
