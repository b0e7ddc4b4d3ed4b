"""What goes wrong on the line, on order: by method, chat, how often, and after how many that go well.

Kinds: `flood` (retry_after), `refuse` (code, text), `migrate` (to); `502`, `not_json`, `proxy`, `too_large`, `empty`,
`no_result`, `strange`; `cut` (the call is done, and half of its answer comes); `drop_before`, `drop_after`, `stall`
(the call is done, its answer never comes), `stall_before` (it is not). With `done=True` also `502`, `proxy`,
`too_large`, `empty`, `no_result` and `strange` answer for a call that is done.

A call that arrives counts against the limits, and a 429 is told before any fault; one that `drop_before` or
`stall_before` took has not arrived.
A server that refuses connections is `TelegramDouble.down()`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.telegram.rules import Refusal

NONSENSE = {"empty": {}, "no_result": {"ok": True}, "strange": {"ok": True, "result": [[1]]}}
PAGES = {"502": 502, "not_json": 200, "proxy": 403, "too_large": 413}
DONE = {"drop_after", "stall", "not_json", "cut"}  # the call is carried out, and the caller does not learn it
CUT = {"drop_before", "drop_after", "cut"}
SILENT = {"stall", "stall_before"}
LOST = {"drop_before", "stall_before"}  # the call never arrives
KINDS = {"flood", "refuse", "migrate", *NONSENSE, *PAGES, *DONE, *CUT, *SILENT}


@dataclass
class Fault:
    """One kind of trouble, for the next calls that it fits."""

    kind: str
    method: str = "sendMessage"
    chat: Any = None
    times: int = 1
    skip: int = 0
    details: dict = field(default_factory=dict)

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no fault: {sorted(KINDS)}")

    def __getitem__(self, name):
        return getattr(self, name)

    def hits(self, method, chat):
        return self.times > 0 and self.method in (method, "*") and self.chat in (None, chat)

    @property
    def is_done(self):
        """Whether the call is carried out all the same."""
        return self.kind in DONE or bool(self.details.get("done"))

    @property
    def arrives(self):
        """Whether the server hears of the call."""
        return self.kind not in LOST

    def refuse(self):
        """Raise what the server itself would say."""
        if self.kind == "flood":
            seconds = self.details.get("retry_after", 7)
            raise flooded(seconds)
        if self.kind == "migrate":
            raise migrated(self.details["to"])
        if self.kind == "refuse":
            raise Refusal(self.details["code"], self.details["text"])


def flooded(seconds):
    return Refusal(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)


def migrated(to):
    return Refusal(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=to)


def due(faults, method, chat):
    """The fault that this call meets, or None; counted."""
    for fault in faults:
        if fault.hits(method, chat):
            if fault.skip:
                fault.skip -= 1
                return None
            fault.times -= 1
            return fault
    return None
