"""Local accounts: names, password hashes, and a number each that is never used twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from teamhub.errors import AccountError, NotFoundError, RefusedError
from teamhub.store.database import Database, now
from teamhub.store.schema import accounts as table
from teamhub.store.schema import meta

_LAST_NUMBER = "last_account_number"


@dataclass(frozen=True)
class Account:
    """One account.

    Attributes:
        one_time: its password was given out and must be changed at sign-in.
        waiting: its owner signed up, and no administrator has approved it yet.
        note: what its owner said of themselves at sign-up.
    """

    name: str
    password_hash: str
    one_time: bool
    admin: bool
    number: int
    created_at: datetime
    waiting: bool = False
    note: str = ""


@dataclass(frozen=True)
class Arrival:
    """An account that is to be added, with a password that was given out."""

    name: str
    password_hash: str
    admin: bool


class Accounts:
    """The accounts of a deployment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        name: str,
        password_hash: str,
        *,
        one_time: bool,
        admin: bool,
        waiting: bool = False,
        note: str = "",
        waiting_limit: int | None = None,
    ) -> Account:
        """Add an account and return it.

        Args:
            waiting_limit: how many may wait for approval, this one included.

        Raises:
            AccountError: the name is taken.
            RefusedError: as many wait as may; nothing was added.
        """
        moment = now()
        try:
            async with self._database.writing() as connection:
                if waiting_limit is not None:
                    query = select(func.count()).select_from(table).where(table.c.waiting)
                    if (await connection.scalar(query) or 0) >= waiting_limit:
                        raise RefusedError(
                            f"{waiting_limit} accounts wait for approval already; try again when "
                            "an administrator has seen to them"
                        )
                number = await self._next_number(connection)
                account = Account(
                    name, password_hash, one_time, admin, number, moment, waiting, note
                )
                await connection.execute(insert(table).values(**asdict(account), changed_at=moment))
        except IntegrityError:
            raise AccountError(f"there is a user called {name!r} already") from None
        return account

    async def add_all(self, arrivals: Sequence[Arrival]) -> Sequence[Account]:
        """Add accounts with one-time passwords, all or none, and return them.

        Raises:
            AccountError: one of the names is taken; nothing was added.
        """
        moment = now()
        made: list[Account] = []
        try:
            async with self._database.writing() as connection:
                for number, one in enumerate(arrivals, start=await self._next_number(connection)):
                    account = Account(one.name, one.password_hash, True, one.admin, number, moment)
                    await connection.execute(
                        insert(table).values(**asdict(account), changed_at=moment)
                    )
                    made.append(account)
        except IntegrityError:
            name = arrivals[len(made)].name
            raise AccountError(f"there is a user called {name!r} already") from None
        return made

    async def get(self, name: str) -> Account | None:
        """Return an account, None where there is none of that name."""
        async with self._database.reading() as connection:
            found = (
                await connection.execute(select(table).where(table.c.name == name))
            ).one_or_none()
        return None if found is None else _account(found)

    async def all(self) -> Sequence[Account]:
        """Return all accounts by name, those that wait for approval among them."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(table).order_by(table.c.name))).all()
        return [_account(row) for row in rows]

    async def set_password(
        self, name: str, password_hash: str, *, one_time: bool, replacing: str | None = None
    ) -> None:
        """Replace a password.

        Args:
            replacing: the hash that has to be there still; None: any.

        Raises:
            NotFoundError: there is no such account, or it has another password by now.
        """
        condition = table.c.name == name
        if replacing is not None:
            condition &= table.c.password_hash == replacing
        async with self._database.writing() as connection:
            result = await connection.execute(
                update(table)
                .where(condition)
                .values(password_hash=password_hash, one_time=one_time, changed_at=now())
            )
        if result.rowcount == 0:
            raise NotFoundError(f"there is no user called {name!r}")

    async def approve(self, name: str) -> None:
        """Let somebody in who waits. Raises NotFoundError where nobody of that name waits."""
        async with self._database.writing() as connection:
            result = await connection.execute(
                update(table)
                .where(table.c.name == name, table.c.waiting)
                .values(waiting=False, changed_at=now())
            )
        if result.rowcount == 0:
            raise NotFoundError(f"nobody called {name!r} waits for approval")

    async def set_admin(self, name: str, admin: bool) -> None:
        """Make a member an administrator, or an administrator a member. A second time: nothing.

        Raises:
            NotFoundError: there is no such account, or it still waits for approval.
            RefusedError: it is the last administrator.
        """
        async with self._database.writing() as connection:
            if not admin:
                await self._refuse_the_last(connection, name)
            result = await connection.execute(
                update(table)
                .where(table.c.name == name, ~table.c.waiting)
                .values(admin=admin, changed_at=now())
            )
        if result.rowcount == 0:
            raise NotFoundError(f"there is no user called {name!r}")

    async def remove(self, name: str, *, only_waiting: bool = False) -> None:
        """Remove an account; its number is never given to another.

        Args:
            only_waiting: one that has been approved meanwhile is left.

        Raises:
            NotFoundError: there is no such account.
            RefusedError: it is the last administrator.
        """
        condition: ColumnElement[bool] = table.c.name == name
        if only_waiting:
            condition &= table.c.waiting
        async with self._database.writing() as connection:
            if not only_waiting:
                await self._refuse_the_last(connection, name)
            await self._note_number(connection)
            result = await connection.execute(delete(table).where(condition))
        if result.rowcount == 0:
            what = "waits for approval" if only_waiting else "has an account"
            raise NotFoundError(f"nobody called {name!r} {what}")

    async def _next_number(self, connection: AsyncConnection) -> int:
        used = await connection.scalar(select(func.max(table.c.number)))
        removed = await connection.scalar(select(meta.c.value).where(meta.c.key == _LAST_NUMBER))
        return max(used or 0, int(removed or 0)) + 1

    async def _note_number(self, connection: AsyncConnection) -> None:
        """Keep the highest number before an account goes: a uid is made from it."""
        last = str(await self._next_number(connection) - 1)
        changed = await connection.execute(
            update(meta).where(meta.c.key == _LAST_NUMBER).values(value=last)
        )
        if changed.rowcount == 0:
            await connection.execute(insert(meta).values(key=_LAST_NUMBER, value=last))

    async def _refuse_the_last(self, connection: AsyncConnection, name: str) -> None:
        # Locked until our commit, where the database has locks of rows: of two administrators,
        # two at once could remove one each.
        query = select(table.c.name).where(table.c.admin, ~table.c.waiting).with_for_update()
        if (await connection.scalars(query)).all() == [name]:
            raise RefusedError(
                f"{name} is the only administrator; make somebody else one first "
                "(`teamhub users role NAME administrator`)"
            )


def _account(row: object) -> Account:
    return Account(**{name: getattr(row, name) for name in Account.__dataclass_fields__})
