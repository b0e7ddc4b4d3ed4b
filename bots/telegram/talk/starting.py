"""/start and the language. Three taps from /start to subscribed: language, topic, done; from a link of ours, one.

Rules, in order:

1. Language first, whoever asks: what a link brought waits in the buttons (`domain.deeplink`). An office of one language
   does not ask.
2. What a link brought holds with the language. It joins topics that the chat has; where it would take the place of
   something, or would be less, the person is asked which of the two.
3. What is taken back after a good-bye comes as it was, at its own pace; where something was chosen since, the person is
   asked as well.
4. A link that says nothing to us is a plain start.
"""

from __future__ import annotations

from dataclasses import replace

from bots.telegram.talk.boxes import Boxes
from bots.telegram.talk.home import Home
from bots.telegram.talk.screens import Press, Screen, column, lines
from bots.telegram.talk.telling import Telling
from bots.telegram.talk.turns import Chats, Command, Part, Turn
from bots.telegram.talk.welcome import Welcome
from syndicator.domain.deeplink import MAX_PAYLOAD, filter_of, payload_of
from syndicator.domain.filters import BadFilter, Filter
from syndicator.domain.model import Cadence
from syndicator.domain.site import Site
from syndicator.i18n import Texts
from syndicator.store.subscriptions import Consent

__all__ = ["Starting"]

_ = str  # marks a text for the catalogues where it is not yet translated

_SURE = "="  # before the pace that a button carries: whoever presses it was asked


class Starting:
    """/start and /language."""

    def __init__(
        self, chats: Chats, welcome: Welcome, boxes: Boxes, telling: Telling, home: Home, *, site: Site, texts: Texts
    ) -> None:
        self._chats = chats
        self._welcome = welcome
        self._boxes = boxes
        self._telling = telling
        self._home = home
        self._site = site
        self._texts = texts

    def part(self) -> Part:
        """What the dialogue gets."""
        return Part(
            commands=[
                Command("start", "", 0, self.start),
                Command("language", _("change the language"), 60, self.language),
            ],
            presses={"s": self.speak, "l": self.speak, "lang": self.show_languages, "u": self.instead},
        )

    async def start(self, turn: Turn) -> Screen:
        """/start, perhaps with what a link brought: which language?"""
        payload = turn.said if len(turn.said) <= MAX_PAYLOAD and self._brought(turn.said) is not None else ""
        if len(self._site.languages) == 1:
            return await self._enter(turn, payload)
        return self._welcome.first(payload)

    async def language(self, turn: Turn) -> Screen:
        """/language: which one?"""
        return self._welcome.language(turn.lang)

    async def show_languages(self, turn: Turn, _press: Press) -> Screen:
        """The same, from the settings."""
        return self._welcome.language(turn.lang)

    async def speak(self, turn: Turn, press: Press) -> Screen | None:
        """This language, please; with what the link had that led here."""
        if press.value not in self._site.languages:
            return None
        turn = turn.after(await self._chats.set_reading(turn.account, language=press.value))
        turn = replace(turn, t=self._texts(press.value))
        if press.action == "l":
            return self._home.screen(turn, turn.t("From now on we write to you in this language."))
        return await self._enter(turn, press.topic)

    async def instead(self, turn: Turn, press: Press) -> Screen | None:
        """Exactly what the button carries; one of a good-bye asks first where something was chosen since."""
        wanted = self._brought(press.topic) if press.topic else Filter()
        if wanted is None:
            return None
        value = press.value.removeprefix(_SURE)
        cadence = next((one for one in Cadence if one == value), None)
        if cadence is None or press.value != value or turn.chosen is None:
            return await self._hold(turn, wanted, cadence)
        if (turn.chosen, turn.cadence) == (wanted, cadence):
            return self._telling.summary(turn)
        return self._take_back(turn, turn.chosen, wanted, cadence)

    async def _enter(self, turn: Turn, payload: str) -> Screen:
        """Once the language is known."""
        wanted = self._brought(payload)
        return self._boxes.screen(turn) if wanted is None else await self._join(turn, wanted)

    async def _join(self, turn: Turn, wanted: Filter) -> Screen:
        had = turn.chosen
        if had is None:
            return await self._hold(turn, wanted)
        if had == wanted:
            return self._telling.summary(turn)
        both = _both(had, wanted)
        return self._which(turn, had, wanted) if both is None else await self._hold(turn, both)

    async def _hold(self, turn: Turn, wanted: Filter, cadence: Cadence | None = None) -> Screen:
        if wanted != turn.chosen or cadence not in (None, turn.cadence):
            agreed = self._telling.agreed(turn, wanted, cadence or turn.cadence)
            consent = Consent(turn.now, "telegram", agreed)
            turn = turn.after(
                await self._chats.choose(turn.account, wanted, cadence=cadence, consent=consent, now=turn.now)
            )
        return self._telling.summary(turn)

    def _which(self, turn: Turn, had: Filter, wanted: Filter) -> Screen:
        t = turn.t
        said = lines(
            t("Now you get: {choice}", choice=self._telling.within(turn, had)),
            t("The link brings: {choice}", choice=self._telling.within(turn, wanted)),
            t("Which of the two shall it be?"),
        )
        _, payload = payload_of(wanted)
        return Screen(
            said, column([(t("What the link brings"), Press("u", "", 0, payload)), (t("As it is"), Press("d"))])
        )

    def _take_back(self, turn: Turn, had: Filter, wanted: Filter, cadence: Cadence) -> Screen:
        t = turn.t
        said = lines(
            t("Now you get: {choice}", choice=self._telling.agreed(turn, had, turn.cadence)),
            t("Before you unsubscribed: {choice}", choice=self._telling.agreed(turn, wanted, cadence)),
            t("Which of the two shall it be?"),
        )
        before = Press("u", _SURE + cadence, 0, payload_of(wanted)[1])
        return Screen(said, column([(t("As it was before"), before), (t("As it is"), Press("d"))]))

    def _brought(self, payload: str) -> Filter | None:
        return filter_of(payload, self._boxes.slugs, self._site.languages)


def _both(had: Filter, wanted: Filter) -> Filter | None:
    """Topics of both, where neither asks for anything else; None where one would take the place of the other."""
    only = Filter(topics=had.topics), Filter(topics=wanted.topics)
    if (had, wanted) != only or not had.topics or not wanted.topics:
        return None
    try:
        return Filter(topics=(*had.topics, *wanted.topics))
    except BadFilter:
        return None
