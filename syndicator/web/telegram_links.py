"""The button that leads to the bot, with the choice that a page shows.

Rules, in order:

1. The bot asks for the language first and then sends in that one: a choice in the page's own language alone says
   nothing of languages, any other is carried.
2. A choice that does not fit in a link is carried as far as it does (`domain.deeplink`), and what is carried is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from syndicator.domain.deeplink import bot_link
from syndicator.domain.filters import Filter
from syndicator.web.parts import Parts
from syndicator.wording import filter_in_words

__all__ = ["TelegramLink", "telegram_link"]


@dataclass(frozen=True, slots=True)
class TelegramLink:
    """An address that opens the bot; `carries` says in words what it brings along where that is not all, else ""."""

    address: str
    carries: str = ""


def telegram_link(parts: Parts, lang: str, wanted: Filter | None = None) -> TelegramLink | None:
    """What leads to the bot with this choice, from a page in that language; None where there is no bot."""
    wanted = wanted or Filter()
    if wanted.langs == (lang,):
        wanted = replace(wanted, langs=())
    link = bot_link(parts.telegram_name(), wanted)
    if not link:
        return None
    said = "" if link.whole else filter_in_words(link.carried, parts.taxonomy, parts.texts(lang))
    return TelegramLink(link.address, said)
