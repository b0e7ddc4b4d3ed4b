"""A way out that keeps chats as their readers see them: posts that are edited and deleted, and words that are said.

It may be stopped half-way through its next letter, as a real one is by a 429 or a refusal: what was done stands in the
answer, and the word to the reader, which comes last, was not said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from syndicator.domain.letters import Later, Letter, Outcome, Refused, Sent
from syndicator.domain.model import ChannelKind, MessageKind


@dataclass
class Chat:
    """What one reader sees: posts by id with their title, words that were said of them, and all that was ever shown.

    `unsaid` are words that were refused.
    """

    posts: dict[int, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    unsaid: set[str] = field(default_factory=set)

    def show(self, number: int, title: str) -> None:
        self.posts[number] = title
        self.shown.append(title)


class Chats:
    """The simplest channel that keeps the contract of `Letter.earlier`, `notes` and `hushed`."""

    kind = ChannelKind.TELEGRAM
    chunk = 1
    lanes = 1

    def __init__(self, tells: Sequence[MessageKind] = tuple(MessageKind)) -> None:
        self.tells = set(tells)
        self.chats: defaultdict[str, Chat] = defaultdict(Chat)
        self.letters: list[Letter] = []
        self.last = 0
        self.stop: type[Later | Refused] | None = None  # how the next letter ends half-way

    def ready_at(self, now: datetime) -> datetime | None:
        return None

    async def close(self) -> None: ...

    async def send(self, letters: Sequence[Letter], now: datetime) -> Sequence[Outcome]:
        self.letters += letters
        return [self._sent(letter, now) for letter in letters]

    def _sent(self, letter: Letter, now: datetime) -> Outcome:
        chat, stop, self.stop = self.chats[letter.address], self.stop, None
        if stop is Refused and letter.kind is not MessageKind.CORRECTION:
            stop = Later  # only a word is refused here: a text that never arrives is another story
        done, word = self._show(letter, chat), self._word(letter)
        if stop is Refused:
            chat.unsaid |= set(word)
            return Refused("the word is refused", done)
        if stop is Later:
            return Later("429", not_before=now + timedelta(seconds=30), counts=False, answer=done)
        chat.said += word
        return Sent({**done, "reply": 1} if word else done)

    @staticmethod
    def _word(letter: Letter) -> list[str]:
        if letter.hushed:
            return []
        if letter.kind is MessageKind.WITHDRAWAL:
            return ["withdrawn"]
        return list(letter.notes) if letter.kind is MessageKind.CORRECTION else []

    def _show(self, letter: Letter, chat: Chat) -> dict[str, object]:
        if letter.kind is MessageKind.DIGEST:
            title, revision = " + ".join(item.release.variant(item.lang).revision.title for item in letter.items), 0
        else:
            shown = letter.release.variant(letter.lang).revision
            title, revision = shown.title, shown.number
        post = self._post_of(letter)
        if letter.kind is MessageKind.WITHDRAWAL:
            chat.posts.pop(post or 0, None)
            return {"gone": True}
        if post is None and (letter.kind is MessageKind.EDIT or letter.hushed):
            return {}
        if post is None:
            self.last += 1
            post = self.last
        chat.show(post, title)
        return {"post": post} | ({"revision": revision} if revision else {})

    @staticmethod
    def _post_of(letter: Letter) -> int | None:
        """Its copy: what an earlier attempt sent, or the newest answer that names one and none that says it is gone."""
        news = letter.kind in (MessageKind.RELEASE, MessageKind.DIGEST)
        for answer in (letter.answer, *(one.answer for one in reversed(() if news else letter.earlier))):
            if answer.get("gone"):
                return None
            if "post" in answer:
                return answer["post"]
        return None
