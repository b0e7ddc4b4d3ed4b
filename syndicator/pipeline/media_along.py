"""Kept files between this machine's folder and the table that several machines share (`media_file`).

Rules, in order:

1. What stands under a file's address never changes, so what is there already is left alone.
2. Only names that this service gives are read or written; one file at a time is in memory.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from syndicator.pipeline.media import MediaFolder
from syndicator.store.tables import MEDIA_FILE

__all__ = ["files_into", "rows_into", "write_files"]

ANY_SIZE = 2**63
NAME = re.compile(r"/media/([0-9a-f]{32}\.[a-z]{3,4})", re.ASCII)


async def rows_into(connection: AsyncConnection, folder: Path, now: datetime) -> int:
    """Each file of the folder as a row of the table; how many are there then."""
    had = set(await connection.scalars(select(MEDIA_FILE.c.url)))
    for url, path in _kept(folder):
        if url not in had:
            data = await asyncio.to_thread(path.read_bytes)
            await connection.execute(insert(MEDIA_FILE).values(url=url, data=data, kept_at=now))
            had.add(url)
    return len(had)


async def files_into(connection: AsyncConnection, folder: Path) -> int:
    """Each row of the table as a file in the folder; the rows go. How many there were."""
    written = await write_files(connection, folder)
    await connection.execute(delete(MEDIA_FILE))
    return written


async def write_files(connection: AsyncConnection, folder: Path) -> int:
    """Each row of the table as a file in the folder, too; how many there are."""
    urls = list(await connection.scalars(select(MEDIA_FILE.c.url)))
    for url in urls:
        data = await connection.scalar(select(MEDIA_FILE.c.data).where(MEDIA_FILE.c.url == url))
        await asyncio.to_thread(_write, folder, url, data or b"")
    return len(urls)


def _write(folder: Path, url: str, data: bytes) -> None:
    """A file is there whole or not at all."""
    named = NAME.fullmatch(url)
    if named is None:
        raise ValueError(f"{url[:60]!r} is not the address of a kept file: this is no backup of ours")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / named[1]
    if target.is_file() and target.stat().st_size == len(data):
        return
    aside = folder / f".{named[1]}.along.part"
    with aside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(target)


def _kept(folder: Path) -> Iterator[tuple[str, Path]]:
    """Address and path of each kept file."""
    kept = MediaFolder(folder, ANY_SIZE)
    if folder.is_dir():
        for entry in sorted(folder.iterdir()):
            if (path := kept.path(url := f"/media/{entry.name}")) is not None:
                yield url, path
