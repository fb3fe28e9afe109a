"""The accent colour stays readable whatever the site chose."""

import re

from hypothesis import given
from hypothesis import strategies as st

from authd.handlers.accent import DARK_SURFACE, LIGHT_BACKGROUND, accent_rules, contrast, readable_on
from tests.support import ROOT

COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


def test_black_on_white_is_the_greatest_contrast() -> None:
    assert round(contrast("#000000", "#ffffff"), 2) == 21
    assert contrast("#777777", "#777777") == 1


@given(COLOURS)
def test_any_colour_becomes_readable_in_both_schemes(colour: str) -> None:
    for background in (LIGHT_BACKGROUND, DARK_SURFACE):
        assert contrast(readable_on(background, colour), background) >= 4.5


@given(COLOURS)
def test_text_on_the_accent_is_readable(colour: str) -> None:
    pairs = re.findall(r"--accent:(#\w{6});--on-accent:(#\w{6});--link:(#\w{6})", accent_rules(colour))
    assert len(pairs) == 2
    assert all(contrast(accent, text) >= 4.5 for accent, text, _ in pairs)


def test_a_colour_that_is_readable_is_not_changed() -> None:
    assert readable_on(LIGHT_BACKGROUND, "#1d5fa8") == "#1d5fa8"


def test_the_style_sheet_has_the_backgrounds_that_the_colour_is_checked_against() -> None:
    light, dark = (ROOT / "authd/static/style.css").read_text().split("@media (prefers-color-scheme: dark)")
    assert re.search(r"--background: (#\w+)", light)[1] == LIGHT_BACKGROUND  # type: ignore[index]
    assert re.search(r"--surface: (#\w+)", dark)[1] == DARK_SURFACE  # type: ignore[index]
