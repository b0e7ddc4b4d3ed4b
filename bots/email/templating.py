"""From values to the two parts of a mail: Jinja2 templates, in HTML with their styles inlined.

Rules, in order:

1. What a person wrote is escaped in HTML; only a release's body is not, which is clean as it is.
2. A mail reader may drop the head of a page: each style stands on its element too. What depends on the device (dark, a
   phone) stays in the head. Nothing is loaded from elsewhere: no style sheet, no font, no script.
3. A piece of a digest is a table of its own, inlined alone, so that any number of them make a mail.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import css_inline
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from syndicator.domain.site import Site
from syndicator.i18n import Translator

__all__ = ["Templates"]

FOLDER = Path(__file__).parent / "templates"


class Templates:
    """Renders by name: `release` is `release.txt` and `release.html`."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._inliner = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=select_autoescape(enabled_extensions=("html",), default_for_string=True, default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._styles = self._environment.get_template("styles.css").render()

    def text(self, name: str, t: Translator, **values: Any) -> str:
        """The plain text."""
        return self._environment.get_template(f"{name}.txt").render(t=t, lang=t.lang, site=self._site, **values)

    def html(self, name: str, t: Translator, **values: Any) -> str:
        """A whole page."""
        return self._inliner.inline(self._rendered(name, t, values))

    def piece(self, name: str, t: Translator, **values: Any) -> str:
        """Part of a page: one element."""
        return self._inliner.inline_fragment(self._rendered(name, t, values).strip(), self._styles).strip()

    def _rendered(self, name: str, t: Translator, values: dict[str, Any]) -> str:
        return self._environment.get_template(f"{name}.html").render(
            t=t, lang=t.lang, dir=t.locale.text_direction, site=self._site, **values
        )
