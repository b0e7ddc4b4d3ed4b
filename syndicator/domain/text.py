"""Texts under one name: characters, languages, markup in and plain text out."""

from __future__ import annotations

from syndicator.domain.characters import (
    excerpt,
    lower,
    one_line,
    repeats_opening,
    slugify,
    strip_illegal,
    upper,
    upper_first,
)
from syndicator.domain.language import detect_language
from syndicator.domain.markup import BODY_LIMIT, SUBSET, TooLong, clean
from syndicator.domain.plaintext import plain

__all__ = [
    "BODY_LIMIT",
    "SUBSET",
    "TooLong",
    "clean",
    "detect_language",
    "excerpt",
    "lower",
    "one_line",
    "plain",
    "repeats_opening",
    "slugify",
    "strip_illegal",
    "upper",
    "upper_first",
]
