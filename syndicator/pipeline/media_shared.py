"""Kept files where several machines serve them: each has a folder, and the database has them all.

Rules, in order:

1. A file is in the database before the release that holds it is: whichever machine is asked for it next finds it there.
2. A machine that lacks a file fetches it when it is asked for, and keeps it. What stands under an address never changes
   (`media`, rule 2), so nothing is ever fetched anew, and a file that its address does not fit is not believed.
3. What a folder held before the office had several machines is put into the database at the start.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime
from pathlib import Path

import structlog

from syndicator.domain.model import Attachment
from syndicator.domain.ports import Clock
from syndicator.pipeline.media import DIGITS, MediaFolder
from syndicator.store import media
from syndicator.store.database import Database

__all__ = ["SharedMedia"]

log = structlog.get_logger()


class SharedMedia(MediaFolder):
    """A `MediaFolder` that shares. It is a part of the service, too: see rule 3."""

    def __init__(self, directory: Path, max_bytes: int, database: Database, clock: Clock) -> None:
        super().__init__(directory, max_bytes)
        self._database, self._clock = database, clock

    async def keep(self, attachment: Attachment) -> Attachment:
        """As the port says; it is on its way to all machines, too. Raises as `MediaFolder.keep`."""
        kept = await super().keep(attachment)
        if attachment.path is not None:
            await self._share(kept.url)
        return kept

    async def find(self, url: str) -> Path | None:
        """The kept file behind `/media/...`, fetched if need be; None if nobody has it.

        Raises:
            OSError: the database fails, or the folder cannot be written.
        """
        path = self.path(url)
        if path is not None or (name := self.name_of(url)) is None:
            return path
        async with self._database.reading() as session:
            data = await media.file(session, url)
        if data is None:
            return None
        if not name.startswith(hashlib.sha256(data).hexdigest()[:DIGITS]):
            log.error("a kept file in the database is another than its address says", address=url)
            return None
        await asyncio.to_thread(self._write, name, data)
        return self.path(url)

    async def start(self) -> None:
        """Rule 3."""
        async with self._database.reading() as session:
            known = await media.files(session)
        urls = await asyncio.to_thread(self.urls)
        missing = [url for url in urls if url not in known]
        for url in missing:
            await self._share(url)
        if missing:
            log.info("kept files of this machine are everybody's now", count=len(missing))

    async def stop(self) -> None:
        """Nothing: it holds nothing open."""

    async def _share(self, url: str) -> None:
        async with self._database.reading() as session:
            if await media.has_file(session, url):
                return
        path = self.path(url)
        if path is None:
            return
        data, now = await asyncio.to_thread(path.read_bytes), self._clock()
        await self._put(url, data, now)

    async def _put(self, url: str, data: bytes, now: datetime) -> None:
        async with self._database.writing() as session:
            await media.keep_file(session, url, data, now)
