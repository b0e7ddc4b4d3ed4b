"""What several lanes want of the ledger at the same time: one transaction, and nobody's trouble is another's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import event

from syndicator.domain.letters import Sent
from syndicator.domain.model import ChannelKind
from syndicator.domain.ports import ALONE
from syndicator.pipeline.grouping import Asked, Grouping
from syndicator.store import ledger
from syndicator.store.ledger import Wish
from tests.pipeline.conftest import Press

MAIL = ChannelKind.EMAIL


async def batches(press: Press, reader: Any, releases: int = 3) -> list[int]:
    """As many open batches as releases, each with one delivery for each of two readers."""
    await reader("a@x.az")
    await reader("b@x.az")
    await press.harvest(*(press.change(f"r{n}") for n in range(releases)))
    await press.spread()
    async with press.database.reading() as session:
        return [batch.id for batch in await ledger.open_batches(session)]


async def states(press: Press) -> list[str]:
    return [row["state"] for row in await press.rows()]


async def test_lanes_that_ask_at_the_same_time_share_one_commit_and_each_gets_the_rows_of_its_own_batch(press, reader):
    numbers = await batches(press, reader)
    commits: list[object] = []
    event.listen(press.database._writers.sync_engine, "commit", commits.append)
    first = asyncio.create_task(press.settler.claim(Wish(numbers[0], 1)))
    await asyncio.sleep(0)  # its transaction begins; the others ask while it runs
    found = await asyncio.gather(first, *(press.settler.claim(Wish(number, 20)) for number in numbers[1:]))
    assert [len(claimed) for claimed in found] == [1, 2, 2]
    assert len({one.message.id for claimed in found for one in claimed}) == 3
    assert all(len({one.message.id for one in claimed}) == 1 for claimed in found)
    assert len(commits) == 2


async def test_two_who_ask_for_the_same_batch_get_different_rows(press, reader):
    [number] = await batches(press, reader, releases=1)
    async with press.database.writing() as session:
        first, second, third = await ledger.claim_each(session, [Wish(number, 1)] * 3, press.now)
    assert sorted(one.address for one in (*first, *second)) == ["a@x.az", "b@x.az"]
    assert third == []


async def test_answers_of_a_shared_transaction_that_fails_are_written_alone(press, reader, monkeypatch):
    numbers = await batches(press, reader)
    chunks = await asyncio.gather(*(press.settler.claim(Wish(number, 20)) for number in numbers))
    claim_each = ledger.claim_each
    broken: list[int] = []

    async def fails(session, wishes, now, **by):
        if len(wishes) > 1:
            broken.append(len(wishes))
            raise OSError("the disk is slow")
        return await claim_each(session, wishes, now, **by)

    monkeypatch.setattr(ledger, "claim_each", fails)
    settled = [press.settler.settle(MAIL, c, [Sent()] * 2, Wish(n, 20)) for n, c in zip(numbers, chunks, strict=True)]
    assert await asyncio.gather(*settled) == [None, None, None]
    assert broken
    assert await states(press) == ["sent"] * 6
    assert not press.settler.owes


async def claiming(press, number, monkeypatch):
    """A lane in the middle of its claim, and the event that lets the transaction go on."""
    claim_each, begun, go_on = ledger.claim_each, asyncio.Event(), asyncio.Event()

    async def slow(session, wishes, now, **by):
        begun.set()
        await go_on.wait()
        return await claim_each(session, wishes, now, **by)

    monkeypatch.setattr(ledger, "claim_each", slow)
    lane = asyncio.create_task(press.settler.claim(Wish(number, 20)))
    await begun.wait()
    return lane, go_on


async def test_what_is_claimed_for_a_lane_that_was_told_to_stop_is_given_back_untouched(press, reader, monkeypatch):
    [number] = await batches(press, reader, releases=1)
    lane, go_on = await claiming(press, number, monkeypatch)
    lane.cancel()
    await asyncio.sleep(0)
    assert not lane.done()  # it ends with the transaction that it had a part in
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await lane
    assert [(row["state"], row["attempts"]) for row in await press.rows()] == [("due", 0)] * 2
    await press.send()
    assert await states(press) == ["sent", "sent"]
    assert [letter.resent for letter in press.mail.sent] == [False, False]


async def test_a_lane_that_is_told_to_stop_while_its_answers_are_written_owes_nothing_and_harms_nobody(press, reader):
    numbers = await batches(press, reader)
    chunks = await asyncio.gather(*(press.settler.claim(Wish(number, 20)) for number in numbers))
    lanes = [asyncio.create_task(press.settler.settle(MAIL, chunk, [Sent()] * 2)) for chunk in chunks]
    await asyncio.sleep(0)
    lanes[0].cancel()
    done = await asyncio.gather(*lanes, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert done[1:] == [None, None]
    await press.settler.pay()
    assert await states(press) == ["sent"] * 6
    assert not press.settler.owes


async def test_whoever_leaves_before_their_turn_comes_is_not_written(press, reader):
    [number] = await batches(press, reader, releases=1)
    noted: list[str] = []

    async def note(_session, answers):
        noted.extend(answers)
        await asyncio.sleep(0.01)

    grouping: Grouping[str] = Grouping(press.database, note, lambda: press.now, ALONE)
    first = asyncio.create_task(grouping.ask(Asked("first", Wish(number, 1))))
    await asyncio.sleep(0)
    late = Asked("late", None)
    second = asyncio.create_task(grouping.ask(late))
    while not noted:
        await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert len(await first) == 1
    assert (noted, late.written) == (["first"], False)


async def test_a_lane_that_leaves_between_the_commit_and_its_waking_keeps_no_rows_either(press, reader):
    numbers = await batches(press, reader, releases=2)
    asked = [Asked(None, Wish(number, 20)) for number in numbers]
    grouping: Grouping[str] = Grouping(press.database, nothing, lambda: press.now, ALONE)
    stays, leaves = (asyncio.create_task(grouping.ask(one)) for one in asked)
    asked[1].given.add_done_callback(lambda _: leaves.cancel())
    with pytest.raises(asyncio.CancelledError):
        await leaves
    mine = {one.id for one in await stays}
    rows = {row["id"]: (row["state"], row["attempts"]) for row in await press.rows()}
    assert rows == {number: ("sending", 1) if number in mine else ("due", 0) for number in rows}


async def test_a_lane_that_leaves_while_others_are_given_back_keeps_no_rows_either(press, reader, monkeypatch):
    numbers = await batches(press, reader, releases=2)
    claim_each, settle, lanes = ledger.claim_each, ledger.settle, []

    async def claims(session, wishes, now, **by):
        lanes[0].cancel()
        return await claim_each(session, wishes, now, **by)

    async def settles(session, settlements, now):
        lanes[1].cancel()
        return await settle(session, settlements, now)

    monkeypatch.setattr(ledger, "claim_each", claims)
    monkeypatch.setattr(ledger, "settle", settles)
    lanes += [asyncio.create_task(press.settler.claim(Wish(number, 20))) for number in numbers]
    done = await asyncio.gather(*lanes, return_exceptions=True)
    mine = {one.id for lane in done if not isinstance(lane, asyncio.CancelledError) for one in lane}
    rows = {row["id"]: (row["state"], row["attempts"]) for row in await press.rows()}
    assert rows == {number: ("sending", 1) if number in mine else ("due", 0) for number in rows}


async def test_a_lane_that_is_told_twice_to_stop_keeps_no_rows(press, reader, monkeypatch):
    [number] = await batches(press, reader, releases=1)
    lane, go_on = await claiming(press, number, monkeypatch)
    for _ in range(2):
        lane.cancel()
        await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await lane
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name().startswith("ledger")))
    assert [(row["state"], row["attempts"]) for row in await press.rows()] == [("due", 0)] * 2


async def test_what_cannot_be_given_back_fails_nobody_whose_rows_are_claimed(press, reader, monkeypatch):
    numbers = await batches(press, reader, releases=2)
    claim_each, lanes = ledger.claim_each, []

    async def claims(session, wishes, now, **by):
        lanes[0].cancel()
        return await claim_each(session, wishes, now, **by)

    async def broken(*_):
        raise ValueError("no way back")

    monkeypatch.setattr(ledger, "claim_each", claims)
    monkeypatch.setattr(ledger, "settle", broken)
    lanes += [asyncio.create_task(press.settler.claim(Wish(number, 20))) for number in numbers]
    left, claimed = await asyncio.gather(*lanes, return_exceptions=True)
    assert isinstance(left, asyncio.CancelledError)
    assert len(claimed) == 2


async def test_what_could_not_be_given_back_is_owed_and_goes_back_as_soon_as_it_can(press, reader, monkeypatch):
    [number] = await batches(press, reader, releases=1)
    lane, go_on = await claiming(press, number, monkeypatch)
    settle, tries = ledger.settle, []

    async def fails(session, settlements, now):
        tries.append(len(settlements))
        raise OSError("the database is away")

    monkeypatch.setattr(ledger, "settle", fails)
    lane.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await lane
    assert (tries, await states(press), press.settler.owes) == ([2], ["sending"] * 2, True)
    with pytest.raises(OSError, match="away"):
        await press.settler.pay()
    assert press.settler.owes
    monkeypatch.setattr(ledger, "settle", settle)
    await press.settler.pay()
    assert [(row["state"], row["attempts"]) for row in await press.rows()] == [("due", 0)] * 2
    assert not press.settler.owes


async def test_a_batch_that_cannot_be_claimed_is_nobody_elses_trouble(press, reader, monkeypatch):
    numbers = await batches(press, reader)
    chunks = await asyncio.gather(*(press.settler.claim(Wish(number, 1)) for number in numbers))
    claim_each = ledger.claim_each

    async def poisoned(session, wishes, now, **by):
        found = await claim_each(session, wishes, now, **by)
        if any(wish.batch == numbers[1] for wish in wishes):
            raise KeyError("a language of which nobody knows")
        return found

    monkeypatch.setattr(ledger, "claim_each", poisoned)
    settled = [press.settler.settle(MAIL, c, [Sent()], Wish(n, 1)) for n, c in zip(numbers, chunks, strict=True)]
    first, second, third = await asyncio.gather(*settled)
    assert [len(first), second, len(third)] == [1, None, 1]
    assert sorted(await states(press)) == ["due", "sending", "sending", "sent", "sent", "sent"]
    with pytest.raises(KeyError):
        await press.settler.claim(Wish(numbers[1], 1))


async def nothing(_session, _answers): ...
