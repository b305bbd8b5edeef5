"""Accounts that wait for an administrator's approval."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody waits so far: who has an account may sign in."""
    op.add_column(
        "accounts", sa.Column("waiting", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("accounts", sa.Column("note", sa.Text(), nullable=False, server_default=""))
