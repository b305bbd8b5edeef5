"""The store as its users hold it: one database, its parts, and wake-ups."""

from __future__ import annotations

import contextlib
import uuid
from datetime import datetime
from pathlib import Path

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from teamhub.deployment import Deployment
from teamhub.errors import StoreError
from teamhub.store import moments
from teamhub.store.accounts import Accounts
from teamhub.store.database import Database, now, revision
from teamhub.store.facts import Facts
from teamhub.store.lease import Lease
from teamhub.store.nodes import Nodes
from teamhub.store.revocations import Revocations
from teamhub.store.schema import VERSION, meta
from teamhub.store.sessions import Sessions
from teamhub.store.waiting import Waiting
from teamhub.store.wake import Subscription, Wake
from teamhub.store.workloads import Workloads

_TRIED_AT = "tried_writing_at"


class Store:
    """The only truth on what should run.

    Args:
        url: SQLAlchemy URL with an asynchronous driver.
        wake_dir: the directory of the wake-up sockets (see wake.Wake).
    """

    def __init__(self, url: str, wake_dir: Path) -> None:
        self.wake = Wake(wake_dir)
        self._database = Database(url, self.wake)
        self.accounts = Accounts(self._database)
        self.workloads = Workloads(self._database)
        self.sessions = Sessions(self._database)
        self.waiting = Waiting(self._database)
        self.facts = Facts(self._database)
        self.lease = Lease(self._database)
        self.revocations = Revocations(self._database)
        self.nodes = Nodes(self._database)

    @classmethod
    def of(cls, deployment: Deployment) -> Store:
        """Return a deployment's store, not yet open."""
        return cls(deployment.config.store_url(), deployment.socket_dir())

    async def open(self, *, listen: bool = True) -> None:
        """Check that the database is there and of our version; begin to receive wake-ups.

        Args:
            listen: whether this process waits for changes.

        Raises:
            StoreError: it cannot be used, or is of another version.
        """
        async with self._database.reading() as connection:
            found = await connection.run_sync(revision)
        if found != VERSION:
            raise StoreError(
                f"the database is at version {found or 'none'}, this teamhub needs {VERSION}; "
                "`teamhub up` upgrades an older one; for a newer one install that teamhub"
            )
        if listen:
            await self.wake.open()

    async def close(self) -> None:
        """Let go of everything. A second call does nothing."""
        await self.wake.close()
        await self._database.close()

    def subscribe(self) -> Subscription:
        """Return something to wait for changes with."""
        return self.wake.subscribe()

    async def ping(self) -> None:
        """Ask the database for something. Raises StoreError where it cannot be used."""
        async with self._database.reading() as connection:
            await connection.execute(select(meta.c.key).limit(1))

    async def try_writing(self) -> None:
        """Write something small for good: undone, it would never have come to the disk.

        Raises:
            StoreError: it cannot be written (a full disk, a database that may only be read).
        """
        # Another text each time: what does not change may not be written at all.
        text = now().isoformat()
        with contextlib.suppress(IntegrityError):  # another process was quicker: it can be written
            async with self._database.writing(notify=False) as connection:
                found = await connection.execute(
                    update(meta).where(meta.c.key == _TRIED_AT).values(value=text)
                )
                if found.rowcount == 0:
                    await connection.execute(insert(meta).values(key=_TRIED_AT, value=text))

    async def newest_moment(self) -> datetime | None:
        """Return the newest moment that was ever written into it, None where there is none."""
        async with self._database.reading() as connection:
            return await connection.run_sync(moments.newest)

    async def deployment_id(self) -> str:
        """Return this deployment's id, eight hexadecimal digits, made at the first call."""
        query = select(meta.c.value).where(meta.c.key == "deployment_id")
        async with self._database.reading() as connection:
            found = await connection.scalar(query)
        if found is not None:
            return str(found)
        try:
            async with self._database.writing(notify=False) as connection:
                made = uuid.uuid4().hex[:8]
                await connection.execute(insert(meta).values(key="deployment_id", value=made))
                return made
        except IntegrityError:
            return await self.deployment_id()
