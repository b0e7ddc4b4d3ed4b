"""The WebSub hub: leases, requests that wait for their callback's yes, what was last told of each feed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

EMPTY = sa.text("''")
ZERO = sa.text("0")


def upgrade() -> None:
    op.add_column("message", sa.Column("feed", sa.Text(), server_default=EMPTY, nullable=False))
    op.create_index(
        "ix_message_feed",
        "message",
        ["feed", "created_at"],
        unique=False,
        sqlite_where=sa.text("feed <> ''"),
        postgresql_where=sa.text("feed <> ''"),
    )
    _leases()
    _requests()
    op.create_table(
        "hub_topic",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), server_default=EMPTY, nullable=False),
        sa.Column("number", sa.Integer(), server_default=ZERO, nullable=False),
        sa.Column("built", sa.Integer(), server_default=ZERO, nullable=False),
        sa.Column("announced_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )


def _leases() -> None:
    op.create_table(
        "hub_lease",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subscriber_id", sa.Integer(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("callback", sa.Text(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("secret", sa.Text(), server_default=EMPTY, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("etag", sa.Text(), server_default=EMPTY, nullable=False),
        sa.Column("failures", sa.Integer(), server_default=ZERO, nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_reason", sa.Text(), server_default=EMPTY, nullable=False),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscriber.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("subscriber_id"),
        sa.UniqueConstraint("topic", "callback"),
    )
    op.create_index("ix_hub_lease_host", "hub_lease", ["host"], unique=False)


def _requests() -> None:
    op.create_table(
        "hub_request",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("callback", sa.Text(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("secret", sa.Text(), server_default=EMPTY, nullable=False),
        sa.Column("lease_seconds", sa.Integer(), server_default=ZERO, nullable=False),
        sa.Column("challenge", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), server_default=EMPTY, nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=ZERO, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_hub_request_due_at", "hub_request", ["due_at"], unique=False)
    op.create_index("ix_hub_request_pair", "hub_request", ["topic", "callback"], unique=False)
