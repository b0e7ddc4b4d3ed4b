"""What a person gets, in words: of what, how often, and whether they rest. Pure; every screen says it the same way.

Rules, in order:

1. A choice is said as pages and mails say it (`syndicator.wording`), cut where it would crowd out the rest. Its words
   are spelled as the person typed them, as far as that is known: their record of consent has it.
2. A moment is said in the reader's own zone, and is the one at which something can come: behind the pause that they
   asked for, and behind their quiet hours. Where nobody knows it, none is said.
3. Who rests is told so on every screen that says what they get, with the button that ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

from telegram import InlineKeyboardMarkup

from bots.telegram.talk.screens import Press, Screen, column, cut, label, lines
from bots.telegram.talk.turns import Turn, quiet_of
from syndicator.domain.filters import Filter
from syndicator.domain.model import Cadence
from syndicator.domain.topics import Taxonomy
from syndicator.domain.windows import Schedule
from syndicator.i18n import Translator
from syndicator.wording import filter_in_words

__all__ = ["PACES", "Telling"]

_ = str  # marks a text for the catalogues where it is not yet translated

PACES = {Cadence.IMMEDIATE: _("At once"), Cadence.DAILY: _("Once a day"), Cadence.WEEKLY: _("Once a week")}

_CHOICE = 1500


@dataclass(frozen=True, slots=True)
class Telling:
    """Says it in the language of the turn."""

    taxonomy: Taxonomy
    schedule: Schedule

    def choice(self, turn: Turn, wanted: Filter) -> str:
        """A filter as one line."""
        return cut(filter_in_words(wanted, self.taxonomy, turn.t, typed=turn.typed), _CHOICE)

    def within(self, turn: Turn, wanted: Filter) -> str:
        """The same in the middle of a sentence."""
        said, everything = self.choice(turn, wanted), turn.t("All topics")
        return said if wanted.topics else turn.t("all topics") + said.removeprefix(everything)

    def agreed(self, turn: Turn, wanted: Filter, cadence: Cadence, *, asked: bool = False) -> str:
        """What somebody agrees to, for the record of consent: what they get and how often.

        That it comes at once is said where they were asked for it.
        """
        said = self.choice(turn, wanted)
        return f"{said}; {turn.t(PACES[cadence])}" if asked or cadence is not Cadence.IMMEDIATE else said

    def how_often(self, turn: Turn) -> str:
        """The cadence as one line, with the moment at which the next digest comes."""
        t = turn.t
        if turn.cadence is Cadence.IMMEDIATE:
            return t("at once, as soon as it is published")
        subscriber = turn.subscriber
        if subscriber.is_resting and subscriber.resume_at is None:
            return t("once a day") if turn.cadence is Cadence.DAILY else t("once a week")
        begins = max(turn.now, subscriber.resume_at or turn.now)
        following = self.schedule.following(turn.cadence, turn.zone, begins)
        quiet = quiet_of(turn)
        when = t.moment((quiet and quiet.until(following, turn.zone)) or following, turn.zone)
        if turn.cadence is Cadence.DAILY:
            return t("once a day; the next time on {when}", when=when)
        return t("once a week; the next time on {when}", when=when)

    def pause(self, turn: Turn) -> str:
        """That they rest, and how long; "" for who does not."""
        subscriber = turn.subscriber
        if not subscriber.is_resting:
            return ""
        if subscriber.resume_at is None:
            return turn.t("⏸ You asked for a pause: we send you nothing until you press “Resume”.")
        until = turn.t.moment(subscriber.resume_at, turn.zone)
        return turn.t("⏸ You asked for a pause: we send you nothing until {until}.", until=until)

    def summary(self, turn: Turn, note: str = "") -> Screen:
        """What the person gets now."""
        t, chosen = turn.t, turn.chosen
        if chosen is None:
            said = t("You have chosen nothing, so we send you nothing.")
            return Screen(lines(note, said, self.pause(turn)), self._ways(turn, t("Choose topics")))
        hint = t("Everything can be changed in /settings; /stop ends it.")
        often = t("How often: {cadence}.", cadence=self.how_often(turn))
        return Screen(lines(note, self._chosen(turn, chosen), often, self.pause(turn), hint), self._ways(turn))

    def _chosen(self, turn: Turn, chosen: Filter) -> str:
        t = turn.t
        if chosen == Filter():
            return t("You are subscribed to all topics.")
        if chosen != Filter(topics=chosen.topics):
            return "\n".join([t("You are subscribed to:"), self.choice(turn, chosen)])
        names = [f"• {self.topic(slug, t)}" for slug in chosen.topics]
        return "\n".join([t("You are subscribed to:"), *names])

    def topic(self, slug: str, t: Translator) -> str:
        """A topic's name as one short line."""
        topic = self.taxonomy.get(slug)
        return label(topic.name(t.lang), slug) if topic else slug

    def _ways(self, turn: Turn, topics: str = "") -> InlineKeyboardMarkup:
        t = turn.t
        rows = [(t("Resume"), Press("back"))] if turn.subscriber.is_resting else []
        rows += [(topics or t("Change topics"), Press("m")), (t("Settings"), Press("set"))]
        return column(rows)
