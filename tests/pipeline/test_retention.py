"""Retention: who has left is nobody, what is old goes in small steps, and nothing of it is ever sent again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from config.settings import RetentionSettings
from syndicator.domain.bounces import Bounce, BounceKind, Suppressed
from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind, MessageKind, SubscriptionState
from syndicator.i18n import Texts
from syndicator.pipeline import retention as room
from syndicator.pipeline.personal import Personal
from syndicator.pipeline.retention import Retention
from syndicator.store import bounces, ledger, retention, subscriptions, suppressions
from syndicator.store.bounces import BOUNCED, Concerned
from syndicator.store.moving import relocate
from syndicator.store.subscriptions import Consent
from syndicator.store.tables import BOUNCE, DELIVERY, LETTERBOX, MATCH, MESSAGE, READDRESSED, SUBSCRIBER, SUBSCRIPTION

DAY = timedelta(days=1)
SETTINGS = RetentionSettings(left_days=28, ledger_days=730)


async def rest(_seconds):
    """No time passes."""


@pytest.fixture
def keep(press, site):
    press.mail.tells |= set(MessageKind) - {MessageKind.EDIT, MessageKind.FEED}
    return Retention(
        press.database,
        SETTINGS,
        site=site,
        tokens=press.tokens,
        clock=lambda: press.now,
        metrics=press.metrics,
        rest=rest,
    )


async def join(
    press, address, *, channel=ChannelKind.EMAIL, state=SubscriptionState.ACTIVE, filter_="", cadence="immediate"
):
    async with press.database.writing() as session:
        who = await subscriptions.ensure(session, channel, address, language="en", timezone="Asia/Baku", now=press.now)
        made = await subscriptions.subscribe(
            session, who.id, parse(filter_), cadence=Cadence(cadence), state=state, consent=None, now=press.now
        )
    return who.id, made.id


async def count(press, table):
    async with press.database.reading() as session:
        return await session.scalar(select(func.count()).select_from(table))


async def addresses(press):
    async with press.database.reading() as session:
        return list(await session.scalars(select(SUBSCRIBER.c.address).order_by(SUBSCRIBER.c.id)))


async def elsewhere(press):
    async with press.database.reading() as session:
        return list(await session.scalars(select(READDRESSED.c.address)))


async def suppressed(press, address):
    async with press.database.reading() as session:
        return await suppressions.has(session, press.tokens.fingerprint("address", address))


async def _left(press, who, made):
    async with press.database.writing() as session:
        await subscriptions.end_all(session, who, "unsubscribed", press.now)


async def _one_of_two(press, who, made):
    async with press.database.writing() as session:
        other = await subscriptions.subscribe(
            session,
            who,
            parse("topic=visas"),
            cadence=Cadence.DAILY,
            state=SubscriptionState.ACTIVE,
            consent=None,
            now=press.now,
        )
        await subscriptions.end(session, other.id, "unsubscribed", press.now)


async def _asked_for_a_pause(press, who, made):
    async with press.database.writing() as session:
        await subscriptions.rest(session, who, None)


async def _something_waits(press, who, made):
    await _left(press, who, made)
    async with press.database.writing() as session:
        await ledger.tell_moved(session, who, "other@example.org", now=press.now)


async def _never_confirmed(press, who, made):
    async with press.database.writing() as session:
        values = {"state": "ended", "ended_reason": "never confirmed", "confirmed_at": None, "ended_at": press.now}
        await session.execute(update(SUBSCRIPTION).where(SUBSCRIPTION.c.id == made).values(values))


async def _stays(press, who, made):
    pass


LEAVERS = {
    "stays": (_stays, False, None),
    "left": (_left, True, Suppressed.ERASED),
    "ended one of two": (_one_of_two, False, None),
    "rests": (_asked_for_a_pause, False, None),
    "left, and a letter waits": (_something_waits, False, None),
    "never confirmed": (_never_confirmed, True, None),
}


@pytest.mark.parametrize("case", LEAVERS)
async def test_who_has_left_is_nobody_28_days_later(press, keep, case):
    happens, goes, remembered = LEAVERS[case]
    who, made = await join(press, "a@example.org")
    await happens(press, who, made)
    press.now += 28 * DAY
    await keep.run()
    assert await addresses(press) == ["a@example.org"]  # to the day
    press.now += timedelta(seconds=1)
    await keep.run()
    await keep.run()
    assert await addresses(press) == [f"erased-{who}" if goes else "a@example.org"]
    assert await suppressed(press, "a@example.org") == remembered


async def test_a_mailbox_that_comes_back_is_left_alone_for_28_days_and_then_counts_as_left(press, keep):
    who, _ = await join(press, "a@example.org")
    async with press.database.writing() as session:
        bounce = Bounce(BounceKind.HARD, "5.1.1", "no such user")
        await bounces.record(
            session, Concerned(who, "a@example.org"), bounce, source="dsn", report="1", now=press.now + DAY
        )
        await subscriptions.pause(session, who, f"{BOUNCED}: no such user")
    states = []
    for days in (28, 2, 28, 1):
        press.now += days * DAY
        await keep.run()
        async with press.database.reading() as session:
            [one] = await subscriptions.of(session, who, live=False)
        states.append((one.state.value, one.ended_reason, (await addresses(press))[0]))
    assert states == [
        ("active", "", "a@example.org"),
        ("ended", "bounced", "a@example.org"),
        ("ended", "bounced", "a@example.org"),
        ("ended", "erased", f"erased-{who}"),
    ]


async def test_who_comes_back_between_the_look_and_the_erasing_stays(press, keep):
    who, made = await join(press, "a@example.org")
    await _left(press, who, made)
    press.now += 29 * DAY
    async with press.database.reading() as session:
        assert await retention.left(session, press.now - 28 * DAY, 0, 10) == ([who], who)
    await join(press, "a@example.org")
    office = {"language": "az", "timezone": "Asia/Baku"}
    async with press.database.writing() as session:
        assert await retention.erase_left(session, who, press.now - 28 * DAY, press.now, **office) is None
    assert await addresses(press) == ["a@example.org"]


async def test_who_was_merged_into_somebody_goes_with_them(press, keep):
    one, _ = await join(press, "one@example.org")
    two, _ = await join(press, "two@example.org", filter_="topic=visas")
    async with press.database.writing() as session:
        await relocate(session, one, "two@example.org", press.now)
    press.now += 29 * DAY
    await keep.run()
    assert await addresses(press) == ["two@example.org", f"merged-{two}"]
    async with press.database.writing() as session:
        await subscriptions.end_all(session, one, "unsubscribed", press.now)
    press.now += 29 * DAY
    for _ in range(2):
        await keep.run()
    assert await addresses(press) == [f"erased-{one}", f"erased-{two}"]


async def test_a_chat_that_left_goes_like_a_mailbox_and_channels_and_callbacks_stay(press, keep):
    who, made = await join(press, "7", channel=ChannelKind.TELEGRAM)
    hook, its = await join(press, "https://example.org/hook", channel=ChannelKind.WEBSUB)
    await _left(press, who, made)
    await _left(press, hook, its)
    press.now += 29 * DAY
    await keep.run()
    assert await addresses(press) == [f"erased-{who}", "https://example.org/hook"]


async def _publish(press):
    first = press.change(topics=("visas",))
    await press.publish(first)
    return first


async def test_what_was_sent_long_ago_goes_and_is_not_sent_again(press, keep, monkeypatch):
    monkeypatch.setattr(retention, "STEP", 2)
    for number in range(5):
        await join(press, f"{number}@example.org")
    first = await _publish(press)
    assert len(press.mail.sent) == 5
    press.now += 731 * DAY
    await join(press, "new@example.org")
    await press.publish(press.change("later"))  # the newest row of the ledger always stays
    await keep.run()
    press.mail.sent.clear()
    assert {row["message"] for row in await press.rows()} == {"release:2:0"}
    async with press.database.reading() as session:
        assert await session.scalar(select(func.count()).where(MATCH.c.release_id == 1)) == 0
    async with press.database.writing() as session:  # whatever asks for it again
        await ledger.announce(session, 1, kind=MessageKind.RELEASE, major=0, priority=20, now=press.now)
    await press.spread()
    await press.harvest(replace(first, title="Better", note="The fee is 20.", fingerprint="2"))
    await press.spread()
    await press.send()
    assert press.mail.sent == []
    async with press.database.reading() as session:
        assert 1 not in [message.release for message in await ledger.open_messages(session)]


async def test_who_got_a_correction_within_the_time_hears_of_the_next_though_the_release_is_old(press, keep):
    await join(press, "a@example.org")
    first = await _publish(press)
    press.now += 700 * DAY
    two = replace(first, title="B", note="Two.", fingerprint="2")
    await press.publish(two)
    press.now += 40 * DAY
    await keep.run()
    await press.publish(replace(two, title="C", note="Three.", fingerprint="3"))
    last = press.mail.sent[-1]
    assert (last.kind, last.notes, [one.kind for one in last.earlier]) == (
        MessageKind.CORRECTION,
        ("Three.",),
        [MessageKind.CORRECTION],
    )


async def test_what_has_not_gone_out_stays_however_old(press, keep):
    await join(press, "a@example.org")
    await press.harvest(press.change())
    await press.spread()
    press.now += 731 * DAY
    await keep.run()
    assert [row["state"] for row in await press.rows()] == ["due"]


async def test_messages_for_one_go_whole_and_their_addresses_before(press, keep):
    who, made = await join(press, "a@example.org")
    async with press.database.writing() as session:
        await ledger.welcome(session, made, who, now=press.now)
        await ledger.ask_address(session, who, "b@example.org", now=press.now)
        await ledger.tell_moved(session, who, "c@example.org", now=press.now)
    press.now += 29 * DAY
    await keep.run()
    assert sorted(await elsewhere(press)) == ["b@example.org", "c@example.org"]  # they wait to go out
    await press.send()
    await keep.run()
    assert await elsewhere(press) == ["", ""]
    press.now += 710 * DAY
    await press.publish(press.change())
    await keep.run()
    assert (await count(press, MESSAGE), await count(press, READDRESSED)) == (1, 0)


async def test_who_has_moved_moves_again_when_the_addresses_of_then_are_forgotten(press, keep):
    who, _ = await join(press, "a@example.org")
    for number, address in enumerate(["b@example.org", "c@example.org", "d@example.org"], 1):
        await press.subscribing.ask_move(who, address, now=press.now)
        await press.send()
        question = press.mail.sent[-1]
        assert (question.kind, question.address) == (MessageKind.ADDRESS, address)
        await press.subscribing.move(question.confirm_token, press.now)
        await press.send()
        assert await addresses(press) == [address]
        assert [one.kind for one in press.mail.sent].count(MessageKind.MOVED) == number
        press.now += 29 * DAY
        await keep.run()
        assert set(await elsewhere(press)) == {""}


async def test_of_who_moved_long_ago_and_is_erased_no_moment_is_left(press, keep, site, taxonomy):
    who, _ = await join(press, "a@example.org")
    await press.subscribing.ask_move(who, "b@example.org", now=press.now)
    await press.send()
    await press.subscribing.move(press.mail.sent[-1].confirm_token, press.now)
    await press.send()
    press.now += 29 * DAY
    await keep.run()
    personal = Personal(press.database, site=site, taxonomy=taxonomy, tokens=press.tokens)
    found = await personal.find(ChannelKind.EMAIL, "b@example.org")
    await personal.erase(found, press.now)
    async with press.database.reading() as session:
        said = (await session.execute(select(MESSAGE.c.key, MESSAGE.c.created_at, MESSAGE.c.fanned_out_at))).all()
    assert len(said) == 2
    for key, *times in said:
        assert key.split(":")[1] == "erased"
        assert {(one.hour, one.minute, one.second, one.microsecond) for one in times} == {(0, 0, 0, 0)}


async def test_what_came_back_is_kept_as_long_as_it_counts(press, keep):
    who, _ = await join(press, "a@example.org")
    async with press.database.writing() as session:
        for number in range(3):
            values = {
                "subscriber_id": who,
                "kind": "soft",
                "status": "",
                "source": "dsn",
                "said": "",
                "report": str(number),
            }
            await session.execute(BOUNCE.insert().values(**values, at=press.now + number * 90 * DAY))
    press.now += 181 * DAY
    await keep.run()
    async with press.database.reading() as session:
        assert list(await session.scalars(select(BOUNCE.c.report).order_by(BOUNCE.c.id))) == ["1", "2"]


async def test_a_chat_that_moves_while_it_rests_into_one_that_we_know_stops_no_erasing(press, keep):
    async with press.database.writing() as session:
        chats = [
            await subscriptions.ensure(
                session, ChannelKind.TELEGRAM, one, language="en", timezone="Asia/Baku", now=press.now
            )
            for one in ("-1", "-2")
        ]
        await subscriptions.rest(session, chats[0].id, None)
        await subscriptions.move(session, chats[0].id, "-2")
        # as earlier versions have left it
        reason = {"state_reason": f"moved to subscriber {chats[1].id}; had asked for a pause"}
        await session.execute(update(SUBSCRIBER).where(SUBSCRIBER.c.id == chats[0].id).values(reason))
    who, made = await join(press, "a@example.org")
    await _left(press, who, made)
    press.now += 29 * DAY
    await keep.run()
    await keep.run()
    assert await addresses(press) == [f"erased-{one}" for one in (chats[0].id, chats[1].id, who)]


async def test_one_bad_row_stops_neither_other_people_nor_what_else_is_to_go(press, keep, monkeypatch):
    people = [await join(press, f"{name}@example.org") for name in "abc"]
    for who, made in people:
        await _left(press, who, made)
    async with press.database.writing() as session:
        await ledger.ask_address(session, people[0][0], "other@example.org", now=press.now)
        await session.execute(update(DELIVERY).values(state="sent"))
    bad, erase = people[1][0], retention.erase

    async def failing(session, subscriber, *args, **values):
        if subscriber == bad:
            raise ValueError("a bad row")
        return await erase(session, subscriber, *args, **values)

    monkeypatch.setattr(retention, "erase", failing)
    press.now += 29 * DAY
    await keep.run()
    assert await addresses(press) == [f"erased-{people[0][0]}", "b@example.org", f"erased-{people[2][0]}"]
    monkeypatch.undo()
    await keep.run()
    assert (await addresses(press))[1] == f"erased-{bad}"


async def test_a_pass_that_is_ended_in_the_middle_is_gone_on_with(press, keep, monkeypatch):
    monkeypatch.setattr(retention, "STEP", 2)
    monkeypatch.setattr(room, "TOGETHER", 2)
    people = [await join(press, f"{number}@example.org") for number in range(7)]
    await _publish(press)
    for who, made in people:
        await _left(press, who, made)
    press.now += 731 * DAY
    await join(press, "new@example.org")
    await press.publish(press.change("later"))
    monkeypatch.setattr(room, "STEPS", 6)
    seen = Counter()
    for _ in range(8):
        await keep.run()
        seen[await count(press, DELIVERY), sum(a.startswith("erased") for a in await addresses(press))] += 1
    assert len(seen) > 3
    assert await count(press, DELIVERY) == 1
    assert await addresses(press) == [*(f"erased-{who}" for who, _ in people), "new@example.org"]
    said = press.metrics.forgotten.labels
    assert (said("people")._value.get(), said("deliveries")._value.get()) == (7, 7)


async def test_a_persons_data_say_what_came_back_other_addresses_and_why_they_are_kept_out(press, keep, site, taxonomy):
    who, _ = await join(press, "a@example.org")
    async with press.database.writing() as session:
        await ledger.ask_address(session, who, "b@example.org", now=press.now)
        bounce = Bounce(BounceKind.HARD, "5.1.1", "no such user")
        concerned = Concerned(who, "a@example.org")
        await bounces.record(session, concerned, bounce, source="dsn", report="1", now=press.now)
        fingerprint = press.tokens.fingerprint("address", "a@example.org")
        await suppressions.add(session, fingerprint, Suppressed.BOUNCED, press.now)
    personal = Personal(press.database, site=site, taxonomy=taxonomy, tokens=press.tokens)
    found = await personal.data(who, Texts.load(site.languages)("en"), press.now)
    at = press.now.isoformat(timespec="seconds")
    said = {"kind": "hard", "status": "5.1.1", "source": "dsn", "said": "no such user", "at": at}
    assert found["came_back"] == [said]
    asked = {"address": "b@example.org", "letter": "address", "asked_at": at, "confirmed_at": None}
    assert found["other_addresses"] == [asked]
    assert (found["kept_out_because"], found["subscriber"]["text_only"]) == ("bounced", False)


async def test_a_persons_data_say_what_each_letter_asked_and_whether_they_said_yes(press, keep, site, taxonomy):
    wishes = [("ru", Cadence.WEEKLY, True, "WORDS"), ("en", Cadence.DAILY, False, "OTHER WORDS")]
    for language, cadence, text_only, words in wishes:
        how = {"language": language, "cadence": cadence, "text_only": text_only}
        consent = Consent(press.now, "web", words)
        await press.subscribing.ask(
            "a@example.org", filter_=parse("topic=visas"), **how, consent=consent, now=press.now
        )
        await press.send()
        if words == "WORDS":
            await press.subscribing.confirm(press.mail.sent[0].confirm_token, press.now)
        press.now += timedelta(hours=2)
    personal = Personal(press.database, site=site, taxonomy=taxonomy, tokens=press.tokens)
    who = await personal.find(ChannelKind.EMAIL, "a@example.org")
    found = (await personal.data(who.id, Texts.load(site.languages)("en"), press.now))["wishes_in_letters"]
    names = ("language", "cadence", "text_only", "is_confirmed")
    told = [(*(one[name] for name in names), one["consent"]["text"], one["filter"]) for one in found]
    assert told == [
        ("en", "daily", False, False, "OTHER WORDS", "topic=visas"),
        ("ru", "weekly", True, True, "WORDS", "topic=visas"),
    ]


async def test_that_a_mailbox_was_asked_is_known_for_a_day_though_nobody_else_signs_up(press, keep):
    how = {"language": "en", "cadence": Cadence.IMMEDIATE, "consent": Consent(press.now, "web", "yes")}
    await press.subscribing.ask("a@example.org", filter_=parse(""), **how, now=press.now)
    for span, left in ((timedelta(hours=23), 1), (timedelta(hours=1), 0)):
        press.now += span
        await keep.run()
        assert await count(press, LETTERBOX) == left
