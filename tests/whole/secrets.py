"""What the outside may know: a plain model of releases, kept beside the service and never asking it.

Every text is made of secret words, one a field, each used once in the whole history: whoever sees one knows exactly
which field of which version of which text has got out.

1. A text is a document in one language, as an editor saved it. A release opens when none of its texts that are let
   go waits for its time any more; it never closes again but by withdrawal.
2. After that a text with a time ahead waits by itself; the older one stands until then.
3. A draft shows nothing and changes nothing of what is shown.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from syndicator.domain.model import Attachment, Change, State
from syndicator.domain.text import slugify

SECRET = re.compile(r"zq[0-9]{3}[a-z]+qz")
FIELDS = ("title", "summary", "body", "alt", "credit", "caption", "file", "link", "rights", "note")
PICTURE = b"\x89PNG\r\n\x1a\n"
ANNOUNCED = timedelta(hours=72)


def secrets_in(text: str) -> set[str]:
    return set(SECRET.findall(text.casefold()))


@dataclass(frozen=True)
class Text:
    """One version of one language's text, and all its secrets."""

    number: int
    key: str
    lang: str
    draft: bool
    at: datetime  # when it may be seen
    noted: bool
    topic: str
    stated: bool  # whether the editor wrote the time down

    def word(self, of: str) -> str:
        return f"zq{self.number:03d}{of}qz"

    @property
    def title(self) -> str:
        return f"News {self.word('title')} today"

    @property
    def slug(self) -> str:
        return slugify(self.title)

    @property
    def secrets(self) -> set[str]:
        return {self.word(of) for of in (*FIELDS, "picture", "table")}

    @property
    def shown(self) -> set[str]:
        """What its page must show."""
        return {self.word(of) for of in FIELDS if of != "note"}

    @property
    def picture(self) -> bytes:
        return PICTURE + self.word("picture").encode()

    @property
    def table(self) -> bytes:
        return self.word("table").encode()

    @property
    def media(self) -> dict[str, bytes]:
        """Addresses of its files, and what lies there."""
        kept = ((self.picture, "png"), (self.table, "csv"))
        return {f"/media/{hashlib.sha256(data).hexdigest()[:32]}.{kind}": data for data, kind in kept}

    def change(self, folder: Path, seen_at: datetime) -> Change:
        """The document, with its files in the folder."""
        picture, table = folder / f"{self.number}.png", folder / f"{self.number}.csv"
        picture.write_bytes(self.picture)
        table.write_bytes(self.table)
        return Change(
            source="desk",
            key=self.key,
            origin=f"{self.key}.{self.lang}.txt",
            lang=self.lang,
            title=self.title,
            body=f"The text says {self.word('body')} to everyone.",
            summary=f"In short {self.word('summary')}.",
            fingerprint=str(self.number),
            seen_at=seen_at,
            embargo=self.at if self.stated else None,
            topics=(self.topic,),
            link=f"https://agency.example/{self.word('link')}",
            rights=f"© {self.word('rights')}",
            note=self.word("note") if self.noted else "",
            state=State.DRAFT if self.draft else State.PUBLIC,
            attachments=(
                Attachment(
                    path=picture,
                    media_type="image/png",
                    alt=self.word("alt"),
                    credit=self.word("credit"),
                    title=self.word("caption"),
                ),
                Attachment(path=table, media_type="text/csv", title=self.word("file")),
            ),
        )


@dataclass
class Known:
    """One release, as an attentive outsider may know it."""

    number: int
    key: str
    topic: str
    texts: dict[str, Text] = field(default_factory=dict)  # newest by language
    waiting: dict[str, Text] = field(default_factory=dict)  # rule 2
    said_withdrawn: set[str] = field(default_factory=set)
    notes: set[str] = field(default_factory=set)  # of corrections that were told
    titles: set[str] = field(default_factory=set)  # that readers have seen
    opened: bool = False
    withdrawn: bool = False
    reason: str = ""

    def loose(self) -> dict[str, Text]:
        return {lang: text for lang, text in self.texts.items() if not text.draft}

    def visible(self) -> dict[str, Text]:
        return self.loose() if self.opened and not self.withdrawn else {}

    def due(self) -> datetime | None:
        """When it opens by itself."""
        loose = self.loose()
        return max(text.at for text in loose.values()) if loose and not self.opened and not self.withdrawn else None

    def settle(self, now: datetime) -> None:
        due = self.due()
        self.opened = self.opened or (due is not None and due <= now)
        self.titles |= {text.word("title") for text in self.visible().values()}

    def write(self, text: Text, now: datetime) -> None:
        self.waiting.pop(text.lang, None)
        if self.opened and not text.draft and text.at > now:
            self.waiting[text.lang] = text
            return
        self._take(text, now)

    def release_waiting(self, now: datetime) -> None:
        for lang, text in list(self.waiting.items()):
            if text.at <= now:
                del self.waiting[lang]
                self._take(text, now)

    def _take(self, text: Text, now: datetime) -> None:
        old = self.texts.get(text.lang)
        if text.draft and old is not None and not old.draft and self.opened:
            return
        again = text.lang in self.said_withdrawn
        self.said_withdrawn.discard(text.lang)
        correction = self.opened and text.noted and old is not None and not old.draft and not self.withdrawn
        if self.withdrawn and not text.draft and (again or text.noted):
            self.withdrawn, self.reason, self.said_withdrawn = False, "", set()
            correction = self.opened and text.noted
        self.texts[text.lang] = text
        if correction:
            self.notes.add(text.word("note"))
        if self.opened and old is not None and not old.draft and old.noted:
            self.notes.add(old.word("note"))  # a silent change does not unsay what was said
        self.settle(now)

    def withdraw(self, reason: str, lang: str | None = None) -> None:
        """By command, or by the document of a language that says so."""
        if lang is not None:
            self.said_withdrawn.add(lang)
        if not self.withdrawn:
            self.withdrawn, self.reason = True, reason


@dataclass
class Outsider:
    """All releases."""

    releases: dict[str, Known] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    texts: list[Text] = field(default_factory=list)
    reasons: int = 0

    def known(self, key: str, topic: str) -> Known:
        if key not in self.releases:
            self.releases[key] = Known(len(self.releases) + 1, key, topic)
        return self.releases[key]

    def visible(self) -> dict[tuple[str, str], Text]:
        return {(key, lang): text for key, one in self.releases.items() for lang, text in one.visible().items()}

    def may_show(self) -> set[str]:
        """Every secret that is none now: texts as they stand, told corrections, reasons of told withdrawals."""
        found = {word for text in self.visible().values() for word in text.secrets}
        for one in self.releases.values():
            if one.opened:
                found |= one.notes if not one.withdrawn else {one.reason}
        return found

    def old_titles(self) -> set[str]:
        """What feeds may still name: withdrawn releases, by the titles that readers have seen."""
        return {title for one in self.releases.values() if one.withdrawn and one.opened for title in one.titles}
