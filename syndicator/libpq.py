"""How every line to PostgreSQL is set up, and how one is cut. Unlike `patience` this loads no driver.

1. A line that is dead is noticed in about eight seconds, where `patience` does not notice it before.
2. Whoever waits in psycopg, in whatever thread, goes on with an error as soon as the line is cut; the server is not
   asked, for one that hangs would not answer.
3. Who is silent in a transaction for 10 s is ended by the server (`SILENT`): a frozen process keeps its rows from
   whoever does its work no longer than that, which is sooner than anybody takes it over.

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

__all__ = ["CONNECT", "SILENT", "cut"]

SILENT = "-c idle_in_transaction_session_timeout=10s"  # an option of the server

CONNECT: Mapping[str, Any] = {  # in seconds but for `tcp_user_timeout`, in milliseconds
    "connect_timeout": 4,
    "tcp_user_timeout": 8000,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}


def cut(number: int) -> None:
    """End the line of that file descriptor, from outside."""
    with suppress(OSError), socket.socket(fileno=os.dup(number)) as twin:
        twin.shutdown(socket.SHUT_RDWR)
