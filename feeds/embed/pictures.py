"""How large a picture is, from the head of its file. `imagesize` reads; nothing is decoded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import imagesize
import structlog

__all__ = ["size_of"]

log = structlog.get_logger()


async def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels as shown; None where the file does not say, or cannot be read."""
    try:
        width, height = await asyncio.to_thread(imagesize.get, path)
    except (OSError, ValueError) as error:
        log.warning("the size of a picture cannot be read", picture=path.name, reason=str(error))
        return None
    return (int(width), int(height)) if width > 0 and height > 0 else None
