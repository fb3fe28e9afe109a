"""Registry tokens: by refresh token, and by a password that was checked a moment ago, beside the signature alone."""

import json
from base64 import b64encode
from collections.abc import Iterator
from statistics import median
from urllib.parse import quote

from . import workers
from .comparison import ROUNDS, measured
from .host import Host
from .http_load import Load, Outcome, get, measure, post
from .population import PASSWORD, REGISTRY
from .report import Measurement
from .targets import MILLISECONDS, TARGETS

_REQUESTS = 2000
_SIGNATURES = 2000
_LIMIT = "RSA-2048 signatures on one core"
_SCOPE = "repository:app:pull"


def docker(host: Host) -> Iterator[Measurement]:
    """A token each, for one repository."""
    credentials = b64encode(f"{host.people[0]}:{PASSWORD}".encode()).decode()
    path = f"/docker/token/?service={REGISTRY}&scope={quote(_SCOPE)}"
    by_password = get(path, Authorization=f"Basic {credentials}")
    with host.serving():
        [first] = measure(Load(host.http_port, [get(f"{path}&offline_token=true", Authorization=f"Basic {credentials}")], 1,
                               keep="body")).kept
        by_refresh = post("/docker/token/", {
            "grant_type": "refresh_token", "service": REGISTRY, "client_id": "bench", "scope": _SCOPE,
            "refresh_token": json.loads(first)["refresh_token"]})
        for name, request in (("docker_refresh", by_refresh), ("docker_password", by_password)):
            outcomes: list[Outcome] = []
            limits: list[float] = []
            for _ in range(ROUNDS):
                outcomes.append(measure(Load(host.http_port, [request], _REQUESTS)))
                limits.append(float(workers.answer("references", "rsa", str(_SIGNATURES))))
            yield measured(name, median(one.per_second for one in outcomes), median(limits), _LIMIT)
            p99 = 1000 * median(one.p99 for one in outcomes)
            yield Measurement(f"{name}_p99", TARGETS[f"{name}_p99"].title, p99, MILLISECONDS)
