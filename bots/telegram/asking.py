"""Questions to the Bot API that change nothing, for `check`: one call each, over a connection of its own.

Rules, in order:

1. The token stands in the address of every call, so no exception of the library below passes: each becomes one of ours,
   in our words, of one line.
2. What is not the Bot API's own JSON comes from something in between, and is told so.
3. Each answer says how far our clock is ahead of the server's, by its Date.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from syndicator.domain.ports import Clock
from syndicator.domain.text import one_line

__all__ = ["Answer", "Line", "RefusedCall"]

TIMEOUT = aiohttp.ClientTimeout(total=15, connect=10)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gave, and how far our clock was ahead of the server's."""

    result: Any
    ahead: timedelta | None


class RefusedCall(ValueError):
    """The Bot API said no."""


@dataclass(frozen=True, slots=True)
class Line:
    """Calls methods of the Bot API."""

    root: str
    token: str
    clock: Clock

    @property
    def host(self) -> str:
        """Who answers; never with the token."""
        try:
            return urlsplit(self.root).hostname or "telegram.api_root"
        except ValueError:
            return "telegram.api_root"

    async def call(self, method: str, **values: Any) -> Answer:
        """One call.

        Raises:
            OSError: no answer of the Bot API came.
            RefusedCall: it said no.
        """
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT) as session,
                session.post(f"{self.root}/bot{self.token}/{method}", json=values, allow_redirects=False) as response,
            ):
                payload = await response.read()
        except TimeoutError:
            raise TimeoutError(f"{self.host}: no answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ConnectionError(f"{self.host}: cannot be reached: {self._veiled(str(reason))}") from None
        answer = _json(payload)
        if "ok" not in answer or (answer["ok"] and "result" not in answer):
            raise ConnectionError(
                f"{self.host}: HTTP {response.status} from something that is not the Bot API; "
                "check telegram.api_root and the proxy"
            )
        if not answer["ok"]:
            raise RefusedCall(self._veiled(str(answer.get("description", f"HTTP {response.status}"))))
        return Answer(answer["result"], self._ahead(response.headers.get("Date", "")))

    async def ask(self, method: str, **values: Any) -> Mapping[str, Any]:
        """The object that a call gives.

        Raises:
            OSError: no answer of the Bot API came.
            RefusedCall: it said no.
        """
        found = (await self.call(method, **values)).result
        if not isinstance(found, dict):
            raise ConnectionError(f"{self.host}: {method} gave something that is not the Bot API's")
        return found

    def _ahead(self, stated: str) -> timedelta | None:
        try:
            return self.clock() - parsedate_to_datetime(stated)
        except (ValueError, TypeError):
            return None

    def _veiled(self, text: str) -> str:
        return one_line(text.replace(self.token, "<token>"))[:300]


def _json(payload: bytes) -> dict[str, Any]:
    try:
        found = json.loads(payload.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
