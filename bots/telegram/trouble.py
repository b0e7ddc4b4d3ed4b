"""What is wrong with the line to Telegram: said once when it begins and once when it ends, and how long to wait.

Rules, in order:

1. No line shows an exception's chain, and an unknown error is told by its name and place only: the library's own
   errors hold the token.
2. Trouble of one kind is one line, however long it lasts. One broken call is nothing to tell; two in a row are.
3. A second program with our token takes turns with us, so a call that goes well in between does not end that trouble:
   it is over when nobody has disturbed us for `UNDISTURBED`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from telegram.error import BadRequest, Conflict, InvalidToken, RetryAfter, TelegramError

from bots.telegram.outcomes import TOKEN_PAUSE
from bots.telegram.transport import NotOurs
from syndicator.domain.ports import Clock

__all__ = ["LONGEST_WAIT", "UNDISTURBED", "Trouble", "fault"]

LONGEST_WAIT = 30.0
UNDISTURBED = timedelta(minutes=5)

log = structlog.get_logger()


class Trouble:
    """The state of one bot's line. `refused` is told until when the bot must send nothing: its token was refused."""

    def __init__(self, clock: Clock, refused: Callable[[datetime], None]) -> None:
        self._clock = clock
        self._refused = refused
        self._said = ""
        self._disturbed: datetime | None = None

    @property
    def said(self) -> str:
        """What was told last and is not over; "" if all is well."""
        return self._said

    def begins(self, error: Exception, tries: int) -> float:
        """Say what is wrong, if that is news; returns the seconds to wait. `tries` failed in a row before this one."""
        wait = min(LONGEST_WAIT, 2.0 ** min(tries, 10))
        match error:
            case NotOurs():  # nothing is wrong with the line
                words, wait = self._said, 1.0
            case InvalidToken():
                words = "telegram refuses the bot's token: set telegram.token and restart; everything else goes on"
                wait = TOKEN_PAUSE.total_seconds()
                self._refused(self._clock() + TOKEN_PAUSE)
            case Conflict():
                words = "telegram: another program polls with this bot's token; stop it, or give this one its own bot"
                wait = LONGEST_WAIT
                self._disturbed = self._clock()
            case RetryAfter():
                words = "telegram: too many calls, waiting"
                # What pickling carries is the one way to the number that does not warn of a change to come.
                wait = float(error.__reduce__()[1][0])
            case BadRequest():
                words = f"telegram: {error.message}"
                wait = LONGEST_WAIT
            case TelegramError():
                words = f"telegram cannot be reached: {error.message}" if tries else self._said
            case _:
                words = f"telegram's answer cannot be understood ({fault(error)}); check telegram.api_root"
        if words != self._said:
            self._said = words
            log.error(words)
        return wait

    def ends(self) -> None:
        """A call went well."""
        if not self._said:
            return
        if self._disturbed is not None and self._clock() - self._disturbed < UNDISTURBED:
            return
        self._said, self._disturbed = "", None
        log.info("telegram answers again")


def fault(error: BaseException) -> str:
    """What went wrong and where, without the error's own words and without what it came from."""
    steps = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(steps[-1].filename).name}:{steps[-1].lineno}" if steps else ""
    return f"{type(error).__name__}{where}"
