"""The connection to the database: transactions, and what each dialect needs."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from teamhub.errors import StoreError
from teamhub.store.file import explained, path_of
from teamhub.store.wake import Wake

BUSY_TIMEOUT_SECONDS = 15


def now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(UTC)


class Database:
    """Short transactions on one database.

    Args:
        url: SQLAlchemy URL with an asynchronous driver.
        wake: whom to tell of changes.
        create: whether a file that is not there is made; only whoever makes the tables wants it.

    Raises:
        StoreError: the URL is not one, or its driver is not installed.
    """

    def __init__(self, url: str, wake: Wake, *, create: bool = False) -> None:
        self.url = url
        self.wake = wake
        self.engine = _create(url)
        self._file = _File(path_of(url), create=create)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection on which every statement sees what is committed."""
        with _told(self.url):
            self._file.check()
            async with self.engine.connect() as connection:
                yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def writing(self, *, notify: bool = True) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a transaction: committed at the end, undone by an exception.

        Everybody is woken after the commit unless `notify` is false. Keep it short: SQLite has
        one writer at a time.
        """
        with _told(self.url):
            self._file.check()
            async with self.engine.begin() as connection:
                yield connection
        if notify:
            self.wake.notify()

    async def close(self) -> None:
        """Let go of all connections. A second call does nothing."""
        await self.engine.dispose()


def revision(connection: Connection) -> str | None:
    """Return which migration a database is at, None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


class _File:
    """The file of a database, and that it stays the one that was opened.

    One that is removed or replaced under open connections would take what they write with it,
    while new connections find, or make, another.
    """

    def __init__(self, path: Path | None, *, create: bool) -> None:
        self._path = path
        self._create = create
        self._known: tuple[int, int] | None = None

    def check(self) -> None:
        """Raise StoreError where it is not the file of the first call that found one."""
        if self._path is None:
            return
        try:
            found = self._path.stat()
        except OSError:
            if self._create:
                return  # the driver makes it, or says why not
            if self._known is None:
                raise StoreError(
                    f"there is no database {self._path}; `teamhub up` makes it"
                ) from None
            raise self._lost("removed") from None
        identity = (found.st_dev, found.st_ino)
        if self._known is None:
            self._known = identity
        elif identity != self._known:
            raise self._lost("replaced")

    def _lost(self, how: str) -> StoreError:
        return StoreError(
            f"the database {self._path} was {how} under the running server; put it back, or end "
            "the server with `teamhub down` and start it again"
        )


class _told:  # noqa: N801  used as a statement
    """Turns what a driver raises into one sentence."""

    def __init__(self, url: str) -> None:
        self._where = url.rpartition("@")[2].removeprefix("sqlite+aiosqlite:///")

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, DBAPIError) and not _is_rule(error):
            cause = str(error.orig).strip().splitlines()[0] if error.orig else str(error)
            raise StoreError(explained(self._where, cause)) from error
        if isinstance(error, PoolTimeoutError):
            raise StoreError(f"the database {self._where} has too much to do; try again") from error
        if isinstance(error, (OSError, sqlite3.Error)):
            raise StoreError(explained(self._where, str(error))) from error


def _is_rule(error: DBAPIError) -> bool:
    """A broken rule (unique, foreign key) is an answer, not a broken database."""
    return type(error).__name__ == "IntegrityError" and isinstance(error, DatabaseError)


def _create(url: str) -> AsyncEngine:
    if not url.startswith("sqlite"):
        try:
            return create_async_engine(url, pool_pre_ping=True)
        except ModuleNotFoundError as error:
            raise StoreError(
                f"store.url: a database of this kind needs the package {error.name}; install it"
            ) from None
        except ArgumentError:
            raise StoreError("store.url: should be a database's URL, such as sqlite:///…") from None
    engine = create_async_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})

    @event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        # The driver's own idea of when a transaction begins is switched off: see _begin.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:
        # IMMEDIATE: a transaction that reads and then writes must not find at the write that
        # another process was quicker. AUTOCOMMIT connections begin nothing.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
