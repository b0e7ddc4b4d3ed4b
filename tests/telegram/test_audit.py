"""The audit chat: does a post of unknown outcome stand in its channel?"""

from __future__ import annotations

from datetime import timedelta

import pytest

from bots.telegram.audit import AGAIN, FARTHEST, FORWARDS, ChannelAudit, NotNow
from bots.telegram.limits import Pacer
from bots.telegram.numbers import DatabaseNumbers, Taken
from bots.telegram.pace import Pace
from bots.telegram.parts import Part
from bots.telegram.traces import Trace
from syndicator.domain.model import Attachment
from syndicator.domain.places import Place
from syndicator.store import migrate
from syndicator.store.database import Database

CHANNEL, AUDIT = -1001, -1009
PRESS = Place("@press")
PART = Part(
    "<b>Visas get cheaper</b>\n\nFrom Monday.", "Visas get cheaper\n\nFrom Monday.", link="Read: https://x.org/1"
)
TRACE = Trace.of(PART)


class MemoryNumbers:
    """Keeps numbers in a dict; `broken` says the database is away, `ledger` what it has about any chat."""

    def __init__(self):
        self.kept, self.notes, self.broken, self.ledger = {}, 0, False, Taken()

    async def taken(self, chat, since=None):
        return self.ledger

    async def newest(self, chat):
        if self.broken:
            raise OSError("no database")
        return self.kept.get(chat)

    async def note(self, chat, number):
        self.notes += 1
        if self.broken:
            raise OSError("no database")
        self.kept[chat] = max(number, self.kept.get(chat, 0))


@pytest.fixture
def numbers():
    return MemoryNumbers()


@pytest.fixture
def office(double, line, numbers, pauses, time):
    """A channel with one post of ours, and an audit over it."""
    double.channel("@press", CHANNEL)
    double.channel("@audit", AUDIT)
    bot = line()
    pace = Pace(Pacer(1000), pauses, sleep=time.sleep)

    def made(where=str(AUDIT)):
        return ChannelAudit(bot, where, numbers=numbers, pace=pace, monotonic=time.monotonic, sleep=time.sleep)

    made.bot = bot
    return made


async def post(office, text="Visas get cheaper\n\nFrom Monday.", **values):
    return (await office.bot.send_message("@press", text, **values)).message_id


@pytest.mark.parametrize("others", [0, 1, 4])
@pytest.mark.parametrize("as_sent", [{"parse_mode": "HTML"}, {}])
async def test_a_post_that_stands_is_found_behind_other_peoples_posts(double, office, now, others, as_sent):
    audit = office()
    await audit.noted(PRESS, await post(office, "An earlier one"))
    for _ in range(others):
        double.post("@press", "Somebody else's")
    number = await post(office, PART.html if as_sent else f"{PART.plain}\n\n{PART.link}", **as_sent)
    assert await audit.found(PRESS, TRACE, now) == number
    assert double.seen(AUDIT) == [], "no copy stays"
    assert len(double.seen(CHANNEL)) == 2, "the channel is as it was"


async def test_copies_come_into_the_audit_chat_without_a_sound(double, office, now):
    audit = office()
    await audit.noted(PRESS, await post(office, "An earlier one"))
    await post(office)
    await audit.found(PRESS, TRACE, now)
    assert [given["disable_notification"] for method, given in double.calls if method == "forwardMessage"] == [True]


@pytest.mark.parametrize("between", [0, 3])
async def test_a_post_that_does_not_stand_is_not_found(double, office, now, between):
    audit = office()
    await audit.noted(PRESS, await post(office, "An earlier one"))
    for _ in range(between):
        double.post("@press", "Somebody else's")
    assert await audit.found(PRESS, TRACE, now) is None


async def test_a_post_that_arrives_only_now_is_found_at_the_second_look(double, office, now, time, monkeypatch):
    audit = office()
    await audit.noted(PRESS, await post(office, "An earlier one"))
    arrived = []

    async def meanwhile(seconds):
        if seconds == AGAIN:
            arrived.append(await post(office))
        time.now += seconds

    monkeypatch.setattr(audit, "_sleep", meanwhile)
    assert await audit.found(PRESS, TRACE, now) == arrived[0]


async def test_deleted_posts_leave_gaps_that_are_stepped_over(office, now):
    audit = office()
    await audit.noted(PRESS, await post(office, "An earlier one"))
    for _ in range(2):
        await office.bot.delete_message("@press", await post(office, "A mistake"))
    number = await post(office)
    assert await audit.found(PRESS, TRACE, now) == number


async def test_a_picture_is_not_taken_for_a_text_of_the_same_words(office, now):
    audit = office()
    await audit.noted(PRESS, await post(office, "An earlier one"))
    await post(office)
    with_photo = Part(PART.html, PART.plain, photo=Attachment("/media/a.jpg", "image/jpeg"))
    assert await audit.found(PRESS, Trace.of(with_photo), now) is None


async def test_our_own_later_post_of_the_same_words_is_not_found_twice(office, now):
    audit = office()
    await audit.noted(PRESS, await post(office, "An earlier one"))
    await post(office)
    assert await audit.found(PRESS, TRACE, now) is not None
    assert await audit.found(PRESS, TRACE, now + timedelta(minutes=2)) is None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "refuse", "code": 403, "text": "Forbidden: bot was kicked from the channel chat"}, "audit_chat"),
        ({"kind": "refuse", "code": 400, "text": "Bad Request: chat not found"}, "audit_chat"),
    ],
)
async def test_where_it_cannot_look_it_says_so(double, office, now, fault, said):
    audit = office()
    await audit.noted(PRESS, await post(office, "An earlier one"))
    double.fault(fault.pop("kind"), method="forwardMessage", **fault)
    with pytest.raises(OSError, match=said) as raised:
        await audit.found(PRESS, TRACE, now)
    assert not isinstance(raised.value, NotNow)


@pytest.mark.parametrize(
    ("fault", "wait"),
    [({"kind": "flood", "retry_after": 40}, 40), ({"kind": "drop_before"}, 60), ({"kind": "502"}, 60)],
)
async def test_where_it_has_to_wait_it_says_until_when(double, office, now, fault, wait):
    audit = office()
    await audit.noted(PRESS, await post(office, "An earlier one"))
    number = await post(office)
    double.fault(fault.pop("kind"), method="forwardMessage", **fault)
    with pytest.raises(NotNow) as raised:
        await audit.found(PRESS, TRACE, now)
    assert raised.value.until >= now + timedelta(seconds=wait)
    assert await audit.found(PRESS, TRACE, now + timedelta(minutes=2)) == number


async def test_too_many_strangers_posts_are_no_answer_now_and_the_next_look_goes_on_behind_them(double, office, now):
    audit = office()
    await audit.noted(PRESS, await post(office, "An earlier one"))
    for _ in range(FORWARDS):
        double.post("@press", "Somebody else's")
    number = await post(office)
    with pytest.raises(NotNow, match="12 posts"):
        await audit.found(PRESS, TRACE, now)
    assert await audit.found(PRESS, TRACE, now + timedelta(minutes=2)) == number


async def test_a_post_that_was_noted_before_a_crash_forgot_it_is_found_behind_what_the_ledger_has(office, numbers, now):
    first, forgotten = await post(office, "An earlier one"), await post(office)
    await office().noted(PRESS, forgotten)
    numbers.ledger = Taken(frozenset([first]), first)
    assert await office().found(PRESS, TRACE, now, now) == forgotten
    numbers.ledger, later = Taken(), now + timedelta(minutes=2)
    assert await office().found(PRESS, TRACE, later, now) == forgotten, "the first post of all, too"


async def test_a_number_that_the_ledger_has_is_not_taken_for_another_post(office, numbers, now):
    first, others = await post(office, "An earlier one"), await post(office)
    numbers.ledger = Taken(frozenset([first, others]), first)
    assert await office().found(PRESS, TRACE, now, now) is None
    number = await post(office)
    assert await office().found(PRESS, TRACE, now + timedelta(minutes=2), now) == number


async def test_among_topics_of_one_chat_nobody_can_tell_whose_post_it_is_but_that_none_stands(office, numbers, now):
    first = await post(office, "An earlier one")
    numbers.ledger = Taken(frozenset([first]), first, places=2)
    assert await office().found(PRESS, TRACE, now, now) is None
    await post(office)
    with pytest.raises(OSError, match="several topics") as raised:
        await office().found(PRESS, TRACE, now + timedelta(minutes=2), now)
    assert not isinstance(raised.value, NotNow)


async def test_what_was_accepted_for_that_very_topic_and_not_settled_is_its_own(office, numbers, now):
    audit, first = office(), await post(office, "An earlier one")
    numbers.ledger = Taken(frozenset([first]), first, places=2)
    number = await post(office)
    await audit.noted(Place("@press", 5), number)
    assert await audit.found(Place("@press", 6), TRACE, now, now) is None
    assert await audit.found(Place("@press", 5), TRACE, now + timedelta(minutes=2), now) == number


async def test_a_part_is_found_before_later_ones_that_are_known(office, now):
    audit = office()
    first = await post(office, "An earlier one")
    await audit.noted(PRESS, first)
    number = await post(office)
    await audit.noted(PRESS, await post(office, "The part behind it"))
    assert await audit.found(PRESS, Trace.of(PART, first), now) == number


async def test_a_crowded_chat_is_given_up(double, office, now):
    audit = office()
    await audit.noted(PRESS, await post(office, "An earlier one"))
    for _ in range(FARTHEST):
        double.post("@press", "Somebody else's")
    for minute in range(FARTHEST // FORWARDS - 1):
        with pytest.raises(NotNow):
            await audit.found(PRESS, Trace.of(PART, 1), now + timedelta(minutes=2 * minute))
    with pytest.raises(OSError, match="60 posts") as raised:
        await audit.found(PRESS, Trace.of(PART, 1), now + timedelta(hours=1))
    assert not isinstance(raised.value, NotNow)


async def test_without_a_post_of_ours_nobody_can_tell(office, now):
    with pytest.raises(OSError, match="no post of ours"):
        await office().found(PRESS, TRACE, now)


async def test_the_newest_number_is_kept_once_a_message_and_outlives_a_restart(office, numbers, now):
    audit = office()
    first = await post(office, "An earlier one")
    for _ in range(3):
        await audit.noted(PRESS, first)
    assert (numbers.kept, numbers.notes) == ({"@press": first}, 1)
    number = await post(office)
    assert await office().found(PRESS, TRACE, now) == number


async def test_a_number_that_cannot_be_kept_stops_nothing(office, numbers, now):
    audit = office()
    numbers.broken = True
    await audit.noted(PRESS, await post(office, "An earlier one"))
    await post(office)
    assert await audit.found(PRESS, TRACE, now) is not None


async def test_looking_keeps_the_audit_chats_pace(office, double, now, time):
    audit = office()
    await audit.noted(PRESS, await post(office, "An earlier one"))
    double.post("@press", "Somebody else's")
    await post(office)
    await audit.found(PRESS, TRACE, now)
    assert time.now >= 2, "two forwards and a deletion are a second apart each"


async def test_the_database_keeps_the_newest_number_and_never_an_older_one(tmp_path, now):
    url = f"sqlite:///{tmp_path}/numbers.db"
    await migrate.upgrade(url)
    database = Database(url)
    numbers = DatabaseNumbers(database, 4242, lambda: now)
    assert await numbers.newest("-1001") is None
    for number in (7, 9, 8):
        await numbers.note("-1001", number)
    assert await numbers.newest("-1001") == 9
    assert await DatabaseNumbers(database, 1, lambda: now).newest("-1001") is None, "another bot has other numbers"
    await database.close()
