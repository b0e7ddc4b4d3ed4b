"""An office with mail and a picture, as its operator runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import MailSink, Program, mail_through, make_program

SITE = "https://press.example.org"


@pytest.fixture
def office(tmp_path: Path, sink: MailSink) -> Iterator[Program]:
    """On SQLite; nothing is started yet."""
    found = mail_through(make_program(tmp_path, warm=True), sink.port)
    found.environ["SYNDICATOR_SITE__BASE_URL"] = SITE
    yield found
    if found.process is not None and not found.dead():
        found.kill()
