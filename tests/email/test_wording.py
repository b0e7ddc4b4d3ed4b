"""Every word that a mail says has its place in the catalogues, and none is left over."""

from __future__ import annotations

import re
from io import BytesIO
from string import Formatter

import pytest
from babel.messages.extract import extract_python
from babel.messages.pofile import read_po

from syndicator.i18n import LOCALE_DIR
from tests.email.gallery import LANGS, NOW, a_compiler, gallery, parts, read
from tests.program import ROOT

EMAIL = ROOT / "bots" / "email"
SAID = re.compile(r"""\bt\("((?:[^"\\]|\\.)*)\"""")
OURS = ("reasons.py", "views.py", "kinds/releases.py", "kinds/digests.py", "kinds/personal.py")


def said():
    """Message ids of templates and modules."""
    found = {text for path in EMAIL.glob("templates/*") for text in SAID.findall(path.read_text("utf-8"))}
    for name in OURS:
        source = BytesIO((EMAIL / name).read_bytes().replace(b"self.t", b"t").replace(b"t.plural", b"plural"))
        told = extract_python(source, {"t": None, "_": None, "plural": (1, 2)}, [], {})
        found |= {message[0] if isinstance(message, tuple) else message for _, _, message, _ in told}
    return found - {None, ""}


def gaps(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("lang", ["az", "ru"])
def test_every_text_is_translated_and_none_is_left_over(lang):
    with (LOCALE_DIR / lang / "email.po").open("rb") as file:
        catalogue = read_po(file, locale=lang, abort_invalid=True)
    kept = {m.id[0] if isinstance(m.id, tuple) else m.id: m.string for m in catalogue if m.id}
    assert set(kept) == said()
    for name, translated in kept.items():
        forms = translated if isinstance(translated, tuple) else (translated,)
        assert all(forms)
        assert len(forms) in (1, catalogue.num_plurals)
        assert all(gaps(form) == gaps(name) for form in forms)


@pytest.mark.parametrize("lang", LANGS)
def test_each_mail_speaks_one_language_but_for_the_texts_own(lang):
    """Nothing of the English frame is left in the others, and no plain Latin letter stands in a Russian word."""
    english = [text for text in said() if len(text) > 12 and not gaps(text)]
    for shown in gallery(lang):
        if shown.letter.reader_lang != lang:
            continue
        data = a_compiler().mail(shown.letter, NOW).data
        whole = "\n".join((read(data)["Subject"], *parts(data)))
        assert lang == "en" or not [text for text in english if text in whole]
        assert not re.search(r"[а-яё][a-z]|[a-z][а-яё]", whole)
