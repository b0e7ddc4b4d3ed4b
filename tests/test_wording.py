"""Filters, sizes and spans, as people read them in pages and mails."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from string import Formatter
from zoneinfo import ZoneInfo

import pytest
from babel.messages.extract import extract_python
from babel.messages.pofile import read_po

from syndicator import wording
from syndicator.domain.filters import Filter
from syndicator.i18n import LOCALE_DIR, Texts
from syndicator.wording import filter_in_words, link_works_for, size_in_words, zone_in_words


@pytest.fixture(scope="module")
def texts():
    return Texts.load(("az", "en", "ru"))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Filter(), "All topics"),
        (Filter(topics=("visas", "gone")), "gone, Visas"),
        (Filter(without=("visas",)), "All topics; except Visas"),
        (Filter(kinds=("notice", "odd")), "All topics; only Notice, odd"),
        (Filter(words=("şəhər",)), "All topics; with the words “seher”"),
        (Filter(langs=("az", "ru")), "All topics; in this order: Azerbaijani, Russian"),
    ],
)
def test_a_filter_is_said_in_words(wanted, said, taxonomy, texts):
    assert filter_in_words(wanted, taxonomy, texts("en")) == said


@pytest.mark.parametrize(("lang", "said"), [("az", "“viza”"), ("en", "“viza”"), ("ru", "«viza»")])
def test_words_stand_in_the_quotes_of_the_readers_language(lang, said, taxonomy, texts):
    assert filter_in_words(Filter(words=("viza",)), taxonomy, texts(lang)).endswith(said)


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (("rüsumu", "viza"), "viza rüsumu", "“rüsumu”, “viza”"),
        (("rüsumu",), "Rüsumu, sonra rusumu", "“Rüsumu”"),
        (("rüsumu",), "rüsumundan", "“rusumu”"),
        (("rüsumu",), "", "“rusumu”"),
        (("гზა",), "გზა гზა", "“гზა”"),
    ],
)
def test_words_are_spelled_as_somebody_typed_them_where_that_is_known(words, typed, said, taxonomy, texts):
    told = filter_in_words(Filter(words=words), taxonomy, texts("en"), typed=typed)
    assert told == f"All topics; with the words {said}"


@pytest.mark.parametrize(
    ("length", "lang", "said"),
    [
        (0, "en", ""),
        (-1, "en", ""),
        (1, "en", "1 B"),
        (512, "en", "512 B"),
        (512, "ru", "512 Б"),
        (512, "az", "512 B"),
        (999, "en", "999 B"),
        (1000, "en", "1 kB"),
        (2000, "az", "2 kB"),
        (2500, "ru", "2,5 кБ"),
        (999_940, "en", "999.9 kB"),
        (999_960, "en", "1 MB"),
        (999_960, "ru", "1 МБ"),
        (1_250_000, "en", "1.2 MB"),
        (1_250_000, "ru", "1,2 МБ"),
        (1_250_000, "az", "1,2 MB"),
        (999_960_000, "en", "1 GB"),
    ],
)
def test_sizes_are_said_in_round_numbers_and_the_readers_units(length, lang, said, texts):
    assert size_in_words(length, texts(lang).locale).replace("\N{NO-BREAK SPACE}", " ") == said


@pytest.mark.parametrize(
    ("span", "lang", "said"),
    [
        (timedelta(days=7), "en", "The link works for 7 days."),
        (timedelta(days=1), "en", "The link works for 1 day."),
        (timedelta(days=2), "ru", "Ссылка действует 2 дня."),
        (timedelta(hours=12), "ru", "Ссылка действует 12 часов."),
        (timedelta(hours=36), "az", "Keçid 36 saat etibarlıdır."),
        (timedelta(minutes=5), "en", "The link works for 1 hour."),
    ],
)
def test_a_span_is_said_in_days_or_hours(span, lang, said, texts):
    assert link_works_for(span, texts(lang)) == said


def test_of_many_topics_some_are_named_and_the_others_counted(taxonomy, texts):
    wanted = Filter(topics=("visas", "x", "y", "z"), without=("a", "b", "c"))
    for most, said in [(1, "visas и ещё 3; кроме: a и ещё 2"), (3, "visas, x, y и ещё 1; кроме: a, b, c")]:
        told = filter_in_words(wanted, taxonomy, texts("ru"), most=most)
        assert told == said.replace("visas", taxonomy.get("visas").name("ru"))
    assert filter_in_words(wanted, taxonomy, texts("ru"), most=4) == filter_in_words(wanted, taxonomy, texts("ru"))


@pytest.mark.parametrize(
    ("zone", "lang", "said"),
    [
        ("Asia/Baku", "az", "Bakı"),
        ("Asia/Baku", "ru", "Баку"),
        ("Europe/Kyiv", "ru", "Киев"),
        ("America/Argentina/Buenos_Aires", "en", "Argentina/Buenos Aires"),
        ("Etc/GMT-4", "en", "UTC+4"),
        ("Etc/GMT+3", "en", "UTC−3"),
        ("Etc/UTC", "en", "UTC"),
        ("UTC", "en", "UTC"),
        ("EET", "en", "EET"),
    ],
)
def test_a_time_zone_is_named_by_its_city_or_how_far_it_is_from_utc(zone, lang, said):
    assert zone_in_words(ZoneInfo(zone), lang) == said


@pytest.mark.parametrize("lang", ["az", "ru"])
def test_every_text_is_translated_and_none_is_left_over(lang):
    source = BytesIO(Path(wording.__file__).read_bytes())
    said = {_name(m) for _, _, m, _ in extract_python(source, {"t": None, "_": None, "plural": (1, 2)}, [], {})}
    with (LOCALE_DIR / lang / "common.po").open("rb") as file:
        kept = {_name(m.id): m.string for m in read_po(file, locale=lang, abort_invalid=True) if m.id}
    assert set(kept) == said - {""}
    for name, translated in kept.items():
        for form in translated if isinstance(translated, tuple) else (translated,):
            assert form
            assert _gaps(form) == _gaps(name)


@pytest.mark.parametrize("path", sorted(LOCALE_DIR.glob("*/*.po")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_catalogue_says_a_text_twice(path):
    """Babel keeps the last of two without a word, so the other one would be mended in vain."""
    ids = re.findall(r'^msgid (".*"(?:\n".*")*)', path.read_text(encoding="utf-8"), re.MULTILINE)
    assert [one for one, times in Counter(ids).items() if times > 1] == []


@pytest.mark.parametrize("lang", ["az", "ru"])
def test_what_two_catalogues_say_they_say_alike(lang):
    """They are merged into one: a page's wording would otherwise stand on a button of the bot."""
    said: dict[str, set[object]] = {}
    for path in sorted(LOCALE_DIR.glob(f"{lang}/*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale=lang, abort_invalid=True):
                said.setdefault(_name(message.id), set()).add(message.string)
    assert {name: forms for name, forms in said.items() if name and len(forms) > 1} == {}


def _name(message):
    return next((m for m in message if m), "") if isinstance(message, tuple) else message or ""


def _gaps(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name}
