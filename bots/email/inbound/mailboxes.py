"""A mailbox on another server, by POP3 or IMAP: blocking, with a time limit on every step; called in threads.

Rules, in order:

1. TLS as the settings say, with certificates checked; it is never left out.
2. A mail is read up to `LARGEST` bytes and no further; reading marks nothing and deletes nothing.
3. POP3 deletes when the session ends well (RFC 1939 section 6); IMAP expunges that one mail where the server can
   (UIDPLUS, RFC 4315), else only marks it deleted: nobody else's marks are carried out by us.
4. Whatever a server does wrong is an `OSError` with one line.
"""

from __future__ import annotations

import imaplib
import poplib
import re
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from bots.email.inbound.intake import LARGEST
from bots.email.verdicts import without_addresses
from config.email import InboundSettings
from syndicator.domain.text import one_line

__all__ = ["Imap", "Mailbox", "Pop3", "open_mailbox"]

T = TypeVar("T")

TIMEOUT = 60.0  # seconds for any step
LINES = 20_000  # of a POP3 mail that is too large to be read whole
LINE = 1_000_000  # bytes; the library's own limit is shorter than lines that come
_SAID = 200
_UID = re.compile(rb"UID (\d+)")
_SIZE = re.compile(rb"RFC822\.SIZE (\d+)")


class Mailbox(Protocol):
    """One session with a mailbox. Every method blocks, and raises OSError where the server does not do its part."""

    def open(self) -> None:
        """Connect, secure, log in."""
        ...

    def mails(self) -> Sequence[str]:
        """Names of all mails that are there, oldest first; a name stays the same from session to session."""
        ...

    def read(self, mail: str) -> tuple[bytes, bool]:
        """A mail, and whether that is all of it."""
        ...

    def delete(self, mail: str) -> None:
        """Delete it."""
        ...

    def close(self) -> None:
        """End the session; what was deleted is gone when this returns."""
        ...

    def abort(self) -> None:
        """Cut the line, from any thread: what blocks in another one raises. Nothing else raises here."""
        ...


def open_mailbox(settings: InboundSettings, context: ssl.SSLContext | None = None) -> Mailbox:
    """The mailbox of the settings; nothing is connected yet. `context` takes the place of the usual certificates."""
    return (Pop3 if settings.kind == "pop3" else Imap)(settings, context or ssl.create_default_context())


class _Pop3(poplib.POP3):
    """poplib with room for long lines; `keep` is given each connection, to cut it from outside."""

    file: Any

    def __init__(self, keep: Callable[[Any], None], host: str, port: int, **options: Any) -> None:
        self._keep = keep
        super().__init__(host, port, **options)

    def _create_socket(self, timeout: float) -> Any:
        made = super()._create_socket(timeout)  # type: ignore[misc]  # the library's own, and stable
        self._keep(made)
        return made

    def _getlongresp(self) -> tuple[bytes, list[bytes], int]:
        """An answer of several lines (RFC 1939 section 3), as far as `LARGEST`: the rest is heard, and not kept."""
        said = self._getresp()  # type: ignore[attr-defined]  # the library's own, and stable
        lines: list[bytes] = []
        size = 0
        while (line := self._getline()[0]) != b".":
            line = line[line.startswith(b"..") :]
            size += len(line) + 2
            if size <= LARGEST:
                lines.append(line)
        return said, lines, size

    def _getline(self) -> tuple[bytes, int]:
        line = self.file.readline(LINE + 1)
        if len(line) > LINE:
            raise poplib.error_proto("line too long")
        if not line:
            raise poplib.error_proto("-ERR EOF")
        return line.rstrip(b"\r\n"), len(line)


class _Pop3Tls(_Pop3, poplib.POP3_SSL):
    """With TLS from the start."""


def _plainly(work: Callable[[], T]) -> T:
    """Rule 4."""
    try:
        return work()
    except OSError:  # among them a certificate that does not hold, which is a ValueError as well
        raise
    except (poplib.error_proto, imaplib.IMAP4.error, EOFError, ValueError, IndexError) as error:
        said = error.args[0] if error.args else ""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise OSError(one_line(without_addresses(text))[:_SAID] or type(error).__name__) from None


class Pop3:
    """POP3 (RFC 1939)."""

    def __init__(self, settings: InboundSettings, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._context = context
        self._box: poplib.POP3 | None = None
        self._line: Any = None
        self._numbers: dict[str, int] = {}
        self._sizes: dict[int, int] = {}

    def open(self) -> None:
        """See `Mailbox`."""
        _plainly(self._log_in)

    def _log_in(self) -> None:
        settings = self._settings
        port = settings.port or (995 if settings.tls == "tls" else 110)
        if settings.tls == "tls":
            self._box = _Pop3Tls(self._kept, settings.host, port, timeout=TIMEOUT, context=self._context)
        else:
            self._box = _Pop3(self._kept, settings.host, port, timeout=TIMEOUT)
            if settings.tls == "starttls":
                self._box.stls(self._context)
        self._box.user(settings.user)
        self._box.pass_(settings.password.get_secret_value() if settings.password else "")

    def mails(self) -> Sequence[str]:
        """See `Mailbox`."""

        def ask() -> Sequence[str]:
            box = self._live()
            self._sizes = {int(line.split()[0]): int(line.split()[1]) for line in box.list()[1]}
            pairs = [line.decode("ascii", "replace").split() for line in box.uidl()[1]]
            self._numbers = {name: int(number) for number, name, *_ in pairs}
            return sorted(self._numbers, key=lambda name: self._numbers[name])

        return _plainly(ask)

    def read(self, mail: str) -> tuple[bytes, bool]:
        """See `Mailbox`."""

        def ask() -> tuple[bytes, bool]:
            box, number = self._live(), self._numbers[mail]
            whole = self._sizes.get(number, 0) <= LARGEST
            _, lines, size = box.retr(number) if whole else box.top(number, LINES)
            return b"\r\n".join(lines) + b"\r\n", whole and size <= LARGEST

        return _plainly(ask)

    def delete(self, mail: str) -> None:
        """See `Mailbox`."""
        _plainly(lambda: self._live().dele(self._numbers[mail]))

    def close(self) -> None:
        """See `Mailbox`."""
        if self._box is not None:
            _plainly(self._box.quit)
            self._box = None

    def abort(self) -> None:
        """See `Mailbox`."""
        box, line = self._box, self._line
        self._box = self._line = None
        _cut(line)
        with suppress(OSError, AttributeError):
            (box or line).close()

    def _kept(self, line: Any) -> None:
        self._line = line

    def _live(self) -> poplib.POP3:
        if self._box is None:
            raise OSError("the session is over")
        return self._box


class Imap:
    """IMAP4rev1 (RFC 3501)."""

    def __init__(self, settings: InboundSettings, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._context = context
        self._box: imaplib.IMAP4 | None = None
        self._expunges = False

    def open(self) -> None:
        """See `Mailbox`."""
        _plainly(self._log_in)

    def _log_in(self) -> None:
        settings = self._settings
        port = settings.port or (993 if settings.tls == "tls" else 143)
        if settings.tls == "tls":
            box: imaplib.IMAP4 = imaplib.IMAP4_SSL(settings.host, port, ssl_context=self._context, timeout=TIMEOUT)
        else:
            box = imaplib.IMAP4(settings.host, port, timeout=TIMEOUT)
        self._box = box
        if settings.tls == "starttls":
            box.starttls(self._context)
        box.login(settings.user, settings.password.get_secret_value() if settings.password else "")
        _, capabilities = box.capability()
        self._expunges = b"UIDPLUS" in b" ".join(one for one in capabilities if isinstance(one, bytes)).upper().split()
        folder = '"' + settings.folder.replace("\\", "\\\\").replace('"', '\\"') + '"'
        self._asked(box.select(folder))

    def mails(self) -> Sequence[str]:
        """See `Mailbox`."""

        def ask() -> Sequence[str]:
            (found,) = self._asked(self._live().uid("SEARCH", "UNDELETED"))[:1] or [b""]
            return [name.decode("ascii") for name in (found or b"").split()]

        return _plainly(ask)

    def read(self, mail: str) -> tuple[bytes, bool]:
        """See `Mailbox`."""

        def ask() -> tuple[bytes, bool]:
            found = self._asked(self._live().uid("FETCH", mail, f"(RFC822.SIZE BODY.PEEK[]<0.{LARGEST}>)"))
            answer = next((one for one in found if isinstance(one, tuple)), None)
            if answer is None:
                raise OSError("a mail is not there any more")
            said = b" ".join(one if isinstance(one, bytes) else one[0] for one in found if one)
            size = _SIZE.search(said)
            return bytes(answer[1])[:LARGEST], size is None or int(size[1]) <= LARGEST

        return _plainly(ask)

    def delete(self, mail: str) -> None:
        """See `Mailbox`."""

        def ask() -> None:
            self._asked(self._live().uid("STORE", mail, "+FLAGS.SILENT", r"(\Deleted)"))
            if self._expunges:
                self._asked(self._live().uid("EXPUNGE", mail))

        _plainly(ask)

    def close(self) -> None:
        """See `Mailbox`."""
        if self._box is not None:
            _plainly(self._box.logout)
            self._box = None

    def abort(self) -> None:
        """See `Mailbox`."""
        box, self._box = self._box, None
        if box is not None:
            _cut(box.sock)
            with suppress(OSError):
                box.shutdown()

    def _live(self) -> imaplib.IMAP4:
        if self._box is None:
            raise OSError("the session is over")
        return self._box

    @staticmethod
    def _asked(answer: tuple[str, list[Any]]) -> list[Any]:
        state, found = answer
        if state != "OK":
            raise imaplib.IMAP4.error(b" ".join(one for one in found if isinstance(one, bytes)) or state)
        return found


def _cut(sock: Any) -> None:
    with suppress(OSError, AttributeError):
        sock.shutdown(2)
