"""Filters with words that were asked for: what shows a withdrawal to those who followed, and to nobody else."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "asked_filter",
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("first_asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("canonical"),
    )
    op.create_index("ix_asked_filter_last_asked_at", "asked_filter", ["last_asked_at"], unique=False)
