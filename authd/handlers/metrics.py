"""`/metrics`: the numbers of this process for Prometheus, to neighbours only."""

from authd.errors import Denied
from authd.handlers.base import Handler
from authd.identity.addresses import is_within
from authd.metrics import CONTENT_TYPE

_SET_BY_PROXIES = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Via")


class MetricsHandler(Handler):
    """GET in Prometheus' text format 0.0.4. The connection itself must come from `http.metrics_clients`, and nothing may
    say that it was made for somebody else: a proxy on this machine would open it to everybody.
    """

    api = True
    any_host = True

    async def get(self) -> None:
        headers = self.request.headers
        peer = self.request.remote_ip
        if not is_within(peer, self.services.config.http.metrics_clients):
            raise Denied(f"{peer} is not in http.metrics_clients")
        if any(name in headers for name in _SET_BY_PROXIES):
            raise Denied("metrics are not for those who come through a proxy")
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(self.services.metrics.text())
