"""What is the site's own on every page: its name, its links, its style sheet."""

import gettext
from dataclasses import dataclass

from authd.config.settings import BrandingSettings
from authd.handlers.assets import STYLE_SHEET, Assets
from authd.templating import Templates


@dataclass(frozen=True)
class FooterLink:
    """A link in the footer."""

    text: str
    url: str


def footer_link(setting: str) -> FooterLink | None:
    """A link written as "Text https://…"; None for what is no link to a web page."""
    text, _, url = setting.rpartition(" ")
    return FooterLink(text.strip(), url) if text.strip() and url.startswith(("https://", "http://", "/")) else None


def page_templates(branding: BrandingSettings, assets: Assets) -> Templates:
    """The templates of all pages of this site."""
    links = [link for setting in branding.footer_links if (link := footer_link(setting)) is not None]
    return Templates(
        gettext.NullTranslations(), language="en", site_name=branding.name, footer_links=links,
        style_url=assets.url(STYLE_SHEET), icon_url=assets.url("icon.svg"))
