"""A channel that as a whole must wait: nothing is claimed for it, nothing is lost, and all goes out when it answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiosmtpd.smtp import SMTP

from bots.email.channel import EmailChannel
from bots.email.compile import Compiler
from bots.email.smtp import SmtpTransport
from syndicator.domain.filters import parse
from syndicator.domain.letters import Later
from syndicator.domain.model import Cadence, ChannelKind, SubscriptionState
from syndicator.domain.ports import Again, Done, Job
from syndicator.i18n import Texts
from syndicator.pipeline.work import Work
from syndicator.store import ledger, subscriptions
from syndicator.store.subscriptions import Consent

READERS = 1000


class NoFeeds:
    """Feeds that are always right."""

    async def refresh(self, now):
        return 0

    async def stale(self):
        return False

    def newest(self):
        return None


class Never:
    def should_yield(self):
        return False


@pytest.fixture
def database_url(sqlite_url):
    """Where the writer is one, spinning hurts most."""
    return sqlite_url


@pytest.fixture
def work(press):
    return Work(
        press.database,
        sources={},
        intake=press.intake,
        fanout=press.fanout,
        delivery=press.delivery,
        settler=press.settler,
        publisher=NoFeeds(),
        channels=[ChannelKind.EMAIL, ChannelKind.TELEGRAM],
        clock=lambda: press.now,
        wake=press.wake,
    )


@pytest.fixture
async def readers(press):
    async with press.database.writing() as session:
        for number in range(READERS):
            found = await subscriptions.ensure(
                session,
                ChannelKind.EMAIL,
                f"r{number}@example.org",
                language="en",
                timezone="Asia/Baku",
                now=press.now,
            )
            await subscriptions.subscribe(
                session,
                found.id,
                parse(""),
                cadence=Cadence.IMMEDIATE,
                state=SubscriptionState.ACTIVE,
                consent=Consent(press.now, "test", "yes"),
                now=press.now,
            )


async def turn(press, work):
    """All that is due now, each job once, four batches side by side, as the engine does it; how many there were."""
    due = [job for job in await work.pending(press.now) if job.due <= press.now]
    handlers = work.handlers()
    for start in range(0, len(due), 4):
        await asyncio.gather(*(handlers[job.name](job, Never()) for job in due[start : start + 4]))
    return len(due)


async def states(press):
    async with press.database.reading() as session:
        return Counter(str(row["state"]) for row in await ledger.listing(session, limit=2 * READERS))


@asynccontextmanager
async def relay(port=0):
    """A real server; yields the addresses it took."""
    taken = []

    class Box:
        async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's own name
            taken.extend(envelope.rcpt_tos)
            return "250 2.0.0 stored"

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Box(), loop=loop), "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1], taken
    finally:
        server.close()
        await server.wait_closed()


async def test_a_closed_relay_with_a_thousand_due_is_left_alone_and_gets_all_when_it_answers(press, work, readers):
    async with relay() as (port, _):
        pass  # only its port is wanted: nobody listens there now
    compiler = Compiler(site=press.site, texts=Texts.load(press.site.languages), taxonomy=press.taxonomy)
    transport = SmtpTransport("127.0.0.1", port, local_hostname="x.example", tls="none", timeout=10)
    press.delivery._channels[ChannelKind.EMAIL] = EmailChannel(compiler, transport)
    await press.harvest(press.change())
    await press.spread()
    for _ in range(20):
        await turn(press, work)
        press.now += timedelta(seconds=1)
    found = await states(press)
    assert found["due"] >= READERS - 4, found
    assert found["deferred"] <= 4
    waiting = [job for job in await work.pending(press.now) if job.name == "deliver"]
    assert waiting
    assert {job.due for job in waiting} == {transport.ready_at(press.now)}, "nothing is asked before that"
    press.now = transport.ready_at(press.now)
    async with relay(port) as (_, taken):
        for _ in range(10):
            if not await turn(press, work):
                press.now += timedelta(seconds=60)
        await transport.close()
    assert await states(press) == {"sent": READERS}
    assert sorted(taken) == sorted(f"r{number}@example.org" for number in range(READERS))


async def test_a_batch_whose_channel_must_wait_says_until_when_and_claims_nothing(press, readers):
    await press.harvest(press.change())
    await press.spread()
    press.mail.closed_until = press.now + timedelta(minutes=5)
    async with press.database.reading() as session:
        batch = (await ledger.open_batches(session))[0]
    job = Job("deliver", "d", batch.priority, press.now, args={"batch": batch.id, "channel": "email"})
    verdict = await press.delivery.deliver(job, Never())
    assert isinstance(verdict, Again)
    assert verdict.due == press.mail.closed_until
    assert press.mail.sent == []
    assert await states(press) == {"due": READERS}
    press.now += timedelta(minutes=5)
    assert isinstance(await press.delivery.deliver(job, Never()), Done)


async def test_a_channel_that_closes_in_the_middle_of_a_batch_costs_one_chunk(press, readers):
    await press.harvest(press.change())
    await press.spread()
    press.mail.answers = dict.fromkeys(
        (f"r{n}@example.org" for n in range(READERS)),
        Later("421", not_before=press.now + timedelta(minutes=1), counts=False),
    )
    sent = press.mail.send

    async def closing(letters, now):
        press.mail.closed_until = now + timedelta(minutes=1)
        return await sent(letters, now)

    press.mail.send = closing
    await press.send()
    assert len(press.mail.sent) == press.mail.chunk
    assert await states(press) == {"due": READERS - press.mail.chunk, "deferred": press.mail.chunk}


async def test_another_channels_rows_go_out_meanwhile(press, work):
    async with press.database.writing() as session:
        for kind, address in ((ChannelKind.EMAIL, "a@example.org"), (ChannelKind.TELEGRAM, "7")):
            found = await subscriptions.ensure(
                session, kind, address, language="en", timezone="Asia/Baku", now=press.now
            )
            await subscriptions.subscribe(
                session,
                found.id,
                parse(""),
                cadence=Cadence.IMMEDIATE,
                state=SubscriptionState.ACTIVE,
                consent=Consent(press.now, "test", "yes"),
                now=press.now,
            )
    await press.harvest(press.change())
    await press.spread()
    press.mail.closed_until = press.now + timedelta(minutes=5)
    await turn(press, work)
    assert [letter.address for letter in press.telegram.sent] == ["7"]
    assert press.mail.sent == []
