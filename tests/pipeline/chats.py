"""A way out that keeps chats as their readers see them: posts that are edited and deleted, and words that are said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from syndicator.domain.letters import Letter, Outcome, Sent
from syndicator.domain.model import ChannelKind, MessageKind


@dataclass
class Chat:
    """What one reader sees: posts by id with their title, words that were said of them, and all that was ever shown."""

    posts: dict[int, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

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

    def ready_at(self, now: datetime) -> datetime | None:
        return None

    async def close(self) -> None: ...

    async def send(self, letters: Sequence[Letter], now: datetime) -> Sequence[Outcome]:
        self.letters += letters
        return [Sent(self._deliver(letter, self.chats[letter.address])) for letter in letters]

    def _deliver(self, letter: Letter, chat: Chat) -> dict[str, object]:
        if letter.kind is MessageKind.DIGEST:
            title = " + ".join(item.release.variant(item.lang).revision.title for item in letter.items)
        else:
            title = letter.release.variant(letter.lang).revision.title
        post = self._post_of(letter)
        if letter.kind is MessageKind.WITHDRAWAL:
            chat.posts.pop(post or 0, None)
            if not letter.hushed:
                chat.said.append("withdrawn")
            return {"gone": True}
        if post is None and (letter.kind is MessageKind.EDIT or letter.hushed):
            return {}
        if post is None or letter.kind in (MessageKind.RELEASE, MessageKind.DIGEST):
            self.last += 1
            post = self.last
        chat.show(post, title)
        if letter.kind is MessageKind.CORRECTION and not letter.hushed:
            chat.said += letter.notes
        return {"post": post}

    @staticmethod
    def _post_of(letter: Letter) -> int | None:
        """Its copy: the newest answer that names one, unless a newer one says that it is gone."""
        for one in reversed(letter.earlier):
            if one.answer.get("gone"):
                return None
            if "post" in one.answer:
                return one.answer["post"]
        return None
