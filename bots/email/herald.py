"""Tells an operator by mail: one letter, straight to the relay or into the outbox, past ledger, queue and pace.

Rules, in order:

1. A connection of its own, made for the letter and closed after it: nothing that is in trouble is asked to help.
2. TLS, login and signature are as for all other mail (`email.*`).
3. It says that a machine wrote it (RFC 3834 section 5), so that nobody's absence answers.
4. Its own Message-ID names moment and content: the same letter, sent again because its answer was lost, is the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime

from aiosmtplib import SMTP, SMTPException

from bots.email.addresses import Address
from bots.email.mails import Mail
from bots.email.outbox import FileTransport
from bots.email.relay.connecting import Access
from syndicator.domain.letters import Sent
from syndicator.domain.ports import Clock
from syndicator.domain.text import one_line
from syndicator.pipeline.watching import Notice

__all__ = ["MailHerald"]

PATIENCE = 20.0  # seconds for each reply of the relay
LONGEST = 60.0  # for the whole letter

Sign = Callable[[bytes, datetime], bytes]


class MailHerald:
    """Tells `recipient`, as `sender`; `way` is the relay, or the folder that takes mails where there is none."""

    name = "email"

    def __init__(
        self,
        recipient: Address,
        *,
        sender: str,
        host: str,
        way: Access | FileTransport,
        clock: Clock,
        sign: Sign | None = None,
    ) -> None:
        self._recipient = recipient
        self._sender = sender
        self._host = host
        self._way = way
        self._clock = clock
        self._sign = sign

    async def tell(self, notice: Notice) -> None:
        """See `pipeline.watchman.Herald`."""
        now = self._clock()
        mail = self._made(notice, now)
        if isinstance(self._way, FileTransport):
            (outcome,) = await self._way.send([mail], now)
            if not isinstance(outcome, Sent):
                raise OSError("the outbox cannot be written")
            return
        async with _connected(self._way) as client:
            await client.sendmail(mail.sender, [mail.recipient.text], mail.data)

    async def ask(self) -> str:
        """See `pipeline.watchman.Herald`: the relay is asked whether it would take a letter for them; none is begun."""
        if isinstance(self._way, FileTransport):
            return "letters go into the outbox, where nobody is told: email.transport is file"
        async with _connected(self._way) as client:
            await client.mail(self._sender)
            await client.rcpt(self._recipient.text)
            await client.rset()
        return f"{self._way.name} would take a letter"

    def _made(self, notice: Notice, now: datetime) -> Mail:
        digest = hashlib.sha256(f"{now.isoformat()}\0{notice.subject}\0{notice.text}".encode()).hexdigest()
        letter = EmailMessage(policy=policy.SMTP)
        letter["From"] = self._sender
        letter["To"] = self._recipient.text
        letter["Subject"] = one_line(notice.subject)
        letter["Date"] = format_datetime(now)
        letter["Message-ID"] = f"<alert.{digest[:40]}@{self._host}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(notice.text, cte="quoted-printable")
        data = letter.as_bytes()
        if self._sign is not None:
            data = self._sign(data, now)
        return Mail(self._sender, self._recipient, f"alert.{digest[:40]}@{self._host}", data)


@asynccontextmanager
async def _connected(way: Access) -> AsyncIterator[SMTP]:
    """A connection for one letter; whatever goes wrong is an OSError of one line."""
    client = way.client(PATIENCE)
    try:
        async with asyncio.timeout(LONGEST), client:
            yield client
    except TimeoutError:
        raise TimeoutError(f"{way.name}: no answer in time") from None
    except (SMTPException, OSError, ValueError) as error:
        raise ConnectionError(f"{way.name}: {one_line(str(error))[:300] or type(error).__name__}") from None
    finally:
        client.close()
