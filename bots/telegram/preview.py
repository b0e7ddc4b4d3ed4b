"""A release as a channel's subscribers would read it on Telegram, for the command `preview`."""

from __future__ import annotations

from collections.abc import Callable

from bots.telegram.render import render
from syndicator.domain.model import Release
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts

__all__ = ["telegram_preview"]


def telegram_preview(site: Site, texts: Texts, taxonomy: Taxonomy) -> Callable[[Release, str], str]:
    """What turns (release, language) into its messages as plain text; raises LookupError for a missing language."""

    def show(release: Release, lang: str) -> str:
        parts = render(release, lang, texts(lang), site, taxonomy)
        shown = [f"{part.plain}\n[{part.button}] {part.url}" if part.button else part.plain for part in parts]
        return "\n\n— — —\n\n".join(shown)

    return show
