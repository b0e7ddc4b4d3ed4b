"""Headers: each there once, each as its standard asks, and nothing a person wrote makes another."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from email.header import decode_header, make_header

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bots.email.headers import ascii_host, ascii_site, feedback_id, from_line, list_id, text_line
from syndicator.domain.model import MessageKind, Urgency
from syndicator.domain.text import one_line

# What breaks headers: line ends of every kind, controls, direction marks, emoji, what looks encoded, lone surrogates.
NASTY = st.text(
    st.one_of(
        st.sampled_from(
            '\r\n\t\0\x0b\x0c\x1b\x7f\x85\u2028\u2029\u202e\u2066\ufeff\u200d\ud800\udfff😀👩🏽ə"\\<>@,;:=?_ '
        ),
        st.characters(codec=None),
    ),
    max_size=200,
)
WRITTEN = st.one_of(NASTY, st.builds("{}\r\nBcc: x@y.example\r\n\r\n{}".format, NASTY, NASTY), st.just("=?utf-8?q?a?="))

calm = settings(deadline=None)


@calm
@given(WRITTEN)
def test_a_title_is_one_header_line_that_reads_back_equal(text):
    raw = text_line("Subject", text)
    lines = raw.removesuffix(b"\r\n").split(b"\r\n")
    assert raw.isascii()
    assert all(len(line) <= 76 for line in lines)
    assert lines[0].startswith(b"Subject: ")
    assert all(line.startswith(b" ") and line.strip() for line in lines[1:])
    unfolded = raw.decode().removesuffix("\r\n").removeprefix("Subject: ").replace("\r\n", "")
    assert str(make_header(decode_header(unfolded))) == one_line(text)


def test_a_long_plain_title_is_folded_between_words_and_not_encoded():
    title = "Temporary residence permits: how to extend yours changes in January, and what it costs then"
    first, second = text_line("Subject", title).decode().removesuffix("\r\n").split("\r\n")
    assert (first + second).removeprefix("Subject: ") == title


@pytest.mark.parametrize("title", ["a" * 66, "a b" + "c" * 64, "a" * 67, "a" * 75, "a" * 200, "a " * 40 + "b" * 74])
def test_words_of_any_length_read_back_equal_on_lines_that_fit(read, title):
    raw = text_line("Subject", title)
    assert all(len(line) <= 76 for line in raw.split(b"\r\n"))
    assert raw.startswith(b"Subject: ")
    assert read(raw + b"\r\n")["Subject"] == title


@calm
@given(WRITTEN)
def test_an_office_name_never_changes_the_address(text):
    raw = from_line(text, "news@example.org").decode()
    assert raw.replace("\r\n ", " ").count("\r\n") == 1
    name, _, address = raw.removesuffix("\r\n").removeprefix("From: ").replace("\r\n", "").rpartition(" ")
    assert address in ("<news@example.org>", "news@example.org")
    assert "@" not in name.replace(r"\@", "") or name.startswith('"')
    shown = name[1:-1].replace(r"\"", '"').replace("\\\\", "\\") if name.startswith('"') else name
    assert str(make_header(decode_header(shown))) == one_line(text) or name.startswith('"')
    if name.startswith('"'):
        assert shown == one_line(text)


@settings(calm, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=WRITTEN, note=WRITTEN, name=WRITTEN)
def test_what_people_write_adds_no_header_to_a_whole_mail(site, make_compiler, letter, read, now, title, note, name):
    compiler = make_compiler(site=replace(site, names={"en": name}))
    plain = read(make_compiler().mail(letter(), now).data)
    hostile = read(compiler.mail(letter({"title": title, "note": note, "rights": note, "summary": name}), now).data)
    assert hostile.keys() == plain.keys()
    assert hostile["To"] == "reader@example.com"
    assert one_line(title) in hostile["Subject"] or not one_line(title)
    assert not hostile.defects


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("To", "reader@example.com"),
        ("Subject", "New visa rules"),
        ("Date", "Sun, 22 Nov 2026 08:00:00 +0000"),
        ("List-Id", "<releases.en.press.example.org>"),
        ("List-Unsubscribe", f"<https://press.example.org/unsubscribe/{'u' * 40}>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Auto-Submitted", "auto-generated"),
        ("Precedence", "bulk"),
        ("Content-Language", "en"),
        ("Feedback-ID", "12:visas:immediate:pressexampleorg"),
        ("From", "Aldera Migration Service <news@example.org>"),
        ("MIME-Version", "1.0"),
    ],
)
def test_a_release_has_each_header_once(mail, read, header, value):
    got = read(mail().data)
    assert got.get_all(header) == [value]


@pytest.mark.parametrize("header", ["List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "Precedence"])
def test_a_confirmation_belongs_to_no_list(mail, read, header):
    got = read(mail(kind=MessageKind.CONFIRMATION).data)
    assert header not in got
    assert got["Auto-Submitted"] == "auto-generated"


def test_the_one_way_out_is_the_link_that_a_machine_follows(mail, read):
    assert "mailto" not in read(mail().data)["List-Unsubscribe"]


def test_one_click_is_promised_only_where_the_link_is_https(site, make_compiler, letter, read, now):
    got = read(make_compiler(site=replace(site, base_url="http://localhost:8080")).mail(letter(), now).data)
    assert "List-Unsubscribe-Post" not in got
    assert got["List-Unsubscribe"].startswith("<http://localhost:8080/unsubscribe/")


@pytest.mark.parametrize(
    ("lang", "note", "urgency", "subject"),
    [
        ("en", "", Urgency.NORMAL, "Rules"),
        ("en", "", Urgency.URGENT, "Urgent: Rules"),
        ("en", "A date", Urgency.NORMAL, "Corrected: Rules"),
        ("en", "A date", Urgency.URGENT, "Urgent: Corrected: Rules"),
        ("az", "", Urgency.URGENT, "Təcili: Rules"),
        ("ru", "Дата", Urgency.NORMAL, "Исправлено: Rules"),
    ],
)
def test_the_subject_says_first_what_matters_first(mail, read, lang, note, urgency, subject):
    got = read(mail({"lang": lang, "title": "Rules", "note": note, "urgency": urgency}).data)
    assert got["Subject"] == subject


def test_the_same_message_to_the_same_reader_is_the_same_mail(make_compiler, letter, now):
    first = make_compiler().mail(letter(), now)
    again = make_compiler().mail(letter(resent=True, attempt=2, delivery=99), now)
    assert again == first
    later = make_compiler().mail(letter(), now + timedelta(hours=1))
    differing = [a for a, b in zip(later.data.split(b"\r\n"), first.data.split(b"\r\n"), strict=True) if a != b]
    assert differing == [b"Date: Sun, 22 Nov 2026 09:00:00 +0000"]


def test_message_ids_differ_by_reader_and_by_message_and_name_nobody(mail):
    ids = {mail(subscriber=s, message=m).message_id for s in (7, 8) for m in ("release:12:0", "release:13:0")}
    assert len(ids) == 4
    assert all(i.endswith("@press.example.org") and "reader" not in i for i in ids)


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("Press.Example.org", "press.example.org"),
        ("mətbuat.example.org", "xn--mtbuat-wyc.example.org"),
        ("localhost", "localhost"),
        ("::1", ""),
        ("a b", ""),
        ("x\r\nBcc: y", ""),
        ("", ""),
    ],
)
def test_hosts_are_written_in_ascii_or_not_at_all(host, written):
    assert ascii_host(host) == written


def test_an_address_beyond_ascii_becomes_ascii_in_every_link(site, make_compiler, letter, now):
    far = replace(site, base_url="https://mətbuat.example.org:8443/xəbər")
    assert ascii_site(far).base_url == "https://xn--mtbuat-wyc.example.org:8443/x%C9%99b%C9%99r"
    data = make_compiler(site=far).mail(letter(), now).data
    assert data.isascii()
    assert b"<https://xn--mtbuat-wyc.example.org:8443/x%C9%99b%C9%99r/unsubscribe/" in data


def test_identifiers_have_their_form():
    assert list_id("az", "press.example.org") == "<releases.az.press.example.org>"
    assert feedback_id("12", "", "immediate", "x.az") == "12:none:immediate:xaz00"
    assert feedback_id("12", "şəhər:\r\nx", "daily", "x.az") == "12:__h_r___x:daily:xaz00"
