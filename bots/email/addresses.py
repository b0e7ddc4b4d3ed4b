"""A recipient's address as SMTP and a header need it.

Rules, in order:

1. email-validator judges the syntax; nothing is looked up. A host of an intranet is as good as any.
2. The domain is written in ASCII (IDNA). Only a local part beyond ASCII needs SMTPUTF8 (RFC 6531).
3. What is no address can hold no header and no command: control characters, spaces and brackets are refused here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

__all__ = ["Address", "BadAddress", "address"]

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f<>,;:\\\"()\[\]\u0080-\u009f\u2028\u2029]")


class BadAddress(ValueError):
    """It is no mail address; one clear line without the address itself."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address on the wire: `text` has an ASCII domain; `utf8` says that its local part needs SMTPUTF8."""

    text: str
    utf8: bool


@lru_cache(maxsize=4096)
def address(written: str) -> Address:
    """The address behind what a subscriber wrote.

    Raises:
        BadAddress: it is none.
    """
    if _FORBIDDEN.search(written):
        raise BadAddress("not a mail address: it holds a character that no address may hold")
    try:
        valid = validate_email(written, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        raise BadAddress(f"not a mail address: {error}") from None
    text = f"{valid.local_part}@{valid.ascii_domain}"
    if _FORBIDDEN.search(text):
        raise BadAddress("not a mail address: it holds a character that no address may hold")
    return Address(text, utf8=not text.isascii())
