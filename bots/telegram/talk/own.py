"""The parts of the dialogue that stand on a chat's own account alone. Others come from who opens the bot."""

from __future__ import annotations

from collections.abc import Sequence

from bots.telegram.talk.boxes import Boxes
from bots.telegram.talk.starting import Starting
from bots.telegram.talk.turns import Chats, Part
from bots.telegram.talk.welcome import Welcome
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts

__all__ = ["own_parts"]


def own_parts(chats: Chats, site: Site, texts: Texts, taxonomy: Taxonomy) -> Sequence[Part]:
    """All of them."""
    boxes = Boxes(chats, taxonomy)
    starting = Starting(chats, Welcome(site, texts), boxes, site=site, texts=texts)
    return (starting.part(), boxes.part())
