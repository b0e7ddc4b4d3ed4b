"""What a channel is given, and what it answers: letters and outcomes. Frozen and pure, as `domain.model`.

Rules, in order:

1. A letter is one delivery with everything that its channel needs; a channel asks nobody else who gets what.
2. An outcome says what became of a letter, in words that hold for every channel; what follows from it the pipeline
   decides (`domain.retry`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from syndicator.domain.bounces import Bounce
from syndicator.domain.model import Cadence, MessageKind, Release, SubscriberRole

__all__ = ["Earlier", "Gone", "Item", "Later", "Letter", "Moved", "Outcome", "Refused", "Sent", "Unknown"]


@dataclass(frozen=True, slots=True)
class Item:
    """A release in a digest, and the version chosen for its reader. It may have been withdrawn since."""

    release: Release
    lang: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """One of the deliveries about the release to this subscriber that a channel has answered for.

    `answer` is what the channel said then, and `sent_at` when; `is_known` is False where nobody can tell whether it
    arrived. Of a digest, `items` are all that it tells of: its copy is rendered as a whole.
    """

    delivery: int
    kind: MessageKind
    answer: Mapping[str, object]
    sent_at: datetime
    is_known: bool = True
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Letter:
    """One delivery, ready for its channel: to whom, and what.

    `release` and `lang` are set for messages about a release (`lang` is the version chosen for them; `reader_lang` is
    the language the frame around it speaks). The tokens are signed and fixed in length; `confirm_token` is set for
    a confirmation, and for the question whether a new address is theirs. `return_token` names the delivery in the
    envelope's sender, `leave_token` the subscriber in an address for leaving by mail; both are lower case
    (`Tokens.mailbox`). `text_only` says that they want no HTML. `filter_text` is the canonical filter that explains
    why they get it, and `cadence` how often it speaks. `attempt` counts from 1;
    `resent` says that an earlier try may have arrived. `message` is the message's key, such as `release:12:0`.

    A correction, an edit or a withdrawal names in `earlier` what its reader got; all of it, oldest first, where that
    was more than one message (a digest, then a correction). `notes` say what was corrected since, oldest first.
    With `hushed` its copies follow without a word: their reader has left, or asked for a pause. `items` are a digest's.
    `written` is the address as the subscriber gave it, or the configuration has it. `claimed_by` is the number of the
    process that it was claimed by (`ports.Attendance`), where there are several.
    """

    delivery: int
    message: str
    kind: MessageKind
    subscriber: int
    address: str
    lang: str
    reader_lang: str
    timezone: str
    role: SubscriberRole = SubscriberRole.PERSON
    release: Release | None = None
    filter_text: str = ""
    cadence: Cadence = Cadence.IMMEDIATE
    manage_token: str = ""
    unsubscribe_token: str = ""
    confirm_token: str = ""
    return_token: str = ""
    leave_token: str = ""
    text_only: bool = False
    resent: bool = False
    attempt: int = 1
    created_at: datetime | None = None
    feed: str = ""  # the name of the feed that a FEED message tells of, such as `az/all.atom`
    answer: dict[str, object] = field(default_factory=dict)  # what an earlier attempt got: parts already sent
    earlier: tuple[Earlier, ...] = ()
    notes: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()
    hushed: bool = False
    written: str = ""
    claimed_by: int | None = None

    @property
    def changes(self) -> Mapping[int, int]:
        """The releases that it tells of, by number, each with the change at which it was read."""
        told = [item.release for item in self.items] + ([self.release] if self.release is not None else [])
        return {release.number: release.change for release in told}


@dataclass(frozen=True, slots=True)
class Sent:
    """The channel took it. `answer` is what it said: message ids, Message-ID."""

    answer: dict[str, object] = field(default_factory=dict)
    address: str = ""  # the chat's resolved id, where the channel learned it


@dataclass(frozen=True, slots=True)
class Later:
    """Not now: try again, not before that time (None: the pipeline's own backoff). Nothing was accepted.

    `counts` is False when the wait is the channel's pace, not this message's fault (429, a closed relay):
    such waits use up no attempt. `asked`: a receiver named the time, or its domain is to be left alone; the wait is
    that long whatever attempt it is.
    """

    reason: str
    not_before: datetime | None = None
    counts: bool = True
    answer: dict[str, object] = field(default_factory=dict)  # parts already accepted, so they are not repeated
    bounce: Bounce | None = None  # what it says of the mailbox
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """The address has changed (a group became a supergroup); send again to the new one."""

    address: str
    answer: dict[str, object] = field(default_factory=dict)  # parts that were accepted before, at the old one


@dataclass(frozen=True, slots=True)
class Gone:
    """The address is dead or has blocked us: pause the subscriber, topics kept."""

    reason: str
    answer: dict[str, object] = field(default_factory=dict)  # parts that were accepted before
    bounce: Bounce | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """This message will never be taken; the address is not to blame."""

    reason: str
    answer: dict[str, object] = field(default_factory=dict)  # parts that were accepted before
    bounce: Bounce | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The line broke after the message left and before the answer came: nobody can tell."""

    reason: str
    answer: dict[str, object] = field(default_factory=dict)


Outcome = Sent | Later | Moved | Gone | Refused | Unknown
