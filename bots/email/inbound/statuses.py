"""Reports of delivery as RFC 3464 writes them, and RFC 6533 in other scripts: read by their fields. Pure.

Rules, in order:

1. Fields of the message come first, then a block for each recipient. `Action` says what happened; where it is missing
   or unknown, the class of `Status` does (RFC 3463 section 2: 2 delivered, 4 not yet, 5 failed).
2. `Status` counts; where it says nothing (5.0.0 and the like), the one that the receiver itself gave in
   `Diagnostic-Code` does.
3. A recipient is known under all names that the block gives: the one that we wrote to, and the one that it became.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message

from bots.email.inbound.parts import Part, blocks_of, value
from bots.email.verdicts import without_addresses
from syndicator.domain.bounces import Bounce, classify, enhanced_status
from syndicator.domain.returns import Action, Failure

__all__ = ["STATUS_KINDS", "Statuses", "failure", "statuses"]

STATUS_KINDS = frozenset({"message/delivery-status", "message/global-delivery-status"})
RECIPIENTS = 20
_SAID = 250  # characters that are kept
_WORD = re.compile(r"[a-z]+")
_CODE = re.compile(r"(?<!\d)([245]\d\d)(?=[ -])")
_BY_CLASS = {"2": Action.DELIVERED, "4": Action.DELAYED}
_SAYS_NOTHING = re.compile(r"[45]\.\d+\.0")


@dataclass(frozen=True, slots=True)
class Statuses:
    """What a report holds: the mail's ENVID ("" if it names none), who failed, and what else was said."""

    envelope_id: str
    failures: tuple[Failure, ...]
    others: tuple[Action, ...]


def statuses(part: Part) -> Statuses:
    """What that part says."""
    envelope_id = ""
    failures: list[Failure] = []
    others: list[Action] = []
    for block in blocks_of(part.body):
        envelope_id = envelope_id or value(block, "Original-Envelope-Id")
        if not (value(block, "Final-Recipient") or value(block, "Original-Recipient") or value(block, "Action")):
            continue
        action = _action(block)
        if action is not Action.FAILED:
            others.append(action)
        elif len(failures) < RECIPIENTS:
            failures.append(_failure(block))
    return Statuses(envelope_id, tuple(failures), tuple(others))


def failure(addresses: Sequence[str], words: str, *, code: int = 0, status: str = "") -> Failure:
    """A recipient that failed, by the words that were said of it."""
    status = status or enhanced_status(words)
    said = without_addresses(words).replace("<<address>>", "<address>")[:_SAID]
    return Failure(tuple(addresses), Bounce(classify(code=code, status=status, words=words), status, said))


def _action(block: Message) -> Action:
    found = _WORD.match(value(block, "Action").lower())
    if found is not None and found[0] in list(Action):
        return Action(found[0])
    if found is not None and found[0].startswith(("fail", "error")):
        return Action.FAILED
    return _BY_CLASS.get(value(block, "Status")[:1], Action.FAILED)


def _failure(block: Message) -> Failure:
    words = value(block, "Diagnostic-Code").partition(";")[2].strip() or value(block, "Diagnostic-Code")
    status = enhanced_status(value(block, "Status"))
    if not status or _SAYS_NOTHING.fullmatch(status):
        status = enhanced_status(words) or status
    found = _CODE.search(words)
    code = int(found[1]) if found else 0
    names = (_mailbox(value(block, name)) for name in ("Original-Recipient", "Final-Recipient", "X-Actual-Recipient"))
    return failure([*dict.fromkeys(filter(None, names))], words or status, code=code, status=status)


def _mailbox(field: str) -> str:
    """The address of a field such as `rfc822; <a@b>` (RFC 3464 section 2.3.1)."""
    kind, separator, address = field.partition(";")
    return (address if separator else kind).strip().strip("<>").strip()
