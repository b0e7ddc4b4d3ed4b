"""From the settings to Telegram: a bot with its way out, or a folder of files. Nothing is connected yet.

Rules, in order:

1. Without a token there is no bot: what would be sent becomes files in the outbox.
2. Bot, channel, photos and audit share one pace; what is broadcast has a line of its own beside the dialogue's.
3. The dialogue is loaded only where a bot is wanted: it takes a good part of a start.
4. On many machines (`attendance` is given) the bot is the part of whoever has its seat
   (`Telegram.seat`). What the others need is here as well: the door for Telegram's calls, and the bot's name. A process
   without the role `bot` (`speaks` is false) has these alone (`open_lobby`): no bot, no dialogue, no line to Telegram.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from bots.telegram.audit import ChannelAudit
from bots.telegram.channel import TelegramChannel
from bots.telegram.door import Door
from bots.telegram.elsewhere import Elsewhere
from bots.telegram.handing import Still
from bots.telegram.media import DatabaseFiles, Folder, Photos
from bots.telegram.naming import KeptName
from bots.telegram.numbers import DatabaseNumbers
from bots.telegram.options import ChatOptions
from bots.telegram.outbox import FileTelegram
from bots.telegram.pauses import DatabasePauses
from bots.telegram.records import Records, Watch
from bots.telegram.seat import Seat
from bots.telegram.tenure import Tenure
from config.settings import TelegramSettings
from syndicator.domain.ports import ALONE, Attendance, Channel, Clock, Engine, Part, Workplace
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.domain.windows import Schedule
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.store.database import Database

if TYPE_CHECKING:
    from bots.telegram.app import TelegramBot
    from bots.telegram.dialogue import Chats
    from bots.telegram.letterbox import Letterbox
    from bots.telegram.talk.turns import Part as Talk

__all__ = ["Lobby", "Telegram", "bot_number", "open_channel", "open_lobby", "open_telegram"]


@dataclass(frozen=True, slots=True)
class Lobby:
    """What a machine without the bot has of it: the door for Telegram's calls, and the bot's name (a part to run)."""

    door: Door | None = None
    name: KeptName | None = None

    @property
    def username(self) -> str:
        """The bot's public name without @; "" while it is not known, or there is none."""
        return self.name.current if self.name else ""

    def routes(self) -> Sequence[web.RouteDef]:
        """The webhook, where the configuration wants one."""
        return self.door.routes() if self.door else ()

    def parts(self) -> Sequence[Part]:
        """What runs beside the pages."""
        return [self.name] if self.name else []


@dataclass(frozen=True, slots=True)
class Telegram:
    """The way out, the bot where there is one, and work of their own. `lobby` is there on many machines only."""

    channel: Channel
    clock: Clock
    bot: TelegramBot | None = None
    workplaces: Sequence[Workplace] = ()
    letters: Letterbox | None = None
    lobby: Lobby | None = None
    tenure: Tenure = field(default_factory=Tenure)

    @property
    def username(self) -> str:
        """The bot's public name without @; "" while it is not known, or there is none."""
        if self.lobby is not None:
            return self.lobby.username
        return self.bot.username if self.bot else ""

    def routes(self) -> Sequence[web.RouteDef]:
        """The webhook, where the configuration wants one."""
        if self.lobby is not None:
            return self.lobby.routes()
        return self.bot.routes() if self.bot else ()

    def seat(self, engine: Callable[[], Engine], finish: Callable[[float], Awaitable[object]]) -> Seat:
        """The part of whoever has the bot's seat; see `seat.Seat`."""
        sender = self.channel if isinstance(self.channel, TelegramChannel) else None
        return Seat(
            self.tenure,
            clock=self.clock,
            engine=engine,
            finish=finish,
            sender=sender,
            bot=self.bot,
            letters=self.letters,
        )


def bot_number(settings: TelegramSettings) -> int:
    """The bot's own number, which its token begins with; 0 where there is none."""
    token = settings.token.get_secret_value() if settings.token else ""
    number = token.partition(":")[0]
    return int(number) if number.isdecimal() else 0


def open_lobby(settings: TelegramSettings, database: Database, clock: Clock) -> Lobby:
    """What every machine has of the bot, where there are many."""
    number = bot_number(settings)
    if settings.token is None:
        return Lobby()
    secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else ""
    door = Door(database, number, secret, clock) if settings.mode == "webhook" else None
    return Lobby(door, KeptName(database, number))


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
    more: Sequence[Talk] = (),
    attendance: Attendance | None = None,
    speaks: bool = True,
) -> Telegram:
    """What the settings ask for.

    `folder` has the pictures' bytes, `schedule` is that of digests, `more` are parts of the dialogue; `wake` is called
    when deliveries have become due. `attendance` is that of this process among many, `speaks` whether it may have the
    bot's seat (rule 4).
    """
    lobby = None if attendance is None or attendance is ALONE else open_lobby(settings, database, clock)
    if lobby is not None and not speaks:
        return Telegram(Elsewhere(), clock, lobby=lobby)
    if settings.token is None:
        outbox = Path(settings.outbox)
        options = ChatOptions.of(settings)
        return Telegram(
            FileTelegram(outbox, site=site, texts=texts, taxonomy=taxonomy, options=options), clock, lobby=lobby
        )
    from bots.telegram.app import TelegramBot  # noqa: PLC0415  # see rule 3
    from bots.telegram.talk.personal import personal_parts  # noqa: PLC0415

    tenure = Tenure(attendance or ALONE)
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
        tenure=tenure,
        named=lobby.name.keep if lobby is not None and lobby.name is not None else None,
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
    watch = Watch(database, bot.pacer, clock)
    if lobby is None:
        return Telegram(channel, clock, bot, (watch,))
    from bots.telegram.letterbox import Letterbox  # noqa: PLC0415  # see rule 3

    letters = Letterbox(database, bot_number(settings), bot.bot, bot.desk, lambda: bot.is_up, clock)
    return Telegram(channel, clock, bot, (watch, letters), letters, lobby, tenure)


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
