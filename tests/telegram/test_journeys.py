"""Whole dialogues, in each language: from a link on a page to being forgotten, with the real store and pipeline."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select

from bots.telegram.pauses import DatabasePauses
from syndicator.domain.deeplink import bot_link
from syndicator.domain.filters import Filter, parse
from syndicator.domain.model import Cadence, ChannelKind, SubscriptionState
from syndicator.store import filters
from syndicator.store.tables import DELIVERY, SUBSCRIBER, SUBSCRIPTION
from tests.telegram.agency import Agency, Clock
from tests.telegram.double import TelegramDouble

LANGS = ("az", "en", "ru")
TITLES = {
    "az": ("Viza rüsumu azalır", "Viza qaydaları", "Viza mərkəzi açılır", "Viza cədvəli", "Viza növləri"),
    "en": ("Visa fees fall", "Visa rules", "Visa centre opens", "Visa timetable", "Visa types"),
    "ru": ("Визовый сбор снижен", "Визовые правила", "Визовый центр открыт", "Визовый график", "Визовые типы"),
}
WORD = {"az": "viza", "en": "visa", "ru": "визов"}
OTHER = {"az": "Qaçqınlara yardım", "en": "Help for refugees", "ru": "Помощь беженцам"}


@pytest.fixture
async def opened(sqlite_url, tmp_path, site, taxonomy, texts):
    """Opens the agency at a time; closes it at the end."""
    running = []

    async def made(clock, **settings):
        double = await TelegramDouble(clock=clock.seconds).__aenter__()
        agency = Agency(sqlite_url, tmp_path, double, clock, site=site, taxonomy=taxonomy, texts=texts, **settings)
        running.append((agency, double))
        await agency.open()
        return agency

    yield made
    for agency, double in running:
        await agency.close()
        await double.__aexit__(None, None, None)


@pytest.fixture
async def agency(opened, now):
    return await opened(Clock(now))


def all_of(number):
    """A release's titles in every language."""
    return {lang: titles[number] for lang, titles in TITLES.items()}


async def next_morning(agency):
    """Past the close of the daily digest in Baku, 08:00, with its grace."""
    local = agency.clock().astimezone(agency.site.zone)
    tomorrow = (local + timedelta(days=1)).replace(hour=8, minute=2, second=0, microsecond=0)
    agency.clock.now = tomorrow.astimezone(UTC)
    await agency.work()


def texts_in(agency, chat=7):
    return [one["text"] for one in agency.double.seen(chat)]


@pytest.mark.parametrize("lang", LANGS)
async def test_a_persons_whole_way_from_a_link_to_being_forgotten(agency, texts, lang):  # noqa: PLR0915  # it is one way
    t, titles, double = texts(lang), TITLES[lang], agency.double
    # From a page's button one tap: the link brings the choice, only the language is asked for.
    payload = bot_link("press_bot", Filter(topics=("visas",))).address.partition("?start=")[2]
    await agency.write(7, f"/start {payload}", language="de")
    await agency.press(7, t.language_name)
    (_, (live,)) = await agency.person(7)
    assert (live.filter, live.cadence) == ("topic=visas", Cadence.IMMEDIATE)
    # Words narrow it.
    await agency.write(7, f"/words {WORD[lang]}")
    (_, (live,)) = await agency.person(7)
    assert parse(live.filter).topics == ("visas",)
    assert len(parse(live.filter).words) == 1
    before = len(double.seen(7))
    await agency.publish("other", **OTHER)
    assert len(double.seen(7)) == before
    await agency.publish("a", **all_of(0))
    assert titles[0] in agency.last(7)["text"]
    assert len(double.seen(7)) == before + 1
    # Once a day from now on.
    await agency.write(7, "/settings")
    await agency.press(7, t("How often"))
    await agency.press(7, t("Once a day"))
    assert await agency.cadence(7) is Cadence.DAILY
    before = len(double.seen(7))
    await agency.publish("b", **all_of(1))
    await agency.publish("c", **all_of(2))
    assert len(double.seen(7)) == before
    await next_morning(agency)
    assert len(double.seen(7)) == before + 1
    digest = agency.last(7)
    assert titles[1] in digest["text"]
    assert titles[2] in digest["text"]
    assert titles[0] not in digest["text"]
    # Why?
    why = await agency.write(7, "/why", reply_to=digest["id"])
    for said in (t("Your daily digest."), titles[1], titles[2], t("Once a day"), {"az": "Vizalar"}.get(lang, "")):
        assert said in why["text"]
    # What was in it is corrected: the digest follows, and says so.
    agency.clock.now += timedelta(minutes=10)
    note = {"az": "Qiymət 40-dır.", "en": "The fee is 40.", "ru": "Сбор — 40."}[lang]
    await agency.correct("b", note, **{one: f"{title}, 40" for one, title in all_of(1).items()})
    assert f"{titles[1]}, 40" in digest["text"]
    assert note in agency.last(7)["text"]
    assert agency.last(7)["reply_to"] == digest["id"]
    # A pause that was asked for holds, also while they write; it ends by a button.
    await agency.write(7, "/pause")
    await agency.press(7, t("1 week"))
    await agency.publish("d", **all_of(3))
    before = texts_in(agency)
    await next_morning(agency)
    assert texts_in(agency) == before
    await agency.write(7, "/settings")
    assert (await agency.person(7))[0].is_paused
    await agency.press(7, t("Resume"))
    assert not (await agency.person(7))[0].is_paused
    await agency.publish("e", **all_of(4))
    await next_morning(agency)
    assert titles[4] in agency.last(7)["text"]
    # Search, and their data.
    found = await agency.write(7, f"/search {WORD[lang]}")
    assert titles[4] in found["text"]
    shown = await agency.write(7, "/mydata")
    data = json.loads(double.files[shown["document"]][1])
    kinds = {one["kind"] for one in data["deliveries"]["newest"]}
    assert {"release", "digest", "correction"} <= kinds
    # Blocked: nothing more; back: what was chosen is kept.
    await agency.block(7)
    assert (await agency.person(7))[0].is_paused
    calls = len(double.calls)
    await agency.publish("f", **{one: f"{title} 2" for one, title in all_of(0).items()})
    await next_morning(agency)
    assert not [given for _, given in double.calls[calls:] if given.get("chat_id") == 7]
    await agency.write(7, "/start")
    who, (live,) = await agency.person(7)
    assert (who.is_paused, live.cadence) == (False, Cadence.DAILY)
    assert parse(live.filter).topics == ("visas",)
    # Forgotten: the last word, and nothing after it.
    asked = await agency.write(7, "/forget")
    await agency.press(7, t("Erase everything"))
    assert asked["text"] == t(
        "Everything about you is erased, and we send you nothing more. To begin anew, send /start."
    )
    calls = len(double.calls)
    await agency.publish("g", **{one: f"{title} 3" for one, title in all_of(0).items()})
    await agency.withdraw("a", "By mistake.")
    await next_morning(agency)
    assert not [given for _, given in double.calls[calls:] if given.get("chat_id") == 7]
    assert await agency.person(7) == (None, [])
    assert "7" not in await addresses(agency)


async def addresses(agency):
    async with agency.database.reading() as session:
        return list(await session.scalars(select(SUBSCRIBER.c.address)))


async def signed_up(agency, chat, lang="en", cadence=None):
    await agency.write(chat, "/start visas", language=lang)
    await agency.press(chat, {"az": "Azərbaycanca", "en": "English", "ru": "Русский"}[lang])


@pytest.mark.parametrize("lang", LANGS)
async def test_who_deleted_their_account_is_paused_and_nobody_else_waits_for_it(agency, lang):
    for chat in (7, 8):
        await signed_up(agency, chat, lang)
    agency.double.deactivate(7)
    await agency.publish("a", **all_of(0))
    assert TITLES[lang][0] in agency.last(8)["text"]
    who, live = await agency.person(7)
    assert who.is_paused
    assert "deactivated" in who.state_reason
    assert len(live) == 1
    calls = len(agency.double.calls)
    await agency.pass_time(minutes=5)
    await agency.publish("b", **all_of(1))
    assert not [given for _, given in agency.double.calls[calls:] if given.get("chat_id") == 7]


@pytest.mark.parametrize("lang", LANGS)
async def test_a_group_of_the_configuration_that_becomes_a_supergroup_loses_and_doubles_nothing(agency, lang):
    double = agency.double
    double.channel(-500, -500, kind="group")
    await agency.carry("-500", lang=lang)
    await agency.publish("a", **all_of(0))
    assert TITLES[lang][0] in agency.last(-500)["text"]
    double.migrate(-500, -100500)
    await agency.pass_time(minutes=5)
    await agency.publish("b", **all_of(1))
    await agency.pass_time(minutes=5)
    await agency.publish("c", **all_of(2))
    new = [one["text"] for one in double.seen(-100500)]
    assert [sum(TITLES[lang][number] in text for text in new) for number in (0, 1, 2)] == [0, 1, 1]
    assert double.duplicates() == []
    # What was posted before cannot be edited there: the correction comes as a message of its own.
    await agency.pass_time(minutes=5)
    await agency.correct("a", "40.", **{one: f"{title}, 40" for one, title in all_of(0).items()})
    assert any("40" in one["text"] for one in double.seen(-100500))
    async with agency.database.reading() as session:
        states = set(await session.scalars(select(DELIVERY.c.state)))
    assert states == {"sent"}
    assert (await addresses(agency)) == ["-500"]


@pytest.mark.parametrize("word", ["/help", "/latest", "/why", "/settings", "/mydata", "/forget"])
async def test_who_blocks_us_while_we_answer_is_paused_with_everything_kept(agency, word):
    await signed_up(agency, 7)
    method = "sendDocument" if word == "/mydata" else "sendMessage"
    agency.double.fault("refuse", method=method, chat=7, code=403, text="Forbidden: bot was blocked by the user")
    await agency.write(7, word)
    who, live = await agency.person(7)
    assert who.is_paused
    assert len(live) == 1
    await agency.write(7, "/help")
    assert not (await agency.person(7))[0].is_paused


async def test_an_answer_that_telegram_holds_up_comes_later_and_once_and_others_do_not_wait(agency):
    slept = asyncio.Event()

    async def sleep(seconds):
        assert 7 <= seconds < 8
        await slept.wait()

    agency.bot._answers._sleep = sleep
    for chat in (7, 8):
        await signed_up(agency, chat)
    agency.double.fault("flood", method="sendMessage", chat=7, retry_after=7)
    before = len(agency.double.seen(7))
    await agency.write(7, "/help")
    assert agency.metrics.floods._value.get() == 1
    async with asyncio.timeout(10):
        while not (kept := await DatabasePauses(agency.database).load()):
            await asyncio.sleep(0)
    assert [(one.scope, one.until) for one in kept] == [("chat:7", agency.clock.now + timedelta(seconds=7))], (
        "broadcasts wait too, and a restart changes nothing about it"
    )
    await agency.write(7, "/why")
    assert "/stop" in (await agency.write(8, "/help"))["text"]
    assert len(agency.double.seen(7)) == before
    slept.set()
    await agency.double.until(lambda: len(agency.double.seen(7)) == before + 2)
    help_, why = agency.double.seen(7)[-2:]
    assert "/stop — " in help_["text"]
    assert "sent you nothing yet" in why["text"]
    assert agency.metrics.telegram_answers.labels("waited")._value.get() == 2


class RealClock:
    """Goes by itself."""

    now = datetime.now(UTC)

    def __call__(self):
        return datetime.now(UTC)

    def seconds(self):
        return time.time()


async def test_an_answer_does_not_wait_for_a_broadcast_in_full_run(opened):
    agency = await opened(RealClock(), per_second=25)
    await signed_up(agency, 1)
    async with agency.database.writing() as session:
        now = agency.clock() - timedelta(minutes=1)
        shared = await filters.share_filter(session, parse("topic=visas"))
        usual = {"channel": ChannelKind.TELEGRAM, "language": "en", "timezone": "Asia/Baku", "created_at": now}
        rows = [{**usual, "id": number, "address": str(number)} for number in range(1000, 2000)]
        await session.execute(insert(SUBSCRIBER), rows)
        wants = {"filter_id": shared, "state": SubscriptionState.ACTIVE, "created_at": now, "confirmed_at": now}
        await session.execute(insert(SUBSCRIPTION), [{**wants, "subscriber_id": one["id"]} for one in rows])
    agency.double.started.update(range(1000, 2000))
    await agency.publish("a", **all_of(0))
    engine = agency.engine()
    await engine.start()
    await agency.double.until(lambda: sum(one["chat"] >= 1000 for one in agency.double.messages) > 20, seconds=20)
    between = []
    for word in ("/help", "/latest", "/search visa", "/why", "/settings"):
        before, posted = len(agency.double.seen(1)), len(agency.double.messages)
        agency.double.say(1, word, language="en")
        await agency.double.until(lambda before=before: len(agency.double.seen(1)) > before, seconds=30)
        places = [at for at, one in enumerate(agency.double.messages) if one["chat"] == 1]
        between.append(places[before] - posted)
    sent = sum(one["chat"] >= 1000 for one in agency.double.messages)
    await engine.stop(1)
    assert 20 < sent < 900
    assert max(between) < 100, between  # posts that went before the answer, however slow the machine: not all that wait


async def test_whoever_gives_the_bot_its_right_back_has_the_posts_that_waited_at_once(opened, now):
    agency = await opened(Clock(now), channels=[{"chat": "@press"}])
    agency.double.channel("@press", -1001)
    await agency.carry("@press")
    await agency.dealt(agency.double.rights("@press", {"status": "left"}))
    await agency.publish("fees", en="Visa fees fall", az="Viza")
    await agency.pass_time(minutes=40)
    assert agency.double.seen("@press") == []
    await agency.dealt(agency.double.rights("@press", {"status": "administrator", "can_post_messages": True}))
    await agency.pass_time(seconds=1)
    assert len(agency.double.seen("@press")) == 1
