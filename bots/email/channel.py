"""Email as a channel: letters become mails and mails leave, each with an outcome of its own.

Rules, in order:

1. A letter about a release that may not be seen now is refused (`allowed`); the one question is asked here too.
2. A letter that cannot become a mail is refused, an address that is none is gone; neither stops the others.
3. A chunk's mails go to the transport together; it answers for each, and each is told as soon as it is known.
4. A bug in one letter's making is that letter's `Refused`; one in the transport leaves what it had `Unknown`. Both are
   logged.
5. Where a digest may have arrived, the answer says which releases it has shown: the others were not told.
6. What may have arrived has its Message-ID in the answer, too: what follows it can name it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from bots.email.addresses import BadAddress
from bots.email.allowed import NotShown, shown
from bots.email.compile import KINDS, Compiler, Mail, NotSendable
from bots.email.transports import Answered, Transport
from syndicator.domain.letters import Gone, Letter, Outcome, Refused, Sent, Unknown
from syndicator.domain.model import ChannelKind, MessageKind

__all__ = ["EmailChannel"]

CHUNK = 20
A_LINE = 2  # mails that a connection holds: one is carried, the envelope of another has left
SPARE = 1  # lanes beside those that keep the connections busy: one chunk is claimed or settled meanwhile

log = structlog.get_logger()


class EmailChannel:
    """The port `domain.ports.Overlapping` for mail."""

    kind = ChannelKind.EMAIL
    tells = frozenset(KINDS) | {MessageKind.DIGEST}

    def __init__(self, compiler: Compiler, transport: Transport) -> None:
        self._compiler = compiler
        self._transport = transport
        self.lanes = transport.connections + SPARE
        self.stragglers = transport.connections * A_LINE  # what else waits is answered soon, sent or not

    @property
    def chunk(self) -> int:
        """Many at a time over a relay that works, one to find out whether it does."""
        return CHUNK if self._transport.steady else 1

    def ready_at(self, now: datetime) -> datetime | None:
        """When the relay is asked again, if it is closed; see `domain.ports.Channel`."""
        return self._transport.ready_at(now)

    async def send(
        self, letters: Sequence[Letter], now: datetime, answered: Answered | None = None
    ) -> Sequence[Outcome]:
        """Send each letter; the outcomes stand in the same order.

        Told to stop in the middle, it answers for all of them: what was taken is sent, the rest waits. Losing the
        answers would send again what people have.
        """
        made = [self._made(letter, now) for letter in letters]
        places = [place for place, one in enumerate(made) if isinstance(one, Mail)]
        mails = [one for one in made if isinstance(one, Mail)]
        outcomes: list[Outcome | None] = [None if isinstance(one, Mail) else one for one in made]

        def told(number: int, outcome: Outcome) -> None:
            place = places[number]
            if outcomes[place] is None:
                outcomes[place] = outcome = _telling(mails[number], outcome)
                if answered is not None:
                    answered(place, outcome)

        for number, outcome in enumerate(await self._carried(mails, now, told) if mails else ()):
            told(number, outcome)
        return [outcome for outcome in outcomes if outcome is not None]

    async def close(self) -> None:
        """Let go of the transport's connections."""
        await self._transport.close()

    def _made(self, letter: Letter, now: datetime) -> Mail | Outcome:
        """The mail, or what becomes of a letter that cannot be one."""
        try:
            return self._compiler.mail(shown(letter, now), now)
        except NotShown as error:
            return Refused(str(error))
        except BadAddress as error:
            return Gone(str(error))
        except NotSendable as error:
            return Refused(str(error))
        except Exception as error:
            log.exception("mail cannot be made", delivery=letter.delivery, message=letter.message)
            return Refused(f"the mail cannot be made: {type(error).__name__}")

    async def _carried(self, mails: Sequence[Mail], now: datetime, answered: Answered) -> Sequence[Outcome]:
        try:
            answers = await self._transport.send(mails, now, answered)
        except Exception as error:
            log.exception("mail transport failed", mails=len(mails))
            return [Unknown(f"{type(error).__name__} in the mail transport")] * len(mails)
        if len(answers) != len(mails):
            log.error("mail transport answered for another number of mails", mails=len(mails), answers=len(answers))
            return [Unknown("the mail transport lost count")] * len(mails)
        return answers


def _telling(mail: Mail, outcome: Outcome) -> Outcome:
    """The outcome with what is to be known later of a mail that has arrived, or may have (rules 5 and 6)."""
    if not isinstance(outcome, Sent | Unknown):
        return outcome
    shown_there = {} if mail.shown is None else {"shown": list(mail.shown)}
    return replace(outcome, answer={"message_id": f"<{mail.message_id}>", **outcome.answer, **shown_there})
