"""Digests by mail: on each reader's own clock, one mail for all they asked for, each release once, whatever happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.settings import DigestSettings
from syndicator.domain.letters import Later, Unknown
from syndicator.domain.model import Cadence, MessageKind, State, Urgency
from syndicator.pipeline.digests import GRACE, Digests
from syndicator.store import subscriptions
from syndicator.store.moving import relocate
from tests.pipeline.conftest import Press
from tests.pipeline.mails import BY_MAIL, MailReader, withdraw
from tests.pipeline.readers import DAY, EIGHT, HOUR, Reader, at, publish, work

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def mailing(press):
    """On both databases, for what is decided in them."""
    press.mail.tells |= BY_MAIL
    return press


@pytest.fixture
def light(sqlite_database, site, taxonomy, now):
    """On SQLite: what comes before and after."""
    press = Press(sqlite_database, site, taxonomy, now)
    press.mail.tells |= BY_MAIL
    return press


@pytest.fixture
def room(mailing):
    return Digests(mailing.database, DigestSettings(), clock=lambda: mailing.now, wake=mailing.wake)


async def test_one_mail_a_person_over_all_they_asked_for_with_each_release_once(mailing, room):
    reader = MailReader(mailing, "a@example.org")
    for filter_ in ("topic=visas", "topic=refugees", "kind=news"):
        await reader.wants("daily", filter_)
    await reader.wants("weekly", "topic=office")
    await publish(mailing, "both", topics=("visas", "refugees"))
    await publish(mailing, "desk", topics=("office",), kind="notice")
    await publish(mailing, "none", topics=(), kind="notice")
    await at(mailing, EIGHT + GRACE, room)
    await at(mailing, EIGHT + DAY + GRACE, room)  # Monday
    assert reader.got == ["digest both", "digest desk"]


async def test_a_digest_has_the_current_text_says_what_was_corrected_and_drops_what_was_withdrawn(mailing, room):
    reader = MailReader(mailing, "a@example.org")
    await reader.wants("daily")
    fees, visas, gone = (mailing.change(key) for key in ("fees", "visas", "gone"))
    await mailing.publish(fees, visas, gone)
    mailing.now += HOUR
    await mailing.publish(replace(fees, title="Fees, corrected", note="It is 20.", fingerprint="2"))
    await withdraw(mailing, 3)
    await at(mailing, EIGHT + GRACE, room)
    [letter] = reader.letters
    told = [item.release.variant(item.lang).revision for item in letter.items]
    assert [(one.title, one.note, one.major) for one in told] == [
        ("Fees, corrected", "It is 20.", 1),
        ("Title of visas in en", "", 0),
    ]


async def test_nothing_new_is_no_mail_and_everything_withdrawn_is_none_either(light):
    room = Digests(light.database, DigestSettings(), clock=lambda: light.now, wake=light.wake)
    reader = MailReader(light, "a@example.org")
    await reader.wants("daily")
    await at(light, EIGHT + GRACE, room)
    await publish(light, "fees")
    await withdraw(light)
    await at(light, EIGHT + DAY + GRACE, room)
    assert reader.letters == []


@pytest.mark.parametrize(("day", "offset"), [("2026-03-29", 2), ("2026-10-25", 1)])
async def test_where_the_clocks_change_the_hour_is_the_readers_and_nothing_falls_between(light, day, offset):
    """The day in Berlin has 23 hours in March and 25 in October; eight o'clock is eight o'clock."""
    room = Digests(light.database, DigestSettings(), clock=lambda: light.now, wake=light.wake)
    midnight = datetime.fromisoformat(day) - DAY

    def local(days, hour, minute=0):
        """That time on the readers' own clock, whatever the clock did in between."""
        when = midnight + timedelta(days=days, hours=hour, minutes=minute)
        return when.replace(tzinfo=BERLIN).astimezone(UTC)

    light.now = local(0, 0)
    reader = MailReader(light, "a@example.org", zone="Europe/Berlin")
    await reader.wants("daily")
    sent = []
    for days in range(3):
        for hour, minute in [(7, 59), (8, 0), (8, 2)]:
            await at(light, local(days, hour, minute), room)
            sent += [light.now.astimezone(BERLIN)] * (len(reader.letters) - len(sent))
            await publish(light, f"{days} {hour}:{minute}")
    assert [(when.day - int(day[-2:]), when.hour, when.minute) for when in sent] == [(-1, 8, 2), (0, 8, 2), (1, 8, 2)]
    assert sent[1].utcoffset() == offset * HOUR
    assert [[item.release.key for item in one.items] for one in reader.letters] == [
        ["0 7:59"],
        ["0 8:0", "0 8:2", "1 7:59"],  # half-open: what came out at eight is in the next one
        ["1 8:0", "1 8:2", "2 7:59"],
    ]


@pytest.mark.parametrize("answer", [Later("450 4.2.1 later"), Later("421 slow", counts=False)])
async def test_a_digest_that_was_put_off_expires_when_the_next_one_is_written_and_goes_along(mailing, room, answer):
    reader, other = MailReader(mailing, "a@example.org"), MailReader(mailing, "b@example.org")
    await reader.wants("daily")
    await other.wants("daily")
    mailing.mail.answers[reader.address] = answer
    await publish(mailing, "fees")
    await at(mailing, EIGHT + GRACE, room)
    await publish(mailing, "visas")
    mailing.mail.answers.clear()
    mailing.mail.answers[reader.address] = replace(answer, not_before=EIGHT + 2 * DAY)
    await at(mailing, EIGHT + HOUR, room)
    mailing.mail.answers.clear()
    await at(mailing, EIGHT + DAY + GRACE, room)
    await at(mailing, EIGHT + 2 * DAY + HOUR, room)
    assert [reader.got[0], reader.got[-1]] == ["digest fees", "digest fees+visas"]
    assert len(reader.got) == 3
    assert other.got == ["digest fees", "digest visas"]
    rows = {(row["state"], row["reason"]) for row in await mailing.rows() if row["address"] == reader.address}
    assert rows == {("suppressed", "told with the next digest"), ("sent", "")}


async def test_a_mailbox_that_never_takes_anything_is_given_up_and_not_carried_for_ever(light):
    room = Digests(light.database, DigestSettings(), clock=lambda: light.now, wake=light.wake)
    reader = MailReader(light, "a@example.org")
    await reader.wants("daily")
    light.mail.answers[reader.address] = Later("450 4.2.1 later")
    for day in range(4):
        await publish(light, f"r{day}")
        for hour in (0, 3, 9):
            await at(light, EIGHT + day * DAY + hour * HOUR + GRACE, room)
    states = Counter(row["state"] for row in await light.rows())
    assert states["failed"] >= 1
    assert max(len(one.items) for one in reader.letters) <= 2


async def test_after_days_without_a_relay_a_reader_gets_one_digest(mailing, room):
    reader = MailReader(mailing, "a@example.org")
    await reader.wants("daily")
    mailing.mail.closed_until = EIGHT + 4 * DAY
    for day in range(4):
        await publish(mailing, f"r{day}")
        await at(mailing, EIGHT + day * DAY + GRACE, room)
    await at(mailing, EIGHT + 4 * DAY + HOUR, room)
    assert reader.got == ["digest r0+r1+r2+r3"]


async def test_a_digest_of_which_nobody_can_tell_is_sent_again_by_itself(light):
    room = Digests(light.database, DigestSettings(), clock=lambda: light.now, wake=light.wake)
    reader = MailReader(light, "a@example.org")
    await reader.wants("daily")
    light.mail.answers[reader.address] = Unknown("dropped", {"message_id": "<1>"})
    await publish(light, "fees")
    await at(light, EIGHT + GRACE, room)
    light.mail.answers.clear()
    await publish(light, "visas")
    await at(light, EIGHT + DAY + GRACE, room)
    assert sorted(reader.got) == ["digest fees", "digest fees", "digest visas"]


@pytest.mark.parametrize("change", ["address", "cadence", "zone"])
async def test_who_changes_something_between_two_digests_misses_nothing_and_gets_nothing_twice(mailing, room, change):
    reader = MailReader(mailing, "a@example.org")
    await reader.wants("daily")
    await publish(mailing, "fees")
    await at(mailing, EIGHT + GRACE, room)
    await publish(mailing, "visas")
    async with mailing.database.writing() as session:
        if change == "address":
            await relocate(session, reader.id, "b@example.org", mailing.now)
        elif change == "zone":
            await subscriptions.set_reading(session, reader.id, timezone="Europe/Berlin")
    if change == "cadence":
        await reader.wants("weekly")
    await at(mailing, EIGHT + DAY + GRACE + 3 * HOUR, room)
    await publish(mailing, "late")
    await at(mailing, EIGHT + 9 * DAY, room)
    told = Counter(item.release.key for one in reader.letters for item in one.items)
    assert told == {"fees": 1, "visas": 1, "late": 1}
    assert {one.address for one in reader.letters[1:]} == {"b@example.org" if change == "address" else "a@example.org"}


steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 50)),
        st.tuples(st.just("jump"), st.integers(-100, 100)),
        st.just(("publish", 0)),
        st.just(("restart", 0)),
        st.just(("busy", 0)),
    ),
    min_size=3,
    max_size=12,
)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
async def test_each_release_arrives_once_whatever_clock_process_and_relay_do(fresh, steps):
    press = fresh()
    press.mail.tells |= BY_MAIL
    room = Digests(press.database, DigestSettings(), clock=lambda: press.now, wake=press.wake)
    readers = [MailReader(press, f"{zone[0]}@example.org", zone=zone) for zone in ("Asia/Baku", "Europe/Berlin")]
    begun = press.now
    press.now -= timedelta(days=60)  # nobody signs up after what a clock that stood wrong says
    await readers[0].wants("daily")
    await readers[1].wants("weekly")
    press.now = begun
    published, latest = [], begun
    for what, much in steps:
        press.mail.answers = {one.address: Later("busy", counts=False) for one in readers} if what == "busy" else {}
        if what in ("wait", "jump"):
            press.now = max(press.now + much * HOUR, begun)
        elif what == "publish":
            published.append(f"release-{len(published)}")
            await publish(press, published[-1])
        elif what == "restart":
            room = Digests(press.database, DigestSettings(), clock=lambda: press.now, wake=press.wake)
        latest = max(latest, press.now)
        await work(press, room)
    press.mail.answers = {}
    for days in (1, 9, 10):
        await at(press, latest + days * DAY + HOUR, room)
    for reader in readers:
        sent = [one for one in reader.letters if await arrived(press, one)]
        told = Counter(item.release.key for one in sent for item in one.items)
        assert told == Counter(published)


async def arrived(press, letter):
    """Whether that letter is the one that its row says was sent: the last try."""
    rows = {row["id"]: row["state"] for row in await press.rows()}
    last = [one for one in press.mail.sent if one.delivery == letter.delivery][-1]
    return rows[letter.delivery] == "sent" and last is letter


async def test_a_draft_is_in_no_digest(light):
    room = Digests(light.database, DigestSettings(), clock=lambda: light.now, wake=light.wake)
    reader = MailReader(light, "a@example.org")
    await reader.wants("daily")
    await publish(light, "draft", state=State.DRAFT)
    await publish(light, "fees")
    await at(light, EIGHT + GRACE, room)
    assert (reader.got, reader.letters[0].kind) == (["digest fees"], MessageKind.DIGEST)


async def test_what_is_urgent_comes_at_once_to_who_reads_digests_too_and_in_no_digest(mailing, room):
    daily, chat = MailReader(mailing, "a@example.org"), Reader(mailing, 7)
    await daily.wants("daily", "topic=visas")
    await daily.wants("weekly", "kind=news")
    await chat.choose(Cadence.WEEKLY)
    await publish(mailing, "strike", urgency=Urgency.URGENT, topics=("visas",))
    await publish(mailing, "fees", topics=("visas",))
    assert (daily.got, chat.got) == (["release"], ["strike"])
    await at(mailing, EIGHT + GRACE, room)
    await at(mailing, EIGHT + DAY + GRACE, room)
    assert (daily.got, chat.got) == (["release", "digest fees"], ["strike", "fees"])


@pytest.mark.parametrize("withdrawn", [False, True])
async def test_what_becomes_urgent_after_a_digest_has_told_it_is_sent_no_second_time(mailing, room, withdrawn):
    daily, leaver = MailReader(mailing, "a@example.org"), MailReader(mailing, "b@example.org")
    await daily.wants("daily")
    await leaver.wants("daily")
    fees = mailing.change("fees", fingerprint="1")
    await mailing.publish(fees)
    await at(mailing, EIGHT + GRACE, room)
    await leaver.wants("immediate", "topic=visas")
    mailing.now += HOUR
    followed = []
    if withdrawn:
        await withdraw(mailing)
        followed = ["withdrawal", "correction"]
    mailing.now += HOUR
    await mailing.publish(replace(fees, urgency=Urgency.URGENT, note="It is back." * withdrawn, fingerprint="2"))
    await mailing.publish(replace(mailing.change("fees", lang="az"), urgency=Urgency.URGENT, topics=("visas",)))
    await at(mailing, EIGHT + DAY + GRACE, room)
    assert (daily.got, leaver.got) == (["digest fees", *followed], ["digest fees", *followed])
