"""What stands where a withdrawn photo stood: a picture of nothing, since Telegram turns no photo into a text.

A PNG of one shade (ISO/IEC 15948), small enough to be sent along each time.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache

from telegram import InputFile

__all__ = ["blank_picture"]

WIDTH, HEIGHT, SHADE = 640, 160, 0xDD
_GREYSCALE = 0


def blank_picture() -> InputFile:
    """The picture, to be sent inside of a larger object."""
    return InputFile(_png(), filename="withdrawn.png", attach=True)


@cache
def _png() -> bytes:
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, _GREYSCALE, 0, 0, 0)
    rows = (b"\0" + bytes([SHADE]) * WIDTH) * HEIGHT
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
