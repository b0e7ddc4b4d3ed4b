"""Header lines: every value a person wrote becomes exactly one header, encoded and folded.

Rules, in order:

1. What a person wrote (title, note, site name) is made one clean line first; control characters never reach a header.
2. Plain ASCII stays as it is, folded between words; anything else becomes RFC 2047 encoded words. Lines end by CRLF and
   hold at most 76 characters (RFC 2047 section 2), addresses and identifiers excepted, which may not be folded.
3. Identifiers are deterministic: the same message to the same subscriber has the same Message-ID, so that a
   receiver can drop a repeat (RFC 5322 section 3.6.4).
4. Hosts are written in ASCII (IDNA); a host that no header can carry is called localhost.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from email.charset import Charset
from email.utils import quote
from urllib.parse import quote as percent
from urllib.parse import urlsplit, urlunsplit

import idna

from syndicator.domain.site import Site
from syndicator.domain.text import one_line

__all__ = [
    "ascii_host",
    "ascii_site",
    "feedback_id",
    "from_line",
    "header_line",
    "help_lines",
    "list_id",
    "message_id",
    "own_host",
    "quiet_lines",
    "text_line",
    "unsubscribe_lines",
]

LINE = 76
_UTF8 = Charset("utf-8")
_WORD = re.compile(r"\S+\s*")
_AS_IT_IS = re.compile(rb"[-!*+/A-Za-z0-9 ]")  # what a Q word holds as one character (RFC 2047 section 4.2)
_PART = 10  # characters; one of four bytes each still fits beside the name of any header
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}))*\.?")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def header_line(name: str, value: str) -> bytes:
    """A header whose value is ours: ASCII, without any control character.

    Raises:
        ValueError: the value could end the header or is not ASCII.
    """
    if _CONTROL.search(value):
        raise ValueError(f"{name}: a control character has no place in a header")
    return f"{name}: {value}\r\n".encode("ascii")


def text_line(name: str, text: str) -> bytes:
    """A header that holds what a person wrote."""
    line = one_line(text)
    if _stays(line):
        folded = _folded(f"{name}: {line}")
        if max(map(len, folded)) <= LINE and folded[0] != f"{name}:":
            return ("\r\n".join(folded) + "\r\n").encode("ascii")
    return f"{name}: {_encoded(name, line)}\r\n".encode("ascii")


def from_line(display: str, address: str) -> bytes:
    """The From header: the office's name and our address (RFC 5322 section 3.4), the address on a line of its own."""
    name = one_line(display)
    if not name:
        return header_line("From", address)
    if _stays(name) and len(name) <= LINE - len('From: ""') - name.count('"') - name.count("\\"):
        return f'From: "{quote(name)}"\r\n <{address}>\r\n'.encode("ascii")
    return f"From: {_encoded('From', name)}\r\n <{address}>\r\n".encode("ascii")


def _stays(line: str) -> bool:
    """Whether it may stand as written; what looks like an encoded word may not."""
    return _PRINTABLE.fullmatch(line) is not None and "=?" not in line


def _folded(line: str) -> list[str]:
    """The line in parts that fit, the later ones with a space before them; a word of any length stays whole."""
    first, *words = line.split(" ")
    parts = [first]
    for word in words:
        if len(parts[-1]) + 1 + len(word) > LINE:
            parts.append(f" {word}")
        else:
            parts[-1] += f" {word}"
    return parts


def _encoded(name: str, line: str) -> str:
    """Encoded words, parted after a space where that is possible: some readers show a gap where two of them meet."""
    words: list[str] = []
    chunk, room = "", LINE - len(name) - 2
    for piece in _pieces(line):
        if chunk and _length(chunk + piece) > room:
            words.append(_UTF8.header_encode(chunk))
            chunk, room = "", LINE - 1
        chunk += piece
    return "\r\n ".join([*words, _UTF8.header_encode(chunk)])


def _length(text: str) -> int:
    """How long that is as one encoded word: `Charset` takes the shorter encoding, `=?utf-8?q?...?=` or `?b?`."""
    octets = text.encode("utf-8")
    in_q = 3 * len(octets) - 2 * len(_AS_IT_IS.findall(octets))
    return len("=?utf-8?q??=") + min(in_q, (len(octets) + 2) // 3 * 4)


def _pieces(line: str) -> Iterator[str]:
    """Words with the space after them; a very long one in parts."""
    for word in _WORD.findall(line):
        for start in range(0, len(word), _PART):
            yield word[start : start + _PART]


def message_id(message: str, subscriber: int, authority: str) -> str:
    """The id of one message to one subscriber, without angle brackets."""
    digest = hashlib.sha256(f"{message}\0{subscriber}".encode()).hexdigest()
    return f"{digest[:40]}@{authority}"


def list_id(lang: str, authority: str) -> str:
    """The List-Id of a language's releases (RFC 2919): independent of any mail address.

    Topics are not in it: it would change with what its reader picks, and with it the folder that they sort it into.
    """
    return f"<releases.{lang}.{authority}>"


def feedback_id(release: str, topic: str, frequency: str, authority: str) -> str:
    """Four fields, the last names the sender (5 to 15 characters); nothing in it names a person. All is ASCII.

    https://support.google.com/a/answer/6254652
    """
    sender = re.sub(r"[^a-z0-9]", "", authority.lower())[:15].ljust(5, "0")
    return ":".join((release, re.sub(r"[^A-Za-z0-9._-]", "_", topic) or "none", frequency, sender))


def unsubscribe_lines(link: str, mailbox: str = "") -> bytes:
    """List-Unsubscribe (RFC 2369), and one-click (RFC 8058) where the link is https, as that asks for.

    Both may hold gaps that are filled in later. The link is named first: programs take the first that they can use
    (RFC 2369 section 2), and it works at once.
    """
    lines = f"List-Unsubscribe: <{link}>"
    if mailbox:
        lines += f",\r\n <mailto:{mailbox}?subject=unsubscribe>"
    lines += "\r\n"
    if link.startswith("https://"):
        lines += "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    return lines.encode("ascii")


def help_lines(contact: str) -> bytes:
    """List-Help and List-Owner (RFC 2369): where a person answers; `contact` is a mailbox, a link, or "" for none."""
    url = one_line(contact)
    if not url.startswith(("https://", "http://", "mailto:")):
        url = f"mailto:{url}" if "@" in url else ""
    if not url.isascii() or re.search(r"[\s<>,()]", url) or not url:
        return b""  # what no header can carry the pages still show
    lines = header_line("List-Help", f"<{url}>")
    return lines + header_line("List-Owner", f"<{url}>") if url.startswith("mailto:") else lines


def quiet_lines() -> bytes:
    """What a mail for one person asks of Exchange: no receipts, no "out of office"; bounces are welcome.

    [MS-OXCMAIL] section 2.2.3.2.14. Bulk mail says the same with Precedence.
    """
    return header_line("X-Auto-Response-Suppress", "DR, RN, NRN, OOF, AutoReply")


def ascii_host(host: str) -> str:
    """A host name in ASCII (IDNA 2008), lower case; "" if it is none."""
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""
    return name.lower() if len(name) <= 253 and _HOST.fullmatch(name) else ""


def own_host(site: Site) -> str:
    """The site's host as identifiers and EHLO name it."""
    return ascii_host(site.host) or "localhost"


def ascii_site(site: Site) -> Site:
    """The same site with an address that is ASCII throughout, as headers need it."""
    parts = urlsplit(site.base_url)
    host = ascii_host(parts.hostname or "")
    if not host:
        return site
    netloc = host if parts.port is None else f"{host}:{parts.port}"
    path = percent(parts.path, safe="/%~!$&'()*+,;=:@-._")
    return replace(site, base_url=urlunsplit((parts.scheme, netloc, path, "", "")))
