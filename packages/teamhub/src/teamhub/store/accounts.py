"""Local accounts: names, password hashes, and a number each that is never used twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from teamhub.errors import AccountError, NotFoundError
from teamhub.store.database import Database, now
from teamhub.store.schema import accounts as table


@dataclass(frozen=True)
class Account:
    """One account. `one_time`: its password was given out and must be changed at sign-in."""

    name: str
    password_hash: str
    one_time: bool
    admin: bool
    number: int
    created_at: datetime


class Accounts:
    """The accounts of a deployment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, name: str, password_hash: str, *, one_time: bool, admin: bool) -> Account:
        """Add an account and return it. Raises AccountError where the name is taken."""
        moment = now()
        try:
            async with self._database.writing() as connection:
                last = await connection.scalar(select(func.max(table.c.number)))
                account = Account(name, password_hash, one_time, admin, (last or 0) + 1, moment)
                await connection.execute(insert(table).values(**asdict(account), changed_at=moment))
        except IntegrityError:
            raise AccountError(f"there is a user called {name!r} already") from None
        return account

    async def get(self, name: str) -> Account | None:
        """Return an account, None where there is none of that name."""
        async with self._database.reading() as connection:
            found = (
                await connection.execute(select(table).where(table.c.name == name))
            ).one_or_none()
        return None if found is None else _account(found)

    async def all(self) -> Sequence[Account]:
        """Return all accounts by name."""
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


def _account(row: object) -> Account:
    return Account(**{name: getattr(row, name) for name in Account.__dataclass_fields__})
