"""Where a recipient's mail goes: from what the database says of addresses to the copies that are sent (smtp.md section 5).

Pure. Which kind an address is decides authd.resolve_recipient in PostgreSQL; here is what follows from it: members of
lists and targets of redirects, senders, loops, and to which of our neighbours each copy goes.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from authd.smtp import replies
from authd.smtp.grammar import Path
from authd.smtp.replies import Reply
from authd.smtp.srs import NeedsToken, Srs, SrsError, Token

DEEPEST = 10  # lists in lists and redirects to redirects


class Kind(StrEnum):
    """What authd.resolve_recipient says of an address."""

    FOREIGN = "foreign"
    SRS = "srs"
    REDIRECT = "redirect"
    ACCOUNT = "account"
    LIST = "list"
    BLOCKED = "blocked"
    INACTIVE = "inactive"
    POSTMASTER = "postmaster"
    UNKNOWN = "unknown"


class Target(StrEnum):
    """A neighbour that takes copies."""

    LOCAL = "local delivery"
    REMOTE = "remote relay"
    TRANSACTIONAL = "transactional relay"


@dataclass(frozen=True, slots=True)
class MailingList:
    """A list with its members. `new_mailfrom`: the sender of what it sends out; `owner`: who hears of refused members;
    `address`: the oldest of its own, known only of a list that `has_headers`.
    """

    id: int
    name: str
    members: tuple[Path, ...]
    new_mailfrom: Path | None = None
    owner: Path | None = None
    address: Path | None = None
    has_headers: bool = False


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the database says of `address`. Which of the last four are set depends on the kind; `redirect_to` without a
    local part is a domain that takes every local part. Senders are rewritten under `srs_domain`.
    """

    address: Path
    kind: Kind
    srs_domain: str | None = None
    primary_address: Path | None = None
    redirect_to: Path | None = None
    mailing_list: MailingList | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """The envelope sender. `is_ours`: its domain is one of ours; `is_transactional`: which may use the transactional relay."""

    path: Path
    is_ours: bool = False
    is_transactional: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says."""

    postmaster: Path | None = None
    passes_unknown: bool = False
    discards_blocked: bool = False
    rewrites_to_primary: bool = False
    relays_foreign: bool = True
    has_transactional_relay: bool = False


@dataclass(frozen=True, slots=True)
class LegKey:
    """Copies that agree in this travel in one transaction. `forwarded_for`: every address on the way that another stands
    in for, the first one given first; empty for mail that is not forwarded. `mailing_lists`: the lists among them.
    """

    target: Target
    sender: Path
    forwarded_for: tuple[Path, ...] = ()
    mailing_lists: tuple[MailingList, ...] = field(default=(), compare=False)

    @property
    def mailing_list(self) -> MailingList | None:
        """The list that the recipients are members of: the last one on the way."""
        return self.mailing_lists[-1] if self.mailing_lists else None


@dataclass(frozen=True, slots=True)
class Copy:
    """One recipient on a leg."""

    leg: LegKey
    recipient: Path

    @property
    def key(self) -> str:
        """The same for all spellings of the recipient."""
        return self.recipient.key


@dataclass(frozen=True, slots=True)
class Refused:
    """An address that gets no copy, and why. `mailing_list`: the list that it is a member of."""

    address: Path
    reply: Reply
    mailing_list: MailingList | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """All that becomes of one recipient. `tokens` are stored before a copy is sent."""

    recipient: Path
    copies: tuple[Copy, ...]
    refused: tuple[Refused, ...]
    is_discarded: bool
    tokens: frozenset[Token]

    @property
    def refusal(self) -> Reply | None:
        """Why the recipient as a whole is refused, if it is."""
        if self.copies or self.is_discarded:
            return None
        return self.refused[0].reply if self.refused else replies.FORWARDING_LOOP


@dataclass(frozen=True, slots=True)
class _Step:
    """An address on the way, and what brought us to it. `is_settled`: the sender is not rewritten any more."""

    address: Path
    sender: Path
    is_settled: bool
    forwarded_for: tuple[Path, ...] = ()
    mailing_lists: tuple[MailingList, ...] = ()


class Expansion:
    """Follows one recipient to its copies, level by level: as long as there is something in `wanted` or `wanted_tokens`,
    the caller looks it up and gives it to `feed` or `feed_tokens`. Then `route` is complete.
    """

    def __init__(self, recipient: Path, sender: Sender, rules: Rules, srs: Srs, now: datetime) -> None:
        self._recipient = recipient
        self._sender = sender
        self._rules = rules
        self._srs = srs
        self._now = now
        self._level = [_Step(recipient, sender.path, sender.is_ours or sender.path.is_null)]
        self._returning: dict[str, list[_Step]] = {}
        self._visited = {recipient.key}
        self._copies: dict[str, Copy] = {}
        self._refused: list[Refused] = []
        self._is_discarded = False
        self._tokens: set[Token] = set()

    @property
    def wanted(self) -> tuple[Path, ...]:
        """The addresses that have to be resolved next."""
        return tuple(step.address for step in self._level)

    @property
    def wanted_tokens(self) -> tuple[str, ...]:
        """The tokens whose senders have to be looked up."""
        return tuple(self._returning)

    def feed(self, resolved: Sequence[Resolved]) -> None:
        """Takes what the database says of the addresses in `wanted`, in their order."""
        steps, self._level = self._level, []
        for step, found in zip(steps, resolved, strict=True):
            self._take(step, found)

    def feed_tokens(self, senders: dict[str, Path]) -> None:
        """Takes the senders that the database knows under the tokens in `wanted_tokens`."""
        returning, self._returning = self._returning, {}
        for token, steps in returning.items():
            for step in steps:
                if token in senders:
                    self._send(Target.REMOTE, step, senders[token])
                else:
                    self._refuse(step, replies.SRS_INVALID)

    @property
    def route(self) -> Route:
        """What has become of the recipient."""
        return Route(self._recipient, tuple(self._copies.values()), tuple(self._refused), self._is_discarded,
                     frozenset(self._tokens))

    def _take(self, step: _Step, found: Resolved) -> None:
        match found.kind:
            case Kind.FOREIGN:
                self._relay(step)
            case Kind.SRS:
                self._return(step, found)
            case Kind.REDIRECT if found.redirect_to is not None:
                target = found.redirect_to
                self._forward(step, found, [target if target.local_part else Path(step.address.local_part, target.domain)])
            case Kind.LIST if found.mailing_list is not None:
                self._forward(step, found, found.mailing_list.members)
                if not found.mailing_list.members:
                    self._refuse(step, replies.LIST_UNUSABLE)
            case Kind.ACCOUNT:
                primary = found.primary_address if self._rules.rewrites_to_primary else None
                self._send(Target.LOCAL, step, primary or step.address)
            case Kind.POSTMASTER if self._rules.postmaster is not None:
                self._forward(step, found, [self._rules.postmaster])
            case Kind.POSTMASTER if found.primary_address is not None:
                self._send(Target.LOCAL, step, found.primary_address)
            case Kind.BLOCKED if self._rules.discards_blocked:
                self._is_discarded = True
            case Kind.BLOCKED:
                self._refuse(step, replies.MAILBOX_BLOCKED)
            case _ if self._rules.passes_unknown:
                self._send(Target.LOCAL, step, step.address)
            case _:
                self._refuse(step, replies.MAILBOX_UNKNOWN)

    def _relay(self, step: _Step) -> None:
        if step.forwarded_for:
            self._send(Target.REMOTE, step, step.address)
        elif not self._rules.relays_foreign:
            self._refuse(step, replies.RELAYING_DENIED)
        elif self._rules.has_transactional_relay and self._sender.is_transactional:
            self._send(Target.TRANSACTIONAL, step, step.address)
        else:
            self._send(Target.REMOTE, step, step.address)

    def _return(self, step: _Step, found: Resolved) -> None:
        """Mail to a sender that was rewritten here goes back to where that sender is."""
        try:
            original = self._srs.reverse(step.address, self._now)
        except SrsError:
            self._refuse(step, replies.SRS_INVALID)
            return
        after = self._after(step, found)
        if isinstance(original, NeedsToken):
            self._returning.setdefault(original.token, []).append(after)
        else:
            self._send(Target.REMOTE, after, original)

    def _forward(self, step: _Step, found: Resolved, addresses: Iterable[Path]) -> None:
        after = self._after(step, found)
        for address in addresses:
            if address.key in self._visited:
                continue
            self._visited.add(address.key)
            if len(after.forwarded_for) > DEEPEST:
                self._refuse(after, replies.FORWARDING_LOOP)
            else:
                self._level.append(_Step(address, after.sender, after.is_settled, after.forwarded_for, after.mailing_lists))

    def _after(self, step: _Step, found: Resolved) -> _Step:
        """The step with the address that was just found to be forwarded behind it, and the sender that it sends with."""
        sender, is_settled = step.sender, step.is_settled
        new_mailfrom = found.mailing_list.new_mailfrom if found.mailing_list is not None else None
        if sender.is_null:
            pass
        elif new_mailfrom is not None:
            sender, is_settled = new_mailfrom, True
        elif not is_settled and found.srs_domain is not None:
            rewritten = self._srs.forward(sender, found.srs_domain, self._now)
            if rewritten.token is not None:
                self._tokens.add(rewritten.token)
            sender, is_settled = rewritten.sender, True
        lists = step.mailing_lists if found.mailing_list is None else (*step.mailing_lists, found.mailing_list)
        return _Step(step.address, sender, is_settled, (*step.forwarded_for, step.address), lists)

    def _send(self, target: Target, step: _Step, recipient: Path) -> None:
        copy = Copy(LegKey(target, step.sender, step.forwarded_for, step.mailing_lists), recipient)
        self._copies.setdefault(copy.key, copy)

    def _refuse(self, step: _Step, reply: Reply) -> None:
        self._refused.append(Refused(step.address, reply, step.mailing_lists[-1] if step.mailing_lists else None))


def is_loop(leg: LegKey, delivered_to: Collection[str]) -> bool:
    """Whether the message was forwarded for one of the leg's addresses before; `delivered_to` (lower case) is its header's."""
    return any(address.key in delivered_to for address in leg.forwarded_for)
