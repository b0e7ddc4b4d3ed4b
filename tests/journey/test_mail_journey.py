"""The whole way of a mail subscriber, in three languages at once: from the form to the last letter, without a password.

The program is started once; its mails come over real SMTP, and every link that is followed is read from a mail.
"""

from __future__ import annotations

import re
import time
import urllib.parse
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html import unescape
from typing import Any

import pytest

SITE = "https://press.example.org"  # one-click unsubscribing (RFC 8058) is offered over https only
LANGUAGES = ("az", "en", "ru")
TITLES = {"az": "Viza rüsumu dəyişir", "en": "Visa fees change", "ru": "Меняются визовые сборы"}
MENDED = {"az": "Rüsum 25 lirdir, 20 yox.", "en": "The fee is 25 lir, not 20.", "ru": "Сбор 25 лир, а не 20."}


@dataclass
class Reader:
    """Somebody who reads one of the languages by mail and has nothing but their mailbox and a browser."""

    lang: str
    program: Any
    sink: Any
    address: str = ""
    seen: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.address = f"reader.{self.lang}@example.org"

    def mails(self, address: str = "") -> list[EmailMessage]:
        """What came to that address of theirs, oldest first."""
        mine = address or self.address
        found = [raw for to, raw in list(self.sink.taken) if to == mine]
        return [message_from_bytes(raw, EmailMessage, policy=default) for raw in found]

    def link(self, mail: EmailMessage, kind: str) -> str:
        part = mail.get_body(("plain",))
        assert part is not None
        found = re.findall(rf"{SITE}(/{kind}/[A-Za-z0-9_-]+)", part.get_content())
        assert found, (kind, part.get_content())
        return str(found[0])

    def page(self, path: str) -> str:
        status, body, headers = self.program.get(path)
        assert status == 200, path
        assert headers["content-language"] == self.lang
        return unescape(body.decode())

    def post(self, path: str, **fields: str) -> str:
        body = urllib.parse.urlencode(fields).encode()
        status, answer, _ = self.program.ask("POST", path, body=body, headers={"Origin": SITE})
        assert status == 200, (path, status)
        return unescape(answer.decode())

    def hidden(self, page: str, name: str) -> str:
        found = re.search(rf'name="{name}" value="([^"]*)"', page)
        assert found, name
        return found[1]

    def manages(self, **fields: str) -> str:
        """A form of their own page; the page that it leads to."""
        link = self.link(self.mails()[-1], "manage")
        page = self.page(link)
        if "subscription" in fields:
            fields["subscription"] = self.hidden(page, "subscription")
        form = urllib.parse.urlencode({"form": self.hidden(page, "form"), **fields}).encode()
        status, _, _ = self.program.ask("POST", link, body=form, headers={"Origin": SITE})
        assert status == 200
        return self.page(link)


@pytest.fixture
def readers(mailing: Any, sink: Any) -> list[Reader]:
    mailing.environ["SYNDICATOR_SITE__BASE_URL"] = SITE
    mailing.start()
    return [Reader(lang, mailing, sink) for lang in LANGUAGES]


@dataclass
class Newsroom:
    """Writes one release in every language."""

    program: Any

    def publish(self, name: str, titles: dict[str, str], text: str = "visa viza виза", note: bool = False) -> None:
        for lang, title in titles.items():
            front = f"---\nid: {name}\nnote: {MENDED[lang]}\n---\n" if note else f"---\nid: {name}\n---\n"
            self.program.write(f"{name}.{lang}.txt", f"{front}{title}\n\n{text}\n")


def titled(word: str) -> dict[str, str]:
    return {lang: f"{title} {word}" for lang, title in TITLES.items()}


def test_from_the_form_to_the_last_letter_in_three_languages(readers: list[Reader], until: Any) -> None:
    newsroom = Newsroom(readers[0].program)
    sign_up(readers, newsroom, until)
    confirm(readers, until)
    correct(readers, newsroom, until)
    digest(readers, newsroom, until)
    move(readers, newsroom, until)
    pause(readers, newsroom, until)
    leave(readers, newsroom, until)


def came(readers: list[Reader], until: Any, number: int, what: str) -> list[EmailMessage]:
    """Wait until each has so many mails; the newest of each."""
    until(lambda: all(len(one.mails()) >= number for one in readers), what)
    assert {one.lang: len(one.mails()) for one in readers} == {one.lang: number for one in readers}, what
    return [one.mails()[-1] for one in readers]


def sign_up(readers: list[Reader], newsroom: Newsroom, until: Any) -> None:
    made = {one.lang: one.hidden(one.page(f"/{one.lang}/subscribe"), "made") for one in readers}
    filled = time.monotonic() + 2.1  # a form that comes back within two seconds is taken for a robot's
    until(lambda: time.monotonic() > filled, "a person to fill the form")
    for one in readers:
        wish = {"made": made[one.lang], "email": one.address, "language": one.lang, "cadence": "immediate"}
        one.post(f"/{one.lang}/subscribe", **wish, website="", q="", text_only="yes" if one.lang == "ru" else "")
    came(readers, until, 1, "the question whether it was they")
    newsroom.publish("early", titled("I"))
    until(lambda: newsroom.program.titles("ru"), "a release before anybody has confirmed")
    until(lambda: newsroom.program.metric("syndicator_oldest_due_delivery_seconds") == 0, "an empty ledger")


def confirm(readers: list[Reader], until: Any) -> None:
    for one in readers:
        link = one.link(one.mails()[0], "confirm")
        for _ in range(2):  # what a scanner does
            one.page(link)
            one.program.ask("HEAD", link)
        assert "/manage/" in one.post(link)
        one.post(link)
    welcomes = came(readers, until, 2, "one welcome")
    for one, mail in zip(readers, welcomes, strict=True):
        assert one.page(one.link(mail, "manage"))
        assert (mail.get_body(("html",)) is None) is (one.lang == "ru"), "plain text only, where it was wanted"


def correct(readers: list[Reader], newsroom: Newsroom, until: Any) -> None:
    newsroom.publish("fees", TITLES)
    first = came(readers, until, 3, "the release")
    assert [mail["Subject"] for mail in first] == [TITLES[one.lang] for one in readers]
    newsroom.publish("fees", TITLES, "visa viza виза 25", note=True)
    second = came(readers, until, 4, "the correction")
    for one, old, mail in zip(readers, first, second, strict=True):
        assert mail["In-Reply-To"] == old["Message-ID"]
        assert MENDED[one.lang] in mail.get_body(("plain",)).get_content()


def digest(readers: list[Reader], newsroom: Newsroom, until: Any) -> None:
    for one in readers:
        one.manages(action="change", subscription="", cadence="daily", q="")
    newsroom.publish("halls", titled("II"))
    newsroom.publish("forms", titled("III"))
    until(lambda: len(newsroom.program.titles("az")) == 4, "both releases")
    until(lambda: newsroom.program.metric("syndicator_oldest_due_delivery_seconds") == 0, "an empty ledger")
    assert all(len(one.mails()) == 4 for one in readers), "who reads once a day waits"
    for one in readers:  # who leaves that pace is told at once what had not come yet
        one.manages(action="change", subscription="", cadence="immediate", q="")
    for one, mail in zip(readers, came(readers, until, 5, "the digest"), strict=True):
        text = mail.get_body(("plain",)).get_content()
        assert f"{TITLES[one.lang]} II" in text
        assert f"{TITLES[one.lang]} III" in text


def move(readers: list[Reader], newsroom: Newsroom, until: Any) -> None:
    for one in readers:
        one.manages(action="address", email=f"New.{one.lang}@Example.org")
    new = {one.lang: f"new.{one.lang}@example.org" for one in readers}
    until(lambda: all(one.mails(new[one.lang]) for one in readers), "the question to the new address")
    for one in readers:
        link = one.link(one.mails(new[one.lang])[0], "address")
        one.page(link)
        assert new[one.lang] in one.post(link)
    came(readers, until, 6, "the word to the old address")
    newsroom.publish("moved", titled("IV"))
    for one in readers:
        one.address = new[one.lang]
    came(readers, until, 2, "the release at the new address")


def pause(readers: list[Reader], newsroom: Newsroom, until: Any) -> None:
    for one in readers:
        one.manages(action="pause", span="open")
    newsroom.publish("resting", titled("V"))
    until(lambda: f"{TITLES['en']} V" in newsroom.program.titles(), "the release")
    until(lambda: newsroom.program.metric("syndicator_oldest_due_delivery_seconds") == 0, "an empty ledger")
    assert all(len(one.mails()) == 2 for one in readers)
    for one in readers:
        one.manages(action="resume")
    newsroom.publish("back", titled("VI"))
    came(readers, until, 3, "the release after the pause")


def leave(readers: list[Reader], newsroom: Newsroom, until: Any) -> None:
    for one in readers:
        mail = one.mails()[-1]
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        found = re.search(rf"<{SITE}(/unsubscribe/[^>]+)>", mail["List-Unsubscribe"])
        assert found
        one.page(found[1])
        status, _, _ = one.program.ask("POST", found[1], body=b"List-Unsubscribe=One-Click")  # from anywhere
        assert status == 200
        assert f"/{one.lang}/subscribe" in one.page(found[1])
    newsroom.publish("last", titled("VII"))
    until(lambda: f"{TITLES['en']} VII" in newsroom.program.titles(), "the release")
    until(lambda: newsroom.program.metric("syndicator_oldest_due_delivery_seconds") == 0, "an empty ledger")
    assert [len(one.mails()) for one in readers] == [3] * len(readers)
