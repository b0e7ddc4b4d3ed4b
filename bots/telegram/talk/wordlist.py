"""/words: only what has these words.

Rules, in order:

1. All of the words must be there, each as the beginning of one; that is what `q` of a filter means everywhere.
2. What is written takes the place of the words that were; a button takes one away, named by a digest of it.
3. Words that cannot be used change nothing, and the reason is said.
4. Whoever had chosen nothing, and writes words, gets what has them on every topic; the screen says so.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from bots.telegram.talk.home import back_home
from bots.telegram.talk.screens import Press, Screen, column, label, lines, question
from bots.telegram.talk.telling import Telling
from bots.telegram.talk.turns import Chats, Command, Part, Turn
from syndicator.domain.filters import MAX_WORDS, BadFilter, Cause, Filter
from syndicator.store.subscriptions import Consent
from syndicator.wording import spelling

__all__ = ["Words"]

_ = str  # marks a text for the catalogues where it is not yet translated

_ASKED = _(
    "Which words must be in what we send you? Write them in one message; beginnings are enough, for example: visa fee"
)
_REFUSED = {
    Cause.WORDLESS: _("There is no letter or digit in that. Please write words."),
    Cause.WORDS: _("These are too many words: {count} are the most. Please leave out those that matter least."),
    Cause.LENGTH: _("That is too long. Please write fewer or shorter words."),
}
_OTHERWISE = _("These words cannot be used. Please write others.")


class Words:
    """/words, and the presses of its buttons."""

    def __init__(self, chats: Chats, telling: Telling) -> None:
        self._chats = chats
        self._telling = telling

    def part(self) -> Part:
        """What the dialogue gets."""
        return Part(
            commands=[Command("words", _("filter by words"), 20, self.hear)],
            presses={"wrd": self.press},
            questions={_ASKED: self.hear},
        )

    async def hear(self, turn: Turn) -> Screen:
        """`/words visa asan`, or the answer to our question: these words from now on. Without any: what holds."""
        if not turn.said.strip():
            return self.screen(turn)
        try:
            wanted = replace(turn.chosen or Filter(), words=tuple(turn.said.replace(",", " ").split()))
        except BadFilter as error:
            return self.screen(turn, turn.t(_REFUSED.get(error.cause, _OTHERWISE), count=MAX_WORDS))
        return await self._hold(turn, wanted)

    async def press(self, turn: Turn, press: Press) -> Screen:
        """Ask for words, take one away, or all."""
        chosen = turn.chosen
        if press.value == "ask":
            return question(turn.t(_ASKED), turn.t("words"))
        if chosen is None or press.value not in ("-", "none"):
            return self.screen(turn)
        kept = tuple(word for word in chosen.words if press.value == "-" and _key(word) != press.topic)
        return await self._hold(turn, replace(chosen, words=kept))

    async def _hold(self, turn: Turn, wanted: Filter) -> Screen:
        if wanted != turn.chosen:
            said = self._telling.agreed(turn, wanted, turn.cadence)
            consent = Consent(turn.now, "telegram", said)
            turn = turn.after(await self._chats.choose(turn.account, wanted, consent=consent, now=turn.now))
        return self.screen(turn)

    def screen(self, turn: Turn, note: str = "") -> Screen:
        """The words that hold, each with a button that takes it away."""
        t, chosen = turn.t, turn.chosen
        words = chosen.words if chosen else ()
        rule = t(
            "We send you only what has all of these words. The beginning of a word is enough, and ə, ı or ё may be "
            "written e, i, е."
        )
        none = t("You have set no words: what we send you depends on its topics alone.")
        held = t("We send you: {choice}", choice=self._telling.within(turn, chosen)) if chosen and words else ""
        ask = (t("Other words…") if words else t("Set words…"), Press("wrd", "ask"))
        spelled = spelling(words, turn.typed)
        rows = [(f"✕ {label(spelled[word], t('words'))}", Press("wrd", "-", 0, _key(word))) for word in words]
        if len(words) > 1:
            rows.append((t("Without words"), Press("wrd", "none")))
        return Screen(lines(note, held, rule if words else none), column([*rows, ask, back_home(t)]))


def _key(word: str) -> str:
    return sha256(word.encode()).hexdigest()[:16]
