"""What kernels say of themselves is told to their owner alone."""

import sqlalchemy as sa
from alembic import op
from teamhub.store.schema import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Begin anew: nobody knows whose kernels the facts so far are of, and they are learned soon."""
    op.drop_table("kernel_facts")
    op.create_table(
        "kernel_facts",
        sa.Column("owner", sa.String(63), nullable=False),
        sa.Column("environment", sa.String(63), nullable=False),
        sa.Column("kernel_info", sa.JSON(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "environment", name="pk_kernel_facts"),
    )
