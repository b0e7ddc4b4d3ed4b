"""Who is told what follows a release: exactly those of whom the ledger says that they were sent the old text.

Rules, in order:

1. A correction or an edit goes to who has the text in a language that has changed (`Message.langs`), a withdrawal to
   all who have any. They got it as a release, as a correction, or in a digest.
2. They have it where a channel took it (`sent`), where nobody can tell (`unknown`), where it is on its way (`sending`),
   and where parts of it were accepted, whatever became of the rest. What is still `due` reads the newest text when it
   is sent, and is no recipient; of one that a crash left, a withdrawal speaks, since it may have arrived.
3. Whoever left, asked for a pause, or is a public channel that the configuration names no more is told nothing; but
   where their channel can change what it sent (it tells `edit`) their copies follow too.
4. Who blocked us, or cannot be reached, is left alone.
5. Of several rows the newest in such a language says which one they have.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import MessageKind, Release, SubscriberRole
from syndicator.store.people import ASKED
from syndicator.store.stepping import Step, write_step

__all__ = ["write_followers"]

# CROSS JOIN keeps SQLite's order of joining: people by key, then their rows of the release's few messages.
TOLD = """
    SELECT t.subscriber_id, t.channel, t.lang, t.choice, COALESCE(
        (SELECT s.id FROM subscription s WHERE s.id = t.had AND s.state = 'active'),
        (SELECT MIN(s.id) FROM subscription s WHERE s.subscriber_id = t.subscriber_id AND s.state = 'active'),
        t.had
    ) AS subscription_id
    FROM (
        SELECT h.subscriber_id, h.channel, h.lang, h.had,
            ROW_NUMBER() OVER (PARTITION BY h.subscriber_id ORDER BY h.id DESC) AS choice
        FROM (
            SELECT p.id AS subscriber_id, p.channel, d.id, d.lang, d.subscription_id AS had
            FROM subscriber p CROSS JOIN message g CROSS JOIN delivery d
            WHERE {people} AND g.release_id = :release AND g.kind IN ('release', 'correction')
                AND d.message_id = g.id AND d.subscriber_id = p.id AND d.lang IN :langs AND {had}
            UNION ALL
            SELECT p.id, p.channel, d.id, i.lang, d.subscription_id
            FROM digest_item i CROSS JOIN delivery d CROSS JOIN subscriber p
            WHERE i.release_id = :release AND i.lang IN :langs AND d.id = i.delivery_id AND p.id = d.subscriber_id
                AND {people} AND {had}
        ) h
    ) t
"""

HAD = """(d.state IN ('sent', 'unknown', 'sending') OR CAST(d.answer AS TEXT) <> '{}'
    OR (d.resent AND (:gone OR d.state = 'suppressed')))"""

LISTENS = """NOT (p.channel NOT IN :channels) AND (
    (p.state = 'active' AND EXISTS (SELECT 1 FROM subscription a WHERE a.subscriber_id = p.id AND a.state = 'active'))
    OR (p.channel IN :edits AND (p.state = 'active' OR (p.state = 'paused' AND p.state_reason = :asked))))"""

FOLLOWERS = {
    SubscriberRole.PERSON: f"p.id > :low AND p.id <= :high AND p.role <> 'channel' AND {LISTENS}",
    SubscriberRole.CHANNEL: f"p.role = 'channel' AND {LISTENS}",
}


async def write_followers(session: AsyncSession, step: Step, release: Release, langs: Sequence[str]) -> int:
    """Rows of this step for a correction, an edit or a withdrawal of texts in these languages; returns how many."""
    values = {
        "release": release.number,
        "langs": list(langs),
        "gone": step.message.kind is MessageKind.WITHDRAWAL,
        "asked": ASKED,
    }
    written = 0
    recipients = TOLD.replace("{had}", HAD.replace("{", "{{").replace("}", "}}"))
    for role in step.roles:
        written += await write_step(session, step, recipients, FOLLOWERS[role], values, role=role)
    return written
