"""A release that a restore gave another number is found by the words in its old address."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None
beside = "0013"  # an index of its own: the programs of 0013 go on beside it


def upgrade() -> None:
    op.create_index("ix_variant_slug", "variant", ["slug"])
