"""People talk to the bot: through long polling, the real library and the double."""

from __future__ import annotations

from datetime import time

import pytest

from bots.telegram.talk.boxes import Boxes
from bots.telegram.talk.screens import Press, pressed
from bots.telegram.talk.telling import Telling
from bots.telegram.talk.turns import Turn
from syndicator.domain.deeplink import topic_key
from syndicator.domain.filters import Filter
from syndicator.domain.topics import Taxonomy
from syndicator.domain.windows import Schedule
from tests.telegram.chats import Person, labels

WORDS = {
    "az": ("Azərbaycanca", "Vizalar", "Hazırdır", "Bütün mövzular", "abunə"),
    "en": ("English", "Visas", "Done", "All topics", "subscribed"),
    "ru": ("Русский", "Визы", "Готово", "Все темы", "подписаны"),
}


@pytest.mark.parametrize("lang", ["az", "en", "ru"])
async def test_three_taps_from_start_to_subscribed(double, talk, chats, lang):
    language, topic, done, _, subscribed = WORDS[lang]
    await talk(double.say(7, "/start", language="de"))
    (screen,) = double.seen(7)
    assert all(name in labels(screen) for name in ("Azərbaycanca", "English", "Русский"))
    await talk(double.tap(7, language))
    await talk(double.tap(7, topic))
    await talk(double.tap(7, done))
    (screen,) = double.seen(7)
    assert chats.people[7].filter == Filter(topics=("visas",))
    assert chats.people[7].language == lang
    assert subscribed in screen["text"]
    assert topic in screen["text"]
    assert len(double.answered) == 3
    assert chats.consents[-1].source == "telegram"


async def test_ticks_show_in_place_and_pressing_twice_changes_nothing_more(double, talk, chats):
    await talk(double.say(7, "/topics", language="en"))
    first = double.tap(7, "Visas")
    again = double.tap(7, "", data=first["callback_query"]["data"])
    await talk(again)
    (screen,) = double.seen(7)
    assert "✅ · Visas" in labels(screen)
    assert chats.people[7].filter == Filter(topics=("visas",))
    await talk(double.tap(7, "Refugees"))
    assert chats.people[7].filter == Filter(topics=("visas", "refugees"))
    await talk(double.tap(7, "Visas"))
    await talk(double.tap(7, "Refugees"))
    assert chats.people[7].filter is None


@pytest.mark.parametrize("lang", ["az", "en", "ru"])
async def test_all_topics_takes_everything_and_a_topic_narrows_it(double, talk, chats, lang):
    _, topic, _, everything, _ = WORDS[lang]
    await talk(double.say(7, "/topics", language=lang))
    await talk(double.tap(7, everything))
    assert chats.people[7].filter == Filter()
    await talk(double.tap(7, topic))
    assert chats.people[7].filter == Filter(topics=("visas",))


async def test_a_topic_covers_its_children_on_the_screen(double, talk):
    await talk(double.say(7, "/topics", language="en"))
    await talk(double.tap(7, "Entry and stay"))
    assert labels(double.seen(7)[0])[1:3] == ["✅ Entry and stay", "☑️ · Visas"]


async def test_a_deep_link_ticks_its_topic(double, talk, chats):
    await talk(double.say(7, "/start visas"))
    await talk(double.tap(7, "English"))
    assert "You are subscribed to:\n• Visas" in double.seen(7)[0]["text"]
    assert chats.people[7].filter == Filter(topics=("visas",))


@pytest.mark.parametrize("payload", ["nothing", "'; drop", "all", "x" * 64])
async def test_a_deep_link_to_nothing_is_a_plain_start(double, talk, chats, payload):
    await talk(double.say(7, f"/start {payload}"))
    await talk(double.tap(7, "English"))
    assert chats.people[7].filter is None


@pytest.mark.parametrize(("lang", "said"), [("az", "dayandırıldı"), ("en", "unsubscribed"), ("ru", "отписались")])
async def test_stop_ends_everything_at_once(double, talk, chats, lang, said):
    await talk(double.say(7, "/topics", language=lang))
    await talk(double.tap(7, WORDS[lang][1]))
    await talk(double.say(7, "/stop", language=lang))
    assert chats.people[7].filter is None
    assert said in double.seen(7)[-1]["text"]
    await talk(double.say(7, "/stop", language=lang))


async def test_the_language_can_be_changed(double, talk, chats):
    await talk(double.say(7, "/language", language="az"))
    await talk(double.tap(7, "Русский"))
    assert chats.people[7].language == "ru"
    await talk(double.say(7, "/help"))
    assert "/topics — выбрать темы" in double.seen(7)[-1]["text"]


@pytest.mark.parametrize(
    ("lang", "said", "asked"),
    [
        ("az", "Bunu başa düşmədim.", "Botun imkanları"),
        ("en", "I did not understand that.", "What this bot can do"),
        ("ru", "Не понимаю этого сообщения.", "Что умеет бот"),
    ],
)
async def test_what_is_not_understood_is_said_in_one_line_and_a_button_tells_what_the_bot_can_do(
    double, talk, lang, said, asked
):
    await talk(double.say(7, "salam", language=lang))
    assert double.seen(7)[0]["text"] == said
    await talk(double.tap(7, asked))
    assert "/stop — " in double.seen(7)[0]["text"]


async def test_groups_are_passed_over_in_silence(double, talk):
    await talk(double.say(-5, "/start", kind="group"))
    assert not [one for one in double.calls if one[0] == "sendMessage"]


async def test_blocking_pauses_and_start_brings_the_topics_back(double, talk, chats):
    await talk(double.say(7, "/topics", language="en"))
    await talk(double.tap(7, "Visas"))
    await talk(double.block(7))
    assert chats.people[7].paused
    await talk(double.say(7, "/start"))
    assert not chats.people[7].paused
    assert chats.people[7].filter == Filter(topics=("visas",))


@pytest.mark.parametrize("data", ["", "x", "t:+:0:nothing", "s:xx:0:", "z:::", "t:+:999:visas", "☃" * 10])
async def test_strange_buttons_are_answered_and_do_no_harm(double, talk, data):
    await talk(double.say(7, "/topics", language="en"))
    await talk(double.tap(7, "", data=data or "?"))
    assert len(double.answered) == 1


async def test_a_screen_that_is_gone_is_sent_anew(double, talk):
    await talk(double.say(7, "/topics", language="en"))
    double.fault("refuse", method="editMessageText", code=400, text="Bad Request: message to edit not found")
    await talk(double.tap(7, "Visas"))
    assert len(double.seen(7)) == 2


@pytest.mark.parametrize(
    ("spoken", "said"),
    [("az", "Bizdə nasazlıq"), ("en", "Something went wrong"), ("ru", "У нас"), ("de", "Bizdə nasazlıq")],
)
async def test_our_own_fault_is_said_in_the_persons_language(double, talk, chats, spoken, said):
    chats.broken = True
    await talk(double.say(7, "/topics", language=spoken))
    assert double.seen(7)[0]["text"].startswith(said)


async def test_our_own_fault_is_said_in_the_chosen_language(double, talk, chats, monkeypatch):
    await talk(double.say(7, "/language", language="az"))
    await talk(double.tap(7, "Русский"))

    async def broken(*args, **kwargs):
        raise RuntimeError("the database is away")

    monkeypatch.setattr(chats, "choose", broken)
    await talk(double.say(7, "/stop", language="az"))
    assert double.seen(7)[-1]["text"].startswith("У нас")


async def test_after_our_own_fault_the_bot_answers_again(double, talk, chats):
    chats.broken = True
    await talk(double.say(7, "/topics"))
    chats.broken = False
    await talk(double.say(7, "/topics"))
    assert len(double.seen(7)) == 2


def test_every_button_of_a_large_topic_file_fits_in_64_bytes(texts, rules, now):
    rows = [{"slug": f"t{n}" + "x" * (n % 60), "name": {"en": "N" * 200}} for n in range(45)]
    boxes = Boxes(None, Telling(Taxonomy.from_mapping({"topic": rows}), Schedule(time(8), 0)))
    turn = Turn(Person(7, "en", Filter()).account, texts("en"), now, 7, None)
    for page in range(7):
        screen = boxes.screen(turn, page)
        markup = screen.keyboard.to_dict()
        rules.check_keyboard(markup)
        assert len(markup["inline_keyboard"]) <= 12, "more does not fit on a phone"
        assert markup["inline_keyboard"][-1][0]["text"] == "Done"
    assert all(boxes.slug(topic_key(row["slug"])) == row["slug"] for row in rows)


def test_a_press_survives_its_text():
    for press in (Press("t", "+", 2, "visas"), Press("d"), Press("s", "az", 0, "x" * 40)):
        assert pressed(str(press)) == press
