"""Telegram: messages a second and CPU a message, of our sender beside python-telegram-bot's own way of sending.

Both send the same text to a thin stand-in for the Bot API in another process, in turns within one run; limits are set
aside. Ours is `TelegramChannel` as the service has it: letters in, outcomes out. Theirs is `Bot.send_message` over its
default transport. The whole road is what runs in production: engine, claims and settlements in SQLite, every commit
synced.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import uvloop
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions
from telegram.ext import ExtBot

from bots.telegram.channel import TelegramChannel
from bots.telegram.kept import Pause
from bots.telegram.limits import Pacer
from bots.telegram.transport import AiohttpRequest
from syndicator.domain.letters import Letter, Sent
from syndicator.domain.model import MessageKind, Release
from syndicator.domain.retry import RetryPolicy
from syndicator.i18n import Texts
from syndicator.store import migrate, releases
from syndicator.store.database import Database
from tests.bench.bot_api import TOKEN, BotApi
from tests.bench.crowd import LANGS, NOW, SITE, announce, crowd, taxonomy
from tests.bench.figures import Figure, child
from tests.bench.whole_road import all_sent

__all__ = ["measure"]

PEOPLE = 5000
ROUNDS, EACH = 9, 400
SIDE_BY_SIDE = 8
PER_SECOND = 1000.0  # what the Bot API takes of broadcasts that are paid for
PATIENCE = 200  # seconds
BEGUN = time.monotonic()


def measure(folder: Path, people: int = PEOPLE, rounds: int = ROUNDS, each: int = EACH) -> Iterator[Figure]:
    """The two senders in turns, then the whole road."""
    api = BotApi()
    try:
        found = child("telegram", str(folder), api.root, str(people), str(rounds), str(each))
    finally:
        api.stop()
    ours, theirs, whole = found["ours"], found["theirs"], found["whole"]
    yield Figure(
        f"our sender, {SIDE_BY_SIDE} side by side (median of {rounds})",
        f"{ours['rate']:.0f} messages/s",
        f"Bot.send_message {theirs['rate']:.0f}/s",
        found["rates"],
    )
    yield Figure("CPU a message", f"{ours['cpu']:.2f} ms", f"its {theirs['cpu']:.2f} ms: 1 /", found["cpus"])
    yield Figure("whole road, ledger on", f"{whole['rate']:.0f} messages/s", "our sender", whole["rate"] / ours["rate"])
    yield Figure("CPU a message, whole road", f"{whole['cpu']:.2f} ms", "our sender", whole["cpu"] / ours["cpu"])


class NoPauses:
    """Nothing was kept, and nothing is."""

    async def load(self) -> Sequence[Pause]:
        return ()

    async def keep(self, pause: Pause) -> None:
        raise AssertionError(pause)


def clock() -> datetime:
    """The release is announced at a fixed moment, so this clock goes on from there."""
    return NOW + timedelta(seconds=time.monotonic() - BEGUN)


async def _all(folder: str, root: str, people: int, rounds: int, each: int) -> None:
    url = f"sqlite:///{folder}/telegram.db"
    await migrate.upgrade(url)
    database = Database(url)
    await crowd(database, people, 1, chats=1)
    await announce(database)
    async with database.reading() as session:
        (release,) = (await releases.many(session, [1])).values()
    found = await _in_turns(root, release, rounds, each)
    found["whole"] = await _pipeline(database, root, people)
    await database.close()
    print(json.dumps(found))  # noqa: T201  # to the parent


def channel(root: str, per_second: float = 10.0**6) -> TelegramChannel:
    """As the service makes it."""
    bot = ExtBot(TOKEN, base_url=f"{root}/bot", request=AiohttpRequest(pool=SIDE_BY_SIDE))
    pacer = Pacer(per_second)
    return TelegramChannel(bot, site=SITE, texts=Texts.load(LANGS), taxonomy=taxonomy(), pacer=pacer, pauses=NoPauses())


async def _in_turns(root: str, release: Release, rounds: int, each: int) -> dict[str, object]:
    ours = channel(root)
    theirs = Bot(TOKEN, base_url=f"{root}/bot")
    await theirs.request.initialize()
    body = "<b>Permits take less time</b>\n\n" + release.variants[1].revision.text[:1000]
    button = InlineKeyboardMarkup([[InlineKeyboardButton("Read on the site", url="https://press.example.org/en/1")]])

    async def send_ours(chat: int) -> None:
        (outcome,) = await ours.send([_letter(release, chat)], clock())
        assert isinstance(outcome, Sent), outcome

    async def send_theirs(chat: int) -> None:
        preview = LinkPreviewOptions(is_disabled=True)
        await theirs.send_message(
            chat, body, parse_mode="HTML", disable_notification=True, reply_markup=button, link_preview_options=preview
        )

    mine, its = list[Mapping[str, float]](), list[Mapping[str, float]]()
    for number in range(rounds + 1):
        first = 1 + number * each
        mine.append(await _timed(send_ours, range(first, first + each)))
        its.append(await _timed(send_theirs, range(first, first + each)))
    await ours.close()
    await theirs.request.shutdown()
    pairs = list(zip(mine[1:], its[1:], strict=True))  # the first round warms up
    return {
        "ours": _middle(mine[1:]),
        "theirs": _middle(its[1:]),
        "rates": statistics.median(a["rate"] / b["rate"] for a, b in pairs),
        "cpus": statistics.median(b["cpu"] / a["cpu"] for a, b in pairs),
    }


def _letter(release: Release, chat: int) -> Letter:
    return Letter(
        delivery=chat,
        message="release:1:0",
        kind=MessageKind.RELEASE,
        subscriber=chat,
        address=str(chat),
        lang="en",
        reader_lang="en",
        timezone="Asia/Baku",
        release=release,
    )


def _middle(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in found) for name in ("rate", "cpu")}


async def _timed(send: Callable[[int], Awaitable[None]], chats: Sequence[int]) -> Mapping[str, float]:
    waiting = list(chats)

    async def work() -> None:
        while waiting:
            await send(waiting.pop())

    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(SIDE_BY_SIDE)))
    seconds, spent = time.perf_counter() - begun, time.process_time() - cpu
    return {"rate": len(chats) / seconds, "cpu": spent / len(chats) * 1000}


async def _pipeline(database: Database, root: str, people: int) -> Mapping[str, float]:
    sender = channel(root, PER_SECOND)
    return await all_sent(database, sender, RetryPolicy(), people, clock=clock, patience=PATIENCE)


if __name__ == "__main__":
    uvloop.run(_all(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])))
