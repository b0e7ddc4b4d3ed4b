"""The embeds' texts: all translated, none left over, and the script says what the pages say."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.extract import extract_python
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from feeds.embed.scripts import Scripts
from syndicator.i18n import LOCALE_DIR

ROOM = Path(__file__).parents[2] / "feeds" / "embed"
# In the order of the script's table.
SCRIPT = ("Urgent", "Corrected", "All releases", "The list has changed", "Opens in a new tab")


def every_text() -> set[str]:
    said = set(SCRIPT)
    for path in ROOM.rglob("*.html"):
        options = {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}
        said |= {first(m) for _, _, m, _ in babel_extract(BytesIO(path.read_bytes()), {"t": None}, [], options)}
    for path in ROOM.glob("*.py"):
        said |= {first(m) for _, _, m, _ in extract_python(BytesIO(path.read_bytes()), {"t": None, "_": None}, [], {})}
    return said - {""}


def first(message):
    return next((str(m) for m in message if m), "") if isinstance(message, tuple) else str(message or "")


def catalogue(path, lang):
    with path.open("rb") as file:
        return {first(m.id): m.string for m in read_po(file, locale=lang, abort_invalid=True) if m.id}


@pytest.mark.parametrize("lang", ["az", "ru"])
def test_every_text_is_translated_and_none_is_left_over(lang):
    own = catalogue(LOCALE_DIR / lang / "embed.po", lang)
    others = {
        name for path in (LOCALE_DIR / lang).glob("*.po") if path.stem != "embed" for name in catalogue(path, lang)
    }
    said = every_text()
    assert said - others == set(own)
    for name, translated in own.items():
        assert gaps(translated) == gaps(name)


@pytest.mark.parametrize("lang", ["az", "en", "ru"])
def test_the_script_speaks_as_the_pages_do(lang, texts):
    said = re.search(rf"^ *{lang}: (\[.*\]),$", Scripts().newest.body.decode(), re.MULTILINE)
    assert json.loads(said[1]) == [texts(lang)(message) for message in SCRIPT]


def gaps(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name}
