"""Links in mails: following one changes nothing, and none opens anything but what it was made for."""

from __future__ import annotations

import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from syndicator.domain.model import Cadence, SubscriptionState
from syndicator.store import ledger, opt_ins, subscriptions
from syndicator.store.erasing import erase
from syndicator.store.moving import relocate
from syndicator.store.opt_ins import OptIn
from syndicator.store.subscriptions import Consent
from syndicator.store.tables import READDRESSED
from tests.web.people import ONE_CLICK, hidden

LINKS = {  # every route with a token: what it is for, and what is posted there
    "/confirm/{}": ("opt-in", {}),
    "/address/{}": ("address", {}),
    "/manage/{}": ("manage", {"action": "end-all"}),
    "/manage/{}/sent": ("manage", None),
    "/manage/{}/data.json": ("manage", None),
    "/manage/{}/erase": ("manage", {}),
    "/unsubscribe/{}": ("unsubscribe", ONE_CLICK),
}
PURPOSES = ("opt-in", "address", "manage", "unsubscribe")


class Held:
    """Somebody subscribed, with a wish that waits and a new address that was asked; and their tokens."""

    def __init__(self, people) -> None:
        self.people = people

    async def begin(self):
        self.someone, _ = await self.people.join()
        _, wish = await self.people.join(text="topic=office", state=SubscriptionState.PENDING)
        now = self.people.clock()
        async with self.people.database.writing() as session:
            question = await ledger.ask_address(session, self.someone.id, "new@example.org", now=now)
            letter = await ledger.confirmation(session, wish.id, self.someone.id, now=now)
            consent = Consent(now, "web", "yes")
            await opt_ins.write(session, letter.id, OptIn(Cadence.DAILY, "ru", text_only=True, consent=consent))
        self.numbers = {"opt-in": letter.id, "address": question.id}
        return self

    def token(self, purpose, **expires):
        limited = purpose in self.numbers
        return self.people.link(
            purpose, self.numbers.get(purpose, self.someone.id), **(expires or ({"days": 7} if limited else {}))
        ).rpartition("/")[2]

    async def everything(self):
        """Every row of every table."""
        async with self.people.database.reading() as session:
            names = await session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"))
            return {one: (await session.execute(text(f'SELECT * FROM "{one}"'))).all() for one in list(names)}


@pytest.fixture
async def held(people):
    return await Held(people).begin()


def test_every_route_with_a_token_is_walked(visitor):
    app = visitor.client.server.app
    found = {resource.canonical.replace("{token}", "{}") for resource in app.router.resources()}
    assert {one for one in found if "{}" in one} == set(LINKS)


async def test_following_any_link_changes_nothing_however_often_and_by_whom(visitor, held):
    before = await held.everything()
    for path, (purpose, _) in LINKS.items():
        for headers in ({}, {"User-Agent": "scanner", "Sec-Fetch-Site": "cross-site"}, {"Range": "bytes=0-1"}):
            for ask in (visitor.get, visitor.head):
                assert (await ask(path.format(held.token(purpose)), headers=headers)).status == 200
    assert await held.everything() == before


async def test_no_link_opens_what_it_was_not_made_for(visitor, held):
    before = await held.everything()
    for path, (purpose, posted) in LINKS.items():
        good = held.token(purpose)
        tokens = [held.token(other) for other in PURPOSES if other != purpose]
        boxes, number = held.people.tokens.mailbox, held.someone.id
        tokens += [
            boxes("return", 1),
            boxes("leave", number),
            boxes("leave", number)[:40],
            "",
            "x" * 40,
            good[:-1],
            good + "A",
            good.swapcase(),
            "é" * 40,
            good[::-1],
            f"{good}%00",
            "..%2F" * 13,
        ]
        for token in tokens:
            answers = [await visitor.get(path.format(token)), await visitor.head(path.format(token))]
            if posted is not None:
                answers.append(await visitor.post(path.format(token), posted))
            for answer in answers:
                assert answer.status in (404, 410), (path, token)
                assert "ayla" not in await answer.text()
    assert await held.everything() == before


@pytest.mark.parametrize(("purpose", "path"), [("opt-in", "/confirm/{}"), ("address", "/address/{}")])
async def test_a_link_that_asks_ends_with_its_time_and_ways_out_never_do(visitor, held, clock, purpose, path):
    good = held.token(purpose)
    clock.move(days=7)
    before = await held.everything()
    for answer in (await visitor.get(path.format(good)), await visitor.post(path.format(good))):
        assert answer.status == 410
    assert await held.everything() == before
    clock.move(days=4000)
    for out in ("manage", "unsubscribe"):
        assert (await visitor.get(f"/{out}/{held.token(out)}")).status == 200


async def test_links_of_who_became_one_with_another_open_what_they_have_now(visitor, held, people, clock):
    other, _ = await people.join("other@example.org", "topic=refugees")
    async with people.database.writing() as session:
        letter = await ledger.confirmation(
            session, (await subscriptions.of(session, other.id))[0].id, other.id, now=clock()
        )
        await relocate(session, held.someone.id, "other@example.org", clock())
    before = await held.everything()
    paths = {
        path: people.link(purpose, other.id) for path, (purpose, _) in LINKS.items() if purpose not in held.numbers
    }
    for path, link in paths.items():
        answer = await visitor.get(path.format(link.rpartition("/")[2]))
        assert answer.status == 200, path
        assert f"merged-{other.id}" not in await answer.text()
    assert (await visitor.get(people.link("opt-in", letter.id).replace("opt-in", "confirm"))).status == 200
    assert await held.everything() == before
    assert (await visitor.post(people.link("unsubscribe", other.id), ONE_CLICK)).status == 200
    assert await people.live("other@example.org") == []


async def test_an_erased_persons_links_open_nothing(visitor, held, clock):
    tokens = {purpose: held.token(purpose) for purpose in PURPOSES}
    async with held.people.database.writing() as session:
        await erase(session, held.someone.id, clock(), language="az", timezone="Asia/Baku")
        assert (await session.execute(READDRESSED.select())).all() == []
    before = await held.everything()
    for path, (purpose, posted) in LINKS.items():
        assert (await visitor.get(path.format(tokens[purpose]))).status in (404, 410), path
        if posted is not None:
            assert (await visitor.post(path.format(tokens[purpose]), posted)).status in (404, 410), path
    assert await held.everything() == before


@given(
    path=st.sampled_from(sorted(LINKS)),
    at=st.integers(0, 39),
    letter=st.sampled_from(string.ascii_letters + string.digits + "-_"),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_one_letter_changed_is_another_link(visitor, held, path, at, letter):
    purpose, posted = LINKS[path]
    good = held.token(purpose)
    if good[at] == letter:
        return
    forged = path.format(good[:at] + letter + good[at + 1 :])
    ask = visitor.get(forged) if posted is None else visitor.post(forged, posted)
    assert (await ask).status in (404, 410)


async def test_a_form_of_ones_own_page_is_needed_wherever_something_is_changed(visitor, held):
    before = await held.everything()
    for path, posted in (("/manage/{}", {"action": "end-all"}), ("/manage/{}/erase", {})):
        link = path.format(held.token("manage"))
        form = hidden(await visitor.text(link), "form")
        assert (await visitor.post(link, posted)).status == 403
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert (await visitor.post(link, {**posted, "form": form}, headers=foreign)).status == 403
    assert await held.everything() == before
