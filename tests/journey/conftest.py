"""Fixtures for journeys: a program of its own for each test, and a mail sink."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.program import MailSink, Program, mail_through, make_program, wait_for


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_for


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    found = make_program(tmp_path, warm=True)
    yield found
    if found.process is not None and not found.dead():
        found.process.kill()
        found.process.wait(10)


@pytest.fixture
def mailing(program: Program, sink: MailSink) -> Program:
    """The program, with the sink as its relay."""
    return mail_through(program, sink.port)
