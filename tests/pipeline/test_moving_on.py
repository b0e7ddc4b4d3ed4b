"""After a move: what comes back late, old files, blocked addresses, two presses at once, and who was merged away."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from syndicator.domain.bounces import Bounce, BounceKind, Suppressed
from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind
from syndicator.domain.returns import Complaint, Failure, Report, Whom
from syndicator.i18n import Texts
from syndicator.pipeline.importing import Row, import_rows
from syndicator.pipeline.keeping_out import KeepingOut
from syndicator.pipeline.personal import Personal
from syndicator.pipeline.returning import Returning
from syndicator.store import applications, bounces, ledger, suppressions
from syndicator.store.applications import Application
from syndicator.store.subscriptions import Consent
from syndicator.store.tables import APPLICATION, READDRESSED
from tests.pipeline.test_relocating import NEW, OLD, Movers

HARD = Bounce(BounceKind.HARD, "5.1.1", "550 nobody")
MINUTE = timedelta(minutes=1)
on_one = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # what gains nothing from a second kind


@pytest.fixture
def movers(press):
    return Movers(press)


@pytest.fixture
def returning(press):
    return Returning(press.database, press.tokens, metrics=press.metrics, wake=press.wake)


async def kept_out(press, address):
    async with press.database.reading() as session:
        return await suppressions.has(session, press.tokens.fingerprint("address", address))


async def published(press, key="fees"):
    """The letters that a new release brings; time passes before and after."""
    before = len(press.mail.sent)
    press.now += MINUTE
    await press.publish(press.change(key, lang="az"))
    press.now += MINUTE
    return {one.address: one for one in press.mail.sent[before:]}


def _nobody_at(letter):
    return Report(Whom(letter.delivery), (Failure((letter.address,), HARD),))


# -- what comes back late
@pytest.mark.parametrize("also_named", [True, False])
async def test_a_complaint_about_what_came_before_a_merge_ends_all_and_keeps_the_address_out(
    press, movers, returning, also_named
):
    who, there = await movers.join(OLD, "topic=visas"), await movers.join(NEW)
    letter = (await published(press))[NEW]
    await movers.moves(who)
    about = Whom(letter.delivery) if also_named else Whom(None, there)  # by the leaving token of then alone
    assert await returning.take(Complaint(about), press.now) == "complaint"
    assert (await movers.account(who)).subscriptions == []
    assert await kept_out(press, NEW) is Suppressed.COMPLAINED


@on_one
async def test_a_mailbox_that_said_yes_to_a_merge_is_paused_for_a_mail_sent_since_and_for_no_older_one(
    press, movers, returning
):
    who, _ = await movers.join(OLD, "topic=visas"), await movers.join(NEW)
    letter = (await published(press))[NEW]
    await movers.moves(who)
    for one, is_paused in ((letter, False), ((await published(press, "two"))[NEW], True)):
        assert await returning.take(_nobody_at(one), press.now) == "hard"
        assert (await movers.account(who)).subscriber.is_paused is is_paused


@on_one
async def test_a_late_report_about_the_old_address_excuses_no_mail_to_the_new_one(press, movers, returning):
    who = await movers.join()
    late = (await published(press))[OLD]
    await movers.moves(who)
    new = (await published(press, "two"))[NEW]
    await returning.take(_nobody_at(late), press.now)
    press.now += MINUTE
    await returning.take(_nobody_at(new), press.now)
    assert (await movers.account(who)).subscriber.is_paused


@on_one
async def test_a_late_report_after_resuming_excuses_no_mail_sent_since(press, movers, returning):
    who = await movers.join()
    first, late = (await published(press))[OLD], (await published(press, "two"))[OLD]
    await returning.take(_nobody_at(first), press.now)
    press.now += MINUTE
    await press.subscribing.resume(await movers.account(who), now=press.now)
    new = (await published(press, "three"))[OLD]
    await returning.take(_nobody_at(late), press.now)
    assert not (await movers.account(who)).subscriber.is_paused
    press.now += MINUTE
    await returning.take(_nobody_at(new), press.now)
    assert (await movers.account(who)).subscriber.is_paused


@on_one
async def test_a_file_that_names_them_again_excuses_no_mail_sent_before(press, movers, returning):
    who = await movers.join()
    letter = (await published(press))[OLD]
    press.now += MINUTE
    wish = {"language": "az", "timezone": "Asia/Baku", "filter": parse("topic=refugees"), "cadence": Cadence.IMMEDIATE}
    consent = Consent(press.now - timedelta(days=400), "form", "yes")
    row = Row(channel=ChannelKind.EMAIL, address=OLD, **wish, consent=consent, line=2)
    assert await import_rows(press.database, [row], press.now, tokens=press.tokens) == []
    press.now += MINUTE
    await returning.take(_nobody_at(letter), press.now)
    assert (await movers.account(who)).subscriber.is_paused


@pytest.mark.parametrize("named", ["delivery", "message id", "reader alone"])
async def test_who_reads_at_an_address_that_was_left_ends_nothing_of_who_left_it(press, movers, returning, named):
    who = await movers.join()
    letter = (await published(press))[OLD]
    await movers.moves(who)
    whom = {
        "delivery": Whom(letter.delivery),
        "message id": Whom(None, who, str(letter.delivery)),
        "reader alone": Whom(None, who, "unknown@press"),
    }[named]
    assert await returning.take(Complaint(whom), press.now) == "complaint"
    account = await movers.account(who)
    assert (len(account.subscriptions), account.subscriber.is_paused) == (1, False)
    assert await kept_out(press, NEW) is None
    assert await kept_out(press, OLD) is (Suppressed.MOVED if named == "reader alone" else Suppressed.COMPLAINED)


async def test_what_went_to_two_addresses_of_one_who_was_merged_is_told_apart(press, movers):
    who, there = await movers.join(OLD, "topic=visas"), await movers.join("first@example.org")
    first = (await published(press))["first@example.org"]
    await movers.moves(there, NEW)
    second = (await published(press, "two"))[NEW]
    press.now += timedelta(hours=1, seconds=1)  # one question an hour to an address
    await movers.moves(who, NEW)
    third = (await published(press, "three"))[NEW]
    async with press.database.writing() as session:
        found = [await bounces.of_delivery(session, one.delivery) for one in (first, second, third)]
    assert [(one.subscriber, one.address, one.is_theirs) for one in found] == [
        (who, "first@example.org", False),
        (who, NEW, True),
        (who, NEW, True),
    ]


@on_one
async def test_a_move_of_who_was_merged_is_none_of_who_they_are_now(press, movers):
    who, there = await movers.join(OLD), await movers.join("first@example.org")
    both = await published(press)
    await movers.moves(there, NEW)
    press.now += timedelta(hours=1, seconds=1)
    await movers.moves(who, NEW)
    press.now += timedelta(hours=1, seconds=1)
    await movers.moves(who, "last@example.org")
    first = await _whose(press, both[OLD])
    assert (first.subscriber, first.address, first.is_theirs) == (who, OLD, False)


@on_one
async def test_what_was_left_before_two_merges_is_about_the_address_that_was_left(press, movers):
    one, two = await movers.join("a1@example.org"), await movers.join("b1@example.org", "topic=visas")
    three, letter = await movers.join("c1@example.org", "topic=visas"), (await published(press))["a1@example.org"]
    for who, address in ((one, "a2@example.org"), (three, "c2@example.org"), (two, "a2@example.org")):
        press.now += timedelta(hours=1, seconds=1)
        await movers.moves(who, address)
    press.now += timedelta(hours=1, seconds=1)
    await movers.moves(three, "a2@example.org")
    found = await _whose(press, letter)
    assert (found.subscriber, found.address, found.is_theirs) == (three, "a1@example.org", False)


async def _whose(press, letter):
    async with press.database.writing() as session:
        return await bounces.of_delivery(session, letter.delivery)


# -- who may not be asked
async def _blocks(press, movers, returning, question):
    await KeepingOut(press.database, press.tokens).suppress(NEW, Suppressed.BLOCKED, press.now)


async def _complains(press, movers, returning, question):
    await returning.take(Complaint(Whom(question.delivery)), press.now)


@on_one
@pytest.mark.parametrize("happens", [_blocks, _complains])
async def test_a_question_to_an_address_that_may_not_be_asked_any_more_moves_nobody(press, movers, returning, happens):
    who = await movers.join()
    question = await movers.asks(who)
    await happens(press, movers, returning, question)
    assert await press.subscribing.preview_move(question.confirm_token, press.now) is None
    assert await press.subscribing.move(question.confirm_token, press.now) is None
    account = await movers.account(who)
    assert (account.subscriber.address, len(account.subscriptions)) == (OLD, 1)


async def test_what_waits_for_an_address_goes_out_no_more_once_it_is_blocked(press, movers):
    who = await movers.join()
    await press.subscribing.ask_move(who, NEW, now=press.now)
    async with press.database.writing() as session:
        await applications.write(session, Application(NEW, press.now))
        await applications.write(session, Application(NEW, press.now, subscriber=who))
        await applications.write(session, Application("other@example.org", press.now))
    await KeepingOut(press.database, press.tokens).suppress(NEW, Suppressed.BLOCKED, press.now)
    await press.send()
    assert press.mail.sent == []
    async with press.database.reading() as session:
        assert list(await session.scalars(select(APPLICATION.c.address))) == ["other@example.org"]


# -- old files
@on_one
@pytest.mark.parametrize("erased", [False, True])
async def test_a_file_does_not_bring_the_old_address_back_and_its_own_yes_does(press, movers, site, erased):
    who = await movers.join()
    consent = Consent(press.now, "form", "yes")
    await movers.moves(who)
    if erased:
        found = (await movers.account(who)).subscriber
        await Personal(press.database, site=site, taxonomy=press.taxonomy, tokens=press.tokens).erase(found, press.now)
    press.now += timedelta(days=1)
    wish = {"language": "az", "timezone": "Asia/Baku", "filter": parse(""), "cadence": Cadence.IMMEDIATE}
    row = Row(channel=ChannelKind.EMAIL, address=OLD, **wish, consent=consent, line=2)
    [bad] = await import_rows(press.database, [row], press.now, tokens=press.tokens)
    assert (bad.line, bad.kept_out) == (2, True)
    assert "moved" in bad.reason
    asked = {"filter_": parse(""), "language": "az", "cadence": Cadence.IMMEDIATE}
    await press.subscribing.ask(OLD, **asked, consent=consent, now=press.now)
    await press.send()
    assert await press.subscribing.confirm(press.mail.sent[-1].confirm_token, press.now) is not None
    assert await kept_out(press, OLD) is None


@on_one
async def test_whoever_goes_back_to_their_old_address_is_kept_out_of_the_other(press, movers):
    who = await movers.join()
    await movers.moves(who)
    await movers.moves(who, OLD)
    assert (await kept_out(press, OLD), await kept_out(press, NEW)) == (None, Suppressed.MOVED)


# -- at once
async def test_two_presses_at_once_move_once_and_tell_the_old_address_once(press, movers):
    question = await movers.asks(await movers.join())
    both = (press.subscribing.move(question.confirm_token, press.now) for _ in range(4))
    assert [(one.is_done, one.is_told) for one in await asyncio.gather(*both)] == [(True, True)] * 4
    await press.send()
    assert movers.sent("moved") == [("moved", OLD)]


@on_one
async def test_the_page_does_not_say_that_a_dead_address_was_told(press, movers):
    who = await movers.join()
    async with press.database.writing() as session:
        await suppressions.add(session, press.tokens.fingerprint("address", OLD), Suppressed.BOUNCED, press.now)
    moved = await movers.moves(who)
    assert (moved.is_done, moved.is_told) == (True, False)


async def test_a_release_that_one_lane_claims_while_two_become_one_goes_out_once(press, movers):
    await movers.join(NEW)
    who = await movers.join(OLD)
    question = await movers.asks(who)
    await press.harvest(press.change(lang="az"))
    await press.spread()
    async with press.database.reading() as session:
        [batch] = [one.id for one in await ledger.open_batches(session)]
    async with press.database.writing() as session:
        [claimed] = await ledger.claim(session, batch, press.now, 1)
        moving = asyncio.create_task(press.subscribing.move(question.confirm_token, press.now))
        done, _ = await asyncio.wait([moving], timeout=0.3)
        assert not done, "it waits for the claim"
    assert (await moving).is_done
    await press.send()
    assert (claimed.address, movers.sent("release")) == (NEW, [])


async def test_confirming_and_erasing_at_once_are_done_one_after_the_other(press, movers, site):
    asked = {"filter_": parse(""), "language": "az", "cadence": Cadence.IMMEDIATE}
    await press.subscribing.ask(OLD, **asked, consent=Consent(press.now, "web", "x"), now=press.now)
    await press.send()
    token = press.mail.sent[-1].confirm_token
    personal = Personal(press.database, site=site, taxonomy=press.taxonomy, tokens=press.tokens)
    async with press.database.writing() as session:
        await suppressions.add(session, press.tokens.fingerprint("address", OLD), Suppressed.BOUNCED, press.now)
    found = await personal.find(ChannelKind.EMAIL, OLD)
    confirm = (press.subscribing.confirm(token, press.now) for _ in range(2))
    await asyncio.gather(*confirm, personal.erase(found, press.now))
    assert await personal.find(ChannelKind.EMAIL, OLD) is None


# -- who was merged away
async def test_a_question_of_who_was_merged_meanwhile_revives_no_shell(press, movers):
    one, two = await movers.join("a@example.org", "topic=visas"), await movers.join("c@example.org", "topic=refugees")
    early = await movers.asks(one, "b@example.org")
    press.now += MINUTE
    merging = await movers.asks(two, "a@example.org")
    late = await movers.asks(one, "d@example.org")
    for _ in range(2):  # although the other one brings a newer question along
        merged = await press.subscribing.move(merging.confirm_token, press.now)
        assert (merged.account.subscriber.id, merged.address, merged.is_done) == (two, "a@example.org", True)
    assert await press.subscribing.move(early.confirm_token, press.now) is None, "the newest counts"
    moved = await press.subscribing.move(late.confirm_token, press.now)
    assert (moved.account.subscriber.id, moved.account.subscriber.address) == (two, "d@example.org")
    assert len(moved.account.subscriptions) == 2
    await press.send()
    assert all("@" in address for _, address in movers.sent())
    press.now += timedelta(hours=2)
    again = await movers.asks(one, "e@example.org")  # a page that was open all the while
    assert (await press.subscribing.move(again.confirm_token, press.now)).account.subscriber.id == two


async def test_what_came_back_to_who_was_merged_is_told_to_who_they_are_and_goes_with_them(
    press, movers, returning, site
):
    who, there = await movers.join(OLD, "topic=visas"), await movers.join(NEW)
    letter = (await published(press))[NEW]
    soft = Bounce(BounceKind.SOFT, "4.2.2", "full")
    await returning.take(Report(Whom(letter.delivery), (Failure((NEW,), soft),)), press.now)
    await movers.moves(who)
    async with press.database.writing() as session:
        await applications.write(session, Application("third@example.org", press.now, subscriber=who))
        wish = {"filter": "topic=visas", "consent_source": "web", "consent_text": "yes"}
        await applications.write(session, Application(NEW, press.now, **wish))
    personal = Personal(press.database, site=site, taxonomy=press.taxonomy, tokens=press.tokens)
    told = await personal.data(who, Texts.load(site.languages)("en"), press.now)
    assert [one["said"] for one in told["came_back"]] == ["full"]
    asked = [(one["wish"], one["address"]) for one in told["asked_for_and_waiting"]]
    assert asked == [("another address", "third@example.org"), ("to subscribe", NEW)]
    await personal.erase((await movers.account(there)).subscriber, press.now)
    async with press.database.reading() as session:
        assert await bounces.counts(session, press.now - MINUTE) == {}
        assert list(await session.scalars(select(APPLICATION.c.id))) == []


async def test_an_address_that_was_erased_stays_in_nobody_elses_questions(press, movers, site):
    who, there = await movers.join(OLD), await movers.join(NEW)
    question = await movers.asks(who)
    personal = Personal(press.database, site=site, taxonomy=press.taxonomy, tokens=press.tokens)
    await personal.erase((await movers.account(there)).subscriber, press.now)
    async with press.database.reading() as session:
        assert list(await session.scalars(select(READDRESSED.c.address))) == [""]
    assert await press.subscribing.move(question.confirm_token, press.now) is None
