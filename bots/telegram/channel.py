"""Telegram as a way out: one letter becomes the messages of its release, sent in order, each at most once.

Rules, in order:

1. The pace is asked first. A wait of up to two seconds is waited out; a longer one is `Later`, and costs no attempt.
2. Parts go in order. What was accepted stands in the answer, and the next attempt goes on behind it.
3. A 400 that blames the message is tried once more as plain text with the page's address in words.
4. A 429 pauses the chat, perhaps the bot, and the pause is kept in the database before anything else is sent.
5. A release that is withdrawn between the claim and the sending is refused: the one question is asked here too.
6. At night, 22:00 to 08:00 where the reader is (for a channel: where the office is), messages come without a sound,
   unless they are urgent.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions, Message
from telegram.error import RetryAfter, TelegramError

from bots.telegram.limits import Pacer, Pause
from bots.telegram.outcomes import is_token_trouble, outcome, worth_plain
from bots.telegram.pauses import Pauses
from bots.telegram.render import Part, Renderings
from syndicator.domain.letters import Later, Letter, Outcome, Refused, Sent
from syndicator.domain.model import ChannelKind, MessageKind, Standing, SubscriberRole, Urgency
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.domain.visibility import standing
from syndicator.i18n import Texts

__all__ = ["Courier", "TelegramChannel", "chat_id", "refusal", "silent"]

PATIENCE = timedelta(seconds=2)
NIGHT_FROM, NIGHT_TO = 22, 8
_NUMBER = re.compile(r"-?[0-9]{1,19}")
_NAME = re.compile(r"(?:https?://)?(?:t\.me/|@)([A-Za-z][A-Za-z0-9_]{3,31})/?")

log = structlog.get_logger()


def chat_id(address: str) -> int | str:
    """A chat as the Bot API takes it: a number, or `@name`; `https://t.me/name` is understood."""
    address = address.strip()
    if _NUMBER.fullmatch(address):
        return int(address)
    named = _NAME.fullmatch(address)
    return f"@{named[1]}" if named else address


def silent(letter: Letter, site: Site, now: datetime) -> bool:
    """Whether it comes without a sound."""
    release = letter.release
    if release is not None and release.urgency is Urgency.URGENT:
        return False
    zone = site.timezone if letter.role is SubscriberRole.CHANNEL else letter.timezone or site.timezone
    try:
        hour = now.astimezone(ZoneInfo(zone)).hour
    except (ZoneInfoNotFoundError, ValueError):
        hour = now.astimezone(site.zone).hour
    return hour >= NIGHT_FROM or hour < NIGHT_TO


def refusal(letter: Letter, now: datetime) -> Refused | None:
    """Why this letter is none for Telegram, or none any more; None if it may go."""
    if letter.kind is not MessageKind.RELEASE:
        return Refused(f"a {letter.kind.value} is not sent over Telegram")
    release = letter.release
    if release is None or release.variant(letter.lang) is None:
        return Refused(f"there is no text in {letter.lang or 'any language'} to send")
    if standing(release.state, release.public_at, release.opened_at, now) is not Standing.PUBLIC:
        return Refused("the release is not public")
    return None


def buttons_work(base_url: str) -> bool:
    """Telegram refuses a button whose address has no public-looking host, such as http://localhost:8080."""
    host = urlsplit(base_url).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return "." in host
    return True


@dataclass(slots=True)
class Courier:
    """One letter on its way: how many parts were accepted, and as which messages.

    `chat` is the address as we write to it, `resolved` what Telegram calls it.
    """

    chat: int | str
    revision: int
    lang: str
    messages: list[int]
    total: int
    resolved: int | str

    @classmethod
    def of(cls, letter: Letter, revision: int, total: int) -> Courier:
        """Go on where an earlier attempt stopped; another revision's parts are counted as sent too."""
        kept = letter.answer.get("messages")
        messages = [int(one) for one in kept] if isinstance(kept, list | tuple) else []
        chat = chat_id(letter.address)
        return cls(chat, revision, letter.lang, messages, total, letter.answer.get("chat") or chat)  # type: ignore[arg-type]  # kept as JSON

    @property
    def answer(self) -> dict[str, object]:
        """What the ledger keeps."""
        if not self.messages:
            return {}
        return {
            "chat": self.resolved,
            "messages": list(self.messages),
            "parts": self.total,
            "revision": self.revision,
            "lang": self.lang,
        }


class TelegramChannel:
    """Sends through the Bot API. `sleep` takes seconds and `monotonic` gives them; tests pass their own."""

    kind = ChannelKind.TELEGRAM
    tells = frozenset({MessageKind.RELEASE})
    chunk = 1
    lanes = 4

    def __init__(
        self,
        bot: Bot,
        *,
        site: Site,
        texts: Texts,
        taxonomy: Taxonomy,
        pacer: Pacer,
        pauses: Pauses,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bot = bot
        self._site = site
        self._texts = texts
        self._pacer = pacer
        self._pauses = pauses
        self._sleep = sleep
        self._monotonic = monotonic
        self._renderings = Renderings(site, taxonomy)
        self._buttons = buttons_work(site.base_url)
        self._restored = False
        self._restoring = asyncio.Lock()

    def ready_at(self, now: datetime) -> datetime | None:
        """The end of a pause of the whole bot, a refused token among them; see `domain.ports.Channel`."""
        return self._pacer.held_until(now)

    async def send(self, letters: Sequence[Letter], now: datetime) -> Sequence[Outcome]:
        """Send each letter; see `domain.ports.Channel`."""
        await self._restore()
        started = self._monotonic()

        def moment() -> datetime:
            return now + timedelta(seconds=self._monotonic() - started)

        return [await self._deliver(letter, moment) for letter in letters]

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        await self._bot.request.shutdown()

    async def _restore(self) -> None:
        if self._restored:
            return
        async with self._restoring:
            if self._restored:
                return
            try:
                self._pacer.restore(await self._pauses.load())
            except OSError as error:
                log.warning("kept pauses of telegram cannot be read yet", reason=str(error))
            else:
                self._restored = True

    async def _keep(self, pause: Pause) -> None:
        try:
            await self._pauses.keep(pause)
        except OSError as error:  # it holds in memory; only a restart would forget it
            log.warning("a pause of telegram cannot be kept", scope=pause.scope, reason=str(error))

    async def _deliver(self, letter: Letter, moment: Callable[[], datetime]) -> Outcome:
        if (refused := refusal(letter, moment())) is not None or letter.release is None:
            return refused or Refused("there is nothing to send")
        parts = self._renderings.of(letter.release, letter.lang, self._texts(letter.reader_lang))
        variant = letter.release.variant(letter.lang)
        courier = Courier.of(letter, variant.revision.number if variant else 0, len(parts))
        quiet = silent(letter, self._site, moment())
        for part in parts[len(courier.messages) :]:
            wait = await self._pace(courier, moment)
            if wait is not None:
                return wait
            try:
                message = await self._send(courier.chat, part, quiet=quiet, moment=moment)
            except TelegramError as error:
                return await self._failed(error, letter, courier, moment())
            courier.resolved = message.chat.id
            courier.messages.append(message.message_id)
        return Sent(courier.answer, str(courier.resolved))

    async def _pace(self, courier: Courier, moment: Callable[[], datetime]) -> Later | None:
        now = moment()
        when = self._pacer.reserve(courier.chat, now, PATIENCE)
        if when - now > PATIENCE:
            return Later("keeping Telegram's pace", when, counts=False, answer=courier.answer)
        if when > now:
            await self._sleep((when - now).total_seconds())
            # A 429 that came in meanwhile holds for this one too.
            until = self._pacer.paused_until(courier.chat, moment())
            if until is not None:
                return Later("Telegram asked for a pause", until, counts=False, answer=courier.answer)
        return None

    async def _send(self, chat: int | str, part: Part, *, quiet: bool, moment: Callable[[], datetime]) -> Message:
        try:
            return await self._send_rich(chat, part, quiet=quiet)
        except TelegramError as error:
            if not worth_plain(error):
                raise
            log.warning("telegram refused the markup, sending plain text", chat=chat, reason=error.message)
        self._pacer.note(chat, moment())
        text = f"{part.plain}\n\n{part.link}" if part.link else part.plain
        return await self._bot.send_message(chat, text, disable_notification=quiet)

    async def _send_rich(self, chat: int | str, part: Part, *, quiet: bool) -> Message:
        keyboard, text = None, part.html
        if part.button and self._buttons:
            keyboard = InlineKeyboardMarkup([[InlineKeyboardButton(part.button, url=part.url)]])
        elif part.link:
            text = f"{part.html}\n\n{part.link.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')}"
        return await self._bot.send_message(
            chat,
            text,
            parse_mode="HTML",
            disable_notification=quiet,
            reply_markup=keyboard,
            link_preview_options=preview_options(part),
        )

    async def _failed(self, error: TelegramError, letter: Letter, courier: Courier, now: datetime) -> Outcome:
        found = outcome(error, role=letter.role, now=now, answer=courier.answer)
        if isinstance(error, RetryAfter) and isinstance(found, Later) and found.not_before is not None:
            seconds = (found.not_before - now).total_seconds()
            for pause in self._pacer.too_many(courier.chat, seconds, now):
                log.warning("telegram asked for a pause", scope=pause.scope, until=pause.until.isoformat())
                await self._keep(pause)
        elif is_token_trouble(error):
            if isinstance(found, Later) and found.not_before is not None:
                self._pacer.hold(found.not_before)
            log.error("telegram refuses the bot's token: set telegram.token and restart; messages wait")
        elif letter.role is SubscriberRole.CHANNEL and isinstance(found, Later):
            log.error("telegram channel cannot be written to", chat=courier.chat, reason=found.reason)
        return found


def preview_options(part: Part) -> LinkPreviewOptions:
    """The page's picture above the text where there is one; otherwise no preview at all."""
    if not part.preview:
        return LinkPreviewOptions(is_disabled=True)
    return LinkPreviewOptions(url=part.preview, prefer_large_media=True, show_above_text=True)
