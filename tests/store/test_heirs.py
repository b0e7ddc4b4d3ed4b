"""What one subscription was promised goes out by another that still wants it."""

from __future__ import annotations

import pytest

from syndicator.domain.model import (
    Cadence,
    DeliveryState,
    MessageKind,
)
from syndicator.store import ledger, subscriptions
from syndicator.store.ledger import Settlement
from tests.store.looked import drain


@pytest.mark.parametrize(
    ("filters", "ended", "begun", "by", "lang"),
    [
        (["topic=visas", ""], [0], False, "", "az"),  # two matched and the smaller one ended
        (["topic=visas", "topic=office"], [0], False, None, None),  # the other never wanted it
        (["topic=visas"], [0, "topic=office,visas"], False, "topic=office,visas", "az"),  # one more topic was ticked
        (["topic=visas"], [0, "topic=migration&not=office"], False, "topic=migration&not=office", "az"),
        (["topic=visas"], [0, "lang=en"], False, "lang=en", "en"),
        (["topic=visas"], [0, "lang=en"], True, None, None),  # a part has arrived in Azerbaijani
        (["topic=visas"], [0, "q=nothing"], False, None, None),
        (["topic=visas", ""], [0, 1], False, None, None),  # unsubscribed from all
    ],
)
async def test_what_ends_with_one_subscription_goes_out_by_another_that_wants_it(
    database, press, people, tell, now, filters, ended, begun, by, lang
):
    async with database.writing() as session:
        await press.record(session, "a", "az", topics=("visas",))
        await press.record(session, "a", "en", topics=("visas",))
        made = [(await people.add(session, "a@example.org", one))[1] for one in filters]
        assert await tell(session) == 1
        if begun:
            [claimed] = await drain(session, now)
            part = Settlement(claimed.id, DeliveryState.DEFERRED, due_at=now, answer={"parts": [1]})
            await ledger.settle(session, [part], now)
            await ledger.sweep(session, now)
        for one in ended:
            if isinstance(one, int):
                await subscriptions.end(session, made[one].id, "changed", now)
            else:
                await people.add(session, "a@example.org", one)
        claimed = await drain(session, now)
        assert [(c.filter, c.lang) for c in claimed] == ([] if by is None else [(by, lang)])
        [row] = await ledger.listing(session)
        assert (row["state"], row["lang"]) == (("suppressed", "az") if by is None else ("sending", lang))


async def test_what_was_promised_at_once_goes_out_at_once_by_a_digest_subscription_too(
    database, press, people, tell, now
):
    async with database.writing() as session:
        await press.record(session)
        _, made = await people.add(session, "a@example.org", "kind=news")
        await people.add(session, "a@example.org", "", cadence=Cadence.DAILY)
        await tell(session)
        await subscriptions.end(session, made.id, "changed", now)
        assert [(c.filter, c.message.kind) for c in await drain(session, now)] == [("", MessageKind.RELEASE)]
