"""A partner that follows `changes` has, at any time, exactly what the office shows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syndicator.domain.model import State


class Partner:
    """Keeps a copy: it puts what it is told in the place of what it has, and nothing else."""

    def __init__(self, ask, limit=100) -> None:
        self.ask = ask
        self.address = f"changes?limit={limit}"
        self.has: dict[int, object] = {}
        self.asked = 0

    async def follow(self):
        more = True
        while more:
            said = await self.ask(self.address)
            for one in said["changes"]:
                assert (one["release"] is None) == (one["state"] == "withdrawn") == (one["withdrawn"] is not None)
                self.has[one["number"]] = one["release"] or one["withdrawn"]
            self.address, more = said["next"], said["more"]
            self.asked += 1
        return said["changes"]


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_a_copy_follows_news_corrections_translations_and_withdrawals(ask, newsroom, clock, limit):
    partner = Partner(ask, limit)
    await partner.follow()
    assert partner.has == {}
    first = await newsroom.publish({"en": "Hours"}, key="k", topics=["visas"])
    await newsroom.publish({"en": "Other"})
    await newsroom.publish({"en": "Third"})
    await partner.follow()
    assert set(partner.has) == {1, 2, 3}
    clock.move(hours=1)
    await newsroom.publish({"en": "New hours"}, key="k", note="The hours were wrong.", topics=["visas"])
    await newsroom.publish({"az": "Saatlar"}, key="k", topics=["visas"])
    (changed,) = await partner.follow()
    assert changed["number"] == first.number
    assert [one["title"] for one in partner.has[1]["versions"]] == ["Saatlar", "New hours"]
    assert partner.has[1]["versions"][1]["corrections"][0]["note"] == "The hours were wrong."
    await newsroom.publish({"en": "New hours"}, key="k", topics=["office"], note="The hours were wrong.")
    await partner.follow()
    assert [topic["slug"] for topic in partner.has[1]["topics"]] == ["office"]
    await newsroom.withdraw(first, "Never so.")
    (changed,) = await partner.follow()
    assert changed["withdrawn"]["reason"] == "Never so."
    assert "hours" not in str(partner.has[1])
    await newsroom.publish({"en": "Again"}, key="k", note="It holds after all.")
    await partner.follow()
    assert partner.has[1]["versions"][-1]["title"] == "Again"
    assert await partner.follow() == []
    for number, one in partner.has.items():
        assert one == await ask(f"releases/{number}")


async def test_what_is_written_unseen_is_not_felt(ask, newsroom, clock, now):
    shown = await newsroom.publish({"en": "Hours"}, key="k")
    gone = await newsroom.publish({"en": "Gone"}, key="g", slug="gone")
    clock.move(hours=1)
    await newsroom.withdraw(gone, "Never so.")
    before = [await ask("changes"), await ask(f"changes?since={(await ask('changes'))['change']}")]
    clock.move(hours=1)
    await newsroom.publish({"ru": "Часы"}, key="k", state=State.DRAFT)
    await newsroom.publish({"ru": "Другие часы"}, key="k", state=State.DRAFT)
    await newsroom.publish({"en": "Gone, mended"}, key="g", slug="gone-mended")
    await newsroom.publish({"en": "Later"}, public_at=now + timedelta(days=9))
    await newsroom.publish({"en": "Some day"}, state=State.DRAFT)
    assert before == [await ask("changes"), await ask(f"changes?since={before[0]['change']}")]
    await newsroom.publish({"ru": "Часы"}, key="k")
    after = await ask(f"changes?since={before[0]['change']}")
    assert [one["number"] for one in after["changes"]] == [shown.number]


async def test_a_number_from_another_life_of_the_store_is_told_to_begin_again(ask, newsroom):
    await newsroom.publish("One")
    newest = (await ask("changes"))["change"]
    assert (await ask(f"changes?since={newest}"))["changes"] == []
    said = await ask(f"changes?since={newest + 1}", 400)
    assert said["type"].endswith("/api/#unknown-change")
    assert "begin again with 0" in said["detail"]


@pytest.mark.parametrize(
    "query", ["since=-1", "since=x", "since=99999999999", "lang=az", "since=1&since=2", "cursor=x"]
)
async def test_what_cannot_be_read_is_refused(ask, query):
    assert (await ask(f"changes?{query}", 400))["detail"]


async def test_an_answer_ends_early_where_texts_are_very_long_and_the_next_goes_on(ask, newsroom):
    for number in range(5):
        await newsroom.publish({"en": f"Long {number}"}, body=f"<p>{'x' * 400_000}</p>", text="x" * 400_000)
    partner = Partner(ask)
    await partner.follow()
    assert set(partner.has) == {1, 2, 3, 4, 5}
    assert partner.asked == 3
