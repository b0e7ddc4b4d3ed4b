"""The screens that stand before and beside everything: first sight, help, and what went wrong. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from telegram import InlineKeyboardMarkup

from bots.telegram.talk.screens import SEEK, Press, Screen, column, lines
from syndicator.domain.site import Site
from syndicator.i18n import Texts

__all__ = ["Welcome"]


class Welcome:
    """Makes them in a language."""

    def __init__(self, site: Site, texts: Texts) -> None:
        self._site = site
        self._texts = texts

    def first(self, payload: str = "") -> Screen:
        """The first thing a person sees: in every language, which one? `payload` is what a link brought."""
        texts = [self._texts(lang) for lang in self._site.languages]
        said = [t("{office}: news and notices. Choose your language:", office=self._site.name(t.lang)) for t in texts]
        return Screen(lines(*said), self.languages("s", payload))

    def language(self, lang: str) -> Screen:
        """Another language, please."""
        t = self._texts(lang)
        return Screen(t("Choose your language:"), self.languages("l"))

    def languages(self, action: str, payload: str = "") -> InlineKeyboardMarkup:
        """A button for each language, in its own name."""
        names = [(self._texts(lang).language_name, lang) for lang in self._site.languages]
        return column([(name, Press(action, lang, 0, payload)) for name, lang in names])

    def help(self, lang: str, menu: Sequence[tuple[str, str]]) -> Screen:
        """What the bot can do."""
        t = self._texts(lang)
        said = lines(
            t("This bot sends you what {office} publishes, on the topics you choose.", office=self._site.name(lang)),
            "\n".join(f"/{name} — {what}" for name, what in menu),
            t("The site: {address}", address=self._site.home(lang)),
        )
        return Screen(said)

    def strange(self, lang: str, words: str = "") -> Screen:
        """Words that no command and no question takes; `words` are those that a search would look for, if any."""
        t = self._texts(lang)
        rows = [("🔎 " + t("Search for “{words}”", words=words), Press(SEEK, topic=words))] if words else []
        return Screen(t("I did not understand that."), column([*rows, (t("What this bot can do"), Press("help"))]))

    def outdated(self, lang: str) -> Screen:
        """A button that nothing knows any more."""
        t = self._texts(lang)
        said = t("This button no longer does anything. Everything you can set is in /settings.")
        return Screen(said, column([(t("Settings"), Press("set"))]))

    def slower(self, lang: str) -> Screen:
        """Nobody is heard for a while who has said too much at once."""
        t = self._texts(lang)
        return Screen(t("That was too much at once. We hear you again in half a minute."))

    def trouble(self, lang: str) -> Screen:
        """Our fault."""
        t = self._texts(lang)
        return Screen(t("Something went wrong on our side. Please try again in a minute."))

    def description(self, lang: str) -> str:
        """What stands in the empty chat, at most 512 characters."""
        t = self._texts(lang)
        said = t("News and notices of {office}. Choose your topics and get them here.", office=self._site.name(lang))
        return said[:512]

    def short_description(self, lang: str) -> str:
        """What stands on the bot's profile, at most 120 characters."""
        t = self._texts(lang)
        return t("News and notices of {office}", office=self._site.name(lang))[:120]
