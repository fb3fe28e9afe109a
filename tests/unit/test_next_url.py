"""Where a sign-in may lead: to a path of this site and nowhere else."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.handlers.forms import LONGEST_NEXT, safe_next


@pytest.mark.parametrize("path", [
    "/", "/account/", "/o2/authorize/?client_id=a&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&state=x%2Fy",
    "/a//b", "/a?next=//evil.example", "/a:b", "/@evil.example", "/a#part", "/..//evil.example", "/%2f%2fevil.example"])
def test_paths_of_this_site_stay(path: str) -> None:
    assert safe_next(path) == path


@pytest.mark.parametrize("elsewhere", [
    "", "account/", "https://evil.example/", "//evil.example", "///evil.example", "////evil.example", "/\\evil.example",
    "\\\\evil.example", "/\t/evil.example", "/\n/evil.example", "\t//evil.example", " //evil.example", "/a b",
    "/a\r\nSet-Cookie:x=y",
    "javascript:alert(1)", "http:/evil.example", "user@evil.example", "/\x00", "/\x7f", "/ä",
    "//[", "?a=b", "#a", "/" + "a" * LONGEST_NEXT])
def test_everything_else_leads_to_the_usual_place(elsewhere: str) -> None:
    assert safe_next(elsewhere) == "/"
    assert safe_next(elsewhere, default="") == ""


@given(st.text(alphabet="/\\:@.?#%&a \t\n\r2f5c\x00[]", max_size=30))
def test_no_browser_leaves_this_site(value: str) -> None:
    """What browsers do to a URL before they resolve it: drop tabs and newlines, take backslashes for slashes."""
    cleaned = safe_next(value).translate({9: None, 10: None, 13: None, ord("\\"): "/"}).strip()
    target = urlsplit(urljoin("https://id.example.com/action/login/", cleaned))
    assert (target.scheme, target.netloc) == ("https", "id.example.com")
