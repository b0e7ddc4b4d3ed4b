"""What follows a change of a release: announced with the change itself, to nobody who was not told, and said once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from syndicator.domain.filters import parse
from syndicator.domain.letters import Later, Refused, Sent, Unknown
from syndicator.domain.model import Attachment, Cadence, ChannelKind, MessageKind, State, SubscriptionState, Urgency
from syndicator.pipeline import corrections
from syndicator.store import subscriptions
from tests.pipeline.chats import Chats
from tests.pipeline.conftest import Press

MINUTE = timedelta(minutes=1)
PICTURE = Attachment(url="https://example.org/a.jpg", media_type="image/jpeg", alt="A queue")


@pytest.fixture
def press(sqlite_database, site, taxonomy, now):
    return Press(sqlite_database, site, taxonomy, now)


@pytest.fixture
def reader(press):
    async def add(address, *, lang="en", channel=ChannelKind.TELEGRAM):
        async with press.database.writing() as session:
            who = await subscriptions.ensure(
                session, channel, address, language=lang, timezone="Asia/Baku", now=press.now
            )
            await subscriptions.subscribe(
                session,
                who.id,
                parse(""),
                cadence=Cadence.IMMEDIATE,
                state=SubscriptionState.ACTIVE,
                consent=None,
                now=press.now,
            )
        return who

    return add


async def withdraw(press, reason="wrong"):
    press.now += MINUTE
    async with press.database.writing() as session:
        await corrections.withdraw(session, 1, reason, press.now)
    await press.spread()


async def follow(press, *changes):
    """A pass over the source a minute later; the keys of messages that had not been there."""
    before = {row["message"] for row in await press.rows()}
    press.now += MINUTE
    await press.harvest(*changes)
    await press.spread()
    return sorted({row["message"] for row in await press.rows()} - before)


CHANGES = {
    "nothing": ({}, []),
    "a note": ({"note": "The fee is 20."}, ["correction:1:1"]),
    "a text with a note": ({"title": "Better", "note": "The fee is 20."}, ["correction:1:1"]),
    "a title": ({"title": "Better"}, ["edit:1:2"]),
    "a body": ({"body": "Better."}, ["edit:1:2"]),
    "a topic": ({"topics": ("visas", "office")}, ["edit:1:2"]),
    "its urgency": ({"urgency": Urgency.URGENT}, ["edit:1:2"]),
    "its kind, which no copy shows": ({"kind": "notice"}, []),
    "a picture": ({"attachments": (PICTURE,)}, ["edit:1:2"]),
    "its link": ({"link": "https://example.org/more"}, ["edit:1:2"]),
    "its state": ({"state": State.WITHDRAWN, "reason": "An error"}, ["withdrawal:1:0"]),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_each_change_of_what_readers_see_has_its_message(press, reader, name):
    values, expected = CHANGES[name]
    await reader("7")
    first = press.change(topics=("visas",))
    await press.publish(first)
    assert await follow(press, replace(first, **values, fingerprint="2")) == expected


@pytest.mark.parametrize("how", ["draft", "embargoed", "too old", "on its way to nobody yet"])
async def test_what_was_told_to_nobody_is_followed_by_nothing(press, reader, how):
    await reader("7")
    values = {
        "draft": {"state": State.DRAFT},
        "embargoed": {"embargo": press.now + 60 * MINUTE},
        "too old": {"published": press.now - timedelta(days=9)},
        "on its way to nobody yet": {},
    }[how]
    first = press.change(**values)
    if how == "on its way to nobody yet":
        await press.harvest(first)
        assert await follow(press, replace(first, title="B", note="!", fingerprint="2")) == ["release:1:0"]
        return
    await press.publish(first)
    assert await follow(press, replace(first, title="B", note="!", fingerprint="2")) == []
    await withdraw(press)
    assert await press.rows() == []


async def test_a_correction_that_also_changes_topics_lets_the_other_languages_follow_silently(press, reader):
    await reader("7")
    await reader("8", lang="az")
    english, other = press.change(topics=("visas",)), press.change(lang="az", topics=("visas",))
    await press.publish(english, other)
    changed = replace(english, title="B", note="!", topics=("office",), fingerprint="2")
    assert await follow(press, changed, other) == ["correction:1:1", "edit:1:3"]
    told = {(row["address"], row["message"]) for row in await press.rows()}
    assert told >= {("7", "correction:1:1"), ("8", "edit:1:3")}
    assert not told & {("8", "correction:1:1"), ("7", "edit:1:3")}


async def test_a_new_language_changes_no_copy(press, reader):
    await reader("7")
    english = press.change()
    await press.publish(english)
    assert await follow(press, english, press.change(lang="az")) == []


async def test_mail_that_has_no_words_for_it_yet_gets_no_row(press, reader):
    await reader("a@x.az", channel=ChannelKind.EMAIL)
    first = press.change()
    await press.publish(first)
    await follow(press, replace(first, title="B", note="!", fingerprint="2"))
    await withdraw(press)
    assert [row["message"] for row in await press.rows()] == ["release:1:0"]
    press.mail.tells |= set(MessageKind) - {MessageKind.EDIT}
    again = replace(first, title="C", note="Back", fingerprint="3")
    assert await follow(press, again) == ["correction:1:2"]


async def test_what_was_held_back_by_a_withdrawal_goes_out_when_it_has_come_back(press, reader):
    await reader("7")
    first = press.change()
    await press.harvest(first)
    await press.spread()
    await withdraw(press)
    await press.send()
    assert await press.states() == {"7": "suppressed"}
    await reader("8")
    await press.publish(replace(first, note="Right now", fingerprint="2"))
    await press.send()
    assert [(letter.address, letter.kind) for letter in press.telegram.sent] == [("7", MessageKind.RELEASE)], (
        "and nobody gets the past"
    )


async def test_a_letter_says_what_its_reader_has_and_was_not_told_of(press, reader):
    await reader("7")
    first = press.change()
    await press.publish(first)
    two = replace(first, title="B", note="Two.", fingerprint="2")
    await follow(press, two)
    await follow(press, replace(first, title="C", note="Three.", fingerprint="3"))
    await press.send()
    (release, notice) = press.telegram.sent
    assert (notice.message, notice.notes) == ("correction:1:2", ("Two.", "Three."))
    assert [(one.delivery, one.kind, one.is_known) for one in notice.earlier] == [
        (release.delivery, MessageKind.RELEASE, True)
    ]
    assert notice.earlier[0].answer["revision"] == 1
    assert (notice.hushed, notice.written) == (False, "7")
    await withdraw(press)
    await press.send()
    gone = press.telegram.sent[-1]
    assert (gone.kind, gone.notes) == (MessageKind.WITHDRAWAL, ())
    assert [one.kind for one in gone.earlier] == [MessageKind.RELEASE, MessageKind.CORRECTION]


async def test_of_what_may_not_have_arrived_every_note_is_told(press, reader):
    await reader("7")
    first = press.change()
    press.telegram.answers["7"] = Unknown("dropped")
    await press.publish(first)
    press.telegram.answers.clear()
    await follow(press, replace(first, title="B", note="Two.", fingerprint="2"))
    press.telegram.answers["7"] = Unknown("dropped")
    await press.send()
    press.telegram.answers.clear()
    await follow(press, replace(first, title="C", note="Three.", fingerprint="3"))
    await press.send()
    last = press.telegram.sent[-1]
    assert last.notes == ("Two.", "Three.")
    assert [one.is_known for one in last.earlier] == [False, False]


async def test_who_read_the_beginning_of_the_old_text_is_told_though_the_rest_was_new(press, reader):
    await reader("7")
    first = press.change()
    press.telegram.answers["7"] = Later("busy", answer={"messages": [1], "revision": 1, "lang": "en"})
    await press.publish(first)
    await follow(press, replace(first, title="B", note="Two.", fingerprint="2"))
    press.telegram.answers["7"] = Sent({"messages": [1, 2], "revision": 2, "lang": "en"})
    for _ in range(4):
        press.now += 2 * MINUTE
        await press.send()
    assert [(letter.kind, letter.notes) for letter in press.telegram.sent] == [
        (MessageKind.RELEASE, ()),
        (MessageKind.RELEASE, ()),
        (MessageKind.CORRECTION, ("Two.",)),
    ]


HALF_DONE = {"chat": 7, "messages": [1], "seals": ["x"], "revision": 2, "lang": "en"}


@pytest.mark.parametrize("met", [Later("429", counts=False, answer=HALF_DONE), Refused("no replies here", HALF_DONE)])
async def test_a_note_whose_word_was_not_said_is_told_with_the_next_one(press, reader, met):
    await reader("7")
    first = press.change()
    await press.publish(first)
    press.telegram.answers["7"] = met
    await follow(press, replace(first, title="B", note="Two.", fingerprint="2"))
    await press.send()
    press.telegram.answers.clear()
    await follow(press, replace(first, title="C", note="Three.", fingerprint="3"))
    for _ in range(4):
        press.now += 2 * MINUTE
        await press.send()
    assert press.telegram.sent[-1].notes == ("Two.", "Three.")
    await follow(press, replace(first, title="D", note="Four.", fingerprint="4"))
    await press.send()
    assert press.telegram.sent[-1].notes == ("Four.",)


async def test_a_text_that_was_new_when_it_was_sent_is_corrected_for_nobody(press, reader):
    await reader("7")
    first = press.change()
    await press.harvest(first)
    await press.spread()
    await follow(press, replace(first, title="B", note="Two.", fingerprint="2"))
    await press.send()
    assert [(letter.kind, letter.notes) for letter in press.telegram.sent] == [(MessageKind.RELEASE, ())]


async def test_what_comes_back_after_the_clock_was_set_back_is_there_again(
    sqlite_database, site, taxonomy, now, reader
):
    press = Press(sqlite_database, site, taxonomy, now, telegram=Chats())
    await reader("7")
    first = press.change(title="A")
    await press.harvest(first)
    await press.spread()
    press.now += 60 * MINUTE
    await press.send()
    press.now -= 30 * MINUTE
    await withdraw(press)
    await press.send()
    press.now += MINUTE
    await press.publish(replace(first, note="Right now", fingerprint="2"))
    chat = press.telegram.chats["7"]
    assert list(chat.posts.values()) == ["A"]


async def test_a_chat_that_follows_by_itself(sqlite_database, site, taxonomy, now, reader):
    """The whole road once, with a channel that keeps chats as readers see them."""
    press = Press(sqlite_database, site, taxonomy, now, telegram=Chats())
    await reader("7")
    first = press.change(title="A")
    await press.publish(first)
    chat = press.telegram.chats["7"]
    for number, (title, note) in enumerate([("B", "Was wrong."), ("C", "")], 2):
        press.now += MINUTE
        await press.publish(replace(first, title=title, note=note, fingerprint=str(number)))
    assert (list(chat.posts.values()), chat.said) == (["C"], ["Was wrong."])
    await withdraw(press)
    await press.send()
    assert (list(chat.posts.values()), chat.said) == ([], ["Was wrong.", "withdrawn"])
