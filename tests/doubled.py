"""The Bot API double as a process of its own: met over HTTP, and alive when the service is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tests.program import Program

DOUBLE = Path(__file__).parent / "telegram" / "double.py"


class TelegramProcess:
    """Starts the double, lets people begin a chat with the bot, and shows what they see."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, str(DOUBLE)], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        told = json.loads(self._process.stdout.readline())
        self.root, self.token = told["api_root"], told["token"]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def post_for(self, program: Program, *, per_second: float = 25) -> Program:
        """The same program, with this bot, and the public channel @press that it may post to."""
        self.order(do="channel", name="@press", number=-1001)
        program.environ |= {
            "SYNDICATOR_TELEGRAM__TOKEN": self.token,
            "SYNDICATOR_TELEGRAM__API_ROOT": self.root,
            "SYNDICATOR_TELEGRAM__PER_SECOND": str(per_second),
        }
        return program

    def begin_chats(self, chats: range) -> None:
        """People who wrote to the bot long ago: it may write to them, and no update of theirs waits any more."""
        for chat in chats:
            self.order(do="say", chat=chat, text="hello")
        waiting = self._ask(f"/bot{self.token}/getUpdates", {"limit": 1})["result"]
        while waiting:
            offset = waiting[-1]["update_id"] + 1
            waiting = self._ask(f"/bot{self.token}/getUpdates", {"limit": 100, "offset": offset, "timeout": 0})[
                "result"
            ]

    def order(self, **order: Any) -> None:
        assert self._ask("/control", order)["ok"], order

    def messages(self) -> list[dict[str, Any]]:
        """What stands in all chats, in the order of its arrival."""
        found: list[dict[str, Any]] = self._ask("/ledger")["messages"]
        return found

    def _ask(self, path: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if given is None else json.dumps(given).encode()
        request = urllib.request.Request(self.root + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found
