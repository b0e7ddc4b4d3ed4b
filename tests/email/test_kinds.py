"""What each kind of mail says: corrections, withdrawals, digests, welcome, new and old addresses."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from bots.email.compile import LARGEST, NotSendable
from bots.email.templating import Templates
from syndicator.domain.letters import Earlier, Item
from syndicator.domain.model import Cadence, MessageKind, State, Urgency
from tests.email.gallery import (
    LANGS,
    NOTES,
    NOW,
    REASONS,
    SENTENCES,
    TITLES,
    a_compiler,
    a_letter,
    a_text,
    gallery,
    items,
    parts,
    read,
)

KIND = MessageKind
SENT = NOW - timedelta(hours=3)
FIRST = Earlier(1, KIND.RELEASE, {"message_id": "<first@press.example.org>"}, SENT)
SECOND = Earlier(2, KIND.CORRECTION, {"message_id": "<second@press.example.org>"}, NOW - timedelta(hours=1))
EVERYTHING = [(lang, shown.name) for lang in LANGS for shown in gallery(lang)]
MARKED = "vəhşisöz"  # a word that somebody typed into a form


def made(kind, lang="en", **changes):
    return a_compiler().mail(a_letter(kind, lang, **changes), NOW)


def said(kind, lang="en", **changes):
    """Subject, text and HTML."""
    data = made(kind, lang, **changes).data
    return read(data)["Subject"], *parts(data)


class Links(HTMLParser):
    """Every address in a page."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("href", "src", "background", "srcset", "action")]


@pytest.fixture(params=EVERYTHING, ids="-".join, scope="module")
def letter(request):
    """Each kind in each language."""
    lang, name = request.param
    return next(shown.letter for shown in gallery(lang) if shown.name == name)


def test_every_mail_is_read_back_as_it_was_meant_and_no_line_is_long_or_begins_with_a_dot(letter):
    for one in (letter, replace(letter, text_only=True)):
        data = a_compiler().mail(one, NOW).data
        message = read(data)
        found = [message, *message.walk()]
        assert not [defect for part in found for defect in part.defects]
        assert len(data) < LARGEST
        assert b"\0" not in data
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)", data)
        head, _, body = data.partition(b"\r\n\r\n")
        assert max(map(len, body.split(b"\r\n"))) <= 76
        assert max(map(len, head.split(b"\r\n"))) <= 998
        assert not [line for line in data.split(b"\r\n") if line.startswith(b".")]


def test_a_mail_without_html_is_its_text_part_alone(letter):
    text, _ = parts(a_compiler().mail(letter, NOW).data)
    message = read(a_compiler().mail(replace(letter, text_only=True), NOW).data)
    assert message.get_content_type() == "text/plain"
    assert message.get_content().replace("\r\n", "\n") == text
    assert message["MIME-Version"] == "1.0"


def test_a_page_says_its_language_direction_and_title_and_shows_a_preview(letter):
    _, html = parts(a_compiler().mail(letter, NOW).data)
    lang = letter.reader_lang
    assert f'<html lang="{lang}" dir="ltr"' in html
    assert re.search(r"<title>\s*\S", html)
    assert re.search(r'class="preview"[^>]*>\s*\w', html)
    assert 'name="color-scheme" content="light dark"' in html
    assert "prefers-color-scheme: dark" in html


def test_every_address_is_the_sites_own_or_the_releases_own(letter):
    """No pixel, no rewritten link: nothing tells who reads."""
    text, html = parts(a_compiler().mail(letter, NOW).data)
    ours = ("https://press.example.org/", "https://www.example.org/sənəd", "mailto:press@press.example.org")
    loaded = re.findall(r'<img[^>]* src="([^"]*)"', html)
    assert set(loaded) <= {"https://press.example.org/media/hall.jpg"}
    assert not [one for one in Links(html).found if not one.startswith(ours)]
    assert not [one for one in re.findall(r"https?://[^\s)]+", text) if not one.startswith(ours)]
    assert not re.search(r"url\(|@import|<(?:script|link|iframe|form|object|video|base)\b", html)
    asked = [one for one in Links(html).found if "?" in one]
    assert asked == []  # an address carries nothing but itself


def test_nothing_that_somebody_typed_into_a_form_is_in_any_mail(letter):
    typed = f"topic=visas,{MARKED}-a&not={MARKED}-b&kind={MARKED}-c&q={MARKED}&lang=az,tlh".replace("ə", "e").replace(
        "ş", "s"
    )
    written = f"{MARKED}.reader@example.com".replace("ə", "e").replace("ş", "s")
    data = a_compiler().mail(replace(letter, filter_text=typed, address=written, written=written), NOW).data
    text, html = parts(data)
    assert "vehsi" not in text + html + read(data)["Subject"]
    assert MARKED not in text + html


@pytest.mark.parametrize(
    ("filter_text", "why"),
    [
        ("", "All topics"),
        ("topic=visas", "Visas"),
        ("topic=gone", "topics of your choice"),
        ("topic=gone,visas&q=a+b", "Visas; with the words you gave"),
        ("kind=odd", "All topics; only kinds of your choice"),
        ("kind=odd,news", "All topics; only News"),
        ("lang=az,tlh", "All topics; in this order: Azerbaijani"),
        ("no filter", "releases of your choice"),
    ],
)
def test_why_somebody_gets_a_mail_is_said_in_the_offices_own_words(filter_text, why):
    text, html = parts(made(KIND.RELEASE, release=a_text("en"), filter_text=filter_text).data)
    assert f"because you subscribed to:\n{why}\n" in text
    assert why in html


@pytest.mark.parametrize("kind", [KIND.CONFIRMATION, KIND.ADDRESS])
@pytest.mark.parametrize("lang", LANGS)
def test_a_question_has_one_link_that_acts_and_to_do_nothing_is_a_no(kind, lang):
    message = read(made(kind, lang).data)
    text, html = parts(made(kind, lang).data)
    path = "confirm" if kind is KIND.CONFIRMATION else "address"
    link = f"https://press.example.org/{path}/{'c' * 40}"
    assert {one for one in Links(html).found if not one.endswith(f"/{lang}/")} == {link}
    assert f"\n{link}\n" in text
    assert "m" * 40 not in text + html
    assert "u" * 40 not in str(message)
    assert message["List-Unsubscribe"] is None
    assert "7" in text


@pytest.mark.parametrize("lang", LANGS)
def test_an_old_address_is_told_whom_to_write_to_and_given_no_link_that_acts(lang):
    data = made(KIND.MOVED, lang).data
    text, html = parts(data)
    assert "\npress@press.example.org\n" in text
    assert Links(html).found == [f"https://press.example.org/{lang}/", "mailto:press@press.example.org"]
    assert not re.search(rb"m{40}|u{40}|c{40}|a{48}", data)


def test_an_office_without_a_contact_sends_who_was_moved_to_its_site(make_compiler):
    text, _ = parts(make_compiler().mail(a_letter(KIND.MOVED, "en"), NOW).data)
    assert "\nhttps://press.example.org/en/subscribe\n" in text


@pytest.mark.parametrize(
    ("cadence", "often", "looks"),
    [
        (Cadence.IMMEDIATE, "as soon as it is published", "The subject is the title"),
        (Cadence.DAILY, "Once a day", "how many releases"),
        (Cadence.WEEKLY, "Once a week", "how many releases"),
    ],
)
def test_a_welcome_says_what_comes_how_often_from_where_and_how_to_change_it(cadence, often, looks):
    subject, text, html = said(KIND.WELCOME, cadence=cadence)
    assert subject.startswith("Your subscription is confirmed")
    for part in (text, html):
        for words in ("Refugees and asylum, Visas", often, looks, "news@press.example.org", "m" * 40, "u" * 40):
            assert words in part


@pytest.mark.parametrize("cadence", list(Cadence))
def test_a_welcome_tells_who_reads_digests_what_does_not_wait_for_them(cadence):
    for part in said(KIND.WELCOME, cadence=cadence)[1:]:
        assert ("What is urgent does not wait for that: it comes at once" in part) is (cadence is not Cadence.IMMEDIATE)


def test_a_correction_says_first_what_has_changed_then_the_whole_text_under_the_mail_it_corrects():
    given = {"release": a_text("en", note="old news"), "notes": (*NOTES["en"], NOTES["en"][0], " ")}
    data = made(KIND.CORRECTION, earlier=(FIRST, SECOND), **given).data
    message, (text, html) = read(data), parts(data)
    assert message["Subject"] == f"Corrected: {TITLES['en']}"
    assert message["In-Reply-To"] == "<second@press.example.org>"
    assert message["References"] == "<first@press.example.org> <second@press.example.org>"
    for part in (text, html[html.index("<table") :]):
        places = [part.index(words) for words in (*NOTES["en"], TITLES["en"], SENTENCES["en"], "1. ", "form.pdf")[:4]]
        assert places == sorted(places)
        assert part.count(NOTES["en"][0]) == 1
        assert "old news" not in part


@pytest.mark.parametrize(
    "earlier",
    [
        (),
        (replace(FIRST, answer={}),),
        (replace(FIRST, answer={"message_id": 5}),),
        (replace(FIRST, answer={"message_id": "<a@b>\r\nBcc: <c@d>"}),),
        (replace(FIRST, answer={"message_id": f"<{'a' * 300}@b>"}),),
        (replace(FIRST, answer={"message_id": "no id"}),),
    ],
)
def test_a_correction_of_a_mail_that_is_not_known_stands_alone(earlier):
    message = read(made(KIND.CORRECTION, release=a_text("en", note="x"), notes=("x",), earlier=earlier).data)
    assert message["In-Reply-To"] is None
    assert message["References"] is None
    assert message["Bcc"] is None


def test_a_long_thread_names_the_first_and_the_newest():
    earlier = [replace(FIRST, answer={"message_id": f"<{n}@press.example.org>"}) for n in range(40)]
    message = read(made(KIND.CORRECTION, release=a_text("en"), notes=("x",), earlier=tuple(earlier)).data)
    ids = message["References"].split()
    assert ids == ["<0@press.example.org>", *(f"<{n}@press.example.org>" for n in range(31, 40))]


def test_corrections_of_one_text_differ_by_what_their_readers_know():
    release = a_text("en", note="x")
    texts = {said(KIND.CORRECTION, release=release, notes=notes)[1] for notes in (("a", "b"), ("b",), ())}
    assert len(texts) == 3
    assert any("The text has been corrected." in text for text in texts)


def test_a_release_that_came_back_says_so():
    gone = replace(SECOND, kind=KIND.WITHDRAWAL)
    subject, text, html = said(KIND.CORRECTION, release=a_text("en"), earlier=(FIRST, gone))
    assert subject == f"Published again: {TITLES['en']}"
    for part in (text, html):
        assert "We had withdrawn this release." in part
        assert "has been corrected" not in part
    again = (FIRST, gone, replace(SECOND, delivery=3))
    assert said(KIND.CORRECTION, release=a_text("en"), notes=("x",), earlier=again)[0].startswith("Corrected: ")


@pytest.mark.parametrize(
    ("lang", "told"),
    [
        ("az", ("22 noyabr 2026, 03:00 (Bakı vaxtı ilə)", "22 noyabr 2026, 06:00 (Berlin vaxtı ilə)", "Berlin vaxtı")),
        ("en", ("22 November 2026, 03:00 (Baku time)", "22 November 2026, 06:00 (Berlin time)", "are Berlin time")),
        ("ru", ("22 ноября 2026, 03:00 (местное время, Баку)", "06:00 (местное время, Берлин)", "местное: Берлин")),
    ],
)
def test_every_time_says_where_clocks_show_it(lang, told):
    """A release's time is the office's, when it was sent the reader's, and a digest's all are the reader's."""
    at, about = {"timezone": "Europe/Berlin"}, a_text(lang)
    gone = replace(about, state=State.WITHDRAWN, withdrawn_at=NOW, reason=REASONS[lang])
    mails = (
        said(KIND.RELEASE, lang, release=about, **at),
        said(KIND.WITHDRAWAL, lang, release=gone, earlier=(FIRST,), **at),
        said(KIND.DIGEST, lang, items=items(lang, "x"), **at),
    )
    for words, (_, text, html) in zip(told, mails, strict=True):
        assert text.count(words) == html.count(words) == 1


@pytest.mark.parametrize("lang", LANGS)
def test_a_withdrawal_names_day_time_and_reason_and_repeats_nothing(lang):
    about = replace(a_text(lang, note="note"), state=State.WITHDRAWN, withdrawn_at=NOW, reason=REASONS[lang])
    data = made(KIND.WITHDRAWAL, lang, release=about, earlier=(FIRST,)).data
    message, (text, html) = read(data), parts(data)
    assert message["In-Reply-To"] == "<first@press.example.org>"
    assert "2026" in message["Subject"]
    for part in (text, html):
        assert REASONS[lang] in part
        assert "09:00" in part  # when it was sent, on the reader's clock
        assert f"https://press.example.org/{lang}/releases/12" in part
    for gone in (TITLES[lang], SENTENCES[lang], "12-release", "hall.jpg", "form.pdf"):
        assert gone not in text + html + message["Subject"]


def test_of_a_withdrawn_release_that_may_not_have_arrived_no_time_is_named():
    about = replace(a_text("en"), state=State.WITHDRAWN, withdrawn_at=NOW, reason="")
    _, text, _ = said(KIND.WITHDRAWAL, release=about, earlier=(replace(FIRST, is_known=False),))
    assert "It was sent to you" not in text
    assert "Reason" not in text


def test_a_digest_has_each_release_once_the_urgent_first_then_the_newest():
    told = items("en", "document")
    mail = made(KIND.DIGEST, items=(*told, *told[:5]))
    text, html = parts(mail.data)
    assert read(mail.data)["Subject"].startswith(f"{len(told)} releases: {TITLES['en']}")
    newest_first = sorted(told, key=lambda one: one.release.public_at, reverse=True)
    newest_first.sort(key=lambda one: one.release.urgency is not Urgency.URGENT)
    expected = [one.release.number for one in newest_first]
    assert [int(n) for n in re.findall(r"/releases/(\d+)-release\n", text)] == expected
    assert [int(n) for n in re.findall(r'/releases/(\d+)-release"', html)] == expected
    assert mail.shown == tuple(expected)
    assert text.count("URGENT\n") == 1
    assert f"Corrected. {NOTES['en'][0]}" in text


def test_a_digest_says_the_language_of_a_text_in_another_one():
    _, _, html = said(KIND.DIGEST, items=(Item(a_text("az", 15), "az"),), reader_lang="en")
    assert re.search(f'lang="az"[^>]*>\\s*<a [^>]*>{re.escape(TITLES["az"])}', html)


@pytest.mark.parametrize(
    ("lang", "zone", "count", "heading"),
    [
        ("en", "Asia/Baku", 1, "1 release, 22 November 2026"),
        ("ru", "Asia/Baku", 3, "3 сообщения, 21–22 ноября 2026"),
        ("az", "Asia/Baku", 5, "5 məlumat, 20–22 noyabr 2026"),
        ("en", "America/Los_Angeles", 1, "1 release, 21 November 2026"),
        ("en", "Nowhere/Atlantis", 1, "1 release, 22 November 2026"),
    ],
)
def test_a_digest_is_headed_by_the_days_of_its_reader(lang, zone, count, heading):
    told = tuple(Item(a_text(lang, 12 + n), lang) for n in range(count))
    _, text, html = said(KIND.DIGEST, lang, items=told, timezone=zone)
    assert text.startswith(f"{heading}\n")
    assert heading in html


def test_a_digest_too_long_for_one_mail_ends_with_titles_and_says_how_many_there_are_beside_them():
    word = "Ш" * 250
    texts = [a_text("ru", n, title=f"{word} {n}", summary=f"{word} {word}", note=word) for n in range(12, 312)]
    told = tuple(Item(one, "ru") for one in texts)
    mail = made(KIND.DIGEST, "ru", items=told)
    text, _ = parts(mail.data)
    assert len(mail.data) < LARGEST
    assert mail.shown
    listed = re.findall(r"/releases/(\d+)-release\n", text)
    assert tuple(map(int, listed)) == mail.shown
    assert f"Ещё {len(told) - len(listed)} сообщени" in text
    assert read(mail.data)["Subject"].startswith("300 сообщений")


def test_many_short_items_are_told_of_some_in_full_and_others_by_title():
    told = tuple(Item(a_text("en", n, title=f"News {n}", summary=f"About {n}."), "en") for n in range(12, 72))
    mail = made(KIND.DIGEST, items=told)
    text, _ = parts(mail.data)
    assert len(mail.shown) == 60
    assert "MORE IN BRIEF" in text
    assert text.count("About ") == 25


def test_an_empty_digest_is_no_mail():
    with pytest.raises(NotSendable):
        made(KIND.DIGEST, items=())


def test_a_digest_follows_a_changed_text_and_forgets_the_old_one():
    old = a_text("en", title="Old title")
    texts = [said(KIND.DIGEST, items=(Item(one, "en"),))[1] for one in (old, a_text("en", title="New title"))]
    assert "Old title" in texts[0]
    assert "New title" in texts[1]
    assert "Old title" not in texts[1]


def test_readers_with_different_sets_share_what_was_rendered(monkeypatch):
    rendered = []
    piece = Templates.piece
    monkeypatch.setattr(Templates, "piece", lambda *a, **k: rendered.append(a[1]) or piece(*a, **k))
    told = [Item(a_text("en", n, title=f"Shared {n}"), "en") for n in range(12, 24)]
    for n in range(1, 60):
        given = [one for place, one in enumerate(told) if n >> (place % 6) & 1]
        made(KIND.DIGEST, items=tuple(given))
    assert rendered.count("entry") <= len(told)


@pytest.mark.parametrize(
    ("kind", "urgency", "urgent"),
    [
        (KIND.RELEASE, Urgency.NORMAL, False),
        (KIND.RELEASE, Urgency.URGENT, True),
        (KIND.CORRECTION, Urgency.NORMAL, True),
        (KIND.CONFIRMATION, Urgency.NORMAL, True),
        (KIND.WELCOME, Urgency.NORMAL, True),
        (KIND.ADDRESS, Urgency.NORMAL, True),
        (KIND.MOVED, Urgency.NORMAL, True),
    ],
)
def test_what_somebody_waits_for_is_urgent(kind, urgency, urgent):
    assert made(kind, release=a_text("en", urgency=urgency)).urgent is urgent
