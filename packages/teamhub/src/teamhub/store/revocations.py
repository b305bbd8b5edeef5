"""How often tokens have been revoked: a number, so that whoever remembers tokens forgets them.

The hub knows which tokens are good; the gateway believes its answers for a while. Whoever revokes
something counts up here, and the gateway asks anew.
"""

from __future__ import annotations

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from teamhub.store.database import Database
from teamhub.store.schema import meta

_KEY = "revocations"


class Revocations:
    """The number of a deployment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self) -> int:
        """Return the number; it only grows."""
        async with self._database.reading() as connection:
            found = await connection.scalar(select(meta.c.value).where(meta.c.key == _KEY))
        return int(found or 0)

    async def add(self) -> None:
        """Count one up and wake everybody."""
        try:
            async with self._database.writing() as connection:
                found = await connection.scalar(
                    select(meta.c.value).where(meta.c.key == _KEY).with_for_update()
                )
                if found is None:
                    await connection.execute(insert(meta).values(key=_KEY, value="1"))
                else:
                    await connection.execute(
                        update(meta).where(meta.c.key == _KEY).values(value=str(int(found) + 1))
                    )
        except IntegrityError:
            await self.add()  # another was quicker to make the row
