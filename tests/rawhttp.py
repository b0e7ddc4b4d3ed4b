"""A client that sends exactly the bytes it is given, and tells exactly what came back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any


class Line:
    """One connection to 127.0.0.1."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def get(self, path: str, *headers: tuple[str, str], method: str = "GET") -> tuple[str, list[str], bytes]:
        """The status line, the header lines in order of name without the date, and the body."""
        lines = [f"{method} {path} HTTP/1.1", "Host: press.example.org", *(f"{n}: {v}" for n, v in headers)]
        self.writer.write("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape"))
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        told = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        empty = method == "HEAD" or " 304 " in head[0]
        body = b"" if empty else await self.reader.readexactly(int(told.get("content-length", "0")))
        return head[0], sorted(line for line in head[1:-2] if not line.startswith("Date: ")), body


@asynccontextmanager
async def line(port: int) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
