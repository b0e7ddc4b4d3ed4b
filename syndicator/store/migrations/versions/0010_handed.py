"""A row that came to somebody by a merge says when: what comes back is about the address that they had then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("delivery", sa.Column("handed_at", sa.DateTime(timezone=True), nullable=True))
