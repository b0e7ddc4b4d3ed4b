"""What an operator should know of mail: would the relay take it, what DNS must say. No mail is begun.

Rules, in order:

1. The relay is asked over the same connection that mails go over (`relay`): connect, secure, greet, log in and say
   goodbye. So what holds here holds there.
2. The answer is one line; trouble is an OSError or a ValueError with one. Neither has a secret in it.
3. What DNS must say is told ready to paste. Nothing is looked up: a name server inside an office often says other
   things than the world's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from ipaddress import ip_address

from bots.email.addresses import address
from bots.email.headers import own_host
from bots.email.opening import open_relay
from bots.email.relay.connecting import Opened, Trouble
from bots.email.smtp import SmtpTransport
from config.email import DkimSettings, EmailSettings, InboundSettings
from syndicator.domain.ports import Clock
from syndicator.domain.site import Site

__all__ = ["ask_relay", "email_questions"]

PATIENCE = 15.0  # seconds for each command: somebody waits for the answer
TXT_PART = 255  # bytes in one string of a TXT record (RFC 1035 section 3.3)
Question = tuple[str, Callable[[], Awaitable[str]]]


def email_questions(email: EmailSettings, site: Site, clock: Clock) -> Sequence[Question]:
    """What can be asked of mail: nothing but the key where it goes into a folder."""
    asked: list[Question] = []
    dkim = email.dkim
    if dkim is not None:
        asked.append(("email DKIM", lambda: _ask_key(dkim, email.sender)))
    if email.transport == "smtp":
        asked.append(("email relay", lambda: ask_relay(open_relay(email, site), clock())))
        asked.append(("email SPF", lambda: _ask_return_path(email, own_host(site))))
        asked.append(("email DMARC", lambda: _ask_policy(email)))
    if email.inbound.kind != "none" or email.transport == "smtp":
        asked.append(("email inbound", lambda: _ask_inbound(email)))
    return asked


async def ask_relay(transport: SmtpTransport, now: datetime) -> str:
    """What the relay offers us.

    Raises:
        OSError: it cannot be reached, cannot be trusted, or does not let us in.
    """
    opened = await transport.try_out(PATIENCE, now)
    if isinstance(opened, Trouble):
        raise ConnectionError(f"{transport.name}: {opened.later.reason}")
    said = _said(opened, login=transport.logs_in)
    await opened.leave()
    return f"{transport.name}: {', '.join(said)}"


def _said(opened: Opened, *, login: bool) -> list[str]:
    said = [f"greets over {opened.tls}" if opened.tls else "greets in the clear"]
    if login:
        said.append("login accepted")
    if opened.offers.words:
        said.append(f"offers {opened.offers.words}")
    if opened.offers.largest:
        said.append(f"takes mails of up to {opened.offers.largest:,} bytes")
    return said


async def _ask_inbound(email: EmailSettings) -> str:
    inbound = email.inbound
    if inbound.kind == "none":
        return "nobody reads what comes back; email.inbound can"
    if inbound.kind in ("lmtp", "smtp"):
        return f"{inbound.kind} on {inbound.host} while the service runs"
    return await asyncio.to_thread(_look_into, inbound)


def _look_into(inbound: InboundSettings) -> str:
    """Log in and count; nothing there is changed."""
    from bots.email.inbound.mailboxes import open_mailbox  # noqa: PLC0415  # as with DKIM

    box = open_mailbox(inbound)
    try:
        box.open()
        count = len(box.mails())
        box.close()
    finally:
        box.abort()
    return f"{inbound.host}: login accepted, {count} mails wait"


async def _ask_key(dkim: DkimSettings, sender: str) -> str:
    from bots.email.dkim import Signer  # noqa: PLC0415  # few offices sign here, and every start loads this module

    signer = Signer.of(dkim)
    domain = _domain(sender)
    if sender and not _covers(signer.domain, domain):
        raise ValueError(f"mail from {domain} is signed as {signer.domain}; DMARC wants {domain} or a domain above it")
    return _published(signer.record_name, signer.record)


async def _ask_return_path(email: EmailSettings, host: str) -> str:
    """SPF is asked of the envelope's domain (RFC 7208 section 2.4)."""
    shown = _domain(email.sender)
    returned = _domain(email.bounce_address) or shown
    said = _published(returned, f"v=spf1 {_relay_in_spf(email.host, host)} -all")
    if not (_covers(shown, returned) or _covers(returned, shown)):
        said += f"; {returned} is another domain than {shown}, so that DMARC goes by the signature alone"
    return said


async def _ask_policy(email: EmailSettings) -> str:
    """DMARC is asked of the domain in From (RFC 7489 section 6.1)."""
    shown = _domain(email.sender)
    return _published(f"_dmarc.{shown}", f"v=DMARC1; p=none; rua=mailto:postmaster@{shown}")


def _published(name: str, text: str) -> str:
    """A TXT record as zone files have it: strings of at most 255 bytes."""
    strings = " ".join(f'"{text[i : i + TXT_PART]}"' for i in range(0, len(text), TXT_PART))
    return f"to publish: {name}. TXT {strings}"


def _relay_in_spf(relay: str, host: str) -> str:
    """The relay as SPF names it; one on this machine sends from the site's own host."""
    try:
        number = ip_address(relay)
    except ValueError:
        return f"a:{host if relay == 'localhost' else relay}"
    return f"a:{host}" if number.is_loopback else f"ip{number.version}:{number}"


def _domain(mailbox: str) -> str:
    return address(mailbox).text.rpartition("@")[2].lower() if mailbox else ""


def _covers(above: str, domain: str) -> bool:
    """Whether it is that domain or one above it, as relaxed alignment wants."""
    return domain == above or domain.endswith("." + above)
