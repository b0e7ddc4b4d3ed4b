"""A release as a subscriber would read it in the text part of a mail, for the command `preview`."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from bots.email.compile import Compiler
from syndicator.domain.letters import Letter
from syndicator.domain.model import MessageKind, Release
from syndicator.domain.ports import Clock
from syndicator.domain.tokens import TOKEN_LENGTH

__all__ = ["email_preview"]

SAMPLE_TOKEN = "A" * TOKEN_LENGTH  # as long as a signed one; opens nothing


def email_preview(compiler: Compiler, timezone: str, clock: Clock) -> Callable[[Release, str], str]:
    """What turns (release, language) into a mail's subject and text; raises LookupError for a missing language."""

    def show(release: Release, lang: str) -> str:
        if release.variant(lang) is None:
            raise LookupError(f"release {release.number}: there is no text in {lang}")
        letter = Letter(
            delivery=0,
            message=f"release:{release.number}:0",
            kind=MessageKind.RELEASE,
            subscriber=0,
            address="reader@example.org",
            lang=lang,
            reader_lang=lang,
            timezone=timezone,
            release=release,
            manage_token=SAMPLE_TOKEN,
            unsubscribe_token=SAMPLE_TOKEN,
            leave_token=SAMPLE_TOKEN,
        )
        mail = message_from_bytes(compiler.mail(letter, clock()).data, EmailMessage, policy=default)
        text = mail.get_body(("plain",))
        return f"Subject: {mail['Subject']}\n\n{text.get_content() if text else ''}"

    return show
