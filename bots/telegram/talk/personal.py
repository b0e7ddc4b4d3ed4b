"""The parts of the dialogue that look into the store: lists, reasons, and what is held about a chat."""

from __future__ import annotations

from collections.abc import Sequence

from bots.telegram.talk.lists import Lists
from bots.telegram.talk.mine import Mine
from bots.telegram.talk.turns import Part
from bots.telegram.talk.why import Why
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.pipeline.browsing import Browsing
from syndicator.pipeline.personal import Personal
from syndicator.store.database import Database

__all__ = ["personal_parts"]


def personal_parts(database: Database, site: Site, taxonomy: Taxonomy) -> Sequence[Part]:
    """All of them."""
    personal = Personal(database, site=site, taxonomy=taxonomy)
    browsing = Browsing(database, site=site, taxonomy=taxonomy)
    return (Lists(browsing, site).part(), Why(personal, site, taxonomy).part(), Mine(personal).part())
