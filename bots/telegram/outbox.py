"""Telegram without a token: every message becomes a file that says what would have been sent.

Rules, in order:

1. One `.json` a message, named after the delivery and its part; sending again writes the same file.
2. A file appears whole or not at all.
3. The content is the Bot API's own: method, chat_id, text, parse_mode, reply_markup, link_preview_options.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bots.telegram.channel import Courier, chat_id, preview_options, refusal, silent
from bots.telegram.render import Part, Renderings
from syndicator.domain.letters import Later, Letter, Outcome, Refused, Sent
from syndicator.domain.model import ChannelKind, MessageKind
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts

__all__ = ["FileTelegram"]


class FileTelegram:
    """Writes to `folder`, which is made if missing."""

    kind = ChannelKind.TELEGRAM
    tells = frozenset({MessageKind.RELEASE})
    chunk = 50
    lanes = 1

    def __init__(self, folder: Path, *, site: Site, texts: Texts, taxonomy: Taxonomy) -> None:
        self._folder = folder
        self._site = site
        self._texts = texts
        self._renderings = Renderings(site, taxonomy)

    def ready_at(self, now: datetime) -> datetime | None:  # noqa: ARG002  # see `domain.ports.Channel`
        """A folder never waits."""
        return None

    async def send(self, letters: Sequence[Letter], now: datetime) -> Sequence[Outcome]:
        """Write each letter's messages; see `domain.ports.Channel`."""
        return await asyncio.to_thread(lambda: [self._deliver(letter, now) for letter in letters])

    async def close(self) -> None:
        """Nothing is held open."""

    def _deliver(self, letter: Letter, now: datetime) -> Outcome:
        if (refused := refusal(letter, now)) is not None or letter.release is None:
            return refused or Refused("there is nothing to send")
        parts = self._renderings.of(letter.release, letter.lang, self._texts(letter.reader_lang))
        variant = letter.release.variant(letter.lang)
        courier = Courier.of(letter, variant.revision.number if variant else 0, len(parts))
        quiet = silent(letter, self._site, now)
        for number, part in enumerate(parts[len(courier.messages) :], len(courier.messages) + 1):
            name = f"telegram-{letter.delivery:08d}-{number}.json"
            try:
                _write(self._folder / name, _call(courier.chat, part, quiet=quiet))
            except OSError as error:
                return Later(f"{self._folder}: {error.strerror}", answer=courier.answer)
            courier.messages.append(number)
        return Sent(courier.answer, str(chat_id(letter.address)))


def _call(chat: int | str, part: Part, *, quiet: bool) -> Mapping[str, Any]:
    call: dict[str, Any] = {
        "method": "sendMessage",
        "chat_id": chat,
        "text": part.html,
        "parse_mode": "HTML",
        "disable_notification": quiet,
        "link_preview_options": preview_options(part).to_dict(),
    }
    if part.button:
        call["reply_markup"] = {"inline_keyboard": [[{"text": part.button, "url": part.url}]]}
    return call


def _write(path: Path, call: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(call, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
