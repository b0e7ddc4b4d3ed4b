"""How the service logs: one line an event, to standard error; for people on a terminal, as JSON elsewhere.

What libraries say (`logging`, from WARNING up) has the same form, with the logger's name.

No line holds a secret, an address of a subscriber, or a text that a person wrote beyond a document's name.
"""

from __future__ import annotations

import logging
import sys

import structlog

__all__ = ["set_up_logs"]


def set_up_logs(level: int = logging.INFO) -> None:
    """Set structlog and the libraries' own logging to the same stream, from `level` up."""
    terminal = sys.stderr.isatty()
    people = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    machines = structlog.processors.JSONRenderer(ensure_ascii=False)
    said: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([] if terminal else [structlog.processors.format_exc_info]),
    ]
    form = people if terminal else machines
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *said], processors=[strip, form]
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *said, form],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
