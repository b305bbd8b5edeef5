"""Which dispatcher is the active one: a lease with an epoch that every write of its carries."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from teamhub.errors import DeposedError
from teamhub.store.database import Database, now
from teamhub.store.schema import dispatcher_lease as table


@dataclass(frozen=True)
class Held:
    """Who holds the lease, in which epoch, and when it last said so."""

    holder: str
    epoch: int
    heartbeat_at: datetime


def in_epoch(epoch: int) -> ColumnElement[bool]:
    """Return the condition that the lease still is in this epoch, for a WHERE clause."""
    return exists(select(table.c.id).where(table.c.epoch == epoch))


class Lease:
    """The one row that says who dispatches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, holder: str, lease_seconds: float) -> int | None:
        """Take the lease if nobody holds it, or its holder has been silent for too long.

        Args:
            holder: a name for people, unique to the process.
            lease_seconds: the age of a heartbeat from which on its holder is deposed.

        Returns:
            The new epoch, or None while another holds it.
        """
        epoch = None
        # Of two that ask a database with several writers at once, one finds the row there.
        with contextlib.suppress(IntegrityError):
            epoch = await self._take(holder, lease_seconds)
        if epoch is not None:
            self._database.wake.notify()
        return epoch

    async def _take(self, holder: str, lease_seconds: float) -> int | None:
        moment = now()
        # A refused take must wake nobody: whoever waits for the lease would wake itself.
        async with self._database.writing(notify=False) as connection:
            row = (await connection.execute(select(table).with_for_update())).one_or_none()
            if row is None:
                await connection.execute(
                    insert(table).values(id=1, holder=holder, epoch=1, heartbeat_at=moment)
                )
                return 1
            # One from the future was written before the clock was set back; its holder, were it
            # alive, would have beaten by the clock of now.
            silence = abs(moment - row.heartbeat_at)
            if row.holder and silence < timedelta(seconds=lease_seconds):
                return None
            epoch: int = row.epoch + 1
            await connection.execute(
                update(table).values(holder=holder, epoch=epoch, heartbeat_at=moment)
            )
            return epoch

    async def beat(self, epoch: int) -> None:
        """Say that this epoch's holder is alive. Raises DeposedError if it no longer is one."""
        async with self._database.writing(notify=False) as connection:
            result = await connection.execute(
                update(table).where(table.c.epoch == epoch).values(heartbeat_at=now())
            )
            if result.rowcount == 0:
                raise DeposedError("another dispatcher has taken over")

    async def release(self, epoch: int) -> None:
        """Give the lease up, so that the next dispatcher need not wait. Of another: nothing."""
        async with self._database.writing() as connection:
            await connection.execute(update(table).where(table.c.epoch == epoch).values(holder=""))

    async def held(self) -> Held | None:
        """Return who holds the lease, None where nobody ever did."""
        async with self._database.reading() as connection:
            row = (await connection.execute(select(table))).one_or_none()
        return None if row is None else Held(row.holder, row.epoch, row.heartbeat_at)
