"""What Telegram tells any of several web machines waits here for the one process that answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None
beside = "0013"  # a table of its own: the programs of 0013 go on beside it


def upgrade() -> None:
    op.create_table(
        "telegram_update",
        sa.Column("bot", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("body", sa.Text(), nullable=False, server_default=""),
        sa.Column("came_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
    )
    waits = sa.text("done_at IS NULL")
    op.create_index(
        "ix_telegram_update_waiting",
        "telegram_update",
        ["bot", "number"],
        postgresql_where=waits,
        sqlite_where=waits,
    )
    op.create_index("ix_telegram_update_done_at", "telegram_update", ["done_at"])
