"""Who reads digests, found without a look at everybody: an index that holds no other subscriptions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    digests = sa.text("cadence <> 'immediate' AND state = 'active'")
    op.create_index(
        "ix_subscription_digests",
        "subscription",
        ["subscriber_id", "cadence"],
        sqlite_where=digests,
        postgresql_where=digests,
    )
