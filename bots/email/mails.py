"""A finished mail, and why there may be none: what is made here and carried by a transport."""

from __future__ import annotations

from dataclasses import dataclass

from bots.email.addresses import Address

__all__ = ["LARGEST", "Mail", "NotSendable"]

LARGEST = 100_000
"""Bytes of a whole mail; Gmail clips what is shown at 102 KB."""


class NotSendable(ValueError):
    """This letter cannot become a mail; one clear line why."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A finished mail: the envelope and the bytes, lines ended by CRLF.

    `envelope_id` is the ENVID (RFC 3461 section 4.4) that a report names: letters and digits, or "". `urgent` says that
    no cap or rate for bulk holds it back, `to_one` that one person waits for it. `shown` are the releases that a digest
    tells of, None for any other mail. `dotless` says that no line begins with a dot: nothing is to be stuffed, and
    nobody needs to look. `claimed_by` is the letter's.
    """

    sender: str
    recipient: Address
    message_id: str
    data: bytes
    envelope_id: str = ""
    urgent: bool = False
    to_one: bool = False
    shown: tuple[int, ...] | None = None
    dotless: bool = False
    claimed_by: int | None = None

    @property
    def domain(self) -> str:
        """The recipient's domain, ASCII and lower case: whose patience it takes."""
        return self.recipient.text.rpartition("@")[2].lower()
