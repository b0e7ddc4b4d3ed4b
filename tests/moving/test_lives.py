"""An office that is restored again and again: no number of a link is given twice, and nothing is sent again."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind, Revision, State, SubscriptionState, Urgency
from syndicator.pipeline.backing_up import back_up
from syndicator.store import copying, ledger, releases, subscriptions
from syndicator.store.database import Database
from syndicator.store.releases import Draft
from syndicator.store.tables import DELIVERY
from tests.moving.kept import HOUR, Kept, bar


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
async def office(url, tmp_path, site, taxonomy, now):
    return await Kept(url, tmp_path, site, taxonomy, now).backed_up()


class Lives:
    """An office that is lost and restored again and again; each life gives out numbers, which links then hold."""

    def __init__(self, office):
        self.office, self.numbers = office, []

    async def live(self):
        """Some releases come out, and some people sign up, who are asked whether it was they."""
        office, name, found = self.office, f"life-{len(self.numbers)}", set()
        database = Database(office.url)
        async with database.writing() as session:
            for number in range(3):
                revision = Revision(0, 0, name, "", "<p>x</p>", "x", note="")
                key = f"{name}-{number}"
                draft = Draft("directory", key, "az", key, "news", Urgency.NORMAL, State.PUBLIC, office.now, revision)
                made = await releases.record(session, draft, site_uids=office.site, now=office.now)
                given = {"language": "az", "timezone": "Asia/Baku", "now": office.now}
                who = await subscriptions.ensure(session, ChannelKind.EMAIL, f"{key}@example.org", **given)
                pending = {"cadence": Cadence.DAILY, "state": SubscriptionState.PENDING, "consent": None}
                wish = await subscriptions.subscribe(session, who.id, parse(""), **pending, now=office.now)
                said = await ledger.confirmation(session, wish.id, who.id, now=office.now)
                found |= {("release", made.release.number), ("subscriber", who.id)}
                found |= {("subscription", wish.id), ("message", said.id)}
        await database.close()
        self.numbers.append(found)

    async def wipe(self):
        """The disk is lost."""
        if self.office.url.startswith("sqlite"):
            self.office.path.unlink()
            return
        async with copying.transaction(self.office.url) as there:
            await copying.empty(there)

    async def restore(self, file, hours):
        await self.office.restore(file=file, now=self.office.now + hours * HOUR)
        open_ = select(func.count()).where(DELIVERY.c.state.in_(["due", "sending", "deferred"]))
        assert await self.office.ask(open_) == [(0,)], "something waits to be sent again"


async def test_however_often_an_office_is_restored_no_number_of_a_link_is_given_twice(office):
    lives, first, second = Lives(office), office.file, office.folder / "second.backup"
    await lives.live()
    await lives.restore(first, 2)
    await lives.live()
    for file, hours in ((first, 3), (second, 5), (first, 6), (first, 7)):
        if file is second:  # of a restored office
            await back_up(office.url, second, media=office.media, now=office.now + 4 * HOUR, bar=bar)
            await lives.live()
        if hours != 7:
            await lives.wipe()
        await lives.restore(file, hours)
        await lives.live()
    given = sorted(number for life in lives.numbers for number in life)
    assert len(given) == len(set(given)) == 7 * 12
    assert max(number for kind, number in given if kind == "release") < 10**9, "an address has nine digits"


async def test_a_backup_at_once_after_a_restore_knows_which_numbers_are_left_out(office):
    done = await office.restore()
    file = office.folder / "again.backup"
    await back_up(office.url, file, media=office.media, now=office.now + 2 * HOUR, bar=bar)
    lives = Lives(office)
    await lives.live()
    assert ("release", done.releases_from) in lives.numbers[0]
    await lives.wipe()
    again = await office.restore(file=file, now=office.now + 2 * HOUR)
    assert again.releases_from > done.releases_from + 3


async def test_numbers_go_on_behind_those_of_a_database_that_is_replaced(office):
    await office.tell("UPDATE subscription SET id = 50000000 WHERE id = (SELECT max(id) FROM subscription)")
    lives = Lives(office)
    await lives.restore(office.file, 2)
    await lives.live()
    assert min(number for kind, number in lives.numbers[0] if kind == "subscription") > 50_000_000
