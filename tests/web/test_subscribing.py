"""Signing up, confirming, managing and leaving, as people and their mail programs do it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import Engine, event, select

from syndicator.domain.bounces import Suppressed
from syndicator.domain.model import Cadence, OtherLanguage, SubscriptionState
from syndicator.store import ledger, suppressions
from syndicator.store.tables import MESSAGE
from syndicator.web.limits import ALL
from syndicator.web.subscribe import LIMITS
from tests.web.people import ONE_CLICK, change, fill, hidden


# -- signing up
async def test_signing_up_keeps_the_wish_and_the_very_words_agreed_to(visitor, clock, people):
    page = await visitor.text("/ru/subscribe")
    answer = await fill(visitor, clock, "ru", topic="visas", q="Сарвен", language="az")
    assert answer.status == 200
    assert "Проверьте почту" in await answer.text()
    [wish] = await people.live()
    assert (wish.state, wish.filter) == (
        SubscriptionState.PENDING,
        "topic=visas&q=%D1%81%D0%B0%D1%80%D0%B2%D0%B5%D0%BD",
    )
    assert wish.consent_text in unescape(page)
    assert "Миграционная служба" in wish.consent_text
    assert (wish.consent_at, wish.consent_source) == (clock(), "web:/ru/subscribe")
    assert (await people.reader()).language == "az"


async def test_known_and_unknown_addresses_see_the_same_page(visitor, clock, people):
    await people.join("known@example.org", "")
    answers = [await fill(visitor, clock, email=who) for who in ("new@example.org", "known@example.org")]
    assert [answer.status for answer in answers] == [200, 200]
    assert await answers[0].read() == await answers[1].read()


async def test_what_is_done_before_the_answer_is_the_same_for_every_kind_of_address(visitor, clock, people, parts):
    """Not one statement more or less, so that the time until the answer tells nothing either."""
    await people.join("active@example.org")
    await people.join("waits@example.org", state=SubscriptionState.PENDING)
    someone, _ = await people.join("paused@example.org")
    await people.pause(someone)
    async with people.database.writing() as session:
        for who, reason in (("bounced", Suppressed.BOUNCED), ("blocked", Suppressed.BLOCKED)):
            await suppressions.add(session, people.tokens.fingerprint("address", f"{who}@example.org"), reason, clock())
    page = await visitor.text("/en/subscribe")
    clock.move(seconds=5)
    said, asked = [], {}

    def hear(connection, cursor, statement, *rest):
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", hear)
    for who in ("nobody", "active", "waits", "paused", "bounced", "blocked"):
        said.clear()
        fields = {"made": hidden(page, "made"), "email": f"{who}@example.org", "language": "en"}
        answer = await visitor.post("/en/subscribe", fields)
        asked[who] = (answer.status, await answer.read(), tuple(said), sorted(answer.headers))
    event.remove(Engine, "before_cursor_execute", hear)
    assert len(set(map(str, asked.values()))) == 1
    assert any("INSERT INTO application" in one for one in asked["nobody"][2])


async def test_a_robot_is_told_what_everybody_is_told_and_nothing_happens(visitor, clock, people):
    answer = await fill(visitor, clock, website="http://spam.example")
    human = await fill(visitor, clock, email="human@example.org")
    assert (answer.status, await answer.read()) == (200, await human.read())
    assert await people.live() == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"email": ""}, "email"),
        ({"email": "nobody"}, "email"),
        ({"email": "a@b@c.org"}, "email"),
        ({"email": "a@example.org\r\nBcc: x@example.org"}, "email"),
        ({"email": '"><script>alert(1)</script>@example.org'}, "email"),
        ({"topic": "nothing"}, "words"),
        ({"q": "!!"}, "words"),
        ({"language": "xx"}, "language"),
    ],
)
async def test_what_is_wrong_is_said_beside_the_field_and_nothing_typed_is_lost(visitor, clock, people, fields, field):
    answer = await fill(visitor, clock, **{"email": "ayla@example.org", "q": "sarven", **fields})
    text = await answer.text()
    assert answer.status == 422
    assert f'id="{field}-error"' in text
    assert re.search(rf'aria-describedby="[^"]*{field}-error"', text)
    assert "<script>" not in text
    assert await people.live() == []
    if "q" not in fields:
        assert 'value="sarven"' in text


@pytest.mark.parametrize("wait", [{"seconds": 0}, {"seconds": 1}, {"hours": 25}])
async def test_a_form_sent_too_soon_or_too_late_is_asked_for_once_more(visitor, clock, people, wait):
    made = hidden(await visitor.text("/en/subscribe"), "made")
    clock.move(**wait)
    answer = await visitor.post("/en/subscribe", {"made": made, "email": "ayla@example.org"})
    assert answer.status == 422
    again = hidden(await answer.text(), "made")
    clock.move(seconds=3)
    assert (await visitor.post("/en/subscribe", {"made": again, "email": "ayla@example.org"})).status == 200
    assert len(await people.live()) == 1


@pytest.mark.parametrize("made", ["", "x" * 40, "../../etc"])
async def test_a_form_we_never_made_is_not_taken(visitor, people, made):
    assert (await visitor.post("/en/subscribe", {"made": made, "email": "ayla@example.org"})).status == 422
    assert await people.live() == []


async def test_too_many_asks_from_one_place_are_told_when_to_come_back(visitor, clock, people):
    for number in range(20):
        assert (await fill(visitor, clock, email=f"p{number}@example.org")).status == 200
    answer = await fill(visitor, clock, email="late@example.org", topic="visas", q="sarven")
    assert answer.status == 429
    wait = int(answer.headers["Retry-After"])
    assert 0 < wait <= 600
    assert await people.live("late@example.org") == []
    form = await answer.text()  # nothing typed is lost: the same form can be sent again
    assert 'role="alert"' in form
    for kept in ('value="late@example.org"', 'value="visas" checked', 'value="sarven"'):
        assert kept in form
    clock.move(seconds=wait)
    again = {"made": hidden(form, "made"), "email": "late@example.org", "language": "en"}
    assert (await visitor.post("/en/subscribe", again)).status == 200


async def test_one_visitor_behind_the_usual_proxy_is_not_another(visitor, clock):
    page = await visitor.text("/en/subscribe")
    clock.move(seconds=5)

    async def send(number, who):
        fields = {"made": hidden(page, "made"), "email": f"p{number}@example.org", "language": "en"}
        return (await visitor.post("/en/subscribe", fields, headers={"X-Forwarded-For": who})).status

    assert [await send(number, "1.1.1.1, 198.51.100.1:4000") for number in range(21)] == [200] * 20 + [429]
    assert await send(30, "198.51.100.2") == 200


async def test_a_crowd_refuses_nobody_the_sign_up_and_gives_nobody_a_second_letter(parts, open_site, clock, people):
    parts = replace(parts, trusted_proxies=())
    visitor = await open_site(parts)
    page = await visitor.text("/en/subscribe")
    clock.move(seconds=5)

    async def send(email, number):
        fields = {"made": hidden(page, "made"), "email": email, "language": "en"}
        who = {"X-Forwarded-For": f"198.51.{number // 250}.{number % 250}"}
        return (await visitor.post("/en/subscribe", fields, headers=who)).status

    assert await send("victim@example.org", 0) == 200
    await people.heard()
    clock.move(hours=2)
    visitor.client.server.app[LIMITS]._newest.extend([clock()] * ALL.turns)
    assert await send("victim@example.org", 1) == 200
    assert await send("citizen@example.org", 2) == 200
    await people.heard()
    async with people.database.reading() as session:
        assert dict(await ledger.counts(session)) == {("email", "due"): 2}


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://press.example.org"},
        {"Origin": "null"},
    ],
)
async def test_a_form_from_another_site_is_refused(visitor, people, headers):
    answer = await visitor.post("/en/subscribe", {"email": "ayla@example.org"}, headers=headers)
    assert answer.status == 403
    assert await people.live() == []


async def test_a_form_that_is_too_large_or_no_form_is_refused(visitor):
    assert (await visitor.post("/en/subscribe", {"email": "x" * 20_000})).status == 413
    assert (await visitor.post("/en/subscribe", b"{}", headers={"Content-Type": "application/json"})).status == 400
    bad = {"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"}
    assert (await visitor.post("/en/subscribe", b"a=b", headers=bad)).status == 400


async def test_the_form_comes_filled_from_a_link(visitor):
    text = await visitor.text("/en/subscribe?topic=visas,office&q=sarven&kind=notice&not=refugees")
    for slug in ("visas", "office"):
        assert re.search(rf'value="{slug}" checked', text)
    assert 'value="sarven"' in text
    assert hidden(text, "not") == "refugees"
    assert hidden(text, "kind") == "notice"


@pytest.mark.parametrize("lang", ["az", "ru"])
@pytest.mark.parametrize(
    "fields",
    [
        {"q": "!!"},
        {"q": " ".join(f"a{n}z" for n in range(11))},
        {"topic": "gone"},
        {"topic": "Bad slug!"},
        {"q": "x" * 3000},
    ],
    ids=["no letter", "too many words", "unknown topic", "no topic at all", "too long"],
)
async def test_what_is_wrong_with_a_selection_is_said_in_the_readers_own_words(visitor, clock, people, lang, fields):
    someone, old = await people.join(language=lang)
    answers = {
        "sign-up": await fill(visitor, clock, lang, **fields),
        "manage": await change(visitor, people, someone, action="change", subscription=str(old.id), **fields),
        "search": await visitor.get(f"/{lang}/search", params=fields),
        "filled form": await visitor.get(f"/{lang}/subscribe", params=fields),
    }
    assert {name: answer.status for name, answer in answers.items()} == {
        "sign-up": 422,
        "manage": 422,
        "search": 400,
        "filled form": 400,
    }
    for name, answer in answers.items():
        text = unescape(await answer.text())
        for english in ("allowed", "q:", "topic:", "filter:", "refugees, visas", "unknown", "selection"):
            assert english not in text, (name, english)


async def test_how_long_the_link_works_is_said_as_it_is_set(parts, open_site, clock):
    visitor = await open_site(replace(parts, confirm_for=timedelta(days=3)))
    assert "Ссылка действует 3 дня." in await (await fill(visitor, clock, "ru")).text()


# -- confirming
async def test_following_the_confirm_link_changes_nothing_and_pressing_the_button_does(visitor, people):
    _, wish = await people.join(state=SubscriptionState.PENDING)
    link = people.link("confirm", wish.id, days=7)
    for _ in range(2):
        text = await visitor.text(link)
        assert (await visitor.head(link)).status == 200
        assert "ayla@example.org" in text
        assert "Визы" in text
        assert '<form method="post">' in text
    assert [s.state for s in await people.live()] == [SubscriptionState.PENDING]
    for _ in range(2):
        answer = await visitor.post(link)
        assert answer.status == 200
        assert "/manage/" in await answer.text()
    assert [s.state for s in await people.live()] == [SubscriptionState.ACTIVE]


@pytest.mark.parametrize("method", ["get", "post"])
async def test_an_expired_or_forged_confirm_link_says_how_to_start_again(visitor, people, clock, method):
    _, wish = await people.join(state=SubscriptionState.PENDING)
    link = people.link("confirm", wish.id, days=7)
    clock.move(days=7)
    forged = link[:-1] + ("A" if link[-1] != "A" else "B")
    for path in (link, forged, "/confirm/x", "/confirm/" + "é" * 40, people.link("manage", wish.id)):
        answer = await getattr(visitor, method)(
            path.replace("/manage/", "/confirm/"), headers={"Accept-Language": "en"}
        )
        assert answer.status == 410
        assert "/en/subscribe" in await answer.text()
    assert [s.state for s in await people.live()] == [SubscriptionState.PENDING]


async def test_a_reader_whose_mail_bounced_is_asked_on_the_confirm_page_and_is_back_with_the_button(visitor, people):
    someone, wish = await people.join()
    await people.pause(someone)
    link = people.link("confirm", wish.id, days=7)
    assert '<form method="post">' in await visitor.text(link)
    assert (await people.reader()).is_paused
    answer = await visitor.post(link)
    assert "/manage/" in await answer.text()
    assert not (await people.reader()).is_paused


async def test_a_reader_who_wants_the_same_topics_otherwise_is_asked_and_gets_them_so_with_the_button(
    visitor, clock, people
):
    _, held = await people.join(cadence=Cadence.IMMEDIATE, language="en")
    clock.move(hours=1)
    await fill(visitor, clock, topic="visas", cadence="weekly", language="en")
    await people.heard()
    async with people.database.reading() as session:
        letter = await session.scalar(select(MESSAGE.c.id).where(MESSAGE.c.subscription_id == held.id))
    link = people.link("opt-in", letter, days=7).replace("/opt-in/", "/confirm/")
    asked = await visitor.text(link)
    assert '<form method="post">' in asked
    assert "Once a week" in asked
    assert [one.cadence for one in await people.live()] == [Cadence.IMMEDIATE]
    for text in (await (await visitor.post(link)).text(), await visitor.text(link)):
        assert "You are subscribed" in text
        assert "Once a week" in text
    assert [one.cadence for one in await people.live()] == [Cadence.WEEKLY]


# -- leaving
async def test_following_the_unsubscribe_link_changes_nothing(visitor, people):
    someone, _ = await people.join()
    link = people.link("unsubscribe", someone.id)
    for _ in range(2):
        text = await visitor.text(link)
        assert (await visitor.head(link)).status == 200
        assert 'lang="ru"' in text
        assert hidden(text, "List-Unsubscribe") == "One-Click"
    assert len(await people.live()) == 1


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "https://mail.example", "Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
async def test_one_click_unsubscribe_ends_everything_from_anywhere_twice(visitor, people, headers):
    someone, _ = await people.join(text="topic=visas")
    await people.join(text="topic=office")
    link = people.link("unsubscribe", someone.id)
    for _ in range(2):
        assert (await visitor.post(link, ONE_CLICK, headers=headers)).status == 200
        assert await people.live() == []


async def test_one_click_unsubscribe_may_come_as_multipart(visitor, people):
    someone, _ = await people.join()
    body = '--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert (await visitor.post(people.link("unsubscribe", someone.id), body.encode(), headers=headers)).status == 200
    assert await people.live() == []


async def test_a_post_without_the_words_of_one_click_changes_nothing(visitor, people):
    someone, _ = await people.join()
    assert (await visitor.post(people.link("unsubscribe", someone.id), {"a": "b"})).status == 400
    assert len(await people.live()) == 1


@pytest.mark.parametrize("purpose", ["unsubscribe", "manage"])
async def test_a_forged_link_opens_nothing(visitor, people, purpose):
    someone, _ = await people.join()
    other = "manage" if purpose == "unsubscribe" else "unsubscribe"
    for path in (f"/{purpose}/{'x' * 40}", people.link(other, someone.id).replace(other, purpose)):
        for answer in (await visitor.get(path), await visitor.post(path, ONE_CLICK)):
            assert answer.status == 404
            text = await answer.text()
            assert "/az/subscribe" in text
            assert "ayla" not in text
    assert len(await people.live()) == 1


# -- managing
async def test_the_manage_page_says_in_words_what_one_gets(visitor, people):
    someone, _ = await people.join(text="topic=refugees,visas&q=sarven", language="en")
    text = await visitor.text(people.link("manage", someone.id))
    assert "Refugees, Visas; with the words “sarven”" in unescape(text)


async def test_a_paused_reader_is_told_so_and_only_the_button_resumes(visitor, people):
    someone, old = await people.join(language="en")
    link = people.link("manage", someone.id)
    assert "Resume sending" not in await visitor.text(link)
    await people.pause(someone)
    text = await visitor.text(link)
    assert "Sending is paused" in text
    assert "At once" not in text.partition("<details")[0]
    await change(visitor, people, someone, action="change", subscription=str(old.id), topic="office")
    await change(visitor, people, someone, action="reading", language="en", other="always")
    assert (await people.reader()).is_paused
    answer = await change(visitor, people, someone, action="resume")
    text = await visitor.text(answer.headers["Location"])
    assert "Sending goes on from now." in text
    assert "At once, each release by itself; since" in text
    assert not (await people.reader()).is_paused


async def test_a_subscription_is_changed_with_a_new_record_of_consent(visitor, people):
    someone, old = await people.join(text="topic=visas&kind=notice&lang=ru,az")
    fields = {"action": "change", "subscription": str(old.id), "topic": "office", "kind": "notice", "lang": "ru,az"}
    answer = await change(visitor, people, someone, **fields)
    assert answer.status == 303
    assert 'role="status"' in await visitor.text(answer.headers["Location"])
    [new] = await people.live()
    assert (new.filter, new.state) == ("lang=ru,az&topic=office&kind=notice", SubscriptionState.ACTIVE)
    assert "Ведомство" in new.consent_text


async def test_a_change_that_cannot_be_is_said_beside_the_field(visitor, people):
    someone, old = await people.join()
    answer = await change(visitor, people, someone, action="change", subscription=str(old.id), q="!!")
    assert answer.status == 422
    assert f'id="q{old.id}-error"' in await answer.text()
    assert [s.filter for s in await people.live()] == ["topic=visas"]


async def test_one_subscription_or_all_of_them_can_be_ended(visitor, people):
    someone, first = await people.join(text="topic=visas")
    await people.join(text="topic=office")
    await change(visitor, people, someone, action="end", subscription=str(first.id))
    assert [s.filter for s in await people.live()] == ["topic=office"]
    await change(visitor, people, someone, action="end-all")
    assert await people.live() == []
    assert "/ru/subscribe" in await visitor.text(people.link("manage", someone.id))


async def test_the_readers_language_and_second_choice_are_kept(visitor, people):
    someone, _ = await people.join()
    answer = await change(visitor, people, someone, action="reading", language="en", other="always")
    reader = await people.reader()
    assert (reader.language, reader.other_language) == ("en", OtherLanguage.ALWAYS)
    assert 'lang="en"' in await visitor.text(answer.headers["Location"])


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "reading", "language": "xx", "other": "always"},
        {"action": "reading", "language": "en", "other": "sometimes"},
        {"action": "end", "subscription": "999"},
        {"action": "nonsense"},
        {},
    ],
)
async def test_a_form_that_means_nothing_changes_nothing(visitor, people, fields):
    someone, _ = await people.join()
    before = (await people.live(), await people.reader())
    assert (await change(visitor, people, someone, **fields)).status == 303
    assert (await people.live(), await people.reader()) == before


async def test_nobody_can_change_what_is_somebody_elses(visitor, people):
    someone, _ = await people.join()
    _, other = await people.join("other@example.org")
    for action in ("end", "change"):
        await change(visitor, people, someone, action=action, subscription=str(other.id))
    assert [s.filter for s in await people.live("other@example.org")] == ["topic=visas"]


async def test_an_opt_in_that_waits_cannot_be_made_active_by_changing_it(visitor, people):
    someone, wish = await people.join(state=SubscriptionState.PENDING)
    await change(visitor, people, someone, action="change", subscription=str(wish.id), topic="office")
    assert [s.state for s in await people.live()] == [SubscriptionState.PENDING]


@pytest.mark.parametrize("form", ["", "x" * 40, None])
async def test_the_manage_page_takes_only_its_own_forms(visitor, people, form):
    someone, _ = await people.join()
    other, _ = await people.join("other@example.org")
    token = hidden(await visitor.text(people.link("manage", other.id)), "form") if form is None else form
    answer = await visitor.post(people.link("manage", someone.id), {"form": token, "action": "end-all"})
    assert answer.status == 403
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert (await change(visitor, people, someone, headers=foreign, action="end-all")).status == 403
    assert len(await people.live()) == 1


@pytest.mark.parametrize("purpose", ["confirm", "manage", "unsubscribe"])
async def test_private_pages_are_not_kept_indexed_referred_or_compressed(visitor, people, purpose):
    someone, wish = await people.join(state=SubscriptionState.PENDING)
    number = wish.id if purpose == "confirm" else someone.id
    answer = await visitor.get(people.link(purpose, number), headers={"Accept-Encoding": "gzip"})
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "noindex" in answer.headers["X-Robots-Tag"]
    assert "ETag" not in answer.headers
    assert "Content-Encoding" not in answer.headers


async def test_signing_up_leaves_one_confirmation_in_the_ledger(visitor, clock, people, sqlite_database):
    await fill(visitor, clock)
    await fill(visitor, clock)
    await people.heard()
    async with sqlite_database.reading() as session:
        assert dict(await ledger.counts(session)) == {("email", "due"): 1}
