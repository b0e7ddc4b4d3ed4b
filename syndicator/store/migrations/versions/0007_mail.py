"""Mail: letters to other addresses, what comes back, who is to get nothing, mails of a day; mails without HTML."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LARGE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.add_column("subscriber", sa.Column("text_only", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_table(
        "readdressed",
        sa.Column("message_id", sa.Integer(), sa.ForeignKey("message.id", ondelete="CASCADE"), nullable=False),
        sa.Column("subscriber_id", sa.Integer(), sa.ForeignKey("subscriber.id", ondelete="CASCADE"), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        moment("asked_at"),
        moment("done_at", nullable=True),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index("ix_readdressed_subscriber_id", "readdressed", ["subscriber_id"])
    op.create_index("ix_readdressed_address", "readdressed", ["address", "asked_at"])
    op.create_table(
        "bounce",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subscriber_id", sa.Integer(), sa.ForeignKey("subscriber.id", ondelete="CASCADE"), nullable=False),
        sa.Column("delivery_id", LARGE, sa.ForeignKey("delivery.id", ondelete="SET NULL"), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("said", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("report", sa.String(), nullable=True, unique=True),
        moment("at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_bounce_subscriber_at", "bounce", ["subscriber_id", "at"])
    op.create_index("ix_bounce_at", "bounce", ["at"])
    op.create_index("ix_bounce_delivery_id", "bounce", ["delivery_id"])
    op.create_table(
        "suppression",
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        moment("at"),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    op.create_table(
        "mail_day",
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("taken", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("day"),
    )
