"""The one door: double opt-in, no bombing, no enumeration, and leaving that works."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from syndicator.domain.bounces import Suppressed
from syndicator.domain.filters import Filter
from syndicator.domain.model import Cadence, ChannelKind, SubscriptionState
from syndicator.pipeline.subscribing import BadAddress
from syndicator.store import letterboxes, subscriptions, suppressions
from syndicator.store.subscriptions import Consent
from syndicator.store.tables import LETTERBOX


@pytest.fixture
def ask(press):
    async def do(address="citizen@example.org", filter_=Filter()):  # noqa: B008  # a Filter never changes
        consent = Consent(press.now, "web", "Send me releases.")
        await press.subscribing.ask(
            address, filter_=filter_, language="az", cadence=Cadence.IMMEDIATE, consent=consent, now=press.now
        )
        await press.send()

    return do


def kinds(press):
    return [letter.kind.value for letter in press.mail.sent]


async def test_nothing_but_a_confirmation_goes_to_an_address_that_has_not_confirmed(press, ask):
    await ask()
    await press.publish(press.change(lang="az"))
    assert [letter.kind.value for letter in press.mail.sent] == ["confirmation"]
    assert press.mail.sent[0].reader_lang == "az"


async def test_confirming_activates_and_again_is_the_same(press, ask):
    await ask(filter_=Filter(topics=("visas",)))
    token = press.mail.sent[0].confirm_token
    shown = await press.subscribing.preview(token, press.now)
    assert shown[1].state is SubscriptionState.PENDING
    for _ in range(2):
        account, subscription = await press.subscribing.confirm(token, press.now)
        assert subscription.state is SubscriptionState.ACTIVE
        assert len(account.subscriptions) == 1
    await press.publish(press.change(lang="az", topics=("visas",)))
    assert kinds(press) == ["confirmation", "welcome", "release"]


@pytest.mark.parametrize("spoil", [lambda t: t[:-1], lambda t: "B" + t[1:], lambda t: "", lambda t: t + "x"])
async def test_a_forged_token_opens_nothing(press, ask, spoil):
    await ask()
    token = spoil(press.mail.sent[0].confirm_token)
    assert await press.subscribing.confirm(token, press.now) is None
    assert await press.subscribing.preview(token, press.now) is None
    assert await press.subscribing.account("manage", token, press.now) is None


async def test_a_confirmation_expires_after_seven_days_and_a_way_out_never(press, ask):
    await ask()
    letter = press.mail.sent[0]
    press.now += timedelta(days=7, seconds=1)
    assert await press.subscribing.confirm(letter.confirm_token, press.now) is None
    press.now += timedelta(days=4000)
    assert await press.subscribing.account("unsubscribe", letter.unsubscribe_token, press.now)


async def test_a_link_works_as_long_as_the_settings_say(press, ask):
    press.delivery._confirm_for = timedelta(days=2)
    await ask()
    token = press.mail.sent[0].confirm_token
    assert await press.subscribing.confirm(token, press.now + timedelta(days=2)) is None
    assert await press.subscribing.confirm(token, press.now + timedelta(days=2, seconds=-1)) is not None


async def test_an_address_gets_at_most_one_confirmation_an_hour_and_three_a_day_whoever_asks(press, ask):
    for _ in range(24):
        await ask()
        await ask(filter_=Filter(topics=("visas",)))
        press.now += timedelta(hours=1, seconds=1)
    assert len(press.mail.sent) == 3


async def test_an_active_address_that_asks_again_is_not_told_apart_and_loses_nothing(press, ask):
    await ask()
    await press.subscribing.confirm(press.mail.sent[0].confirm_token, press.now)
    press.now += timedelta(hours=2)
    await ask()
    account = await press.subscribing.account("manage", press.mail.sent[0].manage_token, press.now)
    assert [s.state for s in account.subscriptions] == [SubscriptionState.ACTIVE]


async def test_an_active_reader_who_asks_again_gets_a_letter_that_lets_them_in(press, ask):
    await ask()
    await press.subscribing.confirm(press.mail.sent[0].confirm_token, press.now)
    press.now += timedelta(days=30)
    await ask()
    assert kinds(press) == ["confirmation", "welcome", "confirmation"]
    account, subscription = await press.subscribing.preview(press.mail.sent[-1].confirm_token, press.now)
    assert subscription.state is SubscriptionState.ACTIVE
    assert await press.subscribing.account("manage", account.manage_token, press.now)


@pytest.mark.parametrize("filter_", [Filter(), Filter(topics=("visas",))], ids=["the same wish", "another wish"])
async def test_a_reader_whose_mail_bounced_comes_back_by_asking_again(press, ask, filter_):
    await ask()
    account, _ = await press.subscribing.confirm(press.mail.sent[0].confirm_token, press.now)
    await press.send()
    async with press.database.writing() as session:
        await subscriptions.pause(session, account.subscriber.id, "550 no such user")
    await press.publish(press.change(lang="az", topics=("visas",)))
    press.now += timedelta(hours=2)
    await ask(filter_=filter_)
    assert kinds(press) == ["confirmation", "welcome", "confirmation"]
    account, _ = await press.subscribing.confirm(press.mail.sent[-1].confirm_token, press.now)
    assert account.subscriber.state == "active"
    before = len(press.mail.sent)
    await press.publish(press.change(key="second", lang="az", topics=("visas",)))
    welcomed = ["welcome"] if filter_.topics else []
    assert sorted(kinds(press)[before:]) == ["release", *welcomed]


async def test_only_what_shows_that_somebody_is_there_resumes(press, ask):
    await ask()
    account, subscription = await press.subscribing.confirm(press.mail.sent[0].confirm_token, press.now)
    async with press.database.writing() as session:
        await subscriptions.pause(session, account.subscriber.id, "550 no such user")
    consent = Consent(press.now, "web", "x")
    account = await press.subscribing.change(
        account, subscription.id, filter_=Filter(topics=("visas",)), consent=consent, now=press.now
    )
    account = await press.subscribing.set_reading(account, language="en")
    assert account.subscriber.state == "paused"
    account = await press.subscribing.resume(account, now=press.now)
    assert account.subscriber.state == "active"


async def test_one_mailbox_is_one_person_however_its_capitals_stand(press, ask):
    for spelling in ("victim@example.org", "Victim@example.org", "vIctim@EXAMPLE.org", "VICTIM@example.org"):
        await ask(spelling, Filter(topics=("visas",)))
    assert [letter.address for letter in press.mail.sent] == ["victim@example.org"]
    async with press.database.reading() as session:
        assert await subscriptions.find(session, ChannelKind.EMAIL, "ViCtIm@example.org")


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("victim@example.org", "victim+visas@example.org", True),
        ("victim+1@example.org", "victim+2@example.org", True),
        ("v.ictim@gmail.com", "vic.tim+x@googlemail.com", True),
        ("v.ictim@example.org", "victim@example.org", False),
        ("victim@example.org", "victim@example.com", False),
        ("+a@example.org", "+b@example.org", False),
    ],
)
async def test_tags_and_dots_open_no_second_limit_and_every_address_stays_as_written(press, ask, first, second, is_one):
    await ask(first)
    await ask(second)
    assert [letter.address for letter in press.mail.sent] == [first] if is_one else [first, second]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("İlqar@example.org", "ilqar@example.org"),
        ("I\u0307lqar@example.org", "ilqar@example.org"),
        ("i\u0307lqar@example.org", "ilqar@example.org"),  # as an older program lowered it
        ("Ilqar@example.org", "ilqar@example.org"),
        ("ılqar@example.org", "ılqar@example.org"),
        ("Ülvi@ÇAY.az", "ülvi@çay.az"),
        ("a@İSTANBUL.example", "a@istanbul.example"),
    ],
)
async def test_a_name_that_a_keyboard_began_with_a_dotted_capital_is_written_to_in_plain_letters(
    press, ask, written, kept
):
    await ask(written)
    assert [letter.address for letter in press.mail.sent] == [kept]
    async with press.database.reading() as session:
        assert await subscriptions.find(session, ChannelKind.EMAIL, written)


async def test_what_was_asked_of_a_mailbox_counts_for_a_day_and_is_then_forgotten(press, ask):
    await ask()
    async with press.database.writing() as session:
        await letterboxes.forget(session, press.now + timedelta(hours=23))
        assert len(list(await session.scalars(select(LETTERBOX.c.mailbox)))) == 1
        await letterboxes.forget(session, press.now + timedelta(days=1))
        assert list(await session.scalars(select(LETTERBOX.c.mailbox))) == []


async def test_of_three_who_ask_for_one_address_at_once_one_gets_a_letter(press, ask):
    consent = Consent(press.now, "web", "x")
    wishes = (Filter(topics=(topic,)) for topic in ("visas", "office", "refugees"))
    asking = (
        press.subscribing.ask(
            "c@example.org", filter_=one, language="az", cadence=Cadence.IMMEDIATE, consent=consent, now=press.now
        )
        for one in wishes
    )
    await asyncio.gather(*asking)
    await press.send()
    assert kinds(press) == ["confirmation"]


# -- a letter has its own wish
@pytest.fixture
def wish(press):
    async def do(cadence=Cadence.IMMEDIATE, language="az", *, text_only=False, topics=()):
        await press.subscribing.ask(
            "citizen@example.org",
            filter_=Filter(topics=topics),
            language=language,
            cadence=cadence,
            consent=Consent(press.now, "web", f"{cadence} {language}"),
            now=press.now,
            text_only=text_only,
        )
        await press.send()
        press.now += timedelta(hours=2)
        return [one for one in press.mail.sent if one.confirm_token][-1]

    return do


def reads(found):
    account, subscription = found
    return (
        subscription.state.value,
        subscription.cadence.value,
        account.subscriber.language,
        account.subscriber.text_only,
    )


async def test_the_yes_of_somebody_subscribed_applies_what_they_wished(press, wish):
    account, old = await press.subscribing.confirm((await wish()).confirm_token, press.now)
    press.now += timedelta(days=1)
    letter = await wish(Cadence.WEEKLY, "ru", text_only=True)
    assert letter.reader_lang == "az"  # they read that, until they say otherwise
    assert reads(await press.subscribing.preview(letter.confirm_token, press.now)) == ("pending", "weekly", "ru", True)
    now = await press.subscribing.account("manage", account.manage_token, press.now)
    assert [(one.id, one.cadence) for one in now.subscriptions] == [(old.id, Cadence.IMMEDIATE)]
    for _ in range(2):
        found = await press.subscribing.confirm(letter.confirm_token, press.now)
        assert reads(found) == ("active", "weekly", "ru", True)
        assert found[1].consent_text == "weekly ru"
        assert len(found[0].subscriptions) == 1
    assert reads(await press.subscribing.preview(letter.confirm_token, press.now)) == ("active", "weekly", "ru", True)
    await press.send()
    assert kinds(press).count("welcome") == 1


async def test_a_button_pressed_several_times_at_once_is_one_yes_and_one_welcome(press, wish):
    await press.subscribing.confirm((await wish()).confirm_token, press.now)
    press.now += timedelta(days=1)
    for letter in (await wish(Cadence.DAILY), await wish(topics=("visas",))):
        said = await asyncio.gather(*(press.subscribing.confirm(letter.confirm_token, press.now) for _ in range(3)))
        assert len({one[1].id for one in said}) == 1
    await press.send()
    assert kinds(press).count("welcome") == 2
    assert len(said[0][0].subscriptions) == 2


async def test_a_yes_pressed_again_undoes_nothing_that_was_chosen_since(press, wish):
    letter = await wish(Cadence.DAILY)
    account, subscription = await press.subscribing.confirm(letter.confirm_token, press.now)
    consent = Consent(press.now, "web:/manage", "x")
    await press.subscribing.change(account, subscription.id, cadence=Cadence.WEEKLY, consent=consent, now=press.now)
    await press.subscribing.set_reading(account, language="en")
    found = await press.subscribing.confirm(letter.confirm_token, press.now)
    assert reads(found) == ("active", "weekly", "en", False)


async def test_a_stranger_takes_no_link_of_a_waiting_sign_up_away_and_changes_nothing_of_it(press, wish):
    theirs = await wish(Cadence.IMMEDIATE, "az")
    strangers = await wish(Cadence.DAILY, "ru", text_only=True)
    assert strangers.reader_lang == "ru"
    assert reads(await press.subscribing.preview(theirs.confirm_token, press.now))[1:] == ("immediate", "az", False)
    assert reads(await press.subscribing.confirm(theirs.confirm_token, press.now)) == (
        "active",
        "immediate",
        "az",
        False,
    )


async def test_a_link_of_before_letters_had_wishes_works(press, wish):
    await wish()
    async with press.database.reading() as session:
        who = await subscriptions.find(session, ChannelKind.EMAIL, "citizen@example.org")
        [waiting] = await subscriptions.of(session, who.id)
    token = press.tokens.sign("confirm", waiting.id, press.now + timedelta(days=1))
    assert (await press.subscribing.preview(token, press.now))[1] == waiting
    assert reads(await press.subscribing.confirm(token, press.now))[0] == "active"


async def test_who_left_while_they_rested_and_signs_up_anew_is_back(press, wish):
    account, _ = await press.subscribing.confirm((await wish()).confirm_token, press.now)
    account = await press.subscribing.rest(account, None, now=press.now)
    await press.subscribing.end_all(account, reason="unsubscribed", now=press.now)
    account, _ = await press.subscribing.confirm((await wish(topics=("visas",))).confirm_token, press.now)
    assert account.subscriber.state == "active"


async def test_who_rests_and_wants_one_topic_more_rests_on(press, wish):
    account, _ = await press.subscribing.confirm((await wish()).confirm_token, press.now)
    await press.subscribing.rest(account, None, now=press.now)
    account, _ = await press.subscribing.confirm((await wish(topics=("visas",))).confirm_token, press.now)
    assert account.subscriber.is_resting


async def test_while_many_sign_up_everybody_still_gets_a_first_letter_and_nobody_a_second(press):
    consent = Consent(press.now, "web", "x")
    for address in ("a@example.org", "b@example.org", "a@example.org"):
        await press.subscribing.ask(
            address,
            filter_=Filter(),
            language="az",
            cadence=Cadence.IMMEDIATE,
            consent=consent,
            now=press.now,
            busy=True,
        )
        await press.send()
        press.now += timedelta(hours=3)
    assert [letter.address for letter in press.mail.sent] == ["a@example.org", "b@example.org"]


async def test_a_welcome_comes_once_and_by_the_button_alone(press, ask):
    await ask()
    token = press.mail.sent[0].confirm_token
    for _ in range(2):
        await press.subscribing.preview(token, press.now)
        await press.send()
    assert kinds(press) == ["confirmation"]
    for _ in range(3):
        await press.subscribing.confirm(token, press.now)
        await press.send()
    assert kinds(press) == ["confirmation", "welcome"]


@pytest.mark.parametrize(("reason", "asked"), [(one, one.may_be_asked) for one in Suppressed])
async def test_their_own_yes_takes_an_address_off_the_list_and_who_may_not_be_asked_gets_no_letter(
    press, ask, reason, asked
):
    fingerprint = press.tokens.fingerprint("address", "citizen@example.org")
    async with press.database.writing() as session:
        await suppressions.add(session, fingerprint, reason, press.now)
    await ask("Citizen@Example.org")
    assert kinds(press) == (["confirmation"] if asked else [])
    if asked:
        await press.subscribing.confirm(press.mail.sent[0].confirm_token, press.now)
    async with press.database.reading() as session:
        assert await suppressions.has(session, fingerprint) is (None if asked else reason)


async def test_the_newest_wish_decides_how_somebody_reads_who_is_not_subscribed_and_no_strangers_for_who_is(press):
    async def wish(language, text_only):
        await press.subscribing.ask(
            "citizen@example.org",
            filter_=Filter(),
            language=language,
            cadence=Cadence.DAILY,
            consent=Consent(press.now, "web", "x"),
            now=press.now,
            text_only=text_only,
        )
        await press.send()
        press.now += timedelta(hours=2)
        return press.mail.sent[-1]

    await wish("az", text_only=False)
    letter = await wish("ru", text_only=True)
    account, subscription = await press.subscribing.confirm(letter.confirm_token, press.now)
    assert (account.subscriber.language, account.subscriber.text_only) == ("ru", True)
    assert subscription.cadence is Cadence.DAILY
    await wish("en", text_only=False)
    account = await press.subscribing.account("manage", account.manage_token, press.now)
    assert (account.subscriber.language, account.subscriber.text_only) == ("ru", True)


async def test_leaving_ends_all_keeps_the_record_and_can_be_repeated(press, ask):
    await ask()
    account, _ = await press.subscribing.confirm(press.mail.sent[0].confirm_token, press.now)
    for _ in range(2):
        account = await press.subscribing.end_all(account, reason="one-click", now=press.now)
        assert account.subscriptions == []
    assert await press.subscribing.confirm(press.mail.sent[0].confirm_token, press.now) is None


async def test_nobody_ends_or_changes_what_belongs_to_another(press, ask):
    await ask("a@example.org")
    await ask("b@example.org")
    first, second = [(await press.subscribing.confirm(one.confirm_token, press.now))[0] for one in press.mail.sent]
    theirs = second.subscriptions[0].id
    consent = Consent(press.now, "web", "x")
    await press.subscribing.end(first, theirs, reason="x", now=press.now)
    await press.subscribing.change(first, theirs, filter_=Filter(topics=("visas",)), consent=consent, now=press.now)
    again = await press.subscribing.account("manage", second.manage_token, press.now)
    assert again.subscriptions == second.subscriptions


async def test_changing_topics_keeps_the_history(press, ask):
    await ask()
    account, subscription = await press.subscribing.confirm(press.mail.sent[0].confirm_token, press.now)
    consent = Consent(press.now, "web", "x")
    account = await press.subscribing.change(
        account, subscription.id, filter_=Filter(topics=("visas",)), consent=consent, now=press.now
    )
    assert [(s.filter, s.state) for s in account.subscriptions] == [("topic=visas", SubscriptionState.ACTIVE)]


@pytest.mark.parametrize(
    "address", ["", "a", "a@", "@b.az", "a@b", "a b@c.az", "a@b.az\r\nBcc: x@y.az", "x" * 300 + "@b.az"]
)
async def test_what_is_no_address_is_refused_with_one_line(press, ask, address):
    with pytest.raises(BadAddress) as caught:
        await ask(address)
    assert "\n" not in str(caught.value)


async def test_a_chat_has_one_subscription_and_comes_back_with_its_topics_after_blocking(press):
    account = await press.subscribing.chat(7, language="ru", now=press.now)
    consent = Consent(press.now, "telegram", "/start")
    account = await press.subscribing.choose(account, Filter(topics=("visas",)), consent=consent, now=press.now)
    account = await press.subscribing.choose(account, Filter(topics=("office",)), consent=consent, now=press.now)
    assert [s.filter for s in account.subscriptions] == ["topic=office"]
    await press.subscribing.blocked(7, reason="kicked")
    await press.publish(press.change(lang="ru", topics=("office",)))
    assert press.telegram.sent == []
    account = await press.subscribing.chat(7, language="en", now=press.now)
    assert (account.subscriber.state, account.subscriber.language) == ("active", "ru")
    assert [s.filter for s in account.subscriptions] == ["topic=office"]
    account = await press.subscribing.choose(account, None, consent=consent, now=press.now)
    assert account.subscriptions == []
