"""Every number that authd shows to Prometheus: names, labels, and where each is read when somebody asks.

Parts count in plain attributes and know nothing of this module; only requests are counted here. Who may ask is decided
in `handlers/metrics.py`. Labels never hold what a client sent.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from authd import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # seconds
_LES = (*map(str, _BOUNDS), "+Inf")


class MessageCounts(Protocol):
    """What became of the messages of a signer."""

    accepted: int
    deferred: int
    refused: int
    signed: int

    @property
    def unsigned(self) -> Mapping[str, int]:
        """How many were passed on without a signature, by reason."""


class Signer(Protocol):
    """A listener that signs."""

    @property
    def counts(self) -> MessageCounts:
        """Since it was made."""

    @property
    def connections(self) -> int:
        """Clients connected now."""


class ForwardCounts(Protocol):
    """What became of the messages of the forwarder, and of members of lists that were left out."""

    accepted: int
    deferred: int
    refused: int
    left_out: int


class Forwarder(Protocol):
    """A listener that forwards."""

    @property
    def counts(self) -> ForwardCounts:
        """Since it was made."""

    @property
    def connections(self) -> int:
        """Clients connected now."""


class Budget(Protocol):
    """Bytes of messages that are held, and how many transactions wait for memory."""

    @property
    def in_memory(self) -> int: ...
    @property
    def in_files(self) -> int: ...
    @property
    def waiting(self) -> int: ...


class Spools(Protocol):
    """Where messages are while they pass through."""

    @property
    def budget(self) -> Budget: ...


class Vault(Protocol):
    """How the credentials from Vault stand: `trouble` is empty where all is well, `done` counts steps by their name,
    with "failed to " before it where one failed."""

    @property
    def trouble(self) -> str: ...
    @property
    def seconds_left(self) -> float: ...
    @property
    def done(self) -> Mapping[str, int]: ...


class Metrics:
    """The metrics of one daemon. `busy_connections`, `pending_hashes`, `logins` (counts by outcome) and `tokens` (counts by
    kind and grant) are read at each scrape; so are `signers`, by listening address, `forwarder`, `spools` and `vault`, which
    whoever starts those sets. `started` is in seconds since 1970.
    """

    def __init__(self, *, started: float, busy_connections: Callable[[], int], pending_hashes: Callable[[], int],
                 logins: Mapping[str, int], tokens: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        self._started = started
        self._busy_connections = busy_connections
        self._pending_hashes = pending_hashes
        self._logins = logins
        self._tokens = tokens
        self._requests: dict[tuple[type, int], _Latency] = {}
        self.signers: dict[str, Signer] = {}
        self.forwarder: Forwarder | None = None
        self.spools: Spools | None = None
        self.vault: Callable[[], Vault] | None = None
        self._registry = CollectorRegistry()
        self._registry.register(_Reader(self._all))

    def request(self, handler: type, status: int, seconds: float) -> None:
        """Counts a request that `handler` answered."""
        key = handler, status // 100
        latency = self._requests.get(key)
        if latency is None:
            latency = self._requests[key] = _Latency()
        latency.observe(seconds)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def _all(self) -> Iterator[Metric]:
        yield self._gauge("authd_process_start_time_seconds", "When authd began to serve, as Unix time.", self._started)
        build = GaugeMetricFamily("authd_build_info", "The version that runs; always 1.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield self._request_seconds()
        logins = CounterMetricFamily("authd_logins", "Attempts to prove a password, by outcome.", labels=["outcome"])
        for outcome, count in self._logins.items():
            logins.add_metric([outcome], count)
        yield logins
        tokens = CounterMetricFamily("authd_tokens_issued", "Codes and tokens handed out.", labels=["kind", "grant"])
        for labels, count in self._tokens().items():
            tokens.add_metric(labels, count)
        yield tokens
        yield self._gauge("authd_database_connections_busy", "Pooled connections in use.", self._busy_connections())
        yield self._gauge("authd_password_hashes_pending", "Password hashes that run or wait.", self._pending_hashes())
        if self.signers:
            yield from self._mail()
        if self.forwarder is not None:
            yield from self._forwarded(self.forwarder)
        if self.spools is not None:
            yield from self._held(self.spools.budget)
        if self.vault is not None:
            yield from self._lease(self.vault())

    def _request_seconds(self) -> Metric:
        family = HistogramMetricFamily(
            "authd_http_request_seconds", "Time to answer a request, by handler and class of status.",
            labels=["handler", "status"])
        for (handler, status_class), latency in self._requests.items():
            family.add_metric(
                [_label(handler), f"{status_class}xx"], list(zip(_LES, accumulate(latency.counts), strict=True)), latency.total)
        return family

    def _mail(self) -> Iterator[Metric]:
        messages = CounterMetricFamily(
            "authd_signer_messages", "Messages, by what the signer answered.", labels=["listener", "outcome"])
        signed = CounterMetricFamily("authd_signer_signed", "Messages that were signed.", labels=["listener"])
        unsigned = CounterMetricFamily(
            "authd_signer_unsigned", "Messages that needed no signature of ours, by reason.", labels=["listener", "reason"])
        connections = GaugeMetricFamily("authd_signer_connections", "Clients connected to the signer.", labels=["listener"])
        for listener, signer in self.signers.items():
            counts = signer.counts
            messages.add_metric([listener, "accepted"], counts.accepted)
            messages.add_metric([listener, "deferred"], counts.deferred)
            messages.add_metric([listener, "refused"], counts.refused)
            signed.add_metric([listener], counts.signed)
            for reason, count in counts.unsigned.items():
                unsigned.add_metric([listener, reason], count)
            connections.add_metric([listener], signer.connections)
        yield from (messages, signed, unsigned, connections)

    def _forwarded(self, forwarder: Forwarder) -> Iterator[Metric]:
        counts = forwarder.counts
        messages = CounterMetricFamily(
            "authd_forwarder_messages", "Messages, by what the forwarder answered.", labels=["outcome"])
        for outcome in ("accepted", "deferred", "refused"):
            messages.add_metric([outcome], getattr(counts, outcome))
        yield messages
        left_out = CounterMetricFamily("authd_forwarder_left_out", "Members of lists that were refused for good and left out.")
        left_out.add_metric([], counts.left_out)
        yield left_out
        yield self._gauge("authd_forwarder_connections", "Clients connected to the forwarder.", forwarder.connections)

    def _held(self, budget: Budget) -> Iterator[Metric]:
        yield self._gauge("authd_mail_memory_bytes", "Memory that is reserved for messages.", budget.in_memory)
        yield self._gauge("authd_mail_spool_bytes", "Bytes of messages in temporary files.", budget.in_files)
        yield self._gauge("authd_mail_memory_waiting", "Transactions that wait for memory.", budget.waiting)

    def _lease(self, vault: Vault) -> Iterator[Metric]:
        yield self._gauge("authd_vault_lease_seconds", "How long the database credentials still hold.", vault.seconds_left)
        yield self._gauge("authd_vault_trouble", "1 while something about Vault fails; see the log.", bool(vault.trouble))
        steps = CounterMetricFamily("authd_vault_steps", "What was done in Vault, and how often it failed.",
                                    labels=["step", "outcome"])
        for name, count in vault.done.items():
            step = name.removeprefix("failed to ")
            steps.add_metric([step, "done" if step == name else "failed"], count)
        yield steps

    @staticmethod
    def _gauge(name: str, help: str, value: float) -> Metric:
        return GaugeMetricFamily(name, help, value=value)


class _Latency:
    """How many requests took how long: a count for each bound, and one for what took longer."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * len(_LES)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(_BOUNDS, seconds)] += 1
        self.total += seconds


class _Reader(Collector):
    """Lets the registry read."""

    def __init__(self, read: Callable[[], Iterator[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        return self._read()


def _label(handler: type) -> str:
    """`login.SignIn` for authd.handlers.login.SignInHandler: names repeat from one module to another."""
    return f"{handler.__module__.removeprefix('authd.handlers.')}.{handler.__name__.removesuffix('Handler')}"
