"""The WebSub hub: who answers slowly, and whose requests and leases count together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("hub_lease", "hub_request"):
        for name in ("domain", "asker"):
            op.add_column(table, sa.Column(name, sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("hub_lease", sa.Column("slow", sa.Integer(), server_default=sa.text("0"), nullable=False))
