"""Alive and ready."""

import pytest

from authd.handlers.services import ComponentState
from tests.http.support import Browser, Site, json_of

pytestmark = pytest.mark.gen_test


async def test_alive(browser: Browser) -> None:
    answer = await browser.get("/health/")
    assert (answer.code, json_of(answer)) == (200, {"status": "ok"})


async def test_ready_and_not(browser: Browser, site: Site) -> None:
    answer = await browser.get("/health/ready/")
    assert (answer.code, json_of(answer)) == (
        200, {"status": "ready", "components": {"database": "ok", "keys": "ok", "http": "ok"}})
    site.components["database"] = ComponentState("degraded", "credentials expire soon")
    assert (await browser.get("/health/ready/")).code == 200
    site.components["keys"] = ComponentState("failed", "10.0.0.7 refused")
    answer = await browser.get("/health/ready/")
    assert answer.code == 503
    assert json_of(answer) == {"status": "not ready", "components": {"database": "degraded", "keys": "failed", "http": "ok"}}


async def test_health_answers_under_any_name(browser: Browser) -> None:
    for path in ("/health/", "/health/ready/", "/health", "/health/ready"):
        assert (await browser.get(path, Host="10.0.0.1:8080")).code == 200
