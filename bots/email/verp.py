"""Addresses that say whom they are about: the envelope's sender of one mail (VERP), and an address for leaving by mail.

Rules, in order:

1. `LOCAL+TOKEN@DOMAIN`: the token names the delivery that a bounce is about, or the subscriber who leaves. It is
   signed, so that nobody can make up bounces of others or sign others off.
2. What comes back is read in any case, and as others dress an address up on the way: `prvs=TAG=` before it (BATV),
   `SRS0=...=DOMAIN=LOCAL@FORWARDER` around it. Only the token is believed; a token for leaving is none for bounces.
3. A local part holds 64 characters (RFC 5321 section 4.5.3.1.1), so ours has 15 at most before the `+`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from bots.email.pattern import gap
from syndicator.domain.letters import Letter
from syndicator.domain.tokens import BadToken, Tokens

__all__ = ["LONGEST_LOCAL", "ReturnPaths", "leave_mailbox", "tagged", "which_delivery", "who_leaves"]

RETURN, LEAVE = "return", "leave"  # the tokens' purposes
TOKEN_CHARACTERS = 48
LONGEST_LOCAL = 64 - 1 - TOKEN_CHARACTERS
_TOKEN = re.compile(r"\+([a-z2-7]{48})(?![a-z0-9])", re.IGNORECASE | re.ASCII)
_LONGEST = 320  # RFC 3696, errata 1690: nothing longer is an address


def tagged(address: str, token: str) -> str:
    """The address with this token in it."""
    local, _, domain = address.rpartition("@")
    return f"{local}+{token}@{domain}"


@dataclass(frozen=True, slots=True)
class ReturnPaths:
    """Under which address a mail goes out: `address`, with `verp` one for each mail.

    Raises:
        ValueError: no token fits into the address.
    """

    address: str
    verp: bool = True

    def __post_init__(self) -> None:
        if self.verp:
            _refuse_long("email.bounce_address", self.address)

    def of(self, letter: Letter) -> str:
        """The envelope's sender for this letter; a letter without a token has the plain one."""
        return tagged(self.address, letter.return_token) if self.verp and letter.return_token else self.address


def leave_mailbox(address: str) -> str:
    """The address for leaving by mail, with the gap `leave` where each reader's token comes.

    Raises:
        ValueError: no token fits into the address.
    """
    _refuse_long("email.unsubscribe_address", address)
    return tagged(address, gap("leave").decode("ascii")) if address else ""


def _refuse_long(key: str, address: str) -> None:
    local = address.rpartition("@")[0]
    if len(local) > LONGEST_LOCAL:
        raise ValueError(f"{key}: a name of at most {LONGEST_LOCAL} characters before the @ is allowed, not {local!r}")


def which_delivery(tokens: Tokens, recipient: str, now: datetime) -> int | None:
    """The delivery that mail to this address is about; None if the address is not one of ours."""
    return _named(tokens, RETURN, recipient, now)


def who_leaves(tokens: Tokens, recipient: str, now: datetime) -> int | None:
    """The subscriber who leaves by mail to this address; None if the address is not one of ours."""
    return _named(tokens, LEAVE, recipient, now)


def _named(tokens: Tokens, purpose: str, recipient: str, now: datetime) -> int | None:
    found = _TOKEN.search(recipient[:_LONGEST])
    if found is None:
        return None
    try:
        return tokens.verify_mailbox(purpose, found[1], now)
    except BadToken:
        return None
