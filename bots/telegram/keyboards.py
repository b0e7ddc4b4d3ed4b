"""The bot's screens: a text and its keyboard, made from what the person has chosen. Pure.

Rules, in order:

1. A button says what shall be, not what to flip: pressing it twice, or a press delivered twice, changes nothing more.
2. Callback data are at most 64 bytes (https://core.telegram.org/bots/api#inlinekeyboardbutton); a topic is named by
   its slug, a long one by a digest of it.
3. Topics stand in the order of the topic file, children behind their parents, twenty on a page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from bots.telegram.richtext import clean, visible
from syndicator.domain.deeplink import topic_key
from syndicator.domain.filters import Filter
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy, Topic
from syndicator.i18n import Texts, Translator

__all__ = ["Press", "Screen", "Screens", "pressed"]

PAGE = 20
_LABEL = 60
_PRESS = re.compile(r"([a-z]):([^:]{0,10}):([0-9]{0,3}):([^:]{0,44})")


@dataclass(frozen=True, slots=True)
class Screen:
    """What the person sees."""

    text: str
    keyboard: InlineKeyboardMarkup | None = None


@dataclass(frozen=True, slots=True)
class Press:
    """A button that was pressed: what it does, with what, from which page, for which topic."""

    action: str
    value: str = ""
    page: int = 0
    topic: str = ""

    def __str__(self) -> str:
        return f"{self.action}:{self.value}:{self.page}:{self.topic}"


def pressed(data: str | None) -> Press | None:
    """The press that this callback data stands for; None where it is not ours."""
    found = _PRESS.fullmatch(data or "")
    if found is None:
        return None
    return Press(found[1], found[2], int(found[3] or 0), found[4])


class Screens:
    """Makes every screen in a language."""

    def __init__(self, site: Site, texts: Texts, taxonomy: Taxonomy) -> None:
        self._site = site
        self._texts = texts
        self._taxonomy = taxonomy
        self._keys = {topic_key(slug): slug for slug in taxonomy.slugs}
        self._order = _family_order(taxonomy)

    def slug(self, key: str) -> str | None:
        """The topic of that key, if there is one."""
        return self._keys.get(key)

    def slug_known(self, slug: str) -> bool:
        """Whether the topic file still has it."""
        return self._taxonomy.get(slug) is not None

    def welcome(self, topic: str = "") -> Screen:
        """The first thing a person sees: in every language, which one?"""
        texts = [self._texts(lang) for lang in self._site.languages]
        lines = [
            text("{office}: news and notices. Choose your language:", office=self._site.name(text.lang))
            for text in texts
        ]
        return Screen("\n\n".join(lines), self._languages("s", topic_key(topic) if topic else ""))

    def language(self, lang: str) -> Screen:
        """Another language, please."""
        return Screen(self._texts(lang)("Choose your language:"), self._languages("l"))

    def language_set(self, lang: str) -> Screen:
        """The language has changed."""
        text = self._texts(lang)
        return Screen(text("From now on we write to you in this language."), _column([(text("Topics"), Press("m"))]))

    def topics(self, lang: str, chosen: Filter | None, page: int = 0, note: str = "") -> Screen:
        """The checkboxes. `chosen` is None when the person gets nothing."""
        text = self._texts(lang)
        everything = chosen is not None and not chosen.topics
        mark = "✅ " if everything else "▫️ "
        rows = [[_button(mark + text("All topics"), Press("a", "-" if everything else "+", page))]]
        pages = max(1, -(-len(self._order) // PAGE))
        page = min(page, pages - 1)
        ticked = chosen.topics if chosen else ()
        for topic, depth in self._order[page * PAGE : (page + 1) * PAGE]:
            rows.append([self._box(topic, depth, text.lang, ticked, page)])
        if pages > 1:
            rows.append(_pager(page, pages))
        rows.append([_button(text("Done"), Press("d"))])
        lines = [text("What should we send you? Tick one topic or more. Changes hold at once."), note]
        return Screen("\n\n".join(line for line in lines if line), InlineKeyboardMarkup(rows))

    def summary(self, lang: str, chosen: Filter | None) -> Screen:
        """What the person gets now."""
        text = self._texts(lang)
        if chosen is None:
            said = text("You have chosen nothing, so we send you nothing.")
        elif not chosen.topics:
            said = text("You are subscribed to all topics.")
        else:
            names = [f"• {self._name(slug, text)}" for slug in chosen.topics]
            said = "\n".join([text("You are subscribed to:"), *names])
        hint = text("Change your topics with /topics, leave with /stop.")
        return Screen(f"{said}\n\n{hint}", _column([(text("Change topics"), Press("m"))]))

    def stopped(self, lang: str) -> Screen:
        """Good-bye."""
        text = self._texts(lang)
        said = text("You are unsubscribed. We send you nothing more. To choose topics again, send /start.")
        return Screen(said, _column([(text("Choose topics"), Press("m"))]))

    def help(self, lang: str) -> Screen:
        """What the bot can do."""
        text = self._texts(lang)
        lines = [
            text("This bot sends you what {office} publishes, on the topics you choose.", office=self._site.name(lang)),
            "\n".join(f"/{name} — {what}" for name, what in self.commands(lang)),
            text("The site: {address}", address=self._site.home(lang)),
        ]
        return Screen("\n\n".join(lines))

    def trouble(self, lang: str) -> Screen:
        """Our fault."""
        return Screen(self._texts(lang)("Something went wrong on our side. Please try again in a minute."))

    def too_many(self, lang: str, limit: int) -> str:
        """Why the box stays empty."""
        return self._texts(lang)("At most {limit} topics can be chosen; “All topics” takes every one.", limit=limit)

    def commands(self, lang: str) -> list[tuple[str, str]]:
        """The menu: names and what they do."""
        text = self._texts(lang)
        return [
            ("topics", text("choose topics")),
            ("language", text("change the language")),
            ("stop", text("unsubscribe from everything")),
            ("help", text("what this bot can do")),
        ]

    def description(self, lang: str) -> str:
        """What stands in the empty chat, at most 512 characters."""
        text = self._texts(lang)
        said = text("News and notices of {office}. Choose your topics and get them here.", office=self._site.name(lang))
        return said[:512]

    def short_description(self, lang: str) -> str:
        """What stands on the bot's profile, at most 120 characters."""
        return self._texts(lang)("News and notices of {office}", office=self._site.name(lang))[:120]

    def _languages(self, action: str, topic: str = "") -> InlineKeyboardMarkup:
        names = [(self._texts(lang).language_name, Press(action, lang, 0, topic)) for lang in self._site.languages]
        return _column(names)

    def _box(self, topic: Topic, depth: int, lang: str, ticked: tuple[str, ...], page: int) -> InlineKeyboardButton:
        on = topic.slug in ticked
        above = any(slug in ticked for slug in self._taxonomy.ancestors(topic.slug))
        mark = "✅ " if on else "☑️ " if above else "▫️ "
        label = mark + "· " * depth + _label(topic.name(lang), topic.slug)
        return _button(label, Press("t", "-" if on else "+", page, topic_key(topic.slug)))

    def _name(self, slug: str, text: Translator) -> str:
        topic = self._taxonomy.get(slug)
        return _label(topic.name(text.lang), slug) if topic else slug


def _label(name: str, slug: str) -> str:
    name = clean(name).replace("\n", " ").strip()
    return name[:_LABEL] if visible(name[:_LABEL]) else slug


def _button(label: str, press: Press) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=str(press))


def _column(buttons: list[tuple[str, Press]]) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[_button(label, press)] for label, press in buttons])


def _pager(page: int, pages: int) -> list[InlineKeyboardButton]:
    row = []
    if page > 0:
        row.append(_button("‹", Press("p", "", page - 1)))
    row.append(_button(f"{page + 1}/{pages}", Press("p", "", page)))
    if page < pages - 1:
        row.append(_button("›", Press("p", "", page + 1)))
    return row


def _family_order(taxonomy: Taxonomy) -> list[tuple[Topic, int]]:
    """Every topic behind its parent, with its depth; the file's order among brothers and sisters."""
    children: dict[str | None, list[Topic]] = {}
    for topic in taxonomy.topics:
        children.setdefault(topic.parent, []).append(topic)
    ordered: list[tuple[Topic, int]] = []
    waiting = [(topic, 0) for topic in reversed(children.get(None, []))]
    while waiting:
        topic, depth = waiting.pop()
        ordered.append((topic, depth))
        waiting.extend((child, depth + 1) for child in reversed(children.get(topic.slug, [])))
    return ordered
