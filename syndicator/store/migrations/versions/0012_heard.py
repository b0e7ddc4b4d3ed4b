"""When somebody showed last that mail reaches them, and whose moves and mails a merge has brought along."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("subscriber", sa.Column("heard_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("readdressed", sa.Column("handed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("delivery", sa.Column("left_at", sa.DateTime(timezone=True), nullable=True))
