"""The folder that takes mails where no relay is configured: one .eml a mail, the very bytes a relay would get.

Rules, in order:

1. A file is whole or not there: it is written beside its place, synced, and renamed.
2. Its name follows from the Message-ID, so the same mail again replaces itself.
3. A folder that cannot be written is trouble of ours: later, and no attempt is used up.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

import structlog

from bots.email.compile import Mail
from bots.email.transports import Answered
from syndicator.domain.letters import Later, Outcome, Sent

__all__ = ["FileTransport"]

WAIT = timedelta(seconds=60)

log = structlog.get_logger()


class FileTransport:
    """Writes `{hash of the Message-ID}.eml` into `folder`, which is made when needed."""

    connections = 1
    steady = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ready_at(self, now: datetime) -> datetime | None:  # noqa: ARG002  # see `transports.Transport`
        """A folder never waits."""
        return None

    async def send(
        self,
        mails: Sequence[Mail],
        now: datetime,
        answered: Answered | None = None,  # noqa: ARG002  # a folder is quick
    ) -> Sequence[Outcome]:
        """Keep each mail; told to stop, what has no file yet waits."""
        outcomes: list[Outcome] = []
        try:
            for mail in mails:
                outcomes.append(await self._keep(mail, now))  # noqa: PERF401  # what was kept before a stop counts
        except asyncio.CancelledError:
            outcomes += [Later("stopped before it was kept", counts=False)] * (len(mails) - len(outcomes))
        return outcomes

    async def _keep(self, mail: Mail, now: datetime) -> Outcome:
        name = mail.message_id.partition("@")[0] + ".eml"
        try:
            await asyncio.to_thread(_write, self._folder / name, mail.data)
        except OSError as error:
            log.error("mail cannot be written", folder=str(self._folder), error=error.strerror)  # noqa: TRY400 - one line
            return Later(f"{self._folder}: {error.strerror}", not_before=now + WAIT, counts=False)
        return Sent({"message_id": f"<{mail.message_id}>", "file": name})

    async def close(self) -> None:
        """There is nothing to let go of."""


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
