"""Photos for posts: each is uploaded once a bot, and sent by its file_id from then on.

Rules, in order:

1. What Telegram has already is named by its file_id; else the kept file's bytes are uploaded; else Telegram fetches a
   public https address itself. What it would refuse is not offered: more than 10 MB (5 MB to fetch), sides that sum
   up to more than 10,000 or of which one is more than 20 times the other, any type but jpeg, png and webp
   (https://core.telegram.org/bots/api#sendphoto).
2. While one chat uploads a picture, others that want the same wait for its file_id, a few seconds at most.
3. Every `input` that gave something is followed by `accepted`, `refused` or `released`, whatever the answer was: those
   who wait go on. Without one of them they go on after `PATIENCE`.
4. A refused file_id is forgotten, and the bytes are tried at the next chat. Refused bytes are not tried again in this
   process. That a chat takes no photos at all is not the picture's fault (`is_picture_trouble`).
5. Where file_ids cannot be kept or read, pictures are uploaded again; a post never waits for that.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import imagesize
import structlog
from sqlalchemy.exc import SQLAlchemyError
from telegram import InputFile, Message
from telegram.error import BadRequest, NetworkError, TelegramError

from syndicator.domain.model import Attachment
from syndicator.net import is_public
from syndicator.store import telegram_files
from syndicator.store.database import Database

__all__ = ["DatabaseFiles", "FileIds", "Folder", "Photos", "is_picture_trouble"]

MOST_BYTES = 10_000_000
MOST_FETCHED = 5_000_000
MOST_SIDES = 10_000  # width and height together, in pixels
MOST_RATIO = 20
TYPES = frozenset({"image/jpeg", "image/png", "image/webp"})
PATIENCE = 20.0  # seconds that others wait for an upload
_REMEMBERED = 500
_BAD_PICTURE = (
    "photo_",
    "image_process_failed",
    "file identifier",
    "remote file",
    "file_reference",
    "http url",
    "web page content",
    "webpage_",
    "media_empty",
    "media_invalid",
    "file is too big",
    "file must be non-empty",
    "file of size",
    "type of file",
    "file part",
    "can't use file",
)

log = structlog.get_logger()


def is_picture_trouble(error: TelegramError) -> bool:
    """Whether the picture is to blame, rather than the text, the chat or the line."""
    said = error.message.lower()
    if isinstance(error, BadRequest):
        return any(words in said for words in _BAD_PICTURE)
    return isinstance(error, NetworkError) and "request entity too large" in said


class FileIds(Protocol):
    """Keeps file_ids of one bot by the picture's address. All raise OSError where the place cannot be reached."""

    async def load(self, url: str) -> str | None:
        """The one that is kept, if any."""
        ...

    async def keep(self, url: str, file_id: str, now: datetime) -> None:
        """Keep one."""
        ...

    async def forget(self, url: str) -> None:
        """It is refused."""
        ...


class DatabaseFiles:
    """Keeps them in the service's own database; `bot` is the bot's number."""

    def __init__(self, database: Database, bot: int) -> None:
        self._database = database
        self._bot = bot

    async def load(self, url: str) -> str | None:
        """The one that is kept, if any."""
        try:
            async with self._database.reading() as session:
                return await telegram_files.kept(session, self._bot, url)
        except SQLAlchemyError as error:
            raise OSError(f"file_ids cannot be read: {type(error).__name__}") from error

    async def keep(self, url: str, file_id: str, now: datetime) -> None:
        """Keep one."""
        try:
            async with self._database.writing() as session:
                await telegram_files.keep(session, self._bot, url, file_id, now)
        except SQLAlchemyError as error:
            raise OSError(f"a file_id cannot be kept: {type(error).__name__}") from error

    async def forget(self, url: str) -> None:
        """It is refused."""
        try:
            async with self._database.writing() as session:
                await telegram_files.forget(session, self._bot, url)
        except SQLAlchemyError as error:
            raise OSError(f"a file_id cannot be forgotten: {type(error).__name__}") from error


class Folder(Protocol):
    """Where the bytes lie; `pipeline.media.MediaFolder` is one."""

    async def find(self, url: str) -> Path | None:
        """The kept file behind an address, or None. Raises OSError where it cannot be fetched now."""
        ...


class Photos:
    """What `sendPhoto` is given. One for each bot; `patience` is in seconds."""

    def __init__(self, files: FileIds, folder: Folder, patience: float = PATIENCE) -> None:
        self._files = files
        self._folder = folder
        self._patience = patience
        self._known: OrderedDict[str, str] = OrderedDict()
        self._hopeless: OrderedDict[str, str] = OrderedDict()
        self._uploads: dict[str, asyncio.Event] = {}

    async def input(self, attachment: Attachment) -> str | InputFile | None:
        """A file_id, the bytes, or a public address; None where the post has to do without the photo."""
        url = attachment.url
        if url in self._hopeless:
            return None
        if known := await self._file_id(url):
            return known
        await self._wait(url)
        if (known := self._known.get(url)) or url in self._hopeless:
            return known
        # No await between the question above and the reservation: of several that waited one uploads, others wait.
        ended = self._uploads[url] = asyncio.Event()
        try:
            path = await self._folder.find(url)
        except OSError as error:
            log.warning("a picture cannot be fetched now", picture=url, reason=str(error))
            self._end(url, ended)
            return None
        found = await asyncio.to_thread(_fresh, attachment, path)
        if found is None:
            _remember(self._hopeless, url)
            self._end(url, ended)
        return found

    async def accepted(self, attachment: Attachment, message: Message) -> None:
        """Telegram took it: what it calls the picture is kept."""
        url = attachment.url
        if message.photo:
            file_id = message.photo[-1].file_id  # the largest
            known = self._known.get(url)
            _remember(self._known, url, file_id)
            if known is None:
                await self._quietly(self._files.keep(url, file_id, message.date))
        self.released(attachment)

    async def refused(self, attachment: Attachment) -> None:
        """Telegram blamed the picture: a file_id is forgotten, bytes are not tried again."""
        url = attachment.url
        if self._known.pop(url, None) is not None:
            await self._quietly(self._files.forget(url))
        elif url in self._uploads:
            log.warning("telegram refuses a picture, posts go without it", picture=url.rpartition("/")[2])
            _remember(self._hopeless, url)
        self.released(attachment)

    def released(self, attachment: Attachment) -> None:
        """The attempt ended without a word about the picture: the next one may try."""
        if (ended := self._uploads.get(attachment.url)) is not None:
            self._end(attachment.url, ended)

    async def _file_id(self, url: str) -> str | None:
        if url not in self._known:
            try:
                kept = await self._files.load(url)
            except OSError as error:
                log.warning("what telegram calls a picture cannot be read", reason=str(error))
                return None
            if kept is not None:
                _remember(self._known, url, kept)
        return self._known.get(url)

    async def _wait(self, url: str) -> None:
        """Until nobody uploads it any more; a holder that was lost is given up after a while."""
        while (ended := self._uploads.get(url)) is not None:
            try:
                async with asyncio.timeout(self._patience):
                    await ended.wait()
            except TimeoutError:
                self._end(url, ended)

    def _end(self, url: str, ended: asyncio.Event) -> None:
        if self._uploads.get(url) is ended:
            del self._uploads[url]
        ended.set()

    @staticmethod
    async def _quietly(doing: Awaitable[None]) -> None:
        try:
            await doing
        except OSError as error:
            log.warning("what telegram calls a picture cannot be kept", reason=str(error))


def _remember(place: OrderedDict[str, str], url: str, value: str = "") -> None:
    """The newest few are enough."""
    place[url] = value
    place.move_to_end(url)
    if len(place) > _REMEMBERED:
        place.popitem(last=False)


def _fresh(attachment: Attachment, path: Path | None) -> str | InputFile | None:
    """The bytes, or an address that Telegram can fetch; None for what it would refuse."""
    if path is None:
        return attachment.url if _fetchable(attachment) else None
    if attachment.media_type not in TYPES:
        return None
    try:
        if path.stat().st_size > MOST_BYTES or not _takes(*imagesize.get(path)):
            return None
        return InputFile(path.read_bytes(), filename=path.name)
    except (OSError, ValueError) as error:
        log.warning("a picture cannot be read", picture=path.name, reason=str(error))
        return None


def _takes(width: float, height: float) -> bool:
    """Whether Telegram takes a photo of this size, in pixels."""
    small, large = sorted((width, height))
    return small > 0 and small + large <= MOST_SIDES and large <= MOST_RATIO * small


def _fetchable(attachment: Attachment) -> bool:
    try:
        parts = urlsplit(attachment.url)
        host = parts.hostname or ""
    except ValueError:
        return False
    good = parts.scheme == "https" and "." in host and parts.username is None and not host.endswith(".local")
    if not good or attachment.media_type not in TYPES or attachment.length > MOST_FETCHED:
        return False
    try:
        return is_public(ip_address(host))
    except ValueError:
        return True
