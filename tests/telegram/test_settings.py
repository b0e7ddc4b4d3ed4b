"""What a person can set with the bot, by buttons and by typing: long polling, the real library and the double."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest

from bots.telegram.talk.quiet_hours import read_hours
from bots.telegram.talk.zone_names import find_zones, is_zone
from syndicator.domain.deeplink import payload_of
from syndicator.domain.filters import Filter
from syndicator.domain.model import Cadence, OtherLanguage
from tests.telegram.chats import labels

LANGS = ("az", "en", "ru")
SAID = {
    "az": SimpleNamespace(
        language="Azərbaycanca", words="Sözlər", other_words="Başqa sözlər…", often="Tezlik", daily="Gündə bir dəfə",
        quiet="Sakit saatlar", hours="Başqa saatlar…", zone="Saat qurşağı", place="Başqa yer…", berlin="Berlin (UTC+1)",
        other="Başqa dillər", always="Həmişə", pause="Fasilə", week="1 həftə", resume="Davam edin",
        rests="Fasilə istəmisiniz", stop="Abunəlikdən çıxın", back="Geri qaytarın", next="22 noyabr 2026, 08:00",
        with_words="bu sözlərlə: “ASAN”, “Viza”",
    ),
    "en": SimpleNamespace(
        language="English", words="Words", other_words="Other words…", often="How often", daily="Once a day",
        quiet="Quiet hours", hours="Other hours…", zone="Time zone", place="Another place…", berlin="Berlin (UTC+1)",
        other="Other languages", always="Always", pause="Pause", week="1 week", resume="Resume",
        rests="You asked for a pause", stop="Unsubscribe", back="Take it back", next="22 November 2026, 08:00",
        with_words="with the words “ASAN”, “Viza”",
    ),
    "ru": SimpleNamespace(
        language="Русский", words="Слова", other_words="Другие слова…", often="Частота", daily="Раз в день",
        quiet="Тихие часы", hours="Другие часы…", zone="Часовой пояс", place="Другое место…", berlin="Берлин (UTC+1)",
        other="Другие языки", always="Всегда", pause="Пауза", week="1 неделя", resume="Возобновить",
        rests="Вы попросили паузу", stop="Отписаться", back="Вернуть как было", next="22 ноября 2026, 08:00",
        with_words="со словами: «ASAN», «Viza»",
    ),
}  # fmt: skip


@pytest.fixture
def settled(chats):
    """Somebody who gets news of visas, with an account in that language."""

    async def made(lang="en", chosen=Filter(topics=("visas",))):  # noqa: B008  # frozen
        account = await chats.chat(7, language=lang, now=None)
        await chats.choose(account, chosen, consent=None, now=None)
        return chats.people[7]

    return made


@pytest.mark.parametrize("lang", LANGS)
async def test_everything_is_set_from_one_screen_that_is_edited_in_place(double, talk, settled, now, lang):
    person, said = await settled(lang), SAID[lang]
    await talk(double.say(7, "/settings"))
    for label in (said.often, said.daily, said.quiet, "22:00–08:00", said.other, said.always):
        await talk(double.tap(7, label))
    assert (person.cadence, person.quiet, person.other_language) == (Cadence.DAILY, "22-8", OtherLanguage.ALWAYS)
    (screen,) = double.seen(7)
    assert "22:00–08:00" in screen["text"]
    assert said.next in screen["text"]  # the next digest, on the reader's clock
    await talk(double.tap(7, said.pause))
    await talk(double.tap(7, said.week))
    assert person.until == now + timedelta(days=7)
    assert said.rests in double.seen(7)[0]["text"]
    await talk(double.tap(7, said.resume))
    assert not person.rests
    assert person.filter == Filter(topics=("visas",))


@pytest.mark.parametrize("lang", LANGS)
async def test_words_hours_and_places_can_be_typed(double, talk, settled, lang):
    person, said = await settled(lang), SAID[lang]

    async def asked(button, answer):
        await talk(double.tap(7, button))
        question = double.seen(7)[-1]
        await talk(double.say(7, answer, reply_to=question["id"]))

    await talk(double.say(7, "/words viza"))
    await asked(said.other_words, "Viza, ASAN")
    assert person.filter == Filter(topics=("visas",), words=("asan", "viza"))
    assert said.with_words in double.seen(7)[-1]["text"]
    await talk(double.say(7, "/settings"))
    await talk(double.tap(7, said.quiet))
    await asked(said.hours, "23:00 – 6:00")
    assert person.quiet == "23-6"
    await talk(double.tap(7, said.zone))
    await asked(said.place, "берлин")
    assert person.timezone == "Europe/Berlin"
    assert f"{said.berlin}" in double.seen(7)[-1]["text"]


async def test_a_word_is_taken_away_by_its_button_and_an_old_button_takes_nothing_else(double, talk, settled):
    person = await settled(chosen=Filter(topics=("visas",), words=("asan", "şəhər", "виза")))
    await talk(double.say(7, "/words"))
    press = double.tap(7, "✕ asan")
    await talk(press)
    assert person.filter.words == Filter(words=("şəhər", "виза")).words
    await talk(double.tap(7, "", data=press["callback_query"]["data"]))
    assert len(person.filter.words) == 2
    await talk(double.tap(7, "Without words"))
    assert person.filter == Filter(topics=("visas",))
    assert "You have set no words" in double.seen(7)[0]["text"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("!!! 😀", "no letter or digit"),
        (" ".join(f"{letter}-word" for letter in "abcdefghijk"), "too many words: 10 are the most"),
        ("რ" * 64 + " " + " ".join(chr(0x10D0 + n) * 60 for n in range(9)), "too long"),
    ],
)
async def test_words_that_cannot_be_used_change_nothing_and_the_reason_is_said(double, talk, settled, typed, said):
    person = await settled()
    await talk(double.say(7, f"/words {typed}"))
    assert said in double.seen(7)[-1]["text"]
    assert person.filter == Filter(topics=("visas",))


async def test_whoever_writes_words_and_nothing_else_gets_them_on_every_topic(double, talk, chats):
    await talk(double.say(7, "/words visa", language="en"))
    assert chats.people[7].filter == Filter(words=("visa",))
    assert "We send you: all topics; with the words “visa”" in double.seen(7)[0]["text"]


async def test_words_are_shown_as_they_were_typed_whatever_else_is_set_later(double, talk, settled):
    person = await settled("az")
    await talk(double.say(7, "/words viza rüsumu"))
    await talk(double.say(7, "/settings"))
    await talk(double.tap(7, "Tezlik"))
    await talk(double.tap(7, "Gündə bir dəfə"))
    await talk(double.say(7, "/topics"))
    await talk(double.tap(7, "Qaçqınlar"))
    assert "“rüsumu”" in double.seen(7)[-1]["text"]
    await talk(double.say(7, "/words"))
    assert "✕ rüsumu" in labels(double.seen(7)[-1])
    await talk(double.tap(7, "✕ viza"))
    assert "✕ rüsumu" in labels(double.seen(7)[-1])
    assert person.filter.words == ("rusumu",)


@pytest.mark.parametrize(
    ("question", "answer"), [("Other hours…", "8"), ("Other hours…", "22:30-8"), ("Other hours…", "7-7")]
)
async def test_hours_that_are_none_are_asked_for_again(double, talk, settled, question, answer):
    person = await settled()
    await talk(double.say(7, "/settings"))
    await talk(double.tap(7, "Quiet hours"))
    await talk(double.tap(7, question))
    await talk(double.say(7, answer, reply_to=double.seen(7)[-1]["id"]))
    assert "two different whole hours" in double.seen(7)[-1]["text"]
    assert person.quiet == ""


@pytest.mark.parametrize(
    ("typed", "hours"),
    [
        ("22-8", "22-8"), ("22:00-08:00", "22-8"), ("с 22 до 8", "22-8"), ("22.00 – 8.00", "22-8"), ("0-6", "0-6"),
        ("22", None), ("24-8", "0-8"), ("22-8-9", None), ("", None), ("22:15-8", None), ("5-5", None), ("٢٢-٨", None),
        ("9" * 5000, None), ("-" * 5000, None),
    ],
)  # fmt: skip
def test_hours_are_read_generously_and_never_guessed(typed, hours):
    assert read_hours(typed) == (hours and read_hours(hours))
    assert str(read_hours(typed) or "") == (hours or "")


@pytest.mark.parametrize(
    ("typed", "zone"),
    [
        ("Asia/Baku", "Asia/Baku"), ("bakı", "Asia/Baku"), ("БАКУ", "Asia/Baku"), ("new york", "America/New_York"),
        ("Нью-Йорк", "America/New_York"), ("İstanbul", "Europe/Istanbul"), ("Киев", "Europe/Kyiv"), ("utc", "Etc/UTC"),
        ("Calcutta", "Asia/Kolkata"), ("Ankara", "Europe/Istanbul"), ("Астана", "Asia/Almaty"),
        ("санкт-петербург", "Europe/Moscow"), ("Казань", "Europe/Moscow"), ("München", "Europe/Berlin"),
        ("koln", "Europe/Berlin"), ("Кёльн", "Europe/Berlin"), ("Delhi", "Asia/Kolkata"), ("Mumbai", "Asia/Kolkata"),
        ("Beijing", "Asia/Shanghai"), ("Gəncə", "Asia/Baku"), ("naxcivan", "Asia/Baku"), ("Нахичевань", "Asia/Baku"),
        ("Almaniya", "Europe/Berlin"), ("Германия", "Europe/Berlin"), ("Türkiyə", "Europe/Istanbul"),
        ("Georgia", "Asia/Tbilisi"), ("Узбекистан", "Asia/Tashkent"), ("Azerbaijan", "Asia/Baku"),
        ("UTC+4", "Etc/GMT-4"), ("gmt+4", "Etc/GMT-4"), ("+4", "Etc/GMT-4"), ("UTC +04:00", "Etc/GMT-4"),
        ("UTC−5", "Etc/GMT+5"), ("GMT-5", "Etc/GMT+5"), ("UTC+5:30", "Asia/Kolkata"), ("utc+0", "Etc/UTC"),
        ("Bakı (UTC+4)", "Asia/Baku"), ("UTC+40", None), ("UTC+5:17", None), ("4", None),
        ("Atlantis", None), ("../../etc/passwd", None), ("posixrules", None), ("", None), ("x" * 5000, None),
    ],
)  # fmt: skip
def test_a_place_is_found_by_its_name_in_any_of_our_languages(texts, now, typed, zone):
    found = find_zones(typed, [texts(lang).locale for lang in LANGS], now)
    assert list(found) == ([zone] if zone else [])
    assert all(map(is_zone, found))


@pytest.mark.parametrize(
    ("typed", "first", "count"), [("Russia", "Europe/Kaliningrad", 11), ("ABŞ", "America/New_York", 8)]
)
def test_a_country_with_several_times_stands_for_each_of_them_once(texts, now, typed, first, count):
    found = find_zones(typed, [texts(lang).locale for lang in LANGS], now)
    assert (found[0], len(found)) == (first, count)


async def test_whose_country_has_several_times_is_asked_which_and_who_names_no_place_gets_the_list_again(
    double, talk, settled
):
    person = await settled()
    await talk(double.say(7, "/settings"))
    await talk(double.tap(7, "Time zone"))
    await talk(double.tap(7, "Another place…"))
    question = double.seen(7)[-1]["id"]
    await talk(double.say(7, "Atlantis", reply_to=question))
    assert "no such place" in double.seen(7)[-1]["text"]
    assert "Baku (UTC+4)" in labels(double.seen(7)[-1])[0]
    await talk(double.say(7, "Russia", reply_to=question))
    await talk(double.tap(7, "Yekaterinburg (UTC+5)"))
    assert person.timezone == "Asia/Yekaterinburg"
    await talk(double.say(7, "UTC+3", reply_to=question))
    assert person.timezone == "Etc/GMT-3"
    assert "Time zone: UTC+3," in double.seen(7)[-1]["text"]


# -- links
async def test_a_link_with_a_choice_holds_after_one_tap_and_is_said_in_words(double, talk, chats):
    wanted = Filter(topics=("refugees", "visas"), words=("asan",))
    await talk(double.say(7, f"/start {payload_of(wanted)[1]}"))
    await talk(double.tap(7, "English"))
    assert chats.people[7].filter == wanted
    (screen,) = double.seen(7)
    assert "You are subscribed to:\nRefugees, Visas; with the words “asan”" in screen["text"]
    assert chats.consents[-1].text == "Refugees, Visas; with the words “asan”"


async def test_a_link_to_a_topic_joins_the_topics_that_are_there(double, talk, settled):
    person = await settled()
    await talk(double.say(7, "/start refugees"))
    await talk(double.tap(7, "English"))
    assert person.filter == Filter(topics=("refugees", "visas"))


@pytest.mark.parametrize("had", [Filter(), Filter(topics=("visas",), words=("asan",))])
async def test_a_link_never_takes_the_place_of_something_unasked(double, talk, settled, had):
    person = await settled(chosen=had)
    await talk(double.say(7, "/start refugees"))
    await talk(double.tap(7, "English"))
    assert person.filter == had
    assert "The link brings: Refugees" in double.seen(7)[0]["text"]
    await talk(double.tap(7, "As it is"))
    assert person.filter == had
    await talk(double.say(7, "/start refugees"))
    await talk(double.tap(7, "English"))
    await talk(double.tap(7, "What the link brings"))
    assert person.filter == Filter(topics=("refugees",))


# -- pausing and leaving
async def test_a_pause_that_was_asked_for_holds_whatever_is_written_and_every_screen_says_so(double, talk, settled):
    person = await settled()
    await talk(double.say(7, "/pause"))
    await talk(double.tap(7, "Until I say so"))
    for said in ("/start", "/topics", "/settings", "/pause", "salam"):
        await talk(double.say(7, said))
        assert person.rests
    for said in ("/topics", "/settings", "/pause"):
        await talk(double.say(7, said))
        assert "⏸ You asked for a pause" in double.seen(7)[-1]["text"]
        assert "Resume" in labels(double.seen(7)[-1])
    await talk(double.tap(7, "Resume"))
    assert not person.rests


async def test_what_stop_ended_can_be_taken_back_as_it_was(double, talk, settled):
    person = await settled(chosen=Filter(topics=("visas",), words=("asan",)))
    person.cadence = Cadence.WEEKLY
    await talk(double.say(7, "/stop"))
    assert person.filter is None
    await talk(double.tap(7, "Take it back"))
    assert (person.filter, person.cadence) == (Filter(topics=("visas",), words=("asan",)), Cadence.WEEKLY)


async def test_who_has_chosen_nothing_is_asked_for_topics_before_how_often(double, talk, chats):
    await talk(double.say(7, "/settings", language="en"))
    assert "Unsubscribe" not in labels(double.seen(7)[0])
    await talk(double.tap(7, "How often"))
    await talk(double.tap(7, "Choose topics"))
    await talk(double.tap(7, "Visas"))
    assert chats.people[7].filter == Filter(topics=("visas",))


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", "urgent news comes at once"),
        ("az", "təcili xəbərlər dərhal gəlir"),
        ("ru", "срочные новости приходят сразу"),
    ],
)
async def test_where_digests_are_chosen_it_says_that_urgent_news_does_not_wait_for_them(
    double, talk, settled, lang, said
):
    await settled(lang)
    await talk(double.say(7, "/settings"))
    await talk(double.tap(7, SAID[lang].often))
    assert said in double.seen(7)[-1]["text"]


# -- nothing is dead
@pytest.mark.parametrize(
    "data", ["zz:::", "t:+:0:gone-topic", "s:xx:0:", "u:::gone", "cad:hourly::", "rest:9y::", "x" * 64]
)
async def test_a_button_that_means_nothing_any_more_says_so_or_shows_what_holds(double, talk, settled, data):
    person = await settled()
    await talk(double.say(7, "/topics"))
    await talk(double.tap(7, "", data=data))
    assert len(double.answered) == 1
    assert double.seen(7)[0]["keyboard"]
    assert person.filter == Filter(topics=("visas",))
    assert person.cadence is Cadence.IMMEDIATE


async def test_a_press_on_a_message_of_which_telegram_tells_no_more_still_counts(double, talk, settled):
    person = await settled()
    await talk(double.say(7, "/topics"))
    press = double.tap(7, "Refugees")
    query = press["callback_query"]
    query["message"] = {"chat": query["message"]["chat"], "message_id": query["message"]["message_id"], "date": 0}
    await talk(press)
    assert person.filter == Filter(topics=("refugees", "visas"))
    assert "✅ Refugees" in labels(double.seen(7)[0])


async def test_two_phones_that_press_at_once_both_have_their_way(double, talk, settled):
    person = await settled()
    await talk(double.say(7, "/topics"))
    double.tap(7, "Refugees")
    double.tap(7, "Refugees")
    await talk(double.tap(7, "Entry and stay"))
    assert person.filter == Filter(topics=("entry", "refugees", "visas"))


async def test_an_answer_to_somebody_elses_words_is_no_answer(double, talk, settled):
    person = await settled()
    said = double.say(7, "Which hours should be quiet? Write two hours, for example: 22-8")
    await talk(said)
    await talk(double.say(7, "22-8", reply_to=said["message"]["message_id"]))
    assert person.quiet == ""
    assert "did not understand" in double.seen(7)[-1]["text"]


async def test_a_question_of_before_a_change_of_language_can_still_be_answered(double, talk, settled):
    person = await settled("ru")
    await talk(double.say(7, "/settings"))
    await talk(double.tap(7, "Тихие часы"))
    await talk(double.tap(7, "Другие часы…"))
    question = double.seen(7)[-1]["id"]
    person.language = "az"
    await talk(double.say(7, "22-8", reply_to=question))
    assert person.quiet == "22-8"
    assert "✅ Dəyişdirildi." in double.seen(7)[-1]["text"]


@pytest.mark.parametrize("kind", ["group", "supergroup", "channel"])
async def test_the_bot_speaks_to_people_alone(double, talk, kind):
    await talk(double.say(-5, "/settings", kind=kind))
    assert not double.made("sendMessage")
