"""Corrections and withdrawals, from the source to what people see, over the real store and the strict double."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from telegram.ext import ExtBot

from bots.telegram.transport import AiohttpRequest
from syndicator.domain.jobs import harvest_job
from syndicator.domain.model import ChannelKind, DeliveryState
from syndicator.store import ledger
from tests.offices import settings_of
from tests.telegram.road import Road, doubled
from tests.whole.house import Never

LONG = "\n\n".join(f"Paragraph {n}. {'word ' * 60}" for n in range(25))
PERSON, CHANNEL = 7, "@news"
NOTES = ("The fee is 20.", "And 30 for families.")


@pytest.fixture
async def opened(sqlite_url, tmp_path, site, taxonomy, texts, now):
    """Makes a road with one person and one channel of the office's own; closes it afterwards."""
    made = []

    async def open_(**telegram):
        moment = [lambda: now]
        double = await doubled(lambda: moment[0]()).__aenter__()  # noqa: PLW0108  # known later
        request = AiohttpRequest(total=5, connect=2)
        bot = ExtBot(double.token, base_url=f"{double.url}/bot", request=request, get_updates_request=request)
        values = {"channels": [{"chat": CHANNEL, "language": "en"}], **telegram}
        road = Road(
            sqlite_url,
            tmp_path,
            bot,
            now,
            site=site,
            taxonomy=taxonomy,
            texts=texts,
            settings=settings_of(site, **values),
        )
        moment[0] = lambda: road.now
        double.started.add(PERSON)
        double.channel(CHANNEL, -100123)
        await road.configure()
        await road.person(PERSON)
        made.append((road, double))
        return road, double

    yield open_
    for road, double in made:
        await road.channel.close()
        await road.database.close()
        await double.__aexit__(None, None, None)


def texts_in(double, chat):
    return [one["text"] for one in double.seen(chat)]


@pytest.mark.parametrize("photo", [False, True], ids=["text", "photo"])
async def test_corrected_twice_while_queued_each_chat_ends_with_the_newest_text_once(opened, photo):
    road, double = await opened(media="photo" if photo else "preview")
    road.write("Visas cost 10", image=photo)
    await road.work(only=0)
    for fee, note in zip((20, 30), NOTES, strict=True):
        road.write(f"Visas cost {fee}", note=note, image=photo)
        await road.work(only=0)
    await road.pass_time(minutes=10)
    for chat in (PERSON, CHANNEL):
        (copy,) = double.seen(chat)
        assert "Visas cost 30" in copy["text"]
    assert double.duplicates() == []
    assert double.limits.given == 0


@pytest.mark.parametrize("photo", [False, True], ids=["text", "photo"])
@pytest.mark.parametrize("body", ["From Monday.", LONG], ids=["one part", "three parts"])
async def test_channels_and_people_alike_are_corrected_and_the_withdrawn_goes(opened, body, photo):
    road, double = await opened(media="photo" if photo else "preview")
    road.write("Visas cost 10", body, urgent=True, image=photo)
    await road.pass_time(minutes=5)
    before = {chat: [one["id"] for one in double.seen(chat)] for chat in (PERSON, CHANNEL)}
    assert {len(ids) for ids in before.values()} == {3 if body is LONG else 1}
    road.write("Visas cost 20", body, urgent=True, note=NOTES[0], image=photo)
    await road.pass_time(minutes=5)
    for chat in (PERSON, CHANNEL):
        *copy, reply = double.seen(chat)
        assert [one["id"] for one in copy] == before[chat]
        assert "Visas cost 20" in copy[0]["text"]
        assert (reply["reply_to"], NOTES[0] in reply["text"]) == (copy[0]["id"], True)
    road.withdraw()
    await road.pass_time(minutes=5)
    for chat in (PERSON, CHANNEL):
        (notice,) = texts_in(double, chat)
        assert "cost" not in notice
        assert NOTES[0] not in notice
    assert double.limits.given == 0


async def test_a_silent_change_is_edited_and_nobody_is_told(opened):
    road, double = await opened()
    road.write("Visas cost 10")
    await road.pass_time(minutes=5)
    road.write("Visas cost ten")
    await road.pass_time(minutes=5)
    for chat in (PERSON, CHANNEL):
        (copy,) = double.seen(chat)
        assert ("Visas cost ten" in copy["text"], copy["edits"]) == (True, 1)


@pytest.mark.parametrize("fault", ["flood", "502", "drop_before", "drop_after"])
async def test_a_part_that_failed_in_between_and_a_correction_meanwhile(opened, fault):
    road, double = await opened()
    double.fault(fault, skip=1, chat=PERSON, retry_after=40)
    road.write("Visas cost 10", LONG, urgent=True)
    await road.work()
    road.write("Visas cost 20", LONG.replace("word", "term"), urgent=True, note=NOTES[0])
    await road.pass_time(hours=1)
    shown = texts_in(double, PERSON)
    assert shown[0].count("Visas cost 20") == 1
    current = [one for one in shown if "term term" in one]
    assert sum(f"Paragraph {n}." in "".join(current) for n in range(25)) == 25, "nothing of the newest text is missing"
    # Of a part that nobody could tell of, an old one may stand beside: no id is known of it.
    assert len([one for one in shown if "word word" in one]) <= (1 if fault == "drop_after" else 0)


async def test_what_a_person_deleted_stays_away_and_the_word_comes_alone(opened):
    road, double = await opened()
    road.write("Visas cost 10")
    await road.pass_time(minutes=5)
    double.take(double.seen(PERSON)[0])
    road.write("Visas cost 20", note=NOTES[0])
    await road.pass_time(minutes=5)
    (reply,) = double.seen(PERSON)
    assert (NOTES[0] in reply["text"], reply["reply_to"]) == (True, None)


async def test_a_group_that_moved_is_followed_and_hears_the_word(opened):
    road, double = await opened(channels=[{"chat": "-100", "language": "en"}])
    double.channel(-100, -100, kind="group", member={"status": "member"})
    road.write("Visas cost 10")
    await road.pass_time(minutes=5)
    double.migrate(-100, -1002000)
    road.write("Visas cost 20", note=NOTES[0])
    await road.pass_time(minutes=5)
    (reply,) = double.seen(-1002000)
    assert (NOTES[0] in reply["text"], reply["reply_to"]) == (True, None)
    road.write("Offices closed", key="offices")
    await road.pass_time(minutes=5)
    assert "Offices closed" in texts_in(double, -1002000)[-1]


async def test_after_48_hours_copies_become_notices(opened):
    road, double = await opened()
    road.write("Visas cost 10", LONG, urgent=True)
    await road.pass_time(hours=49)
    road.withdraw()
    await road.pass_time(minutes=10)
    for chat in (PERSON, CHANNEL):
        first, second, third, told = double.seen(chat)
        assert [second["text"], third["text"]] == ["—", "—"]
        assert (first["text"], told["reply_to"]) == (told["text"], first["id"])
        assert "cost" not in first["text"]


async def test_who_has_left_hears_nothing_more_and_their_copy_follows(opened):
    road, double = await opened()
    road.write("Visas cost 10")
    await road.pass_time(minutes=5)
    await road.leave(PERSON)
    road.write("Visas cost 20", note=NOTES[0])
    await road.pass_time(minutes=5)
    (copy,) = double.seen(PERSON)
    assert "Visas cost 20" in copy["text"]
    road.withdraw()
    await road.pass_time(minutes=5)
    assert double.seen(PERSON) == []


async def test_a_release_that_came_back_is_told_with_its_note(opened):
    road, double = await opened()
    road.write("Visas cost 10")
    await road.pass_time(minutes=5)
    road.withdraw()
    await road.pass_time(minutes=5)
    road.write("Visas cost 20", note=NOTES[0])
    await road.pass_time(minutes=5)
    for chat in (PERSON, CHANNEL):
        _, copy = texts_in(double, chat)
        assert "Visas cost 20" in copy
        assert NOTES[0] in copy


async def test_a_crash_in_the_middle_of_a_correction_repeats_no_edit_that_shows(opened):
    road, double = await opened()
    road.write("Visas cost 10", LONG, urgent=True)
    await road.pass_time(minutes=5)
    road.write("Visas cost 20", LONG, urgent=True, note=NOTES[0])
    await road.work(only=0)
    double.fault("stall", method="editMessageText", skip=1, chat=PERSON)
    going = asyncio.create_task(road.work())
    await double.until(lambda: any(one.times == 0 for one in double.faults))
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    async with road.database.writing() as session:
        await ledger.recover(session, road.now)
    await road.pass_time(minutes=10)
    *copy, reply = double.seen(PERSON)
    assert len(copy) == 3
    assert "Visas cost 20" in copy[0]["text"]
    assert NOTES[0] in reply["text"]


async def test_a_withdrawal_during_an_outage_follows_within_30_seconds_after_it(opened):
    road, double = await opened()
    road.write("Visas cost 10")
    await road.pass_time(minutes=5)
    await double.down()
    road.withdraw()
    await road.pass_time(minutes=5)
    await double.up()
    await road.pass_time(seconds=30)
    for chat in (PERSON, CHANNEL):
        (notice,) = texts_in(double, chat)
        assert notice.startswith("🚫 Withdrawn")
    async with road.database.reading() as session:
        assert await ledger.listing(session, state=DeliveryState.FAILED) == []


async def test_when_a_right_comes_back_what_waited_goes_out_at_once(opened):
    road, double = await opened()
    double.rights(CHANNEL, {"status": "left"})
    road.write("Visas cost 10")
    await road.pass_time(hours=2)
    assert texts_in(double, CHANNEL) == []
    double.rights(CHANNEL, {"status": "administrator", "can_post_messages": True})
    async with road.database.writing() as session:
        assert await ledger.reopened(session, ChannelKind.TELEGRAM, ["@elsewhere", "7"], road.now) == 0
        assert await ledger.reopened(session, ChannelKind.TELEGRAM, ["-100123", CHANNEL.upper()], road.now) == 1
    await road.pass_time(seconds=5)
    (post,) = texts_in(double, CHANNEL)
    assert post.startswith("Visas cost 10")


@pytest.mark.parametrize("whole_bot", [False, True])
async def test_what_a_long_pause_keeps_from_following_is_told_once_with_its_channels(opened, whole_bot):
    chats = [CHANNEL, "@other"]
    road, double = await opened(channels=[{"chat": chat, "language": "en"} for chat in chats])
    double.channel("@other", -100124)
    road.write("Visas cost 10")
    await road.pass_time(minutes=5)
    times, chat = (2, None) if whole_bot else (1, -100123)
    double.fault("flood", method="deleteMessage", times=times, chat=chat, retry_after=3600)
    road.withdraw()
    with capture_logs() as logs:
        await road.pass_time(minutes=30)
    (line,) = [one for one in logs if "delete or edit it by hand" in one["event"]]
    assert (line["log_level"], line["chats"]) == ("error", sorted(chats) if whole_bot else [CHANNEL])
    assert line["until"] > road.now.isoformat()
    await road.pass_time(hours=2)
    for chat in (PERSON, *chats):
        (notice,) = texts_in(double, chat)
        assert "cost" not in notice


async def test_what_is_withdrawn_between_two_parts_of_a_post_goes_no_further(opened):
    road, double = await opened()
    road.write("Visas cost 10", LONG, urgent=True)
    sleep = road.channel._pace._sleep

    async def meanwhile(seconds):
        if road.source.items["visas"].reason == "" and double.seen(CHANNEL):
            road.withdraw()
            await road.work_.handlers()["harvest"](harvest_job(road.source.name, road.now), Never())
        await sleep(seconds)

    road.channel._pace._sleep = meanwhile
    await road.work(only=2)
    sent = [given for given in double.made("sendMessage") if given["chat_id"] in (CHANNEL, -100123)]
    assert len([one for one in sent if "Paragraph" in one["text"]]) == 1, "parts 2 and 3 were not sent"
    await road.pass_time(minutes=10)
    assert not any("Paragraph" in one for chat in (PERSON, CHANNEL) for one in texts_in(double, chat))
    assert len(texts_in(double, CHANNEL)) == 1


async def test_what_is_sent_at_once_asks_the_store_nothing_more(opened):
    road, _ = await opened()
    road.write("Visas cost 10")
    await road.pass_time(minutes=5)
    assert road.asked == 0


@pytest.mark.parametrize("announced", [True, False])
async def test_a_withdrawal_follows_within_seconds_though_the_clock_was_set_back_an_hour(opened, announced):
    road, double = await opened()
    road.write("Visas cost 10")
    await road.work()
    road.now += timedelta(hours=2)
    road.write("Something else", key="else")
    await road.work()
    assert len(double.seen(PERSON)) == len(double.seen(CHANNEL)) == 2
    if announced:  # its rows are due, and wait for a worker
        road.withdraw()
        await road.work(only=0)
    road.now -= timedelta(hours=1)
    double.pass_time(hours=1)  # Telegram's own clock goes on
    road.withdraw()
    await road.pass_time(seconds=10)
    for chat in (PERSON, CHANNEL):
        assert not [one for one in double.seen(chat) if "cost 10" in one["text"]]
