"""What nobody can tell of in the office's own channels: topics, waits, what follows it, what an operator settles."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from bots.telegram.audit import ChannelAudit, NotNow
from bots.telegram.numbers import DatabaseNumbers
from syndicator.domain.letters import Later, Refused, Sent, Unknown
from syndicator.domain.model import MessageKind
from syndicator.store import ledger
from syndicator.store.settled_by_hand import settle_by_hand
from tests.telegram.test_audit import MemoryNumbers
from tests.telegram.test_following import CHANNEL, LONG, NOTE, channel, clocked, corrected, desk, withdrawn, words
from tests.telegram.test_road import opened, texts_in

__all__ = ["channel", "clocked", "desk", "opened"]  # fixtures

FORUM = [{"chat": "@forum", "thread": 5, "language": "en"}, {"chat": "@forum", "thread": 6, "language": "en"}]


@pytest.fixture
def audited(double, line, time):
    """A desk for @news, whose audit chat is real; `blind` says how it ends while it is set."""
    double.channel("@news", -100123)
    double.channel(-1009, -1009, kind="supergroup")

    def made(post):
        numbers = MemoryNumbers()
        sender = post.sender
        audit = ChannelAudit(
            line(), "-1009", numbers=numbers, pace=sender._pace, monotonic=time.monotonic, sleep=time.sleep
        )
        found = audit.found

        async def looked(*given):
            if post.blind is not None:
                raise post.blind
            return await found(*given)

        audit.found, post.blind, sender._audit = looked, None, audit
        return post

    return made


async def begun(post, release):
    """Something of ours stands there already."""
    await post.tell(MessageKind.RELEASE, release(number=11, title="First"))
    post.earlier = ()
    return post


@pytest.mark.parametrize("hours", [0, 49])
@pytest.mark.parametrize("why", [OSError("the audit chat is refused"), None])
async def test_a_withdrawn_post_of_unknown_outcome_is_looked_for_and_taken_away(
    double, desk, release, audited, now, why, hours
):
    post = await begun(audited(desk(chat="@news", role=CHANNEL)), release)
    post.blind = OSError("the audit chat is refused")
    double.fault("drop_after", skip=1)
    found = await post.tell(MessageKind.RELEASE, release(urgent=True, body=LONG))
    assert isinstance(found, Unknown)
    post.blind = why
    post.now += timedelta(hours=hours)
    with capture_logs() as logs:
        found = await post.tell(MessageKind.WITHDRAWAL, withdrawn(release(), now))
    assert isinstance(found, Sent)
    left = [one for one in words(double, "@news") if "Paragraph" in one]
    assert len(left) == (0 if why is None else 1)
    warned = [one for one in logs if one["log_level"] == "error"]
    assert [one["chat"] for one in warned] == ([] if why is None else ["@news"])
    if why is not None:  # what is known later is done later
        post.blind = None
        found = await post.tell(MessageKind.WITHDRAWAL, withdrawn(release(), now))
        assert not any("Paragraph" in one for one in words(double, "@news"))
    assert found.answer["adrift"] == []


@pytest.mark.parametrize("kind", [MessageKind.CORRECTION, MessageKind.EDIT])
@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
async def test_a_change_finds_the_post_of_unknown_outcome_and_edits_it(double, desk, release, audited, kind, fault):
    post = await begun(audited(desk(chat="@news", role=CHANNEL)), release)
    post.blind = OSError("the audit chat is refused")
    double.fault(fault)
    await post.tell(MessageKind.RELEASE, release())
    post.blind = None
    double.fault("flood", skip=1, retry_after=40)  # between the look and the word a wait may lie
    await post.tell(kind, corrected(release(), title="Visas cost 20"), notes=(NOTE,))
    _, *copies = double.seen("@news")
    stood, tells = fault == "drop_after", kind is MessageKind.CORRECTION
    assert [one["text"].startswith("Visas cost 20") for one in copies][:1] == ([True] if stood or tells else [])
    assert len(copies) == (1 + tells if stood else int(tells))
    assert sum(one.get("reply_to") is not None for one in copies) == int(stood and tells)
    assert double.duplicates() == []


@pytest.mark.parametrize("kind", [MessageKind.RELEASE, MessageKind.CORRECTION, MessageKind.WITHDRAWAL])
async def test_while_the_audit_has_to_wait_so_does_the_letter_and_nothing_is_given_up(
    double, desk, release, audited, now, kind
):
    post = await begun(audited(desk(chat="@news", role=CHANNEL)), release)
    double.fault("drop_after")
    old, follows = release(), kind is not MessageKind.RELEASE
    if follows:
        post.blind = OSError("refused")
        await post.tell(MessageKind.RELEASE, old)
    post.blind = NotNow(post.now + timedelta(seconds=40), "the audit chat has to wait")
    about = {
        MessageKind.RELEASE: old,
        MessageKind.CORRECTION: corrected(old),
        MessageKind.WITHDRAWAL: withdrawn(old, now),
    }
    made = post.letter(about[kind], kind=kind, address="@news", role=CHANNEL, delivery=9)
    (found,) = await post.sender.send([_after(made, post)], post.now)
    assert isinstance(found, Later)
    assert (found.counts, found.not_before) == (False, post.blind.until)
    stood = len(double.seen("@news"))
    post.blind, post.now = None, post.now + timedelta(minutes=5)
    (found,) = await post.sender.send([_after(made, post, answer=found.answer)], post.now)
    assert isinstance(found, Sent)
    assert not double.duplicates()
    ends = {MessageKind.RELEASE: stood, MessageKind.CORRECTION: stood + (1 if NOTE else 0), MessageKind.WITHDRAWAL: 2}
    assert len(double.seen("@news")) == ends[kind]


def _after(made, post, **values):
    return replace(made, earlier=post.earlier, notes=(NOTE,), **values)


async def test_a_part_in_doubt_keeps_its_place_though_later_parts_are_known(double, desk, release, audited):
    post = await begun(audited(desk(chat="@news", role=CHANNEL)), release)
    post.blind = OSError("refused")
    double.fault("drop_after", skip=1)
    about = release(urgent=True, body=LONG)
    found = await post.tell(MessageKind.RELEASE, about)
    post.blind = None
    again = await post.tell(MessageKind.RELEASE, about, resent=True, answer=found.answer)
    assert isinstance(again, Sent)
    assert again.answer["messages"] == [one["id"] for one in double.seen("@news")][1:]
    assert double.duplicates() == []


@pytest.mark.parametrize("kind", [MessageKind.CORRECTION, MessageKind.WITHDRAWAL])
async def test_a_post_that_may_not_be_changed_fails_says_so_and_the_word_still_goes(double, desk, release, now, kind):
    double.channel("@news", -100123)
    post, old = desk(chat="@news", role=CHANNEL), release()
    await post.tell(MessageKind.RELEASE, old)
    stands = double.seen("@news")[0]["id"]
    post.now += timedelta(hours=49)
    double.fault("refuse", method="editMessageText", code=400, text="Bad Request: message can't be edited")
    about = withdrawn(old, now) if kind is MessageKind.WITHDRAWAL else corrected(old)
    with capture_logs() as logs:
        found = await post.tell(kind, about, notes=(NOTE,))
    assert isinstance(found, Refused)
    assert found.reason == f"post {stands} cannot be changed: delete it by hand"
    assert (found.answer["messages"], "gone" in found.answer) == ([stands], False)
    word = double.seen("@news")[1]
    assert (found.answer["reply"], word["reply_to"]) == (word["id"], None if kind is MessageKind.WITHDRAWAL else stands)
    assert [(one["post"], one["chat"]) for one in logs if one["log_level"] == "error"] == [(stands, str(post.chat))]


async def test_a_group_that_moves_between_two_parts_gets_none_of_them_twice(double, desk, release):
    double.channel(-100, -100, kind="group", member={"status": "member"})
    double.fault("migrate", skip=1, to=-1002000)
    group, about = desk(chat=-100, role=CHANNEL), release(urgent=True, body=LONG)
    moved = await group.tell(MessageKind.RELEASE, about)
    first = words(double, -100)
    if -1002000 not in {chat.id for chat in double.names.values()}:
        double.migrate(-100, -1002000)
    group.chat, group.earlier = -1002000, ()
    double.fault("flood", skip=1, retry_after=40)
    found = await group.tell(MessageKind.RELEASE, about, answer=moved.answer)
    assert isinstance(found, Sent)
    shown = [*first, *words(double, -1002000)]
    assert len(shown) == 3
    assert all(sum(f"Paragraph {n}." in one for one in shown) == 1 for n in range(25))


# -- with the ledger
class Killed(BaseException):
    """What nobody catches, as a kill."""


def look_with(road, double, line):
    """The audit of production, over the road's own database."""
    double.channel(-1009, -1009, kind="supergroup")
    clock = lambda: road.now  # noqa: E731
    road.channel._audit = ChannelAudit(
        line,
        "-1009",
        numbers=DatabaseNumbers(road.database, 4242, clock),
        pace=road.channel._pace,
        monotonic=lambda: road.now.timestamp(),  # noqa: PLW0108  # it moves on
        sleep=road._sleep,
    )


async def rows(road, state):
    async with road.database.reading() as session:
        found = await session.execute(
            text("SELECT id FROM delivery WHERE state = :state ORDER BY id"), {"state": state}
        )
        return list(found.scalars())


async def test_of_two_topics_none_takes_the_others_post_for_its_own(opened):
    road, double = await opened(channels=FORUM)
    double.channel("@forum", -100203, kind="supergroup", threads=[5, 6])
    look_with(road, double, road.channel._bot)
    road.write("An earlier one", key="first")
    await road.pass_time(minutes=5)
    before = len(double.seen("@forum"))
    road.write("Visas cost 10")
    send = road.channel.send

    async def half(letters, now):
        places = [one for one in letters if one.role is CHANNEL]
        await send(places[:1], now)
        raise Killed

    road.channel.send = half
    with pytest.raises(Killed):
        await road.work()
    road.channel.send = send
    look_with(road, double, road.channel._bot)  # nothing is remembered
    async with road.database.writing() as session:
        await ledger.recover(session, road.now)
    await road.pass_time(hours=1)
    posts = double.seen("@forum")[before:]
    assert sorted(one["thread"] for one in posts) in ([5], [6]), "what nobody can tell of is left to a person"
    assert len(await rows(road, "unknown")) == 2


async def test_a_post_that_is_found_by_hand_after_its_withdrawal_goes(opened):
    road, double = await opened()
    double.fault("drop_after", chat="@news")
    road.write("Visas cost 10")
    await road.pass_time(minutes=5)
    with capture_logs() as logs:
        road.withdraw()
        await road.pass_time(minutes=5)
    assert [one["chat"] for one in logs if one["log_level"] == "error"] == ["@news"]
    old, notice = texts_in(double, "@news")
    assert "Visas" in old
    (number,) = await rows(road, "unknown")
    async with road.database.writing() as session:
        said = await settle_by_hand(session, number, outcome="sent", messages=[1], now=road.now)
    assert "withdrawal" in said
    await road.pass_time(minutes=5)
    assert texts_in(double, "@news") == [notice], "the post has gone, and nothing is said twice"


@pytest.mark.parametrize("names", [("@news", "-100123"), ("-100123", "@news")])
async def test_a_chat_that_is_named_twice_gets_its_posts_once_and_the_operator_hears_of_it(opened, names):
    road, double = await opened(channels=[{"chat": name, "language": "en"} for name in names])
    with capture_logs() as logs:
        road.write("Visas cost 10")
        await road.pass_time(minutes=5)
        road.write("Parks open", key="parks")
        await road.pass_time(minutes=5)
    assert len(texts_in(double, "@news")) == 2
    said = [(one["chat"], one["same"]) for one in logs if one["log_level"] == "error"]
    assert said == [(names[1], names[0])]
    assert len(await rows(road, "failed")) == 2
