"""/start, the language, and leaving. Three taps from /start to subscribed: language, topic, done."""

from __future__ import annotations

from dataclasses import replace

from bots.telegram.talk.boxes import Boxes
from bots.telegram.talk.screens import Press, Screen, column
from bots.telegram.talk.turns import Chats, Command, Part, Turn
from bots.telegram.talk.welcome import Welcome
from syndicator.domain.site import Site
from syndicator.i18n import Texts
from syndicator.store.subscriptions import Consent

__all__ = ["Starting"]

_ = str  # marks a text for the catalogues where it is not yet translated


class Starting:
    """/start, /language and /stop."""

    def __init__(self, chats: Chats, welcome: Welcome, boxes: Boxes, *, site: Site, texts: Texts) -> None:
        self._chats = chats
        self._welcome = welcome
        self._boxes = boxes
        self._site = site
        self._texts = texts

    def part(self) -> Part:
        """What the dialogue gets."""
        return Part(
            commands=[
                Command("start", "", 0, self.start),
                Command("language", _("change the language"), 60, self.language),
                Command("stop", _("unsubscribe from everything"), 100, self.stop),
            ],
            presses={"s": self.speak, "l": self.speak},
        )

    async def start(self, turn: Turn) -> Screen:
        """/start, perhaps with a topic from a deep link: which language?"""
        return self._welcome.first(turn.said if self._boxes.slug(turn.said) else "")

    async def language(self, turn: Turn) -> Screen:
        """/language: which one?"""
        return self._welcome.language(turn.lang)

    async def speak(self, turn: Turn, press: Press) -> Screen | None:
        """This language, please; with what the link had that led here."""
        if press.value not in self._site.languages:
            return None
        account = await self._chats.set_reading(turn.account, language=press.value)
        turn = replace(turn, account=account, t=self._texts(press.value))
        if press.action == "l":
            said = turn.t("From now on we write to you in this language.")
            return Screen(said, column([(turn.t("Topics"), Press("m"))]))
        if press.topic:
            return await self._boxes.tick(turn, Press("t", "+", 0, press.topic))
        return self._boxes.screen(turn.t, turn.chosen)

    async def stop(self, turn: Turn) -> Screen:
        """/stop: nothing more, from now on."""
        await self._chats.choose(turn.account, None, consent=Consent(turn.now, "telegram", "/stop"), now=turn.now)
        said = turn.t("You are unsubscribed. We send you nothing more. To choose topics again, send /start.")
        return Screen(said, column([(turn.t("Choose topics"), Press("m"))]))
