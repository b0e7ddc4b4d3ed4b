"""The line to the database breaks while it commits: what was claimed for nobody is found out, and goes back."""

from __future__ import annotations

import pytest

from syndicator import patience
from syndicator.pipeline import grouping
from syndicator.store import ledger
from syndicator.store.database import Database, DatabaseTrouble
from syndicator.store.ledger import Wish
from tests.faulty.proxy import Proxy, server_of, through


@pytest.fixture
async def line(postgresql_url, monkeypatch):
    for name in ("DOUBT", "ANSWER", "LOOK_AGAIN"):
        monkeypatch.setattr(patience, name, 0.3)
    monkeypatch.setattr("syndicator.store.engines.CONNECT", {"connect_timeout": 2})
    async with Proxy(server_of(postgresql_url)) as proxy:
        yield proxy


@pytest.fixture
async def database(postgresql_url, line):
    opened = Database(through(postgresql_url, line.port))
    yield opened
    await opened.close()


@pytest.mark.parametrize(("lost", "claimed"), [("down", True), ("up", False)], ids=["the answer", "the order"])
async def test_where_the_answer_or_the_order_to_commit_a_claim_is_lost_nothing_stays_sending(
    press, reader, line, monkeypatch, lost, claimed
):
    mark = grouping.mark

    async def cut(session):
        found = await mark(session)
        line.one_way(lost)
        return found

    await reader("a@x.az")
    await reader("b@x.az")
    await press.harvest(press.change("fees"))
    await press.spread()
    async with press.database.reading() as session:
        [batch] = await ledger.open_batches(session)
    monkeypatch.setattr(grouping, "mark", cut)
    with pytest.raises(DatabaseTrouble):
        await press.settler.claim(Wish(batch.id, 20))
    monkeypatch.setattr(grouping, "mark", mark)
    await line.mend()
    assert [row["state"] for row in await press.rows()] == ["sending" if claimed else "due"] * 2
    assert press.settler.owes
    await paid(press)
    assert [(row["state"], row["attempts"]) for row in await press.rows()] == [("due", 0)] * 2
    await press.send()
    assert [row["state"] for row in await press.rows()] == ["sent"] * 2
    assert [letter.resent for letter in press.mail.sent] == [False] * 2


async def paid(press):
    """As the engine would: a job that fails is tried again."""
    for _ in range(5):
        try:
            await press.settler.pay()
        except DatabaseTrouble:
            continue
        return
