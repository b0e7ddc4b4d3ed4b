"""How long a mail that is put off is tried again: from its first attempt, and an operator's wish begins anew."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from syndicator.domain.letters import Later
from syndicator.domain.model import ChannelKind, DeliveryState
from syndicator.domain.retry import RetryPolicy
from syndicator.pipeline.settling import Settler
from syndicator.store import ledger

ROW = "SELECT state, attempts, due_at FROM delivery"
WHO = "late@example.org"


@pytest.fixture
def database_url(sqlite_url):
    return sqlite_url


@pytest.fixture
def patient(press):
    """The pipeline with the patience that mail has."""
    policies = {kind: RetryPolicy(3, patience=timedelta(hours=48)) for kind in ChannelKind}
    settler = Settler(press.database, policies=policies, clock=lambda: press.now, metrics=press.metrics)
    press.delivery._settler = press.settler = settler
    return press


async def row(press):
    async with press.database.reading() as session:
        state, attempts, due_at = (await session.execute(text(ROW))).one()
        return state, attempts, datetime.fromisoformat(due_at).replace(tzinfo=press.now.tzinfo)


async def tried_until_it_ends(press):
    """How long that took, from the first attempt."""
    began = press.now
    for _ in range(100):
        await press.send()
        state, _, due = await row(press)
        if state != "deferred":
            return state, press.now - began
        press.now = due
    raise AssertionError("it never ends")


async def test_a_row_that_was_written_late_is_tried_as_long_as_any_other(patient, reader):
    press = patient
    press.mail.answers[WHO] = Later("451 greylisted")
    await reader(WHO)
    await press.harvest(press.change())
    async with press.database.writing() as session:  # a message of three days ago, as a late translation has one
        await session.execute(text("UPDATE message SET created_at = :then"), {"then": press.now - timedelta(days=3)})
    await press.spread()
    assert await tried_until_it_ends(press) == ("failed", timedelta(hours=48))
    press.now += timedelta(days=30)
    async with press.database.writing() as session:
        assert await ledger.retry(session, states=[DeliveryState.FAILED], now=press.now) == 1
    assert await tried_until_it_ends(press) == ("failed", timedelta(hours=48))


async def test_what_a_domain_slowed_down_is_not_put_off_for_hours_when_something_else_is_said(patient, reader):
    press = patient
    await reader(WHO)
    for _ in range(12):
        press.mail.answers[WHO] = Later("421 slow down", not_before=press.now + timedelta(seconds=10), asked=True)
        await (press.send() if press.mail.sent else press.publish(press.change()))
        _, _, press.now = await row(press)
    press.mail.answers[WHO] = Later("451 greylisted")
    await press.send()
    state, attempts, due = await row(press)
    assert (state, attempts) == ("deferred", 13)
    assert due - press.now <= timedelta(seconds=75)
