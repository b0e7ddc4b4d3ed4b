"""Another mail address: only a yes from there moves anybody, and who was there already is the same person then."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from syndicator.domain.bounces import Suppressed
from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind, MessageKind, SubscriptionState
from syndicator.store import ledger, subscriptions, suppressions
from syndicator.store.erasing import erase
from syndicator.store.subscriptions import Consent
from syndicator.store.tables import MESSAGE

OLD, NEW = "old@example.org", "new@example.org"


class Movers:
    """People who read by mail, and the letters that they get."""

    def __init__(self, press) -> None:
        self.press = press
        press.mail.tells.update(set(MessageKind) - {MessageKind.EDIT, MessageKind.FEED})

    async def join(self, address=OLD, *wishes, cadence=Cadence.IMMEDIATE, timezone="Asia/Baku", pending=False):
        press = self.press
        async with press.database.writing() as session:
            who = await subscriptions.ensure(
                session, ChannelKind.EMAIL, address, language="az", timezone=timezone, now=press.now
            )
            for wish in wishes or ("",):
                await subscriptions.subscribe(
                    session,
                    who.id,
                    parse(wish),
                    cadence=cadence,
                    state=SubscriptionState.PENDING if pending else SubscriptionState.ACTIVE,
                    consent=Consent(press.now, "test", "yes"),
                    now=press.now,
                )
        return who.id

    async def asks(self, who, address=NEW):
        """The question that goes to the new address, if one does."""
        before = len(self.press.mail.sent)
        await self.press.subscribing.ask_move(who, address, now=self.press.now)
        await self.press.send()
        return next(iter(self.press.mail.sent[before:]), None)

    async def moves(self, who, address=NEW):
        question = await self.asks(who, address)
        moved = await self.press.subscribing.move(question.confirm_token, self.press.now)
        await self.press.send()
        return moved

    async def account(self, who):
        return await self.press.subscribing.account("manage", self.press.tokens.sign("manage", who), self.press.now)

    def sent(self, *kinds):
        return [(one.kind.value, one.address) for one in self.press.mail.sent if not kinds or one.kind.value in kinds]


@pytest.fixture
def movers(press):
    return Movers(press)


async def test_only_a_yes_from_the_new_address_moves_and_the_old_one_is_told(press, movers):
    who = await movers.join()
    question = await movers.asks(who)
    assert (question.kind.value, question.address) == ("address", NEW)
    for _ in range(2):
        wish = await press.subscribing.preview_move(question.confirm_token, press.now)
        assert (wish.address, wish.is_done, wish.account.subscriber.address) == (NEW, False, OLD)
    for _ in range(2):
        wish = await press.subscribing.move(question.confirm_token, press.now)
        assert (wish.is_done, wish.account.subscriber.address, wish.account.subscriber.id) == (True, NEW, who)
        await press.send()
    assert movers.sent() == [("address", NEW), ("moved", OLD)]
    await press.publish(press.change(lang="az"))
    assert movers.sent("release") == [("release", NEW)]


async def test_a_correction_goes_to_the_new_address_of_who_got_the_old_text_at_the_old_one(press, movers):
    who = await movers.join()
    await press.publish(press.change(lang="az", fingerprint="1"))
    await movers.moves(who)
    await press.publish(press.change(lang="az", body="Another text.", note="The day was wrong.", fingerprint="2"))
    assert movers.sent("release", "correction") == [("release", OLD), ("correction", NEW)]
    assert press.mail.sent[-1].earlier


@pytest.mark.parametrize("known", [False, True])
async def test_asking_does_the_same_whether_the_new_address_is_known_or_not(press, movers, known):
    who = await movers.join()
    if known:
        await movers.join(NEW)
    assert (await movers.asks(who)).address == NEW
    assert await movers.asks(who) is None, "one an hour"


async def test_questions_of_all_kinds_share_the_limits_of_their_address(press, movers):
    who = await movers.join()
    for number in range(4):
        asked = await movers.asks(await movers.join(f"p{number}@example.org"))
        assert (asked is not None) is (number < 3)
        consent = Consent(press.now, "web", "x")
        wish = {"filter_": parse(""), "language": "az", "cadence": Cadence.IMMEDIATE, "consent": consent}
        await press.subscribing.ask(NEW, **wish, now=press.now)
        press.now += timedelta(hours=1, seconds=1)
    await press.send()
    assert len(movers.sent("confirmation", "address")) == 3
    assert who


async def test_the_newest_question_alone_counts_and_only_for_a_while(press, movers):
    who = await movers.join()
    first, second = await movers.asks(who, "a@example.org"), await movers.asks(who, "b@example.org")
    assert await press.subscribing.preview_move(first.confirm_token, press.now) is None
    assert await press.subscribing.move(first.confirm_token, press.now) is None
    late = press.now + timedelta(days=7, seconds=1)
    assert await press.subscribing.move(second.confirm_token, late) is None
    assert (await press.subscribing.move(second.confirm_token, press.now)).address == "b@example.org"


@pytest.mark.parametrize(("reason", "asked"), [(one, one.may_be_asked) for one in Suppressed])
async def test_who_may_not_be_asked_is_not_and_a_yes_takes_others_off_the_list(press, movers, reason, asked):
    who = await movers.join()
    fingerprint = press.tokens.fingerprint("address", NEW)
    async with press.database.writing() as session:
        await suppressions.add(session, fingerprint, reason, press.now)
    question = await movers.asks(who)
    assert (question is not None) is asked
    if asked:
        await press.subscribing.move(question.confirm_token, press.now)
        async with press.database.reading() as session:
            assert await suppressions.has(session, fingerprint) is None


async def test_who_moves_because_mail_came_back_is_back_and_the_dead_address_is_left_alone(press, movers):
    who = await movers.join()
    async with press.database.writing() as session:
        await subscriptions.pause(session, who, "bounced: 5.1.1")
        await suppressions.add(session, press.tokens.fingerprint("address", OLD), Suppressed.BOUNCED, press.now)
    moved = await movers.moves(who)
    assert not moved.account.subscriber.is_paused
    assert movers.sent() == [("address", NEW)]


async def test_an_erased_person_moves_nowhere(press, movers):
    who = await movers.join()
    question = await movers.asks(who)
    async with press.database.writing() as session:
        await erase(session, who, press.now, language="az", timezone="Asia/Baku")
    assert await press.subscribing.preview_move(question.confirm_token, press.now) is None
    assert await press.subscribing.move(question.confirm_token, press.now) is None


# -- the new address is somebody already
async def test_two_become_one_with_what_both_wanted_and_old_links_of_both_work(press, movers):
    who = await movers.join(OLD, "topic=visas", "topic=refugees")
    there = await movers.join(NEW, "topic=visas", "q=qayda")
    await movers.moves(who)
    for number in (who, there):
        account = await movers.account(number)
        assert (account.subscriber.id, account.subscriber.address) == (who, NEW)
        assert sorted(one.filter for one in account.subscriptions) == ["q=qayda", "topic=refugees", "topic=visas"]
    await press.subscribing.end_all(await movers.account(there), reason="one-click", now=press.now)
    assert (await movers.account(who)).subscriptions == []


async def test_who_only_waits_at_one_address_and_is_subscribed_at_the_other_is_subscribed(press, movers):
    who = await movers.join(OLD, "topic=visas", pending=True)
    await movers.join(NEW, "topic=visas")
    await movers.moves(who)
    [one] = (await movers.account(who)).subscriptions
    assert one.state is SubscriptionState.ACTIVE


async def test_what_either_has_comes_no_second_time_and_corrections_follow_once(press, movers):
    who = await movers.join(OLD, "topic=visas")
    await movers.join(NEW, "topic=refugees")
    both = press.change("both", lang="az", topics=("visas", "refugees"), fingerprint="1")
    theirs = press.change("theirs", lang="az", topics=("refugees",), fingerprint="2")
    await press.publish(both, theirs)
    await movers.moves(who)
    before = len(press.mail.sent)
    news = {"body": "Another text.", "note": "The day was wrong."}
    await press.publish(
        press.change("both", lang="az", topics=("visas", "refugees"), fingerprint="3", **news),
        press.change("theirs", lang="az", topics=("refugees",), fingerprint="4", **news),
    )
    assert movers.sent()[before:] == [("correction", NEW)] * 2


@pytest.mark.parametrize("mover_first", [True, False])
async def test_a_release_that_is_being_fanned_out_reaches_who_was_merged_meanwhile_once(press, movers, mover_first):
    addresses = [OLD, NEW] if mover_first else [NEW, OLD]
    people = {
        one: await movers.join(one, f"topic={topic}")
        for one, topic in zip(addresses, ("visas", "refugees"), strict=True)
    }
    question = await movers.asks(people[OLD])
    await press.harvest(
        press.change(lang="az", topics=("refugees",)), press.change("two", lang="az", topics=("visas",))
    )
    async with press.database.writing() as session:  # one step has reached the first of them
        for message in await ledger.open_messages(session):
            await session.execute(update(MESSAGE).where(MESSAGE.c.id == message.id).values(cursor=min(people.values())))
    await press.subscribing.move(question.confirm_token, press.now)
    await press.spread()
    await press.send()
    assert movers.sent("release") == [("release", NEW)] * 2


async def test_what_waits_to_go_out_to_both_goes_out_once(press, movers):
    who = await movers.join()
    await movers.join(NEW)
    question = await movers.asks(who)
    await press.harvest(press.change(lang="az"))
    await press.spread()
    await press.subscribing.move(question.confirm_token, press.now)
    await press.send()
    assert movers.sent("release") == [("release", NEW)]


async def test_what_one_got_and_the_other_was_to_get_goes_out_no_more(press, movers):
    who = await movers.join()
    await movers.join(NEW)
    question = await movers.asks(who)
    await press.harvest(press.change(lang="az"))
    await press.spread()
    async with press.database.writing() as session:
        await subscriptions.pause(session, who, "bounced")
    await press.send()  # only the new address got it
    await press.subscribing.move(question.confirm_token, press.now)
    await press.send()
    assert movers.sent("release") == [("release", NEW)]
    await press.publish(press.change(lang="az", body="Other.", note="Wrong.", fingerprint="x"))
    assert movers.sent("correction") == [("correction", NEW)]
