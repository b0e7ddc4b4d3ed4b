"""The full-text index over our own folded words, alike on SQLite (FTS5) and PostgreSQL (tsvector).

Rules, in order:

1. What is indexed are the words of `filters.Facts`: title, summary and text of a variant's current revision. The same
   words decide in Python, so that a search, a feed and a subscription agree.
2. A word that is asked for matches as the beginning of an indexed one; all words asked for must match.
3. PostgreSQL's tsvector holds 1 MB at most: a longer text takes several rows, and each word is looked for alone.
4. Words are letters and digits only, yet are quoted as if they were hostile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import BindParameter, ColumnElement, bindparam, column, select, table, text, true
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.folding import tokens
from syndicator.domain.model import Revision

__all__ = ["fits", "index"]

PART_BYTES = 900_000  # of the 1,048,575 that a tsvector holds; lexemes lie beside some bytes of their own
ENTRY_BYTES = 8

WORDS = table("variant_words", column("variant_id"), column("words"), column("rowid"))


async def index(session: AsyncSession, variant: int, revision: Revision) -> None:
    """Make the words of this revision those of that variant."""
    ordered = sorted({word for t in (revision.title, revision.summary, revision.text) for word in tokens(t)})
    if _is_sqlite(session):
        await session.execute(text("DELETE FROM variant_words WHERE rowid = :variant"), {"variant": variant})
        await session.execute(
            text("INSERT INTO variant_words (rowid, words) VALUES (:variant, :words)"),
            {"variant": variant, "words": " ".join(ordered)},
        )
        return
    await session.execute(text("DELETE FROM variant_words WHERE variant_id = :variant"), {"variant": variant})
    insert = text(
        "INSERT INTO variant_words (variant_id, part, words)"
        " VALUES (:variant, :part, array_to_tsvector(CAST(:words AS text[])))"
    )
    for number, part in enumerate(_parts(ordered)):
        await session.execute(insert, {"variant": variant, "part": number, "words": part})


def fits(session: AsyncSession, variant_id: ColumnElement[int], words: Sequence[str]) -> ColumnElement[bool]:
    """A condition: the variant's text holds all of these folded words."""
    if not words:
        return true()
    if _is_sqlite(session):
        asked = " AND ".join('"{}"*'.format(word.replace('"', '""')) for word in words)
        match = text("variant_words MATCH :fts_words").bindparams(fts_words=asked)
        return variant_id.in_(select(WORDS.c.rowid).select_from(WORDS).where(match))
    condition: ColumnElement[bool] = true()
    for number, word in enumerate(words):
        escaped = word.replace("\\", "\\\\").replace("'", "''")
        name = f"ts_word_{number}"
        given: BindParameter[str] = bindparam(name, f"'{escaped}':*")
        found = WORDS.c.words.op("@@")(text(f"CAST(:{name} AS tsquery)").bindparams(given))
        condition = condition & variant_id.in_(select(WORDS.c.variant_id).select_from(WORDS).where(found))
    return condition


def _is_sqlite(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def _parts(ordered: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for word in ordered:
        cost = len(word.encode()) + ENTRY_BYTES
        if part and size + cost > PART_BYTES:
            yield part
            part, size = [], 0
        part.append(word)
        size += cost
    yield part
