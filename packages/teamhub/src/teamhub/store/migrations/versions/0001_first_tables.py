"""The first tables."""

import sqlalchemy as sa
from alembic import op
from teamhub.store.schema import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_LIVING_SERVER = sa.text("kind = 'server' AND status NOT IN ('stopped', 'failed')")


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "meta",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_meta"),
    )
    op.create_table(
        "accounts",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("one_time", sa.Boolean(), nullable=False),
        sa.Column("admin", sa.Boolean(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_accounts"),
        sa.UniqueConstraint("number", name="uq_accounts_number"),
    )
    op.create_table(
        "workloads",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(63), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("environment", sa.String(63)),
        sa.Column("size", sa.String(63)),
        sa.Column("desired", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(32)),
        sa.Column("detail", sa.Text(), nullable=False, server_default=""),
        sa.Column("log_tail", sa.Text(), nullable=False, server_default=""),
        sa.Column("node", sa.String(255)),
        sa.Column("handle", sa.JSON()),
        sa.Column("host", sa.String(255)),
        sa.Column("port", sa.Integer()),
        sa.Column("public_key", sa.String(40)),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("secrets", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime()),
        sa.Column("execution_state", sa.String(16), nullable=False),
        sa.Column("last_activity_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("id", name="pk_workloads"),
    )
    op.create_index("ix_workloads_status", "workloads", ["status"])
    op.create_index("ix_workloads_owner_kind", "workloads", ["owner", "kind"])
    op.create_index(
        "uq_workloads_living_server",
        "workloads",
        ["owner", "name"],
        unique=True,
        sqlite_where=_LIVING_SERVER,
        postgresql_where=_LIVING_SERVER,
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("owner", sa.String(63), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("kernel_id", sa.String(36), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.ForeignKeyConstraint(
            ["kernel_id"], ["workloads.id"], name="fk_sessions_kernel_id", ondelete="CASCADE"
        ),
    )
    op.create_index("uq_sessions_owner_path", "sessions", ["owner", "path"], unique=True)
    op.create_table(
        "waiting_messages",
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("kernel_id", sa.String(36), nullable=False),
        sa.Column("msg_id", sa.String(255), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("frames", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_waiting_messages"),
        sa.ForeignKeyConstraint(
            ["kernel_id"],
            ["workloads.id"],
            name="fk_waiting_messages_kernel_id",
            ondelete="CASCADE",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_waiting_messages_kernel_id_msg_id",
        "waiting_messages",
        ["kernel_id", "msg_id"],
        unique=True,
    )
    op.create_table(
        "kernel_facts",
        sa.Column("environment", sa.String(63), nullable=False),
        sa.Column("kernel_info", sa.JSON(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("environment", name="pk_kernel_facts"),
    )
    op.create_table(
        "dispatcher_lease",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("heartbeat_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dispatcher_lease"),
    )


def downgrade() -> None:
    """Drop them."""
    for name in (
        "dispatcher_lease",
        "kernel_facts",
        "waiting_messages",
        "sessions",
        "workloads",
        "accounts",
        "meta",
    ):
        op.drop_table(name)
