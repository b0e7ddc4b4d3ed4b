"""One mail of each kind in each language, with what is hard to show: for judges, and for a look at them.

The texts are of the invented agency.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

from bots.email.compile import Compiler
from syndicator.domain.letters import Earlier, Item, Letter
from syndicator.domain.model import (
    Attachment,
    Cadence,
    MessageKind,
    Release,
    Revision,
    State,
    Urgency,
    Variant,
)
from syndicator.domain.site import Site
from syndicator.domain.text import plain
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
LANGS = ("az", "en", "ru")
TITLES = {
    "az": "Müvəqqəti yaşamaq üçün icazənin müddətinin uzadılması qaydası dəyişir",
    "en": "Temporary residence permits: how to extend yours changes in January",
    "ru": "С января меняется порядок продления разрешений на временное проживание",
}
SENTENCES = {
    "az": "Müraciətlər yanvarın 1-dən yalnız elektron qaydada qəbul ediləcək; şəxsiyyəti təsdiq edən sənəd lazımdır.",
    "en": "From 1 January applications are taken online only; bring a document that proves who you are.",
    "ru": "С 1 января заявления принимаются только в электронном виде; нужен документ, удостоверяющий личность.",
}
NOTES = {
    "az": ("Rüsum 30 deyil, 40 lirədir.", "Müraciət ünvanı dəyişib."),
    "en": ("The fee is 40 lir and not 30.", "The address for applications has changed."),
    "ru": ("Сбор — 40 лир, а не 30.", "Изменился адрес для подачи заявлений."),
}
REASONS = {"az": "Səhvən dərc edilib.", "en": "Published by mistake.", "ru": "Опубликовано по ошибке."}
BODY = """<p>{s} {s}</p><h2>{t}</h2><ul><li>{s}</li><li><a href="https://www.example.org/{long}">{long}</a></li></ul>
<blockquote><p>{s}</p></blockquote><table><thead><tr><th>2025</th><th>2026</th></tr></thead><tbody><tr><td>30</td>
<td>40</td></tr></tbody></table><pre>{s}</pre><hr><ol><li>{s}</li></ol><p><strong>{s}</strong> <em>{s}</em></p>"""
TOKENS = {
    "manage_token": "m" * 40,
    "unsubscribe_token": "u" * 40,
    "confirm_token": "c" * 40,
    "leave_token": "a" * 48,
    "return_token": "b" * 48,
}


@dataclass(frozen=True)
class Shown:
    """A mail's name and its letter."""

    name: str
    letter: Letter


def a_text(lang: str, number: int = 12, *, word: str = "sənəd", **changes: Any) -> Release:
    """A release with everything that a mail can show; `word` stands in it once more, and may be a long one."""
    facts = {name: changes.pop(name) for name in list(changes) if name in Revision.__slots__}
    body = BODY.format(s=SENTENCES[lang], t=TITLES[lang], long=word)
    given: dict[str, Any] = {
        "number": 1,
        "major": 0,
        "title": TITLES[lang],
        "summary": SENTENCES[lang],
        "body": body,
        "text": plain(body),
        "attachments": (
            Attachment("/media/hall.jpg", "image/jpeg", 5000, alt=TITLES[lang], credit="Foto: Press"),
            Attachment("/media/form.pdf", "application/pdf", 1_250_000, title=f"7 {word}"),
        ),
        "rights": "© 2026 Aldera",
    }
    variant = Variant(1, lang, "tag:x", "release", NOW, Revision(**(given | facts)))
    about: dict[str, Any] = {
        "number": number,
        "uid": "tag:y",
        "source": "d",
        "key": "k",
        "kind": "news",
        "urgency": Urgency.NORMAL,
        "state": State.PUBLIC,
        "public_at": NOW - timedelta(hours=9 * (number - 11)),
        "opened_at": NOW - timedelta(days=30),
        "topics": ("visas",),
        "variants": (variant,),
        "change": crc32(repr((number, variant, changes)).encode()),  # another text, another change
    }
    return Release(**(about | changes))


def a_letter(kind: MessageKind, lang: str, **changes: Any) -> Letter:
    given: dict[str, Any] = {
        "delivery": 1,
        "message": f"{kind.value}:12:0",
        "kind": kind,
        "subscriber": 7,
        "address": "reader@example.com",
        "lang": lang,
        "reader_lang": lang,
        "timezone": "Asia/Baku",
        "filter_text": "topic=visas,refugees&not=citizenship&kind=news&q=viza&lang=az,ru",
    }
    return Letter(**(given | TOKENS | changes))


def gallery(lang: str, *, word: str = "sənəd") -> Iterator[Shown]:
    """Every kind, those of more than one face twice."""
    kind = MessageKind
    first = Earlier(1, kind.RELEASE, {"message_id": "<first@press.example.org>"}, NOW - timedelta(hours=3))
    gone = Earlier(2, kind.WITHDRAWAL, {"message_id": "<gone@press.example.org>"}, NOW - timedelta(hours=2))
    usual = a_text(lang, word=word)
    noted = a_text(lang, word=word, note=NOTES[lang][0])
    yield Shown("release", a_letter(kind.RELEASE, lang, release=usual))
    urgent = replace(noted, urgency=Urgency.URGENT)
    other = next(one for one in LANGS if one != lang)
    yield Shown("urgent", a_letter(kind.RELEASE, lang, release=urgent, reader_lang=other))
    yield Shown("correction", a_letter(kind.CORRECTION, lang, release=noted, notes=NOTES[lang], earlier=(first,)))
    yield Shown("again", a_letter(kind.CORRECTION, lang, release=usual, earlier=(first, gone)))
    withdrawn = replace(usual, state=State.WITHDRAWN, withdrawn_at=NOW, reason=REASONS[lang])
    yield Shown("withdrawal", a_letter(kind.WITHDRAWAL, lang, release=withdrawn, earlier=(first,)))
    yield Shown("digest", a_letter(kind.DIGEST, lang, message="digest:daily:Asia/Baku:x", items=items(lang, word)))
    for one in (kind.CONFIRMATION, kind.ADDRESS, kind.MOVED):
        yield Shown(one.value, a_letter(one, lang))
    for cadence in (Cadence.IMMEDIATE, Cadence.WEEKLY):
        yield Shown(f"welcome-{cadence.value}", a_letter(kind.WELCOME, lang, cadence=cadence))


def items(lang: str, word: str) -> tuple[Item, ...]:
    """An urgent one, a corrected one, one in another language, many in all."""
    found = [Item(a_text(lang, number, word=word, title=f"{TITLES[lang]} {number}"), lang) for number in range(12, 44)]
    other = next(one for one in LANGS if one != lang)
    found[1] = Item(a_text(lang, 13, note=NOTES[lang][0]), lang)
    found[2] = Item(a_text(lang, 14, urgency=Urgency.URGENT), lang)
    found[3] = Item(a_text(other, 15), other)
    found[4] = Item(a_text(lang, 16, title=word), lang)
    return tuple(found)


NAMES = {"az": "Aldera Respublikası Miqrasiya Xidməti", "en": "Aldera Migration Service", "ru": "Служба Алдеры"}
SITE = Site("https://press.example.org", NAMES, LANGS, "az", "Asia/Baku")
TOPICS = Path(__file__).parents[2] / "config" / "topics.toml"


@cache
def a_compiler() -> Compiler:
    """Of an office that has every address."""
    return Compiler(
        site=SITE,
        texts=Texts.load(LANGS),
        taxonomy=Taxonomy.from_mapping(tomllib.loads(TOPICS.read_text("utf-8"))),
        sender="news@press.example.org",
        bounce_address="bounces@press.example.org",
        unsubscribe_address="leave@press.example.org",
        reply_to="press@press.example.org",
        contact="press@press.example.org",
    )


def read(data: bytes) -> EmailMessage:
    """What a receiver makes of a mail."""
    message = BytesParser(policy=policy.default).parsebytes(data)
    assert isinstance(message, EmailMessage)
    return message


def parts(data: bytes) -> tuple[str, str]:
    """A mail's text and its HTML; lines end as in Python."""
    message = read(data)
    found = [message.get_body((kind,)) for kind in ("plain", "html")]
    text, html = (part.get_content().replace("\r\n", "\n") if part is not None else "" for part in found)
    return text, html
