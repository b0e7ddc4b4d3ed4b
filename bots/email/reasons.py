"""Why somebody gets a mail, in words, on one line.

Rules, in order:

1. It is said from the canonical filter, and holds nothing that whoever signed up has written: a form takes any address,
   and our mail must not carry a stranger's words to it. Their own words stand on their own page, which every mail
   links to.
2. So a topic, a kind or a language is named only if it is one of the office's; what is not is said in general.
3. It has room for `REASON` bytes: of many topics some are named, and the others counted; their page names all.
"""

from __future__ import annotations

from collections.abc import Collection
from html import escape

from bots.email.frame import REASON
from bots.email.pattern import quoted
from syndicator.domain.filters import BadFilter, Filter, parse
from syndicator.domain.text import one_line
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Translator
from syndicator.wording import KINDS, filter_in_words

__all__ = ["reason"]

NAMED = (8, 5, 3, 2, 1)  # topics, and as many that are left out


def reason(filter_text: str, taxonomy: Taxonomy, languages: Collection[str], t: Translator) -> str:
    """What somebody asked for; `languages` are the site's."""
    try:
        asked = parse(filter_text)
        known = _known(asked, taxonomy, languages)
    except BadFilter:  # an older version wrote it
        return t("releases of your choice")
    tried = (_said(asked, known, taxonomy, t, most) for most in NAMED)
    return next((words for words in tried if len(quoted(escape(words))) <= REASON), t("releases of your choice"))


def _said(asked: Filter, known: Filter, taxonomy: Taxonomy, t: Translator, most: int) -> str:
    said = one_line(filter_in_words(known, taxonomy, t, most=most)).split("; ")
    if asked.topics and not known.topics:
        said[0] = t("topics of your choice")
    if asked.kinds and not known.kinds:
        said.append(t("only kinds of your choice"))
    if asked.words:
        said.append(t("with the words you gave"))
    return "; ".join(said)


def _known(asked: Filter, taxonomy: Taxonomy, languages: Collection[str]) -> Filter:
    """The same filter with the office's own names only."""
    return Filter(
        langs=tuple(lang for lang in asked.langs if lang in languages),
        topics=tuple(slug for slug in asked.topics if taxonomy.get(slug)),
        without=tuple(slug for slug in asked.without if taxonomy.get(slug)),
        kinds=tuple(kind for kind in asked.kinds if kind in KINDS),
    )
