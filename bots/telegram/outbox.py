"""Telegram without a token: every call becomes a file that says what would have been sent, edited or deleted.

Rules, in order:

1. One `.json` a call, named after the delivery and its number within it; sending again writes the same file.
2. A file appears whole or not at all.
3. The content is the Bot API's own: `method`, and its parameters. A picture is named by its address.
4. A message's id is made of its delivery and number, so that later edits name it, and one finds its file.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from bots.telegram.aims import TELLS, Task, View, Writer, refusal
from bots.telegram.calls import Manner, call
from bots.telegram.channel import facts
from bots.telegram.copies import Stand
from bots.telegram.options import ChatOptions, silent, zone_of
from bots.telegram.plan import Edit, Operation, Reply, Send, after, plan
from bots.telegram.recalling import stand_before, stand_of
from bots.telegram.render import Renderings
from syndicator.domain.letters import Later, Letter, Outcome, Sent
from syndicator.domain.model import ChannelKind
from syndicator.domain.places import Place
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts

__all__ = ["FileTelegram"]

_IDS = 100  # calls of one delivery; more would need a text of as many messages


class FileTelegram:
    """Writes to `folder`, which is made if missing."""

    kind = ChannelKind.TELEGRAM
    tells = TELLS
    chunk = 50
    lanes = 1

    def __init__(
        self, folder: Path, *, site: Site, texts: Texts, taxonomy: Taxonomy, options: ChatOptions | None = None
    ) -> None:
        self._folder = folder
        self._site = site
        self._options = options or ChatOptions()
        self._writer = Writer(Renderings(site, taxonomy), texts)

    def ready_at(self, now: datetime) -> datetime | None:  # noqa: ARG002  # see `domain.ports.Channel`
        """A folder never waits."""
        return None

    async def send(self, letters: Sequence[Letter], now: datetime) -> Sequence[Outcome]:
        """Write each letter's calls; see `domain.ports.Channel`."""
        return await asyncio.to_thread(lambda: [self._deliver(letter, now) for letter in letters])

    async def close(self) -> None:
        """Nothing is held open."""

    def _deliver(self, letter: Letter, now: datetime) -> Outcome:
        if (refused := refusal(letter, now)) is not None:
            return refused
        place, options = Place.parse(letter.address), self._options.for_letter(letter)
        before, stand = stand_before(letter, place, now), stand_of(letter, place, now)
        view = View(options.style, now, zone_of(letter, self._site))
        task = self._writer.task(letter, view, before, stand)
        manner = Manner(silent(letter, self._site, now, options.silent), uploads=False)
        try:
            stand = self._write_all(letter, place, stand, task, manner)
        except _Unwritten as failed:
            return Later(
                f"{self._folder}: {failed.reason}", answer=failed.stand.answer(place.chat, facts(letter, task))
            )
        return Sent(stand.answer(place.chat, facts(letter, task)), str(place))

    def _write_all(self, letter: Letter, place: Place, stand: Stand, task: Task, manner: Manner) -> Stand:
        number = sum(1 for _ in self._folder.glob(f"telegram-{letter.delivery:08d}-*.json")) if letter.answer else 0
        while rows := plan(stand, task.aims, task.word):
            number += 1
            try:
                _write(
                    self._folder / f"telegram-{letter.delivery:08d}-{number}.json", self._asked(rows[0], place, manner)
                )
            except OSError as error:
                raise _Unwritten(stand, error.strerror or type(error).__name__) from None
            message = letter.delivery * _IDS + number if isinstance(rows[0], Send | Reply) else 0
            stand = after(stand, rows[0], message)
        return stand

    def _asked(self, operation: Operation, place: Place, manner: Manner) -> Mapping[str, Any]:
        picture = operation.part.photo if isinstance(operation, Send | Edit) else None
        address = urljoin(self._site.base_url, picture.url) if picture is not None else None
        asked = call(operation, place, manner, address)
        return {"method": asked.method, **asked.parameters}


class _Unwritten(Exception):
    """A file could not be written; `stand` is what stood by then."""

    def __init__(self, stand: Stand, reason: str) -> None:
        super().__init__(reason)
        self.stand = stand
        self.reason = reason


def _write(path: Path, call: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(call, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
