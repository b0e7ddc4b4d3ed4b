"""Every word a person reads, in the reader's language.

Rules, in order:

1. Message ids are English sentences; the catalogues are `syndicator/locale/{lang}/{room}.po`, one a room (web, email,
   telegram, feeds; common is for `wording`), read once at start and merged. English needs none, but may have one for
   plurals.
2. A missing translation falls back to English, never to nothing; a test holds every catalogue complete.
3. Dates are written by Babel in the reader's language and the zone that is passed in.
4. Placeholders are `{name}`; what is put in is plain text, and is escaped where it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

__all__ = ["LOCALE_DIR", "Texts", "Translator"]

LOCALE_DIR = Path(__file__).parent / "locale"

_WRITTEN_AS = {"en": "en_GB"}  # the day before the month, as az and ru have it, and as `moment` writes it

_OWN_NAMES = {"az": "azərbaycanca"}  # as a speaker says what a text is written in; CLDR has the adjective


class Translator:
    """The texts of one language."""

    def __init__(self, lang: str, catalogue: GNUTranslations | None) -> None:
        self.lang = lang
        self.locale = Locale.parse(_WRITTEN_AS.get(lang, lang))
        self._catalogue = catalogue

    def __call__(self, message: str, **values: object) -> str:
        """The message in this language, with its placeholders filled."""
        found = self._catalogue.gettext(message) if self._catalogue else message
        return found.format_map(values) if values else found

    def plural(self, one: str, many: str, count: int, **values: object) -> str:
        """The right plural form; `{count}` is filled too."""
        english = one if count == 1 else many
        found = self._catalogue.ngettext(one, many, count) if self._catalogue else english
        return found.format_map({"count": count, **values})

    def date(self, when: datetime, zone: ZoneInfo, style: str = "long") -> str:
        """A date as people write it."""
        return str(format_date(when.astimezone(zone).date(), style, locale=self.locale))

    def time(self, when: datetime, zone: ZoneInfo) -> str:
        """Hours and minutes in that zone."""
        return str(format_time(when, "short", tzinfo=zone, locale=self.locale))

    def moment(self, when: datetime, zone: ZoneInfo) -> str:
        """Date and time in that zone."""
        return str(format_datetime(when, "d MMMM y, HH:mm", tzinfo=zone, locale=self.locale))

    @property
    def language_name(self) -> str:
        """This language's own name for itself, with a capital."""
        name = _OWN_NAMES.get(self.lang) or self.locale.languages.get(self.lang) or self.lang
        first = "İ" if self.lang == "az" and name[0] == "i" else name[0].upper()
        return first + name[1:]


class Texts:
    """All catalogues; `texts("az")` is the translator of a language."""

    def __init__(self, translators: Mapping[str, Translator]) -> None:
        self._translators = dict(translators)

    @classmethod
    def load(cls, languages: Iterable[str], folder: Path = LOCALE_DIR) -> Texts:
        """Read the catalogues of these languages.

        Raises:
            ValueError: a catalogue is broken; the message names the file.
        """
        return cls({lang: Translator(lang, _read(folder / lang, lang)) for lang in languages})

    def __call__(self, lang: str) -> Translator:
        """The translator of that language; of the first one where the language is unknown."""
        found = self._translators.get(lang)
        return found if found is not None else next(iter(self._translators.values()))

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages there are texts for, in the site's order."""
        return tuple(self._translators)


def _read(folder: Path, lang: str) -> GNUTranslations | None:
    merged: GNUTranslations | None = None
    for path in sorted(folder.glob("*.po")):
        try:
            with path.open("rb") as file:
                catalogue = read_po(file, locale=lang, abort_invalid=True)
        except (ValueError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not a catalogue: {error}") from error
        compiled = BytesIO()
        write_mo(compiled, catalogue)
        compiled.seek(0)
        translations = GNUTranslations(compiled)
        if merged is not None:
            translations.add_fallback(merged)
        merged = translations
    return merged
