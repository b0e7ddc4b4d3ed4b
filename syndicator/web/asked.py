"""Filters as pages get them: from an address or a form, in the words of today's topic file.

A topic's former slug goes on meaning the new one, so that an address somebody kept still works; what a topic file
never knew is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlencode

from syndicator.domain.filters import Filter, parse
from syndicator.domain.topics import Taxonomy

__all__ = ["asked_filter"]


def asked_filter(
    fields: Sequence[tuple[str, str]], taxonomy: Taxonomy, languages: Sequence[str] | None = None
) -> Filter:
    """The filter that these fields make; with `languages`, those are the only ones allowed.

    Raises:
        BadFilter: a value cannot be used.
    """
    known = (*taxonomy.slugs, *taxonomy.renamed)
    wanted = parse(urlencode(fields), languages=languages, topics=known)
    topics, without = (tuple(map(taxonomy.current, slugs)) for slugs in (wanted.topics, wanted.without))
    return replace(wanted, topics=topics, without=without)
