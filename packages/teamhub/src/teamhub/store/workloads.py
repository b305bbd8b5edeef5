"""Workloads: what should run, and how far it has come.

Two sides write here. Whoever wants something (gateway, hub, command line) adds rows and says what
is desired; only the active dispatcher moves a row through its life, and every such write is
conditional on the state it was decided from and on the dispatcher's epoch.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from teamhub.errors import DeposedError, NotFoundError, RefusedError
from teamhub.model import Address, Deaths, Desired, Handle, Kind, Status, Workload
from teamhub.reasons import Reason
from teamhub.store.database import Database, now
from teamhub.store.lease import in_epoch
from teamhub.store.schema import workloads as table

ENDED = (Status.STOPPED.value, Status.FAILED.value)


class Workloads:
    """The workloads of a deployment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        kind: Kind,
        owner: str,
        name: str,
        *,
        environment: str | None = None,
        size: str | None = None,
        spec: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        workload_id: str | None = None,
        limit: int | None = None,
    ) -> Workload:
        """Want a new workload; it is queued.

        Args:
            name: for a kernel its kernelspec's name, for a server the server's name.
            spec: what the server decided (see model.Workload).
            secrets: handed to the launch, wiped from the row once it runs or has ended.
            workload_id: a UUID; None: a new one.
            limit: how many living ones of this kind the owner may have, this one included.

        Raises:
            RefusedError: the limit is reached, the id is in use, or the owner has a living
                server of that name.
        """
        moment = now()
        workload_id = workload_id or str(uuid.uuid4())
        row = {
            "id": workload_id,
            "kind": kind.value,
            "owner": owner,
            "name": name,
            "environment": environment,
            "size": size,
            "desired": Desired.RUNNING.value,
            "status": Status.QUEUED.value,
            "attempt": 1,
            "spec": dict(spec or {}),
            "secrets": dict(secrets or {}),
            "created_at": moment,
            "changed_at": moment,
            "execution_state": "starting",
            "last_activity_at": moment,
        }
        try:
            async with self._database.writing() as connection:
                if limit is not None:
                    count = await connection.scalar(
                        select(func.count())
                        .select_from(table)
                        .where(
                            table.c.owner == owner,
                            table.c.kind == kind.value,
                            table.c.status.not_in(ENDED),
                        )
                    )
                    if (count or 0) >= limit:
                        raise RefusedError(
                            f"you have {count} {kind.value}s running, which is the limit; "
                            "stop one first"
                        )
                await connection.execute(insert(table).values(**row))
        except IntegrityError:
            raise RefusedError(f"this {kind.value} exists already") from None
        found = await self.get(workload_id)
        assert found is not None
        return found

    async def get(self, workload_id: str) -> Workload | None:
        """Return a workload, None where there is none of that id."""
        async with self._database.reading() as connection:
            row = (
                await connection.execute(select(table).where(table.c.id == workload_id))
            ).one_or_none()
        return None if row is None else _workload(row)

    async def living(
        self, kind: Kind | None = None, owner: str | None = None
    ) -> Sequence[Workload]:
        """Return what has not ended, oldest first."""
        query = select(table).where(table.c.status.not_in(ENDED)).order_by(table.c.created_at)
        return await self._select(query, kind, owner)

    async def changed_since(
        self, moment: datetime, kind: Kind | None = None, owner: str | None = None
    ) -> Sequence[Workload]:
        """Return what changed its status, desire or address at or after a moment."""
        query = select(table).where(table.c.changed_at >= moment).order_by(table.c.changed_at)
        return await self._select(query, kind, owner)

    async def all(self, kind: Kind | None = None, owner: str | None = None) -> Sequence[Workload]:
        """Return what there is a record of, ended ones included, oldest first."""
        return await self._select(select(table).order_by(table.c.created_at), kind, owner)

    async def server(self, owner: str, name: str) -> Workload | None:
        """Return an owner's living notebook server of that name, None where there is none."""
        for workload in await self.living(Kind.SERVER, owner):
            if workload.name == name:
                return workload
        return None

    async def want_stopped(self, workload_id: str, reason: Reason = Reason.ASKED) -> None:
        """Want a workload to stop. Of one that has stopped, or a second time: nothing.

        One that has failed is dismissed: not wanted any more, with its reason kept.
        """
        async with self._database.writing() as connection:
            await connection.execute(
                update(table)
                .where(
                    table.c.id == workload_id,
                    table.c.status == Status.FAILED.value,
                    table.c.desired == Desired.RUNNING.value,
                )
                .values(desired=Desired.STOPPED.value, changed_at=now())
            )
            await connection.execute(
                update(table)
                .where(
                    table.c.id == workload_id,
                    table.c.status.not_in(ENDED),
                    table.c.desired == Desired.RUNNING.value,
                )
                .values(desired=Desired.STOPPED.value, reason=reason.value, changed_at=now())
            )

    async def want_all_stopped(self, owner: str | None = None) -> int:
        """Want everything, or all of an owner's, to stop; return how much has not ended yet."""
        async with self._database.writing() as connection:
            living: ColumnElement[bool] = table.c.status.not_in(ENDED)
            if owner is not None:
                living &= table.c.owner == owner
            await connection.execute(
                update(table)
                .where(living, table.c.desired == Desired.RUNNING.value)
                .values(desired=Desired.STOPPED.value, reason=Reason.ASKED.value, changed_at=now())
            )
            count = await connection.scalar(select(func.count()).select_from(table).where(living))
        return int(count or 0)

    async def start_again(self, workload_id: str) -> Workload:
        """Want a new attempt of a workload that has ended, under the same id.

        Of one that lives: nothing. Returns what the row is then.

        Raises:
            NotFoundError: there is no such workload.
            RefusedError: it is a server, and its owner has a living one of that name.
        """
        moment = now()
        try:
            await self._start_again(workload_id, moment)
        except IntegrityError:
            raise RefusedError("there is a running server of that name already") from None
        found = await self.get(workload_id)
        if found is None:
            raise NotFoundError(f"there is no workload {workload_id}")
        return found

    async def _start_again(self, workload_id: str, moment: datetime) -> None:
        async with self._database.writing() as connection:
            await connection.execute(
                update(table)
                .where(table.c.id == workload_id, table.c.status.in_(ENDED))
                .values(
                    desired=Desired.RUNNING.value,
                    status=Status.QUEUED.value,
                    attempt=table.c.attempt + 1,
                    reason=None,
                    detail="",
                    log_tail="",
                    node=None,
                    handle=None,
                    host=None,
                    port=None,
                    public_key=None,
                    started_at=None,
                    execution_state="starting",
                    last_activity_at=moment,
                    deaths=0,
                    last_exit="",
                    last_exit_at=None,
                    changed_at=moment,
                )
            )

    async def advance(self, workload: Workload, status: Status, epoch: int, **values: Any) -> bool:
        """Move a workload on, as the active dispatcher.

        Args:
            workload: the row as the decision saw it.
            status: its new status, or the same one to note something along the way.
            epoch: the dispatcher's.
            values: columns; `handle`, `address`, `reason` may be given as the model has them.

        Returns:
            False where the row had changed its status or attempt meanwhile: look again.

        Raises:
            DeposedError: another dispatcher holds the lease; nothing was written.
        """
        if isinstance(values.get("handle"), Handle):
            values["handle"] = values["handle"].to_json()
        if "address" in values:
            address: Address | None = values.pop("address")
            values["host"] = address.host if address else None
            values["port"] = address.port if address else None
        async with self._database.writing() as connection:
            result = await connection.execute(
                update(table)
                .where(
                    table.c.id == workload.id,
                    table.c.status == workload.status.value,
                    table.c.attempt == workload.attempt,
                    in_epoch(epoch),
                )
                .values(status=status.value, changed_at=now(), **values)
            )
            if result.rowcount == 0:
                still = await connection.scalar(select(in_epoch(epoch)))
                if not still:
                    raise DeposedError("another dispatcher has taken over")
        return result.rowcount > 0

    async def report_activity(
        self,
        workload_id: str,
        execution_state: str,
        last_activity_at: datetime,
        deaths: Deaths | None = None,
    ) -> None:
        """Note what a kernel is doing. Wakes nobody: it is read when somebody asks.

        Args:
            workload_id: the kernel's.
            execution_state: as Jupyter names it.
            last_activity_at: of the last message.
            deaths: what its shim says of processes that died; None: nothing.

        Of one that has ended, nothing: a late report does not bring it back.
        """
        async with self._database.writing(notify=False) as connection:
            await connection.execute(
                update(table)
                .where(table.c.id == workload_id, table.c.status.not_in(ENDED))
                .values(
                    execution_state=execution_state,
                    last_activity_at=last_activity_at,
                    deaths=deaths.number if deaths else 0,
                    last_exit=deaths.last_exit if deaths else "",
                    last_exit_at=deaths.last_exit_at if deaths else None,
                )
            )

    async def forget_ended(self, days: float) -> int:
        """Delete the records of what ended longer ago than that; return how many."""
        async with self._database.writing(notify=False) as connection:
            result = await connection.execute(
                delete(table).where(
                    table.c.status.in_(ENDED), table.c.changed_at < now() - timedelta(days=days)
                )
            )
        return result.rowcount

    async def _select(self, query: Any, kind: Kind | None, owner: str | None) -> list[Workload]:
        if kind is not None:
            query = query.where(table.c.kind == kind.value)
        if owner is not None:
            query = query.where(table.c.owner == owner)
        async with self._database.reading() as connection:
            return [_workload(row) for row in (await connection.execute(query)).all()]


def _workload(row: Row[Any]) -> Workload:
    return Workload(
        id=row.id,
        kind=Kind(row.kind),
        owner=row.owner,
        name=row.name,
        environment=row.environment,
        size=row.size,
        desired=Desired(row.desired),
        status=Status(row.status),
        attempt=row.attempt,
        created_at=row.created_at,
        changed_at=row.changed_at,
        reason=Reason(row.reason) if row.reason else None,
        detail=row.detail,
        log_tail=row.log_tail,
        node=row.node,
        handle=Handle.from_json(row.handle) if row.handle else None,
        address=Address(row.host, row.port) if row.host and row.port else None,
        public_key=row.public_key,
        spec=row.spec,
        secrets=row.secrets,
        started_at=row.started_at,
        execution_state=row.execution_state,
        last_activity_at=row.last_activity_at,
        deaths=Deaths(row.deaths, row.last_exit, row.last_exit_at)
        if row.deaths and row.last_exit_at
        else None,
    )
