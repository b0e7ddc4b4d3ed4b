"""The words of the house as values: releases, filters, readers and messages; letters are in `domain.letters`.

Everything here is frozen and pure. Rules that hold for all of it:

1. A release is language-neutral; its texts are variants, one a language; each variant has immutable revisions.
2. Times are aware datetimes in UTC. Who shows one turns it into the office's zone.
3. Texts in a `Revision` are clean: the body went through `domain.text.clean` once, at intake.
4. A language is a lower-case BCP 47 code as configured (`az`, `en`, `ru`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from pathlib import Path

__all__ = [
    "Attachment",
    "BodyFormat",
    "Cadence",
    "Change",
    "ChannelKind",
    "DeliveryState",
    "MessageKind",
    "OtherLanguage",
    "Priority",
    "Problem",
    "Reader",
    "Release",
    "Revision",
    "Standing",
    "State",
    "SubscriberRole",
    "SubscriptionState",
    "Urgency",
    "Variant",
]


class State(StrEnum):
    """Where a release stands in its life. `scheduled` becomes `public` when its time comes."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    PUBLIC = "public"
    WITHDRAWN = "withdrawn"


class Standing(StrEnum):
    """What an outside face may show of a release; the answer of `domain.visibility.standing`."""

    HIDDEN = "hidden"
    PUBLIC = "public"
    WITHDRAWN = "withdrawn"


class Urgency(StrEnum):
    """How fast people must know."""

    NORMAL = "normal"
    URGENT = "urgent"


class BodyFormat(StrEnum):
    """How a source wrote a body."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"


class Cadence(StrEnum):
    """How often a subscription speaks."""

    IMMEDIATE = "immediate"
    DAILY = "daily"
    WEEKLY = "weekly"


class OtherLanguage(StrEnum):
    """Whether a reader takes another language when theirs is missing."""

    NEVER = "never"
    URGENT = "urgent"
    ALWAYS = "always"


class ChannelKind(StrEnum):
    """The ways out."""

    TELEGRAM = "telegram"
    EMAIL = "email"
    WEBSUB = "websub"


class SubscriberRole(StrEnum):
    """A person, or a public channel of the office's own that the configuration names."""

    PERSON = "person"
    CHANNEL = "channel"


class SubscriptionState(StrEnum):
    """A subscription waits for its double opt-in, holds, or has ended (the row stays as the consent record)."""

    PENDING = "pending"
    ACTIVE = "active"
    ENDED = "ended"


class MessageKind(StrEnum):
    """What a message says."""

    RELEASE = "release"
    CORRECTION = "correction"
    WITHDRAWAL = "withdrawal"
    DIGEST = "digest"
    CONFIRMATION = "confirmation"
    WELCOME = "welcome"
    """A double opt-in was confirmed: what they get from now on, and how to change it."""
    ADDRESS = "address"
    """Goes to the new address of somebody who asked to move there: is it theirs?"""
    MOVED = "moved"
    """Goes to the old address once they have moved."""
    EDIT = "edit"
    """A text has changed without a note: copies that stand somewhere follow, and nobody is told."""
    FEED = "feed"
    """A feed has changed: for WebSub subscribers and hubs."""


class DeliveryState(StrEnum):
    """The ledger's states: due -> sending -> sent | deferred | failed | unknown | suppressed.

    `sending` is committed before the network is touched. `deferred` waits for its `due_at` and becomes `due` again.
    """

    DUE = "due"
    SENDING = "sending"
    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"


class Priority(IntEnum):
    """Which work goes first; the smaller number wins.

    The office's own channels are few, and everybody reads them: whatever they are told goes before all that many people
    are told, be it a correction. Messages have no priority of theirs; the batches for them do (`store.batching`).
    """

    CONFIRMATION = 0
    CHANNEL_URGENT = 4
    CHANNEL = 6
    URGENT = 10
    NORMAL = 20
    DIGEST = 25
    """What can wait for the morning can wait for a release, too."""
    LATER = 30
    """What failed before, on a channel where one that hangs would hold up the others: it has workers of its own."""

    @classmethod
    def _missing_(cls, value: object) -> Priority | None:
        """One that only another version knows is as urgent as the next that is known."""
        return min((one for one in cls if one >= value), default=cls.LATER) if isinstance(value, int) else None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A picture or a file that belongs to a text.

    `url` is absolute (http or https), or site-relative (`/media/...`) for what came as a local file; `path` is
    set only between a source and intake, when the bytes still lie in the publication store.
    """

    url: str = ""
    media_type: str = "application/octet-stream"
    length: int = 0
    title: str = ""
    alt: str = ""
    credit: str = ""
    path: Path | None = None

    @property
    def is_image(self) -> bool:
        """Whether it is shown in place rather than offered for download."""
        return self.media_type.startswith("image/")


@dataclass(frozen=True, slots=True)
class Change:
    """What a source reports of one release in one language: new, revised or withdrawn.

    `key` is the release's stable name within the source; `origin` names the file or row for people. `topics` is
    None where the source leaves them to the rules. `published` is what the source states; `seen_at` (file time or
    row time) stands in for it at first sight. `state` is draft, public or withdrawn, as the editor wrote it.
    `fingerprint` is equal exactly when nothing the source says has changed.
    """

    source: str
    key: str
    origin: str
    lang: str
    title: str
    body: str
    fingerprint: str
    seen_at: datetime
    body_format: BodyFormat = BodyFormat.TEXT
    summary: str = ""
    kind: str = "news"
    urgency: Urgency = Urgency.NORMAL
    topics: tuple[str, ...] | None = None
    published: datetime | None = None
    embargo: datetime | None = None
    link: str = ""
    attachments: tuple[Attachment, ...] = ()
    rights: str = ""
    note: str = ""
    state: State = State.PUBLIC
    reason: str = ""
    remarks: tuple[str, ...] = ()  # what the source guessed, for the log: "language az by its letters"


@dataclass(frozen=True, slots=True)
class Problem:
    """One bad document: what, where, and why it was left out. It never stops the others.

    An empty `reason` says that the bad document has gone: nothing is wrong there any more.
    """

    source: str
    origin: str
    reason: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Revision:
    """One immutable version of a text. `number` counts from 1 within the variant.

    `major` is the release's major revision it belongs to (0 for the first publication; each correction with a
    note counts one up). `note` says what changed, for people. `body` is the clean HTML subset, `text` its plain text.
    """

    number: int
    major: int
    title: str
    summary: str
    body: str
    text: str
    link: str = ""
    attachments: tuple[Attachment, ...] = ()
    rights: str = ""
    note: str = ""
    created_at: datetime | None = None

    @property
    def image(self) -> Attachment | None:
        """The lead picture, if any."""
        return next((a for a in self.attachments if a.is_image), None)


@dataclass(frozen=True, slots=True)
class Variant:
    """A release's text in one language, at its current revision.

    `uid` is a tag URI (RFC 4151), minted once. `updated_at` moves with each major revision, never by itself.
    `reason` is what its document said of a withdrawal; `Release.reason_in` tells whether it counts.
    """

    id: int
    lang: str
    uid: str
    slug: str
    updated_at: datetime
    revision: Revision
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """A release with all its languages. `number` is its public number, never used twice.

    `public_at` is when it may be seen (the embargo's end if there was one) and the published date; `opened_at` is
    when it became public here, None before. `change` grows with every change of any release: what was built up
    to change N holds everything up to N. `topics` are slugs as ticked or found, without their parents.
    """

    number: int
    uid: str
    source: str
    key: str
    kind: str
    urgency: Urgency
    state: State
    public_at: datetime
    opened_at: datetime | None
    topics: tuple[str, ...]
    variants: tuple[Variant, ...]
    major: int = 0
    change: int = 0
    updated_at: datetime | None = None
    withdrawn_at: datetime | None = None
    reason: str = ""

    @property
    def langs(self) -> tuple[str, ...]:
        """Languages it exists in, in the order they were written."""
        return tuple(v.lang for v in self.variants)

    def variant(self, lang: str) -> Variant | None:
        """Its text in that language, or None."""
        return next((v for v in self.variants if v.lang == lang), None)

    def reason_in(self, lang: str) -> str:
        """Why it was withdrawn, as that language's own document says; as the release says where it does not.

        What documents say counts only where one of them took the release away: a command has the last word.
        """
        own = self.variant(lang)
        by_document = any(v.reason == self.reason for v in self.variants)
        return own.reason if own is not None and own.reason and by_document else self.reason


@dataclass(frozen=True, slots=True)
class Reader:
    """What of a subscriber decides which language version they get."""

    lang: str
    other_language: OtherLanguage = OtherLanguage.URGENT
