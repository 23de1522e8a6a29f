"""Batches that were merged, and files that were erased; the number that Alembic's revisions replace is gone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The ledger as it is from this revision on."""
    op.create_table(
        "retired",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("merged_into", sa.String(64), nullable=False),
        sa.Column("retired_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "forgotten",
        sa.Column("mark", sa.LargeBinary(16), primary_key=True),
        sa.Column("forgotten_at", sa.DateTime, nullable=False),
    )
    op.drop_table("schema_version")
