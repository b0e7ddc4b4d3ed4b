"""When a delivery was put off first, from where patience counts, and how often it was told to slow down."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("delivery", sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("delivery", sa.Column("slowed", sa.Integer(), server_default=sa.text("0"), nullable=False))
