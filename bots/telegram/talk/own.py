"""The parts of the dialogue that stand on a chat's own account alone. Others come from who opens the bot."""

from __future__ import annotations

from collections.abc import Sequence

from bots.telegram.talk.boxes import Boxes
from bots.telegram.talk.habits import Habits
from bots.telegram.talk.home import Home
from bots.telegram.talk.quiet_hours import QuietHours
from bots.telegram.talk.resting import Resting
from bots.telegram.talk.starting import Starting
from bots.telegram.talk.telling import Telling
from bots.telegram.talk.turns import Chats, Part
from bots.telegram.talk.welcome import Welcome
from bots.telegram.talk.wordlist import Words
from bots.telegram.talk.zones import Zones
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.domain.windows import Schedule
from syndicator.i18n import Texts

__all__ = ["own_parts"]


def own_parts(chats: Chats, *, site: Site, texts: Texts, taxonomy: Taxonomy, schedule: Schedule) -> Sequence[Part]:
    """All of them."""
    telling = Telling(taxonomy, schedule)
    home, boxes = Home(telling), Boxes(chats, telling)
    starting = Starting(chats, Welcome(site, texts), boxes, telling, home, site=site, texts=texts)
    others = (
        boxes,
        Words(chats, telling),
        home,
        Habits(chats, telling, home),
        QuietHours(chats, home),
        Zones(chats, home, site=site, texts=texts),
        Resting(chats, telling, home),
    )
    return (starting.part(), *(one.part() for one in others))
