"""The site's accent colour as style rules, kept readable on the light and on the dark background (WCAG 2.2, 1.4.3). Pure."""

from authd.config.values import contrast_with_white

LIGHT_BACKGROUND = "#f6f7f9"  # --background of the light scheme and
DARK_SURFACE = "#1c2027"  # --surface of the dark one: where text is hardest to read (a test compares with style.css)
_WHITE, _INK, _BLACK = "#ffffff", "#0e1116", "#000000"  # on any colour white or black has 4.58 or more
_READABLE = 4.5
_STEPS = 40


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (#rrggbb), from 1 to 21."""
    ratio = contrast_with_white(one) / contrast_with_white(other)
    return max(ratio, 1 / ratio)


def readable_on(background: str, colour: str) -> str:
    """`colour`, moved towards white or black in small steps until text in it can be read on `background`."""
    goal = _WHITE if contrast(background, _WHITE) > contrast(background, _BLACK) else _BLACK
    steps = (_mixed(colour, goal, step / _STEPS) for step in range(_STEPS))
    return next((mixed for mixed in steps if contrast(mixed, background) >= _READABLE), goal)


def accent_rules(accent: str) -> str:
    """Sets the custom properties --accent, --on-accent and --link for both colour schemes."""
    dark = readable_on(DARK_SURFACE, accent)
    return (f"\n:root{{{_properties(accent, readable_on(LIGHT_BACKGROUND, accent))}}}\n"
            f"@media (prefers-color-scheme:dark){{:root{{{_properties(dark, dark)}}}}}\n")


def _properties(accent: str, link: str) -> str:
    on_accent = next(text for text in (_WHITE, _INK, _BLACK) if contrast(text, accent) >= _READABLE)
    return f"--accent:{accent};--on-accent:{on_accent};--link:{link}"


def _mixed(colour: str, goal: str, share: float) -> str:
    channels = ((int(colour[i:i + 2], 16), int(goal[i:i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(start + (end - start) * share):02x}" for start, end in channels)
