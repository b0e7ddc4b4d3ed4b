"""Topics as checkboxes, edited in place.

Rules, in order:

1. Every tick holds at once; "Done" only shows what holds.
2. A topic is named by its slug, a long one by a digest of it (`domain.deeplink.topic_key`).
3. Topics stand in the order of the topic file, children behind their parents, so many on a page that "Done" is in view
   on a phone. Where that is not all of them, the screen says in words what is chosen.
4. What else a chat's filter has (words, kinds) stays when a topic comes or goes; topics that left the file go.
   Nobody ever gets more than they ticked: without the last topic there is nothing, not everything.
"""

from __future__ import annotations

from dataclasses import replace

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from bots.telegram.talk.screens import Press, Screen, button, label, lines, pager
from bots.telegram.talk.telling import Telling
from bots.telegram.talk.turns import Chats, Command, Part, Turn
from syndicator.domain.deeplink import topic_key
from syndicator.domain.filters import MAX_VALUES, BadFilter, Filter
from syndicator.domain.topics import Taxonomy, Topic
from syndicator.store.subscriptions import Consent

__all__ = ["Boxes"]

PAGE = 8

_ = str  # marks a text for the catalogues where it is not yet translated


class Boxes:
    """/topics, and the presses of its buttons."""

    def __init__(self, chats: Chats, telling: Telling) -> None:
        self._chats = chats
        self._telling = telling
        self._taxonomy = taxonomy = telling.taxonomy
        self.slugs = {**taxonomy.renamed, **{slug: slug for slug in taxonomy.slugs}}
        self._keys = {topic_key(slug): now for slug, now in self.slugs.items()}
        self._order = _family_order(taxonomy)

    def part(self) -> Part:
        """What the dialogue gets."""
        return Part(
            commands=[Command("topics", _("choose topics"), 10, self.ask)],
            presses={"t": self.tick, "a": self.tick, "p": self.turn_page, "m": self.turn_page, "d": self.done},
        )

    def slug(self, key: str) -> str | None:
        """The topic of that key, also of one that it had before, if there is one."""
        return self._keys.get(key)

    async def ask(self, turn: Turn) -> Screen:
        """/topics."""
        return self.screen(turn)

    async def turn_page(self, turn: Turn, press: Press) -> Screen:
        """The same boxes, from that page on."""
        return self.screen(turn, press.page)

    async def done(self, turn: Turn, _: Press) -> Screen:
        """What the person gets now."""
        return self._telling.summary(turn)

    async def tick(self, turn: Turn, press: Press) -> Screen:
        """A box that shall be ticked, or not."""
        had = turn.chosen
        try:
            wanted = self._wanted(had, press)
        except BadFilter:
            said = turn.t("At most {limit} topics can be chosen; “All topics” takes every one.", limit=MAX_VALUES)
            return self.screen(turn, press.page, said)
        if wanted != had:
            agreed = None if wanted is None else self._telling.agreed(turn, wanted, turn.cadence)
            said = agreed or turn.t("nothing chosen")
            consent = Consent(turn.now, "telegram", said)
            turn = turn.after(await self._chats.choose(turn.account, wanted, consent=consent, now=turn.now))
        return self.screen(turn, press.page)

    def screen(self, turn: Turn, page: int = 0, note: str = "") -> Screen:
        """The checkboxes, and what else of the choice they do not show."""
        t, chosen = turn.t, turn.chosen
        everything = chosen is not None and not chosen.topics
        mark = "✅ " if everything else "▫️ "
        rows = [[button(mark + t("All topics"), Press("a", "-" if everything else "+", page))]]
        pages = max(1, -(-len(self._order) // PAGE))
        page = min(page, pages - 1)
        ticked = tuple(map(self._taxonomy.current, chosen.topics)) if chosen else ()
        for topic, depth in self._order[page * PAGE : (page + 1) * PAGE]:
            rows.append([self._box(topic, depth, t.lang, ticked, page)])
        if pages > 1:
            rows.append(pager("p", page, pages))
        rows.append([button(t("Done"), Press("d"))])
        if turn.subscriber.is_resting:
            rows.append([button(t("Resume"), Press("back"))])
        said = t("What should we send you? Tick one topic or more. Changes hold at once.")
        besides = chosen is not None and (pages > 1 or chosen != Filter(topics=chosen.topics))
        whole = t("We send you: {choice}", choice=self._telling.within(turn, chosen)) if chosen and besides else ""
        return Screen(lines(said, note, whole, self._telling.pause(turn)), InlineKeyboardMarkup(rows))

    def _wanted(self, had: Filter | None, press: Press) -> Filter | None:
        """The filter after a tick.

        Raises:
            BadFilter: too many topics.
        """
        base = had or Filter()
        if press.action == "a":
            return replace(base, topics=()) if press.value == "+" else None
        slug = self.slug(press.topic)
        if slug is None:
            return had
        known = [self._taxonomy.current(one) for one in base.topics if self._taxonomy.get(one) is not None]
        left = [one for one in known if one != slug]
        if press.value == "+":
            return replace(base, topics=(*left, slug), without=tuple(one for one in base.without if one != slug))
        if had is None or not base.topics:
            return had
        return replace(base, topics=tuple(left)) if left else None

    def _box(self, topic: Topic, depth: int, lang: str, ticked: tuple[str, ...], page: int) -> InlineKeyboardButton:
        on = topic.slug in ticked
        above = any(slug in ticked for slug in self._taxonomy.ancestors(topic.slug))
        mark = "✅ " if on else "☑️ " if above else "▫️ "
        name = mark + "· " * depth + label(topic.name(lang), topic.slug)
        return button(name, Press("t", "-" if on else "+", page, topic_key(topic.slug)))


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
