"""/mydata and /forget: what we hold about a chat, as a file, and erasing it.

Rules, in order:

1. The file is one JSON document with everything (`pipeline.personal`), sent to the chat that it is about alone.
2. Before anything is erased it is said what goes, what stays, and that posts in the chat can follow no correction any
   more; a button says yes.
3. The last word takes the place of that question. Nothing is sent after it; whoever writes again is somebody new, and
   pressing its buttons again makes nobody known.
"""

from __future__ import annotations

import json

from bots.telegram.talk.screens import File, Press, Screen, column, lines
from bots.telegram.talk.turns import Command, Part, Turn
from syndicator.i18n import Translator
from syndicator.pipeline.personal import Personal

__all__ = ["STAYS", "Mine"]

_ = str  # marks a text for the catalogues where it is not yet translated

STAYS = _(
    "What stays are counts without your number: how many messages were sent, and on which days somebody came and left."
)


class Mine:
    """The two commands, and the buttons of the second."""

    def __init__(self, personal: Personal) -> None:
        self._personal = personal

    def part(self) -> Part:
        """What the dialogue gets."""
        return Part(
            commands=[
                Command("mydata", _("get what we hold about you"), 80, self.mydata),
                Command("forget", _("erase everything about you"), 81, self.forget),
            ],
            presses={"gone": self.erase, "keep": self.keep},
            strangers={"gone": _erased, "keep": _kept},
        )

    async def mydata(self, turn: Turn) -> Screen:
        """/mydata."""
        t = turn.t
        data = await self._personal.data(turn.account.subscriber.id, t, turn.now)
        if data is None:
            return Screen(t("We hold nothing about this chat."))
        content = json.dumps(data, ensure_ascii=False, indent=1).encode()
        (messages, told), (choices, listed) = (
            (data[name]["count"], len(data[name]["newest"])) for name in ("deliveries", "subscriptions")
        )
        whole = (messages, choices) == (told, listed)
        said = [
            t("Everything that we hold about this chat, as a JSON file.")
            if whole
            else t("The newest of what we hold about this chat, as a JSON file.")
        ]
        if messages > told:
            said.append(t("Of {count} messages it holds the newest {shown}.", count=messages, shown=told))
        if choices > listed:
            said.append(t("Of {count} subscriptions it holds the newest {shown}.", count=choices, shown=listed))
        said.append(t("To have it erased, send /forget."))
        return Screen(" ".join(said), file=File(f"my-data-{turn.now:%Y-%m-%d}.json", content))

    async def forget(self, turn: Turn) -> Screen:
        """/forget: the question."""
        t = turn.t
        goes = (
            t("your chat's number, your language, time zone and quiet hours"),
            t("your topics and words, and the record that you agreed to get them"),
            t("which message in this chat is which"),
        )
        said = lines(
            t("Shall we erase everything that we hold about you? This cannot be undone."),
            "\n".join([t("Erased are:"), *(f"• {one}" for one in goes)]),
            t(STAYS),
            t("The messages in this chat stay until you delete them, and can no longer be corrected or withdrawn."),
            t("To have your data first, send /mydata."),
        )
        buttons = [(t("Erase everything"), Press("gone")), (t("Keep everything"), Press("keep"))]
        return Screen(said, column(buttons))

    async def erase(self, turn: Turn, _press: Press) -> Screen:
        """Yes."""
        t = turn.t
        try:
            await self._personal.erase(turn.account.subscriber, turn.now)
        except ValueError:
            return Screen(t("This chat was set up by the office itself. Only its administrator can remove it."))
        return _erased(t)

    async def keep(self, turn: Turn, _press: Press) -> Screen:
        """No."""
        return _kept(turn.t)


def _erased(t: Translator) -> Screen:
    return Screen(t("Everything about you is erased, and we send you nothing more. To begin anew, send /start."))


def _kept(t: Translator) -> Screen:
    return Screen(t("Nothing was erased."))
