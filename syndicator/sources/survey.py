"""What one pass finds out about each document of a folder, and what it remembers of it for the next pass.

Rules, in order:

1. A document whose stamp, and whose pictures' and files' stamps, are as remembered is not opened.
2. A fingerprint is over what is said: the text (line ends and byte order mark aside) and the bytes of its local files.
   It also names language and key, so that a document that has vanished can still be withdrawn by its key.
3. A problem's fingerprint begins with "!", a vanished document's with "-". It keeps the language and key
   that were taken before, if any.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from syndicator.domain.model import Attachment, Change, Problem
from syndicator.domain.text import detect_language
from syndicator.sources import folder
from syndicator.sources.document import FILE_LIMIT, BadDocument, Document, Name, decode, parse, split_name
from syndicator.sources.folder import Entry, Moving, Stamp
from syndicator.sources.footer import Footer

__all__ = ["Finding", "Prints", "Surveyor"]

ATTACHMENT_LIMIT = 200_000_000  # bytes; the media store has its own, lower one


@dataclass(frozen=True, slots=True)
class Prints:
    """A fingerprint taken apart: "" or "!" or "-", then digest, language and key."""

    mark: str
    digest: str
    lang: str
    key: str

    @classmethod
    def read(cls, fingerprint: str) -> Prints:
        """From its text; whatever is missing is ""."""
        digest, _, rest = fingerprint.partition(" ")
        lang, _, key = rest.partition(" ")
        mark = digest[:1] if digest[:1] in ("!", "-") else ""
        return cls(mark, digest.removeprefix(mark), lang, key)

    def __str__(self) -> str:
        return f"{self.mark}{self.digest} {self.lang} {self.key}".rstrip()


@dataclass(frozen=True, slots=True)
class Finding:
    """One document as last read. `files` are its local pictures and files with their stamps.

    `reason` is set for a bad one; then `key` and `lang` are what its name tells. `trusted` is False while the
    stamp is too fresh to be relied on.
    """

    entry: Entry
    files: tuple[tuple[Path, Stamp | None], ...]
    content: str  # digest of what it says
    key: str
    lang: str
    when: datetime
    reason: str
    trusted: bool

    def fingerprint(self) -> str:
        """Of a good document."""
        return str(Prints("", self.content, self.lang, self.key))


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Reads documents for the source `name` from `root`, a real path. `clock_ns` is the clock that file times use."""

    name: str
    root: Path
    languages: tuple[str, ...]
    default_language: str
    zone: ZoneInfo
    footer: Footer
    clock_ns: Callable[[], int]

    def is_fresh(self, finding: Finding, entry: Entry) -> bool:
        """Whether what we remember of a document still holds, without opening anything."""
        return (
            finding.trusted
            and finding.entry.stamp == entry.stamp
            and all(folder.stamp_of(path) == stamp for path, stamp in finding.files)
        )

    def named_key(self, origin: str) -> str:
        """The key that a document has by its name: without suffix and language, composed (macOS decomposes names)."""
        stem, lang = origin.rsplit(".", 1)[0], origin.rsplit(".", 2)[-2].lower()
        if lang in self.languages and len(stem) > len(lang) + 1:
            stem = stem[: -len(lang) - 1]
        return unicodedata.normalize("NFC", " ".join(stem.split()))

    def look(self, entry: Entry) -> tuple[Finding, Change | None] | None:
        """Read one document; a bad one has no change. None where it is moving or has gone: look again next time."""
        now_ns = self.clock_ns()
        files: dict[Path, Stamp | None] = {}
        bare = Finding(entry, (), "", self.named_key(entry.origin), "", _time(entry.stamp, now_ns), "", trusted=False)
        content = ""
        try:
            data, stamp = folder.read(entry.path, FILE_LIMIT)
            content = hashlib.sha256(data).hexdigest()
            bare = replace(bare, entry=replace(entry, stamp=stamp), when=_time(stamp, now_ns))
            text = decode(data)
            name = split_name(entry.origin, self.languages)
            document = parse(text, name.body_format, self.zone, self.footer)
            attachments, digests = self._attachments(entry, document, files)
            content = _digest(text, *digests)
            change = self._change(bare, name, document, attachments)
        except (Moving, FileNotFoundError):
            return None
        except OSError as error:
            reason = f"the file cannot be read: {error.strerror}"
        except ValueError as error:
            reason = str(error)
        else:
            good = replace(
                bare, content=content, key=change.key, lang=change.lang, when=change.published or change.seen_at
            )
            return self._sealed(good, files, now_ns), replace(change, fingerprint=good.fingerprint())
        return self._sealed(replace(bare, content=content, reason=reason), files, now_ns), None

    def problem(self, origin: str, reason: str, content: str, known: str) -> Problem:
        """The port's word for a bad document; its fingerprint stays while neither document nor reason changes."""
        before = Prints.read(known)
        return Problem(self.name, origin, reason, str(Prints("!", _digest(reason, content), before.lang, before.key)))

    def now(self) -> datetime:
        """The time by the clock that file times follow."""
        return datetime.fromtimestamp(self.clock_ns() // 1_000_000_000, UTC)

    def _sealed(self, finding: Finding, files: dict[Path, Stamp | None], now_ns: int) -> Finding:
        stamps = [finding.entry.stamp, *(stamp for stamp in files.values() if stamp)]
        return replace(finding, files=tuple(files.items()), trusted=all(stamp.quiet(now_ns) for stamp in stamps))

    def _change(self, bare: Finding, name: Name, document: Document, attachments: tuple[Attachment, ...]) -> Change:
        fields = document.fields
        lang, remarks = self._language(name, document)
        return Change(
            source=self.name,
            key=fields.key or bare.key,
            origin=bare.entry.origin,
            lang=lang,
            title=fields.title,
            body=document.body,
            fingerprint="",
            seen_at=bare.when,
            body_format=name.body_format,
            summary=fields.summary,
            kind=fields.kind,
            urgency=fields.urgency,
            topics=fields.topics,
            published=fields.published,
            embargo=fields.embargo,
            link=fields.link,
            attachments=attachments,
            rights=fields.rights,
            note=fields.note,
            state=fields.state,
            reason=fields.reason,
            remarks=remarks,
        )

    def _language(self, name: Name, document: Document) -> tuple[str, tuple[str, ...]]:
        """By the file's name, else by the front matter, else by the letters, which is said in the remarks."""
        stated = document.fields.lang.lower()
        allowed = ", ".join(self.languages)
        if stated and stated not in self.languages:
            raise BadDocument(f"{document.at('lang')}lang: {allowed} is allowed, not {stated[:40]}")
        if name.lang and stated and name.lang != stated:
            raise BadDocument(f"{document.at('lang')}lang: {stated} contradicts the file name, which says {name.lang}")
        if name.lang or stated:
            return name.lang or stated, ()
        found, why = detect_language(f"{document.fields.title}\n{document.body}")
        if found in self.languages:
            return found, (f"language {why}",)
        if found is None or len(self.languages) == 1:
            return self.default_language, (f"language {self.default_language} by default: {why}",)
        raise BadDocument(
            f"language {why}; allowed are {allowed}: name the file NAME.{self.languages[0]}.txt or state lang"
        )

    def _attachments(
        self, entry: Entry, document: Document, files: dict[Path, Stamp | None]
    ) -> tuple[tuple[Attachment, ...], list[str]]:
        """Local files as real paths, and their digests. `files` notes each that was looked for, found or not."""
        found: list[Attachment] = []
        digests: list[str] = []
        for attachment in document.fields.attachments:
            if attachment.path is None:
                found.append(attachment)
                continue
            shown = attachment.path.as_posix()
            wanted = entry.path.parent / attachment.path
            files[wanted] = folder.stamp_of(wanted)
            real = folder.inside(self.root, wanted)
            if real is None:
                raise BadDocument(f"{shown}: the file lies outside the folder")
            try:
                digests.append(folder.digest(real, ATTACHMENT_LIMIT))
            except FileNotFoundError:
                raise BadDocument(f"{shown}: there is no such file in the folder") from None
            except OSError as error:
                raise BadDocument(f"{shown}: the file cannot be read: {error.strerror}") from None
            except ValueError as error:
                raise BadDocument(f"{shown}: {error}") from None
            found.append(replace(attachment, path=real))
        return tuple(found), digests


def _time(stamp: Stamp, now_ns: int) -> datetime:
    """The file's time; a clock that ran ahead must not date a text into the future."""
    return datetime.fromtimestamp(max(0, min(stamp.modified_ns, now_ns)) // 1_000_000_000, UTC)


def _digest(*parts: str) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(f"{len(part)} ".encode())
        found.update(part.encode())
    return found.hexdigest()
