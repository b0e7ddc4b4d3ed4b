"""How the bot introduces itself: menu of commands and descriptions, in every language of the site.

Rules, in order:

1. Only what differs is written: these methods are rationed.
2. What cannot be set now is set at the next start: a bot without its menu still works.
3. The language "" is what speakers of all other languages see; there the site's default language is spoken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog
from telegram import Bot, BotCommand

from bots.telegram.trouble import fault

__all__ = ["Introduction", "introduce"]

_DESCRIPTION_OF_COMMAND = 256

log = structlog.get_logger()


class Introduction(Protocol):
    """What the bot says of itself in a language."""

    def menu(self, lang: str) -> Sequence[tuple[str, str]]:
        """Commands and what they do."""
        ...

    def description(self, lang: str) -> str:
        """What stands in an empty chat; up to 512 units."""
        ...

    def short_description(self, lang: str) -> str:
        """What stands on the bot's profile; up to 120 units."""
        ...


async def introduce(bot: Bot, said: Introduction, languages: Iterable[str], default: str) -> None:
    """Menu and descriptions in every language; raises nothing."""
    try:
        for code in ("", *languages):
            await _introduce_in(bot, said, code, code or default)
    except Exception as error:  # noqa: BLE001  # see rule 2
        log.warning("telegram: menu and descriptions could not be set", error=fault(error))


async def _introduce_in(bot: Bot, said: Introduction, code: str, lang: str) -> None:
    wanted = tuple(BotCommand(name, what[:_DESCRIPTION_OF_COMMAND]) for name, what in said.menu(lang))
    if await bot.get_my_commands(language_code=code or None) != wanted:
        await bot.set_my_commands(wanted, language_code=code or None)
    long = said.description(lang)
    if (await bot.get_my_description(language_code=code or None)).description != long:
        await bot.set_my_description(long, language_code=code or None)
    short = said.short_description(lang)
    if (await bot.get_my_short_description(language_code=code or None)).short_description != short:
        await bot.set_my_short_description(short, language_code=code or None)
