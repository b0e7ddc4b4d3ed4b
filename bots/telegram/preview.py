"""A release as subscribers would read it on Telegram, for the command `preview`.

Rules, in order:

1. It is shown in each style that a configured channel or people get, the people's first; equal ones are shown once.
2. A photo stands above its caption by what it shows, and it is said where a text is too long to go below one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bots.telegram.render import Part, Style, render
from config.settings import TelegramSettings
from syndicator.domain.model import Release
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts

__all__ = ["styles_in_use", "telegram_preview"]

_BETWEEN = "\n\n— — —\n\n"


def styles_in_use(telegram: TelegramSettings) -> tuple[Style, ...]:
    """How people and the configured channels get posts, each way once."""
    channels = (Style(one.text, one.media) for one in telegram.channels)
    return tuple(dict.fromkeys((Style(media=telegram.media), *channels)))


def telegram_preview(
    site: Site, texts: Texts, taxonomy: Taxonomy, styles: Sequence[Style] = (Style(),)
) -> Callable[[Release, str], str]:
    """What turns (release, language) into its messages as plain text; raises LookupError for a missing language."""

    def show(release: Release, lang: str) -> str:
        ways: dict[str, list[str]] = {}
        for style in styles:
            parts = render(release, lang, texts(lang), site, taxonomy, style)
            ways.setdefault(_shown(parts, style, release, lang), []).append(f"text {style.text}, media {style.media}")
        if len(ways) == 1:
            return next(iter(ways))
        return _BETWEEN.join(f"({'; '.join(names)})\n\n{way}" for way, names in ways.items())

    return show


def _shown(parts: Sequence[Part], style: Style, release: Release, lang: str) -> str:
    variant = release.variant(lang)
    missed = style.media == "photo" and variant is not None and variant.revision.image and not parts[0].photo
    remark = "[no photo: the text is too long for a caption]\n" if missed else ""
    return remark + _BETWEEN.join(_part(part) for part in parts)


def _part(part: Part) -> str:
    photo = f"[photo: {part.photo.alt or part.photo.url}]\n" if part.photo else ""
    button = f"\n[{part.button}] {part.url}" if part.button else ""
    return f"{photo}{part.plain}{button}"
