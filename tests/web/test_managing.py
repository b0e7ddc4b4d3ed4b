"""All that a reader changes without a password: how often, when not, where to, and what is kept."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, event, insert, select

from syndicator.domain.bounces import Suppressed
from syndicator.domain.model import Cadence, DeliveryState, MessageKind, Priority, SubscriptionState
from syndicator.store import ledger, suppressions
from syndicator.store.tables import DELIVERY, READDRESSED
from syndicator.web.choices import pause_until, zones
from tests.web.people import ONE_CLICK, change, fill, hidden

BAKU = ZoneInfo("Asia/Baku")


# -- how often, and in which form
@pytest.mark.parametrize("cadence", list(Cadence))
async def test_signing_up_keeps_how_often_and_in_which_form(visitor, clock, people, cadence):
    await fill(visitor, clock, cadence=cadence.value, text_only="yes")
    [wish] = await people.live()
    assert wish.cadence is cadence
    assert (await people.reader()).text_only


async def test_a_sign_up_with_a_cadence_that_there_is_not_comes_back_filled(visitor, clock, people):
    answer = await fill(visitor, clock, cadence="hourly", q="sarven", text_only="yes")
    page = await answer.text()
    assert answer.status == 422
    assert 'id="cadence-error"' in page
    assert 'value="sarven"' in page
    assert re.search(r'id="text_only" value="yes" checked', page)
    assert await people.live() == []


@pytest.mark.parametrize("lang", ["az", "en", "ru"])
async def test_wherever_one_chooses_how_often_it_says_that_what_is_urgent_comes_at_once(visitor, people, parts, lang):
    said = parts.texts(lang)("Whatever you choose, urgent news comes at once.")
    someone, _ = await people.join(language=lang)
    for page in (f"/{lang}/subscribe", people.link("manage", someone.id)):
        assert said in unescape(await visitor.text(page))


async def test_the_pace_of_a_subscription_is_changed_with_a_new_record_of_consent(visitor, people):
    someone, old = await people.join(language="en")
    await change(visitor, people, someone, action="change", subscription=str(old.id), topic="visas", cadence="weekly")
    [new] = await people.live()
    assert (new.filter, new.cadence) == ("topic=visas", Cadence.WEEKLY)
    assert new.consent_text.endswith("Visas. Once a week, in one letter.")
    assert "Once a week, in one letter; since" in await visitor.text(people.link("manage", someone.id))


async def test_what_was_ticked_and_typed_comes_back_where_a_change_cannot_be(visitor, people):
    someone, old = await people.join(language="en")
    fields = {"topic": "office", "q": "!!", "cadence": "daily"}
    answer = await change(visitor, people, someone, action="change", subscription=str(old.id), **fields)
    page = await answer.text()
    assert answer.status == 422
    for kept in (
        'value="office" checked',
        'value="!!"',
        'value="daily" checked',
        f'href="#q{old.id}"',
        "<details open",
    ):
        assert kept in page
    assert 'value="visas" checked' not in page


async def test_plain_text_and_the_time_zone_are_kept_and_a_zone_that_is_not_offered_is_not(visitor, people):
    someone, _ = await people.join()
    settings = {"action": "reading", "language": "az", "other": "urgent"}
    await change(visitor, people, someone, **settings, timezone="Europe/Berlin", text_only="yes")
    reader = await people.reader()
    assert (reader.timezone, reader.text_only, reader.language) == ("Europe/Berlin", True, "az")
    assert re.search('value="Europe/Berlin" selected', await visitor.text(people.link("manage", someone.id)))
    await change(visitor, people, someone, **settings, timezone="Moon/Base")
    reader = await people.reader()
    assert (reader.timezone, reader.text_only) == ("Europe/Berlin", False)


def test_the_offices_zone_stands_first_then_the_readers_and_the_rest_from_west_to_east(texts, now):
    offered = zones("Asia/Baku", "Indian/Chagos", texts("en"), now)
    assert offered[:3] == [
        ("Asia/Baku", "Baku (UTC+4)"),
        ("Indian/Chagos", "Chagos (UTC+6)"),
        ("Pacific/Honolulu", "Honolulu (UTC\N{MINUS SIGN}10)"),
    ]
    assert dict(offered)["Asia/Kathmandu"] == "Kathmandu (UTC+5:45)"
    assert dict(zones("Asia/Baku", "Asia/Baku", texts("ru"), now))["Europe/Kyiv"].startswith("Киев")
    assert len({name for name, _ in offered}) == len(offered)


# -- a pause
NOW = datetime(2026, 11, 22, 21, 30, tzinfo=UTC)  # it is the 23rd in Baku


@pytest.mark.parametrize(
    ("span", "written", "until"),
    [
        ("week", "", datetime(2026, 11, 30, tzinfo=BAKU)),
        ("month", "2026-01-01", datetime(2026, 12, 23, tzinfo=BAKU)),
        ("date", "2026-11-24", datetime(2026, 11, 24, tzinfo=BAKU)),
        ("open", "", None),
    ],
)
def test_a_pause_ends_with_the_beginning_of_a_day_of_the_readers_own_clock(span, written, until):
    assert pause_until(span, written, BAKU, NOW) == until


@pytest.mark.parametrize(
    ("span", "written"),
    [("date", "2026-11-23"), ("date", "2026-11-22"), ("date", ""), ("date", "soon"), ("date", "2029-01-01"), ("", "")],
)
def test_a_pause_that_has_no_such_end_is_refused(span, written):
    with pytest.raises(ValueError, match="no day"):
        pause_until(span, written, BAKU, NOW)


async def test_a_pause_is_asked_for_told_and_ended_by_its_button(visitor, people, clock):
    someone, _ = await people.join(language="en")
    day = (clock() + timedelta(days=10)).date()
    answer = await change(visitor, people, someone, action="pause", span="date", until=day.isoformat())
    page = await visitor.text(answer.headers["Location"])
    assert "It goes on by itself on:" in page
    reader = await people.reader()
    assert (reader.is_resting, reader.resume_at.astimezone(BAKU).date()) == (True, day)
    await change(visitor, people, someone, action="resume")
    assert not (await people.reader()).is_paused
    answer = await change(visitor, people, someone, action="pause", span="open")
    assert "until you press the button" in await visitor.text(answer.headers["Location"])


async def test_a_day_that_cannot_be_is_said_beside_the_field_and_stays_there(visitor, people):
    someone, _ = await people.join(language="en")
    answer = await change(visitor, people, someone, action="pause", span="date", until="2020-01-01")
    page = await answer.text()
    assert answer.status == 422
    for kept in ('id="until-error"', 'value="2020-01-01"', 'value="date" checked', 'href="#until"'):
        assert kept in page
    assert not (await people.reader()).is_paused


# -- another address
async def questions(people):
    """The questions to new addresses, by message."""
    await people.heard()
    async with people.database.reading() as session:
        return list(await session.scalars(select(READDRESSED.c.message_id)))


async def test_another_address_is_asked_by_mail_and_moves_with_its_button(visitor, people):
    someone, _ = await people.join(language="en")
    answer = await change(visitor, people, someone, action="address", email="New@Example.org")
    assert "Open the link in it" in await visitor.text(answer.headers["Location"])
    [number] = await questions(people)
    link = people.link("address", number, days=7)
    assert "new@example.org" in await visitor.text(link)
    assert (await people.reader()).id == someone.id
    for _ in range(2):
        assert "From now on our letters go to new@example.org." in await (await visitor.post(link)).text()
    assert (await people.reader("new@example.org")).id == someone.id
    assert await people.reader() is None


async def test_what_is_done_and_answered_tells_nobody_whose_the_new_address_is(visitor, clock, people):
    """Not one statement more or less, so that the time until the answer tells nothing either."""
    someone, _ = await people.join()
    await people.join("active@example.org")
    await people.join("waits@example.org", state=SubscriptionState.PENDING)
    paused, _ = await people.join("paused@example.org")
    await people.pause(paused)
    async with people.database.writing() as session:
        for who, reason in (("bounced", Suppressed.BOUNCED), ("blocked", Suppressed.BLOCKED)):
            await suppressions.add(session, people.tokens.fingerprint("address", f"{who}@example.org"), reason, clock())
    link = people.link("manage", someone.id)
    form = hidden(await visitor.text(link), "form")
    said, asked = [], {}

    def hear(connection, cursor, statement, *rest):
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", hear)
    for who in ("nobody", "active", "waits", "paused", "bounced", "blocked"):
        said.clear()
        answer = await visitor.post(link, {"form": form, "action": "address", "email": f"{who}@example.org"})
        asked[who] = (answer.status, answer.headers["Location"], await answer.read(), tuple(said))
    event.remove(Engine, "before_cursor_execute", hear)
    assert len(set(map(str, asked.values()))) == 1
    assert asked["nobody"][:2] == (303, f"{link}?done=asked")
    assert any("INSERT INTO application" in one for one in asked["nobody"][3])


@pytest.mark.parametrize("email", ["", "nobody", "ayla@example.org", "AYLA@example.org", "a@b.org\r\nBcc: x@y.org"])
async def test_an_address_that_cannot_be_asked_is_said_beside_the_field(visitor, people, email):
    someone, _ = await people.join(language="en")
    answer = await change(visitor, people, someone, action="address", email=email)
    assert answer.status == 422
    assert 'id="email-error"' in await answer.text()
    assert await questions(people) == []


async def test_asking_addresses_without_end_is_told_when_to_come_back(visitor, people):
    someone, _ = await people.join(language="en")
    answers = [
        await change(visitor, people, someone, action="address", email=f"p{number}@example.org") for number in range(21)
    ]
    assert [one.status for one in answers] == [303] * 20 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert 'value="p20@example.org"' in await answers[-1].text()


# -- one or all
async def test_the_way_out_ends_only_one_where_that_is_wanted_and_shows_the_way_back(visitor, people):
    someone, first = await people.join(text="topic=visas&q=qayda", language="en")
    await people.join(text="topic=office", language="en")
    link = people.link("unsubscribe", someone.id)
    page = await visitor.text(link)
    assert page.count('name="only"') == 2
    answer = await visitor.post(link, {"only": str(first.id)})
    page = unescape(await answer.text())
    assert (answer.status, [one.filter for one in await people.live()]) == (200, ["topic=office"])
    assert "/en/subscribe?topic=visas&q=qayda" in page
    assert "Visas" in page
    assert (await visitor.post(link, {"only": str(first.id)})).status == 200
    assert len(await people.live()) == 1
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert (await visitor.post(link, {"only": str((await people.live())[0].id)}, headers=foreign)).status == 403
    await visitor.post(link, ONE_CLICK)
    assert await people.live() == []


async def test_coming_back_needs_a_new_yes(visitor, people, clock):
    someone, _ = await people.join(language="en")
    await visitor.post(people.link("unsubscribe", someone.id), ONE_CLICK)
    await fill(visitor, clock, topic="visas")
    assert [one.state for one in await people.live()] == [SubscriptionState.PENDING]


# -- what is kept
async def told(people, newsroom, someone, subscription, state=DeliveryState.SENT):
    """A release that went out to them."""
    release = await newsroom.publish("Visa fees change", topics=("visas",))
    now = people.clock()
    async with people.database.writing() as session:
        message = await ledger.announce(
            session, release.number, kind=MessageKind.RELEASE, major=0, priority=Priority.NORMAL, now=now
        )
        row = {"message_id": message.id, "subscriber_id": someone.id, "subscription_id": subscription.id}
        times = {"due_at": now, "settled_at": now}
        await session.execute(insert(DELIVERY).values(**row, **times, lang="en", state=state, answer={}))
    return release


async def test_what_was_sent_and_why_is_shown_in_words(visitor, people, newsroom):
    someone, subscription = await people.join(language="en")
    assert "We have sent you nothing yet." in await visitor.text(people.link("manage", someone.id) + "/sent")
    await told(people, newsroom, someone, subscription)
    page = await visitor.text(people.link("manage", someone.id) + "/sent")
    for said in ("A release", "Visa fees change", "was sent", "Because you subscribed to", "<dd>Visas</dd>"):
        assert said in page


async def test_all_that_is_kept_can_be_taken_along_as_a_file(visitor, people, newsroom):
    someone, subscription = await people.join(language="en")
    await told(people, newsroom, someone, subscription)
    answer = await visitor.get(people.link("manage", someone.id) + "/data.json")
    held = json.loads(await answer.text())
    assert held["subscriber"]["address"] == "ayla@example.org"
    assert held["subscriber"]["text_only"] is False
    assert held["subscriptions"]["newest"][0]["consent"]["text"] == "yes"
    assert held["deliveries"]["newest"][0]["releases"][0]["title"] == "Visa fees change"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="data.json"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert "noindex" in answer.headers["X-Robots-Tag"]


async def test_erasing_says_what_stays_and_keeps_the_address_out_of_files(visitor, people, tokens):
    someone, _ = await people.join(language="en")
    link = people.link("manage", someone.id) + "/erase"
    page = await visitor.text(link)
    assert "What stays" in page
    answer = await visitor.post(link, {"form": hidden(page, "form")})
    assert "Your data were erased" in await answer.text()
    assert "ayla" not in (await answer.text())
    assert await people.reader() is None
    async with people.database.reading() as session:
        kept = await suppressions.has(session, tokens.fingerprint("address", "ayla@example.org"))
    assert kept is Suppressed.ERASED
    assert (await visitor.get(link)).status == 404


async def test_whoever_was_erased_signs_up_again_by_their_own_yes(visitor, people, clock, tokens):
    someone, _ = await people.join(language="en")
    link = people.link("manage", someone.id) + "/erase"
    await visitor.post(link, {"form": hidden(await visitor.text(link), "form")})
    await fill(visitor, clock)
    [wish] = await people.live()
    assert (await visitor.post(people.link("confirm", wish.id, days=7))).status == 200
    async with people.database.reading() as session:
        assert await suppressions.has(session, tokens.fingerprint("address", "ayla@example.org")) is None


async def test_an_erased_persons_waiting_sign_up_is_forgotten_too(visitor, people, clock):
    someone, _ = await people.join(language="en")
    await fill(visitor, clock, topic="office")
    link = people.link("manage", someone.id) + "/erase"
    await visitor.post(link, {"form": hidden(await visitor.text(link), "form")})
    assert await people.reader() is None
