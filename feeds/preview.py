"""A release as its feed entries would say it, for the command `preview`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from feeds.build import fragment_of
from feeds.entry import entry_of
from syndicator.domain.model import Release
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts

__all__ = ["feed_previews"]


def feed_previews(site: Site, texts: Texts, taxonomy: Taxonomy) -> Mapping[str, Callable[[Release, str], str]]:
    """For each format, what turns (release, language) into the entry's text.

    The functions raise LookupError where the release has no text in that language.
    """

    def preview(fmt: str) -> Callable[[Release, str], str]:
        def show(release: Release, lang: str) -> str:
            variant = release.variant(lang)
            if variant is None:
                raise LookupError(f"release {release.number}: there is no text in {lang}")
            fragment = fragment_of(entry_of(release, variant, site, taxonomy, texts))
            found = {"rss": fragment.rss, "atom": fragment.atom, "json": fragment.json}[fmt]
            return found.decode("utf-8")

        return show

    return {fmt: preview(fmt) for fmt in ("rss", "atom", "json")}
