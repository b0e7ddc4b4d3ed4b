"""/why: what brought a message of ours to this chat, and how to change it.

Rules, in order:

1. As a reply to one of our messages it is about that one; alone, about the last one that went out, and about every
   subscription that the chat has. The ledger answers, by the chat's own rows.
2. A subscription is told whole, and once: what it takes, how often, since when, and the record of consent.
3. What may not be shown any more is not repeated: a withdrawn release is named by its number.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from zoneinfo import ZoneInfo

from bots.telegram.richtext import clean
from bots.telegram.talk.lists import zone_of
from bots.telegram.talk.screens import Press, Screen, column, lines
from bots.telegram.talk.turns import Command, Part, Turn
from syndicator.domain.model import Cadence, MessageKind, SubscriptionState
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Translator
from syndicator.pipeline.personal import Because, Personal, Titled
from syndicator.store.subscriptions import Subscription
from syndicator.wording import stored_in_words

__all__ = ["Why"]

_ = str  # marks a text for the catalogues where it is not yet translated

_KINDS = {
    MessageKind.CORRECTION: _("A correction of what you had been sent before."),
    MessageKind.WITHDRAWAL: _("The withdrawal of what you had been sent before."),
    MessageKind.EDIT: _("A change in what you had been sent before."),
}
_DIGESTS = {Cadence.DAILY: _("Your daily digest."), Cadence.WEEKLY: _("Your weekly digest.")}
_CADENCES = {
    Cadence.IMMEDIATE: _("As soon as it is published"),
    Cadence.DAILY: _("Once a day"),
    Cadence.WEEKLY: _("Once a week"),
}
_SHOWN = 3  # subscriptions and releases that are named
_QUOTED = 300


class Why:
    """The command."""

    def __init__(self, personal: Personal, site: Site, taxonomy: Taxonomy) -> None:
        self._personal = personal
        self._site = site
        self._taxonomy = taxonomy

    def part(self) -> Part:
        """What the dialogue gets."""
        return Part(commands=[Command("why", _("why do I get this?"), 42, self.why)])

    async def why(self, turn: Turn) -> Screen:
        """/why."""
        t, zone = turn.t, zone_of(turn, self._site)
        because = await self._personal.why(turn.account.subscriber.id, turn.replied, turn.now)
        if turn.replied is not None and because is not None:
            return self._screen(turn, self._because(t("Why you got this message:"), because, t, zone))
        if turn.replied is not None:
            told = t("We have no record of this message: it is an answer to you, or not one of ours.")
        elif because is not None:
            told = self._because(t("The last message that we sent you:"), because, t, zone)
        else:
            told = t("We have sent you nothing yet.")
        said = because.subscriptions[:_SHOWN] if because and turn.replied is None else ()
        return self._screen(turn, lines(told, self._all(turn, zone, {one.id for one in said})))

    def _screen(self, turn: Turn, said: str) -> Screen:
        hint = turn.t("To change what you get: /topics. To end it: /stop.")
        return Screen(lines(said, hint), column([(turn.t("Change topics"), Press("m"))]))

    def _because(self, heading: str, because: Because, t: Translator, zone: ZoneInfo) -> str:
        named = [self._subscription(one, t, zone) for one in because.subscriptions[:_SHOWN]]
        gone = t("The subscription that it came from is not kept any more.")
        about = f"{heading}\n{_about(because, t, zone)}"
        return lines(about, *([t("It came by this subscription of yours:"), *named] if named else [gone]))

    def _all(self, turn: Turn, zone: ZoneInfo, said: Collection[int] = ()) -> str:
        """All that they have, but for what was `said` already."""
        t = turn.t
        live = [one for one in turn.account.subscriptions if one.state is SubscriptionState.ACTIVE]
        if not live:
            return t("You have chosen nothing, so we send you nothing.")
        named = [self._subscription(one, t, zone) for one in live[:_SHOWN] if one.id not in said]
        heading = t("Your other subscriptions:") if said else t("All that you are subscribed to:")
        return lines(heading, *named) if named else ""

    def _subscription(self, one: Subscription, t: Translator, zone: ZoneInfo) -> str:
        choice = stored_in_words(one.filter, self._taxonomy, t, typed=one.consent_text)
        said = [f"• {choice}", t(_CADENCES[one.cadence])]
        since = one.confirmed_at or one.created_at
        said.append(t("Subscribed on {moment}", moment=t.moment(since, zone)))
        if one.ended_at is not None:
            said.append(t("Ended on {moment}", moment=t.moment(one.ended_at, zone)))
        if one.consent_at is not None:
            agreed = {"moment": t.moment(one.consent_at, zone), "place": _quoted(one.consent_source)}
            said.append(t("You agreed on {moment} ({place})", **agreed))
        if words := _quoted(one.consent_text):
            said.append(t("to: “{words}”", words=words))
        return "\n".join(said)


def _about(because: Because, t: Translator, zone: ZoneInfo) -> str:
    """What it was: when it went out, what kind, and what it told of."""
    told = because.told
    said = [t("Sent on {moment}", moment=t.moment(told.settled_at or told.due_at, zone))]
    if told.kind in _KINDS:
        said.append(t(_KINDS[told.kind]))
    elif told.kind is MessageKind.DIGEST and because.subscriptions:
        said += [t(_DIGESTS[one.cadence]) for one in because.subscriptions[:1] if one.cadence in _DIGESTS]
    return "\n".join([*said, *_titles(because.about, t)])


def _titles(about: Sequence[Titled], t: Translator) -> list[str]:
    named = [
        f"{_quoted(one.title)}\n{one.url}" if one.title else t("Release {number}", number=one.number)
        for one in about[:_SHOWN]
    ]
    left = len(about) - len(named)
    return [*named, *([t.plural("and {count} more", "and {count} more", left)] if left else [])]


def _quoted(text: str) -> str:
    line = " ".join(clean(text).split())
    return line if len(line) <= _QUOTED else line[: _QUOTED - 1] + "…"
