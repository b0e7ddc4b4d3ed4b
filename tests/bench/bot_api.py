"""A thin stand-in for the Bot API: takes any call and gives the same answer from each chat, as quickly as it can.

It parses no more than it must, so that the sender is what a measurement sees. As a program it prints its port.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from typing import Any

__all__ = ["TOKEN", "BotApi"]

TOKEN = "4242:stand-in"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHAT = re.compile(rb'chat_id"?[:=] ?(\d+)')
MESSAGE = {
    "message_id": 101,
    "date": 1_790_000_000,
    "chat": {"id": 7_000_000_000, "type": "private", "first_name": "Aysel"},
    "from": {"id": 4242, "is_bot": True, "first_name": "Press", "username": "press_bot"},
    "text": "What the real one answers: the text again. " * 26,
    "entities": [{"type": "bold", "offset": 0, "length": 24}, {"type": "hashtag", "offset": 1000, "length": 8}],
    "link_preview_options": {"is_disabled": True},
    "reply_markup": {"inline_keyboard": [[{"text": "Read on the site", "url": "https://press.example.org/en/1"}]]},
}
BODY = json.dumps({"ok": True, "result": MESSAGE}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
HEAD, TAIL = ANSWER.split(b"7000000000")


class _Line(asyncio.Protocol):
    """One connection: requests with a Content-Length, one after the other."""

    def connection_made(self, transport: Any) -> None:
        self._transport, self._buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            found = LENGTH.search(self._buffer, 0, end)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._buffer) < whole:
                return
            chat = CHAT.search(self._buffer, end, whole)
            self._buffer = self._buffer[whole:]
            self._transport.write(b"%s%10d%s" % (HEAD, int(chat[1]) if chat else 7, TAIL))


class BotApi:
    """The stand-in in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.bot_api"], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.root = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()


async def _main() -> None:
    server = await asyncio.get_running_loop().create_server(_Line, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # to the parent
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main())
