"""How often each mailbox was asked lately, however its address was spelt: the limit against mail-bombing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "letterbox",
        sa.Column("mailbox", sa.String(), nullable=False),
        sa.Column("asked", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("newest_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("mailbox"),
    )
    op.create_index("ix_letterbox_newest_at", "letterbox", ["newest_at"])
