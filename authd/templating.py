"""Turns the files in `templates/` into HTML. What a page shows is decided by its handler."""

import gettext
from typing import Any

import jinja2


class Templates:
    """Escapes everything that is not marked otherwise; a name that is missing from the context is an error."""

    def __init__(self, translations: gettext.NullTranslations, **shared: Any) -> None:
        """`shared` are the names that every template may use."""
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("authd", "templates"),
            extensions=["jinja2.ext.i18n"],
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(shared)
        self._environment.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]

    def render(self, name: str, **context: Any) -> str:
        """The page of the template `name` (with its suffix)."""
        return self._environment.get_template(name).render(context)
