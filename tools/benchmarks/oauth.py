"""The OAuth2 endpoints: authd beside a handler that only runs the same statements, and beside an independent provider."""

import json
from collections.abc import Iterator
from functools import partial
from statistics import median

from . import workers
from .comparison import HELLO, ROUNDS, hello, measured
from .host import Host
from .http_load import Load, Outcome, get, measure, post
from .population import REDIRECT_URI
from .providers import VERIFIER, Provider, authd, bare, oidc_provider
from .report import Measurement
from .rounds import alternate
from .targets import MILLISECONDS, PER_SECOND, TARGETS

_CHEAP, _DEAR, _KEYS = 1500, 600, 1000
_BARE = "the same statements and signature without authd"
_Round = dict[str, Outcome]


def oauth(host: Host) -> Iterator[Measurement]:
    """Every grant, introspection, and the published keys."""
    with host.serving(), bare(host) as limit, oidc_provider(host) as peer:
        ours = authd(host)
        contestants = [ours, limit, *([peer] if peer is not None else [])]
        results = alternate(ROUNDS, *(partial(_grants, contestant) for contestant in contestants))
        for name in results[0][0]:
            yield from _figures(name, *([one[name] for one in rounds] for rounds in results), limit_title=_BARE)
        yield from _jwks(host, "oauth_jwks_1", ours, peer)
        host.publish_keys(_KEYS - len(_published(host, ours)["keys"]))
        workers.wait_until(lambda: len(_published(host, ours)["keys"]) == _KEYS, "the new keys are not published")
        yield from _jwks(host, "oauth_jwks_1000", ours, None)


def _grants(provider: Provider) -> _Round:
    """One round of everything that a client with a secret asks for."""
    client = {"client_id": provider.host.client_id, "client_secret": provider.host.client_secret}
    token = partial(post, provider.token)
    own = measure(Load(provider.port, [token({"grant_type": "client_credentials", **client})], _CHEAP, keep="body"))
    exchanged = _once(provider, [token({
        "grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER, "redirect_uri": REDIRECT_URI, **client,
    }) for code in provider.codes(_DEAR)])
    refreshed = _once(provider, [token({
        "grant_type": "refresh_token", "refresh_token": json.loads(body)["refresh_token"], **client,
    }) for body in exchanged.kept])
    questions = [post(provider.introspection, {"token": json.loads(body)["access_token"], **client}) for body in own.kept[:100]]
    introspected = measure(Load(provider.port, questions, _CHEAP))
    return {"oauth_client_credentials": own, "oauth_code": exchanged, "oauth_refresh": refreshed,
            "oauth_introspection": introspected}


def _once(provider: Provider, requests: list[str]) -> Outcome:
    return measure(Load(provider.port, requests, len(requests), keep="body"))


def _jwks(host: Host, name: str, ours: Provider, peer: Provider | None) -> Iterator[Measurement]:
    """Beside Tornado sending as many bytes."""
    with host.get(ours.jwks) as answer:
        size = len(answer.read())
    with hello(host) as bare_port:
        results = alternate(
            ROUNDS, partial(_fetched, ours.port, ours.jwks), partial(_fetched, bare_port, f"/bytes/{size}"),
            *([partial(_fetched, peer.port, peer.jwks)] if peer is not None else []))
    yield from _figures(name, *results, limit_title=f"{HELLO} with as many bytes")


def _published(host: Host, ours: Provider) -> dict[str, list[object]]:
    with host.get(ours.jwks) as answer:
        found: dict[str, list[object]] = json.load(answer)
    return found


def _fetched(port: int, path: str) -> Outcome:
    return measure(Load(port, [get(path)], _CHEAP))


def _figures(name: str, ours: list[Outcome], limit: list[Outcome], peer: list[Outcome] | None = None, *,
             limit_title: str) -> Iterator[Measurement]:
    """A rate, its 99th percentile, and the peer's rate where there is one."""
    yield measured(name, _rate(ours), _rate(limit), limit_title)
    yield Measurement(f"{name}_p99", f"{TARGETS[name].title}, p99", _p99(ours), MILLISECONDS, None, _p99(limit), limit_title)
    if peer is not None:
        yield Measurement(f"{name}_oidc_provider", f"{TARGETS[name].title}: oidc-provider in memory", _rate(peer), PER_SECOND)


def _rate(outcomes: list[Outcome]) -> float:
    return median(one.per_second for one in outcomes)


def _p99(outcomes: list[Outcome]) -> float:
    return 1000 * median(one.p99 for one in outcomes)
