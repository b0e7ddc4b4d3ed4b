"""What follows a release by mail: to exactly those who were sent the old text, in order, saying what is new to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from config.settings import DigestSettings
from syndicator.domain.bounces import Bounce, BounceKind
from syndicator.domain.letters import Gone, Later, Refused, Unknown
from syndicator.domain.model import MessageKind
from syndicator.pipeline.digests import GRACE, Digests
from syndicator.pipeline.returning import Consequences
from syndicator.store import subscriptions
from syndicator.store.moving import relocate
from syndicator.store.tables import DELIVERY
from tests.pipeline.mails import BY_MAIL, MailReader, withdraw
from tests.pipeline.readers import DAY, EIGHT, at

MINUTE = timedelta(minutes=1)


@pytest.fixture
def mailing(press):
    press.mail.tells |= BY_MAIL
    return press


@pytest.fixture
def room(mailing):
    return Digests(mailing.database, DigestSettings(), clock=lambda: mailing.now, wake=mailing.wake)


async def publish(press, change):
    await press.harvest(change)
    await press.spread()
    press.now += 2 * MINUTE  # languages have settled
    await press.spread()
    await press.send()


async def correct(press, change, number, note):
    """A major correction; what waited for two minutes goes out too."""
    press.now += 3 * MINUTE
    await press.harvest(replace(change, title=f"Title {number}", note=note, fingerprint=str(number)))
    await press.spread()
    for _ in range(3):
        await press.send()
        press.now += 3 * MINUTE


async def _nothing(press, reader):
    pass


async def _leaves(press, reader):
    async with press.database.writing() as session:
        await subscriptions.end_all(session, reader.id, "unsubscribed", press.now)


async def _leaves_one_of_two(press, reader):
    await reader.wants(filter_="topic=visas")
    async with press.database.writing() as session:
        [first, _] = await subscriptions.of(session, reader.id)
        await subscriptions.end(session, first.id, "unsubscribed", press.now)


async def _rests(press, reader):
    async with press.database.writing() as session:
        await subscriptions.rest(session, reader.id, None)


async def _goes_weekly(press, reader):
    await reader.wants("weekly")


async def _bounces(press, reader, kind=BounceKind.POLICY):
    delivery = await reader.delivery()
    async with press.database.writing() as session:
        await Consequences(press.tokens).of_reply(session, delivery, Bounce(kind, "5.7.1", "no"), press.now)


async def _bounces_for_good(press, reader):
    await _bounces(press, reader, BounceKind.HARD)


async def _complains(press, reader):
    await _bounces(press, reader, BounceKind.COMPLAINT)


async def _moves(press, reader):
    async with press.database.writing() as session:
        await relocate(session, reader.id, "elsewhere@example.org", press.now)


async def _moves_to_a_reader(press, reader):
    other = MailReader(press, "elsewhere@example.org")
    await other.wants(filter_="kind=news")
    await _moves(press, reader)


TOLD = ["release", "correction", "withdrawal"]
MET = {
    "stays": (None, _nothing, TOLD),
    "nobody can tell": (
        Unknown("dropped", {"message_id": "<1>"}),
        _nothing,
        ["release", "release", "correction", "withdrawal"],
    ),
    "was refused": (Refused("no"), _nothing, ["release"]),
    "has no mailbox": (Gone("no such user"), _nothing, ["release"]),
    "is tried again": (Later("busy"), _nothing, ["release", "release", "withdrawal"]),  # by then the text was new
    "left": (None, _leaves, ["release"]),
    "left one of two": (None, _leaves_one_of_two, TOLD),
    "rests": (None, _rests, ["release"]),
    "reads weekly now": (None, _goes_weekly, TOLD),
    "a report said that it never arrived": (None, _bounces, ["release"]),
    "a report said that nobody is there": (None, _bounces_for_good, ["release"]),
    "complained": (None, _complains, ["release"]),
    "moved": (None, _moves, TOLD),
    "moved to where a reader was": (None, _moves_to_a_reader, TOLD),
}


@pytest.mark.parametrize("case", MET)
async def test_exactly_those_who_were_sent_the_old_text_are_told(mailing, case):
    answer, meanwhile, expected = MET[case]
    press, reader = mailing, MailReader(mailing, "a@example.org")
    await reader.wants()
    if answer is not None:
        press.mail.answers[reader.address] = answer
    first = press.change()
    await publish(press, first)
    press.mail.answers.clear()
    await meanwhile(press, reader)
    late = MailReader(press, "late@example.org")
    await late.wants()
    await correct(press, first, 2, "Two.")
    await withdraw(press)
    assert reader.got == expected
    assert late.got == []
    if "correction" in expected:
        told = next(one for one in reader.letters if one.kind is MessageKind.CORRECTION)
        assert told.notes == ("Two.",)
        if answer is None:
            assert [one.answer["message_id"] for one in told.earlier] == [f"<{reader.letters[0].delivery}>"]
        assert told.address == ("elsewhere@example.org" if "moved" in case else reader.address)


async def test_the_newest_correction_says_all_that_was_not_told(mailing):
    press, reader = mailing, MailReader(mailing, "a@example.org")
    await reader.wants()
    first = press.change()
    await publish(press, first)
    for number, note in ((2, "Two."), (3, "Three.")):
        press.now += MINUTE
        await press.harvest(replace(first, title=f"Title {number}", note=note, fingerprint=str(number)))
        await press.spread()
    await press.send()
    await correct(press, first, 4, "Four.")
    assert reader.got == ["release", "correction", "correction"]
    [_, two, four] = reader.letters
    assert (two.notes, four.notes) == (("Two.", "Three."), ("Four.",))
    ids = [one.answer["message_id"] for one in four.earlier]
    assert ids == [f"<{one.delivery}>" for one in reader.letters[:2]]  # oldest first


async def test_a_letter_that_was_never_begun_brings_the_new_text_and_nothing_follows(mailing):
    press, reader = mailing, MailReader(mailing, "a@example.org")
    await reader.wants()
    press.mail.closed_until = press.now + timedelta(hours=1)
    first = press.change()
    await publish(press, first)
    await correct(press, first, 2, "Two.")
    press.now += timedelta(hours=2)
    await press.send()
    assert [(one.kind.value, one.release.variant("en").revision.title) for one in reader.letters] == [
        ("release", "Title 2")
    ]


@pytest.mark.parametrize("cadence", ["daily", "weekly"])
async def test_who_read_it_in_a_digest_is_told_under_that_digest(mailing, room, cadence):
    press, reader = mailing, MailReader(mailing, "a@example.org")
    await reader.wants(cadence)
    first, other = press.change("fees"), press.change("visas")
    await publish(press, first)
    await press.publish(first, other)
    await at(press, EIGHT + DAY + GRACE, room)
    digest = reader.letters[0]
    assert [item.release.key for item in digest.items] == ["fees", "visas"]
    await reader.wants("immediate")  # they read at once from now on
    await correct(press, first, 2, "Two.")
    await withdraw(press, 2)
    assert [(one.kind.value, one.release and one.release.number) for one in reader.letters] == [
        ("digest", None),
        ("correction", 1),
        ("withdrawal", 2),
    ]
    for follows in reader.letters[1:]:
        assert [one.answer["message_id"] for one in follows.earlier] == [f"<{digest.delivery}>"]
    assert reader.letters[1].notes == ("Two.",)


async def test_an_answer_of_an_older_version_still_leads_to_its_thread(mailing):
    """What version 0.4 wrote of a mail: the Message-ID and nothing else, or not even that."""
    press, reader, other = mailing, MailReader(mailing, "a@example.org"), MailReader(mailing, "b@example.org")
    await reader.wants()
    await other.wants()
    first = press.change()
    await publish(press, first)
    async with press.database.writing() as session:
        for who, answer in ((reader, {"message_id": "<old@press.example.org>"}), (other, {})):
            mine = update(DELIVERY).where(DELIVERY.c.subscriber_id == who.id)
            await session.execute(mine.values(answer=answer))
    await correct(press, first, 2, "Two.")
    assert [(one.notes, dict(one.earlier[0].answer)) for one in press.mail.sent[-2:]] == [
        (("Two.",), {"message_id": "<old@press.example.org>"}),
        (("Two.",), {}),
    ]


async def test_two_people_who_become_one_hear_of_a_correction_once(mailing):
    press, one, two = mailing, MailReader(mailing, "one@example.org"), MailReader(mailing, "two@example.org")
    await one.wants()
    await two.wants(filter_="kind=news")
    first = press.change()
    await publish(press, first)
    async with press.database.writing() as session:
        await relocate(session, one.id, "two@example.org", press.now)
    await correct(press, first, 2, "Two.")
    assert [(letter.kind.value, letter.address) for letter in press.mail.sent] == [
        ("release", "one@example.org"),
        ("release", "two@example.org"),
        ("correction", "two@example.org"),
    ]


async def test_a_silent_edit_reaches_nobody_by_mail(mailing):
    press, reader = mailing, MailReader(mailing, "a@example.org")
    await reader.wants()
    first = press.change()
    await publish(press, first)
    await correct(press, first, 2, "")
    assert reader.got == ["release"]
