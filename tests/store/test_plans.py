"""What is asked twice a second stays quick however many deliveries are settled: each query uses its index."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import event, text

from syndicator.domain.filters import parse
from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind
from syndicator.store import lag, ledger, letterboxes, releases, renumbered, retention, waiting
from syndicator.store.ledger import Settlement
from syndicator.store.retention import Old

ASKED = {
    "next_deferred": (lambda session, now: ledger.next_deferred(session), "ix_delivery_waiting"),
    "oldest_due": (lambda session, now: ledger.oldest_due(session), "ix_delivery_waiting"),
    "open_batches": (lambda session, now: ledger.open_batches(session), "ix_delivery_batch_state"),
    "oldest open batches": (lambda session, now: lag.oldest_open_batches(session), "ix_delivery_batch_state"),
    "sweep": (ledger.sweep, "ix_delivery_waiting"),
    "recover": (ledger.recover, "ix_delivery_waiting"),
    "retry failed": (
        lambda session, now: ledger.retry(session, states=[DeliveryState.FAILED], now=now),
        "ix_delivery_trouble",
    ),
    "retry deferred": (
        lambda session, now: ledger.retry(session, states=[DeliveryState.DEFERRED], now=now),
        "ix_delivery_waiting",
    ),
    "what waits for a chat": (
        lambda session, now: ledger.reopened(session, ChannelKind.TELEGRAM, ["@news"], now),
        "ix_delivery_",
    ),
    "what a pause holds": (lambda session, now: waiting.follow_ups(session, ChannelKind.TELEGRAM), "ix_delivery_"),
    "counts": (lambda session, now: ledger.counts(session), "ix_delivery_"),
}


@pytest.mark.parametrize("name", ASKED)
async def test_no_question_reads_the_whole_ledger(sqlite_database, now, name):
    ask, index = ASKED[name]
    asked = []

    def listen(_connection, _cursor, statement, parameters, *_):
        if "delivery" in statement:
            asked.append((statement, parameters))

    async with sqlite_database.writing() as session:
        raw = (await session.connection()).sync_connection
        event.listen(raw, "before_cursor_execute", listen)
        await ask(session, now)
        event.remove(raw, "before_cursor_execute", listen)
        plans, connection = [], await session.connection()
        for statement, parameters in asked:
            explained = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans += [row[-1] for row in explained]
    on_ledger = [step for step in plans if "delivery" in step.lower()]
    assert any(index in step for step in on_ledger), plans
    assert not [step for step in on_ledger if step.startswith("SCAN delivery") and "INDEX" not in step], plans


LISTS = {
    "a list with withdrawals": (
        "lang=en&topic=visas",
        lambda session, how: releases.listing(session, **how, withdrawn_since=how["now"]),
        "ix_release_public_at",
    ),
    "withdrawals alone": (
        "lang=en,az&topic=visas&q=a",
        lambda session, how: releases.withdrawn_listing(session, **how, since=how["now"]),
        "ix_release_state_public_at",
    ),
}


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_with_withdrawals_reads_its_own_length_and_sorts_nothing(sqlite_database, taxonomy, now, name):
    query, ask, index = LISTS[name]
    asked = []
    async with sqlite_database.writing() as session:
        raw = (await session.connection()).sync_connection
        event.listen(raw, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
        how = {"filter_": parse(query), "taxonomy": taxonomy, "lang": "en", "now": now, "limit": 50}
        await ask(session, how)
        [(statement, parameters)] = asked
        connection = await session.connection()
        explained = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        plan = [row[-1] for row in explained]
    assert any(index in step for step in plan), plan
    assert not any("B-TREE" in step or step.startswith("SCAN release") for step in plan), plan


async def test_an_address_with_an_unknown_number_is_looked_up_by_its_words_and_not_in_everything(sqlite_database, now):
    asked = []
    async with sqlite_database.writing() as session:
        raw = (await session.connection()).sync_connection
        event.listen(raw, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
        await renumbered.by_slug(session, "en", "office-hours", 1, now)
        [(statement, parameters)] = asked
        explained = await (await session.connection()).exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        plan = [row[-1] for row in explained]
    assert any("ix_variant_slug" in step for step in plan), plan
    assert not any(step.startswith("SCAN") for step in plan), plan


async def test_what_follows_looks_at_its_readers_and_not_at_everybodys_digests(
    sqlite_database, press, people, tell, now
):
    asked = []
    async with sqlite_database.writing() as session:
        await people.add(session, "7", channel=ChannelKind.TELEGRAM)
        await press.record(session)
        await tell(session)
        for batch in await ledger.open_batches(session):
            sent = await ledger.claim(session, batch.id, now, 9)
            await ledger.settle(session, [Settlement(one.id, DeliveryState.SENT) for one in sent], now)
        raw = (await session.connection()).sync_connection
        event.listen(raw, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
        await tell(session, kind="correction", major=1, langs=["az"])
        for batch in await ledger.open_batches(session):
            assert await ledger.claim(session, batch.id, now, 9, edits=True)
        connection = await session.connection()
        plans = {
            statement: [row[-1] for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)]
            for statement, given in list(asked)
            if "digest_item" in statement and not isinstance(given, list)
        }
    recipients = next(plan for statement, plan in plans.items() if "INSERT INTO delivery" in statement)
    assert any("SEARCH p USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in step for step in recipients), recipients
    assert any("SEARCH i USING INDEX ix_digest_item_release_id" in step for step in recipients), recipients
    claims = next(plan for statement, plan in plans.items() if "FROM delivery JOIN digest_item" in statement)
    assert any("ix_delivery_subscriber_id" in step for step in claims), claims
    assert not any("ix_digest_item_release_id" in step for step in claims), claims
    assert not [step for plan in plans.values() for step in plan if step.startswith("SCAN d")], plans


OLD = Old(1, MessageKind.DIGEST, None)
KEPT_NO_LONGER = {
    "who has left": lambda session, now: retention.left(session, now, 0, 10),
    "mailboxes that came back": lambda session, now: retention.bounced(session, now, 0, 10),
    "old messages": lambda session, now: retention.old_messages(session, now + timedelta(days=1), 0, 10),
    "old deliveries": lambda session, now: retention.forget_deliveries(session, OLD),
    "old matches": lambda session, now: retention.forget_matches(session, 1),
    "old bounces": retention.forget_bounces,
    "old addresses": retention.forget_addresses,
    "questions to a mailbox": lambda session, now: letterboxes.held(session, "mailbox", now),
    "mailboxes that were asked": letterboxes.forget,
}


@pytest.mark.parametrize("name", KEPT_NO_LONGER)
async def test_what_is_kept_no_longer_is_found_by_an_index(sqlite_database, people, press, tell, now, name):
    asked, plans = [], []

    def listen(_connection, _cursor, statement, parameters, *_):
        asked.append((statement, parameters))

    async with sqlite_database.writing() as session:
        await people.add(session, "a@example.org")
        await press.record(session)
        await tell(session)
        await session.execute(text("UPDATE delivery SET state = 'sent'"))
        raw = (await session.connection()).sync_connection
        event.listen(raw, "before_cursor_execute", listen)
        await KEPT_NO_LONGER[name](session, now)
        event.remove(raw, "before_cursor_execute", listen)
        connection = await session.connection()
        for statement, given in asked:
            explained = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)
            plans += [row[-1] for row in explained]
    large = ("delivery", "subscription", "match", "digest_item", "bounce")
    scans = [step for step in plans if step.startswith("SCAN ") and step.split()[1] in large and "INDEX" not in step]
    assert not scans, plans
    by_channel = [step for step in plans if step.startswith("SEARCH subscriber") and "(channel=?)" in step]
    assert not by_channel, plans  # a page looks at its own people
