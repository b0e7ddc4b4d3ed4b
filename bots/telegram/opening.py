"""From the settings to Telegram: a bot with its way out, or a folder of files. Nothing is connected yet.

Rules, in order:

1. Without a token there is no bot: what would be sent becomes files in the outbox.
2. Bot, channel, photos and audit share one pace; what is broadcast has a line of its own beside the dialogue's.
3. The dialogue is loaded only where a bot is wanted: it takes a good part of a start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from bots.telegram.audit import ChannelAudit
from bots.telegram.channel import TelegramChannel
from bots.telegram.handing import Still
from bots.telegram.media import DatabaseFiles, Folder, Photos
from bots.telegram.numbers import DatabaseNumbers
from bots.telegram.options import ChatOptions
from bots.telegram.outbox import FileTelegram
from bots.telegram.pauses import DatabasePauses
from bots.telegram.records import Records, Watch
from config.settings import TelegramSettings
from syndicator.domain.ports import Channel, Clock, Workplace
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.domain.windows import Schedule
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.store.database import Database

if TYPE_CHECKING:
    from bots.telegram.app import TelegramBot
    from bots.telegram.dialogue import Chats
    from bots.telegram.talk.turns import Part

__all__ = ["Telegram", "bot_number", "open_channel", "open_telegram"]


@dataclass(frozen=True, slots=True)
class Telegram:
    """The way out, the bot where there is one, and work of their own."""

    channel: Channel
    bot: TelegramBot | None = None
    workplaces: Sequence[Workplace] = ()

    @property
    def username(self) -> str:
        """The bot's public name without @; "" while it is not known, or there is none."""
        return self.bot.username if self.bot else ""

    def routes(self) -> Sequence[web.RouteDef]:
        """The webhook, where the configuration wants one."""
        return self.bot.routes() if self.bot else ()


def bot_number(settings: TelegramSettings) -> int:
    """The bot's own number, which its token begins with; 0 where there is none."""
    token = settings.token.get_secret_value() if settings.token else ""
    number = token.partition(":")[0]
    return int(number) if number.isdecimal() else 0


def open_telegram(
    settings: TelegramSettings,
    database: Database,
    *,
    site: Site,
    texts: Texts,
    taxonomy: Taxonomy,
    chats: Chats,
    folder: Folder,
    clock: Clock,
    metrics: Metrics,
    wake: Callable[[], None],
    schedule: Schedule | None = None,
    more: Sequence[Part] = (),
) -> Telegram:
    """What the settings ask for.

    `folder` has the pictures' bytes, `schedule` is that of digests, `more` are parts of the dialogue; `wake` is called
    when deliveries have become due.
    """
    if settings.token is None:
        outbox = Path(settings.outbox)
        options = ChatOptions.of(settings)
        return Telegram(FileTelegram(outbox, site=site, texts=texts, taxonomy=taxonomy, options=options))
    from bots.telegram.app import TelegramBot  # noqa: PLC0415  # see rule 3
    from bots.telegram.talk.personal import personal_parts  # noqa: PLC0415

    parts, records = (*personal_parts(database, site, taxonomy), *more), Records(database, clock, wake)
    bot = TelegramBot(
        settings,
        site=site,
        texts=texts,
        taxonomy=taxonomy,
        chats=chats,
        pauses=DatabasePauses(database),
        clock=clock,
        schedule=schedule,
        more=parts,
        metrics=metrics,
        reopened=records.reopened,
    )
    channel = open_channel(
        bot,
        settings,
        database,
        site=site,
        texts=texts,
        taxonomy=taxonomy,
        folder=folder,
        clock=clock,
        still=records.still,
    )
    return Telegram(channel, bot, (Watch(database, bot.pacer, clock),))


def open_channel(
    bot: TelegramBot,
    settings: TelegramSettings,
    database: Database,
    *,
    site: Site,
    texts: Texts,
    taxonomy: Taxonomy,
    folder: Folder,
    clock: Clock,
    still: Still | None = None,
) -> TelegramChannel:
    """The way out of a bot."""
    number = bot_number(settings)
    numbers = DatabaseNumbers(database, number, clock)
    audit = (
        ChannelAudit(bot.sender, settings.audit_chat, numbers=numbers, pace=bot.pace) if settings.audit_chat else None
    )
    return TelegramChannel(
        bot.sender,
        site=site,
        texts=texts,
        taxonomy=taxonomy,
        pacer=bot.pacer,
        pauses=DatabasePauses(database),
        pace=bot.pace,
        options=ChatOptions.of(settings),
        photos=Photos(DatabaseFiles(database, number), folder),
        audit=audit,
        still=still,
        clock=clock,
    )
