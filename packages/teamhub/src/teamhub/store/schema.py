"""The tables. What is here must equal what the migrations build; a test compares them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
    text,
)

VERSION = "0004"
"""The migration that builds these tables. Kept here so that a command which only looks at the
database need not load Alembic; a test holds it against the migrations."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC, on databases that forget time zones too."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse naive moments, hand on UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return what was stored, aware."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

meta = Table(
    "meta",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("one_time", Boolean, nullable=False),
    Column("admin", Boolean, nullable=False),
    # A small number of its own for every account, never used twice: the base of its uid.
    Column("number", Integer, nullable=False, unique=True),
    # Signed up, and not yet let in by an administrator.
    Column("waiting", Boolean, nullable=False, server_default=false()),
    Column("note", Text, nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

workloads = Table(
    "workloads",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("name", Text, nullable=False),
    Column("environment", String(63)),
    Column("size", String(63)),
    Column("desired", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("reason", String(32)),
    Column("detail", Text, nullable=False, server_default=""),
    Column("log_tail", Text, nullable=False, server_default=""),
    Column("node", String(255)),
    Column("handle", JSON),
    Column("host", String(255)),
    Column("port", Integer),
    Column("public_key", String(40)),
    Column("spec", JSON, nullable=False),
    Column("secrets", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("execution_state", String(16), nullable=False),
    Column("last_activity_at", UtcDateTime),
    # Of kernels: how many processes died and were replaced in place, and the last of them.
    Column("deaths", Integer, nullable=False, server_default="0"),
    Column("last_exit", Text, nullable=False, server_default=""),
    Column("last_exit_at", UtcDateTime),
    Index("ix_workloads_status", "status"),
    Index("ix_workloads_owner_kind", "owner", "kind"),
)

# The rule itself, not a check before it: one living notebook server per owner and name.
Index(
    "uq_workloads_living_server",
    workloads.c.owner,
    workloads.c.name,
    unique=True,
    sqlite_where=text("kind = 'server' AND status NOT IN ('stopped', 'failed')"),
    postgresql_where=text("kind = 'server' AND status NOT IN ('stopped', 'failed')"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(63), nullable=False),
    Column("path", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("type", String(32), nullable=False),
    Column("kernel_id", String(36), ForeignKey("workloads.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("uq_sessions_owner_path", "owner", "path", unique=True),
)

waiting_messages = Table(
    "waiting_messages",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("kernel_id", String(36), ForeignKey("workloads.id", ondelete="CASCADE"), nullable=False),
    Column("msg_id", String(255), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("frames", LargeBinary, nullable=False),
    Index("uq_waiting_messages_kernel_id_msg_id", "kernel_id", "msg_id", unique=True),
    # Numbers are never used twice: who forgets up to a number must not forget what came later.
    sqlite_autoincrement=True,
)

kernel_facts = Table(
    "kernel_facts",
    metadata,
    Column("owner", String(63), primary_key=True),
    Column("environment", String(63), primary_key=True),
    Column("kernel_info", JSON, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

dispatcher_lease = Table(
    "dispatcher_lease",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("holder", String(255), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("heartbeat_at", UtcDateTime, nullable=False),
)
