"""Whole mails, as a receiver reads them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest

from bots.email.addresses import BadAddress
from bots.email.compile import LARGEST, NotSendable
from bots.email.templating import Templates
from syndicator.domain.model import Attachment, BodyFormat, MessageKind
from syndicator.domain.text import clean

TABLE = "<table><thead><tr><th>Sahə</th><th>2026</th></tr></thead>"
TABLE += "<tbody><tr><td>Tikinti</td><td>5900</td></tr></tbody></table>"
PICTURE = Attachment("/media/hall.jpg", "image/jpeg", 5000, alt="The hall", credit="Photo: Press")


class Page(HTMLParser):
    """What the HTML part links to and loads."""

    def __init__(self, html):
        super().__init__()
        self.links, self.loads, self.langs, self.tags = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        got = dict(attrs)
        self.tags.append(tag)
        self.langs += [got["lang"]] if "lang" in got else []
        self.links += [got["href"]] if tag == "a" else []
        self.loads += [got[k] for k in ("src", "srcset", "background", "data") if k in got]
        self.loads += [got["href"]] if tag == "link" else []


@pytest.fixture
def parts(read):
    def split(data):
        message = read(data)
        return message.get_body(("plain",)).get_content(), message.get_body(("html",)).get_content()

    return split


@pytest.mark.parametrize(
    ("lang", "title", "leave"),
    [
        ("az", "Şəxsiyyət vəsiqəsi üçün müraciət qaydası dəyişir", "Abunəlikdən çıx"),
        ("en", "Identity cards: how to apply", "Unsubscribe"),
        ("ru", "Порядок подачи заявлений на удостоверение личности", "Отписаться"),
    ],
)
def test_both_parts_hold_title_text_links_and_ways_out_in_the_readers_language(mail, parts, lang, title, leave):
    body = f'<p>{title}: <a href="https://visa.example.org/a?b=1&amp;c=2">visa</a></p>{TABLE}<ul><li>bir</li></ul>'
    text, html = parts(mail({"lang": lang, "title": title, "body": body}).data)
    page = Page(html)
    for address in (
        "https://visa.example.org/a?b=1&c=2",
        f"https://press.example.org/{lang}/releases/12-new-visa-rules",
        f"https://press.example.org/manage/{'m' * 40}",
        f"https://press.example.org/unsubscribe/{'u' * 40}",
    ):
        assert address in text
        assert address in page.links
    for part in (text, html):
        assert title in part
        assert leave in part
        assert "5900" in part
    assert "Tikinti | 5900" in text
    assert "• bir" in text


def test_every_part_parses_and_says_its_language_and_encoding(mail, read):
    message = read(mail({"lang": "az"}).data)
    assert message.get_content_type() == "multipart/alternative"
    assert not message.defects
    assert [p.get_content_type() for p in message.iter_parts()] == ["text/plain", "text/html"]
    for part in message.iter_parts():
        assert not part.defects
        assert part.get_content_charset() == "utf-8"
        assert part["Content-Transfer-Encoding"] == "quoted-printable"
        assert part["Content-Language"] == "az"


def test_the_frame_speaks_the_readers_language_and_the_text_its_own(mail, parts):
    text, html = parts(mail({"lang": "az", "title": "Qayda"}, reader_lang="ru").data)
    assert "Отписаться" in text
    assert "Визы" in text
    assert Page(html).langs[0] == "ru"
    assert '<h1 lang="az"' in html


@pytest.mark.parametrize("base", ["https://p.az", "https://press." + "long-" * 10 + "name.example.org/some/folder"])
@pytest.mark.parametrize("title", ["ə" * 300, "short", "= = = ." * 20, "." * 200])
def test_no_line_is_long_and_no_token_is_folded(site, make_compiler, letter, now, base, title):
    compiler = make_compiler(site=replace(site, base_url=base))
    body = f"<p>{title}</p><p>.{'x' * 3000}</p><p>.</p><pre>  \n. \n</pre>"
    data = compiler.mail(letter({"title": title, "body": body}), now).data
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = rest.split(b"\r\n")
    assert all(len(line) <= 76 for line in lines)
    assert all(len(line) <= 998 for line in head.split(b"\r\n"))
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert b"\r" not in data.replace(b"\r\n", b"")
    assert b"\0" not in data
    assert sum(line.removesuffix(b"=") == b"u" * 40 for line in lines) == 2
    assert sum(line.removesuffix(b"=") == b"m" * 40 for line in lines) == 2


def test_the_reason_is_the_readers_own_and_does_not_spoil_the_next(mail, parts):
    visas, _ = parts(mail(filter_text="topic=visas").data)
    others, html = parts(mail(filter_text="topic=refugees").data)
    assert "Visas" in visas
    assert "Refugees" in others
    assert "Refugees" in html
    assert "Visas" not in others


def test_markup_in_words_stays_words(mail, parts):
    hostile = "<script>alert(1)</script> & <img src=x>"
    about = {
        "title": hostile,
        "note": hostile,
        "rights": hostile,
        "attachments": (Attachment("/media/a.pdf", title=hostile),),
    }
    text, html = parts(mail(about, filter_text="topic=%3Cscript%3E").data)
    assert "<script" not in html
    assert "<img" not in html
    assert hostile in text


def test_nothing_is_loaded_from_elsewhere(mail, parts):
    remote = Attachment("https://tracker.example.net/pixel.gif", "image/gif", alt="Pixel")
    body = clean('<p>a<img src="https://tracker.example.net/p.gif"></p>', BodyFormat.HTML)
    _, html = parts(mail({"attachments": (remote, PICTURE), "body": body}).data)
    page = Page(html)
    assert page.loads == ["https://press.example.org/media/hall.jpg"]
    assert "https://tracker.example.net/pixel.gif" in page.links  # named, not loaded
    assert not {"script", "link", "iframe", "form", "object", "video"} & set(page.tags)
    assert "url(" not in html
    assert "@import" not in html
    assert 'alt="The hall"' in html
    assert "Photo: Press" in html


@pytest.mark.parametrize(
    "url", ["//evil.example/x.png", "https://press.example.org.evil.example/x.png", "http://evil.example/"]
)
def test_a_picture_that_only_seems_ours_is_not_loaded(mail, parts, url):
    _, html = parts(mail({"attachments": (Attachment(url, "image/png"),)}).data)
    assert Page(html).loads == []


def test_attachments_are_links_with_their_size(mail, parts):
    form = Attachment("/media/form.pdf", "application/pdf", 234_567, title="Form")
    text, html = parts(mail({"lang": "ru", "attachments": (form, Attachment("javascript:alert(1)"))}).data)
    assert "Form (234,6 кБ)" in text.replace("\u00a0", " ")
    assert "https://press.example.org/media/form.pdf" in text
    assert "https://press.example.org/media/form.pdf" in Page(html).links
    assert "javascript" not in text + html


LONG = {
    "cyrillic": "<p>" + "Миграционная служба сообщает о новом порядке. " * 300 + "</p>",
    "one block": "<p>" + "слово " * 160_000 + "</p>",
    "many blocks": "".join(f"<p>Paragraph {n} about visas and <b>cards</b>.</p>" for n in range(20_000)),
    "a table": "<table><tbody>" + "<tr><td>a</td><td>b</td></tr>" * 30_000 + "</tbody></table>",
    "many links": "".join(f'<p><a href="https://x.example/{n}">x</a></p>' for n in range(15_000)),
}


@pytest.mark.parametrize("body", LONG.values(), ids=LONG.keys())
def test_a_body_of_any_length_stays_below_what_mail_services_clip(mail, parts, body):
    about = {"body": clean(body[:990_000], BodyFormat.HTML), "title": "Т" * 500, "note": "п" * 500}
    data = mail(about).data
    assert len(data) < LARGEST
    text, html = parts(data)
    for part in (text, html):
        assert "Read the full text on our site" in part
        assert "https://press.example.org/en/releases/12-new-visa-rules" in part
    assert html.rstrip().endswith("</html>")
    assert len(re.findall("<table", html)) == len(re.findall("</table>", html))


def test_a_usual_text_is_there_in_full(mail, parts):
    text, html = parts(mail({"body": "".join(f"<p>Sentence {n} of the notice.</p>" for n in range(200))}).data)
    assert "Sentence 199" in text
    assert "Sentence 199" in html
    assert "Read the full text" not in text


@pytest.mark.parametrize(
    ("span", "said"), [(timedelta(days=3), "3 дня"), (timedelta(hours=12), "12 часов"), (timedelta(days=21), "21 день")]
)
def test_a_confirmation_says_how_long_its_link_works(make_compiler, letter, parts, now, span, said):
    made = make_compiler(confirm_for=span).mail(letter(kind=MessageKind.CONFIRMATION, lang="", reader_lang="ru"), now)
    assert all(f"Ссылка действует {said}." in part for part in parts(made.data))


def test_a_confirmation_has_one_clear_way_and_says_what_was_asked(mail, parts, read):
    data = mail(kind=MessageKind.CONFIRMATION, lang="", reader_lang="az", filter_text="topic=visas,refugees").data
    text, html = parts(data)
    link = f"https://press.example.org/confirm/{'c' * 40}"
    ways = {a for a in Page(html).links if urlsplit(a).path != "/az/"}
    assert ways == {link}
    assert link in text
    for part in (text, html):
        assert "Vizalar" in part
        assert "7 gün" in part
        assert "heç nə etməyin" in part
    assert read(data)["Subject"].startswith("Abunəliyinizi təsdiqləyin")
    assert len(data) < 20_000


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("reader@example.com", "reader@example.com"),
        ("Reader@Example.COM", "Reader@example.com"),
        ("reader@şəhər.az", "reader@xn--hr-ikbd6p.az"),
        ("ali@intranet", "ali@intranet"),
    ],
)
def test_a_domain_is_written_in_ascii(mail, read, address, written):
    got = mail(address=address)
    assert read(got.data)["To"].split("@")[0] == written.split("@")[0]
    assert got.recipient.text.isascii()
    assert not got.recipient.utf8


@pytest.mark.parametrize(
    "address",
    [
        "",
        "no address",
        "a@b@c.example",
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com\nx",
        "<a@example.com>",
        "A <a@example.com>",
        "a@example.com, b@example.com",
        "a\0@example.com",
        "a@example.com\u2028",
        '"a b"@example.com',
        "@example.com",
        "a@-x.example",
        "\ud800@example.com",
    ],
)
def test_what_is_no_address_gets_no_mail(mail, address):
    with pytest.raises(BadAddress):
        mail(address=address)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kind": MessageKind.EDIT}, "no edit by mail"),
        ({"kind": MessageKind.FEED}, "no feed by mail"),
        ({"kind": MessageKind.DIGEST}, "nothing to tell of"),
        ({"kind": MessageKind.WITHDRAWAL, "release": None}, "no release"),
        ({"kind": MessageKind.CORRECTION, "lang": "ru"}, "no text"),
        ({"kind": MessageKind.ADDRESS, "confirm_token": ""}, "confirm token"),
        ({"kind": MessageKind.WELCOME, "manage_token": ""}, "manage token"),
        ({"release": None}, "no text"),
        ({"lang": "ru"}, "no text"),
        ({"unsubscribe_token": ""}, "unsubscribe token"),
        ({"manage_token": "a b\r\n" * 8}, "manage token"),
        ({"unsubscribe_token": "x" * 30 + "=\r\n" + "y" * 20}, "unsubscribe token"),
        ({"kind": MessageKind.CONFIRMATION, "confirm_token": ""}, "confirm token"),
    ],
)
def test_a_letter_that_lacks_something_is_refused_with_the_reason(mail, changes, why):
    with pytest.raises(NotSendable, match=why):
        mail(**changes)


def test_a_release_is_compiled_once_for_all_its_readers(compiler, letter, now, monkeypatch):
    made = []
    text = Templates.text
    monkeypatch.setattr(Templates, "text", lambda *a, **k: made.append(1) or text(*a, **k))
    about = {"lang": "az"}
    mails = [compiler.mail(letter(about, subscriber=n, address=f"r{n}@example.com"), now) for n in range(50)]
    assert len(made) == 1
    assert len({m.data for m in mails}) == 50


def test_a_new_revision_is_compiled_anew(make_compiler, letter, now):
    compiler = make_compiler(remembered=3)
    for number in range(1, 9):
        data = compiler.mail(letter({"number": number, "change": number, "title": f"Title {number}"}), now).data
        assert f"Subject: Title {number}\r\n".encode() in data


@pytest.mark.parametrize("wrong", ["no address", "a@b\r\nc", "ə@example.org"])
def test_a_wrong_sender_stops_the_start(make_compiler, wrong):
    with pytest.raises(ValueError, match=r"address|email\.from"):
        make_compiler(sender=wrong)


@pytest.mark.parametrize(
    ("summary", "times"),
    [("The hall opens on Monday, and…", 0), ("Bring your passport.", 1)],
)
def test_a_summary_is_said_unless_the_text_opens_with_it(mail, parts, summary, times):
    about = {"summary": summary, "body": "<p>The hall opens on Monday, and that is that.</p>"}
    for part in parts(mail(about).data):
        assert part.partition("<table")[2 if "<table" in part else 0].count(summary) == times  # behind the preview


def test_a_telephone_number_is_not_said_twice(mail, parts):
    text, _ = parts(mail({"body": '<p>Call <a href="tel:+999125550119">+999 12 555 01 19</a>.</p>'}).data)
    assert "Call +999 12 555 01 19." in text
