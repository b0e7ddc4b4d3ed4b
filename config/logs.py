"""How the service logs: one line an event, to standard error; for people on a terminal, as JSON elsewhere.

No line holds a secret, an address of a subscriber, or a text that a person wrote beyond a document's name.
"""

from __future__ import annotations

import logging
import sys

import structlog

__all__ = ["set_up_logs"]


def set_up_logs(level: int = logging.INFO) -> None:
    """Set structlog and the libraries' own logging to the same stream, from `level` up."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    terminal = sys.stderr.isatty()
    people = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    machines = structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if terminal else [structlog.processors.format_exc_info]),
            people if terminal else machines,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
