"""Topics: what they are (`taxonomy`) and how a text finds its own (`classifying`), under one name."""

from __future__ import annotations

from syndicator.domain.taxonomy import RESERVED, BadTopics, Taxonomy, Topic, is_slug

__all__ = ["RESERVED", "BadTopics", "Taxonomy", "Topic", "is_slug"]
