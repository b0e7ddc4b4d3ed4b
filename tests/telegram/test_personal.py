"""Lists, reasons, data and erasing, through the double, with the real store."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta

import pytest

from syndicator.domain.filters import parse
from syndicator.domain.model import ChannelKind, SubscriberRole, SubscriptionState
from syndicator.pipeline.browsing import Cursor
from syndicator.store import subscriptions
from syndicator.store.releases import Place
from syndicator.store.subscriptions import Consent

LANGS = ("az", "en", "ru")


async def signed_up(agency, chat=7, filter_="topic=visas", language="en"):
    """Somebody who wants that, in that language."""
    account = await agency.subscribing.chat(chat, language=language, now=agency.clock())
    agency.double.started.add(chat)
    consent = Consent(agency.clock(), "telegram", "What should we send you?")
    return await agency.subscribing.choose(account, parse(filter_), consent=consent, now=agency.clock())


async def many(agency, count, *, topics=("visas",), **titles):
    """So many releases, an hour apart, before anybody has signed up."""
    for number in range(count):
        agency.clock.now += timedelta(hours=1)
        await agency.publish(f"r{number}", topics=topics, **{k: f"{v} {number}" for k, v in titles.items()})


def titles(message, word):
    return re.findall(rf"^{word} (\d+)$", message["text"], re.MULTILINE)


def labels(message):
    return [button["text"] for row in message["keyboard"] for button in row]


# -- what was not understood
async def test_what_is_not_understood_can_be_looked_for_at_a_press(agency):
    await agency.publish("a", en="Visa centre opens")
    asked = await agency.write(7, "visa centre", language="en")
    assert labels(asked) == ["🔎 Search for “visa centre”", "What this bot can do"]
    await agency.press(7, "🔎 Search for “visa centre”")
    assert asked["text"].startswith("🔎 visa centre\n\nVisa centre opens")


# -- the newest
async def test_the_newest_come_a_few_at_a_time_in_place_and_what_is_new_meanwhile_moves_nothing(agency):
    await many(agency, 12, en="Visas")
    await signed_up(agency)
    shown = await agency.write(7, "/latest")
    assert titles(shown, "Visas") == ["11", "10", "9", "8", "7"]
    assert "22 November 2026, 01:12" in shown["text"]  # in Baku
    assert "https://press.example.org/en/releases/12-visas-11" in shown["text"]
    await agency.publish("later", en="Visas 99")
    before = len(agency.double.seen(7))
    shown = await agency.press(7, "More ›", message=shown["id"])
    assert len(agency.double.seen(7)) == before
    shown = next(one for one in agency.double.seen(7) if one["keyboard"] and "More ›" in labels(one))
    assert titles(shown, "Visas") == ["6", "5", "4", "3", "2"]
    await agency.press(7, "More ›", message=shown["id"])
    assert titles(shown, "Visas") == ["1", "0"]
    assert labels(shown) == ["‹ To the first"]
    await agency.press(7, "To the first", message=shown["id"])
    assert titles(shown, "Visas") == ["99", "11", "10", "9", "8"]


async def test_the_newest_are_those_of_the_readers_topics_and_all_where_there_are_none(agency):
    await agency.publish("a", topics=("visas",), en="About visas")
    await agency.publish("b", topics=("refugees",), en="About refugees", az="Qaçqınlar haqqında")
    await agency.publish("c", topics=("visas",), az="Yalnız azərbaycanca")
    await signed_up(agency)
    shown = await agency.write(7, "/latest")
    assert "About visas" in shown["text"]
    assert "About refugees" not in shown["text"]
    shown = await agency.write(8, "/latest", language="en")
    assert "About visas" in shown["text"]
    assert "About refugees" in shown["text"]
    assert "Yalnız" not in shown["text"]


async def test_who_takes_any_language_is_shown_any(agency):
    await agency.publish("c", az="Yalnız azərbaycanca")
    account = await signed_up(agency)
    await agency.subscribing.set_reading(account, other_language="always")
    shown = await agency.write(7, "/latest")
    assert "Yalnız azərbaycanca" in shown["text"]
    assert "Azerbaijani" in shown["text"]


@pytest.mark.parametrize("command", ["/latest", "/search visas"])
async def test_what_may_not_be_shown_is_in_no_list(agency, command):
    await agency.publish("a", en="Visas open")
    await agency.publish("b", en="Visas withdrawn")
    await agency.publish("c", en="Visas embargoed", embargo=agency.clock() + timedelta(days=1))
    await agency.withdraw("b", "By mistake.")
    shown = await agency.write(7, command)
    assert "Visas open" in shown["text"]
    assert "withdrawn" not in shown["text"]
    assert "embargoed" not in shown["text"]


@pytest.mark.parametrize(("lang", "said"), [("az", "heç nə yoxdur"), ("en", "nothing to show"), ("ru", "нечего")])
async def test_an_empty_office_says_so(agency, lang, said):
    assert said in (await agency.write(7, "/latest", language=lang))["text"]


# -- the search
async def test_a_search_finds_word_beginnings_in_the_readers_language_first_then_in_the_others(agency):
    await agency.publish("a", az="Viza qaydaları", ru="Правила без слова")
    await agency.publish("b", az="Vizalar ucuzlaşır", en="Visa fees fall")
    await agency.publish("c", en="Nothing of it")
    shown = await agency.write(7, "/search viza", language="en")
    assert shown["text"].startswith("🔎 viza")
    assert "Nothing" not in shown["text"]
    assert shown["text"].index("Vizalar ucuzlaşır") < shown["text"].index("Viza qaydaları")
    shown = await agency.write(7, "/search VİSA")
    assert "Visa fees fall" in shown["text"]
    assert "Vizalar" not in shown["text"]


async def test_pages_of_a_search_go_on_through_the_languages_and_show_nothing_twice(agency):
    await many(agency, 4, en="Common", az="Common az")
    agency.clock.now += timedelta(hours=1)
    for number in range(4):
        await agency.publish(f"az{number}", az=f"Common az only {number}")
    shown = await agency.write(7, "/search common", language="en")
    seen = []
    for _ in range(5):
        seen += re.findall(r"releases/(\d+)-", shown["text"])
        if "More ›" not in labels(shown):
            break
        await agency.press(7, "More ›", message=shown["id"])
    assert sorted(map(int, seen)) == list(range(1, 9))
    assert seen[:4] == ["4", "3", "2", "1"]


@pytest.mark.parametrize(("lang", "asks"), [("az", "Nə axtarırsınız"), ("en", "looking for"), ("ru", "Что вы ищете")])
async def test_a_search_without_words_asks_for_them_and_hears_the_answer(agency, lang, asks):
    await agency.publish("a", az="Viza qaydaları", en="Visa rules", ru="Визовые правила")
    asked = await agency.write(7, "/search", language=lang)
    assert asks in asked["text"]
    word = {"az": "viza", "en": "visa", "ru": "визов"}[lang]
    shown = await agency.write(7, word, language=lang, reply_to=asked["id"])
    assert shown["text"].startswith(f"🔎 {word}")
    assert "releases/1-" in shown["text"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("x" * 201, "at most"),
        (" ".join(letter * 3 for letter in "abcdefghijk"), "at most"),
        ("⟨⟩ !?", "looking for"),
        ("nowhere", "Nothing was found"),
    ],
)
async def test_a_search_that_cannot_be_is_told_why(agency, words, said):
    assert said in (await agency.write(7, f"/search {words}", language="en"))["text"]


@pytest.mark.parametrize("words", ["<b>x</b> &amp;", "a\u202eb", "'; DROP TABLE release", "* OR *", "ə ı İ", "🔎 🔎"])
async def test_hostile_words_are_words(agency, words):
    shown = await agency.write(7, f"/search {words}", language="en")
    assert shown is not None


@pytest.mark.parametrize("data", ["new::0:zz", "find::0:9.z.z", "new:::", "find:::0", "new::0:0.zzzzzzzzzzzzzz.1"])
async def test_a_button_with_a_place_that_is_none_is_answered(agency, data):
    await agency.publish("a", en="Visas")
    await agency.write(7, "/latest", language="en")
    await agency.dealt(agency.double.tap(7, "", data=data))
    assert agency.last(7) is not None


@pytest.mark.parametrize(
    "cursor",
    [
        Cursor(),
        Cursor(2),
        Cursor(1, Place(datetime.fromisoformat("2026-11-21T09:00:00.123456+00:00"), 2**31 - 1)),
        Cursor(0, Place(datetime.fromisoformat("1969-01-01T00:00:00+00:00"), 1)),
    ],
)
def test_a_cursor_survives_its_text_and_fits_a_button(cursor):
    assert Cursor.parse(str(cursor)) == cursor
    assert len(str(cursor)) <= 50


# -- why
@pytest.mark.parametrize(
    ("lang", "because", "agreed", "topic"),
    [
        ("az", "Bu mesajı niyə almısınız:", "Razılıq vermisiniz", "Vizalar"),
        ("en", "Why you got this message:", "You agreed on", "Visas"),
        ("ru", "Почему вам пришло это сообщение:", "Вы согласились", "Визы"),
    ],
)
async def test_a_reply_of_why_tells_the_subscription_that_brought_it(agency, lang, because, agreed, topic):
    await signed_up(agency, language=lang)
    await agency.publish("a", az="Birinci", en="First", ru="Первый")
    first = agency.last(7)
    await agency.pass_time(minutes=5)
    await agency.publish("b", az="İkinci", en="Second", ru="Второй")
    title = {"az": "Birinci", "en": "First", "ru": "Первый"}[lang]
    shown = await agency.write(7, "/why", language=lang, reply_to=first["id"])
    assert shown["text"].startswith(because)
    for said in (agreed, topic, title, "/topics", "/stop", "What should we send you?"):
        assert said in shown["text"]
    assert "2026" in shown["text"]


async def test_why_alone_is_about_the_last_message_and_every_subscription(agency):
    await signed_up(agency)
    assert "sent you nothing yet" in (await agency.write(7, "/why"))["text"]
    await agency.publish("a", en="First")
    await agency.pass_time(minutes=5)
    await agency.publish("b", en="Second")
    shown = (await agency.write(7, "/why"))["text"]
    assert "Second" in shown
    assert "First" not in shown
    assert shown.startswith("The last message that we sent you:")
    assert shown.count("• Visas") == 1, "the one subscription is told once"


async def test_why_about_something_else_says_so_and_is_about_nobody_elses_message(agency):
    await signed_up(agency)
    await signed_up(agency, chat=8)
    await agency.publish("a", en="First")
    answer = await agency.write(7, "/help")
    shown = await agency.write(7, "/why", reply_to=answer["id"])
    assert "no record of this message" in shown["text"]
    assert "• Visas" in shown["text"]


async def test_why_tells_of_a_subscription_that_has_ended_and_names_no_withdrawn_release(agency):
    account = await signed_up(agency)
    await agency.publish("a", en="Secret title")
    post = agency.last(7)
    await agency.subscribing.choose(account, None, consent=Consent(agency.clock(), "telegram", ""), now=agency.clock())
    shown = (await agency.write(7, "/why", reply_to=post["id"]))["text"]
    assert "Ended on" in shown
    assert "Secret title" in shown
    await agency.withdraw("a", "By mistake.")
    shown = (await agency.write(7, "/why"))["text"]
    assert "Secret title" not in shown


# -- data
@pytest.mark.parametrize(("lang", "caption"), [("az", "hər şey"), ("en", "Everything"), ("ru", "Всё")])
async def test_my_data_are_a_file_with_everything_that_is_held(agency, lang, caption):
    account = await signed_up(agency, language=lang)
    await agency.publish("a", az="Birinci", en="First", ru="Первый")
    consent = Consent(agency.clock(), "telegram", "another")
    await agency.subscribing.choose(account, parse("q=visa"), consent=consent, now=agency.clock())
    shown = await agency.write(7, "/mydata", language=lang)
    assert shown["kind"] == "document"
    assert caption in shown["text"]
    data = json.loads(document(agency, shown))
    assert data["subscriber"]["address"] == "7"
    assert data["subscriber"]["language"] == lang
    assert [(one["filter"], one["state"]) for one in data["subscriptions"]["newest"]] == [
        ("q=visa", "active"),
        ("topic=visas", "ended"),
    ]
    assert data["subscriptions"]["newest"][0]["consent"]["text"] == "another"
    (sent,) = data["deliveries"]["newest"]
    assert (sent["message"], sent["state"], data["deliveries"]["count"]) == ("release:1:0", "sent", 1)
    assert sent["releases"][0]["title"] == {"az": "Birinci", "en": "First", "ru": "Первый"}[lang]
    assert sent["answer"]["messages"]


def document(agency, message):
    """The bytes of the file that a chat was sent."""
    assert message["file_name"].startswith("my-data-2026-")
    _, content, _ = agency.double.files[message["document"]]
    return content


async def test_data_are_the_newest_with_the_count_of_all(agency, monkeypatch):
    monkeypatch.setattr("syndicator.pipeline.personal.DELIVERIES", 2)
    await signed_up(agency)
    for number in range(3):
        await agency.publish(f"r{number}", en=f"Visas {number}")
        await agency.pass_time(minutes=1)
    shown = await agency.write(7, "/mydata")
    assert "Of 3 messages it holds the newest 2." in shown["text"]
    data = json.loads(document(agency, shown))
    assert [one["message"] for one in data["deliveries"]["newest"]] == ["release:3:0", "release:2:0"]


# -- erasing
@pytest.mark.parametrize(
    ("lang", "yes", "said"),
    [
        ("az", "Hər şeyi silin", "hər şey silindi"),
        ("en", "Erase everything", "Everything about you is erased"),
        ("ru", "Стереть всё", "Всё о вас стёрто"),
    ],
)
async def test_forget_asks_first_then_erases_and_nothing_comes_after_the_last_word(agency, lang, yes, said):
    await signed_up(agency, language=lang)
    await agency.publish("a", az="Birinci", en="First", ru="Первый")
    asked = await agency.write(7, "/forget", language=lang)
    assert (await agency.person(7))[0] is not None
    await agency.press(7, yes)
    assert said in asked["text"]
    assert (await agency.person(7)) == (None, [])
    before = len(agency.double.calls)
    await agency.pass_time(minutes=5)
    await agency.correct("a", "The first was wrong.", az="Yeni", en="New", ru="Новое")
    await agency.publish("b", az="İkinci", en="Second", ru="Второй")
    await agency.withdraw("a", "By mistake.")
    assert not [one for one in agency.double.calls[before:] if one[1].get("chat_id") == 7]


async def test_forget_can_be_thought_better_of(agency):
    await signed_up(agency)
    asked = await agency.write(7, "/forget")
    await agency.press(7, "Keep everything")
    assert asked["text"] == "Nothing was erased."
    assert len((await agency.person(7))[1]) == 1


async def test_who_starts_again_is_new_and_why_knows_nothing_of_before(agency):
    await signed_up(agency)
    await agency.publish("a", en="First")
    post = agency.last(7)
    await agency.write(7, "/forget")
    await agency.press(7, "Erase everything")
    await agency.write(7, "/start", language="ru")
    who, live = await agency.person(7)
    assert (who.language, live) == ("ru", [])
    shown = await agency.write(7, "/why", reply_to=post["id"])
    assert "нет записи" in shown["text"]


async def test_a_second_press_on_erase_leaves_nothing_behind_either(agency):
    await signed_up(agency)
    asked = await agency.write(7, "/forget")
    press = agency.double.tap(7, "Erase everything")
    again = agency.double.tap(7, "", data=press["callback_query"]["data"], message=asked["id"])
    await agency.dealt(again)
    assert (await agency.person(7)) == (None, [])
    assert len(agency.double.seen(7)) == 1


async def test_a_chat_of_the_configuration_is_not_erased_by_who_writes_in_it(agency):
    async with agency.database.writing() as session:
        who = await subscriptions.ensure(
            session, ChannelKind.TELEGRAM, "7", language="en", timezone="UTC", now=agency.clock()
        )
        await subscriptions.ensure(
            session,
            ChannelKind.TELEGRAM,
            "7",
            language="en",
            timezone="UTC",
            now=agency.clock(),
            role=SubscriberRole.CHANNEL,
        )
    await agency.write(7, "/forget", language="en")
    await agency.press(7, "Erase everything")
    assert "set up by the office" in agency.last(7)["text"]
    assert (await agency.person(7))[0].id == who.id


async def test_a_link_from_before_opens_no_account(agency):
    account = await signed_up(agency)
    await agency.write(7, "/forget")
    await agency.press(7, "Erase everything")
    for purpose, token in (("manage", account.manage_token), ("unsubscribe", account.unsubscribe_token)):
        assert await agency.subscribing.account(purpose, token, agency.clock()) is None
    with pytest.raises(LookupError):
        await agency.subscribing.choose(
            account, parse(""), consent=Consent(agency.clock(), "telegram", ""), now=agency.clock()
        )
    async with agency.database.reading() as session:
        assert not [s async for _, s in subscriptions.everyone(session) if s.state is not SubscriptionState.ENDED]
