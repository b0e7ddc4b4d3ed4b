"""What people read when a release was corrected or withdrawn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bots.telegram.render import Renderings
from syndicator.domain.model import State


@pytest.fixture
def renderings(site, taxonomy):
    return Renderings(site, taxonomy)


@pytest.mark.parametrize(
    ("lang", "said", "button"),
    [
        ("en", "✏️ Corrected", "Read on the site"),
        ("az", "✏️ Düzəliş edilib", "Saytda oxuyun"),
        ("ru", "✏️ Исправлено", "Читать на сайте"),
    ],
)
def test_a_correction_says_what_changed_and_leads_to_the_page(renderings, texts, release, lang, said, button):
    (part,) = renderings.correction(release(), "en", texts(lang), ["The fee is 20."])
    assert part.plain == f"{said}\n\nThe fee is 20."
    assert (part.button, part.url) == (button, "https://press.example.org/en/releases/12")


def test_a_correction_of_what_stands_nowhere_by_itself_says_which_text_is_meant(renderings, texts, release):
    (part,) = renderings.correction(release(), "en", texts("en"), ["The fee is 20."], titled=True)
    assert part.plain == "✏️ Corrected: Visas get cheaper\n\nThe fee is 20."
    assert '<a href="https://press.example.org/en/releases/12-visas"><b>Visas get cheaper</b></a>' in part.html


def test_several_notes_are_told_one_by_one_the_oldest_first_and_each_once(renderings, texts, release):
    notes = ["The fee is 20.", " The day is\nFriday. ", "\u200b", "The fee is 20."]
    (part,) = renderings.correction(release(), "en", texts("en"), notes)
    assert part.plain.endswith("\n\n• The fee is 20.\n• The day is Friday.")


def test_of_many_notes_the_newest_are_told(renderings, texts, release):
    (part,) = renderings.correction(release(), "en", texts("en"), [f"Note {n}." for n in range(10)])
    assert [f"Note {n}." in part.plain for n in range(10)] == [False] * 4 + [True] * 6


@pytest.mark.parametrize(("note", "said"), [("The fee is 20.", "The fee is 20."), ("", "The text has been corrected.")])
def test_without_notes_the_texts_own_is_told_or_at_least_that_it_changed(renderings, texts, release, note, said):
    (part,) = renderings.correction(release(note=note), "en", texts("en"), [])
    assert part.plain.endswith(f"\n\n{said}")


def test_a_correction_in_a_language_that_is_not_there_is_an_error(renderings, texts, release):
    with pytest.raises(LookupError):
        renderings.correction(release(), "ru", texts("ru"), ["x"])


@pytest.mark.parametrize(
    ("lang", "head", "date", "why"),
    [
        ("en", "🚫 Withdrawn", "20 November 2026", "Reason: It was a draft."),
        ("az", "🚫 Geri götürülüb", "20 noyabr 2026", "Səbəb: It was a draft."),
        ("ru", "🚫 Отозвано", "20 ноября 2026", "Причина: It was a draft."),
    ],
)
def test_a_withdrawal_says_of_what_day_and_why_and_repeats_nothing(renderings, texts, release, lang, head, date, why):
    gone = replace(release(summary="In short."), state=State.WITHDRAWN, reason="It was a draft.")
    (part,) = renderings.withdrawal(gone, "en", texts(lang))
    assert part.plain.startswith(head)
    assert date in part.plain
    assert part.plain.endswith(why)
    assert part.url == "https://press.example.org/en/releases/12"
    assert part.button == {"az": "Ətraflı", "en": "Details", "ru": "Подробнее"}[lang], "there is nothing to read there"
    for secret in ("cheaper", "Monday", "In short", "visas"):
        assert secret not in part.html + part.plain + part.url + part.link


def test_a_withdrawal_without_a_reason_still_asks_people_not_to_rely_on_it(renderings, texts, release):
    (part,) = renderings.withdrawal(replace(release(), state=State.WITHDRAWN), "en", texts("en"))
    assert part.plain.endswith("Please do not rely on it and do not pass it on.")


def test_the_reason_is_the_one_of_the_readers_version(renderings, texts, release):
    about = release("az")
    az = replace(about.variants[0], reason="Səhv idi.")
    ru = replace(about.variants[0], lang="ru", reason="Это ошибка.")
    gone = replace(about, state=State.WITHDRAWN, reason="Səhv idi.", variants=(az, ru))
    assert renderings.withdrawal(gone, "ru", texts("ru"))[0].plain.endswith("Это ошибка.")
    assert renderings.withdrawal(gone, "az", texts("az"))[0].plain.endswith("Səhv idi.")
    assert renderings.withdrawal(gone, "en", texts("en"))[0].plain.endswith("Səhv idi.")
