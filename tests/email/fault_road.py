"""The whole road of a release to mailboxes over a relay that behaves badly: real store, pipeline, engine and sender.

Time goes on by itself while something is under way, and leaps to the next thing that comes due when nothing is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from sqlalchemy import text

from bots.email.channel import EmailChannel
from bots.email.compile import Compiler
from bots.email.pace.limits import Limits
from bots.email.pace.pace import Pace
from bots.email.smtp import SmtpTransport
from syndicator.domain.model import ChannelKind
from syndicator.domain.retry import ResendUnknown, RetryPolicy
from syndicator.domain.tokens import Tokens
from syndicator.engine.embedded import EmbeddedEngine
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.pipeline.bell import Bell
from syndicator.pipeline.delivery import Delivery
from syndicator.pipeline.fanout import Fanout
from syndicator.pipeline.intake import Intake
from syndicator.pipeline.media import MediaFolder
from syndicator.pipeline.returning import Consequences
from syndicator.pipeline.settling import Settler
from syndicator.pipeline.work import Work
from syndicator.store.database import Database
from tests.bench.crowd import LANGS, NOW, SITE, announce, crowd, taxonomy

__all__ = ["FaultRoad", "Row", "lost"]

Row = Mapping[str, Any]
LEAPS = 2000
PATIENCE = timedelta(hours=6)  # of the ledger; what 48 hours are is told by tests/domain/test_retry.py
A_LITTLE = timedelta(seconds=20)
UNDER_WAY = "SELECT count(*) FROM delivery WHERE state IN ('due', 'sending')"
OPEN = "SELECT count(*) FROM message WHERE fanned_out_at IS NULL"
NEXT = "SELECT min(due_at) FROM delivery WHERE state = 'deferred'"
ROWS = """SELECT p.address, d.state, d.reason, d.attempts, d.resent, p.state AS person
    FROM delivery d JOIN subscriber p ON p.id = d.subscriber_id ORDER BY p.id"""
MOVE_IN = "UPDATE subscriber SET address = 'reader' || id || '@' || :domain WHERE id % :number = :place"


class _NoFeeds:
    async def stale(self) -> bool:
        return False

    async def refresh(self, now: datetime) -> int:
        return 0

    def newest(self) -> datetime | None:
        return None


class FaultRoad:
    """`readers` for each of `domains`, and a release for all of them."""

    def __init__(self, url: str, folder: Path, port: int, *, connections: int = 8, timeout: float = 0.4) -> None:
        self.database = Database(url)
        self.pace = Pace(Limits(per_second=100_000, timeout=timeout))
        self._began, self._leapt = time.monotonic(), timedelta()
        transport = SmtpTransport(
            "127.0.0.1",
            port,
            local_hostname="press.example.org",
            tls="none",
            connections=connections,
            timeout=timeout,
            pace=self.pace,
        )
        compiler = Compiler(site=SITE, texts=Texts.load(LANGS), taxonomy=taxonomy(), sender="news@press.example.org")
        self.channel = EmailChannel(compiler, transport)
        self.delivery: Delivery
        self.engine, self._bell = self._put_together(folder)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.database.close()

    def clock(self) -> datetime:
        """Now."""
        return NOW + timedelta(seconds=time.monotonic() - self._began) + self._leapt

    async def people(self, domains: Sequence[str], readers: int) -> None:
        """So many at each domain, all of whom want the release."""
        await crowd(self.database, len(domains) * readers, 1, chats=0)
        async with self.database.writing() as session:
            for place, domain in enumerate(domains):
                await session.execute(text(MOVE_IN), {"domain": domain, "number": len(domains), "place": place})
        await announce(self.database)

    async def run(self, patience: float) -> None:
        """Until nothing is left to do; time leaps over what only waits. `patience` is in real seconds."""
        await self.engine.start()
        try:
            async with asyncio.timeout(patience):
                for _ in range(LEAPS):
                    await self._settled()
                    if not await self._leap():
                        return
                raise AssertionError("it never ends")
        finally:
            await self.engine.stop(5)
            await self.delivery.finish()
            await self.channel.close()

    async def rows(self) -> Sequence[Row]:
        """The ledger."""
        async with self.database.reading() as session:
            return [dict(row) for row in (await session.execute(text(ROWS))).mappings()]

    async def _settled(self) -> None:
        while True:
            async with self.database.reading() as session:
                busy = await session.scalar(text(UNDER_WAY)) or await session.scalar(text(OPEN))
            if not busy:
                return
            ready = self.channel.ready_at(self.clock())
            if ready is not None:  # the relay is closed: nothing goes until then
                self._leapt += max(ready - self.clock(), timedelta())
            self._bell.ring()
            await asyncio.sleep(0.01)

    async def _leap(self) -> bool:
        async with self.database.reading() as session:
            due = await session.scalar(text(NEXT))
            if due is None:  # what was deferred may have come due between two questions
                return bool(await session.scalar(text(UNDER_WAY)))
        when = datetime.fromisoformat(due).replace(tzinfo=NOW.tzinfo)
        wait = max(when - self.clock(), timedelta())
        self._leapt += wait + max(wait / 2, A_LITTLE)  # what comes due soon after comes with it
        self._bell.ring()
        await asyncio.sleep(0.02)
        return True

    def _put_together(self, folder: Path) -> tuple[EmbeddedEngine, Bell]:
        bell, metrics, kind = Bell(), Metrics(), ChannelKind.EMAIL
        shared: Any = {"clock": self.clock, "wake": bell.ring}
        more: Any = {"site": SITE, "taxonomy": taxonomy()}
        policy = RetryPolicy(12, ResendUnknown.ONCE, patience=PATIENCE)
        tokens = Tokens(b"0123456789abcdef")
        settler = Settler(
            self.database,
            policies={kind: policy},
            clock=self.clock,
            metrics=metrics,
            consequences=Consequences(tokens),
        )
        self.delivery = Delivery(self.database, {kind: self.channel}, tokens=tokens, settler=settler, **shared)
        media = MediaFolder(folder / "media", 1_000)
        work = Work(
            self.database,
            sources={},
            intake=Intake(
                self.database, media=media, announce_for=timedelta(hours=72), metrics=metrics, **more, **shared
            ),
            fanout=Fanout(self.database, tells={kind: self.channel.tells}, **more, **shared),
            delivery=self.delivery,
            settler=settler,
            publisher=_NoFeeds(),
            channels=[kind],
            **shared,
        )
        lanes = {kind.value: self.channel.lanes}
        engine = EmbeddedEngine(work.handlers(), work.pending, clock=self.clock, metrics=metrics, lanes=lanes)
        bell.hang(engine.wake)
        return engine, bell


def lost(rows: Iterable[Row]) -> list[Row]:
    """Those of which the ledger has no final word."""
    return [row for row in rows if row["state"] not in ("sent", "failed", "unknown", "suppressed")]
