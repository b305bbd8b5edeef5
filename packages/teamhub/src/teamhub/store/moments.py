"""The newest moment that the store knows of: a clock that is behind it has been set back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from teamhub.store.schema import metadata

_WRITTEN = {"created_at", "changed_at", "started_at", "heartbeat_at"}
"""Moments that were the present when they were written, by this machine's clock."""


def newest(connection: Connection) -> datetime | None:
    """Return the newest moment in any table, None where there is none."""
    found: list[datetime] = []
    for table in metadata.tables.values():
        columns = [column for column in table.columns if column.name in _WRITTEN]
        if columns:
            row = connection.execute(select(*(func.max(column) for column in columns))).one()
            found += [moment for moment in row if moment is not None]
    return max(found, default=None)
