"""A recipient's address as SMTP and a header need it.

Rules, in order:

1. email-validator judges the syntax; nothing is looked up. A host of an intranet is as good as any.
2. The domain is written in ASCII (IDNA). Only a local part beyond ASCII needs SMTPUTF8 (RFC 6531).
3. Nearly all addresses are plain ASCII ones that anybody would take; for them no library is asked (`_PLAIN`).
4. What is no address can hold no header and no command: control characters, spaces and brackets are refused here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

__all__ = ["Address", "BadAddress", "address"]

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f<>,;:\\\"()\[\]\u0080-\u009f\u2028\u2029]")

_NAME = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,40}"
_LABEL = r"[a-z0-9]{1,30}(?:-[a-z0-9]{1,15}){0,2}"
_PLAIN = re.compile(rf"{_NAME}(?:\.{_NAME})?@(?!xn--)(?:{_LABEL}\.){{1,3}}[a-z]{{2,16}}")
_SPECIAL = tuple(f".{name.rpartition('.')[2]}" for name in SPECIAL_USE_DOMAIN_NAMES)  # some of them are refused
_LONGEST_LOCAL = 64  # RFC 5321 section 4.5.3.1.1


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
    if _PLAIN.fullmatch(written) and written.index("@") <= _LONGEST_LOCAL and not written.endswith(_SPECIAL):
        return Address(written, utf8=False)
    return _judged(written)


def _judged(written: str) -> Address:
    """What email-validator says of it."""
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
