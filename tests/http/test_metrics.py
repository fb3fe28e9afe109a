"""`/metrics`: what it says, and to whom."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tornado.httpclient import HTTPResponse

from authd import __version__
from authd.config import Settings
from authd.config.settings import HttpSettings
from authd.config.values import networks
from authd.smtp.signer import Counts
from authd.vault.keeper import Status
from tests.fixtures.oauth import SECRET, add_client
from tests.http.support import Browser, Site, add_account, json_of, site_settings, text

pytestmark = pytest.mark.gen_test

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class StillSigner:
    """A signer as the metrics see it."""

    counts: Counts = field(default_factory=lambda: Counts(5, 2, 1, signed=4, unsigned=Counter(no_key=1)))
    connections: int = 3


def samples(answer: HTTPResponse) -> Samples:
    """Every sample by its name and labels, none twice."""
    assert answer.code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found: Samples = {}
    for family in text_string_to_metric_families(text(answer)):
        assert family.name.startswith("authd_") and family.documentation
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


async def scrape(browser: Browser) -> Samples:
    return samples(await browser.get("/metrics"))


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


async def test_what_is_always_there(browser: Browser, site: Site) -> None:
    found = await scrape(browser)
    assert value(found, "authd_build_info", version=__version__) == 1
    assert value(found, "authd_process_start_time_seconds") == site.clock().timestamp()
    assert value(found, "authd_database_connections_busy") == 0
    assert value(found, "authd_password_hashes_pending") == 0
    assert not any(name.startswith(("authd_signer", "authd_vault")) for name, _ in found)


async def test_requests_count_by_handler_and_status_class_never_by_path(browser: Browser) -> None:
    for path in ("/health/", "/health", "/health/?token=hidden", "/nowhere-1", "/nowhere-2"):
        await browser.get(path)
    found = await scrape(browser)
    count = "authd_http_request_seconds_count"
    assert value(found, count, handler="health.Health", status="2xx") == 3
    assert value(found, count, handler="base.NotFound", status="4xx") == 2
    assert value(found, "authd_http_request_seconds_bucket", handler="health.Health", status="2xx", le="+Inf") == 3
    assert (value(found, "authd_http_request_seconds_sum", handler="health.Health", status="2xx") or 0) > 0
    assert not any("nowhere" in label or "hidden" in label for _, labels in found for _, label in labels)
    await browser.get("/health/")
    assert value(await scrape(browser), count, handler="health.Health", status="2xx") == 4


async def test_buckets_are_cumulative(browser: Browser, site: Site) -> None:
    for seconds in (0.001, 0.005, 0.3, 60.0):
        site.services.metrics.request(StillSigner, 204, seconds)
    found = await scrape(browser)
    labels = {"handler": "tests.http.test_metrics.StillSigner", "status": "2xx"}
    counts = [value(found, "authd_http_request_seconds_bucket", le=le, **labels)
              for le in ("0.005", "0.25", "0.5", "10.0", "+Inf")]
    assert counts == [2, 2, 3, 3, 4]


async def test_logins_count_by_outcome(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com")
    assert (await browser.sign_in("alice@example.com", "wrong")).code != 303
    assert (await browser.sign_in("alice@example.com")).code == 303
    found = await scrape(browser)
    assert value(found, "authd_logins_total", outcome="proven") == 1
    assert value(found, "authd_logins_total", outcome="invalid_credentials") == 1


async def test_tokens_count_by_kind_and_grant(browser: Browser, site: Site) -> None:
    await add_client(site.database, "app")
    form = {"client_id": "app", "client_secret": SECRET, "grant_type": "client_credentials"}
    for _ in range(2):
        assert (await browser.post("/o2/token/", form)).code == 200
    assert (await browser.post("/o2/token/", form | {"client_secret": "wrong"})).code == 401
    assert (await browser.post("/o2/token/", form | {"grant_type": "hidden"})).code == 400
    site.services.docker.issued["docker_token", "anonymous"] += 1  # registries are in test_docker
    found = await scrape(browser)
    assert value(found, "authd_tokens_issued_total", kind="access_token", grant="client_credentials") == 2
    assert value(found, "authd_tokens_issued_total", kind="docker_token", grant="anonymous") == 1
    assert not any("hidden" in label for _, labels in found for _, label in labels)


async def test_mail_and_vault(browser: Browser, site: Site) -> None:
    site.services.metrics.signers["127.0.0.1:10036"] = StillSigner()
    site.services.metrics.vault = lambda: Status("cannot renew", 12.5, {"renew the lease": 7, "failed to renew the lease": 2})
    found = await scrape(browser)
    listener = "127.0.0.1:10036"
    outcomes = [value(found, "authd_signer_messages_total", listener=listener, outcome=outcome)
                for outcome in ("accepted", "deferred", "refused")]
    assert outcomes == [5, 2, 1]
    assert value(found, "authd_signer_signed_total", listener=listener) == 4
    assert value(found, "authd_signer_unsigned_total", listener=listener, reason="no_key") == 1
    assert value(found, "authd_signer_connections", listener=listener) == 3
    assert value(found, "authd_vault_lease_seconds") == 12.5
    assert value(found, "authd_vault_trouble") == 1
    assert value(found, "authd_vault_steps_total", step="renew the lease", outcome="done") == 7
    assert value(found, "authd_vault_steps_total", step="renew the lease", outcome="failed") == 2


async def test_any_host_and_either_spelling(browser: Browser) -> None:
    for path in ("/metrics", "/metrics/"):
        samples(await browser.get(path, Host="10.0.0.1:8080"))
    assert (await browser.post("/metrics", {})).code == 405


@pytest.mark.parametrize("header", ["X_Forwarded_For", "X_Forwarded_Host", "X_Forwarded_Proto", "Forwarded", "Via"])
async def test_nobody_through_a_proxy_though_we_do_not_trust_it(browser: Browser, header: str) -> None:
    for said in ("127.0.0.1", ""):
        answer = await browser.get("/metrics", **{header: said})
        assert (answer.code, json_of(answer)["error"]) == (403, "access_denied")


class TestBehindATrustedProxy:
    """The proxy is on this machine, from where metrics are allowed."""

    @pytest.fixture
    def settings(self, base_url: str) -> Settings:
        return site_settings(base_url, http=HttpSettings(public_url=base_url, trusted_proxies=networks(["127.0.0.1"])))

    async def test_its_clients_are_refused_whoever_they_are(self, browser: Browser) -> None:
        for address in ("203.0.113.9", "127.0.0.1"):
            assert (await browser.get("/metrics", X_Forwarded_For=address)).code == 403
        await scrape(browser)


class TestForeignPeers:
    """Only another network may read metrics."""

    @pytest.fixture
    def settings(self, base_url: str) -> Settings:
        return site_settings(base_url, http=HttpSettings(
            public_url=base_url, trusted_proxies=networks(["127.0.0.1"]), metrics_clients=networks(["192.0.2.0/24"])))

    async def test_they_are_refused_also_with_an_address_they_only_claim(self, browser: Browser) -> None:
        for headers in ({}, {"X_Forwarded_For": "192.0.2.1"}):
            answer = await browser.get("/metrics", **headers)
            assert answer.code == 403
            assert "authd_" not in text(answer)
