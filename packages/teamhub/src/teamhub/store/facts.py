"""What is known of an environment's kernels from those that have run: their kernel_info.

Each member's apart. A kernel is its owner's program, and may say of itself what it likes (links
of a help menu, the name of an exporter): nobody else is to be told.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from teamhub.store.database import Database, now
from teamhub.store.schema import kernel_facts as table

MAXIMUM_BYTES = 64 * 1024
"""Of one kernel's answer; a longer one is not kept."""


class Facts:
    """The last `kernel_info_reply` content of each member's kernels of each environment."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, str], Mapping[str, Any]] = {}

    async def learn(self, owner: str, environment: str, kernel_info: Mapping[str, Any]) -> None:
        """Note what a kernel has said of itself. Nothing is written where nothing is new."""
        key = (owner, environment)
        if self._known.get(key) == kernel_info or len(json.dumps(kernel_info)) > MAXIMUM_BYTES:
            return
        row = {
            "owner": owner,
            "environment": environment,
            "kernel_info": dict(kernel_info),
            "changed_at": now(),
        }
        # Where another process was quicker, its answer is as good as this one.
        with contextlib.suppress(IntegrityError):
            async with self._database.writing(notify=False) as connection:
                await connection.execute(delete(table).where(*_is(*key)))
                await connection.execute(insert(table).values(**row))
        self._known[key] = kernel_info

    async def kernel_info(self, owner: str, environment: str) -> Mapping[str, Any] | None:
        """Return what is known, None where no kernel of it has ever answered this owner."""
        key = (owner, environment)
        if key not in self._known:
            async with self._database.reading() as connection:
                found = await connection.scalar(select(table.c.kernel_info).where(*_is(*key)))
            if found is None:
                return None
            self._known[key] = found
        return self._known[key]

    async def forget(self, owner: str) -> None:
        """Forget what an owner's kernels have said. Of one without: nothing."""
        async with self._database.writing(notify=False) as connection:
            await connection.execute(delete(table).where(table.c.owner == owner))
        for key in [key for key in self._known if key[0] == owner]:
            del self._known[key]


def _is(owner: str, environment: str) -> Any:
    return table.c.owner == owner, table.c.environment == environment
