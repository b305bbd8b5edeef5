"""Kernels whose process died and was replaced in place."""

import sqlalchemy as sa
from alembic import op
from teamhub.store.schema import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of those that run, their shims say it again."""
    op.add_column(
        "workloads", sa.Column("deaths", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("workloads", sa.Column("last_exit", sa.Text(), nullable=False, server_default=""))
    op.add_column("workloads", sa.Column("last_exit_at", UtcDateTime()))
