"""A release by mail, and what follows it: its correction, its withdrawal.

Rules, in order:

1. The frame speaks the reader's language; the release's own text keeps its own, said by `lang`.
2. A correction says first what has changed, each note once, the oldest first; then comes the whole text as it is now. A
   release that came back after its withdrawal says that. Its subject has a word before the title.
3. A withdrawal repeats neither title nor text: they may be the very mistake. Its reader knows which mail is meant by
   the thread, by the release's date and by the time at which it was sent to them; it gives the reason, and a link
   that names the release by its number alone.
4. A mail of either is compiled once per text, languages, form and notes. The thread is each reader's own.
"""

from __future__ import annotations

from bots.email.body import cut
from bots.email.frame import BULK, Compiled, Frame, Recipe
from bots.email.headers import feedback_id
from bots.email.mails import NotSendable
from bots.email.pattern import Marks
from bots.email.views import ReleaseView, moment_there, notes_of, opening, reason_of, release_view, subject
from syndicator.domain.letters import Letter
from syndicator.domain.model import MessageKind, Release, Variant

__all__ = ["correction", "release", "withdrawal"]


def release(frame: Frame, letter: Letter) -> Recipe:
    """A release.

    Raises:
        NotSendable: it has no text in that language.
    """
    about, variant = _text(letter)
    return _with_text(frame, letter, about, variant, (), came_back=False)


def correction(frame: Frame, letter: Letter) -> Recipe:
    """What was corrected, and the text as it is now. Raises as `release`."""
    about, variant = _text(letter)
    came_back = bool(letter.earlier) and letter.earlier[-1].kind is MessageKind.WITHDRAWAL
    return _with_text(frame, letter, about, variant, notes_of(letter.notes), came_back=came_back)


def _text(letter: Letter) -> tuple[Release, Variant]:
    about = letter.release
    variant = about.variant(letter.lang) if about else None
    if about is None or variant is None:
        raise NotSendable(f"there is no text in {letter.lang or 'its language'} any more")
    return about, variant


def _with_text(
    frame: Frame, letter: Letter, about: Release, variant: Variant, notes: tuple[str, ...], *, came_back: bool
) -> Recipe:
    key = (
        letter.kind,
        about.number,
        about.change,
        variant.revision.number,
        letter.lang,
        letter.reader_lang,
        letter.text_only,
        notes,
        came_back,
    )
    follows = letter.kind is MessageKind.CORRECTION
    reader_lang, text_only = letter.reader_lang, letter.text_only

    def make() -> Compiled:
        marks = Marks(repr((key, about)))
        topic = about.topics[0] if about.topics else ""
        told = subject(about, variant, frame.texts(variant.lang), follows=follows, came_back=came_back)
        frequency = "correction" if follows else "immediate"
        head = frame.head(told, variant.lang, feedback_id(str(about.number), topic, frequency, frame.host))

        def render(budget: int) -> tuple[str, str | None]:
            shown: ReleaseView = release_view(about, variant, cut(variant.revision.body, budget), frame.site)
            when = moment_there(about.public_at, frame.site.zone, frame.texts(reader_lang))
            values = {"release": shown, "when": when, "follows": follows, "came_back": came_back, "notes": notes}
            preview = notes[0] if notes else opening(variant)
            return frame.parts("release", reader_lang, marks, text_only=text_only, preview=preview, **values)

        return frame.fitting(head, render, variant.lang, marks)

    return Recipe(key, make)


def withdrawal(frame: Frame, letter: Letter) -> Recipe:
    """That a release is no longer to be relied on.

    Raises:
        NotSendable: there is no release.
    """
    about = letter.release
    if about is None:
        raise NotSendable("there is no release any more")
    t = frame.texts(letter.reader_lang)
    was_sent = any(one.is_known for one in letter.earlier)
    key = (letter.kind, about.number, about.change, letter.lang, t.lang, letter.text_only, was_sent)
    text_only, lang = letter.text_only, letter.lang

    def make() -> Compiled:
        marks = Marks(repr((key, about)))
        date = t.date(about.public_at, frame.site.zone)
        told = t("Withdrawn: our release of {date}", date=date)
        topic = about.topics[0] if about.topics else ""
        head = frame.head(told, t.lang, feedback_id(str(about.number), topic, "withdrawal", frame.host))
        parts = frame.parts(
            "withdrawal",
            t.lang,
            marks,
            text_only=text_only,
            preview=t("Please do not rely on it and do not pass it on."),
            title=told,
            number=about.number,
            date=date,
            was_sent=was_sent,
            reason=reason_of(about, lang),
            reason_lang=lang or t.lang,
            page=frame.site.release(lang or t.lang, about.number, ""),
        )
        return Compiled(frame.pattern(head, parts, t.lang, marks, BULK | ({"sent"} if was_sent else set())))

    return Recipe(key, make)
