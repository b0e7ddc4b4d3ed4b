"""What leaves over a connection, and what is known of how far it got.

Rules, in order:

1. What was written may wait here, for the network. Of a body and what was written behind it, it is known whether the
   last byte of the body may have left: "no" is said only where that is certain.
2. Nothing that has not left may leave once the connection is given up: it is aborted.
"""

from __future__ import annotations

import asyncio

from bots.email.relay.connecting import Opened

__all__ = ["Outgoing"]


class Outgoing:
    """Bytes on their way. `is_full`: some wait here."""

    def __init__(self, opened: Opened, reader: asyncio.Protocol) -> None:
        self.is_full = False
        self._behind = 0  # bytes that were written behind the body
        self._transport = opened.transport
        self._transport.set_protocol(reader)
        # Each byte that we still hold counts. TLS counts a full buffer from `high` on, TCP from above it.
        self._transport.set_write_buffer_limits(high=1 if opened.tls else 0, low=0)

    @property
    def is_closing(self) -> bool:
        """Whether nothing can leave any more."""
        return self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """A command, or several."""
        self._transport.write(data)

    def write_body(self, body: bytes, behind: bytes) -> bool:
        """A body, and what leaves together with it; False if that has failed at once."""
        self._behind = len(behind)
        self._transport.write(body + behind)
        if self._transport.is_closing():
            self._behind = -1
        return self._behind >= 0

    def write_behind(self, data: bytes) -> None:
        """What leaves behind the body that was written last."""
        self._behind = len(data)
        self._transport.write(data)

    def has_left(self) -> bool:
        """Whether the last byte of the body that is on its way may have left. It says no only if that is certain."""
        if self._behind < 0:
            return False
        if not self.is_full:
            return True
        if self._transport.is_closing():
            return self._behind > 0
        return self._transport.get_write_buffer_size() <= self._behind

    def abort(self) -> None:
        """Rule 2."""
        self._transport.abort()
