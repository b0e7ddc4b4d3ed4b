"""Addresses as people write them, brought to their normal form: for the sign-up form and for imported files alike.

1. What cannot be an address is refused with one line. Nobody is asked whether it exists: the confirmation finds out.
2. Capitals mean nothing (docs/decisions/0006), and İ is the capital of i; everything else is kept, also a `+tag`.
3. Whose letters end in one mailbox, as far as an address tells (`mailbox`): a `+tag` is cut off, and Google Mail reads
   no dots. Only limits ask for that; nobody is written to in another spelling than their own.
"""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

from syndicator.domain.model import ChannelKind
from syndicator.store.people import spelling

__all__ = ["BadAddress", "email_address", "mailbox"]

DOTLESS = {"gmail.com": "gmail.com", "googlemail.com": "gmail.com"}


class BadAddress(ValueError):
    """The address cannot be written to; one clear line for the person."""


def email_address(written: str) -> str:
    """The normal form of an email address.

    Raises:
        BadAddress: what is wrong with it, in one line.
    """
    try:
        folded = spelling(ChannelKind.EMAIL, written.strip())
        valid = validate_email(folded, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise BadAddress(f"address: {str(error).splitlines()[0]}") from None
    return spelling(ChannelKind.EMAIL, valid)


def mailbox(address: str) -> str:
    """What all addresses have in common that lead to one mailbox; the address is in its normal form (rule 3)."""
    local, _, domain = address.rpartition("@")
    bare = local.partition("+")[0] or local
    if domain in DOTLESS:
        bare, domain = bare.replace(".", ""), DOTLESS[domain]
    return f"{bare}@{domain}"
