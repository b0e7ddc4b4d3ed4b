"""Digests as people read them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from bots.telegram.aims import Task
from bots.telegram.channel import facts
from bots.telegram.copies import OWN
from bots.telegram.plan import Aim
from bots.telegram.render import Renderings
from syndicator.domain.letters import Item
from syndicator.domain.model import MessageKind, State


@pytest.fixture
def told(site, taxonomy, texts, now):
    def made(items, lang="en", zone=None, **values):
        return Renderings(site, taxonomy).digest(items, texts(lang), now, zone, **values)

    return made


@pytest.fixture
def item(release, now):
    """An item, published some hours before now."""

    def made(number, hours=1.0, state=State.PUBLIC, **values):
        about = release(number=number, title=f"Title {number}", **values)
        return Item(replace(about, public_at=now - timedelta(hours=hours), state=state), "en")

    return made


def test_a_digest_names_each_release_once_with_its_page_and_a_line_of_its_lead(told, item):
    (part,) = told([item(1, 2, summary="In short."), item(2, 1), item(1, 2, summary="In short.")])
    assert part.plain == "🗞 News, 21 November\n\nTitle 2\nFrom Monday.\n\nTitle 1\nIn short."
    assert '<a href="https://press.example.org/en/releases/1-visas"><b>Title 1</b></a>' in part.html
    assert (part.button, part.url) == ("Read on the site", "https://press.example.org/en/")
    assert (part.preview, part.photo) == ("", None)


def test_a_lead_that_only_repeats_the_title_is_left_out_and_a_long_one_is_cut_between_words(told, item):
    (part,) = told([item(1, summary="Title 1")])
    assert part.plain.endswith("\n\nTitle 1")
    (part,) = told([item(1, summary="many words " * 50)])
    assert part.plain.rpartition("\n")[2].endswith(("many…", "words…"))
    assert len(part.plain.rpartition("\n")[2]) <= 160


def test_urgent_ones_come_first_then_the_newest(told, item):
    (part,) = told([item(1, 5), item(2, 1), item(3, 9, urgent=True), item(4, 2)])
    places = [part.plain.index(title) for title in ("❗️ Urgent: Title 3", "Title 2", "Title 4", "Title 1")]
    assert places == sorted(places)


def test_a_corrected_one_says_so(told, item):
    (part,) = told([item(1, note="The fee is 20.")])
    assert "Title 1\n✏️ Corrected: The fee is 20.\nFrom Monday." in part.plain


@pytest.mark.parametrize(
    ("lang", "hours", "heading"),
    [
        ("en", 1, "🗞 News, 21 November"),
        ("az", 1, "🗞 Xəbərlər, 21 noyabr"),
        ("ru", 1, "🗞 Новости, 21 ноября"),
        ("en", 24 * 6, "🗞 News, 15–21 November"),
        ("az", 24 * 6, "🗞 Xəbərlər, 15–21 noyabr"),
        ("ru", 24 * 6, "🗞 Новости, 15–21 ноября"),
        ("en", 24 * 22, "🗞 News, 30 October – 21 November"),
        ("az", 24 * 22, "🗞 Xəbərlər, 30 oktyabr – 21 noyabr"),
        ("ru", 24 * 22, "🗞 Новости, 30 октября – 21 ноября"),
    ],
)
def test_the_heading_has_the_days_in_the_readers_language(told, item, lang, hours, heading):
    (part, *_) = told([item(1, 1), item(2, hours)], lang)
    assert part.plain.split("\n")[0] == heading


def test_days_are_those_of_the_readers_zone(told, item):
    late = Item(replace(item(1).release, public_at=datetime(2026, 11, 20, 22, tzinfo=UTC)), "en")
    assert told([late])[0].plain.startswith("🗞 News, 21 November")  # two in the morning in Baku
    assert told([late], zone=ZoneInfo("Europe/London"))[0].plain.startswith("🗞 News, 20 November")


def test_what_was_withdrawn_is_left_out_and_nothing_is_said_of_it(told, item):
    (part,) = told([item(1), item(2, state=State.WITHDRAWN)])
    assert "2" not in part.plain.replace("21 November", "")
    assert told([item(1, state=State.WITHDRAWN), item(2, state=State.DRAFT)]) == ()
    assert told([]) == ()


@pytest.mark.parametrize(
    ("lang", "count", "said"),
    [
        ("en", 1, "🚫 1 release has been withdrawn since."),
        ("en", 2, "🚫 2 releases have been withdrawn since."),
        ("az", 2, "🚫 O vaxtdan bəri 2 məlumat geri götürülüb."),
        ("ru", 1, "🚫 С тех пор отозван 1 материал."),
        ("ru", 3, "🚫 С тех пор отозвано 3 материала."),
        ("ru", 5, "🚫 С тех пор отозвано 5 материалов."),
    ],
)
def test_a_copy_that_follows_says_that_something_was_withdrawn_and_not_what(told, item, lang, count, said):
    gone = [item(number, state=State.WITHDRAWN) for number in range(2, 2 + count)]
    (part,) = told([item(1), *gone], lang, followed=True)
    assert part.plain.endswith(said)
    assert [f"Title {number}" in part.plain for number in range(1, 2 + count)] == [True] + [False] * count
    (alone,) = told(gone, lang, followed=True)
    assert alone.plain.endswith(said)


def test_a_copy_keeps_its_heading_whatever_was_withdrawn_and_whenever_it_is_rendered(
    told, item, site, taxonomy, texts, now
):
    items = [item(1, 1), item(2, 50)]
    heading = told(items)[0].plain.split("\n")[0]
    followed = [items[0], Item(replace(items[1].release, state=State.WITHDRAWN), "en")]
    later = Renderings(site, taxonomy).digest(followed, texts("en"), now + timedelta(days=9), followed=True)
    assert later[0].plain.split("\n")[0] == heading


def test_a_long_digest_is_several_messages_and_no_entry_is_torn(told, item, rules):
    items = [item(n, n, summary=f"Begins {n} {'lead ' * 25} ends {n}.", note="A note. " * 20) for n in range(1, 21)]
    parts = told(items)
    assert len(parts) > 1
    assert [bool(part.button) for part in parts] == [False] * (len(parts) - 1) + [True]
    for n in range(1, 21):
        homes = [part for part in parts if f"Title {n}\n" in part.plain]
        assert len(homes) == 1
        assert f"ends {n}." in homes[0].plain


@pytest.mark.parametrize(
    ("lang", "more", "said"),
    [
        ("en", 1, "And 1 more on the site."),
        ("az", 3, "Saytda daha 3 məlumat var."),
        ("ru", 2, "И ещё 2 материала на сайте."),
    ],
)
def test_what_is_too_much_is_counted(told, item, lang, more, said):
    parts = told([item(n, n) for n in range(1, 26 + more)], lang)
    assert parts[-1].plain.endswith(said)
    assert "Title 26" not in "".join(part.plain for part in parts)


def test_it_says_which_ones_it_shows_and_its_copy_still_counts_the_others(told, item):
    items = [item(number, hours=number) for number in range(1, 31)]
    first, *others = told(items)
    assert (first.listed.numbers, first.listed.more) == (tuple(range(1, 26)), 5)
    assert not any(one.listed for one in others)
    *_, last = told(items[:25], followed=True, more=5)
    assert last.plain.endswith("And 5 more on the site.")
    *_, last = told([*items[:24], item(25, 25, state=State.WITHDRAWN)], followed=True, more=5)
    assert last.plain.endswith("And 5 more on the site.\n\n🚫 1 release has been withdrawn since.")


@pytest.mark.parametrize(("count", "kept"), [(25, {}), (30, {"shown": tuple(range(1, 26)), "more": 5})])
def test_the_ledger_hears_what_was_shown_where_that_is_not_all(told, item, count, kept):
    items = tuple(item(number, hours=number) for number in range(1, count + 1))
    parts = told(items)
    letter = SimpleNamespace(kind=MessageKind.DIGEST, release=None, lang="", items=items)
    said = facts(letter, Task((Aim(OWN, parts),)))
    assert {name: said[name] for name in said if name in ("shown", "more")} == kept


def test_a_digest_is_rendered_once_for_as_long_as_nothing_in_it_changes(site, taxonomy, texts, item, now):
    renderings = Renderings(site, taxonomy)
    first = renderings.digest([item(1), item(2)], texts("en"), now)
    assert renderings.digest([item(1), item(2)], texts("en"), now) is first
    assert renderings.digest([item(1), item(2, state=State.WITHDRAWN)], texts("en"), now) != first
    assert renderings.digest([item(1), item(2, change=9, note="x")], texts("en"), now) != first
