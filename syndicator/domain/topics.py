"""Topics under one name: what they are (`taxonomy`) and how a text finds its own (`classifying`)."""

from __future__ import annotations

from syndicator.domain.classifying import Classification, Hit, Reason, classify
from syndicator.domain.taxonomy import RESERVED, BadTopics, Taxonomy, Topic, is_slug

__all__ = [
    "RESERVED",
    "BadTopics",
    "Classification",
    "Hit",
    "Reason",
    "Taxonomy",
    "Topic",
    "classify",
    "is_slug",
]
