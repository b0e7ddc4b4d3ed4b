"""Whatever a person types and whatever the office calls its topics, every screen is one that Telegram takes."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, time
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.extract import extract_python
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st
from telegram import ForceReply

from bots.telegram import dialogue
from bots.telegram.talk.own import own_parts
from bots.telegram.talk.screens import SEEK, Press, Screen, pressed, sought
from bots.telegram.talk.turns import Turn
from bots.telegram.talk.welcome import Welcome
from syndicator.domain.deeplink import MAX_PAYLOAD
from syndicator.domain.filters import Filter
from syndicator.domain.model import Cadence
from syndicator.domain.topics import Taxonomy
from syndicator.domain.windows import Schedule
from syndicator.i18n import LOCALE_DIR, Texts
from tests.telegram.chats import FakeChats, Person
from tests.telegram.nasty import ANY, examples

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LANGS = ("az", "en", "ru")
GAP = re.compile(r"{\w+}")
PRESSES = st.one_of(
    st.builds(
        Press,
        st.sampled_from(
            ["t", "a", "p", "m", "d", "s", "l", "lang", "u", "set", "wrd", "cad", "oth", "qui", "zon", "rest"]
        ),
        st.sampled_from(["", "+", "-", "az", "ru", "ask", "off", "none", "22-8", "daily", "always", "1d", "on"]),
        st.integers(0, 999),
        st.sampled_from(["", "visas", "t3", "Asia/Baku", "AAvnSBZdwXoR2aXph", "../../x"]),
    ),
    st.from_regex(r"[a-z]{1,4}:[^:\n]{0,10}:[0-9]{0,3}:[^:\n]{0,40}", fullmatch=True).map(pressed),
)


class Room:
    """All own parts of the dialogue over one person; every screen that comes out is judged."""

    def __init__(self, rules, site, texts, taxonomy):
        self.rules, self.texts, self.chats = rules, texts, FakeChats()
        schedule = Schedule(time(8), 0)
        parts = own_parts(self.chats, site=site, texts=texts, taxonomy=taxonomy, schedule=schedule)
        self.presses = {name: run for part in parts for name, run in part.presses.items()}
        self.heard = [run for part in parts for run in part.questions.values()]
        self.heard += [one.run for part in parts for one in part.commands]
        self.start = next(one.run for part in parts for one in part.commands if one.name == "start")
        self.person = self.chats.people[7] = Person(7, "en")

    def turn(self, said=""):
        return Turn(self.person.account, self.texts(self.person.language), NOW, 7, None, said)

    def judge(self, screen):
        if screen is None:
            return
        text, _ = self.rules.parsed(screen.text)
        assert self.rules.units(text) <= 4096
        if isinstance(screen.keyboard, ForceReply):
            assert len(screen.keyboard.input_field_placeholder or "x") <= 64
        elif screen.keyboard is not None:
            markup = screen.keyboard.to_dict()
            self.rules.check_keyboard(markup)
            rows = markup["inline_keyboard"]
            assert sum(map(len, rows)) <= 100
            assert all(pressed(one["callback_data"]) is not None for row in rows for one in row)

    def type(self, said):
        for run in self.heard:
            self.judge(asyncio.run(run(self.turn(said))))

    def press(self, press):
        if press and press.action in self.presses:
            self.judge(asyncio.run(self.presses[press.action](self.turn(), press)))


def large(count, name):
    rows = [{"slug": f"t{n}" + "x" * (n % 60), "name": {"en": f"{name}{n}"}} for n in range(count)]
    return Taxonomy.from_mapping({"topic": [*rows, {"slug": "visas", "name": {"en": name}}]})


@examples(40)
@given(said=ANY, press=PRESSES, lang=st.sampled_from(LANGS))
def test_whatever_is_typed_or_pressed_the_answer_is_one_that_telegram_takes(
    rules, site, texts, taxonomy, said, press, lang
):
    room = Room(rules, site, texts, taxonomy)
    room.person.language = lang
    room.type(said)
    room.press(press)
    room.type(said)


@examples(25)
@given(name=ANY, press=PRESSES)
def test_whatever_topics_are_called_the_screens_are_taken(rules, site, texts, name, press):
    room = Room(rules, site, texts, large(3, name if name.strip() else "x"))
    room.person.filter = Filter(topics=("visas",), words=("asan",))
    room.type("")
    room.press(press)


def test_two_hundred_topics_with_long_names_stand_on_pages_and_a_long_choice_is_cut(rules, site, texts):
    taxonomy = large(200, "Ə" * 300)
    room = Room(rules, site, texts, taxonomy)
    room.person.cadence = Cadence.WEEKLY
    seen = set()
    for page in range(26):
        screen = asyncio.run(room.presses["p"](room.turn(), Press("p", "", page)))
        room.judge(screen)
        seen |= {button.callback_data for row in screen.keyboard.inline_keyboard for button in row}
    assert sum(data.startswith("t:") for data in seen) == 201
    room.person.filter = Filter(topics=taxonomy.slugs[:20], words=("asan",), kinds=("k" * 64,))
    for action in ("d", "set", "wrd", "m"):
        room.press(Press(action))
    said = asyncio.run(room.presses["set"](room.turn(), Press("set"))).text
    assert "Language: English" in said  # a long choice crowds out nothing


def test_a_link_with_more_topics_than_a_chat_may_have_asks_which_it_shall_be(rules, site, texts):
    taxonomy = large(30, "Topic ")
    room = Room(rules, site, texts, taxonomy)
    room.person.filter = Filter(topics=taxonomy.slugs[:20])
    screen = asyncio.run(room.presses["s"](room.turn(), Press("s", "en", 0, "visas")))
    room.judge(screen)
    assert "Which of the two shall it be?" in screen.text
    assert room.person.filter == Filter(topics=taxonomy.slugs[:20])


def test_a_topic_that_got_another_slug_is_ticked_and_unticked_under_it(rules, site, texts):
    rows = [{"slug": "visa", "was": ["visas"], "name": {"en": "Visas"}}, {"slug": "other", "name": {"en": "Other"}}]
    room = Room(rules, site, texts, Taxonomy.from_mapping({"topic": rows}))
    room.person.filter = Filter(topics=("visas",))
    screen = asyncio.run(room.presses["m"](room.turn(), Press("m")))
    assert [row[0].text for row in screen.keyboard.inline_keyboard] == ["▫️ All topics", "✅ Visas", "▫️ Other", "Done"]
    room.press(Press("t", "-", 0, "visas"))  # a button of before
    assert room.person.filter is None


def test_unticking_the_last_topic_ends_it_and_never_means_everything(rules, site, texts, taxonomy):
    room = Room(rules, site, texts, taxonomy)
    room.person.filter = Filter(topics=("visas",), words=("asan",))
    room.press(Press("t", "-", 0, "visas"))
    assert room.person.filter is None


@pytest.mark.parametrize("lang", LANGS)
def test_menus_and_descriptions_fit_and_every_command_is_explained(rules, site, texts, taxonomy, lang):
    talk = dialogue.Dialogue(
        FakeChats(), None, site=site, texts=texts, taxonomy=taxonomy, clock=lambda: NOW, schedule=Schedule(time(8), 0)
    )
    menu = talk.menu(lang)
    rules.check_commands([{"command": name, "description": what} for name, what in menu])
    assert [name for name, _ in menu] == ["topics", "words", "settings", "language", "pause", "stop", "help"]
    assert 0 < len(talk.description(lang)) <= 512
    assert 0 < len(talk.short_description(lang)) <= 120
    assert all(f"/{name} — {what}" in Welcome(site, texts).help(lang, menu).text for name, what in menu)


def test_the_longest_link_waits_in_a_button_of_64_bytes_with_the_longest_language():
    for press in (Press("s", "zh-hant-tw", 0, "A" * MAX_PAYLOAD), Press("u", Cadence.IMMEDIATE, 0, "A" * MAX_PAYLOAD)):
        assert len(str(press)) <= 64
        assert pressed(str(press)) == press


def test_an_office_of_one_language_does_not_ask_for_it(rules, site, taxonomy):
    alone = replace(site, languages=("ru",), default_language="ru")
    room = Room(rules, alone, Texts.load(("ru",)), taxonomy)
    asked = asyncio.run(room.start(room.turn("visas")))
    assert room.person.filter == Filter(topics=("visas",))
    assert "Вы подписаны на темы:\n• Визы" in asked.text


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("viza  rüsumu\n2026", "viza rüsumu 2026"), ("a:b", "a b"), ("/quiet 22-8", ""), ("😀 !!!", ""), ("", ""),
        ("сколько стоит виза для студента из Баку", "сколько стоит виза для"), ("x" * 60, ""), ("ё" * 28, "ё" * 28),
        ("ё" * 29, ""),
    ],
)  # fmt: skip
def test_as_many_whole_words_are_offered_for_a_search_as_a_button_carries(typed, words):
    assert sought(typed) == words
    assert len(str(Press(SEEK, topic=words)).encode()) <= 64
    assert pressed(str(Press(SEEK, topic=words))).topic == words


def test_a_screen_is_cut_by_what_telegram_counts(rules):
    screen = Screen("😀" * 3000)
    assert rules.units(screen.text) <= 4096
    assert screen.text.endswith("😀…")


@pytest.fixture(scope="module")
def written():
    """The texts of the bot's sources: those that are marked, and the sources whole."""
    marked, whole = set(), ""
    for path in sorted(Path(dialogue.__file__).parent.rglob("*.py")):
        source = path.read_bytes()
        whole += re.sub(r'"\s*\n\s*"', "", source.decode())
        found = extract_python(BytesIO(source), {"t": None, "_": None, "text": None, "plural": (1, 2)}, [], {})
        marked |= {_name(message) for _, _, message, _ in found} - {""}
    return marked, whole


@pytest.mark.parametrize("lang", ["az", "ru"])
def test_every_text_of_the_bot_is_translated_and_none_is_left_over(written, lang):
    marked, whole = written
    assert marked <= {name for path in (LOCALE_DIR / lang).glob("*.po") for name in _translations(path)}
    for name, forms in _translations(LOCALE_DIR / lang / "telegram.po").items():
        assert name in marked or f'"{name}"' in whole
        assert all(forms)
        assert all(set(GAP.findall(form)) == set(GAP.findall(name)) for form in forms)


def _translations(path):
    with path.open("rb") as file:
        found = {
            _name(one.id): one.string for one in read_po(file, locale=path.parent.name, abort_invalid=True) if one.id
        }
    return {name: forms if isinstance(forms, tuple) else (forms,) for name, forms in found.items()}


def _name(message):
    return next((m for m in message if m), "") if isinstance(message, tuple) else message or ""
