"""Several machines: who claimed a delivery, budgets that all share, files for all, and what an operator was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
beside = "0013"  # the oldest schema whose programs may run on this one: those before know nothing of `claimed_by`


def upgrade() -> None:
    op.add_column("delivery", sa.Column("claimed_by", sa.BigInteger(), nullable=True))
    op.create_table(
        "rate",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("turn_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "media_file",
        sa.Column("url", sa.String(), primary_key=True),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "alarm",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("said", sa.Text(), nullable=False, server_default=""),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("over_at", sa.DateTime(timezone=True), nullable=True),
    )
