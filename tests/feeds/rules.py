"""A judge of feeds: the rules of RSS 2.0 (and its profile), Atom (RFC 4287) and JSON Feed 1.1, on the bytes as served.

Rules, in order:

1. It reads finished bytes only and shares no code with what makes them; every fault is one line.
2. A fault is what a specification forbids, what the W3C's validator calls an error, or a warning that this
   service has no excuse for (relative addresses, missing self link, dates ahead of the clock).
3. `test_rules.py` holds a broken feed against every rule: a judge that cannot say no is none.
"""

from datetime import datetime

from tests.feeds.rules_atom import atom
from tests.feeds.rules_json import json_feed
from tests.feeds.rules_rss import rss


def judge(fmt: str, body: bytes, served: str, now: datetime) -> list[str]:
    """What is wrong with the feed that `served` gave at `now`, a line each; nothing where it is right."""
    return list({"rss": rss, "atom": atom, "json": json_feed}[fmt](body, served, now))
