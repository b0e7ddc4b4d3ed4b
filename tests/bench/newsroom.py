"""A running program with every outlet beside it, and when a release came out of each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.doubled import TelegramProcess
from tests.program import MailSink, Program, mail_through, make_program

__all__ = ["FACES", "Newsroom", "newsroom", "text_of"]

FACES = ("feed", "channel", "mail")
LOOK = 0.01  # seconds between two looks
PATIENCE = 20.0


class Newsroom:
    """The program (a real process), the relay, and Telegram's double."""

    def __init__(self, program: Program, sink: MailSink, telegram: TelegramProcess) -> None:
        self.program, self.sink, self.telegram = program, sink, telegram

    def seen(self, face: str, title: str) -> bool:
        if face == "feed":
            return title in self.program.text("/feeds/en/all.json")
        if face == "channel":
            return any(title in message["text"] for message in self.telegram.messages())
        return any(title.encode() in raw for _, raw in list(self.sink.taken))

    def seconds_until(self, title: str, since: float) -> Mapping[str, float]:
        """Seconds of the wall clock from `since` until each face shows it."""
        found: dict[str, float] = {}
        while len(found) < len(FACES):
            for face in FACES:
                if face not in found and self.seen(face, title):
                    found[face] = max(time.time() - since, 0.0)
            assert time.time() - since < PATIENCE, f"{title!r} came only to {sorted(found)}"
            time.sleep(LOOK)
        return found


@contextmanager
def newsroom(folder: Path) -> Iterator[Newsroom]:
    """All of it, the program not yet started, with one reader by mail."""
    sink = MailSink()
    sink.start()
    telegram = TelegramProcess()
    program = telegram.post_for(mail_through(make_program(folder), sink.port))
    try:
        program.subscribe("reader@example.org,email,en,,immediate")
        yield Newsroom(program, sink, telegram)
    finally:
        if program.process is not None and not program.dead():
            program.kill()
        telegram.stop()
        sink.stop()


def text_of(title: str) -> str:
    """A release as press offices write them: a title, some paragraphs, and a website's last lines."""
    paragraph = (
        "The Service has explained at a meeting in the regional office how applications for a residence permit are "
        "made online, which documents are needed, and how long a decision takes. Questions of visitors were answered."
    )
    footer = "© 2026 The Republic's Migration Service\nTerms for users | Privacy Policy | All rights reserved"
    return "\n\n".join([title, *[paragraph] * 5, footer]) + "\n"
