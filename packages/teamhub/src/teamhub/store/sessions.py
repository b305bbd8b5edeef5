"""Sessions: which kernel belongs to which notebook, so that it is found again.

One per owner and path; a unique index keeps it so, whoever asks at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Delete, Row, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from teamhub.errors import NotFoundError, RefusedError
from teamhub.store.database import Database, now
from teamhub.store.schema import sessions as table
from teamhub.store.schema import workloads


@dataclass(frozen=True)
class Session:
    """A notebook (or console) and the kernel it uses."""

    id: str
    owner: str
    path: str
    name: str
    type: str
    kernel_id: str


class Sessions:
    """The sessions of a deployment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, owner: str, path: str, name: str, type_: str, kernel_id: str) -> Session:
        """Bind a path to a kernel and return the session.

        Where the path has one already, that one is returned as it is: of two that ask at once,
        both get the same, and the caller compares `kernel_id` with its own.
        """
        session = Session(str(uuid.uuid4()), owner, path, name, type_, kernel_id)
        try:
            async with self._database.writing(notify=False) as connection:
                await connection.execute(
                    insert(table).values(
                        id=session.id,
                        owner=owner,
                        path=path,
                        name=name,
                        type=type_,
                        kernel_id=kernel_id,
                        created_at=now(),
                    )
                )
        except IntegrityError:
            found = await self.at(owner, path)
            if found is None:
                raise NotFoundError(f"the kernel {kernel_id} is gone") from None
            return found
        return session

    async def get(self, owner: str, session_id: str) -> Session | None:
        """Return an owner's session, None where they have none of that id."""
        found = await self._select(table.c.owner == owner, table.c.id == session_id)
        return found[0] if found else None

    async def at(self, owner: str, path: str) -> Session | None:
        """Return an owner's session at a path, None where there is none."""
        found = await self._select(table.c.owner == owner, table.c.path == path)
        return found[0] if found else None

    async def of(self, owner: str) -> Sequence[Session]:
        """Return an owner's sessions whose kernels have not been asked to stop."""
        return await self._select(table.c.owner == owner, workloads.c.desired == "running")

    async def change(
        self,
        owner: str,
        session_id: str,
        *,
        path: str | None = None,
        name: str | None = None,
        type_: str | None = None,
        kernel_id: str | None = None,
    ) -> Session:
        """Change what is not None and return the session.

        A session at that path whose kernel has ended is in nobody's way: it is forgotten.

        Raises:
            NotFoundError: the owner has no such session, or there is no such kernel.
            RefusedError: the owner has another session at that path.
        """
        asked = {"path": path, "name": name, "type": type_, "kernel_id": kernel_id}
        values = {key: value for key, value in asked.items() if value is not None}
        if values:
            try:
                async with self._database.writing(notify=False) as connection:
                    if path is not None:
                        await connection.execute(_left_at(owner, path, session_id))
                    await connection.execute(
                        update(table)
                        .where(table.c.owner == owner, table.c.id == session_id)
                        .values(**values)
                    )
            except IntegrityError:
                if path is None or await self.at(owner, path) is None:
                    raise NotFoundError(f"the kernel {kernel_id} is gone") from None
                raise RefusedError(f"there is a session at {path!r} already") from None
        session = await self.get(owner, session_id)
        if session is None:
            raise NotFoundError(f"there is no session {session_id}")
        return session

    async def delete(self, owner: str, session_id: str) -> None:
        """Forget a session; its kernel is another matter. Of one that is gone: nothing."""
        async with self._database.writing(notify=False) as connection:
            await connection.execute(
                delete(table).where(table.c.owner == owner, table.c.id == session_id)
            )

    async def delete_of_kernel(self, kernel_id: str) -> None:
        """Forget all sessions that use a kernel."""
        async with self._database.writing(notify=False) as connection:
            await connection.execute(delete(table).where(table.c.kernel_id == kernel_id))

    async def _select(self, *where: Any) -> list[Session]:
        query = select(table).join(workloads, workloads.c.id == table.c.kernel_id).where(*where)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(table.c.created_at))).all()
        return [_session(row) for row in rows]


def _left_at(owner: str, path: str, but: str) -> Delete:
    """Return what forgets an owner's other session at a path, where its kernel has ended."""
    ended = select(workloads.c.id).where(
        or_(workloads.c.desired == "stopped", workloads.c.status.in_(("stopped", "failed")))
    )
    return delete(table).where(
        table.c.owner == owner,
        table.c.path == path,
        table.c.id != but,
        table.c.kernel_id.in_(ended),
    )


def _session(row: Row[Any]) -> Session:
    return Session(row.id, row.owner, row.path, row.name, row.type, row.kernel_id)
