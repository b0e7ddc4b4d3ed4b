"""What follows a release: digest runs and items, a reader's quiet hours and pause, files and chats that a bot knows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LARGE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("subscriber", sa.Column("quiet", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("subscriber", sa.Column("resume_at", sa.DateTime(timezone=True), nullable=True))
    resting = sa.text("resume_at IS NOT NULL")
    op.create_index(
        "ix_subscriber_resume_at", "subscriber", ["resume_at"], sqlite_where=resting, postgresql_where=resting
    )
    op.create_table(
        "digest_run",
        sa.Column("message_id", sa.Integer(), sa.ForeignKey("message.id", ondelete="CASCADE"), nullable=False),
        sa.Column("cadence", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("begins_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("message_id"),
        sa.UniqueConstraint("cadence", "zone", "ends_at"),
    )
    op.create_table(
        "digest_item",
        sa.Column("delivery_id", LARGE, sa.ForeignKey("delivery.id", ondelete="CASCADE"), nullable=False),
        sa.Column("release_id", sa.Integer(), sa.ForeignKey("release.id", ondelete="CASCADE"), nullable=False),
        sa.Column("lang", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", "release_id"),
    )
    op.create_index("ix_digest_item_release_id", "digest_item", ["release_id"])
    op.create_table(
        "telegram_file",
        sa.Column("bot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("file_id", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bot", "url"),
    )
    op.create_table(
        "telegram_chat",
        sa.Column("bot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("chat", sa.String(), nullable=False),
        sa.Column("newest", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bot", "chat"),
    )
