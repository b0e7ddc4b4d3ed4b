"""What is written down when a person chooses, what takes the place of what, and what they are told of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from bots.telegram.talk.quiet_hours import read_hours
from syndicator.domain.filters import Filter, parse
from syndicator.domain.model import Cadence, ChannelKind
from syndicator.store import subscriptions
from syndicator.store.subscriptions import Consent
from syndicator.store.tables import SUBSCRIBER
from tests.telegram.chats import labels


@pytest.fixture
def settled(chats):
    """Somebody who gets news of visas once a day, with an account in English."""

    async def made(**values):
        account = await chats.chat(7, language="en", now=None)
        await chats.choose(account, Filter(topics=("visas",)), cadence=Cadence.DAILY, consent=None, now=None)
        for name, value in values.items():
            setattr(chats.people[7], name, value)
        return chats.people[7]

    return made


# -- hours
@pytest.mark.parametrize(
    ("typed", "hours"),
    [
        ("10 pm - 8 am", "22-8"), ("10pm-8am", "22-8"), ("10 P.M. to 8 A.M.", "22-8"), ("12 am – 6 am", "0-6"),
        ("12pm-1pm", "12-13"), ("10 вечера — 8 утра", "22-8"), ("с 11 ночи до 7 утра", "23-7"), ("22 - 8 am", "22-8"),
        ("с 2 ночи до 3 дня", "2-15"), ("axşam 10 – səhər 8", "22-8"), ("gecə saat 11-dən səhər 7-yə qədər", "23-7"),
        ("22-dən 8-dək", "22-8"), ("between 22 and 8", "22-8"), ("10 in the evening to 8 in the morning", "22-8"),
        ("24-8", "0-8"), ("8-24", "8-0"), ("0-24", None), ("25-8", None), ("10 pm - 8", None), ("8 - 10 pm", None),
        ("22 pm - 8 am", None), ("0 am - 8 am", None), ("10 am pm - 8 am", None), ("am 10 - 8", None),
        ("10 8 axşam", None), ("10 - 8 every second day", None), ("not 22-8", None), ("22-8 🙂", None),
        ("22-8" + " " * 80 + "x", None),
    ],
)  # fmt: skip
def test_hours_are_what_was_said_of_either_half_of_the_day_or_none(typed, hours):
    found = read_hours(typed)
    assert (str(found) if found else None) == hours


# -- the next digest
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "the next time on 22 November 2026, 08:00"),
        ({"quiet": "22-8"}, "the next time on 22 November 2026, 08:00"),
        ({"quiet": "22-10"}, "the next time on 22 November 2026, 10:00"),
        ({"rests": True, "until": timedelta(days=7)}, "the next time on 29 November 2026, 08:00"),
        ({"rests": True, "until": timedelta(days=7), "quiet": "22-9"}, "the next time on 29 November 2026, 09:00"),
        ({"rests": True}, "once a day\n"),
        ({"rests": True, "cadence": Cadence.WEEKLY}, "once a week\n"),
    ],
)
async def test_the_next_digest_is_told_for_when_it_can_come(double, talk, settled, now, values, said):
    until = values.get("until")
    await settled(**{**values, "until": until and now + until})
    await talk(double.say(7, "/settings"))
    assert f"How often: {said}".replace("often: the", "often: once a day; the") in double.seen(7)[-1]["text"]


# -- the record of consent
async def test_what_was_agreed_to_is_written_with_how_often_and_stays_so_when_either_changes(
    double, talk, chats, settled
):
    await settled()
    await talk(double.say(7, "/settings"))
    await talk(double.tap(7, "How often"))
    await talk(double.tap(7, "Once a week"))
    assert chats.consents[-1].text == "Visas; Once a week"
    await talk(double.say(7, "/topics"))
    await talk(double.tap(7, "Refugees"))
    assert chats.consents[-1].text.endswith("; Once a week")
    await talk(double.say(7, "/settings"))
    await talk(double.tap(7, "How often"))
    await talk(double.tap(7, "At once"))
    assert chats.consents[-1].text.endswith("; At once")
    await talk(double.tap(7, "How often"))
    await talk(double.tap(7, "Once a week"))
    await talk(double.say(7, "/words asan"))
    assert chats.consents[-1].text.endswith("“asan”; Once a week")


# -- taking back
async def test_an_old_take_it_back_asks_where_something_else_was_chosen_since(double, talk, settled):
    person = await settled()
    await talk(double.say(7, "/stop"))
    goodbye = double.seen(7)[-1]["id"]
    await talk(double.say(7, "/words refugee"))
    await talk(double.tap(7, "Take it back", message=goodbye))
    assert (person.filter, person.cadence) == (Filter(words=("refugee",)), Cadence.IMMEDIATE)
    asked = next(one for one in double.seen(7) if one["id"] == goodbye)
    assert "Before you unsubscribed: Visas; Once a day" in asked["text"]
    assert labels(asked) == ["As it was before", "As it is"]
    await talk(double.tap(7, "As it was before", message=goodbye))
    assert (person.filter, person.cadence) == (Filter(topics=("visas",)), Cadence.DAILY)


async def test_taking_back_twice_asks_nothing(double, talk, settled):
    person = await settled()
    await talk(double.say(7, "/stop"))
    press = double.tap(7, "Take it back")
    await talk(press)
    await talk(double.tap(7, "", data=press["callback_query"]["data"]))
    assert (person.filter, person.cadence) == (Filter(topics=("visas",)), Cadence.DAILY)
    assert "Which of the two" not in double.seen(7)[-1]["text"]


# -- the zone
@pytest.mark.parametrize("held", ["Asia/Baku", "Etc/UTC", "UTC", "Etc/GMT-4"])
async def test_every_zone_that_is_offered_can_be_pressed(double, talk, settled, held):
    person = await settled(timezone=held)
    await talk(double.say(7, "/settings"))
    await talk(double.tap(7, "Time zone"))
    offered = [one for one in labels(double.seen(7)[-1]) if "UTC" in one]
    for name in offered:
        await talk(double.tap(7, name.removeprefix("🔘 ").removeprefix("▫️ ")))
        assert "✅ Changed." in double.seen(7)[-1]["text"], name
        await talk(double.tap(7, "Time zone"))
    assert person.timezone == "America/New_York"


# -- what is held
async def test_data_that_are_cut_say_so_of_subscriptions_too(agency, monkeypatch):
    monkeypatch.setattr("syndicator.pipeline.personal.SUBSCRIPTIONS", 2)
    account = await agency.subscribing.chat(7, language="en", now=agency.clock())
    agency.double.started.add(7)
    for wanted in ("topic=visas", "topic=refugees", "q=asan"):
        consent = Consent(agency.clock(), "telegram", "x")
        account = await agency.subscribing.choose(account, parse(wanted), consent=consent, now=agency.clock())
    said = (await agency.write(7, "/mydata"))["text"]
    assert "Everything" not in said
    assert "Of 3 subscriptions it holds the newest 2." in said


# -- who is written down
async def people(agency):
    async with agency.database.reading() as session:
        return await session.scalar(select(func.count()).select_from(SUBSCRIBER))


@pytest.mark.parametrize(("data", "said"), [("gone:::", "hər şey silindi"), ("keep:::", "Heç nə silinmədi")])
async def test_a_press_on_what_erases_makes_nobody_known(agency, data, said):
    await agency.write(7, "/forget", language="en")
    await agency.press(7, "Erase everything")
    before = await people(agency)
    for _ in range(3):
        await agency.dealt(agency.double.tap(7, "", data=data))
    assert said in agency.last(7)["text"]
    assert await people(agency) == before


async def test_who_is_known_and_listens_is_read_and_not_written(agency, monkeypatch):
    await agency.write(7, "/start", language="en")
    written = []
    ensure = subscriptions.ensure

    async def noted(*args, **values):
        written.append(args[2])
        return await ensure(*args, **values)

    monkeypatch.setattr(subscriptions, "ensure", noted)
    await agency.write(7, "/help")
    await agency.write(7, "/pause")
    await agency.press(7, "1 week")
    await agency.write(7, "/help")
    assert written == []
    await agency.block(7)
    await agency.write(7, "/help")
    assert written == ["7"]
    async with agency.database.reading() as session:
        who = await subscriptions.find(session, ChannelKind.TELEGRAM, "7")
    assert who.is_resting
