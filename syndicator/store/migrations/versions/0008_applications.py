"""Sign-ups and wishes to move wait for a moment: the page answers before anybody looks whose the address is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def said(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Text(), server_default=sa.text("''"), nullable=False)


def flag(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Boolean(), server_default=sa.text("false"), nullable=False)


def moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def upgrade() -> None:
    op.create_table(
        "application",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("subscriber_id", sa.Integer(), sa.ForeignKey("subscriber.id", ondelete="CASCADE"), nullable=True),
        said("filter"),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("cadence", sa.String(), nullable=False),
        flag("text_only"),
        said("consent_source"),
        said("consent_text"),
        flag("is_busy"),
        flag("has_turn"),
        moment("asked_at"),
        moment("due_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_application_subscriber_id", "application", ["subscriber_id"])
    op.create_index("ix_application_due_at", "application", ["due_at"])
