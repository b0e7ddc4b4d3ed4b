"""Addresses as people write them, brought to their normal form: for the sign-up form and for imported files alike.

1. What cannot be an address is refused with one line. Nobody is asked whether it exists: the confirmation finds out.
2. Capitals mean nothing (docs/decisions/0006); everything else is kept, also a `+tag`.
"""

from __future__ import annotations

import unicodedata

from email_validator import EmailNotValidError, validate_email

__all__ = ["BadAddress", "email_address"]


class BadAddress(ValueError):
    """The address cannot be written to; one clear line for the person."""


def email_address(written: str) -> str:
    """The normal form of an email address.

    Raises:
        BadAddress: what is wrong with it, in one line.
    """
    try:
        valid = validate_email(written.strip(), check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise BadAddress(f"address: {str(error).splitlines()[0]}") from None
    return unicodedata.normalize("NFC", valid.lower())
