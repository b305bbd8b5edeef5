"""What is known of an environment's kernels from those that have run: their kernel_info."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from teamhub.store.database import Database, now
from teamhub.store.schema import kernel_facts as table


class Facts:
    """The last `kernel_info_reply` content of each environment."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, Mapping[str, Any]] = {}

    async def learn(self, environment: str, kernel_info: Mapping[str, Any]) -> None:
        """Note what a kernel has said of itself. Nothing is written where nothing is new."""
        if self._known.get(environment) == kernel_info:
            return
        row = {"environment": environment, "kernel_info": dict(kernel_info), "changed_at": now()}
        # Where another process was quicker, its answer is as good as this one.
        with contextlib.suppress(IntegrityError):
            async with self._database.writing(notify=False) as connection:
                await connection.execute(delete(table).where(table.c.environment == environment))
                await connection.execute(insert(table).values(**row))
        self._known[environment] = kernel_info

    async def kernel_info(self, environment: str) -> Mapping[str, Any] | None:
        """Return what is known, None where no kernel of it has ever answered."""
        if environment not in self._known:
            async with self._database.reading() as connection:
                found = await connection.scalar(
                    select(table.c.kernel_info).where(table.c.environment == environment)
                )
            if found is None:
                return None
            self._known[environment] = found
        return self._known[environment]
