"""Which URIs may be registered, and which requests match one."""

import pytest

from authd.errors import InvalidInput
from authd.oauth.redirect_uris import check_origin, check_redirect_uri, check_web_uri, find_redirect_uri


@pytest.mark.parametrize("uri", [
    "https://app.example.com/callback",
    "https://app.example.com:8443/callback?tenant=1&flavour=a%20b",
    "https://app.example.com",
    "https://192.0.2.7/cb",
    "http://localhost:3000/cb",
    "http://127.0.0.1:9999/callback",
    "http://127.4.5.6/cb",
    "http://[::1]:8080/cb",
])
def test_what_every_client_may_register(uri: str) -> None:
    check_redirect_uri(uri, public=False)
    check_redirect_uri(uri, public=True)


@pytest.mark.parametrize("uri", ["com.example.app:/callback", "com.example.app://callback"])
def test_only_public_clients_have_private_use_schemes(uri: str) -> None:
    check_redirect_uri(uri, public=True)
    with pytest.raises(InvalidInput):
        check_redirect_uri(uri, public=False)


@pytest.mark.parametrize("uri", [
    "", "/callback", "//app.example.com/cb", "app.example.com/cb", "https:/cb", "https:///cb", "https://",
    "http://app.example.com/cb", "http://127.0.0.1.example.com/cb", "http://localhost.example.com/",
    "https://app.example.com/cb#part", "https://app.example.com/cb#",
    "https://user@app.example.com/", "https://app.example.com@evil.example/", "https://a@b@c/",
    "https://app.example.com\\@evil.example/", "https://app.example.com/\\evil",
    "javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "myapp:/cb", "urn:ietf:wg:oauth:2.0:oob",
    "https://*.example.com/cb", "https://app.example.com/a/../cb", "https://app.example.com/..;/cb",
    "https://app.example.com/%2e%2E/cb", "https://app.example.com/a/.", "HTTPS://app.example.com/", "https://APP.example.com/",
    "https://app.example.com/cb\n", "https://app.example.com/a b", "https://app.example.com/\u00e4", "https://b\u00fccher.example/",
    "https://app.example.com/%zz", "https://app.example.com/%", "https://app.example.com:0/", "https://app.example.com:/",
    "https://app.example.com:70000/", "https://app.example.com:x/", "https://[::1/", "https://[::g]/", "https://999.1.1.1/",
    "https://app.example.com/cb?code=1", "https://app.example.com/cb?x=1&state=", "https://app.example.com/cb?i%73s=x",
    "https://app.example.com/" + "a" * 2000,
])
def test_what_nobody_may_register(uri: str) -> None:
    for public in (False, True):
        with pytest.raises(InvalidInput) as caught:
            check_redirect_uri(uri, public=public)
        assert caught.value.field == "redirect_uri"


def test_comparison_is_of_exact_strings() -> None:
    registered = ["https://app.example.com/cb", "https://app.example.com/other"]
    assert find_redirect_uri(registered, "https://app.example.com/cb", native=False) == "https://app.example.com/cb"
    for requested in ("https://app.example.com/cb/", "https://app.example.com/cb?x", "https://app.example.com/c",
                      "https://app.example.com:443/cb", "https://APP.example.com/cb", "https://app.example.com/CB", ""):
        assert find_redirect_uri(registered, requested, native=True) is None


def test_a_native_client_may_use_any_loopback_port() -> None:
    registered = ["http://127.0.0.1/cb", "http://[::1]:5000/cb", "http://localhost:1/cb"]
    assert find_redirect_uri(registered, "http://127.0.0.1:51004/cb", native=True) == "http://127.0.0.1/cb"
    assert find_redirect_uri(registered, "http://[::1]:6000/cb", native=True) == "http://[::1]:5000/cb"
    for requested in ("http://127.0.0.1:51004/cb/", "http://localhost:2/cb", "http://127.0.0.2:1/cb", "https://127.0.0.1:1/cb",
                      "http://127.0.0.1:80@evil.example/cb", "http://127.0.0.1:1\\cb"):
        assert find_redirect_uri(registered, requested, native=True) is None
    assert find_redirect_uri(registered, "http://127.0.0.1:51004/cb", native=False) is None


def test_origins_have_no_path() -> None:
    check_origin("https://app.example.com")
    check_origin("http://localhost:3000")
    for origin in ("https://app.example.com/", "https://app.example.com?", "http://app.example.com", "null", "*",
                   "https://app.example.com:443"):
        with pytest.raises(InvalidInput):
            check_origin(origin)


def test_other_uris_may_carry_any_parameter() -> None:
    check_web_uri("post_logout_redirect_uri", "https://app.example.com/?state=1")
    with pytest.raises(InvalidInput):
        check_web_uri("post_logout_redirect_uri", "com.example.app:/bye")
